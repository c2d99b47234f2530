//! One client's socket: the start-up it expects, then its messages in and the replies out.

use std::io::{self, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{self, Sender};
use std::thread;

use super::message::message;
use super::{ClientId, Request};

/// Codes that stand where a protocol version would.
const SSL_REQUEST: u32 = 80_877_103;
const GSSAPI_REQUEST: u32 = 80_877_104;
const PROTOCOL_3_0: u32 = 196_608;

/// The longest message taken: PostgreSQL's own limit for one value is 1 GB.
const LONGEST_MESSAGE: usize = 256 << 20;

/// Serves every client that connects, on two threads each, until the backend's thread has ended.
pub(super) fn accept(listener: &UnixListener, version: &str, requests: &Sender<Request>) {
    for (id, stream) in (1..).zip(listener.incoming()) {
        let Ok(stream) = stream else { return };
        let (version, requests) = (version.to_owned(), requests.clone());
        let served = thread::Builder::new()
            .name(format!("embedded-postgres-{id}"))
            .spawn(move || {
                if let Err(error) = serve(id, stream, &version, &requests) {
                    tracing::debug!(client = id, %error, "a client of the embedded PostgreSQL went away");
                }
                // The backend's thread has ended when nobody receives.
                let _ = requests.send(Request::Gone(id));
            });
        if served.is_err() {
            return;
        }
    }
}

fn serve(id: ClientId, stream: UnixStream, version: &str, requests: &Sender<Request>) -> io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    if !start_up(&mut reader, &mut writer)? {
        return Ok(());
    }
    writer.write_all(&greeting(id, version))?;

    let (replies, outgoing) = mpsc::channel::<Vec<u8>>();
    if requests.send(Request::Open(id, replies)).is_err() {
        return Ok(());
    }
    thread::Builder::new().spawn(move || {
        for reply in outgoing {
            if writer.write_all(&reply).is_err() {
                break;
            }
        }
        // The backend's thread let go of this client: so does the socket.
        let _ = writer.shutdown(std::net::Shutdown::Both);
    })?;

    let mut batch = Vec::new();
    loop {
        let mut head = [0; 5];
        reader.read_exact(&mut head)?;
        let [tag, length @ ..] = head;
        if tag == b'X' {
            return Ok(());
        }
        let body = read_body(&mut reader, length)?;
        batch.extend(message(tag, &body));
        if matches!(tag, b'S' | b'Q')
            && requests
                .send(Request::Batch(id, std::mem::take(&mut batch)))
                .is_err()
        {
            return Ok(());
        }
    }
}

/// Answers requests for encryption with no, until the start-up message; false when the client wants none of it.
fn start_up(reader: &mut impl Read, writer: &mut impl Write) -> io::Result<bool> {
    loop {
        let mut length = [0; 4];
        reader.read_exact(&mut length)?;
        let body = read_body(reader, length)?;
        let code = body
            .get(..4)
            .and_then(|code| code.try_into().ok())
            .map(u32::from_be_bytes);
        match code {
            Some(SSL_REQUEST | GSSAPI_REQUEST) => writer.write_all(b"N")?,
            Some(PROTOCOL_3_0) => return Ok(true),
            _ => return Ok(false),
        }
    }
}

fn read_body(reader: &mut impl Read, length: [u8; 4]) -> io::Result<Vec<u8>> {
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    match length.checked_sub(4) {
        Some(length) if length <= LONGEST_MESSAGE => {
            let mut body = vec![0; length];
            reader.read_exact(&mut body)?;
            Ok(body)
        }
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a message of that length",
        )),
    }
}

/// What a server says once it has let a client in.
fn greeting(id: ClientId, version: &str) -> Vec<u8> {
    let authentication_ok = message(b'R', &0u32.to_be_bytes());
    let parameters = [
        ("server_version", version),
        ("server_encoding", "UTF8"),
        ("client_encoding", "UTF8"),
        ("DateStyle", "ISO, MDY"),
        ("IntervalStyle", "postgres"),
        ("TimeZone", "UTC"),
        ("integer_datetimes", "on"),
        ("standard_conforming_strings", "on"),
    ];
    let mut greeting = authentication_ok;
    for (name, value) in parameters {
        greeting.extend(message(b'S', format!("{name}\0{value}\0").as_bytes()));
    }
    greeting.extend(message(b'K', &[id.to_be_bytes(), [0; 4]].concat()));
    greeting.extend(message(b'Z', b"I"));
    greeting
}
