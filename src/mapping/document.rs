//! A mapping file as written.
//!
//! These types are the file's shape and nothing more: the JSON Schema in `schemas/mapping.schema.json` is generated
//! from them, descriptions included, so every doc comment on a key is what an editor shows for it.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    ConflictPolicy, Direction, Empty, Initial, MinCertainty, NullScope, OnDuplicate, OnInaccessible,
    OnPageCreate, OnPageTrash, OnRowDelete, TieBreak, UnknownOption, ViewKind,
};
use crate::schema::PropertyType;

/// How one entity's table and Notion database meet.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "frames-sync mapping")]
pub struct MappingDocument {
    /// The version of this file's format: 1.
    pub version: Version,
    /// The entity's name, which is also the file's: `mappings/teams.yaml` is `teams`.
    pub entity: Name,
    /// The table, as `table` or `schema.table`; without a schema, `public` is meant.
    pub table: NonEmpty,
    /// The key column, or a list of key columns.
    pub key: OneOrMany,
    /// Which rows belong to the profile. Each column with the value it must have: a text, number or boolean, `null`, a list, or an operator such as `{ not: x }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<ScopeDocument>,
    /// The database in Notion.
    pub notion: NotionDocument,
    /// What happens when both sides changed a field: the default for all properties.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<ConflictPolicy>,
    /// What a deleted row does to its page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_row_delete: Option<OnRowDelete>,
    /// What a page that a person made does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_page_create: Option<OnPageCreate>,
    /// What a page that a person put in the trash does to its row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_page_trash: Option<OnPageTrash>,
    /// With `on_page_trash: soft_delete`, the columns to set, each with a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft_delete: Option<Map<String, Value>>,
    /// What a page that can no longer be read does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_inaccessible: Option<OnInaccessible>,
    /// What a page that a person duplicated does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_duplicate: Option<OnDuplicate>,
    /// A checkbox property; where a person ticks it, the record is left alone both ways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opt_out: Option<String>,
    /// Values for inserted rows that the page does not carry: each column with a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_row: Option<Map<String, Value>>,
    /// The properties of the database, by their name in Notion, in the order people see.
    pub properties: Properties,
    /// The views of the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub views: Option<Vec<ViewDocument>>,
    /// Other names for the three properties that the engine owns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<SystemDocument>,
    /// How changes in Postgres are noticed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture: Option<CaptureDocument>,
    /// How much one run may change before a person must approve it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guards: Option<GuardsDocument>,
    /// Who wins when it cannot be known who wrote last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tie_break: Option<TieBreak>,
    /// How sure `last_write_wins` must be; anything less goes to `tie_break`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lww_min_certainty: Option<MinCertainty>,
    /// Whether rows whose scope column is NULL are in scope beside the profile's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub null_scope: Option<NullScope>,
    /// How long a page that a person made must rest before a row is made of it. Default: the project's `tuning`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create_grace: Option<Period>,
}

/// The database in Notion.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotionDocument {
    /// The database's title; it also finds an existing database under the parent page.
    pub title: NonEmpty,
    /// An emoji, or the `https` address of a picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    /// The line under the title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// An existing data source to adopt: its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_source_id: Option<String>,
    /// Who wins where rows and pages of an adopted database already differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial: Option<Initial>,
}

/// Other names for the engine's properties.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SystemDocument {
    /// The text property with the record's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres_id: Option<NonEmpty>,
    /// The date property with the time of the last write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_synced: Option<NonEmpty>,
    /// The select property that says how the record stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_status: Option<NonEmpty>,
}

/// How much one run may change.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardsDocument {
    /// The share of records that may be deleted in one run and in one day. Default: 5%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_cap: Option<Percentage>,
    /// The share of records in which one field may change in one run. Default: 50%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mass_change: Option<Percentage>,
}

/// A view of the database.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ViewDocument {
    /// The view's name, unique in the mapping.
    pub name: NonEmpty,
    /// Notion's view type.
    #[serde(rename = "type")]
    pub kind: ViewKind,
    /// The property that groups a board, or the date of a calendar or timeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_by: Option<String>,
    /// The properties to show, in order. Default: all, in the order of the mapping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub properties: Option<Vec<String>>,
    /// The properties to sort by; a leading `-` sorts descending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort: Option<Vec<NonEmpty>>,
}

/// How changes in Postgres are noticed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum CaptureDocument {
    /// By reading, or by triggers.
    Named(CaptureName),
    /// By a column that says when a row last changed.
    UpdatedAt(UpdatedAtDocument),
}

/// A way of noticing changes that needs no setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CaptureName {
    /// Every row in scope is read and compared.
    Scan,
    /// Triggers note which rows changed; `setup` installs them.
    Triggers,
}

/// A column that says when a row last changed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdatedAtDocument {
    /// A timestamp column that the application sets on every change.
    pub updated_at: NonEmpty,
}

/// The properties, by their name in Notion.
///
/// The order of the file is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Properties(
    #[serde(deserialize_with = "entries_in_order", serialize_with = "as_map")] pub Vec<(String, Property)>,
);

impl JsonSchema for Properties {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Properties".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let property = generator.subschema_for::<Property>();
        json_schema!({
            "type": "object",
            "description": "The properties of the database, by their name in Notion, in the order people see.",
            "minProperties": 1,
            "propertyNames": { "minLength": 1 },
            "additionalProperties": property,
        })
    }
}

fn entries_in_order<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<(String, Property)>, D::Error> {
    struct Entries;

    impl<'de> serde::de::Visitor<'de> for Entries {
        type Value = Vec<(String, Property)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("properties by name")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while let Some(entry) = access.next_entry()? {
                entries.push(entry);
            }
            Ok(entries)
        }
    }

    deserializer.deserialize_map(Entries)
}

fn as_map<S: serde::Serializer>(entries: &[(String, Property)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(entries.iter().map(|(name, property)| (name, property)))
}

macro_rules! properties {
    ($($(#[$doc:meta])* $name:ident { $($(#[$key_doc:meta])* $key:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// The column that the property shows.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub column: Option<String>,
            $(
                $(#[$key_doc])*
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $key: Option<$type>,
            )*
            /// Which way values travel. Default: both.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub direction: Option<Direction>,
            /// What happens when both sides changed this field. Default: the mapping's `conflict`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub conflict: Option<ConflictPolicy>,
            /// How values are changed on the way.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub conversion: Option<ConversionDocument>,
            /// The line that people see under the property's name in Notion, at most 280 characters.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub description: Option<String>,
        }
    )*};
}

properties! {
    /// A title, rich_text, url, email or phone_number.
    TextProperty {
        /// Text computed from the row; read-only.
        template: String,
        /// What an empty text in Notion means in Postgres. Default: the empty text where the column refuses NULL, else NULL.
        empty: Empty,
        /// With `conversion: iso8601`, the zone of times that carry none: a name such as `America/Los_Angeles`, or an offset such as `-08:00`. Default: UTC.
        time_zone: String,
    }
    /// A number.
    NumberProperty {
        /// How Notion shows the number. Default: number.
        format: NumberFormat,
    }
    /// A select, multi_select or status.
    OptionsProperty {
        /// The options, in the order people see: names, or objects with a name and a colour.
        options: Vec<OptionDocument>,
        /// What a value outside the options does. Default: error.
        on_unknown_option: UnknownOption,
        /// What an empty choice in Notion means in Postgres. Default: the empty text where the column refuses NULL, else NULL.
        empty: Empty,
    }
    /// A date.
    DateProperty {
        /// The zone of a column whose times carry none: a name such as `America/Los_Angeles`, or an offset such as `-08:00`. Default: UTC.
        time_zone: String,
    }
    /// A checkbox, people or files property.
    PlainProperty {}
    /// A property that Notion fills in by itself: its creation, its last edit.
    StampProperty {}
    /// A relation.
    RelationProperty {
        /// The entity that the relation leads to.
        target: String,
        /// For a two-way relation, the name of the mirror property on the target.
        dual: NonEmpty,
    }
    /// A formula.
    FormulaProperty {
        /// Notion's expression, such as `prop("Credits") * 2`.
        expression: String,
    }
    /// A rollup.
    RollupProperty {
        /// The relation property that it follows.
        relation: String,
        /// The property that it reads on the pages there.
        property: String,
        /// How it combines the values.
        function: RollupFunction,
    }
    /// A number that Notion gives each page.
    UniqueIdProperty {
        /// What stands before the number.
        prefix: String,
    }
}

/// One property: its type in Notion, and where its value is in Postgres.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schemars(transform = describe_types)]
pub enum Property {
    /// The page's name; every database has exactly one.
    Title(TextProperty),
    /// Text.
    RichText(TextProperty),
    /// A number.
    Number(NumberProperty),
    /// One of a list of options.
    Select(OptionsProperty),
    /// Any number of options.
    MultiSelect(OptionsProperty),
    /// One of a list of options in three groups.
    Status(OptionsProperty),
    /// A day, a time, or a range.
    Date(DateProperty),
    /// True or false.
    Checkbox(PlainProperty),
    /// A web address.
    Url(TextProperty),
    /// An e-mail address.
    Email(TextProperty),
    /// A telephone number.
    PhoneNumber(TextProperty),
    /// Pages of another entity.
    Relation(RelationProperty),
    /// People of the workspace.
    People(PlainProperty),
    /// Uploaded or linked files.
    Files(PlainProperty),
    /// Computed by Notion from an expression; read-only.
    Formula(FormulaProperty),
    /// Computed by Notion over a relation; read-only.
    Rollup(RollupProperty),
    /// A number that Notion gives each page; read-only.
    UniqueId(UniqueIdProperty),
    /// When the page was created; read-only.
    CreatedTime(StampProperty),
    /// Who created the page; read-only.
    CreatedBy(StampProperty),
    /// When the page was last edited; read-only.
    LastEditedTime(StampProperty),
    /// Who last edited the page; read-only.
    LastEditedBy(StampProperty),
}

/// Says of each `type` what it is, where an editor completes it.
fn describe_types(schema: &mut Schema) {
    let branches = schema.get_mut("oneOf").and_then(Value::as_array_mut);
    for branch in branches.into_iter().flatten() {
        let description = branch["description"].clone();
        if let Some(tag) = branch
            .pointer_mut("/properties/type")
            .and_then(Value::as_object_mut)
        {
            tag.insert("description".to_owned(), description);
        }
    }
}

/// The keys that every property has.
#[derive(Clone, Copy, Debug)]
pub struct Shared<'a> {
    /// The column that the property shows.
    pub column: Option<&'a str>,
    /// Which way values travel.
    pub direction: Option<Direction>,
    /// What happens when both sides changed the field.
    pub conflict: Option<ConflictPolicy>,
    /// How values are changed on the way.
    pub conversion: Option<&'a ConversionDocument>,
    /// The line under the property's name.
    pub description: Option<&'a str>,
}

impl Property {
    /// The type.
    pub fn property_type(&self) -> PropertyType {
        match self {
            Self::Title(_) => PropertyType::Title,
            Self::RichText(_) => PropertyType::RichText,
            Self::Number(_) => PropertyType::Number,
            Self::Select(_) => PropertyType::Select,
            Self::MultiSelect(_) => PropertyType::MultiSelect,
            Self::Status(_) => PropertyType::Status,
            Self::Date(_) => PropertyType::Date,
            Self::Checkbox(_) => PropertyType::Checkbox,
            Self::Url(_) => PropertyType::Url,
            Self::Email(_) => PropertyType::Email,
            Self::PhoneNumber(_) => PropertyType::PhoneNumber,
            Self::Relation(_) => PropertyType::Relation,
            Self::People(_) => PropertyType::People,
            Self::Files(_) => PropertyType::Files,
            Self::Formula(_) => PropertyType::Formula,
            Self::Rollup(_) => PropertyType::Rollup,
            Self::UniqueId(_) => PropertyType::UniqueId,
            Self::CreatedTime(_) => PropertyType::CreatedTime,
            Self::CreatedBy(_) => PropertyType::CreatedBy,
            Self::LastEditedTime(_) => PropertyType::LastEditedTime,
            Self::LastEditedBy(_) => PropertyType::LastEditedBy,
        }
    }

    /// The keys that every property has.
    pub fn shared(&self) -> Shared<'_> {
        macro_rules! shared {
            ($property:expr) => {
                Shared {
                    column: $property.column.as_deref(),
                    direction: $property.direction,
                    conflict: $property.conflict,
                    conversion: $property.conversion.as_ref(),
                    description: $property.description.as_deref(),
                }
            };
        }
        match self {
            Self::Title(p) | Self::RichText(p) | Self::Url(p) | Self::Email(p) | Self::PhoneNumber(p) => {
                shared!(p)
            }
            Self::Number(p) => shared!(p),
            Self::Select(p) | Self::MultiSelect(p) | Self::Status(p) => shared!(p),
            Self::Date(p) => shared!(p),
            Self::Checkbox(p) | Self::People(p) | Self::Files(p) => shared!(p),
            Self::CreatedTime(p) | Self::CreatedBy(p) | Self::LastEditedTime(p) | Self::LastEditedBy(p) => {
                shared!(p)
            }
            Self::Relation(p) => shared!(p),
            Self::Formula(p) => shared!(p),
            Self::Rollup(p) => shared!(p),
            Self::UniqueId(p) => shared!(p),
        }
    }
}

/// An option: its name, or an object that also says its colour.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OptionDocument {
    /// The name.
    Name(String),
    /// The name and more.
    Full(FullOption),
}

/// An option with its colour.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FullOption {
    /// The name: no commas, at most 100 characters.
    pub name: String,
    /// The colour. Default: Notion chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<OptionColor>,
    /// For a status, the group it stands in. Default: To-do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<StatusGroup>,
    /// The line that people see beside the option.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// How values are changed on the way: a built-in name, or one of the built-in objects.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ConversionDocument {
    /// A conversion without settings.
    Named(ConversionName),
    /// A conversion with settings.
    Full(Box<FullConversion>),
}

/// A conversion without settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConversionName {
    /// A text column holds ISO 8601 dates or times.
    Iso8601,
    /// The property shows the column as JSON text.
    Json,
    /// White space around the text does not count.
    Trim,
}

/// A conversion with settings: one of `map`, `scale`, `split`, or the two templates.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FullConversion {
    /// Column values and the property values that stand for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<Map<String, Value>>,
    /// The property shows the column's number times this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// A text column holds a list with this text between its items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<NonEmpty>,
    /// A template from the column's `value`, and its `row`, to the property's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_notion: Option<String>,
    /// A template from the property's `value` back to the column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_postgres: Option<String>,
    /// Column values that must survive the way to Notion and back; checked by `validate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub examples: Option<Vec<Value>>,
}

/// The rows of a profile: columns with what they must hold, or `any` or `all` over a list of such objects.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScopeDocument(pub Map<String, Value>);

impl JsonSchema for ScopeDocument {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Scope".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let nested = generator.subschema_for::<ScopeDocument>();
        json_schema!({
            "type": "object",
            "description": "Each column with the value it must have: a text, number or boolean, `null`, a list, or an operator such as `{ not: x }`. `any` and `all` hold lists of such objects.",
            "properties": {
                "any": { "type": "array", "minItems": 1, "items": nested.clone(), "description": "At least one of these holds." },
                "all": { "type": "array", "minItems": 1, "items": nested, "description": "All of these hold." },
            },
            "propertyNames": { "minLength": 1 },
            "additionalProperties": { "anyOf": [
                { "type": ["string", "number", "boolean", "null"] },
                { "type": "array", "items": { "type": ["string", "number", "boolean", "null"] } },
                {
                    "type": "object",
                    "minProperties": 1,
                    "additionalProperties": false,
                    "properties": {
                        "not": { "type": ["string", "number", "boolean", "null"], "description": "Differs from this." },
                        "gt": { "type": ["string", "number"], "description": "Is greater than this." },
                        "gte": { "type": ["string", "number"], "description": "Is at least this." },
                        "lt": { "type": ["string", "number"], "description": "Is less than this." },
                        "lte": { "type": ["string", "number"], "description": "Is at most this." },
                        "in": { "type": "array", "items": { "type": ["string", "number", "boolean", "null"] }, "description": "Is one of these." },
                    },
                },
            ] },
        })
    }
}

/// One column, or a list of columns.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(NonEmpty),
    /// Several, in order.
    Many(#[schemars(length(min = 1))] Vec<NonEmpty>),
}

impl OneOrMany {
    /// The columns, in order.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::One(name) => vec![&name.0],
            Self::Many(names) => names.iter().map(|name| name.0.as_str()).collect(),
        }
    }
}

/// The version of a file's format: 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub u32);

impl JsonSchema for Version {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Version".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "const": 1, "description": "The version of this file's format: 1." })
    }

    fn inline_schema() -> bool {
        true
    }
}

macro_rules! text_of_a_form {
    ($($(#[$doc:meta])* $name:ident, $schema:tt;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }

            fn inline_schema() -> bool {
                true
            }
        }
    )*};
}

text_of_a_form! {
    /// A text of at least one character.
    NonEmpty, { "type": "string", "minLength": 1 };
    /// The name of an entity or profile.
    Name, {
        "type": "string",
        "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$",
        "x-form": "a name of letters, digits, `-` and `_`",
    };
    /// A length of time: a number and a unit.
    Period, {
        "type": "string",
        "pattern": "^[0-9]{1,9}(\\.[0-9]{1,3})?(ms|s|m|h|d)$",
        "x-form": "a duration such as `30s`, `5m`, `2h` or `1d`",
    };
    /// A share: a number and `%`.
    Percentage, {
        "type": "string",
        "pattern": "^(100(\\.0+)?|[0-9]{1,2}(\\.[0-9]+)?)%$",
        "x-form": "a percentage from `0%` to `100%`",
    };
}

impl Period {
    /// The length of time; `None` for a text of another form, which the schema refuses.
    pub fn duration(&self) -> Option<std::time::Duration> {
        let unit_at = self.0.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, unit) = self.0.split_at(unit_at);
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return None,
        };
        let number: f64 = number.parse().ok()?;
        std::time::Duration::try_from_secs_f64(number * seconds).ok()
    }
}

impl Percentage {
    /// The share, 0 to 1; `None` for a text of another form, which the schema refuses.
    pub fn share(&self) -> Option<f64> {
        let number: f64 = self.0.strip_suffix('%')?.parse().ok()?;
        Some(number / 100.0)
    }
}

macro_rules! names_of_notion {
    ($($(#[$doc:meta])* $enum:ident { $($variant:ident $name:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub enum $enum {
            $(#[doc = concat!("`", $name, "`")] #[serde(rename = $name)] $variant,)*
        }

        impl $enum {
            /// The name as Notion spells it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    )*};
}

names_of_notion! {
    /// The colour of an option.
    OptionColor {
        Default "default", Gray "gray", Brown "brown", Orange "orange", Yellow "yellow", Green "green",
        Blue "blue", Purple "purple", Pink "pink", Red "red",
    }
    /// The group of a status option.
    StatusGroup { ToDo "To-do", InProgress "In progress", Complete "Complete", }
    /// How Notion shows a number.
    NumberFormat {
        Number "number", NumberWithCommas "number_with_commas", Percent "percent", Dollar "dollar",
        AustralianDollar "australian_dollar", CanadianDollar "canadian_dollar", SingaporeDollar "singapore_dollar",
        Euro "euro", Pound "pound", Yen "yen", Ruble "ruble", Rupee "rupee", Won "won", Yuan "yuan", Real "real",
        Lira "lira", Rupiah "rupiah", Franc "franc", HongKongDollar "hong_kong_dollar",
        NewZealandDollar "new_zealand_dollar", Krona "krona", NorwegianKrone "norwegian_krone",
        MexicanPeso "mexican_peso", Rand "rand", NewTaiwanDollar "new_taiwan_dollar", DanishKrone "danish_krone",
        Zloty "zloty", Baht "baht", Forint "forint", Koruna "koruna", Shekel "shekel", ChileanPeso "chilean_peso",
        PhilippinePeso "philippine_peso", Dirham "dirham", ColombianPeso "colombian_peso", Riyal "riyal",
        Ringgit "ringgit", Leu "leu", ArgentinePeso "argentine_peso", UruguayanPeso "uruguayan_peso",
        PeruvianSol "peruvian_sol", VietnameseDong "vietnamese_dong", PakistaniRupee "pakistani_rupee",
        NigerianNaira "nigerian_naira", Bitcoin "bitcoin",
    }
    /// How a rollup combines values.
    RollupFunction {
        Count "count", CountValues "count_values", Empty "empty", NotEmpty "not_empty", Unique "unique",
        ShowUnique "show_unique", PercentEmpty "percent_empty", PercentNotEmpty "percent_not_empty", Sum "sum",
        Average "average", Median "median", Min "min", Max "max", Range "range", EarliestDate "earliest_date",
        LatestDate "latest_date", DateRange "date_range", Checked "checked", Unchecked "unchecked",
        PercentChecked "percent_checked", PercentUnchecked "percent_unchecked", CountPerGroup "count_per_group",
        PercentPerGroup "percent_per_group", ShowOriginal "show_original",
    }
}
