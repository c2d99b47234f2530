//! The state schema's tables: statements over a connection of the caller's, who opens and commits.
//!
//! The adapter that implements [`crate::ports::Store`] over them is in `postgres`, for a row and its records share
//! a commit.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Row};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::journal::{AuditEntry, Conflict, ConflictStatus, Intent, IntentStatus};
use crate::ports::{
    Approval, AuditFilter, Fence, LeaseGrant, Link, LinkTotals, Marks, Pin, Record, RunRecord,
};
use crate::reconcile::{Phase, Side};
use crate::value::{CODEC_VERSION, PageId, RecordKey};

mod webhooks;

/// One profile's part of the state schema.
#[derive(Clone, Debug)]
pub struct StateTables {
    schema: String,
    profile: String,
}

/// Why a statement over the state failed.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A link moved since it was read, or its key or page is linked already.
    #[error("a record of `{entity}` was linked or changed by somebody else meanwhile")]
    Taken {
        /// The entity.
        entity: String,
    },
    /// The database failed.
    #[error("a statement over the sync state failed")]
    Sql(#[from] sqlx::Error),
    /// A stored body is not what this program writes.
    #[error("the sync state holds a record that cannot be read")]
    Body(#[from] serde_json::Error),
}

impl StateTables {
    /// The part of `profile`; `schema` is the state schema's quoted name.
    pub fn new(schema: String, profile: String) -> Self {
        Self { schema, profile }
    }

    /// The state schema's quoted name.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The profile.
    pub fn profile(&self) -> &str {
        &self.profile
    }

    /// A statement of this file, `{s}` being the schema and `$1` the profile.
    fn query(&self, sql: &'static str) -> Query<'_, Postgres, PgArguments> {
        sqlx::query(AssertSqlSafe(sql.replace("{s}", &self.schema)))
            .persistent(false)
            .bind(&self.profile)
    }

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
                    "insert into {s}.intent (id, profile, link, entity, pending, sent_at, body) \
                     values ($2, $1, $3, $4, $5, $6, $7::text::json) on conflict (id) do update \
                     set pending = excluded.pending, sent_at = excluded.sent_at, body = excluded.body",
                )
                .bind(intent.id)
                .bind(intent.link)
                .bind(&intent.entity)
                .bind(intent.status == IntentStatus::Pending)
                .bind(intent.sent_at)
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
        }
        Ok(())
    }

    async fn put_link(&self, connection: &mut PgConnection, link: &Link) -> Result<(), StateError> {
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

    async fn put_conflict(
        &self,
        connection: &mut PgConnection,
        conflict: &Conflict,
    ) -> Result<(), StateError> {
        self.query(
            "insert into {s}.conflict (id, profile, link, entity, open, rev, opened_at, body) \
             values ($2, $1, $3, $4, $5, $6, $7, $8::text::json) on conflict (id) do update \
             set open = excluded.open, rev = excluded.rev, body = excluded.body",
        )
        .bind(conflict.id)
        .bind(conflict.link)
        .bind(&conflict.entity)
        .bind(is_open(conflict))
        .bind(conflict.rev)
        .bind(conflict.opened_at)
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
        // Once a run is often enough: an intent is of use for 24 hours after its request.
        self.query("delete from {s}.intent where profile = $1 and not pending and sent_at < $2 - interval '25 hours'")
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

    /// Links by key: the live one, else the tombstone of the latest incarnation.
    ///
    /// # Errors
    /// When the database fails, or a body cannot be read.
    pub async fn links_by_key(
        &self,
        connection: &mut PgConnection,
        entity: &str,
        keys: &[RecordKey],
    ) -> Result<Vec<Link>, StateError> {
        let keys = keys.iter().map(body).collect::<Result<Vec<_>, _>>()?;
        let rows = self
            .query(
                "select distinct on (key) body::text from {s}.link \
                 where profile = $1 and entity = $2 and key = any($3) \
                 order by key, phase = 'tombstone', incarnation desc",
            )
            .bind(entity)
            .bind(keys)
            .fetch_all(connection)
            .await?;
        bodies(&rows)
    }

    /// Links by page.
    ///
    /// # Errors
    /// When the database fails, or a body cannot be read.
    pub async fn links_by_page(
        &self,
        connection: &mut PgConnection,
        entity: &str,
        pages: &[PageId],
    ) -> Result<Vec<Link>, StateError> {
        let pages: Vec<&str> = pages.iter().map(PageId::as_str).collect();
        let rows = self
            .query("select body::text from {s}.link where profile = $1 and entity = $2 and page_id = any($3)")
            .bind(entity)
            .bind(pages)
            .fetch_all(connection)
            .await?;
        bodies(&rows)
    }

    /// Links in order of id.
    ///
    /// # Errors
    /// When the database fails, or a body cannot be read.
    pub async fn links_after(
        &self,
        connection: &mut PgConnection,
        entity: &str,
        after: Option<Uuid>,
        limit: usize,
    ) -> Result<Vec<Link>, StateError> {
        let rows = self
            .query(
                "select body::text from {s}.link where profile = $1 and entity = $2 \
                 and ($3::uuid is null or id > $3) order by id limit $4",
            )
            .bind(entity)
            .bind(after)
            .bind(at_most(limit))
            .fetch_all(connection)
            .await?;
        bodies(&rows)
    }

    /// Links that are due, earliest first.
    ///
    /// # Errors
    /// When the database fails, or a body cannot be read.
    pub async fn links_due(
        &self,
        connection: &mut PgConnection,
        entity: &str,
        now: OffsetDateTime,
        limit: usize,
    ) -> Result<Vec<Link>, StateError> {
        let rows = self
            .query(
                "select body::text from {s}.link where profile = $1 and entity = $2 and look_again_at <= $3 \
                 order by look_again_at, id limit $4",
            )
            .bind(entity)
            .bind(now)
            .bind(at_most(limit))
            .fetch_all(connection)
            .await?;
        bodies(&rows)
    }

    /// Links with a trouble, by key; at most `limit`.
    ///
    /// # Errors
    /// When the database fails, or a body cannot be read.
    pub async fn links_troubled(
        &self,
        connection: &mut PgConnection,
        entity: &str,
        limit: usize,
    ) -> Result<Vec<Link>, StateError> {
        let rows = self
            .query(
                "select body::text from {s}.link where profile = $1 and entity = $2 and troubled \
                 order by key limit $3",
            )
            .bind(entity)
            .bind(at_most(limit))
            .fetch_all(connection)
            .await?;
        bodies(&rows)
    }

    /// Links with a pending intent.
    ///
    /// # Errors
    /// When the database fails, or a body cannot be read.
    pub async fn links_with_intents(
        &self,
        connection: &mut PgConnection,
        entity: &str,
    ) -> Result<Vec<Link>, StateError> {
        let rows = self
            .query(
                "select body::text from {s}.link where profile = $1 and entity = $2 and id in \
                 (select link from {s}.intent where profile = $1 and entity = $2 and pending) order by id",
            )
            .bind(entity)
            .fetch_all(connection)
            .await?;
        bodies(&rows)
    }

    /// Totals of an entity's links.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn totals(
        &self,
        connection: &mut PgConnection,
        entity: &str,
    ) -> Result<LinkTotals, StateError> {
        let mut totals = LinkTotals::default();
        let rows = self
            .query(
                "select phase, count(*), count(*) filter (where troubled), count(look_again_at) \
                 from {s}.link where profile = $1 and entity = $2 group by phase",
            )
            .bind(entity)
            .fetch_all(&mut *connection)
            .await?;
        for row in &rows {
            let phase: Phase = serde_json::from_value(serde_json::Value::String(row.try_get(0)?))?;
            totals.by_phase.insert(phase, count(row, 1)?);
            totals.troubled += count(row, 2)?;
            totals.pending += count(row, 3)?;
        }
        let open = self
            .query("select count(*) from {s}.conflict where profile = $1 and entity = $2 and open")
            .bind(entity)
            .fetch_one(connection)
            .await?;
        totals.conflicts = count(&open, 0)?;
        Ok(totals)
    }

    /// Intents of links: pending ones, and the others of the last 24 hours.
    ///
    /// # Errors
    /// When the database fails, or a body cannot be read.
    pub async fn intents(
        &self,
        connection: &mut PgConnection,
        links: &[Uuid],
        now: OffsetDateTime,
    ) -> Result<Vec<Intent>, StateError> {
        let rows = self
            .query(
                "select body::text from {s}.intent where profile = $1 and link = any($2) \
                 and (pending or sent_at > $3 - interval '24 hours') order by id",
            )
            .bind(links)
            .bind(now)
            .fetch_all(connection)
            .await?;
        bodies(&rows)
    }

    /// Open and chosen conflicts of links.
    ///
    /// # Errors
    /// When the database fails, or a body cannot be read.
    pub async fn conflicts(
        &self,
        connection: &mut PgConnection,
        links: &[Uuid],
    ) -> Result<Vec<Conflict>, StateError> {
        let rows = self
            .query(
                "select body::text from {s}.conflict where profile = $1 and open and link = any($2) order by id",
            )
            .bind(links)
            .fetch_all(connection)
            .await?;
        bodies(&rows)
    }

    /// Open and chosen conflicts, oldest first.
    ///
    /// # Errors
    /// When the database fails, or a body cannot be read.
    pub async fn open_conflicts(
        &self,
        connection: &mut PgConnection,
        entity: Option<&str>,
    ) -> Result<Vec<Conflict>, StateError> {
        let rows = self
            .query(
                "select body::text from {s}.conflict where profile = $1 and open \
                 and ($2::text is null or entity = $2) order by opened_at, id",
            )
            .bind(entity)
            .fetch_all(connection)
            .await?;
        bodies(&rows)
    }

    /// One conflict, in any status.
    ///
    /// # Errors
    /// When the database fails, or the body cannot be read.
    pub async fn conflict(
        &self,
        connection: &mut PgConnection,
        id: Uuid,
    ) -> Result<Option<Conflict>, StateError> {
        let rows = self
            .query("select body::text from {s}.conflict where profile = $1 and id = $2")
            .bind(id)
            .fetch_all(connection)
            .await?;
        Ok(bodies(&rows)?.pop())
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

    /// An entity's marks.
    ///
    /// # Errors
    /// When the database fails, or the body cannot be read.
    pub async fn marks(&self, connection: &mut PgConnection, entity: &str) -> Result<Marks, StateError> {
        let rows = self
            .query("select body::text from {s}.mark where profile = $1 and entity = $2")
            .bind(entity)
            .fetch_all(connection)
            .await?;
        Ok(bodies(&rows)?.pop().unwrap_or_default())
    }

    /// How many records the engine deleted on a side since an instant.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn deleted_since(
        &self,
        connection: &mut PgConnection,
        entity: &str,
        side: Side,
        since: OffsetDateTime,
    ) -> Result<u64, StateError> {
        let row = self
            .query(
                "select count(*) from {s}.audit where profile = $1 and entity = $2 and side = $3 \
                 and act = 'deleted' and link is not null and at >= $4",
            )
            .bind(entity)
            .bind(name_of(&side)?)
            .bind(since)
            .fetch_one(connection)
            .await?;
        count(&row, 0)
    }

    /// How often the engine wrote to each link since an instant; several fields at one instant are one write.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn writes_since(
        &self,
        connection: &mut PgConnection,
        links: &[Uuid],
        since: OffsetDateTime,
    ) -> Result<BTreeMap<Uuid, u32>, StateError> {
        let rows = self
            .query(
                "select link, count(distinct (run, at)) from {s}.audit where profile = $1 and link = any($2) \
                 and act = 'updated' and at >= $3 group by link",
            )
            .bind(links)
            .bind(since)
            .fetch_all(connection)
            .await?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, u32::try_from(count(row, 1)?).unwrap_or(u32::MAX))))
            .collect()
    }

    /// All pins.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn pins(&self, connection: &mut PgConnection) -> Result<Vec<Pin>, StateError> {
        let rows = self
            .query("select name, value from {s}.pin where profile = $1 order by name")
            .fetch_all(connection)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(Pin {
                    name: row.try_get(0)?,
                    value: row.try_get(1)?,
                })
            })
            .collect()
    }

    /// Audit entries, newest first.
    ///
    /// # Errors
    /// When the database fails, or a body cannot be read.
    pub async fn audit(
        &self,
        connection: &mut PgConnection,
        filter: &AuditFilter,
    ) -> Result<Vec<AuditEntry>, StateError> {
        let rows = self
            .query(
                "select body::text from {s}.audit where profile = $1 and ($2::text is null or entity = $2) \
                 and ($3::text is null or key = $3) and ($4::uuid is null or run = $4) \
                 and ($5::uuid is null or id = $5) order by seq desc limit $6",
            )
            .bind(filter.entity.as_deref())
            .bind(filter.key.as_ref().map(body).transpose()?)
            .bind(filter.run)
            .bind(filter.entry)
            .bind(i64::from(filter.limit))
            .fetch_all(connection)
            .await?;
        bodies(&rows)
    }

    /// The run of that id.
    ///
    /// # Errors
    /// When the database fails, or the body cannot be read.
    pub async fn run(
        &self,
        connection: &mut PgConnection,
        id: Uuid,
    ) -> Result<Option<RunRecord>, StateError> {
        let rows = self
            .query("select body::text from {s}.run where profile = $1 and id = $2")
            .bind(id)
            .fetch_all(connection)
            .await?;
        Ok(bodies(&rows)?.pop())
    }

    /// The latest runs, newest first.
    ///
    /// # Errors
    /// When the database fails, or a body cannot be read.
    pub async fn runs(
        &self,
        connection: &mut PgConnection,
        limit: u32,
    ) -> Result<Vec<RunRecord>, StateError> {
        let rows = self
            .query("select body::text from {s}.run where profile = $1 order by started_at desc, id desc limit $2")
            .bind(i64::from(limit))
            .fetch_all(connection)
            .await?;
        bodies(&rows)
    }
}

fn grant(row: &PgRow) -> Result<LeaseGrant, StateError> {
    Ok(LeaseGrant {
        epoch: row.try_get(0)?,
        expires_at: row.try_get(1)?,
    })
}

fn body(record: &impl Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_string(record)
}

fn bodies<T: DeserializeOwned>(rows: &[PgRow]) -> Result<Vec<T>, StateError> {
    rows.iter()
        .map(|row| {
            let body: &str = row.try_get(0)?;
            Ok(serde_json::from_str(body)?)
        })
        .collect()
}

/// The name that serde gives a variant without fields.
fn name_of(variant: &impl Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_value(variant).map(|name| name.as_str().unwrap_or_default().to_owned())
}

fn count(row: &PgRow, index: usize) -> Result<u64, StateError> {
    let count: i64 = row.try_get(index)?;
    Ok(count.unsigned_abs())
}

fn at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn is_open(conflict: &Conflict) -> bool {
    matches!(conflict.status, ConflictStatus::Open | ConflictStatus::Chosen(_))
}
