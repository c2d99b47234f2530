//! Pages that are out of reach, in the trash, or back from it, and what the mapping says then.

use uuid::Uuid;

use super::world::{World, writes};
use super::{BOTH, GROUPS_MAPPING, THINGS, THINGS_MAPPING};

async fn with(lines: &str) -> (World, Uuid) {
    let mapping = THINGS_MAPPING.replace("key: id\n", &format!("key: id\n{lines}\n"));
    let world = World::with(THINGS, &[("things", &mapping), ("groups", GROUPS_MAPPING)]).await;
    world.ok(&["setup"]);
    let page = world.page("Things", "t2");
    (world, page)
}

fn unshare(world: &World, page: Uuid) {
    world.simulator.workspace(|workspace| workspace.unshare(page));
}

async fn ids(world: &World) -> String {
    world
        .scalar("select string_agg(id, ',' order by id) from things where org = 'cal'")
        .await
        .unwrap_or_default()
}

#[tokio::test]
async fn a_page_out_of_reach_is_held_however_long_and_comes_back_with_its_edits() {
    let (world, page) = with("").await;
    let before = world.rows("things").await;
    unshare(&world, page);
    world.ok(&["sync"]);
    assert_eq!(world.phase("things", "t2").await, "held");
    for _ in 0..2 {
        world.let_pass(25).await;
        let (_, exchanges) = world.watched(&["sync"]);
        assert_eq!(writes(&exchanges).len(), 0);
    }
    assert_eq!(world.phase("things", "t2").await, "held");
    assert_eq!(world.rows("things").await, before);
    world.sql("update things set amount = 22 where id = 't2'").await;
    world.simulator.workspace(|workspace| workspace.share(page));
    world.ok(&["sync"]);
    assert_eq!(world.page("Things", "t2"), page);
    assert_eq!(world.text(page, "Amount"), "22");
    assert_eq!(world.phase("things", "t2").await, "linked");
    assert_eq!(world.pages("Things").len(), 3);
}

#[tokio::test]
async fn a_page_out_of_reach_for_a_day_is_made_anew_where_the_mapping_says_so() {
    let (world, page) = with("on_inaccessible: recreate").await;
    unshare(&world, page);
    for _ in 0..3 {
        let (_, exchanges) = world.watched(&["sync"]);
        assert_eq!(
            writes(&exchanges).len(),
            0,
            "one scan proves nothing, nor do three at once"
        );
    }
    world.let_pass(25).await;
    world.ok(&["sync"]);
    world.ok(&["sync"]);
    let pages = world.pages_of("Things", "t2");
    let made: Vec<&Uuid> = pages.iter().filter(|found| **found != page).collect();
    assert_eq!(made.len(), 1, "one new page");
    assert_eq!(world.phase("things", "t2").await, "linked");
    let (_, exchanges) = world.watched(&["sync"]);
    assert_eq!(writes(&exchanges).len(), 0);
    // The old one turns up again: it is no second record.
    world.simulator.workspace(|workspace| workspace.share(page));
    let report = world.run(&["sync"]);
    assert_eq!(report.codes("things"), ["duplicate_page"], "{:#}", report.json);
}

#[tokio::test]
async fn a_page_out_of_reach_for_a_day_counts_as_deleted_where_the_mapping_says_so() {
    let (world, page) = with("on_inaccessible: treat_as_deleted\non_page_trash: hard_delete").await;
    unshare(&world, page);
    world.ok(&["sync"]);
    world.ok(&["sync"]);
    assert_eq!(ids(&world).await, "t1,t2,t3");
    world.let_pass(25).await;
    world.ok(&["sync"]);
    let report = world.ok(&["sync"]);
    assert_eq!(report.total("rows_deleted"), 1, "{:#}", report.json);
    assert_eq!(ids(&world).await, "t1,t3");
    let audit = world.rows("frames_sync.audit").await;
    assert!(audit.iter().any(|row| row.contains("Two 🚀")), "the row is kept");
}

#[tokio::test]
async fn a_whole_database_out_of_reach_stops_the_profile_and_holds_nothing() {
    let (world, _) = with("on_page_trash: hard_delete").await;
    let source = world.source("Things");
    let database = world
        .simulator
        .workspace(|workspace| workspace.database_of(source))
        .expect("a database");
    let rows = world.rows("things").await;
    for id in [source, database] {
        unshare(&world, id);
    }
    for page in world.pages("Things") {
        unshare(&world, page);
    }
    world
        .sql("update groups set name = 'Renamed' where id = 'g1'")
        .await;
    for command in ["sync", "push", "pull"] {
        world.simulator.clear_exchanges();
        let report = world.run(&[command, "--full"]);
        assert_ne!(report.code, 0, "{command}: {:#}", report.json);
        assert_eq!(writes(&world.simulator.exchanges()).len(), 0, "{command}");
    }
    assert_eq!(world.rows("things").await, rows);
    assert_eq!(world.phase("things", "t2").await, "linked");
    for id in [source, database] {
        world.simulator.workspace(|workspace| workspace.share(id));
    }
    for page in world.pages("Things") {
        world.simulator.workspace(|workspace| workspace.share(page));
    }
    world.ok(&["sync"]);
    assert_eq!(world.text(world.page("Groups", "g1"), "Name"), "Renamed");
}

#[tokio::test]
async fn a_page_restored_after_its_row_was_deleted_waits_for_a_person() {
    for take in ["notion", "postgres"] {
        let (world, page) = with("").await;
        world.sql("delete from things where id = 't2'").await;
        world.ok(&["sync"]);
        assert_eq!(world.trashed("Things"), [page]);
        world.simulator.workspace(|workspace| workspace.restore(page));
        let report = world.run(&["sync"]);
        assert_eq!(report.code, 1, "{:#}", report.json);
        assert_eq!(report.total("conflicts_opened"), 1);
        assert_eq!(world.text(page, "sync_status"), "conflict");
        assert_eq!(ids(&world).await, "t1,t3");
        let (_, exchanges) = world.watched(&["sync"]);
        assert_eq!(writes(&exchanges).len(), 0, "it is marked once");
        let listed = world.ok(&["conflicts", "list"]).json;
        let id = listed["conflicts"][0]["id"].as_str().expect("an id");
        world.ok(&["conflicts", "resolve", id, "--take", take]);
        world.ok(&["sync"]);
        if take == "notion" {
            assert_eq!(ids(&world).await, "t1,t2,t3");
            assert_eq!(
                world
                    .scalar("select concat(name, ':', kind, ':', amount) from things where id = 't2'")
                    .await
                    .as_deref(),
                Some("Two 🚀:blue:2")
            );
            assert_eq!(world.text(page, "sync_status"), "synced");
        } else {
            assert_eq!(ids(&world).await, "t1,t3");
            assert_eq!(world.trashed("Things"), [page]);
        }
        assert_eq!(
            world.ok(&["conflicts", "list"]).json["conflicts"],
            serde_json::json!([])
        );
        let (_, exchanges) = world.watched(&["sync"]);
        assert_eq!(writes(&exchanges).len(), 0);
    }
}

#[tokio::test]
async fn a_trashed_page_may_mark_its_row_as_deleted() {
    let lines = "on_page_trash: soft_delete\nsoft_delete: { deleted_at: \"{{ now() }}\" }";
    let mapping = THINGS_MAPPING.replace("key: id\n", &format!("key: id\n{lines}\n"));
    let world = World::with(THINGS, &[("things", &mapping), ("groups", GROUPS_MAPPING)]).await;
    world.sql("alter table things add deleted_at timestamptz").await;
    world.ok(&["setup"]);
    let page = world.page("Things", "t2");
    world.simulator.workspace(|workspace| workspace.trash(page));
    let report = world.ok(&["sync"]);
    assert_eq!(report.total("rows_deleted"), 1);
    let deleted = "select string_agg(id, ',') from things where deleted_at is not null";
    assert_eq!(world.scalar(deleted).await.as_deref(), Some("t2"));
    assert_eq!(ids(&world).await, "t1,t2,t3", "and is still there");
    let rows = world.rows("things").await;
    let (report, exchanges) = world.watched(&["sync"]);
    assert_eq!((report.total("rows_deleted"), writes(&exchanges).len()), (0, 0));
    assert_eq!(world.rows("things").await, rows);
}

#[tokio::test]
async fn soft_deletes_count_against_the_cap() {
    let lines = "on_page_trash: soft_delete\nsoft_delete: { note: gone }";
    let mapping = THINGS_MAPPING.replace("key: id\n", &format!("key: id\n{lines}\n"));
    let world = World::with(
        super::existence::MANY,
        &[("things", &mapping), ("groups", GROUPS_MAPPING)],
    )
    .await;
    world.ok(&["setup"]);
    for page in world.pages("Things").into_iter().take(10) {
        world.simulator.workspace(|workspace| workspace.trash(page));
    }
    let rows = world.rows("things").await;
    let report = world.run(&["sync"]);
    assert_eq!(report.code, 1, "{:#}", report.json);
    assert_eq!(report.entity("things")["refusals"][0]["code"], "delete_cap");
    assert_eq!(world.rows("things").await, rows);
}

#[tokio::test]
async fn a_trashed_page_whose_row_would_leave_the_scope_is_listed_and_nothing_is_written() {
    let mapping = THINGS_MAPPING.replace(
        "key: id\n",
        "key: id\non_page_trash: soft_delete\nsoft_delete: { org: nobody }\n",
    );
    let world = World::with(THINGS, &[("things", &mapping), ("groups", GROUPS_MAPPING)]).await;
    world.ok(&["setup"]);
    let page = world.page("Things", "t2");
    world.simulator.workspace(|workspace| workspace.trash(page));
    let rows = world.rows("things").await;
    let report = world.run(&["sync"]);
    assert_eq!(report.codes("things"), ["leaves_scope"], "{:#}", report.json);
    assert_eq!(world.rows("things").await, rows);
}

#[tokio::test]
async fn both_sides_gone_end_the_record_without_a_write() {
    let world = World::with(THINGS, BOTH).await;
    world.ok(&["setup"]);
    let page = world.page("Things", "t2");
    world.simulator.workspace(|workspace| workspace.trash(page));
    world.sql("delete from things where id = 't2'").await;
    let (_, exchanges) = world.watched(&["sync"]);
    assert_eq!(writes(&exchanges).len(), 0);
    assert_eq!(world.phase("things", "t2").await, "tombstone");
}
