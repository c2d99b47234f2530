//! What both sides look like: tables and data sources as introspection found them.

pub mod compat;
pub mod data_source;
mod property_type;
pub mod table;

pub use data_source::DataSourceSchema;
pub use property_type::PropertyType;
pub use table::{PgType, TableName, TableSchema};
