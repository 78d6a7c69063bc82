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

/// Digits behind `+` without what is only dialled at home; none where nothing of it is there.
pub(crate) fn without_trunk_prefix(digits: &str) -> Option<String> {
    let (code, national) = split(digits)?;
    let rest = national.strip_prefix(trunk_prefix(code)?)?;
    Some(format!("{code}{rest}"))
}

/// Whether digits behind `+` may be a number that the plans do not know. What a switch of the country would
/// take for a call abroad, or for more than a number, is none.
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

/// Whether digits begin as calls abroad do in this country.
pub(crate) fn calls_abroad(code: u16, digits: &str) -> bool {
    let prefix = of(code).and_then(Metadata::international_prefix);
    prefix.is_some_and(|prefix| prefix.find(digits).is_some_and(|found| found.start() == 0))
}
