//! One element of a definition, owned and cut down to what makes blocks of it: attributes and
//! children of containers, and the source text of everything else.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use roxmltree::Node;

use super::field_types;
use super::json::Json;
use super::xml::{self, XmlFault};
use crate::key::clean_name;

/// An element and, if it is a container, those inside it.
#[derive(Debug)]
pub(super) struct Element {
    /// The name of the tag; with a namespace `{namespace}name`, which no usage key can hold.
    pub(super) tag: String,
    /// In the order of the document.
    pub(super) attributes: Vec<(String, String)>,
    /// The child elements of a container; of other elements they are part of the body.
    pub(super) children: Vec<Element>,
    /// Fields of a self-contained block that are written as elements.
    pub(super) options: Vec<OptionField>,
    /// Settings that are written as an element.
    pub(super) meta: Option<Meta>,
    /// Whether a container holds text between its children.
    pub(super) has_stray_text: bool,
    /// From 1.
    pub(super) line: u32,
    is_bare: bool,
    file: Arc<str>,
    range: Range<usize>,
    inner: Range<usize>,
}

/// The text of an element in its file.
#[derive(Clone, Debug)]
pub(super) struct Snippet {
    file: Arc<str>,
    range: Range<usize>,
}

/// `<option:NAME xmlns:option="http://code.edx.org/xblock/option">TEXT</option:NAME>`.
#[derive(Debug)]
pub(super) struct OptionField {
    pub(super) name: String,
    /// `None` for `none="true"`.
    pub(super) text: Option<String>,
}

/// `<meta>JSON</meta>`.
pub(super) struct Meta {
    pub(super) text: String,
    range: Range<usize>,
}

impl fmt::Debug for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meta")
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

const OPTION_NAMESPACE: &str = "http://code.edx.org/xblock/option";

impl Element {
    /// The root element of a file. `tag` takes the place of its own tag: where a pointer led here,
    /// the pointer's tag decides what is a child.
    pub(super) fn parse(file: &Arc<str>, tag: Option<&str>) -> Result<Self, XmlFault> {
        let document = xml::parse(file)?;
        let mut lines = LineCounter {
            text: file,
            at: 0,
            line: 1,
        };
        let root = document.root_element();
        Ok(Self::from_node(root, tag, file, &mut lines))
    }

    /// Recursive, no deeper than [`xml::MAX_DEPTH`].
    fn from_node(
        node: Node<'_, '_>,
        tag: Option<&str>,
        file: &Arc<str>,
        lines: &mut LineCounter<'_>,
    ) -> Self {
        let tag = tag.map_or_else(|| qualified(node), str::to_owned);
        let range = node.range();
        let line = lines.line_of(range.start);
        let attributes: Vec<(String, String)> = node
            .attributes()
            .map(|attribute| {
                let name = match attribute.namespace() {
                    Some(namespace) => format!("{{{namespace}}}{}", attribute.name()),
                    None => attribute.name().to_owned(),
                };
                (name, attribute.value().to_owned())
            })
            .collect();
        let inner_start = node
            .first_child()
            .map_or(range.end, |child| child.range().start);
        let inner_end = node
            .last_child()
            .map_or(range.end, |child| child.range().end);
        let mut element = Self {
            is_bare: !node
                .children()
                .any(|child| child.is_element() || has_text(child)),
            has_stray_text: false,
            tag,
            attributes,
            children: Vec::new(),
            options: Vec::new(),
            meta: None,
            line,
            file: Arc::clone(file),
            range,
            inner: inner_start..inner_end,
        };
        let is_container = holds_elements(&element.tag);
        for child in node.children() {
            if has_text(child) {
                element.has_stray_text |= is_container;
            }
            if !child.is_element() {
                continue;
            }
            if element.is_self_contained() && child.tag_name().namespace() == Some(OPTION_NAMESPACE)
            {
                element.options.push(OptionField::from_node(child));
            } else if element.meta.is_none() && child.has_tag_name("meta") {
                element.meta = Some(Meta {
                    text: child.text().unwrap_or_default().to_owned(),
                    range: child.range(),
                });
            } else if is_container {
                element
                    .children
                    .push(Self::from_node(child, None, file, lines));
            }
        }
        element
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find_map(|(key, value)| (key == name).then_some(value.as_str()))
    }

    /// Sets an attribute, in the place of one with the same name.
    pub(super) fn set_attribute(&mut self, name: String, value: String) {
        match self.attributes.iter_mut().find(|(key, _)| *key == name) {
            Some((_, old)) => *old = value,
            None => self.attributes.push((name, value)),
        }
    }

    /// The name that its author gave it, in the order in which the original looks for one.
    pub(super) fn name(&self) -> Option<String> {
        let cleaned = |name| self.attribute(name).map(clean_name);
        let verbatim = |name| self.attribute(name).map(str::to_owned);
        [
            verbatim("url_name"),
            verbatim("slug"),
            cleaned("name"),
            cleaned("display_name"),
        ]
        .into_iter()
        .flatten()
        .find(|name| !name.is_empty())
    }

    /// Whether the element only says where its definition is.
    pub(super) fn is_pointer(&self) -> bool {
        let expected: &[&str] = match self.tag.as_str() {
            "course" => &["course", "org", "url_name"],
            _ => &["url_name"],
        };
        self.is_bare
            && !self.is_self_contained()
            && self.attributes.len() == expected.len()
            && expected.iter().all(|name| self.attribute(name).is_some())
    }

    /// Whether the block is whole as it stands here. Libraries always are.
    pub(super) fn is_self_contained(&self) -> bool {
        self.tag == "library" || self.attribute("xblock-family") == Some("xblock.v1")
    }

    /// Whether there are neither elements nor text in it.
    pub(super) fn is_bare(&self) -> bool {
        self.is_bare
    }

    /// The element as its author wrote it.
    pub(super) fn source(&self) -> &str {
        self.file.get(self.range.clone()).unwrap_or_default()
    }

    /// What stands in the element, as its author wrote it, without `<meta>`.
    pub(super) fn inner_body(&self) -> String {
        self.without_meta(&self.inner)
    }

    /// The whole element as its author wrote it, without `<meta>`.
    pub(super) fn outer_body(&self) -> String {
        self.without_meta(&self.range)
    }

    /// The element as its author wrote it, for later.
    pub(super) fn snippet(&self) -> Snippet {
        Snippet {
            file: Arc::clone(&self.file),
            range: self.range.clone(),
        }
    }

    /// Whether `<meta>` holds settings, and not what pages have in theirs.
    pub(super) fn has_json_meta(&self) -> bool {
        let meta = self.meta.as_ref();
        meta.is_some_and(|meta| matches!(Json::parse(&meta.text), Ok(Json::Dict(_))))
    }

    /// Leaves `<meta>` in the body, where it is markup like any other.
    pub(super) fn keep_meta(&mut self) {
        self.meta = None;
    }

    fn without_meta(&self, range: &Range<usize>) -> String {
        let part = |range: Range<usize>| self.file.get(range).unwrap_or_default();
        match &self.meta {
            Some(meta) => [
                part(range.start..meta.range.start),
                part(meta.range.end..range.end),
            ]
            .concat(),
            None => part(range.clone()).to_owned(),
        }
    }
}

impl Snippet {
    pub(super) fn as_str(&self) -> &str {
        self.file.get(self.range.clone()).unwrap_or_default()
    }
}

impl OptionField {
    fn from_node(node: Node<'_, '_>) -> Self {
        let is_none = node.attribute("none") == Some("true");
        Self {
            name: node.tag_name().name().to_owned(),
            text: (!is_none).then(|| node.text().unwrap_or_default().to_owned()),
        }
    }
}

/// Containers, and the old `section` that is dissolved before it becomes a block.
fn holds_elements(tag: &str) -> bool {
    tag == "section" || field_types::is_container(tag)
}

fn has_text(node: Node<'_, '_>) -> bool {
    node.is_text() && node.text().is_some_and(|text| !text.trim().is_empty())
}

fn qualified(node: Node<'_, '_>) -> String {
    let name = node.tag_name();
    match name.namespace() {
        Some(namespace) => format!("{{{namespace}}}{}", name.name()),
        None => name.name().to_owned(),
    }
}

/// Counts lines once over a document whose elements are asked for in order.
struct LineCounter<'a> {
    text: &'a str,
    at: usize,
    line: u32,
}

impl LineCounter<'_> {
    fn line_of(&mut self, at: usize) -> u32 {
        if let Some(passed) = self.text.get(self.at..at) {
            let newlines = passed.bytes().filter(|byte| *byte == b'\n').count();
            self.line = self
                .line
                .saturating_add(u32::try_from(newlines).unwrap_or(u32::MAX));
            self.at = at;
        }
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(text: &str) -> Element {
        Element::parse(&text.into(), None).unwrap()
    }

    #[test]
    fn a_pointer_has_exactly_its_name() {
        #[track_caller]
        fn check(text: &str, expected: bool) {
            assert_eq!(element(text).is_pointer(), expected, "{text}");
        }
        check("<html url_name='a'/>", true);
        check("<html url_name='a'> \n </html>", true);
        check("<html url_name='a'><!-- comment --></html>", true);
        check("<html url_name='a' xmlns:x='urn:x'/>", true);
        check("<html url_name='a' display_name='b'/>", false);
        check("<html url_name='a'>text</html>", false);
        check("<html url_name='a'><p/></html>", false);
        check("<html/>", false);
        check("<html slug='a'/>", false);
        check("<done url_name='a' xblock-family='xblock.v1'/>", false);
        check("<course url_name='a' org='b' course='c'/>", true);
        check("<course url_name='a' org='b'/>", false);
        check("<course url_name='a'/>", false);
    }

    #[test]
    fn a_name_is_looked_for_in_four_places() {
        #[track_caller]
        fn check(text: &str, expected: Option<&str>) {
            assert_eq!(element(text).name().as_deref(), expected, "{text}");
        }
        check(
            "<a display_name='d d' name='n n' slug='s' url_name='u'/>",
            Some("u"),
        );
        check("<a display_name='d d' name='n n' slug='s s'/>", Some("s s"));
        check("<a display_name='d d' name='n  n'/>", Some("n_n"));
        check("<a display_name='d d'/>", Some("d_d"));
        check("<a url_name='' display_name='d'/>", Some("d"));
        check("<a/>", None);
    }

    #[test]
    fn only_containers_have_children() {
        let vertical =
            element("<vertical><html><p>x</p></html>\n<!-- c --><?pi?><problem/></vertical>");
        let tags: Vec<_> = vertical.children.iter().map(|child| &child.tag).collect();
        assert_eq!(tags, ["html", "problem"]);
        assert_eq!(vertical.children[0].inner_body(), "<p>x</p>");
        assert!(vertical.children[0].children.is_empty());
        assert!(!vertical.has_stray_text);
        assert_eq!(vertical.children[1].line, 2);
        assert!(element("<vertical><p/>stray</vertical>").has_stray_text);
    }

    #[test]
    fn the_tag_of_the_pointer_decides_what_a_child_is() {
        let file: Arc<str> = "<anything><p/></anything>".into();
        assert_eq!(
            Element::parse(&file, Some("vertical"))
                .unwrap()
                .children
                .len(),
            1
        );
        assert_eq!(
            Element::parse(&file, Some("html")).unwrap().children.len(),
            0
        );
    }

    #[test]
    fn meta_is_settings_and_no_body() {
        let html = element("<html>a<meta>{}</meta>b<meta>c</meta></html>");
        assert_eq!(
            html.meta.as_ref().map(|meta| meta.text.as_str()),
            Some("{}")
        );
        assert_eq!(html.inner_body(), "ab<meta>c</meta>");
        assert_eq!(html.outer_body(), "<html>ab<meta>c</meta></html>");
        let vertical = element("<vertical><meta>{}</meta><p/></vertical>");
        assert_eq!(vertical.children.len(), 1);
    }

    #[test]
    fn options_are_fields_of_a_self_contained_block_only() {
        let children = "<x:a xmlns:x='http://code.edx.org/xblock/option'>[]</x:a>\
                        <y:b xmlns:y='http://code.edx.org/xblock/option' none='true'/>";
        let library = element(&format!("<library>{children}<problem/></library>"));
        let options: Vec<_> = library
            .options
            .iter()
            .map(|option| (option.name.as_str(), option.text.as_deref()))
            .collect();
        assert_eq!(options, [("a", Some("[]")), ("b", None)]);
        assert_eq!(library.children.len(), 1);
        let vertical = element(&format!("<vertical>{children}</vertical>"));
        assert!(vertical.options.is_empty());
        assert_eq!(
            vertical.children[0].tag,
            "{http://code.edx.org/xblock/option}a"
        );
    }

    #[test]
    fn attributes_keep_their_namespaces_and_are_normalised() {
        let html = element("<html xml:space='preserve' a='x\n\ty &lt;'/>");
        assert_eq!(
            html.attributes,
            [
                (
                    "{http://www.w3.org/XML/1998/namespace}space".into(),
                    "preserve".into()
                ),
                ("a".into(), "x  y <".into()),
            ]
        );
    }
}
