//! Validation of SIP trunks.

use patchbay_domain::{Invalid, PhoneNumber, sip::SipAddress};

use crate::{Error, Result, Service};

/// Checks the address against the outbound policy.
pub fn check_address(service: &Service, address: &SipAddress) -> Result<()> {
    service.policy.check_host(&address.host).map_err(|error| {
        let invalid = Invalid::new("address_refused", error.to_string());
        Error::invalid_at("/address", invalid)
    })
}

/// Maximum number of phone numbers of a trunk.
const MAX_NUMBERS: usize = 500;

/// Checks the numbers and removes duplicates.
pub fn checked_numbers(numbers: Vec<PhoneNumber>) -> Result<Vec<String>> {
    if !(1..=MAX_NUMBERS).contains(&numbers.len()) {
        let message = format!("1 to {MAX_NUMBERS} numbers are needed");
        let invalid = Invalid::new("out_of_range", message);
        return Err(Error::invalid_at("/numbers", invalid));
    }
    let mut unique: Vec<String> = Vec::with_capacity(numbers.len());
    for number in numbers {
        if !unique.iter().any(|other| **other == *number) {
            unique.push(number.to_string());
        }
    }
    Ok(unique)
}
