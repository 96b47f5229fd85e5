//! Makes a course of an export: finds out which course it is, reads its branches and everything
//! beside them, and puts them together. Knows the order of these steps.

use super::element::Element;
use super::fatal::{Fatal, FatalKind};
use super::findings::{Fault, Findings};
use super::limits::{Budget, Limits};
use super::policy::{self, Policy};
use super::reader::{Branch, Opening, Place, Reader, pointed_name};
use super::source::{RootFile, Source};
use super::{assembly, detached, drafts, path};
use crate::error::Result;
use crate::key::{CourseKey, UsageKey, clean_name};
use crate::modulestore::{Course, CourseBuilder, Problem, ProblemKind};

/// Which course an export is of.
pub(super) struct Identity {
    pub(super) key: CourseKey,
    // The id by which files and policies know the root.
    run: String,
    root: UsageKey,
    element: Element,
    warnings: Vec<Problem>,
}

/// Reads the whole course.
pub(super) fn import(source: &Source, limits: &Limits) -> Result<Course> {
    let Identity {
        key,
        run,
        root,
        element,
        warnings: guesses,
    } = identify(source)?;
    let mut errors = Findings::new(limits.problems);
    let mut warnings = Findings::new(limits.problems);
    for warning in source.warnings.iter().cloned().chain(guesses) {
        warnings.push(warning);
    }
    let policy = match source.root {
        RootFile::Course => Policy::read(source, &run, &mut errors),
        RootFile::Library => Policy::default(),
    };

    let mut budget = Budget::new(limits);
    let mut reader = Reader::new(source, &key, &policy, Branch::Published, &mut budget);
    let (element, place) = definition_of_root(source, element)?;
    let opening = Opening {
        key: root.clone(),
        tag: root.block_type().to_owned(),
        name: run.clone(),
        element,
        place,
    };
    reader
        .read(opening)?
        .map_err(|fault| fatal(source, fault))?;
    errors.extend(reader.errors);
    warnings.extend(reader.warnings);
    let definitions = reader.definitions;

    let mut course = CourseBuilder::new(key.clone(), root.clone(), source.version()?);
    assembly::assemble(
        definitions,
        &root,
        &mut course,
        &mut budget,
        &mut errors,
        &mut warnings,
    )?;
    if source.root == RootFile::Course {
        let grading_policy = policy::grading_policy(source, &run, &mut warnings);
        course.set_grading_policy(grading_policy);
    }
    let of_course = policy.of("course", &run);
    let tabs = of_course.and_then(|entry| entry.get("tabs"));
    for block in detached::read(source, &key, &run, tabs, &mut errors, &mut warnings) {
        course.add_detached(block);
    }
    course.set_drafts(drafts::read(source, &key, &mut budget)?);
    course.report().errors = errors.into_problems();
    course.report().warnings = warnings.into_problems();
    course.build()
}

/// Finds out which course it is, from the root file alone.
pub(super) fn identify(source: &Source) -> Result<Identity> {
    let name = source.root.name();
    let text = source
        .text(name)
        .map_err(|why| fatal(source, Fault::unreadable(name, why)))?;
    let tag = match source.root {
        RootFile::Course => "course",
        RootFile::Library => "library",
    };
    let element =
        Element::parse(text, Some(tag)).map_err(|fault| fatal(source, Fault::xml(name, &fault)))?;
    let mut warnings = Vec::new();
    let mut guess = |attribute: &str, value: &str| {
        let message = format!("there is no attribute {attribute}, so it is taken to be {value:?}");
        let fault = Fault::new(ProblemKind::MissingAttribute, message);
        warnings.push(fault.in_file(name).at_line(element.line).problem());
        value.to_owned()
    };
    let given = |attribute: &str| element.attribute(attribute).map(str::to_owned);
    let org = given("org").unwrap_or_else(|| guess("org", "edx"));
    let number = given(tag).unwrap_or_else(|| guess(tag, &source.directory));
    let (key, run) = match source.root {
        RootFile::Library => (CourseKey::library_v1(&org, &number), tag.to_owned()),
        RootFile::Course => {
            let run = run_of(&element).ok_or_else(|| {
                Fatal::new(FatalKind::NoRun, name, "there is no attribute url_name")
                    .at_line(Some(element.line))
            })?;
            (CourseKey::course_v1(&org, &number, &run), run)
        }
    };
    let invalid = |error: crate::KeyError| {
        Fatal::new(FatalKind::InvalidCourseKey, name, error.to_string()).at_line(Some(element.line))
    };
    let key = key.map_err(invalid)?;
    let root = key.usage_key(tag, tag).map_err(invalid)?;
    Ok(Identity {
        key,
        run,
        root,
        element,
        warnings,
    })
}

/// Where the original looks for the run.
fn run_of(element: &Element) -> Option<String> {
    let given = |name| element.attribute(name).filter(|value| !value.is_empty());
    given("url_name")
        .or_else(|| given("slug"))
        .map(str::to_owned)
        .or_else(|| given("name").map(clean_name))
}

/// The root element, or what it points to. Without it there is no course: an empty one would take
/// the place of what was published before.
fn definition_of_root(source: &Source, element: Element) -> Result<(Element, Place)> {
    let Some(name) = element.name().filter(|_| element.is_pointer()) else {
        return Ok((element, Place::Inline(Some(source.root.name().into()))));
    };
    let wanted = pointed_name(&element.tag, &name);
    let Some(file) = path::normalise(&wanted) else {
        let detail = "the name leads out of the course";
        return Err(Fatal::new(FatalKind::PathEscape, wanted, detail).into());
    };
    let text = source
        .text(&file)
        .map_err(|why| fatal(source, Fault::unreadable(&file, why)))?;
    let definition = Element::parse(text, Some(&element.tag))
        .map_err(|fault| fatal(source, Fault::xml(&file, &fault)))?;
    Ok((definition, Place::File(file.into())))
}

/// A fault of the root, of which nothing can be left out.
fn fatal(source: &Source, fault: Fault) -> Fatal {
    let kind = match fault.kind {
        ProblemKind::MissingFile => FatalKind::MissingFile,
        ProblemKind::BadUtf8 => FatalKind::BadUtf8,
        ProblemKind::EntityDeclaration => FatalKind::EntityDeclaration,
        ProblemKind::PathEscape => FatalKind::PathEscape,
        ProblemKind::LimitExceeded => FatalKind::LimitExceeded,
        _ => FatalKind::MalformedXml,
    };
    let path = fault.path.unwrap_or_else(|| source.root.name().to_owned());
    Fatal::new(kind, path, fault.message).at_line(fault.line)
}
