//! Webhooks: whether a delivery is Notion's, and what it points at.
//!
//! A delivery carries no values and may be late, lost, doubled or out of order: it says where to look.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::Sha256;
use time::OffsetDateTime;

/// The header that holds the signature.
pub const SIGNATURE_HEADER: &str = "X-Notion-Signature";

/// The largest delivery that is looked at, in bytes.
pub const MAX_DELIVERY: usize = 1024 * 1024;

/// Why a delivery is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// Checking the size.
    #[error("the delivery is larger than 1 MiB")]
    TooLarge,
    /// Checking the signature.
    #[error("the signature is missing or wrong")]
    Signature,
    /// Reading the event.
    #[error("the delivery is no event that can be read")]
    Malformed,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its id: the same for every attempt to deliver it.
    pub id: String,
    /// When it happened.
    #[serde(with = "time::serde::rfc3339")]
    pub timestamp: OffsetDateTime,
    /// The workspace it happened in.
    pub workspace_id: String,
    /// The connection it is for.
    #[serde(default)]
    pub integration_id: Option<String>,
    /// Notion's name for the event, such as `page.properties_updated`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Who did it.
    #[serde(default)]
    pub authors: Vec<Author>,
    /// The attempt, from 1 to 8.
    #[serde(default)]
    pub attempt_number: Option<u32>,
    /// What it happened to.
    pub entity: Entity,
    /// What else the event says.
    #[serde(default)]
    pub data: Map<String, Value>,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Event {
    /// The data source of the page, where it is a row.
    pub fn data_source_id(&self) -> Option<&str> {
        self.data.get("parent")?.get("data_source_id")?.as_str()
    }

    /// The ids of the properties that changed, where the event names them.
    pub fn updated_properties(&self) -> Vec<&str> {
        let Some(Value::Array(properties)) = self.data.get("updated_properties") else {
            return Vec::new();
        };
        properties
            .iter()
            .filter_map(|property| property.as_str().or_else(|| property["id"].as_str()))
            .collect()
    }
}

/// Who caused an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    /// The user's id.
    pub id: String,
    /// `person`, `bot` or a kind of later days.
    #[serde(rename = "type", default)]
    pub kind: String,
}

/// What an event happened to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// Its id.
    pub id: String,
    /// `page`, `data_source`, `database` and so on.
    #[serde(rename = "type")]
    pub kind: String,
}

/// What a delivery is.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// Something happened.
    Event(Box<Event>),
    /// The handshake of a new subscription. Its signature proves nothing, for it is made with the token that it
    /// carries: take it only while an operator is enrolling, and never over a stored token.
    Handshake(SecretString),
}

/// Reads a delivery whose signature is right; nothing is parsed before that is known.
///
/// # Errors
///
/// [`WebhookError`], which says nothing about the key or the body.
pub fn verify(key: &SecretString, signature: Option<&str>, body: &[u8]) -> Result<Event, WebhookError> {
    if body.len() > MAX_DELIVERY {
        return Err(WebhookError::TooLarge);
    }
    let given = signature
        .and_then(|header| header.strip_prefix("sha256="))
        .and_then(unhex)
        .ok_or(WebhookError::Signature)?;
    // `verify_slice` compares in constant time.
    mac(key, body)
        .verify_slice(&given)
        .map_err(|_| WebhookError::Signature)?;
    serde_json::from_slice(body).map_err(|_| WebhookError::Malformed)
}

/// Reads the handshake of a new subscription: the token it carries, if it is one.
///
/// # Errors
///
/// [`WebhookError`] when it is too large or no handshake.
pub fn handshake(body: &[u8]) -> Result<Delivery, WebhookError> {
    #[derive(Deserialize)]
    struct Handshake {
        verification_token: String,
    }
    if body.len() > MAX_DELIVERY {
        return Err(WebhookError::TooLarge);
    }
    let read: Handshake = serde_json::from_slice(body).map_err(|_| WebhookError::Malformed)?;
    Ok(Delivery::Handshake(read.verification_token.into()))
}

/// The signature header for a body: what Notion sends, and what tests send in its place.
pub fn sign(key: &SecretString, body: &[u8]) -> String {
    use std::fmt::Write;

    let mut header = "sha256=".to_owned();
    for byte in mac(key, body).finalize().into_bytes() {
        let _ = write!(header, "{byte:02x}");
    }
    header
}

fn mac(key: &SecretString, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes())
        .expect("HMAC takes keys of any length");
    mac.update(body);
    mac
}

/// Lower-case hexadecimal digits only, as Notion writes them.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let bytes = text.as_bytes();
    if bytes.len() != 64 {
        return None;
    }
    bytes
        .chunks(2)
        .map(|pair| Some(digit(pair[0])? * 16 + digit(pair[1])?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"id":"evt","timestamp":"2026-09-04T14:31:07.123Z","workspace_id":"w","type":"page.properties_updated",
        "authors":[{"id":"u","type":"person"}],"attempt_number":1,"entity":{"id":"p","type":"page"},
        "data":{"parent":{"id":"b","type":"database","data_source_id":"d"},"updated_properties":["w%7Bab"]},"new_field":1}"#;

    fn key() -> SecretString {
        "secret_webhook".to_owned().into()
    }

    #[test]
    fn the_signature_is_the_one_of_rfc_4231() {
        let signature = sign(&"Jefe".to_owned().into(), b"what do ya want for nothing?");
        assert_eq!(
            signature,
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn a_signed_event_is_read() {
        let event = verify(&key(), Some(&sign(&key(), BODY.as_bytes())), BODY.as_bytes()).unwrap();
        assert_eq!(event.entity.id, "p");
        assert_eq!(event.data_source_id(), Some("d"));
        assert_eq!(event.updated_properties(), ["w%7Bab"]);
        assert_eq!(event.rest["new_field"], 1);
    }

    #[test]
    fn every_flipped_byte_and_every_odd_header_is_refused() {
        let good = sign(&key(), BODY.as_bytes());
        for at in 0..BODY.len() {
            let mut body = BODY.as_bytes().to_vec();
            body[at] ^= 1;
            assert_eq!(verify(&key(), Some(&good), &body), Err(WebhookError::Signature));
        }
        let upper = good.to_ascii_uppercase();
        for header in [
            None,
            Some(""),
            Some("sha256="),
            Some(&good[7..]),
            Some(&good[..70]),
            Some(&upper),
        ] {
            assert_eq!(
                verify(&key(), header, BODY.as_bytes()),
                Err(WebhookError::Signature)
            );
        }
        let other = "secret_other".to_owned().into();
        assert_eq!(
            verify(&other, Some(&good), BODY.as_bytes()),
            Err(WebhookError::Signature)
        );
    }

    #[test]
    fn signed_nonsense_is_malformed() {
        let signature = sign(&key(), b"{}");
        assert_eq!(
            verify(&key(), Some(&signature), b"{}"),
            Err(WebhookError::Malformed)
        );
    }

    #[test]
    fn a_handshake_carries_its_token_and_does_not_show_it() {
        let delivery = handshake(br#"{"verification_token":"secret_abc"}"#).unwrap();
        assert!(!format!("{delivery:?}").contains("abc"));
    }
}
