//! The things that a workspace is made of.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use uuid::Uuid;

use super::moment::Moment;
use super::rich_text::RichText;
use super::schema::{Property, PropertyId};
use super::value::Value;

/// A person or a bot.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    /// `None` for a bot.
    pub(crate) email: Option<String>,
    /// Guests are not listed (fact sheet, 3.9).
    pub(crate) is_guest: bool,
}

/// What a connection may do, as ticked in its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Reads pages, databases, blocks.
    pub read_content: bool,
    /// Changes what exists.
    pub update_content: bool,
    /// Makes what does not exist.
    pub insert_content: bool,
    /// Reads comments.
    pub read_comments: bool,
    /// Writes comments.
    pub insert_comments: bool,
    /// Reads people.
    pub users: UserAccess,
}

/// What a connection learns about people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserAccess {
    /// Nothing.
    Nothing,
    /// Names without email addresses.
    WithoutEmail,
    /// Names and email addresses.
    WithEmail,
}

impl Default for Capabilities {
    /// All of them.
    fn default() -> Self {
        Self {
            read_content: true,
            update_content: true,
            insert_content: true,
            read_comments: true,
            insert_comments: true,
            users: UserAccess::WithEmail,
        }
    }
}

/// A token: a bot of its own in the workspace.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) token: String,
    pub(crate) name: String,
    pub(crate) bot: Uuid,
    pub(crate) capabilities: Capabilities,
    /// Pages and databases shared with it; what lies below them is shared too.
    pub(crate) shared: BTreeSet<Uuid>,
    /// Taken away again, though something above is shared.
    pub(crate) withheld: BTreeSet<Uuid>,
}

/// Where a thing lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parent {
    Workspace,
    Page(Uuid),
    Database(Uuid),
    DataSource(Uuid),
    Block(Uuid),
}

/// Who did what when; every object has one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamps {
    pub(crate) created: Moment,
    pub(crate) edited: Moment,
    pub(crate) creator: Uuid,
    pub(crate) editor: Uuid,
}

/// A page: a row of a data source, or a page of text.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) id: Uuid,
    /// Counts all pages and comments of the workspace as they are made.
    pub(crate) sequence: u32,
    pub(crate) parent: Parent,
    pub(crate) stamps: Stamps,
    pub(crate) in_trash: bool,
    pub(crate) is_archived: bool,
    pub(crate) is_locked: bool,
    pub(crate) icon: Option<Json>,
    pub(crate) cover: Option<Json>,
    /// Values that are not empty; a page of text has only its title.
    pub(crate) values: BTreeMap<PropertyId, Value>,
    /// Its number in the data source, for unique ids.
    pub(crate) number: u32,
    pub(crate) children: Vec<Uuid>,
}

/// A database: the container.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    pub(crate) id: Uuid,
    pub(crate) parent: Parent,
    pub(crate) stamps: Stamps,
    pub(crate) title: RichText,
    pub(crate) description: RichText,
    pub(crate) icon: Option<Json>,
    pub(crate) cover: Option<Json>,
    pub(crate) is_inline: bool,
    pub(crate) is_locked: bool,
    pub(crate) in_trash: bool,
    pub(crate) data_sources: Vec<Uuid>,
    pub(crate) views: Vec<Uuid>,
}

/// A data source: schema and rows.
#[derive(Clone, Debug)]
pub(crate) struct DataSource {
    pub(crate) id: Uuid,
    pub(crate) database: Uuid,
    pub(crate) stamps: Stamps,
    pub(crate) title: RichText,
    pub(crate) description: RichText,
    pub(crate) icon: Option<Json>,
    pub(crate) in_trash: bool,
    pub(crate) properties: Vec<Property>,
    /// The last number given for unique ids; never given again.
    pub(crate) last_number: u32,
    pub(crate) templates: Vec<Template>,
    pub(crate) rows: Rows,
}

/// A page template of a data source.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) is_default: bool,
}

/// A row's place in the orders that need no sorting: by time, then as made.
pub(crate) type Place = (Moment, u32, Uuid);

/// The rows of a data source that are not in the trash, in the orders that queries ask for most.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    pub(crate) by_creation: BTreeSet<Place>,
    pub(crate) by_edit: BTreeSet<Place>,
    /// Rows by the text or number of a property, kept for the properties that were once asked for.
    pub(crate) by_value: BTreeMap<PropertyId, BTreeMap<String, BTreeSet<Place>>>,
}

impl Rows {
    pub(crate) fn insert(&mut self, page: &Page) {
        let place = page.place();
        self.by_creation.insert(place);
        self.by_edit.insert((page.stamps.edited, page.sequence, page.id));
        for (property, index) in &mut self.by_value {
            if let Some(key) = page.values.get(property).and_then(Value::lookup_key) {
                index.entry(key).or_default().insert(place);
            }
        }
    }

    pub(crate) fn remove(&mut self, page: &Page) {
        let place = page.place();
        self.by_creation.remove(&place);
        self.by_edit.remove(&(page.stamps.edited, page.sequence, page.id));
        for (property, index) in &mut self.by_value {
            if let Some(key) = page.values.get(property).and_then(Value::lookup_key)
                && let Some(places) = index.get_mut(&key)
            {
                places.remove(&place);
                if places.is_empty() {
                    index.remove(&key);
                }
            }
        }
    }
}

impl Page {
    /// Its place in the order of creation.
    pub(crate) fn place(&self) -> Place {
        (self.stamps.created, self.sequence, self.id)
    }

    /// Its title without formats.
    pub(crate) fn title(&self) -> String {
        self.values.get("title").map(Value::text).unwrap_or_default()
    }
}

impl DataSource {
    /// The property with this name, or with this id as it stands in JSON.
    pub(crate) fn property(&self, name_or_id: &str) -> Option<&Property> {
        let by_name = self
            .properties
            .iter()
            .find(|property| property.name == name_or_id);
        by_name.or_else(|| self.by_id(name_or_id))
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<&Property> {
        self.properties.iter().find(|property| *property.id == *id)
    }
}

/// A block of a page's content.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) id: Uuid,
    pub(crate) parent: Parent,
    pub(crate) stamps: Stamps,
    pub(crate) kind: String,
    /// The body under the type's key, as read.
    pub(crate) content: Json,
    pub(crate) in_trash: bool,
    pub(crate) children: Vec<Uuid>,
}

/// A comment in a discussion.
#[derive(Clone, Debug)]
pub(crate) struct Comment {
    pub(crate) id: Uuid,
    /// Counts with the pages, in the order made.
    pub(crate) sequence: u32,
    pub(crate) parent: Parent,
    pub(crate) discussion: Uuid,
    pub(crate) stamps: Stamps,
    pub(crate) text: RichText,
    pub(crate) display_name: Json,
}

/// A view of a data source.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) id: Uuid,
    pub(crate) database: Uuid,
    pub(crate) data_source: Uuid,
    pub(crate) stamps: Stamps,
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) filter: Json,
    pub(crate) sorts: Json,
    pub(crate) quick_filters: Json,
    pub(crate) configuration: Json,
}

/// A stored result of a view query.
#[derive(Clone, Debug)]
pub(crate) struct ViewQuery {
    pub(crate) view: Uuid,
    pub(crate) expires: Moment,
    pub(crate) pages: Vec<Uuid>,
}

/// A file on its way in, or kept.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) id: Uuid,
    /// Counts with the pages, in the order made.
    pub(crate) sequence: u32,
    pub(crate) stamps: Stamps,
    pub(crate) filename: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) status: &'static str,
    pub(crate) expires: Option<Moment>,
    /// `None` for a single part.
    pub(crate) parts: Option<u32>,
    pub(crate) received: BTreeMap<u32, Vec<u8>>,
    pub(crate) import: Option<Json>,
}

/// Something that the real Notion takes without a word and does nothing with.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Ignored {
    /// Where it was sent, such as `POST /v1/databases`.
    pub endpoint: String,
    /// The place in the body, such as `body.properties`.
    pub place: String,
    /// What Notion does instead.
    pub reason: String,
}

/// A thing that happened, before webhooks gather it.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) at: Moment,
    pub(crate) kind: &'static str,
    pub(crate) entity: (&'static str, Uuid),
    pub(crate) author: Uuid,
    /// The members of `data`, `parent` included.
    pub(crate) data: Json,
}

/// The numbers that a test may scale down.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Results that one query answers at most before it is `incomplete` (fact sheet, 2.3).
    pub query_results: usize,
    /// Elements of a relation or people value that a page object shows (fact sheet, 3.7).
    pub inline_references: usize,
    /// Rows of a database (fact sheet, 5.3).
    pub rows: usize,
    /// Bytes of a JSON body (fact sheet, 5.2).
    pub body_bytes: usize,
    /// Blocks of content, those in the trash included; beyond, nothing is created (fact sheet, 5.3). Rows do not count.
    pub blocks: usize,
    /// File uploads that are kept. The oldest that are not attached make room; where all are, a new one is refused.
    pub uploads: usize,
    /// Bytes of all files that are kept; beyond, a part is refused.
    pub upload_bytes: usize,
    /// Whether times in date values keep their seconds; Notion's own editor keeps minutes (fact sheet, 4.6).
    pub dates_keep_seconds: bool,
    /// Whether writing one side of a two-way relation moves the other side's `last_edited_time`.
    pub mirror_moves_stamps: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            query_results: 10_000,
            inline_references: 25,
            rows: 250_000,
            body_bytes: 500_000,
            blocks: 1_000_000,
            uploads: 10_000,
            upload_bytes: 256 * 1024 * 1024,
            dates_keep_seconds: false,
            mirror_moves_stamps: true,
        }
    }
}
