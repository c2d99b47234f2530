//! What a database lacks of what is asked of it.

use super::formula;
use super::{
    DesiredDatabase, DesiredProperty, MAX_OPTIONS, Problem, RollupRead, SchemaChange, SchemaPlan, Stage,
    TypeConflict,
};
use crate::mapping::{OptionChoice, PropertyKind, View, ViewKind};
use crate::schema::data_source::{OptionSchema, PropertyConfig, PropertySchema, ViewSchema};
use crate::schema::{DataSourceSchema, PropertyType};

/// What is missing of a desired database.
///
/// `None` for a database that does not exist. `views` are those of an existing one. Its own result applied, another
/// diff finds nothing.
pub fn diff(
    desired: &DesiredDatabase,
    existing: Option<&DataSourceSchema>,
    views: &[ViewSchema],
) -> SchemaPlan {
    let mut plan = SchemaPlan::default();
    match existing {
        None => create(desired, &mut plan),
        Some(schema) => {
            for property in &desired.properties {
                compare(desired, property, schema, &mut plan);
            }
            add_views(desired, views, None, &mut plan);
        }
    }
    plan.changes.sort_by_key(SchemaChange::stage);
    plan
}

/// As [`diff`], for a database that a run of ours made and that it may not have finished.
///
/// Of its views, the one that Notion made with it is the first, and still to be arranged unless it has its name and
/// columns already; a run arranges it before it adds others.
pub fn diff_unfinished(
    desired: &DesiredDatabase,
    schema: &DataSourceSchema,
    views: &[ViewSchema],
) -> SchemaPlan {
    let mut plan = diff(desired, Some(schema), views);
    let [only] = views else {
        return plan;
    };
    let first = first_table(desired);
    let shown = columns(desired, first.and_then(|view| view.show.as_deref()));
    let ids = shown
        .iter()
        .filter_map(|name| desired.properties.iter().find(|property| property.name == *name))
        .filter_map(|property| find(property, schema))
        .map(|property| &property.id);
    let named = first.is_none_or(|view| view.name == only.name);
    if named && ids.eq(&only.columns) {
        return plan;
    }
    plan.changes.retain(|change| change.stage() != Stage::Views);
    plan.changes.push(SchemaChange::ArrangeFirstView {
        view: first.cloned(),
        columns: shown,
    });
    add_views(desired, views, first, &mut plan);
    plan
}

/// Adds the views that are missing, but for the one that another becomes.
fn add_views(desired: &DesiredDatabase, views: &[ViewSchema], first: Option<&View>, plan: &mut SchemaPlan) {
    for view in &desired.views {
        let is_first = first.is_some_and(|first| first.name == view.name);
        if !is_first && !views.iter().any(|present| present.name == view.name) {
            plan.changes.push(SchemaChange::AddView {
                view: view.clone(),
                columns: columns(desired, view.show.as_deref()),
            });
        }
    }
}

/// The view that the one becomes that Notion makes with a database.
fn first_table(desired: &DesiredDatabase) -> Option<&View> {
    desired.views.iter().find(|view| view.kind == ViewKind::Table)
}

fn create(desired: &DesiredDatabase, plan: &mut SchemaPlan) {
    let (first, later): (Vec<_>, Vec<_>) = desired
        .properties
        .iter()
        .cloned()
        .partition(|property| property.stage() == Stage::Create);
    for property in &first {
        if let PropertyKind::Options { options, .. } = &property.kind {
            too_many(desired, property, options.len(), plan);
        }
    }
    plan.changes.push(SchemaChange::CreateDatabase {
        title: desired.title.clone(),
        icon: desired.icon.clone(),
        description: desired.description.clone(),
        properties: first,
    });
    let made_by_us = later.into_iter().filter(|property| !property.mirror);
    plan.changes.extend(made_by_us.map(SchemaChange::AddProperty));
    let first = first_table(desired);
    plan.changes.push(SchemaChange::ArrangeFirstView {
        view: first.cloned(),
        columns: columns(desired, first.and_then(|view| view.show.as_deref())),
    });
    add_views(desired, &[], first, plan);
}

fn columns(desired: &DesiredDatabase, show: Option<&[String]>) -> Vec<String> {
    match show {
        Some(show) => show.to_vec(),
        None => desired
            .properties
            .iter()
            .map(|property| property.name.clone())
            .collect(),
    }
}

fn too_many(
    desired: &DesiredDatabase,
    property: &DesiredProperty,
    count: usize,
    plan: &mut SchemaPlan,
) -> bool {
    if count > MAX_OPTIONS {
        plan.conflicts
            .push(conflict(desired, property, Problem::TooManyOptions { count }));
    }
    count > MAX_OPTIONS
}

fn conflict(desired: &DesiredDatabase, property: &DesiredProperty, problem: Problem) -> TypeConflict {
    TypeConflict {
        entity: desired.entity.clone(),
        property: property.name.clone(),
        problem,
    }
}

/// The property that a desired one is: by its id, else by its name; the title is always the title.
fn find<'a>(property: &DesiredProperty, schema: &'a DataSourceSchema) -> Option<&'a PropertySchema> {
    if let Some(found) = property.id.as_ref().and_then(|id| schema.property(id)) {
        return Some(found);
    }
    if property.kind.property_type() == PropertyType::Title {
        return schema
            .properties
            .iter()
            .find(|found| found.property_type() == Some(PropertyType::Title));
    }
    schema.property_named(&property.name)
}

fn compare(
    desired: &DesiredDatabase,
    property: &DesiredProperty,
    schema: &DataSourceSchema,
    plan: &mut SchemaPlan,
) {
    let Some(found) = find(property, schema) else {
        let lower = property.name.to_lowercase();
        if let Some(near) = schema
            .properties
            .iter()
            .find(|found| found.name.to_lowercase() == lower)
        {
            let problem = Problem::Case {
                found: near.name.clone(),
            };
            plan.conflicts.push(conflict(desired, property, problem));
        } else if !property.mirror {
            plan.changes.push(SchemaChange::AddProperty(property.clone()));
        }
        return;
    };
    let wanted = property.kind.property_type();
    if found.property_type() != Some(wanted) {
        let problem = Problem::Type {
            wanted,
            found: found.type_name.clone(),
        };
        plan.conflicts.push(conflict(desired, property, problem));
        return;
    }
    if let (Some(target), PropertyConfig::Relation { data_source_id, .. }) = (&property.target, &found.config)
        && target != data_source_id
        && let PropertyKind::Relation { target: entity, .. } = &property.kind
    {
        let problem = Problem::Target {
            wanted: entity.clone(),
            found: data_source_id.clone(),
        };
        plan.conflicts.push(conflict(desired, property, problem));
        return;
    }
    plan.matched.insert(property.name.clone(), found.id.clone());
    settings(desired, property, found, schema, plan);
}

/// Compares what two properties of one type are set to.
fn settings(
    desired: &DesiredDatabase,
    property: &DesiredProperty,
    found: &PropertySchema,
    schema: &DataSourceSchema,
    plan: &mut SchemaPlan,
) {
    let name = &found.name;
    let new_description = property
        .description
        .as_ref()
        .filter(|wanted| found.description.as_ref() != Some(*wanted));
    // What it has is repeated with every change, so that no change can clear it.
    let description = new_description.or(found.description.as_ref()).cloned();
    match (&property.kind, &found.config) {
        (
            PropertyKind::Options {
                options,
                property_type,
                ..
            },
            PropertyConfig::Options { options: present, .. },
        ) => {
            tell_colors(name, options, present, plan);
            let missing = |choice: &&OptionChoice| {
                let lower = choice.name.to_lowercase();
                // Option names are unique without regard to case.
                !present.iter().any(|option| option.name.to_lowercase() == lower)
            };
            let add: Vec<OptionChoice> = options.iter().filter(missing).cloned().collect();
            if add.is_empty() && new_description.is_none() {
                return;
            }
            if too_many(desired, property, present.len() + add.len(), plan) {
                return;
            }
            plan.changes.push(SchemaChange::SetOptions {
                property: found.id.clone(),
                name: name.clone(),
                property_type: *property_type,
                description,
                keep: present.clone(),
                add,
            });
            return;
        }
        // `number` is what a mapping that says nothing says: a format that people chose stays.
        (PropertyKind::Number { format }, PropertyConfig::Number { format: present })
            if format != present && format != "number" =>
        {
            plan.changes.push(SchemaChange::SetNumberFormat {
                property: found.id.clone(),
                name: name.clone(),
                from: present.clone(),
                to: format.clone(),
                description,
            });
            return;
        }
        (PropertyKind::UniqueId { prefix: Some(prefix) }, PropertyConfig::UniqueId { prefix: present })
            // Whether Notion keeps the case of a prefix is not known.
            if !present.as_ref().is_some_and(|present| present.eq_ignore_ascii_case(prefix)) =>
        {
            plan.changes.push(SchemaChange::SetPrefix {
                property: found.id.clone(),
                name: name.clone(),
                to: prefix.clone(),
                description,
            });
            return;
        }
        (PropertyKind::Rollup { .. }, PropertyConfig::Rollup { .. }) => {
            if let Some(change) = rollup_change(desired, property, found, schema, description) {
                plan.changes.push(change);
                return;
            }
        }
        (PropertyKind::Formula { expression }, PropertyConfig::Formula { expression: present })
            if formula::spelled(expression, schema) != formula::spelled(present, schema) =>
        {
            // Notion prints formulas in a spelling of its own: one sent whenever it differs might be sent for ever.
            plan.differences.push(format!(
                "formula `{name}` has another expression in Notion than in the mapping; change it in Notion"
            ));
        }
        _ => {}
    }
    let Some(description) = new_description else {
        return;
    };
    if matches!(
        found.config,
        PropertyConfig::Relation { .. } | PropertyConfig::Formula { .. }
    ) {
        // Their settings cannot be repeated as they are: a relation could get a second mirror, a formula lose its text.
        plan.differences.push(format!(
            "the description of property `{name}` differs; that of a {} can only be changed in Notion",
            found.type_name
        ));
        return;
    }
    plan.changes.push(SchemaChange::Describe {
        property: found.id.clone(),
        name: name.clone(),
        property_type: property.kind.property_type(),
        settings: found.config.clone(),
        description: description.clone(),
    });
}

/// Tells the options that have another colour in Notion.
fn tell_colors(name: &str, options: &[OptionChoice], present: &[OptionSchema], plan: &mut SchemaPlan) {
    for choice in options {
        let differs = |option: &&OptionSchema| {
            option.name == choice.name && choice.color.as_ref().is_some_and(|color| color != &option.color)
        };
        if let Some(option) = present.iter().find(differs) {
            // Notion answers 200 to a new colour of an existing option, and keeps the old one.
            plan.differences.push(format!(
                "option `{}` of property `{name}` is {} in Notion; its colour can only be changed there",
                option.name, option.color
            ));
        }
    }
}

/// What makes a rollup follow, read and compute what the mapping says; `None` where it does.
fn rollup_change(
    desired: &DesiredDatabase,
    property: &DesiredProperty,
    found: &PropertySchema,
    schema: &DataSourceSchema,
    description: Option<String>,
) -> Option<SchemaChange> {
    let (
        PropertyKind::Rollup {
            relation,
            property: read_name,
            function,
        },
        PropertyConfig::Rollup {
            relation: present_relation,
            property: present_read,
            property_name,
            function: present_function,
        },
    ) = (&property.kind, &found.config)
    else {
        return None;
    };
    // A relation that is missing too is made in this run; the rollup is compared in the next.
    let followed = desired.properties.iter().find(|other| other.name == *relation)?;
    let relation = &find(followed, schema)?.id;
    let reads_it = match &property.read {
        Some(read) => read == present_read,
        // An answer that does not name it cannot be compared.
        None => property_name.is_empty() || read_name == property_name,
    };
    if relation == present_relation && reads_it && function == present_function {
        return None;
    }
    let read = match &property.read {
        Some(read) => RollupRead::Id(read.clone()),
        None => RollupRead::Name(read_name.clone()),
    };
    Some(SchemaChange::SetRollup {
        property: found.id.clone(),
        name: found.name.clone(),
        relation: relation.clone(),
        read,
        function: function.clone(),
        description,
    })
}
