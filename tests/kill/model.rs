//! What a store may hold after a kill: what it held before, and the steps that were told since. A
//! step that was acknowledged has happened, one that began has happened or not, all others have
//! not.

use std::collections::{BTreeMap, BTreeSet};

use courseblocks::Timestamp;
use courseblocks::rollout::{Event, Rate, TaskState};

use crate::child::{failure, worker_name};
use crate::content::COURSES;
use crate::lines::{Answer, End, Line, Step};
use crate::observed::{Observed, Stored};

/// A step, and when it was told: by the numbers of lines.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) process: u32,
    pub(crate) number: u64,
    pub(crate) step: Step,
    pub(crate) begun: usize,
    /// The line, and what was answered.
    pub(crate) ended: Option<(usize, Outcome)>,
    /// Between which deaths it began and ended: `None` while a process was dying.
    windows: [Option<u32>; 2],
    /// What must be there, whatever was lost.
    is_certain: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Did(Answer),
    /// It was refused, and has changed nothing.
    Refused,
    /// The connection broke: nobody knows.
    Unknown,
}

/// What is remembered beyond a round.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Of which course and content each generation was.
    generations: BTreeMap<u64, (usize, u32)>,
    /// Courses whose task an operator has taken away, perhaps.
    dropped: BTreeSet<usize>,
    highest_write: u32,
    certain_pauses: usize,
    begun_pauses: usize,
}

/// The steps of some lines, in the order in which they began.
pub(crate) fn steps(lines: &[Line]) -> Result<Vec<Told>, String> {
    let mut told: Vec<Told> = Vec::new();
    let mut places = BTreeMap::new();
    let (mut window, mut deaths) = (Some(0), 0);
    for (at, line) in lines.iter().enumerate() {
        let (process, number, outcome) = match line {
            Line::Try {
                process,
                number,
                step,
            } => {
                places.insert((*process, *number), told.len());
                told.push(Told {
                    process: *process,
                    number: *number,
                    step: step.clone(),
                    begun: at,
                    ended: None,
                    windows: [window, None],
                    is_certain: false,
                });
                continue;
            }
            Line::Done {
                process,
                number,
                answer,
            } => (process, number, Outcome::Did(answer.clone())),
            Line::No {
                process,
                number,
                kind,
                ..
            } if kind == "Storage" => (process, number, Outcome::Unknown),
            Line::No {
                process, number, ..
            } => (process, number, Outcome::Refused),
            Line::Killing => {
                window = None;
                continue;
            }
            Line::Killed => {
                deaths += 1;
                window = Some(deaths);
                continue;
            }
            Line::Violation { text, .. } => return Err(text.clone()),
            Line::Open { .. } | Line::Closing { .. } | Line::Closed { .. } => continue,
        };
        let place = places.get(&(*process, *number)).expect("a step that began");
        told[*place].ended = Some((at, outcome));
        told[*place].windows[1] = window;
    }
    Ok(told)
}

impl Told {
    pub(crate) fn answer(&self) -> Option<&Answer> {
        match &self.ended {
            Some((_, Outcome::Did(answer))) => Some(answer),
            _ => None,
        }
    }

    fn is_refused(&self) -> bool {
        matches!(self.ended, Some((_, Outcome::Refused)))
    }

    /// Nobody knows when it ends, or whether.
    fn may_end_after(&self, line: usize) -> bool {
        match &self.ended {
            Some((ended, Outcome::Did(_) | Outcome::Refused)) => *ended > line,
            Some((_, Outcome::Unknown)) | None => true,
        }
    }

    /// Whether what it did was durable when it was acknowledged.
    fn is_durable(&self) -> bool {
        let Some(answer) = self.answer() else {
            return false;
        };
        match (&self.step, answer) {
            (Step::Publish { is_durable, .. } | Step::Enqueue { is_durable, .. }, _)
            | (Step::PublishPart { is_durable, .. }, Answer::Published { .. }) => *is_durable,
            (Step::Import { .. }, Answer::Published { .. })
            | (Step::Claim, Answer::Claimed { .. })
            | (Step::Delete { .. } | Step::Retry | Step::Drop { .. } | Step::Flush, _)
            | (Step::Start { .. }, Answer::Started)
            | (
                Step::Pause
                | Step::Resume
                | Step::Rate { .. }
                | Step::Retire
                | Step::Join
                | Step::Leave,
                Answer::Done,
            ) => true,
            (Step::End { .. }, answer) => *answer != Answer::Lost,
            _ => false,
        }
    }

    fn course(&self) -> Option<usize> {
        match self.step {
            Step::Import { course, .. }
            | Step::Publish { course, .. }
            | Step::PublishPart { course, .. }
            | Step::Delete { course }
            | Step::Enqueue { course, .. }
            | Step::Work { course, .. }
            | Step::End { course, .. }
            | Step::Drop { course } => Some(course),
            Step::Claim => match self.answer() {
                Some(Answer::Claimed { course }) => Some(*course),
                _ => None,
            },
            _ => None,
        }
    }
}

/// A round: how things were, what was told since, and how they are.
pub(crate) struct Round<'a> {
    pub(crate) before: &'a Observed,
    pub(crate) after: &'a Observed,
    pub(crate) told: &'a mut [Told],
    /// What the source held, by course, when the round began.
    pub(crate) sources: &'a BTreeMap<usize, u32>,
    /// It was closed in order: everything that was acknowledged is durable.
    pub(crate) is_closed: bool,
    /// Processes that were about to leave, or have left.
    pub(crate) leaving: BTreeSet<u32>,
    /// Processes died while others went on.
    pub(crate) had_deaths: bool,
    pub(crate) now: Timestamp,
    pub(crate) later: Timestamp,
}

type Check = Result<(), String>;

fn must(is_so: bool, message: impl FnOnce() -> String) -> Check {
    if is_so { Ok(()) } else { Err(message()) }
}

impl Round<'_> {
    pub(crate) fn check(&mut self, memory: &mut Memory) -> Check {
        self.find_certain();
        for told in &*self.told {
            if let Step::Import { write, .. }
            | Step::Publish { write, .. }
            | Step::Start { write } = told.step
            {
                memory.highest_write = memory.highest_write.max(write);
            }
        }
        for course in 0..COURSES {
            self.check_content(course, memory)?;
            self.check_task(course)?;
        }
        self.check_generations(memory)?;
        self.check_operator(memory)?;
        self.check_outdated(memory)
    }

    /// Commits become durable in the order in which they were made: what was acknowledged before
    /// something began that is known to be there is there as well.
    fn find_certain(&mut self) {
        let mut anchors: Vec<(usize, u32)> = Vec::new();
        for told in &*self.told {
            let [begun, ended] = told.windows;
            let Some(window) = begun.filter(|_| begun == ended) else {
                continue;
            };
            let is_there = match told.step {
                Step::Import {
                    course, content, ..
                }
                | Step::Publish {
                    course, content, ..
                } => {
                    let stored = self.after.courses.get(&course);
                    matches!(told.answer(), Some(Answer::Published { .. }))
                        && stored.is_some_and(|stored| stored.content == content)
                }
                _ => false,
            };
            if is_there || told.is_durable() {
                anchors.push((told.begun, window));
            }
        }
        for told in &mut *self.told {
            let Some((line, Outcome::Did(_))) = told.ended else {
                continue;
            };
            let is_before = |(anchor, window): &(usize, u32)| {
                *anchor > line && told.windows == [Some(*window); 2]
            };
            told.is_certain = told.is_durable() || self.is_closed || anchors.iter().any(is_before);
        }
    }

    fn of(&self, course: usize) -> impl Iterator<Item = &Told> {
        let told = self.told.iter();
        told.filter(move |told| told.course() == Some(course))
    }

    fn check_content(&self, course: usize, memory: &Memory) -> Check {
        // One editor made all of these, one after the other.
        let mut may_be: Vec<Option<u32>> = vec![content_of(self.before, course)];
        let mut positions = BTreeMap::new();
        // What the last round has left in the source.
        if let Some(content) = self.sources.get(&course) {
            may_be.push(Some(*content));
            positions.insert(Some(*content), may_be.len() - 1);
        }
        let mut last_certain = 0;
        for told in self.of(course) {
            let content = match told.step {
                // Whoever works finds it in the source, if it was refused here.
                Step::Import { content, .. } => Some(content),
                Step::Publish { content, .. } if !told.is_refused() => Some(content),
                Step::Delete { .. } if !told.is_refused() => None,
                _ => continue,
            };
            may_be.push(content);
            positions.insert(content, may_be.len() - 1);
            if told.is_certain && !told.is_refused() {
                last_certain = may_be.len() - 1;
            }
        }
        // What a worker has acknowledged to be up to date was stored by somebody.
        for told in self.of(course).filter(|told| told.is_certain) {
            if let (
                Step::End {
                    content: Some(content),
                    ..
                },
                Some(Answer::Completed | Answer::Again),
            ) = (&told.step, told.answer())
            {
                let position = positions.get(&Some(*content)).copied().unwrap_or(0);
                last_certain = last_certain.max(position);
            }
        }
        let found = content_of(self.after, course);
        let allowed = &may_be[last_certain..];
        must(allowed.contains(&found), || {
            format!("course {course} is of content {found:?}, not one of {allowed:?}")
        })?;
        let Some(stored) = self.after.courses.get(&course) else {
            return Ok(());
        };
        self.check_version(course, stored, memory)
    }

    fn check_version(&self, course: usize, stored: &Stored, memory: &Memory) -> Check {
        let mut least = 0;
        if let Some(before) = self.before.courses.get(&course)
            && before.content == stored.content
        {
            least = before.version.unwrap_or_default();
        }
        for told in self.of(course).filter(|told| told.is_certain) {
            let published = match (&told.step, told.answer()) {
                (
                    Step::Import { write, .. }
                    | Step::Publish { write, .. }
                    | Step::PublishPart { write, .. },
                    Some(Answer::Published { content, .. }),
                )
                | (
                    Step::End {
                        write,
                        content: Some(content),
                        ..
                    },
                    Some(Answer::Completed | Answer::Again),
                ) => (*content, *write),
                _ => continue,
            };
            if published.0 == stored.content {
                least = least.max(published.1);
            }
        }
        let Some(version) = stored.version else {
            return Ok(());
        };
        must(
            (least..=memory.highest_write.max(least)).contains(&version),
            || format!("course {course} is at version {version}, which must be {least} at least"),
        )
    }

    /// Whether the course must have a task, and whether it must have none.
    fn check_task(&self, course: usize) -> Check {
        let task = self.after.tasks.get(&course);
        let before = self.before.tasks.get(&course);
        // Who may put one on, who may take it away: a line that began, and whether it is certain.
        let claimed_at = |process: u32, number: u64| {
            let claim = self.told.iter();
            let mut claim = claim.filter(|told| told.process == process && told.number == number);
            claim
                .next()
                .and_then(|claim| claim.ended.as_ref())
                .map(|(line, _)| *line)
        };
        let is_adder = |told: &Told| match told.step {
            Step::Enqueue { course: of, .. } => of == course && !told.is_refused(),
            Step::Start { .. } => !told.is_refused(),
            // What a floor refuses is put on the queue.
            Step::Import { course: of, .. } | Step::Work { course: of, .. } => {
                of == course && told.answer().is_none()
            }
            _ => false,
        };
        let is_remover = |told: &Told| match told.step {
            Step::Drop { course: of } => of == course && told.answer() != Some(&Answer::Nothing),
            Step::Delete { course: of } => of == course,
            Step::End {
                course: of,
                how: End::Complete,
                ..
            } => {
                let is_other = told
                    .answer()
                    .is_some_and(|answer| *answer != Answer::Completed);
                of == course && !is_other && !told.is_refused()
            }
            _ => false,
        };
        let may_remove = |remover: &Told, added: usize| {
            let claimed = match remover.step {
                Step::End { claim, .. } => claimed_at(remover.process, claim),
                _ => None,
            };
            // One that was claimed before is done again.
            remover.may_end_after(added) && claimed.is_none_or(|line| line > added)
        };
        let removers: Vec<_> = self.told.iter().filter(|told| is_remover(told)).collect();
        let adders: Vec<_> = self.told.iter().filter(|told| is_adder(told)).collect();
        let certain_adders = adders
            .iter()
            .filter(|told| told.is_certain && matches!(told.step, Step::Enqueue { .. }))
            .map(|told| told.begun);
        let stays = |added: usize| !removers.iter().any(|remover| may_remove(remover, added));
        let was_there = before.is_some() && removers.is_empty();
        if was_there || certain_adders.into_iter().any(stays) {
            must(task.is_some(), || {
                format!("the task of course {course} is gone")
            })?;
        }
        let certain_removers = removers.iter().filter(|told| {
            let is_done = match told.step {
                Step::Delete { .. } => told.answer().is_some(),
                _ => matches!(told.answer(), Some(Answer::Done | Answer::Completed)),
            };
            told.is_certain && is_done
        });
        let stays_away = |removed: usize| {
            let mut adders = adders.iter();
            !adders.any(|adder| adder.may_end_after(removed))
        };
        let was_away = before.is_none() && adders.is_empty();
        if was_away || certain_removers.map(|told| told.begun).any(stays_away) {
            must(task.is_none(), || {
                format!("course {course} has a task again: {task:?}")
            })?;
        }
        self.check_state(course)
    }

    /// What the task says of itself.
    fn check_state(&self, course: usize) -> Check {
        let Some(task) = self.after.tasks.get(&course) else {
            return Ok(());
        };
        let state = task.state(&self.after.members, self.later);
        must(!matches!(state, TaskState::Claimed { .. }), || {
            format!("the dead keep course {course}: {task:?}")
        })?;
        // Any task may have been taken by a claim that was not acknowledged.
        let may_touch = |told: &Told| match told.step {
            Step::Claim => match told.answer() {
                Some(Answer::Claimed { course: of }) => *of == course,
                Some(_) => false,
                None => !told.is_refused(),
            },
            Step::Start { .. } | Step::Retry => true,
            Step::Import { .. } | Step::Work { .. } => {
                told.course() == Some(course) && told.answer().is_none()
            }
            _ => {
                matches!(
                    told.step,
                    Step::Enqueue { .. }
                        | Step::Drop { .. }
                        | Step::Delete { .. }
                        | Step::End { .. }
                ) && told.course() == Some(course)
            }
        };
        let touching: Vec<_> = self.told.iter().filter(|told| may_touch(told)).collect();
        if touching.is_empty() && !self.may_be_buried(course) {
            let before = self.before.tasks.get(&course);
            return must(before == Some(task), || {
                format!("nobody touched the task of course {course}: {before:?} is {task:?}")
            });
        }
        let Some((last, others)) = touching.split_last() else {
            return Ok(());
        };
        let is_last = others.iter().all(|other| !other.may_end_after(last.begun));
        let is_known = last.is_certain && is_last && !self.may_be_buried(course);
        if !is_known {
            return Ok(());
        }
        match (&last.step, last.answer()) {
            // Who leaves in order gives up what it had.
            (Step::Claim, _) if self.leaving.contains(&last.process) => Ok(()),
            (Step::Claim, Some(Answer::Claimed { .. })) => {
                let holder = worker_name(last.process);
                let state = task.state(&self.after.members, self.now);
                let is_held =
                    matches!(&state, TaskState::Claimed { worker, .. } if *worker == holder);
                must(is_held, || {
                    format!("{holder} has claimed course {course}, which is {state:?}")
                })
            }
            (
                Step::End {
                    how: End::Fail,
                    claim,
                    ..
                },
                Some(answer @ (Answer::WillRetry | Answer::Quarantined)),
            ) => {
                let error = failure(last.process, *claim);
                let is_quarantined = state == TaskState::Quarantined;
                let is_kept = task.last_error() == Some(&error)
                    && is_quarantined == (*answer == Answer::Quarantined)
                    // Where it was put on again meanwhile, it does not count.
                    && (task.attempts() > 0 || !is_quarantined);
                must(is_kept, || {
                    format!("{error:?} of course {course} is gone: {task:?}")
                })
            }
            _ => Ok(()),
        }
    }

    /// Whether a claim of the dead may have been found and ended.
    fn may_be_buried(&self, course: usize) -> bool {
        let was_claimed = |observed: &Observed| {
            let task = observed.tasks.get(&course);
            // What is claimed by whom is for workers to know; its description has it.
            task.is_some_and(|task| format!("{task:?}").contains("claim: Some"))
        };
        let mut claims = self.told.iter();
        claims.any(|told| told.step == Step::Claim) && (self.had_deaths || was_claimed(self.before))
    }

    /// One generation is of one content of one course, for ever.
    fn check_generations(&self, memory: &mut Memory) -> Check {
        let mut note = |course: usize, content: u32, generation: u64| {
            let known = memory.generations.insert(generation, (course, content));
            must(known.is_none_or(|known| known == (course, content)), || {
                format!(
                    "generation {generation} is of course {course}, content {content}, and was of \
                     {known:?}"
                )
            })
        };
        for told in &*self.told {
            let Some(course) = told.course() else {
                continue;
            };
            if let Some(Answer::Published {
                content,
                generation,
            }) = told.answer()
            {
                note(course, *content, *generation)?;
            }
        }
        for (course, stored) in &self.after.courses {
            note(*course, stored.content, stored.generation)?;
        }
        Ok(())
    }

    fn check_operator(&self, memory: &mut Memory) -> Check {
        let (before, after) = (self.before, self.after);
        let certain = || self.told.iter().filter(|told| told.is_certain);
        // Floors and seals.
        must(after.floor >= before.floor, || {
            format!("the floor was {:?}, and is {:?}", before.floor, after.floor)
        })?;
        let mut is_sealed = before.unsealed == 0 && after.floor == before.floor;
        for told in certain() {
            if let (Step::Start { write }, Some(Answer::Started)) = (&told.step, told.answer()) {
                must(after.floor >= Some(*write), || {
                    format!(
                        "the floor {write} was acknowledged, and is {:?}",
                        after.floor
                    )
                })?;
                is_sealed |= after.floor == Some(*write);
            }
        }
        let tried = |version: u32| {
            self.told
                .iter()
                .any(|told| told.step == Step::Start { write: version })
        };
        must(
            after.floor == before.floor || after.floor.is_some_and(tried),
            || format!("nobody has raised the floor to {:?}", after.floor),
        )?;
        // Retiring raises the floors' epoch as well, and seals.
        let is_retiring = self.told.iter().any(|told| told.step == Step::Retire);
        must(!is_sealed || after.unsealed == 0 || is_retiring, || {
            format!("the floor has not reached {} courses", after.unsealed)
        })?;
        // Gates.
        let answered = self
            .told
            .iter()
            .filter_map(|told| match (&told.step, told.answer()) {
                (Step::Gate { target }, Some(Answer::Open)) => Some(*target),
                _ => None,
            });
        let must_be = answered.chain(before.gate).max();
        must(after.gate >= must_be, || {
            format!("the gate {must_be:?} was open, and is {:?}", after.gate)
        })?;
        let asked = |target: u32| {
            self.told
                .iter()
                .any(|told| told.step == Step::Gate { target })
        };
        must(
            after.gate == before.gate || after.gate.is_some_and(asked),
            || format!("nobody has asked for the gate {:?}", after.gate),
        )?;
        // What is gone for good.
        let retired =
            certain().any(|told| told.step == Step::Retire && told.answer() == Some(&Answer::Done));
        must(after.is_retired || !(retired || before.is_retired), || {
            "what was retired is back".to_owned()
        })?;
        let with_extra = after
            .courses
            .values()
            .filter(|stored| stored.has_extra)
            .count();
        must(with_extra == 0 || !(retired || self.was_cleared()), || {
            format!("{with_extra} courses have records of what was retired")
        })?;
        self.check_limits()?;
        self.check_told(memory)?;
        self.check_members()
    }

    /// What was retired has no records, unless it was broken off.
    fn was_cleared(&self) -> bool {
        let courses = &self.before.courses;
        self.before.is_retired && courses.values().all(|stored| !stored.has_extra)
    }

    fn check_limits(&self) -> Check {
        let (before, after) = (&self.before.limits, &self.after.limits);
        let mut paused = vec![before.paused.is_some()];
        let rate = |limits: &courseblocks::rollout::Limits| limits.rate.map(Rate::per_1000_seconds);
        let mut rates = vec![rate(before)];
        for told in self.told.iter().filter(|told| !told.is_refused()) {
            let keep = told.is_certain;
            match told.step {
                Step::Pause | Step::Resume => {
                    if keep {
                        paused.clear();
                    }
                    paused.push(told.step == Step::Pause);
                }
                Step::Rate { per_second } => {
                    if keep {
                        rates.clear();
                    }
                    rates.push(per_second.map(|tasks| u64::from(tasks) * 1000));
                }
                _ => {}
            }
        }
        must(paused.contains(&after.paused.is_some()), || {
            format!(
                "the pause is {:?}, and must be one of {paused:?}",
                after.paused
            )
        })?;
        must(rates.contains(&rate(after)), || {
            format!("the rate is {:?}, and must be one of {rates:?}", after.rate)
        })
    }

    /// History has what was acknowledged.
    fn check_told(&self, memory: &mut Memory) -> Check {
        let pauses = || self.told.iter().filter(|told| told.step == Step::Pause);
        let acknowledged = pauses().filter(|told| told.answer() == Some(&Answer::Done));
        memory.certain_pauses += acknowledged.count();
        memory.begun_pauses += pauses().filter(|told| !told.is_refused()).count();
        let told = self.after.count(|event| matches!(event, Event::Paused));
        let (least, most) = (memory.certain_pauses, memory.begun_pauses);
        must((least..=most).contains(&told), || {
            format!("{told} pauses are told, of {least} to {most}")
        })
    }

    fn check_members(&self) -> Check {
        let names: BTreeSet<_> = self
            .after
            .members
            .iter()
            .map(|member| &member.worker)
            .collect();
        let mut joined = BTreeSet::new();
        for told in self.told.iter().filter(|told| told.is_certain) {
            // The first step of a process is its own; later ones are of a worker beside it.
            if told.step == Step::Join && told.number == 0 && !self.leaving.contains(&told.process)
            {
                joined.insert(worker_name(told.process));
            }
        }
        for worker in joined {
            must(names.contains(&worker), || {
                format!("worker {worker} has joined, and is gone")
            })?;
        }
        Ok(())
    }

    /// After a start, what is below the floor is on the queue until it is done.
    fn check_outdated(&self, memory: &mut Memory) -> Check {
        for told in &*self.told {
            match told.step {
                Step::Drop { course } | Step::Delete { course } => {
                    memory.dropped.insert(course);
                }
                Step::Enqueue { course, .. } if told.is_certain => {
                    let mut drops = self.of(course).filter(|other| {
                        matches!(other.step, Step::Drop { .. } | Step::Delete { .. })
                    });
                    if !drops.any(|drop| drop.may_end_after(told.begun)) {
                        memory.dropped.remove(&course);
                    }
                }
                _ => {}
            }
        }
        let mut started = self.told.iter().filter(|told| {
            told.is_certain
                && matches!(told.step, Step::Start { write } if Some(write) == self.after.floor)
        });
        let is_started = started.any(|told| told.answer() == Some(&Answer::Started));
        if !is_started {
            return Ok(());
        }
        for (course, stored) in &self.after.courses {
            let is_below = stored.version.max(stored.failed_at) < self.after.floor;
            let has_task = self.after.tasks.contains_key(course);
            must(
                !is_below || has_task || memory.dropped.contains(course),
                || format!("nobody will bring course {course} above the floor: {stored:?}"),
            )?;
        }
        Ok(())
    }
}

fn content_of(observed: &Observed, course: usize) -> Option<u32> {
    observed.courses.get(&course).map(|stored| stored.content)
}
