//! One record with one field, in any state that the decision core tells apart.

use std::time::Duration;

use frames_sync::mapping::{
    ConflictPolicy, Direction, LastWritePolicy, MinCertainty, OnDuplicate, OnInaccessible, OnPageCreate,
    OnPageTrash, OnRowDelete, PresencePolicies, TieBreak,
};
use frames_sync::reconcile::last_write::{Clocks, Interval};
use frames_sync::reconcile::merge::FieldAction;
use frames_sync::reconcile::{
    Bases, Decision, EntityPolicy, Fault, FieldError, FieldFacts, FieldState, Label, LinkFacts, Observation,
    PageFacts, PageState, Phase, PresenceAction, RowState, Sent, Sides,
};
use frames_sync::value::{PropertyId, Value};
use time::OffsetDateTime;

pub(crate) const NOW: OffsetDateTime = time::macros::datetime!(2026-09-04 12:00:00 UTC);

/// What a side shows of the field: `None` is unreadable.
pub(crate) fn value(text: Option<&str>) -> Result<Value, FieldError> {
    text.map(Value::text).ok_or_else(|| FieldError {
        fault: Fault::Invalid,
        message: "it cannot be read".to_owned(),
    })
}

pub(crate) fn field(base: Option<&str>, row: Option<&str>, page: Option<&str>, agree: bool) -> FieldFacts {
    let base = base.map(|text| Bases {
        row: Value::text(text),
        page: Value::text(text),
    });
    FieldFacts {
        property: PropertyId::from("Name"),
        direction: Direction::Both,
        policy: ConflictPolicy::LastWriteWins,
        group: None,
        state: FieldState {
            bases: base,
            ..FieldState::default()
        },
        row: value(row),
        page: value(page),
        row_is_empty: row == Some(""),
        page_is_empty: page == Some(""),
        agree,
        to_push: value(row),
        to_pull: value(page),
        sent: Vec::new(),
        changed: Sides {
            postgres: Interval::default(),
            notion: Interval::default(),
        },
        clocks: Some(Clocks {
            error: Duration::from_secs(1),
            stepped_until: None,
        }),
        chosen: None,
        page_in_conflict: None,
    }
}

pub(crate) fn observation(row: RowState, page: PageState, field: FieldFacts) -> Observation {
    let conflict = field.policy;
    Observation {
        now: NOW,
        read_lag: Duration::from_secs(150),
        policy: EntityPolicy {
            presence: PresencePolicies {
                on_row_delete: OnRowDelete::TrashPage,
                on_page_create: OnPageCreate::InsertRow,
                on_page_trash: OnPageTrash::Hold,
                on_inaccessible: OnInaccessible::Hold,
                on_duplicate: OnDuplicate::Flag,
            },
            conflict,
            last_write: LastWritePolicy {
                tie_break: TieBreak::Postgres,
                min_certainty: MinCertainty::Probable,
            },
            initial: None,
        },
        link: (page != PageState::None).then_some(LinkFacts {
            phase: Phase::Linked,
            page_mark: None,
            page_edited_at: None,
            was_trashed: false,
            missed_for_a_day: false,
            chosen: None,
        }),
        row,
        page,
        page_facts: Some(PageFacts {
            edited_at: NOW,
            edited_after: NOW,
            edited_by_us: false,
        }),
        label: Label::Empty,
        page_is_ripe: true,
        opted_out: false,
        deletion: None,
        fields: vec![field],
    }
}

pub(crate) fn sent(text: &str, abandoned: bool) -> Sent {
    Sent {
        value: Value::text(text),
        from_row: Some(Value::text("base")),
        abandoned,
        answered: false,
        pending: !abandoned,
    }
}

/// The decision in two words.
pub(crate) fn outcome(decision: &Decision) -> String {
    let presence = &decision.presence;
    if presence.action != PresenceAction::MergeFields {
        let name = serde_json::to_value(presence.action).unwrap();
        return format!("{:?} {}", presence.case, name.as_str().unwrap());
    }
    match &decision.fields[0].action {
        FieldAction::Keep => "keep",
        FieldAction::Rebase(_) => "rebase",
        FieldAction::Push(_) => "push",
        FieldAction::Pull(_) => "pull",
        FieldAction::Conflict => "conflict",
        FieldAction::Freeze(_) => "freeze",
        FieldAction::Defer => "defer",
    }
    .to_owned()
}
