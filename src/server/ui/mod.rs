//! Pages for people: rendered here with escaping on, and working without a line of JavaScript.
//!
//! Every text from a row or a page goes through the template's escaping; the policy that `finish` adds to each answer
//! would not run a script even if one got through.

mod shown;

use std::sync::LazyLock;

use axum::Router;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Extension, Form, Path, Query, Request, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use futures_util::future::join_all;
use http::{HeaderName, StatusCode, header};
use minijinja::Environment;
use minijinja::value::Serde;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::auth::{Role, Session};
use super::{App, MemoryError, Notice, Problem, Shared, api};
use crate::reconcile::Side;
use crate::report::ErrorCode;
use crate::runner::{Hint, Stopped};

/// Conflicts shown on one page; the rest come up as these are settled.
const MOST_CONFLICTS: usize = 50;

/// Runs and entries of the audit log that are shown.
const MOST_LATEST: u32 = 20;

/// Entries of the audit log that runs are told by.
const MOST_ENTRIES: u32 = 500;

static TEMPLATES: LazyLock<Result<Environment<'static>, minijinja::Error>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    for (name, text) in [
        ("layout.html", include_str!("templates/layout.html")),
        ("parts.html", include_str!("templates/parts.html")),
        ("overview.html", include_str!("templates/overview.html")),
        ("profile.html", include_str!("templates/profile.html")),
        ("conflict.html", include_str!("templates/conflict.html")),
        ("approve.html", include_str!("templates/approve.html")),
        ("login.html", include_str!("templates/login.html")),
        ("problem.html", include_str!("templates/problem.html")),
    ] {
        environment.add_template(name, text)?;
    }
    Ok(environment)
});

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/", get(overview))
        .route("/profiles/{profile}", get(profile))
        .route("/profiles/{profile}/sync", post(sync))
        .route("/profiles/{profile}/conflicts/{id}", get(conflict).post(choose))
        .route("/profiles/{profile}/approve/{hash}", get(stopped).post(approve))
        .route("/login", get(login_page).post(log_in))
        .route("/logout", post(log_out))
        .route("/assets/{name}", get(asset))
}

/// A problem as a page.
pub(super) fn problem(problem: &Problem) -> Response {
    let context = json!({ "status": problem.status.as_u16(), "message": problem.message });
    problem.dress(render("problem.html", context))
}

/// What could not be done on the way to a page.
struct Failed(Problem);

impl<E: Into<Problem>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        problem(&self.0)
    }
}

fn render(template: &str, context: Json) -> Response {
    let page = TEMPLATES
        .as_ref()
        .map_err(ToString::to_string)
        .and_then(|templates| {
            templates
                .get_template(template)
                .and_then(|template| template.render(minijinja::Value::from(Serde(context))))
                .map_err(|error| error.to_string())
        });
    match page {
        Ok(page) => Html(page).into_response(),
        Err(error) => Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "page_failed",
            "the page could not be made; the server's log says why",
        )
        .logged(error)
        .into_response(),
    }
}

/// What every page knows: who looks at it, and where they can go.
fn page(app: &App, session: &Session, template: &str, mut context: Json) -> Response {
    if let Some(context) = context.as_object_mut() {
        let names: Vec<&String> = app.memories.keys().collect();
        context.insert("profiles_served".to_owned(), json!(names));
        context.insert("form_token".to_owned(), json!(session.form_token));
        context.insert("can_log_out".to_owned(), json!(app.access.has_token()));
        let is_operator = session.role == Role::Operator;
        context.insert("is_operator".to_owned(), json!(is_operator));
        // Forms that change something are left out where this is empty.
        let token = if is_operator {
            session.form_token.as_str()
        } else {
            ""
        };
        context.insert("act_token".to_owned(), json!(token));
        let approves = match (app.access.has_token(), is_operator) {
            (true, true) => "here",
            (true, false) => "by_operator",
            // Nobody can log in afresh.
            (false, _) => "by_command",
        };
        context.insert("approves".to_owned(), json!(approves));
    }
    render(template, context)
}

/// What was just done, as a redirect names it; nothing else of the address is shown.
#[derive(Debug, Default, Deserialize)]
struct Done {
    #[serde(default)]
    done: String,
}

/// A query that is none says nothing.
type Asked = Result<Query<Done>, QueryRejection>;

impl Done {
    fn notice(&self) -> Option<&'static str> {
        match self.done.as_str() {
            "sync" => Some("A sync has been asked for. It begins at once if no other is running."),
            "postgres" => Some("The value of Postgres will be kept. The record is being looked at now."),
            "notion" => Some("The value of Notion will be kept. The record is being looked at now."),
            "approve" => Some("The plan may run once, and is being looked at now."),
            _ => None,
        }
    }
}

async fn overview(
    State(app): State<Shared>,
    Extension(session): Extension<Session>,
    done: Asked,
) -> Response {
    let now = OffsetDateTime::now_utc();
    let states = app.handle.states();
    let cards = join_all(app.memories.iter().map(|(name, memory)| {
        let state = states.iter().find(|state| state.profile == *name);
        async move {
            let runs = memory.runs(1).await.unwrap_or_default();
            shown::card(name, memory.status().await, state, runs.first(), now)
        }
    }))
    .await;
    let notice = done.ok().and_then(|done| done.notice());
    let sum = |of: &str| {
        cards
            .iter()
            .filter_map(|card| card["totals"][of].as_u64())
            .sum::<u64>()
    };
    let needs = json!({
        "conflicts": sum("conflicts"), "errors": sum("errors"),
        "stopped": cards.iter().filter(|card| card["is_stopped"] == true).count(),
    });
    let context = json!({ "cards": cards, "needs": needs, "notice": notice });
    let mut response = page(&app, &session, "overview.html", context);
    // The page of a wall display keeps itself fresh; a page with a form on it never does.
    response.headers_mut().insert(
        HeaderName::from_static("refresh"),
        http::HeaderValue::from_static("30; url=/"),
    );
    response
}

async fn profile(
    State(app): State<Shared>,
    Extension(session): Extension<Session>,
    Path(name): Path<String>,
    done: Asked,
) -> Result<Response, Failed> {
    let memory = app.memory(&name)?;
    let now = OffsetDateTime::now_utc();
    let state = app
        .handle
        .states()
        .into_iter()
        .find(|state| state.profile == name);
    let (status, runs) = futures_util::future::join(memory.status(), memory.runs(MOST_LATEST)).await;
    let card = match &status {
        Err(MemoryError::Failed(line)) => {
            app.complain(format!("profile {name}: {line}"));
            shown::card(&name, status.clone(), state.as_ref(), None, now)
        }
        _ => shown::card(
            &name,
            status.clone(),
            state.as_ref(),
            runs.as_ref().ok().and_then(|runs| runs.first()),
            now,
        ),
    };
    let mut context = json!({ "card": card, "notice": done.ok().and_then(|done| done.notice()) });
    if let Ok(status) = status {
        let conflicts = memory.conflicts().await?.conflicts;
        let history = memory.history(MOST_ENTRIES).await?;
        context["conflicts_more"] = json!(conflicts.len().saturating_sub(MOST_CONFLICTS));
        context["conflicts"] = conflicts
            .iter()
            .take(MOST_CONFLICTS)
            .map(|conflict| shown::conflict(conflict, now))
            .collect();
        // A conflict stands above, with both values; here it would be told twice.
        let (waiting, troubled): (Vec<_>, Vec<_>) = status
            .troubled
            .iter()
            .partition(|record| record.error.code == ErrorCode::OpenConflict);
        context["errors_waiting"] = json!(!waiting.is_empty());
        context["errors"] = troubled
            .into_iter()
            .map(|record| shown::error(record, now))
            .collect();
        context["runs"] = shown::runs(&runs?, &history.entries, now).into();
        context["history"] = history
            .entries
            .iter()
            .take(MOST_LATEST as usize)
            .map(|entry| shown::entry(entry, now))
            .collect();
    }
    Ok(page(&app, &session, "profile.html", context))
}

async fn conflict(
    State(app): State<Shared>,
    Extension(session): Extension<Session>,
    Path((name, id)): Path<(String, String)>,
) -> Result<Response, Failed> {
    let id: Uuid = id.parse().map_err(|_| Problem::unknown_conflict())?;
    let found = app.memory(&name)?.conflict(id).await?;
    let found = found.ok_or_else(Problem::unknown_conflict)?;
    let context = json!({ "profile": name, "conflict": shown::conflict(&found, OffsetDateTime::now_utc()) });
    Ok(page(&app, &session, "conflict.html", context))
}

/// What a button sends.
#[derive(Debug, Deserialize)]
struct Pressed {
    #[serde(default)]
    form_token: String,
    #[serde(default)]
    take: Option<Side>,
    #[serde(default)]
    rev: Option<i64>,
}

type Sent<T> = Result<Form<T>, FormRejection>;

/// A form that one of this person's own pages sent.
fn own_form(session: &Session, sent: Sent<Pressed>) -> Result<Pressed, Problem> {
    let Form(form) = sent.map_err(|_| Problem::bad_request("the form cannot be read"))?;
    is_own(session, &form.form_token)?;
    Ok(form)
}

fn is_own(session: &Session, form_token: &str) -> Result<(), Problem> {
    if session.sent(form_token) {
        Ok(())
    } else {
        Err(Problem::forbidden(
            "foreign_form",
            "the form is not one of this session's; open the page again",
        ))
    }
}

async fn sync(
    State(app): State<Shared>,
    Extension(session): Extension<Session>,
    Path(name): Path<String>,
    sent: Sent<Pressed>,
) -> Result<Redirect, Failed> {
    own_form(&session, sent)?;
    app.memory(&name)?;
    app.handle.wake(&name, Hint::Anywhere)?;
    Ok(Redirect::to(&format!("/profiles/{name}?done=sync")))
}

async fn choose(
    State(app): State<Shared>,
    Extension(session): Extension<Session>,
    Path((name, id)): Path<(String, String)>,
    sent: Sent<Pressed>,
) -> Result<Redirect, Failed> {
    let form = own_form(&session, sent)?;
    let id: Uuid = id.parse().map_err(|_| Problem::unknown_conflict())?;
    let (Some(side), Some(rev)) = (form.take, form.rev) else {
        return Err(Problem::bad_request("the form names no side").into());
    };
    api::take(&app, &name, id, Some(rev), side).await?;
    let done = match side {
        Side::Postgres => "postgres",
        Side::Notion => "notion",
    };
    Ok(Redirect::to(&format!("/profiles/{name}?done={done}")))
}

/// What a guard stopped, as this instance met it last.
fn stopped_plan(app: &App, name: &str, hash: &str) -> Result<Stopped, Problem> {
    app.memory(name)?;
    let state = app
        .handle
        .states()
        .into_iter()
        .find(|state| state.profile == name);
    let found = state.and_then(|state| state.stopped);
    found.filter(|stopped| stopped.plan.hash == hash).ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "unknown_plan",
            "this is not the plan that stands now, or another instance found it; ask for a sync, and look again",
        )
    })
}

fn approval(
    app: &App,
    session: &Session,
    name: &str,
    hash: &str,
    is_wrong: bool,
) -> Result<Response, Failed> {
    let stopped = stopped_plan(app, name, hash)?;
    let refusals: Vec<Json> = stopped.refusals.iter().map(shown::refusal).collect();
    let context = json!({
        "profile": name, "plan": shown::plan(&stopped.plan), "refusals": refusals, "is_wrong": is_wrong,
    });
    Ok(page(app, session, "approve.html", context))
}

async fn stopped(
    State(app): State<Shared>,
    Extension(session): Extension<Session>,
    Path((name, hash)): Path<(String, String)>,
) -> Result<Response, Failed> {
    approval(&app, &session, &name, &hash, false)
}

/// What a person sends who lets a plan run: the token again, for a browser may be left open.
#[derive(Deserialize)]
struct Approved {
    #[serde(default)]
    form_token: String,
    #[serde(default)]
    token: String,
}

async fn approve(
    State(app): State<Shared>,
    Extension(session): Extension<Session>,
    Path((name, hash)): Path<(String, String)>,
    sent: Sent<Approved>,
) -> Result<Response, Failed> {
    let Form(form) = sent.map_err(|_| Problem::bad_request("the form cannot be read"))?;
    is_own(&session, &form.form_token)?;
    stopped_plan(&app, &name, &hash)?;
    if !app.access.has_token() {
        return Err(Problem::forbidden(
            "needs_token",
            "without a token nobody can log in afresh; use `frames-sync approve`",
        )
        .into());
    }
    if app.access.role_of(form.token.trim()) != Some(Role::Operator) {
        app.counters.refused("wrong_login");
        let mut response = approval(&app, &session, &name, &hash, true)?;
        *response.status_mut() = StatusCode::FORBIDDEN;
        return Ok(response);
    }
    app.memory(&name)?.approve(hash.clone()).await?;
    let line = format!("profile {name}: an operator approved plan {hash} in a browser");
    (app.log)(Notice::Done, &line);
    // The approval stands; if nobody is woken, the next cycle uses it.
    let _ = app.handle.wake(&name, Hint::Anywhere);
    Ok(Redirect::to(&format!("/profiles/{name}?done=approve")).into_response())
}

async fn login_page(State(app): State<Shared>) -> Response {
    if app.access.has_token() {
        render("login.html", json!({ "is_wrong": false }))
    } else {
        Redirect::to("/").into_response()
    }
}

/// What the login form sends.
#[derive(Deserialize)]
struct Login {
    #[serde(default)]
    token: String,
}

async fn log_in(State(app): State<Shared>, sent: Sent<Login>) -> Response {
    let role = sent
        .ok()
        .and_then(|Form(form)| app.access.role_of(form.token.trim()));
    if let Some(role) = role {
        let cookie = app.access.log_in(role, OffsetDateTime::now_utc());
        return ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response();
    }
    app.counters.refused("wrong_login");
    let page = render("login.html", json!({ "is_wrong": true }));
    (StatusCode::UNAUTHORIZED, page).into_response()
}

async fn log_out(
    State(app): State<Shared>,
    Extension(session): Extension<Session>,
    sent: Sent<Pressed>,
) -> Result<Response, Failed> {
    own_form(&session, sent)?;
    let cookie = app.access.log_out();
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/login")).into_response())
}

async fn asset(Path(name): Path<String>) -> Response {
    let (kind, text) = match name.as_str() {
        "style.css" => ("text/css; charset=utf-8", include_str!("assets/style.css")),
        "icon.svg" => ("image/svg+xml", include_str!("assets/icon.svg")),
        _ => return problem(&nothing_here()),
    };
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "public, max-age=3600"),
    ];
    (headers, text).into_response()
}

fn nothing_here() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing here")
}

/// Whatever no route is for.
pub(super) async fn not_found(request: Request) -> Response {
    refusal(&request, nothing_here())
}

/// A route that is not asked so.
pub(super) async fn wrong_method(request: Request) -> Response {
    let refused = Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "wrong_method",
        "this address is not asked so",
    );
    refusal(&request, refused)
}

fn refusal(request: &Request, refused: Problem) -> Response {
    let path = request.uri().path();
    let is_for_programs = ["/api/", "/webhooks/", "/metrics", "/healthz", "/readyz"]
        .into_iter()
        .any(|prefix| path.starts_with(prefix));
    if is_for_programs {
        refused.into_response()
    } else {
        problem(&refused)
    }
}
