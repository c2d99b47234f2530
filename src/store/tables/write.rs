//! One record of a commit, written.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{StateError, StateTables, bodies, body, is_open, name_of};
use crate::journal::{AuditEntry, Conflict, ConflictStatus, IntentStatus};
use crate::ports::{Link, Record, RunRecord};
use crate::reconcile::Side;
use crate::value::{CODEC_VERSION, PageId};

impl StateTables {
    /// Writes one record.
    ///
    /// # Errors
    /// [`StateError::Taken`] for a link that moved or whose key or page has another, else when the database fails;
    /// either way the transaction is to be rolled back.
    pub async fn apply(&self, connection: &mut PgConnection, record: &Record) -> Result<(), StateError> {
        match record {
            Record::Link(link) => self.put_link(connection, link).await?,
            Record::LinkGone(id) => {
                self.query("delete from {s}.link where profile = $1 and id = $2")
                    .bind(id)
                    .execute(connection)
                    .await?;
            }
            Record::Intent(intent) => {
                self.query(
                    "insert into {s}.intent (id, profile, link, entity, pending, settle_after, body) \
                     values ($2, $1, $3, $4, $5, $6, $7::text::json) on conflict (id) do update \
                     set pending = excluded.pending, settle_after = excluded.settle_after, body = excluded.body",
                )
                .bind(intent.id)
                .bind(intent.link)
                .bind(&intent.entity)
                .bind(intent.status == IntentStatus::Pending)
                .bind(intent.settle_after)
                .bind(body(intent)?)
                .execute(connection)
                .await?;
            }
            Record::IntentGone(id) => {
                self.query("delete from {s}.intent where profile = $1 and id = $2")
                    .bind(id)
                    .execute(connection)
                    .await?;
            }
            Record::Conflict(conflict) => self.put_conflict(connection, conflict).await?,
            Record::Audit(entry) => self.append(connection, entry).await?,
            Record::Marks(entity, marks) => {
                self.query(
                    "insert into {s}.mark (profile, entity, body) values ($1, $2, $3::text::json) \
                     on conflict (profile, entity) do update set body = excluded.body",
                )
                .bind(entity)
                .bind(body(marks)?)
                .execute(connection)
                .await?;
            }
            Record::Acknowledged(entity, notes) => {
                self.query("delete from {s}.change_log where profile = $1 and entity = $2 and seq = any($3)")
                    .bind(entity)
                    .bind(notes)
                    .execute(connection)
                    .await?;
            }
            Record::Run(run) => self.put_run(connection, run).await?,
            Record::Pin(pin) => {
                self.query(
                    "insert into {s}.pin (profile, name, value) values ($1, $2, $3) \
                     on conflict (profile, name) do update set value = excluded.value",
                )
                .bind(&pin.name)
                .bind(&pin.value)
                .execute(connection)
                .await?;
            }
            Record::Approval(approval) => self.approve(connection, approval).await?,
            Record::Forgotten(before) => self.forget(connection, *before).await?,
        }
        Ok(())
    }

    pub(super) async fn put_link(
        &self,
        connection: &mut PgConnection,
        link: &Link,
    ) -> Result<(), StateError> {
        let taken = || StateError::Taken {
            entity: link.entity.clone(),
        };
        let stored = Link {
            rev: link.rev + 1,
            ..link.clone()
        };
        // An insert meets the unique constraints without failing the transaction; an update cannot, and the caller
        // rolls back in either case.
        let sql = if link.rev == 0 {
            "insert into {s}.link (id, profile, entity, key, page_id, phase, incarnation, rev, look_again_at, \
             troubled, codec_version, body) values ($2, $1, $3, $4, $5, $6, $7, $8 + 1, $9, $10, $11, $12::text::json) \
             on conflict do nothing"
        } else {
            "update {s}.link set entity = $3, key = $4, page_id = $5, phase = $6, incarnation = $7, rev = $8 + 1, \
             look_again_at = $9, troubled = $10, codec_version = $11, body = $12::text::json \
             where profile = $1 and id = $2 and rev = $8"
        };
        let done = self
            .query(sql)
            .bind(link.id)
            .bind(&link.entity)
            .bind(body(&link.key)?)
            .bind(link.page.as_ref().map(PageId::as_str))
            .bind(name_of(&link.phase)?)
            .bind(i64::from(link.incarnation))
            .bind(link.rev)
            .bind(link.look_again_at)
            .bind(!link.troubles.is_empty())
            .bind(CODEC_VERSION)
            .bind(body(&stored)?)
            .execute(connection)
            .await;
        match done {
            Ok(done) if done.rows_affected() == 1 => Ok(()),
            Ok(_) => Err(taken()),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Err(taken()),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn put_conflict(
        &self,
        connection: &mut PgConnection,
        conflict: &Conflict,
    ) -> Result<(), StateError> {
        self.query(
            "insert into {s}.conflict (id, profile, link, entity, open, rev, opened_at, closed_at, body) \
             values ($2, $1, $3, $4, $5, $6, $7, $8, $9::text::json) on conflict (id) do update \
             set open = excluded.open, rev = excluded.rev, closed_at = excluded.closed_at, body = excluded.body",
        )
        .bind(conflict.id)
        .bind(conflict.link)
        .bind(&conflict.entity)
        .bind(is_open(conflict))
        .bind(conflict.rev)
        .bind(conflict.opened_at)
        .bind(conflict.closed_at)
        .bind(body(conflict)?)
        .execute(connection)
        .await?;
        Ok(())
    }

    async fn append(&self, connection: &mut PgConnection, entry: &AuditEntry) -> Result<(), StateError> {
        self.query(
            "insert into {s}.audit (id, profile, run, link, entity, key, side, act, at, body) \
             values ($2, $1, $3, $4, $5, $6, $7, $8, $9, $10::text::json)",
        )
        .bind(entry.id)
        .bind(entry.run)
        .bind(entry.link)
        .bind(&entry.entity)
        .bind(entry.key.as_ref().map(body).transpose()?)
        .bind(name_of(&entry.side)?)
        .bind(name_of(&entry.act)?)
        .bind(entry.at)
        .bind(body(entry)?)
        .execute(connection)
        .await?;
        Ok(())
    }

    async fn put_run(&self, connection: &mut PgConnection, run: &RunRecord) -> Result<(), StateError> {
        // A run ends with it, so that the first one after a long rest has seen them all.
        self.query(
            "delete from {s}.intent where profile = $1 and not pending and settle_after <= $2 - interval '24 hours'",
        )
        .bind(run.started_at)
        .execute(&mut *connection)
        .await?;
        self.query(
            "insert into {s}.run (id, profile, started_at, body) values ($2, $1, $3, $4::text::json) \
             on conflict (id) do update set body = excluded.body",
        )
        .bind(run.id)
        .bind(run.started_at)
        .bind(body(run)?)
        .execute(connection)
        .await?;
        Ok(())
    }

    async fn forget(&self, connection: &mut PgConnection, before: OffsetDateTime) -> Result<(), StateError> {
        // A role that got its rights before there was such a function keeps everything, and `doctor` says what it lacks.
        let function = format!("{}.forget(text, timestamptz)", self.schema);
        let may: bool = sqlx::query_scalar("select has_function_privilege($1, 'execute')")
            .persistent(false)
            .bind(function)
            .fetch_one(&mut *connection)
            .await?;
        if may {
            self.query("select {s}.forget($1, $2)")
                .bind(before)
                .execute(connection)
                .await?;
        }
        Ok(())
    }

    /// Records a person's choice if the conflict still stands as they saw it, and makes its link due.
    ///
    /// # Errors
    /// When the database fails, or a body cannot be read.
    pub async fn choose(
        &self,
        connection: &mut PgConnection,
        id: Uuid,
        rev: i64,
        side: Side,
    ) -> Result<bool, StateError> {
        let rows = self
            .query(
                "select body::text from {s}.conflict where profile = $1 and id = $2 and rev = $3 and open for update",
            )
            .bind(id)
            .bind(rev)
            .fetch_all(&mut *connection)
            .await?;
        let Some(mut conflict) = bodies::<Conflict>(&rows)?.pop() else {
            return Ok(false);
        };
        conflict.status = ConflictStatus::Chosen(side);
        self.put_conflict(connection, &conflict).await?;
        let rows = self
            .query("select body::text from {s}.link where profile = $1 and id = $2 for update")
            .bind(conflict.link)
            .fetch_all(&mut *connection)
            .await?;
        if let Some(mut link) = bodies::<Link>(&rows)?.pop() {
            let now: OffsetDateTime = sqlx::query_scalar("select clock_timestamp()")
                .persistent(false)
                .fetch_one(&mut *connection)
                .await?;
            link.look_again_at = Some(now);
            self.put_link(connection, &link).await?;
        }
        Ok(true)
    }
}
