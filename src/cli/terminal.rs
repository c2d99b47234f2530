//! Where output goes: data to standard output, talk to standard error.
//!
//! Names, keys and values come from people on both sides. What a terminal would obey in them is escaped here, for every
//! command alike.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anstream::AutoStream;

use super::{ColorChoice, Failure, Format, Global, LogFormat};
use crate::diagnostic::{Color, is_unprintable, printable};
use crate::report;

/// The two streams, with what the user said about them.
#[derive(Clone, Debug)]
pub struct Terminal {
    format: Format,
    log_format: LogFormat,
    color: anstream::ColorChoice,
    quiet: bool,
    verbose: u8,
    has_answered: Arc<AtomicBool>,
}

impl Terminal {
    /// The streams as the global options want them.
    pub fn new(global: &Global) -> Self {
        let color = match global.color {
            ColorChoice::Auto => anstream::ColorChoice::Auto,
            ColorChoice::Always => anstream::ColorChoice::Always,
            ColorChoice::Never => anstream::ColorChoice::Never,
        };
        Self {
            format: global.format,
            log_format: global.log_format,
            color,
            quiet: global.quiet,
            verbose: global.verbose,
            has_answered: Arc::default(),
        }
    }

    /// The streams of a command line that cannot be read but for its wish for JSON.
    pub(crate) fn for_json() -> Self {
        Self {
            format: Format::Json,
            log_format: LogFormat::Text,
            color: anstream::ColorChoice::Auto,
            quiet: false,
            verbose: 0,
            has_answered: Arc::default(),
        }
    }

    /// How results are printed.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether findings carry colours on standard output.
    pub fn stdout_color(&self) -> Color {
        match AutoStream::new(std::io::stdout(), self.color).current_choice() {
            anstream::ColorChoice::Never => Color::Plain,
            _ => Color::Ansi,
        }
    }

    /// Prints a line of data that is known to hold nothing that a terminal obeys, but for colours of our own. A reader that
    /// went away is no error.
    pub fn data(&self, line: impl Display) {
        let mut stream = AutoStream::new(std::io::stdout().lock(), self.color);
        let _ = writeln!(stream, "{line}");
    }

    /// Prints text that ends its own lines.
    pub fn text(&self, text: impl Display) {
        self.exact(printable(&text.to_string()));
    }

    /// Prints text to the letter: a file that is made, or a story with colours of its own.
    pub fn exact(&self, text: impl Display) {
        let mut stream = AutoStream::new(std::io::stdout().lock(), self.color);
        let _ = write!(stream, "{text}").and_then(|()| stream.flush());
    }

    /// Prints one JSON object: the command's answer.
    pub fn json(&self, value: &impl serde::Serialize) {
        self.has_answered.store(true, Ordering::Relaxed);
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        let _ = writeln!(std::io::stdout().lock(), "{}", printable_json(&text));
    }

    /// Prints one JSON object on one line.
    pub fn json_line(&self, value: &impl serde::Serialize) {
        let text = serde_json::to_string(value).unwrap_or_default();
        let _ = writeln!(std::io::stdout().lock(), "{}", printable_json(&text));
    }

    /// Prints what a command tells of each profile as one JSON object: the report itself where it is of one profile.
    pub fn json_of_each(&self, reports: &[impl serde::Serialize]) {
        match reports {
            [only] => self.json(only),
            several => self.json(&serde_json::json!({ "version": report::VERSION, "profiles": several })),
        }
    }

    /// Prints the JSON object of a command that failed, where it has printed none.
    pub fn json_of_failure(&self, command: &str, failure: &Failure) {
        if self.format == Format::Json && !self.has_answered.load(Ordering::Relaxed) {
            self.json(&failure.report(command));
        }
    }

    /// Says something that is not data, unless the user wants quiet.
    pub fn say(&self, line: impl Display) {
        if !self.quiet {
            self.talk("info", &line);
        }
    }

    /// Says how far something is; a program that reads the talk gets the numbers too.
    pub fn say_how_far(&self, line: impl Display, numbers: &serde_json::Value) {
        if self.quiet {
            return;
        }
        match self.log_format {
            LogFormat::Json => {
                let line = serde_json::json!({
                    "level": "info", "message": line.to_string(), "progress": numbers,
                });
                talk_json(&line);
            }
            LogFormat::Text => self.talk("info", &line),
        }
    }

    /// Says something to those who asked for more.
    pub fn detail(&self, line: impl Display) {
        if self.verbose > 0 {
            self.talk("debug", &line);
        }
    }

    /// Says why the command failed, and what can be done about it.
    pub fn failure(&self, failure: &Failure) {
        match self.log_format {
            LogFormat::Json => {
                let line = serde_json::json!({
                    "level": "error", "message": failure.message, "hints": failure.hints,
                });
                talk_json(&line);
            }
            LogFormat::Text => {
                let mut stream = AutoStream::new(std::io::stderr().lock(), self.color);
                let message = failure
                    .message
                    .strip_prefix("error: ")
                    .unwrap_or(&failure.message);
                let message = printable(message.trim_end());
                let _ = writeln!(stream, "\u{1b}[1;31merror\u{1b}[0m: {message}");
                for hint in &failure.hints {
                    let _ = writeln!(stream, "  \u{1b}[1;36mhelp\u{1b}[0m: {}", printable(hint));
                }
            }
        }
    }

    /// Whether a person looks at standard error.
    pub fn is_interactive(&self) -> bool {
        std::io::stderr().is_terminal() && !self.quiet && self.log_format == LogFormat::Text
    }

    /// Whether the user asked for more than results.
    pub fn is_verbose(&self) -> bool {
        self.verbose > 0
    }

    /// Asks a person for a yes; `None` where nobody can be asked.
    pub fn ask(&self, question: impl Display) -> Option<bool> {
        if !self.is_interactive() || !std::io::stdin().is_terminal() {
            return None;
        }
        let mut stream = AutoStream::new(std::io::stderr().lock(), self.color);
        let question = printable(&question.to_string());
        let _ = write!(stream, "{question} [y/N] ").and_then(|()| stream.flush());
        drop(stream);
        let mut answer = String::new();
        // A terminal that goes away says no.
        let _ = std::io::stdin().read_line(&mut answer);
        Some(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }

    fn talk(&self, level: &str, line: &impl Display) {
        match self.log_format {
            LogFormat::Json => {
                let line = serde_json::json!({ "level": level, "message": line.to_string() });
                talk_json(&line);
            }
            LogFormat::Text => {
                let mut stream = AutoStream::new(std::io::stderr().lock(), self.color);
                let _ = writeln!(stream, "{}", printable(&line.to_string()));
            }
        }
    }
}

/// Says one JSON object on a line of standard error.
fn talk_json(line: &serde_json::Value) {
    let _ = writeln!(std::io::stderr().lock(), "{}", printable_json(&line.to_string()));
}

/// JSON that says the same: outside its strings there is nothing to escape.
fn printable_json(text: &str) -> String {
    use std::fmt::Write as _;

    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unprintable(character) {
            let _ = write!(shown, "\\u{:04x}", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    shown
}
