//! What people ask of it: why a value stands where it stands, what was done, how to take it back, how far it is.

mod doctor;
mod explain;
mod history;
mod opt_out;
mod progress;
#[cfg(unix)]
mod terminal;
mod undo;
#[cfg(unix)]
mod walk;

use serde_json::Value as Json;

use crate::sync::world::World;
use crate::sync::{BOTH, GROUPS_MAPPING, THINGS, THINGS_MAPPING};

/// Two tables that are set up and in step.
async fn set_up() -> World {
    let world = World::with(THINGS, BOTH).await;
    world.ok(&["setup"]);
    world
}

/// The same, with lines added to the mapping of things.
async fn with(lines: &str) -> World {
    let mapping = THINGS_MAPPING.replace("key: id\n", &format!("key: id\n{lines}\n"));
    let world = World::with(THINGS, &[("things", &mapping), ("groups", GROUPS_MAPPING)]).await;
    world.ok(&["setup"]);
    world
}

/// Replaces timings of the project.
fn tune(world: &World, from: &str, to: &str) {
    let path = world.project.path().join("frames-sync.yaml");
    let yaml = std::fs::read_to_string(&path).expect("the project");
    assert!(yaml.contains(from), "{yaml}");
    std::fs::write(path, yaml.replace(from, to)).expect("the project");
}

/// The entries of the audit log that a history with these arguments shows.
fn history(world: &World, arguments: &[&str]) -> Vec<Json> {
    let mut all = vec!["history"];
    all.extend(arguments);
    let report = world.ok(&all);
    report.json["entries"].as_array().cloned().expect("entries")
}

/// The newest entry for which this holds.
#[track_caller]
fn entry(world: &World, wanted: impl Fn(&Json) -> bool) -> Json {
    let entries = history(world, &[]);
    entries
        .iter()
        .find(|entry| wanted(entry))
        .unwrap_or_else(|| panic!("no such entry among {entries:#?}"))
        .clone()
}

/// A field of a report as text.
fn of<'a>(json: &'a Json, name: &str) -> &'a str {
    json[name].as_str().unwrap_or_default()
}
