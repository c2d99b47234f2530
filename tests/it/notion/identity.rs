//! Answers about something else than was asked for, as a proxy or another workspace would give: none is used.

use std::collections::BTreeMap;

use frames_sync::notion::{Client, EntityPages, NotionError, NotionPages};
use frames_sync::ports::{PageParent, PageQuery, Pages, Priority};
use frames_sync::value::{DataSourceId, DatabaseId, PageId, PropertyId, UserId};
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

use super::script::{Script, batch, ok, page, page_id};

type Call = fn(Client) -> BoxFuture<'static, Result<(), NotionError>>;

fn asked() -> String {
    page_id(1)
}

/// An object as the other workspace has it.
fn foreign(parent: Value) -> Value {
    let mut object = page(2, 0);
    object["parent"] = parent;
    object
}

fn own_parent() -> Value {
    json!({"type": "data_source_id", "data_source_id": "d", "database_id": "b"})
}

async fn answered(answer: Value, call: Call) -> (NotionError, usize) {
    let script = Script::new([ok(answer)]);
    let error = call(script.client(180)).await.unwrap_err();
    (error, script.requests().len())
}

#[tokio::test(start_paused = true)]
async fn a_read_that_answers_another_object_is_refused() {
    let reads: [(&str, Call); 5] = [
        ("page", |client| {
            Box::pin(async move { client.retrieve_page(&PageId(asked())).await.map(drop) })
        }),
        ("data source", |client| {
            let id = DataSourceId(asked());
            Box::pin(async move { client.retrieve_data_source(&id).await.map(drop) })
        }),
        ("database", |client| {
            let id = DatabaseId(asked());
            Box::pin(async move { client.retrieve_database(&id).await.map(drop) })
        }),
        ("view", |client| {
            Box::pin(async move { client.retrieve_view(&asked()).await.map(drop) })
        }),
        ("file upload", |client| {
            Box::pin(async move { client.retrieve_file_upload(&asked()).await.map(drop) })
        }),
    ];
    for (what, call) in reads {
        let (error, _) = answered(foreign(own_parent()), call).await;
        assert!(
            matches!(error, NotionError::ReadAnswer { .. }) && error.to_string().contains("another object"),
            "{what}: {error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_answers_another_object_is_unknown_and_sent_once() {
    let writes: [(&str, Call); 5] = [
        ("update a page", |client| {
            Box::pin(async move { client.update_page(&PageId(asked()), Map::new()).await.map(drop) })
        }),
        ("move a page", |client| {
            let target = DataSourceId::from("d");
            Box::pin(async move { client.move_page(&PageId(asked()), &target).await.map(drop) })
        }),
        ("change a data source", |client| {
            let id = DataSourceId(asked());
            Box::pin(async move { client.update_data_source(&id, Map::new()).await.map(drop) })
        }),
        ("change a database", |client| {
            let id = DatabaseId(asked());
            Box::pin(async move { client.update_database(&id, Map::new()).await.map(drop) })
        }),
        ("change a view", |client| {
            Box::pin(async move { client.update_view(&asked(), Map::new()).await.map(drop) })
        }),
    ];
    for (what, call) in writes {
        let (error, requests) = answered(foreign(own_parent()), call).await;
        assert!(
            error.is_unknown() && error.to_string().contains("another object"),
            "{what}: {error}"
        );
        assert_eq!(requests, 1, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_made_in_another_parent_is_unknown() {
    let elsewhere = |kind: &str| json!({"type": kind, kind: page_id(9)});
    let makes: [(&str, Value, Call); 5] = [
        ("create a page", elsewhere("data_source_id"), |client| {
            let parent = DataSourceId::from("d");
            Box::pin(async move { client.create_page(&parent, Map::new()).await.map(drop) })
        }),
        ("create a data source", elsewhere("database_id"), |client| {
            let parent = DatabaseId::from("b");
            Box::pin(async move {
                client
                    .create_data_source(&parent, "T", Map::new())
                    .await
                    .map(drop)
            })
        }),
        ("create a database", elsewhere("page_id"), |client| {
            let body = json!({"parent": {"type": "page_id", "page_id": page_id(3)}});
            Box::pin(async move { client.create_database(object(body)).await.map(drop) })
        }),
        ("create a view", own_parent(), |client| {
            let body = json!({"data_source_id": page_id(3), "database_id": "b"});
            Box::pin(async move { client.create_view(object(body)).await.map(drop) })
        }),
        ("move a page", elsewhere("data_source_id"), |client| {
            let (id, target) = (PageId(page_id(2)), DataSourceId::from("d"));
            Box::pin(async move { client.move_page(&id, &target).await.map(drop) })
        }),
    ];
    for (what, parent, call) in makes {
        let mut answer = foreign(parent);
        answer["data_source_id"] = page_id(9).into();
        let (error, requests) = answered(answer, call).await;
        assert!(
            error.is_unknown() && error.to_string().contains("another object"),
            "{what}: {error}"
        );
        assert_eq!(requests, 1, "{what}");
    }
}

/// A query nominates pages; one that is not of this entity is told from its own, and the engine writes nothing to it.
#[tokio::test(start_paused = true)]
async fn a_row_of_another_data_source_in_a_listing_stands_elsewhere() {
    let mut foreign = page(1, 0);
    foreign["parent"]["data_source_id"] = page_id(9).into();
    let script = Script::new([batch(vec![foreign, page(2, 0)], None, Value::Null)]);
    let entity = EntityPages {
        data_source: DataSourceId::from("d"),
        postgres_id: PropertyId::from("k"),
        properties: BTreeMap::new(),
    };
    let entities = BTreeMap::from([("teams".to_owned(), entity)]);
    let pages = NotionPages::new(script.client(180), UserId::from("u"), entities);
    let listed = pages.query("teams", &PageQuery::All, None, Priority::Pull);
    let parents: Vec<PageParent> = listed
        .await
        .unwrap()
        .pages
        .into_iter()
        .map(|page| page.parent)
        .collect();
    assert_eq!(parents, [PageParent::Elsewhere, PageParent::Entity]);
}

/// Ids are written with dashes or without; both name the same object.
#[tokio::test(start_paused = true)]
async fn the_same_id_in_another_spelling_is_the_same_object() {
    let script = Script::new([ok(page(1, 0))]);
    let undashed = asked().replace('-', "");
    let read = script.client(180).retrieve_page(&PageId(undashed)).await;
    assert_eq!(read.unwrap().id.as_str(), asked());
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}
