//! Waits that Notion names, and the budget.

use frames_sync::notion::error::TransportError;
use frames_sync::notion::turnstile::Turnstile;
use frames_sync::notion::{Client, NotionError};
use frames_sync::ports::Priority;
use serde_json::{Map, json};
use tokio::time::{Duration, Instant};

use super::script::{Script, ok, page, refusal, throttled};

#[tokio::test(start_paused = true)]
async fn no_request_of_the_token_leaves_before_its_retry_after() {
    let user = || ok(json!({"object": "user", "id": "u"}));
    let script = Script::new([throttled(429, 300), user(), user(), user()]);
    let client = script.client(180);
    let start = Instant::now();
    let first = tokio::spawn({
        let client = client.clone();
        async move { client.me().await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    // The most urgent place in the queue waits all the same.
    let urgent = client.at(Priority::Settle);
    let (second, third) = tokio::join!(urgent.me(), client.me());
    assert!(first.await.unwrap().is_ok() && second.is_ok() && third.is_ok());
    let waited: Vec<u64> = script
        .times()
        .iter()
        .map(|time| (*time - start).as_secs())
        .collect();
    assert_eq!(waited, [0, 300, 300, 300]);
    assert_eq!(client.usage().throttled, 1);
    assert_eq!(client.usage().by_endpoint["GET /v1/users/me"], 4);
}

#[tokio::test(start_paused = true)]
async fn overload_is_obeyed_for_creates_too() {
    let script = Script::new([throttled(529, 7), throttled(429, 61), ok(page(1, 0))]);
    let client = script.client(180);
    let start = Instant::now();
    client.create_page(&"d".into(), Map::new()).await.unwrap();
    let waited: Vec<u64> = script
        .times()
        .iter()
        .map(|time| (*time - start).as_secs())
        .collect();
    assert_eq!(waited, [0, 7, 68]);
}

#[tokio::test(start_paused = true)]
async fn a_blocked_connection_sends_nothing_more() {
    let blocked = json!({"rate_limit_reason": "public_api_request_blocked"});
    let script = Script::new([refusal(429, "rate_limited", blocked)]);
    let client = script.client(180);
    let error = client.me().await.unwrap_err();
    assert!(error.stops_the_connection());
    assert!(matches!(client.me().await, Err(NotionError::Stopped { .. })));
    assert_eq!(script.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_invalid_token_stops_everything_that_uses_it() {
    let script = Script::new([refusal(401, "unauthorized", json!({}))]);
    let client = script.client(180);
    let error = client.me().await.unwrap_err();
    assert_eq!(error.status(), Some(401));
    assert!(error.help().unwrap().contains("token"));
    assert!(matches!(
        client.retrieve_page(&"p".into()).await,
        Err(NotionError::Stopped { .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn the_allowed_rate_is_filled_whatever_the_latency() {
    for latency in [0, 200, 3000] {
        let latency = Duration::from_millis(latency);
        let count = 540;
        let replies = (0..count).map(|_| ok(json!({"object": "user", "id": "u"})));
        let script = Script::with_latency(replies, latency);
        let client = script.client(200);
        let start = Instant::now();
        futures_util::future::try_join_all((0..count).map(|_| client.me()))
            .await
            .unwrap();
        // 180 of 200 a window for ordinary work: three bursts, two windows apart.
        let elapsed = start.elapsed();
        let bound = Duration::from_secs(120) + 3 * 6 * latency + Duration::from_secs(1);
        assert!(
            elapsed >= Duration::from_secs(120) && elapsed <= bound,
            "{elapsed:?} at {latency:?}"
        );
        let times = script.times();
        for (at, time) in times.iter().enumerate() {
            let window = times[at..]
                .iter()
                .take_while(|later| **later - *time < Duration::from_secs(60));
            assert!(window.count() <= 200);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn clients_of_one_token_share_one_budget() {
    let reply = || ok(json!({"object": "user", "id": "u"}));
    let turnstile = Turnstile::new(10);
    let (one, other) = (
        Script::new((0..10).map(|_| reply())),
        Script::new((0..10).map(|_| reply())),
    );
    let (first, second) = (
        Client::over(one.clone(), turnstile.clone()),
        Client::over(other.clone(), turnstile),
    );
    let start = Instant::now();
    for _ in 0..10 {
        first.me().await.unwrap();
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    second.me().await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(60));
    assert_eq!(second.usage().waited, Duration::from_secs(60));
}

/// Five failures in a row, on whatever endpoints: nothing is sent for a minute, then one request finds out.
#[tokio::test(start_paused = true)]
async fn after_five_failures_nothing_is_sent_until_a_probe_is_answered() {
    let user = || ok(json!({"object": "user", "id": "u"}));
    let broken = || refusal(500, "internal_server_error", json!({}));
    let timed_out = || Err(TransportError::TimedOut);
    let script = Script::new([
        broken(),
        timed_out(),
        broken(),
        timed_out(),
        broken(),
        broken(),
        user(),
        user(),
    ]);
    let client = script.client(600);
    // Creates are sent once, so that each of the five is one call.
    for _ in 0..5 {
        let error = client.create_page(&"d".into(), Map::new()).await.unwrap_err();
        assert!(error.is_unknown(), "{error}");
    }
    let rests = async |seconds: u64| {
        let error = client.me().await.unwrap_err();
        let NotionError::Resting { wait, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(wait.as_secs(), seconds);
    };
    rests(60).await;
    assert_eq!(script.requests().len(), 5, "nothing was sent");
    tokio::time::advance(Duration::from_secs(60)).await;
    let error = client.create_page(&"d".into(), Map::new()).await.unwrap_err();
    assert!(error.is_unknown(), "the probe failed: {error}");
    rests(120).await;
    tokio::time::advance(Duration::from_secs(120)).await;
    assert!(client.me().await.is_ok() && client.me().await.is_ok());
    assert_eq!(script.requests().len(), 8);
}

/// Refusals are answers: a client that asks for the impossible is not cut off from Notion.
#[tokio::test(start_paused = true)]
async fn refusals_and_overload_open_no_breaker() {
    let refused = (0..20).map(|_| refusal(400, "validation_error", json!({})));
    let script = Script::new(refused.chain([throttled(529, 1), ok(json!({"object": "user", "id": "u"}))]));
    let client = script.client(600);
    for _ in 0..20 {
        let error = client.me().await.unwrap_err();
        assert_eq!(error.status(), Some(400));
    }
    assert!(client.me().await.is_ok());
}
