//! PostgreSQL: the catalog, typed rows, change capture.

pub mod codec;
