//! Options that were given another name in Notion, or removed (6.7): one event for a person, and no edit of the pages
//! that showed them.
//!
//! An option keeps its id. As long as the new name was not accepted, everything goes on under the one that was agreed
//! on; a person accepts it by writing it in the mapping, or by `setup` where the mapping does not list the option. A
//! removed option freezes its field until the mapping does not list it and `setup` ran.

use std::collections::BTreeMap;

use super::schema_change::{SchemaChange, SchemaPlan};
use crate::mapping::{Mapping, PropertyKind};
use crate::schema::DataSourceSchema;
use crate::schema::data_source::PropertyConfig;
use crate::value::PropertyId;

/// The agreed names of options, by property and by the option's id.
pub type OptionNames = BTreeMap<PropertyId, BTreeMap<String, String>>;

/// The names to go on with: those agreed on before, and the present ones of options that are new or accepted.
///
/// `ids` are the properties by their names in the mapping; `accept` takes over what the mapping does not speak of.
pub fn agreed(
    mapping: &Mapping,
    schema: &DataSourceSchema,
    ids: &BTreeMap<String, PropertyId>,
    before: &OptionNames,
    accept: bool,
) -> OptionNames {
    let mut names = OptionNames::new();
    for field in &mapping.fields {
        let PropertyKind::Options { options: listed, .. } = &field.kind else {
            continue;
        };
        let property = ids
            .get(&field.property)
            .and_then(|id| schema.property(id))
            .or_else(|| schema.property_named(&field.property));
        let Some((property, PropertyConfig::Options { options, .. })) =
            property.map(|property| (property, &property.config))
        else {
            continue;
        };
        let lists = |name: &str| listed.iter().any(|option| option.name == name);
        let before = before.get(&property.id);
        let mut agreed: BTreeMap<String, String> = options
            .iter()
            .map(|option| {
                let old = before.and_then(|names| names.get(&option.id));
                let name = match old {
                    Some(old) if lists(&option.name) || (accept && !lists(old)) => &option.name,
                    Some(old) => old,
                    None => &option.name,
                };
                (option.id.clone(), name.clone())
            })
            .collect();
        for (id, old) in before.into_iter().flatten() {
            // One that was removed left its pages empty, which nobody typed there.
            if lists(old) || !accept {
                agreed.entry(id.clone()).or_insert_with(|| old.clone());
            }
        }
        names.insert(property.id.clone(), agreed);
    }
    names
}

/// Leaves options out of a plan that are there under a name that was not accepted, or that a person removed.
pub fn hold(plan: &mut SchemaPlan, agreed: &OptionNames) {
    plan.changes.retain_mut(|change| match change {
        SchemaChange::SetOptions {
            property, keep, add, ..
        } => {
            let Some(names) = agreed.get(property) else {
                return true;
            };
            let before = add.len();
            add.retain(|option| {
                let stands = |id: &String| keep.iter().any(|kept| kept.id == *id && kept.name == option.name);
                !names.iter().any(|(id, name)| *name == option.name && !stands(id))
            });
            before == 0 || !add.is_empty()
        }
        _ => true,
    });
}
