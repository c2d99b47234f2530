//! Plans: order, guards, files, and that decisions come to rest.

mod fixpoint;

use frames_sync::mapping::Guards;
use frames_sync::plan::file::{SavedPlan, SavedPlanError};
use frames_sync::plan::guard::{Circumstances, delete_cap, quarantined, refusals};
use frames_sync::plan::order::EntityOrder;
use frames_sync::plan::{FieldChange, Operation, OperationKind, Plan};
use frames_sync::reconcile::Reason;
use frames_sync::report::ErrorCode;
use frames_sync::value::{PropertyId, RecordKey, Value};

fn operation(entity: &str, key: &str, kind: OperationKind) -> Operation {
    Operation {
        entity: entity.to_owned(),
        key: Some(RecordKey::single(key)),
        page: None,
        kind,
        reason: Reason::RowIsNew,
        fields: vec![FieldChange {
            property: PropertyId::from("n"),
            name: "Name".to_owned(),
            from: None,
            to: Some(Value::text(key)),
            reason: Reason::OnlyPostgresChanged,
        }],
    }
}

fn order() -> EntityOrder {
    EntityOrder::of([
        ("students", vec!["teams"]),
        ("teams", vec!["projects", "teams"]),
        ("projects", vec![]),
    ])
}

fn circumstances(linked: u64) -> Circumstances {
    Circumstances {
        entity: "teams".to_owned(),
        guards: Guards::default(),
        linked,
        scope_changed: false,
        initialised: true,
        rows_seen: Some(linked),
        pages_seen: None,
        pages_trashed_today: 0,
        rows_deleted_today: 0,
    }
}

fn many(kind: OperationKind, count: usize) -> Plan {
    Plan::of(
        (0..count)
            .map(|index| operation("teams", &index.to_string(), kind))
            .collect(),
        &order(),
    )
}

#[test]
fn referenced_records_come_first_and_leave_last() {
    let plan = Plan::of(
        vec![
            operation("projects", "p", OperationKind::TrashPage),
            operation("students", "s", OperationKind::TrashPage),
            operation("students", "s2", OperationKind::CreatePage),
            operation("projects", "p2", OperationKind::CreatePage),
            operation("teams", "t2", OperationKind::CreatePage),
            operation("teams", "t1", OperationKind::UpdatePage),
            operation("teams", "t0", OperationKind::UpdateRow),
        ],
        &order(),
    );
    let names: Vec<String> = plan.operations.iter().map(Operation::name).collect();
    assert_eq!(names, ["t0", "t1", "p2", "t2", "s2", "s", "p"]);
}

#[test]
fn a_cycle_of_references_still_has_an_order() {
    let order = EntityOrder::of([("a", vec!["b"]), ("b", vec!["a"]), ("c", vec![])]);
    let mut ranks = [order.rank("a"), order.rank("b"), order.rank("c")];
    ranks.sort_unstable();
    assert_eq!(ranks, [0, 1, 2]);
}

#[test]
fn the_hash_is_of_the_content_and_not_of_the_order_it_came_in() {
    let a = operation("teams", "a", OperationKind::CreatePage);
    let b = operation("teams", "b", OperationKind::CreatePage);
    let one = Plan::of(vec![a.clone(), b.clone()], &order());
    let two = Plan::of(vec![b, a.clone()], &order());
    assert_eq!(one, two);
    assert_eq!(one.hash(), two.hash());
    let mut changed = a;
    changed.fields[0].to = Some(Value::text("other"));
    assert_ne!(Plan::of(vec![changed], &order()).hash(), one.hash());
}

#[test]
fn the_cap_is_at_least_three_and_at_most_five_hundred() {
    let guards = Guards::default();
    assert_eq!(
        [0, 15, 100, 1000, 100_000].map(|linked| delete_cap(linked, &guards)),
        [3, 3, 5, 50, 500]
    );
}

#[test]
fn deletes_count_together_with_those_of_the_day() {
    let plan = many(OperationKind::TrashPage, 3);
    assert!(refusals(&plan, &circumstances(20)).is_empty());
    let mut later = circumstances(20);
    later.pages_trashed_today = 1;
    assert_eq!(refusals(&plan, &later)[0].code, ErrorCode::DeleteCap);
}

#[test]
fn each_guard_says_no_to_its_own_accident() {
    let code = |plan: &Plan, circumstances: &Circumstances| {
        refusals(plan, circumstances)
            .into_iter()
            .map(|refusal| refusal.code)
            .collect::<Vec<_>>()
    };
    let mut empty = circumstances(2);
    empty.pages_seen = Some(0);
    assert_eq!(code(&Plan::default(), &empty), [ErrorCode::EmptySide]);
    assert_eq!(
        code(&many(OperationKind::UpdatePage, 21), &circumstances(40)),
        [ErrorCode::MassChange]
    );
    assert!(code(&many(OperationKind::UpdatePage, 19), &circumstances(20)).is_empty());
    assert_eq!(
        code(&many(OperationKind::CreatePage, 101), &circumstances(40)),
        [ErrorCode::MassCreate]
    );
    let mut first = circumstances(0);
    first.initialised = false;
    assert!(code(&many(OperationKind::CreatePage, 5000), &first).is_empty());
}

#[test]
fn a_saved_plan_is_applied_exactly_or_refused() {
    let plan = many(OperationKind::UpdatePage, 2);
    let saved = SavedPlan::of(plan.clone(), "calpoly", "digest");
    let read = SavedPlan::parse(&saved.to_text()).unwrap();
    assert_eq!(read, saved);
    assert_eq!(read.check(&plan, "calpoly", "digest"), Ok(()));
    assert!(matches!(
        read.check(&plan, "texas", "digest"),
        Err(SavedPlanError::Profile { .. })
    ));
    assert_eq!(
        read.check(&plan, "calpoly", "other"),
        Err(SavedPlanError::Mappings)
    );
    let moved = many(OperationKind::UpdatePage, 1);
    assert!(matches!(
        read.check(&moved, "calpoly", "digest"),
        Err(SavedPlanError::Moved { .. })
    ));
    let edited = saved.to_text().replacen("\"n\"", "\"m\"", 1);
    assert!(matches!(
        SavedPlan::parse(&edited),
        Err(SavedPlanError::Edited { .. })
    ));
    let later = saved.to_text().replacen("\"format\": 1", "\"format\": 2", 1);
    assert!(matches!(
        SavedPlan::parse(&later),
        Err(SavedPlanError::Format { found: 2 })
    ));
    assert!(matches!(
        SavedPlan::parse("no"),
        Err(SavedPlanError::Unreadable(_))
    ));
}

#[test]
fn a_doubt_refuses_every_entity_that_would_be_written_and_none_else() {
    let plan = Plan::of(
        vec![
            operation("teams", "1", OperationKind::UpdateRow),
            operation("teams", "2", OperationKind::CreatePage),
            operation("students", "1", OperationKind::UpdatePage),
        ],
        &order(),
    );
    assert_eq!(quarantined(&plan, &["teams"], &[]), []);
    let doubts = ["it is a copy".to_owned(), "the token is another".to_owned()];
    let refusals = quarantined(&plan, &[], &doubts);
    let entities: Vec<&str> = refusals.iter().map(|refusal| refusal.entity.as_str()).collect();
    assert_eq!(entities, ["students", "teams"]);
    for refusal in &refusals {
        assert_eq!(refusal.code, ErrorCode::Quarantined);
        assert_eq!(refusal.message, "it is a copy; the token is another");
        assert_eq!(refusal.approve, plan.hash());
    }
    assert_eq!(quarantined(&Plan::default(), &[], &doubts), []);
    // What only a direct look tells is not known to be harmless.
    let refusals = quarantined(&Plan::default(), &["teams"], &doubts);
    assert_eq!(refusals.len(), 1);
    assert_eq!(refusals[0].entity, "teams");
}
