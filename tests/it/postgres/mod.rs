//! The Postgres side against a real server, native or embedded.

mod capture;
mod connect;
mod facts;
mod grants;
mod introspect;
mod pooler;
mod rows;
mod store;
mod values;

use std::collections::BTreeMap;

use frames_sync::mapping::{Comparison, Literal, Predicate};
use frames_sync::postgres::{EntityTable, ProfileDatabase, migrate_state};
use frames_sync::schema::{TableName, TableSchema};
use sqlx::PgPool;

/// The state schema of these tests: a name that needs its quotes.
const STATE: &str = "frames sync";

async fn table(pool: &PgPool, name: &str) -> TableSchema {
    let name = TableName {
        schema: "public".to_owned(),
        name: name.to_owned(),
    };
    frames_sync::postgres::introspect(pool, &name)
        .await
        .expect("the catalog")
        .expect("the table")
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn of_university(university: &str) -> Predicate {
    Predicate::Compare {
        column: "university_id".to_owned(),
        comparison: Comparison::Equal,
        value: Literal::Text(university.to_owned()),
    }
}

async fn entity(pool: &PgPool, name: &str, columns: &[&str], scope: Predicate) -> EntityTable {
    EntityTable {
        table: table(pool, name).await,
        key: names(&["id"]),
        columns: names(columns),
        scope,
        updated_at: None,
    }
}

/// Cal Poly's profile over the sample's students, with its state ready.
async fn students(pool: &PgPool) -> ProfileDatabase {
    migrate_state(pool, STATE).await.expect("a state schema");
    let students = entity(
        pool,
        "students",
        &["name", "email", "status", "terms_remaining", "team_id"],
        of_university("CalPolyPomona"),
    )
    .await;
    let audit_logs = table(pool, "audit_logs").await;
    let entities = BTreeMap::from([("students".to_owned(), students)]);
    ProfileDatabase::new(pool.clone(), STATE, "calpoly", entities, Some(audit_logs)).expect("known columns")
}
