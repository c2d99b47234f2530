//! What a person does in the app: no rate limits, no array limits, every page in reach.
//!
//! All of it is done in the name of the workspace's one person, "Team Lead", at the present time of the workspace.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::body::Body;
use super::refusal::{Answered, Refusal};
use super::schema::{COLORS, Property};
use super::state::{Capabilities, DataSource, Parent, Template, User};
use super::write::Writer;
use super::{Caller, Version, Workspace, rich_text};

impl Workspace {
    /// The user id of the person who does these things.
    pub fn person(&self) -> Uuid {
        self.person
    }

    /// Adds a person, and answers their user id.
    pub fn add_person(&mut self, name: &str, email: &str) -> Uuid {
        let id = self.seed.uuid();
        let user = User {
            id,
            name: name.to_owned(),
            email: Some(email.to_owned()),
            is_guest: false,
        };
        self.users.insert(id, user);
        id
    }

    /// The data sources that are not in the trash, with their titles, by id.
    pub fn data_sources(&self) -> Vec<(Uuid, String)> {
        let live = self
            .data_sources
            .values()
            .filter(|found| !self.is_trashed(found.id));
        live.map(|found| (found.id, rich_text::text_of(&found.title)))
            .collect()
    }

    /// The data source with this title.
    pub fn data_source_titled(&self, title: &str) -> Option<Uuid> {
        self.data_sources()
            .into_iter()
            .find(|(_, name)| name == title)
            .map(|(id, _)| id)
    }

    /// The rows of a data source that are not in the trash, oldest first.
    pub fn rows(&self, data_source: Uuid) -> Vec<Uuid> {
        let rows = self
            .data_sources
            .get(&data_source)
            .map(|found| &found.rows.by_creation);
        rows.into_iter().flatten().map(|place| place.2).collect()
    }

    /// The rows of a data source that are in the trash, oldest first.
    pub fn trashed_rows(&self, data_source: Uuid) -> Vec<Uuid> {
        let home = Parent::DataSource(data_source);
        let mut rows: Vec<_> = self
            .pages
            .values()
            .filter(|page| page.parent == home && page.in_trash)
            .collect();
        rows.sort_by_key(|page| page.sequence);
        rows.into_iter().map(|page| page.id).collect()
    }

    /// A page as `GET page` answers it to a connection that sees all; `None` where there is none.
    pub fn page_object(&self, page: Uuid) -> Option<Json> {
        let page = self.pages.get(&page)?;
        Some(self.page_json(self.everything(), page, &super::read::Shown::All))
    }

    /// A data source as the API answers it, schema included.
    pub fn data_source_object(&self, data_source: Uuid) -> Option<Json> {
        Some(self.data_source_json(self.everything(), self.data_sources.get(&data_source)?))
    }

    /// The value of one property of a page as read, without its id and type.
    pub fn value(&self, page: Uuid, property: &str) -> Option<Json> {
        let found = self.page_object(page)?;
        let value = &found["properties"][property];
        let kind = value["type"].as_str()?;
        Some(value[kind].clone())
    }

    /// A page's title without formats; `None` where there is no such page.
    pub fn title(&self, page: Uuid) -> Option<String> {
        self.pages.get(&page).map(super::state::Page::title)
    }

    fn everything(&self) -> Caller {
        Caller {
            connection: super::PERSON,
            bot: self.person,
            version: Version::March2026,
        }
    }

    /// Types something into a property, in the shape of an API write such as `{"number": 3}`.
    ///
    /// # Errors
    ///
    /// Notion's refusal where the value does not fit the property.
    pub fn edit(&mut self, page: Uuid, property: &str, value: Json) -> Result<(), Refusal> {
        self.edit_many(page, &json!({ property: value }))
    }

    /// Types into several properties at once.
    ///
    /// # Errors
    ///
    /// Notion's refusal where a value does not fit; then nothing is changed.
    pub fn edit_many(&mut self, page: Uuid, properties: &Json) -> Result<(), Refusal> {
        let found = self.pages.get(&page).ok_or_else(|| no_such("page"))?;
        if self.is_trashed(page) {
            return Err(Refusal::archived());
        }
        let person = self.person;
        match found.parent {
            Parent::DataSource(home) => {
                let checked = self.check_values(home, &Body::root(properties), Writer::Person)?;
                let values = self.settle(home, checked);
                self.apply_values(page, person, values);
            }
            _ => {
                let text = properties["title"]["title"][0]["text"]["content"]
                    .as_str()
                    .unwrap_or_default();
                let title = super::Value::Text(rich_text::plain(text));
                self.apply_values(page, person, BTreeMap::from([("title".into(), Some(title))]));
            }
        }
        Ok(())
    }

    /// Adds a row with these properties, and answers its page id.
    ///
    /// # Errors
    ///
    /// Notion's refusal where a value does not fit.
    pub fn add_row(&mut self, data_source: Uuid, properties: &Json) -> Result<Uuid, Refusal> {
        if !self.data_sources.contains_key(&data_source) {
            return Err(no_such("data source"));
        }
        let checked = self.check_values(data_source, &Body::root(properties), Writer::Person)?;
        let values = self.settle(data_source, checked);
        let id = self.seed.uuid();
        self.create_row(id, Parent::DataSource(data_source), self.person, values);
        Ok(id)
    }

    /// Adds a page of text below a page, and answers its id.
    pub fn add_text_page(&mut self, parent: Uuid, title: &str) -> Uuid {
        let id = self.seed.uuid();
        let title = super::Value::Text(rich_text::plain(title));
        self.create_row(
            id,
            Parent::Page(parent),
            self.person,
            BTreeMap::from([("title".into(), Some(title))]),
        );
        id
    }

    /// Duplicates a row: a new page with the same values, an external key included (fact sheet, 7, row 23).
    ///
    /// # Errors
    ///
    /// Where there is no such page.
    pub fn duplicate(&mut self, page: Uuid) -> Result<Uuid, Refusal> {
        let found = self.pages.get(&page).ok_or_else(|| no_such("page"))?;
        let values = found
            .values
            .iter()
            .map(|(id, value)| (id.clone(), Some(value.clone())))
            .collect();
        let parent = found.parent;
        let id = self.seed.uuid();
        self.create_row(id, parent, self.person, values);
        Ok(id)
    }

    /// Puts a page in the trash.
    pub fn trash(&mut self, page: Uuid) {
        self.set_trash(page, self.person, true);
    }

    /// Takes a page out of the trash.
    pub fn restore(&mut self, page: Uuid) {
        self.set_trash(page, self.person, false);
    }

    /// Deletes a page for good: from now on it is as if it had never been.
    pub fn purge(&mut self, page: Uuid) {
        self.set_trash(page, self.person, true);
        self.pages.remove(&page);
        self.kept_order = None;
        self.lagging.remove(&page);
    }

    /// Puts a database with all its rows in the trash, or takes it out.
    pub fn trash_database(&mut self, database: Uuid, in_trash: bool) {
        if let Some(database) = self.databases.get_mut(&database) {
            database.in_trash = in_trash;
        }
        let kind = if in_trash {
            "database.deleted"
        } else {
            "database.undeleted"
        };
        self.emit(kind, ("database", database), self.person, json!({}));
    }

    /// The database that a data source is in.
    pub fn database_of(&self, data_source: Uuid) -> Option<Uuid> {
        self.data_sources.get(&data_source).map(|found| found.database)
    }

    /// Moves a row to another data source.
    pub fn move_row(&mut self, page: Uuid, data_source: Uuid) {
        self.move_to(page, Parent::DataSource(data_source), self.person);
    }

    /// Archives a page (the plan-dependent *Archive* feature): hidden from queries, not in the trash.
    pub fn archive(&mut self, page: Uuid, archived: bool) {
        self.edit_page(page, self.person, |page| page.is_archived = archived);
    }

    /// Locks a page in the app, which does not stop the API.
    pub fn lock(&mut self, page: Uuid, locked: bool) {
        self.edit_page(page, self.person, |page| page.is_locked = locked);
        let kind = if locked { "page.locked" } else { "page.unlocked" };
        self.emit(kind, ("page", page), self.person, json!({}));
    }

    fn property_mut(&mut self, data_source: Uuid, name: &str) -> Answered<&mut Property> {
        self.kept_order = None;
        let found = self
            .data_sources
            .get_mut(&data_source)
            .ok_or_else(|| no_such("data source"))?;
        found
            .properties
            .iter_mut()
            .find(|property| property.name == name)
            .ok_or_else(|| no_such("property"))
    }

    fn schema_changed(&mut self, data_source: Uuid, property: &str, action: &str) {
        let now = self.now.floored();
        let id = self
            .data_sources
            .get_mut(&data_source)
            .map(|found: &mut DataSource| {
                found.stamps.edited = now;
                found.property(property).map(|property| property.id.to_string())
            });
        let change =
            json!({"updated_properties": [{"id": id.flatten(), "name": property, "action": action}]});
        self.emit(
            "data_source.schema_updated",
            ("data_source", data_source),
            self.person,
            change,
        );
    }

    /// Renames an option; its id stays, and page stamps do not move.
    ///
    /// # Errors
    ///
    /// Where there is no such data source, property or option.
    pub fn rename_option(
        &mut self,
        data_source: Uuid,
        property: &str,
        from: &str,
        to: &str,
    ) -> Result<(), Refusal> {
        let options = self
            .property_mut(data_source, property)?
            .config
            .choices_mut()
            .ok_or_else(|| no_such("option"))?;
        let option = options
            .iter_mut()
            .find(|choice| choice.name == from)
            .ok_or_else(|| no_such("option"))?;
        option.name = to.to_owned();
        self.schema_changed(data_source, property, "updated");
        Ok(())
    }

    /// Gives an option another colour.
    ///
    /// # Errors
    ///
    /// Where there is no such data source, property, option or colour.
    pub fn recolor_option(
        &mut self,
        data_source: Uuid,
        property: &str,
        option: &str,
        color: &str,
    ) -> Result<(), Refusal> {
        let color = COLORS
            .into_iter()
            .find(|known| *known == color)
            .ok_or_else(|| no_such("color"))?;
        let options = self
            .property_mut(data_source, property)?
            .config
            .choices_mut()
            .ok_or_else(|| no_such("option"))?;
        options
            .iter_mut()
            .find(|choice| choice.name == option)
            .ok_or_else(|| no_such("option"))?
            .color = color;
        self.schema_changed(data_source, property, "updated");
        Ok(())
    }

    /// Removes an option, and clears it from pages.
    ///
    /// # Errors
    ///
    /// Where there is no such data source, property or option.
    pub fn remove_option(&mut self, data_source: Uuid, property: &str, option: &str) -> Result<(), Refusal> {
        let found = self
            .data_sources
            .get(&data_source)
            .ok_or_else(|| no_such("data source"))?;
        let config = &found
            .property(property)
            .ok_or_else(|| no_such("property"))?
            .config;
        let kind = config.kind();
        let kept: Json = config
            .choices()
            .iter()
            .filter(|choice| choice.name != option)
            .map(|choice| json!({"id": choice.id}))
            .collect();
        self.change_schema(data_source, &json!({ property: {kind: {"options": kept}} }))
    }

    /// Renames a property; its id stays.
    ///
    /// # Errors
    ///
    /// Where there is no such data source or property.
    pub fn rename_property(&mut self, data_source: Uuid, from: &str, to: &str) -> Result<(), Refusal> {
        self.property_mut(data_source, from)?.name = to.to_owned();
        self.schema_changed(data_source, to, "updated");
        Ok(())
    }

    /// Deletes a property with all its values.
    ///
    /// # Errors
    ///
    /// Where there is no such data source or property, or it is the title.
    pub fn delete_property(&mut self, data_source: Uuid, property: &str) -> Result<(), Refusal> {
        self.change_schema(data_source, &json!({ property: null }))
    }

    /// Adds a property, or changes the type of one, by a configuration such as `{"number": {}}`.
    ///
    /// # Errors
    ///
    /// Notion's refusal where the change is not possible.
    pub fn set_property(&mut self, data_source: Uuid, property: &str, config: &Json) -> Result<(), Refusal> {
        self.change_schema(data_source, &json!({ property: config }))
    }

    fn change_schema(&mut self, data_source: Uuid, properties: &Json) -> Answered<()> {
        let found = self
            .data_sources
            .get(&data_source)
            .ok_or_else(|| no_such("data source"))?;
        let (old, title) = (found.properties.clone(), found.title.clone());
        let schema = self.check_schema(self.everything(), &old, &Body::root(properties), Some(&title))?;
        self.put_schema(data_source, schema);
        let name = properties
            .as_object()
            .and_then(|object| object.keys().next())
            .cloned()
            .unwrap_or_default();
        self.schema_changed(data_source, &name, "updated");
        Ok(())
    }

    /// Makes a database below the root page with these properties, and answers its data source.
    ///
    /// # Errors
    ///
    /// Notion's refusal where the schema is not possible.
    pub fn add_database(&mut self, title: &str, properties: &Json) -> Result<Uuid, Refusal> {
        let body = json!({
            "parent": {"type": "page_id", "page_id": self.root},
            "title": [{"type": "text", "text": {"content": title}}],
            "initial_data_source": {"properties": properties},
        });
        let made = self.create_database(self.everything(), &Body::root(&body))?;
        let id = made["data_sources"][0]["id"]
            .as_str()
            .and_then(super::body::parse_uuid);
        id.ok_or_else(|| no_such("data source"))
    }

    /// Adds a page template to a data source, and answers its id.
    pub fn add_template(&mut self, data_source: Uuid, name: &str) -> Uuid {
        let id = self.seed.uuid();
        if let Some(found) = self.data_sources.get_mut(&data_source) {
            let is_default = found.templates.is_empty();
            found.templates.push(Template {
                id,
                name: name.to_owned(),
                is_default,
            });
        }
        id
    }

    /// Takes a page, database or data source away from every connection.
    pub fn unshare(&mut self, id: Uuid) {
        self.kept_order = None;
        for connection in &mut self.connections {
            connection.shared.remove(&id);
            connection.withheld.insert(id);
        }
    }

    /// Shares a page, database or data source with every connection.
    pub fn share(&mut self, id: Uuid) {
        self.kept_order = None;
        for connection in &mut self.connections {
            connection.withheld.remove(&id);
            connection.shared.insert(id);
        }
    }

    /// Takes a thing away from one connection.
    pub fn unshare_from(&mut self, token: &str, id: Uuid) {
        self.kept_order = None;
        for connection in self
            .connections
            .iter_mut()
            .filter(|connection| connection.token == token)
        {
            connection.shared.remove(&id);
            connection.withheld.insert(id);
        }
    }

    /// Ticks what a connection may do.
    pub fn set_capabilities(&mut self, token: &str, capabilities: Capabilities) {
        for connection in self
            .connections
            .iter_mut()
            .filter(|connection| connection.token == token)
        {
            connection.capabilities = capabilities;
        }
    }

    /// Revokes a token: from now on it is invalid.
    pub fn revoke(&mut self, token: &str) {
        for connection in self
            .connections
            .iter_mut()
            .filter(|connection| connection.token == token)
        {
            connection.token = format!("revoked {}", connection.token);
        }
    }
}

fn no_such(what: &str) -> Refusal {
    Refusal::validation(format!("no such {what}"))
}
