//! Crashes and an unreliable Notion: nothing doubled, nothing lost, nothing too early.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::{Duration, Instant};

use frames_sync::simulator::{Applied, Effect, Fault, Trigger};

use super::world::{World, count, text, writes};
use super::{BOTH, THINGS};

const CREATE: &str = "POST /v1/pages";
const PATCH: &str = "PATCH /v1/pages/{page_id}";

const ROWS: &str = "
create table groups (id text primary key, name text not null, org text, parent_id text references groups);
create table things (
    id text primary key, name text not null, org text, kind text, amount int, done boolean,
    note text, created_at text, meta json, group_id text references groups, email text
);
insert into groups values ('g1', 'First', 'cal', null);
insert into things (id, name, org, amount, group_id)
    select 't' || n, 'Thing ' || n, 'cal', n, 'g1' from generate_series(1, 60) n;
";

/// Plans a fault for the nth request of an endpoint.
fn fault(endpoint: &str, nth: Option<u64>, effect: Effect) -> Fault {
    Fault {
        when: Trigger {
            endpoint: Some(endpoint.to_owned()),
            nth,
            ..Trigger::default()
        },
        effect,
        times: None,
    }
}

fn assert_every_row_has_one_page(world: &World, rows: usize) {
    let labels: Vec<String> = world
        .pages("Things")
        .into_iter()
        .map(|page| world.text(page, "postgres_id"))
        .collect();
    let distinct: BTreeSet<&String> = labels.iter().collect();
    assert_eq!((labels.len(), distinct.len()), (rows, rows), "{labels:?}");
}

/// Runs until nothing is left to do; faults have stopped.
fn settle(world: &World, command: &str) {
    world.simulator.clear_faults();
    for _ in 0..4 {
        world.run(&[command]);
    }
    let (_, exchanges) = world.watched(&["sync"]);
    assert_eq!(writes(&exchanges).len(), 0, "in step");
}

#[tokio::test]
async fn a_setup_that_is_killed_again_and_again_leaves_one_page_per_row() {
    let world = World::with(ROWS, BOTH).await;
    for after in [1, 7, 19, 31] {
        let mut child = world
            .project
            .command(&["setup"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the built binary runs");
        let start = Instant::now();
        let before = count(&world.simulator.exchanges(), CREATE);
        while count(&world.simulator.exchanges(), CREATE) < before + after
            && start.elapsed() < Duration::from_secs(20)
        {
            std::thread::yield_now();
        }
        child.kill().expect("SIGKILL");
        child.wait().expect("its end");
        world
            .sql("update frames_sync.lease set expires_at = now() - interval '1 second'")
            .await;
    }
    for _ in 0..3 {
        world.run(&["setup"]);
    }
    assert_every_row_has_one_page(&world, 60);
    let (_, exchanges) = world.watched(&["setup"]);
    assert_eq!(writes(&exchanges).len(), 0);
}

#[tokio::test]
async fn answers_lost_after_a_create_double_nothing() {
    let world = World::with(ROWS, BOTH).await;
    for (nth, effect) in [
        (
            3,
            Effect::Dropped {
                applied: Applied::Yes,
            },
        ),
        (9, Effect::Dropped { applied: Applied::No }),
        (
            14,
            Effect::ServerError {
                status: 502,
                applied: Applied::Yes,
            },
        ),
        (
            22,
            Effect::ServerError {
                status: 500,
                applied: Applied::No,
            },
        ),
        (
            30,
            Effect::ServerError {
                status: 503,
                applied: Applied::Yes,
            },
        ),
        (37, Effect::Truncated),
    ] {
        world.simulator.fault(fault(CREATE, Some(nth), effect));
    }
    world.run(&["setup"]);
    settle(&world, "sync");
    assert_every_row_has_one_page(&world, 60);
    assert_eq!(world.trashed("Things").len(), 0);
}

#[tokio::test]
async fn answers_lost_after_a_patch_lose_nothing_and_are_no_conflict() {
    let effects = [
        Effect::Dropped {
            applied: Applied::Yes,
        },
        Effect::Dropped { applied: Applied::No },
        Effect::ServerError {
            status: 502,
            applied: Applied::Yes,
        },
        Effect::ServerError {
            status: 504,
            applied: Applied::No,
        },
        Effect::Truncated,
        Effect::Conflict,
    ];
    let world = World::with(THINGS, BOTH).await;
    world.ok(&["setup"]);
    let page = world.page("Things", "t1");
    for (round, effect) in effects.into_iter().enumerate() {
        let note = format!("round {round}");
        world
            .sql(&format!("update things set note = '{note}' where id = 't1'"))
            .await;
        world.simulator.fault(fault(PATCH, Some(1), effect.clone()));
        let report = world.run(&["sync"]);
        assert_eq!(report.total("conflicts_opened"), 0, "{effect:?}");
        settle(&world, "sync");
        assert_eq!(world.text(page, "Note"), note, "{effect:?}");
        assert_eq!(
            world.scalar("select note from things where id = 't1'").await,
            Some(note),
            "{effect:?}"
        );
    }
}

#[tokio::test]
async fn no_request_comes_before_its_time_after_a_429() {
    let world = World::with(THINGS, BOTH).await;
    world.ok(&["setup", "--skip-initial-sync"]);
    for nth in [1, 3] {
        let limited = Effect::RateLimited {
            retry_after: 1,
            reason: "public_api_request_rate_limit".to_owned(),
        };
        world.simulator.fault(fault(CREATE, Some(nth), limited));
    }
    world.simulator.clear_exchanges();
    let report = world.ok(&["push"]);
    assert!(report.json["profiles"][0]["notion"]["throttled"].as_u64() >= Some(2));
    let exchanges = world.simulator.exchanges();
    let at = |text: &str| text.parse::<jiff::Timestamp>().expect("ISO 8601");
    for (place, limited) in exchanges
        .iter()
        .enumerate()
        .filter(|(_, exchange)| exchange.status == Some(429))
    {
        // Others may have been on their way when the answer came; the same one must wait.
        let waited = exchanges[place + 1..]
            .iter()
            .find(|next| next.request_body == limited.request_body)
            .map(|next| at(&next.at).duration_since(at(&limited.at)).as_millis());
        assert!(waited.is_none_or(|waited| waited >= 1000), "{waited:?} ms");
    }
    assert_every_row_has_one_page(&world, 3);
}

#[tokio::test]
async fn a_listing_that_is_cut_off_proves_nothing_gone() {
    let world = World::with(ROWS, BOTH).await;
    world.ok(&["setup"]);
    world
        .simulator
        .workspace(|workspace| workspace.limits_mut().query_results = 10);
    let before = world.rows("things").await;
    let (report, exchanges) = world.watched(&["sync", "--full"]);
    assert_eq!(writes(&exchanges).len(), 0, "{:#}", report.json);
    world.simulator.fault(Fault {
        when: Trigger {
            endpoint: Some("POST /v1/data_sources/{data_source_id}/query".to_owned()),
            nth: Some(1),
            ..Trigger::default()
        },
        effect: Effect::Truncated,
        times: None,
    });
    world.simulator.clear_exchanges();
    world.run(&["sync", "--full"]);
    assert_eq!(writes(&world.simulator.exchanges()).len(), 0);
    assert_eq!(world.rows("things").await, before);
    world
        .simulator
        .workspace(|workspace| workspace.limits_mut().query_results = 10_000);
    settle(&world, "sync");
    assert_every_row_has_one_page(&world, 60);
}

#[tokio::test]
async fn a_pull_interrupted_by_a_kill_is_whole_or_not_at_all() {
    let world = World::with(ROWS, BOTH).await;
    world.ok(&["setup"]);
    for page in world.pages("Things").into_iter().take(20) {
        let key = world.text(page, "postgres_id");
        world.edit(page, "Note", text(&format!("note of {key}")));
    }
    let mut child = world
        .project
        .command(&["sync"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the built binary runs");
    let start = Instant::now();
    let pulled = "select count(*)::text from things where note is not null";
    while world.scalar(pulled).await.as_deref() == Some("0") && start.elapsed() < Duration::from_secs(20) {
        std::thread::yield_now();
    }
    child.kill().expect("SIGKILL");
    child.wait().expect("its end");
    world
        .sql("update frames_sync.lease set expires_at = now() - interval '1 second'")
        .await;
    settle(&world, "sync");
    assert_eq!(
        world
            .scalar("select count(*)::text from things where note = 'note of ' || id")
            .await
            .as_deref(),
        Some("20")
    );
    assert_eq!(
        world
            .scalar(
                "select count(*)::text from frames_sync.audit where side = 'postgres' and act = 'updated'"
            )
            .await
            .as_deref(),
        Some("20"),
        "each written once"
    );
}

#[tokio::test]
async fn a_locked_row_delays_itself_alone() {
    let world = World::with(THINGS, BOTH).await;
    if world.has_one_backend() {
        return;
    }
    world.ok(&["setup"]);
    for key in ["t1", "t2", "t3"] {
        world.edit(world.page("Things", key), "Note", text("typed"));
    }
    let mut lock = world.pool.begin().await.expect("a transaction");
    sqlx::query("select from things where id = 't1' for update")
        .execute(&mut *lock)
        .await
        .expect("the lock");
    let report = world.run(&["sync"]);
    assert_eq!(report.code, 1, "{:#}", report.json);
    assert_eq!(report.json["outcome"], "partial");
    assert_eq!(report.codes("things"), ["postgres_failed"]);
    let message = report.entity("things")["errors"][0]["message"].to_string();
    assert!(message.contains("55P03"), "{message}");
    let typed = "select string_agg(id, ',' order by id) from things where note = 'typed'";
    assert_eq!(world.scalar(typed).await.as_deref(), Some("t2,t3"));
    lock.rollback().await.expect("the lock's end");
    world.ok(&["sync"]);
    assert_eq!(world.scalar(typed).await.as_deref(), Some("t1,t2,t3"));
}

#[tokio::test]
async fn a_write_that_other_transactions_were_in_the_way_of_is_tried_again_in_the_same_run() {
    for state in ["40001", "40P01"] {
        let world = World::with(THINGS, BOTH).await;
        world.ok(&["setup"]);
        world
            .sql(&format!(
                "create sequence tries;
                 create function in_the_way() returns trigger language plpgsql as $$ begin
                     if nextval('tries') < 3 then raise exception 'SENTINEL' using errcode = '{state}'; end if;
                     return new;
                 end $$;
                 create trigger in_the_way before update on things for each row execute function in_the_way();"
            ))
            .await;
        world.edit(world.page("Things", "t1"), "Note", text("typed"));
        let report = world.ok(&["sync"]);
        assert_eq!(report.total("rows_updated"), 1, "{state}: {:#}", report.json);
        assert_eq!(
            world
                .scalar("select note from things where id = 't1'")
                .await
                .as_deref(),
            Some("typed")
        );
    }
}

#[tokio::test]
async fn a_database_that_serves_nobody_ends_the_run_instead_of_trying_every_record() {
    let world = World::with(ROWS, BOTH).await;
    world.ok(&["setup"]);
    world
        .sql(
            "create sequence tries;
             create function in_the_way() returns trigger language plpgsql as $$ begin
                 perform nextval('tries');
                 raise exception 'SENTINEL' using errcode = '53200';
             end $$;
             create trigger in_the_way before update on things for each row execute function in_the_way();",
        )
        .await;
    for page in world.pages("Things").into_iter().take(19) {
        world.edit(page, "Note", text("typed"));
    }
    let report = world.run(&["sync"]);
    assert_eq!(report.code, 3, "{:#}", report.json);
    assert_eq!(report.json["profiles"][0]["failure"]["code"], "postgres_failed");
    assert!(!format!("{:#}{}", report.json, report.stderr).contains("SENTINEL"));
    let tries = world.scalar("select last_value::text from tries").await;
    let tries: u32 = tries.and_then(|tries| tries.parse().ok()).expect("a number");
    assert!((20..19 * 4).contains(&tries), "{tries} tries of 19 records");
}

#[tokio::test]
async fn what_a_person_types_on_a_page_before_we_know_of_it_reaches_the_row() {
    let world = World::with(THINGS, BOTH).await;
    world.run(&["setup"]);
    world
        .sql("insert into things (id, name, org, note) values ('t9', 'Nine', 'cal', 'as inserted')")
        .await;
    world.simulator.fault(fault(
        CREATE,
        Some(1),
        Effect::ServerError {
            status: 502,
            applied: Applied::Yes,
        },
    ));
    world.run(&["sync"]);
    let page = world.page("Things", "t9");
    world.edit(page, "Note", text("typed at once"));
    settle(&world, "sync");
    assert_every_row_has_one_page(&world, 4);
    let note = world.scalar("select note from things where id = 't9'").await;
    assert_eq!(note.as_deref(), Some("typed at once"));
    assert_eq!(world.text(page, "Note"), "typed at once");
}

#[tokio::test]
async fn a_page_that_we_could_not_restore_at_first_is_not_taken_for_one_that_a_person_trashed() {
    for effect in [
        Effect::ServerError {
            status: 502,
            applied: Applied::No,
        },
        Effect::ServerError {
            status: 502,
            applied: Applied::Yes,
        },
    ] {
        let world = World::with(THINGS, BOTH).await;
        world.run(&["setup"]);
        let page = world.page("Things", "t1");
        world.sql("update things set org = 'tex' where id = 't1'").await;
        world.run(&["sync"]);
        assert!(world.trashed("Things").contains(&page));
        world.sql("update things set org = 'cal' where id = 't1'").await;
        world.simulator.fault(fault(PATCH, Some(1), effect));
        world.run(&["sync"]);
        settle(&world, "sync");
        assert_eq!(world.page("Things", "t1"), page);
        let phase = world
            .scalar("select phase from frames_sync.link where key = '[\"t1\"]'")
            .await;
        assert_eq!(phase.as_deref(), Some("linked"));
    }
}
