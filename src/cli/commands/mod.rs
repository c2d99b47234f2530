//! One file for each command: its arguments, and what it does.

pub mod approve;
pub mod completions;
pub mod conflicts;
pub mod demo;
pub mod doctor;
pub mod explain;
pub mod generate;
pub mod history;
pub mod init;
pub mod plan;
pub mod run;
pub mod run_once;
pub mod schema;
pub mod serve;
pub mod simulate_notion;
pub mod status;
pub mod undo;
pub mod validate;
pub mod webhook;

/// A count of records, in words.
pub(crate) fn records(count: usize) -> String {
    match count {
        1 => "1 record".to_owned(),
        count => format!("{count} records"),
    }
}
