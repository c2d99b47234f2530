//! Decisions per second: `cargo bench --no-default-features --bench planner`.

use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use frames_sync::mapping::{
    ConflictPolicy, Direction, LastWritePolicy, MinCertainty, OnDuplicate, OnInaccessible, OnPageCreate,
    OnPageTrash, OnRowDelete, PresencePolicies, TieBreak,
};
use frames_sync::reconcile::{
    Bases, EntityPolicy, FieldFacts, FieldState, Label, LinkFacts, Observation, PageFacts, PageState, Phase,
    RowState, Sides, decide,
};
use frames_sync::value::{PropertyId, Value};
use time::macros::datetime;

fn main() {
    divan::main();
}

/// A linked record of `fields` fields, of which every tenth was edited in Postgres.
fn record(fields: usize) -> Observation {
    let now = datetime!(2026-09-04 12:00 UTC);
    let fields = (0..fields)
        .map(|index| {
            let row = Value::text(if index % 10 == 0 { "edited" } else { "value" });
            let page = Value::text("value");
            FieldFacts {
                property: PropertyId(format!("p{index}")),
                direction: Direction::Both,
                policy: ConflictPolicy::LastWriteWins,
                group: None,
                state: FieldState {
                    bases: Some(Bases {
                        row: page.clone(),
                        page: page.clone(),
                    }),
                    ..FieldState::default()
                },
                agree: row == page,
                to_push: Ok(row.clone()),
                to_pull: Ok(page.clone()),
                row: Ok(row),
                page: Ok(page),
                row_is_empty: false,
                page_is_empty: false,
                sent: Vec::new(),
                changed: Sides::default(),
                clocks: Some(frames_sync::reconcile::last_write::Clocks {
                    error: Duration::from_secs(1),
                    stepped_until: None,
                }),
                chosen: None,
                page_in_conflict: None,
            }
        })
        .collect();
    Observation {
        now,
        read_lag: Duration::from_secs(150),
        policy: EntityPolicy {
            presence: PresencePolicies {
                on_row_delete: OnRowDelete::TrashPage,
                on_page_create: OnPageCreate::Ignore,
                on_page_trash: OnPageTrash::Hold,
                on_inaccessible: OnInaccessible::Hold,
                on_duplicate: OnDuplicate::Flag,
            },
            conflict: ConflictPolicy::LastWriteWins,
            last_write: LastWritePolicy {
                tie_break: TieBreak::Postgres,
                min_certainty: MinCertainty::Probable,
            },
            initial: None,
        },
        link: Some(LinkFacts {
            phase: Phase::Linked,
            page_mark: None,
            page_edited_at: None,
            was_trashed: false,
            missed_for_a_day: false,
            chosen: None,
        }),
        row: RowState::Present,
        page: PageState::Live,
        page_facts: Some(PageFacts {
            edited_at: now,
            edited_after: now,
            edited_by_us: false,
        }),
        label: Label::Empty,
        page_is_ripe: false,
        opted_out: false,
        deletion: None,
        fields,
    }
}

#[divan::bench(args = [1, 10, 30])]
fn records_decided(bencher: Bencher<'_, '_>, fields: usize) {
    let record = record(fields);
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench_local(|| decide(divan::black_box(&record)));
}
