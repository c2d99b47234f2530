//! The existence table: rows and pages that come, go, leave and return.

use serde_json::json;

use super::world::{World, is_write, text, title, writes};
use super::{BOTH, GROUPS_MAPPING, THINGS, THINGS_MAPPING};

async fn set_up() -> World {
    let world = World::with(THINGS, BOTH).await;
    world.ok(&["setup"]);
    world
}

async fn with(line: &str) -> World {
    let mapping = THINGS_MAPPING.replace("key: id\n", &format!("key: id\n{line}\n"));
    let world = World::with(THINGS, &[("things", &mapping), ("groups", GROUPS_MAPPING)]).await;
    world.ok(&["setup"]);
    world
}

async fn names(world: &World) -> String {
    world
        .scalar("select string_agg(id || ':' || name, ',' order by id) from things where org = 'cal'")
        .await
        .unwrap_or_default()
}

#[tokio::test]
async fn a_new_row_gets_a_page_and_a_deleted_row_loses_it() {
    let world = set_up().await;
    world
        .sql("insert into things (id, name, org) values ('t4', 'Four', 'cal')")
        .await;
    let report = world.ok(&["sync"]);
    assert_eq!(report.entity("things")["pages_created"], 1);
    let page = world.page("Things", "t4");
    assert_eq!(world.text(page, "Name"), "Four");
    world.sql("delete from things where id = 't4'").await;
    let report = world.ok(&["sync"]);
    assert_eq!(report.entity("things")["pages_trashed"], 1);
    assert_eq!(world.trashed("Things"), [page]);
    let (report, exchanges) = world.watched(&["sync"]);
    assert_eq!(writes(&exchanges).len(), 0);
    assert_eq!(report.entity("things")["linked"], 3);
    // The key comes back: its page does too, with what the row holds now.
    world
        .sql("insert into things (id, name, org) values ('t4', 'Four again', 'cal')")
        .await;
    world.ok(&["sync"]);
    assert_eq!(world.text(world.page("Things", "t4"), "Name"), "Four again");
    assert_eq!(world.pages("Things").len(), 4);
}

#[tokio::test]
async fn a_deleted_row_may_be_marked_or_ignored() {
    let world = with("on_row_delete: mark").await;
    world.sql("delete from things where id = 't3'").await;
    world.run(&["sync"]);
    assert_eq!(world.text(world.page("Things", "t3"), "sync_status"), "held");
    let (_, exchanges) = world.watched(&["sync"]);
    assert_eq!(writes(&exchanges).len(), 0);
    let world = with("on_row_delete: ignore").await;
    world.sql("delete from things where id = 't3'").await;
    let (_, exchanges) = world.watched(&["sync"]);
    assert_eq!(writes(&exchanges).len(), 0);
    assert_eq!(world.pages("Things").len(), 3);
}

#[tokio::test]
async fn a_row_deleted_under_an_edit_keeps_its_page_for_a_person() {
    let world = set_up().await;
    let page = world.page("Things", "t3");
    world.edit(page, "Note", text("precious"));
    world.sql("delete from things where id = 't3'").await;
    let report = world.run(&["sync"]);
    assert_eq!(report.code, 1);
    assert_eq!(report.entity("things")["conflicts_opened"], 1);
    assert_eq!(world.text(page, "sync_status"), "conflict");
    assert_eq!(world.text(page, "Note"), "precious");
    let (report, exchanges) = world.watched(&["sync"]);
    assert_eq!(
        (report.total("conflicts_opened"), writes(&exchanges).len()),
        (0, 0)
    );
}

#[tokio::test]
async fn a_trashed_page_holds_the_record_and_the_row_stays() {
    let world = set_up().await;
    let page = world.page("Things", "t2");
    let before = world.rows("things").await;
    world.simulator.workspace(|workspace| workspace.trash(page));
    world.ok(&["sync"]);
    let (_, exchanges) = world.watched(&["sync"]);
    assert_eq!(exchanges.iter().filter(|exchange| is_write(exchange)).count(), 0);
    assert_eq!(world.rows("things").await, before);
    assert_eq!(world.pages("Things").len(), 2, "and no new page is made");
    // Later edits of the row do not revive it; a person who restores it does.
    world.sql("update things set amount = 23 where id = 't2'").await;
    let (_, exchanges) = world.watched(&["sync"]);
    assert_eq!(writes(&exchanges).len(), 0);
    world.simulator.workspace(|workspace| workspace.restore(page));
    world.ok(&["sync"]);
    assert_eq!(world.text(page, "Amount"), "23");
    assert_eq!(world.text(page, "sync_status"), "synced");
}

#[tokio::test]
async fn a_trashed_page_may_be_restored_or_take_its_row_along() {
    let world = with("on_page_trash: restore_page").await;
    let page = world.page("Things", "t2");
    world.simulator.workspace(|workspace| workspace.trash(page));
    let report = world.ok(&["sync"]);
    assert_eq!(report.entity("things")["pages_restored"], 1);
    assert_eq!(world.page("Things", "t2"), page);

    let world = with("on_page_trash: hard_delete").await;
    let page = world.page("Things", "t2");
    world.simulator.workspace(|workspace| workspace.trash(page));
    let report = world.ok(&["sync"]);
    assert_eq!(report.entity("things")["rows_deleted"], 1);
    assert_eq!(names(&world).await, "t1:One,t3:Three");
    let audit = world.rows("frames_sync.audit").await;
    assert!(
        audit
            .iter()
            .any(|row| row.contains("Two 🚀") && row.contains("deleted")),
        "the row is kept"
    );
    let (_, exchanges) = world.watched(&["sync"]);
    assert_eq!(writes(&exchanges).len(), 0);
}

#[tokio::test]
async fn an_edited_row_brings_its_trashed_page_back() {
    let world = set_up().await;
    let page = world.page("Things", "t2");
    world.simulator.workspace(|workspace| workspace.trash(page));
    world.sql("update things set amount = 24 where id = 't2'").await;
    world.ok(&["sync"]);
    assert_eq!(world.page("Things", "t2"), page);
    assert_eq!(world.text(page, "Amount"), "24");
}

#[tokio::test]
async fn a_page_made_by_a_person_becomes_a_row_where_the_mapping_says_so() {
    let world = with(
        "on_page_create: insert_row\nnew_row: { id: \"new_{{ uuid() }}\", created_at: \"{{ now() }}\" }",
    )
    .await;
    let source = world.source("Things");
    let group = world.page("Groups", "g2");
    let page = world.simulator.workspace(|workspace| {
        workspace.add_row(
            source,
            &json!({"Name": title("Made in Notion"), "Amount": {"number": 9}, "Kind": {"select": {"name": "blue"}},
                    "Group": {"relation": [{"id": group}]}}),
        )
    });
    let page = page.unwrap_or_else(|refusal| panic!("{}", refusal.message));
    let report = world.ok(&["sync"]);
    assert_eq!(report.entity("things")["rows_inserted"], 1);
    let key = world
        .scalar("select id from things where name = 'Made in Notion' and amount = 9 and kind = 'blue' and group_id = 'g2' and org = 'cal'")
        .await
        .expect("the row");
    assert!(key.starts_with("new_"));
    assert_eq!(world.text(page, "postgres_id"), key);
    assert!(world.text(page, "last_synced").starts_with("20"));
    assert_eq!(world.text(page, "sync_status"), "synced");
    let rows = world.rows("things").await;
    let (report, exchanges) = world.watched(&["sync"]);
    assert_eq!((report.total("rows_inserted"), writes(&exchanges).len()), (0, 0));
    assert_eq!(world.rows("things").await, rows);
}

#[tokio::test]
async fn a_page_made_by_a_person_is_left_alone_by_default() {
    let world = set_up().await;
    let source = world.source("Things");
    let rows = world.rows("things").await;
    let made = world
        .simulator
        .workspace(|workspace| workspace.add_row(source, &json!({"Name": title("Mine")})));
    assert!(made.is_ok());
    let (_, exchanges) = world.watched(&["sync"]);
    assert_eq!(writes(&exchanges).len(), 0);
    assert_eq!(world.rows("things").await, rows);
}

#[tokio::test]
async fn a_row_that_leaves_the_scope_loses_its_page_and_the_edit_is_kept() {
    let world = set_up().await;
    let page = world.page("Things", "t2");
    world.edit(page, "Note", text("typed for cal"));
    world.sql("update things set org = 'tex' where id = 't2'").await;
    world.ok(&["sync"]);
    assert_eq!(world.trashed("Things"), [page]);
    assert_eq!(
        world
            .scalar("select concat(org, ':', note) from things where id = 't2'")
            .await
            .as_deref(),
        Some("tex:"),
        "what was typed is not written to another tenant's row"
    );
    let audit = world.rows("frames_sync.audit").await;
    assert!(
        audit.iter().any(|row| row.contains("typed for cal")),
        "but it is kept"
    );
}

#[tokio::test]
async fn a_row_back_in_scope_gets_its_old_page() {
    let world = set_up().await;
    let page = world.page("Things", "t2");
    world.sql("update things set org = 'tex' where id = 't2'").await;
    world.ok(&["sync"]);
    assert_eq!(world.trashed("Things"), [page]);
    let (_, exchanges) = world.watched(&["sync"]);
    assert_eq!(writes(&exchanges).len(), 0);
    world
        .sql("update things set org = 'cal', amount = 77 where id = 't2'")
        .await;
    world.ok(&["sync"]);
    assert_eq!(world.page("Things", "t2"), page);
    assert_eq!(world.text(page, "Amount"), "77");
    assert!(world.trashed("Things").is_empty());
}

#[tokio::test]
async fn a_duplicated_page_is_flagged_and_never_read() {
    let world = set_up().await;
    let page = world.page("Things", "t1");
    let copy = world.simulator.workspace(|workspace| workspace.duplicate(page));
    let copy = copy.unwrap_or_else(|refusal| panic!("{}", refusal.message));
    world.edit(copy, "Note", text("typed into the copy"));
    let before = world.rows("things").await;
    let report = world.run(&["sync"]);
    assert_eq!(report.code, 1);
    assert_eq!(report.codes("things"), ["duplicate_page"]);
    assert_eq!(world.text(copy, "sync_status"), "duplicate");
    assert_eq!(world.text(page, "sync_status"), "synced");
    assert_eq!(world.rows("things").await, before);
    world.simulator.clear_exchanges();
    let report = world.run(&["sync"]);
    assert_eq!(report.codes("things"), ["duplicate_page"]);
    assert_eq!(writes(&world.simulator.exchanges()).len(), 0);
    world.simulator.workspace(|workspace| workspace.trash(copy));
    world.ok(&["sync"]);
}

#[tokio::test]
async fn an_edited_label_is_put_right_and_never_links_anew() {
    let world = set_up().await;
    let (one, two) = (world.page("Things", "t1"), world.page("Things", "t2"));
    let before = world.rows("things").await;
    world.edit(one, "postgres_id", text("t2"));
    world.edit(two, "postgres_id", text("t1"));
    world.ok(&["sync"]);
    assert_eq!(world.text(one, "postgres_id"), "t1");
    assert_eq!(world.text(two, "postgres_id"), "t2");
    world.edit(one, "postgres_id", json!({ "rich_text": [] }));
    world.ok(&["sync"]);
    assert_eq!(world.text(one, "postgres_id"), "t1");
    assert_eq!(world.rows("things").await, before);
}

#[tokio::test]
async fn a_page_that_names_a_foreign_or_unknown_key_gets_one_and_the_same_error() {
    let world = set_up().await;
    let source = world.source("Things");
    let rows = world.rows("things").await;
    for key in ["x1", "nothing-at-all"] {
        let made = world.simulator.workspace(|workspace| {
            workspace.add_row(source, &json!({"Name": title("?"), "postgres_id": text(key)}))
        });
        assert!(made.is_ok());
    }
    let report = world.run(&["sync"]);
    assert_eq!(report.codes("things"), ["unknown_id", "unknown_id"]);
    let errors = report.entity("things")["errors"].as_array().expect("a list");
    assert_eq!(errors[0]["message"], errors[1]["message"]);
    assert_eq!(world.rows("things").await, rows);
}

#[tokio::test]
async fn a_moved_page_is_let_go_and_never_replaced() {
    let world = set_up().await;
    let page = world.page("Things", "t2");
    let elsewhere = world
        .simulator
        .workspace(|workspace| workspace.add_database("Elsewhere", &json!({ "Name": { "title": {} } })));
    let elsewhere = elsewhere.unwrap_or_else(|refusal| panic!("{}", refusal.message));
    world
        .simulator
        .workspace(|workspace| workspace.move_row(page, elsewhere));
    world.run(&["sync"]);
    world.sql("update things set amount = 99 where id = 't2'").await;
    let (_, exchanges) = world.watched(&["sync"]);
    assert_eq!(writes(&exchanges).len(), 0);
    assert_eq!(world.pages("Things").len(), 2);
}

pub(super) const MANY: &str = "
create table groups (id text primary key, name text not null, org text, parent_id text references groups);
create table things (
    id text primary key, name text not null, org text, kind text, amount int check (amount >= 0), done boolean,
    note text, created_at text, meta json, group_id text references groups, email text unique
);
insert into groups values ('g1', 'First', 'cal', null);
insert into things (id, name, org, amount) select 't' || n, 'Thing ' || n, 'cal', n from generate_series(1, 40) n;
";

#[tokio::test]
async fn too_many_deletes_stop_the_mapping_before_its_first_write() {
    let world = World::with(MANY, BOTH).await;
    world.ok(&["setup"]);
    world
        .sql("delete from things where amount <= 10; update things set name = 'Renamed' where id = 't40'")
        .await;
    world.simulator.clear_exchanges();
    let report = world.run(&["sync"]);
    assert_eq!(report.code, 1, "{:#}", report.json);
    assert_eq!(report.json["outcome"], "refused");
    let refusal = &report.entity("things")["refusals"][0];
    assert_eq!(refusal["code"], "delete_cap");
    assert!(refusal["approve"].as_str().is_some_and(|hash| !hash.is_empty()));
    assert_eq!(writes(&world.simulator.exchanges()).len(), 0);
    assert_eq!(world.pages("Things").len(), 40);
    // The same again, until somebody decides; then once.
    let hash = refusal["approve"].as_str().expect("a hash").to_owned();
    let again = world.run(&["sync"]);
    assert_eq!(again.entity("things")["refusals"][0]["approve"], hash);
    world.ok(&["approve", &hash]);
    let report = world.ok(&["sync"]);
    assert_eq!(report.entity("things")["pages_trashed"], 10);
    assert_eq!(world.pages("Things").len(), 30);
    world.sql("delete from things where amount <= 20").await;
    assert_eq!(world.run(&["sync"]).code, 1);
}

#[tokio::test]
async fn an_empty_side_stops_the_mapping() {
    let world = set_up().await;
    world.sql("delete from things").await;
    let report = world.run(&["sync"]);
    assert_eq!(report.code, 1);
    let codes: Vec<&str> = report.entity("things")["refusals"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|refusal| refusal["code"].as_str())
        .collect();
    assert!(codes.contains(&"empty_side"), "{codes:?}");
    assert_eq!(world.pages("Things").len(), 3);

    let world = set_up().await;
    let rows = world.rows("things").await;
    for page in world.pages("Things") {
        world.simulator.workspace(|workspace| workspace.trash(page));
    }
    let report = world.run(&["sync", "--full"]);
    assert_eq!(report.code, 1, "{:#}", report.json);
    assert_eq!(world.rows("things").await, rows);
}

#[tokio::test]
async fn a_change_of_most_rows_stops_the_mapping() {
    let world = World::with(MANY, BOTH).await;
    world.ok(&["setup"]);
    world.sql("update things set name = 'All the same'").await;
    world.simulator.clear_exchanges();
    let report = world.run(&["sync"]);
    assert_eq!(report.code, 1);
    assert_eq!(report.entity("things")["refusals"][0]["code"], "mass_change");
    assert_eq!(writes(&world.simulator.exchanges()).len(), 0);
}

#[tokio::test]
async fn a_property_left_empty_on_a_new_page_takes_the_columns_default() {
    let world = World::with(
        "create table things (
             id text primary key default 'id_' || md5(random()::text), name text not null, org text,
             kind text not null default 'red', amount int not null default 7
         );
         insert into things values ('t1', 'One', 'cal', 'blue', 1);",
        &[(
            "things",
            "version: 1
entity: things
table: public.things
key: id
scope: { org: \"{{ vars.org }}\" }
on_page_create: insert_row
notion: { title: Things }
properties:
  Name: { type: title, column: name }
  Kind: { type: select, column: kind, options: [red, blue] }
  Amount: { type: number, column: amount }
",
        )],
    )
    .await;
    world.ok(&["setup"]);
    let source = world.source("Things");
    let page = world
        .simulator
        .workspace(|workspace| workspace.add_row(source, &json!({ "Name": title("Bare") })))
        .unwrap_or_else(|refusal| panic!("{}", refusal.message));
    let report = world.ok(&["sync"]);
    assert_eq!(report.total("rows_inserted"), 1, "{:#}", report.json);
    assert_eq!(
        world
            .scalar("select concat(kind, ':', amount, ':', org) from things where name = 'Bare'")
            .await
            .as_deref(),
        Some("red:7:cal")
    );
    assert_eq!(world.text(page, "Kind"), "red", "and the page shows it");
    assert_eq!(world.text(page, "Amount"), "7");
    let (_, exchanges) = world.watched(&["sync"]);
    assert_eq!(writes(&exchanges).len(), 0);
}
