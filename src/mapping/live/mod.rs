//! A mapping against its live table: the layer of checks that needs the database.
//!
//! Pure: the catalog and the facts about the data were read before.

mod capture;
mod field;
mod grants;
mod inserts;
mod key;
mod options;
mod scope;
mod template;

use std::collections::BTreeMap;

use super::{Field, Mapping};
use crate::diagnostic::{Code, Diagnostic, did_you_mean, one_of};
use crate::schema::table::{Column, ColumnFacts};
use crate::schema::{TableName, TableSchema};
use crate::yaml::Document;

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
            let help = one_of(name, "the columns are", self.table.column_names());
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
