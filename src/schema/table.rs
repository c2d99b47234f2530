//! A Postgres table as the catalog describes it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of a relation: schema and table, unquoted and exactly as the catalog spells them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableName {
    /// The schema, `public` when a mapping names none.
    pub schema: String,
    /// The table, view or partitioned table.
    pub name: String,
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// What kind of relation a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relkind {
    /// An ordinary table.
    Table,
    /// A partitioned table.
    Partitioned,
    /// A view; written only where it is updatable.
    View,
    /// A materialized view; never written.
    MaterializedView,
    /// A foreign table.
    Foreign,
}

/// A table as the connected role sees it.
///
/// Columns stand in the order of the catalog (`attnum`), without dropped and system columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableSchema {
    /// Where it is.
    pub name: TableName,
    /// What it is.
    pub relkind: Relkind,
    /// The comment on the table.
    pub comment: Option<String>,
    /// The columns, in order.
    pub columns: Vec<Column>,
    /// The primary key's columns in key order; empty when there is none.
    pub primary_key: Vec<String>,
    /// Column lists of every valid, non-partial unique index over plain columns, the primary key's included.
    pub unique: Vec<Vec<String>>,
    /// Foreign keys that leave this table.
    pub foreign_keys: Vec<ForeignKey>,
    /// CHECK constraints.
    pub checks: Vec<Check>,
    /// The planner's estimate of the number of rows; `None` before the first ANALYZE.
    pub estimated_rows: Option<u64>,
    /// What the connected role may do with the table as a whole.
    pub privileges: TablePrivileges,
    /// Whether row security filters what the connected role sees (`row_security_active`).
    pub row_security_active: bool,
}

impl TableSchema {
    /// A table of nothing but columns, without a key, as its owner sees it.
    pub fn plain(name: TableName, columns: Vec<Column>) -> Self {
        Self {
            name,
            relkind: Relkind::Table,
            comment: None,
            columns,
            primary_key: Vec::new(),
            unique: Vec::new(),
            foreign_keys: Vec::new(),
            checks: Vec::new(),
            estimated_rows: None,
            privileges: TablePrivileges {
                delete: true,
                trigger: true,
                owner: true,
            },
            row_security_active: false,
        }
    }

    /// The column of that exact name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The columns' names, in the table's order.
    pub fn column_names(&self) -> impl Iterator<Item = &str> + Clone {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// Whether these columns, in any order, are covered by a unique index of just them or fewer.
    pub fn is_unique(&self, columns: &[String]) -> bool {
        self.unique
            .iter()
            .any(|unique| unique.iter().all(|column| columns.contains(column)))
    }
}

/// One column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// The name, unquoted.
    pub name: String,
    /// The type, with its modifiers.
    pub pg_type: PgType,
    /// Whether NULL is refused, by the column or by its domain.
    pub not_null: bool,
    /// The default's expression, as `pg_get_expr` prints it.
    pub default: Option<String>,
    /// Where a value comes from when none is given.
    pub generated: Generated,
    /// The comment on the column.
    pub comment: Option<String>,
    /// What the connected role may do with this column.
    pub privileges: ColumnPrivileges,
}

impl Column {
    /// A column with nothing but a name and a type, as the owner of its table sees it.
    pub fn plain(name: &str, pg_type: PgType) -> Self {
        Self {
            name: name.to_owned(),
            pg_type,
            not_null: false,
            default: None,
            generated: Generated::Never,
            comment: None,
            privileges: ColumnPrivileges {
                select: true,
                insert: true,
                update: true,
            },
        }
    }

    /// Whether an INSERT may leave the column out.
    pub fn may_be_omitted(&self) -> bool {
        !self.not_null || self.default.is_some() || self.generated != Generated::Never
    }
}

/// Whether Postgres makes a column's value itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Generated {
    /// An ordinary column.
    Never,
    /// `generated always as (…) stored`: refuses every write.
    Stored,
    /// `generated always as identity`: refuses a given value.
    IdentityAlways,
    /// `generated by default as identity`.
    IdentityByDefault,
}

/// The type of a column, as far as conversion needs to tell types apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PgType {
    /// `text`, and `name`.
    Text,
    /// `varchar`, with its length in characters.
    Varchar(Option<u32>),
    /// `char(n)`: padded with blanks that do not count.
    Char(u32),
    /// `citext`: equal without case.
    Citext,
    /// `uuid`.
    Uuid,
    /// `smallint`.
    Int2,
    /// `integer`.
    Int4,
    /// `bigint`.
    Int8,
    /// `real`.
    Float4,
    /// `double precision`.
    Float8,
    /// `numeric`, with precision and scale where they are declared.
    Numeric(Option<(u16, i16)>),
    /// `boolean`.
    Bool,
    /// `date`.
    Date,
    /// `time without time zone`.
    Time,
    /// `time with time zone`.
    Timetz,
    /// `timestamp without time zone`.
    Timestamp,
    /// `timestamp with time zone`.
    Timestamptz,
    /// `interval`.
    Interval,
    /// `json`: text that parses, kept to the letter.
    Json,
    /// `jsonb`.
    Jsonb,
    /// `bytea`.
    Bytea,
    /// `inet`.
    Inet,
    /// An enum type and its labels in their declared order.
    Enum {
        /// The type's name, schema-qualified.
        name: String,
        /// The labels.
        labels: Vec<String>,
    },
    /// A domain over another type.
    Domain {
        /// The domain's name, schema-qualified.
        name: String,
        /// The type underneath.
        base: Box<PgType>,
    },
    /// A one-dimensional array.
    Array(Box<PgType>),
    /// Anything else, by the name `format_type` gives it.
    Other(String),
}

impl PgType {
    /// The type under any domains.
    pub fn base(&self) -> &PgType {
        match self {
            PgType::Domain { base, .. } => base.base(),
            other => other,
        }
    }
}

impl fmt::Display for PgType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PgType::Text => f.write_str("text"),
            PgType::Varchar(None) => f.write_str("varchar"),
            PgType::Varchar(Some(length)) => write!(f, "varchar({length})"),
            PgType::Char(length) => write!(f, "char({length})"),
            PgType::Citext => f.write_str("citext"),
            PgType::Uuid => f.write_str("uuid"),
            PgType::Int2 => f.write_str("smallint"),
            PgType::Int4 => f.write_str("integer"),
            PgType::Int8 => f.write_str("bigint"),
            PgType::Float4 => f.write_str("real"),
            PgType::Float8 => f.write_str("double precision"),
            PgType::Numeric(None) => f.write_str("numeric"),
            PgType::Numeric(Some((precision, scale))) => write!(f, "numeric({precision},{scale})"),
            PgType::Bool => f.write_str("boolean"),
            PgType::Date => f.write_str("date"),
            PgType::Time => f.write_str("time"),
            PgType::Timetz => f.write_str("timetz"),
            PgType::Timestamp => f.write_str("timestamp"),
            PgType::Timestamptz => f.write_str("timestamptz"),
            PgType::Interval => f.write_str("interval"),
            PgType::Json => f.write_str("json"),
            PgType::Jsonb => f.write_str("jsonb"),
            PgType::Bytea => f.write_str("bytea"),
            PgType::Inet => f.write_str("inet"),
            PgType::Enum { name, .. } | PgType::Domain { name, .. } | PgType::Other(name) => {
                f.write_str(name)
            }
            PgType::Array(element) => write!(f, "{element}[]"),
        }
    }
}

/// A foreign key that leaves a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey {
    /// The referring columns.
    pub columns: Vec<String>,
    /// The table referred to.
    pub references: TableName,
    /// The columns referred to, one for each referring column.
    pub referenced_columns: Vec<String>,
}

/// A CHECK constraint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The constraint's name.
    pub name: String,
    /// Its expression, as `pg_get_constraintdef` prints it.
    pub expression: String,
    /// When the constraint says that one column is one of some texts: the column and those texts.
    pub allows: Option<(String, Vec<String>)>,
}

/// Rights on a table that are not rights on columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TablePrivileges {
    /// May delete rows.
    pub delete: bool,
    /// May create triggers.
    pub trigger: bool,
    /// Owns the table, or is a member of the role that does.
    pub owner: bool,
}

/// Rights on one column, granted on it or on its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnPrivileges {
    /// May read it.
    pub select: bool,
    /// May set it on new rows.
    pub insert: bool,
    /// May change it.
    pub update: bool,
}

/// What one column holds at present: read once for `validate` and `generate`, never for a sync.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ColumnFacts {
    /// Rows looked at; at most the sample size the caller asked for.
    pub rows: u64,
    /// Rows in which the column is NULL.
    pub nulls: u64,
    /// The longest text, in characters; `None` when the column is no text or empty.
    pub longest: Option<u64>,
    /// Numbers that a double cannot hold exactly.
    pub inexact_numbers: u64,
    /// The distinct values as text, when there are no more than the caller's limit; array elements apart.
    pub distinct: Option<Vec<String>>,
}
