//! The scope: its columns, and whether its values can be compared with them.

use super::Check;
use crate::diagnostic::{Code, list, one_of};
use crate::mapping::{Comparison, Literal, Predicate};
use crate::schema::PgType;
use crate::schema::table::Column;
use crate::yaml::pointer;

impl<'a> Check<'a> {
    pub(super) fn scope(&mut self, predicate: &Predicate) {
        match predicate {
            Predicate::All(parts) | Predicate::Any(parts) => {
                for part in parts {
                    self.scope(part);
                }
            }
            Predicate::IsNull { column, .. } => {
                self.scope_column(column);
            }
            Predicate::Compare {
                column,
                comparison,
                value,
            } => {
                let is_order = !matches!(comparison, Comparison::Equal | Comparison::NotEqual);
                if let Some(found) = self.scope_column(column) {
                    self.scope_literal(found, value, is_order);
                }
            }
            Predicate::In { column, values } => {
                if let Some(found) = self.scope_column(column) {
                    for value in values {
                        self.scope_literal(found, value, false);
                    }
                }
            }
        }
    }

    /// Where the scope names a column: the first place, in the order of the file.
    fn scope_at(&self, column: &str) -> String {
        fn find(value: &serde_json::Value, at: &str, column: &str) -> Option<String> {
            match value {
                serde_json::Value::Object(object) => object.iter().find_map(|(key, value)| {
                    let here = pointer(at, key);
                    if key == column && !(matches!(key.as_str(), "any" | "all") && value.is_array()) {
                        return Some(here);
                    }
                    find(value, &here, column)
                }),
                serde_json::Value::Array(elements) => elements
                    .iter()
                    .enumerate()
                    .find_map(|(index, element)| find(element, &pointer(at, index), column)),
                _ => None,
            }
        }
        let scope = self
            .document
            .value
            .get("scope")
            .unwrap_or(&serde_json::Value::Null);
        find(scope, "/scope", column).unwrap_or_else(|| "/scope".to_owned())
    }

    fn scope_column(&mut self, name: &str) -> Option<&'a Column> {
        let at = self.scope_at(name);
        if let Some(column) = self.table.column(name) {
            return Some(column);
        }
        let help = one_of(name, "the columns are", self.table.column_names());
        let finding = self
            .document
            .key_finding(
                Code::ColumnNotFound,
                &at,
                format!("table `{}` has no column `{name}`", self.table.name),
                "not in the table",
            )
            .help(help);
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
        None
    }

    fn scope_literal(&mut self, column: &Column, value: &Literal, is_order: bool) {
        let text = match value {
            Literal::Null => return,
            Literal::Bool(value) => value.to_string(),
            Literal::Integer(value) => value.to_string(),
            Literal::Number(value) => value.to_string(),
            Literal::Text(text) => text.clone(),
        };
        let base = column.pg_type.base();
        let fits = match base {
            PgType::Int2 => text.parse::<i16>().is_ok(),
            PgType::Int4 => text.parse::<i32>().is_ok(),
            PgType::Int8 => text.parse::<i64>().is_ok(),
            PgType::Float4 | PgType::Float8 | PgType::Numeric(_) => text.parse::<f64>().is_ok(),
            PgType::Bool => matches!(
                text.to_lowercase().as_str(),
                "true" | "false" | "t" | "f" | "yes" | "no"
            ),
            PgType::Uuid => uuid::Uuid::parse_str(&text).is_ok(),
            PgType::Enum { labels, .. } => labels.contains(&text),
            // `json` has no equality.
            PgType::Json => false,
            _ => !(is_order && *base == PgType::Jsonb),
        };
        if !fits {
            let at = self.scope_at(&column.name);
            let help = match base {
                PgType::Enum { labels, .. } => {
                    format!("the labels are {}", list(labels.iter().map(String::as_str)))
                }
                other => format!("`{}` is {other}", column.name),
            };
            self.report(
                Code::ScopeTypeMismatch,
                &at,
                format!("`{}` cannot be compared with this value", column.name),
                "does not fit the column's type",
                help,
            );
        }
    }
}
