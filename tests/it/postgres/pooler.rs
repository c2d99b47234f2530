//! Behind PgBouncer in transaction mode, where two statements of a client meet two servers.

use std::path::Path;
use std::time::Duration;

use frames_sync::cluster::{Cluster, Engine};
use frames_sync::demo::sample;
use frames_sync::ports::{Rows, Store};
use frames_sync::postgres::{ConnectOptions, NoteListener, capture, connect};
use sqlx::{Connection, PgConnection};

use super::{STATE, names, students, table};
use crate::chaos::pooler::Pooler;

/// One in front of a cluster.
fn pooler(cluster: &Cluster) -> Pooler {
    let url = cluster.url("postgres");
    let (_, server) = url.split_once("?host=").expect("a socket");
    Pooler::start(Path::new(server))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PgBouncer: `apt-get install -y pgbouncer`, then `cargo test -- --include-ignored`"]
async fn notes_are_found_behind_pgbouncer_though_nobody_hears_a_notify() {
    let cluster = Cluster::start(Engine::Native).expect("a cluster");
    let mut direct = PgConnection::connect(&cluster.url("postgres"))
        .await
        .expect("a connection");
    sample::load(&mut direct).await.expect("the sample");
    let pooler = pooler(&cluster);
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", pooler.port()).into();
    let pool = connect(&url, &ConnectOptions::default())
        .await
        .expect("a connection");
    students(&pool).await;
    let table = table(&pool, "students").await;
    capture::install(&pool, STATE, "calpoly", "students", &table, &names(&["id"]))
        .await
        .expect("triggers");
    let entities = ["students".to_owned()];
    let mut listener = NoteListener::start(&url, pool.clone(), STATE, "calpoly", entities).expect("a name");
    for number in 0..2 {
        sqlx::query("update students set terms_remaining = $1 where id = 'student_001'")
            .bind(90 + number)
            .execute(&mut direct)
            .await
            .expect("an edit");
        let noted = tokio::time::timeout(Duration::from_secs(10), listener.noted()).await;
        // Nobody listens there, and the change log is looked at.
        assert_eq!(noted.as_deref(), Ok("students"));
    }
    // Every server that the pooler lends out writes notes, and whoever has it next gets its answers and nothing else.
    for number in 0..50 {
        let edits = (2..5).map(|student| {
            let sql =
                format!("update students set terms_remaining = {number} where id = 'student_00{student}'");
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&pool)
        });
        for edited in futures_util::future::join_all(edits).await {
            assert!(edited.is_ok(), "{edited:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PgBouncer: `apt-get install -y pgbouncer`, then `cargo test -- --include-ignored`"]
async fn everything_works_behind_pgbouncer_in_transaction_mode() {
    let cluster = Cluster::start(Engine::Native).expect("a cluster");
    let mut direct = PgConnection::connect(&cluster.url("postgres"))
        .await
        .expect("a connection");
    sample::load(&mut direct).await.expect("the sample");
    let pooler = pooler(&cluster);
    let url = format!(
        "postgres://postgres@127.0.0.1:{}/postgres?channel_binding=prefer",
        pooler.port()
    );
    let pool = connect(&url.as_str().into(), &ConnectOptions::default())
        .await
        .expect("a connection");
    let profile = std::sync::Arc::new(students(&pool).await);
    let tasks = (0..8).map(|_| {
        let profile = profile.clone();
        tokio::spawn(async move {
            for _ in 0..20 {
                assert_eq!(profile.scan("students", None, 100).await.expect("rows").len(), 22);
                profile.totals("students").await.expect("totals");
                profile
                    .acquire("a", Duration::from_secs(60))
                    .await
                    .expect("an answer")
                    .expect("it is ours");
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("no panic");
    }
}
