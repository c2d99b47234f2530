//! What programs ask for.

use std::time::Duration;

use frames_sync::simulator::{Effect, Fault, Trigger};
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::world::{TOKEN, World, percent, send};
use super::{BOTH, SQL, TEAMS};

#[tokio::test]
async fn status_and_conflicts_read_as_the_commands_print_them() {
    let world = World::with(SQL, BOTH).await;
    world.disagree().await;
    let served = world.serve(Some(TOKEN), &[]).await;
    let mut status = served.get("/api/v1/profiles/cal/status").await.json();
    let mut printed = world.json(&["status"], 0);
    for report in [&mut status, &mut printed] {
        for entity in report["entities"].as_array_mut().expect("entities") {
            assert!(
                entity["lag_seconds"]
                    .take()
                    .as_f64()
                    .is_some_and(|lag| lag >= 0.0)
            );
        }
    }
    assert_eq!(status, printed);
    let conflicts = served.get("/api/v1/profiles/cal/conflicts").await.json();
    assert_eq!(conflicts, world.json(&["conflicts", "list"], 0));
    let id = conflicts["conflicts"][0]["id"].as_str().expect("an id");
    let one = served
        .get(&format!("/api/v1/profiles/cal/conflicts/{id}"))
        .await
        .json();
    assert_eq!(one, world.json(&["conflicts", "show", id], 0));
    assert_eq!(one["conflicts"][0]["postgres"], "of Postgres");
}

#[tokio::test]
async fn a_choice_is_applied_and_one_made_on_old_values_is_refused() {
    let world = World::with(SQL, BOTH).await;
    world.disagree().await;
    let served = world.serve(Some(TOKEN), &[]).await;
    let list = "/api/v1/profiles/cal/conflicts";
    let conflict = served.get(list).await.json()["conflicts"][0].clone();
    let path = format!("{list}/{}", conflict["id"].as_str().expect("an id"));
    let rev = conflict["rev"].as_i64().expect("a rev");

    // The values move: another edit in Notion, and another look at it.
    let page = world.page("Teams", "Name", "One");
    world.write(page, "Note", "of Notion, later");
    world.project.run(&["sync"]);
    let stale = served.post(&path, &json!({ "take": "notion", "rev": rev })).await;
    assert_eq!(
        (stale.status, stale.code()),
        (StatusCode::CONFLICT, "conflict_moved".to_owned())
    );
    assert_eq!(
        world.scalar("select note from teams where id = 't1'").await,
        "of Postgres"
    );

    let now = served.get(&path).await.json()["conflicts"][0].clone();
    assert_eq!(now["notion"], "of Notion, later");
    let chosen = served
        .post(&path, &json!({ "take": "notion", "rev": now["rev"] }))
        .await;
    assert_eq!(
        (chosen.status, &chosen.json()["conflicts"][0]["status"]),
        (StatusCode::OK, &json!("chosen"))
    );
    served
        .until("the choice is applied", async || {
            world.scalar("select note from teams where id = 't1'").await == "of Notion, later"
        })
        .await;
    served
        .until("the conflict is closed", async || {
            served.get(list).await.json()["conflicts"] == json!([])
        })
        .await;
    let closed = served
        .post(&path, &json!({ "take": "postgres", "rev": now["rev"] }))
        .await;
    assert_eq!(closed.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_choice_that_cannot_be_read_changes_nothing() {
    let world = World::with(SQL, BOTH).await;
    world.disagree().await;
    let served = world.serve(None, &[]).await;
    let list = "/api/v1/profiles/cal/conflicts";
    let id = served.get(list).await.json()["conflicts"][0]["id"].clone();
    let path = format!("{list}/{}", id.as_str().expect("an id"));
    for body in [
        json!({}),
        json!([]),
        json!({ "take": "both" }),
        json!({ "take": "notion", "rev": "1" }),
        json!({ "take": "notion", "rev": 1, "more": 1 }),
        json!({ "take": "notion", "id": "00000000-0000-4000-8000-000000000000" }),
    ] {
        let answer = served.post(&path, &body).await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::BAD_REQUEST, "bad_request".to_owned()),
            "{body}"
        );
    }
    let large = json!({ "take": "x".repeat(100_000) });
    assert_eq!(
        served.post(&path, &large).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    for unknown in ["00000000-0000-4000-8000-000000000000", "1", "%00", "..%2f"] {
        let path = format!("{list}/{unknown}");
        assert_eq!(served.get(&path).await.status, StatusCode::NOT_FOUND, "{unknown}");
        let answer = served.post(&path, &json!({ "take": "notion", "rev": 1 })).await;
        assert_eq!(answer.code(), "unknown_conflict", "{unknown}");
    }
    // The id may stand in the body too, as the contract's shorter path has it.
    let answer = served.post(list, &json!({ "id": id, "take": "postgres" })).await;
    assert_eq!(
        (answer.status, &answer.json()["conflicts"][0]["status"]),
        (StatusCode::OK, &json!("chosen"))
    );
}

#[tokio::test]
async fn a_saved_row_reaches_notion_whatever_its_key_is() {
    let world = World::with(SQL, BOTH).await;
    let served = world.serve(Some(TOKEN), &[]).await;
    let keys = [
        "a/b",
        "50%",
        "ü-🚀 x",
        "a,b\\c",
        "...",
        "%2F",
        "?q#f",
        "'; drop table teams; --",
    ];
    for (number, key) in keys.iter().enumerate() {
        let name = format!("Named {number}");
        sqlx::query("insert into teams (id, name, org) values ($1, $2, 'cal')")
            .bind(key)
            .bind(&name)
            .execute(&world.pool)
            .await
            .expect("a row");
        let path = format!(
            "/api/v1/profiles/cal/entities/teams/records/{}/sync",
            percent(key)
        );
        let answer = served.post(&path, &json!({})).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{key}: {}", answer.body);
        assert_eq!(answer.json()["key"], *key);
    }
    world
        .sql("insert into seats values ('B\\,/', 7, 'Door', 'cal')")
        .await;
    let printed = "B\\\\\\,/,7";
    let path = format!(
        "/api/v1/profiles/cal/entities/seats/records/{}/sync",
        percent(printed)
    );
    let answer = served.post(&path, &json!({})).await;
    assert_eq!(
        (answer.status, &answer.json()["key"]),
        (StatusCode::ACCEPTED, &json!(printed))
    );
    served
        .until("every page is made", async || {
            let rows = |title: &str| {
                world.simulator.workspace(|workspace| {
                    let source = workspace.data_source_titled(title).expect("a data source");
                    workspace.rows(source).len()
                })
            };
            rows("Teams") == 2 + keys.len() && rows("Seats") == 2
        })
        .await;

    let records = "/api/v1/profiles/cal/entities";
    for (path, code) in [
        (format!("{records}/seats/records/A/sync"), "bad_request"),
        (format!("{records}/seats/records/A,1,2/sync"), "bad_request"),
        (format!("{records}/none/records/t1/sync"), "unknown_entity"),
        (
            "/api/v1/profiles/none/entities/teams/records/t1/sync".to_owned(),
            "unknown_profile",
        ),
        (format!("{records}/teams/records/%FF/sync"), "bad_request"),
        (format!("{records}/teams/records/t1"), "not_found"),
    ] {
        let answer = served.post(&path, &json!({})).await;
        assert_eq!(answer.code(), code, "{path}");
    }
    let answer = send(served.request(Method::PUT, "/api/v1/profiles/cal/sync")).await;
    assert_eq!(
        (answer.status, answer.code()),
        (StatusCode::METHOD_NOT_ALLOWED, "wrong_method".to_owned())
    );
}

#[tokio::test]
async fn an_answer_comes_before_the_work() {
    let world = World::with(SQL, BOTH).await;
    let served = world.serve(None, &[]).await;
    world.simulator.fault(Fault {
        when: Trigger::default(),
        effect: Effect::Slow { milliseconds: 3000 },
        times: None,
    });
    let began = std::time::Instant::now();
    let answer = served.post("/api/v1/profiles/cal/sync", &json!({})).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test]
async fn metrics_count_and_hold_no_value_and_no_key() {
    let world = World::with(SQL, BOTH).await;
    world.disagree().await;
    world
        .sql("insert into teams values ('SENTINEL-KEY', 'SENTINEL-NAME', 'SENTINEL-NOTE', 'cal', 3)")
        .await;
    let served = world.serve(None, &[]).await;
    let metrics = served.get("/metrics").await;
    assert!(
        metrics
            .header("content-type")
            .starts_with("text/plain; version=0.0.4")
    );
    assert!(!metrics.body.contains("SENTINEL"), "{}", metrics.body);
    let teams = "{profile=\"cal\",entity=\"teams\"}";
    for (sample, value) in [
        (format!("frames_sync_records_linked{teams}"), 3.0),
        (format!("frames_sync_conflicts_open{teams}"), 1.0),
        ("frames_sync_state_up{profile=\"cal\"}".to_owned(), 1.0),
        (
            "frames_sync_conflicts_last_day{profile=\"cal\",status=\"open\",certainty=\"none\"}".to_owned(),
            1.0,
        ),
    ] {
        assert_eq!(served.metric(&sample).await, value, "{sample}\n{}", metrics.body);
    }
    assert!(served.metric(&format!("frames_sync_lag_seconds{teams}")).await < 60.0);
    // Every family is announced once, and every line is a comment or a sample.
    let mut families = std::collections::BTreeSet::new();
    for line in metrics.body.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            assert!(families.insert(family.to_owned()), "{family} twice");
        } else if !line.starts_with("# HELP ") {
            let (_, value) = line.rsplit_once(' ').expect("a sample");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
}

#[tokio::test]
async fn it_stops_when_it_is_told_to() {
    let world = World::with(SQL, BOTH).await;
    let served = world.serve(None, &[]).await;
    let (code, took) = served.stop();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test]
async fn without_its_database_it_lives_and_is_not_ready_and_says_nothing_of_why() {
    let world = World::with(SQL, BOTH).await;
    let served = world.serve(None, &[]).await;
    assert_eq!(served.get("/readyz").await.status, StatusCode::OK);
    world.sql("alter schema frames_sync rename to elsewhere").await;
    let status = served.get("/api/v1/profiles/cal/status").await;
    assert_eq!(
        (status.status, status.code()),
        (StatusCode::CONFLICT, "not_set_up".to_owned())
    );
    world.sql("alter schema elsewhere rename to frames_sync").await;

    world.cut_off().await;
    served
        .until("it is not ready", async || {
            served.get("/readyz").await.status == StatusCode::SERVICE_UNAVAILABLE
        })
        .await;
    assert_eq!(served.get("/healthz").await.status, StatusCode::OK);
    for path in [
        "/",
        "/profiles/cal",
        "/metrics",
        "/readyz",
        "/api/v1/profiles/cal/status",
    ] {
        let answer = served.get(path).await;
        for told in ["postgres://", "127.0.0.1:", "test_", "SQLSTATE"] {
            assert!(!answer.body.contains(told), "{path}: {}", answer.body);
        }
    }
    assert!(served.log().contains("SQLSTATE 55000"), "{}", served.log());
    world.let_in().await;
    served
        .until("it is ready again", async || {
            served.get("/readyz").await.status == StatusCode::OK
        })
        .await;
}

#[tokio::test]
async fn state_of_an_earlier_version_is_not_taken_for_none() {
    let world = World::with(SQL, BOTH).await;
    world
        .sql(
            "delete from frames_sync.migration where version > 1; drop table frames_sync.webhook; \
             drop index frames_sync.conflict_in_order, frames_sync.audit_by_age; \
             alter table frames_sync.conflict drop column closed_at; \
             alter table frames_sync.intent rename column settle_after to sent_at; \
             drop function frames_sync.forget(text, timestamptz)",
        )
        .await;
    for command in ["status", "plan"] {
        let ran = world.project.run(&[command]);
        assert_eq!(ran.code, Some(1), "{command}: {}", ran.stdout);
        assert!(
            ran.stderr.contains("left by an earlier version"),
            "{command}: {}",
            ran.stderr
        );
    }
    world.run(&["sync"], 0);
    world.run(&["status"], 0);
}

#[tokio::test]
async fn mappings_are_read_anew_when_it_is_told_to_and_only_sound_ones_count() {
    let world = World::with(SQL, BOTH).await;
    let served = world.serve(None, &[]).await;
    world
        .sql("create table halls (id text primary key, name text not null, org text not null)")
        .await;
    let sync = "/api/v1/profiles/cal/entities/halls/records/h1/sync";
    let file = world.project.path().join("mappings/halls.yaml");
    let halls = TEAMS
        .replace("entity: teams", "entity: halls")
        .replace("public.teams", "public.halls")
        .replace("title: Teams", "title: Halls");
    let halls = halls.split("  Note:").next().expect("its beginning").to_owned();

    std::fs::write(&file, halls.replace("type: title", "type: titel")).expect("a mapping");
    served.signal("-HUP");
    served
        .until("the mistake is told", async || served.log().contains("titel"))
        .await;
    assert_eq!(served.post(sync, &json!({})).await.code(), "unknown_entity");
    let teams = "/api/v1/profiles/cal/entities/teams/records/t1/sync";
    assert_eq!(served.post(teams, &json!({})).await.status, StatusCode::ACCEPTED);

    std::fs::write(&file, halls).expect("a mapping");
    served.signal("-HUP");
    served
        .until("the new entity is known", async || {
            served.post(sync, &json!({})).await.status == StatusCode::ACCEPTED
        })
        .await;
}
