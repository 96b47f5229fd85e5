//! How much may be made of one course, so that what a course multiplies is refused before it is in
//! memory. Knows bytes, not what they are for.

use crate::error::{Error, ErrorKind, Result};
use crate::record::MAX_BODY_LEN;

/// What is left of as many bytes as a record may have. Where a value is copied for every block that it
/// reaches, or every way to a block is followed, a course of some megabytes asks for any number.
#[derive(Debug)]
pub(super) struct Budget {
    left: usize,
    what: &'static str,
}

impl Budget {
    /// For `what`, as it is called in the error.
    pub(super) fn new(what: &'static str) -> Self {
        Self {
            left: MAX_BODY_LEN,
            what,
        }
    }

    pub(super) fn charge(&mut self, bytes: usize) -> Result<()> {
        let left = self.left.checked_sub(bytes);
        self.left = left.ok_or_else(|| {
            let message = format!(
                "{} of the course's blocks exceed the limit of {MAX_BODY_LEN} bytes",
                self.what
            );
            Error::new(ErrorKind::LimitExceeded, message)
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_spent_to_the_last_byte() {
        let mut budget = Budget::new("the names");
        budget.charge(1).unwrap();
        budget.charge(MAX_BODY_LEN - 1).unwrap();
        budget.charge(0).unwrap();
        let error = budget.charge(1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitExceeded);
        let message = "the names of the course's blocks exceed the limit of 67108864 bytes";
        assert_eq!(error.to_string(), message);
    }
}
