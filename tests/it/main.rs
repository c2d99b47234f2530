//! The one integration-test binary: a module for each behaviour.

mod engine;
mod notion;
mod codec;
mod codec;
mod engine;
mod notion;
mod postgres;
mod simulator;
mod support;
