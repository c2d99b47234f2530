//! Values against a real Postgres, which is the oracle: what is bound is read as the value it was.
//!
//! Left out: arrays of arrays, which are never written, and `char(n)`'s padding, which `::text` takes off.

use frames_sync::codec::{Around, FieldCodec, FieldSpec, literal};
use frames_sync::postgres::sql::{select_expression, write_expression};
use frames_sync::postgres::{Purpose, begin, codec};
use frames_sync::schema::{PgType, PropertyType};
use frames_sync::value::{Number, Value};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::support::TestDatabase;

/// Values tried of each type; `FRAMES_SYNC_ORACLE_CASES` tries more.
const CASES: usize = 60;

const ENUM: &str = "create type state as enum ('active', 'on hold', 'a\"b', '{,}', 'NULL')";

fn labels() -> Vec<String> {
    ["active", "on hold", "a\"b", "{,}", "NULL"]
        .map(str::to_owned)
        .to_vec()
}

fn number(text: impl Strategy<Value = String> + 'static) -> BoxedStrategy<Value> {
    text.prop_map(|text| Value::Number(Number::parse(&text).expect("a number")))
        .boxed()
}

fn opaque(words: &'static [&'static str]) -> BoxedStrategy<Value> {
    proptest::sample::select(words)
        .prop_map(|word| Value::Opaque(word.to_owned()))
        .boxed()
}

fn text() -> BoxedStrategy<Value> {
    let awkward = proptest::sample::select(vec![
        "",
        "NULL",
        "null",
        "\\",
        "\"",
        "{}",
        "a,b",
        " x ",
        "\n\t",
        "'",
        "é🚀\u{202e}",
    ]);
    prop_oneof![awkward.prop_map(str::to_owned), "[^\u{0}]{0,40}"]
        .prop_map(Value::text)
        .boxed()
}

fn json() -> BoxedStrategy<Value> {
    let documents = proptest::sample::select(vec![
        "null",
        "{}",
        "[]",
        r#"{"b": 1.50, "a": [true, null, "x\\y\"z"]}"#,
        "123456789012345678901234567890.10",
        r#""é""#,
    ]);
    documents
        .prop_map(|document| Value::Json(document.to_owned()))
        .boxed()
}

fn instant() -> BoxedStrategy<Timestamp> {
    // The years 1 to 9999, less the last day, which is past jiff's instants in some zones.
    let micros = prop_oneof![
        -62_135_596_800_000_000_i64..253_402_200_000_000_000,
        Just(0),
        Just(-1)
    ];
    micros
        .prop_map(|micros| Timestamp::from_microsecond(micros).expect("within the years 1 to 9999"))
        .boxed()
}

fn scalars() -> Vec<(PgType, BoxedStrategy<Value>)> {
    let civil = || instant().prop_map(|instant| instant.to_zoned(TimeZone::UTC).datetime());
    let state = PgType::Enum {
        name: "public.state".to_owned(),
        labels: labels(),
    };
    let inet = proptest::sample::select(vec!["10.0.0.1", "10.0.0.0/8", "::1", "2001:db8::/32"]);
    let timetz = proptest::sample::select(vec!["10:00:00+02", "23:59:59.999999-07:30", "00:00:00+00"]);
    vec![
        (PgType::Text, text()),
        (PgType::Varchar(None), text()),
        (
            PgType::Uuid,
            any::<u128>()
                .prop_map(|bits| Value::Uuid(uuid::Uuid::from_u128(bits)))
                .boxed(),
        ),
        (
            PgType::Int2,
            number(any::<i16>().prop_map(|integer| integer.to_string())),
        ),
        (
            PgType::Int4,
            number(any::<i32>().prop_map(|integer| integer.to_string())),
        ),
        (
            PgType::Int8,
            number(any::<i64>().prop_map(|integer| integer.to_string())),
        ),
        (
            PgType::Float4,
            prop_oneof![
                number((-1e30_f32..1e30).prop_map(|single| single.to_string())),
                number((-1.0_f32..1.0).prop_map(|single| single.to_string())),
                opaque(&["NaN", "Infinity", "-Infinity"]),
            ]
            .boxed(),
        ),
        (
            PgType::Float8,
            prop_oneof![
                number(prop::num::f64::NORMAL.prop_map(|double| double.to_string())),
                number((-1.0_f64..1.0).prop_map(|double| double.to_string())),
                opaque(&["NaN", "Infinity", "-Infinity"]),
            ]
            .boxed(),
        ),
        (
            PgType::Numeric(None),
            prop_oneof![number("-?[0-9]{1,40}(\\.[0-9]{1,40})?"), opaque(&["NaN"])].boxed(),
        ),
        (PgType::Bool, any::<bool>().prop_map(Value::Bool).boxed()),
        (
            PgType::Date,
            prop_oneof![
                civil().prop_map(|civil| Value::Date(civil.date())),
                opaque(&["infinity", "-infinity", "0044-03-15 BC", "12026-09-04"]),
            ]
            .boxed(),
        ),
        (
            PgType::Time,
            prop_oneof![
                civil().prop_map(|civil| Value::Time(civil.time())),
                opaque(&["24:00:00"])
            ]
            .boxed(),
        ),
        (PgType::Timetz, timetz.prop_map(Value::text).boxed()),
        (
            PgType::Timestamp,
            prop_oneof![
                civil().prop_map(Value::DateTime),
                opaque(&["infinity", "-infinity"])
            ]
            .boxed(),
        ),
        (
            PgType::Timestamptz,
            prop_oneof![
                instant().prop_map(Value::Instant),
                opaque(&["infinity", "-infinity"])
            ]
            .boxed(),
        ),
        (
            PgType::Interval,
            // Postgres keeps at most 178,000,000 years.
            (
                -2_000_000_i32..2_000_000,
                -1_000_000_i32..1_000_000,
                -9_000_000_000_000_000_i64..9_000_000_000_000_000,
            )
                .prop_map(|(months, days, micros)| Value::Interval { months, days, micros })
                .boxed(),
        ),
        (PgType::Json, json()),
        (PgType::Jsonb, json()),
        (PgType::Inet, inet.prop_map(Value::text).boxed()),
        (
            state,
            proptest::sample::select(labels()).prop_map(Value::Text).boxed(),
        ),
        (PgType::Other("point".to_owned()), opaque(&["(1,2)", "(0,-0.5)"])),
    ]
}

fn types() -> Vec<(PgType, BoxedStrategy<Value>)> {
    let mut types = scalars();
    for (element, values) in scalars() {
        // An array of JSON cannot tell a NULL element from the document `null`, and an array with an element that is
        // not understood is carried as a whole.
        let of_type = element.clone();
        let elements = values.prop_filter("understood, and no NULL in disguise", move |value| {
            let text = literal::show(value);
            literal::parse(&of_type, &text).as_ref() == Some(value)
                && *value != Value::Json("null".to_owned())
        });
        let nullable = prop_oneof![4 => elements, 1 => Just(Value::Null)];
        let list = prop::collection::vec(nullable, 0..4).prop_map(Value::List);
        types.push((PgType::Array(Box::new(element)), list.boxed()));
    }
    types
}

#[tokio::test]
async fn what_is_bound_is_read_as_the_value_it_was() {
    let cases = std::env::var("FRAMES_SYNC_ORACLE_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(CASES);
    let (_database, pool) = TestDatabase::with(ENUM).await;
    let mut transaction = begin(&pool, Purpose::Write).await.expect("a transaction");
    let mut runner = TestRunner::deterministic();
    for (pg_type, values) in types() {
        let written = write_expression(&pg_type, "$1::text");
        let selected = select_expression(&pg_type, "stored");
        // Persistent, unlike in the product, so that thousands of values are planned once a type.
        let sql = format!("select {selected} from (select {written} as stored) as one");
        for _ in 0..cases {
            let value = values.new_tree(&mut runner).expect("a value").current();
            let bound = codec::encode(&value).expect("a column's kind");
            let answer: Result<Option<String>, sqlx::Error> =
                sqlx::query_scalar(sqlx::AssertSqlSafe(sql.clone()))
                    .bind(&bound)
                    .fetch_one(&mut *transaction)
                    .await;
            let answer = answer.unwrap_or_else(|error| panic!("{pg_type} {bound:?}: {error}"));
            let read = codec::decode(&pg_type, answer.as_deref());
            assert!(
                read.canonical() == value.clone().canonical(),
                "{pg_type}: {bound:?} came back as {answer:?}"
            );
        }
    }
}

#[tokio::test]
async fn every_value_that_postgres_prints_is_understood_or_carried() {
    let (_database, pool) = TestDatabase::with("create table one (at timestamptz, day date, span interval, at_time time, list timestamptz[], score float4)").await;
    sqlx::raw_sql("insert into one values ('4713-01-01 BC', '5874897-12-31', '-1 year -2 mons +3 days -04:05:06.7', '24:00', '{now,infinity,NULL}', 'NaN')")
        .execute(&pool)
        .await
        .expect("the row");
    let mut transaction = begin(&pool, Purpose::Write).await.expect("a transaction");
    let columns = [
        ("at", PgType::Timestamptz, "opaque"),
        ("day", PgType::Date, "opaque"),
        ("span", PgType::Interval, "interval"),
        ("at_time", PgType::Time, "opaque"),
        ("list", PgType::Array(Box::new(PgType::Timestamptz)), "list"),
        ("score", PgType::Float4, "opaque"),
    ];
    for (column, pg_type, kind) in columns {
        let sql = format!("select {} from one", select_expression(&pg_type, column));
        let text: Option<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_one(&mut *transaction)
            .await
            .expect("a row");
        let value = codec::decode(&pg_type, text.as_deref());
        assert_eq!(value.kind(), kind, "{column}: {text:?}");
        assert!(codec::encode(&value).is_ok(), "{column}");
    }
}

#[tokio::test]
async fn what_the_codec_admits_postgres_stores_unchanged() {
    let (_database, pool) = TestDatabase::with(
        "create table one (id int primary key, small smallint, price numeric(6,2), short varchar(3), single real, doc jsonb);
         insert into one (id) values (1)",
    )
    .await;
    let numbers = [
        "32767", "-32768", "32768", "0.1", "9999.99", "10000", "1.005", "16777217", "0.5",
    ];
    let texts = ["abc", "äöü", "abcd", "", "a'b"];
    let mut tried = 0;
    for (column, pg_type, property_type) in [
        ("small", PgType::Int2, PropertyType::Number),
        ("price", PgType::Numeric(Some((6, 2))), PropertyType::Number),
        ("single", PgType::Float4, PropertyType::Number),
        ("short", PgType::Varchar(Some(3)), PropertyType::RichText),
    ] {
        let field = FieldCodec::new(FieldSpec::new(pg_type.clone(), property_type)).expect("the types fit");
        let values: Vec<Value> = match property_type {
            PropertyType::Number => numbers
                .iter()
                .filter_map(|text| Number::parse(text).map(Value::Number))
                .collect(),
            _ => texts.iter().map(|text| Value::rich(*text)).collect(),
        };
        for value in values {
            let decoded = field.dec(&value, None, Around::NOTHING);
            // What is refused must be what Postgres would refuse or change; what is admitted it keeps.
            let bound = match &decoded {
                Ok(decoded) => codec::encode(decoded).expect("a column's kind"),
                Err(_) => Some(
                    value
                        .to_json()
                        .as_str()
                        .map_or_else(|| value.to_json().to_string(), str::to_owned),
                ),
            };
            let sql = format!(
                "update one set {column} = {} returning {}",
                write_expression(&pg_type, "$1::text"),
                select_expression(&pg_type, column)
            );
            let mut transaction = begin(&pool, Purpose::Write).await.expect("a transaction");
            let stored: Result<Option<String>, sqlx::Error> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
                .bind(&bound)
                .fetch_one(&mut *transaction)
                .await;
            let asked = match &bound {
                Some(text) => literal::parse(&pg_type, text),
                None => Some(Value::Null),
            };
            let kept = stored.is_ok_and(|stored| Some(codec::decode(&pg_type, stored.as_deref())) == asked);
            assert_eq!(kept, decoded.is_ok(), "{column} {bound:?}");
            tried += 1;
        }
    }
    assert_eq!(tried, 3 * numbers.len() + texts.len());
}
