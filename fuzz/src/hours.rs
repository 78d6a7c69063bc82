//! Opening hours.

use arbitrary::{Result, Unstructured};
use chrono::{DateTime, Offset as _, TimeDelta, TimeZone as _, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use patchbay_domain::hours::{Day, OpeningHours, Span};

const DAYS: [Day; 7] = [
    Day::Mon,
    Day::Tue,
    Day::Wed,
    Day::Thu,
    Day::Fri,
    Day::Sat,
    Day::Sun,
];
const DAY: usize = 24 * 60;
/// From 1900 to 2100: all changes of time zones.
const SECONDS: std::ops::RangeInclusive<i64> = -2_208_988_800..=4_102_444_800;

/// The hours of a week and a moment. Also as JSON.
pub fn target(data: &[u8]) {
    if let Ok(hours) = serde_json::from_slice::<OpeningHours>(data) {
        let _ = hours.check();
        hours.is_open(DateTime::UNIX_EPOCH);
    }
    let _ = run(&mut Unstructured::new(data));
}

fn run(u: &mut Unstructured<'_>) -> Result<()> {
    let zone = TZ_VARIANTS[u.choose_index(TZ_VARIANTS.len())?];
    let seconds = u.int_in_range(SECONDS)?;
    let open = (0..u.int_in_range(0..=4)?).map(|_| span(u));
    let hours = OpeningHours {
        time_zone: zone.name().to_owned(),
        open: open.collect::<Result<_>>()?,
    };
    let spans: Option<Vec<_>> = hours.open.iter().map(read).collect();
    assert_eq!(hours.check().is_ok(), spans.is_some(), "{hours:?}");
    let (Some(spans), Some(at)) = (spans, DateTime::from_timestamp(seconds, 0)) else {
        return Ok(());
    };
    let week = week(&spans);
    let (_, minute) = local(zone, at);
    let edges = spans.iter().flat_map(|(_, from, to)| [*from, *to]);
    let edges = edges.flat_map(|edge| [edge, (edge + DAY - 1) % DAY]);
    // That moment, and both sides of each edge, unless a clock change is in between.
    for edge in [minute].into_iter().chain(edges) {
        let minutes = i64::try_from(edge).unwrap_or(0) - i64::try_from(minute).unwrap_or(0);
        let at = at + TimeDelta::minutes(minutes);
        let (day, minute) = local(zone, at);
        assert_eq!(
            hours.is_open(at),
            week[day * DAY + minute],
            "{hours:?} at {at}"
        );
    }
    Ok(())
}

fn span(u: &mut Unstructured<'_>) -> Result<Span> {
    let chosen: u8 = u.arbitrary()?;
    let is_chosen = |index: &usize| chosen >> index & 1 == 1;
    Ok(Span {
        days: (0..7).filter(is_chosen).map(|index| DAYS[index]).collect(),
        from: time(u)?,
        to: time(u)?,
    })
}

fn time(u: &mut Unstructured<'_>) -> Result<String> {
    if u.ratio(1, 16)? {
        return u.arbitrary();
    }
    let minute = u.int_in_range(0..=DAY)?;
    Ok(format!("{:02}:{:02}", minute / 60, minute % 60))
}

/// Days, begin and end; none if the span is invalid.
fn read(span: &Span) -> Option<(Vec<usize>, usize, usize)> {
    let minutes = |text: &str| {
        let [
            a @ b'0'..=b'2',
            b @ b'0'..=b'9',
            b':',
            c @ b'0'..=b'5',
            d @ b'0'..=b'9',
        ] = text.as_bytes()
        else {
            return None;
        };
        let digit = |byte: &u8| usize::from(byte - b'0');
        let minutes = (digit(a) * 10 + digit(b)) * 60 + digit(c) * 10 + digit(d);
        (minutes <= DAY).then_some(minutes)
    };
    let (from, to) = (minutes(&span.from)?, minutes(&span.to)?);
    let index = |day| DAYS.iter().position(|known| known == day);
    let days: Vec<_> = span.days.iter().filter_map(index).collect();
    (from < DAY && !days.is_empty()).then_some((days, from, to))
}

/// Every minute of a week, computed one by one.
fn week(spans: &[(Vec<usize>, usize, usize)]) -> Vec<bool> {
    let mut week = vec![false; 7 * DAY];
    for (days, from, to) in spans {
        for day in days {
            let mut minute = *from;
            let end = if from < to { *to } else { DAY + to };
            while minute < end {
                week[(day * DAY + minute) % (7 * DAY)] = true;
                minute += 1;
            }
        }
    }
    week
}

/// Day of the week from Monday, and minute of the day, from the seconds of the local time.
fn local(zone: Tz, at: DateTime<Utc>) -> (usize, usize) {
    let offset = zone.offset_from_utc_datetime(&at.naive_utc()).fix();
    let seconds = at.timestamp() + i64::from(offset.local_minus_utc());
    // The first of January 1970 was a Thursday.
    let day = (seconds.div_euclid(86_400) + 3).rem_euclid(7);
    let minute = seconds.rem_euclid(86_400) / 60;
    (
        usize::try_from(day).unwrap_or(0),
        usize::try_from(minute).unwrap_or(0),
    )
}
