//! Generated courses, the same every time: what the benches measure on.

use std::sync::Arc;
use std::time::Duration;

use courseblocks::modulestore::{Block, Course, CourseBuilder, ModuleStore};
use courseblocks::{
    CourseKey, Error, ErrorKind, FieldMap, FieldValue, Manager, Result, SourceVersion, Timestamp,
};

/// Lets a manager write.
#[allow(dead_code, reason = "not every bench uses all of it")]
pub(crate) fn join(manager: &Manager) {
    let hour = Duration::from_secs(3600);
    manager
        .join("bench", "bench", hour, Timestamp::MIN)
        .expect("joined");
}

/// A course of about `blocks` blocks in the usual shape: 8 chapters, sequentials of 4 verticals,
/// verticals of 5 components. Every tenth component has a second parent.
pub(crate) fn course(number: usize, blocks: usize) -> Course {
    let key = CourseKey::course_v1("Bench", "Fleet", &format!("run{number}")).expect("valid");
    let usage = |block_type: &str, id: usize| {
        key.usage_key(block_type, &format!("{block_type}{id:08x}"))
            .expect("valid")
    };
    let root = key.usage_key("course", "course").expect("valid");
    let version = SourceVersion::new("v1").expect("short");
    let mut builder = CourseBuilder::new(key.clone(), root.clone(), version);
    let inherited = Arc::new(FieldMap::from([date("start", "2025-01-01T00:00:00Z")]));
    let define = |builder: &mut CourseBuilder, key: &courseblocks::UsageKey, id: usize| {
        let mut fields = FieldMap::from([(
            "display_name".to_owned(),
            FieldValue::String(format!("A title of about {id} words")),
        )]);
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
