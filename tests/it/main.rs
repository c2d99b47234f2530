//! The one integration-test binary: a module for each behaviour.

mod codec;
mod engine;
mod notion;
mod plan;
mod postgres;
mod reconcile;
mod simulator;
mod support;
