//! The running service: privileges, routes, neighbours, and what it is built of (S15, S19, S27, S28).

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::golden::root;
use crate::sync::world::World;
use crate::sync::{BOTH, GROUPS_MAPPING, THINGS, THINGS_MAPPING};

#[tokio::test]
async fn s15_strict_doctor_refuses_a_role_that_may_do_more() {
    let world = World::with(THINGS, BOTH).await;
    world.ok(&["setup"]);
    let told = world.run(&["doctor"]);
    let checks = told.json["profiles"][0]["checks"]
        .as_array()
        .expect("checks")
        .clone();
    let privilege = checks
        .iter()
        .find(|check| check["name"] == "privilege")
        .expect("a check");
    assert_eq!(
        (told.code, &privilege["status"]),
        (0, &Json::from("warn")),
        "{privilege}"
    );
    assert_eq!(
        world.run(&["doctor", "--strict"]).code,
        1,
        "the superuser of the tests is more than syncing needs"
    );
}

/// The matrix of `server::access` asks every route that the server has.
#[test]
fn s19_every_route_is_in_the_matrix() {
    let read = |path: &str| {
        std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let matrix = read("tests/it/server/access.rs");
    let mut routes = Vec::new();
    for path in [
        "src/server/mod.rs",
        "src/server/api.rs",
        "src/server/ui/mod.rs",
        "src/server/webhook/mod.rs",
    ] {
        let source = read(path);
        for (at, _) in source.match_indices(".route(") {
            let rest = source[at + ".route(".len()..].trim_start();
            let Some(rest) = rest.strip_prefix('"') else {
                panic!(
                    "{path}: a route that is no literal: {}",
                    &rest[..rest.len().min(60)]
                );
            };
            routes.push(rest.split('"').next().expect("a literal").to_owned());
        }
    }
    assert!(routes.len() >= 10, "{routes:?}");
    // Placeholders stand for what the matrix asks in their place.
    let asked = |route: &str| {
        let fixed: Vec<&str> = route
            .split('/')
            .filter(|part| !part.is_empty() && !part.starts_with('{'))
            .collect();
        fixed.is_empty() || fixed.iter().all(|part| matrix.contains(part))
    };
    let missing: Vec<&String> = routes.iter().filter(|route| !asked(route)).collect();
    assert!(
        missing.is_empty(),
        "{missing:?} are not asked by a stranger in `routes()`"
    );
}

/// How long an edit of a quiet profile may take beside one that is busy.
const IN_TIME: Duration = Duration::from_secs(10);

/// Edits of the busy profile: at its rate they take much longer than the test.
const EDITS: usize = 400;

#[tokio::test]
async fn s27_one_tenant_with_many_edits_keeps_no_other_waiting() {
    let things = THINGS_MAPPING.replace(
        "scope: { org: \"{{ vars.org }}\" }",
        "scope: { org: \"{{ vars.org }}\" }\nguards: { mass_change: 100% }",
    );
    let world = World::of(
        THINGS,
        &[("things", &things), ("groups", GROUPS_MAPPING)],
        &[("cal", "cal"), ("tex", "tex")],
    )
    .await;
    world
        .sql(&format!(
            "insert into things (id, name, org) select 'busy' || n, 'Busy', 'cal' from generate_series(1, {EDITS}) n"
        ))
        .await;
    let pages = world.simulator.workspace(|workspace| {
        let root = workspace.root_page_id();
        [
            workspace.add_text_page(root, "Cal"),
            workspace.add_text_page(root, "Tex"),
        ]
    });
    for (page, profile) in pages.iter().zip(["cal", "tex"]) {
        world.ok(&["setup", "--profile", profile, "--parent-page", &page.to_string()]);
    }
    // Cal may ask 120 times a minute, and each edit takes two requests.
    let path = world.project.path().join("frames-sync.yaml");
    let yaml = std::fs::read_to_string(&path).expect("the project");
    let yaml = yaml.replace("defaults:\n", "defaults:\n  every: 1s\n").replace(
        "{{ env.NOTION_TOKEN_0 }}\"",
        "{{ env.NOTION_TOKEN_0 }}\", requests_per_minute: 120",
    );
    std::fs::write(&path, yaml).expect("written");
    world
        .sql("update things set note = 'busy' where org = 'cal'")
        .await;
    world.simulator.clear_exchanges();
    let mut child = world
        .project
        .command(&["run", "--all-profiles", "-q"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the built binary runs");
    let patches_of = |connection: usize| {
        let exchanges = world.simulator.exchanges();
        exchanges
            .iter()
            .filter(|exchange| exchange.connection == Some(connection) && exchange.method == "PATCH")
            .count()
    };
    let wait = async |what: &str, limit: Duration, holds: &dyn Fn() -> bool| {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < limit, "{what} took more than {limit:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        began.elapsed()
    };
    wait("the busy profile", Duration::from_secs(60), &|| patches_of(0) > 2).await;
    let mut slowest = Duration::ZERO;
    for round in 0..4 {
        let before = patches_of(1);
        world
            .sql(&format!(
                "update things set note = 'quiet {round}' where id = 'x1'"
            ))
            .await;
        let took = wait("an edit of the quiet profile", IN_TIME, &|| {
            patches_of(1) > before
        })
        .await;
        slowest = slowest.max(took);
    }
    let done = patches_of(0);
    assert!(
        done < EDITS,
        "all {EDITS} edits of the busy profile were through, and nothing was shown"
    );
    println!(
        "beside {EDITS} edits of another profile, of which {done} were through, an edit took at most {slowest:?}"
    );
    let _ = child.kill();
    child.wait().expect("its end");
}

#[test]
fn s28_what_it_is_built_of_is_fixed_and_checked() {
    let read = |path: &str| {
        std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let manifest = read("Cargo.toml");
    assert!(manifest.contains("unsafe_code = \"forbid\""));
    assert!(
        !root().join("build.rs").exists() && !manifest.contains("build = \""),
        "no build script of our own"
    );
    assert!(
        !manifest.contains("git = \"") && !manifest.contains("path = \"../"),
        "no source but the registry"
    );
    let lock = read("Cargo.lock");
    let foreign: Vec<&str> = lock
        .lines()
        .filter(|line| line.starts_with("source = ") && !line.starts_with("source = \"registry+"))
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    let packages = lock.matches("[[package]]").count();
    let sums = lock
        .lines()
        .filter(|line| line.starts_with("checksum = "))
        .count();
    assert_eq!(sums + 1, packages, "every package but ours has a checksum");
    let deny = read("deny.toml");
    for rule in [
        "unknown-registry = \"deny\"",
        "unknown-git = \"deny\"",
        "yanked = \"deny\"",
    ] {
        assert!(deny.contains(rule), "{rule}");
    }
    let workflow = read(".github/workflows/ci.yml");
    assert!(workflow.contains("cargo deny check"));
    for line in read(".ci/run")
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
    {
        let builds = ["cargo test", "cargo clippy", "cargo doc", "cargo build"]
            .iter()
            .any(|command| line.contains(command));
        assert!(!builds || line.contains("--locked"), "{line}");
    }
    let release = read(".github/workflows/release.yml");
    for part in ["--locked", "sbom", "attest-build-provenance", "sha256sum"] {
        assert!(release.contains(part), "the release workflow has no `{part}`");
    }
}
