//! What the server and the connected role are like, for `doctor`.

use sqlx::{PgPool, Row};

use super::{PostgresError, Purpose, begin};

/// A server, and the role that is connected to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `server_version_num`, such as 140011.
    pub version_number: i32,
    /// `server_version`, such as `14.11`.
    pub version: String,
    /// Whether it is a standby, which takes no writes.
    pub in_recovery: bool,
    /// The name of the database.
    pub database: String,
    /// `current_user`, unquoted.
    pub role: String,
    /// Whether the role is a superuser.
    pub superuser: bool,
    /// Whether row security never applies to the role.
    pub bypasses_row_security: bool,
    /// Whether the role may create schemas in the database.
    pub may_create_schemas: bool,
}

/// What the connected role may do with the state schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateRights {
    /// There is no state schema yet.
    Missing,
    /// Everything that syncing needs.
    Enough,
    /// Less than that.
    Lacking,
}

/// Asks the server about itself and the connected role.
///
/// # Errors
/// When the server cannot be asked.
pub async fn server(pool: &PgPool) -> Result<Server, PostgresError> {
    let failed = |error: sqlx::Error| PostgresError::Introspect(error.into());
    let mut transaction = begin(pool, Purpose::Catalog).await?;
    let row = sqlx::query(
        "select current_setting('server_version_num')::int as version_number, \
         current_setting('server_version') as version, pg_is_in_recovery() as in_recovery, \
         current_database()::text as database, r.rolname::text as role, r.rolsuper as superuser, \
         r.rolbypassrls as bypasses_row_security, \
         has_database_privilege(current_database(), 'CREATE') as may_create_schemas \
         from pg_roles r where r.rolname = current_user",
    )
    .persistent(false)
    .fetch_one(&mut *transaction)
    .await
    .map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    let read = || {
        Ok(Server {
            version_number: row.try_get("version_number")?,
            version: row.try_get("version")?,
            in_recovery: row.try_get("in_recovery")?,
            database: row.try_get("database")?,
            role: row.try_get("role")?,
            superuser: row.try_get("superuser")?,
            bypasses_row_security: row.try_get("bypasses_row_security")?,
            may_create_schemas: row.try_get("may_create_schemas")?,
        })
    };
    read().map_err(failed)
}

/// Which of these schemas the connected role may not look into.
///
/// # Errors
/// When the server cannot be asked.
pub async fn schemas_without_usage(pool: &PgPool, schemas: &[String]) -> Result<Vec<String>, PostgresError> {
    let failed = |error: sqlx::Error| PostgresError::Introspect(error.into());
    let mut transaction = begin(pool, Purpose::Catalog).await?;
    let lacking = sqlx::query_scalar(
        "select nspname::text from pg_namespace where nspname = any($1) \
         and not has_schema_privilege(oid, 'USAGE') order by 1",
    )
    .persistent(false)
    .bind(schemas)
    .fetch_all(&mut *transaction)
    .await
    .map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(lacking)
}

/// What the connected role may do with a state schema; `state_schema` is unquoted.
///
/// # Errors
/// When the server cannot be asked.
pub async fn state_rights(pool: &PgPool, state_schema: &str) -> Result<StateRights, PostgresError> {
    let failed = |error: sqlx::Error| PostgresError::Introspect(error.into());
    let mut transaction = begin(pool, Purpose::Catalog).await?;
    // The audit log is only added to, and the list of migrations only read: see `state_grants`.
    let enough: Option<bool> = sqlx::query_scalar(
        "select bool_and(has_schema_privilege(n.oid, 'USAGE') and has_table_privilege(c.oid, 'SELECT') \
         and (c.relname = 'migration' or has_table_privilege(c.oid, 'INSERT')) \
         and (c.relname in ('migration', 'audit') \
              or has_table_privilege(c.oid, 'UPDATE') and has_table_privilege(c.oid, 'DELETE'))) \
         and coalesce((select bool_and(has_function_privilege(p.oid, 'EXECUTE')) from pg_proc p \
              join pg_namespace s on s.oid = p.pronamespace where s.nspname = $1 and p.proname = 'forget'), true) \
         from pg_namespace n join pg_class c on c.relnamespace = n.oid and c.relkind in ('r', 'p') \
         where n.nspname = $1",
    )
    .persistent(false)
    .bind(state_schema)
    .fetch_one(&mut *transaction)
    .await
    .map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(match enough {
        None => StateRights::Missing,
        Some(true) => StateRights::Enough,
        Some(false) => StateRights::Lacking,
    })
}
