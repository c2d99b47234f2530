//! What must hold when everything is quiet: the invariants of the sync semantics, section 9, over both sides and the
//! engine's memory, against what people wrote.
//!
//! For every field the oracle knows the *set* of values that it may end with: what was written last on each side, less
//! what the other side's writer had already seen, less what the policy decides against. It looks at the truth about both
//! sides, never at an observation, and shares no code with the planner.

use std::collections::{BTreeMap, BTreeSet};

use frames_sync::journal::{Act, Conflict, ConflictStatus, Kept};
use frames_sync::mapping::{ConflictPolicy, OnPageCreate, OnRowDelete};
use frames_sync::ports::{Link, PageParent};
use frames_sync::reconcile::{Phase, Reason};
use frames_sync::value::{PageId, PropertyId, RecordKey, Value};

use super::Schedule;
use super::mutants::Mutant;
use super::world::{BOT, Cell, FIELDS, PROJECTS, RELATION, State, TEAMS, Write, normal, property, text};

/// The cycles after the quiet phase, which must do nothing: whether each looks at everything.
const REST: [bool; 2] = [false, true];

/// What of a record was written down somewhere a person can see and take it back from.
struct Accounts {
    values: BTreeSet<String>,
    open: BTreeSet<(RecordKey, String)>,
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
        self.check_records(&state, &accounts, &mut found);
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
            links: self.world.postgres.links(),
            conflicts: self.world.postgres.all_conflicts(),
        };
        let mut keep = |value: &Value| {
            accounts.values.insert(normal(&text(value)));
        };
        for entry in self.world.postgres.audit_log() {
            match &entry.old {
                Some(Kept::Value(value)) => keep(value),
                Some(Kept::Record(values)) => values.values().for_each(&mut keep),
                Some(Kept::Erased { .. }) | None => {}
            }
        }
        for conflict in &accounts.conflicts {
            conflict
                .row
                .iter()
                .chain(&conflict.page_value)
                .for_each(&mut keep);
            if let (ConflictStatus::Open | ConflictStatus::Chosen(_), Some(property)) =
                (conflict.status, &conflict.property)
            {
                accounts.open.insert((conflict.key.clone(), property.to_string()));
            }
        }
        accounts
    }

    /// I1, I2, I4 and I19 for every row.
    fn check_records(&self, state: &State, accounts: &Accounts, found: &mut Vec<String>) {
        for key in self.world.postgres.keys(TEAMS) {
            let Some(row) = self.world.postgres.row(TEAMS, &key) else {
                continue;
            };
            let in_scope = row.get("org") == Some(&Value::text("a"));
            let links: Vec<&Link> = accounts
                .links
                .iter()
                .filter(|link| link.entity == TEAMS && link.key == key && link.phase != Phase::Tombstone)
                .collect();
            let [link] = *links.as_slice() else {
                if in_scope {
                    found.push(format!("I4: row {key} has {} links", links.len()));
                }
                continue;
            };
            let page = link.page.as_ref().and_then(|id| state.pages.get(id));
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
                    self.check_relation(state, accounts, link, &id, &row, found);
                }
                Phase::Held | Phase::Detached if !live => {}
                _ if troubled => {}
                phase => found.push(format!(
                    "I2: row {key} is {phase:?}, its page {:?} is {}",
                    link.page,
                    if live { "there" } else { "not there" }
                )),
            }
        }
        for link in &accounts.links {
            if link.entity != TEAMS || link.phase != Phase::Linked || !link.troubles.is_empty() {
                continue;
            }
            let setting = &self.world.tape.setting;
            let stays = setting.on_row_delete != OnRowDelete::TrashPage;
            // A row that could not be put back is told on its page, and in every report.
            let told = link
                .page
                .as_ref()
                .and_then(|id| state.pages.get(id))
                .is_some_and(|page| property(&page.now().page, "sync_status") == "error");
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
        let open = accounts.open.contains(&(link.key.clone(), field.to_owned()));
        if (here != there && !held && !open) || self.world.is(Mutant::Canary) {
            found.push(format!(
                "I2: {field} of {key} is `{here}` here and `{there}` there"
            ));
            return;
        }
        let empty = Cell::default();
        let rows = state.rows.get(&key, field).unwrap_or(&empty);
        let pages = state.cells.get(id.as_str(), field).unwrap_or(&empty);
        let (p, n) = (rows.writes.last(), pages.writes.last());
        if held || open {
            // Accounted for: both sides still hold what their people wrote, or what was there.
            return;
        }
        if p.is_some_and(|p| p.withdrawn) || n.is_some_and(|n| n.withdrawn) {
            // What its own people removed owes nothing to anybody.
            return;
        }
        let final_value = normal(&here);
        // A value put back stands twice in the history: which of the two somebody had seen cannot be told by value.
        let loose =
            state.touched.contains(&key) || state.ambiguous.contains(id) || self.world.tape.setting.reverts;
        let both = |p: &Write, n: &Write| {
            let p_saw = rows.had_seen(p, &n.text);
            let n_saw = pages.had_seen(n, &p.text);
            (p_saw, n_saw)
        };
        let may: Vec<&str> = match (field, p, n) {
            (_, None, None) => return,
            ("tag", Some(p), _) | (_, Some(p), None) => vec![&p.text],
            ("hint", _, Some(n)) | (_, None, Some(n)) => vec![&n.text],
            (_, Some(p), Some(n)) if loose || n.raced || rows.wrote(&n.text) || pages.wrote(&p.text) => {
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
        let skipped = (field == "hint" && n.is_none()) || (field == "tag" && p.is_none());
        if !skipped && !may.contains(&final_value.as_str()) {
            let lost_race = n.is_some_and(|n| n.raced);
            // R3 cannot tell a value put back by hand from our own request landing late; it is kept in the log.
            let put_back = self.world.tape.setting.reverts
                && n.is_some_and(|n| accounts.values.contains(&n.text) && n.text != final_value);
            if !lost_race && !put_back {
                found.push(format!(
                    "I1: {field} of {key} ended as `{final_value}`, and may be {may:?}"
                ));
            }
            return;
        }
        // The loser, where its writer had not been overtaken knowingly.
        if let (Some(p), Some(n)) = (p, n) {
            let (p_saw, n_saw) = both(p, n);
            for (write, seen_by_winner, side) in [(n, p_saw, "Notion"), (p, n_saw, "Postgres")] {
                if write.text != final_value
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
        let wanted = accounts
            .links
            .iter()
            .find(|link| link.entity == PROJECTS && link.key == RecordKey::single(key.as_str()))
            .and_then(|link| link.page.as_ref())
            .map(|page| page.as_str().to_owned())
            .unwrap_or_default();
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
        }
    }

    /// I4: no page of ours without a link; a person's page has a row where the profile makes rows.
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
            let status = property(&now.page, "sync_status");
            if now.page.created_by.as_str() == BOT {
                found.push(format!("I4: {id} was created by us and belongs to no record"));
            } else if self.world.tape.setting.on_page_create == OnPageCreate::InsertRow
                && !["error", "duplicate"].contains(&status.as_str())
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
                if field.as_str() == RELATION {
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
            let key = conflict.key.to_string();
            let rows = state.rows.get(&key, field.as_str());
            let pages = state.cells.get(id.as_str(), field.as_str());
            let (Some(rows), Some(pages)) = (rows, pages) else {
                continue;
            };
            let (row, page) = (normal(&text(row)), normal(&text(page)));
            let p = rows.writes.iter().rev().find(|write| write.text == row);
            let n = pages.writes.iter().rev().find(|write| write.text == page);
            let loose = state.touched.contains(&key)
                || state.ambiguous.contains(id)
                || self.world.tape.setting.reverts;
            if loose {
                continue;
            }
            let (Some(p), Some(n)) = (p, n) else {
                found.push(format!(
                    "I1: a conflict of {field} of {key} is between `{row}` and `{page}`, which nobody wrote"
                ));
                continue;
            };
            if rows.wrote(&n.text) || pages.wrote(&p.text) {
                continue;
            }
            if rows.had_seen(p, &n.text) || pages.had_seen(n, &p.text) {
                found.push(format!(
                    "I5: a false conflict of {field} of {key}: `{row}` and `{page}` knew each other"
                ));
            }
            let wrong = match conflict.reason {
                Reason::PostgresWasLater => n.at > p.at,
                Reason::NotionWasLater => p.at > n.at,
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
            if let Some(failure) = self.last.as_ref().and_then(|run| run.report.failure.as_ref()) {
                found.push(format!("I12: a quiet cycle fails: {}", failure.message));
            }
            self.world.timeline.advance_to(self.world.now() + 700_000);
        }
        let state = self.world.lock();
        if self.world.tape.faults.is_empty() && !state.coverage.contains_key("killed") {
            // Without faults, every write has its line in the log.
            let audited = self
                .world
                .postgres
                .audit_log()
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
        (
            state.notion_writes,
            state.row_writes,
            self.world.postgres.audited() as u64,
        )
    }
}
