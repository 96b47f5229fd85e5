//! Names of files inside an export: `/` between components, relative to its root. Text only:
//! never touches a file system.

/// The folders of pages outside the tree.
pub(super) const DETACHED_FOLDERS: [&str; 4] = ["about", "custom_tags", "info", "tabs"];

/// Where drafts lie, as a prefix of their names.
pub(super) const DRAFTS: &str = "drafts/";

/// The longest name, as most file systems have it.
pub(super) const MAX_BYTES: usize = 4_096;

/// The name without empty, `.` and `..` components; `None` if it leads out of the root.
///
/// Ids and file names that authors choose pass through here: `:` becomes `/` in an id, which
/// makes `..:..:etc:x` a path.
pub(super) fn normalise(name: &str) -> Option<String> {
    let mut components = Vec::new();
    for component in name.split('/') {
        match component {
            "" | "." => {}
            ".." => {
                components.pop()?;
            }
            component => components.push(component),
        }
    }
    Some(components.join("/"))
}

/// The id of a block as the name of its file.
pub(super) fn from_id(id: &str) -> String {
    id.replace(':', "/")
}

/// The directory part, empty for a name without one.
pub(super) fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// The last component.
pub(super) fn file_name(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, file)| file)
}

/// The last component without its last extension. A leading dot starts no extension.
pub(super) fn stem(name: &str) -> &str {
    match file_name(name).rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => file_name(name),
    }
}

/// Whether the reader can need a file, by its name in the course. Static media are not, and
/// neither is what editors and desktops leave behind.
pub(super) fn is_read(name: &str) -> bool {
    let Some(components) = visible_components(name) else {
        return false;
    };
    let draft = components.strip_prefix(&["drafts"]).unwrap_or(&components);
    match draft {
        ["static", _, ..] => false,
        [folder, _] | [folder, _, _] if DETACHED_FOLDERS.contains(folder) => true,
        ["grading_policy.json"] | ["policies", _, "policy.json" | "grading_policy.json"] => true,
        ["policies", file] => *file != "assets.json" && has_extension(file, &["json"]),
        _ => is_definition_or_body(name),
    }
}

/// Whether the file could be read if its course began at any of its directories. An archive is
/// read before it is known where the course begins.
pub(super) fn may_be_read(name: &str) -> bool {
    visible_components(name).is_some_and(|components| {
        is_definition_or_body(name)
            || has_extension(name, &["json"])
            || components
                .iter()
                .any(|folder| DETACHED_FOLDERS.contains(folder))
    })
}

/// Whether a directory holds nothing but what learners download.
pub(super) fn is_media(directory: &str) -> bool {
    matches!(directory, "static" | "drafts/static")
}

/// Whether a directory is worth entering.
pub(super) fn is_walked(directory: &str) -> bool {
    !directory.starts_with('.')
}

/// Whether a file is what an editor or desktop left behind.
pub(super) fn is_noise(file: &str) -> bool {
    file.starts_with("._") || file == ".DS_Store" || file.ends_with('~')
}

/// Whether a name ends in a dot and one of these. The case counts, as it does where blocks ask.
pub(super) fn has_extension(name: &str, extensions: &[&str]) -> bool {
    let ends_in = |extension: &&str| {
        let stem = name.strip_suffix(extension);
        stem.is_some_and(|stem| stem.ends_with('.'))
    };
    extensions.iter().any(ends_in)
}

fn is_definition_or_body(name: &str) -> bool {
    has_extension(name, &["html", "xml"])
}

fn visible_components(name: &str) -> Option<Vec<&str>> {
    let components: Vec<&str> = name.split('/').collect();
    let (file, directories) = components.split_last()?;
    let visible = !is_noise(file) && directories.iter().all(|directory| is_walked(directory));
    visible.then_some(components)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_inside_the_root_or_is_none() {
        #[track_caller]
        fn check(name: &str, expected: Option<&str>) {
            assert_eq!(normalise(name).as_deref(), expected, "{name}");
        }
        check("html/a.xml", Some("html/a.xml"));
        check("html//./a.xml", Some("html/a.xml"));
        check("/etc/passwd", Some("etc/passwd"));
        check("html/../problem/a.xml", Some("problem/a.xml"));
        check("html/..", Some(""));
        check("html/../../course/html/a.xml", None);
        check("../a.xml", None);
        check("html/a/../../../a.xml", None);
        check("...", Some("..."));
        check(&format!("html/{}.xml", from_id("..:..:etc:x")), None);
    }

    #[test]
    fn definitions_bodies_policies_and_pages_are_read() {
        for name in [
            "course.xml",
            "html/a.xml",
            "html/dir/a b.html",
            "html/x.html.xml",
            "drafts/html/a.html",
            "about/overview.html",
            "about/notes.txt",
            "info/2013/updates.items.json",
            "tabs/a",
            "policies/2013/policy.json",
            "policies/2013/grading_policy.json",
            "policies/2013.json",
            "grading_policy.json",
            "custom_tags/book",
        ] {
            assert!(is_read(name), "{name}");
            assert!(may_be_read(&format!("export/{name}")), "{name}");
        }
    }

    #[test]
    fn media_and_noise_are_not_read() {
        for name in [
            "static/a.html",
            "drafts/static/a.xml",
            "static/images/a.png",
            "assets/assets.json",
            "policies/assets.json",
            "policies/2013/assets.json",
            "html/a.md",
            "html/._a.xml",
            "html/a.xml~",
            ".git/config.xml",
            "about/.DS_Store",
            "about/a/b/c",
            "README",
        ] {
            assert!(!is_read(name), "{name}");
        }
        assert!(!may_be_read("course/static/video.mp4"));
        assert!(!may_be_read("course/.git/x.xml"));
    }

    #[test]
    fn a_stem_lacks_the_last_extension_only() {
        #[track_caller]
        fn check(name: &str, expected: &str) {
            assert_eq!(stem(name), expected);
        }
        check("info/updates.items.json", "updates.items");
        check("tabs/a", "a");
        check("about/.htaccess", ".htaccess");
        check("about/x.", "x");
        assert_eq!(parent("html/a/b.xml"), "html/a");
        assert_eq!(parent("course.xml"), "");
    }
}
