//! The one integration-test binary: a module for each behaviour.

mod codec;
mod engine;
mod fresh;
mod golden;
mod notion;
mod plan;
mod postgres;
mod reconcile;
mod simulator;
mod support;
mod tidy;
mod validate;
