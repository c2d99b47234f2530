//! What goes wrong on purpose.

use std::time::Duration;

use frames_sync::simulator::{
    Applied, Clock, Effect, Fault, Moment, Options, RateLimits, Recording, Trigger,
};
use serde_json::{Value as Json, json};

use super::{Fixture, id, text};

fn next(effect: Effect) -> Fault {
    Fault {
        when: Trigger {
            nth: Some(1),
            ..Trigger::default()
        },
        effect,
        times: None,
    }
}

async fn rows(f: &Fixture, source: &str) -> usize {
    f.query(source, json!({})).await["results"]
        .as_array()
        .unwrap()
        .len()
}

fn new_row(source: &str) -> Option<Json> {
    Some(json!({"parent": {"data_source_id": source}, "properties": {"Name": {"title": text("x")}}}))
}

#[tokio::test]
async fn an_error_before_the_write_changes_nothing_and_one_after_it_does() {
    let f = Fixture::new();
    let source = f.database("S", json!({"Name": {"title": {}}})).await;
    for status in [500, 502, 503, 504] {
        f.simulator.fault(next(Effect::ServerError {
            status,
            applied: Applied::No,
        }));
        assert_eq!(f.call("POST", "/v1/pages", new_row(&source)).await.status, status);
    }
    assert_eq!(rows(&f, &source).await, 0);
    for (count, status) in [500, 502, 503, 504].into_iter().enumerate() {
        f.simulator.fault(next(Effect::ServerError {
            status,
            applied: Applied::Yes,
        }));
        assert_eq!(f.call("POST", "/v1/pages", new_row(&source)).await.status, status);
        assert_eq!(rows(&f, &source).await, count + 1);
    }
    f.conforms();
}

#[tokio::test]
async fn a_503_after_the_commit_names_what_was_made() {
    let f = Fixture::new();
    let source = f.database("S", json!({"Name": {"title": {}}})).await;
    f.simulator.fault(next(Effect::Committed));
    let answer = f.call("POST", "/v1/pages", new_row(&source)).await;
    assert_eq!(answer.status, 503);
    let made = answer.body["additional_data"]["committed_resource_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(f.query(&source, json!({})).await["results"][0]["id"], json!(made));
    f.conforms();
}

#[tokio::test]
async fn a_dropped_answer_leaves_the_client_without_a_byte() {
    let f = Fixture::new();
    let source = f.database("S", json!({"Name": {"title": {}}})).await;
    let token = &f.simulator.tokens[0];
    for (applied, expected) in [(Applied::No, 0), (Applied::Yes, 1)] {
        f.simulator.fault(next(Effect::Dropped { applied }));
        let answer = f
            .call_with("POST", "/v1/pages", new_row(&source), token, "2026-03-11")
            .await;
        assert!(answer.is_err());
        assert_eq!(rows(&f, &source).await, expected);
    }
    f.conforms();
}

#[tokio::test]
async fn a_request_given_up_on_may_be_applied_late() {
    let f = Fixture::new();
    let source = f.database("S", json!({"Name": {"title": {}}})).await;
    f.simulator.fault(next(Effect::AppliedLate { seconds: 300 }));
    assert!(
        f.call_with(
            "POST",
            "/v1/pages",
            new_row(&source),
            &f.simulator.tokens[0],
            "2026-03-11"
        )
        .await
        .is_err()
    );
    f.simulator.advance(Duration::from_secs(299));
    assert_eq!(rows(&f, &source).await, 0);
    f.simulator.advance(Duration::from_secs(1));
    assert_eq!(rows(&f, &source).await, 1);
    f.conforms();
}

#[tokio::test]
async fn a_truncated_body_breaks_off() {
    let f = Fixture::new();
    f.simulator.fault(next(Effect::Truncated));
    assert!(
        f.call_with("GET", "/v1/users/me", None, &f.simulator.tokens[0], "2026-03-11")
            .await
            .is_err()
    );
}

#[tokio::test]
async fn the_rate_window_is_fixed_and_tells_when_it_closes() {
    let f = Fixture::new();
    f.simulator.set_rate(RateLimits {
        per_connection: Some(3),
        per_workspace: None,
    });
    for _ in 0..3 {
        f.get("/v1/users/me").await;
    }
    f.simulator.advance(Duration::from_secs(20));
    let over = f.call("GET", "/v1/users/me", None).await;
    assert_eq!(over.status, 429);
    assert_eq!(over.headers["retry-after"], "40");
    assert_eq!(
        over.body["additional_data"],
        json!({"retry_after": "40", "rate_limit_reason": "public_api_request_rate_limit"})
    );
    f.simulator.advance(Duration::from_secs(40));
    f.get("/v1/users/me").await;
    f.conforms();
}

#[tokio::test]
async fn connections_of_one_workspace_share_its_window() {
    let f = Fixture::with(Options {
        tokens: vec!["one".to_owned(), "two".to_owned()],
        rate: RateLimits {
            per_connection: Some(3),
            per_workspace: Some(4),
        },
        clock: Clock::Moved(Moment(0)),
        recording: Recording::Everything,
        ..Options::default()
    });
    let ask = async |token: &str| {
        let answer = f.call_with("GET", "/v1/users/me", None, token, "2026-03-11");
        let answer = answer.await.unwrap();
        let reason = answer.body["additional_data"]["rate_limit_reason"].as_str();
        (answer.status, reason.unwrap_or_default().to_owned())
    };
    for token in ["one", "one", "one", "two"] {
        assert_eq!(ask(token).await.0, 200);
    }
    let (connection, workspace) = (ask("one").await, ask("two").await);
    assert_eq!(connection, (429, "public_api_request_rate_limit".to_owned()));
    assert_eq!(workspace, (429, "public_api_space_request_rate_limit".to_owned()));
    f.simulator.advance(Duration::from_secs(60));
    assert_eq!(ask("two").await.0, 200);
    f.conforms();
}

#[tokio::test]
async fn a_shuffled_batch_holds_the_same_rows_in_an_order_of_its_own() {
    let f = Fixture::new();
    let source = f.database("S", json!({"Name": {"title": {}}})).await;
    for _ in 0..10 {
        f.row(&source, json!({})).await;
    }
    let ids =
        |answer: Json| -> Vec<String> { answer["results"].as_array().unwrap().iter().map(id).collect() };
    let usual = ids(f.query(&source, json!({})).await);
    f.simulator.fault(next(Effect::Shuffled));
    let mut shuffled = ids(f.query(&source, json!({})).await);
    assert_ne!(shuffled, usual);
    shuffled.sort_unstable();
    let mut sorted = usual.clone();
    sorted.sort_unstable();
    assert_eq!(shuffled, sorted);
    assert_eq!(ids(f.query(&source, json!({})).await), usual);
    f.conforms();
}

#[tokio::test]
async fn queries_lag_behind_and_get_does_not() {
    let f = Fixture::new();
    let source = f
        .database("S", json!({"Name": {"title": {}}, "N": {"number": {}}}))
        .await;
    let old = id(&f.row(&source, json!({"N": {"number": 1}})).await);
    f.simulator
        .workspace(|workspace| workspace.set_index_lag(Duration::from_secs(30)));
    let new = id(&f
        .row(
            &source,
            json!({"Name": {"title": text("new")}, "N": {"number": 5}}),
        )
        .await);
    f.patch(
        &format!("/v1/pages/{old}"),
        json!({"properties": {"N": {"number": 2}}}),
    )
    .await;
    let seen = f.query(&source, json!({})).await;
    assert_eq!(seen["results"].as_array().unwrap().len(), 1);
    assert_eq!(seen["results"][0]["properties"]["N"]["number"], 1);
    assert_eq!(
        f.get(&format!("/v1/pages/{old}")).await["properties"]["N"]["number"],
        2
    );
    f.get(&format!("/v1/pages/{new}")).await;
    f.patch(&format!("/v1/pages/{old}"), json!({"in_trash": true}))
        .await;
    assert_eq!(rows(&f, &source).await, 1, "a trashed row is still in the index");
    f.simulator.advance(Duration::from_secs(30));
    let seen = f.query(&source, json!({})).await;
    assert_eq!(seen["results"].as_array().unwrap().len(), 1);
    assert_eq!(seen["results"][0]["id"], json!(new));
    f.conforms();
}

#[tokio::test]
async fn the_same_seed_gives_the_same_bytes() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let f = Fixture::new();
        let source = f
            .database("S", json!({"Name": {"title": {}}, "T": {"multi_select": {}}}))
            .await;
        f.simulator.fault(Fault {
            when: Trigger {
                probability: Some(0.5),
                ..Trigger::default()
            },
            effect: Effect::Conflict,
            times: None,
        });
        for _ in 0..10 {
            f.call("POST", "/v1/pages", Some(json!({"parent": {"data_source_id": source}, "properties": {"T": {"multi_select": [{"name": "a"}]}}}))).await;
        }
        let bodies: Vec<String> = f
            .simulator
            .exchanges()
            .into_iter()
            .map(|exchange| exchange.response_body)
            .collect();
        assert!(bodies.iter().any(|body| body.contains("conflict_error")));
        runs.push(bodies);
    }
    assert_eq!(runs[0], runs[1]);
}
