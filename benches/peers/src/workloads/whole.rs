//! Checking and decoding all of a column, against the sum of what that consists of.

use std::fmt::Debug;

use bincode::config;
use courseblocks::Transformer;
use courseblocks::transformer::standard::{HiddenContent, StartDate, Visibility};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Session, Stores, check, place, reader};
use crate::contenders::{BareSled, Courseblocks, Peer, Row, each_peer};
use crate::interrupt::Interrupted;
use crate::results::{Figure, Unit};
use crate::rounds::{Contender, Measured};

const BLOCKS: [usize; 3] = [500, 5_000, 50_000];

const GET: &str = "bare sled get";
const CHECKSUM: &str = "crc32fast";
const DECODE: &str = "bincode";

pub(crate) fn figure(session: &mut Session<'_>) -> Result<Figure, Interrupted> {
    let mut figure = Figure::new(
        "whole_read_vs_parts",
        "A whole column checked and decoded, against the sum of its parts",
        "bare sled get + crc32fast + bincode",
        "blocks of the course",
        Unit::Seconds,
    );
    for blocks in BLOCKS {
        let stores = Stores::new();
        let store = Courseblocks::open(&stores.directory("courseblocks"), &[blocks]);
        let columns = [
            (
                StartDate.name(),
                measure(session, &stores, &store, &StartDate)?,
            ),
            (
                Visibility.name(),
                measure(session, &stores, &store, &Visibility)?,
            ),
            (
                HiddenContent.name(),
                measure(session, &stores, &store, &HiddenContent)?,
            ),
        ];
        for (column, measured) in columns {
            let sum = format!("the sum of its parts, {column}");
            let measured = measured.summed(&sum, &[GET, CHECKSUM, DECODE]);
            figure.add(place(blocks), &measured, &sum);
        }
    }
    Ok(figure)
}

fn measure<T, D>(
    session: &mut Session<'_>,
    stores: &Stores,
    store: &Courseblocks,
    transformer: &T,
) -> Result<Measured, Interrupted>
where
    T: for<'a> Transformer<BlockData<'a> = D>,
    D: PartialEq + Debug + Serialize + DeserializeOwned + 'static,
{
    let course = &store.courses()[0];
    let name = transformer.name();
    let values = store.column(course, transformer);
    let key = [course.as_str().as_bytes(), name.as_bytes()].join(&0);
    let records = store.records(course);
    let record = records.iter().find(|row| row.key == key);
    let record = record.expect("the record");
    let plain = Row {
        key: key.clone(),
        value: bincode::serde::encode_to_vec(&values, config::standard()).expect("encoded"),
    };
    check("bincode", &decode::<D>(&plain.value), &values);

    let bare = stores.peer::<BareSled>(&format!("{name} records"), &records);
    let ours = format!("courseblocks, {name}");
    let mut contenders = vec![
        reader(GET, &bare, vec![key.clone()], <[u8]>::len),
        Contender::new(CHECKSUM, || crc32fast::hash(&record.value)),
        Contender::new(DECODE, || decode::<D>(&plain.value)),
        Contender::new(ours, || store.column(course, transformer)),
    ];
    each_peer!(P => {
        let peer = stores.peer::<P>(name, std::slice::from_ref(&plain));
        let label = format!("{}, {name}, unchecked", P::NAME);
        contenders.push(reader(label, &peer, vec![key.clone()], decode::<D>));
    });
    session.rounds.measure(session.scale.short, contenders)
}

fn decode<D: DeserializeOwned>(bytes: &[u8]) -> Vec<Option<D>> {
    let decoded = bincode::serde::decode_from_slice(bytes, config::standard());
    decoded.expect("decoded").0
}
