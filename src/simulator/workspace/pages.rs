//! Pages: create, read, update, trash, restore, move (fact sheet, 3.5 to 3.7).

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::body::Body;
use super::read::Shown;
use super::refusal::{Answered, Refusal};
use super::schema::{Config, PropertyId};
use super::state::Parent;
use super::value::Value;
use super::write::{Writer, Written, default_status};
use super::{Caller, Request, Version, Workspace, rich_text};

impl Workspace {
    pub(super) fn create_page(
        &mut self,
        caller: Caller,
        body: &Body<'_>,
        request: &Request,
    ) -> Answered<Json> {
        body.only(&[
            "parent",
            "properties",
            "icon",
            "cover",
            "content",
            "children",
            "markdown",
            "template",
            "position",
            "allow_async",
        ])?;
        let parent = self.check_page_parent(caller, &body.need("parent")?)?;
        let icon = self.check_icon(body.given("icon"))?;
        let cover = self.check_icon(body.given("cover"))?;
        let children = body.given("children").or(body.given("content"));
        let markdown = body
            .given("markdown")
            .map(|found| found.text(usize::MAX))
            .transpose()?;
        let template = self.check_template(parent, body.given("template"))?;
        if (children.is_some() && markdown.is_some()) || (children.is_some() && template) {
            return Err(body
                .need("children")
                .or_else(|_| body.need("content"))?
                .refuse("not present"));
        }
        let blocks = match (&children, markdown) {
            (Some(children), _) => self.check_blocks(children)?,
            (None, Some(markdown)) => {
                let blocks = super::markdown::blocks_of(markdown);
                self.room_for_blocks(blocks.len())?;
                blocks
            }
            (None, None) => Vec::new(),
        };
        let values = match parent {
            Parent::DataSource(home) => {
                let limit = self.limits.rows;
                if self
                    .data_sources
                    .get(&home)
                    .is_some_and(|home| home.rows.by_creation.len() >= limit)
                {
                    return Err(Refusal::new(
                        409,
                        "row_limit_exceeded",
                        "The database has as many rows as it may have.",
                    ));
                }
                let checked = match body.given("properties") {
                    Some(properties) => self.check_values(home, &properties, Writer::Connection(caller))?,
                    None => Vec::new(),
                };
                self.settle(home, checked)
            }
            _ => self.check_title(body.given("properties"))?,
        };
        let id = self.seed.uuid();
        self.create_row(id, parent, caller.bot, values);
        self.rewrite_page(id, |page| {
            page.icon = icon;
            page.cover = cover;
        });
        self.add_blocks(Parent::Page(id), blocks, None, caller.bot);
        if body.given("allow_async").is_some() {
            // "may answer 202": this server never does (fact sheet, 3.14).
            body.need("allow_async")?.bool()?;
        }
        self.get_page(caller, id, request)
    }

    /// A new page with its values; empty statuses get their default, two-way relations their other side.
    pub(super) fn create_row(
        &mut self,
        id: Uuid,
        parent: Parent,
        author: Uuid,
        mut values: BTreeMap<PropertyId, Option<Value>>,
    ) {
        if let Parent::DataSource(home) = parent
            && let Some(home) = self.data_sources.get(&home)
        {
            for property in &home.properties {
                if let Config::Status { options, groups } = &property.config {
                    values
                        .entry(property.id.clone())
                        .or_insert_with(|| default_status(options, groups));
                }
            }
        }
        self.keep_files(&values);
        let (related, plain): (BTreeMap<_, _>, BTreeMap<_, _>) = values
            .into_iter()
            .partition(|(_, value)| matches!(value, Some(Value::Relation(_))));
        let plain = plain
            .into_iter()
            .filter_map(|(property, value)| Some((property, value?)))
            .collect();
        self.add_page(id, parent, author, plain);
        if !related.is_empty() {
            self.apply_values(id, author, related);
        }
        // Hidden in one step, for a query that lags must not see the page half made.
        if let Some(versions) = self.lagging.get_mut(&id) {
            versions.truncate(1);
        }
    }

    fn check_page_parent(&self, caller: Caller, body: &Body<'_>) -> Answered<Parent> {
        let home = if let Some(id) = body.given("data_source_id") {
            let id = id.uuid()?;
            self.data_source(caller, id)?;
            id
        } else if let Some(id) = body.given("database_id") {
            let database = self.database(caller, id.uuid()?)?;
            let [only] = database.data_sources[..] else {
                return Err(Refusal::validation(
                    "Databases with multiple data sources are not supported in this API version. Use `data_source_id`.",
                ));
            };
            only
        } else {
            return self.check_parent(caller, body);
        };
        if self.is_trashed(home) {
            return Err(Refusal::archived());
        }
        Ok(Parent::DataSource(home))
    }

    /// Whether a template is asked for; it must be one of the data source's.
    fn check_template(&self, parent: Parent, body: Option<Body<'_>>) -> Answered<bool> {
        let Some(body) = body else { return Ok(false) };
        let kind = body.need("type")?.word(&["none", "default", "template_id"])?;
        if kind == "template_id" {
            let wanted = body.need("template_id")?;
            let id = wanted.uuid()?;
            let known = match parent {
                Parent::DataSource(home) => self.data_sources.get(&home),
                _ => None,
            };
            if !known.is_some_and(|home| home.templates.iter().any(|template| template.id == id)) {
                return Err(wanted.refuse("a template of the data source"));
            }
        }
        Ok(kind != "none")
    }

    /// The properties of a page of text: its title and nothing else.
    fn check_title(&self, body: Option<Body<'_>>) -> Answered<BTreeMap<PropertyId, Option<Value>>> {
        let mut values = BTreeMap::new();
        let Some(body) = body else { return Ok(values) };
        for (key, found) in body.entries()? {
            if key != "title" {
                return Err(Refusal::validation(format!(
                    "{key} is not a property that exists."
                )));
            }
            // A bare array is taken as well as an object with the key `title`.
            let found = if found.value.is_array() {
                found
            } else {
                found.need("title")?
            };
            let runs = rich_text::parse(&found, &|kind, id| self.name_of(kind, id))?;
            values.insert("title".into(), (!runs.is_empty()).then_some(Value::Text(runs)));
        }
        Ok(values)
    }

    pub(super) fn get_page(&self, caller: Caller, id: Uuid, request: &Request) -> Answered<Json> {
        Ok(self.page_json(caller, self.page(caller, id)?, &Shown::of(&request.query)))
    }

    pub(super) fn update_page(
        &mut self,
        caller: Caller,
        id: Uuid,
        body: &Body<'_>,
        request: &Request,
    ) -> Answered<Json> {
        let mut keys = vec![
            "properties",
            "icon",
            "cover",
            "is_locked",
            "template",
            "erase_content",
            "in_trash",
            "is_archived",
            "allow_async",
        ];
        if caller.version == Version::September2025 {
            keys.push("archived");
        }
        body.only(&keys)?;
        let page = self.page(caller, id)?;
        let (parent, was_trashed) = (page.parent, page.in_trash);
        let trash = self.check_trash(caller, body)?;
        if self.is_trashed(id) && trash != Some(false) {
            return Err(Refusal::archived());
        }
        if parent == Parent::Workspace && trash.is_some() {
            let what = if trash == Some(true) {
                "Archiving"
            } else {
                "Unarchiving"
            };
            return Err(Refusal::validation(format!(
                "{what} workspace level pages not supported"
            )));
        }
        let flag = |key: &str| body.given(key).map(|found| found.bool()).transpose();
        let (is_locked, is_archived, erase) =
            (flag("is_locked")?, flag("is_archived")?, flag("erase_content")?);
        let icon = body
            .get("icon")
            .map(|_| self.check_icon(body.given("icon")))
            .transpose()?;
        let cover = body
            .get("cover")
            .map(|_| self.check_icon(body.given("cover")))
            .transpose()?;
        self.check_template(parent, body.given("template"))?;
        let values = match (body.given("properties"), parent) {
            (Some(properties), Parent::DataSource(home)) => {
                let checked: Vec<(PropertyId, Written)> =
                    self.check_values(home, &properties, Writer::Connection(caller))?;
                Some(self.settle(home, checked))
            }
            (properties @ Some(_), _) => Some(self.check_title(properties)?),
            (None, _) => None,
        };
        if trash == Some(false) && was_trashed {
            self.set_trash(id, caller.bot, false);
        }
        if let Some(values) = values.filter(|values| !values.is_empty()) {
            self.apply_values(id, caller.bot, values);
        }
        if icon.is_some() || cover.is_some() || is_locked.is_some() || is_archived.is_some() {
            self.edit_page(id, caller.bot, |page| {
                page.icon = icon.unwrap_or(page.icon.take());
                page.cover = cover.unwrap_or(page.cover.take());
                page.is_locked = is_locked.unwrap_or(page.is_locked);
                page.is_archived = is_archived.unwrap_or(page.is_archived);
            });
        }
        if let Some(locked) = is_locked {
            let kind = if locked { "page.locked" } else { "page.unlocked" };
            self.emit(kind, ("page", id), caller.bot, json!({}));
        }
        if erase == Some(true) {
            self.erase_blocks(id, caller.bot);
        }
        if trash == Some(true) && !was_trashed {
            self.set_trash(id, caller.bot, true);
        }
        self.get_page(caller, id, request)
    }

    /// Puts a page in the trash, or takes it out.
    pub(super) fn set_trash(&mut self, id: Uuid, author: Uuid, in_trash: bool) {
        self.edit_page(id, author, |page| page.in_trash = in_trash);
        let kind = if in_trash {
            "page.deleted"
        } else {
            "page.undeleted"
        };
        self.emit(kind, ("page", id), author, json!({}));
    }

    pub(super) fn move_page_to(&mut self, caller: Caller, id: Uuid, body: &Body<'_>) -> Answered<Json> {
        body.only(&["parent"])?;
        self.page(caller, id)?;
        if self.is_trashed(id) {
            return Err(Refusal::archived());
        }
        let target = self.check_page_parent(caller, &body.need("parent")?)?;
        self.move_to(id, target, caller.bot);
        self.get_page(caller, id, &Request::default())
    }

    /// Moves a page; values stay where the target has a property of the same name and type.
    ///
    /// The real rule is unverified (fact sheet, 3.6).
    pub(super) fn move_to(&mut self, id: Uuid, target: Parent, author: Uuid) {
        let Some(page) = self.pages.get(&id) else { return };
        let from = page.parent;
        let mut kept = BTreeMap::new();
        if let Some(title) = page.values.get("title") {
            kept.insert(PropertyId::from("title"), title.clone());
        }
        let mut options = Vec::new();
        if let (Parent::DataSource(from), Parent::DataSource(to)) = (page.parent, target)
            && let (Some(from), Some(to)) = (self.data_sources.get(&from), self.data_sources.get(&to))
        {
            for (property, value) in &page.values {
                let Some(before) = from.by_id(property) else {
                    continue;
                };
                let after = to.properties.iter().find(|after| after.name == before.name);
                let Some(after) = after.filter(|after| after.config.kind() == before.config.kind()) else {
                    continue;
                };
                let name = |id: &Uuid| {
                    before
                        .config
                        .choices()
                        .iter()
                        .find(|choice| choice.id == *id)
                        .map(|choice| choice.name.clone())
                };
                match value {
                    Value::Choice(option) => options.push((after.id.clone(), vec![name(option)], false)),
                    Value::Choices(ids) => {
                        options.push((after.id.clone(), ids.iter().map(name).collect(), true))
                    }
                    Value::Relation(_) => {}
                    value => {
                        kept.insert(after.id.clone(), value.clone());
                    }
                }
            }
        }
        if let Parent::DataSource(to) = target {
            for (property, names, many) in options {
                let Some(after) = self.data_sources.get(&to).and_then(|to| to.by_id(&property)) else {
                    continue;
                };
                let picks = names.into_iter().flatten().map(|name| {
                    let known = after.config.choices().iter().find(|choice| choice.name == name);
                    known.map_or_else(
                        || super::write::Pick::New(name.clone()),
                        |choice| super::write::Pick::Known(choice.id),
                    )
                });
                let mut picks: Vec<_> = picks.collect();
                let written = match (many, &after.config) {
                    (true, _) => Written::Choices(picks),
                    (false, Config::Status { .. })
                        if picks
                            .iter()
                            .any(|pick| matches!(pick, super::write::Pick::New(_))) =>
                    {
                        continue;
                    }
                    (false, _) => match picks.pop() {
                        Some(pick) => Written::Choice(pick),
                        None => continue,
                    },
                };
                for (property, value) in self.settle(to, vec![(property, written)]) {
                    kept.extend(value.map(|value| (property, value)));
                }
            }
        }
        let number = match target {
            Parent::DataSource(to) => self.data_sources.get_mut(&to).map(|to| {
                to.last_number += 1;
                to.last_number
            }),
            _ => None,
        };
        self.edit_page(id, author, |page| {
            page.parent = target;
            page.values = kept;
            page.number = number.unwrap_or_default();
        });
        self.hang(id, Some(from), target);
        self.emit("page.moved", ("page", id), author, json!({}));
    }
}
