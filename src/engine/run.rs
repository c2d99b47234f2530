//! One cycle of a profile: lease, recover, capture, plan, guards, apply, second phase, marks, report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use time::OffsetDateTime;
use uuid::Uuid;

use super::apply::Candidate;
use super::capture::{Captured, Rank};
use super::tally::Tally;
use super::{Engine, EngineError, Entity, Request};
use crate::journal::Outcome as Ended;
use crate::plan::file::SavedPlan;
use crate::plan::order::EntityOrder;
use crate::plan::{Operation, Plan, guard};
use crate::ports::{Commit, Fence, Marks, Nobody, Pin, Progress, Record, Retry, RunRecord, Watcher};
use crate::report::{Command, ErrorCode, Failure, Outcome, ProfileReport, Refusal};
use crate::value::{RecordKey, UserId};

/// What must remain of the lease beyond a request's longest time before a write to Notion starts.
///
/// Source: sync semantics, section 5.
const LEASE_MARGIN: Duration = Duration::from_secs(30);

/// Records with errors of earlier runs that a report lists for an entity.
const MOST_ERRORS: usize = 1000;

/// What a run did.
#[derive(Clone, Debug)]
pub struct Run {
    /// The report.
    pub report: ProfileReport,
    /// The plan that was applied, or would have been.
    pub plan: Plan,
}

/// What one run shares between its records.
pub(super) struct Work<'a> {
    pub(super) engine: &'a Engine,
    pub(super) request: &'a Request,
    pub(super) run: Uuid,
    pub(super) fence: Fence,
    pub(super) tally: Tally,
    pub(super) bot: UserId,
    pub(super) watcher: &'a dyn Watcher,
    marks: Mutex<BTreeMap<String, Marks>>,
    lease_until: Mutex<OffsetDateTime>,
    waiting: Mutex<BTreeSet<(String, RecordKey)>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere leaves plain values behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    /// Runs one cycle. What goes wrong is in the report: with a record, with a guard, or as the failure of the
    /// whole profile.
    ///
    /// **Guarantees.** May be killed at any instant: the next run starts from what it sees. At most one run per
    /// profile writes; another one reports `profile_busy`.
    pub async fn run(&self, request: &Request) -> Run {
        self.run_checked(request, None, &Nobody).await
    }

    /// The same, telling how far it is.
    pub async fn run_watched(&self, request: &Request, watcher: &dyn Watcher) -> Run {
        self.run_checked(request, None, watcher).await
    }

    /// Applies exactly a saved plan, or refuses where a side has moved; `mappings` is the digest of the mappings.
    pub async fn run_saved(
        &self,
        request: &Request,
        saved: &SavedPlan,
        mappings: &str,
        watcher: &dyn Watcher,
    ) -> Run {
        self.run_checked(request, Some((saved, mappings)), watcher).await
    }

    /// What a run would do, and the guards that would stop it; writes nothing anywhere.
    ///
    /// # Errors
    /// When a side or the memory cannot be read.
    pub async fn plan(&self, request: &Request) -> Result<(Plan, Vec<Refusal>), EngineError> {
        let now = self.clock.now();
        let work = self.work(request, Uuid::nil(), Fence { epoch: -1 }, now, &Nobody);
        let captured = work.capture_all().await?;
        let plan = work.planned(&captured);
        let refusals = refusals(&plan, &captured);
        Ok((plan, refusals))
    }

    pub(super) fn work<'a>(
        &'a self,
        request: &'a Request,
        run: Uuid,
        fence: Fence,
        lease_until: OffsetDateTime,
        watcher: &'a dyn Watcher,
    ) -> Work<'a> {
        Work {
            engine: self,
            request,
            run,
            fence,
            tally: Tally::default(),
            bot: self.pages.bot(),
            watcher,
            marks: Mutex::default(),
            lease_until: Mutex::new(lease_until),
            waiting: Mutex::default(),
        }
    }

    async fn run_checked(
        &self,
        request: &Request,
        saved: Option<(&SavedPlan, &str)>,
        watcher: &dyn Watcher,
    ) -> Run {
        let mut plan = Plan::default();
        let report = match self.begin(request, watcher).await {
            Ok(mut begun) => {
                let ended = begun.work.cycle(saved, &mut begun.report, &mut plan).await;
                begun.end(&request.command.to_string(), ended).await
            }
            Err(report) => *report,
        };
        Run { report, plan }
    }

    /// Takes the profile's lease for one run; answers the report of a run that did not come to that.
    pub(super) async fn begin<'a>(
        &'a self,
        request: &'a Request,
        watcher: &'a dyn Watcher,
    ) -> Result<Begun<'a>, Box<ProfileReport>> {
        let started = self.clock.now();
        let before = self.pages.usage();
        let id = self.new_id();
        let report = ProfileReport {
            profile: self.profile.clone(),
            run_id: id.to_string(),
            ..ProfileReport::default()
        };
        let mut begun = Begun {
            work: self.work(request, id, Fence { epoch: -1 }, started, watcher),
            report,
            started,
            before,
        };
        let error = match self.store.acquire(&self.holder, self.tuning.lease).await {
            Ok(Some(lease)) => {
                begun.work.fence = Fence { epoch: lease.epoch };
                *locked(&begun.work.lease_until) = lease.expires_at;
                return Ok(begun);
            }
            Ok(None) => EngineError::Busy {
                profile: self.profile.clone(),
            },
            Err(error) => error.into(),
        };
        begun.told(Some(&error));
        Err(Box::new(begun.report))
    }
}

/// A run that holds the lease.
pub(super) struct Begun<'a> {
    pub(super) work: Work<'a>,
    pub(super) report: ProfileReport,
    started: OffsetDateTime,
    before: crate::report::NotionUsage,
}

impl Begun<'_> {
    /// Reports the run and gives the lease back. It is recorded where it did anything, or failed.
    pub(super) async fn end(mut self, command: &str, ended: Result<bool, EngineError>) -> ProfileReport {
        self.work.count(&mut self.report).await;
        self.told(ended.as_ref().err());
        let mut ended = ended;
        if !matches!(ended, Ok(false)) {
            let record = RunRecord {
                id: self.work.run,
                command: command.to_owned(),
                started_at: self.started,
                finished_at: Some(self.work.engine.clock.now()),
                report: serde_json::to_value(&self.report).ok(),
            };
            let recorded = self.work.commit(vec![Record::Run(record)]).await;
            // What stopped the run is told before what kept it from being recorded.
            ended = ended.and_then(|did| recorded.map(|()| did));
        }
        let released = self.work.engine.store.release(self.work.fence).await;
        if let Err(error) = ended.and_then(|_| Ok(released?)) {
            self.told(Some(&error));
        }
        self.report
    }

    fn told(&mut self, error: Option<&EngineError>) {
        if let Some(error) = error {
            self.report.outcome = match error {
                EngineError::SavedPlan(_) => Outcome::Refused,
                _ => Outcome::Failed,
            };
            self.report.failure = Some(failure(error));
        }
        let engine = self.work.engine;
        self.report.notion = engine.pages.usage().since(&self.before);
        self.report.duration_seconds = (engine.clock.now() - self.started).as_seconds_f64();
    }
}

impl Work<'_> {
    /// Puts what was counted into the report.
    async fn count(&self, report: &mut ProfileReport) {
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
            if totals.as_ref().is_some_and(|totals| totals.troubled > 0) {
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
        let order = self.order();
        let mut entities: Vec<Arc<Entity>> = self
            .engine
            .entities
            .iter()
            .filter(|entity| self.request.entities.is_empty() || self.request.entities.contains(&entity.name))
            .cloned()
            .collect();
        entities.sort_by_key(|entity| order.rank(&entity.name));
        entities
    }

    pub(super) fn order(&self) -> EntityOrder {
        EntityOrder::of(self.engine.entities.iter().map(|entity| {
            let targets = entity.fields.iter().filter_map(|field| {
                field
                    .reference
                    .as_ref()
                    .map(|reference| reference.target.as_str())
            });
            (entity.name.as_str(), targets.collect())
        }))
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

    /// Notes a record whose relations are to be set once the pages they lead to are there.
    pub(super) fn second_phase(&self, entity: &str, key: &RecordKey) {
        locked(&self.waiting).insert((entity.to_owned(), key.clone()));
    }

    /// Whether the entity's rows are chosen otherwise than when it was last applied.
    pub(super) async fn scope_changed(&self, entity: &Entity) -> Result<bool, EngineError> {
        let name = scope_pin(&entity.name);
        let pins = self.engine.store.pins().await?;
        Ok(pins
            .iter()
            .any(|pin| pin.name == name && pin.value != entity.scope))
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

    /// Writes records that go with no row.
    pub(super) async fn commit(&self, records: Vec<Record>) -> Result<(), EngineError> {
        self.engine.store.commit(self.fence, Commit::of(records)).await?;
        Ok(())
    }

    /// Makes sure that the lease outlives a request that starts now.
    pub(super) async fn keep_lease(&self) -> Result<(), EngineError> {
        let tuning = &self.engine.tuning;
        let needed = tuning.request_timeout + LEASE_MARGIN;
        let remains = *locked(&self.lease_until) - self.engine.clock.now();
        if remains <= needed {
            let lease = self
                .engine
                .store
                .renew(self.fence, tuning.lease.max(needed * 2))
                .await?;
            *locked(&self.lease_until) = lease.expires_at;
        }
        Ok(())
    }

    async fn capture_all(&self) -> Result<Vec<Captured>, EngineError> {
        let mut captured = Vec::new();
        for entity in self.entities() {
            self.read_marks(&entity).await?;
            self.watcher.tell(Progress::Looking { entity: &entity.name });
            captured.push(self.capture(&entity).await?);
        }
        Ok(captured)
    }

    fn planned(&self, captured: &[Captured]) -> Plan {
        let operations: Vec<Operation> = captured
            .iter()
            .flat_map(|captured| captured.operations.iter().cloned())
            .collect();
        Plan::of(operations, &self.order())
    }

    async fn cycle(
        &self,
        saved: Option<(&SavedPlan, &str)>,
        report: &mut ProfileReport,
        plan: &mut Plan,
    ) -> Result<bool, EngineError> {
        for entity in self.entities() {
            self.recover(&entity).await?;
        }
        let captured = self.capture_all().await?;
        *plan = self.planned(&captured);
        if let Some((saved, mappings)) = saved {
            saved.check(plan, &self.engine.profile, mappings)?;
        }
        let refused = self.guard(plan, &captured, report).await?;
        let mut work: Vec<(Rank, usize, Candidate)> = Vec::new();
        for (place, captured) in captured.iter().enumerate() {
            if !refused.contains(&captured.entity.name) {
                work.extend(
                    captured
                        .candidates
                        .iter()
                        .map(|(rank, candidate)| (rank.clone(), place, candidate.clone())),
                );
            }
        }
        let worked = !work.is_empty();
        self.watcher.tell(Progress::Planned { records: work.len() });
        self.apply_all(work).await?;
        self.apply_waiting().await?;
        let mut records = Vec::new();
        let pins = self.engine.store.pins().await?;
        for captured in captured {
            if !refused.contains(&captured.entity.name) {
                let pin = Pin {
                    name: scope_pin(&captured.entity.name),
                    value: captured.entity.scope.clone(),
                };
                let is_whole = self.request.keys.is_empty() && self.request.properties.is_empty();
                if is_whole && self.request.writes_notion() && !pins.contains(&pin) {
                    records.push(Record::Pin(pin));
                }
                records.extend(self.marked(captured));
            }
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
        report: &mut ProfileReport,
    ) -> Result<BTreeSet<String>, EngineError> {
        let refusals = refusals(plan, captured);
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
    async fn apply_all(&self, mut work: Vec<(Rank, usize, Candidate)>) -> Result<(), EngineError> {
        work.sort_by(|(a, a_place, _), (b, b_place, _)| {
            let places = if a.0.deletes().is_some() {
                b_place.cmp(a_place)
            } else {
                a_place.cmp(b_place)
            };
            a.0.cmp(&b.0)
                .then(places)
                .then_with(|| (&a.1, &a.2).cmp(&(&b.1, &b.2)))
        });
        let mut work = work.into_iter().peekable();
        while let Some((first, place, candidate)) = work.next() {
            let mut together = vec![candidate];
            while let Some((_, _, next)) =
                work.next_if(|(rank, other, _)| rank.0 == first.0 && *other == place)
            {
                together.push(next);
            }
            self.apply_together(together).await?;
        }
        Ok(())
    }

    pub(super) async fn apply_together(&self, candidates: Vec<Candidate>) -> Result<(), EngineError> {
        let concurrency = self.engine.tuning.concurrency.max(1);
        let mut ended = futures_util::stream::iter(candidates)
            .map(|candidate| async move {
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
                // What is under way is finished; nothing new would be better.
                failed.get_or_insert(error);
                break;
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

    /// 6.5: relations of new pages to pages that came after them.
    pub(super) async fn apply_waiting(&self) -> Result<(), EngineError> {
        let waiting = std::mem::take(&mut *locked(&self.waiting));
        for entity in self.entities() {
            let candidates: Vec<Candidate> = waiting
                .iter()
                .filter(|(name, _)| *name == entity.name)
                .map(|(_, key)| Candidate {
                    entity: Arc::clone(&entity),
                    key: Some(key.clone()),
                    page: None,
                    read: None,
                    may_delete: false,
                })
                .collect();
            self.apply_together(candidates).await?;
        }
        Ok(())
    }

    /// The marks after a run, where the run saw and was allowed to do everything they stand for.
    fn marked(&self, captured: Captured) -> Vec<Record> {
        let request = self.request;
        if !request.keys.is_empty() || !request.properties.is_empty() {
            return Vec::new();
        }
        let before = self.marks_of(&captured.entity.name);
        let mut marks = captured.marks;
        let mut records = Vec::new();
        let pages_settled = request.writes_postgres()
            || (request.command == Command::Setup
                && !captured
                    .operations
                    .iter()
                    .any(|operation| operation.page.is_some()));
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

/// The pin that remembers which rows are an entity's.
fn scope_pin(entity: &str) -> String {
    format!("scope:{entity}")
}

fn refusals(plan: &Plan, captured: &[Captured]) -> Vec<Refusal> {
    captured
        .iter()
        .flat_map(|captured| guard::refusals(plan, &captured.circumstances))
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

fn failure(error: &EngineError) -> Failure {
    let code = match error {
        EngineError::Rows(_) | EngineError::Store(_) => ErrorCode::PostgresFailed,
        EngineError::Pages(_) => ErrorCode::NotionFailed,
        EngineError::Busy { .. } => ErrorCode::ProfileBusy,
        EngineError::SavedPlan(_) => ErrorCode::StalePlan,
    };
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        message.push_str(&format!(": {source}"));
        cause = source.source();
    }
    Failure { code, message }
}

impl EngineError {
    /// When the run may be tried again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Rows(error) => error.retry(),
            Self::Pages(error) => error.retry(),
            Self::Store(error) => error.retry(),
            Self::Busy { .. } => Retry::WithBackOff,
            Self::SavedPlan(_) => Retry::Never,
        }
    }
}
