//! Time buckets of the metrics.

use chrono::{
    DateTime, Days, NaiveDateTime, NaiveTime, TimeDelta, TimeZone as _, Timelike as _, Utc,
};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// Maximum number of buckets in one response.
pub const MOST: usize = 1000;

/// Length of a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Bucket {
    /// An hour.
    Hour,
    /// A day of the time zone; 23 or 25 hours where its clocks are changed.
    #[default]
    Day,
}

/// The start of each bucket of a span, the first one at or before `from`. None if there would be more than
/// [`MOST`].
pub fn starts(
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    bucket: Bucket,
    zone: Tz,
) -> Option<Vec<DateTime<Utc>>> {
    let local = from.with_timezone(&zone).naive_local();
    let mut starts = Vec::new();
    let mut next = match bucket {
        Bucket::Hour => local.date().and_hms_opt(local.hour(), 0, 0)?,
        Bucket::Day => local.date().and_time(NaiveTime::MIN),
    };
    // Where a clock change repeats an hour, the bucket begins at its first occurrence.
    let mut start = instant(next, zone)?.min(from);
    if bucket == Bucket::Hour && from - start >= TimeDelta::hours(1) {
        start += TimeDelta::hours(1);
    }
    while start < to {
        if starts.len() == MOST {
            return None;
        }
        starts.push(start);
        start = match bucket {
            Bucket::Hour => start + TimeDelta::hours(1),
            Bucket::Day => {
                next = next.checked_add_days(Days::new(1))?;
                instant(next, zone)?
            }
        };
    }
    Some(starts)
}

/// The first moment at which the clock of a zone shows this time, or a later one if the clock skips it.
fn instant(local: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    let found = zone.from_local_datetime(&local).earliest();
    let found = found.or_else(|| {
        zone.from_local_datetime(&(local + TimeDelta::hours(1)))
            .earliest()
    });
    found.map(|found| found.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn of(from: &str, to: &str, bucket: Bucket, zone: &str) -> Vec<String> {
        let found = starts((at(from), at(to)), bucket, zone.parse().unwrap()).unwrap();
        found
            .iter()
            .map(|s| s.format("%dT%H:%M").to_string())
            .collect()
    }

    #[test]
    fn days_are_those_of_the_zone() {
        let utc = of(
            "2026-11-23T10:00:00Z",
            "2026-11-25T00:00:00Z",
            Bucket::Day,
            "UTC",
        );
        assert_eq!(utc, ["23T00:00", "24T00:00"]);
        // The clocks of Berlin go back on 2026-10-25: a day of 25 hours.
        let berlin = of(
            "2026-10-24T12:00:00Z",
            "2026-10-26T12:00:00Z",
            Bucket::Day,
            "Europe/Berlin",
        );
        assert_eq!(berlin, ["23T22:00", "24T22:00", "25T23:00"]);
    }

    #[test]
    fn hours_are_whole_hours_of_the_zone() {
        let utc = of(
            "2026-11-23T10:59:00Z",
            "2026-11-23T12:00:01Z",
            Bucket::Hour,
            "UTC",
        );
        assert_eq!(utc, ["23T10:00", "23T11:00", "23T12:00"]);
        let kolkata = of(
            "2026-11-23T10:59:00Z",
            "2026-11-23T12:00:00Z",
            Bucket::Hour,
            "Asia/Kolkata",
        );
        assert_eq!(kolkata, ["23T10:30", "23T11:30"]);
    }

    #[test]
    fn there_are_not_too_many() {
        let span = (at("2026-01-01T00:00:00Z"), at("2026-02-11T16:00:00Z"));
        assert_eq!(starts(span, Bucket::Hour, Tz::UTC).unwrap().len(), 1000);
        let span = (span.0, span.1 + TimeDelta::seconds(1));
        assert_eq!(starts(span, Bucket::Hour, Tz::UTC), None);
        assert_eq!(starts((span.1, span.0), Bucket::Day, Tz::UTC), Some(vec![]));
    }
}
