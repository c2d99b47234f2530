//! What a wire can do to us: each a clear error, and the token goes nowhere else.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use frames_sync::notion::{Client, NotionError, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::logged;

const TOKEN: &str = "ntn_SENTINEL0123456789";

fn client(address: std::net::SocketAddr) -> Client {
    let mut settings = Settings::new(TOKEN.to_owned().into());
    settings.base_url = format!("http://{address}");
    settings.request_timeout = Duration::from_secs(5);
    Client::new(&settings).unwrap()
}

/// Serves one answer to everything, and counts.
async fn serve(
    answer: impl Fn(HeaderMap) -> Response + Clone + Send + Sync + 'static,
) -> (std::net::SocketAddr, Arc<Mutex<u32>>) {
    let count = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&count);
    let router = Router::new().fallback(move |headers: HeaderMap| {
        *counted.lock().unwrap() += 1;
        let answer = answer(headers);
        async move { answer }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address, count)
}

#[tokio::test]
async fn a_wrong_token_is_named_and_never_logged() {
    let (address, count) = serve(|headers| {
        assert_eq!(headers["authorization"], format!("Bearer {TOKEN}"));
        assert_eq!(headers["notion-version"], "2026-03-11");
        let body = r#"{"object":"error","status":401,"code":"unauthorized","message":"API token is invalid.","request_id":"r-77"}"#;
        (StatusCode::UNAUTHORIZED, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    })
    .await;
    let client = client(address);
    let (result, log) = logged(client.me()).await;
    let error = result.unwrap_err();
    assert_eq!(
        error.to_string(),
        "could not ask who the token belongs to: Notion refused with 401 `unauthorized`: API token is invalid (request r-77)"
    );
    assert_eq!(error.request_id(), Some("r-77"));
    assert!(log.contains("GET /v1/users/me"), "{log}");
    assert!(!log.contains("SENTINEL") && !format!("{error:?} {client:?}").contains("SENTINEL"));
    assert_eq!(*count.lock().unwrap(), 1);
}

#[tokio::test]
async fn a_redirect_is_refused_and_the_token_goes_nowhere() {
    let (elsewhere, reached) = serve(|_| "{}".into_response()).await;
    let (address, _) = serve(move |_| {
        let location = format!("http://{elsewhere}/v1/users/me");
        (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
    })
    .await;
    let error = client(address).me().await.unwrap_err();
    assert!(error.to_string().contains("redirect"), "{error}");
    assert_eq!(*reached.lock().unwrap(), 0);
}

#[tokio::test]
async fn a_proxys_html_page_is_told_from_notion() {
    let (address, count) = serve(|_| {
        let page = "<html><body>Corporate proxy: log in</body></html>";
        (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "text/html")], page).into_response()
    })
    .await;
    let error = client(address).me().await.unwrap_err();
    assert!(error.to_string().contains("HTML page (status 404)"), "{error}");
    assert!(error.help().unwrap().contains("proxy"));
    assert_eq!(*count.lock().unwrap(), 1);
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let (address, count) = serve(|_| {
        let chunk = vec![b' '; 1 << 20];
        let endless = futures_util::stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone()));
        Response::builder()
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from_stream(endless))
            .unwrap()
    })
    .await;
    let error = client(address).me().await.unwrap_err();
    assert!(error.to_string().contains("larger than 32 MiB"), "{error}");
    assert_eq!(*count.lock().unwrap(), 1, "asking again would answer as much");
}

/// As many zero bytes, as gzip (RFC 1952) around one deflate block with fixed codes (RFC 1951, 3.2.6).
fn gzip_of_zeros(length: usize) -> Vec<u8> {
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let (mut byte, mut filled) = (0, 0);
    let mut put = |bits: u32, count: u32| {
        // Codes go in from their highest bit, each byte is filled from its lowest.
        for index in (0..count).rev() {
            byte |= ((bits >> index & 1) as u8) << filled;
            filled += 1;
            if filled == 8 {
                file.push(byte);
                (byte, filled) = (0, 0);
            }
        }
    };
    put(0b110, 3);
    put(0b0011_0000, 8);
    for _ in 0..length / 258 {
        // 258 bytes again, from one byte back.
        put(0b1100_0101, 8);
        put(0, 5);
    }
    put(0, 7);
    put(0, 8);
    file
}

#[tokio::test]
async fn a_small_answer_that_unpacks_to_a_huge_one_is_cut_off() {
    let bomb = gzip_of_zeros(256 << 20);
    assert!(bomb.len() < 2 << 20, "{}", bomb.len());
    let (address, count) = serve(move |headers| {
        assert!(headers["accept-encoding"].to_str().unwrap().contains("gzip"));
        let headers = [
            (header::CONTENT_TYPE, "application/json"),
            (header::CONTENT_ENCODING, "gzip"),
        ];
        (headers, bomb.clone()).into_response()
    })
    .await;
    let error = client(address).me().await.unwrap_err();
    assert!(error.to_string().contains("larger than 32 MiB"), "{error}");
    assert_eq!(*count.lock().unwrap(), 1);
}

#[tokio::test]
async fn a_write_answered_by_truncated_json_is_unknown() {
    let (address, count) = serve(|_| {
        (
            [(header::CONTENT_TYPE, "application/json")],
            r#"{"object":"page","id":"59b8c"#,
        )
            .into_response()
    })
    .await;
    let error = client(address).trash(&"p".into()).await.unwrap_err();
    assert!(error.is_unknown(), "{error}");
    assert_eq!(*count.lock().unwrap(), 1);
}

#[tokio::test]
async fn a_connection_that_breaks_in_mid_answer_leaves_a_write_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            *counted.lock().unwrap() += 1;
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let half = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"object\":";
            let _ = stream.write_all(half.as_bytes()).await;
        }
    });
    let error = client(address).trash(&"p".into()).await.unwrap_err();
    assert!(error.is_unknown(), "{error}");
    assert_eq!(*connections.lock().unwrap(), 1);
}

#[tokio::test]
async fn an_unshared_page_is_explained() {
    let (address, _) = serve(|_| {
        let body = r#"{"object":"error","status":404,"code":"object_not_found","message":"Could not find page with ID: p. Make sure the relevant pages and databases are shared with your integration \"x\"."}"#;
        (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    })
    .await;
    let error = client(address).retrieve_page(&"p".into()).await.unwrap_err();
    assert!(error.is_not_found());
    assert!(error.help().unwrap().contains("Connections"));
}

#[tokio::test]
async fn nobody_listening_is_a_request_that_never_left() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = client(address).trash(&"p".into()).await.unwrap_err();
    assert!(matches!(error, NotionError::Send { .. }), "{error}");
    assert!(error.help().unwrap().contains("network"));
}
