//! Findings as text, JSON, GitHub commands and SARIF.

mod github;
mod json;
mod printable;
mod sarif;
mod text;

pub use github::github;
pub use json::{Finding, ValidateReport, json};
pub use printable::{inline, is_unprintable, printable};
pub use sarif::sarif;
pub use text::{Color, text};
