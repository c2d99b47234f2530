//! Notion as pure state, and its API over HTTP, for tests and the demo.
//!
//! [`Simulator::start`] serves a [`Workspace`] on a loopback port. It knows Notion only from
//! `reference/notion-api.md`, never from the client in this crate, so that a misreading there cannot pass its own test.
//!
//! ```
//! use frames_sync::simulator::{Options, Simulator};
//!
//! let simulator = Simulator::start(Options::default())?;
//! // A client goes to `{base_url}/v1/...` with one of the tokens.
//! assert!(simulator.base_url.starts_with("http://127.0.0.1:"));
//! // A person goes to the workspace itself.
//! let page = simulator.workspace(|workspace| workspace.add_text_page(workspace.root_page_id(), "Notes"));
//! assert!(simulator.workspace(|workspace| workspace.page_object(page)).is_some());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! All tokens are connections of one workspace, each a bot of its own, and the root page is shared with all of them.
//! Other processes drive it over `/_simulator/…`, which [`control`] lists; `/` is a page for people.

mod clock;
pub mod control;
mod detached;
mod fault;
pub(crate) mod http;
mod page;
mod rate;
mod record;
mod service;
mod sever;
mod site;
pub mod table;
mod webhook;
pub mod workspace;

pub use clock::Clock;
pub use detached::Reply;
pub use fault::{Applied, Effect, Fault, Trigger};
pub use http::{Options, Simulator};
pub use rate::RateLimits;
pub use record::{Exchange, Recording};
pub use service::Manner;
pub use webhook::{Parcel, WebhookFaults, signature};
pub use workspace::{Moment, Workspace};
