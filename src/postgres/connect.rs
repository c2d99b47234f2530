//! Connecting: TLS that is verified, poolers that share connections, and limits on waiting.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::{Connection as _, PgConnection, PgPool};

use super::PostgresError;

/// How to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectOptions {
    /// What `pg_stat_activity` shows.
    pub application_name: String,
    /// The most connections at once.
    pub max_connections: u32,
    /// How long to wait for a connection, new or from the pool.
    pub acquire_timeout: Duration,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            application_name: "frames-sync".to_owned(),
            // A profile reads and writes on one connection and renews its lease on another; the rest is for
            // profiles at once. Hosted plans allow as few as twenty in all.
            max_connections: 5,
            acquire_timeout: Duration::from_secs(15),
        }
    }
}

/// Connects to the database of a URL, `postgres://user:password@host:port/database?sslmode=…`.
///
/// Answers once one connection works. Nothing is prepared by name and nothing is set for the session, so
/// PgBouncer's transaction mode is fine.
///
/// **TLS**: to anything but a loopback address or a Unix socket the certificate and the host name are verified,
/// whatever `sslmode` says, against the roots of the build or those of `sslrootcert`. Source: libpq documentation,
/// "SSL Support": `require` alone does not verify. `channel_binding` is accepted and dropped: the driver does
/// SCRAM without it, and a verified certificate already names the server.
///
/// # Errors
/// [`PostgresError::Url`] when the URL cannot be read, [`PostgresError::Connect`] when nobody answers there.
pub async fn connect(url: &SecretString, options: &ConnectOptions) -> Result<PgPool, PostgresError> {
    let connection = connect_options(url, options)?;
    // A pool goes on trying where nobody listens, and forgets why it failed; one connection says so at once.
    let tried = tokio::time::timeout(options.acquire_timeout, PgConnection::connect_with(&connection));
    let failed = |error: sqlx::Error| PostgresError::Connect(error.into());
    tried
        .await
        .unwrap_or(Err(sqlx::Error::PoolTimedOut))
        .map_err(failed)?
        .close()
        .await
        .map_err(failed)?;
    Ok(PgPoolOptions::new()
        .max_connections(options.max_connections)
        .acquire_timeout(options.acquire_timeout)
        .connect_lazy_with(connection))
}

/// Reads a URL into the driver's options, with everything in it that [`connect`] promises.
///
/// # Errors
/// [`PostgresError::Url`], without a word of the URL.
pub fn connect_options(
    url: &SecretString,
    options: &ConnectOptions,
) -> Result<PgConnectOptions, PostgresError> {
    let (url, sslmode) = without_what_the_driver_does_not_know(url.expose_secret());
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(PostgresError::Url(
            "it must start with `postgres://` or `postgresql://`",
        ));
    }
    let parsed = PgConnectOptions::from_str(&url)
        .map_err(|_| PostgresError::Url("it is not of the form `postgres://user:password@host/database`"))?
        .application_name(&options.application_name)
        .statement_cache_capacity(0)
        // PgBouncer refuses start-up parameters that it does not track, this one too.
        .extra_float_digits(None);
    let mode = match (is_local(&parsed), sslmode.as_deref()) {
        (true, None | Some("disable" | "allow" | "prefer")) => PgSslMode::Disable,
        (true, Some("require")) => PgSslMode::Require,
        (true, Some("verify-ca")) => PgSslMode::VerifyCa,
        (_, None | Some("disable" | "allow" | "prefer" | "require" | "verify-ca" | "verify-full")) => {
            PgSslMode::VerifyFull
        }
        (_, Some(_)) => {
            return Err(PostgresError::Url("its `sslmode` is none of libpq's six"));
        }
    };
    Ok(parsed.ssl_mode(mode))
}

/// Takes out the parameters that the driver would print with a warning, and reads `sslmode`.
fn without_what_the_driver_does_not_know(url: &str) -> (String, Option<String>) {
    let Some((address, query)) = url.split_once('?') else {
        return (url.to_owned(), None);
    };
    let mut sslmode = None;
    let kept: Vec<&str> = query
        .split('&')
        .filter(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            if matches!(name, "sslmode" | "ssl-mode") {
                sslmode = Some(value.to_owned());
            }
            matches!(
                name,
                "sslrootcert"
                    | "ssl-root-cert"
                    | "ssl-ca"
                    | "sslcert"
                    | "ssl-cert"
                    | "sslkey"
                    | "ssl-key"
                    | "host"
                    | "hostaddr"
                    | "port"
                    | "dbname"
                    | "user"
                    | "password"
                    | "options"
            ) || name.starts_with("options[")
        })
        .collect();
    if kept.is_empty() {
        (address.to_owned(), sslmode)
    } else {
        (format!("{address}?{}", kept.join("&")), sslmode)
    }
}

/// Whether the way to the server never leaves this machine.
fn is_local(options: &PgConnectOptions) -> bool {
    let host = options.get_host().trim_start_matches('[').trim_end_matches(']');
    options.get_socket().is_some()
        || host == "localhost"
        || host.starts_with('/')
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::{ConnectOptions, connect_options};
    use crate::postgres::PostgresError;

    fn mode(url: &str) -> String {
        let options = connect_options(&url.into(), &ConnectOptions::default()).expect(url);
        format!("{:?}", options.get_ssl_mode())
    }

    #[test]
    fn every_remote_server_is_verified_whatever_the_url_says() {
        for query in [
            "",
            "?sslmode=disable",
            "?sslmode=prefer",
            "?sslmode=require&channel_binding=require",
            "?sslmode=verify-ca",
        ] {
            let url = format!("postgres://app:secret@ep-cool-1.eu-central-1.aws.neon.tech/neondb{query}");
            assert_eq!(mode(&url), "VerifyFull", "{query}");
        }
        assert_eq!(mode("postgres://u@127.0.0.1.example.com/db"), "VerifyFull");
        assert_eq!(mode("postgres://u@10.0.0.1/db?sslmode=disable"), "VerifyFull");
    }

    #[test]
    fn loopback_needs_no_tls_and_may_ask_for_it() {
        for host in ["localhost", "127.0.0.1", "127.8.8.8", "[::1]"] {
            assert_eq!(
                mode(&format!("postgresql://u@{host}:5433/db?sslmode=prefer")),
                "Disable",
                "{host}"
            );
        }
        assert_eq!(
            mode("postgresql://u@localhost/db?host=/var/run/postgresql"),
            "Disable"
        );
        assert_eq!(
            mode("postgresql://u@localhost/db?sslmode=verify-full"),
            "VerifyFull"
        );
        assert_eq!(mode("postgresql://u@localhost/db?sslmode=require"), "Require");
    }

    #[test]
    fn a_wrong_url_is_refused_without_being_told() {
        for url in [
            "",
            "mysql://root:hunter2@h/db",
            "postgres://u:hunter2@h:port/db",
            "postgres://u@h/db?sslmode=on",
        ] {
            let error = connect_options(&url.into(), &ConnectOptions::default()).expect_err(url);
            assert!(matches!(error, PostgresError::Url(_)));
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }
}
