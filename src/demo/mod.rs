//! The sample FRAMES data, and the story that `demo` tells.
//!
//! The story runs what `setup` and `sync` run, on a throwaway PostgreSQL and the Notion simulator, and then asks both
//! sides by themselves, in SQL and in the workspace, whether each thing it said is so.

pub(crate) mod claims;
pub(crate) mod folder;
pub mod sample;
pub(crate) mod serve;
pub(crate) mod sides;
pub(crate) mod story;
