//! Where the body of a block may lie that names a file for it. Knows names only; who asks decides
//! which of them is there.

use super::path;

/// No export is nested as deep as that.
const MOST_CANDIDATES: usize = 16;

/// The names under which the original looks for the body of an html block, relative to the branch.
/// The first is the one that should be there.
pub(super) fn html_candidates(id: &str, filename: &str) -> Vec<String> {
    let pointer = format!("html/{}", path::from_id(id));
    let expected = format!("{}/{filename}.html", path::parent(&pointer));
    // Some authors write the extension into the name.
    let doubled = expected.strip_suffix(".html.html");
    let fallback = doubled.map_or(expected.clone(), |stem| format!("{stem}.html"));
    let mut candidates = vec![expected];
    let mut rest = fallback.as_str();
    while let Some((_, below)) = rest.split_once('/')
        && candidates.len() < MOST_CANDIDATES
    {
        candidates.push(rest.to_owned());
        rest = below;
    }
    candidates
}

/// The names under which the original looks for the definition of any other block that has a
/// `filename`, relative to the branch. The first is the one that should be there.
pub(super) fn definition_candidates(tag: &str, filename: &str) -> Vec<String> {
    let mut candidates = vec![format!("{tag}/{filename}.xml")];
    if tag == "problem" {
        candidates.push(format!("problems/{filename}.xml"));
        candidates.push(format!("{filename}.xml"));
    }
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_html_body_is_looked_for_from_the_directory_of_its_block_upwards() {
        #[track_caller]
        fn check(id: &str, filename: &str, expected: &[&str]) {
            assert_eq!(html_candidates(id, filename), expected, "{id} {filename}");
        }
        check("a", "b", &["html/b.html", "html/b.html"]);
        check("a", "b.html", &["html/b.html.html", "html/b.html"]);
        check("x:a", "b", &["html/x/b.html", "html/x/b.html", "x/b.html"]);
        check("a", "x/b", &["html/x/b.html", "html/x/b.html", "x/b.html"]);
        check(
            "a",
            "../b",
            &["html/../b.html", "html/../b.html", "../b.html"],
        );
    }

    #[test]
    fn a_name_of_a_million_directories_is_not_looked_for_a_million_times() {
        let candidates = html_candidates("a", &"x/".repeat(1_000_000));
        assert_eq!(candidates.len(), MOST_CANDIDATES);
    }

    #[test]
    fn definitions_of_problems_had_three_places() {
        assert_eq!(
            definition_candidates("problem", "a"),
            ["problem/a.xml", "problems/a.xml", "a.xml"]
        );
        assert_eq!(definition_candidates("customtag", "a"), ["customtag/a.xml"]);
    }
}
