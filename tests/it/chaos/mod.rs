//! L6: the real binary between a real Postgres, behind PgBouncer, and the simulator over HTTP, while processes are killed,
//! put to sleep and cut off, servers restart, and people go on working on both sides.
//!
//! Two instances share the first profile, a third one has the second. Then everything is quiet, and [`oracle`] holds both
//! sides against what people wrote: what was done to the rows a trigger of the harness's own has noted in the same
//! transactions, what was done to the pages the simulator knows. Neither asks the product's code.

mod events;
mod oracle;
mod people;
pub(crate) mod pooler;
mod server;
#[cfg(test)]
mod tests;
mod wire;
mod world;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use frames_sync::simulator::workspace::Seed;
use sqlx::PgConnection;
use tokio::sync::Mutex;

use events::{Fate, deck, writes};
use people::People;
use world::{Stage, World, rows};

/// How long both sides may take to come to rest once everything is quiet.
const RESTS_WITHIN: Duration = Duration::from_secs(120);

/// How often a finished cycle may still find something to do after the instances have come to rest. Source: sync semantics,
/// section 9.
const QUIET_CYCLES: usize = 4;

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Chaos {
    /// How often an instance is killed.
    pub(crate) kills: u64,
    /// Draws everything that happens.
    pub(crate) seed: u64,
    /// Whether PgBouncer stands in front of Postgres.
    pub(crate) pooled: bool,
    /// The program.
    pub(crate) binary: PathBuf,
    /// Whether what the run leaves is kept though nothing is wrong.
    pub(crate) keep: bool,
}

impl Chaos {
    /// Reads the command line's arguments.
    pub(crate) fn read(binary: PathBuf, arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut chaos = Self {
            kills: 200,
            seed: 1,
            pooled: true,
            binary,
            keep: false,
        };
        let mut arguments = arguments;
        while let Some(name) = arguments.next() {
            let mut number = || {
                let value = arguments.next().unwrap_or_default();
                value.parse().map_err(|_| format!("`{name}` wants a number"))
            };
            match name.as_str() {
                "--kills" => chaos.kills = number()?,
                "--seed" => chaos.seed = number()?,
                "--no-pooler" => chaos.pooled = false,
                "--keep" => chaos.keep = true,
                other => {
                    return Err(format!(
                        "`{other}` is none of --kills N, --seed N, --no-pooler, --keep"
                    ));
                }
            }
        }
        Ok(chaos)
    }

    /// Does it and tells what happened; whether nothing was violated.
    pub(crate) fn run(&self, out: &mut dyn Write) -> io::Result<bool> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        runtime.block_on(self.unfold(out))
    }

    async fn unfold(&self, out: &mut dyn Write) -> io::Result<bool> {
        let began = Instant::now();
        let name = format!("frames-sync-chaos-{}-{}", self.seed, std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder)?;
        let mut seed = Seed::new(self.seed);
        let mut stage = Stage::new(folder.clone(), self.binary.clone(), &mut seed, self.pooled).await?;
        let deck = deck(self.kills, self.pooled, &mut seed);
        let people = Seed::new(seed.number());
        let door = Mutex::new(stage.server.connect("person").await);
        let world = stage.world.clone();
        let over = AtomicBool::new(false);
        let mut fate = Fate {
            stage: &mut stage,
            lives: Vec::new(),
            seed,
            door: &door,
        };
        fate.begin().await?;
        let (unfolded, people) = tokio::join!(
            async {
                let unfolded = fate.unfold(&deck).await;
                over.store(true, Ordering::Relaxed);
                unfolded
            },
            work(&world, &door, People::new(people), &over),
        );
        unfolded?;
        let lives = std::mem::take(&mut fate.lives);
        let mut connection = door.into_inner();
        // Quiet: no faults, one instance of each profile, until nothing moves.
        world.simulator.clear_faults();
        world.simulator.workspace(|workspace| {
            workspace.set_index_lag(Duration::ZERO);
            workspace.limits_mut().query_results = 10_000;
        });
        stage.chronicle.note("quiet", "");
        let mut last = Vec::new();
        for life in lives {
            if life.place == 1 {
                stage.violations.extend(life.terminate().await);
            } else {
                last.push(life);
            }
        }
        rest(&world, &mut connection).await;
        for life in last {
            stage.violations.extend(life.terminate().await);
        }
        stage.take_time()?;
        settle(&mut stage).await?;
        again(&mut stage, &mut connection).await?;
        let judged = oracle::judge(&stage, &people, &mut connection).await?;
        let took = began.elapsed();

        let chronicle = &stage.chronicle;
        writeln!(out, "seed {}, {:.0} s:", self.seed, took.as_secs_f64())?;
        for (what, count) in chronicle.counts() {
            writeln!(out, "  {what:<28} {count:>6}")?;
        }
        for (what, count) in [
            ("edits in postgres", people.edits[0]),
            ("edits in notion", people.edits[1]),
        ] {
            writeln!(out, "  {what:<28} {count:>6}")?;
        }
        for (what, count) in &judged.counts {
            writeln!(out, "  {what:<28} {count:>6}")?;
        }
        let violations: Vec<&String> = stage.violations.iter().chain(&judged.violations).collect();
        writeln!(out, "  {:<28} {:>6}", "violations", violations.len())?;
        for violation in violations.iter().take(40) {
            writeln!(out, "    {violation}")?;
        }
        if chronicle.count("kill -9") < self.kills {
            writeln!(out, "  fewer kills than were asked for")?;
            return Ok(false);
        }
        if violations.is_empty() && !self.keep {
            std::fs::remove_dir_all(&folder)?;
            return Ok(true);
        }
        std::fs::write(folder.join("seed.txt"), format!("{self:#?}\n{violations:#?}\n"))?;
        oracle::leave(&stage, &people, &mut connection).await?;
        writeln!(out, "  everything that is known of it: {}", folder.display())?;
        Ok(violations.is_empty())
    }
}

/// People at work until it is over.
async fn work(world: &World, door: &Mutex<PgConnection>, mut people: People, over: &AtomicBool) -> People {
    while !over.load(Ordering::Relaxed) {
        let pause = Duration::from_millis(people.pause());
        tokio::time::sleep(pause).await;
        let mut connection = door.lock().await;
        people.act(world, &mut connection).await;
    }
    people
}

/// Waits until no request has changed anything in Notion for three seconds, and none is in doubt.
async fn rest(world: &World, connection: &mut PgConnection) {
    let began = Instant::now();
    let mut still = Instant::now();
    let mut before = writes(&world.simulator.request_counts());
    while still.elapsed() < Duration::from_secs(3) && began.elapsed() < RESTS_WITHIN {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = writes(&world.simulator.request_counts());
        let open = rows(
            connection,
            "select 1 from frames_sync.intent where pending limit 1",
        )
        .await;
        if now != before || !open.is_empty() {
            before = now;
            still = Instant::now();
        }
    }
}

/// What one cycle of both profiles did, as its report tells; `None` where it told none.
async fn cycle(stage: &mut Stage, arguments: &[&str]) -> io::Result<Option<u64>> {
    let mut all = vec!["sync", "--all-profiles", "--format", "json"];
    all.extend(arguments);
    let (status, report) = stage.once(&all).await?;
    let report: serde_json::Value = serde_json::from_str(&report).unwrap_or_default();
    let entities = report["profiles"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|profile| profile["entities"].as_array().cloned().unwrap_or_default());
    let mut did = 0;
    for entity in entities {
        for what in [
            "pages_created",
            "pages_updated",
            "pages_trashed",
            "rows_inserted",
            "rows_updated",
            "rows_deleted",
            "conflicts_opened",
            "deferred",
        ] {
            did += entity[what].as_u64().unwrap_or_default();
        }
    }
    // 1 is a record with an error, or a conflict, which people are meant to see to.
    let ended = matches!(status.code(), Some(0 | 1)) && report["outcome"] != "failed";
    Ok(ended.then_some(did))
}

/// Cycles until one finds nothing to do; more than the semantics allow is a violation.
async fn settle(stage: &mut Stage) -> io::Result<()> {
    for _ in 0..QUIET_CYCLES {
        match cycle(stage, &[]).await? {
            Some(0) => return Ok(()),
            Some(_) => {}
            None => stage.violations.push("I12: a quiet cycle failed".to_owned()),
        }
    }
    let told =
        format!("I2: {QUIET_CYCLES} quiet cycles after everything rested, there is still something to do");
    stage.violations.push(told);
    Ok(())
}

/// I3: a further cycle, and one that looks at everything, write nothing anywhere.
async fn again(stage: &mut Stage, connection: &mut PgConnection) -> io::Result<()> {
    const WRITTEN: &str = "select (select count(*) from chaos_history) as rows, \
        (select count(*) from frames_sync.audit) as audit, (select coalesce(sum(rev), 0)::text from frames_sync.link) as links, \
        (select count(*) from frames_sync.conflict) as conflicts, (select count(*) from frames_sync.intent) as intents";
    for arguments in [&[][..], &["--full"]] {
        let before = rows(connection, WRITTEN).await;
        let requests = stage.world.simulator.request_counts();
        cycle(stage, arguments).await?;
        let after = rows(connection, WRITTEN).await;
        if before != after {
            let told = format!("I3: a further cycle {arguments:?} wrote in Postgres: {before:?}, {after:?}");
            stage.violations.push(told);
        }
        let sent = writes(&stage.world.simulator.request_counts()) - writes(&requests);
        if sent > 0 {
            let told = format!("I3: a further cycle {arguments:?} sent {sent} writes to Notion");
            stage.violations.push(told);
        }
    }
    Ok(())
}
