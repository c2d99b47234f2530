//! Forgetting: what the audit log and settled conflicts hold of one record, and entries that are old enough.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{StateError, StateTables, bodies, body};
use crate::journal::{AuditEntry, Conflict, Kept};
use crate::ports::{Erased, Link};
use crate::reconcile::Phase;
use crate::value::RecordKey;

impl StateTables {
    /// Erases the values that are kept of a record, as [`Erased`] counts them.
    ///
    /// # Errors
    /// When the database fails, which it does for a role that may only append, or a body cannot be read.
    pub async fn erase(
        &self,
        connection: &mut PgConnection,
        entity: &str,
        key: &RecordKey,
    ) -> Result<Erased, StateError> {
        let now = self.may_change_the_log(connection).await?;
        let mut erased = Erased::default();
        let rows = self
            .query(
                "select body::text from {s}.link where profile = $1 and entity = $2 and key = $3 for update",
            )
            .bind(entity)
            .bind(body(key)?)
            .fetch_all(&mut *connection)
            .await?;
        let links: Vec<Link> = bodies(&rows)?;
        let ids: Vec<Uuid> = links.iter().map(|link| link.id).collect();
        // The baselines of a record that lives are what its next sync is decided by, and its row and page hold the same.
        for mut link in links.into_iter().filter(|link| link.phase == Phase::Tombstone) {
            if !link.fields.is_empty() || !link.troubles.is_empty() {
                link.fields.clear();
                link.troubles.clear();
                self.put_link(connection, &link).await?;
                erased.baselines += 1;
            }
            self.query("delete from {s}.intent where profile = $1 and link = $2 and not pending")
                .bind(link.id)
                .execute(&mut *connection)
                .await?;
        }
        let rows = self
            .query("select body::text from {s}.conflict where profile = $1 and not open and link = any($2) for update")
            .bind(&ids)
            .fetch_all(&mut *connection)
            .await?;
        for mut conflict in bodies::<Conflict>(&rows)? {
            let values = [
                &mut conflict.base_row,
                &mut conflict.base_page,
                &mut conflict.row,
                &mut conflict.page_value,
            ];
            let mut held_any = false;
            for value in values {
                held_any |= value.take().is_some();
            }
            if held_any {
                self.put_conflict(connection, &conflict).await?;
                erased.conflicts += 1;
            }
        }
        let rows = self
            .query(
                "select body::text from {s}.audit where profile = $1 and entity = $2 \
                 and (key = $3 or link = any($4)) order by seq for update",
            )
            .bind(entity)
            .bind(body(key)?)
            .bind(&ids)
            .fetch_all(&mut *connection)
            .await?;
        for mut entry in bodies::<AuditEntry>(&rows)? {
            let mut held_any = false;
            for kept in [&mut entry.old, &mut entry.new].into_iter().flatten() {
                if !matches!(kept, Kept::Erased { .. }) {
                    *kept = Kept::Erased { at: now };
                    held_any = true;
                }
            }
            if held_any {
                self.query("update {s}.audit set body = $3::text::json where profile = $1 and id = $2")
                    .bind(entry.id)
                    .bind(body(&entry)?)
                    .execute(&mut *connection)
                    .await?;
                erased.entries += 1;
            }
        }
        Ok(erased)
    }

    /// Ends entries of the audit log and settled conflicts of before an instant.
    ///
    /// # Errors
    /// As [`StateTables::erase`].
    pub async fn prune(
        &self,
        connection: &mut PgConnection,
        before: OffsetDateTime,
    ) -> Result<Erased, StateError> {
        self.may_change_the_log(connection).await?;
        let entries = self
            .query("delete from {s}.audit where profile = $1 and at < $2")
            .bind(before)
            .execute(&mut *connection)
            .await?;
        let conflicts = self
            .query("delete from {s}.conflict where profile = $1 and not open and opened_at < $2")
            .bind(before)
            .execute(connection)
            .await?;
        Ok(Erased {
            entries: entries.rows_affected(),
            conflicts: conflicts.rows_affected(),
            baselines: 0,
        })
    }

    /// Says, for this transaction, that the log is meant to be changed; answers the present instant.
    async fn may_change_the_log(&self, connection: &mut PgConnection) -> Result<OffsetDateTime, StateError> {
        Ok(sqlx::query_scalar(
            "select clock_timestamp() from (select set_config('frames_sync.erasing', 'on', true)) as said",
        )
        .persistent(false)
        .fetch_one(connection)
        .await?)
    }
}
