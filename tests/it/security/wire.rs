//! Who is spoken to: Postgres behind a certificate, and Notion at its own address (S8, S9).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use frames_sync::notion::transport::{HttpTransport, NOTION_URL};
use frames_sync::notion::{Client, Settings};
use frames_sync::postgres::{ConnectOptions, PostgresError, connect};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;

use crate::golden::root;
use crate::support::{TestDatabase, TestProject};

fn certificate(name: &str) -> PathBuf {
    root().join("tests/fixtures/tls").join(name)
}

/// What came through a proxy once the handshake was over.
#[derive(Clone, Default)]
struct Heard(Arc<AtomicUsize>);

/// Answers a request for TLS with a certificate, and passes on what is said inside.
async fn proxy(name: &str, database: &TestDatabase) -> (SocketAddr, Heard) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let chain = CertificateDer::pem_file_iter(certificate(&format!("{name}.pem")))
        .expect("a file")
        .collect::<Result<Vec<_>, _>>()
        .expect("certificates");
    let key = PrivateKeyDer::from_pem_file(certificate(&format!("{name}.key"))).expect("a key");
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a configuration");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let url = database.url();
    let (_, folder) = url.split_once("?host=").expect("a socket's folder");
    let socket = PathBuf::from(folder).join(".s.PGSQL.5432");
    let heard = Heard::default();
    let counted = heard.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(pass_on(stream, acceptor.clone(), socket.clone(), counted.clone()));
        }
    });
    (address, heard)
}

async fn pass_on(mut stream: TcpStream, acceptor: TlsAcceptor, socket: PathBuf, heard: Heard) {
    let mut request = [0; 8];
    stream.read_exact(&mut request).await.expect("a request for TLS");
    assert_eq!(
        request,
        [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f],
        "nothing is said before TLS"
    );
    stream.write_all(b"S").await.expect("an answer");
    let Ok(mut inside) = acceptor.accept(stream).await else {
        return;
    };
    let mut first = [0; 1024];
    let Ok(length @ 1..) = inside.read(&mut first).await else {
        return;
    };
    heard.0.fetch_add(length, Ordering::SeqCst);
    let mut server = UnixStream::connect(socket).await.expect("the server");
    server.write_all(&first[..length]).await.expect("passed on");
    let _ = tokio::io::copy_bidirectional(&mut inside, &mut server).await;
}

async fn ask(url: &str) -> Result<i32, PostgresError> {
    let options = ConnectOptions {
        acquire_timeout: Duration::from_secs(5),
        ..ConnectOptions::default()
    };
    let pool = connect(&url.into(), &options).await?;
    let answer = sqlx::query_scalar("select 1")
        .fetch_one(&pool)
        .await
        .expect("an answer");
    pool.close().await;
    Ok(answer)
}

#[tokio::test]
async fn s08_a_server_that_proves_nothing_hears_nothing() {
    let database = TestDatabase::new().await;
    let own = database.url();
    let path = own.split('?').next().expect("a path");
    let name = path.rsplit('/').next().expect("a name").to_owned();
    let trusted = certificate("ca.pem").display().to_string();
    let url = |host: &str, address: SocketAddr, more: &str| {
        format!(
            "postgres://postgres:hunter2@{host}:{}/{name}?{more}",
            address.port()
        )
    };
    let (good, heard) = proxy("localhost", &database).await;
    for host in ["localhost", "127.0.0.1"] {
        let answer = ask(&url(
            host,
            good,
            &format!("sslmode=verify-full&sslrootcert={trusted}"),
        ))
        .await;
        assert_eq!(
            answer.expect("the certificate is the one of the host"),
            1,
            "{host}"
        );
    }
    assert!(heard.0.load(Ordering::SeqCst) > 0);

    let (wrong_host, heard_by_wrong_host) = proxy("elsewhere", &database).await;
    let (wrong_ca, heard_by_wrong_ca) = proxy("stranger", &database).await;
    let (unknown, heard_by_unknown) = proxy("localhost", &database).await;
    for (what, url, heard) in [
        (
            "another host's name",
            url(
                "localhost",
                wrong_host,
                &format!("sslmode=verify-full&sslrootcert={trusted}"),
            ),
            &heard_by_wrong_host,
        ),
        (
            "another host's address",
            url(
                "127.0.0.1",
                wrong_host,
                &format!("sslmode=verify-full&sslrootcert={trusted}"),
            ),
            &heard_by_wrong_host,
        ),
        (
            "an authority that is not trusted",
            url(
                "localhost",
                wrong_ca,
                &format!("sslmode=verify-full&sslrootcert={trusted}"),
            ),
            &heard_by_wrong_ca,
        ),
        (
            "the same, where only the authority is checked",
            url(
                "localhost",
                wrong_ca,
                &format!("sslmode=verify-ca&sslrootcert={trusted}"),
            ),
            &heard_by_wrong_ca,
        ),
        (
            "an authority that the build does not know",
            url("localhost", unknown, "sslmode=verify-full"),
            &heard_by_unknown,
        ),
        (
            "a file of authorities that is not there",
            url(
                "localhost",
                unknown,
                "sslmode=verify-full&sslrootcert=/nowhere.pem",
            ),
            &heard_by_unknown,
        ),
    ] {
        let error = ask(&url).await.expect_err(what);
        assert!(matches!(error, PostgresError::Connect(_)), "{what}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{what}");
        assert_eq!(
            heard.0.load(Ordering::SeqCst),
            0,
            "{what}: a password may have been heard"
        );
    }
}

/// Addresses that are not Notion's, though some look so, and that no reading of makes this machine's.
const FOREIGN: [&str; 27] = [
    "http://api.notion.com",
    "https://api.notion.com.evil.example",
    "https://api.notion.com@evil.example",
    "https://api.notion.com:443@169.254.169.254",
    "https://api.notion.com/../../evil.example",
    "https://api.notion.com?@evil.example",
    "https://evil.example/https://api.notion.com",
    "https://evil.example#https://api.notion.com",
    "http://169.254.169.254",
    "http://169.254.169.254:80/latest/meta-data",
    "http://[::ffff:169.254.169.254]",
    "http://[fd00:ec2::254]",
    "http://[fe80::1]",
    "http://[::]",
    "http://0.0.0.0",
    "http://10.0.0.1",
    "http://2852039166",
    "http://0xa9fea9fe",
    "http://user:password@127.0.0.1:80",
    "http://127.0.0.1:80@evil.example",
    "http://[::1]@evil.example",
    "http://localhost\\@evil.example/",
    "http://localhost.evil.example",
    "http://127.0.0.1.nip.io",
    "http://127.0.0.1:80/path",
    "file:///etc/passwd",
    "gopher://127.0.0.1:70",
];

#[test]
fn s09_the_token_goes_to_notion_or_this_machine() {
    let transport =
        |url: &str| HttpTransport::new(url, "ntn_canary".to_owned().into(), Duration::from_secs(1));
    for own in [
        NOTION_URL,
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
        "http://localhost:8080",
        "http://127.1:80",
    ] {
        assert!(transport(own).is_ok(), "{own}");
    }
    let project = TestProject::new()
        .project(
            "version: 1\ndefaults:\n  database_url: \"{{ env.DATABASE_URL }}\"\n  notion:\n    token: \"{{ env.TOKEN }}\"\n    \
             base_url: \"{{ env.BASE }}\"\n    parent_page: 59b8c3c2000040008000000000000001\nprofiles: { demo: {} }\n",
        )
        .file("mappings/none.txt", "")
        .env("TOKEN", "ntn_canary_0123456789")
        .env("DATABASE_URL", "postgres://u@127.0.0.1:1/none");
    for foreign in FOREIGN {
        assert!(transport(foreign).is_err(), "{foreign}");
        for (name, value) in [("BASE", foreign), ("FRAMES_SYNC_NOTION_BASE_URL", foreign)] {
            let mut command = project.command(&["validate", "--offline", "--format", "json"]);
            command.env("BASE", NOTION_URL).env(name, value);
            let ran = command.output().expect("the built binary runs");
            let output = String::from_utf8_lossy(&ran.stdout);
            assert_ne!(ran.status.code(), Some(0), "{name}={foreign}: {output}");
            assert!(!output.contains("ntn_canary"), "{output}");
        }
    }
}

/// A redirect, wherever to: it is an error, and nobody else is asked.
#[tokio::test]
async fn s09_a_redirect_takes_the_token_nowhere() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let reached = Arc::new(AtomicUsize::new(0));
    let address = elsewhere.local_addr().expect("an address");
    let counted = Arc::clone(&reached);
    tokio::spawn(async move {
        while elsewhere.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let notion = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", notion.local_addr().expect("an address"));
    let locations = [
        "http://169.254.169.254/latest/meta-data/iam/security-credentials/".to_owned(),
        "http://[fd00:ec2::254]/".to_owned(),
        "//169.254.169.254/".to_owned(),
        format!("http://{address}/v1/users/me"),
        format!("http://user:pass@{address}/"),
        "file:///etc/passwd".to_owned(),
    ];
    let count = locations.len();
    let answers = tokio::spawn(async move {
        for status in [301, 302, 303, 307, 308] {
            for location in &locations {
                let (mut stream, _) = notion.accept().await.expect("a request");
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.expect("a request");
                assert!(String::from_utf8_lossy(&request[..length]).contains("Bearer ntn_canary"));
                let answer = format!(
                    "HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                );
                stream.write_all(answer.as_bytes()).await.expect("an answer");
            }
        }
    });
    let settings = Settings {
        base_url: base,
        request_timeout: Duration::from_secs(5),
        ..Settings::new("ntn_canary".to_owned().into())
    };
    for _ in 0..5 * count {
        let client = Client::new(&settings).expect("a client");
        let error = client.me().await.expect_err("a redirect");
        assert!(error.to_string().contains("redirect"), "{error}");
    }
    answers.await.expect("every answer was asked for");
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}
