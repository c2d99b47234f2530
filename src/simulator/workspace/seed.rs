//! The seeded generator behind every id, colour and chance: same seed, same bytes.

use uuid::{Builder, Uuid};

/// A stream of numbers that a seed determines wholly (SplitMix64, Steele et al. 2014).
#[derive(Clone, Debug)]
pub struct Seed {
    state: u64,
}

impl Seed {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is at least 1.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound.max(1)
    }

    /// Whether an event of this probability (0 to 1) happens now.
    pub fn chance(&mut self, probability: f64) -> bool {
        // 53 bits are what a double holds exactly.
        ((self.number() >> 11) as f64) < probability * (1_u64 << 53) as f64
    }

    /// A version 4 UUID.
    pub fn uuid(&mut self) -> Uuid {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.number().to_be_bytes());
        bytes[8..].copy_from_slice(&self.number().to_be_bytes());
        Builder::from_random_bytes(bytes).into_uuid()
    }

    /// A property id as Notion answers them: four odd characters, URL-encoded (`aB%3Ac`).
    pub fn property_id(&mut self) -> String {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz:;<=>?@[]^_`{|}~\\";
        let mut id = String::new();
        for _ in 0..4 {
            let character = ALPHABET[self.below(ALPHABET.len() as u64) as usize];
            if character.is_ascii_alphanumeric() || matches!(character, b'_' | b'~') {
                id.push(char::from(character));
            } else {
                id.push_str(&format!("%{character:02X}"));
            }
        }
        id
    }

    /// One of the colours that Notion gives to options.
    pub fn color(&mut self) -> &'static str {
        super::schema::COLORS[self.below(super::schema::COLORS.len() as u64) as usize]
    }

    /// Puts the elements in an order of its own (Fisher and Yates).
    pub fn shuffle<T>(&mut self, elements: &mut [T]) {
        for last in (1..elements.len()).rev() {
            elements.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

/// Undoes URL encoding; `None` where the text is not UTF-8 afterwards.
pub(crate) fn percent_decoded(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let escaped = (bytes[index] == b'%')
            .then(|| text.get(index + 1..index + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped {
            Some(byte) => {
                decoded.push(byte);
                index += 3;
            }
            None => {
                decoded.push(bytes[index]);
                index += 1;
            }
        }
    }
    String::from_utf8(decoded).ok()
}
