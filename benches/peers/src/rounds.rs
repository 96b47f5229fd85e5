//! The measuring itself: in every round each contender does one short batch of the same work, in
//! an order that changes, so that what slows the machine down slows all of them down.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::fleet::Random;
use crate::interrupt::{Interrupt, Interrupted};
use crate::spread::Spread;

/// Somebody who does the work.
pub(crate) struct Contender<'a> {
    name: String,
    /// Does the work so many times and tells how long that took.
    run: Box<dyn FnMut(u32) -> Duration + 'a>,
}

impl<'a> Contender<'a> {
    /// One whose work is a call.
    pub(crate) fn new<R>(name: impl Into<String>, mut work: impl FnMut() -> R + 'a) -> Self {
        Self::timed(name, move |times| {
            let begun = Instant::now();
            for _ in 0..times {
                black_box(work());
            }
            begun.elapsed()
        })
    }

    /// One that takes its own time.
    pub(crate) fn timed(name: impl Into<String>, run: impl FnMut(u32) -> Duration + 'a) -> Self {
        Self {
            name: name.into(),
            run: Box::new(run),
        }
    }
}

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    /// How long a batch should take at least.
    pub(crate) batch: Duration,
}

/// Runs rounds.
#[derive(Debug)]
pub(crate) struct Rounds<'i> {
    interrupt: &'i Interrupt,
    random: Random,
}

impl<'i> Rounds<'i> {
    pub(crate) fn new(interrupt: &'i Interrupt, seed: u64) -> Self {
        Self {
            interrupt,
            random: Random::new(seed),
        }
    }

    /// Whether to go on.
    pub(crate) fn check(&self) -> Result<(), Interrupted> {
        self.interrupt.check()
    }

    /// Brings what is to be done in a round into a random order.
    pub(crate) fn shuffle(&mut self, order: &mut [usize]) {
        self.random.shuffle(order);
    }

    /// Lets the contenders work in turns.
    pub(crate) fn measure(
        &mut self,
        effort: Effort,
        mut contenders: Vec<Contender<'_>>,
    ) -> Result<Measured, Interrupted> {
        let mut times = Vec::with_capacity(contenders.len());
        for contender in &mut contenders {
            self.check()?;
            times.push(batch_size(contender, effort.batch));
        }
        let mut seconds = vec![Vec::with_capacity(effort.rounds); contenders.len()];
        let mut order: Vec<_> = (0..contenders.len()).collect();
        for _ in 0..effort.rounds {
            self.random.shuffle(&mut order);
            for &place in &order {
                self.check()?;
                // What others have put out of the caches comes back first.
                let warm_up = times[place] / 8;
                if warm_up > 0 {
                    (contenders[place].run)(warm_up);
                }
                let taken = (contenders[place].run)(times[place]);
                seconds[place].push(taken.as_secs_f64() / f64::from(times[place]));
            }
        }
        let names = contenders.into_iter().map(|contender| contender.name);
        Ok(Measured {
            contenders: names.zip(seconds).collect(),
        })
    }
}

/// How many calls take about as long as a batch should. Warms up on the way.
fn batch_size(contender: &mut Contender<'_>, batch: Duration) -> u32 {
    let mut times = 1;
    while times < 1 << 20 {
        // One that was interrupted is not that slow.
        let is_enough = (0..3).all(|_| (contender.run)(times) >= batch / 2);
        if is_enough {
            break;
        }
        times *= 2;
    }
    times
}

/// The seconds that one call took in each round, by contender.
#[derive(Debug)]
pub(crate) struct Measured {
    contenders: Vec<(String, Vec<f64>)>,
}

impl Measured {
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.contenders.iter().map(|(name, _)| name.as_str())
    }

    /// What a call took.
    pub(crate) fn seconds(&self, name: &str) -> Spread {
        Spread::of(self.rounds_of(name))
    }

    /// How many times as long as the reference a call took, round by round.
    pub(crate) fn ratio(&self, name: &str, reference: &str) -> Spread {
        Spread::of_ratios(self.rounds_of(name), self.rounds_of(reference))
    }

    /// Puts one contender in the place of several, who took as long as all of them together.
    pub(crate) fn summed(mut self, name: &str, parts: &[&str]) -> Self {
        let mut sums = Vec::new();
        for part in parts {
            let rounds = self.rounds_of(part);
            sums.resize(rounds.len(), 0.0);
            for (sum, seconds) in sums.iter_mut().zip(rounds) {
                *sum += seconds;
            }
        }
        self.contenders
            .retain(|(known, _)| !parts.contains(&known.as_str()));
        self.contenders.insert(0, (name.to_owned(), sums));
        self
    }

    fn rounds_of(&self, name: &str) -> &[f64] {
        let found = self.contenders.iter().find(|(known, _)| known == name);
        &found.expect("a contender").1
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn fixed(name: &'static str, micros: u64) -> Contender<'static> {
        Contender::timed(name, move |times| Duration::from_micros(micros) * times)
    }

    const EFFORT: Effort = Effort {
        rounds: 5,
        batch: Duration::from_millis(1),
    };

    #[test]
    fn several_contenders_can_be_taken_for_one() {
        let interrupt = Interrupt::default();
        let contenders = vec![fixed("a", 60), fixed("b", 10), fixed("c", 20)];
        let measured = Rounds::new(&interrupt, 1).measure(EFFORT, contenders);
        let measured = measured.expect("not interrupted");
        assert!((measured.seconds("b").median - 10e-6).abs() < 1e-12);
        let measured = measured.summed("b and c", &["b", "c"]);
        let ratio = measured.ratio("a", "b and c");
        assert!((ratio.median - 2.0).abs() < 1e-9 && ratio.rounds == 5);
        assert!(measured.names().eq(["b and c", "a"]));
    }

    #[test]
    fn every_contender_works_once_a_round_in_a_changing_order() {
        let order = RefCell::new(Vec::new());
        let contender = |name: &'static str| {
            let order = &order;
            Contender::timed(name, move |_| {
                order.borrow_mut().push(name);
                Duration::from_secs(1)
            })
        };
        let interrupt = Interrupt::default();
        let effort = Effort {
            rounds: 20,
            ..EFFORT
        };
        let contenders = vec![contender("a"), contender("b")];
        let measured = Rounds::new(&interrupt, 1).measure(effort, contenders);
        assert!(measured.is_ok());
        let order = order.into_inner();
        // The first calls were for the sizes of batches.
        let rounds: Vec<_> = order[6..].chunks(2).collect();
        assert_eq!(rounds.len(), 20);
        assert!(rounds.contains(&["a", "b"].as_slice()));
        assert!(rounds.contains(&["b", "a"].as_slice()));
        assert!(rounds.iter().all(|round| round[0] != round[1]));
    }

    #[test]
    fn a_batch_is_long_enough_to_be_measured() {
        assert_eq!(
            batch_size(&mut fixed("a", 1), Duration::from_micros(100)),
            64
        );
        assert_eq!(
            batch_size(&mut fixed("a", 500), Duration::from_micros(100)),
            1
        );
    }

    #[test]
    fn an_interruption_makes_no_batch_short() {
        let mut calls = 0;
        let mut contender = Contender::timed("a", |times| {
            calls += 1;
            let interruption = Duration::from_millis(if calls == 1 { 50 } else { 0 });
            interruption + Duration::from_micros(1) * times
        });
        assert_eq!(batch_size(&mut contender, Duration::from_micros(100)), 64);
    }
}
