//! Text that people and strangers wrote, for a terminal that obeys some characters.

/// Whether a character could change what a terminal shows elsewhere: controls, line separators, and the marks that turn
/// the direction of writing.
///
/// Source: Boucher and Anderson, "Trojan Source" (2021); Unicode Standard Annex 9, section 2.
pub fn is_unprintable(character: char) -> bool {
    (character.is_control() && !matches!(character, '\n' | '\r' | '\t'))
        || matches!(
            character,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{feff}'
        )
}

/// The text with every unprintable character as `\u{…}`; line ends and tabs stay.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        // By itself it goes back to the start of the line, to write over what stands there.
        let returns = character == '\r' && characters.peek() != Some(&'\n');
        if returns || is_unprintable(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// The same, for a name or a key in the middle of a line: line ends and tabs are escaped too.
pub fn inline(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unprintable(character) || matches!(character, '\n' | '\r' | '\t') {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_comes_through() {
        let hostile = "a\u{1b}]0;title\u{7}\u{9b}2J\u{202e}b\u{2066}\u{7f}\0\u{feff}c";
        let shown = printable(hostile);
        assert!(!shown.chars().any(is_unprintable), "{shown:?}");
        assert!(
            shown.starts_with("a\\u{1b}]0;title") && shown.ends_with('c'),
            "{shown}"
        );
        assert_eq!(printable("Ünï 🚀\ttab\r\nline"), "Ünï 🚀\ttab\r\nline");
        assert_eq!(printable("over\rwritten"), "over\\u{d}written");
        assert_eq!(inline("a\nb\u{202e}"), "a\\u{a}b\\u{202e}");
    }
}
