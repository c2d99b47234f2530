//! The Notion API: requests and answers as values, and the thin half that sends them.
//!
//! Pure: [`codec`], [`id`], [`operation`], [`request`], [`wire`], [`retry`], [`pace`], [`webhook`]. They decide what is
//! sent, when, and what an answer means; none opens a socket or reads a clock. [`transport`] and
//! [`turnstile`] send and wait, and [`client`] joins the two halves.

pub mod client;
pub mod codec;
pub mod error;
pub mod id;
pub mod listing;
pub mod operation;
pub mod pace;
pub mod request;
pub mod retry;
pub mod transport;
pub mod turnstile;
pub mod webhook;
pub mod wire;

pub use client::{Client, Settings, Usage};
pub use error::NotionError;
pub use id::{parse_data_source_id, parse_database_id, parse_page_id};
pub use listing::{Completeness, Listing};
pub use pace::Priority;
