//! Writes whose answer did not come, and reads that are repeated.

use frames_sync::notion::NotionError;
use frames_sync::notion::error::TransportError;
use frames_sync::value::{PageId, PropertyId};
use serde_json::{Map, Value, json};

use super::script::{Script, ok, page, page_id, refusal};

#[tokio::test(start_paused = true)]
async fn a_create_without_an_answer_is_unknown_and_sent_once() {
    for reply in [
        Err(TransportError::TimedOut),
        Err(TransportError::Broken("reset".to_owned())),
        refusal(500, "internal_server_error", json!({})),
        refusal(503, "service_unavailable", json!({})),
    ] {
        let script = Script::new([reply]);
        let error = script
            .client(180)
            .create_page(&"d".into(), Map::new())
            .await
            .unwrap_err();
        assert!(error.is_unknown(), "{error}");
        assert_eq!(script.requests().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_that_never_left_is_sent_again() {
    let unsent = || Err(TransportError::NotSent("refused".to_owned()));
    let script = Script::new([unsent(), unsent(), ok(page(1, 0))]);
    assert!(
        script
            .client(180)
            .create_page(&"d".into(), Map::new())
            .await
            .is_ok()
    );
    let script = Script::new([unsent(), unsent(), unsent()]);
    let error = script
        .client(180)
        .create_page(&"d".into(), Map::new())
        .await
        .unwrap_err();
    assert!(
        matches!(error, NotionError::Send { .. }),
        "certainly not applied: {error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_committed_create_is_read_and_not_repeated() {
    let committed = json!({"committed_resource_id": page_id(7)});
    let script = Script::new([refusal(503, "service_unavailable", committed), ok(page(7, 0))]);
    let page = script
        .client(180)
        .create_page(&"d".into(), Map::new())
        .await
        .unwrap();
    assert_eq!(page.id, PageId(page_id(7)));
    let endpoints: Vec<&str> = script
        .requests()
        .iter()
        .map(|request| request.operation.endpoint())
        .collect();
    assert_eq!(endpoints, ["POST /v1/pages", "GET /v1/pages/{id}"]);
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_handed_to_the_caller() {
    let script = Script::new([refusal(409, "conflict_error", json!({}))]);
    let error = script.client(180).trash(&"p".into()).await.unwrap_err();
    assert!(error.is_conflict());
    assert_eq!(script.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn reads_are_repeated_until_they_succeed_or_the_breaker_opens() {
    let failure = || refusal(502, "bad_gateway", json!({}));
    let script = Script::new([failure(), failure(), failure(), ok(page(1, 0))]);
    assert!(
        script
            .client(180)
            .retrieve_page(&PageId(page_id(1)))
            .await
            .is_ok()
    );

    let script = Script::new((0..5).map(|_| failure()));
    let client = script.client(180);
    assert_eq!(
        client
            .retrieve_page(&PageId(page_id(1)))
            .await
            .unwrap_err()
            .status(),
        Some(502)
    );
    let error = client.retrieve_page(&PageId(page_id(1))).await.unwrap_err();
    assert!(
        matches!(error, NotionError::Resting { .. }),
        "five in a row: {error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_list_of_twenty_five_is_read_to_its_end() {
    let relation = |from: u32, to: u32| -> Vec<Value> {
        (from..to)
            .map(|number| {
                json!({"object": "property_item", "id": "b4", "type": "relation", "relation": {"id": page_id(number)}})
            })
            .collect()
    };
    let mut cut = page(1, 0);
    let inline: Vec<Value> = (0..25).map(|number| json!({"id": page_id(number)})).collect();
    cut["properties"]["Course"] =
        json!({"id": "b%3A4", "type": "relation", "relation": inline, "has_more": true});
    let items = |results, next: Option<&str>| {
        ok(
            json!({"object": "list", "type": "property_item", "results": results,
            "has_more": next.is_some(), "next_cursor": next,
            "property_item": {"id": "b4", "type": "relation", "relation": {}}}),
        )
    };
    let script = Script::new([
        ok(cut),
        items(relation(0, 100), Some("c2")),
        items(relation(100, 130), None),
    ]);
    let client = script.client(180);
    let page = client.retrieve_page(&PageId(page_id(1))).await.unwrap();
    let page = client.complete_page(page).await.unwrap();
    let (_, value) = page.property(&PropertyId::from("b%3A4")).unwrap();
    assert_eq!(value["relation"].as_array().unwrap().len(), 130);
    assert_eq!(value["has_more"], false);
    assert!(page.truncated().iter().all(|(_, _, kind)| kind == "relation"));
    let asked = script.requests();
    assert_eq!(
        asked[1].target(),
        format!("/v1/pages/{}/properties/b%3A4?page_size=100", page_id(1))
    );
    assert!(asked[2].target().ends_with("start_cursor=c2"));
}
