//! What must hold when everybody has gone home: both sides agree, and no value that a person wrote is lost.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{BuildHasher, Hasher, RandomState};

use frames_sync::journal::{ConflictStatus, Kept};
use frames_sync::ports::Link;
use frames_sync::reconcile::Phase;
use frames_sync::value::{RecordKey, Value, plain_text};
use serde_json::Value as Json;
use uuid::Uuid;

use super::people::{FIELDS, People, Which, Write};
use super::postgres::FOREIGN;
use super::university::University;

/// The fields of each entity: column, property.
const ALL: [(&str, &[(&str, &str)]); 2] = [
    ("projects", &[("name", "Name"), ("note", "Note")]),
    (
        "teams",
        &[
            ("name", "Name"),
            ("note", "Note"),
            ("size", "Size"),
            ("status", "Status"),
            ("is_open", "Open"),
            ("project_id", "Project"),
        ],
    ),
];

/// What the audit log and the conflicts ever held of a university, as digests: the log itself forgets.
#[derive(Default)]
pub(crate) struct Ledger {
    state: RandomState,
    accounted: HashSet<u64>,
    conflicts: HashSet<Uuid>,
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Text(text) | Value::Opaque(text) => text.clone(),
        Value::Number(number) => number.as_str().to_owned(),
        Value::Bool(is_so) => is_so.to_string(),
        Value::RichText(runs) => plain_text(runs),
        Value::Choice(choice) => choice.name.clone(),
        other => other.to_json().to_string(),
    }
}

/// What a page shows of a property; relations as the ids of their targets.
fn shown(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::Array(items) => items.iter().map(shown).collect(),
        Json::Object(object) => ["plain_text", "name", "id"]
            .iter()
            .find_map(|name| object.get(*name)?.as_str())
            .unwrap_or_default()
            .to_owned(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Ledger {
    fn digest(&self, text: &str) -> u64 {
        let mut hasher = self.state.build_hasher();
        hasher.write(text.as_bytes());
        hasher.finish()
    }

    fn keep(&mut self, value: &Value) {
        let digest = self.digest(&text(value));
        self.accounted.insert(digest);
    }

    /// Takes in what is there now.
    pub(crate) fn take(&mut self, university: &University) {
        for entry in university.store.audit_log() {
            match &entry.old {
                Some(Kept::Value(value)) => self.keep(value),
                Some(Kept::Record(values)) => values.values().for_each(|value| self.keep(value)),
                // Nobody erases in a soak; what is erased keeps nothing.
                Some(Kept::Erased { .. }) | None => {}
            }
        }
        for conflict in university.store.all_conflicts() {
            self.conflicts.insert(conflict.id);
            for value in [&conflict.row, &conflict.page_value].into_iter().flatten() {
                self.keep(value);
            }
        }
    }

    /// How many conflicts there were, whoever settled them.
    pub(crate) fn conflicts(&self) -> u64 {
        self.conflicts.len() as u64
    }

    fn holds(&self, text: &str) -> bool {
        self.accounted.contains(&self.digest(text))
    }
}

/// What was found, by university.
#[derive(Default)]
pub(crate) struct Findings {
    /// What does not hold.
    pub(crate) wrong: Vec<String>,
    /// Edits that were overwritten in the declared window.
    pub(crate) raced: u64,
    /// Values that were followed to their end.
    pub(crate) followed: u64,
    /// Fields whose two sides were compared.
    pub(crate) compared: u64,
    /// Pages whose row was deleted while they were edited, which wait for a person.
    pub(crate) waiting: u64,
}

/// One university's two sides, held against each other and against what its people wrote.
pub(crate) struct Judge<'a> {
    pub(crate) university: &'a University,
    pub(crate) people: &'a People,
    pub(crate) ledger: &'a Ledger,
}

impl Judge<'_> {
    pub(crate) fn findings(&self) -> Findings {
        let mut findings = Findings::default();
        let links = self.university.store.links();
        for (entity, fields) in ALL {
            self.agree(entity, fields, &links, &mut findings);
        }
        self.nothing_is_lost(&links, &mut findings);
        self.nobody_else(&mut findings);
        let name = &self.university.name;
        findings
            .wrong
            .iter_mut()
            .for_each(|line| line.insert_str(0, &format!("{name}: ")));
        findings
    }

    fn page_value(&self, page: Uuid, property: &str) -> Json {
        let value = self
            .university
            .simulator
            .workspace(|workspace| workspace.value(page, property));
        value.unwrap_or_default()
    }

    /// I2 and I4: each row has one live page with the same values, unless it is held; and no other page is there.
    fn agree(&self, entity: &str, fields: &[(&str, &str)], links: &[Link], findings: &mut Findings) {
        let source: Uuid = self
            .university
            .data_source(entity)
            .as_str()
            .parse()
            .unwrap_or_default();
        let mut pages: BTreeSet<Uuid> = self
            .university
            .simulator
            .workspace(|workspace| workspace.rows(source))
            .into_iter()
            .collect();
        for key in self.university.postgres.keys(entity, &self.university.name) {
            let of_key: Vec<&Link> = links
                .iter()
                .filter(|link| link.entity == entity && link.key == key && link.phase != Phase::Tombstone)
                .collect();
            let [link] = of_key.as_slice() else {
                findings
                    .wrong
                    .push(format!("{entity} {key} has {} links", of_key.len()));
                continue;
            };
            if link.phase == Phase::Held {
                continue;
            }
            if link.phase != Phase::Linked || !link.troubles.is_empty() {
                findings
                    .wrong
                    .push(format!("{entity} {key} is {:?}: {:?}", link.phase, link.troubles));
            }
            let page: Option<Uuid> = link.page.as_ref().and_then(|page| page.as_str().parse().ok());
            let Some(page) = page.filter(|page| pages.remove(page)) else {
                findings.wrong.push(format!("{entity} {key} has no live page"));
                continue;
            };
            let Some(row) = self.university.postgres.row(entity, &key) else {
                continue;
            };
            for (column, property) in fields {
                let mut on_page = shown(&self.page_value(page, property));
                if *property == "Project" {
                    let target = links
                        .iter()
                        .find(|link| link.page.as_ref().is_some_and(|page| page.as_str() == on_page));
                    on_page = target.map(|link| link.key.0[0].clone()).unwrap_or_default();
                }
                let in_row = text(&row[*column]);
                findings.compared += 1;
                if in_row != on_page {
                    findings.wrong.push(format!(
                        "{entity} {key}: {column} is `{in_row}` in Postgres and `{on_page}` in Notion"
                    ));
                }
            }
        }
        let conflicts = self.university.store.all_conflicts();
        for page in pages {
            let of_page = |link: &&Link| {
                link.page
                    .as_ref()
                    .is_some_and(|id| id.as_str() == page.to_string())
            };
            let link = links.iter().find(of_page);
            // A row was deleted while its page was edited: that waits for a person.
            let waits = link.is_some_and(|link| {
                let open = conflicts
                    .iter()
                    .filter(|conflict| conflict.status == ConflictStatus::Open);
                open.into_iter().any(|conflict| conflict.link == link.id)
            });
            if waits {
                findings.waiting += 1;
                continue;
            }
            let label = shown(&self.page_value(page, "postgres_id"));
            let link = link.map(|link| (link.phase, &link.troubles, &link.note));
            findings
                .wrong
                .push(format!("{entity}: a page `{label}` belongs to no row: {link:?}"));
        }
    }

    /// I1: every value is there at the end, was overwritten later on its own side, or is accounted for.
    fn nothing_is_lost(&self, links: &[Link], findings: &mut Findings) {
        let told = self.people.told();
        let mut by_page: BTreeMap<&str, &Link> = BTreeMap::new();
        for link in links {
            if let Some(page) = &link.page {
                by_page.insert(page.as_str(), link);
            }
        }
        let mut last: BTreeMap<(&Which, &str), &Write> = BTreeMap::new();
        for write in &told.writes {
            last.insert((&write.which, write.field), write);
        }
        for write in last.into_values() {
            findings.followed += 1;
            if self.ledger.holds(&write.text) || self.is_there(write, &by_page) {
                continue;
            }
            if self.may_be_raced(write) {
                findings.raced += 1;
                continue;
            }
            findings.wrong.push(format!("lost: {write:?}"));
        }
        // Those that a person overwrote on the same side are followed no further.
        findings.followed += u64::try_from(told.writes.len()).unwrap_or_default() - findings.followed;
    }

    fn is_there(&self, write: &Write, by_page: &BTreeMap<&str, &Link>) -> bool {
        let key = match &write.which {
            Which::Key(key) => Some(key.clone()),
            Which::Page(page) => by_page.get(page.as_str()).map(|link| link.key.clone()),
        };
        let in_row = |key: RecordKey| {
            let row = self.university.postgres.row(write.entity, &key);
            row.is_some_and(|row| text(&row[write.field]) == write.text)
        };
        let on_page = || {
            let Which::Page(page) = &write.which else {
                return false;
            };
            let property = FIELDS.iter().find(|(column, _)| *column == write.field);
            let (Ok(page), Some((_, property))) = (page.parse(), property) else {
                return false;
            };
            // A page in the trash keeps what was typed into it.
            shown(&self.page_value(page, property)) == write.text
        };
        key.is_some_and(in_row) || on_page()
    }

    fn may_be_raced(&self, write: &Write) -> bool {
        let Which::Page(page) = &write.which else {
            return false;
        };
        let Some((_, property)) = FIELDS.iter().find(|(column, _)| *column == write.field) else {
            return false;
        };
        let Some(id) = self.university.property_id(write.entity, property) else {
            return false;
        };
        self.university.line.seen().windows.iter().any(|window| {
            window.page == *page
                && window.property == id.as_str()
                && (window.from..=window.until).contains(&write.at)
        })
    }

    /// I7: no other university's values, and nobody's of the tenant beside it, on any page; and that tenant's rows are
    /// as they were left.
    fn nobody_else(&self, findings: &mut Findings) {
        findings.wrong.append(&mut self.university.line.seen().leaks);
        for (entity, fields) in ALL {
            for key in self.university.postgres.keys(entity, FOREIGN) {
                let row = self.university.postgres.row(entity, &key).unwrap_or_default();
                let is_theirs = |column: &str| {
                    let value = text(&row[column]);
                    value.is_empty() || value.starts_with(FOREIGN)
                };
                if !fields[..2].iter().all(|(column, _)| is_theirs(column)) {
                    findings
                        .wrong
                        .push(format!("{entity} {key} of another tenant was written"));
                }
            }
        }
    }
}
