//! Everything else that the state remembers.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use sqlx::Row as _;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{StateError, StateTables, bodies, body, count, name_of};
use crate::journal::{AuditEntry, Conflict, Intent};
use crate::ports::{AuditFilter, Marks, Pin, RunRecord};
use crate::reconcile::Side;

impl StateTables {
    /// Intents of links: pending ones, and the others for as long as they are kept.
    ///
    /// # Errors
    /// When the database fails, or a body cannot be read.
    pub async fn intents(
        &self,
        connection: &mut PgConnection,
        links: &[Uuid],
    ) -> Result<Vec<Intent>, StateError> {
        let rows = self
            .query("select body::text from {s}.intent where profile = $1 and link = any($2) order by id")
            .bind(links)
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
