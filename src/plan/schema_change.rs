//! What a Notion database lacks of what its mapping wants, as a list of additions.
//!
//! Pure: [`desired`] says what a mapping asks for, [`diff`] what is missing of it. Nothing is ever deleted,
//! renamed or retyped: what people made stays, and where it stands in the way it is a [`TypeConflict`].
//! Properties are followed by id once one is known, so a renamed property is found and left renamed.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::mapping::{Mapping, OptionChoice, PropertyKind, UnknownOption, View, ViewKind};
use crate::schema::data_source::{OptionSchema, PropertyConfig, PropertySchema, ViewSchema};
use crate::schema::{DataSourceSchema, PropertyType};
use crate::value::{DataSourceId, PropertyId};

/// The most options that one request may list, which is all of a property's.
///
/// Source: Notion API, request limits: arrays hold 100 items.
pub const MAX_OPTIONS: usize = 100;

/// What is known of the databases of a profile from earlier runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// The data source of each entity.
    pub data_sources: BTreeMap<String, DataSourceId>,
    /// For each entity the ids of its properties, by their names in the mapping.
    pub properties: BTreeMap<String, BTreeMap<String, PropertyId>>,
    /// For each entity the names of its options that were agreed on.
    pub options: BTreeMap<String, super::option_names::OptionNames>,
}

/// A database as its mapping wants it.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredDatabase {
    /// The entity.
    pub entity: String,
    /// The title, given when it is made and left alone afterwards.
    pub title: String,
    /// An emoji or the address of a picture, given when it is made and left alone afterwards.
    pub icon: Option<String>,
    /// The line under the title, given when it is made and left alone afterwards.
    pub description: Option<String>,
    /// The mapping's properties in its order, then the engine's own.
    pub properties: Vec<DesiredProperty>,
    /// The views, in the mapping's order.
    pub views: Vec<View>,
}

/// A property as its mapping wants it.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredProperty {
    /// The name it is made with.
    pub name: String,
    /// Its id, where an earlier run learned it.
    pub id: Option<PropertyId>,
    /// The line under its name.
    pub description: Option<String>,
    /// Its type and settings.
    pub kind: PropertyKind,
    /// For a relation, the data source it leads to; `None` while that is still to be made.
    pub target: Option<DataSourceId>,
    /// Whether Notion makes it, as the other end of a two-way relation.
    pub mirror: bool,
}

impl DesiredProperty {
    fn new(name: &str, kind: PropertyKind) -> Self {
        Self {
            name: name.to_owned(),
            id: None,
            description: None,
            kind,
            target: None,
            mirror: false,
        }
    }

    fn stage(&self) -> Stage {
        match self.kind {
            PropertyKind::Relation { .. } => Stage::Properties,
            PropertyKind::Formula { .. } | PropertyKind::Rollup { .. } => Stage::Computed,
            _ => Stage::Create,
        }
    }
}

/// When a change is made, over all databases of a profile: each stage needs the one before everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Databases with the properties that need nothing else.
    Create,
    /// Relations, which need their targets, and everything that an existing database lacks: one request.
    Properties,
    /// Formulas and rollups, which need the relations: one request.
    Computed,
    /// Views, which need the ids of properties.
    Views,
}

/// Something that is missing.
#[derive(Clone, Debug, PartialEq)]
pub enum SchemaChange {
    /// The database itself.
    CreateDatabase {
        /// Its title.
        title: String,
        /// Its icon.
        icon: Option<String>,
        /// The line under the title.
        description: Option<String>,
        /// The properties of the first stage.
        properties: Vec<DesiredProperty>,
    },
    /// A property.
    AddProperty(DesiredProperty),
    /// Options, or a description, of a property with options: the whole list is sent.
    SetOptions {
        /// The property's id.
        property: PropertyId,
        /// Its present name.
        name: String,
        /// Its type.
        property_type: PropertyType,
        /// The description it has or gets; it must be repeated, or Notion clears it.
        description: Option<String>,
        /// The options that are there: all of them stay.
        keep: Vec<OptionSchema>,
        /// The options that are missing.
        add: Vec<OptionChoice>,
    },
    /// A number's display format.
    SetNumberFormat {
        /// The property's id.
        property: PropertyId,
        /// Its present name.
        name: String,
        /// The format it has.
        from: String,
        /// The format it gets.
        to: String,
    },
    /// The description of a property without settings.
    Describe {
        /// The property's id.
        property: PropertyId,
        /// Its present name.
        name: String,
        /// Its type.
        property_type: PropertyType,
        /// The description it gets.
        description: String,
    },
    /// The columns of the view that Notion makes with a database, in the mapping's order.
    ArrangeFirstView {
        /// The mapping's first table, whose place it takes; `None` leaves its name.
        view: Option<View>,
        /// The properties shown, in order.
        columns: Vec<String>,
    },
    /// A view.
    AddView {
        /// The view.
        view: View,
        /// The properties shown, in order.
        columns: Vec<String>,
    },
}

impl SchemaChange {
    /// When it is made.
    pub fn stage(&self) -> Stage {
        match self {
            Self::CreateDatabase { .. } => Stage::Create,
            Self::AddProperty(property) => property.stage().max(Stage::Properties),
            Self::SetOptions { .. } | Self::SetNumberFormat { .. } | Self::Describe { .. } => {
                Stage::Properties
            }
            Self::ArrangeFirstView { .. } | Self::AddView { .. } => Stage::Views,
        }
    }
}

/// One line for people; stable, so that plans can be compared.
impl fmt::Display for SchemaChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateDatabase {
                title, properties, ..
            } => {
                write!(
                    f,
                    "create database `{title}` with {} properties",
                    properties.len()
                )
            }
            Self::AddProperty(property) => match &property.kind {
                PropertyKind::Relation { target, dual: None } => {
                    write!(f, "add property `{}` (relation to {target})", property.name)
                }
                PropertyKind::Relation {
                    target,
                    dual: Some(dual),
                } => {
                    write!(
                        f,
                        "add property `{}` (relation to {target}, back as `{dual}`)",
                        property.name
                    )
                }
                kind => write!(f, "add property `{}` ({})", property.name, kind.property_type()),
            },
            Self::SetOptions { name, add, .. } if add.is_empty() => write!(f, "describe property `{name}`"),
            Self::SetOptions { name, add, .. } => {
                let names: Vec<String> = add.iter().map(|option| format!("`{}`", option.name)).collect();
                let noun = if names.len() == 1 { "option" } else { "options" };
                write!(f, "add {noun} {} to property `{name}`", names.join(", "))
            }
            Self::SetNumberFormat { name, from, to, .. } => {
                write!(f, "show property `{name}` as {to} instead of {from}")
            }
            Self::Describe { name, .. } => write!(f, "describe property `{name}`"),
            Self::ArrangeFirstView { view: Some(view), .. } => {
                write!(f, "arrange the first view as `{}`", view.name)
            }
            Self::ArrangeFirstView { view: None, .. } => f.write_str("arrange the columns of the first view"),
            Self::AddView { view, .. } => write!(f, "add view `{}` ({})", view.name, kind_name(view.kind)),
        }
    }
}

/// Notion's name for a kind of view.
pub fn kind_name(kind: ViewKind) -> &'static str {
    match kind {
        ViewKind::Table => "table",
        ViewKind::Board => "board",
        ViewKind::List => "list",
        ViewKind::Calendar => "calendar",
        ViewKind::Timeline => "timeline",
        ViewKind::Gallery => "gallery",
    }
}

/// A property that stands in the way of what its mapping wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TypeConflict {
    /// The entity.
    pub entity: String,
    /// The property's name in the mapping.
    pub property: String,
    /// What stands in the way.
    pub problem: Problem,
}

/// What stands in the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// Another type.
    Type {
        /// The type that the mapping names.
        wanted: PropertyType,
        /// The type it has.
        found: String,
    },
    /// A relation that leads elsewhere.
    Target {
        /// The entity that the mapping names.
        wanted: String,
        /// The data source it leads to.
        found: DataSourceId,
    },
    /// A property whose name differs in case alone.
    Case {
        /// The name it has.
        found: String,
    },
    /// More options than one request can list.
    TooManyOptions {
        /// How many there would be.
        count: usize,
    },
}

impl fmt::Display for TypeConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.property;
        match &self.problem {
            Problem::Type { wanted, found } => {
                write!(
                    f,
                    "property `{name}` is a {found} in Notion; the mapping wants a {wanted}"
                )
            }
            Problem::Target { wanted, .. } => {
                write!(
                    f,
                    "relation `{name}` leads to another data source than that of `{wanted}`"
                )
            }
            Problem::Case { found } => {
                write!(
                    f,
                    "Notion has a property `{found}`, which differs from `{name}` in case alone"
                )
            }
            Problem::TooManyOptions { count } => {
                write!(
                    f,
                    "property `{name}` would have {count} options; Notion takes {MAX_OPTIONS} at a time"
                )
            }
        }
    }
}

/// What a database lacks, what stands in the way, and what differs without harm.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SchemaPlan {
    /// What is missing, by stage.
    pub changes: Vec<SchemaChange>,
    /// What stands in the way; a field in conflict cannot be synced.
    pub conflicts: Vec<TypeConflict>,
    /// Differences that are left alone, a sentence each.
    pub differences: Vec<String>,
    /// The ids of the properties that were found, by their names in the mapping.
    pub matched: BTreeMap<String, PropertyId>,
}

impl SchemaPlan {
    /// Whether nothing is missing.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// How many requests its changes take, beyond those that found out about them.
    ///
    /// A database costs one request; its relations and whatever an existing one lacks, one together; its formulas
    /// and rollups, one together; each view, one. A new database costs two more reads before its views: its
    /// views (Notion makes one with it), and its schema, unless a change of it has just answered that.
    pub fn requests(&self) -> u64 {
        let has = |stage| self.changes.iter().any(|change| change.stage() == stage);
        let views = self
            .changes
            .iter()
            .filter(|change| change.stage() == Stage::Views)
            .count() as u64;
        let created = has(Stage::Create);
        let patches = u64::from(has(Stage::Properties)) + u64::from(has(Stage::Computed));
        let reads = if created { 1 + u64::from(patches == 0) } else { 0 };
        u64::from(created) + patches + reads + views
    }
}

/// The colours of `sync_status`, in the order people see.
const STATUSES: [(&str, &str); 6] = [
    ("synced", "green"),
    ("pending", "yellow"),
    ("conflict", "red"),
    ("error", "orange"),
    ("held", "gray"),
    ("duplicate", "purple"),
];

/// What a mapping wants of its database; `all` are the profile's mappings, for the other ends of relations.
pub fn desired(mapping: &Mapping, all: &[&Mapping], known: &Known) -> DesiredDatabase {
    let ids = known.properties.get(&mapping.entity);
    let mut properties: Vec<DesiredProperty> = mapping
        .fields
        .iter()
        .map(|field| DesiredProperty {
            description: field.description.clone(),
            target: match &field.kind {
                PropertyKind::Relation { target, .. } => known.data_sources.get(target).cloned(),
                _ => None,
            },
            mirror: is_mirror(mapping, &field.property, &field.kind, all),
            ..DesiredProperty::new(&field.property, field.kind.clone())
        })
        .collect();
    let mut add = |name: &str, kind: PropertyKind| {
        if !properties.iter().any(|property| property.name == name) {
            properties.push(DesiredProperty::new(name, kind));
        }
    };
    if let Some(opt_out) = &mapping.opt_out {
        add(opt_out, PropertyKind::Plain(PropertyType::Checkbox));
    }
    add(
        &mapping.system.postgres_id,
        PropertyKind::Plain(PropertyType::RichText),
    );
    add(
        &mapping.system.last_synced,
        PropertyKind::Plain(PropertyType::Date),
    );
    let options = STATUSES.map(|(name, color)| OptionChoice {
        name: name.to_owned(),
        color: Some(color.to_owned()),
        group: None,
        description: None,
    });
    let status = PropertyKind::Options {
        property_type: PropertyType::Select,
        options: options.to_vec(),
        on_unknown: UnknownOption::Error,
    };
    add(&mapping.system.sync_status, status);
    for property in &mut properties {
        property.id = ids.and_then(|ids| ids.get(&property.name)).cloned();
    }
    DesiredDatabase {
        entity: mapping.entity.clone(),
        title: mapping.notion.title.clone(),
        icon: mapping.notion.icon.clone(),
        description: mapping.notion.description.clone(),
        properties,
        views: mapping.views.clone(),
    }
}

/// Whether another field's two-way relation makes this one. Where both ends declare each other, the first by
/// entity and property name makes it.
fn is_mirror(mapping: &Mapping, name: &str, kind: &PropertyKind, all: &[&Mapping]) -> bool {
    let PropertyKind::Relation { target, dual: own } = kind else {
        return false;
    };
    all.iter().filter(|other| other.entity == *target).any(|other| {
        other.fields.iter().any(|field| {
            let PropertyKind::Relation {
                target: back,
                dual: Some(dual),
            } = &field.kind
            else {
                return false;
            };
            back == &mapping.entity
                && dual == name
                && match own {
                    None => true,
                    Some(own) => {
                        own == &field.property
                            && (other.entity.as_str(), field.property.as_str())
                                < (mapping.entity.as_str(), name)
                    }
                }
        })
    })
}

/// What is missing of a desired database.
///
/// `None` for a database that does not exist. `views` are those of an existing one; only its names matter. Its
/// own result applied, another diff finds nothing.
pub fn diff(
    desired: &DesiredDatabase,
    existing: Option<&DataSourceSchema>,
    views: &[ViewSchema],
) -> SchemaPlan {
    let mut plan = SchemaPlan::default();
    match existing {
        None => create(desired, &mut plan),
        Some(schema) => {
            for property in &desired.properties {
                compare(desired, property, schema, &mut plan);
            }
            for view in &desired.views {
                if !views.iter().any(|present| present.name == view.name) {
                    let columns = columns(desired, view.show.as_deref());
                    plan.changes.push(SchemaChange::AddView {
                        view: view.clone(),
                        columns,
                    });
                }
            }
        }
    }
    plan.changes.sort_by_key(SchemaChange::stage);
    plan
}

fn create(desired: &DesiredDatabase, plan: &mut SchemaPlan) {
    let (first, later): (Vec<_>, Vec<_>) = desired
        .properties
        .iter()
        .cloned()
        .partition(|property| property.stage() == Stage::Create);
    for property in &first {
        if let PropertyKind::Options { options, .. } = &property.kind {
            too_many(desired, property, options.len(), plan);
        }
    }
    plan.changes.push(SchemaChange::CreateDatabase {
        title: desired.title.clone(),
        icon: desired.icon.clone(),
        description: desired.description.clone(),
        properties: first,
    });
    let made_by_us = later.into_iter().filter(|property| !property.mirror);
    plan.changes.extend(made_by_us.map(SchemaChange::AddProperty));
    let first_table = desired.views.iter().position(|view| view.kind == ViewKind::Table);
    let first_view = first_table.map(|at| desired.views[at].clone());
    let shown = first_view.as_ref().and_then(|view| view.show.clone());
    plan.changes.push(SchemaChange::ArrangeFirstView {
        view: first_view,
        columns: columns(desired, shown.as_deref()),
    });
    for (at, view) in desired.views.iter().enumerate() {
        if Some(at) != first_table {
            let columns = columns(desired, view.show.as_deref());
            plan.changes.push(SchemaChange::AddView {
                view: view.clone(),
                columns,
            });
        }
    }
}

fn columns(desired: &DesiredDatabase, show: Option<&[String]>) -> Vec<String> {
    match show {
        Some(show) => show.to_vec(),
        None => desired
            .properties
            .iter()
            .map(|property| property.name.clone())
            .collect(),
    }
}

fn too_many(
    desired: &DesiredDatabase,
    property: &DesiredProperty,
    count: usize,
    plan: &mut SchemaPlan,
) -> bool {
    if count > MAX_OPTIONS {
        plan.conflicts
            .push(conflict(desired, property, Problem::TooManyOptions { count }));
    }
    count > MAX_OPTIONS
}

fn conflict(desired: &DesiredDatabase, property: &DesiredProperty, problem: Problem) -> TypeConflict {
    TypeConflict {
        entity: desired.entity.clone(),
        property: property.name.clone(),
        problem,
    }
}

/// The property that a desired one is: by its id, else by its name; the title is always the title.
fn find<'a>(property: &DesiredProperty, schema: &'a DataSourceSchema) -> Option<&'a PropertySchema> {
    if let Some(found) = property.id.as_ref().and_then(|id| schema.property(id)) {
        return Some(found);
    }
    if property.kind.property_type() == PropertyType::Title {
        return schema
            .properties
            .iter()
            .find(|found| found.property_type() == Some(PropertyType::Title));
    }
    schema.property_named(&property.name)
}

fn compare(
    desired: &DesiredDatabase,
    property: &DesiredProperty,
    schema: &DataSourceSchema,
    plan: &mut SchemaPlan,
) {
    let Some(found) = find(property, schema) else {
        let lower = property.name.to_lowercase();
        if let Some(near) = schema
            .properties
            .iter()
            .find(|found| found.name.to_lowercase() == lower)
        {
            let problem = Problem::Case {
                found: near.name.clone(),
            };
            plan.conflicts.push(conflict(desired, property, problem));
        } else if !property.mirror {
            plan.changes.push(SchemaChange::AddProperty(property.clone()));
        }
        return;
    };
    let wanted = property.kind.property_type();
    if found.property_type() != Some(wanted) {
        let problem = Problem::Type {
            wanted,
            found: found.type_name.clone(),
        };
        plan.conflicts.push(conflict(desired, property, problem));
        return;
    }
    if let (Some(target), PropertyConfig::Relation { data_source_id, .. }) = (&property.target, &found.config)
        && target != data_source_id
        && let PropertyKind::Relation { target: entity, .. } = &property.kind
    {
        let problem = Problem::Target {
            wanted: entity.clone(),
            found: data_source_id.clone(),
        };
        plan.conflicts.push(conflict(desired, property, problem));
        return;
    }
    plan.matched.insert(property.name.clone(), found.id.clone());
    settings(desired, property, found, plan);
}

/// Compares what two properties of one type are set to.
fn settings(
    desired: &DesiredDatabase,
    property: &DesiredProperty,
    found: &PropertySchema,
    plan: &mut SchemaPlan,
) {
    let name = &found.name;
    let description = property
        .description
        .as_ref()
        .filter(|wanted| found.description.as_ref() != Some(*wanted));
    match (&property.kind, &found.config) {
        (
            PropertyKind::Options {
                options,
                property_type,
                ..
            },
            PropertyConfig::Options { options: present, .. },
        ) => {
            let missing = |choice: &&OptionChoice| {
                let lower = choice.name.to_lowercase();
                // Option names are unique without regard to case.
                !present.iter().any(|option| option.name.to_lowercase() == lower)
            };
            let add: Vec<OptionChoice> = options.iter().filter(missing).cloned().collect();
            for choice in options {
                let color = |option: &&OptionSchema| {
                    option.name == choice.name
                        && choice.color.as_ref().is_some_and(|color| color != &option.color)
                };
                if let Some(option) = present.iter().find(color) {
                    // Notion answers 200 to a new colour of an existing option, and keeps the old one.
                    plan.differences.push(format!(
                        "option `{}` of property `{name}` is {} in Notion; its colour can only be changed there",
                        option.name, option.color
                    ));
                }
            }
            if add.is_empty() && description.is_none() {
                return;
            }
            if too_many(desired, property, present.len() + add.len(), plan) {
                return;
            }
            plan.changes.push(SchemaChange::SetOptions {
                property: found.id.clone(),
                name: name.clone(),
                property_type: *property_type,
                description: description.or(found.description.as_ref()).cloned(),
                keep: present.clone(),
                add,
            });
        }
        // `number` is what a mapping that says nothing says: a format that people chose stays.
        (PropertyKind::Number { format }, PropertyConfig::Number { format: present })
            if format != present && format != "number" =>
        {
            plan.changes.push(SchemaChange::SetNumberFormat {
                property: found.id.clone(),
                name: name.clone(),
                from: present.clone(),
                to: format.clone(),
            });
        }
        (PropertyKind::Plain(property_type), _) => {
            if let Some(description) = description {
                plan.changes.push(SchemaChange::Describe {
                    property: found.id.clone(),
                    name: name.clone(),
                    property_type: *property_type,
                    description: description.clone(),
                });
            }
        }
        (
            PropertyKind::Rollup { function, .. },
            PropertyConfig::Rollup {
                function: present, ..
            },
        ) if function != present => {
            plan.differences.push(format!(
                "rollup `{name}` computes {present} in Notion, {function} in the mapping"
            ));
        }
        // Notion prints formulas in its own spelling, so that equal ones cannot be told from changed ones.
        _ => {}
    }
}

#[cfg(test)]
mod tests;
