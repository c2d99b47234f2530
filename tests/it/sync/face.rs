//! The public face as a stranger holds it: keys to the letter, one JSON object whatever happens, every request counted,
//! what Notion computes, and what is refused before anything is made.

use frames_sync::simulator::{Effect, Fault, Trigger};
use serde_json::{Value as Json, json};

use super::world::{World, count, writes};
use super::{BOTH, THINGS};

const KEYED: &str = "
create table words (id text primary key, name text);
insert into words values ('a,b', 'comma'), ('q\\', 'backslash'), ('c/d', 'slash');
create table numbers (id int primary key, name text);
insert into numbers values (1, 'one'), (2, 'two');
create table pairs (a int, b text, name text, primary key (a, b));
insert into pairs values (1, 'x,y', 'pair');
";

const WORDS: &str = "version: 1
entity: words
table: words
key: id
notion: { title: Words }
properties:
  Name: { type: title, column: name }
";

async fn keyed() -> World {
    let of = |entity: &str, key: &str| {
        WORDS
            .replace("words", entity)
            .replace("Words", entity)
            .replace("key: id", &format!("key: {key}"))
    };
    let (numbers, pairs) = (of("numbers", "id"), of("pairs", "[a, b]"));
    let mappings = [
        ("words", WORDS),
        ("numbers", numbers.as_str()),
        ("pairs", pairs.as_str()),
    ];
    let world = World::with(KEYED, &mappings).await;
    world.ok(&["setup"]);
    world
}

#[tokio::test]
async fn a_key_of_one_column_is_taken_to_the_letter() {
    let world = keyed().await;
    for key in ["a,b", "q\\", "c/d"] {
        let explained = world.ok(&["explain", "words", key]);
        assert_eq!(explained.json["key"], key);
        let history = world.ok(&["history", "--key", key]);
        assert_eq!(history.json["entries"].as_array().map(Vec::len), Some(1), "{key}");
    }
    assert_eq!(world.ok(&["explain", "pairs", "1,x\\,y"]).json["key"], "1,x\\,y");
    world.sql("update words set name = name || '!'").await;
    // Without `--entity` the text is tried as a key of each; `a,b` is none of the numbers and none of the pairs.
    let (report, exchanges) = world.watched(&["sync", "--key", "a,b"]);
    assert_eq!(
        (report.total("pages_updated"), writes(&exchanges).len()),
        (1, 1),
        "{:#}",
        report.json
    );
}

#[tokio::test]
async fn a_key_or_a_property_that_nothing_can_have_is_an_error_of_usage() {
    let world = keyed().await;
    let refused = world.run(&["sync", "--entity", "pairs", "--key", "1"]);
    assert_eq!(refused.code, 2, "{:#}", refused.json);
    assert_eq!(world.run(&["explain", "pairs", "1"]).code, 2);
    assert_eq!(world.run(&["sync", "--property", "Nope"]).code, 2);
    let absent = world.run(&["explain", "numbers", "abc"]);
    assert_eq!(
        (absent.code, absent.json["failure"]["code"].clone()),
        (1, json!("not_found"))
    );
    world.ok(&["sync", "--entity", "numbers", "--key", "abc"]);
}

#[tokio::test]
async fn a_command_that_fails_prints_one_object_that_says_so() {
    let world = World::with(THINGS, BOTH).await;
    let fails = |arguments: &[&str], code: i32, why: &str| {
        let report = world.run(arguments);
        let got = (report.code, report.json["failure"]["code"].clone());
        assert_eq!(got, (code, json!(why)), "{arguments:?}: {:#}", report.json);
        assert_eq!(report.json["version"], 1);
        assert_eq!(report.json["command"], arguments[0]);
        report
    };
    fails(&["sync", "-p", "nope"], 2, "usage");
    fails(&["plan", "--entity", "thing"], 2, "usage");
    fails(&["status", "--bogus"], 2, "usage");
    fails(&["status"], 1, "not_set_up");
    world.ok(&["setup", "--skip-initial-sync"]);
    fails(
        &["undo", "00000000-0000-0000-0000-000000000000", "-y"],
        1,
        "not_found",
    );
    let mut nowhere = World::with(THINGS, BOTH).await;
    nowhere.project = nowhere
        .project
        .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing");
    let began = std::time::Instant::now();
    let failed = nowhere.run(&["status"]);
    assert_eq!(
        (failed.code, failed.json["outcome"].clone()),
        (3, json!("failed"))
    );
    assert!(
        began.elapsed().as_secs() < 10,
        "where nobody listens there is nothing to wait for"
    );
}

#[tokio::test]
async fn a_variable_that_is_not_set_makes_a_project_that_cannot_be_used() {
    let world = World::with(THINGS, BOTH).await;
    let path = world.project.path().join("frames-sync.yaml");
    let yaml = std::fs::read_to_string(&path).expect("a project");
    std::fs::write(&path, yaml.replace("env.NOTION_TOKEN_0", "env.NOBODY_SET_THIS")).expect("written");
    for command in ["setup", "sync", "push", "pull", "plan", "status"] {
        assert_eq!(world.run(&[command]).code, 2, "{command}");
    }
}

#[tokio::test]
async fn several_profiles_are_one_object() {
    let world = World::of(THINGS, BOTH, &[("cal", "cal"), ("tex", "tex")]).await;
    world.ok(&["setup", "-p", "cal", "--skip-initial-sync"]);
    for command in [&["plan"][..], &["status"], &["history"], &["conflicts", "list"]] {
        let report = world.ok(&[command, &["--all-profiles"]].concat());
        let names: Vec<&Json> = report.json["profiles"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|profile| &profile["profile"])
            .collect();
        assert_eq!(names, ["cal", "tex"], "{command:?}");
    }
}

#[tokio::test]
async fn profiles_under_one_page_have_databases_of_their_own() {
    let world = World::of(THINGS, BOTH, &[("cal", "cal"), ("tex", "tex")]).await;
    world.ok(&["setup", "-p", "cal"]);
    let report = world.ok(&["setup", "-p", "tex"]);
    assert_eq!(report.total("pages_created"), 2, "{:#}", report.json);
    let report = world.ok(&["sync", "--all-profiles"]);
    let profiles = report.json["profiles"].as_array().expect("a list");
    let sources: std::collections::BTreeSet<String> = profiles
        .iter()
        .flat_map(|profile| profile["entities"].as_array().expect("a list"))
        .map(|entity| entity["data_source_id"].to_string())
        .collect();
    assert_eq!(sources.len(), 4);
}

#[tokio::test]
async fn every_request_is_in_the_report() {
    let world = World::with(THINGS, BOTH).await;
    for command in ["setup", "sync", "push"] {
        let (report, exchanges) = world.watched(&[command]);
        let told = &report.json["profiles"][0]["notion"];
        assert_eq!(told["requests"], exchanges.len(), "{command}: {told:#}");
        let by_endpoint = told["by_endpoint"].as_object().expect("an object");
        let sum: u64 = by_endpoint.values().filter_map(Json::as_u64).sum();
        assert_eq!(Some(sum), told["requests"].as_u64());
    }
}

const COMPUTED: &str = "
create table sums (id int primary key, name text, n int, twice numeric, number int, made timestamptz, late boolean);
insert into sums (id, name, n) values (1, 'one', 3), (2, 'two', null);
";

const SUMS: &str = "version: 1
entity: sums
table: sums
key: id
notion: { title: Sums }
properties:
  Name: { type: title, column: name }
  N: { type: number, column: n }
  Twice: { type: formula, expression: 'prop(\"N\") * 2', column: twice, direction: to_postgres }
  Nr: { type: unique_id, column: number, direction: to_postgres }
  Made: { type: created_time, column: made, direction: to_postgres }
  Late: { type: checkbox, column: late, direction: to_postgres }
";

#[tokio::test]
async fn what_notion_computes_is_in_the_row_after_the_first_push() {
    let world = World::with(COMPUTED, &[("sums", SUMS)]).await;
    world.sql("update sums set late = true where id = 2").await;
    let (report, exchanges) = world.watched(&["setup"]);
    assert_eq!(count(&exchanges, "POST /v1/pages"), 2);
    assert_eq!(report.total("rows_updated"), 0, "set-up writes no rows");
    let report = world.ok(&["sync"]);
    assert_eq!(report.total("rows_updated"), 2, "{:#}", report.json);
    let row =
        "select concat_ws(' ', twice, number is not null, made is not null, late) from sums where id = ";
    assert_eq!(world.scalar(&format!("{row} 1")).await.as_deref(), Some("6 t t"));
    // A property that a person sets starts empty on a new page; that is no edit.
    assert!(
        world
            .scalar(&format!("{row} 2"))
            .await
            .is_some_and(|row| row.ends_with("t t t"))
    );
    let (report, exchanges) = world.watched(&["sync"]);
    assert_eq!((report.total("unchanged"), writes(&exchanges).len()), (2, 0));
}

#[tokio::test]
async fn a_mapping_that_does_not_fit_its_table_makes_nothing_in_notion() {
    let files = WORDS.replace(
        "properties:\n",
        "properties:\n  Files: { type: files, column: name }\n",
    );
    let world = World::with(KEYED, &[("words", &files)]).await;
    world.simulator.clear_exchanges();
    let refused = world.run(&["setup"]);
    assert_eq!(
        (refused.code, refused.json["outcome"].clone()),
        (1, json!("refused"))
    );
    assert_eq!(writes(&world.simulator.exchanges()).len(), 0);
}

#[tokio::test]
async fn a_conflict_of_a_create_is_sent_again() {
    let world = World::with(THINGS, BOTH).await;
    world.simulator.fault(Fault {
        when: Trigger {
            endpoint: Some("POST /v1/pages".to_owned()),
            nth: Some(2),
            ..Trigger::default()
        },
        effect: Effect::Conflict,
        times: None,
    });
    let (report, exchanges) = world.watched(&["setup"]);
    assert!(exchanges.iter().any(|exchange| exchange.status == Some(409)));
    assert_eq!(report.total("pages_created"), 5, "{:#}", report.json);
}

const STAMPED: &str = "
create table notes (id text primary key, name text, changed_on timestamptz not null default now() - interval '1 day');
insert into notes values ('a', 'first'), ('b', 'second');
";

#[tokio::test]
async fn the_column_that_capture_names_tells_who_wrote_last() {
    let mapping = WORDS
        .replace("words", "notes")
        .replace("key: id\n", "key: id\ncapture: { updated_at: changed_on }\n");
    let world = World::with(STAMPED, &[("notes", &mapping)]).await;
    world.ok(&["setup"]);
    world
        .sql("update notes set name = 'row', changed_on = now() - interval '10 minutes' where id = 'a'")
        .await;
    let page = world.page("Words", "a");
    world.edit(page, "Name", super::world::title("page"));
    world.ok(&["sync", "--full"]);
    assert_eq!(
        world
            .scalar("select name from notes where id = 'a'")
            .await
            .as_deref(),
        Some("page")
    );
    assert_eq!(world.text(page, "Name"), "page");
}

#[tokio::test]
async fn a_list_in_one_text_is_checked_part_by_part() {
    let mapping = WORDS.replace(
        "properties:\n",
        "properties:\n  Tags: { type: multi_select, column: tags, conversion: { split: \",\" }, on_unknown_option: create }\n",
    );
    let world = World::with(
        "create table words (id text primary key, name text, tags text); insert into words values ('a', 'A', 'x, y');",
        &[("words", &mapping)],
    )
    .await;
    let report = world.ok(&["validate"]);
    assert_eq!(report.json["findings"], json!([]));
}

#[tokio::test]
async fn the_applications_own_log_names_values_by_their_columns() {
    let world = World::with(
        "create table words (id text primary key, name text); insert into words values ('a', 'A');
         create table audit_logs (id serial, actor text, action text not null, entity_type text, entity_id text,
             payload_before jsonb, payload_after jsonb, meta jsonb);",
        &[("words", WORDS)],
    )
    .await;
    let path = world.project.path().join("frames-sync.yaml");
    let yaml = std::fs::read_to_string(&path).expect("a project");
    let yaml = yaml.replacen("defaults:\n", "defaults:\n  audit_table: audit_logs\n", 1);
    std::fs::write(&path, yaml).expect("written");
    world.ok(&["setup"]);
    world.edit(world.page("Words", "a"), "Name", super::world::title("B"));
    world.ok(&["sync"]);
    let last = "select concat_ws(' ', payload_before, payload_after, meta ->> 'property') from audit_logs order by id desc limit 1";
    assert_eq!(
        world.scalar(last).await.as_deref(),
        Some("{\"name\": \"A\"} {\"name\": \"B\"} name")
    );
    let first = "select payload_after::text from audit_logs order by id limit 1";
    assert_eq!(world.scalar(first).await.as_deref(), Some("{\"name\": \"A\"}"));
}
