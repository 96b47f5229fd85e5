//! The real program on hostile input: a terminal is told nothing that it would obey, nobody is told
//! what a file holds, and whatever is imported costs bounded memory.

#![cfg(all(unix, feature = "cli"))]

#[path = "program/mod.rs"]
mod program;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use program::{Program, Run, demo_course};
use serde_json::json;

/// Colours, a bell, another title, a cleared screen, deleted characters, lines that end, and text
/// that is shown backwards.
const EVIL: &str =
    "\u{1b}[31m\u{7}\u{1b}]0;x\u{7}\u{9b}2J\u{7f}\u{8}\r\u{85}\u{2028}\u{202e}\u{2066}\u{200f}evil";

/// The same as far as XML can hold it.
const EVIL_IN_XML: &str = "\u{9b}2J\u{7f}\u{85}\u{2028}\u{202e}\u{2066}\u{200f}evil";

/// Another spelling than the one of the program.
#[track_caller]
fn is_plain(text: &str, what: &str) {
    for character in text.chars() {
        let code = u32::from(character);
        let is_control = code < 0x20 && code != 0x0a || (0x7f..0xa0).contains(&code);
        let turns = [0x61c, 0x200e, 0x200f].contains(&code)
            || (0x202a..=0x202e).contains(&code)
            || (0x2066..=0x2069).contains(&code);
        let ends_line = [0x2028, 0x2029].contains(&code);
        assert!(
            !is_control && !turns && !ends_line,
            "{what} tells U+{code:04X}: {text:?}"
        );
    }
}

fn write(directory: &Path, name: &str, text: impl AsRef<[u8]>) {
    let place = directory.join(name);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(place, text).unwrap();
}

/// A course that says it wherever a course can say something, and is broken in many places.
fn write_evil_course(directory: &Path) {
    let x = EVIL_IN_XML;
    write(
        directory,
        "course.xml",
        r#"<course url_name="R" org="O" course="C"/>"#,
    );
    let partition = json!([{"id": 50_000, "name": EVIL, "description": EVIL,
        "groups": [{"id": 1, "name": EVIL}], "scheme": EVIL, "active": true}]);
    let policy = json!({
        "course/R": {"display_name": EVIL, "start": "2020-01-01T00:00:00Z", "advanced_modules": [EVIL],
            "user_partitions": partition, "tabs": [{"name": EVIL, "type": EVIL, "url_slug": EVIL}],
            EVIL: EVIL},
        "html/a": {"display_name": EVIL, "format": EVIL, "due": EVIL, EVIL: [EVIL]},
        "problem/p": {"display_name": EVIL, "weight": EVIL, "max_attempts": EVIL},
        EVIL: {"display_name": EVIL},
    });
    write(directory, "policies/R/policy.json", policy.to_string());
    let grading = json!({"GRADER": [{"type": EVIL, "short_label": EVIL, "weight": 1.0,
        "min_count": 1, "drop_count": 0}], "GRADE_CUTOFFS": {EVIL: 0.5}});
    write(
        directory,
        "policies/R/grading_policy.json",
        grading.to_string(),
    );
    let access = "{&quot;50000&quot;: [2]}";
    let mut course = String::from("<course>");
    write!(
        course,
        "<chapter url_name='c' display_name='{x}' odd='{x}'>"
    )
    .unwrap();
    write!(
        course,
        "<sequential url_name='s' format='{x}' start='{x}' due='{x}'>"
    )
    .unwrap();
    write!(course, "<vertical url_name='v' display_name='{x}'>").unwrap();
    write!(course, "<html url_name='a'>{x}</html>").unwrap();
    write!(
        course,
        "<problem url_name='p' display_name='{x}'>{x}</problem>"
    )
    .unwrap();
    write!(
        course,
        "<html url_name='denied' group_access='{access}'>{x}</html>"
    )
    .unwrap();
    write!(
        course,
        "<video url_name='w' display_name='{x}' duration='{x}'/>"
    )
    .unwrap();
    write!(course, "<discussion url_name='d' discussion_id='{x}'/>").unwrap();
    write!(
        course,
        "<html url_name='{x}'/><html url_name='{x}'>{x}</html>"
    )
    .unwrap();
    write!(course, "<html url_name='gone' filename='{x}'/>").unwrap();
    write!(
        course,
        "<html url_name='broken'/><html url_name='no-text'/>"
    )
    .unwrap();
    write!(course, "<odd{0} url_name='o'>{x}</odd{0}>", '\u{e9}').unwrap();
    course.push_str("</vertical></sequential></chapter></course>");
    write(directory, "course/R.xml", course);
    write(directory, "html/broken.xml", format!("<html>{x}<b></html>"));
    write(directory, "html/no-text.xml", b"\xff\x1b[31m");
    for folder in [
        "html",
        "tabs",
        "about",
        "drafts/html",
        &format!("info{EVIL}"),
    ] {
        let name = format!("{folder}/{EVIL}.html");
        write(directory, &name, EVIL);
    }
    write(directory, &format!("html/{EVIL}.xml"), "<broken");
    let name = OsString::from(format!("html/link{EVIL}.xml"));
    symlink("/etc/hostname", directory.join(name)).unwrap();
}

#[test]
#[expect(clippy::too_many_lines, reason = "they are the commands")]
fn no_command_tells_a_terminal_what_to_do() {
    const COURSE: &str = "course-v1:O+C+R";

    let program = Program::new();
    let exports = program.path("exports");
    let export = exports.join(format!("export{EVIL}"));
    write_evil_course(&export);
    write(&exports, &format!("no course{EVIL}.tar.gz"), EVIL);
    write(
        &exports,
        &format!("{EVIL}/course.xml"),
        format!("<course org='{EVIL_IN_XML}'/>"),
    );
    let user = json!({
        "now": "2026-03-01T12:00:00Z", "seed": 1, "nav_depth": 3,
        "groups": {"50000": 1}, "denial_messages": {"50000": EVIL},
        "block_types_to_count": ["problem", EVIL],
        "requested_student_view_data": ["html", "discussion"],
        "field_overrides": {"block-v1:O+C+R+type@html+block@a": {"display_name": EVIL}},
    });
    write(&exports, "user.json", user.to_string());
    let user = exports.join("user.json");
    let (export, user) = (export.to_str().unwrap(), user.to_str().unwrap());
    let exports = exports.to_str().unwrap();
    let evil_worker = "w\u{202e}\u{2028}orker";
    let fields = "display_name,format,due,graded,block_counts,student_view_data,group_access,odd";
    let with_evil_field = format!("display_name,{EVIL}");
    let gate = format!("{EVIL}@1");

    let commands: &[&[&str]] = &[
        &["import", exports],
        &["-v", "import", export],
        &["--worker", evil_worker, "--release", evil_worker, "pause"],
        &["courses"],
        &["-v", "structure", COURSE],
        &["get", COURSE],
        &["get", COURSE, "user_partitions"],
        &[
            "get",
            COURSE,
            "grades",
            "--block",
            "block-v1:O+C+R+type@html+block@a",
        ],
        &["get", COURSE, EVIL],
        &["get", COURSE, "grades", "--block", EVIL],
        &["get", EVIL],
        &["blocks", COURSE],
        &["blocks", COURSE, "--user", user, "--fields", fields],
        &["blocks", COURSE, "--user", EVIL],
        &["blocks", COURSE, "--fields", &with_evil_field],
        &["blocks", COURSE, "--root", EVIL],
        &["blocks", COURSE, "--transformers", EVIL],
        &["inspect", COURSE],
        &["inspect", EVIL],
        &["-v", "update", "--all", "--force"],
        &["update", "--all", "--enqueue", "--force"],
        &["update", EVIL],
        &["resume"],
        &["--worker", evil_worker, "worker", "--until-empty"],
        &["worker", "--rate", EVIL],
        &["queue", "status"],
        &["queue", "retry", EVIL],
        &["queue", "drop", EVIL],
        &["queue", "rate", EVIL],
        &["rollout", "status"],
        &["--worker", evil_worker, "rollout", "start", "start_date"],
        &["rollout", "start", EVIL],
        &["rollout", "gate", &gate],
        &["rollout", "gate", "start_date@1"],
        &["rollout", "gate", EVIL],
        &["rollout", "fleet"],
        &["rollout", "history"],
        &["rollout", "retire", EVIL],
        &["-v", "verify"],
        &["verify", "--repair"],
        &["delete", EVIL],
        &["--worker", EVIL, "courses"],
        &["--release", EVIL, "verify", "--repair"],
        &["--format", EVIL, "courses"],
        &[EVIL],
        &["courses", EVIL],
        &["--odd", EVIL],
        &["delete", COURSE],
    ];
    let mut statuses = BTreeSet::new();
    let mut told = String::new();
    for format in ["text", "json"] {
        for command in commands {
            let options = ["--format", format];
            let arguments: Vec<_> = options.iter().chain(*command).collect();
            let run = program.run(&arguments);
            let what = format!("{format} {command:?}");
            is_plain(&run.stdout, &what);
            is_plain(&run.stderr, &what);
            statuses.insert(run.status);
            told.push_str(&run.stdout);
            told.push_str(&run.stderr);
        }
    }
    let run = run_elsewhere(Path::new(EVIL));
    is_plain(&run.stderr, "a store");
    statuses.insert(run.status);
    assert_eq!(statuses, BTreeSet::from([0, 1, 2, 3]));
    // It was told, in a form that does nothing.
    for escaped in [
        r"\u{1b}[31m",
        r"\u001b[31m",
        r"\u{202e}",
        r"\u202e",
        "evil",
        "orker",
    ] {
        assert!(told.contains(escaped), "{escaped}");
    }
}

/// Asks for the courses of a store at any path.
fn run_elsewhere(store: &Path) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_courseblocks"));
    command
        .env_remove("COURSEBLOCKS_STORE")
        .arg("--store")
        .arg(store);
    Run::of(command.arg("courses").output().unwrap())
}

const SECRET: &str = "hunter2-of-nobody";

/// What holds the secret: named by mistake, or by somebody who wants to see it.
#[test]
fn no_command_tells_what_a_file_holds_that_is_something_else() {
    let program = Program::new();
    let secret = program.path("secret");
    fs::write(&secret, format!("root:{SECRET}:1:0\n{SECRET}\n")).unwrap();
    let mut refused = 0;
    let mut check = |arguments: &[&OsStr], expected: &str| {
        for options in [&["--format", "text", "-v"], &["--format", "json", "-v"]] {
            let options = options.iter().map(OsStr::new);
            let arguments: Vec<_> = options.chain(arguments.iter().copied()).collect();
            let run = program.run(&arguments);
            assert!(!run.stdout.contains(SECRET), "{arguments:?}: {run:?}");
            assert!(!run.stderr.contains(SECRET), "{arguments:?}: {run:?}");
            let told = format!("{}{}", run.stdout, run.stderr);
            assert!(told.contains(expected), "{expected} is not in {run:?}");
            refused += 1;
        }
    };
    let import = OsStr::new("import");
    check(&[import, demo_course().as_os_str()], "");

    // As a place to import from.
    check(&[import, secret.as_os_str()], "no .tar.gz");
    for name in ["a.tar.gz", "b.tgz", "c.xml"] {
        let named = program.path(name);
        fs::copy(&secret, &named).unwrap();
        check(&[import, named.as_os_str()], "no .tar.gz");
    }
    let linked = program.path("link.tar.gz");
    symlink(&secret, &linked).unwrap();
    check(&[import, linked.as_os_str()], "no .tar.gz");

    // As any file of a course, or where a link of the course leads.
    let course = |run: &str| format!("<course org='O' course='C' url_name='{run}'/>");
    let body = "<course><chapter url_name='c'/><html url_name='h'/></course>";
    let json = format!("{{\"course/R\": {{\"{SECRET}\": {SECRET}");
    let wrong = format!("{{\"course/R\": \"{SECRET}\", \"html/h\": [\"{SECRET}\"]}}");
    let xml = format!("<{SECRET}>\n<a b='{SECRET}' b='{SECRET}'>&{SECRET};</{SECRET}");
    let entity = format!("<!DOCTYPE a [<!ENTITY x '{SECRET}'>]><a>&x;</a>");
    let typed = format!("<html due='{SECRET}' weight='{SECRET}' group_access='{SECRET}'>x</html>");
    for (number, (name, text)) in [
        ("course.xml", &xml),
        ("course.xml", &entity),
        ("course/R.xml", &xml),
        ("chapter/c.xml", &xml),
        ("chapter/c.xml", &entity),
        ("html/h.xml", &xml),
        ("html/h.xml", &typed),
        ("policies/R/policy.json", &json),
        ("policies/R/policy.json", &wrong),
        ("policies/R/grading_policy.json", &json),
        ("about/overview.html", &xml),
    ]
    .into_iter()
    .enumerate()
    {
        let directory = program.path(&format!("course {number}"));
        write(&directory, "course.xml", course("R"));
        write(&directory, "course/R.xml", body);
        write(&directory, name, text);
        check(&[import, directory.as_os_str()], "");

        let directory = program.path(&format!("linked {number}"));
        write(&directory, "course.xml", course("R"));
        write(&directory, "course/R.xml", body);
        write(&directory, name, "");
        fs::remove_file(directory.join(name)).unwrap();
        symlink(&secret, directory.join(name)).unwrap();
        check(&[import, directory.as_os_str()], "");
        for command in [&["structure"][..], &["inspect"]] {
            let command = command.iter().chain(&["course-v1:O+C+R"]).map(OsStr::new);
            let command: Vec<_> = command.collect();
            check(&command, "");
        }
    }

    // As a user.
    let demo = OsStr::new(program::DEMO);
    let [blocks, user] = ["blocks", "--user"].map(OsStr::new);
    check(
        &[blocks, demo, user, secret.as_os_str()],
        "not a JSON object",
    );
    for (text, expected) in [
        (format!("{{\"{SECRET}\": 1}}"), "line 1"),
        (format!("{{\"now\":\n\"{SECRET}\"}}"), "line 2"),
        (format!("{{{SECRET}"), "not JSON"),
        (format!("\0{SECRET}"), "not a JSON object"),
    ] {
        let file = program.path("user.json");
        fs::write(&file, text).unwrap();
        check(&[blocks, demo, user, file.as_os_str()], expected);
    }
    check(
        &[blocks, demo, user, OsStr::new("/dev/zero")],
        "longer than",
    );

    // As a store, or a part of one.
    let run = run_elsewhere(&secret);
    assert_eq!(run.status, 3, "{run:?}");
    assert!(!run.stderr.contains(SECRET), "{run:?}");
    for name in ["FORMAT", "COMMITS", "UNDO", "sled/conf"] {
        let other = Program::new();
        other.import(demo_course());
        fs::copy(&secret, other.store().join(name)).unwrap();
        let run = other.run(&["courses"]);
        assert!(!format!("{run:?}").contains(SECRET), "{name}: {run:?}");
    }
    assert!(refused > 80, "{refused}");
}

/// Runs a command in a process that may not have more than so much memory.
fn run_within(megabytes: u64, program: &Program, arguments: &[&OsStr]) -> Run {
    let command = program.command(arguments);
    let limited = format!("ulimit -v {}; exec \"$@\"", megabytes * 1024);
    let output = Command::new("sh")
        .args(["-c", &limited, "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .env_remove("COURSEBLOCKS_STORE")
        .stdin(Stdio::null())
        .output();
    Run::of(output.unwrap())
}

fn gzip(bytes: &[u8]) -> GzEncoder<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder
}

fn header(name: &str, kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_path(name).unwrap();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

/// Each of them takes more than there is, if it is believed.
#[test]
fn no_export_takes_more_memory_than_there_is() {
    const MEGABYTES: u64 = 800;

    let program = Program::new();
    let check = |what: &str, place: &Path, said: &[&str]| {
        let arguments = [OsStr::new("import"), place.as_os_str()];
        let run = run_within(MEGABYTES, &program, &arguments);
        assert_eq!(run.status, 1, "{what}: {run:?}");
        for said in said {
            assert!(run.stderr.contains(said), "{what}: {run:?}");
        }
    };
    let archive = |name: &str, bytes: &[u8]| -> PathBuf {
        let place = program.path(&format!("{name}.tar.gz"));
        fs::write(&place, bytes).unwrap();
        place
    };
    let root = b"<course org='O' course='C' url_name='R'/>";
    let mut tar = header("course.xml", tar::EntryType::Regular, root.len() as u64)
        .as_bytes()
        .to_vec();
    tar.extend_from_slice(root);
    tar.resize(1024, 0);

    // A member of ten gigabytes, in media and in what is read, of which some come.
    for name in ["static/video.mp4", "html/a.xml"] {
        let mut bytes = gzip(&tar);
        let member = header(name, tar::EntryType::Regular, 10 << 30);
        bytes.write_all(member.as_bytes()).unwrap();
        for _ in 0..64 {
            bytes.write_all(&vec![0; 1 << 20]).unwrap();
        }
        let place = archive("bomb", &bytes.finish().unwrap());
        check(name, &place, &["exceeds the limit of 4294967296"]);
    }

    // A name without an end.
    let mut bytes = gzip(&tar);
    let member = header("name", tar::EntryType::GNULongName, 4 << 30);
    bytes.write_all(member.as_bytes()).unwrap();
    for _ in 0..64 {
        bytes.write_all(&vec![b'a'; 1 << 20]).unwrap();
    }
    let place = archive("name", &bytes.finish().unwrap());
    check("a name", &place, &["header of a member"]);

    // Sparse members that hold nothing, and are large together.
    let mut sparse = header("static/video.mp4", tar::EntryType::GNUSparse, 0);
    let gnu = sparse.as_gnu_mut().unwrap();
    gnu.set_real_size(3 << 30);
    gnu.sparse[0].set_offset(3 << 30);
    gnu.sparse[0].set_length(0);
    sparse.set_cksum();
    let mut bytes = gzip(&tar);
    for _ in 0..10_000 {
        bytes.write_all(sparse.as_bytes()).unwrap();
    }
    let place = archive("sparse", &bytes.finish().unwrap());
    check("sparse", &place, &["exceeds the limit of 4294967296"]);

    // Elements and attributes without an end.
    for piece in ["<a>", "<a b='' ", "=", "&lt;", "<!--"] {
        let directory = program.path("course");
        let text = format!("<course>{}", piece.repeat((24 << 20) / piece.len()));
        write(&directory, "course.xml", text);
        check(piece, &directory, &["course.xml"]);
    }

    // What never ends, or never begins.
    check(
        "/dev/zero",
        Path::new("/dev/zero"),
        &["neither a directory nor a file"],
    );
    let pipe = program.path("pipe.tar.gz");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    check("a pipe", &pipe, &["neither a directory nor a file"]);
    let within = program.path("within");
    write(&within, "course.xml", "");
    fs::remove_file(within.join("course.xml")).unwrap();
    fs::rename(&pipe, within.join("course.xml")).unwrap();
    check("a pipe as a course", &within, &["no course.xml"]);
}
