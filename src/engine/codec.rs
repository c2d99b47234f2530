//! The codec of a bound field: where its value is in a row, and how it crosses.

use std::collections::BTreeMap;

use super::FieldCodec;
use crate::codec::{self, Around, CodecCode, CodecError};
use crate::mapping::Source;
use crate::reconcile::{Fault, FieldError};
use crate::template::Ambient;
use crate::value::{Choice, Value};

/// A field's codec with its place in the row.
#[derive(Clone, Debug)]
pub struct BoundCodec {
    codec: codec::FieldCodec,
    source: Source,
    takes_default: bool,
}

impl BoundCodec {
    /// The codec of a field whose value is there.
    pub fn new(codec: codec::FieldCodec, source: Source) -> Self {
        Self {
            codec,
            source,
            takes_default: false,
        }
    }

    /// The same, for a column that is never null and has a default.
    pub fn with_default(self, takes_default: bool) -> Self {
        Self {
            takes_default,
            ..self
        }
    }
}

/// The row as templates and conversions see it.
pub(super) fn row_json(columns: &BTreeMap<String, Value>) -> serde_json::Value {
    columns
        .iter()
        .map(|(column, value)| (column.clone(), value.to_json()))
        .collect()
}

fn field_error(error: CodecError, crossing: Fault) -> FieldError {
    let fault = match error.code {
        CodecCode::UnknownOption => Fault::UnknownOption,
        CodecCode::WaitingRef => Fault::WaitingForReference,
        CodecCode::Incomplete => Fault::Truncated,
        CodecCode::Unreadable => Fault::Invalid,
        _ => crossing,
    };
    FieldError {
        fault,
        message: error.message.into_owned(),
    }
}

impl FieldCodec for BoundCodec {
    fn is_computed(&self) -> bool {
        self.codec.spec().property_type.is_read_only()
    }

    fn row_value(&self, columns: &BTreeMap<String, Value>) -> Result<Value, FieldError> {
        match &self.source {
            Source::Column(column) => columns
                .get(column)
                .map(|value| self.codec.canon_pg(value))
                .ok_or_else(|| FieldError {
                    fault: Fault::ColumnDrift,
                    message: format!("the table has no column `{column}` that this role may read"),
                }),
            Source::Template(template) => {
                let mut context = self.codec.spec().names.as_object().cloned().unwrap_or_default();
                let row = row_json(columns);
                if let Some(columns) = row.as_object() {
                    context.extend(columns.iter().map(|(name, value)| (name.clone(), value.clone())));
                }
                context.insert("row".to_owned(), row);
                let rendered = template
                    .render(&serde_json::Value::Object(context), &Ambient::FIXED)
                    .map_err(|_| FieldError {
                        fault: Fault::Invalid,
                        message: "the template failed for this row".to_owned(),
                    })?;
                Ok(match rendered {
                    serde_json::Value::String(text) => Value::Text(text),
                    serde_json::Value::Null => Value::Null,
                    other => Value::Text(other.to_string()),
                })
            }
        }
    }

    fn takes_default(&self) -> bool {
        self.takes_default
    }

    fn canonical_page(&self, mut value: Value) -> Value {
        // An option is known by its id; its name is the one that was agreed on (6.7).
        let options = &self.codec.spec().options;
        let rename = |choice: &mut Choice| {
            let agreed = options
                .iter()
                .find(|option| option.id.is_some() && option.id == choice.id);
            if let Some(agreed) = agreed {
                choice.name.clone_from(&agreed.name);
            }
        };
        match &mut value {
            Value::Choice(choice) => rename(choice),
            Value::Choices(choices) => choices.iter_mut().for_each(rename),
            _ => {}
        }
        self.codec.canon_nt(&value)
    }

    fn encode(
        &self,
        row: &Value,
        columns: &BTreeMap<String, Value>,
        page: Option<&Value>,
    ) -> Result<Value, FieldError> {
        let around = Around {
            links: &(),
            row: &row_json(columns),
        };
        self.codec
            .enc(row, page, around)
            .map_err(|error| field_error(error, Fault::OutOfRange))
    }

    fn decode(
        &self,
        page: &Value,
        columns: &BTreeMap<String, Value>,
        row: Option<&Value>,
    ) -> Result<Value, FieldError> {
        let around = Around {
            links: &(),
            row: &row_json(columns),
        };
        self.codec
            .dec(page, row, around)
            .map_err(|error| field_error(error, Fault::Invalid))
    }
}
