//! The live layers of `validate`: reads both sides for a profile, and holds its mappings against them.

mod database;
mod workspace;

pub(crate) use database::reach;
pub(crate) use workspace::{ParentProblem, Workspace, look};

use super::remembered::{Remembered, remembered};
use crate::diagnostic::Diagnostic;
use crate::mapping::Mapping;
use crate::project::{Profile, Project};
use crate::yaml::{Document, pointer};

/// Holds a profile's mappings against both sides. Only reads; each side is asked whether or not the other answers.
///
/// A side that is not set was reported with the profile, and there is nothing to hold anything against.
pub(super) async fn findings(project: &Project, profile: &Profile, mappings: &[Mapping]) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    let mut known = Remembered::default();
    if let Some(url) = &profile.database_url {
        let asked = async {
            let pool = database::reach(url).await?;
            let found = database::findings(&pool, project, mappings).await;
            // Without what was remembered, databases are looked for by their titles.
            let known = remembered(&pool, profile).await.unwrap_or_default();
            pool.close().await;
            Ok((found?, known))
        };
        match asked.await {
            Ok((found, remembered)) => {
                findings.extend(found);
                known = remembered;
            }
            Err(error) => findings.push(database::unreachable(project, profile, &error)),
        }
    }
    findings.extend(workspace::findings(project, profile, mappings, &known).await);
    findings
}

/// Where a profile's setting is written: with the profile, else with the defaults, else the profile itself.
fn setting(project: &Project, profile: &Profile, path: &str) -> String {
    let own = pointer("/profiles", &profile.name);
    [format!("{own}/{path}"), format!("/defaults/{path}")]
        .into_iter()
        .find(|at| project.document.has(at))
        .unwrap_or(own)
}

/// The file of a mapping.
fn document<'a>(project: &'a Project, mapping: &Mapping) -> Option<&'a Document> {
    project
        .files
        .iter()
        .filter_map(|file| file.parsed.as_ref())
        .find(|parsed| parsed.written.entity.0 == mapping.entity)
        .map(|parsed| &parsed.document)
}
