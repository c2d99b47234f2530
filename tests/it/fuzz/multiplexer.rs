//! The embedded database's parser of protocol messages, which is part of no library without that feature.

/// As the multiplexer counts its clients.
type ClientId = u32;

#[path = "../../../src/cluster/multiplexer/message.rs"]
#[expect(
    dead_code,
    reason = "what else stands in the file has callers where it belongs"
)]
mod message;

/// Tag, body and length of each message.
pub(super) fn frames(bytes: &[u8]) -> Vec<(u8, Vec<u8>, usize)> {
    message::Frames::new(bytes)
        .map(|frame| {
            // Of a NotificationResponse only, but no body may break it.
            frame.channel();
            (frame.tag, frame.body.to_vec(), frame.whole.len())
        })
        .collect()
}

/// What is sent on for a client, and how many Close messages are expected to be answered.
pub(super) fn rewritten(client: ClientId, bytes: &[u8]) -> (Vec<u8>, usize) {
    let batch = message::rewritten(client, bytes);
    (batch.messages, batch.closes.len())
}
