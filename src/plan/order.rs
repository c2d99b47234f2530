//! The order of a plan: pulls, new rows, pushes, new pages, deletes last; referenced before referring; then by key.
//!
//! Pulls come first because they are what people wait for and because a push after them sees their result.
//! Deletes come last, and there referring records go before those they refer to.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::{Operation, OperationKind};

/// The rank of each entity: one that is referred to comes before those that refer to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityOrder {
    rank: BTreeMap<String, usize>,
}

impl EntityOrder {
    /// The order of entities, each given with the entities its relations lead to.
    ///
    /// Names that are not among the entities, and references to itself, do not count. Within a cycle, and where
    /// nothing else decides, the order is the given one.
    pub fn of<'a>(entities: impl IntoIterator<Item = (&'a str, Vec<&'a str>)>) -> Self {
        let entities: Vec<(&str, Vec<&str>)> = entities.into_iter().collect();
        let names: BTreeSet<&str> = entities.iter().map(|(name, _)| *name).collect();
        let mut rank = BTreeMap::new();
        while rank.len() < entities.len() {
            let open = |name: &str| !rank.contains_key(name);
            let ready = entities.iter().find(|(name, targets)| {
                open(name)
                    && targets
                        .iter()
                        .all(|target| target == name || !names.contains(target) || !open(target))
            });
            // In a cycle nobody is ready: the first one left breaks it, and the second phase sets its relations.
            let next = ready.or_else(|| entities.iter().find(|(name, _)| open(name)));
            let Some((name, _)) = next else { break };
            rank.insert((*name).to_owned(), rank.len());
        }
        Self { rank }
    }

    /// The entity's place; unknown ones come last.
    pub fn rank(&self, entity: &str) -> usize {
        self.rank.get(entity).copied().unwrap_or(usize::MAX)
    }
}

/// Sorts operations into the order they are applied.
pub fn sort(operations: &mut [Operation], entities: &EntityOrder) {
    operations.sort_by(|a, b| compare(a, b, entities));
}

fn compare(a: &Operation, b: &Operation, entities: &EntityOrder) -> Ordering {
    let rank = entities.rank(&a.entity).cmp(&entities.rank(&b.entity));
    let rank = match a.kind {
        OperationKind::TrashPage | OperationKind::DeleteRow => rank.reverse(),
        _ => rank,
    };
    a.kind
        .cmp(&b.kind)
        .then(rank)
        .then_with(|| (&a.key, &a.page).cmp(&(&b.key, &b.page)))
}
