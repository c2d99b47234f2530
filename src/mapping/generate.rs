//! A mapping file from a live table: what a person would write after reading the catalog.
//!
//! Pure: the catalog and the facts about the data were read before. What comes out passes `validate` against the
//! same database with no edit.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::SystemProperties;
use crate::schema::compat::{Fit, Way, default_property_type, fit};
use crate::schema::table::{Column, ColumnFacts, Generated};
use crate::schema::{PgType, PropertyType, TableName, TableSchema};
use crate::value::ConversionKind;

/// What a mapping is written from.
#[derive(Clone, Copy, Debug)]
pub struct Template<'a> {
    /// The table.
    pub table: &'a TableSchema,
    /// What its columns hold; columns that could not be looked at are absent.
    pub facts: &'a BTreeMap<String, ColumnFacts>,
    /// The tables that have a mapping, or get one together with this: the entity and its key.
    pub entities: &'a BTreeMap<TableName, (String, Vec<String>)>,
    /// The names of the profile's variables: a column of that name decides the scope.
    pub vars: &'a [String],
    /// The address of the JSON Schema, relative to the file, for editors; `None` leaves the line out.
    pub schema_path: Option<&'a str>,
}

/// Why no mapping can be written for a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoMapping {
    /// Nothing identifies a row.
    #[error("table `{0}` has no primary key and no unique index over columns that are never NULL")]
    NoKey(TableName),
    /// No column can be shown.
    #[error("table `{0}` has no column that Notion can show")]
    NoColumn(TableName),
}

/// Columns that usually hold a record's name, best first.
const NAMES: [&str; 9] = [
    "name",
    "title",
    "label",
    "display_name",
    "full_name",
    "subject",
    "summary",
    "code",
    "email",
];

/// More distinct values than this are no options.
const MOST_OPTIONS: usize = 15;

/// The text of a mapping file for a table, and the entity that it maps.
///
/// # Errors
///
/// When rows cannot be told apart, or nothing of them can be shown.
pub fn generate(template: Template<'_>) -> Result<(String, String), NoMapping> {
    let table = template.table;
    let key = key_of(table).ok_or_else(|| NoMapping::NoKey(table.name.clone()))?;
    let entity = entity_name(&table.name);
    let scope: Vec<&str> = table
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .filter(|name| template.vars.iter().any(|var| var == name))
        .collect();
    let writer = Writer {
        template,
        key: &key,
        scope: &scope,
        property_names: BTreeSet::new(),
    };
    let text = writer
        .write(&entity)
        .ok_or_else(|| NoMapping::NoColumn(table.name.clone()))?;
    Ok((entity, text))
}

/// The entity of a table: its name, as file names and `entity` allow it.
pub fn entity_name(table: &TableName) -> String {
    let mut name: String = table
        .name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') {
                c
            } else {
                '_'
            }
        })
        .take(63)
        .collect();
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        name.insert(0, 't');
        name.truncate(63);
    }
    name
}

/// The primary key, or else the shortest unique index over columns that are never NULL.
fn key_of(table: &TableSchema) -> Option<Vec<String>> {
    if !table.primary_key.is_empty() {
        return Some(table.primary_key.clone());
    }
    let never_null = |name: &String| table.column(name).is_some_and(|column| column.not_null);
    table
        .unique
        .iter()
        .filter(|columns| columns.iter().all(never_null))
        .min_by_key(|columns| columns.len())
        .cloned()
}

struct Writer<'a> {
    template: Template<'a>,
    key: &'a [String],
    scope: &'a [&'a str],
    property_names: BTreeSet<String>,
}

/// A property as it will be written.
struct Property {
    property_type: PropertyType,
    conversion: Option<&'static str>,
    options: Vec<String>,
    creates_options: bool,
    target: Option<String>,
    one_way: bool,
}

impl Property {
    fn plain(property_type: PropertyType) -> Self {
        Self {
            property_type,
            conversion: None,
            options: Vec::new(),
            creates_options: false,
            target: None,
            one_way: false,
        }
    }
}

impl Writer<'_> {
    fn write(mut self, entity: &str) -> Option<String> {
        let table = self.template.table;
        let title = self.title()?.clone();
        let mut out = String::new();
        if let Some(path) = self.template.schema_path {
            let _ = writeln!(out, "# yaml-language-server: $schema={path}");
        }
        let _ = writeln!(out, "version: 1");
        let _ = writeln!(out, "entity: {}", plain(entity));
        let _ = writeln!(out, "table: {}", plain(&table.name.to_string()));
        match self.key {
            [only] => {
                let _ = writeln!(out, "key: {}", plain(only));
            }
            several => {
                let names: Vec<String> = several.iter().map(|name| plain(name)).collect();
                let _ = writeln!(out, "key: [{}]", names.join(", "));
            }
        }
        if !self.scope.is_empty() {
            let conditions: Vec<String> = self
                .scope
                .iter()
                .map(|name| format!("{}: \"{{{{ vars.{name} }}}}\"", plain(name)))
                .collect();
            let _ = writeln!(out, "scope: {{ {} }}", conditions.join(", "));
        }
        let _ = write!(
            out,
            "notion: {{ title: {}",
            plain(&database_title(&table.name.name))
        );
        if let Some(comment) = description(table.comment.as_deref()) {
            let _ = write!(out, ", description: {}", plain(&comment));
        }
        let _ = writeln!(out, " }}");
        let _ = writeln!(out, "\nproperties:");
        let system = SystemProperties::default();
        for name in [system.postgres_id, system.last_synced, system.sync_status] {
            self.property_names.insert(name.to_lowercase());
        }
        let title_name = table.column(&title)?;
        self.title_property(&mut out, title_name);
        for column in &table.columns {
            if column.name != title {
                self.column(&mut out, column);
            }
        }
        Some(out)
    }

    /// The column that names a record: by its name, or the first short text, or the key.
    fn title(&self) -> Option<&String> {
        let table = self.template.table;
        let is_text = |column: &&Column| {
            matches!(
                column.pg_type.base(),
                PgType::Text | PgType::Varchar(_) | PgType::Char(_) | PgType::Citext
            ) && column.privileges.select
        };
        let refers = |column: &Column| {
            table
                .foreign_keys
                .iter()
                .any(|foreign| foreign.columns.contains(&column.name))
        };
        let by_name = NAMES.iter().find_map(|name| {
            table
                .column(name)
                .filter(|column| is_text(column) && !refers(column))
        });
        let first_text = || {
            table.columns.iter().filter(is_text).find(|column| {
                !refers(column)
                    && !self.key.contains(&column.name)
                    && !self.scope.contains(&column.name.as_str())
                    && self.options_of(column).is_none()
            })
        };
        let key = || {
            table
                .columns
                .iter()
                .filter(|column| column.privileges.select)
                .find(|column| {
                    self.key.contains(&column.name)
                        && fit(&column.pg_type, PropertyType::Title, None).reaches_notion()
                })
        };
        by_name
            .or_else(first_text)
            .or_else(key)
            .map(|column| &column.name)
    }

    fn title_property(&mut self, out: &mut String, column: &Column) {
        let mut property = Property::plain(PropertyType::Title);
        property.one_way = self.is_one_way(column)
            || matches!(
                fit(&column.pg_type, PropertyType::Title, None),
                Fit::OneWay {
                    way: Way::ToNotion,
                    ..
                }
            );
        let name = match column.name.as_str() {
            "name" => "Name",
            "title" => "Title",
            other => other,
        };
        self.property(out, name, column, &property);
    }

    fn column(&mut self, out: &mut String, column: &Column) {
        if !column.privileges.select {
            let _ = writeln!(
                out,
                "  # {}: the role may not read it",
                comment_text(&column.name)
            );
            return;
        }
        // The engine shows the key in `postgres_id` already.
        if self.key.len() == 1
            && self.key.contains(&column.name)
            && !self.scope.contains(&column.name.as_str())
        {
            return;
        }
        match self.choose(column) {
            Ok(property) => self.property(out, &column.name, column, &property),
            Err(why) => {
                let _ = writeln!(out, "  # {}: {why}", comment_text(&column.name));
            }
        }
    }

    /// The property that shows a column best, or why none does.
    fn choose(&self, column: &Column) -> Result<Property, String> {
        let mut property = match self.relation(column) {
            Some(target) => {
                let mut property = Property::plain(PropertyType::Relation);
                property.target = Some(target);
                property
            }
            None => self.by_type(column)?,
        };
        let conversion = match property.conversion {
            Some("iso8601") => Some(ConversionKind::Iso8601),
            Some("json") => Some(ConversionKind::Json),
            _ => None,
        };
        match fit(&column.pg_type, property.property_type, conversion) {
            Fit::Refused { why, .. } => return Err(why.to_owned()),
            Fit::OneWay {
                way: Way::ToNotion, ..
            } => property.one_way = true,
            Fit::OneWay {
                way: Way::ToPostgres, ..
            }
            | Fit::Lossless
            | Fit::Lossy { .. } => {}
        }
        let refers_elsewhere = property.target.is_none()
            && self
                .template
                .table
                .foreign_keys
                .iter()
                .any(|foreign| foreign.columns.contains(&column.name));
        property.one_way |= self.is_one_way(column) || refers_elsewhere;
        Ok(property)
    }

    fn by_type(&self, column: &Column) -> Result<Property, String> {
        let facts = self.template.facts.get(&column.name);
        let distinct = facts.and_then(|facts| facts.distinct.as_deref());
        let longest = facts.and_then(|facts| facts.longest).unwrap_or(0);
        if let Some(options) = self.options_of(column) {
            let mut property = Property::plain(PropertyType::Select);
            property.options = options;
            return Ok(property);
        }
        let is_text = matches!(
            column.pg_type.base(),
            PgType::Text | PgType::Varchar(_) | PgType::Char(_) | PgType::Citext
        );
        if is_text {
            let name = column.name.to_lowercase();
            let by_name = if name.contains("email") && longest <= 100 {
                PropertyType::Email
            } else if (name.contains("phone") || name.contains("mobile")) && longest <= 100 {
                PropertyType::PhoneNumber
            } else if (name.ends_with("url") || name.contains("website")) && longest <= 2000 {
                PropertyType::Url
            } else {
                PropertyType::RichText
            };
            let mut property = Property::plain(by_name);
            if distinct.is_some_and(|values| !values.is_empty() && values.iter().all(|text| is_iso8601(text)))
            {
                property.property_type = PropertyType::Date;
                property.conversion = Some("iso8601");
            }
            return Ok(property);
        }
        let property_type = default_property_type(&column.pg_type)
            .ok_or_else(|| format!("no property shows {}", column.pg_type))?;
        let mut property = Property::plain(property_type);
        match column.pg_type.base() {
            PgType::Json | PgType::Jsonb => {
                property.conversion = Some("json");
                // Facts list the elements of json only where every value is a list of texts.
                let showable = |values: &[String]| {
                    !values.is_empty() && values.len() <= 100 && values.iter().all(|v| is_option(v))
                };
                if distinct.is_some_and(showable) {
                    property.property_type = PropertyType::MultiSelect;
                    property.creates_options = true;
                }
            }
            PgType::Array(_) if property_type == PropertyType::MultiSelect => property.creates_options = true,
            // An enum whose labels cannot be options is shown as text.
            PgType::Enum { .. } => property.property_type = PropertyType::RichText,
            _ => {}
        }
        Ok(property)
    }

    /// The options of a column that chooses among a few texts.
    fn options_of(&self, column: &Column) -> Option<Vec<String>> {
        let table = self.template.table;
        let facts = self.template.facts.get(&column.name);
        let held = facts.and_then(|facts| facts.distinct.clone()).unwrap_or_default();
        let is_text = matches!(
            column.pg_type.base(),
            PgType::Text | PgType::Varchar(_) | PgType::Char(_) | PgType::Citext
        );
        let declared = match column.pg_type.base() {
            PgType::Enum { labels, .. } => Some(labels.clone()),
            _ if is_text => table
                .checks
                .iter()
                .find_map(|check| check.allows.as_ref().filter(|(name, _)| *name == column.name))
                .map(|(_, texts)| texts.clone()),
            _ => None,
        };
        let options = match declared {
            Some(mut options) => {
                for value in held {
                    if !value.is_empty() && !options.contains(&value) {
                        options.push(value);
                    }
                }
                options
            }
            None if is_text => {
                let is_name = NAMES.contains(&column.name.as_str())
                    || self.key.contains(&column.name)
                    || self.scope.contains(&column.name.as_str())
                    || table
                        .foreign_keys
                        .iter()
                        .any(|foreign| foreign.columns.contains(&column.name))
                    || table.is_unique(std::slice::from_ref(&column.name));
                let rows = facts.map_or(0, |facts| facts.rows - facts.nulls);
                // A few values that cannot be options do not make free text of the rest: they are warned of, and
                // left alone row by row.
                let short = |value: &&String| is_option(value) && value.chars().count() <= 40;
                // Of two that differ only in case, which Notion does not tell apart, the lower one is meant: the
                // values are sorted, and capitals come first.
                let by_case: BTreeMap<String, String> = held
                    .iter()
                    .filter(short)
                    .map(|value| (value.to_lowercase(), value.clone()))
                    .collect();
                let showable: Vec<String> = by_case.into_values().collect();
                let few = (2..=MOST_OPTIONS).contains(&showable.len())
                    && rows >= 4 * held.len() as u64
                    && held.len() - showable.len() <= showable.len();
                if is_name || !few || showable.iter().any(|value| is_iso8601(value)) {
                    return None;
                }
                showable
            }
            None => return None,
        };
        let folded: BTreeSet<String> = options.iter().map(|option| option.to_lowercase()).collect();
        let fine = options.iter().all(|option| is_option(option));
        (fine && options.len() <= 100 && folded.len() == options.len()).then_some(options)
    }

    /// The entity that a column refers to, where it has a mapping with just that key.
    fn relation(&self, column: &Column) -> Option<String> {
        let foreign = self
            .template
            .table
            .foreign_keys
            .iter()
            .find(|foreign| foreign.columns.as_slice() == std::slice::from_ref(&column.name))?;
        let (entity, key) = self.template.entities.get(&foreign.references)?;
        (key == &foreign.referenced_columns && !self.scope.contains(&column.name.as_str()))
            .then(|| entity.clone())
    }

    /// Whether people should not, or cannot, edit a column.
    fn is_one_way(&self, column: &Column) -> bool {
        let is_stamp = matches!(
            column.name.as_str(),
            "created_at"
                | "created_on"
                | "created"
                | "inserted_at"
                | "updated_at"
                | "modified_at"
                | "updated_on"
        );
        is_stamp
            || self.key.contains(&column.name)
            || self.scope.contains(&column.name.as_str())
            || matches!(column.generated, Generated::Stored | Generated::IdentityAlways)
            || !column.privileges.update
    }

    fn property(&mut self, out: &mut String, name: &str, column: &Column, property: &Property) {
        let mut name = name.trim().to_owned();
        if name.is_empty() {
            name = "column".to_owned();
        }
        while !self.property_names.insert(name.to_lowercase()) {
            name.push('_');
        }
        let mut parts = vec![
            format!("type: {}", property.property_type),
            format!("column: {}", plain(&column.name)),
        ];
        if let Some(target) = &property.target {
            parts.push(format!("target: {}", plain(target)));
        }
        if property.one_way {
            parts.push("direction: to_notion".to_owned());
        }
        if let Some(conversion) = property.conversion {
            parts.push(format!("conversion: {conversion}"));
        }
        if property.creates_options {
            parts.push("on_unknown_option: create".to_owned());
        }
        if !property.options.is_empty() {
            let options: Vec<String> = property.options.iter().map(|option| plain(option)).collect();
            parts.push(format!("options: [{}]", options.join(", ")));
        }
        if let Some(text) = description(column.comment.as_deref()) {
            parts.push(format!("description: {}", plain(&text)));
        }
        let one_line = format!("  {}: {{ {} }}", plain(&name), parts.join(", "));
        if one_line.chars().count() <= 100 {
            let _ = writeln!(out, "{one_line}");
            return;
        }
        let _ = writeln!(out, "  {}:", plain(&name));
        for part in parts {
            let _ = writeln!(out, "    {part}");
        }
    }
}

/// A table's name as a title: `audit_logs` is `Audit logs`.
fn database_title(table: &str) -> String {
    let spaced = table.replace(['_', '-'], " ");
    let mut characters = spaced.trim().chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => table.to_owned(),
    }
}

/// A comment as a description: one line, no longer than Notion takes.
fn description(comment: Option<&str>) -> Option<String> {
    let line = comment?.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() {
        return None;
    }
    let mut units = 0;
    let cut: String = line
        .chars()
        .take_while(|c| {
            units += c.len_utf16();
            units <= 280
        })
        .collect();
    Some(cut)
}

/// Whether Notion takes a text as an option's name.
fn is_option(text: &str) -> bool {
    !text.trim().is_empty() && !text.contains(',') && text.chars().count() <= 100
}

/// Whether a text is a date or time as ISO 8601 writes it, at least to the day.
fn is_iso8601(text: &str) -> bool {
    text.parse::<jiff::civil::Date>().is_ok_and(|_| text.len() >= 10)
}

/// Text as a YAML scalar that means itself to every reader, in flow and block style alike.
fn plain(text: &str) -> String {
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' '))
        && !text.contains("  ");
    let is_ambiguous = matches!(
        text.to_ascii_lowercase().as_str(),
        "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null"
    );
    if is_word && !is_ambiguous {
        text.to_owned()
    } else {
        // JSON's strings are YAML's double-quoted scalars.
        serde_json::Value::from(text).to_string()
    }
}

/// A name within a YAML comment.
fn comment_text(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_that_could_be_misread_are_quoted() {
        assert_eq!(plain("on_hold"), "on_hold");
        assert_eq!(plain("institutional-weak"), "institutional-weak");
        for text in [
            "no", "", "12", "a: b", "a, b", " a", "#x", "{x}", "a\"b", "é", "true", "1.5", "a #b",
        ] {
            assert!(plain(text).starts_with('"'), "{text}");
        }
    }

    #[test]
    fn titles_read_as_words() {
        assert_eq!(database_title("audit_logs"), "Audit logs");
        assert_eq!(database_title("étudiants"), "Étudiants");
    }

    #[test]
    fn entities_are_file_names() {
        let name = |name: &str| {
            entity_name(&TableName {
                schema: "public".to_owned(),
                name: name.to_owned(),
            })
        };
        assert_eq!(name("students"), "students");
        assert_eq!(name("Odd table!"), "Odd_table_");
        assert_eq!(name("_hidden"), "t_hidden");
    }

    #[test]
    fn iso_texts_are_dates() {
        for text in ["2024-01-20", "2024-01-20T09:00:00", "2024-01-20T09:05:12.345678"] {
            assert!(is_iso8601(text), "{text}");
        }
        for text in ["", "20", "January", "2024-13-01"] {
            assert!(!is_iso8601(text), "{text}");
        }
    }
}
