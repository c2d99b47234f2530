//! The harness: a database for each test, and a project folder to run the built binary in.

mod database;
pub(crate) mod openapi;
mod project;

pub(crate) use database::TestDatabase;
pub(crate) use project::{Ran, TestProject};
