//! What pages show of reports: pure, with the time handed in.

use serde_json::{Value as Json, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::plan::{OperationKind, ShortPlan};
use crate::ports::RunRecord;
use crate::report::{
    ConflictReport, EntityStatus, ErrorCode, HistoryEntry, Outcome, ProfileReport, Refusal, StatusReport,
    Troubled,
};
use crate::runner::ProfileState;
use crate::server::{MemoryError, has_failed};

/// Characters of one value that a page shows.
const LONGEST_VALUE: usize = 2000;

/// A profile at a glance.
pub(super) fn card(
    name: &str,
    status: Result<StatusReport, MemoryError>,
    state: Option<&ProfileState>,
    last_run: Option<&RunRecord>,
    now: OffsetDateTime,
) -> Json {
    let here = state.map(|state| {
        json!({
            "holds_lease": state.holds_lease,
            "last": state.last_run_at.map(|at| ago(at, now)),
            "next": state.next_run_at.map(|at| until(at, now)),
            "runs": state.runs,
        })
    });
    // What this instance met itself may never have reached the database.
    let own = state.and_then(|state| Some((state.last_report.clone()?, state.last_run_at)));
    let stored = last_run.and_then(report_of);
    let report = match (own, last_run) {
        (Some((report, Some(at))), Some(run)) if run.started_at > at => stored.or(Some(report)),
        (Some((report, _)), _) => Some(report),
        (None, _) => stored,
    };
    let mut stops = report.as_ref().map(stops).unwrap_or_default();
    // A look at a single record since then says nothing of what was stopped.
    let stopped = state.and_then(|state| state.stopped.as_ref());
    if let Some(stopped) = stopped.filter(|_| !stops.iter().any(|stop| stop["approve"].is_string())) {
        stops.extend(stopped.refusals.iter().map(refusal));
    }
    let (entities, problem) = match &status {
        Ok(status) => (
            status
                .entities
                .iter()
                .map(|entity| self::entity(entity, now))
                .collect(),
            None,
        ),
        Err(MemoryError::NotSetUp) => (
            Vec::new(),
            Some("This profile was never set up. Run `frames-sync setup`."),
        ),
        Err(MemoryError::Failed(_)) => (
            Vec::new(),
            Some("Its sync state cannot be read; the server's log says why."),
        ),
    };
    let entity_statuses = status
        .as_ref()
        .map(|status| status.entities.as_slice())
        .unwrap_or_default();
    let sum = |of: fn(&EntityStatus) -> u64| entity_statuses.iter().map(of).sum::<u64>();
    let lag = entity_statuses
        .iter()
        .filter_map(|entity| entity.lag_seconds)
        .reduce(f64::max);
    let (conflicts, errors) = (sum(|entity| entity.conflicts), sum(|entity| entity.errors));
    let (mood, word) = match () {
        () if matches!(status, Err(MemoryError::Failed(_))) => ("bad", "unreachable"),
        () if status.is_err() => ("plain", "not set up"),
        () if stops.iter().any(|stop| stop["is_failure"] == true) => ("bad", "failing"),
        () if !stops.is_empty() => ("warn", "stopped by a guard"),
        () if conflicts + errors > 0 => ("warn", "needs you"),
        () => ("good", "in step"),
    };
    json!({
        "name": name, "mood": mood, "word": word, "problem": problem, "here": here,
        "is_stopped": !stops.is_empty(), "stops": stops, "entities": entities,
        "totals": {
            "linked": sum(|entity| entity.linked), "pending": sum(|entity| entity.pending),
            "held": sum(|entity| entity.held), "conflicts": conflicts, "errors": errors,
            "lag": lag.map(span),
        },
    })
}

fn entity(entity: &EntityStatus, now: OffsetDateTime) -> Json {
    json!({
        "entity": entity.entity, "linked": entity.linked, "pending": entity.pending, "held": entity.held,
        "conflicts": entity.conflicts, "errors": entity.errors,
        "lag": entity.lag_seconds.map(span), "last_run": entity.last_run.as_deref().map(|at| moment(at, now)),
        "is_set_up": entity.data_source_id.is_some(),
        "address": entity.data_source_id.as_deref().and_then(address),
    })
}

/// What stopped a run, as a whole or for an entity, with what to do.
fn stops(report: &ProfileReport) -> Vec<Json> {
    let failure = report
        .failure
        .iter()
        .filter(|failure| failure.code != ErrorCode::ProfileBusy);
    let failure = failure.map(|failure| {
        json!({
            "is_failure": has_failed(report), "entity": null, "code": failure.code.code(),
            "message": failure.message, "next": failure.code.explanation(), "approve": null,
        })
    });
    let refusals = report.entities.iter().flat_map(|entity| &entity.refusals);
    failure.chain(refusals.map(refusal)).collect()
}

/// What a guard said no to.
pub(super) fn refusal(refusal: &Refusal) -> Json {
    json!({
        "is_failure": false, "entity": refusal.entity, "code": refusal.code.code(), "message": refusal.message,
        "next": refusal.code.explanation(), "approve": refusal.approve,
    })
}

/// A plan for whoever may let it run.
pub(super) fn plan(plan: &ShortPlan) -> Json {
    let counts: Vec<Json> = plan
        .counts
        .iter()
        .map(|((entity, kind), count)| {
            json!({ "entity": entity, "what": in_words(*kind), "count": count, "is_loss": kind.deletes().is_some() })
        })
        .collect();
    let first: Vec<Json> = plan
        .first
        .iter()
        .map(|operation| {
            let fields: Vec<Json> = operation
                .fields
                .iter()
                .map(|field| json!({ "property": field.property, "from": value(&field.from), "to": value(&field.to) }))
                .collect();
            let kind = OperationKind::ALL.into_iter().find(|kind| kind.name() == operation.kind);
            json!({
                "entity": operation.entity, "key": operation.key, "what": kind.map_or("", in_words),
                "reason": operation.reason, "fields": fields,
            })
        })
        .collect();
    let all: u64 = plan.counts.values().sum();
    json!({ "hash": plan.hash, "counts": counts, "first": first, "more": all - first.len() as u64 })
}

/// What an operation does, as a person would say it.
fn in_words(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::UpdateRow => "change a row",
        OperationKind::InsertRow => "insert a row",
        OperationKind::UpdatePage => "change a page",
        OperationKind::RestorePage => "take a page out of the trash",
        OperationKind::CreatePage => "make a page",
        OperationKind::Adopt => "link a page to its row",
        OperationKind::OpenConflict => "open a conflict",
        OperationKind::MarkPage => "mark a page",
        OperationKind::SetAside => "set a record aside",
        OperationKind::TrashStray => "put a stray page into the trash",
        OperationKind::TrashPage => "put a page into the trash",
        OperationKind::DeleteRow => "delete a row",
    }
}

/// A conflict with both values.
pub(super) fn conflict(conflict: &ConflictReport, now: OffsetDateTime) -> Json {
    json!({
        "id": conflict.id, "entity": conflict.entity, "key": conflict.key, "property": conflict.property,
        "base": value(&conflict.base), "postgres": value(&conflict.postgres), "notion": value(&conflict.notion),
        "reason": conflict.reason, "status": conflict.status, "rev": conflict.rev,
        "is_open": matches!(conflict.status.as_str(), "open" | "chosen"),
        "opened": moment(&conflict.opened_at, now), "evidence": evidence(&conflict.evidence),
        "address": conflict.page_id.as_deref().and_then(address),
    })
}

/// When each side changed, as far as that is known.
fn evidence(evidence: &Json) -> Option<Json> {
    let certainty = evidence["certainty"].as_str()?;
    let sure = match certainty {
        "proven" => "The times prove which side was later.",
        "probable" => {
            "The best guesses lie more than a minute apart; they do not prove which side was later."
        }
        _ => "The times do not tell which side was later.",
    };
    let when = |side: &str| {
        let at = |name: &str| evidence["changed"][side][name].as_str().map(to_the_second);
        json!({ "after": at("after"), "until": at("until"), "estimate": at("estimate") })
    };
    Some(json!({
        "certainty": certainty, "sure": sure, "postgres": when("postgres"), "notion": when("notion"),
    }))
}

/// A record with an error: what, why, and what to do.
pub(super) fn error(record: &Troubled, now: OffsetDateTime) -> Json {
    let error = &record.error;
    json!({
        "entity": record.entity, "key": error.key, "property": error.property, "code": error.code.code(),
        "message": error.message, "next": error.code.explanation(), "attempts": record.attempts,
        "retry": record.retry_at.as_deref().map(|at| moment(at, now)),
        "address": error.page_id.as_deref().and_then(address),
    })
}

/// Runs in a line each, with what the latest entries of the audit log say that they did.
pub(super) fn runs(runs: &[RunRecord], latest: &[HistoryEntry], now: OffsetDateTime) -> Vec<Json> {
    runs.iter()
        .map(|run| {
            let id = run.id.to_string();
            let entries: Vec<&HistoryEntry> = latest.iter().filter(|entry| entry.run_id == id).collect();
            let took = run.finished_at.map(|at| (at - run.started_at).as_seconds_f64());
            json!({
                "command": run.command, "at": ago(run.started_at, now), "did": did(&entries),
                "outcome": report_of(run).map(|report| outcome(report.outcome)),
                "took": took.map(|seconds| format!("{seconds:.1} s")),
            })
        })
        .collect()
}

fn outcome(outcome: Outcome) -> Json {
    let (mood, word) = match outcome {
        Outcome::Ok => ("good", "ok"),
        Outcome::Partial => ("warn", "partial"),
        Outcome::Refused => ("warn", "refused"),
        Outcome::Failed => ("bad", "failed"),
    };
    json!({ "mood": mood, "word": word })
}

/// What a run changed, in words; empty where nothing is known of it any more.
fn did(entries: &[&HistoryEntry]) -> String {
    let count = |is_so: fn(&HistoryEntry) -> bool| entries.iter().filter(|entry| is_so(entry)).count();
    let is_written =
        |entry: &HistoryEntry| matches!(entry.act.as_str(), "created" | "updated" | "deleted" | "restored");
    let written = |side: &str| {
        let of_side = entries.iter().filter(|entry| entry.side == side);
        of_side.filter(|entry| is_written(entry)).count()
    };
    let counts = [
        (written("notion"), "written to Notion"),
        (written("postgres"), "written to Postgres"),
        (count(|entry| entry.act == "overruled"), "overruled"),
        (count(|entry| entry.act == "rejected"), "rejected"),
        (count(|entry| entry.act == "linked"), "linked"),
    ];
    let told: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    told.join(", ")
}

/// One entry of the audit log.
pub(super) fn entry(entry: &HistoryEntry, now: OffsetDateTime) -> Json {
    json!({
        "id": entry.id, "entity": entry.entity, "key": entry.key, "property": entry.property, "side": entry.side,
        "act": entry.act, "from": value(&entry.from), "to": value(&entry.to), "reason": entry.reason,
        "at": moment(&entry.at, now), "address": entry.page_id.as_deref().and_then(address),
    })
}

fn report_of(run: &RunRecord) -> Option<ProfileReport> {
    serde_json::from_value(run.report.clone()?).ok()
}

/// A value as people read it; never more of it than a page can show.
fn value(value: &Json) -> Json {
    let text = plain(value);
    if text.is_empty() {
        return json!({ "is_empty": true, "text": "" });
    }
    let cut = text.char_indices().nth(LONGEST_VALUE).map(|(at, _)| at);
    let shown = &text[..cut.unwrap_or(text.len())];
    json!({ "is_empty": false, "text": shown, "is_cut": cut.is_some() })
}

/// A value without quotes and braces, where it has no more than a line's worth of structure.
fn plain(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        Json::Bool(flag) => if *flag { "yes" } else { "no" }.to_owned(),
        Json::Number(number) => number.to_string(),
        Json::Array(items) if items.iter().all(Json::is_string) => {
            let items: Vec<&str> = items.iter().filter_map(Json::as_str).collect();
            items.join(", ")
        }
        // A whole row or page: what is empty in it says nothing.
        Json::Object(fields) => {
            let told = fields.iter().map(|(name, value)| (name, plain(value)));
            let told = told.filter(|(_, text)| !text.is_empty());
            let told: Vec<String> = told.map(|(name, text)| format!("{name}: {text}")).collect();
            told.join(" · ")
        }
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    }
}

/// Where Notion shows an object; only for what is an id.
fn address(id: &str) -> Option<String> {
    let digits = id.replace('-', "");
    let is_id = digits.len() == 32 && digits.chars().all(|digit| digit.is_ascii_hexdigit());
    is_id.then(|| format!("https://www.notion.so/{digits}"))
}

/// An instant, with how long ago it was.
fn moment(iso: &str, now: OffsetDateTime) -> Json {
    match OffsetDateTime::parse(iso, &Rfc3339) {
        Ok(at) if at > now => until(at, now),
        Ok(at) => ago(at, now),
        Err(_) => json!({ "iso": iso, "words": iso }),
    }
}

fn ago(at: OffsetDateTime, now: OffsetDateTime) -> Json {
    let words = match (now - at).as_seconds_f64() {
        seconds if seconds < 5.0 => "just now".to_owned(),
        seconds => format!("{} ago", span(seconds)),
    };
    json!({ "iso": at.format(&Rfc3339).unwrap_or_default(), "words": words })
}

fn until(at: OffsetDateTime, now: OffsetDateTime) -> Json {
    let words = match (at - now).as_seconds_f64() {
        seconds if seconds < 1.0 => "now".to_owned(),
        seconds => format!("in {}", span(seconds)),
    };
    json!({ "iso": at.format(&Rfc3339).unwrap_or_default(), "words": words })
}

/// A length of time in its largest unit.
fn span(seconds: f64) -> String {
    match seconds.max(0.0) {
        seconds if seconds < 90.0 => format!("{seconds:.0} s"),
        seconds if seconds < 90.0 * 60.0 => format!("{:.0} min", seconds / 60.0),
        seconds if seconds < 36.0 * 3600.0 => format!("{:.0} h", seconds / 3600.0),
        seconds => format!("{:.0} days", seconds / 86_400.0),
    }
}

/// `2026-09-04 12:00:31.5 +00:00:00` without what nobody reads.
fn to_the_second(text: &str) -> String {
    text.split(['.', '+', 'Z'])
        .next()
        .unwrap_or(text)
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::report::{EntityReport, Failure};

    #[test]
    fn values_are_read_by_people_and_never_endless() {
        assert_eq!(value(&json!(null))["is_empty"], true);
        assert_eq!(value(&json!(true))["text"], "yes");
        assert_eq!(value(&json!(["a", "b"]))["text"], "a, b");
        let long = value(&json!("é".repeat(LONGEST_VALUE + 1)));
        assert_eq!(long["is_cut"], true);
        assert_eq!(long["text"].as_str().unwrap().chars().count(), LONGEST_VALUE);
    }

    #[test]
    fn only_ids_become_addresses() {
        let id = "59b833fe-7000-4000-8000-00000000000a";
        assert_eq!(
            address(id).as_deref(),
            Some("https://www.notion.so/59b833fe70004000800000000000000a")
        );
        assert_eq!(address("javascript:alert(1)"), None);
    }

    #[test]
    fn times_are_told_from_now() {
        let now = datetime!(2026-09-04 12:00 UTC);
        let words = |iso: &str| moment(iso, now)["words"].as_str().unwrap().to_owned();
        assert_eq!(words("2026-09-04T11:59:58Z"), "just now");
        assert_eq!(words("2026-09-04T11:58:50Z"), "70 s ago");
        assert_eq!(words("2026-09-04T10:00:00Z"), "2 h ago");
        assert_eq!(words("2026-09-04T12:10:00Z"), "in 10 min");
        assert_eq!(words("<b>"), "<b>");
        assert_eq!(
            to_the_second("2026-09-04 12:00:31.5 +00:00:00"),
            "2026-09-04 12:00:31"
        );
    }
    fn card_after(report: ProfileReport) -> Json {
        let state = ProfileState {
            last_report: Some(report),
            ..ProfileState::default()
        };
        let status = StatusReport {
            version: 1,
            profile: "cal".to_owned(),
            entities: Vec::new(),
            troubled: Vec::new(),
            last_run: None,
            working: None,
        };
        card(
            "cal",
            Ok(status),
            Some(&state),
            None,
            datetime!(2026-09-04 12:00 UTC),
        )
    }

    #[test]
    fn a_whole_record_is_told_in_a_line_and_without_what_is_empty() {
        let record =
            json!({ "Name": "Rover", "Note": "", "size": 3, "open": true, "tags": ["a", "b"], "lead": null });
        let told = value(&record);
        assert_eq!(told["text"], "Name: Rover · size: 3 · open: yes · tags: a, b");
        assert_eq!(value(&json!({ "Note": "" }))["is_empty"], true);
    }

    #[test]
    fn a_failure_and_a_guards_no_are_told_and_another_instances_work_is_neither() {
        let failed = |code| ProfileReport {
            outcome: Outcome::Failed,
            failure: Some(Failure {
                code,
                message: "a message".to_owned(),
            }),
            ..ProfileReport::default()
        };
        let card = card_after(failed(ErrorCode::NotionFailed));
        assert_eq!(
            (&card["word"], &card["stops"][0]["code"]),
            (&json!("failing"), &json!("notion_failed"))
        );
        let busy = card_after(failed(ErrorCode::ProfileBusy));
        assert_eq!((&busy["word"], &busy["stops"]), (&json!("in step"), &json!([])));
        let refusal = Refusal {
            entity: "teams".to_owned(),
            code: ErrorCode::DeleteCap,
            message: "a message".to_owned(),
            approve: "0123abcd".to_owned(),
        };
        let refused = card_after(ProfileReport {
            outcome: Outcome::Refused,
            entities: vec![EntityReport {
                refusals: vec![refusal],
                ..EntityReport::default()
            }],
            ..ProfileReport::default()
        });
        assert_eq!(refused["word"], "stopped by a guard");
        assert_eq!(refused["stops"][0]["approve"], "0123abcd");
    }
}
