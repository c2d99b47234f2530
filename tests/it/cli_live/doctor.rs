//! `doctor`: all is well on the FRAMES project, and each broken case says how to mend it.

use std::time::Duration;

use frames_sync::ports::{Commit, Fence, Record, Store};
use frames_sync::postgres::ProfileDatabase;
use frames_sync::simulator::{Effect, Fault, Trigger};
use serde_json::json;

use super::{World, check, named, nobody};

#[tokio::test]
async fn the_frames_project_is_well_before_and_after_its_set_up() {
    let world = World::frames().await;
    let (checks, code) = world.doctor();
    assert_eq!((named(&checks, "fail"), code), (vec![], Some(0)), "{checks:#?}");
    assert_eq!(named(&checks, "warn"), ["privilege"], "{checks:#?}");
    assert!(
        check(&checks, "database of teams")
            .message
            .contains("`setup` makes it")
    );
    world.assert_only_read();
    world.set_up();
    world.simulator.clear_exchanges();
    let (checks, code) = world.doctor();
    assert_eq!((named(&checks, "fail"), code), (vec![], Some(0)), "{checks:#?}");
    assert_eq!(named(&checks, "warn"), ["privilege"], "{checks:#?}");
    for name in [
        "version",
        "project file",
        ".env",
        "profile",
        "mappings",
        "database",
        "tls",
        "server version",
        "clock",
        "rights",
        "row security",
        "state",
        "lease",
        "notion token",
        "capabilities",
        "parent page",
        "notion clock",
        "database of students",
    ] {
        assert_eq!(check(&checks, name).status, "ok", "{name}");
    }
    world.assert_only_read();
    let ran = world.run(&["doctor"]);
    assert!(ran.stdout.contains("  ok    parent page "), "{}", ran.stdout);
    assert!(ran.stdout.contains("  warn  privilege "), "{}", ran.stdout);
}

#[tokio::test]
async fn a_missing_token_names_its_variable() {
    let world = World::frames().await;
    let project = super::PROJECT.replace("env.NOTION_API_KEY", "env.NOTION_TOKEN_CALPOLY");
    std::fs::write(world.project.path().join("frames-sync.yaml"), project).expect("a project");
    let (checks, code) = world.doctor();
    assert_eq!(code, Some(1));
    assert!(
        check(&checks, "profile").message.contains("NOTION_TOKEN_CALPOLY"),
        "{checks:#?}"
    );
    assert_eq!(check(&checks, "notion token").status, "fail");
    assert_eq!(
        check(&checks, "database").status,
        "ok",
        "one side's fault does not hide the other"
    );
}

#[tokio::test]
async fn a_wrong_token_is_the_worlds_failure() {
    let world = World::frames().await.with("NOTION_API_KEY", "ntn_wrong");
    let (checks, code) = world.doctor();
    assert_eq!(
        (named(&checks, "fail"), code),
        (vec!["notion token"], Some(3)),
        "{checks:#?}"
    );
    assert!(
        check(&checks, "notion token")
            .help
            .contains("copy the current one"),
        "{checks:#?}"
    );
    assert!(world.run(&["doctor"]).stdout.contains("  FAIL  notion token "));
}

#[tokio::test]
async fn an_unshared_page_and_a_database_in_its_place_say_what_to_do() {
    let world = World::frames().await;
    let root = world.simulator.root_page_id;
    world.simulator.workspace(|workspace| workspace.unshare(root));
    let (checks, code) = world.doctor();
    assert_eq!(
        (named(&checks, "fail"), code),
        (vec!["parent page"], Some(1)),
        "{checks:#?}"
    );
    assert!(check(&checks, "parent page").help.contains("••• → Connections"));
    world.simulator.workspace(|workspace| workspace.share(root));
    let database = world
        .simulator
        .workspace(|workspace| {
            let made = workspace
                .add_database("X", &json!({"Name": {"title": {}}}))
                .expect("a database");
            workspace.database_of(made)
        })
        .expect("its id");
    let world = world.with("NOTION_PARENT_PAGE", database.to_string());
    let (checks, _) = world.doctor();
    assert_eq!(check(&checks, "parent page").message, "is a database");
}

#[tokio::test]
async fn a_type_in_the_way_and_a_lost_database_are_told_by_entity() {
    let world = World::frames().await;
    world.set_up();
    world.simulator.workspace(|workspace| {
        let teams = workspace.data_source_titled("Teams").expect("teams");
        workspace
            .set_property(teams, "status", &json!({"rich_text": {}}))
            .expect("a person may");
        let students = workspace.data_source_titled("Students").expect("students");
        let database = workspace.database_of(students).expect("its database");
        workspace.trash_database(database, true);
    });
    let (checks, code) = world.doctor();
    assert_eq!(code, Some(1));
    assert!(
        check(&checks, "database of teams")
            .message
            .contains("is a rich_text in Notion"),
        "{checks:#?}"
    );
    assert!(
        check(&checks, "database of students").message.contains("trash"),
        "{checks:#?}"
    );
    assert_eq!(check(&checks, "database of projects").status, "ok");
}

#[tokio::test]
async fn a_database_out_of_reach_is_the_worlds_failure() {
    let world = World::frames().await.with(
        "DATABASE_URL",
        format!("postgresql://u:SENTINEL0password@{}/db", nobody()),
    );
    let (checks, code) = world.doctor();
    assert_eq!(
        (named(&checks, "fail"), code),
        (vec!["database"], Some(3)),
        "{checks:#?}"
    );
    assert_eq!(check(&checks, "notion token").status, "ok");
}

#[tokio::test]
async fn a_held_lease_names_its_holder_and_its_end() {
    let world = World::frames().await;
    world.set_up();
    let pool = world.database.connect().await;
    let database =
        ProfileDatabase::new(pool, "frames_sync", "calpoly", Default::default(), None).expect("names");
    database
        .acquire("another-machine", Duration::from_secs(600))
        .await
        .expect("an answer")
        .expect("free");
    let (checks, code) = world.doctor();
    let lease = check(&checks, "lease");
    assert_eq!((lease.status.as_str(), code), ("warn", Some(0)), "{lease:?}");
    assert!(
        lease.message.contains("`another-machine`") && lease.message.contains("until 2"),
        "{lease:?}"
    );
}

#[tokio::test]
async fn a_profile_that_nobody_keeps_is_told() {
    let world = World::frames().await;
    world.set_up();
    // Some records of the sample are ones that no sync can carry.
    assert_eq!(world.run(&["sync"]).code, Some(1));
    let (checks, _) = world.doctor();
    assert_eq!(check(&checks, "last look").status, "ok", "{checks:#?}");
    let pool = world.database.connect().await;
    let database =
        ProfileDatabase::new(pool, "frames_sync", "calpoly", Default::default(), None).expect("names");
    let lease = database.acquire("test", Duration::from_secs(60)).await;
    let fence = Fence {
        epoch: lease.expect("an answer").expect("free").epoch,
    };
    let mut marks = database.marks("teams").await.expect("marks");
    marks.rows_captured_at = marks.rows_captured_at.map(|at| at - Duration::from_secs(7200));
    let records = vec![Record::Marks("teams".to_owned(), marks)];
    database
        .commit(fence, Commit::of(records))
        .await
        .expect("a commit");
    database.release(fence).await.expect("an answer");
    let (checks, code) = world.doctor();
    let look = check(&checks, "last look");
    assert_eq!((look.status.as_str(), code), ("warn", Some(0)), "{look:?}");
    assert!(look.message.contains("due every 300 s"), "{look:?}");
    assert!(look.help.contains("frames-sync run"), "{look:?}");
}

#[tokio::test]
async fn an_empty_scope_and_a_throttling_notion_are_warnings() {
    let world = World::frames().await;
    let project = super::PROJECT.replace("CalPolyPomona", "Nowhere");
    std::fs::write(world.project.path().join("frames-sync.yaml"), project).expect("a project");
    world.simulator.fault(Fault {
        when: Trigger {
            endpoint: Some("GET /v1/users/me".to_owned()),
            nth: Some(1),
            ..Trigger::default()
        },
        effect: Effect::RateLimited {
            retry_after: 0,
            reason: "public_api_request_rate_limit".to_owned(),
        },
        times: Some(1),
    });
    let (checks, code) = world.doctor();
    assert_eq!(code, Some(0), "{checks:#?}");
    assert!(check(&checks, "rows").message.contains("`teams`"), "{checks:#?}");
    assert_eq!(check(&checks, "rate").status, "warn");
}

#[tokio::test]
async fn an_unreadable_project_is_a_usage_error() {
    let world = World::frames().await;
    std::fs::write(
        world.project.path().join("frames-sync.yaml"),
        "version: 1\nprofiles: []\n",
    )
    .expect("a project");
    assert_eq!(world.run(&["doctor"]).code, Some(2));
}
