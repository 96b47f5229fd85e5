//! The rules of the house that a person would otherwise check by eye: which module may import
//! which, where a dependency may be named, and that what the manifest says is true.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What each module of `src/` may import. ARCHITECTURE.md draws the same arrows.
const ARROWS: &[(&str, &[&str])] = &[
    ("concat", &[]),
    ("error", &[]),
    ("version", &[]),
    ("timestamp", &[]),
    ("field", &["timestamp"]),
    ("key", &["error"]),
    ("source_version", &["error"]),
    ("record", &["concat", "error", "version"]),
    ("engine", &["concat", "error"]),
    ("structure", &["error", "key"]),
    (
        "store",
        &[
            "engine",
            "error",
            "key",
            "record",
            "source_version",
            "timestamp",
            "version",
        ],
    ),
    (
        "rollout",
        &[
            "engine",
            "error",
            "key",
            "store",
            "timestamp",
            "transformer",
            "version",
        ],
    ),
    (
        "backup",
        &[
            "engine",
            "error",
            "key",
            "record",
            "rollout",
            "store",
            "timestamp",
            "version",
        ],
    ),
    (
        "modulestore",
        &[
            "error",
            "field",
            "key",
            "source_version",
            "structure",
            "timestamp",
        ],
    ),
    (
        "transformer",
        &[
            "error",
            "field",
            "key",
            "modulestore",
            "record",
            "store",
            "structure",
            "timestamp",
            "version",
        ],
    ),
    (
        "schema",
        &["error", "modulestore", "record", "transformer", "version"],
    ),
    (
        "collect",
        &[
            "concat",
            "error",
            "field",
            "key",
            "modulestore",
            "record",
            "store",
            "structure",
            "transformer",
            "version",
        ],
    ),
    (
        "manager",
        &[
            "collect",
            "engine",
            "error",
            "key",
            "modulestore",
            "record",
            "rollout",
            "source_version",
            "store",
            "structure",
            "timestamp",
            "transformer",
            "version",
        ],
    ),
];

/// Crates that only some files may name.
const NAMED_IN: &[(&str, &[&str])] = &[
    // In engine/mod.rs it is the name of our own module.
    ("sled::", &["src/engine/sled/", "src/engine/mod.rs"]),
    ("bincode::", &["src/record/codec.rs"]),
    ("lz4_flex::", &["src/record/compression.rs"]),
    ("roxmltree::", &["src/modulestore/olx/"]),
    (
        "rustix::",
        &[
            "src/engine/directory.rs",
            "src/engine/disk.rs",
            "src/engine/shared/socket.rs",
            "src/modulestore/olx/",
        ],
    ),
    ("clap::", &["src/cli/"]),
    ("indicatif::", &["src/cli/"]),
    ("console::", &["src/cli/"]),
    ("signal_hook::", &["src/cli/interrupt.rs"]),
];

/// What only the command line may do.
const ONLY_IN_CLI: &[&str] = &[
    "println!",
    "eprintln!",
    "std::env::",
    "SystemTime::now",
    "Instant::now",
    "process::exit",
];

#[test]
fn imports_point_down() {
    let arrows: BTreeMap<_, BTreeSet<_>> = ARROWS
        .iter()
        .map(|(module, allowed)| (*module, allowed.iter().copied().collect()))
        .collect();
    let mut wrong = Vec::new();
    for file in sources() {
        let module = module_of(&file);
        // The top may import everything.
        if ["cli", "lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let allowed = arrows
            .get(module.as_str())
            .unwrap_or_else(|| panic!("{module} has no arrows in ARROWS: {}", file.display()));
        for imported in imports(&code(&file)) {
            if imported != module && !allowed.contains(imported.as_str()) {
                wrong.push(format!("{}: {module} imports {imported}", file.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "arrows that point up:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn a_dependency_is_named_only_where_it_belongs() {
    let mut wrong = Vec::new();
    for file in sources() {
        let path = relative(&file);
        let code = code(&file);
        for (name, homes) in NAMED_IN {
            let is_home = homes.iter().any(|home| path.starts_with(home));
            if !is_home && names_crate(&code, name) {
                wrong.push(format!("{path} names {name}"));
            }
        }
        if !path.starts_with("src/cli/") {
            let named = ONLY_IN_CLI.iter().filter(|name| code.contains(**name));
            wrong.extend(named.map(|name| format!("{path} has {name}, which is for src/cli/")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_is_left_for_later() {
    // Spelled so that this file does not find itself.
    let unfinished = ["todo", "unimplemented"].map(|name| format!("{name}!"));
    let mut wrong = Vec::new();
    for file in sources() {
        let code = code(&file);
        wrong.extend(
            unfinished
                .iter()
                .filter(|name| code.contains(name.as_str()))
                .map(|name| format!("{}: {name}", relative(&file))),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// No toolchain of that version is at hand, so what can be checked is checked: no dependency wants
/// more (clippy checks our own use of the standard library).
#[test]
fn no_dependency_wants_a_newer_compiler_than_the_manifest_states() {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version=1",
            "--locked",
            "--all-features",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let stated = version(env!("CARGO_PKG_RUST_VERSION"));
    let packages = metadata["packages"].as_array().expect("packages");
    let wrong: Vec<_> = packages
        .iter()
        .filter(|package| package["rust_version"].as_str().map(version) > Some(stated))
        .map(|package| format!("{} wants {}", package["name"], package["rust_version"]))
        .collect();
    assert!(packages.len() > 50, "only {} packages", packages.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn version(text: &str) -> (u32, u32) {
    let mut parts = text.split('.').map(|part| part.parse().expect("a number"));
    (
        parts.next().expect("a major version"),
        parts.next().unwrap_or(0),
    )
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(found.len() > 30, "only {} files", found.len());
    found
}

fn relative(file: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    file.strip_prefix(root)
        .expect("below the root")
        .display()
        .to_string()
}

fn module_of(file: &Path) -> String {
    let path = relative(file);
    let below = path.strip_prefix("src/").expect("below src");
    let end = below.find(['/', '.']).expect("an extension");
    below[..end].to_owned()
}

/// The file without comments and without its tests, which may look at everything.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).expect("a text file");
    let before_tests = text.split("\nmod tests {").next().unwrap_or_default();
    let lines = before_tests.lines();
    let code = lines.filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}

/// The modules behind every `crate::`, those in braces included.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (_, after) in code
        .match_indices("crate::")
        .map(|(at, text)| (at, &code[at + text.len()..]))
    {
        if let Some(group) = after.strip_prefix('{') {
            let group = group.split('}').next().unwrap_or_default();
            found.extend(
                group
                    .split(',')
                    .map(first_word)
                    .filter(|name| !name.is_empty()),
            );
        } else {
            found.insert(first_word(after));
        }
    }
    // `crate::Error` and its like are names of the top, not modules.
    found.retain(|name| name.starts_with(char::is_lowercase));
    found
}

fn first_word(text: &str) -> String {
    let text = text.trim_start();
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    text[..end].to_owned()
}

/// Whether the crate itself is named, not a module of ours that has the same name.
fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let is_path = before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
        !is_path
    })
}
