//! Search by title (fact sheet, 3.8).

use serde_json::Value as Json;
use uuid::Uuid;

use super::batch::{Batch, Cut, list_json};
use super::body::Body;
use super::read::Shown;
use super::refusal::Answered;
use super::{Caller, Moment, Workspace, rich_text};

impl Workspace {
    /// Titles that contain the words, newest edit first; as far behind as queries are.
    pub(super) fn search(&self, caller: Caller, body: &Body<'_>) -> Answered<Json> {
        body.only(&["query", "filter", "sort", "start_cursor", "page_size"])?;
        let words = body
            .given("query")
            .map(|query| query.text(super::body::MAX_TEXT))
            .transpose()?
            .unwrap_or_default();
        let words = words.to_lowercase();
        let mut kind = None;
        let mut in_trash = false;
        if let Some(filter) = body.given("filter") {
            filter.only(&["property", "value", "in_trash"])?;
            if filter.get("value").is_some() {
                filter.need("property")?.word(&["object"])?;
                kind = Some(filter.need("value")?.word(&["page", "data_source"])?);
            }
            in_trash = filter
                .given("in_trash")
                .map(|found| found.bool())
                .transpose()?
                .unwrap_or_default();
        }
        let mut ascending = false;
        if let Some(sort) = body.given("sort") {
            sort.need("timestamp")?.word(&["last_edited_time"])?;
            ascending = sort.need("direction")?.word(&["ascending", "descending"])? == "ascending";
        }
        let mut found: Vec<(Moment, Uuid)> = Vec::new();
        if kind != Some("data_source") {
            let pages = self.pages.keys().filter_map(|id| self.indexed(*id));
            let matching =
                pages.filter(|page| words.is_empty() || page.title().to_lowercase().contains(&words));
            found.extend(matching.map(|page| (page.stamps.edited, page.id)));
        }
        if kind != Some("page") {
            let sources = self.data_sources.values();
            let matching =
                sources.filter(|source| rich_text::text_of(&source.title).to_lowercase().contains(&words));
            found.extend(matching.map(|source| (source.stamps.edited, source.id)));
        }
        found.retain(|(_, id)| self.is_visible(caller.connection, *id) && self.is_trashed(*id) == in_trash);
        found.sort();
        if !ascending {
            found.reverse();
        }
        let told = body.value.get("filter").map(Json::to_string);
        let cut = Batch::of_body(body)?.cut(&found, &format!("search {ascending} {told:?} {words}"))?;
        let object = |id: &Uuid| match (self.pages.get(id), self.data_sources.get(id)) {
            (Some(page), _) => Some(self.page_json(caller, page, &Shown::All)),
            (_, Some(source)) => Some(self.data_source_json(caller, source)),
            _ => None,
        };
        let results = cut.results.iter().filter_map(|(_, id)| object(id)).collect();
        Ok(list_json(
            "page_or_data_source",
            Cut {
                results,
                next_cursor: cut.next_cursor,
            },
        ))
    }
}
