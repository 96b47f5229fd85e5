//! How the story is told: numbered steps with a few lines each, and a claim that does not hold ends
//! it. Knows no story.

use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::output::Output;

/// The steps so far.
pub(super) struct Steps<'a> {
    output: &'a mut Output,
    number: usize,
}

#[derive(Debug, Serialize)]
struct Step<'a> {
    number: usize,
    title: &'a str,
    details: &'a [String],
}

impl<'a> Steps<'a> {
    /// None so far.
    pub(super) fn begin(output: &'a mut Output) -> Result<Self, Failure> {
        if output.is_json() {
            output.begin_list("steps")?;
        }
        Ok(Self { output, number: 0 })
    }

    /// Tells the next one.
    pub(super) fn step(&mut self, title: &str, details: &[String]) -> Result<(), Failure> {
        self.number += 1;
        if self.output.is_json() {
            return self.output.item(&Step {
                number: self.number,
                title,
                details,
            });
        }
        self.output.line(&format!("{}. {title}", self.number))?;
        for detail in details {
            self.output.line(&format!("     {detail}"))?;
        }
        Ok(())
    }
}

/// Goes on if it is as told.
pub(super) fn check(holds: bool, claim: &str) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(as_told(claim)) }
}

/// It was not as told.
pub(super) fn as_told(claim: &str) -> Failure {
    Failure::no(format!(
        "the story breaks off here; it should have been so that {claim}"
    ))
}
