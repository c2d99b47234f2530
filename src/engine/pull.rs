//! Sets columns of a row from its page: write protocol 5.2 of the sync semantics, one transaction.

use time::OffsetDateTime;

use super::EngineError;
use super::Entity;
use super::fields::remember_past;
use super::observe::{Seen, encode};
use super::run::Work;
use crate::journal::{Act, AuditEntry, Kept, Trouble};
use crate::mapping::Direction;
use crate::ports::{Commit, CommitOutcome, Link, Page, Record, Row, RowChange, RowOutcome, RowWrite};
use crate::reconcile::accept::shows;
use crate::reconcile::merge::{FieldAction, FieldDecision};
use crate::reconcile::{Bases, Side};
use crate::report::ErrorCode;

impl Work<'_> {
    /// 5.2: sets columns from the page; answers the link as stored and whether a push is owed. `None`: look again.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one transaction, all of which it needs"
    )]
    pub(super) async fn pull(
        &self,
        entity: &Entity,
        seen: &Seen,
        page: &Page,
        link: Link,
        pulls: &[&FieldDecision],
        records: Vec<Record>,
        now: OffsetDateTime,
    ) -> Result<Option<(Link, bool)>, EngineError> {
        match self
            .pull_together(entity, seen, page, &link, pulls, records.clone(), now)
            .await?
        {
            Pulled::Stored(stored, owed) => Ok(Some((*stored, owed))),
            Pulled::Moved => Ok(None),
            // 6.6: one bad value must not keep the others out.
            Pulled::Refused(_, _) if pulls.len() > 1 => {
                let mut link = link;
                let mut records = records;
                let mut owed = false;
                let mut failed = Vec::new();
                for field in pulls {
                    let one = std::slice::from_ref(field);
                    match self
                        .pull_together(entity, seen, page, &link, one, std::mem::take(&mut records), now)
                        .await?
                    {
                        Pulled::Stored(stored, one_owed) => {
                            link = *stored;
                            owed |= one_owed;
                        }
                        Pulled::Moved => return Ok(None),
                        Pulled::Refused(code, message) => {
                            failed.push(self.refused(entity, seen, field, code, message, now));
                        }
                    }
                }
                link.troubles.extend(failed);
                self.schedule(&mut link);
                Ok(Some((link, owed)))
            }
            Pulled::Refused(code, message) => {
                let mut link = link;
                for field in pulls {
                    link.troubles
                        .push(self.refused(entity, seen, field, code, message.clone(), now));
                }
                self.schedule(&mut link);
                for record in records {
                    self.commit(vec![record]).await?;
                }
                Ok(Some((link, false)))
            }
        }
    }

    fn schedule(&self, link: &mut Link) {
        let retry = link.troubles.iter().filter_map(|trouble| trouble.retry_at).min();
        link.look_again_at = link.look_again_at.into_iter().chain(retry).min();
    }

    fn refused(
        &self,
        entity: &Entity,
        seen: &Seen,
        field: &FieldDecision,
        code: ErrorCode,
        message: String,
        now: OffsetDateTime,
    ) -> Trouble {
        let before = seen.link.as_ref().and_then(|link| {
            link.troubles
                .iter()
                .find(|known| known.code == code && known.property.as_ref() == Some(&field.property))
        });
        let attempts = before.map_or(1, |known| known.attempts + 1);
        // 6.6: after 1, 4 and 24 hours.
        let hours = match attempts {
            1 => 1,
            2 => 4,
            _ => 24,
        };
        Trouble {
            code,
            property: Some(field.property.clone()),
            message,
            attempts,
            retry_at: Some(now + time::Duration::hours(hours)),
            met_with: self.digests(entity, seen, &field.property),
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one transaction, all of which it needs"
    )]
    async fn pull_together(
        &self,
        entity: &Entity,
        seen: &Seen,
        page: &Page,
        link: &Link,
        pulls: &[&FieldDecision],
        mut records: Vec<Record>,
        now: OffsetDateTime,
    ) -> Result<Pulled, EngineError> {
        let Some(columns) = seen.columns() else {
            return Ok(Pulled::Moved);
        };
        let mut set = Vec::new();
        let mut expect = Vec::new();
        for decision in pulls {
            let column = entity
                .field(&decision.property)
                .and_then(|field| field.column.clone());
            let (Some(column), FieldAction::Pull(value)) = (column, &decision.action) else {
                continue;
            };
            if let Some(held) = columns.get(&column) {
                expect.push(RowChange {
                    column: column.clone(),
                    value: held.clone(),
                });
            }
            set.push(RowChange {
                column,
                value: value.clone(),
            });
        }
        for decision in pulls {
            records.extend(self.consequences(entity, seen, decision, now));
        }
        let lag = self.engine.tuning.read_lag;
        let stored = |row: &Row| {
            let mut next = link.clone();
            let mut owed = false;
            for decision in pulls {
                let Some(field) = entity.field(&decision.property) else {
                    continue;
                };
                let Ok(page_value) = super::observe::page_value(
                    field,
                    page,
                    link.fields.get(&field.property),
                    &seen.references,
                ) else {
                    continue;
                };
                let Ok(row_value) = field.codec.row_value(&row.columns) else {
                    continue;
                };
                let state = next.fields.entry(field.property.clone()).or_default();
                let held = state.bases.as_ref().map(|bases| bases.page.clone());
                // A trigger may have stored another value: it is pushed back, once.
                let agrees = field.direction == Direction::ToPostgres
                    || encode(
                        field,
                        &row_value,
                        &row.columns,
                        Some(&page_value),
                        &seen.references,
                    )
                    .is_ok_and(|encoded| shows(&page_value, &field.codec.canonical_page(encoded)));
                state.force_push = !agrees;
                state.put_back = None;
                state.echoes = if page.last_edited_by == self.bot {
                    state.echoes.saturating_add(1)
                } else {
                    0
                };
                owed |= !agrees;
                state.bases = Some(Bases {
                    row: row_value,
                    page: page_value,
                });
                state.settled();
                remember_past(state, held, now, lag, decision.doubtful);
            }
            next.settled_at = Some(seen.at);
            (next, owed)
        };
        let ids: Vec<AuditEntry> = pulls
            .iter()
            .map(|decision| {
                let mut entry = self.audit(entity, link, Side::Postgres, Act::Updated, decision.reason, now);
                entry.property = Some(decision.property.clone());
                entry.old = entity
                    .field(&decision.property)
                    .and_then(|field| field.codec.row_value(columns).ok())
                    .map(Kept::Value);
                entry
            })
            .collect();
        let settle = |row: &Row| {
            let (next, _) = stored(row);
            let mut records = vec![Record::Link(Box::new(next))];
            for entry in &ids {
                let mut entry = entry.clone();
                entry.new = entry
                    .property
                    .as_ref()
                    .and_then(|property| entity.field(property))
                    .and_then(|field| field.codec.row_value(&row.columns).ok())
                    .map(Kept::Value);
                records.push(Record::Audit(entry));
            }
            records
        };
        let write = RowWrite::Update {
            entity: entity.name.clone(),
            key: link.key.clone(),
            set,
            expect,
        };
        let commit = Commit {
            row: Some((write, Box::new(settle))),
            records,
        };
        match self.engine.store.commit(self.fence, commit).await? {
            CommitOutcome::Committed(Some(row)) => {
                self.tally.count(&entity.name, |report| report.rows_updated += 1);
                let (mut next, owed) = stored(&row);
                next.rev += 1;
                Ok(Pulled::Stored(Box::new(next), owed))
            }
            CommitOutcome::Committed(None)
            | CommitOutcome::RowRefused(RowOutcome::Moved | RowOutcome::Written(_)) => Ok(Pulled::Moved),
            CommitOutcome::RowRefused(RowOutcome::LeavesScope) => Ok(Pulled::Refused(
                ErrorCode::LeavesScope,
                "the value would move the row out of the profile's scope".to_owned(),
            )),
            CommitOutcome::RowRefused(RowOutcome::Rejected(rejection)) => {
                let (code, message) = rejected(&rejection);
                Ok(Pulled::Refused(code, message))
            }
        }
    }
}

enum Pulled {
    Stored(Box<Link>, bool),
    Moved,
    Refused(ErrorCode, String),
}

/// A refusal of Postgres, in words that hold no value.
pub(super) fn rejected(rejection: &crate::ports::ColumnRejection) -> (ErrorCode, String) {
    let code = match rejection.sqlstate.get(..2) {
        Some("23") => ErrorCode::ConstraintViolation,
        Some("22") => ErrorCode::InvalidValue,
        _ if rejection.sqlstate == "42501" => ErrorCode::PermissionDenied,
        _ => ErrorCode::RowRefused,
    };
    let mut message = format!("Postgres refuses the value (SQLSTATE {})", rejection.sqlstate);
    if let Some(constraint) = &rejection.constraint {
        message.push_str(&format!(" by constraint `{constraint}`"));
    }
    if let Some(column) = &rejection.column {
        message.push_str(&format!(" in column `{column}`"));
    }
    (code, message)
}
