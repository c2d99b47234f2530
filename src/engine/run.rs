//! One cycle of a profile: lease, recover, capture, plan, guards, apply, second phase, marks, report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use time::OffsetDateTime;
use uuid::Uuid;

use super::apply::Candidate;
use super::capture::{Captured, NOTES};
use super::clocks::KnownClocks;
use super::tally::Tally;
use super::{Attendant, Engine, EngineError, Entity, Request};
use crate::journal::Outcome as Ended;
use crate::mapping::Capture;
use crate::plan::file::SavedPlan;
use crate::plan::order::EntityOrder;
use crate::plan::{Operation, OperationKind, Plan, guard};
use crate::ports::{
    Change, Commit, Fence, LeaseGrant, Link, Marks, Pin, Progress, Record, Retry, StoreError, Watcher,
};
use crate::report::{Command, ErrorCode, Failure, Outcome, ProfileReport, Refusal};
use crate::value::{RecordKey, UserId};

/// What must remain of the lease beyond a request's longest time before a write to Notion starts.
///
/// Source: sync semantics, section 5.
const LEASE_MARGIN: Duration = Duration::from_secs(30);

/// The same as a share of the lease, for leases that are shorter than the usual three minutes.
const LEASE_MARGIN_SHARE: u32 = 6;

/// Records with errors of earlier runs that a report lists for an entity.
const MOST_ERRORS: usize = 1000;

/// What one run shares between its records.
pub(super) struct Work<'a> {
    pub(super) engine: &'a Engine,
    pub(super) request: &'a Request,
    pub(super) run: Uuid,
    pub(super) fence: Fence,
    pub(super) tally: Tally,
    pub(super) bot: UserId,
    pub(super) attendant: Option<&'a dyn Attendant>,
    pub(super) watcher: &'a dyn Watcher,
    order: EntityOrder,
    /// The entities that were asked for, referenced ones first.
    entities: Vec<Arc<Entity>>,
    /// What the profile is pinned to, as it stood when the run looked around.
    pins: Mutex<Vec<Pin>>,
    /// The clocks among these, which every page that is listed is held against.
    pub(super) clocks_before: Mutex<Option<KnownClocks>>,
    marks: Mutex<BTreeMap<String, Marks>>,
    lease_until: Mutex<OffsetDateTime>,
    waiting: Mutex<BTreeSet<(String, RecordKey)>>,
    /// The notes of the change log, by entity and key, as they stood when the run began.
    notes: Mutex<BTreeMap<String, BTreeMap<RecordKey, Vec<Change>>>>,
    /// Entities of which a record without a link could not be served: their marks and notes stay as they were.
    unserved: Mutex<BTreeSet<String>>,
    /// Links whose rows have another key than is stored, while planning.
    renamed: Mutex<BTreeMap<Uuid, Link>>,
    /// Records in a row that Postgres could not serve.
    pub(super) failures: AtomicU32,
    /// Second pages of our own that this run met.
    pub(super) strays: AtomicUsize,
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere leaves plain values behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Work<'a> {
    /// A run that nobody attends.
    pub(super) fn new(engine: &'a Engine, request: &'a Request, run: Uuid, watcher: &'a dyn Watcher) -> Self {
        let order = order(engine);
        let mut entities: Vec<Arc<Entity>> = engine
            .entities
            .iter()
            .filter(|entity| request.entities.is_empty() || request.entities.contains(&entity.name))
            .cloned()
            .collect();
        entities.sort_by_key(|entity| order.rank(&entity.name));
        Self {
            order,
            entities,
            engine,
            request,
            run,
            fence: Fence { epoch: -1 },
            tally: Tally::default(),
            bot: engine.pages.bot(),
            attendant: None,
            watcher,
            pins: Mutex::default(),
            clocks_before: Mutex::default(),
            marks: Mutex::default(),
            lease_until: Mutex::new(engine.clock.now()),
            waiting: Mutex::default(),
            notes: Mutex::default(),
            unserved: Mutex::default(),
            renamed: Mutex::default(),
            failures: AtomicU32::new(0),
            strays: AtomicUsize::new(0),
        }
    }

    /// Takes a lease that was granted for this run.
    pub(super) fn holds(&mut self, lease: &LeaseGrant) {
        self.fence = Fence { epoch: lease.epoch };
        *locked(&self.lease_until) = lease.expires_at;
    }
}

impl Work<'_> {
    /// Puts what was counted into the report.
    pub(super) async fn count(&self, report: &mut ProfileReport) {
        for entity in self.entities() {
            let totals = self.engine.store.totals(&entity.name).await.ok();
            for (property, why) in &entity.frozen {
                let property = Some(property.clone());
                self.tally.error(
                    &entity.name,
                    None,
                    None,
                    property,
                    ErrorCode::PropertyDrift,
                    why.clone(),
                );
            }
            if !self.request.is_hinted() && totals.as_ref().is_some_and(|totals| totals.troubled > 0) {
                self.still_troubled(&entity).await;
            }
            let mut counted = self.tally.report(&entity.name);
            counted.entity.clone_from(&entity.name);
            counted.data_source_id = Some(entity.data_source_id.clone());
            counted.refusals = report
                .entities
                .iter()
                .find(|known| known.entity == entity.name)
                .map_or_else(Vec::new, |known| known.refusals.clone());
            if let Some(totals) = totals {
                counted.linked = totals.linked();
                let touched = counted.pages_created
                    + counted.pages_updated
                    + counted.rows_inserted
                    + counted.rows_updated;
                counted.unchanged = counted.linked.saturating_sub(touched);
            }
            report.entities.retain(|known| known.entity != entity.name);
            report.entities.push(counted);
        }
        report.outcome = outcome(report);
    }

    /// The entities that were asked for, referenced ones first.
    pub(super) fn entities(&self) -> Vec<Arc<Entity>> {
        self.entities.clone()
    }

    pub(super) fn order(&self) -> &EntityOrder {
        &self.order
    }

    /// Reads an entity's marks, for what is asked about it next.
    pub(super) async fn read_marks(&self, entity: &Entity) -> Result<(), EngineError> {
        let marks = self.engine.store.marks(&entity.name).await?;
        locked(&self.marks).insert(entity.name.clone(), marks);
        Ok(())
    }

    /// The marks as they stood when the run began.
    pub(super) fn marks_of(&self, entity: &str) -> Marks {
        locked(&self.marks).get(entity).cloned().unwrap_or_default()
    }

    /// The notes of the change log about an entity, in their order, as they stood when the run began.
    pub(super) fn notes_of(&self, entity: &str) -> Vec<Change> {
        let notes = locked(&self.notes);
        let of_entity = notes.get(entity).into_iter().flat_map(BTreeMap::values);
        let mut notes: Vec<Change> = of_entity.flatten().cloned().collect();
        notes.sort_by_key(|note| note.seq);
        notes
    }

    /// The same, about one record.
    pub(super) fn notes_about(&self, entity: &str, key: &RecordKey) -> Vec<Change> {
        let notes = locked(&self.notes);
        notes
            .get(entity)
            .and_then(|notes| notes.get(key))
            .cloned()
            .unwrap_or_default()
    }

    /// The links whose keys changed and are stored under the old one still, while planning.
    pub(super) fn renamed(&self) -> MutexGuard<'_, BTreeMap<Uuid, Link>> {
        locked(&self.renamed)
    }

    /// Notes a record whose relations are to be set once the pages they lead to are there.
    pub(super) fn second_phase(&self, entity: &str, key: &RecordKey) {
        locked(&self.waiting).insert((entity.to_owned(), key.clone()));
    }

    /// Whether the entity's rows are chosen otherwise than when it was last applied.
    pub(super) fn scope_changed(&self, entity: &Entity) -> bool {
        let name = scope_pin(&entity.name);
        locked(&self.pins)
            .iter()
            .any(|pin| pin.name == name && pin.value != entity.scope)
    }

    /// Counts the errors of records that this run had no reason to look at: they are still not in step.
    async fn still_troubled(&self, entity: &Entity) {
        // A run that cannot read them has failed already, and says so.
        let troubled = self.engine.store.links_troubled(&entity.name, MOST_ERRORS).await;
        for link in troubled.unwrap_or_default() {
            if self.request.keys.is_empty() || self.request.keys.contains(&link.key) {
                self.tally.troubles(entity, &link);
            }
        }
    }

    /// Whether no record and no property was left out.
    fn is_whole(&self) -> bool {
        !self.request.is_narrow() && self.request.properties.is_empty()
    }

    /// What the profile was pinned to, and what it is now.
    pub(super) async fn identity(&self) -> Result<Identity, EngineError> {
        let database = self.engine.store.identity().await?;
        let pinned = self.pinned(DATABASE_PIN);
        Ok(Identity { pinned, database })
    }

    /// Reads what the profile is pinned to.
    pub(super) async fn read_pins(&self) -> Result<(), EngineError> {
        // Bound first: the lock must not be held while the store answers.
        let pins = self.engine.store.pins().await?;
        *locked(&self.pins) = pins;
        *locked(&self.clocks_before) = self.pinned_clocks();
        Ok(())
    }

    /// The value of a pin.
    pub(super) fn pinned(&self, name: &str) -> Option<String> {
        let pins = locked(&self.pins);
        let pin = pins.iter().find(|pin| pin.name == name)?;
        Some(pin.value.clone())
    }

    /// Writes records that go with no row.
    pub(super) async fn commit(&self, records: Vec<Record>) -> Result<(), EngineError> {
        self.engine.store.commit(self.fence, Commit::of(records)).await?;
        Ok(())
    }

    /// Makes sure that the lease outlives a request that starts now.
    pub(super) async fn keep_lease(&self) -> Result<(), EngineError> {
        let remains = *locked(&self.lease_until) - self.engine.clock.now();
        if remains <= self.needed_lease() {
            self.renew_lease().await?;
        }
        Ok(())
    }

    /// Prolongs the lease: as long as it is taken for, and at least over two of the longest requests.
    pub(super) async fn renew_lease(&self) -> Result<(), EngineError> {
        let duration = self.engine.tuning.lease.max(self.needed_lease() * 2);
        let lease = self.engine.store.renew(self.fence, duration).await?;
        *locked(&self.lease_until) = lease.expires_at;
        Ok(())
    }

    /// Whether the lease has run out, as far as this process knows.
    pub(super) fn lease_is_over(&self) -> bool {
        *locked(&self.lease_until) <= self.engine.clock.now()
    }

    /// What must remain of the lease before a write to Notion starts.
    fn needed_lease(&self) -> Duration {
        let tuning = &self.engine.tuning;
        tuning.request_timeout + LEASE_MARGIN.min(tuning.lease / LEASE_MARGIN_SHARE)
    }

    /// Reads what the change log notes, once for the whole run: what is noted later is for the next one.
    pub(super) async fn read_notes(&self) -> Result<(), EngineError> {
        for entity in self.entities() {
            if entity.capture == Capture::Triggers {
                let mut notes: BTreeMap<RecordKey, Vec<Change>> = BTreeMap::new();
                for note in self.engine.rows.changes(&entity.name, NOTES).await? {
                    notes.entry(note.key.clone()).or_default().push(note);
                }
                locked(&self.notes).insert(entity.name.clone(), notes);
            }
        }
        Ok(())
    }

    pub(super) async fn capture_all(&self) -> Result<Vec<Captured>, EngineError> {
        self.read_pins().await?;
        let mut captured = Vec::new();
        for entity in self.entities() {
            // A run has followed them already; a plan writes nothing, and goes on as if it had.
            let renamed = self.renamed_links(&entity).await?;
            self.renamed()
                .extend(renamed.into_iter().map(|(_, link)| (link.id, link)));
            self.read_marks(&entity).await?;
            self.watcher.tell(Progress::Looking { entity: &entity.name });
            captured.push(self.capture(&entity).await?);
        }
        Ok(captured)
    }

    /// The plan of what was captured, which gives its operations up to it.
    pub(super) fn planned(&self, captured: &mut [Captured]) -> Plan {
        let operations: Vec<Operation> = captured
            .iter_mut()
            .flat_map(|captured| std::mem::take(&mut captured.operations))
            .collect();
        Plan::of(operations, self.order())
    }

    /// One cycle; answers whether anything was worked on or refused.
    pub(super) async fn cycle(
        &self,
        saved: Option<(&SavedPlan, &str)>,
        report: &mut ProfileReport,
        plan: &mut Plan,
    ) -> Result<bool, EngineError> {
        if !self.request.is_hinted() {
            for entity in self.entities() {
                self.recover(&entity).await?;
            }
        }
        self.read_notes().await?;
        for entity in self.entities() {
            self.follow_keys(&entity).await?;
        }
        let mut captured = self.capture_all().await?;
        *plan = self.planned(&mut captured);
        if let Some((saved, mappings)) = saved {
            saved.check(plan, &self.engine.profile, mappings)?;
        }
        let identity = self.identity().await?;
        let doubts = identity.doubts(&captured);
        let refused = self.guard(plan, &captured, &doubts, report).await?;
        let mut work: Vec<(usize, Candidate)> = Vec::new();
        for (place, captured) in captured.iter_mut().enumerate() {
            let candidates = std::mem::take(&mut captured.candidates);
            if !refused.contains(&captured.entity.name) {
                work.extend(candidates.into_iter().map(|candidate| (place, candidate)));
            }
        }
        let worked = !work.is_empty();
        self.watcher.tell(Progress::Planned { records: work.len() });
        if worked {
            self.pin_clocks().await?;
        }
        self.apply_all(work).await?;
        self.apply_waiting(&refused).await?;
        let mut records = Vec::new();
        let is_whole = self.is_whole();
        let is_profile = self.request.entities.is_empty() && is_whole && self.request.writes_notion();
        // What was not looked at may still differ: in doubt, only a look at everything takes the present over.
        let saw_all = captured.iter().all(|captured| {
            captured.circumstances.rows_seen.is_some() && captured.circumstances.pages_seen.is_some()
        });
        if is_profile && (doubts.is_empty() || (refused.is_empty() && (saw_all || !plan.is_empty()))) {
            records.extend(identity.unpinned().map(Record::Pin));
        }
        let is_looked_over = is_whole && self.request.entities.is_empty() && refused.is_empty();
        if is_looked_over && (saw_all || !self.clocks_stepped()) {
            records.extend(self.clocks_unpinned().map(Record::Pin));
        }
        for captured in captured {
            if !refused.contains(&captured.entity.name) {
                let pin = Pin {
                    name: scope_pin(&captured.entity.name),
                    value: captured.entity.scope.clone(),
                };
                if is_whole && self.request.writes_notion() && !locked(&self.pins).contains(&pin) {
                    records.push(Record::Pin(pin));
                }
                records.extend(self.marked(captured));
            }
        }
        if is_whole && !records.is_empty() {
            records.push(Record::Forgotten(
                self.engine.clock.now() - self.engine.tuning.audit_retention,
            ));
        }
        if !records.is_empty() {
            self.commit(records).await?;
        }
        Ok(worked || !refused.is_empty())
    }

    /// Asks the guards; answers the entities that may not be written. An approval of this very plan lets all pass.
    async fn guard(
        &self,
        plan: &Plan,
        captured: &[Captured],
        doubts: &[String],
        report: &mut ProfileReport,
    ) -> Result<BTreeSet<String>, EngineError> {
        let refusals = refusals(plan, captured, doubts);
        if refusals.is_empty() {
            return Ok(BTreeSet::new());
        }
        if self
            .engine
            .store
            .take_approval(&plan.hash(), self.engine.clock.now())
            .await?
        {
            return Ok(BTreeSet::new());
        }
        let mut refused = BTreeSet::new();
        for refusal in refusals {
            refused.insert(refusal.entity.clone());
            let entity = refusal.entity.clone();
            match report.entities.iter_mut().find(|known| known.entity == entity) {
                Some(known) => known.refusals.push(refusal),
                None => report.entities.push(crate::report::EntityReport {
                    entity,
                    refusals: vec![refusal],
                    ..crate::report::EntityReport::default()
                }),
            }
        }
        Ok(refused)
    }

    /// Works on the candidates, one kind after the other, several records of a kind and entity at once.
    async fn apply_all(&self, mut work: Vec<(usize, Candidate)>) -> Result<(), EngineError> {
        work.sort_by(|(a_place, a), (b_place, b)| {
            let places = if a.kind().deletes().is_some() {
                b_place.cmp(a_place)
            } else {
                a_place.cmp(b_place)
            };
            a.kind()
                .cmp(&b.kind())
                .then(places)
                .then_with(|| (&a.key, &a.page).cmp(&(&b.key, &b.page)))
        });
        let mut work = work.into_iter().peekable();
        while let Some((place, kind)) = work.peek().map(|(place, first)| (*place, first.kind())) {
            let mut together = Vec::new();
            while let Some((_, next)) = work.next_if(|(other, next)| next.kind() == kind && *other == place) {
                together.push(next);
            }
            self.apply_together(together).await?;
        }
        Ok(())
    }

    pub(super) async fn apply_together(&self, candidates: Vec<Candidate>) -> Result<(), EngineError> {
        let concurrency = self.engine.tuning.concurrency.max(1);
        let stops = AtomicBool::new(false);
        let stops = &stops;
        let mut ended = futures_util::stream::iter(candidates)
            .map(|candidate| async move {
                if stops.load(Ordering::Relaxed) {
                    return Ok(());
                }
                self.may_begin()?;
                let ended = Box::pin(self.settle_record(candidate.clone())).await?;
                let entity = &candidate.entity.name;
                self.watcher.tell(Progress::Settled { entity });
                if ended == Ended::Deferred {
                    self.deferred(&candidate).await?;
                }
                Ok::<(), EngineError>(())
            })
            .buffer_unordered(concurrency);
        let mut failed = None;
        while let Some(result) = ended.next().await {
            if let Err(error) = result {
                // Nothing new is begun, and what is under way is finished: dropped in the middle of a transaction, it
                // would leave a connection that still holds its locks.
                stops.store(true, Ordering::Relaxed);
                failed.get_or_insert(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Makes sure that a record left for later is looked at again.
    async fn deferred(&self, candidate: &Candidate) -> Result<(), EngineError> {
        let entity = &candidate.entity.name;
        self.tally.count(entity, |report| report.deferred += 1);
        let Some(key) = &candidate.key else { return Ok(()) };
        let links = self
            .engine
            .store
            .links_by_key(entity, std::slice::from_ref(key))
            .await?;
        let Some(link) = links.into_iter().next() else {
            return Ok(());
        };
        if link.look_again_at.is_none() {
            let mut link = link;
            link.look_again_at = Some(self.engine.clock.now());
            self.commit(vec![Record::Link(Box::new(link))]).await?;
        }
        Ok(())
    }

    /// 6.5: relations of new pages to pages that came after them. What a guard refused waits for the run that may: a page
    /// that recovery found is in no plan that anybody approved.
    pub(super) async fn apply_waiting(&self, refused: &BTreeSet<String>) -> Result<(), EngineError> {
        let waiting = std::mem::take(&mut *locked(&self.waiting));
        let allowed = self.entities().into_iter();
        for entity in allowed.filter(|entity| !refused.contains(&entity.name)) {
            let candidates: Vec<Candidate> = waiting
                .iter()
                .filter(|(name, _)| *name == entity.name)
                .map(|(_, key)| Candidate {
                    entity: Arc::clone(&entity),
                    key: Some(key.clone()),
                    page: None,
                    planned: Some(OperationKind::UpdatePage),
                    read: None,
                    may_delete: false,
                    was_listed: false,
                })
                .collect();
            self.apply_together(candidates).await?;
        }
        Ok(())
    }

    /// The marks of this entity and its notes stay as they were: a record without a link could not be served.
    pub(super) fn leave_marks(&self, entity: &str) {
        locked(&self.unserved).insert(entity.to_owned());
    }

    /// The marks after a run, where the run saw and was allowed to do everything they stand for.
    fn marked(&self, captured: Captured) -> Vec<Record> {
        let request = self.request;
        if locked(&self.unserved).contains(&captured.entity.name) {
            return Vec::new();
        }
        if request.is_narrow() && request.writes_notion() && !captured.notes.is_empty() {
            return vec![Record::Acknowledged(captured.entity.name.clone(), captured.notes)];
        }
        if request.is_narrow() || !request.properties.is_empty() {
            return Vec::new();
        }
        let before = self.marks_of(&captured.entity.name);
        let mut marks = captured.marks;
        let mut records = Vec::new();
        let pages_settled =
            request.writes_postgres() || (request.command == Command::Setup && !captured.concerns_pages);
        if !pages_settled {
            marks.pages_edited_until = before.pages_edited_until;
            marks.pages_listed_at = before.pages_listed_at;
            marks.pages_queried_at = before.pages_queried_at;
        }
        if request.writes_notion() {
            marks.initialised = true;
            if !captured.notes.is_empty() {
                records.push(Record::Acknowledged(captured.entity.name.clone(), captured.notes));
            }
        } else {
            marks.rows_captured_at = before.rows_captured_at;
            marks.rows_scanned_at = before.rows_scanned_at;
        }
        records.push(Record::Marks(captured.entity.name.clone(), marks));
        records
    }
}

fn order(engine: &Engine) -> EntityOrder {
    EntityOrder::of(engine.entities.iter().map(|entity| {
        let targets = entity.fields.iter().filter_map(|field| {
            field
                .reference
                .as_ref()
                .map(|reference| reference.target.as_str())
        });
        (entity.name.as_str(), targets.collect())
    }))
}

/// The pin of the database that holds rows and state.
const DATABASE_PIN: &str = "postgres_system";

/// 6.10: what tells whether the state still belongs to its database. The connection was held against its pin before
/// anything was read.
pub(super) struct Identity {
    pinned: Option<String>,
    /// `None` where the store cannot tell.
    database: Option<String>,
}

impl Identity {
    /// What speaks against it, in words.
    pub(super) fn doubts(&self, captured: &[Captured]) -> Vec<String> {
        let mut doubts = Vec::new();
        if self.pinned.is_some() && self.database.is_some() && self.pinned != self.database {
            doubts.push(
                "the database is another one than the state was made in: a restored, copied or promoted one"
                    .to_owned(),
            );
        }
        let forgotten: usize = captured.iter().map(|captured| captured.forgotten).sum();
        if forgotten > 0 {
            doubts.push(format!(
                "{forgotten} pages hold values that this connection wrote and the state knows nothing of"
            ));
        }
        doubts
    }

    /// The pin where it is not, or no longer, what it should be.
    fn unpinned(&self) -> Option<Pin> {
        let database = self.database.clone()?;
        (self.pinned.as_ref() != Some(&database)).then(|| Pin {
            name: DATABASE_PIN.to_owned(),
            value: database,
        })
    }
}

/// The pin that remembers which rows are an entity's.
fn scope_pin(entity: &str) -> String {
    format!("scope:{entity}")
}

pub(super) fn refusals(plan: &Plan, captured: &[Captured], doubts: &[String]) -> Vec<Refusal> {
    let of_entities = captured
        .iter()
        .flat_map(|captured| guard::refusals(plan, &captured.circumstances));
    let to_look_at: Vec<&str> = captured
        .iter()
        .filter(|captured| !captured.candidates.is_empty())
        .map(|captured| captured.entity.name.as_str())
        .collect();
    guard::quarantined(plan, &to_look_at, doubts)
        .into_iter()
        .chain(of_entities)
        .collect()
}

fn outcome(report: &ProfileReport) -> Outcome {
    if report.entities.iter().any(|entity| !entity.refusals.is_empty()) {
        Outcome::Refused
    } else if report
        .entities
        .iter()
        .any(|entity| entity.conflicts_opened > 0 || !entity.errors.is_empty())
    {
        Outcome::Partial
    } else {
        Outcome::Ok
    }
}

pub(super) fn failure(error: &EngineError) -> Failure {
    let code = match error {
        EngineError::Store(StoreError::Fenced) | EngineError::Busy { .. } => ErrorCode::ProfileBusy,
        EngineError::Rows(_) | EngineError::Store(_) => ErrorCode::PostgresFailed,
        EngineError::Pages(_) => ErrorCode::NotionFailed,
        EngineError::Interrupted => ErrorCode::Interrupted,
        EngineError::SavedPlan(_) => ErrorCode::StalePlan,
    };
    let message = with_causes(error);
    Failure { code, message }
}

/// An error with all that lies behind it; none of it quotes a row.
pub(super) fn with_causes(error: &EngineError) -> String {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        message.push_str(&format!(": {source}"));
        cause = source.source();
    }
    message
}

impl EngineError {
    /// When the run may be tried again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Rows(error) => error.retry(),
            Self::Pages(error) => error.retry(),
            Self::Store(error) => error.retry(),
            Self::Busy { .. } | Self::Interrupted => Retry::WithBackOff,
            Self::SavedPlan(_) => Retry::Never,
        }
    }
}
