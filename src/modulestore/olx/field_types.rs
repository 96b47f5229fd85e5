//! Which names are fields of which block type, what they hold, and how the reader treats a type.
//! Tables only: knows neither values nor files.
//!
//! The facts are those of the platform's own importer; a test compares them with the list that
//! comes with the real courses.

use FieldType::{
    Boolean, Date, Dict, Float, GroupAccessDict, Integer, List, Randomization, ReferenceValueDict,
    String, Timedelta, UserPartitionList,
};

/// What a field holds, after the field classes of the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldType {
    Boolean,
    Date,
    Dict,
    Float,
    GroupAccessDict,
    Integer,
    List,
    Randomization,
    ReferenceValueDict,
    String,
    Timedelta,
    UserPartitionList,
}

type Table = &'static [(&'static str, FieldType)];

/// The type of a field; `None` for a name that is no field of the block type.
pub(super) fn field_type(block_type: &str, name: &str) -> Option<FieldType> {
    own_tables(block_type)
        .iter()
        .chain(&[COMMON])
        .find_map(|table| {
            let found = table
                .binary_search_by_key(&name, |(field, _)| *field)
                .ok()?;
            table.get(found).map(|(_, field_type)| *field_type)
        })
}

/// Whether an attribute of this name is never a field, whatever the block type.
pub(super) fn is_never_a_field(name: &str) -> bool {
    NEVER_FIELDS.binary_search(&name).is_ok()
}

/// Whether the original knows the name as a field that this reader leaves out: it describes pages
/// of the course, or media, and nothing that a block structure is collected from.
pub(super) fn is_left_out(block_type: &str, name: &str) -> bool {
    block_type == "course"
        && matches!(
            name,
            "discussion_topics" | "license" | "textbooks" | "wiki_slug"
        )
}

/// Whether every child element of this type is a block.
pub(super) fn is_container(block_type: &str) -> bool {
    CONTAINERS.binary_search(&block_type).is_ok()
}

/// Whether children without the field get it from their parents.
///
/// `user_partitions` is inheritable in the original, and `hide_from_toc` since 2024. Partitions
/// belong to the course and are read there; the expected structures list neither as inherited.
pub(super) fn is_inherited(name: &str) -> bool {
    name != "user_partitions" && INHERITABLE.binary_search(&name).is_ok()
}

/// Whether a pointer with this tag is broken when its file is missing. Any other bare tag without
/// a file is a block without fields.
pub(super) fn needs_a_file(tag: &str) -> bool {
    POINTER_NEEDS_A_FILE.binary_search(&tag).is_ok()
}

/// Whether a second definition with this tag and the same name is another block.
pub(super) fn is_unique(tag: &str) -> bool {
    UNIQUE_PER_TYPE.binary_search(&tag).is_ok()
}

/// The name by which the original came to know a field that was once called `name`.
pub(super) fn current_name<'a>(block_type: &str, name: &'a str) -> &'a str {
    match (block_type, name) {
        (_, "slug") => "url_name",
        (_, "name") => "display_name",
        ("problem", "attempts") => "max_attempts",
        ("discussion", "id") => "discussion_id",
        ("discussion", "for") => "discussion_target",
        (_, name) => name,
    }
}

fn own_tables(block_type: &str) -> &'static [Table] {
    match block_type {
        "course" => &[COURSE, EXAM],
        "discussion" => &[&[
            ("discussion_category", String),
            ("discussion_id", String),
            ("discussion_target", String),
            ("sort_key", String),
        ]],
        "html" => &[&[("editor", String), ("source_code", String)]],
        "itembank" => &[&[("display_name", String), ("max_count", Integer)]],
        "library" => &[&[("advanced_modules", List)]],
        "library_content" => &[&[
            ("capa_type", String),
            ("max_count", Integer),
            ("mode", String),
            ("source_library_id", String),
            ("source_library_version", String),
        ]],
        "lti" => &[&[
            ("accept_grades_past_due", Boolean),
            ("ask_to_send_email", Boolean),
            ("ask_to_send_username", Boolean),
            ("button_text", String),
            ("custom_parameters", List),
            ("description", String),
            ("has_score", Boolean),
            ("hide_launch", Boolean),
            ("launch_url", String),
            ("lti_id", String),
            ("open_in_a_new_page", Boolean),
            ("weight", Float),
        ]],
        "poll_question" => &[&[("answers", List), ("question", String)]],
        "problem" => &[&[
            ("force_save_button", Boolean),
            ("markdown", String),
            ("rerandomize", Randomization),
            ("source_code", String),
            ("submission_wait_seconds", Integer),
            ("weight", Float),
        ]],
        "sequential" => &[&[("is_onboarding_exam", Boolean)], EXAM],
        "split_test" => &[
            &[
                ("group_id_to_child", ReferenceValueDict),
                ("user_partition_id", Integer),
            ],
            EXAM,
        ],
        "vertical" => &[&[
            ("discussion_enabled", Boolean),
            ("hide_after_due", Boolean),
            ("is_entrance_exam", Boolean),
        ]],
        "video" => &[&[
            ("edx_video_id", String),
            ("only_on_web", Boolean),
            ("show_captions", Boolean),
        ]],
        "word_cloud" => &[&[
            ("display_student_percents", Boolean),
            ("instructions", String),
            ("num_inputs", Integer),
            ("num_top_words", Integer),
        ]],
        "chapter" | "conditional" | "problemset" | "randomize" | "videosequence" => &[EXAM],
        _ => &[],
    }
}

/// What only a course has.
const COURSE: Table = &[
    ("advanced_modules", List),
    ("advertised_start", String),
    ("allow_anonymous", Boolean),
    ("allow_anonymous_to_peers", Boolean),
    ("allow_proctoring_opt_out", Boolean),
    ("allow_public_wiki_access", Boolean),
    ("allow_unsupported_xblocks", Boolean),
    ("announcement", Date),
    ("banner_image", String),
    ("catalog_visibility", String),
    ("ccx_connector", String),
    ("cert_html_view_enabled", Boolean),
    ("cert_html_view_overrides", Dict),
    ("cert_name_long", String),
    ("cert_name_short", String),
    ("certificates", Dict),
    ("certificates_display_behavior", String),
    ("certificates_show_before_end", Boolean),
    ("cohort_config", Dict),
    ("cosmetic_display_price", Integer),
    ("course_image", String),
    ("course_survey_name", String),
    ("course_survey_required", Boolean),
    ("create_zendesk_tickets", Boolean),
    ("css_class", String),
    ("disable_progress_graph", Boolean),
    ("discussion_blackouts", List),
    ("discussion_link", String),
    ("discussion_sort_alpha", Boolean),
    ("display_coursenumber", String),
    ("display_organization", String),
    ("due_date_display_format", String),
    ("editor", String),
    ("enable_ccx", Boolean),
    ("enable_proctored_exams", Boolean),
    ("enable_subsection_gating", Boolean),
    ("enable_timed_exams", Boolean),
    ("end", Date),
    ("end_of_course_survey_url", String),
    ("enrollment_domain", String),
    ("enrollment_end", Date),
    ("enrollment_start", Date),
    ("entrance_exam_enabled", Boolean),
    ("entrance_exam_id", String),
    ("entrance_exam_minimum_score_pct", Float),
    ("hide_progress_tab", Boolean),
    ("html_textbooks", List),
    ("info_sidebar_name", String),
    ("instructor_info", Dict),
    ("invitation_only", Boolean),
    ("is_new", Boolean),
    ("issue_badges", Boolean),
    ("language", String),
    ("learning_info", List),
    ("lti_passports", List),
    ("max_student_enrollments_allowed", Integer),
    ("minimum_grade_credit", Float),
    ("mobile_available", Boolean),
    ("pdf_textbooks", List),
    ("pre_requisite_courses", List),
    ("remote_gradebook", Dict),
    ("show_calculator", Boolean),
    ("show_timezone", Boolean),
    ("social_sharing_url", String),
    ("teams_configuration", Dict),
    ("video_thumbnail_image", String),
    ("video_upload_pipeline", Dict),
];

/// What containers got from timed and entrance exams.
const EXAM: Table = &[
    ("default_time_limit_minutes", Integer),
    ("exam_review_rules", String),
    ("hide_after_due", Boolean),
    ("is_entrance_exam", Boolean),
    ("is_practice_exam", Boolean),
    ("is_proctored_enabled", Boolean),
    ("is_time_limited", Boolean),
];

/// Fields of every block type.
const COMMON: Table = &[
    ("chrome", String),
    ("course_edit_method", String),
    ("days_early_for_beta", Float),
    ("default_tab", String),
    ("display_name", String),
    ("due", Date),
    ("edxnotes", Boolean),
    ("format", String),
    ("giturl", String),
    ("graceperiod", Timedelta),
    ("graded", Boolean),
    ("group_access", GroupAccessDict),
    ("hide_from_toc", Boolean),
    ("in_entrance_exam", Boolean),
    ("matlab_api_key", String),
    ("max_attempts", Integer),
    ("relative_weeks_due", Integer),
    ("rerandomize", String),
    ("self_paced", Boolean),
    ("show_correctness", String),
    ("show_reset_button", Boolean),
    ("showanswer", String),
    ("source_file", String),
    ("start", Date),
    ("static_asset_path", String),
    ("use_latex_compiler", Boolean),
    ("user_partitions", UserPartitionList),
    ("video_auto_advance", Boolean),
    ("video_bumper", Dict),
    ("video_speed_optimizations", Boolean),
    ("visible_to_staff_only", Boolean),
    ("xqa_key", String),
];

/// Names that import and export use for themselves.
const NEVER_FIELDS: &[&str] = &[
    "course",
    "data_dir",
    "discussion_blackouts",
    "filename",
    "grading_policy",
    "org",
    "slug",
    "tabs",
    "url_name",
    "x-is-pointer-node",
    "xblock-family",
    "xml_attributes",
];

/// Types whose child elements are blocks.
const CONTAINERS: &[&str] = &[
    "chapter",
    "conditional",
    "course",
    "itembank",
    "library",
    "library_content",
    "problemset",
    "randomize",
    "sequential",
    "split_test",
    "unit",
    "vertical",
    "videosequence",
    "wrapper",
];

/// Fields that children get from their parents.
const INHERITABLE: &[&str] = &[
    "course_edit_method",
    "days_early_for_beta",
    "due",
    "edxnotes",
    "giturl",
    "graceperiod",
    "graded",
    "group_access",
    "in_entrance_exam",
    "matlab_api_key",
    "max_attempts",
    "relative_weeks_due",
    "rerandomize",
    "self_paced",
    "show_correctness",
    "show_reset_button",
    "showanswer",
    "start",
    "static_asset_path",
    "use_latex_compiler",
    "user_partitions",
    "video_auto_advance",
    "video_bumper",
    "video_speed_optimizations",
    "visible_to_staff_only",
    "xqa_key",
];

/// Tags that are nothing without their file.
const POINTER_NEEDS_A_FILE: &[&str] = &[
    "annotatable",
    "book",
    "chapter",
    "conditional",
    "course",
    "custom_tag_template",
    "customtag",
    "discuss",
    "error",
    "hidden",
    "html",
    "image",
    "imageannotation",
    "itembank",
    "library_content",
    "lti",
    "poll_question",
    "problem",
    "problemset",
    "randomize",
    "raw",
    "sequential",
    "slides",
    "split_test",
    "textannotation",
    "vertical",
    "video",
    "videoalpha",
    "videoannotation",
    "videodev",
    "videosequence",
    "word_cloud",
];

/// Tags whose blocks hold state of learners by name.
const UNIQUE_PER_TYPE: &[&str] = &[
    "chapter",
    "course",
    "poll_question",
    "problem",
    "sequential",
    "vertical",
    "video",
    "videosequence",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use serde_json::Value;

    use super::*;

    #[test]
    fn tables_are_sorted_so_that_they_can_be_searched() {
        for block_type in BLOCK_TYPES {
            for table in own_tables(block_type).iter().chain(&[COMMON]) {
                assert!(table.is_sorted_by(|a, b| a.0 < b.0), "{block_type}");
            }
        }
        for names in [
            NEVER_FIELDS,
            CONTAINERS,
            INHERITABLE,
            POINTER_NEEDS_A_FILE,
            UNIQUE_PER_TYPE,
        ] {
            assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
        }
    }

    #[test]
    fn a_field_of_the_type_comes_before_one_of_every_type() {
        assert_eq!(field_type("problem", "rerandomize"), Some(Randomization));
        assert_eq!(field_type("vertical", "rerandomize"), Some(String));
        assert_eq!(field_type("pdf", "due"), Some(Date));
        assert_eq!(field_type("pdf", "weight"), None);
    }

    /// Types with a table of their own, so that the comparison below can miss none.
    const BLOCK_TYPES: &[&str] = &[
        "chapter",
        "conditional",
        "course",
        "discussion",
        "html",
        "itembank",
        "library",
        "library_content",
        "lti",
        "poll_question",
        "problem",
        "problemset",
        "randomize",
        "sequential",
        "split_test",
        "vertical",
        "video",
        "videosequence",
        "word_cloud",
    ];

    #[test]
    fn the_tables_are_those_that_come_with_the_real_courses() {
        let folder = std::env::var("COURSEBLOCKS_COURSES");
        let folder = folder.unwrap_or_else(|_| {
            concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/courses").to_owned()
        });
        let Ok(json) = std::fs::read_to_string(Path::new(&folder).join("field_types.json")) else {
            return;
        };
        let theirs: Value = serde_json::from_str(&json).unwrap();
        let table = |fields: &Value| -> BTreeMap<_, _> {
            let fields = fields.as_object().unwrap().iter();
            fields
                .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                .collect()
        };
        let ours = |tables: &[Table]| -> BTreeMap<_, _> {
            let fields = tables.iter().copied().flatten();
            fields
                .map(|(name, value)| ((*name).to_owned(), format!("{value:?}")))
                .collect()
        };
        assert_eq!(ours(&[COMMON]), table(&theirs["common"]));
        for (block_type, fields) in theirs["by_type"].as_object().unwrap() {
            assert_eq!(ours(own_tables(block_type)), table(fields), "{block_type}");
        }
        for block_type in BLOCK_TYPES {
            assert!(theirs["by_type"].get(block_type).is_some(), "{block_type}");
        }
        for (ours, theirs) in [
            (NEVER_FIELDS, &theirs["never_fields"]),
            (CONTAINERS, &theirs["containers"]),
            (INHERITABLE, &theirs["inheritable"]),
            (POINTER_NEEDS_A_FILE, &theirs["pointer_needs_a_file"]),
            (UNIQUE_PER_TYPE, &theirs["unique_per_type"]),
        ] {
            assert_eq!(&Value::from(ours.to_vec()), theirs);
        }
    }
}
