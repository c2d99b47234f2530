//! What a run will do, as a value.
