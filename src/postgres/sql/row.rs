//! Statements over the rows of one table within one scope.

use crate::mapping::Predicate;
use crate::schema::table::{Column, Generated};
use crate::schema::{PgType, TableSchema};
use crate::value::RecordKey;

use super::super::PostgresError;
use super::{Operator, Statement, push_predicate, write_expression};

/// Whether a SELECT holds its rows against other writers until the transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// It does not.
    None,
    /// `for no key update`: others may still refer to the rows.
    Rows,
}

/// Writes the statements of one mapping; every name is known to be in the catalog.
///
/// Each statement answers the key columns first, then the wanted ones, each as text. Scope is in every SELECT, UPDATE
/// and DELETE; INSERT and UPDATE answer as their last column, `in_scope`, whether the row is still in it.
#[derive(Clone, Debug)]
pub struct RowSql<'a> {
    table: &'a TableSchema,
    key: Vec<&'a Column>,
    columns: Vec<&'a Column>,
    scope: &'a Predicate,
}

impl<'a> RowSql<'a> {
    /// Resolves the key and the wanted columns.
    ///
    /// # Errors
    /// [`PostgresError::UnknownColumn`] for the first that the table does not have.
    pub fn new(
        table: &'a TableSchema,
        key: &[String],
        columns: &[String],
        scope: &'a Predicate,
    ) -> Result<Self, PostgresError> {
        let resolve = |names: &[String]| {
            names
                .iter()
                .map(|name| find(table, name))
                .collect::<Result<Vec<_>, _>>()
        };
        for column in scope.columns() {
            find(table, column)?;
        }
        Ok(Self {
            table,
            key: resolve(key)?,
            columns: resolve(columns)?,
            scope,
        })
    }

    /// The table.
    pub fn table(&self) -> &'a TableSchema {
        self.table
    }

    /// The key columns, in the mapping's order.
    pub fn key(&self) -> &[&'a Column] {
        &self.key
    }

    /// The columns that each statement answers behind the key.
    pub fn columns(&self) -> &[&'a Column] {
        &self.columns
    }

    /// Reads the next rows in scope in key order: those after a key, at most `limit`, and only those whose column
    /// `since` names is at or after a value.
    ///
    /// # Errors
    /// When the key has another length, or a name is none.
    pub fn select_after(
        &self,
        after: Option<&RecordKey>,
        since: Option<(&str, String)>,
        limit: usize,
    ) -> Result<Statement, PostgresError> {
        let mut statement = Statement::new("select ");
        self.push_answer(&mut statement)?;
        self.push_from(&mut statement)?;
        statement.push(" where ");
        push_predicate(&mut statement, self.scope, self.table)?;
        if let Some((name, value)) = since {
            let column = find(self.table, name)?;
            statement
                .push(" and ")
                .push_name(name)?
                .push_operator(Operator::GreaterOrEqual, [&column.pg_type])
                .push_value(Some(value), &column.pg_type);
        }
        if let Some(key) = after {
            self.check_length(key)?;
            statement.push(" and (");
            self.push_key_names(&mut statement)?;
            statement.push(")");
            statement.push_operator(Operator::Greater, self.key_types());
            statement.push("(");
            statement.push_list(", ", self.key.iter().zip(&key.0), |statement, (column, text)| {
                statement.push_value(Some(text.clone()), &column.pg_type);
                Ok(())
            })?;
            statement.push(")");
        }
        // A name alone would be the answer's column, which is text: `10` before `9`, and rows between two steps lost.
        statement.push(" order by ");
        statement.push_list(", ", &self.key, |statement, column| {
            self.push_table(statement)?;
            statement.push(".").push_name(&column.name).map(drop)
        })?;
        statement
            .push(" limit ")
            .push_value(Some(limit.to_string()), &PgType::Int8);
        Ok(statement)
    }

    /// Reads the rows in scope that have one of the keys, in no order.
    ///
    /// # Errors
    /// When a key has another number of columns than the table's.
    pub fn select_keys(&self, keys: &[RecordKey], lock: Lock) -> Result<Statement, PostgresError> {
        let mut statement = Statement::new("select ");
        self.push_answer(&mut statement)?;
        self.push_from(&mut statement)?;
        statement.push(" where ");
        self.push_key_condition(&mut statement, keys)?;
        statement.push(" and ");
        push_predicate(&mut statement, self.scope, self.table)?;
        if lock == Lock::Rows {
            statement.push(" for no key update");
        }
        Ok(statement)
    }

    /// Reads every row that has one of the keys, in scope or not, in no order.
    ///
    /// Outside the scope only the key is answered, and NULL for all else: those values are another tenant's, and do
    /// not leave the server. `in_scope` comes last.
    ///
    /// # Errors
    /// When a key has another number of columns than the table's.
    pub fn select_presence(&self, keys: &[RecordKey]) -> Result<Statement, PostgresError> {
        let mut statement = Statement::new("select ");
        self.push_columns(&mut statement, &self.key)?;
        for column in &self.columns {
            statement.push(", case when frames_sync_scope.in_scope then ");
            statement.push_column(&column.name, &column.pg_type)?.push(" end");
        }
        statement.push(", frames_sync_scope.in_scope");
        self.push_from(&mut statement)?;
        statement.push(" cross join lateral (select coalesce(");
        push_predicate(&mut statement, self.scope, self.table)?;
        statement.push(", false)) as frames_sync_scope (in_scope) where ");
        self.push_key_condition(&mut statement, keys)?;
        Ok(statement)
    }

    /// Counts the rows in scope.
    ///
    /// # Errors
    /// When a name is none.
    pub fn count(&self) -> Result<Statement, PostgresError> {
        let mut statement = Statement::new("select pg_catalog.count(*)");
        self.push_from(&mut statement)?;
        statement.push(" where ");
        push_predicate(&mut statement, self.scope, self.table)?;
        Ok(statement)
    }

    /// Sets columns of one row in scope and answers the row as it stands then, with `in_scope`.
    ///
    /// # Errors
    /// When a column is not the table's, or the key has another length.
    pub fn update(
        &self,
        key: &RecordKey,
        values: &[(String, Option<String>)],
    ) -> Result<Statement, PostgresError> {
        let mut statement = Statement::new("update ");
        self.push_table(&mut statement)?;
        statement.push(" set ");
        statement.push_list(", ", values, |statement, (name, value)| {
            let column = find(self.table, name)?;
            statement
                .push_name(name)?
                .push(" = ")
                .push_value(value.clone(), &column.pg_type);
            Ok(())
        })?;
        statement.push(" where ");
        self.push_key_condition(&mut statement, std::slice::from_ref(key))?;
        statement.push(" and ");
        push_predicate(&mut statement, self.scope, self.table)?;
        self.push_returning(&mut statement)?;
        Ok(statement)
    }

    /// Inserts one row and answers it as it was stored, with `in_scope`.
    ///
    /// # Errors
    /// When a column is not the table's.
    pub fn insert(&self, values: &[(String, Option<String>)]) -> Result<Statement, PostgresError> {
        let mut statement = Statement::new("insert into ");
        self.push_table(&mut statement)?;
        if values.is_empty() {
            statement.push(" default values");
        } else {
            statement.push(" (");
            statement.push_list(", ", values, |statement, (name, _)| {
                find(self.table, name)?;
                statement.push_name(name).map(drop)
            })?;
            // A row that is put back keeps the key that Postgres once made for it.
            let mut overrides = false;
            for (name, _) in values {
                overrides |= find(self.table, name)?.generated == Generated::IdentityAlways;
            }
            statement.push(if overrides {
                ") overriding system value values ("
            } else {
                ") values ("
            });
            statement.push_list(", ", values, |statement, (name, value)| {
                statement.push_value(value.clone(), &find(self.table, name)?.pg_type);
                Ok(())
            })?;
            statement.push(")");
        }
        self.push_returning(&mut statement)?;
        Ok(statement)
    }

    /// Deletes one row in scope and answers it as it was.
    ///
    /// # Errors
    /// When the key has another length.
    pub fn delete(&self, key: &RecordKey) -> Result<Statement, PostgresError> {
        let mut statement = Statement::new("delete from ");
        self.push_table(&mut statement)?;
        statement.push(" where ");
        self.push_key_condition(&mut statement, std::slice::from_ref(key))?;
        statement.push(" and ");
        push_predicate(&mut statement, self.scope, self.table)?;
        statement.push(" returning ");
        self.push_answer(&mut statement)?;
        Ok(statement)
    }

    /// `(a, b) = any (…)` over one parameter, a JSON array of key arrays: as many keys as there are, one plan.
    fn push_key_condition(&self, statement: &mut Statement, keys: &[RecordKey]) -> Result<(), PostgresError> {
        for key in keys {
            self.check_length(key)?;
        }
        let keys = serde_json::to_string(keys).expect("lists of texts always print as JSON");
        statement.push("(");
        self.push_key_names(statement)?;
        statement.push(")");
        statement.push_operator(Operator::Equal, self.key_types());
        statement.push("any (select ");
        statement.push_list(", ", self.key.iter().enumerate(), |statement, (index, column)| {
            statement.push_wanted_key_part(index, &column.pg_type);
            Ok(())
        })?;
        statement.push(" from pg_catalog.json_array_elements(");
        statement.push_value(Some(keys), &PgType::Json);
        statement.push(") as wanted (wanted_key))");
        Ok(())
    }

    fn check_length(&self, key: &RecordKey) -> Result<(), PostgresError> {
        if key.0.len() == self.key.len() {
            return Ok(());
        }
        Err(PostgresError::KeyLength {
            table: self.table.name.clone(),
            expected: self.key.len(),
            found: key.0.len(),
        })
    }

    fn key_types(&self) -> impl Iterator<Item = &'a PgType> {
        self.key.iter().map(|column| &column.pg_type)
    }

    fn push_key_names(&self, statement: &mut Statement) -> Result<(), PostgresError> {
        statement.push_list(", ", &self.key, |statement, column| {
            statement.push_name(&column.name).map(drop)
        })?;
        Ok(())
    }

    fn push_answer(&self, statement: &mut Statement) -> Result<(), PostgresError> {
        let answered: Vec<&Column> = self.key.iter().chain(&self.columns).copied().collect();
        self.push_columns(statement, &answered)
    }

    fn push_columns(&self, statement: &mut Statement, columns: &[&Column]) -> Result<(), PostgresError> {
        statement.push_list(", ", columns, |statement, column| {
            statement.push_column(&column.name, &column.pg_type).map(drop)
        })?;
        Ok(())
    }

    fn push_in_scope(&self, statement: &mut Statement) -> Result<(), PostgresError> {
        statement.push(", coalesce(");
        push_predicate(statement, self.scope, self.table)?;
        statement.push(", false) as in_scope");
        Ok(())
    }

    fn push_returning(&self, statement: &mut Statement) -> Result<(), PostgresError> {
        statement.push(" returning ");
        self.push_answer(statement)?;
        self.push_in_scope(statement)
    }

    fn push_table(&self, statement: &mut Statement) -> Result<(), PostgresError> {
        statement.push_qualified(&self.table.name.schema, &self.table.name.name)?;
        Ok(())
    }

    fn push_from(&self, statement: &mut Statement) -> Result<(), PostgresError> {
        statement.push(" from ");
        self.push_table(statement)
    }
}

impl Statement {
    /// Adds the key part of that index out of a JSON array called `wanted_key`.
    fn push_wanted_key_part(&mut self, index: usize, pg_type: &PgType) {
        self.text
            .push_str(&write_expression(pg_type, &format!("(wanted_key ->> {index})")));
    }
}

fn find<'a>(table: &'a TableSchema, name: &str) -> Result<&'a Column, PostgresError> {
    table.column(name).ok_or_else(|| PostgresError::UnknownColumn {
        table: table.name.clone(),
        column: name.to_owned(),
    })
}
