//! How `validate` answers: its formats, exit codes and options, through the built binary.

use serde_json::Value;

use crate::golden;
use crate::support::TestProject;

const TEAMS: &str = "\
version: 1
entity: teams
table: public.teams
key: id
notion: { title: Teams }
properties:
  Name: { type: title, column: name }
";

const TWO_PROFILES: &str = "\
version: 1
default_profile: calpoly
profiles:
  calpoly: { vars: { university_id: CalPolyPomona } }
  texas: { vars: {} }
";

/// A project whose only mapping has a misspelt type.
fn with_a_mistake() -> TestProject {
    TestProject::new()
        .project("version: 1\nprofiles: { demo: {} }\n")
        .mapping(
            "teams",
            &format!("{TEAMS}  Status: {{ type: sellect, column: \"a, b: 100%\" }}\n"),
        )
}

fn clean() -> TestProject {
    TestProject::new()
        .project("version: 1\nprofiles: { demo: {} }\n")
        .mapping("teams", TEAMS)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

#[test]
fn a_clean_project_says_so_on_standard_error_only() {
    let ran = clean().run(&["validate", "--offline"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""));
    assert_eq!(ran.stderr, "no findings\n");
    assert_eq!(clean().run(&["validate", "--offline", "-q"]).stderr, "");
}

#[test]
fn findings_are_data_and_the_tally_is_talk() {
    let ran = with_a_mistake().run(&["validate", "--offline"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        ran.stdout,
        "\
error[unknown-property-type]: unknown property type `sellect`
 --> mappings/teams.yaml:8:19
  |
8 |   Status: { type: sellect, column: \"a, b: 100%\" }
  |                   ^^^^^^^ not a type of Notion's
  |
  = help: did you mean `select`?

"
    );
    assert_eq!(ran.stderr, "1 error\n");
    assert_eq!(with_a_mistake().run(&["validate", "--offline", "-q"]).stderr, "");
}

#[test]
fn a_warning_alone_is_no_failure() {
    let ran = clean()
        .mapping("teams", &format!("{TEAMS}guards: {{ delete_cap: 100% }}\n"))
        .run(&["validate", "--offline"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.stdout.starts_with("warning[guard-disabled]"),
        "{}",
        ran.stdout
    );
    assert_eq!(ran.stderr, "1 warning\n");
}

#[test]
fn json_is_the_contract_s_object() {
    let ran = with_a_mistake().run(&["validate", "--offline", "--format", "json"]);
    assert_eq!(ran.code, Some(1));
    let report = json(&ran.stdout);
    assert_eq!(report["version"], 1);
    assert_eq!(report["errors"], 1);
    assert_eq!(report["warnings"], 0);
    let finding = &report["findings"][0];
    assert_eq!(finding["code"], "unknown-property-type");
    assert_eq!(finding["severity"], "error");
    assert_eq!(finding["file"], "mappings/teams.yaml");
    assert_eq!(
        (&finding["line"], &finding["column"]),
        (&Value::from(8), &Value::from(19))
    );
    assert_eq!(finding["pointer"], "/properties/Status/type");
    assert_eq!(finding["message"], "unknown property type `sellect`");
    assert_eq!(finding["help"], "did you mean `select`?");
    let clean = json(&clean().run(&["validate", "--offline", "--format", "json"]).stdout);
    assert_eq!(clean["findings"], Value::Array(Vec::new()));
}

#[test]
fn json_reports_fit_the_report_schema() {
    let schema =
        std::fs::read_to_string(golden::root().join("schemas/report.schema.json")).expect("a schema");
    let validator = jsonschema::draft202012::new(&json(&schema)).expect("a valid schema");
    for project in [clean(), with_a_mistake()] {
        let ran = project.run(&["validate", "--offline", "--format", "json"]);
        assert!(validator.is_valid(&json(&ran.stdout)), "{}", ran.stdout);
    }
}

#[test]
fn github_annotates_the_line_and_escapes_the_rest() {
    let ran = with_a_mistake()
        .mapping("a, b", "version: 1\nentity: 100%\n")
        .run(&["validate", "--offline", "--format", "github"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stdout.contains(
            "::error file=mappings/teams.yaml,line=8,col=19,endLine=8,endColumn=26,\
             title=unknown-property-type::unknown property type `sellect`%0Ahelp: did you mean `select`?\n"
        ),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("file=mappings/a%2C b.yaml,line=2") && ran.stdout.contains("`100%25` is not"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.lines().all(|line| line.starts_with("::error ")),
        "{}",
        ran.stdout
    );
}

#[test]
fn sarif_is_valid_and_points_into_the_files() {
    let schema = golden::root().join("tests/fixtures/sarif/sarif-schema-2.1.0.json");
    // One pattern of the published schema has a bracket that nothing opens; it concerns `language`, which we leave out.
    let schema = std::fs::read_to_string(schema)
        .expect("the schema of SARIF")
        .replace("[a-zA-Z]{2}]?$", "[a-zA-Z]{2}$");
    let schema = json(&schema);
    let validator = jsonschema::draft7::new(&schema).expect("a valid schema");
    let every_sample = TestProject::new();
    let samples: Vec<String> = golden::entries(super::samples::INVALID, "yaml")
        .iter()
        .map(|path| path.to_string_lossy().into_owned())
        .collect();
    let arguments = ["validate", "--offline", "--format", "sarif"];
    let all: Vec<&str> = arguments
        .into_iter()
        .chain(samples.iter().map(String::as_str))
        .collect();
    for ran in [
        clean().run(&arguments),
        with_a_mistake().run(&arguments),
        every_sample.run(&all),
    ] {
        let log = json(&ran.stdout);
        let errors: Vec<String> = validator
            .iter_errors(&log)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
        let run = &log["runs"][0];
        for result in run["results"].as_array().expect("results") {
            let index = result["ruleIndex"].as_u64().expect("an index") as usize;
            assert_eq!(run["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
        }
    }
    let ran = with_a_mistake().run(&arguments);
    let log = json(&ran.stdout);
    let place = &log["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "mappings/teams.yaml");
    assert_eq!(place["region"]["startLine"], 8);
    assert_eq!(place["region"]["endColumn"], 26);
}

#[test]
fn explain_says_what_a_code_means() {
    let project = TestProject::new();
    let ran = project.run(&["validate", "--explain", "option-comma"]);
    assert_eq!(ran.code, Some(0));
    assert!(
        ran.stdout
            .starts_with("option-comma: An option's name has a comma."),
        "{}",
        ran.stdout
    );
    let ran = project.run(&["validate", "--explain", "option-coma"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert!(
        ran.stderr.contains("did you mean `option-comma`?"),
        "{}",
        ran.stderr
    );
    let ran = project.run(&["validate", "--explain", "option-comma", "--format", "json"]);
    assert_eq!(json(&ran.stdout)["code"], "option-comma");
}

#[test]
fn usage_and_a_missing_project_are_two() {
    let empty = TestProject::new();
    for arguments in [
        &["validate", "--offline"][..],
        &["validate", "--offline", "--project", "nowhere.yaml"],
        &["validate", "--ofline"],
        &["validate", "--format", "xml"],
        &["schema", "mapping", "--format", "sarif"],
        &["validate", "-q", "-v"],
        &["frobnicate"],
    ] {
        let ran = empty.run(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(!ran.stderr.is_empty(), "{arguments:?}");
    }
    let ran = clean().run(&["validate", "--offline", "-p", "dmeo"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("did you mean `demo`?"), "{}", ran.stderr);
}

#[test]
fn the_project_is_found_from_a_folder_within_it() {
    let project = with_a_mistake().file("docs/deep/notes.md", "");
    let mut command = project.command(&["validate", "--offline", "--format", "json"]);
    let output = command
        .current_dir(project.path().join("docs/deep"))
        .output()
        .expect("the built binary runs");
    let report = json(&String::from_utf8_lossy(&output.stdout));
    assert_eq!(report["errors"], 1);
    let file = report["findings"][0]["file"].as_str().expect("a path");
    assert!(file.ends_with("mappings/teams.yaml"), "{file}");
    let ran = TestProject::new().run(&[
        "validate",
        "--offline",
        "--project",
        project.path().join("frames-sync.yaml").to_str().expect("UTF-8"),
    ]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
}

#[test]
fn profiles_are_chosen_by_name_by_default_or_all() {
    let project = TestProject::new().project(TWO_PROFILES).mapping(
        "teams",
        &TEAMS.replace(
            "notion:",
            "scope: { university_id: \"{{ vars.university_id }}\" }\nnotion:",
        ),
    );
    let codes = |arguments: &[&str]| {
        let mut all = vec!["validate", "--offline", "--format", "json"];
        all.extend(arguments);
        let report = json(&project.run(&all).stdout);
        report["errors"].as_u64()
    };
    assert_eq!(codes(&[]), Some(0));
    assert_eq!(codes(&["-p", "calpoly"]), Some(0));
    assert_eq!(codes(&["-p", "texas"]), Some(1));
    assert_eq!(codes(&["-p", "calpoly", "--profile", "texas"]), Some(1));
    assert_eq!(codes(&["--all-profiles"]), Some(1));
}

#[test]
fn one_file_is_checked_among_the_others() {
    let project = with_a_mistake().mapping(
        "projects",
        &TEAMS.replace("teams", "projects").replace(
            "column: name }",
            "column: name }\n  Team: { type: relation, column: t, target: teams }",
        ),
    );
    let ran = project.run(&["validate", "--offline", "mappings/projects.yaml"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let ran = project.run(&["validate", "--offline", "mappings/teams.yaml"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let ran = project.run(&["validate", "--offline", "mappings/absent.yaml"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("unreadable-file"), "{}", ran.stdout);
}

#[test]
fn a_variable_that_is_not_set_is_a_warning_offline() {
    let project =
        clean().project("version: 1\nprofiles: { demo: { database_url: \"{{ env.NOWHERE }}\" } }\n");
    let ran = project.run(&["validate", "--offline", "--format", "json"]);
    let report = json(&ran.stdout);
    assert_eq!(
        (ran.code, &report["warnings"]),
        (Some(0), &Value::from(1)),
        "{report}"
    );
    assert_eq!(report["findings"][0]["code"], "undefined-variable");
}

#[test]
fn more_words_tell_the_profile_and_its_sources() {
    let project = clean().file(".env", "FROM_FILE=1\n");
    let ran = project.run(&["validate", "--offline", "-v"]);
    assert!(ran.stderr.contains("profile demo"), "{}", ran.stderr);
    assert!(ran.stderr.contains("from .env: FROM_FILE"), "{}", ran.stderr);
    let ran = project.run(&["validate", "--offline", "-v", "--log-format", "json"]);
    for line in ran.stderr.lines() {
        assert!(json(line)["message"].is_string(), "{line}");
    }
}

#[test]
fn colours_are_for_those_who_ask() {
    let project = with_a_mistake();
    let always = project.run(&["validate", "--offline", "--color", "always"]);
    assert!(always.stdout.contains("\u{1b}["), "{}", always.stdout);
    let auto = project.run(&["validate", "--offline"]);
    assert!(!auto.stdout.contains('\u{1b}'), "{}", auto.stdout);
}
