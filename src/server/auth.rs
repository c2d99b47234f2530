//! Who may ask for what: one decision for every request, before its route is looked up.
//!
//! Programs show a token as `Authorization: Bearer`; people log in with it once, and their browser keeps a cookie that is
//! signed with a key made of the tokens. Whoever changes one ends every session. There are two [`Role`]s, each with a token
//! of its own. Without a token, which only loopback may do, everyone on this machine is an operator, but for what needs a
//! fresh log-in.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, Method, header};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::Sha256;
use time::OffsetDateTime;
use uuid::Uuid;

use super::site::{self, Hosts};
use super::{Problem, Shared, ui};

/// The shortest token that is taken, in characters: nobody limits how often one may be guessed.
pub const SHORTEST_TOKEN: usize = 24;

/// How long a person stays logged in: a working day.
const SESSION: time::Duration = time::Duration::hours(12);

/// What the session key is made for; another use makes another key.
const SESSION_KEY: &[u8] = b"frames-sync session key 1";

/// What whoever was let in may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// Look at everything, and change nothing.
    Viewer,
    /// Choose sides of conflicts and ask for syncs too; and with the token entered anew, approve plans.
    Operator,
}

impl Role {
    /// Its name in cookies and on pages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Viewer, Self::Operator]
            .into_iter()
            .find(|role| role.name() == name)
    }
}

/// Who may use a server, and under which names.
#[derive(Clone)]
pub struct Access {
    hosts: Hosts,
    /// The operator's.
    token: Option<SecretString>,
    /// The viewer's; never without the operator's.
    viewer: Option<SecretString>,
    /// Signs sessions and forms.
    key: Arc<SecretSlice<u8>>,
    /// Whether others than this machine's programs are meant to reach it.
    is_public: bool,
}

/// Why a server may not be started so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// It would be open to everyone.
    #[error("without a token only this machine may be served")]
    NeedsToken,
    /// The token could be guessed.
    #[error("the token is shorter than {SHORTEST_TOKEN} characters")]
    ShortToken,
    /// Viewers would have a token, and operators none.
    #[error("there is a viewer's token and none for operators")]
    OnlyViewer,
    /// Viewers would be operators.
    #[error("the viewer's token is the operator's")]
    SameToken,
    /// A host name is none.
    #[error("`{0}` is no host name")]
    Host(String),
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("hosts", &self.hosts)
            .field("has_token", &self.token.is_some())
            .field("has_viewer", &self.viewer.is_some())
            .finish_non_exhaustive()
    }
}

impl Access {
    /// Access to a server that listens on an address and is known by further names.
    ///
    /// # Errors
    ///
    /// [`AccessError::NeedsToken`] where there is no token and anything but loopback is served, or a name other than
    /// loopback's is given: then a proxy passes the world on.
    pub fn new(listen: IpAddr, hosts: &[String], token: Option<SecretString>) -> Result<Self, AccessError> {
        if let Some(host) = hosts.iter().find(|host| !Hosts::is_name(host)) {
            return Err(AccessError::Host(host.clone()));
        }
        let is_public = !listen.is_loopback() || !hosts.is_empty();
        let key = match &token {
            None if is_public => return Err(AccessError::NeedsToken),
            Some(token) if token.expose_secret().chars().count() < SHORTEST_TOKEN => {
                return Err(AccessError::ShortToken);
            }
            Some(token) => mac(token.expose_secret().as_bytes(), &[SESSION_KEY])
                .finalize()
                .into_bytes()
                .to_vec(),
            // Forms of an earlier process need not hold.
            None => [Uuid::new_v4(), Uuid::new_v4()]
                .iter()
                .flat_map(|part| *part.as_bytes())
                .collect(),
        };
        Ok(Self {
            hosts: Hosts::new(listen, hosts),
            token,
            viewer: None,
            key: Arc::new(SecretSlice::from(key)),
            is_public,
        })
    }

    /// The same, with a second token for those who may look and nothing else.
    ///
    /// # Errors
    ///
    /// [`AccessError::OnlyViewer`] where there is no first one, [`AccessError::SameToken`] where it is the first one, and
    /// [`AccessError::ShortToken`].
    pub fn with_viewer(self, viewer: SecretString) -> Result<Self, AccessError> {
        if !self.has_token() {
            return Err(AccessError::OnlyViewer);
        }
        if viewer.expose_secret().chars().count() < SHORTEST_TOKEN {
            return Err(AccessError::ShortToken);
        }
        if self.role_of(viewer.expose_secret()).is_some() {
            return Err(AccessError::SameToken);
        }
        let key = self.sign(&[b"viewer", viewer.expose_secret().as_bytes()]);
        Ok(Self {
            viewer: Some(viewer),
            key: Arc::new(SecretSlice::from(key)),
            ..self
        })
    }

    /// The role that a token stands for; takes as long whatever is wrong with it.
    pub(super) fn role_of(&self, given: &str) -> Option<Role> {
        let is = |token: &Option<SecretString>| {
            let Some(token) = token else { return false };
            let expected = self.sign(&[b"token", token.expose_secret().as_bytes()]);
            mac(self.key.expose_secret(), &[b"token", given.as_bytes()])
                .verify_slice(&expected)
                .is_ok()
        };
        match (is(&self.token), is(&self.viewer)) {
            (true, _) => Some(Role::Operator),
            (false, true) => Some(Role::Viewer),
            (false, false) => None,
        }
    }

    /// Whether programs and people must show a token.
    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    fn sign(&self, parts: &[&[u8]]) -> Vec<u8> {
        mac(self.key.expose_secret(), parts)
            .finalize()
            .into_bytes()
            .to_vec()
    }

    fn cookie_name(&self) -> &'static str {
        // Browsers keep a `__Host-` cookie from being set by any other host or over plain HTTP (RFC 6265bis, 4.1.3).
        if self.is_public {
            "__Host-frames_sync"
        } else {
            "frames_sync"
        }
    }

    /// The `Set-Cookie` of a person who has just logged in.
    pub(super) fn log_in(&self, role: Role, now: OffsetDateTime) -> String {
        let session = format!(
            "{}.{}.{}",
            (now + SESSION).unix_timestamp(),
            Uuid::new_v4().simple(),
            role.name()
        );
        let signature = hex(&self.sign(&[b"session", session.as_bytes()]));
        self.cookie(&format!("{session}.{signature}"), SESSION.whole_seconds())
    }

    /// The `Set-Cookie` of a person who logs out.
    pub(super) fn log_out(&self) -> String {
        self.cookie("", 0)
    }

    fn cookie(&self, value: &str, seconds: i64) -> String {
        let secure = if self.is_public { "; Secure" } else { "" };
        format!(
            "{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}",
            self.cookie_name()
        )
    }

    /// The session of a request's cookie, if it is ours and has not ended.
    fn session(&self, headers: &HeaderMap, now: OffsetDateTime) -> Option<Session> {
        let cookies = headers.get_all(header::COOKIE).iter();
        let value = cookies
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .find_map(|pair| {
                let (name, value) = pair.trim().split_once('=')?;
                (name == self.cookie_name()).then_some(value)
            })?;
        let (session, signature) = value.rsplit_once('.')?;
        mac(self.key.expose_secret(), &[b"session", session.as_bytes()])
            .verify_slice(&unhex(signature)?)
            .ok()?;
        let mut parts = session.split('.');
        let until: i64 = parts.next()?.parse().ok()?;
        let role = Role::named(parts.nth(1)?)?;
        (now.unix_timestamp() < until).then(|| self.opened(value, role))
    }

    fn opened(&self, cookie: &str, role: Role) -> Session {
        Session {
            role,
            form_token: hex(&self.sign(&[b"form", cookie.as_bytes()])),
        }
    }
}

/// A person at a browser.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// What the person may do.
    pub(super) role: Role,
    /// What every form of theirs carries, and no other site can know.
    pub(super) form_token: String,
}

impl Session {
    /// Whether a form came from one of our pages.
    pub(super) fn sent(&self, form_token: &str) -> bool {
        // Compared by their digests, so that time tells nothing of the token.
        let digest = |text: &str| mac(SESSION_KEY, &[text.as_bytes()]);
        digest(form_token)
            .verify_slice(&digest(&self.form_token).finalize().into_bytes())
            .is_ok()
    }
}

/// What a path belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Realm {
    /// Open to the world: deliveries that are signed, and whether the process lives.
    Outside,
    /// Open to who may knock: the login, and the styles.
    Door,
    /// For programs.
    Api,
    /// For people. Everything that is not named is here.
    Pages,
}

impl Realm {
    fn of(path: &str) -> Self {
        match path {
            "/healthz" | "/readyz" => Self::Outside,
            "/login" => Self::Door,
            "/metrics" => Self::Api,
            path if path.starts_with("/webhooks/") => Self::Outside,
            path if path.starts_with("/assets/") => Self::Door,
            path if path.starts_with("/api/") => Self::Api,
            _ => Self::Pages,
        }
    }
}

/// Lets a request through to its route, or says why not.
pub(super) async fn guard(State(app): State<Shared>, mut request: Request, next: Next) -> Response {
    let realm = Realm::of(request.uri().path());
    if realm == Realm::Outside {
        return next.run(request).await;
    }
    let refused = |problem: Problem| {
        app.counters.refused(problem.code);
        if realm == Realm::Api {
            problem.into_response()
        } else {
            ui::problem(&problem)
        }
    };
    let access = &app.access;
    if let Err(problem) = access.hosts.check(request.method(), request.headers()) {
        return refused(problem);
    }
    if !access.has_token() && site::is_forwarded(request.headers()) {
        return refused(Problem::forbidden(
            "needs_token",
            "a proxy passed this on, and this server has no token that it could ask for",
        ));
    }
    let is_reading = matches!(*request.method(), Method::GET | Method::HEAD);
    let may = |role: Role| is_reading || role == Role::Operator;
    match realm {
        Realm::Outside | Realm::Door => {}
        Realm::Api if access.has_token() => match bearer(access, request.headers()) {
            None => return refused(Problem::unauthorised()),
            Some(role) if !may(role) => return refused(needs_operator()),
            Some(_) => {}
        },
        Realm::Api => {}
        Realm::Pages => {
            let session = if access.has_token() {
                access.session(request.headers(), OffsetDateTime::now_utc())
            } else {
                Some(access.opened("", Role::Operator))
            };
            let Some(session) = session else {
                app.counters.refused("no_session");
                return Redirect::to("/login").into_response();
            };
            if !is_reading && !site::is_from_own_page(request.headers()) {
                return refused(Problem::forbidden(
                    "foreign_origin",
                    "forms are for browsers; programs use the API",
                ));
            }
            if !may(session.role) && request.uri().path() != "/logout" {
                return refused(needs_operator());
            }
            request.extensions_mut().insert(session);
        }
    }
    next.run(request).await
}

fn needs_operator() -> Problem {
    Problem::forbidden(
        "needs_operator",
        "with a viewer's token everything may be looked at and nothing changed",
    )
}

/// The role of the token that a program shows.
fn bearer(access: &Access, headers: &HeaderMap) -> Option<Role> {
    let (scheme, token) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| access.role_of(token.trim()))?
}

/// A keyed digest of parts, each with its length before it.
fn mac(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use time::macros::datetime;

    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const NOW: OffsetDateTime = datetime!(2026-09-04 12:00 UTC);

    fn token(text: &str) -> Option<SecretString> {
        Some(SecretString::from(text))
    }

    fn access(token_text: &str) -> Access {
        Access::new(LOOPBACK, &[], token(token_text)).unwrap()
    }

    fn with_cookie(set_cookie: &str) -> HeaderMap {
        let pair = set_cookie.split(';').next().unwrap();
        let mut headers = HeaderMap::new();
        let line = format!("other=1; {pair}");
        headers.insert(header::COOKIE, HeaderValue::from_str(&line).unwrap());
        headers
    }

    #[test]
    fn only_loopback_goes_without_a_token() {
        let everywhere = IpAddr::from([0, 0, 0, 0]);
        let good = "0123456789abcdef01234567";
        let hosts = ["sync.example.org".to_owned()];
        assert!(Access::new(LOOPBACK, &[], None).is_ok());
        assert_eq!(
            Access::new(everywhere, &[], None).err(),
            Some(AccessError::NeedsToken)
        );
        assert_eq!(
            Access::new(LOOPBACK, &hosts, None).err(),
            Some(AccessError::NeedsToken)
        );
        assert!(Access::new(everywhere, &hosts, token(good)).is_ok());
        assert_eq!(
            Access::new(LOOPBACK, &[], token(&good[1..])).err(),
            Some(AccessError::ShortToken)
        );
        for name in ["", "https://x", "x:80", "a b", "u@x"] {
            let error = Access::new(LOOPBACK, &[name.to_owned()], token(good)).err();
            assert_eq!(error, Some(AccessError::Host(name.to_owned())));
        }
    }

    #[test]
    fn only_the_token_itself_is_the_token() {
        let access = access("0123456789abcdef01234567");
        assert_eq!(access.role_of("0123456789abcdef01234567"), Some(Role::Operator));
        for wrong in [
            "",
            "0123456789abcdef0123456",
            "0123456789abcdef012345678",
            "0123456789ABCDEF01234567",
        ] {
            assert_eq!(access.role_of(wrong), None);
        }
        assert!(!format!("{access:?}").contains("0123456789"));
    }

    #[test]
    fn a_session_ends_with_its_day_with_its_token_and_with_any_change() {
        let access = access("0123456789abcdef01234567");
        let cookie = access.log_in(Role::Operator, NOW);
        assert!(cookie.contains("; HttpOnly; SameSite=Strict"));
        assert!(!cookie.contains("Secure"));
        assert!(!cookie.contains("0123456789abcdef01234567"));
        assert!(access.session(&with_cookie(&cookie), NOW).is_some());
        assert!(access.session(&with_cookie(&cookie), NOW + SESSION).is_none());
        assert!(access.session(&with_cookie(&access.log_out()), NOW).is_none());
        let other = Access::new(LOOPBACK, &[], token("another-token-of-some-length")).unwrap();
        assert!(other.session(&with_cookie(&cookie), NOW).is_none());
        let value = cookie.split(';').next().unwrap();
        for at in "frames_sync=".len()..value.len() {
            let mut bytes = value.as_bytes().to_vec();
            bytes[at] ^= 1;
            let Ok(headers) = String::from_utf8(bytes).map(|text| with_cookie(&text)) else {
                continue;
            };
            assert!(access.session(&headers, NOW).is_none(), "byte {at}");
        }
    }

    #[test]
    fn a_viewers_token_is_another_one_and_its_sessions_are_viewers() {
        let (operators, viewers) = ("0123456789abcdef01234567", "viewer-0123456789abcdef0");
        let with = |viewer: &str| access(operators).with_viewer(SecretString::from(viewer));
        assert_eq!(with(operators).err(), Some(AccessError::SameToken));
        assert_eq!(with(&viewers[1..]).err(), Some(AccessError::ShortToken));
        let alone = Access::new(LOOPBACK, &[], None).unwrap();
        let alone = alone.with_viewer(SecretString::from(viewers));
        assert_eq!(alone.err(), Some(AccessError::OnlyViewer));

        let both = with(viewers).unwrap();
        assert_eq!(both.role_of(operators), Some(Role::Operator));
        assert_eq!(both.role_of(viewers), Some(Role::Viewer));
        assert_eq!(both.role_of("viewer-0123456789abcdef1"), None);
        for role in [Role::Viewer, Role::Operator] {
            let cookie = both.log_in(role, NOW);
            let session = both.session(&with_cookie(&cookie), NOW).unwrap();
            assert_eq!(session.role, role);
        }
        // Nobody becomes an operator by writing so, and another viewer's token ends every session.
        let cookie = both.log_in(Role::Viewer, NOW);
        let forged = cookie.replace(".viewer.", ".operator.");
        assert_ne!(forged, cookie);
        assert!(both.session(&with_cookie(&forged), NOW).is_none());
        let other = with("viewer-0123456789abcdef1").unwrap();
        assert!(other.session(&with_cookie(&cookie), NOW).is_none());
    }

    #[test]
    fn a_form_of_another_session_is_not_taken() {
        let access = access("0123456789abcdef01234567");
        let session = |cookie: &str| access.session(&with_cookie(cookie), NOW).unwrap();
        let (one, other) = (
            session(&access.log_in(Role::Operator, NOW)),
            session(&access.log_in(Role::Operator, NOW)),
        );
        assert!(one.sent(&one.form_token));
        assert!(!one.sent(&other.form_token));
        assert!(!one.sent(""));
    }

    #[test]
    fn what_others_reach_has_cookies_for_tls_only() {
        let public = Access::new(IpAddr::from([0, 0, 0, 0]), &[], token("0123456789abcdef01234567"));
        let cookie = public.unwrap().log_in(Role::Operator, NOW);
        assert!(cookie.starts_with("__Host-frames_sync="));
        assert!(cookie.ends_with("; Secure"));
    }

    #[test]
    fn what_is_not_named_needs_a_session() {
        for path in [
            "/",
            "/x",
            "//api/v1/x",
            "/Healthz",
            "/api",
            "/metrics/",
            "/webhooks",
        ] {
            assert_eq!(Realm::of(path), Realm::Pages, "{path}");
        }
    }
}
