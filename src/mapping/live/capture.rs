//! Whether changes can be noticed in the way that the mapping asks for.

use super::Check;
use crate::diagnostic::Code;
use crate::mapping::Capture;
use crate::schema::PgType;
use crate::schema::table::Relkind;

impl Check<'_> {
    pub(super) fn capture(&mut self) {
        match &self.mapping.capture {
            Capture::Scan => {}
            Capture::UpdatedAt { column } => {
                let at = "/capture/updated_at";
                if let Some(found) = self.column(at, column)
                    && !matches!(found.pg_type.base(), PgType::Timestamp | PgType::Timestamptz)
                {
                    self.report(
                        Code::CaptureUnusable,
                        at,
                        format!("`{column}` is {}, not a timestamp", found.pg_type),
                        "not a timestamp",
                        "name a `timestamptz` column that every change sets, or use `capture: scan`",
                    );
                }
            }
            Capture::Triggers => {
                let is_table = matches!(self.table.relkind, Relkind::Table | Relkind::Partitioned);
                let may = self.table.privileges.trigger || self.table.privileges.owner;
                if !is_table {
                    self.report(
                        Code::CaptureUnusable,
                        "/capture",
                        format!(
                            "`{}` is no ordinary table, and cannot have the triggers",
                            self.table.name
                        ),
                        "not possible here",
                        "use `capture: scan`",
                    );
                } else if !may {
                    self.report(
                        Code::CaptureUnusable,
                        "/capture",
                        format!("the role may not create triggers on `{}`", self.table.name),
                        "needs a right",
                        format!("grant trigger on {} to {}", self.table.name, self.live.role),
                    );
                }
            }
        }
    }
}
