//! What people do beside the API, and what connections see of it.

use frames_sync::simulator::{Clock, Moment, Options, Recording};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::{Fixture, id, text};

fn uuid(text: &str) -> Uuid {
    Uuid::parse_str(text).unwrap()
}

#[tokio::test]
async fn an_option_renamed_by_a_person_keeps_its_id_and_moves_no_stamp() {
    let f = Fixture::new();
    let source = f
        .database(
            "S",
            json!({"Name": {"title": {}}, "State": {"select": {"options": [{"name": "active"}]}}}),
        )
        .await;
    let page = f
        .row(&source, json!({"State": {"select": {"name": "active"}}}))
        .await;
    f.simulator.advance(std::time::Duration::from_secs(120));
    f.simulator
        .workspace(|workspace| workspace.rename_option(uuid(&source), "State", "active", "live"))
        .unwrap();
    let seen = f.get(&format!("/v1/pages/{}", id(&page))).await;
    assert_eq!(seen["properties"]["State"]["select"]["name"], "live");
    assert_eq!(
        seen["properties"]["State"]["select"]["id"],
        page["properties"]["State"]["select"]["id"]
    );
    assert_eq!(seen["last_edited_time"], page["last_edited_time"]);
    f.conforms();
}

#[tokio::test]
async fn a_persons_edits_are_theirs_and_a_duplicate_copies_every_value() {
    let f = Fixture::new();
    let source = f
        .database("S", json!({"Name": {"title": {}}, "key": {"rich_text": {}}}))
        .await;
    let page = id(&f
        .row(&source, json!({"key": {"rich_text": text("team_1")}}))
        .await);
    let copy = f.simulator.workspace(|workspace| {
        workspace
            .edit(uuid(&page), "Name", json!({"title": text("By hand")}))
            .unwrap();
        workspace.duplicate(uuid(&page)).unwrap()
    });
    let seen = f.get(&format!("/v1/pages/{page}")).await;
    let person = f.simulator.workspace(|workspace| workspace.person().to_string());
    assert_eq!(seen["last_edited_by"]["id"], json!(person));
    assert_ne!(seen["created_by"]["id"], json!(person));
    let filter = json!({"filter": {"property": "key", "rich_text": {"equals": "team_1"}}});
    let both: Vec<Json> = f.query(&source, filter).await["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|page| page["id"].clone())
        .collect();
    assert_eq!(both, [json!(page), json!(copy)]);
    f.conforms();
}

#[tokio::test]
async fn what_is_not_shared_cannot_be_found_and_its_relations_read_empty() {
    let f = Fixture::new();
    let targets = f.database("T", json!({"Name": {"title": {}}})).await;
    let source = f.database("S", json!({"Name": {"title": {}}, "To": {"relation": {"data_source_id": targets, "type": "single_property", "single_property": {}}}})).await;
    let target = id(&f.row(&targets, json!({})).await);
    let page = id(&f
        .row(&source, json!({"To": {"relation": [{"id": target}]}}))
        .await);
    f.simulator
        .workspace(|workspace| workspace.unshare(workspace.database_of(uuid(&targets)).unwrap()));
    assert_eq!(
        f.refused("GET", &format!("/v1/pages/{target}"), json!({}))
            .await
            .1,
        "object_not_found"
    );
    assert_eq!(
        f.get(&format!("/v1/pages/{page}")).await["properties"]["To"]["relation"],
        json!([])
    );
    f.simulator
        .workspace(|workspace| workspace.share(workspace.database_of(uuid(&targets)).unwrap()));
    assert_eq!(
        f.get(&format!("/v1/pages/{page}")).await["properties"]["To"]["relation"],
        json!([{"id": target}])
    );
    f.conforms();
}

#[tokio::test]
async fn tokens_share_a_workspace_and_each_is_its_own_bot() {
    let f = Fixture::with(Options {
        tokens: vec!["one".to_owned(), "two".to_owned()],
        clock: Clock::Moved(Moment(0)),
        recording: Recording::Everything,
        ..Options::default()
    });
    let source = f.database("S", json!({"Name": {"title": {}}})).await;
    let page = id(&f.row(&source, json!({})).await);
    let path = format!("/v1/pages/{page}");
    let seen = f
        .call_with(
            "PATCH",
            &path,
            Some(json!({"is_locked": true})),
            "two",
            "2026-03-11",
        )
        .await
        .unwrap()
        .body;
    assert_ne!(seen["created_by"], seen["last_edited_by"]);
    f.simulator
        .workspace(|workspace| workspace.unshare_from("two", uuid(&page)));
    assert_eq!(
        f.call_with("GET", &path, None, "two", "2026-03-11")
            .await
            .unwrap()
            .status,
        404
    );
    f.get(&path).await;
    let tokens: Vec<Option<usize>> = f
        .simulator
        .exchanges()
        .iter()
        .map(|exchange| exchange.connection)
        .collect();
    assert_eq!(tokens, [Some(0), Some(0), Some(1), Some(1), Some(0)]);
    let kept = serde_json::to_string(&f.simulator.exchanges()).unwrap();
    assert!(!kept.contains("Bearer"), "the recorder keeps no token");
}

#[tokio::test]
async fn the_page_escapes_what_people_typed_and_acts_through_the_control_endpoint() {
    let f = Fixture::new();
    let source = f
        .database("<script>alert(1)</script>", json!({"Name": {"title": {}}}))
        .await;
    let row = json!({"do": "add_row", "data_source": source, "properties": {"Name": {"title": text("\"><img src=x>")}}});
    let url = format!("{}/_simulator/act", f.simulator.base_url);
    let made = f.http.post(&url).body(row.to_string()).send().await.unwrap();
    assert_eq!(made.status(), 200);
    let page = f
        .http
        .get(&f.simulator.base_url)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>alert"));
    assert!(!page.contains("<img"));
    let unknown = f
        .http
        .post(&url)
        .body(r#"{"do":"nothing"}"#)
        .send()
        .await
        .unwrap();
    assert_eq!(unknown.status(), 400);
}

#[tokio::test]
async fn pages_of_other_sites_can_neither_act_nor_look() {
    let f = Fixture::new();
    let source = f.database("S", json!({"Name": {"title": {}}})).await;
    let row = json!({"do": "add_row", "data_source": source, "properties": {}});
    let act = format!("{}/_simulator/act", f.simulator.base_url);
    let status = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status().as_u16();
    let post = || f.http.post(&act).body(row.to_string());
    assert_eq!(status(post().header("origin", "https://evil.example")).await, 403);
    assert_eq!(status(post().header("origin", "null")).await, 403);
    assert_eq!(status(post().header("host", "evil.example")).await, 403);
    for path in ["/", "/_simulator/state", "/_simulator/exchanges"] {
        let request = f.http.get(format!("{}{path}", f.simulator.base_url));
        assert_eq!(
            status(request.header("host", "rebound.example:80")).await,
            403,
            "{path}"
        );
    }
    assert_eq!(f.query(&source, json!({})).await["results"], json!([]));
    assert_eq!(status(post().header("origin", &f.simulator.base_url)).await, 200);
    assert_eq!(status(post()).await, 200, "a program sends no origin");
    f.conforms();
}
