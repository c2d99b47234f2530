//! Finding and reading the project file, the mapping files and the profiles.
