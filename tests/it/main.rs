//! The one integration-test binary: a module for each behaviour.

mod notion;
mod postgres;
mod engine;
mod support;
