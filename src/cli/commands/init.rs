//! `init`: a project to start from.

use std::path::{Path, PathBuf};

use clap::Args;

use super::schema::Of;
use crate::cli::context;
use crate::cli::{Exit, Failure, Format, Terminal};
use crate::project::{PROJECT_FILE, display_path};

/// Write a project file, an example mapping, `.env.example` and the schemas.
///
/// Files that are there already are left as they are.
#[derive(Debug, Args)]
pub struct Init {
    /// The folder; it is made where it does not exist.
    #[arg(value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
}

const PROJECT: &str = include_str!("init/frames-sync.yaml");
const MAPPING: &str = include_str!("init/teams.yaml");
const ENVIRONMENT: &str = include_str!("init/env.example");

impl Init {
    /// Writes the files, and says which.
    pub fn run(self, terminal: &Terminal) -> Result<Exit, Failure> {
        let working_folder = context::working_folder()?;
        let folder = working_folder.join(&self.folder);
        let schema = |of: Of| format!("{:#}\n", of.schema());
        let files = [
            (PROJECT_FILE, PROJECT.to_owned()),
            ("mappings/teams.yaml", MAPPING.to_owned()),
            (".env.example", ENVIRONMENT.to_owned()),
            ("schemas/project.schema.json", schema(Of::Project)),
            ("schemas/mapping.schema.json", schema(Of::Mapping)),
            ("schemas/report.schema.json", schema(Of::Report)),
        ];
        let mut written = Vec::new();
        let mut kept = Vec::new();
        for (name, text) in files {
            let path = folder.join(name);
            let shown = display_path(&path, &working_folder);
            if path.exists() {
                terminal.say(format_args!("kept  {shown}"));
                kept.push(shown);
            } else {
                write(&path, &text)?;
                terminal.say(format_args!("wrote {shown}"));
                written.push(shown);
            }
        }
        ignore_secrets(&folder)?;
        match terminal.format() {
            Format::Json => {
                terminal.json(&serde_json::json!({ "version": 1, "written": written, "kept": kept }))
            }
            _ => terminal.say(NEXT),
        }
        Ok(Exit::Done)
    }
}

const NEXT: &str = "
Next:
  1. copy .env.example to .env, and fill it in
  2. frames-sync generate TABLE     a mapping from a live table, or edit mappings/teams.yaml
  3. frames-sync validate           everything that is wrong, at once
  4. frames-sync setup              the databases in Notion, and the first push";

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::usage(format!("`{}` could not be written: {error}", path.display()))
            .hint("check the folder and its permissions")
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(path, text).map_err(failed)
}

/// Keeps `.env` out of version control, where the folder is under it.
fn ignore_secrets(folder: &Path) -> Result<(), Failure> {
    if !folder.join(".git").exists() {
        return Ok(());
    }
    let path = folder.join(".gitignore");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    if text
        .lines()
        .any(|line| matches!(line.trim(), ".env" | "/.env" | ".env*"))
    {
        return Ok(());
    }
    let separator = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    write(&path, &format!("{text}{separator}.env\n"))
}
