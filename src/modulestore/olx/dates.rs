//! Dates and spans of time as authors of courses write them. Knows neither fields nor JSON.

use crate::timestamp::Timestamp;

/// A text that no calendar explains, or only with a guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotADate;

/// A date and time: ISO 8601 (`2015-07-17T12:00`, `2015-01-01 00:00:00+02:00`, `20150717`) or
/// English in any order (`June 17, 2013`, `Dec 20 23:00 EST 2012`).
///
/// `None` is a text that has no day or no month: the original reads it as no date. Without a zone
/// the time is UTC, and so it is in any zone that is a word, as in the original.
///
/// The original also guesses at `12/20/2012`, and fills in a missing year from the clock of the
/// machine. Those are refused: the same course would mean something else tomorrow, or abroad.
pub(super) fn date(text: &str) -> Result<Option<Timestamp>, NotADate> {
    let text = text.trim();
    let (mut found, mut rest) = iso_date(text).unwrap_or_else(|| (Found::default(), text));
    while !rest.is_empty() {
        rest = found.take_word(rest).ok_or(NotADate)?.trim_start();
    }
    found.finish()
}

/// `[D day(s)] [H hour(s)] [M minute(s)] [S second(s)]` in seconds. An empty text is zero, and a
/// text of any other shape is nothing, as in the original.
///
/// # Errors
/// A span that the original could not hold: a billion days or more.
pub(super) fn timedelta(text: &str) -> Result<Option<i64>, NotADate> {
    const UNITS: [(&str, i64); 4] = [
        (" day", 86_400),
        (" hour", 3_600),
        (" minute", 60),
        (" second", 1),
    ];
    let mut rest = text;
    let mut total = Some(0_i64);
    for (position, (unit, seconds)) in UNITS.into_iter().enumerate() {
        if position > 0 {
            rest = rest.strip_prefix(char::is_whitespace).unwrap_or(rest);
        }
        let (count, after) = split_digits(rest);
        if let Some(after) = after.strip_prefix(unit)
            && !count.is_empty()
        {
            let span = count
                .parse()
                .ok()
                .and_then(|count: i64| count.checked_mul(seconds));
            total = total
                .zip(span)
                .and_then(|(sum, span)| sum.checked_add(span));
            rest = after.strip_prefix('s').unwrap_or(after);
        }
    }
    if !matches!(rest, "" | "\n") {
        return Ok(None);
    }
    total
        .filter(|seconds| *seconds < 1_000_000_000 * 86_400)
        .map(Some)
        .ok_or(NotADate)
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

const WEEKDAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

/// What was read of a date so far. A part that is read twice is a contradiction.
#[derive(Default)]
struct Found {
    year: Option<i32>,
    month: Option<u8>,
    day: Option<u8>,
    clock: Option<Clock>,
    half: Option<Half>,
    // Seconds east of UTC; a zone that is a word counts as UTC.
    zone: Option<i64>,
    weekday: Option<()>,
}

struct Clock {
    time: (u8, u8, u8),
    micros: u32,
}

#[derive(Clone, Copy)]
enum Half {
    Am,
    Pm,
}

impl Found {
    /// Takes one word off the text.
    fn take_word<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            return self.take_number(text);
        }
        if let Some(unsigned) = text.strip_prefix(['+', '-']) {
            let (offset, rest) = offset(unsigned)?;
            let east = if text.starts_with('-') {
                -offset
            } else {
                offset
            };
            self.clock.as_ref()?;
            return set(&mut self.zone, east, rest);
        }
        let end = text
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(text.len());
        let (word, rest) = text.split_at_checked(end)?;
        let rest = rest.strip_prefix(['.', ',']).unwrap_or(rest);
        let lower = word.to_ascii_lowercase();
        if let Some(month) = position(&MONTHS, &lower) {
            return set(&mut self.month, month + 1, rest);
        }
        if position(&WEEKDAYS, &lower).is_some() {
            return set(&mut self.weekday, (), rest);
        }
        match lower.as_str() {
            "am" => set(&mut self.half, Half::Am, rest),
            "pm" => set(&mut self.half, Half::Pm, rest),
            _ if self.clock.is_some() && is_zone(word) => set(&mut self.zone, 0, rest),
            _ => None,
        }
    }

    /// A clock, a year, or a day.
    fn take_number<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        if let Some((clock, rest)) = clock(text) {
            return set(&mut self.clock, clock, rest);
        }
        let (number, rest) = split_digits(text);
        let rest = match number.len() {
            4 => set(&mut self.year, number.parse().ok()?, rest)?,
            1 | 2 => {
                let rest = ["st", "nd", "rd", "th"]
                    .into_iter()
                    .find_map(|ending| rest.strip_prefix(ending))
                    .unwrap_or(rest);
                set(&mut self.day, number.parse().ok()?, rest)?
            }
            _ => return None,
        };
        let rest = rest.strip_prefix(',').unwrap_or(rest);
        // `17/6/2013` and `17-June` are no words that stand apart.
        (rest.is_empty() || rest.starts_with(char::is_whitespace)).then_some(rest)
    }

    fn finish(self) -> Result<Option<Timestamp>, NotADate> {
        let (Some(month), Some(day)) = (self.month, self.day) else {
            // Anything else but a weekday or a half of the day.
            let has_day = self.day.is_some() || self.month.is_some() || self.year.is_some();
            return if has_day || self.clock.is_some() {
                Ok(None)
            } else {
                Err(NotADate)
            };
        };
        let year = self.year.ok_or(NotADate)?;
        let clock = self.clock.unwrap_or(Clock {
            time: (0, 0, 0),
            micros: 0,
        });
        let (hour, minute, second) = clock.time;
        let hour = match (self.half, hour) {
            (Some(Half::Am), 12) => 0,
            (Some(Half::Pm), 1..=11) => hour + 12,
            (None, _) | (Some(Half::Am), 1..=11) | (Some(Half::Pm), 12) => hour,
            (Some(_), _) => return Err(NotADate),
        };
        let local = Timestamp::from_utc((year, month, day), (hour, minute, second), clock.micros);
        let east = self.zone.unwrap_or(0) * 1_000_000;
        local
            .and_then(|local| Timestamp::from_micros(local.as_micros().checked_sub(east)?))
            .map(Some)
            .ok_or(NotADate)
    }
}

/// `YYYY-MM-DD`, `YYYY-MM` or `YYYYMMDD` before a `T`, a space or the end of the text.
fn iso_date(text: &str) -> Option<(Found, &str)> {
    let two = |text: &str| (1..=2).contains(&text.len()).then(|| text.parse().ok())?;
    let (number, rest) = split_digits(text);
    let (year, month, day, rest) = match (number.len(), rest.strip_prefix('-')) {
        (8, None) => {
            let (year, month_and_day) = number.split_at_checked(4)?;
            let (month, day) = month_and_day.split_at_checked(2)?;
            (year, month, Some(two(day)?), rest)
        }
        (4, Some(rest)) => {
            let (month, rest) = split_digits(rest);
            match rest.strip_prefix('-').map(split_digits) {
                Some((day, rest)) => (number, month, Some(two(day)?), rest),
                None => (number, month, None, rest),
            }
        }
        _ => return None,
    };
    let found = Found {
        year: Some(year.parse().ok()?),
        month: Some(two(month)?),
        day,
        ..Found::default()
    };
    let time = rest.strip_prefix(['T', 't', ' ']);
    let time = time.or_else(|| rest.is_empty().then_some(rest))?;
    Some((found, time.trim_start()))
}

/// `HH:MM[:SS[.ffffff]]`.
fn clock(text: &str) -> Option<(Clock, &str)> {
    let (hour, rest) = split_digits(text);
    let (minute, rest) = split_digits(rest.strip_prefix(':')?);
    let (second, rest) = rest.strip_prefix(':').map_or(("0", rest), split_digits);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => split_digits(rest),
        None => ("0", rest),
    };
    if fraction.is_empty() {
        return None;
    }
    let two = |text: &str| (1..=2).contains(&text.len()).then(|| text.parse().ok())?;
    let micros: String = fraction.chars().chain("000000".chars()).take(6).collect();
    let clock = Clock {
        time: (two(hour)?, two(minute)?, two(second)?),
        micros: micros.parse().ok()?,
    };
    Some((clock, rest))
}

/// `HH`, `HHMM` or `HH:MM` in seconds.
fn offset(text: &str) -> Option<(i64, &str)> {
    let (digits, rest) = split_digits(text);
    let (hours, minutes, rest) = match (digits.len(), rest.strip_prefix(':')) {
        (2, Some(rest)) => {
            let (minutes, rest) = split_digits(rest);
            (digits, minutes, rest)
        }
        (2, None) => (digits, "00", rest),
        (4, None) => {
            let (hours, minutes) = digits.split_at_checked(2)?;
            (hours, minutes, rest)
        }
        _ => return None,
    };
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some((hours * 3_600 + minutes * 60, rest))
}

/// A zone that is a word: `Z`, or three to five capitals as in `EST`.
fn is_zone(word: &str) -> bool {
    let is_upper = word.bytes().all(|byte| byte.is_ascii_uppercase());
    matches!(word, "Z" | "z") || (is_upper && (3..=5).contains(&word.len()))
}

/// The place of a name that is written in full or with its first three letters.
fn position(names: &[&str], word: &str) -> Option<u8> {
    let matches = |name: &&str| {
        *name == word || name.get(..3) == Some(word) || (word == "sept" && *name == "september")
    };
    u8::try_from(names.iter().position(matches)?).ok()
}

fn set<'a, T>(part: &mut Option<T>, value: T, rest: &'a str) -> Option<&'a str> {
    part.replace(value).is_none().then_some(rest)
}

fn split_digits(text: &str) -> (&str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at_checked(digits).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let moment = date(text).map(|moment| moment.map(|moment| moment.to_string()));
        assert_eq!(moment, Ok(Some(expected.to_owned())), "{text}");
    }

    #[test]
    fn dates_of_real_courses_are_read() {
        check("2015-07-17T12:00", "2015-07-17T12:00:00Z");
        check("2015-01-01T00:00:00+00:00", "2015-01-01T00:00:00Z");
        check("Dec 20 23:00 EST 2012", "2012-12-20T23:00:00Z");
        check("2020-06-10T00:00:00Z", "2020-06-10T00:00:00Z");
        check("June 17, 2013", "2013-06-17T00:00:00Z");
        check("February 27 2013", "2013-02-27T00:00:00Z");
        check("2012-12-12", "2012-12-12T00:00:00Z");
    }

    #[test]
    fn iso_dates_come_in_many_forms() {
        check("2015-01-02T03:04:05.678901Z", "2015-01-02T03:04:05.678901Z");
        check("2015-01-02T03:04:05.6Z", "2015-01-02T03:04:05.600000Z");
        check(
            "2015-01-02T03:04:05.67890123",
            "2015-01-02T03:04:05.678901Z",
        );
        check("2015-01-02 03:04", "2015-01-02T03:04:00Z");
        check("2015-1-2 3:04", "2015-01-02T03:04:00Z");
        check("2015-01-02T03:04:05+02:30", "2015-01-02T00:34:05Z");
        check("2015-01-02T03:04:05-0500", "2015-01-02T08:04:05Z");
        check("2015-01-02T03:04 +01", "2015-01-02T02:04:00Z");
        check("2015-01-02T03:04:05 UTC", "2015-01-02T03:04:05Z");
        check("20150102", "2015-01-02T00:00:00Z");
        check(" 2015-01-02 ", "2015-01-02T00:00:00Z");
        check("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z");
    }

    #[test]
    fn english_dates_come_in_any_order() {
        for text in [
            "June 17, 2013",
            "Jun 17 2013",
            "17 June 2013",
            "june 17th, 2013",
            "Jun. 17, 2013",
            "2013 June 17",
            "Monday, June 17, 2013",
            "Mon Jun 17 00:00:00 UTC 2013",
        ] {
            check(text, "2013-06-17T00:00:00Z");
        }
        check("Sept 1 2013 3:05 pm", "2013-09-01T15:05:00Z");
        check("Sep 1 2013 12:05 AM", "2013-09-01T00:05:00Z");
        check("Sep 1 2013 12:05PM", "2013-09-01T12:05:00Z");
        check("May 5 2013 10:00 GMT", "2013-05-05T10:00:00Z");
        check("May 5 2013 10:00 -0400", "2013-05-05T14:00:00Z");
    }

    #[test]
    fn a_text_without_month_or_day_is_no_date() {
        for text in ["2013", "2013-05", "March 2013", "10:30", "2013 10:30", "5"] {
            assert_eq!(date(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn a_text_that_needs_a_guess_is_refused() {
        for text in [
            "",
            "tomorrow",
            "12/20/2012",
            "17/6/2013",
            "March 14",
            "2013-02-30",
            "2013-13-01",
            "2013-01-01T25:00",
            "2013-01-01T10:60",
            "June 17 2013 2014",
            "June July 17 2013",
            "June 17 2013 13:00 pm",
            "June 17 2013 EST",
            "2013-01-01T10:00+25:00",
            "0000-01-01",
            "0001-01-01T00:00+01:00",
            "2013-01-01X10:00",
            "2013-01-01T10:00 nonsense",
            "Monday",
            "é",
            "2013-01-01T10:00:00.",
            "2013-01-01-01",
            "١٢ June 2013",
            "-",
            "+01:00",
        ] {
            assert_eq!(date(text), Err(NotADate), "{text}");
        }
    }

    #[test]
    fn spans_of_time_are_units_in_their_order() {
        #[track_caller]
        fn check(text: &str, expected: Option<i64>) {
            assert_eq!(timedelta(text), Ok(expected), "{text}");
        }
        check("", Some(0));
        check("18000 seconds", Some(18_000));
        check("0 day 5 hours 5 minutes 0 seconds", Some(18_300));
        check("2 days", Some(172_800));
        check("1 day 1 second", Some(86_401));
        check("1 hour 30 minutes", Some(5_400));
        check("1 day\n", Some(86_400));
        check("5", None);
        check("5 weeks", None);
        check("5 hours 1 day", None);
        check("1 day   1 second", Some(86_401));
        check("1 day    1 second", None);
        check(" 1 day", None);
        check("5hours", None);
        check("-5 hours", None);
        assert_eq!(timedelta("999999999 days"), Ok(Some(86_399_999_913_600)));
        assert_eq!(timedelta("1000000000 days"), Err(NotADate));
        assert_eq!(timedelta("99999999999999999999 days"), Err(NotADate));
        assert_eq!(timedelta("9223372036854775807 days"), Err(NotADate));
    }
}
