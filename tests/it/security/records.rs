//! A configuration that was changed by mistake or malice, and what is kept of it all (S25, S26).

use serde_json::json;

use crate::sync::world::{World, text, writes};
use crate::sync::{BOTH, THINGS, THINGS_MAPPING};

#[tokio::test]
async fn s25_a_filter_that_lets_nobody_in_deletes_nothing() {
    let world = World::with(THINGS, BOTH).await;
    world.ok(&["setup"]);
    let before = (world.pages("Things"), world.rows("things").await);
    let mut planned = 0;
    for filter in [
        "{ org: \"{{ vars.org }}\", id: { not: null, in: [] } }",
        "{ org: nobody }",
        "{ all: [{ org: \"{{ vars.org }}\" }, { id: null }] }",
        "{ any: [{ org: nobody }, { id: never }] }",
    ] {
        world.rewrite(
            "things",
            &THINGS_MAPPING.replace("{ org: \"{{ vars.org }}\" }", filter),
        );
        world.simulator.clear_exchanges();
        for command in ["plan", "sync", "push", "pull"] {
            let ran = world.project.run(&[command, "--format", "json"]);
            // A plan is shown, and rows that are out of the filter are none that a pull looks at.
            let may_end_well = matches!(command, "plan" | "pull");
            assert!(
                ran.code == Some(1) || (ran.code == Some(0) && may_end_well),
                "{command} {filter}: {ran:?}"
            );
            if command == "plan" && ran.stdout.contains("\"hash\"") {
                assert_eq!(
                    ran.stdout.matches("\"trash_page\"").count(),
                    before.0.len(),
                    "the plan shows what it would delete: {}",
                    ran.stdout
                );
                planned += 1;
            }
        }
        assert_eq!(writes(&world.simulator.exchanges()).len(), 0, "{filter}");
        assert_eq!(
            (world.pages("Things"), world.rows("things").await),
            before,
            "{filter}"
        );
        assert_eq!(world.trashed("Things").len(), 0, "{filter}");
    }
    // A filter that cannot be read is a finding; the others are for a person to approve.
    assert!(planned >= 3, "{planned} plans were shown");
    world.rewrite("things", THINGS_MAPPING);
    let ran = world.run(&["sync"]);
    if let Some(hash) = ran.entity("things")["refusals"][0]["approve"].as_str() {
        world.ok(&["approve", hash]);
    }
    world.ok(&["sync"]);
    assert_eq!((world.pages("Things"), world.rows("things").await), before);
}

/// The audit log under the role that syncs.
#[tokio::test]
async fn s26_the_runtime_role_only_appends_to_the_audit_log() {
    let mut world = World::with(THINGS, BOTH).await;
    if world.has_one_backend() {
        // Of the embedded engine, which is always the superuser, whom no grant binds.
        return;
    }
    world.ok(&["setup"]);
    world.edit(world.page("Things", "t1"), "Note", text("SENTINEL typed"));
    world.ok(&["sync"]);
    let entries = world.audits().await;
    assert!(entries > 0);
    world
        .sql(
            "do $$ begin create role runtime_s26 login; exception when duplicate_object then null; end $$;
             grant select, insert, update, delete on things, groups to runtime_s26",
        )
        .await;
    for grant in frames_sync::postgres::grants::state_grants("frames_sync", "runtime_s26").expect("names") {
        world.sql(&grant).await;
    }
    for wanted in [
        "update frames_sync.audit set body = '{}'",
        "update frames_sync.audit set at = now() where false",
        "delete from frames_sync.audit",
        "delete from frames_sync.audit where false",
        "truncate frames_sync.audit",
        "alter table frames_sync.audit disable trigger all",
        "drop table frames_sync.audit",
    ] {
        // Whatever it says of itself, and first of all that it is erasing.
        for setting in ["", "set local frames_sync.erasing = 'on'; "] {
            let sql = format!("begin; set local role runtime_s26; {setting}{wanted}");
            let mut connection = world.pool.acquire().await.expect("a connection");
            let error = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.clone()))
                .execute(&mut *connection)
                .await
                .expect_err(&sql);
            let code = error
                .as_database_error()
                .and_then(|error| error.code().map(|code| code.into_owned()));
            assert_eq!(code.as_deref(), Some("42501"), "{sql}: {error}");
            sqlx::raw_sql("rollback")
                .execute(&mut *connection)
                .await
                .expect("an end");
        }
    }
    assert_eq!(world.audits().await, entries);

    // The command says who may.
    let owned = world
        .project
        .environment()
        .find(|(name, _)| *name == "DATABASE_URL")
        .expect("a URL")
        .1
        .to_owned();
    world.project = world
        .project
        .env("DATABASE_URL", owned.replace("postgres@", "runtime_s26@"));
    for command in [
        &["history", "erase", "--entity", "things", "--key", "t1", "--yes"][..],
        &["history", "prune", "--keep", "2", "--yes"],
    ] {
        let ran = world.project.run(command);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(
            ran.stderr.contains("the role that owns the schema `frames_sync`"),
            "{}",
            ran.stderr
        );
    }
    world.ok(&["sync"]);
    world
        .sql("drop owned by runtime_s26 cascade; drop role runtime_s26")
        .await;
}

/// Everything that the state schema holds of a text.
async fn kept(world: &World, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for table in [
        "audit",
        "conflict",
        "link",
        "intent",
        "run",
        "change_log",
        "mark",
        "pin",
    ] {
        let rows = world.rows(&format!("frames_sync.{table}")).await;
        found.extend(
            rows.iter()
                .filter(|row| row.contains(text))
                .map(|_| table.to_owned()),
        );
    }
    found
}

#[tokio::test]
async fn s26_erasing_leaves_the_proof_and_no_value() {
    let world = World::with(THINGS, BOTH).await;
    world.ok(&["setup"]);
    world.edit(world.page("Things", "t1"), "Note", text("SENTINEL-ONE typed"));
    world.edit(world.page("Things", "t2"), "Note", text("SENTINEL-TWO typed"));
    world.ok(&["sync"]);
    // Both sides edit, and the loser is kept in a conflict and in the log.
    world.edit(world.page("Things", "t1"), "Note", text("SENTINEL-ONE of Notion"));
    world
        .sql("update things set note = 'SENTINEL-ONE of Postgres' where id = 't1'")
        .await;
    world.ok(&["sync"]);
    world.sql("delete from things where id = 't1'").await;
    world.ok(&["sync"]);
    for table in ["audit", "conflict", "link"] {
        assert!(
            kept(&world, "SENTINEL-ONE").await.contains(&table.to_owned()),
            "{table}"
        );
    }
    let entries = world.audits().await;
    let told = world.ok(&["history", "--key", "t1"]).json["entries"]
        .as_array()
        .expect("entries")
        .len();

    // Nobody is there to be asked.
    let unasked = world
        .project
        .run(&["history", "erase", "--entity", "things", "--key", "t1"]);
    assert_eq!(unasked.code, Some(1), "{unasked:?}");
    assert!(!kept(&world, "SENTINEL-ONE").await.is_empty());

    let done = world
        .ok(&["history", "erase", "--entity", "things", "--key", "t1", "--yes"])
        .json;
    assert!(
        done["entries"].as_u64() >= Some(3)
            && done["conflicts"].as_u64() >= Some(1)
            && done["baselines"] == 1,
        "{done}"
    );
    assert_eq!(kept(&world, "SENTINEL-ONE").await, Vec::<String>::new());
    assert!(
        !kept(&world, "SENTINEL-TWO").await.is_empty(),
        "another record's stay"
    );
    assert_eq!(
        world.audits().await,
        entries,
        "that something was written stays on record"
    );
    let history = world.ok(&["history", "--key", "t1"]).json;
    let after = history["entries"].as_array().expect("entries");
    assert_eq!(after.len(), told);
    assert!(
        after.iter().any(|entry| entry["from"]["erased_at"].is_string()),
        "{history:#}"
    );
    // It cannot be put back any more, which is told and breaks nothing.
    let deleted = after
        .iter()
        .find(|entry| entry["act"] == "deleted")
        .expect("an entry");
    let undone = world
        .project
        .run(&["undo", deleted["id"].as_str().expect("an id"), "--yes"]);
    assert!(
        !undone.stderr.contains("panicked") && undone.code != Some(3),
        "{undone:?}"
    );
    assert!(!format!("{}{}", undone.stdout, undone.stderr).contains("SENTINEL-ONE"));
    let again = world
        .ok(&["history", "erase", "--entity", "things", "--key", "t1", "--yes"])
        .json;
    assert_eq!(again["entries"], 0, "{again}");
    world.ok(&["sync", "--full"]);

    // Retention: what is old goes, what is young stays.
    world
        .sql(
            "begin; set local frames_sync.erasing = 'on'; \
             update frames_sync.audit set at = at - interval '40 days' where key = '[\"t2\"]'; commit",
        )
        .await;
    let pruned = world.ok(&["history", "prune", "--keep", "30", "--yes"]).json;
    assert!(pruned["entries"].as_u64() >= Some(1), "{pruned}");
    assert_eq!(world.ok(&["history", "--key", "t2"]).json["entries"], json!([]));
    assert!(world.audits().await > 0);
    let too_short = world.project.run(&["history", "prune", "--keep", "1", "--yes"]);
    assert_eq!(
        too_short.code,
        Some(2),
        "the guards count deletions of the last 24 hours: {too_short:?}"
    );
    world.ok(&["sync"]);
    // A key that nobody knows is no error.
    let nobody = world
        .ok(&[
            "history", "erase", "--entity", "things", "--key", "nobody", "--yes",
        ])
        .json;
    assert_eq!(nobody["entries"], 0);
}
