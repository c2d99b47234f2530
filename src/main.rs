//! The `frames-sync` command.

fn main() {}
