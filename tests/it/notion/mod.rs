//! The Notion client, as its callers and its wire see it.

mod bad_answers;
mod experiments;
mod listing;
mod script;
mod setup;
mod throttling;
mod writes;
