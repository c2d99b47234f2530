//! One file for each command: its arguments, and what it does.

pub mod approve;
pub mod completions;
pub mod conflicts;
pub mod demo;
pub mod doctor;
pub mod generate;
pub mod init;
pub mod plan;
pub mod run;
pub mod run_once;
pub mod schema;
pub mod serve;
pub mod simulate_notion;
pub mod status;
pub mod validate;
pub mod webhook;
