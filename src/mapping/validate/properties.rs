//! The properties: that each has a source, a way and settings that go together.

use std::collections::BTreeMap;

use super::Check;
use super::templates::Names;
use crate::codec;
use crate::diagnostic::Code;
use crate::mapping::document::{OptionDocument, Property};
use crate::mapping::{
    ConflictPolicy, Direction, Field, OptionChoice, PropertyKind, Source, SystemProperties, UnknownOption,
};
use crate::schema::PropertyType;
use crate::yaml::pointer;

/// Options that one request to Notion may carry (request limits, 2026-03-11).
const MOST_OPTIONS: usize = 100;

/// Characters in an option's name. Notion's schema says 2,000; 100 is what is known to work.
const LONGEST_OPTION: usize = 100;

impl Check<'_> {
    /// Every property as a field, in the order of the file.
    pub(super) fn fields(&mut self, system: &SystemProperties, key: &[String], scope: &[&str]) -> Vec<Field> {
        let written = &self.written().properties.0;
        let mut fields = Vec::with_capacity(written.len());
        for (name, property) in written {
            let at = pointer("/properties", name);
            self.name(&at, name, system);
            fields.push(self.field(&at, name, property));
        }
        self.names_differ();
        self.one_title(&fields);
        self.columns_written_once(&fields);
        self.columns_not_writable(&fields, key, scope);
        fields
    }

    fn name(&mut self, at: &str, name: &str, system: &SystemProperties) {
        if name.trim().is_empty() {
            self.key(
                Code::InvalidPropertyName,
                at,
                "the property's name is blank".to_owned(),
                "not visible in Notion",
                "give it a name that people can see",
            );
        } else if name.trim() != name {
            self.key(
                Code::InvalidPropertyName,
                at,
                format!("the name of `{}` begins or ends with white space", name.trim()),
                "not visible in Notion",
                "remove the white space",
            );
        }
        let own = [&system.postgres_id, &system.last_synced, &system.sync_status];
        if let Some(own) = own
            .into_iter()
            .find(|own| own.to_lowercase() == name.to_lowercase())
        {
            self.key(
                Code::ReservedPropertyName,
                at,
                format!("`{own}` is a property of the engine's own"),
                "taken",
                format!("rename this property, or the engine's under `system: {{ {own}: … }}`"),
            );
        }
    }

    fn field(&mut self, at: &str, name: &str, property: &Property) -> Field {
        let property_type = property.property_type();
        let shared = property.shared();
        let (template, empty, time_zone) = match property {
            Property::Title(p)
            | Property::RichText(p)
            | Property::Url(p)
            | Property::Email(p)
            | Property::PhoneNumber(p) => (p.template.as_deref(), p.empty, p.time_zone.as_deref()),
            Property::Select(p) | Property::MultiSelect(p) | Property::Status(p) => (None, p.empty, None),
            Property::Date(p) => (None, None, p.time_zone.as_deref()),
            _ => (None, None, None),
        };
        if let Some(column) = shared.column {
            self.identifier(&pointer(at, "column"), column, "column");
        }
        let source = self.source(at, name, property_type, shared.column, template);
        let direction = self.direction(at, name, property_type, &source, shared.direction);
        self.description(&pointer(at, "description"), name, shared.description);
        self.time_zone(at, property, time_zone);
        let kind = self.kind(at, property);
        let conversion = shared.conversion.and_then(|written| {
            self.conversion(
                &pointer(at, "conversion"),
                written,
                property_type,
                &source,
                direction,
            )
        });
        Field {
            property: name.to_owned(),
            kind,
            source,
            direction,
            conflict: shared
                .conflict
                .or(self.written().conflict)
                .unwrap_or(ConflictPolicy::LastWriteWins),
            conversion,
            empty,
            time_zone: time_zone.map(str::to_owned),
            description: shared.description.map(str::to_owned),
        }
    }

    fn source(
        &mut self,
        at: &str,
        name: &str,
        property_type: PropertyType,
        column: Option<&str>,
        template: Option<&str>,
    ) -> Option<Source> {
        match (column, template) {
            (Some(column), None) => Some(Source::Column(column.to_owned())),
            (Some(column), Some(_)) => {
                let label = self.place(&pointer(at, "column"), "and a column");
                let finding = self
                    .document()
                    .key_finding(
                        Code::SourceConflict,
                        &pointer(at, "template"),
                        format!("`{name}` has both a column and a template"),
                        "a template",
                    )
                    .also(label)
                    .help("remove one of the two; a `conversion` changes a column's value on the way");
                self.findings.push(finding);
                Some(Source::Column(column.to_owned()))
            }
            (None, Some(template)) => self
                .template(&pointer(at, "template"), template, Names::Columns)
                .map(Source::Template),
            // What Notion computes may stand in its schema without a column.
            (None, None) if property_type.is_read_only() => None,
            (None, None) => {
                let what = if accepts_template(property_type) {
                    "`column`, or `template` for text computed from the row"
                } else {
                    "`column`"
                };
                self.key(
                    Code::SourceMissing,
                    at,
                    format!("`{name}` does not say what it shows"),
                    "needs a source",
                    format!("add {what}"),
                );
                None
            }
        }
    }

    fn direction(
        &mut self,
        at: &str,
        name: &str,
        property_type: PropertyType,
        source: &Option<Source>,
        written: Option<Direction>,
    ) -> Direction {
        let direction_at = pointer(at, "direction");
        if property_type.is_read_only() {
            if source.is_some() && written != Some(Direction::ToPostgres) {
                let place = if written.is_some() {
                    &direction_at
                } else {
                    &pointer(at, "type")
                };
                self.value(
                    Code::ReadOnlyDirection,
                    place,
                    format!("`{name}` is a {property_type}, which Notion computes and nobody can write"),
                    "read-only",
                    "add `direction: to_postgres`, or remove the column",
                );
            } else if source.is_none() && written.is_some_and(|direction| direction != Direction::ToPostgres)
            {
                self.value(
                    Code::ReadOnlyDirection,
                    &direction_at,
                    format!("`{name}` is a {property_type}, which Notion computes and nobody can write"),
                    "read-only",
                    "remove the direction",
                );
            }
            return Direction::ToPostgres;
        }
        if matches!(source, Some(Source::Template(_))) {
            if written.is_some_and(|direction| direction != Direction::ToNotion) {
                self.value(
                    Code::TemplateNotOneWay,
                    &direction_at,
                    format!("`{name}` is computed from the row, and would have to be read back"),
                    "cannot be read back",
                    "write `direction: to_notion`, or remove the line",
                );
            }
            return Direction::ToNotion;
        }
        if property_type == PropertyType::Title && written == Some(Direction::ToPostgres) {
            self.value(
                Code::TitleFromNotionOnly,
                &direction_at,
                format!("the title `{name}` is not shown from Postgres"),
                "new pages would have no name",
                "write `direction: both`",
            );
        }
        written.unwrap_or(Direction::Both)
    }

    fn time_zone(&mut self, at: &str, property: &Property, zone: Option<&str>) {
        let Some(zone) = zone else { return };
        let at = pointer(at, "time_zone");
        if !codec::is_time_zone(zone) {
            self.value(
                Code::InvalidTimeZone,
                &at,
                format!("`{zone}` is no time zone"),
                "not a zone",
                "write `UTC`, a zone such as `America/Los_Angeles`, or an offset such as `-08:00`",
            );
        }
        if !matches!(property, Property::Date(_)) {
            self.key(
                Code::TimeZoneMisplaced,
                &at,
                "a `time_zone` stands on a property that shows no time".to_owned(),
                "has no effect",
                "remove it, or make the property a `date`",
            );
        }
    }

    fn kind(&mut self, at: &str, property: &Property) -> PropertyKind {
        let property_type = property.property_type();
        match property {
            Property::Number(p) => PropertyKind::Number {
                format: p.format.map_or("number", |format| format.name()).to_owned(),
            },
            Property::Select(p) | Property::MultiSelect(p) | Property::Status(p) => {
                let options = self.options(at, property_type, p.options.as_deref().unwrap_or_default());
                let on_unknown = p.on_unknown_option.unwrap_or(UnknownOption::Error);
                if property_type == PropertyType::Status && on_unknown == UnknownOption::Create {
                    self.value(
                        Code::StatusOptionsFixed,
                        &pointer(at, "on_unknown_option"),
                        "a status never grows options by itself".to_owned(),
                        "not possible for a status",
                        "declare every option, or make the property a `select`",
                    );
                }
                PropertyKind::Options {
                    property_type,
                    options,
                    on_unknown,
                }
            }
            Property::Relation(p) => {
                let target = p.target.clone().unwrap_or_default();
                if p.target.is_none() {
                    self.key(
                        Code::MissingKey,
                        at,
                        "the relation has no `target`".to_owned(),
                        "`target` is required here",
                        "`target`: the entity that the relation leads to",
                    );
                }
                PropertyKind::Relation {
                    target,
                    dual: p.dual.as_ref().map(|name| name.0.clone()),
                }
            }
            Property::Formula(p) => {
                let expression = p.expression.clone().unwrap_or_default();
                if expression.trim().is_empty() {
                    let (place, message) = if p.expression.is_some() {
                        (pointer(at, "expression"), "the formula's expression is blank")
                    } else {
                        (at.to_owned(), "the formula has no expression")
                    };
                    self.key(
                        Code::ExpressionBlank,
                        &place,
                        message.to_owned(),
                        "nothing to compute",
                        "add `expression`, such as `expression: prop(\"Credits\") * 2`",
                    );
                }
                PropertyKind::Formula { expression }
            }
            Property::Rollup(p) => {
                for (key, given, what) in [
                    (
                        "relation",
                        p.relation.is_some(),
                        "the relation property that it follows",
                    ),
                    (
                        "property",
                        p.property.is_some(),
                        "the property that it reads there",
                    ),
                    (
                        "function",
                        p.function.is_some(),
                        "how it combines the values, such as `count`",
                    ),
                ] {
                    if !given {
                        self.key(
                            Code::MissingKey,
                            at,
                            format!("the rollup has no `{key}`"),
                            &format!("`{key}` is required here"),
                            format!("`{key}`: {what}"),
                        );
                    }
                }
                if let Some(relation) = &p.relation {
                    self.rollup_relation(at, relation);
                }
                PropertyKind::Rollup {
                    relation: p.relation.clone().unwrap_or_default(),
                    property: p.property.clone().unwrap_or_default(),
                    function: p.function.map_or("count", |function| function.name()).to_owned(),
                }
            }
            Property::UniqueId(p) => PropertyKind::UniqueId {
                prefix: p.prefix.clone(),
            },
            _ => PropertyKind::Plain(property_type),
        }
    }

    fn rollup_relation(&mut self, at: &str, relation: &str) {
        let properties = &self.written().properties.0;
        let is_relation = properties
            .iter()
            .any(|(name, property)| name == relation && matches!(property, Property::Relation(_)));
        if is_relation || self.parsed.left_out.contains(relation) || self.is_assumed("properties") {
            return;
        }
        let relations = properties
            .iter()
            .filter(|(_, property)| matches!(property, Property::Relation(_)))
            .map(|(name, _)| name.as_str());
        let help = crate::diagnostic::did_you_mean(relation, relations)
            .unwrap_or_else(|| "name a property with `type: relation`".to_owned());
        self.value(
            Code::RollupRelationUnknown,
            &pointer(at, "relation"),
            format!("`{relation}` is not a relation of this mapping"),
            "not a relation",
            help,
        );
    }

    fn options(
        &mut self,
        at: &str,
        property_type: PropertyType,
        written: &[OptionDocument],
    ) -> Vec<OptionChoice> {
        let list_at = pointer(at, "options");
        if written.len() > MOST_OPTIONS {
            self.key(
                Code::TooManyOptions,
                &list_at,
                format!("{} options are declared", written.len()),
                "at most 100",
                "use a `relation` or `rich_text` for so many values",
            );
        }
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        let mut options = Vec::with_capacity(written.len());
        for (index, option) in written.iter().enumerate() {
            let element = pointer(&list_at, index);
            let (name_at, option) = match option {
                OptionDocument::Name(name) => (
                    element.clone(),
                    OptionChoice {
                        name: name.clone(),
                        color: None,
                        group: None,
                        description: None,
                    },
                ),
                OptionDocument::Full(full) => (
                    pointer(&element, "name"),
                    OptionChoice {
                        name: full.name.clone(),
                        color: full.color.map(|color| color.name().to_owned()),
                        group: full.group.map(|group| group.name().to_owned()),
                        description: full.description.clone(),
                    },
                ),
            };
            self.option(&name_at, &option.name);
            self.description(
                &pointer(&element, "description"),
                &option.name,
                option.description.as_deref(),
            );
            if option.group.is_some() && property_type != PropertyType::Status {
                self.value(
                    Code::GroupWithoutStatus,
                    &pointer(&element, "group"),
                    format!(
                        "option `{}` names a group, and a {property_type} has none",
                        option.name
                    ),
                    "only for a status",
                    "remove the group, or make the property a `status`",
                );
            }
            match seen.get(&option.name.to_lowercase()) {
                Some(first) => {
                    let label = self.document().value_label(first, "first here");
                    let finding = self
                        .document()
                        .value_finding(
                            Code::DuplicateOption,
                            &name_at,
                            format!("option `{}` appears twice", option.name),
                            "again here",
                        )
                        .also(label)
                        .help("remove one of the two; Notion does not tell options apart by case");
                    self.findings.push(finding);
                }
                None => {
                    seen.insert(option.name.to_lowercase(), name_at);
                }
            }
            options.push(option);
        }
        options
    }

    fn option(&mut self, at: &str, name: &str) {
        if name.trim().is_empty() {
            self.value(
                Code::EmptyValue,
                at,
                "an option has no name".to_owned(),
                "empty",
                "name the option, or remove it",
            );
        }
        if name.contains(',') {
            self.value(
                Code::OptionComma,
                at,
                format!("option `{name}` has a comma, which Notion refuses"),
                "has a comma",
                format!(
                    "write `{}`, with `conversion: {{ map: … }}` for the column",
                    name.replace(',', ";")
                ),
            );
        }
        let length = name.chars().count();
        if length > LONGEST_OPTION {
            self.value(
                Code::OptionTooLong,
                at,
                format!("an option's name has {length} characters"),
                "at most 100",
                "shorten it, with `conversion: { map: … }` for the column",
            );
        }
    }

    fn names_differ(&mut self) {
        let mut seen: BTreeMap<String, &str> = BTreeMap::new();
        for (name, _) in &self.written().properties.0 {
            match seen.get(&name.to_lowercase()) {
                Some(first) => {
                    let label = self.place(&pointer("/properties", first), "first here");
                    let finding = self
                        .document()
                        .key_finding(
                            Code::PropertyNameClash,
                            &pointer("/properties", name),
                            format!("`{name}` and `{first}` differ only in case"),
                            "again here",
                        )
                        .also(label)
                        .help("give the two different names");
                    self.findings.push(finding);
                }
                None => {
                    seen.insert(name.to_lowercase(), name);
                }
            }
        }
    }

    fn one_title(&mut self, fields: &[Field]) {
        let titles: Vec<&Field> = fields
            .iter()
            .filter(|field| field.property_type() == PropertyType::Title)
            .collect();
        match titles.as_slice() {
            [_] => {}
            [] if !self.parsed.left_out.is_empty() || self.is_assumed("properties") => {}
            [] => self.key(
                Code::NoTitle,
                "/properties",
                "no property is the title".to_owned(),
                "needs one `type: title`",
                "make the property with the record's name `type: title`",
            ),
            [first, rest @ ..] => {
                for other in rest {
                    let label = self
                        .document()
                        .value_label(&format!("{}/type", at_property(first)), "first here");
                    let finding = self
                        .document()
                        .value_finding(
                            Code::SeveralTitles,
                            &format!("{}/type", at_property(other)),
                            format!("`{}` is a second title", other.property),
                            "again here",
                        )
                        .also(label)
                        .help("write `type: rich_text`");
                    self.findings.push(finding);
                }
            }
        }
    }

    fn columns_written_once(&mut self, fields: &[Field]) {
        let mut writers: BTreeMap<&str, &Field> = BTreeMap::new();
        for field in fields
            .iter()
            .filter(|field| field.direction != Direction::ToNotion)
        {
            let Some(column) = field.column() else { continue };
            match writers.get(column) {
                Some(first) => {
                    let label = self
                        .document()
                        .value_label(&format!("{}/column", at_property(first)), "written here");
                    let finding = self
                        .document()
                        .value_finding(
                            Code::ColumnWrittenTwice,
                            &format!("{}/column", at_property(field)),
                            format!(
                                "`{}` and `{}` both write column `{column}`",
                                first.property, field.property
                            ),
                            "written again here",
                        )
                        .also(label)
                        .help("make one of the two `direction: to_notion`");
                    self.findings.push(finding);
                }
                None => {
                    writers.insert(column, field);
                }
            }
        }
    }

    fn columns_not_writable(&mut self, fields: &[Field], key: &[String], scope: &[&str]) {
        for field in fields
            .iter()
            .filter(|field| field.direction != Direction::ToNotion)
        {
            let Some(column) = field.column() else { continue };
            if scope.contains(&column) {
                let finding = self
                    .document()
                    .value_finding(
                        Code::ScopeColumnWritable,
                        &format!("{}/column", at_property(field)),
                        format!("`{}` could move a record out of its scope", field.property),
                        format!("`{column}` decides the scope"),
                    )
                    .also(self.place("/scope", "decided here"))
                    .help("add `direction: to_notion`");
                self.findings.push(finding);
            } else if key.iter().any(|key| key == column) {
                let finding = self
                    .document()
                    .value_finding(
                        Code::KeyWritable,
                        &format!("{}/column", at_property(field)),
                        format!("`{}` could change a record's key", field.property),
                        format!("`{column}` is the key"),
                    )
                    .also(self.place("/key", "the key"))
                    .help("add `direction: to_notion`");
                self.findings.push(finding);
            }
        }
    }
}

fn at_property(field: &Field) -> String {
    pointer("/properties", &field.property)
}

/// Whether properties of a type may be computed from the row.
fn accepts_template(property_type: PropertyType) -> bool {
    matches!(
        property_type,
        PropertyType::Title
            | PropertyType::RichText
            | PropertyType::Url
            | PropertyType::Email
            | PropertyType::PhoneNumber
    )
}
