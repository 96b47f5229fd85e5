//! Publishing a course again, durably, against a bare transaction of the same bytes.

use super::{Session, Stores, check, cycle, place};
use crate::contenders::{BareSled, Courseblocks, Peer, Row, each_peer, generations};
use crate::interrupt::Interrupted;
use crate::results::{Figure, Unit};
use crate::rounds::Contender;

/// Numbers of blocks, and how many courses have as many.
const COURSES: [(usize, usize); 3] = [(100, 16), (1_000, 16), (5_000, 4)];

pub(crate) fn figure(session: &mut Session<'_>) -> Result<Figure, Interrupted> {
    let mut figure = Figure::new(
        "rewrite_vs_bare",
        "A course published again durably, against a bare durable transaction",
        BareSled::NAME,
        "blocks of the course",
        Unit::Seconds,
    );
    for (blocks, count) in COURSES {
        let stores = Stores::new();
        let store = Courseblocks::open(&stores.directory("courseblocks"), &vec![blocks; count]);
        let courses = store.courses();
        let rows: Vec<_> = courses.iter().map(|course| store.rows(course)).collect();
        // Content that changes every time.
        let publications: Vec<_> = ["v2", "v3"]
            .iter()
            .flat_map(|version| {
                courses
                    .iter()
                    .map(|course| store.publication(course, version))
            })
            .collect();
        for ((course, publication), rows) in courses.iter().zip(&publications).zip(&rows) {
            store.publish(course, publication);
            let shape = |rows: &[Row]| {
                let shape = rows.iter().map(|row| (row.key.clone(), row.value.len()));
                shape.collect::<Vec<_>>()
            };
            check(
                "courseblocks",
                &shape(&store.records(course)),
                &shape(&rows[..rows.len() - 1]),
            );
        }

        let mut next = cycle(publications.len());
        let mut contenders = vec![Contender::new("courseblocks", || {
            let number = next();
            store.publish(&courses[number % count], &publications[number]);
        })];
        contenders.push(writer::<BareSled>(&stores, &rows));
        each_peer!(P => {
            contenders.push(writer::<P>(&stores, &rows));
        });
        let measured = session.rounds.measure(session.scale.long, contenders)?;
        figure.add(place(blocks), &measured, BareSled::NAME);
    }
    Ok(figure)
}

/// A peer that writes the rows of one course after the other.
fn writer<P: Peer + 'static>(stores: &Stores, courses: &[Vec<Row>]) -> Contender<'static> {
    let peer = stores.peer::<P>("", &courses.concat());
    // What is there already is written last.
    let mut generations = generations(courses);
    generations.rotate_left(courses.len());
    let mut next = cycle(generations.len());
    Contender::new(P::NAME, move || peer.commit(&generations[next()]))
}
