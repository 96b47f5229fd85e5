//! One block, and what a visitor sees, against the original on the very same course.

use std::cell::RefCell;
use std::time::Duration;

use courseblocks::transformer::standard::StartDate;

use super::{Session, Stores, check, cycle, place};
use crate::contenders::Courseblocks;
use crate::export;
use crate::fleet::{self, Random};
use crate::interrupt::Interrupted;
use crate::original::{Original, export};
use crate::results::{Figure, Unit};
use crate::rounds::{Contender, Effort};

const OURS: &str = "courseblocks";
pub(crate) const ONE_BLOCK: &str = "the original, one block";
pub(crate) const SEEN: &str = "the original, read and transformed";

/// How many blocks are asked for in turn.
const ASKED: usize = 1_024;

pub(crate) fn figures(session: &mut Session<'_>) -> Result<Vec<Figure>, Interrupted> {
    let mut block = Figure::new(
        "one_block_vs_original",
        "One block's data, against the original",
        OURS,
        "blocks of the course",
        Unit::Seconds,
    );
    let mut transform = Figure::new(
        "transform_vs_original",
        "From what is stored to what a visitor sees, against the original",
        OURS,
        "blocks of the course",
        Unit::Seconds,
    );
    let Some(original) = session.original.take() else {
        return Ok(Vec::new());
    };
    let original = RefCell::new(original);
    for blocks in session.scale.original_blocks {
        let stores = Stores::new();
        let store = Courseblocks::open(&stores.directory("courseblocks"), &[*blocks]);
        let course = &store.courses()[0];
        let generated = fleet::authored_course(0, *blocks);
        let keys = generated.structure().keys().clone();
        let name = blocks.to_string();
        let path = stores.directory("export").join("course.json");
        export(&export::course(&generated), &path);
        let loaded = original.borrow_mut().load(&name, &path);
        check("the original", &loaded.blocks, &(keys.len() as u64));

        let visible = original.borrow_mut().visible(&name);
        check("the original", &visible, &store.visible_keys(course));
        check(OURS, &store.visible(course), &visible.len());
        let mut random = Random::new(9);
        let asked: Vec<_> = (0..ASKED).map(|_| random.below(keys.len())).collect();
        for position in asked.iter().take(3) {
            let ours = store.block(course, &StartDate, &keys.as_slice()[*position]);
            let start = original.borrow_mut().start_of(&name, *position);
            check("the original", &start, &ours.merged_start_date.as_micros());
        }

        let effort = Effort {
            // What takes a second is not done as often.
            rounds: (session.scale.original * 5_000 / blocks.max(&5_000)).max(3),
            batch: session.scale.long.batch,
        };
        let (mut next, mut theirs) = (cycle(ASKED), cycle(ASKED));
        let contenders = vec![
            Contender::new(OURS, || {
                store.block(course, &StartDate, &keys.as_slice()[asked[next()]])
            }),
            Contender::timed(ONE_BLOCK, |times| {
                let mut original = original.borrow_mut();
                (0..times)
                    .map(|_| original.time_of_field(&name, asked[theirs()]))
                    .sum()
            }),
        ];
        let measured = session.rounds.measure(effort, contenders)?;
        block.add(place(*blocks), &measured, OURS);

        let contenders = vec![
            Contender::new(OURS, || store.visible(course)),
            theirs_of(&original, SEEN, &name, "visible"),
            theirs_of(&original, "the original, read back only", &name, "read"),
            theirs_of(
                &original,
                "the original, transformed only",
                &name,
                "transform",
            ),
        ];
        let measured = session.rounds.measure(effort, contenders)?;
        transform.add(place(*blocks), &measured, OURS);
    }
    session.original = Some(original.into_inner());
    Ok(vec![block, transform])
}

fn theirs_of<'a>(
    original: &'a RefCell<Original>,
    label: &str,
    course: &'a str,
    work: &'a str,
) -> Contender<'a> {
    Contender::timed(label, move |times| {
        let mut original = original.borrow_mut();
        let taken = (0..times).map(|_| original.time(course, work));
        taken.sum::<Duration>()
    })
}
