//! Why a decision was made.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Why something is done, or not done: each reads as the end of a sentence about the record or field.
        ///
        /// A reason explains; it never steers what is applied.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Reason] = &[$(Self::$name,)*];

            /// The reason in words.
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

reasons! {
    /// F1.
    NothingChanged = "nothing changed",
    /// F2.
    NotionCannotShowIt = "the row changed in a way that Notion does not show",
    /// F3.
    OnlyPostgresChanged = "only Postgres changed",
    /// F4.
    PostgresCannotHoldIt = "the page changed in a way that the column does not hold",
    /// F5.
    OnlyNotionChanged = "only Notion changed",
    /// F6.
    SameEditOnBothSides = "both sides were given the same value",
    /// F7 by policy.
    PolicySaysPostgres = "both sides changed, and the mapping says that Postgres wins",
    /// F7 by policy.
    PolicySaysNotion = "both sides changed, and the mapping says that Notion wins",
    /// F7 by time, proven.
    PostgresWasLater = "both sides changed, and Postgres was certainly later",
    /// F7 by time, proven.
    NotionWasLater = "both sides changed, and Notion was certainly later",
    /// F7 by time, probable.
    PostgresWasProbablyLater = "both sides changed, and Postgres was probably later",
    /// F7 by time, probable.
    NotionWasProbablyLater = "both sides changed, and Notion was probably later",
    /// F7 by tie-break.
    TieGoesToPostgres = "both sides changed at about the same time, and ties go to Postgres",
    /// F7 by tie-break.
    TieGoesToNotion = "both sides changed at about the same time, and ties go to Notion",
    /// F7 open.
    PersonMustChoose = "both sides changed, and a person must choose",
    /// F7 chosen.
    PersonChosePostgres = "a person chose the value of Postgres",
    /// F7 chosen.
    PersonChoseNotion = "a person chose the value of Notion",
    /// F7 by group.
    GroupMustDecideTogether = "its group changed on both sides",
    /// F8.
    ValueIsUnreadable = "a value cannot be read or converted",
    /// F9.
    FirstLookAgrees = "both sides already agree at first sight",
    /// F9.
    FirstLookFillsNotion = "the property is still empty",
    /// F9.
    FirstLookFillsPostgres = "the column is still empty",
    /// F9.
    InitialSaysPostgres = "both sides differ at first sight, and the mapping says that Postgres wins",
    /// F9.
    InitialSaysNotion = "both sides differ at first sight, and the mapping says that Notion wins",
    /// F9.
    InitialNeedsPerson = "both sides differ at first sight, and a person must choose",
    /// A one-way field was edited on the side that is only told.
    NotionIsReadOnly = "the field goes to Notion only, and the edit there is put back",
    /// A one-way field was edited on the side that is only told.
    PostgresIsReadOnly = "the field goes to Postgres only, and the edit there is put back",
    /// R3.
    OwnLateWrite = "a request of ours arrived late, and the row's value follows again",
    /// R2.
    ReadMayBeStale = "the answer may still show the past",
    /// R4, open.
    OutcomeIsOpen = "the outcome of our own last write is not known yet",
    /// The checkbox.
    OptedOut = "the record is opted out",
    /// E1.
    BothAreThere = "row and page are both there",
    /// E2.
    NotSeenForCertain = "a side was not seen for certain",
    /// E3.
    RowWasDeleted = "the row was deleted",
    /// E4.
    RowWasDeletedAndPageEdited = "the row was deleted while its page was edited",
    /// E5.
    BothAreGone = "row and page are both gone",
    /// E6.
    PageWasTrashed = "the page was put in the trash",
    /// E7.
    PageWasTrashedAndRowEdited = "the page was put in the trash while its row was edited",
    /// E8.
    RowLeftScope = "the row left the profile's scope",
    /// E9.
    RowCameBackIntoScope = "the row came back into the profile's scope",
    /// E10.
    PageWasMoved = "the page was moved out of the database",
    /// E11.
    PageIsInaccessible = "the page can no longer be read",
    /// E12.
    PageWasLeftBehind = "the row is gone and the page is out of reach",
    /// E13.
    KeyCameBack = "a row with this key came back",
    /// E14.
    PageWasResurrected = "the page came back after its row was gone",
    /// E15.
    RowIsNew = "the row has no page",
    /// E16.
    PageIsNew = "a person made the page",
    /// E17.
    PageIsDuplicate = "the record has another page",
    /// 5.3.
    PageIsStray = "a lost request of ours made the page after all, and its record has another one",
    /// E18.
    IdIsUnknown = "the page names a key that is not this profile's",
    /// E19.
    PageNamesRow = "the page names this row",
    /// 6.3.
    KeyWasRenamed = "the row was given another key",
    /// 6.2.
    LabelWasEdited = "a person edited the page's `postgres_id`",
    /// The page shows another status than the record has.
    StatusChanged = "the record's status changed",
    /// A person asked for it.
    Undone = "a person asked to undo it",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
