//! A module store in memory: courses that can be edited, taken away and made to fail. Every block
//! of a course tells by its name which content it is of.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use courseblocks::modulestore::{Course, CourseBuilder, ModuleStore, SourceVersion};
use courseblocks::{CourseKey, Error, ErrorKind, Result};

use crate::probe::Probe;

#[derive(Debug, Default)]
pub(crate) struct Courses {
    published: Mutex<BTreeMap<CourseKey, Content>>,
    /// Asked before every load of a whole course.
    pub(crate) loads: Probe,
}

/// What is published: a root with some children.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) version: String,
    pub(crate) children: usize,
}

impl Courses {
    /// With one course, called [`course_key`], at version `v1`.
    pub(crate) fn with_one() -> Arc<Self> {
        let courses = Self::default();
        courses.publish("v1");
        Arc::new(courses)
    }

    /// Publishes other content of [`course_key`]: the number of its blocks changes too.
    pub(crate) fn publish(&self, version: &str) {
        let last = version.bytes().last().unwrap_or_default();
        self.publish_with(version, 20 + usize::from(last % 7));
    }

    /// Publishes content with this number of blocks beside the root.
    pub(crate) fn publish_with(&self, version: &str, children: usize) {
        self.publish_course(&course_key(), version, children);
    }

    /// Publishes content of any course.
    pub(crate) fn publish_course(&self, course: &CourseKey, version: &str, children: usize) {
        let version = version.to_owned();
        self.published()
            .insert(course.clone(), Content { version, children });
    }

    /// Takes [`course_key`] away.
    #[allow(dead_code, reason = "not every test file uses all of it")]
    pub(crate) fn take_away(&self) {
        self.published().clear();
    }

    fn published(&self) -> MutexGuard<'_, BTreeMap<CourseKey, Content>> {
        self.published
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn content(&self, course: &CourseKey) -> Result<Content> {
        let content = self.published().get(course).cloned();
        content.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no course {course}")))
    }
}

impl ModuleStore for Courses {
    fn source_version(&self, course: &CourseKey) -> Result<SourceVersion> {
        SourceVersion::new(self.content(course)?.version)
    }

    fn load(&self, course: &CourseKey) -> Result<Course> {
        self.loads.call()?;
        self.content(course)?.build(course)
    }
}

impl Content {
    fn build(&self, key: &CourseKey) -> Result<Course> {
        let root = key.usage_key("course", "course")?;
        let version = SourceVersion::new(self.version.as_str())?;
        let mut course = CourseBuilder::new(key.clone(), root.clone(), version);
        for child in 0..self.children {
            let name = format!("{}-{child}", self.version);
            course.add_child(&root, &key.usage_key("html", &name)?);
        }
        course.build()
    }
}

/// The course that most tests are about.
pub(crate) fn course_key() -> CourseKey {
    "course-v1:Org+Course+Run".parse().unwrap()
}
