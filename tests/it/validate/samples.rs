//! Mapping files with one defect each, named after its code, and files that have none.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use frames_sync::diagnostic::{self, Code, Color, Diagnostic, Layer};
use frames_sync::mapping::{self, Scene};
use frames_sync::project::MappingFile;

use crate::golden;

pub(crate) const INVALID: &str = "tests/cases/mapping/invalid";
pub(crate) const VALID: &str = "tests/cases/mapping/valid";

/// Everything the offline layers say about one file by itself.
pub(crate) fn check(path: &Path) -> Vec<Diagnostic> {
    let file = MappingFile::read(path, golden::root());
    let mut findings = file.findings;
    if let Some(parsed) = &file.parsed {
        let scene = Scene {
            file_stem: Some(file.stem.clone()),
            profile: None,
        };
        let checked = mapping::validate(parsed, &scene);
        findings.extend(checked.findings);
        if let Some(mapping) = &checked.value {
            let alone = [(&parsed.document, mapping)];
            findings.extend(mapping::validate_together(&alone, &[file.stem]));
        }
    }
    diagnostic::sort(&mut findings);
    findings
}

/// The code that a sample is named after: what stands before `--`.
pub(crate) fn code_of(path: &Path) -> Code {
    let stem = golden::stem(path);
    let name = stem.split("--").next().unwrap_or(&stem);
    name.parse()
        .unwrap_or_else(|_| panic!("{} is not named after a code", path.display()))
}

/// Findings as text, one after the other.
pub(crate) fn render(findings: &[Diagnostic]) -> String {
    findings
        .iter()
        .map(|finding| format!("{}\n", diagnostic::text(finding, Color::Plain)))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Panics with every failure, not only the first.
#[track_caller]
pub(crate) fn assert_none(failures: &[String]) {
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn each_sample_has_exactly_the_finding_it_is_named_after() {
    let mut failures = Vec::new();
    for path in golden::entries(INVALID, "yaml") {
        let findings = check(&path);
        let codes: Vec<Code> = findings.iter().map(|finding| finding.code).collect();
        if codes != [code_of(&path)] {
            failures.push(format!(
                "{}: found {codes:?}\n{}",
                path.display(),
                render(&findings)
            ));
        }
    }
    assert_none(&failures);
}

#[test]
fn each_sample_is_shown_as_it_was() {
    let mut failures = Vec::new();
    for path in golden::entries(INVALID, "yaml") {
        let shown = render(&check(&path));
        failures.extend(golden::compare(&path.with_extension("txt"), &shown).err());
    }
    assert_none(&failures);
}

#[test]
fn no_rendered_sample_is_left_without_its_file() {
    for path in golden::entries(INVALID, "txt") {
        assert!(
            path.with_extension("yaml").is_file(),
            "{} is stale",
            path.display()
        );
    }
}

#[test]
fn every_code_of_the_offline_layers_has_a_sample() {
    // These need a file that nobody would check in; `hostile.rs` makes them.
    let made_by_a_test = [Code::UnreadableFile, Code::FileTooLarge];
    let mut shown: BTreeSet<Code> = made_by_a_test.into_iter().collect();
    shown.extend(golden::entries(INVALID, "yaml").iter().map(|path| code_of(path)));
    shown.extend(
        golden::entries(super::projects::PROJECTS, "")
            .iter()
            .map(|path| code_of(path)),
    );
    let missing: Vec<&Code> = Code::ALL
        .iter()
        .filter(|code| !matches!(code.layer(), Layer::Postgres | Layer::Notion))
        .filter(|code| !shown.contains(code))
        .collect();
    assert!(missing.is_empty(), "no sample shows {missing:?}");
}

#[test]
fn no_two_mistakes_are_told_in_the_same_words() {
    let mut told: BTreeMap<(String, Option<String>), String> = BTreeMap::new();
    let mut failures = Vec::new();
    for path in golden::entries(INVALID, "yaml") {
        for finding in check(&path) {
            let words = (finding.message, finding.help);
            if let Some(first) = told.get(&words) {
                failures.push(format!("{first} and {} both say {words:?}", golden::stem(&path)));
            }
            told.insert(words, golden::stem(&path));
        }
    }
    assert_none(&failures);
}

#[test]
fn each_message_is_one_lower_case_line_with_a_place_in_its_file() {
    for path in golden::entries(INVALID, "yaml") {
        for finding in check(&path) {
            let message = &finding.message;
            let shown = path.display();
            assert!(
                !message.contains('\n') && !message.ends_with('.'),
                "{shown}: {message}"
            );
            assert!(
                message.chars().next().is_some_and(|first| !first.is_uppercase()),
                "{shown}: {message}"
            );
            for label in std::iter::once(&finding.primary).chain(&finding.secondary) {
                let text = &label.file.text;
                assert!(
                    text.get(label.span.clone()).is_some(),
                    "{shown}: {:?} is not in the file",
                    label.span
                );
            }
        }
    }
}

#[test]
fn each_sample_says_in_its_first_line_what_is_wrong_and_names_itself() {
    let mut failures = Vec::new();
    for path in golden::entries(INVALID, "yaml") {
        let bytes = std::fs::read(&path).expect("a sample");
        let text = String::from_utf8_lossy(&bytes);
        let first = text.lines().next().unwrap_or_default();
        if !(first.starts_with("# ") && first.ends_with('.')) {
            failures.push(format!("{}: `{first}` is no sentence", path.display()));
        }
        let stem = golden::stem(&path);
        let is_about_the_entity = stem.contains("entity")
            || stem.starts_with("empty-document")
            || stem.starts_with("wrong-type--document");
        if !is_about_the_entity && !text.contains(&format!("\nentity: {stem}\n")) {
            failures.push(format!("{}: the entity is another", path.display()));
        }
    }
    assert_none(&failures);
}

#[test]
fn files_without_a_defect_are_clean() {
    let mut failures = Vec::new();
    let own = golden::entries("mappings", "yaml");
    for path in golden::entries(VALID, "yaml") {
        let findings = check(&path);
        if !findings.is_empty() {
            failures.push(format!("{}:\n{}", path.display(), render(&findings)));
        }
    }
    assert_none(&failures);
    assert!(
        own.len() >= 7,
        "the seven mappings of FRAMES are part of the package"
    );
}

#[test]
fn a_misspelt_key_does_not_hide_what_else_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("teams.yaml");
    let text = "\
version: 1
entity: teams
tabel: public.teams
notion: { titel: Teams }
conflict: whatever
properties:
  Name: { type: rich_text, colum: name }
  State: { type: sellect, column: state }
  Stage: { type: select, column: stage, options: [a, A] }
";
    std::fs::write(&path, text).expect("written");
    let codes: Vec<&str> = check(&path).iter().map(|finding| finding.code.name()).collect();
    assert_eq!(
        codes,
        [
            "missing-key",
            "unknown-key",
            "unknown-key",
            "unknown-value",
            "unknown-key",
            "unknown-property-type",
            "duplicate-option"
        ]
    );
}
