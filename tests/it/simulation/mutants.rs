//! Planted bugs: each takes one rule of the sync semantics out, by a double around a port. The campaign must find them.

use serde::{Deserialize, Serialize};

macro_rules! mutants {
    ($($(#[$doc:meta])* $name:ident($seeds:literal) = $text:literal,)*) => {
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

            /// How many seeds found it when that was last measured; ten times as many are a failure.
            pub(crate) fn expected(self) -> u64 {
                match self { $(Self::$name => $seeds,)* }
            }

            /// Its name on the command line.
            pub(crate) fn name(self) -> String {
                format!("{self:?}")
            }
        }
    };
}

mutants! {
    NoCompare(357) = "row lock and compare: a row is written without looking at what it holds",
    NoOlderThanMark(35) = "R2, older: a read from before our own write counts (the known past, which stands behind it, is taken out too)",
    NoPastValues(868) = "R2, same minute: a value known to be of the past counts",
    NoDirectRead(19) = "R1: the listing's page is taken for the truth",
    NoOwnLateWrite(136) = "R3: our own late write counts as a person's edit",
    NoSettling(21) = "R3 and R4: intents are written and never looked at",
    NoJournal(21) = "no intent is written before a request",
    NoForcePush(42) = "force_push is forgotten",
    OneBaseline(397) = "one baseline serves both sides",
    BaselineBeforeAnswer(174) = "the baseline moves before the answer is there",
    CreateRepeated(27) = "a create without an answer is sent again at once",
    NoCreateWindow(27) = "W_create is zero",
    NotFoundIsDeleted(174) = "404 counts as deleted",
    IncompleteIsComplete(258) = "a listing cut short counts as complete (the query by label, which stands behind it, is taken out too)",
    HasMoreIgnored(14) = "only the first part of a listing is read",
    TruncatedIsWhole(44) = "the references that a page shows are taken for all that it has",
    MissingIsEmpty(223) = "a property that the answer lacks counts as empty",
    ClocksAreOne(405) = "Notion's time is compared as if it were the database's",
    HighWaterMinute(17) = "the newest minute seen is left out of the next query",
    NoScope(388) = "the scope is not looked at when a row is written",
    NoQuarantine(29) = "a restored database is taken for the one that the state was made in",
    NoFence(191) = "the lease is not looked at in a commit",
    CapForgetsToday(132) = "deletions are counted in each run alone",
    OldestIsOwner(230) = "the oldest of two pages owns the record",
    TargetsAlwaysThere(67) = "a relation's target that went to the trash counts as removed by a person",
    NullIsFalse(61) = "an empty number is written as zero",
    StatusAlways(1) = "last_synced is written in every cycle",
    /// Not a bug of the engine: the checks themselves are wrong, and every schedule must fail.
    Canary(1) = "the canary: the two sides are never the same",
}
