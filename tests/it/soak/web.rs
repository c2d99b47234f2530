//! The server in virtual time: its real routes, over pipes in memory, with webhooks and an application that call it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use frames_sync::ports::{BoxFuture, ConflictTally, Enrolment, RunRecord};
use frames_sync::reconcile::Side;
use frames_sync::report::{ConflictReport, ConflictsReport, HistoryReport, StatusReport};
use frames_sync::server::{Choice, Memory, MemoryError, Subscription};
use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::university::University;

/// How long a whole exchange may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A socket made of pipes.
struct Wire(mpsc::Receiver<DuplexStream>);

impl Listener for Wire {
    type Io = DuplexStream;
    type Addr = ();

    async fn accept(&mut self) -> (DuplexStream, ()) {
        match self.0.recv().await {
            Some(stream) => (stream, ()),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Where the server is reached.
#[derive(Clone)]
pub(crate) struct Web(mpsc::Sender<DuplexStream>);

impl Web {
    /// Serves these routes from now on.
    pub(crate) fn serve(router: Router) -> Self {
        let (sender, receiver) = mpsc::channel(64);
        tokio::spawn(async move { axum::serve(Wire(receiver), router).await });
        Self(sender)
    }

    /// Posts a body; answers the status, or nothing where the server does not answer.
    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Option<u16> {
        let exchange = async {
            let (mut ours, theirs) = duplex(64 * 1024);
            self.0.send(theirs).await.ok()?;
            let mut request = format!(
                "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n",
                body.len()
            );
            for (name, value) in headers {
                request.push_str(&format!("{name}: {value}\r\n"));
            }
            request.push_str("\r\n");
            request.push_str(body);
            ours.write_all(request.as_bytes()).await.ok()?;
            let mut answer = Vec::new();
            ours.read_to_end(&mut answer).await.ok()?;
            let line = String::from_utf8_lossy(&answer);
            line.split(' ').nth(1)?.parse().ok()
        };
        tokio::time::timeout(PATIENCE, exchange).await.ok().flatten()
    }
}

/// What the server asks of a university's state.
pub(crate) struct Desk {
    pub(crate) university: Arc<University>,
    pub(crate) token: String,
}

fn none<T: Send + 'static>() -> BoxFuture<'static, Result<T, MemoryError>> {
    Box::pin(async { Err(MemoryError::NotSetUp) })
}

impl Memory for Desk {
    fn key_columns(&self, entity: &str) -> Option<usize> {
        ["teams", "projects"].contains(&entity).then_some(1)
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), MemoryError>> {
        Box::pin(async { Ok(()) })
    }

    fn status(&self) -> BoxFuture<'_, Result<StatusReport, MemoryError>> {
        none()
    }

    fn conflicts(&self) -> BoxFuture<'_, Result<ConflictsReport, MemoryError>> {
        none()
    }

    fn conflict(&self, _id: Uuid) -> BoxFuture<'_, Result<Option<ConflictReport>, MemoryError>> {
        none()
    }

    fn choose(
        &self,
        _id: Uuid,
        _rev: Option<i64>,
        _side: Side,
    ) -> BoxFuture<'_, Result<Choice, MemoryError>> {
        none()
    }

    fn approve(&self, _hash: String) -> BoxFuture<'_, Result<(), MemoryError>> {
        none()
    }

    fn runs(&self, _limit: u32) -> BoxFuture<'_, Result<Vec<RunRecord>, MemoryError>> {
        none()
    }

    fn history(&self, _limit: u32) -> BoxFuture<'_, Result<HistoryReport, MemoryError>> {
        none()
    }

    fn conflicts_of_a_day(&self) -> BoxFuture<'_, Result<Vec<ConflictTally>, MemoryError>> {
        none()
    }

    fn subscription(&self) -> BoxFuture<'_, Result<Subscription, MemoryError>> {
        let workspace = self
            .university
            .simulator
            .workspace(|workspace| workspace.id().to_string());
        let entities = ["teams", "projects"];
        let subscription = Subscription {
            enrolment: Enrolment {
                token: Some(SecretString::from(self.token.as_str())),
                integration: None,
                is_open: false,
            },
            workspace: Some(workspace),
            data_sources: entities
                .map(|entity| self.university.data_source(entity))
                .into_iter()
                .collect(),
        };
        Box::pin(async move { Ok(subscription) })
    }

    fn enrol(&self, _token: SecretString) -> BoxFuture<'_, Result<bool, MemoryError>> {
        Box::pin(async { Ok(false) })
    }

    fn pin_integration(&self, _integration: String) -> BoxFuture<'_, Result<bool, MemoryError>> {
        Box::pin(async { Ok(true) })
    }
}
