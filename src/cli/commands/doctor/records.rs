//! What earlier runs left: when they last looked, the last one's end, writes without an answer, records that are not in
//! step.

use std::collections::BTreeMap;

use jiff::Timestamp;
use time::OffsetDateTime;

use super::Check;
use crate::diagnostic::inline;
use crate::mapping::Mapping;
use crate::ports::{Link, Store, StoreError};
use crate::postgres::ProfileDatabase;
use crate::project::Schedule;
use crate::report::{ErrorCode, Outcome, ProfileReport, iso};

/// Records with a trouble that are looked at for each entity.
const MOST: usize = 1000;

/// What is known of earlier runs; nothing before the first.
pub(super) async fn standing(
    database: &ProfileDatabase,
    mappings: &[Mapping],
    schedule: &Schedule,
    now: OffsetDateTime,
) -> Vec<Check> {
    // A state that cannot be read was told with its version and its rights.
    let mut checks = last_look(database, mappings, schedule, now)
        .await
        .unwrap_or_default();
    checks.extend(last_run(database).await.unwrap_or_default());
    checks.extend(unsettled(database, mappings).await.unwrap_or_default());
    checks.extend(records(database, mappings).await.unwrap_or_default());
    checks
}

/// Whether anybody looks at both sides as often as the profile asks for: what seems stuck may be what nobody runs.
async fn last_look(
    database: &ProfileDatabase,
    mappings: &[Mapping],
    schedule: &Schedule,
    now: OffsetDateTime,
) -> Result<Vec<Check>, StoreError> {
    let mut oldest: Option<OffsetDateTime> = None;
    for mapping in mappings {
        let marks = database.marks(&mapping.entity).await?;
        let (Some(rows), Some(pages)) = (marks.rows_captured_at, marks.pages_queried_at) else {
            continue;
        };
        oldest = oldest.into_iter().chain([rows, pages]).min();
    }
    let Some(at) = oldest else {
        return Ok(Vec::new());
    };
    let instant = |at: OffsetDateTime| Timestamp::from_second(at.unix_timestamp()).unwrap_or_default();
    let told = format!("both sides were looked at by {}", iso(at));
    Ok(vec![if schedule.is_overdue(instant(at), instant(now)) {
        let written = match schedule {
            Schedule::Every(every) => format!("every {} s", every.as_secs()),
            Schedule::Cron(line) => format!("`{line}`"),
        };
        Check::warn(
            "last look",
            format!("{told}, and not since, though it is due {written}"),
        )
        .help("is `frames-sync run` or its cron line at work? its log says why not; `frames-sync sync` looks now")
    } else {
        Check::ok("last look", told)
    }])
}

async fn last_run(database: &ProfileDatabase) -> Result<Vec<Check>, StoreError> {
    let Some(run) = database.runs(1).await?.into_iter().next() else {
        return Ok(Vec::new());
    };
    let at = iso(run.started_at);
    let report: Option<ProfileReport> = run.report.and_then(|report| serde_json::from_value(report).ok());
    let refusals = || {
        let entities = report.iter().flat_map(|report| &report.entities);
        entities.flat_map(|entity| &entity.refusals)
    };
    let check = match report.as_ref().map(|report| (report.outcome, &report.failure)) {
        Some((Outcome::Failed, Some(failure))) => Check::warn(
            "last run",
            format!(
                "`{}` at {at} failed: {} [{}]",
                run.command, failure.message, failure.code
            ),
        )
        .help(failure.code.next_step()),
        Some((Outcome::Refused, _)) => {
            let stopped: Vec<&str> = refusals().map(|refusal| refusal.message.as_str()).collect();
            let help = refusals().map(|refusal| refusal.code.next_step()).next();
            let message = format!("`{}` at {at} was stopped: {}", run.command, stopped.join("; "));
            Check::warn("last run", message).help(help.unwrap_or("look at `frames-sync plan`"))
        }
        _ => Check::ok("last run", format!("`{}` at {at}", run.command)),
    };
    Ok(vec![check])
}

/// Writes to Notion without an answer: their records wait until it is known whether they were applied.
async fn unsettled(database: &ProfileDatabase, mappings: &[Mapping]) -> Result<Vec<Check>, StoreError> {
    let mut waiting = Vec::new();
    for mapping in mappings {
        waiting.extend(database.links_with_intents(&mapping.entity).await?);
    }
    let Some(first) = waiting.first() else {
        return Ok(vec![Check::ok(
            "unsettled writes",
            "every write to Notion has its answer",
        )]);
    };
    let message = format!(
        "{} wait for the outcome of a write whose answer was lost, first {}",
        crate::cli::commands::records(waiting.len()),
        record(first),
    );
    Ok(vec![Check::warn("unsettled writes", message).help(
        "run `frames-sync sync`: it looks at each page, and settles what can be told by now; nothing is sent twice",
    )])
}

/// Records that are not in step, by entity and code.
async fn records(database: &ProfileDatabase, mappings: &[Mapping]) -> Result<Vec<Check>, StoreError> {
    let mut checks = Vec::new();
    for mapping in mappings {
        let entity = &mapping.entity;
        let mut by_code: BTreeMap<ErrorCode, (usize, Link)> = BTreeMap::new();
        for link in database.links_troubled(entity, MOST).await? {
            for trouble in &link.troubles {
                by_code.entry(trouble.code).or_insert_with(|| (0, link.clone())).0 += 1;
            }
        }
        for (code, (count, link)) in by_code {
            let first = link.troubles.iter().find(|trouble| trouble.code == code);
            let message = format!(
                "{} [{code}], first {}: {}",
                crate::cli::commands::records(count),
                record(&link),
                first.map(|trouble| trouble.message.as_str()).unwrap_or_default(),
            );
            let help = format!(
                "{}; `frames-sync explain {entity} {}` shows it field by field",
                code.next_step(),
                inline(&link.key.to_string())
            );
            checks.push(Check::warn(format!("records of {entity}"), message).help(help));
        }
    }
    Ok(checks)
}

fn record(link: &Link) -> String {
    format!("{} {}", link.entity, inline(&link.key.to_string()))
}
