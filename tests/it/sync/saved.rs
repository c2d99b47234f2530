//! Saved plans: what was shown is what is applied, or nothing is.

use super::world::{World, text, writes};
use super::{BOTH, THINGS};

async fn planned() -> (World, String) {
    let world = World::with(THINGS, BOTH).await;
    world.ok(&["setup"]);
    world
        .sql("update things set amount = 50 where id = 't1'; insert into things (id, name, org) values ('t4', 'Four', 'cal')")
        .await;
    world.edit(world.page("Things", "t2"), "Note", text("typed"));
    let path = world.project.path().join("plan.json");
    let path = path.to_str().expect("a path in UTF-8").to_owned();
    world.simulator.clear_exchanges();
    let plan = world.ok(&["plan", "--output", &path]);
    assert_eq!(writes(&world.simulator.exchanges()).len(), 0);
    let kinds: Vec<&str> = plan.json["operations"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|operation| operation["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["update_row", "update_page", "create_page"]);
    (world, path)
}

#[tokio::test]
async fn a_saved_plan_is_applied_exactly_and_only_once() {
    let (world, path) = planned().await;
    let (report, exchanges) = world.watched(&["sync", "--plan", &path]);
    assert_eq!(report.total("rows_updated"), 1);
    assert_eq!(report.total("pages_updated"), 1);
    assert_eq!(report.total("pages_created"), 1);
    assert_eq!(writes(&exchanges).len(), 2, "nothing that was not shown");
    assert_eq!(world.text(world.page("Things", "t1"), "Amount"), "50");
    assert_eq!(
        world
            .scalar("select note from things where id = 't2'")
            .await
            .as_deref(),
        Some("typed")
    );
    world.simulator.clear_exchanges();
    let again = world.run(&["sync", "--plan", &path]);
    assert_eq!(again.code, 1, "{:#}", again.json);
    assert_eq!(again.json["profiles"][0]["failure"]["code"], "stale_plan");
    assert_eq!(writes(&world.simulator.exchanges()).len(), 0);
}

#[tokio::test]
async fn a_saved_plan_is_refused_where_either_side_has_moved() {
    for side in ["postgres", "notion"] {
        let (world, path) = planned().await;
        match side {
            "postgres" => world.sql("update things set amount = 51 where id = 't1'").await,
            _ => world.edit(world.page("Things", "t2"), "Note", text("typed again")),
        }
        let rows = world.rows("things").await;
        world.simulator.clear_exchanges();
        let report = world.run(&["sync", "--plan", &path]);
        assert_eq!(report.code, 1, "{side}: {:#}", report.json);
        assert_eq!(report.json["profiles"][0]["outcome"], "refused");
        assert_eq!(report.json["profiles"][0]["failure"]["code"], "stale_plan");
        assert_eq!(writes(&world.simulator.exchanges()).len(), 0, "{side}");
        assert_eq!(world.rows("things").await, rows);
        assert_eq!(world.pages("Things").len(), 3);
        // A new look applies it all.
        world.ok(&["sync"]);
        assert_eq!(world.pages("Things").len(), 4);
    }
}

#[tokio::test]
async fn a_saved_plan_that_was_edited_or_made_with_another_mapping_is_refused() {
    let (world, path) = planned().await;
    world.rewrite(
        "things",
        &super::THINGS_MAPPING.replace("  Email: { type: email, column: email }\n", ""),
    );
    let report = world.run(&["sync", "--plan", &path]);
    assert_eq!(report.code, 1, "{:#}", report.json);
    assert_eq!(report.json["profiles"][0]["failure"]["code"], "stale_plan");
    let edited = std::fs::read_to_string(&path)
        .expect("the plan")
        .replace("50", "99");
    std::fs::write(&path, edited).expect("the plan");
    let refused = world.project.run(&["sync", "--plan", &path]);
    assert_ne!(refused.code, Some(0));
    assert!(
        refused.stderr.contains("does not fit its hash"),
        "{}",
        refused.stderr
    );
    assert_eq!(world.pages("Things").len(), 3);
}
