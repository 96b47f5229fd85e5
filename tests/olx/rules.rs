//! The rules of the format, one after the other.

use courseblocks::FieldValue;
use courseblocks::modulestore::ProblemKind;
use courseblocks::modulestore::olx::FatalKind;

use crate::support::{
    body, course, errors, export, fatal_kind, fields, inherited, position, problems, read, tree,
    warnings, xml_attributes,
};

/// A course with this content is read to this tree, without any of these errors missing or more.
#[track_caller]
fn check(content: &str, files: &[(&str, &str)], expected: &str, expected_errors: &[&str]) {
    let course = course(content, files);
    assert_eq!(tree(&course), expected);
    assert_eq!(errors(&course), expected_errors);
}

mod roots {
    use super::*;

    #[track_caller]
    fn check(xml: &str, key: &str, expected_warnings: &[&str]) {
        let course = read(&export(&[("folder/course.xml", xml)])).unwrap();
        assert_eq!(course.key().to_string(), key);
        assert_eq!(warnings(&course), expected_warnings);
        let root = course.structure().key(course.structure().root());
        assert_eq!((root.block_type(), root.block_id()), ("course", "course"));
    }

    #[test]
    fn the_key_is_in_the_attributes_of_the_root() {
        check(
            "<course org='O' course='C' url_name='R' x='y'/>",
            "course-v1:O+C+R",
            &[],
        );
        check(
            "<course org='O' course='C' slug='S' name='N'/>",
            "course-v1:O+C+S",
            &[],
        );
        check(
            "<course org='O' course='C' name='N  n'/>",
            "course-v1:O+C+N_n",
            &[],
        );
        check(
            "<course url_name='R'/>",
            "course-v1:edx+folder+R",
            &[
                "missing_attribute course.xml:1",
                "missing_attribute course.xml:1",
            ],
        );
    }

    #[test]
    fn a_library_has_its_own_kind_of_key() {
        let xml = "<library org='O' library='L' url_name='ignored' display_name='D'>
                     <problem url_name='p'/></library>";
        let library = read(&export(&[
            ("library.xml", xml),
            ("problem/p.xml", "<problem/>"),
            (
                "policies/library/policy.json",
                r#"{"problem/p": {"due": "2013-01-01"}}"#,
            ),
        ]))
        .unwrap();
        assert_eq!(library.key().to_string(), "library-v1:O+L");
        assert_eq!(tree(&library), "problem:p");
        let root = library.structure().key(library.structure().root());
        assert_eq!(
            root.to_string(),
            "lib-block-v1:O+L+type@library+block@library"
        );
        assert_eq!(
            fields(&library, "library:library"),
            r#"{"display_name":"D"}"#
        );
        // Libraries have no policy.
        assert_eq!(fields(&library, "problem:p"), "{}");
    }

    #[test]
    fn a_root_that_is_a_pointer_has_its_definition_in_a_file() {
        let course = read(&export(&[
            ("course.xml", "<course org='O' course='C' url_name='R'/>"),
            (
                "course/R.xml",
                "<anything url_name='x' display_name='D'><chapter url_name='c'/></anything>",
            ),
            ("chapter/c.xml", "<chapter/>"),
        ]))
        .unwrap();
        assert_eq!(tree(&course), "chapter:c");
        assert_eq!(fields(&course, "course:course"), r#"{"display_name":"D"}"#);
        let root = course.block(course.structure().root()).unwrap();
        assert_eq!(root.source_file.as_deref(), Some("course/R.xml"));
    }

    #[test]
    fn a_definition_that_looks_like_a_pointer_is_not_followed() {
        let course = read(&export(&[
            (
                "course.xml",
                "<course org='O' course='C' url_name='course'/>",
            ),
            (
                "course/course.xml",
                "<course org='O' course='C' url_name='course'/>",
            ),
        ]))
        .unwrap();
        assert_eq!(tree(&course), "");
    }

    #[test]
    fn without_root_run_or_key_there_is_no_course() {
        #[track_caller]
        fn check(files: &[(&str, &str)], kind: FatalKind) {
            let error = read(&export(files)).unwrap_err();
            assert_eq!(error.kind(), courseblocks::ErrorKind::InvalidCourse);
            assert_eq!(fatal_kind(&error), Some(kind), "{error}");
        }
        let pointer = "<course org='O' course='C' url_name='R'/>";
        check(&[("html/a.xml", "<html/>")], FatalKind::NoRoot);
        check(
            &[("a/course.xml", pointer), ("b/course.xml", pointer)],
            FatalKind::AmbiguousRoot,
        );
        check(&[("course.xml", "<course")], FatalKind::MalformedXml);
        check(&[("course.xml", "")], FatalKind::MalformedXml);
        check(
            &[("course.xml", "<!DOCTYPE a [<!ENTITY b 'c'>]><course/>")],
            FatalKind::EntityDeclaration,
        );
        check(
            &[("course.xml", "<course org='O' course='C'/>")],
            FatalKind::NoRun,
        );
        check(
            &[("course.xml", "<course org='O' course='C' url_name=''/>")],
            FatalKind::NoRun,
        );
        check(
            &[("course.xml", "<course org='O O' course='C' url_name='R'/>")],
            FatalKind::InvalidCourseKey,
        );
        check(
            &[("course.xml", "<course org='O' course='C' name='50%'/>")],
            FatalKind::InvalidCourseKey,
        );
        check(&[("course.xml", pointer)], FatalKind::MissingFile);
        check(
            &[("course.xml", pointer), ("course/R.xml", "<course>")],
            FatalKind::MalformedXml,
        );
        check(
            &[(
                "course.xml",
                "<course org='O' course='C' url_name='..:..:x'/>",
            )],
            FatalKind::PathEscape,
        );
    }
}

mod pointers {
    use super::*;

    #[test]
    fn a_pointer_is_replaced_by_the_root_of_its_file() {
        check(
            "<vertical url_name='v'/>",
            &[
                (
                    "vertical/v.xml",
                    "<odd url_name='other' due='2013-01-01'><html url_name='secret:toylab'/></odd>",
                ),
                ("html/secret/toylab.xml", "<html>body</html>"),
            ],
            "vertical:v(html:secret:toylab)",
            &[],
        );
    }

    #[test]
    fn one_attribute_more_makes_a_definition_without_content() {
        let files = [(
            "vertical/v.xml",
            "<vertical><html url_name='h'>x</html></vertical>",
        )];
        check(
            "<vertical url_name='v' display_name='V'/>",
            &files,
            "vertical:v",
            &[],
        );
    }

    #[test]
    fn files_that_nothing_points_to_are_never_read() {
        check(
            "",
            &[("vertical/v.xml", "broken"), ("html/a.html", "x")],
            "",
            &[],
        );
    }

    #[test]
    fn a_self_contained_block_has_no_file() {
        check(
            "<done url_name='d' xblock-family='xblock.v1'/><html url_name='h' xblock-family='xblock.v1'/>",
            &[("html/h.xml", "broken")],
            "done:d html:h",
            &[],
        );
    }

    #[test]
    fn a_bare_tag_without_a_file_is_a_block_unless_its_type_needs_one() {
        check(
            "<done url_name='d'/><done url_name='e'/><video url_name='v'/><wrapper url_name='w'/>",
            &[("done/e.xml", "<done display_name='E'/>")],
            "done:d done:e wrapper:w",
            &["missing_file video/v.xml course:course@2"],
        );
    }

    #[test]
    fn a_broken_file_costs_its_block_and_nothing_else() {
        check(
            "<chapter url_name='c'/>",
            &[
                (
                    "chapter/c.xml",
                    "<chapter>\n<html url_name='a'/><html url_name='b'/><problem url_name='p'/>\
                     <video url_name='v'/><html url_name='z'/></chapter>",
                ),
                ("html/a.xml", ""),
                ("html/b.xml", "<html>\n<p></html>"),
                (
                    "problem/p.xml",
                    "<!DOCTYPE p [<!ENTITY x 'y'>]><problem>&x;</problem>",
                ),
                ("html/z.xml", "<html>z</html>"),
            ],
            "chapter:c(html:z)",
            &[
                "malformed_xml html/a.xml chapter:c@0",
                "malformed_xml html/b.xml:2 chapter:c@1",
                "entity_declaration problem/p.xml:1 chapter:c@2",
                "missing_file video/v.xml chapter:c@3",
            ],
        );
    }

    #[test]
    fn a_name_that_leads_out_of_the_course_is_an_error() {
        check(
            "<html url_name='..:..:etc:passwd'/><html url_name='a:..:b'/>\
             <html url_name='c' filename='../../../etc/hostname'/>",
            &[("html/b.xml", "<html/>")],
            "html:a:..:b",
            &[
                "path_escape html/../../etc/passwd.xml course:course@0",
                "path_escape html/../../../etc/hostname.html course:course@2",
            ],
        );
    }
}

mod names {
    use super::*;

    #[test]
    fn an_element_without_a_name_gets_one_from_its_text() {
        let content = "<html>a</html><html>b</html><html>a</html><p/>";
        let one = course(content, &[]);
        assert_eq!(tree(&one), "html:html_# html:html_# html:html_# p:p_#");
        let structure = one.structure();
        let children: Vec<_> = structure.children(structure.root()).collect();
        assert_eq!(children[0], children[2]);
        assert_ne!(children[0], children[1]);
        let again = course(content, &[]);
        assert_eq!(
            one.structure().keys().as_slice(),
            again.structure().keys().as_slice()
        );
    }

    #[test]
    fn a_name_is_cleaned_unless_it_is_an_id() {
        check(
            "<html slug='s'>x</html><html name='n n'>x</html><html display_name='d &amp; d'>x</html>",
            &[],
            "html:s html:n_n html:d_d",
            &[],
        );
    }

    #[test]
    fn an_id_that_no_key_can_hold_is_an_error() {
        check(
            "<html url_name='a b'>x</html>\n<html url_name='a/b'/><html name='50%'>x</html>\
             <x:y xmlns:x='urn:x' url_name='z'/><html url_name='e&#x301;'>x</html>",
            &[],
            "",
            &[
                "invalid_name course.xml:1 course:course@0",
                "invalid_name course.xml:2 course:course@1",
                "invalid_name course.xml:2 course:course@2",
                "invalid_name course.xml:2 course:course@3",
                "invalid_name course.xml:2 course:course@4",
            ],
        );
    }

    #[test]
    fn names_are_compared_character_by_character() {
        check(
            "<html url_name='a'>x</html><html url_name='A'>x</html>",
            &[],
            "html:a html:A",
            &[],
        );
    }
}

mod sharing {
    use super::*;

    const PROBLEM: (&str, &str) = ("problem/p.xml", "<problem>p</problem>");

    #[test]
    fn a_second_pointer_is_the_same_block_again() {
        check(
            "<vertical url_name='v'><html url_name='h'/><html url_name='h'/></vertical>\
             <vertical url_name='w'><html url_name='h'/></vertical>",
            &[("html/h.xml", "<html>h</html>")],
            "vertical:v(html:h html:h) vertical:w(html:h)",
            &[],
        );
    }

    #[test]
    fn the_original_loses_a_second_pointer_to_a_unique_name() {
        check(
            "<vertical url_name='v'><problem url_name='p'/></vertical>\
             <vertical url_name='w'><problem url_name='p'/></vertical>",
            &[PROBLEM],
            "vertical:v(problem:p) vertical:w(problem:p)",
            &["duplicate_pointer course.xml:1 vertical:w@0"],
        );
    }

    #[test]
    fn a_second_definition_of_a_unique_name_is_another_block() {
        let course = course(
            "<problem url_name='p'>a</problem><problem url_name='p'>b</problem>\
             <problem url_name='p'>b</problem><problem url_name='problem_0123456789ab'>c</problem>\
             <problem url_name='problem_0123456789ab'>d</problem>",
            &[],
        );
        assert_eq!(
            tree(&course),
            "problem:p problem:problem_p_# problem:problem_p_# problem:problem_# problem:problem_#"
        );
        assert_eq!(course.structure().len(), 5);
        assert_eq!(warnings(&course).len(), 3);
        assert!(warnings(&course)[0].starts_with("duplicate_name"));
    }

    #[test]
    fn a_later_definition_of_any_other_name_replaces_the_earlier_one() {
        let course = course(
            "<wrapper url_name='w'><html url_name='a'>a</html></wrapper>\
             <wrapper url_name='w'><html url_name='b'>b</html></wrapper>\
             <wrapper url_name='w'><html url_name='b'>b</html></wrapper>",
            &[],
        );
        assert_eq!(
            tree(&course),
            "wrapper:w(html:b) wrapper:w(html:b) wrapper:w(html:b)"
        );
        assert_eq!(warnings(&course), ["redefinition course.xml"]);
    }

    #[test]
    fn a_pointer_after_a_definition_is_a_definition_where_it_has_a_file() {
        let inline = "<html url_name='h'>inline</html>";
        let pointer = "<html url_name='h'/>";
        let file = ("html/h.xml", "<html>file</html>");
        let body_of = |content: &str, files: &[(&str, &str)]| {
            let course = course(content, files);
            assert_eq!(tree(&course), "html:h html:h");
            assert!(errors(&course).is_empty());
            body(&course, "html:h").unwrap().1
        };
        assert_eq!(body_of(&format!("{inline}{pointer}"), &[]), "inline");
        assert_eq!(body_of(&format!("{inline}{pointer}"), &[file]), "file");
        assert_eq!(body_of(&format!("{pointer}{inline}"), &[file]), "inline");
    }

    #[test]
    fn a_lost_block_is_lost_wherever_it_is_pointed_to() {
        check(
            "<html url_name='h'/><vertical url_name='v'><html url_name='h'/></vertical>",
            &[("html/h.xml", "<html>")],
            "vertical:v",
            &[
                "malformed_xml html/h.xml course:course@0",
                "malformed_xml html/h.xml vertical:v@0",
            ],
        );
    }

    #[test]
    fn a_block_inside_itself_is_left_out() {
        check(
            "<wrapper url_name='a'/>",
            &[
                (
                    "wrapper/a.xml",
                    "<wrapper>\n<html url_name='h'>x</html>\n<wrapper url_name='b'/></wrapper>",
                ),
                (
                    "wrapper/b.xml",
                    "<wrapper><wrapper url_name='a'/><html url_name='h'>x</html></wrapper>",
                ),
            ],
            "wrapper:a(html:h wrapper:b(html:h))",
            &["cycle wrapper/a.xml wrapper:b@0"],
        );
        check(
            "<wrapper url_name='a'>x<wrapper url_name='a'><p/></wrapper></wrapper>",
            &[],
            "wrapper:a",
            &["cycle course.xml:1 wrapper:a@0"],
        );
        check(
            "<vertical url_name='a'/>",
            &[(
                "vertical/a.xml",
                "<vertical><vertical url_name='a'/></vertical>",
            )],
            "vertical:a",
            &["cycle vertical/a.xml vertical:a@0"],
        );
        check(
            "<vertical url_name='v'><conditional url_name='c'>\
             <show sources='i4x://O/C/vertical/v; i4x://O/C/course/course'/></conditional></vertical>",
            &[],
            "vertical:v(conditional:c)",
            &[
                "cycle course.xml:1 conditional:c@0",
                "cycle course.xml:1 conditional:c@0",
            ],
        );
    }

    #[test]
    fn a_cycle_that_a_later_definition_closes_is_left_out_too() {
        check(
            "<wrapper url_name='x'><wrapper url_name='y'/></wrapper>\
             <wrapper url_name='y'><wrapper url_name='x'/></wrapper>",
            &[],
            "wrapper:x(wrapper:y) wrapper:y",
            &["cycle course.xml:1 wrapper:y@0"],
        );
    }
}

mod settings {
    use super::*;

    #[test]
    fn policy_is_stronger_than_meta_and_meta_than_attributes() {
        let course = course(
            "<html url_name='h' due='2011-01-01' format='a' chrome='a' odd='a'>\
             <meta>{\"format\": \"m\", \"chrome\": \"m\", \"odd\": \"m\"}</meta>body</html>",
            &[(
                "policies/R/policy.json",
                r#"{"html/h": {"chrome": "p", "new": 1}, "course/R": {"display_name": "D"},
                    "html/nowhere": {"due": null}}"#,
            )],
        );
        assert_eq!(
            fields(&course, "html:h"),
            r#"{"chrome":"p","due":"2011-01-01T00:00:00Z","format":"m"}"#
        );
        assert_eq!(xml_attributes(&course, "html:h"), r#"{"new":1,"odd":"a"}"#);
        assert_eq!(fields(&course, "course:course"), r#"{"display_name":"D"}"#);
        assert_eq!(body(&course, "html:h"), Some((None, "body".into())));
    }

    #[test]
    fn videos_and_self_contained_blocks_have_no_policy() {
        let course = course(
            "<video url_name='v' display_name='V' youtube='y'/><videoalpha url_name='w'/>\
             <poll url_name='p' xblock-family='xblock.v1' question='Q'/>\
             <discussion url_name='d' xblock-family='xblock.v1' display_name='inline'/>\
             <discussion url_name='e' xblock-family='xblock.v1' display_name='inline'/>",
            &[
                (
                    "videoalpha/w.xml",
                    "<videoalpha show_captions='true' due='2011-01-01'/>",
                ),
                (
                    "discussion/d.xml",
                    "<discussion for='F' display_name='file'/>",
                ),
                (
                    "policies/R.json",
                    r#"{"video/v": {"display_name": "no"}, "video/w": {"due": null},
                        "poll/p": {"display_name": "no"}, "discussion/e": {"due": null},
                        "discussion/d": {"discussion_category": "policy"}}"#,
                ),
            ],
        );
        assert_eq!(fields(&course, "video:v"), r#"{"display_name":"V"}"#);
        assert_eq!(
            fields(&course, "video:w"),
            r#"{"due":"2011-01-01T00:00:00Z","show_captions":true}"#
        );
        assert_eq!(fields(&course, "poll:p"), "{}");
        assert_eq!(xml_attributes(&course, "poll:p"), r#"{"question":"Q"}"#);
        assert_eq!(
            fields(&course, "discussion:d"),
            r#"{"discussion_category":"policy","discussion_target":"F","display_name":"file"}"#
        );
        assert_eq!(
            fields(&course, "discussion:e"),
            r#"{"display_name":"inline"}"#
        );
    }

    #[test]
    fn a_value_that_its_type_refuses_is_told_and_left_out() {
        let course = course(
            "<html url_name='h' due='soon' start='2013-01-01'>x</html>\n\
             <split_test url_name='s' group_id_to_child='broken' user_partition_id='5'>\
             <vertical url_name='v'/></split_test>",
            &[("vertical/v.xml", "<vertical/>")],
        );
        assert_eq!(tree(&course), "html:h split_test:s(vertical:v)");
        assert_eq!(
            fields(&course, "html:h"),
            r#"{"start":"2013-01-01T00:00:00Z"}"#
        );
        assert_eq!(
            fields(&course, "split_test:s"),
            r#"{"user_partition_id":5}"#
        );
        assert_eq!(
            warnings(&course),
            [
                "bad_field_value course.xml:1",
                "bad_field_value course.xml:2"
            ]
        );
    }

    #[test]
    fn a_broken_policy_is_told_and_ignored() {
        for policy in ["not json", "[]", "5"] {
            let course = course(
                "<html url_name='h'>x</html>",
                &[("policies/R/policy.json", policy)],
            );
            assert_eq!(tree(&course), "html:h");
            let errors = errors(&course);
            assert_eq!(errors.len(), 1);
            assert!(
                errors[0].starts_with("bad_policy_json policies/R/policy.json"),
                "{errors:?}"
            );
        }
    }

    #[test]
    fn a_grading_policy_comes_with_the_course() {
        let file = (
            "policies/R/grading_policy.json",
            r#"{"GRADER": [], "GRADE_CUTOFFS": {"Pass": 0.5}}"#,
        );
        let graded = course("", &[file]);
        let cutoffs = graded
            .grading_policy()
            .and_then(|policy| policy.as_dict()?.get("GRADE_CUTOFFS"));
        assert_eq!(
            cutoffs.and_then(|cutoffs| cutoffs.as_dict()?.get("Pass")),
            Some(&FieldValue::Float(0.5))
        );

        let broken = course("", &[("grading_policy.json", "{")]);
        assert_eq!(broken.grading_policy(), None);
        assert!(errors(&broken).is_empty());
        assert_eq!(warnings(&broken), ["bad_policy_json grading_policy.json:1"]);
    }
}

mod children {
    use super::*;

    #[test]
    fn every_element_in_a_container_is_a_block() {
        check(
            "<problem url_name='p'/><vertical url_name='v'><p/>\
             <!-- comment --><?pi?><sequential url_name='s'/></vertical>",
            &[
                ("problem/p.xml", "<problem/>"),
                ("sequential/s.xml", "<sequential/>"),
            ],
            "problem:p vertical:v(p:p_# sequential:s)",
            &[],
        );
    }

    #[test]
    fn text_between_children_is_told_and_ignored() {
        let course = course(
            "<html url_name='a'>x</html> stray <html url_name='b'>x</html>",
            &[],
        );
        assert_eq!(tree(&course), "html:a html:b");
        assert_eq!(warnings(&course), ["stray_text course.xml:1"]);
    }

    #[test]
    fn textbooks_and_the_wiki_are_no_children_of_a_course() {
        check(
            "<textbook title='T'/><meta>{}</meta><chapter url_name='c'/><wiki slug='W'/>\
             <textbook title='U'/><wiki slug='X'/>",
            &[("chapter/c.xml", "<chapter><wiki slug='y'/></chapter>")],
            "chapter:c(wiki:y) wiki:X",
            &[],
        );
    }

    #[test]
    fn a_conditional_shows_blocks_of_the_course() {
        let course = course(
            "<conditional url_name='c' sources='i4x://A/B/problem/p' completed='True'>\
             <show sources='i4x://A/B/html/h; block-v1:X+Y+Z+type@html+block@i;'/>\
             <show sources='i4x://A/B/html/nowhere'/><html url_name='own'>x</html>\
             <show sources='nonsense'/></conditional>\
             <html url_name='h'>h</html><vertical url_name='v'><html url_name='i'>i</html></vertical>",
            &[],
        );
        assert_eq!(
            tree(&course),
            "conditional:c(html:h html:i html:own) html:h vertical:v(html:i)"
        );
        assert!(errors(&course).is_empty());
        assert_eq!(
            warnings(&course),
            [
                "bad_field_value course.xml:1",
                "dangling_reference course.xml:1 conditional:c@1"
            ]
        );
        assert_eq!(
            xml_attributes(&course, "conditional:c"),
            r#"{"completed":"True","sources":"i4x://A/B/problem/p"}"#
        );
    }

    #[test]
    fn children_of_a_split_test_stay_in_their_order() {
        let course = course(
            r#"<split_test url_name='s' user_partition_id='7' group_id_to_child='{"2": "i4x://X/Y/html/a", "1": "i4x://X/Y/html/b"}'>
               <html url_name='a'>a</html><html url_name='b'>b</html><html url_name='c'>c</html></split_test>"#,
            &[],
        );
        assert_eq!(tree(&course), "split_test:s(html:a html:b html:c)");
        assert_eq!(
            fields(&course, "split_test:s"),
            r#"{"group_id_to_child":{"1":"block-v1:O+C+R+type@html+block@b","2":"block-v1:O+C+R+type@html+block@a"},"user_partition_id":7}"#
        );
    }

    #[test]
    fn old_containers_are_read_as_they_were_meant() {
        check(
            "<section url_name='s' due='2013-01-01'><videoalpha url_name='w'/></section>\
             <section url_name='t'><html url_name='a'>a</html><html url_name='b'>b</html></section>\
             <section url_name='u'/><problemset url_name='ps'><html url_name='c'>c</html></problemset>\
             <videosequence url_name='vs'><html url_name='d'>d</html></videosequence>",
            &[("sequential/u.xml", "<sequential display_name='U'/>")],
            "video:s sequential:t(html:a html:b) sequential:u problemset:ps(html:c) videosequence:vs(html:d)",
            &[],
        );
    }

    #[test]
    fn elements_inside_an_unknown_type_are_its_body() {
        let course = course(
            "<problem-builder url_name='b'><html url_name='x'>x</html></problem-builder>",
            &[],
        );
        assert_eq!(tree(&course), "problem-builder:b");
        let (path, text) = body(&course, "problem-builder:b").unwrap();
        assert_eq!(path, None);
        assert_eq!(
            text,
            "<problem-builder url_name='b'><html url_name='x'>x</html></problem-builder>"
        );
    }
}

mod bodies {
    use super::*;

    #[test]
    fn a_page_has_its_body_in_a_file_byte_for_byte() {
        let course = course(
            "<html url_name='a'/><html url_name='d:b'/><html url_name='c' filename='old'/>\
             <html url_name='e' filename='x.html'/>",
            &[
                ("html/a.xml", "<html filename='A' display_name='D'/>"),
                ("html/A.html", "\u{feff}<p>CR\r\nLF"),
                ("html/d/b.xml", "<html filename='b'/>"),
                ("html/d/b.html", "deep"),
                ("html/old.html", "old"),
                ("html/x.html", "x"),
            ],
        );
        assert!(errors(&course).is_empty());
        let check = |block: &str, path: &str, text: &str| {
            assert_eq!(body(&course, block), Some((Some(path.into()), text.into())));
        };
        check("html:a", "html/A.html", "\u{feff}<p>CR\r\nLF");
        check("html:d:b", "html/d/b.html", "deep");
        check("html:c", "html/old.html", "old");
        check("html:e", "html/x.html", "x");
    }

    #[test]
    fn a_page_without_its_file_is_an_error() {
        check(
            "<html url_name='a'/><html url_name='b'/>",
            &[
                ("html/a.xml", "<html filename='a'/>"),
                ("html/b.xml", "<html>inline</html>"),
            ],
            "html:b",
            &["missing_file html/a.html course:course@0"],
        );
    }

    #[test]
    fn other_types_with_a_file_name_have_their_definition_there() {
        let course = course(
            "<customtag url_name='t' filename='T' impl='book'/><problem url_name='p' filename='P' weight='2'/>\
             <sequential url_name='s' filename='S' display_name='D'/><customtag url_name='u' filename='U'/>",
            &[
                (
                    "customtag/T.xml",
                    "<customtag impl='ignored'><b/></customtag>",
                ),
                (
                    "problems/P.xml",
                    "<problem weight='5'><meta>{\"max_attempts\": 3}</meta><p/></problem>",
                ),
                (
                    "sequential/S.xml",
                    "<sequential display_name='E'><html url_name='h'>x</html></sequential>",
                ),
            ],
        );
        assert_eq!(tree(&course), "customtag:t problem:p sequential:s(html:h)");
        assert_eq!(
            errors(&course),
            ["missing_file customtag/U.xml course:course@3"]
        );
        assert_eq!(xml_attributes(&course, "customtag:t"), r#"{"impl":"book"}"#);
        assert_eq!(
            fields(&course, "problem:p"),
            r#"{"max_attempts":3,"weight":2.0}"#
        );
        assert_eq!(fields(&course, "sequential:s"), r#"{"display_name":"D"}"#);
        assert_eq!(
            body(&course, "problem:p"),
            Some((
                Some("problems/P.xml".into()),
                "<problem weight='5'><p/></problem>".into()
            ))
        );
    }

    #[test]
    fn an_encoding_in_the_declaration_is_ignored() {
        let course = course(
            "<html url_name='a'/>",
            &[(
                "html/a.xml",
                "\u{feff}<?xml version='1.0' encoding='ISO-8859-1'?><html>é</html>",
            )],
        );
        assert_eq!(body(&course, "html:a").unwrap().1, "é");
    }

    #[test]
    fn markup_of_a_page_is_no_setting() {
        let course = course("<html url_name='a'><meta charset='utf-8'/>x</html>", &[]);
        assert_eq!(
            body(&course, "html:a").unwrap().1,
            "<meta charset='utf-8'/>x"
        );
    }
}

mod inheritance {
    use super::*;

    #[test]
    fn the_nearest_ancestor_that_sets_a_field_passes_it_on() {
        let course = course(
            "<chapter url_name='c' due='2013-01-01' graded='true' display_name='C' hide_from_toc='true' format='F'>\
             <sequential url_name='s' due='null'><html url_name='h' graded='false'>x</html></sequential></chapter>",
            &[(
                "policies/R/policy.json",
                r#"{"course/R": {"start": "2012-01-01", "user_partitions": []}}"#,
            )],
        );
        let start = r#""start":"2012-01-01T00:00:00Z""#;
        assert_eq!(inherited(&course, "course:course"), "{}");
        assert_eq!(inherited(&course, "chapter:c"), format!("{{{start}}}"));
        assert_eq!(
            inherited(&course, "sequential:s"),
            format!("{{\"graded\":true,{start}}}")
        );
        assert_eq!(
            inherited(&course, "html:h"),
            format!("{{\"due\":null,{start}}}")
        );
        let html = position(&course, "html:h");
        assert_eq!(course.field(html, "graded"), Some(&FieldValue::Bool(false)));
        assert_eq!(course.field(html, "due"), Some(&FieldValue::Null));
        assert_eq!(course.explicit_field(html, "due"), None);
    }

    #[test]
    fn of_several_parents_the_last_one_counts() {
        let course = course(
            "<vertical url_name='v' due='2013-01-01'><html url_name='h'>x</html></vertical>\
             <vertical url_name='w' due='2014-01-01'><html url_name='h'>x</html></vertical>\
             <vertical url_name='x'><html url_name='i'>y</html></vertical>",
            &[],
        );
        assert_eq!(
            inherited(&course, "html:h"),
            r#"{"due":"2014-01-01T00:00:00Z"}"#
        );
        assert_eq!(inherited(&course, "html:i"), "{}");
    }

    #[test]
    fn a_reference_that_the_original_loses_passes_nothing_on() {
        let course = course(
            "<vertical url_name='v' due='2013-01-01'><problem url_name='p'/></vertical>\
             <vertical url_name='w' due='2014-01-01'><problem url_name='p'/></vertical>",
            &[("problem/p.xml", "<problem/>")],
        );
        assert_eq!(
            inherited(&course, "problem:p"),
            r#"{"due":"2013-01-01T00:00:00Z"}"#
        );
    }

    #[test]
    fn many_paths_to_one_block_cost_no_more_than_its_edges() {
        // 2^200 paths, two edges at each step.
        let files: Vec<(String, String)> = (0..200)
            .map(|step| {
                let next = step + 1;
                let child = format!("<wrapper url_name='w{next}'/>");
                (
                    format!("wrapper/w{step}.xml"),
                    format!("<wrapper graded='true'>{child}{child}</wrapper>"),
                )
            })
            .collect();
        let files: Vec<_> = files
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect();
        let course = course("<wrapper url_name='w0'/>", &files);
        assert_eq!(course.structure().len(), 202);
        assert_eq!(inherited(&course, "wrapper:w200"), r#"{"graded":true}"#);
    }
}

mod beside_the_tree {
    use super::*;

    #[test]
    fn pages_are_blocks_outside_the_tree() {
        let course = course(
            "",
            &[
                ("about/overview.html", "o"),
                ("info/updates.html", "old"),
                ("info/R/updates.html", "new"),
                ("info/updates.items.json", "[]"),
                ("tabs/syllabus.html", "t"),
                (
                    "policies/R/policy.json",
                    r#"{"course/R": {"tabs": [{"type": "static_tab", "url_slug": "syllabus", "name": "S"}]}}"#,
                ),
            ],
        );
        let found: Vec<_> = course
            .detached()
            .iter()
            .map(|page| {
                (
                    page.key.block_type(),
                    page.path.as_str(),
                    page.text.as_str(),
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                ("about", "about/overview.html", "o"),
                ("course_info", "info/R/updates.html", "new"),
                ("static_tab", "tabs/syllabus.html", "t"),
            ]
        );
        assert_eq!(
            course.detached()[2].fields["display_name"].as_str(),
            Some("S")
        );
        assert_eq!(course.structure().len(), 1);
    }

    #[test]
    fn drafts_are_read_from_their_own_files() {
        let placed = |index: &str, parent: &str, rest: &str| {
            format!(
                "<vertical url_name='ignored' index_in_children_list='{index}' parent_url='{parent}'{rest}"
            )
        };
        let sequential = "i4x://O/C/sequential/s";
        let course = course(
            "<vertical url_name='d'/>",
            &[
                ("vertical/d.xml", "<vertical display_name='published'/>"),
                ("html/h.xml", "<html>published</html>"),
                (
                    "drafts/vertical/d.xml",
                    &placed(
                        "1",
                        sequential,
                        " display_name='draft' odd='x'><html url_name='h'/><html url_name='gone'/><vertical url_name='inner'/></vertical>",
                    ),
                ),
                ("drafts/vertical/a.xml", &placed("1", sequential, "/>")),
                (
                    "drafts/vertical/inner.xml",
                    &placed("0", "block-v1:X+Y+Z+type@vertical+block@d", "/>"),
                ),
                (
                    "drafts/vertical/lost.xml",
                    &placed("0", "block-v1:X+Y+Z+type@vertical+block@d", "/>"),
                ),
                ("drafts/vertical/z.xml", &placed("0", sequential, "/>")),
                ("drafts/vertical/broken.xml", &placed("0", sequential, ">")),
                ("drafts/vertical/nobody.xml", "<vertical/>"),
                ("drafts/html/h.xml", "<html filename='h'/>"),
                ("drafts/html/h.html", "draft"),
                ("drafts/vertical/._d.xml", &placed("0", sequential, "/>")),
                ("policies/R/policy.json", r#"{"vertical/d": {"due": null}}"#),
            ],
        );
        assert_eq!(
            fields(&course, "vertical:d"),
            r#"{"display_name":"published","due":null}"#
        );
        let drafts = course.drafts();
        let roots: Vec<_> = drafts
            .roots
            .iter()
            .map(|root| (root.key.block_id(), root.index, root.subtree_root))
            .collect();
        assert_eq!(
            roots,
            [
                ("inner", Some(0), false),
                ("lost", Some(0), false),
                ("z", Some(0), true),
                ("a", Some(1), true),
                ("d", Some(1), true),
            ]
        );
        let parent = drafts.roots[2].parent.as_ref().unwrap();
        assert_eq!(parent.to_string(), "block-v1:O+C+R+type@sequential+block@s");
        let blocks: Vec<_> = drafts
            .blocks
            .iter()
            .map(|draft| (draft.key.block_id(), draft.children.len()))
            .collect();
        assert_eq!(
            blocks,
            [("h", 0), ("a", 0), ("d", 2), ("inner", 0), ("z", 0)]
        );
        let draft = &drafts.blocks[2].block;
        assert_eq!(draft.fields["display_name"].as_str(), Some("draft"));
        assert_eq!(draft.xml_attributes.keys().collect::<Vec<_>>(), ["odd"]);
        assert_eq!(
            drafts.blocks[0].block.body,
            courseblocks::modulestore::Body::Text {
                path: Some("drafts/html/h.html".into()),
                text: "draft".into()
            }
        );
        assert_eq!(
            problems(&drafts.problems),
            [
                "malformed_xml drafts/vertical/broken.xml",
                "missing_file drafts/html/gone.xml vertical:d@1",
            ]
        );
    }

    #[test]
    fn a_page_that_is_not_utf8_is_told() {
        let directory = export(&[(
            "course.xml",
            "<course org='O' course='C' url_name='R' x=''/>",
        )]);
        crate::support::write(directory.path(), "about/overview.html", b"caf\xe9");
        let course = read(&directory).unwrap();
        assert!(course.detached().is_empty());
        assert_eq!(course.report().errors[0].kind, ProblemKind::BadUtf8);
    }
}
