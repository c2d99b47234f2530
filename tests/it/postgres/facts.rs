//! What columns hold.

use frames_sync::mapping::{Comparison, Literal, Predicate};
use frames_sync::postgres::PostgresError;
use frames_sync::postgres::facts::{Sample, column_facts};

use super::{names, table};
use crate::support::TestDatabase;

const SAMPLE: Sample = Sample {
    rows: 1000,
    distinct: 5,
};

#[tokio::test]
async fn distinct_values_lengths_and_nulls_are_counted_within_the_scope() {
    let database = TestDatabase::frames().await;
    let pool = database.connect().await;
    let students = table(&pool, "students").await;
    let columbia = Predicate::Compare {
        column: "university_id".to_owned(),
        comparison: Comparison::Equal,
        value: Literal::Text("Columbia".to_owned()),
    };
    let facts = column_facts(
        &pool,
        &students,
        &names(&["status", "name", "terms_remaining", "meta"]),
        &columbia,
        SAMPLE,
    )
    .await
    .expect("facts");
    assert_eq!(facts["status"].rows, 8);
    let status = facts["status"].distinct.as_deref().expect("few");
    assert!(
        status.contains(&"on leave, returning".to_owned()) && status.is_sorted(),
        "{status:?}"
    );
    assert_eq!(facts["name"].distinct, None, "more than five");
    assert_eq!(facts["terms_remaining"].longest, None, "no text");

    let projects = table(&pool, "projects").await;
    let facts = column_facts(
        &pool,
        &projects,
        &names(&["description", "university_id"]),
        &Predicate::EVERY_ROW,
        SAMPLE,
    )
    .await
    .expect("facts");
    assert!(facts["description"].longest > Some(2000));
    assert_eq!(facts["university_id"].nulls, 1);
}

#[tokio::test]
async fn lists_count_by_their_elements() {
    let database = TestDatabase::frames().await;
    let pool = database.connect().await;
    let modules = table(&pool, "modules").await;
    let wide = Sample {
        distinct: 50,
        ..SAMPLE
    };
    let facts = column_facts(
        &pool,
        &modules,
        &names(&["tags", "difficulty"]),
        &Predicate::EVERY_ROW,
        wide,
    )
    .await
    .expect("facts");
    assert!(
        facts["tags"]
            .distinct
            .as_deref()
            .expect("a list")
            .contains(&"math, applied".to_owned())
    );
    assert_eq!(facts["difficulty"].distinct.as_deref().expect("few").len(), 3);
}

#[tokio::test]
async fn numbers_that_a_double_changes_are_counted() {
    let (_database, pool) = TestDatabase::with(
        "create table n (a bigint, b numeric, c text[], d json, e bytea);
         insert into n values (9007199254740993, 0.1, '{x,y}', '{\"a\": 1}', '\\x00'),
                              (9007199254740992, 12345678901234567890.5, '{y}', '[1]', null),
                              (-1, 'NaN', null, null, null), (null, 1e305, '{}', null, null)",
    )
    .await;
    let table = table(&pool, "n").await;
    let facts = column_facts(
        &pool,
        &table,
        &names(&["a", "b", "c", "d", "e"]),
        &Predicate::EVERY_ROW,
        SAMPLE,
    )
    .await
    .expect("facts");
    assert_eq!(facts["a"].inexact_numbers, 1);
    assert_eq!(facts["b"].inexact_numbers, 3);
    assert_eq!(facts["c"].distinct.as_deref(), Some(&names(&["x", "y"])[..]));
    assert_eq!(facts["d"].distinct, None, "not all of it is lists");
    assert_eq!(facts["e"].distinct, None);

    let unknown = column_facts(&pool, &table, &names(&["zz"]), &Predicate::EVERY_ROW, SAMPLE).await;
    assert!(matches!(unknown, Err(PostgresError::UnknownColumn { column, .. }) if column == "zz"));
}
