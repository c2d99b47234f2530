//! Both sides of the demo, looked at without anything of the sync: SQL here, the simulated workspace there.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::folder::{Folder, PROFILES};
use crate::report::RunReport;
use crate::simulator::{Simulator, Workspace};

/// The database, the workspace and the project folder.
#[derive(Debug)]
pub(crate) struct Sides {
    /// The database.
    pub(crate) pool: PgPool,
    /// The workspace.
    pub(crate) simulator: Simulator,
    /// The project.
    pub(crate) folder: Folder,
    /// The data source of each profile and entity, as set-up reported it.
    sources: BTreeMap<(String, String), Uuid>,
}

/// How one entity is compared: the rows of a university (`$1`, NULL for none) as a key and some columns as text, and
/// the properties that these columns stand in.
struct Compared {
    entity: &'static str,
    rows: &'static str,
    properties: &'static [&'static str],
}

const COMPARED: [Compared; 5] = [
    Compared {
        entity: "universities",
        rows: "select id, array[name, code, full_name, active::text] from universities where id = $1",
        properties: &["Name", "code", "full_name", "active"],
    },
    Compared {
        entity: "projects",
        rows: "select id, array[name, university_id, description, status::text, start_date::text] from projects \
               where university_id is not distinct from $1",
        properties: &["Name", "university_id", "description", "status", "start_date"],
    },
    Compared {
        entity: "teams",
        rows: "select t.id, array[t.name, t.university_id, team_type, t.status, p.id] from teams t \
               left join projects p on p.id = project_id and p.university_id is not distinct from $1 \
               where t.university_id is not distinct from $1",
        properties: &["Name", "university_id", "team_type", "status", "Project"],
    },
    Compared {
        entity: "faculty",
        rows: "select id, array[name, university_id, email, department, role, active::text] from faculty \
               where university_id is not distinct from $1",
        properties: &["Name", "university_id", "email", "department", "role", "active"],
    },
    Compared {
        entity: "students",
        rows: "select id, array[name, university_id, email, team_id, status] from students \
               where university_id is not distinct from $1",
        properties: &["Name", "university_id", "email", "Team", "status"],
    },
];

/// Records of a side: key, then values as text, sorted; nothing reads as the empty text.
type Records = Vec<(String, Vec<String>)>;

impl Sides {
    /// Both sides, before set-up.
    pub(crate) fn new(pool: PgPool, simulator: Simulator, folder: Folder) -> Self {
        Self {
            pool,
            simulator,
            folder,
            sources: BTreeMap::new(),
        }
    }

    /// Learns from a report where the databases are.
    pub(crate) fn learn(&mut self, report: &RunReport) {
        for profile in &report.profiles {
            for entity in &profile.entities {
                if let Some(id) = entity
                    .data_source_id
                    .as_ref()
                    .and_then(|id| Uuid::parse_str(id).ok())
                {
                    self.sources
                        .insert((profile.profile.clone(), entity.entity.clone()), id);
                }
            }
        }
    }

    /// Changes the database; answers how many rows.
    pub(crate) async fn execute(&self, sql: &'static str) -> Result<u64, sqlx::Error> {
        Ok(sqlx::query(sql).execute(&self.pool).await?.rows_affected())
    }

    /// One text from the database; nothing and NULL read as the empty text.
    pub(crate) async fn text(&self, sql: &'static str) -> Result<String, sqlx::Error> {
        let found: Option<Option<String>> = sqlx::query_scalar(sql).fetch_optional(&self.pool).await?;
        Ok(found.flatten().unwrap_or_default())
    }

    /// The entities that a profile syncs.
    fn entities(&self, profile: &str) -> Vec<&Compared> {
        let has = |entity: &str| {
            self.sources
                .contains_key(&(profile.to_owned(), entity.to_owned()))
        };
        COMPARED.iter().filter(|compared| has(compared.entity)).collect()
    }

    /// Every record of a profile on both sides, by entity: what the rows say, what the pages say.
    pub(crate) async fn everything(
        &self,
        profile: &str,
    ) -> Result<(BTreeMap<&'static str, Records>, BTreeMap<&'static str, Records>), sqlx::Error> {
        let university = match PROFILES.iter().position(|name| *name == profile) {
            Some(0) => Some("CalPolyPomona"),
            Some(1) => Some("TexasState"),
            _ => None,
        };
        let mut rows = BTreeMap::new();
        let mut pages = BTreeMap::new();
        for compared in self.entities(profile) {
            let found: Vec<(String, Vec<Option<String>>)> = sqlx::query_as(compared.rows)
                .bind(university)
                .fetch_all(&self.pool)
                .await?;
            let mut found: Records = found
                .into_iter()
                .map(|(key, values)| (key, values.into_iter().map(Option::unwrap_or_default).collect()))
                .collect();
            found.sort();
            rows.insert(compared.entity, found);
            pages.insert(
                compared.entity,
                self.pages(profile, compared.entity, compared.properties),
            );
        }
        Ok((rows, pages))
    }

    /// The live pages of an entity with some of their properties.
    pub(crate) fn pages(&self, profile: &str, entity: &str, properties: &[&str]) -> Records {
        let Some(source) = self.sources.get(&(profile.to_owned(), entity.to_owned())) else {
            return Vec::new();
        };
        let mut pages: Records = self.simulator.workspace(|workspace| {
            let rows = workspace.rows(*source).into_iter();
            rows.map(|page| {
                let values = properties.iter().map(|name| shown(workspace, page, name));
                (shown(workspace, page, "postgres_id"), values.collect())
            })
            .collect()
        });
        pages.sort();
        pages
    }

    /// One property of the page of a record; the empty text where there is no such page.
    pub(crate) fn property(&self, profile: &str, entity: &str, key: &str, property: &str) -> String {
        self.pages(profile, entity, &[property])
            .into_iter()
            .find(|(found, _)| found == key)
            .and_then(|(_, values)| values.into_iter().next())
            .unwrap_or_default()
    }

    /// A person types something into a property of a record's page. Whether there was such a page, and it took it.
    pub(crate) fn type_in(
        &self,
        profile: &str,
        entity: &str,
        key: &str,
        property: &str,
        value: &Json,
    ) -> bool {
        let Some(source) = self.sources.get(&(profile.to_owned(), entity.to_owned())) else {
            return false;
        };
        self.simulator.workspace(|workspace| {
            let pages = workspace.rows(*source);
            let page = pages
                .into_iter()
                .find(|page| shown(workspace, *page, "postgres_id") == key);
            page.is_some_and(|page| workspace.edit(page, property, value.clone()).is_ok())
        })
    }

    /// A person adds a page. Whether Notion took it.
    pub(crate) fn add_page(&self, profile: &str, entity: &str, properties: &Json) -> bool {
        let source = self.sources.get(&(profile.to_owned(), entity.to_owned()));
        source.is_some_and(|source| {
            self.simulator
                .workspace(|workspace| workspace.add_row(*source, properties).is_ok())
        })
    }

    /// How many pages of an entity are in the trash.
    pub(crate) fn trashed(&self, profile: &str, entity: &str) -> usize {
        let source = self.sources.get(&(profile.to_owned(), entity.to_owned()));
        source.map_or(0, |source| {
            self.simulator
                .workspace(|workspace| workspace.trashed_rows(*source).len())
        })
    }

    /// The requests made since the last look that are not reads.
    pub(crate) fn writes(&self) -> Vec<String> {
        let counts = self.simulator.request_counts();
        counts
            .into_keys()
            .filter(|endpoint| !endpoint.starts_with("GET ") && !endpoint.ends_with("/query"))
            .collect()
    }
}

/// A title or a text as the API takes it.
pub(crate) fn typed(kind: &str, text: &str) -> Json {
    json!({ kind: [{ "text": { "content": text } }] })
}

/// What a person sees in a property.
fn shown(workspace: &Workspace, page: Uuid, property: &str) -> String {
    match workspace.value(page, property) {
        Some(Json::Array(items)) => {
            let texts = items.iter().map(|item| match item["id"].as_str() {
                // A relation shows as the record that its page stands for.
                Some(id) if item["plain_text"].is_null() => Uuid::parse_str(id)
                    .map(|target| shown(workspace, target, "postgres_id"))
                    .unwrap_or_default(),
                _ => item["plain_text"].as_str().unwrap_or_default().to_owned(),
            });
            texts.collect()
        }
        Some(Json::Object(choice)) => choice
            .get("name")
            .or_else(|| choice.get("start"))
            .and_then(Json::as_str)
            .unwrap_or_default()
            .to_owned(),
        Some(Json::String(text)) => text,
        Some(Json::Number(number)) => number
            .as_f64()
            .map(|number| number.to_string())
            .unwrap_or_default(),
        Some(Json::Bool(ticked)) => ticked.to_string(),
        Some(Json::Null) | None => String::new(),
    }
}
