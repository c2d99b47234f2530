//! The key: unique, and never NULL.

use super::Check;
use crate::diagnostic::{Code, list};
use crate::schema::table::Relkind;

impl Check<'_> {
    pub(super) fn key(&mut self) {
        let mut all_found = true;
        for (index, name) in self.mapping.key.iter().enumerate() {
            let at = if self.document.has("/key/0") {
                format!("/key/{index}")
            } else {
                "/key".to_owned()
            };
            match self.column(&at, name) {
                None => all_found = false,
                // The columns of a view say nothing of NULL or uniqueness.
                Some(_) if self.table.relkind == Relkind::View => {}
                Some(column) if !column.not_null => self.report(
                    Code::KeyNullable,
                    &at,
                    format!("key column `{name}` may be NULL"),
                    "may be NULL",
                    format!("alter table {} alter column {name} set not null", self.table.name),
                ),
                Some(_) => {}
            }
        }
        let is_table = self.table.relkind != Relkind::View;
        if all_found && is_table && !self.table.is_unique(&self.mapping.key) {
            let help = match self.table.primary_key.as_slice() {
                [] => format!(
                    "create a unique index on {} ({})",
                    self.table.name,
                    self.mapping.key.join(", ")
                ),
                primary => format!("the primary key is {}", list(primary.iter().map(String::as_str))),
            };
            self.report(
                Code::KeyNotUnique,
                "/key",
                format!(
                    "{} of table `{}` is not unique",
                    list(self.mapping.key.iter().map(String::as_str)),
                    self.table.name
                ),
                "not unique",
                help,
            );
        }
    }
}
