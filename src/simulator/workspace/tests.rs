//! The workspace by its behaviour.
