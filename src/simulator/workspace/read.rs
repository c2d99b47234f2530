//! Objects as they are read: pages, databases, data sources, users (fact sheet, sections 3 and 4.11).

use std::time::Duration;

use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::digest;
use super::formula::Scalar;
use super::rich_text;
use super::schema::{Choice, Config, Property};
use super::state::{DataSource, Database, Page, Parent, Stamps, UserAccess};
use super::value::{Dates, FileEntry, FilePlace, Value};
use super::{Caller, Version, Workspace};

/// How long a signed file URL is good (fact sheet, 3.11).
pub(super) const URL_LIFETIME: Duration = Duration::from_secs(3600);

/// Which properties a page object is to show.
#[derive(Clone, Debug)]
pub(super) enum Shown {
    All,
    /// By names, or by ids without URL encoding.
    Only(Vec<String>),
}

impl Shown {
    /// From the repeated `filter_properties` of a query string.
    pub(super) fn of(query: &[(String, String)]) -> Self {
        let wanted: Vec<String> = query
            .iter()
            .filter(|(key, _)| key == "filter_properties" || key == "filter_properties[]")
            .map(|(_, value)| value.clone())
            .collect();
        if wanted.is_empty() {
            Self::All
        } else {
            Self::Only(wanted)
        }
    }

    fn includes(&self, property: &Property) -> bool {
        match self {
            Self::All => true,
            Self::Only(wanted) => {
                let id = super::percent_decoded(&property.id).unwrap_or_default();
                wanted.iter().any(|name| *name == property.name || *name == id)
            }
        }
    }
}

pub(super) fn user_reference(id: Uuid) -> Json {
    json!({"object": "user", "id": id})
}

pub(super) fn url_of(id: Uuid) -> String {
    format!("https://app.notion.com/p/{}", id.simple())
}

fn with_stamps(object: &mut Json, stamps: Stamps) {
    object["created_time"] = json!(stamps.created.iso());
    object["last_edited_time"] = json!(stamps.edited.iso());
    object["created_by"] = user_reference(stamps.creator);
    object["last_edited_by"] = user_reference(stamps.editor);
}

impl Workspace {
    /// Whether something is in the trash, under the names of the caller's version.
    pub(super) fn trash_flags(&self, caller: Caller, object: &mut Json, in_trash: bool) {
        object["in_trash"] = json!(in_trash);
        if caller.version == Version::September2025 {
            object["archived"] = json!(in_trash);
        }
    }

    pub(super) fn parent_json(&self, parent: Parent) -> Json {
        match parent {
            Parent::Workspace => json!({"type": "workspace", "workspace": true}),
            Parent::Page(id) => json!({"type": "page_id", "page_id": id}),
            Parent::Block(id) => json!({"type": "block_id", "block_id": id}),
            Parent::Database(id) => json!({"type": "database_id", "database_id": id}),
            Parent::DataSource(id) => {
                let database = self.data_sources.get(&id).map(|found| found.database);
                json!({"type": "data_source_id", "data_source_id": id, "database_id": database})
            }
        }
    }

    pub(super) fn page_json(&self, caller: Caller, page: &Page, shown: &Shown) -> Json {
        let mut object = json!({"object": "page", "id": page.id});
        with_stamps(&mut object, page.stamps);
        self.trash_flags(caller, &mut object, self.is_trashed(page.id));
        object["is_archived"] = json!(page.is_archived);
        object["is_locked"] = json!(page.is_locked);
        object["icon"] = self.icon_json(page.icon.as_ref());
        object["cover"] = self.icon_json(page.cover.as_ref());
        object["parent"] = self.parent_json(page.parent);
        object["url"] = json!(url_of(page.id));
        object["public_url"] = Json::Null;
        object["properties"] = self.properties_json(caller, page, shown);
        object
    }

    fn properties_json(&self, caller: Caller, page: &Page, shown: &Shown) -> Json {
        let mut properties = Map::new();
        let home = match page.parent {
            Parent::DataSource(id) => self.data_sources.get(&id),
            _ => None,
        };
        let Some(home) = home else {
            let title = page
                .values
                .get("title")
                .map_or_else(|| json!([]), |value| self.text_json(value));
            properties.insert(
                "title".to_owned(),
                json!({"id": "title", "type": "title", "title": title}),
            );
            return Json::Object(properties);
        };
        for property in home.properties.iter().filter(|property| shown.includes(property)) {
            properties.insert(
                property.name.clone(),
                self.value_json(caller, home, page, property),
            );
        }
        Json::Object(properties)
    }

    fn text_json(&self, value: &Value) -> Json {
        if let Value::Text(runs) = value {
            rich_text::render(runs)
        } else {
            json!([])
        }
    }

    /// A property value with id and type; relations and people cut at the inline limit (fact sheet, 3.7).
    pub(super) fn value_json(
        &self,
        caller: Caller,
        home: &DataSource,
        page: &Page,
        property: &Property,
    ) -> Json {
        let kind = property.config.kind();
        let limit = self.limits.inline_references;
        let mut object = json!({"id": &*property.id, "type": kind});
        match (&property.config, page.values.get(&property.id)) {
            (Config::Relation { .. }, value) => {
                let pages = self.related(caller, property, value);
                object[kind] = pages.iter().take(limit).map(|id| json!({ "id": id })).collect();
                object["has_more"] = json!(pages.len() > limit);
            }
            (Config::People, Some(Value::People(people))) => {
                object[kind] = people
                    .iter()
                    .take(limit)
                    .map(|id| self.user_json(caller, *id))
                    .collect();
            }
            _ => object[kind] = self.inner_json(caller, home, page, property),
        }
        object
    }

    /// The pages of a relation as this connection sees them: none where the other side is not shared with it.
    pub(super) fn related(&self, caller: Caller, property: &Property, value: Option<&Value>) -> Vec<Uuid> {
        let Config::Relation { data_source, .. } = &property.config else {
            return Vec::new();
        };
        if !self.is_visible(caller.connection, *data_source) {
            return Vec::new();
        }
        let pages = value.map(Value::pages).unwrap_or_default();
        pages
            .iter()
            .copied()
            .filter(|id| self.pages.get(id).is_some_and(|page| !page.in_trash))
            .collect()
    }

    /// The value under the type's key, whole.
    pub(super) fn inner_json(
        &self,
        caller: Caller,
        home: &DataSource,
        page: &Page,
        property: &Property,
    ) -> Json {
        let stamps = page.stamps;
        match (&property.config, page.values.get(&property.id)) {
            (
                Config::Rollup {
                    relation,
                    target,
                    function,
                },
                _,
            ) => self.rollup_json(caller, home, page, (relation, target, function)),
            (Config::Formula(formula), _) => {
                match formula.compute(&|name| self.scalar(caller, home, page, name)) {
                    Scalar::Text(text) => json!({"type": "string", "string": text}),
                    Scalar::Number(number) => {
                        json!({"type": "number", "number": super::write::double(number)})
                    }
                    Scalar::Boolean(flag) => json!({"type": "boolean", "boolean": flag}),
                    Scalar::Empty => json!({"type": "number", "number": null}),
                }
            }
            (Config::UniqueId { prefix }, _) => json!({"prefix": prefix, "number": page.number}),
            (Config::CreatedTime, _) => json!(stamps.created.iso()),
            (Config::EditedTime, _) => json!(stamps.edited.iso()),
            (Config::CreatedBy, _) => self.user_json(caller, stamps.creator),
            (Config::EditedBy, _) => self.user_json(caller, stamps.editor),
            (Config::Button, _) => json!({}),
            (Config::Checkbox, value) => json!(value.is_some()),
            (Config::Verification, None) => json!({"state": "unverified", "verified_by": null, "date": null}),
            (Config::Title | Config::RichText, value) => {
                value.map_or_else(|| json!([]), |value| self.text_json(value))
            }
            (Config::MultiSelect(_) | Config::Files | Config::People | Config::Relation { .. }, None) => {
                json!([])
            }
            (_, None) => Json::Null,
            (config, Some(value)) => match value {
                Value::Text(runs) => rich_text::render(runs),
                Value::Number(number) => json!(number),
                Value::Choice(id) => choice_json(config.choices(), *id),
                Value::Choices(ids) => ids
                    .iter()
                    .map(|id| choice_json(config.choices(), *id))
                    .filter(|choice| !choice.is_null())
                    .collect(),
                Value::Date(dates) => dates.render(),
                Value::People(people) => people.iter().map(|id| self.user_json(caller, *id)).collect(),
                Value::Files(files) => files.iter().map(|file| self.file_json(file)).collect(),
                Value::Ticked => json!(true),
                Value::Line(text) => json!(text),
                Value::Relation(pages) => pages.iter().map(|id| json!({ "id": id })).collect(),
                Value::Object(object) => object.clone(),
            },
        }
    }

    /// What a formula sees of a property.
    pub(super) fn scalar(&self, caller: Caller, home: &DataSource, page: &Page, name: &str) -> Scalar {
        let Some(property) = home.property(name) else {
            return Scalar::Empty;
        };
        match (&property.config, page.values.get(&property.id)) {
            (Config::Checkbox, value) => Scalar::Boolean(value.is_some()),
            (Config::UniqueId { .. }, _) => Scalar::Number(f64::from(page.number)),
            (Config::Formula(formula), _) => {
                formula.compute(&|name| match home.property(name).map(|p| &p.config) {
                    // One level of formulas in formulas is enough to show the type, and no cycle can hang us.
                    Some(Config::Formula(_)) | None => Scalar::Empty,
                    Some(_) => self.scalar(caller, home, page, name),
                })
            }
            (Config::Rollup { .. }, _) => self.inner_json(caller, home, page, property)["number"]
                .as_f64()
                .map_or(Scalar::Empty, Scalar::Number),
            (_, None) => Scalar::Empty,
            (config, Some(value)) => match value {
                Value::Number(number) => number.as_f64().map_or(Scalar::Empty, Scalar::Number),
                Value::Text(_) | Value::Line(_) => Scalar::Text(value.text()),
                Value::Choice(id) => config
                    .choices()
                    .iter()
                    .find(|choice| choice.id == *id)
                    .map_or(Scalar::Empty, |choice| Scalar::Text(choice.name.clone())),
                Value::Date(dates) => Scalar::Text(dates.start.iso()),
                Value::Relation(pages) => Scalar::Number(pages.len() as f64),
                _ => Scalar::Empty,
            },
        }
    }

    fn file_json(&self, file: &FileEntry) -> Json {
        match &file.place {
            FilePlace::External(url) => {
                json!({"name": file.name, "type": "external", "external": {"url": url}})
            }
            FilePlace::Hosted(id) => json!({"name": file.name, "type": "file", "file": self.signed_url(*id)}),
        }
    }

    /// A URL that changes with each read and is good for an hour.
    pub(super) fn signed_url(&self, id: Uuid) -> Json {
        let expires = self.now.after(URL_LIFETIME);
        let nonce = self.request_id.simple().to_string();
        let signature = self.file_signature(id, expires, &nonce);
        let host = &self.file_host;
        let url = format!(
            "{host}/_simulator/files/{id}?expires={}&nonce={nonce}&signature={signature}",
            expires.0
        );
        json!({"url": url, "expiry_time": expires.iso()})
    }

    /// Binds a URL to its file, end and read. Not secret: it only has to change, and to be checked.
    pub(super) fn file_signature(&self, id: Uuid, expires: super::Moment, nonce: &str) -> String {
        let signed = format!("file {} {id} {} {nonce}", self.id, expires.0);
        format!("{:016x}", digest::number(&signed))
    }

    /// An icon or cover; uploaded ones read back as signed files.
    pub(super) fn icon_json(&self, icon: Option<&Json>) -> Json {
        let Some(icon) = icon else { return Json::Null };
        match icon["file_upload"]["id"]
            .as_str()
            .and_then(super::body::parse_uuid)
        {
            Some(id) => json!({"type": "file", "file": self.signed_url(id)}),
            None => icon.clone(),
        }
    }

    /// A user: whole where the capability allows, else the reference.
    pub(super) fn user_json(&self, caller: Caller, id: Uuid) -> Json {
        let access = match self.connections.get(caller.connection) {
            Some(connection) => connection.capabilities.users,
            None => UserAccess::WithEmail,
        };
        match self.users.get(&id) {
            Some(user) if access != UserAccess::Nothing => {
                let mut object = json!({"object": "user", "id": id, "name": user.name, "avatar_url": null});
                match &user.email {
                    Some(email) => {
                        object["type"] = json!("person");
                        object["person"] = if access == UserAccess::WithEmail {
                            json!({ "email": email })
                        } else {
                            json!({})
                        };
                    }
                    None => {
                        object["type"] = json!("bot");
                        object["bot"] = json!({});
                    }
                }
                object
            }
            _ => user_reference(id),
        }
    }

    pub(super) fn database_json(&self, caller: Caller, database: &Database) -> Json {
        let references: Json = database
            .data_sources
            .iter()
            .filter_map(|id| self.data_sources.get(id))
            .map(|found| json!({"id": found.id, "name": rich_text::text_of(&found.title)}))
            .collect();
        let mut object = json!({
            "object": "database", "id": database.id,
            "title": rich_text::render(&database.title),
            "description": rich_text::render(&database.description),
            "parent": self.parent_json(database.parent),
            "is_inline": database.is_inline, "is_locked": database.is_locked,
            "created_time": database.stamps.created.iso(), "last_edited_time": database.stamps.edited.iso(),
            "data_sources": references,
            "icon": self.icon_json(database.icon.as_ref()), "cover": self.icon_json(database.cover.as_ref()),
            "url": url_of(database.id), "public_url": null,
        });
        self.trash_flags(caller, &mut object, self.is_trashed(database.id));
        object
    }

    pub(super) fn data_source_json(&self, caller: Caller, found: &DataSource) -> Json {
        let database = self.databases.get(&found.database);
        let above = database.map_or(Parent::Workspace, |database| database.parent);
        let mut properties = Map::new();
        for property in &found.properties {
            properties.insert(
                property.name.clone(),
                property.render(self.config_json(found, property)),
            );
        }
        let mut object = json!({
            "object": "data_source", "id": found.id,
            "title": rich_text::render(&found.title),
            "description": rich_text::render(&found.description),
            "parent": {"type": "database_id", "database_id": found.database},
            "database_parent": self.parent_json(above),
            "is_inline": database.is_some_and(|database| database.is_inline),
            "properties": properties,
            "icon": self.icon_json(found.icon.as_ref()), "cover": null,
            "url": url_of(found.database), "public_url": null,
        });
        with_stamps(&mut object, found.stamps);
        self.trash_flags(caller, &mut object, self.is_trashed(found.id));
        object
    }

    fn config_json(&self, home: &DataSource, property: &Property) -> Json {
        match &property.config {
            Config::Relation { data_source, mirror } => {
                let target = self.data_sources.get(data_source);
                let mut relation = json!({
                    "database_id": target.map(|target| target.database), "data_source_id": data_source,
                });
                let synced = mirror.as_ref().and_then(|mirror| target?.by_id(mirror));
                match synced {
                    Some(synced) => {
                        relation["type"] = json!("dual_property");
                        relation["dual_property"] =
                            json!({"synced_property_id": &*synced.id, "synced_property_name": synced.name});
                    }
                    None => {
                        relation["type"] = json!("single_property");
                        relation["single_property"] = json!({});
                    }
                }
                relation
            }
            Config::Rollup {
                relation,
                target,
                function,
            } => {
                let through = home.by_id(relation);
                let there = through.and_then(|through| match &through.config {
                    Config::Relation { data_source, .. } => self.data_sources.get(data_source),
                    _ => None,
                });
                let rolled = there.and_then(|there| there.by_id(target));
                json!({
                    "relation_property_name": through.map_or("", |through| through.name.as_str()),
                    "relation_property_id": &**relation,
                    "rollup_property_name": rolled.map_or("", |rolled| rolled.name.as_str()),
                    "rollup_property_id": &**target,
                    "function": function,
                })
            }
            _ => property.render_config(),
        }
    }
}

fn choice_json(options: &[Choice], id: Uuid) -> Json {
    options.iter().find(|choice| choice.id == id).map_or(
        Json::Null,
        |choice| json!({"id": choice.id, "name": choice.name, "color": choice.color}),
    )
}

/// The start of a date value, if it has one.
pub(super) fn dates_of(value: Option<&Value>) -> Option<Dates> {
    if let Some(Value::Date(dates)) = value {
        Some(*dates)
    } else {
        None
    }
}
