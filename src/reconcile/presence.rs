//! Who exists: row, page, and the link between them.
//!
//! The existence table E1–E19 of the sync semantics, section 4, as one total match. Silence is not deletion: a
//! side that was not seen for certain (`Unknown`) leads to waiting, whatever the other side says.

use serde::{Deserialize, Serialize};

use super::accept::Accepted;
use super::last_write::{Certainty, judge};
use super::{FieldFacts, Label, LinkFacts, Observation, PageState, Phase, Reason, RowState, Side};
use crate::mapping::{
    ConflictPolicy, Direction, OnDuplicate, OnInaccessible, OnPageCreate, OnPageTrash, OnRowDelete,
};

/// The row of the existence table that a record fell into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "the rows are described where they are decided, and in the sync semantics"
)]
pub enum Case {
    E1,
    E2,
    E3,
    E4,
    E5,
    E6,
    E7,
    E8,
    E9,
    E10,
    E11,
    E12,
    E13,
    E14,
    E15,
    E16,
    E17,
    E18,
    E19,
}

/// What to do about a record's existence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// The row of the table.
    pub case: Case,
    /// What to do.
    pub action: PresenceAction,
    /// Why.
    pub reason: Reason,
}

/// What is done about a record's existence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PresenceAction {
    /// Both sides are there: the fields decide.
    MergeFields,
    /// Nothing, for good or until something changes.
    Nothing,
    /// Nothing now; the record is looked at again.
    Wait,
    /// A page is created for the row.
    CreatePage,
    /// A row is inserted for the page.
    InsertRow,
    /// A row is put back for the page, under its old key.
    ReinsertRow,
    /// The page goes to the trash, and the link becomes a tombstone.
    TrashPage,
    /// The page goes to the trash until the row comes back into scope.
    TrashPageOutOfScope,
    /// The page is taken out of the trash and the row is pushed in full.
    RestorePage,
    /// The key came back: our trashed page is restored if it still can be, else a new one is created.
    Reincarnate,
    /// The page's status says that its row is gone.
    MarkPage,
    /// The link is kept, and nothing is done until a person acts.
    Hold,
    /// The page is no longer written.
    Detach,
    /// Row and page are gone; the link becomes a tombstone.
    Bury,
    /// The columns of the soft deletion are set.
    SoftDeleteRow,
    /// The row is deleted.
    DeleteRow,
    /// A new page is created in place of one out of reach.
    RecreatePage,
    /// A person must choose whether the record lives.
    OpenConflict,
    /// The page is linked to the row it names.
    Adopt,
    /// The page is marked as a duplicate.
    FlagDuplicate,
    /// A second page that a lost request of ours made goes to the trash; it does not count against the delete cap.
    TrashStray,
    /// The page's label is cleared, so that it can become a record of its own.
    ClearLabel,
    /// The page is shown as carrying an id that cannot be used.
    FlagUnknownId,
}

impl PresenceAction {
    /// Every action.
    pub const ALL: [PresenceAction; 23] = [
        Self::MergeFields,
        Self::Nothing,
        Self::Wait,
        Self::CreatePage,
        Self::InsertRow,
        Self::ReinsertRow,
        Self::TrashPage,
        Self::TrashPageOutOfScope,
        Self::RestorePage,
        Self::Reincarnate,
        Self::MarkPage,
        Self::Hold,
        Self::Detach,
        Self::Bury,
        Self::SoftDeleteRow,
        Self::DeleteRow,
        Self::RecreatePage,
        Self::OpenConflict,
        Self::Adopt,
        Self::FlagDuplicate,
        Self::TrashStray,
        Self::ClearLabel,
        Self::FlagUnknownId,
    ];

    /// Whether it is made from all that the page holds, so that an answer with a part of it is not enough.
    pub fn takes_whole_page(self) -> bool {
        matches!(
            self,
            Self::TrashPage
                | Self::TrashPageOutOfScope
                | Self::TrashStray
                | Self::RestorePage
                | Self::InsertRow
                | Self::ReinsertRow
        )
    }

    /// Whether a page out of reach is gone for good with it: another takes its place, or its row goes too.
    pub fn gives_page_up(self) -> bool {
        matches!(self, Self::RecreatePage | Self::Reincarnate) || self.deletes() == Some(Side::Postgres)
    }

    /// The side on which it takes a record away, for the delete cap.
    pub fn deletes(self) -> Option<Side> {
        match self {
            Self::TrashPage | Self::TrashPageOutOfScope => Some(Side::Notion),
            Self::DeleteRow | Self::SoftDeleteRow => Some(Side::Postgres),
            _ => None,
        }
    }
}

/// Edits that a deletion would remove, in the fields that travel from each side.
///
/// An edit on the side that a field only goes to is put back anyway, so nothing is lost with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// Some field of the row was edited.
    pub row: bool,
    /// Some field of the page was edited.
    pub page: bool,
    /// Some field of the page cannot be read, or may show the past: an edit cannot be ruled out.
    pub page_unsure: bool,
}

impl Edits {
    /// The edits that acceptance left.
    pub fn of(observation: &Observation, accepted: &[Accepted]) -> Self {
        let fields = || observation.fields.iter().zip(accepted);
        let to_postgres = || fields().filter(|(field, _)| field.direction != Direction::ToNotion);
        // What was never agreed on may be as new as any edit: the mapping names the field since, or a new life began.
        let is_news = |field: &FieldFacts, own: &Accepted| {
            own.page_changed || (own.bases.is_none() && field.page.is_ok() && !field.page_is_empty)
        };
        Self {
            row: fields().any(|(field, own)| field.direction != Direction::ToPostgres && own.row_changed),
            page: to_postgres().any(|(field, own)| is_news(field, own) && !own.stale),
            page_unsure: to_postgres().any(|(field, own)| own.stale || field.page.is_err()),
        }
    }
}

/// Decides about a record's existence, given the edits that it must not lose.
pub fn presence(observation: &Observation, edits: Edits) -> Presence {
    let verdict = |case, action, reason| Presence { case, action, reason };
    if observation.opted_out && observation.page == PageState::Live {
        // A person ticked the box: the record is left alone both ways.
        return verdict(Case::E1, PresenceAction::Nothing, Reason::OptedOut);
    }
    let (row, page) = (observation.row, observation.page);
    let Some(link) = &observation.link else {
        return without_link(observation);
    };
    if row == RowState::Unknown || page == PageState::Unknown {
        // A failed read or a listing that did not show the page: nothing is known, so nothing is done.
        return verdict(Case::E2, PresenceAction::Wait, Reason::NotSeenForCertain);
    }
    match link.phase {
        Phase::CreatingPage | Phase::TrashingPage if page == PageState::None => {
            // Our own request is under way; its outcome comes first.
            verdict(Case::E2, PresenceAction::Wait, Reason::OutcomeIsOpen)
        }
        Phase::Tombstone => after_the_end(observation, link),
        Phase::LeftScope => out_of_scope(observation),
        Phase::Held | Phase::Detached => set_aside(observation, link, edits),
        Phase::Linked | Phase::CreatingPage | Phase::TrashingPage => linked(observation, link, edits),
    }
}

/// E1–E8 and E10–E12: the link says that both are there.
fn linked(observation: &Observation, link: &LinkFacts, edits: Edits) -> Presence {
    let policy = &observation.policy.presence;
    let (case, action, reason) = match (observation.row, observation.page) {
        (RowState::Unknown, _) | (_, PageState::Unknown) => {
            (Case::E2, PresenceAction::Wait, Reason::NotSeenForCertain)
        }
        // Row and page are there.
        (RowState::Present, PageState::Live) => (Case::E1, PresenceAction::MergeFields, Reason::BothAreThere),
        // The application deleted the row, and whether somebody edited the page cannot be told.
        (RowState::Absent, PageState::Live) if edits.page_unsure && !edits.page => {
            (Case::E2, PresenceAction::Wait, Reason::NotSeenForCertain)
        }
        // The application deleted the row, and nobody touched the page since.
        (RowState::Absent, PageState::Live) if !edits.page => match policy.on_row_delete {
            OnRowDelete::TrashPage => (Case::E3, PresenceAction::TrashPage, Reason::RowWasDeleted),
            OnRowDelete::Mark => (Case::E3, PresenceAction::MarkPage, Reason::RowWasDeleted),
            OnRowDelete::Ignore => (Case::E3, PresenceAction::Nothing, Reason::RowWasDeleted),
        },
        // The application deleted the row while a person was editing its page.
        (RowState::Absent, PageState::Live) => {
            let action = delete_against_edit(observation, link);
            (Case::E4, action, Reason::RowWasDeletedAndPageEdited)
        }
        // Both were removed, each by its own people.
        (RowState::Absent, PageState::Trashed) => (Case::E5, PresenceAction::Bury, Reason::BothAreGone),
        // A person ticked the box and trashed the page: neither side is written.
        (RowState::Present, PageState::Trashed) if observation.opted_out => {
            (Case::E6, PresenceAction::Hold, Reason::PageWasTrashed)
        }
        // A person trashed the page of a row that did not change.
        (RowState::Present, PageState::Trashed) if !edits.row => {
            (Case::E6, on_trash(policy.on_page_trash), Reason::PageWasTrashed)
        }
        // A person trashed the page while the application was editing the row: the edit survives.
        (RowState::Present, PageState::Trashed) => {
            let action = match observation.policy.conflict {
                ConflictPolicy::NotionWins => on_trash(policy.on_page_trash),
                ConflictPolicy::Manual => PresenceAction::Hold,
                ConflictPolicy::PostgresWins | ConflictPolicy::LastWriteWins => PresenceAction::RestorePage,
            };
            (Case::E7, action, Reason::PageWasTrashedAndRowEdited)
        }
        // The row now belongs to somebody else, or to nobody.
        (RowState::OutOfScope, PageState::Live) => (
            Case::E8,
            PresenceAction::TrashPageOutOfScope,
            Reason::RowLeftScope,
        ),
        // It left, and its page was in the trash already.
        (RowState::OutOfScope, PageState::Trashed) => (Case::E8, PresenceAction::Hold, Reason::RowLeftScope),
        // A person moved the page to another place.
        (RowState::Present, PageState::Moved) => (Case::E10, PresenceAction::Detach, Reason::PageWasMoved),
        // The page is deleted for good, or no longer shared; the answer does not say which.
        (RowState::Present, PageState::Inaccessible | PageState::None) => {
            let action = if link.was_trashed || link.missed_for_a_day {
                match policy.on_inaccessible {
                    OnInaccessible::Hold => PresenceAction::Hold,
                    OnInaccessible::Recreate => PresenceAction::RecreatePage,
                    OnInaccessible::TreatAsDeleted => match on_trash(policy.on_page_trash) {
                        // What is out of reach cannot be taken out of the trash.
                        PresenceAction::RestorePage => PresenceAction::RecreatePage,
                        action => action,
                    },
                }
            } else {
                PresenceAction::Hold
            };
            (Case::E11, action, Reason::PageIsInaccessible)
        }
        // The row is gone and the page is where we cannot, or may not, reach it.
        (
            RowState::Absent | RowState::OutOfScope,
            PageState::Moved | PageState::Inaccessible | PageState::None,
        ) => (Case::E12, PresenceAction::Bury, Reason::PageWasLeftBehind),
    };
    Presence { case, action, reason }
}

/// E4: who wins when a delete meets an edit. Edit beats delete, unless policy or certainty says otherwise.
fn delete_against_edit(observation: &Observation, link: &LinkFacts) -> PresenceAction {
    match link.chosen {
        Some(Side::Postgres) => return PresenceAction::TrashPage,
        Some(Side::Notion) => return PresenceAction::ReinsertRow,
        None => {}
    }
    match observation.policy.conflict {
        ConflictPolicy::PostgresWins => PresenceAction::TrashPage,
        ConflictPolicy::NotionWins => PresenceAction::ReinsertRow,
        ConflictPolicy::Manual => PresenceAction::OpenConflict,
        ConflictPolicy::LastWriteWins => {
            let clocks = observation.fields.first().and_then(|field| field.clocks);
            let judgement = observation.deletion.map(|changed| judge(&changed, clocks));
            match judgement {
                Some(judgement)
                    if judgement.later == Some(Side::Postgres)
                        && judgement.certainty == Certainty::Proven =>
                {
                    PresenceAction::TrashPage
                }
                _ => PresenceAction::OpenConflict,
            }
        }
    }
}

fn on_trash(policy: OnPageTrash) -> PresenceAction {
    match policy {
        OnPageTrash::Hold => PresenceAction::Hold,
        OnPageTrash::RestorePage => PresenceAction::RestorePage,
        OnPageTrash::SoftDelete => PresenceAction::SoftDeleteRow,
        OnPageTrash::HardDelete => PresenceAction::DeleteRow,
    }
}

/// A link that is held or detached: only a person's act changes that.
fn set_aside(observation: &Observation, link: &LinkFacts, edits: Edits) -> Presence {
    let (case, action, reason) = match (observation.row, observation.page) {
        // In the trash: later edits of the row do not revive the page. What it was held for before is told no longer.
        (RowState::Present | RowState::OutOfScope, PageState::Trashed) => {
            let action = if link.was_trashed {
                PresenceAction::Nothing
            } else {
                PresenceAction::Hold
            };
            (Case::E6, action, Reason::PageWasTrashed)
        }
        // Still somewhere else.
        (RowState::Present, PageState::Moved) if link.phase == Phase::Detached => {
            (Case::E10, PresenceAction::Nothing, Reason::PageWasMoved)
        }
        // Still out of reach, with nothing new to say so.
        (RowState::Present, PageState::Inaccessible | PageState::None)
            if !link.was_trashed && !link.missed_for_a_day =>
        {
            (Case::E11, PresenceAction::Nothing, Reason::PageIsInaccessible)
        }
        // Anything else is a change: a page put back by a person, a row deleted at last.
        _ => return linked(observation, link, edits),
    };
    Presence { case, action, reason }
}

/// E9: the row had left the scope and we trashed its page.
fn out_of_scope(observation: &Observation) -> Presence {
    let (case, action, reason) = match (observation.row, observation.page) {
        (RowState::Unknown, _) | (_, PageState::Unknown) => {
            (Case::E2, PresenceAction::Wait, Reason::NotSeenForCertain)
        }
        // The row is back, and a person ticked the box of the page that is in the trash: it stays there.
        (RowState::Present, PageState::Trashed) if observation.opted_out => {
            (Case::E6, PresenceAction::Hold, Reason::PageWasTrashed)
        }
        // The row is back: the same page is restored and pushed in full.
        (RowState::Present, PageState::Trashed) => (
            Case::E9,
            PresenceAction::RestorePage,
            Reason::RowCameBackIntoScope,
        ),
        // The row is back and a person restored the page before us.
        (RowState::Present, PageState::Live) => (
            Case::E9,
            PresenceAction::MergeFields,
            Reason::RowCameBackIntoScope,
        ),
        (RowState::Present, PageState::Moved) => (Case::E10, PresenceAction::Detach, Reason::PageWasMoved),
        (RowState::Present, PageState::Inaccessible | PageState::None) => (
            Case::E9,
            PresenceAction::RecreatePage,
            Reason::RowCameBackIntoScope,
        ),
        // A person restored the page of a row that is still not ours.
        (RowState::OutOfScope, PageState::Live) => (
            Case::E8,
            PresenceAction::TrashPageOutOfScope,
            Reason::RowLeftScope,
        ),
        (RowState::OutOfScope, _) => (Case::E8, PresenceAction::Nothing, Reason::RowLeftScope),
        // It was deleted out there.
        (RowState::Absent, PageState::Live) => (
            Case::E14,
            PresenceAction::OpenConflict,
            Reason::PageWasResurrected,
        ),
        (RowState::Absent, _) => (Case::E5, PresenceAction::Bury, Reason::BothAreGone),
    };
    Presence { case, action, reason }
}

/// E13 and E14: the record had ended.
fn after_the_end(observation: &Observation, link: &LinkFacts) -> Presence {
    let (case, action, reason) = match (observation.row, observation.page) {
        (RowState::Unknown, _) | (_, PageState::Unknown) => {
            (Case::E2, PresenceAction::Wait, Reason::NotSeenForCertain)
        }
        // A row with the same key was inserted, and its former page is in the trash with its box ticked.
        (RowState::Present, PageState::Trashed) if observation.opted_out => {
            (Case::E6, PresenceAction::Hold, Reason::PageWasTrashed)
        }
        // A row with the same key was inserted: a new life, without the old baselines.
        (RowState::Present, _) => (Case::E13, PresenceAction::Reincarnate, Reason::KeyCameBack),
        // A person restored the page of a deleted row.
        (RowState::Absent, PageState::Live) => {
            let action = match (link.chosen, observation.policy.conflict) {
                (Some(Side::Notion), _) | (None, ConflictPolicy::NotionWins) => PresenceAction::ReinsertRow,
                (Some(Side::Postgres), _) => PresenceAction::TrashPage,
                (None, _) => PresenceAction::OpenConflict,
            };
            (Case::E14, action, Reason::PageWasResurrected)
        }
        // The page came back, but its key is another tenant's now.
        (RowState::OutOfScope, PageState::Live) => {
            (Case::E18, PresenceAction::FlagUnknownId, Reason::IdIsUnknown)
        }
        (RowState::Absent | RowState::OutOfScope, _) => {
            (Case::E5, PresenceAction::Nothing, Reason::BothAreGone)
        }
    };
    Presence { case, action, reason }
}

/// E15–E19: a row or a page that was never linked.
fn without_link(observation: &Observation) -> Presence {
    let policy = &observation.policy.presence;
    let (case, action, reason) = match (observation.row, observation.page, observation.label) {
        (RowState::Unknown, ..) | (_, PageState::Unknown, _) => {
            (Case::E2, PresenceAction::Wait, Reason::NotSeenForCertain)
        }
        // The application inserted a row.
        (RowState::Present, PageState::None, _) => (Case::E15, PresenceAction::CreatePage, Reason::RowIsNew),
        // A person made a page.
        (_, PageState::Live, Label::Empty) => {
            let action = match policy.on_page_create {
                OnPageCreate::Ignore => PresenceAction::Nothing,
                OnPageCreate::InsertRow if observation.page_is_ripe => PresenceAction::InsertRow,
                OnPageCreate::InsertRow => PresenceAction::Wait,
            };
            (Case::E16, action, Reason::PageIsNew)
        }
        // A person duplicated a page, and its label with it.
        (_, PageState::Live, Label::LinkedElsewhere) => {
            let action = match (policy.on_duplicate, policy.on_page_create) {
                (OnDuplicate::NewRow, OnPageCreate::InsertRow) => PresenceAction::ClearLabel,
                // Where no rows are made of pages, one without a label is on no list.
                (OnDuplicate::Flag, _) | (OnDuplicate::NewRow, OnPageCreate::Ignore) => {
                    PresenceAction::FlagDuplicate
                }
            };
            (Case::E17, action, Reason::PageIsDuplicate)
        }
        // A lost request of ours made it, after its record had got another page.
        (_, PageState::Live, Label::OwnStray) => (Case::E17, PresenceAction::TrashStray, Reason::PageIsStray),
        // The page names a row that waits for its page, and our journal or the set-up says that it is this one.
        (RowState::Present, PageState::Live, Label::Adoptable) => {
            (Case::E19, PresenceAction::Adopt, Reason::PageNamesRow)
        }
        // The page names a row, but nothing says that it should: a person may have typed it.
        (RowState::Present, PageState::Live, Label::Unlinked) => {
            (Case::E19, PresenceAction::FlagUnknownId, Reason::IdIsUnknown)
        }
        // One answer for a key that is not there and for one that is another tenant's.
        (_, PageState::Live, Label::Foreign | Label::Adoptable | Label::Unlinked) => {
            (Case::E18, PresenceAction::FlagUnknownId, Reason::IdIsUnknown)
        }
        // Nothing here is ours.
        (
            RowState::Present | RowState::OutOfScope | RowState::Absent,
            PageState::None | PageState::Trashed | PageState::Moved | PageState::Inaccessible,
            _,
        ) => (Case::E5, PresenceAction::Nothing, Reason::BothAreGone),
    };
    Presence { case, action, reason }
}
