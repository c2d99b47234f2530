//! Many client connections on the one backend of an embedded PostgreSQL.
//!
//! Each client sends batches of messages that end in Sync or Query. One thread owns the backend and runs
//! batches one after the other; while a transaction is open, only its owner's. It is what PgBouncer does in
//! transaction mode, with statement names kept apart for each client.
//!
//! # Limits
//! - Transactions are serial: one that waits for another client waits for ever.
//! - Session state is shared: `SET` outside a transaction, temporary tables, and session advisory locks, which
//!   exclude nobody here. Settings in the connection's start-up message are not applied.
//! - No COPY (refused with SQLSTATE `0A000`), no cancelling of a running statement, no replication.
//! - Idle transactions are not timed out.
//! - Of the engine itself: every connection is the superuser's, and PL/pgSQL does not catch every error (seen with
//!   `undefined_table` inside a trigger).
//!
//! Source: PostgreSQL documentation, chapter 55, "Frontend/Backend Protocol", version 3.0.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender};
use std::thread;

mod client;
mod message;

use message::{Frames, query, rewritten};

/// What the multiplexer needs of a backend. Stays on the thread that made it.
pub(super) trait Backend {
    /// Runs whole messages and answers the backend's.
    fn exchange(&mut self, messages: &[u8]) -> Result<Vec<u8>, String>;

    /// The data directory as an archive that another instance can start from.
    fn archive(&mut self) -> Result<Vec<u8>, String>;
}

/// What clients and the owner ask of the thread that has the backend.
pub(super) enum Request {
    /// A client connected; its replies go there.
    Open(ClientId, Sender<Vec<u8>>),
    /// A client sent messages up to a Sync or Query.
    Batch(ClientId, Vec<u8>),
    /// A client disconnected.
    Gone(ClientId),
    /// The owner wants a copy of the files, between two transactions.
    Archive(Sender<Result<Vec<u8>, String>>),
    /// The owner wants the thread to end.
    End,
}

/// Tells clients apart.
pub(super) type ClientId = u32;

/// The server's version as its start-up message would say it.
pub(super) fn server_version(backend: &mut impl Backend) -> Result<String, String> {
    let reply = backend.exchange(&query("show server_version"))?;
    Frames::new(&reply)
        .find(|frame| frame.tag == b'D')
        // One column: two bytes of count, four of length, the text.
        .and_then(|row| row.body.get(6..))
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .ok_or_else(|| "it does not say its version".to_owned())
}

/// Listens on the socket that clients expect in `directory`, on threads that end with the backend's.
pub(super) fn listen(directory: &Path, version: String, requests: Sender<Request>) -> io::Result<()> {
    let listener = UnixListener::bind(directory.join(".s.PGSQL.5432"))?;
    thread::Builder::new()
        .name("embedded-postgres-listener".to_owned())
        .spawn(move || client::accept(&listener, &version, &requests))?;
    Ok(())
}

/// Runs the backend until the owner ends it.
pub(super) fn run(backend: impl Backend, requests: &Receiver<Request>) {
    let mut multiplexer = Multiplexer {
        backend,
        clients: BTreeMap::new(),
        owner: None,
        waiting: VecDeque::new(),
    };
    loop {
        let request = match multiplexer.next_allowed() {
            Some(waiting) => waiting,
            None => match requests.recv() {
                Ok(Request::End) | Err(_) => return,
                Ok(request) => request,
            },
        };
        multiplexer.handle(request);
    }
}

/// A connected client as the backend's thread knows it.
struct Client {
    replies: Sender<Vec<u8>>,
    /// Channels it listens on.
    channels: BTreeSet<Vec<u8>>,
    /// Statements it has prepared, by the backend's name for them.
    statements: BTreeSet<Vec<u8>>,
}

struct Multiplexer<B> {
    backend: B,
    clients: BTreeMap<ClientId, Client>,
    /// Whose transaction is open.
    owner: Option<ClientId>,
    /// Requests that came while another client's transaction was open.
    waiting: VecDeque<Request>,
}

impl<B: Backend> Multiplexer<B> {
    /// The first request put aside that may run now.
    fn next_allowed(&mut self) -> Option<Request> {
        let position = self.waiting.iter().position(|request| self.may_run(request))?;
        self.waiting.remove(position)
    }

    fn may_run(&self, request: &Request) -> bool {
        match (self.owner, request) {
            (None, _) => true,
            (Some(owner), Request::Batch(client, _)) => owner == *client,
            (Some(_), Request::Archive(_)) => false,
            (Some(_), Request::Open(..) | Request::Gone(_) | Request::End) => true,
        }
    }

    fn handle(&mut self, request: Request) {
        if !self.may_run(&request) {
            self.waiting.push_back(request);
            return;
        }
        match request {
            Request::Open(id, replies) => {
                let client = Client {
                    replies,
                    channels: BTreeSet::new(),
                    statements: BTreeSet::new(),
                };
                self.clients.insert(id, client);
            }
            Request::Batch(id, messages) => self.run_batch(id, &messages),
            Request::Gone(id) => self.forget(id),
            Request::Archive(answer) => {
                // Nobody listens when the asker was dropped.
                let _ = answer.send(self.backend.archive());
            }
            Request::End => {}
        }
    }

    fn run_batch(&mut self, id: ClientId, messages: &[u8]) {
        let batch = rewritten(id, messages);
        if let Some(client) = self.clients.get_mut(&id) {
            client.statements.extend(batch.prepares);
        }
        let reply = match self.backend.exchange(&batch.messages) {
            Ok(reply) => reply,
            Err(reason) => {
                // The connection cannot go on: hanging up is the only honest answer.
                tracing::error!(reason, "the embedded PostgreSQL failed");
                self.clients.remove(&id);
                return;
            }
        };
        let mut kept = Vec::with_capacity(reply.len());
        let mut closes = batch.closes.into_iter();
        for frame in Frames::new(&reply) {
            match frame.tag {
                b'A' => self.notify(frame.whole, frame.channel()),
                // The answer to a Close that the client did not send.
                b'3' if closes.next() == Some(message::Close::Ours) => {}
                b'Z' => {
                    self.owner = (frame.body != b"I").then_some(id);
                    kept.extend_from_slice(frame.whole);
                }
                _ => kept.extend_from_slice(frame.whole),
            }
        }
        if let Some(client) = self.clients.get_mut(&id) {
            client.channels.extend(batch.listens);
            let _ = client.replies.send(kept);
        }
        if batch.unlistens {
            self.stop_listening(id);
        }
    }

    /// Hands a notification to the clients that listen on its channel.
    fn notify(&self, frame: &[u8], channel: &[u8]) {
        for client in self.clients.values() {
            if client.channels.contains(channel) {
                let _ = client.replies.send(frame.to_vec());
            }
        }
    }

    /// Forgets a client's channels, and listens again for the others, whose backend it shared.
    fn stop_listening(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.channels.clear();
        }
        let still: BTreeSet<&[u8]> = self
            .clients
            .values()
            .flat_map(|client| client.channels.iter().map(Vec::as_slice))
            .collect();
        let again: String = still
            .iter()
            .map(|channel| format!("listen \"{}\";", String::from_utf8_lossy(channel)))
            .collect();
        if !again.is_empty() {
            self.housekeeping(&query(&again));
        }
    }

    /// Ends what a client left: its transaction and its statements.
    fn forget(&mut self, id: ClientId) {
        self.waiting
            .retain(|request| !matches!(request, Request::Batch(client, _) if *client == id));
        if self.owner == Some(id) {
            self.housekeeping(&query("rollback"));
            self.owner = None;
        }
        if let Some(client) = self.clients.remove(&id)
            && !client.statements.is_empty()
        {
            self.housekeeping(&message::close_statements(&client.statements));
        }
    }

    /// Runs messages of our own, whose answer says nothing that a client must hear.
    fn housekeeping(&mut self, messages: &[u8]) {
        if let Err(reason) = self.backend.exchange(messages) {
            tracing::error!(reason, "the embedded PostgreSQL failed");
        }
    }
}

#[cfg(test)]
mod tests;
