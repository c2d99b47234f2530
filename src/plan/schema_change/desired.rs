//! What a mapping asks of its database.

use super::{DesiredDatabase, DesiredProperty, Known};
use crate::mapping::{Mapping, OptionChoice, PropertyKind, UnknownOption};
use crate::schema::PropertyType;
use crate::value::PropertyId;

/// The colours of `sync_status`, in the order people see.
const STATUSES: [(&str, &str); 6] = [
    ("synced", "green"),
    ("pending", "yellow"),
    ("conflict", "red"),
    ("error", "orange"),
    ("held", "gray"),
    ("duplicate", "purple"),
];

/// What a mapping wants of its database; `all` are the profile's mappings, for the other ends of relations.
pub fn desired(mapping: &Mapping, all: &[&Mapping], known: &Known) -> DesiredDatabase {
    let ids = known.properties.get(&mapping.entity);
    let mut properties: Vec<DesiredProperty> = mapping
        .fields
        .iter()
        .map(|field| DesiredProperty {
            description: field.description.clone(),
            target: match &field.kind {
                PropertyKind::Relation { target, .. } => known.data_sources.get(target).cloned(),
                _ => None,
            },
            read: rollup_read(mapping, &field.kind, known),
            mirror: is_mirror(mapping, &field.property, &field.kind, all),
            ..DesiredProperty::new(&field.property, field.kind.clone())
        })
        .collect();
    let mut add = |name: &str, kind: PropertyKind| {
        if !properties.iter().any(|property| property.name == name) {
            properties.push(DesiredProperty::new(name, kind));
        }
    };
    if let Some(opt_out) = &mapping.opt_out {
        add(opt_out, PropertyKind::Plain(PropertyType::Checkbox));
    }
    add(
        &mapping.system.postgres_id,
        PropertyKind::Plain(PropertyType::RichText),
    );
    add(
        &mapping.system.last_synced,
        PropertyKind::Plain(PropertyType::Date),
    );
    let options = STATUSES.map(|(name, color)| OptionChoice {
        name: name.to_owned(),
        color: Some(color.to_owned()),
        group: None,
        description: None,
    });
    let status = PropertyKind::Options {
        property_type: PropertyType::Select,
        options: options.to_vec(),
        on_unknown: UnknownOption::Error,
    };
    add(&mapping.system.sync_status, status);
    for property in &mut properties {
        property.id = ids.and_then(|ids| ids.get(&property.name)).cloned();
    }
    DesiredDatabase {
        entity: mapping.entity.clone(),
        title: mapping.notion.title.clone(),
        icon: mapping.notion.icon.clone(),
        description: mapping.notion.description.clone(),
        properties,
        views: mapping.views.clone(),
    }
}

/// The id of the property that a rollup reads, where it is known.
fn rollup_read(mapping: &Mapping, kind: &PropertyKind, known: &Known) -> Option<PropertyId> {
    let PropertyKind::Rollup {
        relation, property, ..
    } = kind
    else {
        return None;
    };
    let followed = mapping.fields.iter().find(|field| field.property == *relation)?;
    let PropertyKind::Relation { target, .. } = &followed.kind else {
        return None;
    };
    known.properties.get(target)?.get(property).cloned()
}

/// Whether another field's two-way relation makes this one. Where both ends declare each other, the first by
/// entity and property name makes it.
fn is_mirror(mapping: &Mapping, name: &str, kind: &PropertyKind, all: &[&Mapping]) -> bool {
    let PropertyKind::Relation { target, dual: own } = kind else {
        return false;
    };
    all.iter().filter(|other| other.entity == *target).any(|other| {
        other.fields.iter().any(|field| {
            let PropertyKind::Relation {
                target: back,
                dual: Some(dual),
            } = &field.kind
            else {
                return false;
            };
            back == &mapping.entity
                && dual == name
                && match own {
                    None => true,
                    Some(own) => {
                        own == &field.property
                            && (other.entity.as_str(), field.property.as_str())
                                < (mapping.entity.as_str(), name)
                    }
                }
        })
    })
}
