//! The sample course, inside the program: the demo must work wherever the program is. Knows its
//! files, and the two places in them that tell it from others like it.

use std::fs;
use std::io;
use std::path::Path;

/// A file of the course: its path, and what it holds.
macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$((
            $path,
            include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/examples/courses/demo-course/",
                $path
            )),
        )),*]
    };
}

/// Every file of `examples/courses/demo-course`.
pub(super) const FILES: &[(&str, &str)] = files![
    "about/overview.html",
    "chapter/moon.xml",
    "chapter/planets.xml",
    "chapter/stars.xml",
    "chapter/team.xml",
    "chapter/welcome.xml",
    "course.xml",
    "course/2026.xml",
    "html/finding-orion.html",
    "html/finding-orion.xml",
    "html/log-example.html",
    "html/log-example.xml",
    "html/looking-safely.html",
    "html/looking-safely.xml",
    "html/night-vision.html",
    "html/night-vision.xml",
    "html/phases-notes.html",
    "html/phases-notes.xml",
    "html/welcome-letter.html",
    "html/welcome-letter.xml",
    "policies/2026/grading_policy.json",
    "policies/2026/policy.json",
    "sequential/brightness.xml",
    "sequential/eyes.xml",
    "sequential/figures.xml",
    "sequential/moon-quiz.xml",
    "sequential/phases.xml",
    "sequential/planet-log.xml",
    "sequential/start-here.xml",
    "sequential/team-notes.xml",
    "sequential/telling-apart.xml",
];

/// What the course is called.
pub(super) const NUMBER: &str = "DEMO";

/// When its chapter about the stars opens.
pub(super) const OPENS: &str = "2031-01-10T18:00:00Z";

/// Writes a course like it that is called `number` and opens that chapter at `opens`, in the place
/// of what the directory may hold of it.
pub(super) fn write(directory: &Path, number: &str, opens: &str) -> io::Result<()> {
    for (path, text) in FILES {
        let file = directory.join(path);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        let text = match *path {
            "course.xml" => text.replace(&attribute(NUMBER), &attribute(number)),
            "policies/2026/policy.json" => text.replace(OPENS, opens),
            _ => (*text).to_owned(),
        };
        fs::write(file, text)?;
    }
    Ok(())
}

fn attribute(number: &str) -> String {
    format!("course=\"{number}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_holds_every_file_of_the_course() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/courses/demo-course");
        let mut found = Vec::new();
        let mut pending = vec![directory.clone()];
        while let Some(folder) = pending.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    pending.push(path);
                } else {
                    let path = path.strip_prefix(&directory).unwrap();
                    found.push(path.to_str().unwrap().replace('\\', "/"));
                }
            }
        }
        found.sort();
        assert_eq!(
            found,
            FILES.iter().map(|(path, _)| *path).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_course_like_it_differs_in_two_files() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), "DEMO-2", "2032-01-01T00:00:00Z").unwrap();
        let differing = FILES.iter().filter(|(path, text)| {
            fs::read_to_string(directory.path().join(path)).unwrap() != *text
        });
        let differing: Vec<_> = differing.map(|(path, _)| *path).collect();
        assert_eq!(differing, ["course.xml", "policies/2026/policy.json"]);
    }
}
