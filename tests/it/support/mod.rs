//! The harness: a database for each test, and a project folder to run the built binary in.

mod database;
mod log;
pub(crate) mod openapi;
mod project;

pub(crate) use database::TestDatabase;
pub(crate) use log::logged;
pub(crate) use project::{Ran, TestProject};
