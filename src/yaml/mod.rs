//! YAML with places: the first two layers of checks, for mapping and project files alike.
//!
//! [`read`] turns text into a [`Document`], a JSON value that knows where each of its parts was written.
//! [`Schema::check`] holds the value against a JSON Schema and says what is wrong in words that name the cure.

mod document;
mod read;
mod schema;

pub use document::{Document, pointer};
pub use read::{LARGEST_FILE, read, read_bytes};
pub use schema::Schema;
