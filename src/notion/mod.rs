//! The Notion API: requests and answers as values, and the thin half that sends them.
//!
//! Pure: [`codec`], [`id`], [`operation`], [`request`], [`wire`], [`introspect`], [`schema`], [`retry`], [`pace`],
//! [`webhook`]. They decide what is sent, when, and what an answer means; none opens a socket or reads a clock.
//! [`transport`] and [`turnstile`] send and wait, [`client`] joins the two halves, [`pages`] is the engine's port
//! over it, and [`setup`] makes the databases.

pub mod client;
pub mod codec;
pub mod error;
pub mod experiments;
pub mod id;
pub mod introspect;
pub mod listing;
pub mod operation;
pub mod pace;
pub mod pages;
pub mod request;
pub mod retry;
pub mod schema;
pub mod setup;
pub mod transport;
pub mod turnstile;
pub mod webhook;
pub mod wire;

pub use client::{Client, Settings, Usage};
pub use error::NotionError;
pub use id::{parse_data_source_id, parse_database_id, parse_page_id};
pub use listing::{Completeness, Listing};
pub use pages::{EntityPages, NotionPages};
