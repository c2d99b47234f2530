use super::*;

fn samples() -> Vec<Value> {
    vec![
        Value::Null,
        Value::Bool(true),
        Value::Number(Number::parse("-12.50").unwrap()),
        Value::text("sentinel"),
        Value::RichText(vec![Run::plain("senti"), Run::plain(""), Run::plain("nel")]),
        Value::Date(jiff::civil::date(2026, 9, 4)),
        Value::Time(jiff::civil::time(14, 30, 0, 1000)),
        Value::DateTime(jiff::civil::date(2026, 9, 4).at(14, 30, 0, 0)),
        Value::Instant("2026-09-04T14:30:00.123456Z".parse().unwrap()),
        Value::Range(Box::new((
            Value::Date(jiff::civil::date(2026, 9, 4)),
            Value::Null,
        ))),
        Value::Interval {
            months: 1,
            days: -2,
            micros: 3,
        },
        Value::Uuid(Uuid::from_u128(5)),
        Value::Json("{ \"sentinel\" : 1.0 }".to_owned()),
        Value::List(vec![Value::text("sentinel"), Value::Json("[ ]".to_owned())]),
        Value::Choice(Choice {
            name: "sentinel".to_owned(),
            id: None,
        }),
        Value::Choices(vec![
            Choice {
                name: "b".to_owned(),
                id: None,
            },
            Choice {
                name: "a".to_owned(),
                id: Some("x".to_owned()),
            },
            Choice {
                name: "b".to_owned(),
                id: None,
            },
        ]),
        Value::Pages(BTreeSet::from([PageId::from("sentinel")])),
        Value::People(vec![Person {
            id: UserId::from("sentinel"),
            name: Some("sentinel".to_owned()),
        }]),
        Value::Files(vec![FileRef {
            name: "sentinel".to_owned(),
            url: None,
        }]),
        Value::UniqueId {
            prefix: Some(String::new()),
            number: 7,
        },
        Value::Opaque("sentinel".to_owned()),
    ]
}

#[test]
fn the_stored_form_reads_back_and_does_not_change() {
    let stored: Vec<String> = samples()
        .iter()
        .map(|value| serde_json::to_string(value).unwrap())
        .collect();
    for (value, json) in samples().iter().zip(&stored) {
        assert!(serde_json::from_str::<Value>(json).unwrap() == *value, "{json}");
    }
    insta::assert_snapshot!(stored.join("\n"));
}

#[test]
fn canonical_is_idempotent() {
    for value in samples() {
        let once = value.canonical();
        assert!(once.clone().canonical() == once, "{}", once.reveal());
    }
}

#[test]
fn debug_shows_no_content() {
    for value in samples() {
        let debug = format!("{value:?} {:?}", [&value]);
        assert!(!debug.contains("sentinel") && !debug.contains("12"), "{debug}");
    }
}

#[test]
fn revealing_escapes_what_could_redraw_a_line() {
    assert_eq!(
        Value::text("a\u{202e}b\n\u{1b}[2J").reveal().to_string(),
        r#""a\u202eb\n\u001b[2J""#
    );
}

#[test]
fn every_kind_has_a_name_of_its_own() {
    let kinds: BTreeSet<&str> = samples().iter().map(Value::kind).collect();
    assert_eq!(kinds.len(), samples().len());
}

#[test]
fn conversions_that_cannot_work_are_faults() {
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert!(
        Conversion::Map(vec![pair("a", "A"), pair("b", "B")])
            .check()
            .is_ok()
    );
    assert_eq!(
        Conversion::Map(vec![pair("a", "A"), pair("a", "B")]).check(),
        Err(ConversionFault::MapAmbiguous("a".to_owned()))
    );
    assert_eq!(
        Conversion::Scale(0.0).check(),
        Err(ConversionFault::ScaleWithoutWayBack)
    );
    assert_eq!(
        Conversion::Split(String::new()).check(),
        Err(ConversionFault::SeparatorEmpty)
    );
    let clock = Conversion::Template {
        to_notion: crate::template::Template::parse("{{ value }} at {{ now() }}").unwrap(),
        to_postgres: None,
        examples: Vec::new(),
    };
    assert_eq!(clock.check(), Err(ConversionFault::NotRepeatable));
}
