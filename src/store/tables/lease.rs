//! Who may write for a profile, and what a person allowed once.

use std::time::Duration;

use sqlx::PgConnection;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;

use super::{StateError, StateTables};
use crate::ports::{Approval, Fence, LeaseGrant};

impl StateTables {
    /// Takes the lease, as [`crate::ports::Store::acquire`] says.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn acquire(
        &self,
        connection: &mut PgConnection,
        holder: &str,
        duration: Duration,
    ) -> Result<Option<LeaseGrant>, StateError> {
        let row = self
            .query(
                "insert into {s}.lease as l (profile, holder, epoch, expires_at) \
                 values ($1, $2, 1, clock_timestamp() + make_interval(secs => $3)) \
                 on conflict (profile) do update set holder = $2, expires_at = excluded.expires_at, \
                 epoch = l.epoch + case when l.holder = $2 then 0 else 1 end \
                 where l.holder is null or l.holder = $2 or l.expires_at <= clock_timestamp() \
                 returning epoch, expires_at",
            )
            .bind(holder)
            .bind(duration.as_secs_f64())
            .fetch_optional(connection)
            .await?;
        row.as_ref().map(grant).transpose()
    }

    /// Prolongs the lease of that epoch; `None` when it was lost.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn renew(
        &self,
        connection: &mut PgConnection,
        fence: Fence,
        duration: Duration,
    ) -> Result<Option<LeaseGrant>, StateError> {
        let row = self
            .query(
                "update {s}.lease set expires_at = clock_timestamp() + make_interval(secs => $3) \
                 where profile = $1 and epoch = $2 and holder is not null and expires_at > clock_timestamp() \
                 returning epoch, expires_at",
            )
            .bind(fence.epoch)
            .bind(duration.as_secs_f64())
            .fetch_optional(connection)
            .await?;
        row.as_ref().map(grant).transpose()
    }

    /// Gives the lease of that epoch back.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release(&self, connection: &mut PgConnection, fence: Fence) -> Result<(), StateError> {
        self.query("update {s}.lease set holder = null, expires_at = null where profile = $1 and epoch = $2")
            .bind(fence.epoch)
            .execute(connection)
            .await?;
        Ok(())
    }

    /// Who holds the lease at present and until when, if anyone does.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn holder(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Option<(String, OffsetDateTime)>, StateError> {
        let row = self
            .query(
                "select holder, expires_at from {s}.lease \
                 where profile = $1 and holder is not null and expires_at > clock_timestamp()",
            )
            .fetch_optional(connection)
            .await?;
        Ok(match row {
            Some(row) => Some((row.try_get("holder")?, row.try_get("expires_at")?)),
            None => None,
        })
    }

    /// Whether the lease of that epoch still holds; if so, nobody can take it before the transaction ends.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn holds(&self, connection: &mut PgConnection, fence: Fence) -> Result<bool, StateError> {
        let row = self
            .query(
                "select 1 from {s}.lease where profile = $1 and epoch = $2 and holder is not null \
                 and expires_at > clock_timestamp() for share",
            )
            .bind(fence.epoch)
            .fetch_optional(connection)
            .await?;
        Ok(row.is_some())
    }

    /// Gives leave for a plan.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn approve(
        &self,
        connection: &mut PgConnection,
        approval: &Approval,
    ) -> Result<(), StateError> {
        self.query(
            "insert into {s}.approval (profile, hash, expires_at) values ($1, $2, $3) \
             on conflict (profile, hash) do update set expires_at = excluded.expires_at",
        )
        .bind(&approval.hash)
        .bind(approval.expires_at)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Uses up an approval; whether there was one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take_approval(
        &self,
        connection: &mut PgConnection,
        hash: &str,
        now: OffsetDateTime,
    ) -> Result<bool, StateError> {
        let done = self
            .query("delete from {s}.approval where profile = $1 and hash = $2 and expires_at > $3")
            .bind(hash)
            .bind(now)
            .execute(connection)
            .await?;
        Ok(done.rows_affected() == 1)
    }
}

fn grant(row: &PgRow) -> Result<LeaseGrant, StateError> {
    Ok(LeaseGrant {
        epoch: row.try_get(0)?,
        expires_at: row.try_get(1)?,
    })
}
