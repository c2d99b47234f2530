//! Follows keys that change in Postgres: the trigger change log has the old one and the new one (6.3).
//!
//! The link is renamed before anything is looked at, so that the record is one and the same to everything after it;
//! without the log a new key looks like a delete and a new row.

use std::collections::BTreeMap;

use super::run::Work;
use super::{EngineError, Entity};
use crate::journal::{Act, Kept};
use crate::mapping::Capture;
use crate::ports::{Link, Record, Row};
use crate::reconcile::{Phase, Reason, Side};
use crate::value::{RecordKey, Value};

impl Work<'_> {
    /// Renames the links whose rows have another key now.
    pub(super) async fn follow_keys(&self, entity: &Entity) -> Result<(), EngineError> {
        let now = self.engine.clock.now();
        for (old, link) in self.renamed_links(entity).await? {
            let mut entry = self.audit(
                entity,
                &link,
                Side::Notion,
                Act::Linked,
                Reason::KeyWasRenamed,
                now,
            );
            entry.old = Some(Kept::Value(Value::text(old.to_string())));
            entry.new = Some(Kept::Value(Value::text(link.key.to_string())));
            // The page's label follows.
            let link = Link {
                look_again_at: Some(now),
                ..link
            };
            self.commit(vec![Record::Link(Box::new(link)), Record::Audit(entry)])
                .await?;
        }
        Ok(())
    }

    /// The links of these keys as they will be once the keys that changed were followed.
    pub(super) async fn links_of(
        &self,
        entity: &Entity,
        keys: &[RecordKey],
    ) -> Result<Vec<Link>, EngineError> {
        let links = self.engine.store.links_by_key(&entity.name, keys).await?;
        let renamed = self.renamed();
        if renamed.is_empty() {
            return Ok(links);
        }
        let came = renamed
            .values()
            .filter(|link| link.entity == entity.name && keys.contains(&link.key));
        let stayed = links.into_iter().filter(|link| !renamed.contains_key(&link.id));
        Ok(stayed.chain(came.cloned()).collect())
    }

    /// Links as they will be once the keys that changed were followed.
    pub(super) fn followed(&self, links: Vec<Link>) -> Vec<Link> {
        let renamed = self.renamed();
        links
            .into_iter()
            .map(|link| renamed.get(&link.id).cloned().unwrap_or(link))
            .collect()
    }

    /// The links whose rows have another key now, under that key, each with the old one.
    pub(super) async fn renamed_links(&self, entity: &Entity) -> Result<Vec<(RecordKey, Link)>, EngineError> {
        if entity.capture != Capture::Triggers {
            return Ok(Vec::new());
        }
        let mut olds: BTreeMap<RecordKey, RecordKey> = BTreeMap::new();
        for change in self.notes_of(&entity.name) {
            if let (Some(old), false) = (change.old_key, change.deleted) {
                // A key that was renamed twice came from the first.
                let first = olds.remove(&old).unwrap_or(old);
                olds.insert(change.key, first);
            }
        }
        olds.retain(|new, old| new != old);
        if olds.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<RecordKey> = olds
            .iter()
            .flat_map(|(new, old)| [new.clone(), old.clone()])
            .collect();
        let rows: BTreeMap<RecordKey, Row> = self
            .engine
            .rows
            .read(&entity.name, &keys)
            .await?
            .into_iter()
            .map(|row| (row.key.clone(), row))
            .collect();
        let mut links: BTreeMap<RecordKey, Link> = self
            .engine
            .store
            .links_by_key(&entity.name, &keys)
            .await?
            .into_iter()
            .filter(|link| link.phase != Phase::Tombstone)
            .map(|link| (link.key.clone(), link))
            .collect();
        let mut renamed = Vec::new();
        for (new, old) in olds {
            let moved = !rows.contains_key(&old) && rows.get(&new).is_some_and(|row| row.in_scope);
            let settled = links
                .get(&old)
                .is_some_and(|link| matches!(link.phase, Phase::Linked | Phase::Held | Phase::Detached));
            // Two rows that exchange their keys are two records that exchange their values.
            if moved
                && settled
                && !links.contains_key(&new)
                && let Some(link) = links.remove(&old)
            {
                renamed.push((old, Link { key: new, ..link }));
            }
        }
        Ok(renamed)
    }
}
