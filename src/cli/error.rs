//! How a command ends: its exit code, and what a person is told when it could not do its work.

use std::process::ExitCode;

use crate::report::{self, ErrorCode, FailureReport, Outcome};

/// How a command ended, as exit codes tell it (contract, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: the user is needed: findings, conflicts, failed records, a refusal.
    NeedsUser,
    /// 2: the command line or the project cannot be understood.
    Usage,
    /// 3: the world failed: the database, the network, a token.
    World,
}

impl From<Outcome> for Exit {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Ok => Self::Done,
            Outcome::Partial | Outcome::Refused => Self::NeedsUser,
            Outcome::Failed => Self::World,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(match exit {
            Exit::Done => 0,
            Exit::NeedsUser => 1,
            Exit::Usage => 2,
            Exit::World => 3,
        })
    }
}

/// Why a command could not do its work.
///
/// The message and the hints never hold a secret or a value of a row.
#[derive(Debug)]
pub struct Failure {
    /// How the command ends.
    pub exit: Exit,
    /// What went wrong, in one line.
    pub message: String,
    /// What can be done about it.
    pub hints: Vec<String>,
    /// The code that reports carry, where one says more than the exit code.
    pub code: Option<ErrorCode>,
    /// Whether Notion refuses the connection, which only other settings cure.
    pub refused: bool,
}

impl Failure {
    /// The command line or the project cannot be understood.
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            message: message.into(),
            hints: Vec::new(),
            code: None,
            refused: false,
        }
    }

    /// The user has to decide or mend something.
    pub fn needs_user(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::NeedsUser,
            message: message.into(),
            hints: Vec::new(),
            code: None,
            refused: false,
        }
    }

    /// The database, the network or a token failed.
    pub fn world(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::World,
            message: message.into(),
            hints: Vec::new(),
            code: None,
            refused: false,
        }
    }

    /// The failure as reports carry it.
    pub(crate) fn as_report(&self) -> (Outcome, report::Failure) {
        let (outcome, otherwise) = match self.exit {
            Exit::World => (Outcome::Failed, ErrorCode::PostgresFailed),
            Exit::Usage => (Outcome::Refused, ErrorCode::Usage),
            Exit::Done | Exit::NeedsUser => (Outcome::Refused, ErrorCode::InvalidProject),
        };
        let code = self.code.unwrap_or(otherwise);
        let message = self.message.trim_end().to_owned();
        (outcome, report::Failure { code, message })
    }

    /// The report of a command that came to nothing.
    pub(crate) fn report(&self, command: &str) -> FailureReport {
        let (outcome, failure) = self.as_report();
        FailureReport {
            version: report::VERSION,
            command: command.to_owned(),
            outcome,
            profiles: Vec::new(),
            failure,
            help: self.hints.clone(),
        }
    }

    /// Adds the code that reports carry.
    pub fn code(mut self, code: ErrorCode) -> Self {
        self.code = Some(code);
        self
    }

    /// Adds what can be done about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

/// An error's message with those of its causes, none of which holds a secret or a value.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
