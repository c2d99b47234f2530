//! Corpora changed at random, through every fuzz target: never a panic, and the laws of `targets.rs` hold.
//!
//! The stable form of `fuzz/`. The cases are the same in every run; `FRAMES_SYNC_FUZZ_CASES=N` makes N of them for each
//! target.

use std::path::PathBuf;

use crate::golden::{self, root};
use crate::validate::samples;

mod targets;

/// Cases of a run that nobody asked to be longer: a second or two for each target in a debug build.
const CASES: u64 = 1_500;

/// SplitMix64 (Steele, Lea and Flood, 2014): small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// What YAML, templates and terminals give a meaning to.
const SPICES: [&str; 38] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ": ",
    ",",
    "\n",
    "\r\n",
    "\t",
    "  ",
    "- ",
    "? ",
    "#",
    "&a ",
    "*a",
    "!x ",
    "|\n",
    ">-\n",
    "'",
    "\"",
    "\\",
    "\0",
    "\u{feff}",
    "\u{202e}",
    "é",
    "🛰️",
    "{{",
    "}}",
    "{% if x %}",
    "{# ",
    "%}",
    "null",
    "0o7",
    "1e999",
    "<<: ",
    "---\n",
    "~",
];

fn cases() -> u64 {
    match std::env::var("FRAMES_SYNC_FUZZ_CASES") {
        Ok(cases) => cases.parse().expect("FRAMES_SYNC_FUZZ_CASES is a number"),
        Err(_) => CASES,
    }
}

/// The files of a target's corpus, in order; mappings have the samples of `validate` besides.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = root().join("fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    if target == "mapping" {
        let samples = [samples::INVALID, samples::VALID, "mappings"];
        paths.extend(
            samples
                .into_iter()
                .flat_map(|folder| golden::entries(folder, "yaml")),
        );
    }
    paths
        .into_iter()
        .map(|path| {
            let bytes = std::fs::read(&path).expect("a file of the corpus");
            (path, bytes)
        })
        .collect()
}

/// One to six changes: bytes flipped, pieces cut, doubled, moved in from another sample, or spices added.
fn mutate(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = random.pick(corpus).clone();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(24)).min(bytes.len());
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            3 => {
                let other = random.pick(corpus);
                let from = random.below(other.len());
                let to = (from + random.below(60)).min(other.len());
                bytes.splice(at..end, other[from..to].iter().copied());
            }
            4 => {
                // A line again, elsewhere.
                let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
                let line = lines
                    .get(random.below(lines.len()))
                    .copied()
                    .unwrap_or_default()
                    .to_vec();
                bytes.splice(at..at, line);
            }
            _ => {
                let spice = random.pick(&SPICES).as_bytes();
                bytes.splice(at..at, spice.iter().copied());
            }
        }
    }
    bytes
}

/// The corpus as it is, where every crash that was ever found stands, and then changed.
#[track_caller]
fn holds(name: &str) {
    let (_, target) = targets::ALL
        .into_iter()
        .find(|(known, _)| *known == name)
        .expect("a target");
    let run = |what: &str, bytes: &[u8]| {
        let held = std::panic::catch_unwind(|| target(bytes)).is_ok();
        assert!(held, "{name}, {what}:\n{}", String::from_utf8_lossy(bytes));
    };
    let corpus = corpus(name);
    assert!(corpus.len() >= 3, "a corpus of {}", corpus.len());
    for (path, bytes) in &corpus {
        run(&path.display().to_string(), bytes);
    }
    let seeds: Vec<Vec<u8>> = corpus.into_iter().map(|(_, bytes)| bytes).collect();
    for case in 0..cases() {
        run(&format!("case {case}"), &mutate(&mut Random(case), &seeds));
    }
}

macro_rules! targets_hold {
    ($($test:ident: $name:literal),* $(,)?) => {
        $(#[test] fn $test() { holds($name); })*

        #[test]
        fn every_target_is_run_here_and_under_libfuzzer() {
            let here = [$($name),*];
            let all: Vec<&str> = targets::ALL.iter().map(|(name, _)| *name).collect();
            assert_eq!(here, all[..]);
            let manifest = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).expect("a manifest");
            for name in all {
                assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is no program of `fuzz`");
                assert!(root().join(format!("fuzz/fuzz_targets/{name}.rs")).is_file(), "{name}");
            }
        }
    };
}

targets_hold! {
    no_change_of_a_sample_makes_the_loader_panic: "mapping",
    no_change_of_a_template_makes_it_panic: "template",
    no_answer_of_notion_makes_the_client_panic: "notion_answer",
    no_delivery_is_taken_without_its_signature: "webhook",
    no_value_of_either_side_breaks_the_laws_of_the_codec: "codec",
    no_text_of_postgres_reads_as_another_once_it_is_bound: "postgres_text",
    no_saved_plan_makes_it_panic_and_no_edited_one_is_taken: "saved_plan",
    no_message_of_a_client_names_anothers_statement: "wire_message",
    no_cron_line_goes_back_in_time: "cron",
}
