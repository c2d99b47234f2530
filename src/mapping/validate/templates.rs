//! Templates in a mapping: that they parse, and name only what they will be given.

use serde_json::{Map, Value, json};

use super::Check;
use crate::diagnostic::{Code, Diagnostic, did_you_mean};
use crate::mapping::{Assigned, Assignment};
use crate::template::{Ambient, Template};
use crate::yaml::pointer;

/// What a template may name beside `vars` and `profile`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// Any column of the row; whether it exists is the live layer's question.
    Columns,
    /// `value` and `row`.
    Conversion,
    /// Nothing else.
    Nothing,
}

impl Check<'_> {
    /// Parses the template at a pointer and checks the names it uses.
    pub(super) fn template(&mut self, at: &str, text: &str, names: Names) -> Option<Template> {
        let template = match Template::parse(text) {
            Ok(template) => template,
            Err(error) => {
                let finding = Diagnostic::new(
                    Code::TemplateSyntax,
                    format!("the template does not parse: {}", error.message),
                    self.template_label(at, text, error.range.clone(), "here"),
                )
                .at(at)
                .help("`frames-sync validate --explain template-syntax` shows the language");
                self.findings.push(finding);
                return None;
            }
        };
        let vars = self.scene.profile.as_ref().map(|(_, vars)| vars);
        for reference in template.references() {
            let (root, rest) = reference.split_once('.').unwrap_or((&reference, ""));
            let help = match root {
                "vars" => match vars {
                    Some(vars) if !rest.is_empty() => {
                        let name = rest.split('.').next().unwrap_or(rest);
                        if vars.contains_key(name) {
                            continue;
                        }
                        did_you_mean(name, vars.keys().map(String::as_str))
                            .unwrap_or_else(|| format!("add `{name}` to the profile's `vars`"))
                    }
                    _ => continue,
                },
                "profile" if rest.is_empty() || rest == "name" => continue,
                "profile" => "a profile has only a `name`".to_owned(),
                "value" | "row" if names == Names::Conversion => continue,
                "row" if names == Names::Columns => continue,
                _ if names == Names::Columns => continue,
                "env" => {
                    "mappings do not see the environment; hand it over in the profile's `vars`".to_owned()
                }
                _ if names == Names::Conversion => {
                    "a conversion sees `value`, `row`, `vars` and `profile`".to_owned()
                }
                _ => "a scope sees `vars` and `profile`".to_owned(),
            };
            let range = text
                .find(reference.as_str())
                .map(|start| start..start + reference.len());
            let finding = Diagnostic::new(
                Code::TemplateUnknownVariable,
                format!("the template names `{reference}`, which it will not have"),
                self.template_label(at, text, range, "not known"),
            )
            .at(at)
            .help(help);
            self.findings.push(finding);
        }
        Some(template)
    }

    /// Renders a template that sees only `vars` and `profile`.
    ///
    /// Outside a project nothing is known of either, and there is no value.
    pub(super) fn render(&self, template: &Template) -> Option<Value> {
        if template.is_plain() {
            return Some(Value::String(template.text().to_owned()));
        }
        let (name, vars) = self.scene.profile.as_ref()?;
        let context = json!({ "vars": vars, "profile": { "name": name } });
        template.render(&context, &Ambient::FIXED).ok()
    }

    /// Columns with the values they are given.
    pub(super) fn assignments(&mut self, at: &str, written: &Map<String, Value>) -> Vec<Assignment> {
        let mut assignments = Vec::new();
        for (column, value) in written {
            let at = pointer(at, column);
            self.identifier(&at, column, "column");
            let value = match value {
                Value::String(text) => match self.template(&at, text, Names::Columns) {
                    Some(template) => Assigned::Template(template),
                    None => continue,
                },
                Value::Array(_) | Value::Object(_) => {
                    self.value(
                        Code::WrongType,
                        &at,
                        format!("`{column}` must be a text, number, boolean or null"),
                        "expected one value",
                        "write a list or object as JSON text in quotes",
                    );
                    continue;
                }
                literal => Assigned::Literal(literal.clone()),
            };
            assignments.push(Assignment {
                column: column.clone(),
                value,
            });
        }
        assignments
    }

    /// A label under a part of a template, where the template stands in the file to the letter.
    fn template_label(
        &self,
        at: &str,
        text: &str,
        range: Option<std::ops::Range<usize>>,
        label: &str,
    ) -> crate::diagnostic::Label {
        let mut whole = self.document().value_label(at, label);
        if let Some(range) = range {
            let raw = whole.file.slice(&whole.span);
            if let Some(offset) = raw.find(text) {
                let start = whole.span.start + offset;
                whole.span = start + range.start..start + range.end;
            }
        }
        whole
    }
}
