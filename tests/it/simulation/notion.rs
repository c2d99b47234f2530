//! Notion as the engine's port sees it: late, stale, cut short, and sometimes silent about what it did.

use std::io;
use std::sync::Arc;

use frames_sync::ports::{
    BoxFuture, Page, PageBatch, PageParent, PageQuery, PageWrite, Pages, PagesError, Priority, PropertyRead,
};
use frames_sync::report::NotionUsage;
use frames_sync::value::{PageId, PropertyId, UserId, Value};

use super::executor::Delay;
use super::mutants::Mutant;
use super::schema::{DONE, KIND};
use super::steps::Step;
use super::tape::{FaultKind, Millis};
use super::world::{BOT, FIELDS, LateWrite, NEIGHBOUR, RELATION, World, profile, property, tenant};

/// How many pages one answer holds: few, so that listings have several parts.
const IN_AN_ANSWER: usize = 3;

/// How many references a page shows: Notion's 25, scaled down.
const SHOWN_REFERENCES: usize = 1;

/// One runner's connection to Notion.
pub(crate) struct Connection {
    pub(crate) world: Arc<World>,
    pub(crate) runner: usize,
}

fn unknown() -> PagesError {
    PagesError::Unknown {
        source: Box::new(io::Error::other("no answer")),
    }
}

/// What becomes of a process at an effect.
enum Fate {
    GoesOn,
    Sleeps,
    Dies,
}

impl World {
    /// Where a runner may be killed or put to sleep: before an effect, and after it.
    pub(crate) async fn effect(&self, runner: usize, after: bool, step: Option<Step>) {
        match self.fate(runner, after, step) {
            Fate::GoesOn => {}
            // Its own events come while it sleeps, and are found when it wakes.
            Fate::Sleeps => Delay::new(&self.timeline, runner, 1).await,
            Fate::Dies => std::future::pending::<()>().await,
        }
    }

    fn fate(&self, runner: usize, after: bool, step: Option<Step>) -> Fate {
        let mut fate = Fate::GoesOn;
        if !after {
            // One kill after the other: the next one strikes the next process.
            let condemned = self.lock().runners.iter().any(|runner| runner.kill.is_some());
            let kill = self.fault(|kind| !condemned && matches!(kind, FaultKind::Kill { .. }));
            let pause = self.fault(|kind| matches!(kind, FaultKind::Pause { .. }));
            let mut state = self.lock();
            let me = &mut state.runners[runner];
            me.effects += 1;
            if let Some(FaultKind::Kill { skip, after }) = kill {
                me.kill = Some((skip, after));
            }
            if let Some(FaultKind::Pause { by }) = pause {
                me.paused_until = self.now() + by;
                self.timeline
                    .at(self.now() + by, super::executor::Event::Resume(runner));
                fate = Fate::Sleeps;
            }
        }
        let mut state = self.lock();
        let me = &mut state.runners[runner];
        match me.kill {
            Some((0, when)) if when == after => {
                me.killed = true;
                if let Some(step) = step {
                    state.met(&step.killed(after));
                }
                drop(state);
                self.trace(|| format!("  runner {runner} is killed"), 9);
                fate = Fate::Dies;
            }
            Some((skip, when)) if when == after => me.kill = Some((skip - 1, when)),
            _ => {}
        }
        fate
    }
}

impl Connection {
    async fn travel(&self, step: Option<Step>) {
        self.world.effect(self.runner, false, step).await;
        let slow = self.world.fault(|kind| matches!(kind, FaultKind::Slow { .. }));
        let by = match slow {
            Some(FaultKind::Slow { by }) => by,
            _ => self.latency(),
        };
        self.world.lock().requests += 1;
        Delay::new(&self.world.timeline, self.runner, by).await;
    }

    fn latency(&self) -> Millis {
        let most = u64::from(self.world.tape.setting.latency);
        Millis::try_from(20 + self.world.chance(21, most)).unwrap_or(100)
    }

    async fn back(&self, step: Option<Step>) {
        self.world.effect(self.runner, true, step).await;
        Delay::new(&self.world.timeline, self.runner, self.latency() / 4).await;
    }

    fn unavailable(&self) -> Option<PagesError> {
        if let Some(FaultKind::AccessLost { by }) = self
            .world
            .fault(|kind| matches!(kind, FaultKind::AccessLost { .. }))
        {
            self.world.lock().lost_until = self.world.now() + by;
        }
        if self.world.now() < self.world.lock().lost_until {
            return Some(PagesError::Inaccessible);
        }
        self.world.fault(|kind| *kind == FaultKind::Unavailable)?;
        Some(PagesError::Unavailable {
            after: None,
            source: Box::new(io::Error::other("503")),
        })
    }

    /// I9: only what is mapped, and the engine's own, is ever sent.
    fn watch(&self, write: &PageWrite) {
        let mut state = self.world.lock();
        state.notion_writes += 1;
        if state.quarantined[profile(self.runner)] {
            state
                .violations
                .push("6.10: a page was written before anybody approved the restored database".to_owned());
        }
        for (id, value) in &write.properties {
            let name = id.as_str();
            if state.is_foreign(tenant(self.runner), &super::world::text(value)) {
                state
                    .violations
                    .push(format!("I7: {name} was sent to a tenant whose value it is not"));
            }
            let ours = ["postgres_id", "last_synced", "sync_status"].contains(&name);
            if !ours && !FIELDS.contains(&name) && ![RELATION, KIND, DONE].contains(&name) {
                state.violations.push(format!("I9: `{name}` was written"));
            }
            if name == "hint" {
                state
                    .violations
                    .push("I9: a property that only goes to Postgres was written".to_owned());
            }
            if name == "name" && value.is_empty() {
                state.violations.push("I11: a name was emptied".to_owned());
            }
            let is_early = self.world.tape.setting.late_field && state.field_added.is_none();
            if name == "size" && is_early && self.runner != NEIGHBOUR {
                state
                    .violations
                    .push("I9: a field was written before the mapping named it".to_owned());
            }
        }
    }

    async fn written(
        &self,
        entity: &str,
        page: Option<&PageId>,
        write: &PageWrite,
    ) -> Result<Page, PagesError> {
        let world = &self.world;
        self.watch(write);
        let step = self.step(page, write);
        let label = write
            .properties
            .iter()
            .find(|(id, _)| id.as_str() == "postgres_id");
        let created = (page.is_none())
            .then_some(label)
            .flatten()
            .map(|(_, label)| (entity.to_owned(), super::world::text(label)));
        if let Some(created) = &created {
            self.check_create(created);
        }
        let answer = self.sent(entity, page, write, step).await;
        if let (Some(created), false) = (created, matches!(answer, Err(PagesError::Unknown { .. }))) {
            world.lock().creating.remove(&created);
        }
        answer
    }

    /// 5.3: a create whose outcome is unknown is not sent again as long as it may still arrive, or be missing from the index;
    /// how long that is, the database's clock says.
    fn check_create(&self, created: &(String, String)) {
        let now = self.world.database_time();
        let mut state = self.world.lock();
        state.wait_for_creates(now);
        if state.creating.insert(created.clone(), now).is_some() {
            let what = format!(
                "5.3: a page of {} was created again while the first may come",
                created.1
            );
            state.violations.push(what);
        }
    }

    async fn sent(
        &self,
        entity: &str,
        page: Option<&PageId>,
        write: &PageWrite,
        step: Step,
    ) -> Result<Page, PagesError> {
        let world = &self.world;
        let sent = world.now();
        self.travel(Some(step)).await;
        world.trace(
            || {
                let sent: Vec<String> = write
                    .properties
                    .iter()
                    .map(|(id, value)| format!("{id}={}", super::world::text(value)))
                    .collect();
                format!(
                    "runner {} writes {page:?} {:?} {}",
                    self.runner,
                    write.in_trash,
                    sent.join(" ")
                )
            },
            3,
        );
        if let Some(error) = self.unavailable() {
            world.struck(step, FaultKind::Unavailable);
            return Err(error);
        }
        if page.is_some() && world.fault(|kind| *kind == FaultKind::Busy).is_some() {
            world.struck(step, FaultKind::Busy);
            return Err(PagesError::Conflict);
        }
        let snapshot = page.map_or(world.now(), |page| {
            let state = world.lock();
            let read = state.runners[self.runner].read_at.get(page);
            read.copied().unwrap_or(world.now())
        });
        self.check_window(page, write, snapshot);
        let lost = world.fault(|kind| {
            matches!(
                kind,
                FaultKind::WriteLost | FaultKind::AnswerLost | FaultKind::WriteLate { .. }
            )
        });
        if let Some(lost) = lost {
            world.struck(step, lost);
        }
        if lost.is_some()
            && let Some(page) = page
        {
            world.lock().ambiguous.insert(page.clone());
        }
        match lost {
            Some(FaultKind::WriteLost) => {
                world.lock().lose(page, write);
                self.back(None).await;
                return Err(unknown());
            }
            Some(FaultKind::WriteLate { by }) => {
                let late = LateWrite {
                    entity: entity.to_owned(),
                    page: page.cloned(),
                    write: write.clone(),
                    snapshot,
                    sent,
                };
                world.postpone(late, by);
                self.back(None).await;
                return Err(unknown());
            }
            _ => {}
        }
        let answer = self.apply(entity, page, write, snapshot, sent)?;
        self.back(Some(step)).await;
        if lost.is_some() {
            Err(unknown())
        } else {
            Ok(answer)
        }
    }

    fn step(&self, page: Option<&PageId>, write: &PageWrite) -> Step {
        let state = self.world.lock();
        let known = page.and_then(|page| state.pages.get(page));
        let by_a_person = known.is_some_and(|page| page.now().page.created_by.as_str() != BOT);
        let labelled = write
            .properties
            .iter()
            .any(|(id, _)| id.as_str() == "postgres_id");
        Step::of_write(page, write, by_a_person && labelled)
    }

    /// 5.1: between the direct read of a page and the write made from it lies no other work.
    fn check_window(&self, page: Option<&PageId>, write: &PageWrite, snapshot: Millis) {
        let window = self.world.now() - snapshot;
        let sleeps = self.world.tape.faults.iter().any(|fault| {
            matches!(
                fault.kind,
                FaultKind::Pause { .. } | FaultKind::Slow { .. } | FaultKind::ReadStale { .. }
            )
        });
        let mut state = self.world.lock();
        if let (Some(page), true, false) = (page, is_data(write), sleeps) {
            state.longest_window = state.longest_window.max(window);
            if window > 30_000 {
                state
                    .violations
                    .push(format!("5.1: {page} was written {window} ms after it was read"));
            }
        }
    }

    fn apply(
        &self,
        entity: &str,
        page: Option<&PageId>,
        write: &PageWrite,
        snapshot: Millis,
        sent: Millis,
    ) -> Result<Page, PagesError> {
        let mut state = self.world.lock();
        let counts = u64::from(page.is_none() || is_data(write));
        let id = match page {
            Some(id) => {
                let page = state.pages.get(id).ok_or(PagesError::Inaccessible)?;
                let version = page.now();
                if version.hidden || page.entity != entity {
                    return Err(PagesError::Inaccessible);
                }
                if version.page.in_trash && write.in_trash.is_none() {
                    return Err(PagesError::Refused {
                        code: "validation_error".to_owned(),
                        message: "Can't edit block that is archived.".to_owned(),
                    });
                }
                self.world.apply(&mut state, id, write, snapshot, sent);
                id.clone()
            }
            None => self.world.create(&mut state, entity, write),
        };
        state.data_writes += counts;
        Ok(self.cut(state.shown(&state.pages[&id].now().page)))
    }

    /// One answer's part of what a query finds, from that place on, and how many pages it finds in all.
    fn listing(&self, entity: &str, query: &PageQuery, start: usize) -> (Vec<Page>, usize) {
        let now = self.world.now();
        let state = self.world.lock();
        let mut pages: Vec<&Page> = state
            .pages
            .values()
            .filter(|page| page.entity == entity)
            .filter_map(|page| page.listed(now))
            .filter(|version| {
                !version.hidden && !version.page.in_trash && version.page.parent == PageParent::Entity
            })
            .map(|version| &version.page)
            .filter(|page| match query {
                PageQuery::All => true,
                PageQuery::EditedSince(since) if self.world.is(Mutant::HighWaterMinute) => {
                    page.last_edited_time > *since + time::Duration::minutes(2)
                }
                PageQuery::EditedSince(since) => page.last_edited_time >= *since,
                PageQuery::WithPostgresId(id) => property(page, "postgres_id") == *id,
            })
            .collect();
        pages.sort_by(|a, b| (a.created_time, &a.id).cmp(&(b.created_time, &b.id)));
        let part = pages.iter().skip(start).take(IN_AN_ANSWER);
        (
            part.map(|page| self.cut(state.shown(page))).collect(),
            pages.len(),
        )
    }

    /// Of several references an answer shows the first.
    fn cut(&self, mut page: Page) -> Page {
        let relation = page.properties.get_mut(&PropertyId::from(RELATION));
        if let (Some(read), true) = (relation, self.world.tape.setting.many_targets)
            && let PropertyRead::Whole(Value::Pages(targets)) = read
            && targets.len() > SHOWN_REFERENCES
        {
            *read = if self.world.is(Mutant::TruncatedIsWhole) {
                PropertyRead::Whole(Value::Pages(
                    targets.iter().take(SHOWN_REFERENCES).cloned().collect(),
                ))
            } else {
                PropertyRead::Truncated
            };
        }
        page
    }
}

impl Pages for Connection {
    fn query<'a>(
        &'a self,
        entity: &'a str,
        query: &'a PageQuery,
        after: Option<&'a str>,
        priority: Priority,
    ) -> BoxFuture<'a, Result<PageBatch, PagesError>> {
        Box::pin(async move {
            self.travel(None).await;
            if let Some(error) = self.unavailable() {
                return Err(error);
            }
            let asks_again = priority == Priority::Create && matches!(query, PageQuery::WithPostgresId(_));
            if asks_again && self.world.is(Mutant::IncompleteIsComplete) {
                return Ok(PageBatch {
                    pages: Vec::new(),
                    next: None,
                    complete: true,
                });
            }
            let start: usize = after.and_then(|after| after.parse().ok()).unwrap_or(0);
            let (pages, all) = self.listing(entity, query, start);
            let end = start + pages.len();
            let cut = world_cut(self);
            self.world.trace(
                || {
                    format!(
                        "runner {} lists {entity} from {start}: {} of {}",
                        self.runner,
                        pages.len(),
                        all
                    )
                },
                1 + pages.len() as u64 * 16,
            );
            self.back(None).await;
            Ok(PageBatch {
                pages,
                next: (end < all && !cut && !self.world.is(Mutant::HasMoreIgnored)).then(|| end.to_string()),
                complete: !cut || self.world.is(Mutant::IncompleteIsComplete),
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
            self.travel(None).await;
            if let Some(error) = self.unavailable() {
                return Err(error);
            }
            if self.world.fault(|kind| *kind == FaultKind::ReadDenied).is_some() {
                return Err(PagesError::Inaccessible);
            }
            let stale = match self
                .world
                .fault(|kind| matches!(kind, FaultKind::ReadStale { .. }))
            {
                Some(FaultKind::ReadStale { by }) => by,
                _ => 0,
            };
            let partial = self.world.fault(|kind| *kind == FaultKind::ReadPartial).is_some();
            let shows = self.world.now() - stale;
            let mut read = {
                let mut state = self.world.lock();
                let known = state.pages.get(page).filter(|known| known.entity == entity);
                let known = known.ok_or(PagesError::Inaccessible)?;
                let version = if self.world.is(Mutant::NoDirectRead) {
                    known.listed(self.world.now()).unwrap_or(known.now())
                } else {
                    known.at(shows).unwrap_or(known.now())
                };
                let (hidden, mut answer) = (version.hidden, state.shown(&version.page));
                if hidden {
                    if !self.world.is(Mutant::NotFoundIsDeleted) {
                        return Err(PagesError::Inaccessible);
                    }
                    answer.in_trash = true;
                }
                state.runners[self.runner].read_at.insert(page.clone(), shows);
                answer
            };
            if partial {
                read.properties.remove(&PropertyId::from("note"));
                if self.world.is(Mutant::MissingIsEmpty) {
                    read.properties
                        .insert(PropertyId::from("note"), PropertyRead::Whole(Value::rich("")));
                }
            }
            if self.world.is(Mutant::TargetsAlwaysThere) && entity == super::world::PROJECTS {
                read.in_trash = false;
            }
            self.world.trace(
                || {
                    let shown: Vec<String> = FIELDS.iter().map(|field| property(&read, field)).collect();
                    format!(
                        "runner {} reads {page} ({stale} behind): {}",
                        self.runner,
                        shown.join(" ")
                    )
                },
                2,
            );
            self.back(None).await;
            Ok(self.cut(read))
        })
    }

    fn whole_property<'a>(
        &'a self,
        _entity: &'a str,
        page: &'a PageId,
        property: &'a PropertyId,
        _priority: Priority,
    ) -> BoxFuture<'a, Result<Value, PagesError>> {
        Box::pin(async move {
            self.travel(None).await;
            if let Some(error) = self.unavailable() {
                return Err(error);
            }
            let state = self.world.lock();
            let read = state.pages.get(page).map(|page| state.shown(&page.now().page));
            match read.and_then(|mut page| page.properties.remove(property)) {
                Some(PropertyRead::Whole(value)) => Ok(value),
                _ => Err(PagesError::Inaccessible),
            }
        })
    }

    fn create<'a>(
        &'a self,
        entity: &'a str,
        write: &'a PageWrite,
        _priority: Priority,
    ) -> BoxFuture<'a, Result<Page, PagesError>> {
        Box::pin(async move {
            let mut answer = self.written(entity, None, write).await;
            if self.world.is(Mutant::CreateRepeated) && matches!(answer, Err(PagesError::Unknown { .. })) {
                answer = self.written(entity, None, write).await;
            }
            answer
        })
    }

    fn update<'a>(
        &'a self,
        entity: &'a str,
        page: &'a PageId,
        write: &'a PageWrite,
        _priority: Priority,
    ) -> BoxFuture<'a, Result<Page, PagesError>> {
        Box::pin(async move { self.written(entity, Some(page), write).await })
    }

    fn bot(&self) -> UserId {
        UserId::from(BOT)
    }

    fn usage(&self) -> NotionUsage {
        NotionUsage::default()
    }
}

/// Whether a write changes more than the engine's own properties.
fn is_data(write: &PageWrite) -> bool {
    let mapped =
        |id: &PropertyId| FIELDS.contains(&id.as_str()) || [RELATION, KIND, DONE].contains(&id.as_str());
    write.in_trash.is_some() || write.properties.iter().any(|(id, _)| mapped(id))
}

fn world_cut(connection: &Connection) -> bool {
    connection
        .world
        .fault(|kind| *kind == FaultKind::ListingCut)
        .is_some()
}
