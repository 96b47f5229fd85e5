//! Control data as it is carried to another store: what holds there too, and as it was at one
//! moment where that matters. It must not know what carries it.

use std::collections::BTreeMap;

use super::gate::is_gates;
use super::queue::{PARTITION, drop_stray_tasks, is_meter};
use crate::engine::{Item, Key, Space, Value};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{FloorEpoch, ROLLOUT, Store, check_carried_control, is_fleet};

/// How often control data is read against raises of floors.
const MAX_ATTEMPTS: usize = 64;

/// Whether a row of control data goes with the store. The fleet does not live in another one, a
/// gate is judged where the data is, and how fast the queue was worked off is no news there.
pub(crate) fn is_carried(partition: &[u8], name: &[u8]) -> bool {
    !is_fleet(partition, name) && !is_gates(partition, name) && !is_meter(partition, name)
}

/// All control data that is carried, in the order of its keys, every byte of it checked. To be read
/// after the rows of courses, the newest of which was checked against the floors of `newest`. The
/// floors are as old as what the history tells of them, and the counter of unique numbers is
/// beyond those of all rows. `on_damage` decides whether damage is an error; damaged rows are left
/// out otherwise.
///
/// # Errors
/// [`Damaged`](ErrorKind::Damaged) where the floors are damaged or gone, whatever `on_damage` says:
/// without them, older releases would be let in again.
pub(crate) fn carried_control(
    store: &Store,
    newest: Option<FloorEpoch>,
    mut on_damage: impl FnMut(Error) -> Result<()>,
) -> Result<Vec<Item>> {
    for _ in 0..MAX_ATTEMPTS {
        let floors = floors(store, newest)?;
        let (rows, damage) = rows(store)?;
        if self::floors(store, newest)? != floors {
            continue;
        }
        for error in damage {
            on_damage(error)?;
        }
        let mut kept = Vec::with_capacity(rows.len());
        for item in rows {
            match check_carried_control(item.partition(), item.name(), item.value()) {
                Ok(()) => kept.push(item),
                Err(error) => on_damage(error)?,
            }
        }
        drop_stray_tasks(&mut kept);
        return with_present_counter(store, kept);
    }
    let message = format!(
        "the control data could not be read: the floors changed {MAX_ATTEMPTS} times meanwhile"
    );
    Err(Error::new(ErrorKind::Conflict, message))
}

/// The floors as they are stored.
fn floors(store: &Store, newest: Option<FloorEpoch>) -> Result<Option<Value>> {
    let (place, bytes) = store.floors_bytes()?;
    if let Some(bytes) = &bytes {
        check_carried_control(place.partition.as_bytes(), place.name, bytes)?;
    }
    let epoch = match store.floors() {
        Ok(floors) => floors.epoch(),
        // Only that knows.
        Err(error) if error.kind() == ErrorKind::TooNew => return Ok(bytes),
        Err(error) => return Err(error),
    };
    match newest.filter(|newest| *newest > epoch) {
        None => Ok(bytes),
        Some(newest) => {
            let message = format!(
                "the floors are gone: courses were checked against those of epoch {}, and these \
                 are of epoch {}",
                newest.get(),
                epoch.get()
            );
            Err(Error::new(ErrorKind::Damaged, message))
        }
    }
}

/// All rows that are carried, and what cannot be read.
fn rows(store: &Store) -> Result<(Vec<Item>, Vec<Error>)> {
    let mut rows = BTreeMap::new();
    let mut damage = Vec::new();
    // A scan may end where something is damaged: what is beyond is reached in other ways.
    for partition in [None, Some(PARTITION), Some(ROLLOUT)] {
        if partition.is_some() && damage.is_empty() {
            break;
        }
        for item in store
            .engine()
            .scan(Space::Control, partition.map(str::as_bytes))
        {
            match item {
                Ok(item) if is_carried(item.partition(), item.name()) => {
                    let key = (item.partition().to_vec(), item.name().to_vec());
                    rows.insert(key, item);
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Damaged => damage.push(unreadable(error)),
                Err(error) => return Err(error),
            }
        }
    }
    if let (place, Some(bytes)) = store.floors_bytes()? {
        let (partition, name) = (place.partition.as_bytes(), place.name);
        let item = Item::new(partition, name, bytes)?;
        rows.insert((partition.to_vec(), name.to_vec()), item);
    }
    Ok((rows.into_values().collect(), damage))
}

/// The counter is read last: numbers that rows have were handed out before they were read.
fn with_present_counter(store: &Store, mut rows: Vec<Item>) -> Result<Vec<Item>> {
    let place = store.counter_place();
    let partition = place.partition.as_bytes();
    let key = Key::new(Space::Control, partition, place.name);
    for row in &mut rows {
        if place.is(row.partition(), row.name())
            && let Some(value) = store.engine().get(key)?
        {
            check_carried_control(partition, place.name, &value)?;
            *row = Item::new(partition, place.name, value)?;
        }
    }
    Ok(rows)
}

fn unreadable(error: Error) -> Error {
    Error::new(
        ErrorKind::Damaged,
        "the control data cannot be read to its end",
    )
    .with_source(error)
}
