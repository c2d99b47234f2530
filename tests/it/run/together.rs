//! Several instances on one profile: one writes, and what happens to it costs time and nothing else.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::world::{Running, Setting, World, until};

/// The lease of these tests: twice a request's longest time and its margin, so that it is never taken for longer.
const LEASE: Duration = Duration::from_secs(9);

/// How many edits there are for each new row, how many rows are edited in turn, and how many are not: so that the
/// guards on mass creation, mass change and loops have nothing to say.
const ROW: usize = 16;
const ROWS: usize = 40;
const OTHERS: usize = 50;

/// Edits rows in turn, and makes a row with every [`ROW`]th edit.
struct Edits<'a> {
    world: &'a World,
    made: usize,
}

impl Edits<'_> {
    async fn make(&mut self, many: usize) {
        for _ in 0..many {
            self.made += 1;
            let row = format!("r{}", self.made % ROWS);
            let note = format!("edit {}", self.made);
            self.world
                .sql(&format!("update things set note = '{note}' where id = '{row}'"))
                .await;
            if self.made.is_multiple_of(ROW) {
                let (number, world) = (self.made, self.world);
                world
                    .sql(&format!(
                        "insert into things values ('n{number}', 'New {number}', 'cal')"
                    ))
                    .await;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until Notion shows the last edit of every row, and a page for every new one.
    async fn arrive(&self, log: impl Fn() -> String) {
        for edit in (1..=self.made).rev().take(ROWS) {
            let page = self.world.page(&format!("r{}", edit % ROWS));
            let note = format!("edit {edit}");
            until(|| self.world.note_in_notion(page) == note, &log).await;
        }
        let rows = 2 + ROWS + OTHERS + self.made / ROW;
        until(|| self.world.pages().len() >= rows, log).await;
        for number in (ROW..=self.made).step_by(ROW) {
            self.world.page(&format!("n{number}"));
        }
        assert_eq!(self.world.pages().len(), rows, "a page for each row");
    }
}

/// Every write once, and in the order of the edits.
fn assert_no_double_write(world: &World) {
    let written = world.written_notes();
    let mut distinct = written.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), written.len(), "written twice: {written:?}");
    for row in 0..ROWS {
        let numbers: Vec<usize> = written
            .iter()
            .filter_map(|note| note.strip_prefix("edit ")?.parse().ok())
            .filter(|number: &usize| number % ROWS == row)
            .collect();
        assert!(
            numbers.is_sorted(),
            "an older value after a newer one: {numbers:?}"
        );
    }
}

async fn holder(world: &World) -> Option<String> {
    sqlx::query_scalar("select holder from frames_sync.lease where profile = 'cal'")
        .fetch_one(&world.pool)
        .await
        .expect("a lease")
}

/// Waits until that instance holds the lease, in the middle of a cycle.
async fn holds(world: &World, running: &Running, edits: &mut Edits<'_>) {
    let begun = Instant::now();
    let prefix = format!("{}-", running.child.id());
    while !holder(world)
        .await
        .is_some_and(|holder| holder.starts_with(&prefix))
    {
        assert!(
            begun.elapsed() < super::world::PATIENCE,
            "it never has the lease:\n{}",
            running.log()
        );
        edits.make(1).await;
    }
}

async fn two() -> (World, Running, Running) {
    let world = World::with(Setting {
        schedule: "every: 2s",
        lease: "9s",
        ..Setting::default()
    })
    .await;
    let (first, second) = (world.run(&[]), world.run(&[]));
    first.has_said("listening for notes").await;
    second.has_said("listening for notes").await;
    first.has_run(1).await;
    second.has_run(1).await;
    world
        .sql(&format!(
            "insert into things select 'r' || n, 'Row ' || n, 'cal' from generate_series(0, {ROWS} + {OTHERS} - 1) n"
        ))
        .await;
    until(|| world.pages().len() == 2 + ROWS + OTHERS, || first.log()).await;
    world.simulator.clear_exchanges();
    // Every answer takes a while, so that an instance can be met in the middle of a write.
    world.simulator.fault(frames_sync::simulator::Fault {
        when: frames_sync::simulator::Trigger::default(),
        effect: frames_sync::simulator::Effect::Slow { milliseconds: 60 },
        times: None,
    });
    (world, first, second)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_is_killed_is_taken_over_within_a_lease_and_nothing_is_doubled_or_lost() {
    let (world, mut first, second) = two().await;
    let mut edits = Edits {
        world: &world,
        made: 0,
    };
    edits.make(10).await;
    holds(&world, &first, &mut edits).await;
    first.signal(Signal::KILL);
    first.ended().await;
    let killed = Instant::now();
    let mut after = world.written_notes().len();
    let mut taken_over = None;
    while taken_over.is_none() {
        edits.make(1).await;
        let written = world.written_notes().len();
        // One write may have been on its way.
        if written > after + 1 {
            taken_over = Some(killed.elapsed());
        }
        after = after.min(written);
        assert!(
            killed.elapsed() < LEASE * 3,
            "nobody took over:\n{}",
            second.log()
        );
    }
    edits.make(5).await;
    edits.arrive(|| second.log()).await;
    let took = taken_over.unwrap_or_default();
    println!(
        "takeover after kill -9: {:.1} s of a lease of {} s",
        took.as_secs_f64(),
        LEASE.as_secs()
    );
    assert_no_double_write(&world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_slept_past_its_lease_writes_nothing_when_it_wakes() {
    let (world, first, second) = two().await;
    let mut edits = Edits {
        world: &world,
        made: 0,
    };
    edits.make(10).await;
    holds(&world, &first, &mut edits).await;
    first.signal(Signal::STOP);
    let stopped = Instant::now();
    let before = holder(&world).await;
    let mut taken_over = None;
    while taken_over.is_none() && stopped.elapsed() < LEASE * 3 {
        edits.make(1).await;
        if holder(&world).await != before {
            taken_over = Some(stopped.elapsed());
        }
    }
    let took = taken_over.expect("taken over while the other one sleeps");
    println!(
        "takeover after SIGSTOP: {:.1} s of a lease of {} s",
        took.as_secs_f64(),
        LEASE.as_secs()
    );
    first.signal(Signal::CONT);
    edits.make(20).await;
    edits
        .arrive(|| format!("{}\n---\n{}", first.log(), second.log()))
        .await;
    assert_no_double_write(&world);
    // Both go on, and share what comes.
    let both = || (first.cycles().len(), second.cycles().len());
    let (a, b) = both();
    until(
        || both().0 > a && both().1 > b || both().0 + both().1 > a + b + 4,
        || first.log(),
    )
    .await;
    let failed = |running: &Running| {
        running
            .cycles()
            .iter()
            .filter(|cycle| cycle["outcome"] == "failed")
            .count()
    };
    assert_eq!(
        (failed(&first), failed(&second)),
        (0, 0),
        "to be fenced is no failure"
    );
}
