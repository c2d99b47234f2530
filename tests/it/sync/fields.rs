//! The field table: what becomes of one value when one side changed, the other, both, or neither may.

use serde_json::{Value as Json, json};

use super::world::{World, plain, select, text, writes};
use super::{BOTH, GROUPS_MAPPING, THINGS, THINGS_MAPPING};

async fn set_up() -> World {
    let world = World::with(THINGS, BOTH).await;
    world.ok(&["setup"]);
    world
}

async fn with_policy(policy: &str) -> World {
    let mapping = THINGS_MAPPING.replace("key: id\n", &format!("key: id\nconflict: {policy}\n"));
    let world = World::with(THINGS, &[("things", &mapping), ("groups", GROUPS_MAPPING)]).await;
    world.ok(&["setup"]);
    world
}

async fn both_edit(world: &World) -> uuid::Uuid {
    let page = world.page("Things", "t1");
    world.edit(page, "Note", text("from Notion"));
    world
        .sql("update things set note = 'from Postgres' where id = 't1'")
        .await;
    page
}

async fn note(world: &World) -> Option<String> {
    world.scalar("select note from things where id = 't1'").await
}

#[tokio::test]
async fn every_page_shows_the_row_and_the_engines_own_properties() {
    let world = set_up().await;
    let page = world.page("Things", "t1");
    let shown = |property: &str| world.text(page, property);
    assert_eq!(shown("Name"), "One");
    assert_eq!(shown("Kind"), "red");
    assert_eq!(shown("Amount"), "1");
    assert_eq!(world.value(page, "Done"), json!(true));
    assert_eq!(shown("Note"), "a note");
    assert_eq!(shown("Email"), "one@cal.example");
    assert!(
        shown("Created").starts_with("2024-01-20T09:00:00"),
        "{}",
        shown("Created")
    );
    assert_eq!(shown("postgres_id"), "t1");
    assert_eq!(shown("sync_status"), "synced");
    assert!(shown("last_synced").starts_with("20"));
    assert_eq!(world.text(world.page("Things", "t2"), "Name"), "Two 🚀");
    assert_eq!(world.pages("Things").len(), 3, "rows out of scope have no page");
    let related = world.value(page, "Group");
    assert_eq!(plain(&related), world.page("Groups", "g1").to_string());
    let parent = world.value(world.page("Groups", "g2"), "Parent");
    assert_eq!(plain(&parent), world.page("Groups", "g1").to_string());
}

#[tokio::test]
async fn null_and_empty_and_false_stay_what_they_are() {
    let world = set_up().await;
    let before = world.rows("things").await;
    for _ in 0..3 {
        world.ok(&["sync"]);
    }
    assert_eq!(world.rows("things").await, before);
    world
        .sql("update things set note = '' where id = 't2'; update things set note = null where id = 't3'")
        .await;
    let before = world.rows("things").await;
    let (_, exchanges) = world.watched(&["sync"]);
    assert_eq!(writes(&exchanges).len(), 0, "nothing of it can be seen in Notion");
    assert_eq!(world.rows("things").await, before);
    // An edit of another field leaves them alone too.
    world.edit(world.page("Things", "t3"), "Amount", json!({ "number": 5 }));
    world.ok(&["sync"]);
    assert_eq!(
        world
            .scalar("select (note is null and done is null and amount = 5)::text from things where id = 't3'")
            .await
            .as_deref(),
        Some("true")
    );
}

#[tokio::test]
async fn a_page_cleared_by_a_person_clears_the_column() {
    let world = set_up().await;
    let page = world.page("Things", "t1");
    world.edit(page, "Note", json!({ "rich_text": [] }));
    world.edit(page, "Kind", json!({ "select": null }));
    world.edit(page, "Group", json!({ "relation": [] }));
    world.edit(page, "Done", json!({ "checkbox": false }));
    world.ok(&["sync"]);
    assert_eq!(
        world.scalar("select concat_ws('|', coalesce(note, 'NULL'), coalesce(kind, 'NULL'), coalesce(group_id, 'NULL'), done::text) from things where id = 't1'").await.as_deref(),
        Some("NULL|NULL|NULL|false")
    );
}

#[tokio::test]
async fn text_times_and_json_come_through_syncs_byte_for_byte() {
    let world = set_up().await;
    let untouched = "select string_agg(concat(created_at, meta::text), ';' order by id) from things";
    let before = world.scalar(untouched).await;
    world.edit(world.page("Things", "t1"), "Note", text("x"));
    world.edit(world.page("Things", "t2"), "Amount", json!({ "number": 22 }));
    world.ok(&["sync"]);
    world.ok(&["sync", "--full"]);
    assert_eq!(world.scalar(untouched).await, before);
}

#[tokio::test]
async fn a_one_way_property_is_put_back_and_the_edit_is_kept() {
    let world = set_up().await;
    let page = world.page("Things", "t1");
    let before = world.rows("things").await;
    world.edit(page, "Created", json!({ "date": { "start": "1999-01-01" } }));
    world.ok(&["sync"]);
    assert!(world.text(page, "Created").starts_with("2024-01-20T09:00:00"));
    assert_eq!(world.rows("things").await, before);
    assert_eq!(
        world
            .scalar("select count(*)::text from frames_sync.audit where act = 'rejected'")
            .await
            .as_deref(),
        Some("1")
    );
    let (_, exchanges) = world.watched(&["sync"]);
    assert_eq!(writes(&exchanges).len(), 0);
}

#[tokio::test]
async fn the_same_edit_on_both_sides_is_no_conflict() {
    let world = set_up().await;
    world.edit(world.page("Things", "t1"), "Note", text("same"));
    world.sql("update things set note = 'same' where id = 't1'").await;
    let (report, exchanges) = world.watched(&["sync"]);
    assert_eq!(writes(&exchanges).len(), 0);
    assert_eq!(
        report.total("conflicts_opened") + report.total("conflicts_resolved"),
        0
    );
}

#[tokio::test]
async fn postgres_wins_pushes_and_keeps_the_loser() {
    let world = with_policy("postgres_wins").await;
    let page = both_edit(&world).await;
    let report = world.ok(&["sync"]);
    assert_eq!(report.entity("things")["conflicts_resolved"], 1);
    assert_eq!(world.text(page, "Note"), "from Postgres");
    assert_eq!(note(&world).await.as_deref(), Some("from Postgres"));
    assert_kept(&world, "from Notion").await;
}

#[tokio::test]
async fn notion_wins_pulls_and_keeps_the_loser() {
    let world = with_policy("notion_wins").await;
    let page = both_edit(&world).await;
    let report = world.ok(&["sync"]);
    assert_eq!(report.entity("things")["conflicts_resolved"], 1);
    assert_eq!(world.text(page, "Note"), "from Notion");
    assert_eq!(note(&world).await.as_deref(), Some("from Notion"));
    assert_kept(&world, "from Postgres").await;
}

#[tokio::test]
async fn last_write_wins_settles_both_sides_and_keeps_the_loser() {
    let world = with_policy("last_write_wins").await;
    let page = both_edit(&world).await;
    let report = world.ok(&["sync"]);
    assert_eq!(report.entity("things")["conflicts_resolved"], 1);
    let winner = note(&world).await.expect("a note");
    assert_eq!(world.text(page, "Note"), winner);
    let loser = if winner == "from Notion" {
        "from Postgres"
    } else {
        "from Notion"
    };
    assert_kept(&world, loser).await;
    let evidence = world
        .scalar("select body->>'evidence' from frames_sync.conflict")
        .await;
    assert!(
        evidence.is_some_and(|evidence| evidence.contains("certainty")),
        "how sure it was"
    );
}

/// The loser's value is in the audit log and with its conflict.
async fn assert_kept(world: &World, loser: &str) {
    for table in ["audit", "conflict"] {
        let rows = world.rows(&format!("frames_sync.{table}")).await;
        assert!(rows.iter().any(|row| row.contains(loser)), "{table}: {rows:#?}");
    }
}

#[tokio::test]
async fn manual_writes_neither_side_until_they_agree() {
    let world = with_policy("manual").await;
    let page = both_edit(&world).await;
    world.sql("update things set amount = 50 where id = 't1'").await;
    let report = world.run(&["sync"]);
    assert_eq!(report.code, 1);
    assert_eq!(report.entity("things")["conflicts_opened"], 1);
    assert_eq!(world.text(page, "Note"), "from Notion");
    assert_eq!(note(&world).await.as_deref(), Some("from Postgres"));
    assert_eq!(world.text(page, "sync_status"), "conflict");
    assert_eq!(world.text(page, "Amount"), "50", "the other fields flow");
    // It is not opened again, and nothing is written about it again.
    let (report, exchanges) = world.watched(&["sync"]);
    assert_eq!(report.total("conflicts_opened"), 0);
    assert_eq!(writes(&exchanges).len(), 0);
    world.edit(page, "Note", text("from Postgres"));
    let report = world.ok(&["sync"]);
    assert_eq!(report.entity("things")["conflicts_resolved"], 1);
    assert_eq!(world.text(page, "sync_status"), "synced");
}

#[tokio::test]
async fn an_unknown_option_is_an_error_of_its_field_alone() {
    let world = set_up().await;
    world
        .sql("update things set kind = 'purple', amount = 6 where id = 't1'")
        .await;
    let page = world.page("Things", "t1");
    let report = world.run(&["sync"]);
    assert_eq!(report.code, 1);
    assert_eq!(report.codes("things"), ["unknown_option"]);
    assert_eq!(report.entity("things")["errors"][0]["property"], "Kind");
    assert_eq!(report.entity("things")["errors"][0]["key"], "t1");
    assert_eq!(world.text(page, "Kind"), "red");
    assert_eq!(world.text(page, "Amount"), "6");
    assert_eq!(world.text(page, "sync_status"), "error");
    // It stays listed, without a write.
    world.simulator.clear_exchanges();
    let report = world.run(&["sync"]);
    assert_eq!(
        (report.code, report.codes("things")),
        (1, vec!["unknown_option".to_owned()])
    );
    assert_eq!(writes(&world.simulator.exchanges()).len(), 0);
    world
        .sql("update things set kind = 'green' where id = 't1'")
        .await;
    world.ok(&["sync"]);
    assert_eq!(world.text(page, "Kind"), "green");
    assert_eq!(world.text(page, "sync_status"), "synced");
}

#[tokio::test]
async fn an_option_may_be_created_where_the_mapping_says_so() {
    let mapping = THINGS_MAPPING.replace(
        "options: [red, green, blue] }",
        "options: [red, green, blue], on_unknown_option: create }",
    );
    let world = World::with(THINGS, &[("things", &mapping), ("groups", GROUPS_MAPPING)]).await;
    world.ok(&["setup"]);
    world
        .sql("update things set kind = 'purple' where id = 't1'")
        .await;
    world.ok(&["sync"]);
    assert_eq!(world.text(world.page("Things", "t1"), "Kind"), "purple");
}

#[tokio::test]
async fn a_violated_constraint_is_shown_with_its_code_and_never_its_detail() {
    let world = set_up().await;
    let page = world.page("Things", "t2");
    world.edit(page, "Email", json!({ "email": "secret@tex.example" }));
    world.edit(page, "Note", text("this one is fine"));
    let report = world.run(&["sync"]);
    assert_eq!(report.code, 1, "{:#}", report.json);
    assert_eq!(report.codes("things"), ["constraint_violation"]);
    let message = report.entity("things")["errors"][0]["message"]
        .as_str()
        .expect("a message");
    assert!(
        message.contains("23505") && message.contains("things_email_key"),
        "{message}"
    );
    let said = format!("{:#}{}", report.json, report.stderr);
    assert!(
        !said.contains("secret@tex.example") && !said.contains("already exists"),
        "{said}"
    );
    assert_eq!(world.text(page, "sync_status"), "error");
    assert_eq!(
        world.text(page, "Email"),
        "secret@tex.example",
        "the page keeps what was typed"
    );
    assert_eq!(
        world
            .scalar("select concat(email, note) from things where id = 't2'")
            .await
            .as_deref(),
        Some("this one is fine")
    );
    world.edit(page, "Email", json!({ "email": "two@cal.example" }));
    world.ok(&["sync"]);
    assert_eq!(world.text(page, "sync_status"), "synced");
    assert_eq!(
        world
            .scalar("select email from things where id = 't2'")
            .await
            .as_deref(),
        Some("two@cal.example")
    );
}

#[tokio::test]
async fn long_text_and_emoji_go_there_and_back() {
    let world = set_up().await;
    let long: String = "0123456789 🚀é".chars().cycle().take(5000).collect();
    world
        .sql(&format!("update things set note = '{long}' where id = 't1'"))
        .await;
    world.ok(&["sync"]);
    let page = world.page("Things", "t1");
    assert_eq!(world.text(page, "Note"), long);
    let (_, exchanges) = world.watched(&["sync"]);
    assert_eq!(writes(&exchanges).len(), 0);
    let other: String = "ß🎓 abc\n".chars().cycle().take(3000).collect();
    let pieces: Vec<Json> = other
        .chars()
        .collect::<Vec<_>>()
        .chunks(1000)
        .map(|piece| json!({ "text": { "content": piece.iter().collect::<String>() } }))
        .collect();
    world.edit(page, "Note", json!({ "rich_text": pieces }));
    world.ok(&["sync"]);
    assert_eq!(note(&world).await, Some(other));
}

#[tokio::test]
async fn a_trigger_that_rewrites_is_pushed_back_once() {
    let world = set_up().await;
    world
        .sql(
            "create function up() returns trigger language plpgsql as $$ begin new.note = upper(new.note); return new; end $$;
             create trigger up before update on things for each row execute function up();",
        )
        .await;
    let page = world.page("Things", "t1");
    world.edit(page, "Note", text("loud"));
    world.ok(&["sync"]);
    world.ok(&["sync"]);
    assert_eq!(note(&world).await.as_deref(), Some("LOUD"));
    assert_eq!(world.text(page, "Note"), "LOUD");
    let (_, exchanges) = world.watched(&["sync"]);
    assert_eq!(writes(&exchanges).len(), 0);
}

#[tokio::test]
async fn relations_follow_both_ways_and_never_out_of_the_profile() {
    let world = set_up().await;
    let page = world.page("Things", "t1");
    let second = world.page("Groups", "g2");
    world.edit(page, "Group", json!({ "relation": [{ "id": second }] }));
    world.ok(&["sync"]);
    assert_eq!(
        world
            .scalar("select group_id from things where id = 't1'")
            .await
            .as_deref(),
        Some("g2")
    );
    world
        .sql("update things set group_id = 'g1' where id = 't1'")
        .await;
    world.ok(&["sync"]);
    assert_eq!(
        plain(&world.value(page, "Group")),
        world.page("Groups", "g1").to_string()
    );
    world
        .sql("update things set group_id = 'x1', amount = 44 where id = 't1'")
        .await;
    let report = world.ok(&["sync"]);
    assert_eq!(report.codes("things"), [""; 0]);
    assert_eq!(world.text(page, "Amount"), "44");
    assert_eq!(world.text(page, "sync_status"), "synced");
    assert_eq!(
        world
            .scalar("select group_id from things where id = 't1'")
            .await
            .as_deref(),
        Some("x1"),
        "a target that may not be shown is not lost either"
    );
    let (_, exchanges) = world.watched(&["sync"]);
    assert_eq!(writes(&exchanges).len(), 0);
}

#[tokio::test]
async fn a_cycle_of_references_is_set_in_a_second_phase() {
    let world = World::with(THINGS, BOTH).await;
    world
        .sql("update groups set parent_id = 'g2' where id = 'g1'")
        .await;
    world.ok(&["setup"]);
    let (one, two) = (world.page("Groups", "g1"), world.page("Groups", "g2"));
    assert_eq!(plain(&world.value(one, "Parent")), two.to_string());
    assert_eq!(plain(&world.value(two, "Parent")), one.to_string());
    assert_eq!(world.text(one, "sync_status"), "synced");
    assert_eq!(world.text(two, "sync_status"), "synced");
    let (_, exchanges) = world.watched(&["sync"]);
    assert_eq!(writes(&exchanges).len(), 0);
}

#[tokio::test]
async fn a_list_of_more_references_than_a_page_answers_goes_there_and_back() {
    let mapping = "version: 1
entity: sets
table: public.sets
key: id
notion: { title: Sets }
properties:
  Name: { type: title, column: name }
  Members: { type: relation, column: members, target: items }
";
    let items = "version: 1
entity: items
table: public.items
key: id
notion: { title: Items }
properties:
  Name: { type: title, column: name }
";
    let world = World::with(
        "create table items (id text primary key, name text not null);
         create table sets (id text primary key, name text not null, members text[]);
         insert into items select 'i' || n, 'Item ' || n from generate_series(1, 40) n;
         insert into sets select 's', 'All', array_agg(id order by id) from items;",
        &[("sets", mapping), ("items", items)],
    )
    .await;
    world.ok(&["setup"]);
    world.ok(&["sync"]);
    let page = world.page("Sets", "s");
    let before = world.rows("sets").await;
    let (_, exchanges) = world.watched(&["sync", "--full"]);
    assert_eq!(writes(&exchanges).len(), 0);
    assert_eq!(world.rows("sets").await, before);
    world.edit(
        page,
        "Name",
        json!({ "title": [{ "text": { "content": "Every one" } }] }),
    );
    world.ok(&["sync"]);
    assert_eq!(
        world
            .scalar("select name || cardinality(members) from sets")
            .await
            .as_deref(),
        Some("Every one40")
    );
    let kept: Vec<Json> = world
        .pages("Items")
        .into_iter()
        .take(30)
        .map(|id| json!({ "id": id }))
        .collect();
    world.edit(page, "Members", json!({ "relation": kept }));
    world.ok(&["sync"]);
    assert_eq!(
        world
            .scalar("select cardinality(members)::text from sets")
            .await
            .as_deref(),
        Some("30")
    );
}

#[tokio::test]
async fn formatting_in_notion_is_no_edit_of_the_text() {
    let world = set_up().await;
    let page = world.page("Things", "t1");
    let before = world.rows("things").await;
    world.edit(
        page,
        "Note",
        json!({ "rich_text": [{ "text": { "content": "a " }, "annotations": { "bold": true } }, { "text": { "content": "note" } }] }),
    );
    let (_, exchanges) = world.watched(&["sync"]);
    assert_eq!(writes(&exchanges).len(), 0);
    assert_eq!(world.rows("things").await, before);
}

#[tokio::test]
async fn an_option_chosen_in_notion_that_the_column_refuses_is_an_error() {
    let world = World::with(
        "create table things (id text primary key, name text not null, org text,
           kind text check (kind in ('red', 'green')));
         insert into things values ('t1', 'One', 'cal', 'red');",
        &[(
            "things",
            "version: 1
entity: things
table: public.things
key: id
scope: { org: \"{{ vars.org }}\" }
notion: { title: Things }
properties:
  Name: { type: title, column: name }
  Kind: { type: select, column: kind, options: [red, green] }
",
        )],
    )
    .await;
    world.ok(&["setup"]);
    let page = world.page("Things", "t1");
    world.edit(page, "Kind", select("pink"));
    let report = world.run(&["sync"]);
    assert_eq!(report.code, 1, "{:#}", report.json);
    assert_eq!(report.entity("things")["errors"][0]["property"], "Kind");
    assert_eq!(world.text(page, "Kind"), "pink");
    assert_eq!(world.text(page, "sync_status"), "error");
    assert_eq!(
        world.scalar("select kind from things").await.as_deref(),
        Some("red")
    );
}

#[tokio::test]
async fn a_person_settles_a_conflict_by_choosing_a_side() {
    for (take, winner) in [("postgres", "from Postgres"), ("notion", "from Notion")] {
        let world = with_policy("manual").await;
        let page = both_edit(&world).await;
        world.run(&["sync"]);
        let listed = world.ok(&["conflicts", "list"]).json;
        let conflict = &listed["conflicts"][0];
        assert_eq!(conflict["property"], "Note");
        assert_eq!(conflict["postgres"], "from Postgres");
        assert_eq!(conflict["notion"], "from Notion");
        let id = conflict["id"].as_str().expect("an id");
        assert_eq!(world.ok(&["status"]).json["entities"][1]["conflicts"], 1);
        assert_eq!(
            world.ok(&["conflicts", "show", id]).json["conflicts"][0]["status"],
            "open"
        );
        let chosen = world.ok(&["conflicts", "resolve", id, "--take", take]).json;
        assert_eq!(chosen["conflicts"][0]["status"], "chosen");
        let report = world.ok(&["sync"]);
        assert_eq!(report.entity("things")["conflicts_resolved"], 1);
        assert_eq!(world.text(page, "Note"), winner);
        assert_eq!(note(&world).await.as_deref(), Some(winner));
        assert_eq!(world.text(page, "sync_status"), "synced");
        assert_eq!(world.ok(&["conflicts", "list"]).json["conflicts"], json!([]));
        let again = world.project.run(&["conflicts", "resolve", id, "--take", take]);
        assert_eq!(again.code, Some(1));
    }
}

#[tokio::test]
async fn a_relation_typed_over_one_that_leads_out_of_the_profile_waits_for_a_person() {
    for take in ["notion", "postgres"] {
        let world = with_policy("postgres_wins").await;
        let page = world.page("Things", "t1");
        world
            .sql("update things set group_id = 'x1' where id = 't1'")
            .await;
        world.ok(&["sync"]);
        let second = world.page("Groups", "g2");
        world.edit(page, "Group", json!({ "relation": [{ "id": second }] }));
        let report = world.run(&["sync"]);
        assert_eq!(report.total("conflicts_opened"), 1, "{:#}", report.json);
        let group = "select group_id from things where id = 't1'";
        assert_eq!(world.scalar(group).await.as_deref(), Some("x1"));
        assert_eq!(plain(&world.value(page, "Group")), second.to_string());
        let (report, exchanges) = world.watched(&["sync"]);
        assert_eq!(
            (report.total("conflicts_opened"), writes(&exchanges).len()),
            (0, 0)
        );
        let listed = world.ok(&["conflicts", "list"]).json;
        assert_eq!(listed["conflicts"][0]["property"], "Group", "{listed:#}");
        let id = listed["conflicts"][0]["id"].as_str().expect("an id");
        world.ok(&["conflicts", "resolve", id, "--take", take]);
        world.ok(&["sync"]);
        let expected = if take == "notion" { "g2" } else { "x1" };
        assert_eq!(world.scalar(group).await.as_deref(), Some(expected));
        assert_eq!(world.ok(&["conflicts", "list"]).json["conflicts"], json!([]));
        let sent = world.simulator.exchanges();
        assert!(sent.iter().all(|exchange| !exchange.request_body.contains("x1")));
        let (_, exchanges) = world.watched(&["sync"]);
        assert_eq!(writes(&exchanges).len(), 0);
    }
}

/// Both sides edit a note, with the trigger's time that many minutes from now; the evidence that it was settled with.
async fn settled_by_trigger_time(minutes: i64) -> (World, uuid::Uuid, Json) {
    let mapping = THINGS_MAPPING.replace(
        "key: id\n",
        "key: id\ncapture: triggers\nconflict: last_write_wins\n",
    );
    let world = World::with(THINGS, &[("things", &mapping), ("groups", GROUPS_MAPPING)]).await;
    if minutes == 0 {
        // Every edit in Notion is ten minutes old.
        world
            .simulator
            .set_clock(frames_sync::simulator::Clock::Machine { offset: -600_000 });
    }
    world.ok(&["setup"]);
    world.ok(&["sync"]);
    world.let_pass(1).await;
    let page = both_edit(&world).await;
    world
        .simulator
        .set_clock(frames_sync::simulator::Clock::Machine { offset: 0 });
    // That Notion's clock was put on is not to be noticed: then no order would be certain.
    world
        .sql("delete from frames_sync.pin where name = 'clocks'")
        .await;
    world
        .sql(&format!(
            "update frames_sync.change_log set at = at + {minutes} * interval '1 minute'"
        ))
        .await;
    let report = world.ok(&["sync"]);
    assert_eq!(report.total("conflicts_resolved"), 1, "{:#}", report.json);
    let evidence = world
        .scalar("select body->>'evidence' from frames_sync.conflict")
        .await
        .expect("the evidence");
    (world, page, serde_json::from_str(&evidence).expect("JSON"))
}

#[tokio::test]
async fn the_triggers_time_says_that_the_row_was_written_earlier_or_later() {
    let (world, page, evidence) = settled_by_trigger_time(-10).await;
    assert_eq!(evidence["certainty"], "probable", "{evidence:#}");
    assert!(!evidence["changed"]["postgres"]["estimate"].is_null());
    assert_eq!(note(&world).await.as_deref(), Some("from Notion"));
    assert_eq!(world.text(page, "Note"), "from Notion");

    let (world, page, evidence) = settled_by_trigger_time(0).await;
    assert_eq!(evidence["certainty"], "proven", "{evidence:#}");
    let row = &evidence["changed"]["postgres"];
    assert_eq!(row["after"], row["estimate"], "the statement's own time");
    assert_eq!(note(&world).await.as_deref(), Some("from Postgres"));
    assert_eq!(world.text(page, "Note"), "from Postgres");
}

#[tokio::test]
async fn a_run_narrowed_to_one_entity_knows_where_relations_lead() {
    let world = set_up().await;
    let page = world.page("Things", "t1");
    let group = |key: &str| world.page("Groups", key).to_string();
    world
        .sql("update things set group_id = 'g2' where id = 't1'")
        .await;
    let plan = world.ok(&["plan", "--entity", "things"]).json;
    assert_eq!(
        plan["operations"][0]["fields"][0]["property"], "Group",
        "{plan:#}"
    );
    world.ok(&["sync", "--entity", "things"]);
    assert_eq!(plain(&world.value(page, "Group")), group("g2"));
    let back = json!({ "relation": [{ "id": group("g1") }] });
    world.edit(page, "Group", back);
    world.ok(&["sync", "--entity", "things", "--key", "t1"]);
    assert_eq!(
        world
            .scalar("select group_id from things where id = 't1'")
            .await
            .as_deref(),
        Some("g1")
    );
}
