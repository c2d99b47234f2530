//! One contract for both engines, where the machine has both.

use std::path::PathBuf;
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use sqlx::{Connection, Executor, PgConnection, PgPool};

use super::{Cluster, Engine};

/// Longer than anything in here takes on a loaded machine; reached only by a failure.
const PATIENCE: Duration = Duration::from_secs(20);

async fn pool(cluster: &Cluster, database: &str) -> PgPool {
    PgPoolOptions::new()
        .max_connections(8)
        .connect(&cluster.url(database))
        .await
        .expect("the cluster takes connections")
}

fn directory_of(cluster: &Cluster) -> PathBuf {
    let url = cluster.url("postgres");
    PathBuf::from(url.split_once("?host=").expect("a socket directory").1)
}

async fn holds_the_contract(engine: Engine) {
    let cluster = Cluster::start(engine).expect("it starts");
    assert_ne!(cluster.engine(), Engine::Any);
    let directory = directory_of(&cluster);

    cluster.create_database("app", None).await.expect("a database");
    let app = pool(&cluster, "app").await;
    sqlx::raw_sql(
        "create table t (id bigint generated always as identity primary key, name text unique);
         create function tell() returns trigger language plpgsql as
           $$ begin perform pg_notify('told', new.name); return new; end $$;
         create trigger tell after insert on t for each row execute function tell()",
    )
    .execute(&app)
    .await
    .expect("a schema");

    parallel_transactions_lose_nothing(&app).await;
    an_abandoned_transaction_is_rolled_back(&cluster, &app).await;
    notifications_reach_another_connection(&app).await;
    an_error_leaves_the_connection_usable(&app).await;
    app.close().await;
    a_copy_stands_by_itself(&cluster).await;

    assert!(cluster.create_database("app", None).await.is_err());
    assert!(cluster.create_database("no\"name", None).await.is_err());
    drop(cluster);
    assert!(!directory.exists(), "{} is left behind", directory.display());
}

async fn parallel_transactions_lose_nothing(pool: &PgPool) {
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let pool = pool.clone();
            tokio::spawn(async move {
                for turn in 0..20 {
                    let name = format!("{task}-{turn}");
                    let mut transaction = pool.begin().await?;
                    sqlx::query("insert into t (name) values ($1)")
                        .bind(&name)
                        .execute(&mut *transaction)
                        .await?;
                    let seen: i64 = sqlx::query_scalar("select count(*) from t where name = $1")
                        .persistent(turn % 2 == 0)
                        .bind(&name)
                        .fetch_one(&mut *transaction)
                        .await?;
                    assert_eq!(seen, 1);
                    if turn % 10 == 0 {
                        transaction.rollback().await?;
                    } else {
                        transaction.commit().await?;
                    }
                    // Outside transactions, batches of other clients come between Parse and Bind.
                    let echo: String = sqlx::query_scalar("select $1::text")
                        .persistent(false)
                        .bind(&name)
                        .fetch_one(&pool)
                        .await?;
                    assert_eq!(echo, name);
                }
                Ok::<_, sqlx::Error>(())
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic").expect("no error");
    }
    let rows: i64 = sqlx::query_scalar("select count(*) from t")
        .fetch_one(pool)
        .await
        .expect("a count");
    assert_eq!(rows, 8 * 18);
}

async fn an_abandoned_transaction_is_rolled_back(cluster: &Cluster, pool: &PgPool) {
    let mut connection = PgConnection::connect(&cluster.url("app"))
        .await
        .expect("a connection");
    connection
        .execute("begin; insert into t (name) values ('abandoned')")
        .await
        .expect("an insert");
    drop(connection);
    let found: bool = tokio::time::timeout(
        PATIENCE,
        sqlx::query_scalar("select exists (select from t where name = 'abandoned')").fetch_one(pool),
    )
    .await
    .expect("nobody waits for a client that is gone")
    .expect("an answer");
    assert!(!found);
}

async fn notifications_reach_another_connection(pool: &PgPool) {
    let mut first = PgListener::connect_with(pool).await.expect("a listener");
    let mut second = PgListener::connect_with(pool).await.expect("a listener");
    first.listen("told").await.expect("listening");
    second.listen("told").await.expect("listening");
    drop(second);
    sqlx::query("insert into t (name) values ($1)")
        .bind("news")
        .execute(pool)
        .await
        .expect("an insert");
    let heard = tokio::time::timeout(PATIENCE, first.recv())
        .await
        .expect("it comes")
        .expect("a notification");
    assert_eq!(heard.payload(), "news");
}

async fn an_error_leaves_the_connection_usable(pool: &PgPool) {
    let mut transaction = pool.begin().await.expect("a transaction");
    let error = sqlx::query("insert into t (name) values ('news')")
        .execute(&mut *transaction)
        .await
        .expect_err("a second row of that name");
    assert_eq!(
        error
            .as_database_error()
            .and_then(|error| error.code())
            .as_deref(),
        Some("23505")
    );
    transaction.rollback().await.expect("a rollback");
    sqlx::query("select 1").execute(pool).await.expect("an answer");
}

async fn a_copy_stands_by_itself(cluster: &Cluster) {
    cluster
        .create_database("copy", Some("app"))
        .await
        .expect("a copy");
    let copy = pool(cluster, "copy").await;
    let rows: i64 = sqlx::query_scalar("select count(*) from t")
        .fetch_one(&copy)
        .await
        .expect("a count");
    assert_eq!(rows, 8 * 18 + 1);
    sqlx::query("truncate t")
        .execute(&copy)
        .await
        .expect("it is writable");
    copy.close().await;
    let app = pool(cluster, "app").await;
    let rows: i64 = sqlx::query_scalar("select count(*) from t")
        .fetch_one(&app)
        .await
        .expect("a count");
    assert_eq!(rows, 8 * 18 + 1, "the template is untouched, and still serves");
    app.close().await;
    cluster.drop_database("copy").await.expect("dropped");
    cluster.drop_database("copy").await.expect("gone already");
    assert!(PgConnection::connect(&cluster.url("copy")).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_preferred_cluster_holds_the_contract() {
    holds_the_contract(Engine::Any).await;
}

#[cfg(feature = "embedded")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_embedded_cluster_holds_the_contract() {
    holds_the_contract(Engine::Embedded).await;
}

#[cfg(feature = "embedded")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copy_is_refused_by_the_embedded_engine_and_nothing_breaks() {
    let cluster = Cluster::start(Engine::Embedded).expect("it starts");
    let mut connection = PgConnection::connect(&cluster.url("postgres"))
        .await
        .expect("a connection");
    let error = connection
        .execute("copy pg_class to stdout")
        .await
        .expect_err("a refusal");
    assert_eq!(
        error
            .as_database_error()
            .and_then(|error| error.code())
            .as_deref(),
        Some("0A000")
    );
    connection.execute("select 1").await.expect("an answer");
}
