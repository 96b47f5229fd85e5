//! Any bytes as what a user hands to the command line: the file that says who asks, and the names in
//! arguments. Shared by the property tests and the fuzz target. It knows the public API only.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Cursor, Write};
use std::path::PathBuf;
use std::rc::Rc;

use courseblocks::Registry;
use courseblocks::cli::{self, Exit, Streams};
use courseblocks::engine::{SharedEngine, SledOptions};
use serde_json::Value;
use tempfile::TempDir;

/// The course that everything is asked about: it has something for every transformer.
const COURSE: &str = "course-v1:CourseBlocks+ALL+2026";
const FILES: [(&str, &str); 3] = [
    ("course.xml", include_str!("../data/everything/course.xml")),
    (
        "html/long-text.xml",
        include_str!("../data/everything/html/long-text.xml"),
    ),
    (
        "html/long-text.html",
        include_str!("../data/everything/html/long-text.html"),
    ),
];

/// Fields that are asked for in some of the answers.
const FIELDS: &str = "children,graded,due,start,block_counts,nav_depth,student_view_data,has_score,\
                      visible_to_staff_only,special_exam_info,effort_time,show_correctness";

/// Whatever is handed over, the command line does not panic. What it accepts it uses, and answers in
/// JSON that is valid, has a schema number and holds nothing that a terminal obeys.
pub(crate) fn check(bytes: &[u8]) {
    STAGE.with(|stage| match bytes.split_first() {
        None => {}
        Some((manner, bytes)) if manner % 4 == 3 => check_names(stage, bytes),
        Some((manner, bytes)) => check_user(stage, bytes, manner % 4 == 1),
    });
}

thread_local! {
    static STAGE: Stage = Stage::new();
}

/// A store with a course, which is kept open: commands are its guests.
struct Stage {
    // First, because it is closed before its directory goes.
    _owner: SharedEngine,
    directory: TempDir,
}

/// What became of a command.
#[derive(Debug)]
struct Answer {
    exit: Exit,
    stdout: String,
    stderr: String,
}

fn check_user(stage: &Stage, user: &[u8], with_fields: bool) {
    // Where the file is named.
    const USER: usize = 5;
    let mut arguments = vec!["--format", "json", "blocks", COURSE, "--user", "-"];
    if with_fields {
        arguments.extend(["--fields", FIELDS]);
    }
    let answer = stage.run(&arguments, user);
    let Some(json) = answer.checked() else {
        return;
    };
    // It may be that all of them are hidden, the root too.
    assert!(json["blocks"].is_object() && json["root"].is_string());

    // A file says the same as stdin, unless what it says depends on the present.
    let value: BTreeMap<String, Value> = serde_json::from_slice(user).expect("it was accepted");
    if value.get("now").is_some_and(|now| !now.is_null()) {
        let file = stage.path("user.json");
        fs::write(&file, [b"\n", user].concat()).expect("a file");
        arguments[USER] = file.to_str().expect("a path of text");
        assert_eq!(stage.run(&arguments, b"").stdout, answer.stdout);
    }

    // Nothing that it says is passed over.
    let mut more = value;
    more.insert("nobody's field".to_owned(), Value::Null);
    let more = serde_json::to_vec(&more).expect("an object");
    let refused = stage.run(&["blocks", COURSE, "--user", "-"], &more);
    assert_eq!(refused.exit, Exit::Usage, "{refused:?}");

    // For people it is another form of the same.
    let told = stage.run(&["blocks", COURSE, "--user", "-"], user);
    assert_eq!(told.exit, Exit::Done, "{told:?}");
    told.check_is_harmless();
}

/// Each line of the text is a name, and none of them an option.
fn check_names(stage: &Stage, bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let usable = |name: &&str| !name.starts_with('-') && !name.contains('\0');
    let names: Vec<_> = text.split('\n').filter(usable).take(3).collect();
    let [one, other, third] = [0, 1, 2].map(|place| *names.get(place).unwrap_or(&""));
    let commands: [&[&str]; 6] = [
        &["courses"],
        &["structure", one],
        &["inspect", one, other],
        &["get", one, other],
        &["get", COURSE, "--block", one],
        &["blocks", one, "--root", other, "--fields", third],
    ];
    for command in commands {
        let arguments = [&["--format", "json"], command].concat();
        stage.run(&arguments, b"").checked();
        stage.run(command, b"").check_is_harmless();
    }
}

impl Stage {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        for (name, text) in FILES {
            let place = directory.path().join("export").join(name);
            fs::create_dir_all(place.parent().expect("a parent")).expect("a directory");
            fs::write(place, text).expect("a file");
        }
        let store = directory.path().join("store");
        let owner = SharedEngine::open(&store, &SledOptions::default()).expect("a store");
        let stage = Self {
            _owner: owner,
            directory,
        };
        let export = stage.path("export");
        let imported = stage.run(&["import", export.to_str().expect("a path of text")], b"");
        assert_eq!(imported.exit, Exit::Done, "{imported:?}");
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn run(&self, arguments: &[&str], stdin: &[u8]) -> Answer {
        let store = self.path("store");
        let mut all: Vec<OsString> = vec!["courseblocks".into(), "--store".into(), store.into()];
        all.extend(arguments.iter().map(OsString::from));
        let [stdout, stderr] = [Written::default(), Written::default()];
        let streams = Streams::new(Cursor::new(stdin.to_vec()), stdout.clone(), stderr.clone());
        let exit = cli::run(Registry::standard(), all, streams);
        Answer {
            exit,
            stdout: stdout.text(),
            stderr: stderr.text(),
        }
    }
}

impl Answer {
    /// The JSON that it is, if it is one.
    fn checked(&self) -> Option<Value> {
        assert!(
            matches!(self.exit, Exit::Done | Exit::Incomplete | Exit::Usage),
            "{self:?}"
        );
        self.check_is_harmless();
        if self.exit != Exit::Done {
            assert!(!self.stderr.is_empty(), "{self:?}");
        }
        if self.stdout.is_empty() {
            assert_ne!(self.exit, Exit::Done, "{self:?}");
            return None;
        }
        let json: Value = serde_json::from_str(&self.stdout).expect("one document");
        assert_eq!(json["schema"], 1, "{self:?}");
        (self.exit == Exit::Done).then_some(json)
    }

    fn check_is_harmless(&self) {
        // What clap refuses is told as it was typed by the one who reads it.
        let told = (self.exit != Exit::Usage).then_some(&self.stderr);
        for stream in [&self.stdout].into_iter().chain(told) {
            let command = stream.chars().find(|character| obeyed(*character));
            assert_eq!(command, None, "{stream:?}");
        }
    }
}

/// What a terminal would obey instead of showing it: beside controls, what turns the direction of
/// text, and what ends a line.
fn obeyed(character: char) -> bool {
    let code = u32::from(character);
    let is_control = code < 0x20 || (0x7f..0xa0).contains(&code);
    let turns = [0x061c, 0x200e, 0x200f].contains(&code);
    let is_separator = (0x2028..=0x202e).contains(&code) || (0x2066..=0x2069).contains(&code);
    character != '\n' && (is_control || turns || is_separator)
}

/// A stream that remembers what was written to it.
#[derive(Clone, Debug, Default)]
struct Written(Rc<RefCell<Vec<u8>>>);

impl Written {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).expect("text")
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
