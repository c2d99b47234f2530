//! The workspace's half: the token, the parent page, and each entity's database, against the mappings.

use super::{document, setting};
use crate::cli::error::with_causes;
use crate::cli::remembered::Remembered;
use crate::cli::session::client;
use crate::diagnostic::{Code, Diagnostic};
use crate::mapping::{Field, Mapping};
use crate::notion::setup::{SetupError, Surveyed, survey};
use crate::notion::wire::User;
use crate::notion::{Client, NotionError, parse_page_id};
use crate::plan::schema_change::{Known, Problem, SchemaChange, SchemaPlan, TypeConflict, desired, diff};
use crate::project::{Profile, Project};
use crate::schema::PropertyType;
use crate::value::{DatabaseId, PageId};
use crate::yaml::{Document, pointer};

/// The step in Notion's menu that shares a page.
const SHARE: &str = "open the page in Notion, choose ••• → Connections, and add the connection";

/// What Notion answers about a profile.
pub(crate) struct Workspace {
    /// The token's own user.
    pub(crate) me: User,
    /// The parent page, or why it cannot be used; `None` where none is set.
    pub(crate) parent: Option<Result<PageId, ParentProblem>>,
    /// Whether users may be read; `None` where no mapping has people in it.
    pub(crate) users: Option<Result<(), NotionError>>,
    /// Each entity's database; absent where it can only be found through a parent page that cannot be used.
    pub(crate) entities: Vec<(String, Result<Surveyed, SetupError>)>,
}

/// Why a parent page cannot be used.
pub(crate) enum ParentProblem {
    /// There is no id in what was given.
    NoId(NotionError),
    /// It is a database.
    Database,
    /// It is in the trash.
    InTrash,
    /// Notion refuses it, or could not be asked.
    Refused(NotionError),
}

/// Asks Notion about a profile. Only reads.
///
/// # Errors
///
/// When not even the token's own user can be read.
pub(crate) async fn look(
    client: &Client,
    profile: &Profile,
    mappings: &[Mapping],
    known: &Known,
) -> Result<Workspace, NotionError> {
    let me = client.me().await?;
    let parent = match &profile.notion.parent_page {
        Some(text) => Some(parent_page(client, text).await),
        None => None,
    };
    let users = if mappings.iter().any(has_people) {
        Some(client.users().await.map(drop))
    } else {
        None
    };
    let page = parent.as_ref().and_then(|parent| parent.as_ref().ok());
    let entities = databases(client, page, mappings, known).await;
    Ok(Workspace {
        me,
        parent,
        users,
        entities,
    })
}

async fn parent_page(client: &Client, text: &str) -> Result<PageId, ParentProblem> {
    let id = parse_page_id(text).map_err(ParentProblem::NoId)?;
    match client.retrieve_page(&id).await {
        Ok(page) if page.is_in_trash() => Err(ParentProblem::InTrash),
        Ok(_) => Ok(id),
        // A database's id is easily copied in place of its page's.
        Err(error) => match client.retrieve_database(&DatabaseId(id.0)).await {
            Ok(_) => Err(ParentProblem::Database),
            Err(_) => Err(ParentProblem::Refused(error)),
        },
    }
}

fn has_people(mapping: &Mapping) -> bool {
    mapping.fields.iter().any(|field: &Field| {
        matches!(
            field.property_type(),
            PropertyType::People | PropertyType::CreatedBy | PropertyType::LastEditedBy
        )
    })
}

/// Each entity's database: all at once, and one by one where one of them is in the way of the others.
async fn databases(
    client: &Client,
    parent: Option<&PageId>,
    mappings: &[Mapping],
    known: &Known,
) -> Vec<(String, Result<Surveyed, SetupError>)> {
    let all: Vec<&Mapping> = mappings.iter().collect();
    // Without a parent page only those are found whose id is known.
    let wanted: Vec<&Mapping> = all
        .iter()
        .copied()
        .filter(|mapping| {
            parent.is_some()
                || known.data_sources.contains_key(&mapping.entity)
                || mapping.notion.data_source_id.is_some()
        })
        .collect();
    let nowhere = PageId::from("");
    let parent = parent.unwrap_or(&nowhere);
    if let Ok(surveyed) = survey(client, parent, &wanted, &all, known).await {
        return surveyed
            .into_iter()
            .map(|surveyed| (surveyed.entity.clone(), Ok(surveyed)))
            .collect();
    }
    let mut found = Vec::new();
    let mut known = known.clone();
    for mapping in wanted {
        let surveyed = survey(client, parent, &[mapping], &all, &known)
            .await
            .map(|mut surveyed| surveyed.swap_remove(0));
        if let Ok(Surveyed {
            existing: Some(existing),
            ..
        }) = &surveyed
        {
            known
                .data_sources
                .insert(mapping.entity.clone(), existing.schema.id.clone());
        }
        found.push((mapping, surveyed));
    }
    // Relations are judged once every target that can be found was found.
    found
        .into_iter()
        .map(|(mapping, surveyed)| {
            let surveyed = surveyed.map(|mut surveyed| {
                surveyed.desired = desired(mapping, &all, &known);
                surveyed.plan = match &surveyed.existing {
                    Some(existing) => diff(&surveyed.desired, Some(&existing.schema), &existing.views),
                    None => diff(&surveyed.desired, None, &[]),
                };
                surveyed
            });
            (mapping.entity.clone(), surveyed)
        })
        .collect()
}

/// Holds a profile's mappings against its workspace. Only reads.
pub(super) async fn findings(
    project: &Project,
    profile: &Profile,
    mappings: &[Mapping],
    remembered: &Remembered,
) -> Vec<Diagnostic> {
    if profile.notion.token.is_none() {
        return Vec::new();
    }
    let report = Report { project, profile };
    let client = match client(profile) {
        Ok(client) => client,
        Err(failure) => {
            return vec![report.setting(Code::NotionUnreachable, "notion/token", &failure.message)];
        }
    };
    let workspace = match look(&client, profile, mappings, &remembered.known).await {
        Ok(workspace) => workspace,
        Err(error) => return vec![report.refused(&error, "notion/token")],
    };
    if remembered.is_other_workspace(&workspace.me) {
        let message = "the token belongs to another workspace than the one that the profile was set up with";
        return vec![
            report
                .setting(Code::WrongWorkspace, "notion/token", message)
                .help("check that the profile has its own token, and not another profile's"),
        ];
    }
    let mut findings = Vec::new();
    if let Some(Err(problem)) = &workspace.parent {
        findings.push(report.parent(problem));
    }
    if let Some(Err(error)) = &workspace.users {
        findings.push(report.refused(error, "notion/token"));
    }
    for (entity, surveyed) in &workspace.entities {
        let mapping = mappings.iter().find(|mapping| mapping.entity == *entity);
        let Some((mapping, document)) =
            mapping.and_then(|mapping| Some((mapping, document(project, mapping)?)))
        else {
            continue;
        };
        match surveyed {
            Ok(surveyed) if surveyed.existing.is_some() => {
                findings.extend(report.differences(document, mapping, &surveyed.plan));
            }
            // A database that does not exist yet is what `setup` is for.
            Ok(_) => {}
            Err(error) => findings.push(report.unusable(document, error)),
        }
    }
    findings
}

/// Where findings about a profile go.
#[derive(Clone, Copy)]
struct Report<'a> {
    project: &'a Project,
    profile: &'a Profile,
}

impl Report<'_> {
    fn setting(&self, code: Code, path: &str, message: &str) -> Diagnostic {
        let at = setting(self.project, self.profile, path);
        let label = match code {
            Code::NotionUnreachable => "could not be asked",
            Code::NotionUnauthorized => "refused by Notion",
            Code::WrongWorkspace => "of another workspace",
            Code::CapabilityMissing => "lacks a capability",
            _ => "cannot be used",
        };
        let message = format!("profile `{}`: {message}", self.profile.name);
        self.project.document.value_finding(code, &at, message, label)
    }

    /// A refusal that concerns the connection as a whole.
    fn refused(&self, error: &NotionError, path: &str) -> Diagnostic {
        let finding = self.setting(code_of(error), path, &with_causes(error));
        match error.help() {
            Some(help) => finding.help(help),
            None => finding.help("try again later, or use `--offline`"),
        }
    }

    fn parent(&self, problem: &ParentProblem) -> Diagnostic {
        let path = "notion/parent_page";
        match problem {
            ParentProblem::NoId(error) => self
                .setting(Code::InvalidNotionId, path, &error.to_string())
                .help("copy the page's link in Notion: ••• → Copy link"),
            ParentProblem::Database => self
                .setting(Code::PageNotShared, path, "the parent page is a database")
                .help("give the page that contains it, or an empty page"),
            ParentProblem::InTrash => self
                .setting(Code::PageNotShared, path, "the parent page is in Notion's trash")
                .help("restore it there, or name another page"),
            ParentProblem::Refused(error) if error.is_not_found() => self
                .setting(
                    Code::PageNotShared,
                    path,
                    "the parent page does not exist, or is not shared with the connection",
                )
                .help(SHARE),
            ParentProblem::Refused(error) => self.refused(error, path),
        }
    }

    /// An entity's database that cannot be looked at.
    fn unusable(&self, document: &Document, error: &SetupError) -> Diagnostic {
        let at = ["/notion/data_source_id", "/notion/title"]
            .into_iter()
            .find(|at| document.has(at))
            .unwrap_or("/notion");
        let code = match error {
            SetupError::Ambiguous { .. } => Code::SeveralDataSources,
            SetupError::InTrash { .. } => Code::DatabaseGone,
            _ => match error.notion() {
                Some(NotionError::ReadId) => Code::InvalidNotionId,
                Some(error) if error.is_not_found() => Code::DatabaseGone,
                Some(error) => code_of(error),
                None => Code::NotionUnreachable,
            },
        };
        let message = format!("profile `{}`: {error}", self.profile.name);
        let finding = document.value_finding(code, at, message, "cannot be used");
        match (error.help(), code) {
            (Some(help), _) => finding.help(help),
            (None, Code::SeveralDataSources) => {
                finding.help("name the one that is meant as `data_source_id`, or rename the others in Notion")
            }
            (None, _) => finding.help("restore it in Notion"),
        }
    }

    /// What a database lacks, and what stands in the way.
    fn differences(&self, document: &Document, mapping: &Mapping, plan: &SchemaPlan) -> Vec<Diagnostic> {
        let profile = &self.profile.name;
        let mut findings: Vec<Diagnostic> = plan
            .conflicts
            .iter()
            .map(|conflict| self.conflict(document, mapping, conflict))
            .collect();
        for change in &plan.changes {
            match change {
                SchemaChange::AddProperty(property) => {
                    let at = place(document, mapping, &property.name, "");
                    let message = format!(
                        "property `{}` does not exist in Notion yet (profile `{profile}`)",
                        property.name
                    );
                    let finding = document.key_finding(Code::PropertyMissing, &at, message, "not in Notion");
                    findings.push(finding.help("`frames-sync setup` adds it"));
                }
                SchemaChange::SetOptions {
                    property, name, add, ..
                } if !add.is_empty() => {
                    // Changes name properties as Notion does; the mapping may have another name for them.
                    let written = plan.matched.iter().find(|(_, id)| *id == property);
                    let written = written.map_or(name, |(written, _)| written);
                    let at = place(document, mapping, written, "options");
                    let options = crate::diagnostic::list(add.iter().map(|option| option.name.as_str()));
                    let message =
                        format!("property `{written}` lacks {options} in Notion (profile `{profile}`)");
                    let finding = document.value_finding(
                        Code::OptionMissingInNotion,
                        &at,
                        message,
                        "not in Notion yet",
                    );
                    findings.push(finding.help("`frames-sync setup` adds what is missing"));
                }
                _ => {}
            }
        }
        findings
    }

    fn conflict(&self, document: &Document, mapping: &Mapping, conflict: &TypeConflict) -> Diagnostic {
        let (code, key, label, help) = match &conflict.problem {
            Problem::Type { found, .. } => (
                Code::PropertyTypeConflict,
                "type",
                format!("a {found} in Notion"),
                "its type is never changed: rename it in Notion, or change the mapping",
            ),
            Problem::Target { .. } => (
                Code::RelationTargetConflict,
                "target",
                "leads elsewhere in Notion".to_owned(),
                "rename the property in Notion, or change the mapping",
            ),
            Problem::Case { found } => (
                Code::PropertyCaseConflict,
                "",
                format!("`{found}` in Notion"),
                "write the name as it is in Notion, or rename it there",
            ),
            Problem::TooManyOptions { count } => (
                Code::OptionsFull,
                "options",
                format!("{count} with those in Notion"),
                "remove unused options in Notion, or make the property `rich_text`",
            ),
        };
        let at = place(document, mapping, &conflict.property, key);
        let message = format!("{conflict} (profile `{}`)", self.profile.name);
        let finding = if key.is_empty() {
            document.key_finding(code, &at, message, label)
        } else {
            document.value_finding(code, &at, message, label)
        };
        finding.help(help)
    }
}

/// Where the mapping writes a key of a property, or names the property at all.
fn place(document: &Document, mapping: &Mapping, property: &str, key: &str) -> String {
    let own = pointer("/properties", property);
    let system = [
        ("postgres_id", &mapping.system.postgres_id),
        ("last_synced", &mapping.system.last_synced),
        ("sync_status", &mapping.system.sync_status),
    ];
    let system = system.into_iter().filter(|(_, name)| *name == property);
    [pointer(&own, key), own]
        .into_iter()
        .chain(system.map(|(written, _)| pointer("/system", written)))
        .chain((mapping.opt_out.as_deref() == Some(property)).then(|| "/opt_out".to_owned()))
        .find(|at| document.has(at))
        .unwrap_or_else(|| "/notion/title".to_owned())
}

/// What a refusal of Notion's means for the connection.
fn code_of(error: &NotionError) -> Code {
    match error.status() {
        _ if error.stops_the_connection() => Code::NotionUnauthorized,
        Some(401) => Code::NotionUnauthorized,
        Some(403) if error.code().is_some() => Code::CapabilityMissing,
        _ => Code::NotionUnreachable,
    }
}
