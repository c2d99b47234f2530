//! The text of values, with the server as the judge.

use frames_sync::postgres::sql::{select_expression, write_expression};
use frames_sync::postgres::{Purpose, begin, codec};
use frames_sync::value::Value;
use sqlx::{AssertSqlSafe, Row};

use super::table;
use crate::support::TestDatabase;

/// Column, a literal as SQL reads it, and the documented text.
const CASES: [(&str, &str, &str); 36] = [
    (
        "a text",
        "E'tab\\t \"quoted\" ''single'' 🚀'",
        "tab\t \"quoted\" 'single' 🚀",
    ),
    ("a text", "''", ""),
    ("a varchar(4)", "'four'", "four"),
    ("a char(5)", "'ab'", "ab"),
    (
        "a uuid",
        "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    ),
    ("a smallint", "-32768", "-32768"),
    ("a bigint", "9223372036854775807", "9223372036854775807"),
    ("a real", "0.1", "0.1"),
    ("a double precision", "0.1::float8 + 0.2", "0.30000000000000004"),
    ("a double precision", "1e20", "1e+20"),
    ("a double precision", "'-infinity'", "-Infinity"),
    ("a numeric(6,2)", "12.5", "12.50"),
    ("a numeric", "'NaN'", "NaN"),
    ("a boolean", "'yes'", "true"),
    ("a date", "'2024-02-29'", "2024-02-29"),
    ("a date", "'infinity'", "infinity"),
    ("a date", "'0044-03-15 BC'", "0044-03-15 BC"),
    ("a time", "'10:00'", "10:00:00"),
    ("a timetz", "'10:00:00.5+02'", "10:00:00.5+02"),
    ("a timestamp", "'2024-01-31 10:00:00.5'", "2024-01-31T10:00:00.5"),
    ("a timestamp", "'-infinity'", "-infinity"),
    (
        "a timestamptz",
        "'2024-01-31 10:00:00.123456+02'",
        "2024-01-31T08:00:00.123456+00:00",
    ),
    (
        "a interval",
        "'1 year 2 months 3 days 04:05:06.7'",
        "1 year 2 mons 3 days 04:05:06.7",
    ),
    (
        "a json",
        "'{\"b\": 1,  \"a\": [1.0]}'",
        "{\"b\": 1,  \"a\": [1.0]}",
    ),
    (
        "a jsonb",
        "'{\"b\": 1,  \"a\": [1.0]}'",
        "{\"a\": [1.0], \"b\": 1}",
    ),
    ("a bytea", "'\\x00ff'", "\\x00ff"),
    ("a inet", "'10.0.0.0/8'", "10.0.0.0/8"),
    ("a mood", "'so, so'", "so, so"),
    ("a code", "'abc'", "abc"),
    ("a text[]", "array['a', null, 'b,\"c']", r#"["a",null,"b,\"c"]"#),
    ("a text[]", "'{}'", "[]"),
    ("a integer[]", "array[1, null]", "[1,null]"),
    ("a mood[]", "array['so, so'::mood]", r#"["so, so"]"#),
    (
        "a timestamptz[]",
        "array['2024-01-31 10:00:00+02'::timestamptz]",
        r#"["2024-01-31T08:00:00+00:00"]"#,
    ),
    ("a bytea[]", "array['\\x00ff'::bytea]", r#"["\\x00ff"]"#),
    ("a boolean[]", "array[true]", "[true]"),
];

#[tokio::test]
async fn every_type_reads_as_documented_and_writes_back_to_the_same_value() {
    let (database, pool) = TestDatabase::with(
        "create type mood as enum ('so, so');
         create domain code as varchar(3) check (length(value) = 3)",
    )
    .await;
    // What a role or database may have set must not show in any value.
    let hostile = "set timezone = 'Asia/Kathmandu'; set datestyle = 'SQL, DMY'; set extra_float_digits = -3; \
                   set intervalstyle = 'sql_standard'; set bytea_output = 'escape'";
    for (index, (column, literal, expected)) in CASES.into_iter().enumerate() {
        let name = format!("t{index}");
        let create = format!(
            "create table {name} ({column}, b {}); insert into {name} values ({literal}); {hostile}",
            &column[2..]
        );
        sqlx::raw_sql(AssertSqlSafe(create))
            .execute(&pool)
            .await
            .expect(column);
        let schema = table(&pool, &name).await;
        let pg_type = &schema.column("a").expect("a").pg_type;

        let mut transaction = begin(&pool, Purpose::Write).await.expect("a transaction");
        let read = format!("select {} from public.{name}", select_expression(pg_type, "a"));
        let text: String = sqlx::query_scalar(AssertSqlSafe(read))
            .fetch_one(&mut *transaction)
            .await
            .expect(column);
        assert_eq!(text, expected, "{column} {literal}");
        let write = format!(
            "update public.{name} set b = {}",
            write_expression(pg_type, "$1::text")
        );
        for value in [codec::decode(pg_type, Some(&text)), Value::Null] {
            let bound = codec::encode(&value).expect(column);
            sqlx::query(AssertSqlSafe(write.clone()))
                .persistent(false)
                .bind(bound)
                .execute(&mut *transaction)
                .await
                .expect(column);
            let same = format!(
                "select (select a::text from public.{name}) is not distinct from b::text, b is null from public.{name}"
            );
            let row = sqlx::query(AssertSqlSafe(same))
                .fetch_one(&mut *transaction)
                .await
                .expect(column);
            assert_eq!(row.get::<bool, _>(0), value != Value::Null, "{column} {literal}");
            assert_eq!(row.get::<bool, _>(1), value == Value::Null, "{column} {literal}");
        }
        transaction.commit().await.expect("a commit");
    }
    drop(database);
}

#[tokio::test]
async fn text_too_long_for_the_column_is_refused_and_not_cut() {
    let (_database, pool) = TestDatabase::with(
        "create domain code as varchar(3); create table t (a varchar(3), b code, c varchar(3)[], d char(3))",
    )
    .await;
    let schema = table(&pool, "t").await;
    for column in &schema.columns {
        let value = if column.name == "c" { r#"["four"]"# } else { "four" };
        let mut transaction = begin(&pool, Purpose::Write).await.expect("a transaction");
        let insert = format!(
            "insert into public.t ({}) values ({})",
            column.name,
            write_expression(&column.pg_type, "$1::text")
        );
        let error = sqlx::query(AssertSqlSafe(insert))
            .persistent(false)
            .bind(value)
            .execute(&mut *transaction)
            .await
            .expect_err(&column.name);
        assert_eq!(
            error
                .as_database_error()
                .and_then(|error| error.code())
                .as_deref(),
            Some("22001")
        );
    }
}
