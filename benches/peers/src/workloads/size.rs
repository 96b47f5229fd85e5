//! Bytes: of records against what the original stores, and on disk after loading and rewriting.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Session, Stores, place};
use crate::contenders::{BareSled, Courseblocks, Peer, Row, disk_bytes, each_peer, generations};
use crate::export;
use crate::fleet::{self, Random};
use crate::interrupt::Interrupted;
use crate::original::export;
use crate::results::{Figure, Point, Unit};
use crate::spread::Spread;

pub(crate) const ALL_RECORDS: &str = "courseblocks, all records";

/// A fleet whose bytes are counted.
pub(crate) struct Weighed {
    stores: Stores,
    store: Courseblocks,
    sizes: Vec<usize>,
    /// By course.
    rows: Vec<Vec<Row>>,
    blocks: f64,
}

impl Weighed {
    pub(crate) fn new(session: &Session<'_>) -> Self {
        let stores = Stores::new();
        let sizes = fleet::sizes(session.scale.weighed_courses);
        let store = Courseblocks::open(&stores.directory("courseblocks"), &sizes);
        let rows: Vec<_> = store
            .courses()
            .iter()
            .map(|course| store.rows(course))
            .collect();
        let blocks = store.courses().iter().map(|course| store.blocks(course));
        Self {
            blocks: blocks.sum(),
            stores,
            store,
            sizes,
            rows,
        }
    }

    /// The bytes of records a block, against the original's compressed pickle of the same courses;
    /// nothing where there is no Python.
    pub(crate) fn bytes_per_block(
        &self,
        session: &mut Session<'_>,
    ) -> Result<Option<Figure>, Interrupted> {
        let Some(original) = &mut session.original else {
            return Ok(None);
        };
        let mut figure = Figure::new(
            "bytes_per_block",
            "Bytes a block, against the original's compressed pickle of the same courses",
            "the original, compressed",
            "courses",
            Unit::Bytes,
        );
        let path = self.stores.directory("export").join("course.json");
        let mut compressed = Vec::new();
        let mut blocks = Vec::new();
        for (number, size) in self.sizes.iter().enumerate() {
            session.rounds.check()?;
            export(
                &export::course(&fleet::authored_course(number, *size)),
                &path,
            );
            let stored = original.sizes(&path);
            compressed.push(float(stored.compressed_bytes));
            blocks.push(float(stored.blocks));
        }
        let mut by_name: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        let mut all = Vec::new();
        for (rows, course) in self.rows.iter().zip(self.store.courses()) {
            for row in rows {
                let name = row.key.get(course.as_str().len() + 1..).unwrap_or_default();
                let name = match String::from_utf8_lossy(name) {
                    name if name.is_empty() => "courseblocks, row of the header index".to_owned(),
                    name => format!("courseblocks, {name}"),
                };
                by_name
                    .entry(name)
                    .or_default()
                    .push(place(row.value.len()));
            }
            all.push(rows.iter().map(|row| place(row.value.len())).sum());
        }
        let mut add = |contender: &str, bytes: &[f64]| {
            let point = Point {
                x: place(self.sizes.len()),
                ratio: Spread::of_ratios(bytes, &compressed),
                absolute: Spread::of_ratios(bytes, &blocks),
            };
            figure.push(contender, point);
        };
        add("the original, compressed", &compressed);
        add(ALL_RECORDS, &all);
        for (name, bytes) in &by_name {
            add(name, bytes);
        }
        Ok(Some(figure))
    }

    /// What everybody takes on disk: after loading, and after writing everything again some times.
    pub(crate) fn disk(self, session: &Session<'_>) -> Result<Figure, Interrupted> {
        let mut figure = Figure::new(
            "disk_use",
            "Bytes a block on disk, against the bytes of the records",
            "the records themselves",
            "times everything was rewritten",
            Unit::Bytes,
        );
        let payload: usize = self.rows.iter().flatten().map(|row| row.value.len()).sum();
        let mut add = |contender: &str, rewritten: usize, bytes: u64| {
            let point = Point {
                x: place(rewritten),
                ratio: Spread::of(&[float(bytes) / place(payload)]),
                absolute: Spread::of(&[float(bytes) / self.blocks]),
            };
            figure.push(contender, point);
        };
        let publications: Vec<Vec<_>> = ["v2", "v3"]
            .iter()
            .map(|version| {
                let courses = self.store.courses().iter();
                courses
                    .map(|course| self.store.publication(course, version))
                    .collect()
            })
            .collect();
        let directory = self.stores.directory("courseblocks");
        rewrite(
            session,
            &directory,
            self.rows.len(),
            |time, number| {
                let publication = &publications[time % 2][number];
                self.store
                    .publish(&self.store.courses()[number], publication);
            },
            |time, bytes| add("courseblocks", time, bytes),
        )?;
        let bare = self.stores.directory(BareSled::NAME);
        rewrite_peer::<BareSled>(session, &bare, &self.rows, &mut add)?;
        each_peer!(P => {
            let directory = self.stores.directory(P::NAME);
            rewrite_peer::<P>(session, &directory, &self.rows, &mut add)?;
        });
        Ok(figure)
    }
}

fn rewrite_peer<P: Peer>(
    session: &Session<'_>,
    directory: &Path,
    courses: &[Vec<Row>],
    add: &mut impl FnMut(&str, usize, u64),
) -> Result<(), Interrupted> {
    let peer = P::open(directory);
    for rows in courses {
        peer.commit(rows);
    }
    let written = generations(courses);
    let write = |time: usize, number: usize| {
        peer.commit(&written[number + time % 2 * courses.len()]);
    };
    rewrite(session, directory, courses.len(), write, |time, bytes| {
        add(P::NAME, time, bytes);
    })
}

/// Writes all courses again in changing orders, and weighs the directory at first, after the first
/// time and after the last.
fn rewrite(
    session: &Session<'_>,
    directory: &Path,
    courses: usize,
    write: impl Fn(usize, usize),
    mut weighed: impl FnMut(usize, u64),
) -> Result<(), Interrupted> {
    weighed(0, disk_bytes(directory));
    let mut random = Random::new(11);
    let mut order: Vec<_> = (0..courses).collect();
    for time in 1..=session.scale.rewrites {
        random.shuffle(&mut order);
        for &number in &order {
            session.rounds.check()?;
            write(time, number);
        }
        if time == 1 || time == session.scale.rewrites {
            weighed(time, disk_bytes(directory));
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "nobody reads 16 digits")]
fn float(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_fleet_has_some_hundred_blocks_and_a_few_courses_some_thousand() {
        let mut sizes = fleet::sizes(2_000);
        assert_eq!(sizes, fleet::sizes(2_000));
        sizes.sort_unstable();
        assert!((200..500).contains(&sizes[1_000]), "{}", sizes[1_000]);
        assert!(sizes[0] >= 20 && sizes[1_980] > 2_000);
        assert!((5_000..=40_000).contains(&sizes[1_999]), "{}", sizes[1_999]);
    }
}
