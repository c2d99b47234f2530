//! Links, by what names them or by what they wait for.

use sqlx::PgConnection;
use sqlx::Row as _;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{StateError, StateTables, bodies, body, count};
use crate::ports::{Link, LinkTotals};
use crate::reconcile::Phase;
use crate::value::{PageId, RecordKey};

impl StateTables {
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
}

fn at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
