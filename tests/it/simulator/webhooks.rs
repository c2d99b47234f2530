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
