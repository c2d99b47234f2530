//! A PostgreSQL for the whole run, and a database of its own for each test.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use frames_sync::cluster::{Cluster, Engine};
use frames_sync::demo::sample;
use frames_sync::postgres::{ConnectOptions, connect};
use secrecy::SecretString;
use sqlx::{Connection, PgConnection, PgPool};
use tokio::sync::OnceCell;

/// Chooses the engine: `native` or `embedded`. Without it, native where there are binaries.
const CHOICE: &str = "FRAMES_SYNC_TEST_POSTGRES";

/// The cluster of this run; its watchdog ends it with the process.
fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let engine = match std::env::var(CHOICE).as_deref() {
            Ok("native") => Engine::Native,
            Ok("embedded") => Engine::Embedded,
            Ok(other) => panic!("{CHOICE} is `native` or `embedded`, not `{other}`"),
            Err(_) => Engine::Any,
        };
        Cluster::start(engine).unwrap_or_else(|error| panic!("these tests need PostgreSQL: {error}"))
    })
}

/// A database that nobody else uses; dropped with its connections.
pub(crate) struct TestDatabase {
    name: String,
}

impl TestDatabase {
    /// An empty one.
    pub(crate) async fn new() -> Self {
        Self::create(None).await
    }

    /// One with the FRAMES sample data.
    pub(crate) async fn frames() -> Self {
        const TEMPLATE: &str = "frames_template";
        static LOADED: OnceCell<()> = OnceCell::const_new();
        LOADED
            .get_or_init(async || {
                cluster()
                    .create_database(TEMPLATE, None)
                    .await
                    .expect("the template database");
                let mut connection = PgConnection::connect(&cluster().url(TEMPLATE))
                    .await
                    .expect("a connection");
                sample::load(&mut connection).await.expect("the sample data");
                connection
                    .close()
                    .await
                    .expect("a template that nobody is connected to");
            })
            .await;
        Self::create(Some(TEMPLATE)).await
    }

    async fn create(template: Option<&str>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        cluster()
            .create_database(&name, template)
            .await
            .expect("a database for this test");
        Self { name }
    }

    /// Which engine it runs on, for the few tests about what one of them lacks.
    pub(crate) fn engine(&self) -> Engine {
        cluster().engine()
    }

    /// Its URL, as superuser.
    pub(crate) fn url(&self) -> String {
        cluster().url(&self.name)
    }

    /// Its URL for another role.
    pub(crate) fn url_as(&self, role: &str) -> String {
        self.url().replace("postgres@", &format!("{role}@"))
    }

    /// Connects as the product does.
    pub(crate) async fn connect(&self) -> PgPool {
        self.connect_as("postgres").await
    }

    /// Connects as the product does, as another role.
    pub(crate) async fn connect_as(&self, role: &str) -> PgPool {
        connect(&SecretString::from(self.url_as(role)), &ConnectOptions::default())
            .await
            .expect("a connection to the test's database")
    }

    /// Connects and runs some statements of the test's own.
    pub(crate) async fn with(sql: &'static str) -> (Self, PgPool) {
        let database = Self::new().await;
        let pool = database.connect().await;
        sqlx::raw_sql(sql)
            .execute(&pool)
            .await
            .expect("the test's own SQL");
        (database, pool)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let name = std::mem::take(&mut self.name);
        // A thread of its own: the test's runtime may be ending, and cannot be blocked on.
        let dropping = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map(|runtime| runtime.block_on(cluster().drop_database(&name)))
        });
        // What cannot be dropped goes with the cluster.
        let _ = dropping.join();
    }
}
