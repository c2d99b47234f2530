//! `/_simulator/…`: what other processes do to a running simulator. JSON in and out; no token is asked for, and requests
//! that a web page of another site makes are answered 403.
//!
//! | Request | Does |
//! | --- | --- |
//! | `GET state` | `{"now","root_page_id","tokens","data_sources":[{"id","title","rows"}]}` |
//! | `POST faults` | plans a [`Fault`]: `{"when":{"endpoint":"POST /v1/pages","nth":2},"effect":{"type":"rate_limited","retry_after":1}}` |
//! | `DELETE faults` | forgets all faults |
//! | `GET exchanges`, `DELETE exchanges` | the exchanges kept and the counts by endpoint; forgets them |
//! | `GET ignored` | what was sent and silently ignored |
//! | `POST clock` | `{"advance_seconds":60}`, `{"offset_seconds":-90}` or `{"at":"2026-09-04T14:30:00Z"}` (stands still) |
//! | `POST settings` | any of `{"index_lag_seconds","query_results","requests_per_minute","workspace_requests_per_minute","webhook_window_seconds","webhook_faults"}` |
//! | `POST webhooks` | `{"url","connection":0}`: subscribes, answers `{"verification_token"}` |
//! | `POST webhooks/verify` | `{"verification_token"}` |
//! | `DELETE webhooks` | ends all subscriptions |
//! | `POST act` | does what a person would: [`Action`] |
//! | `GET files/{id}` | serves the signed URLs of files |

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::clock::Clock;
use super::fault::Fault;
use super::http::{Shared, lock, query_of, render};
use super::service::Service;
use super::webhook::WebhookFaults;
use super::workspace::{Answer, Content, Moment, Refusal, Workspace};

/// What a person does, as JSON: `{"do":"edit","page":"…","properties":{"Name":{"title":[…]}}}`.
///
/// Properties have the shape of API writes. `page`, `data_source` and `id` are UUIDs. The answer is `{"id":…}` with
/// the page made, or `{}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "the fields are those of the methods of `Workspace` that the variants are named after"
)]
pub enum Action {
    Edit {
        page: Uuid,
        properties: Json,
    },
    AddRow {
        data_source: Uuid,
        properties: Json,
    },
    AddDatabase {
        title: String,
        properties: Json,
    },
    AddTextPage {
        parent: Uuid,
        title: String,
    },
    AddPerson {
        name: String,
        email: String,
    },
    Duplicate {
        page: Uuid,
    },
    Trash {
        page: Uuid,
    },
    Restore {
        page: Uuid,
    },
    Purge {
        page: Uuid,
    },
    TrashDatabase {
        database: Uuid,
        in_trash: bool,
    },
    Move {
        page: Uuid,
        data_source: Uuid,
    },
    Archive {
        page: Uuid,
        archived: bool,
    },
    Lock {
        page: Uuid,
        locked: bool,
    },
    RenameOption {
        data_source: Uuid,
        property: String,
        from: String,
        to: String,
    },
    RecolorOption {
        data_source: Uuid,
        property: String,
        option: String,
        color: String,
    },
    RemoveOption {
        data_source: Uuid,
        property: String,
        option: String,
    },
    RenameProperty {
        data_source: Uuid,
        from: String,
        to: String,
    },
    DeleteProperty {
        data_source: Uuid,
        property: String,
    },
    SetProperty {
        data_source: Uuid,
        property: String,
        config: Json,
    },
    Unshare {
        id: Uuid,
    },
    Share {
        id: Uuid,
    },
    Revoke {
        token: String,
    },
}

impl Action {
    /// Does it; answers the id of what was made, if anything was.
    ///
    /// # Errors
    ///
    /// Notion's refusal where it cannot be done.
    pub fn perform(self, workspace: &mut Workspace) -> Result<Option<Uuid>, Refusal> {
        match self {
            Self::Edit { page, properties } => workspace.edit_many(page, &properties)?,
            Self::AddRow {
                data_source,
                properties,
            } => return workspace.add_row(data_source, &properties).map(Some),
            Self::AddDatabase { title, properties } => {
                return workspace.add_database(&title, &properties).map(Some);
            }
            Self::AddTextPage { parent, title } => return Ok(Some(workspace.add_text_page(parent, &title))),
            Self::AddPerson { name, email } => return Ok(Some(workspace.add_person(&name, &email))),
            Self::Duplicate { page } => return workspace.duplicate(page).map(Some),
            Self::Trash { page } => workspace.trash(page),
            Self::Restore { page } => workspace.restore(page),
            Self::Purge { page } => workspace.purge(page),
            Self::TrashDatabase { database, in_trash } => workspace.trash_database(database, in_trash),
            Self::Move { page, data_source } => workspace.move_row(page, data_source),
            Self::Archive { page, archived } => workspace.archive(page, archived),
            Self::Lock { page, locked } => workspace.lock(page, locked),
            Self::RenameOption {
                data_source,
                property,
                from,
                to,
            } => {
                workspace.rename_option(data_source, &property, &from, &to)?;
            }
            Self::RecolorOption {
                data_source,
                property,
                option,
                color,
            } => {
                workspace.recolor_option(data_source, &property, &option, &color)?;
            }
            Self::RemoveOption {
                data_source,
                property,
                option,
            } => {
                workspace.remove_option(data_source, &property, &option)?;
            }
            Self::RenameProperty {
                data_source,
                from,
                to,
            } => workspace.rename_property(data_source, &from, &to)?,
            Self::DeleteProperty {
                data_source,
                property,
            } => workspace.delete_property(data_source, &property)?,
            Self::SetProperty {
                data_source,
                property,
                config,
            } => {
                workspace.set_property(data_source, &property, &config)?;
            }
            Self::Unshare { id } => workspace.unshare(id),
            Self::Share { id } => workspace.share(id),
            Self::Revoke { token } => workspace.revoke(&token),
        }
        Ok(None)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct ClockChange {
    advance_seconds: Option<u64>,
    offset_seconds: Option<i64>,
    at: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    index_lag_seconds: Option<f64>,
    query_results: Option<usize>,
    requests_per_minute: Option<u32>,
    workspace_requests_per_minute: Option<u32>,
    webhook_window_seconds: Option<f64>,
    webhook_faults: Option<WebhookFaults>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscription {
    url: String,
    #[serde(default)]
    connection: usize,
}

#[derive(Debug, Deserialize)]
struct Verification {
    verification_token: String,
}

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/state", get(state))
        .route("/faults", post(plan_fault).delete(clear_faults))
        .route("/exchanges", get(exchanges).delete(clear_exchanges))
        .route("/ignored", get(ignored))
        .route("/clock", post(set_clock))
        .route("/settings", post(set))
        .route("/webhooks", post(subscribe).delete(unsubscribe))
        .route("/webhooks/verify", post(verify))
        .route("/act", post(act))
        .route("/files/{id}", get(file))
}

fn ok(body: Json) -> Response {
    render(
        Answer {
            status: 200,
            headers: Vec::new(),
            content: Content::Json(body),
        },
        false,
    )
}

fn bad(message: &str) -> Response {
    render(
        Answer {
            status: 400,
            headers: Vec::new(),
            content: Content::Json(json!({ "error": message })),
        },
        false,
    )
}

/// Reads a body of type `T` and acts on the service at the present time.
fn with<T: DeserializeOwned>(
    service: &Shared,
    body: &[u8],
    act: impl FnOnce(&mut Service, T) -> Result<Json, String>,
) -> Response {
    let parsed = match serde_json::from_slice(body) {
        Ok(parsed) => parsed,
        Err(error) => return bad(&error.to_string()),
    };
    let mut service = lock(service);
    service.catch_up();
    let done = act(&mut service, parsed);
    service.catch_up();
    match done {
        Ok(body) => ok(body),
        Err(message) => bad(&message),
    }
}

async fn state(State(service): State<Shared>) -> Response {
    let mut service = lock(&service);
    service.catch_up();
    let workspace = &service.workspace;
    let sources: Vec<Json> = workspace
        .data_sources()
        .into_iter()
        .map(|(id, title)| json!({"id": id, "title": title, "rows": workspace.rows(id).len()}))
        .collect();
    ok(json!({
        "now": workspace.now().iso(), "root_page_id": workspace.root_page_id(), "tokens": workspace.tokens(),
        "data_sources": sources,
    }))
}

async fn plan_fault(State(service): State<Shared>, body: Bytes) -> Response {
    with(&service, &body, |service, fault: Fault| {
        service.faults.add(fault);
        Ok(json!({}))
    })
}

async fn clear_faults(State(service): State<Shared>) -> Response {
    lock(&service).faults.clear();
    ok(json!({}))
}

async fn exchanges(State(service): State<Shared>) -> Response {
    let service = lock(&service);
    ok(json!({"exchanges": service.recorder.exchanges(), "counts": service.recorder.counts()}))
}

async fn clear_exchanges(State(service): State<Shared>) -> Response {
    lock(&service).recorder.clear();
    ok(json!({}))
}

async fn ignored(State(service): State<Shared>) -> Response {
    ok(json!(lock(&service).workspace.ignored()))
}

async fn set_clock(State(service): State<Shared>, body: Bytes) -> Response {
    with(&service, &body, |service, change: ClockChange| {
        if let Some(at) = change.at {
            let moment =
                Moment::parse(&at).ok_or_else(|| format!("`{at}` is no ISO 8601 time with offset"))?;
            service.clock = Clock::Moved(moment);
        }
        if let Some(seconds) = change.offset_seconds {
            service.clock = Clock::Machine {
                offset: seconds.saturating_mul(1000),
            };
        }
        if let Some(seconds) = change.advance_seconds {
            service.clock.advance(Duration::from_secs(seconds));
        }
        Ok(json!({"now": service.clock.now().iso()}))
    })
}

async fn set(State(service): State<Shared>, body: Bytes) -> Response {
    with(&service, &body, |service, settings: Settings| {
        let seconds = |value: f64| Duration::try_from_secs_f64(value).map_err(|error| error.to_string());
        if let Some(lag) = settings.index_lag_seconds {
            service.workspace.set_index_lag(seconds(lag)?);
        }
        if let Some(results) = settings.query_results {
            service.workspace.limits_mut().query_results = results;
        }
        if let Some(window) = settings.webhook_window_seconds {
            service.webhooks.window = seconds(window)?;
        }
        let limits = &mut service.windows.limits;
        limits.per_connection = settings.requests_per_minute.or(limits.per_connection);
        limits.per_workspace = settings.workspace_requests_per_minute.or(limits.per_workspace);
        service.webhooks.faults = settings.webhook_faults.unwrap_or(service.webhooks.faults);
        Ok(json!({}))
    })
}

async fn subscribe(State(service): State<Shared>, body: Bytes) -> Response {
    with(&service, &body, |service, wanted: Subscription| {
        service.workspace.listen();
        let now = service.clock.now();
        Ok(json!({"verification_token": service.webhooks.subscribe(wanted.connection, &wanted.url, now)}))
    })
}

async fn verify(State(service): State<Shared>, body: Bytes) -> Response {
    with(&service, &body, |service, given: Verification| {
        if service.webhooks.verify(&given.verification_token) {
            Ok(json!({}))
        } else {
            Err("no such subscription".to_owned())
        }
    })
}

async fn unsubscribe(State(service): State<Shared>) -> Response {
    lock(&service).webhooks.unsubscribe_all();
    ok(json!({}))
}

async fn act(State(service): State<Shared>, body: Bytes) -> Response {
    with(&service, &body, |service, action: Action| {
        let made = action
            .perform(&mut service.workspace)
            .map_err(|refusal| refusal.message)?;
        Ok(made.map_or(json!({}), |id| json!({ "id": id })))
    })
}

async fn file(State(service): State<Shared>, Path(id): Path<Uuid>, RawQuery(query): RawQuery) -> Response {
    let mut service = lock(&service);
    service.catch_up();
    render(
        service.workspace.file(id, &query_of(&query.unwrap_or_default())),
        false,
    )
}
