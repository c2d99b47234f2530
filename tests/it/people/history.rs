//! `history`, `status`, and the codes that `--explain` explains.

use frames_sync::report::ErrorCode;
use serde_json::Value as Json;

use super::{history, of, set_up, with};
use crate::sync::world::text;

#[tokio::test]
async fn the_log_is_newest_first_and_narrowed_by_record_and_run() {
    let world = set_up().await;
    let page = world.page("Things", "t1");
    world.edit(page, "Note", text("typed"));
    world.sql("update things set amount = 7 where id = 't2'").await;
    world.ok(&["sync"]);
    let all = history(&world, &[]);
    assert_eq!(all.len() as i64, world.audits().await);
    let times: Vec<&str> = all.iter().map(|entry| of(entry, "at")).collect();
    assert!(times.is_sorted_by(|newer, older| newer >= older), "{times:?}");
    let of_record = history(&world, &["--entity", "things", "--key", "t1"]);
    assert!(of_record.iter().all(|entry| of(entry, "key") == "t1"));
    let pulled = of_record
        .iter()
        .find(|entry| of(entry, "side") == "postgres")
        .expect("a pull");
    assert_eq!((of(pulled, "from"), of(pulled, "to")), ("a note", "typed"));
    assert_eq!(of(pulled, "property"), "Note");
    let run = of(pulled, "run_id");
    let report = world.ok(&["history", "--run", run]).json;
    let entries = report["entries"].as_array().expect("entries");
    assert_eq!(entries.len(), 2, "{entries:#?}");
    assert!(entries.iter().all(|entry| of(entry, "run_id") == run));
    // The run's own report is kept with it.
    assert_eq!(of(&report["run"], "command"), "sync");
    let things = &report["run"]["report"]["entities"][1];
    assert_eq!(
        (things["entity"].as_str(), things["rows_updated"].as_u64()),
        (Some("things"), Some(1))
    );
    assert_eq!(history(&world, &["--limit", "1"]).len(), 1);
    let text = world.project.run(&["history", "--key", "t1"]).stdout;
    assert!(text.contains(&format!("run {run}")), "{text}");
    assert!(
        text.contains("updated `Note` in postgres, \"a note\" -> \"typed\" (only Notion changed)"),
        "{text}"
    );
}

#[tokio::test]
async fn status_tells_of_the_last_run_and_who_is_at_work() {
    let world = with("conflict: manual").await;
    let status = world.ok(&["status"]).json;
    assert_eq!(of(&status["last_run"], "command"), "setup");
    assert_eq!(of(&status["last_run"]["report"], "outcome"), "ok");
    assert_eq!(status["working"], Json::Null);
    let looked = status["entities"][0]["last_run"]
        .as_str()
        .expect("a time")
        .to_owned();
    world.edit(world.page("Things", "t1"), "Note", text("from Notion"));
    world
        .sql("update things set note = 'from Postgres' where id = 't1'")
        .await;
    world.run(&["sync"]);
    let status = world.ok(&["status"]).json;
    assert_eq!(of(&status["last_run"], "command"), "sync");
    assert_eq!(of(&status["last_run"]["report"], "outcome"), "partial");
    let things = status["entities"]
        .as_array()
        .and_then(|entities| entities.iter().find(|entity| entity["entity"] == "things"))
        .expect("things");
    assert_eq!(
        (things["conflicts"].as_u64(), things["unsettled"].as_u64()),
        (Some(1), Some(0))
    );
    assert!(things["lag_seconds"].as_f64().expect("a lag") < 60.0);
    assert!(things["last_run"].as_str() >= Some(&looked));
    world
        .sql("update frames_sync.lease set holder = 'another-machine', expires_at = now() + interval '1 minute'")
        .await;
    let status = world.ok(&["status"]).json;
    assert_eq!(of(&status["working"], "holder"), "another-machine");
    // What it cannot do now it says, with the code and the next step.
    let ran = world.project.run(&["sync"]);
    assert_eq!(ran.code, Some(3));
    assert!(ran.stdout.contains("[profile_busy]"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("next: wait until the other run ends"),
        "{}",
        ran.stdout
    );
}

#[tokio::test]
async fn status_lists_what_is_wrong_with_which_records() {
    let world = set_up().await;
    let amount = |number: i64| {
        for key in ["t1", "t2"] {
            let page = world.page("Things", key);
            world.edit(page, "Amount", serde_json::json!({ "number": number }));
        }
    };
    amount(-1);
    world.run(&["sync"]);
    let status = world.ok(&["status"]).json;
    let troubled = status["troubled"].as_array().expect("a list");
    let told: Vec<_> = troubled
        .iter()
        .map(|record| (of(record, "entity"), of(record, "key"), of(record, "property")))
        .collect();
    assert_eq!(told, [("things", "t1", "Amount"), ("things", "t2", "Amount")]);
    let told = world.project.run(&["status"]).stdout;
    let alike = "  things t1 and 1 more `Amount`: ";
    assert_eq!(told.matches("[constraint_violation]").count(), 1, "{told}");
    assert!(told.contains(alike) && told.contains("    next: "), "{told}");
    amount(4);
    world.ok(&["sync"]);
    assert_eq!(world.ok(&["status"]).json["troubled"], serde_json::json!([]));
}

#[tokio::test]
async fn an_error_names_record_field_cause_and_next_step() {
    let world = set_up().await;
    world.edit(
        world.page("Things", "t1"),
        "Amount",
        serde_json::json!({ "number": -1 }),
    );
    let ran = world.project.run(&["sync"]);
    assert_eq!(ran.code, Some(1));
    let line = ran
        .stdout
        .lines()
        .find(|line| line.contains("[constraint_violation]"))
        .unwrap_or_else(|| panic!("{}", ran.stdout));
    for wanted in ["things t1 `Amount`", "constraint `things_amount_check`"] {
        assert!(line.contains(wanted), "{wanted}: {line}");
    }
    assert!(
        ran.stdout.contains("next: correct the value on the page"),
        "{}",
        ran.stdout
    );
}

#[tokio::test]
async fn a_run_that_fails_is_remembered_with_its_cause() {
    let world = set_up().await;
    world.simulator.fault(frames_sync::simulator::Fault {
        when: frames_sync::simulator::Trigger {
            endpoint: Some("POST /v1/data_sources/{data_source_id}/query".to_owned()),
            ..Default::default()
        },
        effect: frames_sync::simulator::Effect::Proxy,
        times: Some(40),
    });
    let report = world.run(&["sync"]);
    assert_eq!(report.code, 3, "{:#}", report.json);
    world.simulator.clear_faults();
    let status = world.ok(&["status"]).json;
    assert_eq!(of(&status["last_run"]["report"], "outcome"), "failed");
    assert_eq!(
        of(&status["last_run"]["report"]["failure"], "code"),
        "notion_failed"
    );
    world.ok(&["sync"]);
}

#[test]
fn every_code_of_a_report_is_explained_with_its_next_step() {
    let project = crate::support::TestProject::new();
    for code in ErrorCode::ALL {
        assert!(!code.next_step().is_empty() && !code.next_step().ends_with('.'));
        assert!(code.explanation().ends_with('.'), "{code}");
    }
    let ran = project.run(&["validate", "--explain", "constraint_violation"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stdout.contains("Postgres refuses the value"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("next: correct the value on the page"),
        "{}",
        ran.stdout
    );
    let ran = project.run(&["validate", "--explain", "delete_cap", "--format", "json"]);
    let json: Json = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(
        (of(&json, "code"), of(&json, "severity")),
        ("delete_cap", "error")
    );
    let ran = project.run(&["validate", "--explain", "delete_cpa"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("`delete_cap`"), "{}", ran.stderr);
}
