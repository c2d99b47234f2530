//! The sample FRAMES database, for the demo and the tests.

use sqlx::PgExecutor;

/// Tables and data as SQL: eight universities, fifteen teams, and rows that are awkward on purpose.
///
/// Runs on PostgreSQL 12 or newer, in an empty database.
pub const FRAMES_SQL: &str = include_str!("frames.sql");

/// The tables of [`FRAMES_SQL`] that the project's mappings sync, each after those it refers to.
pub const FRAMES_TABLES: [&str; 7] = [
    "universities",
    "projects",
    "teams",
    "faculty",
    "students",
    "interfaces",
    "modules",
];

/// Loads the sample into an empty database, all of it or nothing.
///
/// # Errors
/// When the database refuses, as it does when the tables are there already.
pub async fn load<'e>(database: impl PgExecutor<'e>) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(FRAMES_SQL).execute(database).await.map(drop)
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, PgConnection};

    use super::load;
    use crate::cluster::{Cluster, Engine};

    async fn loads_and_is_awkward(engine: Engine) {
        let cluster = Cluster::start(engine).expect("a cluster");
        let mut database = PgConnection::connect(&cluster.url("postgres"))
            .await
            .expect("a connection");
        load(&mut database).await.expect("the sample loads");
        let facts = [
            ("exactly 8 universities", "select count(*) = 8 from universities"),
            ("exactly 15 teams", "select count(*) = 15 from teams"),
            ("60 or more students", "select count(*) >= 60 from students"),
            (
                "PROVES has no university",
                "select university_id is null from projects where id = 'PROVES'",
            ),
            (
                "a comma in an option column",
                "select bool_or(status like '%,%') from students",
            ),
            (
                "an option outside the list",
                "select bool_or(role = 'visiting') from faculty",
            ),
            (
                "text over 2,000 characters",
                "select bool_or(length(description) > 2000) from projects",
            ),
            (
                "emoji in a name",
                "select bool_or(name like '%🚀%') from students",
            ),
            (
                "a right-to-left name",
                "select bool_or(name ~ '[א-ת]') from teams",
            ),
            (
                "times without fractions",
                r"select bool_or(created_at ~ ':\d\d$') from teams",
            ),
            (
                "times with fractions",
                r"select bool_or(created_at ~ ':\d\d\.\d+$') from teams",
            ),
            (
                "the empty text beside NULL",
                "select count(distinct full_name is null) = 2 and bool_or(full_name = '') from universities",
            ),
            (
                "tags as a list",
                "select bool_and(json_typeof(tags) = 'array') from modules where tags is not null",
            ),
        ];
        for (fact, sql) in facts {
            let holds: bool = sqlx::query_scalar(sql)
                .fetch_one(&mut database)
                .await
                .expect(fact);
            assert!(holds, "{fact}");
        }
        load(&mut database)
            .await
            .expect_err("a second load finds the tables");
    }

    #[tokio::test]
    async fn the_sample_loads_into_the_preferred_cluster() {
        loads_and_is_awkward(Engine::Any).await;
    }

    #[cfg(feature = "embedded")]
    #[tokio::test]
    async fn the_sample_loads_into_the_embedded_cluster() {
        loads_and_is_awkward(Engine::Embedded).await;
    }
}
