//! The rows a profile may see, as a small tree.

use serde::{Deserialize, Serialize};

/// A condition over columns.
///
/// Literals are always bound as parameters and columns always quoted by the one quoting function; nothing in
/// here is ever spliced into SQL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Predicate {
    /// Every one holds; none at all holds always.
    All(Vec<Predicate>),
    /// At least one holds; none at all never holds.
    Any(Vec<Predicate>),
    /// `column op literal`, never NULL: a NULL column compares as false.
    Compare {
        /// The column, unquoted.
        column: String,
        /// The comparison.
        comparison: Comparison,
        /// What it is compared with.
        value: Literal,
    },
    /// `column IS NULL`, or its opposite.
    IsNull {
        /// The column, unquoted.
        column: String,
        /// Whether the column must be NULL (`true`) or must not be.
        null: bool,
    },
    /// `column IN (…)`; NULL in the list also admits NULL columns.
    In {
        /// The column, unquoted.
        column: String,
        /// The list.
        values: Vec<Literal>,
    },
}

impl Predicate {
    /// The condition that every row meets.
    pub const EVERY_ROW: Predicate = Predicate::All(Vec::new());

    /// Every column named anywhere, in order of appearance, each once.
    pub fn columns(&self) -> Vec<&str> {
        let mut columns = Vec::new();
        self.collect_columns(&mut columns);
        columns
    }

    fn collect_columns<'a>(&'a self, into: &mut Vec<&'a str>) {
        match self {
            Predicate::All(parts) | Predicate::Any(parts) => {
                for part in parts {
                    part.collect_columns(into);
                }
            }
            Predicate::Compare { column, .. }
            | Predicate::IsNull { column, .. }
            | Predicate::In { column, .. } => {
                if !into.contains(&column.as_str()) {
                    into.push(column);
                }
            }
        }
    }

    /// Columns that every row in scope holds one known value in, with that value: what an inserted row must carry.
    ///
    /// Only equalities outside any `any` count, and those that admit NULL besides (`null_scope: include`): a new row
    /// is the profile's own, and never one that all profiles share.
    pub fn constants(&self) -> Vec<(&str, Literal)> {
        match self {
            Predicate::Any(parts) => match parts.as_slice() {
                [one, Predicate::IsNull { column, null: true }] if one.columns() == [column] => {
                    one.constants()
                }
                _ => Vec::new(),
            },
            Predicate::All(parts) => parts.iter().flat_map(Predicate::constants).collect(),
            Predicate::Compare {
                column,
                comparison: Comparison::Equal,
                value,
            } => {
                vec![(column, value.clone())]
            }
            Predicate::IsNull { column, null: true } => vec![(column, Literal::Null)],
            Predicate::In { column, values } => match values.as_slice() {
                [only] => vec![(column, only.clone())],
                _ => Vec::new(),
            },
            Predicate::Compare { .. } | Predicate::IsNull { .. } => Vec::new(),
        }
    }
}

/// How a column is compared with a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// `=`
    Equal,
    /// `IS DISTINCT FROM`: a NULL column differs from every literal.
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// A value written in a scope.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Literal {
    /// NULL.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Number(f64),
    /// Text, which Postgres reads as the column's type.
    Text(String),
}

impl Literal {
    /// The text that Postgres reads as the column's type; `None` for NULL.
    pub fn text(&self) -> Option<String> {
        match self {
            Literal::Null => None,
            Literal::Bool(value) => Some(value.to_string()),
            Literal::Integer(value) => Some(value.to_string()),
            Literal::Number(value) => Some(value.to_string()),
            Literal::Text(value) => Some(value.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn equal(column: &str, value: &str) -> Predicate {
        Predicate::Compare {
            column: column.to_owned(),
            comparison: Comparison::Equal,
            value: Literal::Text(value.to_owned()),
        }
    }

    fn null(column: &str) -> Predicate {
        Predicate::IsNull {
            column: column.to_owned(),
            null: true,
        }
    }

    #[test]
    fn a_scope_that_admits_null_besides_still_fixes_its_column() {
        let scope = Predicate::All(vec![Predicate::Any(vec![
            equal("university_id", "A"),
            null("university_id"),
        ])]);
        assert_eq!(
            scope.constants(),
            [("university_id", Literal::Text("A".to_owned()))]
        );
        let listed = Predicate::In {
            column: "university_id".to_owned(),
            values: vec![Literal::Text("A".to_owned())],
        };
        let scope = Predicate::Any(vec![listed, null("university_id")]);
        assert_eq!(scope.constants().len(), 1);
    }

    #[test]
    fn alternatives_fix_nothing() {
        for parts in [
            vec![equal("a", "1"), null("b")],
            vec![equal("a", "1"), equal("a", "2")],
            vec![null("a"), null("b")],
        ] {
            assert_eq!(Predicate::Any(parts).constants(), []);
        }
    }
}
