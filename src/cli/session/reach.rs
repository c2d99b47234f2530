//! The two sides of a profile, from its settings.

use std::collections::BTreeMap;

use secrecy::SecretString;
use sqlx::PgPool;

use super::super::Failure;
use super::super::error::with_causes;
use super::{notion, postgres};
use crate::engine::row_columns;
use crate::mapping::{Capture, Mapping};
use crate::notion::{Client, Settings, parse_page_id};
use crate::postgres::introspect_all;
use crate::postgres::{EntityTable, ProfileDatabase};
use crate::project::Profile;
use crate::schema::{TableName, TableSchema};
use crate::value::PageId;

/// The client of a profile's connection; nothing is sent yet.
pub(crate) fn client(profile: &Profile) -> Result<Client, Failure> {
    let token = required(&profile.notion.token, profile, "notion.token")?;
    let mut settings = Settings::new(token.clone());
    if let Some(url) = &profile.notion.base_url {
        settings.base_url.clone_from(url);
    }
    settings.requests_per_minute = profile.notion.requests_per_minute;
    settings.request_timeout = profile.tuning.request_timeout;
    Client::new(&settings).map_err(|error| notion(&error))
}

/// The parent page's id, from the id or the address that the profile gives.
pub(crate) fn parent_page(profile: &Profile) -> Result<PageId, Failure> {
    let text =
        profile.notion.parent_page.as_deref().ok_or_else(|| {
            Failure::usage(format!("profile `{}` has no `notion.parent_page`", profile.name))
        })?;
    parse_page_id(text).map_err(|error| {
        Failure::usage(format!("the parent page of profile `{}`: {error}", profile.name))
            .hint("copy the page's link in Notion: ••• → Copy link")
    })
}

pub(crate) fn required<'a>(
    secret: &'a Option<SecretString>,
    profile: &Profile,
    setting: &str,
) -> Result<&'a SecretString, Failure> {
    secret.as_ref().ok_or_else(|| {
        Failure::usage(format!("profile `{}` has no `{setting}`", profile.name))
            .hint("set the variable that it names, in the environment or in `.env`")
    })
}

pub(super) async fn tables(
    pool: &PgPool,
    profile: &Profile,
    mappings: &[Mapping],
) -> Result<BTreeMap<TableName, TableSchema>, Failure> {
    let mut names: Vec<TableName> = mappings.iter().map(|mapping| mapping.table.clone()).collect();
    names.extend(profile.audit_table.clone());
    let tables = introspect_all(pool, &names)
        .await
        .map_err(|error| postgres(&error))?;
    match names.iter().find(|name| !tables.contains_key(*name)) {
        Some(missing) => Err(no_table(missing)),
        None => Ok(tables),
    }
}

pub(super) fn no_table(name: &TableName) -> Failure {
    Failure::needs_user(format!("there is no table `{name}`, or the role may not see it"))
        .hint("`frames-sync validate` shows the place")
}

pub(crate) fn profile_database(
    pool: &PgPool,
    profile: &Profile,
    mappings: &[Mapping],
    tables: &BTreeMap<TableName, TableSchema>,
) -> Result<ProfileDatabase, Failure> {
    let entities = mappings
        .iter()
        .filter_map(|mapping| {
            let table = tables.get(&mapping.table)?;
            let entity = EntityTable {
                table: table.clone(),
                key: mapping.key.clone(),
                columns: row_columns(mapping, table),
                scope: mapping.scope.clone(),
                updated_at: match &mapping.capture {
                    Capture::UpdatedAt { column } => Some(column.clone()),
                    Capture::Scan | Capture::Triggers => None,
                },
            };
            Some((mapping.entity.clone(), entity))
        })
        .collect();
    let audit = profile
        .audit_table
        .as_ref()
        .and_then(|name| tables.get(name))
        .cloned();
    ProfileDatabase::new(
        pool.clone(),
        &profile.state_schema,
        &profile.name,
        entities,
        audit,
    )
    .map_err(|error| Failure::needs_user(with_causes(&error)).hint("`frames-sync validate` shows the place"))
}
