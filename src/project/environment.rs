//! The variables that templates see: the process's, and those of a `.env` beside the project file.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

/// Where a variable's value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The process's environment, which wins.
    Process,
    /// The `.env` file.
    DotEnv,
}

/// Variables by name.
///
/// Values may be secrets: nothing here prints them.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, (String, Origin)>,
}

impl Environment {
    /// The process's variables; those that are not Unicode are left out.
    pub fn of_process() -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| {
                Some((
                    name.into_string().ok()?,
                    (value.into_string().ok()?, Origin::Process),
                ))
            })
            .collect();
        Self { variables }
    }

    /// Variables given one by one, as if the process had them.
    pub fn of<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.to_owned(), (value.to_owned(), Origin::Process)))
            .collect();
        Self { variables }
    }

    /// Adds the variables of a `.env` file that are not set already; a file that is not there adds none.
    ///
    /// # Errors
    ///
    /// The line that is no assignment, or the reason why the file could not be read; never a value.
    pub fn add_dot_env(&mut self, file: &Path) -> Result<(), DotEnvError> {
        let lines = match dotenvy::from_path_iter(file) {
            Ok(lines) => lines,
            Err(error) if error.not_found() => return Ok(()),
            Err(_) => return Err(DotEnvError::Unreadable),
        };
        for (index, line) in lines.enumerate() {
            let (name, value) = line.map_err(|_| DotEnvError::NoAssignment {
                assignment: index + 1,
            })?;
            self.variables.entry(name).or_insert((value, Origin::DotEnv));
        }
        Ok(())
    }

    /// A variable's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(|(value, _)| value.as_str())
    }

    /// Where a variable's value came from.
    pub fn origin(&self, name: &str) -> Option<Origin> {
        self.variables.get(name).map(|(_, origin)| *origin)
    }

    /// The names that are set, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str)
    }

    /// The variables as the object that templates see.
    pub(super) fn object(&self) -> Map<String, Value> {
        self.variables
            .iter()
            .map(|(name, (value, _))| (name.clone(), Value::from(value.as_str())))
            .collect()
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

/// Why a `.env` file could not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DotEnvError {
    /// It is there and cannot be read.
    #[error("`.env` could not be read")]
    Unreadable,
    /// A line is no assignment.
    #[error("assignment {assignment} of `.env` is not of the form NAME=value")]
    NoAssignment {
        /// Which one, counted from 1 without blank lines and comments.
        assignment: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_wins_over_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join(".env");
        std::fs::write(&file, "A=file\nB=\"two words\" # comment\n").expect("written");
        let mut environment = Environment::of([("A", "process")]);
        environment.add_dot_env(&file).expect("read");
        assert_eq!(environment.get("A"), Some("process"));
        assert_eq!(environment.get("B"), Some("two words"));
        assert_eq!(environment.origin("B"), Some(Origin::DotEnv));
        assert!(!format!("{environment:?}").contains("two words"));
    }

    #[test]
    fn a_broken_line_is_named_without_its_text() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join(".env");
        std::fs::write(&file, "A=1\nthis is secret no assignment\n").expect("written");
        let error = Environment::default().add_dot_env(&file).expect_err("refused");
        assert!(!error.to_string().contains("secret"), "{error}");
        assert!(
            Environment::default()
                .add_dot_env(&folder.path().join("absent"))
                .is_ok()
        );
    }
}
