//! What the engine remembers: links, baselines, journal, conflicts, lease.

mod memory;

pub use memory::MemoryStore;
