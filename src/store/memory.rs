//! The engine's memory in this process: for tests and simulation, held to the same contract as the real one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::journal::{Act, AuditEntry, Conflict, ConflictStatus, Intent, IntentStatus};
use crate::ports::{
    Approval, AuditFilter, BoxFuture, Clock, Commit, CommitOutcome, Fence, LeaseGrant, Link, LinkTotals,
    Marks, Pin, Record, RowOutcome, RowTables, RunRecord, Store, StoreError,
};
use crate::reconcile::{Phase, Side};
use crate::value::{PageId, RecordKey};

/// How long settled and abandoned intents are kept, as in the real store.
///
/// Source: sync semantics, 5.0 R3: our own request may land that late.
const KEEP_INTENTS: Duration = Duration::from_hours(24);

/// What a [`MemoryStore`] held at an instant.
#[derive(Clone)]
pub struct MemoryBackup(State);

/// A store in memory, together with the tables whose rows its commits write.
pub struct MemoryStore {
    tables: Arc<dyn RowTables>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Clone, Default)]
struct State {
    holder: Option<(String, OffsetDateTime)>,
    epoch: i64,
    links: BTreeMap<Uuid, Link>,
    intents: BTreeMap<Uuid, Intent>,
    conflicts: BTreeMap<Uuid, Conflict>,
    audit: Vec<AuditEntry>,
    marks: BTreeMap<String, Marks>,
    pins: BTreeMap<String, Pin>,
    runs: BTreeMap<Uuid, RunRecord>,
    approvals: Vec<Approval>,
}

impl MemoryStore {
    /// An empty store beside those tables.
    pub fn new(tables: Arc<dyn RowTables>, clock: Arc<dyn Clock>) -> Self {
        Self {
            tables,
            clock,
            state: Mutex::default(),
        }
    }

    /// Every link, by id.
    pub fn links(&self) -> Vec<Link> {
        self.lock().links.values().cloned().collect()
    }

    /// Everything as it is now.
    pub fn backup(&self) -> MemoryBackup {
        MemoryBackup(self.lock().clone())
    }

    /// Puts back what a backup holds, as a restore of the database to an earlier instant does.
    pub fn restore(&self, backup: &MemoryBackup) {
        *self.lock() = backup.0.clone();
    }

    /// The whole audit log, oldest first.
    pub fn audit_log(&self) -> Vec<AuditEntry> {
        self.lock().audit.clone()
    }

    /// How many entries the audit log has.
    pub fn audited(&self) -> usize {
        self.lock().audit.len()
    }

    /// The first link that fits, by id.
    pub fn find_link(&self, fits: impl Fn(&Link) -> bool) -> Option<Link> {
        self.lock().links.values().find(|link| fits(link)).cloned()
    }

    /// Every conflict that was ever opened, by id.
    pub fn all_conflicts(&self) -> Vec<Conflict> {
        self.lock().conflicts.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves plain maps behind, which are still consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn found<T>(&self, find: impl FnOnce(&State) -> T + Send) -> BoxFuture<'_, Result<T, StoreError>>
    where
        T: Send + 'static,
    {
        let found = find(&self.lock());
        Box::pin(async move { Ok(found) })
    }
}

impl State {
    fn check(&self, fence: Fence, now: OffsetDateTime) -> Result<(), StoreError> {
        let held = self
            .holder
            .as_ref()
            .is_some_and(|(_, expires_at)| *expires_at > now);
        if held && self.epoch == fence.epoch {
            Ok(())
        } else {
            Err(StoreError::Fenced)
        }
    }

    /// Applies a record; what it replaced goes to `undo`.
    fn apply(&mut self, record: Record, undo: &mut Vec<Undo>) -> Result<(), StoreError> {
        let done = match record {
            Record::Link(link) => {
                let id = link.id;
                Undo::Link(id, self.put_link(*link)?.map(Box::new))
            }
            Record::LinkGone(id) => Undo::Link(id, self.links.remove(&id).map(Box::new)),
            Record::Intent(intent) => Undo::Intent(intent.id, self.intents.insert(intent.id, intent)),
            Record::IntentGone(id) => Undo::Intent(id, self.intents.remove(&id)),
            Record::Conflict(conflict) => {
                let id = conflict.id;
                Undo::Conflict(id, self.conflicts.insert(id, conflict).map(Box::new))
            }
            Record::Audit(entry) => {
                self.audit.push(entry);
                Undo::Audit
            }
            Record::Marks(entity, marks) => {
                let before = self.marks.insert(entity.clone(), marks);
                Undo::Marks(entity, before)
            }
            Record::Acknowledged(entity, notes) => Undo::Acknowledged(entity, notes),
            Record::Run(run) => {
                // A run ends with it, so that the first one after a long rest has seen them all.
                let is_over = |intent: &&Intent| {
                    intent.status != IntentStatus::Pending
                        && run.started_at - intent.settle_after >= KEEP_INTENTS
                };
                let over: Vec<Uuid> = self
                    .intents
                    .values()
                    .filter(is_over)
                    .map(|intent| intent.id)
                    .collect();
                undo.extend(
                    over.into_iter()
                        .map(|id| Undo::Intent(id, self.intents.remove(&id))),
                );
                Undo::Run(run.id, self.runs.insert(run.id, run))
            }
            Record::Pin(pin) => Undo::Pin(pin.name.clone(), self.pins.insert(pin.name.clone(), pin)),
            Record::Approval(approval) => {
                self.approvals.push(approval);
                Undo::Approval
            }
            Record::Forgotten(before) => Undo::Forgotten(before),
        };
        undo.push(done);
        Ok(())
    }

    /// Takes back what a failed commit did, the last thing first.
    fn take_back(&mut self, undo: Vec<Undo>) {
        fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, before: Option<V>) {
            match before {
                Some(before) => map.insert(key, before),
                None => map.remove(&key),
            };
        }
        for done in undo.into_iter().rev() {
            match done {
                Undo::Link(id, before) => put(&mut self.links, id, before.map(|link| *link)),
                Undo::Intent(id, before) => put(&mut self.intents, id, before),
                Undo::Conflict(id, before) => put(&mut self.conflicts, id, before.map(|conflict| *conflict)),
                Undo::Audit => {
                    self.audit.pop();
                }
                Undo::Marks(entity, before) => put(&mut self.marks, entity, before),
                Undo::Run(id, before) => put(&mut self.runs, id, before),
                Undo::Pin(name, before) => put(&mut self.pins, name, before),
                Undo::Approval => {
                    self.approvals.pop();
                }
                Undo::Acknowledged(..) | Undo::Forgotten(_) => {}
            }
        }
    }

    fn forget(&mut self, before: OffsetDateTime, now: OffsetDateTime) {
        self.audit.retain(|entry| entry.at >= before);
        self.runs.retain(|_, run| run.started_at >= before);
        self.conflicts.retain(|_, conflict| {
            is_open(conflict) || conflict.closed_at.unwrap_or(conflict.opened_at) >= before
        });
        self.approvals.retain(|approval| approval.expires_at > now);
    }

    fn put_link(&mut self, mut link: Link) -> Result<Option<Link>, StoreError> {
        let taken = || StoreError::Taken {
            entity: link.entity.clone(),
        };
        let known = self.links.get(&link.id).map_or(0, |known| known.rev);
        if known != link.rev {
            return Err(taken());
        }
        let clash = self.links.values().any(|other| {
            other.id != link.id
                && other.entity == link.entity
                && ((other.key == link.key
                    && other.phase != Phase::Tombstone
                    && link.phase != Phase::Tombstone)
                    || (other.page.is_some() && other.page == link.page))
        });
        if clash {
            return Err(taken());
        }
        link.rev += 1;
        Ok(self.links.insert(link.id, link))
    }
}

/// One change of a commit, with what it replaced.
enum Undo {
    Link(Uuid, Option<Box<Link>>),
    Intent(Uuid, Option<Intent>),
    Conflict(Uuid, Option<Box<Conflict>>),
    Audit,
    Marks(String, Option<Marks>),
    Run(Uuid, Option<RunRecord>),
    Pin(String, Option<Pin>),
    Approval,
    /// Notes of an entity's change log, which go once everything else is stored.
    Acknowledged(String, Vec<i64>),
    /// What is from before an instant, which goes then too.
    Forgotten(OffsetDateTime),
}

impl Store for MemoryStore {
    fn acquire<'a>(
        &'a self,
        holder: &'a str,
        duration: Duration,
    ) -> BoxFuture<'a, Result<Option<LeaseGrant>, StoreError>> {
        Box::pin(async move {
            let now = self.clock.now();
            let mut state = self.lock();
            match &state.holder {
                Some((other, expires_at)) if other != holder && *expires_at > now => return Ok(None),
                Some((same, _)) if same == holder => {}
                _ => state.epoch += 1,
            }
            let expires_at = now + duration;
            state.holder = Some((holder.to_owned(), expires_at));
            Ok(Some(LeaseGrant {
                epoch: state.epoch,
                expires_at,
            }))
        })
    }

    fn renew<'a>(
        &'a self,
        fence: Fence,
        duration: Duration,
    ) -> BoxFuture<'a, Result<LeaseGrant, StoreError>> {
        Box::pin(async move {
            let now = self.clock.now();
            let mut state = self.lock();
            state.check(fence, now)?;
            let expires_at = now + duration;
            if let Some((_, expires)) = &mut state.holder {
                *expires = expires_at;
            }
            Ok(LeaseGrant {
                epoch: state.epoch,
                expires_at,
            })
        })
    }

    fn release<'a>(&'a self, fence: Fence) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let mut state = self.lock();
            if state.epoch == fence.epoch {
                state.holder = None;
            }
            Ok(())
        })
    }

    fn commit<'a>(
        &'a self,
        fence: Fence,
        commit: Commit<'a>,
    ) -> BoxFuture<'a, Result<CommitOutcome, StoreError>> {
        Box::pin(async move {
            let now = self.clock.now();
            let mut state = self.lock();
            state.check(fence, now)?;
            let mut undo = Vec::new();
            for record in commit.records {
                if let Err(error) = state.apply(record, &mut undo) {
                    state.take_back(undo);
                    return Err(error);
                }
            }
            let mut failed = None;
            let outcome = commit.row.map(|(write, settle)| {
                self.tables.write(&write, &mut |row| {
                    let stored = settle(row)
                        .into_iter()
                        .try_for_each(|record| state.apply(record, &mut undo));
                    failed = stored.err();
                    failed.is_none()
                })
            });
            let row = match (failed, outcome) {
                (Some(error), _) => {
                    state.take_back(undo);
                    return Err(error);
                }
                (None, None) => None,
                (None, Some(RowOutcome::Written(row))) => Some(row),
                (None, Some(refused)) => {
                    state.take_back(undo);
                    return Ok(CommitOutcome::RowRefused(refused));
                }
            };
            for done in undo {
                match done {
                    Undo::Acknowledged(entity, notes) => self.tables.acknowledge(&entity, &notes),
                    Undo::Forgotten(before) => state.forget(before, now),
                    _ => {}
                }
            }
            Ok(CommitOutcome::Committed(row))
        })
    }

    fn links_by_key<'a>(
        &'a self,
        entity: &'a str,
        keys: &'a [RecordKey],
    ) -> BoxFuture<'a, Result<Vec<Link>, StoreError>> {
        self.found(move |state| {
            let mut by_key: BTreeMap<&RecordKey, &Link> = BTreeMap::new();
            for link in state
                .links
                .values()
                .filter(|link| link.entity == entity && keys.contains(&link.key))
            {
                let known = by_key.entry(&link.key).or_insert(link);
                let later = known.phase == Phase::Tombstone
                    && (link.phase != Phase::Tombstone || link.incarnation > known.incarnation);
                if later {
                    *known = link;
                }
            }
            by_key.into_values().cloned().collect()
        })
    }

    fn links_by_page<'a>(
        &'a self,
        entity: &'a str,
        pages: &'a [PageId],
    ) -> BoxFuture<'a, Result<Vec<Link>, StoreError>> {
        self.found(move |state| {
            state
                .links
                .values()
                .filter(|link| {
                    link.entity == entity && link.page.as_ref().is_some_and(|id| pages.contains(id))
                })
                .cloned()
                .collect()
        })
    }

    fn links_after<'a>(
        &'a self,
        entity: &'a str,
        after: Option<Uuid>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Link>, StoreError>> {
        self.found(move |state| {
            state
                .links
                .values()
                .filter(|link| link.entity == entity && after.is_none_or(|after| link.id > after))
                .take(limit)
                .cloned()
                .collect()
        })
    }

    fn links_due<'a>(
        &'a self,
        entity: &'a str,
        now: OffsetDateTime,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Link>, StoreError>> {
        self.found(move |state| {
            let mut due: Vec<&Link> = state
                .links
                .values()
                .filter(|link| link.entity == entity && link.look_again_at.is_some_and(|at| at <= now))
                .collect();
            due.sort_by_key(|link| (link.look_again_at, link.id));
            due.into_iter().take(limit).cloned().collect()
        })
    }

    fn links_troubled<'a>(
        &'a self,
        entity: &'a str,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Link>, StoreError>> {
        self.found(move |state| {
            let mut troubled: Vec<&Link> = state
                .links
                .values()
                .filter(|link| link.entity == entity && !link.troubles.is_empty())
                .collect();
            troubled.sort_by_key(|link| &link.key);
            troubled.into_iter().take(limit).cloned().collect()
        })
    }

    fn totals<'a>(&'a self, entity: &'a str) -> BoxFuture<'a, Result<LinkTotals, StoreError>> {
        self.found(move |state| {
            let mut totals = LinkTotals::default();
            for link in state.links.values().filter(|link| link.entity == entity) {
                *totals.by_phase.entry(link.phase).or_insert(0) += 1;
                totals.troubled += u64::from(!link.troubles.is_empty());
                totals.pending += u64::from(link.look_again_at.is_some());
            }
            totals.conflicts = state
                .conflicts
                .values()
                .filter(|conflict| conflict.entity == entity && is_open(conflict))
                .map(|_| 1)
                .sum();
            totals
        })
    }

    fn intents<'a>(&'a self, links: &'a [Uuid]) -> BoxFuture<'a, Result<Vec<Intent>, StoreError>> {
        self.found(move |state| {
            let of_links = state
                .intents
                .values()
                .filter(|intent| links.contains(&intent.link));
            of_links.cloned().collect()
        })
    }

    fn links_with_intents<'a>(&'a self, entity: &'a str) -> BoxFuture<'a, Result<Vec<Link>, StoreError>> {
        self.found(move |state| {
            let pending = |intent: &&Intent| intent.status == IntentStatus::Pending;
            let links: BTreeSet<Uuid> = state
                .intents
                .values()
                .filter(pending)
                .map(|intent| intent.link)
                .collect();
            let links = links.iter().filter_map(|id| state.links.get(id));
            links.filter(|link| link.entity == entity).cloned().collect()
        })
    }

    fn conflicts<'a>(&'a self, links: &'a [Uuid]) -> BoxFuture<'a, Result<Vec<Conflict>, StoreError>> {
        self.found(move |state| {
            state
                .conflicts
                .values()
                .filter(|conflict| links.contains(&conflict.link) && is_open(conflict))
                .cloned()
                .collect()
        })
    }

    fn open_conflicts<'a>(
        &'a self,
        entity: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<Conflict>, StoreError>> {
        self.found(move |state| {
            let mut open: Vec<Conflict> = state
                .conflicts
                .values()
                .filter(|conflict| is_open(conflict) && entity.is_none_or(|name| conflict.entity == name))
                .cloned()
                .collect();
            open.sort_by_key(|conflict| (conflict.opened_at, conflict.id));
            open
        })
    }

    fn conflict<'a>(&'a self, id: Uuid) -> BoxFuture<'a, Result<Option<Conflict>, StoreError>> {
        self.found(move |state| state.conflicts.get(&id).cloned())
    }

    fn choose<'a>(&'a self, id: Uuid, rev: i64, side: Side) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let now = self.clock.now();
            let mut state = self.lock();
            let Some(conflict) = state.conflicts.get_mut(&id) else {
                return Ok(false);
            };
            if conflict.rev != rev || !is_open(conflict) {
                return Ok(false);
            }
            conflict.status = ConflictStatus::Chosen(side);
            let link = conflict.link;
            if let Some(link) = state.links.get_mut(&link) {
                link.look_again_at = Some(now);
                link.rev += 1;
            }
            Ok(true)
        })
    }

    fn marks<'a>(&'a self, entity: &'a str) -> BoxFuture<'a, Result<Marks, StoreError>> {
        self.found(move |state| state.marks.get(entity).cloned().unwrap_or_default())
    }

    fn deleted_since<'a>(
        &'a self,
        entity: &'a str,
        side: Side,
        since: OffsetDateTime,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        self.found(move |state| {
            state
                .audit
                .iter()
                .filter(|entry| {
                    entry.entity == entity
                        && entry.side == side
                        && entry.act == Act::Deleted
                        && entry.link.is_some()
                        && entry.at >= since
                })
                .map(|_| 1)
                .sum()
        })
    }

    fn writes_since<'a>(
        &'a self,
        links: &'a [Uuid],
        since: OffsetDateTime,
    ) -> BoxFuture<'a, Result<BTreeMap<Uuid, u32>, StoreError>> {
        self.found(move |state| {
            let mut writes = BTreeMap::new();
            let mut seen = BTreeSet::new();
            for entry in &state.audit {
                let Some(link) = entry.link.filter(|link| links.contains(link)) else {
                    continue;
                };
                // One write of several fields is one write: its entries share their run and instant.
                if entry.at >= since && entry.act == Act::Updated && seen.insert((link, entry.run, entry.at))
                {
                    *writes.entry(link).or_insert(0) += 1;
                }
            }
            writes
        })
    }

    fn pins(&self) -> BoxFuture<'_, Result<Vec<Pin>, StoreError>> {
        self.found(|state| state.pins.values().cloned().collect())
    }

    fn take_approval<'a>(
        &'a self,
        hash: &'a str,
        now: OffsetDateTime,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let mut state = self.lock();
            let found = state
                .approvals
                .iter()
                .position(|approval| approval.hash == hash && approval.expires_at > now);
            if let Some(index) = found {
                state.approvals.remove(index);
            }
            Ok(found.is_some())
        })
    }

    fn approve<'a>(&'a self, approval: &'a Approval) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let mut state = self.lock();
            state.approvals.retain(|known| known.hash != approval.hash);
            state.approvals.push(approval.clone());
            Ok(())
        })
    }

    fn audit<'a>(&'a self, filter: &'a AuditFilter) -> BoxFuture<'a, Result<Vec<AuditEntry>, StoreError>> {
        self.found(move |state| {
            state
                .audit
                .iter()
                .rev()
                .filter(|entry| {
                    filter
                        .entity
                        .as_ref()
                        .is_none_or(|entity| *entity == entry.entity)
                        && filter
                            .key
                            .as_ref()
                            .is_none_or(|key| Some(key) == entry.key.as_ref())
                        && filter.run.is_none_or(|run| run == entry.run)
                        && filter.entry.is_none_or(|id| id == entry.id)
                })
                .take(filter.limit as usize)
                .cloned()
                .collect()
        })
    }

    fn runs<'a>(&'a self, limit: u32) -> BoxFuture<'a, Result<Vec<RunRecord>, StoreError>> {
        self.found(move |state| {
            let mut runs: Vec<RunRecord> = state.runs.values().cloned().collect();
            runs.sort_by_key(|run| std::cmp::Reverse((run.started_at, run.id)));
            runs.truncate(limit as usize);
            runs
        })
    }
}

fn is_open(conflict: &Conflict) -> bool {
    matches!(conflict.status, ConflictStatus::Open | ConflictStatus::Chosen(_))
}
