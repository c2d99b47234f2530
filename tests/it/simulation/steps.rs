//! Where in a write protocol of section 5 a call stands, so that a campaign knows which crash rows it met.

use frames_sync::journal::{IntentKind, IntentStatus};
use frames_sync::ports::{Commit, PageWrite, Record, RowWrite};
use frames_sync::value::PageId;

use super::tape::FaultKind;

/// One of the protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Push,
    Pull,
    Create,
    Insert,
    Trash,
    Restore,
    DeleteRow,
}

impl Protocol {
    /// Its section and name, and what its first and last transaction are called there.
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Push => ("5.1  push", "P2", "P5"),
            Self::Pull => ("5.2  pull", "COMMIT", "COMMIT"),
            Self::Create => ("5.3  create", "C1", "C3"),
            Self::Insert => ("5.4  insert", "R1", "R3"),
            Self::Trash => ("5.5  trash", "T1", "T3"),
            Self::Restore => ("5.5  restore", "its intent", "settling"),
            Self::DeleteRow => ("5.5  delete row", "COMMIT", "COMMIT"),
        }
    }
}

/// A call that is part of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The intent is written.
    Journal(Protocol),
    /// Notion is asked.
    Request(Protocol),
    /// The answer is recorded.
    Settle(Protocol),
    /// A row is written with all that belongs to it.
    Row(Protocol),
}

impl Step {
    /// What a transaction is for.
    pub(crate) fn of_commit(commit: &Commit<'_>) -> Option<Self> {
        if let Some((write, _)) = &commit.row {
            return Some(Self::Row(match write {
                RowWrite::Update { .. } => Protocol::Pull,
                RowWrite::Insert { .. } => Protocol::Insert,
                RowWrite::Delete { .. } => Protocol::DeleteRow,
            }));
        }
        commit.records.iter().find_map(|record| match record {
            Record::Intent(intent) => {
                let protocol = match intent.kind {
                    IntentKind::CreatePage => Protocol::Create,
                    IntentKind::TrashPage => Protocol::Trash,
                    IntentKind::RestorePage => Protocol::Restore,
                    IntentKind::PatchPage => Protocol::Push,
                };
                match intent.status {
                    IntentStatus::Pending => Some(Self::Journal(protocol)),
                    IntentStatus::Settled | IntentStatus::Answered => Some(Self::Settle(protocol)),
                    IntentStatus::Abandoned => None,
                }
            }
            _ => None,
        })
    }

    /// What a request to write is for; `labels` says whether it gives a person's page its label.
    pub(crate) fn of_write(page: Option<&PageId>, write: &PageWrite, labels: bool) -> Self {
        Self::Request(match (page, write.in_trash) {
            (None, _) => Protocol::Create,
            (_, Some(true)) => Protocol::Trash,
            (_, Some(false)) => Protocol::Restore,
            (_, None) if labels => Protocol::Insert,
            (_, None) => Protocol::Push,
        })
    }

    fn protocol(self) -> Protocol {
        match self {
            Self::Journal(protocol)
            | Self::Request(protocol)
            | Self::Settle(protocol)
            | Self::Row(protocol) => protocol,
        }
    }

    /// The crash row of a process that ends before or after the call.
    pub(crate) fn killed(self, after: bool) -> String {
        let (name, first, last) = self.protocol().names();
        match (self, after) {
            (Self::Journal(_) | Self::Row(_), false) => format!("{name}: killed before {first}"),
            (Self::Row(_), true) => format!("{name}: killed after {first}"),
            (Self::Journal(_), true) | (Self::Request(_), false) => {
                format!("{name}: killed after {first}, nothing sent")
            }
            (Self::Request(_), true) | (Self::Settle(_), false) => {
                format!("{name}: killed between answer and {last}")
            }
            (Self::Settle(_), true) => format!("{name}: killed after {last}"),
        }
    }

    /// The row of a request or transaction that meets a fault.
    pub(crate) fn struck(self, fault: FaultKind) -> Option<String> {
        let (name, ..) = self.protocol().names();
        let what = match fault {
            FaultKind::WriteLost => "request not applied, outcome unknown",
            FaultKind::AnswerLost => "applied, answer lost",
            FaultKind::WriteLate { .. } => "given up on, applied later",
            FaultKind::Busy => "409",
            FaultKind::Unavailable => "unavailable",
            FaultKind::CommitFails | FaultKind::CommitsFail { .. } => "COMMIT failed",
            FaultKind::CommitUnknown { applied: true } => "COMMIT unknown, applied",
            FaultKind::CommitUnknown { applied: false } => "COMMIT unknown, not applied",
            _ => return None,
        };
        Some(format!("{name}: {what}"))
    }
}
