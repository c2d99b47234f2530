//! The short form of the campaign; `examples/campaign.rs` is the long one.

use std::sync::Arc;

use super::campaign::{Campaign, Found, seeds_to_detect, twice};
use super::crash::{kill_everywhere, scripts};
use super::mutants::Mutant;
use super::real::{Server, compare, differences};
use super::tape::Tape;
use super::{For, simulate};
use crate::support::TestDatabase;

/// Seeds within which a planted bug is looked for in every test run; `campaign -- --mutants` looks for all of them.
const EASY: u64 = 40;

/// What the campaign says when it is asked that, and whether all went as it must.
fn campaign(words: &[&str]) -> (bool, String) {
    let asked = Campaign::read(words.iter().map(|word| (*word).to_owned())).unwrap();
    let mut out = Vec::new();
    let held = asked.run(&mut out, &mut std::io::sink()).unwrap();
    (held, String::from_utf8(out).unwrap())
}

#[test]
fn schedules_hold_every_invariant_and_repeat_to_the_byte() {
    // What so few do not meet is told, and no failure here: the long campaign asks for all of it.
    let (held, said) = campaign(&["--seeds", "0..40", "--partial"]);
    assert!(held, "{said}");
}

#[test]
fn a_campaign_says_the_same_on_any_number_of_threads() {
    let said = |threads: &str| {
        let (held, said) = campaign(&["--seeds", "3..90", "--threads", threads]);
        assert!(!held, "so few seeds do not meet every cell");
        let of_time = |line: &&str| !line.contains("a second");
        said.lines()
            .filter(of_time)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let one = said("1");
    assert!(one.iter().any(|line| line.contains("UNMET")), "{one:?}");
    assert_eq!(one, said("3"));
}

#[test]
fn a_failing_seed_is_told_and_shrunk() {
    let (held, said) = campaign(&["--seed", "3", "--mutant", "StatusAlways"]);
    assert!(!held);
    assert!(said.contains("VIOLATED I3"), "{said}");
    let tape = said.lines().find(|line| line.starts_with('{')).unwrap();
    let found: Found = serde_json::from_str(tape).unwrap();
    assert!(
        found.tape.ops.is_empty() && found.tape.faults.is_empty(),
        "it fails without any"
    );
}

#[test]
fn what_was_found_once_stays_mended() {
    let folder = crate::golden::root().join("tests/it/simulation/corpus");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 5, "the corpus was not found");
    for file in files {
        let found: Found = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let verdict = twice(&found.tape, None);
        assert_eq!(
            verdict.violations,
            Vec::<String>::new(),
            "{}: {}",
            file.display(),
            found.what
        );
    }
}

#[test]
fn the_canary_always_fails() {
    for seed in 0..5 {
        let verdict = simulate(&Tape::of(seed), Some(Mutant::Canary), For::Judgement);
        assert!(!verdict.violations.is_empty(), "seed {seed}");
    }
}

#[test]
fn the_planted_bugs_that_are_easy_to_find_are_found() {
    let easy = Mutant::ALL.iter().filter(|mutant| mutant.expected() <= EASY);
    let missed: Vec<_> = easy
        .clone()
        .filter(|mutant| seeds_to_detect(**mutant, mutant.expected() * 10).is_none())
        .map(|mutant| mutant.text())
        .collect();
    assert!(easy.count() >= 8, "few are easy any more");
    assert!(
        missed.is_empty(),
        "not within ten times as many seeds as before: {missed:?}"
    );
}

#[test]
fn scripts_survive_a_kill_at_every_few_effects() {
    let scripts = scripts();
    assert!(scripts.len() >= 40);
    for (number, script) in scripts.iter().enumerate() {
        // Which effects depends on the script, so that all together meet every place.
        let killed = kill_everywhere(script, 11 + number % 5, false, None);
        assert!(killed.points > 1, "{}", script.name);
        assert!(killed.failed.is_empty(), "{}: {:?}", script.name, killed.failed);
    }
}

#[test]
fn kills_find_a_missing_journal() {
    let found = scripts().iter().take(3).any(|script| {
        !kill_everywhere(script, 1, false, Some(Mutant::NoJournal))
            .failed
            .is_empty()
    });
    assert!(found);
}

#[test]
fn a_command_line_that_makes_no_sense_is_refused() {
    let read = |words: &[&str]| Campaign::read(words.iter().map(|word| (*word).to_owned()));
    assert!(read(&["--seeds", "5..1_000"]).is_ok());
    assert!(read(&["--seeds", "many"]).is_err());
    assert!(read(&["--mutant", "Nobody"]).is_err());
    assert!(read(&["--fast"]).is_err());
}

/// A throwaway PostgreSQL with the schedule's clock; not inside a runtime, for its calls are waited for on the spot.
fn real_server() -> (TestDatabase, Arc<Server>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(TestDatabase::new());
    let server = Arc::new(Server::over(&database.url()));
    (database, server)
}

#[test]
fn a_tape_comes_to_the_same_end_on_simulated_and_on_real_postgres() {
    let (_database, server) = real_server();
    // Short ones: a long one takes seconds there, and meets little else.
    let short = |seed: &u64| {
        let tape = Tape::of(*seed);
        tape.ops.len() <= 12 && tape.cycles.len() <= 8
    };
    let mut out = Vec::new();
    let same = compare(&server, (0..).filter(short).take(24), &mut out).unwrap();
    assert!(same, "{}", String::from_utf8(out).unwrap());
}

#[test]
fn a_difference_between_simulated_and_real_postgres_is_told() {
    let (_database, server) = real_server();
    let found = differences(&server, &Tape::of(3), Some(Mutant::StatusAlways));
    assert!(!found.is_empty());
}
