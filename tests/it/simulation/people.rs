//! What people and the application do, at its instant, to whatever is there then.

use frames_sync::ports::{Page, PageParent};
use frames_sync::reconcile::{Phase, Side};
use frames_sync::value::{Number, PageId, PropertyId, RecordKey, Value};

use super::Schedule;
use super::database::{columns, trigger};
use super::tape::Op;
use super::world::{FIELDS, PROJECTS, RELATION, TEAMS, property};

impl Schedule {
    /// The rows and pages that are there before the first cycle.
    pub(crate) fn settle_in(&self) {
        if self.world.tape.setting.relations {
            for number in 0..2 {
                let id = format!("q{number}");
                let columns = frames_sync::simulator::table::Columns::from([
                    ("id".to_owned(), Value::text(id.as_str())),
                    ("name".to_owned(), Value::text(format!("project {number}"))),
                ]);
                self.world.postgres.put(PROJECTS, columns);
            }
        }
        for record in 0..self.world.tape.setting.records {
            self.insert(record);
        }
        self.world.lock().user_edits = 0;
    }

    /// Does what the tape says at that place.
    pub(crate) fn act(&self, op: Op) {
        let done = self.acted(op);
        let code = 6 + 16 * u64::from(done);
        self.world.trace(|| format!("{op:?}: {done}"), code);
        if done {
            self.world.lock().met(&format!("op {}", op.name()));
        }
    }

    fn key(&self, record: u8) -> RecordKey {
        let keys = self.world.postgres.keys(TEAMS);
        let own = RecordKey::single(format!("t{record}"));
        let made: Vec<&RecordKey> = keys.iter().filter(|key| key.0[0].starts_with("new")).collect();
        if record >= self.world.tape.setting.records && !made.is_empty() {
            return made[usize::from(record) % made.len()].clone();
        }
        own
    }

    /// The page that people know as the record's.
    fn page(&self, key: &RecordKey) -> Option<PageId> {
        let links = self.world.postgres.links();
        let link = links
            .into_iter()
            .filter(|link| link.key == *key && link.entity == TEAMS)
            .max_by_key(|link| link.phase != Phase::Tombstone)?;
        link.page
    }

    fn value(&self, side: &str, key: &RecordKey, field: &str) -> Value {
        let mut state = self.world.lock();
        state.serial += 1;
        let serial = state.serial;
        drop(state);
        if field == "size" {
            return Number::parse(&serial.to_string()).map_or(Value::Null, Value::Number);
        }
        let mut end = "";
        if self.world.tape.setting.table_acts && side == "n" && field != "tag" && field != "hint" {
            end = match self.world.chance(serial, 6) {
                0 => "~",
                1 => "#",
                _ => "",
            };
        }
        Value::text(format!("{side}-{key}-{field}-{serial}{end}"))
    }

    fn insert(&self, record: u8) -> bool {
        let key = RecordKey::single(format!("t{record}"));
        if self.world.postgres.row(TEAMS, &key).is_some() {
            return false;
        }
        let values: Vec<(&str, Value)> = FIELDS
            .into_iter()
            .filter(|field| *field != "hint")
            .map(|field| (field, self.value("p", &key, field)))
            .collect();
        let mut state = self.world.lock();
        state.deleted_at.remove(&key.to_string());
        for (field, value) in &values {
            self.world.row_written(&mut state, &key.to_string(), field, value);
        }
        drop(state);
        let relations = self.world.tape.setting.relations;
        self.world.postgres.put(
            TEAMS,
            columns(&key.to_string(), &values, relations, self.stamped()),
        );
        true
    }

    /// What the application writes into `updated_at`.
    fn stamped(&self) -> Value {
        let seconds = self.world.instant(self.world.now()).unix_timestamp();
        jiff::Timestamp::from_second(seconds).map_or(Value::Null, Value::Instant)
    }

    /// Sets a column that is no field with a value of its own.
    fn set_column(&self, key: &RecordKey, column: &str, value: Value) -> bool {
        let Some(mut row) = self.world.postgres.row(TEAMS, key) else {
            return false;
        };
        row.insert(column.to_owned(), value);
        row.insert("updated_at".to_owned(), self.stamped());
        self.world.postgres.put(TEAMS, row);
        true
    }

    fn set_row(&self, key: &RecordKey, field: &str, value: Value) -> bool {
        let postgres = &self.world.postgres;
        let Some(mut row) = postgres.row(TEAMS, key) else {
            return false;
        };
        row.insert(field.to_owned(), value.clone());
        row.insert("updated_at".to_owned(), self.stamped());
        trigger(&mut row, self.world.tape.setting.table_acts);
        let mut state = self.world.lock();
        self.world
            .row_written(&mut state, &key.to_string(), field, &value);
        drop(state);
        postgres.put(TEAMS, row);
        true
    }

    fn is_editable(page: &Page, hidden: bool) -> bool {
        !page.in_trash && page.parent == PageParent::Entity && !hidden
    }

    fn set_page(&self, key: &RecordKey, field: &str, value: Value) -> bool {
        let Some(id) = self.page(key) else { return false };
        let mut state = self.world.lock();
        let editable = state.pages.get(&id).is_some_and(|page| {
            let now = page.now();
            Self::is_editable(&now.page, now.hidden)
        });
        if editable {
            let value = match value {
                Value::Text(text) => Value::rich(text),
                other => other,
            };
            self.world.person_sets(&mut state, &id, field, value);
        }
        editable
    }

    fn touch(&self, key: &RecordKey) {
        self.world.lock().touched.insert(key.to_string());
    }

    fn withdraw(&self, key: &RecordKey) {
        let (mut state, key) = (self.world.lock(), key.to_string());
        for write in state.rows.of(&key).flat_map(|cell| &mut cell.writes) {
            write.withdrawn = true;
        }
    }

    fn change_page(
        &self,
        key: &RecordKey,
        fits: impl FnOnce(&super::world::Version) -> bool,
        change: impl FnOnce(&mut super::world::Version),
    ) -> bool {
        let Some(id) = self.page(key) else { return false };
        let mut state = self.world.lock();
        let fits = state.pages.get(&id).is_some_and(|page| fits(page.now()));
        if fits {
            self.world.person_changes(&mut state, &id, change);
            state.touched.insert(key.to_string());
        }
        fits
    }

    fn acted(&self, op: Op) -> bool {
        match op {
            Op::RowSet { record, field } => {
                let (key, field) = (self.key(record), FIELDS[usize::from(field)]);
                self.set_row(&key, field, self.value("p", &key, field))
            }
            Op::PageSet { record, field } => {
                let (key, field) = (self.key(record), FIELDS[usize::from(field)]);
                self.set_page(&key, field, self.value("n", &key, field))
            }
            Op::BothSet { record, field } => {
                let (key, field) = (self.key(record), FIELDS[usize::from(field)]);
                let value = self.value("b", &key, field);
                self.set_page(&key, field, value.clone()) && self.set_row(&key, field, value)
            }
            Op::PageRevert { record, field } => self.revert(record, FIELDS[usize::from(field)]),
            Op::RowInsert { record } => {
                let done = self.insert(record);
                if done {
                    self.touch(&RecordKey::single(format!("t{record}")));
                }
                done
            }
            Op::RowDelete { record } => {
                let key = self.key(record);
                self.touch(&key);
                if self.world.postgres.row(TEAMS, &key).is_some() {
                    let now = self.world.now();
                    let mut state = self.world.lock();
                    state.related.remove(&key.to_string());
                    state.deleted_at.insert(key.to_string(), now);
                }
                self.withdraw(&key);
                self.world.postgres.delete(TEAMS, &key)
            }
            Op::RowLeave { record } => self.scope(record, "b"),
            Op::RowReturn { record } => self.scope(record, "a"),
            Op::PageTrash { record } => {
                let fits = |version: &super::world::Version| Self::is_editable(&version.page, version.hidden);
                let key = self.key(record);
                let done = self.change_page(&key, fits, |version| version.page.in_trash = true);
                if let (true, Some(page)) = (done, self.page(&key)) {
                    let mut state = self.world.lock();
                    for write in state.cells.of(page.as_str()).flat_map(|cell| &mut cell.writes) {
                        write.withdrawn = true;
                    }
                }
                done
            }
            Op::PageRestore { record } => self.change_page(
                &self.key(record),
                |version| version.page.in_trash && !version.hidden,
                |version| version.page.in_trash = false,
            ),
            Op::PageMove { record } => self.change_page(
                &self.key(record),
                |version| !version.page.in_trash && !version.hidden,
                |version| {
                    version.page.parent = match version.page.parent {
                        PageParent::Entity => PageParent::Elsewhere,
                        PageParent::Elsewhere => PageParent::Entity,
                    };
                },
            ),
            Op::PageHide { record } => self.change_page(
                &self.key(record),
                |_| true,
                |version| version.hidden = !version.hidden,
            ),
            Op::PageMake => self.make_page(),
            Op::PageDuplicate { record } => self.duplicate(record),
            Op::PageLabel { record, clear } => {
                let label = if clear { String::new() } else { "t0".to_owned() };
                let fits = |version: &super::world::Version| Self::is_editable(&version.page, version.hidden);
                self.change_page(&self.key(record), fits, |version| {
                    version.page.properties.insert(
                        PropertyId::from("postgres_id"),
                        frames_sync::ports::PropertyRead::Whole(Value::rich(label)),
                    );
                })
            }
            Op::RowRelate { record, target } => {
                let key = self.key(record);
                let value = Value::text(format!("q{target}"));
                let done = self.set_column(&key, RELATION, value);
                let mut state = self.world.lock();
                if done && !state.page_related.contains(&key.to_string()) {
                    state.related.insert(key.to_string());
                }
                done
            }
            Op::PageRelate { record, target } => self.relate(record, target),
            Op::TargetTrash { target } => self.trash_target(target),
            Op::Choose { record, postgres } => self.choose(record, postgres),
        }
    }

    fn revert(&self, record: u8, field: &str) -> bool {
        let key = self.key(record);
        let Some(id) = self.page(&key) else { return false };
        let state = self.world.lock();
        let Some(page) = state.pages.get(&id) else {
            return false;
        };
        let now = property(&page.now().page, field);
        let before = page
            .versions
            .iter()
            .rev()
            .map(|version| &version.page)
            .find(|page| property(page, field) != now);
        let value = before.and_then(|page| match page.properties.get(&PropertyId::from(field)) {
            Some(frames_sync::ports::PropertyRead::Whole(value)) if !value.is_empty() => Some(value.clone()),
            _ => None,
        });
        drop(state);
        value.is_some_and(|value| self.set_page(&key, field, value))
    }

    fn scope(&self, record: u8, org: &str) -> bool {
        let key = self.key(record);
        let held = self.world.postgres.row(TEAMS, &key);
        let moves = held.is_some_and(|row| row.get("org") != Some(&Value::text(org)));
        if moves {
            self.touch(&key);
            self.set_column(&key, "org", Value::text(org));
        }
        moves
    }

    fn make_page(&self) -> bool {
        let mut state = self.world.lock();
        state.serial += 1;
        let serial = state.serial;
        let mut values: Vec<(PropertyId, Value)> = ["name", "note"]
            .into_iter()
            .map(|field| {
                let made = Value::rich(format!("n-made-{field}-{serial}"));
                (PropertyId::from(field), made)
            })
            .collect();
        if self.world.chance(serial, 4) == 0 {
            // A key that the profile does not know, or may not see.
            values.push((PropertyId::from("postgres_id"), Value::rich("zz9")));
        }
        self.world.person_makes(&mut state, &values);
        true
    }

    fn duplicate(&self, record: u8) -> bool {
        let key = self.key(record);
        let Some(id) = self.page(&key) else { return false };
        let mut state = self.world.lock();
        let Some(page) = state.pages.get(&id).map(|page| page.now().page.clone()) else {
            return false;
        };
        if !Self::is_editable(&page, false) {
            return false;
        }
        let values: Vec<(PropertyId, Value)> = page
            .properties
            .iter()
            .filter_map(|(id, read)| match read {
                frames_sync::ports::PropertyRead::Whole(value) => Some((id.clone(), value.clone())),
                _ => None,
            })
            .collect();
        self.world.person_makes(&mut state, &values);
        state.touched.insert(key.to_string());
        true
    }

    fn project_page(&self, target: u8) -> Option<PageId> {
        let key = RecordKey::single(format!("q{target}"));
        let link = self
            .world
            .postgres
            .find_link(&|link| link.entity == PROJECTS && link.key == key)?;
        link.page
    }

    fn relate(&self, record: u8, target: u8) -> bool {
        let key = self.key(record);
        let target = self.project_page(target);
        let (Some(id), Some(target)) = (self.page(&key), target) else {
            return false;
        };
        let mut state = self.world.lock();
        let editable = state.pages.get(&id).is_some_and(|page| {
            let now = page.now();
            Self::is_editable(&now.page, now.hidden)
        });
        if editable {
            // From here on a target that vanishes may well have been taken out by hand.
            state.related.remove(&key.to_string());
            state.page_related.insert(key.to_string());
            self.world.person_changes(&mut state, &id, |version| {
                version.page.properties.insert(
                    PropertyId::from(RELATION),
                    frames_sync::ports::PropertyRead::Whole(Value::Pages([target].into())),
                );
            });
        }
        editable
    }

    /// A target in the trash vanishes from the relations that lead to it, without any edit of theirs.
    fn trash_target(&self, target: u8) -> bool {
        let Some(page) = self.project_page(target) else {
            return false;
        };
        let mut state = self.world.lock();
        self.world.person_changes(&mut state, &page, |version| {
            version.page.in_trash = !version.page.in_trash;
        });
        state.target_trashed = true;
        true
    }

    fn choose(&self, record: u8, postgres: bool) -> bool {
        let key = self.key(record);
        let mut open = self.world.postgres.store().open_conflicts(None);
        let std::task::Poll::Ready(Ok(open)) = super::executor::poll_once(open.as_mut()) else {
            return false;
        };
        let Some(conflict) = open.iter().find(|conflict| conflict.key == key) else {
            return false;
        };
        let side = if postgres { Side::Postgres } else { Side::Notion };
        self.touch(&key);
        self.world.lock().chosen.insert(key.to_string());
        let mut chosen = self
            .world
            .postgres
            .store()
            .choose(conflict.id, conflict.rev, side);
        matches!(
            super::executor::poll_once(chosen.as_mut()),
            std::task::Poll::Ready(Ok(true))
        )
    }
}
