//! Exports that want too much: every one ends in a clear error or a course without the part that
//! asked for it, in bounded time and memory.

use std::fmt::Write as _;

use courseblocks::ErrorKind;
use courseblocks::modulestore::ProblemKind;
use courseblocks::modulestore::olx::{self, FatalKind, Limits};

use crate::support::{course, errors, export, fatal_kind, problems, read, tree, write};

const LAUGHS: &str = "<!DOCTYPE html [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>\
                      <!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;'>]><html>&c;</html>";

/// The chapter is read, its bad file is told, and its good one is there.
#[track_caller]
fn check(bad: &[u8], kind: ProblemKind) {
    let root = "<course org='O' course='C' url_name='R'><html url_name='bad'/><html url_name='good'/></course>";
    let directory = export(&[("course.xml", root), ("html/good.xml", "<html>good</html>")]);
    write(directory.path(), "html/bad.xml", bad);
    let course = read(&directory).unwrap();
    assert_eq!(tree(&course), "html:good");
    let report = &course.report().errors;
    assert_eq!(report.len(), 1);
    assert_eq!(report[0].kind, kind);
    assert_eq!(report[0].path.as_deref(), Some("html/bad.xml"));
}

#[test]
fn entities_are_never_expanded_nor_loaded() {
    check(LAUGHS.as_bytes(), ProblemKind::EntityDeclaration);
    check(
        b"<!DOCTYPE html [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><html>&x;</html>",
        ProblemKind::EntityDeclaration,
    );
    check(
        b"<!DOCTYPE html [<!ENTITY % x SYSTEM 'http://localhost/x.dtd'> %x;]><html/>",
        ProblemKind::EntityDeclaration,
    );
    check(b"<html>&nbsp;</html>", ProblemKind::MalformedXml);
}

#[test]
fn other_encodings_are_named() {
    let utf16: Vec<u8> = "<html/>"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    check(&[&b"\xff\xfe"[..], &utf16].concat(), ProblemKind::BadUtf8);
    check(&utf16, ProblemKind::MalformedXml);
    check(
        b"<?xml version='1.0' encoding='latin-1'?><html>caf\xe9</html>",
        ProblemKind::BadUtf8,
    );
    check(b"<html>\xff</html>", ProblemKind::BadUtf8);
    check(b"\0\0\0\0", ProblemKind::MalformedXml);
    check(b"", ProblemKind::MalformedXml);
}

#[test]
fn a_million_of_anything_in_a_file_is_bounded() {
    let nested = "<html>".repeat(1_000_000);
    check(nested.as_bytes(), ProblemKind::MalformedXml);
    let mut attributes = String::from("<html");
    for number in 0..1_000_000 {
        write!(attributes, " a{number}=''").unwrap();
    }
    attributes.push_str("/>");
    check(attributes.as_bytes(), ProblemKind::LimitExceeded);
    check(&vec![b'<'; 5_000_000], ProblemKind::LimitExceeded);
    check("<a>".repeat(255).as_bytes(), ProblemKind::MalformedXml);
}

#[test]
fn a_hundred_thousand_children_are_read() {
    let mut content = String::new();
    for number in 0..100_000 {
        write!(content, "<done url_name='d{number}'/>").unwrap();
    }
    let course = course(&format!("<vertical url_name='v'>{content}</vertical>"), &[]);
    assert_eq!(course.structure().len(), 100_002);
    assert!(errors(&course).is_empty());
}

#[test]
fn a_chain_of_pointers_as_long_as_there_are_files_needs_no_deep_stack() {
    const LENGTH: usize = 20_000;
    let directory = export(&[(
        "course.xml",
        "<course org='O' course='C' url_name='R'><wrapper url_name='w0'/></course>",
    )]);
    for number in 0..LENGTH {
        let text = format!(
            "<wrapper due='2013-01-01'><wrapper url_name='w{}'/></wrapper>",
            number + 1
        );
        write(
            directory.path(),
            &format!("wrapper/w{number}.xml"),
            text.as_bytes(),
        );
    }
    let read = std::thread::Builder::new()
        .stack_size(512 * 1024)
        .spawn(move || read(&directory).map(|course| course.structure().len()))
        .unwrap();
    assert_eq!(read.join().unwrap().unwrap(), LENGTH + 2);
}

#[test]
fn a_file_that_many_blocks_read_counts_for_each() {
    let mut content = String::new();
    for number in 0..100 {
        write!(content, "<html url_name='h{number}' filename='big'/>").unwrap();
    }
    let root = format!("<course org='O' course='C' url_name='R'>{content}</course>");
    let directory = export(&[
        ("course.xml", &root),
        ("html/big.html", &"x".repeat(10_000)),
    ]);
    let mut limits = Limits::default();
    limits.total_bytes = 500_000;
    let error = olx::read(directory.path(), &limits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    limits.total_bytes = 2_000_000;
    assert_eq!(
        olx::read(directory.path(), &limits)
            .unwrap()
            .structure()
            .len(),
        101
    );
}

#[test]
fn a_broken_file_that_many_pointers_lead_to_is_read_once() {
    let pointers = "<html url_name='bad'/>".repeat(1_000);
    let root = format!("<course org='O' course='C' url_name='R'>{pointers}</course>");
    let bad = format!("<html>{}", "x".repeat(100_000));
    let directory = export(&[("course.xml", &root), ("html/bad.xml", &bad)]);
    let mut limits = Limits::default();
    limits.total_bytes = 500_000;
    let course = olx::read(directory.path(), &limits).unwrap();
    assert_eq!(course.report().errors.len(), 1_000);
}

#[test]
fn a_value_that_many_blocks_inherit_or_get_again_counts_for_each() {
    let big = format!("{{\"1\": [{}]}}", "1, ".repeat(10_000) + "1");
    let mut limits = Limits::default();
    limits.total_bytes = 5_000_000;

    // Every vertical passes on a copy with a value of its own.
    let mut content = String::new();
    for number in 0..100 {
        write!(
            content,
            "<vertical url_name='v{number}' due='null'><p/></vertical>"
        )
        .unwrap();
    }
    let root =
        format!("<course org='O' course='C' url_name='R' group_access='{big}'>{content}</course>");
    let directory = export(&[("course.xml", &root)]);
    let error = olx::read(directory.path(), &limits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    assert!(read(&directory).is_ok());

    // Every definition of the same block gets a copy of its policy.
    let mut content = String::new();
    for number in 0..100 {
        write!(content, "<html url_name='a'>{number}</html>").unwrap();
    }
    let root = format!("<course org='O' course='C' url_name='R'>{content}</course>");
    let policy = format!("{{\"html/a\": {{\"group_access\": {big}}}}}");
    let directory = export(&[("course.xml", &root), ("policies/R/policy.json", &policy)]);
    let error = olx::read(directory.path(), &limits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    assert!(read(&directory).is_ok());
}

#[test]
fn blocks_and_problems_are_bounded() {
    let mut content = String::new();
    for number in 0..50 {
        write!(content, "<html url_name='h{number}'/>").unwrap();
    }
    let root = format!("<course org='O' course='C' url_name='R'>{content}</course>");
    let directory = export(&[("course.xml", &root)]);
    let mut limits = Limits::default();
    limits.problems = 10;
    let course = olx::read(directory.path(), &limits).unwrap();
    let report = problems(&course.report().errors);
    assert_eq!(report.len(), 11);
    assert_eq!(report[10], "limit_exceeded");

    for number in 0..50 {
        write(directory.path(), &format!("html/h{number}.xml"), b"<html/>");
    }
    limits.blocks = 51;
    assert!(olx::read(directory.path(), &limits).is_ok());
    limits.blocks = 50;
    let error = olx::read(directory.path(), &limits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    assert!(error.to_string().contains("50"), "{error}");
}

#[test]
fn a_file_beyond_the_limit_is_left_out_by_name() {
    let root =
        "<course org='O' course='C' url_name='R'><html url_name='a'/><html url_name='b'/></course>";
    let directory = export(&[
        ("course.xml", root),
        ("html/a.xml", &format!("<html>{}</html>", "x".repeat(1_000))),
        ("html/b.xml", "<html/>"),
    ]);
    let mut limits = Limits::default();
    limits.file_bytes = 500;
    let course = olx::read(directory.path(), &limits).unwrap();
    assert_eq!(tree(&course), "html:b");
    assert_eq!(
        errors(&course),
        ["limit_exceeded html/a.xml course:course@0"]
    );
}

#[test]
fn a_root_that_declares_entities_is_no_course() {
    let laughs = LAUGHS.replace("html", "course");
    let error = read(&export(&[("course.xml", &laughs)])).unwrap_err();
    assert_eq!(fatal_kind(&error), Some(FatalKind::EntityDeclaration));
    assert!(error.to_string().contains("course.xml"), "{error}");
}

#[test]
fn json_that_nests_without_end_is_no_policy() {
    let deep = format!("{{\"course/R\": {}", "[".repeat(1_000_000));
    let course = course("", &[("policies/R/policy.json", &deep)]);
    assert_eq!(course.report().errors[0].kind, ProblemKind::BadPolicyJson);
}

#[test]
fn messages_hold_no_content_of_a_file() {
    let course = course(
        "<html url_name='a' due='secret'>x</html><html url_name='b'/><html url_name='c'/>",
        &[
            ("html/b.xml", "<secret></html>"),
            ("html/c.xml", "<html>&secret;</html>"),
            ("policies/R/policy.json", "secret"),
        ],
    );
    let report = format!("{:?}", course.report());
    assert!(!report.contains("secret"), "{report}");
    assert_eq!(course.report().errors.len(), 3);
    assert_eq!(course.report().warnings.len(), 1);
}
