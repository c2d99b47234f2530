//! The rules of the house that a compiler does not know.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::golden::root;

/// Modules without await, clock, environment, file or socket.
const PURE: [&str; 11] = [
    "diagnostic",
    "value",
    "template",
    "codec",
    "schema",
    "yaml",
    "mapping",
    "reconcile",
    "plan",
    "journal",
    "report",
];

/// Who may import whom. A new arrow is a change of its own, reviewed by itself.
///
/// `pure` stands for every pure module, `*` for anything.
const ARROWS: [(&str, &[&str]); 26] = [
    ("diagnostic", &[]),
    ("template", &[]),
    ("value", &["template"]),
    ("yaml", &["diagnostic"]),
    ("schema", &["value"]),
    ("codec", &["value", "schema", "template"]),
    (
        "mapping",
        &["diagnostic", "yaml", "value", "template", "schema", "codec"],
    ),
    ("reconcile", &["value", "mapping"]),
    // `report` holds the names under which a plan is printed and saved.
    ("plan", &["value", "schema", "mapping", "reconcile", "report"]),
    ("journal", &["pure"]),
    ("report", &["pure"]),
    ("ports", &["pure"]),
    ("store", &["ports", "pure"]),
    // The one arrow between adapters: a row, its baseline and its journal line share a commit.
    ("postgres", &["ports", "pure", "store"]),
    ("notion", &["ports", "pure"]),
    ("engine", &["ports", "pure"]),
    // Never `notion`, or one misreading of the API would pass its own test.
    ("simulator", &["ports", "pure"]),
    // `project` for the schedule.
    ("runner", &["engine", "ports", "project", "pure"]),
    ("server", &["runner", "ports", "pure", "notion"]),
    ("cluster", &[]),
    ("project", &["pure"]),
    ("demo", &["*"]),
    ("cli", &["*"]),
    ("main", &["*"]),
    ("lib", &["*"]),
    ("frames_sync", &["*"]),
];

/// What pure code may not name: I/O, clocks, randomness, and maps whose order differs from run to run.
const IMPURE: [&str; 24] = [
    ".await",
    "async fn",
    "tokio::",
    "sqlx::",
    "reqwest::",
    "axum::",
    "std::fs",
    "std::env",
    "TcpStream",
    "TcpListener",
    "ToSocketAddrs",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "now_utc()",
    "now_local()",
    "Timestamp::now",
    "Zoned::now",
    "new_v4()",
    "now_v7()",
    "HashMap",
    "HashSet",
    "println!",
];

/// Names that say nothing.
const EMPTY_NAMES: [&str; 7] = ["utils", "common", "helpers", "types", "core", "base", "manager"];

/// Lines in a file. Past this it is where things meet, and wants splitting.
const LONGEST: usize = 900;

struct Source {
    /// Relative to `src`, with `/`.
    path: String,
    /// The code without comments and without tests.
    code: String,
    lines: usize,
}

impl Source {
    /// The top-level module that the file is in.
    fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or(&self.path);
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Whether the file holds tests only.
    fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs") || self.path.contains("/tests/")
    }
}

fn sources() -> Vec<Source> {
    fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                collect(&path, into);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                into.push(path);
            }
        }
    }
    let src = root().join("src");
    let mut paths = Vec::new();
    collect(&src, &mut paths);
    paths.sort();
    assert!(paths.len() > 50, "the sources were not found");
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a source file");
            let shown = path.strip_prefix(&src).expect("within src").to_string_lossy();
            Source {
                lines: text.lines().count(),
                code: code_of(&text),
                path: shown.replace('\\', "/"),
            }
        })
        .collect()
}

/// Code without comment lines, up to the tests at the end.
fn code_of(text: &str) -> String {
    text.split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or(text)
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .fold(String::new(), |code, line| code + line + "\n")
}

/// The top-level modules that code names through `crate::`.
fn imports(code: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| is_name(c) || c == '$') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0_usize;
            let mut name = String::new();
            let mut takes = true;
            for c in group.chars() {
                match c {
                    '}' if depth == 0 => break,
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => takes = true,
                    c if depth == 0 && takes && is_name(c) => name.push(c),
                    c if depth == 0 && takes && !(c.is_whitespace() && name.is_empty()) => takes = false,
                    _ => {}
                }
                if !takes || c == ',' {
                    found.insert(std::mem::take(&mut name));
                }
            }
            found.insert(name);
        } else {
            found.insert(rest.chars().take_while(|c| is_name(*c)).collect());
        }
    }
    found.remove("");
    found
}

#[track_caller]
fn assert_none(failures: &[String]) {
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn modules_import_only_whom_they_may() {
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let mut failures = Vec::new();
    for source in sources() {
        let Some(allowed) = arrows.get(source.module()) else {
            failures.push(format!(
                "src/{}: a module without a line in the table",
                source.path
            ));
            continue;
        };
        if allowed.contains(&"*") {
            continue;
        }
        for import in imports(&source.code) {
            let is_module = arrows.contains_key(import.as_str());
            let may = import == source.module()
                || allowed.contains(&import.as_str())
                || (allowed.contains(&"pure") && PURE.contains(&import.as_str()));
            if is_module && !may {
                failures.push(format!("src/{}: may not import `{import}`", source.path));
            }
        }
    }
    assert_none(&failures);
}

#[test]
fn pure_modules_do_no_io_and_depend_on_no_order_by_chance() {
    let mut failures = Vec::new();
    for source in sources() {
        if !PURE.contains(&source.module()) || source.is_test() {
            continue;
        }
        for word in IMPURE {
            if source.code.contains(word) {
                failures.push(format!("src/{}: `{word}` in a pure module", source.path));
            }
        }
    }
    assert_none(&failures);
}

#[test]
fn only_the_adapters_speak_their_protocols() {
    let homes = [("sqlx::", &["postgres", "store", "cluster", "demo", "cli"][..])];
    let mut failures = Vec::new();
    for source in sources() {
        for (word, homes) in homes {
            if source.code.contains(word) && !homes.contains(&source.module()) {
                failures.push(format!("src/{}: `{word}` away from home", source.path));
            }
        }
    }
    assert_none(&failures);
}

#[test]
fn names_say_something() {
    let mut failures = Vec::new();
    for source in sources() {
        for part in source.path.trim_end_matches(".rs").split('/') {
            if EMPTY_NAMES.contains(&part) {
                failures.push(format!("src/{}: `{part}` says nothing", source.path));
            }
        }
        for name in EMPTY_NAMES {
            if source.code.contains(&format!("mod {name} {{")) {
                failures.push(format!("src/{}: `mod {name}` says nothing", source.path));
            }
        }
    }
    assert_none(&failures);
}

#[test]
fn exceptions_carry_a_reason_and_nothing_is_left_to_do() {
    let mut failures = Vec::new();
    for source in sources() {
        for word in ["#[allow(", "#![allow(", "todo!", "unimplemented!", "dbg!("] {
            if source.code.contains(word) {
                failures.push(format!("src/{}: `{word}`", source.path));
            }
        }
        for (at, _) in source.code.match_indices("#[expect(") {
            let attribute = source.code[at..].split("]\n").next().unwrap_or_default();
            if !attribute.contains("reason") {
                failures.push(format!("src/{}: an `expect` without a reason", source.path));
            }
        }
    }
    assert_none(&failures);
}

#[test]
fn files_are_short_enough_to_be_read() {
    let mut failures = Vec::new();
    for source in sources() {
        if source.lines > LONGEST {
            failures.push(format!(
                "src/{}: {} lines, of {LONGEST}",
                source.path, source.lines
            ));
        }
    }
    assert_none(&failures);
}

#[test]
fn the_import_scanner_sees_every_form() {
    let code = "use crate::a::{b, crate_x};\nuse crate::{c, d::{e, f}, g as h};\nlet x = crate::i::j();";
    let found: Vec<String> = imports(code).into_iter().collect();
    assert_eq!(found, ["a", "c", "d", "g", "i"]);
    assert!(imports("macro_rules! m { () => { $crate::a } }").is_empty());
}
