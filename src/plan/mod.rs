//! What a run will do, as a value.

pub mod schema_change;
