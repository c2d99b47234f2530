//! What the connected role may see and do.

use super::Check;
use crate::diagnostic::Code;
use crate::mapping::{Direction, Field, OnPageCreate, OnPageTrash};
use crate::schema::table::Column;

impl Check<'_> {
    pub(super) fn row_security(&mut self) {
        if self.table.row_security_active {
            self.report(
                Code::RowSecurityActive,
                "/table",
                format!("row security hides rows of `{}` from this role", self.table.name),
                "row security is active",
                "no page is ever trashed while it is; use a role that the policies let through",
            );
        }
    }

    /// Reports every right that the mapping needs and the role lacks, as the GRANTs that give them.
    pub(super) fn grants(&mut self) {
        let mapping = self.mapping;
        let inserts = mapping.presence.on_page_create == OnPageCreate::InsertRow;
        let mut read: Vec<&str> = mapping.key.iter().map(String::as_str).collect();
        read.extend(mapping.scope.columns());
        read.extend(mapping.fields.iter().filter_map(Field::column));
        let mut update: Vec<&str> = mapping
            .fields
            .iter()
            .filter(|field| field.direction != Direction::ToNotion)
            .filter_map(Field::column)
            .collect();
        if mapping.presence.on_page_trash == OnPageTrash::SoftDelete {
            update.extend(
                mapping
                    .soft_delete
                    .iter()
                    .map(|assignment| assignment.column.as_str()),
            );
        }
        let mut insert: Vec<&str> = Vec::new();
        if inserts {
            insert.extend(update.iter().copied());
            insert.extend(
                mapping
                    .new_row
                    .iter()
                    .map(|assignment| assignment.column.as_str()),
            );
            insert.extend(mapping.scope.constants().into_iter().map(|(column, _)| column));
        }
        let mut grants = Vec::new();
        for (right, columns, has) in [
            (
                "select",
                read,
                (|column: &Column| column.privileges.select) as fn(&Column) -> bool,
            ),
            ("update", update, |column| column.privileges.update),
            ("insert", insert, |column| column.privileges.insert),
        ] {
            let mut lacking: Vec<&str> = columns
                .into_iter()
                .filter_map(|name| self.table.column(name))
                .filter(|column| !has(column))
                .map(|column| column.name.as_str())
                .collect();
            lacking.sort_unstable();
            lacking.dedup();
            if !lacking.is_empty() {
                grants.push(format!(
                    "grant {right} ({}) on {} to {}",
                    lacking.join(", "),
                    self.table.name,
                    self.live.role
                ));
            }
        }
        if mapping.presence.on_page_trash == OnPageTrash::HardDelete && !self.table.privileges.delete {
            grants.push(format!(
                "grant delete on {} to {}",
                self.table.name, self.live.role
            ));
        }
        if !grants.is_empty() {
            self.report(
                Code::MissingGrant,
                "/table",
                format!("role `{}` lacks rights on `{}`", self.live.role, self.table.name),
                "needs more rights",
                grants.join("; "),
            );
        }
    }
}
