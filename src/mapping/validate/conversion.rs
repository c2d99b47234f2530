//! Conversions: that each is one of the built-in ones, fits its property, and has a way back where one is needed.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::Check;
use super::templates::Names;
use crate::diagnostic::{Code, list};
use crate::mapping::document::{ConversionDocument, ConversionName, FullConversion};
use crate::mapping::{Direction, Source};
use crate::schema::PropertyType;
use crate::schema::compat::takes_conversion;
use crate::template::{Ambient, Template};
use crate::value::Conversion;
use crate::yaml::pointer;

const WAYS: &str = "write one of `iso8601`, `json`, `trim`, `{ map: … }`, `{ scale: … }`, `{ split: … }`, \
                    `{ to_notion: …, to_postgres: … }`";

impl Check<'_> {
    /// The conversion that a property declares, where it makes sense.
    pub(super) fn conversion(
        &mut self,
        at: &str,
        written: &ConversionDocument,
        property_type: PropertyType,
        source: &Option<Source>,
        direction: Direction,
    ) -> Option<Conversion> {
        if matches!(source, Some(Source::Template(_))) {
            self.key(
                Code::ConversionUnclear,
                at,
                "a conversion stands beside a template".to_owned(),
                "has nothing to convert",
                "apply the conversion within the template",
            );
            return None;
        }
        let conversion = match written {
            ConversionDocument::Named(ConversionName::Iso8601) => Conversion::Iso8601,
            ConversionDocument::Named(ConversionName::Json) => Conversion::Json,
            ConversionDocument::Named(ConversionName::Trim) => Conversion::Trim,
            ConversionDocument::Full(full) => self.full(at, full, direction)?,
        };
        self.fits(at, &conversion, property_type);
        self.examples(at, written, &conversion, direction);
        Some(conversion)
    }

    fn full(&mut self, at: &str, full: &FullConversion, direction: Direction) -> Option<Conversion> {
        let FullConversion {
            map,
            scale,
            split,
            to_notion,
            to_postgres,
            examples,
        } = full;
        let given = [
            map.is_some(),
            scale.is_some(),
            split.is_some(),
            to_notion.is_some() || to_postgres.is_some(),
        ];
        match given.into_iter().filter(|given| *given).count() {
            1 => {}
            0 => {
                self.unclear(at, "the conversion does not say how values change");
                return None;
            }
            _ => {
                self.unclear(at, "the conversion names more than one way");
                return None;
            }
        }
        if let Some(map) = map {
            return self.map(&pointer(at, "map"), map, direction);
        }
        if let Some(factor) = scale {
            if *factor == 0.0 || !factor.is_finite() {
                self.value(
                    Code::ConversionNotInvertible,
                    &pointer(at, "scale"),
                    "a scale of zero has no way back".to_owned(),
                    "everything would be 0",
                    "write the factor that turns the column's number into the property's",
                );
                return None;
            }
            return Some(Conversion::Scale(*factor));
        }
        if let Some(separator) = split {
            return Some(Conversion::Split(separator.0.clone()));
        }
        let Some(to_notion_text) = to_notion else {
            self.unclear(at, "the conversion has a way back, and no way there");
            return None;
        };
        let to_notion_at = pointer(at, "to_notion");
        let to_notion = self.template(&to_notion_at, to_notion_text, Names::Conversion);
        let to_postgres_at = pointer(at, "to_postgres");
        let back = to_postgres
            .as_ref()
            .map(|text| (text, self.template(&to_postgres_at, text, Names::Conversion)));
        for (at, template) in [
            (&to_notion_at, to_notion.as_ref()),
            (
                &to_postgres_at,
                back.as_ref().and_then(|(_, template)| template.as_ref()),
            ),
        ] {
            if template.is_some_and(Template::uses_ambient) {
                self.value(
                    Code::ConversionNotInvertible,
                    at,
                    "a conversion may not call `uuid()` or `now()`".to_owned(),
                    "every run would write a new value",
                    "use the row's own values",
                );
            }
        }
        match (&back, direction) {
            (None, Direction::ToNotion) => {}
            (None, _) => self.key(
                Code::ConversionOneWay,
                at,
                "the conversion has no way back, and the property is not one-way".to_owned(),
                "no `to_postgres`",
                "add `to_postgres`, or write `direction: to_notion`",
            ),
            (Some(_), Direction::Both) if examples.as_ref().is_none_or(Vec::is_empty) => self.key(
                Code::ConversionNoExamples,
                at,
                "nothing shows that the way back undoes the way there".to_owned(),
                "no `examples`",
                "add a few column values, such as `examples: [\"abc\"]`",
            ),
            (Some(_), _) => {}
        }
        Some(Conversion::Template {
            to_notion: to_notion?,
            to_postgres: match back {
                Some((_, template)) => Some(template?),
                None => None,
            },
            examples: examples.clone().unwrap_or_default(),
        })
    }

    fn unclear(&mut self, at: &str, message: &str) {
        self.key(Code::ConversionUnclear, at, message.to_owned(), "unclear", WAYS);
    }

    fn map(
        &mut self,
        at: &str,
        map: &serde_json::Map<String, Json>,
        direction: Direction,
    ) -> Option<Conversion> {
        if map.is_empty() {
            self.key(
                Code::EmptyValue,
                at,
                "`map` is empty".to_owned(),
                "must hold something",
                "write each column value with the property value that stands for it",
            );
            return None;
        }
        let mut pairs = Vec::with_capacity(map.len());
        let mut shown: BTreeMap<String, &str> = BTreeMap::new();
        for (column, property) in map {
            let at_pair = pointer(at, column);
            let property = match property {
                Json::String(text) => text.clone(),
                Json::Number(_) | Json::Bool(_) => property.to_string(),
                _ => {
                    self.value(
                        Code::WrongType,
                        &at_pair,
                        format!("`{column}` must stand for a text"),
                        "expected text",
                        "write the property's value",
                    );
                    continue;
                }
            };
            match shown.get(&property) {
                Some(first) if direction != Direction::ToNotion => {
                    let label = self.document().value_label(&pointer(at, first), "first here");
                    let finding = self
                        .document()
                        .value_finding(
                            Code::ConversionNotInvertible,
                            &at_pair,
                            format!("`{first}` and `{column}` both stand for `{property}`"),
                            "again here",
                        )
                        .also(label)
                        .help("give each a value of its own, or write `direction: to_notion`");
                    self.findings.push(finding);
                }
                Some(_) => {}
                None => {
                    shown.insert(property.clone(), column);
                }
            }
            pairs.push((column.clone(), property));
        }
        Some(Conversion::Map(pairs))
    }

    /// Whether any column at all could stand behind the property with this conversion.
    fn fits(&mut self, at: &str, conversion: &Conversion, property_type: PropertyType) {
        let kind = conversion.kind();
        if takes_conversion(property_type, kind) {
            return;
        }
        let fitting = PropertyType::ALL
            .into_iter()
            .filter(|other| takes_conversion(*other, kind))
            .map(PropertyType::name);
        let name = kind.name();
        self.key(
            Code::ConversionTypeMismatch,
            at,
            format!("`{name}` is not for a {property_type}"),
            "does not fit",
            format!(
                "remove the conversion, or make the property one of {}",
                list(fitting)
            ),
        );
    }

    /// Sends each example to Notion and back; the first that changes is reported.
    fn examples(
        &mut self,
        at: &str,
        written: &ConversionDocument,
        conversion: &Conversion,
        direction: Direction,
    ) {
        let ConversionDocument::Full(full) = written else {
            return;
        };
        for (index, example) in full.examples.iter().flatten().enumerate() {
            let at = pointer(&pointer(at, "examples"), index);
            let Some((there, back)) = self.round_trip(conversion, example) else {
                continue;
            };
            let failure = match (there, back) {
                (Err(why), _) => format!("{example} cannot be converted: {why}"),
                (Ok(_), None) => continue,
                (Ok(there), Some(Err(why))) => {
                    format!("{example} becomes {there}, which has no way back: {why}")
                }
                (Ok(there), Some(Ok(back))) if !same(&back, example) && direction != Direction::ToNotion => {
                    format!("{example} becomes {there}, and comes back as {back}")
                }
                (Ok(_), Some(Ok(_))) => continue,
            };
            self.value(
                Code::ConversionRoundTrip,
                &at,
                failure,
                "does not survive the round trip",
                "mend `to_postgres`, or write `direction: to_notion`",
            );
        }
    }

    /// An example's image in Notion, and what comes back of it; `None` for conversions without examples to try.
    #[expect(
        clippy::type_complexity,
        reason = "a way there and a way back, each of which may fail"
    )]
    fn round_trip(
        &self,
        conversion: &Conversion,
        example: &Json,
    ) -> Option<(Result<Json, String>, Option<Result<Json, String>>)> {
        match conversion {
            Conversion::Template {
                to_notion,
                to_postgres,
                ..
            } => {
                // Only the row's own values are missing here; a template that needs them cannot be tried.
                if !to_notion.row_columns().is_empty()
                    || to_postgres
                        .as_ref()
                        .is_some_and(|template| !template.row_columns().is_empty())
                {
                    return None;
                }
                let (name, vars) = self.scene.profile.clone().unwrap_or_default();
                let render = |template: &Template, value: &Json| {
                    let context =
                        json!({ "value": value, "row": {}, "vars": vars, "profile": { "name": name } });
                    template
                        .render(&context, &Ambient::FIXED)
                        .map_err(|error| error.message)
                };
                let there = render(to_notion, example);
                let back = match (&there, to_postgres) {
                    (Ok(there), Some(template)) => Some(render(template, there)),
                    _ => None,
                };
                Some((there, back))
            }
            Conversion::Map(pairs) => {
                let text = plain(example)?;
                let there = pairs
                    .iter()
                    .find(|(column, _)| *column == text)
                    .map(|(_, property)| Json::from(property.as_str()))
                    .ok_or_else(|| "the map does not have it".to_owned());
                let back = there.as_ref().ok().map(|there| {
                    pairs
                        .iter()
                        .find(|(_, property)| Some(property.as_str()) == there.as_str())
                        .map(|(column, _)| Json::from(column.as_str()))
                        .ok_or_else(|| "the map does not have it".to_owned())
                });
                Some((there, back))
            }
            Conversion::Scale(factor) => {
                let number = example.as_f64()?;
                let there = number * factor;
                Some((Ok(json!(there)), Some(Ok(json!(there / factor)))))
            }
            Conversion::Split(separator) => {
                let text = example.as_str()?;
                let items: Vec<&str> = text.split(separator.as_str()).map(str::trim).collect();
                Some((Ok(json!(items)), Some(Ok(json!(items.join(separator))))))
            }
            Conversion::Iso8601 | Conversion::Json | Conversion::Trim => None,
        }
    }
}

/// A scalar as the text a column would hold.
fn plain(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(_) | Json::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// Whether what came back is the example: text of a number counts as the number, as in Postgres it would.
fn same(back: &Json, example: &Json) -> bool {
    if back == example {
        return true;
    }
    match (back, example) {
        (Json::Number(a), Json::Number(b)) => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => (a - b).abs() <= f64::EPSILON * a.abs().max(b.abs()),
            _ => false,
        },
        _ => plain(back).is_some_and(|back| Some(back) == plain(example)),
    }
}
