//! Keeps web pages of other sites from using what a person's browser may use.
//!
//! A page that a browser shows can post to any address that the browser reaches, with the person's cookies; with a name
//! of its own that suddenly means our address (DNS rebinding) it can read the answers too. The first gives itself away by
//! `Origin` and `Sec-Fetch-Site`, the second by `Host`. Sources: Fetch standard, "Origin header"; Fetch Metadata Request
//! Headers, W3C; RFC 9110, 7.2. Programs that are no browser send neither of the first two.

use std::net::IpAddr;

use http::uri::Authority;
use http::{HeaderMap, HeaderName, Method, header};

use super::Problem;

const LOOPBACK_NAMES: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a reverse proxy adds.
const FORWARDED: [&str; 3] = ["forwarded", "x-forwarded-for", "x-forwarded-host"];

/// The names under which a server answers; ports do not count.
#[derive(Clone, Debug)]
pub(super) struct Hosts(Vec<String>);

impl Hosts {
    /// The loopback names, the address that is listened on, and those that the operator gives.
    pub(super) fn new(listen: IpAddr, given: &[String]) -> Self {
        let own = match listen {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        let given = given.iter().map(|host| host.to_ascii_lowercase());
        let names = LOOPBACK_NAMES.into_iter().map(str::to_owned);
        Self(names.chain([own]).chain(given).collect())
    }

    /// Whether a name is a plain host name or address, as [`Self::new`] takes them.
    pub(super) fn is_name(host: &str) -> bool {
        host.parse::<Authority>()
            .is_ok_and(|authority| authority.host() == host && !host.is_empty())
    }

    /// Refuses what was asked for under a foreign name, and what a page of another site would have done.
    pub(super) fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
        let host = only(headers, &header::HOST).unwrap_or_default();
        let is_known = host.parse::<Authority>().is_ok_and(|authority| {
            let name = authority.host().to_ascii_lowercase();
            !host.contains('@') && self.0.contains(&name)
        });
        if !is_known {
            return Err(Problem::forbidden(
                "foreign_host",
                "this server does not answer under that host name; `serve --allow-host NAME` adds one",
            ));
        }
        if matches!(*method, Method::GET | Method::HEAD) || is_own_page(host, headers) {
            return Ok(());
        }
        Err(Problem::forbidden(
            "foreign_origin",
            "a page of another site may not do this",
        ))
    }
}

/// Whether a request that changes something comes from no page, or from one of ours.
fn is_own_page(host: &str, headers: &HeaderMap) -> bool {
    let is_own_origin = match headers.get(header::ORIGIN) {
        None => true,
        Some(_) => only(headers, &header::ORIGIN).is_some_and(|origin| {
            // TLS ends in front of us, so either scheme may be ours.
            let authority = origin
                .strip_prefix("http://")
                .or_else(|| origin.strip_prefix("https://"));
            authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
        }),
    };
    let is_same_site = match headers.get(SEC_FETCH_SITE) {
        None => true,
        Some(_) => only(headers, &SEC_FETCH_SITE) == Some("same-origin"),
    };
    is_own_origin && is_same_site
}

/// Whether a browser says that the request comes from a page of ours; programs say nothing.
pub(super) fn is_from_own_page(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) || headers.contains_key(SEC_FETCH_SITE)
}

/// Whether a proxy passed the request on, so that its sender may be anywhere.
pub(super) fn is_forwarded(headers: &HeaderMap) -> bool {
    FORWARDED.into_iter().any(|name| headers.contains_key(name))
}

/// A header's value where there is exactly one.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn code(method: Method, headers: &[(&'static str, &'static str)]) -> Option<&'static str> {
        let hosts = Hosts::new([10, 0, 0, 7].into(), &["Sync.example.org".to_owned()]);
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        hosts.check(&method, &map).err().map(|problem| problem.code)
    }

    #[test]
    fn programs_and_our_own_pages_are_let_in() {
        for host in [
            "127.0.0.1:7878",
            "localhost",
            "[::1]:7878",
            "10.0.0.7:1",
            "sync.example.org",
            "SYNC.EXAMPLE.ORG:443",
        ] {
            assert_eq!(code(Method::GET, &[("host", host)]), None, "{host}");
            assert_eq!(code(Method::POST, &[("host", host)]), None, "{host}");
        }
        let own = [
            ("host", "sync.example.org"),
            ("origin", "https://sync.example.org"),
            ("sec-fetch-site", "same-origin"),
        ];
        assert_eq!(code(Method::POST, &own), None);
    }

    #[test]
    fn foreign_names_are_not_answered() {
        for host in [
            "",
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost@evil.example",
            "evil.example@localhost",
            "localhost.",
            "sync.example.org.evil.example",
        ] {
            assert_eq!(
                code(Method::GET, &[("host", host)]),
                Some("foreign_host"),
                "{host}"
            );
        }
        assert_eq!(code(Method::GET, &[]), Some("foreign_host"));
        let doubled = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(code(Method::GET, &doubled), Some("foreign_host"));
    }

    #[test]
    fn pages_of_other_sites_change_nothing() {
        for (name, value) in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("origin", "http://localhost:1"),
            ("origin", "localhost:7878"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "none"),
        ] {
            let headers = [("host", "localhost:7878"), (name, value)];
            assert_eq!(
                code(Method::POST, &headers),
                Some("foreign_origin"),
                "{name}: {value}"
            );
            assert_eq!(code(Method::DELETE, &headers), Some("foreign_origin"));
            // Reading is harmless: the other page does not see the answer.
            assert_eq!(code(Method::GET, &headers), None);
        }
    }
}
