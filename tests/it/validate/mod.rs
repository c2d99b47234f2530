//! `validate`: what it says about files, right and wrong, and how.

mod hostile;
mod output;
pub(crate) mod projects;
pub(crate) mod samples;
mod schemas;
mod secrets;
