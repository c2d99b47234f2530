//! Why a record, a field or an entity is not in step: stable codes, each with its explanation.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reconcile::Fault;

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal: $explanation:literal,)*) => {
        /// A stable code for everything that can keep a record out of step.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)*
        }

        impl ErrorCode {
            /// Every code, in the order of the documentation.
            pub const ALL: &[ErrorCode] = &[$(Self::$name,)*];

            /// The code as reports print it.
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// What happened, what it means and what to do, in full sentences.
            pub fn explanation(self) -> &'static str {
                match self { $(Self::$name => $explanation,)* }
            }
        }
    };
}

error_codes! {
    /// A value that is no option of the property.
    UnknownOption = "unknown_option": "The row holds a value that is not among the property's options. \
        Add it to `options` in the mapping, set `on_unknown_option: create`, or correct the row.",
    /// A value that the other side cannot hold.
    ValueOutOfRange = "value_out_of_range": "The value cannot be written on the other side without loss: a number \
        beyond 2^53, a text too long, a date out of range. The field is left as it is on both sides; map the \
        column to a type that can hold it, or correct the value.",
    /// A value that cannot be understood as the column's type.
    InvalidValue = "invalid_value": "The value in Notion cannot be read as the column's type. Correct it on the \
        page; the field is left alone until then.",
    /// Postgres refused the values by a constraint.
    ConstraintViolation = "constraint_violation": "Postgres refuses the value because of the constraint that the \
        message names. The row is unchanged and the page keeps its value. Correct the value on the page; it is \
        tried again when either value changes, else after 1, 4 and 24 hours.",
    /// Postgres refused the write for the role.
    PermissionDenied = "permission_denied": "The database role may not write this column. `frames-sync doctor` \
        prints the GRANT that is missing.",
    /// Postgres refused for another reason.
    RowRefused = "row_refused": "Postgres or one of its triggers refuses the row. The message has the SQLSTATE; \
        the text that a trigger raised is not shown because it may hold another tenant's data.",
    /// The page write was refused.
    PageRefused = "page_refused": "Notion refuses the values as they stand. The message has Notion's reason.",
    /// Notion stored something else than was sent.
    CodecUnstable = "codec_unstable": "The other side keeps storing something else than what is written, or the \
        same field was written the same way more than 3 times with no edit by a person. The field is frozen; \
        look for a trigger or a Notion automation that rewrites it.",
    /// A write would have put the row outside the profile's scope.
    LeavesScope = "leaves_scope": "Writing the page's value would move the row out of this profile's scope, so \
        nothing was written.",
    /// A page names a key that is not this profile's.
    UnknownId = "unknown_id": "The page's `postgres_id` is no key that this profile may use. Clear it to let the \
        page become a new record, or delete the page.",
    /// Two pages for one record.
    DuplicatePage = "duplicate_page": "This page carries the `postgres_id` of a record that has another page. Its \
        edits are not read. Trash it, or set `on_duplicate: new_row` with `on_page_create: insert_row`.",
    /// A page is in the trash while its row is not.
    PageTrashed = "page_trashed": "The page was put in the trash while its row is still there. Nothing is done by \
        default; restore the page, delete the row, or set `on_page_trash`.",
    /// A page was moved out of the database.
    PageMoved = "page_moved": "The page was moved out of its database. It is no longer written; move it back, or \
        delete the link.",
    /// A page cannot be read.
    PageInaccessible = "page_inaccessible": "The page cannot be read with this connection: it was deleted for good \
        or is no longer shared. Share the database with the connection again.",
    /// A row was deleted while its page was edited.
    DeletedAndEdited = "deleted_and_edited": "The row was deleted while its page had edits that no row holds. The \
        page is kept and marked until a person chooses.",
    /// A page came back after its row was gone.
    ResurrectedPage = "resurrected_page": "The page was restored from the trash after its row had been deleted.",
    /// A page made by a person is not complete.
    IncompletePage = "incomplete_page": "A row cannot be made of this page yet: a property that the table needs is \
        empty. Fill it; the row is made once the page has rested.",
    /// A relation leads to a record without a page or row.
    WaitingForReference = "waiting_for_reference": "The relation leads to a record that is not on the other side \
        yet. It is set as soon as that record is.",
    /// A relation leads out of the profile.
    ForeignReference = "foreign_reference": "The relation leads to a record outside this profile. It is not \
        written, and its key is not shown in Notion.",
    /// A property is gone, or of another type.
    PropertyDrift = "property_drift": "The property was deleted or given another type in Notion, or one of its \
        options another name. What is gone is frozen on both sides, and nothing is read as empty: run `setup` to add it \
        again, or change the mapping. A renamed option goes on under its old name until the mapping has the new one.",
    /// A column is gone, or of another type.
    ColumnDrift = "column_drift": "The column was dropped or given another type. The field is frozen on both \
        sides until the mapping and the table agree.",
    /// A value came truncated.
    TruncatedValue = "truncated_value": "Notion answered only a part of the value and the rest could not be read. \
        Nothing is compared or written until it can.",
    /// A write may or may not have been applied.
    OutcomeUnknown = "outcome_unknown": "The answer to a write was lost. The record is left until Notion can no \
        longer apply it late, then read and settled.",
    /// A read may show the past.
    ReadTooEarly = "read_too_early": "The page may still show the state before our own last write. It is read \
        again shortly.",
    /// A person is editing the page.
    PageBusy = "page_busy": "A person edited the page within the last minutes; it is left until it rests.",
    /// One record was written too often.
    LoopSuspected = "loop_suspected": "This record was written more than 20 times within an hour. A trigger and a \
        Notion automation may be feeding each other. The record is frozen for the rest of the hour.",
    /// Waits for a person.
    OpenConflict = "open_conflict": "Both sides changed the field and the policy leaves the choice to a person: \
        `frames-sync conflicts list`, then `conflicts resolve`.",
    /// The delete cap.
    DeleteCap = "delete_cap": "The plan deletes more records than the cap allows in one run or one day: the \
        smaller of 500 and the larger of 3 and 5 % of the linked records. Nothing was written. Look at the plan; \
        `approve` lets exactly this plan run once.",
    /// A side came back empty.
    EmptySide = "empty_side": "Records are linked, but one side lists none at all. That is rather a lost grant, a \
        wrong database or a wrong filter than a wish. Nothing was written.",
    /// One field changed in most rows.
    MassChange = "mass_change": "One field changed in more than half of the records. Nothing was written. If it \
        was meant, `approve` the plan.",
    /// Very many new records.
    MassCreate = "mass_create": "Far more records appeared than there were. Nothing was written. If it was meant, \
        `approve` the plan.",
    /// The mapping chooses other rows.
    ScopeChanged = "scope_changed": "The mapping's table, key or scope has changed since it was last applied. Rows \
        that the new scope leaves out would lose their pages, so nothing was written. Look at the plan; `approve` \
        lets exactly this plan run once.",
    /// State and world no longer belong together.
    Quarantined = "quarantined": "The sync state does not seem to belong to this database and connection any more: \
        one of them was restored, copied, failed over or replaced. Older baselines would make what is newer look like \
        an edit, so nothing was written. Look at the plan; `approve` lets exactly this plan run once and takes the \
        present database and connection over.",
    /// The saved plan no longer fits.
    StalePlan = "stale_plan": "A side has moved since the plan was saved, so it was not applied. Make a new plan.",
    /// A value moved since the entry that is to be undone.
    ValueMoved = "value_moved": "What the entry of the audit log wrote is no longer there: somebody changed it since. \
        Putting the old value back would lose that, so it was not done. `frames-sync explain` shows what stands there; \
        write the old value yourself, or undo the later entry first.",
    /// An entry that cannot be put back.
    NotUndoable = "not_undoable": "The entry of the audit log overwrote or deleted nothing that can be put back, or \
        the next sync would only overwrite it again. The message says which.",
    /// Another runner holds the profile.
    ProfileBusy = "profile_busy": "Another run holds this profile's lease. It is released when that run ends, or \
        when its lease expires.",
    /// The process was asked to stop.
    Interrupted = "interrupted": "The process was asked to stop, so the cycle ended early. Nothing is lost: what \
        was under way is in the journal, and the next cycle goes on from what both sides hold.",
    /// The command line cannot be understood.
    Usage = "usage": "The command line cannot be understood, or names a project, profile, entity, property or file \
        that is not there. Nothing was done.",
    /// The project or a mapping is broken.
    InvalidProject = "invalid_project": "The project file or a mapping has an error, or does not fit the database. \
        `frames-sync validate` shows every finding in its place. Nothing was done.",
    /// Nothing has that name.
    NotFound = "not_found": "Neither the sync state nor the two sides have a record, conflict, entry or run of that \
        name in the profile.",
    /// Not set up yet.
    NotSetUp = "not_set_up": "The entity has no database in Notion yet. Run `frames-sync setup`.",
    /// The pinned identity differs.
    PinMismatch = "pin_mismatch": "The workspace, connection, data source or database is not the one this profile \
        was set up with. Nothing was read or written.",
    /// Both sides differ on first linking and the mapping does not say who wins.
    InitialDiffers = "initial_differs": "A row and a page that were never linked hold different values, and \
        `initial` leaves the choice to a person.",
    /// Notion failed.
    NotionFailed = "notion_failed": "Notion cannot be reached, or refuses the connection.",
    /// Postgres failed.
    PostgresFailed = "postgres_failed": "The database cannot be reached, or failed.",
}

impl From<Fault> for ErrorCode {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::UnknownOption => Self::UnknownOption,
            Fault::OutOfRange => Self::ValueOutOfRange,
            Fault::Invalid => Self::InvalidValue,
            Fault::Truncated => Self::TruncatedValue,
            Fault::PropertyDrift => Self::PropertyDrift,
            Fault::ColumnDrift => Self::ColumnDrift,
            Fault::Unstable => Self::CodecUnstable,
            Fault::WaitingForReference => Self::WaitingForReference,
            Fault::ForeignReference => Self::ForeignReference,
            Fault::Refused => Self::ConstraintViolation,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_in_json_is_the_code_in_text() {
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.code());
        }
    }
}
