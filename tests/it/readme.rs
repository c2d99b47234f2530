//! A newcomer's way, as the README tells it: every command in it is run, in its order.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use frames_sync::simulator::{Options, Simulator};

use crate::golden::root;
use crate::support::{TestDatabase, TestProject};

/// What the README writes in place of something that only a run can know, and what is written here.
const STAND_INS: [(&str, &str); 3] = [
    ("CODE", "unknown-property-type"),
    ("NAME", "main"),
    ("HASH", "0123456789abcdef"),
];

/// What a part of the README is to this test.
enum Part {
    /// A line of a `bash` block.
    Command(String),
    /// A line of a `yaml` block within the steps: what is added to the mapping.
    Field(String),
}

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).expect("the README")
}

/// The commands and fields of the numbered steps, in their order.
fn steps(text: &str) -> Vec<Part> {
    let (_, steps) = text
        .split_once("## From here to your own workspace")
        .expect("the newcomer's way");
    let steps = steps.split("\n## ").next().unwrap_or_default();
    let mut parts = Vec::new();
    let mut language = None;
    for line in steps.lines() {
        if let Some(opened) = line.trim().strip_prefix("```") {
            language = (language.is_none()).then(|| opened.to_owned());
        } else if language.as_deref() == Some("bash") {
            parts.push(Part::Command(line.trim().to_owned()));
        } else if language.as_deref() == Some("yaml") {
            parts.push(Part::Field(line.strip_prefix("   ").unwrap_or(line).to_owned()));
        }
    }
    parts
}

/// The commands of the blocks outside the steps, without the comments beside them.
fn asked(text: &str) -> Vec<String> {
    let (_, rest) = text.split_once("## Ask it").expect("the commands that ask");
    rest.lines()
        .filter(|line| line.starts_with("frames-sync "))
        .map(|line| line.split('#').next().unwrap_or(line).trim().to_owned())
        .collect()
}

/// The commands named in the text itself, between backticks, without what only shows an option.
fn mentioned(text: &str) -> Vec<String> {
    let mut commands: Vec<String> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|span| span.starts_with("frames-sync ") && !span.contains('\n'))
        .map(str::to_owned)
        .collect();
    commands.sort();
    commands.dedup();
    commands
}

fn words(command: &str) -> Vec<String> {
    let mut command = command.to_owned();
    for (name, value) in STAND_INS {
        command = command.replace(name, value);
    }
    command.split_whitespace().skip(1).map(str::to_owned).collect()
}

/// Runs a command that goes on until it is told to stop, up to its first line; then tells it.
fn until_it_works(mut command: Command) -> (Option<i32>, String) {
    let serves = command.get_args().any(|argument| argument == "serve");
    if serves {
        // Any free port; the one that the README names may be taken here.
        command.args(["--listen", "127.0.0.1:0"]);
    } else {
        command.args(["--format", "json"]);
    }
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the built binary runs");
    let mut line = String::new();
    // `serve` says where it listens, and `run` reports its first cycle.
    let read = if serves {
        BufReader::new(child.stderr.take().expect("piped")).read_line(&mut line)
    } else {
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line)
    };
    read.expect("a line");
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it is running");
    (child.wait().expect("it ends").code(), line)
}

#[tokio::test]
async fn every_command_of_the_readme_does_what_it_says() {
    let text = readme();
    let database = TestDatabase::frames().await;
    let simulator = Simulator::start(Options::default()).expect("a simulator");
    let parent = TestProject::new();
    let environment = |project: TestProject| {
        project
            .env("DATABASE_URL", database.url())
            .env("NOTION_API_KEY", simulator.tokens[0].clone())
            .env("NOTION_PARENT_PAGE", simulator.root_page_id.to_string())
            .env("FRAMES_SYNC_NOTION_BASE_URL", simulator.base_url.clone())
    };
    let parent = environment(parent);
    let folder = parent.path().join("my-sync");
    let run = |arguments: &[String]| {
        let mut command = parent.command(arguments);
        if folder.exists() {
            command.current_dir(&folder);
        }
        if let Some("run" | "serve") = arguments.first().map(String::as_str) {
            return until_it_works(command);
        }
        let output = command.output().expect("the built binary runs");
        let said = [&output.stdout[..], &output.stderr[..]].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    };

    let mut ran = Vec::new();
    for part in steps(&text) {
        match part {
            Part::Command(command) => {
                let (code, said) = run(&words(&command));
                assert_eq!(code, Some(0), "{command}\n{said}");
                ran.push(command);
            }
            Part::Field(line) => {
                let path = folder.join("mappings/teams.yaml");
                let mapping = std::fs::read_to_string(&path).expect("the example mapping");
                assert!(mapping.ends_with('\n') && line.starts_with("  "), "{line:?}");
                std::fs::write(&path, format!("{mapping}{line}\n")).expect("written");
            }
        }
    }
    assert!(ran.len() >= 8, "{ran:?}");
    simulator.workspace(|workspace| {
        let teams = workspace
            .data_source_titled("Teams")
            .expect("the database was made");
        let rows = workspace.rows(teams);
        assert!(!rows.is_empty(), "no page was made");
        for row in rows {
            let value = workspace
                .value(row, "team_type")
                .expect("the property that was added");
            assert!(value["name"].is_string(), "{value}");
        }
    });

    let asked = asked(&text);
    assert!(asked.len() >= 5, "{asked:?}");
    let (_, history) = run(&words("frames-sync history --entity teams --format json"));
    let history: serde_json::Value = serde_json::from_str(&history).expect("a report");
    let of_team = |field: &str| history["entries"][0][field].as_str().expect("an id").to_owned();
    for command in asked {
        // An undo is confirmed by a person, or by `--yes`.
        let (code, said) = run(&words(
            &command
                .replace("undo RUN", "undo RUN --yes")
                .replace("RUN", &of_team("run_id"))
                .replace("team_12", &of_team("key")),
        ));
        assert_eq!(code, Some(0), "{command}\n{said}");
    }
    for command in mentioned(&text) {
        let (code, said) = run(&words(&command));
        assert_eq!(code, Some(0), "{command}\n{said}");
    }
}
