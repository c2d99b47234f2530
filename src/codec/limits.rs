//! What one Notion property takes in one write.
//!
//! Source: Notion API 2026-03-11, request limits. They bound requests, not storage: what is read may be longer.

/// UTF-16 units in one piece of text.
pub const PIECE_UNITS: usize = 2000;
/// Entries of any array in a request: pieces of text, options, pages, people, files.
pub const MAX_ENTRIES: usize = 100;
/// UTF-16 units of an address.
pub const URL_UNITS: usize = 2000;
/// UTF-16 units of an e-mail address or telephone number: the smaller of the two documented limits (100 and 200).
pub const CONTACT_UNITS: usize = 100;
/// UTF-16 units of an option's name.
pub const OPTION_UNITS: usize = 100;

/// The length as Notion counts it.
pub fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// Cuts a text into pieces of at most 2000 UTF-16 units, never inside a character; none for the empty text.
pub fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut length) = (0, 0);
    for (at, character) in text.char_indices() {
        if length + character.len_utf16() > PIECE_UNITS {
            pieces.push(&text[start..at]);
            (start, length) = (at, 0);
        }
        length += character.len_utf16();
    }
    if start < text.len() {
        pieces.push(&text[start..]);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_surrogate_pair_is_not_cut() {
        let text = format!("{}🚀b", "a".repeat(1999));
        assert_eq!(pieces(&text), [&text[..1999], "🚀b"]);
        assert!(pieces("").is_empty());
    }

    proptest! {
        #[test]
        fn pieces_join_to_the_text(text in "[a🚀é]{0,9000}") {
            let pieces = pieces(&text);
            prop_assert!(pieces.iter().all(|piece| (1..=PIECE_UNITS).contains(&units(piece))));
            prop_assert_eq!(pieces.concat(), text);
        }
    }
}
