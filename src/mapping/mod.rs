//! What a mapping file says, once it is known to make sense.
//!
//! A [`Mapping`] names columns and properties and holds every policy; it knows nothing of a live database or
//! workspace. Binding it to both real schemas resolves the names.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::schema::{PropertyType, TableName};
use crate::template::Template;
use crate::value::Conversion;

pub mod document;
pub mod generate;
mod live;
mod parse;
mod predicate;
mod validate;

pub use live::{LiveTable, check_table, columns_of_interest, columns_of_interest_in};
pub use parse::{Parsed, parse, schema};
pub use predicate::{Comparison, Literal, Predicate};
pub use validate::{Scene, validate, validate_together};

/// One entity: a table, a Notion database, and how their fields meet.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// The entity's name, which is also the file's.
    pub entity: String,
    /// The table its rows are in.
    pub table: TableName,
    /// The key columns, in order; at least one.
    pub key: Vec<String>,
    /// Which rows belong to the profile.
    pub scope: Predicate,
    /// The database in Notion.
    pub notion: NotionSettings,
    /// The names of the three properties that the engine owns.
    pub system: SystemProperties,
    /// The fields, in the order of the file; exactly one is the title.
    pub fields: Vec<Field>,
    /// The views to make.
    pub views: Vec<View>,
    /// Values for inserted rows that the page does not carry.
    pub new_row: Vec<Assignment>,
    /// What is written to a row whose page was trashed, with [`OnPageTrash::SoftDelete`].
    pub soft_delete: Vec<Assignment>,
    /// What happens to records that come and go.
    pub presence: PresencePolicies,
    /// How a conflict of last writes is settled.
    pub last_write: LastWritePolicy,
    /// The checkbox property that leaves a record alone both ways.
    pub opt_out: Option<String>,
    /// How changes in Postgres are noticed.
    pub capture: Capture,
    /// How much may change at once.
    pub guards: Guards,
    /// Whether rows whose scope column is NULL are in a profile's scope.
    pub null_scope: NullScope,
    /// How long a page made by a person must rest before a row is made of it; `None`: as the profile says.
    pub create_grace: Option<Duration>,
}

/// The database as people see it.
#[derive(Clone, Debug, PartialEq)]
pub struct NotionSettings {
    /// Its title, which also finds it under the parent page.
    pub title: String,
    /// An emoji, or the address of a picture.
    pub icon: Option<String>,
    /// The line under the title.
    pub description: Option<String>,
    /// The existing data source to adopt.
    pub data_source_id: Option<String>,
    /// Who wins where the sides already differ on first linking; needed to adopt.
    pub initial: Option<Initial>,
}

/// The names of the engine's own properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemProperties {
    /// Text: the record's key.
    pub postgres_id: String,
    /// Date: when the engine last wrote data to the page.
    pub last_synced: String,
    /// Select: how the record stands.
    pub sync_status: String,
}

impl Default for SystemProperties {
    fn default() -> Self {
        Self {
            postgres_id: "postgres_id".to_owned(),
            last_synced: "last_synced".to_owned(),
            sync_status: "sync_status".to_owned(),
        }
    }
}

/// One field: where its value is on each side, and how it travels.
#[derive(Clone, Debug)]
pub struct Field {
    /// The property's name in Notion.
    pub property: String,
    /// The property's type, with the settings that belong to it.
    pub kind: PropertyKind,
    /// Where the value is in Postgres; `None` for properties that only stand in Notion's schema.
    pub source: Option<Source>,
    /// Which way values travel.
    pub direction: Direction,
    /// What happens when both sides changed.
    pub conflict: ConflictPolicy,
    /// How values are changed on the way.
    pub conversion: Option<Conversion>,
    /// What an empty text in Notion means in Postgres; `None`: the empty text where the column refuses NULL, else NULL.
    pub empty: Option<Empty>,
    /// The zone of a column that holds times without one, as an IANA name or an offset.
    pub time_zone: Option<String>,
    /// The line people see under the property's name in Notion.
    pub description: Option<String>,
}

impl Field {
    /// The property's type.
    pub fn property_type(&self) -> PropertyType {
        self.kind.property_type()
    }

    /// The column, for fields that have one.
    pub fn column(&self) -> Option<&str> {
        match &self.source {
            Some(Source::Column(column)) => Some(column),
            Some(Source::Template(_)) | None => None,
        }
    }
}

/// Where a field's value is in Postgres.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A column of the row.
    Column(String),
    /// Text computed from the row; one-way.
    Template(Template),
}

/// A column and the value it is given.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The column.
    pub column: String,
    /// The value.
    pub value: Assigned,
}

/// A value that a mapping gives a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Assigned {
    /// As written: null, a boolean, a number.
    Literal(serde_json::Value),
    /// Computed from the row, the page's values and `vars`.
    Template(Template),
}

/// A property's type and the settings that belong to it.
#[derive(Clone, Debug, PartialEq)]
pub enum PropertyKind {
    /// A type without settings.
    Plain(PropertyType),
    /// A number and its display format.
    Number {
        /// One of Notion's format names.
        format: String,
    },
    /// A select, multi-select or status.
    Options {
        /// Which of the three.
        property_type: PropertyType,
        /// The options that the mapping declares, in order.
        options: Vec<OptionChoice>,
        /// What a value outside the list does.
        on_unknown: UnknownOption,
    },
    /// A relation.
    Relation {
        /// The entity it leads to.
        target: String,
        /// The name of the mirror property there, for a two-way relation.
        dual: Option<String>,
    },
    /// A formula.
    Formula {
        /// Notion's expression.
        expression: String,
    },
    /// A rollup.
    Rollup {
        /// The relation property it follows.
        relation: String,
        /// The property it reads there.
        property: String,
        /// Notion's function name.
        function: String,
    },
    /// A unique id.
    UniqueId {
        /// What stands before the number.
        prefix: Option<String>,
    },
}

impl PropertyKind {
    /// The type.
    pub fn property_type(&self) -> PropertyType {
        match self {
            Self::Plain(property_type) | Self::Options { property_type, .. } => *property_type,
            Self::Number { .. } => PropertyType::Number,
            Self::Relation { .. } => PropertyType::Relation,
            Self::Formula { .. } => PropertyType::Formula,
            Self::Rollup { .. } => PropertyType::Rollup,
            Self::UniqueId { .. } => PropertyType::UniqueId,
        }
    }
}

/// An option of a select, multi-select or status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionChoice {
    /// The name, without commas, at most 100 characters.
    pub name: String,
    /// One of Notion's ten colours.
    pub color: Option<String>,
    /// The group, for a status.
    pub group: Option<String>,
    /// The line people see beside the option.
    pub description: Option<String>,
}

/// Which way a field's values travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Edits travel from either side to the other.
    Both,
    /// Postgres decides; edits in Notion are put back.
    ToNotion,
    /// Notion decides; edits in Postgres are put back.
    ToPostgres,
}

/// What happens when both sides changed a field since they last agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConflictPolicy {
    /// The later write wins, as far as that can be known; the loser is kept.
    LastWriteWins,
    /// Postgres wins; the loser is kept.
    PostgresWins,
    /// Notion wins; the loser is kept.
    NotionWins,
    /// Neither: a person chooses.
    Manual,
}

/// What a value outside the declared options does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownOption {
    /// It is an error of that field, shown and left alone.
    Error,
    /// It becomes an option.
    Create,
}

/// What an empty text in Notion means in Postgres.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Empty {
    /// NULL.
    Null,
    /// The text of no characters.
    Text,
}

/// Who wins where two sides that were never linked already differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Initial {
    /// Postgres.
    Postgres,
    /// Notion.
    Notion,
    /// A person, difference by difference.
    Manual,
}

/// What happens to records that come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresencePolicies {
    /// A row was deleted, or left the scope.
    pub on_row_delete: OnRowDelete,
    /// A person made a page.
    pub on_page_create: OnPageCreate,
    /// A person put a page in the trash.
    pub on_page_trash: OnPageTrash,
    /// A page can no longer be read.
    pub on_inaccessible: OnInaccessible,
    /// A person duplicated a page.
    pub on_duplicate: OnDuplicate,
}

/// What a deleted row does to its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnRowDelete {
    /// The page goes to the trash, from where it can be restored for 30 days.
    TrashPage,
    /// The page stays, marked.
    Mark,
    /// The page stays as it is.
    Ignore,
}

/// What a page made by a person does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnPageCreate {
    /// Nothing.
    Ignore,
    /// A row is inserted.
    InsertRow,
}

/// What a trashed page does to its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnPageTrash {
    /// Nothing; the record is held and shown.
    Hold,
    /// The page is restored.
    RestorePage,
    /// The columns of `soft_delete` are set.
    SoftDelete,
    /// The row is deleted.
    HardDelete,
}

/// What a page that can no longer be read does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnInaccessible {
    /// Nothing; the record is held and shown.
    Hold,
    /// A new page is made.
    Recreate,
    /// As if it had been trashed.
    TreatAsDeleted,
}

/// What a duplicated page does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDuplicate {
    /// It is marked as a duplicate.
    Flag,
    /// It becomes a record of its own.
    NewRow,
}

/// How a conflict of last writes is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastWritePolicy {
    /// Who wins when it cannot be known who was later.
    pub tie_break: TieBreak,
    /// How sure the answer must be to be taken.
    pub min_certainty: MinCertainty,
}

/// Who wins when it cannot be known who was later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TieBreak {
    /// Postgres.
    Postgres,
    /// Notion.
    Notion,
    /// A person.
    Manual,
}

/// How sure last write wins must be; anything less goes to the tie-break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MinCertainty {
    /// The times of both edits cannot overlap.
    Proven,
    /// The best estimates of the times are far enough apart.
    Probable,
}

/// How changes in Postgres are noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capture {
    /// The rows in scope are read and compared.
    Scan,
    /// Rows are read from where this column says that something changed.
    UpdatedAt {
        /// A timestamp column that the application sets.
        column: String,
    },
    /// Triggers note which rows changed.
    Triggers,
}

/// How much one run may change without a person's approval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guards {
    /// The share of linked records that may be deleted in one run and in a day, 0 to 1.
    ///
    /// The cap is `min(500, max(3, share of linked))`.
    pub delete_cap: f64,
    /// The share of records in which one field may change in one run, 0 to 1, from 20 records on.
    pub mass_change: f64,
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            delete_cap: 0.05,
            mass_change: 0.5,
        }
    }
}

/// Whether rows whose scope column is NULL are in scope beside the profile's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NullScope {
    /// They are not.
    Exclude,
    /// They are.
    Include,
}

/// A view of the database.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// Its name, unique among the views.
    pub name: String,
    /// Notion's view type.
    pub kind: ViewKind,
    /// The property that groups a board, or the date of a calendar or timeline.
    pub group_by: Option<String>,
    /// The properties shown, in order; `None` shows all, in the order of the mapping.
    pub show: Option<Vec<String>>,
    /// Sort order: property and whether descending.
    pub sort: Vec<(String, bool)>,
}

/// The types of view that a mapping can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ViewKind {
    /// Rows and columns.
    Table,
    /// Cards in columns, by an option property.
    Board,
    /// A plain list.
    List,
    /// Days, by a date property.
    Calendar,
    /// Bars, by a date property.
    Timeline,
    /// Cards with pictures.
    Gallery,
}
