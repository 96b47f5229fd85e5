//! One block's data out of a course, against a small value of its own.

use std::rc::Rc;

use bincode::config;
use courseblocks::UsageKey;
use courseblocks::transformer::standard::{StartDate, StartDateBlock};

use super::{Session, Stores, check, cycle, place, reader};
use crate::contenders::{BareSled, Courseblocks, Peer, Row, each_peer};
use crate::fleet::{self, Random};
use crate::interrupt::Interrupted;
use crate::results::{Figure, Unit};
use crate::rounds::Contender;

const BLOCKS: [usize; 4] = [100, 1_000, 5_000, 50_000];

/// Knows the course's structure from an earlier read of the whole.
const KNOWING: &str = "courseblocks, structure known";

/// How many blocks are asked for in turn.
const ASKED: usize = 4_096;

pub(crate) fn figure(session: &mut Session<'_>) -> Result<Figure, Interrupted> {
    let mut figure = Figure::new(
        "one_block_vs_small_get",
        "One block's data, against a get of a small value",
        BareSled::NAME,
        "blocks of the course",
        Unit::Seconds,
    );
    for blocks in BLOCKS {
        let stores = Stores::new();
        let store = Courseblocks::open_keeping(&stores.directory("courseblocks"), &[blocks], 0);
        let knowing = Courseblocks::open(&stores.directory("knowing"), &[blocks]);
        knowing.know(&knowing.courses()[0]);
        let course = &store.courses()[0];
        let values = store.column(course, &StartDate);
        let keys = fleet::authored_course(0, blocks).structure().keys().clone();
        let asked = Asked::new(keys.as_slice());
        for position in asked.positions.iter().take(50) {
            let block = store.block(course, &StartDate, &keys.as_slice()[*position]);
            check("courseblocks", &Some(block), &values[*position]);
            let block = knowing.block(course, &StartDate, &keys.as_slice()[*position]);
            check(KNOWING, &Some(block), &values[*position]);
        }

        let of_blocks = values_of_blocks(keys.as_slice(), &values);
        let whole = Row {
            key: course.as_str().as_bytes().to_vec(),
            value: encode(&values),
        };
        let bare = stores.peer::<BareSled>("blocks", &of_blocks);
        let bare_whole = stores.peer::<BareSled>("course", std::slice::from_ref(&whole));
        let (mut next, mut next_known) = (cycle(ASKED), cycle(ASKED));
        let mut contenders = vec![
            reader(BareSled::NAME, &bare, asked.keys.clone(), <[u8]>::len),
            reader("bare sled, decoded", &bare, asked.keys.clone(), decode_one),
            asked.of_whole("bare sled, course as one value", &bare_whole, &whole),
            Contender::new("courseblocks", || {
                let block = &keys.as_slice()[asked.positions[next()]];
                store.block(course, &StartDate, block)
            }),
            Contender::new(KNOWING, || {
                let block = &keys.as_slice()[asked.positions[next_known()]];
                knowing.block(course, &StartDate, block)
            }),
        ];
        each_peer!(P => {
            let peer = stores.peer::<P>("blocks", &of_blocks);
            let label = format!("{}, decoded", P::NAME);
            contenders.push(reader(label, &peer, asked.keys.clone(), decode_one));
            let peer = stores.peer::<P>("course", std::slice::from_ref(&whole));
            let label = format!("{}, course as one value", P::NAME);
            contenders.push(asked.of_whole(&label, &peer, &whole));
        });
        let measured = session.rounds.measure(session.scale.short, contenders)?;
        figure.add(place(blocks), &measured, BareSled::NAME);
    }
    Ok(figure)
}

/// Random blocks, the same for everybody.
struct Asked {
    positions: Vec<usize>,
    keys: Vec<Vec<u8>>,
}

impl Asked {
    fn new(keys: &[UsageKey]) -> Self {
        let mut random = Random::new(4);
        let positions: Vec<_> = (0..ASKED).map(|_| random.below(keys.len())).collect();
        let of_position = |position: &usize| key_of(&keys[*position]);
        Self {
            keys: positions.iter().map(of_position).collect(),
            positions,
        }
    }

    /// A peer that decodes the course to pick one block, whose position it need not find.
    fn of_whole<P: Peer + 'static>(
        &self,
        name: &str,
        peer: &Rc<P>,
        whole: &Row,
    ) -> Contender<'static> {
        let peer = Rc::clone(peer);
        let key = whole.key.clone();
        let positions = self.positions.clone();
        let mut next = cycle(ASKED);
        Contender::new(name, move || {
            let position = positions[next()];
            peer.get(&key, |bytes| decode_all(bytes).swap_remove(position))
        })
    }
}

fn values_of_blocks(keys: &[UsageKey], values: &[Option<StartDateBlock>]) -> Vec<Row> {
    let rows = keys.iter().zip(values).map(|(key, value)| Row {
        key: key_of(key),
        value: encode(value),
    });
    rows.collect()
}

fn key_of(block: &UsageKey) -> Vec<u8> {
    block.to_string().into_bytes()
}

fn encode<T: serde::Serialize>(value: &T) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, config::standard()).expect("encoded")
}

fn decode_one(bytes: &[u8]) -> Option<StartDateBlock> {
    let decoded = bincode::serde::decode_from_slice(bytes, config::standard());
    decoded.expect("decoded").0
}

fn decode_all(bytes: &[u8]) -> Vec<Option<StartDateBlock>> {
    let decoded = bincode::serde::decode_from_slice(bytes, config::standard());
    decoded.expect("decoded").0
}
