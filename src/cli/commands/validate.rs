//! `validate`: everything that is wrong with the project, at once.

use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::context::{self, Selection};
use crate::cli::live;
use crate::cli::{Exit, Failure, Format, Global, Terminal};
use crate::diagnostic::{self, Code, Diagnostic, Severity};
use crate::mapping::Scene;
use crate::project::{MappingFile, PROJECT_FILE, Project, Secrets, display_path, validate_files};
use crate::report::ErrorCode;

/// Check the project and its mappings, and say everything that is wrong at once.
///
/// Four layers run, each over everything that the one before could understand: YAML, the JSON Schema, what the files
/// mean, and the live database and workspace.
#[derive(Debug, Args)]
pub struct Validate {
    /// Mapping files to check. By default the project file and every mapping.
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Leave out the live database and the live workspace; no secret is needed.
    #[arg(long)]
    pub offline: bool,
    /// Explain a code, of a finding or of a report, and check nothing.
    #[arg(long, value_name = "CODE", conflicts_with_all = ["files", "offline"])]
    pub explain: Option<String>,
}

impl Validate {
    /// Checks, and prints every finding in the format asked for.
    pub fn run(self, global: &Global, terminal: &Terminal) -> Result<Exit, Failure> {
        if let Some(code) = &self.explain {
            return explain(code, terminal);
        }
        let working_folder = context::working_folder()?;
        let project_file = context::find_project(global, &working_folder)?;
        let mut findings = Vec::new();
        let project = match &project_file {
            Some(file) => {
                let checked = context::load_project(file, &working_folder);
                let is_asked = self.files.is_empty() || self.files.iter().any(|given| same_file(given, file));
                if is_asked || checked.value.is_none() {
                    findings.extend(checked.findings);
                }
                checked.value
            }
            None if self.files.is_empty() => return Err(context::no_project(&working_folder)),
            None => None,
        };
        if let Some(project) = &project {
            findings.extend(self.check_project(project, global, terminal, &working_folder)?);
        }
        findings.extend(self.check_strays(project.as_ref(), &working_folder));
        diagnostic::sort(&mut findings);
        print(&findings, terminal);
        // The process ends here: giving back the trees of a thousand files one by one would take a tenth of its time.
        std::mem::forget(project);
        Ok(exit(&findings))
    }

    /// Checks the mappings of a project for each selected profile.
    fn check_project(
        &self,
        project: &Project,
        global: &Global,
        terminal: &Terminal,
        working_folder: &Path,
    ) -> Result<Vec<Diagnostic>, Failure> {
        let secrets = if self.offline {
            Secrets::Optional
        } else {
            Secrets::Needed
        };
        let wanted = |file: &MappingFile| {
            self.files.is_empty() || self.files.iter().any(|given| same_file(given, &file.path))
        };
        let mut findings: Vec<Diagnostic> = project
            .files
            .iter()
            .filter(|file| wanted(file))
            .flat_map(|file| file.findings.clone())
            .collect();
        let shown: Vec<String> = project
            .files
            .iter()
            .filter(|file| wanted(file))
            .map(|file| display_path(&file.path, working_folder))
            .collect();
        let is_project_asked = self.files.is_empty() || self.files.iter().any(|given| is_project_file(given));
        for name in context::select(project, global, Selection::Lenient)? {
            let rendered = project.profile(&name, secrets);
            let Some(profile) = rendered.value else { continue };
            terminal.detail(context::describe(&profile, project));
            let mut found = rendered.findings;
            if !is_project_asked {
                // What is wrong with the project file was not asked for, unless it keeps the live layer from running.
                found.retain(|finding| !self.offline && finding.severity == Severity::Error);
            }
            findings.extend(found);
            let checked = project.mappings(&profile);
            let is_shown = |finding: &Diagnostic| shown.contains(&finding.primary.file.path);
            findings.extend(checked.findings.into_iter().filter(is_shown));
            // Not given back either, see `run`.
            let mappings = ManuallyDrop::new(checked.value.unwrap_or_default());
            if !self.offline {
                let live = context::block_on(live::findings(project, &profile, &mappings))?;
                let about_project = |finding: &Diagnostic| {
                    finding.primary.file.path == project.document.file.path || is_shown(finding)
                };
                findings.extend(live.into_iter().filter(about_project));
            }
        }
        Ok(findings)
    }

    /// Checks files that belong to no project, or not to this one.
    fn check_strays(&self, project: Option<&Project>, working_folder: &Path) -> Vec<Diagnostic> {
        let belongs = |given: &Path| {
            project.is_some_and(|project| project.files.iter().any(|file| same_file(given, &file.path)))
        };
        let strays: Vec<MappingFile> = self
            .files
            .iter()
            .filter(|given| !is_project_file(given) && !belongs(given))
            .map(|given| MappingFile::read(&working_folder.join(given), working_folder))
            .collect();
        let mut findings: Vec<Diagnostic> = strays.iter().flat_map(|file| file.findings.clone()).collect();
        // Relations may lead to files beside a stray one.
        let mut known: Vec<String> = project.map(Project::entities).unwrap_or_default();
        for file in &strays {
            let beside = file
                .path
                .parent()
                .and_then(|folder| std::fs::read_dir(folder).ok());
            for entry in beside.into_iter().flatten().flatten() {
                let path = entry.path();
                if path
                    .extension()
                    .is_some_and(|ending| ending == "yaml" || ending == "yml")
                {
                    known.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
                }
            }
        }
        known.sort_unstable();
        known.dedup();
        let files: Vec<&MappingFile> = strays.iter().collect();
        let scene = |file: &MappingFile| Scene {
            file_stem: Some(file.stem.clone()),
            profile: None,
        };
        findings.extend(validate_files(&files, &known, scene).findings);
        findings
    }
}

fn is_project_file(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == PROJECT_FILE)
}

fn same_file(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

fn print(findings: &[Diagnostic], terminal: &Terminal) {
    match terminal.format() {
        Format::Json => terminal.json(&diagnostic::json(findings)),
        Format::Sarif => terminal.json(&diagnostic::sarif(findings)),
        Format::Github => {
            for finding in findings {
                terminal.data(diagnostic::github(finding));
            }
        }
        Format::Text => {
            let color = terminal.stdout_color();
            for finding in findings {
                terminal.data(format_args!("{}\n", diagnostic::text(finding, color)));
            }
            terminal.say(tally(findings));
        }
    }
}

/// One line that sums the findings up.
fn tally(findings: &[Diagnostic]) -> String {
    let count = |severity| {
        findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    };
    let plural = |count: usize, noun: &str| match count {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    };
    match (count(Severity::Error), count(Severity::Warning)) {
        (0, 0) => "no findings".to_owned(),
        (0, warnings) => plural(warnings, "warning"),
        (errors, 0) => plural(errors, "error"),
        (errors, warnings) => format!("{}, {}", plural(errors, "error"), plural(warnings, "warning")),
    }
}

/// The world failed only where nothing but the world is to blame.
fn exit(findings: &[Diagnostic]) -> Exit {
    let mut errors = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .peekable();
    if errors.peek().is_none() {
        return Exit::Done;
    }
    let of_the_world = [
        Code::DatabaseUnreachable,
        Code::NotionUnreachable,
        Code::NotionUnauthorized,
    ];
    if errors.all(|finding| of_the_world.contains(&finding.code)) {
        Exit::World
    } else {
        Exit::NeedsUser
    }
}

fn explain(code: &str, terminal: &Terminal) -> Result<Exit, Failure> {
    if let Some(known) = ErrorCode::ALL.iter().find(|known| known.code() == code) {
        if terminal.format() == Format::Json {
            terminal.json(&serde_json::json!({
                "version": 1,
                "code": known.code(),
                "severity": Severity::Error,
                "explanation": known.explanation(),
                "next_step": known.next_step(),
            }));
        } else {
            terminal.data(format_args!(
                "{known}: {}\n\nnext: {}",
                known.explanation(),
                known.next_step()
            ));
        }
        return Ok(Exit::Done);
    }
    let code: Code = code.parse().map_err(|_| {
        let names = Code::ALL.iter().map(|code| code.name());
        let failure = Failure::usage(format!("there is no code `{code}`"));
        match diagnostic::did_you_mean(code, names.chain(ErrorCode::ALL.iter().map(|code| code.code()))) {
            Some(help) => failure.hint(help),
            None => failure.hint("`docs/diagnostics.md` and `docs/errors.md` list every code"),
        }
    })?;
    if terminal.format() == Format::Json {
        terminal.json(&serde_json::json!({
            "version": 1,
            "code": code.name(),
            "severity": code.severity(),
            "summary": code.summary(),
            "explanation": code.explanation(),
        }));
    } else {
        terminal.data(format_args!(
            "{code}: {}\n\n{}",
            code.summary(),
            code.explanation()
        ));
    }
    Ok(Exit::Done)
}
