//! What a SIP trunk may say.

use patchbay_domain::{Invalid, PhoneNumber, sip::SipAddress};

use crate::{Error, Result, Service};

/// Refuses an address that the service may not call.
pub fn check_address(service: &Service, address: &SipAddress) -> Result<()> {
    service.policy.check_host(&address.host).map_err(|refused| {
        let invalid = Invalid::new("address_refused", refused.to_string());
        Error::invalid_at("/address", invalid)
    })
}

/// Most numbers of one trunk.
const MOST_NUMBERS: usize = 500;

/// The numbers, each once.
pub fn checked_numbers(numbers: Vec<PhoneNumber>) -> Result<Vec<String>> {
    if !(1..=MOST_NUMBERS).contains(&numbers.len()) {
        let message = format!("1 to {MOST_NUMBERS} numbers are needed");
        let invalid = Invalid::new("out_of_range", message);
        return Err(Error::invalid_at("/numbers", invalid));
    }
    let mut kept: Vec<String> = Vec::with_capacity(numbers.len());
    for number in numbers {
        if !kept.iter().any(|known| **known == *number) {
            kept.push(number.to_string());
        }
    }
    Ok(kept)
}
