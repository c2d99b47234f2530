//! L2: from any state, applying decisions comes to rest within 4 rounds, and no round undoes another.

use frames_sync::mapping::{ConflictPolicy, Direction, Initial};
use frames_sync::reconcile::merge::FieldAction;
use frames_sync::reconcile::{Bases, PageState, RowState, decide};
use frames_sync::value::Value;
use proptest::prelude::*;

use crate::reconcile::record::{field, observation};

#[derive(Clone, Debug)]
struct State {
    base: Option<(String, String)>,
    row: String,
    page: String,
    force_push: bool,
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("a".to_owned()),
        Just("b".to_owned()),
        Just("c".to_owned())
    ]
}

fn state() -> impl Strategy<Value = State> {
    (prop::option::of((text(), text())), text(), text(), any::<bool>()).prop_map(
        |(base, row, page, force_push)| State {
            base,
            row,
            page,
            force_push,
        },
    )
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100_000))]

    #[test]
    fn decisions_come_to_rest_within_four_rounds(
        mut state in state(),
        policy in prop::sample::select(vec![
            ConflictPolicy::LastWriteWins, ConflictPolicy::PostgresWins, ConflictPolicy::NotionWins, ConflictPolicy::Manual,
        ]),
        direction in prop::sample::select(vec![Direction::Both, Direction::ToNotion, Direction::ToPostgres]),
        initial in prop::option::of(prop::sample::select(vec![Initial::Postgres, Initial::Notion, Initial::Manual])),
    ) {
        let known = [state.row.clone(), state.page.clone()];
        let rounds = (0..8).take_while(|_| round(&mut state, policy, direction, initial)).count();
        prop_assert!(rounds <= 4, "{rounds} rounds");
        prop_assert!(known.contains(&state.row) && known.contains(&state.page), "no value is made up");
    }
}
