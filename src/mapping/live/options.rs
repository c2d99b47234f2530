//! Options against what the column allows and holds.

use super::Check;
use crate::diagnostic::{Code, did_you_mean, list};
use crate::mapping::{Direction, Field, UnknownOption};
use crate::schema::table::Column;
use crate::schema::{PgType, PropertyType};
use crate::value::Conversion;
use crate::yaml::pointer;

impl Check<'_> {
    /// Holds the declared options against what the column allows and holds.
    pub(super) fn options(
        &mut self,
        at: &str,
        field: &Field,
        column: &Column,
        declared: &[&str],
        on_unknown: UnknownOption,
    ) {
        let show = |text: &str| match &field.conversion {
            Some(Conversion::Map(pairs)) => pairs
                .iter()
                .find(|(column, _)| column == text)
                .map_or_else(|| text.to_owned(), |(_, property)| property.clone()),
            _ => text.to_owned(),
        };
        // What a template makes of a value is not known here.
        if matches!(field.conversion, Some(Conversion::Template { .. })) {
            return;
        }
        // A split makes a list of one text.
        let parts = |text: &String| match &field.conversion {
            Some(Conversion::Split(separator)) => text
                .split(separator.as_str())
                .map(|part| part.trim().to_owned())
                .collect(),
            _ => vec![text.clone()],
        };
        let allowed = self.allowed(column);
        if let Some(allowed) = &allowed {
            let shown: Vec<String> = allowed.iter().map(|text| show(text)).collect();
            if field.direction != Direction::ToNotion {
                for (index, option) in declared.iter().enumerate() {
                    if !shown.iter().any(|shown| shown == option) {
                        let help =
                            did_you_mean(option, shown.iter().map(String::as_str)).unwrap_or_else(|| {
                                format!("the column allows {}", list(allowed.iter().map(String::as_str)))
                            });
                        self.report(
                            Code::OptionNotAllowed,
                            &pointer(&pointer(at, "options"), index),
                            format!("column `{}` does not allow `{option}`", column.name),
                            "the database would refuse it",
                            help,
                        );
                    }
                }
            }
        }
        let held = self
            .live
            .facts
            .get(&column.name)
            .and_then(|facts| facts.distinct.clone());
        let mut values: Vec<String> = allowed
            .into_iter()
            .chain(held)
            .flatten()
            .flat_map(|text| parts(&text))
            .map(|text| show(&text))
            .collect();
        values.sort_unstable();
        values.dedup();
        values.retain(|value| !value.is_empty());
        let place = if self.document.has(&pointer(at, "options")) {
            pointer(at, "options")
        } else {
            at.to_owned()
        };
        let unshowable: Vec<&str> = values
            .iter()
            .map(String::as_str)
            .filter(|value| value.contains(',') || value.chars().count() > 100)
            .collect();
        if !unshowable.is_empty() {
            let finding = self
                .document
                .key_finding(
                    Code::OptionUnshowable,
                    &place,
                    format!(
                        "column `{}` holds values that Notion refuses as options",
                        column.name
                    ),
                    format!("{} of them have commas or are too long", unshowable.len()),
                )
                .help("use `conversion: { map: … }`, or make the property `rich_text`");
            self.findings.push(finding);
        }
        if on_unknown == UnknownOption::Create && field.property_type() != PropertyType::Status {
            return;
        }
        // Notion does not tell options apart by case.
        let missing: Vec<&str> = values
            .iter()
            .map(String::as_str)
            .filter(|value| !unshowable.contains(value))
            .filter(|value| {
                !declared
                    .iter()
                    .any(|option| option.to_lowercase() == value.to_lowercase())
            })
            .collect();
        if !missing.is_empty() {
            let finding = self
                .document
                .key_finding(
                    Code::OptionMissing,
                    &place,
                    format!("column `{}` knows values that are no options", column.name),
                    format!("{} values are missing", missing.len()),
                )
                .help(format!(
                    "add {}, or `on_unknown_option: create`",
                    list(missing.iter().copied())
                ));
            self.findings.push(finding);
        }
    }

    /// The texts that the column's type or a CHECK constraint allows, where one of them lists them.
    fn allowed(&self, column: &Column) -> Option<Vec<String>> {
        let element = match column.pg_type.base() {
            PgType::Array(element) => element.base(),
            other => other,
        };
        if let PgType::Enum { labels, .. } = element {
            return Some(labels.clone());
        }
        self.table
            .checks
            .iter()
            .find_map(|check| check.allows.as_ref().filter(|(name, _)| *name == column.name))
            .map(|(_, texts)| texts.clone())
    }
}
