//! L2 for one field: from every state, applying decisions comes to rest within 4 rounds, and no round undoes another.

use frames_sync::mapping::{ConflictPolicy, Direction, Initial};
use frames_sync::reconcile::merge::FieldAction;
use frames_sync::reconcile::{Bases, PageState, RowState, decide};
use frames_sync::value::Value;

use crate::reconcile::record::{field, observation};

#[derive(Clone, Debug)]
struct State {
    base: Option<(String, String)>,
    row: String,
    page: String,
    force_push: bool,
}

/// One round: decides, and applies the decision to the model of both sides. Answers whether anything moved.
fn round(state: &mut State, policy: ConflictPolicy, direction: Direction, initial: Option<Initial>) -> bool {
    let mut facts = field(None, Some(&state.row), Some(&state.page), state.row == state.page);
    facts.policy = policy;
    facts.direction = direction;
    facts.state.force_push = state.force_push;
    facts.state.bases = state.base.as_ref().map(|(row, page)| Bases {
        row: Value::text(row.as_str()),
        page: Value::text(page.as_str()),
    });
    let mut seen = observation(RowState::Present, PageState::Live, facts);
    seen.policy.initial = initial;
    let decision = decide(&seen).fields.remove(0);
    state.force_push = false;
    match decision.action {
        FieldAction::Push(_) => state.page.clone_from(&state.row),
        FieldAction::Pull(_) => state.row.clone_from(&state.page),
        FieldAction::Rebase(_) => {}
        FieldAction::Keep | FieldAction::Conflict | FieldAction::Freeze(_) | FieldAction::Defer => {
            return false;
        }
    }
    state.base = Some((state.row.clone(), state.page.clone()));
    true
}

const TEXTS: [&str; 4] = ["", "a", "b", "c"];

fn states() -> impl Iterator<Item = State> {
    let bases = TEXTS
        .iter()
        .flat_map(|row| TEXTS.iter().map(move |page| Some((*row, *page))));
    bases.chain([None]).flat_map(|base| {
        TEXTS.iter().flat_map(move |row| {
            TEXTS.iter().flat_map(move |page| {
                [false, true].map(|force_push| State {
                    base: base.map(|(row, page)| (row.to_owned(), page.to_owned())),
                    row: (*row).to_owned(),
                    page: (*page).to_owned(),
                    force_push,
                })
            })
        })
    })
}

#[test]
fn decisions_come_to_rest_within_four_rounds() {
    let policies = [
        ConflictPolicy::LastWriteWins,
        ConflictPolicy::PostgresWins,
        ConflictPolicy::NotionWins,
        ConflictPolicy::Manual,
    ];
    let initials = [
        None,
        Some(Initial::Postgres),
        Some(Initial::Notion),
        Some(Initial::Manual),
    ];
    let mut count = 0;
    for start in states() {
        for policy in policies {
            for direction in [Direction::Both, Direction::ToNotion, Direction::ToPostgres] {
                for initial in initials {
                    let mut state = start.clone();
                    let rounds = (0..8)
                        .take_while(|_| round(&mut state, policy, direction, initial))
                        .count();
                    assert!(rounds <= 4, "{rounds} rounds from {start:?}");
                    for value in [&state.row, &state.page] {
                        assert!(
                            [&start.row, &start.page].contains(&value),
                            "no value is made up from {start:?}"
                        );
                    }
                    count += 1;
                }
            }
        }
    }
    assert_eq!(count, 26_112);
}
