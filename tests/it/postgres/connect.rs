//! Connecting, and failing to.

use std::time::Duration;

use frames_sync::ports::Retry;
use frames_sync::postgres::{ConnectOptions, PostgresError, connect};

use crate::support::{TestDatabase, TestProject};

fn impatient() -> ConnectOptions {
    ConnectOptions {
        acquire_timeout: Duration::from_secs(5),
        ..ConnectOptions::default()
    }
}

#[tokio::test]
async fn a_url_with_parameters_of_neon_connects_over_a_socket() {
    let database = TestDatabase::new().await;
    let url = format!(
        "{}&sslmode=disable&channel_binding=prefer&application_name=other",
        database.url()
    );
    let pool = connect(&url.as_str().into(), &impatient())
        .await
        .expect("a connection");
    let answer: i32 = sqlx::query_scalar("select 1")
        .fetch_one(&pool)
        .await
        .expect("an answer");
    assert_eq!(answer, 1);
}

#[tokio::test]
async fn a_server_without_tls_is_refused_when_tls_is_asked_for() {
    let database = TestDatabase::new().await;
    for mode in ["require", "verify-ca", "verify-full"] {
        // Over a socket the driver skips TLS, so a forwarder stands in for a server on the network.
        let address = forwarder_without_tls(&database).await;
        let url = format!("postgresql://postgres:hunter2@{address}/postgres?sslmode={mode}");
        let error = connect(&url.as_str().into(), &impatient()).await.expect_err(mode);
        assert!(matches!(error, PostgresError::Connect(_)), "{mode}: {error:?}");
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}

/// Answers every request for TLS with no, as a server without it does.
async fn forwarder_without_tls(_database: &TestDatabase) -> std::net::SocketAddr {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 8];
            if stream.read_exact(&mut request).await.is_ok() {
                assert_eq!(
                    request,
                    [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f],
                    "an SSLRequest and nothing before it"
                );
                let _ = stream.write_all(b"N").await;
            }
        }
    });
    address
}

#[tokio::test]
async fn nobody_there_is_worth_another_try() {
    let url = "postgresql://postgres@localhost/db?host=/nowhere/at/all";
    let error = connect(&url.into(), &impatient())
        .await
        .expect_err("nothing listens");
    assert_eq!(error.retry(), Retry::WithBackOff);
}

#[test]
fn the_built_binary_runs_in_a_project_of_its_own() {
    let project = TestProject::new()
        .project("version: 1\n")
        .mapping("teams", "version: 1\n")
        .env("DATABASE_URL", "postgres://nobody@localhost/none");
    assert!(project.path().join("mappings/teams.yaml").is_file());
    let ran = project.run(&["--version"]);
    assert_eq!(ran.code, Some(0), "{} {}", ran.stdout, ran.stderr);
}
