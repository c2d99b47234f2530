//! L4: short scripts, and the process killed at every effect of each: before it and after it, alone and in pairs.

use frames_sync::mapping::{ConflictPolicy, OnDuplicate, OnInaccessible, OnPageTrash, OnRowDelete};

use super::mutants::Mutant;
use super::tape::{Cycle, Fault, FaultKind, Millis, Op, Setting, Tape};
use super::{For, simulate};

/// What happens between the first push and the cycle that is killed.
pub(crate) struct Script {
    pub(crate) name: String,
    setting: Setting,
    ops: Vec<Op>,
}

/// When the script's work is done.
const WORK: Millis = 400_000;

impl Script {
    fn new(name: &str, change: impl FnOnce(&mut Setting), ops: &[Op]) -> Self {
        let mut setting = Setting::plain();
        change(&mut setting);
        Self {
            name: name.to_owned(),
            setting,
            ops: ops.to_vec(),
        }
    }

    /// The script with the process killed at these effects from `from` on.
    pub(crate) fn tape(&self, from: Millis, kills: &[(u8, bool)]) -> Tape {
        let ops = self
            .ops
            .iter()
            .zip((WORK..).step_by(2_000))
            .map(|(op, at)| (at, *op))
            .collect();
        let faults = kills
            .iter()
            .map(|(skip, after)| Fault {
                at: from,
                kind: FaultKind::Kill {
                    skip: *skip,
                    after: *after,
                },
            })
            .collect();
        let cycles = [1_000, 600_000, 900_000, 1_200_000, 1_500_000]
            .into_iter()
            .map(|at| Cycle {
                at,
                runner: 0,
                full: false,
            })
            .collect();
        Tape {
            seed: 1,
            setting: self.setting.clone(),
            ops,
            faults,
            cycles,
        }
    }
}

/// The scripts: each thing that people do, under each policy that makes a difference, and some of them together.
pub(crate) fn scripts() -> Vec<Script> {
    let record = 0;
    let (row, page) = (Op::RowSet { record, field: 0 }, Op::PageSet { record, field: 0 });
    let both = Op::BothSet { record, field: 0 };
    let other = Op::PageSet { record, field: 1 };
    let (delete, insert) = (Op::RowDelete { record }, Op::RowInsert { record });
    let (leave, back) = (Op::RowLeave { record }, Op::RowReturn { record });
    let (trash, restore) = (Op::PageTrash { record }, Op::PageRestore { record });
    let (hide, moved) = (Op::PageHide { record }, Op::PageMove { record });
    let nothing = |_: &mut Setting| {};
    let mut scripts = vec![
        Script::new("nothing but the first push", nothing, &[]),
        Script::new(
            "three records at once",
            |s| (s.records, s.concurrency) = (3, 16),
            &[],
        ),
        Script::new("a row is edited", nothing, &[row]),
        Script::new("a page is edited", nothing, &[page]),
        Script::new("both, in different fields", nothing, &[row, other]),
        Script::new("both, with one value", nothing, &[both]),
        Script::new(
            "a one-way field, the right way",
            nothing,
            &[Op::RowSet { record, field: 3 }],
        ),
        Script::new(
            "a one-way field, the wrong way",
            nothing,
            &[Op::PageSet { record, field: 3 }],
        ),
        Script::new(
            "the other one-way field",
            nothing,
            &[Op::PageSet { record, field: 4 }],
        ),
        Script::new("a row is deleted", nothing, &[delete]),
        Script::new(
            "a row is deleted, and marked",
            |s| s.on_row_delete = OnRowDelete::Mark,
            &[delete],
        ),
        Script::new("a row is deleted and put back", nothing, &[delete, insert]),
        Script::new("a row is deleted and its page edited", nothing, &[delete, page]),
        Script::new("a row leaves", nothing, &[leave]),
        Script::new("a row leaves and comes back", nothing, &[leave, back]),
        Script::new("a row leaves with an edited page", nothing, &[page, leave]),
        Script::new("a page is trashed", nothing, &[trash]),
        Script::new("a page is trashed and its row edited", nothing, &[trash, row]),
        Script::new("a page is trashed and restored", nothing, &[trash, restore]),
        Script::new(
            "a trashed page is restored by us",
            |s| s.on_page_trash = OnPageTrash::RestorePage,
            &[trash],
        ),
        Script::new(
            "a trashed page deletes its row",
            |s| s.on_page_trash = OnPageTrash::HardDelete,
            &[trash],
        ),
        Script::new("a page is hidden", nothing, &[hide]),
        Script::new(
            "a hidden page is made anew",
            |s| s.on_inaccessible = OnInaccessible::Recreate,
            &[hide],
        ),
        Script::new("a page is moved away", nothing, &[moved]),
        Script::new("a person makes a page", nothing, &[Op::PageMake]),
        Script::new("a person makes two pages", nothing, &[Op::PageMake, Op::PageMake]),
        Script::new("a page is duplicated", nothing, &[Op::PageDuplicate { record }]),
        Script::new(
            "a duplicate becomes a row",
            |s| s.on_duplicate = OnDuplicate::NewRow,
            &[Op::PageDuplicate { record }],
        ),
        Script::new(
            "a label is cleared",
            nothing,
            &[Op::PageLabel { record, clear: true }],
        ),
        Script::new(
            "values that the table changes or refuses",
            |s| s.table_acts = true,
            &[page, other, page, other],
        ),
        Script::new("a new row", nothing, &[Op::RowInsert { record: 1 }]),
        Script::new(
            "a new row, edited at once",
            nothing,
            &[Op::RowInsert { record: 1 }, Op::RowSet { record: 1, field: 0 }],
        ),
        Script::new(
            "relations",
            |s| s.relations = true,
            &[Op::RowRelate { record, target: 1 }],
        ),
        Script::new(
            "relations from Notion",
            |s| s.relations = true,
            &[Op::PageRelate { record, target: 0 }],
        ),
        Script::new("by a change log", |s| s.triggers = true, &[row, other]),
        Script::new("a deletion by a change log", |s| s.triggers = true, &[delete]),
    ];
    for (policy, name) in [
        (ConflictPolicy::LastWriteWins, "the last write"),
        (ConflictPolicy::PostgresWins, "Postgres"),
        (ConflictPolicy::NotionWins, "Notion"),
        (ConflictPolicy::Manual, "a person"),
    ] {
        let with = |s: &mut Setting| s.conflict = policy;
        scripts.push(Script::new(
            &format!("a conflict that {name} decides"),
            with,
            &[row, page],
        ));
        scripts.push(Script::new(
            &format!("delete against edit, {name} decides"),
            with,
            &[page, delete],
        ));
    }
    scripts
}

/// At which effects a process is killed: how many pass before, and whether it takes effect first.
pub(crate) type Kills = Vec<(u8, bool)>;

/// What came of killing a script everywhere.
pub(crate) struct Killed {
    pub(crate) points: usize,
    /// The kills and what was violated then.
    pub(crate) failed: Vec<(Kills, Vec<String>)>,
}

/// How many effects a script has from `from` on, up to what a kill can count.
fn effects(script: &Script, from: Millis, mutant: Option<Mutant>) -> u8 {
    // A kill that is never reached leaves the schedule as it is: the last one that strikes is looked for.
    (0..u8::MAX)
        .find(|skip| {
            let verdict = simulate(&script.tape(from, &[(*skip, true)]), mutant, For::Judgement);
            !verdict.coverage.contains_key("killed")
        })
        .unwrap_or(u8::MAX)
}

/// Kills the script at every `step`th effect: in the first push too, or only afterwards; alone, or each with a second
/// kill at every `step`th effect of the recovery.
pub(crate) fn kill_everywhere(script: &Script, step: usize, pairs: bool, mutant: Option<Mutant>) -> Killed {
    let from = if script.ops.is_empty() { 0 } else { WORK };
    let mut killed = Killed {
        points: 0,
        failed: Vec::new(),
    };
    let last = effects(script, from, mutant);
    for skip in (0..last).step_by(step) {
        for after in [false, true] {
            let seconds: Vec<Option<(u8, bool)>> = if pairs {
                (0..last.saturating_add(10))
                    .step_by(step)
                    .flat_map(|second| [Some((second, false)), Some((second, true))])
                    .collect()
            } else {
                vec![None]
            };
            for second in seconds {
                let kills: Kills = std::iter::once((skip, after)).chain(second).collect();
                let verdict = simulate(&script.tape(from, &kills), mutant, For::Judgement);
                killed.points += 1;
                if !verdict.violations.is_empty() {
                    killed.failed.push((kills, verdict.violations));
                }
            }
        }
    }
    killed
}
