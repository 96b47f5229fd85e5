//! Parses XML as the original does, and refuses what could cost more than it is long. Knows
//! elements and text, not blocks.

use roxmltree::{Document, Error as SyntaxError, ParsingOptions};

use crate::modulestore::ProblemKind;

/// Why a document was refused, without any of its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct XmlFault {
    pub(super) kind: ProblemKind,
    /// From 1, where it is known.
    pub(super) line: Option<u32>,
    pub(super) message: &'static str,
}

/// The original's parser stops here, so nothing deeper was ever imported.
pub(super) const MAX_DEPTH: usize = 256;

/// The original's parser refuses longer text, attributes and comments.
const MAX_TOKEN_BYTES: usize = 10_000_000;

/// The parser compares every attribute of an element with every other.
const MAX_ATTRIBUTES: usize = 512;

/// The parser copies the namespaces that are in scope for every element that declares one.
const MAX_NAMESPACES: usize = 4_096;

/// The parser sets memory aside by the number of `<` and `=`.
const MAX_MARKUP: usize = 4_000_000;

/// Parses a document, which may begin with a byte order mark.
///
/// A `<!DOCTYPE>` is passed over unless it declares an entity: nothing is expanded, and nothing is
/// loaded. What the document says of its encoding is ignored: it is UTF-8.
pub(super) fn parse(text: &str) -> Result<Document<'_>, XmlFault> {
    let scan = scan(text)?;
    let options = ParsingOptions {
        allow_dtd: scan == Scan::Doctype,
        ..ParsingOptions::default()
    };
    Document::parse_with_options(text, options).map_err(|error| syntax_fault(&error))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scan {
    Plain,
    Doctype,
}

/// One pass over the bytes that counts what the parser would need time, memory or stack for. It
/// need not notice faults: the parser does.
fn scan(text: &str) -> Result<Scan, XmlFault> {
    let mut scanner = Scanner {
        text,
        at: 0,
        depth: 0,
        namespaces: 0,
        result: Scan::Plain,
    };
    let markup = text
        .bytes()
        .filter(|byte| matches!(byte, b'<' | b'='))
        .count();
    if markup > MAX_MARKUP {
        return Err(XmlFault::limit("too many elements and attributes"));
    }
    scanner.run()?;
    Ok(scanner.result)
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    namespaces: usize,
    result: Scan,
}

impl Scanner<'_> {
    fn run(&mut self) -> Result<(), XmlFault> {
        let mut in_prolog = true;
        while let Some(rest) = self.skip_to("<")? {
            if rest.starts_with("<!--") {
                self.at += 4;
                self.skip_behind("-->")?;
            } else if rest.starts_with("<?") {
                self.skip_behind("?>")?;
            } else if rest.starts_with("<![CDATA[") {
                self.skip_behind("]]>")?;
            } else if in_prolog && rest.starts_with("<!DOCTYPE") {
                // Anywhere after it, so that no quote or comment can hide a declaration from
                // this pass that the parser would see.
                if let Some(declaration) = rest.find("<!ENTITY") {
                    return Err(XmlFault {
                        kind: ProblemKind::EntityDeclaration,
                        line: Some(line_of(self.text, self.at + declaration)),
                        message: "the document declares an entity",
                    });
                }
                self.result = Scan::Doctype;
                self.at += 2;
            } else if rest.starts_with("</") {
                self.depth = self.depth.saturating_sub(1);
                self.at += 2;
            } else if rest.starts_with("<!") {
                self.at += 2;
            } else {
                in_prolog = false;
                self.start_tag()?;
            }
        }
        Ok(())
    }

    /// From `<` to behind `>`, with an eye on the attributes.
    fn start_tag(&mut self) -> Result<(), XmlFault> {
        let start = self.at;
        let mut attributes = 0_usize;
        self.at += 1;
        while let Some(offset) = self.rest().find(['>', '"', '\'', 'x']) {
            self.at += offset;
            let found = self.rest().bytes().next();
            if found == Some(b'x') {
                self.namespaces += usize::from(self.rest().starts_with("xmlns"));
                self.at += 1;
                continue;
            }
            if found == Some(b'>') {
                let is_empty = self
                    .text
                    .get(..self.at)
                    .is_some_and(|text| text.ends_with('/'));
                self.at += 1;
                if self.depth >= MAX_DEPTH {
                    return Err(self.malformed(start, "elements are nested too deep"));
                }
                self.depth += usize::from(!is_empty);
                return Ok(());
            }
            attributes += 1;
            if attributes > MAX_ATTRIBUTES {
                let fault = XmlFault::limit("an element has too many attributes");
                return Err(fault.at_line(line_of(self.text, start)));
            }
            if self.namespaces > MAX_NAMESPACES {
                let fault = XmlFault::limit("too many namespaces are declared");
                return Err(fault.at_line(line_of(self.text, start)));
            }
            let quote = if found == Some(b'"') { "\"" } else { "'" };
            self.at += 1;
            self.skip_behind(quote)?;
        }
        self.at = self.text.len();
        Ok(())
    }

    /// Goes on to `mark` and gives the text from there; `None` at the end of the document.
    fn skip_to(&mut self, mark: &str) -> Result<Option<&str>, XmlFault> {
        let start = self.at;
        let length = self.rest().find(mark).unwrap_or(self.rest().len());
        if length > MAX_TOKEN_BYTES {
            return Err(self.malformed(start, "a text is too long"));
        }
        self.at += length;
        Ok(Some(self.rest()).filter(|rest| !rest.is_empty()))
    }

    fn skip_behind(&mut self, mark: &str) -> Result<(), XmlFault> {
        if self.skip_to(mark)?.is_some() {
            self.at += mark.len();
        }
        Ok(())
    }

    fn malformed(&self, at: usize, message: &'static str) -> XmlFault {
        XmlFault::malformed(message).at_line(line_of(self.text, at))
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }
}

impl XmlFault {
    pub(super) fn malformed(message: &'static str) -> Self {
        Self {
            kind: ProblemKind::MalformedXml,
            line: None,
            message,
        }
    }

    fn limit(message: &'static str) -> Self {
        Self {
            kind: ProblemKind::LimitExceeded,
            line: None,
            message,
        }
    }

    fn at_line(mut self, line: u32) -> Self {
        self.line = Some(line);
        self
    }
}

/// The parser's own messages quote names of the document, so they are not passed on.
fn syntax_fault(error: &SyntaxError) -> XmlFault {
    let message = match error {
        SyntaxError::NoRootNode => return XmlFault::malformed("there is no element"),
        SyntaxError::UnclosedRootNode | SyntaxError::UnexpectedEndOfStream => {
            return XmlFault::malformed("the document ends too early");
        }
        SyntaxError::NodesLimitReached
        | SyntaxError::AttributesLimitReached
        | SyntaxError::NamespacesLimitReached => {
            return XmlFault::limit("too many elements and attributes");
        }
        SyntaxError::DtdDetected => return XmlFault::malformed("a document type is misplaced"),
        SyntaxError::UnexpectedCloseTag(..) => "an end tag does not match",
        SyntaxError::UnknownEntityReference(..) | SyntaxError::MalformedEntityReference(_) => {
            "an entity is unknown or malformed"
        }
        SyntaxError::UnknownNamespace(..) => "a prefix is not declared",
        SyntaxError::DuplicatedAttribute(..) | SyntaxError::DuplicatedNamespace(..) => {
            "an attribute stands twice"
        }
        SyntaxError::NonXmlChar(..) => "a character is not allowed in XML",
        _ => "the document is not well-formed",
    };
    XmlFault::malformed(message).at_line(error.pos().row)
}

fn line_of(text: &str, at: usize) -> u32 {
    let before = text.get(..at).unwrap_or(text);
    let newlines = before.bytes().filter(|byte| *byte == b'\n').count();
    u32::try_from(newlines).map_or(u32::MAX, |newlines| newlines.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, kind: ProblemKind, line: Option<u32>) {
        let fault = parse(text).map(|_| ()).unwrap_err();
        assert_eq!((fault.kind, fault.line), (kind, line), "{}", fault.message);
    }

    #[test]
    fn well_formed_documents_are_parsed() {
        for text in [
            "<a/>",
            "\u{feff}<a/>",
            "<?xml version='1.0' encoding='latin-1'?>\n<a b='c'>text</a>\n",
            "<!DOCTYPE a><a/>",
            "<!DOCTYPE a SYSTEM 'http://localhost/never-loaded.dtd'><a/>",
            "<!DOCTYPE a [<!ELEMENT a ANY>]><a/>",
            "<a>&amp;&lt;&gt;&quot;&apos;&#65;&#x42;</a>",
            "<a><![CDATA[<!DOCTYPE x [<!ENTITY y 'z'>]>]]></a>",
            "<!-- <!DOCTYPE a [<!ENTITY b 'c'>]> --><a/>",
            "<a b='>' c=\"'\"/>",
            "<x:a xmlns:x='urn:x' x:b='c'/>",
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn broken_documents_name_the_line() {
        use ProblemKind::MalformedXml;

        check("", MalformedXml, None);
        check(" \n", MalformedXml, None);
        check("<a>\n<b></a>", MalformedXml, Some(2));
        check("<a>\n&nbsp;</a>", MalformedXml, Some(2));
        check("<a>\n&#0;</a>", MalformedXml, Some(2));
        check("<a b='1'\nb='2'/>", MalformedXml, Some(2));
        check("<a>\n<x:b/></a>", MalformedXml, Some(2));
        check("<a>\u{1}</a>", MalformedXml, Some(1));
        check("<a>", MalformedXml, None);
        check("<a/>\n<b/>", MalformedXml, Some(2));
        check("% mako\n<a/>", MalformedXml, Some(1));
        check("<a/><?xml version='1.0'?>", MalformedXml, Some(1));
        check("<a b=c/>", MalformedXml, Some(1));
        check("<a><!DOCTYPE a></a>", MalformedXml, Some(1));
    }

    #[test]
    fn a_document_that_declares_an_entity_is_refused_unread() {
        for declaration in [
            "<!ENTITY lol 'lol'>",
            "<!ENTITY % p 'x'>",
            "<!ENTITY x SYSTEM 'file:///etc/passwd'>",
            "<!ATTLIST a b CDATA \"\"><!ENTITY x 'y'>",
            "<!-- ' --><!ENTITY x 'y'>",
        ] {
            let text = format!("<?xml version='1.0'?>\n<!DOCTYPE a [\n{declaration}]><a>&x;</a>");
            check(&text, ProblemKind::EntityDeclaration, Some(3));
        }
    }

    #[test]
    fn elements_nest_as_deep_as_the_original_allows() {
        let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        check(&nested(MAX_DEPTH + 1), ProblemKind::MalformedXml, Some(1));
        check(&"<a>".repeat(1_000_000), ProblemKind::MalformedXml, Some(1));
        check(
            &"<a\n>".repeat(1_000_000),
            ProblemKind::MalformedXml,
            Some(257),
        );
        let siblings = format!("<a>{}</a>", "<b/>".repeat(1_000));
        assert!(parse(&siblings).is_ok());
    }

    #[test]
    fn what_the_parser_would_need_too_long_for_is_refused_at_once() {
        use std::fmt::Write as _;

        let attributes = |prefix: &str, count: usize| {
            (0..count).fold(String::new(), |mut text, number| {
                write!(text, " {prefix}{number}=''").unwrap();
                text
            })
        };
        assert!(parse(&format!("<a{}/>", attributes("b", MAX_ATTRIBUTES))).is_ok());
        check(
            &format!("<a{}/>", attributes("b", 1_000_000)),
            ProblemKind::LimitExceeded,
            Some(1),
        );
        let declarations = format!("<b{}/>", attributes("xmlns:n", 500).replace("''", "'u'"));
        check(
            &format!("<a>\n{}</a>", declarations.repeat(100)),
            ProblemKind::LimitExceeded,
            Some(2),
        );
        check(&"<a/>".repeat(4_000_001), ProblemKind::LimitExceeded, None);
        check(&"=".repeat(4_000_001), ProblemKind::LimitExceeded, None);
        check(
            &format!("<a>{}</a>", "x".repeat(MAX_TOKEN_BYTES + 1)),
            ProblemKind::MalformedXml,
            Some(1),
        );
        check(
            &format!("<a b='{}'/>", "x".repeat(MAX_TOKEN_BYTES + 1)),
            ProblemKind::MalformedXml,
            Some(1),
        );
    }

    #[test]
    fn messages_hold_nothing_of_the_document() {
        for text in [
            "<secret></other>",
            "<a secret='' secret=''/>",
            "<a>&secret;</a>",
        ] {
            let fault = parse(text).map(|_| ()).unwrap_err();
            assert!(!fault.message.contains("secret"), "{}", fault.message);
        }
    }
}
