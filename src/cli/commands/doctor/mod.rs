//! `doctor`: everything that has to be right before a sync can be, each with the way to mend it.

mod database;
mod records;
mod workspace;

use std::path::Path;

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use crate::cli::context::{self, Selection};
use crate::cli::remembered::Remembered;
use crate::cli::{Exit, Failure, Format, Global, Terminal};
use crate::diagnostic::{Diagnostic, Severity, printable};
use crate::mapping::Mapping;
use crate::project::{Origin, Profile, Project, Secrets};
use crate::report::VERSION;

/// Check both sides from the project file to each database, and say how to mend what is wrong.
///
/// Nothing is written on either side.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Count warnings as failures: a role that may do more than syncing needs, a file of secrets that others may read.
    #[arg(long)]
    pub strict: bool,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Status {
    Ok,
    Warn,
    Fail,
}

/// One line of the report.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Check {
    /// What was looked at.
    name: String,
    /// How it stands.
    status: Status,
    /// What was found.
    message: String,
    /// What to do about it; null where there is nothing to do.
    help: Option<String>,
    /// Whether nobody but the world is to blame.
    #[serde(skip)]
    is_of_the_world: bool,
}

impl Check {
    fn new(name: impl Into<String>, status: Status, message: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            status,
            message: message.into(),
            help: None,
            is_of_the_world: false,
        }
    }

    fn ok(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(name, Status::Ok, message)
    }

    fn warn(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(name, Status::Warn, message)
    }

    fn fail(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(name, Status::Fail, message)
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn of_the_world(mut self) -> Self {
        self.is_of_the_world = true;
        self
    }
}

/// What `doctor` tells.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DoctorReport {
    /// The version of this format.
    version: u32,
    /// One entry per profile.
    profiles: Vec<Examined>,
}

/// A profile's checks.
#[derive(Debug, Serialize, JsonSchema)]
struct Examined {
    /// The profile's name.
    profile: String,
    /// What was looked at, in order.
    checks: Vec<Check>,
}

impl Doctor {
    /// Checks each profile, and prints a line for each check.
    pub fn run(self, global: &Global, terminal: &Terminal) -> Result<Exit, Failure> {
        let project = context::open_project(global)?;
        let names = context::select(&project, global, Selection::Lenient)?;
        let profiles = context::block_on(async {
            let mut profiles = Vec::new();
            for name in names {
                let checks = examine(&project, &name).await;
                profiles.push(Examined {
                    profile: name,
                    checks,
                });
            }
            profiles
        })?;
        let report = DoctorReport {
            version: VERSION,
            profiles,
        };
        if terminal.format() == Format::Json {
            terminal.json(&report);
        } else {
            print(&report.profiles, terminal);
        }
        Ok(exit(&report.profiles, self.strict))
    }
}

async fn examine(project: &Project, name: &str) -> Vec<Check> {
    let mut checks = files(project);
    let rendered = project.profile(name, Secrets::Needed);
    checks.push(settings("profile", name, &rendered.findings));
    let Some(profile) = rendered.value else {
        return checks;
    };
    let mappings = mappings(project, &profile, &mut checks);
    let mut remembered = Remembered::default();
    let mut clock = None;
    if let Some(url) = &profile.database_url {
        let found = database::examine(url, &profile, &mappings).await;
        checks.extend(found.checks);
        remembered = found.remembered;
        clock = found.clock;
    } else {
        let check = Check::fail("database", "no `database_url` is set");
        checks.push(check.help("set the variable that it names, in the environment or in `.env`"));
    }
    checks.extend(workspace::examine(&profile, &mappings, &remembered, clock.as_ref()).await);
    checks
}

/// The program, the project file and the `.env` beside it.
fn files(project: &Project) -> Vec<Check> {
    let mut checks = vec![
        Check::ok("version", format!("frames-sync {}", env!("CARGO_PKG_VERSION"))),
        Check::ok("project file", format!("{} is valid", project.document.file.path)),
    ];
    let names: Vec<&str> = project
        .environment
        .names()
        .filter(|name| project.environment.origin(name) == Some(Origin::DotEnv))
        .collect();
    checks.push(if let Some(mode) = others_may_read(&project.root.join(".env")) {
        Check::warn(
            ".env",
            format!("others on this machine may read it (mode {mode:o})"),
        )
        .help("it holds secrets: `chmod 600 .env`")
    } else if names.is_empty() {
        let has_file = project.root.join(".env").is_file();
        let message = if has_file {
            "gives no variable that the environment does not"
        } else {
            "there is none; variables come from the environment"
        };
        Check::ok(".env", message)
    } else {
        Check::ok(".env", format!("gives {}", crate::diagnostic::list(names)))
    });
    checks
}

/// The mode of a file that its group or everybody may read or write.
#[cfg(unix)]
fn others_may_read(file: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;

    let mode = file.metadata().ok()?.permissions().mode() & 0o777;
    (mode & 0o066 != 0).then_some(mode)
}

/// Elsewhere a mode tells nothing.
#[cfg(not(unix))]
fn others_may_read(_: &Path) -> Option<u32> {
    None
}

/// A check that is as good as the findings about something.
fn settings(name: &str, fine: &str, findings: &[Diagnostic]) -> Check {
    let errors: Vec<&Diagnostic> = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .collect();
    let Some(first) = errors.first() else {
        return Check::ok(name, fine);
    };
    let messages: Vec<&str> = errors.iter().map(|finding| finding.message.as_str()).collect();
    let help = first
        .help
        .as_deref()
        .unwrap_or("`frames-sync validate` shows the place");
    Check::fail(name, messages.join("; ")).help(help)
}

fn mappings(project: &Project, profile: &Profile, checks: &mut Vec<Check>) -> Vec<Mapping> {
    let checked = project.mappings(profile);
    let mut findings: Vec<Diagnostic> = project
        .files
        .iter()
        .filter(|file| profile.has_entity(&file.stem))
        .flat_map(|file| file.findings.clone())
        .collect();
    findings.extend(checked.findings);
    let mappings = checked.value.unwrap_or_default();
    let names = crate::diagnostic::list(mappings.iter().map(|mapping| mapping.entity.as_str()));
    checks.push(settings("mappings", &names, &findings));
    mappings
}

fn print(profiles: &[Examined], terminal: &Terminal) {
    for examined in profiles {
        terminal.data(format_args!("profile {}", printable(&examined.profile)));
        let width = examined
            .checks
            .iter()
            .map(|check| check.name.chars().count())
            .max()
            .unwrap_or_default();
        for check in &examined.checks {
            let status = match check.status {
                Status::Ok => "\u{1b}[32mok\u{1b}[0m  ",
                Status::Warn => "\u{1b}[33mwarn\u{1b}[0m",
                Status::Fail => "\u{1b}[1;31mFAIL\u{1b}[0m",
            };
            terminal.data(format_args!(
                "  {status}  {:width$}  {}",
                check.name,
                printable(&check.message)
            ));
            for line in check.help.iter().flat_map(|help| help.lines()) {
                let line = printable(line);
                terminal.data(format_args!("        {:width$}  \u{1b}[36m{line}\u{1b}[0m", ""));
            }
        }
    }
}

/// The world failed only where nothing but the world is to blame.
fn exit(profiles: &[Examined], is_strict: bool) -> Exit {
    let mut failed = profiles
        .iter()
        .flat_map(|examined| &examined.checks)
        .filter(|check| check.status == Status::Fail || (is_strict && check.status == Status::Warn))
        .peekable();
    if failed.peek().is_none() {
        Exit::Done
    } else if failed.all(|check| check.is_of_the_world) {
        Exit::World
    } else {
        Exit::NeedsUser
    }
}
