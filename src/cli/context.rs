//! What commands share: the project they work on, its profiles, and the adapters of both sides.

use std::path::{Path, PathBuf};

use super::{Failure, Global};
use crate::diagnostic::{self, Checked, Diagnostic, Severity};
use crate::project::{self, Environment, Origin, PROJECT_FILE, Profile, Project, Schedule};
use crate::report::ErrorCode;

/// How many profiles a command wants when none is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// The default profile, or else all of them.
    Lenient,
    /// The default profile; it is an error when there is none.
    Default,
}

/// The folder that the command runs in.
pub(crate) fn working_folder() -> Result<PathBuf, Failure> {
    std::env::current_dir().map_err(|_| Failure::usage("the working folder cannot be read"))
}

/// The project file: the one named, or the nearest.
pub(crate) fn find_project(global: &Global, working_folder: &Path) -> Result<Option<PathBuf>, Failure> {
    match &global.project {
        Some(path) => {
            let path = working_folder.join(path);
            let file = if path.is_dir() {
                path.join(PROJECT_FILE)
            } else {
                path
            };
            if file.is_file() {
                Ok(Some(file))
            } else {
                let shown = project::display_path(&file, working_folder);
                Err(Failure::usage(format!("there is no project file `{shown}`")))
            }
        }
        None => Ok(project::find(working_folder)),
    }
}

/// What a command says that needs a project and finds none.
pub(crate) fn no_project(working_folder: &Path) -> Failure {
    Failure::usage(format!(
        "there is no `{PROJECT_FILE}` in {} or the folders around it",
        working_folder.display()
    ))
    .hint("`frames-sync init` writes one")
    .hint("or name one with `--project FILE`")
}

/// Reads a project with the process's environment.
pub(crate) fn load_project(file: &Path, working_folder: &Path) -> Checked<Project> {
    Project::load(file, working_folder, Environment::of_process())
}

/// The names of the profiles that a command works on, each once.
pub(crate) fn select(
    project: &Project,
    global: &Global,
    selection: Selection,
) -> Result<Vec<String>, Failure> {
    let all = || project.profile_names().map(str::to_owned).collect::<Vec<_>>();
    if global.all_profiles {
        return Ok(all());
    }
    if !global.profiles.is_empty() {
        let mut names: Vec<String> = Vec::new();
        for name in &global.profiles {
            if !project.written.profiles.0.contains_key(name) {
                let failure = Failure::usage(format!("there is no profile `{name}`"));
                let hint = diagnostic::did_you_mean(name, project.profile_names()).unwrap_or_else(|| {
                    format!("the profiles are {}", diagnostic::list(project.profile_names()))
                });
                return Err(failure.hint(hint));
            }
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        return Ok(names);
    }
    let default = project
        .default_profile()
        .filter(|name| project.written.profiles.0.contains_key(*name));
    match (default, selection) {
        (Some(name), _) => Ok(vec![name.to_owned()]),
        (None, Selection::Lenient) => Ok(all()),
        (None, Selection::Default) => Err(Failure::usage(
            "the project has several profiles and no default one",
        )
        .hint("name one with `--profile NAME`, or take `--all-profiles`")
        .hint("or write `default_profile: NAME` in the project file")),
    }
}

/// Refuses an entity that no mapping has.
pub(crate) fn known_entity(project: &Project, entity: &str) -> Result<(), Failure> {
    let known = project.entities();
    if known.iter().any(|known| known == entity) {
        return Ok(());
    }
    let names = || known.iter().map(String::as_str);
    let hint = diagnostic::did_you_mean(entity, names())
        .unwrap_or_else(|| format!("the entities are {}", diagnostic::list(names())));
    Err(Failure::usage(format!("there is no entity `{entity}`")).hint(hint))
}

/// The project of a command that cannot do without one.
pub(crate) fn open_project(global: &Global) -> Result<Project, Failure> {
    let working_folder = working_folder()?;
    let file = find_project(global, &working_folder)?.ok_or_else(|| no_project(&working_folder))?;
    let loaded = load_project(&file, &working_folder);
    if let Some(failure) = refuse(&loaded.findings) {
        return Err(failure);
    }
    loaded
        .value
        .ok_or_else(|| Failure::usage("the project cannot be understood"))
}

/// A profile's settings and where they come from, without any secret.
pub(crate) fn describe(profile: &Profile, project: &Project) -> String {
    let is_set = |set: bool| if set { "set" } else { "not set" };
    let notion = &profile.notion;
    let mut lines = vec![
        format!(
            "profile {} (the profile over `defaults`, `env` over `.env`)",
            profile.name
        ),
        format!("  database_url: {}", is_set(profile.database_url.is_some())),
        format!("  notion.token: {}", is_set(notion.token.is_some())),
        format!("  notion.parent_page: {}", is_set(notion.parent_page.is_some())),
        format!("  notion.requests_per_minute: {}", notion.requests_per_minute),
        format!("  state_schema: {}", profile.state_schema),
        match &profile.schedule {
            Schedule::Every(every) => format!("  every: {every:?}"),
            Schedule::Cron(cron) => format!("  cron: {cron}"),
        },
    ];
    if let Some(url) = &notion.base_url {
        lines.push(format!("  notion.base_url: {url}"));
    }
    let from_dot_env: Vec<&str> = project
        .environment
        .names()
        .filter(|name| project.environment.origin(name) == Some(Origin::DotEnv))
        .collect();
    if !from_dot_env.is_empty() {
        lines.push(format!("  from .env: {}", from_dot_env.join(", ")));
    }
    lines.join("\n")
}

/// Turns findings of a project into the failure of a command that cannot go on with them.
pub(crate) fn refuse(findings: &[Diagnostic]) -> Option<Failure> {
    let errors: Vec<&Diagnostic> = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .collect();
    let first = errors.first()?;
    let position = first.primary.file.position(first.primary.span.start);
    let more = match errors.len() {
        1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    };
    let failure = Failure::usage(format!(
        "{}:{}:{}: {} [{}]{more}",
        first.primary.file.path, position.line, position.column, first.message, first.code
    ))
    .code(ErrorCode::InvalidProject);
    let failure = match &first.help {
        Some(help) => failure.hint(help.clone()),
        None => failure,
    };
    Some(failure.hint("`frames-sync validate` shows every finding in its place"))
}

/// Runs a command's asynchronous part to its end.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::world(format!("the runtime could not start: {error}")))?;
    Ok(runtime.block_on(work))
}
