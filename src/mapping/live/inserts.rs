//! What the mapping gives to columns: assignments, and rows inserted for pages.

use super::Check;
use crate::diagnostic::{Code, list, one_of};
use crate::mapping::{Assigned, Assignment, Direction, OnPageCreate};
use crate::yaml::pointer;

impl Check<'_> {
    pub(super) fn assignments(&mut self, at: &str, assignments: &[Assignment]) {
        for assignment in assignments {
            let at = pointer(at, &assignment.column);
            if self.table.column(&assignment.column).is_none() {
                let help = one_of(&assignment.column, "the columns are", self.table.column_names());
                let finding = self
                    .document
                    .key_finding(
                        Code::ColumnNotFound,
                        &at,
                        format!(
                            "table `{}` has no column `{}`",
                            self.table.name, assignment.column
                        ),
                        "not in the table",
                    )
                    .help(help);
                self.findings.push(finding);
            }
            if let Assigned::Template(template) = &assignment.value {
                self.template(&at, template);
            }
        }
    }

    /// Checks that a row inserted for a page gets everything the table requires.
    pub(super) fn inserts(&mut self) {
        if self.mapping.presence.on_page_create != OnPageCreate::InsertRow {
            return;
        }
        let constants = self.mapping.scope.constants();
        let given = |name: &str| {
            self.mapping
                .new_row
                .iter()
                .any(|assignment| assignment.column == name)
                || constants.iter().any(|(column, _)| *column == name)
                || self
                    .mapping
                    .fields
                    .iter()
                    .any(|field| field.column() == Some(name) && field.direction != Direction::ToNotion)
        };
        let missing: Vec<&str> = self
            .table
            .columns
            .iter()
            .filter(|column| !column.may_be_omitted() && !given(&column.name))
            .map(|column| column.name.as_str())
            .collect();
        if !missing.is_empty() {
            self.report(
                Code::InsertNotPossible,
                "/on_page_create",
                format!(
                    "rows may be inserted, and nothing gives {} a value",
                    list(missing.iter().copied())
                ),
                "rows are inserted",
                "give them in `new_row`, map them to properties, or declare defaults",
            );
        }
    }
}
