//! Operations that can be suspended before any of their calls of the engine: each runs in a thread
//! of its own, and only one of all threads runs at a time. It does not know what the operations
//! do.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It fails, and has no effect.
    Fails,
    /// It fails, although it has had its effect: the answer was lost.
    AnswerLost,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    Through,
    Trouble(Trouble),
}

/// Where an operation was suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Others of the same process may run meanwhile.
    Open,
    /// It holds a lock of its process.
    Locked,
}

/// How long an operation may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    ToTheEnd,
    /// Suspended before the call after so many.
    Calls(u32),
    /// Its process is dead: no call of it reaches the engine any more.
    Dead,
}

/// An operation as it is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions {
    pub(crate) leave: Leave,
    /// Before which call, from 0, what goes wrong.
    pub(crate) trouble: Option<(u32, Trouble)>,
    /// By the number of an item: whether a scan sees it as it is when it comes to it, or as it was
    /// when the scan began.
    pub(crate) scans: u8,
}

/// A thread for one operation at a time.
pub(crate) struct Fiber {
    orders: Sender<Order>,
    reports: Receiver<Report>,
}

pub(crate) enum Report {
    Suspended(Place),
    Ended(Ended),
}

/// What an operation answered.
pub(crate) struct Ended {
    /// Unless it panicked.
    pub(crate) answer: Result<Box<dyn Any + Send>, String>,
    /// Whether something went wrong with one of its calls.
    pub(crate) was_troubled: bool,
}

pub(crate) type Job = Box<dyn FnOnce() -> Box<dyn Any + Send> + Send>;

enum Order {
    Run(Job, Conditions),
    GoOn(Leave),
}

/// The operation that runs in this thread.
struct Current {
    conditions: Conditions,
    calls: u32,
    was_troubled: bool,
    /// `None` in the thread of the schedule itself, which cannot be suspended.
    line: Option<(Sender<Report>, Receiver<Order>)>,
}

thread_local! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

impl Fiber {
    pub(crate) fn new() -> Self {
        let (orders, order) = channel();
        let (report, reports) = channel();
        thread::spawn(move || work(report, order));
        Self { orders, reports }
    }

    /// Runs an operation until it ends or is suspended.
    pub(crate) fn run(&self, job: Job, conditions: Conditions) -> Report {
        self.order(Order::Run(job, conditions))
    }

    /// Lets the suspended operation go on.
    pub(crate) fn go_on(&self, leave: Leave) -> Report {
        self.order(Order::GoOn(leave))
    }

    fn order(&self, order: Order) -> Report {
        self.orders.send(order).expect("the thread waits");
        self.reports.recv().expect("the thread reports")
    }
}

/// Runs an operation in this thread, to its end.
pub(crate) fn run_here(job: Job, conditions: Conditions) -> Ended {
    run(job, conditions, None).0
}

/// Asked before every call. Waits where the operation is suspended.
pub(crate) fn pass(place: Place) -> Pass {
    CURRENT.with_borrow_mut(|current| match current {
        Some(current) => current.pass(place),
        None => Pass::Through,
    })
}

/// Whether a scan of the present operation sees its item number `item` as late as possible.
pub(crate) fn sees_late(item: u32) -> bool {
    CURRENT.with_borrow(|current| {
        let scans = current.as_ref().map(|current| current.conditions.scans);
        scans.is_some_and(|scans| scans.rotate_right(item) & 1 == 1)
    })
}

impl Current {
    fn pass(&mut self, place: Place) -> Pass {
        if let (Leave::Calls(0), Some((reports, orders))) = (self.conditions.leave, &self.line) {
            reports
                .send(Report::Suspended(place))
                .expect("the schedule listens");
            match orders.recv() {
                Ok(Order::GoOn(leave)) => self.conditions.leave = leave,
                // The schedule has ended early.
                _ => self.conditions.leave = Leave::Dead,
            }
        }
        match &mut self.conditions.leave {
            Leave::Dead => {
                self.was_troubled = true;
                return Pass::Trouble(Trouble::Fails);
            }
            Leave::Calls(left) => *left = left.saturating_sub(1),
            Leave::ToTheEnd => {}
        }
        self.calls += 1;
        match self.conditions.trouble {
            Some((at, trouble)) if at + 1 == self.calls => {
                self.was_troubled = true;
                Pass::Trouble(trouble)
            }
            _ => Pass::Through,
        }
    }
}

fn work(reports: Sender<Report>, orders: Receiver<Order>) {
    let mut line = Some((reports, orders));
    loop {
        let Some((reports, orders)) = line.take() else {
            return;
        };
        let Ok(Order::Run(job, conditions)) = orders.recv() else {
            return;
        };
        let (ended, back) = run(job, conditions, Some((reports, orders)));
        let Some((reports, orders)) = back else {
            return;
        };
        if reports.send(Report::Ended(ended)).is_err() {
            return;
        }
        line = Some((reports, orders));
    }
}

type Line = Option<(Sender<Report>, Receiver<Order>)>;

fn run(job: Job, conditions: Conditions, line: Line) -> (Ended, Line) {
    let current = Current {
        conditions,
        calls: 0,
        was_troubled: false,
        line,
    };
    CURRENT.set(Some(current));
    let answer = catch_unwind(AssertUnwindSafe(job)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        text.unwrap_or_else(|| "no text".to_owned())
    });
    let current = CURRENT.take().expect("set above");
    let ended = Ended {
        answer,
        was_troubled: current.was_troubled,
    };
    (ended, current.line)
}
