//! Data sources and their schemas (fact sheet, 3.3 and 4).

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::batch::Batch;
use super::body::Body;
use super::refusal::{Answered, Refusal};
use super::rich_text::{self, RichText};
use super::schema::{self, Config, Draft, MAX_NAME, Property, PropertyId, same_name};
use super::state::DataSource;
use super::value::Value;
use super::{Caller, Request, Workspace};

/// A schema that may be put in place, with the mirror columns that other data sources get.
pub(super) struct CheckedSchema {
    properties: Vec<Property>,
    mirrors: Vec<Mirror>,
    changes: Vec<Json>,
}

struct Mirror {
    target: Uuid,
    property: Property,
}

/// Schemas over 50 KB are refused (fact sheet, 3.3).
const MAX_SCHEMA_BYTES: usize = 50 * 1024;
const MAX_PROPERTIES: usize = 500;

impl Workspace {
    pub(super) fn create_data_source(&mut self, caller: Caller, body: &Body<'_>) -> Answered<Json> {
        body.only(&["parent", "properties", "title", "icon"])?;
        let database = body.need("parent")?.need("database_id")?.uuid()?;
        self.database(caller, database)?;
        if self.is_trashed(database) {
            return Err(Refusal::archived());
        }
        let title = body
            .given("title")
            .map(|found| rich_text::parse(&found, &|kind, id| self.name_of(kind, id)));
        let title = title.transpose()?.unwrap_or_default();
        let icon = self.check_icon(body.given("icon"))?;
        let schema = self.check_schema(caller, &[], &body.need("properties")?, Some(&title))?;
        let id = self.seed.uuid();
        if let Some(database) = self.databases.get_mut(&database) {
            database.data_sources.push(id);
        }
        self.insert_data_source(caller, id, database, title, icon, schema);
        Ok(self.data_source_json(caller, self.data_source(caller, id)?))
    }

    pub(super) fn update_data_source(&mut self, caller: Caller, id: Uuid, body: &Body<'_>) -> Answered<Json> {
        let mut keys = vec!["title", "icon", "properties", "in_trash", "parent", "description"];
        if caller.version == super::Version::September2025 {
            keys.push("archived");
        }
        body.only(&keys)?;
        let was_trashed = self.data_source(caller, id)?.in_trash;
        let trash = self.check_trash(caller, body)?;
        if self.is_trashed(id) && trash != Some(false) {
            return Err(Refusal::archived());
        }
        let text = |key: &str| {
            body.given(key)
                .map(|found| rich_text::parse(&found, &|kind, id| self.name_of(kind, id)))
        };
        let (title, description) = (text("title").transpose()?, text("description").transpose()?);
        let icon = body
            .get("icon")
            .map(|_| self.check_icon(body.given("icon")))
            .transpose()?;
        let parent = match body.given("parent") {
            Some(parent) => {
                let database = parent.need("database_id")?.uuid()?;
                self.database(caller, database)?;
                Some(database)
            }
            None => None,
        };
        let schema = match body.given("properties") {
            Some(properties) => {
                let now = self.data_source(caller, id)?;
                let (old, name) = (now.properties.clone(), now.title.clone());
                Some(self.check_schema(caller, &old, &properties, Some(&name))?)
            }
            None => None,
        };
        if let Some(schema) = schema {
            let changes = json!({ "updated_properties": schema.changes });
            self.put_schema(id, schema);
            self.emit(
                "data_source.schema_updated",
                ("data_source", id),
                caller.bot,
                changes,
            );
        }
        let now = self.now.floored();
        if let Some(found) = self.data_sources.get_mut(&id) {
            found.title = title.unwrap_or(std::mem::take(&mut found.title));
            found.description = description.unwrap_or(std::mem::take(&mut found.description));
            found.icon = icon.unwrap_or(found.icon.take());
            found.in_trash = trash.unwrap_or(found.in_trash);
            found.stamps.edited = now;
            found.stamps.editor = caller.bot;
            if let Some(database) = parent.filter(|database| *database != found.database) {
                let old = std::mem::replace(&mut found.database, database);
                if let Some(old) = self.databases.get_mut(&old) {
                    old.data_sources.retain(|other| *other != id);
                }
                if let Some(new) = self.databases.get_mut(&database) {
                    new.data_sources.push(id);
                }
            }
        }
        if let Some(trashed) = trash.filter(|trashed| *trashed != was_trashed) {
            let kind = if trashed {
                "data_source.deleted"
            } else {
                "data_source.undeleted"
            };
            self.emit(kind, ("data_source", id), caller.bot, json!({}));
        }
        Ok(self.data_source_json(caller, self.data_source(caller, id)?))
    }

    pub(super) fn list_templates(&self, caller: Caller, id: Uuid, request: &Request) -> Answered<Json> {
        let wanted = request.query_value("name").map(str::to_lowercase);
        let templates: Vec<Json> = self
            .data_source(caller, id)?
            .templates
            .iter()
            .filter(|template| wanted.as_ref().is_none_or(|name| template.name.to_lowercase().contains(name)))
            .map(|template| json!({"id": template.id, "name": template.name, "is_default": template.is_default}))
            .collect();
        let cut = Batch::of_query(request)?.cut(&templates, &format!("templates {id}"))?;
        Ok(
            json!({"templates": cut.results, "has_more": cut.next_cursor.is_some(), "next_cursor": cut.next_cursor}),
        )
    }

    /// What a schema becomes by the `properties` of a request; nothing changes yet.
    pub(super) fn check_schema(
        &mut self,
        caller: Caller,
        old: &[Property],
        body: &Body<'_>,
        title: Option<&RichText>,
    ) -> Answered<CheckedSchema> {
        let mut properties = old.to_vec();
        let mut mirrors = Vec::new();
        let mut rollups = Vec::new();
        let mut changes = Vec::new();
        let change = |property: &Property, action: &str| json!({"id": &*property.id, "name": property.name, "action": action});
        for (key, body) in body.entries()? {
            let position = properties
                .iter()
                .position(|property| property.name == key)
                .or_else(|| properties.iter().position(|property| *property.id == *key));
            if body.value.is_null() {
                let position = position
                    .ok_or_else(|| Refusal::validation(format!("{key} is not a property that exists.")))?;
                if matches!(properties[position].config, Config::Title) {
                    return Err(Refusal::validation("Cannot delete the title property."));
                }
                changes.push(change(&properties[position], "deleted"));
                properties.remove(position);
                continue;
            }
            let rename = body
                .given("name")
                .map(|name| name.filled_text(MAX_NAME))
                .transpose()?;
            let has_type = body
                .object()?
                .keys()
                .any(|key| !matches!(key.as_str(), "name" | "description" | "id" | "type"));
            let Some(position) = position else {
                let draft = schema::parse(&body, None, &mut self.seed)?;
                let name = rename.unwrap_or(key).to_owned();
                let description = description_of(&body)?;
                let id: PropertyId = if matches!(draft, Draft::Ready(Config::Title)) {
                    "title".into()
                } else {
                    self.seed.property_id().into()
                };
                let mut property = Property {
                    id,
                    name,
                    description,
                    config: Config::RichText,
                };
                match draft {
                    Draft::Rollup { .. } => rollups.push((properties.len(), draft)),
                    draft => {
                        property.config =
                            self.check_draft(caller, draft, &property, title, None, &mut mirrors)?
                    }
                }
                if matches!(property.config, Config::Title)
                    && properties
                        .iter()
                        .any(|other| matches!(other.config, Config::Title))
                {
                    return Err(Refusal::validation("Cannot create more than one title property."));
                }
                changes.push(change(&property, "created"));
                properties.push(property);
                continue;
            };
            let before = properties[position].clone();
            if has_type {
                let draft = schema::parse(&body, Some(&before.config), &mut self.seed)?;
                let stays = |kind: &str| kind == before.config.kind();
                let (kind_is_title, kept) = match &draft {
                    Draft::Ready(config) => (matches!(config, Config::Title), stays(config.kind())),
                    Draft::Relation { .. } => (false, stays("relation")),
                    Draft::Rollup { .. } => (false, stays("rollup")),
                };
                if !kept && (kind_is_title || matches!(before.config, Config::Title | Config::Place)) {
                    return Err(Refusal::validation(format!(
                        "Cannot change the type of property {}.",
                        before.name
                    )));
                }
                match draft {
                    Draft::Rollup { .. } => rollups.push((position, draft)),
                    draft => {
                        let config = self.check_draft(
                            caller,
                            draft,
                            &before,
                            title,
                            Some(&before.config),
                            &mut mirrors,
                        )?;
                        properties[position].config = config;
                    }
                }
                let clears = matches!(before.config, Config::Select(_) | Config::MultiSelect(_));
                if clears || body.get("description").is_some() {
                    properties[position].description = description_of(&body)?;
                }
            } else if body.get("description").is_some() {
                properties[position].description = description_of(&body)?;
            } else if rename.is_none() {
                schema::type_of(&body)?;
            }
            if let Some(name) = rename {
                properties[position].name = name.to_owned();
            }
            changes.push(change(&properties[position], "updated"));
        }
        if !properties
            .iter()
            .any(|property| matches!(property.config, Config::Title))
        {
            properties.insert(
                0,
                Property {
                    id: "title".into(),
                    name: "Name".to_owned(),
                    description: None,
                    config: Config::Title,
                },
            );
            rollups.iter_mut().for_each(|(position, _)| *position += 1);
        }
        for (position, draft) in rollups {
            properties[position].config = self.check_rollup(draft, &properties)?;
        }
        check_whole(&properties)?;
        Ok(CheckedSchema {
            properties,
            mirrors,
            changes,
        })
    }

    fn check_draft(
        &mut self,
        caller: Caller,
        draft: Draft,
        property: &Property,
        title: Option<&RichText>,
        old: Option<&Config>,
        mirrors: &mut Vec<Mirror>,
    ) -> Answered<Config> {
        let (data_source, dual) = match draft {
            Draft::Ready(config) => return Ok(config),
            Draft::Relation { data_source, dual } => (data_source, dual),
            Draft::Rollup { .. } => return Err(Refusal::validation("a rollup is checked last")),
        };
        self.data_source(caller, data_source)?;
        if let Some(Config::Relation {
            data_source: same,
            mirror,
        }) = old
            && *same == data_source
            && dual.is_some() == mirror.is_some()
        {
            return Ok(Config::Relation {
                data_source,
                mirror: mirror.clone(),
            });
        }
        let mirror = dual.map(|name| {
            let home = title.map(|title| rich_text::text_of(title)).unwrap_or_default();
            let name = name.unwrap_or_else(|| format!("Related to {home} ({})", property.name));
            let id: PropertyId = self.seed.property_id().into();
            // The mirror's own target is filled in when the schema is put in place.
            let config = Config::Relation {
                data_source: Uuid::nil(),
                mirror: Some(property.id.clone()),
            };
            mirrors.push(Mirror {
                target: data_source,
                property: Property {
                    id: id.clone(),
                    name,
                    description: None,
                    config,
                },
            });
            id
        });
        Ok(Config::Relation { data_source, mirror })
    }

    fn check_rollup(&self, draft: Draft, properties: &[Property]) -> Answered<Config> {
        let Draft::Rollup {
            relation,
            target,
            function,
        } = draft
        else {
            return Err(Refusal::invalid_url());
        };
        let through = properties.iter().find(|property| relation.matches(property));
        let Some((through, Config::Relation { data_source, .. })) =
            through.map(|found| (found, &found.config))
        else {
            return Err(Refusal::validation(format!(
                "Could not find relation property for rollup: {relation:?}"
            )));
        };
        let there = self.data_sources.get(data_source);
        let rolled =
            there.and_then(|there| there.properties.iter().find(|property| target.matches(property)));
        let rolled = rolled
            .ok_or_else(|| Refusal::validation(format!("Could not find rollup property: {target:?}")))?;
        Ok(Config::Rollup {
            relation: through.id.clone(),
            target: rolled.id.clone(),
            function,
        })
    }

    /// Puts a checked schema in place, and fits what pages hold to it.
    pub(super) fn put_schema(&mut self, id: Uuid, schema: CheckedSchema) {
        self.kept_order = None;
        for Mirror { target, mut property } in schema.mirrors {
            if let Config::Relation { data_source, .. } = &mut property.config {
                *data_source = id;
            }
            if let Some(target) = self.data_sources.get_mut(&target) {
                property.name = free_name(target, property.name);
                target.properties.push(property);
            }
        }
        let Some(found) = self.data_sources.get_mut(&id) else {
            return;
        };
        // A two-way relation within one data source has put its mirror there just now.
        let mirrored: Vec<Property> = found
            .properties
            .iter()
            .filter(|property| match &property.config {
                Config::Relation {
                    data_source,
                    mirror: Some(mirror),
                } => {
                    *data_source == id
                        && schema.properties.iter().any(|own| own.id == *mirror)
                        && !schema.properties.iter().any(|own| own.id == property.id)
                        && !schema.changes.iter().any(|change| change["id"] == *property.id)
                }
                _ => false,
            })
            .cloned()
            .collect();
        let mut properties = schema.properties;
        properties.extend(mirrored);
        let old = std::mem::replace(&mut found.properties, properties);
        self.fit_values(id, &old);
        for gone in old {
            let kept = self
                .data_sources
                .get(&id)
                .is_some_and(|found| found.by_id(&gone.id).is_some());
            if let (
                false,
                Config::Relation {
                    data_source,
                    mirror: Some(mirror),
                },
            ) = (kept, &gone.config)
                && let Some(target) = self.data_sources.get_mut(data_source)
                && let Some(property) = target
                    .properties
                    .iter_mut()
                    .find(|property| property.id == *mirror)
                && let Config::Relation { mirror, .. } = &mut property.config
            {
                // The other side goes on as a one-way relation.
                *mirror = None;
            }
        }
    }

    /// Converts or clears what pages hold where a property was removed, retyped or lost an option.
    fn fit_values(&mut self, id: Uuid, old: &[Property]) {
        let Some(found) = self.data_sources.get(&id) else {
            return;
        };
        let mut fits: BTreeMap<PropertyId, (Config, Option<Config>)> = BTreeMap::new();
        for before in old {
            let after = found.by_id(&before.id).map(|property| property.config.clone());
            let same_options = after.as_ref().is_some_and(|after| {
                before
                    .config
                    .choices()
                    .iter()
                    .all(|old| after.choices().iter().any(|new| new.id == old.id))
            });
            if after
                .as_ref()
                .is_none_or(|after| after.kind() != before.config.kind())
                || !same_options
            {
                fits.insert(before.id.clone(), (before.config.clone(), after));
            }
        }
        if fits.is_empty() {
            return;
        }
        let rows: Vec<Uuid> = self
            .pages
            .values()
            .filter(|page| page.parent == super::Parent::DataSource(id))
            .filter(|page| fits.keys().any(|property| page.values.contains_key(property)))
            .map(|page| page.id)
            .collect();
        if let Some(found) = self.data_sources.get_mut(&id) {
            found
                .rows
                .by_value
                .retain(|property, _| !fits.contains_key(property));
        }
        for row in rows {
            // Whether a schema edit moves the stamps of pages is unverified; here it does not (fact sheet, 7, row 6).
            self.rewrite_page(row, |page| {
                for (property, (before, after)) in &fits {
                    if let Some(value) = page.values.remove(property)
                        && let Some(value) = after.as_ref().and_then(|after| converted(value, before, after))
                    {
                        page.values.insert(property.clone(), value);
                    }
                }
            });
        }
    }
}

/// A value under a new type or option list; `None` where it cannot be read any more.
fn converted(value: Value, before: &Config, after: &Config) -> Option<Value> {
    let named = |id: &Uuid| {
        before
            .choices()
            .iter()
            .find(|choice| choice.id == *id)
            .map(|choice| choice.name.clone())
    };
    let option = |id: &Uuid| {
        let name = named(id);
        let mut known = after.choices().iter();
        known
            .find(|choice| {
                choice.id == *id || name.as_ref().is_some_and(|name| same_name(name, &choice.name))
            })
            .map(|choice| choice.id)
    };
    let text = match &value {
        Value::Text(_) | Value::Line(_) => value.text(),
        Value::Number(number) => number.to_string(),
        Value::Choice(id) => named(id).unwrap_or_default(),
        Value::Choices(ids) => ids.iter().filter_map(named).collect::<Vec<_>>().join(", "),
        Value::Date(dates) => dates.start.iso(),
        _ => String::new(),
    };
    match (after, &value) {
        (Config::RichText, Value::Text(_)) => Some(value),
        (Config::RichText, _) => Some(Value::Text(rich_text::plain(&text))).filter(|_| !text.is_empty()),
        (Config::Url | Config::Email | Config::Phone, _) => (!text.is_empty()).then_some(Value::Line(text)),
        (Config::Number { .. }, _) => text
            .trim()
            .parse()
            .ok()
            .map(|number| Value::Number(super::write::double(number))),
        (Config::Select(_), Value::Choice(id)) | (Config::Status { .. }, Value::Choice(id)) => {
            option(id).map(Value::Choice)
        }
        (Config::Select(_), Value::Choices(ids)) => ids.iter().find_map(option).map(Value::Choice),
        (Config::MultiSelect(_), Value::Choice(id)) => option(id).map(|id| Value::Choices(vec![id])),
        (Config::MultiSelect(_), Value::Choices(ids)) => {
            let ids: Vec<Uuid> = ids.iter().filter_map(option).collect();
            (!ids.is_empty()).then_some(Value::Choices(ids))
        }
        (Config::Checkbox, Value::Ticked) => Some(value),
        (after, _) if after.kind() == before.kind() => Some(value),
        _ => None,
    }
}

fn free_name(target: &DataSource, name: String) -> String {
    let taken = |name: &str| {
        target
            .properties
            .iter()
            .any(|property| same_name(&property.name, name))
    };
    let mut free = name.clone();
    let mut number = 1;
    while taken(&free) {
        free = format!("{name} {number}");
        number += 1;
    }
    free
}

fn description_of(body: &Body<'_>) -> Answered<Option<String>> {
    body.given("description")
        .map(|text| text.filled_text(280).map(str::to_owned))
        .transpose()
}

fn check_whole(properties: &[Property]) -> Answered<()> {
    if properties.len() > MAX_PROPERTIES {
        return Err(Refusal::validation(format!(
            "A data source can have at most {MAX_PROPERTIES} properties."
        )));
    }
    for (index, property) in properties.iter().enumerate() {
        if properties[..index]
            .iter()
            .any(|other| same_name(&other.name, &property.name))
        {
            return Err(Refusal::validation(format!(
                "Cannot have two properties with the name {}.",
                property.name
            )));
        }
        if let Config::Formula(formula) = &property.config
            && let Some(unknown) = formula
                .properties()
                .into_iter()
                .find(|name| !properties.iter().any(|other| other.name == **name))
        {
            return Err(Refusal::validation(format!(
                "Type error with formula: undefined property \"{unknown}\""
            )));
        }
    }
    let sizes = properties.iter().map(|property| {
        (
            property.render(property.render_config()).to_string().len(),
            property,
        )
    });
    let total: usize = sizes.clone().map(|(size, _)| size).sum();
    if total > MAX_SCHEMA_BYTES
        && let Some((size, largest)) = sizes.max_by_key(|(size, _)| *size)
    {
        return Err(Refusal::validation(format!(
            "The schema has {total} bytes, more than {MAX_SCHEMA_BYTES}. Its largest property is \"{}\" (id {}, {size} bytes).",
            largest.name, largest.id
        )));
    }
    Ok(())
}
