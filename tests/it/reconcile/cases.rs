//! `tests/cases/reconcile/*.yaml`: the field table as sentences, each with its values and its decision.

use std::time::Duration;

use frames_sync::mapping::{ConflictPolicy, Direction, Initial};
use frames_sync::reconcile::last_write::{Clocks, Interval};
use frames_sync::reconcile::{PageState, RowState, Sent, Sides, decide};
use frames_sync::value::Value;
use serde::Deserialize;
use time::OffsetDateTime;

use super::record::{NOW, field, observation, outcome, sent};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// The sentence.
    case: String,
    /// Left out: the field was never agreed on.
    baseline: Option<String>,
    postgres: String,
    notion: String,
    #[serde(default)]
    agree: bool,
    policy: Option<ConflictPolicy>,
    direction: Option<Direction>,
    initial: Option<Initial>,
    /// Seconds before now between which each side changed, and the best guess.
    changed: Option<Changed>,
    /// Seconds before now up to which a time may be from before a clock was put on or back.
    stepped: Option<i64>,
    /// A value we sent that was given up as lost.
    given_up: Option<String>,
    /// A value we sent, to which Notion answered.
    answered: Option<String>,
    /// Minutes before now of the page's last edit, and whether it was ours.
    #[serde(default)]
    edited: (i64, bool),
    /// Minutes before now of our last answered write to the page.
    wrote: Option<i64>,
    /// Minutes before now of the last edit that an earlier read showed.
    read: Option<i64>,
    /// What the page showed a minute ago, when the field's conflict was opened.
    in_conflict: Option<String>,
    /// A value that the page held until a minute ago.
    held_before: Option<String>,
    /// One that it held until three minutes ago, if what replaced it was no older value.
    doubted: Option<String>,
    #[serde(default)]
    force_push: bool,
    decision: String,
    reason: String,
}

#[derive(Deserialize)]
struct Changed {
    postgres: (i64, i64),
    notion: (i64, i64),
    guess: Option<(i64, i64)>,
}

fn ago(seconds: i64) -> OffsetDateTime {
    NOW - time::Duration::seconds(seconds)
}

fn interval(bounds: (i64, i64), guess: Option<i64>) -> Interval {
    Interval {
        after: Some(ago(bounds.0)),
        until: Some(ago(bounds.1)),
        estimate: guess.map(ago),
    }
}

#[test]
fn the_cases_are_decided_as_they_say() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/reconcile");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut count = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let cases: Vec<Case> =
            serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        for case in cases {
            count += 1;
            let mut facts = field(
                case.baseline.as_deref(),
                Some(&case.postgres),
                Some(&case.notion),
                case.agree,
            );
            facts.policy = case.policy.unwrap_or(facts.policy);
            facts.direction = case.direction.unwrap_or(facts.direction);
            facts.state.force_push = case.force_push;
            facts
                .sent
                .extend(case.given_up.as_deref().map(|text| sent(text, true)));
            facts.sent.extend(case.answered.as_deref().map(|text| Sent {
                answered: true,
                abandoned: false,
                ..sent(text, true)
            }));
            if let Some(shown) = &case.in_conflict {
                facts.page_in_conflict = Some(Value::text(shown.as_str()));
                facts.state.changed_at.notion = Some(ago(60));
            }
            if let Some(held) = &case.held_before {
                let until = ago(60);
                facts.state.past.push(frames_sync::reconcile::PastValue {
                    value: Value::text(held.as_str()),
                    until,
                    doubted: false,
                });
            }
            if let Some(held) = &case.doubted {
                facts.state.past.push(frames_sync::reconcile::PastValue {
                    value: Value::text(held.as_str()),
                    until: ago(180),
                    doubted: true,
                });
            }
            if let Some(changed) = &case.changed {
                facts.changed = Sides {
                    postgres: interval(changed.postgres, changed.guess.map(|guess| guess.0)),
                    notion: interval(changed.notion, changed.guess.map(|guess| guess.1)),
                };
                facts.clocks = Some(Clocks {
                    error: Duration::from_secs(1),
                    stepped_until: case.stepped.map(ago),
                });
            }
            let mut seen = observation(RowState::Present, PageState::Live, facts);
            seen.policy.initial = case.initial;
            if let (Some(link), Some(page)) = (&mut seen.link, &mut seen.page_facts) {
                link.page_mark = case.wrote.map(|minutes| ago(minutes * 60));
                link.page_edited_at = case.read.map(|minutes| ago(minutes * 60));
                page.edited_at = ago(case.edited.0 * 60);
                page.edited_after = page.edited_at;
                page.edited_by_us = case.edited.1;
            }
            let decision = decide(&seen);
            let reason = serde_json::to_value(decision.fields[0].reason).unwrap();
            assert_eq!(
                (outcome(&decision).as_str(), reason.as_str().unwrap()),
                (case.decision.as_str(), case.reason.as_str()),
                "{}",
                case.case
            );
        }
    }
    assert!(count >= 25, "{count} cases");
}
