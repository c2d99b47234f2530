//! What to do about each error code, in one line.

use super::ErrorCode;

impl ErrorCode {
    /// The next step, as one line for a person who reads a report.
    pub fn next_step(self) -> &'static str {
        match self {
            Self::UnknownOption => "add the option to `options` in the mapping, or correct the row",
            Self::ValueOutOfRange => "map the column to a type that can hold it, or correct the value",
            Self::InvalidValue | Self::ConstraintViolation => "correct the value on the page",
            Self::PermissionDenied => "`frames-sync doctor` prints the GRANT that is missing",
            Self::RowRefused => "look for a trigger of the table that raises this SQLSTATE",
            Self::PageRefused => "correct the row's value, or the property in Notion",
            Self::CodecUnstable => "look for a trigger or a Notion automation that rewrites the field",
            Self::LeavesScope => "correct the value on the page: it decides whose row this is",
            Self::UnknownId => "clear the page's `postgres_id`, or delete the page",
            Self::DuplicatePage => {
                "trash the copy, or set `on_duplicate: new_row` with `on_page_create: insert_row`"
            }
            Self::PageTrashed => "restore the page, delete the row, or set `on_page_trash`",
            Self::PageMoved => "move the page back into its database",
            Self::PageInaccessible => "share the database with the connection again",
            Self::DeletedAndEdited | Self::ResurrectedPage | Self::OpenConflict | Self::InitialDiffers => {
                "`frames-sync conflicts list`, then `conflicts resolve ID --take postgres|notion`"
            }
            Self::IncompletePage => "fill the property that the table needs",
            Self::WaitingForReference => "nothing: it is set as soon as the other record is there",
            Self::ForeignReference => "nothing, unless the other record should be in this profile's scope",
            Self::PropertyDrift => "run `frames-sync setup` to add the property again, or change the mapping",
            Self::ColumnDrift => "correct the mapping: `frames-sync validate` shows the place",
            Self::TruncatedValue | Self::ReadTooEarly | Self::OutcomeUnknown => {
                "nothing: it is read again by itself"
            }
            Self::PageBusy => "nothing: it is written once the page rests",
            Self::LoopSuspected => "look for what edits the record each time that it is synced",
            Self::DeleteCap | Self::MassChange | Self::MassCreate | Self::ScopeChanged => {
                "look at `frames-sync plan`; if it is meant, `frames-sync approve HASH`"
            }
            Self::EmptySide => "check grants, database and filter with `frames-sync doctor`",
            Self::Quarantined => {
                "make sure that it is the right database and connection; then `frames-sync approve HASH`"
            }
            Self::Interrupted => "nothing: the next run goes on from what it sees",
            Self::StalePlan => "make a new plan",
            Self::ValueMoved => "`frames-sync explain` shows what stands there now",
            Self::NotUndoable => "`frames-sync history` shows what can be",
            Self::ProfileBusy => "wait until the other run ends; `frames-sync doctor` names it",
            Self::Usage => "look at the message, and at `frames-sync help`",
            Self::InvalidProject => "run `frames-sync validate`",
            Self::NotFound => "`frames-sync status` and `frames-sync history` name what there is",
            Self::NotSetUp => "run `frames-sync setup`",
            Self::PinMismatch => "check that the profile has its own token and database",
            Self::NotionFailed | Self::PostgresFailed => "`frames-sync doctor` says what is wrong",
        }
    }
}
