//! What `deploy/` tells systemd, cron and Docker to start is something that the program takes.

use std::fs;

use crate::golden::root;
use crate::support::TestProject;

fn read(name: &str) -> String {
    fs::read_to_string(root().join("deploy").join(name)).expect("a file of `deploy/`")
}

/// The line that begins so, without that beginning.
fn line<'a>(text: &'a str, beginning: &str) -> &'a str {
    let found = text.lines().find_map(|line| line.strip_prefix(beginning));
    found.unwrap_or_else(|| panic!("no line `{beginning}…`"))
}

/// What the three start, as words after the program's name.
fn started() -> Vec<Vec<String>> {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let (service, cron, docker) = (
        read("frames-sync.service"),
        read("frames-sync.cron"),
        read("Dockerfile"),
    );
    let of_service = line(&service, "ExecStart=/usr/local/bin/frames-sync ");
    let (_, of_cron) = cron
        .rsplit_once("/usr/local/bin/frames-sync ")
        .expect("the program in the cron line");
    assert_eq!(line(&docker, "ENTRYPOINT "), r#"["frames-sync"]"#);
    let of_docker: Vec<String> = serde_json::from_str(line(&docker, "CMD ")).expect("JSON");
    vec![
        words(of_service),
        words(of_cron.split(" >").next().unwrap_or_default()),
        of_docker,
    ]
}

#[test]
fn what_is_started_is_taken_by_the_program() {
    let project = TestProject::new();
    for words in started() {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(words.first(), Some(&"run"), "{words:?}");
        for (further, code) in [(&["--help"][..], 0), (&["--no-such-word", "--help"], 2)] {
            let ran = project.run(&[&words[..], further].concat());
            assert_eq!(ran.code, Some(code), "{words:?} {further:?}: {}", ran.stderr);
        }
    }
}

#[test]
fn each_gives_it_the_time_that_it_may_take_to_end() {
    // `run` ends within 30 s of SIGTERM; see docs/running.md.
    let service = read("frames-sync.service");
    let seconds: u64 = line(&service, "TimeoutStopSec=").parse().expect("seconds");
    assert!(seconds > 30, "{seconds}");
    assert_eq!(line(&read("Dockerfile"), "STOPSIGNAL "), "SIGTERM");
    assert!(line(&service, "ExecReload=").contains("-HUP"));
    // A broken project ends with 1 or 2, and starting it again mends nothing.
    assert_eq!(line(&service, "RestartPreventExitStatus="), "1 2");
}

#[test]
fn no_secret_and_no_earlier_build_gets_into_an_image() {
    let ignored = read("Dockerfile.dockerignore");
    for path in ["target", ".git", "**/.env"] {
        assert!(ignored.lines().any(|line| line == path), "{path}");
    }
}
