//! The database's half: the way there, the role and its rights, the state, and what the scope admits.

use std::collections::BTreeMap;

use secrecy::SecretString;
use sqlx::PgPool;
use sqlx::postgres::PgSslMode;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Check;
use crate::cli::ambient::DatabaseClock;
use crate::cli::error::with_causes;
use crate::cli::live;
use crate::cli::remembered::{Remembered, remembered};
use crate::cli::session::profile_database;
use crate::mapping::Mapping;
use crate::ports::{Clock, Rows};
use crate::postgres::connect::connect_options;
use crate::postgres::grants::{
    Extent, audit_grants, required_grants, state_creation_grant, state_grants, usage_grant,
};
use crate::postgres::{
    ConnectOptions, PostgresError, Server, StateRights, introspect_all, schemas_without_usage, server,
    state_rights, state_version,
};
use crate::project::Profile;
use crate::schema::{TableName, TableSchema};
use crate::store::migrations::SchemaVersion;

/// The oldest server that is tested.
const OLDEST: i32 = 140_000;

/// A difference of clocks that matters to nothing: comparisons floor to minutes.
const SKEW: time::Duration = time::Duration::seconds(5);

/// What was found, and what the other half needs of it.
pub(super) struct Found {
    pub(super) checks: Vec<Check>,
    pub(super) remembered: Remembered,
    pub(super) clock: Option<DatabaseClock>,
}

pub(super) async fn examine(url: &SecretString, profile: &Profile, mappings: &[Mapping]) -> Found {
    let mut found = Found {
        checks: Vec::new(),
        remembered: Remembered::default(),
        clock: None,
    };
    let pool = match live::reach(url).await {
        Ok(pool) => pool,
        Err(error) => {
            found.checks.push(unreachable("database", &error));
            return found;
        }
    };
    if let Err(error) = look(url, &pool, profile, mappings, &mut found).await {
        found.checks.push(unreachable("database", &error));
    }
    pool.close().await;
    found
}

fn unreachable(name: &str, error: &PostgresError) -> Check {
    let check = Check::fail(name, with_causes(error));
    match error {
        PostgresError::Url(_) => check.help("it looks like postgresql://user:password@host/database"),
        _ => check.of_the_world().help(
            "check host, port, name and password in `database_url`, and that the server takes connections",
        ),
    }
}

async fn look(
    url: &SecretString,
    pool: &PgPool,
    profile: &Profile,
    mappings: &[Mapping],
    found: &mut Found,
) -> Result<(), PostgresError> {
    let server = server(pool).await?;
    found.checks.push(standing(&server));
    found.checks.push(tls(url)?);
    found.checks.push(version(&server));
    let clock = DatabaseClock::measure(pool).await?;
    let now = clock.now();
    found
        .checks
        .push(skew("clock", "the database", now, OffsetDateTime::now_utc()));
    found.clock = Some(clock);

    let mut names: Vec<TableName> = mappings.iter().map(|mapping| mapping.table.clone()).collect();
    names.extend(profile.audit_table.clone());
    let tables = introspect_all(pool, &names).await?;
    found.checks.extend(absent(&names, &tables));
    let rights = state_rights(pool, &profile.state_schema).await?;
    found
        .checks
        .push(grants(pool, &server, rights, profile, mappings, &tables).await?);
    found.checks.push(privilege(&server, &tables));
    found.checks.push(row_security(&tables));
    if rights != StateRights::Lacking {
        found.checks.push(state(pool, profile).await?);
        if let Ok(known) = remembered(pool, profile).await {
            found.remembered = known;
        }
    }
    let database = profile_database(pool, profile, mappings, &tables);
    if let Ok(database) = database {
        if rights == StateRights::Enough {
            found.checks.extend(lease(&database).await);
            found
                .checks
                .extend(super::records::standing(&database, mappings, &profile.schedule, now).await);
        }
        found.checks.extend(rows(&database, mappings, &tables).await);
    }
    Ok(())
}

fn standing(server: &Server) -> Check {
    let message = format!("`{}` answers", server.database);
    if server.in_recovery {
        return Check::fail(
            "database",
            format!("{message}, and is a standby that takes no writes"),
        )
        .help("name the primary in `database_url`");
    }
    Check::ok("database", message)
}

fn tls(url: &SecretString) -> Result<Check, PostgresError> {
    let options = connect_options(url, &ConnectOptions::default())?;
    Ok(Check::ok(
        "tls",
        match options.get_ssl_mode() {
            PgSslMode::VerifyFull => "certificate and host name are verified",
            PgSslMode::VerifyCa => "on this machine; the certificate is verified",
            PgSslMode::Require => "on this machine; encrypted",
            _ => "none, and none is needed: the way to the server never leaves this machine",
        },
    ))
}

fn version(server: &Server) -> Check {
    let message = format!("PostgreSQL {}", server.version);
    if server.version_number < OLDEST {
        return Check::fail("server version", message)
            .help("frames-sync is tested with PostgreSQL 14 and later");
    }
    Check::ok("server version", message)
}

/// Compares another clock with this machine's.
pub(super) fn skew(name: &str, whose: &str, theirs: OffsetDateTime, ours: OffsetDateTime) -> Check {
    let ahead = theirs - ours;
    if ahead.abs() <= SKEW {
        return Check::ok(
            name,
            format!("{whose} and this machine agree within {} s", SKEW.whole_seconds()),
        );
    }
    let word = if ahead.is_positive() { "ahead of" } else { "behind" };
    let message = format!("{whose} is {} s {word} this machine", ahead.whole_seconds().abs());
    Check::warn(name, message).help("set the clocks by NTP; which edit was later is judged by these clocks")
}

fn absent(names: &[TableName], tables: &BTreeMap<TableName, TableSchema>) -> Option<Check> {
    let absent: Vec<String> = names
        .iter()
        .filter(|name| !tables.contains_key(*name))
        .map(ToString::to_string)
        .collect();
    if absent.is_empty() {
        return None;
    }
    let shown = crate::diagnostic::list(absent.iter().map(String::as_str));
    Some(
        Check::fail("tables", format!("there is no table {shown}"))
            .help("check schema and name; `frames-sync validate` shows the place and what is near"),
    )
}

/// The rights that the profile's work needs, and the GRANTs for those that the role lacks.
async fn grants(
    pool: &PgPool,
    server: &Server,
    rights: StateRights,
    profile: &Profile,
    mappings: &[Mapping],
    tables: &BTreeMap<TableName, TableSchema>,
) -> Result<Check, PostgresError> {
    let role = &server.role;
    let mut schemas: Vec<String> = tables.keys().map(|table| table.schema.clone()).collect();
    schemas.sort_unstable();
    schemas.dedup();
    let mut lacking = Vec::new();
    for schema in schemas_without_usage(pool, &schemas).await? {
        lacking.push(usage_grant(&schema, role)?);
    }
    for mapping in mappings {
        if let Some(table) = tables.get(&mapping.table) {
            lacking.extend(required_grants(mapping, table, role, Extent::Missing)?);
        }
    }
    if let Some(table) = profile.audit_table.as_ref().and_then(|name| tables.get(name)) {
        lacking.extend(audit_grants(table, role, Extent::Missing)?);
    }
    match rights {
        StateRights::Missing if !server.may_create_schemas => {
            lacking.push(state_creation_grant(&server.database, role)?);
        }
        StateRights::Lacking => lacking.extend(state_grants(&profile.state_schema, role)?),
        StateRights::Missing | StateRights::Enough => {}
    }
    Ok(if lacking.is_empty() {
        Check::ok("rights", format!("role `{role}` may do what the mappings need"))
    } else {
        Check::fail("rights", format!("role `{role}` lacks rights; their owner runs:"))
            .help(lacking.join("\n"))
    })
}

fn privilege(server: &Server, tables: &BTreeMap<TableName, TableSchema>) -> Check {
    let owned: Vec<String> = tables
        .values()
        .filter(|table| table.privileges.owner)
        .map(|table| table.name.to_string())
        .collect();
    let role = &server.role;
    let why = if server.superuser {
        "is a superuser".to_owned()
    } else if server.bypasses_row_security {
        "has BYPASSRLS".to_owned()
    } else if !owned.is_empty() {
        format!(
            "owns {}",
            crate::diagnostic::list(owned.iter().map(String::as_str))
        )
    } else {
        return Check::ok(
            "privilege",
            format!("role `{role}` has no more than it is granted"),
        );
    };
    Check::warn(
        "privilege",
        format!("role `{role}` {why}, more than syncing needs"),
    )
    .help("create a role of its own: `create role frames_sync login`; `doctor` then prints its GRANTs")
}

fn row_security(tables: &BTreeMap<TableName, TableSchema>) -> Check {
    let hidden: Vec<String> = tables
        .values()
        .filter(|table| table.row_security_active)
        .map(|table| table.name.to_string())
        .collect();
    if hidden.is_empty() {
        return Check::ok("row security", "hides no rows from this role");
    }
    let shown = crate::diagnostic::list(hidden.iter().map(String::as_str));
    Check::warn("row security", format!("may hide rows of {shown} from this role"))
        .help("a table that is not seen whole is not synced; add a policy that lets the role through")
}

async fn state(pool: &PgPool, profile: &Profile) -> Result<Check, PostgresError> {
    let schema = &profile.state_schema;
    Ok(match state_version(pool, schema).await? {
        SchemaVersion::Missing => Check::ok(
            "state",
            format!("there is no schema `{schema}` yet; `setup` makes it"),
        ),
        SchemaVersion::Older(version) => Check::ok(
            "state",
            format!("schema `{schema}` is of version {version}; the next run updates it"),
        ),
        SchemaVersion::Current => {
            Check::ok("state", format!("schema `{schema}` is of this program's version"))
        }
        SchemaVersion::Newer(version) => Check::fail(
            "state",
            format!("schema `{schema}` is of version {version}, which a newer frames-sync made"),
        )
        .help("update frames-sync"),
    })
}

async fn lease(database: &crate::postgres::ProfileDatabase) -> Option<Check> {
    Some(match database.lease().await.ok()? {
        None => Check::ok("lease", "nobody works on the profile at present"),
        Some((holder, until)) => {
            let until = until.format(&Rfc3339).unwrap_or_else(|_| until.to_string());
            Check::warn(
                "lease",
                format!("`{holder}` works on the profile, until {until} unless it renews"),
            )
            .help("wait until it ends; a run that died frees the profile at that time")
        }
    })
}

/// Says where nothing can appear in Notion, because the scope admits nothing.
async fn rows(
    database: &crate::postgres::ProfileDatabase,
    mappings: &[Mapping],
    tables: &BTreeMap<TableName, TableSchema>,
) -> Option<Check> {
    let mut empty = Vec::new();
    for mapping in mappings
        .iter()
        .filter(|mapping| tables.contains_key(&mapping.table))
    {
        // A table that cannot be read was told with its grants.
        if database
            .scan(&mapping.entity, None, 1)
            .await
            .is_ok_and(|rows| rows.is_empty())
        {
            empty.push(mapping.entity.as_str());
        }
    }
    if empty.is_empty() {
        return None;
    }
    let shown = crate::diagnostic::list(empty);
    Some(
        Check::warn(
            "rows",
            format!("no row of {shown} is in the profile's scope: nothing of them appears in Notion"),
        )
        .help("check the profile's `vars` and the mapping's `scope`, if there should be some"),
    )
}
