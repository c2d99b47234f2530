//! The one integration-test binary: a module for each behaviour.

mod engine;
mod fresh;
mod golden;
mod notion;
mod postgres;
mod support;
mod tidy;
mod validate;
