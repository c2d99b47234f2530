//! What Postgres shows: scans, the change log, and what they did not show, by key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use time::OffsetDateTime;

use super::super::observe::{PageSeen, RowSeen};
use super::super::run::Work;
use super::super::trouble::{columns_digest, is_frozen, is_known_trouble};
use super::super::{EngineError, Entity};
use super::{BATCH, Nominations, OVERLAP};
use crate::mapping::Capture;
use crate::ports::{Link, Marks, Row};
use crate::reconcile::{Phase, Side};
use crate::report::ErrorCode;
use crate::value::RecordKey;

impl Work<'_> {
    pub(super) async fn capture_rows(
        &self,
        entity: &Arc<Entity>,
        marks: &mut Marks,
        linked: u64,
        started: OffsetDateTime,
        found: &mut Nominations,
    ) -> Result<Vec<i64>, EngineError> {
        let scan_due = self.request.full
            || self.clocks_stepped()
            || marks
                .rows_scanned_at
                .is_none_or(|at| started - at >= time::Duration::DAY)
            || entity.capture == Capture::Scan;
        let mut notes = Vec::new();
        if scan_due {
            let (mut seen, mut matched) = (0, 0);
            let mut after: Option<RecordKey> = None;
            loop {
                let rows = self.engine.rows.scan(&entity.name, after.as_ref(), BATCH).await?;
                let Some(last) = rows.last() else { break };
                after = Some(last.key.clone());
                seen += rows.len() as u64;
                matched += self.capture_batch(entity, rows, found).await?;
            }
            found.rows_seen = Some(seen);
            marks.rows_scanned_at = Some(started);
            if matched < linked {
                self.capture_missing_rows(entity, found).await?;
            }
        }
        if let Capture::UpdatedAt { .. } = entity.capture {
            let since = marks.rows_captured_at.unwrap_or(started) - OVERLAP;
            let mut after: Option<RecordKey> = None;
            loop {
                let rows = self
                    .engine
                    .rows
                    .updated_since(&entity.name, since, after.as_ref(), BATCH)
                    .await?;
                let Some(last) = rows.last() else { break };
                after = Some(last.key.clone());
                self.capture_batch(entity, rows, found).await?;
            }
        }
        // Beside a scan as well: its notes are done with after this run, and one that ended early did not show every row.
        if entity.capture == Capture::Triggers {
            notes = self.capture_noted(entity, found).await?;
        }
        marks.rows_captured_at = Some(started);
        Ok(notes)
    }

    /// The rows that the change log names; answers the notes' numbers.
    pub(super) async fn capture_noted(
        &self,
        entity: &Arc<Entity>,
        found: &mut Nominations,
    ) -> Result<Vec<i64>, EngineError> {
        // The overlap of notes with rows seen before costs a comparison and nothing else.
        let changes = self.notes_of(&entity.name);
        let notes = changes.iter().map(|change| change.seq).collect();
        let keys: BTreeSet<RecordKey> = changes
            .into_iter()
            .flat_map(|change| std::iter::once(change.key).chain(change.old_key))
            .collect();
        let keys: Vec<RecordKey> = keys.into_iter().collect();
        for keys in keys.chunks(BATCH) {
            self.capture_rows_by_key(entity, keys, found).await?;
        }
        Ok(notes)
    }

    async fn capture_rows_by_key(
        &self,
        entity: &Arc<Entity>,
        keys: &[RecordKey],
        found: &mut Nominations,
    ) -> Result<(), EngineError> {
        let rows = self.engine.rows.read(&entity.name, keys).await?;
        let there: BTreeSet<RecordKey> = rows
            .iter()
            .filter(|row| row.in_scope)
            .map(|row| row.key.clone())
            .collect();
        let out: BTreeMap<RecordKey, Row> = rows
            .iter()
            .filter(|row| !row.in_scope)
            .map(|row| (row.key.clone(), row.clone()))
            .collect();
        self.capture_batch(
            entity,
            rows.into_iter().filter(|row| row.in_scope).collect(),
            found,
        )
        .await?;
        let gone: Vec<RecordKey> = keys.iter().filter(|key| !there.contains(key)).cloned().collect();
        for link in self.links_of(entity, &gone).await? {
            let row = out.get(&link.key).cloned().map_or(RowSeen::Absent, RowSeen::Seen);
            self.nominate_gone(entity, link, row, found).await?;
        }
        Ok(())
    }

    /// Compares rows with their links; answers how many belong to linked records.
    async fn capture_batch(
        &self,
        entity: &Arc<Entity>,
        rows: Vec<Row>,
        found: &mut Nominations,
    ) -> Result<u64, EngineError> {
        let keys: Vec<RecordKey> = rows.iter().map(|row| row.key.clone()).collect();
        let mut links: BTreeMap<RecordKey, Link> = self
            .links_of(entity, &keys)
            .await?
            .into_iter()
            .map(|link| (link.key.clone(), link))
            .collect();
        let mut matched = 0;
        for row in rows {
            let Some(link) = links.remove(&row.key) else {
                if !found.adoptable.contains(&row.key) {
                    self.nominate(entity, None, RowSeen::Seen(row), PageSeen::None, found)
                        .await?;
                }
                continue;
            };
            matched += u64::from(link.phase == Phase::Linked);
            if self.row_differs(entity, &link, &row) {
                let page = if link.page.is_some() {
                    PageSeen::Presumed
                } else {
                    PageSeen::None
                };
                self.nominate(entity, Some(link), RowSeen::Seen(row), page, found)
                    .await?;
            }
        }
        Ok(matched)
    }

    /// Whether a row asks for anything that its link does not remember.
    fn row_differs(&self, entity: &Entity, link: &Link, row: &Row) -> bool {
        match link.phase {
            Phase::Linked => {
                link.note.as_deref() != Some("opted_out")
                    && !is_frozen(link)
                    && entity.fields.iter().any(|field| {
                        let Ok(value) = field.codec.row_value(&row.columns) else {
                            return false;
                        };
                        let state = link.fields.get(&field.property);
                        let asks = state.is_none_or(|state| {
                            state.force_push || state.bases.as_ref().is_none_or(|bases| bases.row != value)
                        });
                        asks && !is_known_trouble(link, &field.property, Side::Postgres, &value)
                    })
            }
            Phase::Tombstone | Phase::LeftScope => true,
            Phase::CreatingPage => {
                let digest = columns_digest(entity, &row.columns);
                link.troubles
                    .iter()
                    .all(|trouble| trouble.met_with.postgres.as_ref() != Some(&digest))
            }
            // The page only says that its row is gone, and here is the row.
            Phase::Held if link.note.as_deref() == Some("row_gone") => true,
            // 4, E7: once held, later edits of the row do not revive the page.
            Phase::Held | Phase::Detached | Phase::TrashingPage => false,
        }
    }

    /// Links whose row a complete scan did not meet: each is read by key before it counts as gone.
    async fn capture_missing_rows(
        &self,
        entity: &Arc<Entity>,
        found: &mut Nominations,
    ) -> Result<(), EngineError> {
        let mut after = None;
        loop {
            let links = self.engine.store.links_after(&entity.name, after, BATCH).await?;
            let Some(last) = links.last() else { return Ok(()) };
            after = Some(last.id);
            let links = self.followed(links);
            let links: Vec<Link> = links
                .into_iter()
                .filter(|link| matches!(link.phase, Phase::Linked | Phase::Held | Phase::Detached))
                .collect();
            let keys: Vec<RecordKey> = links.iter().map(|link| link.key.clone()).collect();
            let rows: BTreeMap<RecordKey, Row> = self
                .engine
                .rows
                .read(&entity.name, &keys)
                .await?
                .into_iter()
                .map(|row| (row.key.clone(), row))
                .collect();
            for link in links {
                match rows.get(&link.key) {
                    Some(row) if row.in_scope => {
                        // The scan passed it over: it is compared all the same.
                        if self.row_differs(entity, &link, row) {
                            let page = if link.page.is_some() {
                                PageSeen::Presumed
                            } else {
                                PageSeen::None
                            };
                            self.nominate(entity, Some(link), RowSeen::Seen(row.clone()), page, found)
                                .await?;
                        }
                    }
                    Some(row) => {
                        self.nominate_gone(entity, link, RowSeen::Seen(row.clone()), found)
                            .await?
                    }
                    None => self.nominate_gone(entity, link, RowSeen::Absent, found).await?,
                }
            }
        }
    }

    /// A link whose row is gone, unless that is what it already stands for.
    async fn nominate_gone(
        &self,
        entity: &Arc<Entity>,
        link: Link,
        row: RowSeen,
        found: &mut Nominations,
    ) -> Result<(), EngineError> {
        let known = matches!(link.phase, Phase::Tombstone | Phase::LeftScope)
            || link.note.as_deref() == Some("row_gone")
            || (!link.troubles.is_empty()
                && link.look_again_at.is_none()
                && matches!(row, RowSeen::Absent)
                && link
                    .troubles
                    .iter()
                    .any(|trouble| trouble.code == ErrorCode::DeletedAndEdited));
        if known {
            return Ok(());
        }
        let page = if link.page.is_some() {
            PageSeen::Presumed
        } else {
            PageSeen::None
        };
        self.nominate(entity, Some(link), row, page, found).await
    }
}
