//! What can go wrong with PostgreSQL, without a word of anybody's data.
//!
//! A server's message and its DETAIL quote values (`Key (email)=(x) already exists`), which may be another
//! tenant's, and triggers may raise any text. So [`SqlFailure`] keeps only names and the SQLSTATE, and says in
//! words of our own what the state means; the driver's error is dropped where it is made.

use std::fmt;

use crate::ports::Retry;
use crate::schema::TableName;

/// A failure of the Postgres side, named after what was being done.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// The connection URL cannot be read. Not shown: it may hold a password.
    #[error("the database URL is no PostgreSQL URL: {0}")]
    Url(&'static str),
    /// No connection could be had.
    #[error("cannot connect to PostgreSQL")]
    Connect(#[source] SqlFailure),
    /// A transaction could not be opened or committed.
    #[error("cannot run a transaction in PostgreSQL")]
    Transaction(#[source] SqlFailure),
    /// The catalog could not be read.
    #[error("cannot read the catalog")]
    Introspect(#[source] SqlFailure),
    /// The catalog said something that cannot be understood.
    #[error("cannot understand the catalog's answer")]
    Catalog(#[source] serde_json::Error),
    /// The contents of a table could not be looked at.
    #[error("cannot look at the values of table `{table}`")]
    Facts {
        /// The table.
        table: TableName,
        /// The cause.
        #[source]
        source: SqlFailure,
    },
    /// Rows could not be read.
    #[error("cannot read rows of table `{table}`")]
    Read {
        /// The table.
        table: TableName,
        /// The cause.
        #[source]
        source: SqlFailure,
    },
    /// A row could not be written.
    #[error("cannot write a row of table `{table}`")]
    Write {
        /// The table.
        table: TableName,
        /// The cause.
        #[source]
        source: SqlFailure,
    },
    /// A name that PostgreSQL cannot hold.
    #[error("`{}` is no PostgreSQL name: {reason}", name.escape_debug())]
    Identifier {
        /// The name.
        name: String,
        /// Why it is none.
        reason: &'static str,
    },
    /// A column that the table does not have.
    #[error("table `{table}` has no column `{column}`")]
    UnknownColumn {
        /// The table.
        table: TableName,
        /// The column asked for.
        column: String,
    },
    /// Row security hides rows from the role, so that a missing row would prove nothing.
    #[error("row security hides rows of table `{table}` from this role")]
    Hidden {
        /// The table.
        table: TableName,
    },
    /// The server is a standby.
    #[error("the server is in recovery: rows are read from the primary only")]
    Standby,
    /// A relation that cannot have row triggers.
    #[error("`{table}` is no table, so no trigger can note its changes")]
    NotATable {
        /// The relation.
        table: TableName,
    },
    /// The sync state could not be read or written.
    #[error("cannot {doing}")]
    State {
        /// What was being done, as the end of "cannot".
        doing: &'static str,
        /// The cause.
        #[source]
        source: SqlFailure,
    },
    /// The state schema was made by a newer version of this program.
    #[error("the state schema is of version {found}, which a newer frames-sync made; this one knows {known}")]
    NewerState {
        /// The version found.
        found: i32,
        /// The newest that this program knows.
        known: i32,
    },
    /// A key with another number of columns than the table's.
    #[error("a key of table `{table}` has {expected} columns, not {found}")]
    KeyLength {
        /// The table.
        table: TableName,
        /// The number of key columns.
        expected: usize,
        /// The number of texts in the key.
        found: usize,
    },
}

impl PostgresError {
    /// Whether trying the same again can help.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Connect(failure)
            | Self::Transaction(failure)
            | Self::Introspect(failure)
            | Self::Facts { source: failure, .. }
            | Self::Read { source: failure, .. }
            | Self::Write { source: failure, .. }
            | Self::State { source: failure, .. } => failure.retry(),
            Self::Url(_)
            | Self::Catalog(_)
            | Self::Identifier { .. }
            | Self::UnknownColumn { .. }
            | Self::Hidden { .. }
            | Self::Standby
            | Self::NotATable { .. }
            | Self::NewerState { .. }
            | Self::KeyLength { .. } => Retry::Never,
        }
    }

    /// What the server or the driver said, where one of them did.
    pub fn failure(&self) -> Option<&SqlFailure> {
        match self {
            Self::Connect(failure)
            | Self::Transaction(failure)
            | Self::Introspect(failure)
            | Self::Facts { source: failure, .. }
            | Self::Read { source: failure, .. }
            | Self::Write { source: failure, .. }
            | Self::State { source: failure, .. } => Some(failure),
            Self::Url(_)
            | Self::Catalog(_)
            | Self::Identifier { .. }
            | Self::UnknownColumn { .. }
            | Self::Hidden { .. }
            | Self::Standby
            | Self::NotATable { .. }
            | Self::NewerState { .. }
            | Self::KeyLength { .. } => None,
        }
    }
}

/// A failed statement or connection, as far as it may be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlFailure {
    // Boxed, for errors are returned by nearly every function and are rare.
    details: Box<Details>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Details {
    meaning: &'static str,
    sqlstate: Option<String>,
    constraint: Option<String>,
    column: Option<String>,
    retry: Retry,
}

impl SqlFailure {
    /// What happened, in our words.
    pub fn meaning(&self) -> &'static str {
        self.details.meaning
    }

    /// The server's five characters; `None` when the failure is between us and the server.
    pub fn sqlstate(&self) -> Option<&str> {
        self.details.sqlstate.as_deref()
    }

    /// The constraint that refused.
    pub fn constraint(&self) -> Option<&str> {
        self.details.constraint.as_deref()
    }

    /// The column that refused.
    pub fn column(&self) -> Option<&str> {
        self.details.column.as_deref()
    }

    /// Whether trying the same again can help.
    pub fn retry(&self) -> Retry {
        self.details.retry
    }

    /// Whether the data itself was refused, so that the record and nothing else is at fault.
    ///
    /// Classes 22 (data exception), 23 (integrity constraint), 44 (view's check option) and P0 (raised by a
    /// trigger), and 42501, a right that the role lacks.
    pub fn is_about_the_record(&self) -> bool {
        self.sqlstate().is_some_and(|state| {
            state == "42501" || matches!(state.get(..2), Some("22" | "23" | "44" | "P0"))
        })
    }

    fn between_us(meaning: &'static str, retry: Retry) -> Self {
        Self {
            details: Box::new(Details {
                meaning,
                sqlstate: None,
                constraint: None,
                column: None,
                retry,
            }),
        }
    }
}

impl fmt::Display for SqlFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.meaning())?;
        if let Some(sqlstate) = self.sqlstate() {
            write!(f, " (SQLSTATE {sqlstate}")?;
            if let Some(constraint) = self.constraint() {
                write!(f, ", constraint `{constraint}`")?;
            }
            if let Some(column) = self.column() {
                write!(f, ", column `{column}`")?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl std::error::Error for SqlFailure {}

impl From<sqlx::Error> for SqlFailure {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => {
                let details = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>();
                let sqlstate = error.code().map(|code| code.into_owned()).unwrap_or_default();
                Self {
                    details: Box::new(Details {
                        meaning: meaning_of(&sqlstate),
                        constraint: error.constraint().map(str::to_owned),
                        column: details.and_then(|details| details.column()).map(str::to_owned),
                        retry: retry_of(&sqlstate),
                        sqlstate: Some(sqlstate),
                    }),
                }
            }
            sqlx::Error::Io(error) => Self::between_us(
                match error.kind() {
                    std::io::ErrorKind::ConnectionRefused => "nothing listens there",
                    std::io::ErrorKind::NotFound => "there is no such socket",
                    std::io::ErrorKind::TimedOut => "the server does not answer",
                    _ => "the connection broke",
                },
                Retry::WithBackOff,
            ),
            sqlx::Error::Tls(_) => Self::between_us(
                "the server's TLS certificate cannot be verified, or it offers no TLS",
                Retry::Never,
            ),
            sqlx::Error::PoolTimedOut => Self::between_us(
                "no connection became free in time, or none could be made",
                Retry::WithBackOff,
            ),
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                Self::between_us("the connections were closed", Retry::Never)
            }
            sqlx::Error::Protocol(_) => Self::between_us(
                "the server answers in a way that cannot be understood",
                Retry::Never,
            ),
            sqlx::Error::Configuration(_) => {
                Self::between_us("the connection settings are wrong", Retry::Never)
            }
            _ => Self::between_us("the answer is not of the shape asked for", Retry::Never),
        }
    }
}

/// Decides which states are worth another try.
///
/// Source: PostgreSQL documentation, appendix A, "Error Codes".
fn retry_of(sqlstate: &str) -> Retry {
    match sqlstate {
        // Serialization failure, deadlock, lock not available, object in use, and a server that stops or starts.
        "40001" | "40P01" | "55P03" | "55006" | "57P01" | "57P02" | "57P03" | "57P05" => Retry::WithBackOff,
        _ => match sqlstate.get(..2) {
            // Connection trouble; out of memory, disk or connections; trouble below the server.
            Some("08" | "53" | "58") => Retry::WithBackOff,
            _ => Retry::Never,
        },
    }
}

fn meaning_of(sqlstate: &str) -> &'static str {
    match sqlstate {
        "22001" => "the text is too long for the column",
        "22003" => "the number is out of the column's range",
        "22007" | "22008" => "the text is no date or time that the column can hold",
        "22021" => "the text has characters that the database cannot hold",
        "22P02" => "the text is no value of the column's type",
        "23502" => "a value is required",
        "23503" => "a foreign key refuses: what it refers to is missing, or other rows refer to it",
        "23505" => "another row has the same value where it must be unique",
        "23514" => "a check constraint refuses the value",
        "23P01" => "an exclusion constraint refuses the value",
        "25006" => "the server is read-only, as a standby is",
        "25P03" => "the transaction was idle for too long",
        "28000" | "28P01" => "the user or password is not accepted",
        "3D000" => "there is no such database",
        "3F000" => "there is no such schema",
        "40001" | "40P01" => "other transactions were in the way",
        "42501" => "the role may not do this",
        "42703" => "there is no such column",
        "42P01" => "there is no such table",
        "44000" => "the view's check option refuses the row",
        "53300" => "the server has no connection left",
        "55P03" => "another transaction holds the row",
        "57014" => "it took longer than allowed",
        "57P01" | "57P02" | "57P03" => "the server is stopping or starting",
        "P0001" => "a trigger refuses it",
        _ => match sqlstate.get(..2) {
            Some("08") => "the connection broke",
            Some("22") => "the column cannot hold the value",
            Some("23") => "a constraint refuses the value",
            Some("42") => "the statement does not fit the database",
            Some("53") => "the server has run out of something",
            Some("58") => "the server's system fails it",
            Some("P0") => "a function in the database refuses it",
            _ => "PostgreSQL refuses it",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{Details, Retry, SqlFailure, meaning_of, retry_of};

    #[test]
    fn only_what_passes_by_itself_is_tried_again() {
        for state in ["40001", "40P01", "55P03", "57P01", "57P03", "08006", "53300"] {
            assert_eq!(retry_of(state), Retry::WithBackOff, "{state}");
        }
        for state in ["23505", "22P02", "42501", "P0001", "57014", "28P01", ""] {
            assert_eq!(retry_of(state), Retry::Never, "{state}");
        }
    }

    #[test]
    fn a_failure_tells_names_and_the_state() {
        let failure = SqlFailure {
            details: Box::new(Details {
                meaning: meaning_of("23505"),
                sqlstate: Some("23505".to_owned()),
                constraint: Some("students_email_key".to_owned()),
                column: None,
                retry: Retry::Never,
            }),
        };
        assert_eq!(
            failure.to_string(),
            "another row has the same value where it must be unique \
             (SQLSTATE 23505, constraint `students_email_key`)"
        );
        assert!(failure.is_about_the_record());
    }
}
