//! The workspace's half: the token, what it may do, the parent page, and each entity's database.

use time::OffsetDateTime;

use super::Check;
use super::database::skew;
use crate::cli::ambient::DatabaseClock;
use crate::cli::error::with_causes;
use crate::cli::live::{ParentProblem, Workspace, look};
use crate::cli::remembered::Remembered;
use crate::cli::session::client;
use crate::mapping::Mapping;
use crate::notion::setup::{FoundBy, SetupError, Surveyed};
use crate::notion::wire::User;
use crate::notion::{Client, NotionError};
use crate::plan::schema_change::SchemaChange;
use crate::ports::Clock;
use crate::project::Profile;

pub(super) async fn examine(
    profile: &Profile,
    mappings: &[Mapping],
    remembered: &Remembered,
    database: Option<&DatabaseClock>,
) -> Vec<Check> {
    if profile.notion.token.is_none() {
        return vec![
            Check::fail("notion token", "no `notion.token` is set")
                .help("copy it from the connection's page in Notion, and set the variable in `.env`"),
        ];
    }
    let client = match client(profile) {
        Ok(client) => client,
        Err(failure) => {
            return vec![Check::fail("notion token", failure.message).help(failure.hints.join("\n"))];
        }
    };
    let looked = look(&client, profile, mappings, &remembered.known).await;
    let mut checks = match looked {
        Ok(workspace) => answered(&workspace, mappings, remembered),
        Err(error) => vec![refused("notion token", &error)],
    };
    checks.extend(clock(&client, database));
    checks.extend(rate(&client, profile));
    checks
}

fn answered(workspace: &Workspace, mappings: &[Mapping], remembered: &Remembered) -> Vec<Check> {
    let mut checks = vec![token(&workspace.me, remembered)];
    checks.push(capabilities(workspace));
    checks.push(parent(workspace));
    for mapping in mappings {
        let name = format!("database of {}", mapping.entity);
        let looked = workspace
            .entities
            .iter()
            .find(|(entity, _)| *entity == mapping.entity);
        checks.push(match looked {
            Some((_, Ok(surveyed))) => database(name, surveyed),
            Some((_, Err(error))) => unusable(name, error),
            None => Check::warn(name, "was not looked for: it is found through the parent page"),
        });
    }
    checks
}

fn token(me: &User, remembered: &Remembered) -> Check {
    let bot = me.name.as_deref().unwrap_or("a connection without a name");
    let workspace = me.bot.as_ref().and_then(|bot| bot.workspace_name.as_deref());
    let message = match workspace {
        Some(workspace) => format!("valid: `{bot}` in workspace `{workspace}`"),
        None => format!("valid: `{bot}`"),
    };
    if remembered.is_other_workspace(me) {
        return Check::fail(
            "notion token",
            format!("{message}, which is not the one the profile was set up with"),
        )
        .help("check that the profile has its own token, and not another profile's");
    }
    Check::ok("notion token", message)
}

/// Reading shows by itself; whether a connection may write shows only when it does, and `doctor` writes nothing.
fn capabilities(workspace: &Workspace) -> Check {
    const NAME: &str = "capabilities";
    let refusal = |error: &NotionError| error.status() == Some(403);
    if let Some(Err(ParentProblem::Refused(error))) = &workspace.parent
        && refusal(error)
    {
        return refused(NAME, error);
    }
    match &workspace.users {
        Some(Err(error)) => refused(NAME, error),
        Some(Ok(())) => Check::ok(
            NAME,
            "reads content and users; `setup` shows whether it may insert and update",
        ),
        None => Check::ok(
            NAME,
            "reads content; `setup` shows whether it may insert and update",
        ),
    }
}

fn parent(workspace: &Workspace) -> Check {
    const NAME: &str = "parent page";
    match &workspace.parent {
        None => Check::fail(NAME, "no `notion.parent_page` is set")
            .help("copy the page's link in Notion: ••• → Copy link, and set the variable in `.env`"),
        Some(Ok(_)) => Check::ok(NAME, "is shared with the connection"),
        Some(Err(ParentProblem::NoId(error))) => {
            Check::fail(NAME, error.to_string()).help("copy the page's link in Notion: ••• → Copy link")
        }
        Some(Err(ParentProblem::Database)) => {
            Check::fail(NAME, "is a database").help("give the page that contains it, or an empty page")
        }
        Some(Err(ParentProblem::InTrash)) => {
            Check::fail(NAME, "is in Notion's trash").help("restore it there, or name another page")
        }
        Some(Err(ParentProblem::Refused(error))) if error.is_not_found() => {
            Check::fail(NAME, "does not exist, or is not shared with the connection")
                .help("open the page in Notion, choose ••• → Connections, and add the connection")
        }
        Some(Err(ParentProblem::Refused(error))) => refused(NAME, error),
    }
}

fn database(name: String, surveyed: &Surveyed) -> Check {
    let Some(existing) = &surveyed.existing else {
        return Check::ok(name, "does not exist yet; `setup` makes it");
    };
    let by = match existing.found_by {
        FoundBy::Memory => "set up",
        FoundBy::Mapping => "found by `notion.data_source_id`",
        FoundBy::Title => "found by its title under the parent page",
    };
    if !surveyed.plan.conflicts.is_empty() {
        let conflicts: Vec<String> = surveyed.plan.conflicts.iter().map(ToString::to_string).collect();
        return Check::fail(name, format!("{by}; {}", conflicts.join("; ")))
            .help("a person's property is never retyped: rename it in Notion, or change the mapping");
    }
    let lacks: Vec<String> = surveyed
        .plan
        .changes
        .iter()
        .map(SchemaChange::to_string)
        .collect();
    if !lacks.is_empty() {
        return Check::warn(name, format!("{by}; to do: {}", lacks.join(", ")))
            .help("run `frames-sync setup`");
    }
    if !surveyed.plan.differences.is_empty() {
        return Check::warn(
            name,
            format!("{by}; left alone: {}", surveyed.plan.differences.join("; ")),
        )
        .help("change it in Notion, or in the mapping");
    }
    Check::ok(name, by)
}

fn unusable(name: String, error: &SetupError) -> Check {
    let check = Check::fail(name, error.to_string());
    let check = match error.notion() {
        Some(error) if !error.is_not_found() && error.status() != Some(403) => check.of_the_world(),
        _ => check,
    };
    match error.help() {
        Some(help) => check.help(help),
        None => check
            .help("restore or rename it in Notion, or name the one that is meant as `notion.data_source_id`"),
    }
}

fn refused(name: &str, error: &NotionError) -> Check {
    let check = Check::fail(name, with_causes(error));
    let check = if error.status() == Some(403) {
        check
    } else {
        check.of_the_world()
    };
    check.help(
        error
            .help()
            .unwrap_or("try again later; https://www.notion-status.com says how Notion is"),
    )
}

fn clock(client: &Client, database: Option<&DatabaseClock>) -> Option<Check> {
    let notion = client.usage().answered_at?;
    // The header has whole seconds, and was written a moment ago; both are far below what matters.
    let now = database.map_or_else(OffsetDateTime::now_utc, Clock::now);
    Some(skew("notion clock", "Notion", notion, now))
}

fn rate(client: &Client, profile: &Profile) -> Option<Check> {
    let throttled = client.usage().throttled;
    (throttled > 0).then(|| {
        let message = format!("Notion asked us {throttled} times to slow down during these few requests");
        Check::warn("rate", message).help(format!(
            "another program may use the same token; `requests_per_minute` is {}",
            profile.notion.requests_per_minute
        ))
    })
}
