//! People at a university: they edit both sides all day, a few minutes between two edits, and everything that they
//! write says whose it is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use frames_sync::simulator::table::Columns;
use frames_sync::simulator::workspace::Seed;
use frames_sync::value::{Number, RecordKey, Value};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::postgres::FOREIGN;
use super::university::University;
use super::web::Web;

/// Records that a university begins with.
const TEAMS: u64 = 12;
const PROJECTS: u64 = 4;

/// Teams that a university has at the most.
const MOST_TEAMS: usize = 24;

/// Which record a person wrote to: by its row, or by its page.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Which {
    Key(RecordKey),
    Page(String),
}

/// One value that a person wrote to a field that is accounted for.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) at: Duration,
    pub(crate) entity: &'static str,
    pub(crate) which: Which,
    pub(crate) field: &'static str,
    pub(crate) text: String,
}

/// The fields whose every value is written once only, so that it can be followed: column, property.
pub(crate) const FIELDS: [(&str, &str); 3] = [("name", "Name"), ("note", "Note"), ("size", "Size")];

/// The people of one university.
pub(crate) struct People {
    university: Arc<University>,
    web: Web,
    chance: Mutex<Seed>,
    told: Mutex<Told>,
}

/// What they did.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) writes: Vec<Write>,
    pub(crate) counts: BTreeMap<&'static str, u64>,
    numbers: u64,
}

/// An hour of the day at which people work.
fn is_busy(passed: Duration) -> bool {
    // A soak begins at six in the morning.
    (2..13).contains(&(passed.as_secs() / 3600 % 24))
}

fn rich(property: &str, text: &str) -> Json {
    let kind = if property == "Name" { "title" } else { "rich_text" };
    json!({ property: { kind: [{ "text": { "content": text } }] } })
}

impl People {
    pub(crate) fn new(university: Arc<University>, web: Web, seed: u64) -> Self {
        Self {
            university,
            web,
            chance: Mutex::new(Seed::new(seed)),
            told: Mutex::default(),
        }
    }

    fn below(&self, bound: usize) -> usize {
        let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
        usize::try_from(chance.below(bound.max(1) as u64)).unwrap_or_default()
    }

    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, what: &'static str) {
        *self.told().counts.entry(what).or_default() += 1;
    }

    fn number(&self) -> u64 {
        let mut told = self.told();
        told.numbers += 1;
        told.numbers
    }

    fn org(&self) -> &str {
        &self.university.name
    }

    /// Fills the tables for the first push.
    pub(crate) fn move_in(&self) {
        for number in 0..PROJECTS {
            self.insert("projects", self.org(), number);
        }
        for number in 0..TEAMS {
            self.insert("teams", self.org(), number);
        }
        for number in 0..2 {
            self.insert("teams", FOREIGN, number);
            self.insert("projects", FOREIGN, number);
        }
    }

    fn insert(&self, entity: &'static str, org: &str, number: u64) {
        let key = format!("{org}-{entity}-{number}");
        let name = format!("{org}-{entity}-named-{}", self.number());
        let mut columns = Columns::from([
            ("id".to_owned(), Value::text(key.as_str())),
            ("org".to_owned(), Value::text(org)),
            ("name".to_owned(), Value::text(name.as_str())),
            ("note".to_owned(), Value::Null),
        ]);
        if entity == "teams" {
            columns.extend([
                ("size".to_owned(), Value::Null),
                ("status".to_owned(), Value::text("active")),
                ("is_open".to_owned(), Value::Bool(false)),
                ("project_id".to_owned(), Value::Null),
            ]);
        }
        self.university.postgres.put(entity, columns);
        if org == self.org() {
            self.wrote(entity, Which::Key(RecordKey::single(key)), "name", name);
        }
    }

    /// Says that a value was written which never was.
    pub(crate) fn pretend(&self, text: &str) {
        let key = RecordKey::single(format!("{}-teams-0", self.org()));
        self.wrote("teams", Which::Key(key), "note", text.to_owned());
    }

    fn wrote(&self, entity: &'static str, which: Which, field: &'static str, text: String) {
        let at = self.university.clock.passed();
        self.told().writes.push(Write {
            at,
            entity,
            which,
            field,
            text,
        });
    }

    /// Does what people do until that much time has passed.
    pub(crate) async fn work(&self, until: Duration) {
        loop {
            let mean = if is_busy(self.university.clock.passed()) {
                180.0
            } else {
                900.0
            };
            let share = (self.below(10_000) + 1) as f64 / 10_001.0;
            let gap = Duration::from_secs_f64(-share.ln() * mean);
            if self.university.clock.passed() + gap >= until {
                return;
            }
            tokio::time::sleep(gap).await;
            self.act().await;
        }
    }

    async fn act(&self) {
        match self.below(1000) {
            0..300 => self.edit_row().await,
            300..600 => self.edit_page(),
            600..700 => self.both_edit(false).await,
            700..740 => self.both_edit(true).await,
            740..840 => self.choose(),
            840..890 => self.relate(),
            890..930 => self.type_slowly().await,
            930..945 => self.new_row(),
            945..957 => self.new_page(),
            957..962 => self.delete_row(),
            962..965 => self.trash_page(),
            _ => self.strangers_edit(),
        }
    }

    fn entity(&self) -> &'static str {
        if self.below(4) == 0 { "projects" } else { "teams" }
    }

    fn field(&self, entity: &str) -> (&'static str, &'static str) {
        FIELDS[self.below(if entity == "teams" { 3 } else { 2 })]
    }

    /// A value that nobody ever wrote before.
    fn value(&self, entity: &str, field: &str, hand: &str) -> String {
        let number = self.number();
        if field == "size" {
            number.to_string()
        } else {
            format!("{}-{entity}-{field}-{hand}-{number}", self.org())
        }
    }

    fn some_key(&self, entity: &str) -> Option<RecordKey> {
        let keys = self.university.postgres.keys(entity, self.org());
        let place = self.below(keys.len());
        keys.into_iter().nth(place)
    }

    fn set(&self, entity: &'static str, key: &RecordKey, field: &'static str, text: &str) {
        let value = match (field, Number::parse(text)) {
            ("size", Some(number)) => Value::Number(number),
            _ => Value::text(text),
        };
        if self.university.postgres.set(entity, key, field, value) {
            self.wrote(entity, Which::Key(key.clone()), field, text.to_owned());
        }
    }

    async fn edit_row(&self) {
        let entity = self.entity();
        let ((field, _), Some(key)) = (self.field(entity), self.some_key(entity)) else {
            return;
        };
        let text = self.value(entity, field, "postgres");
        self.set(entity, &key, field, &text);
        self.count("rows edited");
        // Where no trigger notes it, the application says so, more often than not.
        if entity == "projects" && self.below(3) > 0 {
            let path = format!(
                "/api/v1/profiles/{}/entities/projects/records/{}/sync",
                self.org(),
                key.0[0]
            );
            if self.web.post(&path, &[], "").await != Some(202) {
                self.count("calls of the API that were not taken");
            }
        }
    }

    fn pages(&self, entity: &str) -> Vec<Uuid> {
        let source = self.university.data_source(entity);
        let source: Uuid = source.as_str().parse().unwrap_or_default();
        self.at_present(|workspace| workspace.rows(source))
    }

    fn at_present<T>(&self, act: impl FnOnce(&mut frames_sync::simulator::Workspace) -> T) -> T {
        let university = &self.university;
        university.simulator.set_clock(university.clock.of_notion());
        university.simulator.workspace(act)
    }

    fn some_page(&self, entity: &str) -> Option<Uuid> {
        let pages = self.pages(entity);
        let place = self.below(pages.len());
        pages.into_iter().nth(place)
    }

    /// Whether Notion took it: a page may have gone to the trash meanwhile.
    fn type_in(&self, page: Uuid, properties: &Json) -> bool {
        let taken = self.at_present(|workspace| workspace.edit_many(page, properties).is_ok());
        for name in properties.as_object().into_iter().flat_map(|all| all.keys()) {
            for entity in ["teams", "projects"] {
                // A page has the properties of one of them; the other's ids are others.
                if let Some(id) = self.university.property_id(entity, name) {
                    self.university.line.edited(page.to_string(), id.to_string());
                }
            }
        }
        taken
    }

    fn type_value(&self, entity: &'static str, page: Uuid, field: (&'static str, &'static str), text: &str) {
        let (column, property) = field;
        let properties = match (column, text.parse::<u64>()) {
            ("size", Ok(number)) => json!({ property: { "number": number } }),
            _ => rich(property, text),
        };
        if self.type_in(page, &properties) {
            self.wrote(entity, Which::Page(page.to_string()), column, text.to_owned());
        }
    }

    fn edit_page(&self) {
        let entity = self.entity();
        let (field, Some(page)) = (self.field(entity), self.some_page(entity)) else {
            return;
        };
        let text = self.value(entity, field.0, "notion");
        self.type_value(entity, page, field, &text);
        self.count("pages edited");
    }

    /// Two people at one field, each on a side, within half a minute: the same value, or two.
    async fn both_edit(&self, is_same: bool) {
        let entity = self.entity();
        let field = self.field(entity);
        let Some(page) = self.some_page(entity) else {
            return;
        };
        let label = self.at_present(|workspace| workspace.value(page, "postgres_id"));
        let Some(key) = label.and_then(|label| Some(label[0]["plain_text"].as_str()?.to_owned())) else {
            return;
        };
        let key = RecordKey::single(key);
        let first = self.value(entity, field.0, if is_same { "both" } else { "postgres" });
        let second = if is_same {
            first.clone()
        } else {
            self.value(entity, field.0, "notion")
        };
        let gap = Duration::from_millis(self.below(30_000) as u64);
        if self.below(2) == 0 {
            self.set(entity, &key, field.0, &first);
            tokio::time::sleep(gap).await;
            self.type_value(entity, page, field, &second);
        } else {
            self.type_value(entity, page, field, &second);
            tokio::time::sleep(gap).await;
            self.set(entity, &key, field.0, &first);
        }
        self.count(if is_same {
            "fields edited alike on both sides"
        } else {
            "fields edited on both sides"
        });
    }

    /// What can hold few values, and so is not followed value by value.
    fn choose(&self) {
        let status = ["active", "paused", "done"][self.below(3)];
        let is_open = self.below(2) == 0;
        if self.below(2) == 0 {
            let Some(key) = self.some_key("teams") else { return };
            self.university
                .postgres
                .set("teams", &key, "status", Value::text(status));
            self.university
                .postgres
                .set("teams", &key, "is_open", Value::Bool(is_open));
        } else if let Some(page) = self.some_page("teams") {
            let properties =
                json!({ "Status": { "select": { "name": status } }, "Open": { "checkbox": is_open } });
            self.type_in(page, &properties);
        }
        self.count("options and checkboxes set");
    }

    fn relate(&self) {
        if self.below(2) == 0 {
            let (Some(key), Some(target)) = (self.some_key("teams"), self.some_key("projects")) else {
                return;
            };
            let target = Value::text(target.0[0].as_str());
            self.university.postgres.set("teams", &key, "project_id", target);
        } else if let (Some(page), Some(target)) = (self.some_page("teams"), self.some_page("projects")) {
            self.type_in(page, &json!({ "Project": { "relation": [{ "id": target }] } }));
        }
        self.count("relations set");
    }

    /// Somebody thinks while typing.
    async fn type_slowly(&self) {
        let Some(page) = self.some_page("teams") else {
            return;
        };
        for _ in 0..3 + self.below(4) {
            let text = self.value("teams", "note", "notion");
            self.type_value("teams", page, ("note", "Note"), &text);
            tokio::time::sleep(Duration::from_millis(2_000 + self.below(20_000) as u64)).await;
        }
        self.count("pages typed in slowly");
    }

    fn new_row(&self) {
        if self.university.postgres.keys("teams", self.org()).len() < MOST_TEAMS {
            let number = 1000 + self.number();
            self.insert("teams", self.org(), number);
            self.count("rows inserted");
        }
    }

    fn new_page(&self) {
        if self.pages("teams").len() >= MOST_TEAMS {
            return;
        }
        let source = self.university.data_source("teams");
        let source: Uuid = source.as_str().parse().unwrap_or_default();
        let name = self.value("teams", "name", "notion");
        let made = self.at_present(|workspace| workspace.add_row(source, &rich("Name", &name)));
        if let Ok(page) = made {
            self.wrote("teams", Which::Page(page.to_string()), "name", name);
            self.count("pages made");
        }
    }

    /// Fewer a day than the guard lets pass.
    fn delete_row(&self) {
        let deleted = self
            .told()
            .counts
            .get("rows deleted")
            .copied()
            .unwrap_or_default();
        let days = self.university.clock.passed().as_secs() / 86_400 + 1;
        if deleted >= days * 2 {
            return;
        }
        if let Some(key) = self.some_key("teams") {
            self.university.postgres.delete("teams", &key);
            self.count("rows deleted");
        }
    }

    fn trash_page(&self) {
        let trashed = self
            .told()
            .counts
            .get("pages trashed")
            .copied()
            .unwrap_or_default();
        if trashed >= 2 {
            return;
        }
        if let Some(page) = self.some_page("teams") {
            self.at_present(|workspace| workspace.trash(page));
            self.count("pages trashed");
        }
    }

    fn strangers_edit(&self) {
        let keys = self.university.postgres.keys("teams", FOREIGN);
        let place = self.below(keys.len());
        let text = format!("{FOREIGN}-note-{}", self.number());
        if let Some(key) = keys.get(place) {
            self.university
                .postgres
                .set("teams", key, "note", Value::text(text));
            self.count("rows of another tenant edited");
        }
    }
}
