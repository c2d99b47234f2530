//! Noticing changes in Postgres: triggers that note which rows changed, installed when a mapping asks.
//!
//! A note is a hint that makes the row be read; the functions behind the triggers are part of the state schema, see
//! `store/migrations`. Full scans stay necessary: a session may switch triggers off, and a restore passes them by.

use sqlx::PgPool;

use crate::schema::TableSchema;
use crate::schema::table::Relkind;

use super::sql::{Statement, quoted};
use super::{PostgresError, Purpose, begin};

/// The channel on which a committed note wakes whoever listens; the payload is profile and entity.
pub const CHANNEL: &str = "frames_sync";

/// Installs the triggers of a table and registers an entity of a profile for its notes.
///
/// Idempotent, and shared by the profiles that map the same table with the same key, at the same time too. Needs the TRIGGER right on the
/// table and EXECUTE on the functions, and takes a short lock that writers wait for.
///
/// # Errors
/// [`PostgresError::NotATable`] for a view, else when the database refuses.
pub async fn install(
    pool: &PgPool,
    state_schema: &str,
    profile: &str,
    entity: &str,
    table: &TableSchema,
    key: &[String],
) -> Result<(), PostgresError> {
    if !matches!(table.relkind, Relkind::Table | Relkind::Partitioned) {
        return Err(PostgresError::NotATable {
            table: table.name.clone(),
        });
    }
    let statements = [
        await_turn(table)?,
        drop_trigger("frames_sync_note_change", table)?,
        create_row_trigger(state_schema, table, key)?,
        drop_trigger("frames_sync_note_truncate", table)?,
        create_truncate_trigger(state_schema, table)?,
        register(state_schema, profile, entity, table)?,
    ];
    run(pool, "install change capture", &statements).await
}

/// Ends the notes for an entity of a profile; the triggers stay, and do nothing once nobody wants their notes.
///
/// # Errors
/// When the database refuses.
pub async fn unregister(
    pool: &PgPool,
    state_schema: &str,
    profile: &str,
    entity: &str,
) -> Result<(), PostgresError> {
    let mut statements = Vec::new();
    for table in ["capture", "change_log"] {
        let mut statement = Statement::new("delete from ");
        statement.push_qualified(state_schema, table)?;
        statement.push(" where profile = ").push_text(profile);
        statement.push(" and entity = ").push_text(entity);
        statements.push(statement);
    }
    run(pool, "end change capture", &statements).await
}

async fn run(pool: &PgPool, doing: &'static str, statements: &[Statement]) -> Result<(), PostgresError> {
    let failed = |error: sqlx::Error| PostgresError::State {
        doing,
        source: error.into(),
    };
    let mut transaction = begin(pool, Purpose::State).await?;
    for statement in statements {
        statement
            .query()
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)
}

/// Profiles that share a table install its triggers one after the other: dropped and made by two at once, the second finds the
/// first one's.
fn await_turn(table: &TableSchema) -> Result<Statement, PostgresError> {
    let mut statement =
        Statement::new("select pg_advisory_xact_lock(pg_catalog.hashtext('frames_sync_note'), (");
    let relation = format!("{}.{}", quoted(&table.name.schema)?, quoted(&table.name.name)?);
    statement.push_text(relation);
    statement.push(")::regclass::oid::int)");
    Ok(statement)
}

fn drop_trigger(name: &str, table: &TableSchema) -> Result<Statement, PostgresError> {
    let mut statement = Statement::new("drop trigger if exists ");
    statement
        .push_name(name)?
        .push(" on ")
        .push_qualified(&table.name.schema, &table.name.name)?;
    Ok(statement)
}

fn create_row_trigger(
    state_schema: &str,
    table: &TableSchema,
    key: &[String],
) -> Result<Statement, PostgresError> {
    let mut statement =
        Statement::new("create trigger frames_sync_note_change after insert or update or delete on ");
    statement.push_qualified(&table.name.schema, &table.name.name)?;
    statement
        .push(" for each row execute function ")
        .push_qualified(state_schema, "note_change")?
        .push("(");
    statement.push_list(", ", key, |statement, column| {
        statement.push_name_literal(column).map(drop)
    })?;
    statement.push(")");
    Ok(statement)
}

fn create_truncate_trigger(state_schema: &str, table: &TableSchema) -> Result<Statement, PostgresError> {
    let mut statement = Statement::new("create trigger frames_sync_note_truncate after truncate on ");
    statement.push_qualified(&table.name.schema, &table.name.name)?;
    statement.push(" for each statement execute function ");
    statement
        .push_qualified(state_schema, "note_truncate")?
        .push("()");
    Ok(statement)
}

fn register(
    state_schema: &str,
    profile: &str,
    entity: &str,
    table: &TableSchema,
) -> Result<Statement, PostgresError> {
    let relation = format!("{}.{}", quoted(&table.name.schema)?, quoted(&table.name.name)?);
    let mut statement = Statement::new("insert into ");
    statement
        .push_qualified(state_schema, "capture")?
        .push(" (profile, entity, relation) values (");
    statement
        .push_text(profile)
        .push(", ")
        .push_text(entity)
        .push(", (")
        .push_text(relation);
    statement
        .push(")::regclass::oid) on conflict (profile, entity) do update set relation = excluded.relation");
    Ok(statement)
}
