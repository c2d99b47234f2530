//! Keeps profiles in step for as long as the process lives: a schedule, wakes, and one worker for each profile.
//!
//! A wake is a hint and carries no data: it says where to look, and a lost one costs latency only. What a worker
//! does, it does through the engine, under the profile's lease.

mod pending;
mod rest;
mod stop;
mod worker;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use time::OffsetDateTime;
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::plan::ShortPlan;
use crate::report::{ProfileReport, Refusal};
use crate::value::{PageId, RecordKey};

pub use stop::{Stop, Stopping};
pub use worker::{Opened, Opener, Unopened, Worker};

/// Hints that a profile holds unread before further ones are told as [`WakeError::Full`].
///
/// Nothing is lost by that: the schedule looks at everything that has changed.
const WAITING: usize = 10_000;

/// Where something may have changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hint {
    /// A row, as an application or a NOTIFY tells.
    Row {
        /// Its entity.
        entity: String,
        /// Its key.
        key: RecordKey,
    },
    /// A page, as a webhook tells.
    Page(PageId),
    /// Anywhere: a whole incremental cycle.
    Anywhere,
}

/// Why a hint was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WakeError {
    /// No worker keeps that profile.
    #[error("no such profile is kept here")]
    UnknownProfile,
    /// More hints wait than are kept; the next scheduled cycle looks at everything anyway.
    #[error("too many hints are waiting")]
    Full,
    /// The runner is stopping.
    #[error("the runner is stopping")]
    Stopping,
}

/// What a guard stopped, and with which words.
#[derive(Clone, Debug)]
pub struct Stopped {
    /// What would be done.
    pub plan: ShortPlan,
    /// What guards said, by entity.
    pub refusals: Vec<Refusal>,
}

/// What is known of one profile that a runner keeps.
#[derive(Clone, Debug, Default)]
pub struct ProfileState {
    /// The profile.
    pub profile: String,
    /// Whether this instance held the lease at its last cycle; another one does the work otherwise.
    pub holds_lease: bool,
    /// When the last cycle ended.
    pub last_run_at: Option<OffsetDateTime>,
    /// When the next scheduled cycle begins.
    pub next_run_at: Option<OffsetDateTime>,
    /// The report of the last cycle.
    pub last_report: Option<ProfileReport>,
    /// What a guard stopped; looks at single records do not end it.
    pub stopped: Option<Stopped>,
    /// Cycles that ended, however.
    pub runs: u64,
    /// Cycles that ended with the outcome `failed`.
    pub failures: u64,
    /// All cycles' reports added up; errors are not kept in it.
    pub totals: ProfileReport,
    /// Errors of records so far, by code.
    pub errors: BTreeMap<String, u64>,
}

/// A handle on a runner: wakes its workers and knows what they did. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    inboxes: Arc<BTreeMap<String, mpsc::Sender<Hint>>>,
    states: Arc<Mutex<BTreeMap<String, ProfileState>>>,
}

impl Handle {
    /// A handle on these profiles, and the inbox of each.
    pub fn new(profiles: &[String]) -> (Self, BTreeMap<String, mpsc::Receiver<Hint>>) {
        let mut inboxes = BTreeMap::new();
        let mut receivers = BTreeMap::new();
        let mut states = BTreeMap::new();
        for profile in profiles {
            let (sender, receiver) = mpsc::channel(WAITING);
            inboxes.insert(profile.clone(), sender);
            receivers.insert(profile.clone(), receiver);
            let state = ProfileState {
                profile: profile.clone(),
                ..ProfileState::default()
            };
            states.insert(profile.clone(), state);
        }
        let handle = Self {
            inboxes: Arc::new(inboxes),
            states: Arc::new(Mutex::new(states)),
        };
        (handle, receivers)
    }

    /// Whether the runner keeps that profile.
    pub fn keeps(&self, profile: &str) -> bool {
        self.inboxes.contains_key(profile)
    }

    /// Tells a profile's worker where to look; returns at once.
    ///
    /// # Errors
    ///
    /// When nobody will look; a later schedule does so all the same, unless the profile is unknown.
    pub fn wake(&self, profile: &str, hint: Hint) -> Result<(), WakeError> {
        let inbox = self.inboxes.get(profile).ok_or(WakeError::UnknownProfile)?;
        inbox.try_send(hint).map_err(|error| match error {
            TrySendError::Full(_) => WakeError::Full,
            TrySendError::Closed(_) => WakeError::Stopping,
        })
    }

    /// What is known of each profile, by name.
    pub fn states(&self) -> Vec<ProfileState> {
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        states.values().cloned().collect()
    }

    /// Changes what is known of a profile; for its worker.
    pub fn update(&self, profile: &str, change: impl FnOnce(&mut ProfileState)) {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = states.get_mut(profile) {
            change(state);
        }
    }
}
