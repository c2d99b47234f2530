//! Keeps PostgreSQL tables and Notion databases in step, in both directions, from YAML mappings.
//!
//! ```text
//! mappings/*.yaml ── parse ──> Document ── validate ──> Mapping ──────┐
//! Postgres ─────── introspect ────────────> TableSchema ──────────────┼── bind ──> Entity
//! Notion ───────── introspect ────────────> DataSourceSchema ─────────┘                 │
//!                                                                                       v
//! capture ──> keys ── observe ──> Observation {baseline, row, page} ──── reconcile ──> Decision
//! Decisions ── order, guard ──> Plan ── apply ──> Outcomes ──> baselines (and rows) in one commit
//! ```

pub mod cli;
pub mod cluster;
pub mod codec;
pub mod demo;
pub mod diagnostic;
pub mod engine;
pub mod journal;
pub mod mapping;
pub mod notion;
pub mod plan;
pub mod ports;
pub mod postgres;
pub mod project;
pub mod reconcile;
pub mod report;
pub mod runner;
pub mod schema;
pub mod server;
pub mod simulator;
pub mod store;
pub mod template;
pub mod value;
pub mod yaml;
