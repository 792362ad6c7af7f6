//! Reads the times and spans that people type.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portcullis_model::Timestamp;

/// The time now.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A span: a whole number and `ms`, `s`, `m`, `h` or `d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "write a whole number and `s`, `m`, `h` or `d`, for example `10m`".to_owned();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => DAY_MILLIS,
        _ => return Err(wrong()),
    };
    let span = number.checked_mul(millis).filter(|span| (1..=SPAN_MILLIS_MAX).contains(span));
    span.map(Duration::from_millis).ok_or_else(|| "a span is longer than nothing and at most 100 years".to_owned())
}

/// A moment: RFC 3339 in UTC, a date, or a span ago.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(span) = duration(text) {
        let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        return Ok(Timestamp::from_millis(now().as_millis().saturating_sub(span)));
    }
    absolute(text)
        .ok_or_else(|| "write `2026-11-23T18:40:05Z` or `2026-11-23`, both UTC, or a span ago as `10m`".to_owned())
}

fn absolute(text: &str) -> Option<Timestamp> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, Some(time.strip_suffix('Z')?)),
        None => (text, None),
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let valid =
        (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=month_days(year, month)).contains(&day);
    if !valid {
        return None;
    }
    let mut millis = days(year, month, day) * DAY_MILLIS;
    if let Some(time) = time {
        let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
        let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
        if hour > 23 || minute > 59 || second > 59 || !(1..=9).contains(&fraction.len()) {
            return None;
        }
        if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let thousandths: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
        millis += ((hour * 60 + minute) * 60 + second) * 1_000 + thousandths;
    }
    Some(Timestamp::from_millis(millis))
}

/// Three numbers of fixed widths.
fn numbers(text: &str, separator: char, widths: [usize; 3]) -> Option<[u64; 3]> {
    let mut parts = text.split(separator);
    let mut found = [0; 3];
    for (number, width) in found.iter_mut().zip(widths) {
        let part = parts.next().filter(|part| part.len() == width && part.bytes().all(|byte| byte.is_ascii_digit()))?;
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn month_days(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let years: u64 = (1970..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum();
    let months: u64 = (1..month).map(|month| month_days(year, month)).sum();
    years + months + day - 1
}

const DAY_MILLIS: u64 = 24 * 60 * 60 * 1_000;
/// Longest span: longer ones are typing mistakes.
const SPAN_MILLIS_MAX: u64 = 36_525 * DAY_MILLIS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_a_number_and_a_unit() {
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for text in ["", "10", "m", "-1s", "0s", "1w", "1.5h", "99999999999999999999d", "36526d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moments_round_trip_through_the_calendar() {
        for text in ["1970-01-01T00:00:00.000Z", "2000-02-29T23:59:59.999Z", "2026-11-23T18:40:05.007Z"] {
            assert_eq!(moment(text).map(|moment| moment.to_string()), Ok(text.to_owned()));
        }
        assert_eq!(moment("2026-11-23").map(|moment| moment.to_string()), Ok("2026-11-23T00:00:00.000Z".to_owned()));
        assert!(moment("1h").is_ok_and(|moment| moment < now()));
        for text in ["2026-02-29", "2026-13-01", "1969-12-31", "2026-11-23T24:00:00Z", "2026-11-23T18:40:05", "x", "é"]
        {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}
