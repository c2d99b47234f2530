//! What the story says, and whether it was so.

use std::fmt::{Debug, Write as _};
use std::time::Duration;

use serde::Serialize;

use crate::cli::{Format, Terminal};

/// One thing that was said and looked up.
#[derive(Clone, Debug, Serialize)]
struct Claim {
    chapter: String,
    claim: String,
    ok: bool,
}

/// The whole of what `demo --format json` prints.
#[derive(Debug, Serialize)]
struct Summary<'a> {
    version: u32,
    claims: &'a [Claim],
    ok: bool,
}

/// Tells the story, and keeps count of its claims.
///
/// Told on standard output for people; nothing is told where JSON is wanted, until the end.
#[derive(Debug)]
pub(crate) struct Narrator<'a> {
    terminal: &'a Terminal,
    chapter: String,
    claims: Vec<Claim>,
    chapters: u32,
}

impl<'a> Narrator<'a> {
    /// A story of which nothing is told yet.
    pub(crate) fn new(terminal: &'a Terminal) -> Self {
        Self {
            terminal,
            chapter: String::new(),
            claims: Vec::new(),
            chapters: 0,
        }
    }

    fn tell(&self, text: &str) {
        if self.terminal.format() != Format::Json {
            self.terminal.exact(text);
        }
    }

    /// Begins a chapter.
    pub(crate) fn chapter(&mut self, title: &str) {
        self.chapters += 1;
        title.clone_into(&mut self.chapter);
        self.tell(&format!("\n\u{1b}[1m{}. {title}\u{1b}[0m\n", self.chapters));
    }

    /// Says something that is not looked up.
    pub(crate) fn line(&self, text: &str) {
        self.tell(&format!("{text}\n"));
    }

    /// Shows what somebody does on a side.
    pub(crate) fn act(&self, side: &str, what: &str) {
        self.tell(&format!("   \u{1b}[36m{side:<9}\u{1b}[0m{what}\n"));
    }

    /// Shows a command as it would be typed.
    pub(crate) fn command(&self, arguments: &str) {
        self.tell(&format!("   \u{1b}[1m$ frames-sync {arguments}\u{1b}[0m\n"));
    }

    /// Shows what a command answered.
    pub(crate) fn answer(&self, text: &str) {
        let dimmed = text.lines().fold(String::new(), |mut out, line| {
            let _ = writeln!(out, "     \u{1b}[2m{line}\u{1b}[0m");
            out
        });
        self.tell(&dimmed);
    }

    /// Makes a claim: what was looked up has to be what was expected.
    pub(crate) fn claim<T: PartialEq + Debug>(&mut self, claim: impl Into<String>, expected: T, found: T) {
        let claim = claim.into();
        let ok = expected == found;
        if ok {
            self.tell(&format!("   \u{1b}[32m✓\u{1b}[0m {claim}\n"));
        } else {
            self.tell(&format!(
                "   \u{1b}[1;31m✗\u{1b}[0m {claim}\n       expected: {expected:?}\n       found:    {found:?}\n"
            ));
        }
        self.claims.push(Claim {
            chapter: self.chapter.clone(),
            claim,
            ok,
        });
    }

    /// Ends the story, and answers whether it was told to its end and every claim held.
    pub(crate) fn end(&self, is_whole: bool, took: Duration) -> bool {
        let failed = self.claims.iter().filter(|claim| !claim.ok).count();
        let ok = is_whole && failed == 0;
        if self.terminal.format() == Format::Json {
            self.terminal.json(&Summary {
                version: 1,
                claims: &self.claims,
                ok,
            });
        }
        let (all, seconds) = (self.claims.len(), took.as_secs_f64());
        self.tell(&if ok {
            format!("\n\u{1b}[1;32mAll {all} claims were checked on both sides, and hold.\u{1b}[0m {seconds:.1} s.\n")
        } else if failed == 0 {
            format!("\n\u{1b}[1;31mThe story broke off after {all} claims.\u{1b}[0m {seconds:.1} s.\n")
        } else {
            format!("\n\u{1b}[1;31m{failed} of {all} claims do not hold.\u{1b}[0m {seconds:.1} s.\n")
        });
        ok
    }
}
