//! Whole projects with one defect each: a folder for each, named after its code.

use std::path::Path;

use frames_sync::diagnostic::{self, Code, Diagnostic};
use frames_sync::project::{Environment, Project, Secrets};

use super::samples::{assert_none, code_of, render};
use crate::golden;

pub(crate) const PROJECTS: &str = "tests/cases/project";

/// Everything the offline layers say about a project and all of its profiles.
pub(crate) fn check(folder: &Path) -> Vec<Diagnostic> {
    let environment = Environment::of([
        ("DATABASE_URL", "postgresql://frames@localhost/frames"),
        ("NOTION_API_KEY", "ntn_from_the_environment"),
        ("NOTION_PARENT_PAGE", "1f0a2b3c4d5e6f708192a3b4c5d6e7f8"),
    ]);
    let checked = Project::load(&folder.join("frames-sync.yaml"), golden::root(), environment);
    let mut findings = checked.findings;
    if let Some(project) = &checked.value {
        findings.extend(project.files.iter().flat_map(|file| file.findings.clone()));
        for name in project.profile_names() {
            let rendered = project.profile(name, Secrets::Needed);
            findings.extend(rendered.findings);
            if let Some(profile) = &rendered.value {
                findings.extend(project.mappings(profile).findings);
            }
        }
    }
    diagnostic::sort(&mut findings);
    findings
}

#[test]
fn each_project_has_exactly_the_finding_it_is_named_after() {
    let mut failures = Vec::new();
    for folder in golden::entries(PROJECTS, "") {
        let findings = check(&folder);
        let codes: Vec<Code> = findings.iter().map(|finding| finding.code).collect();
        if codes != [code_of(&folder)] {
            failures.push(format!(
                "{}: found {codes:?}\n{}",
                folder.display(),
                render(&findings)
            ));
        }
    }
    assert_none(&failures);
}

#[test]
fn each_project_is_shown_as_it_was() {
    let mut failures = Vec::new();
    for folder in golden::entries(PROJECTS, "") {
        let shown = render(&check(&folder));
        failures.extend(golden::compare(&folder.join("expected.txt"), &shown).err());
    }
    assert_none(&failures);
}

#[test]
fn the_project_of_this_package_is_clean_but_for_its_secrets() {
    let checked = Project::load(
        &golden::root().join("frames-sync.yaml"),
        golden::root(),
        Environment::default(),
    );
    let project = checked.value.expect("a project");
    assert_eq!(render(&checked.findings), "");
    assert_eq!(project.files.len(), 7);
    for name in project.profile_names() {
        let rendered = project.profile(name, Secrets::Optional);
        assert!(
            rendered
                .findings
                .iter()
                .all(|finding| finding.code == Code::UndefinedVariable),
            "{}",
            render(&rendered.findings)
        );
        let profile = rendered.value.expect("a profile");
        let mappings = project.mappings(&profile);
        assert_eq!(render(&mappings.findings), "", "{name}");
        assert!(!mappings.value.unwrap_or_default().is_empty(), "{name}");
    }
}
