//! What a server asks of a profile's state beyond what the engine does.

use secrecy::SecretString;

/// A profile's webhook subscription, as far as it is enrolled.
#[derive(Clone, Debug, Default)]
pub struct Enrolment {
    /// The verification token, which is the key that deliveries are signed with; `None` before the first handshake.
    pub token: Option<SecretString>,
    /// The connection that the first signed delivery named; every later one must name the same.
    pub integration: Option<String>,
    /// Whether an operator lets a handshake in at present.
    pub is_open: bool,
}

/// How many conflicts of a day are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConflictTally {
    /// Whether they wait for a person, or for their choice to be applied.
    pub is_open: bool,
    /// How sure it is which side was later: `proven`, `probable` or `tie`; `None` where nobody asked.
    pub certainty: Option<String>,
    /// How many they are.
    pub count: u64,
}
