//! A role that has exactly the printed GRANTs can set up and sync.

use frames_sync::cluster::Engine;
use serde_json::Value as Json;
use sqlx::AssertSqlSafe;

use super::{World, check, named, with_password};

#[tokio::test]
async fn the_grants_that_doctor_prints_are_enough_and_no_more_are_asked_for() {
    let world = World::frames().await;
    if world.database.engine() == Engine::Embedded {
        // Its one backend is always the superuser, whom no grant binds.
        return;
    }
    let role = "doctor_patient";
    let owner = world.database.connect().await;
    sqlx::raw_sql("create role doctor_patient login")
        .execute(&owner)
        .await
        .expect("a role");
    let world_url = with_password(&world.database.url_as(role));
    let world = world.with("DATABASE_URL", world_url);

    let (checks, code) = world.doctor();
    let rights = check(&checks, "rights");
    assert_eq!((rights.status.as_str(), code), ("fail", Some(1)), "{checks:#?}");
    assert_eq!(check(&checks, "privilege").status, "ok");
    let grants = rights.help.clone();
    assert!(
        !grants.contains("grant all") && grants.contains("grant update ("),
        "{grants}"
    );
    for grant in grants.lines() {
        assert!(
            grant.starts_with("grant ") && grant.ends_with("to \"doctor_patient\";"),
            "{grant}"
        );
        sqlx::raw_sql(AssertSqlSafe(grant.to_owned()))
            .execute(&owner)
            .await
            .expect(grant);
    }
    let (checks, code) = world.doctor();
    assert_eq!((named(&checks, "fail"), code), (vec![], Some(0)), "{checks:#?}");

    world.set_up();
    sync(&world);
    // An edit that has to reach the row, and a page that has to become one.
    world.simulator.workspace(|workspace| {
        let teams = workspace.data_source_titled("Teams").expect("teams");
        let page = workspace.rows(teams)[0];
        workspace
            .edit(page, "status", serde_json::json!({"select": {"name": "on_hold"}}))
            .expect("an edit");
        let properties = serde_json::json!({
            "Name": {"title": [{"text": {"content": "New team"}}]},
            "status": {"select": {"name": "active"}},
            "team_type": {"select": {"name": "design"}},
        });
        workspace.add_row(teams, &properties).expect("a page");
    });
    let report = sync(&world);
    let inserted: i64 = sqlx::query_scalar(
        "select count(*) from teams where name = 'New team' and university_id = 'CalPolyPomona'",
    )
    .fetch_one(&owner)
    .await
    .expect("a count");
    assert_eq!(inserted, 1, "{report:#}");
    let edited: i64 = sqlx::query_scalar("select count(*) from audit_logs where entity_type = 'teams'")
        .fetch_one(&owner)
        .await
        .expect("a count");
    assert!(
        edited >= 2,
        "the edit and the insert are copied to the audit table: {report:#}"
    );
    let (checks, code) = world.doctor();
    assert_eq!((named(&checks, "fail"), code), (vec![], Some(0)), "{checks:#?}");
    sqlx::raw_sql("drop owned by doctor_patient cascade; drop role doctor_patient")
        .execute(&owner)
        .await
        .expect("the role goes with its test");
}

/// Syncs; the only errors are of the rows that are awkward on purpose.
fn sync(world: &World) -> Json {
    let ran = world.run(&["sync", "--format", "json"]);
    let report: Json = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
    let entities = report["profiles"][0]["entities"].as_array().expect("entities");
    for error in entities
        .iter()
        .flat_map(|entity| entity["errors"].as_array().expect("errors"))
    {
        let code = error["code"].as_str().unwrap_or_default();
        assert!(
            matches!(code, "value_out_of_range" | "foreign_reference"),
            "{error}"
        );
    }
    report
}
