//! The Postgres side against a real server, native or embedded.

mod connect;
mod facts;
mod introspect;
mod values;
