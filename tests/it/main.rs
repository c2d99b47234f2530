//! The one integration-test binary: a module for each behaviour.

mod engine;
mod notion;
mod codec;
mod postgres;
mod simulator;
mod support;
