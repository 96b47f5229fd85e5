//! Visits every state that can be reached, nearest first, and then asks of each whether the goal
//! can be reached from it. It knows states as 16 bytes and leaves their meaning to the model.

use crate::rules::{Config, Property};
use crate::state::{Packed, State};
use crate::steps::Step;
use crate::trace;

/// What was found.
pub(crate) struct Explored {
    pub(crate) states: usize,
    pub(crate) transitions: usize,
    /// Steps to the farthest state.
    pub(crate) depth: usize,
    /// The properties that do not hold, nearest first, each with the shortest way to see it.
    pub(crate) breaches: Vec<(Property, String)>,
}

/// All states that were seen, and how each was first reached.
struct Seen {
    states: Vec<Packed>,
    parents: Vec<u32>,
    /// Places of states by hash, plus one; 0 is free. A power of two long, at most half full.
    table: Vec<u32>,
}

/// Explores until everything was seen.
pub(crate) fn explore(config: &Config) -> Explored {
    let mut seen = Seen::new(config.initial().pack());
    let mut edges = Edges::default();
    let mut breaches = Breaches::default();
    let mut depth = 0;
    let mut level_end = 1;
    let mut at = 0;
    while at < seen.states.len() {
        if at == level_end {
            depth += 1;
            level_end = seen.states.len();
        }
        let from = to_u32(at);
        let state = State::unpack(seen.states[at]);
        if let Some(property) = config.breach(&state) {
            breaches.add(property, at, None);
        }
        config.successors(&state, &mut |step: Step, next: &State, broken| {
            let packed = next.pack();
            edges.add(seen.place(packed, from), Config::helps(step));
            if let Some(property) = broken {
                breaches.add(property, at, Some(packed));
            }
        });
        edges.end();
        at += 1;
    }
    if let Some(place) = stranded(config, &seen, &edges) {
        breaches.add(Property::GateIsInReach, place, None);
    }
    Explored {
        states: seen.states.len(),
        transitions: edges.transitions,
        depth,
        breaches: breaches.told(config, &seen),
    }
}

/// The first breach of each property: the state, and where it was the step, what that led to.
#[derive(Default)]
struct Breaches(Vec<(Property, usize, Option<Packed>)>);

impl Breaches {
    fn add(&mut self, property: Property, place: usize, next: Option<Packed>) {
        if self.0.iter().all(|(known, ..)| *known != property) {
            self.0.push((property, place, next));
        }
    }

    fn told(self, config: &Config, seen: &Seen) -> Vec<(Property, String)> {
        let told = self.0.into_iter().map(|(property, place, next)| {
            let mut path = seen.path(place);
            path.extend(next);
            (property, trace::tell(config, &path))
        });
        told.collect()
    }
}

/// The first state from which no goal can be reached, if there is one.
fn stranded(config: &Config, seen: &Seen, edges: &Edges) -> Option<usize> {
    let count = seen.states.len();
    let backwards = edges.reversed(count);
    let mut reaches = vec![false; count];
    let mut waiting = Vec::new();
    for (place, packed) in seen.states.iter().enumerate() {
        if config.is_goal(&State::unpack(*packed)) {
            reaches[place] = true;
            waiting.push(to_u32(place));
        }
    }
    while let Some(place) = waiting.pop() {
        for &before in backwards.of(to_usize(place)) {
            if !reaches[to_usize(before)] {
                reaches[to_usize(before)] = true;
                waiting.push(before);
            }
        }
    }
    reaches.iter().position(|reaches| !reaches)
}

impl Seen {
    fn new(initial: Packed) -> Self {
        let mut seen = Self {
            states: Vec::new(),
            parents: Vec::new(),
            table: vec![0; 1 << 12],
        };
        seen.place(initial, 0);
        seen
    }

    /// Where the state is, which is new or not.
    fn place(&mut self, packed: Packed, parent: u32) -> u32 {
        let mask = self.table.len() - 1;
        let mut slot = to_slot(packed) & mask;
        loop {
            let place = self.table[slot];
            if place == 0 {
                break;
            }
            if self.states[to_usize(place - 1)] == packed {
                return place - 1;
            }
            slot = (slot + 1) & mask;
        }
        let place = to_u32(self.states.len());
        self.table[slot] = place + 1;
        self.states.push(packed);
        self.parents.push(parent);
        if self.states.len() * 2 > self.table.len() {
            self.grow();
        }
        place
    }

    fn grow(&mut self) {
        let size = self.table.len() * 4;
        let mask = size - 1;
        self.table = vec![0; size];
        for (place, packed) in self.states.iter().enumerate() {
            let mut slot = to_slot(*packed) & mask;
            while self.table[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            self.table[slot] = to_u32(place) + 1;
        }
    }

    /// From the beginning to the state at `place`.
    fn path(&self, mut place: usize) -> Vec<Packed> {
        let mut path = vec![self.states[place]];
        while place != 0 {
            place = to_usize(self.parents[place]);
            path.push(self.states[place]);
        }
        path.reverse();
        path
    }
}

/// Steps that help towards the goal, state by state in the order of exploration.
#[derive(Default)]
struct Edges {
    transitions: usize,
    targets: Vec<u32>,
    /// Where each state's targets end.
    ends: Vec<usize>,
}

impl Edges {
    fn add(&mut self, to: u32, helps: bool) {
        self.transitions += 1;
        if helps {
            self.targets.push(to);
        }
    }

    fn end(&mut self) {
        self.ends.push(self.targets.len());
    }

    fn of(&self, place: usize) -> &[u32] {
        let begin = if place == 0 { 0 } else { self.ends[place - 1] };
        &self.targets[begin..self.ends[place]]
    }

    fn reversed(&self, count: usize) -> Self {
        // Where each state's sources begin; then, while they are filled in, where the next goes.
        let mut next = vec![0; count + 1];
        for &target in &self.targets {
            next[to_usize(target) + 1] += 1;
        }
        for place in 0..count {
            next[place + 1] += next[place];
        }
        let mut targets = vec![0; self.targets.len()];
        for from in 0..count {
            for &target in self.of(from) {
                let slot = &mut next[to_usize(target)];
                targets[*slot] = to_u32(from);
                *slot += 1;
            }
        }
        next.pop();
        Self {
            transitions: self.transitions,
            targets,
            ends: next,
        }
    }
}

fn to_slot(packed: Packed) -> usize {
    usize::try_from(packed.hash()).expect("a 64-bit machine")
}

fn to_u32(place: usize) -> u32 {
    u32::try_from(place).expect("fewer than 2^32 states")
}

fn to_usize(place: u32) -> usize {
    usize::try_from(place).expect("at least 32 bits")
}
