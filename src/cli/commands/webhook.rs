//! `webhook`: lets Notion's webhooks in.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::cli::context::{self, Selection};
use crate::cli::remembered::{self, Memory};
use crate::cli::{Exit, Failure, Format, Global, Terminal};

/// How long a handshake is let in.
///
/// Source: sync semantics, section 11, S11.
const WINDOW: Duration = Duration::from_secs(600);

/// How often it is looked whether a handshake has come.
const PAUSE: Duration = Duration::from_millis(500);

/// Let Notion's webhooks in.
#[derive(Debug, Args)]
pub struct Webhook {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with a profile's webhooks.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Action {
    /// Let Notion's handshake in for ten minutes, and print the token that it brings, to be pasted back in Notion.
    ///
    /// Run it while `serve` runs where Notion can reach it, and then create the subscription in the settings of the
    /// connection, with the address https://HOST/webhooks/notion/PROFILE.
    Enroll {
        /// Take the handshake in place of the token that is stored.
        #[arg(long)]
        replace: bool,
    },
    /// Forget the subscription: its deliveries are refused from then on.
    Forget,
}

impl Webhook {
    /// Carries out the action on one profile.
    pub fn run(self, global: &Global, terminal: &Terminal) -> Result<Exit, Failure> {
        let project = context::open_project(global)?;
        let names = context::select(&project, global, Selection::Default)?;
        let [name] = names.as_slice() else {
            return Err(Failure::usage("a subscription is one profile's")
                .hint("name the profile with `--profile NAME`"));
        };
        context::block_on(async {
            let memory = Memory::open(&project, name).await?;
            let ended = match self.action {
                Action::Enroll { replace } => enroll(&memory, replace, terminal).await,
                Action::Forget => forget(&memory, terminal).await,
            };
            memory.store.pool().close().await;
            ended
        })?
    }
}

async fn enroll(memory: &Memory, may_replace: bool, terminal: &Terminal) -> Result<Exit, Failure> {
    let failed = |error: crate::ports::StoreError| remembered::store(&error);
    let name = &memory.profile.name;
    let before = memory.store.enrolment().await.map_err(failed)?;
    if !memory.store.open_enrolment(may_replace).await.map_err(failed)? {
        return Err(
            Failure::needs_user(format!("profile `{name}` has a webhook subscription already"))
                .hint("`--replace` takes another in its place, `frames-sync webhook forget` ends it"),
        );
    }
    terminal.say(format_args!(
        "{name}: a handshake may come within ten minutes. In Notion, open the connection's settings, Webhooks, and create a \
         subscription with the address https://HOST/webhooks/notion/{name}"
    ));
    let old = before
        .token
        .as_ref()
        .map(|token| token.expose_secret().to_owned());
    let began = Instant::now();
    while began.elapsed() < WINDOW {
        let now = memory.store.enrolment().await.map_err(failed)?;
        let token = now
            .token
            .filter(|token| old.as_deref() != Some(token.expose_secret()));
        if let Some(token) = token {
            // The one place where it is shown: to the person who asked for it, and who must paste it.
            let token = token.expose_secret();
            match terminal.format() {
                Format::Json => terminal.json(&json!({
                    "version": 1, "profile": name, "verification_token": token,
                })),
                _ => terminal.text(format_args!("{token}\n")),
            }
            terminal.say(format_args!(
                "{name}: enrolled; paste this token in Notion to verify the subscription"
            ));
            return Ok(Exit::Done);
        }
        if !now.is_open {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(
        Failure::needs_user(format!("no handshake came for profile `{name}` in ten minutes"))
            .hint("Notion must reach `serve` under a public HTTPS address; without one, `every` in the project is enough"),
    )
}

async fn forget(memory: &Memory, terminal: &Terminal) -> Result<Exit, Failure> {
    let forgotten = memory.store.forget_enrolment().await;
    let is_forgotten = forgotten.map_err(|error| remembered::store(&error))?;
    let name = &memory.profile.name;
    match terminal.format() {
        Format::Json => terminal.json(&json!({ "version": 1, "profile": name, "forgotten": is_forgotten })),
        _ if is_forgotten => terminal.text(format_args!(
            "{name}: forgotten; delete the subscription in Notion too\n"
        )),
        _ => terminal.text(format_args!("{name}: there was no webhook subscription\n")),
    }
    Ok(Exit::Done)
}
