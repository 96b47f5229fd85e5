//! The file that says who asks, for `blocks`. Its form is a promise to those who write it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::error::Category;
use serde_json::{Map, Value};

use super::failure::Failure;
use super::output::Output;
use crate::field::{FieldMap, FieldValue};
use crate::key::UsageKey;
use crate::modulestore::{GroupId, PartitionId};
use crate::timestamp::Timestamp;
use crate::transformer::{LearnerDates, LearnerMilestones, UserContext};

/// Every field that a user may have, for `--help`.
pub(super) const FIELDS_OF_A_USER: &str = r#"
  now                                when they ask, as "2026-03-01T12:00:00Z"; the present
  is_staff                           sees what is hidden, closed or restricted
  is_beta_tester                     sees blocks days_early_for_beta days before they open
  groups                             {"50": 2, "1234567": 1}: the group in each partition;
                                     50 is the enrollment track, 51 the content gate
  denial_messages                    {"51": "Upgrade"}: what a partition says to whom it denies;
                                     what it denies stays then, marked
  content_gating_enabled             mark graded content that needs full access
  dates                              {BLOCK: {"start": …, "due": …, "end": …}}: dates of their own
  field_overrides                    {BLOCK: {"start": …, "due": …, "display_name": …}}
  selections                         {BANK: [BLOCK, …]}: what was drawn for them before
  seed                               a number that draws depend on; without it nothing is drawn
  milestones                         {"required_content": [CHAPTER, …], "pending": [BLOCK, …],
                                     "can_skip_entrance_exam": false}; unknown: no exam is passed
  include_gated_sections             show what is pending
  include_special_exams              show timed and proctored exams
  special_exam_info                  {EXAM: {…}}: what is told of their attempt
  requested_depth                    how many levels below the root
  nav_depth                          list descendants (field nav_depth) down to this level
  block_types_to_count               ["problem", "video"]: what block_counts counts
  requested_student_view_data        ["html"]: the types whose student_view_data is told
  is_on_mobile                       effort is estimated for the mobile app
  disable_effort_estimation          effort is not estimated
  allow_start_dates_in_future        start dates hide nothing in this request
  disable_start_dates                start dates hide nothing at all
  include_has_scheduled_content      tell on the root whether start dates hid something
  show_hidden_content_without_links  mark what is hidden after its due date instead of removing it
"#;

/// Who asks. Fields of the library's own type are added here only on purpose.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the names are those of `UserContext`"
)]
pub(super) struct User {
    now: Option<Timestamp>,
    is_staff: bool,
    is_beta_tester: bool,
    groups: BTreeMap<PartitionId, GroupId>,
    denial_messages: BTreeMap<PartitionId, String>,
    content_gating_enabled: bool,
    dates: BTreeMap<UsageKey, Dates>,
    field_overrides: BTreeMap<UsageKey, Map<String, Value>>,
    selections: BTreeMap<UsageKey, Vec<UsageKey>>,
    seed: Option<u64>,
    milestones: Option<Milestones>,
    include_gated_sections: bool,
    include_special_exams: bool,
    special_exam_info: BTreeMap<UsageKey, Map<String, Value>>,
    requested_depth: Option<u32>,
    nav_depth: Option<u32>,
    block_types_to_count: Vec<String>,
    requested_student_view_data: Vec<String>,
    is_on_mobile: bool,
    disable_effort_estimation: bool,
    allow_start_dates_in_future: bool,
    disable_start_dates: bool,
    include_has_scheduled_content: bool,
    show_hidden_content_without_links: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Dates {
    start: Option<Timestamp>,
    due: Option<Timestamp>,
    end: Option<Timestamp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Milestones {
    required_content: BTreeSet<UsageKey>,
    can_skip_entrance_exam: bool,
    pending: BTreeSet<UsageKey>,
}

impl User {
    /// Whom `file` describes; an anonymous visitor without one.
    pub(super) fn read(file: Option<&Path>, output: &Output) -> Result<UserContext, Failure> {
        let Some(file) = file else {
            return Self::default().into_context(present);
        };
        let text = if file == Path::new("-") {
            read_text(output.take_stdin())
        } else {
            File::open(file).and_then(read_text)
        };
        let refused = |error: &dyn std::fmt::Display| {
            Failure::usage(format!("--user {}: {error}", file.display()))
        };
        let text = text.map_err(|error| refused(&error))?;
        let user = Self::parse(&text).map_err(|error| refused(&error))?;
        user.into_context(present)
    }

    fn parse(text: &str) -> Result<Self, String> {
        // serde would take a list of values for the fields in their order.
        if !text.trim_start().starts_with('{') {
            return Err("not a JSON object".to_owned());
        }
        let user: Self = serde_json::from_str(text).map_err(|error| explain(&error))?;
        for (block, fields) in &user.field_overrides {
            for (name, value) in fields {
                if DATES.contains(&name.as_str()) && !value.is_null() && date(value).is_none() {
                    let error = format!(
                        "the {name} of {block} in field_overrides is not a date and time in UTC"
                    );
                    return Err(error);
                }
            }
        }
        Ok(user)
    }

    fn into_context(
        self,
        present: impl FnOnce() -> Result<Timestamp, Failure>,
    ) -> Result<UserContext, Failure> {
        let now = match self.now {
            Some(now) => now,
            None => present()?,
        };
        let mut user = UserContext::new(now);
        user.is_staff = self.is_staff;
        user.is_beta_tester = self.is_beta_tester;
        user.groups = self.groups;
        user.denial_messages = self.denial_messages;
        user.content_gating_enabled = self.content_gating_enabled;
        let dates = self.dates.into_iter();
        user.dates = dates.map(|(block, dates)| (block, dates.into())).collect();
        let overrides = self.field_overrides.into_iter();
        user.field_overrides = overrides
            .map(|(block, fields)| (block, with_dates(fields)))
            .collect();
        user.selections = self.selections;
        user.seed = self.seed;
        user.milestones = self.milestones.map(Into::into);
        user.include_gated_sections = self.include_gated_sections;
        user.include_special_exams = self.include_special_exams;
        let infos = self.special_exam_info.into_iter();
        user.special_exam_info = infos
            .map(|(block, info)| (block, as_it_is(&info)))
            .collect();
        user.requested_depth = self.requested_depth;
        user.nav_depth = self.nav_depth;
        user.block_types_to_count = self.block_types_to_count;
        user.requested_student_view_data = self.requested_student_view_data;
        user.is_on_mobile = self.is_on_mobile;
        user.disable_effort_estimation = self.disable_effort_estimation;
        user.allow_start_dates_in_future = self.allow_start_dates_in_future;
        user.disable_start_dates = self.disable_start_dates;
        user.include_has_scheduled_content = self.include_has_scheduled_content;
        user.show_hidden_content_without_links = self.show_hidden_content_without_links;
        Ok(user)
    }
}

impl From<Dates> for LearnerDates {
    fn from(dates: Dates) -> Self {
        Self {
            start: dates.start,
            due: dates.due,
            end: dates.end,
        }
    }
}

impl From<Milestones> for LearnerMilestones {
    fn from(milestones: Milestones) -> Self {
        Self {
            required_content: milestones.required_content,
            can_skip_entrance_exam: milestones.can_skip_entrance_exam,
            pending: milestones.pending,
        }
    }
}

/// The longest description of a user, in bytes: dates of their own for 100,000 blocks.
const MAX_BYTES: u64 = 16 << 20;

fn read_text(from: impl Read) -> io::Result<String> {
    let mut text = String::new();
    let read = from.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if read as u64 > MAX_BYTES {
        return Err(io::Error::other(format!(
            "it is longer than {MAX_BYTES} bytes"
        )));
    }
    Ok(text)
}

/// The file may be one that was named by mistake, so nothing that it holds is told.
fn explain(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        Category::Data => format!(
            "line {line}, column {column}: there is no such field, or no such value for it; \
             `blocks --help` names them all"
        ),
        Category::Io | Category::Syntax | Category::Eof => {
            format!("line {line}, column {column}: not JSON")
        }
    }
}

/// The overridden fields that are dates, which JSON does not tell from other text.
const DATES: [&str; 2] = ["start", "due"];

fn with_dates(fields: Map<String, Value>) -> FieldMap {
    let value = |name: &str, value: &Value| match date(value) {
        Some(date) if DATES.contains(&name) => FieldValue::Date(date),
        _ => value.into(),
    };
    let fields = fields.into_iter();
    fields
        .map(|(name, json)| {
            let value = value(&name, &json);
            (name, value)
        })
        .collect()
}

fn as_it_is(fields: &Map<String, Value>) -> FieldMap {
    let fields = fields.iter();
    fields
        .map(|(name, value)| (name.clone(), value.into()))
        .collect()
}

fn date(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

fn present() -> Result<Timestamp, Failure> {
    let since_1970 = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok();
    let micros = since_1970.and_then(|time| i64::try_from(time.as_micros()).ok());
    micros
        .and_then(Timestamp::from_micros)
        .ok_or_else(|| Failure::no("the clock is beyond the calendar; name a time with --user"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(json: &str) -> UserContext {
        let user = User::parse(json).unwrap();
        user.into_context(|| Ok(Timestamp::MIN)).unwrap()
    }

    /// Every field stands for another value than it has without being named.
    const EVERYTHING: &str = r#"{
        "now": "2026-03-01T12:00:00Z",
        "is_staff": true,
        "is_beta_tester": true,
        "groups": {"50": 2},
        "denial_messages": {"51": "Upgrade"},
        "content_gating_enabled": true,
        "dates": {"block-v1:O+C+R+type@html+block@a": {"due": "2026-03-02T00:00:00Z"}},
        "field_overrides": {"block-v1:O+C+R+type@html+block@a": {
            "start": "2026-03-03T00:00:00Z", "due": null, "display_name": "2026-03-03T00:00:00Z"}},
        "selections": {"block-v1:O+C+R+type@itembank+block@b": ["block-v1:O+C+R+type@html+block@a"]},
        "seed": 7,
        "milestones": {"required_content": ["block-v1:O+C+R+type@chapter+block@c"],
            "can_skip_entrance_exam": true, "pending": ["block-v1:O+C+R+type@html+block@a"]},
        "include_gated_sections": true,
        "include_special_exams": true,
        "special_exam_info": {"block-v1:O+C+R+type@sequential+block@s": {"status": "started"}},
        "requested_depth": 3,
        "nav_depth": 2,
        "block_types_to_count": ["video"],
        "requested_student_view_data": ["html"],
        "is_on_mobile": true,
        "disable_effort_estimation": true,
        "allow_start_dates_in_future": true,
        "disable_start_dates": true,
        "include_has_scheduled_content": true,
        "show_hidden_content_without_links": true
    }"#;

    #[test]
    fn everything_that_a_transformer_may_ask_can_be_said_of_a_user() {
        let user = context(EVERYTHING);
        let key = |key: &str| key.parse::<UsageKey>().unwrap();
        let block = key("block-v1:O+C+R+type@html+block@a");
        let date = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(user.now, date("2026-03-01T12:00:00Z"));
        let group = user.groups[&PartitionId::ENROLLMENT_TRACK];
        assert_eq!(group, GroupId::new(2));
        assert_eq!(user.denial_messages[&PartitionId::CONTENT_GATE], "Upgrade");
        assert_eq!(user.dates[&block].due, Some(date("2026-03-02T00:00:00Z")));
        assert_eq!(user.dates[&block].start, None);
        let overrides = &user.field_overrides[&block];
        let start = FieldValue::Date(date("2026-03-03T00:00:00Z"));
        assert_eq!(overrides["start"], start);
        assert_eq!(overrides["due"], FieldValue::Null);
        assert!(overrides["display_name"].as_str().is_some());
        let bank = key("block-v1:O+C+R+type@itembank+block@b");
        assert_eq!(user.selections[&bank], std::slice::from_ref(&block));
        let milestones = user.milestones.as_ref().unwrap();
        assert!(milestones.pending.contains(&block) && milestones.can_skip_entrance_exam);
        assert_eq!(milestones.required_content.len(), 1);
        let exam = key("block-v1:O+C+R+type@sequential+block@s");
        let status = &user.special_exam_info[&exam]["status"];
        assert_eq!(status.as_str(), Some("started"));
        assert_eq!(
            (user.seed, user.requested_depth, user.nav_depth),
            (Some(7), Some(3), Some(2))
        );
        assert_eq!(user.block_types_to_count, ["video"]);
        assert_eq!(user.requested_student_view_data, ["html"]);
        let flags = [
            user.is_staff,
            user.is_beta_tester,
            user.content_gating_enabled,
            user.include_gated_sections,
            user.include_special_exams,
            user.is_on_mobile,
            user.disable_effort_estimation,
            user.allow_start_dates_in_future,
            user.disable_start_dates,
            user.include_has_scheduled_content,
            user.show_hidden_content_without_links,
        ];
        assert_eq!(flags, [true; 11]);
    }

    #[test]
    fn the_help_names_every_field() {
        let fields: Map<String, Value> = serde_json::from_str(EVERYTHING).unwrap();
        for name in fields.keys() {
            let line = format!("\n  {name} ");
            assert!(
                FIELDS_OF_A_USER.contains(&line),
                "{name} is not in the help"
            );
        }
        let lines = FIELDS_OF_A_USER.lines();
        let named = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        assert_eq!(named.count(), fields.len());
    }

    #[test]
    fn who_is_not_described_is_nobody_in_particular() {
        let user = context("{}");
        assert_eq!(user.now, Timestamp::MIN);
        assert!(!user.is_staff && user.groups.is_empty() && user.milestones.is_none());
    }

    #[test]
    fn a_description_is_as_long_as_the_limit() {
        let read = |bytes: u64| read_text(io::repeat(b' ').take(bytes));
        assert_eq!(read(MAX_BYTES).unwrap().len() as u64, MAX_BYTES);
        let error = read(MAX_BYTES + 1).unwrap_err();
        assert!(error.to_string().contains("16777216"), "{error}");
        assert!(read_text(io::repeat(0)).is_err());
    }

    #[test]
    fn what_a_file_holds_that_is_no_user_is_not_told() {
        for text in [
            r#"{"secret": 1}"#,
            r#"{"now": "secret"}"#,
            r#"{"groups": "secret"}"#,
            r#"{"groups": {"secret": 1}}"#,
            r#"{"dates": {"secret": {}}}"#,
            r#"{"seed": "secret"}"#,
            r"{secret",
            "secret",
            r#"{"field_overrides": {"block-v1:O+C+R+type@html+block@a": {"due": "secret"}}}"#,
        ] {
            let error = User::parse(text).map(|_| ()).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
        let deep = format!(r#"{{"special_exam_info": {}"#, "[".repeat(100_000));
        assert!(User::parse(&deep).is_err());
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for wrong in [
            r#"{"isstaff": true}"#,
            r#"{"now": "yesterday"}"#,
            r#"{"groups": {"verified": 2}}"#,
            r#"{"groups": {"50": "verified"}}"#,
            r#"{"selections": {"not a key": []}}"#,
            r#"{"dates": {"block-v1:O+C+R+type@html+block@a": {"begin": null}}}"#,
            r#"{"milestones": {"passed": []}}"#,
            r#"{"field_overrides": {"block-v1:O+C+R+type@html+block@a": {"due": "soon"}}}"#,
            "[]",
            "",
        ] {
            assert!(User::parse(wrong).is_err(), "{wrong}");
        }
    }
}
