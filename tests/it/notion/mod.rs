//! The Notion client, as its callers and its wire see it.

mod bad_answers;
mod listing;
mod script;
mod throttling;
mod writes;
