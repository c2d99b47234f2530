//! The decision core: its case tables, and every cell of its input.

#![expect(
    clippy::unwrap_used,
    reason = "a harness stops at the first surprise, as a test does"
)]

mod cases;
mod every_cell;
pub(crate) mod record;
