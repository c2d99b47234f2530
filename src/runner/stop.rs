//! How a runner ends: first nothing new is begun, then what is under way is dropped.

use std::time::Duration;

use tokio::sync::watch;

use crate::engine::Attendant;
use crate::ports::BoxFuture;

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Working,
    Stopping,
    GivenUp,
}

/// Ends a runner's workers.
#[derive(Debug)]
pub struct Stop(watch::Sender<Stage>);

/// Tells workers when to end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Stopping(watch::Receiver<Stage>);

impl Stop {
    /// A runner that is to go on.
    pub fn new() -> (Self, Stopping) {
        let (sender, receiver) = watch::channel(Stage::Working);
        (Self(sender), Stopping(receiver))
    }

    /// Lets nothing new be begun; what is under way is finished.
    pub fn stop(&self) {
        self.0.send_if_modified(|stage| {
            let goes_on = *stage == Stage::Working;
            *stage = (*stage).max(Stage::Stopping);
            goes_on
        });
    }

    /// Drops what is still under way; it is in the journal.
    pub fn give_up(&self) {
        self.0.send_replace(Stage::GivenUp);
    }
}

impl Stopping {
    /// Whether nothing new may be begun.
    pub fn is_stopping(&self) -> bool {
        *self.0.borrow() >= Stage::Stopping
    }

    /// Resolves when nothing new may be begun.
    pub async fn stopping(&self) {
        self.reached(Stage::Stopping).await;
    }

    /// Resolves when what is under way is to be dropped.
    pub async fn given_up(&self) {
        self.reached(Stage::GivenUp).await;
    }

    async fn reached(&self, wanted: Stage) {
        let mut stage = self.0.clone();
        if stage.wait_for(|stage| *stage >= wanted).await.is_err() {
            // Nobody is left who could stop it.
            std::future::pending().await
        }
    }
}

impl Attendant for Stopping {
    fn pause(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn is_stopping(&self) -> bool {
        Stopping::is_stopping(self)
    }

    fn gives_up(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.given_up())
    }
}
