//! What happens in one schedule, drawn from a seed: settings, people's work, faults and cycles, each a stream of its own.
//!
//! Everything carries its own instant, so that taking one thing out moves nothing else: a shrunk tape meets the same
//! faults as the whole one.

use frames_sync::mapping::{
    ConflictPolicy, Initial, MinCertainty, OnDuplicate, OnInaccessible, OnPageCreate, OnPageTrash,
    OnRowDelete, TieBreak,
};
use serde::{Deserialize, Serialize};

use super::focus::{Focus, focused};

/// Milliseconds since the schedule began, on the database's clock.
pub(crate) type Millis = i64;

/// A seeded stream of numbers (SplitMix64).
pub(crate) struct Stream(u64);

/// One number from another, well spread.
pub(crate) fn scatter(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Stream {
    pub(crate) fn new(seed: u64, name: u64) -> Self {
        Self(scatter(seed ^ scatter(name)))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        scatter(self.0)
    }

    /// A number from `0` to below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.next() % end }
    }

    pub(super) fn between(&mut self, from: i64, to: i64) -> i64 {
        from + i64::try_from(self.below(u64::try_from(to - from).unwrap_or(1))).unwrap_or(0)
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap_or(0)]
    }

    pub(super) fn small(&mut self, end: u8) -> u8 {
        u8::try_from(self.below(u64::from(end))).unwrap_or(0)
    }
}

/// How the profile is set up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Setting {
    pub(crate) conflict: ConflictPolicy,
    pub(crate) tie_break: TieBreak,
    pub(crate) min_certainty: MinCertainty,
    pub(crate) on_row_delete: OnRowDelete,
    pub(crate) on_page_create: OnPageCreate,
    pub(crate) on_page_trash: OnPageTrash,
    pub(crate) on_inaccessible: OnInaccessible,
    pub(crate) on_duplicate: OnDuplicate,
    /// Notes of a change log instead of scans.
    pub(crate) triggers: bool,
    pub(crate) quiet_page: bool,
    pub(crate) concurrency: u8,
    /// How far Notion's clock is ahead, in seconds.
    pub(crate) offset: i32,
    /// Records at the start.
    pub(crate) records: u8,
    /// Two-way fields that people edit, from the first.
    pub(crate) fields: u8,
    /// A second entity that the first refers to.
    pub(crate) relations: bool,
    /// The table rewrites some values, and refuses others.
    pub(crate) table_acts: bool,
    /// The default delete cap; otherwise everything may be deleted.
    pub(crate) strict_cap: bool,
    /// The longest that the index of queries is behind, in seconds.
    pub(crate) index_lag: u8,
    /// The longest a request to Notion takes, in milliseconds.
    pub(crate) latency: u32,
    /// Somebody renames and reverts to values that stood there before.
    pub(crate) reverts: bool,
    /// Without notes: the application says in a column when it changed a row, and that is how changes are noticed.
    #[serde(default)]
    pub(crate) stamped: bool,
    /// What the schedule is mostly about.
    #[serde(default)]
    pub(crate) focus: Focus,
    /// Pages are listed by their last edit, as in data sources of more pages than one answer holds.
    #[serde(default)]
    pub(crate) incremental: bool,
    /// `size` is mapped only from [`Op::FieldAdded`] on.
    #[serde(default)]
    pub(crate) late_field: bool,
    /// References lead to several targets, and pages show only the first of them.
    #[serde(default)]
    pub(crate) many_targets: bool,
    /// Another tenant's profile works on the same table beside ours.
    #[serde(default)]
    pub(crate) neighbour: bool,
    /// A select and a checkbox beside the other fields, bound to a schema that people change.
    #[serde(default)]
    pub(crate) typed: bool,
    /// Who wins where a page names a row that no page belongs to.
    #[serde(default)]
    pub(crate) initial: Option<Initial>,
}

/// What a person or the application does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Op {
    /// The application sets a column.
    RowSet {
        record: u8,
        field: u8,
    },
    /// A person sets a property.
    PageSet {
        record: u8,
        field: u8,
    },
    /// Both sides are given the same new value.
    BothSet {
        record: u8,
        field: u8,
    },
    /// A person puts back the value that the property held before.
    PageRevert {
        record: u8,
        field: u8,
    },
    /// The application inserts a row, or puts a deleted one back.
    RowInsert {
        record: u8,
    },
    RowDelete {
        record: u8,
    },
    /// The row leaves the scope.
    RowLeave {
        record: u8,
    },
    RowReturn {
        record: u8,
    },
    PageTrash {
        record: u8,
    },
    PageRestore {
        record: u8,
    },
    /// The page is taken out of the data source, or put back.
    PageMove {
        record: u8,
    },
    /// The connection loses sight of the page, or regains it.
    PageHide {
        record: u8,
    },
    /// A person makes a page.
    PageMake,
    PageDuplicate {
        record: u8,
    },
    /// A person clears the label, or writes another record's.
    PageLabel {
        record: u8,
        clear: bool,
    },
    /// A person clears the label of a copy.
    CopyUnlabel {
        record: u8,
    },
    /// The application sets the reference.
    RowRelate {
        record: u8,
        target: u8,
    },
    /// A person sets the relation.
    PageRelate {
        record: u8,
        target: u8,
    },
    /// A person puts a project's page in the trash, or takes it out again.
    TargetTrash {
        target: u8,
    },
    /// A person decides an open conflict.
    Choose {
        record: u8,
        postgres: bool,
    },
    /// The application empties a column.
    RowClear {
        record: u8,
        field: u8,
    },
    /// A person empties a property.
    PageClear {
        record: u8,
        field: u8,
    },
    /// A person makes a text bold, and changes nothing else.
    PageFormat {
        record: u8,
        field: u8,
    },
    /// A person ticks or unticks the box that leaves the record alone.
    PageOptOut {
        record: u8,
    },
    /// A person deletes the page for good.
    PagePurge {
        record: u8,
    },
    /// The application gives the row another key.
    RowRekey {
        record: u8,
    },
    /// The table is emptied by TRUNCATE.
    Truncate,
    /// The mapping is changed: it names one more field.
    FieldAdded,
    /// The mapping is changed: another conflict policy.
    Reconfigure {
        policy: ConflictPolicy,
    },
    /// The application sets a reference to two targets.
    RowRelateBoth {
        record: u8,
    },
    /// A person sets the relation to two targets.
    PageRelateBoth {
        record: u8,
    },
    /// The mapping is changed: it chooses the same rows in other words.
    Rescope,
    /// The application sets a column of the other tenant's row.
    NeighbourRowSet {
        record: u8,
        field: u8,
    },
    /// A person of the other tenant sets a property.
    NeighbourPageSet {
        record: u8,
        field: u8,
    },
    /// The application sets the column of the select to one of its options.
    RowKind {
        record: u8,
        option: u8,
    },
    /// A person picks an option.
    PageKind {
        record: u8,
        option: u8,
    },
    /// The application sets the column of the checkbox: to NULL, true or false.
    RowDone {
        record: u8,
        state: u8,
    },
    /// A person ticks or unticks the checkbox.
    PageDone {
        record: u8,
    },
    OptionRename {
        option: u8,
    },
    OptionRemove {
        option: u8,
    },
    OptionAdd,
    PropertyRename,
    PropertyDelete,
    PropertyRetype,
    /// A backup of the database is made.
    Backup,
    /// The database is put back to the last backup; its hosting tells that, or not.
    Restore {
        told: bool,
    },
    /// The database's clock, or Notion's, is put on or back.
    ClockStep {
        notion: bool,
        by: Millis,
    },
}

impl Op {
    /// Its kind's name, for the coverage table.
    pub(crate) fn name(&self) -> String {
        let text = format!("{self:?}");
        text.split(' ').next().unwrap_or_default().to_owned()
    }
}

/// What goes wrong, once, at the first fitting call from its instant on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FaultKind {
    /// A request to Notion is not applied: 429, 5xx before it was worked on, no connection.
    Unavailable,
    /// A write to Notion is answered 409.
    Busy,
    /// A write is lost, and its outcome unknown.
    WriteLost,
    /// A write is applied, and its answer lost.
    AnswerLost,
    /// A write is given up on and applied that much later.
    WriteLate { by: Millis },
    /// A direct read shows the past.
    ReadStale { by: Millis },
    /// A direct read does not carry a property.
    ReadPartial,
    /// A listing ends early, and says so.
    ListingCut,
    /// A request takes that long.
    Slow { by: Millis },
    /// A direct read is answered 404 though the page is there.
    ReadDenied,
    /// The connection loses sight of everything in Notion for that long.
    AccessLost { by: Millis },
    /// Rows cannot be read.
    RowsFail,
    /// A scan of rows ends early.
    ScanCut,
    /// Row security hides rows for that long, which the adapter notices.
    RowsHidden { by: Millis },
    /// The engine's memory cannot be read.
    StoreFails,
    /// A commit fails, certainly.
    CommitFails,
    /// No commit comes through for that long.
    CommitsFail { by: Millis },
    /// The connection is lost while committing: applied or not.
    CommitUnknown { applied: bool },
    /// The process is killed at that effect from the instant on; before or after it took effect.
    Kill { skip: u8, after: bool },
    /// The process sleeps that long where it stands.
    Pause { by: Millis },
}

impl FaultKind {
    pub(crate) fn name(&self) -> String {
        let text = format!("{self:?}");
        text.split(' ').next().unwrap_or_default().to_owned()
    }
}

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fault {
    pub(crate) at: Millis,
    pub(crate) kind: FaultKind,
}

/// A cycle that a runner starts, unless it is still at one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cycle {
    pub(crate) at: Millis,
    pub(crate) runner: u8,
    pub(crate) full: bool,
}

/// Everything that happens in one schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tape {
    /// For latencies and lags, each drawn from it and its own instant.
    pub(crate) seed: u64,
    pub(crate) setting: Setting,
    pub(crate) ops: Vec<(Millis, Op)>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) cycles: Vec<Cycle>,
}

impl Tape {
    /// The schedule of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let mut choice = Stream::new(seed, 6);
        let focus = Focus::draw(&mut choice);
        let setting = Setting::of(&mut Stream::new(seed, 1)).focused(focus, &mut choice);
        let mut size = Stream::new(seed, 2);
        let count = match (focus, size.below(10)) {
            (Focus::Anything, 9) => size.between(60, 200),
            (Focus::Anything, 6..9) => size.between(15, 60),
            (Focus::Anything, _) => size.between(3, 15),
            _ => size.between(6, 25),
        };
        let pace = focus.pace(&mut size);
        let start = 60_000;
        let end = start + count * pace + 120_000;
        let calm = size.chance(20) || focus == Focus::Minute;
        let mut tape = Self {
            seed,
            ops: work(&setting, &mut Stream::new(seed, 3), count, start, end),
            faults: if calm {
                Vec::new()
            } else {
                trouble(focus, &mut Stream::new(seed, 4), count, end)
            },
            cycles: cycles(&setting, &mut Stream::new(seed, 5), end),
            setting,
        };
        if !calm {
            tape.ops.extend(clock_step(&mut Stream::new(seed, 7), start, end));
            tape.ops.sort_by_key(|(at, _)| *at);
        }
        if focus == Focus::Absence {
            tape.sleep_a_day(end);
        }
        tape
    }

    /// Between two cycles in the middle lie 25 hours, and everything of the second half comes after them.
    fn sleep_a_day(&mut self, end: Millis) {
        let later = |at: &mut Millis| *at += if *at > end / 2 { 90_000_000 } else { 0 };
        self.ops.iter_mut().for_each(|(at, _)| later(at));
        self.faults.iter_mut().for_each(|fault| later(&mut fault.at));
        self.cycles.iter_mut().for_each(|cycle| later(&mut cycle.at));
    }
}

impl Setting {
    /// Whether changed rows are looked for by the column that says when.
    pub(crate) fn is_stamped(&self) -> bool {
        self.stamped && !self.triggers
    }

    /// Two records, so that neither side is ever empty, and nothing out of the ordinary.
    pub(crate) fn plain() -> Self {
        Self {
            conflict: ConflictPolicy::LastWriteWins,
            tie_break: TieBreak::Postgres,
            min_certainty: MinCertainty::Probable,
            on_row_delete: OnRowDelete::TrashPage,
            on_page_create: OnPageCreate::InsertRow,
            on_page_trash: OnPageTrash::Hold,
            on_inaccessible: OnInaccessible::Hold,
            on_duplicate: OnDuplicate::Flag,
            triggers: false,
            quiet_page: false,
            concurrency: 1,
            offset: 20,
            records: 2,
            fields: 3,
            relations: false,
            table_acts: false,
            strict_cap: false,
            index_lag: 0,
            latency: 300,
            reverts: false,
            focus: Focus::Anything,
            incremental: false,
            late_field: false,
            many_targets: false,
            neighbour: false,
            typed: false,
            initial: None,
            stamped: false,
        }
    }

    fn of(draw: &mut Stream) -> Self {
        use ConflictPolicy as C;
        let plain = draw.chance(40);
        let strict_cap = draw.chance(15);
        Self {
            conflict: draw.pick(&[
                C::LastWriteWins,
                C::LastWriteWins,
                C::PostgresWins,
                C::NotionWins,
                C::Manual,
            ]),
            tie_break: draw.pick(&[TieBreak::Postgres, TieBreak::Notion, TieBreak::Manual]),
            min_certainty: draw.pick(&[MinCertainty::Probable, MinCertainty::Proven]),
            on_row_delete: draw.pick(&[
                OnRowDelete::TrashPage,
                OnRowDelete::TrashPage,
                OnRowDelete::Mark,
                OnRowDelete::Ignore,
            ]),
            on_page_create: draw.pick(&[OnPageCreate::Ignore, OnPageCreate::InsertRow]),
            on_page_trash: draw.pick(&[
                OnPageTrash::Hold,
                OnPageTrash::RestorePage,
                OnPageTrash::HardDelete,
            ]),
            on_inaccessible: draw.pick(&[
                OnInaccessible::Hold,
                OnInaccessible::Recreate,
                OnInaccessible::TreatAsDeleted,
            ]),
            on_duplicate: draw.pick(&[OnDuplicate::Flag, OnDuplicate::NewRow]),
            triggers: draw.chance(30),
            quiet_page: draw.chance(20),
            concurrency: draw.pick(&[1, 2, 16]),
            offset: i32::try_from(draw.between(-300, 300)).unwrap_or(0),
            // Enough of them to delete more than the cap allows.
            records: if strict_cap {
                5 + draw.small(4)
            } else {
                1 + draw.small(4)
            },
            fields: 1 + draw.small(3),
            relations: !plain && draw.chance(40),
            table_acts: !plain && draw.chance(40),
            strict_cap,
            index_lag: draw.pick(&[0, 20, 120]),
            latency: draw.pick(&[300, 1_000, 4_000]),
            reverts: draw.chance(10),
            focus: Focus::Anything,
            incremental: draw.chance(30),
            late_field: !plain && draw.chance(15),
            many_targets: draw.chance(40),
            neighbour: !plain && draw.chance(10),
            typed: !plain && draw.chance(20),
            initial: None,
            stamped: draw.chance(30),
        }
    }
}

/// What happens rarely to a table, a page or a mapping.
fn odd(setting: &Setting, kinds: &[bool], draw: &mut Stream) -> Option<Op> {
    let record = draw.small(setting.records + 1);
    // The first field is required, so nobody empties it.
    let field = 1 + draw.small(4);
    let which = usize::try_from(draw.below(12)).unwrap_or(0);
    let policy = draw.pick(&[
        ConflictPolicy::LastWriteWins,
        ConflictPolicy::PostgresWins,
        ConflictPolicy::NotionWins,
        ConflictPolicy::Manual,
    ]);
    let op = match which {
        0 => Op::RowClear { record, field },
        1 => Op::PageClear { record, field },
        2 => Op::PageFormat {
            record,
            field: draw.small(2),
        },
        3 => Op::PageOptOut { record },
        4 => Op::PagePurge { record },
        5 => Op::RowRekey { record },
        6 if draw.chance(20) => Op::Truncate,
        7 if setting.late_field => Op::FieldAdded,
        8 => Op::Reconfigure { policy },
        9 if setting.relations && setting.many_targets => Op::RowRelateBoth { record },
        10 if setting.typed => Op::RowKind {
            record,
            option: draw.small(4),
        },
        11 if setting.typed => Op::PageDone { record },
        _ => Op::RowClear { record, field },
    };
    kinds[which].then_some(op)
}

fn work(setting: &Setting, draw: &mut Stream, count: i64, start: Millis, end: Millis) -> Vec<(Millis, Op)> {
    // Each schedule knows some kinds of work and not others; edits are always among them.
    let existence = draw.chance(50);
    let kinds: Vec<bool> = (0..12).map(|_| existence && draw.chance(40)).collect();
    let oddities: Vec<bool> = (0..12).map(|_| draw.chance(30)).collect();
    let mut ops: Vec<(Millis, Op)> = (0..count)
        .map(|_| {
            let at = draw.between(start, end);
            if let Some(op) = focused(setting, draw) {
                return (at, op);
            }
            if draw.chance(15)
                && let Some(op) = odd(setting, &oddities, draw)
            {
                return (at, op);
            }
            let record = draw.small(setting.records + 1);
            let mut field = draw.small(setting.fields);
            if setting.fields == 3 && draw.chance(20) {
                field = 3 + draw.small(2);
            }
            let roll = draw.below(100);
            let special = usize::try_from(draw.below(12)).unwrap_or(0);
            let target = draw.small(2);
            let flag = draw.chance(50);
            let op = if roll < 25 && kinds[special] {
                match special {
                    0 => Op::RowInsert { record },
                    1 | 11 => Op::RowDelete { record },
                    2 if flag => Op::RowLeave { record },
                    2 => Op::RowReturn { record },
                    3 if flag => Op::RowReturn { record },
                    3 => Op::RowInsert { record },
                    4 => Op::PageTrash { record },
                    5 => Op::PageRestore { record },
                    6 => Op::PageMove { record },
                    7 => Op::PageHide { record },
                    8 => Op::PageMake,
                    9 => Op::PageDuplicate { record },
                    10 => Op::PageLabel { record, clear: flag },
                    _ => Op::RowInsert { record },
                }
            } else if roll < 30 {
                Op::Choose {
                    record,
                    postgres: flag,
                }
            } else if roll < 36 {
                Op::BothSet { record, field }
            } else if roll < 46 && setting.relations {
                if roll < 38 {
                    Op::TargetTrash { target }
                } else if flag {
                    Op::RowRelate { record, target }
                } else {
                    Op::PageRelate { record, target }
                }
            } else if roll < 50 && setting.reverts {
                Op::PageRevert { record, field }
            } else if flag {
                Op::RowSet { record, field }
            } else {
                Op::PageSet { record, field }
            };
            (at, op)
        })
        .collect();
    ops.sort_by_key(|(at, _)| *at);
    ops
}

/// In one of ten schedules a clock is put on or back by up to five minutes.
fn clock_step(draw: &mut Stream, start: Millis, end: Millis) -> Option<(Millis, Op)> {
    let steps = draw.chance(10);
    let at = draw.between(start, end);
    let (by, notion, back) = (draw.between(1_000, 300_000), draw.chance(50), draw.chance(50));
    let by = if back { -by } else { by };
    steps.then_some((at, Op::ClockStep { notion, by }))
}

fn trouble(focus: Focus, draw: &mut Stream, count: i64, end: Millis) -> Vec<Fault> {
    let enabled: Vec<bool> = (0..19).map(|_| draw.chance(40)).collect();
    let some = focus.faults(draw, count);
    let mut faults: Vec<Fault> = (0..some)
        .filter_map(|_| {
            let at = draw.between(1_000, end);
            let any = usize::try_from(draw.below(19)).unwrap_or(0);
            let roll = draw.below(100);
            let which = match focus.fault(draw, roll) {
                Some(which) => which,
                None if enabled[any] => any,
                None => return None,
            };
            let (short, long) = (draw.between(1_000, 60_000), draw.between(1_000, 300_000));
            let (skip, flag) = (draw.small(12), draw.chance(50));
            let kind = match which {
                0 => FaultKind::Unavailable,
                1 => FaultKind::Busy,
                2 => FaultKind::WriteLost,
                3 => FaultKind::AnswerLost,
                // Longer than any create is waited for.
                4 if focus == Focus::Strays => FaultKind::WriteLate {
                    by: 600_000 + 3 * long,
                },
                4 => FaultKind::WriteLate { by: long },
                5 => FaultKind::ReadStale { by: short },
                6 => FaultKind::ReadPartial,
                7 => FaultKind::ListingCut,
                8 => FaultKind::Slow { by: short },
                9 => FaultKind::RowsFail,
                10 => FaultKind::CommitFails,
                11 => FaultKind::CommitUnknown { applied: flag },
                // Anywhere in a cycle that has much to do.
                12 if focus == Focus::Blows => FaultKind::Kill {
                    skip: 5 * skip + draw.small(5),
                    after: flag,
                },
                12 => FaultKind::Kill { skip, after: flag },
                14 => FaultKind::ReadDenied,
                15 => FaultKind::AccessLost { by: long },
                16 => FaultKind::ScanCut,
                17 => FaultKind::RowsHidden { by: long },
                18 => FaultKind::StoreFails,
                19 => FaultKind::CommitsFail { by: short },
                _ if focus == Focus::Takeover => FaultKind::Pause {
                    by: 180_000 + long / 3,
                },
                _ => FaultKind::Pause { by: long },
            };
            Some(Fault { at, kind })
        })
        .collect();
    faults.sort_by_key(|fault| fault.at);
    faults
}

fn cycles(setting: &Setting, draw: &mut Stream, end: Millis) -> Vec<Cycle> {
    let focus = setting.focus;
    let gap = focus.gap(draw);
    let two = draw.chance(30) || focus == Focus::Takeover;
    let neighbour = setting.neighbour;
    let mut at = 1_000;
    let mut cycles = Vec::new();
    while at < end {
        cycles.push(Cycle {
            at,
            runner: if neighbour && draw.chance(40) {
                2
            } else {
                u8::from(two && draw.chance(50))
            },
            full: draw.chance(10),
        });
        at += draw.between(gap / 2, gap * 2);
    }
    cycles
}
