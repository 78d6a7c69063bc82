//! Country codes in the compiled numbering plans.

use phonenumber::{Metadata, country::Id, metadata::DATABASE};

/// Splits digits into their country code and the rest.
pub(crate) fn split(digits: &str) -> Option<(u16, &str)> {
    (1..=3).find_map(|length| {
        let code: u16 = digits.get(..length)?.parse().ok()?;
        let known = !digits.starts_with('0') && DATABASE.region(&code).is_some();
        known.then_some((code, digits.get(length..).unwrap_or_default()))
    })
}

/// The plan of a country code; the largest country's if several share it.
fn of(code: u16) -> Option<&'static Metadata> {
    let plans = DATABASE.by_code(&code)?;
    let main = plans.iter().find(|plan| plan.is_main_country_for_code());
    main.or(plans.first()).copied()
}

/// The country by which `phonenumber` reads national numbers of a code.
pub(crate) fn country(code: u16) -> Option<Id> {
    of(code)?.id().parse().ok()
}

/// The national trunk prefix, such as `0`.
pub(crate) fn trunk_prefix(code: u16) -> Option<&'static str> {
    of(code)?.national_prefix()
}

/// Digits behind `+` without the national trunk prefix; none if they have none.
pub(crate) fn without_trunk_prefix(digits: &str) -> Option<String> {
    let (code, national) = split(digits)?;
    let rest = national.strip_prefix(trunk_prefix(code)?)?;
    Some(format!("{code}{rest}"))
}

/// Whether digits behind `+` may be a number that the plans do not know. False for what a switch of the country
/// could take for an international call, or for more than a number.
pub(crate) fn may_be_in_service(digits: &str) -> bool {
    let Some((code, national)) = split(digits) else {
        return false;
    };
    let trunk = trunk_prefix(code);
    let inner = trunk.and_then(|trunk| national.strip_prefix(trunk));
    let inner = inner.unwrap_or(national);
    let goes_on = trunk.is_some_and(|trunk| inner.starts_with(trunk) || inner.starts_with('0'));
    let is_american = inner.len() == 10 && !inner.starts_with(['0', '1']);
    (7..=15).contains(&digits.len())
        && !calls_abroad(code, national)
        && !calls_abroad(code, inner)
        && !goes_on
        && (code != 1 || is_american)
}

/// Whether digits begin with the country's prefix for international calls.
pub(crate) fn calls_abroad(code: u16, digits: &str) -> bool {
    let prefix = of(code).and_then(Metadata::international_prefix);
    prefix.is_some_and(|prefix| prefix.find(digits).is_some_and(|found| found.start() == 0))
}
