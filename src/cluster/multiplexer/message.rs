//! Protocol messages: cutting, building, and giving each client names of its own.

use super::ClientId;

/// Backend or typed frontend messages, one after the other: a tag, a length that counts itself, a body.
pub(super) struct Frames<'a> {
    rest: &'a [u8],
}

/// One message.
pub(super) struct Frame<'a> {
    /// What it is.
    pub(super) tag: u8,
    /// What it says.
    pub(super) body: &'a [u8],
    /// Tag, length and body.
    pub(super) whole: &'a [u8],
}

impl<'a> Frames<'a> {
    /// Cuts `bytes`; a message cut short at the end is left out.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let length = u32::from_be_bytes(self.rest.get(1..5)?.try_into().ok()?);
        let end = 1 + usize::try_from(length).ok()?;
        let whole = self.rest.get(..end)?;
        self.rest = &self.rest[end..];
        Some(Frame {
            tag: whole[0],
            body: whole.get(5..)?,
            whole,
        })
    }
}

impl Frame<'_> {
    /// The channel of a NotificationResponse: after the sender's process id.
    pub(super) fn channel(&self) -> &[u8] {
        text(self.body.get(4..).unwrap_or_default()).0
    }
}

/// The text before the first NUL, and what follows the NUL.
fn text(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|byte| *byte == 0) {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[]),
    }
}

/// A message of that tag and body.
pub(super) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("a message was read with a length of 32 bits");
    let mut message = Vec::with_capacity(body.len() + 5);
    message.push(tag);
    message.extend(length.to_be_bytes());
    message.extend_from_slice(body);
    message
}

/// A simple query.
pub(super) fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &[sql.as_bytes(), b"\0"].concat())
}

/// Closes statements, named as the backend knows them.
pub(super) fn close_statements<'a>(names: impl IntoIterator<Item = &'a Vec<u8>>) -> Vec<u8> {
    let mut messages: Vec<u8> = names.into_iter().flat_map(|name| close_statement(name)).collect();
    messages.extend(message(b'S', b""));
    messages
}

fn close_statement(name: &[u8]) -> Vec<u8> {
    message(b'C', &[b"S", name, b"\0"].concat())
}

/// Who asked for a Close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Close {
    /// The client.
    Theirs,
    /// The multiplexer.
    Ours,
}

/// A batch as the backend gets it.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The messages.
    pub(super) messages: Vec<u8>,
    /// The Close messages in it, in order.
    pub(super) closes: Vec<Close>,
    /// Statements it prepares, by the backend's name.
    pub(super) prepares: Vec<Vec<u8>>,
    /// Channels it starts to listen on.
    pub(super) listens: Vec<Vec<u8>>,
    /// Whether it stops listening on any.
    pub(super) unlistens: bool,
}

/// Gives every statement and named portal of a client a name of its own.
///
/// The unnamed statement gets a name too, for between a client's Parse and Bind another client may run. Preparing
/// it anew replaces it, so a Close goes before. Unnamed portals end with their transaction and need nothing.
pub(super) fn rewritten(client: ClientId, messages: &[u8]) -> Batch {
    let mut batch = Batch::default();
    for frame in Frames::new(messages) {
        match frame.tag {
            b'P' => {
                let (name, rest) = text(frame.body);
                let (sql, _) = text(rest);
                if is_copy(sql) {
                    return refusal();
                }
                batch.note_listening(sql);
                let own = statement(client, name);
                if name.is_empty() {
                    batch.messages.extend(close_statement(&own));
                    batch.closes.push(Close::Ours);
                }
                batch
                    .messages
                    .extend(message(b'P', &[&own, b"\0".as_slice(), rest].concat()));
                batch.prepares.push(own);
            }
            b'B' => {
                let (portal_name, rest) = text(frame.body);
                let (name, rest) = text(rest);
                let body = [
                    &portal(client, portal_name),
                    b"\0".as_slice(),
                    &statement(client, name),
                    b"\0",
                    rest,
                ];
                batch.messages.extend(message(b'B', &body.concat()));
            }
            b'D' | b'C' => {
                let (kind, name) = frame.body.split_at(frame.body.len().min(1));
                let (name, _) = text(name);
                let own = if kind == b"S" {
                    statement(client, name)
                } else {
                    portal(client, name)
                };
                if frame.tag == b'C' {
                    batch.closes.push(Close::Theirs);
                }
                batch
                    .messages
                    .extend(message(frame.tag, &[kind, &own, b"\0"].concat()));
            }
            b'E' => {
                let (name, rest) = text(frame.body);
                let body = [&portal(client, name), b"\0".as_slice(), rest];
                batch.messages.extend(message(b'E', &body.concat()));
            }
            b'Q' => {
                let (sql, _) = text(frame.body);
                if is_copy(sql) {
                    return refusal();
                }
                batch.note_listening(sql);
                batch.messages.extend_from_slice(frame.whole);
            }
            _ => batch.messages.extend_from_slice(frame.whole),
        }
    }
    batch
}

impl Batch {
    /// Reads `LISTEN` and `UNLISTEN` out of SQL. A quoted `;` misleads it, which costs a notification at most.
    fn note_listening(&mut self, sql: &[u8]) {
        for statement in String::from_utf8_lossy(sql).split(';') {
            let mut words = statement.split_whitespace();
            match words.next() {
                Some(word) if word.eq_ignore_ascii_case("listen") => {
                    if let Some(channel) = words.next() {
                        let quoted = channel
                            .strip_prefix('"')
                            .and_then(|channel| channel.strip_suffix('"'));
                        let channel =
                            quoted.map_or_else(|| channel.to_lowercase(), |name| name.replace("\"\"", "\""));
                        self.listens.push(channel.into_bytes());
                    }
                }
                Some(word) if word.eq_ignore_ascii_case("unlisten") => self.unlistens = true,
                _ => {}
            }
        }
    }
}

fn statement(client: ClientId, name: &[u8]) -> Vec<u8> {
    [format!("client_{client}_").as_bytes(), name].concat()
}

fn portal(client: ClientId, name: &[u8]) -> Vec<u8> {
    if name.is_empty() {
        Vec::new()
    } else {
        statement(client, name)
    }
}

fn is_copy(sql: &[u8]) -> bool {
    sql.trim_ascii_start()
        .get(..5)
        .is_some_and(|word| word.eq_ignore_ascii_case(b"copy ") || word.eq_ignore_ascii_case(b"copy\n"))
}

/// A batch that fails in the backend, so that the client's transaction ends up as any other error leaves it.
fn refusal() -> Batch {
    Batch {
        messages: query(
            "do $$ begin raise exception using errcode = '0A000', message = \
             'COPY is not supported by the embedded PostgreSQL'; end $$",
        ),
        ..Batch::default()
    }
}
