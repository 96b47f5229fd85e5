//! The command line.

use std::path::PathBuf;

/// What the program is asked to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) quick: bool,
    /// Where the results go as JSON.
    pub(crate) output: PathBuf,
}

pub(crate) const USAGE: &str = "\
usage: courseblocks-peers [--quick] [--output FILE]

  --quick        less than a minute, for trying out
  --output FILE  where the results go as JSON (default: target/peers.json of the project)";

const OUTPUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/peers.json");

impl Arguments {
    /// # Errors
    /// What is wrong with them, for people.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut parsed = Self {
            quick: false,
            output: OUTPUT.into(),
        };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => parsed.quick = true,
                "--output" => {
                    let file = arguments.next().ok_or("--output needs a file")?;
                    parsed.output = file.into();
                }
                _ => return Err(format!("{argument:?} is not known")),
            }
        }
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Arguments, String> {
        Arguments::parse(arguments.iter().map(|argument| (*argument).to_owned()))
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert!(parse(&["--slow"]).is_err());
        assert!(parse(&["--output"]).is_err());
        let expected = Arguments {
            quick: true,
            output: "a.json".into(),
        };
        assert_eq!(parse(&["--output", "a.json", "--quick"]), Ok(expected));
        assert!(!parse(&[]).unwrap().quick);
    }
}
