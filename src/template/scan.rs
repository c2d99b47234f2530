//! Reads the tags of a template as tokens: enough to see which names, filters and statements it uses.
//!
//! Minijinja reports an unknown filter only when it runs, and its syntax tree is not public; `validate` wants
//! both before anything runs.

use std::ops::Range;

/// What stands between `{{` and `}}`, or `{%` and `%}`.
pub(super) struct Tag {
    /// Whether it is a statement (`{% … %}`).
    pub(super) statement: bool,
    /// Its tokens, in order.
    pub(super) tokens: Vec<Token>,
}

/// One token of a tag.
pub(super) struct Token {
    /// What it is.
    pub(super) kind: TokenKind,
    /// Where it stands in the template, in bytes.
    pub(super) range: Range<usize>,
}

/// The kinds of token that matter here.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A name or keyword.
    Name(String),
    /// A string literal without escapes; `None` with them.
    Literal(Option<String>),
    /// Any other single character but white space.
    Symbol(char),
}

impl Token {
    /// The name, if this is one.
    pub(super) fn name(&self) -> Option<&str> {
        match &self.kind {
            TokenKind::Name(name) => Some(name),
            _ => None,
        }
    }

    /// Whether this is that symbol.
    pub(super) fn is(&self, symbol: char) -> bool {
        self.kind == TokenKind::Symbol(symbol)
    }
}

/// The tags of a template, in order; comments and raw blocks are passed over.
pub(super) fn tags(text: &str) -> Vec<Tag> {
    let mut tags: Vec<Tag> = Vec::new();
    let mut at = 0;
    while let Some(open) = text[at..].find('{').map(|found| at + found) {
        let rest = &text[open..];
        if rest.starts_with("{#") {
            at = text[open..].find("#}").map_or(text.len(), |end| open + end + 2);
        } else if rest.starts_with("{{") || rest.starts_with("{%") {
            let statement = rest.starts_with("{%");
            let (tokens, end) = tokens(text, open + 2, if statement { "%}" } else { "}}" });
            at = end;
            if statement && tokens.iter().find_map(Token::name) == Some("raw") {
                at = end_of_raw(text, end);
            } else {
                tags.push(Tag { statement, tokens });
            }
        } else {
            at = open + 1;
        }
    }
    tags
}

fn end_of_raw(text: &str, from: usize) -> usize {
    let mut at = from;
    while let Some(open) = text[at..].find("{%").map(|found| at + found) {
        let inside = text[open + 2..].trim_start_matches(['-', '+']).trim_start();
        if inside.starts_with("endraw") {
            return text[open..].find("%}").map_or(text.len(), |end| open + end + 2);
        }
        at = open + 2;
    }
    text.len()
}

fn tokens(text: &str, from: usize, close: &str) -> (Vec<Token>, usize) {
    let mut tokens = Vec::new();
    let mut depth = 0_usize;
    let mut at = from;
    while at < text.len() {
        if depth == 0 && text[at..].starts_with(close) {
            return (tokens, at + close.len());
        }
        let Some(character) = text[at..].chars().next() else {
            break;
        };
        let start = at;
        at += character.len_utf8();
        let kind = match character {
            _ if character.is_whitespace() => continue,
            '\'' | '"' => {
                let (literal, end) = literal(text, at, character);
                at = end;
                TokenKind::Literal(literal)
            }
            _ if character.is_alphanumeric() || character == '_' => {
                let length = text[start..]
                    .find(|c: char| !c.is_alphanumeric() && c != '_')
                    .unwrap_or(text.len() - start);
                at = start + length;
                TokenKind::Name(text[start..at].to_owned())
            }
            _ => {
                match character {
                    '(' | '[' | '{' => depth += 1,
                    ')' | ']' | '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                TokenKind::Symbol(character)
            }
        };
        tokens.push(Token {
            kind,
            range: start..at,
        });
    }
    (tokens, text.len())
}

fn literal(text: &str, from: usize, quote: char) -> (Option<String>, usize) {
    let mut escaped = false;
    let mut any_escape = false;
    for (offset, character) in text[from..].char_indices() {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
            any_escape = true;
        } else if character == quote {
            let end = from + offset;
            let literal = (!any_escape).then(|| text[from..end].to_owned());
            return (literal, end + quote.len_utf8());
        }
    }
    (None, text.len())
}
