//! Says what is known of one record and what would be done about it: the planner's own decision, with what it saw.

use std::collections::BTreeSet;

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::observe::{PageSeen, RowSeen, Seen};
use super::run::Work;
use super::{Engine, EngineError, Entity, Request};
use crate::journal::{AuditEntry, IntentStatus};
use crate::ports::{AuditFilter, Nobody, Priority};
use crate::reconcile::last_write::Interval;
use crate::reconcile::merge::{FieldAction, FieldDecision};
use crate::reconcile::{Decision, FieldError, FieldFacts, Observation};
use crate::report::{
    Command, EditorReport, ExplainReport, ExplainedField, ExplainedSide, HistoryEntry, TroubleReport, iso,
};
use crate::value::{PropertyId, RecordKey, Value};

/// Entries of the audit log that are looked through for one record.
const MOST_ENTRIES: u32 = 1000;

/// Entries that are told of each field, and of the record as a whole.
const TOLD: usize = 5;

impl Engine {
    /// Explains the record of an entity with that key; `None` where neither side nor the memory knows it.
    ///
    /// Reads both sides as a sync of this record would, asks the same decision core, and writes nothing.
    ///
    /// # Errors
    /// When a side or the memory cannot be read.
    pub async fn explain(&self, entity: &str, key: &RecordKey) -> Result<Option<ExplainReport>, EngineError> {
        let request = Request::all(Command::Sync);
        let work = Work::new(self, &request, Uuid::nil(), &Nobody);
        work.read_notes().await?;
        let Some(entity) = self.entity(entity) else {
            return Ok(None);
        };
        match entity.own_key(key) {
            Some(key) => work.explain(entity, &key).await,
            None => Ok(None),
        }
    }
}

impl Work<'_> {
    async fn explain(&self, entity: &Entity, key: &RecordKey) -> Result<Option<ExplainReport>, EngineError> {
        self.read_pins().await?;
        self.read_marks(entity).await?;
        let filter = AuditFilter {
            entity: Some(entity.name.clone()),
            key: Some(key.clone()),
            limit: MOST_ENTRIES,
            ..AuditFilter::default()
        };
        let history = self.engine.store.audit(&filter).await?;
        let links = self
            .engine
            .store
            .links_by_key(&entity.name, std::slice::from_ref(key))
            .await?;
        let link = links.into_iter().next();
        let row = self.read_row(entity, key).await?;
        // Whether a key that is not this profile's has a row is nobody's business here.
        let is_ours = matches!(&row, RowSeen::Seen(row) if row.in_scope);
        if link.is_none() && !is_ours && history.is_empty() {
            return Ok(None);
        }
        let page = match link.as_ref().and_then(|link| link.page.as_ref()) {
            Some(page) => self.engine.read_page(entity, page, Priority::Pull).await?,
            None => PageSeen::None,
        };
        let seen = self.engine.seen(entity, link, row, page).await?;
        let observation = self.observed(entity, &seen);
        let decision = crate::reconcile::decide(&observation);
        Ok(Some(self.told(
            entity,
            key,
            &seen,
            &observation,
            &decision,
            &history,
        )))
    }

    fn told(
        &self,
        entity: &Entity,
        key: &RecordKey,
        seen: &Seen,
        observation: &Observation,
        decision: &Decision,
        history: &[AuditEntry],
    ) -> ExplainReport {
        let link = seen.link.as_ref();
        let name = |property: &PropertyId| entity.property_name(property);
        let known: BTreeSet<&PropertyId> = entity.fields.iter().map(|field| &field.property).collect();
        let of_record = |entry: &&AuditEntry| {
            entry
                .property
                .as_ref()
                .is_none_or(|property| !known.contains(property))
        };
        let troubles = link.into_iter().flat_map(|link| &link.troubles);
        ExplainReport {
            version: crate::report::VERSION,
            profile: self.engine.profile.clone(),
            entity: entity.name.clone(),
            key: key.to_string(),
            page_id: link.and_then(|link| link.page.as_ref()).map(ToString::to_string),
            phase: link.map(|link| word(&link.phase)),
            row: word(&observation.row),
            page: word(&observation.page),
            last_editor: seen.page.page().map(|page| EditorReport {
                who: if page.last_edited_by == self.bot {
                    "frames_sync"
                } else {
                    "person"
                }
                .to_owned(),
                user_id: page.last_edited_by.to_string(),
                at: iso(page.last_edited_time),
            }),
            case: word(&decision.presence.case),
            action: word(&decision.presence.action),
            reason: decision.presence.reason.text().to_owned(),
            opted_out: observation.opted_out,
            look_again_at: link.and_then(|link| link.look_again_at).map(iso),
            unsettled: seen
                .intents
                .iter()
                .filter(|intent| intent.status == IntentStatus::Pending)
                .count() as u64,
            troubles: troubles
                .map(|trouble| TroubleReport {
                    code: trouble.code,
                    property: trouble.property.as_ref().map(name),
                    message: trouble.message.clone(),
                    attempts: trouble.attempts,
                    retry_at: trouble.retry_at.map(iso),
                    next_step: trouble.code.next_step().to_owned(),
                })
                .collect(),
            fields: observation
                .fields
                .iter()
                .map(|facts| {
                    let decided = decision
                        .fields
                        .iter()
                        .find(|decided| decided.property == facts.property);
                    field(entity, seen, facts, decided, history)
                })
                .collect(),
            history: history
                .iter()
                .filter(of_record)
                .take(TOLD)
                .map(|entry| HistoryEntry::of(entry, name))
                .collect(),
        }
    }
}

fn field(
    entity: &Entity,
    seen: &Seen,
    facts: &FieldFacts,
    decided: Option<&FieldDecision>,
    history: &[AuditEntry],
) -> ExplainedField {
    let bound = entity.field(&facts.property);
    let bases = facts.state.bases.as_ref();
    let writes = decided.and_then(|decided| match &decided.action {
        FieldAction::Push(value) | FieldAction::Pull(value) => Some(value),
        _ => None,
    });
    ExplainedField {
        property: entity.property_name(&facts.property),
        column: bound.and_then(|field| field.column.clone()),
        direction: word(&facts.direction),
        policy: word(&facts.policy),
        postgres: side(bases.map(|bases| &bases.row), &facts.row, &facts.changed.postgres),
        notion: side(bases.map(|bases| &bases.page), &facts.page, &facts.changed.notion),
        agrees: facts.agree,
        action: decided.map(|decided| {
            match decided.action {
                FieldAction::Keep => "keep",
                FieldAction::Rebase(_) => "rebase",
                FieldAction::Push(_) => "push",
                FieldAction::Pull(_) => "pull",
                FieldAction::Conflict => "conflict",
                FieldAction::Freeze(_) => "freeze",
                FieldAction::Defer => "defer",
            }
            .to_owned()
        }),
        writes: writes.map_or(serde_json::Value::Null, Value::to_json),
        reason: decided.map(|decided| decided.reason.text().to_owned()),
        certainty: decided
            .and_then(|decided| decided.evidence)
            .map(|evidence| word(&evidence.certainty)),
        conflict_id: seen
            .conflicts
            .iter()
            .find(|conflict| conflict.property.as_ref() == Some(&facts.property))
            .map(|conflict| conflict.id.to_string()),
        history: history
            .iter()
            .filter(|entry| entry.property.as_ref() == Some(&facts.property))
            .take(TOLD)
            .map(|entry| HistoryEntry::of(entry, |property| entity.property_name(property)))
            .collect(),
    }
}

fn side(base: Option<&Value>, now: &Result<Value, FieldError>, when: &Interval) -> ExplainedSide {
    let changed = base.is_some_and(|base| now.as_ref().is_ok_and(|now| now != base));
    let told = |at: Option<OffsetDateTime>| at.filter(|_| changed).map(iso);
    ExplainedSide {
        base: base.map_or(serde_json::Value::Null, Value::to_json),
        has_base: base.is_some(),
        now: now.as_ref().map_or(serde_json::Value::Null, Value::to_json),
        error: now.as_ref().err().map(|error| error.message.clone()),
        changed,
        changed_after: told(when.after),
        changed_until: told(when.until),
        changed_about: told(when.estimate),
    }
}

/// The name that serde gives a variant.
fn word(variant: &impl Serialize) -> String {
    match serde_json::to_value(variant) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}
