//! The `courseblocks` command.

fn main() {}
