//! Deliveries of Notion's, of strangers, and of somebody who has the token.

use std::process::Stdio;
use std::time::Duration;

use frames_sync::simulator::signature;
use reqwest::StatusCode;
use secrecy::SecretString;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::world::{Served, TOKEN, World};
use super::{BOTH, SQL};

/// A webhook token of the test's own.
const KEY: &str = "secret_canary_webhook_0123456789";

/// A world whose profile is enrolled with [`KEY`].
async fn enrolled() -> World {
    let world = World::with(SQL, BOTH).await;
    world
        .sql(&format!(
            "insert into frames_sync.webhook (profile, token, enrolled_at) values ('cal', '{KEY}', now())"
        ))
        .await;
    world
}

/// An event about a page, as Notion writes it.
async fn event(world: &World, id: &str, page: Uuid) -> Json {
    let pin = async |name: &str| {
        world
            .scalar(&format!(
                "select value from frames_sync.pin where name = '{name}'"
            ))
            .await
    };
    json!({
        "id": id, "timestamp": "2026-09-04T14:31:07.123Z", "workspace_id": pin("workspace").await,
        "workspace_name": "Uni", "subscription_id": Uuid::nil(), "integration_id": "connection-1",
        "type": "page.properties_updated", "authors": [{ "id": Uuid::nil(), "type": "person" }],
        "attempt_number": 1, "api_version": "2026-03-11", "entity": { "id": page, "type": "page" },
        "data": {
            "parent": { "id": Uuid::nil(), "type": "database", "data_source_id": pin("data_source:teams").await },
            "updated_properties": ["w%7Bab"],
        },
    })
}

async fn signed(served: &Served, body: &Json) -> super::world::Answer {
    let body = body.to_string().into_bytes();
    let signature = signature(KEY, &body);
    served.deliver("cal", Some(&signature), body).await
}

async fn outcomes(served: &Served, outcome: &str) -> f64 {
    served
        .metric(&format!(
            "frames_sync_webhook_events_total{{profile=\"cal\",outcome=\"{outcome}\"}}"
        ))
        .await
}

#[tokio::test]
async fn a_forged_delivery_is_refused_and_counted() {
    let world = enrolled().await;
    let served = world.serve(Some(TOKEN), &[]).await;
    let page = world.page("Teams", "Name", "One");
    let body = event(&world, "e1", page).await.to_string().into_bytes();
    let good = signature(KEY, &body);
    let mut refused = 0;
    let mut refuse = async |signature: Option<&str>, body: Vec<u8>, what: &str| {
        let answer = served.deliver("cal", signature, body).await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::UNAUTHORIZED, "unsigned".to_owned()),
            "{what}"
        );
        refused += 1;
    };
    for at in 0..body.len() {
        let mut flipped = body.clone();
        flipped[at] ^= 1;
        refuse(Some(&good), flipped, &format!("byte {at} flipped")).await;
    }
    for at in 0..good.len() {
        let mut flipped = good.clone().into_bytes();
        // The lowest bit: what comes out can stand in a header.
        flipped[at] ^= 1;
        let flipped = String::from_utf8(flipped).expect("ASCII");
        refuse(
            Some(&flipped),
            body.clone(),
            &format!("byte {at} of the signature flipped"),
        )
        .await;
    }
    let (upper, with_newline) = (good.to_ascii_uppercase(), format!("{good} "));
    for (signature, what) in [
        (None, "missing"),
        (Some(""), "empty"),
        (Some("sha256="), "nothing after it"),
        (Some(&good[7..]), "no algorithm"),
        (Some(&good[..70]), "short"),
        (Some(&*upper), "upper case"),
        (
            Some(&*with_newline.replace("sha256=", "sha512=")),
            "another algorithm",
        ),
        (Some("sha256=zz"), "no hexadecimal"),
    ] {
        refuse(signature, body.clone(), what).await;
    }
    let other = frames_sync::notion::webhook::sign(&SecretString::from("secret_other"), &body);
    refuse(Some(&other), body.clone(), "another key").await;
    refuse(Some(&good), [&body[..], b" "].concat(), "a longer body").await;
    refuse(Some(&good), Vec::new(), "no body").await;
    let unknown = served.deliver("none", Some(&good), body.clone()).await;
    assert_eq!(
        (unknown.status, unknown.code()),
        (StatusCode::UNAUTHORIZED, "unsigned".to_owned())
    );

    assert_eq!(outcomes(&served, "unsigned").await, f64::from(refused));
    assert_eq!(outcomes(&served, "woken").await, 0.0);
    let answer = served.deliver("cal", Some(&good), body).await;
    assert_eq!(
        (answer.status, &answer.json()["outcome"]),
        (StatusCode::OK, &json!("woken"))
    );
    assert!(!served.log().contains("canary"), "{}", served.log());
    assert!(!served.get("/metrics").await.body.contains("canary"));
}

#[tokio::test]
async fn a_delivery_of_two_megabytes_is_refused_whoever_signed_it() {
    let world = enrolled().await;
    let served = world.serve(None, &[]).await;
    let page = world.page("Teams", "Name", "One");
    for (size, status) in [(2 << 20, 413), ((1 << 20) + 1, 413), (1 << 19, 200)] {
        let mut event = event(&world, &size.to_string(), page).await;
        event["padding"] = json!("");
        let padding = size - event.to_string().len();
        event["padding"] = json!("x".repeat(padding));
        assert_eq!(event.to_string().len(), size);
        let answer = signed(&served, &event).await;
        assert_eq!(answer.status.as_u16(), status, "{size}: {}", answer.body);
    }
    assert_eq!(outcomes(&served, "too_large").await, 2.0);
}

#[tokio::test]
async fn of_ten_thousand_replays_one_is_taken() {
    let world = enrolled().await;
    let served = world.serve(None, &[]).await;
    let page = world.page("Teams", "Name", "One");
    let event = event(&world, "replayed", page).await;
    world.simulator.clear_exchanges();
    let body = event.to_string().into_bytes();
    let signature = signature(KEY, &body);
    let deliver = async || served.deliver("cal", Some(&signature), body.clone()).await;
    assert_eq!(deliver().await.json()["outcome"], "woken");
    for _ in 0..10_000 / 50 {
        let burst = futures_util::future::join_all((0..50).map(|_| deliver())).await;
        for answer in burst {
            assert_eq!(
                (answer.status, &answer.json()["outcome"]),
                (StatusCode::OK, &json!("replayed"))
            );
        }
    }
    assert_eq!(outcomes(&served, "replayed").await, 10_000.0);
    assert_eq!(outcomes(&served, "woken").await, 1.0);
    let reads: u64 = world
        .simulator
        .request_counts()
        .into_iter()
        .filter(|(endpoint, _)| endpoint == "GET /v1/pages/{page_id}")
        .map(|(_, count)| count)
        .sum();
    assert!(reads <= 1, "{reads} reads of pages");
}

#[tokio::test]
async fn of_a_flood_over_one_page_a_few_are_taken_at_once_and_the_rest_becomes_one() {
    let world = enrolled().await;
    let served = world.serve(None, &[]).await;
    let page = world.page("Teams", "Name", "One");
    for number in 0..500 {
        let answer = signed(&served, &event(&world, &number.to_string(), page).await).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
    assert_eq!(outcomes(&served, "woken").await, 4.0);
    assert_eq!(outcomes(&served, "merged").await, 496.0);
}

#[tokio::test]
async fn events_of_elsewhere_wake_nobody() {
    let world = enrolled().await;
    let served = world.serve(None, &[]).await;
    let page = world.page("Teams", "Name", "One");
    let mut number = 0;
    let mut changed = async |pointer: &str, value: Json| {
        number += 1;
        let mut event = event(&world, &number.to_string(), page).await;
        *event.pointer_mut(pointer).expect("a place") = value;
        signed(&served, &event).await
    };
    let foreign = changed("/workspace_id", json!(Uuid::nil())).await;
    assert_eq!(
        (foreign.status, foreign.code()),
        (StatusCode::FORBIDDEN, "foreign_workspace".to_owned())
    );
    // The first connection that signs is the one; then no other is.
    assert_eq!(
        changed("/attempt_number", json!(2)).await.json()["outcome"],
        "woken"
    );
    for connection in [json!("connection-2"), json!(null), json!("")] {
        let foreign = changed("/integration_id", connection).await;
        assert_eq!(
            (foreign.status, foreign.code()),
            (StatusCode::FORBIDDEN, "foreign_connection".to_owned())
        );
    }
    for (pointer, value) in [
        ("/data/parent/data_source_id", json!(Uuid::nil())),
        ("/data/parent", json!({ "type": "space" })),
        ("/data", json!({})),
        ("/entity/type", json!("comment")),
        ("/entity/type", json!("data_source")),
    ] {
        let answer = changed(pointer, value).await;
        assert_eq!(
            (answer.status, &answer.json()["outcome"]),
            (StatusCode::OK, &json!("ignored")),
            "{pointer}"
        );
    }
    for (pointer, value) in [
        ("/id", json!(7)),
        ("/entity", json!("page")),
        ("/timestamp", json!("yesterday")),
        ("/data", json!([])),
    ] {
        assert_eq!(
            changed(pointer, value).await.status,
            StatusCode::UNAUTHORIZED,
            "{pointer}"
        );
    }
    assert_eq!(outcomes(&served, "woken").await, 1.0);
    assert_eq!(outcomes(&served, "foreign_connection").await, 3.0);
    assert_eq!(outcomes(&served, "foreign_workspace").await, 1.0);
}

#[tokio::test]
async fn a_handshake_is_taken_once_and_only_when_it_is_expected() {
    let world = World::with(SQL, BOTH).await;
    let served = world.serve(None, &[]).await;
    let stored = async || {
        world
            .scalar("select coalesce(string_agg(token, ' '), 'none') from frames_sync.webhook")
            .await
    };
    let shake = async |token: &str| {
        let body = json!({ "verification_token": token }).to_string().into_bytes();
        // Some are signed, with the token that they carry: that proves nothing.
        let signature = signature(token, &body);
        served.deliver("cal", Some(&signature), body).await
    };
    let early = shake("secret_early").await;
    assert_eq!(
        (early.status, early.code()),
        (StatusCode::FORBIDDEN, "not_enrolling".to_owned())
    );
    assert_eq!(stored().await, "none");

    // The window that an operator opens ends.
    world
        .sql("insert into frames_sync.webhook (profile, open_until) values ('cal', now() - interval '1 second')")
        .await;
    assert_eq!(shake("secret_late").await.status, StatusCode::FORBIDDEN);
    world
        .sql("update frames_sync.webhook set open_until = now() + interval '10 minutes'")
        .await;
    let long = "x".repeat(5000);
    for token in ["", long.as_str()] {
        assert_eq!(shake(token).await.status, StatusCode::UNAUTHORIZED);
    }
    // What is known of a window is a second old at the most.
    served
        .until("the handshake is taken", async || {
            shake("secret_canary_first").await.status == StatusCode::OK
        })
        .await;
    assert_eq!(stored().await, "secret_canary_first");
    for token in ["secret_second", "secret_canary_first"] {
        assert_eq!(shake(token).await.status, StatusCode::FORBIDDEN, "{token}");
    }
    assert_eq!(stored().await, "secret_canary_first");
    assert!(
        served.log().contains("enrolled") && !served.log().contains("canary"),
        "{}",
        served.log()
    );

    // Another is let in only when that is said.
    let refused = world.project.run(&["webhook", "enroll"]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("has a webhook subscription already"),
        "{}",
        refused.stderr
    );
    assert_eq!(shake("secret_third").await.status, StatusCode::FORBIDDEN);
    assert_eq!(world.json(&["webhook", "forget"], 0)["forgotten"], true);
    assert_eq!(stored().await, "none");
}

#[tokio::test]
async fn a_persons_edit_comes_through_notions_own_deliveries() {
    let world = World::with(SQL, BOTH).await;
    let served = world.serve(Some(TOKEN), &[]).await;
    let mut enroll = world.project.command(&["webhook", "enroll", "--quiet"]);
    let mut enroll = enroll
        .stdout(Stdio::piped())
        .spawn()
        .expect("the built binary runs");
    served
        .until("the window is open", async || {
            world
                .scalar("select count(*)::text from frames_sync.webhook where open_until > now()")
                .await
                == "1"
        })
        .await;
    world.simulator.set_webhooks(
        frames_sync::simulator::WebhookFaults::default(),
        Duration::from_millis(10),
    );
    let url = format!("{}/webhooks/notion/cal", served.base);
    let token = world.simulator.subscribe_webhook(0, &url);
    let status = enroll.wait().expect("its end");
    let printed = std::io::read_to_string(enroll.stdout.take().expect("its output")).expect("text");
    assert!(status.success());
    assert_eq!(printed.trim(), token);
    assert!(world.simulator.verify_webhook(printed.trim()));

    let page = world.page("Teams", "Name", "Two");
    world.write(page, "Note", "typed by a person");
    served
        .until("the row has it", async || {
            world
                .scalar("select coalesce(note, '') from teams where id = 't2'")
                .await
                == "typed by a person"
        })
        .await;
    assert!(outcomes(&served, "woken").await >= 1.0);
}
