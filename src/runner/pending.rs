//! What waits to be looked at: hints put together, so that a hundred of the same cost as much as one.

use std::collections::{BTreeMap, BTreeSet};

use super::Hint;
use crate::engine::Request;
use crate::report::Command;
use crate::value::{PageId, RecordKey};

/// Records past which a whole cycle is cheaper than a look at each: it lists a hundred pages with one request.
const MANY: usize = 300;

/// What waits to be looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pending {
    anywhere: bool,
    rows: BTreeMap<String, BTreeSet<RecordKey>>,
    noted: BTreeSet<String>,
    pages: BTreeSet<PageId>,
}

impl Pending {
    pub(super) fn add(&mut self, hint: Hint) {
        match hint {
            Hint::Anywhere => self.anywhere = true,
            Hint::Row { entity, key } => {
                self.rows.entry(entity).or_default().insert(key);
            }
            Hint::Page(page) => {
                self.pages.insert(page);
            }
        }
        let named = self.pages.len() + self.rows.values().map(BTreeSet::len).sum::<usize>();
        if named > MANY {
            *self = Self {
                anywhere: true,
                ..Self::default()
            };
        }
    }

    /// The change log has notes about rows of an entity.
    pub(super) fn note(&mut self, entity: String) {
        self.noted.insert(entity);
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a whole cycle is asked for.
    pub(super) fn is_anywhere(&self) -> bool {
        self.anywhere
    }

    /// Takes what a whole cycle sees to: everything but pages, which a listing may not show yet.
    pub(super) fn taken_by_whole_cycle(&mut self) -> Self {
        let pages = std::mem::take(&mut self.pages);
        let taken = std::mem::take(self);
        self.pages = pages;
        taken
    }

    /// Adds what could not be done.
    pub(super) fn put_back(&mut self, other: Self) {
        self.anywhere |= other.anywhere;
        for (entity, keys) in other.rows {
            self.rows.entry(entity).or_default().extend(keys);
        }
        self.noted.extend(other.noted);
        self.pages.extend(other.pages);
    }

    pub(super) fn pages(&self) -> Vec<PageId> {
        self.pages.iter().cloned().collect()
    }

    /// A request for each of the entities that anything was said about, in their order; `owners` tells which pages
    /// are whose. Entities and pages that nobody knows are left out.
    pub(super) fn requests(
        &self,
        entities: &[String],
        owners: &BTreeMap<String, Vec<PageId>>,
    ) -> Vec<Request> {
        let narrowed = entities.iter().map(|entity| Request {
            entities: vec![entity.clone()],
            keys: self.rows.get(entity).into_iter().flatten().cloned().collect(),
            pages: owners.get(entity).cloned().unwrap_or_default(),
            noted: self.noted.contains(entity),
            ..Request::all(Command::Sync)
        });
        narrowed.filter(Request::is_narrow).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(number: usize) -> Hint {
        Hint::Page(PageId(number.to_string()))
    }

    fn row(entity: &str, key: &str) -> Hint {
        Hint::Row {
            entity: entity.to_owned(),
            key: RecordKey::single(key),
        }
    }

    #[test]
    fn a_flood_of_the_same_is_one_request_and_a_flood_of_others_one_listing() {
        let mut pending = Pending::default();
        for _ in 0..10_000 {
            pending.add(page(1));
        }
        let owners = BTreeMap::from([("teams".to_owned(), pending.pages())]);
        let requests = pending.requests(&["teams".to_owned()], &owners);
        assert_eq!((requests.len(), requests[0].pages.len()), (1, 1));
        for number in 0..=MANY {
            pending.add(page(number));
        }
        assert!(pending.is_anywhere() && pending.pages().is_empty());
    }

    #[test]
    fn hints_of_an_entity_go_together_and_strangers_nowhere() {
        let mut pending = Pending::default();
        for hint in [row("teams", "b"), row("teams", "a"), row("nobody", "a"), page(7)] {
            pending.add(hint);
        }
        pending.note("projects".to_owned());
        let entities = ["projects".to_owned(), "teams".to_owned(), "quiet".to_owned()];
        let requests = pending.requests(&entities, &BTreeMap::new());
        let [projects, teams] = requests.as_slice() else {
            panic!("{requests:?}");
        };
        assert!(projects.noted && projects.keys.is_empty() && projects.entities == ["projects"]);
        assert!(!teams.noted && teams.pages.is_empty() && teams.entities == ["teams"]);
        assert_eq!(teams.keys, [RecordKey::single("a"), RecordKey::single("b")]);
    }

    #[test]
    fn what_could_not_be_done_waits_beside_what_came_since() {
        let mut pending = Pending::default();
        pending.add(row("teams", "a"));
        pending.add(page(1));
        let taken = pending.taken_by_whole_cycle();
        assert_eq!(pending.pages().len(), 1, "pages are looked at afterwards");
        pending.add(row("teams", "b"));
        pending.put_back(taken);
        let requests = pending.requests(&["teams".to_owned()], &BTreeMap::new());
        assert_eq!(requests[0].keys.len(), 2);
    }
}
