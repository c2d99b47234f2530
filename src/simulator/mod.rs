//! Notion as pure state, and its API over HTTP, for tests and the demo.

pub mod table;
