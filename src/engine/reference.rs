//! Relations: keys on one side, pages on the other, tied by links.

use std::collections::{BTreeMap, BTreeSet};

use super::{Engine, EngineError, Entity, EntityField};
use crate::ports::Link;
use crate::reconcile::{Fault, FieldError, Phase};
use crate::schema::PgType;
use crate::value::{Number, PageId, RecordKey, Value};

/// The links that a record's relations need, looked up beforehand so that observing stays pure.
#[derive(Default)]
pub(super) struct References {
    pages: BTreeMap<(String, RecordKey), Found>,
    keys: BTreeMap<(String, PageId), RecordKey>,
    /// Pages that left relation values because they are in the trash or out of reach.
    pub(super) away: BTreeSet<PageId>,
}

enum Found {
    /// The target has a page.
    Page(PageId),
    /// The target is in the profile and will have one.
    Waiting,
    /// The target is not in the profile.
    Foreign,
}

impl References {
    /// The row's value of a relation as its property would hold it.
    pub(super) fn encode(&self, field: &EntityField, row: &Value) -> Result<Value, FieldError> {
        let mut pages = BTreeSet::new();
        let Some(reference) = &field.reference else {
            return Ok(Value::Pages(pages));
        };
        for key in keys_in(row) {
            match self.pages.get(&(reference.target.clone(), key)) {
                Some(Found::Page(page)) => {
                    pages.insert(page.clone());
                }
                Some(Found::Waiting) => {
                    return Err(FieldError {
                        fault: Fault::WaitingForReference,
                        message: format!("the record of `{}` it leads to has no page yet", reference.target),
                    });
                }
                Some(Found::Foreign) | None => {
                    return Err(FieldError {
                        fault: Fault::ForeignReference,
                        message: format!("it leads to no record of `{}` in this profile", reference.target),
                    });
                }
            }
        }
        Ok(Value::Pages(pages))
    }

    /// The page's value less the targets out of sight that are no records any more: no new row can lead to them.
    pub(super) fn reachable(&self, field: &EntityField, mut page: Value) -> Value {
        if let (Some(reference), Value::Pages(pages)) = (&field.reference, &mut page) {
            pages.retain(|page| {
                !self.away.contains(page) || self.keys.contains_key(&(reference.target.clone(), page.clone()))
            });
        }
        page
    }

    /// The page's value of a relation as its column would hold it.
    pub(super) fn decode(&self, field: &EntityField, page: &Value) -> Result<Value, FieldError> {
        let (Some(reference), Value::Pages(pages)) = (&field.reference, page) else {
            return Ok(Value::Null);
        };
        let mut values = Vec::new();
        for page in pages {
            let key = self
                .keys
                .get(&(reference.target.clone(), page.clone()))
                .ok_or_else(|| FieldError {
                    fault: Fault::WaitingForReference,
                    message: format!("a page it leads to is no record of `{}` yet", reference.target),
                })?;
            values.push(key_value(
                &reference.column_type,
                key.0.first().map_or("", String::as_str),
            ));
        }
        if matches!(reference.column_type.base(), PgType::Array(_)) {
            return Ok(Value::List(values));
        }
        match values.len() {
            0 => Ok(Value::Null),
            1 => Ok(values.remove(0)),
            _ => Err(FieldError {
                fault: Fault::OutOfRange,
                message: "the column holds one reference, and the page has several".to_owned(),
            }),
        }
    }
}

/// The keys that a column of references holds.
fn keys_in(value: &Value) -> Vec<RecordKey> {
    match value {
        Value::Null => Vec::new(),
        Value::List(values) => values.iter().flat_map(keys_in).collect(),
        Value::Text(text) if text.is_empty() => Vec::new(),
        one => vec![RecordKey::single(key_text(one))],
    }
}

/// The text of a key's value, as Postgres prints it.
pub(super) fn key_text(value: &Value) -> String {
    match value {
        Value::Text(text) | Value::Opaque(text) => text.clone(),
        Value::Number(number) => number.as_str().to_owned(),
        Value::Uuid(uuid) => uuid.to_string(),
        other => other.to_json().to_string(),
    }
}

/// The canonical value of a key column with that text.
pub(super) fn key_value(column_type: &PgType, text: &str) -> Value {
    let plain = || Value::text(text);
    match column_type.base() {
        PgType::Uuid => text.parse().map_or_else(|_| plain(), Value::Uuid),
        PgType::Int2 | PgType::Int4 | PgType::Int8 | PgType::Numeric(_) => {
            Number::parse(text).map_or_else(plain, Value::Number)
        }
        PgType::Array(element) => key_value(element, text),
        _ => plain(),
    }
}

impl Engine {
    /// Looks up what the relations of these rows and pages lead to.
    pub(super) async fn references(
        &self,
        entity: &Entity,
        rows: &[&BTreeMap<String, Value>],
        pages: &[&Value],
    ) -> Result<References, EngineError> {
        let mut found = References::default();
        for field in &entity.fields {
            let Some(reference) = &field.reference else {
                continue;
            };
            let target = &reference.target;
            let keys: BTreeSet<RecordKey> = rows
                .iter()
                .filter_map(|columns| field.codec.row_value(columns).ok())
                .flat_map(|row| keys_in(&row))
                .collect();
            let keys: Vec<RecordKey> = keys.into_iter().collect();
            if !keys.is_empty() && self.entity(target).is_some() {
                for link in self.store.links_by_key(target, &keys).await? {
                    if let Some(page) = page_of(&link) {
                        found
                            .pages
                            .insert((target.clone(), link.key.clone()), Found::Page(page));
                    }
                }
                let missing: Vec<RecordKey> = keys
                    .into_iter()
                    .filter(|key| !found.pages.contains_key(&(target.clone(), key.clone())))
                    .collect();
                if !missing.is_empty() {
                    let there: BTreeSet<RecordKey> = self
                        .rows
                        .read(target, &missing)
                        .await?
                        .into_iter()
                        .filter(|row| row.in_scope)
                        .map(|row| row.key)
                        .collect();
                    for key in missing {
                        let what = if there.contains(&key) {
                            Found::Waiting
                        } else {
                            Found::Foreign
                        };
                        found.pages.insert((target.clone(), key), what);
                    }
                }
            }
            let ids: BTreeSet<PageId> = pages
                .iter()
                .filter_map(|value| match value {
                    Value::Pages(ids) => Some(ids.iter().cloned()),
                    _ => None,
                })
                .flatten()
                .collect();
            if !ids.is_empty() && self.entity(target).is_some() {
                let ids: Vec<PageId> = ids.into_iter().collect();
                for link in self.store.links_by_page(target, &ids).await? {
                    if let (Some(page), true) = (link.page, link.phase != Phase::Tombstone) {
                        found.keys.insert((target.clone(), page), link.key);
                    }
                }
            }
        }
        Ok(found)
    }
}

fn page_of(link: &Link) -> Option<PageId> {
    match link.phase {
        Phase::Linked | Phase::TrashingPage | Phase::Held => link.page.clone(),
        Phase::CreatingPage | Phase::LeftScope | Phase::Detached | Phase::Tombstone => None,
    }
}
