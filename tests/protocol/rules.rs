//! What the protocol asks of everyone, what it promises in return, and the releases that take part.
//! It knows nothing of how states are explored.

pub(crate) const WORKERS: usize = 3;
pub(crate) const TRANSFORMERS: usize = 2;
pub(crate) const COURSES: usize = 2;

/// The rules. Each can be taken away, to see what it is for.
#[expect(
    clippy::struct_excessive_bools,
    reason = "every rule is there or is not, whatever the others are"
)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// A put is refused where it writes a transformer below its floor.
    pub(crate) floor_check: bool,
    /// A put is refused where old code could not decode it and old code is not yet ruled out.
    pub(crate) min_reader_check: bool,
    /// A whole publication brings every transformer that has a floor.
    pub(crate) whole_brings_what_is_floored: bool,
    /// A failure stands in for a record only if the code that failed reaches the floor.
    pub(crate) failures_reach_the_floor: bool,
    /// Of the same content nothing is replaced by a lower version.
    pub(crate) never_lower_of_same_content: bool,
    /// A publication applies only to the generation that its writer saw before it collected.
    pub(crate) base_check: bool,
    /// A commit requires the row as it was read.
    pub(crate) row_precondition: bool,
    /// A course that is not stored gets a row before its first put is checked.
    pub(crate) reservation: bool,
    /// That row is there before the course is collected, and its generation is the base.
    pub(crate) reservation_is_the_base: bool,
    /// The floors are read after the row.
    pub(crate) floors_after_row: bool,
    /// Raising a floor rewrites the rows that were last checked against older floors.
    pub(crate) seal: bool,
    /// The gate asks that every row was checked against the floor.
    pub(crate) judge_asks_for_the_seal: bool,
    /// And that of a course that is reserved only, too.
    pub(crate) judge_counts_reserved: bool,
    /// The gate is latched only if the floors are as they were before the census.
    pub(crate) latch_requires_floors: bool,
    /// And the fleet, too.
    pub(crate) latch_requires_fleet: bool,
    /// A floor is raised only if the fleet is as it was when its leases were looked at.
    pub(crate) raise_requires_fleet: bool,
    /// A gate goes in the commit that retires its transformer.
    pub(crate) retiring_drops_the_gate_at_once: bool,
    /// A floor is not raised above a worker whose lease is live.
    pub(crate) live_leases_refuse: bool,
    /// Expired leases are removed in the commit that raises a floor.
    pub(crate) expired_leases_go: bool,
    /// A worker without a lease puts nothing.
    pub(crate) lease_check: bool,
    /// Who has claimed a task looks at fleet and floors once more.
    pub(crate) claims_look_again: bool,
    /// A task that is enqueued while someone has it, dead or alive, is done again.
    pub(crate) again: bool,
    /// A claim is completed only by who still has it.
    pub(crate) fencing_token: bool,
    /// What was claimed by a lease that is gone or expired is there for others.
    pub(crate) claims_return: bool,
    /// What was fenced goes to the queue.
    pub(crate) fenced_is_enqueued: bool,
}

impl Rules {
    pub(crate) const ALL: Self = Self {
        floor_check: true,
        min_reader_check: true,
        whole_brings_what_is_floored: true,
        failures_reach_the_floor: true,
        never_lower_of_same_content: true,
        base_check: true,
        row_precondition: true,
        reservation: true,
        reservation_is_the_base: true,
        floors_after_row: true,
        seal: true,
        judge_asks_for_the_seal: true,
        judge_counts_reserved: true,
        latch_requires_floors: true,
        latch_requires_fleet: true,
        raise_requires_fleet: true,
        retiring_drops_the_gate_at_once: true,
        live_leases_refuse: true,
        expired_leases_go: true,
        lease_check: true,
        claims_look_again: true,
        again: true,
        fencing_token: true,
        claims_return: true,
        fenced_is_enqueued: true,
    };
}

/// What holds in every state, or of every step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Property {
    /// While a gate is open at N, no course has data below N, nor none unless code at N failed on it.
    OpenGateIsTrue,
    /// Once the seal has passed a course, nothing below the floor is put there.
    SealedFloorHolds,
    /// Nothing accepted is replaced by something older.
    NoWriteIsLost,
    /// Newer content than what is stored is on its way: a task or a hook exists.
    ContentIsRemembered,
    /// A course that `start` has found behind a floor is on the queue until it is not behind any more.
    BacklogIsRemembered,
    /// No floor locks out a live worker that was there before it.
    NoWorkerIsLockedOut,
    /// No worker whose lease is live meets data that it cannot decode, unless it came later.
    NoWorkerMeetsTooNew,
    /// From every state the gates of the newest release can be opened and the queue emptied.
    GateIsInReach,
}

/// The versions of one transformer in one release.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Versions {
    pub(crate) write: u8,
    pub(crate) min_reader: u8,
}

/// A release; `None` for a transformer that it does not know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Release {
    pub(crate) name: char,
    pub(crate) versions: [Option<Versions>; TRANSFORMERS],
}

impl Release {
    pub(crate) fn write(&self, transformer: usize) -> Option<u8> {
        self.versions[transformer].map(|versions| versions.write)
    }
}

pub(crate) const fn release(name: char, first: (u8, u8), second: Option<(u8, u8)>) -> Release {
    const fn versions((write, min_reader): (u8, u8)) -> Versions {
        Versions { write, min_reader }
    }
    let second = match second {
        Some(second) => Some(versions(second)),
        None => None,
    };
    Release {
        name,
        versions: [Some(versions(first)), second],
    }
}

/// What is explored: how much of everything there is, and which steps are told apart.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) name: &'static str,
    pub(crate) workers: usize,
    pub(crate) transformers: usize,
    pub(crate) courses: usize,
    /// How often a course is published.
    pub(crate) contents: u8,
    /// Oldest first. A worker that is not running may be started with any of them.
    pub(crate) releases: &'static [Release],
    pub(crate) queue: Presence,
    /// The operator deletes courses from the store, which may be stored again later.
    pub(crate) deletes: Presence,
    /// The operator retires the second transformer.
    pub(crate) retires: Presence,
    /// What the first transformer cannot collect.
    pub(crate) poison: Option<Poison>,
    pub(crate) grain: Grain,
    pub(crate) rules: Rules,
}

/// Content on which the first transformer fails, below the version that has it right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Poison {
    pub(crate) content: u8,
    pub(crate) fixed_in: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Absent,
    Present,
}

/// What counts as one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grain {
    /// Each get and each commit.
    Fine,
    /// Gets that nobody can tell apart from one that follows are one step with it. See `steps.rs`.
    Coarse,
}
