//! The one integration-test binary: a module for each behaviour.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops at its first surprise, in its helpers too"
)]

mod cli_live;
mod codec;
mod demo;
mod engine;
mod fresh;
mod golden;
mod notion;
mod plan;
mod postgres;
mod reconcile;
mod simulator;
mod support;
mod sync;
mod tidy;
mod validate;
