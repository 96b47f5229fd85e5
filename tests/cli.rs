//! The command line as an operator meets it: the real program, its answers and its exit status.

#![cfg(feature = "cli")]

#[path = "common/one_course.rs"]
mod one_course;
mod program;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use courseblocks::engine::{Commit, CommitOutcome, Durability, Key, Space};
use courseblocks::modulestore::Course;
use courseblocks::modulestore::olx::{self, Limits};
use courseblocks::transformer::Collected;
use courseblocks::{
    Error, ErrorKind, Manager, ReadVersion, Registry, Store, Timestamp, Transformer, UpdateOptions,
    Versions, WriteVersion,
};
use one_course::OneCourse;
use program::{DEMO, Program, Run, demo_course, with_json, write_course};
use serde_json::{Value, json};

// Import, list, delete.

#[test]
fn a_course_is_imported_listed_and_deleted() {
    let program = Program::new();
    let run = program.import(demo_course());
    assert!(
        run.stdout
            .starts_with(&format!("imported  {DEMO}: 62 blocks, ")),
        "{run:?}"
    );

    let run = program.run(&["courses"]);
    let lines: Vec<_> = run.stdout.lines().collect();
    assert!(lines[0].starts_with("COURSE "), "{run:?}");
    assert!(lines[1].starts_with(DEMO), "{run:?}");
    assert_eq!((run.status, lines.len()), (0, 2), "{run:?}");

    let courses = &program.json(&["courses"])["courses"];
    assert_eq!(courses.as_array().unwrap().len(), 1);
    let course = &courses[0];
    assert_eq!(course["course_key"], DEMO);
    assert_eq!(course["blocks"], 62);
    assert_eq!(course["errors"], 0);
    assert_eq!(course["failures"], json!([]));
    assert_eq!(course["origin"], demo_course().to_str().unwrap());
    assert!(
        course["source_version"]
            .as_str()
            .unwrap()
            .starts_with("sha256:")
    );
    assert!(course["bytes"].as_u64().unwrap() > 0);

    let run = program.run(&["delete", DEMO]);
    assert_eq!((run.status, run.stdout), (0, format!("deleted {DEMO}\n")));
    program
        .run(&["delete", DEMO])
        .is_refused(1, &[DEMO, "`courses`"]);
    assert_eq!(program.json(&["courses"])["courses"], json!([]));
}

#[test]
fn an_unchanged_course_is_not_written_again() {
    let program = Program::new();
    program.import(demo_course());
    let before = program.json(&["courses"]);
    let run = program.import(demo_course());
    assert_eq!(
        run.stdout,
        format!("unchanged {DEMO}: 62 blocks, nothing written\n")
    );
    let path = demo_course();
    let answer = program.json(&["import", path.to_str().unwrap()]);
    assert_eq!(answer["courses"][0]["outcome"], "unchanged");
    assert_eq!(answer["courses"][0]["records"], 0);
    assert_eq!(program.json(&["courses"]), before);
}

#[test]
fn a_changed_course_is_updated() {
    let program = Program::new();
    let export = program.path("export");
    let course = write_course(&export, "r", "First", 1);
    program.import(&export);
    write_course(&export, "r", "Second", 2);
    let run = program.import(&export);
    assert!(
        run.stdout.starts_with(&format!("updated   {course}: ")),
        "{run:?}"
    );
    assert_eq!(title(&program, &course), "Second");
}

#[test]
fn a_bad_course_is_told_and_the_others_go_on() {
    let program = Program::new();
    let good = write_course(&program.path("exports/good"), "good", "Good", 1);
    fs::create_dir_all(program.path("exports/bad")).unwrap();
    fs::write(program.path("exports/bad/course.xml"), "<course").unwrap();
    fs::write(program.path("exports/not-gzip.tar.gz"), "not gzip").unwrap();
    let exports = program.path("exports");
    let missing = program.path("missing");
    let arguments = [
        "import",
        exports.to_str().unwrap(),
        missing.to_str().unwrap(),
    ];

    let run = program.run(&arguments);
    assert_eq!(run.status, 1, "{run:?}");
    let told: Vec<_> = run.stderr.lines().collect();
    assert_eq!(told.len(), 3, "{run:?}");
    for (name, cause) in [
        ("missing", "No such file"),
        ("bad", "malformed_xml"),
        ("not-gzip", ""),
    ] {
        let is_told = |line: &&str| line.contains(name) && line.contains(cause);
        assert!(told.iter().any(is_told), "{name}: {run:?}");
    }
    assert!(
        run.stdout.starts_with(&format!("imported  {good}")),
        "{run:?}"
    );

    let run = program.run(&with_json(&arguments));
    let courses = run.json()["courses"].take();
    let outcomes = courses
        .as_array()
        .unwrap()
        .iter()
        .map(|course| course["outcome"].clone());
    let outcomes: Vec<_> = outcomes.collect();
    assert_eq!(
        outcomes,
        ["failed", "failed", "unchanged", "failed"],
        "{courses}"
    );
    assert_eq!(run.status, 1);
}

#[test]
fn a_directory_without_courses_is_told() {
    let program = Program::new();
    fs::create_dir(program.path("empty")).unwrap();
    program
        .run(&["import", "empty"])
        .is_refused(1, &["empty", "course.xml"]);
    assert!(
        !program.store().exists(),
        "nothing was imported, so there is no store"
    );
}

#[test]
fn a_second_source_of_one_course_is_refused() {
    let program = Program::new();
    let course = write_course(&program.path("exports/a"), "r", "First", 1);
    write_course(&program.path("exports/b"), "r", "Second", 1);
    let run = program.run(&["import", "exports"]);
    run.is_refused(1, &["exports/b", "exports/a", &course]);
    assert_eq!(title(&program, &course), "First");
    // The same place twice is one source.
    let run = program.run(&["import", "exports/a", "exports/../exports/a"]);
    assert_eq!((run.status, run.stdout.lines().count()), (0, 1), "{run:?}");
}

#[test]
fn problems_of_a_course_are_counted_and_told_on_demand() {
    let program = Program::new();
    let export = program.path("export");
    let course = write_course(&export, "r", "Title", 0);
    let root = r#"<course display_name="T"><chapter url_name="gone"/></course>"#;
    fs::write(export.join("course/r.xml"), root).unwrap();
    let run = program.run(&["import", "export"]);
    assert!(run.stdout.contains("; 1 error\n"), "{run:?}");
    let run = program.run(&["courses"]);
    assert!(
        run.stdout.lines().last().unwrap().ends_with("  1 error"),
        "{run:?}"
    );

    program.run(&["delete", &course]);
    let run = program.run(&["import", "-v", "export"]);
    assert!(
        run.stdout.contains("error missing_file chapter/gone.xml"),
        "{run:?}"
    );
    let errors = &program.json(&["structure", &course])["errors"];
    assert_eq!(errors[0]["kind"], "missing_file");
    assert_eq!(errors[0]["path"], "chapter/gone.xml");
    assert_eq!(errors[0]["position"], 0);
}

// Sources that change and move.

#[test]
fn a_moved_source_is_told_and_found_again_by_importing_it() {
    let program = Program::new();
    let course = write_course(&program.path("old"), "r", "Title", 1);
    program.import("old");
    fs::rename(program.path("old"), program.path("new")).unwrap();
    program
        .run(&["update", "--all"])
        .is_refused(1, &[&course, "old", "`import`"]);
    // What is stored can be read all the same.
    assert_eq!(title(&program, &course), "Title");

    let run = program.import("new");
    assert!(
        run.stdout.starts_with(&format!("moved     {course}: ")),
        "{run:?}"
    );
    let origin = program.json(&["courses"])["courses"][0]["origin"].clone();
    assert_eq!(origin, program.path("new").to_str().unwrap());
    let run = program.run(&["update", "--all"]);
    assert_eq!(
        (run.status, run.stdout),
        (0, format!("{course}: up to date\n"))
    );
}

#[test]
fn a_source_that_holds_another_course_now_is_told() {
    let program = Program::new();
    let first = write_course(&program.path("export"), "first", "First", 1);
    program.import("export");
    fs::remove_dir_all(program.path("export")).unwrap();
    let second = write_course(&program.path("export"), "second", "Second", 1);
    program
        .run(&["update", &first])
        .is_refused(1, &[&first, &second, "`import`"]);
    assert_eq!(title(&program, &first), "First");
}

// Structure.

#[test]
fn the_structure_is_what_is_expected_of_every_course() {
    let folder = courses();
    let program = Program::new();
    let run = program.run(&[
        "import",
        folder.to_str().unwrap(),
        demo_course().to_str().unwrap(),
    ]);
    assert_eq!(run.status, 0, "{run:?}");
    let demo = demo_course().with_extension("expected.json");
    let mut compared = 0;
    for expected in expected_files(&folder).into_iter().chain([demo]) {
        let expected: Value = serde_json::from_reader(File::open(expected).unwrap()).unwrap();
        if expected.get("fatal").is_some() {
            continue;
        }
        let key = expected["course_key"].as_str().unwrap();
        compare_structure(&expected, &program.json(&["structure", key]));
        compared += 1;
    }
    println!("{compared} courses of {}", folder.display());
}

#[track_caller]
fn compare_structure(expected: &Value, found: &Value) {
    let key = &expected["course_key"];
    let uncertain = |block: &str, field: &str| {
        let entries = expected["uncertain"].as_array().into_iter().flatten();
        let mut entries = entries.filter(|entry| entry["block"] == block || entry["block"] == "*");
        entries.any(|entry| entry["field"] == field)
    };
    assert_eq!(&found["course_key"], key);
    assert_eq!(found["root"], expected["root"], "{key}");
    let names = |value: &Value| -> BTreeSet<String> {
        value["blocks"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    };
    assert_eq!(names(found), names(expected), "{key}");
    for (name, expected) in expected["blocks"].as_object().unwrap() {
        let found = &found["blocks"][name];
        for part in ["type", "display_name", "children"] {
            assert_eq!(found[part], expected[part], "{name}: {part}");
        }
        for part in ["fields", "inherited"] {
            let certain = |values: &Value| {
                let mut values = values.as_object().unwrap().clone();
                values.retain(|field, _| !uncertain(name, field));
                values
            };
            assert_eq!(
                certain(&found[part]),
                certain(&expected[part]),
                "{name}: {part}"
            );
        }
    }
    let kinds = |value: &Value| -> Vec<Value> {
        let errors = value["errors"].as_array().unwrap().iter();
        errors
            .map(|error| json!([error["kind"], error["path"], error["parent"]]))
            .collect()
    };
    assert_eq!(kinds(found), kinds(expected), "{key}");
}

// What transformers collected.

#[test]
fn collected_data_is_printed_whole_or_for_one_block() {
    let program = Program::new();
    program.import(demo_course());
    let block = format!("block-v1:{}+type@sequential+block@moon-quiz", &DEMO[10..]);
    let whole = program.json(&["get", DEMO]);
    assert_eq!(whole["course_key"], DEMO);
    let hidden = &whole["transformers"]["hidden_content"];
    assert_eq!(hidden["write_version"], 4);
    assert_eq!(hidden["blocks"].as_object().unwrap().len(), 62);
    assert_eq!(hidden["blocks"][&block]["merged_hide_after_due"], true);
    assert_eq!(hidden["blocks"][&block]["due"], "2026-01-31T22:00:00Z");

    let one = program.json(&["get", DEMO, "--block", &block]);
    assert_eq!(one["generation"], whole["generation"]);
    for (name, transformer) in one["transformers"].as_object().unwrap() {
        let whole = &whole["transformers"][name];
        assert_eq!(
            transformer["write_version"], whole["write_version"],
            "{name}"
        );
        assert_eq!(
            transformer["blocks"].get(&block),
            whole["blocks"].get(&block),
            "{name}"
        );
        assert!(
            transformer["blocks"].as_object().unwrap().len() <= 1,
            "{name}"
        );
    }
    let one = program.json(&["get", DEMO, "start_date", "--block", &block]);
    assert_eq!(one["transformers"].as_object().unwrap().len(), 1);

    let absent = format!("block-v1:{}+type@html+block@absent", &DEMO[10..]);
    program
        .run(&["get", DEMO, "--block", &absent])
        .is_refused(1, &[&absent]);
    program
        .run(&["get", DEMO, "no_such"])
        .is_refused(2, &["no_such", "start_date, content_type_gate"]);
    program
        .run(&["get", "course-v1:O+C+R"])
        .is_refused(1, &["course-v1:O+C+R", "`courses`"]);
}

#[test]
fn one_failing_transformer_does_not_hide_the_others() {
    let program = Program::new();
    let export = program.path("export");
    let course = write_course(&export, "r", "Title", 1);
    let mut registry = Registry::new();
    registry.register(Broken).unwrap();
    import_with(registry, &program.store(), &export);
    let release = Registry::standard();
    let others: Vec<_> = release
        .names()
        .filter(|name| *name != "start_date")
        .collect();
    let run = program.run(&["update", &course, "--transformer", &others.join(",")]);
    assert_eq!(run.status, 0, "{run:?}");

    let run = program.run(&["get", &course]);
    run.is_refused(1, &["start_date", "no dates today"]);
    let transformers = run.json()["transformers"].take();
    let names: Vec<_> = transformers.as_object().unwrap().keys().collect();
    assert!(!names.iter().any(|name| *name == "start_date"), "{names:?}");
    assert!(names.iter().any(|name| *name == "visibility"), "{names:?}");

    // What a user sees must never be decided without one of the transformers.
    let run = program.run(&["blocks", &course]);
    run.is_refused(1, &["start_date"]);
    assert_eq!(run.stdout, "");

    let run = program.run(&["inspect", &course, "start_date"]);
    assert!(
        run.stdout
            .contains("missing: must be collected; failed at version 1 (1 in a row)")
    );
    let run = program.run(&["courses"]);
    assert!(run.stdout.contains("1 transformer failed"), "{run:?}");

    let run = program.run(&["update", &course]);
    assert!(
        run.stdout
            .starts_with(&format!("{course}: collected start_date (")),
        "{run:?}"
    );
    assert_eq!(program.run(&["get", &course]).status, 0);
}

// What users see.

#[test]
fn each_user_sees_their_own_part_of_a_course() {
    let program = Program::new();
    program.import(demo_course());
    let titles = |user: &str| -> BTreeSet<String> {
        let run = program.run_with(&["blocks", DEMO, "--user", "-"], user);
        assert_eq!(run.status, 0, "{run:?}");
        run.stdout
            .lines()
            .map(|line| line.trim().to_owned())
            .collect()
    };
    let [quiz, stars, team] = [
        "Quiz: The Moon (sequential)",
        "Stars and Their Figures (chapter)",
        "For the Teaching Team (chapter)",
    ];
    check(
        &titles(r#"{"now": "2026-01-15T00:00:00Z"}"#),
        &[quiz],
        &[stars, team],
    );
    check(
        &titles(r#"{"now": "2026-06-01T00:00:00Z"}"#),
        &[],
        &[quiz, stars, team],
    );
    check(
        &titles(r#"{"now": "2031-02-01T00:00:00Z"}"#),
        &[stars],
        &[quiz, team],
    );
    let staff = r#"{"now": "2026-06-01T00:00:00Z", "is_staff": true}"#;
    check(&titles(staff), &[quiz, stars, team], &[]);
    // A week early, as the course says.
    let tester = r#"{"now": "2031-01-05T00:00:00Z", "is_beta_tester": true}"#;
    check(&titles(tester), &[stars], &[]);
    check(&titles(r#"{"now": "2031-01-05T00:00:00Z"}"#), &[], &[stars]);

    // Before it begins there is nothing to see.
    let run = program.run_with(
        &["blocks", DEMO, "--user", "-"],
        r#"{"now": "2020-01-01T00:00:00Z"}"#,
    );
    assert_eq!((run.status, run.stdout.as_str()), (0, ""), "{run:?}");
    assert!(run.stderr.contains("sees nothing"), "{run:?}");
}

#[track_caller]
fn check(titles: &BTreeSet<String>, seen: &[&str], hidden: &[&str]) {
    for title in seen {
        assert!(titles.contains(*title), "{title} is not in {titles:?}");
    }
    for title in hidden {
        assert!(!titles.contains(*title), "{title} is in {titles:?}");
    }
}

#[test]
fn the_tree_shows_a_shared_block_below_each_parent() {
    let program = Program::new();
    program.import(demo_course());
    let run = program.run_with(&["blocks", DEMO, "--user", "-"], r#"{"is_staff": true}"#);
    let tree = run.stdout.lines().collect::<Vec<_>>();
    assert_eq!(tree[0], "Reading the Night Sky (course)");
    assert_eq!(tree[1], "  Before You Look Up (chapter)");
    assert_eq!(
        tree.iter()
            .filter(|line| line.trim() == "Looking Safely (html)")
            .count(),
        2
    );
}

#[test]
fn blocks_in_json_have_the_shape_of_the_course_blocks_api() {
    let program = Program::new();
    program.import(demo_course());
    let user = program.path("user.json");
    fs::write(
        &user,
        r#"{"now": "2026-06-01T00:00:00Z", "block_types_to_count": ["video", "problem"],
            "show_hidden_content_without_links": true}"#,
    )
    .unwrap();
    let answer = program.json(&["blocks", DEMO, "--user", user.to_str().unwrap()]);
    let block = |id: &str| format!("block-v1:{}+type@{id}", &DEMO[10..]);
    let root = block("course+block@course");
    assert_eq!(answer["root"], root);
    let course = &answer["blocks"][&root];
    assert_eq!(course["id"], root);
    assert_eq!(course["block_id"], "course");
    assert_eq!(course["type"], "course");
    assert_eq!(course["display_name"], "Reading the Night Sky");
    assert_eq!(course["children"].as_array().unwrap().len(), 3);
    assert_eq!(course["block_counts"], json!({ "problem": 10, "video": 3 }));
    let quiz = &answer["blocks"][block("sequential+block@moon-quiz")];
    assert_eq!(quiz["hidden_after_due"], true);
    let leaf = &answer["blocks"][block("html+block@welcome-letter")];
    assert_eq!(leaf.get("children"), None);

    let moon = block("chapter+block@moon");
    let answer = program.json(&[
        "blocks",
        DEMO,
        "--root",
        &moon,
        "--transformers",
        "visibility",
    ]);
    assert_eq!(answer["root"], moon);
    assert_eq!(
        answer["blocks"][&moon]["children"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(answer["blocks"].get(&root), None);

    let absent = block("html+block@absent");
    program
        .run(&["blocks", DEMO, "--root", &absent])
        .is_refused(1, &[&absent]);
    let run = program.run(&["blocks", DEMO, "--transformers", "start_date,no_such"]);
    run.is_refused(2, &["no_such"]);
}

const ALL: &str = "course-v1:CourseBlocks+ALL+2026";

/// A course with a case for every stock transformer.
fn everything() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/everything")
}

fn all(block: &str) -> String {
    format!("block-v1:{}+type@{block}", &ALL[10..])
}

#[test]
fn a_learner_sees_what_their_file_says_and_what_was_drawn_is_told_to_be_saved() {
    let program = Program::new();
    program.import(everything());
    let file = program.path("learner.json");
    let blocks = |user: &Value| {
        fs::write(&file, user.to_string()).unwrap();
        let user = file.to_str().unwrap();
        program.json(&["blocks", ALL, "--user", user])
    };
    let mut learner = json!({
        "now": "2026-04-01T00:00:00Z",
        "groups": { "1000": 1, "2000": 11 },
        "milestones": {},
        "seed": 4,
    });
    let answer = blocks(&learner);
    let is_there = |answer: &Value, block: &str| answer["blocks"].get(all(block)).is_some();
    for block in ["vertical+block@for-mornings", "vertical+block@example"] {
        assert!(is_there(&answer, block), "{block}");
    }
    for block in [
        "vertical+block@rule",
        "sequential+block@verified",
        "sequential+block@exam",
    ] {
        assert!(!is_there(&answer, block), "{block}");
    }
    let bank = all("library_content+block@drawn");
    let drawn = &answer["selections"][&bank]["selected"];
    assert_eq!(drawn.as_array().unwrap().len(), 3);
    assert_eq!(&answer["blocks"][&bank]["children"], drawn);

    // Saved, and handed over the next time, when the dice would fall otherwise.
    let selections = answer["selections"].as_object().unwrap().iter();
    let saved: Value = selections
        .map(|(bank, selection)| (bank.clone(), selection["selected"].clone()))
        .collect();
    learner["selections"] = saved;
    learner["seed"] = json!(5);
    let again = blocks(&learner);
    assert_eq!(again.get("selections"), None);
    assert_eq!(&again["blocks"][&bank]["children"], drawn);

    // Nobody in particular is shown the entrance exam, and nothing by chance.
    let nobody = blocks(&json!({ "now": "2026-04-01T00:00:00Z" }));
    assert!(is_there(&nobody, "chapter+block@entrance"));
    assert!(!is_there(&nobody, "chapter+block@week1"));
    let run = program.run(&["blocks", ALL, "--user", file.to_str().unwrap()]);
    assert!(!run.stdout.contains("Week One"), "{run:?}");
}

#[test]
fn requested_fields_have_the_names_of_the_course_blocks_api() {
    let program = Program::new();
    program.import(everything());
    let user = r#"{"is_staff": true, "now": "2026-01-15T00:00:00Z", "seed": 1, "nav_depth": 1,
        "block_types_to_count": ["html"], "requested_student_view_data": ["discussion"]}"#;
    let blocks = |fields: &str| {
        let command = [
            "--format", "json", "blocks", ALL, "--user", "-", "--fields", fields,
        ];
        let run = program.run_with(&command, user);
        assert_eq!(run.status, 0, "{run:?}");
        run.json()["blocks"].take()
    };
    let fields = "graded,due,format,show_correctness,visible_to_staff_only,has_score,weight,\
        block_counts,nav_depth,student_view_data,no_such_field";
    let answer = blocks(fields);
    assert_eq!(
        answer[all("sequential+block@homework")],
        json!({
            "id": all("sequential+block@homework"),
            "block_id": "homework",
            "type": "sequential",
            "display_name": "Homework",
            "graded": true,
            "due": "2026-02-01T00:00:00Z",
            "format": "Homework",
            "show_correctness": "past_due",
            "visible_to_staff_only": false,
            "has_score": false,
            "block_counts": { "html": 0 },
        })
    );
    let tool = &answer[all("lti+block@tool")];
    assert_eq!(
        (&tool["weight"], &tool["has_score"]),
        (&json!(2.5), &json!(true))
    );
    let talk = &answer[all("discussion+block@talk")];
    assert_eq!(talk["student_view_data"], json!({ "topic_id": "topic-7" }));
    let notes = &answer[all("html+block@notes-text")];
    assert_eq!(notes["visible_to_staff_only"], true);
    assert_eq!(notes["graded"], false);
    let week2 = &answer[all("chapter+block@week2")];
    assert_eq!(week2["block_counts"], json!({ "html": 3 }));
    let descendants = week2["descendants"].as_array().unwrap();
    assert!(descendants.contains(&json!(all("problem+block@exam-1"))));

    let answer = blocks("children");
    let root = &answer[all("course+block@course")];
    assert_eq!(root["children"].as_array().unwrap().len(), 3);
    assert_eq!(root.get("block_counts"), None);
    // What was not asked for is not said, except to people who asked for nothing.
    let command = ["blocks", ALL, "--user", "-", "--fields", "format"];
    let run = program.run_with(&command, user);
    assert!(
        run.stdout
            .contains("Homework (sequential) format=\"Homework\"\n"),
        "{run:?}"
    );
}

#[test]
fn a_user_that_cannot_be_read_is_bad_usage() {
    let program = Program::new();
    program.import(demo_course());
    for user in [r#"{"is_staf": true}"#, r#"{"now": "2026-06-01"}"#, "", "[]"] {
        program
            .run_with(&["blocks", DEMO, "--user", "-"], user)
            .is_refused(2, &["--user -"]);
    }
    program
        .run(&["blocks", DEMO, "--user", "absent.json"])
        .is_refused(2, &["absent.json"]);
}

// Headers.

#[test]
fn headers_are_told_with_a_verdict() {
    let program = Program::new();
    program.import(demo_course());
    let run = program.run(&["inspect", DEMO]);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(run.stdout.contains("VERDICT"), "{run:?}");
    assert_eq!(
        run.stdout.matches("  current\n").count(),
        2 + Registry::standard().names().count()
    );

    let answer = program.json(&["inspect", DEMO, "hidden_content"]);
    let record = &answer["records"][0];
    assert_eq!(answer["records"].as_array().unwrap().len(), 1);
    assert_eq!(record["name"], "hidden_content");
    assert_eq!((&record["read"], &record["write"]), (&json!(4), &json!(4)));
    assert_eq!(record["verdict"], "current");
    let stored = &record["stored"];
    assert_eq!(stored["write_version"], 4);
    assert_eq!(stored["entries"], 62);
    assert_eq!(stored["generation"], answer["generation"]);
    assert_eq!(stored["header_checksum"].as_str().unwrap().len(), 8);
    assert_eq!(stored["compression"], "none");
    assert!(run.stdout.contains("  lz4  "), "{run:?}");

    program
        .run(&["inspect", DEMO, "no_such"])
        .is_refused(2, &["no_such", "start_date"]);
    program
        .run(&["inspect", "course-v1:O+C+R"])
        .is_refused(1, &["course-v1:O+C+R"]);
}

#[test]
fn what_other_releases_wrote_is_judged_and_left_alone() {
    let program = Program::new();
    let export = program.path("export");
    let course = write_course(&export, "r", "Title", 1);
    let mut registry = Registry::new();
    registry.register(Named("start_date", 1, 2)).unwrap();
    registry.register(Named("hidden_content", 1, 3)).unwrap();
    registry
        .register(Named("of_another_release", 1, 1))
        .unwrap();
    import_with(registry, &program.store(), &export);

    let verdicts = || -> Vec<(String, String)> {
        let answer = program.json(&["inspect", &course]);
        let records = answer["records"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        records
            .map(|record| (text(&record["name"]), text(&record["verdict"])))
            .collect()
    };
    let expected = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, verdict)| ((*name).into(), (*verdict).into()))
            .collect()
    };
    let found = verdicts();
    let of = |names: &[&str]| -> Vec<(String, String)> {
        found
            .iter()
            .filter(|(name, _)| names.contains(&name.as_str()))
            .cloned()
            .collect()
    };
    assert_eq!(
        of(&[
            "start_date",
            "visibility",
            "hidden_content",
            "of_another_release"
        ]),
        expected(&[
            ("start_date", "current"),
            ("visibility", "missing"),
            ("hidden_content", "outdated"),
            ("of_another_release", "unregistered"),
        ])
    );

    let answer = program.json(&["update", &course]);
    let transformers = answer["courses"][0]["transformers"].clone();
    let transformers: Vec<String> = serde_json::from_value(transformers).unwrap();
    assert!(transformers.contains(&"visibility".to_owned()), "{answer}");
    assert!(!transformers.contains(&"start_date".to_owned()), "{answer}");
    let start_date = program.json(&["inspect", &course, "start_date"]);
    assert_eq!(start_date["records"][0]["stored"]["write_version"], 2);
}

// Updates.

#[test]
fn an_update_does_what_is_due_and_says_so() {
    let program = Program::new();
    let course = write_course(&program.path("export"), "r", "First", 1);
    program.import("export");
    let lines = |arguments: &[&str]| {
        let run = program.run(arguments);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{run:?}");
        run.stdout
    };
    assert_eq!(
        lines(&["update", &course]),
        format!("{course}: up to date\n")
    );
    assert_eq!(
        lines(&["update", &course, "--force", "--dry-run"]),
        format!("{course}: would collect whole, because forced\n")
    );
    let forced = lines(&["update", "--all", "--force", "--transformer", "visibility"]);
    assert!(
        forced.starts_with(&format!("{course}: collected visibility (")),
        "{forced}"
    );

    write_course(&program.path("export"), "r", "Second", 2);
    let would = lines(&["update", "--all", "--dry-run"]);
    assert_eq!(
        would,
        format!("{course}: would collect whole, because the source has changed\n")
    );
    assert_eq!(title(&program, &course), "First");
    let answer = program.json(&["update", "--all"]);
    assert_eq!(answer["courses"][0]["outcome"], "updated");
    assert_eq!(answer["courses"][0]["reason"], "source_changed");
    assert_eq!(title(&program, &course), "Second");
}

#[test]
fn a_course_that_cannot_be_updated_does_not_stop_the_others() {
    let program = Program::new();
    let [first, second] = ["a", "b"].map(|run| write_course(&program.path(run), run, "T", 1));
    program.run(&["import", "a", "b"]);
    fs::remove_dir_all(program.path("a")).unwrap();
    let run = program.run(&["update", "--all"]);
    run.is_refused(1, &[&first]);
    assert_eq!(run.stdout, format!("{second}: up to date\n"));
    let run = program.run(&["update", "course-v1:O+C+R", &second]);
    run.is_refused(1, &["course-v1:O+C+R is not stored"]);
    assert_eq!(run.stdout, format!("{second}: up to date\n"));
}

#[test]
fn an_update_wants_courses_or_all_of_them() {
    let program = Program::new();
    program.import(demo_course());
    assert_eq!(program.run(&["update"]).status, 2);
    assert_eq!(program.run(&["update", "--all", DEMO]).status, 2);
    let run = program.run(&["update", "--all", "--transformer", "no_such"]);
    run.is_refused(2, &["no_such"]);
}

// Damage.

#[test]
fn a_damaged_record_is_named_and_repaired() {
    let program = Program::new();
    program.import(demo_course());
    let run = program.run(&["verify"]);
    assert!(run.stdout.starts_with("checked 1 course: "), "{run:?}");
    assert!(run.stdout.ends_with(": no damage\n"), "{run:?}");
    assert_eq!(run.status, 0);
    let checked = &program.json(&["verify"])["courses"][0];
    let sizes = ["bytes", "uncompressed_bytes"].map(|size| checked[size].as_u64().unwrap());
    assert_eq!(program.json(&["courses"])["courses"][0]["bytes"], sizes[0]);
    assert!(sizes[1] > sizes[0] + 1_000, "{checked}");
    let told = format!(" {} bytes ({} uncompressed): ", sizes[0], sizes[1]);
    assert!(run.stdout.contains(&told), "{run:?}");

    let before = program.json(&["get", DEMO]);
    damage(&program.store(), Space::Records, "visibility");
    let run = program.run(&["verify"]);
    assert_eq!(run.status, 1, "{run:?}");
    assert!(
        run.stdout
            .contains(&format!("damaged   {DEMO}: the record \"visibility\": "))
    );
    let run = program.run(&with_json(&["verify", DEMO]));
    assert_eq!(
        run.json()["courses"][0]["damages"][0]["record"],
        "visibility",
        "{run:?}"
    );

    let run = program.run(&["verify", "--repair"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(
        run.stdout
            .contains(&format!("repaired  {DEMO}: the record \"visibility\""))
    );
    assert!(
        run.stdout.ends_with("1 repaired, no damage is left\n"),
        "{run:?}"
    );
    assert_eq!(program.run(&["verify"]).status, 0);
    // Only that record was written, into the generation that was there.
    assert_eq!(program.json(&["get", DEMO]), before);
}

#[test]
fn a_damaged_structure_is_collected_whole() {
    let program = Program::new();
    program.import(demo_course());
    damage(&program.store(), Space::Records, "@structure");
    assert_eq!(program.run(&["verify"]).status, 1);
    let run = program.run(&["verify", "--repair"]);
    assert!(run.stdout.contains("repaired"), "{run:?}");
    assert_eq!(run.status, 0, "{run:?}");
    assert_eq!(
        program.json(&["structure", DEMO])["blocks"]
            .as_object()
            .unwrap()
            .len(),
        62
    );
}

#[test]
fn a_damaged_record_is_collected_again_when_it_is_read() {
    let program = Program::new();
    program.import(demo_course());
    let before = program.json(&["structure", DEMO])["blocks"].take();
    damage(&program.store(), Space::Records, "@blocks");
    assert_eq!(program.json(&["structure", DEMO])["blocks"], before);
    assert_eq!(program.run(&["verify"]).status, 0);
}

#[test]
fn what_cannot_be_repaired_stays_named() {
    let program = Program::new();
    let course = write_course(&program.path("export"), "r", "T", 1);
    program.import("export");
    fs::remove_dir_all(program.path("export")).unwrap();
    damage(&program.store(), Space::Records, "start_date");
    let run = program.run(&["verify", "--repair"]);
    run.is_refused(1, &[&course, "export", "`import`"]);
    assert!(run.stdout.contains("damaged   "), "{run:?}");
}

#[test]
fn a_damaged_row_of_the_index_is_named_and_cured_by_importing() {
    let program = Program::new();
    program.import(demo_course());
    damage(&program.store(), Space::Courses, "");
    program.run(&["courses"]).is_refused(1, &[DEMO, "damaged"]);
    let run = program.run(&["verify"]);
    assert_eq!(run.status, 1, "{run:?}");
    assert!(
        run.stdout.contains("the row in the header index"),
        "{run:?}"
    );
    // Nothing tells where the course came from any more.
    program
        .run(&["verify", "--repair"])
        .is_refused(1, &[DEMO, "`import`"]);
    program.import(demo_course());
    assert_eq!(program.run(&["verify"]).status, 0);
    assert_eq!(program.run(&["courses"]).status, 0);
}

#[test]
fn a_row_that_names_no_course_does_not_hide_the_others() {
    let program = Program::new();
    program.import(demo_course());
    let store = Store::open(program.store()).unwrap();
    let mut commit = Commit::new();
    commit.put(Space::Courses, b"", b"a row".to_vec());
    let _ = store
        .engine()
        .commit(b"no course", &commit, Durability::Durable)
        .unwrap();
    drop(store);
    for command in ["courses", "verify"] {
        let run = program.run(&["-v", command]);
        run.is_refused(1, &["no course"]);
        assert!(run.stdout.contains(DEMO), "{run:?}");
    }
    let run = program.run(&["update", "--all"]);
    run.is_refused(1, &["no course"]);
    assert_eq!(run.stdout, format!("{DEMO}: up to date\n"));
}

#[test]
fn a_course_of_which_there_is_no_trace_cannot_be_verified() {
    let program = Program::new();
    program.import(demo_course());
    let run = program.run(&["verify", "course-v1:O+C+R"]);
    run.is_refused(1, &["course-v1:O+C+R is not stored"]);
}

// The store itself.

#[test]
fn a_store_that_is_not_there_is_not_created_by_looking() {
    let program = Program::new();
    for command in [
        &["courses"][..],
        &["verify"],
        &["structure", DEMO],
        &["update", "--all"],
    ] {
        program
            .run(command)
            .is_refused(3, &["no store", "`import`"]);
    }
    assert!(!program.store().exists());
}

#[test]
fn a_store_that_cannot_be_opened_is_status_3() {
    let program = Program::new();
    fs::write(program.store(), "a file").unwrap();
    program.run(&["courses"]).is_refused(3, &["no store"]);
    let path = demo_course();
    let run = program.run(&["import", path.to_str().unwrap()]);
    assert_eq!(run.status, 3, "{run:?}");
}

#[test]
fn a_store_that_is_open_elsewhere_is_told_with_its_process() {
    let program = Program::new();
    program.import(demo_course());
    let open = Store::open(program.store()).unwrap();
    let pid = std::process::id().to_string();
    program.run(&["courses"]).is_refused(3, &[&pid]);
    drop(open);
    assert_eq!(program.run(&["courses"]).status, 0);
}

#[test]
fn the_environment_names_the_store() {
    let program = Program::new();
    program.import(demo_course());
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_courseblocks"));
    let run = command
        .arg("courses")
        .env("COURSEBLOCKS_STORE", program.store())
        .output()
        .unwrap();
    let run = Run::of(run);
    assert!(run.stdout.contains(DEMO), "{run:?}");
}

// Output.

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let program = Program::new();
    let course = write_course(
        &program.path("export"),
        "r",
        "A title that is repeated",
        3000,
    );
    program.import("export");
    for command in [
        &["structure", &course][..],
        &["get", &course],
        &["blocks", &course],
    ] {
        let mut child = program.command(command);
        let mut child = child
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = [0; 16];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let run = Run::of(child.wait_with_output().unwrap());
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{command:?}");
    }
    let mut help = program.command(&["--help"]);
    let mut help = help
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(help.stdout.take());
    assert_eq!(Run::of(help.wait_with_output().unwrap()).status, 0);
}

#[test]
fn an_import_goes_on_when_nobody_reads_any_more() {
    let program = Program::new();
    let exports = program.path("exports");
    let courses: Vec<_> = (0..8)
        .map(|run| write_course(&exports.join(format!("{run}")), &format!("r{run}"), "T", 1))
        .collect();
    let mut child = program.command(&["import", "exports"]);
    let mut child = child
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let run = Run::of(child.wait_with_output().unwrap());
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let stored = program.json(&["courses"])["courses"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(stored, courses.len());
}

#[test]
fn a_title_cannot_command_the_terminal() {
    let program = Program::new();
    let export = program.path("export");
    let course = write_course(&export, "r", "T", 1);
    fs::create_dir_all(export.join("policies/r")).unwrap();
    let title = "\u{1b}[2J\u{9b}31mred\u{7}\r\u{202e}";
    let policy = json!({ "course/r": { "display_name": title }, "chapter/c": { "start": "\u{1b}]0;x\u{7}" } });
    fs::write(export.join("policies/r/policy.json"), policy.to_string()).unwrap();
    let commands = [
        &["-v", "import", "export"][..],
        &["courses"],
        &["inspect", &course],
        &["blocks", &course],
        &["structure", &course],
        &["get", &course],
        &["-v", "verify"],
        &["update", "--all", "--force"],
        &["--format", "json", "structure", &course],
        &["--format", "json", "blocks", &course],
    ];
    for command in commands {
        let run = program.run(command);
        assert_eq!(run.status, 0, "{run:?}");
        let is_command = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!run.stdout.contains(is_command), "{command:?}: {run:?}");
        assert!(!run.stderr.contains(is_command), "{command:?}: {run:?}");
    }
    let run = program.run(&["blocks", &course]);
    assert!(
        run.stdout
            .contains(r"\u{1b}[2J\u{9b}31mred\u{7}\u{d}\u{202e} (course)"),
        "{run:?}"
    );
    // Programs get what the author wrote.
    let root = program.json(&["structure", &course])["root"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        program.json(&["structure", &course])["blocks"][root]["display_name"],
        title
    );
}

#[test]
fn bad_usage_is_status_2_and_help_is_an_answer() {
    let program = Program::new();
    for wrong in [
        &[][..],
        &["no-such-command"],
        &["structure", "not a key"],
        &["--format", "xml", "courses"],
    ] {
        let run = program.run(wrong);
        assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{run:?}");
    }
    for help in [
        &["--help"][..],
        &["--version"],
        &["import", "--help"],
        &["help", "verify"],
    ] {
        let run = program.run(help);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{run:?}");
    }
}

#[test]
fn the_demo_tells_its_story_and_leaves_nothing_behind() {
    let program = Program::new();
    let temporary = program.path("temporary");
    fs::create_dir(&temporary).unwrap();
    let run = Run::of(
        program
            .command(&["demo"])
            .env("TMPDIR", &temporary)
            .output()
            .unwrap(),
    );
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{run:?}");
    let steps = run
        .stdout
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    assert_eq!(steps.count(), 15, "{run:?}");
    for told in [
        "refused: worker a1 (A) still writes version 1",
        "refused: course-v1:CourseBlocks+DEMO-3+2026: this release writes version 1 of \
         \"start_date\", below its floor 2",
        "version 1 is stored for 11 courses (",
        "The gate start_date@2 opens",
        "READ 2, WRITE 2: 12 courses, 744 blocks read",
    ] {
        assert!(run.stdout.contains(told), "{told:?} is not in {run:?}");
    }
    assert_eq!(run.stdout.matches("; 0 collected again").count(), 3);
    if cfg!(unix) {
        assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
    }
    assert!(!program.store().exists());
    let answer = program.json(&["demo"]);
    let steps = answer["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 15);
    let mut details = steps.iter().map(|step| step["details"].as_array().unwrap());
    assert!(details.all(|lines| (1..=5).contains(&lines.len())));
}

// Helpers.

fn title(program: &Program, course: &str) -> String {
    let answer = program.json(&["structure", course]);
    let root = answer["root"].as_str().unwrap();
    answer["blocks"][root]["display_name"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// The courses to compare with: what the environment names, else those beside the project, else
/// our own.
fn courses() -> PathBuf {
    if let Some(named) = std::env::var_os("COURSEBLOCKS_COURSES") {
        return named.into();
    }
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside = project.join("../shared/courses");
    if beside.is_dir() {
        beside
    } else {
        project.join("examples/courses")
    }
}

fn expected_files(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.to_string_lossy().ends_with(".expected.json"))
        .collect()
}

/// Flips a bit in the middle of what is stored for the one course of a store.
fn damage(store: &Path, space: Space, name: &str) {
    let store = Store::open(store).unwrap();
    let (course, _) = store.courses().next().unwrap().unwrap();
    let partition = course.as_str().as_bytes();
    let key = Key {
        space,
        partition,
        name: name.as_bytes(),
    };
    let mut bytes = store.engine().get(key).unwrap().unwrap().as_ref().to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let mut commit = Commit::new();
    commit.put(space, name.as_bytes(), bytes);
    let _ = store
        .engine()
        .commit(partition, &commit, Durability::Durable)
        .unwrap();
}

/// A transformer of another release, which collects nothing: its name, READ and WRITE.
struct Named(&'static str, u32, u32);

impl Transformer for Named {
    type BlockData<'a> = ();
    type CourseData<'a> = ();

    fn name(&self) -> &str {
        self.0
    }

    fn versions(&self) -> Versions {
        Versions::new(ReadVersion::new(self.1), WriteVersion::new(self.2).unwrap())
    }

    fn collect(&self, course: &Course) -> courseblocks::Result<Collected<(), ()>> {
        Ok(Collected::new(course.structure().width(), ()))
    }
}

/// `start_date` of a release in which it is broken.
struct Broken;

impl Transformer for Broken {
    type BlockData<'a> = ();
    type CourseData<'a> = ();

    fn name(&self) -> &'static str {
        "start_date"
    }

    fn versions(&self) -> Versions {
        Versions::new(ReadVersion::new(1), WriteVersion::FIRST)
    }

    fn collect(&self, _: &Course) -> courseblocks::Result<Collected<(), ()>> {
        Err(Error::new(ErrorKind::Transformer, "no dates today"))
    }
}

fn import_with(registry: Registry, store: &Path, export: &Path) {
    let course = olx::read(export, &Limits::default()).unwrap();
    let key = course.key().clone();
    let course = course.with_origin(export.to_str().unwrap());
    let store = Arc::new(Store::open(store).unwrap());
    let manager = Manager::new(store, Arc::new(registry), Arc::new(OneCourse(course)));
    let lasts = Duration::from_secs(3600);
    manager
        .join("another", "another", lasts, Timestamp::MIN)
        .unwrap();
    manager.update(&key, &UpdateOptions::default()).unwrap();
}

/// Nothing can be written without floors, and nobody can join to repair anything.
#[test]
fn lost_floors_are_set_anew_when_that_is_asked_for() {
    let program = Program::new();
    program.import(demo_course());
    let start = program.run(&["rollout", "start", "start_date"]);
    assert_eq!(start.status, 0, "{start:?}");
    let store = Store::open(program.store()).unwrap();
    let engine = store.engine();
    let mut rows = engine.scan(Space::Control, Some(b"rollout"));
    let floors = rows.find(|row| row.as_ref().unwrap().name() == b"floors");
    let mut floors = floors.unwrap().unwrap().into_value().to_vec();
    drop(rows);
    *floors.last_mut().unwrap() ^= 1;
    let mut commit = Commit::new();
    commit.put(Space::Control, b"floors", floors);
    let outcome = engine.commit(b"rollout", &commit, Durability::Durable);
    assert_eq!(outcome.unwrap(), CommitOutcome::Applied);
    drop(store);

    let run = program.run(&["verify"]);
    assert_eq!(run.status, 1, "{run:?}");
    assert!(run.stdout.contains("damaged   the floors: "), "{run:?}");
    let answer = program.run(&with_json(&["verify"])).json();
    assert_eq!(answer["control"]["damages"][0]["part"], "floors");
    let run = program.run(&["verify", "--repair"]);
    run.is_refused(1, &["`verify --repair --floors`", "newest release"]);
    assert_eq!(program.run(&["verify", "--floors"]).status, 2);
    let run = program.run(&["verify", "--repair", "--floors"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(run.stderr.contains("all gates are closed"), "{run:?}");
    assert!(run.stdout.contains("repaired  the floors"), "{run:?}");
    assert_eq!(program.run(&["verify"]).status, 0);
    assert_eq!(program.run(&["update", "--all"]).status, 0);
    let history = program.run(&["rollout", "history"]);
    assert!(
        history.stdout.contains("the floors: set anew"),
        "{history:?}"
    );
}
