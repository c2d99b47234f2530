//! Property schemas of a data source: their configuration, read and written (fact sheet, section 4).

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::body::Body;
use super::formula::Formula;
use super::refusal::{Answered, Refusal};
use super::seed::Seed;

/// The id of a property as Notion answers it, URL-encoded.
pub(crate) type PropertyId = Arc<str>;

/// The colours of options.
pub(crate) const COLORS: [&str; 10] = [
    "default", "gray", "brown", "orange", "yellow", "green", "blue", "purple", "pink", "red",
];

pub(crate) const ROLLUP_FUNCTIONS: &[&str] = &[
    "count",
    "count_values",
    "empty",
    "not_empty",
    "unique",
    "show_unique",
    "percent_empty",
    "percent_not_empty",
    "sum",
    "average",
    "median",
    "min",
    "max",
    "range",
    "earliest_date",
    "latest_date",
    "date_range",
    "checked",
    "unchecked",
    "percent_checked",
    "percent_unchecked",
    "count_per_group",
    "percent_per_group",
    "show_original",
];

const NUMBER_FORMATS: &[&str] = &[
    "number",
    "number_with_commas",
    "percent",
    "dollar",
    "australian_dollar",
    "canadian_dollar",
    "singapore_dollar",
    "euro",
    "pound",
    "yen",
    "ruble",
    "rupee",
    "won",
    "yuan",
    "real",
    "lira",
    "rupiah",
    "franc",
    "hong_kong_dollar",
    "new_zealand_dollar",
    "krona",
    "norwegian_krone",
    "mexican_peso",
    "rand",
    "new_taiwan_dollar",
    "danish_krone",
    "zloty",
    "baht",
    "forint",
    "koruna",
    "shekel",
    "chilean_peso",
    "philippine_peso",
    "dirham",
    "colombian_peso",
    "riyal",
    "ringgit",
    "leu",
    "argentine_peso",
    "uruguayan_peso",
    "peruvian_sol",
    "vietnamese_dong",
    "pakistani_rupee",
    "nigerian_naira",
    "bitcoin",
];

/// One property of a data source.
#[derive(Clone, Debug)]
pub(crate) struct Property {
    pub(crate) id: PropertyId,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) config: Config,
}

/// An option of a select, multi-select or status property.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Choice {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) color: &'static str,
    pub(crate) description: Option<String>,
}

/// A status group and the options in it.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) id: Uuid,
    pub(crate) name: &'static str,
    pub(crate) color: &'static str,
    pub(crate) options: Vec<Uuid>,
}

/// What a property holds, with what its type needs to know.
#[derive(Clone, Debug)]
pub(crate) enum Config {
    Title,
    RichText,
    Number {
        format: String,
    },
    Select(Vec<Choice>),
    MultiSelect(Vec<Choice>),
    Status {
        options: Vec<Choice>,
        groups: Vec<Group>,
    },
    Date,
    People,
    Files,
    Checkbox,
    Url,
    Email,
    Phone,
    Relation {
        data_source: Uuid,
        mirror: Option<PropertyId>,
    },
    Rollup {
        relation: PropertyId,
        target: PropertyId,
        function: &'static str,
    },
    Formula(Formula),
    UniqueId {
        prefix: Option<String>,
    },
    CreatedTime,
    CreatedBy,
    EditedTime,
    EditedBy,
    Place,
    Verification,
    Button,
    Location,
}

impl Config {
    /// The type's name on the wire, which is also the key of its configuration and values.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::RichText => "rich_text",
            Self::Number { .. } => "number",
            Self::Select(_) => "select",
            Self::MultiSelect(_) => "multi_select",
            Self::Status { .. } => "status",
            Self::Date => "date",
            Self::People => "people",
            Self::Files => "files",
            Self::Checkbox => "checkbox",
            Self::Url => "url",
            Self::Email => "email",
            Self::Phone => "phone_number",
            Self::Relation { .. } => "relation",
            Self::Rollup { .. } => "rollup",
            Self::Formula(_) => "formula",
            Self::UniqueId { .. } => "unique_id",
            Self::CreatedTime => "created_time",
            Self::CreatedBy => "created_by",
            Self::EditedTime => "last_edited_time",
            Self::EditedBy => "last_edited_by",
            Self::Place => "place",
            Self::Verification => "verification",
            Self::Button => "button",
            Self::Location => "location",
        }
    }

    /// Whether pages may be written with a value for it.
    pub(crate) fn is_writable(&self) -> bool {
        !matches!(
            self,
            Self::Rollup { .. }
                | Self::Formula(_)
                | Self::UniqueId { .. }
                | Self::CreatedTime
                | Self::CreatedBy
                | Self::EditedTime
                | Self::EditedBy
                | Self::Button
                | Self::Location
        )
    }

    /// The options, where the type has any.
    pub(crate) fn choices(&self) -> &[Choice] {
        match self {
            Self::Select(options) | Self::MultiSelect(options) | Self::Status { options, .. } => options,
            _ => &[],
        }
    }

    /// The options to change, where the type has any.
    pub(crate) fn choices_mut(&mut self) -> Option<&mut Vec<Choice>> {
        match self {
            Self::Select(options) | Self::MultiSelect(options) | Self::Status { options, .. } => {
                Some(options)
            }
            _ => None,
        }
    }
}

/// A configuration as sent, before the workspace has given it what only it knows.
#[derive(Debug)]
pub(crate) enum Draft {
    Ready(Config),
    Relation {
        data_source: Uuid,
        dual: Option<Option<String>>,
    },
    Rollup {
        relation: Named,
        target: Named,
        function: &'static str,
    },
}

/// A property by id or by name.
#[derive(Clone, Debug)]
pub(crate) enum Named {
    Id(String),
    Name(String),
}

impl Named {
    pub(crate) fn matches(&self, property: &Property) -> bool {
        match self {
            Self::Id(id) => *property.id == **id,
            Self::Name(name) => property.name == *name,
        }
    }
}

/// The types that a schema can be asked for, in the order of Notion's own list of alternatives.
const TYPES: [&str; 25] = [
    "number",
    "formula",
    "select",
    "multi_select",
    "status",
    "relation",
    "rollup",
    "unique_id",
    "title",
    "rich_text",
    "url",
    "people",
    "files",
    "email",
    "phone_number",
    "date",
    "checkbox",
    "created_by",
    "created_time",
    "last_edited_by",
    "last_edited_time",
    "button",
    "location",
    "verification",
    "place",
];

/// The type that a property configuration names, or the long list of those it could have named.
pub(crate) fn type_of(body: &Body<'_>) -> Answered<&'static str> {
    let object = body.object()?;
    if let Some(kind) = TYPES.iter().copied().find(|kind| object.contains_key(*kind)) {
        if let Some(told) = body.get("type").filter(|told| told.value != kind) {
            return Err(told.refuse(&format!("`\"{kind}\"`")));
        }
        return Ok(kind);
    }
    let lines: Vec<String> = TYPES
        .iter()
        .map(|kind| {
            format!(
                "{}.{kind} should be defined, instead was `undefined`.",
                body.path()
            )
        })
        .collect();
    Err(Refusal::validation(format!(
        "body failed validation. Fix one:\n{}",
        lines.join("\n")
    )))
}

/// Reads a property configuration; `old` is what the property is now, which option lists refer to.
pub(crate) fn parse(body: &Body<'_>, old: Option<&Config>, seed: &mut Seed) -> Answered<Draft> {
    let kind = type_of(body)?;
    let inner = body.need(kind)?;
    inner.object()?;
    Ok(Draft::Ready(match kind {
        "number" => {
            let format = match inner.get("format") {
                Some(found) => {
                    let format = found.text(100)?;
                    if !NUMBER_FORMATS.contains(&format) {
                        return Err(found.refuse("a known number format"));
                    }
                    format.to_owned()
                }
                None => match old {
                    Some(Config::Number { format }) => format.clone(),
                    _ => "number".to_owned(),
                },
            };
            Config::Number { format }
        }
        "formula" => {
            let expression = match inner.get("expression") {
                Some(found) => found.text(MAX_EXPRESSION)?,
                None => "",
            };
            Config::Formula(Formula::parse(expression)?)
        }
        "select" | "multi_select" => {
            let existing = old.map_or(&[][..], Config::choices);
            let options = match inner.get("options") {
                Some(list) => parse_options(&list, existing, seed)?,
                None => existing.to_vec(),
            };
            if kind == "select" {
                Config::Select(options)
            } else {
                Config::MultiSelect(options)
            }
        }
        "status" => parse_status(&inner, old, seed)?,
        "relation" => {
            let data_source = inner.need("data_source_id")?.uuid()?;
            let dual = match inner.given("dual_property") {
                Some(dual) => {
                    let name = dual
                        .given("synced_property_name")
                        .map(|name| name.filled_text(MAX_NAME))
                        .transpose()?;
                    Some(name.map(str::to_owned))
                }
                None => {
                    inner.need("single_property")?.object()?;
                    None
                }
            };
            return Ok(Draft::Relation { data_source, dual });
        }
        "rollup" => {
            let named = |what: &str| -> Answered<Named> {
                if let Some(id) = inner.given(&format!("{what}_property_id")) {
                    return Ok(Named::Id(id.text(MAX_NAME)?.to_owned()));
                }
                Ok(Named::Name(
                    inner
                        .need(&format!("{what}_property_name"))?
                        .text(MAX_NAME)?
                        .to_owned(),
                ))
            };
            let function = inner.need("function")?.word(ROLLUP_FUNCTIONS)?;
            return Ok(Draft::Rollup {
                relation: named("relation")?,
                target: named("rollup")?,
                function,
            });
        }
        "unique_id" => {
            let prefix = inner.given("prefix").map(|prefix| prefix.text(100)).transpose()?;
            Config::UniqueId {
                prefix: prefix.map(str::to_owned),
            }
        }
        "title" => Config::Title,
        "rich_text" => Config::RichText,
        "url" => Config::Url,
        "people" => Config::People,
        "files" => Config::Files,
        "email" => Config::Email,
        "phone_number" => Config::Phone,
        "date" => Config::Date,
        "checkbox" => Config::Checkbox,
        "created_by" => Config::CreatedBy,
        "created_time" => Config::CreatedTime,
        "last_edited_by" => Config::EditedBy,
        "last_edited_time" => Config::EditedTime,
        "button" => Config::Button,
        "location" => Config::Location,
        "place" => Config::Place,
        _ => Config::Verification,
    }))
}

const MAX_EXPRESSION: usize = 10_000;

/// The most characters of a property's name that the simulator takes.
pub(crate) const MAX_NAME: usize = 2000;

/// A whole option list: those named stay, those left out go, new names are made.
///
/// Name and colour of an option that exists cannot be changed by API, without any error; its description can
/// (fact sheet, 4.4).
fn parse_options(list: &Body<'_>, existing: &[Choice], seed: &mut Seed) -> Answered<Vec<Choice>> {
    let mut options: Vec<Choice> = Vec::new();
    for item in list.elements()? {
        item.only(&["id", "name", "color", "description", "group"])?;
        let id = item.given("id").map(|id| id.text(100)).transpose()?;
        let name = item.given("name").map(|name| option_name(&name)).transpose()?;
        let known = match (id, name) {
            (Some(id), _) => {
                let found = existing.iter().find(|choice| choice.id.to_string() == id);
                if found.is_none() && name.is_none() {
                    return Err(Refusal::validation(format!(
                        "Could not find select option with id: {id}"
                    )));
                }
                found
            }
            (None, Some(name)) => existing.iter().find(|choice| same_name(&choice.name, name)),
            (None, None) => {
                item.need("name")?;
                None
            }
        };
        let color = item.given("color").map(|color| color.word(&COLORS)).transpose()?;
        let description = item.get("description").map(|text| match text.value {
            Value::Null => Ok(None),
            _ => text.text(280).map(|text| Some(text.to_owned())),
        });
        let description = description.transpose()?;
        let choice = match known {
            Some(choice) => Choice {
                description: description.unwrap_or(choice.description.clone()),
                ..choice.clone()
            },
            None => Choice {
                id: seed.uuid(),
                name: name.unwrap_or_default().to_owned(),
                color: color.unwrap_or_else(|| seed.color()),
                description: description.flatten(),
            },
        };
        if options
            .iter()
            .any(|other| other.id == choice.id || same_name(&other.name, &choice.name))
        {
            return Err(Refusal::validation(format!(
                "Cannot create select option, option with name {} exists",
                choice.name
            )));
        }
        options.push(choice);
    }
    Ok(options)
}

/// Option names are unique but for case (fact sheet, 4.4).
pub(crate) fn same_name(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// A name for an option: filled, and without a comma.
pub(crate) fn option_name<'a>(name: &Body<'a>) -> Answered<&'a str> {
    let text = name.filled_text(super::body::MAX_TEXT)?;
    if text.contains(',') {
        return Err(Refusal::validation(format!(
            "Invalid select option, commas not allowed: {text}"
        )));
    }
    Ok(text)
}

const GROUPS: [(&str, &str); 3] = [("To-do", "gray"), ("In progress", "blue"), ("Complete", "green")];

fn parse_status(inner: &Body<'_>, old: Option<&Config>, seed: &mut Seed) -> Answered<Config> {
    let (existing, mut groups) = match old {
        Some(Config::Status { options, groups }) => (options.clone(), groups.clone()),
        _ => {
            let group = |(name, color)| Group {
                id: seed.uuid(),
                name,
                color,
                options: Vec::new(),
            };
            (Vec::new(), GROUPS.map(group).to_vec())
        }
    };
    let Some(list) = inner
        .get("options")
        .filter(|list| list.value.as_array().is_none_or(|list| !list.is_empty()))
    else {
        if !existing.is_empty() {
            return Ok(Config::Status {
                options: existing,
                groups,
            });
        }
        let defaults = [
            ("Not started", "default"),
            ("In progress", "blue"),
            ("Done", "green"),
        ];
        let mut options = Vec::new();
        for ((name, color), group) in defaults.into_iter().zip(&mut groups) {
            let choice = Choice {
                id: seed.uuid(),
                name: name.to_owned(),
                color,
                description: None,
            };
            group.options.push(choice.id);
            options.push(choice);
        }
        return Ok(Config::Status { options, groups });
    };
    let options = parse_options(&list, &existing, seed)?;
    for (item, choice) in list.elements()?.iter().zip(&options) {
        let asked = item
            .given("group")
            .map(|group| group.word(&["To-do", "In progress", "Complete"]))
            .transpose()?;
        let placed = groups.iter().any(|group| group.options.contains(&choice.id));
        if placed && asked.is_none() {
            continue;
        }
        let target = asked.unwrap_or("To-do");
        for group in &mut groups {
            group.options.retain(|id| *id != choice.id);
            if group.name == target {
                group.options.push(choice.id);
            }
        }
    }
    for group in &mut groups {
        group
            .options
            .retain(|id| options.iter().any(|choice| choice.id == *id));
    }
    Ok(Config::Status { options, groups })
}

fn render_choices(options: &[Choice]) -> Value {
    let render = |choice: &Choice| json!({"id": choice.id, "name": choice.name, "color": choice.color, "description": choice.description});
    options.iter().map(render).collect()
}

impl Property {
    /// The property schema as read, but for what other data sources know: `relation` and `rollup` names are given.
    pub(crate) fn render(&self, inner: Value) -> Value {
        let kind = self.config.kind();
        json!({"id": &*self.id, "name": self.name, "description": self.description, "type": kind, kind: inner})
    }

    /// The configuration under the type's key, for all types that need nothing from elsewhere.
    pub(crate) fn render_config(&self) -> Value {
        match &self.config {
            Config::Number { format } => json!({ "format": format }),
            Config::Select(options) | Config::MultiSelect(options) => {
                json!({ "options": render_choices(options) })
            }
            Config::Status { options, groups } => {
                let group = |group: &Group| json!({"id": group.id, "name": group.name, "color": group.color, "option_ids": group.options});
                json!({"options": render_choices(options), "groups": groups.iter().map(group).collect::<Value>()})
            }
            Config::Formula(formula) => json!({ "expression": formula.expression() }),
            Config::UniqueId { prefix } => json!({ "prefix": prefix }),
            _ => json!({}),
        }
    }
}
