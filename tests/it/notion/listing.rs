//! Listings past the cap.

use frames_sync::notion::Completeness;
use frames_sync::notion::request::Body;
use serde_json::{Value, json};

use super::script::{Script, batch, page, refusal};

fn capped() -> Value {
    json!({"type": "incomplete", "incomplete_reason": "query_result_limit_reached"})
}

fn bodies(script: &Script) -> Vec<Value> {
    script
        .requests()
        .into_iter()
        .map(|request| match request.body {
            Body::Json(body) => body,
            _ => Value::Null,
        })
        .collect()
}

async fn list(script: &std::sync::Arc<Script>, filter: Option<Value>) -> (Vec<String>, Completeness) {
    let mut ids = Vec::new();
    let listing = script.client(180).query_all(&"d".into(), filter);
    let completeness = listing.for_each(|page| ids.push(page.id.0)).await.unwrap();
    (ids, completeness)
}

#[tokio::test(start_paused = true)]
async fn a_capped_query_goes_on_where_it_ended_and_answers_each_page_once() {
    let script = Script::new([
        batch(vec![page(1, 0), page(2, 1)], Some("c2"), Value::Null),
        batch(vec![page(3, 1), page(4, 2)], None, capped()),
        batch(vec![page(4, 2), page(5, 2)], Some("c3"), Value::Null),
        batch(vec![], Some("c4"), Value::Null),
        batch(vec![page(6, 3)], None, json!({"type": "complete"})),
    ]);
    let (ids, completeness) = list(&script, None).await;
    assert_eq!(ids, (1..=6).map(super::script::page_id).collect::<Vec<_>>());
    assert_eq!(completeness, Completeness::Complete);
    let bodies = bodies(&script);
    assert_eq!(
        bodies[0]["sorts"],
        json!([{"timestamp": "created_time", "direction": "ascending"}])
    );
    assert_eq!(bodies[1]["start_cursor"], "c2");
    assert_eq!(
        bodies[2]["filter"],
        json!({"timestamp": "created_time", "created_time": {"on_or_after": "2026-09-04T14:02:00Z"}})
    );
    assert_eq!(bodies[2].get("start_cursor"), None);
}

#[tokio::test(start_paused = true)]
async fn more_pages_in_one_minute_than_a_query_answers_is_incomplete() {
    let script = Script::new([
        batch(vec![page(1, 0), page(2, 0)], None, capped()),
        batch(vec![page(1, 0), page(2, 0)], None, capped()),
    ]);
    let (ids, completeness) = list(&script, None).await;
    assert_eq!(ids.len(), 2);
    assert!(matches!(completeness, Completeness::Incomplete(_)));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_promises_more_without_a_cursor_ends_in_an_error() {
    let mut answer = batch(vec![page(1, 0)], Some("c"), Value::Null).unwrap();
    answer.body = String::from_utf8(answer.body)
        .unwrap()
        .replace("\"c\"", "null")
        .into_bytes();
    let script = Script::new([Ok(answer)]);
    let mut listing = script.client(180).query_all(&"d".into(), None);
    assert!(listing.next_batch().await.is_err());
    assert_eq!(listing.completeness(), &Completeness::Unfinished);
}

#[tokio::test(start_paused = true)]
async fn a_struggling_datastore_is_asked_for_less() {
    let tired = || refusal(504, "gateway_timeout", json!({}));
    let mut replies: Vec<_> = (0..4).map(|_| tired()).collect();
    replies.push(batch(vec![page(1, 0)], None, Value::Null));
    let script = Script::new(replies);
    let (ids, _) = list(&script, None).await;
    assert_eq!(ids.len(), 1);
}
