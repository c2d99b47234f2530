//! Input that nobody writes by hand: each a finding with a place, within bounds, and never a panic.

use std::path::{Path, PathBuf};

use frames_sync::diagnostic::{Code, Diagnostic};
use frames_sync::project::{Environment, Project};
use frames_sync::yaml::LARGEST_FILE;
use tempfile::TempDir;

use super::samples::{check, render};
use crate::support::TestProject;

const MAPPING: &str = "\
version: 1
entity: teams
table: public.teams
key: id
notion: { title: Teams }
properties:
  Name: { type: title, column: name }
";

struct Sample {
    _folder: TempDir,
    path: PathBuf,
}

fn sample(bytes: impl AsRef<[u8]>) -> Sample {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("teams.yaml");
    std::fs::write(&path, bytes).expect("written");
    Sample {
        _folder: folder,
        path,
    }
}

fn codes(findings: &[Diagnostic]) -> Vec<Code> {
    findings.iter().map(|finding| finding.code).collect()
}

#[track_caller]
fn only(path: &Path, code: Code) -> Diagnostic {
    let findings = check(path);
    assert_eq!(codes(&findings), [code], "{}", render(&findings));
    findings.into_iter().next().expect("one finding")
}

#[test]
fn an_empty_file_is_a_finding() {
    only(&sample("").path, Code::EmptyDocument);
    only(&sample("\u{feff}").path, Code::EmptyDocument);
    only(&sample(" \n\n").path, Code::EmptyDocument);
}

#[test]
fn a_binary_file_is_a_finding_that_shows_no_control_characters() {
    let mut bytes = b"\x7fELF\x02\x01\x01\x00\x1b[31m".to_vec();
    bytes.extend((0..=255).cycle().take(100_000));
    let sample = sample(bytes);
    let finding = only(&sample.path, Code::NotUtf8);
    let shown = render(&[finding]);
    assert!(
        !shown.chars().any(|c| c.is_control() && c != '\n'),
        "{}",
        shown.escape_debug()
    );
}

#[test]
fn no_more_of_a_long_file_is_read_than_may_be_used() {
    // Ten megabytes of a mapping that would be valid.
    let mut text = MAPPING.to_owned();
    while text.len() < 10 << 20 {
        text.push_str("# another line\n");
    }
    let sample = sample(text);
    let finding = only(&sample.path, Code::FileTooLarge);
    assert!(finding.primary.file.text.is_empty(), "the text was kept");
    const { assert!(LARGEST_FILE <= 1 << 20) }
}

#[test]
fn a_billion_laughs_stop_within_the_budget() {
    let mut text = format!("{MAPPING}laughs:\n  - &a [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]\n");
    for (this, before) in "bcdefghi".chars().zip("abcdefgh".chars()) {
        let ten = vec![format!("*{before}"); 10].join(", ");
        text.push_str(&format!("  - &{this} [{ten}]\n"));
    }
    only(&sample(text).path, Code::TooComplex);
}

#[test]
fn many_small_aliases_stop_within_the_budget() {
    let list = vec!["x"; 150].join(", ");
    let aliases = vec!["*a"; 190].join(", ");
    only(
        &sample(format!("{MAPPING}more: [&a [{list}], {aliases}]\n")).path,
        Code::TooComplex,
    );
}

#[test]
fn a_million_levels_are_refused_at_the_first_few() {
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        let depth = 1_000_000 / open.len();
        let text = open.repeat(depth);
        let finding = only(&sample(&text).path, Code::TooComplex);
        assert!(finding.primary.span.end < 1000, "{:?}", finding.primary.span);
        // As long as a file may be, and closed again.
        let depth = 300_000 / open.len();
        only(
            &sample(format!("{}{}", open.repeat(depth), close.repeat(depth))).path,
            Code::TooComplex,
        );
    }
    let blocks: String = (0..1_200)
        .map(|level| format!("{}a:\n", " ".repeat(level)))
        .collect();
    only(&sample(blocks).path, Code::TooComplex);
    only(&sample("- ".repeat(400_000)).path, Code::TooComplex);
}

#[test]
fn a_list_of_a_hundred_thousand_values_is_refused() {
    only(
        &sample(format!("{MAPPING}many: [{}]\n", "1, ".repeat(100_000))).path,
        Code::TooComplex,
    );
}

#[test]
fn a_line_of_a_million_characters_is_not_shown() {
    let finding = only(
        &sample(format!("{MAPPING}{}: 1\n", "k".repeat(900_000))).path,
        Code::YamlSyntax,
    );
    assert!(render(&[finding]).len() < 10_000);
    let finding = only(
        &sample(MAPPING.replace("public.teams", &"t".repeat(900_000))).path,
        Code::InvalidIdentifier,
    );
    assert!(render(&[finding]).len() < 10_000);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_change_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("teams.yaml");
    std::fs::write(&path, format!("\u{feff}{MAPPING}").replace('\n', "\r\n")).expect("written");
    assert_eq!(render(&check(&path)), "");
    std::fs::write(
        &path,
        format!("\u{feff}{MAPPING}owner: me\n").replace('\n', "\r\n"),
    )
    .expect("written");
    let finding = only(&path, Code::UnknownKey);
    let position = finding.primary.file.position(finding.primary.span.start);
    assert_eq!((position.line, position.column), (8, 1));
    assert_eq!(finding.primary.file.slice(&finding.primary.span), "owner");
}

#[test]
fn an_unpaired_byte_order_mark_elsewhere_is_no_panic() {
    for text in [
        MAPPING.replace("version", "\u{feff}version\u{feff}"),
        MAPPING.replace("teams", "te\u{0}ams"),
        MAPPING.replace(": ", ":\u{a0}"),
        MAPPING.replace('\n', "\r"),
        MAPPING.replace('\n', "\u{2028}"),
    ] {
        for finding in check(&sample(text).path) {
            render(&[finding]);
        }
    }
}

#[test]
fn a_folder_in_place_of_a_mapping_is_a_finding() {
    let project = TestProject::new()
        .project("version: 1\nprofiles: { demo: {} }\n")
        .mapping("teams", MAPPING)
        .file("mappings/broken.yaml/inside.txt", "");
    let findings = project_findings(project.path());
    assert_eq!(codes(&findings), [Code::UnreadableFile], "{}", render(&findings));
}

#[cfg(unix)]
#[test]
fn a_link_to_nothing_is_a_finding() {
    let project = TestProject::new()
        .project("version: 1\nprofiles: { demo: {} }\n")
        .mapping("teams", MAPPING);
    std::os::unix::fs::symlink("nowhere", project.path().join("mappings/lost.yaml")).expect("a link");
    let findings = project_findings(project.path());
    assert_eq!(codes(&findings), [Code::UnreadableFile], "{}", render(&findings));
    assert!(findings[0].primary.file.path.ends_with("lost.yaml"));
}

#[test]
fn a_file_in_place_of_the_mappings_folder_is_a_finding_where_it_is_named() {
    let project = TestProject::new()
        .project("version: 1\nmappings: teams.yaml\nprofiles: { demo: {} }\n")
        .file("teams.yaml", MAPPING);
    let findings = project_findings(project.path());
    assert_eq!(codes(&findings), [Code::UnreadableFile], "{}", render(&findings));
    assert_eq!(findings[0].pointer, "/mappings");
}

/// What loading says about a project, its mapping files' own findings included.
fn project_findings(folder: &Path) -> Vec<Diagnostic> {
    let file = folder.join("frames-sync.yaml");
    let checked = Project::load(&file, folder, Environment::default());
    let mut findings = checked.findings;
    let files = checked.value.map(|project| project.files).unwrap_or_default();
    findings.extend(files.into_iter().flat_map(|file| file.findings));
    findings
}
