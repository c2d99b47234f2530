//! What people and the application do, at its instant, to whatever is there then.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use frames_sync::ports::{Link, Page, PageParent, Pin, PropertyRead};
use frames_sync::reconcile::{Phase, Side};
use frames_sync::value::{Number, PageId, PropertyId, RecordKey, Value};

use super::Schedule;
use super::database::{columns, trigger};
use super::focus::Focus;
use super::profile;
use super::schema::{DONE, Drift, KIND};
use super::tape::Op;
use super::world::{Backup, FIELDS, NEIGHBOUR, NEIGHBOURS, PROJECTS, RELATION, TEAMS, is_paused, property};

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
        if self.world.tape.setting.neighbour {
            for number in 0..2 {
                self.insert_of("b", RecordKey::single(format!("x{number}")));
            }
        }
        self.world.lock().user_edits = 0;
    }

    /// Does what the tape says at that place.
    pub(crate) fn act(&mut self, op: Op) {
        let done = self.acted(op);
        if done && matches!(op, Op::Restore { .. }) {
            // Its connections broke: whatever was under way ends.
            (0..super::RUNNERS).for_each(|runner| self.bury(runner));
        }
        if done && matches!(op, Op::FieldAdded | Op::Reconfigure { .. } | Op::Rescope) {
            self.reload();
        }
        let code = 6 + 16 * u64::from(done);
        self.world.trace(|| format!("{op:?}: {done}"), code);
        if done {
            self.world.lock().met(&format!("op {}", op.name()));
        }
    }

    /// The mapping was changed: both processes go on with the new one.
    pub(super) fn reload(&mut self) {
        let mut setting = self.world.tape.setting.clone();
        let state = self.world.lock();
        setting.conflict = state.policy.unwrap_or(setting.conflict);
        setting.late_field &= state.field_added.is_none();
        let (from, rescoped) = (1000 + state.serial, state.rescoped);
        drop(state);
        self.entities = profile::entities_from(&setting, self.world.mutant, from);
        if let (1.., Some(teams)) = (rescoped, Arc::get_mut(&mut self.entities[0])) {
            teams.scope = format!("{}, in words {rescoped}", teams.scope);
        }
        if let (true, Some(teams)) = (setting.typed, Arc::get_mut(&mut self.entities[0])) {
            let ids = profile::Seeded(AtomicU64::new(from));
            let ambience = (Arc::clone(&self.clock) as _, Arc::new(ids) as _);
            let (fields, frozen) = self.world.lock().schema.bound(setting.conflict, ambience);
            teams.fields.extend(fields);
            teams.frozen = frozen;
        }
        (0..NEIGHBOUR).for_each(|runner| self.revive(runner));
    }

    /// The key of a record, whatever it was at first.
    fn own_key(&self, record: u8) -> RecordKey {
        let state = self.world.lock();
        let renamed = state.renamed.get(&record).cloned();
        RecordKey::single(renamed.unwrap_or_else(|| format!("t{record}")))
    }

    fn key(&self, record: u8) -> RecordKey {
        let keys = self.world.postgres.keys(TEAMS);
        let own = self.own_key(record);
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

    /// The record's page, and what the engine last took in of a field there.
    fn agreed_on(&self, key: &RecordKey, field: &str) -> Option<(PageId, Value)> {
        let is_it = |link: &Link| link.key == *key && link.entity == TEAMS && link.phase != Phase::Tombstone;
        let link = self.world.postgres.find_link(&is_it)?;
        let bases = link.fields.get(&PropertyId::from(field))?.bases.clone()?;
        Some((link.page?, bases.page))
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
            let few = if self.world.tape.setting.focus == Focus::Rewrites {
                3
            } else {
                6
            };
            end = match self.world.chance(serial, few) {
                0 => "~",
                1 => "#",
                _ => "",
            };
        }
        Value::text(format!("{side}-{key}-{field}-{serial}{end}"))
    }

    fn insert(&self, record: u8) -> bool {
        self.insert_of("a", self.own_key(record))
    }

    fn insert_of(&self, org: &str, key: RecordKey) -> bool {
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
        // A row of a new life refers to nothing, whoever ended the former one.
        state.related.remove(&key.to_string());
        let had_another = state.rows.get(&key.to_string(), "name").is_some();
        let nothing = had_another.then_some((RELATION, Value::Null));
        for (field, value) in values.iter().chain(&nothing) {
            self.world
                .row_written(&mut state, &key.to_string(), field, value, None);
            state.entitle(org, value);
        }
        state.entitle(org, &Value::text(key.to_string()));
        drop(state);
        let relations = self.world.tape.setting.relations;
        let mut columns = columns(&key.to_string(), &values, relations, self.stamped());
        columns.insert("org".to_owned(), Value::text(org));
        if self.world.tape.setting.typed {
            let state = self.world.lock();
            let (serial, options) = (state.serial, state.schema.options.clone());
            drop(state);
            let option = usize::try_from(self.world.chance(serial, 4)).unwrap_or(0);
            let kind = options.get(option).map(|option| Value::text(option.name()));
            columns.insert(KIND.to_owned(), kind.unwrap_or(Value::Null));
            let done = [Value::Null, Value::Bool(true), Value::Bool(false)];
            let state = usize::try_from(self.world.chance(serial + 1, 3)).unwrap_or(0);
            columns.insert(DONE.to_owned(), done[state].clone());
        }
        self.world.postgres.put(TEAMS, columns);
        true
    }

    /// What the application writes into `updated_at`.
    fn stamped(&self) -> Value {
        let seconds = self.world.database_time().unix_timestamp();
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
        let agreed = self.agreed_on(key, field);
        let mut state = self.world.lock();
        let in_step = agreed.map(|(page, agreed)| {
            let page = state.pages.get(&page).map(|page| &page.now().page);
            let held = page.and_then(|page| page.properties.get(&PropertyId::from(field)));
            held == Some(&PropertyRead::Whole(agreed))
        });
        let org = row.get("org").map(super::world::text).unwrap_or_default();
        state.entitle(&org, &value);
        self.world
            .row_written(&mut state, &key.to_string(), field, &value, in_step);
        drop(state);
        postgres.put(TEAMS, row);
        true
    }

    fn is_editable(page: &Page, hidden: bool) -> bool {
        !page.in_trash && page.parent == PageParent::Entity && !hidden
    }

    fn set_page(&self, key: &RecordKey, field: &str, value: Value) -> bool {
        self.page(key)
            .is_some_and(|id| self.set_property("a", &id, field, value))
    }

    fn set_property(&self, tenant: &str, id: &PageId, field: &str, value: Value) -> bool {
        let mut state = self.world.lock();
        let editable = state.pages.get(id).is_some_and(|page| {
            let now = page.now();
            Self::is_editable(&now.page, now.hidden)
        });
        if editable {
            state.entitle(tenant, &value);
            let value = match value {
                Value::Text(text) => Value::rich(text),
                other => other,
            };
            self.world.person_sets(&mut state, id, field, value);
        }
        editable
    }

    fn touch(&self, key: &RecordKey) {
        self.world.lock().touched.insert(key.to_string());
    }

    fn withdraw(&self, key: &RecordKey) {
        self.world.lock().rows.withdraw(&key.to_string());
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
                    self.touch(&self.own_key(record));
                }
                done
            }
            Op::RowDelete { record } => self.delete(&self.key(record)),
            Op::RowLeave { record } => self.scope(record, "b"),
            Op::RowReturn { record } => self.scope(record, "a"),
            Op::PageTrash { record } => {
                let fits = |version: &super::world::Version| Self::is_editable(&version.page, version.hidden);
                let key = self.key(record);
                let done = self.change_page(&key, fits, |version| version.page.in_trash = true);
                if let (true, Some(page)) = (done, self.page(&key)) {
                    self.world.lock().cells.withdraw(page.as_str());
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
                |version| !version.purged,
                |version| version.hidden = !version.hidden,
            ),
            Op::PagePurge { record } => self.change_page(
                &self.key(record),
                |version| !version.purged,
                |version| (version.hidden, version.purged) = (true, true),
            ),
            Op::PageOptOut { record } => {
                let fits = |version: &super::world::Version| Self::is_editable(&version.page, version.hidden);
                self.change_page(&self.key(record), fits, |version| {
                    let ticked = !is_paused(&version.page);
                    version.page.properties.insert(
                        PropertyId::from("paused"),
                        PropertyRead::Whole(Value::Bool(ticked)),
                    );
                })
            }
            Op::RowClear { record, field } => {
                let (key, field) = (self.key(record), FIELDS[usize::from(field)]);
                let held = self.world.postgres.row(TEAMS, &key);
                let is_there = held.and_then(|row| row.get(field).map(|value| !value.is_empty()));
                is_there == Some(true) && self.set_row(&key, field, Self::nothing(field))
            }
            Op::PageClear { record, field } => {
                let (key, field) = (self.key(record), FIELDS[usize::from(field)]);
                let is_there = self.page(&key).is_some_and(|id| {
                    let state = self.world.lock();
                    state
                        .pages
                        .get(&id)
                        .is_some_and(|page| !property(&page.now().page, field).is_empty())
                });
                is_there && self.set_page(&key, field, Self::nothing(field))
            }
            Op::PageFormat { record, field } => self.format(record, FIELDS[usize::from(field)]),
            Op::RowRekey { record } => self.rekey(record),
            Op::Truncate => {
                let keys = self.world.postgres.keys(TEAMS);
                keys.iter().for_each(|key| {
                    self.delete(key);
                });
                !keys.is_empty()
            }
            Op::FieldAdded => {
                let mut state = self.world.lock();
                self.world.tape.setting.late_field && state.field_added.replace(self.world.now()).is_none()
            }
            Op::Reconfigure { policy } => {
                self.world.lock().policy = Some(policy);
                true
            }
            Op::NeighbourRowSet { record, field } => {
                let field = FIELDS[usize::from(field)];
                self.neighbour_key(record)
                    .is_some_and(|key| self.set_row(&key, field, self.value("q", &key, field)))
            }
            Op::NeighbourPageSet { record, field } => {
                let field = FIELDS[usize::from(field)];
                let Some(key) = self.neighbour_key(record) else {
                    return false;
                };
                let links = self.world.all_links();
                let link = links.into_iter().find(|link| {
                    link.entity == NEIGHBOURS && link.key == key && link.phase != Phase::Tombstone
                });
                let page = link.and_then(|link| link.page);
                page.is_some_and(|id| self.set_property("b", &id, field, self.value("m", &key, field)))
            }
            Op::RowKind { record, option } => {
                let state = self.world.lock();
                let options = &state.schema.options;
                let name = options[usize::from(option) % options.len()].names[0].clone();
                drop(state);
                self.set_typed(&self.key(record), KIND, Value::text(name))
            }
            Op::RowDone { record, state } => {
                let value =
                    [Value::Null, Value::Bool(true), Value::Bool(false)][usize::from(state % 3)].clone();
                self.set_typed(&self.key(record), DONE, value)
            }
            Op::PageKind { record, option } => {
                let state = self.world.lock();
                let live: Vec<_> = state
                    .schema
                    .options
                    .iter()
                    .filter(|option| !option.removed)
                    .collect();
                if live.is_empty() || state.schema.drift != Drift::AsMapped {
                    return false;
                }
                let option = live[usize::from(option) % live.len()];
                let choice = Value::Choice(frames_sync::value::Choice {
                    id: Some(option.id.clone()),
                    name: option.name().to_owned(),
                });
                drop(state);
                self.pick(record, KIND, |_| choice)
            }
            Op::PageDone { record } => {
                self.pick(record, DONE, |held| Value::Bool(*held != Value::Bool(true)))
            }
            Op::OptionRename { option } => self.drift(|schema, serial| {
                let count = schema.options.len();
                let option = &mut schema.options[usize::from(option) % count];
                if !option.removed {
                    option.names.push(format!("renamed-{serial}"));
                }
                !option.removed
            }),
            Op::OptionRemove { option } => self.drift(|schema, _| {
                let count = schema.options.len();
                !std::mem::replace(&mut schema.options[usize::from(option) % count].removed, true)
            }),
            Op::OptionAdd => self.drift(|schema, serial| {
                schema.stored(&frames_sync::value::Choice {
                    id: None,
                    name: format!("added-{serial}"),
                });
                true
            }),
            Op::PropertyRename => self.drift(|schema, serial| {
                schema.called = format!("called {serial}");
                true
            }),
            Op::PropertyDelete => self.drift(|schema, _| {
                let before = std::mem::replace(&mut schema.drift, Drift::Deleted);
                before != Drift::Deleted
            }),
            Op::PropertyRetype => self.drift(|schema, _| {
                let before = schema.drift;
                if before == Drift::AsMapped {
                    schema.drift = Drift::Retyped;
                }
                before == Drift::AsMapped
            }),
            Op::Backup => {
                let Some(database) = self.world.postgres.backup() else {
                    return false;
                };
                let mut state = self.world.lock();
                state.backup = Some(Backup {
                    at: self.world.now(),
                    database,
                    rows: state.rows.clone(),
                    overwritten: state.overwritten.len(),
                    renamed: state.renamed.clone(),
                });
                true
            }
            Op::Restore { told } => self.restore(told),
            Op::RowRelateBoth { record } => self.refer(&self.key(record), &[0, 1]),
            Op::ClockStep { notion, by } => self.step(notion, by),
            Op::PageRelateBoth { record } => self.relate(record, &[0, 1]),
            Op::Rescope => {
                self.world.lock().rescoped += 1;
                true
            }
            Op::PageMake => self.make_page(),
            Op::PageDuplicate { record } => self.duplicate(record),
            Op::PageLabel { record, clear } => {
                // The other tenant's key is one that this profile knows nothing of.
                let other = if self.world.tape.setting.neighbour {
                    "x0"
                } else {
                    "t0"
                };
                let label = if clear { String::new() } else { other.to_owned() };
                let fits = |version: &super::world::Version| Self::is_editable(&version.page, version.hidden);
                let typed = Value::rich(label.as_str());
                let done = self.change_page(&self.key(record), fits, |version| {
                    version.page.properties.insert(
                        PropertyId::from("postgres_id"),
                        PropertyRead::Whole(Value::rich(label)),
                    );
                });
                if done {
                    // From here on it stands in this tenant's workspace, by its own people's hand.
                    self.world.lock().entitle("a", &typed);
                }
                done
            }
            Op::CopyUnlabel { record } => self.unlabel_copy(&self.key(record)),
            Op::RowRelate { record, target } => self.refer(&self.key(record), &[target]),
            Op::PageRelate { record, target } => self.relate(record, &[target]),
            Op::TargetTrash { target } => self.trash_target(target),
            Op::Choose { record, postgres } => self.choose(record, postgres),
        }
    }

    fn set_typed(&self, key: &RecordKey, column: &str, value: Value) -> bool {
        let typed = self.world.tape.setting.typed;
        typed && self.set_column(key, column, value)
    }

    /// A person sets the select or the checkbox.
    fn pick(&self, record: u8, property: &str, value: impl FnOnce(&Value) -> Value) -> bool {
        let fits = |version: &super::world::Version| Self::is_editable(&version.page, version.hidden);
        let Some(id) = self.page(&self.key(record)) else {
            return false;
        };
        let mut state = self.world.lock();
        let property = PropertyId::from(property);
        let held = state
            .pages
            .get(&id)
            .filter(|page| fits(page.now()))
            .and_then(|page| page.now().page.whole(&property).cloned());
        let Some(held) = held else { return false };
        let value = value(&held);
        self.world.person_changes(&mut state, &id, |version| {
            version
                .page
                .properties
                .insert(property, PropertyRead::Whole(value));
        });
        true
    }

    /// A person changes the schema of the data source.
    fn drift(&self, change: impl FnOnce(&mut super::schema::Schema, u64) -> bool) -> bool {
        if !self.world.tape.setting.typed {
            return false;
        }
        let under_way = self.running.iter().any(Option::is_some);
        let mut state = self.world.lock();
        state.serial += 1;
        let serial = state.serial;
        let done = change(&mut state.schema, serial);
        state.schema.is_unbound |= done;
        state.schema.moved_in_a_cycle |= done && under_way;
        if done && under_way {
            state.met("schema window");
        }
        done
    }

    /// A row that is in the other tenant's scope now.
    fn neighbour_key(&self, record: u8) -> Option<RecordKey> {
        let org = Value::text("b");
        let mut keys = self.world.postgres.keys(TEAMS);
        keys.retain(|key| {
            let row = self.world.postgres.row(TEAMS, key);
            row.is_some_and(|row| row.get("org") == Some(&org))
        });
        (!keys.is_empty() && self.world.tape.setting.neighbour)
            .then(|| keys[usize::from(record) % keys.len()].clone())
    }

    /// Rows and both memories are what they were at the backup; Notion goes on from where it is.
    fn restore(&self, told: bool) -> bool {
        let Some(backup) = self.world.lock().backup.clone() else {
            return false;
        };
        self.world.postgres.restore(&backup.database);
        let pinned = [0, 1].map(|profile| {
            self.world.store_of(profile).is_some_and(|store| {
                let mut pins = store.pins();
                let pins = super::executor::poll_once(pins.as_mut());
                let is_database = |pin: &Pin| pin.name == super::database::DATABASE;
                matches!(pins, std::task::Poll::Ready(Ok(pins)) if pins.iter().any(is_database))
            })
        });
        let now = self.world.now();
        let mut state = self.world.lock();
        state.rows = backup.rows;
        state.overwritten.truncate(backup.overwritten);
        state.renamed = backup.renamed;
        state.restored_at = Some(now);
        state.forgotten = backup.at..now;
        state.epochs = [-1, -1];
        if told {
            state.timeline += 1;
            state.quarantined = pinned;
        }
        let keys = self.world.postgres.keys(TEAMS);
        state.touched.extend(keys.iter().map(RecordKey::to_string));
        for key in keys {
            state.deleted_at.remove(&key.to_string());
        }
        state.related.clear();
        // It knows nothing of what was sent.
        state.creating.clear();
        let pages: Vec<PageId> = state.pages.keys().cloned().collect();
        state.ambiguous.extend(pages);
        true
    }

    /// Puts a clock on or back, between two runs: what happens in the middle of one is noticed by the next.
    fn step(&self, notion: bool, by: super::tape::Millis) -> bool {
        let between = self.running.iter().all(Option::is_none);
        if between {
            let now = self.world.database_time();
            self.world.lock().wait_for_creates(now);
            self.world.timeline.step(usize::from(notion), by);
        }
        between
    }

    /// What an emptied column holds, and an emptied property.
    fn nothing(field: &str) -> Value {
        if field == "size" {
            Value::Null
        } else {
            Value::text("")
        }
    }

    fn delete(&self, key: &RecordKey) -> bool {
        self.touch(key);
        if let Some(row) = self.world.postgres.row(TEAMS, key) {
            let now = self.world.now();
            let mut state = self.world.lock();
            state.related.remove(&key.to_string());
            let referred = row.get(RELATION).map(super::world::text).unwrap_or_default();
            state.referred.insert(key.to_string(), referred);
            state.deleted_at.insert(key.to_string(), now);
        }
        self.withdraw(key);
        self.world.postgres.delete(TEAMS, key)
    }

    fn refer(&self, key: &RecordKey, targets: &[u8]) -> bool {
        let mut values = targets.iter().map(|target| Value::text(format!("q{target}")));
        let value = if self.world.tape.setting.many_targets {
            Value::List(values.collect())
        } else {
            values.next().unwrap_or(Value::Null)
        };
        let held = self.world.postgres.row(TEAMS, key);
        let is_new = held.and_then(|row| row.get(RELATION).cloned()) != Some(value.clone());
        let agreed = self.agreed_on(key, RELATION);
        let done = self.set_column(key, RELATION, value.clone());
        let mut state = self.world.lock();
        if done && is_new {
            let key = key.to_string();
            self.world
                .row_written(&mut state, &key, RELATION, &value, agreed.map(|_| false));
        }
        if done && !state.page_related.contains(&key.to_string()) {
            state.related.insert(key.to_string());
        }
        done
    }

    /// Makes a text bold, or plain again.
    fn format(&self, record: u8, field: &str) -> bool {
        let fits = |version: &super::world::Version| Self::is_editable(&version.page, version.hidden);
        let Some(id) = self.page(&self.key(record)) else {
            return false;
        };
        let mut state = self.world.lock();
        let fits = state.pages.get(&id).is_some_and(|page| fits(page.now()));
        if fits {
            let held = state.pages[&id].now().page.whole(&PropertyId::from(field));
            let Some(Value::RichText(mut runs)) = held.cloned() else {
                return false;
            };
            runs.iter_mut().for_each(|run| run.style.bold = !run.style.bold);
            self.world
                .person_sets(&mut state, &id, field, Value::RichText(runs));
        }
        fits
    }

    /// Gives a row another key. With a change log the record stays what it is; without one, a row went and another came.
    fn rekey(&self, record: u8) -> bool {
        let key = self.own_key(record);
        let mut state = self.world.lock();
        state.serial += 1;
        let new = format!("t{record}-{}", state.serial);
        drop(state);
        if self.world.tape.setting.stamped {
            self.set_column(&key, "updated_at", self.stamped());
        }
        if !self.world.postgres.rekey(TEAMS, &key, &new) {
            return false;
        }
        let row = self.world.postgres.row(TEAMS, &RecordKey::single(new.as_str()));
        let org = row
            .and_then(|row| row.get("org").map(super::world::text))
            .unwrap_or_default();
        let now = self.world.now();
        let mut state = self.world.lock();
        state.entitle(&org, &Value::text(new.as_str()));
        let old = key.to_string();
        state.rows.rename(&old, &new);
        // Whatever comes under the old key now is another row.
        state.rows.withdraw(&old);
        state.touched.extend([old.clone(), new.clone()]);
        if state.related.remove(&old) {
            state.related.insert(new.clone());
        }
        if state.page_related.remove(&old) {
            state.page_related.insert(new.clone());
        }
        if self.world.tape.setting.triggers {
            state.followed.insert(old, new.clone());
        } else {
            state.deleted_at.insert(old, now);
        }
        state.renamed.insert(record, new);
        true
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
        let value = before.and_then(|page| page.whole(&PropertyId::from(field)));
        let value = value.filter(|value| !value.is_empty()).cloned();
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
            // Whoever has the row now may see all that it holds.
            let mut state = self.world.lock();
            state.left.insert(key.to_string());
            let row = self.world.postgres.row(TEAMS, &key).unwrap_or_default();
            for value in FIELDS.iter().chain(&["id"]).filter_map(|name| row.get(*name)) {
                state.entitle(org, value);
            }
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
                PropertyRead::Whole(value) => Some((id.clone(), value.clone())),
                _ => None,
            })
            .collect();
        self.world.person_makes(&mut state, &values);
        state.touched.insert(key.to_string());
        true
    }

    /// Clears the label of a page that carries the record's beside its own.
    fn unlabel_copy(&self, key: &RecordKey) -> bool {
        let own = self.page(key);
        let mut state = self.world.lock();
        let is_copy = |(id, page): &(&PageId, &super::world::SimPage)| {
            let now = page.now();
            own.as_ref().is_some_and(|own| own != *id)
                && page.entity == TEAMS
                && Self::is_editable(&now.page, now.hidden)
                && property(&now.page, "postgres_id") == key.to_string()
        };
        let Some(copy) = state.pages.iter().find(is_copy).map(|(id, _)| id.clone()) else {
            return false;
        };
        self.world.person_changes(&mut state, &copy, |version| {
            version.page.properties.insert(
                PropertyId::from("postgres_id"),
                PropertyRead::Whole(Value::rich("")),
            );
        });
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

    fn relate(&self, record: u8, targets: &[u8]) -> bool {
        let key = self.key(record);
        let targets: Option<BTreeSet<PageId>> =
            targets.iter().map(|target| self.project_page(*target)).collect();
        let (Some(id), Some(targets)) = (self.page(&key), targets) else {
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
            self.world
                .person_sets(&mut state, &id, RELATION, Value::Pages(targets));
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
        let now = self.world.now();
        let value = match side {
            Side::Postgres => &conflict.row,
            Side::Notion => &conflict.page_value,
        };
        let mut state = self.world.lock();
        state.chosen.insert(key.to_string());
        if let (Some(field), Some(value)) = (&conflict.property, value) {
            let field = (key.to_string(), field.to_string());
            let value = state.named(&field.1, &super::world::text(value));
            state.values_chosen.insert(field, (now, value));
        }
        drop(state);
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
