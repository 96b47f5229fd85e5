//! Where expected results and courses are. Knows their folders, not what they hold.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::Value;

/// A folder that users can point elsewhere.
#[derive(Debug)]
pub(crate) struct Folder {
    variable: &'static str,
    /// In the large set beside the project.
    beside: &'static str,
    /// In the project.
    inside: &'static str,
}

/// Expected results in JSON, some of them compressed.
pub(crate) const VECTORS: Folder = Folder {
    variable: "COURSEBLOCKS_VECTORS",
    beside: "../shared/vectors",
    inside: "tests/data/vectors",
};

/// Course exports with the expected structure beside each.
pub(crate) const COURSES: Folder = Folder {
    variable: "COURSEBLOCKS_COURSES",
    beside: "../shared/courses",
    inside: "examples/courses",
};

impl Folder {
    /// The first of: what the environment names, the large set beside the project, the small set
    /// inside it. What the environment names must be there.
    #[track_caller]
    pub(crate) fn path(&self) -> PathBuf {
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        self.choose(env::var_os(self.variable), project)
            .unwrap_or_else(|problem| panic!("{problem}"))
    }

    /// The JSON in the file `name` or, compressed, in `name.gz`. `None` where there is neither:
    /// sets may be incomplete.
    #[track_caller]
    pub(crate) fn read(&self, name: &str) -> Option<Value> {
        let folder = self.path();
        let Some(path) = find(&folder, name) else {
            println!("{}: no {name}, nothing compared", folder.display());
            return None;
        };
        println!("{}:", path.display());
        Some(read_json(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    fn choose(&self, named: Option<OsString>, project: &Path) -> Result<PathBuf, String> {
        if let Some(named) = named {
            let path = PathBuf::from(named);
            return match fs::read_dir(&path) {
                Ok(_) => Ok(path),
                Err(error) => Err(format!("{}={}: {error}", self.variable, path.display())),
            };
        }
        [self.beside, self.inside]
            .into_iter()
            .map(|folder| project.join(folder))
            .find(|path| path.is_dir())
            .ok_or_else(|| format!("no {}: set {}", self.inside, self.variable))
    }
}

/// The file `name` or `name.gz` in `folder`.
pub(crate) fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    [name.to_owned(), format!("{name}.gz")]
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.exists())
}

pub(crate) fn read_json(path: &Path) -> Result<Value, Box<dyn std::error::Error>> {
    let file = File::open(path)?;
    let mut text = String::new();
    if path.extension().is_some_and(|extension| extension == "gz") {
        GzDecoder::new(file).read_to_string(&mut text)?;
    } else {
        (&file).read_to_string(&mut text)?;
    }
    Ok(serde_json::from_str(&text)?)
}

#[test]
fn a_folder_that_is_named_must_be_there() {
    let root = tempfile::tempdir().unwrap();
    let project = root.path().join("project");
    for folder in [VECTORS, COURSES] {
        fs::create_dir_all(project.join(folder.inside)).unwrap();
        let absent = root.path().join("absent");
        let problem = folder.choose(Some(absent.into()), &project).unwrap_err();
        assert!(problem.starts_with(folder.variable), "{problem}");

        let named = root.path().to_owned();
        assert_eq!(
            folder.choose(Some(named.clone().into()), &project),
            Ok(named)
        );
    }
}

#[test]
fn the_set_beside_the_project_goes_before_the_one_inside_it() {
    let root = tempfile::tempdir().unwrap();
    let project = root.path().join("project");
    for folder in [VECTORS, COURSES] {
        assert!(folder.choose(None, &project).is_err());

        let inside = project.join(folder.inside);
        fs::create_dir_all(&inside).unwrap();
        assert_eq!(folder.choose(None, &project), Ok(inside));

        let beside = project.join(folder.beside);
        fs::create_dir_all(&beside).unwrap();
        assert_eq!(folder.choose(None, &project), Ok(beside));
    }
}

#[test]
fn a_file_may_be_there_as_it_is_or_compressed() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(find(folder.path(), "dag.json"), None);

    let compressed_file = folder.path().join("dag.json.gz");
    fs::write(&compressed_file, "").unwrap();
    assert_eq!(find(folder.path(), "dag.json"), Some(compressed_file));

    let file = folder.path().join("dag.json");
    fs::write(&file, "").unwrap();
    assert_eq!(find(folder.path(), "dag.json"), Some(file));
}
