//! Queries of a data source (fact sheet, 2.3 and 3.4).

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::batch::{Batch, Cursor, Cut, MAX_BATCH, fingerprint, list_json};
use super::body::Body;
use super::filter::Filter;
use super::read::{Shown, dates_of};
use super::refusal::{Answered, Refusal};
use super::schema::{Config, PropertyId};
use super::state::{DataSource, Page, Place, Rows};
use super::value::Value;
use super::{Caller, Moment, Parent, Request, Workspace};

/// One criterion of an order.
#[derive(Clone, Debug)]
struct Sort {
    by: Key,
    descending: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    Created,
    Edited,
    Property(PropertyId),
}

/// What a value is sorted by; empty values come last in both directions.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
enum SortKey {
    Number(f64),
    Text(String),
}

struct Found {
    pages: Vec<Uuid>,
    next: Option<Cursor>,
    incomplete: bool,
}

/// A row in an order: what it is sorted by, then its place among those that are made.
type Row = (Vec<Option<SortKey>>, Place);

/// What the last sorted query found, kept for the batch after it. Whatever could change it forgets it.
#[derive(Debug)]
pub(super) struct KeptOrder {
    list: u32,
    connection: usize,
    /// Filters such as `past_week` change with the day, counted in UTC.
    day: i64,
    rows: Vec<Row>,
    /// Pages changed since, to be put in their new places; `None` where one change may move other rows too.
    changed: Option<BTreeSet<Uuid>>,
}

/// So many changed pages are put in their places one by one; beyond, sorting anew is as good.
const MOST_CHANGED: usize = 1000;

impl Workspace {
    pub(super) fn query_data_source(
        &mut self,
        caller: Caller,
        id: Uuid,
        body: &Body<'_>,
        request: &Request,
    ) -> Answered<Json> {
        body.only(&[
            "filter",
            "sorts",
            "start_cursor",
            "page_size",
            "result_type",
            "is_archived",
            "in_trash",
            "archived",
        ])?;
        let home = self.data_source(caller, id)?;
        let filter = body
            .given("filter")
            .map(|filter| Filter::parse(&filter, home, self.now))
            .transpose()?;
        let sorts = body
            .given("sorts")
            .map(|sorts| parse_sorts(&sorts, home))
            .transpose()?
            .unwrap_or_default();
        let batch = Batch::of_body(body)?;
        let archived = body
            .given("is_archived")
            .map(|found| found.bool())
            .transpose()?
            .unwrap_or_default();
        let wants_pages = body
            .given("result_type")
            .map(|kind| kind.word(&["page", "data_source"]))
            .transpose()?;
        for name in ["in_trash", "archived"] {
            if body
                .given(name)
                .is_some_and(|found| *found.value == Json::Bool(true))
            {
                self.ignore(
                    "POST /v1/data_sources/{data_source_id}/query",
                    &format!("body.{name}"),
                    "rows in the trash cannot be queried",
                );
            }
        }
        let told = ["filter", "sorts"].map(|key| body.value.get(key).map(Json::to_string));
        let list = fingerprint(&format!("query {id} {archived} {told:?}"));
        if let Some((property, _)) = filter.as_ref().and_then(Filter::equality) {
            self.look_up_by(id, property);
        }
        let shuffled = std::mem::take(&mut self.shuffle_next_query);
        let start = batch.start(list)?;
        let kept = self.kept_order.take().filter(|kept| {
            (kept.list, kept.connection, kept.day) == (list, caller.connection, self.day())
                && start.is_some()
                && !shuffled
        });
        let mut keep = None;
        let home = self.data_source(caller, id)?;
        let nothing = wants_pages == Some("data_source") || self.is_trashed(id);
        let mut found = if nothing {
            Found {
                pages: Vec::new(),
                next: None,
                incomplete: false,
            }
        } else {
            let query = Query {
                caller,
                home,
                filter: filter.as_ref(),
                sorts: &sorts,
                archived,
                list,
                start,
                size: batch.size,
            };
            match query.natural_order(self).filter(|_| !shuffled) {
                Some(order) => query.in_order(self, order),
                None => {
                    let rows = match kept {
                        Some(kept) => query.brought_up_to_date(self, kept),
                        None if shuffled => {
                            let rows = query.rows(self).into_iter();
                            let mut rows: Vec<Row> = rows.map(|page| (Vec::new(), page.place())).collect();
                            rows.sort_unstable_by_key(|(_, place)| place.2);
                            rows
                        }
                        None => query.sorted(self),
                    };
                    let found = query.cut(self, &rows);
                    keep = (found.next.is_some() && !shuffled).then(|| KeptOrder {
                        list,
                        connection: caller.connection,
                        day: self.day(),
                        rows,
                        changed: query.knows_its_own().then(BTreeSet::new),
                    });
                    found
                }
            }
        };
        self.kept_order = keep;
        if shuffled {
            self.seed.shuffle(&mut found.pages);
        }
        let shown = Shown::of(&request.query);
        let results = found
            .pages
            .iter()
            .filter(|page| self.is_visible(caller.connection, **page))
            .filter_map(|page| self.indexed(*page))
            .map(|page| self.page_json(caller, page, &shown))
            .collect();
        let cut = Cut {
            results,
            next_cursor: found.next.map(Cursor::encode),
        };
        let mut answer = list_json("page_or_data_source", cut);
        answer["request_status"] = if found.incomplete {
            json!({"type": "incomplete", "incomplete_reason": "query_result_limit_reached"})
        } else {
            json!({"type": "complete"})
        };
        Ok(answer)
    }

    /// The pages of a view in its own filter and order, as ids.
    pub(super) fn view_pages(
        &self,
        caller: Caller,
        id: Uuid,
        filter: &Json,
        sorts: &Json,
    ) -> Answered<Vec<Uuid>> {
        let home = self.data_source(caller, id)?;
        let filter = (!filter.is_null())
            .then(|| Filter::parse(&Body::root(filter), home, self.now))
            .transpose()?;
        let sorts = if sorts.is_null() {
            Vec::new()
        } else {
            parse_sorts(&Body::root(sorts), home)?
        };
        let query = Query {
            caller,
            home,
            filter: filter.as_ref(),
            sorts: &sorts,
            archived: false,
            list: 0,
            start: None,
            size: MAX_BATCH,
        };
        let rows = query.sorted(self).into_iter();
        Ok(rows
            .take(self.limits.query_results)
            .map(|(_, place)| place.2)
            .collect())
    }

    /// Tells the order that is kept for a next batch that a page was made or changed.
    pub(super) fn touch_order(&mut self, page: Uuid) {
        let Some(kept) = &mut self.kept_order else {
            return;
        };
        let room = |changed: &&mut BTreeSet<Uuid>| changed.len() < MOST_CHANGED;
        match kept.changed.as_mut().filter(room) {
            // While the index lags, a query sees the page as it was.
            Some(changed) if self.index_lag.is_zero() && self.lagging.is_empty() => {
                changed.insert(page);
            }
            _ => self.kept_order = None,
        }
    }

    fn day(&self) -> i64 {
        self.now.0.div_euclid(24 * 60 * 60 * 1000)
    }

    /// A page as the query index knows it: behind while its last change has not been indexed yet.
    pub(super) fn indexed(&self, id: Uuid) -> Option<&Page> {
        match self.lagging.get(&id).and_then(|versions| versions.first()) {
            Some((_, before)) => before.as_ref(),
            None => self.pages.get(&id),
        }
    }

    /// Begins to keep rows by this property's value, if that was not asked before.
    fn look_up_by(&mut self, data_source: Uuid, property: &PropertyId) {
        let Some(home) = self.data_sources.get_mut(&data_source) else {
            return;
        };
        if home.rows.by_value.contains_key(property) {
            return;
        }
        let mut index = std::collections::BTreeMap::<String, BTreeSet<Place>>::new();
        for place in &home.rows.by_creation {
            if let Some(key) = self
                .pages
                .get(&place.2)
                .and_then(|page| page.values.get(property)?.lookup_key())
            {
                index.entry(key).or_default().insert(*place);
            }
        }
        home.rows.by_value.insert(property.clone(), index);
    }
}

#[derive(Clone, Copy)]
struct TimeOrder {
    edited: bool,
    descending: bool,
}

struct Query<'a> {
    caller: Caller,
    home: &'a DataSource,
    filter: Option<&'a Filter>,
    sorts: &'a [Sort],
    archived: bool,
    list: u32,
    start: Option<Cursor>,
    size: usize,
}

impl Query<'_> {
    fn takes(&self, workspace: &Workspace, page: &Page) -> bool {
        page.is_archived == self.archived
            && self
                .filter
                .is_none_or(|filter| workspace.passes(self.caller, self.home, page, filter))
    }

    /// The order of an index, where the rows can be read in it without sorting.
    fn natural_order(&self, workspace: &Workspace) -> Option<TimeOrder> {
        let looked_up = self.filter.and_then(Filter::equality).is_some();
        if !workspace.lagging.is_empty() || looked_up {
            return None;
        }
        match self.sorts {
            [] => Some(TimeOrder {
                edited: false,
                descending: false,
            }),
            [
                Sort {
                    by: Key::Created,
                    descending,
                },
            ] => Some(TimeOrder {
                edited: false,
                descending: *descending,
            }),
            [
                Sort {
                    by: Key::Edited,
                    descending,
                },
            ] => Some(TimeOrder {
                edited: true,
                descending: *descending,
            }),
            _ => None,
        }
    }

    fn in_order(&self, workspace: &Workspace, order: TimeOrder) -> Found {
        let rows: &Rows = &self.home.rows;
        let index = if order.edited {
            &rows.by_edit
        } else {
            &rows.by_creation
        };
        let at = self
            .start
            .map(|cursor| (Moment(i64::from(cursor.at.0) * 60_000), cursor.at.1));
        if order.descending {
            let end = at.map_or((Moment(i64::MAX), u32::MAX, Uuid::max()), |(time, sequence)| {
                (time, sequence, Uuid::max())
            });
            self.walk(workspace, index.range(..=end).rev())
        } else {
            let earliest = self.filter.and_then(|filter| filter.earliest(order.edited));
            let begin = at
                .or(earliest.map(|time| (time, 0)))
                .unwrap_or((Moment(i64::MIN), 0));
            self.walk(workspace, index.range((begin.0, begin.1, Uuid::nil())..))
        }
    }

    fn walk<'p>(&self, workspace: &Workspace, places: impl Iterator<Item = &'p Place>) -> Found {
        let given = self.start.map_or(0, |cursor| cursor.given as usize);
        let left = workspace.limits.query_results.saturating_sub(given);
        let mut found = Found {
            pages: Vec::new(),
            next: None,
            incomplete: false,
        };
        for (time, sequence, id) in places {
            if !workspace
                .pages
                .get(id)
                .is_some_and(|page| self.takes(workspace, page))
            {
                continue;
            }
            if found.pages.len() == left {
                found.incomplete = true;
                break;
            }
            if found.pages.len() == self.size {
                let at = ((time.0 / 60_000) as u32, *sequence);
                found.next = Some(Cursor {
                    list: self.list,
                    given: (given + self.size) as u32,
                    at,
                });
                break;
            }
            found.pages.push(*id);
        }
        found
    }

    /// The rows that pass, in no order.
    fn rows<'w>(&self, workspace: &'w Workspace) -> Vec<&'w Page> {
        let mut ids = self.candidates();
        if !workspace.lagging.is_empty() {
            // What the indexes say of these is newer than what a query may know.
            ids.extend(workspace.lagging.keys());
            ids.sort_unstable();
            ids.dedup();
        }
        ids.into_iter()
            .filter_map(|id| workspace.indexed(id))
            .filter(|page| self.is_live_row(page))
            .filter(|page| self.takes(workspace, page))
            .collect()
    }

    /// The rows that pass, in the order asked for, then as they were made.
    fn sorted(&self, workspace: &Workspace) -> Vec<Row> {
        let rows = self.rows(workspace).into_iter();
        let mut rows: Vec<Row> = rows.map(|page| self.row(workspace, page)).collect();
        rows.sort_unstable_by(|one, other| self.compare(one, other));
        rows
    }

    fn row(&self, workspace: &Workspace, page: &Page) -> Row {
        let keys = self.sorts.iter().map(|sort| self.key(workspace, page, &sort.by));
        (keys.collect(), page.place())
    }

    fn compare(&self, (one, one_place): &Row, (other, other_place): &Row) -> Ordering {
        let mut orders = self.sorts.iter().zip(one.iter().zip(other));
        orders
            .find_map(|(sort, (one, other))| {
                let order = match (one, other) {
                    (Some(one), Some(other)) => {
                        let order = one.partial_cmp(other).unwrap_or(Ordering::Equal);
                        if sort.descending { order.reverse() } else { order }
                    }
                    (one, other) => one.is_none().cmp(&other.is_none()),
                };
                order.is_ne().then_some(order)
            })
            .unwrap_or_else(|| one_place.cmp(other_place))
    }

    /// Whether a row's place, and whether it passes, depends on nothing but the row.
    fn knows_its_own(&self) -> bool {
        self.filter.is_none()
            && self.sorts.iter().all(|sort| match &sort.by {
                Key::Created | Key::Edited => true,
                Key::Property(id) => self.home.by_id(id).is_some_and(|property| {
                    !matches!(property.config, Config::Formula(_) | Config::Rollup { .. })
                }),
            })
    }

    /// An order kept from the batch before, with the pages that changed since in their present places.
    fn brought_up_to_date(&self, workspace: &Workspace, kept: KeptOrder) -> Vec<Row> {
        let mut rows = kept.rows;
        let changed = kept.changed.unwrap_or_default();
        if changed.is_empty() {
            return rows;
        }
        rows.retain(|(_, place)| !changed.contains(&place.2));
        let pages = changed.iter().filter_map(|id| workspace.pages.get(id));
        for page in pages.filter(|page| self.is_live_row(page) && self.takes(workspace, page)) {
            let row = self.row(workspace, page);
            let at = rows.partition_point(|other| self.compare(other, &row).is_lt());
            rows.insert(at, row);
        }
        rows
    }

    fn is_live_row(&self, page: &Page) -> bool {
        page.parent == Parent::DataSource(self.home.id) && !page.in_trash
    }

    /// One batch of rows in order; positions are counted, so rows that move meanwhile repeat or skip.
    fn cut(&self, workspace: &Workspace, rows: &[Row]) -> Found {
        let start = self
            .start
            .map_or(0, |cursor| cursor.given as usize)
            .min(rows.len());
        let cap = workspace.limits.query_results;
        let end = (start + self.size).min(rows.len()).min(cap.max(start));
        let more = end < rows.len();
        let cursor = Cursor {
            list: self.list,
            given: end as u32,
            at: (end as u32, 0),
        };
        Found {
            pages: rows[start..end].iter().map(|(_, place)| place.2).collect(),
            next: (more && end < cap).then_some(cursor),
            incomplete: more && end >= cap,
        }
    }

    fn candidates(&self) -> Vec<Uuid> {
        let looked_up = self
            .filter
            .and_then(Filter::equality)
            // An empty text is no value, and no index entry.
            .filter(|(_, key)| !key.is_empty())
            .and_then(|(property, key)| Some((self.home.rows.by_value.get(property)?, key)));
        match looked_up {
            Some((index, key)) => index
                .get(&key)
                .into_iter()
                .flatten()
                .map(|place| place.2)
                .collect(),
            None => self.home.rows.by_creation.iter().map(|place| place.2).collect(),
        }
    }

    fn key(&self, workspace: &Workspace, page: &Page, by: &Key) -> Option<SortKey> {
        match by {
            Key::Created => Some(SortKey::Number(page.stamps.created.0 as f64)),
            Key::Edited => Some(SortKey::Number(page.stamps.edited.0 as f64)),
            Key::Property(id) => self.sort_key(workspace, page, id),
        }
    }

    fn sort_key(&self, workspace: &Workspace, page: &Page, id: &PropertyId) -> Option<SortKey> {
        let property = self.home.by_id(id)?;
        let position = |option: Uuid| {
            property
                .config
                .choices()
                .iter()
                .position(|choice| choice.id == option)
        };
        Some(match (&property.config, page.values.get(id)) {
            (Config::CreatedTime, _) => SortKey::Number(page.stamps.created.0 as f64),
            (Config::EditedTime, _) => SortKey::Number(page.stamps.edited.0 as f64),
            (Config::UniqueId { .. }, _) => SortKey::Number(f64::from(page.number)),
            (Config::Checkbox, value) => SortKey::Number(f64::from(u8::from(value.is_some()))),
            (Config::Formula(_), _) => match workspace.scalar(self.caller, self.home, page, &property.name) {
                super::formula::Scalar::Number(number) => SortKey::Number(number),
                super::formula::Scalar::Text(text) => SortKey::Text(text),
                super::formula::Scalar::Boolean(flag) => SortKey::Number(f64::from(u8::from(flag))),
                super::formula::Scalar::Empty => return None,
            },
            (_, None) => return None,
            (_, Some(value)) => match value {
                Value::Number(number) => SortKey::Number(number.as_f64()?),
                // Options sort in the order of the property's list.
                Value::Choice(option) => SortKey::Number(position(*option)? as f64),
                Value::Choices(options) => SortKey::Number(position(*options.first()?)? as f64),
                Value::Date(_) => SortKey::Number(dates_of(Some(value))?.start.begins().0 as f64),
                Value::Text(_) | Value::Line(_) => SortKey::Text(value.text()),
                _ => return None,
            },
        })
    }
}

fn parse_sorts(body: &Body<'_>, home: &DataSource) -> Answered<Vec<Sort>> {
    let mut sorts = Vec::new();
    for item in body.elements()? {
        let descending = item.need("direction")?.word(&["ascending", "descending"])? == "descending";
        let by = if let Some(timestamp) = item.get("timestamp") {
            item.only(&["timestamp", "direction"])?;
            if timestamp.word(&["created_time", "last_edited_time"])? == "created_time" {
                Key::Created
            } else {
                Key::Edited
            }
        } else {
            item.only(&["property", "direction"])?;
            let name = item.need("property")?.text(super::schema::MAX_NAME)?;
            let property = home.property(name);
            let property = property.ok_or_else(|| {
                Refusal::validation(format!("Could not find sort property with name or id: {name}"))
            })?;
            Key::Property(property.id.clone())
        };
        sorts.push(Sort { by, descending });
    }
    Ok(sorts)
}

/// Checks sorts that are kept for later.
pub(super) fn check_sorts(body: &Body<'_>, home: &DataSource) -> Answered<()> {
    parse_sorts(body, home).map(|_| ())
}
