//! What a run ran on and with, so that figures are not compared across machines.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use crate::results::Machine;

/// The crates whose versions matter.
const CRATES: [&str; 9] = [
    "bincode",
    "courseblocks",
    "crc32fast",
    "fjall",
    "heed",
    "lmdb-master-sys",
    "native_db",
    "redb",
    "sled",
];

const LOCK: &str = include_str!("../Cargo.lock");

/// This machine, as far as the system tells.
pub(crate) fn machine() -> Machine {
    let cpu = line_of("/proc/cpuinfo", "model name");
    let memory = line_of("/proc/meminfo", "MemTotal");
    let kibibytes = memory.trim_end_matches(" kB").parse::<u64>();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease");
    Machine {
        cpu: if cpu.is_empty() {
            "unknown".to_owned()
        } else {
            cpu
        },
        cores: available_parallelism().map_or(0, usize::from),
        memory_bytes: kibibytes.unwrap_or(0) * 1024,
        kernel: kernel.map_or("unknown".to_owned(), |kernel| kernel.trim().to_owned()),
    }
}

/// Versions by name: of the compiler, the crates that took part, and Python.
pub(crate) fn versions(python: Option<&str>) -> BTreeMap<String, String> {
    let mut versions: BTreeMap<_, _> = locked(LOCK)
        .filter(|(name, _)| CRATES.contains(name))
        .map(|(name, version)| (name.to_owned(), version.to_owned()))
        .collect();
    versions.insert("rustc".to_owned(), output("rustc", &["--version"]));
    if let Some(python) = python {
        versions.insert("python".to_owned(), python.to_owned());
    }
    versions
}

/// Now, in UTC.
pub(crate) fn date() -> String {
    output("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"])
}

/// The packages of a lock file. Of several versions of one crate, a direct dependency's is the
/// last.
fn locked(lock: &str) -> impl Iterator<Item = (&str, &str)> {
    let names = lock.lines().zip(lock.lines().skip(1));
    names.filter_map(|(name, version)| {
        let name = name.strip_prefix("name = \"")?.strip_suffix('"')?;
        let version = version.strip_prefix("version = \"")?.strip_suffix('"')?;
        Some((name, version))
    })
}

fn line_of(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(found, _)| found.trim() == name);
    found.map_or(String::new(), |(_, value)| value.trim().to_owned())
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.ok()
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contender_has_a_version() {
        let versions = versions(None);
        for name in CRATES {
            assert!(versions.contains_key(name), "{name}");
        }
        assert_eq!(versions["sled"], "0.34.7");
    }
}
