//! What viewers and operators may do, and how a plan that a guard stopped is approved in a browser.

use std::collections::BTreeMap;

use reqwest::{Method, StatusCode};

use super::access::{form_token, routes};
use super::world::{Answer, Served, TOKEN, VIEWER, World, form, send};
use super::{BOTH, SQL};

const CYCLES: &str = "frames_sync_cycles_total{profile=\"cal\",outcome=\"done\"}";

/// Every route as a program asks, with one token and with the other.
#[tokio::test]
async fn a_viewers_program_reads_what_an_operators_does_and_changes_nothing() {
    let world = World::with(SQL, BOTH).await;
    let served = world.serve_both().await;
    let ask = async |method: &Method, path: &str, token: &str| {
        send(served.bare(method.clone(), path).bearer_auth(token)).await
    };
    let of_programs = |path: &str| path.starts_with("/api/") || path == "/metrics";
    let before = served.metric(CYCLES).await;
    let mut seen = BTreeMap::new();
    for (method, path, _) in routes().into_iter().filter(|(_, path, _)| of_programs(path)) {
        let viewer = ask(&method, &path, VIEWER).await;
        if method == Method::GET {
            let operator = ask(&method, &path, TOKEN).await;
            assert_eq!(viewer.status, operator.status, "{method} {path}");
            assert!(![401, 403].contains(&viewer.status.as_u16()), "{method} {path}");
        } else {
            let refused = (viewer.status, viewer.code());
            assert_eq!(
                refused,
                (StatusCode::FORBIDDEN, "needs_operator".to_owned()),
                "{method} {path}"
            );
        }
        *seen.entry(method.to_string()).or_insert(0) += 1;
    }
    assert!(seen["GET"] > 3 && seen["POST"] > 3, "{seen:?}");
    assert_eq!(served.metric(CYCLES).await, before, "nobody woke the runner");
    // The same with the operator's token is done.
    for (method, path, _) in routes().into_iter().filter(|(_, path, _)| of_programs(path)) {
        let status = ask(&method, &path, TOKEN).await.status.as_u16();
        assert!(![401, 403].contains(&status), "{method} {path}: {status}");
    }
    served
        .until("a cycle", async || served.metric(CYCLES).await > before)
        .await;
}

/// Every page and form, in the session of one and of the other.
#[tokio::test]
async fn a_viewer_sees_every_page_and_no_button() {
    let world = World::with(SQL, BOTH).await;
    world.disagree().await;
    let served = world.serve_both().await;
    let (viewer, operator) = (served.log_in_with(VIEWER).await, served.log_in().await);
    let before = served.metric(CYCLES).await;
    for path in ["/", "/profiles/cal"] {
        let (seen, whole) = (
            served.page(path, &viewer).await.body,
            served.page(path, &operator).await.body,
        );
        assert!(seen.contains("teams") && seen.contains(">viewer<"), "{seen}");
        assert!(!whole.contains(">viewer<"));
        assert!(whole.contains("Sync now") && !seen.contains("Sync now"), "{path}");
        let forms = |page: &str| page.matches("<form").count();
        assert_eq!(forms(&seen), 1, "but for the log-out, {path}: {seen}");
    }
    let page = served.page("/profiles/cal", &viewer).await.body;
    assert!(page.contains("of Postgres") && page.contains("of Notion") && !page.contains("Take this value"));
    let token = form_token(&page);
    let fields = [("form_token", token.as_str()), ("take", "postgres"), ("rev", "1")];
    let pages = |path: &str| {
        !["/api/", "/webhooks/", "/login", "/logout", "/metrics"]
            .iter()
            .any(|of| path.starts_with(of))
    };
    let mut refused = 0;
    for (method, path, _) in routes()
        .into_iter()
        .filter(|(method, path, _)| *method == Method::POST && pages(path))
    {
        let answer = served.form(&path, &viewer, &fields).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path}");
        assert!(answer.body.contains("nothing changed"), "{}", answer.body);
        refused += 1;
    }
    assert!(refused >= 3, "{refused}");
    assert_eq!(served.metric(CYCLES).await, before, "nobody woke the runner");
    let sample = "frames_sync_http_refused_total{reason=\"needs_operator\"}";
    assert!(served.metric(sample).await >= f64::from(refused));
    // Whoever came in may leave.
    let out = served.form("/logout", &viewer, &fields[..1]).await;
    assert_eq!(out.status, StatusCode::SEE_OTHER);
}

const MANY: &str = "
create table teams (id text primary key, name text not null, note text, org text not null, size int check (size > 0));
insert into teams select 't' || n, 'Team ' || n, null, 'cal', n from generate_series(1, 20) n;
";

/// A server whose last cycle was stopped, for most rows are gone; and the address of the plan.
async fn stopped(world: &World, served: &Served, cookie: &str) -> String {
    world.sql("delete from teams where size > 5").await;
    served
        .post("/api/v1/profiles/cal/sync", &serde_json::json!({}))
        .await;
    served
        .until("a guard stops it", async || {
            served.page("/", cookie).await.body.contains("stopped by a guard")
        })
        .await;
    let page = served.page("/profiles/cal", cookie).await.body;
    let (_, rest) = page
        .split_once("href=\"/profiles/cal/approve/")
        .expect("a link to the plan");
    format!(
        "/profiles/cal/approve/{}",
        rest.split('"').next().expect("a hash")
    )
}

fn live(world: &World) -> usize {
    world.simulator.workspace(|workspace| {
        let source = workspace.data_source_titled("Teams").expect("a data source");
        workspace.rows(source).len()
    })
}

#[tokio::test]
async fn a_stopped_plan_is_approved_with_the_token_entered_anew() {
    let world = World::with(MANY, &BOTH[..1]).await;
    let served = world.serve_both().await;
    let (viewer, operator) = (served.log_in_with(VIEWER).await, served.log_in().await);
    let path = stopped(&world, &served, &operator).await;

    // A look at a single record since then hides nothing.
    world.sql("update teams set note = 'new' where id = 't1'").await;
    let one = "/api/v1/profiles/cal/entities/teams/records/t1/sync";
    served.post(one, &serde_json::json!({})).await;
    served
        .until("the record is looked at", async || {
            let page = world.page("Teams", "Name", "Team 1");
            let note = world
                .simulator
                .workspace(|workspace| workspace.value(page, "Note"));
            note.unwrap_or_default()[0]["plain_text"] == "new"
        })
        .await;
    assert!(served.page("/profiles/cal", &operator).await.body.contains(&path));

    // Both see what it would do; one of them may let it.
    for (cookie, may) in [(&viewer, false), (&operator, true)] {
        let page = served.page(&path, cookie).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(
            page.body.contains(">15</b> × put a page into the trash"),
            "{}",
            page.body
        );
        assert!(page.body.contains("t20"), "{}", page.body);
        assert_eq!(page.body.contains("type=\"password\""), may);
    }
    let own = form_token(&served.page(&path, &operator).await.body);
    let of_viewer = form_token(&served.page(&path, &viewer).await.body);
    let try_it = async |cookie: &str, form_token: &str, token: &str| -> Answer {
        served
            .form(&path, cookie, &[("form_token", form_token), ("token", token)])
            .await
    };
    for (why, answer) in [
        ("a viewer's session", try_it(&viewer, &of_viewer, TOKEN).await),
        ("no token", try_it(&operator, &own, "").await),
        ("a wrong token", try_it(&operator, &own, &TOKEN[1..]).await),
        ("the viewer's token", try_it(&operator, &own, VIEWER).await),
        (
            "another session's form",
            try_it(&operator, &of_viewer, TOKEN).await,
        ),
        ("no form of ours", try_it(&operator, "", TOKEN).await),
    ] {
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{why}: {}", answer.body);
        assert!(!answer.body.contains("canary"), "{why}");
    }
    // Another site cannot do it in a person's browser, nor can a program.
    let fields = [("form_token", own.as_str()), ("token", TOKEN)];
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
        ("x-nothing", "no browser"),
    ] {
        let request = served
            .bare(Method::POST, &path)
            .header("cookie", &operator)
            .header(name, value);
        let answer = send(form(request, &fields)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}: {value}");
    }
    let other = served
        .form("/profiles/cal/approve/0123456789abcdef", &operator, &fields)
        .await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
    served
        .post("/api/v1/profiles/cal/sync", &serde_json::json!({}))
        .await;
    assert_eq!(live(&world), 20, "nothing was approved");
    let granted = world
        .scalar("select count(*)::text from frames_sync.approval")
        .await;
    assert_eq!(granted, "0");

    let done = try_it(&operator, &own, TOKEN).await;
    assert_eq!(
        (done.status, done.header("location")),
        (StatusCode::SEE_OTHER, "/profiles/cal?done=approve"),
        "{}",
        done.body
    );
    served
        .until("the plan is applied", async || live(&world) == 5)
        .await;
    served
        .until("nothing is stopped", async || {
            !served
                .page("/", &operator)
                .await
                .body
                .contains("stopped by a guard")
        })
        .await;
    assert_eq!(
        try_it(&operator, &own, TOKEN).await.status,
        StatusCode::NOT_FOUND,
        "once"
    );
    let log = served.log();
    assert!(
        log.contains("an operator approved plan") && !log.contains("canary"),
        "{log}"
    );
}

#[tokio::test]
async fn without_a_token_nothing_is_approved_in_a_browser() {
    let world = World::with(MANY, &BOTH[..1]).await;
    let served = world.serve(None, &[]).await;
    world.sql("delete from teams where size > 5").await;
    served
        .post("/api/v1/profiles/cal/sync", &serde_json::json!({}))
        .await;
    served
        .until("a guard stops it", async || {
            served.page("/", "").await.body.contains("stopped by a guard")
        })
        .await;
    let page = served.page("/profiles/cal", "").await.body;
    let (_, rest) = page.split_once("frames-sync approve ").expect("the command");
    let hash = rest.split(' ').next().expect("a hash");
    assert!(!page.contains("/profiles/cal/approve/"), "{page}");
    let path = format!("/profiles/cal/approve/{hash}");
    let shown = served.page(&path, "").await;
    assert_eq!(shown.status, StatusCode::OK);
    assert!(!shown.body.contains("type=\"password\"") && shown.body.contains("frames-sync approve"));
    let token = form_token(&page);
    let answer = served
        .form(&path, "", &[("form_token", &token), ("token", "")])
        .await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(live(&world), 20);
}
