//! Views: that they name properties which exist and can do what the view asks.

use super::Check;
use crate::diagnostic::{Code, did_you_mean};
use crate::mapping::{Field, SystemProperties, View, ViewKind};
use crate::schema::PropertyType;
use crate::yaml::pointer;

impl Check<'_> {
    pub(super) fn views(&mut self, fields: &[Field], system: &SystemProperties) -> Vec<View> {
        let Some(written) = &self.written().views else {
            return Vec::new();
        };
        let mut views: Vec<View> = Vec::new();
        for (index, view) in written.iter().enumerate() {
            let at = pointer("/views", index);
            let name = &view.name.0;
            if let Some(first) = views.iter().position(|other| &other.name == name) {
                let label = self
                    .document()
                    .value_label(&format!("/views/{first}/name"), "first here");
                let finding = self
                    .document()
                    .value_finding(
                        Code::DuplicateView,
                        &pointer(&at, "name"),
                        format!("view `{name}` appears twice"),
                        "again here",
                    )
                    .also(label)
                    .help("give each view a name of its own");
                self.findings.push(finding);
            }
            if let Some(group) = &view.group_by {
                self.view_property(&pointer(&at, "group_by"), group, fields, system);
            }
            for (index, shown) in view.properties.iter().flatten().enumerate() {
                self.view_property(
                    &pointer(&pointer(&at, "properties"), index),
                    shown,
                    fields,
                    system,
                );
            }
            let mut sort = Vec::new();
            for (index, written) in view.sort.iter().flatten().enumerate() {
                let (property, descending) = match written.0.strip_prefix('-') {
                    Some(property) => (property, true),
                    None => (written.0.as_str(), false),
                };
                self.view_property(&pointer(&pointer(&at, "sort"), index), property, fields, system);
                sort.push((property.to_owned(), descending));
            }
            self.group(&at, view.kind, view.group_by.as_deref(), fields);
            views.push(View {
                name: name.clone(),
                kind: view.kind,
                group_by: view.group_by.clone(),
                show: view.properties.clone(),
                sort,
            });
        }
        views
    }

    fn view_property(&mut self, at: &str, name: &str, fields: &[Field], system: &SystemProperties) {
        let own = [&system.postgres_id, &system.last_synced, &system.sync_status];
        if self.names_property(fields, name) || own.into_iter().any(|own| own == name) {
            return;
        }
        let known = fields.iter().map(|field| field.property.as_str());
        let help =
            did_you_mean(name, known).unwrap_or_else(|| "name one of the mapping's properties".to_owned());
        self.value(
            Code::ViewUnknownProperty,
            at,
            format!("the view names `{name}`, which the mapping does not have"),
            "no such property",
            help,
        );
    }

    fn group(&mut self, at: &str, kind: ViewKind, group_by: Option<&str>, fields: &[Field]) {
        use PropertyType as Type;
        let (needs, fits): (&str, &[Type]) = match kind {
            ViewKind::Board => (
                "a select, multi_select, status, people, relation or checkbox",
                &[
                    Type::Select,
                    Type::MultiSelect,
                    Type::Status,
                    Type::People,
                    Type::Relation,
                    Type::Checkbox,
                ],
            ),
            ViewKind::Calendar | ViewKind::Timeline => {
                ("a date", &[Type::Date, Type::CreatedTime, Type::LastEditedTime])
            }
            ViewKind::Table | ViewKind::List | ViewKind::Gallery => return,
        };
        let kind = match kind {
            ViewKind::Board => "board",
            ViewKind::Calendar => "calendar",
            _ => "timeline",
        };
        let Some(group_by) = group_by else {
            self.value(
                Code::ViewNeedsGroup,
                &pointer(at, "type"),
                format!("the {kind} has no `group_by`"),
                "needs `group_by`",
                format!("add `group_by` with the name of {needs} property"),
            );
            return;
        };
        let Some(field) = fields.iter().find(|field| field.property == group_by) else {
            return;
        };
        if !fits.contains(&field.property_type()) {
            let label = self.place(&pointer("/properties", group_by), "declared here");
            let finding = self
                .document()
                .value_finding(
                    Code::ViewGroupType,
                    &pointer(at, "group_by"),
                    format!(
                        "a {kind} cannot be grouped by `{group_by}`, which is a {}",
                        field.property_type()
                    ),
                    format!("needs {needs}"),
                )
                .also(label)
                .help(format!("name {needs} property"));
            self.findings.push(finding);
        }
    }
}
