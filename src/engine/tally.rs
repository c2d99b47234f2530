//! Counts what a run did, by entity.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::ports::Link;
use crate::report::{EntityReport, ErrorCode, RecordError};
use crate::value::{PageId, RecordKey};

use super::Entity;

/// The reports of a run's entities, while it goes on.
#[derive(Default)]
pub(super) struct Tally {
    entities: Mutex<BTreeMap<String, EntityReport>>,
}

impl Tally {
    /// Changes one entity's report.
    pub(super) fn count(&self, entity: &str, change: impl FnOnce(&mut EntityReport)) {
        // A panic elsewhere leaves plain counters behind.
        let mut entities = self.entities.lock().unwrap_or_else(PoisonError::into_inner);
        change(entities.entry(entity.to_owned()).or_default());
    }

    /// Adds an error of one record, once.
    pub(super) fn error(
        &self,
        entity: &str,
        key: Option<&RecordKey>,
        page: Option<&PageId>,
        property: Option<String>,
        code: ErrorCode,
        message: String,
    ) {
        let error = RecordError {
            key: key.map(ToString::to_string),
            page_id: page.map(ToString::to_string),
            property,
            code,
            message,
        };
        self.count(entity, |report| {
            if !report.errors.contains(&error) {
                report.errors.push(error);
            }
        });
    }

    /// Adds the errors that a link carries.
    pub(super) fn troubles(&self, entity: &Entity, link: &Link) {
        for trouble in link.troubles.iter().filter(|trouble| is_error(trouble.code)) {
            let property = trouble
                .property
                .as_ref()
                .map(|property| entity.property_name(property));
            self.error(
                &entity.name,
                Some(&link.key),
                link.page.as_ref(),
                property,
                trouble.code,
                trouble.message.clone(),
            );
        }
    }

    /// The report of one entity.
    pub(super) fn report(&self, entity: &str) -> EntityReport {
        let mut report = EntityReport::default();
        self.count(entity, |counted| report = counted.clone());
        report
            .errors
            .sort_by(|a, b| (&a.key, &a.page_id, &a.property).cmp(&(&b.key, &b.page_id, &b.property)));
        report
    }
}

/// Whether a trouble is an error of the record; the others are states that pass, or that a person knows of.
pub(super) fn is_error(code: ErrorCode) -> bool {
    !matches!(
        code,
        ErrorCode::WaitingForReference
            | ErrorCode::ForeignReference
            | ErrorCode::ReadTooEarly
            | ErrorCode::OutcomeUnknown
            | ErrorCode::PageBusy
            | ErrorCode::OpenConflict
            | ErrorCode::InitialDiffers
            | ErrorCode::PageTrashed
            | ErrorCode::PageMoved
            | ErrorCode::PageInaccessible
            | ErrorCode::DeletedAndEdited
            | ErrorCode::ResurrectedPage
            | ErrorCode::IncompletePage
    )
}
