//! Decides what a record needs, from one observation of it.
