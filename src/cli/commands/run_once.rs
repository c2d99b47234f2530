//! `setup`, `sync`, `push` and `pull`: one run over each profile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;
use futures_util::future::join_all;

use crate::cli::context::{self, Selection};
use crate::cli::error::with_causes;
use crate::cli::progress::Board;
use crate::cli::session::{self, Session};
use crate::cli::view;
use crate::cli::{Exit, Failure, Format, Global, Terminal};
use crate::diagnostic;
use crate::engine::{Request, Run};
use crate::mapping::Mapping;
use crate::plan::file::SavedPlan;
use crate::plan::schema_change::SchemaChange;
use crate::ports::{Nobody, Watcher};
use crate::project::Project;
use crate::report::{Command, EntityReport, PlanReport, ProfileReport, RunReport};
use crate::value::RecordKey;

/// What a run is narrowed to.
#[derive(Clone, Debug, Default, Args)]
pub struct Narrowing {
    /// Only this entity; may be repeated.
    #[arg(long = "entity", value_name = "ENTITY")]
    pub entities: Vec<String>,
    /// Only the record with this key; may be repeated. Columns of a composite key are joined by commas.
    #[arg(long = "key", value_name = "KEY")]
    pub keys: Vec<String>,
    /// Only this property; may be repeated.
    #[arg(long = "property", value_name = "PROPERTY")]
    pub properties: Vec<String>,
    /// Look at every row and page, whatever seems to have changed.
    #[arg(long)]
    pub full: bool,
}

/// Sync both ways, or one.
#[derive(Debug, Args)]
pub struct Sync {
    /// What the run is narrowed to.
    #[command(flatten)]
    pub narrowing: Narrowing,
    /// Say what would be done, with the reasons, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Apply exactly this saved plan, or refuse where a side has moved.
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub plan: Option<PathBuf>,
}

/// Push to Notion, or pull from it.
#[derive(Debug, Args)]
pub struct OneWay {
    /// What the run is narrowed to.
    #[command(flatten)]
    pub narrowing: Narrowing,
    /// Say what would be done, with the reasons, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// Create or adopt the databases, reconcile their schema and views, and push for the first time.
#[derive(Debug, Args)]
pub struct Setup {
    /// The page under which the databases stand, in place of the profile's: its address or id.
    #[arg(long, value_name = "ID")]
    pub parent_page: Option<String>,
    /// Make the databases and leave them empty.
    #[arg(long)]
    pub skip_initial_sync: bool,
    /// Say what would be done, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
}

impl Narrowing {
    /// The engine's request for a command over a profile with these mappings.
    ///
    /// # Errors
    ///
    /// For a key that no entity asked for can have, and a property that none of them maps.
    pub(crate) fn request(&self, command: Command, mappings: &[Mapping]) -> Result<Request, Failure> {
        let asked = self.asked(mappings);
        for property in &self.properties {
            known_property(property, &asked)?;
        }
        Ok(Request {
            command,
            entities: self.entities.clone(),
            keys: self.keys(mappings)?,
            pages: Vec::new(),
            noted: false,
            properties: self.properties.clone(),
            full: self.full,
        })
    }

    fn asked<'a>(&self, mappings: &'a [Mapping]) -> Vec<&'a Mapping> {
        mappings
            .iter()
            .filter(|mapping| self.entities.is_empty() || self.entities.contains(&mapping.entity))
            .collect()
    }

    /// The keys that are asked for: one reading of each for each number of key columns.
    ///
    /// # Errors
    ///
    /// For a key that no entity asked for can have.
    pub(crate) fn keys(&self, mappings: &[Mapping]) -> Result<Vec<RecordKey>, Failure> {
        let asked = self.asked(mappings);
        let mut keys = Vec::new();
        for text in &self.keys {
            let read = keys_of(text, &asked);
            if read.is_empty() && !asked.is_empty() {
                return Err(no_key(text, &asked));
            }
            keys.extend(read);
        }
        Ok(keys)
    }

    /// Refuses names that no mapping has.
    pub(crate) fn check(&self, project: &Project) -> Result<(), Failure> {
        for entity in &self.entities {
            context::known_entity(project, entity)?;
        }
        Ok(())
    }
}

/// What a key as reports print it can mean for these entities: one reading for each number of key columns.
fn keys_of(text: &str, mappings: &[&Mapping]) -> Vec<RecordKey> {
    let columns: BTreeSet<usize> = mappings.iter().map(|mapping| mapping.key.len()).collect();
    columns
        .into_iter()
        .filter_map(|columns| RecordKey::parse(text, columns))
        .collect()
}

/// The key of one entity's record, from the text that reports print.
///
/// # Errors
///
/// When the entity's keys have another number of columns.
pub(crate) fn key_of(text: &str, mapping: &Mapping) -> Result<RecordKey, Failure> {
    RecordKey::parse(text, mapping.key.len()).ok_or_else(|| no_key(text, &[mapping]))
}

fn no_key(text: &str, mappings: &[&Mapping]) -> Failure {
    let mut failure = Failure::usage(format!("`{text}` has another number of columns than the key"));
    for mapping in mappings {
        failure = failure.hint(format!(
            "the key of `{}` is {}",
            mapping.entity,
            diagnostic::list(mapping.key.iter().map(String::as_str))
        ));
    }
    failure.hint("join columns by commas, with `\\` before a comma or backslash inside one")
}

fn known_property(property: &str, mappings: &[&Mapping]) -> Result<(), Failure> {
    let names = || {
        let fields = mappings.iter().flat_map(|mapping| &mapping.fields);
        fields.map(|field| field.property.as_str())
    };
    if mappings.is_empty() || names().any(|name| name == property) {
        return Ok(());
    }
    let failure = Failure::usage(format!("no mapping has a property `{property}`"));
    Err(match diagnostic::did_you_mean(property, names()) {
        Some(hint) => failure.hint(hint),
        None => failure,
    })
}

impl Sync {
    /// Runs both ways.
    pub fn run(self, global: &Global, terminal: &Terminal) -> Result<Exit, Failure> {
        let saved = match &self.plan {
            Some(path) => Some(read_plan(path)?),
            None => None,
        };
        let work = Work {
            command: Command::Sync,
            narrowing: self.narrowing,
            dry_run: self.dry_run,
            saved,
        };
        work.run(global, terminal)
    }
}

impl OneWay {
    /// Runs one way.
    pub fn run(self, command: Command, global: &Global, terminal: &Terminal) -> Result<Exit, Failure> {
        let work = Work {
            command,
            narrowing: self.narrowing,
            dry_run: self.dry_run,
            saved: None,
        };
        work.run(global, terminal)
    }
}

fn read_plan(path: &std::path::Path) -> Result<SavedPlan, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("the plan `{}` cannot be read: {error}", path.display())))?;
    SavedPlan::parse(&text).map_err(|error| Failure::usage(error.to_string()))
}

/// One command over the selected profiles.
struct Work {
    command: Command,
    narrowing: Narrowing,
    dry_run: bool,
    saved: Option<SavedPlan>,
}

impl Work {
    fn run(self, global: &Global, terminal: &Terminal) -> Result<Exit, Failure> {
        let project = context::open_project(global)?;
        self.narrowing.check(&project)?;
        let names = context::select(&project, global, Selection::Default)?;
        if self.dry_run {
            return self.dry_run(&project, &names, terminal);
        }
        let board = Board::new(terminal);
        let ended = context::block_on(async {
            let profiles = names.iter();
            join_all(profiles.map(|name| self.profile(&project, name, terminal, &board))).await
        })?;
        finish(self.command, ended, terminal)
    }

    async fn profile(
        &self,
        project: &Project,
        name: &str,
        terminal: &Terminal,
        board: &Board,
    ) -> (ProfileReport, Exit) {
        match self.open_and_run(project, name, &*board.watch(name)).await {
            Ok(run) => {
                board.decided(name, &run.plan);
                let exit = run.report.outcome.into();
                (run.report, exit)
            }
            Err(failure) => failed(name, &failure, terminal),
        }
    }

    async fn open_and_run(
        &self,
        project: &Project,
        name: &str,
        watcher: &dyn Watcher,
    ) -> Result<Run, Failure> {
        let session = Session::open(project, name).await?;
        let request = self.narrowing.request(self.command, &session.mappings)?;
        let known = session.known().await?;
        // A plan is applied to what it was made for; a pull writes nothing in Notion.
        let may_write = self.command != Command::Pull && self.saved.is_none();
        let entities = session.with_relations(&known, &self.narrowing.entities);
        let schemas = session.schemas(&known, &entities, may_write).await?;
        let known = session.known().await?;
        let engine = session.engine(&known, &schemas)?;
        let run = match &self.saved {
            Some(saved) => {
                engine
                    .run_saved(&request, saved, &session.mappings_digest(), watcher)
                    .await
            }
            None => engine.run_watched(&request, watcher).await,
        };
        session.close().await;
        Ok(run)
    }

    fn dry_run(&self, project: &Project, names: &[String], terminal: &Terminal) -> Result<Exit, Failure> {
        let plans = context::block_on(async {
            let mut plans = Vec::new();
            for name in names {
                plans.push(plan(project, name, self.command, &self.narrowing).await?.report);
            }
            Ok::<_, Failure>(plans)
        })??;
        show_plans(&plans, terminal);
        Ok(if plans.iter().any(|plan| !plan.refusals.is_empty()) {
            Exit::NeedsUser
        } else {
            Exit::Done
        })
    }
}

/// What a run would do to one profile.
pub(crate) struct Planned {
    /// As people and programs are told.
    pub(crate) report: PlanReport,
    /// The plan itself, with a digest of the mappings it was made with.
    pub(crate) saved: SavedPlan,
}

/// What a run would do to one profile; writes nothing.
///
/// Before set-up nothing is known of pages: the plan tells the databases to make, and a page for each row.
pub(crate) async fn plan(
    project: &Project,
    name: &str,
    command: Command,
    narrowing: &Narrowing,
) -> Result<Planned, Failure> {
    let session = Session::look(project, name).await?;
    let request = &narrowing.request(command, &session.mappings)?;
    let known = session.known().await?;
    let is_asked = |entity: &String| request.entities.is_empty() || request.entities.contains(entity);
    let entities = session.with_relations(&known, &request.entities);
    let surveyed = session.survey(&known, &entities).await?;
    let mut changes = view::schema_changes(&surveyed);
    changes.retain(|change| is_asked(&change.entity));
    let mut differences = view::schema_differences(&surveyed);
    differences.retain(|difference| is_asked(&difference.entity));
    // What was set up is planned as the engine will see it; for the rest every row gets a page.
    let mut schemas = BTreeMap::new();
    let mut to_make = Vec::new();
    for found in &surveyed {
        match &found.existing {
            Some(existing) if known.data_sources.contains_key(&found.entity) => {
                let mut schema = existing.schema.clone();
                for change in &found.plan.changes {
                    if let SchemaChange::AddProperty(property) = change {
                        schema.properties.push(session::pending_property(property));
                    }
                }
                schemas.insert(found.entity.clone(), schema);
            }
            _ if is_asked(&found.entity) => to_make.push(found.entity.clone()),
            _ => {}
        }
    }
    let engine = session.engine(&known, &schemas)?;
    let (mut plan, refusals) = if schemas.is_empty() {
        Default::default()
    } else {
        engine
            .plan(request)
            .await
            .map_err(|error| Failure::world(with_causes(&error)))?
    };
    plan.operations
        .extend(session.first_push(&to_make, request).await?);
    let digest = session.mappings_digest();
    session.close().await;
    let rate = session.profile.notion.requests_per_minute;
    let report = PlanReport {
        schema_differences: differences,
        ..plan.report(name, rate, changes, refusals)
    };
    Ok(Planned {
        report,
        saved: SavedPlan::of(plan, name, &digest),
    })
}

/// Prints plans as people or programs want them: one object for one profile, a list for several.
pub(crate) fn show_plans(plans: &[PlanReport], terminal: &Terminal) {
    match (terminal.format(), plans) {
        (Format::Json, several) => terminal.json_of_each(several),
        (_, plans) => {
            for plan in plans {
                terminal.text(view::plan(plan));
            }
        }
    }
}

impl Setup {
    /// Sets up each profile, and pushes for the first time.
    pub fn run(self, global: &Global, terminal: &Terminal) -> Result<Exit, Failure> {
        let mut project = context::open_project(global)?;
        let names = context::select(&project, global, Selection::Default)?;
        if let Some(page) = &self.parent_page {
            let [name] = names.as_slice() else {
                return Err(Failure::usage("`--parent-page` is one profile's page")
                    .hint("name the profile with `--profile NAME`"));
            };
            project.override_parent_page(name, page);
        }
        if self.dry_run {
            let work = Work {
                command: Command::Setup,
                narrowing: Narrowing::default(),
                dry_run: true,
                saved: None,
            };
            return work.dry_run(&project, &names, terminal);
        }
        let board = Board::new(terminal);
        let ended = context::block_on(async {
            let profiles = names.iter();
            join_all(profiles.map(|name| self.profile(&project, name, terminal, &board))).await
        })?;
        finish(Command::Setup, ended, terminal)
    }

    async fn profile(
        &self,
        project: &Project,
        name: &str,
        terminal: &Terminal,
        board: &Board,
    ) -> (ProfileReport, Exit) {
        let say = |line: std::fmt::Arguments<'_>| board.say(line);
        match self.open_and_run(project, name, say, &*board.watch(name)).await {
            Ok(report) => {
                let exit = report.outcome.into();
                (report, exit)
            }
            Err(failure) => failed(name, &failure, terminal),
        }
    }

    async fn open_and_run(
        &self,
        project: &Project,
        name: &str,
        say: impl Fn(std::fmt::Arguments<'_>),
        watcher: &dyn Watcher,
    ) -> Result<ProfileReport, Failure> {
        let session = Session::open_to_set_up(project, name).await?;
        let started = session.now();
        let made = session.set_up().await?;
        for set_up in &made {
            for change in &set_up.changes {
                say(format_args!("{name}: {}: {change}", set_up.entity));
            }
            for difference in &set_up.plan.differences {
                say(format_args!(
                    "{name}: {}: left alone: {difference}",
                    set_up.entity
                ));
            }
        }
        let known = session.known().await?;
        let mut report = if self.skip_initial_sync {
            ProfileReport {
                profile: name.to_owned(),
                notion: session.client.usage().into(),
                run_id: uuid::Uuid::new_v4().to_string(),
                entities: made
                    .iter()
                    .map(|set_up| EntityReport {
                        entity: set_up.entity.clone(),
                        data_source_id: Some(set_up.schema.id.to_string()),
                        ..EntityReport::default()
                    })
                    .collect(),
                ..ProfileReport::default()
            }
        } else {
            let schemas = made.into_iter().map(|made| (made.entity, made.schema)).collect();
            session
                .engine(&known, &schemas)?
                .run_watched(&Request::all(Command::Setup), watcher)
                .await
                .report
        };
        report.duration_seconds = (session.now() - started).as_seconds_f64();
        session.close().await;
        Ok(report)
    }
}

/// One command over one profile with nothing narrowed: what the demo runs in place of a command line.
///
/// # Errors
///
/// Where the profile cannot be worked on at all.
pub(crate) async fn whole_profile(
    project: &Project,
    name: &str,
    command: Command,
) -> Result<ProfileReport, Failure> {
    if command == Command::Setup {
        let setup = Setup {
            parent_page: None,
            skip_initial_sync: false,
            dry_run: false,
        };
        return setup.open_and_run(project, name, |_| {}, &Nobody).await;
    }
    let work = Work {
        command,
        narrowing: Narrowing::default(),
        dry_run: false,
        saved: None,
    };
    let run = work.open_and_run(project, name, &Nobody).await?;
    Ok(run.report)
}

/// The report of a profile that could not be worked on; the reason is said on standard error too.
fn failed(name: &str, failure: &Failure, terminal: &Terminal) -> (ProfileReport, Exit) {
    let shown = Failure {
        exit: failure.exit,
        message: format!("profile {name}: {}", failure.message),
        hints: failure.hints.clone(),
        code: failure.code,
        refused: failure.refused,
    };
    terminal.failure(&shown);
    let exit = failure.exit;
    let (outcome, failure) = failure.as_report();
    let report = ProfileReport {
        profile: name.to_owned(),
        outcome,
        failure: Some(failure),
        ..ProfileReport::default()
    };
    (report, exit)
}

/// Prints what became of each profile; the command ends as the worst of them did.
fn finish(command: Command, ended: Vec<(ProfileReport, Exit)>, terminal: &Terminal) -> Result<Exit, Failure> {
    let (reports, exits): (Vec<_>, Vec<_>) = ended.into_iter().unzip();
    let report = RunReport::of(command, reports);
    match terminal.format() {
        Format::Json => terminal.json(&report),
        _ => terminal.text(view::run(&report)),
    }
    Ok(exits.into_iter().max().unwrap_or(Exit::Done))
}
