//! What must hold when everything is quiet: sync semantics, section 9, I1 to I4 exactly, I7, I10 and I17.
//!
//! It knows what people wrote (in Postgres from a trigger's notes, in Notion from the people themselves), what both sides hold
//! now, and every request. Of the product it reads only what a person could: links, audit log, conflicts, log lines. Values are
//! each written once in the whole run, so that a value is the name of its edit.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use frames_sync::simulator::Exchange;
use serde_json::{Value as Json, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::people::{People, Typed};
use super::world::{FIELDS, LATE_SECONDS, PASSWORD, Stage, Tenant, plain, rows};

/// What came of it.
#[derive(Default)]
pub(super) struct Judgement {
    pub(super) violations: Vec<String>,
    pub(super) counts: BTreeMap<&'static str, u64>,
}

impl Judgement {
    fn wrong(&mut self, what: String) {
        self.violations.push(what);
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }
}

/// One change of a row, as the harness's trigger noted it.
struct Noted {
    by_person: bool,
    is_delete: bool,
    org: String,
    values: [String; FIELDS.len()],
    own: String,
}

/// A page as it is now.
struct Page {
    values: [String; FIELDS.len()],
    is_live: bool,
    by_bot: bool,
    status: String,
}

/// A link that is none of the past.
struct Linked {
    key: String,
    page: Option<Uuid>,
    phase: String,
    /// The properties that something keeps out of step; `None` among them is the record.
    troubled: BTreeSet<Option<String>>,
}

/// Everything known of one profile.
struct Known<'a> {
    tenant: &'a Tenant,
    history: BTreeMap<String, Vec<Noted>>,
    pages: BTreeMap<Uuid, Page>,
    links: Vec<Linked>,
    /// Keys and properties with an open conflict; without a property it is about the record.
    open: BTreeSet<(String, Option<String>)>,
    /// Every value that the audit log or a conflict keeps as what was overwritten, refused or is in dispute.
    kept: BTreeSet<String>,
    /// Every value that was typed on the page of a row that had left the scope, and refused for that (E8), or on one that a person
    /// then put in the trash, and that came back as its row was (E7).
    refused: BTreeSet<String>,
    /// Pages whose record has ended, with its key.
    ended: BTreeMap<Uuid, String>,
    /// Every value that the audit log says was written to a page, with the first instant of that.
    pushed: BTreeMap<String, String>,
    /// Every value that the audit log says was written to a row.
    pulled: BTreeSet<String>,
    /// What people typed, by page and property.
    typed: BTreeMap<(Uuid, &'static str), Vec<&'a Typed>>,
    /// Requests about each page, in order.
    requests: BTreeMap<Uuid, Vec<&'a Exchange>>,
    /// Property ids by name.
    ids: BTreeMap<&'static str, String>,
}

/// Checks everything.
pub(super) async fn judge(
    stage: &Stage,
    people: &People,
    connection: &mut PgConnection,
) -> io::Result<Judgement> {
    let mut judgement = Judgement::default();
    let exchanges = stage.world.simulator.exchanges();
    judgement
        .counts
        .insert("requests to notion", exchanges.len() as u64);
    for tenant in &stage.world.tenants {
        let known = Known::of(stage, people, tenant, &exchanges, connection).await;
        known.check_rows(people, &mut judgement);
        known.check_pages(&mut judgement);
        known.check_writes_of_people_in_postgres(&mut judgement);
        known.check_writes_of_people_in_notion(stage, &mut judgement);
        known.check_commits(&mut judgement);
    }
    check_isolation(stage, &exchanges, &mut judgement);
    check_logs(stage, &mut judgement)?;
    Ok(judgement)
}

impl<'a> Known<'a> {
    async fn of(
        stage: &Stage,
        people: &'a People,
        tenant: &'a Tenant,
        exchanges: &'a [Exchange],
        connection: &mut PgConnection,
    ) -> Self {
        let profile = tenant.profile;
        let ids: BTreeMap<&'static str, String> = stage.world.simulator.workspace(|workspace| {
            let source = workspace.data_source_object(tenant.source).unwrap_or_default();
            FIELDS
                .iter()
                .map(|(_, name)| {
                    let id = source["properties"][*name]["id"].as_str().unwrap_or_default();
                    (*name, id.to_owned())
                })
                .collect()
        });
        let name_of = |id: &Json| {
            let id = id.as_str()?;
            let name = ids.iter().find(|(_, other)| *other == id);
            Some(name.map_or_else(|| id.to_owned(), |(name, _)| (*name).to_owned()))
        };
        let mut known = Self {
            tenant,
            history: BTreeMap::new(),
            pages: BTreeMap::new(),
            links: Vec::new(),
            open: BTreeSet::new(),
            kept: BTreeSet::new(),
            refused: BTreeSet::new(),
            ended: BTreeMap::new(),
            pushed: BTreeMap::new(),
            pulled: BTreeSet::new(),
            typed: BTreeMap::new(),
            requests: BTreeMap::new(),
            ids: ids.clone(),
        };
        let sql = format!(
            "select * from chaos_history where id like '{}-%' order by seq",
            tenant.key
        );
        for row in rows(connection, &sql).await {
            let text = |column: &str| row[column].as_str().unwrap_or_default().to_owned();
            known.history.entry(text("id")).or_default().push(Noted {
                by_person: row["who"] == "person",
                is_delete: row["op"] == "delete",
                org: text("org"),
                values: FIELDS.map(|(column, _)| text(column)),
                own: text("own"),
            });
        }
        let sql =
            format!("select body from frames_sync.link where profile = '{profile}' and phase <> 'tombstone'");
        for row in rows(connection, &sql).await {
            let body = &row["body"];
            let troubles = body["troubles"].as_array().cloned().unwrap_or_default();
            known.links.push(Linked {
                key: key_of(&body["key"]),
                page: body["page"].as_str().and_then(|page| page.parse().ok()),
                phase: body["phase"].as_str().unwrap_or_default().to_owned(),
                troubled: troubles
                    .iter()
                    .map(|trouble| name_of(&trouble["property"]))
                    .collect(),
            });
        }
        let sql = format!(
            "select key::json as key, page_id from frames_sync.link \
             where profile = '{profile}' and phase = 'tombstone' and page_id is not null"
        );
        for row in rows(connection, &sql).await {
            let page = row["page_id"].as_str().and_then(|page| page.parse().ok());
            known.ended.extend(page.map(|page| (page, key_of(&row["key"]))));
        }
        let sql = format!("select body, open from frames_sync.conflict where profile = '{profile}'");
        for row in rows(connection, &sql).await {
            let body = &row["body"];
            leaves(&body["row"], &mut known.kept);
            leaves(&body["page_value"], &mut known.kept);
            if row["open"] == true {
                known
                    .open
                    .insert((key_of(&body["key"]), name_of(&body["property"])));
            }
        }
        let sql = format!(
            "select body, side, to_char(at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') as at \
             from frames_sync.audit where profile = '{profile}' order by seq"
        );
        for row in rows(connection, &sql).await {
            leaves(&row["body"]["old"], &mut known.kept);
            // With a page that a person put in the trash goes what they had typed on it: E7 brings it back as the row is.
            let with_its_page = row["body"]["cause"] == "page_was_trashed_and_row_edited";
            if row["body"]["act"] == "rejected" || with_its_page {
                leaves(&row["body"]["old"], &mut known.refused);
            }
            let mut new = BTreeSet::new();
            leaves(&row["body"]["new"], &mut new);
            // A request that was given up on may have arrived: whoever typed over it met it as somebody else's edit.
            if row["body"]["cause"] == "outcome_is_open" {
                continue;
            }
            if row["side"] == "notion" {
                let at = row["at"].as_str().unwrap_or_default();
                for value in new {
                    known.pushed.entry(value).or_insert_with(|| at.to_owned());
                }
            } else {
                known.pulled.extend(new);
            }
        }
        stage.world.simulator.workspace(|workspace| {
            let live = workspace.rows(tenant.source);
            let trashed = workspace.trashed_rows(tenant.source);
            for (page, is_live) in live
                .into_iter()
                .map(|page| (page, true))
                .chain(trashed.into_iter().map(|page| (page, false)))
            {
                let object = workspace.page_object(page).unwrap_or_default();
                let value = |name: &str| plain(&workspace.value(page, name).unwrap_or_default());
                let status = workspace.value(page, "sync_status").unwrap_or_default();
                let person = workspace.person().to_string();
                known.pages.insert(
                    page,
                    Page {
                        values: FIELDS.map(|(_, name)| value(name)),
                        is_live,
                        by_bot: object["created_by"]["id"] != json!(person),
                        status: status["name"].as_str().unwrap_or_default().to_owned(),
                    },
                );
            }
        });
        for typed in &people.typed {
            if known.pages.contains_key(&typed.page) {
                known
                    .typed
                    .entry((typed.page, typed.field))
                    .or_default()
                    .push(typed);
            }
        }
        for exchange in exchanges {
            let page = exchange.path.strip_prefix("/v1/pages/");
            if let Some(page) = page.and_then(|page| page.parse().ok()) {
                known.requests.entry(page).or_default().push(exchange);
            }
        }
        known
    }

    /// The row that is there now, in scope.
    fn row(&self, key: &str) -> Option<&Noted> {
        let last = self.history.get(key)?.last()?;
        (!last.is_delete && last.org == self.tenant.profile).then_some(last)
    }

    fn links_of(&self, key: &str) -> Vec<&Linked> {
        self.links.iter().filter(|link| link.key == key).collect()
    }

    fn link_of_page(&self, page: Uuid) -> Option<&Linked> {
        self.links.iter().find(|link| link.page == Some(page))
    }

    /// Whether something that people can see keeps a cell out of step.
    fn is_accounted(&self, link: &Linked, field: &str) -> bool {
        let open = |property: Option<String>| self.open.contains(&(link.key.clone(), property));
        link.troubled.contains(&None)
            || link.troubled.contains(&Some(field.to_owned()))
            || open(None)
            || open(Some(field.to_owned()))
    }

    /// I2 and I4 for every row: one link, one page, the same values.
    fn check_rows(&self, people: &People, judgement: &mut Judgement) {
        for key in self.history.keys() {
            let Some(row) = self.row(key) else {
                continue;
            };
            judgement.count("rows at the end");
            let links = self.links_of(key);
            let [link] = links.as_slice() else {
                judgement.wrong(format!("I4: row {key} has {} links", links.len()));
                continue;
            };
            let found = link.page.and_then(|id| Some((id, self.pages.get(&id)?)));
            let Some((id, page)) = found else {
                judgement.wrong(format!("I4: row {key} is {} and has no page", link.phase));
                continue;
            };
            if !page.is_live {
                // A person put it there, and that is the last that a person did with it.
                if link.phase == "held" && people.binned.get(&id) == Some(&true) {
                    judgement.count("held: page in the trash");
                } else {
                    judgement.wrong(format!(
                        "I4: row {key} is {} and its page {id} is in the trash",
                        link.phase
                    ));
                }
                continue;
            }
            if link.phase != "linked" && link.troubled.is_empty() {
                judgement.wrong(format!(
                    "I2: row {key} is {} though its page is there",
                    link.phase
                ));
            }
            for (index, (column, field)) in FIELDS.iter().enumerate() {
                if row.values[index] == page.values[index] {
                    continue;
                }
                if self.is_accounted(link, field) {
                    judgement.count("cells held: conflict or error");
                } else {
                    judgement.wrong(format!(
                        "I2: {column} of {key} is `{}` in Postgres and `{}` on page {id}",
                        row.values[index], page.values[index]
                    ));
                }
            }
        }
    }

    /// I4 for every page: it has a row, and no other page has the same.
    fn check_pages(&self, judgement: &mut Judgement) {
        let mut owners: BTreeMap<Uuid, u32> = BTreeMap::new();
        for page in self.links.iter().filter_map(|link| link.page) {
            *owners.entry(page).or_default() += 1;
        }
        for (id, page) in &self.pages {
            if owners.get(id).copied().unwrap_or(0) > 1 {
                judgement.wrong(format!("I4: page {id} has more than one link"));
            }
            if !page.is_live {
                continue;
            }
            judgement.count("pages at the end");
            match self.link_of_page(*id) {
                // E14: a person restored the page of a row that is gone.
                None if self
                    .ended
                    .get(id)
                    .is_some_and(|key| self.open.contains(&(key.clone(), None))) =>
                {
                    judgement.count("pages without a row: conflict");
                }
                None if page.by_bot => {
                    judgement.wrong(format!("I4: page {id} was made by us and belongs to no record"));
                }
                None if page.status == "error" => judgement.count("pages without a row: error"),
                None => judgement.wrong(format!(
                    "I4: page {id} was made by a person and has no row (status `{}`)",
                    page.status
                )),
                Some(link) if self.row(&link.key).is_none() => {
                    // E4: a row was deleted while its page was edited.
                    if self.is_accounted(link, "") {
                        judgement.count("pages without a row: conflict");
                    } else {
                        judgement.wrong(format!(
                            "I2: page {id} of {} is there ({}), its row is not",
                            link.key, link.phase
                        ));
                    }
                }
                Some(_) => {}
            }
        }
    }

    /// I1 for what people wrote in Postgres.
    fn check_writes_of_people_in_postgres(&self, judgement: &mut Judgement) {
        for (key, notes) in &self.history {
            for (index, (column, field)) in FIELDS.iter().enumerate() {
                for (place, note) in notes.iter().enumerate() {
                    let value = &note.values[index];
                    let before = place.checked_sub(1).map(|place| &notes[place].values[index]);
                    if !note.by_person || note.is_delete || value.is_empty() || before == Some(value) {
                        continue;
                    }
                    judgement.count("values written in postgres");
                    let next = notes[place + 1..].iter().find(|next| {
                        next.values[index] != *value || next.is_delete || next.org != self.tenant.profile
                    });
                    match next {
                        Some(next) if next.by_person => {}
                        Some(_) if self.kept.contains(value) => {
                            judgement.count("overwritten, in the audit log");
                            if self.knew_the_page(notes, place, index, field) {
                                judgement.wrong(format!(
                                    "I1: `{value}` was written to {column} of {key} knowing what the page said, and overruled"
                                ));
                            }
                        }
                        Some(next) => judgement.wrong(format!(
                            "I1: `{value}`, written in Postgres to {column} of {key}, was overwritten by `{}` and is nowhere",
                            next.values[index]
                        )),
                        // It stands; that the page says the same is I2.
                        None => {}
                    }
                }
            }
        }
    }

    /// Whether a person in Postgres wrote over the last that anybody typed on the page, which had arrived.
    fn knew_the_page(&self, notes: &[Noted], place: usize, index: usize, field: &'static str) -> bool {
        let Some(before) = place.checked_sub(1).map(|place| &notes[place].values[index]) else {
            return false;
        };
        let typed = self.typed.iter().filter(|((_, of), _)| *of == field);
        typed
            .filter_map(|(_, typed)| typed.last())
            .any(|last| last.new == *before)
    }

    /// I1 for what people typed in Notion.
    fn check_writes_of_people_in_notion(&self, stage: &Stage, judgement: &mut Judgement) {
        for ((id, field), typed) in &self.typed {
            let index = FIELDS
                .iter()
                .position(|(_, name)| name == field)
                .unwrap_or_default();
            let Some(page) = self.pages.get(id) else { continue };
            for (place, edit) in typed.iter().enumerate() {
                judgement.count("values typed in notion");
                let next = typed.get(place + 1);
                let after = next.map_or(&page.values[index], |next| &next.old);
                if *after == edit.new {
                    if next.is_none() && !page.is_live && !self.was_binned_knowingly(stage, *id, edit) {
                        // The page went to the trash after its row was deleted: I19.
                        if self.is_in_window(stage, *id, field, edit, None) {
                            judgement.count("in the declared window");
                        } else {
                            judgement.wrong(format!(
                                "I19: `{}` went to the trash with page {id} and nobody knew it",
                                edit.new
                            ));
                        }
                    }
                    continue;
                }
                let in_row = self.was_in_row(&edit.new, index);
                if self.kept.contains(&edit.new) || in_row {
                    judgement.count("overwritten, in the audit log");
                    if next.is_none()
                        && !self.refused.contains(&edit.new)
                        && self.knew_the_row(edit, index, page)
                        && !self.is_in_window(stage, *id, field, edit, None)
                    {
                        judgement.wrong(format!(
                            "I1: `{}` was typed over `{}`, which had arrived, and overruled by `{after}`",
                            edit.new, edit.old
                        ));
                    }
                } else if self.is_in_window(stage, *id, field, edit, next.copied()) {
                    judgement.count("in the declared window");
                } else {
                    judgement.wrong(format!(
                        "I1: `{}`, typed on page {id}, was overwritten by `{after}` and is nowhere",
                        edit.new
                    ));
                }
            }
        }
    }

    fn was_in_row(&self, value: &str, index: usize) -> bool {
        self.history
            .values()
            .flatten()
            .any(|note| note.values[index] == value)
    }

    /// Whether a page in the trash is there with a value that somebody had in view: a person who put it there, or the engine
    /// that had brought the value to the row, or into the audit log, before.
    fn was_binned_knowingly(&self, stage: &Stage, page: Uuid, edit: &Typed) -> bool {
        let index = FIELDS
            .iter()
            .position(|(_, name)| *name == edit.field)
            .unwrap_or_default();
        let editor = stage.world.simulator.workspace(|workspace| {
            let object = workspace.page_object(page).unwrap_or_default();
            object["last_edited_by"]["id"] == json!(workspace.person().to_string())
        });
        editor || self.kept.contains(&edit.new) || self.was_in_row(&edit.new, index)
    }

    /// Whether a person in Notion typed over the last that anybody wrote in Postgres, of which the audit log already said that
    /// it had arrived, and the row says something else now.
    fn knew_the_row(&self, edit: &Typed, index: usize, page: &Page) -> bool {
        let arrived = self.pushed.get(&edit.old).is_some_and(|at| *at < edit.at);
        let Some(notes) = self
            .history
            .values()
            .find(|notes| notes.iter().any(|note| note.values[index] == edit.old))
        else {
            return false;
        };
        // The last that a person wrote there.
        let mut last = None;
        let mut before = "";
        for note in notes {
            if note.by_person && note.values[index] != before {
                last = Some(&note.values[index]);
            }
            before = &note.values[index];
        }
        let still = notes
            .last()
            .is_some_and(|note| !note.is_delete && note.org == self.tenant.profile);
        arrived && still && page.is_live && last == Some(&edit.old)
    }

    /// 5.1: whether a write of the engine that may have replaced the value was sent by a process that had last read the page
    /// before the value was typed.
    fn is_in_window(
        &self,
        stage: &Stage,
        page: Uuid,
        field: &str,
        edit: &Typed,
        next: Option<&Typed>,
    ) -> bool {
        let requests = self.requests.get(&page).map(Vec::as_slice).unwrap_or_default();
        let id = self.ids.get(field).map_or("", String::as_str);
        requests.iter().enumerate().any(|(place, write)| {
            let body = &write.request_body;
            let touches = write.method == "PATCH"
                && (body.contains(&format!("\"{field}\""))
                    || body.contains(&format!("\"{id}\""))
                    || body.contains("\"in_trash\""));
            // Without an answer it may have been done later.
            let late = if write.status.is_none() { LATE_SECONDS } else { 0 };
            let until = later(&write.at, late);
            if !touches || until < edit.at || next.is_some_and(|next| write.at > next.at) {
                return false;
            }
            let read = requests[..place].iter().rev().find(|read| {
                read.method == "GET" && read.status == Some(200) && life(stage, read) == life(stage, write)
            });
            read.is_none_or(|read| read.at <= edit.at)
        })
    }

    /// I10 and I9: what the engine wrote to a row is in the audit log, and nothing of it is unmapped.
    fn check_commits(&self, judgement: &mut Judgement) {
        for (key, notes) in &self.history {
            for pair in notes.windows(2) {
                let [before, note] = pair else { continue };
                if note.by_person || before.is_delete {
                    continue;
                }
                if note.is_delete {
                    judgement.wrong(format!("I9: row {key} was deleted by us"));
                }
                if note.own != before.own || note.org != before.org {
                    judgement.wrong(format!("I9: an unmapped column of {key} was written"));
                }
                for (index, (column, _)) in FIELDS.iter().enumerate() {
                    let (old, new) = (&before.values[index], &note.values[index]);
                    if old == new {
                        continue;
                    }
                    judgement.count("cells written by the engine");
                    if !self.pulled.contains(new) {
                        judgement.wrong(format!(
                            "I10: {column} of {key} became `{new}` without an audit entry"
                        ));
                    }
                    if !old.is_empty() && !self.kept.contains(old) {
                        judgement.wrong(format!(
                            "I18: `{old}`, in {column} of {key}, was overwritten and is nowhere"
                        ));
                    }
                }
            }
        }
    }
}

/// Which process sent a request: each has a port of its own to Notion.
fn life(stage: &Stage, exchange: &Exchange) -> Option<u64> {
    let host = exchange.headers.iter().find(|(name, _)| name == "host")?;
    let port = host.1.rsplit_once(':')?.1.parse().ok()?;
    stage.ports.get(&port).copied()
}

/// I7: nothing of the other profile in what is sent, or in the pages.
fn check_isolation(stage: &Stage, exchanges: &[Exchange], judgement: &mut Judgement) {
    let tenants = &stage.world.tenants;
    for (tenant, other) in [(&tenants[0], &tenants[1]), (&tenants[1], &tenants[0])] {
        for exchange in exchanges {
            if exchange.connection != Some(tenant.connection) {
                continue;
            }
            let sent = [&exchange.path, &exchange.query, &exchange.request_body];
            if sent.iter().any(|text| tells_of(text, other)) {
                judgement.wrong(format!(
                    "I7: request {} of {} tells of {}",
                    exchange.number, tenant.profile, other.profile
                ));
            }
        }
        stage.world.simulator.workspace(|workspace| {
            let pages = workspace.rows(tenant.source);
            for page in pages.into_iter().chain(workspace.trashed_rows(tenant.source)) {
                let object = workspace.page_object(page).unwrap_or_default();
                if tells_of(&object.to_string(), other) {
                    judgement.wrong(format!(
                        "I7: page {page} of {} tells of {}",
                        tenant.profile, other.profile
                    ));
                }
            }
        });
    }
}

/// I7 and I17: no log line holds a value, a token, a password, or anything of another profile.
fn check_logs(stage: &Stage, judgement: &mut Judgement) -> io::Result<()> {
    for entry in std::fs::read_dir(stage.world.folder.join("logs"))? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
        *judgement.counts.entry("log lines").or_default() += text.lines().count() as u64;
        let secrets = stage.world.simulator.tokens.iter().map(String::as_str);
        for secret in secrets.chain([PASSWORD]) {
            if text.contains(secret) {
                judgement.wrong(format!("I17: {name} tells a secret"));
            }
        }
        for tenant in &stage.world.tenants {
            let values = text.contains(&format!("{}-", tenant.word)) || has_score(&text, tenant.digits);
            if values {
                judgement.wrong(format!("I17: {name} tells a value of a row"));
            }
            let stranger = name.contains("-run-") && !name.contains(&format!("-run-{}", tenant.profile));
            if stranger && tells_of(&text, tenant) {
                judgement.wrong(format!("I7: {name} tells of {}", tenant.profile));
            }
        }
        if text.contains("panicked") {
            judgement.wrong(format!("{name} tells of a panic"));
        }
    }
    Ok(())
}

fn tells_of(text: &str, tenant: &Tenant) -> bool {
    text.contains(&format!("{}-", tenant.word))
        || text.contains(&format!("{}-", tenant.key))
        || has_score(text, tenant.digits)
}

/// Whether a whole number of ten digits that begins like this stands in a text.
fn has_score(text: &str, digits: &str) -> bool {
    let bytes = text.as_bytes();
    text.match_indices(digits).any(|(at, _)| {
        let before = at.checked_sub(1).map(|at| bytes[at]);
        let stands_alone =
            !before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-');
        let length = bytes[at..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        stands_alone && length == 10
    })
}

/// Every text and number in a value.
fn leaves(value: &Json, into: &mut BTreeSet<String>) {
    match value {
        Json::String(text) => {
            into.insert(text.clone());
        }
        Json::Number(number) => {
            into.insert(number.to_string());
        }
        Json::Array(values) => values.iter().for_each(|value| leaves(value, into)),
        Json::Object(object) => object.values().for_each(|value| leaves(value, into)),
        Json::Null | Json::Bool(_) => {}
    }
}

fn key_of(key: &Json) -> String {
    match key {
        Json::Array(parts) => parts[0].as_str().unwrap_or_default().to_owned(),
        other => other.as_str().unwrap_or_default().to_owned(),
    }
}

/// An instant some seconds later, in the same form.
fn later(at: &str, seconds: u64) -> String {
    use frames_sync::simulator::Moment;
    Moment::parse(at).map_or_else(
        || at.to_owned(),
        |moment| moment.after(std::time::Duration::from_secs(seconds)).iso(),
    )
}

/// Writes down everything that is known, for whoever looks for the cause.
pub(super) async fn leave(stage: &Stage, people: &People, connection: &mut PgConnection) -> io::Result<()> {
    let folder = &stage.world.folder;
    for (name, sql) in [
        ("rows", "select * from things order by id"),
        ("history", "select * from chaos_history order by seq"),
        ("links", "select * from frames_sync.link"),
        (
            "intents",
            "select * from frames_sync.intent order by settle_after",
        ),
        (
            "conflicts",
            "select * from frames_sync.conflict order by opened_at",
        ),
        ("audit", "select * from frames_sync.audit order by seq"),
        ("runs", "select * from frames_sync.run order by started_at"),
    ] {
        let lines: Vec<String> = rows(connection, sql).await.iter().map(Json::to_string).collect();
        std::fs::write(folder.join(format!("{name}.jsonl")), lines.join("\n"))?;
    }
    let mut pages = Vec::new();
    stage.world.simulator.workspace(|workspace| {
        for tenant in &stage.world.tenants {
            let all = workspace.rows(tenant.source);
            for page in all.into_iter().chain(workspace.trashed_rows(tenant.source)) {
                pages.push(workspace.page_object(page).unwrap_or_default().to_string());
            }
        }
    });
    std::fs::write(folder.join("pages.jsonl"), pages.join("\n"))?;
    let typed: Vec<String> = people.typed.iter().map(|typed| format!("{typed:?}")).collect();
    std::fs::write(folder.join("typed.txt"), typed.join("\n"))?;
    let exchanges = stage.world.simulator.exchanges();
    let lines: Vec<String> = exchanges
        .iter()
        .map(|exchange| {
            let mut line = serde_json::to_value(exchange).unwrap_or_default();
            line["life"] = json!(life(stage, exchange));
            line.to_string()
        })
        .collect();
    std::fs::write(folder.join("exchanges.jsonl"), lines.join("\n"))
}
