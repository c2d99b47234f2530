//! Pages in memory: one workspace, minute-floored times, a request log, and faults on demand.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use frames_sync::ports::{
    BoxFuture, Clock, Page, PageBatch, PageParent, PageQuery, PageWrite, Pages, PagesError, Priority,
    PropertyRead,
};
use frames_sync::report::NotionUsage;
use frames_sync::value::{Choice, PageId, PropertyId, UserId, Value, plain_text};
use time::OffsetDateTime;

/// What happens to the next write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is applied, and its answer is lost.
    AnswerLost,
    /// It is lost on the way, and so is its answer.
    RequestLost,
}

#[derive(Default)]
struct State {
    pages: BTreeMap<PageId, (String, Page)>,
    properties: BTreeMap<String, Vec<(PropertyId, Value)>>,
    next: u32,
    requests: Vec<String>,
    sent: Vec<PageWrite>,
    faults: Vec<Fault>,
    hidden: Vec<PageId>,
}

pub(crate) struct MemoryPages {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

pub(crate) const BOT: &str = "bot";
pub(crate) const PERSON: &str = "person";

impl MemoryPages {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            state: Mutex::default(),
        }
    }

    /// Declares an entity's properties with their empty values.
    pub(crate) fn data_source(&self, entity: &str, properties: Vec<(PropertyId, Value)>) {
        self.state
            .lock()
            .unwrap()
            .properties
            .insert(entity.to_owned(), properties);
    }

    fn minute(&self) -> OffsetDateTime {
        let now = self.clock.now();
        now.replace_second(0).unwrap().replace_nanosecond(0).unwrap()
    }

    /// A person edits a property.
    pub(crate) fn edit(&self, page: &PageId, property: &str, value: Value) {
        let minute = self.minute();
        let mut state = self.state.lock().unwrap();
        let (_, page) = state.pages.get_mut(page).unwrap();
        page.properties
            .insert(PropertyId::from(property), PropertyRead::Whole(value));
        page.last_edited_time = minute;
        page.last_edited_by = UserId::from(PERSON);
    }

    /// A person changes the page itself.
    pub(crate) fn change(&self, page: &PageId, change: impl FnOnce(&mut Page)) {
        let minute = self.minute();
        let mut state = self.state.lock().unwrap();
        let (_, page) = state.pages.get_mut(page).unwrap();
        change(page);
        page.last_edited_time = minute;
        page.last_edited_by = UserId::from(PERSON);
    }

    /// A person makes a page.
    pub(crate) fn make(&self, entity: &str, values: &[(&str, Value)]) -> PageId {
        let write = PageWrite {
            properties: values
                .iter()
                .map(|(id, value)| (PropertyId::from(*id), value.clone()))
                .collect(),
            in_trash: None,
        };
        self.insert(entity, &write, PERSON).id
    }

    /// Takes the page out of sight of the connection.
    pub(crate) fn hide(&self, page: &PageId) {
        self.state.lock().unwrap().hidden.push(page.clone());
    }

    pub(crate) fn fail_next_write(&self, fault: Fault) {
        self.state.lock().unwrap().faults.push(fault);
    }

    pub(crate) fn page(&self, page: &PageId) -> Page {
        self.state.lock().unwrap().pages[page].1.clone()
    }

    pub(crate) fn live(&self, entity: &str) -> Vec<Page> {
        let state = self.state.lock().unwrap();
        state
            .pages
            .values()
            .filter(|(of, page)| of == entity && !page.in_trash && page.parent == PageParent::Entity)
            .map(|(_, page)| page.clone())
            .collect()
    }

    /// The requests since the last call, as `verb entity`.
    pub(crate) fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }

    /// What writes sent since the last call.
    pub(crate) fn take_sent(&self) -> Vec<PageWrite> {
        std::mem::take(&mut self.state.lock().unwrap().sent)
    }

    fn insert(&self, entity: &str, write: &PageWrite, by: &str) -> Page {
        let minute = self.minute();
        let mut state = self.state.lock().unwrap();
        state.next += 1;
        let mut properties: BTreeMap<PropertyId, PropertyRead> = state.properties[entity]
            .iter()
            .map(|(id, value)| (id.clone(), PropertyRead::Whole(value.clone())))
            .collect();
        properties.extend(
            write
                .properties
                .iter()
                .map(|(id, value)| (id.clone(), PropertyRead::Whole(stored(value)))),
        );
        let page = Page {
            id: PageId(format!("page-{:04}", state.next)),
            parent: PageParent::Entity,
            in_trash: false,
            created_time: minute,
            last_edited_time: minute,
            created_by: UserId::from(by),
            last_edited_by: UserId::from(by),
            properties: properties.into(),
        };
        state
            .pages
            .insert(page.id.clone(), (entity.to_owned(), page.clone()));
        page
    }

    fn log(&self, verb: &str, entity: &str) {
        self.state
            .lock()
            .unwrap()
            .requests
            .push(format!("{verb} {entity}"));
    }

    fn fault(&self) -> Option<Fault> {
        let mut state = self.state.lock().unwrap();
        (!state.faults.is_empty()).then(|| state.faults.remove(0))
    }
}

/// An option is given an id by Notion.
fn stored(value: &Value) -> Value {
    match value {
        Value::Choice(choice) => Value::Choice(Choice {
            name: choice.name.clone(),
            id: Some(format!("id-{}", choice.name)),
        }),
        other => other.clone(),
    }
}

fn unknown() -> PagesError {
    PagesError::Unknown {
        source: Box::new(io::Error::other("the answer was lost")),
    }
}

pub(crate) fn text_of(page: &Page, property: &str) -> String {
    match &page.properties[&PropertyId::from(property)] {
        PropertyRead::Whole(Value::RichText(runs)) => plain_text(runs),
        PropertyRead::Whole(Value::Choice(choice)) => choice.name.clone(),
        PropertyRead::Whole(value) => value.to_json().to_string(),
        other => panic!("{property} is {other:?}"),
    }
}

impl Pages for MemoryPages {
    fn query<'a>(
        &'a self,
        entity: &'a str,
        query: &'a PageQuery,
        after: Option<&'a str>,
        _priority: Priority,
    ) -> BoxFuture<'a, Result<PageBatch, PagesError>> {
        Box::pin(async move {
            self.log("query", entity);
            let start: usize = after.map_or(0, |after| after.parse().unwrap());
            let hidden = self.state.lock().unwrap().hidden.clone();
            let all: Vec<Page> = self
                .live(entity)
                .into_iter()
                .filter(|page| !hidden.contains(&page.id))
                .filter(|page| match query {
                    PageQuery::All => true,
                    PageQuery::EditedSince(since) => page.last_edited_time >= *since,
                    PageQuery::WithPostgresId(id) => text_of(page, "postgres_id") == *id,
                })
                .collect();
            let pages: Vec<Page> = all.iter().skip(start).take(100).cloned().collect();
            let end = start + pages.len();
            Ok(PageBatch {
                pages,
                next: (end < all.len()).then(|| end.to_string()),
                complete: true,
            })
        })
    }

    fn read<'a>(
        &'a self,
        entity: &'a str,
        page: &'a PageId,
        _priority: Priority,
    ) -> BoxFuture<'a, Result<Page, PagesError>> {
        Box::pin(async move {
            self.log("read", entity);
            let state = self.state.lock().unwrap();
            if state.hidden.contains(page) {
                return Err(PagesError::Inaccessible);
            }
            state
                .pages
                .get(page)
                .map(|(_, page)| page.clone())
                .ok_or(PagesError::Inaccessible)
        })
    }

    fn whole_property<'a>(
        &'a self,
        entity: &'a str,
        page: &'a PageId,
        property: &'a PropertyId,
        _priority: Priority,
    ) -> BoxFuture<'a, Result<Value, PagesError>> {
        Box::pin(async move {
            self.log("property", entity);
            let value = self.page(page).whole(property).cloned();
            value.ok_or(PagesError::Inaccessible)
        })
    }

    fn create<'a>(
        &'a self,
        entity: &'a str,
        write: &'a PageWrite,
        _priority: Priority,
    ) -> BoxFuture<'a, Result<Page, PagesError>> {
        Box::pin(async move {
            self.log("create", entity);
            match self.fault() {
                Some(Fault::RequestLost) => Err(unknown()),
                Some(Fault::AnswerLost) => {
                    self.insert(entity, write, BOT);
                    Err(unknown())
                }
                None => Ok(self.insert(entity, write, BOT)),
            }
        })
    }

    fn update<'a>(
        &'a self,
        entity: &'a str,
        page: &'a PageId,
        write: &'a PageWrite,
        _priority: Priority,
    ) -> BoxFuture<'a, Result<Page, PagesError>> {
        Box::pin(async move {
            self.log("update", entity);
            let fault = self.fault();
            if fault == Some(Fault::RequestLost) {
                return Err(unknown());
            }
            let minute = self.minute();
            let mut state = self.state.lock().unwrap();
            state.sent.push(write.clone());
            let (_, page) = state.pages.get_mut(page).ok_or(PagesError::Inaccessible)?;
            if page.in_trash && write.in_trash != Some(false) && write.in_trash != Some(true) {
                return Err(PagesError::Refused {
                    code: "validation_error".to_owned(),
                    message: "Can't edit block that is archived.".to_owned(),
                });
            }
            if let Some(in_trash) = write.in_trash {
                page.in_trash = in_trash;
            }
            for (id, value) in &write.properties {
                page.properties
                    .insert(id.clone(), PropertyRead::Whole(stored(value)));
            }
            page.last_edited_time = minute;
            page.last_edited_by = UserId::from(BOT);
            let answer = page.clone();
            if fault == Some(Fault::AnswerLost) {
                Err(unknown())
            } else {
                Ok(answer)
            }
        })
    }

    fn bot(&self) -> UserId {
        UserId::from(BOT)
    }

    fn usage(&self) -> NotionUsage {
        let state = self.state.lock().unwrap();
        NotionUsage {
            requests: state.requests.len() as u64,
            ..NotionUsage::default()
        }
    }
}
