//! A file of the user's, and places in it.

use std::ops::Range;

/// A range of bytes in a file's text.
pub type Span = Range<usize>;

/// A file as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// The path as messages show it: relative to where the command ran, with `/` between folders.
    pub path: String,
    /// The whole text; lossily decoded where the file was not UTF-8, and empty where it could not be read.
    pub text: String,
    /// The byte at which each line begins.
    lines: Vec<usize>,
}

/// A line and column, both counted from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl SourceFile {
    /// A file of this text.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let lines = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(index, _)| index + 1))
            .collect();
        Self {
            path: path.into(),
            text,
            lines,
        }
    }

    /// The line and column of a byte; a byte past the end, or inside a character, counts as the place just before it.
    pub fn position(&self, byte: usize) -> Position {
        let byte = self.text.floor_char_boundary(byte);
        let line = self.lines.partition_point(|start| *start <= byte).max(1);
        let start = self.lines[line - 1];
        // A byte-order mark takes no column that an editor shows.
        let before = self.text[start..byte].trim_start_matches('\u{feff}');
        Position {
            line,
            column: before.chars().count() + 1,
        }
    }

    /// The text of a span, cut to the file and to whole characters.
    pub fn slice(&self, span: &Span) -> &str {
        let start = self.text.floor_char_boundary(span.start);
        let end = self.text.floor_char_boundary(span.end).max(start);
        &self.text[start..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let file = SourceFile::new("a.yaml", "é: x\nbé: y\n");
        assert_eq!(file.position(0), Position { line: 1, column: 1 });
        assert_eq!(file.position(4), Position { line: 1, column: 4 });
        let y = file.text.find('y').expect("there is a y");
        assert_eq!(file.position(y), Position { line: 2, column: 5 });
    }

    #[test]
    fn places_outside_the_file_are_its_end() {
        let file = SourceFile::new("a.yaml", "a");
        assert_eq!(file.position(99), Position { line: 1, column: 2 });
        assert_eq!(file.slice(&(7..99)), "");
        assert_eq!(
            SourceFile::new("b", "").position(0),
            Position { line: 1, column: 1 }
        );
    }

    #[test]
    fn a_byte_order_mark_takes_no_column() {
        let file = SourceFile::new("a.yaml", "\u{feff}key: 1");
        assert_eq!(file.position(3), Position { line: 1, column: 1 });
    }
}
