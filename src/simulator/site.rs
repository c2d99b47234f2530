//! Keeps web pages of other sites away from what needs no token.
//!
//! A page that a browser shows can post to any port of its own machine, and with a name of its own that suddenly means
//! 127.0.0.1 (DNS rebinding) it can read the answers too. The first gives itself away by `Origin`, the second by `Host`
//! (Fetch standard, "Origin header"; RFC 9110, 7.2). Programs that are no browser send the right `Host` and no `Origin`.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::uri::Authority;
use http::{HeaderMap, header};

use super::http::plain;

const LOOPBACK_NAMES: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// Answers 403 unless the request was made for a loopback name, and by no page but our own.
pub(super) async fn refuse_other_sites(request: Request, next: Next) -> Response {
    if is_ours(request.headers()) {
        next.run(request).await
    } else {
        plain(
            403,
            "this address answers only programs on this machine and its own page",
        )
    }
}

fn is_ours(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(host) = text(header::HOST) else {
        return false;
    };
    let is_loopback = host
        .parse::<Authority>()
        .is_ok_and(|authority| LOOPBACK_NAMES.contains(&authority.host()));
    let is_own_page = match headers.get(header::ORIGIN) {
        None => true,
        Some(origin) => origin.as_bytes() == format!("http://{host}").as_bytes(),
    };
    is_loopback && is_own_page
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn asked(host: &'static str, origin: Option<&'static str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        headers.extend(origin.map(|origin| (header::ORIGIN, HeaderValue::from_static(origin))));
        is_ours(&headers)
    }

    #[test]
    fn programs_and_our_own_page_are_let_in() {
        assert!(asked("127.0.0.1:7070", None));
        assert!(asked("localhost:7070", Some("http://localhost:7070")));
        assert!(asked("[::1]:7070", None));
    }

    #[test]
    fn pages_of_other_sites_and_names_that_turned_to_loopback_are_not() {
        assert!(!asked("127.0.0.1:7070", Some("https://evil.example")));
        assert!(!asked("127.0.0.1:7070", Some("null")));
        assert!(!asked("127.0.0.1:7070", Some("http://127.0.0.1:8080")));
        assert!(!asked("evil.example:7070", Some("http://evil.example:7070")));
        assert!(!asked("evil.example", None));
        assert!(!asked("127.0.0.1.evil.example", None));
        assert!(!is_ours(&HeaderMap::new()));
    }
}
