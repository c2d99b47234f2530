//! `demo`: the first line of the README, on each PostgreSQL that this machine and this build have.

use frames_sync::cluster::{Cluster, Engine};
use serde_json::Value as Json;
use sqlx::{Connection as _, PgConnection};

use crate::support::{Ran, TestProject};

/// Runs the demo with a folder of its own for temporary files, which has to be empty again afterwards.
fn demo(arguments: &[&str]) -> Ran {
    let folder = TestProject::new();
    let temporary = folder.path().join("temporary");
    std::fs::create_dir(&temporary).expect("a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let folder = folder
        .env("TMPDIR", temporary.to_string_lossy())
        .env("PATH", path)
        // A user's own database and token are none of the demo's business.
        .env("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
        .env("NOTION_API_KEY", "ntn_of_the_user");
    let ran = folder.run(&[&["demo"], arguments].concat());
    let left: Vec<_> = std::fs::read_dir(&temporary)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name())
        .filter(|name| !name.to_string_lossy().starts_with("frames-sync-initdb-"))
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    ran
}

fn every_claim_holds(engine: &str) {
    let ran = demo(&["--db", engine, "--format", "json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout);
    let summary: Json = serde_json::from_str(&ran.stdout).expect("one JSON object");
    assert_eq!(summary["version"], 1);
    assert_eq!(summary["ok"], true);
    let claims = summary["claims"].as_array().expect("claims");
    assert!(claims.len() >= 20, "{}", ran.stdout);
    for claim in claims {
        assert_eq!(claim["ok"], true, "{claim}");
        assert!(
            claim["chapter"].is_string() && claim["claim"].is_string(),
            "{claim}"
        );
    }
}

#[test]
fn every_claim_of_the_demo_holds_on_the_preferred_postgres() {
    every_claim_holds("auto");
}

#[cfg(feature = "embedded")]
#[test]
fn every_claim_of_the_demo_holds_on_the_embedded_postgres() {
    every_claim_holds("embedded");
}

#[test]
fn the_story_is_short_and_ticks_every_claim() {
    let ran = demo(&[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout);
    let lines = ran.stdout.lines().count();
    assert!((50..=95).contains(&lines), "{lines} lines");
    assert!(!ran.stdout.contains('✗') && !ran.stdout.contains('\u{1b}'));
    assert!(ran.stdout.matches('✓').count() >= 20);
    for command in ["setup --all-profiles", "sync -p calpoly", "sync --all-profiles"] {
        assert!(
            ran.stdout.contains(&format!("$ frames-sync {command}\n")),
            "{command}"
        );
    }
}

#[tokio::test]
async fn a_database_that_is_not_empty_is_left_alone() {
    let cluster = Cluster::start(Engine::Any).expect("a cluster");
    let mut connection = PgConnection::connect(&cluster.url("postgres"))
        .await
        .expect("a connection");
    sqlx::raw_sql("create table teams (id text)")
        .execute(&mut connection)
        .await
        .expect("a table");
    let ran = demo(&["--database-url", &cluster.url("postgres")]);
    assert_eq!(ran.code, Some(3), "{}", ran.stdout);
    assert!(ran.stderr.contains("has to be empty"), "{}", ran.stderr);
    let tables: i64 = sqlx::query_scalar("select count(*) from pg_tables where schemaname = 'public'")
        .fetch_one(&mut connection)
        .await
        .expect("a count");
    assert_eq!(tables, 1);
}
