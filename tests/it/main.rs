//! The one integration-test binary: a module for each behaviour.

mod engine;
mod notion;
mod postgres;
mod support;
