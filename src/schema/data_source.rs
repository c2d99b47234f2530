//! A Notion data source as the API describes it.

use serde::{Deserialize, Serialize};

use super::PropertyType;
use crate::value::{DataSourceId, DatabaseId, PropertyId};

/// A data source: the schema and rows inside a Notion database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataSourceSchema {
    /// Its own id.
    pub id: DataSourceId,
    /// The database that contains it.
    pub database_id: DatabaseId,
    /// The title, as plain text.
    pub title: String,
    /// Whether it, or the database around it, is in the trash.
    pub in_trash: bool,
    /// The properties, in the order the API lists them.
    pub properties: Vec<PropertySchema>,
}

impl DataSourceSchema {
    /// The property with that id.
    pub fn property(&self, id: &PropertyId) -> Option<&PropertySchema> {
        self.properties.iter().find(|property| &property.id == id)
    }

    /// The property with that exact name.
    pub fn property_named(&self, name: &str) -> Option<&PropertySchema> {
        self.properties.iter().find(|property| property.name == name)
    }
}

/// One property of a data source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PropertySchema {
    /// The id, which survives renaming; `title` for the title.
    pub id: PropertyId,
    /// The name people see.
    pub name: String,
    /// The description people see.
    pub description: Option<String>,
    /// The type's name, as it came: may be one that [`PropertyType`] does not know.
    pub type_name: String,
    /// What the type needs besides its name.
    pub config: PropertyConfig,
}

impl PropertySchema {
    /// The type, where mappings know it.
    pub fn property_type(&self) -> Option<PropertyType> {
        PropertyType::from_name(&self.type_name)
    }
}

/// The settings of a property, by type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PropertyConfig {
    /// The type has no settings.
    Plain,
    /// The display format of a number.
    Number {
        /// One of Notion's format names.
        format: String,
    },
    /// The options of a select, multi-select or status.
    Options {
        /// In the order people see.
        options: Vec<OptionSchema>,
        /// The groups of a status; empty for the other two.
        groups: Vec<OptionGroup>,
    },
    /// Where a relation leads.
    Relation {
        /// The data source its pages are in.
        data_source_id: DataSourceId,
        /// The mirror property on the other side, for a two-way relation.
        dual: Option<PropertyId>,
    },
    /// The expression of a formula.
    Formula {
        /// As Notion prints it.
        expression: String,
    },
    /// What a rollup computes.
    Rollup {
        /// The relation it follows.
        relation: PropertyId,
        /// The property it reads there.
        property: PropertyId,
        /// The present name of that property, which is in another data source; empty where Notion does not tell.
        #[serde(default)]
        property_name: String,
        /// How it combines the values.
        function: String,
    },
    /// The prefix of a unique id.
    UniqueId {
        /// `None` for bare numbers.
        prefix: Option<String>,
    },
    /// Settings of a type that mappings do not know, kept as they came.
    Unknown(serde_json::Value),
}

/// One option of a select, multi-select or status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptionSchema {
    /// The id, which survives renaming.
    pub id: String,
    /// The name people see.
    pub name: String,
    /// One of Notion's ten colours.
    pub color: String,
    /// The description people see.
    pub description: Option<String>,
}

/// A group of status options.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptionGroup {
    /// The group's name, such as `To-do`.
    pub name: String,
    /// The ids of its options.
    pub option_ids: Vec<String>,
}

/// A view of a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewSchema {
    /// Its id.
    pub id: String,
    /// The name people see.
    pub name: String,
    /// Notion's name for the kind of view, such as `table`.
    pub kind: String,
    /// The properties it shows, in order; empty where it does not say.
    #[serde(default)]
    pub columns: Vec<PropertyId>,
}
