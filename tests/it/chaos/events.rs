//! What befalls the processes, the servers and the wires, drawn from a seed.

use std::time::Duration;

use frames_sync::simulator::workspace::Seed;
use frames_sync::simulator::{Applied, Effect, Fault, Trigger, Workspace};
use rustix::process::Signal;
use sqlx::PgConnection;
use tokio::sync::Mutex;

use super::server::{Stop, signal};
use super::world::{LATE_SECONDS, LEASE, Life, Log, PLACES, Stage, rows};

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// `kill -9` of an instance at any instant.
    Kill,
    /// `kill -9` of an instance right after a write of its profile has reached Notion.
    KillInWrite,
    /// The instance that holds the lease sleeps until after its end, and wakes.
    Pause,
    /// Every connection that is not the harness's own is terminated.
    Terminate,
    /// Postgres is stopped as in a deployment, and started.
    RestartFast,
    /// Postgres is stopped as in a crash, and started.
    RestartImmediate,
    /// One backend is killed, and with it Postgres ends and recovers.
    CrashBackend,
    /// PgBouncer is killed and started.
    RestartPooler,
    /// The wires of an instance to Postgres are cut.
    CutDatabase,
    /// The wires of an instance to Notion are cut.
    CutNotion,
    /// SIGTERM, and another one takes the place.
    Retire,
    /// SIGHUP.
    Reload,
    /// An instance is killed; the next one finds no room for its log.
    LogFull,
}

use Event::{
    CrashBackend, CutDatabase, CutNotion, Kill, KillInWrite, LogFull, Pause, Reload, RestartFast,
    RestartImmediate, RestartPooler, Retire, Terminate,
};

/// How many of each there are for 200 kills.
const SHARES: [(Event, u64); 11] = [
    (Pause, 8),
    (Terminate, 20),
    (RestartFast, 8),
    (RestartImmediate, 8),
    (CrashBackend, 8),
    (RestartPooler, 10),
    (CutDatabase, 24),
    (CutNotion, 16),
    (Retire, 12),
    (Reload, 10),
    (LogFull, 12),
];

/// Every event of a run, in its order: so many kills, and of everything else a share, at the least one.
pub(super) fn deck(kills: u64, pooled: bool, seed: &mut Seed) -> Vec<Event> {
    let mut deck = Vec::new();
    let mut left = kills;
    for (event, share) in SHARES {
        if event == RestartPooler && !pooled {
            continue;
        }
        let many = (share * kills / 200).max(1);
        for _ in 0..many {
            deck.push(event);
        }
        if event == LogFull {
            left = left.saturating_sub(many);
        }
    }
    for kill in 0..left {
        deck.push(if kill % 3 == 0 { KillInWrite } else { Kill });
    }
    for index in (1..deck.len()).rev() {
        let other = usize::try_from(seed.below(index as u64 + 1)).unwrap_or_default();
        deck.swap(index, other);
    }
    deck
}

/// Lets everything happen, one after the other.
pub(super) struct Fate<'a> {
    pub(super) stage: &'a mut Stage,
    pub(super) lives: Vec<Life>,
    pub(super) seed: Seed,
    /// The person's connection: whoever holds the lock knows that nobody writes in Postgres.
    pub(super) door: &'a Mutex<PgConnection>,
}

impl Fate<'_> {
    /// Instances in every place.
    pub(super) async fn begin(&mut self) -> std::io::Result<()> {
        for place in 0..PLACES.len() {
            let life = self.stage.give_birth(place, Log::File).await?;
            self.lives.push(life);
        }
        Ok(())
    }

    pub(super) async fn unfold(&mut self, deck: &[Event]) -> std::io::Result<()> {
        for (number, event) in deck.iter().enumerate() {
            if number % 3 == 0 {
                self.plan_faults();
            }
            let wait = 100 + self.seed.below(1400);
            tokio::time::sleep(Duration::from_millis(wait)).await;
            self.happen(*event).await?;
        }
        Ok(())
    }

    /// One of the instances; those of the first profile, of which there are two, nine times in ten.
    fn anyone(&mut self) -> usize {
        let place = match self.seed.below(20) {
            0..=8 => 0,
            9..=17 => 1,
            _ => 2,
        };
        self.lives
            .iter()
            .position(|life| life.place == place)
            .unwrap_or_default()
    }

    async fn holder(&mut self) -> usize {
        let mut door = self.door.lock().await;
        let found = rows(
            &mut door,
            "select holder from frames_sync.lease where profile = 'cal' and holder is not null",
        )
        .await;
        drop(door);
        let holder = found.first().and_then(|row| row["holder"].as_str());
        let place = self
            .lives
            .iter()
            .position(|life| holder.is_some_and(|holder| life.holds(holder)));
        match place {
            Some(place) => place,
            None => self.anyone(),
        }
    }

    async fn happen(&mut self, event: Event) -> std::io::Result<()> {
        match event {
            Kill => {
                let at = if self.seed.chance(0.6) {
                    self.holder().await
                } else {
                    self.anyone()
                };
                self.kill(at, Log::File, "kill -9").await
            }
            KillInWrite => {
                let before = self.writes();
                for _ in 0..300 {
                    if self.writes() > before {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                let wait = self.seed.below(12);
                tokio::time::sleep(Duration::from_millis(wait)).await;
                let at = self.holder().await;
                self.kill(at, Log::File, "kill -9").await
            }
            LogFull => {
                let at = self.anyone();
                self.stage.chronicle.note("log full", "");
                self.kill(at, Log::Full, "kill -9").await
            }
            Pause => {
                let at = self.holder().await;
                let life = &self.lives[at];
                let detail = format!("life {}", life.number);
                self.stage.chronicle.note("pause", &detail);
                life.signal(Signal::STOP);
                let beyond = Duration::from_millis(200 + self.seed.below(1500));
                tokio::time::sleep(LEASE + beyond).await;
                self.stage.chronicle.note("wakes", &detail);
                self.lives[at].signal(Signal::CONT);
                Ok(())
            }
            Terminate => {
                let mut door = self.door.lock().await;
                let ended = rows(
                    &mut door,
                    "select pid, pg_terminate_backend(pid) from pg_stat_activity \
                     where backend_type = 'client backend' and application_name <> 'person'",
                )
                .await;
                drop(door);
                let detail = format!("{} connections", ended.len());
                self.stage.chronicle.note("pg_terminate_backend", &detail);
                Ok(())
            }
            RestartFast | RestartImmediate => {
                let mut door = self.door.lock().await;
                let (stop, name) = match event {
                    RestartFast => (Stop::Fast, "postgres restart, fast"),
                    _ => (Stop::Immediate, "postgres restart, immediate"),
                };
                self.stage.chronicle.note(name, "");
                self.stage.server.restart(stop);
                *door = self.stage.server.connect("person").await;
                Ok(())
            }
            CrashBackend => {
                let mut door = self.door.lock().await;
                let found = rows(
                    &mut door,
                    "select pid from pg_stat_activity where backend_type = 'client backend' \
                     and application_name <> 'person' order by backend_start",
                )
                .await;
                let chosen = self.seed.below(found.len() as u64);
                let chosen = found.get(usize::try_from(chosen).unwrap_or_default());
                // With nobody else there, the person's own will do.
                let pid = match chosen.and_then(|row| row["pid"].as_i64()) {
                    Some(pid) => pid,
                    None => rows(&mut door, "select pg_backend_pid() as pid").await[0]["pid"]
                        .as_i64()
                        .unwrap_or_default(),
                };
                self.stage.chronicle.note("postgres backend killed", "");
                signal(i32::try_from(pid).unwrap_or_default(), Signal::KILL);
                // All connections go; until then the old one would seem to work.
                while sqlx::Connection::ping(&mut *door).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                *door = self.stage.server.connect("person").await;
                Ok(())
            }
            RestartPooler => {
                self.stage.chronicle.note("pgbouncer restart", "");
                if let Some(pooler) = &mut self.stage.pooler {
                    pooler.restart();
                }
                Ok(())
            }
            CutDatabase => {
                let at = self.anyone();
                self.stage.chronicle.note("connections to postgres cut", "");
                self.lives[at].database.cut();
                Ok(())
            }
            CutNotion => {
                let at = self.anyone();
                self.stage.chronicle.note("connections to notion cut", "");
                self.lives[at].notion.cut();
                Ok(())
            }
            Retire => {
                let at = self.anyone();
                let life = self.lives.remove(at);
                let (place, detail) = (life.place, format!("life {}", life.number));
                self.stage.chronicle.note("SIGTERM", &detail);
                self.stage.violations.extend(life.terminate().await);
                let life = self.stage.give_birth(place, Log::File).await?;
                self.lives.push(life);
                Ok(())
            }
            Reload => {
                let at = self.anyone();
                // Before a program listens to it, this signal ends it.
                while !self.lives[at].listens() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                let detail = format!("life {}", self.lives[at].number);
                self.stage.chronicle.note("SIGHUP", &detail);
                self.lives[at].signal(Signal::HUP);
                Ok(())
            }
        }
    }

    async fn kill(&mut self, at: usize, log: Log, what: &'static str) -> std::io::Result<()> {
        let life = self.lives.remove(at);
        let place = life.place;
        self.stage
            .chronicle
            .note(what, &format!("life {}, place {place}", life.number));
        self.stage.violations.extend(life.kill());
        let wait = self.seed.below(300);
        tokio::time::sleep(Duration::from_millis(wait)).await;
        let life = self.stage.give_birth(place, log).await?;
        self.lives.push(life);
        Ok(())
    }

    fn writes(&self) -> u64 {
        writes(&self.stage.world.simulator.request_counts())
    }

    /// A new set of faults; one time in four there are none, so that faults do not hide what comes after them.
    fn plan_faults(&mut self) {
        let world = self.stage.world.clone();
        world.simulator.clear_faults();
        let calm = self.seed.chance(0.25);
        let lag = if self.seed.chance(0.3) && !calm {
            self.seed.below(700)
        } else {
            0
        };
        let most = if self.seed.chance(0.15) && !calm {
            20
        } else {
            10_000
        };
        world.simulator.workspace(|workspace: &mut Workspace| {
            workspace.set_index_lag(Duration::from_millis(lag));
            workspace.limits_mut().query_results = most;
        });
        if calm {
            self.stage.chronicle.note("calm", "");
            return;
        }
        let any = [
            Effect::Dropped { applied: Applied::No },
            Effect::Dropped {
                applied: Applied::Yes,
            },
            Effect::RateLimited {
                retry_after: 1,
                reason: "public_api_request_rate_limit".to_owned(),
            },
            Effect::Overloaded { retry_after: Some(1) },
            Effect::ServerError {
                status: 502,
                applied: Applied::No,
            },
            Effect::ServerError {
                status: 500,
                applied: Applied::Yes,
            },
            Effect::Truncated,
            Effect::Slow {
                milliseconds: 20 + self.seed.below(200),
            },
            Effect::Slow { milliseconds: 1300 },
            Effect::Shuffled,
        ];
        let of_writes = [
            Effect::AppliedLate {
                seconds: LATE_SECONDS,
            },
            Effect::Committed,
            Effect::Conflict,
        ];
        let mut told = Vec::new();
        let all = any
            .into_iter()
            .map(|effect| (effect, None))
            .chain(of_writes.into_iter().map(|effect| (effect, Some(true))));
        for (effect, writes) in all {
            if self.seed.chance(0.55) {
                continue;
            }
            let probability =
                0.005 + 0.06 * f64::from(u8::try_from(self.seed.below(100)).unwrap_or_default()) / 100.0;
            told.push(format!("{effect:?}"));
            world.simulator.fault(Fault {
                when: Trigger {
                    writes,
                    probability: Some(probability),
                    ..Trigger::default()
                },
                effect,
                times: None,
            });
        }
        self.stage.chronicle.note(
            "faults",
            &format!("lag {lag} ms, results {most}, {}", told.join(" ")),
        );
    }
}

/// Of the requests counted by endpoint, those that change something.
pub(super) fn writes(counts: &std::collections::BTreeMap<String, u64>) -> u64 {
    let reads = |endpoint: &str| endpoint.starts_with("GET") || endpoint.ends_with("/query");
    counts
        .iter()
        .filter(|(endpoint, _)| !reads(endpoint))
        .map(|(_, count)| count)
        .sum()
}
