//! Property values as requests send them: checked whole, then written (fact sheet, sections 3.5, 3.6 and 4).

use std::collections::BTreeMap;

use serde_json::{Number, Value as Json, json};
use uuid::Uuid;

use super::body::Body;
use super::moment::{Point, Zone};
use super::refusal::{Answered, Refusal};
use super::schema::{Choice, Config, Property, PropertyId, option_name, same_name};
use super::value::{Dates, FileEntry, FilePlace, Value};
use super::{Workspace, rich_text};

/// A checked value; options that do not exist yet wait to be made.
#[derive(Debug)]
pub(super) enum Written {
    Ready(Option<Value>),
    Choice(Pick),
    Choices(Vec<Pick>),
}

/// An option that exists, or the name of a new one.
#[derive(Debug)]
pub(super) enum Pick {
    Known(Uuid),
    New(String),
}

/// Who writes: the API has limits per request, people in the app have not.
#[derive(Clone, Copy, Debug)]
pub(super) enum Writer {
    Connection(super::Caller),
    Person,
}

/// The keys of a value that a request may use, in the order of Notion's own list of alternatives.
const VALUE_KINDS: [&str; 17] = [
    "title",
    "rich_text",
    "number",
    "url",
    "select",
    "multi_select",
    "people",
    "email",
    "phone_number",
    "date",
    "checkbox",
    "relation",
    "files",
    "status",
    "place",
    "verification",
    "button",
];

impl Workspace {
    /// Checks the `properties` of a page write against a data source, without changing anything.
    pub(super) fn check_values(
        &self,
        data_source: Uuid,
        properties: &Body<'_>,
        writer: Writer,
    ) -> Answered<Vec<(PropertyId, Written)>> {
        let Some(schema) = self.data_sources.get(&data_source) else {
            return Ok(Vec::new());
        };
        let mut checked = Vec::new();
        for (key, body) in properties.entries()? {
            let property = schema
                .property(key)
                .ok_or_else(|| Refusal::validation(format!("{key} is not a property that exists.")))?;
            checked.push((property.id.clone(), self.check_value(property, &body, writer)?));
        }
        Ok(checked)
    }

    fn check_value(&self, property: &Property, body: &Body<'_>, writer: Writer) -> Answered<Written> {
        let kind = property.config.kind();
        let object = body.object()?;
        if !object.contains_key(kind) || !property.config.is_writable() {
            let known = VALUE_KINDS.iter().any(|kind| object.contains_key(*kind));
            if known && property.config.is_writable() {
                return Err(Refusal::validation(format!(
                    "{} is expected to be {kind}.",
                    property.name
                )));
            }
            let lines: Vec<String> = VALUE_KINDS
                .iter()
                .map(|kind| {
                    format!(
                        "{}.{kind} should be defined, instead was `undefined`.",
                        body.path()
                    )
                })
                .collect();
            return Err(Refusal::validation(format!(
                "body failed validation. Fix one:\n{}",
                lines.join("\n")
            )));
        }
        body.only(&[kind, "type", "id", "name", "has_more"])?;
        let inner = body.need(kind)?;
        if inner.value.is_null() {
            return match &property.config {
                Config::Status { options, groups } => Ok(Written::Ready(default_status(options, groups))),
                Config::Number { .. }
                | Config::Select(_)
                | Config::Date
                | Config::Url
                | Config::Email
                | Config::Phone
                | Config::Place => Ok(Written::Ready(None)),
                Config::Checkbox => Err(inner.refuse("a boolean")),
                _ => Err(inner.refuse("an array")),
            };
        }
        let value = match &property.config {
            Config::Title | Config::RichText => {
                let runs = rich_text::parse(&inner, &|kind, id| self.name_of(kind, id))?;
                (!runs.is_empty()).then_some(Value::Text(runs))
            }
            Config::Number { .. } => Some(Value::Number(double(inner.number()?))),
            Config::Select(options) => return Ok(Written::Choice(pick(options, &inner)?)),
            Config::Status { options, .. } => match pick(options, &inner)? {
                Pick::Known(id) => Some(Value::Choice(id)),
                Pick::New(name) => {
                    return Err(Refusal::validation(format!(
                        "Invalid status option. Status option \"{name}\" does not exist."
                    )));
                }
            },
            Config::MultiSelect(options) => {
                let picks = inner
                    .elements()?
                    .iter()
                    .map(|item| pick(options, item))
                    .collect::<Answered<Vec<_>>>()?;
                return Ok(Written::Choices(picks));
            }
            Config::Date => Some(Value::Date(self.check_dates(&inner)?)),
            Config::People => self.check_people(&inner, writer)?,
            Config::Files => self.check_files(&inner)?,
            Config::Checkbox => inner.bool()?.then_some(Value::Ticked),
            Config::Url => Some(Value::Line(inner.filled_text(2000)?.to_owned())),
            Config::Email | Config::Phone => Some(Value::Line(inner.filled_text(200)?.to_owned())),
            Config::Relation { data_source, .. } => self.check_relation(*data_source, &inner, writer)?,
            Config::Place => {
                inner.need("lat")?.number()?;
                inner.need("lon")?.number()?;
                let mut place = json!({"lat": null, "lon": null, "name": null, "address": null, "aws_place_id": null, "google_place_id": null});
                for (key, part) in inner.entries()? {
                    place[key] = part.value.clone();
                }
                Some(Value::Object(place))
            }
            _ => self.check_verification(&inner, writer)?,
        };
        Ok(Written::Ready(value))
    }

    fn check_dates(&self, body: &Body<'_>) -> Answered<Dates> {
        body.only(&["start", "end", "time_zone"])?;
        let zone = match body.given("time_zone") {
            Some(name) => {
                Some(Zone::named(name.text(100)?).ok_or_else(|| name.refuse("a valid IANA time zone"))?)
            }
            None => None,
        };
        let point = |found: Body<'_>| -> Answered<Point> {
            let text = found.text(100)?;
            let point = Point::parse(text, zone.as_ref());
            // With a zone, the ends are times without offset (fact sheet, 4.6).
            let point = point.filter(|point| zone.is_none() || !point.is_day());
            let point = point.ok_or_else(|| found.refuse("a valid ISO 8601 date string"))?;
            Ok(if self.limits.dates_keep_seconds {
                point
            } else {
                point.floored()
            })
        };
        let start = point(body.need("start")?)?;
        let end = body.given("end").map(point).transpose()?;
        if let Some(end) = end
            && (end.is_day() != start.is_day() || end.begins() < start.begins())
        {
            return Err(body
                .need("end")?
                .refuse("a date of the same kind as `start`, not before it"));
        }
        Ok(Dates { start, end })
    }

    fn check_people(&self, body: &Body<'_>, writer: Writer) -> Answered<Option<Value>> {
        let mut people = Vec::new();
        for item in body.elements()? {
            let id = item.need("id")?.uuid()?;
            if !self.users.contains_key(&id) {
                return Err(match writer {
                    Writer::Connection(caller) => self.missing(caller, "user", id),
                    Writer::Person => Refusal::validation("no such user"),
                });
            }
            if !people.contains(&id) {
                people.push(id);
            }
        }
        Ok((!people.is_empty()).then_some(Value::People(people)))
    }

    fn check_relation(&self, target: Uuid, body: &Body<'_>, writer: Writer) -> Answered<Option<Value>> {
        let items = match writer {
            Writer::Connection(_) => body
                .elements()?
                .iter()
                .map(|item| item.need("id")?.uuid())
                .collect::<Answered<Vec<_>>>()?,
            Writer::Person => {
                let ids = body.value.as_array().map(Vec::as_slice).unwrap_or_default();
                let parse = |item: &Json| item["id"].as_str().and_then(super::body::parse_uuid);
                ids.iter()
                    .map(parse)
                    .collect::<Option<Vec<_>>>()
                    .ok_or_else(|| body.refuse("an array of page ids"))?
            }
        };
        let mut pages: Vec<Uuid> = Vec::new();
        for id in items {
            let page = match writer {
                Writer::Connection(caller) => self.page(caller, id)?,
                Writer::Person => self
                    .pages
                    .get(&id)
                    .ok_or_else(|| Refusal::validation("no such page"))?,
            };
            if page.parent != super::Parent::DataSource(target) {
                return Err(Refusal::validation(format!(
                    "{} should be a page of the related data source: {id} is not.",
                    body.path()
                )));
            }
            if !pages.contains(&id) {
                pages.push(id);
            }
        }
        Ok((!pages.is_empty()).then_some(Value::Relation(pages)))
    }

    fn check_files(&self, body: &Body<'_>) -> Answered<Option<Value>> {
        let mut files = Vec::new();
        for item in body.elements()? {
            let name = item
                .given("name")
                .map(|name| name.filled_text(100))
                .transpose()?
                .map(str::to_owned);
            let entry = if let Some(upload) = item.get("file_upload") {
                let id = upload.need("id")?.uuid()?;
                let found = self.attachable(id)?;
                FileEntry {
                    name: name.or(found).unwrap_or_default(),
                    place: FilePlace::Hosted(id),
                }
            } else {
                item.need("name")?;
                let name = name.unwrap_or_default();
                if let Some(external) = item.get("external") {
                    let url = external.need("url")?.filled_text(2000)?.to_owned();
                    FileEntry {
                        name,
                        place: FilePlace::External(url),
                    }
                } else {
                    let url = item.need("file")?.need("url")?;
                    let id = self
                        .hosted_at(url.text(2000)?)
                        .ok_or_else(|| url.refuse("the URL of a file of this workspace"))?;
                    FileEntry {
                        name,
                        place: FilePlace::Hosted(id),
                    }
                }
            };
            files.push(entry);
        }
        Ok((!files.is_empty()).then_some(Value::Files(files)))
    }

    fn check_verification(&self, body: &Body<'_>, writer: Writer) -> Answered<Option<Value>> {
        if body.need("state")?.word(&["verified", "unverified"])? == "unverified" {
            return Ok(None);
        }
        let dates = body
            .given("date")
            .map(|date| self.check_dates(&date))
            .transpose()?;
        let author = match writer {
            Writer::Connection(caller) => caller.bot,
            Writer::Person => self.person,
        };
        Ok(Some(Value::Object(json!({
            "state": "verified", "verified_by": {"object": "user", "id": author}, "date": dates.map(Dates::render),
        }))))
    }

    /// Makes the options that a checked write still needs, and answers the values to keep.
    pub(super) fn settle(
        &mut self,
        data_source: Uuid,
        checked: Vec<(PropertyId, Written)>,
    ) -> BTreeMap<PropertyId, Option<Value>> {
        let mut values = BTreeMap::new();
        for (property, written) in checked {
            let value = match written {
                Written::Ready(value) => value,
                Written::Choice(pick) => Some(Value::Choice(self.option(data_source, &property, pick))),
                Written::Choices(picks) => {
                    let mut options = Vec::new();
                    for pick in picks {
                        let option = self.option(data_source, &property, pick);
                        if !options.contains(&option) {
                            options.push(option);
                        }
                    }
                    (!options.is_empty()).then_some(Value::Choices(options))
                }
            };
            values.insert(property, value);
        }
        values
    }

    fn option(&mut self, data_source: Uuid, property: &PropertyId, pick: Pick) -> Uuid {
        let name = match pick {
            Pick::Known(id) => return id,
            Pick::New(name) => name,
        };
        let (id, color) = (self.seed.uuid(), self.seed.color());
        let options = self
            .data_sources
            .get_mut(&data_source)
            .and_then(|schema| {
                schema
                    .properties
                    .iter_mut()
                    .find(|candidate| candidate.id == *property)
            })
            .and_then(|property| property.config.choices_mut());
        let Some(options) = options else { return id };
        // The same new name twice in one request is one option.
        if let Some(known) = options.iter().find(|choice| same_name(&choice.name, &name)) {
            return known.id;
        }
        options.push(Choice {
            id,
            name,
            color,
            description: None,
        });
        id
    }

    /// Writes settled values into a page, and the other side of its two-way relations.
    pub(super) fn apply_values(
        &mut self,
        page: Uuid,
        author: Uuid,
        values: BTreeMap<PropertyId, Option<Value>>,
    ) {
        self.keep_files(&values);
        let Some(found) = self.pages.get(&page) else {
            return;
        };
        let super::Parent::DataSource(home) = found.parent else {
            self.edit_page(page, author, |page| put(page, values));
            return;
        };
        let mut mirrored = Vec::new();
        if let Some(schema) = self.data_sources.get(&home) {
            for (property, value) in &values {
                let Some(Config::Relation {
                    mirror: Some(mirror), ..
                }) = schema.by_id(property).map(|found| &found.config)
                else {
                    continue;
                };
                let before = found
                    .values
                    .get(property)
                    .map(Value::pages)
                    .unwrap_or_default()
                    .to_vec();
                let after = value.as_ref().map(Value::pages).unwrap_or_default().to_vec();
                mirrored.push((mirror.clone(), before, after));
            }
        }
        let updated: Vec<&str> = values.keys().map(|id| &**id).collect();
        let updated = json!({ "updated_properties": updated });
        self.edit_page(page, author, |page| put(page, values));
        self.emit("page.properties_updated", ("page", page), author, updated);
        for (mirror, before, after) in mirrored {
            for gone in before.iter().filter(|id| !after.contains(id)) {
                self.mirror(*gone, &mirror, author, |pages| pages.retain(|id| *id != page));
            }
            for come in after.iter().filter(|id| !before.contains(id)) {
                self.mirror(*come, &mirror, author, |pages| {
                    if !pages.contains(&page) {
                        pages.push(page);
                    }
                });
            }
        }
    }

    fn mirror(
        &mut self,
        page: Uuid,
        property: &PropertyId,
        author: Uuid,
        change: impl FnOnce(&mut Vec<Uuid>),
    ) {
        let write = |page: &mut super::Page| {
            let mut pages = page
                .values
                .get(property)
                .map(Value::pages)
                .unwrap_or_default()
                .to_vec();
            change(&mut pages);
            let value = (!pages.is_empty()).then_some(Value::Relation(pages));
            put(page, BTreeMap::from([(property.clone(), value)]));
        };
        if self.limits.mirror_moves_stamps {
            self.edit_page(page, author, write);
        } else {
            self.rewrite_page(page, write);
        }
        self.emit(
            "page.properties_updated",
            ("page", page),
            author,
            json!({"updated_properties": [&**property]}),
        );
    }
}

fn put(page: &mut super::Page, values: BTreeMap<PropertyId, Option<Value>>) {
    for (property, value) in values {
        match value {
            Some(value) => page.values.insert(property, value),
            None => page.values.remove(&property),
        };
    }
}

/// The default option of a status property: the first of the first group that has any.
pub(super) fn default_status(options: &[Choice], groups: &[super::schema::Group]) -> Option<Value> {
    let first = groups.iter().find_map(|group| group.options.first().copied());
    first
        .or_else(|| options.first().map(|choice| choice.id))
        .map(Value::Choice)
}

fn pick(options: &[Choice], body: &Body<'_>) -> Answered<Pick> {
    body.only(&["id", "name", "color", "description"])?;
    if let Some(id) = body.given("id") {
        let text = id.filled_text(100)?;
        let known = options.iter().find(|choice| choice.id.to_string() == text);
        return match known {
            Some(choice) => Ok(Pick::Known(choice.id)),
            None => Err(Refusal::validation(format!(
                "Could not find option with id: {text}"
            ))),
        };
    }
    let name = option_name(&body.need("name")?)?;
    let known = options.iter().find(|choice| same_name(&choice.name, name));
    Ok(known.map_or_else(|| Pick::New(name.to_owned()), |choice| Pick::Known(choice.id)))
}

/// As JavaScript writes it: whole numbers without a fraction.
pub(super) fn double(number: f64) -> Number {
    let whole = number.fract() == 0.0 && number.abs() < 9e15;
    if whole {
        Number::from(number as i64)
    } else {
        Number::from_f64(number).unwrap_or_else(|| Number::from(0))
    }
}
