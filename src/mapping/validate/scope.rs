//! The scope: columns and conditions to a predicate.

use serde_json::{Map, Value};

use super::Check;
use super::templates::Names;
use crate::diagnostic::Code;
use crate::mapping::{Comparison, Literal, NullScope, Predicate};
use crate::yaml::pointer;

impl Check<'_> {
    /// The predicate that the profile's rows meet.
    pub(super) fn scope(&mut self) -> Predicate {
        let Some(scope) = &self.written().scope else {
            return Predicate::EVERY_ROW;
        };
        self.conditions("/scope", &scope.0)
    }

    fn conditions(&mut self, at: &str, conditions: &Map<String, Value>) -> Predicate {
        let mut all = Vec::new();
        for (key, value) in conditions {
            let at = pointer(at, key);
            match (key.as_str(), value) {
                ("any", Value::Array(parts)) => all.push(Predicate::Any(self.parts(&at, parts))),
                ("all", Value::Array(parts)) => all.push(Predicate::All(self.parts(&at, parts))),
                _ => {
                    self.identifier(&at, key, "column");
                    all.extend(self.condition(&at, key, value));
                }
            }
        }
        Predicate::All(all)
    }

    fn parts(&mut self, at: &str, parts: &[Value]) -> Vec<Predicate> {
        parts
            .iter()
            .enumerate()
            .filter_map(|(index, part)| Some(self.conditions(&pointer(at, index), part.as_object()?)))
            .collect()
    }

    fn condition(&mut self, at: &str, column: &str, value: &Value) -> Option<Predicate> {
        let column = || column.to_owned();
        match value {
            Value::Array(values) => self.list(at, column(), values),
            Value::Object(operators) => {
                let mut all = Vec::new();
                for (operator, value) in operators {
                    let at = pointer(at, operator);
                    if let ("in", Value::Array(values)) = (operator.as_str(), value) {
                        all.extend(self.list(&at, column(), values));
                        continue;
                    }
                    let comparison = match operator.as_str() {
                        "not" => Comparison::NotEqual,
                        "gt" => Comparison::Greater,
                        "gte" => Comparison::GreaterOrEqual,
                        "lt" => Comparison::Less,
                        _ => Comparison::LessOrEqual,
                    };
                    let Some(value) = self.literal(&at, value) else {
                        continue;
                    };
                    all.push(match (comparison, value) {
                        (Comparison::NotEqual, Literal::Null) => Predicate::IsNull {
                            column: column(),
                            null: false,
                        },
                        (_, Literal::Null) => {
                            self.value(
                                Code::ScopeInvalid,
                                &at,
                                format!("nothing is `{operator}` null"),
                                "no row can meet this",
                                "compare with a number or text; `null` goes with equality and `not`",
                            );
                            continue;
                        }
                        (comparison, value) => Predicate::Compare {
                            column: column(),
                            comparison,
                            value,
                        },
                    });
                }
                Some(Predicate::All(all))
            }
            scalar => {
                let value = self.literal(at, scalar)?;
                Some(match value {
                    Literal::Null => Predicate::IsNull {
                        column: column(),
                        null: true,
                    },
                    value => self.or_null(Predicate::Compare {
                        column: column(),
                        comparison: Comparison::Equal,
                        value,
                    }),
                })
            }
        }
    }

    fn list(&mut self, at: &str, column: String, values: &[Value]) -> Option<Predicate> {
        if values.is_empty() {
            self.value(
                Code::ScopeInvalid,
                at,
                format!("the list for `{column}` is empty"),
                "admits no row at all",
                "list the values that are in scope, or remove the condition",
            );
            return None;
        }
        let literals = values
            .iter()
            .enumerate()
            .filter_map(|(index, value)| self.literal(&pointer(at, index), value))
            .collect();
        Some(self.or_null(Predicate::In {
            column,
            values: literals,
        }))
    }

    /// With `null_scope: include`, rows whose column is NULL meet an equality too.
    fn or_null(&self, predicate: Predicate) -> Predicate {
        match (&predicate, self.written().null_scope) {
            (Predicate::Compare { column, .. } | Predicate::In { column, .. }, Some(NullScope::Include)) => {
                let null = Predicate::IsNull {
                    column: column.clone(),
                    null: true,
                };
                Predicate::Any(vec![predicate, null])
            }
            _ => predicate,
        }
    }

    /// One value of the scope; a text may be a template over `vars` and `profile`.
    ///
    /// Outside a project a template has no value, and stands for itself so that the tree keeps its shape.
    fn literal(&mut self, at: &str, value: &Value) -> Option<Literal> {
        let value = match value {
            Value::String(text) => {
                let template = self.template(at, text, Names::Nothing)?;
                match self.render(&template) {
                    Some(value) => value,
                    None if self.scene.profile.is_none() => value.clone(),
                    // A name that is not there was reported with the template.
                    None => return None,
                }
            }
            other => other.clone(),
        };
        Some(match value {
            Value::Null => Literal::Null,
            Value::Bool(value) => Literal::Bool(value),
            Value::Number(number) => match number.as_i64() {
                Some(integer) => Literal::Integer(integer),
                None => Literal::Number(number.as_f64()?),
            },
            Value::String(text) => Literal::Text(text),
            Value::Array(_) | Value::Object(_) => {
                self.value(
                    Code::ScopeInvalid,
                    at,
                    "the template gives a list or an object".to_owned(),
                    "expected one value",
                    "name one element, or list the values in the mapping",
                );
                return None;
            }
        })
    }
}
