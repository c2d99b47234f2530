//! What people and programs are told: the JSON of `--format json`, which the terminal and the pages show too.
//!
//! Field names are fixed by `version`; a field may be added, never renamed. Every report is one object.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod error_code;
mod explain;
mod history;
mod next_step;
mod undo;

pub use error_code::ErrorCode;
pub use explain::{EditorReport, ExplainReport, ExplainedField, ExplainedSide, TroubleReport};
pub use history::iso;
pub use undo::{LeftReport, UndoReport};

/// The version of the reports in this module.
pub const VERSION: u32 = 1;

/// How a command ended, over all profiles.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything is in step, or was put in step.
    #[default]
    Ok,
    /// Done, except for records that need a person: conflicts opened by this run, or errors.
    Partial,
    /// A guard stopped at least one entity before its first write.
    Refused,
    /// The world failed: database, network or token.
    Failed,
}

impl Outcome {
    /// The process's exit code: 0 done, 1 needs the user, 3 the world failed.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Partial | Self::Refused => 1,
            Self::Failed => 3,
        }
    }
}

/// Which command a report is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Creates or adopts the databases, and pushes for the first time.
    Setup,
    /// Both ways.
    Sync,
    /// To Notion only.
    Push,
    /// To Postgres only.
    Pull,
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Setup => "setup",
            Self::Sync => "sync",
            Self::Push => "push",
            Self::Pull => "pull",
        })
    }
}

/// What `sync`, `push`, `pull` and `setup` did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunReport {
    /// The version of this format.
    pub version: u32,
    /// The command.
    pub command: Command,
    /// The worst outcome of all profiles.
    pub outcome: Outcome,
    /// One entry per profile, in the order they were asked for.
    pub profiles: Vec<ProfileReport>,
}

impl RunReport {
    /// The report over these profiles; its outcome is the worst of theirs.
    pub fn of(command: Command, profiles: Vec<ProfileReport>) -> Self {
        Self {
            version: VERSION,
            command,
            outcome: profiles
                .iter()
                .map(|profile| profile.outcome)
                .max()
                .unwrap_or_default(),
            profiles,
        }
    }
}

/// One profile's share of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProfileReport {
    /// The profile.
    pub profile: String,
    /// The run, as `history` names it.
    pub run_id: String,
    /// How the profile fared.
    pub outcome: Outcome,
    /// Wall time, in seconds.
    pub duration_seconds: f64,
    /// Requests made to Notion.
    pub notion: NotionUsage,
    /// One entry per entity, in the order they were worked on.
    pub entities: Vec<EntityReport>,
    /// What stopped the profile as a whole; `null` when nothing did.
    pub failure: Option<Failure>,
}

impl ProfileReport {
    /// Adds another run of the same profile: counts are summed, what was linked is the latest, and what is said of
    /// single records is left out.
    pub fn add(&mut self, run: &Self) {
        self.profile.clone_from(&run.profile);
        self.run_id.clone_from(&run.run_id);
        self.outcome = run.outcome;
        self.duration_seconds += run.duration_seconds;
        self.notion.add(&run.notion);
        for of_run in &run.entities {
            let known = self
                .entities
                .iter_mut()
                .find(|known| known.entity == of_run.entity);
            match known {
                Some(known) => known.add(of_run),
                None => self.entities.push(EntityReport {
                    errors: Vec::new(),
                    refusals: Vec::new(),
                    ..of_run.clone()
                }),
            }
        }
    }
}

/// Requests made to Notion, and what they waited for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NotionUsage {
    /// Requests sent, repeats included.
    pub requests: u64,
    /// The same by method and path, ids left out.
    pub by_endpoint: BTreeMap<String, u64>,
    /// Answers 429 and 529.
    pub throttled: u64,
    /// Time spent waiting for the rate that is allowed, in seconds.
    pub waited_seconds: f64,
}

impl NotionUsage {
    fn add(&mut self, more: &Self) {
        self.requests += more.requests;
        for (endpoint, count) in &more.by_endpoint {
            *self.by_endpoint.entry(endpoint.clone()).or_default() += count;
        }
        self.throttled += more.throttled;
        self.waited_seconds += more.waited_seconds;
    }

    /// What was used since `earlier`, a reading of the same counters.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            requests: self.requests - earlier.requests,
            by_endpoint: self
                .by_endpoint
                .iter()
                .map(|(endpoint, count)| {
                    (
                        endpoint.clone(),
                        count - earlier.by_endpoint.get(endpoint).unwrap_or(&0),
                    )
                })
                .filter(|(_, count)| *count > 0)
                .collect(),
            throttled: self.throttled - earlier.throttled,
            waited_seconds: self.waited_seconds - earlier.waited_seconds,
        }
    }
}

/// What any command tells that could not do its work and has nothing else to tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FailureReport {
    /// The version of this format.
    pub version: u32,
    /// The command.
    pub command: String,
    /// `refused` where the user has to mend something, `failed` where the world failed.
    pub outcome: Outcome,
    /// Empty: no profile was worked on.
    pub profiles: Vec<ProfileReport>,
    /// What stopped the command.
    pub failure: Failure,
    /// What can be done about it.
    pub help: Vec<String>,
}

/// What `approve` tells of one profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApproveReport {
    /// The version of this format.
    pub version: u32,
    /// The profile.
    pub profile: String,
    /// The plan that may run once.
    pub hash: String,
    /// Until when, ISO 8601.
    pub expires_at: String,
}

/// What stopped a profile or an entity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// The stable code.
    pub code: ErrorCode,
    /// One sentence, with its causes.
    pub message: String,
}

/// One entity's share of a run: records counted by what was done to them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EntityReport {
    /// The entity.
    pub entity: String,
    /// Its data source; `null` before set-up.
    pub data_source_id: Option<String>,
    /// Records linked after the run.
    pub linked: u64,
    /// Pages created.
    pub pages_created: u64,
    /// Pages whose properties were written.
    pub pages_updated: u64,
    /// Pages put in the trash.
    pub pages_trashed: u64,
    /// Pages taken out of the trash.
    pub pages_restored: u64,
    /// Rows inserted.
    pub rows_inserted: u64,
    /// Rows written.
    pub rows_updated: u64,
    /// Rows deleted.
    pub rows_deleted: u64,
    /// Linked records that nothing was done to.
    pub unchanged: u64,
    /// Conflicts that now wait for a person.
    pub conflicts_opened: u64,
    /// Conflicts that a policy, a person or equal values settled.
    pub conflicts_resolved: u64,
    /// Records left for a later run.
    pub deferred: u64,
    /// Records with an error of their own.
    pub errors: Vec<RecordError>,
    /// Guards that stopped the entity before its first write.
    pub refusals: Vec<Refusal>,
}

impl EntityReport {
    fn add(&mut self, run: &Self) {
        let Self {
            entity: _,
            data_source_id,
            linked,
            pages_created,
            pages_updated,
            pages_trashed,
            pages_restored,
            rows_inserted,
            rows_updated,
            rows_deleted,
            unchanged,
            conflicts_opened,
            conflicts_resolved,
            deferred,
            errors: _,
            refusals: _,
        } = run;
        self.data_source_id.clone_from(data_source_id);
        self.linked = *linked;
        self.unchanged = *unchanged;
        self.pages_created += pages_created;
        self.pages_updated += pages_updated;
        self.pages_trashed += pages_trashed;
        self.pages_restored += pages_restored;
        self.rows_inserted += rows_inserted;
        self.rows_updated += rows_updated;
        self.rows_deleted += rows_deleted;
        self.conflicts_opened += conflicts_opened;
        self.conflicts_resolved += conflicts_resolved;
        self.deferred += deferred;
    }
}

/// Why one record, or one property of it, is not in step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordError {
    /// The row's key; `null` for a page without a row.
    pub key: Option<String>,
    /// The page; `null` for a row without a page.
    pub page_id: Option<String>,
    /// The property; `null` when it is about the whole record.
    pub property: Option<String>,
    /// The stable code.
    pub code: ErrorCode,
    /// One sentence without any value.
    pub message: String,
}

/// A guard's no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// The entity.
    pub entity: String,
    /// The guard's code.
    pub code: ErrorCode,
    /// What the plan wants and what the guard allows.
    pub message: String,
    /// What `approve` takes to let exactly this plan run once.
    pub approve: String,
}

/// What `plan` shows, and `sync --dry-run`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanReport {
    /// The version of this format.
    pub version: u32,
    /// The profile.
    pub profile: String,
    /// What `approve` and a saved plan are tied to.
    pub hash: String,
    /// Requests to Notion that applying it takes.
    pub requests: u64,
    /// Minutes that they take at the allowed rate.
    pub minutes: f64,
    /// Properties, databases and views to add or change.
    pub schema_changes: Vec<SchemaChangeReport>,
    /// What differs between mappings and databases and can only be changed in Notion.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schema_differences: Vec<SchemaDifference>,
    /// What happens to records, in the order it would be applied.
    pub operations: Vec<OperationReport>,
    /// Guards that would stop it.
    pub refusals: Vec<Refusal>,
}

/// One change of a Notion schema, as a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SchemaChangeReport {
    /// The entity.
    pub entity: String,
    /// The kind of change, in snake case.
    pub kind: String,
    /// The property, view or database.
    pub name: String,
    /// What would be done.
    pub message: String,
}

/// A difference between a mapping and its database that is left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SchemaDifference {
    /// The entity.
    pub entity: String,
    /// What differs, as a sentence.
    pub message: String,
}

/// One operation of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OperationReport {
    /// The entity.
    pub entity: String,
    /// The row's key; the page's id while there is no row.
    pub key: String,
    /// What is done.
    pub kind: String,
    /// Why, as the end of a sentence about the record.
    pub reason: String,
    /// The fields written, in mapping order.
    pub fields: Vec<FieldReport>,
}

/// One field of an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FieldReport {
    /// The property.
    pub property: String,
    /// What stands there now, on the side that is written.
    pub from: serde_json::Value,
    /// What will stand there.
    pub to: serde_json::Value,
    /// Why.
    pub reason: String,
}

/// What `status` shows of one profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatusReport {
    /// The version of this format.
    pub version: u32,
    /// The profile.
    pub profile: String,
    /// One entry per entity.
    pub entities: Vec<EntityStatus>,
    /// Records with an error, by key: the first 25 of each entity, which has the number of all.
    pub troubled: Vec<Troubled>,
    /// The last run that had anything to do, with its report; `null` when none did.
    pub last_run: Option<RunSummary>,
    /// Who works on the profile at present; `null` when nobody does.
    pub working: Option<LeaseReport>,
}

/// A record with an error, while it has one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Troubled {
    /// Its entity.
    pub entity: String,
    /// What is wrong with it.
    #[serde(flatten)]
    pub error: RecordError,
    /// How often it was met in a row.
    pub attempts: u32,
    /// When it is tried again though nothing changed, ISO 8601.
    pub retry_at: Option<String>,
}

/// Who works on a profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeaseReport {
    /// The process and the run.
    pub holder: String,
    /// Until when, unless it renews; ISO 8601.
    pub until: String,
}

/// How one entity stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EntityStatus {
    /// The entity.
    pub entity: String,
    /// Its data source; `null` before set-up.
    pub data_source_id: Option<String>,
    /// Records linked.
    pub linked: u64,
    /// Records that will be looked at again.
    pub pending: u64,
    /// Records held: their page is in the trash or out of reach.
    pub held: u64,
    /// Conflicts that wait for a person.
    pub conflicts: u64,
    /// Records with an error.
    pub errors: u64,
    /// Writes to Notion whose outcome is not known yet.
    pub unsettled: u64,
    /// When both sides were last looked at by a run, ISO 8601; `null` when none did.
    pub last_run: Option<String>,
    /// Seconds since both sides were last looked at; `null` when they never were.
    pub lag_seconds: Option<f64>,
}

/// What `conflicts list` and `conflicts show` tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConflictsReport {
    /// The version of this format.
    pub version: u32,
    /// The profile.
    pub profile: String,
    /// The conflicts, oldest first.
    pub conflicts: Vec<ConflictReport>,
}

/// One conflict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConflictReport {
    /// What `conflicts resolve` takes.
    pub id: String,
    /// The entity.
    pub entity: String,
    /// The row's key.
    pub key: String,
    /// The page.
    pub page_id: Option<String>,
    /// The property; `null` when it is about the record's existence.
    pub property: Option<String>,
    /// The column's value when both sides last agreed.
    pub base: serde_json::Value,
    /// The column's value.
    pub postgres: serde_json::Value,
    /// The property's value.
    pub notion: serde_json::Value,
    /// `open`, `auto_resolved`, `chosen`, `resolved` or `superseded`.
    pub status: String,
    /// Counts every change of the values; a choice that names it is refused once they have moved.
    pub rev: i64,
    /// Why.
    pub reason: String,
    /// When each side changed, and how sure that is.
    pub evidence: serde_json::Value,
    /// When it was opened, ISO 8601.
    pub opened_at: String,
}

/// What `history` tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryReport {
    /// The version of this format.
    pub version: u32,
    /// The profile.
    pub profile: String,
    /// Entries of the audit log, newest first.
    pub entries: Vec<HistoryEntry>,
    /// The run that was asked for, where one was and it is recorded.
    pub run: Option<RunSummary>,
}

/// One run that is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunSummary {
    /// What `history --run` and `undo` take.
    pub run_id: String,
    /// The command.
    pub command: String,
    /// When it began, ISO 8601.
    pub started_at: String,
    /// When it ended, ISO 8601; `null` after a crash.
    pub finished_at: Option<String>,
    /// Its report; `null` after a crash.
    pub report: Option<ProfileReport>,
}

/// One entry of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryEntry {
    /// What `undo` takes.
    pub id: String,
    /// The run; `undo` takes it too.
    pub run_id: String,
    /// The entity.
    pub entity: String,
    /// The row's key.
    pub key: Option<String>,
    /// The page.
    pub page_id: Option<String>,
    /// The property; `null` for a whole record.
    pub property: Option<String>,
    /// The side that was written: `postgres` or `notion`.
    pub side: String,
    /// `created`, `updated`, `deleted`, `restored`, `overruled`, `rejected` or `linked`.
    pub act: String,
    /// What stood there before.
    pub from: serde_json::Value,
    /// What stands there since.
    pub to: serde_json::Value,
    /// Why.
    pub reason: String,
    /// When, ISO 8601.
    pub at: String,
}
