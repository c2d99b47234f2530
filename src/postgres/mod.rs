//! PostgreSQL: the catalog, typed rows, change capture.
//!
//! Every value travels as text in a form that [`sql::select_expression`] documents, and is bound; every
//! identifier passes [`sql::quoted`]. Everything runs inside a transaction that [`transaction`] opens, for that
//! is what works behind a pooler in transaction mode, and where session settings cannot change a value's text.

pub mod capture;
pub mod codec;
pub mod connect;
mod constraint;
pub mod error;
pub mod facts;
pub mod grants;
pub mod introspect;
mod listen;
mod profile;
mod role;
mod server;
pub mod sql;
mod transaction;

pub use connect::{ConnectOptions, connect};
pub use error::{PostgresError, SqlFailure};
pub use facts::column_facts;
pub use introspect::{introspect, introspect_all, list_tables};
pub use listen::NoteListener;
pub use profile::{EntityTable, ProfileDatabase, migrate_state, state_version};
pub use role::{current_role, database_time};
pub use server::{Server, StateRights, schemas_without_usage, server, state_rights};
pub use transaction::{Purpose, begin};
