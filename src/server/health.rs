//! Whether the process lives, and whether it can do its work: for supervisors and load balancers.
//!
//! Both answer everyone, and so tell no names.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::json;
use tokio::sync::Mutex;

use super::{App, Memory, Shared, has_failed};

/// How long an answer of the databases holds: probes of strangers must not become queries.
const HOLDS: Duration = Duration::from_secs(1);

/// How long a database may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether every database answered, and when it was asked.
#[derive(Debug, Default)]
pub(super) struct Pulse(Mutex<Option<(Instant, bool)>>);

impl Pulse {
    async fn feel(&self, app: &App) -> bool {
        let mut last = self.0.lock().await;
        if let Some((at, answered)) = *last
            && at.elapsed() < HOLDS
        {
            return answered;
        }
        let asked = app.memories.values().map(answers);
        let answered = join_all(asked).await.into_iter().all(|answered| answered);
        *last = Some((Instant::now(), answered));
        answered
    }
}

async fn answers(memory: &Arc<dyn Memory>) -> bool {
    tokio::time::timeout(PATIENCE, memory.ping())
        .await
        .is_ok_and(|answer| answer.is_ok())
}

/// `/healthz`: the process answers.
pub(super) async fn alive() -> Response {
    Json(json!({ "alive": true })).into_response()
}

/// `/readyz`: the databases answer, and no profile's last cycle here failed.
pub(super) async fn ready(State(app): State<Shared>) -> Response {
    let database = app.database.feel(&app).await;
    let states = app.handle.states();
    let mut reports = states.iter().filter_map(|state| state.last_report.as_ref());
    let cycles = !reports.any(has_failed);
    let is_ready = database && cycles;
    let status = if is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = json!({ "ready": is_ready, "database": database, "last_cycles": cycles });
    (status, Json(body)).into_response()
}
