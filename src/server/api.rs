//! What programs ask for: a look at a record or a profile, and what the commands `status` and `conflicts` tell.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::{App, Choice, Problem, Shared};
use crate::reconcile::Side;
use crate::report::{ConflictReport, ConflictsReport, StatusReport, VERSION};
use crate::runner::Hint;
use crate::value::RecordKey;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/profiles/{profile}/sync", post(sync))
        .route(
            "/profiles/{profile}/entities/{entity}/records/{key}/sync",
            post(sync_record),
        )
        .route("/profiles/{profile}/status", get(status))
        .route("/profiles/{profile}/conflicts", get(conflicts).post(choose_named))
        .route("/profiles/{profile}/conflicts/{id}", get(conflict).post(choose))
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing here"))
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "wrong_method",
                "this address is not asked so",
            )
        })
}

/// A part of a path that is no text, or no id, is told as any other problem.
type Asked<T> = Result<Path<T>, PathRejection>;

fn path<T>(asked: Asked<T>) -> Result<T, Problem> {
    asked
        .map(|Path(parts)| parts)
        .map_err(|_| Problem::bad_request("the address is no text that can be read"))
}

/// `POST …/sync`: a whole incremental cycle, soon.
async fn sync(State(app): State<Shared>, asked: Asked<String>) -> Result<Response, Problem> {
    let profile = path(asked)?;
    app.handle.wake(&profile, Hint::Anywhere)?;
    let body = json!({ "version": VERSION, "profile": profile, "accepted": true });
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

/// `POST …/records/{key}/sync`: a look at one record, at once; what an application calls after saving a row.
async fn sync_record(
    State(app): State<Shared>,
    asked: Asked<(String, String, String)>,
) -> Result<Response, Problem> {
    let (profile, entity, text) = path(asked)?;
    let columns = app.memory(&profile)?.key_columns(&entity).ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "unknown_entity",
            "the profile does not sync such an entity",
        )
    })?;
    let key = RecordKey::parse(&text, columns).ok_or_else(|| {
        Problem::bad_request("the key does not have the columns that the mapping names; join them by commas")
    })?;
    let body = json!({
        "version": VERSION, "profile": profile, "entity": entity, "key": key.to_string(), "accepted": true,
    });
    app.handle.wake(&profile, Hint::Row { entity, key })?;
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

async fn status(State(app): State<Shared>, asked: Asked<String>) -> Result<Json<StatusReport>, Problem> {
    Ok(Json(app.memory(&path(asked)?)?.status().await?))
}

async fn conflicts(
    State(app): State<Shared>,
    asked: Asked<String>,
) -> Result<Json<ConflictsReport>, Problem> {
    Ok(Json(app.memory(&path(asked)?)?.conflicts().await?))
}

async fn conflict(
    State(app): State<Shared>,
    asked: Asked<(String, String)>,
) -> Result<Json<ConflictsReport>, Problem> {
    let (profile, id) = path(asked)?;
    let found = app.memory(&profile)?.conflict(conflict_id(&id)?).await?;
    Ok(Json(only(profile, found.ok_or_else(Problem::unknown_conflict)?)))
}

/// A person's choice.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Chosen {
    /// The conflict, where the path does not name it.
    #[serde(default)]
    id: Option<Uuid>,
    /// The side whose value is kept.
    take: Side,
    /// The `rev` that the person saw; without it, whatever stands there now.
    #[serde(default)]
    rev: Option<i64>,
}

/// `POST …/conflicts/{id}`.
async fn choose(
    State(app): State<Shared>,
    asked: Asked<(String, String)>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ConflictsReport>, Problem> {
    let (profile, id) = path(asked)?;
    let id = conflict_id(&id)?;
    let chosen = read(body)?;
    if chosen.id.is_some_and(|named| named != id) {
        return Err(Problem::bad_request(
            "the body names another conflict than the path",
        ));
    }
    let conflict = take(&app, &profile, id, chosen.rev, chosen.take).await?;
    Ok(Json(only(profile, conflict)))
}

/// `POST …/conflicts`, with the conflict's id in the body.
async fn choose_named(
    State(app): State<Shared>,
    asked: Asked<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ConflictsReport>, Problem> {
    let profile = path(asked)?;
    let chosen = read(body)?;
    let id = chosen
        .id
        .ok_or_else(|| Problem::bad_request("the body names no conflict: it needs `id`"))?;
    let conflict = take(&app, &profile, id, chosen.rev, chosen.take).await?;
    Ok(Json(only(profile, conflict)))
}

fn read(body: Result<Bytes, BytesRejection>) -> Result<Chosen, Problem> {
    let body = body.map_err(|_| Problem::too_large())?;
    serde_json::from_slice(&body).map_err(|_| {
        Problem::bad_request("the body has to be JSON such as `{\"take\": \"postgres\", \"rev\": 1}`")
    })
}

/// Records a person's choice and wakes the runner, which applies it.
pub(super) async fn take(
    app: &App,
    profile: &str,
    id: Uuid,
    rev: Option<i64>,
    side: Side,
) -> Result<ConflictReport, Problem> {
    match app.memory(profile)?.choose(id, rev, side).await? {
        Choice::Chosen { conflict, key } => {
            let entity = conflict.entity.clone();
            // The choice stands; if nobody is woken, the next cycle applies it.
            let _ = app.handle.wake(profile, Hint::Row { entity, key });
            Ok(*conflict)
        }
        Choice::Moved => Err(Problem::new(
            StatusCode::CONFLICT,
            "conflict_moved",
            "the values moved since you looked, or the conflict is no longer open; look at it again",
        )),
        Choice::Unknown => Err(Problem::unknown_conflict()),
    }
}

fn conflict_id(text: &str) -> Result<Uuid, Problem> {
    text.parse().map_err(|_| Problem::unknown_conflict())
}

fn only(profile: String, conflict: ConflictReport) -> ConflictsReport {
    ConflictsReport {
        version: VERSION,
        profile,
        conflicts: vec![conflict],
    }
}
