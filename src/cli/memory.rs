//! What a profile's state tells: for the commands that print it, and for the server that shows it.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use secrecy::SecretString;
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::error::with_causes;
use super::remembered::{self, Memory};
use super::session;
use super::{Exit, Failure};
use crate::journal::{Conflict, ConflictStatus};
use crate::mapping::Mapping;
use crate::ports::{Approval, AuditFilter, BoxFuture, ConflictTally, RunRecord, Store as _, StoreError};
use crate::postgres::{ConnectOptions, connect};
use crate::project::{Profile, Project};
use crate::reconcile::{Phase, Side};
use crate::report::{
    ConflictReport, ConflictsReport, EntityStatus, ErrorCode, HistoryEntry, HistoryReport, LeaseReport,
    RecordError, RunSummary, StatusReport, Troubled, VERSION,
};
use crate::server::{self, Choice, MemoryError, Subscription};
use crate::value::Value;

/// How long an approval lasts.
///
/// Source: sync semantics, section 8.
const APPROVAL: time::Duration = time::Duration::HOUR;

/// Records with an error that a status tells of, for each entity.
const MOST_TROUBLED: usize = 25;

impl Memory {
    /// How each entity stands.
    pub(crate) async fn status(&self) -> Result<StatusReport, Failure> {
        let failed = |error: StoreError| remembered::store(&error);
        let runs = self.store.runs(1).await.map_err(failed)?;
        let last = runs.first();
        let working = self.store.lease().await.map_err(failed)?;
        let mut entities = Vec::new();
        let mut troubled = Vec::new();
        for mapping in &self.mappings {
            let entity = &mapping.entity;
            let totals = self.store.totals(entity).await.map_err(failed)?;
            let marks = self.store.marks(entity).await.map_err(failed)?;
            let looked = marks
                .rows_captured_at
                .into_iter()
                .chain(marks.pages_queried_at)
                .min();
            // A run that finds nothing to do leaves no record, but it has looked.
            let seen = marks.rows_captured_at.into_iter().chain(marks.pages_queried_at);
            let last_run = seen.chain(last.map(|run| run.started_at)).max();
            // Dashboards and metrics ask often, and most entities have none.
            if totals.troubled > 0 {
                troubled.extend(self.troubled(entity).await?);
            }
            let unsettled = self.store.links_with_intents(entity).await.map_err(failed)?.len();
            entities.push(EntityStatus {
                entity: entity.clone(),
                data_source_id: self
                    .remembered
                    .known
                    .data_sources
                    .get(entity)
                    .map(ToString::to_string),
                linked: totals.linked(),
                pending: totals.pending,
                held: totals.by_phase.get(&Phase::Held).copied().unwrap_or(0),
                conflicts: totals.conflicts,
                errors: totals.troubled,
                unsettled: unsettled as u64,
                last_run: last_run.map(session::iso),
                lag_seconds: looked.map(|at| (self.now - at).as_seconds_f64().max(0.0)),
            });
        }
        Ok(StatusReport {
            version: VERSION,
            profile: self.profile.name.clone(),
            entities,
            troubled,
            last_run: last.map(summary),
            working: working.map(|(holder, until)| LeaseReport {
                holder,
                until: session::iso(until),
            }),
        })
    }

    /// What waits for a person, oldest first.
    pub(crate) async fn conflicts(&self) -> Result<ConflictsReport, Failure> {
        let open = self.store.open_conflicts(None).await;
        let open = open.map_err(|error| remembered::store(&error))?;
        Ok(self.report(open.iter().map(|conflict| self.told(conflict)).collect()))
    }

    /// One conflict, in any status.
    pub(crate) async fn conflict(&self, id: Uuid) -> Result<Option<ConflictReport>, Failure> {
        let found = self.store.conflict(id).await;
        let found = found.map_err(|error| remembered::store(&error))?;
        Ok(found.map(|conflict| self.told(&conflict)))
    }

    /// Records a person's choice, made on the values of that `rev`; without one, on those of now.
    pub(crate) async fn choose(&self, id: Uuid, rev: Option<i64>, side: Side) -> Result<Choice, Failure> {
        let failed = |error: StoreError| remembered::store(&error);
        let Some(conflict) = self.store.conflict(id).await.map_err(failed)? else {
            return Ok(Choice::Unknown);
        };
        let rev = rev.unwrap_or(conflict.rev);
        if !self.store.choose(id, rev, side).await.map_err(failed)? {
            return Ok(Choice::Moved);
        }
        Ok(match self.store.conflict(id).await.map_err(failed)? {
            Some(chosen) => Choice::Chosen {
                conflict: Box::new(self.told(&chosen)),
                key: chosen.key,
            },
            None => Choice::Moved,
        })
    }

    /// Lets a plan that a guard stopped run once; answers until when.
    pub(crate) async fn approve(&self, hash: String) -> Result<OffsetDateTime, Failure> {
        let approval = Approval {
            hash,
            expires_at: self.now + APPROVAL,
        };
        let granted = self.store.approve(&approval).await;
        granted.map_err(|error| remembered::store(&error))?;
        Ok(approval.expires_at)
    }

    /// Conflicts as `conflicts` prints them.
    pub(crate) fn report(&self, conflicts: Vec<ConflictReport>) -> ConflictsReport {
        ConflictsReport {
            version: VERSION,
            profile: self.profile.name.clone(),
            conflicts,
        }
    }

    fn told(&self, conflict: &Conflict) -> ConflictReport {
        let status = match conflict.status {
            ConflictStatus::Open => "open",
            ConflictStatus::AutoResolved => "auto_resolved",
            ConflictStatus::Chosen(_) => "chosen",
            ConflictStatus::Resolved(_) => "resolved",
            ConflictStatus::Superseded => "superseded",
        };
        ConflictReport {
            id: conflict.id.to_string(),
            entity: conflict.entity.clone(),
            key: conflict.key.to_string(),
            page_id: conflict.page.as_ref().map(ToString::to_string),
            property: conflict
                .property
                .as_ref()
                .map(|id| self.property_name(&conflict.entity, id)),
            base: shown(conflict.base_row.as_ref()),
            postgres: shown(conflict.row.as_ref()),
            notion: shown(conflict.page_value.as_ref()),
            status: status.to_owned(),
            rev: conflict.rev,
            reason: conflict.reason.text().to_owned(),
            evidence: conflict.evidence.clone(),
            opened_at: session::iso(conflict.opened_at),
        }
    }

    /// Records of an entity with an error, by key.
    async fn troubled(&self, entity: &str) -> Result<Vec<Troubled>, Failure> {
        let links = self.store.links_troubled(entity, MOST_TROUBLED).await;
        let links = links.map_err(|error| remembered::store(&error))?;
        let troubles = links
            .iter()
            .flat_map(|link| link.troubles.iter().map(move |trouble| (link, trouble)));
        Ok(troubles
            .map(|(link, trouble)| Troubled {
                entity: link.entity.clone(),
                error: RecordError {
                    key: Some(link.key.to_string()),
                    page_id: link.page.as_ref().map(ToString::to_string),
                    property: trouble
                        .property
                        .as_ref()
                        .map(|id| self.property_name(&link.entity, id)),
                    code: trouble.code,
                    message: trouble.message.clone(),
                },
                attempts: trouble.attempts,
                retry_at: trouble.retry_at.map(session::iso),
            })
            .collect())
    }

    /// Entries of the audit log, and the run that the filter names.
    pub(crate) async fn history(&self, filter: &AuditFilter) -> Result<HistoryReport, Failure> {
        let failed = |error: StoreError| remembered::store(&error);
        let entries = self.store.audit(filter).await.map_err(failed)?;
        let run = match filter.run {
            Some(id) => self.store.run(id).await.map_err(failed)?,
            None => None,
        };
        Ok(HistoryReport {
            version: VERSION,
            profile: self.profile.name.clone(),
            entries: entries
                .iter()
                .map(|entry| HistoryEntry::of(entry, |id| self.property_name(&entry.entity, id)))
                .collect(),
            run: run.as_ref().map(summary),
        })
    }
}

/// A run as reports tell of it.
fn summary(run: &RunRecord) -> RunSummary {
    RunSummary {
        run_id: run.id.to_string(),
        command: run.command.clone(),
        started_at: session::iso(run.started_at),
        finished_at: run.finished_at.map(session::iso),
        // A report of a later version may not be readable, and its run is told all the same.
        report: run
            .report
            .clone()
            .and_then(|report| serde_json::from_value(report).ok()),
    }
}

fn shown(value: Option<&Value>) -> serde_json::Value {
    value.map_or(serde_json::Value::Null, Value::to_json)
}

/// A profile's memory for as long as a process lives: connected once, read anew at every question.
pub(crate) struct ProfileMemory {
    settings: RwLock<Arc<(Profile, Vec<Mapping>)>>,
    pool: OnceCell<PgPool>,
}

/// Connections of one profile's pages and API: they are few and short, and hosted plans allow as few as twenty in all.
const CONNECTIONS: u32 = 2;

/// How long a request waits for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

impl ProfileMemory {
    /// The memory of a profile; nothing is connected yet.
    pub(crate) fn new(project: &Project, name: &str) -> Result<Self, Failure> {
        Ok(Self {
            settings: RwLock::new(Arc::new(session::prepare(project, name)?)),
            pool: OnceCell::new(),
        })
    }

    /// Takes the project as it was read anew; the database stays the one it is.
    pub(crate) fn reload(&self, project: &Project) -> Result<(), Failure> {
        let name = self.settings().0.name.clone();
        let settings = Arc::new(session::prepare(project, &name)?);
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
        Ok(())
    }

    fn settings(&self) -> Arc<(Profile, Vec<Mapping>)> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn pool(&self) -> Result<&PgPool, MemoryError> {
        let settings = self.settings();
        let connecting = async || {
            let profile = &settings.0;
            let url = session::required(&profile.database_url, profile, "database_url")?;
            let options = ConnectOptions {
                max_connections: CONNECTIONS,
                acquire_timeout: PATIENCE,
                ..ConnectOptions::default()
            };
            connect(url, &options)
                .await
                .map_err(|error| session::postgres(&error))
        };
        self.pool.get_or_try_init(connecting).await.map_err(failed)
    }

    async fn open(&self) -> Result<Memory, MemoryError> {
        let pool = self.pool().await?.clone();
        let (profile, mappings) = Arc::unwrap_or_clone(self.settings());
        Memory::over(pool, profile, mappings).await.map_err(failed)
    }
}

fn failed(failure: Failure) -> MemoryError {
    match failure {
        Failure {
            exit: Exit::NeedsUser,
            code: Some(ErrorCode::NotSetUp),
            ..
        } => MemoryError::NotSetUp,
        failure => MemoryError::Failed(failure.message),
    }
}

fn store_failed(error: StoreError) -> MemoryError {
    MemoryError::Failed(with_causes(&error))
}

/// Asks a question of a [`Memory`] that is opened for it.
macro_rules! ask {
    ($self:ident, |$memory:ident| $work:expr) => {
        Box::pin(async move {
            let $memory = $self.open().await?;
            $work.await.map_err(failed)
        })
    };
    ($self:ident, store |$store:ident| $work:expr) => {
        Box::pin(async move {
            let memory = $self.open().await?;
            let $store = &memory.store;
            $work.await.map_err(store_failed)
        })
    };
}

impl server::Memory for ProfileMemory {
    fn key_columns(&self, entity: &str) -> Option<usize> {
        let settings = self.settings();
        let mapping = settings.1.iter().find(|mapping| mapping.entity == entity)?;
        Some(mapping.key.len())
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), MemoryError>> {
        Box::pin(async move {
            let asked = crate::postgres::database_time(self.pool().await?).await;
            asked.map_err(|error| failed(session::postgres(&error)))?;
            Ok(())
        })
    }

    fn status(&self) -> BoxFuture<'_, Result<StatusReport, MemoryError>> {
        ask!(self, |memory| memory.status())
    }

    fn conflicts(&self) -> BoxFuture<'_, Result<ConflictsReport, MemoryError>> {
        ask!(self, |memory| memory.conflicts())
    }

    fn conflict(&self, id: Uuid) -> BoxFuture<'_, Result<Option<ConflictReport>, MemoryError>> {
        ask!(self, |memory| memory.conflict(id))
    }

    fn choose(&self, id: Uuid, rev: Option<i64>, side: Side) -> BoxFuture<'_, Result<Choice, MemoryError>> {
        ask!(self, |memory| memory.choose(id, rev, side))
    }

    fn approve(&self, hash: String) -> BoxFuture<'_, Result<(), MemoryError>> {
        Box::pin(async move {
            let memory = self.open().await?;
            memory.approve(hash).await.map_err(failed)?;
            Ok(())
        })
    }

    fn runs(&self, limit: u32) -> BoxFuture<'_, Result<Vec<RunRecord>, MemoryError>> {
        ask!(self, store | store | store.runs(limit))
    }

    fn history(&self, limit: u32) -> BoxFuture<'_, Result<HistoryReport, MemoryError>> {
        Box::pin(async move {
            let filter = AuditFilter {
                limit,
                ..AuditFilter::default()
            };
            let memory = self.open().await?;
            memory.history(&filter).await.map_err(failed)
        })
    }

    fn conflicts_of_a_day(&self) -> BoxFuture<'_, Result<Vec<ConflictTally>, MemoryError>> {
        ask!(self, store | store | store.conflicts_of_a_day())
    }

    fn subscription(&self) -> BoxFuture<'_, Result<Subscription, MemoryError>> {
        Box::pin(async move {
            let memory = self.open().await?;
            let enrolment = memory.store.enrolment().await.map_err(store_failed)?;
            let remembered = memory.remembered;
            Ok(Subscription {
                enrolment,
                workspace: remembered.workspace,
                data_sources: remembered.known.data_sources.into_values().collect(),
            })
        })
    }

    fn enrol(&self, token: SecretString) -> BoxFuture<'_, Result<bool, MemoryError>> {
        ask!(self, store | store | store.enrol(&token))
    }

    fn pin_integration(&self, integration: String) -> BoxFuture<'_, Result<bool, MemoryError>> {
        ask!(self, store | store | store.pin_integration(&integration))
    }
}
