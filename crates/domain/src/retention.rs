//! For how many days records are kept.

use serde_json::Value;

use crate::Invalid;

/// Name of a tenant's setting.
pub const SETTING: &str = "retention_days";
/// Names of the kinds of records, in that setting and in the operator's.
pub const KINDS: [&str; 4] = ["transcripts", "timelines", "calls", "audit"];
/// The most days that can be set: a hundred years.
pub const MOST_DAYS: u64 = 36_500;

/// Days for which records of each kind are kept; none for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Turns of transcripts.
    pub transcripts: Option<u32>,
    /// Events of sessions.
    pub timelines: Option<u32>,
    /// Phone calls that are over.
    pub calls: Option<u32>,
    /// Events of the audit trail.
    pub audit: Option<u32>,
}

impl Retention {
    /// From days in the order of [`KINDS`]; 0 for ever.
    pub fn of_days([transcripts, timelines, calls, audit]: [u32; 4]) -> Self {
        let days = |days: u32| (days > 0).then_some(days);
        Self {
            transcripts: days(transcripts),
            timelines: days(timelines),
            calls: days(calls),
            audit: days(audit),
        }
    }

    /// From a tenant's settings. The error names the kind, if it is about one.
    pub fn of_settings(settings: &Value) -> Result<Self, (Option<&'static str>, Invalid)> {
        let found = match settings.get(SETTING) {
            None | Some(Value::Null) => return Ok(Self::default()),
            Some(Value::Object(found)) => found,
            Some(_) => {
                let expected = format!("an object with some of {}", KINDS.join(", "));
                return Err((None, Invalid::new("invalid_type", expected)));
            }
        };
        if let Some(unknown) = found.keys().find(|name| !KINDS.contains(&&***name)) {
            let message = format!("`{unknown}` is none of {}", KINDS.join(", "));
            return Err((None, Invalid::new("unknown_field", message)));
        }
        let mut days = [0; KINDS.len()];
        for (days, kind) in days.iter_mut().zip(KINDS) {
            *days = match found.get(kind) {
                None | Some(Value::Null) => 0,
                Some(value) => of_value(value).map_err(|invalid| (Some(kind), invalid))?,
            };
        }
        Ok(Self::of_days(days))
    }

    /// The fewer days of both, for each kind.
    pub fn stricter(self, other: Self) -> Self {
        let fewer = |one: Option<u32>, other: Option<u32>| one.into_iter().chain(other).min();
        Self {
            transcripts: fewer(self.transcripts, other.transcripts),
            timelines: fewer(self.timelines, other.timelines),
            calls: fewer(self.calls, other.calls),
            audit: fewer(self.audit, other.audit),
        }
    }
}

fn of_value(value: &Value) -> Result<u32, Invalid> {
    let days = value.as_u64().filter(|days| (1..=MOST_DAYS).contains(days));
    let days = days.and_then(|days| u32::try_from(days).ok());
    days.ok_or_else(|| Invalid::new("out_of_range", format!("1 to {MOST_DAYS} days, or null")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_stricter_of_two_counts_for_each_kind() {
        let one = Retention::of_days([30, 0, 90, 0]);
        let other = Retention::of_days([60, 7, 0, 0]);
        let both = Retention::of_days([30, 7, 90, 0]);
        assert_eq!((one.stricter(other), other.stricter(one)), (both, both));
        assert_eq!(both.audit, None);
    }

    #[test]
    fn a_setting_is_read_or_refused_with_its_place() {
        let of = |value: Value| Retention::of_settings(&json!({ "retention_days": value }));
        assert_eq!(
            of(json!({ "calls": 90, "audit": null })),
            Ok(Retention::of_days([0, 0, 90, 0]))
        );
        assert_eq!(Retention::of_settings(&json!({})), Ok(Retention::default()));
        for (value, place, code) in [
            (json!(30), None, "invalid_type"),
            (json!({ "recordings": 3 }), None, "unknown_field"),
            (json!({ "calls": 0 }), Some("calls"), "out_of_range"),
            (json!({ "calls": 36_501 }), Some("calls"), "out_of_range"),
            (json!({ "audit": "30" }), Some("audit"), "out_of_range"),
        ] {
            let (found, invalid) = of(value).unwrap_err();
            assert_eq!((found, &*invalid.code), (place, code));
        }
    }
}
