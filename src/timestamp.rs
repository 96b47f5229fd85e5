//! A point in time: microseconds in UTC, which is what the original stores and compares.
//!
//! The library never reads the clock: "now" is always an argument.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::{Date, Duration, Month, OffsetDateTime, Time};

/// A point in time in whole microseconds since 1970-01-01T00:00:00Z, between the years 1 and
/// 9999. Prints as ISO 8601 with `Z`, microseconds only when there are any.
///
/// Through serde it is text where the format is for people (JSON) and a number of microseconds
/// where it is not (stored records).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(
    // Invariant: between MIN and MAX, so that every value has a calendar date.
    i64,
);

/// A text or number that is no [`Timestamp`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an ISO 8601 date and time in UTC between the years 1 and 9999")]
pub struct InvalidTimestamp;

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: f64 = 86_400.0;

impl Timestamp {
    /// 0001-01-01T00:00:00Z.
    pub const MIN: Self = Self(-62_135_596_800 * MICROS_PER_SECOND);
    /// 9999-12-31T23:59:59.999999Z, the original's "never".
    pub const MAX: Self = Self(253_402_300_800 * MICROS_PER_SECOND - 1);

    /// `None` outside the years 1 to 9999.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Option<Self> {
        if micros < Self::MIN.0 || micros > Self::MAX.0 {
            None
        } else {
            Some(Self(micros))
        }
    }

    /// A date and time of day in UTC; `None` where the calendar has no such moment.
    #[must_use]
    pub fn from_utc(date: (i32, u8, u8), time: (u8, u8, u8), micros: u32) -> Option<Self> {
        let (year, month, day) = date;
        let (hour, minute, second) = time;
        let date = Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()?;
        let time = Time::from_hms_micro(hour, minute, second, micros).ok()?;
        let nanos = OffsetDateTime::new_utc(date, time).unix_timestamp_nanos();
        Self::from_micros(i64::try_from(nanos / 1000).ok()?)
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// `span` later, to the microsecond; [`MAX`](Self::MAX) where the calendar ends.
    #[must_use]
    pub fn plus(self, span: std::time::Duration) -> Self {
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros).min(Self::MAX.0))
    }

    /// How long after `earlier` it is; zero if it is not.
    #[must_use]
    pub fn since(self, earlier: Self) -> std::time::Duration {
        let micros = self.0.saturating_sub(earlier.0);
        std::time::Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    /// `days` earlier, to the nearest microsecond; `None` where the calendar ends.
    #[must_use]
    pub fn minus_days(self, days: f64) -> Option<Self> {
        let span = Duration::checked_seconds_f64(days * SECONDS_PER_DAY)?;
        let micros = (span.whole_nanoseconds() + 500).div_euclid(1000);
        let micros = i64::try_from(micros).ok()?;
        Self::from_micros(self.0.checked_sub(micros)?)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = i128::from(self.0) * 1000;
        let moment = OffsetDateTime::from_unix_timestamp_nanos(nanos).map_err(|_| fmt::Error)?;
        let (hour, minute, second, micros) = moment.to_hms_micro();
        let (year, month, day) = moment.to_calendar_date();
        let month = u8::from(month);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        if micros != 0 {
            write!(f, ".{micros:06}")?;
        }
        f.write_str("Z")
    }
}

/// Reads what [`Display`](fmt::Display) prints: `YYYY-MM-DDTHH:MM:SS[.ffffff]Z`.
impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        parse(text).ok_or(InvalidTimestamp)
    }
}

fn parse(text: &str) -> Option<Timestamp> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.split('-');
    let (year, month, day) = (date.next()?, date.next()?, date.next()?);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut clock = clock.split(':');
    let (hour, minute, second) = (clock.next()?, clock.next()?, clock.next()?);
    if date.next().is_some() || clock.next().is_some() || fraction.len() > 6 {
        return None;
    }
    let micros = digits(fraction)? * 10_u32.pow(6 - u32::try_from(fraction.len()).ok()?);
    Timestamp::from_utc(
        (
            i32::try_from(fixed(year, 4)?).ok()?,
            short(month)?,
            short(day)?,
        ),
        (short(hour)?, short(minute)?, short(second)?),
        micros,
    )
}

fn short(text: &str) -> Option<u8> {
    u8::try_from(fixed(text, 2)?).ok()
}

fn fixed(text: &str, len: usize) -> Option<u32> {
    (text.len() == len).then(|| digits(text))?
}

fn digits(text: &str) -> Option<u32> {
    let all_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| text.parse().ok())?
}

impl TryFrom<i64> for Timestamp {
    type Error = InvalidTimestamp;

    fn try_from(micros: i64) -> Result<Self, InvalidTimestamp> {
        Self::from_micros(micros).ok_or(InvalidTimestamp)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            text.parse().map_err(de::Error::custom)
        } else {
            Self::try_from(i64::deserialize(deserializer)?).map_err(de::Error::custom)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_gives_the_text_back() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2030-01-01T00:00:00Z",
            "2026-03-01T12:00:00.000001Z",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999Z",
        ] {
            let timestamp: Timestamp = text.parse().expect(text);
            assert_eq!(timestamp.to_string(), text);
        }
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp::MIN.to_string(), "0001-01-01T00:00:00Z");
    }

    #[test]
    fn what_is_no_moment_in_utc_is_refused() {
        for text in [
            "",
            "2030",
            "2030-02-30T00:00:00Z",
            "2030-01-01T24:00:00Z",
            "2030-01-01T00:00:00",
            "2030-01-01T00:00:00+00:00",
            "2030-01-01T00:00:00.Z",
            "2030-01-01T00:00:00.1234567Z",
            "+030-01-01T00:00:00Z",
            "2030-1-01T00:00:00Z",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(InvalidTimestamp), "{text}");
        }
    }

    #[test]
    fn days_before_the_calendar_begins_are_none() {
        let start: Timestamp = "2030-01-02T00:00:00Z".parse().unwrap();
        assert_eq!(
            start.minus_days(1.5).unwrap().to_string(),
            "2029-12-31T12:00:00Z"
        );
        assert_eq!(start.minus_days(1e9), None);
        assert_eq!(start.minus_days(f64::NAN), None);
    }
}
