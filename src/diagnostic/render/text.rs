//! Findings as rustc shows them.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::super::{Diagnostic, Label, Severity};
use super::{is_unprintable, printable};

/// Whether text carries terminal colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// With ANSI colours.
    Ansi,
    /// Plain.
    Plain,
}

/// Lines longer than this are not shown: a minified or hostile file would fill the terminal.
const LONGEST_LINE: usize = 500;

/// Renders one finding with its code, place, code frame and help; no trailing newline.
///
/// Control characters of the user's files reach the terminal escaped.
pub fn text(diagnostic: &Diagnostic, color: Color) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(
        level
            .primary_title(printable(&diagnostic.message))
            .id(diagnostic.code.name()),
    );
    let labels = || std::iter::once(&diagnostic.primary).chain(&diagnostic.secondary);
    let mut shown: Vec<&str> = Vec::new();
    for label in labels() {
        if shown.contains(&label.file.path.as_str()) {
            continue;
        }
        shown.push(&label.file.path);
        let here: Vec<&Label> = labels()
            .filter(|other| other.file.path == label.file.path)
            .collect();
        if here.iter().any(|label| !can_be_framed(label)) {
            let position = label.file.position(label.span.start);
            group = group.element(
                Origin::path(label.file.path.as_str())
                    .line(position.line)
                    .char_column(position.column),
            );
            continue;
        }
        let mut snippet = Snippet::source(label.file.text.as_str()).path(label.file.path.as_str());
        for mark in here {
            let kind = if std::ptr::eq(mark, &diagnostic.primary) {
                AnnotationKind::Primary
            } else {
                AnnotationKind::Context
            };
            let start = mark.file.text.floor_char_boundary(mark.span.start);
            let end = mark.file.text.floor_char_boundary(mark.span.end).max(start);
            let annotation = kind.span(start..end);
            snippet = snippet.annotation(if mark.text.is_empty() {
                annotation
            } else {
                annotation.label(printable(&mark.text))
            });
        }
        group = group.element(snippet);
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(printable(help)));
    }
    let renderer = match color {
        Color::Ansi => Renderer::styled(),
        Color::Plain => Renderer::plain(),
    };
    renderer.render(&[group])
}

/// Whether the lines around a label can be shown as they are.
fn can_be_framed(label: &Label) -> bool {
    let text = &label.file.text;
    if text.is_empty() {
        return false;
    }
    let start = text.floor_char_boundary(label.span.start);
    let end = text.floor_char_boundary(label.span.end).max(start);
    let from = text[..start].rfind('\n').map_or(0, |index| index + 1);
    let to = text[end..].find('\n').map_or(text.len(), |index| end + index);
    text[from..to].lines().all(|line| line.len() <= LONGEST_LINE)
        && !text[from..to].chars().any(is_unprintable)
}
