//! What the compiled numbering plans know of country codes.

use phonenumber::{Metadata, country::Id, metadata::DATABASE};

/// The country code at the beginning of these digits, and what is behind it.
pub(crate) fn split(digits: &str) -> Option<(u16, &str)> {
    (1..=3).find_map(|length| {
        let code: u16 = digits.get(..length)?.parse().ok()?;
        let known = !digits.starts_with('0') && DATABASE.region(&code).is_some();
        known.then_some((code, digits.get(length..).unwrap_or_default()))
    })
}

/// The plan of a country code; that of the largest country where several share it.
fn of(code: u16) -> Option<&'static Metadata> {
    let plans = DATABASE.by_code(&code)?;
    let main = plans.iter().find(|plan| plan.is_main_country_for_code());
    main.or(plans.first()).copied()
}

/// The country that `phonenumber` is to read national numbers of a code by.
pub(crate) fn country(code: u16) -> Option<Id> {
    of(code)?.id().parse().ok()
}

/// What is dialled in front of a national number at home, such as `0`.
pub(crate) fn trunk_prefix(code: u16) -> Option<&'static str> {
    of(code)?.national_prefix()
}

/// Whether digits begin as calls abroad do in this country.
pub(crate) fn calls_abroad(code: u16, digits: &str) -> bool {
    let prefix = of(code).and_then(Metadata::international_prefix);
    prefix.is_some_and(|prefix| prefix.find(digits).is_some_and(|found| found.start() == 0))
}
