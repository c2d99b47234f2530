//! Databases, the containers (fact sheet, 3.1 and 3.2).

use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::body::Body;
use super::refusal::{Answered, Refusal};
use super::state::{DataSource, Database, Parent, Rows};
use super::{Caller, Version, Workspace, rich_text};

impl Workspace {
    pub(super) fn create_database(&mut self, caller: Caller, body: &Body<'_>) -> Answered<Json> {
        body.only(&[
            "parent",
            "title",
            "description",
            "is_inline",
            "icon",
            "cover",
            "initial_data_source",
            "properties",
            "database_type",
        ])?;
        let parent = self.check_parent(caller, &body.need("parent")?)?;
        let text = |key: &str| {
            body.given(key)
                .map(|found| rich_text::parse(&found, &|kind, id| self.name_of(kind, id)))
        };
        let title = text("title").transpose()?.unwrap_or_default();
        let description = text("description").transpose()?.unwrap_or_default();
        let is_inline = body
            .given("is_inline")
            .map(|found| found.bool())
            .transpose()?
            .unwrap_or_default();
        let icon = self.check_icon(body.given("icon"))?;
        let cover = self.check_icon(body.given("cover"))?;
        let initial = body.given("initial_data_source");
        if body.given("database_type").is_some() {
            return Err(body
                .need("database_type")?
                .refuse("not present: the simulator has no preset databases"));
        }
        let schema = match initial.as_ref().and_then(|initial| initial.given("properties")) {
            Some(properties) => self.check_schema(caller, &[], &properties, Some(&title))?,
            None => self.check_schema(caller, &[], &Body::root(&json!({})), Some(&title))?,
        };
        if body.given("properties").is_some() {
            self.ignore(
                "POST /v1/databases",
                "body.properties",
                "only `initial_data_source.properties` makes columns; the database has just its title",
            );
        }
        let (id, data_source) = (self.seed.uuid(), self.seed.uuid());
        let stamps = self.stamps(caller.bot);
        self.databases.insert(
            id,
            Database {
                id,
                parent,
                stamps,
                title: title.clone(),
                description: description.clone(),
                icon: icon.clone(),
                cover,
                is_inline,
                is_locked: false,
                in_trash: false,
                data_sources: vec![data_source],
                views: Vec::new(),
            },
        );
        self.insert_data_source(caller, data_source, id, title, icon, schema);
        if let Some(found) = self.data_sources.get_mut(&data_source) {
            found.description = description;
        }
        self.add_default_view(caller, id, data_source);
        self.hang(id, None, parent);
        self.emit("database.created", ("database", id), caller.bot, json!({}));
        Ok(self.database_json(caller, self.database(caller, id)?))
    }

    pub(super) fn insert_data_source(
        &mut self,
        caller: Caller,
        id: Uuid,
        database: Uuid,
        title: rich_text::RichText,
        icon: Option<Json>,
        schema: super::data_sources::CheckedSchema,
    ) {
        self.data_sources.insert(
            id,
            DataSource {
                id,
                database,
                stamps: self.stamps(caller.bot),
                title,
                description: Vec::new(),
                icon,
                in_trash: false,
                properties: Vec::new(),
                last_number: 0,
                templates: Vec::new(),
                rows: Rows::default(),
            },
        );
        self.put_schema(id, schema);
        self.emit("data_source.created", ("data_source", id), caller.bot, json!({}));
    }

    pub(super) fn update_database(&mut self, caller: Caller, id: Uuid, body: &Body<'_>) -> Answered<Json> {
        let mut keys = vec![
            "parent",
            "title",
            "description",
            "is_inline",
            "icon",
            "cover",
            "in_trash",
            "is_locked",
        ];
        if caller.version == Version::September2025 {
            keys.push("archived");
        }
        body.only(&keys)?;
        let found = self.database(caller, id)?;
        let (was_trashed, from) = (found.in_trash, found.parent);
        let trash = self.check_trash(caller, body)?;
        if self.is_trashed(id) && trash != Some(false) {
            return Err(Refusal::archived());
        }
        let text = |key: &str| {
            body.given(key)
                .map(|found| rich_text::parse(&found, &|kind, id| self.name_of(kind, id)))
        };
        let (title, description) = (text("title").transpose()?, text("description").transpose()?);
        let flag = |key: &str| body.given(key).map(|found| found.bool()).transpose();
        let (is_inline, is_locked) = (flag("is_inline")?, flag("is_locked")?);
        let icon = body
            .get("icon")
            .map(|_| self.check_icon(body.given("icon")))
            .transpose()?;
        let cover = body
            .get("cover")
            .map(|_| self.check_icon(body.given("cover")))
            .transpose()?;
        let parent = body
            .given("parent")
            .map(|parent| self.check_parent(caller, &parent))
            .transpose()?;
        let now = self.now.floored();
        if let Some(database) = self.databases.get_mut(&id) {
            database.title = title.unwrap_or(std::mem::take(&mut database.title));
            database.description = description.unwrap_or(std::mem::take(&mut database.description));
            database.icon = icon.unwrap_or(database.icon.take());
            database.cover = cover.unwrap_or(database.cover.take());
            database.is_inline = is_inline.unwrap_or(database.is_inline);
            database.is_locked = is_locked.unwrap_or(database.is_locked);
            database.in_trash = trash.unwrap_or(database.in_trash);
            database.parent = parent.unwrap_or(database.parent);
            database.stamps.edited = now;
            database.stamps.editor = caller.bot;
        }
        if let Some(trashed) = trash.filter(|trashed| *trashed != was_trashed) {
            let kind = if trashed {
                "database.deleted"
            } else {
                "database.undeleted"
            };
            self.emit(kind, ("database", id), caller.bot, json!({}));
        }
        if let Some(parent) = parent {
            self.hang(id, Some(from), parent);
            self.emit("database.moved", ("database", id), caller.bot, json!({}));
        }
        Ok(self.database_json(caller, self.database(caller, id)?))
    }

    /// Where a new page or database may go: a shared page that is not in the trash.
    pub(super) fn check_parent(&self, caller: Caller, body: &Body<'_>) -> Answered<Parent> {
        if body.given("workspace").is_some() {
            return Err(Refusal::validation(
                "Internal integrations aren't owned by a single user, so creating workspace-level private pages is not \
                 supported.",
            ));
        }
        let page = body.need("page_id")?.uuid()?;
        self.page(caller, page)?;
        if self.is_trashed(page) {
            return Err(Refusal::archived());
        }
        Ok(Parent::Page(page))
    }

    /// `in_trash`, or `archived` as older versions say.
    pub(super) fn check_trash(&self, caller: Caller, body: &Body<'_>) -> Answered<Option<bool>> {
        let old = (caller.version == Version::September2025)
            .then(|| body.given("archived"))
            .flatten();
        body.given("in_trash")
            .or(old)
            .map(|found| found.bool())
            .transpose()
    }

    /// An icon or cover in the form that is read back.
    pub(super) fn check_icon(&self, body: Option<Body<'_>>) -> Answered<Option<Json>> {
        let Some(body) = body else { return Ok(None) };
        if let Some(emoji) = body.get("emoji") {
            return Ok(Some(json!({"type": "emoji", "emoji": emoji.filled_text(100)?})));
        }
        if let Some(external) = body.get("external") {
            let url = external.need("url")?.filled_text(super::body::MAX_TEXT)?;
            return Ok(Some(json!({"type": "external", "external": {"url": url}})));
        }
        if let Some(icon) = body.get("icon") {
            let name = icon.need("name")?.filled_text(100)?;
            let color = icon
                .given("color")
                .map_or(json!("gray"), |color| color.value.clone());
            return Ok(Some(
                json!({"type": "icon", "icon": {"name": name, "color": color}}),
            ));
        }
        let id = body.need("file_upload")?.need("id")?.uuid()?;
        self.attachable(id)?;
        Ok(Some(json!({"type": "file_upload", "file_upload": {"id": id}})))
    }
}
