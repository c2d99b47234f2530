//! What a schedule is mostly about, and what that comes to: its setting, what people do, what goes wrong, and how fast.

use frames_sync::mapping::{Initial, OnInaccessible, OnPageCreate, OnPageTrash, OnRowDelete};
use serde::{Deserialize, Serialize};

use super::tape::{Millis, Op, Setting, Stream};

/// What a schedule is mostly about: rules that guard against rare meetings need schedules in which these are not rare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Focus {
    /// Whatever comes.
    #[default]
    Anything,
    /// Direct reads that show the past, while both sides edit one field several times in a minute.
    Stale,
    /// Requests that arrive late, or without an answer, while both sides edit one field.
    Late,
    /// Edits in the newest minute that a listing showed, without faults.
    Minute,
    /// Listings that end early and pages that cannot be read for a moment, a day apart.
    Absence,
    /// A process that sleeps past its lease, beside one that takes over.
    Takeover,
    /// Rows that go, a few in each cycle, under the default cap.
    Removals,
    /// Pages that are duplicated, trashed and brought back; targets in the trash.
    Twins,
    /// Two tenants on one table, and rows that go from one to the other.
    Neighbours,
    /// The database, put back to an earlier instant.
    Restore,
    /// Options and properties that people rename, remove and change.
    Drift,
    /// New rows whose pages a lost request made after all, long after it was given up on.
    Strays,
    /// A mapping that names a field later, under either policy for a first look, and chooses its rows in other words.
    Mapping,
    /// Processes killed while rows and pages are made, brought back and removed; a database that takes no commit for a while.
    Blows,
    /// References to several targets, set on both sides.
    References,
    /// A row that leaves the scope while its page's edit is on the way to it.
    Leaving,
    /// A table that rewrites what is pulled, before people and before faults.
    Rewrites,
}

impl Focus {
    /// About six of ten schedules are drawn around one rare meeting each, and two more around what breaks in it.
    pub(super) fn draw(choice: &mut Stream) -> Self {
        match choice.below(100) {
            0..10 => Self::Stale,
            10..18 => Self::Late,
            18..24 => Self::Minute,
            24..29 => Self::Absence,
            29..35 => Self::Takeover,
            35..40 => Self::Removals,
            40..46 => Self::Twins,
            46..52 => Self::Neighbours,
            52..57 => Self::Restore,
            57..63 => Self::Drift,
            63..66 => Self::Strays,
            66..69 => Self::Mapping,
            69..73 => Self::Blows,
            73..76 => Self::References,
            76..79 => Self::Leaving,
            79..83 => Self::Rewrites,
            _ => Self::Anything,
        }
    }

    /// The time between two things that people do.
    pub(super) fn pace(self, size: &mut Stream) -> Millis {
        match self {
            Self::Stale => size.pick(&[4_000, 8_000, 15_000]),
            Self::Late | Self::Minute | Self::Rewrites => size.pick(&[8_000, 20_000, 40_000]),
            Self::Takeover | Self::Removals => 30_000,
            // Longer than a new page may be missing from the index, and several cycles more on either side of the day.
            Self::Absence => 120_000,
            Self::Strays => 60_000,
            Self::Leaving => 4_000,
            _ => size.pick(&[2_000, 10_000, 30_000, 90_000]),
        }
    }

    /// The time between two cycles.
    pub(super) fn gap(self, draw: &mut Stream) -> Millis {
        match self {
            Self::Stale | Self::Leaving => draw.pick(&[5_000, 10_000]),
            Self::Absence => 240_000,
            Self::Late | Self::Takeover | Self::Minute | Self::Rewrites => draw.pick(&[10_000, 30_000]),
            Self::Strays => draw.pick(&[30_000, 60_000]),
            _ => draw.pick(&[10_000, 30_000, 60_000, 180_000]),
        }
    }

    /// How many faults there are among so many acts.
    pub(super) fn faults(self, draw: &mut Stream, count: Millis) -> Millis {
        match self {
            Self::Takeover => draw.between(2, 6),
            Self::Stale | Self::Late | Self::Minute | Self::Strays | Self::Blows => {
                draw.between(count / 2, count * 2)
            }
            // A page must be missed by every look for a day.
            Self::Absence => draw.between(count, count * 5),
            _ => draw.between(1, 3 + count / 3),
        }
    }

    /// The number of the fault that it is mostly about; the rest is drawn as in any other.
    pub(super) fn fault(self, draw: &mut Stream, roll: u64) -> Option<usize> {
        match self {
            Self::Stale if roll < 80 => Some(5),
            Self::Late if roll < 80 => Some(draw.pick(&[2, 3, 4, 4, 12])),
            Self::Absence if roll < 90 => Some(draw.pick(&[7, 14])),
            Self::Takeover if roll < 80 => Some(13),
            Self::Strays if roll < 80 => Some(draw.pick(&[2, 3, 4, 4])),
            Self::Blows if roll < 60 => Some(12),
            Self::Blows if roll < 80 => Some(19),
            Self::Leaving if roll < 80 => Some(8),
            Self::Rewrites if roll < 80 => Some(draw.pick(&[0, 2, 3, 12])),
            _ => None,
        }
    }
}

impl Setting {
    /// What the focus takes for granted.
    pub(super) fn focused(mut self, focus: Focus, draw: &mut Stream) -> Self {
        self.focus = focus;
        match focus {
            Focus::Anything => return self,
            Focus::Stale | Focus::Late => {
                self.records = 1;
                self.fields = 1;
                self.index_lag = draw.pick(&[20, 120]);
                self.latency = 300;
                self.quiet_page = false;
                self.relations = false;
            }
            Focus::Minute => {
                self.incremental = true;
                self.records = 3;
                self.quiet_page = false;
            }
            Focus::Absence => {
                self.records = 4;
                self.incremental = false;
                self.on_inaccessible = draw.pick(&[OnInaccessible::Recreate, OnInaccessible::TreatAsDeleted]);
            }
            Focus::Takeover => self.quiet_page = false,
            Focus::Removals => {
                self.strict_cap = true;
                self.records = 8;
                self.on_row_delete = OnRowDelete::TrashPage;
            }
            Focus::Twins => {
                self.relations = true;
                self.records = 2;
            }
            Focus::Neighbours => {
                self.neighbour = true;
                self.records = 2;
            }
            Focus::Restore => {
                self.records = 2;
                self.initial = draw.pick(&[
                    None,
                    Some(Initial::Postgres),
                    Some(Initial::Notion),
                    Some(Initial::Manual),
                ]);
            }
            Focus::Drift => {
                self.typed = true;
                self.records = 2;
            }
            Focus::Strays => {
                self.records = 2;
                self.index_lag = draw.pick(&[20, 120]);
                self.quiet_page = false;
                self.relations = false;
            }
            Focus::Mapping => {
                self.records = 2;
                self.fields = 3;
                self.initial = draw.pick(&[
                    Some(Initial::Postgres),
                    Some(Initial::Notion),
                    Some(Initial::Manual),
                ]);
            }
            Focus::Blows => {
                // As many as the breaker asks for.
                self.records = 6;
                self.strict_cap = false;
                self.quiet_page = false;
                self.on_page_create = OnPageCreate::InsertRow;
                self.on_page_trash = draw.pick(&[OnPageTrash::HardDelete, OnPageTrash::RestorePage]);
            }
            Focus::References => {
                self.relations = true;
                self.many_targets = true;
                self.records = 2;
            }
            Focus::Leaving => {
                self.records = 1;
                self.fields = 1;
                self.latency = 4_000;
                self.quiet_page = false;
            }
            Focus::Rewrites => {
                self.records = 1;
                self.fields = 2;
                self.table_acts = true;
                self.quiet_page = false;
            }
        }
        self.late_field = focus == Focus::Mapping;
        self.table_acts &= [Focus::Twins, Focus::Rewrites].contains(&focus);
        self.reverts = false;
        self
    }
}

/// What people mostly do in a focused schedule; the rest is drawn as in any other.
pub(super) fn focused(setting: &Setting, draw: &mut Stream) -> Option<Op> {
    let record = draw.small(setting.records);
    let flag = draw.chance(50);
    let roll = draw.below(100);
    match setting.focus {
        Focus::Stale | Focus::Late if roll < 90 => Some(if flag {
            Op::RowSet { record, field: 0 }
        } else {
            Op::PageSet { record, field: 0 }
        }),
        Focus::Minute if roll < 80 => Some(Op::PageSet {
            record,
            field: draw.small(setting.fields),
        }),
        // Of what stands beyond the first part of a listing nobody reminds it.
        Focus::Absence if roll < 70 => Some(if flag {
            Op::RowSet {
                record: record % 3,
                field: 0,
            }
        } else {
            Op::PageSet {
                record: record % 3,
                field: 0,
            }
        }),
        Focus::Absence if roll < 80 => Some(Op::PageHide { record }),
        Focus::Removals if roll < 80 => Some(Op::RowDelete { record }),
        Focus::Twins if roll < 70 => Some(match draw.below(8) {
            0 => Op::PageDuplicate { record },
            1 if flag => Op::CopyUnlabel { record },
            1 => Op::TargetTrash {
                target: draw.small(2),
            },
            2 => Op::PageRelate {
                record,
                target: draw.small(2),
            },
            3 => Op::RowRelate {
                record,
                target: draw.small(2),
            },
            4 => Op::PageTrash { record },
            5 => Op::PageRestore { record },
            6 => Op::RowDelete { record },
            _ => Op::RowInsert { record },
        }),
        Focus::Neighbours if roll < 70 => Some(match draw.below(6) {
            0 => Op::RowLeave { record },
            1 => Op::RowReturn { record },
            2 => Op::NeighbourRowSet {
                record: draw.small(4),
                field: draw.small(2),
            },
            3 => Op::NeighbourPageSet {
                record: draw.small(4),
                field: draw.small(2),
            },
            4 => Op::PageSet {
                record,
                field: draw.small(2),
            },
            _ => Op::RowSet {
                record,
                field: draw.small(2),
            },
        }),
        Focus::Drift if roll < 80 => Some(match draw.below(20) {
            0..5 => Op::RowKind {
                record,
                option: draw.small(4),
            },
            5..10 => Op::PageKind {
                record,
                option: draw.small(4),
            },
            10..12 => Op::RowDone {
                record,
                state: draw.small(3),
            },
            12..14 => Op::PageDone { record },
            14 => Op::OptionRename {
                option: draw.small(3),
            },
            15 if flag => Op::OptionRemove {
                option: draw.small(3),
            },
            16 => Op::OptionAdd,
            17 => Op::PropertyRename,
            18 if flag => Op::PropertyDelete,
            19 if flag => Op::PropertyRetype,
            _ => Op::PageKind {
                record,
                option: draw.small(4),
            },
        }),
        Focus::Strays if roll < 80 => Some(Op::RowInsert {
            record: draw.small(14),
        }),
        Focus::Mapping if roll < 70 => Some(match draw.below(10) {
            0 => Op::FieldAdded,
            1 => Op::Rescope,
            2..6 => Op::RowSet { record, field: 2 },
            _ => Op::PageSet { record, field: 2 },
        }),
        Focus::Blows if roll < 80 => Some(match draw.below(10) {
            0 | 1 => Op::PageMake,
            2 | 3 => Op::PageTrash { record },
            4 => Op::RowLeave { record },
            5 => Op::RowReturn { record },
            6 => Op::RowInsert {
                record: draw.small(14),
            },
            7 => Op::RowDelete { record },
            8 => Op::PageSet { record, field: 0 },
            _ => Op::RowSet { record, field: 0 },
        }),
        Focus::References if roll < 80 => Some(match draw.below(8) {
            0 | 1 => Op::RowRelateBoth { record },
            2 | 3 => Op::PageRelateBoth { record },
            4 => Op::RowRelate {
                record,
                target: draw.small(2),
            },
            5 => Op::PageRelate {
                record,
                target: draw.small(2),
            },
            6 => Op::PageSet { record, field: 0 },
            _ => Op::RowSet { record, field: 0 },
        }),
        Focus::Leaving if roll < 90 => Some(match draw.below(4) {
            0 => Op::RowLeave { record },
            1 => Op::RowReturn { record },
            _ => Op::PageSet { record, field: 0 },
        }),
        Focus::Rewrites if roll < 80 => Some(if flag && roll < 40 {
            Op::RowSet { record, field: 0 }
        } else {
            Op::PageSet { record, field: 0 }
        }),
        Focus::Restore if roll < 15 => Some(Op::Backup),
        Focus::Restore if roll < 25 => Some(Op::Restore { told: flag }),
        _ => None,
    }
}
