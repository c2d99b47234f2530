//! Puts back what entries of the audit log say was overwritten or deleted.
//!
//! An undo is planned from the entries and what both sides hold now ([`Engine::plan_undo`]), shown, and then
//! carried out under the lease as it was shown ([`Engine::undo`]). A value goes back on the side it was on, and from
//! there to the other side as the edit it is: the same decision core as for any edit carries it there, in the same
//! run. A deleted row comes back under its key, and its page with it.
//!
//! **Guarantees.** Nothing is put back over a value that moved since: such an entry is left, and told. Everything
//! that is put back is audited, with [`Reason::Undone`], so that it can be undone itself. May be killed at any instant
//! and run again: what is there already is not put back twice.

use std::collections::BTreeSet;
use std::sync::Arc;

use uuid::Uuid;

use super::apply::Candidate;
use super::run::Work;
use super::{Engine, EngineError, Entity, Request};
use crate::journal::AuditEntry;
use crate::plan::{FieldChange, Operation, OperationKind};
use crate::ports::{Link, Nobody, Progress, Watcher};
use crate::reconcile::{Reason, Side};
use crate::report::{Command, ErrorCode, ProfileReport};
use crate::value::{PropertyId, Value};

mod apply;
mod collect;

/// An entry that is left as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Left {
    /// The entry.
    pub entry: AuditEntry,
    /// The code of a refusal; `None` where there was nothing to put back.
    pub code: Option<ErrorCode>,
    /// Why, without any value.
    pub message: String,
}

impl Left {
    fn nothing(entry: &AuditEntry, message: &str) -> Self {
        Self {
            entry: entry.clone(),
            code: None,
            message: message.to_owned(),
        }
    }

    fn refused(entry: &AuditEntry, code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            entry: entry.clone(),
            code: Some(code),
            message: message.into(),
        }
    }
}

/// What an undo would do.
#[derive(Clone, Default)]
pub struct UndoPlan {
    entries: Vec<AuditEntry>,
    steps: Vec<Step>,
    /// Records in which something is there already.
    under_way: Vec<Candidate>,
    /// Entries that are left as they are.
    pub left: Vec<Left>,
    /// What is put back, in the order it is done.
    pub operations: Vec<Operation>,
}

impl UndoPlan {
    /// Whether there is nothing to put back.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether an entry is left that was asked for and could not be put back.
    pub fn refuses(&self) -> bool {
        self.left.iter().any(|left| left.code.is_some())
    }
}

/// What is put back in one record, in one write.
#[derive(Clone)]
struct Step {
    entity: Arc<Entity>,
    link: Link,
    what: What,
    /// The entries that it undoes, newest first.
    entries: Vec<AuditEntry>,
}

#[derive(Clone, Debug, PartialEq)]
enum What {
    /// The row is inserted again, with these columns.
    InsertRow(Vec<(String, Value)>),
    /// These columns are set, and the row counts as there again, or as gone again.
    SetRow {
        set: Vec<PutBack>,
        /// Whether the row comes back by that; else it goes.
        comes_back: bool,
    },
    /// Columns get their old values.
    SetColumns(Vec<PutBack>),
    /// Properties get their old values.
    SetProperties(Vec<PutBack>),
    /// The page goes back to the trash.
    TrashPage,
    /// The row that an undo had put back is deleted again.
    DeleteRow,
}

/// One value that goes back.
#[derive(Clone, Debug, PartialEq)]
struct PutBack {
    /// The property; `None` for a column that is set with its whole row.
    property: Option<PropertyId>,
    /// The column.
    column: Option<String>,
    /// What stands there.
    from: Value,
    /// What stood there.
    to: Value,
}

impl What {
    /// Its place in an undo: rows first, so that what refers to them finds them; deletions last.
    fn rank(&self) -> usize {
        match self {
            Self::InsertRow(_) => 0,
            Self::SetRow { .. } => 1,
            Self::SetColumns(_) => 2,
            Self::SetProperties(_) => 3,
            Self::TrashPage => 4,
            Self::DeleteRow => 5,
        }
    }

    fn kind(&self) -> OperationKind {
        match self {
            Self::InsertRow(_) => OperationKind::InsertRow,
            Self::SetRow { .. } | Self::SetColumns(_) => OperationKind::UpdateRow,
            Self::SetProperties(_) => OperationKind::UpdatePage,
            Self::TrashPage => OperationKind::TrashPage,
            Self::DeleteRow => OperationKind::DeleteRow,
        }
    }
}

impl Step {
    fn operation(&self) -> Operation {
        let fields = match &self.what {
            What::SetColumns(puts) | What::SetProperties(puts) | What::SetRow { set: puts, .. } => puts
                .iter()
                .map(|put| FieldChange {
                    property: put
                        .property
                        .clone()
                        .unwrap_or_else(|| PropertyId(put.column.clone().unwrap_or_default())),
                    name: match (&put.property, &put.column) {
                        (Some(property), _) => self.entity.property_name(property),
                        (None, column) => column.clone().unwrap_or_default(),
                    },
                    from: Some(put.from.clone()),
                    to: Some(put.to.clone()),
                    reason: Reason::Undone,
                })
                .collect(),
            What::InsertRow(_) | What::TrashPage | What::DeleteRow => Vec::new(),
        };
        Operation {
            entity: self.entity.name.clone(),
            key: Some(self.link.key.clone()),
            page: self.link.page.clone(),
            kind: self.what.kind(),
            reason: Reason::Undone,
            fields,
        }
    }

    /// The record, for the look that carries the change to the other side.
    fn candidate(&self) -> Candidate {
        Candidate {
            entity: Arc::clone(&self.entity),
            key: Some(self.link.key.clone()),
            page: self.link.page.clone(),
            planned: None,
            read: None,
            // Whoever confirmed that the row goes again confirmed what comes of it.
            may_delete: self.what == What::DeleteRow,
            was_listed: false,
        }
    }

    /// Leaves every entry of the step.
    fn refuse(&self, code: ErrorCode, message: &str) -> Vec<Left> {
        self.entries
            .iter()
            .map(|entry| Left::refused(entry, code, message))
            .collect()
    }
}

impl Engine {
    /// What undoing these entries would do; `entries` are newest first, as the audit log gives them.
    ///
    /// Reads both sides, and writes nothing.
    ///
    /// # Errors
    /// When a side or the memory cannot be read.
    pub async fn plan_undo(&self, entries: &[AuditEntry]) -> Result<UndoPlan, EngineError> {
        let request = request(entries);
        let work = Work::new(self, &request, Uuid::nil(), &Nobody);
        work.plan_undo(entries).await
    }

    /// Carries out an undo as it was planned, and what follows from it on the other side, as one run.
    ///
    /// What moved since the plan was made is left, and answered.
    pub async fn undo(&self, plan: &UndoPlan, watcher: &dyn Watcher) -> (ProfileReport, Vec<Left>) {
        let request = request(&plan.entries);
        let mut left = Vec::new();
        let report = match self.begin(&request, watcher).await {
            Ok(begun) => {
                let ended = begun.work.undo(plan, &mut left).await;
                begun.end("undo", ended).await
            }
            Err(report) => *report,
        };
        (report, left)
    }
}

/// The run that an undo is: of the entities that the entries are about.
fn request(entries: &[AuditEntry]) -> Request {
    let entities: BTreeSet<&String> = entries.iter().map(|entry| &entry.entity).collect();
    Request {
        entities: entities.into_iter().cloned().collect(),
        ..Request::all(Command::Sync)
    }
}

impl super::run::Work<'_> {
    async fn undo(&self, shown: &UndoPlan, left: &mut Vec<Left>) -> Result<bool, EngineError> {
        for entity in self.entities() {
            self.recover(&entity).await?;
        }
        let present = self.plan_undo(&shown.entries).await?;
        let mut steps = Vec::new();
        for step in present.steps {
            let was_shown = |shown: &&Step| {
                shown.link.id == step.link.id
                    && shown.what.rank() == step.what.rank()
                    && step.is_within(shown)
            };
            if shown.steps.iter().any(|shown| was_shown(&shown)) {
                steps.push(step);
            } else {
                left.extend(step.refuse(ErrorCode::ValueMoved, "it moved since the plan was shown"));
            }
        }
        // What was refused or gone already when the plan was made was told then.
        let known = |left: &Left| shown.left.iter().any(|shown| shown.entry.id == left.entry.id);
        left.extend(
            present
                .left
                .into_iter()
                .filter(|left| left.code.is_some() && !known(left)),
        );
        self.watcher.tell(Progress::Planned { records: steps.len() });
        // What an undo that was killed had put back may still be on its way to the other side.
        let mut together: Vec<Candidate> = present.under_way;
        let did = !steps.is_empty();
        for step in steps {
            match self.carry_out_step(&step).await? {
                None => together.push(step.candidate()),
                Some((code, message)) => left.extend(step.refuse(code, &message)),
            }
        }
        for entity in self.entities() {
            let (of_entity, others) = together
                .into_iter()
                .partition(|candidate| candidate.entity.name == entity.name);
            together = others;
            self.apply_together(of_entity).await?;
        }
        self.apply_waiting(&BTreeSet::new()).await?;
        Ok(did)
    }
}

impl Step {
    /// Whether this step does nothing that the other does not.
    fn is_within(&self, other: &Step) -> bool {
        match (&self.what, &other.what) {
            (What::SetColumns(mine), What::SetColumns(theirs))
            | (What::SetProperties(mine), What::SetProperties(theirs)) => {
                mine.iter().all(|put| theirs.contains(put))
            }
            (mine, theirs) => mine == theirs,
        }
    }
}

/// The side that an entry wrote to, in words.
fn place(side: Side) -> &'static str {
    match side {
        Side::Postgres => "the row",
        Side::Notion => "the page",
    }
}
