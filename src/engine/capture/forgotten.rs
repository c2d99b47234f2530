//! 6.10: a write of our own that the state knows nothing of.

use super::super::observe::Seen;
use super::super::run::Work;
use super::super::{EngineError, Entity};
use super::OVERLAP;
use crate::journal::{AuditEntry, IntentStatus, Kept};
use crate::ports::{AuditFilter, Link};
use crate::reconcile::Side;
use crate::reconcile::accept::shows;
use crate::value::{PropertyId, Value};

/// Entries of the audit log that are searched at most.
const AUDIT_SEARCHED: u32 = 500;

impl Work<'_> {
    /// 6.10: whether our own connection wrote a page after all that the state knows of, with a value that is in no
    /// intent and no audit entry: the state was restored, or is a copy.
    pub(super) async fn was_forgotten(&self, entity: &Entity, seen: &Seen) -> Result<bool, EngineError> {
        let (Some(link), Some(page)) = (&seen.link, seen.page.page()) else {
            return Ok(false);
        };
        let known = link.page_edited_at.max(link.page_mark);
        let is_newer = known.is_some_and(|known| page.last_edited_time > known);
        // A write whose outcome is not known may have moved the time, and a person's edit may stand beside it.
        let is_open = seen
            .intents
            .iter()
            .any(|intent| matches!(intent.status, IntentStatus::Pending | IntentStatus::Abandoned));
        if page.last_edited_by != self.bot || !is_newer || is_open {
            return Ok(false);
        }
        let unknown: Vec<(&PropertyId, &Value)> = entity
            .fields
            .iter()
            .filter_map(|field| {
                let bases = link.fields.get(&field.property)?.bases.as_ref()?;
                let value = page
                    .whole(&field.property)
                    .filter(|value| **value != bases.page)?;
                Some((&field.property, value))
            })
            .filter(|(property, value)| {
                let mut sent = seen.intents.iter().flat_map(|intent| &intent.fields);
                !sent.any(|sent| sent.property == **property && shows(value, &sent.sent))
            })
            .collect();
        if unknown.is_empty() {
            return Ok(false);
        }
        let offset = self.engine.clock.notion_ahead();
        let since = page.last_edited_time - offset - OVERLAP;
        let searched = AuditFilter {
            limit: AUDIT_SEARCHED,
            ..AuditFilter::default()
        };
        // A write to a page is seen on others too, which it refers to. Only a state that knows of no write at all as
        // late as that has forgotten one.
        let latest = self.engine.store.audit(&searched).await?;
        if latest
            .iter()
            .any(|entry| entry.side == Side::Notion && entry.at >= since)
        {
            return Ok(false);
        }
        let entries = self.entries_about(link).await?;
        Ok(unknown.iter().any(|(property, value)| {
            !entries.iter().any(|entry| match &entry.new {
                Some(Kept::Value(kept)) => entry.property.as_ref() == Some(*property) && shows(value, kept),
                Some(Kept::Record(kept)) => {
                    kept.get(property.as_str()).is_some_and(|kept| shows(value, kept))
                }
                Some(Kept::Erased { .. }) | None => false,
            })
        }))
    }

    /// The newest entries of the log about a record, of all its lives.
    pub(in crate::engine) async fn entries_about(&self, link: &Link) -> Result<Vec<AuditEntry>, EngineError> {
        let about = AuditFilter {
            entity: Some(link.entity.clone()),
            key: Some(link.key.clone()),
            limit: AUDIT_SEARCHED,
            ..AuditFilter::default()
        };
        Ok(self.engine.store.audit(&about).await?)
    }
}
