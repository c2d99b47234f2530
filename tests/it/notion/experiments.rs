//! The live lane, exercised against the simulator: every experiment runs to its end, and the two agree.

use std::collections::BTreeSet;
use std::time::Duration;

use super::setup::World;
use crate::support::openapi::assert_exchanges_conform;
use frames_sync::notion::experiments::{Finding, Patience, run, run_waiting};
use frames_sync::simulator::{Effect, Fault, RateLimits, Trigger};

const PATIENCE: Patience = Patience {
    minute: Duration::from_secs(65),
    index: Duration::from_secs(60),
    late: Duration::from_secs(120),
    burst: 450,
};

/// Runs everything, with the simulator's clock in place of sleep.
async fn findings(world: &World, patience: Patience) -> Vec<Finding> {
    let wait = |length| {
        world.simulator.advance(length);
        Box::pin(std::future::ready(())) as _
    };
    run_waiting(&world.client, &world.parent, patience, &wait)
        .await
        .unwrap()
}

fn named<'a>(findings: &'a [Finding], name: &str) -> &'a Finding {
    findings.iter().find(|finding| finding.name == name).unwrap()
}

#[tokio::test]
async fn every_experiment_answers_and_the_simulator_agrees_with_what_we_assume() {
    let world = World::new();
    world.simulator.set_rate(RateLimits {
        per_connection: Some(400),
        per_workspace: None,
    });
    let findings = findings(&world, PATIENCE).await;
    assert_exchanges_conform(&world.simulator.exchanges());
    let surprising: Vec<_> = findings
        .iter()
        .filter(|finding| finding.holds == Some(false) || finding.answer.get("error").is_some())
        .collect();
    assert!(surprising.is_empty(), "{surprising:#?}");
    let undecided: Vec<_> = findings
        .iter()
        .filter(|finding| finding.answer.get("undecided").is_some())
        .collect();
    assert!(undecided.is_empty(), "{undecided:#?}");
    assert_eq!(named(&findings, "budget").answer["requests"], 400);
    let left = world
        .simulator
        .workspace(|workspace| workspace.data_sources().len());
    assert_eq!(left, 0, "the scratch databases are in the trash");
}

#[tokio::test]
async fn all_fifteen_points_are_asked_and_what_needs_a_person_says_so() {
    let world = World::new();
    let impatient = Patience {
        minute: Duration::ZERO,
        late: Duration::ZERO,
        burst: 0,
        ..PATIENCE
    };
    let findings = run(&world.client, &world.parent, impatient).await.unwrap();
    let asked: BTreeSet<&str> = findings.iter().map(|finding| finding.asked_by).collect();
    for point in 1..=15 {
        assert!(asked.contains(format!("13.{point}").as_str()), "point {point}");
    }
    let names: BTreeSet<&str> = findings.iter().map(|finding| finding.name).collect();
    assert_eq!(names.len(), findings.len(), "names are stable keys");
    // What no time was given for is undecided, and never counted as an answer.
    for name in ["noop_moves_stamp", "late_edit", "budget"] {
        let finding = named(&findings, name);
        assert_eq!(finding.holds, None, "{finding:?}");
        assert!(finding.answer["undecided"].is_string(), "{finding:?}");
    }
    assert_eq!(named(&findings, "duplicated_page").holds, None);
}

#[tokio::test]
async fn a_slow_index_is_measured_and_does_not_confuse_the_rest() {
    let world = World::new();
    let lag = Duration::from_secs(30);
    world
        .simulator
        .workspace(|workspace| workspace.set_index_lag(lag));
    let findings = findings(&world, Patience { burst: 0, ..PATIENCE }).await;
    let lags = named(&findings, "query_lag_milliseconds");
    let all = lags.answer.as_array().unwrap();
    // What passes on this machine's clock meanwhile counts for the simulator too, so that a little less was waited.
    assert!(all.iter().all(|lag| lag.as_u64() >= Some(20_000)), "{lags:?}");
    assert_eq!(lags.holds, Some(true));
    assert_eq!(named(&findings, "cursor_under_change").holds, Some(true));
}

#[tokio::test]
async fn a_write_that_lands_later_than_we_settle_contradicts_what_we_assume() {
    let world = World::new();
    world.simulator.fault(Fault {
        when: Trigger {
            endpoint: Some("PATCH /v1/pages/{page_id}".to_owned()),
            ..Trigger::default()
        },
        effect: Effect::AppliedLate { seconds: 130 },
        times: None,
    });
    let patience = Patience {
        late: Duration::from_secs(200),
        burst: 0,
        ..PATIENCE
    };
    let findings = findings(&world, patience).await;
    let late = named(&findings, "late_edit");
    assert_eq!(late.answer["made"], 5, "{late:?}");
    assert_eq!(late.answer["lost"], 0, "{late:?}");
    assert!(
        late.answer["latest_milliseconds"].as_u64() >= Some(130_000),
        "{late:?}"
    );
    assert_eq!(late.holds, Some(false));
    // Only edits were held back.
    assert_eq!(named(&findings, "late_create").holds, Some(true));
    // An experiment that fails says in whose words, and the rest goes on.
    assert!(named(&findings, "restored_with_values").answer["error"].is_string());
}
