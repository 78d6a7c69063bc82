//! Which numbers a tenant may call. A target is normalised to `+` and digits before it is compared, and exactly
//! what was compared is dialled.

use super::tenant::TenantLimits;
use crate::{
    invalid::Invalid,
    phone::{Dialled, PhoneNumber, TransferTarget, normalise_prefix},
};

impl TenantLimits {
    /// Checks whether this number may be called.
    pub fn check_number(&self, number: &Dialled) -> Result<(), Invalid> {
        match number {
            Dialled::Number(number) => self.check_prefixes(&[number.to_string()]),
            Dialled::Emergency(_) => self.check_emergency(),
        }
    }

    /// The target to dial for a transfer, or why it is not allowed. `home` is the tenant's number on the call;
    /// national numbers are read in its country. The user of a SIP URI is checked as a number if it consists of
    /// digits, as the server may dial it.
    pub fn admit(
        &self,
        target: TransferTarget,
        home: Option<&PhoneNumber>,
    ) -> Result<TransferTarget, Invalid> {
        let (country, address) = match &target {
            TransferTarget::Number(number) => {
                self.check_number(number)?;
                return Ok(target);
            }
            TransferTarget::Sip {
                country, address, ..
            } => (*country, address.clone()),
        };
        let digits = target.digits(home);
        if digits.as_ref().is_some_and(|digits| digits.is_emergency()) {
            self.check_emergency()?;
            return Ok(target);
        }
        if !self.restricts_numbers() && country.is_none() {
            return Ok(target);
        }
        let readings = digits.map_or_else(Vec::new, |digits| digits.readings());
        self.check_prefixes(&readings)?;
        let user = readings.into_iter().next().ok_or_else(not_international)?;
        Ok(TransferTarget::Sip {
            user,
            country: None,
            address,
        })
    }

    /// Whether calls are restricted to some numbers.
    fn restricts_numbers(&self) -> bool {
        let denies = self.denied_prefixes.as_ref();
        self.allowed_prefixes.is_some() || denies.is_some_and(|denied| !denied.is_empty())
    }

    /// Every possible reading of the number must be allowed, and none denied.
    fn check_prefixes(&self, readings: &[String]) -> Result<(), Invalid> {
        if readings.is_empty() {
            return Err(not_international());
        }
        let begins = |number: &String, prefixes: &[String]| {
            let normal = |prefix: &String| normalise_prefix(prefix);
            let mut prefixes = prefixes.iter().filter_map(normal);
            prefixes.any(|prefix| number.starts_with(&prefix))
        };
        let denied = self.denied_prefixes.as_deref().unwrap_or_default();
        if readings.iter().any(|number| begins(number, denied)) {
            let message = "the operator has denied numbers that begin like this";
            return Err(Invalid::new("denied_prefix", message));
        }
        let Some(allowed) = self.allowed_prefixes.as_deref() else {
            return Ok(());
        };
        if !readings.iter().all(|number| begins(number, allowed)) {
            let message = "the operator allows only numbers that begin otherwise";
            return Err(Invalid::new("prefix_not_allowed", message));
        }
        Ok(())
    }

    fn check_emergency(&self) -> Result<(), Invalid> {
        if self.emergency_calls == Some(true) {
            return Ok(());
        }
        let message = "it is an emergency number, and the operator does not allow to call these";
        Err(Invalid::new("emergency_number", message))
    }
}

fn not_international() -> Invalid {
    let message = "under the operator's prefixes a number is needed with `+` and its country code";
    Invalid::new("number_not_international", message)
}
