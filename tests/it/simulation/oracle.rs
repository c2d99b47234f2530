//! What must hold when everything is quiet: the invariants of the sync semantics, section 9, over both sides and the
//! engine's memory, against what people wrote.
//!
//! For every field the oracle knows the *set* of values that it may end with: what was written last on each side, less
//! what the other side's writer had already seen, less what the policy decides against. It looks at the truth about both
//! sides, never at an observation, and shares no code with the planner.

use std::collections::{BTreeMap, BTreeSet};

use frames_sync::engine::Run;
use frames_sync::journal::{Act, Conflict, ConflictStatus, Kept};
use frames_sync::mapping::{ConflictPolicy, Initial, OnPageCreate, OnRowDelete};
use frames_sync::ports::{Link, PageParent};
use frames_sync::reconcile::{Phase, Reason};
use frames_sync::report::Outcome;
use frames_sync::value::{PageId, PropertyId, RecordKey, Value};
use uuid::Uuid;

use super::Schedule;
use super::mutants::Mutant;
use super::schema::{DONE, Drift, KIND};
use super::tape::Millis;
use super::world::{
    BOT, Cell, FIELDS, NEIGHBOUR, NEIGHBOURS, PROJECTS, RELATION, State, TEAMS, Write, is_paused, normal,
    property, text,
};

/// Why a record is held while its page cannot be seen.
const AWAY: [&str; 2] = ["page_inaccessible", "page_trashed"];

/// The cycles after the quiet phase, which must do nothing: whether each looks at everything.
const REST: [bool; 2] = [false, true];

/// What of a record was written down somewhere a person can see and take it back from.
struct Accounts {
    values: BTreeSet<String>,
    open: BTreeSet<(Uuid, String)>,
    /// What the engine remembers of every record.
    links: Vec<Link>,
    conflicts: Vec<Conflict>,
}

impl Schedule {
    /// Checks everything that must hold after the quiet phase.
    pub(crate) fn judge(&mut self) {
        let accounts = self.accounts();
        let state = self.world.lock();
        let mut found = Vec::new();
        for (entity, org) in [(TEAMS, "a"), (NEIGHBOURS, "b")] {
            if entity == TEAMS || self.world.tape.setting.neighbour {
                self.check_records(entity, org, &state, &accounts, &mut found);
            }
        }
        self.check_pages(&state, &accounts, &mut found);
        self.check_baselines(&state, &accounts, &mut found);
        self.check_evidence(&state, &accounts, &mut found);
        for (value, what) in &state.overwritten {
            if !value.is_empty() && !accounts.values.contains(value) {
                found.push(format!(
                    "I18: `{value}` ({what}) was overwritten and is in no audit entry"
                ));
            }
        }
        let [pages, rows] = state.removals;
        let approved = state.coverage.contains_key("approved");
        if self.world.tape.setting.strict_cap && pages.max(rows) > 3 && !approved {
            found.push(format!(
                "I6: {pages} pages and {rows} rows were removed without an approval"
            ));
        }
        drop(state);
        self.check_rest(&mut found);
        self.world.lock().violations.extend(found);
    }

    fn accounts(&self) -> Accounts {
        let mut accounts = Accounts {
            values: BTreeSet::new(),
            open: BTreeSet::new(),
            links: self.world.all_links(),
            conflicts: self.world.all_conflicts(),
        };
        let state = self.world.lock();
        let mut keep = |field: &str, value: &Value| {
            accounts.values.insert(state.named(field, &text(value)));
        };
        for entry in self.world.audit_logs().concat() {
            let property = entry.property.as_ref().map_or("", PropertyId::as_str);
            match &entry.old {
                Some(Kept::Value(value)) => keep(property, value),
                Some(Kept::Record(values)) => values.iter().for_each(|(field, value)| keep(field, value)),
                Some(Kept::Erased { .. }) | None => {}
            }
        }
        for conflict in &accounts.conflicts {
            let property = conflict.property.as_ref().map_or("", PropertyId::as_str);
            let values = conflict.row.iter().chain(&conflict.page_value);
            values.for_each(|value| keep(property, value));
            if let (ConflictStatus::Open | ConflictStatus::Chosen(_), Some(property)) =
                (conflict.status, &conflict.property)
            {
                accounts.open.insert((conflict.link, property.to_string()));
            }
        }
        accounts
    }

    /// I1, I2, I4 and I19 for every row.
    fn check_records(
        &self,
        entity: &str,
        org: &str,
        state: &State,
        accounts: &Accounts,
        found: &mut Vec<String>,
    ) {
        for key in self.world.postgres.keys(TEAMS) {
            let Some(row) = self.world.postgres.row(TEAMS, &key) else {
                continue;
            };
            let in_scope = row.get("org") == Some(&Value::text(org));
            let links: Vec<&Link> = accounts
                .links
                .iter()
                .filter(|link| link.entity == entity && link.key == key && link.phase != Phase::Tombstone)
                .collect();
            let [link] = *links.as_slice() else {
                let is_ended = |link: &&Link| link.entity == entity && link.key == key;
                let ended = accounts.links.iter().filter(is_ended);
                let pages = |link: &Link| state.pages.get(link.page.as_ref()?);
                // The box is ticked on the page of the row's former life: no other page is made beside it.
                let is_left_alone =
                    links.is_empty() && ended.filter_map(pages).any(|page| is_paused(&page.now().page));
                if in_scope && !is_left_alone {
                    found.push(format!("I4: row {key} has {} links", links.len()));
                }
                continue;
            };
            let page = link.page.as_ref().and_then(|id| state.pages.get(id));
            if page.is_some_and(|page| is_paused(&page.now().page)) {
                // A person said so: nothing of it is owed to anybody until the box is unticked.
                continue;
            }
            let live = page.is_some_and(|page| {
                let now = page.now();
                !now.page.in_trash && !now.hidden && now.page.parent == PageParent::Entity
            });
            if !in_scope {
                if live && link.phase == Phase::Linked {
                    found.push(format!("I2: row {key} is out of scope and its page is not"));
                }
                continue;
            }
            let troubled = link.troubles.iter().any(|trouble| trouble.property.is_none());
            match link.phase {
                Phase::Linked if live => {
                    let id = link.page.clone().unwrap_or_else(|| PageId::from(""));
                    for field in FIELDS {
                        self.check_field(state, accounts, link, &id, field, &row, found);
                    }
                    if entity == TEAMS {
                        self.check_relation(state, accounts, link, &id, &row, found);
                        self.check_typed(state, accounts, link, &id, &row, found);
                    }
                }
                Phase::Held | Phase::Detached if !live => {}
                // What is there again is no longer held for being away.
                Phase::Held if live && AWAY.contains(&link.note.as_deref().unwrap_or_default()) => {
                    found.push(format!("I2: row {key} is held, and its page is there"));
                }
                _ if troubled => {}
                phase => found.push(format!(
                    "I2: row {key} is {phase:?}, its page {:?} is {}",
                    link.page,
                    if live { "there" } else { "not there" }
                )),
            }
        }
        for link in &accounts.links {
            if link.entity != entity || link.phase != Phase::Linked || !link.troubles.is_empty() {
                continue;
            }
            let setting = &self.world.tape.setting;
            let stays = setting.on_row_delete != OnRowDelete::TrashPage;
            // A row that could not be put back is told on its page, and in every report.
            let told = link
                .page
                .as_ref()
                .and_then(|id| state.pages.get(id))
                .is_some_and(|page| {
                    let page = &page.now().page;
                    property(page, "sync_status") == "error" || is_paused(page)
                });
            if self.world.postgres.row(TEAMS, &link.key).is_none() && !stays && !told {
                found.push(format!("I2: row {} is gone and its link is not", link.key));
            }
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one cell of both sides, with what is known of it"
    )]
    fn check_field(
        &self,
        state: &State,
        accounts: &Accounts,
        link: &Link,
        id: &PageId,
        field: &str,
        row: &BTreeMap<String, Value>,
        found: &mut Vec<String>,
    ) {
        let setting = &self.world.tape.setting;
        if field == "size" && setting.late_field && state.field_added.is_none() {
            return;
        }
        let key = link.key.to_string();
        let here = row.get(field).map(text).unwrap_or_default();
        let there = state
            .pages
            .get(id)
            .map(|page| property(&page.now().page, field))
            .unwrap_or_default();
        // A column that is only told starts with what it held, until somebody writes on the page.
        let told = field == "hint"
            && state
                .cells
                .get(id.as_str(), field)
                .is_none_or(|cell| cell.writes.is_empty());
        let held = told
            || link.troubles.iter().any(|trouble| {
                trouble
                    .property
                    .as_ref()
                    .is_none_or(|property| property.as_str() == field)
            });
        let open = accounts.open.contains(&(link.id, field.to_owned()));
        if (here != there && !held && !open) || self.world.is(Mutant::Canary) {
            found.push(format!(
                "I2: {field} of {key} is `{here}` here and `{there}` there"
            ));
            return;
        }
        if held || open {
            // Accounted for: both sides still hold what their people wrote, or what was there.
            return;
        }
        self.check_edits(state, accounts, link, id, (field, &here), found);
    }

    /// I1: a field that both sides agree on ended as one of the edits that nobody overruled knowingly, and the others are kept.
    fn check_edits(
        &self,
        state: &State,
        accounts: &Accounts,
        link: &Link,
        id: &PageId,
        (field, here): (&str, &str),
        found: &mut Vec<String>,
    ) {
        let setting = &self.world.tape.setting;
        let key = link.key.to_string();
        let empty = Cell::default();
        let rows = state.rows.get(&key, field).unwrap_or(&empty);
        let pages = state.cells.get(id.as_str(), field).unwrap_or(&empty);
        let (p, n) = (rows.writes.last(), pages.writes.last());
        if p.is_some_and(|p| p.withdrawn) || n.is_some_and(|n| n.withdrawn) {
            // What its own people removed owes nothing to anybody.
            return;
        }
        let final_value = state.named(field, here);
        // A value put back stands twice in the history: which of the two somebody had seen cannot be told by value.
        // References are few, so that this is common among them.
        let puts_back = |cell: &Cell, write: Option<&Write>| write.is_some_and(|write| cell.puts_back(write));
        let put_back = setting.reverts || field == RELATION && (puts_back(rows, p) || puts_back(pages, n));
        // A policy that was changed decided by the one it was at the time; a field named late had its first look late.
        let changed = state.policy.is_some() || (setting.late_field && field == "size");
        let loose = state.touched.contains(&key) || state.ambiguous.contains(id) || put_back || changed;
        let both = |p: &Write, n: &Write| {
            // Nothing is told apart from nothing: who emptied a cell knew what had arrived there, and no more is known.
            let p_saw = !n.text.is_empty() && rows.had_seen(p, n);
            let n_saw = !p.text.is_empty() && pages.had_seen(n, p);
            (p_saw, n_saw)
        };
        let may: Vec<&str> = match (field, p, n) {
            (_, None, None) => return,
            ("tag", Some(p), _) | (_, Some(p), None) => vec![&p.text],
            ("hint", _, Some(n)) | (_, None, Some(n)) => vec![&n.text],
            (_, Some(p), Some(n))
                if (p.text.is_empty() || n.text.is_empty()) && both(p, n) == (false, false) =>
            {
                vec![&p.text, &n.text]
            }
            (_, Some(p), Some(n)) if loose || n.raced || n.puts_back || rows.wrote(n) || pages.wrote(p) => {
                vec![&p.text, &n.text]
            }
            (_, Some(p), Some(n)) => match (both(p, n), setting.conflict) {
                ((true, false), _) => vec![&p.text],
                ((false, true), _) => vec![&n.text],
                (_, ConflictPolicy::PostgresWins) => vec![&p.text],
                (_, ConflictPolicy::NotionWins) => vec![&n.text],
                _ => vec![&p.text, &n.text],
            },
        };
        if state.restored_at.is_some_and(|at| n.is_none_or(|n| n.at <= at))
            && pages.held.contains(&final_value)
        {
            // What the page kept of the time that the database forgot counts as an edit there.
            return;
        }
        let came_after =
            |p: &Write| rows.arrived.len() > p.arrived && rows.arrived.last() == Some(&final_value);
        if p.is_some_and(came_after) && state.cells.wrote_elsewhere(id.as_str(), field, &final_value) {
            // The row brought it along from the page that it had before.
            return;
        }
        let is_kept = |n: &Write| n.raced || n.text == final_value || accounts.values.contains(&n.text);
        let chosen = state.values_chosen.get(&(key.clone(), field.to_owned()));
        let is_newest = |at: Millis| p.into_iter().chain(n).all(|write| write.at <= at);
        if chosen.is_some_and(|(at, value)| *value == final_value && is_newest(*at)) {
            // A person took it, with both before their eyes.
            return;
        }
        let never_agreed = p.is_some_and(|p| p.text.is_empty() && !p.agreed);
        if never_agreed && pages.held.contains(&final_value) && n.is_none_or(|n| n.text == final_value) {
            // F9: the empty side of a field that was never agreed on is filled, whoever emptied it.
            return;
        }
        let is_first_look = setting.initial == Some(Initial::Notion) && p.is_some_and(|p| !p.agreed);
        let row_is_kept = p.is_none_or(|p| accounts.values.contains(&p.text));
        if is_first_look && pages.held.contains(&final_value) && row_is_kept && n.is_none_or(is_kept) {
            // F9: a row's new life begins with what its page holds where the mapping says so.
            return;
        }
        let brought = (id.clone(), field.to_owned(), final_value.clone());
        if state.brought.contains(&brought) && n.is_none_or(is_kept) {
            // 6.10: a person approved of going on from a page that a request had changed which the database forgot.
            return;
        }
        let brought_back = rows.arrived.last().map_or("", String::as_str) == final_value;
        if state.left.contains(&key) && brought_back && n.is_none_or(is_kept) {
            // E8 and E9: it came back with what it held when it left; what its page was given last is in the log.
            return;
        }
        let skipped = (field == "hint" && n.is_none()) || (field == "tag" && p.is_none());
        if !skipped && !may.contains(&final_value.as_str()) {
            let lost_race = n.is_some_and(|n| n.raced);
            // R3 cannot tell a value put back by hand from our own request landing late; it is kept in the log.
            let put_back =
                put_back && n.is_some_and(|n| accounts.values.contains(&n.text) && n.text != final_value);
            if !lost_race && !put_back {
                found.push(format!(
                    "I1: {field} of {key} ended as `{final_value}`, and may be {may:?}"
                ));
            }
            return;
        }
        // The loser, where its writer had not been overtaken knowingly.
        if let (Some(p), Some(n)) = (p, n)
            && state.restored_at.is_none_or(|at| n.at > at && p.at > at)
        {
            let (p_saw, n_saw) = both(p, n);
            for (write, seen_by_winner, side) in [(n, p_saw, "Notion"), (p, n_saw, "Postgres")] {
                if write.text != final_value
                    && !write.text.is_empty()
                    && !seen_by_winner
                    && !write.raced
                    && !accounts.values.contains(&write.text)
                {
                    found.push(format!(
                        "I1: `{}`, written in {side} to {field} of {key}, is nowhere to be found",
                        write.text
                    ));
                }
            }
        }
    }

    /// 6.7 and 6.8: the select and the checkbox say the same on both sides, under whatever name an option goes.
    fn check_typed(
        &self,
        state: &State,
        accounts: &Accounts,
        link: &Link,
        id: &PageId,
        row: &BTreeMap<String, Value>,
        found: &mut Vec<String>,
    ) {
        if !self.world.tape.setting.typed {
            return;
        }
        let excused = |property: &str| {
            let of = |trouble: &frames_sync::journal::Trouble| {
                let of = trouble.property.as_ref();
                of.is_none_or(|of| of.as_str() == property)
            };
            link.troubles.iter().any(of) || accounts.open.contains(&(link.id, property.to_owned()))
        };
        let Some(page) = state.pages.get(id).map(|page| &page.now().page) else {
            return;
        };
        let schema = &state.schema;
        let drifted = schema.drift != Drift::AsMapped || schema.options.iter().any(|option| option.removed);
        let kind = row.get(KIND).map(text).unwrap_or_default();
        if !drifted && !excused(KIND) && !schema.agrees(&kind, page.properties.get(&PropertyId::from(KIND))) {
            found.push(format!(
                "I2: kind of {} is `{kind}` here and `{}` there",
                link.key,
                property(page, KIND)
            ));
        }
        let done = row.get(DONE) == Some(&Value::Bool(true));
        let ticked = page.whole(&PropertyId::from(DONE)) == Some(&Value::Bool(true));
        if done != ticked && !excused(DONE) {
            found.push(format!(
                "I2: done of {} is {done} here and {ticked} there",
                link.key
            ));
        }
    }

    /// 6.5: the relation leads where the column leads.
    fn check_relation(
        &self,
        state: &State,
        accounts: &Accounts,
        link: &Link,
        id: &PageId,
        row: &BTreeMap<String, Value>,
        found: &mut Vec<String>,
    ) {
        if !self.world.tape.setting.relations || !link.troubles.is_empty() {
            return;
        }
        let key = row.get(RELATION).map(text).unwrap_or_default();
        let wanted: BTreeSet<&str> = key
            .split(',')
            .filter_map(|key| {
                let target = RecordKey::single(key);
                let mut links = accounts.links.iter();
                let link = links.find(|link| link.entity == PROJECTS && link.key == target)?;
                link.page.as_ref().map(PageId::as_str)
            })
            .collect();
        let wanted = wanted.into_iter().collect::<Vec<_>>().join(",");
        let there = state
            .pages
            .get(id)
            .map(|page| property(&page.now().page, RELATION))
            .unwrap_or_default();
        let open = link
            .fields
            .get(&PropertyId::from(RELATION))
            .is_some_and(|field| field.changed_at.notion.is_some());
        if state.target_trashed {
            // What the page shows of a target in the trash is no business of the row's, and no edit by anybody.
            if key.is_empty() && state.related.contains(&link.key.to_string()) {
                found.push(format!(
                    "6.5: the reference of {} was emptied by nobody",
                    link.key
                ));
            }
            return;
        }
        if wanted != there && !open {
            found.push(format!(
                "I2: the relation of {} is `{there}`, not `{wanted}`",
                link.key
            ));
        } else if !open && !accounts.open.contains(&(link.id, RELATION.to_owned())) {
            self.check_edits(state, accounts, link, id, (RELATION, &key), found);
        }
    }

    /// I7: nothing that a profile tells or keeps holds a value of a row that was never in its scope.
    pub(crate) fn check_isolation(&self, runner: usize, run: &Run) {
        if !self.world.tape.setting.neighbour {
            return;
        }
        let mut told = serde_json::to_string(&run.report).unwrap_or_default();
        told.push_str(&serde_json::to_string(&run.plan).unwrap_or_default());
        let mut state = self.world.lock();
        let mine = super::world::tenant(runner);
        let foreign: Vec<&String> = state
            .entitled
            .iter()
            .filter(|(value, who)| value.contains("-name-") && !who.contains(mine))
            .map(|(value, _)| value)
            .collect();
        let is_told = |value: &str| {
            let ends = |at: usize| !told[at + value.len()..].starts_with(|next: char| next.is_ascii_digit());
            told.match_indices(value).any(|(at, _)| ends(at))
        };
        if foreign.iter().any(|value| is_told(value)) {
            state
                .violations
                .push("I7: a report or a plan tells another tenant's value".to_owned());
        }
    }

    /// I12: a cycle takes every edit of a page that its listing could show. Without faults nothing excuses it.
    pub(crate) fn check_seen(&self, runner: usize, run: &Run) {
        let setting = &self.world.tape.setting;
        let undisturbed = self.world.tape.faults.is_empty() && self.world.timeline.stepped() == [0, 0];
        let exact = undisturbed && !setting.reverts && !setting.late_field;
        if !exact || runner == NEIGHBOUR || run.report.outcome != Outcome::Ok {
            return;
        }
        let links = self.world.postgres.links();
        let mut state = self.world.lock();
        let began = state.runners[runner].began;
        if state.shifted_at.is_some_and(|at| at >= began) {
            // What stood at the seam of two parts was in none; the next listing has it.
            return;
        }
        let mut missed = Vec::new();
        for link in links {
            let waits = link.look_again_at.is_some() || !link.troubles.is_empty();
            if link.entity != TEAMS || link.phase != Phase::Linked || waits {
                continue;
            }
            let (Some(id), Some(row)) = (&link.page, self.world.postgres.row(TEAMS, &link.key)) else {
                continue;
            };
            let Some(page) = state.pages.get(id) else { continue };
            let now = page.now();
            let away = now.page.parent != PageParent::Entity;
            if away
                || now.page.in_trash
                || now.hidden
                || is_paused(&now.page)
                || row.get("org") != Some(&Value::text("a"))
            {
                continue;
            }
            let relation = (!state.target_trashed).then_some(RELATION);
            for field in ["name", "note", "size", "hint"].into_iter().chain(relation) {
                let shown = property(&now.page, field);
                let since = page
                    .versions
                    .iter()
                    .rev()
                    .take_while(|version| property(&version.page, field) == shown)
                    .last();
                let (Some(since), Some(cell)) = (since, state.cells.get(id.as_str(), field)) else {
                    continue;
                };
                let Some(edit) = cell.writes.last() else { continue };
                let rows = state.rows.get(&link.key.to_string(), field);
                let edited_too =
                    rows.is_some_and(|rows| rows.writes.last().is_some_and(|own| own.at >= edit.at));
                let arrived = rows.is_some_and(|rows| rows.arrived.contains(&edit.text));
                let listed = since.listed_at <= began && now.listed_at <= began;
                let stands = edit.text == state.named(field, &shown) && listed && edit.at <= began;
                let held = row.get(field).map(text).unwrap_or_default();
                let differs = match field {
                    RELATION => state.named(field, &held) != edit.text,
                    _ => held != shown,
                };
                if stands && !edited_too && !arrived && differs {
                    missed.push(format!(
                        "I12: `{}` was listed, and a cycle passed it over",
                        edit.text
                    ));
                }
            }
        }
        state.violations.extend(missed);
    }

    /// I4: no page of ours without a link or, once its row is gone, a mark; a person's page has a row where the profile makes rows.
    fn check_pages(&self, state: &State, accounts: &Accounts, found: &mut Vec<String>) {
        let linked: BTreeSet<&PageId> = accounts
            .links
            .iter()
            .filter_map(|link| link.page.as_ref())
            .collect();
        for (id, page) in &state.pages {
            let now = page.now();
            let live = !now.page.in_trash && !now.hidden && now.page.parent == PageParent::Entity;
            if !live || linked.contains(id) {
                continue;
            }
            if is_paused(&now.page) {
                continue;
            }
            let status = property(&now.page, "sync_status");
            let is_told = ["error", "duplicate"].contains(&status.as_str());
            if state.restored_at.is_some() && is_told {
                // Made after the instant that the state was put back to: it is shown, and a person decides.
                continue;
            }
            let key = RecordKey::single(property(&now.page, "postgres_id"));
            let row = self.world.postgres.row(TEAMS, &key);
            let org = Value::text(if page.entity == NEIGHBOURS { "b" } else { "a" });
            if is_told && row.is_none_or(|row| row.get("org") != Some(&org)) {
                // Its creation arrived after its row went or left, or its original went with its row: each run that lists it tells
                // `unknown_id`, and a person decides.
                continue;
            }
            if now.page.created_by.as_str() == BOT {
                found.push(format!("I4: {id} was created by us and belongs to no record"));
            } else if self.world.tape.setting.on_page_create == OnPageCreate::InsertRow
                && !is_told
                && !property(&now.page, "name").is_empty()
            {
                found.push(format!(
                    "I2: {id} was made by a person and has no row (status `{status}`)"
                ));
            }
        }
    }

    /// I8: every baseline was once held by its side.
    fn check_baselines(&self, state: &State, accounts: &Accounts, found: &mut Vec<String>) {
        for link in &accounts.links {
            if link.entity != TEAMS || link.phase == Phase::Tombstone {
                continue;
            }
            for (field, known) in &link.fields {
                let (Some(bases), Some(id)) = (&known.bases, &link.page) else {
                    continue;
                };
                if [RELATION, KIND, DONE].contains(&field.as_str()) {
                    continue;
                }
                let rows = state.rows.get(&link.key.to_string(), field.as_str());
                let pages = state.cells.get(id.as_str(), field.as_str());
                let (row, page) = (normal(&text(&bases.row)), normal(&text(&bases.page)));
                if !row.is_empty() && rows.is_none_or(|cell| !cell.held.contains(&row)) {
                    found.push(format!(
                        "I8: the baseline `{row}` of {field} was never in row {}",
                        link.key
                    ));
                }
                if !page.is_empty() && pages.is_none_or(|cell| !cell.held.contains(&page)) {
                    found.push(format!("I8: the baseline `{page}` of {field} was never on {id}"));
                }
            }
        }
    }

    /// D12: what is called proven is true; and a conflict is between two edits that did not know each other.
    fn check_evidence(&self, state: &State, accounts: &Accounts, found: &mut Vec<String>) {
        for conflict in &accounts.conflicts {
            let (Some(field), Some(row), Some(page), Some(id)) = (
                &conflict.property,
                &conflict.row,
                &conflict.page_value,
                &conflict.page,
            ) else {
                continue;
            };
            if [KIND, DONE].contains(&field.as_str()) {
                // Of selects and boxes nobody keeps who wrote what.
                continue;
            }
            let key = conflict.key.to_string();
            let rows = state.rows.get(&key, field.as_str());
            let pages = state.cells.get(id.as_str(), field.as_str());
            let (Some(rows), Some(pages)) = (rows, pages) else {
                continue;
            };
            let (row, page) = [row, page]
                .map(|value| state.named(field.as_str(), &text(value)))
                .into();
            // What leads to one target was written more than once: one of these edits is meant.
            let p: Vec<&Write> = rows.writes.iter().filter(|write| write.text == row).collect();
            let n: Vec<&Write> = pages.writes.iter().filter(|write| write.text == page).collect();
            let loose = state.touched.contains(&key)
                || state.ambiguous.contains(id)
                // What a page is seen to lead to depends on the targets too.
                || (field.as_str() == RELATION && state.target_trashed)
                || self.world.tape.setting.reverts
                || row.is_empty()
                || page.is_empty()
                || (self.world.tape.setting.late_field && field.as_str() == "size");
            if loose {
                continue;
            }
            if p.is_empty() || n.is_empty() {
                if conflict.status == ConflictStatus::Superseded {
                    // What stood there when it was closed again: one of the values may well be ours.
                    continue;
                }
                found.push(format!(
                    "I1: a conflict of {field} of {key} is between `{row}` and `{page}`, which nobody wrote"
                ));
                continue;
            }
            if n.iter().any(|n| rows.wrote(n) || n.puts_back) || p.iter().any(|p| pages.wrote(p)) {
                continue;
            }
            let all = |is: &dyn Fn(&Write, &Write) -> bool| p.iter().all(|p| n.iter().all(|n| is(p, n)));
            if all(&|p, n| rows.had_seen(p, n) || pages.had_seen(n, p)) {
                found.push(format!(
                    "I5: a false conflict of {field} of {key}: `{row}` and `{page}` knew each other"
                ));
            }
            let wrong = match conflict.reason {
                Reason::PostgresWasLater => all(&|p, n| n.at > p.at),
                Reason::NotionWasLater => all(&|p, n| p.at > n.at),
                _ => false,
            };
            if wrong {
                found.push(format!(
                    "D12: {:?} of {field} of {key} is not true",
                    conflict.reason
                ));
            }
        }
    }

    /// The cycles of [`Schedule::check_rest`], unchecked.
    pub(crate) fn rest(&mut self) {
        let before = self.counts();
        for full in REST {
            if !self.cycle(full) || self.counts() != before {
                return;
            }
            self.world.timeline.advance_to(self.world.now() + 700_000);
        }
    }

    /// I3, I14 and I20: another cycle does nothing, a full one does nothing, and the plan is empty.
    fn check_rest(&mut self, found: &mut Vec<String>) {
        let before = self.counts();
        for full in REST {
            if !self.cycle(full) {
                return;
            }
            let after = self.counts();
            if before != after {
                found.push(format!(
                    "I3: another cycle made {} writes to Notion, {} to rows, {} audit entries",
                    after.0 - before.0,
                    after.1 - before.1,
                    after.2 - before.2
                ));
                return;
            }
            for failure in self
                .last
                .iter()
                .flatten()
                .filter_map(|run| run.report.failure.as_ref())
            {
                found.push(format!("I12: a quiet cycle fails: {}", failure.message));
            }
            self.world.timeline.advance_to(self.world.now() + 700_000);
        }
        let state = self.world.lock();
        let whole = state.restored_at.is_none() && !state.coverage.contains_key("killed");
        if self.world.tape.faults.is_empty() && whole {
            // Without faults, every write has its line in the log.
            let audited = self
                .world
                .audit_logs()
                .concat()
                .iter()
                .filter(|entry| {
                    entry.act != Act::Overruled && entry.act != Act::Rejected && entry.act != Act::Linked
                })
                .count() as u64;
            let writes = state.data_writes + state.row_writes;
            if audited < writes {
                found.push(format!("I14: {writes} writes and {audited} audit entries"));
            }
        }
    }

    fn counts(&self) -> (u64, u64, u64) {
        let state = self.world.lock();
        (state.notion_writes, state.row_writes, self.world.audited() as u64)
    }
}
