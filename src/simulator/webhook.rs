//! Webhooks: events gathered for a while, signed, and sometimes lost, doubled, late or out of order (fact sheet, 3.12).
//!
//! This half decides what is sent when; `http` sends it.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use sha2::Sha256;
use uuid::Uuid;

use super::workspace::{Event, Moment, Seed, Workspace};

/// What goes wrong on the way of webhook events; probabilities from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookFaults {
    /// Never sent.
    pub lost: f64,
    /// Sent twice with the same id.
    pub doubled: f64,
    /// Sent later by `late_seconds`.
    pub late: f64,
    /// How much later.
    pub late_seconds: u64,
    /// Whether events that are due together come in an order of their own.
    pub reordered: bool,
}

/// An event or handshake to be sent.
#[derive(Clone, Debug)]
pub struct Parcel {
    due: Moment,
    subscription: Uuid,
    /// Where it goes.
    pub url: String,
    attempt: u32,
    payload: Json,
    /// The body's bytes, which the signature is of.
    pub body: String,
    /// The `X-Notion-Signature` header; none on the handshake.
    pub signature: Option<String>,
}

#[derive(Clone, Debug)]
struct Subscription {
    id: Uuid,
    connection: usize,
    url: String,
    token: String,
    verified: bool,
}

/// Subscriptions, and the events on their way.
#[derive(Debug)]
pub(crate) struct Webhooks {
    seed: Seed,
    subscriptions: Vec<Subscription>,
    gathered: Vec<Event>,
    parcels: Vec<Parcel>,
    pub(crate) window: Duration,
    pub(crate) faults: WebhookFaults,
}

/// Events wait this long for others that they can be merged with; Notion says "a short window".
const WINDOW: Duration = Duration::from_secs(1);

/// The first attempt and seven more (fact sheet, 3.12).
const MOST_ATTEMPTS: u32 = 8;

/// Events that wait at the most; beyond it the oldest are lost, as events may be.
const MOST_GATHERED: usize = 100_000;

/// Events that are never merged.
fn is_single(kind: &str) -> bool {
    kind.starts_with("comment.") || matches!(kind, "page.locked" | "page.unlocked")
}

impl Webhooks {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed: Seed::new(seed ^ 0x0eb0),
            subscriptions: Vec::new(),
            gathered: Vec::new(),
            parcels: Vec::new(),
            window: WINDOW,
            faults: WebhookFaults::default(),
        }
    }

    /// Subscribes a URL, which is sent the verification token. Answers that token.
    pub(crate) fn subscribe(&mut self, connection: usize, url: &str, now: Moment) -> String {
        let token = format!("secret_{}", self.seed.uuid().simple());
        let id = self.seed.uuid();
        let payload = json!({ "verification_token": token });
        self.parcels.push(Parcel {
            due: now,
            subscription: id,
            url: url.to_owned(),
            attempt: 1,
            body: payload.to_string(),
            payload,
            signature: None,
        });
        self.subscriptions.push(Subscription {
            id,
            connection,
            url: url.to_owned(),
            token: token.clone(),
            verified: false,
        });
        token
    }

    /// Pastes a verification token back, after which events are sent. Whether there is such a subscription.
    pub(crate) fn verify(&mut self, token: &str) -> bool {
        let found = self
            .subscriptions
            .iter_mut()
            .find(|subscription| subscription.token == token);
        found.map(|subscription| subscription.verified = true).is_some()
    }

    /// Ends all subscriptions.
    pub(crate) fn unsubscribe_all(&mut self) {
        self.subscriptions.clear();
        self.parcels.clear();
        self.gathered.clear();
    }

    pub(crate) fn gather(&mut self, events: Vec<Event>) {
        if !self.subscriptions.is_empty() {
            self.gathered.extend(events);
            let excess = self.gathered.len().saturating_sub(MOST_GATHERED);
            self.gathered.drain(..excess);
        }
    }

    /// Events whose window is open.
    pub(crate) fn waiting(&self) -> usize {
        self.gathered.len()
    }

    /// What is to be sent now.
    pub(crate) fn due(&mut self, workspace: &Workspace, now: Moment) -> Vec<Parcel> {
        self.close_windows(workspace, now);
        let (mut due, later): (Vec<_>, Vec<_>) = self.parcels.drain(..).partition(|parcel| parcel.due <= now);
        self.parcels = later;
        if self.faults.reordered {
            self.seed.shuffle(&mut due);
        }
        due
    }

    /// Tries a parcel again later, if it was not tried too often.
    pub(crate) fn failed(&mut self, mut parcel: Parcel, now: Moment) {
        parcel.attempt += 1;
        if parcel.attempt > MOST_ATTEMPTS {
            return;
        }
        // From 20 s by factors of 4, the eighth attempt comes about 30 hours after the first.
        let wait = Duration::from_secs(5 * 4_u64.saturating_pow(parcel.attempt - 1));
        parcel.due = now.after(wait);
        if parcel.signature.is_some() {
            parcel.payload["attempt_number"] = json!(parcel.attempt);
            self.sign(&mut parcel);
        }
        self.parcels.push(parcel);
    }

    fn sign(&self, parcel: &mut Parcel) {
        let Some(subscription) = self
            .subscriptions
            .iter()
            .find(|found| found.id == parcel.subscription)
        else {
            return;
        };
        parcel.body = parcel.payload.to_string();
        parcel.signature = Some(signature(&subscription.token, parcel.body.as_bytes()));
    }

    fn close_windows(&mut self, workspace: &Workspace, now: Moment) {
        let window = self.window;
        let closed = |event: &Event| event.at.after(window) <= now;
        if !self.gathered.iter().any(closed) {
            return;
        }
        let mut merged: Vec<(Event, Vec<Uuid>)> = Vec::new();
        let (closing, open): (Vec<_>, Vec<_>) = self.gathered.drain(..).partition(closed);
        self.gathered = open;
        for event in closing {
            let same = merged.iter_mut().find(|(other, _)| {
                !is_single(event.kind) && other.kind == event.kind && other.entity == event.entity
            });
            match same {
                Some((other, authors)) => {
                    merge(&mut other.data, &event.data);
                    other.at = event.at;
                    if !authors.contains(&event.author) {
                        authors.push(event.author);
                    }
                }
                None => merged.push((event.clone(), vec![event.author])),
            }
        }
        // Made and trashed within one window: as if it had not been.
        let made: Vec<Uuid> = of_kind(&merged, ".created");
        let gone: Vec<Uuid> = of_kind(&merged, ".deleted");
        merged.retain(|(event, _)| !(made.contains(&event.entity.1) && gone.contains(&event.entity.1)));
        for (event, authors) in merged {
            for subscription in self.subscriptions.clone() {
                if subscription.verified && workspace.is_visible(subscription.connection, event.entity.1) {
                    self.dispatch(workspace, &subscription, &event, &authors, now);
                }
            }
        }
    }

    fn dispatch(
        &mut self,
        workspace: &Workspace,
        subscription: &Subscription,
        event: &Event,
        authors: &[Uuid],
        now: Moment,
    ) {
        let id = self.seed.uuid();
        let (lost, doubled, late) = (
            self.seed.chance(self.faults.lost),
            self.seed.chance(self.faults.doubled),
            self.seed.chance(self.faults.late),
        );
        if lost {
            return;
        }
        let authors: Json = authors
            .iter()
            .map(|id| json!({"id": id, "type": workspace.author_kind(*id)}))
            .collect();
        let payload = json!({
            "id": id, "timestamp": event.at.iso(), "workspace_id": workspace.id(), "workspace_name": workspace.name(),
            "subscription_id": subscription.id, "integration_id": workspace.bot(subscription.connection),
            "authors": authors, "attempt_number": 1, "api_version": "2026-03-11",
            "entity": {"id": event.entity.1, "type": event.entity.0}, "type": event.kind, "data": event.data,
        });
        let wait = if late {
            Duration::from_secs(self.faults.late_seconds)
        } else {
            Duration::ZERO
        };
        let mut parcel = Parcel {
            due: now.after(wait),
            subscription: subscription.id,
            url: subscription.url.clone(),
            attempt: 1,
            payload,
            body: String::new(),
            signature: None,
        };
        self.sign(&mut parcel);
        if doubled {
            self.parcels.push(parcel.clone());
        }
        self.parcels.push(parcel);
    }
}

fn of_kind(events: &[(Event, Vec<Uuid>)], suffix: &str) -> Vec<Uuid> {
    events
        .iter()
        .filter(|(event, _)| event.kind.ends_with(suffix))
        .map(|(event, _)| event.entity.1)
        .collect()
}

/// Joins the lists of two events of one kind.
fn merge(into: &mut Json, from: &Json) {
    let (Some(into), Some(from)) = (into.as_object_mut(), from.as_object()) else {
        return;
    };
    for (key, value) in from {
        match (into.get_mut(key).and_then(Json::as_array_mut), value.as_array()) {
            (Some(list), Some(more)) => {
                for element in more {
                    if !list.contains(element) {
                        list.push(element.clone());
                    }
                }
            }
            _ => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

/// The `X-Notion-Signature` header of a body: HMAC-SHA256 under the verification token, in lower-case hex.
pub fn signature(token: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    let digest = mac.finalize().into_bytes();
    digest
        .iter()
        .fold("sha256=".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}
