//! Webhooks: the handshake, the signature, what is gathered and what gets lost.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use frames_sync::simulator::{WebhookFaults, signature};
use serde_json::{Value as Json, json};
use tokio::sync::mpsc;

use super::{Fixture, id, text};
use crate::support::openapi::event_violations;

type Received = (Option<String>, String);

/// A subscriber's endpoint, and what arrives there.
async fn endpoint() -> (String, mpsc::UnboundedReceiver<Received>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let app = Router::new()
        .fallback(
            |State(sender): State<Arc<Mutex<mpsc::UnboundedSender<Received>>>>,
             headers: HeaderMap,
             body: Bytes| async move {
                let signature = headers
                    .get("x-notion-signature")
                    .map(|value| value.to_str().unwrap().to_owned());
                sender
                    .lock()
                    .unwrap()
                    .send((signature, String::from_utf8(body.to_vec()).unwrap()))
                    .unwrap();
            },
        )
        .with_state(Arc::new(Mutex::new(sender)));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, receiver)
}

async fn receive(receiver: &mut mpsc::UnboundedReceiver<Received>) -> Received {
    tokio::time::timeout(Duration::from_secs(10), receiver.recv())
        .await
        .expect("an event arrives")
        .unwrap()
}

#[tokio::test]
async fn events_are_signed_and_gathered_once_the_token_was_pasted_back() {
    let f = Fixture::new();
    let (url, mut events) = endpoint().await;
    let token = f.simulator.subscribe_webhook(0, &url);
    let (unsigned, handshake) = receive(&mut events).await;
    assert_eq!(unsigned, None);
    assert_eq!(
        serde_json::from_str::<Json>(&handshake).unwrap(),
        json!({ "verification_token": token })
    );
    assert!(f.simulator.verify_webhook(&token));
    let source = f
        .database(
            "S",
            json!({"Name": {"title": {}}, "A": {"number": {}}, "B": {"number": {}}}),
        )
        .await;
    let page = f.row(&source, json!({"Name": {"title": text("x")}})).await;
    f.simulator.advance(Duration::from_secs(2));
    // Database, data source, view and page.
    for _ in 0..4 {
        receive(&mut events).await;
    }
    let path = format!("/v1/pages/{}", id(&page));
    f.patch(&path, json!({"properties": {"A": {"number": 1}}})).await;
    f.patch(&path, json!({"properties": {"B": {"number": 1}}})).await;
    f.simulator.advance(Duration::from_secs(2));
    let (signed, body) = receive(&mut events).await;
    assert_eq!(signed.unwrap(), signature(&token, body.as_bytes()));
    let event: Json = serde_json::from_str(&body).unwrap();
    assert_eq!(event["type"], "page.properties_updated");
    assert_eq!(event["entity"], json!({"id": page["id"], "type": "page"}));
    assert_eq!(event["data"]["parent"]["data_source_id"], json!(source));
    let ids = json!([page["properties"]["A"]["id"], page["properties"]["B"]["id"]]);
    assert_eq!(
        event["data"]["updated_properties"], ids,
        "two edits in one window are one event"
    );
    assert_eq!(event["authors"][0]["type"], "bot");
}

#[tokio::test]
async fn events_are_lost_and_doubled_by_faults() {
    let f = Fixture::new();
    let source = f
        .database("S", json!({"Name": {"title": {}}, "A": {"number": {}}}))
        .await;
    let page = id(&f.row(&source, json!({})).await);
    let (url, mut events) = endpoint().await;
    let token = f.simulator.subscribe_webhook(0, &url);
    receive(&mut events).await;
    f.simulator.verify_webhook(&token);
    f.simulator.set_webhooks(
        WebhookFaults {
            lost: 1.0,
            ..WebhookFaults::default()
        },
        Duration::ZERO,
    );
    f.patch(
        &format!("/v1/pages/{page}"),
        json!({"properties": {"A": {"number": 1}}}),
    )
    .await;
    // The lost event's window has closed once its successors arrive.
    f.simulator.advance(Duration::from_secs(1));
    while f.simulator.webhooks_waiting() > 0 {
        tokio::task::yield_now().await;
    }
    f.simulator.set_webhooks(
        WebhookFaults {
            doubled: 1.0,
            ..WebhookFaults::default()
        },
        Duration::ZERO,
    );
    f.patch(&format!("/v1/pages/{page}"), json!({"in_trash": true}))
        .await;
    f.simulator.advance(Duration::from_secs(1));
    let (first, second) = (receive(&mut events).await, receive(&mut events).await);
    assert_eq!(first, second);
    assert!(first.1.contains("page.deleted"), "{}", first.1);
}

/// A subscriber that has pasted its token back, with everything of the handshake behind it.
async fn subscribed(f: &Fixture) -> mpsc::UnboundedReceiver<Received> {
    let (url, mut events) = endpoint().await;
    let token = f.simulator.subscribe_webhook(0, &url);
    receive(&mut events).await;
    assert!(f.simulator.verify_webhook(&token));
    events
}

#[tokio::test]
async fn a_late_event_comes_when_it_is_due_and_not_before_its_successors() {
    let f = Fixture::new();
    let source = f
        .database("S", json!({"Name": {"title": {}}, "A": {"number": {}}}))
        .await;
    let page = format!("/v1/pages/{}", id(&f.row(&source, json!({})).await));
    let mut events = subscribed(&f).await;
    let late = WebhookFaults {
        late: 1.0,
        late_seconds: 300,
        ..WebhookFaults::default()
    };
    f.simulator.set_webhooks(late, Duration::ZERO);
    f.patch(&page, json!({"properties": {"A": {"number": 1}}})).await;
    f.simulator.advance(Duration::from_secs(1));
    while f.simulator.webhooks_waiting() > 0 {
        tokio::task::yield_now().await;
    }
    f.simulator.set_webhooks(WebhookFaults::default(), Duration::ZERO);
    f.patch(&page, json!({"in_trash": true})).await;
    f.simulator.advance(Duration::from_secs(1));
    let (_, first) = receive(&mut events).await;
    assert!(first.contains("page.deleted"), "{first}");
    f.simulator.advance(Duration::from_secs(300));
    let (_, second) = receive(&mut events).await;
    assert!(second.contains("page.properties_updated"), "{second}");
    let stamp = |body: &str| {
        serde_json::from_str::<Json>(body).unwrap()["timestamp"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert!(
        stamp(&second) < stamp(&first),
        "it tells when it happened, not when it came"
    );
}

#[tokio::test]
async fn events_that_are_due_together_may_come_in_another_order() {
    let f = Fixture::new();
    let source = f
        .database("S", json!({"Name": {"title": {}}, "A": {"number": {}}}))
        .await;
    let mut made = Vec::new();
    for _ in 0..8 {
        made.push(id(&f.row(&source, json!({})).await));
    }
    let mut events = subscribed(&f).await;
    let reordered = WebhookFaults {
        reordered: true,
        ..WebhookFaults::default()
    };
    f.simulator.set_webhooks(reordered, Duration::from_secs(60));
    for page in &made {
        f.patch(
            &format!("/v1/pages/{page}"),
            json!({"properties": {"A": {"number": 1}}}),
        )
        .await;
    }
    f.simulator.advance(Duration::from_secs(60));
    let mut came = Vec::new();
    for _ in &made {
        let (_, body) = receive(&mut events).await;
        let event: Json = serde_json::from_str(&body).unwrap();
        came.push(id(&event["entity"]));
    }
    assert_ne!(came, made);
    came.sort_unstable();
    made.sort_unstable();
    assert_eq!(came, made, "each of them, once");
}

#[tokio::test]
async fn every_kind_of_event_is_as_notions_document_says() {
    let f = Fixture::new();
    let mut events = subscribed(&f).await;
    f.simulator.set_webhooks(WebhookFaults::default(), Duration::ZERO);
    // Each step is sent before the next: what is made and trashed in one window was never there.
    let source = f
        .database("S", json!({"Name": {"title": {}}, "A": {"number": {}}}))
        .await;
    let schema = f.get(&format!("/v1/data_sources/{source}")).await;
    let database = schema["parent"]["database_id"].as_str().unwrap().to_owned();
    let other = f.database("T", json!({"Name": {"title": {}}})).await;
    let page = id(&f.row(&source, json!({})).await);
    let next = async || {
        f.simulator.advance(Duration::from_secs(1));
        while f.simulator.webhooks_waiting() > 0 {
            tokio::task::yield_now().await;
        }
    };
    let path = format!("/v1/pages/{page}");
    for change in [
        json!({"properties": {"A": {"number": 1}}}),
        json!({"is_locked": true}),
        json!({"is_locked": false}),
        json!({"in_trash": true}),
        json!({"in_trash": false}),
    ] {
        f.patch(&path, change).await;
        next().await;
    }
    let line = json!({"children": [{"paragraph": {"rich_text": text("hello")}}]});
    f.patch(&format!("/v1/blocks/{page}/children"), line).await;
    f.post(
        &format!("{path}/move"),
        json!({"parent": {"type": "data_source_id", "data_source_id": other}}),
    )
    .await;
    let comment = json!({"parent": {"page_id": page}, "rich_text": text("see log")});
    let comment = id(&f.post("/v1/comments", comment).await);
    next().await;
    f.patch(
        &format!("/v1/comments/{comment}"),
        json!({"rich_text": text("see the log")}),
    )
    .await;
    next().await;
    f.expect(200, "DELETE", &format!("/v1/comments/{comment}"), None)
        .await;
    f.patch(
        &format!("/v1/data_sources/{source}"),
        json!({"properties": {"B": {"checkbox": {}}}}),
    )
    .await;
    let view = f
        .post(
            "/v1/views",
            json!({
                "data_source_id": source, "database_id": database, "name": "Table", "type": "table",
                "configuration": {"type": "table", "properties": []},
            }),
        )
        .await;
    next().await;
    let view = format!("/v1/views/{}", id(&view));
    f.patch(&view, json!({"name": "All"})).await;
    next().await;
    f.expect(200, "DELETE", &view, None).await;
    next().await;
    let home = json!({"parent": {"page_id": f.simulator.root_page_id}, "properties": {"title": {"title": text("Archive")}}});
    let home = id(&f.post("/v1/pages", home).await);
    for change in [
        json!({"parent": {"type": "page_id", "page_id": home}}),
        json!({"in_trash": true}),
        json!({"in_trash": false}),
    ] {
        f.patch(&format!("/v1/databases/{database}"), change).await;
        next().await;
    }
    // The last one to happen: once it is there, all are.
    f.patch(&format!("/v1/pages/{home}"), json!({"is_locked": true}))
        .await;
    next().await;
    let (mut kinds, mut found) = (std::collections::BTreeSet::new(), Vec::new());
    loop {
        let (_, body) = receive(&mut events).await;
        let event: Json = serde_json::from_str(&body).unwrap();
        found.extend(event_violations(&event));
        let kind = event["type"].as_str().unwrap().to_owned();
        let is_last = kind == "page.locked" && event["entity"]["id"] == json!(home);
        kinds.insert(kind);
        if is_last {
            break;
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(kinds.len() >= 18, "{kinds:?}");
}
