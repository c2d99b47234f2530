//! The laws of the module's page, for every pair of types that fits and every conversion between them.

use std::fmt;

use proptest::prelude::*;
use proptest::strategy::Union;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::*;
use crate::value::{ConversionKind, FileRef, Person, UserId};

/// A value whose failure may be printed: it comes from no one's table.
#[derive(Clone)]
struct Shown(Value);

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(&self.0).unwrap())
    }
}

const WORDS: [&str; 8] = ["active", "on_hold", "design", "a", "b", "true", "1", "2026-09-04"];

fn array(element: PgType) -> PgType {
    PgType::Array(Box::new(element))
}

fn columns() -> Vec<PgType> {
    let labels = WORDS.iter().map(|&word| word.to_owned()).collect();
    let state = PgType::Enum {
        name: "public.state".to_owned(),
        labels,
    };
    vec![
        PgType::Text,
        PgType::Varchar(Some(8)),
        PgType::Char(6),
        PgType::Citext,
        PgType::Uuid,
        PgType::Inet,
        state.clone(),
        PgType::Int2,
        PgType::Int4,
        PgType::Int8,
        PgType::Float4,
        PgType::Float8,
        PgType::Numeric(None),
        PgType::Numeric(Some((8, 2))),
        PgType::Bool,
        PgType::Date,
        PgType::Time,
        PgType::Timetz,
        PgType::Timestamp,
        PgType::Timestamptz,
        PgType::Interval,
        PgType::Json,
        PgType::Jsonb,
        PgType::Domain {
            name: "public.word".to_owned(),
            base: Box::new(PgType::Text),
        },
        array(PgType::Text),
        array(state),
        array(PgType::Int4),
        array(PgType::Uuid),
        array(PgType::Bool),
        PgType::Other("point".to_owned()),
    ]
}

fn conversion(kind: ConversionKind) -> Conversion {
    let template = |text: &str| Template::parse(text).unwrap();
    match kind {
        ConversionKind::Map => {
            let shown = ["Active", "On hold", "x", "y", "true", "false", "9", "2026-01-01"];
            Conversion::Map(
                WORDS
                    .iter()
                    .zip(shown)
                    .map(|(a, b)| ((*a).to_owned(), b.to_owned()))
                    .collect(),
            )
        }
        ConversionKind::Scale => Conversion::Scale(0.01),
        ConversionKind::Iso8601 => Conversion::Iso8601,
        ConversionKind::Split => Conversion::Split(",".to_owned()),
        ConversionKind::Json => Conversion::Json,
        ConversionKind::Trim => Conversion::Trim,
        ConversionKind::TemplateBothWays => Conversion::Template {
            to_notion: template("{{ value | upper }}"),
            to_postgres: Some(template("{{ value | lower }}")),
            examples: Vec::new(),
        },
        ConversionKind::TemplateToNotion => Conversion::Template {
            to_notion: template("{{ value }}"),
            to_postgres: None,
            examples: Vec::new(),
        },
    }
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => proptest::sample::select(&WORDS[..]).prop_map(str::to_owned),
        2 => "[ -~éß🚀\\n]{0,9}",
        1 => "(a|b| |,){0,5}",
        1 => "20[0-9]{2}-(0[1-9]|1[0-2])-[0-2][0-9][T ][0-2][0-9]:[0-5][0-9](:[0-5][0-9](\\.[0-9]{1,6})?)?(Z|[+-]0[0-9]:30)?",
        1 => r#"\["a"(, "b"){0,2}\]"#,
        1 => Just("\0".to_owned()),
    ]
}

fn number_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?[0-9]{1,6}",
        "-?[0-9]{1,4}\\.[0-9]{1,3}",
        "-?[0-9]{15,20}(\\.[0-9]{1,20})?",
        any::<f64>().prop_map(|double| double.to_string()),
        any::<f32>().prop_map(|single| single.to_string()),
        any::<i64>().prop_map(|integer| integer.to_string()),
    ]
}

fn instant() -> impl Strategy<Value = jiff::Timestamp> {
    let near = 1_700_000_000_000_000_i64..1_800_000_000_000_000;
    let far = -62_135_596_800_000_000_i64..253_402_200_000_000_000;
    (
        prop_oneof![near, far],
        prop_oneof![Just(1_i64), Just(1_000_000), Just(60_000_000)],
    )
        .prop_map(|(micros, grain)| {
            jiff::Timestamp::from_microsecond(micros - micros.rem_euclid(grain)).unwrap()
        })
}

/// A column's value, or for a text that is no value of the type, NULL.
fn column_value(pg_type: &PgType) -> BoxedStrategy<Value> {
    let parsed = |pg_type: &PgType, texts: BoxedStrategy<String>| {
        let pg_type = pg_type.clone();
        texts
            .prop_map(move |text| // Postgres has no U+0000 in any text.
                literal::parse(&pg_type, &text.replace('\0', "")).unwrap_or(Value::Null))
            .boxed()
    };
    let civil = instant().prop_map(|instant| instant.to_zoned(TimeZone::UTC).datetime());
    match pg_type.base() {
        PgType::Uuid => any::<u128>()
            .prop_map(|bits| Value::Uuid(uuid::Uuid::from_u128(bits)))
            .boxed(),
        PgType::Inet => parsed(pg_type, "10\\.0\\.[0-9]\\.1(/[0-9])?".boxed()),
        PgType::Int2 | PgType::Int4 | PgType::Int8 | PgType::Numeric(_) => {
            parsed(pg_type, number_text().boxed())
        }
        PgType::Float4 => parsed(
            pg_type,
            any::<f32>().prop_map(|single| single.to_string()).boxed(),
        ),
        PgType::Float8 => parsed(
            pg_type,
            any::<f64>().prop_map(|double| double.to_string()).boxed(),
        ),
        PgType::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        PgType::Date => prop_oneof![
            4 => civil.prop_map(|civil| Value::Date(civil.date())),
            1 => Just(Value::Opaque("infinity".to_owned())),
        ]
        .boxed(),
        PgType::Time => civil.prop_map(|civil| Value::Time(civil.time())).boxed(),
        PgType::Timetz => Just(Value::text("14:30:00.5+02")).boxed(),
        PgType::Timestamp => civil.prop_map(Value::DateTime).boxed(),
        PgType::Timestamptz => prop_oneof![
            4 => instant().prop_map(Value::Instant),
            1 => Just(Value::Opaque("-infinity".to_owned())),
        ]
        .boxed(),
        PgType::Interval => (any::<i32>(), any::<i32>(), any::<i64>())
            .prop_map(|(months, days, micros)| Value::Interval { months, days, micros })
            .boxed(),
        PgType::Json | PgType::Jsonb => parsed(
            pg_type,
            prop_oneof![
                r#"\[ ?"a"(,"b")?\]"#,
                r#"\{"k": ?[0-9]{1,20}\}"#,
                r#""[a-z\\\\n]*""#
            ]
            .boxed(),
        ),
        PgType::Array(element) => proptest::collection::vec(column_value(element), 0..4)
            .prop_map(Value::List)
            .boxed(),
        PgType::Other(_) => Just(Value::Opaque("(1,2)".to_owned())).boxed(),
        _ => parsed(pg_type, word().boxed()),
    }
}

fn date_value() -> BoxedStrategy<Value> {
    let day = || instant().prop_map(|instant| Value::Date(instant.to_zoned(TimeZone::UTC).date()));
    let time = instant().prop_map(Value::Instant);
    prop_oneof![
        3 => day(),
        3 => time,
        1 => (day(), day()).prop_map(|ends| Value::Range(Box::new(ends))),
    ]
    .boxed()
}

fn number_value() -> BoxedStrategy<Value> {
    number_text()
        .prop_map(|text| {
            let double: f64 = text.parse().unwrap_or(0.0);
            Number::from_double(double).map_or(Value::Null, Value::Number)
        })
        .boxed()
}

fn property_value(property_type: PropertyType) -> BoxedStrategy<Value> {
    let person = || {
        proptest::sample::select(vec!["a", "b", "1"]).prop_map(|id| Person {
            id: UserId::from(id),
            name: None,
        })
    };
    let choice = || {
        word().prop_filter_map("an option has a name", |name| {
            (!name.is_empty()).then(|| option(&name))
        })
    };
    let text = || word().prop_map(Value::text);
    match property_type {
        PropertyType::Title | PropertyType::RichText => {
            let run = (word(), any::<bool>()).prop_map(|(text, bold)| Run {
                style: Style {
                    bold,
                    ..Style::default()
                },
                ..Run::plain(text)
            });
            proptest::collection::vec(run, 0..4)
                .prop_map(Value::RichText)
                .boxed()
        }
        PropertyType::Url | PropertyType::Email | PropertyType::PhoneNumber => word()
            .prop_filter_map("no empty text", |text| {
                (!text.is_empty()).then_some(Value::Text(text))
            })
            .boxed(),
        PropertyType::Number => number_value(),
        PropertyType::Select | PropertyType::Status => choice().prop_map(Value::Choice).boxed(),
        PropertyType::MultiSelect => proptest::collection::vec(choice(), 0..4)
            .prop_map(Value::Choices)
            .boxed(),
        PropertyType::Date | PropertyType::CreatedTime | PropertyType::LastEditedTime => date_value(),
        PropertyType::Checkbox => any::<bool>().prop_map(Value::Bool).boxed(),
        PropertyType::Relation => {
            let page = proptest::sample::select(vec!["page-a", "page-b", "page-1", "page-gone"]);
            proptest::collection::btree_set(page.prop_map(PageId::from), 0..3)
                .prop_map(Value::Pages)
                .boxed()
        }
        PropertyType::People | PropertyType::CreatedBy | PropertyType::LastEditedBy => {
            proptest::collection::vec(person(), 0..3)
                .prop_map(Value::People)
                .boxed()
        }
        PropertyType::Files => word()
            .prop_map(|name| Value::Files(vec![FileRef { name, url: None }]))
            .boxed(),
        PropertyType::UniqueId => (proptest::option::of("[A-Z]{1,3}"), any::<i64>())
            .prop_map(|(prefix, number)| Value::UniqueId { prefix, number })
            .boxed(),
        PropertyType::Formula | PropertyType::Rollup => {
            let one = Union::new([
                text().boxed(),
                number_value(),
                date_value(),
                any::<bool>().prop_map(Value::Bool).boxed(),
            ]);
            prop_oneof![4 => one.clone(), 1 => proptest::collection::vec(one, 0..3).prop_map(Value::List)]
                .boxed()
        }
    }
}

fn links() -> LinkTable {
    let mut links = LinkTable::default();
    for word in ["a", "b", "1", "active"] {
        links.insert("other", RecordKey::single(word), PageId(format!("page-{word}")));
    }
    links
}

/// The laws for one column value, one property value; none speaks of values that do not cross.
fn hold(codec: &FieldCodec, pg: &Value, nt: &Value) -> Result<(), TestCaseError> {
    let links = links();
    let around = Around {
        links: &links,
        ..Around::NOTHING
    };
    let (canon_pg, canon_nt) = (codec.canon_pg(pg), codec.canon_nt(nt));
    prop_assert!(codec.canon_pg(&canon_pg) == canon_pg, "canon_pg is idempotent");
    prop_assert!(codec.canon_nt(&canon_nt) == canon_nt, "canon_nt is idempotent");
    for old_nt in [None, Some(nt)] {
        let Ok(encoded) = codec.enc(pg, old_nt, around) else {
            continue;
        };
        let shown = Shown(encoded.clone());
        prop_assert!(
            codec.agree(pg, &encoded, around) == Ok(true),
            "agrees with {shown:?}"
        );
        prop_assert!(
            codec.agree(pg, &codec.canon_nt(&encoded), around) == Ok(true),
            "agrees with what is read of {shown:?}"
        );
        if codec.fit().reaches_postgres() {
            let back = codec.dec(&encoded, Some(pg), around);
            prop_assert!(
                back.is_ok_and(|back| codec.canon_pg(&back) == canon_pg),
                "PutGet of {shown:?}"
            );
        }
        // Options that differ in case only are one to Notion, so there only the agreement above is promised.
        let by_name = codec.spec().property_type.has_options();
        if codec.fit() == Fit::Lossless && old_nt.is_none() && !encoded.is_empty() && !by_name {
            let back = codec
                .dec(&encoded, None, around)
                .map(|back| codec.canon_pg(&back));
            prop_assert!(back == Ok(canon_pg.clone()), "lossless by itself: {shown:?}");
        }
    }
    for old_pg in [None, Some(pg)] {
        let Ok(decoded) = codec.dec(nt, old_pg, around) else {
            continue;
        };
        let shown = Shown(decoded.clone());
        prop_assert!(
            codec.agree(&decoded, nt, around) == Ok(true),
            "agrees with {shown:?}"
        );
        if codec.fit().reaches_notion() {
            let back = codec.enc(&decoded, Some(nt), around);
            prop_assert!(
                back.is_ok_and(|back| codec.canon_nt(&back) == canon_nt),
                "GetPut of {shown:?}"
            );
        }
    }
    Ok(())
}

#[test]
fn the_laws_hold_for_every_pair_that_fits() {
    let cases = std::env::var("FRAMES_SYNC_LAW_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(20);
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let mut pairs = 0;
    let mut broken = Vec::new();
    for pg_type in columns() {
        for property_type in PropertyType::ALL {
            for kind in std::iter::once(None).chain(ConversionKind::ALL.map(Some)) {
                let spec = FieldSpec {
                    options: ["active", "on_hold", "design", "a", "true"].map(option).to_vec(),
                    on_unknown: OnUnknown::Create,
                    target: Some("other".to_owned()),
                    conversion: kind.map(conversion),
                    time_zone: Some("America/Los_Angeles".to_owned()),
                    ..FieldSpec::new(pg_type.clone(), property_type)
                };
                let Ok(codec) = FieldCodec::new(spec) else {
                    continue;
                };
                pairs += 1;
                let admitted = |value: Value| match codec.admitted(value.clone(), &pg_type) {
                    Ok(admitted) if admitted == value => value,
                    _ => Value::Null,
                };
                let pg = prop_oneof![9 => column_value(&pg_type), 1 => Just(Value::Null)]
                    .prop_map(move |value| Shown(admitted(value)));
                let empty = codec.empty_property();
                let nt = prop_oneof![9 => property_value(property_type), 1 => Just(empty)].prop_map(Shown);
                // A runner counts its successes over all its runs, so each pair has its own.
                let outcome =
                    TestRunner::new(config.clone()).run(&(pg, nt), |(pg, nt)| hold(&codec, &pg.0, &nt.0));
                if let Err(error) = outcome {
                    broken.push(format!("{pg_type} and {property_type} through {kind:?}: {error}"));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(pairs > 500, "only {pairs} pairs were tried");
}
