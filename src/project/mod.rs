//! Finding and reading the project file, the mapping files and the profiles.
//!
//! A [`Project`] is everything the user wrote, read once: the project file, the variables and every mapping file. A
//! [`Profile`] is one university's settings with every template rendered; [`Project::mappings`] are the mappings as
//! that profile has them.

pub mod document;
mod environment;
mod load;
mod mask;
mod profile;
mod schedule;

pub use environment::{DotEnvError, Environment, Origin};
pub(crate) use load::validate_files;
pub use load::{MappingFile, PROJECT_FILE, Project, display_path, find, schema};
pub use profile::{NotionAccess, Profile, Secrets, Tuning};
pub use schedule::{CronLine, Schedule};
