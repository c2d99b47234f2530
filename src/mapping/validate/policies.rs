//! What happens to records that come and go, and how much may change at once.

use super::Check;
use crate::diagnostic::{Code, did_you_mean};
use crate::mapping::document::{CaptureDocument, CaptureName, Percentage};
use crate::mapping::{
    Assignment, Capture, Direction, Field, Guards, LastWritePolicy, MinCertainty, OnDuplicate,
    OnInaccessible, OnPageCreate, OnPageTrash, OnRowDelete, Predicate, PresencePolicies, TieBreak,
};
use crate::schema::PropertyType;
use crate::yaml::pointer;

impl Check<'_> {
    pub(super) fn presence(&self) -> PresencePolicies {
        let written = self.written();
        PresencePolicies {
            on_row_delete: written.on_row_delete.unwrap_or(OnRowDelete::TrashPage),
            on_page_create: written.on_page_create.unwrap_or(OnPageCreate::Ignore),
            on_page_trash: written.on_page_trash.unwrap_or(OnPageTrash::Hold),
            on_inaccessible: written.on_inaccessible.unwrap_or(OnInaccessible::Hold),
            on_duplicate: written.on_duplicate.unwrap_or(OnDuplicate::Flag),
        }
    }

    pub(super) fn last_write(&self) -> LastWritePolicy {
        LastWritePolicy {
            tie_break: self.written().tie_break.unwrap_or(TieBreak::Postgres),
            min_certainty: self.written().lww_min_certainty.unwrap_or(MinCertainty::Probable),
        }
    }

    pub(super) fn capture(&mut self) -> Capture {
        match &self.written().capture {
            None | Some(CaptureDocument::Named(CaptureName::Scan)) => Capture::Scan,
            Some(CaptureDocument::Named(CaptureName::Triggers)) => Capture::Triggers,
            Some(CaptureDocument::UpdatedAt(written)) => {
                self.identifier("/capture/updated_at", &written.updated_at.0, "column");
                Capture::UpdatedAt {
                    column: written.updated_at.0.clone(),
                }
            }
        }
    }

    pub(super) fn guards(&mut self) -> Guards {
        let mut guards = Guards::default();
        let Some(written) = &self.written().guards else {
            return guards;
        };
        for (key, share, guard) in [
            ("delete_cap", &written.delete_cap, &mut guards.delete_cap),
            ("mass_change", &written.mass_change, &mut guards.mass_change),
        ] {
            if let Some(share) = share.as_ref().and_then(Percentage::share) {
                *guard = share;
                if share >= 1.0 {
                    self.value(
                        Code::GuardDisabled,
                        &pointer("/guards", key),
                        format!("`{key}` lets everything through"),
                        "never stops a run",
                        "`frames-sync approve` lets one stopped plan run; prefer that",
                    );
                }
            }
        }
        guards
    }

    /// The values of inserted rows, and whether every new row gets a key.
    pub(super) fn new_row(&mut self, fields: &[Field], key: &[String], scope: &Predicate) -> Vec<Assignment> {
        let written = self.written();
        let assignments = match &written.new_row {
            Some(new_row) => self.assignments("/new_row", new_row),
            None => Vec::new(),
        };
        let inserts = written.on_page_create == Some(OnPageCreate::InsertRow);
        if !inserts {
            if written.new_row.is_some() && !self.is_assumed("on_page_create") {
                self.key(
                    Code::NewRowUnused,
                    "/new_row",
                    "`new_row` is given, and rows are never inserted".to_owned(),
                    "has no effect",
                    "add `on_page_create: insert_row`, or remove `new_row`",
                );
            }
            return assignments;
        }
        let carried = |column: &str| {
            fields
                .iter()
                .find(|field| field.column() == Some(column) && field.direction != Direction::ToNotion)
        };
        for assignment in &assignments {
            let at = pointer("/new_row", &assignment.column);
            if let Some(field) = carried(&assignment.column) {
                let label = self.place(&pointer("/properties", &field.property), "carried here");
                let finding = self
                    .document()
                    .key_finding(
                        Code::NewRowShadowed,
                        &at,
                        format!(
                            "column `{}` is carried by property `{}` already",
                            assignment.column, field.property
                        ),
                        "given again here",
                    )
                    .also(label)
                    .help("remove it from `new_row`, or make the property `direction: to_notion`");
                self.findings.push(finding);
            }
            if scope
                .constants()
                .iter()
                .any(|(column, _)| *column == assignment.column)
            {
                let label = self.place(&pointer("/scope", &assignment.column), "decided here");
                let finding = self
                    .document()
                    .key_finding(
                        Code::NewRowScope,
                        &at,
                        format!("column `{}` is decided by the scope", assignment.column),
                        "given again here",
                    )
                    .also(label)
                    .help("remove it from `new_row`: the profile's value is filled in");
                self.findings.push(finding);
            }
        }
        // A single key column may still have a default, which only the live layer can see. Of several, each must come
        // from somewhere that the mapping names.
        let fixed = |column: &str| {
            assignments.iter().any(|assignment| assignment.column == column)
                || written
                    .new_row
                    .as_ref()
                    .is_some_and(|new_row| new_row.contains_key(column))
                || carried(column).is_some()
                || scope.constants().iter().any(|(fixed, _)| *fixed == column)
        };
        if key.len() > 1 && !self.is_assumed("new_row") {
            for column in key.iter().filter(|column| !fixed(column)) {
                self.key(
                    Code::NewRowMissingKey,
                    "/on_page_create",
                    format!("rows may be inserted, and nothing gives key column `{column}` a value"),
                    "rows are inserted",
                    format!("add `{column}` to `new_row`, or map it to a property"),
                );
            }
        }
        assignments
    }

    pub(super) fn soft_delete(&mut self) -> Vec<Assignment> {
        let written = self.written();
        let wanted = written.on_page_trash == Some(OnPageTrash::SoftDelete);
        if self.is_assumed("on_page_trash") || self.is_assumed("soft_delete") {
            return Vec::new();
        }
        match (&written.soft_delete, wanted) {
            (Some(columns), true) => {
                if columns.is_empty() {
                    self.soft_delete_unclear("/soft_delete", "`soft_delete` names no column");
                }
                self.assignments("/soft_delete", columns)
            }
            (None, true) => {
                self.soft_delete_unclear("/on_page_trash", "`soft_delete` needs the columns to set");
                Vec::new()
            }
            (Some(_), false) => {
                self.soft_delete_unclear(
                    "/soft_delete",
                    "`soft_delete` is given, and `on_page_trash` is another policy",
                );
                Vec::new()
            }
            (None, false) => Vec::new(),
        }
    }

    fn soft_delete_unclear(&mut self, at: &str, message: &str) {
        self.key(
            Code::SoftDeleteUnclear,
            at,
            message.to_owned(),
            "unclear",
            "write both: `on_page_trash: soft_delete` and `soft_delete: { deleted_at: \"{{ now() }}\" }`",
        );
    }

    pub(super) fn opt_out(&mut self, fields: &[Field]) {
        let Some(name) = &self.written().opt_out else {
            return;
        };
        if name.trim().is_empty() {
            self.value(
                Code::OptOutNotCheckbox,
                "/opt_out",
                "`opt_out` names no property".to_owned(),
                "empty",
                "name a checkbox property; the engine adds it where it does not exist",
            );
            return;
        }
        match fields.iter().find(|field| &field.property == name) {
            Some(field) if field.property_type() != PropertyType::Checkbox => {
                let label = self.place(&pointer("/properties", name), "declared here");
                let finding = self
                    .document()
                    .value_finding(
                        Code::OptOutNotCheckbox,
                        "/opt_out",
                        format!("`opt_out` names `{name}`, which is a {}", field.property_type()),
                        "not a checkbox",
                    )
                    .also(label)
                    .help("name a checkbox property; the engine adds it where it does not exist");
                self.findings.push(finding);
            }
            Some(_) => {}
            None => {
                // A name near an existing checkbox is more likely a slip than a new property.
                let checkboxes = fields
                    .iter()
                    .filter(|field| field.property_type() == PropertyType::Checkbox)
                    .map(|field| field.property.as_str());
                if let Some(help) = did_you_mean(name, checkboxes) {
                    self.value(
                        Code::OptOutNotCheckbox,
                        "/opt_out",
                        format!("`opt_out` names `{name}`, which the mapping does not have"),
                        "no such property",
                        help,
                    );
                }
            }
        }
    }
}
