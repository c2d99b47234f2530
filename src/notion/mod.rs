//! The Notion API: requests and answers as values, and the thin half that sends them.

pub mod codec;
