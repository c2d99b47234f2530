//! A mapping against its live table: the layer of checks that needs the database.
//!
//! Pure: the catalog and the facts about the data were read before.

use std::collections::BTreeMap;

use super::{
    Assigned, Capture, Comparison, Direction, Field, Literal, Mapping, OnPageCreate, OnPageTrash, Predicate,
    PropertyKind, Source, UnknownOption,
};
use crate::diagnostic::{Code, Diagnostic, did_you_mean, list};
use crate::schema::compat::{Fit, Way, fit};
use crate::schema::table::{Column, ColumnFacts, Generated, Relkind};
use crate::schema::{PgType, PropertyType, TableName, TableSchema};
use crate::template::Template;
use crate::value::Conversion;
use crate::yaml::{Document, pointer};

/// What is known of the live database.
#[derive(Clone, Copy, Debug)]
pub struct LiveTable<'a> {
    /// The mapping's table; `None` when it does not exist or may not be seen.
    pub table: Option<&'a TableSchema>,
    /// Every table there is, to suggest from.
    pub known: &'a [TableName],
    /// The tables and key columns of the project's entities, for relations.
    pub targets: &'a BTreeMap<String, (TableSchema, Vec<String>)>,
    /// What the mapped columns hold; columns that could not be looked at are absent.
    pub facts: &'a BTreeMap<String, ColumnFacts>,
    /// The role that is connected, for the GRANTs that it lacks.
    pub role: &'a str,
}

/// Holds a mapping against its live table.
pub fn check_table(document: &Document, mapping: &Mapping, live: LiveTable<'_>) -> Vec<Diagnostic> {
    let Some(table) = live.table else {
        return vec![table_not_found(document, mapping, live.known)];
    };
    let mut check = Check {
        document,
        mapping,
        table,
        live,
        findings: Vec::new(),
    };
    check.key();
    check.scope(&mapping.scope);
    for field in &mapping.fields {
        check.field(field);
    }
    check.assignments("/new_row", &mapping.new_row);
    check.assignments("/soft_delete", &mapping.soft_delete);
    check.inserts();
    check.capture();
    check.row_security();
    check.grants();
    check.findings
}

fn table_not_found(document: &Document, mapping: &Mapping, known: &[TableName]) -> Diagnostic {
    let names: Vec<String> = known
        .iter()
        .flat_map(|table| {
            let bare = (table.schema == "public").then(|| table.name.clone());
            std::iter::once(table.to_string()).chain(bare)
        })
        .collect();
    let written = document
        .value
        .get("table")
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default();
    let help = did_you_mean(written, names.iter().map(String::as_str))
        .unwrap_or_else(|| "check the schema and the name; the role needs USAGE on the schema".to_owned());
    document
        .value_finding(
            Code::TableNotFound,
            "/table",
            format!("there is no table `{}`", mapping.table),
            "not in the database",
        )
        .help(help)
}

struct Check<'a> {
    document: &'a Document,
    mapping: &'a Mapping,
    table: &'a TableSchema,
    live: LiveTable<'a>,
    findings: Vec<Diagnostic>,
}

impl<'a> Check<'a> {
    fn report(&mut self, code: Code, at: &str, message: String, label: &str, help: impl Into<String>) {
        self.findings
            .push(self.document.value_finding(code, at, message, label).help(help));
    }

    /// The column of that name; says that it is not there.
    fn column(&mut self, at: &str, name: &str) -> Option<&'a Column> {
        let found = self.table.column(name);
        if found.is_none() {
            let names = || self.table.columns.iter().map(|column| column.name.as_str());
            let help =
                did_you_mean(name, names()).unwrap_or_else(|| format!("the columns are {}", list(names())));
            self.report(
                Code::ColumnNotFound,
                at,
                format!("table `{}` has no column `{name}`", self.table.name),
                "not in the table",
                help,
            );
        }
        found
    }

    fn key(&mut self) {
        let mut all_found = true;
        for (index, name) in self.mapping.key.iter().enumerate() {
            let at = if self.document.has("/key/0") {
                format!("/key/{index}")
            } else {
                "/key".to_owned()
            };
            match self.column(&at, name) {
                None => all_found = false,
                // The columns of a view say nothing of NULL or uniqueness.
                Some(_) if self.table.relkind == Relkind::View => {}
                Some(column) if !column.not_null => self.report(
                    Code::KeyNullable,
                    &at,
                    format!("key column `{name}` may be NULL"),
                    "may be NULL",
                    format!("alter table {} alter column {name} set not null", self.table.name),
                ),
                Some(_) => {}
            }
        }
        let is_table = self.table.relkind != Relkind::View;
        if all_found && is_table && !self.table.is_unique(&self.mapping.key) {
            let help = match self.table.primary_key.as_slice() {
                [] => format!(
                    "create a unique index on {} ({})",
                    self.table.name,
                    self.mapping.key.join(", ")
                ),
                primary => format!("the primary key is {}", list(primary.iter().map(String::as_str))),
            };
            self.report(
                Code::KeyNotUnique,
                "/key",
                format!(
                    "{} of table `{}` is not unique",
                    list(self.mapping.key.iter().map(String::as_str)),
                    self.table.name
                ),
                "not unique",
                help,
            );
        }
    }

    fn scope(&mut self, predicate: &Predicate) {
        match predicate {
            Predicate::All(parts) | Predicate::Any(parts) => {
                for part in parts {
                    self.scope(part);
                }
            }
            Predicate::IsNull { column, .. } => {
                self.scope_column(column);
            }
            Predicate::Compare {
                column,
                comparison,
                value,
            } => {
                let is_order = !matches!(comparison, Comparison::Equal | Comparison::NotEqual);
                if let Some(found) = self.scope_column(column) {
                    self.scope_literal(found, value, is_order);
                }
            }
            Predicate::In { column, values } => {
                if let Some(found) = self.scope_column(column) {
                    for value in values {
                        self.scope_literal(found, value, false);
                    }
                }
            }
        }
    }

    /// Where the scope names a column: the first place, in the order of the file.
    fn scope_at(&self, column: &str) -> String {
        fn find(value: &serde_json::Value, at: &str, column: &str) -> Option<String> {
            match value {
                serde_json::Value::Object(object) => object.iter().find_map(|(key, value)| {
                    let here = pointer(at, key);
                    if key == column && !(matches!(key.as_str(), "any" | "all") && value.is_array()) {
                        return Some(here);
                    }
                    find(value, &here, column)
                }),
                serde_json::Value::Array(elements) => elements
                    .iter()
                    .enumerate()
                    .find_map(|(index, element)| find(element, &pointer(at, index), column)),
                _ => None,
            }
        }
        let scope = self
            .document
            .value
            .get("scope")
            .unwrap_or(&serde_json::Value::Null);
        find(scope, "/scope", column).unwrap_or_else(|| "/scope".to_owned())
    }

    fn scope_column(&mut self, name: &str) -> Option<&'a Column> {
        let at = self.scope_at(name);
        if let Some(column) = self.table.column(name) {
            return Some(column);
        }
        let names = || self.table.columns.iter().map(|column| column.name.as_str());
        let help =
            did_you_mean(name, names()).unwrap_or_else(|| format!("the columns are {}", list(names())));
        let finding = self
            .document
            .key_finding(
                Code::ColumnNotFound,
                &at,
                format!("table `{}` has no column `{name}`", self.table.name),
                "not in the table",
            )
            .help(help);
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
        None
    }

    fn scope_literal(&mut self, column: &Column, value: &Literal, is_order: bool) {
        let text = match value {
            Literal::Null => return,
            Literal::Bool(value) => value.to_string(),
            Literal::Integer(value) => value.to_string(),
            Literal::Number(value) => value.to_string(),
            Literal::Text(text) => text.clone(),
        };
        let base = column.pg_type.base();
        let fits = match base {
            PgType::Int2 => text.parse::<i16>().is_ok(),
            PgType::Int4 => text.parse::<i32>().is_ok(),
            PgType::Int8 => text.parse::<i64>().is_ok(),
            PgType::Float4 | PgType::Float8 | PgType::Numeric(_) => text.parse::<f64>().is_ok(),
            PgType::Bool => matches!(
                text.to_lowercase().as_str(),
                "true" | "false" | "t" | "f" | "yes" | "no"
            ),
            PgType::Uuid => uuid::Uuid::parse_str(&text).is_ok(),
            PgType::Enum { labels, .. } => labels.contains(&text),
            // `json` has no equality.
            PgType::Json => false,
            _ => !(is_order && *base == PgType::Jsonb),
        };
        if !fits {
            let at = self.scope_at(&column.name);
            let help = match base {
                PgType::Enum { labels, .. } => {
                    format!("the labels are {}", list(labels.iter().map(String::as_str)))
                }
                other => format!("`{}` is {other}", column.name),
            };
            self.report(
                Code::ScopeTypeMismatch,
                &at,
                format!("`{}` cannot be compared with this value", column.name),
                "does not fit the column's type",
                help,
            );
        }
    }

    fn field(&mut self, field: &Field) {
        let at = pointer("/properties", &field.property);
        match &field.source {
            None => {}
            Some(Source::Template(template)) => self.template(&pointer(&at, "template"), template),
            Some(Source::Column(name)) => {
                if let Some(column) = self.column(&pointer(&at, "column"), name) {
                    self.pair(&at, field, column);
                }
            }
        }
        if let Some(Conversion::Template {
            to_notion,
            to_postgres,
            ..
        }) = &field.conversion
        {
            let at = pointer(&at, "conversion");
            self.row_columns(&pointer(&at, "to_notion"), to_notion);
            if let Some(template) = to_postgres {
                self.row_columns(&pointer(&at, "to_postgres"), template);
            }
        }
    }

    /// Holds a property against its column.
    fn pair(&mut self, at: &str, field: &Field, column: &Column) {
        let property_type = field.property_type();
        let column_at = pointer(at, "column");
        let subject = format!(
            "`{}` is {}, and `{}` is {property_type}",
            column.name, column.pg_type, field.property
        );
        let conversion = field.conversion.as_ref().map(Conversion::kind);
        match fit(&column.pg_type, property_type, conversion) {
            Fit::Lossless | Fit::Lossy { .. } => {}
            Fit::Refused { why, help } => {
                let finding = self
                    .document
                    .value_finding(Code::TypeMismatch, &pointer(at, "type"), subject.clone(), why)
                    .also(self.document.value_label(&column_at, column.pg_type.to_string()))
                    .help(help);
                self.findings.push(finding);
                return;
            }
            Fit::OneWay {
                way: Way::ToNotion,
                why,
            } if field.direction != Direction::ToNotion => {
                let finding = self
                    .document
                    .value_finding(Code::TypeMismatch, &pointer(at, "type"), subject.clone(), why)
                    .also(self.document.value_label(&column_at, column.pg_type.to_string()))
                    .help("add `direction: to_notion`");
                self.findings.push(finding);
                return;
            }
            Fit::OneWay { .. } => {}
        }
        if field.direction != Direction::ToNotion {
            self.writable(&column_at, field, column);
        }
        if let PropertyKind::Relation { target, .. } = &field.kind {
            self.relation(&column_at, target, column);
        }
        if let PropertyKind::Options {
            options, on_unknown, ..
        } = &field.kind
        {
            let names: Vec<&str> = options.iter().map(|option| option.name.as_str()).collect();
            self.options(at, field, column, &names, *on_unknown);
        }
        self.contents(&column_at, field, column);
    }

    fn writable(&mut self, at: &str, field: &Field, column: &Column) {
        let why = match (column.generated, self.table.relkind) {
            (Generated::Stored, _) => "is computed by the database",
            (Generated::IdentityAlways, _) => "is numbered by the database",
            (_, Relkind::MaterializedView) => "belongs to a materialized view",
            _ => return,
        };
        self.report(
            Code::ColumnNotWritable,
            at,
            format!(
                "`{}` may be edited in Notion, and column `{}` {why}",
                field.property, column.name
            ),
            why,
            "add `direction: to_notion`",
        );
    }

    fn relation(&mut self, at: &str, target: &str, column: &Column) {
        let Some((table, key)) = self.live.targets.get(target) else {
            return;
        };
        let [key] = key.as_slice() else { return };
        let Some(key) = table.column(key) else { return };
        let class = |pg_type: &PgType| match pg_type.base() {
            PgType::Text | PgType::Varchar(_) | PgType::Char(_) | PgType::Citext => "text",
            PgType::Int2 | PgType::Int4 | PgType::Int8 => "integer",
            PgType::Uuid => "uuid",
            _ => "other",
        };
        let element = match column.pg_type.base() {
            PgType::Array(element) => element.as_ref(),
            other => other,
        };
        let same = class(element) == class(&key.pg_type)
            && (class(element) != "other" || element.base() == key.pg_type.base());
        if !same {
            self.report(
                Code::RelationKeyMismatch,
                at,
                format!(
                    "`{}` is {}, and the key of `{target}` is {}",
                    column.name, column.pg_type, key.pg_type
                ),
                "cannot hold the target's key",
                format!(
                    "the relation's column must hold values of `{}.{}`",
                    table.name, key.name
                ),
            );
        }
    }

    /// Holds the declared options against what the column allows and holds.
    fn options(
        &mut self,
        at: &str,
        field: &Field,
        column: &Column,
        declared: &[&str],
        on_unknown: UnknownOption,
    ) {
        let show = |text: &str| match &field.conversion {
            Some(Conversion::Map(pairs)) => pairs
                .iter()
                .find(|(column, _)| column == text)
                .map_or_else(|| text.to_owned(), |(_, property)| property.clone()),
            _ => text.to_owned(),
        };
        // What a template or a split makes of a value is not known here.
        if matches!(field.conversion, Some(Conversion::Template { .. })) {
            return;
        }
        let allowed = self.allowed(column);
        if let Some(allowed) = &allowed {
            let shown: Vec<String> = allowed.iter().map(|text| show(text)).collect();
            if field.direction != Direction::ToNotion {
                for (index, option) in declared.iter().enumerate() {
                    if !shown.iter().any(|shown| shown == option) {
                        let help =
                            did_you_mean(option, shown.iter().map(String::as_str)).unwrap_or_else(|| {
                                format!("the column allows {}", list(allowed.iter().map(String::as_str)))
                            });
                        self.report(
                            Code::OptionNotAllowed,
                            &pointer(&pointer(at, "options"), index),
                            format!("column `{}` does not allow `{option}`", column.name),
                            "the database would refuse it",
                            help,
                        );
                    }
                }
            }
        }
        let held = self
            .live
            .facts
            .get(&column.name)
            .and_then(|facts| facts.distinct.clone());
        let mut values: Vec<String> = allowed
            .into_iter()
            .chain(held)
            .flatten()
            .map(|text| show(&text))
            .collect();
        values.sort_unstable();
        values.dedup();
        values.retain(|value| !value.is_empty());
        let place = if self.document.has(&pointer(at, "options")) {
            pointer(at, "options")
        } else {
            at.to_owned()
        };
        let unshowable: Vec<&str> = values
            .iter()
            .map(String::as_str)
            .filter(|value| value.contains(',') || value.chars().count() > 100)
            .collect();
        if !unshowable.is_empty() {
            let finding = self
                .document
                .key_finding(
                    Code::OptionUnshowable,
                    &place,
                    format!(
                        "column `{}` holds values that Notion refuses as options",
                        column.name
                    ),
                    format!("{} of them have commas or are too long", unshowable.len()),
                )
                .help("use `conversion: { map: … }`, or make the property `rich_text`");
            self.findings.push(finding);
        }
        if on_unknown == UnknownOption::Create && field.property_type() != PropertyType::Status {
            return;
        }
        // Notion does not tell options apart by case.
        let missing: Vec<&str> = values
            .iter()
            .map(String::as_str)
            .filter(|value| !unshowable.contains(value))
            .filter(|value| {
                !declared
                    .iter()
                    .any(|option| option.to_lowercase() == value.to_lowercase())
            })
            .collect();
        if !missing.is_empty() {
            let finding = self
                .document
                .key_finding(
                    Code::OptionMissing,
                    &place,
                    format!("column `{}` knows values that are no options", column.name),
                    format!("{} values are missing", missing.len()),
                )
                .help(format!(
                    "add {}, or `on_unknown_option: create`",
                    list(missing.iter().copied())
                ));
            self.findings.push(finding);
        }
    }

    /// The texts that the column's type or a CHECK constraint allows, where one of them lists them.
    fn allowed(&self, column: &Column) -> Option<Vec<String>> {
        let element = match column.pg_type.base() {
            PgType::Array(element) => element.base(),
            other => other,
        };
        if let PgType::Enum { labels, .. } = element {
            return Some(labels.clone());
        }
        self.table
            .checks
            .iter()
            .find_map(|check| check.allows.as_ref().filter(|(name, _)| *name == column.name))
            .map(|(_, texts)| texts.clone())
    }

    /// Warns of values that the property cannot take.
    fn contents(&mut self, at: &str, field: &Field, column: &Column) {
        let Some(facts) = self.live.facts.get(&column.name) else {
            return;
        };
        // Request limits of 2026-03-11: 100 texts of 2,000 UTF-16 units; e-mail and telephone by the stricter source.
        let limit = match field.property_type() {
            PropertyType::Title | PropertyType::RichText => Some(200_000),
            PropertyType::Url => Some(2_000),
            PropertyType::Email | PropertyType::PhoneNumber => Some(100),
            _ => None,
        };
        let (longest, inexact) = (facts.longest, facts.inexact_numbers);
        if let (Some(limit), Some(longest)) = (limit, longest)
            && longest > limit
        {
            self.report(
                Code::TextTooLong,
                at,
                format!("column `{}` holds text of {longest} characters", column.name),
                &format!("the property takes {limit}"),
                "rows with longer text are shown as errors and left alone",
            );
        }
        if field.property_type() == PropertyType::Number && inexact > 0 {
            self.report(
                Code::NumberTooLarge,
                at,
                format!(
                    "column `{}` holds {inexact} numbers that Notion cannot keep exactly",
                    column.name
                ),
                "not exact in Notion",
                "make the property `rich_text`",
            );
        }
    }

    fn assignments(&mut self, at: &str, assignments: &[super::Assignment]) {
        for assignment in assignments {
            let at = pointer(at, &assignment.column);
            if self.table.column(&assignment.column).is_none() {
                let names = || self.table.columns.iter().map(|column| column.name.as_str());
                let help = did_you_mean(&assignment.column, names())
                    .unwrap_or_else(|| format!("the columns are {}", list(names())));
                let finding = self
                    .document
                    .key_finding(
                        Code::ColumnNotFound,
                        &at,
                        format!(
                            "table `{}` has no column `{}`",
                            self.table.name, assignment.column
                        ),
                        "not in the table",
                    )
                    .help(help);
                self.findings.push(finding);
            }
            if let Assigned::Template(template) = &assignment.value {
                self.template(&at, template);
            }
        }
    }

    /// Checks that the bare names of a template are columns.
    fn template(&mut self, at: &str, template: &Template) {
        for name in template.variables() {
            if !matches!(name.as_str(), "vars" | "profile" | "row") {
                self.template_column(at, template, &name);
            }
        }
        self.row_columns(at, template);
    }

    fn row_columns(&mut self, at: &str, template: &Template) {
        for name in template.row_columns() {
            self.template_column(at, template, &name);
        }
    }

    fn template_column(&mut self, at: &str, template: &Template, name: &str) {
        if self.table.column(name).is_some() {
            return;
        }
        let names = || self.table.columns.iter().map(|column| column.name.as_str());
        let help =
            did_you_mean(name, names()).unwrap_or_else(|| format!("the columns are {}", list(names())));
        let mut label = self.document.value_label(at, "not a column");
        let offset = label.file.slice(&label.span).find(template.text());
        if let (Some(offset), Some(within)) = (offset, template.text().find(name)) {
            let start = label.span.start + offset + within;
            label.span = start..start + name.len();
        }
        let finding = Diagnostic::new(
            Code::TemplateUnknownVariable,
            format!(
                "the template names `{name}`, and table `{}` has no such column",
                self.table.name
            ),
            label,
        )
        .at(at)
        .help(help);
        self.findings.push(finding);
    }

    /// Checks that a row inserted for a page gets everything the table requires.
    fn inserts(&mut self) {
        if self.mapping.presence.on_page_create != OnPageCreate::InsertRow {
            return;
        }
        let constants = self.mapping.scope.constants();
        let given = |name: &str| {
            self.mapping
                .new_row
                .iter()
                .any(|assignment| assignment.column == name)
                || constants.iter().any(|(column, _)| *column == name)
                || self
                    .mapping
                    .fields
                    .iter()
                    .any(|field| field.column() == Some(name) && field.direction != Direction::ToNotion)
        };
        let missing: Vec<&str> = self
            .table
            .columns
            .iter()
            .filter(|column| !column.may_be_omitted() && !given(&column.name))
            .map(|column| column.name.as_str())
            .collect();
        if !missing.is_empty() {
            self.report(
                Code::InsertNotPossible,
                "/on_page_create",
                format!(
                    "rows may be inserted, and nothing gives {} a value",
                    list(missing.iter().copied())
                ),
                "rows are inserted",
                "give them in `new_row`, map them to properties, or declare defaults",
            );
        }
    }

    fn capture(&mut self) {
        match &self.mapping.capture {
            Capture::Scan => {}
            Capture::UpdatedAt { column } => {
                let at = "/capture/updated_at";
                if let Some(found) = self.column(at, column)
                    && !matches!(found.pg_type.base(), PgType::Timestamp | PgType::Timestamptz)
                {
                    self.report(
                        Code::CaptureUnusable,
                        at,
                        format!("`{column}` is {}, not a timestamp", found.pg_type),
                        "not a timestamp",
                        "name a `timestamptz` column that every change sets, or use `capture: scan`",
                    );
                }
            }
            Capture::Triggers => {
                let is_table = matches!(self.table.relkind, Relkind::Table | Relkind::Partitioned);
                let may = self.table.privileges.trigger || self.table.privileges.owner;
                if !is_table {
                    self.report(
                        Code::CaptureUnusable,
                        "/capture",
                        format!(
                            "`{}` is no ordinary table, and cannot have the triggers",
                            self.table.name
                        ),
                        "not possible here",
                        "use `capture: scan`",
                    );
                } else if !may {
                    self.report(
                        Code::CaptureUnusable,
                        "/capture",
                        format!("the role may not create triggers on `{}`", self.table.name),
                        "needs a right",
                        format!("grant trigger on {} to {}", self.table.name, self.live.role),
                    );
                }
            }
        }
    }

    fn row_security(&mut self) {
        if self.table.row_security_active {
            self.report(
                Code::RowSecurityActive,
                "/table",
                format!("row security hides rows of `{}` from this role", self.table.name),
                "row security is active",
                "no page is ever trashed while it is; use a role that the policies let through",
            );
        }
    }

    /// Reports every right that the mapping needs and the role lacks, as the GRANTs that give them.
    fn grants(&mut self) {
        let mapping = self.mapping;
        let inserts = mapping.presence.on_page_create == OnPageCreate::InsertRow;
        let mut read: Vec<&str> = mapping.key.iter().map(String::as_str).collect();
        read.extend(mapping.scope.columns());
        read.extend(mapping.fields.iter().filter_map(Field::column));
        let mut update: Vec<&str> = mapping
            .fields
            .iter()
            .filter(|field| field.direction != Direction::ToNotion)
            .filter_map(Field::column)
            .collect();
        if mapping.presence.on_page_trash == OnPageTrash::SoftDelete {
            update.extend(
                mapping
                    .soft_delete
                    .iter()
                    .map(|assignment| assignment.column.as_str()),
            );
        }
        let mut insert: Vec<&str> = Vec::new();
        if inserts {
            insert.extend(update.iter().copied());
            insert.extend(
                mapping
                    .new_row
                    .iter()
                    .map(|assignment| assignment.column.as_str()),
            );
            insert.extend(mapping.scope.constants().into_iter().map(|(column, _)| column));
        }
        let mut grants = Vec::new();
        for (right, columns, has) in [
            (
                "select",
                read,
                (|column: &Column| column.privileges.select) as fn(&Column) -> bool,
            ),
            ("update", update, |column| column.privileges.update),
            ("insert", insert, |column| column.privileges.insert),
        ] {
            let mut lacking: Vec<&str> = columns
                .into_iter()
                .filter_map(|name| self.table.column(name))
                .filter(|column| !has(column))
                .map(|column| column.name.as_str())
                .collect();
            lacking.sort_unstable();
            lacking.dedup();
            if !lacking.is_empty() {
                grants.push(format!(
                    "grant {right} ({}) on {} to {}",
                    lacking.join(", "),
                    self.table.name,
                    self.live.role
                ));
            }
        }
        if mapping.presence.on_page_trash == OnPageTrash::HardDelete && !self.table.privileges.delete {
            grants.push(format!(
                "grant delete on {} to {}",
                self.table.name, self.live.role
            ));
        }
        if !grants.is_empty() {
            self.report(
                Code::MissingGrant,
                "/table",
                format!("role `{}` lacks rights on `{}`", self.live.role, self.table.name),
                "needs more rights",
                grants.join("; "),
            );
        }
    }
}

/// The columns of a mapping's own table that its checks want facts about.
pub fn columns_of_interest(mapping: &Mapping, table: &TableSchema) -> Vec<String> {
    let mut columns: Vec<String> = mapping
        .fields
        .iter()
        .filter_map(Field::column)
        .filter(|name| table.column(name).is_some_and(|column| column.privileges.select))
        .map(str::to_owned)
        .collect();
    columns.sort_unstable();
    columns.dedup();
    columns
}

/// The columns of a table that the connected role may read.
pub fn columns_of_interest_in(table: &TableSchema) -> Vec<String> {
    table
        .columns
        .iter()
        .filter(|column| column.privileges.select)
        .map(|column| column.name.clone())
        .collect()
}
