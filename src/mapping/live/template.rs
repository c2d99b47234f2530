//! The columns that templates name.

use super::Check;
use crate::diagnostic::{Code, Diagnostic, one_of};
use crate::template::Template;

impl Check<'_> {
    /// Checks that the bare names of a template are columns.
    pub(super) fn template(&mut self, at: &str, template: &Template) {
        for name in template.variables() {
            if !matches!(name.as_str(), "vars" | "profile" | "row") {
                self.template_column(at, template, &name);
            }
        }
        self.row_columns(at, template);
    }

    pub(super) fn row_columns(&mut self, at: &str, template: &Template) {
        for name in template.row_columns() {
            self.template_column(at, template, &name);
        }
    }

    fn template_column(&mut self, at: &str, template: &Template, name: &str) {
        if self.table.column(name).is_some() {
            return;
        }
        let help = one_of(name, "the columns are", self.table.column_names());
        let mut label = self.document.value_label(at, "not a column");
        let offset = label.file.slice(&label.span).find(template.text());
        if let (Some(offset), Some(within)) = (offset, template.text().find(name)) {
            let start = label.span.start + offset + within;
            label.span = start..start + name.len();
        }
        let finding = Diagnostic::new(
            Code::TemplateUnknownVariable,
            format!(
                "the template names `{name}`, and table `{}` has no such column",
                self.table.name
            ),
            label,
        )
        .at(at)
        .help(help);
        self.findings.push(finding);
    }
}
