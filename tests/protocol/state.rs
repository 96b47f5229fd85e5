//! One state of everything that takes part, and how it is packed into 16 bytes. Generation and
//! epoch numbers grow for ever, so what is kept is only how they compare: a snapshot is still
//! what is stored or is not, a row was checked against the newest floor of a transformer or not.

use crate::rules::{COURSES, TRANSFORMERS, WORKERS};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) workers: [Worker; WORKERS],
    pub(crate) courses: [Course; COURSES],
    /// 0 where none was raised.
    pub(crate) floors: [u8; TRANSFORMERS],
    /// The highest `min_reader` that a put may carry.
    pub(crate) min_readers: [u8; TRANSFORMERS],
    /// 0 where none is latched.
    pub(crate) gates: [u8; TRANSFORMERS],
    /// Of the second transformer.
    pub(crate) is_retired: bool,
    pub(crate) operator: Operator,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Worker {
    pub(crate) phase: Phase,
    pub(crate) release: u8,
    pub(crate) lease: Lease,
    pub(crate) course: u8,
    pub(crate) claim: Claim,
    /// What was loaded; 0 before.
    pub(crate) content: u8,
    pub(crate) base: Base,
    pub(crate) snapshot: Snapshot,
    /// Whether the floors that it read are the newest, by transformer.
    pub(crate) checked: [bool; TRANSFORMERS],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// No such process.
    Out,
    /// Between puts, or with a claim and about to begin.
    Joined,
    /// It has looked at fleet and floors, and is about to take a task.
    Claiming,
    /// It has taken one, and is about to look at fleet and floors again.
    Claimed,
    /// It has a base and is about to load the course.
    Based,
    /// The course is loaded and collected; the publish loop begins, or begins again.
    Loaded,
    /// One of row, lease and floors was read.
    ReadOne,
    /// Two of them were read.
    ReadTwo,
    /// All three were read and allow the commit.
    Checked,
    /// Its commit was accepted; the claim is still to be completed.
    Published,
    /// It was refused because of a floor.
    Fenced,
}

/// A worker's lease as the fleet has it. There is no clock: who looks at a lease may find it live
/// or expired, and a worker that lives on renews a lease that is there. So "expired" is no state of
/// its own, and a lease whose worker is gone is as good as none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lease {
    None,
    /// It was there before any floor or `min_reader` that its release does not reach.
    Joined,
    /// It came when its release was behind already: it reads, as far as it can.
    RolledBack,
    /// A floor was raised above it while it was there. No rule allows that.
    Overtaken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    None,
    Held,
    /// Someone else has it by now. Never, where completing looks at the token.
    Lost,
}

/// The generation that a worker saw before it collected, against what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    Same,
    Other,
    /// It saw none.
    Absent,
}

/// The row that a worker read in its publish loop, against what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Snapshot {
    None,
    Same,
    Other,
    /// It read that there is none.
    Absent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Course {
    pub(crate) row: Row,
    /// By transformer, 0 where there is no record.
    pub(crate) versions: [u8; TRANSFORMERS],
    /// The version of the code that failed on this content, by transformer; 0 where none did.
    pub(crate) failed: [u8; TRANSFORMERS],
    /// Whether the row's `floor_epoch` is at least that of the transformer's floor.
    pub(crate) sealed: [bool; TRANSFORMERS],
    /// Whether the seal has passed here since the transformer's floor was raised. Nobody in the
    /// protocol sees this.
    pub(crate) scanned: [bool; TRANSFORMERS],
    /// What is published.
    pub(crate) content: u8,
    /// The newest content that was ever stored. Nobody in the protocol sees this.
    pub(crate) acknowledged: u8,
    /// Whether the host's hook is still to say that there is new content.
    pub(crate) is_hook_due: bool,
    pub(crate) task: Task,
    /// Of a claimed task.
    pub(crate) again: bool,
    /// Whether `start` has put the course on the queue, if it was behind, since a floor was raised.
    /// Nobody in the protocol sees this.
    pub(crate) is_filled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    Absent,
    Reserved,
    /// Stored, with the content that it was collected from.
    Of(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    None,
    Ready,
    // The last, with a bit to spare for `again`.
    Claimed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Idle,
    /// It has read fleet and floors, and will raise the floor to what the release writes.
    Raises {
        transformer: u8,
        release: u8,
        /// Whether the fleet has changed since. Never, where raising looks at that.
        is_late: bool,
    },
    /// It has read the row of a course.
    Seals {
        course: u8,
    },
    /// It has read fleet, floors and the rows before `next`, and all was well.
    Judges {
        transformer: u8,
        target: u8,
        next: u8,
    },
}

impl Worker {
    pub(crate) const OUT: Self = Self {
        phase: Phase::Out,
        release: 0,
        lease: Lease::None,
        course: 0,
        claim: Claim::None,
        content: 0,
        base: Base::Same,
        snapshot: Snapshot::None,
        checked: [false; TRANSFORMERS],
    };

    /// The same process between puts.
    pub(crate) const fn joined(self) -> Self {
        Self {
            phase: Phase::Joined,
            release: self.release,
            lease: self.lease,
            ..Self::OUT
        }
    }

    /// The same process about to begin the same put, if it has a claim to see to.
    pub(crate) fn begins_again(self) -> Self {
        if self.claim == Claim::None {
            return self.joined();
        }
        Self {
            course: self.course,
            claim: self.claim,
            ..self.joined()
        }
    }

    /// The same put before its publish loop.
    pub(crate) const fn loaded(self) -> Self {
        Self {
            phase: Phase::Loaded,
            snapshot: Snapshot::None,
            checked: [false; TRANSFORMERS],
            ..self
        }
    }
}

impl Row {
    pub(crate) const fn content(self) -> Option<u8> {
        match self {
            Self::Of(content) => Some(content),
            Self::Absent | Self::Reserved => None,
        }
    }
}

/// A packed state: workers in an order of their own, since it does not matter which is which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Packed {
    workers: u64,
    store: u64,
}

const WORKER_BITS: u32 = 19;

impl Packed {
    /// Well mixed, for a table.
    pub(crate) const fn hash(self) -> u64 {
        let mixed = self.workers ^ self.store.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        mixed ^ (mixed >> 32)
    }
}

impl State {
    pub(crate) fn pack(&self) -> Packed {
        let [mut a, mut b, mut c] = [
            pack_worker(&self.workers[0]),
            pack_worker(&self.workers[1]),
            pack_worker(&self.workers[2]),
        ];
        if a < b {
            (a, b) = (b, a);
        }
        if b < c {
            (b, c) = (c, b);
        }
        if a < b {
            (a, b) = (b, a);
        }
        let mut store = pack_course(&self.courses[0]);
        store = store << 22 | pack_course(&self.courses[1]);
        store = store << 2 | u64::from(self.floors[0]);
        store = store << 2 | u64::from(self.floors[1]);
        store = store << 2 | u64::from(self.gates[0]);
        store = store << 2 | u64::from(self.gates[1]);
        store = store << 2 | u64::from(self.min_readers[0]);
        store = store << 2 | u64::from(self.min_readers[1]);
        store = store << 1 | u64::from(self.is_retired);
        store = store << 7 | pack_operator(self.operator);
        Packed {
            workers: (a << WORKER_BITS | b) << WORKER_BITS | c,
            store,
        }
    }

    pub(crate) fn unpack(packed: Packed) -> Self {
        let workers = packed.workers;
        let store = packed.store;
        Self {
            workers: [
                unpack_worker(workers >> (2 * WORKER_BITS)),
                unpack_worker(workers >> WORKER_BITS),
                unpack_worker(workers),
            ],
            courses: [unpack_course(store >> 42), unpack_course(store >> 20)],
            floors: [bits(store >> 18, 3), bits(store >> 16, 3)],
            gates: [bits(store >> 14, 3), bits(store >> 12, 3)],
            min_readers: [bits(store >> 10, 3), bits(store >> 8, 3)],
            is_retired: flag(store >> 7),
            operator: unpack_operator(store),
        }
    }
}

fn pack_worker(worker: &Worker) -> u64 {
    let mut packed = worker.phase as u64;
    packed = packed << 2 | u64::from(worker.release);
    packed = packed << 2 | worker.lease as u64;
    packed = packed << 1 | u64::from(worker.course);
    packed = packed << 2 | worker.claim as u64;
    packed = packed << 2 | u64::from(worker.content);
    packed = packed << 2 | worker.base as u64;
    packed = packed << 2 | worker.snapshot as u64;
    packed = packed << 1 | u64::from(worker.checked[0]);
    packed << 1 | u64::from(worker.checked[1])
}

fn unpack_worker(packed: u64) -> Worker {
    const PHASES: [Phase; 11] = [
        Phase::Out,
        Phase::Joined,
        Phase::Claiming,
        Phase::Claimed,
        Phase::Based,
        Phase::Loaded,
        Phase::ReadOne,
        Phase::ReadTwo,
        Phase::Checked,
        Phase::Published,
        Phase::Fenced,
    ];
    const LEASES: [Lease; 4] = [
        Lease::None,
        Lease::Joined,
        Lease::RolledBack,
        Lease::Overtaken,
    ];
    const CLAIMS: [Claim; 3] = [Claim::None, Claim::Held, Claim::Lost];
    const BASES: [Base; 3] = [Base::Same, Base::Other, Base::Absent];
    const SNAPSHOTS: [Snapshot; 4] = [
        Snapshot::None,
        Snapshot::Same,
        Snapshot::Other,
        Snapshot::Absent,
    ];
    Worker {
        phase: PHASES[usize::from(bits(packed >> 15, 15))],
        release: bits(packed >> 13, 3),
        lease: LEASES[usize::from(bits(packed >> 11, 3))],
        course: bits(packed >> 10, 1),
        claim: CLAIMS[usize::from(bits(packed >> 8, 3))],
        content: bits(packed >> 6, 3),
        base: BASES[usize::from(bits(packed >> 4, 3))],
        snapshot: SNAPSHOTS[usize::from(bits(packed >> 2, 3))],
        checked: [flag(packed >> 1), flag(packed)],
    }
}

fn pack_course(course: &Course) -> u64 {
    let mut packed = match course.row {
        Row::Absent => 0,
        Row::Reserved => 1,
        Row::Of(content) => u64::from(content) + 1,
    };
    packed = packed << 2 | u64::from(course.versions[0]);
    packed = packed << 2 | u64::from(course.versions[1]);
    packed = packed << 2 | u64::from(course.failed[0]);
    packed = packed << 2 | u64::from(course.failed[1]);
    packed = packed << 1 | u64::from(course.sealed[0]);
    packed = packed << 1 | u64::from(course.sealed[1]);
    packed = packed << 1 | u64::from(course.scanned[0]);
    packed = packed << 1 | u64::from(course.scanned[1]);
    packed = packed << 2 | u64::from(course.content);
    packed = packed << 2 | u64::from(course.acknowledged);
    packed = packed << 1 | u64::from(course.is_hook_due);
    packed = packed << 2 | course.task as u64 | u64::from(course.again);
    packed << 1 | u64::from(course.is_filled)
}

fn unpack_course(packed: u64) -> Course {
    const TASKS: [Task; 4] = [Task::None, Task::Ready, Task::Claimed, Task::Claimed];
    Course {
        row: match bits(packed >> 20, 3) {
            0 => Row::Absent,
            1 => Row::Reserved,
            content => Row::Of(content - 1),
        },
        versions: [bits(packed >> 18, 3), bits(packed >> 16, 3)],
        failed: [bits(packed >> 14, 3), bits(packed >> 12, 3)],
        sealed: [flag(packed >> 11), flag(packed >> 10)],
        scanned: [flag(packed >> 9), flag(packed >> 8)],
        content: bits(packed >> 6, 3),
        acknowledged: bits(packed >> 4, 3),
        is_hook_due: flag(packed >> 3),
        task: TASKS[usize::from(bits(packed >> 1, 3))],
        again: bits(packed >> 1, 3) == 3,
        is_filled: flag(packed),
    }
}

/// In 7 bits.
fn pack_operator(operator: Operator) -> u64 {
    let (kind, a, b, c) = match operator {
        Operator::Idle => (0, 0, 0, 0),
        Operator::Raises {
            transformer,
            release,
            is_late,
        } => (1, transformer, release, u8::from(is_late)),
        Operator::Seals { course } => (2, course, 0, 0),
        Operator::Judges {
            transformer,
            target,
            next,
        } => (3, transformer, target, next),
    };
    ((kind << 1 | u64::from(a)) << 2 | u64::from(b)) << 2 | u64::from(c)
}

fn unpack_operator(packed: u64) -> Operator {
    let (a, b, c) = (bits(packed >> 4, 1), bits(packed >> 2, 3), bits(packed, 3));
    match bits(packed >> 5, 3) {
        0 => Operator::Idle,
        1 => Operator::Raises {
            transformer: a,
            release: b,
            is_late: c == 1,
        },
        2 => Operator::Seals { course: a },
        _ => Operator::Judges {
            transformer: a,
            target: b,
            next: c,
        },
    }
}

fn bits(packed: u64, mask: u8) -> u8 {
    packed.to_le_bytes()[0] & mask
}

fn flag(packed: u64) -> bool {
    packed & 1 == 1
}
