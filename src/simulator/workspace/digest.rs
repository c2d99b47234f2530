//! What stands for a text where only sameness counts: of our own making, so that the same seed gives the same bytes
//! whatever the compiler.

use sha2::{Digest, Sha256};

/// The first bytes of the text's SHA-256, as a number.
pub(super) fn number(text: &str) -> u64 {
    let hash = Sha256::digest(text.as_bytes());
    hash.iter()
        .take(8)
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}
