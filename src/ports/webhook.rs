//! What is remembered of a profile's webhook subscription.

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
