//! PostgreSQL: the catalog, typed rows, change capture.
