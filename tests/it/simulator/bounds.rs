//! What the simulator keeps has an end, and what it answers depends on its seed and its clock alone.

use std::time::Duration;

use frames_sync::simulator::{Clock, Moment, Options, Recording};
use serde_json::{Value as Json, json};

use super::{Fixture, id, text};

impl Fixture {
    async fn upload(&self, name: &str) -> String {
        let body = json!({"filename": name, "content_type": "text/plain"});
        id(&self.post("/v1/file_uploads", body).await)
    }

    async fn send(&self, upload: &str, bytes: usize) -> u16 {
        let part = reqwest::multipart::Part::bytes(vec![b'x'; bytes])
            .file_name("part.txt")
            .mime_str("text/plain")
            .unwrap();
        let url = format!("{}/v1/file_uploads/{upload}/send", self.simulator.base_url);
        let sent = self
            .http
            .post(url)
            .bearer_auth(&self.simulator.tokens[0])
            .header("notion-version", "2026-03-11")
            .multipart(reqwest::multipart::Form::new().part("file", part));
        sent.send().await.unwrap().status().as_u16()
    }

    async fn uploads(&self, query: &str) -> (Vec<Json>, Json) {
        let listed = self.get(&format!("/v1/file_uploads{query}")).await;
        let names = listed["results"].as_array().unwrap();
        (
            names.iter().map(|upload| upload["filename"].clone()).collect(),
            listed["next_cursor"].clone(),
        )
    }
}

/// Source: developers.notion.com, list file uploads: sorted by most recent first.
#[tokio::test]
async fn file_uploads_are_listed_from_the_latest_to_the_first() {
    let f = Fixture::new();
    for name in ["a.txt", "b.txt", "c.txt"] {
        f.upload(name).await;
        f.simulator.advance(Duration::from_secs(1));
    }
    let (first, cursor) = f.uploads("?page_size=2").await;
    assert_eq!(first, ["c.txt", "b.txt"]);
    let (rest, _) = f
        .uploads(&format!("?page_size=2&start_cursor={}", cursor.as_str().unwrap()))
        .await;
    assert_eq!(rest, ["a.txt"]);
    f.conforms();
}

#[tokio::test]
async fn uploads_beyond_the_limit_make_room_unless_they_are_attached() {
    let f = Fixture::new();
    f.simulator.workspace(|workspace| {
        workspace.limits_mut().uploads = 3;
        workspace.limits_mut().upload_bytes = 1000;
    });
    let source = f
        .database("Files", json!({"Name": {"title": {}}, "Docs": {"files": {}}}))
        .await;
    let row = f.row(&source, json!({})).await;
    let attached = f.upload("kept.txt").await;
    assert_eq!(f.send(&attached, 600).await, 200);
    let files = json!([{"type": "file_upload", "file_upload": {"id": attached}, "name": "kept.txt"}]);
    f.patch(
        &format!("/v1/pages/{}", id(&row)),
        json!({"properties": {"Docs": {"files": files}}}),
    )
    .await;
    for name in ["1.txt", "2.txt", "3.txt"] {
        f.upload(name).await;
    }
    assert_eq!(f.uploads("").await.0, ["3.txt", "2.txt", "kept.txt"]);
    let another = f.upload("4.txt").await;
    assert_eq!(f.send(&another, 401).await, 400, "too many bytes in all");
    assert_eq!(f.send(&another, 400).await, 200);
    f.conforms();
}

#[tokio::test]
async fn blocks_end_at_their_limit_and_erased_ones_make_room() {
    let f = Fixture::new();
    f.simulator
        .workspace(|workspace| workspace.limits_mut().blocks = 3);
    let root = f.simulator.root_page_id;
    let page = f
        .post(
            "/v1/pages",
            json!({"parent": {"page_id": root}, "properties": {"title": {"title": text("P")}}}),
        )
        .await;
    let children = |count: usize| {
        let paragraph = json!({"type": "paragraph", "paragraph": {"rich_text": text("p")}});
        json!({"children": vec![paragraph; count]})
    };
    let path = format!("/v1/blocks/{}/children", id(&page));
    let answer = f.call("PATCH", &path, Some(children(4))).await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.body["code"], "restricted_resource");
    assert_eq!(answer.body["additional_data"]["block_limit"], "block_creation");
    f.patch(&path, children(3)).await;
    let (status, ..) = f.refused("PATCH", &path, children(1)).await;
    assert_eq!(status, 403);
    f.patch(
        &format!("/v1/pages/{}", id(&page)),
        json!({"erase_content": true}),
    )
    .await;
    f.patch(&path, children(3)).await;
    f.conforms();
}

#[tokio::test]
async fn the_record_ends_at_its_bytes_whatever_they_stand_in() {
    let f = Fixture::with(Options {
        recording: Recording::Last(1_000_000),
        ..Options::default()
    });
    // Long queries without a body: 33 MiB of them.
    let long = "x".repeat(60_000);
    for _ in 0..600 {
        f.call("GET", &format!("/v1/users?start_cursor={long}"), None)
            .await;
    }
    let exchanges = f.simulator.exchanges();
    assert!(exchanges.len() < 600, "{}", exchanges.len());
    assert!(exchanges.len() > 200, "{}", exchanges.len());
    assert_eq!(f.simulator.request_count(), 600, "all are counted");
}

#[tokio::test]
async fn the_date_of_an_answer_is_the_simulators_own() {
    let f = Fixture::new();
    let date = async || {
        let answer = f.call("GET", "/v1/users/me", None).await;
        answer.headers["date"].to_str().unwrap().to_owned()
    };
    assert_eq!(date().await, "Fri, 04 Sep 2026 14:30:15 GMT");
    f.simulator.advance(Duration::from_secs(86_400));
    assert_eq!(date().await, "Sat, 05 Sep 2026 14:30:15 GMT");
    f.simulator.set_clock(Clock::Moved(Moment(0)));
    assert_eq!(date().await, "Thu, 01 Jan 1970 00:00:00 GMT");
}

/// Cursors come from a hash that is not std's, which may change: these bytes stay, whatever compiles them.
#[tokio::test]
async fn the_same_seed_gives_the_same_cursors_on_every_compiler() {
    let f = Fixture::new();
    let source = f
        .database("Rows", json!({"Name": {"title": {}}, "N": {"number": {}}}))
        .await;
    for number in 0..3 {
        f.row(&source, json!({"N": {"number": number}})).await;
    }
    let sorted = json!({"page_size": 2, "sorts": [{"property": "N", "direction": "descending"}]});
    let by_number = f.query(&source, sorted).await;
    let as_made = f.query(&source, json!({"page_size": 2})).await;
    let users = f.get("/v1/users?page_size=1").await;
    let cursors = [&by_number, &as_made, &users].map(|list| list["next_cursor"].as_str().unwrap().to_owned());
    assert_eq!(
        cursors,
        [
            "1cc448df-1cc4-48dd-8891-be3b91be3988",
            "b476e3b7-b476-e3b5-ec01-b78ec76f68e9",
            "7dfb4cf6-7dfb-4cf7-f699-ecfa99ecfbf6",
        ]
    );
}
