//! Which numbers a tenant may call. Whatever is asked for has been read as `+` and digits before it is
//! compared, and what was compared is what is dialled.

use super::tenant::TenantLimits;
use crate::{
    invalid::Invalid,
    phone::{Dialled, PhoneNumber, TransferTarget, normalise_prefix},
};

impl TenantLimits {
    /// Why this number may not be called, if so.
    pub fn check_number(&self, number: &Dialled) -> Result<(), Invalid> {
        match number {
            Dialled::Number(number) => self.check_prefixes(&[number.to_string()]),
            Dialled::Emergency(_) => self.check_emergency(),
        }
    }

    /// What is dialled when a call is handed over to this, or why it may not be. `home` is the number of
    /// ours on the call, whose country national numbers are those of. A user of a SIP server is a number
    /// too where the name is digits: the server may dial it.
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

    /// Whether not all numbers may be called.
    fn restricts_numbers(&self) -> bool {
        let denies = self.denied_prefixes.as_ref();
        self.allowed_prefixes.is_some() || denies.is_some_and(|denied| !denied.is_empty())
    }

    /// All that a number may be taken for must be allowed, and nothing of it denied.
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
