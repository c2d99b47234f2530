//! The database's half: tables and what they hold, against the mappings.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::SecretString;
use sqlx::PgPool;

use super::{document, setting};
use crate::cli::error::with_causes;
use crate::diagnostic::{Code, Diagnostic};
use crate::mapping::{LiveTable, Mapping, check_table, columns_of_interest};
use crate::postgres::facts::Sample;
use crate::postgres::{
    ConnectOptions, PostgresError, column_facts, connect, current_role, introspect_all, list_tables,
};
use crate::project::{Profile, Project};
use crate::schema::{TableName, TableSchema};

/// Rows looked at for what columns hold. Enough to meet every option of a real table, and a second at most.
const SAMPLE: Sample = Sample {
    rows: 50_000,
    distinct: 200,
};

/// Reaches a profile's database, with little patience.
pub(crate) async fn reach(url: &SecretString) -> Result<PgPool, PostgresError> {
    let options = ConnectOptions {
        max_connections: 2,
        acquire_timeout: Duration::from_secs(10),
        ..ConnectOptions::default()
    };
    connect(url, &options).await
}

/// Holds a profile's mappings against its database.
pub(super) async fn findings(
    pool: &PgPool,
    project: &Project,
    mappings: &[Mapping],
) -> Result<Vec<Diagnostic>, PostgresError> {
    let names: Vec<TableName> = mappings.iter().map(|mapping| mapping.table.clone()).collect();
    let tables = introspect_all(pool, &names).await?;
    let known = list_tables(pool).await?;
    let role = current_role(pool).await?;
    let targets: BTreeMap<String, (TableSchema, Vec<String>)> = mappings
        .iter()
        .filter_map(|mapping| {
            let table = tables.get(&mapping.table)?;
            Some((mapping.entity.clone(), (table.clone(), mapping.key.clone())))
        })
        .collect();
    let mut findings = Vec::new();
    for mapping in mappings {
        let Some(document) = document(project, mapping) else {
            continue;
        };
        let table = tables.get(&mapping.table);
        let nothing = BTreeMap::new();
        let mut live = LiveTable {
            table,
            known: &known,
            targets: &targets,
            facts: &nothing,
            role: &role,
        };
        let mut found = check_table(document, mapping, live);
        // What columns hold can only be asked where the scope and the columns are right.
        let is_sound = !found.iter().any(|finding| {
            matches!(
                finding.code,
                Code::TableNotFound | Code::ColumnNotFound | Code::ScopeTypeMismatch | Code::MissingGrant
            )
        });
        if let Some(table) = table.filter(|_| is_sound) {
            let columns = columns_of_interest(mapping, table);
            let facts = column_facts(pool, table, &columns, &mapping.scope, SAMPLE).await?;
            live.facts = &facts;
            found = check_table(document, mapping, live);
        }
        findings.extend(found);
    }
    Ok(findings)
}

/// The database could not be asked.
pub(super) fn unreachable(project: &Project, profile: &Profile, error: &PostgresError) -> Diagnostic {
    project
        .document
        .value_finding(
            Code::DatabaseUnreachable,
            &setting(project, profile, "database_url"),
            format!("profile `{}`: {}", profile.name, with_causes(error)),
            "could not be asked",
        )
        .help("check the URL, or use `--offline`")
}
