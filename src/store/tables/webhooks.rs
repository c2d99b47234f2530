//! Webhook subscriptions, and what conflicts of late were like: what `serve` needs beyond the engine.

use secrecy::{ExposeSecret, SecretString};
use sqlx::{PgConnection, Row};

use super::{StateError, StateTables, count};
use crate::ports::{ConflictTally, Enrolment};

impl StateTables {
    /// The profile's webhook subscription.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn enrolment(&self, connection: &mut PgConnection) -> Result<Enrolment, StateError> {
        let row = self
            .query(
                "select token, integration_id, coalesce(open_until > clock_timestamp(), false) \
                 from {s}.webhook where profile = $1",
            )
            .fetch_optional(connection)
            .await?;
        let Some(row) = row else {
            return Ok(Enrolment::default());
        };
        Ok(Enrolment {
            token: row.try_get::<Option<String>, _>(0)?.map(SecretString::from),
            integration: row.try_get(1)?,
            is_open: row.try_get(2)?,
        })
    }

    /// Lets one handshake in within the next ten minutes; answers whether it may come.
    ///
    /// Not where a token is stored already, unless it may be replaced; it stays until a handshake brings another.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn open_enrolment(
        &self,
        connection: &mut PgConnection,
        may_replace: bool,
    ) -> Result<bool, StateError> {
        // Ten minutes: sync semantics, section 11, S11.
        let done = self
            .query(
                "insert into {s}.webhook as w (profile, open_until) \
                 values ($1, clock_timestamp() + interval '10 minutes') \
                 on conflict (profile) do update set open_until = excluded.open_until where w.token is null or $2",
            )
            .bind(may_replace)
            .execute(connection)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Takes a handshake's token if one may come now, after which none may; answers whether it was taken.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn enrol(
        &self,
        connection: &mut PgConnection,
        token: &SecretString,
    ) -> Result<bool, StateError> {
        let done = self
            .query(
                "update {s}.webhook set token = $2, integration_id = null, enrolled_at = clock_timestamp(), \
                 open_until = null where profile = $1 and open_until > clock_timestamp()",
            )
            .bind(token.expose_secret())
            .execute(connection)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Remembers the connection that the first signed delivery named; answers whether it is the one remembered.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn pin_integration(
        &self,
        connection: &mut PgConnection,
        integration: &str,
    ) -> Result<bool, StateError> {
        let done = self
            .query(
                "update {s}.webhook set integration_id = $2 \
                 where profile = $1 and coalesce(integration_id, $2) = $2",
            )
            .bind(integration)
            .execute(connection)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Forgets the subscription; deliveries are refused from then on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_enrolment(&self, connection: &mut PgConnection) -> Result<bool, StateError> {
        let done = self
            .query("delete from {s}.webhook where profile = $1")
            .execute(connection)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The conflicts opened in the last day, counted by what is known of them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn conflicts_of_a_day(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Vec<ConflictTally>, StateError> {
        // Read as text: the JSON functions refuse a body that holds a NUL. Quotes within a text are escaped there, and
        // the evidence comes after the values.
        let rows = self
            .query(
                "select open, substring(body::text from '.*\"certainty\":\"(proven|probable|tie)\"'), count(*) \
                 from {s}.conflict where profile = $1 and opened_at > clock_timestamp() - interval '1 day' \
                 group by 1, 2 order by 1, 2",
            )
            .fetch_all(connection)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(ConflictTally {
                    is_open: row.try_get(0)?,
                    certainty: row.try_get(1)?,
                    count: count(row, 2)?,
                })
            })
            .collect()
    }
}
