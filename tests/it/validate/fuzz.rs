//! Samples changed at random: never a panic, and every place lies inside its file.
//!
//! The stable form of `fuzz/fuzz_targets/mapping.rs`. The cases are the same in every run;
//! `FRAMES_SYNC_FUZZ_CASES=N` makes N of them.

use frames_sync::diagnostic::{Color, json, sarif, text};
use frames_sync::mapping::{self, Scene};
use frames_sync::template::{Ambient, Template};
use frames_sync::yaml;

use crate::golden;

/// Cases of a run that nobody asked to be longer: a few seconds in a debug build.
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

fn corpus() -> Vec<Vec<u8>> {
    [super::samples::INVALID, super::samples::VALID, "mappings"]
        .into_iter()
        .flat_map(|folder| golden::entries(folder, "yaml"))
        .map(|path| std::fs::read(path).expect("a sample"))
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

/// Runs the offline layers over one file, as the fuzz target does.
fn check(bytes: Vec<u8>) {
    let read = yaml::read_bytes("fuzz.yaml", bytes);
    let mut findings = read.findings;
    if let Some(document) = read.value {
        let parsed = mapping::parse(document);
        findings.extend(parsed.findings);
        if let Some(parsed) = &parsed.value {
            let checked = mapping::validate(parsed, &Scene::default());
            findings.extend(checked.findings);
            if let Some(mapping) = &checked.value {
                findings.extend(mapping::validate_together(&[(&parsed.document, mapping)], &[]));
            }
        }
    }
    for finding in &findings {
        for label in std::iter::once(&finding.primary).chain(&finding.secondary) {
            let is_inside = label.file.text.get(label.span.clone()).is_some();
            assert!(is_inside, "{:?} is not in the file: {finding:?}", label.span);
        }
        text(finding, Color::Plain);
    }
    json(&findings);
    sarif(&findings);
}

#[test]
fn no_change_of_a_sample_makes_the_loader_panic() {
    let corpus = corpus();
    for case in 0..cases() {
        let bytes = mutate(&mut Random(case), &corpus);
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        if let Err(panic) = std::panic::catch_unwind(|| check(bytes)) {
            eprintln!("case {case}:\n{shown}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn no_change_of_a_template_makes_it_panic() {
    let templates = [
        "{{ first_name }} {{ last_name }}",
        "{% if active %}yes{% else %}no{% endif %}",
        "{{ row[\"odd name\"] | upper }}",
        "{% for x in tags %}{{ x }}, {% endfor %}",
        "{% raw %}{{ }}{% endraw %}",
        "{{ {'a': [1, 2]}['a'][0] ~ uuid() }}",
        "{# comment #}{{ value | default('x') | slug }}",
    ]
    .map(|text| text.as_bytes().to_vec());
    let context = serde_json::json!({ "first_name": "Ada", "row": {}, "tags": ["a", "b"], "value": 1 });
    for case in 0..cases() {
        let bytes = mutate(&mut Random(case), &templates);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        match Template::parse(text.as_str()) {
            Ok(template) => {
                template.references();
                template.row_columns();
                if let Err(error) = template.render(&context, &Ambient::FIXED) {
                    assert!(!error.message.is_empty());
                }
            }
            Err(error) => {
                if let Some(range) = error.range {
                    assert!(text.get(range.clone()).is_some(), "{range:?} in {text:?}");
                }
            }
        }
    }
}
