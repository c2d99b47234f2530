//! Postgres in memory, as far as the engine can tell: tables with scope, constraints, triggers and a change log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use time::OffsetDateTime;

use crate::ports::{
    BoxFuture, Change, Clock, ColumnRejection, Row, RowChange, RowOutcome, RowTables, RowWrite, Rows,
    RowsError,
};
use crate::value::{RecordKey, Value};

/// A row's columns by name.
pub type Columns = BTreeMap<String, Value>;

type Test = Box<dyn Fn(&Columns) -> bool + Send + Sync>;
type Constraint = Box<dyn Fn(&Columns) -> Option<ColumnRejection> + Send + Sync>;
type Trigger = Box<dyn Fn(&mut Columns) + Send + Sync>;

struct Log {
    clock: Arc<dyn Clock>,
    changes: Vec<Change>,
}

/// One table.
pub struct Table {
    key: Vec<String>,
    scope: Test,
    constraint: Constraint,
    before_write: Trigger,
    log: Option<Log>,
    columns: Vec<String>,
    answered: Option<Vec<String>>,
    updated_at: Option<String>,
    rows: BTreeMap<RecordKey, Columns>,
    next: i64,
}

impl Table {
    /// An empty table with these key columns, with every row in scope.
    pub fn new(key: &[&str]) -> Self {
        Self {
            key: key.iter().map(|column| (*column).to_owned()).collect(),
            scope: Box::new(|_| true),
            constraint: Box::new(|_| None),
            before_write: Box::new(|_| {}),
            log: None,
            columns: Vec::new(),
            answered: None,
            updated_at: None,
            rows: BTreeMap::new(),
            next: 1,
        }
    }

    /// The same, with these columns: an inserted row has NULL where nothing is set.
    #[must_use]
    pub fn columns(mut self, names: &[&str]) -> Self {
        self.columns = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// The same, showing the engine only these columns; without it, all of them.
    #[must_use]
    pub fn answers(mut self, names: &[String]) -> Self {
        self.answered = Some(names.to_vec());
        self
    }

    /// The same, with this column for the application to write the time of each change into.
    #[must_use]
    pub fn updated_at(mut self, column: &str) -> Self {
        self.updated_at = Some(column.to_owned());
        self
    }

    /// The same, with the rows in scope that pass the test.
    #[must_use]
    pub fn scope(mut self, test: impl Fn(&Columns) -> bool + Send + Sync + 'static) -> Self {
        self.scope = Box::new(test);
        self
    }

    /// The same, refusing rows that the constraint has something against.
    #[must_use]
    pub fn constraint(
        mut self,
        constraint: impl Fn(&Columns) -> Option<ColumnRejection> + Send + Sync + 'static,
    ) -> Self {
        self.constraint = Box::new(constraint);
        self
    }

    /// The same, with a trigger that may rewrite a row before it is stored.
    #[must_use]
    pub fn trigger(mut self, trigger: impl Fn(&mut Columns) + Send + Sync + 'static) -> Self {
        self.before_write = Box::new(trigger);
        self
    }

    /// The same, with a change log, whose notes carry the time of that clock.
    #[must_use]
    pub fn logged(mut self, clock: Arc<dyn Clock>) -> Self {
        self.log = Some(Log {
            clock,
            changes: Vec::new(),
        });
        self
    }

    fn key_of(&self, columns: &Columns) -> RecordKey {
        RecordKey(
            self.key
                .iter()
                .map(|name| columns.get(name).map_or_else(String::new, key_text))
                .collect(),
        )
    }

    fn seen(&self, key: &RecordKey, columns: &Columns) -> Row {
        let in_scope = (self.scope)(columns);
        let mut shown = if in_scope { columns.clone() } else { Columns::new() };
        if let Some(answered) = &self.answered {
            shown.retain(|name, _| answered.contains(name));
        }
        Row {
            key: key.clone(),
            in_scope,
            columns: shown,
        }
    }

    /// Stores a row, or takes it away, and notes that in the change log unless nothing changed.
    fn store(&mut self, key: &RecordKey, columns: Option<Columns>) {
        let before = match &columns {
            Some(columns) => self.rows.insert(key.clone(), columns.clone()),
            None => self.rows.remove(key),
        };
        let changed = match (&before, &columns) {
            (None, None) => return,
            (Some(before), Some(after)) => Some(changed(before, after)),
            _ => None,
        };
        let Some(log) = self.log.as_mut().filter(|_| changed.as_deref() != Some(&[])) else {
            return;
        };
        log.changes.push(Change {
            seq: self.next,
            key: key.clone(),
            old_key: None,
            deleted: columns.is_none(),
            at: log.clock.now(),
            columns: changed,
        });
        self.next += 1;
    }

    /// Whether the application changed the row at or after an instant, as its own column says.
    fn is_since(&self, columns: &Columns, since: OffsetDateTime) -> bool {
        let at = self.updated_at.as_ref().and_then(|column| columns.get(column));
        matches!(at, Some(Value::Instant(at)) if at.as_nanosecond() >= since.unix_timestamp_nanos())
    }

    fn holds(&self, key: &RecordKey, expect: &[RowChange]) -> bool {
        self.rows.get(key).is_some_and(|columns| {
            (self.scope)(columns)
                && expect
                    .iter()
                    .all(|change| columns.get(&change.column) == Some(&change.value))
        })
    }

    /// What storing these columns comes to; stores nothing.
    fn judged(&self, mut columns: Columns, set: &[RowChange]) -> Result<Columns, RowOutcome> {
        for name in &self.columns {
            columns.entry(name.clone()).or_insert(Value::Null);
        }
        columns.extend(
            set.iter()
                .map(|change| (change.column.clone(), change.value.clone())),
        );
        (self.before_write)(&mut columns);
        if let Some(rejection) = (self.constraint)(&columns) {
            return Err(RowOutcome::Rejected(rejection));
        }
        if (self.scope)(&columns) {
            Ok(columns)
        } else {
            Err(RowOutcome::LeavesScope)
        }
    }
}

/// The columns that two states of a row differ in, in order; one that is not there is NULL.
fn changed(before: &Columns, after: &Columns) -> Vec<String> {
    let held = |columns: &Columns, name: &String| columns.get(name).cloned().unwrap_or(Value::Null);
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .filter(|name| held(before, name) != held(after, name))
        .cloned()
        .collect()
}

/// The text of a key column, as Postgres would print it.
pub fn key_text(value: &Value) -> String {
    match value {
        Value::Text(text) | Value::Opaque(text) => text.clone(),
        Value::Number(number) => number.as_str().to_owned(),
        Value::Uuid(uuid) => uuid.to_string(),
        Value::Null => String::new(),
        other => other.to_json().to_string(),
    }
}

/// What [`Tables`] held at an instant: rows and notes, by entity.
#[derive(Clone)]
pub struct Backup(BTreeMap<String, (BTreeMap<RecordKey, Columns>, Vec<Change>)>);

/// The tables of one profile, by entity.
#[derive(Default)]
pub struct Tables {
    tables: Mutex<BTreeMap<String, Table>>,
}

impl Tables {
    /// No tables.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entity's table.
    pub fn add(&self, entity: &str, table: Table) {
        self.lock().insert(entity.to_owned(), table);
    }

    /// All rows and change logs as they are now.
    pub fn backup(&self) -> Backup {
        let kept = |table: &Table| {
            let notes = table.log.as_ref().map(|log| log.changes.clone());
            (table.rows.clone(), notes.unwrap_or_default())
        };
        let tables = self.lock();
        Backup(
            tables
                .iter()
                .map(|(name, table)| (name.clone(), kept(table)))
                .collect(),
        )
    }

    /// Puts back what a backup holds, as a restore to an earlier instant does.
    pub fn restore(&self, backup: &Backup) {
        let mut tables = self.lock();
        for (name, (rows, notes)) in &backup.0 {
            let Some(table) = tables.get_mut(name) else {
                continue;
            };
            table.rows.clone_from(rows);
            if let Some(log) = &mut table.log {
                log.changes.clone_from(notes);
            }
        }
    }

    /// Gives a row another value in a key column, as the application would; answers the new key, unless the row is not
    /// there or the key is taken.
    pub fn rekey(&self, entity: &str, key: &RecordKey, column: &str, value: Value) -> Option<RecordKey> {
        let mut tables = self.lock();
        let table = tables.get_mut(entity)?;
        let mut columns = table.rows.get(key)?.clone();
        columns.insert(column.to_owned(), value);
        let new = table.key_of(&columns);
        if table.rows.contains_key(&new) {
            return None;
        }
        table.rows.remove(key);
        table.rows.insert(new.clone(), columns);
        if let Some(log) = &mut table.log {
            log.changes.push(Change {
                seq: table.next,
                key: new.clone(),
                old_key: Some(key.clone()),
                deleted: false,
                at: log.clock.now(),
                columns: Some(vec![column.to_owned()]),
            });
            table.next += 1;
        }
        Some(new)
    }

    /// Inserts or replaces a row, as the application would; answers its key. Noted in the change log, if any.
    pub fn put(&self, entity: &str, columns: Columns) -> Option<RecordKey> {
        let mut tables = self.lock();
        let table = tables.get_mut(entity)?;
        let key = table.key_of(&columns);
        table.store(&key, Some(columns));
        Some(key)
    }

    /// Sets one column of a row, as the application would; answers whether the row is there.
    pub fn set(&self, entity: &str, key: &RecordKey, column: &str, value: Value) -> bool {
        let mut tables = self.lock();
        let Some(table) = tables.get_mut(entity) else {
            return false;
        };
        let Some(mut columns) = table.rows.get(key).cloned() else {
            return false;
        };
        columns.insert(column.to_owned(), value);
        table.store(key, Some(columns));
        true
    }

    /// Deletes a row, as the application would; answers whether it was there.
    pub fn delete(&self, entity: &str, key: &RecordKey) -> bool {
        let mut tables = self.lock();
        let Some(table) = tables.get_mut(entity) else {
            return false;
        };
        let was_there = table.rows.contains_key(key);
        table.store(key, None);
        was_there
    }

    /// The columns of a row, whatever the scope says.
    pub fn row(&self, entity: &str, key: &RecordKey) -> Option<Columns> {
        self.lock().get(entity)?.rows.get(key).cloned()
    }

    /// All keys of a table, in order.
    pub fn keys(&self, entity: &str) -> Vec<RecordKey> {
        self.lock()
            .get(entity)
            .map(|table| table.rows.keys().cloned().collect())
            .unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Table>> {
        // A panic elsewhere leaves plain maps behind, which are still consistent.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reading<T>(&self, entity: &str, read: impl FnOnce(&Table) -> T) -> Result<T, RowsError> {
        let tables = self.lock();
        let table = tables.get(entity).ok_or_else(|| RowsError::UnknownEntity {
            entity: entity.to_owned(),
        })?;
        Ok(read(table))
    }
}

impl Rows for Tables {
    fn scan<'a>(
        &'a self,
        entity: &'a str,
        after: Option<&'a RecordKey>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Row>, RowsError>> {
        Box::pin(async move {
            self.reading(entity, |table| {
                table
                    .rows
                    .iter()
                    .filter(|(key, columns)| after.is_none_or(|after| *key > after) && (table.scope)(columns))
                    .take(limit)
                    .map(|(key, columns)| table.seen(key, columns))
                    .collect()
            })
        })
    }

    fn read<'a>(
        &'a self,
        entity: &'a str,
        keys: &'a [RecordKey],
    ) -> BoxFuture<'a, Result<Vec<Row>, RowsError>> {
        Box::pin(async move {
            self.reading(entity, |table| {
                keys.iter()
                    .filter_map(|key| table.rows.get(key).map(|columns| table.seen(key, columns)))
                    .collect()
            })
        })
    }

    fn changes<'a>(&'a self, entity: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Change>, RowsError>> {
        Box::pin(async move {
            self.reading(entity, |table| {
                let changes = table.log.iter().flat_map(|log| &log.changes);
                changes.take(limit).cloned().collect()
            })
        })
    }

    fn updated_since<'a>(
        &'a self,
        entity: &'a str,
        since: OffsetDateTime,
        after: Option<&'a RecordKey>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Row>, RowsError>> {
        Box::pin(async move {
            self.reading(entity, |table| {
                let rows = table.rows.iter();
                rows.filter(|(key, columns)| {
                    after.is_none_or(|after| *key > after)
                        && (table.scope)(columns)
                        && table.is_since(columns, since)
                })
                .take(limit)
                .map(|(key, columns)| table.seen(key, columns))
                .collect()
            })
        })
    }
}

impl RowTables for Tables {
    fn write(&self, write: &RowWrite, then: &mut dyn FnMut(&Row) -> bool) -> RowOutcome {
        let mut tables = self.lock();
        let (RowWrite::Update { entity, .. }
        | RowWrite::Insert { entity, .. }
        | RowWrite::Delete { entity, .. }) = write;
        let Some(table) = tables.get_mut(entity) else {
            return RowOutcome::Moved;
        };
        let (key, stored) = match write {
            RowWrite::Update { key, set, expect, .. } => {
                if !table.holds(key, expect) {
                    return RowOutcome::Moved;
                }
                let columns = table.rows.get(key).cloned().unwrap_or_default();
                match table.judged(columns, set) {
                    Ok(columns) => (key.clone(), Some(columns)),
                    Err(outcome) => return outcome,
                }
            }
            RowWrite::Insert { set, .. } => {
                let columns = match table.judged(Columns::new(), set) {
                    Ok(columns) => columns,
                    Err(outcome) => return outcome,
                };
                let key = table.key_of(&columns);
                if table.rows.contains_key(&key) {
                    return RowOutcome::Rejected(ColumnRejection {
                        sqlstate: "23505".to_owned(),
                        constraint: Some(format!("{entity}_pkey")),
                        column: None,
                    });
                }
                (key, Some(columns))
            }
            RowWrite::Delete { key, expect, .. } => {
                if !table.holds(key, expect) {
                    return RowOutcome::Moved;
                }
                (key.clone(), None)
            }
        };
        let before = table.rows.get(&key).cloned();
        let row = match stored.as_ref().or(before.as_ref()) {
            Some(columns) => table.seen(&key, columns),
            None => return RowOutcome::Moved,
        };
        if !then(&row) {
            return RowOutcome::Moved;
        }
        table.store(&key, stored);
        RowOutcome::Written(row)
    }

    fn acknowledge(&self, entity: &str, notes: &[i64]) {
        if let Some(log) = self.lock().get_mut(entity).and_then(|table| table.log.as_mut()) {
            log.changes.retain(|change| !notes.contains(&change.seq));
        }
    }
}
