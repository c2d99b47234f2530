//! Waking when rows are noted: LISTEN on a connection of its own, or looking at the change log where that is deaf.
//!
//! Behind a pooler in transaction mode nobody hears a NOTIFY, and nothing says so. Worse, a LISTEN stays with the server's
//! connection, which the pooler lends to others, and the driver takes a note on a connection that listens to nothing for a
//! broken answer. So nothing listens before its session is known to be its own, and nothing is relied on that has not heard a
//! note of its own; until then, and while the connection is lost, the change log is looked at every second. A wake is a hint: a
//! lost one costs the time until the next whole cycle and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use secrecy::SecretString;
use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::capture::CHANNEL;
use super::connect::connect_options;
use super::sql::quoted;
use super::{ConnectOptions, PostgresError, Purpose, begin};

/// How long a listener may take to hear its own note.
const PROOF: Duration = Duration::from_secs(2);

/// How often the change log is looked at where nothing is heard.
const LOOK: Duration = Duration::from_secs(1);

/// How long until listening is tried again.
const TRY_AGAIN: Duration = Duration::from_mins(1);

/// A setting of a session, made as it begins: a pooler refuses it, or leaves it out.
const SESSION: &str = "frames_sync.session";

/// What PgBouncer answers to a session that asks for more than it hands on: `protocol_violation`.
const NOT_HANDED_ON: &str = "08P01";

/// Tells which entities of a profile have notes in the change log. Ends its connection when dropped.
#[derive(Debug)]
pub struct NoteListener {
    entities: mpsc::Receiver<String>,
    task: JoinHandle<()>,
}

/// What notes are listened for.
#[derive(Debug)]
struct Ear {
    url: SecretString,
    pool: PgPool,
    schema: String,
    profile: String,
    entities: BTreeSet<String>,
    sender: mpsc::Sender<String>,
    /// The newest note of each entity and how many there are, as last told.
    told: BTreeMap<String, (i64, i64)>,
}

impl NoteListener {
    /// Listens for a profile's notes about these entities, on one further connection; looks through `pool`.
    ///
    /// # Errors
    /// When the state schema's name is none.
    pub fn start(
        url: &SecretString,
        pool: PgPool,
        state_schema: &str,
        profile: &str,
        entities: impl IntoIterator<Item = String>,
    ) -> Result<Self, PostgresError> {
        let (sender, receiver) = mpsc::channel(64);
        let ear = Ear {
            url: url.clone(),
            pool,
            schema: quoted(state_schema)?,
            profile: profile.to_owned(),
            entities: entities.into_iter().collect(),
            sender,
            told: BTreeMap::new(),
        };
        Ok(Self {
            entities: receiver,
            task: tokio::spawn(ear.attend()),
        })
    }

    /// Resolves with an entity that has notes. May be dropped at any point.
    pub async fn noted(&mut self) -> String {
        match self.entities.recv().await {
            Some(entity) => entity,
            // The task only ends with the listener.
            None => std::future::pending().await,
        }
    }
}

impl Drop for NoteListener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Ear {
    async fn attend(mut self) {
        loop {
            if let Err(error) = self.listen().await {
                let why = error.failure().map_or("", |failure| failure.meaning());
                tracing::debug!(
                    profile = self.profile,
                    "listening for notes failed: {error}: {why}"
                );
            }
            let until = tokio::time::Instant::now() + TRY_AGAIN;
            while tokio::time::Instant::now() < until {
                // What cannot be read now is read by the next look, or by the next cycle, which tells of it.
                let _ = self.look().await;
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// Listens for as long as notes are heard.
    async fn listen(&mut self) -> Result<(), PostgresError> {
        let failed = |error: sqlx::Error| PostgresError::State {
            doing: "listen for notes",
            source: error.into(),
        };
        let options = ConnectOptions {
            application_name: "frames-sync notes".to_owned(),
            max_connections: 1,
            ..ConnectOptions::default()
        };
        let Some(mut listener) = self.own_session(&options).await? else {
            self.is_deaf();
            return Ok(());
        };
        listener.listen(CHANNEL).await.map_err(failed)?;
        let proof = Uuid::new_v4().to_string();
        self.notify(&proof).await?;
        let proven = tokio::time::timeout(PROOF, async {
            loop {
                let heard = listener.recv().await?;
                if self.heard(heard.payload()).is_some_and(|heard| heard == proof) {
                    return Ok::<_, sqlx::Error>(());
                }
            }
        })
        .await;
        match proven {
            Ok(proven) => proven.map_err(failed)?,
            Err(_) => {
                self.is_deaf();
                return Ok(());
            }
        }
        tracing::debug!(profile = self.profile, "listening for notes");
        loop {
            // What was noted while nobody listened.
            self.look().await?;
            while let Some(heard) = listener.try_recv().await.map_err(failed)? {
                let entity = self.heard(heard.payload()).map(str::to_owned);
                if let Some(entity) = entity.filter(|entity| self.entities.contains(entity)) {
                    self.tell(entity);
                }
            }
        }
    }

    /// A connection with a session of its own; `None` where a pooler stands between.
    async fn own_session(&self, options: &ConnectOptions) -> Result<Option<PgListener>, PostgresError> {
        let session = Uuid::new_v4().to_string();
        let settings = connect_options(&self.url, options)?.options([(SESSION, &session)]);
        let own = PgPoolOptions::new()
            .max_connections(options.max_connections)
            .acquire_timeout(options.acquire_timeout)
            .connect_with(settings)
            .await;
        let own = match own {
            Ok(own) => own,
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(NOT_HANDED_ON) => {
                return Ok(None);
            }
            Err(error) => return Err(PostgresError::Connect(error.into())),
        };
        let failed = |error: sqlx::Error| PostgresError::Connect(error.into());
        let mut listener = PgListener::connect_with(&own).await.map_err(failed)?;
        let found: Option<String> = sqlx::query_scalar("select pg_catalog.current_setting($1, true)")
            .persistent(false)
            .bind(SESSION)
            .fetch_one(&mut listener)
            .await
            .map_err(failed)?;
        Ok((found.as_ref() == Some(&session)).then_some(listener))
    }

    fn is_deaf(&self) {
        tracing::info!(
            profile = self.profile,
            "NOTIFY is not heard through this connection, as behind a pooler in transaction mode: the change log is \
             looked at every second"
        );
    }

    /// What a notification says, where it is for this profile.
    fn heard<'a>(&self, payload: &'a str) -> Option<&'a str> {
        payload.strip_prefix(self.profile.as_str())?.strip_prefix(' ')
    }

    fn tell(&self, entity: String) {
        // A full channel holds enough to wake with.
        let _ = self.sender.try_send(entity);
    }

    async fn notify(&self, what: &str) -> Result<(), PostgresError> {
        let failed = |error: sqlx::Error| PostgresError::State {
            doing: "send a note",
            source: error.into(),
        };
        let mut transaction = begin(&self.pool, Purpose::State).await?;
        sqlx::query("select pg_catalog.pg_notify($1, $2)")
            .persistent(false)
            .bind(CHANNEL)
            .bind(format!("{} {what}", self.profile))
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    /// Looks for notes that were not told yet.
    async fn look(&mut self) -> Result<(), PostgresError> {
        let failed = |error: sqlx::Error| PostgresError::State {
            doing: "look at the change log",
            source: error.into(),
        };
        let sql = format!(
            "select entity, max(seq), count(*) from {}.change_log where profile = $1 group by entity",
            self.schema
        );
        let mut transaction = begin(&self.pool, Purpose::Snapshot).await?;
        let found: Vec<(String, i64, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .persistent(false)
            .bind(&self.profile)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        let found: BTreeMap<String, (i64, i64)> = found
            .into_iter()
            .map(|(entity, newest, count)| (entity, (newest, count)))
            .collect();
        for (entity, notes) in &found {
            // Notes that stay, as where a guard said no, are told once.
            if self.entities.contains(entity) && self.told.get(entity) != Some(notes) {
                self.tell(entity.clone());
            }
        }
        self.told = found;
        Ok(())
    }
}
