//! The project folder that the demo works in: the mappings of this repository, and profiles of its own.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Mappings as they stand in this repository, by entity.
///
/// The other two have records in the sample that no sync can carry, which would end every run with 1: interfaces lead
/// to teams of other universities, and a tag of a module holds a comma.
const MAPPINGS: [(&str, &str); 5] = [
    ("universities", include_str!("../../mappings/universities.yaml")),
    ("projects", include_str!("../../mappings/projects.yaml")),
    ("teams", include_str!("../../mappings/teams.yaml")),
    ("faculty", include_str!("../../mappings/faculty.yaml")),
    ("students", include_str!("../../mappings/students.yaml")),
];

/// The line of `students.yaml` that the story adds on its way.
pub(crate) const ADDED_LINE: &str = "  terms_remaining: { type: number, column: terms_remaining }\n";

/// Where `students.yaml` gets the policy that leaves a conflict to a person.
const STATUS_COLUMN: &str = "    column: status\n";

/// What the profiles read from `.env`.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// The database's URL.
    pub(crate) database_url: String,
    /// The simulator's address.
    pub(crate) base_url: String,
    /// For each of [`PROFILES`]: its token, and its parent page.
    pub(crate) workspaces: [(String, String); 3],
}

/// The profiles, in the order of the project file.
pub(crate) const PROFILES: [&str; 3] = ["calpoly", "texas-state", "proves"];

/// A folder for this process alone; it goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Writes the project into a new folder among the temporary files.
    ///
    /// # Errors
    /// Where the folder or a file cannot be written.
    pub(crate) fn write(access: &Access) -> io::Result<Self> {
        let name = format!("frames-sync-demo-{}", uuid::Uuid::new_v4().simple());
        let path = std::env::temp_dir().join(name);
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        // From here on, dropping removes it.
        let folder = Self { path };
        fs::write(folder.project_file(), project_file(access))?;
        fs::write(folder.path.join(".env"), dot_env(access))?;
        let mappings = folder.path.join("mappings");
        fs::create_dir(&mappings)?;
        for (entity, text) in MAPPINGS {
            let text = match entity {
                "students" => students(text),
                _ => text.to_owned(),
            };
            fs::write(mappings.join(format!("{entity}.yaml")), text)?;
        }
        Ok(folder)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The project file in it.
    pub(crate) fn project_file(&self) -> PathBuf {
        self.path.join("frames-sync.yaml")
    }

    /// Adds [`ADDED_LINE`] to `students.yaml`, as a person would in an editor.
    ///
    /// # Errors
    /// Where the file cannot be read or written.
    pub(crate) fn add_line(&self) -> io::Result<()> {
        let file = self.path.join("mappings/students.yaml");
        let text = fs::read_to_string(&file)?;
        fs::write(file, text.replace("\nviews:", &format!("{ADDED_LINE}\nviews:")))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is a temporary file like others.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn students(text: &str) -> String {
    text.replace(ADDED_LINE, "")
        .replace(STATUS_COLUMN, &format!("{STATUS_COLUMN}    conflict: manual\n"))
}

fn project_file(access: &Access) -> String {
    let base_url = &access.base_url;
    format!(
        r#"version: 1
default_profile: calpoly
defaults:
  database_url: "{{{{ env.DEMO_DATABASE_URL }}}}"
  notion:
    base_url: {base_url} # the simulator; leave it out for Notion itself
    requests_per_minute: 6000 # Notion allows 180, or 600
  # Notion may show a change late, and these say how late; the simulator shows it at once.
  tuning:
    settle: 0s
    settle_create: 0s
    read_lag: 0s
    quiet_page: 0s
    create_grace: 0s
profiles:
  calpoly:
    vars: {{ university_id: CalPolyPomona }}
    notion: {{ token: "{{{{ env.DEMO_TOKEN_0 }}}}", parent_page: "{{{{ env.DEMO_PAGE_0 }}}}" }}
  texas-state:
    vars: {{ university_id: TexasState }}
    notion: {{ token: "{{{{ env.DEMO_TOKEN_1 }}}}", parent_page: "{{{{ env.DEMO_PAGE_1 }}}}" }}
    entities: [teams, students, projects]
  # The shared project belongs to no university: its rows have no `university_id`.
  proves:
    vars: {{ university_id: null }}
    notion: {{ token: "{{{{ env.DEMO_TOKEN_2 }}}}", parent_page: "{{{{ env.DEMO_PAGE_2 }}}}" }}
    entities: [teams, faculty, projects]
"#
    )
}

fn dot_env(access: &Access) -> String {
    let mut text = format!("DEMO_DATABASE_URL='{}'\n", access.database_url);
    for (number, (token, page)) in access.workspaces.iter().enumerate() {
        text.push_str(&format!(
            "DEMO_TOKEN_{number}='{token}'\nDEMO_PAGE_{number}='{page}'\n"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::{Environment, Project, Secrets};

    #[test]
    fn every_profile_of_the_folder_is_sound_and_the_added_line_is_a_property() {
        let access = Access {
            database_url: "postgresql://postgres@localhost/frames?host=/dev/shm/x".to_owned(),
            base_url: "http://127.0.0.1:1".to_owned(),
            workspaces: std::array::from_fn(|number| {
                (
                    format!("ntn_{number}"),
                    uuid::Uuid::from_u128(number as u128 + 1).to_string(),
                )
            }),
        };
        let folder = Folder::write(&access).expect("a folder");
        let has_terms = |folder: &Folder| {
            let loaded = Project::load(&folder.project_file(), folder.path(), Environment::default());
            assert!(loaded.findings.is_empty(), "{:?}", loaded.findings);
            let project = loaded.value.expect("a project");
            let mut found = Vec::new();
            for name in PROFILES {
                let rendered = project.profile(name, Secrets::Needed);
                assert!(rendered.findings.is_empty(), "{:?}", rendered.findings);
                let mappings = project.mappings(&rendered.value.expect("a profile"));
                assert!(mappings.findings.is_empty(), "{:?}", mappings.findings);
                for mapping in mappings.value.expect("mappings") {
                    found.push(
                        mapping
                            .fields
                            .iter()
                            .any(|field| field.property == "terms_remaining"),
                    );
                }
            }
            found.into_iter().filter(|has| *has).count()
        };
        assert_eq!(has_terms(&folder), 0);
        folder.add_line().expect("written");
        assert_eq!(has_terms(&folder), 2);
        let path = folder.path().to_owned();
        drop(folder);
        assert!(!path.exists());
    }
}
