//! Notion as pure state: requests in, answers out; no socket, no clock, no chance but the seed's.
//!
//! [`Workspace::answer`] is the public API as `reference/notion-api.md` tells it, one [`Request`] to one [`Answer`].
//! The methods in `human` are what a person does in the app. Time is whatever [`Workspace::set_now`] said last.

mod batch;
mod blocks;
mod body;
mod comments;
mod data_sources;
mod databases;
mod digest;
mod endpoint;
mod files;
mod filter;
mod formula;
mod human;
mod markdown;
mod moment;
mod pages;
mod property_items;
mod query;
mod read;
mod refusal;
mod rich_text;
mod rollup;
mod schema;
mod search;
mod seed;
mod state;
#[cfg(test)]
mod tests;
mod users;
mod value;
mod views;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value as Json, json};
use uuid::Uuid;

pub use endpoint::{Answer, Content, Payload, Request, UploadedPart};
pub use moment::Moment;
pub use refusal::Refusal;
pub use seed::Seed;
pub use state::{Capabilities, Ignored, Limits, UserAccess};

pub(crate) use endpoint::{JSON_TYPE, endpoint_of, written};
pub(crate) use seed::percent_decoded;
pub(crate) use state::Event;

use refusal::Answered;
use state::{
    Block, Comment, Connection, DataSource, Database, Page, Parent, Stamps, Upload, User, View, ViewQuery,
};
use value::Value;

/// One Notion workspace with everything in it.
///
/// The same seed, requests, actions and times give the same bytes.
#[derive(Debug)]
pub struct Workspace {
    seed: Seed,
    now: Moment,
    id: Uuid,
    name: String,
    /// Scheme, host and port of the signed file URLs.
    file_host: String,
    limits: Limits,
    index_lag: Duration,
    users: BTreeMap<Uuid, User>,
    /// The person in whose name the app's actions are done.
    person: Uuid,
    connections: Vec<Connection>,
    root: Uuid,
    pages: BTreeMap<Uuid, Page>,
    databases: BTreeMap<Uuid, Database>,
    data_sources: BTreeMap<Uuid, DataSource>,
    blocks: BTreeMap<Uuid, Block>,
    comments: BTreeMap<Uuid, Comment>,
    views: BTreeMap<Uuid, View>,
    view_queries: BTreeMap<Uuid, ViewQuery>,
    uploads: BTreeMap<Uuid, Upload>,
    last_sequence: u32,
    /// For each page changed lately, what the query index still knows, until when; oldest first.
    lagging: BTreeMap<Uuid, Vec<(Moment, Option<Page>)>>,
    lag_ends: BTreeSet<(Moment, Uuid)>,
    shuffle_next_query: bool,
    kept_order: Option<query::KeptOrder>,
    ignored: Vec<Ignored>,
    /// `None` while nobody listens.
    events: Option<Vec<Event>>,
    /// The id of the request being answered, which signs its file URLs.
    request_id: Uuid,
}

/// Entries of the log of ignored things are dropped beyond this many; a test reads the first few.
const MAX_IGNORED: usize = 10_000;

/// In place of a connection: a person, who sees everything.
const PERSON: usize = usize::MAX;

/// Who asks, and in which version of the API.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    connection: usize,
    /// The bot that is the author of its writes.
    bot: Uuid,
    version: Version,
}

/// The versions that the simulator speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// `2025-09-03`: `archived` beside `in_trash`, `after` in appends.
    September2025,
    /// `2026-03-11`.
    March2026,
}

impl Workspace {
    /// A workspace with one person, one page at its top and no connection.
    pub fn new(seed: u64, now: Moment) -> Self {
        let mut seed = Seed::new(seed);
        let (id, person, root) = (seed.uuid(), seed.uuid(), seed.uuid());
        let mut workspace = Self {
            id,
            name: "Simulated workspace".to_owned(),
            file_host: "http://127.0.0.1".to_owned(),
            now,
            limits: Limits::default(),
            index_lag: Duration::ZERO,
            users: BTreeMap::new(),
            person,
            connections: Vec::new(),
            root,
            pages: BTreeMap::new(),
            databases: BTreeMap::new(),
            data_sources: BTreeMap::new(),
            blocks: BTreeMap::new(),
            comments: BTreeMap::new(),
            views: BTreeMap::new(),
            view_queries: BTreeMap::new(),
            uploads: BTreeMap::new(),
            last_sequence: 0,
            lagging: BTreeMap::new(),
            lag_ends: BTreeSet::new(),
            shuffle_next_query: false,
            kept_order: None,
            ignored: Vec::new(),
            events: None,
            request_id: Uuid::nil(),
            seed,
        };
        let lead = User {
            id: person,
            name: "Team Lead".to_owned(),
            email: Some("lead@example.edu".to_owned()),
            is_guest: false,
        };
        workspace.users.insert(person, lead);
        let title = BTreeMap::from([("title".into(), Value::Text(rich_text::plain("Simulator")))]);
        workspace.add_page(root, Parent::Workspace, person, title);
        workspace
    }

    /// Adds a connection with a bot of its own, and shares the root page with it. Answers the bot's user id.
    pub fn connect(&mut self, token: &str, name: &str, capabilities: Capabilities) -> Uuid {
        let bot = self.seed.uuid();
        self.users.insert(
            bot,
            User {
                id: bot,
                name: name.to_owned(),
                email: None,
                is_guest: false,
            },
        );
        self.connections.push(Connection {
            token: token.to_owned(),
            name: name.to_owned(),
            bot,
            capabilities,
            shared: BTreeSet::from([self.root]),
            withheld: BTreeSet::new(),
        });
        bot
    }

    /// Moves time to `now`; a clock that stands still or goes back is obeyed too.
    pub fn set_now(&mut self, now: Moment) {
        self.now = now;
        while let Some((until, page)) = self.lag_ends.first().copied().filter(|(until, _)| *until <= now) {
            self.lag_ends.remove(&(until, page));
            self.kept_order = None;
            if let Some(versions) = self.lagging.get_mut(&page) {
                versions.retain(|(end, _)| *end > now);
                if versions.is_empty() {
                    self.lagging.remove(&page);
                }
            }
        }
    }

    /// The present time of the workspace.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// The page at the top, shared with every connection.
    pub fn root_page_id(&self) -> Uuid {
        self.root
    }

    /// The workspace's id, as in webhook events and `users/me`.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The workspace's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tokens of its connections, in the order they were added.
    pub fn tokens(&self) -> Vec<String> {
        self.connections
            .iter()
            .map(|connection| connection.token.clone())
            .collect()
    }

    /// Which connection a token belongs to, counted from 0.
    pub fn connection_of(&self, token: &str) -> Option<usize> {
        self.connections
            .iter()
            .position(|connection| connection.token == token)
    }

    /// What was sent and silently ignored, as the real Notion does; the oldest 10,000.
    pub fn ignored(&self) -> &[Ignored] {
        &self.ignored
    }

    /// The limits to scale down or read.
    pub fn limits_mut(&mut self) -> &mut Limits {
        &mut self.limits
    }

    /// Sets how long queries go on seeing a page as it was; `GET page` is always fresh.
    pub fn set_index_lag(&mut self, lag: Duration) {
        self.index_lag = lag;
    }

    /// Makes the next query batch come in an order of its own, as if rows had moved meanwhile.
    pub fn shuffle_next_query(&mut self) {
        self.shuffle_next_query = true;
    }

    /// Where the signed URLs of files point: scheme, host and port.
    pub(crate) fn set_file_host(&mut self, base_url: &str) {
        self.file_host = base_url.to_owned();
    }

    /// Starts keeping what happens, for webhooks.
    pub(crate) fn listen(&mut self) {
        self.events.get_or_insert_default();
    }

    /// What happened since the last call.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        self.events.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The bot of a connection.
    pub(crate) fn bot(&self, connection: usize) -> Option<Uuid> {
        self.connections.get(connection).map(|connection| connection.bot)
    }

    pub(crate) fn author_kind(&self, user: Uuid) -> &'static str {
        if self.users.get(&user).is_some_and(|user| user.email.is_some()) {
            "person"
        } else {
            "bot"
        }
    }

    fn ignore(&mut self, endpoint: &str, place: &str, reason: &str) {
        if self.ignored.len() < MAX_IGNORED {
            let (endpoint, place, reason) = (endpoint.to_owned(), place.to_owned(), reason.to_owned());
            self.ignored.push(Ignored {
                endpoint,
                place,
                reason,
            });
        }
    }

    fn stamps(&self, author: Uuid) -> Stamps {
        let now = self.now.floored();
        Stamps {
            created: now,
            edited: now,
            creator: author,
            editor: author,
        }
    }

    fn add_page(
        &mut self,
        id: Uuid,
        parent: Parent,
        author: Uuid,
        values: BTreeMap<schema::PropertyId, Value>,
    ) {
        self.last_sequence += 1;
        self.touch_order(id);
        let mut page = Page {
            id,
            sequence: self.last_sequence,
            parent,
            stamps: self.stamps(author),
            in_trash: false,
            is_archived: false,
            is_locked: false,
            icon: None,
            cover: None,
            values,
            number: 0,
            children: Vec::new(),
        };
        if let Parent::DataSource(data_source) = parent
            && let Some(data_source) = self.data_sources.get_mut(&data_source)
        {
            data_source.last_number += 1;
            page.number = data_source.last_number;
            data_source.rows.insert(&page);
        }
        self.remember_for_index(id, None);
        self.pages.insert(id, page);
        self.hang(id, None, parent);
        self.emit("page.created", ("page", id), author, json!({}));
    }

    /// Changes a page and everything that is kept beside it: stamps, indexes, and what lagging queries still see.
    fn edit_page(&mut self, id: Uuid, author: Uuid, change: impl FnOnce(&mut Page)) {
        let now = self.now.floored();
        self.rewrite_page(id, |page| {
            change(page);
            page.stamps.edited = now;
            page.stamps.editor = author;
        });
    }

    /// As [`Self::edit_page`], without moving the stamps.
    fn rewrite_page(&mut self, id: Uuid, change: impl FnOnce(&mut Page)) {
        self.touch_order(id);
        let Some(page) = self.pages.get(&id) else { return };
        let before = (!self.index_lag.is_zero()).then(|| page.clone());
        if before.is_some() {
            self.remember_for_index(id, before);
        }
        let Some(page) = self.pages.get_mut(&id) else {
            return;
        };
        if let (Parent::DataSource(home), false) = (page.parent, page.in_trash)
            && let Some(home) = self.data_sources.get_mut(&home)
        {
            home.rows.remove(page);
        }
        change(page);
        if let (Parent::DataSource(home), false) = (page.parent, page.in_trash)
            && let Some(home) = self.data_sources.get_mut(&home)
        {
            home.rows.insert(page);
        }
    }

    fn remember_for_index(&mut self, id: Uuid, before: Option<Page>) {
        if !self.index_lag.is_zero() {
            let until = self.now.after(self.index_lag);
            self.lagging.entry(id).or_default().push((until, before));
            self.lag_ends.insert((until, id));
        }
    }

    fn emit(&mut self, kind: &'static str, entity: (&'static str, Uuid), author: Uuid, mut data: Json) {
        if self.events.is_none() {
            return;
        }
        data["parent"] = self.event_parent(entity.1);
        let event = Event {
            at: self.now,
            kind,
            entity,
            author,
            data,
        };
        if let Some(events) = &mut self.events {
            events.push(event);
        }
    }

    fn event_parent(&self, id: Uuid) -> Json {
        match self.parent_of(id) {
            Some(Parent::DataSource(data_source)) => {
                let database = self.data_sources.get(&data_source).map(|found| found.database);
                json!({"id": database, "type": "database", "data_source_id": data_source})
            }
            Some(Parent::Page(page)) => json!({"id": page, "type": "page"}),
            Some(Parent::Database(database)) => json!({"id": database, "type": "database"}),
            Some(Parent::Block(block)) => json!({"id": block, "type": "block"}),
            Some(Parent::Workspace) | None => json!({"id": self.id, "type": "space"}),
        }
    }

    fn parent_of(&self, id: Uuid) -> Option<Parent> {
        self.pages
            .get(&id)
            .map(|page| page.parent)
            .or_else(|| {
                self.data_sources
                    .get(&id)
                    .map(|found| Parent::Database(found.database))
            })
            .or_else(|| self.databases.get(&id).map(|found| found.parent))
            .or_else(|| self.blocks.get(&id).map(|found| found.parent))
            .or_else(|| self.views.get(&id).map(|found| Parent::Database(found.database)))
            .or_else(|| self.comments.get(&id).map(|found| found.parent))
    }

    fn above(&self, id: Uuid) -> Option<Uuid> {
        match self.parent_of(id)? {
            Parent::Workspace => None,
            Parent::Page(id) | Parent::Database(id) | Parent::DataSource(id) | Parent::Block(id) => Some(id),
        }
    }

    /// Whether a connection may see a thing: the nearest of its ancestors that was shared or withheld decides.
    pub(crate) fn is_visible(&self, connection: usize, id: Uuid) -> bool {
        let Some(connection) = self.connections.get(connection) else {
            return connection == PERSON;
        };
        let mut next = Some(id);
        while let Some(id) = next {
            if connection.withheld.contains(&id) {
                return false;
            }
            if connection.shared.contains(&id) {
                return true;
            }
            next = self.above(id);
        }
        false
    }

    /// Whether a thing, or anything that it lies in, is in the trash.
    fn is_trashed(&self, id: Uuid) -> bool {
        let mut next = Some(id);
        while let Some(id) = next {
            let own = self.pages.get(&id).map(|page| page.in_trash).unwrap_or_default()
                || self
                    .databases
                    .get(&id)
                    .map(|database| database.in_trash)
                    .unwrap_or_default()
                || self
                    .data_sources
                    .get(&id)
                    .map(|data_source| data_source.in_trash)
                    .unwrap_or_default()
                || self
                    .blocks
                    .get(&id)
                    .map(|block| block.in_trash)
                    .unwrap_or_default();
            if own {
                return true;
            }
            next = self.above(id);
        }
        false
    }

    fn missing(&self, caller: Caller, kind: &str, id: Uuid) -> Refusal {
        let name = self
            .connections
            .get(caller.connection)
            .map_or("", |connection| connection.name.as_str());
        Refusal::not_found(kind, id, name)
    }

    fn seen<'a, T>(
        &'a self,
        caller: Caller,
        kind: &str,
        things: &'a BTreeMap<Uuid, T>,
        id: Uuid,
    ) -> Answered<&'a T> {
        let found = things.get(&id).filter(|_| self.is_visible(caller.connection, id));
        found.ok_or_else(|| self.missing(caller, kind, id))
    }

    fn page(&self, caller: Caller, id: Uuid) -> Answered<&Page> {
        self.seen(caller, "page", &self.pages, id)
    }

    fn database(&self, caller: Caller, id: Uuid) -> Answered<&Database> {
        self.seen(caller, "database", &self.databases, id)
    }

    fn data_source(&self, caller: Caller, id: Uuid) -> Answered<&DataSource> {
        self.seen(caller, "data_source", &self.data_sources, id)
    }

    /// What text calls a user, page or database that it mentions.
    fn name_of(&self, kind: &str, id: Uuid) -> Option<String> {
        match kind {
            "user" => self.users.get(&id).map(|user| user.name.clone()),
            "page" => self.pages.get(&id).map(Page::title),
            _ => self
                .databases
                .get(&id)
                .map(|database| rich_text::text_of(&database.title)),
        }
    }
}
