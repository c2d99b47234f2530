//! `/metrics`: the Prometheus text format, version 0.0.4.
//!
//! Labels are names of profiles, entities, routes and codes; no key and no value of a row is among them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::future::join_all;
use http::header;

use super::{MemoryError, Shared, has_failed};
use crate::ports::ConflictTally;
use crate::report::{EntityReport, StatusReport};
use crate::runner::ProfileState;

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the server itself counts.
#[derive(Debug, Default)]
pub(super) struct Counters(Mutex<Counts>);

#[derive(Clone, Debug, Default)]
struct Counts {
    answers: BTreeMap<(String, u16), u64>,
    refusals: BTreeMap<&'static str, u64>,
    webhooks: BTreeMap<(String, &'static str), u64>,
}

impl Counters {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an answer to a route.
    pub(super) fn answered(&self, route: String, status: u16) {
        *self.lock().answers.entry((route, status)).or_default() += 1;
    }

    /// Counts a request that was not let in.
    pub(super) fn refused(&self, why: &'static str) {
        *self.lock().refusals.entry(why).or_default() += 1;
    }

    /// Counts a delivery to a profile; to none, where the name is empty.
    pub(super) fn webhook(&self, profile: &str, outcome: &'static str) {
        *self
            .lock()
            .webhooks
            .entry((profile.to_owned(), outcome))
            .or_default() += 1;
    }
}

/// The exposition of one scrape.
#[derive(Default)]
struct Exposition(String);

impl Exposition {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{label}=\"");
            for character in text.chars() {
                match character {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    other => self.0.push(other),
                }
            }
            self.0.push('"');
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }

    /// One family with a sample for each profile's state that has one.
    fn of_states(
        &mut self,
        states: &[ProfileState],
        (name, kind, help): (&str, &str, &str),
        value: impl Fn(&ProfileState) -> Option<f64>,
    ) {
        self.family(name, kind, help);
        for state in states {
            if let Some(value) = value(state) {
                self.sample(name, &[("profile", &state.profile)], value);
            }
        }
    }
}

/// What a profile's database tells at one scrape.
struct Told {
    profile: String,
    status: Result<StatusReport, MemoryError>,
    conflicts: Vec<ConflictTally>,
}

/// `GET /metrics`.
pub(super) async fn show(State(app): State<Shared>) -> Response {
    let asked = app.memories.iter().map(|(profile, memory)| async move {
        let (status, conflicts) =
            futures_util::future::join(memory.status(), memory.conflicts_of_a_day()).await;
        Told {
            profile: profile.clone(),
            status,
            conflicts: conflicts.unwrap_or_default(),
        }
    });
    let told = join_all(asked).await;
    let counts = app.counters.lock().clone();
    let mut out = Exposition::default();
    runner(&mut out, &app.handle.states());
    database(&mut out, &told);
    server(&mut out, &counts);
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], out.0).into_response()
}

fn runner(out: &mut Exposition, states: &[ProfileState]) {
    let name = "frames_sync_notion_requests_total";
    out.family(name, "counter", "Requests sent to Notion, repeats included.");
    for state in states {
        for (endpoint, count) in &state.totals.notion.by_endpoint {
            let labels = [("profile", state.profile.as_str()), ("endpoint", endpoint)];
            out.sample(name, &labels, number(*count));
        }
    }
    out.of_states(
        states,
        (
            "frames_sync_notion_throttled_total",
            "counter",
            "Answers 429 and 529 of Notion.",
        ),
        |state| Some(number(state.totals.notion.throttled)),
    );
    out.of_states(
        states,
        (
            "frames_sync_notion_waited_seconds_total",
            "counter",
            "Time waited for the rate that Notion allows.",
        ),
        |state| Some(state.totals.notion.waited_seconds),
    );
    let name = "frames_sync_cycles_total";
    out.family(name, "counter", "Cycles that ended in this instance.");
    for state in states {
        let profile = state.profile.as_str();
        let done = state.runs.saturating_sub(state.failures);
        out.sample(name, &[("profile", profile), ("outcome", "done")], number(done));
        let failed = [("profile", profile), ("outcome", "failed")];
        out.sample(name, &failed, number(state.failures));
    }
    out.of_states(
        states,
        (
            "frames_sync_last_cycle_failed",
            "gauge",
            "1 if the last cycle of this instance failed.",
        ),
        |state| {
            let report = state.last_report.as_ref()?;
            Some(flag(has_failed(report)))
        },
    );
    out.of_states(
        states,
        (
            "frames_sync_last_cycle_timestamp_seconds",
            "gauge",
            "When the last cycle of this instance ended, in Unix time.",
        ),
        |state| Some(state.last_run_at?.unix_timestamp() as f64),
    );
    out.of_states(
        states,
        (
            "frames_sync_holds_lease",
            "gauge",
            "1 if this instance does the profile's work.",
        ),
        |state| Some(flag(state.holds_lease)),
    );
    let name = "frames_sync_record_errors_total";
    out.family(
        name,
        "counter",
        "Errors of records that cycles of this instance met, by code.",
    );
    for state in states {
        for (code, count) in &state.errors {
            out.sample(
                name,
                &[("profile", &state.profile), ("code", code)],
                number(*count),
            );
        }
    }
    changes(out, states);
}

/// What a count of changes is called, and where it stands in a report.
type Change = (&'static str, fn(&EntityReport) -> u64);

const CHANGES: [Change; 9] = [
    ("page_created", |entity| entity.pages_created),
    ("page_updated", |entity| entity.pages_updated),
    ("page_trashed", |entity| entity.pages_trashed),
    ("page_restored", |entity| entity.pages_restored),
    ("row_inserted", |entity| entity.rows_inserted),
    ("row_updated", |entity| entity.rows_updated),
    ("row_deleted", |entity| entity.rows_deleted),
    ("conflict_opened", |entity| entity.conflicts_opened),
    ("conflict_resolved", |entity| entity.conflicts_resolved),
];

fn changes(out: &mut Exposition, states: &[ProfileState]) {
    let name = "frames_sync_changes_total";
    out.family(name, "counter", "What cycles of this instance did, by kind.");
    for state in states {
        for entity in &state.totals.entities {
            for (kind, count) in CHANGES {
                let labels = [
                    ("profile", state.profile.as_str()),
                    ("entity", &entity.entity),
                    ("kind", kind),
                ];
                out.sample(name, &labels, number(count(entity)));
            }
        }
    }
}

fn database(out: &mut Exposition, told: &[Told]) {
    let name = "frames_sync_state_up";
    out.family(name, "gauge", "1 if the profile's sync state can be read.");
    for Told { profile, status, .. } in told {
        out.sample(name, &[("profile", profile)], flag(status.is_ok()));
    }
    type Gauge = (
        &'static str,
        &'static str,
        fn(&crate::report::EntityStatus) -> Option<f64>,
    );
    let gauges: [Gauge; 6] = [
        (
            "frames_sync_lag_seconds",
            "Time since both sides were last looked at.",
            |entity| entity.lag_seconds,
        ),
        (
            "frames_sync_records_linked",
            "Records whose row and page are both there.",
            |entity| Some(number(entity.linked)),
        ),
        (
            "frames_sync_records_pending",
            "Records that will be looked at again.",
            |entity| Some(number(entity.pending)),
        ),
        (
            "frames_sync_records_held",
            "Records whose page is in the trash or out of reach.",
            |entity| Some(number(entity.held)),
        ),
        (
            "frames_sync_records_in_error",
            "Records with an error of their own.",
            |entity| Some(number(entity.errors)),
        ),
        (
            "frames_sync_conflicts_open",
            "Conflicts that wait for a person, or for their choice to be applied.",
            |entity| Some(number(entity.conflicts)),
        ),
    ];
    for (name, help, value) in gauges {
        out.family(name, "gauge", help);
        for told in told {
            for entity in told.status.iter().flat_map(|status| &status.entities) {
                if let Some(value) = value(entity) {
                    let labels = [("profile", told.profile.as_str()), ("entity", &entity.entity)];
                    out.sample(name, &labels, value);
                }
            }
        }
    }
    let name = "frames_sync_conflicts_last_day";
    out.family(
        name,
        "gauge",
        "Conflicts opened in the last 24 hours, by how sure it is which side was later; `none` where nobody asked.",
    );
    for told in told {
        for tally in &told.conflicts {
            let labels = [
                ("profile", told.profile.as_str()),
                ("status", if tally.is_open { "open" } else { "settled" }),
                ("certainty", tally.certainty.as_deref().unwrap_or("none")),
            ];
            out.sample(name, &labels, number(tally.count));
        }
    }
}

fn server(out: &mut Exposition, counts: &Counts) {
    let name = "frames_sync_webhook_events_total";
    out.family(
        name,
        "counter",
        "Webhook deliveries by what became of them; the profile is empty where it is unknown.",
    );
    for ((profile, outcome), count) in &counts.webhooks {
        out.sample(
            name,
            &[("profile", profile), ("outcome", outcome)],
            number(*count),
        );
    }
    let name = "frames_sync_http_refused_total";
    out.family(name, "counter", "Requests that were not let in, by the reason.");
    for (reason, count) in &counts.refusals {
        out.sample(name, &[("reason", reason)], number(*count));
    }
    let name = "frames_sync_http_requests_total";
    out.family(name, "counter", "Requests answered, by route and status.");
    for ((route, status), count) in &counts.answers {
        let labels = [("route", route.as_str()), ("status", &status.to_string())];
        out.sample(name, &labels, number(*count));
    }
}

/// Counts are far below 2^53.
fn number(count: u64) -> f64 {
    count as f64
}

fn flag(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_whole_numbers_have_no_point() {
        let mut out = Exposition::default();
        out.family("x", "gauge", "An x.");
        out.sample("x", &[("a", "q\"b\\s\nn"), ("b", "")], 3.0);
        out.sample("x", &[], 0.5);
        assert_eq!(
            out.0,
            "# HELP x An x.\n# TYPE x gauge\nx{a=\"q\\\"b\\\\s\\nn\",b=\"\"} 3\nx 0.5\n"
        );
    }
    #[test]
    fn what_cycles_did_is_told_by_endpoint_kind_and_code() {
        let mut state = ProfileState {
            profile: "cal".to_owned(),
            runs: 5,
            failures: 2,
            ..ProfileState::default()
        };
        state
            .totals
            .notion
            .by_endpoint
            .insert("POST /v1/pages".to_owned(), 8);
        state.totals.notion.throttled = 3;
        state.totals.notion.waited_seconds = 1.5;
        state.totals.entities.push(EntityReport {
            entity: "teams".to_owned(),
            pages_created: 8,
            ..EntityReport::default()
        });
        state.errors.insert("unknown_option".to_owned(), 4);
        let mut out = Exposition::default();
        runner(&mut out, &[state]);
        for line in [
            "frames_sync_notion_requests_total{profile=\"cal\",endpoint=\"POST /v1/pages\"} 8",
            "frames_sync_notion_throttled_total{profile=\"cal\"} 3",
            "frames_sync_notion_waited_seconds_total{profile=\"cal\"} 1.5",
            "frames_sync_cycles_total{profile=\"cal\",outcome=\"done\"} 3",
            "frames_sync_cycles_total{profile=\"cal\",outcome=\"failed\"} 2",
            "frames_sync_changes_total{profile=\"cal\",entity=\"teams\",kind=\"page_created\"} 8",
            "frames_sync_record_errors_total{profile=\"cal\",code=\"unknown_option\"} 4",
        ] {
            assert!(out.0.lines().any(|written| written == line), "{line}\n{}", out.0);
        }
    }
}
