//! One thing to do to one record.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::reconcile::merge::FieldAction;
use crate::reconcile::{Decision, PresenceAction, Reason, Side};
use crate::value::{PageId, PropertyId, RecordKey, Value};

/// One thing to do to one record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// The entity.
    pub entity: String,
    /// The row's key; `None` for a page without a row.
    pub key: Option<RecordKey>,
    /// The page; `None` for a row without one.
    pub page: Option<PageId>,
    /// What is done.
    pub kind: OperationKind,
    /// Why.
    pub reason: Reason,
    /// The fields that are written, or that a person has to look at, in mapping order.
    pub fields: Vec<FieldChange>,
}

/// One field of an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    /// The property.
    pub property: PropertyId,
    /// The property's name.
    pub name: String,
    /// What stands on the side that is written; `None` when there is no such side yet.
    pub from: Option<Value>,
    /// What will stand there; `None` when nothing is written.
    pub to: Option<Value>,
    /// Why.
    pub reason: Reason,
}

/// What is done, in the order it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// Columns of a row are set from its page.
    UpdateRow,
    /// A row is inserted for a page.
    InsertRow,
    /// Properties of a page are set from its row.
    UpdatePage,
    /// A page is taken out of the trash and written in full.
    RestorePage,
    /// A page is created for a row.
    CreatePage,
    /// A page is linked to the row that it names.
    Adopt,
    /// A conflict is opened for a person.
    OpenConflict,
    /// The page's status is written: a duplicate, an unknown id, a deleted row.
    MarkPage,
    /// The record is set aside: held, detached, or ended.
    SetAside,
    /// A second page that a lost request of ours made goes to the trash.
    TrashStray,
    /// A page goes to the trash.
    TrashPage,
    /// A row is deleted, or its columns of soft deletion are set.
    DeleteRow,
}

impl OperationKind {
    /// Every kind, in the order they are applied.
    pub const ALL: [OperationKind; 12] = [
        Self::UpdateRow,
        Self::InsertRow,
        Self::UpdatePage,
        Self::RestorePage,
        Self::CreatePage,
        Self::Adopt,
        Self::OpenConflict,
        Self::MarkPage,
        Self::SetAside,
        Self::TrashStray,
        Self::TrashPage,
        Self::DeleteRow,
    ];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::UpdateRow => "update_row",
            Self::InsertRow => "insert_row",
            Self::UpdatePage => "update_page",
            Self::RestorePage => "restore_page",
            Self::CreatePage => "create_page",
            Self::Adopt => "adopt",
            Self::OpenConflict => "open_conflict",
            Self::MarkPage => "mark_page",
            Self::SetAside => "set_aside",
            Self::TrashStray => "trash_stray",
            Self::TrashPage => "trash_page",
            Self::DeleteRow => "delete_row",
        }
    }

    /// Requests to Notion it takes: the confirming read, and the write.
    pub fn requests(self) -> u64 {
        match self {
            Self::CreatePage | Self::UpdateRow | Self::Adopt | Self::OpenConflict => 1,
            Self::InsertRow
            | Self::UpdatePage
            | Self::RestorePage
            | Self::MarkPage
            | Self::TrashStray
            | Self::TrashPage => 2,
            Self::SetAside | Self::DeleteRow => 1,
        }
    }

    /// The side it writes to; `None` when it only changes the engine's memory.
    pub fn writes(self) -> Option<Side> {
        match self {
            Self::UpdateRow | Self::InsertRow | Self::DeleteRow => Some(Side::Postgres),
            Self::UpdatePage
            | Self::RestorePage
            | Self::CreatePage
            | Self::MarkPage
            | Self::TrashStray
            | Self::TrashPage => Some(Side::Notion),
            Self::Adopt | Self::OpenConflict | Self::SetAside => None,
        }
    }

    /// The side on which it takes a record away.
    pub fn deletes(self) -> Option<Side> {
        match self {
            Self::TrashPage => Some(Side::Notion),
            Self::DeleteRow => Some(Side::Postgres),
            _ => None,
        }
    }
}

impl Operation {
    /// What people call the record: its key, or its page's id while it has none.
    pub fn name(&self) -> String {
        match (&self.key, &self.page) {
            (Some(key), _) => key.to_string(),
            (None, Some(page)) => page.to_string(),
            (None, None) => String::new(),
        }
    }

    /// SHA-256 of the whole operation with its values, as hexadecimal text.
    pub fn digest(&self) -> String {
        // A struct of strings, numbers and enums always has a JSON form.
        super::hex(&Sha256::digest(serde_json::to_vec(self).unwrap_or_default()))
    }
}

/// What a decision about one record comes to; empty when nothing has to be done.
///
/// `name` gives a property's name, `held` what a side holds now in a field.
pub fn operations(
    entity: &str,
    key: Option<&RecordKey>,
    page: Option<&PageId>,
    decision: &Decision,
    name: impl Fn(&PropertyId) -> String,
    held: impl Fn(&PropertyId, Side) -> Option<Value>,
) -> Vec<Operation> {
    let operation = |kind, reason, fields| Operation {
        entity: entity.to_owned(),
        key: key.cloned(),
        page: page.cloned(),
        kind,
        reason,
        fields,
    };
    let kind = match decision.presence.action {
        PresenceAction::Nothing | PresenceAction::Wait => return Vec::new(),
        PresenceAction::MergeFields => None,
        PresenceAction::CreatePage | PresenceAction::RecreatePage | PresenceAction::Reincarnate => {
            Some(OperationKind::CreatePage)
        }
        PresenceAction::InsertRow | PresenceAction::ReinsertRow => Some(OperationKind::InsertRow),
        PresenceAction::TrashPage | PresenceAction::TrashPageOutOfScope => Some(OperationKind::TrashPage),
        PresenceAction::RestorePage => Some(OperationKind::RestorePage),
        PresenceAction::MarkPage
        | PresenceAction::FlagDuplicate
        | PresenceAction::ClearLabel
        | PresenceAction::FlagUnknownId => Some(OperationKind::MarkPage),
        PresenceAction::TrashStray => Some(OperationKind::TrashStray),
        PresenceAction::Hold | PresenceAction::Detach | PresenceAction::Bury => Some(OperationKind::SetAside),
        PresenceAction::SoftDeleteRow | PresenceAction::DeleteRow => Some(OperationKind::DeleteRow),
        PresenceAction::OpenConflict => Some(OperationKind::OpenConflict),
        PresenceAction::Adopt => Some(OperationKind::Adopt),
    };
    if let Some(kind) = kind {
        return vec![operation(kind, decision.presence.reason, Vec::new())];
    }
    let mut by_kind: Vec<(OperationKind, Vec<FieldChange>)> = Vec::new();
    for field in &decision.fields {
        let (kind, side, to) = match &field.action {
            FieldAction::Push(value) => (OperationKind::UpdatePage, Side::Notion, Some(value.clone())),
            FieldAction::Pull(value) => (OperationKind::UpdateRow, Side::Postgres, Some(value.clone())),
            FieldAction::Conflict => (OperationKind::OpenConflict, Side::Notion, None),
            FieldAction::Keep | FieldAction::Rebase(_) | FieldAction::Freeze(_) | FieldAction::Defer => {
                continue;
            }
        };
        let change = FieldChange {
            property: field.property.clone(),
            name: name(&field.property),
            from: held(&field.property, side),
            to,
            reason: field.reason,
        };
        match by_kind.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, changes)) => changes.push(change),
            None => by_kind.push((kind, vec![change])),
        }
    }
    by_kind
        .into_iter()
        .map(|(kind, changes)| operation(kind, changes[0].reason, changes))
        .collect()
}
