//! A run that somebody attends: its lease is kept while it goes on, and it may be asked to end early.

use std::time::Duration;

use super::EngineError;
use super::run::Work;
use crate::ports::{BoxFuture, StoreError};

/// What a long-lived process lends to the runs that it starts.
///
/// Without one a run prolongs its lease only before it writes, and ends when it is done.
pub trait Attendant: Send + Sync {
    /// Resolves once that much real time has passed.
    fn pause(&self, duration: Duration) -> BoxFuture<'_, ()>;

    /// Whether no further record may be begun.
    fn is_stopping(&self) -> bool;

    /// Resolves when even what is under way is to be dropped; what it was is in the journal.
    fn gives_up(&self) -> BoxFuture<'_, ()>;
}

impl Work<'_> {
    /// Prolongs the lease until it is lost, or the attendant gives up.
    pub(super) async fn attend(&self) -> EngineError {
        let Some(attendant) = self.attendant else {
            return std::future::pending().await;
        };
        let keep = async {
            loop {
                attendant.pause(self.engine.tuning.lease / 3).await;
                if self.lease_is_over() {
                    // The process slept: told before anything that waited for its turn is sent.
                    return StoreError::Fenced.into();
                }
                if let Err(error) = self.renew_lease().await {
                    return error;
                }
            }
        };
        tokio::select! {
            error = keep => error,
            () = attendant.gives_up() => EngineError::Interrupted,
        }
    }

    /// Refuses to begin anything once the attendant wants to stop.
    pub(super) fn may_begin(&self) -> Result<(), EngineError> {
        match self.attendant {
            Some(attendant) if attendant.is_stopping() => Err(EngineError::Interrupted),
            _ => Ok(()),
        }
    }
}
