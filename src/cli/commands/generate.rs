//! `generate`: a mapping from a live table.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use sqlx::PgPool;

use crate::cli::context::{self, Selection};
use crate::cli::{Exit, Failure, Format, Global, Terminal};
use crate::diagnostic;
use crate::mapping::generate::{Template, entity_name, generate};
use crate::mapping::{Predicate, columns_of_interest_in};
use crate::postgres::facts::Sample;
use crate::postgres::{ConnectOptions, PostgresError, column_facts, connect, introspect_all, list_tables};
use crate::project::{Profile, Project, Secrets, display_path};
use crate::report::ErrorCode;
use crate::schema::{TableName, TableSchema};

/// Rows looked at to tell options from free text.
const SAMPLE: Sample = Sample {
    rows: 20_000,
    distinct: 200,
};

/// Write a mapping from a live table.
///
/// Types come from the catalog, options from enum types, CHECK constraints and columns of few distinct values,
/// relations from foreign keys to tables that have a mapping or get one in the same call. The file passes `validate`
/// as it is, and is yours to edit.
#[derive(Debug, Args)]
pub struct Generate {
    /// The tables, as `table` or `schema.table`.
    #[arg(value_name = "TABLE", required_unless_present = "all")]
    pub tables: Vec<String>,
    /// Every table that has no mapping yet, but the engine's own.
    #[arg(long, conflicts_with = "tables")]
    pub all: bool,
    /// Print the mapping and write nothing; for one table.
    #[arg(long)]
    pub stdout: bool,
    /// Overwrite mapping files that are there.
    #[arg(long)]
    pub force: bool,
}

impl Generate {
    /// Reads the tables and writes a file for each.
    pub fn run(self, global: &Global, terminal: &Terminal) -> Result<Exit, Failure> {
        let working_folder = context::working_folder()?;
        let file = context::find_project(global, &working_folder)?
            .ok_or_else(|| context::no_project(&working_folder))?;
        let loaded = context::load_project(&file, &working_folder);
        let Some(project) = loaded.value else {
            return Err(
                context::refuse(&loaded.findings).unwrap_or_else(|| Failure::usage("unreadable project"))
            );
        };
        let [name] = &context::select(&project, global, Selection::Default)?[..] else {
            return Err(
                Failure::usage("a mapping is generated from one profile's database")
                    .hint("name one with `--profile NAME`"),
            );
        };
        let rendered = project.profile(name, Secrets::Optional);
        let profile = rendered
            .value
            .ok_or_else(|| Failure::usage(format!("there is no profile `{name}`")))?;
        let url = profile.database_url.clone().ok_or_else(|| {
            Failure::usage(format!("profile `{name}` has no database to read"))
                .hint("set `database_url`, and the variable that it names")
        })?;
        let written = context::block_on(async {
            let options = ConnectOptions {
                max_connections: 2,
                ..ConnectOptions::default()
            };
            let pool = connect(&url, &options)
                .await
                .map_err(|error| unreachable(&error))?;
            let written = self.write(&pool, &project, &profile).await;
            pool.close().await;
            written
        })??;
        self.save(&project, written, terminal, &working_folder)
    }

    async fn write(
        &self,
        pool: &PgPool,
        project: &Project,
        profile: &Profile,
    ) -> Result<Vec<Written>, Failure> {
        let world = |error: PostgresError| unreachable(&error);
        let known = list_tables(pool).await.map_err(world)?;
        let mapped = mapped_tables(project);
        let names = self.names(&known, &mapped, &profile.state_schema)?;
        let all: Vec<TableName> = names.iter().chain(mapped.keys()).cloned().collect();
        let tables = introspect_all(pool, &all).await.map_err(world)?;
        let mut entities = mapped;
        for name in &names {
            if let Some(table) = tables.get(name) {
                entities.insert(name.clone(), (entity_name(name), table.primary_key.clone()));
            }
        }
        let vars: Vec<String> = profile.vars.keys().cloned().collect();
        let mut written = Vec::new();
        for name in &names {
            let Some(table) = tables.get(name) else { continue };
            let columns = columns_of_interest_in(table);
            let facts = column_facts(pool, table, &columns, &Predicate::EVERY_ROW, SAMPLE)
                .await
                .map_err(world)?;
            let template = Template {
                table,
                facts: &facts,
                entities: &entities,
                vars: &vars,
                schema_path: Some("../schemas/mapping.schema.json"),
            };
            let (entity, text) =
                generate(template).map_err(|error| Failure::needs_user(error.to_string()))?;
            written.push(Written {
                table: table.clone(),
                entity,
                text,
            });
        }
        Ok(written)
    }

    /// The tables asked for, as the catalog names them.
    fn names(
        &self,
        known: &[TableName],
        mapped: &BTreeMap<TableName, (String, Vec<String>)>,
        state_schema: &str,
    ) -> Result<Vec<TableName>, Failure> {
        if self.all {
            let is_new = |table: &&TableName| table.schema != state_schema && !mapped.contains_key(*table);
            return Ok(known.iter().filter(is_new).cloned().collect());
        }
        let mut names = Vec::new();
        for text in &self.tables {
            let (schema, name) = text.split_once('.').unwrap_or(("public", text));
            let table = TableName {
                schema: schema.to_owned(),
                name: name.to_owned(),
            };
            if !known.contains(&table) {
                let candidates: Vec<String> = known
                    .iter()
                    .map(|table| {
                        if table.schema == "public" {
                            table.name.clone()
                        } else {
                            table.to_string()
                        }
                    })
                    .collect();
                let names = || candidates.iter().map(String::as_str);
                let hint = diagnostic::did_you_mean(text, names())
                    .unwrap_or_else(|| format!("the tables are {}", diagnostic::list(names())));
                return Err(Failure::needs_user(format!("there is no table `{table}`"))
                    .code(ErrorCode::NotFound)
                    .hint(hint));
            }
            if !names.contains(&table) {
                names.push(table);
            }
        }
        Ok(names)
    }

    fn save(
        &self,
        project: &Project,
        written: Vec<Written>,
        terminal: &Terminal,
        working_folder: &Path,
    ) -> Result<Exit, Failure> {
        if self.stdout {
            for mapping in &written {
                terminal.exact(&mapping.text);
            }
            return Ok(Exit::Done);
        }
        let folder = &project.mappings_folder;
        let path = |entity: &str| -> PathBuf { folder.join(format!("{entity}.yaml")) };
        // All or nothing: a half-written set would name relations to files that are not there.
        for mapping in &written {
            let path = path(&mapping.entity);
            if path.exists() && !self.force {
                let shown = display_path(&path, working_folder);
                return Err(Failure::needs_user(format!("`{shown}` is there already"))
                    .hint("`--force` overwrites it; `--stdout` prints the mapping"));
            }
        }
        let failed = |error: std::io::Error| {
            Failure::usage(format!("the mappings folder could not be written: {error}"))
        };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let mut files = Vec::new();
        for mapping in &written {
            let path = path(&mapping.entity);
            std::fs::write(&path, &mapping.text).map_err(failed)?;
            let shown = display_path(&path, working_folder);
            terminal.say(format_args!("wrote {shown} from {}", mapping.table.name));
            files.push(serde_json::json!({
                "entity": mapping.entity, "table": mapping.table.name.to_string(), "file": shown,
            }));
        }
        match terminal.format() {
            Format::Json => terminal.json(&serde_json::json!({ "version": 1, "files": files })),
            _ => terminal.say("`frames-sync validate` checks it against the live database"),
        }
        Ok(Exit::Done)
    }
}

struct Written {
    table: TableSchema,
    entity: String,
    text: String,
}

/// The tables that the project maps, with each entity's name and key.
fn mapped_tables(project: &Project) -> BTreeMap<TableName, (String, Vec<String>)> {
    project
        .files
        .iter()
        .filter_map(|file| file.parsed.as_ref())
        .map(|parsed| {
            let written = &parsed.written;
            let (schema, name) = written
                .table
                .0
                .split_once('.')
                .unwrap_or(("public", &written.table.0));
            let key = written.key.names().into_iter().map(str::to_owned).collect();
            let table = TableName {
                schema: schema.to_owned(),
                name: name.to_owned(),
            };
            (table, (written.entity.0.clone(), key))
        })
        .collect()
}

fn unreachable(error: &PostgresError) -> Failure {
    Failure::world(crate::cli::error::with_causes(error)).hint("`frames-sync doctor` checks the connection")
}
