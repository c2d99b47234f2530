//! The planted bugs of `tests/planted/*.patch` must not rot: each applies to the tree as it is, says what it plants, and
//! names a check that there is. `tests/planted/run` builds each of them and lets its check find it.

#![expect(
    clippy::unwrap_used,
    reason = "a harness stops at the first surprise, as a test does"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::golden::root;

/// One patch: its two lines of text, and for each file the texts that are to be replaced, in order.
struct Planted {
    planted: String,
    found_by: String,
    files: BTreeMap<String, Vec<String>>,
}

fn read(text: &str) -> Planted {
    let line = |name: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(name));
        found.map(str::to_owned).unwrap_or_default()
    };
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut hunks: Option<&mut Vec<String>> = None;
    for line in text.lines() {
        if let Some(path) = line.strip_prefix("--- a/") {
            hunks = Some(files.entry(path.to_owned()).or_default());
        } else if let Some(hunks) = &mut hunks {
            if line.starts_with("@@ ") {
                hunks.push(String::new());
            } else if let (Some(hunk), Some(kept)) = (
                hunks.last_mut(),
                line.strip_prefix(' ').or_else(|| line.strip_prefix('-')),
            ) {
                hunk.push_str(kept);
                hunk.push('\n');
            }
        }
    }
    Planted {
        planted: line("planted: "),
        found_by: line("found by: "),
        files,
    }
}

fn patches() -> Vec<(PathBuf, Planted)> {
    let mut paths: Vec<PathBuf> = fs::read_dir(root().join("tests/planted"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "patch"))
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path, read(&text))
        })
        .collect()
}

/// Whether a folder has a Rust file with that test.
fn has_test(folder: &Path, declared: &str) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            has_test(&path, declared)
        } else {
            path.extension().is_some_and(|extension| extension == "rs")
                && fs::read_to_string(&path).unwrap().contains(declared)
        }
    })
}

#[test]
fn every_planted_bug_applies_and_names_its_check() {
    let patches = patches();
    assert!(patches.len() >= 9, "the patches were not found");
    for (path, planted) in patches {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(!planted.planted.is_empty(), "{name} does not say what it plants");
        assert!(!planted.files.is_empty(), "{name} changes nothing");
        let (kind, check) = planted.found_by.split_once(' ').unwrap_or_default();
        match kind {
            "lib" | "it" => {
                let folder = root().join(if kind == "lib" { "src" } else { "tests/it" });
                let test = check.rsplit("::").next().unwrap();
                assert!(
                    has_test(&folder, &format!("fn {test}(")),
                    "{name}: there is no test `{check}`"
                );
            }
            _ => panic!("{name} does not say which check finds it"),
        }
        for (file, hunks) in planted.files {
            let text = fs::read_to_string(root().join(&file)).unwrap();
            let mut rest = text.as_str();
            for hunk in hunks {
                let at = rest.find(&hunk);
                let at =
                    at.unwrap_or_else(|| panic!("{name} does not apply any more: {file} has no\n{hunk}"));
                rest = &rest[at + hunk.len()..];
            }
        }
    }
}
