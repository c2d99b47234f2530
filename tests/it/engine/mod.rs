//! The engine over both sides in memory: protocols, tables and budgets, without a socket.

#![expect(
    clippy::unwrap_used,
    reason = "a harness stops at the first surprise, as a test does"
)]

mod contract;
mod cycle;
mod faults;
mod pages;
mod presence;
mod relations;
mod updated_at;
mod world;
