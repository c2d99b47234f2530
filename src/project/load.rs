//! Reading a project from its folder.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use super::document::ProjectDocument;
use super::environment::Environment;
use super::mask::masked;
use crate::diagnostic::{Checked, Code, Diagnostic, Label, SourceFile, one_of};
use crate::mapping::{self, Mapping, Parsed, Scene};
use crate::yaml::{Document, LARGEST_FILE, Schema, read_bytes};

/// The name of the project file.
pub const PROJECT_FILE: &str = "frames-sync.yaml";

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let source = schemars::schema_for!(ProjectDocument).to_value();
    Schema::compile(source).expect("the schema is generated from our own types; a test compiles it")
});

/// The JSON Schema of project files (Draft 2020-12).
pub fn schema() -> &'static Schema {
    &SCHEMA
}

/// Everything that the user wrote.
#[derive(Debug)]
pub struct Project {
    /// The folder that the project file is in.
    pub root: PathBuf,
    /// The project file, with places.
    pub document: Document,
    /// The project file, typed.
    pub written: ProjectDocument,
    /// The variables that templates see.
    pub environment: Environment,
    /// The folder of mapping files.
    pub mappings_folder: PathBuf,
    /// The mapping files, by name.
    pub files: Vec<MappingFile>,
}

/// One mapping file as read.
#[derive(Debug)]
pub struct MappingFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its name without the ending, which is the entity's.
    pub stem: String,
    /// What it says, where its shape allows.
    pub parsed: Option<Parsed>,
    /// What is wrong with its YAML and its shape.
    pub findings: Vec<Diagnostic>,
}

impl MappingFile {
    /// Reads a mapping file through the first two layers of checks.
    pub fn read(path: &Path, working_folder: &Path) -> Self {
        let stem = path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default();
        let read = read_file(path, working_folder);
        let mut findings = read.findings;
        let parsed = read.value.and_then(|document| {
            let checked = mapping::parse(document);
            findings.extend(checked.findings);
            checked.value
        });
        Self {
            path: path.to_owned(),
            stem,
            parsed,
            findings,
        }
    }
}

/// The project file in a folder or its nearest parent that has one.
pub fn find(folder: &Path) -> Option<PathBuf> {
    folder
        .ancestors()
        .map(|folder| folder.join(PROJECT_FILE))
        .find(|file| file.is_file())
}

/// A path as messages show it: relative to the working folder where that is shorter, with `/` between folders.
pub fn display_path(path: &Path, working_folder: &Path) -> String {
    let shown = path.strip_prefix(working_folder).unwrap_or(path);
    let text = shown.to_string_lossy().replace('\\', "/");
    if text.is_empty() {
        ".".to_owned()
    } else {
        text.strip_prefix("./").unwrap_or(&text).to_owned()
    }
}

impl Project {
    /// Reads the project file, the `.env` beside it, and every mapping file.
    ///
    /// Findings of mapping files stay with their files. There is no project when its file cannot be understood.
    pub fn load(file: &Path, working_folder: &Path, mut environment: Environment) -> Checked<Self> {
        let read = masked(read_file(file, working_folder));
        let mut findings = read.findings;
        let Some(document) = read.value else {
            return Checked::broken(findings);
        };
        let refused = SCHEMA.check(&document);
        findings.extend(
            refused
                .into_iter()
                .filter(|finding| !document.is_doubtful(&finding.pointer)),
        );
        let root = file.parent().map(Path::to_owned).unwrap_or_default();
        let written: ProjectDocument = match serde_path_to_error::deserialize(&document.value) {
            Ok(written) => written,
            Err(error) => {
                if findings.is_empty() {
                    let at = format!("/{}", error.path().to_string().replace('.', "/"));
                    findings.push(document.value_finding(
                        Code::WrongType,
                        &at,
                        error.inner().to_string(),
                        "",
                    ));
                }
                return Checked::broken(findings);
            }
        };
        let dot_env = root.join(".env");
        if let Err(error) = environment.add_dot_env(&dot_env) {
            let file = Arc::new(SourceFile::new(display_path(&dot_env, working_folder), ""));
            let label = Label {
                file,
                span: 0..0,
                text: String::new(),
            };
            findings.push(
                Diagnostic::new(Code::UnreadableFile, error.to_string(), label)
                    .help("each line is NAME=value; put values with spaces in quotes"),
            );
        }
        let folder = root.join(
            written
                .mappings
                .as_ref()
                .map_or("mappings", |folder| folder.0.as_str()),
        );
        let mut project = Self {
            root,
            document,
            written,
            environment,
            mappings_folder: folder,
            files: Vec::new(),
        };
        findings.extend(project.read_mappings(working_folder));
        findings.extend(project.check());
        Checked {
            value: Some(project),
            findings,
        }
    }

    /// Takes another parent page for a profile, as `setup --parent-page` says.
    pub fn override_parent_page(&mut self, profile: &str, page: &str) {
        if let Some(settings) = self.written.profiles.0.get_mut(profile) {
            let notion = settings.get_or_insert_default().notion.get_or_insert_default();
            notion.parent_page = Some(page.to_owned());
        }
    }

    fn read_mappings(&mut self, working_folder: &Path) -> Vec<Diagnostic> {
        let shown = display_path(&self.mappings_folder, working_folder);
        let paths = match mapping_files(&self.mappings_folder) {
            Ok(paths) => paths,
            Err(error) => {
                let message = format!(
                    "the mappings folder `{shown}` could not be read: {}",
                    reason(&error)
                );
                let finding = self
                    .document
                    .value_finding(Code::UnreadableFile, "/mappings", message, "named here")
                    .help("create the folder, or name another under `mappings:`");
                return vec![finding];
            }
        };
        if paths.is_empty() {
            let finding = self
                .document
                .value_finding(
                    Code::NoMappings,
                    "/mappings",
                    format!("the mappings folder `{shown}` holds no `*.yaml` file"),
                    "named here",
                )
                .help("`frames-sync generate TABLE` writes a mapping from a live table");
            return vec![finding];
        }
        self.files = on_all_cores(&paths, |path| MappingFile::read(path, working_folder));
        Vec::new()
    }

    /// The entities that have a file.
    pub fn entities(&self) -> Vec<String> {
        self.files.iter().map(|file| file.stem.clone()).collect()
    }

    /// Checks what the project file says about profiles and entities.
    fn check(&self) -> Vec<Diagnostic> {
        let mut findings = Vec::new();
        let profiles = &self.written.profiles.0;
        match &self.written.default_profile {
            Some(name) if !profiles.contains_key(name) => findings.push(
                self.document
                    .value_finding(
                        Code::UnknownProfile,
                        "/default_profile",
                        format!("there is no profile `{name}`"),
                        "not a profile",
                    )
                    .help(one_of(
                        name,
                        "the profiles are",
                        profiles.keys().map(String::as_str),
                    )),
            ),
            _ => {}
        }
        findings.extend(self.shared_workspaces());
        let known = self.entities();
        if !known.is_empty() {
            let at_defaults = self
                .written
                .defaults
                .iter()
                .map(|settings| ("/defaults".to_owned(), settings));
            let at_profiles = profiles.iter().filter_map(|(name, settings)| {
                Some((crate::yaml::pointer("/profiles", name), settings.as_ref()?))
            });
            for (at, settings) in at_defaults.chain(at_profiles) {
                for (index, entity) in settings.entities.iter().flatten().enumerate() {
                    if !known.contains(entity) {
                        findings.push(self.unknown_entity(&format!("{at}/entities/{index}"), entity, &known));
                    }
                }
            }
        }
        findings
    }

    /// Warns of profiles that would fill the same databases with the same rows.
    fn shared_workspaces(&self) -> Vec<Diagnostic> {
        let empty = super::document::SettingsDocument::default();
        let defaults = self.written.defaults.as_ref().unwrap_or(&empty);
        let page = |settings: &super::document::SettingsDocument| {
            settings
                .notion
                .as_ref()
                .and_then(|notion| notion.parent_page.clone())
        };
        let profiles: Vec<_> = self
            .written
            .profiles
            .0
            .iter()
            .map(|(name, settings)| {
                let settings = settings.as_ref().unwrap_or(&empty);
                let page = page(settings).or_else(|| page(defaults));
                let mut vars = defaults.vars.clone().unwrap_or_default();
                vars.extend(settings.vars.clone().unwrap_or_default());
                (name, page, vars, &settings.entities)
            })
            .collect();
        let mut findings = Vec::new();
        for (index, (name, page, vars, entities)) in profiles.iter().enumerate() {
            // A page that depends on the profile's name differs by itself.
            let Some(page) = page.as_ref().filter(|page| !page.contains("profile.name")) else {
                continue;
            };
            let twin = profiles[..index]
                .iter()
                .find(|(_, other_page, other_vars, other_entities)| {
                    other_page.as_ref() == Some(page)
                        && other_vars == vars
                        && match (entities, other_entities) {
                            (Some(mine), Some(theirs)) => mine.iter().any(|entity| theirs.contains(entity)),
                            _ => true,
                        }
                });
            if let Some((twin, ..)) = twin {
                let at = crate::yaml::pointer("/profiles", name);
                let label = self
                    .document
                    .key_label(&crate::yaml::pointer("/profiles", twin), "the same as this");
                findings.push(
                    self.document
                        .key_finding(
                            Code::SharedWorkspaceScope,
                            &at,
                            format!("profiles `{twin}` and `{name}` fill one page with the same rows"),
                            "not told apart",
                        )
                        .also(label)
                        .help("give them other `vars`, another `parent_page`, or other `entities`"),
                );
            }
        }
        findings
    }

    fn unknown_entity(&self, at: &str, entity: &str, known: &[String]) -> Diagnostic {
        self.document
            .value_finding(
                Code::UnknownEntity,
                at,
                format!("there is no mapping `{entity}`"),
                "has no file in the mappings folder",
            )
            .help(one_of(
                entity,
                "the mappings are",
                known.iter().map(String::as_str),
            ))
    }

    /// The mappings of a profile, through the layer of meaning.
    ///
    /// Files whose shape is wrong are not among them; their findings, and those of entities that the profile leaves
    /// out, are not repeated.
    pub fn mappings(&self, profile: &super::Profile) -> Checked<Vec<Mapping>> {
        let files: Vec<&MappingFile> = self
            .files
            .iter()
            .filter(|file| profile.has_entity(&file.stem))
            .collect();
        let scene = |file: &MappingFile| Scene {
            file_stem: Some(file.stem.clone()),
            profile: Some((profile.name.clone(), profile.vars.clone())),
        };
        let known: Vec<String> = files.iter().map(|file| file.stem.clone()).collect();
        validate_files(&files, &known, scene)
    }
}

/// Runs the layer of meaning over files, each by itself and then together.
pub(crate) fn validate_files(
    files: &[&MappingFile],
    known: &[String],
    scene: impl Fn(&MappingFile) -> Scene + Sync,
) -> Checked<Vec<Mapping>> {
    let mut findings = Vec::new();
    let mut mappings = Vec::new();
    let mut documents = Vec::new();
    let each = on_all_cores(files, |file| {
        let parsed = file.parsed.as_ref()?;
        Some((parsed, mapping::validate(parsed, &scene(file))))
    });
    for (parsed, checked) in each.into_iter().flatten() {
        findings.extend(checked.findings);
        if let Some(mapping) = checked.value {
            documents.push(&parsed.document);
            mappings.push(mapping);
        }
    }
    let together: Vec<(&Document, &Mapping)> = documents.into_iter().zip(&mappings).collect();
    findings.extend(mapping::validate_together(&together, known));
    Checked {
        value: Some(mappings),
        findings,
    }
}

/// The `*.yaml` and `*.yml` files of a folder, by name; hidden ones are none of ours.
fn mapping_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_yaml = path
            .extension()
            .is_some_and(|ending| ending == "yaml" || ending == "yml");
        let is_hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if is_yaml && !is_hidden {
            paths.insert(path);
        }
    }
    Ok(paths.into_iter().collect())
}

/// Does the same to each of many files, on as many threads as there are cores; the answers stand in their order.
fn on_all_cores<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    // A thread costs about as much as a handful of files.
    const FILES_WORTH_A_THREAD: usize = 16;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(items.len().div_ceil(FILES_WORTH_A_THREAD));
    if threads < 2 {
        return items.iter().map(work).collect();
    }
    let work = &work;
    std::thread::scope(|scope| {
        let workers: Vec<_> = items
            .chunks(items.len().div_ceil(threads))
            .map(|items| scope.spawn(move || items.iter().map(work).collect::<Vec<R>>()))
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("checking a file never panics"))
            .collect()
    })
}

fn read_file(path: &Path, working_folder: &Path) -> Checked<Document> {
    let shown = display_path(path, working_folder);
    match read_limited(path) {
        Ok(bytes) => read_bytes(shown, bytes),
        Err(error) => {
            let file = Arc::new(SourceFile::new(shown, ""));
            let label = Label {
                file,
                span: 0..0,
                text: String::new(),
            };
            let finding = Diagnostic::new(
                Code::UnreadableFile,
                format!("the file could not be read: {}", reason(&error)),
                label,
            )
            .help("check the path and its permissions");
            Checked::broken(vec![finding])
        }
    }
}

/// Reads a file, but never much more of it than may be used.
fn read_limited(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = std::fs::File::open(path)?;
    let size = file.metadata()?.len();
    let limit = LARGEST_FILE as u64 + 1;
    let mut bytes = Vec::with_capacity(size.min(limit) as usize);
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The operating system's reason, without the number that it adds.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}
