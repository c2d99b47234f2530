//! Scopes as SQL.

use crate::mapping::{Comparison, Literal, Predicate};
use crate::schema::{PgType, TableSchema};

use super::super::PostgresError;
use super::{Operator, Statement, quoted};

/// Adds a condition over a table's columns, in parentheses, every literal bound as a value of its column's type.
///
/// # Errors
/// [`PostgresError::UnknownColumn`] when the table does not have a column, or its name is none.
pub fn push_predicate(
    statement: &mut Statement,
    predicate: &Predicate,
    table: &TableSchema,
) -> Result<(), PostgresError> {
    statement.push("(");
    match predicate {
        Predicate::All(parts) if parts.is_empty() => {
            statement.push("true");
        }
        Predicate::Any(parts) if parts.is_empty() => {
            statement.push("false");
        }
        Predicate::All(parts) => {
            statement.push_list(" and ", parts, |statement, part| {
                push_predicate(statement, part, table)
            })?;
        }
        Predicate::Any(parts) => {
            statement.push_list(" or ", parts, |statement, part| {
                push_predicate(statement, part, table)
            })?;
        }
        Predicate::IsNull { column, null } => {
            known(table, column)?;
            statement
                .push_name(column)?
                .push(if *null { " is null" } else { " is not null" });
        }
        Predicate::Compare {
            column,
            comparison,
            value,
        } => push_comparison(statement, table, column, *comparison, value)?,
        Predicate::In { column, values } => {
            let pg_type = known(table, column)?;
            let texts: Vec<String> = values.iter().filter_map(Literal::text).collect();
            if texts.is_empty() {
                statement.push("false");
            } else {
                // `in` would look its operator up in whatever schemas are searched.
                statement.push_list(" or ", texts, |statement, text| {
                    statement
                        .push_name(column)?
                        .push_operator(Operator::Equal, [pg_type])
                        .push_value(Some(text), pg_type);
                    Ok(())
                })?;
            }
            if values.contains(&Literal::Null) {
                statement.push(" or ").push_name(column)?.push(" is null");
            }
        }
    }
    statement.push(")");
    Ok(())
}

fn push_comparison(
    statement: &mut Statement,
    table: &TableSchema,
    column: &str,
    comparison: Comparison,
    value: &Literal,
) -> Result<(), PostgresError> {
    let pg_type = known(table, column)?;
    let Some(text) = value.text() else {
        match comparison {
            Comparison::Equal => statement.push_name(column)?.push(" is null"),
            Comparison::NotEqual => statement.push_name(column)?.push(" is not null"),
            // NULL is neither above nor below anything.
            _ => statement.push("false"),
        };
        return Ok(());
    };
    statement.push_name(column)?;
    let operator = match comparison {
        Comparison::Equal => Operator::Equal,
        // `is distinct from` would look its operator up in whatever schemas are searched.
        Comparison::NotEqual => {
            statement.push(" is null or not ").push_name(column)?;
            Operator::Equal
        }
        Comparison::Less => Operator::Less,
        Comparison::LessOrEqual => Operator::LessOrEqual,
        Comparison::Greater => Operator::Greater,
        Comparison::GreaterOrEqual => Operator::GreaterOrEqual,
    };
    statement
        .push_operator(operator, [pg_type])
        .push_value(Some(text), pg_type);
    Ok(())
}

fn known<'a>(table: &'a TableSchema, column: &str) -> Result<&'a PgType, PostgresError> {
    quoted(column)?;
    table
        .column(column)
        .map(|column| &column.pg_type)
        .ok_or_else(|| PostgresError::UnknownColumn {
            table: table.name.clone(),
            column: column.to_owned(),
        })
}
