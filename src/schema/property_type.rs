//! The types a Notion property can have.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The type of a Notion property, as mappings and Notion's API both spell it.
///
/// Source: Notion API 2026-03-11, property object. Types that a mapping cannot name (button, location,
/// verification, place, last_visited_time) are carried by [`super::data_source::PropertySchema`] as they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PropertyType {
    /// The page's title; every data source has exactly one.
    Title,
    /// Text with formatting, up to 200,000 UTF-16 units a write.
    RichText,
    /// A double-precision number.
    Number,
    /// One of a list of options.
    Select,
    /// A set of options.
    MultiSelect,
    /// One of a list of options in three groups; its options never appear by themselves.
    Status,
    /// A day, an instant, or a range of either.
    Date,
    /// True or false; never empty.
    Checkbox,
    /// A web address.
    Url,
    /// An e-mail address.
    Email,
    /// A telephone number.
    PhoneNumber,
    /// References to pages of another data source.
    Relation,
    /// People of the workspace.
    People,
    /// Uploaded or linked files.
    Files,
    /// Computed by Notion from an expression.
    Formula,
    /// Computed by Notion over a relation.
    Rollup,
    /// A number that Notion gives each page.
    UniqueId,
    /// When the page was created, to the minute.
    CreatedTime,
    /// Who created the page.
    CreatedBy,
    /// When the page was last edited, to the minute.
    LastEditedTime,
    /// Who edited the page last.
    LastEditedBy,
}

impl PropertyType {
    /// Every type, in the order the documentation lists them.
    pub const ALL: [PropertyType; 21] = [
        Self::Title,
        Self::RichText,
        Self::Number,
        Self::Select,
        Self::MultiSelect,
        Self::Status,
        Self::Date,
        Self::Checkbox,
        Self::Url,
        Self::Email,
        Self::PhoneNumber,
        Self::Relation,
        Self::People,
        Self::Files,
        Self::Formula,
        Self::Rollup,
        Self::UniqueId,
        Self::CreatedTime,
        Self::CreatedBy,
        Self::LastEditedTime,
        Self::LastEditedBy,
    ];

    /// The name in YAML and in Notion's JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::RichText => "rich_text",
            Self::Number => "number",
            Self::Select => "select",
            Self::MultiSelect => "multi_select",
            Self::Status => "status",
            Self::Date => "date",
            Self::Checkbox => "checkbox",
            Self::Url => "url",
            Self::Email => "email",
            Self::PhoneNumber => "phone_number",
            Self::Relation => "relation",
            Self::People => "people",
            Self::Files => "files",
            Self::Formula => "formula",
            Self::Rollup => "rollup",
            Self::UniqueId => "unique_id",
            Self::CreatedTime => "created_time",
            Self::CreatedBy => "created_by",
            Self::LastEditedTime => "last_edited_time",
            Self::LastEditedBy => "last_edited_by",
        }
    }

    /// The type with that name, if mappings know it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether Notion computes the value and refuses to be told it.
    pub fn is_read_only(self) -> bool {
        matches!(
            self,
            Self::Formula
                | Self::Rollup
                | Self::UniqueId
                | Self::CreatedTime
                | Self::CreatedBy
                | Self::LastEditedTime
                | Self::LastEditedBy
        )
    }

    /// Whether values are chosen from a list of options.
    pub fn has_options(self) -> bool {
        matches!(self, Self::Select | Self::MultiSelect | Self::Status)
    }
}

impl fmt::Display for PropertyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
