//! The live lane, exercised against the simulator: every experiment runs, and the two agree.

use std::time::Duration;

use frames_sync::notion::experiments::{Patience, run};

use super::setup::World;
use crate::support::openapi::assert_exchanges_conform;

#[tokio::test]
async fn every_experiment_answers_and_the_simulator_agrees_with_what_we_assume() {
    let world = World::new();
    let patience = Patience {
        minute: Duration::ZERO,
        index: Duration::from_secs(5),
    };
    let findings = run(&world.client, &world.parent, patience).await.unwrap();
    assert_exchanges_conform(&world.simulator.exchanges());
    assert_eq!(findings.len(), 25);
    let surprising: Vec<_> = findings
        .iter()
        .filter(|finding| finding.holds == Some(false) || finding.answer.get("error").is_some())
        .collect();
    assert!(surprising.is_empty(), "{surprising:#?}");
    let left = world
        .simulator
        .workspace(|workspace| workspace.data_sources().len());
    assert_eq!(left, 0, "the scratch database is in the trash");
}
