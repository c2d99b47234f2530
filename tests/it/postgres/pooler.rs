//! Behind PgBouncer in transaction mode, where two statements of a client meet two servers.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use frames_sync::cluster::{Cluster, Engine};
use frames_sync::demo::sample;
use frames_sync::ports::{Rows, Store};
use frames_sync::postgres::{ConnectOptions, NoteListener, capture, connect};
use sqlx::{Connection, PgConnection};

use super::{STATE, names, students, table};

/// A PgBouncer that ends with the test.
struct Pooler {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Pooler {
    fn start(cluster: &Cluster) -> Self {
        let url = cluster.url("postgres");
        let (_, server) = url.split_once("?host=").expect("a socket");
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|port| port.local_addr())
            .expect("a port")
            .port();
        let folder = tempfile::TempDir::new().expect("a folder");
        let settings = folder.path().join("pgbouncer.ini");
        fs::write(
            &settings,
            format!(
                "[databases]\n* = host={server} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
                 unix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 3\n"
            ),
        )
        .expect("settings");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("readable by that user");
        let mut command = Command::new("/usr/sbin/pgbouncer");
        command
            .arg("-q")
            .arg(&settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // Like the server, it refuses to be root; it runs as whom the server runs as.
        let owner = fs::metadata(server).expect("the server's directory");
        command.uid(owner.uid()).gid(owner.gid());
        let process = command
            .spawn()
            .expect("`apt-get install -y pgbouncer` installs what this test needs");
        Self {
            process,
            port,
            _folder: folder,
        }
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PgBouncer: `apt-get install -y pgbouncer`, then `cargo test -- --include-ignored`"]
async fn notes_are_found_behind_pgbouncer_though_nobody_hears_a_notify() {
    let cluster = Cluster::start(Engine::Native).expect("a cluster");
    let mut direct = PgConnection::connect(&cluster.url("postgres"))
        .await
        .expect("a connection");
    sample::load(&mut direct).await.expect("the sample");
    let pooler = Pooler::start(&cluster);
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", pooler.port).into();
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
        // The proof is heard by nobody; from then on the change log is looked at.
        assert_eq!(noted.as_deref(), Ok("students"));
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
    let pooler = Pooler::start(&cluster);
    let url = format!(
        "postgres://postgres@127.0.0.1:{}/postgres?channel_binding=prefer",
        pooler.port
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
