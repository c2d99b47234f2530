//! Who is let in: tokens, sessions, hosts and origins.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::world::{TOKEN, World, form, send};
use super::{BOTH, SQL};

const ID: &str = "00000000-0000-4000-8000-000000000000";

/// Every route, how it is asked, and what it answers a stranger.
pub(super) fn routes() -> Vec<(Method, String, u16)> {
    let conflict = format!("/profiles/cal/conflicts/{ID}");
    let plan = "/profiles/cal/approve/0123456789abcdef".to_owned();
    let mut routes = vec![
        (Method::GET, "/healthz".to_owned(), 200),
        (Method::GET, "/readyz".to_owned(), 200),
        (Method::GET, "/login".to_owned(), 200),
        (Method::GET, "/assets/style.css".to_owned(), 200),
        (Method::GET, "/assets/icon.svg".to_owned(), 200),
        (Method::POST, "/login".to_owned(), 401),
        (Method::POST, "/webhooks/notion/cal".to_owned(), 401),
        (Method::POST, "/webhooks/notion/none".to_owned(), 401),
        (Method::GET, "/metrics".to_owned(), 401),
        (Method::POST, "/api/v1/profiles/cal/sync".to_owned(), 401),
        (
            Method::POST,
            "/api/v1/profiles/cal/entities/teams/records/t1/sync".to_owned(),
            401,
        ),
        (Method::GET, "/api/v1/profiles/cal/status".to_owned(), 401),
        (Method::GET, "/api/v1/profiles/cal/conflicts".to_owned(), 401),
        (Method::POST, "/api/v1/profiles/cal/conflicts".to_owned(), 401),
        (Method::GET, format!("/api/v1{conflict}"), 401),
        (Method::POST, format!("/api/v1{conflict}"), 401),
        // What is not there tells a stranger no more than what is.
        (Method::GET, "/api/v1/profiles/none/status".to_owned(), 401),
        (Method::GET, "/api/v2/x".to_owned(), 401),
        (Method::DELETE, "/api/v1/profiles/cal/status".to_owned(), 401),
        (Method::GET, "/".to_owned(), 303),
        (Method::GET, "/profiles/cal".to_owned(), 303),
        (Method::GET, "/profiles/none".to_owned(), 303),
        (Method::POST, "/profiles/cal/sync".to_owned(), 303),
        (Method::GET, conflict.clone(), 303),
        (Method::POST, conflict, 303),
        (Method::GET, plan.clone(), 303),
        (Method::POST, plan, 303),
        (Method::POST, "/logout".to_owned(), 303),
        (Method::GET, "/nothing".to_owned(), 303),
        (Method::GET, "//metrics".to_owned(), 303),
        (Method::GET, "/%6detrics".to_owned(), 303),
        (Method::GET, "/api/../metrics/..".to_owned(), 303),
    ];
    routes.sort_by(|one, other| one.1.cmp(&other.1));
    routes
}

#[tokio::test]
async fn without_the_token_no_route_tells_or_does_anything() {
    let world = World::with(SQL, BOTH).await;
    let served = world.serve(Some(TOKEN), &[]).await;
    let cycles = "frames_sync_cycles_total{profile=\"cal\",outcome=\"done\"}";
    let before = served.metric(cycles).await;
    let wrong = &TOKEN[1..];
    for (method, path, status) in routes() {
        let ask = || served.bare(method.clone(), &path);
        for (credentials, request) in [
            ("none", ask()),
            ("a wrong token", ask().bearer_auth(wrong)),
            ("an empty token", ask().header("authorization", "Bearer ")),
            ("no scheme", ask().header("authorization", TOKEN)),
            ("another scheme", ask().basic_auth(TOKEN, Some(TOKEN))),
            (
                "a made-up session",
                ask().header("cookie", "frames_sync=9999999999.x.00"),
            ),
            (
                "the token as cookie",
                ask().header("cookie", format!("frames_sync={TOKEN}")),
            ),
            (
                "the token in the address",
                served.bare(method.clone(), &format!("{path}?token={TOKEN}")),
            ),
        ] {
            let answer = send(request).await;
            assert_eq!(
                answer.status.as_u16(),
                status,
                "{method} {path} with {credentials}: {}",
                answer.body
            );
            if status == 303 {
                assert_eq!(answer.header("location"), "/login");
            }
            if status != 200 {
                assert!(
                    !answer.body.contains("teams") && !answer.body.contains("/profiles/"),
                    "{path}: {}",
                    answer.body
                );
            }
        }
    }
    assert_eq!(served.metric(cycles).await, before, "nobody woke the runner");
    assert!(
        served
            .metric("frames_sync_http_refused_total{reason=\"unauthorised\"}")
            .await
            > 50.0
    );
}

#[tokio::test]
async fn every_answer_forbids_scripts_frames_and_caches() {
    let world = World::with(SQL, BOTH).await;
    let served = world.serve(Some(TOKEN), &[]).await;
    for (method, path, _) in routes() {
        let answer = send(served.request(method.clone(), &path)).await;
        let policy = answer.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; style-src 'self';"),
            "{path}: {policy}"
        );
        assert!(
            !policy.contains("unsafe") && !policy.contains("script-src"),
            "{policy}"
        );
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("form-action 'self'"));
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        // Not `no-referrer`: browsers would send our own forms with `Origin: null`.
        assert_eq!(answer.header("referrer-policy"), "same-origin", "{path}");
        let is_asset = path.starts_with("/assets/");
        assert_eq!(
            answer.header("cache-control") == "no-store",
            !is_asset,
            "{method} {path}"
        );
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
    }
}

#[tokio::test]
async fn a_person_logs_in_and_out() {
    let world = World::with(SQL, BOTH).await;
    let served = world.serve(Some(TOKEN), &[]).await;
    let wrong = served.form("/login", "", &[("token", "canary-wrong")]).await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert!(!wrong.body.contains("canary-wrong"));
    assert_eq!(wrong.header("set-cookie"), "");

    let right = served.form("/login", "", &[("token", TOKEN)]).await;
    let cookie = right.header("set-cookie");
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains(TOKEN),
        "{cookie}"
    );
    let cookie = served.log_in().await;
    let page = served.page("/", &cookie).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("teams") && !page.body.contains(TOKEN));
    // A session is for pages; programs show the token.
    let api = served.page("/api/v1/profiles/cal/status", &cookie).await;
    assert_eq!(api.status, StatusCode::UNAUTHORIZED);

    let form_token = form_token(&page.body);
    let out = served
        .form("/logout", &cookie, &[("form_token", &form_token)])
        .await;
    assert_eq!(out.status, StatusCode::SEE_OTHER);
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    assert!(!served.log().contains("canary"), "{}", served.log());
}

/// The token that a page's forms carry.
pub(super) fn form_token(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"form_token\" value=\"").expect("a form");
    rest.split('"').next().expect("a value").to_owned()
}

#[tokio::test]
async fn forms_are_taken_from_their_own_session_and_site_only() {
    let world = World::with(SQL, BOTH).await;
    let served = world.serve(Some(TOKEN), &[]).await;
    let (cookie, other) = (served.log_in().await, served.log_in().await);
    let token = form_token(&served.page("/", &cookie).await.body);
    let others = form_token(&served.page("/", &other).await.body);
    assert_ne!(token, others);
    let path = "/profiles/cal/sync";
    for fields in [
        vec![],
        vec![("form_token", "")],
        vec![("form_token", others.as_str())],
    ] {
        let answer = served.form(path, &cookie, &fields).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{fields:?}");
    }
    let own = [("form_token", token.as_str())];
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "none"),
        ("x-nothing", "neither header: no browser sent this"),
    ] {
        let request = served
            .bare(Method::POST, path)
            .header("cookie", &cookie)
            .header(name, value);
        let answer = send(form(request, &own)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}: {value}");
    }
    let done = served.form(path, &cookie, &own).await;
    assert_eq!(
        (done.status, done.header("location")),
        (StatusCode::SEE_OTHER, "/profiles/cal?done=sync")
    );
    // What is asked for in the address is not shown.
    let page = served
        .page("/profiles/cal?done=<script>alert(1)</script>", &cookie)
        .await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(!page.body.contains("alert(1)"));
}

#[tokio::test]
async fn loopback_without_a_token_answers_its_machine_and_no_other_site() {
    let world = World::with(SQL, BOTH).await;
    let served = world.serve(None, &[]).await;
    let port = served.base.rsplit(':').next().expect("a port").to_owned();
    let status = "/api/v1/profiles/cal/status";
    for path in ["/", "/metrics", status, "/profiles/cal"] {
        assert_eq!(served.get(path).await.status, StatusCode::OK, "{path}");
        for host in [
            "evil.example",
            "evil.example:7878",
            "127.0.0.1.evil.example",
            "localhost@evil.example",
            "169.254.169.254",
        ] {
            let answer = send(served.bare(Method::GET, path).header("host", host)).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} of {host}");
        }
        let named = format!("localhost:{port}");
        let answer = send(served.bare(Method::GET, path).header("host", named)).await;
        assert_eq!(answer.status, StatusCode::OK);
        // A proxy that hides the name hides that the world asks.
        let answer = send(
            served
                .bare(Method::GET, path)
                .header("x-forwarded-for", "192.0.2.1"),
        )
        .await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} behind a proxy");
    }
    let sync = "/api/v1/profiles/cal/sync";
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "http://127.0.0.1:1"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let answer = send(served.bare(Method::POST, sync).header(name, value)).await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::FORBIDDEN, "foreign_origin".to_owned()),
            "{name}: {value}"
        );
    }
    assert_eq!(served.post(sync, &json!({})).await.status, StatusCode::ACCEPTED);
    // Probes and Notion come under any name.
    for path in ["/healthz", "/readyz"] {
        let answer = send(served.bare(Method::GET, path).header("host", "10.1.2.3")).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn a_named_host_is_answered_and_needs_the_token() {
    let world = World::with(SQL, BOTH).await;
    let served = world
        .serve(Some(TOKEN), &["--allow-host", "sync.example.org"])
        .await;
    let status = "/api/v1/profiles/cal/status";
    let named = |host: &str| {
        served
            .request(Method::GET, status)
            .header("host", host.to_owned())
    };
    assert_eq!(send(named("sync.example.org")).await.status, StatusCode::OK);
    assert_eq!(
        send(named("other.example.org")).await.status,
        StatusCode::FORBIDDEN
    );
    let login = served
        .bare(Method::POST, "/login")
        .header("host", "sync.example.org")
        .header("origin", "https://sync.example.org");
    let answer = send(form(login, &[("token", TOKEN)])).await;
    assert!(
        answer.header("set-cookie").ends_with("; Secure"),
        "{:?}",
        answer.headers
    );
    assert!(answer.header("set-cookie").starts_with("__Host-"));
}

#[tokio::test]
async fn nothing_but_loopback_is_served_without_a_token() {
    let world = World::with(SQL, BOTH).await;
    for (arguments, token, said) in [
        (
            &["--listen", "0.0.0.0:0"][..],
            None,
            "without a token only this machine may be served",
        ),
        (&["--listen", "[::]:0"], Some(""), "without a token"),
        (&["--allow-host", "sync.example.org"], None, "without a token"),
        (
            &["--listen", "0.0.0.0:0"],
            Some("canary-short"),
            "shorter than 24 characters",
        ),
        (
            &["--listen", "127.0.0.1:0"],
            Some("canary-short"),
            "shorter than 24 characters",
        ),
        (
            &["--allow-host", "https://x"],
            Some(TOKEN),
            "`https://x` is no host name",
        ),
    ] {
        let mut all = vec!["serve"];
        all.extend(arguments);
        let mut command = world.project.command(&all);
        if let Some(token) = token {
            command.env("FRAMES_SYNC_API_TOKEN", token);
        }
        let output = command.output().expect("it runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(said) && !stderr.contains("canary"), "{stderr}");
    }
}
