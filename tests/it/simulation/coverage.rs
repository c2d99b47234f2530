//! What a campaign must meet, or it proves less than it says: every row of the decision tables, every guard, every
//! crash row and every certainty, each with the words it is printed with.

use std::collections::BTreeMap;
use std::io::{self, Write};

use frames_sync::ports::{Progress, Watcher};
use frames_sync::reconcile::last_write::Certainty;
use frames_sync::reconcile::merge::{FieldAction, FieldDecision};
use frames_sync::reconcile::{Case, Fault, Presence, PresenceAction, Reason};

use super::world::World;

/// What was met, and how often.
pub(crate) type Met = BTreeMap<String, u64>;

/// Section 4: each row, and each thing that the policies make of it.
const EXISTENCE: &[(Case, PresenceAction, &str)] = {
    use Case::*;
    use PresenceAction as A;
    &[
        (E1, A::MergeFields, "E1   both there: the fields decide"),
        (E1, A::Nothing, "E1   opted out: left alone"),
        (E2, A::Wait, "E2   not seen for certain: wait"),
        (E3, A::TrashPage, "E3   row deleted: trash the page"),
        (E3, A::MarkPage, "E3   row deleted: mark the page"),
        (E3, A::Nothing, "E3   row deleted: ignore"),
        (E4, A::OpenConflict, "E4   row deleted, page edited: conflict"),
        (E4, A::TrashPage, "E4   row deleted, page edited: trash"),
        (
            E4,
            A::ReinsertRow,
            "E4   row deleted, page edited: put the row back",
        ),
        (E5, A::Bury, "E5   both gone: bury"),
        (E5, A::Nothing, "E5   both gone: nothing"),
        (E6, A::Hold, "E6   page trashed: hold"),
        (E6, A::RestorePage, "E6   page trashed: restore"),
        (E6, A::SoftDeleteRow, "E6   page trashed: soft delete"),
        (E6, A::DeleteRow, "E6   page trashed: hard delete"),
        (E6, A::Nothing, "E6   held before: nothing"),
        (
            E7,
            A::RestorePage,
            "E7   page trashed, row edited: restore and push",
        ),
        (E7, A::Hold, "E7   page trashed, row edited: hold"),
        (E7, A::SoftDeleteRow, "E7   page trashed, row edited: soft delete"),
        (E7, A::DeleteRow, "E7   page trashed, row edited: hard delete"),
        (E8, A::TrashPageOutOfScope, "E8   row left scope: trash the page"),
        (E8, A::Hold, "E8   row left scope, page trashed: hold"),
        (E8, A::Nothing, "E8   row out of scope still: nothing"),
        (E9, A::RestorePage, "E9   row came back into scope: restore"),
        (E9, A::MergeFields, "E9   row came back, page restored before us"),
        (
            E9,
            A::RecreatePage,
            "E9   row came back, page out of reach: make anew",
        ),
        (E10, A::Detach, "E10  page moved: detach"),
        (E10, A::Nothing, "E10  detached before: nothing"),
        (E11, A::Hold, "E11  page inaccessible: hold"),
        (E11, A::Nothing, "E11  held before: nothing"),
        (E11, A::RecreatePage, "E11  page inaccessible for long: make anew"),
        (
            E11,
            A::SoftDeleteRow,
            "E11  page inaccessible for long: soft delete",
        ),
        (E11, A::DeleteRow, "E11  page inaccessible for long: hard delete"),
        (E12, A::Bury, "E12  row gone, page out of reach: bury"),
        (E13, A::Reincarnate, "E13  key came back: a new life"),
        (
            E14,
            A::OpenConflict,
            "E14  page of a gone row came back: conflict",
        ),
        (
            E14,
            A::ReinsertRow,
            "E14  page of a gone row came back: put the row back",
        ),
        (
            E14,
            A::TrashPage,
            "E14  page of a gone row came back: trash, by choice",
        ),
        (E15, A::CreatePage, "E15  new row: create page"),
        (E16, A::Wait, "E16  new page: wait"),
        (E16, A::InsertRow, "E16  new page: insert row"),
        (E16, A::Nothing, "E16  new page: ignore"),
        (E17, A::FlagDuplicate, "E17  duplicate: flag"),
        (E17, A::ClearLabel, "E17  duplicate: becomes a record of its own"),
        (E17, A::TrashStray, "E17  own second page: trash"),
        (E18, A::FlagUnknownId, "E18  unknown id: flag"),
        (E19, A::Adopt, "E19  page names an unlinked row: adopt"),
        (E19, A::FlagUnknownId, "E19  page names an unlinked row: flag"),
    ]
};

/// Section 2: each row, F7 by policy and certainty, F8 by what is wrong, F9 by what a first look finds.
const FIELDS: &[&str] = &[
    "F0   own late write recognised",
    "F0   read may show the past: deferred",
    "F0   outcome of our own write open: deferred",
    "F1   nothing changed",
    "F2   row changed, Notion cannot show it: rebase",
    "F3   row changed: push",
    "F4   page changed, the column cannot hold it: rebase",
    "F5   page changed: pull",
    "F5/7 one way to Notion: page put back",
    "F3/7 one way to Postgres: row put back",
    "F6   same edit on both sides",
    "F7   postgres_wins: push",
    "F7   notion_wins: pull",
    "F7   manual: a person must choose",
    "F7   last_write_wins, proven: push",
    "F7   last_write_wins, proven: pull",
    "F7   last_write_wins, probable: push",
    "F7   last_write_wins, probable: pull",
    "F7   last_write_wins, probable is not enough: tie_break postgres",
    "F7   last_write_wins, probable is not enough: tie_break notion",
    "F7   last_write_wins, probable is not enough: tie_break manual",
    "F7   last_write_wins, tie: tie_break postgres",
    "F7   last_write_wins, tie: tie_break notion",
    "F7   last_write_wins, tie: tie_break manual",
    "F7   a person chose Postgres",
    "F7   a person chose Notion",
    "F8   column cannot be converted: frozen",
    "F8   property is not in the answer: frozen",
    "F8   the rest of a list is missing: frozen",
    "F8   reference waits for its page",
    "F8   reference leads out of the profile: frozen",
    "F9   first look agrees",
    "F9   first look fills Notion",
    "F9   first look fills Postgres",
    "F9   initial: postgres",
    "F9   initial: notion",
    "F9   initial: manual",
];

/// Section 8.
const GUARDS: &[&str] = &[
    "guard delete_cap",
    "guard empty_side",
    "guard mass_change",
    "guard mass_create",
    "guard quarantined",
    "guard scope_changed",
    "breaker: loop_suspected",
    "breaker: codec_unstable",
    "breaker: five records in a row that Postgres cannot serve",
    "strays: more than one run may trash",
    "approved",
];

/// Section 5: what each start after a crash or a lost answer finds.
const CRASHES: &[&str] = &[
    "5.1  push: killed before P2",
    "5.1  push: killed after P2, nothing sent",
    "5.1  push: request not applied, outcome unknown",
    "5.1  push: applied, answer lost",
    "5.1  push: given up on, applied later",
    "5.1  push: killed between answer and P5",
    "5.1  push: killed after P5",
    "5.1  push: 409",
    "5.1  push: unavailable",
    "5.2  pull: killed before COMMIT",
    "5.2  pull: killed after COMMIT",
    "5.2  pull: COMMIT unknown, applied",
    "5.2  pull: COMMIT unknown, not applied",
    "5.2  pull: refused by the table",
    "5.2  pull: the row had moved",
    "5.3  create: killed before C1",
    "5.3  create: killed after C1, nothing sent",
    "5.3  create: request not applied, outcome unknown",
    "5.3  create: applied, answer lost",
    "5.3  create: given up on, applied later",
    "5.3  create: killed between answer and C3",
    "5.3  create: killed after C3",
    "5.4  insert: killed before R1",
    "5.4  insert: killed after R1",
    "5.4  insert: killed between answer and R3",
    "5.5  trash: killed before T1",
    "5.5  trash: killed after T1, nothing sent",
    "5.5  trash: request not applied, outcome unknown",
    "5.5  trash: applied, answer lost",
    "5.5  trash: given up on, applied later",
    "5.5  trash: killed between answer and T3",
    "5.5  trash: killed after T3",
    "5.5  restore: killed after its intent, nothing sent",
    "5.5  restore: applied, answer lost",
    "5.5  restore: killed between answer and settling",
    "5.5  delete row: killed before COMMIT",
    "5.5  delete row: killed after COMMIT",
    "race window",
    "fenced",
];

/// Cells that no schedule of this world can reach, and why.
const UNREACHABLE: &[(&str, &str)] = &[
    ("E6   page trashed: soft delete", NO_SOFT_DELETE),
    ("E7   page trashed, row edited: soft delete", NO_SOFT_DELETE),
    ("E11  page inaccessible for long: soft delete", NO_SOFT_DELETE),
    (
        "guard mass_change",
        "it asks for 20 records, and worlds have fewer",
    ),
    (
        "guard mass_create",
        "it asks for 100 new records, and worlds have fewer",
    ),
    (
        "strays: more than one run may trash",
        "it asks for 21 second pages of one run, and worlds have fewer",
    ),
];

const NO_SOFT_DELETE: &str = "no tape draws soft_delete; the tests of the engine do";

/// How sure an order of two edits was, wherever it was asked.
const CERTAINTIES: &[&str] = &["certainty proven", "certainty probable", "certainty tie"];

/// Counts what is decided while a run goes on.
pub(crate) struct Counting<'a>(pub(crate) &'a World);

impl Watcher for Counting<'_> {
    fn tell(&self, progress: Progress<'_>) {
        let Progress::Decided { decision } = progress else {
            return;
        };
        let mut state = self.0.lock();
        let Presence { case, action, .. } = decision.presence;
        match EXISTENCE.iter().find(|cell| (cell.0, cell.1) == (case, action)) {
            Some((.., cell)) => state.met(cell),
            None => state.met(&format!("{case:?}: {action:?}, which the table does not list")),
        }
        for field in &decision.fields {
            if let Some(evidence) = field.evidence {
                state.met(match evidence.certainty {
                    Certainty::Proven => "certainty proven",
                    Certainty::Probable => "certainty probable",
                    Certainty::Tie => "certainty tie",
                });
            }
            if let Some(cell) = field_cell(field) {
                state.met(cell);
            }
        }
    }
}

/// The row of the field table that a decision is of.
fn field_cell(field: &FieldDecision) -> Option<&'static str> {
    let certainty = field.evidence.map(|evidence| evidence.certainty);
    Some(match (field.reason, certainty) {
        (Reason::OwnLateWrite, _) => "F0   own late write recognised",
        (Reason::ReadMayBeStale, _) => "F0   read may show the past: deferred",
        (Reason::OutcomeIsOpen, _) => "F0   outcome of our own write open: deferred",
        (Reason::NothingChanged, _) => "F1   nothing changed",
        (Reason::NotionCannotShowIt, _) => "F2   row changed, Notion cannot show it: rebase",
        (Reason::OnlyPostgresChanged, _) => "F3   row changed: push",
        (Reason::PostgresCannotHoldIt, _) => "F4   page changed, the column cannot hold it: rebase",
        (Reason::OnlyNotionChanged, _) => "F5   page changed: pull",
        (Reason::NotionIsReadOnly, _) => "F5/7 one way to Notion: page put back",
        (Reason::PostgresIsReadOnly, _) => "F3/7 one way to Postgres: row put back",
        (Reason::SameEditOnBothSides, _) => "F6   same edit on both sides",
        (Reason::PolicySaysPostgres, _) => "F7   postgres_wins: push",
        (Reason::PolicySaysNotion, _) => "F7   notion_wins: pull",
        (Reason::PersonMustChoose, None) => "F7   manual: a person must choose",
        (Reason::PostgresWasLater, _) => "F7   last_write_wins, proven: push",
        (Reason::NotionWasLater, _) => "F7   last_write_wins, proven: pull",
        (Reason::PostgresWasProbablyLater, _) => "F7   last_write_wins, probable: push",
        (Reason::NotionWasProbablyLater, _) => "F7   last_write_wins, probable: pull",
        (Reason::TieGoesToPostgres, Some(Certainty::Probable)) => {
            "F7   last_write_wins, probable is not enough: tie_break postgres"
        }
        (Reason::TieGoesToNotion, Some(Certainty::Probable)) => {
            "F7   last_write_wins, probable is not enough: tie_break notion"
        }
        (Reason::PersonMustChoose, Some(Certainty::Probable)) => {
            "F7   last_write_wins, probable is not enough: tie_break manual"
        }
        (Reason::TieGoesToPostgres, _) => "F7   last_write_wins, tie: tie_break postgres",
        (Reason::TieGoesToNotion, _) => "F7   last_write_wins, tie: tie_break notion",
        (Reason::PersonMustChoose, Some(_)) => "F7   last_write_wins, tie: tie_break manual",
        (Reason::PersonChosePostgres, _) => "F7   a person chose Postgres",
        (Reason::PersonChoseNotion, _) => "F7   a person chose Notion",
        (Reason::ValueIsUnreadable, _) => {
            let FieldAction::Freeze(error) = &field.action else {
                return None;
            };
            match error.fault {
                Fault::PropertyDrift => "F8   property is not in the answer: frozen",
                Fault::Truncated => "F8   the rest of a list is missing: frozen",
                Fault::WaitingForReference => "F8   reference waits for its page",
                Fault::ForeignReference => "F8   reference leads out of the profile: frozen",
                _ => "F8   column cannot be converted: frozen",
            }
        }
        (Reason::FirstLookAgrees, _) => "F9   first look agrees",
        (Reason::FirstLookFillsNotion, _) => "F9   first look fills Notion",
        (Reason::FirstLookFillsPostgres, _) => "F9   first look fills Postgres",
        (Reason::InitialSaysPostgres, _) => "F9   initial: postgres",
        (Reason::InitialSaysNotion, _) => "F9   initial: notion",
        (Reason::InitialNeedsPerson, _) => "F9   initial: manual",
        _ => return None,
    })
}

/// Prints every table with its counts; answers how many cells were never met.
pub(crate) fn tables(met: &Met, out: &mut dyn Write) -> io::Result<usize> {
    let existence: Vec<&str> = EXISTENCE.iter().map(|(.., cell)| *cell).collect();
    let tables = [
        ("the existence table, E1-E19", existence.as_slice()),
        ("the field table, F1-F9", FIELDS),
        ("how sure the order of two edits was", CERTAINTIES),
        ("guards and breakers", GUARDS),
        ("crash rows of the write protocols", CRASHES),
    ];
    let mut unmet = Vec::new();
    for (title, cells) in tables {
        writeln!(out, "\n{title}:")?;
        for cell in cells {
            let count = met.get(*cell).copied().unwrap_or(0);
            let reason = UNREACHABLE.iter().find(|(name, _)| name == cell);
            match (count, reason) {
                (0, Some((_, why))) => writeln!(out, "           -  {cell} (out of reach: {why})")?,
                (0, None) => {
                    unmet.push(*cell);
                    writeln!(out, "       UNMET  {cell}")?;
                }
                _ => writeln!(out, "{count:>12}  {cell}")?,
            }
        }
    }
    let listed = |what: &str| tables.iter().any(|(_, cells)| cells.contains(&what));
    writeln!(out, "\nmet beside that:")?;
    for (what, count) in met.iter().filter(|(what, _)| !listed(what)) {
        writeln!(out, "{count:>12}  {what}")?;
    }
    match unmet.len() {
        0 => writeln!(out, "\nevery cell was met")?,
        count => writeln!(out, "\n{count} cells were never met: {}", unmet.join("; "))?,
    }
    Ok(unmet.len())
}
