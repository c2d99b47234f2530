//! `generate`: a mapping from a live table.
