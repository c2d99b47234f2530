//! The workers in this process: hints through the handle, and what is known of profiles.

use std::path::Path;
use std::sync::{Arc, Mutex};

use frames_sync::cli::kept::{Keeping, OnCycle};
use frames_sync::project::{Environment, PROJECT_FILE, Project};
use frames_sync::report::ProfileReport;
use frames_sync::runner::{Hint, WakeError};
use frames_sync::value::{PageId, RecordKey};

use super::world::{GET, PATCH, QUERY, Setting, World, until};

type Reports = Arc<Mutex<Vec<ProfileReport>>>;

fn keep(world: &World) -> (Keeping, Reports) {
    let reports = Reports::default();
    let into = Arc::clone(&reports);
    let on_cycle: OnCycle = Arc::new(move |report: &ProfileReport| {
        into.lock().expect("no test panics with it").push(report.clone())
    });
    let folder: &Path = world.project.path();
    let environment = Environment::of(world.project.environment());
    let project = Project::load(&folder.join(PROJECT_FILE), folder, environment);
    let project = project.value.expect("a project");
    let keeping = Keeping::start(project, &["cal".to_owned()], &on_cycle)
        .unwrap_or_else(|failure| panic!("{}", failure.message));
    (keeping, reports)
}

async fn has_run(reports: &Reports, cycles: usize) {
    let ran = || reports.lock().expect("no test panics with it").len();
    until(|| ran() >= cycles, || format!("{} cycles", ran())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_a_webhook_names_costs_one_request() {
    let world = World::with(Setting {
        capture: "scan",
        ..Setting::default()
    })
    .await;
    let (keeping, reports) = keep(&world);
    has_run(&reports, 1).await;
    world.simulator.clear_exchanges();
    let page = world.page("t1");
    world.type_note(page, "edit 1");
    for _ in 0..1000 {
        let woken = keeping.handle.wake("cal", Hint::Page(PageId(page.to_string())));
        assert_eq!(woken, Ok(()));
    }
    has_run(&reports, 2).await;
    assert_eq!(world.note_in_postgres("t1").await.as_deref(), Some("edit 1"));
    // A page of nobody: no row comes of it here, so it is not even read. It is done with once a later hint is.
    let nobody = uuid::Uuid::new_v4().to_string();
    let wake = |page: &str| keeping.handle.wake("cal", Hint::Page(PageId(page.to_owned())));
    wake(&nobody).expect("taken");
    world.type_note(page, "edit 2");
    wake(&page.to_string()).expect("taken");
    let updated = || keeping.handle.states()[0].totals.entities[0].rows_updated;
    until(|| updated() == 2, || format!("{} rows updated", updated())).await;
    let state = &keeping.handle.states()[0];
    assert!(state.holds_lease && state.failures == 0 && state.next_run_at > state.last_run_at);
    // What of the thousand came while the first was served is served together, and so is what came after that.
    let gets = world.count(GET);
    assert!(
        (2..=3).contains(&gets),
        "{gets} reads for a thousand hints and one"
    );
    assert_eq!((world.count(PATCH), world.count(QUERY)), (0, 0));
    let exchanges = world.simulator.exchanges();
    assert!(exchanges.iter().all(|exchange| !exchange.path.contains(&nobody)));
    keeping.end(std::future::pending()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_an_application_names_is_pushed_at_once_and_anywhere_is_a_whole_cycle() {
    let world = World::with(Setting {
        capture: "scan",
        ..Setting::default()
    })
    .await;
    let (keeping, reports) = keep(&world);
    has_run(&reports, 1).await;
    world.simulator.clear_exchanges();
    world.sql("update things set note = 'edit 1' where id = 't1'; update things set note = 'edit 2' where id = 't2'").await;
    let hint = |entity: &str| Hint::Row {
        entity: entity.to_owned(),
        key: RecordKey::single("t1"),
    };
    keeping.handle.wake("cal", hint("things")).expect("taken");
    keeping.handle.wake("cal", hint("no_such_entity")).expect("taken");
    has_run(&reports, 2).await;
    assert_eq!(world.written_notes(), ["edit 1"], "only what was named");
    assert_eq!(world.count(QUERY), 0);
    keeping.handle.wake("cal", Hint::Anywhere).expect("taken");
    has_run(&reports, 3).await;
    assert_eq!(world.written_notes(), ["edit 1", "edit 2"]);
    assert_eq!(
        keeping.handle.wake("nobody", Hint::Anywhere),
        Err(WakeError::UnknownProfile)
    );
    let handle = keeping.handle.clone();
    keeping.end(std::future::pending()).await;
    assert_eq!(handle.wake("cal", Hint::Anywhere), Err(WakeError::Stopping));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_put_in_the_trash_is_seen_when_it_is_named() {
    let world = World::with(Setting {
        capture: "scan",
        ..Setting::default()
    })
    .await;
    let (keeping, reports) = keep(&world);
    has_run(&reports, 1).await;
    let page = world.page("t2");
    world.simulator.workspace(|workspace| workspace.trash(page));
    keeping
        .handle
        .wake("cal", Hint::Page(PageId(page.to_string())))
        .expect("taken");
    has_run(&reports, 2).await;
    let phase: String = sqlx::query_scalar("select phase from frames_sync.link where key like '%t2%'")
        .fetch_one(&world.pool)
        .await
        .expect("a link");
    assert_eq!(phase, "held", "the row stays: nothing is deleted by default");
    keeping.end(std::future::pending()).await;
}
