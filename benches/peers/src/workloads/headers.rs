//! Refusing a record by its header, against reading its bytes from bare sled.

use courseblocks::CourseKey;

use super::{Session, Stores, check, cycle, place, reader};
use crate::contenders::{BareSled, Headers, Peer, each_peer};
use crate::interrupt::Interrupted;
use crate::results::{Figure, Unit};
use crate::rounds::Contender;

/// Sizes of bodies, and how many courses have records of each.
const BODIES: [(usize, usize); 5] = [
    (1 << 10, 64),
    (8 << 10, 64),
    (64 << 10, 32),
    (512 << 10, 16),
    (2 << 20, 8),
];

/// Whether a record is refused in the way that is meant.
type Refuses = fn(&Headers, &CourseKey) -> bool;

/// Makes a contender that reads the records of these courses.
type Reads = Box<dyn Fn(&[CourseKey]) -> Contender<'static>>;

const REFUSALS: [(&str, Refuses); 3] = [
    ("courseblocks, outdated", Headers::is_outdated),
    ("courseblocks, too new", Headers::is_too_new),
    ("courseblocks, foreign", Headers::is_foreign),
];

pub(crate) fn figure(session: &mut Session<'_>) -> Result<Figure, Interrupted> {
    let mut figure = Figure::new(
        "header_reject_vs_get",
        "Refusing a record by its header, against a get of the record",
        BareSled::NAME,
        "bytes of the record",
        Unit::Seconds,
    );
    let stores = Stores::new();
    let bodies = BODIES.iter();
    let bodies = bodies.flat_map(|(bytes, count)| std::iter::repeat_n(*bytes, *count));
    let headers = Headers::open(
        &stores.directory("courseblocks"),
        &bodies.collect::<Vec<_>>(),
    );
    let rows = headers.rows();
    // All sizes are in one store, as records of a fleet are.
    let mut readers: Vec<Reads> = Vec::new();
    let bare = stores.peer::<BareSled>("", &rows);
    readers.push(Box::new(move |courses| {
        reader(BareSled::NAME, &bare, keys(courses), <[u8]>::len)
    }));
    each_peer!(P => {
        let peer = stores.peer::<P>("", &rows);
        readers.push(Box::new(move |courses| {
            reader(P::NAME, &peer, keys(courses), <[u8]>::len)
        }));
    });
    let mut first = 0;
    for (bytes, count) in BODIES {
        let courses: Vec<_> = (first..first + count).map(Headers::course).collect();
        first += count;
        let mut contenders: Vec<_> = readers.iter().map(|reader| reader(&courses)).collect();
        for (name, refuses) in REFUSALS {
            for course in &courses {
                check(name, &refuses(&headers, course), &true);
            }
            let (headers, courses) = (&headers, &courses);
            let mut next = cycle(count);
            contenders.push(Contender::new(name, move || {
                refuses(headers, &courses[next()])
            }));
        }
        let measured = session.rounds.measure(session.scale.short, contenders)?;
        figure.add(place(bytes), &measured, BareSled::NAME);
    }
    Ok(figure)
}

fn keys(courses: &[CourseKey]) -> Vec<Vec<u8>> {
    courses.iter().map(Headers::key_of).collect()
}
