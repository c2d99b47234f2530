//! What the engine remembers: links, baselines, journal, conflicts, lease.

mod memory;
pub mod migrations;
mod tables;

pub use memory::{MemoryBackup, MemoryStore};
pub use tables::{StateError, StateTables};
