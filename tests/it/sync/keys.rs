//! Keys that change in Postgres, where the trigger change log tells the old one.

use super::world::{World, text, writes};
use super::{GROUPS_MAPPING, THINGS, THINGS_MAPPING};

async fn set_up() -> World {
    let log = |mapping: &str| mapping.replace("key: id\n", "key: id\ncapture: triggers\n");
    let (things, groups) = (log(THINGS_MAPPING), log(GROUPS_MAPPING));
    let world = World::with(THINGS, &[("things", &things), ("groups", &groups)]).await;
    world
        .sql(
            "alter table things drop constraint things_group_id_fkey,
                 add foreign key (group_id) references groups on update cascade;
             alter table groups drop constraint groups_parent_id_fkey,
                 add foreign key (parent_id) references groups on update cascade;",
        )
        .await;
    world.ok(&["setup"]);
    world.ok(&["sync"]);
    world
}

#[tokio::test]
async fn a_row_with_a_new_key_keeps_its_page() {
    let world = set_up().await;
    let page = world.page("Things", "t1");
    world.edit(page, "Note", text("typed meanwhile"));
    world
        .sql("update things set id = 'tmp' where id = 't1'; update things set id = 'one', amount = 50 where id = 'tmp'")
        .await;
    let plan = world.ok(&["plan"]);
    let kinds: Vec<&str> = plan.json["operations"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|operation| operation["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["update_row", "update_page"], "{:#}", plan.json);
    let (report, exchanges) = world.watched(&["sync"]);
    assert_eq!(
        (report.total("pages_created"), report.total("pages_trashed")),
        (0, 0)
    );
    assert_eq!(world.page("Things", "one"), page);
    assert_eq!(world.text(page, "Amount"), "50");
    assert_eq!(
        world
            .scalar("select note from things where id = 'one'")
            .await
            .as_deref(),
        Some("typed meanwhile")
    );

    assert_eq!(writes(&exchanges).len(), 1, "label and value together");
    assert_eq!(world.phase("things", "one").await, "linked");
    assert_eq!(world.phase("things", "t1").await, "");
    let audits = world.audits().await;
    let (_, exchanges) = world.watched(&["sync", "--full"]);
    assert_eq!((writes(&exchanges).len(), world.audits().await), (0, audits));
    // The old key is free: another row may take it, and gets a page of its own.
    world
        .sql("insert into things (id, name, org) values ('t1', 'Another', 'cal')")
        .await;
    let report = world.ok(&["sync"]);
    assert_eq!(report.total("pages_created"), 1);
    assert_ne!(world.page("Things", "t1"), page);
}

#[tokio::test]
async fn relations_to_a_row_with_a_new_key_stay_as_they_are() {
    let world = set_up().await;
    let group = world.page("Groups", "g1");
    world.sql("update groups set id = 'first' where id = 'g1'").await;
    let rows = world.rows("things").await;
    let (report, exchanges) = world.watched(&["sync"]);
    assert_eq!(
        writes(&exchanges).len(),
        1,
        "the group's label alone: {:#}",
        report.json
    );
    assert_eq!(world.page("Groups", "first"), group);
    assert_eq!(world.rows("things").await, rows);
    assert_eq!(report.codes("things"), [""; 0]);
    let (_, exchanges) = world.watched(&["sync", "--full"]);
    assert_eq!(writes(&exchanges).len(), 0);
}

#[tokio::test]
async fn rows_that_exchange_their_keys_exchange_their_values() {
    let world = set_up().await;
    let (one, two) = (world.page("Things", "t1"), world.page("Things", "t2"));
    world
        .sql(
            "begin; update things set id = 'tmp' where id = 't1'; update things set id = 't1' where id = 't2';
             update things set id = 't2' where id = 'tmp'; commit;",
        )
        .await;
    let rows = world.rows("things").await;
    let report = world.ok(&["sync"]);
    assert_eq!(
        (report.total("pages_created"), report.total("pages_trashed")),
        (0, 0)
    );
    assert_eq!(world.page("Things", "t1"), one);
    assert_eq!(world.page("Things", "t2"), two);
    assert_eq!(world.text(one, "Name"), "Two 🚀");
    assert_eq!(world.text(two, "Name"), "One");
    assert_eq!(world.rows("things").await, rows);
}
