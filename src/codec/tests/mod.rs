use serde_json::json;

use super::*;
use crate::template::Template;
use crate::value::{Number, PageId, Run, Style};

mod laws;

fn codec(pg_type: PgType, property_type: PropertyType) -> FieldCodec {
    FieldCodec::new(FieldSpec::new(pg_type, property_type)).unwrap()
}

fn converted(pg_type: PgType, property_type: PropertyType, conversion: Conversion) -> FieldCodec {
    let conversion = Some(conversion);
    FieldCodec::new(FieldSpec {
        conversion,
        ..FieldSpec::new(pg_type, property_type)
    })
    .unwrap()
}

fn with_options(pg_type: PgType, property_type: PropertyType, names: &[&str]) -> FieldCodec {
    let options = names.iter().map(|name| option(name)).collect();
    FieldCodec::new(FieldSpec {
        options,
        ..FieldSpec::new(pg_type, property_type)
    })
    .unwrap()
}

fn option(name: &str) -> Choice {
    Choice {
        name: name.to_owned(),
        id: Some(format!("id-{name}")),
    }
}

fn number(text: &str) -> Value {
    Value::Number(Number::parse(text).unwrap())
}

fn instant(text: &str) -> Value {
    Value::Instant(text.parse().unwrap())
}

fn enc(codec: &FieldCodec, pg: Value, old_nt: Option<Value>) -> Result<Value, CodecCode> {
    codec
        .enc(&pg, old_nt.as_ref(), Around::NOTHING)
        .map_err(|error| error.code)
}

fn dec(codec: &FieldCodec, nt: Value, old_pg: Option<Value>) -> Result<Value, CodecCode> {
    codec
        .dec(&nt, old_pg.as_ref(), Around::NOTHING)
        .map_err(|error| error.code)
}

fn agree(codec: &FieldCodec, pg: &Value, nt: &Value) -> bool {
    codec.agree(pg, nt, Around::NOTHING).unwrap()
}

#[test]
fn formatting_is_kept_while_the_text_is_the_same() {
    let codec = codec(PgType::Text, PropertyType::RichText);
    let bold = Value::RichText(vec![
        Run {
            style: Style {
                bold: true,
                ..Style::default()
            },
            ..Run::plain("bold")
        },
        Run::plain(" text"),
    ]);
    assert!(enc(&codec, Value::text("bold text"), Some(bold.clone())) == Ok(bold.clone()));
    assert!(enc(&codec, Value::text("other"), Some(bold)) == Ok(Value::rich("other")));
}

#[test]
fn seconds_stay_in_the_column_while_the_minute_is_the_same() {
    let codec = codec(PgType::Timestamptz, PropertyType::Date);
    let precise = instant("2026-09-04T14:30:12.345678Z");
    let shown = instant("2026-09-04T14:30:00Z");
    assert!(agree(&codec, &precise, &shown));
    assert!(dec(&codec, shown.clone(), Some(precise.clone())) == Ok(precise));
    assert!(dec(&codec, instant("2026-09-04T14:31:00Z"), Some(shown)) == Ok(instant("2026-09-04T14:31:00Z")));
}

#[test]
fn naive_times_are_shown_in_their_zone() {
    let spec = FieldSpec {
        time_zone: Some("America/Los_Angeles".to_owned()),
        ..FieldSpec::new(PgType::Timestamp, PropertyType::Date)
    };
    let codec = FieldCodec::new(spec).unwrap();
    let noon = Value::DateTime(jiff::civil::date(2026, 7, 1).at(12, 0, 0, 0));
    assert!(enc(&codec, noon.clone(), None) == Ok(instant("2026-07-01T19:00:00Z")));
    assert!(dec(&codec, instant("2026-07-01T19:00:00Z"), None) == Ok(noon));
    // The second 01:30 of the night when clocks go back is not pulled over the first one, and not pushed back.
    let twice = instant("2026-11-01T09:30:00Z");
    let naive = dec(&codec, twice.clone(), None).unwrap();
    assert!(agree(&codec, &naive, &twice));
}

#[test]
fn a_day_on_a_column_of_times_is_midnight_and_stays_a_day() {
    let codec = codec(PgType::Timestamptz, PropertyType::Date);
    let day = Value::Date(jiff::civil::date(2026, 9, 4));
    let midnight = dec(&codec, day.clone(), None).unwrap();
    assert!(midnight == instant("2026-09-04T00:00:00Z"));
    assert!(enc(&codec, midnight, Some(day.clone())) == Ok(day));
}

#[test]
fn what_one_column_cannot_hold_is_refused() {
    let day = |day| Value::Date(jiff::civil::date(2026, 9, day));
    let range = Value::Range(Box::new((day(4), day(5))));
    let date = codec(PgType::Date, PropertyType::Date);
    assert!(dec(&date, range, None) == Err(CodecCode::RangeNotKept));
    assert!(dec(&date, instant("2026-09-04T14:30:00Z"), None) == Err(CodecCode::TimeNotKept));
    assert!(enc(&date, Value::Opaque("infinity".to_owned()), None) == Err(CodecCode::DateOutOfRange));
}

#[test]
fn iso_text_is_written_in_the_shape_it_had() {
    let codec = converted(PgType::Text, PropertyType::Date, Conversion::Iso8601);
    let old = Value::text("2026-09-04 14:30:05.123456");
    assert!(agree(&codec, &old, &instant("2026-09-04T14:30:00Z")));
    assert!(dec(&codec, instant("2026-09-04T14:30:00Z"), Some(old.clone())) == Ok(old.clone()));
    let moved = dec(&codec, instant("2026-09-04T15:00:00Z"), Some(old));
    assert!(moved == Ok(Value::text("2026-09-04 15:00:00.000000")));
    assert!(dec(&codec, instant("2026-09-04T15:00:00Z"), None) == Ok(Value::text("2026-09-04T15:00:00")));
    assert!(enc(&codec, Value::text("yesterday"), None) == Err(CodecCode::NotOfType));
}

#[test]
fn null_shows_as_unticked_and_stays_null() {
    let codec = codec(PgType::Bool, PropertyType::Checkbox);
    let unticked = Value::Bool(false);
    assert!(enc(&codec, Value::Null, None) == Ok(unticked.clone()));
    assert!(agree(&codec, &Value::Null, &unticked));
    assert!(dec(&codec, unticked, Some(Value::Null)) == Ok(Value::Null));
    assert!(dec(&codec, Value::Bool(true), Some(Value::Null)) == Ok(Value::Bool(true)));
}

#[test]
fn empty_text_means_what_the_column_and_the_mapping_say() {
    let empty = Value::RichText(Vec::new());
    let field = |not_null, empty| {
        let spec = FieldSpec {
            not_null,
            empty,
            ..FieldSpec::new(PgType::Text, PropertyType::RichText)
        };
        FieldCodec::new(spec).unwrap()
    };
    assert!(dec(&field(false, None), empty.clone(), None) == Ok(Value::Null));
    assert!(dec(&field(true, None), empty.clone(), None) == Ok(Value::text("")));
    assert!(dec(&field(false, Some(EmptyMeans::EmptyText)), empty.clone(), None) == Ok(Value::text("")));
    assert!(dec(&field(true, Some(EmptyMeans::Null)), empty.clone(), None) == Err(CodecCode::NullRefused));
    // Whatever it means, what is there already is not rewritten.
    assert!(dec(&field(false, None), empty.clone(), Some(Value::text(""))) == Ok(Value::text("")));
    assert!(agree(&field(false, None), &Value::text(""), &empty));
    let count = FieldSpec {
        not_null: true,
        ..FieldSpec::new(PgType::Int4, PropertyType::Number)
    };
    assert!(dec(&FieldCodec::new(count).unwrap(), Value::Null, None) == Err(CodecCode::NullRefused));
}

#[test]
fn numbers_cross_exactly_or_not_at_all() {
    let numeric = codec(PgType::Numeric(Some((10, 2))), PropertyType::Number);
    assert!(enc(&numeric, number("12.50"), None) == Ok(number("12.5")));
    assert!(dec(&numeric, number("1.005"), None) == Err(CodecCode::NumberInexact));
    assert!(dec(&numeric, number("123456789.5"), None) == Err(CodecCode::NumberOutOfRange));
    let any = codec(PgType::Numeric(None), PropertyType::Number);
    assert!(enc(&any, number("0.12345678901234567890"), None) == Err(CodecCode::NumberInexact));
    assert!(enc(&any, Value::Opaque("NaN".to_owned()), None) == Err(CodecCode::NotANumber));
    let big = codec(PgType::Int8, PropertyType::Number);
    assert!(enc(&big, number("9007199254740992"), None).is_ok());
    assert!(enc(&big, number("9007199254740994"), None) == Err(CodecCode::NumberOutOfRange));
    assert!(dec(&big, number("1.5"), None) == Err(CodecCode::NumberInexact));
    let small = codec(PgType::Int2, PropertyType::Number);
    assert!(dec(&small, number("-32768"), None).is_ok());
    assert!(dec(&small, number("32768"), None) == Err(CodecCode::NumberOutOfRange));
    let single = codec(PgType::Float4, PropertyType::Number);
    assert!(dec(&single, number("0.1"), None) == Ok(number("0.1")));
    assert!(dec(&single, number("0.123456789"), None) == Err(CodecCode::NumberInexact));
}

#[test]
fn a_scale_is_exact_in_decimals() {
    let codec = converted(PgType::Int4, PropertyType::Number, Conversion::Scale(0.01));
    assert!(enc(&codec, number("29"), None) == Ok(number("0.29")));
    assert!(dec(&codec, number("0.29"), None) == Ok(number("29")));
    assert!(dec(&codec, number("0.295"), None) == Err(CodecCode::NumberInexact));
    let thirds = converted(PgType::Float8, PropertyType::Number, Conversion::Scale(3.0));
    assert!(dec(&thirds, number("1"), None) == Err(CodecCode::NumberInexact));
}

#[test]
fn options_are_found_by_name_and_keep_their_ids() {
    let codec = with_options(PgType::Text, PropertyType::Select, &["Active", "on_hold"]);
    assert!(enc(&codec, Value::text("on_hold"), None) == Ok(Value::Choice(option("on_hold"))));
    // Notion takes names that differ in case for one option, so these agree and neither is rewritten.
    let active = Value::Choice(option("Active"));
    assert!(agree(&codec, &Value::text("active"), &active));
    assert!(dec(&codec, active, Some(Value::text("active"))) == Ok(Value::text("active")));
    for (name, code) in [
        ("gone", CodecCode::UnknownOption),
        ("a,b", CodecCode::OptionWithComma),
        (&"x".repeat(101), CodecCode::OptionTooLong),
    ] {
        assert!(enc(&codec, Value::text(name), None) == Err(code), "{name}");
    }
    let creating = FieldSpec {
        on_unknown: OnUnknown::Create,
        ..FieldSpec::new(PgType::Text, PropertyType::Status)
    };
    let status = FieldCodec::new(creating).unwrap();
    assert!(enc(&status, Value::text("new"), None) == Err(CodecCode::UnknownOption));
}

#[test]
fn a_null_status_shows_as_the_first_option_and_stays_null() {
    let codec = with_options(PgType::Text, PropertyType::Status, &["Not started", "Done"]);
    let first = Value::Choice(option("Not started"));
    assert!(agree(&codec, &Value::Null, &first));
    assert!(dec(&codec, first, Some(Value::Null)) == Ok(Value::Null));
}

#[test]
fn labels_outside_an_enum_or_a_check_are_refused() {
    let labels = vec!["active".to_owned(), "done".to_owned()];
    let pg_type = PgType::Enum {
        name: "public.state".to_owned(),
        labels: labels.clone(),
    };
    let chosen = |name| Value::Choice(option(name));
    let by_enum = codec(pg_type, PropertyType::Select);
    assert!(dec(&by_enum, chosen("Active"), None) == Ok(Value::text("active")));
    assert!(dec(&by_enum, chosen("paused"), None) == Err(CodecCode::UnknownLabel));
    let spec = FieldSpec {
        allowed: Some(labels),
        ..FieldSpec::new(PgType::Text, PropertyType::Select)
    };
    assert!(dec(&FieldCodec::new(spec).unwrap(), chosen("paused"), None) == Err(CodecCode::UnknownLabel));
}

#[test]
fn lists_are_compared_as_sets() {
    let array = PgType::Array(Box::new(PgType::Text));
    let codec = with_options(array, PropertyType::MultiSelect, &["a", "b"]);
    let list = |names: &[&str]| Value::List(names.iter().map(|name| Value::text(*name)).collect());
    let both = Value::Choices(vec![option("a"), option("b")]);
    assert!(agree(&codec, &list(&["b", "a", "b"]), &both));
    assert!(dec(&codec, both, Some(list(&["b", "a"]))) == Ok(list(&["b", "a"])));
    assert!(enc(&codec, Value::List(vec![Value::Null]), None) == Err(CodecCode::EmptyOption));
    let split = Conversion::Split(",".to_owned());
    let options = vec![option("a"), option("b")];
    let spec = FieldSpec {
        options,
        conversion: Some(split),
        ..FieldSpec::new(PgType::Text, PropertyType::MultiSelect)
    };
    let split = FieldCodec::new(spec).unwrap();
    let both = enc(&split, Value::text(" b ,a"), None).unwrap();
    assert!(dec(&split, both.clone(), Some(Value::text(" b ,a"))) == Ok(Value::text(" b ,a")));
    assert!(dec(&split, both, None) == Ok(Value::text("a,b")));
}

#[test]
fn json_shows_as_text_and_white_space_does_not_count() {
    let codec = converted(PgType::Jsonb, PropertyType::RichText, Conversion::Json);
    let stored = Value::Json(r#"{"b": 1, "a": 12345678901234567890}"#.to_owned());
    assert!(agree(
        &codec,
        &stored,
        &Value::rich(r#"{ "a":12345678901234567890, "b":1.0 }"#)
    ));
    assert!(!agree(
        &codec,
        &stored,
        &Value::rich(r#"{ "a":12345678901234567891, "b":1 }"#)
    ));
    assert!(dec(&codec, Value::rich("{"), None) == Err(CodecCode::NotOfType));
    assert!(dec(&codec, Value::rich(r#"["\u0000"]"#), None) == Err(CodecCode::NulCharacter));
    assert!(dec(&codec, Value::rich(r#"["\\u0000"]"#), None).is_ok());
}

#[test]
fn json_without_its_conversion_is_shown_only() {
    let codec = codec(PgType::Jsonb, PropertyType::RichText);
    assert!(enc(&codec, Value::Json("[1]".to_owned()), None) == Ok(Value::rich("[1]")));
    assert!(dec(&codec, Value::rich("[2]"), None) == Err(CodecCode::NoWayBack));
}

#[test]
fn texts_too_long_are_refused_and_never_cut() {
    let title = codec(PgType::Text, PropertyType::Title);
    assert!(enc(&title, Value::text("x".repeat(200_000)), None).is_ok());
    assert!(enc(&title, Value::text("x".repeat(200_001)), None) == Err(CodecCode::TextTooLong));
    let short = codec(PgType::Varchar(Some(3)), PropertyType::RichText);
    assert!(dec(&short, Value::rich("äöü"), None).is_ok());
    assert!(dec(&short, Value::rich("four"), None) == Err(CodecCode::TextTooLong));
    assert!(dec(&short, Value::rich("\0"), None) == Err(CodecCode::NulCharacter));
    let email = codec(PgType::Text, PropertyType::Email);
    assert!(enc(&email, Value::text("x".repeat(101)), None) == Err(CodecCode::AddressTooLong));
}

#[test]
fn padding_of_a_char_column_does_not_count() {
    let codec = codec(PgType::Char(5), PropertyType::RichText);
    assert!(agree(&codec, &Value::text("ab   "), &Value::rich("ab")));
    assert!(codec.canon_pg(&Value::text("ab   ")) == Value::text("ab"));
}

#[test]
fn relations_wait_for_what_they_refer_to() {
    let spec = FieldSpec {
        target: Some("projects".to_owned()),
        ..FieldSpec::new(PgType::Text, PropertyType::Relation)
    };
    let codec = FieldCodec::new(spec).unwrap();
    let mut links = LinkTable::default();
    links.insert("projects", RecordKey::single("p1"), PageId::from("page-1"));
    let around = Around {
        links: &links,
        ..Around::NOTHING
    };
    let page = Value::Pages([PageId::from("page-1")].into());
    assert!(codec.enc(&Value::text("p1"), None, around) == Ok(page.clone()));
    assert!(codec.dec(&page, None, around) == Ok(Value::text("p1")));
    assert!(
        codec
            .enc(&Value::text("p2"), Some(&page), around)
            .unwrap_err()
            .is_waiting()
    );
    let two = Value::Pages([PageId::from("page-1"), PageId::from("page-2")].into());
    assert!(codec.dec(&two, None, around).unwrap_err().is_waiting());
    links.insert("projects", RecordKey::single("p2"), PageId::from("page-2"));
    let around = Around {
        links: &links,
        ..Around::NOTHING
    };
    assert!(codec.dec(&two, None, around).unwrap_err().code == CodecCode::OneOnly);
}

#[test]
fn templates_see_the_value_the_row_and_the_names() {
    let conversion = Conversion::Template {
        to_notion: Template::parse("{{ vars.prefix }}{{ value | upper }}{{ row.n }}").unwrap(),
        to_postgres: None,
        examples: Vec::new(),
    };
    let names = json!({ "vars": { "prefix": ">" } });
    let conversion = Some(conversion);
    let spec = FieldSpec {
        conversion,
        names,
        ..FieldSpec::new(PgType::Text, PropertyType::RichText)
    };
    let codec = FieldCodec::new(spec).unwrap();
    let around = Around {
        row: &json!({ "n": 7 }),
        ..Around::NOTHING
    };
    assert!(codec.enc(&Value::text("a"), None, around) == Ok(Value::rich(">A7")));
    assert!(codec.enc(&Value::Null, None, around) == Ok(Value::RichText(Vec::new())));
    assert!(
        codec
            .enc(&Value::text("a"), None, Around::NOTHING)
            .unwrap_err()
            .code
            == CodecCode::TemplateFailed
    );
}

#[test]
fn a_spelling_that_reads_back_the_same_is_not_pushed_over() {
    let conversion = Conversion::Template {
        to_notion: Template::parse("{{ value | upper }}").unwrap(),
        to_postgres: Some(Template::parse("{{ value | lower }}").unwrap()),
        examples: Vec::new(),
    };
    let codec = converted(PgType::Text, PropertyType::RichText, conversion);
    assert!(agree(&codec, &Value::text("abc"), &Value::rich("aBc")));
    assert!(enc(&codec, Value::text("abd"), Some(Value::rich("aBc"))) == Ok(Value::rich("ABD")));
}

#[test]
fn computed_properties_are_pulled_only() {
    let codec = codec(PgType::Numeric(None), PropertyType::Formula);
    assert!(dec(&codec, number("85"), None) == Ok(number("85")));
    assert!(enc(&codec, number("85"), None) == Err(CodecCode::ComputedByNotion));
    assert!(agree(&codec, &number("85"), &number("85")) && !agree(&codec, &number("85"), &number("86")));
}

#[test]
fn what_cannot_work_is_refused_at_once() {
    let error = |spec| FieldCodec::new(spec).unwrap_err();
    let bytes = FieldSpec::new(PgType::Bytea, PropertyType::RichText);
    assert!(matches!(error(bytes), FieldSpecError::TypesDoNotFit { .. }));
    let zone = Some("Europe/Atlantis".to_owned());
    let nowhere = FieldSpec {
        time_zone: zone,
        ..FieldSpec::new(PgType::Timestamp, PropertyType::Date)
    };
    assert_eq!(
        error(nowhere),
        FieldSpecError::UnknownZone("Europe/Atlantis".to_owned())
    );
}

#[test]
fn codes_are_spelled_one_way() {
    for code in CodecCode::ALL {
        assert_eq!(serde_json::to_value(code).unwrap(), json!(code.name()));
    }
}
