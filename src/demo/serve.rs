//! `--serve`: keeps both sides open to edits, and carries every one across.

use std::time::Duration;

use super::claims::Narrator;
use super::folder::PROFILES;
use super::sides::Sides;
use super::story::{run, summary};
use crate::cli::Failure;
use crate::report::Command;

/// How long the loop rests between two cycles.
const REST: Duration = Duration::from_secs(1);

/// Prints where the two sides are, and syncs until it is dropped.
pub(crate) async fn keep_in_step(sides: &Sides, told: &Narrator<'_>, database_url: &str) -> Failure {
    told.line("\n\u{1b}[1mNow you.\u{1b}[0m Edit on either side; the other follows within a second or two. Ctrl-C ends it.\n");
    told.line(&format!("   Notion     {}/", sides.simulator.base_url));
    told.line(&format!("   Postgres   psql '{database_url}'"));
    told.line(&format!(
        "   mappings   {}\n",
        sides.folder.path().join("mappings").display()
    ));
    let mut last_failure = String::new();
    loop {
        for name in PROFILES {
            match run(sides, Command::Sync, &[name]).await {
                Ok(report) => {
                    for profile in &report.profiles {
                        let changes = summary(profile);
                        if changes != "nothing to do" {
                            told.line(&format!("   {name:<12} {changes}"));
                        }
                    }
                }
                // A mapping in the middle of an edit is no reason to end; it is told once.
                Err(failure) if failure.message != last_failure => {
                    told.line(&format!("   {name:<12} {}", failure.message));
                    last_failure = failure.message;
                }
                Err(_) => {}
            }
        }
        tokio::time::sleep(REST).await;
    }
}
