//! What both sides hold, what was done to them by whom, and what goes wrong when.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use frames_sync::journal::{AuditEntry, Conflict};
use frames_sync::mapping::ConflictPolicy;
use frames_sync::ports::{Link, Page, PageParent, PropertyRead, Store};
use frames_sync::value::{PageId, PropertyId, RecordKey, UserId, Value, plain_text};
use time::OffsetDateTime;

use super::executor::{Event, Timeline};
use super::mutants::Mutant;
use super::postgres::Postgres;
use super::schema::{KIND, Schema};
use super::steps::Step;
use super::tape::{FaultKind, Millis, Tape, scatter};

/// The entity that people work on.
pub(crate) const TEAMS: &str = "teams";
/// The same table, as another tenant's profile knows it.
pub(crate) const NEIGHBOURS: &str = "neighbours";
/// The runner of that profile.
pub(crate) const NEIGHBOUR: usize = 2;
/// The entity that it refers to.
pub(crate) const PROJECTS: &str = "projects";
/// The fields of a team, in the order that tapes number them; relation last.
pub(crate) const FIELDS: [&str; 5] = ["name", "note", "size", "tag", "hint"];
/// The relation of a team to a project.
pub(crate) const RELATION: &str = "project_id";
/// Our own user in Notion.
pub(crate) const BOT: &str = "bot";
const PERSON: &str = "person";

/// One write by a person or the application.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) at: Millis,
    pub(crate) text: String,
    /// How many values of the engine had arrived in this cell when it was made.
    pub(crate) arrived: usize,
    /// Whether the text was there already, and only its formatting was changed: no row ever shows that.
    pub(crate) formats: bool,
    /// Whether the formatting had been changed before: then it may be what both sides agreed on, and nothing was edited.
    pub(crate) puts_back: bool,
    /// Of a row's: whether anything had been agreed on of the field when it was made; and whether the engine had taken in all
    /// that the page held, its formatting too.
    pub(crate) agreed: bool,
    pub(crate) in_step: bool,
    /// Whether a write of ours overwrote it that could not have seen it: the declared window.
    pub(crate) raced: bool,
    /// Whether the row or page that held it was removed: by its own side, or by a policy, which keeps it in the log (I18).
    pub(crate) withdrawn: bool,
}

/// The truth about one cell: a column of a row, or a property of a page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    pub(crate) writes: Vec<Write>,
    /// What the engine wrote, in order, and when.
    pub(crate) arrived: Vec<String>,
    arrived_at: Vec<Millis>,
    /// What the engine sent and was lost, of which it knows no more than that it may arrive.
    pub(crate) lost: BTreeSet<String>,
    /// Everything it ever held.
    pub(crate) held: BTreeSet<String>,
}

/// The cells of one side: by row or page, then by field; few of each.
#[derive(Clone, Default)]
pub(crate) struct Cells(Vec<(String, Vec<(String, Cell)>)>);

impl Cells {
    pub(crate) fn get(&self, of: &str, field: &str) -> Option<&Cell> {
        let (_, cells) = self.0.iter().find(|(name, _)| name == of)?;
        cells.iter().find(|(name, _)| name == field).map(|(_, cell)| cell)
    }

    /// The cell, made where it is not there yet.
    pub(crate) fn entry(&mut self, of: &str, field: &str) -> &mut Cell {
        named(named(&mut self.0, of), field)
    }

    /// What is known of a row is known under its new key too.
    pub(crate) fn rename(&mut self, old: &str, new: &str) {
        let known = self.0.iter().find(|(name, _)| name == old);
        if let Some((_, cells)) = known.cloned() {
            self.0.push((new.to_owned(), cells));
        }
    }

    /// Whether somebody wrote that value to the field elsewhere.
    pub(crate) fn wrote_elsewhere(&self, of: &str, field: &str, text: &str) -> bool {
        let others = self.0.iter().filter(|(name, _)| name != of);
        let mut cells = others
            .flat_map(|(_, cells)| cells)
            .filter(|(name, _)| name == field);
        cells.any(|(_, cell)| cell.writes.iter().any(|write| write.text == text))
    }

    /// The row or page is gone, with all that people had written there.
    pub(crate) fn withdraw(&mut self, of: &str) {
        let all = self.0.iter_mut().filter(|(name, _)| name == of);
        let cells = all.flat_map(|(_, cells)| cells);
        for write in cells.flat_map(|(_, cell)| &mut cell.writes) {
            write.withdrawn = true;
        }
    }
}

fn named<'a, T: Default>(all: &'a mut Vec<(String, T)>, name: &str) -> &'a mut T {
    let known = all.iter().position(|(known, _)| known == name);
    let at = known.unwrap_or_else(|| {
        all.push((name.to_owned(), T::default()));
        all.len() - 1
    });
    &mut all[at].1
}

impl Cell {
    fn hold(&mut self, text: String) {
        // Mostly it is what it held before.
        if !self.held.contains(&text) {
            self.held.insert(text);
        }
    }

    /// Whether the engine had put what `other` wrote on the other side here before that write was made.
    pub(crate) fn had_seen(&self, write: &Write, other: &Write) -> bool {
        if other.formats {
            return other.at < write.at && write.in_step;
        }
        let arrivals = self.arrived.iter().zip(&self.arrived_at);
        // References are few, and the same is written again: what arrived before was another edit's.
        arrivals
            .take(write.arrived)
            .any(|(arrived, at)| *arrived == other.text && *at >= other.at)
    }

    /// Whether the cell had held that text before, or was sent it: then nobody can tell which of the two was seen.
    pub(crate) fn puts_back(&self, write: &Write) -> bool {
        let writes = self.writes.iter().map(|write| &write.text);
        writes
            .chain(&self.arrived)
            .chain(&self.lost)
            .filter(|text| **text == write.text)
            .count()
            > 1
    }

    /// The engine writes that.
    pub(crate) fn arrives(&mut self, now: Millis, text: String) {
        self.arrived.push(text);
        self.arrived_at.push(now);
    }

    /// Whether people wrote the value of `other` here themselves: then nobody can tell which they knew of.
    pub(crate) fn wrote(&self, other: &Write) -> bool {
        !other.formats && self.writes.iter().any(|own| own.text == other.text)
    }
}

/// A state of a page, from an instant on.
#[derive(Clone)]
pub(crate) struct Version {
    pub(crate) at: Millis,
    /// When queries show it.
    pub(crate) listed_at: Millis,
    pub(crate) page: Page,
    pub(crate) hidden: bool,
    /// Deleted for good: hidden, and never to come back.
    pub(crate) purged: bool,
}

pub(crate) struct SimPage {
    pub(crate) entity: String,
    pub(crate) versions: Vec<Version>,
}

impl SimPage {
    pub(crate) fn now(&self) -> &Version {
        // A page is made with its first version.
        &self.versions[self.versions.len() - 1]
    }

    pub(crate) fn at(&self, at: Millis) -> Option<&Version> {
        self.versions.iter().rev().find(|version| version.at <= at)
    }

    pub(crate) fn listed(&self, now: Millis) -> Option<&Version> {
        self.versions
            .iter()
            .rev()
            .find(|version| version.listed_at <= now)
    }
}

/// A request that was given up on and is still under way.
pub(crate) struct LateWrite {
    pub(crate) entity: String,
    pub(crate) page: Option<PageId>,
    pub(crate) write: frames_sync::ports::PageWrite,
    pub(crate) snapshot: Millis,
    pub(crate) sent: Millis,
}

/// A runner's process.
#[derive(Default)]
pub(crate) struct RunnerState {
    pub(crate) killed: bool,
    pub(crate) paused_until: Millis,
    /// Effects until the kill, and whether it comes after the effect.
    pub(crate) kill: Option<(u8, bool)>,
    /// The instant that the last direct read of each page shows.
    pub(crate) read_at: BTreeMap<PageId, Millis>,
    pub(crate) effects: u64,
    /// Of the lease that it was granted last, and when that was: its cycle began then.
    pub(crate) epoch: i64,
    pub(crate) began: Millis,
    /// When it read the mapping that it works with.
    pub(crate) mapped_at: Millis,
    /// A scan of rows that ended early goes on no further.
    pub(crate) scan_is_over: bool,
}

/// How long a create without an answer is waited for.
///
/// Source: sync semantics, section 5.
const CREATE_IS_AWAITED: time::Duration = time::Duration::minutes(8);

/// The database at an earlier instant, and what was known of it then.
#[derive(Clone)]
pub(crate) struct Backup {
    pub(crate) at: Millis,
    pub(crate) database: super::postgres::Backup,
    pub(crate) rows: Cells,
    pub(crate) overwritten: usize,
    pub(crate) renamed: BTreeMap<u8, String>,
}

/// The tenant whose scope a runner works in, and whose rows have that in `org`.
pub(crate) fn tenant(runner: usize) -> &'static str {
    if runner == NEIGHBOUR { "b" } else { "a" }
}

/// The profile of a runner: ours, or the neighbour's.
pub(crate) fn profile(runner: usize) -> usize {
    usize::from(runner == NEIGHBOUR)
}

/// Everything that changes in a schedule, but for rows and the engine's memory.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) pages: BTreeMap<PageId, SimPage>,
    pub(crate) late: Vec<Option<LateWrite>>,
    /// How many faults have come, and which of them have struck nothing yet.
    pub(crate) faults_come: usize,
    pub(crate) faults_open: Vec<usize>,
    pub(crate) runners: [RunnerState; 3],
    /// The columns of rows, by key.
    pub(crate) rows: Cells,
    /// The properties of pages, by id.
    pub(crate) cells: Cells,
    /// Records whose existence somebody touched.
    pub(crate) touched: BTreeSet<String>,
    /// Pages with a write whose outcome was unknown for a time.
    pub(crate) ambiguous: BTreeSet<PageId>,
    /// User values that the engine overwrote or removed, knowing them: each must be found in the audit log.
    pub(crate) overwritten: Vec<(String, String)>,
    pub(crate) violations: Vec<String>,
    pub(crate) coverage: BTreeMap<String, u64>,
    pub(crate) requests: u64,
    pub(crate) notion_writes: u64,
    /// Those that a person would miss: fields, new pages, trash.
    pub(crate) data_writes: u64,
    pub(crate) row_writes: u64,
    pub(crate) field_writes: u64,
    pub(crate) user_edits: u64,
    /// Pages trashed and rows deleted by the engine.
    pub(crate) removals: [u64; 2],
    /// Whether a person put a relation's target in the trash: nothing may take that for an edit of the relation.
    pub(crate) target_trashed: bool,
    /// Rows that were given a reference; nobody ever takes one away, but with the row.
    pub(crate) related: BTreeSet<String>,
    /// What rows that are gone referred to.
    pub(crate) referred: BTreeMap<String, String>,
    /// Records whose relation a person set: a target that vanishes from it may have been taken out by hand.
    pub(crate) page_related: BTreeSet<String>,
    /// When the application deleted each row.
    pub(crate) deleted_at: BTreeMap<String, Millis>,
    /// Records that a person decided something about; and of their fields, when which value was chosen.
    pub(crate) chosen: BTreeSet<String>,
    pub(crate) values_chosen: BTreeMap<(String, String), (Millis, String)>,
    /// The present keys of rows that were given others, by the record's number; and by each former key.
    pub(crate) renamed: BTreeMap<u8, String>,
    pub(crate) followed: BTreeMap<String, String>,
    /// The mapping as it is now, where it was changed.
    pub(crate) policy: Option<ConflictPolicy>,
    pub(crate) field_added: Option<Millis>,
    /// Rows that were out of our scope for a time: what was typed on their pages meanwhile is in the log.
    pub(crate) left: BTreeSet<String>,
    /// How often it was made to choose the same rows in other words.
    pub(crate) rescoped: u64,
    /// Creates whose outcome nobody knows yet, by entity and label: when each was sent, on the database's clock.
    pub(crate) creating: BTreeMap<(String, String), OffsetDateTime>,
    /// Until when no commit comes through.
    pub(crate) commits_fail_until: Millis,
    /// Until when nothing in Notion can be seen, and rows are hidden.
    pub(crate) lost_until: Millis,
    pub(crate) hidden_until: Millis,
    pub(crate) quiet: bool,
    pub(crate) serial: u64,
    /// Of the lease that was granted last, in each profile.
    pub(crate) epochs: [i64; 2],
    /// Which tenants may see each value: those in whose scope it was written, or its row came.
    pub(crate) entitled: BTreeMap<String, BTreeSet<String>>,
    pub(crate) backup: Option<Backup>,
    /// What people made of the data source's schema.
    pub(crate) schema: Schema,
    /// When the database was last put back to an earlier instant, and how often that was told.
    pub(crate) restored_at: Option<Millis>,
    /// Between the backup and that: of what was sent then, intent and audit entry are gone with the rest.
    pub(crate) forgotten: Range<Millis>,
    pub(crate) timeline: u64,
    /// What requests brought to a page, by field, that were sent then and arrived later.
    pub(crate) brought: BTreeSet<(PageId, String, String)>,
    /// When a listing last came to show one page more or less: the parts of one that is under way shift.
    pub(crate) shifted_at: Option<Millis>,
    /// Profiles whose database is not the one that was pinned, until a person approves.
    pub(crate) quarantined: [bool; 2],
    pub(crate) trace: u64,
    pub(crate) log: Option<Vec<String>>,
    pub(crate) longest_window: Millis,
}

/// What ports, people and checks share.
pub(crate) struct World {
    pub(crate) tape: Tape,
    pub(crate) mutant: Option<Mutant>,
    pub(crate) timeline: Arc<Timeline>,
    pub(crate) postgres: Arc<dyn Postgres>,
    state: Mutex<State>,
}

/// A value as both sides would write it down.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Text(text) | Value::Opaque(text) => text.clone(),
        Value::RichText(runs) => plain_text(runs),
        Value::Number(number) => number.as_str().to_owned(),
        Value::Choice(choice) => choice.name.clone(),
        Value::Pages(pages) => pages.iter().map(PageId::as_str).collect::<Vec<_>>().join(","),
        Value::List(values) => values.iter().map(self::text).collect::<Vec<_>>().join(","),
        other => other.to_json().to_string(),
    }
}

/// What the table makes of it.
pub(crate) fn normal(text: &str) -> String {
    text.trim_end_matches('~').to_owned()
}

/// Whether a person ticked the box that leaves the record alone.
pub(crate) fn is_paused(page: &Page) -> bool {
    page.whole(&PropertyId::from("paused")) == Some(&Value::Bool(true))
}

/// The text of a page's property.
pub(crate) fn property(page: &Page, name: &str) -> String {
    page.whole(&PropertyId::from(name)).map(text).unwrap_or_default()
}

impl State {
    /// Counts something that was met.
    pub(crate) fn met(&mut self, what: &str) {
        match self.coverage.get_mut(what) {
            Some(count) => *count += 1,
            None => {
                self.coverage.insert(what.to_owned(), 1);
            }
        }
    }

    /// A field's text as both sides would write it down: a relation by the keys of what it leads to.
    pub(crate) fn named(&self, field: &str, text: &str) -> String {
        if field != RELATION {
            return normal(text);
        }
        let targets = text.split(',').filter(|target| !target.is_empty());
        let mut keys: Vec<String> = targets
            .map(|target| {
                let page = self.pages.get(&PageId::from(target));
                page.map_or_else(
                    || target.to_owned(),
                    |page| property(&page.now().page, "postgres_id"),
                )
            })
            .collect();
        keys.sort();
        keys.join(",")
    }

    /// Notes what a page holds now.
    fn hold(&mut self, id: &PageId, page: &Page) {
        for field in FIELDS.into_iter().chain([RELATION]) {
            let held = self.named(field, &property(page, field));
            self.cells.entry(id.as_str(), field).hold(held);
        }
    }

    /// A tenant may see that value.
    pub(crate) fn entitle(&mut self, tenant: &str, value: &Value) {
        if !value.is_empty() {
            let who = self.entitled.entry(normal(&text(value))).or_default();
            who.insert(tenant.to_owned());
        }
    }

    /// Whether a value belongs to somebody else alone.
    pub(crate) fn is_foreign(&self, tenant: &str, value: &str) -> bool {
        self.entitled
            .get(&normal(value))
            .is_some_and(|who| !who.contains(tenant))
    }

    /// A write of ours to a page never arrives.
    pub(crate) fn lose(&mut self, page: Option<&PageId>, write: &frames_sync::ports::PageWrite) {
        for (property, value) in &write.properties {
            let field = property.as_str();
            if let Some(page) = page
                && (field == RELATION || FIELDS.contains(&field))
            {
                let sent = self.named(field, &text(value));
                self.cells.entry(page.as_str(), field).lost.insert(sent);
            }
        }
    }

    /// Creates that were waited for long enough by then, which is asked before each step of the clock that tells.
    pub(crate) fn wait_for_creates(&mut self, now: OffsetDateTime) {
        self.creating.retain(|_, sent| now - *sent < CREATE_IS_AWAITED);
    }

    /// The key that a row goes by now.
    pub(crate) fn present_key(&self, key: &str) -> String {
        let mut key = key;
        while let Some(next) = self.followed.get(key) {
            key = next;
        }
        key.to_owned()
    }

    /// A page as answers show it: relations without the targets that are in the trash.
    pub(crate) fn shown(&self, page: &Page) -> Page {
        let mut page = page.clone();
        let relation = PropertyId::from(RELATION);
        let is_away = |target: &PageId| {
            self.pages
                .get(target)
                .is_none_or(|target| target.now().page.in_trash)
        };
        if let Some(PropertyRead::Whole(Value::Pages(targets))) = page.properties.get(&relation)
            && targets.iter().any(is_away)
            && let Some(PropertyRead::Whole(Value::Pages(targets))) = page.properties.get_mut(&relation)
        {
            targets.retain(|target| !is_away(target));
        }
        let kind = PropertyId::from(KIND);
        if let Some(stored) = page.properties.remove(&kind)
            && let Some(shown) = self.schema.shown(&stored)
        {
            page.properties.insert(kind, shown);
        }
        page
    }

    /// A value as Notion stores it: an option is given an id.
    fn stored(&mut self, property: &PropertyId, value: &Value) -> Value {
        match value {
            Value::Choice(choice) if property.as_str() == KIND => self.schema.stored(choice),
            Value::Choice(choice) => Value::Choice(frames_sync::value::Choice {
                name: choice.name.clone(),
                id: Some(format!("id-{}", choice.name)),
            }),
            other => other.clone(),
        }
    }
}

impl World {
    pub(crate) fn new(
        tape: Tape,
        mutant: Option<Mutant>,
        timeline: Arc<Timeline>,
        postgres: Arc<dyn Postgres>,
        verbose: bool,
    ) -> Self {
        let state = State {
            log: verbose.then(Vec::new),
            ..State::default()
        };
        Self {
            tape,
            mutant,
            timeline,
            postgres,
            state: Mutex::new(state),
        }
    }

    /// The engine's memory of a profile: ours, or the neighbour's where there is one.
    pub(crate) fn store_of(&self, profile: usize) -> Option<&dyn Store> {
        match profile {
            0 => Some(self.postgres.store()),
            _ => self
                .postgres
                .next_door()
                .map(|next_door| &next_door.store as &dyn Store),
        }
    }

    /// What the memory of both profiles holds.
    pub(crate) fn all_links(&self) -> Vec<Link> {
        let next_door = self.postgres.next_door().map(|next_door| next_door.store.links());
        [self.postgres.links(), next_door.unwrap_or_default()].concat()
    }

    pub(crate) fn all_conflicts(&self) -> Vec<Conflict> {
        let next_door = self
            .postgres
            .next_door()
            .map(|next_door| next_door.store.all_conflicts());
        [self.postgres.all_conflicts(), next_door.unwrap_or_default()].concat()
    }

    pub(crate) fn audit_logs(&self) -> [Vec<AuditEntry>; 2] {
        let next_door = self
            .postgres
            .next_door()
            .map(|next_door| next_door.store.audit_log());
        [self.postgres.audit_log(), next_door.unwrap_or_default()]
    }

    pub(crate) fn audited(&self) -> usize {
        let next_door = self
            .postgres
            .next_door()
            .map(|next_door| next_door.store.audited());
        self.postgres.audited() + next_door.unwrap_or(0)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    pub(crate) fn now(&self) -> Millis {
        self.timeline.now()
    }

    pub(crate) fn chance(&self, salt: u64, end: u64) -> u64 {
        let now = u64::try_from(self.now()).unwrap_or(0);
        scatter(self.tape.seed ^ scatter(now ^ scatter(salt))) % end.max(1)
    }

    /// Notes something in the trace, whose hash must be the same in every run of the tape.
    pub(crate) fn trace(&self, what: impl FnOnce() -> String, code: u64) {
        let now = self.now();
        let mut state = self.lock();
        let mixed = scatter(state.trace ^ scatter(code) ^ u64::try_from(now).unwrap_or(0));
        state.trace = mixed;
        if let Some(log) = &mut state.log {
            log.push(format!("{:>9.3} {}", now as f64 / 1000.0, what()));
        }
    }

    /// Uses up the first fault that has come and fits.
    pub(crate) fn fault(&self, fits: impl Fn(&FaultKind) -> bool) -> Option<FaultKind> {
        let now = self.now();
        let mut state = self.lock();
        if state.quiet {
            return None;
        }
        while let Some(fault) = self.tape.faults.get(state.faults_come)
            && fault.at <= now
        {
            let place = state.faults_come;
            state.faults_open.push(place);
            state.faults_come += 1;
        }
        let faults = &self.tape.faults;
        let found = state
            .faults_open
            .iter()
            .position(|place| fits(&faults[*place].kind))?;
        let place = state.faults_open.remove(found);
        let kind = faults[place].kind;
        state.met(&format!("fault {}", kind.name()));
        drop(state);
        self.trace(|| format!("  fault {kind:?}"), 7);
        Some(kind)
    }

    /// Counts a fault by the step of a write protocol that it met.
    pub(crate) fn struck(&self, step: Step, fault: FaultKind) {
        if let Some(row) = step.struck(fault) {
            self.lock().met(&row);
        }
    }

    pub(crate) fn instant(&self, at: Millis) -> OffsetDateTime {
        START + time::Duration::milliseconds(at)
    }

    /// What the database's clock shows now.
    pub(crate) fn database_time(&self) -> OffsetDateTime {
        let [stepped, _] = self.timeline.stepped();
        self.instant(self.now() + stepped)
    }

    /// Notion's clock, floored to the minute.
    fn minute(&self) -> OffsetDateTime {
        let [_, stepped] = self.timeline.stepped();
        let offset = Millis::from(self.tape.setting.offset) * 1000 + stepped;
        let at = (self.now() + offset).div_euclid(60_000) * 60_000;
        self.instant(at)
    }

    /// Makes a page; answers its id.
    pub(crate) fn make(
        &self,
        state: &mut State,
        entity: &str,
        by: &str,
        values: &[(PropertyId, Value)],
    ) -> PageId {
        let minute = self.minute();
        let mut properties: BTreeMap<PropertyId, PropertyRead> = empty(entity, &self.tape.setting)
            .into_iter()
            .map(|(name, value)| (PropertyId::from(name), PropertyRead::Whole(value)))
            .collect();
        for (id, value) in values {
            let stored = state.stored(id, value);
            properties.insert(id.clone(), PropertyRead::Whole(stored));
        }
        let page = Page {
            id: PageId(format!("page-{:03}", state.pages.len() + 1)),
            parent: PageParent::Entity,
            in_trash: false,
            created_time: minute,
            last_edited_time: minute,
            created_by: UserId::from(by),
            last_edited_by: UserId::from(by),
            properties: properties.into(),
        };
        let id = page.id.clone();
        let version = Version {
            at: self.now(),
            listed_at: self.now() + self.lag(),
            page,
            hidden: false,
            purged: false,
        };
        state.hold(&id, &version.page);
        state.pages.insert(
            id.clone(),
            SimPage {
                entity: entity.to_owned(),
                versions: vec![version],
            },
        );
        id
    }

    fn lag(&self) -> Millis {
        if self.lock_free_quiet() {
            return 0;
        }
        let most = u64::from(self.tape.setting.index_lag) * 1000;
        Millis::try_from(self.chance(11, most + 1)).unwrap_or(0)
    }

    /// Index and reads are as fresh as they get when the tape has no faults at all.
    fn lock_free_quiet(&self) -> bool {
        self.tape.faults.is_empty()
    }

    /// Changes a page; `by` is its last editor then.
    pub(crate) fn change(&self, state: &mut State, id: &PageId, by: &str, change: impl FnOnce(&mut Version)) {
        let minute = self.minute();
        let (now, lag) = (self.now(), self.lag());
        let Some(page) = state.pages.get_mut(id) else {
            return;
        };
        let mut version = page.now().clone();
        version.listed_at = (now + lag).max(version.listed_at);
        version.at = now;
        let listed = |version: &Version| (version.page.in_trash, version.page.parent, version.hidden);
        let before = listed(&version);
        change(&mut version);
        if listed(&version) != before {
            state.shifted_at = state.shifted_at.max(Some(version.listed_at));
        }
        version.page.last_edited_time = minute;
        version.page.last_edited_by = UserId::from(by);
        page.versions.push(version);
        // Nothing is ever read that far back.
        let keep = page
            .versions
            .iter()
            .rposition(|version| version.at < now - 600_000 && version.listed_at < now - 600_000);
        if let Some(keep) = keep {
            page.versions.drain(..keep);
        }
        let held = page.now().page.clone();
        state.hold(id, &held);
    }

    /// A person sets a property.
    pub(crate) fn person_sets(&self, state: &mut State, id: &PageId, field: &str, value: Value) {
        let written = state.named(field, &text(&value));
        let now = self.now();
        state.user_edits += 1;
        let held = state.pages.get(id).map(|page| property(&page.now().page, field));
        let formats = !written.is_empty() && held.is_some_and(|held| state.named(field, &held) == written);
        if formats && field == RELATION {
            // What leads there already has no form to change.
            return self.person_changes(state, id, |_| {});
        }
        self.change(state, id, PERSON, |version| {
            version
                .page
                .properties
                .insert(PropertyId::from(field), PropertyRead::Whole(value));
        });
        let cell = state.cells.entry(id.as_str(), field);
        let mut before = cell.writes.iter();
        let puts_back = formats && before.any(|write| write.formats && write.text == written);
        cell.writes.push(Write {
            at: now,
            text: written,
            arrived: cell.arrived.len(),
            formats,
            puts_back,
            agreed: false,
            in_step: false,
            raced: false,
            withdrawn: false,
        });
    }

    /// A person changes the page itself.
    pub(crate) fn person_changes(&self, state: &mut State, id: &PageId, change: impl FnOnce(&mut Version)) {
        self.change(state, id, PERSON, change);
    }

    /// A person makes a page.
    pub(crate) fn person_makes(&self, state: &mut State, values: &[(PropertyId, Value)]) -> PageId {
        let id = self.make(state, TEAMS, PERSON, values);
        let now = self.now();
        for (field, value) in values {
            if FIELDS.contains(&field.as_str()) || field.as_str() == "postgres_id" {
                state.entitle("a", value);
            }
            let written = state.named(field.as_str(), &text(value));
            let cell = state.cells.entry(id.as_str(), field.as_str());
            cell.writes.push(Write {
                at: now,
                text: written,
                arrived: 0,
                formats: false,
                puts_back: false,
                agreed: false,
                in_step: false,
                raced: false,
                withdrawn: false,
            });
        }
        id
    }

    /// The application writes a column, knowing or not what the page holds: `in_step` is `None` where nothing was agreed on.
    pub(crate) fn row_written(
        &self,
        state: &mut State,
        key: &str,
        field: &str,
        value: &Value,
        in_step: Option<bool>,
    ) {
        let now = self.now();
        state.user_edits += 1;
        let written = state.named(field, &text(value));
        let cell = state.rows.entry(key, field);
        cell.held.insert(written.clone());
        cell.writes.push(Write {
            at: now,
            text: written,
            arrived: cell.arrived.len(),
            formats: false,
            puts_back: false,
            agreed: in_step.is_some(),
            in_step: in_step == Some(true),
            raced: false,
            withdrawn: false,
        });
    }

    /// Applies a write of ours to a page, which was sent at `sent_at`. `snapshot` is the instant that its last direct read
    /// showed.
    pub(crate) fn apply(
        &self,
        state: &mut State,
        id: &PageId,
        write: &frames_sync::ports::PageWrite,
        snapshot: Millis,
        sent_at: Millis,
    ) {
        let Some(page) = state.pages.get(id) else { return };
        let (before, is_team) = (page.now().page.clone(), page.entity == TEAMS);
        // People write labels as they like: the record is the one that the link says.
        let linked = self.postgres.find_link(&|link| link.page.as_ref() == Some(id));
        let label = || property(&before, "postgres_id");
        let key = linked.as_ref().map_or_else(label, |link| link.key.to_string());
        let key = state.present_key(&key);
        let careless = page
            .at(snapshot)
            .and_then(|seen| careless(&seen.page, &before, write));
        let removes = write.in_trash == Some(true) && !before.in_trash;
        let read = state.runners.iter().map(|runner| runner.mapped_at);
        let mapped_at = read.filter(|at| *at <= sent_at).max().unwrap_or(0);
        // What a page is seen to lead to depends on the targets too, once one was in the trash.
        let relation = (self.tape.setting.relations && !state.target_trashed).then_some(RELATION);
        for field in FIELDS.into_iter().chain(relation) {
            let mut raced = false;
            let sent = write
                .properties
                .iter()
                .find(|(name, _)| name.as_str() == field)
                .map(|(_, value)| state.named(field, &text(value)));
            let old = state.named(field, &property(&before, field));
            let agreed = linked
                .as_ref()
                .and_then(|link| link.fields.get(&PropertyId::from(field)))
                .and_then(|field| field.bases.as_ref());
            let agreed = agreed.map_or_else(String::new, |bases| state.named(field, &text(&bases.page)));
            let cell = state.cells.entry(id.as_str(), field);
            let puts_back = cell.writes.last().is_some_and(|last| cell.puts_back(last));
            let row = state.rows.get(&key, field);
            let pulled = row.is_some_and(|row| row.arrived.contains(&old));
            // What an old read has replaced in the row since is not known to stand on the page.
            let is_known = row.is_some_and(|row| row.arrived.last() == Some(&old));
            let overwrites = sent.as_ref().map_or(removes, |sent| *sent != old);
            let newer = |last: &Write| {
                let deleted_at = state.deleted_at.get(&key);
                // What was written into an empty field and taken out again is no edit that anybody could see; nor is a
                // target, of which there are few, that was taken out and set again, or that a request of ours set too.
                let is_undone = last.text == agreed && (agreed.is_empty() || field == RELATION);
                let is_ours_too = field == RELATION && puts_back;
                // What a write of ours overwrote in the declared window is seen by nobody.
                deleted_at.is_some_and(|at| last.at > *at)
                    && last.at <= snapshot
                    && !pulled
                    && !last.raced
                    && !is_undone
                    && !is_ours_too
            };
            // What no mapping names is no edit of the record.
            // A cycle goes on with the mapping that it began with.
            let is_named = state.field_added.is_some_and(|at| at <= mapped_at);
            let is_mapped = field != "size" || !self.tape.setting.late_field || is_named;
            if removes
                && field != "tag"
                && is_mapped
                // A value put back may be the one that both sides last agreed on: then nothing was edited.
                && !self.tape.setting.reverts
                && self.tape.setting.conflict != ConflictPolicy::PostgresWins
                && state.policy.is_none()
                && !state.chosen.contains(&key)
                && cell.writes.last().is_some_and(newer)
            {
                state.violations.push(format!(
                    "I19: {id} was trashed though its {field} was edited after its row was deleted"
                ));
            }
            let arrived_at = cell.arrived_at.last().copied();
            if overwrites && let Some(last) = cell.writes.last_mut().filter(|last| last.text == old) {
                // What a person once wrote may stand there by a later request of ours, from the row that has it.
                let is_ours = arrived_at.is_some_and(|at| at > last.at);
                if last.at > snapshot && (last.formats || !is_known) {
                    last.raced = true;
                    raced = true;
                } else if last.at <= snapshot && !is_ours && !state.forgotten.contains(&sent_at) {
                    state
                        .overwritten
                        .push((old.clone(), format!("{field} of {id} at {}", self.now())));
                }
            }
            if let Some(sent) = sent {
                state.field_writes += 1;
                cell.arrives(self.now(), sent);
            }
            if raced {
                state.met("race window");
            }
        }
        // A second page of our own counts against another cap.
        if removes
            && is_team
            && self
                .postgres
                .find_link(&|link| link.page.as_ref() == Some(id))
                .is_some()
        {
            state.removals[0] += 1;
        }
        let row = self.postgres.row(TEAMS, &RecordKey::single(key.as_str()));
        let tenant = if is_team { "a" } else { "b" };
        if removes && row.is_some_and(|row| row.get("org") != Some(&Value::text(tenant))) {
            // E8: no row takes an edit that was made while it was somebody else's.
            state.cells.withdraw(id.as_str());
        }
        if let Some(careless) = careless {
            state.violations.push(format!("{careless} on {id}"));
        }
        let stored: Vec<(PropertyId, Value)> = write
            .properties
            .iter()
            .map(|(property, value)| (property.clone(), state.stored(property, value)))
            .collect();
        self.change(state, id, BOT, |version| {
            if let Some(in_trash) = write.in_trash {
                version.page.in_trash = in_trash;
            }
            let read = |(property, value)| (property, PropertyRead::Whole(value));
            version.page.properties.extend(stored.into_iter().map(read));
        });
    }

    /// Creates a page for us.
    pub(crate) fn create(
        &self,
        state: &mut State,
        entity: &str,
        write: &frames_sync::ports::PageWrite,
    ) -> PageId {
        let id = self.make(state, entity, BOT, &write.properties);
        for (property, value) in &write.properties {
            let arrived = state.named(property.as_str(), &text(value));
            let cell = state.cells.entry(id.as_str(), property.as_str());
            cell.arrives(self.now(), arrived);
        }
        id
    }

    /// A request that was given up on arrives.
    pub(crate) fn late(&self, number: usize) {
        let mut state = self.lock();
        let Some(late) = state.late[number].take() else {
            return;
        };
        match &late.page {
            Some(page) => {
                if state.forgotten.contains(&late.sent) {
                    for (id, value) in &late.write.properties {
                        let brought = state.named(id.as_str(), &text(value));
                        state.brought.insert((page.clone(), id.to_string(), brought));
                    }
                }
                let trashed = state.pages.get(page).is_some_and(|page| page.now().page.in_trash);
                if !trashed || late.write.in_trash.is_some() {
                    self.apply(&mut state, page, &late.write, late.snapshot, late.sent);
                }
            }
            None => {
                self.create(&mut state, &late.entity, &late.write);
            }
        }
        drop(state);
        self.trace(|| format!("  a late write lands: {:?}", late.page), 8);
    }

    /// Keeps a request for later.
    pub(crate) fn postpone(&self, late: LateWrite, by: Millis) {
        let mut state = self.lock();
        state.late.push(Some(late));
        let number = state.late.len() - 1;
        drop(state);
        self.timeline.at(self.now() + by, Event::LateWrite(number));
    }
}

/// What a write must not do to a page that was seen as `seen` and is `now`.
fn careless(seen: &Page, now: &Page, write: &frames_sync::ports::PageWrite) -> Option<String> {
    for (id, value) in &write.properties {
        let name = id.as_str();
        if !FIELDS.contains(&name) {
            continue;
        }
        if is_paused(seen) {
            return Some(format!(
                "opt-out: {name} was written though the record is left alone"
            ));
        }
        let (was, is) = (seen.properties.get(id), now.properties.get(id));
        if let (Some(PropertyRead::Whole(held @ Value::RichText(_))), true) = (is, was == is)
            && text(held) == text(value)
            && held != value
        {
            return Some(format!(
                "F2: the formatting of {name} was removed, and its text not changed"
            ));
        }
    }
    None
}

/// When every schedule begins.
pub(crate) const START: OffsetDateTime = time::macros::datetime!(2026-09-04 12:00:10 UTC);

/// The properties of a new page.
fn empty(entity: &str, setting: &super::tape::Setting) -> Vec<(&'static str, Value)> {
    let is_team = [TEAMS, NEIGHBOURS].contains(&entity);
    let mut properties = vec![
        ("postgres_id", Value::rich("")),
        ("last_synced", Value::Null),
        ("sync_status", Value::Null),
        ("paused", Value::Bool(false)),
        ("private", Value::rich("not mapped")),
        ("name", Value::rich("")),
    ];
    if is_team {
        properties.extend([
            ("note", Value::rich("")),
            ("size", Value::Null),
            ("tag", Value::rich("")),
            ("hint", Value::rich("")),
        ]);
        if setting.relations {
            properties.push((RELATION, Value::Pages(BTreeSet::new())));
        }
        if setting.typed && entity == TEAMS {
            properties.extend([(KIND, Value::Null), (super::schema::DONE, Value::Bool(false))]);
        }
    }
    properties
}
