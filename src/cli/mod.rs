//! The command line: arguments in, an exit code out.
//!
//! The library below never prints; everything a person or a program reads goes through [`Terminal`]. Standard output
//! is data, standard error is talk.

mod ambient;
pub mod commands;
pub(crate) mod context;
pub(crate) mod error;
pub mod kept;
mod live;
mod logging;
mod memory;
mod progress;
mod remembered;
mod session;
mod terminal;
mod view;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

pub use error::{Exit, Failure};
pub use terminal::Terminal;

use crate::report;

/// Keeps PostgreSQL tables and Notion databases in step, in both directions, from YAML mappings.
#[derive(Debug, Parser)]
#[command(name = "frames-sync", version, propagate_version = true, max_term_width = 100)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The project file; by default `frames-sync.yaml` in this folder or the nearest parent.
    #[arg(long, global = true, value_name = "FILE", env = "FRAMES_SYNC_PROJECT")]
    pub project: Option<PathBuf>,
    /// A profile to work on; may be repeated. By default the project's `default_profile`.
    #[arg(short, long = "profile", global = true, value_name = "NAME")]
    pub profiles: Vec<String>,
    /// Work on every profile.
    #[arg(long, global = true, conflicts_with = "profiles")]
    pub all_profiles: bool,
    /// How results are printed on standard output.
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
    /// How talk is printed on standard error.
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// Say more: -v decisions, -vv every request.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Say only what went wrong.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Whether to use colours.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object.
    Json,
    /// GitHub workflow commands; `validate` only.
    Github,
    /// SARIF 2.1.0; `validate` only.
    Sarif,
}

/// How talk is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// A JSON object a line.
    Json,
}

/// Whether to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// Where a terminal shows them, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// See it work on sample data, with nothing installed and no account.
    Demo(commands::demo::Demo),
    /// Write a project file, an example mapping, `.env.example` and the schemas.
    Init(commands::init::Init),
    /// Write a mapping from a live table.
    Generate(commands::generate::Generate),
    /// Check the project and its mappings, and say everything that is wrong at once.
    Validate(commands::validate::Validate),
    /// Check both sides from the project file to each database, and say how to mend what is wrong.
    Doctor(commands::doctor::Doctor),
    /// Say what `setup` and `sync` would do, with the reason for each change; write nothing.
    Plan(commands::plan::Plan),
    /// Say of each field what both sides held and hold, who changed what when, and what a sync would do, and why.
    Explain(commands::explain::Explain),
    /// Create or adopt the databases in Notion, and push for the first time.
    Setup(commands::run_once::Setup),
    /// Bring both sides in step.
    Sync(commands::run_once::Sync),
    /// Bring Notion in step with Postgres.
    Push(commands::run_once::OneWay),
    /// Bring Postgres in step with Notion.
    Pull(commands::run_once::OneWay),
    /// Keep both sides in step: on schedule, and as rows and pages change.
    Run(commands::run::Run),
    /// Keep profiles in sync, and serve webhooks, an API, metrics and a dashboard.
    Serve(commands::serve::Serve),
    /// Let Notion's webhooks in.
    Webhook(commands::webhook::Webhook),
    /// Say how each entity stands: linked, pending, conflicts, errors, last run, lag.
    Status(commands::status::Status),
    /// List, show and settle what waits for a person.
    Conflicts(commands::conflicts::Conflicts),
    /// Show the audit log: what was written where, when and why.
    History(commands::history::History),
    /// Put back what an entry of the audit log, or a whole run, overwrote or deleted.
    Undo(commands::undo::Undo),
    /// Let a plan that a guard stopped run once.
    Approve(commands::approve::Approve),
    /// Print a JSON Schema.
    Schema(commands::schema::Schema),
    /// Serve a simulated Notion on this machine, for tests.
    SimulateNotion(commands::simulate_notion::SimulateNotion),
    /// Print a script that completes commands in a shell.
    Completions(commands::completions::Completions),
}

impl Command {
    /// Whether the command prints in a format.
    fn knows(&self, format: Format) -> bool {
        match format {
            Format::Text | Format::Json => true,
            Format::Github | Format::Sarif => matches!(self, Command::Validate(_)),
        }
    }
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let matches = match Cli::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return not_understood(&error),
    };
    let name = matches.subcommand_name().unwrap_or_default().to_owned();
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => return not_understood(&error),
    };
    let terminal = Terminal::new(&cli.global);
    match run(cli, &terminal) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            terminal.failure(&failure);
            terminal.json_of_failure(&name, &failure);
            failure.exit.into()
        }
    }
}

/// Ends a process whose arguments are no command, or only ask for help.
fn not_understood(error: &clap::Error) -> ExitCode {
    // Where not even this can be printed there is nobody left to tell.
    let _ = error.print();
    if error.exit_code() == 0 {
        return Exit::Done.into();
    }
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let wants_json = arguments.iter().any(|argument| argument == "--format=json")
        || arguments
            .windows(2)
            .any(|two| matches!(two, [option, value] if option == "--format" && value == "json"));
    if wants_json {
        let known = Cli::command();
        let name = arguments
            .iter()
            .find(|argument| known.find_subcommand(argument).is_some())
            .map_or("", String::as_str);
        let message = error.to_string();
        let message = message.lines().next().unwrap_or_default();
        let failure = Failure::usage(message.trim_start_matches("error: "));
        Terminal::for_json().json_of_failure(name, &failure);
    }
    Exit::Usage.into()
}

fn run(cli: Cli, terminal: &Terminal) -> Result<Exit, Failure> {
    if !cli.command.knows(cli.global.format) {
        let mut command = Cli::command();
        let error = command.error(
            clap::error::ErrorKind::InvalidValue,
            "only `validate` prints the formats `github` and `sarif`",
        );
        return Err(Failure::usage(error.render().to_string()));
    }
    match cli.command {
        Command::Demo(command) => command.run(terminal),
        Command::Init(command) => command.run(terminal),
        Command::Generate(command) => command.run(&cli.global, terminal),
        Command::Validate(command) => command.run(&cli.global, terminal),
        Command::Doctor(command) => command.run(&cli.global, terminal),
        Command::Plan(command) => command.run(&cli.global, terminal),
        Command::Explain(command) => command.run(&cli.global, terminal),
        Command::History(command) => command.run(&cli.global, terminal),
        Command::Undo(command) => command.run(&cli.global, terminal),
        Command::Setup(command) => command.run(&cli.global, terminal),
        Command::Sync(command) => command.run(&cli.global, terminal),
        Command::Push(command) => command.run(report::Command::Push, &cli.global, terminal),
        Command::Pull(command) => command.run(report::Command::Pull, &cli.global, terminal),
        Command::Run(command) => command.run(&cli.global, terminal),
        Command::Serve(command) => command.run(&cli.global, terminal),
        Command::Webhook(command) => command.run(&cli.global, terminal),
        Command::Status(command) => command.run(&cli.global, terminal),
        Command::Conflicts(command) => command.run(&cli.global, terminal),
        Command::Approve(command) => command.run(&cli.global, terminal),
        Command::Schema(command) => command.run(terminal),
        Command::SimulateNotion(command) => command.run(terminal),
        Command::Completions(command) => command.run(terminal),
    }
}
