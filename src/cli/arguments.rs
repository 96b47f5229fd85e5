//! Arguments that several commands take. Knows how they are written, not what they are for.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::rollout::Rate;
use crate::version::WriteVersion;

/// A span of time, written as seconds: `30`, `0.5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seconds(pub(super) Duration);

/// A limit of tasks per second, written as `5`, `5/s` or `0.5/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PerSecond(pub(super) Rate);

/// A transformer and the version that READ is to be raised to, written as `start_date@2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) transformer: String,
    pub(super) version: WriteVersion,
}

impl FromStr for Seconds {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = "not a number of seconds, such as 30 or 0.5";
        let seconds: f64 = text.parse().map_err(|_| refused)?;
        let duration = Duration::try_from_secs_f64(seconds).map_err(|_| refused)?;
        if duration > LONGEST {
            return Err("longer than a year");
        }
        Ok(Self(duration))
    }
}

/// Added to the time of day, it must not leave the calendar.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

impl FromStr for PerSecond {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_suffix("/s").unwrap_or(text);
        let rate = number.parse().ok().and_then(Rate::per_second);
        rate.map(Self)
            .ok_or("not a number of courses per second, such as 5/s or 0.5/s (0.001/s at least)")
    }
}

impl fmt::Display for PerSecond {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0.per_1000_seconds() as f64 / 1000.0)
    }
}

impl FromStr for Target {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = "not a transformer and a version, such as start_date@2";
        let (transformer, version) = text.rsplit_once('@').ok_or(refused)?;
        let version = version.parse().ok().and_then(WriteVersion::new);
        match version {
            Some(version) if !transformer.is_empty() => Ok(Self {
                transformer: transformer.to_owned(),
                version,
            }),
            _ => Err(refused),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.transformer, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: FromStr>(texts: &[&str], are_taken: bool) {
        for text in texts {
            assert_eq!(text.parse::<T>().is_ok(), are_taken, "{text:?}");
        }
    }

    #[test]
    fn arguments_are_taken_as_they_are_documented_and_nothing_else_is() {
        check::<Seconds>(&["0", "0.5", "30", "3600"], true);
        check::<Seconds>(&["", "-1", "NaN", "inf", "1e300", "ten", "30s"], false);
        check::<PerSecond>(&["5", "5/s", "0.5/s", "0.001"], true);
        check::<PerSecond>(&["", "/s", "0", "-1/s", "NaN", "inf", "5/min"], false);
        check::<Target>(&["start_date@2", "a@b@3"], true);
        check::<Target>(&["start_date", "@2", "start_date@", "t@0", "t@-1"], false);
    }

    #[test]
    fn a_limit_is_printed_as_it_is_written() {
        for text in ["5/s", "0.5/s", "0.001/s", "1000000/s"] {
            assert_eq!(text.parse::<PerSecond>().unwrap().to_string(), text);
        }
    }
}
