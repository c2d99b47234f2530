//! What a Notion database lacks of what its mapping wants, as a list of additions.
//!
//! Pure: [`desired`] says what a mapping asks for, [`diff`] what is missing of it. Nothing is ever deleted,
//! renamed or retyped: what people made stays, and where it stands in the way it is a [`TypeConflict`].
//! Properties are followed by id once one is known, so a renamed property is found and left renamed.

mod formula;

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
    /// For a rollup, the id of the property it reads in the other data source, where an earlier run learned it.
    pub read: Option<PropertyId>,
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
            read: None,
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
        /// The description it has or gets.
        description: Option<String>,
    },
    /// What a rollup follows, reads or computes.
    SetRollup {
        /// The property's id.
        property: PropertyId,
        /// Its present name.
        name: String,
        /// The relation it follows.
        relation: PropertyId,
        /// The property it reads there.
        read: RollupRead,
        /// How it combines the values.
        function: String,
        /// The description it has or gets.
        description: Option<String>,
    },
    /// What stands before the number of a unique id.
    SetPrefix {
        /// The property's id.
        property: PropertyId,
        /// Its present name.
        name: String,
        /// The prefix it gets.
        to: String,
        /// The description it has or gets.
        description: Option<String>,
    },
    /// The description of a property, and nothing else.
    Describe {
        /// The property's id.
        property: PropertyId,
        /// Its present name.
        name: String,
        /// Its type.
        property_type: PropertyType,
        /// What it is set to, which is sent again.
        settings: PropertyConfig,
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

/// The property that a rollup reads, which is in another data source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RollupRead {
    /// By the id that an earlier run learned.
    Id(PropertyId),
    /// By its name.
    Name(String),
}

impl SchemaChange {
    /// When it is made.
    pub fn stage(&self) -> Stage {
        match self {
            Self::CreateDatabase { .. } => Stage::Create,
            Self::AddProperty(property) => property.stage().max(Stage::Properties),
            Self::SetOptions { .. }
            | Self::SetNumberFormat { .. }
            | Self::SetPrefix { .. }
            | Self::Describe { .. } => Stage::Properties,
            Self::SetRollup { .. } => Stage::Computed,
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
            Self::SetRollup { name, function, .. } => {
                write!(f, "set what rollup `{name}` reads and computes ({function})")
            }
            Self::SetPrefix { name, to, .. } => {
                write!(f, "put `{to}` before the numbers of property `{name}`")
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
    /// and rollups, one together; each view, one. Arranging the first view costs a read of the views before it, and
    /// a new database one of its schema, unless a change of it has just answered that.
    pub fn requests(&self) -> u64 {
        let has = |stage| self.changes.iter().any(|change| change.stage() == stage);
        let views = self
            .changes
            .iter()
            .filter(|change| change.stage() == Stage::Views)
            .count() as u64;
        let created = has(Stage::Create);
        let patches = u64::from(has(Stage::Properties)) + u64::from(has(Stage::Computed));
        let arranges = |change: &SchemaChange| matches!(change, SchemaChange::ArrangeFirstView { .. });
        let lists = u64::from(self.changes.iter().any(arranges));
        let reads = lists + u64::from(created && patches == 0);
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
            read: rollup_read(mapping, &field.kind, known),
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

/// The id of the property that a rollup reads, where it is known.
fn rollup_read(mapping: &Mapping, kind: &PropertyKind, known: &Known) -> Option<PropertyId> {
    let PropertyKind::Rollup {
        relation, property, ..
    } = kind
    else {
        return None;
    };
    let followed = mapping.fields.iter().find(|field| field.property == *relation)?;
    let PropertyKind::Relation { target, .. } = &followed.kind else {
        return None;
    };
    known.properties.get(target)?.get(property).cloned()
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
/// `None` for a database that does not exist. `views` are those of an existing one. Its own result applied, another
/// diff finds nothing.
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
            add_views(desired, views, None, &mut plan);
        }
    }
    plan.changes.sort_by_key(SchemaChange::stage);
    plan
}

/// As [`diff`], for a database that a run of ours made and that it may not have finished.
///
/// Of its views, the one that Notion made with it is the first, and still to be arranged unless it has its name and
/// columns already; a run arranges it before it adds others.
pub fn diff_unfinished(
    desired: &DesiredDatabase,
    schema: &DataSourceSchema,
    views: &[ViewSchema],
) -> SchemaPlan {
    let mut plan = diff(desired, Some(schema), views);
    let [only] = views else {
        return plan;
    };
    let first = first_table(desired);
    let shown = columns(desired, first.and_then(|view| view.show.as_deref()));
    let ids = shown
        .iter()
        .filter_map(|name| desired.properties.iter().find(|property| property.name == *name))
        .filter_map(|property| find(property, schema))
        .map(|property| &property.id);
    let named = first.is_none_or(|view| view.name == only.name);
    if named && ids.eq(&only.columns) {
        return plan;
    }
    plan.changes.retain(|change| change.stage() != Stage::Views);
    plan.changes.push(SchemaChange::ArrangeFirstView {
        view: first.cloned(),
        columns: shown,
    });
    add_views(desired, views, first, &mut plan);
    plan
}

/// Adds the views that are missing, but for the one that another becomes.
fn add_views(desired: &DesiredDatabase, views: &[ViewSchema], first: Option<&View>, plan: &mut SchemaPlan) {
    for view in &desired.views {
        let is_first = first.is_some_and(|first| first.name == view.name);
        if !is_first && !views.iter().any(|present| present.name == view.name) {
            plan.changes.push(SchemaChange::AddView {
                view: view.clone(),
                columns: columns(desired, view.show.as_deref()),
            });
        }
    }
}

/// The view that the one becomes that Notion makes with a database.
fn first_table(desired: &DesiredDatabase) -> Option<&View> {
    desired.views.iter().find(|view| view.kind == ViewKind::Table)
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
    let first = first_table(desired);
    plan.changes.push(SchemaChange::ArrangeFirstView {
        view: first.cloned(),
        columns: columns(desired, first.and_then(|view| view.show.as_deref())),
    });
    add_views(desired, &[], first, plan);
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
    settings(desired, property, found, schema, plan);
}

/// Compares what two properties of one type are set to.
fn settings(
    desired: &DesiredDatabase,
    property: &DesiredProperty,
    found: &PropertySchema,
    schema: &DataSourceSchema,
    plan: &mut SchemaPlan,
) {
    let name = &found.name;
    let new_description = property
        .description
        .as_ref()
        .filter(|wanted| found.description.as_ref() != Some(*wanted));
    // What it has is repeated with every change, so that no change can clear it.
    let description = new_description.or(found.description.as_ref()).cloned();
    match (&property.kind, &found.config) {
        (
            PropertyKind::Options {
                options,
                property_type,
                ..
            },
            PropertyConfig::Options { options: present, .. },
        ) => {
            tell_colors(name, options, present, plan);
            let missing = |choice: &&OptionChoice| {
                let lower = choice.name.to_lowercase();
                // Option names are unique without regard to case.
                !present.iter().any(|option| option.name.to_lowercase() == lower)
            };
            let add: Vec<OptionChoice> = options.iter().filter(missing).cloned().collect();
            if add.is_empty() && new_description.is_none() {
                return;
            }
            if too_many(desired, property, present.len() + add.len(), plan) {
                return;
            }
            plan.changes.push(SchemaChange::SetOptions {
                property: found.id.clone(),
                name: name.clone(),
                property_type: *property_type,
                description,
                keep: present.clone(),
                add,
            });
            return;
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
                description,
            });
            return;
        }
        (PropertyKind::UniqueId { prefix: Some(prefix) }, PropertyConfig::UniqueId { prefix: present })
            // Whether Notion keeps the case of a prefix is not known.
            if !present.as_ref().is_some_and(|present| present.eq_ignore_ascii_case(prefix)) =>
        {
            plan.changes.push(SchemaChange::SetPrefix {
                property: found.id.clone(),
                name: name.clone(),
                to: prefix.clone(),
                description,
            });
            return;
        }
        (PropertyKind::Rollup { .. }, PropertyConfig::Rollup { .. }) => {
            if let Some(change) = rollup_change(desired, property, found, schema, description) {
                plan.changes.push(change);
                return;
            }
        }
        (PropertyKind::Formula { expression }, PropertyConfig::Formula { expression: present })
            if formula::spelled(expression, schema) != formula::spelled(present, schema) =>
        {
            // Notion prints formulas in a spelling of its own: one sent whenever it differs might be sent for ever.
            plan.differences.push(format!(
                "formula `{name}` has another expression in Notion than in the mapping; change it in Notion"
            ));
        }
        _ => {}
    }
    let Some(description) = new_description else {
        return;
    };
    if matches!(
        found.config,
        PropertyConfig::Relation { .. } | PropertyConfig::Formula { .. }
    ) {
        // Their settings cannot be repeated as they are: a relation could get a second mirror, a formula lose its text.
        plan.differences.push(format!(
            "the description of property `{name}` differs; that of a {} can only be changed in Notion",
            found.type_name
        ));
        return;
    }
    plan.changes.push(SchemaChange::Describe {
        property: found.id.clone(),
        name: name.clone(),
        property_type: property.kind.property_type(),
        settings: found.config.clone(),
        description: description.clone(),
    });
}

/// Tells the options that have another colour in Notion.
fn tell_colors(name: &str, options: &[OptionChoice], present: &[OptionSchema], plan: &mut SchemaPlan) {
    for choice in options {
        let differs = |option: &&OptionSchema| {
            option.name == choice.name && choice.color.as_ref().is_some_and(|color| color != &option.color)
        };
        if let Some(option) = present.iter().find(differs) {
            // Notion answers 200 to a new colour of an existing option, and keeps the old one.
            plan.differences.push(format!(
                "option `{}` of property `{name}` is {} in Notion; its colour can only be changed there",
                option.name, option.color
            ));
        }
    }
}

/// What makes a rollup follow, read and compute what the mapping says; `None` where it does.
fn rollup_change(
    desired: &DesiredDatabase,
    property: &DesiredProperty,
    found: &PropertySchema,
    schema: &DataSourceSchema,
    description: Option<String>,
) -> Option<SchemaChange> {
    let (
        PropertyKind::Rollup {
            relation,
            property: read_name,
            function,
        },
        PropertyConfig::Rollup {
            relation: present_relation,
            property: present_read,
            property_name,
            function: present_function,
        },
    ) = (&property.kind, &found.config)
    else {
        return None;
    };
    // A relation that is missing too is made in this run; the rollup is compared in the next.
    let followed = desired.properties.iter().find(|other| other.name == *relation)?;
    let relation = &find(followed, schema)?.id;
    let reads_it = match &property.read {
        Some(read) => read == present_read,
        // An answer that does not name it cannot be compared.
        None => property_name.is_empty() || read_name == property_name,
    };
    if relation == present_relation && reads_it && function == present_function {
        return None;
    }
    let read = match &property.read {
        Some(read) => RollupRead::Id(read.clone()),
        None => RollupRead::Name(read_name.clone()),
    };
    Some(SchemaChange::SetRollup {
        property: found.id.clone(),
        name: found.name.clone(),
        relation: relation.clone(),
        read,
        function: function.clone(),
        description,
    })
}

#[cfg(test)]
mod tests;
