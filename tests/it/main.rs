//! The one integration-test binary: a module for each behaviour.

mod codec;
mod engine;
mod notion;
mod postgres;
mod simulator;
mod support;
