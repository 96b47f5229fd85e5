//! The version rules: the hash over WRITE versions, what is outdated, what a release may consist
//! of. Sequences of a manager's calls are compared elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use courseblocks::engine::{Durability, MemoryEngine};
use courseblocks::modulestore::SourceVersion;
use courseblocks::record::ColumnWriter;
use courseblocks::transformer::write_version_hash;
use courseblocks::{
    CourseKey, ErrorKind, Lookup, Manager, NewRecord, Publication, ReadVersion, Registry, Scope,
    Store, UpdateOptions, WriteVersion,
};
use serde_json::{Value, json};

use crate::joined::{joined, lease_for};
use crate::release::{CountedCourse, Versioned, versions};
use crate::report::Report;

/// Compares every case of `vectors`, the content of versions.json, but for those of a manager.
pub(crate) fn run(vectors: &Value, report: &mut Report) {
    for case in list(&vectors["hash"]) {
        hash(case, report);
    }
    for case in list(&vectors["verify"]) {
        verify(case, report);
    }
    for case in list(&vectors["collect"]) {
        collect(case, report);
    }
    for case in list(&vectors["registry"]) {
        registry(case, report);
    }
}

fn hash(case: &Value, report: &mut Report) {
    let versions = list(&case["transformers"]).iter();
    let versions = versions.map(|pair| (text(&pair[0]), decimal(&pair[1])));
    let got = write_version_hash(versions);
    report.compare(
        "hash",
        &case["transformers"].to_string(),
        text(&case["hash"]),
        &got,
    );
}

/// In the vectors a hashed version may have any size, which JSON numbers do not survive.
fn decimal(number: &Value) -> String {
    match number.as_i64() {
        Some(number) => number.to_string(),
        None => format!("{:.0}", number.as_f64().unwrap()),
    }
}

/// A transformer of a case, with versions that need not be possible.
#[derive(Debug)]
struct Registered<'v> {
    name: &'v str,
    read: u32,
    write: u32,
}

impl<'v> Registered<'v> {
    #[track_caller]
    fn list(registered: &'v Value) -> Vec<Self> {
        let registered = list(registered).iter();
        registered
            .map(|transformer| Self {
                name: text(&transformer["name"]),
                read: number(&transformer["read"]),
                write: number(&transformer["write"]),
            })
            .collect()
    }

    /// What keeps a release of ours from being like that.
    fn impossible(&self) -> Option<&'static str> {
        if self.write == 0 {
            Some("WRITE 0")
        } else if self.read > self.write {
            Some("READ above WRITE")
        } else {
            None
        }
    }
}

/// `None` where the registry refuses the transformers, and it must when one is impossible.
fn release(registered: &[Registered<'_>]) -> Option<Registry> {
    let mut registry = Registry::new();
    for transformer in registered {
        let name = transformer.name.to_owned();
        let versions = versions(transformer.read, transformer.write)?;
        match registry.register(Versioned { name, versions }) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Registry => return None,
            Err(error) => panic!("{registered:?}: {error}"),
        }
    }
    Some(registry)
}

fn verify(case: &Value, report: &mut Report) {
    let name = case.to_string();
    let registered = Registered::list(&case["registered"]);
    let stored = case["stored"].as_object().unwrap();
    let stored: BTreeMap<_, _> = stored
        .iter()
        .map(|(name, version)| (name.as_str(), number(version)))
        .collect();
    let wanted = outdated_of(&case["expect"]);
    // Who refuses what is impossible is compared as well: it is the rule of ours that differs.
    let impossible = registered.iter().find_map(Registered::impossible);
    let release = release(&registered);
    match (impossible, release) {
        (None, Some(release)) => {
            let got = outdated_in_store(&release, &stored);
            report.compare("verify", &name, &wanted, &got);
        }
        (Some(reason), None) => {
            let kind = format!("verify, the rule alone ({reason} is refused at registration)");
            report.compare(
                &kind,
                &name,
                &wanted,
                &outdated_by_rule(&registered, &stored),
            );
        }
        (impossible, release) => report.fail("verify", &name, impossible, release),
    }
}

/// Puts records of the `stored` versions into a store and looks them up as the release does. The
/// original counts what is missing as version 0, which no record of ours can have.
fn outdated_in_store(release: &Registry, stored: &BTreeMap<&str, u32>) -> BTreeSet<(String, u32)> {
    let course: CourseKey = "course-v1:Org+Course+Run".parse().unwrap();
    let store = Store::with_engine(Arc::new(MemoryEngine::new()));
    let records = stored.iter().filter_map(|(name, version)| {
        Some(NewRecord {
            name: (*name).to_owned(),
            versions: versions(0, *version)?,
            body: ColumnWriter::new().finish(&[]).unwrap(),
        })
    });
    let publication = Publication {
        scope: Scope::Whole,
        source_version: SourceVersion::new("1").unwrap(),
        origin: None,
        blocks: 0,
        records: records.collect(),
        failures: Vec::new(),
        errors: 0,
        warnings: 0,
    };
    let written = publication.records.iter();
    let written = written.map(|record| (record.name.as_str(), record.versions));
    let lease = lease_for(&store, written);
    let (base, _) = store.base(&lease, &course).unwrap();
    store
        .publish(&lease, &base, &publication, Durability::Buffered)
        .unwrap();

    let mut outdated = BTreeSet::new();
    for name in release.names() {
        let versions = release.versions(name).unwrap();
        let is_usable = match store.lookup(&course, name, &versions).unwrap() {
            Lookup::Fresh(_) => true,
            Lookup::Missing => versions.read.accepts_missing(),
            Lookup::Outdated { .. } => false,
            other => panic!("{name}: {other:?}"),
        };
        if !is_usable {
            outdated.insert((name.to_owned(), versions.read.get()));
        }
    }
    outdated
}

fn outdated_by_rule(
    registered: &[Registered<'_>],
    stored: &BTreeMap<&str, u32>,
) -> BTreeSet<(String, u32)> {
    let is_usable = |transformer: &Registered<'_>| {
        let read = ReadVersion::new(transformer.read);
        let stored = stored
            .get(transformer.name)
            .copied()
            .and_then(WriteVersion::new);
        stored.map_or(read.accepts_missing(), |stored| read.accepts(stored))
    };
    let outdated = registered
        .iter()
        .filter(|transformer| !is_usable(transformer));
    outdated
        .map(|transformer| (transformer.name.to_owned(), transformer.read))
        .collect()
}

fn outdated_of(expect: &Value) -> BTreeSet<(String, u32)> {
    let outdated = list(&expect["outdated"]).iter();
    outdated
        .map(|pair| (text(&pair[0]).to_owned(), number(&pair[1])))
        .collect()
}

fn collect(case: &Value, report: &mut Report) {
    let name = case.to_string();
    let registered = Registered::list(&case["registered"]);
    if case["collect"].get("error").is_some() {
        let wanted: BTreeSet<_> = list(&case["collect"]["write_version_zero"])
            .iter()
            .map(text)
            .collect();
        let refused = registered
            .iter()
            .filter(|transformer| versions(transformer.read, transformer.write).is_none());
        let refused = refused.map(|transformer| transformer.name).collect();
        report.compare(
            "collect, WRITE 0 (no version of ours)",
            &name,
            &wanted,
            &refused,
        );
        return;
    }
    let stored: BTreeMap<_, _> = registered
        .iter()
        .map(|transformer| (transformer.name, transformer.write))
        .collect();
    let wanted = (
        case["collect"]["stored"].clone(),
        outdated_of(&case["verify"]),
    );
    let impossible = registered.iter().find_map(Registered::impossible);
    match (impossible, release(&registered)) {
        (None, Some(release)) => {
            let got = collected(release);
            report.compare("collect", &name, &wanted, &got);
        }
        (Some(reason), None) => {
            let kind = format!("collect, the rule alone ({reason} is refused at registration)");
            let got = (json!(stored), outdated_by_rule(&registered, &stored));
            report.compare(&kind, &name, &wanted, &got);
        }
        (impossible, release) => report.fail("collect", &name, impossible, release),
    }
}

/// The versions that a collect stores, and which of them the same release calls outdated.
fn collected(release: Registry) -> (Value, BTreeSet<(String, u32)>) {
    let release = Arc::new(release);
    let store = Arc::new(Store::with_engine(Arc::new(MemoryEngine::new())));
    let course = Arc::new(CountedCourse::new());
    let manager = Manager::new(Arc::clone(&store), Arc::clone(&release), course.clone());
    let manager = joined(manager);
    manager
        .update(course.key(), &UpdateOptions::default())
        .unwrap();
    let entry = store.course(course.key()).unwrap().unwrap();
    let stored: BTreeMap<_, _> = entry
        .records()
        .iter()
        .filter(|record| !record.name().starts_with('@'))
        .map(|record| (record.name(), record.header().write_version().get()))
        .collect();
    let outdated = release.names().filter_map(|name| {
        let versions = release.versions(name).unwrap();
        let lookup = store.lookup(course.key(), name, &versions).unwrap();
        let is_outdated = !matches!(lookup, Lookup::Fresh(_));
        is_outdated.then(|| (name.to_owned(), versions.read.get()))
    });
    let outdated = outdated.collect();
    (json!(stored), outdated)
}

/// A list of transformers is made where they are asked for: a read.
fn registry(case: &Value, report: &mut Report) {
    let registered = list(&case["registered"]).iter().map(text);
    let registered: Vec<_> = registered
        .map(|name| Registered {
            name,
            read: 1,
            write: 1,
        })
        .collect();
    let Some(release) = release(&registered) else {
        report.fail("registry", &case.to_string(), "a registry", "refused");
        return;
    };
    let requested: Vec<_> = list(&case["requested"]).iter().map(text).collect();
    let unregistered: BTreeSet<_> = requested
        .iter()
        .copied()
        .filter(|name| !release.contains(name))
        .collect();
    let course = Arc::new(CountedCourse::new());
    let store = Store::with_engine(Arc::new(MemoryEngine::new()));
    let manager = joined(Manager::new(
        Arc::new(store),
        Arc::new(release),
        course.clone(),
    ));
    let construct = match manager.get_collected(course.key(), &requested) {
        Ok(_) => "ok",
        Err(error) if error.kind() == ErrorKind::Registry => "TransformerException",
        Err(error) => panic!("{case}: {error}"),
    };
    let wanted = (
        list(&case["unregistered"]).iter().map(text).collect(),
        text(&case["construct"]),
    );
    report.compare(
        "registry",
        &case.to_string(),
        &wanted,
        &(unregistered, construct),
    );
}

fn list(section: &Value) -> &[Value] {
    section.as_array().map_or(&[], Vec::as_slice)
}

#[track_caller]
fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a text: {value}"))
}

#[track_caller]
fn number(value: &Value) -> u32 {
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    number.unwrap_or_else(|| panic!("not a version: {value}"))
}
