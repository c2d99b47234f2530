//! How a run begins and ends: the lease, the cycle under it, and the report.

use time::OffsetDateTime;
use uuid::Uuid;

use super::run::{Work, failure, refusals};
use super::{Attendant, Engine, EngineError, Request};
use crate::plan::Plan;
use crate::plan::file::SavedPlan;
use crate::ports::{Nobody, Record, RunRecord, Watcher};
use crate::report::{Outcome, ProfileReport, Refusal};

/// What a run did.
#[derive(Clone, Debug)]
pub struct Run {
    /// The report.
    pub report: ProfileReport,
    /// The plan that was applied, or would have been.
    pub plan: Plan,
    /// Whether Notion refuses the connection, so that no further run of the profile can do better.
    pub refused: bool,
}

impl Engine {
    /// Runs one cycle. What goes wrong is in the report: with a record, with a guard, or as the failure of the
    /// whole profile.
    ///
    /// **Guarantees.** May be killed at any instant: the next run starts from what it sees. At most one run per
    /// profile writes; another one reports `profile_busy`.
    pub async fn run(&self, request: &Request) -> Run {
        self.run_checked(request, None, None, &Nobody).await
    }

    /// The same, telling how far it is.
    pub async fn run_watched(&self, request: &Request, watcher: &dyn Watcher) -> Run {
        self.run_checked(request, None, None, watcher).await
    }

    /// Runs one cycle with somebody attending: the lease is prolonged for as long as it takes.
    pub async fn run_attended(&self, request: &Request, attendant: &dyn Attendant) -> Run {
        self.run_checked(request, None, Some(attendant), &Nobody).await
    }

    /// Applies exactly a saved plan, or refuses where a side has moved; `mappings` is the digest of the mappings.
    pub async fn run_saved(
        &self,
        request: &Request,
        saved: &SavedPlan,
        mappings: &str,
        watcher: &dyn Watcher,
    ) -> Run {
        self.run_checked(request, Some((saved, mappings)), None, watcher)
            .await
    }

    /// What a run would do, and the guards that would stop it; writes nothing anywhere.
    ///
    /// # Errors
    /// When a side or the memory cannot be read.
    pub async fn plan(&self, request: &Request) -> Result<(Plan, Vec<Refusal>), EngineError> {
        let work = Work::new(self, request, Uuid::nil(), &Nobody);
        work.read_notes().await?;
        let mut captured = work.capture_all().await?;
        let plan = work.planned(&mut captured);
        let identity = work.identity().await?;
        let refusals = refusals(&plan, &captured, &identity.doubts(&captured));
        Ok((plan, refusals))
    }

    async fn run_checked(
        &self,
        request: &Request,
        saved: Option<(&SavedPlan, &str)>,
        attendant: Option<&dyn Attendant>,
        watcher: &dyn Watcher,
    ) -> Run {
        let mut plan = Plan::default();
        let mut refused = false;
        let report = match self.begin(request, watcher).await {
            Ok(mut begun) => {
                begun.work.attendant = attendant;
                let ended = tokio::select! {
                    biased;
                    // Dropped where it stands, as by a crash: the next run starts from what it sees.
                    lost = begun.work.attend() => Err(lost),
                    ended = begun.work.cycle(saved, &mut begun.report, &mut plan) => ended,
                };
                refused = matches!(&ended, Err(EngineError::Pages(error)) if error.stops_profile());
                begun.end(&request.command.to_string(), ended).await
            }
            Err(report) => *report,
        };
        Run {
            report,
            plan,
            refused,
        }
    }

    /// Takes the profile's lease for one run; answers the report of a run that did not come to that.
    pub(super) async fn begin<'a>(
        &'a self,
        request: &'a Request,
        watcher: &'a dyn Watcher,
    ) -> Result<Begun<'a>, Box<ProfileReport>> {
        let started = self.clock.now();
        let before = self.pages.told();
        let id = self.new_id();
        let report = ProfileReport {
            profile: self.profile.clone(),
            run_id: id.to_string(),
            ..ProfileReport::default()
        };
        let mut begun = Begun {
            work: Work::new(self, request, id, watcher),
            report,
            started,
            before,
        };
        let error = match self.store.acquire(&self.holder, self.tuning.lease).await {
            Ok(Some(lease)) => {
                begun.work.holds(&lease);
                return Ok(begun);
            }
            Ok(None) => EngineError::Busy {
                profile: self.profile.clone(),
            },
            Err(error) => error.into(),
        };
        begun.told(Some(&error));
        Err(Box::new(begun.report))
    }
}

/// A run that holds the lease.
pub(super) struct Begun<'a> {
    pub(super) work: Work<'a>,
    pub(super) report: ProfileReport,
    started: OffsetDateTime,
    before: crate::report::NotionUsage,
}

impl Begun<'_> {
    /// Reports the run and gives the lease back. It is recorded where it did anything, or failed.
    pub(super) async fn end(mut self, command: &str, ended: Result<bool, EngineError>) -> ProfileReport {
        self.work.count(&mut self.report).await;
        self.told(ended.as_ref().err());
        let mut ended = ended;
        if !matches!(ended, Ok(false)) {
            let record = RunRecord {
                id: self.work.run,
                command: command.to_owned(),
                started_at: self.started,
                finished_at: Some(self.work.engine.clock.now()),
                report: serde_json::to_value(&self.report).ok(),
            };
            let recorded = self.work.commit(vec![Record::Run(record)]).await;
            // What stopped the run is told before what kept it from being recorded.
            ended = ended.and_then(|did| recorded.map(|()| did));
        }
        let released = self.work.engine.store.release(self.work.fence).await;
        if let Err(error) = ended.and_then(|_| Ok(released?)) {
            self.told(Some(&error));
        }
        self.report
    }

    fn told(&mut self, error: Option<&EngineError>) {
        if let Some(error) = error {
            self.report.outcome = match error {
                EngineError::SavedPlan(_) => Outcome::Refused,
                _ => Outcome::Failed,
            };
            self.report.failure = Some(failure(error));
        }
        let engine = self.work.engine;
        self.report.notion = engine.pages.usage().since(&self.before);
        engine.pages.tell();
        self.report.duration_seconds = (engine.clock.now() - self.started).as_seconds_f64();
    }
}
