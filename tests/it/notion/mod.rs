//! The Notion client, as its callers and its wire see it.

#![expect(clippy::unwrap_used, reason = "a test that unwraps in vain fails")]

mod bad_answers;
mod content;
mod experiments;
mod identity;
mod listing;
mod pages;
mod script;
mod setup;
mod throttling;
mod writes;
