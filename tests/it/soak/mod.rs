//! A soak: universities kept in step by the real runner for hours of virtual time, with people on both sides, faults on
//! the way, and a judgement at the end.
//!
//! Real are the runner with its schedule, wakes and leases, the engine, the client of Notion's API with its budget and
//! retries, the simulator's workspace, and the server with its routes. In memory are Postgres and the sync state. All of
//! it is one thread, on a clock that stands still while anybody works: a day takes as long as its work.
//!
//! A soak is not repeated to the byte: the runner's rests and the client's are drawn by chance. The seed is the
//! people's and the faults'.

mod clock;
mod judge;
mod line;
mod people;
mod postgres;
mod university;
mod web;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use frames_sync::engine::Request;
use frames_sync::ports::Store;
use frames_sync::report::{Command, ProfileReport};
use frames_sync::runner::{Handle, Opener, Stop, Worker};
use frames_sync::server::{self, Access, Memory, Served};
use frames_sync::simulator::{Applied, Effect, Fault, Simulator, Trigger, WebhookFaults, Workspace};
use frames_sync::value::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use judge::{Judge, Ledger};
use people::People;
use university::{Campus, University};
use web::{Desk, Web};

/// How long both sides are left alone before they are judged: every window and back-off ends in it.
const QUIET: Duration = Duration::from_hours(2);

/// How often what the audit log holds is taken down; it forgets after two hours.
const TAKE: Duration = Duration::from_mins(30);

/// How long it takes until webhooks are sent on.
const POST: Duration = Duration::from_secs(1);

/// What a soak is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// How many universities.
    pub(crate) universities: u64,
    /// How long people work.
    pub(crate) hours: u64,
    /// The people's and the faults' chance.
    pub(crate) seed: u64,
    /// Whether something is changed behind everybody's back before the judgement, which must be told then.
    pub(crate) canary: bool,
}

/// How things stand after an hour.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hour {
    /// Hours of virtual time.
    pub(crate) hour: u64,
    /// What the process holds, in KiB; `None` where the system does not tell.
    pub(crate) resident: Option<u64>,
    /// Audit entries, notes of the change log, and runs that are kept, of all universities.
    pub(crate) audit: usize,
    pub(crate) notes: usize,
    pub(crate) runs: usize,
    /// Requests to Notion so far.
    pub(crate) requests: u64,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// What does not hold.
    pub(crate) wrong: Vec<String>,
    /// How things stood, hour by hour.
    pub(crate) hours: Vec<Hour>,
    /// What people did, by kind.
    pub(crate) done: BTreeMap<&'static str, u64>,
    /// What the runner and the line to Notion did, by kind.
    pub(crate) counts: BTreeMap<String, u64>,
    /// Values that were followed, fields that were compared, and edits overwritten in the declared window.
    pub(crate) followed: u64,
    pub(crate) compared: u64,
    pub(crate) raced: u64,
}

/// Runs a soak to its end.
pub(crate) fn soak(setting: Setting) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(Soak::new(setting).play())
}

/// What goes wrong at Notion on any day.
fn trouble(simulator: &Simulator) {
    let faults = [
        (
            None,
            0.006,
            Effect::RateLimited {
                retry_after: 20,
                reason: "public_api_request_rate_limit".to_owned(),
            },
        ),
        (None, 0.003, Effect::Overloaded { retry_after: Some(5) }),
        (
            None,
            0.004,
            Effect::ServerError {
                status: 502,
                applied: Applied::No,
            },
        ),
        (
            Some(true),
            0.006,
            Effect::ServerError {
                status: 500,
                applied: Applied::Yes,
            },
        ),
        (Some(true), 0.004, Effect::Conflict),
        (Some(true), 0.004, Effect::Committed),
        (Some(true), 0.004, Effect::Dropped { applied: Applied::No }),
        (
            Some(true),
            0.004,
            Effect::Dropped {
                applied: Applied::Yes,
            },
        ),
        (Some(true), 0.003, Effect::AppliedLate { seconds: 110 }),
        (None, 0.003, Effect::Truncated),
        (None, 0.004, Effect::Slow { milliseconds: 9_000 }),
        (Some(false), 0.004, Effect::Shuffled),
    ];
    for (writes, probability, effect) in faults {
        simulator.fault(Fault {
            when: Trigger {
                writes,
                probability: Some(probability),
                ..Trigger::default()
            },
            effect,
            times: None,
        });
    }
}

/// Notion is away.
fn outage(simulator: &Simulator) {
    simulator.fault(Fault {
        when: Trigger::default(),
        effect: Effect::ServerError {
            status: 503,
            applied: Applied::No,
        },
        times: None,
    });
}

struct Soak {
    setting: Setting,
    universities: Arc<BTreeMap<String, Arc<University>>>,
}

/// Workers of one instance of the program.
struct Instance {
    handle: Handle,
    stop: Stop,
    openers: Vec<watch::Sender<Arc<dyn Opener>>>,
    workers: JoinSet<()>,
}

impl Soak {
    fn new(setting: Setting) -> Self {
        let names: Vec<String> = (1..=setting.universities)
            .map(|number| format!("u{number}"))
            .collect();
        let universities = (0..setting.universities).map(|number| {
            let university = University::new(number, &names, setting.seed);
            (university.name.clone(), Arc::new(university))
        });
        Self {
            setting,
            universities: Arc::new(universities.collect()),
        }
    }

    fn campus(&self, instance: &str) -> Arc<dyn Opener> {
        Arc::new(Campus {
            universities: Arc::clone(&self.universities),
            instance: instance.to_owned(),
        })
    }

    fn instance(&self, name: &str, profiles: &[String]) -> Instance {
        let (handle, inboxes) = Handle::new(profiles);
        let (stop, stopping) = Stop::new();
        let (mut openers, mut workers) = (Vec::new(), JoinSet::new());
        for (profile, inbox) in inboxes {
            let (sender, receiver) = watch::channel(self.campus(name));
            openers.push(sender);
            let worker = Worker::new(
                profile,
                inbox,
                handle.clone(),
                receiver,
                stopping.clone(),
                Arc::new(|_: &ProfileReport| {}),
            );
            workers.spawn(worker.work());
        }
        Instance {
            handle,
            stop,
            openers,
            workers,
        }
    }

    async fn play(self) -> Outcome {
        let mut outcome = Outcome::default();
        let mut all = Vec::new();
        for university in self.universities.values() {
            university.set_up().await;
        }
        let names: Vec<String> = self.universities.keys().cloned().collect();
        let one = self.instance("one", &names);
        // A quarter of the universities are kept by a second instance too.
        let shared = names.len().div_ceil(4);
        let two = self.instance("two", &names[..shared]);
        let web = self.serve(&one.handle);
        let mut helpers = JoinSet::new();
        let until = Duration::from_hours(self.setting.hours);
        for (number, university) in self.universities.values().enumerate() {
            let seed = self.setting.seed.wrapping_mul(31).wrapping_add(number as u64);
            let people = Arc::new(People::new(Arc::clone(university), web.clone(), seed));
            people.move_in();
            all.push(Arc::clone(&people));
            helpers.spawn(async move { people.work(until).await });
        }
        self.watch_over(&one, until, &all, &mut outcome).await;
        while helpers.join_next().await.is_some() {}
        self.end([one, two], &mut outcome).await;
        outcome
    }

    /// Serves webhooks and the API, and sends webhooks on.
    fn serve(&self, handle: &Handle) -> Web {
        let mut memories: BTreeMap<String, Arc<dyn Memory>> = BTreeMap::new();
        let mut senders = Vec::new();
        for (name, university) in self.universities.iter() {
            let path = format!("/webhooks/notion/{name}");
            let token = university.simulator.subscribe_webhook(0, &path);
            university.simulator.verify_webhook(&token);
            university.simulator.set_webhooks(
                WebhookFaults {
                    lost: 0.05,
                    doubled: 0.05,
                    late: 0.02,
                    late_seconds: 900,
                    reordered: true,
                },
                Duration::from_secs(5),
            );
            let desk = Desk {
                university: Arc::clone(university),
                token,
            };
            memories.insert(name.clone(), Arc::new(desk));
            senders.push(Arc::clone(university));
        }
        let access = Access::new(IpAddr::V4(Ipv4Addr::LOCALHOST), &[], None).expect("loopback");
        let web = Web::serve(server::router(Served {
            handle: handle.clone(),
            memories,
            access,
            log: Arc::new(|_, _| {}),
        }));
        for university in senders {
            let web = web.clone();
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(POST).await;
                    university.simulator.set_clock(university.clock.of_notion());
                    for parcel in university.simulator.take_webhooks() {
                        let Some(signature) = &parcel.signature else {
                            continue;
                        };
                        let headers = [("x-notion-signature", signature.as_str())];
                        let answered = web.post(&parcel.url, &headers, &parcel.body).await;
                        if answered != Some(200) {
                            university.simulator.return_webhook(parcel);
                        }
                    }
                }
            });
        }
        web
    }

    /// Lets time pass, with its troubles; notes how things stand.
    async fn watch_over(
        &self,
        one: &Instance,
        until: Duration,
        people: &[Arc<People>],
        outcome: &mut Outcome,
    ) {
        let mut ledgers: Vec<Ledger> = people.iter().map(|_| Ledger::default()).collect();
        let simulators = || self.universities.values().map(|university| &university.simulator);
        simulators().for_each(|simulator| {
            trouble(simulator);
            simulator.workspace(|workspace| workspace.set_index_lag(Duration::from_secs(20)));
        });
        let end = until + QUIET;
        let mut passed = Duration::ZERO;
        while passed < end {
            tokio::time::sleep(TAKE).await;
            passed += TAKE;
            for (ledger, university) in ledgers.iter_mut().zip(self.universities.values()) {
                ledger.take(university);
            }
            let steps = passed.as_secs() / TAKE.as_secs();
            // Each day: Notion is away for half an hour from nine in the morning on, half of the databases from
            // eleven; settings are read again every six hours.
            match steps % 48 {
                _ if passed >= until => {}
                6 => simulators().for_each(|simulator| {
                    simulator.clear_faults();
                    outage(simulator);
                }),
                7 => simulators().for_each(|simulator| {
                    simulator.clear_faults();
                    trouble(simulator);
                }),
                10 | 11 => {
                    for university in self.universities.values().step_by(2) {
                        university
                            .postgres
                            .is_down
                            .store(steps % 48 == 10, Ordering::Relaxed);
                    }
                }
                12 | 24 | 36 => {
                    for opener in &one.openers {
                        opener.send_replace(self.campus("one"));
                    }
                }
                _ => {}
            }
            if passed == until {
                for university in self.universities.values() {
                    university.simulator.clear_faults();
                    let fresh = |workspace: &mut Workspace| workspace.set_index_lag(Duration::ZERO);
                    university.simulator.workspace(fresh);
                    university.postgres.is_down.store(false, Ordering::Relaxed);
                }
            }
            if steps.is_multiple_of(2) && passed <= until {
                outcome.hours.push(self.hour(steps / 2).await);
            }
        }
        if self.setting.canary {
            self.spoil(people);
        }
        for ((university, people), ledger) in self.universities.values().zip(people).zip(&ledgers) {
            let judge = Judge {
                university,
                people,
                ledger,
            };
            let mut findings = judge.findings();
            outcome.wrong.append(&mut findings.wrong);
            outcome.followed += findings.followed;
            outcome.compared += findings.compared;
            outcome.raced += findings.raced;
            let mut count = |what: &str, by: u64| *outcome.counts.entry(what.to_owned()).or_default() += by;
            count("conflicts", ledger.conflicts());
            count("pages without a row that wait for a person", findings.waiting);
            for (what, count) in &people.told().counts {
                *outcome.done.entry(what).or_default() += count;
            }
        }
    }

    /// One of each thing that must not be: a difference, a lost value, a stray page, a value of another tenant.
    fn spoil(&self, people: &[Arc<People>]) {
        let (Some(university), Some(people)) = (self.universities.values().next(), people.first()) else {
            return;
        };
        for entity in ["projects", "teams"] {
            let row = university
                .postgres
                .keys(entity, &university.name)
                .into_iter()
                .next();
            if let Some(row) = row {
                university
                    .postgres
                    .set(entity, &row, "note", Value::text("canary"));
            }
        }
        people.pretend("canary that was never written");
        university.line.seen().leaks.push("canary leak".to_owned());
        let source = university.data_source("projects");
        let source = source.as_str().parse().unwrap_or_default();
        let made = university
            .simulator
            .workspace(|workspace| workspace.add_row(source, &serde_json::json!({})).is_ok());
        assert!(made, "a stray page");
    }

    async fn hour(&self, hour: u64) -> Hour {
        let mut now = Hour {
            hour,
            resident: resident(),
            ..Hour::default()
        };
        for university in self.universities.values() {
            now.audit += university.store.audit_log().len();
            now.notes += university.postgres.notes_waiting();
            now.runs += university.store.runs(u32::MAX).await.map_or(0, |runs| runs.len());
            now.requests += university.line.seen().requests;
        }
        now
    }

    /// Stops the workers, and looks whether one more look at everything would write anything (I3).
    async fn end(&self, instances: [Instance; 2], outcome: &mut Outcome) {
        let mut count = |what: String, by: u64| *outcome.counts.entry(what).or_default() += by;
        for mut instance in instances {
            for state in instance.handle.states() {
                count("cycles that had work or were whole".to_owned(), state.runs);
                count("cycles that failed".to_owned(), state.failures);
                for (code, errors) in state.errors {
                    count(format!("errors {code}"), errors);
                }
                for entity in &state.totals.entities {
                    count("pages created".to_owned(), entity.pages_created);
                    count("pages updated".to_owned(), entity.pages_updated);
                    count("pages trashed".to_owned(), entity.pages_trashed);
                    count("rows inserted".to_owned(), entity.rows_inserted);
                    count("rows updated".to_owned(), entity.rows_updated);
                    count("conflicts for a person".to_owned(), entity.conflicts_opened);
                    count("deferred".to_owned(), entity.deferred);
                }
                count("throttled".to_owned(), state.totals.notion.throttled);
            }
            instance.stop.stop();
            while instance.workers.join_next().await.is_some() {}
        }
        for university in self.universities.values() {
            let (requests, failed) = {
                let seen = university.line.seen();
                (seen.requests, seen.failed)
            };
            count("requests to Notion".to_owned(), requests);
            count("requests without a good answer".to_owned(), failed);
            let opened = self.campus("last").open(&university.name).await;
            let opened = opened.unwrap_or_else(|error| panic!("{}", error.failure.message));
            let request = Request {
                full: true,
                ..Request::all(Command::Sync)
            };
            let report = opened.engine().run(&request).await.report;
            let writes: u64 = report
                .entities
                .iter()
                .map(|entity| {
                    entity.pages_created
                        + entity.pages_updated
                        + entity.pages_trashed
                        + entity.rows_inserted
                        + entity.rows_updated
                        + entity.rows_deleted
                })
                .sum();
            let refusals = report
                .entities
                .iter()
                .map(|entity| entity.refusals.len())
                .sum::<usize>();
            if writes + refusals as u64 > 0 || report.failure.is_some() {
                outcome.wrong.push(format!(
                    "{}: one more look at everything wrote {writes} times, {refusals} refusals, {:?}",
                    university.name, report.failure
                ));
            }
        }
    }
}

/// Resident memory in KiB, as the kernel of Linux tells it.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
