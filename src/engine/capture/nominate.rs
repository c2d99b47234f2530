//! Names one record for the run, with what would be done as far as can be told.

use std::sync::Arc;

use super::super::apply::Candidate;
use super::super::observe::{PageSeen, RowSeen, Seen};
use super::super::presence::shows_state;
use super::super::push::status;
use super::super::run::Work;
use super::super::{EngineError, Entity};
use super::Nominations;
use crate::plan::operations;
use crate::ports::{Link, Page, Priority};
use crate::reconcile::{Phase, PresenceAction, Side};
use crate::report::ErrorCode;
use crate::value::{PageId, PropertyId, Value};

impl Work<'_> {
    pub(super) async fn nominate_page(
        &self,
        entity: &Arc<Entity>,
        link: Option<Link>,
        page: Page,
        found: &mut Nominations,
    ) -> Result<(), EngineError> {
        let row = match &link {
            Some(link) => self.read_row(entity, &link.key).await?,
            None => RowSeen::Absent,
        };
        found.pages.insert(page.id.clone());
        // E11: what a listing shows is not missing, whatever a direct read says.
        let link = link.map(|link| Link { missed: None, ..link });
        self.nominate(entity, link, row, PageSeen::Seen(page), found)
            .await
    }

    pub(super) async fn nominate_always(
        &self,
        entity: &Arc<Entity>,
        link: Link,
        row: RowSeen,
        page: PageSeen,
        found: &mut Nominations,
    ) -> Result<(), EngineError> {
        let at = (Some(link.key.clone()), link.page.clone());
        let candidate = Candidate {
            entity: Arc::clone(entity),
            key: at.0.clone(),
            page: at.1.clone(),
            planned: None,
            read: None,
            may_delete: false,
            was_listed: false,
        };
        self.nominate(entity, Some(link), row, page, found).await?;
        found.candidates.entry(at).or_insert(candidate);
        Ok(())
    }

    /// Nominates a record, with what would be done as far as can be told.
    pub(super) async fn nominate(
        &self,
        entity: &Arc<Entity>,
        link: Option<Link>,
        row: RowSeen,
        page: PageSeen,
        found: &mut Nominations,
    ) -> Result<(), EngineError> {
        let mut key = link.as_ref().map(|link| link.key.clone());
        if let (None, RowSeen::Seen(row)) = (&key, &row) {
            key = Some(row.key.clone());
        }
        let page_id = match (&link, &page) {
            (Some(link), _) => link.page.clone(),
            (None, PageSeen::Seen(page)) => Some(page.id.clone()),
            _ => None,
        };
        let at = (key.clone(), page_id.clone());
        let known = found.candidates.get(&at);
        if known.is_some_and(|known| known.planned.is_some()) {
            return Ok(());
        }
        let mut page = page;
        let mut read = None;
        let unread = link.as_ref().is_some_and(|link| {
            link.phase == Phase::Linked
                && entity.fields.iter().any(|field| {
                    link.fields
                        .get(&field.property)
                        .is_none_or(|state| state.bases.is_none())
                })
        });
        if let (PageSeen::Presumed, true, Some(id)) = (&page, unread, &page_id) {
            // A field that was never agreed on: nothing can be presumed of it.
            page = self.engine.read_page(entity, id, Priority::Push).await?;
            read = page.page().cloned();
        } else if let (PageSeen::Seen(seen), Some(_)) = (&page, &link)
            && !found.pages.contains(&seen.id)
        {
            read = Some(seen.clone());
        }
        let mut seen = self.engine.seen(entity, link, row, page).await?;
        if seen.link.is_none() && seen.page.page().is_some() {
            self.read_label(entity, &mut seen).await?;
        }
        let decision = self.decide(entity, &seen);
        if decision.presence.action == PresenceAction::MergeFields
            && self.was_forgotten(entity, &seen).await?
        {
            found.forgotten += 1;
        }
        if decision.presence.action == PresenceAction::Adopt
            && let RowSeen::Seen(row) = &seen.row
        {
            found.adoptable.insert(row.key.clone());
        }
        if seen.link.is_none() && decision.presence.action == PresenceAction::Wait {
            // Looked at again by the next query, which must still reach back to it.
            let since = seen.page.page().map(|page| page.last_edited_time);
            found.waiting_since = found.waiting_since.into_iter().chain(since).min();
            return Ok(());
        }
        if seen.link.is_none() && decision.presence.action == PresenceAction::Nothing {
            return Ok(());
        }
        if let (None, Some(page)) = (&seen.link, seen.page.page())
            && let Some(code) = flagged(decision.presence.action)
            && [status::DUPLICATE, status::ERROR]
                .iter()
                .any(|state| shows_state(entity, page, state))
        {
            // It is marked already: it stays listed, and costs no request. What it was marked as stays too when its
            // original goes or comes, which says nothing to a listing of edited pages.
            self.page_error(entity, &seen, code, decision.presence.reason);
            return Ok(());
        }
        let mut planned = operations(
            &entity.name,
            key.as_ref(),
            page_id.as_ref(),
            &decision,
            |property| entity.property_name(property),
            |property, side| held(entity, &seen, property, side),
        );
        planned.retain(|operation| match operation.kind.writes() {
            Some(Side::Postgres) => self.request.writes_postgres(),
            Some(Side::Notion) => self.request.writes_notion(),
            None => true,
        });
        let first = planned.iter().map(|operation| operation.kind).min();
        let is_listed = |id: &PageId| found.pages.contains(id) || found.listed.contains(id);
        let was_listed = page_id.as_ref().is_some_and(is_listed);
        let may_delete = planned.iter().any(|operation| operation.kind.deletes().is_some());
        found.operations.extend(planned);
        let candidate = Candidate {
            entity: Arc::clone(entity),
            key,
            page: page_id,
            planned: first,
            read: read.map(|read| (self.engine.clock.now(), Box::new(read))),
            may_delete,
            was_listed,
        };
        found.candidates.insert(at, candidate);
        Ok(())
    }
}

/// How a page that is nobody's is reported.
fn flagged(action: PresenceAction) -> Option<ErrorCode> {
    match action {
        PresenceAction::FlagDuplicate => Some(ErrorCode::DuplicatePage),
        PresenceAction::FlagUnknownId => Some(ErrorCode::UnknownId),
        _ => None,
    }
}

fn held(entity: &Entity, seen: &Seen, property: &PropertyId, side: Side) -> Option<Value> {
    let field = entity.field(property)?;
    match side {
        Side::Postgres => field.codec.row_value(seen.columns()?).ok(),
        Side::Notion => match seen.page.page() {
            Some(page) => page.whole(property).cloned(),
            None => seen
                .link
                .as_ref()
                .and_then(|link| link.fields.get(property))
                .and_then(|state| state.bases.as_ref())
                .map(|bases| bases.page.clone()),
        },
    }
}
