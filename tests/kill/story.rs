//! Round after round on one store: children work and are killed, the store is opened again and
//! compared with what they told. Now and then everything is settled, and a new store begun.

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::fs;
use std::hint;
use std::io::{BufRead, BufReader, PipeWriter, Write, pipe};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use courseblocks::rollout::{Backlog, Claimed, Completion, Queue, Rollout, Start};
use courseblocks::{ErrorKind, Manager, Store, Timestamp, UpdateOptions, WriteVersion};

use crate::CHILD;
use crate::child::{LASTS, Orders, POLICY};
use crate::content::{COURSES, Source, TITLES, fails, has_source, key, number, registry};
use crate::lines::{Answer, Line, Step, in_words};
use crate::model::{Memory, Outcome, Round, Told, steps};
use crate::observed::Observed;
use crate::random::Random;

/// How many rounds there are on one store.
const ROUNDS_OF_A_STORE: usize = 20;

/// Nobody is that slow. sled has been seen to come to a stand.
const STUCK: Duration = Duration::from_secs(120);

/// One process at a time, or several that share the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Alone,
    Shared,
}

pub(crate) fn tell(kind: Kind, rounds: usize) {
    let (mut random, seed) = Random::seeded();
    let mut counts = Counts::default();
    let begun = Instant::now();
    let mut left = rounds;
    while left > 0 {
        let here = left.min(ROUNDS_OF_A_STORE);
        let mut house = House::new(kind, seed, random.draw(), rounds - left);
        for _ in 0..here {
            house.round(&mut counts);
        }
        house.settle();
        left -= here;
    }
    println!(
        "{kind:?}, in {:.1} s:\n{counts}",
        begun.elapsed().as_secs_f64()
    );
}

struct House {
    kind: Kind,
    random: Random,
    /// Of the whole run.
    seed: u64,
    directory: Option<tempfile::TempDir>,
    /// Time passes from round to round, in microseconds.
    now: i64,
    processes: u32,
    next_content: u32,
    write: u32,
    observed: Observed,
    /// When the last round began.
    sources: BTreeMap<usize, u32>,
    memory: Memory,
    /// On this store, and before it.
    round: usize,
    earlier_rounds: usize,
}

/// Children whose lines come over one pipe, in the order in which they were said.
struct Pack {
    children: BTreeMap<u32, Child>,
    /// Whose courses are whose.
    editors: BTreeMap<u32, Vec<usize>>,
    writer: Option<PipeWriter>,
    receiver: Receiver<Line>,
    lines: Vec<Line>,
}

impl House {
    fn new(kind: Kind, seed: u64, own_seed: u64, earlier_rounds: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("source")).unwrap();
        Self {
            kind,
            random: Random::new(own_seed),
            seed,
            directory: Some(directory),
            now: 1_700_000_000_000_000,
            processes: 0,
            next_content: 1,
            write: 1,
            observed: Observed::default(),
            sources: BTreeMap::new(),
            memory: Memory::default(),
            round: 0,
            earlier_rounds,
        }
    }

    fn path(&self) -> &Path {
        self.directory.as_ref().unwrap().path()
    }

    fn store(&self) -> PathBuf {
        self.path().join("store")
    }

    fn source(&self) -> Source {
        Source {
            directory: self.path().join("source"),
        }
    }

    fn round(&mut self, counts: &mut Counts) {
        self.round += 1;
        counts.rounds += 1;
        // What the dead had claimed is free at once, or only after this round.
        let passed = if self.random.percent(60) {
            10 * LASTS
        } else {
            LASTS / 24
        };
        self.now += i64::try_from(passed.as_micros()).unwrap();
        if self.observed.gate == Some(self.write) || self.random.percent(5) {
            self.write += 1;
        }
        let ends_in_order = self.random.percent(20);
        let steps = ends_in_order.then(|| 20 + self.random.below(150));
        let source = self.source();
        let sources = (0..COURSES).filter_map(|course| Some((course, source.content(course)?)));
        self.sources = sources.collect();
        let mut pack = Pack::new();
        match self.kind {
            Kind::Alone => {
                // With many at work, one of them makes durable what another one forgot to.
                let orders = match self.random.below(10) {
                    0 | 1 => self.orders(vec![0], 1, 0, false, steps),
                    2 | 3 => self.orders(Vec::new(), 1, 1, false, steps),
                    4 => self.orders(Vec::new(), 1, 0, true, steps),
                    _ => self.orders(vec![0, 1], 2, 2, true, steps),
                };
                pack.spawn(&orders);
            }
            Kind::Shared => {
                for (number, workers) in [(0, 1), (1, 1), (2, 0)] {
                    let orders = self.orders(vec![number], 3, workers, number == 0, steps);
                    pack.spawn(&orders);
                }
            }
        }
        let mut had_deaths = false;
        if self.kind == Kind::Shared && !ends_in_order {
            for _ in 0..=self.random.below(2) {
                let lines = 5 + self.random.below(120);
                self.wait(&mut pack, lines);
                had_deaths |= self.kill_the_owner(&mut pack, counts);
            }
        }
        let is_closed = if ends_in_order {
            self.kill_while_it_closes(&mut pack, counts) && !had_deaths
        } else {
            self.kill_at_work(&mut pack, counts);
            false
        };
        let lines = pack.end();
        counts.note_openings(&lines);
        for _ in 0..3 {
            if !self.random.percent(25) {
                break;
            }
            self.kill_while_it_opens(counts);
        }
        self.check(&lines, is_closed, had_deaths, counts);
    }

    fn orders(
        &mut self,
        editors: Vec<usize>,
        all_editors: usize,
        workers: usize,
        is_operator: bool,
        steps: Option<usize>,
    ) -> Orders {
        let process = self.processes;
        self.processes += 1;
        let first_content = self.next_content;
        self.next_content += 10_000;
        Orders {
            process,
            store: self.store(),
            source: self.path().join("source"),
            is_shared: self.kind == Kind::Shared,
            seed: self.random.draw(),
            begins: self.now,
            write: self.write,
            has_extra: self.round <= 8 && !self.observed.is_retired,
            first_content,
            editors,
            all_editors,
            workers,
            is_operator,
            steps: steps.map(|steps| i64::try_from(steps).unwrap()),
        }
    }

    /// Hears so many lines, and a little longer.
    fn wait(&mut self, pack: &mut Pack, lines: usize) {
        let mut heard = 0;
        while heard < lines && pack.hear() {
            heard += 1;
        }
        if self.random.percent(60) {
            self.spin(2_000);
        }
    }

    /// Does nothing for a random time, which ends between any two instructions of the children.
    fn spin(&mut self, most_micros: usize) {
        let micros = u64::try_from(self.random.below(most_micros)).unwrap();
        let end = Instant::now() + Duration::from_micros(micros);
        while Instant::now() < end {
            hint::spin_loop();
        }
    }

    fn kill_at_work(&mut self, pack: &mut Pack, counts: &mut Counts) {
        match self.random.below(10) {
            // Before it has said anything, or while it opens the store.
            0 => self.spin(40_000),
            1..4 => {
                let lines = self.random.below(10);
                self.wait(pack, lines);
            }
            _ => {
                let lines = self.random.below(400);
                self.wait(pack, lines);
            }
        }
        counts.kills += pack.kill_all();
    }

    /// Whether it was closed before it was killed.
    fn kill_while_it_closes(&mut self, pack: &mut Pack, counts: &mut Counts) -> bool {
        while pack.hear() {
            if matches!(pack.lines.last(), Some(Line::Closing { .. })) {
                break;
            }
        }
        if self.random.percent(60) {
            self.spin(4_000);
            let killed = pack.kill_all();
            counts.kills += killed;
            counts.closing += killed;
        } else {
            while pack.hear() {}
        }
        pack.wait_all();
        while pack.hear() {}
        let closed = pack
            .lines
            .iter()
            .filter(|line| matches!(line, Line::Closed { .. }));
        let opened = pack
            .lines
            .iter()
            .filter(|line| matches!(line, Line::Open { .. }));
        let is_closed = closed.count() == pack.children.len() && opened.count() > 0;
        counts.closed += usize::from(is_closed);
        is_closed
    }

    /// One that only opens the store, which recovers from the last kill.
    fn kill_while_it_opens(&mut self, counts: &mut Counts) {
        let mut pack = Pack::new();
        let mut orders = self.orders(Vec::new(), 1, 0, false, Some(0));
        // It is nobody.
        orders.is_shared = false;
        pack.spawn(&orders);
        self.spin(25_000);
        counts.kills += pack.kill_all();
        let lines = pack.end();
        counts.note_openings(&lines);
        counts.again += 1;
    }

    /// Kills whoever has the store open for the others, and puts another one in its place.
    fn kill_the_owner(&mut self, pack: &mut Pack, counts: &mut Counts) -> bool {
        let owner = fs::read_to_string(self.store().join("LOCK")).unwrap_or_default();
        let owner: Option<u32> = owner.trim().parse().ok();
        let mut children = pack.children.iter();
        let found = children.find(|(_, child)| Some(child.id()) == owner);
        let Some((&process, _)) = found else {
            return false;
        };
        pack.say(&Line::Killing);
        let mut child = pack.children.remove(&process).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        pack.say(&Line::Killed);
        counts.kills += 1;
        counts.owners += 1;
        // Its courses go to the next one.
        let place = pack.editors.remove(&process).unwrap();
        let orders = self.orders(place, 3, 1, false, None);
        pack.spawn(&orders);
        true
    }

    fn check(&mut self, lines: &[Line], is_closed: bool, had_deaths: bool, counts: &mut Counts) {
        let now = Timestamp::from_micros(self.now).unwrap();
        let later = now.plus(3 * LASTS);
        let checked = steps(lines).and_then(|mut told| {
            let after = Observed::look(&self.store(), now)?;
            let leaving = lines.iter().filter_map(|line| match line {
                Line::Closing { process } => Some(*process),
                _ => None,
            });
            let mut round = Round {
                before: &self.observed,
                after: &after,
                told: &mut told,
                sources: &self.sources,
                is_closed,
                leaving: leaving.collect(),
                had_deaths,
                now,
                later,
            };
            round.check(&mut self.memory)?;
            counts.note(&told, &self.observed, &after);
            Ok(after)
        });
        match checked {
            Ok(after) => self.observed = after,
            Err(violation) => self.fail(&violation, Some(lines)),
        }
    }

    /// Keeps what there is to look at.
    fn fail(&mut self, violation: &str, lines: Option<&[Line]>) -> ! {
        let directory = self.directory.take().unwrap().keep();
        if let Some(lines) = lines {
            let lines: Vec<_> = lines
                .iter()
                .map(|line| serde_json::to_string(line).unwrap())
                .collect();
            fs::write(directory.join("lines"), lines.join("\n")).unwrap();
        }
        panic!(
            "round {}, the {}th on this store: {violation}\nthe store is kept in {}, with what was \
             told in its last round; COURSEBLOCKS_SEED={} makes the same choices again, at other \
             times: it may take more rounds (COURSEBLOCKS_KILL_ROUNDS)",
            self.earlier_rounds + self.round,
            self.round,
            directory.display(),
            self.seed,
        );
    }

    /// What the dead left behind keeps nobody from the end of a rollout: every task can be taken,
    /// every course collected, and the gate opens.
    fn settle(&mut self) {
        if let Err(violation) = self.try_to_settle() {
            self.fail(&format!("it cannot be settled: {violation}"), None);
        }
    }

    fn try_to_settle(&mut self) -> Result<(), String> {
        let said = |error: courseblocks::Error| in_words(&error);
        self.write += 1;
        self.now += i64::try_from((10 * LASTS).as_micros()).unwrap();
        let mut now = Timestamp::from_micros(self.now).unwrap();
        let source = self.source();
        // What cannot be collected is corrected.
        for course in (0..COURSES).filter(|course| has_source(*course)) {
            if source.content(course).is_some_and(fails) {
                self.next_content += 1 + u32::from(fails(self.next_content + 1));
                source.publish(course, self.next_content);
            }
        }
        let store = Arc::new(Store::open(self.store()).map_err(said)?);
        let registry = Arc::new(registry(self.write, false));
        let manager = Manager::new(Arc::clone(&store), registry, Arc::new(source.clone()));
        manager
            .join("settler", "release", 100 * LASTS, now)
            .map_err(said)?;
        let lease = manager.lease().map_err(said)?;
        let queue = Queue::new(&store);
        queue.resume(&lease, now).map_err(said)?;
        queue.set_rate(&lease, None, now).map_err(said)?;
        queue.retry(&lease, &Backlog::Quarantined).map_err(said)?;
        let rollout = Rollout::new(&store);
        let start = rollout.start(&lease, TITLES, now, |_| {}).map_err(said)?;
        if !matches!(start, Start::Started { .. }) {
            return Err(format!("the floor is not raised: {start:?}"));
        }
        for course in (0..COURSES).filter(|course| has_source(*course)) {
            if source.content(course).is_some() {
                manager.publish(&key(course), now).map_err(said)?;
            }
        }
        loop {
            let claim = match queue.claim(&lease, &POLICY, now).map_err(said)? {
                Claimed::Task(claim) => claim,
                Claimed::Idle {
                    next: Some(next), ..
                } => {
                    now = next;
                    continue;
                }
                Claimed::Idle {
                    claimed_by_others: 0,
                    ..
                } => break,
                other => return Err(format!("no task: {other:?}")),
            };
            let course = number(claim.course());
            let collected = if has_source(course) {
                manager
                    .update(&key(course), &UpdateOptions::default())
                    .map(drop)
            } else {
                crate::child::bring_up_to_date(&store, &lease, &key(course), self.write).map(drop)
            };
            match collected {
                Ok(()) => {}
                // Its source was taken away; a deletion may have been broken off.
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    manager.delete(&key(course)).map_err(said)?;
                    continue;
                }
                Err(error) => return Err(said(error)),
            }
            let completion = queue.complete(&claim, now).map_err(said)?;
            if completion != Completion::Done {
                return Err(format!("course {course}: {completion:?}"));
            }
        }
        let observed = Observed::of(&store, now)?;
        if !observed.tasks.is_empty() {
            return Err(format!("tasks are left: {:?}", observed.tasks));
        }
        for course in (0..COURSES).filter(|course| has_source(*course)) {
            let stored = observed.courses.get(&course).map(|stored| stored.content);
            if stored != source.content(course) {
                return Err(format!(
                    "course {course} is of content {stored:?}, its source of {:?}",
                    source.content(course)
                ));
            }
        }
        let target = WriteVersion::new(self.write).unwrap();
        let answer = rollout.gate(&lease, TITLES, target, now).map_err(said)?;
        if !answer.is_open() {
            return Err(format!("the gate stays closed: {answer:?}"));
        }
        Ok(())
    }
}

impl Pack {
    fn new() -> Self {
        let (reader, writer) = pipe().unwrap();
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(reader).lines() {
                let line = line.expect("a line");
                let line = serde_json::from_str(&line).expect(&line);
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            children: BTreeMap::new(),
            editors: BTreeMap::new(),
            writer: Some(writer),
            receiver,
            lines: Vec::new(),
        }
    }

    fn spawn(&mut self, orders: &Orders) {
        let writer = self.writer.as_ref().unwrap().try_clone().unwrap();
        let child = Command::new(env::current_exe().unwrap())
            .env(CHILD, serde_json::to_string(orders).unwrap())
            .stdin(Stdio::null())
            .stdout(writer)
            .spawn()
            .unwrap();
        self.children.insert(orders.process, child);
        self.editors.insert(orders.process, orders.editors.clone());
    }

    /// Waits for the next line. False where nobody is left to say one.
    fn hear(&mut self) -> bool {
        let begun = Instant::now();
        loop {
            match self.receiver.recv_timeout(Duration::from_millis(100)) {
                Ok(line) => {
                    self.lines.push(line);
                    return true;
                }
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let mut children = self.children.values_mut();
            if children.all(|child| child.try_wait().unwrap().is_some()) {
                // This process is the last one that could write into the pipe.
                self.writer = None;
            }
            if begun.elapsed() > STUCK {
                let ids: Vec<_> = self.children.values().map(Child::id).collect();
                self.kill_all();
                panic!("the processes {ids:?} have come to a stand");
            }
        }
    }

    /// Says something in the order of the lines.
    fn say(&mut self, line: &Line) {
        let mut text = serde_json::to_string(line).unwrap();
        text.push('\n');
        let writer = self.writer.as_mut().unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }

    /// How many were still alive.
    fn kill_all(&mut self) -> usize {
        // At the same time, or almost.
        let mut killed = 0;
        for child in self.children.values_mut() {
            if child.try_wait().unwrap().is_none() {
                child.kill().unwrap();
                killed += 1;
            }
        }
        self.wait_all();
        killed
    }

    fn wait_all(&mut self) {
        for child in self.children.values_mut() {
            child.wait().unwrap();
        }
    }

    /// Every line that was said.
    fn end(mut self) -> Vec<Line> {
        self.wait_all();
        self.writer = None;
        while self.hear() {}
        std::mem::take(&mut self.lines)
    }
}

/// What happened.
#[derive(Debug, Default)]
struct Counts {
    rounds: usize,
    kills: usize,
    owners: usize,
    opening: usize,
    again: usize,
    closing: usize,
    closed: usize,
    /// By kind of step: acknowledged, refused, under way or unknown.
    steps: BTreeMap<&'static str, [usize; 3]>,
    /// Of publishes, imports and deletions under way: how many are there, and how many not.
    there: usize,
    not_there: usize,
    gates: usize,
    floors: usize,
    buried: usize,
    quarantined: usize,
}

impl Counts {
    fn note_openings(&mut self, lines: &[Line]) {
        let has_opened = lines.iter().any(|line| matches!(line, Line::Open { .. }));
        self.opening += usize::from(!has_opened);
    }

    fn note(&mut self, told: &[Told], before: &Observed, after: &Observed) {
        for told in told {
            let counted = self.steps.entry(kind_of(&told.step)).or_default();
            match &told.ended {
                Some((_, Outcome::Did(_))) => counted[0] += 1,
                Some((_, Outcome::Refused)) => counted[1] += 1,
                Some((_, Outcome::Unknown)) | None => counted[2] += 1,
            }
            if told.ended.is_none() {
                let stored = |course| after.courses.get(course).map(|stored| stored.content);
                let is_there = match &told.step {
                    Step::Import {
                        course, content, ..
                    }
                    | Step::Publish {
                        course, content, ..
                    } => stored(course) == Some(*content),
                    Step::Delete { course } if before.courses.contains_key(course) => {
                        stored(course).is_none()
                    }
                    _ => continue,
                };
                if is_there {
                    self.there += 1;
                } else {
                    self.not_there += 1;
                }
            }
        }
        self.gates += usize::from(after.gate != before.gate);
        self.floors += usize::from(after.floor != before.floor);
        let died = |observed: &Observed| {
            let tasks = observed.tasks.values();
            let errors = tasks.filter_map(|task| task.last_error());
            errors.filter(|error| error.contains("died")).count()
        };
        self.buried += died(after).saturating_sub(died(before));
        let answers = told.iter().filter_map(Told::answer);
        self.quarantined += answers
            .filter(|answer| **answer == Answer::Quarantined)
            .count();
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  {} rounds, {} kills: {} of owners of a shared store, {} before the store was open, \
             {} of one that recovered from the last kill, {} while it was closed; {} ended in order",
            self.rounds,
            self.kills,
            self.owners,
            self.opening,
            self.again,
            self.closing,
            self.closed
        )?;
        writeln!(
            f,
            "  publishes, imports and deletions under way: {} there, {} not; gates opened {}, floors \
             raised {}, tasks whose worker died {}, put into quarantine {}",
            self.there, self.not_there, self.gates, self.floors, self.buried, self.quarantined
        )?;
        for (kind, [done, refused, unknown]) in &self.steps {
            writeln!(
                f,
                "  {kind:<24}{done:>8} acknowledged{refused:>7} refused{unknown:>7} under way"
            )?;
        }
        Ok(())
    }
}

fn kind_of(step: &Step) -> &'static str {
    match step {
        Step::Import { .. } => "import",
        Step::Publish {
            is_durable: true, ..
        } => "publish, durable",
        Step::Publish { .. } => "publish, buffered",
        Step::PublishPart { .. } => "publish a part",
        Step::Delete { .. } => "delete",
        Step::Enqueue {
            is_durable: true, ..
        } => "enqueue, durable",
        Step::Enqueue { .. } => "enqueue, buffered",
        Step::Claim => "claim",
        Step::Work { .. } => "work",
        Step::End { .. } => "end of a claim",
        Step::Retry => "retry",
        Step::Drop { .. } => "drop",
        Step::Start { .. } => "rollout start",
        Step::Gate { .. } => "rollout gate",
        Step::Pause => "pause",
        Step::Resume => "resume",
        Step::Rate { .. } => "rate",
        Step::Retire => "retire",
        Step::Flush => "flush",
        Step::Join => "join",
        Step::Leave => "leave",
        Step::History => "history",
    }
}
