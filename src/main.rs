//! The `courseblocks` command, with the stock transformers of Open edX.

use std::process::ExitCode;

use courseblocks::Registry;

fn main() -> ExitCode {
    courseblocks::cli::main(Registry::standard())
}
