//! What both sides meet in.

mod convert;
mod id;

pub use convert::Conversion;
pub use id::{DataSourceId, DatabaseId, PageId, PropertyId, RecordKey, UserId};
