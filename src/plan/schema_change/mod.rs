//! What a Notion database lacks of what its mapping wants, as a list of additions.
//!
//! Pure: [`desired`] says what a mapping asks for, [`diff`] what is missing of it. Nothing is ever deleted,
//! renamed or retyped: what people made stays, and where it stands in the way it is a [`TypeConflict`].
//! Properties are followed by id once one is known, so a renamed property is found and left renamed.

mod desired;
mod diff;
mod formula;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::mapping::{OptionChoice, PropertyKind, View, ViewKind};
use crate::schema::PropertyType;
use crate::schema::data_source::{OptionSchema, PropertyConfig};
use crate::value::{DataSourceId, PropertyId};

pub use desired::desired;
pub use diff::{diff, diff_unfinished};

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
    /// The data sources of other profiles with the same state: whatever their title, they are not this profile's.
    pub others: BTreeSet<DataSourceId>,
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

#[cfg(test)]
mod tests;
