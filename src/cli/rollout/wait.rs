//! `rollout wait`: asks a gate until it is open.

use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use super::advice::Advice;
use super::gate::{tell, tell_unknown, written};
use super::reasons::word;
use crate::cli::Context;
use crate::cli::arguments::{Seconds, Target};
use crate::cli::failure::{Answer, Failure};
use crate::cli::interrupt::Interrupt;
use crate::cli::output::Output;
use crate::cli::session::{Session, now};
use crate::cli::worker::patiently;
use crate::error::ErrorKind;
use crate::manager::Renewed;
use crate::rollout::{Census, GateAnswer, Queue, Reason, Rollout};

/// Wait until the release that reads this version may go out
#[derive(Debug, Args)]
#[command(after_help = "\
Waits for others: `worker` does the work. Where waiting alone cannot help (the floor was not \
raised, the queue is paused or empty, only quarantine is left) it says so, with the command to \
type, and goes on waiting.

Examples:
  courseblocks rollout wait start_date@2 --timeout 3600 && deploy-next-release

Exit status: 0 open, 1 still closed after the time, or for ever, 2 bad usage, 3 the store failed, \
130 ended by Ctrl-C.")]
pub(super) struct Wait {
    /// The transformer and the version that READ is to be raised to, such as `start_date@2`
    #[arg(value_name = "T@N")]
    target: Target,
    /// Give up after so long; without it, never
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<Seconds>,
    /// How long to wait before the gate is asked again
    #[arg(long, value_name = "SECONDS", default_value = "1")]
    poll: Seconds,
}

/// How soon a signal is seen.
const TICK: Duration = Duration::from_millis(100);

/// How often the same reasons are told with new numbers.
const RETELL: Duration = Duration::from_secs(10);

impl Wait {
    pub(super) fn run(&self, context: &Context, output: &mut Output) -> Result<Answer, Failure> {
        let interrupt = Interrupt::listen()?;
        let session = context.manager()?;
        context.tell_floors(&session, output);
        let begun = Instant::now();
        let mut news = News::default();
        loop {
            let asked = Instant::now();
            let answer = self.ask(&session)?;
            let GateAnswer::Closed(reasons) = &answer else {
                output.end_progress();
                tell(&self.target, &answer, output)?;
                return Ok(Answer::Done);
            };
            let is_over = self.timeout.is_some_and(|limit| begun.elapsed() >= limit.0);
            // A name is never used again.
            if is_over || reasons.contains(&Reason::Retired) {
                output.end_progress();
                tell(&self.target, &answer, output)?;
                return Ok(Answer::Incomplete);
            }
            if news.is_first() {
                tell_unknown(&self.target, context, output);
            }
            news.tell(&self.target, reasons, output);
            self.advise(&session, reasons, &mut news, context, output)?;
            self.show(&session, output)?;
            // A gate of many courses is not asked more often than it pays.
            let pause = self.poll.0.max(asked.elapsed() * 20);
            let left = self
                .timeout
                .map(|limit| limit.0.saturating_sub(begun.elapsed()));
            if !sleep(left.map_or(pause, |left| pause.min(left)), &interrupt) {
                return Ok(Answer::Interrupted);
            }
        }
    }

    fn ask(&self, session: &Session) -> Result<GateAnswer, Failure> {
        let Target {
            transformer,
            version,
        } = &self.target;
        let rollout = Rollout::new(session.store());
        let ask = || patiently(|| rollout.gate(&session.lease()?, transformer, *version, now()));
        match ask() {
            // The process was asleep for longer than its lease.
            Err(error) if error.kind() == ErrorKind::NoLease => {
                let (Renewed::Kept | Renewed::JoinedAgain(_)) = session.renew(now())?;
                Ok(ask()?)
            }
            answer => Ok(answer?),
        }
    }

    fn advise(
        &self,
        session: &Session,
        reasons: &[Reason],
        news: &mut News,
        context: &Context,
        output: &Output,
    ) -> Result<(), Failure> {
        let queue = patiently(|| Queue::new(session.store()).status(now()))?;
        let write = written(&self.target, context);
        let advice = Advice::against(&self.target, write, reasons, &queue);
        if let Some(advice) = &advice
            && news.advised.as_ref() != Some(advice)
        {
            output.notice(&format!("note: {}", advice.in_a_line(context)));
        }
        // What helped may be needed again.
        news.advised = advice;
        let trouble = session.trouble().map(|error| error.chain());
        if let Some(trouble) = trouble.as_ref().filter(|_| trouble != news.trouble) {
            output.notice(&format!("note: the lease could not be renewed: {trouble}"));
        }
        news.trouble = trouble;
        Ok(())
    }

    /// The bar: courses that hold the version, of all.
    fn show(&self, session: &Session, output: &mut Output) -> Result<(), Failure> {
        if !output.shows_progress() {
            return Ok(());
        }
        let Target {
            transformer,
            version,
        } = &self.target;
        let census = patiently(|| Census::take(session.store(), [transformer.as_str()]))?;
        let below = census
            .transformer(transformer)
            .map_or(0, |tally| tally.below(*version));
        let missing = below + census.unreadable.count;
        output.set_progress(census.courses.saturating_sub(missing), census.courses);
        output.at(&self.target.to_string());
        Ok(())
    }
}

/// What was told already.
#[derive(Default)]
struct News {
    reasons: Option<(Vec<&'static str>, Vec<Reason>, Instant)>,
    advised: Option<Advice>,
    trouble: Option<String>,
}

impl News {
    fn is_first(&self) -> bool {
        self.reasons.is_none()
    }

    /// Tells reasons when they are others; where only their numbers have changed, now and then.
    fn tell(&mut self, target: &Target, reasons: &[Reason], output: &Output) {
        let words: Vec<_> = reasons.iter().map(word).collect();
        if let Some((told, last, at)) = &self.reasons {
            let is_same = *told == words;
            if last == reasons || (is_same && at.elapsed() < RETELL) {
                return;
            }
        }
        for reason in reasons {
            output.notice(&format!("{target} is closed: {reason}"));
        }
        self.reasons = Some((words, reasons.to_vec(), Instant::now()));
    }
}

/// False if somebody asked to end.
fn sleep(time: Duration, interrupt: &Interrupt) -> bool {
    let until = Instant::now() + time;
    loop {
        if interrupt.is_asked() {
            return false;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        thread::sleep(left.min(TICK));
    }
}
