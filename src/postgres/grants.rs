//! The least rights that a profile's role needs, as the GRANTs that give them.

use crate::mapping::{Capture, Direction, Mapping, OnPageCreate, OnPageTrash, Source};
use crate::schema::TableSchema;
use crate::template::Template;
use crate::value::Conversion;

use super::PostgresError;
use super::profile::audit_columns;
use super::sql::quoted;

/// What a mapping needs on its table, as statements for whoever owns it; `role` is the runtime role.
///
/// Columns and not tables where the mapping is content with columns: S15 of the semantics. With [`Extent::Missing`]
/// only what `table` says the connected role lacks, which is how `doctor` checks.
///
/// # Errors
/// When a name is none.
pub fn required_grants(
    mapping: &Mapping,
    table: &TableSchema,
    role: &str,
    extent: Extent,
) -> Result<Vec<String>, PostgresError> {
    let needs = Needs::of(mapping, table);
    let lacks =
        |wanted: &[String], has: fn(&crate::schema::table::ColumnPrivileges) -> bool| -> Vec<String> {
            wanted
                .iter()
                .filter(|name| {
                    extent == Extent::All || !table.column(name).is_some_and(|column| has(&column.privileges))
                })
                .cloned()
                .collect()
        };
    let relation = format!(
        "{}.{}",
        quoted(&mapping.table.schema)?,
        quoted(&mapping.table.name)?
    );
    let role = quoted(role)?;
    let mut grants = Vec::new();
    if extent == Extent::All {
        grants.push(format!(
            "grant usage on schema {} to {role};",
            quoted(&mapping.table.schema)?
        ));
    }
    for (right, columns) in [
        ("select", lacks(&needs.select, |rights| rights.select)),
        ("update", lacks(&needs.update, |rights| rights.update)),
        ("insert", lacks(&needs.insert, |rights| rights.insert)),
    ] {
        if !columns.is_empty() {
            let columns = columns
                .iter()
                .map(|name| quoted(name))
                .collect::<Result<Vec<_>, _>>()?;
            grants.push(format!(
                "grant {right} ({}) on {relation} to {role};",
                columns.join(", ")
            ));
        }
    }
    if needs.delete && (extent == Extent::All || !table.privileges.delete) {
        grants.push(format!("grant delete on {relation} to {role};"));
    }
    if needs.trigger && (extent == Extent::All || !(table.privileges.trigger || table.privileges.owner)) {
        grants.push(format!("grant trigger on {relation} to {role};"));
    }
    Ok(grants)
}

/// What copying audit entries to a table needs, as a statement for whoever owns it.
///
/// # Errors
/// When a name is none.
pub fn audit_grants(table: &TableSchema, role: &str, extent: Extent) -> Result<Vec<String>, PostgresError> {
    let lacking = audit_columns(table)
        .into_iter()
        .filter(|column| extent == Extent::All || !column.privileges.insert)
        .map(|column| quoted(&column.name))
        .collect::<Result<Vec<_>, _>>()?;
    if lacking.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![format!(
        "grant insert ({}) on {}.{} to {};",
        lacking.join(", "),
        quoted(&table.name.schema)?,
        quoted(&table.name.name)?,
        quoted(role)?
    )])
}

/// What making the state schema needs: a role that may create schemas, and owns this one afterwards.
///
/// # Errors
/// When a name is none.
pub fn state_creation_grant(database: &str, role: &str) -> Result<String, PostgresError> {
    Ok(format!(
        "grant create on database {} to {};",
        quoted(database)?,
        quoted(role)?
    ))
}

/// What the role needs to look into a schema.
///
/// # Errors
/// When a name is none.
pub fn usage_grant(schema: &str, role: &str) -> Result<String, PostgresError> {
    Ok(format!(
        "grant usage on schema {} to {};",
        quoted(schema)?,
        quoted(role)?
    ))
}

/// What the runtime role needs in the state schema, once `setup` has made it; it need not own it.
///
/// # Errors
/// When a name is none.
pub fn state_grants(state_schema: &str, role: &str) -> Result<Vec<String>, PostgresError> {
    let (schema, role) = (quoted(state_schema)?, quoted(role)?);
    Ok(vec![
        format!("grant usage on schema {schema} to {role};"),
        format!("grant select, insert, update, delete on all tables in schema {schema} to {role};"),
        format!("revoke update, delete, truncate on {schema}.audit from {role};"),
        format!("revoke insert, update, delete on {schema}.migration from {role};"),
        format!("grant execute on function {schema}.forget(text, timestamptz) to {role};"),
    ])
}

/// Which grants are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Every one, for a role that has nothing.
    All,
    /// Those that the connected role does not have.
    Missing,
}

struct Needs {
    select: Vec<String>,
    update: Vec<String>,
    insert: Vec<String>,
    delete: bool,
    trigger: bool,
}

impl Needs {
    fn of(mapping: &Mapping, table: &TableSchema) -> Self {
        let mut needs = Self {
            select: Vec::new(),
            update: Vec::new(),
            insert: Vec::new(),
            delete: mapping.presence.on_page_trash == OnPageTrash::HardDelete,
            trigger: mapping.capture == Capture::Triggers,
        };
        let inserts = mapping.presence.on_page_create == OnPageCreate::InsertRow;
        for column in mapping
            .key
            .iter()
            .map(String::as_str)
            .chain(mapping.scope.columns())
        {
            add(&mut needs.select, column);
        }
        if let Capture::UpdatedAt { column } = &mapping.capture {
            add(&mut needs.select, column);
        }
        for field in &mapping.fields {
            if let Some(Source::Template(template)) = &field.source {
                needs.named(template, table);
            }
            if let Some(Conversion::Template {
                to_notion,
                to_postgres,
                ..
            }) = &field.conversion
            {
                needs.named(to_notion, table);
                if let Some(template) = to_postgres {
                    needs.named(template, table);
                }
            }
            let Some(column) = field.column() else { continue };
            add(&mut needs.select, column);
            if field.direction != Direction::ToNotion {
                add(&mut needs.update, column);
                if inserts {
                    add(&mut needs.insert, column);
                }
            }
        }
        if mapping.presence.on_page_trash == OnPageTrash::SoftDelete {
            for assignment in &mapping.soft_delete {
                add(&mut needs.update, &assignment.column);
                // What stood there is kept, so that it can be put back.
                add(&mut needs.select, &assignment.column);
            }
        }
        if inserts {
            let scope = mapping.scope.constants();
            let given = mapping.new_row.iter().map(|given| given.column.as_str());
            for column in given.chain(scope.iter().map(|(column, _)| *column)) {
                add(&mut needs.insert, column);
            }
        }
        needs
    }

    /// The columns that a template reads.
    fn named(&mut self, template: &Template, table: &TableSchema) {
        for name in template.variables().into_iter().chain(template.row_columns()) {
            if table.column(&name).is_some() {
                add(&mut self.select, &name);
            }
        }
    }
}

fn add(columns: &mut Vec<String>, column: &str) {
    if !columns.iter().any(|known| known == column) {
        columns.push(column.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::diagnostic::SourceFile;
    use crate::mapping::{Scene, parse, validate};
    use crate::schema::table::{Column, ColumnPrivileges, TablePrivileges};
    use crate::schema::{PgType, TableName};

    fn mapping(text: &str) -> Mapping {
        let source = Arc::new(SourceFile::new("teams", text));
        let parsed = parse(crate::yaml::read(source).value.expect("YAML"))
            .value
            .expect("a mapping");
        validate(&parsed, &Scene::default())
            .value
            .expect("a mapping that makes sense")
    }

    /// A table whose columns may all be selected, and not written.
    fn table(columns: &[&str]) -> TableSchema {
        let name = TableName {
            schema: "public".to_owned(),
            name: "teams".to_owned(),
        };
        let column = |name: &&str| Column {
            privileges: ColumnPrivileges {
                select: true,
                insert: false,
                update: false,
            },
            ..Column::plain(name, PgType::Text)
        };
        TableSchema {
            privileges: TablePrivileges {
                delete: false,
                trigger: false,
                owner: false,
            },
            ..TableSchema::plain(name, columns.iter().map(column).collect())
        }
    }

    const TEAMS: &str = r#"
version: 1
entity: teams
table: public.teams
key: id
scope: { university_id: CalPoly }
null_scope: include
notion: { title: Teams }
on_page_create: insert_row
on_page_trash: hard_delete
capture: triggers
new_row: { id: "{{ uuid() }}" }
properties:
  Name: { type: title, column: name }
  Label: { type: rich_text, template: "{{ name }} ({{ short }})", direction: to_notion }
  Made: { type: rich_text, column: made, direction: to_notion }
"#;

    #[test]
    fn everything_that_a_mapping_does_is_granted_and_nothing_else() {
        let table = table(&["id", "university_id", "name", "short", "made", "secret"]);
        let grants = required_grants(&mapping(TEAMS), &table, "app", Extent::All).expect("names");
        assert_eq!(
            grants,
            [
                r#"grant usage on schema "public" to "app";"#,
                r#"grant select ("id", "university_id", "name", "short", "made") on "public"."teams" to "app";"#,
                r#"grant update ("name") on "public"."teams" to "app";"#,
                // The tenant is inserted although NULL is in scope too.
                r#"grant insert ("name", "id", "university_id") on "public"."teams" to "app";"#,
                r#"grant delete on "public"."teams" to "app";"#,
                r#"grant trigger on "public"."teams" to "app";"#,
            ]
        );
    }

    #[test]
    fn what_the_role_has_is_not_asked_for_again() {
        let mut table = table(&["id", "university_id", "name", "short", "made"]);
        table.privileges.delete = true;
        table.privileges.trigger = true;
        let grants = required_grants(&mapping(TEAMS), &table, "app", Extent::Missing).expect("names");
        assert_eq!(
            grants,
            [
                r#"grant update ("name") on "public"."teams" to "app";"#,
                r#"grant insert ("name", "id", "university_id") on "public"."teams" to "app";"#,
            ]
        );
        for column in &mut table.columns {
            column.privileges.update = true;
            column.privileges.insert = true;
        }
        let grants = required_grants(&mapping(TEAMS), &table, "app", Extent::Missing).expect("names");
        assert_eq!(grants, Vec::<String>::new());
    }
}
