//! All mappings of a project against each other.

use std::collections::BTreeMap;

use crate::diagnostic::{Code, Diagnostic, did_you_mean, one_of};
use crate::mapping::{Field, Mapping, PropertyKind};
use crate::yaml::{Document, pointer};

/// Checks what no mapping can know alone: that relations lead somewhere, and that no two entities claim one thing.
///
/// `known` names every entity that has a file, also those whose file is too broken to be here.
pub fn validate_together(mappings: &[(&Document, &Mapping)], known: &[String]) -> Vec<Diagnostic> {
    let by_entity: BTreeMap<&str, (&Document, &Mapping)> = mappings
        .iter()
        .map(|(document, mapping)| (mapping.entity.as_str(), (*document, *mapping)))
        .collect();
    let mut findings = Vec::new();
    for (document, mapping) in mappings {
        for field in &mapping.fields {
            let at = pointer("/properties", &field.property);
            match &field.kind {
                PropertyKind::Relation { target, dual } if !target.is_empty() => {
                    match by_entity.get(target.as_str()) {
                        Some((target_document, target)) => {
                            let relation = Relation {
                                document,
                                mapping,
                                field,
                                at: &at,
                                dual: dual.as_deref(),
                            };
                            findings.extend(relation.fits(target_document, target));
                        }
                        None if known.contains(target) => {}
                        None => findings.push(unknown_target(document, &at, target, known)),
                    }
                }
                PropertyKind::Rollup {
                    relation, property, ..
                } => {
                    findings.extend(rollup(document, mapping, &at, relation, property, &by_entity));
                }
                _ => {}
            }
        }
    }
    findings.extend(tables_mapped_twice(mappings));
    findings
}

fn unknown_target(document: &Document, at: &str, target: &str, known: &[String]) -> Diagnostic {
    let help = one_of(target, "the entities are", known.iter().map(String::as_str));
    document
        .value_finding(
            Code::UnknownRelationTarget,
            &pointer(at, "target"),
            format!("there is no entity `{target}`"),
            "not an entity",
        )
        .help(help)
}

struct Relation<'a> {
    document: &'a Document,
    mapping: &'a Mapping,
    field: &'a Field,
    at: &'a str,
    dual: Option<&'a str>,
}

impl Relation<'_> {
    fn fits(&self, target_document: &Document, target: &Mapping) -> Vec<Diagnostic> {
        let mut findings = Vec::new();
        if target.key.len() > 1 {
            findings.push(
                self.document
                    .value_finding(
                        Code::RelationToCompositeKey,
                        &pointer(self.at, "target"),
                        format!("`{}` has a key of {} columns", target.entity, target.key.len()),
                        "one column cannot hold it",
                    )
                    .also(target_document.key_label("/key", "the key"))
                    .help("map the column as `rich_text`, or give the target a key of one column"),
            );
        }
        let Some(dual) = self.dual else { return findings };
        let taken = target.fields.iter().find(|field| {
            field.property.to_lowercase() == dual.to_lowercase()
                && !(target.entity == self.mapping.entity && field.property == self.field.property)
        });
        if let Some(taken) = taken {
            findings.push(
                self.document
                    .value_finding(
                        Code::DualClash,
                        &pointer(self.at, "dual"),
                        format!("`{}` already has a property `{dual}`", target.entity),
                        "the mirror's name",
                    )
                    .also(target_document.key_label(&pointer("/properties", &taken.property), "mapped here"))
                    .help("map one side of a two-way relation, and give its mirror a name of its own"),
            );
        }
        findings
    }
}

fn rollup(
    document: &Document,
    mapping: &Mapping,
    at: &str,
    relation: &str,
    property: &str,
    by_entity: &BTreeMap<&str, (&Document, &Mapping)>,
) -> Option<Diagnostic> {
    let target = mapping.fields.iter().find(|field| field.property == relation)?;
    let PropertyKind::Relation { target, .. } = &target.kind else {
        return None;
    };
    let (_, target) = by_entity.get(target.as_str())?;
    let own = [
        &target.system.postgres_id,
        &target.system.last_synced,
        &target.system.sync_status,
    ];
    if property.is_empty()
        || target.fields.iter().any(|field| field.property == property)
        || own.into_iter().any(|own| own == property)
    {
        return None;
    }
    let known = target.fields.iter().map(|field| field.property.as_str());
    let help =
        did_you_mean(property, known).unwrap_or_else(|| format!("name a property of `{}`", target.entity));
    Some(
        document
            .value_finding(
                Code::RollupPropertyUnknown,
                &pointer(at, "property"),
                format!("`{}` has no property `{property}`", target.entity),
                "no such property",
            )
            .help(help),
    )
}

fn tables_mapped_twice(mappings: &[(&Document, &Mapping)]) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for (index, (document, mapping)) in mappings.iter().enumerate() {
        let first = mappings[..index]
            .iter()
            .find(|(_, other)| other.table == mapping.table && other.scope == mapping.scope);
        if let Some((first_document, first)) = first {
            findings.push(
                document
                    .value_finding(
                        Code::TableMappedTwice,
                        "/table",
                        format!(
                            "`{}` and `{}` map the same rows of `{}`",
                            first.entity, mapping.entity, mapping.table
                        ),
                        "mapped again here",
                    )
                    .also(first_document.value_label("/table", "first here"))
                    .help("merge the two mappings, or give them scopes that share no row"),
            );
        }
    }
    findings
}
