//! What a run costs: requests, writes and audit rows.

use serde_json::json;

use super::world::{Report, World, count, select, text, title, writes, written};
use super::{BOTH, THINGS};

#[tokio::test]
async fn a_first_setup_creates_one_page_per_row_and_hardly_asks_for_more() {
    let world = World::with(
        "create table things (id text primary key, name text not null, org text, amount int);
         insert into things select 't' || n, 'Thing ' || n, 'cal', n from generate_series(1, 400) n;",
        &[("things", PLAIN)],
    )
    .await;
    world.ok(&["setup", "--skip-initial-sync"]);
    let (report, exchanges) = world.watched(&["push"]);
    assert_eq!(count(&exchanges, "POST /v1/pages"), 400);
    assert!(
        exchanges.len() <= 408,
        "{} requests for 400 rows",
        exchanges.len()
    );
    assert_eq!(report.entity("things")["pages_created"], 400);
    assert_eq!(report.entity("things")["linked"], 400);
    assert_eq!(world.pages("Things").len(), 400);
}

#[tokio::test]
async fn a_second_setup_and_an_idle_sync_write_nothing() {
    let world = World::frames().await;
    // One module has a tag with a comma in it, which no option of Notion's can have.
    let only_the_comma = |report: &Report| {
        assert_eq!(report.code, 1, "{:#}", report.json);
        assert_eq!(report.codes("modules"), ["value_out_of_range"]);
        let errors = report.json["profiles"][0]["entities"].as_array().expect("a list");
        let others = errors.iter().filter(|entity| entity["entity"] != "modules");
        assert!(
            others.into_iter().all(|entity| entity["errors"] == json!([])),
            "{:#}",
            report.json
        );
    };
    only_the_comma(&world.run(&["setup"]));
    world.simulator.clear_exchanges();
    only_the_comma(&world.run(&["setup"]));
    assert_eq!(writes(&world.simulator.exchanges()).len(), 0);
    let audits = world.audits().await;
    let rows = world.rows("teams").await;
    world.simulator.clear_exchanges();
    let report = world.run(&["sync"]);
    only_the_comma(&report);
    let exchanges = world.simulator.exchanges();
    assert_eq!(writes(&exchanges).len(), 0, "{:#}", report.json);
    assert_eq!(world.audits().await, audits);
    assert_eq!(world.rows("teams").await, rows);
    let entities = report.json["profiles"][0]["entities"]
        .as_array()
        .expect("a list")
        .len();
    let queries = count(&exchanges, "POST /v1/data_sources/{data_source_id}/query");
    assert!(queries <= entities, "{queries} queries for {entities} entities");
    assert!(
        exchanges.len() <= 2 * entities + 1,
        "{} requests",
        exchanges.len()
    );
}

#[tokio::test]
async fn changed_rows_cost_a_read_and_a_patch_of_only_what_changed() {
    let world = World::with(THINGS, BOTH).await;
    world.ok(&["setup"]);
    world.ok(&["sync"]);
    world
        .sql("update things set amount = 10 where id = 't1'; update things set name = 'Deux' where id = 't2'")
        .await;
    let (report, exchanges) = world.watched(&["sync"]);
    assert_eq!(report.entity("things")["pages_updated"], 2, "{:#}", report.json);
    let patches = writes(&exchanges);
    assert_eq!(patches.len(), 2);
    assert_eq!(count(&exchanges, "GET /v1/pages/{page_id}"), 2);
    let names: Vec<Vec<String>> = patches.iter().map(|patch| written(patch)).collect();
    for names in &names {
        // The property itself and when it was written, by id or name.
        assert!(names.len() <= 3, "{names:?}");
    }
    assert_eq!(world.text(world.page("Things", "t1"), "Amount"), "10");
    assert_eq!(world.text(world.page("Things", "t2"), "Name"), "Deux");
    let (_, exchanges) = world.watched(&["sync"]);
    assert_eq!(writes(&exchanges).len(), 0);
}

#[tokio::test]
async fn changed_pages_cost_at_most_a_read_each_and_change_one_column_of_one_row() {
    let world = World::with(THINGS, BOTH).await;
    world.ok(&["setup"]);
    world
        .sql(
            "create table writes (id text, columns text[]);
             create function note() returns trigger language plpgsql as $$ begin
               insert into writes select old.id, array_agg(o.key) from json_each_text(row_to_json(old)) o
                 join json_each_text(row_to_json(new)) n using (key) where o.value is distinct from n.value;
               return new; end $$;
             create trigger note after update on things for each row execute function note();",
        )
        .await;
    let before = world.rows("things").await;
    world.edit(world.page("Things", "t1"), "Note", text("changed by hand"));
    let (report, exchanges) = world.watched(&["sync"]);
    assert_eq!(report.entity("things")["rows_updated"], 1);
    assert!(count(&exchanges, "GET /v1/pages/{page_id}") <= 1);
    assert_eq!(
        world.rows("writes").await,
        ["(t1,{note})".to_owned()],
        "one column of one row"
    );
    let after = world.rows("things").await;
    assert_eq!(before[1..], after[1..]);
    assert_eq!(
        world
            .scalar("select note from things where id = 't1'")
            .await
            .as_deref(),
        Some("changed by hand")
    );
    // The page itself needs no write, so the next run has nothing to say.
    let (_, exchanges) = world.watched(&["sync"]);
    assert_eq!(writes(&exchanges).len(), 0);
}

#[tokio::test]
async fn edits_of_two_fields_on_two_sides_both_arrive() {
    let world = World::with(THINGS, BOTH).await;
    world.ok(&["setup"]);
    let page = world.page("Things", "t1");
    world.edit(page, "Kind", select("green"));
    world.edit(page, "Name", title("Uno"));
    world.sql("update things set amount = 11 where id = 't1'").await;
    let report = world.ok(&["sync"]);
    assert_eq!(report.entity("things")["conflicts_opened"], 0);
    assert_eq!(world.value(page, "Amount"), json!(11));
    assert_eq!(
        world
            .scalar("select kind || name || amount from things where id = 't1'")
            .await
            .as_deref(),
        Some("greenUno11")
    );
}

const PLAIN: &str = "version: 1
entity: things
table: public.things
key: id
scope: { org: \"{{ vars.org }}\" }
notion: { title: Things }
properties:
  Name: { type: title, column: name }
  Amount: { type: number, column: amount }
";
