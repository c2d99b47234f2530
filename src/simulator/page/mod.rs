//! A page in the browser that shows the databases as tables and lets a person edit them like a Team Lead.
//!
//! Rendered here with escaping on; the script only sends what was typed to `/_simulator/act`.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use minijinja::Environment;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::http::{Shared, lock, plain, render};
use super::workspace::{Answer, Content, Workspace};

/// Rows shown of one database; the page is for looking, not for 100,000 rows.
const MOST_ROWS: usize = 200;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/", get(index))
        .route(
            "/_simulator/page.js",
            get(|| async { asset("text/javascript; charset=utf-8", include_str!("page.js")) }),
        )
        .route(
            "/_simulator/page.css",
            get(|| async { asset("text/css; charset=utf-8", include_str!("page.css")) }),
        )
}

fn asset(content_type: &str, text: &str) -> Response {
    let content = Content::File {
        content_type: content_type.to_owned(),
        bytes: text.as_bytes().to_vec(),
    };
    render(
        Answer {
            status: 200,
            headers: Vec::new(),
            content,
        },
        false,
    )
}

async fn index(State(service): State<Shared>) -> Response {
    let tables = {
        let mut service = lock(&service);
        service.catch_up();
        tables(&service.workspace)
    };
    let mut environment = Environment::new();
    let page = environment
        .add_template("page.html", include_str!("page.html"))
        .and_then(|()| environment.get_template("page.html"))
        .and_then(|template| {
            template.render(minijinja::Value::from(minijinja::value::Serde(
                json!({ "tables": tables }),
            )))
        });
    match page {
        Ok(page) => {
            // The page needs nothing from elsewhere, and no script but its own.
            let policy =
                "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:";
            let headers = vec![("content-security-policy".to_owned(), policy.to_owned())];
            render(
                Answer {
                    status: 200,
                    headers,
                    content: Content::Html(page),
                },
                false,
            )
        }
        Err(error) => plain(500, &error.to_string()),
    }
}

fn tables(workspace: &Workspace) -> Vec<Json> {
    workspace
        .data_sources()
        .into_iter()
        .filter_map(|(id, title)| table(workspace, id, &title))
        .collect()
}

fn table(workspace: &Workspace, id: Uuid, title: &str) -> Option<Json> {
    let source = workspace.data_source_object(id)?;
    let properties = source["properties"].as_object()?;
    let columns: Vec<Json> = properties
        .iter()
        .map(|(name, property)| {
            let kind = property["type"].as_str().unwrap_or_default();
            let options = property[kind]["options"].as_array().cloned().unwrap_or_default();
            json!({"name": name, "type": kind, "options": options})
        })
        .collect();
    let rows = workspace.rows(id);
    let trash = workspace.trashed_rows(id);
    let shown = |pages: &[Uuid]| -> Vec<Json> {
        pages
            .iter()
            .take(MOST_ROWS)
            .filter_map(|page| row(workspace, &workspace.page_object(*page)?, &columns))
            .collect()
    };
    let icon = source["icon"]["emoji"].as_str().unwrap_or_default();
    Some(json!({
        "id": id, "title": title, "icon": icon, "columns": columns, "count": rows.len(),
        "rows": shown(&rows), "trash": shown(&trash),
    }))
}

fn row(workspace: &Workspace, page: &Json, columns: &[Json]) -> Option<Json> {
    let cells: Vec<Json> = columns
        .iter()
        .map(|column| {
            let name = column["name"].as_str().unwrap_or_default();
            cell(workspace, column, &page["properties"][name])
        })
        .collect();
    Some(json!({"id": page["id"].as_str()?, "cells": cells}))
}

/// How a cell is edited, and the text or chips it shows.
fn cell(workspace: &Workspace, column: &Json, property: &Json) -> Json {
    let kind = property["type"].as_str().unwrap_or_default();
    let value = &property[kind];
    let text = |value: &Json| match value {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        other => other.to_string(),
    };
    let joined = |key: &str| {
        let parts = value.as_array().map(Vec::as_slice).unwrap_or_default();
        parts
            .iter()
            .filter_map(|part| part[key].as_str())
            .collect::<Vec<_>>()
    };
    let (editor, shown, chips) = match kind {
        "title" | "rich_text" => ("text", joined("plain_text").concat(), json!([])),
        "url" | "email" | "phone_number" => ("text", text(value), json!([])),
        "number" => ("number", text(value), json!([])),
        "checkbox" => ("checkbox", text(value), json!([])),
        "date" => ("date", text(&value["start"]), json!([])),
        "select" | "status" if value.is_null() => ("choice", String::new(), json!([])),
        "select" | "status" => ("choice", text(&value["name"]), json!([value])),
        "multi_select" => ("choices", joined("name").join(", "), value.clone()),
        "people" | "files" => ("none", joined("name").join(", "), json!([])),
        "relation" => {
            let linked = joined("id").into_iter().filter_map(|id| id.parse::<Uuid>().ok());
            let titles: Vec<String> = linked.filter_map(|id| workspace.title(id)).collect();
            ("none", titles.join(", "), json!([]))
        }
        "formula" | "rollup" => {
            let inner = value["type"].as_str().unwrap_or_default();
            ("none", text(&value[inner]), json!([]))
        }
        "unique_id" => ("none", text(&value["number"]), json!([])),
        "created_by" | "last_edited_by" => ("none", text(&value["name"]), json!([])),
        _ => ("none", text(value), json!([])),
    };
    json!({"property": column["name"], "type": kind, "editor": editor, "text": shown, "chips": chips, "options": column["options"]})
}
