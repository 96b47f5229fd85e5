//! Generated courses, the same every time: what the benches measure on.

#![allow(dead_code, unused_imports, reason = "not every bench uses all of it")]

mod random;
mod sizes;
mod store;

use std::sync::Arc;
use std::time::Duration;

use courseblocks::modulestore::{Block, Course, CourseBuilder, ModuleStore};
use courseblocks::{
    CourseKey, Error, ErrorKind, FieldMap, FieldValue, Manager, Result, SourceVersion, Timestamp,
    UsageKey,
};

pub(crate) use random::Random;
pub(crate) use sizes::sizes;
pub(crate) use store::Fleet;

/// Lets a manager write.
pub(crate) fn join(manager: &Manager) {
    let hour = Duration::from_secs(3600);
    manager
        .join("bench", "bench", hour, Timestamp::MIN)
        .expect("joined");
}

/// A course of about `blocks` blocks in the usual shape: 8 chapters, sequentials of 4 verticals,
/// verticals of 5 components. Every tenth component has a second parent. The course is open since
/// 2025; the names of its blocks count up.
pub(crate) fn course(number: usize, blocks: usize) -> Course {
    generate(number, blocks, &Names::Counted)
}

/// The same shape with names and titles as Studio and authors give them: 32 random hexadecimal
/// digits, and 2 to 7 words. They compress as badly as those of real courses, and blocks that
/// belong together are far apart in the order of their keys.
pub(crate) fn authored_course(number: usize, blocks: usize) -> Course {
    generate(number, blocks, &Names::Authored { course: number })
}

/// How blocks are called.
enum Names {
    Counted,
    Authored { course: usize },
}

impl Names {
    fn id(&self, block_type: &str, id: usize) -> String {
        match self {
            Self::Counted => format!("{block_type}{id:08x}"),
            Self::Authored { course } => {
                let mut random = Self::random(*course, block_type, id);
                format!("{:016x}{:016x}", random.next(), random.next())
            }
        }
    }

    fn title(&self, key: &UsageKey, id: usize) -> String {
        match self {
            Self::Counted => format!("A title of about {id} words"),
            Self::Authored { course } => {
                let mut random = Self::random(*course, key.block_type(), id);
                let words = 2 + random.below(6);
                let words = (0..words).map(|_| WORDS[random.below(WORDS.len())]);
                words.collect::<Vec<_>>().join(" ")
            }
        }
    }

    /// What is only inherited does not open a course. The last chapter of an authored one is for
    /// later.
    fn start(&self, key: &UsageKey, id: usize) -> Option<&'static str> {
        match (self, key.block_type(), id) {
            (_, "course", _) => Some("2025-01-01T00:00:00Z"),
            (Self::Authored { .. }, "chapter", 7) => Some("2027-01-01T00:00:00Z"),
            _ => None,
        }
    }

    /// Each block has a sequence of its own.
    fn random(course: usize, block_type: &str, id: usize) -> Random {
        let text = block_type.bytes();
        let of_type = text.fold(0, |hash, byte| hash * 31 + u64::from(byte));
        Random::new((of_type << 40) ^ ((course as u64) << 20) ^ id as u64)
    }
}

/// What titles are made of.
const WORDS: [&str; 32] = [
    "Introduction",
    "to",
    "the",
    "of",
    "and",
    "Week",
    "Quiz",
    "Reading",
    "Module",
    "Lecture",
    "Exercise",
    "Final",
    "Review",
    "Problem",
    "Set",
    "Discussion",
    "Linear",
    "Systems",
    "History",
    "Cell",
    "Biology",
    "Energy",
    "Models",
    "Data",
    "Circuits",
    "Welcome",
    "Summary",
    "Part",
    "Practice",
    "Video",
    "Case",
    "Study",
];

/// The key of a generated course.
pub(crate) fn key(number: usize) -> CourseKey {
    CourseKey::course_v1("Bench", "Fleet", &format!("run{number}")).expect("valid")
}

fn generate(number: usize, blocks: usize, names: &Names) -> Course {
    let key = key(number);
    let usage = |block_type: &str, id: usize| {
        key.usage_key(block_type, &names.id(block_type, id))
            .expect("valid")
    };
    let root = key.usage_key("course", "course").expect("valid");
    let version = SourceVersion::new("v1").expect("short");
    let mut builder = CourseBuilder::new(key.clone(), root.clone(), version);
    let inherited = Arc::new(FieldMap::from([date("start", "2025-01-01T00:00:00Z")]));
    let define = |builder: &mut CourseBuilder, key: &UsageKey, id: usize| {
        let title = FieldValue::String(names.title(key, id));
        let mut fields = FieldMap::from([("display_name".to_owned(), title)]);
        fields.extend(names.start(key, id).map(|start| date("start", start)));
        if id % 40 == 7 {
            fields.insert("visible_to_staff_only".to_owned(), FieldValue::Bool(true));
        }
        if id % 15 == 3 {
            fields.extend([date("due", "2026-06-01T00:00:00Z")]);
            fields.insert("hide_after_due".to_owned(), FieldValue::Bool(true));
        }
        let inherited = Arc::clone(&inherited);
        builder.define(
            key.clone(),
            Block {
                fields,
                inherited,
                ..Block::default()
            },
        );
    };
    define(&mut builder, &root, 0);
    let components = blocks * 20 / 26;
    let verticals = components.div_ceil(5);
    let mut shared = None;
    for vertical in 0..verticals {
        let sequential = vertical / 4;
        let chapter = sequential * 8 / verticals.div_ceil(4).max(1);
        let (chapter_key, sequential_key) =
            (usage("chapter", chapter), usage("sequential", sequential));
        if vertical % 4 == 0 {
            if sequential == 0 || chapter != (sequential - 1) * 8 / verticals.div_ceil(4).max(1) {
                builder.add_child(&root, &chapter_key);
                define(&mut builder, &chapter_key, chapter);
            }
            builder.add_child(&chapter_key, &sequential_key);
            define(&mut builder, &sequential_key, sequential);
        }
        let vertical_key = usage("vertical", vertical);
        builder.add_child(&sequential_key, &vertical_key);
        define(&mut builder, &vertical_key, vertical);
        for component in vertical * 5..(vertical * 5 + 5).min(components) {
            let block_type = ["html", "problem", "video"][component % 3];
            let component_key = usage(block_type, component);
            builder.add_child(&vertical_key, &component_key);
            define(&mut builder, &component_key, component);
            if component % 10 == 9 {
                shared = Some(component_key);
            }
        }
        if let Some(shared) = shared.take_if(|_| vertical % 2 == 0) {
            builder.add_child(&vertical_key, &shared);
        }
    }
    builder.build().expect("a course")
}

fn date(name: &str, text: &str) -> (String, FieldValue) {
    (
        name.to_owned(),
        FieldValue::Date(text.parse().expect("a date")),
    )
}

/// A module store that has one course.
#[derive(Debug)]
pub(crate) struct OneCourse(pub(crate) Course);

impl ModuleStore for OneCourse {
    fn source_version(&self, course: &CourseKey) -> Result<SourceVersion> {
        Ok(self.load(course)?.source_version().clone())
    }

    fn load(&self, course: &CourseKey) -> Result<Course> {
        if course == self.0.key() {
            Ok(self.0.clone())
        } else {
            Err(Error::new(
                ErrorKind::NotFound,
                format!("no course {course}"),
            ))
        }
    }
}
