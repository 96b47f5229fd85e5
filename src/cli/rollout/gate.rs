//! `rollout gate`: may READ be raised?

use clap::Args;
use serde::Serialize;

use super::advice::Advice;
use super::reasons::{OpenGateAnswer, ReasonAnswer};
use crate::cli::Context;
use crate::cli::arguments::Target;
use crate::cli::failure::{Answer, Failure};
use crate::cli::ink::{Ink, Line};
use crate::cli::json::SCHEMA;
use crate::cli::output::Output;
use crate::cli::problems::counted;
use crate::cli::session::now;
use crate::cli::text::to_the_second;
use crate::rollout::{GateAnswer, OpenGate, Queue, Reason, Rollout};
use crate::version::WriteVersion;

/// Ask whether the release that reads this version may go out
#[derive(Debug, Args)]
#[command(after_help = "\
Counts what is stored, from the header index alone. A gate that was found open stays open, because \
its floor keeps out what is older; after a restore it is judged again.

Examples:
  courseblocks rollout gate start_date@2 && deploy-next-release

Exit status: 0 open, 1 closed, for the reasons that are told, 2 bad usage, 3 the store failed.")]
pub(super) struct Gate {
    /// The transformer and the version that READ is to be raised to, such as `start_date@2`
    #[arg(value_name = "T@N")]
    target: Target,
}

impl Gate {
    pub(super) fn run(&self, context: &Context, output: &mut Output) -> Result<Answer, Failure> {
        let session = context.manager()?;
        context.tell_floors(&session, output);
        let target = &self.target;
        let rollout = Rollout::new(session.store());
        let answer = rollout.gate(
            &session.lease()?,
            &target.transformer,
            target.version,
            now(),
        )?;
        tell(target, &answer, output)?;
        let GateAnswer::Closed(reasons) = &answer else {
            return Ok(Answer::Done);
        };
        if !output.is_json() {
            tell_unknown(target, context, output);
            let queue = Queue::new(session.store()).status(now())?;
            let write = written(target, context);
            let advice = Advice::against(target, write, reasons, &queue);
            let advice = advice.unwrap_or_else(|| {
                Advice::run(
                    "wait until workers have done that",
                    format!("rollout wait {target}"),
                )
            });
            advice.print(context, output)?;
        }
        Ok(Answer::Incomplete)
    }
}

/// Says whether it is open, and why not.
pub(super) fn tell(
    target: &Target,
    answer: &GateAnswer,
    output: &mut Output,
) -> Result<(), Failure> {
    let (gate, reasons) = match answer {
        GateAnswer::Open(gate) => (Some(gate), &[][..]),
        GateAnswer::Closed(reasons) => (None, reasons.as_slice()),
    };
    if output.is_json() {
        return output.json(&Told {
            schema: SCHEMA,
            transformer: &target.transformer,
            target: target.version,
            open: gate.is_some(),
            gate: gate.map(OpenGateAnswer::new),
            reasons: ReasonAnswer::all(reasons),
        });
    }
    match gate {
        Some(gate) => tell_open(target, gate, output),
        None => tell_closed(target, reasons, output),
    }
}

fn tell_open(target: &Target, gate: &OpenGate, output: &mut Output) -> Result<(), Failure> {
    let head = Line::of(Ink::Good, "open      ");
    let version = target.version;
    let counted = counted(gate.courses, "course was", "courses were");
    output.paragraph(
        &head,
        &format!(
            "{target}: READ may be raised to {version}; {counted} counted by {} at {}",
            gate.opened_by,
            to_the_second(gate.opened_at)
        ),
    )
}

fn tell_closed(target: &Target, reasons: &[Reason], output: &mut Output) -> Result<(), Failure> {
    let head = Line::of(Ink::Bad, "closed    ");
    let version = target.version;
    output.paragraph(
        &head,
        &format!("{target}: READ may not be raised to {version}"),
    )?;
    for reason in reasons {
        output.paragraph(&"  - ".into(), &reason.to_string())?;
    }
    Ok(())
}

/// What this release writes of the transformer, if it has it.
pub(super) fn written(target: &Target, context: &Context) -> Option<WriteVersion> {
    let versions = context.registry.versions(&target.transformer).ok();
    versions.map(|versions| versions.write)
}

/// A name that nobody has is more likely mistyped than of another release.
pub(super) fn tell_unknown(target: &Target, context: &Context, output: &Output) {
    if !context.registry.contains(&target.transformer) {
        let known = context.registry.names().collect::<Vec<_>>().join(", ");
        output.notice(&format!(
            "note: this release has no transformer {:?}; it has {known}",
            target.transformer
        ));
    }
}

/// `gate` is null and there are reasons where it is closed.
#[derive(Debug, Serialize)]
struct Told<'a> {
    schema: u32,
    transformer: &'a str,
    target: WriteVersion,
    open: bool,
    gate: Option<OpenGateAnswer<'a>>,
    reasons: Vec<ReasonAnswer>,
}
