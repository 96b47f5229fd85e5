//! The command line.

use std::path::PathBuf;

/// What the program is asked to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// Whether the run that it starts is a short one.
    pub(crate) quick: bool,
    /// Results that are there already; without them it starts a run.
    pub(crate) results: Option<PathBuf>,
    /// Where the documents go.
    pub(crate) output: PathBuf,
}

pub(crate) const USAGE: &str = "\
usage: courseblocks-report [--quick | --results FILE] [--output DIR]

Measures with benches/peers and writes performance.md, performance/*.svg and
performance-ratios.json.

  --quick         measures for less than a minute, for trying out
  --results FILE  measures nothing, and takes what benches/peers wrote before
  --output DIR    where the documents go (default: docs of the project)";

const OUTPUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");

impl Arguments {
    /// # Errors
    /// What is wrong with them, for people.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut parsed = Self {
            quick: false,
            results: None,
            output: OUTPUT.into(),
        };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut path = || {
                let path = arguments.next().map(PathBuf::from);
                path.ok_or_else(|| format!("{argument} needs a path"))
            };
            match argument.as_str() {
                "--quick" => parsed.quick = true,
                "--results" => parsed.results = Some(path()?),
                "--output" => parsed.output = path()?,
                _ => return Err(format!("{argument:?} is not known")),
            }
        }
        if parsed.quick && parsed.results.is_some() {
            return Err("--quick is for a run, and with --results there is none".to_owned());
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
    fn what_makes_no_sense_is_refused() {
        assert!(parse(&["--slow"]).is_err());
        assert!(parse(&["--results"]).is_err());
        assert!(parse(&["--quick", "--results", "a.json"]).is_err());
        let expected = Arguments {
            quick: false,
            results: Some("a.json".into()),
            output: "b".into(),
        };
        assert_eq!(
            parse(&["--results", "a.json", "--output", "b"]),
            Ok(expected)
        );
    }
}
