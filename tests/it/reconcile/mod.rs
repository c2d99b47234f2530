//! The decision core: its case tables, and every cell of its input.

mod cases;
mod every_cell;
pub(crate) mod record;
