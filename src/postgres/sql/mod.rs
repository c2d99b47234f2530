//! SQL text: quoted names, bound values, and nothing else.
//!
//! A [`Statement`] takes SQL only as string literals of this program; names and values have methods of their own.
//! There is no way to splice a value, so there is nothing to escape.

use crate::schema::PgType;

use super::PostgresError;

mod predicate;
mod row;
mod value;

pub use predicate::push_predicate;
pub use row::{Lock, RowSql};
pub use value::{select_expression, write_expression};

/// The longest name in bytes: PostgreSQL cuts longer ones, without an error, to other names.
///
/// Source: PostgreSQL documentation, section 4.1.1, `NAMEDATALEN` of 64.
pub const LONGEST_NAME: usize = 63;

/// A name between double quotes, for SQL.
///
/// # Errors
/// [`PostgresError::Identifier`] for the empty name, one with a NUL, and one of more than [`LONGEST_NAME`] bytes.
pub fn quoted(name: &str) -> Result<String, PostgresError> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.contains('\0') {
        "it has a NUL in it"
    } else if name.len() > LONGEST_NAME {
        "it is longer than 63 bytes"
    } else {
        return Ok(format!("\"{}\"", name.replace('"', "\"\"")));
    };
    Err(PostgresError::Identifier {
        name: name.to_owned(),
        reason,
    })
}

/// A comparison in SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    /// `=`
    Equal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// Whether PostgreSQL compares values of a type by operators of its own.
///
/// The others, of extensions, have theirs in a schema that nothing tells.
fn is_compared_by_postgres(pg_type: &PgType) -> bool {
    match pg_type.base() {
        PgType::Array(element) => is_compared_by_postgres(element),
        PgType::Other(name) => !name.contains('.'),
        _ => true,
    }
}

/// One SQL statement and its parameters, all of them text or NULL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statement {
    text: String,
    parameters: Vec<Option<String>>,
}

impl Statement {
    /// Begins with SQL of this program.
    pub fn new(sql: &'static str) -> Self {
        let mut statement = Self::default();
        statement.push(sql);
        statement
    }

    /// The text, with `$1`, `$2`, … for the parameters.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The parameters' values, in order.
    pub fn parameters(&self) -> &[Option<String>] {
        &self.parameters
    }

    /// Adds SQL of this program.
    pub fn push(&mut self, sql: &'static str) -> &mut Self {
        self.text.push_str(sql);
        self
    }

    /// Adds one name, quoted.
    ///
    /// # Errors
    /// As [`quoted`].
    pub fn push_name(&mut self, name: &str) -> Result<&mut Self, PostgresError> {
        let name = quoted(name)?;
        self.text.push_str(&name);
        Ok(self)
    }

    /// Adds a schema's name, a dot, and a name in it.
    ///
    /// # Errors
    /// As [`quoted`].
    pub fn push_qualified(&mut self, schema: &str, name: &str) -> Result<&mut Self, PostgresError> {
        self.push_name(schema)?.push(".").push_name(name)
    }

    /// Adds what reads a column as text, as [`select_expression`] says.
    ///
    /// # Errors
    /// As [`quoted`].
    pub fn push_column(&mut self, name: &str, pg_type: &PgType) -> Result<&mut Self, PostgresError> {
        let expression = select_expression(pg_type, &quoted(name)?);
        self.text.push_str(&expression);
        Ok(self)
    }

    /// Adds a comparison of values of those types, by PostgreSQL's own operator wherever it has one.
    ///
    /// By its bare name an operator is looked up in every schema that is searched, and one that fits better wins: for
    /// two `varchar` PostgreSQL itself only has `=` of `text`, so whoever may create in `public` could make the one
    /// that runs, with our rights.
    ///
    /// Source: PostgreSQL documentation, section 10.2; CVE-2018-1058.
    pub(super) fn push_operator<'t>(
        &mut self,
        operator: Operator,
        types: impl IntoIterator<Item = &'t PgType>,
    ) -> &mut Self {
        let symbol = match operator {
            Operator::Equal => "=",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
        };
        let operator = if types.into_iter().all(is_compared_by_postgres) {
            format!(" operator(pg_catalog.{symbol}) ")
        } else {
            format!(" {symbol} ")
        };
        self.text.push_str(&operator);
        self
    }

    /// Adds a name as a string literal, for what takes names that way and no parameters: arguments of triggers.
    ///
    /// # Errors
    /// As [`quoted`].
    pub(super) fn push_name_literal(&mut self, name: &str) -> Result<&mut Self, PostgresError> {
        quoted(name)?;
        // In `E''` a backslash escapes, whatever `standard_conforming_strings` says.
        let escaped = name.replace('\\', "\\\\").replace('\'', "''");
        self.text.push_str(&format!("E'{escaped}'"));
        Ok(self)
    }

    /// Adds a parameter that becomes a value of that type.
    pub fn push_value(&mut self, value: Option<String>, pg_type: &PgType) -> &mut Self {
        self.parameters.push(value);
        let placeholder = format!("${}::text", self.parameters.len());
        self.text.push_str(&write_expression(pg_type, &placeholder));
        self
    }

    /// Adds a parameter that stays text.
    pub fn push_text(&mut self, value: impl Into<String>) -> &mut Self {
        self.push_value(Some(value.into()), &PgType::Text)
    }

    /// Adds what each item adds, with `separator` between them.
    ///
    /// # Errors
    /// The first that `each` answers.
    pub fn push_list<T>(
        &mut self,
        separator: &'static str,
        items: impl IntoIterator<Item = T>,
        mut each: impl FnMut(&mut Self, T) -> Result<(), PostgresError>,
    ) -> Result<&mut Self, PostgresError> {
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.push(separator);
            }
            each(self, item)?;
        }
        Ok(self)
    }

    /// The statement for the driver: never prepared under a name, for a pooler to be fine with it.
    pub fn query(&self) -> sqlx::query::Query<'_, sqlx::Postgres, sqlx::postgres::PgArguments> {
        let query = sqlx::query(sqlx::AssertSqlSafe(self.text.clone())).persistent(false);
        self.parameters
            .iter()
            .fold(query, |query, value| query.bind(value.as_deref()))
    }
}

#[cfg(test)]
mod tests;
