//! The one integration-test binary: a module for each behaviour.

mod codec;
mod postgres;
mod support;
