//! Who is connected, and what time it is there.

use sqlx::PgPool;
use time::OffsetDateTime;

use super::{PostgresError, Purpose, begin};

/// The role whose rights count: `current_user`, unquoted.
///
/// # Errors
/// When the server cannot be asked.
pub async fn current_role(pool: &PgPool) -> Result<String, PostgresError> {
    let failed = |error: sqlx::Error| PostgresError::Introspect(error.into());
    let mut transaction = begin(pool, Purpose::Catalog).await?;
    let role = sqlx::query_scalar("select current_user::text")
        .persistent(false)
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(role)
}

/// The database's `clock_timestamp()`, UTC.
///
/// # Errors
/// When the server cannot be asked.
pub async fn database_time(pool: &PgPool) -> Result<OffsetDateTime, PostgresError> {
    let failed = |error: sqlx::Error| PostgresError::Introspect(error.into());
    let mut transaction = begin(pool, Purpose::Catalog).await?;
    let now = sqlx::query_scalar("select clock_timestamp()")
        .persistent(false)
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(now)
}
