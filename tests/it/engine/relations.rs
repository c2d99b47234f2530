//! References whose targets are out of sight: nothing that a page does not show of them was taken out by anybody.

use std::collections::BTreeSet;

use frames_sync::mapping::ConflictPolicy;
use frames_sync::ports::{Page, PropertyRead, Store};
use frames_sync::reconcile::Side;
use frames_sync::value::{PageId, PropertyId, RecordKey, Value};

use super::world::{Options, World};

/// A team that refers to project `p1`, and the pages of both and of `p2`.
async fn referring(world: &World) -> (RecordKey, PageId, [PageId; 2]) {
    let projects = ["p1", "p2"].map(|id| world.project(id));
    let key = world.team("team_1", "Rockets");
    world.tables.set("teams", &key, "project_id", Value::text("p1"));
    world.settled().await;
    let projects = projects.map(|project| world.page_of(&project));
    let page = world.page_of(&key);
    assert_eq!(targets(&world.pages.page(&page)), pages(&projects[..1]));
    (key, page, projects)
}

fn pages(pages: &[PageId]) -> BTreeSet<PageId> {
    pages.iter().cloned().collect()
}

fn targets(page: &Page) -> BTreeSet<PageId> {
    match &page.properties[&PropertyId::from("project_id")] {
        PropertyRead::Whole(Value::Pages(targets)) => targets.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_choice_holds_though_another_target_went_to_the_trash() {
    let world = World::with(Options {
        conflict: ConflictPolicy::Manual,
        ..Options::default()
    });
    let (key, page, [first, second]) = referring(&world).await;
    world.project("p3");
    world.pages.change(&first, |first| first.in_trash = true);
    world.pages.edit(
        &page,
        "project_id",
        Value::Pages(pages(std::slice::from_ref(&second))),
    );
    world.tables.set("teams", &key, "project_id", Value::text("p3"));
    assert_eq!(world.sync().await.conflicts_opened, 1);
    let open = world.store.open_conflicts(None).await.unwrap();
    let kept = Value::Pages(pages(&[first, second]));
    assert_eq!(
        open[0].page_value,
        Some(kept),
        "what is out of sight is still there"
    );
    let chosen = world.store.choose(open[0].id, open[0].rev, Side::Postgres);
    assert!(chosen.await.unwrap());
    assert_eq!(world.sync().await.conflicts_resolved, 1);
    let third = world.page_of(&RecordKey::single("p3"));
    assert_eq!(targets(&world.pages.page(&page)), pages(&[third]));
}

#[tokio::test]
async fn a_row_that_is_put_back_refers_to_what_is_in_the_trash() {
    let world = World::new();
    let (key, page, [first, _]) = referring(&world).await;
    world.team("team_2", "Comets");
    world.pages.change(&first, |first| first.in_trash = true);
    world
        .pages
        .edit(&page, "project_id", Value::Pages(BTreeSet::new()));
    world.pages.edit(&page, "name", Value::rich("Edited"));
    world.tables.delete("teams", &key);
    assert_eq!(world.sync().await.conflicts_opened, 1);
    let open = world.store.open_conflicts(None).await.unwrap();
    let chosen = world.store.choose(open[0].id, open[0].rev, Side::Notion);
    assert!(chosen.await.unwrap());
    assert_eq!(world.sync().await.rows_inserted, 1);
    assert_eq!(world.column(&key, "project_id"), Value::text("p1"));
}
