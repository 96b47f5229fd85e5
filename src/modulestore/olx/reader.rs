//! Walks the definitions of a course from its root through pointers and inline elements, and
//! names, reads and shares blocks as the original does. Knows one branch at a time: the published
//! one or the drafts. What the blocks form together is not decided here.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sha1::{Digest, Sha1};

use super::element::{Element, Snippet};
use super::field_types;
use super::findings::{Fault, Findings, Site};
use super::limits::Budget;
use super::policy::Policy;
use super::settings::{PLACEMENT, Settings};
use super::source::{Source, Unreadable, hexadecimal};
use super::{body, path};
use crate::error::Result;
use crate::key::{CourseKey, UsageKey};
use crate::modulestore::{Block, Body, ProblemKind};

/// Reads one branch of an export.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    source: &'a Source,
    course: &'a CourseKey,
    policy: &'a Policy,
    branch: Branch,
    budget: &'a mut Budget,
    /// What is missing.
    pub(super) errors: Findings,
    /// What is there, but perhaps not as it was meant.
    pub(super) warnings: Findings,
    /// What was read.
    pub(super) definitions: HashMap<UsageKey, Definition>,
    // What a tag and a name stand for, in the whole branch.
    names: HashMap<(String, String), Known>,
    // The blocks that are being read, from the root down to the present one.
    open: HashSet<UsageKey>,
}

/// Which of the two trees of an export is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Branch {
    Published,
    Drafts,
}

/// A block that is to be read.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) key: UsageKey,
    pub(super) tag: String,
    /// The id by which files and policies know the block.
    pub(super) name: String,
    pub(super) element: Element,
    pub(super) place: Place,
}

/// Where the definition of a block stands.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// In a file of its own.
    File(Arc<str>),
    /// In this file, inside the definition of another block.
    Inline(Option<Arc<str>>),
}

/// A block as it was read, with its children as they were written.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) block: Block,
    pub(super) children: Vec<Edge>,
    /// The file in which the children stand.
    pub(super) file: Option<Arc<str>>,
    // The text of an inline definition, to know the same one again.
    text: Option<Snippet>,
}

/// A child in its parent.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    pub(super) child: UsageKey,
    /// Among the children in the document, from 0. Those that are lost count too.
    pub(super) position: u32,
    pub(super) line: u32,
    /// Whether the original would have lost this child.
    pub(super) is_ours_alone: bool,
}

#[derive(Clone, Debug)]
enum Known {
    Block(UsageKey),
    Lost(Fault),
}

/// What a child element turned out to be.
enum Child {
    /// A block that was read before.
    Known(UsageKey),
    /// The same, where the original knows it no more.
    Again(UsageKey),
    /// A block that is yet to be read.
    New(Box<Opening>),
}

/// A block whose children are being read.
struct Frame {
    key: UsageKey,
    definition: Definition,
    pending: std::vec::IntoIter<Pending>,
}

struct Pending {
    position: u32,
    line: u32,
    what: PendingChild,
}

enum PendingChild {
    Element(Box<Element>),
    /// A block that a conditional shows, defined anywhere.
    Shown(UsageKey),
}

/// Results of a step: the outer error ends the import, the inner one loses a block.
type Step<T> = Result<std::result::Result<T, Fault>>;

impl<'a> Reader<'a> {
    pub(super) fn new(
        source: &'a Source,
        course: &'a CourseKey,
        policy: &'a Policy,
        branch: Branch,
        budget: &'a mut Budget,
    ) -> Self {
        let problems = budget.problems();
        Self {
            source,
            course,
            policy,
            branch,
            budget,
            errors: Findings::new(problems),
            warnings: Findings::new(problems),
            definitions: HashMap::new(),
            names: HashMap::new(),
            open: HashSet::new(),
        }
    }

    /// Reads a block and all that is below it.
    ///
    /// The walk has a stack of its own: a chain of pointers may be as long as there are files.
    pub(super) fn read(&mut self, opening: Opening) -> Step<()> {
        let mut stack = match self.open(opening)? {
            Ok(frame) => vec![frame],
            Err(fault) => return Ok(Err(fault)),
        };
        while let Some(frame) = stack.last_mut() {
            let Some(pending) = frame.pending.next() else {
                if let Some(frame) = stack.pop() {
                    self.close(frame);
                }
                continue;
            };
            let site = Site {
                parent: Some(frame.key.clone()),
                position: pending.position,
                file: frame.definition.file.clone(),
                line: pending.line,
            };
            let child = match pending.what {
                PendingChild::Shown(key) => Ok(Child::Known(key)),
                PendingChild::Element(element) => self.child(*element, &site)?,
            };
            let mut inner = None;
            let mut is_ours_alone = false;
            let child = match child {
                Ok(Child::Known(key)) => Ok(key),
                Ok(Child::Again(key)) => {
                    is_ours_alone = true;
                    Ok(key)
                }
                Ok(Child::New(opening)) => self
                    .open(*opening)?
                    .map(|frame| inner.insert(frame).key.clone()),
                Err(fault) => Err(fault),
            };
            match child {
                Ok(child) => frame.definition.children.push(Edge {
                    child,
                    position: site.position,
                    line: site.line,
                    is_ours_alone,
                }),
                Err(fault) => self.errors.push(fault.at(&site)),
            }
            stack.extend(inner);
        }
        Ok(Ok(()))
    }

    /// What a child element stands for.
    fn child(&mut self, element: Element, site: &Site) -> Step<Child> {
        let element = dissolve_section(element);
        match element.name() {
            Some(name) if element.is_pointer() => self.pointer(element, name, site),
            name => self.inline(element, name, site),
        }
    }

    fn pointer(&mut self, element: Element, name: String, site: &Site) -> Step<Child> {
        let tag = element.tag.clone();
        let wanted = pointed_name(&tag, &name);
        let id = (tag, name);
        let known = match self.names.get(&id) {
            Some(Known::Lost(fault)) => return Ok(Err(fault.clone())),
            Some(Known::Block(key)) => Some(key.clone()),
            None => None,
        };
        let file = self.file_name(&wanted);
        if let Some(key) = known {
            if self.open.contains(&key) {
                return Ok(Err(cycle(file.as_deref())));
            }
            if field_types::is_unique(&id.0) {
                let message = "the block is pointed to again: the original loses the second one";
                let fault = Fault::new(ProblemKind::DuplicatePointer, message);
                self.errors.push(fault.at(site));
                return Ok(Ok(Child::Again(key)));
            }
            let defined_in = self.definitions.get(&key);
            let source_file = defined_in.and_then(|known| known.block.source_file.as_deref());
            let is_there = file.as_deref().is_some_and(|file| self.source.has(file));
            if !is_there || source_file == file.as_deref() {
                return Ok(Ok(Child::Known(key)));
            }
        }
        let opening = match self.pointed_to(element, &id, &wanted, file)? {
            Ok(opening) => opening,
            Err(fault) => {
                self.names.insert(id, Known::Lost(fault.clone()));
                return Ok(Err(fault));
            }
        };
        Ok(Ok(Child::New(Box::new(opening))))
    }

    /// The definition in the file of a pointer.
    fn pointed_to(
        &mut self,
        pointer: Element,
        (tag, name): &(String, String),
        wanted: &str,
        file: Option<String>,
    ) -> Step<Opening> {
        let key = match self.key_of(tag, name) {
            Ok(key) => key,
            Err(fault) => return Ok(Err(fault)),
        };
        let Some(file) = file else {
            return Ok(Err(escapes(wanted)));
        };
        let (element, place) = match self.source.text(&file) {
            Err(Unreadable::Missing) if !field_types::needs_a_file(tag) => {
                (pointer, Place::Inline(None))
            }
            _ => match self.parse(&file, tag)? {
                Ok(element) => (element, Place::File(file.into())),
                Err(fault) => return Ok(Err(fault)),
            },
        };
        Ok(Ok(Opening {
            key,
            tag: tag.clone(),
            name: name.clone(),
            element,
            place,
        }))
    }

    fn inline(&mut self, element: Element, name: Option<String>, site: &Site) -> Step<Child> {
        let tag = element.tag.clone();
        let has_own_name = name.is_some();
        let name = match name {
            Some(name) => name,
            None => self.generated_name(&element, None)?,
        };
        let mut id = (tag, name);
        if let Some(Known::Block(key)) = self.names.get(&id) {
            let key = key.clone();
            let is_same = self.is_defined_as(&key, element.source());
            if is_same && !(has_own_name && field_types::is_unique(&id.0)) {
                return Ok(Ok(Child::Known(key)));
            }
            if field_types::is_unique(&id.0) {
                id.1 = self.generated_name(&element, Some(&id.1))?;
                let message = "the name is used already, so the block got another";
                let fault = Fault::new(ProblemKind::DuplicateName, message);
                self.warnings.push(fault.at(site));
                if let Some(Known::Block(key)) = self.names.get(&id) {
                    return Ok(Ok(Child::Known(key.clone())));
                }
            }
        }
        let key = match self.key_of(&id.0, &id.1) {
            Ok(key) => key,
            Err(fault) => return Ok(Err(fault)),
        };
        if self.open.contains(&key) {
            return Ok(Err(cycle(None)));
        }
        Ok(Ok(Child::New(Box::new(Opening {
            key,
            tag: id.0,
            name: id.1,
            element,
            place: Place::Inline(site.file.clone()),
        }))))
    }

    /// Reads all of a block but its children.
    fn open(&mut self, opening: Opening) -> Step<Frame> {
        self.budget.charge_block()?;
        let id = (opening.tag.clone(), opening.name.clone());
        let has_file = matches!(opening.place, Place::File(_));
        let frame = self.frame(opening)?;
        match &frame {
            Ok(frame) => {
                self.names.insert(id, Known::Block(frame.key.clone()));
                self.open.insert(frame.key.clone());
            }
            // The next pointer leads to the same file.
            Err(fault) if has_file => {
                self.names.insert(id, Known::Lost(fault.clone()));
            }
            Err(_) => {}
        }
        Ok(frame)
    }

    fn frame(&mut self, opening: Opening) -> Step<Frame> {
        let course = self.course;
        let block_type = opening.key.block_type().to_owned();
        let (mut file, mut source_file) = match &opening.place {
            Place::File(file) => (Some(Arc::clone(file)), Some(Arc::clone(file))),
            Place::Inline(file) => (file.clone(), None),
        };
        let is_inline = source_file.is_none();
        let is_self_contained = is_inline && opening.element.is_self_contained();
        let text = is_inline.then(|| opening.element.snippet());
        let (set_in, line) = (file.clone(), opening.element.line);

        let mut element = opening.element;
        let mut settings = Settings::new(&block_type, course);
        let mut takes_policy = !is_self_contained && block_type != "video";
        let mut body = None;
        let mut body_file = None;
        if is_self_contained {
            settings.self_contained(&element);
            if block_type == "discussion"
                && let Some((path, legacy)) = self.discussion_file(&opening.name)?
            {
                settings.attributes(&legacy);
                takes_policy = true;
                source_file = Some(path);
            }
        } else {
            settings.attributes(&element);
            match (block_type.as_str(), element.attribute("filename")) {
                (_, None) | ("video", _) => {}
                ("html", Some(filename)) => match self.html_body(&opening.name, filename)? {
                    Ok(text) => body = Some(text),
                    Err(fault) => return Ok(Err(fault)),
                },
                (_, Some(filename)) => match self.definition_file(&opening.tag, filename)? {
                    Ok((path, definition)) => {
                        element = definition;
                        file = Some(Arc::clone(&path));
                        body_file = Some(path);
                    }
                    Err(fault) => return Ok(Err(fault)),
                },
            }
            if block_type == "html" && !element.has_json_meta() {
                // In a page it is markup.
                element.keep_meta();
            }
            if let Some(meta) = element.meta.as_ref().filter(|_| block_type != "video") {
                settings.meta(&meta.text);
            }
        }
        if takes_policy && let Some(entry) = self.policy.of(&block_type, &opening.name) {
            self.budget.charge_bytes(entry.bytes)?;
            settings.policy(&entry.settings);
        }
        if self.branch == Branch::Drafts {
            settings.forget(&PLACEMENT);
        }
        for (name, reason) in &settings.refused {
            let message = format!("the field {name} is not used as it stands: {reason}");
            let fault = Fault::new(ProblemKind::BadFieldValue, message);
            self.warn_in(fault, set_in.as_deref(), line);
        }
        let block = Block {
            fields: settings.fields,
            inherited: Arc::default(),
            xml_attributes: settings.xml_attributes,
            source_file: source_file.as_deref().map(str::to_owned),
            body: body.unwrap_or_else(|| body_of(&block_type, &element, body_file.as_deref())),
            original: None,
        };
        let pending = self.children_of(&block_type, element, file.as_deref());
        Ok(Ok(Frame {
            key: opening.key,
            definition: Definition {
                block,
                children: Vec::with_capacity(pending.len()),
                file,
                text,
            },
            pending: pending.into_iter(),
        }))
    }

    fn close(&mut self, frame: Frame) {
        let Frame {
            key, definition, ..
        } = frame;
        self.open.remove(&key);
        if let Some(earlier) = self.definitions.get(&key)
            && !earlier.is_same_as(&definition)
        {
            let message = format!("{key} is defined again: the later definition stands");
            let fault = Fault::new(ProblemKind::Redefinition, message);
            let fault = match &definition.file {
                Some(file) => fault.in_file(&**file),
                None => fault,
            };
            self.warnings.push(fault.problem());
        }
        self.definitions.insert(key, definition);
    }

    /// The children as they stand in the document, before it is known what they are.
    fn children_of(
        &mut self,
        block_type: &str,
        element: Element,
        file: Option<&str>,
    ) -> Vec<Pending> {
        if element.has_stray_text {
            let fault = Fault::new(
                ProblemKind::StrayText,
                "text between the children is not part of the course",
            );
            self.warn_in(fault, file, element.line);
        }
        let mut pending = Vec::with_capacity(element.children.len());
        let mut has_wiki = false;
        let mut position = 0;
        for child in element.children {
            let line = child.line;
            match (block_type, child.tag.as_str()) {
                ("course", "textbook") => continue,
                ("course", "wiki") if !has_wiki => {
                    has_wiki = true;
                    continue;
                }
                ("conditional", "show") => {
                    let shown = self.shown_by(&child, file);
                    pending.extend(shown.into_iter().map(|key| Pending {
                        position,
                        line,
                        what: PendingChild::Shown(key),
                    }));
                }
                _ => pending.push(Pending {
                    position,
                    line,
                    what: PendingChild::Element(Box::new(child)),
                }),
            }
            position += 1;
        }
        pending
    }

    /// The blocks that a conditional shows, which are defined anywhere in the course.
    fn shown_by(&mut self, show: &Element, file: Option<&str>) -> Vec<UsageKey> {
        let mut shown = Vec::new();
        let sources = show.attribute("sources").unwrap_or_default();
        for source in sources.split(';').map(str::trim) {
            if source.is_empty() {
                continue;
            }
            let key = source.parse::<UsageKey>();
            if let Ok(key) = key.and_then(|key| key.map_into_course(self.course)) {
                shown.push(key);
            } else {
                let message = "a conditional shows what is no usage key";
                let fault = Fault::new(ProblemKind::BadFieldValue, message);
                self.warn_in(fault, file, show.line);
            }
        }
        shown
    }

    /// The body of a page, byte for byte.
    fn html_body(&mut self, id: &str, filename: &str) -> Step<Body> {
        let candidates = body::html_candidates(id, filename);
        let path = match self.first_of(&candidates) {
            Ok(path) => path,
            Err(fault) => return Ok(Err(fault)),
        };
        match self.source.text(&path) {
            Ok(text) => {
                self.budget.charge_bytes(text.len())?;
                Ok(Ok(Body::Text {
                    text: text.to_string(),
                    path: Some(path),
                }))
            }
            Err(why) => Ok(Err(Fault::unreadable(&path, why))),
        }
    }

    /// The definition in the file that `filename` names.
    fn definition_file(&mut self, tag: &str, filename: &str) -> Step<(Arc<str>, Element)> {
        let candidates = body::definition_candidates(tag, filename);
        let path = match self.first_of(&candidates) {
            Ok(path) => path,
            Err(fault) => return Ok(Err(fault)),
        };
        let parsed = self.parse(&path, tag)?;
        Ok(parsed.map(|element| (path.into(), element)))
    }

    /// The file in which exports of long ago kept a discussion. A broken one is as good as none.
    fn discussion_file(&mut self, name: &str) -> Result<Option<(Arc<str>, Element)>> {
        let Some(path) = self.file_name(&pointed_name("discussion", name)) else {
            return Ok(None);
        };
        if !self.source.has(&path) {
            return Ok(None);
        }
        match self.parse(&path, "discussion")? {
            Ok(element) => Ok(Some((path.into(), element))),
            Err(fault) => {
                self.warnings.push(fault.problem());
                Ok(None)
            }
        }
    }

    /// The first of these files that is there; if none is, the first of them is missing.
    fn first_of(&self, candidates: &[String]) -> std::result::Result<String, Fault> {
        let mut wanted = None;
        for candidate in candidates {
            let Some(path) = self.file_name(candidate) else {
                return Err(escapes(candidate));
            };
            if self.source.has(&path) {
                return Ok(path);
            }
            wanted.get_or_insert(path);
        }
        let wanted = wanted.unwrap_or_default();
        Err(Fault::unreadable(&wanted, Unreadable::Missing))
    }

    /// The root element of a file, read as a definition with this tag.
    fn parse(&mut self, path: &str, tag: &str) -> Step<Element> {
        let text = match self.source.text(path) {
            Ok(text) => text,
            Err(why) => return Ok(Err(Fault::unreadable(path, why))),
        };
        self.budget.charge_bytes(text.len())?;
        let parsed = Element::parse(text, Some(tag));
        Ok(parsed.map_err(|fault| Fault::xml(path, &fault)))
    }

    /// The name of a file of this branch; `None` if it would lie outside.
    fn file_name(&self, name: &str) -> Option<String> {
        path::normalise(name).map(|name| [self.branch.folder(), &name].concat())
    }

    fn key_of(&self, tag: &str, name: &str) -> std::result::Result<UsageKey, Fault> {
        let block_type = block_type_of(tag);
        self.course
            .usage_key(block_type, name)
            .map_err(|error| Fault::new(ProblemKind::InvalidName, error.to_string()))
    }

    /// A name for an element that has none, or one that is used already: it depends on the text of
    /// the element only, so it is the same in every import of the same course.
    fn generated_name(&mut self, element: &Element, used: Option<&str>) -> Result<String> {
        let text = element.source();
        self.budget.charge_bytes(text.len())?;
        let hash = hexadecimal(&Sha1::digest(text));
        let digits = hash.get(..GENERATED_DIGITS).unwrap_or_default();
        let tag = element.tag.as_str();
        let stem = used.map_or("", |name| name_without_digits(tag, name));
        let separator = if stem.is_empty() { "" } else { "_" };
        Ok(format!("{tag}{separator}{stem}_{digits}"))
    }

    fn is_defined_as(&self, key: &UsageKey, text: &str) -> bool {
        let earlier = self
            .definitions
            .get(key)
            .and_then(|earlier| earlier.text.as_ref());
        earlier.is_some_and(|earlier| earlier.as_str() == text)
    }

    fn warn_in(&mut self, fault: Fault, file: Option<&str>, line: u32) {
        let fault = match file {
            Some(file) => fault.in_file(file).at_line(line),
            None => fault,
        };
        self.warnings.push(fault.problem());
    }
}

impl Branch {
    /// What the names of its files begin with.
    const fn folder(self) -> &'static str {
        match self {
            Self::Published => "",
            Self::Drafts => path::DRAFTS,
        }
    }
}

impl Definition {
    /// Whether the two differ in nothing that a learner could notice.
    fn is_same_as(&self, other: &Self) -> bool {
        let children = |definition: &Self| -> Vec<UsageKey> {
            let edges = definition.children.iter();
            edges.map(|edge| edge.child.clone()).collect()
        };
        self.block.fields == other.block.fields
            && self.block.xml_attributes == other.block.xml_attributes
            && self.block.body == other.block.body
            && children(self) == children(other)
    }
}

/// How many digits of the hash a generated name ends in.
const GENERATED_DIGITS: usize = 12;

/// The type of the block that a tag stands for.
pub(super) fn block_type_of(tag: &str) -> &str {
    match tag {
        "videoalpha" => "video",
        tag => tag,
    }
}

/// The file of a pointer, relative to its branch.
pub(super) fn pointed_name(tag: &str, id: &str) -> String {
    format!("{tag}/{}.xml", path::from_id(id))
}

/// The old `section` is its only child, with the attributes of both, or else a `sequential`.
fn dissolve_section(mut element: Element) -> Element {
    while element.tag == "section" {
        match element.children.pop() {
            Some(mut child) if element.children.is_empty() => {
                for (name, value) in element.attributes {
                    child.set_attribute(name, value);
                }
                element = child;
            }
            last => {
                element.children.extend(last);
                "sequential".clone_into(&mut element.tag);
            }
        }
    }
    element
}

/// The content of a block that lies in its definition.
fn body_of(block_type: &str, element: &Element, file: Option<&str>) -> Body {
    let text = match block_type {
        "html" => element.inner_body(),
        _ if field_types::is_container(block_type) => return Body::None,
        "problem" => element.outer_body(),
        _ if element.is_bare() => return Body::None,
        _ => element.outer_body(),
    };
    if text.is_empty() {
        return Body::None;
    }
    Body::Text {
        path: file.map(str::to_owned),
        text,
    }
}

/// A name that was generated before loses its old digits.
fn name_without_digits<'a>(tag: &str, name: &'a str) -> &'a str {
    let generated = || {
        let stem = name.strip_prefix(tag)?.strip_prefix('_')?;
        let (stem, digits) = stem.split_at_checked(stem.len().checked_sub(GENERATED_DIGITS)?)?;
        let is_hash = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_hash.then(|| stem.trim_end_matches('_'))
    };
    generated().unwrap_or(name)
}

fn cycle(file: Option<&str>) -> Fault {
    let fault = Fault::new(ProblemKind::Cycle, "the block contains itself");
    match file {
        Some(file) => fault.in_file(file),
        None => fault,
    }
}

fn escapes(path: &str) -> Fault {
    let message = "the name leads out of the course";
    Fault::new(ProblemKind::PathEscape, message).in_file(path)
}
