//! A secret in the project file is refused, and appears nowhere.

use crate::support::TestProject;

const TOKEN: &str = "ntn_479219Zq1xTbs0vDeH3k4mYc8LwRf2GJ6uPoNiA";
const PASSWORD: &str = "correct-horse-battery";

const MAPPING: &str = "\
version: 1
entity: teams
table: public.teams
key: id
notion: { title: Teams }
properties:
  Name: { type: title, column: name }
";

/// Project files that hold a secret in one way or another.
fn projects() -> Vec<String> {
    let url = format!("postgresql://frames:{PASSWORD}@localhost/frames");
    vec![
        // In their places.
        format!(
            "version: 1\ndefaults:\n  database_url: {url}\n  notion: {{ token: {TOKEN} }}\nprofiles: {{ demo: {{}} }}\n"
        ),
        format!(
            "version: 1\nprofiles:\n  demo:\n    database_url: \"{url}\"\n    notion: {{ token: '{TOKEN}' }}\n"
        ),
        // Beside another mistake on the same line.
        format!(
            "version: 1\nprofiles: {{ demo: {{ notion: {{ token: {TOKEN}, tokn: x }}, database_url: {url}, x: 1 }} }}\n"
        ),
        // Under a misspelt key.
        format!("version: 1\nprofiles: {{ demo: {{ notion: {{ tokne: {TOKEN} }}, database: {url} }} }}\n"),
        // In another shape.
        format!(
            "version: 1\nprofiles: {{ demo: {{ notion: {{ token: [{TOKEN}] }}, database_url: {{ url: {url} }} }} }}\n"
        ),
        // Where no YAML can be read.
        format!("version: 1\nprofiles:\n  demo:\n    notion: {{ token: \"{TOKEN}\n    database_url: {url}\n"),
        format!(
            "version: 1\nprofiles: {{ demo: {{ notion: {{ token: {TOKEN} }}, database_url: {url} }}\n]\n"
        ),
        // In a password that no token looks like, and a URL that is none.
        format!(
            "version: 1\nprofiles: {{ demo: {{ notion: {{ token: {PASSWORD} }}, database_url: mysql://x:{PASSWORD}@h/d }} }}\n"
        ),
        // Twice.
        format!("version: 1\nprofiles: {{ demo: {{ notion: {{ token: {TOKEN}, token: {TOKEN} }} }} }}\n"),
    ]
}

#[test]
fn a_literal_secret_is_refused_and_never_shown() {
    for yaml in projects() {
        let project = TestProject::new().project(&yaml).mapping("teams", MAPPING);
        for format in ["text", "json", "github", "sarif"] {
            for more in ["-q", "-vv", "--color=always", "--log-format=json"] {
                let ran = project.run(&["validate", "--offline", "--format", format, more]);
                assert_eq!(ran.code, Some(1), "{yaml}\n{ran:?}");
                for secret in [TOKEN, PASSWORD] {
                    assert!(
                        !ran.stdout.contains(secret) && !ran.stderr.contains(secret),
                        "--format {format} {more} shows it:\n{yaml}\n{}\n{}",
                        ran.stdout,
                        ran.stderr
                    );
                }
            }
        }
    }
}

#[test]
fn a_literal_secret_in_its_place_says_where_it_belongs() {
    let project = TestProject::new()
        .project(&projects()[0])
        .mapping("teams", MAPPING);
    let ran = project.run(&["validate", "--offline"]);
    assert_eq!(
        ran.stdout.matches("error[literal-secret]").count(),
        2,
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("{{ env.NOTION_API_KEY }}"), "{}", ran.stdout);
    assert!(ran.stdout.contains("{{ env.DATABASE_URL }}"), "{}", ran.stdout);
}

#[test]
fn what_a_variable_holds_is_never_shown() {
    let yaml = "\
version: 1
defaults:
  database_url: \"{{ env.DATABASE_URL }}\"
  notion:
    token: \"{{ env.NOTION_API_KEY }}\"
    base_url: \"{{ env.NOTION_API_KEY }}\"
    requests_per_minute: \"{{ env.NOTION_API_KEY }}\"
    parent_page: \"{{ env.NOTION_API_KEY + 1 }}\"
profiles: { demo: {} }
";
    let project = TestProject::new()
        .project(yaml)
        .mapping("teams", MAPPING)
        .file(".env", format!("NOTION_API_KEY={TOKEN}\n"))
        .env(
            "DATABASE_URL",
            format!("mysql://frames:{PASSWORD}@localhost/frames"),
        );
    for format in ["text", "json", "github", "sarif"] {
        let ran = project.run(&["validate", "--offline", "-vv", "--format", format]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stdout.contains("invalid-database-url"), "{}", ran.stdout);
        for secret in [TOKEN, PASSWORD] {
            assert!(
                !ran.stdout.contains(secret) && !ran.stderr.contains(secret),
                "{ran:?}"
            );
        }
    }
}
