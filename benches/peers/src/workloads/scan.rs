//! Counting which versions a fleet holds, against a bare scan over as many rows.

use std::rc::Rc;

use super::{Session, Stores, check, place};
use crate::contenders::{BareSled, Courseblocks, Peer, each_peer};
use crate::fleet;
use crate::interrupt::Interrupted;
use crate::results::{Figure, Unit};
use crate::rounds::Contender;

pub(crate) fn figure(session: &mut Session<'_>) -> Result<Figure, Interrupted> {
    let mut figure = Figure::new(
        "scan_vs_bare_scan",
        "A census of all headers, against a scan over one row per course",
        BareSled::NAME,
        "courses, of 20 records each",
        Unit::Seconds,
    );
    for courses in session.scale.scanned_courses {
        let stores = Stores::new();
        let sizes = fleet::sizes(*courses);
        let store = Courseblocks::open(&stores.directory("courseblocks"), &sizes);
        let keys = store.courses().iter();
        let headers: Vec<_> = keys.clone().map(|key| store.header_row(key)).collect();
        let records: Vec<_> = keys.flat_map(|key| store.records(key)).collect();
        check("courseblocks", &store.census(), &(*courses as u64));

        let mut contenders = vec![Contender::new("courseblocks, census", || store.census())];
        let bare = stores.peer::<BareSled>("rows", &headers);
        contenders.push(scanner(BareSled::NAME, bare, headers.len()));
        let bare = stores.peer::<BareSled>("records", &records);
        let label = "bare sled, without an index";
        contenders.push(scanner(label, bare, records.len()));
        each_peer!(P => {
            let peer = stores.peer::<P>("rows", &headers);
            contenders.push(scanner(P::NAME, peer, headers.len()));
            let peer = stores.peer::<P>("records", &records);
            let label = format!("{}, without an index", P::NAME);
            contenders.push(scanner(&label, peer, records.len()));
        });
        let measured = session.rounds.measure(session.scale.long, contenders)?;
        figure.add(place(*courses), &measured, BareSled::NAME);
    }
    Ok(figure)
}

/// A peer that looks at the beginning of every row.
fn scanner<P: Peer + 'static>(name: &str, peer: Rc<P>, expected: usize) -> Contender<'static> {
    let scan = move || {
        let (mut rows, mut sum) = (0_usize, 0_u64);
        peer.scan(|_, value| {
            rows += 1;
            sum += value.first().copied().map_or(0, u64::from);
        });
        (rows, sum)
    };
    check(name, &scan().0, &expected);
    Contender::new(name, scan)
}
