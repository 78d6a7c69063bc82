//! Opening hours of an inbound mapping.

use chrono::{DateTime, Datelike as _, Timelike as _, Utc, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::invalid::{Invalid, Violation};

/// Minutes of a day.
const DAY: u32 = 24 * 60;
/// Maximum number of spans in a week.
const MOST: usize = 50;

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it all")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl From<Weekday> for Day {
    fn from(day: Weekday) -> Self {
        match day {
            Weekday::Mon => Self::Mon,
            Weekday::Tue => Self::Tue,
            Weekday::Wed => Self::Wed,
            Weekday::Thu => Self::Thu,
            Weekday::Fri => Self::Fri,
            Weekday::Sat => Self::Sat,
            Weekday::Sun => Self::Sun,
        }
    }
}

/// Opening hours, week by week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(
    feature = "openapi",
    schema(example = json!({
        "time_zone": "Europe/Berlin", "open": [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "to": "17:30"}]
    }))
)]
pub struct OpeningHours {
    /// Name of the time zone in the IANA database.
    #[cfg_attr(feature = "openapi", schema(max_length = 64))]
    pub time_zone: String,
    /// The spans of a week; closed at all other times.
    #[cfg_attr(feature = "openapi", schema(max_items = 50))]
    pub open: Vec<Span>,
}

/// A span of time on some days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(
    feature = "openapi",
    schema(example = json!({"days": ["sat"], "from": "22:00", "to": "02:00"}))
)]
pub struct Span {
    /// The days that it begins on.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 7))]
    pub days: Vec<Day>,
    /// Start time, `HH:MM`.
    #[cfg_attr(feature = "openapi", schema(max_length = 5))]
    pub from: String,
    /// End time, `HH:MM` up to `24:00`; on the next day if it is not later than `from`.
    #[cfg_attr(feature = "openapi", schema(max_length = 5))]
    pub to: String,
}

/// Minutes since midnight.
fn minutes(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let digits = |text: &str| text.len() == 2 && text.chars().all(|c| c.is_ascii_digit());
    if !digits(hours) || !digits(minutes) {
        return None;
    }
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let sum = hours * 60 + minutes;
    (minutes < 60 && sum <= DAY).then_some(sum)
}

impl Span {
    fn minutes(&self) -> Option<(u32, u32)> {
        let (from, to) = (minutes(&self.from)?, minutes(&self.to)?);
        (from < DAY).then_some((from, to))
    }

    /// Whether this minute of this day is within the span.
    fn contains(&self, day: Day, yesterday: Day, minute: u32) -> bool {
        let Some((from, to)) = self.minutes() else {
            return false;
        };
        let begins_on = |day: Day| self.days.contains(&day);
        #[cfg(fuzz_planted)]
        if from == to {
            return begins_on(day);
        }
        if from < to {
            return begins_on(day) && (from..to).contains(&minute);
        }
        (begins_on(day) && minute >= from) || (begins_on(yesterday) && minute < to)
    }
}

impl OpeningHours {
    /// Validates the hours; every violation has its pointer.
    pub fn check(&self) -> Result<(), Vec<Violation>> {
        let mut found = Vec::new();
        if self.time_zone.parse::<Tz>().is_err() {
            let message = "no time zone of the IANA database, such as `Europe/Berlin`";
            found.push(Invalid::new("unknown_time_zone", message).at("/time_zone"));
        }
        if self.open.len() > MOST {
            let message = format!("at most {MOST} spans are allowed");
            found.push(Invalid::new("too_many", message).at("/open"));
        }
        for (index, span) in self.open.iter().enumerate() {
            if span.days.is_empty() {
                let message = "at least one day is needed";
                found.push(Invalid::new("too_short", message).at(format!("/open/{index}/days")));
            }
            for (name, text) in [("from", &span.from), ("to", &span.to)] {
                let read = minutes(text);
                if read.is_none() || (name == "from" && read == Some(DAY)) {
                    let message = "the form is `HH:MM`, 00:00 to 24:00";
                    let at = format!("/open/{index}/{name}");
                    found.push(Invalid::new("invalid_time", message).at(at));
                }
            }
        }
        if found.is_empty() { Ok(()) } else { Err(found) }
    }

    /// Whether it is open at this time.
    pub fn is_open(&self, at: DateTime<Utc>) -> bool {
        let Ok(zone) = self.time_zone.parse::<Tz>() else {
            return false;
        };
        let local = at.with_timezone(&zone);
        let day = local.weekday();
        let minute = local.hour() * 60 + local.minute();
        let within = |span: &Span| span.contains(day.into(), day.pred().into(), minute);
        self.open.iter().any(within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(days: &[Day], from: &str, to: &str) -> OpeningHours {
        OpeningHours {
            time_zone: "Europe/Berlin".to_owned(),
            open: vec![Span {
                days: days.to_vec(),
                from: from.to_owned(),
                to: to.to_owned(),
            }],
        }
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_week_has_its_hours_in_its_time_zone() {
        let week = hours(&[Day::Mon, Day::Tue], "09:00", "17:30");
        // 2026-11-23 is a Monday; Berlin is an hour ahead in winter, two in summer.
        for (time, open) in [
            ("2026-11-23T07:59:59Z", false),
            ("2026-11-23T08:00:00Z", true),
            ("2026-11-23T16:29:59Z", true),
            ("2026-11-23T16:30:00Z", false),
            ("2026-11-25T12:00:00Z", false),
            ("2026-07-06T07:00:00Z", true),
            ("2026-07-06T06:59:00Z", false),
        ] {
            assert_eq!(week.is_open(at(time)), open, "{time}");
        }
    }

    #[test]
    fn a_night_reaches_into_the_next_day() {
        let night = hours(&[Day::Sun], "22:00", "06:00");
        for (time, open) in [
            ("2026-11-22T20:59:00Z", false),
            ("2026-11-22T21:00:00Z", true),
            ("2026-11-23T04:59:00Z", true),
            ("2026-11-23T05:00:00Z", false),
            ("2026-11-23T22:00:00Z", false),
        ] {
            assert_eq!(night.is_open(at(time)), open, "{time}");
        }
        assert!(hours(&[Day::Mon], "00:00", "24:00").is_open(at("2026-11-23T22:59:00Z")));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let mut wrong = hours(&[], "9:00", "25:00");
        wrong.time_zone = "Mars/Olympus".to_owned();
        let found = wrong.check().unwrap_err();
        let found: Vec<_> = found.iter().map(|v| &*v.pointer).collect();
        assert_eq!(
            found,
            ["/time_zone", "/open/0/days", "/open/0/from", "/open/0/to"]
        );
        assert!(hours(&[Day::Fri], "24:00", "06:00").check().is_err());
        assert!(hours(&[Day::Fri], "23:59", "24:00").check().is_ok());
    }
}
