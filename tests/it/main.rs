//! The one integration-test binary: a module for each behaviour.

mod chaos;
mod cli_live;
mod codec;
mod demo;
mod deploy;
mod engine;
mod fresh;
mod fuzz;
mod golden;
mod notion;
mod people;
mod plan;
mod planted;
mod postgres;
mod readme;
mod reconcile;
mod run;
mod security;
mod server;
mod simulation;
mod simulator;
mod soak;
mod support;
mod sync;
mod tidy;
mod validate;
