//! Postgres as the engine's ports see it: tables with scope, a trigger and a constraint, and the engine's memory beside
//! them; connections that break, also while committing.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use frames_sync::journal::{AuditEntry, Conflict, Intent, IntentStatus, Kept};
use frames_sync::mapping::OnPageTrash;
use frames_sync::ports::{
    Approval, AuditFilter, BoxFuture, Change, Clock, ColumnRejection, Commit, CommitOutcome, Fence,
    LeaseGrant, Link, LinkTotals, Marks, Pin, Record, Retry, Row, RowChange, RowOutcome, RowWrite, Rows,
    RowsError, RunRecord, Store, StoreError,
};
use frames_sync::reconcile::{Bases, Phase, Side};
use frames_sync::simulator::table::{Columns, Table, Tables};
use frames_sync::value::{PageId, RecordKey, Value};
use time::OffsetDateTime;
use uuid::Uuid;

use super::executor::Delay;
use super::mutants::Mutant;
use super::schema::{DONE, KIND};
use super::steps::Step;
use super::tape::{FaultKind, Setting};
use super::world::{
    FIELDS, NEIGHBOUR, NEIGHBOURS, PROJECTS, RELATION, State, TEAMS, World, normal, profile, property,
    tenant, text,
};

/// The pin that says which database the state was made in.
pub(crate) const DATABASE: &str = "postgres_system";

/// The columns that the mapping names.
const MAPPED: [&str; 9] = [
    "id",
    "name",
    "note",
    "size",
    "tag",
    "hint",
    "project_id",
    KIND,
    DONE,
];

/// The columns that the engine is shown of a team, as the product chooses them: mapped ones, and whole rows where it may
/// delete one.
pub(crate) fn answered(setting: &Setting) -> Vec<String> {
    let mut columns = MAPPED.to_vec();
    if setting.on_page_trash == OnPageTrash::HardDelete {
        columns.extend(["org", "secret", "updated_at"]);
    } else if setting.is_stamped() {
        columns.push("updated_at");
    }
    columns.retain(|column| match *column {
        RELATION => setting.relations,
        KIND | DONE => setting.typed,
        _ => true,
    });
    columns.into_iter().map(str::to_owned).collect()
}

/// The tables of a schedule: `org` is the scope, `secret` is not mapped.
pub(crate) fn tables(setting: &Setting, clock: Arc<dyn Clock>) -> Tables {
    let tables = Tables::new();
    let mut columns = vec![
        "id",
        "name",
        "note",
        "size",
        "tag",
        "hint",
        "org",
        "secret",
        "updated_at",
    ];
    if setting.relations {
        columns.push("project_id");
    }
    if setting.typed {
        columns.extend([KIND, DONE]);
    }
    let mut table = Table::new(&["id"])
        .columns(&columns)
        .answers(&answered(setting))
        .scope(|row| row.get("org") == Some(&Value::text("a")));
    let acts = setting.table_acts;
    table = table.trigger(move |row| trigger(row, acts));
    if acts {
        table = table.constraint(refused);
    }
    if setting.is_stamped() {
        table = table.updated_at("updated_at");
    }
    if setting.triggers {
        table = table.logged(clock);
    }
    tables.add(TEAMS, table);
    tables.add(PROJECTS, Table::new(&["id"]));
    tables
}

/// The table behind an entity.
fn table_of(entity: &str) -> &str {
    if entity == NEIGHBOURS { TEAMS } else { entity }
}

/// What the table refuses.
pub(crate) fn refused(row: &Columns) -> Option<ColumnRejection> {
    let bad = |column| row.get(column).is_some_and(|value| text(value).ends_with('#'));
    // Of a CHECK, Postgres names the constraint and no column.
    (bad("name") || bad("note")).then(|| ColumnRejection {
        sqlstate: "23514".to_owned(),
        constraint: Some("no_hash".to_owned()),
        column: None,
    })
}

/// What the table does to every row: takes it into the scope, and cuts off `~`.
pub(crate) fn trigger(row: &mut Columns, acts: bool) {
    if matches!(row.get("org"), None | Some(Value::Null)) {
        row.insert("org".to_owned(), Value::text("a"));
    }
    for column in ["name", "note"] {
        if acts && let Some(value) = row.get_mut(column) {
            *value = Value::text(normal(&text(value)));
        }
    }
}

impl World {
    /// Writes down what an engine did to a row, which held `before`.
    fn note(&self, runner: usize, write: &RowWrite, row: &Row, before: Option<&Columns>) {
        let key = row.key.to_string();
        let mut state = self.lock();
        state.row_writes += 1;
        if state.quarantined[profile(runner)] {
            state
                .violations
                .push("6.10: a row was written before anybody approved the restored database".to_owned());
        }
        let org = before.and_then(|before| before.get("org")).map(text);
        if org.is_some_and(|org| org != tenant(runner)) {
            state
                .violations
                .push(format!("I7: row {key} was written, which is another tenant's"));
        }
        let set = match write {
            RowWrite::Update { set, .. } | RowWrite::Insert { set, .. } => set.as_slice(),
            RowWrite::Delete { entity, .. } => {
                state.removals[1] += u64::from(entity == TEAMS);
                for (column, value) in before
                    .into_iter()
                    .flatten()
                    .filter(|(name, _)| FIELDS.contains(&name.as_str()))
                {
                    state
                        .overwritten
                        .push((normal(&text(value)), format!("{column} of the deleted row {key}")));
                }
                state.rows.withdraw(&key);
                // It is in the log with all that it held, a reference too that had not come to its page.
                state.related.remove(&key);
                let referred = before.and_then(|before| before.get(RELATION)).map(text);
                state.referred.insert(key.clone(), referred.unwrap_or_default());
                &[]
            }
        };
        if matches!(write, RowWrite::Insert { .. }) {
            state.deleted_at.remove(&key);
            // The key that it was given within that scope.
            state.entitle(tenant(runner), &Value::text(key.as_str()));
            if let Some(target) = self.left_out(&state, &key, set) {
                state.violations.push(format!(
                    "6.5: {key} was put back without its reference to {target}, which its page has"
                ));
            }
        }
        for change in set {
            if !MAPPED.contains(&change.column.as_str()) {
                state
                    .violations
                    .push(format!("I9: column `{}` was written", change.column));
            }
            if change.column == "tag" && before.is_some() {
                state
                    .violations
                    .push("I9: a column that only goes to Notion was written".to_owned());
            }
            if change.column == "name" && text(&change.value).is_empty() {
                state.violations.push("I11: a name was emptied".to_owned());
            }
            let held = before.and_then(|before| before.get(&change.column));
            let was_there = held.is_some_and(|held| !held.is_empty());
            if change.column == KIND && change.value.is_empty() && was_there && !state.schema.moved_in_a_cycle
            {
                state
                    .violations
                    .push("I11: an option was emptied that nobody had taken off a page".to_owned());
            }
            if change.column == RELATION && !state.page_related.contains(&key) && state.restored_at.is_none()
            {
                let (before, after) = (held.map(text).unwrap_or_default(), text(&change.value));
                let after: Vec<&str> = after.split(',').collect();
                if before
                    .split(',')
                    .any(|target| !target.is_empty() && !after.contains(&target))
                {
                    state
                        .violations
                        .push(format!("I11: a reference of {key} was taken out by nobody"));
                }
            }
            if change.column == DONE && change.value == Value::Bool(false) && held == Some(&Value::Null) {
                state
                    .violations
                    .push("F2: a box that was NULL was written as false".to_owned());
            }
            let old = held.map(|held| state.named(&change.column, &text(held)));
            let new = state.named(&change.column, &text(&change.value));
            let cell = state.rows.entry(&key, &change.column);
            cell.arrives(self.now(), new.clone());
            cell.held.insert(new.clone());
            if let Some(old) = old
                && old != new
                && cell.writes.last().is_some_and(|last| last.text == old)
            {
                state
                    .overwritten
                    .push((old, format!("{} of row {key}", change.column)));
            }
            state.field_writes += 1;
        }
        drop(state);
        self.trace(
            || {
                let set: Vec<String> = set
                    .iter()
                    .map(|change| format!("{}={}", change.column, text(&change.value)))
                    .collect();
                format!("row {key} is written: {}", set.join(" "))
            },
            4,
        );
    }
}

impl World {
    /// What a row that is put back referred to, and does not now, though its page has that target, seen or not.
    fn left_out(&self, state: &State, key: &str, set: &[RowChange]) -> Option<String> {
        let link_of = |entity: &str, key: &str| {
            let is_it = |link: &Link| link.entity == entity && link.key == RecordKey::single(key);
            self.postgres.find_link(&is_it)
        };
        let page = link_of(TEAMS, key)?.page?;
        // Who set it by hand, or sent it late, may have done so while the target was out of sight.
        if state.page_related.contains(key) || state.ambiguous.contains(&page) || state.restored_at.is_some()
        {
            return None;
        }
        let has = property(&state.pages.get(&page)?.now().page, RELATION);
        let now = set.iter().find(|change| change.column == RELATION);
        let now = now.map(|change| text(&change.value)).unwrap_or_default();
        let mut before = state.referred.get(key)?.split(',');
        let left_out = before.find(|target| {
            let link = link_of(PROJECTS, target).filter(|link| link.phase != Phase::Tombstone);
            let page = link.and_then(|link| link.page);
            page.is_some_and(|page| has.split(',').any(|has| has == page.as_str()))
                && !now.split(',').any(|now| now == *target)
        });
        left_out.map(str::to_owned)
    }
}

/// One runner's connection to Postgres.
pub(crate) struct Session {
    pub(crate) world: Arc<World>,
    pub(crate) runner: usize,
}

fn lost() -> Box<io::Error> {
    Box::new(io::Error::other("the connection is gone"))
}

impl Session {
    fn store(&self) -> &dyn Store {
        let store = self.world.store_of(profile(self.runner));
        store.expect("the other tenant's profile runs only where it is simulated")
    }

    fn tables(&self) -> &dyn Rows {
        match self.world.postgres.next_door() {
            Some(next_door) if self.runner == NEIGHBOUR => next_door.rows(),
            _ => self.world.postgres.rows(),
        }
    }

    /// A planted bug: the row is as if it were in the scope; answers what to put back.
    fn without_scope(
        &self,
        write: Option<&RowWrite>,
        before: Option<&Columns>,
    ) -> Option<(RecordKey, Value)> {
        let (Some(RowWrite::Update { entity, key, .. }), Some(row)) = (write, before) else {
            return None;
        };
        let own = Value::text(tenant(self.runner));
        let org = row.get("org").filter(|org| **org != own)?.clone();
        if !self.world.is(Mutant::NoScope) || table_of(entity) != TEAMS {
            return None;
        }
        self.hand_over(key, own);
        Some((key.clone(), org))
    }

    /// Puts a row into a tenant's scope, for the planted bug alone.
    fn hand_over(&self, key: &RecordKey, org: Value) {
        if let Some(mut row) = self.world.postgres.row(TEAMS, key) {
            row.insert("org".to_owned(), org);
            self.world.postgres.put(TEAMS, row);
        }
    }

    async fn rows(&self, entity: &str) -> Result<(), RowsError> {
        self.world.effect(self.runner, false, None).await;
        Delay::new(&self.world.timeline, self.runner, 2).await;
        if let Some(FaultKind::RowsHidden { by }) = self
            .world
            .fault(|kind| matches!(kind, FaultKind::RowsHidden { .. }))
        {
            self.world.lock().hidden_until = self.world.now() + by;
        }
        if self.world.now() < self.world.lock().hidden_until {
            return Err(RowsError::Hidden {
                entity: entity.to_owned(),
            });
        }
        if self.world.fault(|kind| *kind == FaultKind::RowsFail).is_some() {
            return Err(RowsError::Read {
                entity: entity.to_owned(),
                retry: Retry::WithBackOff,
                source: lost(),
            });
        }
        Ok(())
    }

    /// A scan that ends early: the first half of its rows, and then no more.
    fn cut_short(&self, mut rows: Vec<Row>) -> Vec<Row> {
        if std::mem::take(&mut self.world.lock().runners[self.runner].scan_is_over) {
            return Vec::new();
        }
        if rows.len() > 1 && self.world.fault(|kind| *kind == FaultKind::ScanCut).is_some() {
            rows.truncate(rows.len() / 2);
            self.world.lock().runners[self.runner].scan_is_over = true;
        }
        rows
    }

    /// Reads of the engine's memory fail as any statement may.
    fn remembering(&self) -> Result<(), StoreError> {
        match self.world.fault(|kind| *kind == FaultKind::StoreFails) {
            Some(_) => Err(StoreError::Failed {
                doing: "read the sync state",
                retry: Retry::WithBackOff,
                source: lost(),
            }),
            None => Ok(()),
        }
    }

    /// The engine's memory, with one rule of it taken out.
    fn forgetful(&self, mut links: Vec<Link>) -> Vec<Link> {
        let Some(mutant) = self.world.mutant else {
            return links;
        };
        for link in &mut links {
            match mutant {
                Mutant::NoOlderThanMark => {
                    (link.page_mark, link.page_edited_at) = (None, None);
                    link.fields.values_mut().for_each(|field| field.past.clear());
                }
                Mutant::OldestIsOwner => {
                    let state = self.world.lock();
                    let label = link.key.to_string();
                    let oldest = state.pages.iter().find(|(_, page)| {
                        page.entity == link.entity
                            && !page.now().page.in_trash
                            && super::world::property(&page.now().page, "postgres_id") == label
                    });
                    if let (Some((id, _)), true) = (oldest, link.page.is_some()) {
                        link.page = Some(id.clone());
                    }
                }
                _ => {}
            }
            for state in link.fields.values_mut() {
                match mutant {
                    Mutant::NoPastValues => state.past.clear(),
                    Mutant::NoForcePush => state.force_push = false,
                    Mutant::OneBaseline => {
                        if let Some(bases) = &mut state.bases
                            && !matches!(bases.page, Value::Pages(_) | Value::Number(_) | Value::Null)
                        {
                            bases.row = Value::text(text(&bases.page));
                        }
                    }
                    _ => {}
                }
            }
        }
        links
    }

    fn mutated<'a>(&self, mut commit: Commit<'a>) -> Commit<'a> {
        match self.world.mutant {
            Some(Mutant::NoCompare) => {
                if let Some((RowWrite::Update { expect, .. } | RowWrite::Delete { expect, .. }, _)) =
                    &mut commit.row
                {
                    expect.clear();
                }
            }
            Some(Mutant::NoJournal) => commit
                .records
                .retain(|record| !matches!(record, Record::Intent(_))),
            Some(Mutant::BaselineBeforeAnswer) => {
                let sent: Vec<Intent> = commit
                    .records
                    .iter()
                    .filter_map(|record| match record {
                        Record::Intent(intent) if intent.status == IntentStatus::Pending => {
                            Some(intent.clone())
                        }
                        _ => None,
                    })
                    .collect();
                for record in &mut commit.records {
                    let Record::Link(link) = record else { continue };
                    for intent in sent.iter().filter(|intent| intent.link == link.id) {
                        for field in &intent.fields {
                            if let Some(row) = &field.from_row {
                                link.fields.entry(field.property.clone()).or_default().bases = Some(Bases {
                                    row: row.clone(),
                                    page: field.sent.clone(),
                                });
                            }
                        }
                    }
                }
            }
            _ => {}
        }
        commit
    }

    /// I7: what comes into a profile's audit log has been within its scope by then.
    fn check_log(&self, records: &[Record]) {
        let mut state = self.world.lock();
        let is_foreign = |value: &Value| state.is_foreign(tenant(self.runner), &text(value));
        let kept = records.iter().filter_map(|record| match record {
            Record::Audit(entry) => Some([&entry.old, &entry.new]),
            _ => None,
        });
        let leaks = kept.flatten().flatten().any(|kept| match kept {
            Kept::Value(value) => is_foreign(value),
            Kept::Record(values) => values.values().any(is_foreign),
            Kept::Erased { .. } => false,
        });
        if leaks {
            state
                .violations
                .push("I7: an audit log keeps another tenant's value".to_owned());
        }
    }

    /// I7, I10 and I14: what is logged is the profile's own; a row is written together with its link and an audit entry.
    fn watch<'a>(&'a self, commit: Commit<'a>) -> Commit<'a> {
        let Commit { row, records } = commit;
        self.check_log(&records);
        let given_up = |record: &Record| matches!(record, Record::Intent(intent) if intent.status == IntentStatus::Abandoned);
        if records.iter().any(given_up) {
            // A process that was asleep or fenced out had its answer, and nobody wrote it down.
            let pages = records.iter().filter_map(|record| match record {
                Record::Link(link) => link.page.clone(),
                _ => None,
            });
            self.world.lock().ambiguous.extend(pages);
        }
        let row = row.map(|(write, settle)| {
            let watched: frames_sync::ports::Settle<'a> = Box::new(move |row: &Row| {
                let records = settle(row);
                self.check_log(&records);
                let links = records.iter().any(|record| matches!(record, Record::Link(_)));
                let audits = records.iter().any(|record| matches!(record, Record::Audit(_)));
                if !links || !audits {
                    self.world
                        .lock()
                        .violations
                        .push("I10: a row was written without its link or its audit entry".to_owned());
                }
                records
            });
            (write, watched)
        });
        Commit { row, records }
    }

    async fn committed<'a>(&'a self, fence: Fence, commit: Commit<'a>) -> Result<CommitOutcome, StoreError> {
        let world = &self.world;
        let step = Step::of_commit(&commit);
        world.effect(self.runner, false, step).await;
        Delay::new(&world.timeline, self.runner, 3).await;
        if let Some(fault) = world.fault(|kind| *kind == FaultKind::CommitFails) {
            if let Some(step) = step {
                world.struck(step, fault);
            }
            return Err(StoreError::Failed {
                doing: "commit",
                retry: Retry::WithBackOff,
                source: lost(),
            });
        }
        if let Some(FaultKind::CommitsFail { by }) =
            world.fault(|kind| matches!(kind, FaultKind::CommitsFail { .. }))
        {
            world.lock().commits_fail_until = world.now() + by;
        }
        if world.now() < world.lock().commits_fail_until {
            return Err(StoreError::Failed {
                doing: "commit",
                retry: Retry::WithBackOff,
                source: lost(),
            });
        }
        let unknown = world.fault(|kind| matches!(kind, FaultKind::CommitUnknown { .. }));
        if let (Some(step), Some(fault)) = (step, unknown) {
            world.struck(step, fault);
        }
        if unknown == Some(FaultKind::CommitUnknown { applied: false }) {
            return Err(StoreError::Unknown { source: lost() });
        }
        let lapsed = match world.is(Mutant::NoFence) {
            // Nobody holds the lease any more: the memory would refuse that by itself.
            true => self.store().acquire("nobody", Duration::from_secs(1)).await?,
            false => None,
        };
        let fence = match &lapsed {
            Some(lapsed) => Fence { epoch: lapsed.epoch },
            // Whatever the epoch is now: the fence is not looked at.
            None if world.is(Mutant::NoFence) => Fence {
                epoch: world.lock().epochs[profile(self.runner)],
            },
            None => fence,
        };
        let records = commit.records.len() as u64;
        let write = commit.row.as_ref().map(|(write, _)| write.clone());
        let before = match &write {
            Some(RowWrite::Update { entity, key, .. } | RowWrite::Delete { entity, key, .. }) => {
                world.postgres.row(table_of(entity), key)
            }
            _ => None,
        };
        let pins = commit
            .records
            .iter()
            .any(|record| matches!(record, Record::Pin(pin) if pin.name == DATABASE));
        let linked: Vec<(String, String)> = commit
            .records
            .iter()
            .filter_map(|record| match record {
                Record::Link(link) if link.page.is_some() => {
                    Some((link.entity.clone(), link.key.to_string()))
                }
                _ => None,
            })
            .collect();
        let unscoped = self.without_scope(write.as_ref(), before.as_ref());
        let outcome = self.store().commit(fence, self.watch(self.mutated(commit))).await;
        if lapsed.is_some() {
            self.store().release(fence).await?;
        }
        if let Some((key, org)) = unscoped {
            self.hand_over(&key, org);
        }
        if let (Some(write), Ok(CommitOutcome::Committed(Some(row)))) = (&write, &outcome) {
            world.note(self.runner, write, row, before.as_ref());
        }
        if outcome.is_ok() {
            let mut state = world.lock();
            // Its page is known, whoever made it.
            linked.iter().for_each(|record| {
                state.creating.remove(record);
            });
            if pins {
                state.quarantined[profile(self.runner)] = false;
            }
            if state.runners[self.runner].epoch != state.epochs[profile(self.runner)] {
                state
                    .violations
                    .push("I15: a runner committed after another one had taken its lease".to_owned());
            }
        }
        world.trace(
            || {
                format!(
                    "runner {} commits {records} records: {}",
                    self.runner,
                    outcome.is_ok()
                )
            },
            5 + records * 16,
        );
        match &outcome {
            Ok(CommitOutcome::RowRefused(RowOutcome::Rejected(_))) => {
                world.lock().met("5.2  pull: refused by the table");
            }
            Ok(CommitOutcome::RowRefused(RowOutcome::Moved)) => {
                world.lock().met("5.2  pull: the row had moved");
            }
            Err(StoreError::Fenced) => world.lock().met("fenced"),
            _ => {}
        }
        world.effect(self.runner, true, step).await;
        if unknown.is_some() && outcome.is_ok() {
            return Err(StoreError::Unknown { source: lost() });
        }
        outcome
    }
}

impl Rows for Session {
    fn scan<'a>(
        &'a self,
        entity: &'a str,
        after: Option<&'a RecordKey>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Row>, RowsError>> {
        Box::pin(async move {
            self.rows(entity).await?;
            Ok(self.cut_short(self.tables().scan(entity, after, limit).await?))
        })
    }

    fn read<'a>(
        &'a self,
        entity: &'a str,
        keys: &'a [RecordKey],
    ) -> BoxFuture<'a, Result<Vec<Row>, RowsError>> {
        Box::pin(async move {
            self.rows(entity).await?;
            self.tables().read(entity, keys).await
        })
    }

    fn changes<'a>(&'a self, entity: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Change>, RowsError>> {
        Box::pin(async move {
            self.rows(entity).await?;
            self.world.postgres.rows().changes(entity, limit).await
        })
    }

    fn updated_since<'a>(
        &'a self,
        entity: &'a str,
        since: OffsetDateTime,
        after: Option<&'a RecordKey>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Row>, RowsError>> {
        Box::pin(async move {
            self.rows(entity).await?;
            let rows = self.world.postgres.rows();
            rows.updated_since(entity, since, after, limit).await
        })
    }
}

impl Store for Session {
    fn acquire<'a>(
        &'a self,
        holder: &'a str,
        duration: Duration,
    ) -> BoxFuture<'a, Result<Option<LeaseGrant>, StoreError>> {
        Box::pin(async move {
            self.world.effect(self.runner, false, None).await;
            Delay::new(&self.world.timeline, self.runner, 2).await;
            let granted = self.store().acquire(holder, duration).await?;
            if let Some(granted) = &granted {
                let mut state = self.world.lock();
                state.epochs[profile(self.runner)] = granted.epoch;
                let me = &mut state.runners[self.runner];
                (me.epoch, me.began) = (granted.epoch, self.world.now());
                me.scan_is_over = false;
            }
            Ok(granted)
        })
    }

    fn renew<'a>(
        &'a self,
        fence: Fence,
        duration: Duration,
    ) -> BoxFuture<'a, Result<LeaseGrant, StoreError>> {
        self.store().renew(fence, duration)
    }

    fn release<'a>(&'a self, fence: Fence) -> BoxFuture<'a, Result<(), StoreError>> {
        self.store().release(fence)
    }

    fn commit<'a>(
        &'a self,
        fence: Fence,
        commit: Commit<'a>,
    ) -> BoxFuture<'a, Result<CommitOutcome, StoreError>> {
        Box::pin(self.committed(fence, commit))
    }

    fn links_by_key<'a>(
        &'a self,
        entity: &'a str,
        keys: &'a [RecordKey],
    ) -> BoxFuture<'a, Result<Vec<Link>, StoreError>> {
        Box::pin(async move {
            self.remembering()?;
            Ok(self.forgetful(self.store().links_by_key(entity, keys).await?))
        })
    }

    fn links_by_page<'a>(
        &'a self,
        entity: &'a str,
        pages: &'a [PageId],
    ) -> BoxFuture<'a, Result<Vec<Link>, StoreError>> {
        Box::pin(async move {
            self.remembering()?;
            Ok(self.forgetful(self.store().links_by_page(entity, pages).await?))
        })
    }

    fn links_after<'a>(
        &'a self,
        entity: &'a str,
        after: Option<Uuid>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Link>, StoreError>> {
        Box::pin(async move {
            self.remembering()?;
            Ok(self.forgetful(self.store().links_after(entity, after, limit).await?))
        })
    }

    fn links_due<'a>(
        &'a self,
        entity: &'a str,
        now: OffsetDateTime,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Link>, StoreError>> {
        Box::pin(async move {
            self.remembering()?;
            Ok(self.forgetful(self.store().links_due(entity, now, limit).await?))
        })
    }

    fn links_troubled<'a>(
        &'a self,
        entity: &'a str,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Link>, StoreError>> {
        self.store().links_troubled(entity, limit)
    }

    fn totals<'a>(&'a self, entity: &'a str) -> BoxFuture<'a, Result<LinkTotals, StoreError>> {
        self.store().totals(entity)
    }

    fn intents<'a>(&'a self, links: &'a [Uuid]) -> BoxFuture<'a, Result<Vec<Intent>, StoreError>> {
        Box::pin(async move {
            self.remembering()?;
            let mut intents = self.store().intents(links).await?;
            if self.world.is(Mutant::NoOwnLateWrite) {
                intents.retain(|intent| intent.status == IntentStatus::Pending);
            }
            if self.world.is(Mutant::NoSettling) {
                intents.clear();
            }
            Ok(intents)
        })
    }

    fn links_with_intents<'a>(&'a self, entity: &'a str) -> BoxFuture<'a, Result<Vec<Link>, StoreError>> {
        Box::pin(async move {
            if self.world.is(Mutant::NoSettling) {
                return Ok(Vec::new());
            }
            Ok(self.forgetful(self.store().links_with_intents(entity).await?))
        })
    }

    fn conflicts<'a>(&'a self, links: &'a [Uuid]) -> BoxFuture<'a, Result<Vec<Conflict>, StoreError>> {
        self.store().conflicts(links)
    }

    fn open_conflicts<'a>(
        &'a self,
        entity: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<Conflict>, StoreError>> {
        self.store().open_conflicts(entity)
    }

    fn conflict<'a>(&'a self, id: Uuid) -> BoxFuture<'a, Result<Option<Conflict>, StoreError>> {
        self.store().conflict(id)
    }

    fn choose<'a>(&'a self, id: Uuid, rev: i64, side: Side) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.store().choose(id, rev, side)
    }

    fn marks<'a>(&'a self, entity: &'a str) -> BoxFuture<'a, Result<Marks, StoreError>> {
        self.store().marks(entity)
    }

    fn deleted_since<'a>(
        &'a self,
        entity: &'a str,
        side: Side,
        since: OffsetDateTime,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            if self.world.is(Mutant::CapForgetsToday) {
                return Ok(0);
            }
            self.store().deleted_since(entity, side, since).await
        })
    }

    fn writes_since<'a>(
        &'a self,
        links: &'a [Uuid],
        since: OffsetDateTime,
    ) -> BoxFuture<'a, Result<BTreeMap<Uuid, u32>, StoreError>> {
        self.store().writes_since(links, since)
    }

    fn identity(&self) -> BoxFuture<'_, Result<Option<String>, StoreError>> {
        let timeline = match self.world.is(Mutant::NoQuarantine) {
            true => 0,
            false => self.world.lock().timeline,
        };
        Box::pin(async move { Ok(Some(format!("system, timeline {timeline}"))) })
    }

    fn pins(&self) -> BoxFuture<'_, Result<Vec<Pin>, StoreError>> {
        self.store().pins()
    }

    fn take_approval<'a>(
        &'a self,
        hash: &'a str,
        now: OffsetDateTime,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.store().take_approval(hash, now)
    }

    fn approve<'a>(&'a self, approval: &'a Approval) -> BoxFuture<'a, Result<(), StoreError>> {
        self.store().approve(approval)
    }

    fn audit<'a>(&'a self, filter: &'a AuditFilter) -> BoxFuture<'a, Result<Vec<AuditEntry>, StoreError>> {
        self.store().audit(filter)
    }

    fn runs<'a>(&'a self, limit: u32) -> BoxFuture<'a, Result<Vec<RunRecord>, StoreError>> {
        self.store().runs(limit)
    }
}

/// The columns of a row, as the application first writes them.
pub(crate) fn columns(id: &str, values: &[(&str, Value)], relations: bool, updated_at: Value) -> Columns {
    let mut columns = Columns::from([
        ("id".to_owned(), Value::text(id)),
        ("org".to_owned(), Value::text("a")),
        ("secret".to_owned(), Value::text("not mapped")),
        ("name".to_owned(), Value::text("")),
        ("note".to_owned(), Value::text("")),
        ("size".to_owned(), Value::Null),
        ("tag".to_owned(), Value::text("")),
        ("hint".to_owned(), Value::text("")),
        ("updated_at".to_owned(), updated_at),
    ]);
    if relations {
        columns.insert(RELATION.to_owned(), Value::Null);
    }
    for (name, value) in values {
        columns.insert((*name).to_owned(), value.clone());
    }
    columns
}
