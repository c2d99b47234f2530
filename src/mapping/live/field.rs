//! A property against its column: type, writability, relation, and what the column holds.

use super::Check;
use crate::diagnostic::Code;
use crate::mapping::{Direction, Field, PropertyKind, Source};
use crate::schema::compat::{Fit, Way, fit};
use crate::schema::table::{Column, Generated, Relkind};
use crate::schema::{PgType, PropertyType};
use crate::value::Conversion;
use crate::yaml::pointer;

impl Check<'_> {
    pub(super) fn field(&mut self, field: &Field) {
        let at = pointer("/properties", &field.property);
        match &field.source {
            None => {}
            Some(Source::Template(template)) => self.template(&pointer(&at, "template"), template),
            Some(Source::Column(name)) => {
                if let Some(column) = self.column(&pointer(&at, "column"), name) {
                    self.pair(&at, field, column);
                }
            }
        }
        if let Some(Conversion::Template {
            to_notion,
            to_postgres,
            ..
        }) = &field.conversion
        {
            let at = pointer(&at, "conversion");
            self.row_columns(&pointer(&at, "to_notion"), to_notion);
            if let Some(template) = to_postgres {
                self.row_columns(&pointer(&at, "to_postgres"), template);
            }
        }
    }

    /// Holds a property against its column.
    fn pair(&mut self, at: &str, field: &Field, column: &Column) {
        let property_type = field.property_type();
        let column_at = pointer(at, "column");
        let subject = format!(
            "`{}` is {}, and `{}` is {property_type}",
            column.name, column.pg_type, field.property
        );
        let conversion = field.conversion.as_ref().map(Conversion::kind);
        match fit(&column.pg_type, property_type, conversion) {
            Fit::Lossless | Fit::Lossy { .. } => {}
            Fit::Refused { why, help } => {
                let finding = self
                    .document
                    .value_finding(Code::TypeMismatch, &pointer(at, "type"), subject.clone(), why)
                    .also(self.document.value_label(&column_at, column.pg_type.to_string()))
                    .help(help);
                self.findings.push(finding);
                return;
            }
            Fit::OneWay {
                way: Way::ToNotion,
                why,
            } if field.direction != Direction::ToNotion => {
                let finding = self
                    .document
                    .value_finding(Code::TypeMismatch, &pointer(at, "type"), subject.clone(), why)
                    .also(self.document.value_label(&column_at, column.pg_type.to_string()))
                    .help("add `direction: to_notion`");
                self.findings.push(finding);
                return;
            }
            Fit::OneWay { .. } => {}
        }
        if field.direction != Direction::ToNotion {
            self.writable(&column_at, field, column);
        }
        if let PropertyKind::Relation { target, .. } = &field.kind {
            self.relation(&column_at, target, column);
        }
        if let PropertyKind::Options {
            options, on_unknown, ..
        } = &field.kind
        {
            let names: Vec<&str> = options.iter().map(|option| option.name.as_str()).collect();
            self.options(at, field, column, &names, *on_unknown);
        }
        self.contents(&column_at, field, column);
    }

    fn writable(&mut self, at: &str, field: &Field, column: &Column) {
        let why = match (column.generated, self.table.relkind) {
            (Generated::Stored, _) => "is computed by the database",
            (Generated::IdentityAlways, _) => "is numbered by the database",
            (_, Relkind::MaterializedView) => "belongs to a materialized view",
            _ => return,
        };
        self.report(
            Code::ColumnNotWritable,
            at,
            format!(
                "`{}` may be edited in Notion, and column `{}` {why}",
                field.property, column.name
            ),
            why,
            "add `direction: to_notion`",
        );
    }

    fn relation(&mut self, at: &str, target: &str, column: &Column) {
        let Some((table, key)) = self.live.targets.get(target) else {
            return;
        };
        let [key] = key.as_slice() else { return };
        let Some(key) = table.column(key) else { return };
        let class = |pg_type: &PgType| match pg_type.base() {
            PgType::Text | PgType::Varchar(_) | PgType::Char(_) | PgType::Citext => "text",
            PgType::Int2 | PgType::Int4 | PgType::Int8 => "integer",
            PgType::Uuid => "uuid",
            _ => "other",
        };
        let element = match column.pg_type.base() {
            PgType::Array(element) => element.as_ref(),
            other => other,
        };
        let same = class(element) == class(&key.pg_type)
            && (class(element) != "other" || element.base() == key.pg_type.base());
        if !same {
            self.report(
                Code::RelationKeyMismatch,
                at,
                format!(
                    "`{}` is {}, and the key of `{target}` is {}",
                    column.name, column.pg_type, key.pg_type
                ),
                "cannot hold the target's key",
                format!(
                    "the relation's column must hold values of `{}.{}`",
                    table.name, key.name
                ),
            );
        }
    }

    /// Warns of values that the property cannot take.
    fn contents(&mut self, at: &str, field: &Field, column: &Column) {
        let Some(facts) = self.live.facts.get(&column.name) else {
            return;
        };
        // Request limits of 2026-03-11: 100 texts of 2,000 UTF-16 units; e-mail and telephone by the stricter source.
        let limit = match field.property_type() {
            PropertyType::Title | PropertyType::RichText => Some(200_000),
            PropertyType::Url => Some(2_000),
            PropertyType::Email | PropertyType::PhoneNumber => Some(100),
            _ => None,
        };
        let (longest, inexact) = (facts.longest, facts.inexact_numbers);
        if let (Some(limit), Some(longest)) = (limit, longest)
            && longest > limit
        {
            self.report(
                Code::TextTooLong,
                at,
                format!("column `{}` holds text of {longest} characters", column.name),
                &format!("the property takes {limit}"),
                "rows with longer text are shown as errors and left alone",
            );
        }
        if field.property_type() == PropertyType::Number && inexact > 0 {
            self.report(
                Code::NumberTooLarge,
                at,
                format!(
                    "column `{}` holds {inexact} numbers that Notion cannot keep exactly",
                    column.name
                ),
                "not exact in Notion",
                "make the property `rich_text`",
            );
        }
    }
}
