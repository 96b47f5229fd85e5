//! The work that is compared. Every contender's answers are checked before any is timed, so that
//! nobody is fast by doing nothing.

pub(crate) mod headers;
pub(crate) mod one_block;
pub(crate) mod original;
pub(crate) mod rewrite;
pub(crate) mod scan;
pub(crate) mod size;
pub(crate) mod threads;
pub(crate) mod whole;

use std::fs;
use std::path::PathBuf;
use std::rc::Rc;

use tempfile::TempDir;

use crate::contenders::{Peer, Row};
use crate::original::Original;
use crate::results::{Figure, Point, Unit};
use crate::rounds::{Contender, Measured, Rounds};
use crate::scale::Scale;

/// What a workload needs of the run that it is part of.
pub(crate) struct Session<'i> {
    pub(crate) scale: Scale,
    pub(crate) rounds: Rounds<'i>,
    /// Where there is a Python.
    pub(crate) original: Option<Original>,
}

/// A directory for the stores of one workload. It must outlive them.
struct Stores(TempDir);

impl Stores {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    /// An empty directory.
    fn directory(&self, name: &str) -> PathBuf {
        let directory = self.0.path().join(name);
        fs::create_dir_all(&directory).expect("a directory");
        directory
    }

    /// A peer that holds these rows.
    fn peer<P: Peer>(&self, purpose: &str, rows: &[Row]) -> Rc<P> {
        let peer = P::open(&self.directory(&format!("{} {purpose}", P::NAME)));
        peer.load(rows);
        for row in rows {
            peer.get(&row.key, |value| {
                check(P::NAME, &value, &row.value.as_slice());
            });
        }
        Rc::new(peer)
    }
}

/// A peer that gets one value after the other and looks at it.
fn reader<P: Peer + 'static, R>(
    name: impl Into<String>,
    peer: &Rc<P>,
    keys: Vec<Vec<u8>>,
    look: impl Fn(&[u8]) -> R + 'static,
) -> Contender<'static> {
    let peer = Rc::clone(peer);
    let mut next = cycle(keys.len());
    Contender::new(name, move || peer.get(&keys[next()], &look))
}

/// The numbers from 0 to below `end`, over and over.
fn cycle(end: usize) -> impl FnMut() -> usize {
    let mut next = 0;
    move || {
        let number = next;
        next = (next + 1) % end;
        number
    }
}

/// Panics unless two contenders gave the same answer.
#[track_caller]
fn check<T: PartialEq>(contender: &str, answer: &T, expected: &T) {
    assert!(answer == expected, "{contender} answers what others do not");
}

/// A number as a place on an axis.
#[expect(clippy::cast_precision_loss, reason = "nobody reads 16 digits")]
fn place(number: usize) -> f64 {
    number as f64
}

impl Figure {
    fn new(key: &str, title: &str, reference: &str, x: &str, unit: Unit) -> Self {
        Self {
            key: key.to_owned(),
            title: title.to_owned(),
            reference: reference.to_owned(),
            x: x.to_owned(),
            unit,
            series: Vec::new(),
        }
    }

    /// Adds what was measured at one size, each contender against the reference.
    fn add(&mut self, x: f64, measured: &Measured, reference: &str) {
        for name in measured.names() {
            let point = Point {
                x,
                ratio: measured.ratio(name, reference),
                absolute: measured.seconds(name),
            };
            self.push(name, point);
        }
    }
}
