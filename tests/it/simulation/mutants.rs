//! Planted bugs: each takes one rule of the sync semantics out, by a double around a port. The campaign must find them.

use serde::{Deserialize, Serialize};

macro_rules! mutants {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// One rule taken out.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub(crate) enum Mutant {
            $($(#[$doc])* $name,)*
        }

        impl Mutant {
            pub(crate) const ALL: &[Mutant] = &[$(Self::$name,)*];

            /// What is wrong with it.
            pub(crate) fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Its name on the command line.
            pub(crate) fn name(self) -> String {
                format!("{self:?}")
            }
        }
    };
}

mutants! {
    NoCompare = "row lock and compare: a row is written without looking at what it holds",
    NoOlderThanMark = "R2, older: a read from before our own write counts",
    NoPastValues = "R2, same minute: a value known to be of the past counts",
    NoDirectRead = "R1: the listing's page is taken for the truth",
    NoOwnLateWrite = "R3: our own late write counts as a person's edit",
    NoSettling = "R3 and R4: intents are written and never looked at",
    NoJournal = "no intent is written before a request",
    NoForcePush = "force_push is forgotten",
    OneBaseline = "one baseline serves both sides",
    BaselineBeforeAnswer = "the baseline moves before the answer is there",
    CreateRepeated = "a create without an answer is sent again at once",
    NoCreateWindow = "W_create is zero",
    NotFoundIsDeleted = "404 counts as deleted",
    IncompleteIsComplete = "a listing cut short counts as complete",
    HasMoreIgnored = "only the first part of a listing is read",
    MissingIsEmpty = "a property that the answer lacks counts as empty",
    ClocksAreOne = "Notion's time is compared as if it were the database's",
    HighWaterMinute = "the newest minute seen is left out of the next query",
    NoFence = "the lease is not looked at in a commit",
    CapForgetsToday = "deletions are counted in each run alone",
    OldestIsOwner = "the oldest of two pages owns the record",
    TargetsAlwaysThere = "a relation's target that went to the trash counts as removed by a person",
    NullIsFalse = "an empty number is written as zero",
    StatusAlways = "last_synced is written in every cycle",
    /// Not a bug of the engine: the checks themselves are wrong, and every schedule must fail.
    Canary = "the canary: the two sides are never the same",
}
