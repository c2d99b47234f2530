//! Views, and the queries stored for them (fact sheet, 3.13).

use std::time::Duration;

use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::batch::{Batch, Cut, list_json};
use super::body::Body;
use super::endpoint::query_id;
use super::filter::Filter;
use super::read::{url_of, user_reference};
use super::refusal::{Answered, Refusal};
use super::state::{View, ViewQuery};
use super::{Caller, Request, Workspace};

const KINDS: [&str; 10] = [
    "table",
    "board",
    "list",
    "calendar",
    "timeline",
    "gallery",
    "form",
    "chart",
    "map",
    "dashboard",
];

const QUERY_LIFETIME: Duration = Duration::from_secs(15 * 60);

impl Workspace {
    /// The table view that every new database has.
    pub(super) fn add_default_view(&mut self, caller: Caller, database: Uuid, data_source: Uuid) {
        let id = self.seed.uuid();
        let view = View {
            id,
            database,
            data_source,
            stamps: self.stamps(caller.bot),
            name: "Default view".to_owned(),
            kind: "table",
            filter: Json::Null,
            sorts: Json::Null,
            quick_filters: Json::Null,
            configuration: Json::Null,
        };
        self.put_view(view, None);
    }

    fn put_view(&mut self, view: View, at: Option<usize>) {
        if let Some(database) = self.databases.get_mut(&view.database) {
            let at = at.unwrap_or(database.views.len()).min(database.views.len());
            database.views.insert(at, view.id);
        }
        let (id, author, kind) = (view.id, view.stamps.creator, view.kind);
        self.views.insert(id, view);
        self.emit("view.created", ("view", id), author, json!({ "view_type": kind }));
    }

    fn view(&self, caller: Caller, id: Uuid) -> Answered<&View> {
        self.seen(caller, "view", &self.views, id)
    }

    fn view_json(&self, view: &View) -> Json {
        json!({
            "object": "view", "id": view.id, "parent": {"type": "database_id", "database_id": view.database},
            "name": view.name, "type": view.kind, "data_source_id": view.data_source,
            "created_time": view.stamps.created.iso(), "last_edited_time": view.stamps.edited.iso(),
            "created_by": user_reference(view.stamps.creator), "last_edited_by": user_reference(view.stamps.editor),
            "url": format!("{}?v={}", url_of(view.database), view.id.simple()),
            "filter": view.filter, "sorts": view.sorts, "quick_filters": view.quick_filters,
            "configuration": view.configuration,
        })
    }

    pub(super) fn create_view(&mut self, caller: Caller, body: &Body<'_>) -> Answered<Json> {
        body.only(&[
            "data_source_id",
            "name",
            "type",
            "database_id",
            "view_id",
            "filter",
            "sorts",
            "quick_filters",
            "create_database",
            "configuration",
            "position",
            "placement",
        ])?;
        let data_source = body.need("data_source_id")?.uuid()?;
        self.data_source(caller, data_source)?;
        let name = body.need("name")?.text(super::body::MAX_TEXT)?.to_owned();
        let kind = body.need("type")?.word(&KINDS)?;
        let homes = ["database_id", "view_id", "create_database"]
            .iter()
            .filter(|key| body.given(key).is_some())
            .count();
        if homes != 1 {
            return Err(Refusal::validation(
                "body failed validation: exactly one of body.database_id, body.view_id, body.create_database should be defined.",
            ));
        }
        let Some(home) = body.given("database_id") else {
            let unknown = body
                .given("view_id")
                .or(body.given("create_database"))
                .unwrap_or(body.clone());
            return Err(unknown.refuse("not present: the simulator makes views of databases only"));
        };
        let database = home.uuid()?;
        let views = self.database(caller, database)?.views.clone();
        self.check_view_query(data_source, body)?;
        let configuration = self.check_configuration(data_source, kind, body.given("configuration"))?;
        let at = match body.given("position") {
            None => None,
            Some(position) => match position.need("type")?.word(&["start", "end", "after_view"])? {
                "start" => Some(0),
                "end" => None,
                _ => {
                    let after = position.need("view_id")?;
                    let id = after.uuid()?;
                    let index = views.iter().position(|view| *view == id);
                    Some(index.ok_or_else(|| after.refuse("a view of this database"))? + 1)
                }
            },
        };
        let part = |key: &str| body.given(key).map_or(Json::Null, |found| found.value.clone());
        let id = self.seed.uuid();
        let view = View {
            id,
            database,
            data_source,
            stamps: self.stamps(caller.bot),
            name,
            kind,
            filter: part("filter"),
            sorts: part("sorts"),
            quick_filters: part("quick_filters"),
            configuration,
        };
        self.put_view(view, at);
        self.get_view(caller, id)
    }

    /// Filter and sorts follow the grammar of queries.
    fn check_view_query(&self, data_source: Uuid, body: &Body<'_>) -> Answered<()> {
        let Some(home) = self.data_sources.get(&data_source) else {
            return Ok(());
        };
        if let Some(filter) = body.given("filter") {
            Filter::parse(&filter, home, self.now)?;
        }
        if let Some(sorts) = body.given("sorts") {
            super::query::check_sorts(&sorts, home)?;
        }
        Ok(())
    }

    fn check_configuration(
        &self,
        data_source: Uuid,
        kind: &'static str,
        body: Option<Body<'_>>,
    ) -> Answered<Json> {
        let needed = match kind {
            "board" => Some("group_by"),
            "calendar" | "timeline" => Some("date_property_id"),
            _ => None,
        };
        let Some(body) = body else {
            return match needed {
                Some(key) => Err(Refusal::validation(format!(
                    "body failed validation: body.configuration.{key} should be defined, instead was `undefined`."
                ))),
                None => Ok(Json::Null),
            };
        };
        body.need("type")?.word(&[kind])?;
        let Some(home) = self.data_sources.get(&data_source) else {
            return Ok(Json::Null);
        };
        let check = |id: &Body<'_>| -> Answered<()> {
            let wanted = id.text(super::schema::MAX_NAME)?;
            let known = home.by_id(wanted).is_some();
            if known {
                Ok(())
            } else {
                Err(Refusal::validation(format!(
                    "Could not find property with name or id: {wanted}"
                )))
            }
        };
        match needed {
            Some("group_by") => {
                let group = body.need("group_by")?;
                check(&group.need("property_id")?)?;
                let kind = group.need("type")?.text(100)?;
                group
                    .need("sort")?
                    .need("type")?
                    .word(&["manual", "ascending", "descending"])?;
                if kind == "status" {
                    group.need("group_by")?.word(&["group", "option"])?;
                }
                if matches!(kind, "date" | "created_time" | "last_edited_time") {
                    group
                        .need("group_by")?
                        .word(&["relative", "day", "week", "month", "year"])?;
                }
            }
            Some(key) => check(&body.need(key)?)?,
            None => {}
        }
        if let Some(properties) = body.given("properties") {
            for column in properties.elements()? {
                check(&column.need("property_id")?)?;
                if let Some(width) = column
                    .given("width")
                    .filter(|width| width.value.as_u64().is_none_or(|width| width == 0))
                {
                    return Err(width.refuse("≥ `1`"));
                }
            }
        }
        // What is `null` in a request is left out of what is read.
        let mut kept = body.object()?.clone();
        kept.retain(|_, value| !value.is_null());
        Ok(Json::Object(kept))
    }

    pub(super) fn list_views(&self, caller: Caller, request: &Request) -> Answered<Json> {
        let database = query_id(request, "database_id")?;
        let data_source = query_id(request, "data_source_id")?;
        let database = match (database, data_source) {
            (Some(id), _) => self.database(caller, id)?,
            (None, Some(id)) => {
                let database = self.data_source(caller, id)?.database;
                self.database(caller, database)?
            }
            (None, None) => {
                return Err(Refusal::validation(
                    "query failed validation: query.database_id should be defined, instead was `undefined`.",
                ));
            }
        };
        let of_source = |id: &&Uuid| {
            data_source.is_none_or(|wanted| self.views.get(id).is_some_and(|view| view.data_source == wanted))
        };
        let stubs: Vec<Json> = database
            .views
            .iter()
            .filter(of_source)
            .map(|id| json!({"object": "view", "id": id}))
            .collect();
        Ok(list_json(
            "view",
            Batch::of_query(request)?.cut(&stubs, &format!("views {} {data_source:?}", database.id))?,
        ))
    }

    pub(super) fn get_view(&self, caller: Caller, id: Uuid) -> Answered<Json> {
        Ok(self.view_json(self.view(caller, id)?))
    }

    pub(super) fn update_view(&mut self, caller: Caller, id: Uuid, body: &Body<'_>) -> Answered<Json> {
        body.only(&["name", "filter", "sorts", "quick_filters", "configuration"])?;
        let view = self.view(caller, id)?;
        let (data_source, kind) = (view.data_source, view.kind);
        self.check_view_query(data_source, body)?;
        if let Some(sorts) = body.given("sorts") {
            for sort in sorts.elements()? {
                sort.need("property")?;
            }
        }
        let name = body
            .given("name")
            .map(|name| name.text(super::body::MAX_TEXT))
            .transpose()?
            .map(str::to_owned);
        let configuration = match body.given("configuration") {
            Some(found) => Some(self.check_configuration(data_source, kind, Some(found))?),
            None => None,
        };
        let part = |key: &str| body.get(key).map(|found| found.value.clone());
        let now = self.now.floored();
        if let Some(view) = self.views.get_mut(&id) {
            view.name = name.unwrap_or(std::mem::take(&mut view.name));
            view.filter = part("filter").unwrap_or(view.filter.take());
            view.sorts = part("sorts").unwrap_or(view.sorts.take());
            view.quick_filters = part("quick_filters").unwrap_or(view.quick_filters.take());
            view.configuration = configuration.unwrap_or(view.configuration.take());
            view.stamps.edited = now;
            view.stamps.editor = caller.bot;
        }
        let fields: Vec<&str> = body.object()?.keys().map(String::as_str).collect();
        self.emit(
            "view.updated",
            ("view", id),
            caller.bot,
            json!({ "updated_fields": fields }),
        );
        self.get_view(caller, id)
    }

    pub(super) fn delete_view(&mut self, caller: Caller, id: Uuid) -> Answered<Json> {
        let view = self.view(caller, id)?;
        let (database, kind) = (view.database, view.kind);
        if self
            .databases
            .get(&database)
            .is_some_and(|database| database.views.len() < 2)
        {
            return Err(Refusal::validation("Cannot delete the last view of a database."));
        }
        self.emit("view.deleted", ("view", id), caller.bot, json!({}));
        if let Some(database) = self.databases.get_mut(&database) {
            database.views.retain(|other| *other != id);
        }
        self.views.remove(&id);
        Ok(
            json!({"object": "view", "id": id, "parent": {"type": "database_id", "database_id": database}, "type": kind}),
        )
    }

    pub(super) fn create_view_query(&mut self, caller: Caller, id: Uuid, body: &Body<'_>) -> Answered<Json> {
        body.only(&["page_size"])?;
        let view = self.view(caller, id)?;
        let pages = self.view_pages(caller, view.data_source, &view.filter, &view.sorts)?;
        let batch = Batch::of_body(body)?;
        let query = self.seed.uuid();
        let expires = self.now.after(QUERY_LIFETIME);
        let cut = batch.cut(&pages, &format!("view query {query}"))?;
        let now = self.now;
        self.view_queries.retain(|_, query| query.expires > now);
        let total = pages.len();
        self.view_queries.insert(
            query,
            ViewQuery {
                view: id,
                expires,
                pages,
            },
        );
        Ok(json!({
            "object": "view_query", "id": query, "view_id": id, "expires_at": expires.iso(), "total_count": total,
            "results": stubs(&cut.results), "next_cursor": cut.next_cursor, "has_more": cut.next_cursor.is_some(),
        }))
    }

    pub(super) fn get_view_query(
        &self,
        caller: Caller,
        view: Uuid,
        id: Uuid,
        request: &Request,
    ) -> Answered<Json> {
        self.view(caller, view)?;
        let query = self
            .view_queries
            .get(&id)
            .filter(|query| query.view == view && query.expires > self.now);
        let query = query.ok_or_else(|| self.missing(caller, "view_query", id))?;
        let cut = Batch::of_query(request)?.cut(&query.pages, &format!("view query {id}"))?;
        Ok(list_json(
            "page",
            Cut {
                results: stubs(&cut.results),
                next_cursor: cut.next_cursor,
            },
        ))
    }

    pub(super) fn delete_view_query(&mut self, caller: Caller, view: Uuid, id: Uuid) -> Answered<Json> {
        self.view(caller, view)?;
        let gone = self.view_queries.get(&id).is_some_and(|query| query.view == view);
        if !gone {
            return Err(self.missing(caller, "view_query", id));
        }
        self.view_queries.remove(&id);
        Ok(json!({"object": "view_query", "id": id, "deleted": true}))
    }
}

fn stubs(pages: &[Uuid]) -> Vec<Json> {
    pages
        .iter()
        .map(|id| json!({"object": "page", "id": id}))
        .collect()
}
