//! The rollout protocol, modelled and explored exhaustively: every order in which workers of three
//! releases, the host and operators can take their steps, with crashes, late writes, expired
//! leases, rollbacks and deletions at any moment. Each rule is then taken away to see what breaks.
//!
//! This is a model: it does not run the crate's code. `--nocapture` shows what was explored.
//! `COURSEBLOCKS_MODEL=deep` explores more of it, which takes a quarter of an hour and 2 GB.
//!
//! Left out: what a power failure takes with it, copies of a store, damaged rows, and the order,
//! rate, back-off and quarantine of tasks.

mod explore;
mod operator;
mod put;
mod rules;
mod state;
mod steps;
mod trace;

use std::collections::BTreeSet;

use rules::{Config, Grain, Poison, Presence, Property, Release, Rules, TRANSFORMERS, release};
use state::{Base, Claim, Lease, Operator, Phase, Row, Snapshot, State, Task, Worker};

use Property::{
    BacklogIsRemembered, ContentIsRemembered, GateIsInReach, NoWorkerIsLockedOut,
    NoWorkerMeetsTooNew, NoWriteIsLost, OpenGateIsTrue, SealedFloorHolds,
};

/// READ is what an open gate is asked for before a release goes out, so the property of the gate
/// speaks of any READ. These are the steps between which it is asked:
///
/// | release | T0 READ | T0 WRITE | T1 READ | T1 WRITE | what is new |
/// |---|---|---|---|---|---|
/// | A | 1 | 1 | unknown | unknown | |
/// | B | 1 | 2 | 0 | 1 | phase 1 of T0@2, T1 is introduced |
/// | C | 2 | 3 | 1 | 3 | phase 2 of T0@2, phase 1 of T0@3, T1 skips 2 |
const THREE_RELEASES: &[Release] = &[
    release('A', (1, 1), None),
    release('B', (2, 1), Some((1, 1))),
    release('C', (3, 1), Some((3, 1))),
];

/// One transformer from 1 to 2.
const TWO_RELEASES: &[Release] = &[release('A', (1, 1), None), release('B', (2, 1), None)];

/// The third release writes a shape that the others cannot decode.
const DROPPED_SHAPE: &[Release] = &[
    release('A', (1, 1), None),
    release('B', (2, 1), None),
    release('C', (3, 3), None),
];

/// The third release no longer has T1.
const RETIRED_TRANSFORMER: &[Release] = &[
    release('A', (1, 1), Some((1, 1))),
    release('B', (2, 1), Some((2, 1))),
    release('C', (2, 1), None),
];

const MAIN: Config = Config {
    name: "3 workers, 2 transformers, 3 versions",
    workers: 3,
    transformers: 2,
    courses: 1,
    contents: 2,
    releases: THREE_RELEASES,
    queue: Presence::Absent,
    deletes: Presence::Present,
    retires: Presence::Absent,
    poison: None,
    grain: Grain::Coarse,
    rules: Rules::ALL,
};

const SMALL: Config = Config {
    name: "2 workers, 1 transformer",
    workers: 2,
    transformers: 1,
    releases: TWO_RELEASES,
    ..MAIN
};

const TWO_TRANSFORMERS: Config = Config {
    name: "2 workers, 2 transformers, 3 versions",
    workers: 2,
    contents: 1,
    ..MAIN
};

const INTRODUCTION: Config = Config {
    name: "a transformer is introduced",
    transformers: 2,
    releases: &[
        release('A', (1, 1), None),
        release('B', (2, 1), Some((1, 1))),
    ],
    ..SMALL
};

const FINE: Config = Config {
    name: "each get and commit by itself",
    grain: Grain::Fine,
    ..SMALL
};

const QUEUE: Config = Config {
    name: "2 workers and a queue",
    queue: Presence::Present,
    ..SMALL
};

const COURSES: Config = Config {
    name: "2 courses",
    courses: 2,
    ..SMALL
};

const SHAPES: Config = Config {
    name: "a shape is dropped",
    releases: DROPPED_SHAPE,
    ..SMALL
};

const RETIRING: Config = Config {
    name: "a transformer is retired",
    transformers: 2,
    contents: 1,
    releases: RETIRED_TRANSFORMER,
    retires: Presence::Present,
    ..SMALL
};

const FAILING: Config = Config {
    name: "a transformer that fails until its third version",
    releases: &[
        release('A', (1, 1), None),
        release('B', (2, 1), None),
        release('C', (3, 1), None),
    ],
    poison: Some(Poison {
        content: 2,
        fixed_in: 3,
    }),
    ..SMALL
};

const DEEP: &[Config] = &[
    Config {
        name: "each get and commit of a queue by itself",
        grain: Grain::Fine,
        ..QUEUE
    },
    Config {
        name: "each get and commit by itself, a shape is dropped",
        grain: Grain::Fine,
        ..SHAPES
    },
    Config {
        name: "2 courses, 3 workers",
        workers: 3,
        ..COURSES
    },
    Config {
        name: "each get and commit by itself, 2 transformers, 3 versions",
        grain: Grain::Fine,
        ..TWO_TRANSFORMERS
    },
    Config {
        name: "each get and commit by itself, 3 workers",
        workers: 3,
        ..FINE
    },
    Config {
        name: "2 workers, 2 transformers, 3 versions and a queue",
        workers: 2,
        queue: Presence::Present,
        ..MAIN
    },
];

/// Explores everything and expects exactly these properties not to hold.
#[track_caller]
fn check(config: &Config, broken: &[Property]) {
    let explored = explore::explore(config);
    println!(
        "{}: {} states, {} transitions, depth {}",
        config.name, explored.states, explored.transitions, explored.depth
    );
    let found: BTreeSet<_> = explored.breaches.iter().map(|breach| breach.0).collect();
    let expected: BTreeSet<_> = broken.iter().copied().collect();
    for (property, trace) in &explored.breaches {
        if expected.contains(property) {
            println!("  {property}, in {} steps", trace.lines().count());
        } else {
            println!("  {property}:\n{trace}");
        }
    }
    assert_eq!(found, expected, "{}", config.name);
}

/// What breaks without a rule. With it, all of these configurations are sound.
#[track_caller]
fn without(config: &Config, rule: impl Fn(&mut Rules), broken: &[Property]) {
    let mut config = config.clone();
    rule(&mut config.rules);
    check(&config, broken);
}

#[test]
fn a_packed_state_says_everything_but_who_is_who() {
    let [mut last, mut first] = [SMALL.initial(); 2];
    let highest = Worker {
        phase: Phase::Fenced,
        release: 3,
        lease: Lease::Overtaken,
        course: 1,
        claim: Claim::Lost,
        content: 3,
        base: Base::Absent,
        snapshot: Snapshot::Absent,
        checked: [true; TRANSFORMERS],
    };
    last.workers[2] = highest;
    first.workers[0] = highest;
    let changes: [fn(&mut State); 19] = [
        |state: &mut State| state.courses[0].row = Row::Reserved,
        |state| state.courses[1].row = Row::Of(2),
        |state| state.courses[0].versions = [3, 1],
        |state| state.courses[1].failed = [1, 3],
        |state| state.courses[0].sealed = [true, false],
        |state| state.courses[1].scanned = [false, true],
        |state| state.courses[0].content = 3,
        |state| state.courses[1].acknowledged = 3,
        |state| state.courses[0].is_hook_due = true,
        |state| state.courses[1].task = Task::Claimed,
        |state| state.courses[1].again = true,
        |state| state.courses[0].is_filled = true,
        |state| state.floors = [3, 2],
        |state| state.min_readers = [2, 3],
        |state| state.gates = [3, 1],
        |state| state.is_retired = true,
        |state| state.operator = Operator::Seals { course: 1 },
        |state| {
            state.operator = Operator::Raises {
                transformer: 1,
                release: 3,
                is_late: true,
            }
        },
        |state| {
            state.operator = Operator::Judges {
                transformer: 1,
                target: 3,
                next: 2,
            }
        },
    ];
    for change in changes {
        assert_eq!(last.pack(), first.pack());
        let before = first.pack();
        change(&mut last);
        change(&mut first);
        assert_ne!(first.pack(), before);
        assert_eq!(State::unpack(last.pack()), first);
    }
}

#[test]
fn a_breach_is_told_in_words() {
    let mut config = SMALL;
    config.rules.floor_check = false;
    let explored = explore::explore(&config);
    let (_, trace) = &explored.breaches[0];
    let told: Vec<_> = trace.lines().collect();
    assert_eq!(told.len(), 7, "{trace}");
    assert!(told[6].contains("worker 1 (release A): commits"), "{trace}");
    assert!(
        told[6].ends_with("[content 1 at [1] of 1] floors [2] gates [0]"),
        "{trace}"
    );
}

#[test]
fn three_workers_of_three_releases_keep_two_transformers_safe() {
    check(&MAIN, &[]);
}

#[test]
fn it_holds_with_each_get_and_each_commit_as_a_step() {
    check(&FINE, &[]);
}

#[test]
fn it_holds_for_the_configurations_that_rules_are_taken_from() {
    for config in [
        SMALL,
        TWO_TRANSFORMERS,
        QUEUE,
        SHAPES,
        INTRODUCTION,
        RETIRING,
        FAILING,
    ] {
        check(&config, &[]);
    }
}

#[test]
fn it_holds_for_two_courses_that_are_sealed_and_counted_one_after_the_other() {
    check(&COURSES, &[]);
}

#[test]
fn it_holds_for_three_workers_and_a_queue() {
    check(
        &Config {
            workers: 3,
            ..QUEUE
        },
        &[],
    );
}

#[test]
fn it_holds_deeper_where_that_is_asked_for() {
    if std::env::var_os("COURSEBLOCKS_MODEL").is_none_or(|model| model != "deep") {
        return;
    }
    for config in DEEP {
        check(config, &[]);
    }
}

#[test]
fn the_floor_check_keeps_the_floor() {
    without(
        &SMALL,
        |rules| rules.floor_check = false,
        &[SealedFloorHolds, OpenGateIsTrue],
    );
}

#[test]
fn the_seal_keeps_late_puts_out() {
    without(
        &SMALL,
        |rules| rules.seal = false,
        &[SealedFloorHolds, GateIsInReach],
    );
}

#[test]
fn the_row_precondition_keeps_late_puts_out() {
    let broken = [SealedFloorHolds, OpenGateIsTrue, NoWriteIsLost];
    without(&SMALL, |rules| rules.row_precondition = false, &broken);
}

#[test]
fn a_reservation_lets_the_seal_reach_courses_that_are_not_stored() {
    let broken = [SealedFloorHolds, OpenGateIsTrue, NoWriteIsLost];
    without(&SMALL, |rules| rules.reservation = false, &broken);
}

#[test]
fn a_reservation_that_is_no_base_lets_old_content_back_in_after_a_delete() {
    without(
        &SMALL,
        |rules| rules.reservation_is_the_base = false,
        &[NoWriteIsLost],
    );
}

#[test]
fn floors_that_are_read_before_the_row_are_old() {
    let broken = [SealedFloorHolds, OpenGateIsTrue];
    without(&SMALL, |rules| rules.floors_after_row = false, &broken);
}

#[test]
fn a_census_before_the_seal_proves_nothing() {
    without(
        &SMALL,
        |rules| rules.judge_asks_for_the_seal = false,
        &[OpenGateIsTrue],
    );
}

#[test]
fn a_reserved_course_that_is_not_sealed_keeps_the_gate_closed() {
    without(
        &SMALL,
        |rules| rules.judge_counts_reserved = false,
        &[OpenGateIsTrue],
    );
}

#[test]
fn the_latch_looks_again_at_what_the_census_was_judged_by() {
    let both = |rules: &mut Rules| {
        rules.latch_requires_floors = false;
        rules.latch_requires_fleet = false;
    };
    without(&RETIRING, both, &[OpenGateIsTrue]);
}

/// Who joins later than the latch changes nothing about it, so who joins earlier does not, either.
#[test]
fn no_property_stands_on_the_fleet_being_the_same_at_the_latch() {
    for config in [
        SMALL,
        TWO_TRANSFORMERS,
        QUEUE,
        SHAPES,
        INTRODUCTION,
        RETIRING,
        FAILING,
    ] {
        without(&config, |rules| rules.latch_requires_fleet = false, &[]);
    }
}

#[test]
fn a_failure_of_old_code_does_not_stand_in_for_a_record() {
    let rule = |rules: &mut Rules| rules.failures_reach_the_floor = false;
    without(&FAILING, rule, &[SealedFloorHolds, OpenGateIsTrue]);
}

#[test]
fn a_worker_that_joins_while_a_floor_is_raised_is_seen() {
    let rule = |rules: &mut Rules| rules.raise_requires_fleet = false;
    without(&FINE, rule, &[NoWorkerIsLockedOut]);
}

#[test]
fn a_gate_goes_before_the_data_of_a_retired_transformer() {
    let rule = |rules: &mut Rules| rules.retiring_drops_the_gate_at_once = false;
    without(&RETIRING, rule, &[OpenGateIsTrue]);
}

#[test]
fn a_release_that_does_not_know_a_transformer_keeps_its_data() {
    let rule = |rules: &mut Rules| rules.whole_brings_what_is_floored = false;
    let broken = [NoWriteIsLost, SealedFloorHolds, OpenGateIsTrue];
    without(&INTRODUCTION, rule, &broken);
}

#[test]
fn a_lower_version_does_not_replace_a_higher_one() {
    let rule = |rules: &mut Rules| rules.never_lower_of_same_content = false;
    without(&SMALL, rule, &[NoWriteIsLost]);
}

#[test]
fn the_base_check_keeps_old_content_out() {
    without(&SMALL, |rules| rules.base_check = false, &[NoWriteIsLost]);
}

#[test]
fn a_shape_is_written_only_when_nobody_is_left_who_cannot_read_it() {
    without(
        &SHAPES,
        |rules| rules.min_reader_check = false,
        &[NoWorkerMeetsTooNew],
    );
}

#[test]
fn a_live_lease_refuses_a_floor_above_it() {
    let broken = [NoWorkerIsLockedOut, NoWorkerMeetsTooNew];
    without(&SHAPES, |rules| rules.live_leases_refuse = false, &broken);
}

#[test]
fn an_expired_lease_that_stays_can_be_renewed_below_the_floor() {
    let broken = [NoWorkerIsLockedOut, NoWorkerMeetsTooNew];
    without(&SHAPES, |rules| rules.expired_leases_go = false, &broken);
}

/// It tells a worker early that it was taken for dead. What keeps its puts out is the floor.
#[test]
fn no_property_stands_on_the_lease_check_of_a_put() {
    for config in [
        SMALL,
        TWO_TRANSFORMERS,
        QUEUE,
        SHAPES,
        INTRODUCTION,
        RETIRING,
        FAILING,
    ] {
        without(&config, |rules| rules.lease_check = false, &[]);
    }
}

#[test]
fn a_task_that_is_enqueued_while_it_is_claimed_is_done_again() {
    let broken = [ContentIsRemembered, BacklogIsRemembered];
    without(&QUEUE, |rules| rules.again = false, &broken);
}

#[test]
fn a_claim_that_was_lost_completes_nothing() {
    let broken = [ContentIsRemembered, BacklogIsRemembered];
    without(&QUEUE, |rules| rules.fencing_token = false, &broken);
}

#[test]
fn a_claim_by_what_was_read_before_a_floor_was_raised_does_no_backfill() {
    without(
        &QUEUE,
        |rules| rules.claims_look_again = false,
        &[BacklogIsRemembered],
    );
}

#[test]
fn claims_of_the_dead_return() {
    without(
        &QUEUE,
        |rules| rules.claims_return = false,
        &[GateIsInReach],
    );
}

#[test]
fn what_was_fenced_is_enqueued() {
    without(
        &QUEUE,
        |rules| rules.fenced_is_enqueued = false,
        &[ContentIsRemembered],
    );
}
