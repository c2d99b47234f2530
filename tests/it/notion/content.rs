//! What stands on and around pages, through the client: comments, files, blocks, moves, search.

use std::collections::BTreeMap;

use frames_sync::notion::request::{self, Found};
use frames_sync::value::{DataSourceId, PageId};
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::setup::World;
use crate::support::openapi::assert_exchanges_conform;

fn database(world: &World, title: &str) -> Uuid {
    let schema = json!({"Name": {"title": {}}, "Docs": {"files": {}}, "Points": {"number": {}}});
    world
        .simulator
        .workspace(|workspace| workspace.add_database(title, &schema))
        .unwrap()
}

async fn row(world: &World, source: Uuid) -> PageId {
    let source = DataSourceId(source.to_string());
    world.client.create_page(&source, Map::new()).await.unwrap().id
}

#[tokio::test]
async fn comments_are_written_and_listed_over_batches() {
    let world = World::new();
    let page = row(&world, database(&world, "Students")).await;
    for number in 0..101 {
        world
            .client
            .create_comment(&page, &format!("comment {number}"))
            .await
            .unwrap();
    }
    let comments = world.client.list_comments(&page).await.unwrap();
    assert_eq!(comments.len(), 101);
    assert_eq!(comments[100].rich_text[0]["plain_text"], "comment 100");
    assert_exchanges_conform(&world.simulator.exchanges());
}

#[tokio::test]
async fn files_go_up_at_once_or_in_parts_and_into_a_property() {
    let world = World::new();
    let page = row(&world, database(&world, "Students")).await;
    let small = world
        .client
        .upload_file("notes.txt", "text/plain", b"the file")
        .await
        .unwrap();
    // Two parts of 10 MB, and one byte.
    let large = vec![b'x'; 20_000_001];
    let large = world
        .client
        .upload_file("scan.pdf", "application/pdf", &large)
        .await
        .unwrap();
    assert_eq!(
        (small.status.as_str(), large.status.as_str()),
        ("uploaded", "uploaded")
    );
    let sends = world.client.usage().by_endpoint["POST /v1/file_uploads/{id}/send"];
    assert_eq!(sends, 1 + 3);
    let files: Json = [("notes.txt", &small), ("scan.pdf", &large)]
        .iter()
        .map(|(name, upload)| json!({"type": "file_upload", "name": name, "file_upload": {"id": upload.id}}))
        .collect();
    let changes = BTreeMap::from([("Docs", json!({ "files": files }))]);
    let changes = Map::from_iter([("properties".to_owned(), json!(changes))]);
    let written = world.client.change_page(&page, changes).await.unwrap();
    let files = &written.properties["Docs"]["files"];
    let url = files[1]["file"]["url"].as_str().unwrap();
    let bytes = reqwest::get(url).await.unwrap().bytes().await.unwrap();
    assert_eq!(bytes.len(), 20_000_001);
    assert_eq!(files[0]["name"], "notes.txt");
    assert_exchanges_conform(&world.simulator.exchanges());
}

#[tokio::test]
async fn blocks_are_appended_at_the_end_and_listed_over_batches() {
    let world = World::new();
    let page = row(&world, database(&world, "Students")).await;
    let paragraph = |number: usize| json!({"type": "paragraph", "paragraph": {"rich_text": request::plain_text(&format!("line {number}"))}});
    world
        .client
        .append_blocks(&page, (0..100).map(paragraph).collect())
        .await
        .unwrap();
    world
        .client
        .append_blocks(&page, vec![paragraph(100)])
        .await
        .unwrap();
    let blocks = world.client.list_blocks(&page).await.unwrap();
    assert_eq!(blocks.len(), 101);
    assert_eq!(
        blocks[100].rest["paragraph"]["rich_text"][0]["plain_text"],
        "line 100"
    );
    assert_exchanges_conform(&world.simulator.exchanges());
}

#[tokio::test]
async fn a_moved_page_keeps_its_id_and_what_the_target_has_too() {
    let world = World::new();
    let (from, to) = (database(&world, "Students"), database(&world, "Alumni"));
    let page = row(&world, from).await;
    let points = Map::from_iter([("Points".to_owned(), json!({"number": 7}))]);
    world.client.update_page(&page, points).await.unwrap();
    let moved = world
        .client
        .move_page(&page, &DataSourceId(to.to_string()))
        .await
        .unwrap();
    assert_eq!(moved.id, page);
    assert_eq!(moved.parent.data_source_id, Some(DataSourceId(to.to_string())));
    assert_eq!(moved.properties["Points"]["number"], 7);
    assert_exchanges_conform(&world.simulator.exchanges());
}

#[tokio::test]
async fn a_search_is_read_to_its_end() {
    let world = World::new();
    world.simulator.workspace(|workspace| {
        for number in 0..130 {
            workspace.add_text_page(workspace.root_page_id(), &format!("Minutes {number}"));
        }
        workspace.add_text_page(workspace.root_page_id(), "Agenda");
    });
    let found = world.client.search("minutes", Found::Pages).await.unwrap();
    let mut ids: Vec<&str> = found.iter().map(|page| page["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 130);
    assert_eq!(world.client.usage().by_endpoint["POST /v1/search"], 2);
    assert_exchanges_conform(&world.simulator.exchanges());
}
