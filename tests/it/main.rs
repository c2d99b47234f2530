//! The one integration-test binary: a module for each behaviour.

mod postgres;
mod simulator;
mod support;
