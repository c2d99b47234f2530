//! A mapping, its table and its data source to an [`Entity`]: every name is resolved here, once.
//!
//! What does not resolve is a [`BindError`] that names the place; `validate` and `setup` say the same with spans and
//! in more words, before it comes to this.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::codec::{BoundCodec, row_json};
use super::entity::{Entity, EntityField, NewRow, Reference};
use crate::codec::{self, EmptyMeans, FieldSpec, OnUnknown};
use crate::mapping::{
    Assigned, Assignment, Capture, Direction, Empty, Field, Mapping, OnPageCreate, OnPageTrash, PropertyKind,
    Source, UnknownOption,
};
use crate::plan::option_names::OptionNames;
use crate::ports::{Clock, Rng};
use crate::reconcile::{EntityPolicy, Fault, FieldError};
use crate::schema::data_source::{PropertyConfig, PropertySchema};
use crate::schema::table::{Column, Generated};
use crate::schema::{DataSourceSchema, PgType, PropertyType, TableSchema};
use crate::template::{Ambient, Template};
use crate::value::{Choice, PropertyId, Value};

/// What an entity is bound from.
pub struct Binding<'a> {
    /// The mapping, for one profile.
    pub mapping: &'a Mapping,
    /// Its table.
    pub table: &'a TableSchema,
    /// Its data source.
    pub data_source: &'a DataSourceSchema,
    /// The ids of properties that were renamed in Notion since they were bound, by their name in the mapping.
    pub remembered: &'a BTreeMap<String, PropertyId>,
    /// The names of options that were agreed on.
    pub options: &'a OptionNames,
    /// The profile's name and variables, for templates.
    pub profile: (&'a str, &'a Map<String, Json>),
    /// How long a page made by a person must rest, where the mapping does not say.
    pub create_grace: Duration,
    /// The time that `now()` tells.
    pub clock: Arc<dyn Clock>,
    /// What `uuid()` is made of.
    pub rng: Arc<dyn Rng>,
}

/// Why an entity cannot be bound.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// A column is not there.
    #[error("table `{table}` has no column `{column}`")]
    Column {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A property is not there.
    #[error("the database of `{entity}` has no property `{property}` in Notion")]
    Property {
        /// The entity.
        entity: String,
        /// The property.
        property: String,
    },
    /// A property has another type.
    #[error("property `{property}` of `{entity}` is a {found} in Notion, and a {wanted} in the mapping")]
    PropertyType {
        /// The entity.
        entity: String,
        /// The property.
        property: String,
        /// Its type in Notion.
        found: String,
        /// Its type in the mapping.
        wanted: PropertyType,
    },
    /// A field's two types do not fit.
    #[error("`{property}` of `{entity}` cannot be synced: {why}")]
    Field {
        /// The entity.
        entity: String,
        /// The property.
        property: String,
        /// Why not.
        why: String,
    },
}

/// A field, and what is said of it.
type Notice = (String, String);

/// Binds an entity.
///
/// # Errors
///
/// The first name that does not resolve, or pair that does not fit.
pub fn bind(binding: &Binding<'_>) -> Result<Entity, BindError> {
    let mapping = binding.mapping;
    let mut fields = Vec::new();
    let mut frozen = Vec::new();
    for field in &mapping.fields {
        match binding.field(field) {
            Ok(bound) => {
                let (renamed, removed) = binding.moved_options(field);
                if removed.is_empty() {
                    fields.extend(bound);
                }
                frozen.extend(renamed.into_iter().chain(removed));
            }
            // 6.8: a property that is gone must never read as empty, and must not stop the others.
            Err(error @ (BindError::Property { .. } | BindError::PropertyType { .. })) => {
                let was_there = binding.remembered.contains_key(&field.property);
                if was_there || matches!(error, BindError::PropertyType { .. }) {
                    frozen.push((field.property.clone(), error.to_string()));
                }
            }
            Err(error) => return Err(error),
        }
    }
    let own = |name: &str, wanted| binding.property(name, wanted).map(|property| property.id.clone());
    let opt_out = match &mapping.opt_out {
        Some(name) => Some(own(name, PropertyType::Checkbox)?),
        None => None,
    };
    let names = binding.names();
    let ambience = || (binding.clock.clone(), binding.rng.clone());
    let given: Vec<&str> = mapping
        .new_row
        .iter()
        .map(|assignment| assignment.column.as_str())
        .collect();
    let constants = mapping.scope.constants();
    let required = match mapping.presence.on_page_create {
        OnPageCreate::Ignore => Vec::new(),
        OnPageCreate::InsertRow => binding
            .table
            .columns
            .iter()
            .filter(|column| !column.may_be_omitted() && !given.contains(&column.name.as_str()))
            .filter(|column| !constants.iter().any(|(name, _)| *name == column.name))
            .map(|column| column.name.clone())
            .collect(),
    };
    Ok(Entity {
        name: mapping.entity.clone(),
        data_source_id: binding.data_source.id.to_string(),
        key: mapping
            .key
            .iter()
            .map(|name| Ok((name.clone(), binding.column(name)?.pg_type.clone())))
            .collect::<Result<_, _>>()?,
        fields,
        frozen,
        scope: scope_digest(mapping),
        postgres_id: own(&mapping.system.postgres_id, PropertyType::RichText)?,
        last_synced: own(&mapping.system.last_synced, PropertyType::Date)?,
        sync_status: own(&mapping.system.sync_status, PropertyType::Select)?,
        opt_out,
        policy: EntityPolicy {
            presence: mapping.presence,
            conflict: mapping
                .fields
                .first()
                .map_or(crate::mapping::ConflictPolicy::LastWriteWins, |field| {
                    field.conflict
                }),
            last_write: mapping.last_write,
            initial: mapping.notion.initial,
        },
        guards: mapping.guards,
        capture: mapping.capture.clone(),
        create_grace: mapping.create_grace.unwrap_or(binding.create_grace),
        new_row: Arc::new(Assignments {
            assignments: binding.typed(&mapping.new_row)?,
            names: names.clone(),
            ambience: ambience(),
        }),
        soft_delete: Assignments {
            assignments: binding.typed(&mapping.soft_delete)?,
            names,
            ambience: ambience(),
        }
        .columns(&BTreeMap::new())
        .map_err(|error| BindError::Field {
            entity: mapping.entity.clone(),
            property: "soft_delete".to_owned(),
            why: error.message,
        })?,
        required,
    })
}

/// Whether every column fits its property, which the table alone tells: `binding`'s data source is not looked at.
///
/// # Errors
///
/// What [`bind`] would say of the first field that cannot be synced.
pub fn fits(binding: &Binding<'_>) -> Result<(), BindError> {
    for field in &binding.mapping.fields {
        if let Some(source) = &field.source {
            binding.codec(field, source, Vec::new())?;
        }
    }
    Ok(())
}

/// What tells one choice of rows from another: table, key and scope (6.4).
fn scope_digest(mapping: &Mapping) -> String {
    let chosen = format!("{} {:?} {:?}", mapping.table, mapping.key, mapping.scope);
    crate::plan::hex(&Sha256::digest(chosen)[..16])
}

/// The columns that a mapping's rows are read with: key, fields, and those that templates name.
pub fn row_columns(mapping: &Mapping, table: &TableSchema) -> Vec<String> {
    let mut names: Vec<String> = mapping.key.clone();
    let mut named = |template: &Template| {
        let candidates = template.variables().into_iter().chain(template.row_columns());
        names.extend(candidates.filter(|name| table.column(name).is_some()));
    };
    for field in &mapping.fields {
        if let Some(Source::Template(template)) = &field.source {
            named(template);
        }
        if let Some(crate::value::Conversion::Template {
            to_notion,
            to_postgres,
            ..
        }) = &field.conversion
        {
            named(to_notion);
            if let Some(template) = to_postgres {
                named(template);
            }
        }
    }
    names.extend(mapping.fields.iter().filter_map(Field::column).map(str::to_owned));
    if let Capture::UpdatedAt { column } = &mapping.capture {
        names.push(column.clone());
    }
    // What the engine may delete it keeps whole, as far as it may be read, so that it can be put back.
    let is_readable = |column: &&Column| column.privileges.select && column.generated != Generated::Stored;
    match mapping.presence.on_page_trash {
        OnPageTrash::HardDelete => {
            let columns = table.columns.iter().filter(is_readable);
            names.extend(columns.map(|column| column.name.clone()));
        }
        OnPageTrash::SoftDelete => {
            let marks = mapping.soft_delete.iter();
            let columns = marks
                .filter_map(|mark| table.column(&mark.column))
                .filter(is_readable);
            names.extend(columns.map(|column| column.name.clone()));
        }
        OnPageTrash::Hold | OnPageTrash::RestorePage => {}
    }
    names.sort_unstable();
    names.dedup();
    names
}

impl<'a> Binding<'a> {
    fn column(&self, name: &str) -> Result<&'a crate::schema::table::Column, BindError> {
        self.table.column(name).ok_or_else(|| BindError::Column {
            table: self.table.name.to_string(),
            column: name.to_owned(),
        })
    }

    /// The property of a name in the mapping: by the id that is remembered for it, or by the name itself.
    fn property(&self, name: &str, wanted: PropertyType) -> Result<&'a PropertySchema, BindError> {
        let found = self
            .remembered
            .get(name)
            .and_then(|id| self.data_source.property(id))
            .or_else(|| self.data_source.property_named(name))
            .ok_or_else(|| BindError::Property {
                entity: self.mapping.entity.clone(),
                property: name.to_owned(),
            })?;
        if found.property_type() == Some(wanted) {
            Ok(found)
        } else {
            Err(BindError::PropertyType {
                entity: self.mapping.entity.clone(),
                property: name.to_owned(),
                found: found.type_name.clone(),
                wanted,
            })
        }
    }

    /// What templates see beside values and columns.
    fn names(&self) -> Json {
        let (name, vars) = self.profile;
        json!({ "vars": vars, "profile": { "name": name } })
    }

    /// A field that travels; `None` for properties that only stand in Notion's schema.
    fn field(&self, field: &Field) -> Result<Option<EntityField>, BindError> {
        let Some(source) = &field.source else {
            return Ok(None);
        };
        let property = self.property(&field.property, field.property_type())?;
        let takes_default = match source {
            // Where the mapping says what an empty property means, it means that.
            Source::Column(name) => {
                let column = self.column(name)?;
                column.not_null && column.may_be_omitted() && field.empty.is_none()
            }
            Source::Template(_) => false,
        };
        let options = match &property.config {
            PropertyConfig::Options { options, .. } => options
                .iter()
                .map(|option| Choice {
                    // 6.7: a new name that nobody accepted is not the option's name yet.
                    name: self
                        .options
                        .get(&property.id)
                        .and_then(|names| names.get(&option.id))
                        .unwrap_or(&option.name)
                        .clone(),
                    id: Some(option.id.clone()),
                })
                .collect(),
            _ => Vec::new(),
        };
        let codec = self.codec(field, source, options)?;
        let reference = codec.spec().target.clone().map(|target| Reference {
            target,
            column_type: codec.spec().pg_type.clone(),
        });
        Ok(Some(EntityField {
            property: property.id.clone(),
            name: field.property.clone(),
            column: field.column().map(str::to_owned),
            direction: field.direction,
            conflict: field.conflict,
            reference,
            codec: Arc::new(BoundCodec::new(codec, source.clone()).with_default(takes_default)),
        }))
    }

    /// How a field's values cross; an error where its column does not fit its property.
    fn codec(
        &self,
        field: &Field,
        source: &Source,
        options: Vec<Choice>,
    ) -> Result<codec::FieldCodec, BindError> {
        let (pg_type, not_null, allowed) = match source {
            Source::Column(name) => {
                let column = self.column(name)?;
                let allowed = self
                    .table
                    .checks
                    .iter()
                    .find_map(|check| check.allows.as_ref().filter(|(column, _)| column == name))
                    .map(|(_, texts)| texts.clone());
                (column.pg_type.clone(), column.not_null, allowed)
            }
            Source::Template(_) => (PgType::Text, false, None),
        };
        let target = match &field.kind {
            PropertyKind::Relation { target, .. } => Some(target.clone()),
            _ => None,
        };
        let mut spec = FieldSpec::new(pg_type, field.property_type());
        spec.not_null = not_null;
        spec.allowed = allowed;
        if let PropertyKind::Options { on_unknown, .. } = &field.kind {
            spec.on_unknown = match on_unknown {
                UnknownOption::Error => OnUnknown::Refuse,
                UnknownOption::Create => OnUnknown::Create,
            };
        }
        spec.options = options;
        spec.target = target;
        spec.conversion.clone_from(&field.conversion);
        spec.empty = field.empty.map(|empty| match empty {
            Empty::Null => EmptyMeans::Null,
            Empty::Text => EmptyMeans::EmptyText,
        });
        spec.time_zone.clone_from(&field.time_zone);
        spec.names = self.names();
        let codec = codec::FieldCodec::new(spec).map_err(|error| BindError::Field {
            entity: self.mapping.entity.clone(),
            property: field.property.clone(),
            why: error.to_string(),
        })?;
        if field.direction != Direction::ToNotion && !codec.fit().reaches_postgres() {
            return Err(BindError::Field {
                entity: self.mapping.entity.clone(),
                property: field.property.clone(),
                why: "its values travel to Notion only; write `direction: to_notion`".to_owned(),
            });
        }
        Ok(codec)
    }

    /// What is said of options whose new name nobody accepted, and of options that were removed.
    fn moved_options(&self, field: &Field) -> (Vec<Notice>, Vec<Notice>) {
        let (mut renamed, mut removed) = (Vec::new(), Vec::new());
        let Ok(property) = self.property(&field.property, field.property_type()) else {
            return (renamed, removed);
        };
        let (PropertyConfig::Options { options, .. }, Some(agreed)) =
            (&property.config, self.options.get(&property.id))
        else {
            return (renamed, removed);
        };
        for (id, old) in agreed {
            match options.iter().find(|option| option.id == *id) {
                Some(option) if option.name == *old => {}
                Some(option) => renamed.push((
                    field.property.clone(),
                    format!(
                        "option `{old}` is called `{}` in Notion now; name it as before, or write the new name in the \
                         mapping",
                        option.name
                    ),
                )),
                None => removed.push((
                    field.property.clone(),
                    format!(
                        "option `{old}` was removed in Notion, which emptied its pages; take it out of the mapping and \
                         run `setup` to let the rows follow"
                    ),
                )),
            }
        }
        (renamed, removed)
    }

    fn typed(&self, assignments: &[Assignment]) -> Result<Vec<(Assignment, PgType)>, BindError> {
        assignments
            .iter()
            .map(|assignment| {
                Ok((
                    assignment.clone(),
                    self.column(&assignment.column)?.pg_type.clone(),
                ))
            })
            .collect()
    }
}

/// Columns with the values they are given, computed anew for each row.
struct Assignments {
    assignments: Vec<(Assignment, PgType)>,
    names: Json,
    ambience: (Arc<dyn Clock>, Arc<dyn Rng>),
}

impl NewRow for Assignments {
    fn columns(&self, columns: &BTreeMap<String, Value>) -> Result<Vec<(String, Value)>, FieldError> {
        let (clock, rng) = &self.ambience;
        let uuid = Uuid::from_u64_pair(rng.next_u64(), rng.next_u64());
        let ambient = Ambient {
            now: clock.now(),
            uuid: uuid::Builder::from_random_bytes(uuid.into_bytes()).into_uuid(),
        };
        self.assignments
            .iter()
            .map(|(assignment, pg_type)| {
                let value = match &assignment.value {
                    Assigned::Literal(value) => value.clone(),
                    Assigned::Template(template) => rendered(
                        template,
                        &self.names,
                        columns,
                        &ambient.labelled(&assignment.column),
                    )?,
                };
                Ok((
                    assignment.column.clone(),
                    column_value(&assignment.column, pg_type, &value)?,
                ))
            })
            .collect()
    }
}

/// A template over a row: its columns are variables, and `row` holds them all.
fn rendered(
    template: &Template,
    names: &Json,
    columns: &BTreeMap<String, Value>,
    ambient: &Ambient,
) -> Result<Json, FieldError> {
    let row = row_json(columns);
    let mut context = row.as_object().cloned().unwrap_or_default();
    context.insert("row".to_owned(), row);
    if let Some(names) = names.as_object() {
        context.extend(names.clone());
    }
    template
        .render(&Json::Object(context), ambient)
        .map_err(|error| FieldError {
            fault: Fault::Invalid,
            message: error.message,
        })
}

/// A JSON value as a column of that type holds it.
fn column_value(column: &str, pg_type: &PgType, value: &Json) -> Result<Value, FieldError> {
    let text = match value {
        Json::Null => return Ok(Value::Null),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    codec::literal::parse(pg_type, &text).ok_or_else(|| FieldError {
        fault: Fault::Invalid,
        message: format!("the value for column `{column}` does not read as {pg_type}"),
    })
}
