//! Encoding and decoding a page of 30 properties: pages a second on one core.
//!
//! `cargo bench --no-default-features --bench codec`; the figure of record is in docs/performance.md.

use divan::Bencher;
use divan::counter::ItemsCount;
use frames_sync::codec::{Around, FieldCodec, FieldSpec};
use frames_sync::schema::{PgType, PropertyType};
use frames_sync::value::{Choice, Conversion, Value};
use frames_sync::{notion, postgres};
use serde_json::{Value as Json, json};

fn main() {
    divan::main();
}

/// One field of the page: its codec, the column's text as selected, and the property as a page object holds it.
struct Field {
    codec: FieldCodec,
    column: &'static str,
    property: Json,
}

fn field(pg_type: PgType, property_type: PropertyType, column: &'static str, content: Json) -> Field {
    let option = |name: &str| Choice {
        name: name.to_owned(),
        id: Some(format!("id-{name}")),
    };
    let conversion = match (&pg_type, property_type) {
        (PgType::Text, PropertyType::Date) => Some(Conversion::Iso8601),
        (PgType::Jsonb, _) => Some(Conversion::Json),
        _ => None,
    };
    let spec = FieldSpec {
        options: ["active", "completed", "on_hold", "design", "analysis"]
            .map(option)
            .to_vec(),
        conversion,
        ..FieldSpec::new(pg_type, property_type)
    };
    let property = json!({ "id": "a", "type": property_type.name(), property_type.name(): content });
    Field {
        codec: FieldCodec::new(spec).expect("the types fit"),
        column,
        property,
    }
}

fn rich(text: &str) -> Json {
    json!([{ "type": "text", "text": { "content": text, "link": null }, "plain_text": text, "href": null,
        "annotations": { "bold": false, "italic": false, "strikethrough": false, "underline": false, "code": false, "color": "default" } }])
}

/// Thirty fields in the proportions of the FRAMES tables: mostly short text, some options, times and numbers.
fn page() -> Vec<Field> {
    let select = |name: &str| json!({ "id": format!("id-{name}"), "name": name, "color": "green" });
    let date = |start: &str| json!({ "start": start, "end": null, "time_zone": null });
    let array = PgType::Array(Box::new(PgType::Text));
    let mut fields = vec![field(
        PgType::Text,
        PropertyType::Title,
        "Attitude control",
        rich("Attitude control"),
    )];
    for _ in 0..3 {
        fields.extend([
            field(PgType::Text, PropertyType::RichText, "team_1", rich("team_1")),
            field(PgType::Text, PropertyType::Select, "active", select("active")),
            field(PgType::Int4, PropertyType::Number, "42", json!(42)),
            field(
                PgType::Numeric(Some((10, 2))),
                PropertyType::Number,
                "12.50",
                json!(12.5),
            ),
            field(PgType::Bool, PropertyType::Checkbox, "true", json!(true)),
            field(
                PgType::Timestamptz,
                PropertyType::Date,
                "2026-09-04T14:30:12.345678+00:00",
                date("2026-09-04T14:30:00.000+00:00"),
            ),
            field(
                PgType::Text,
                PropertyType::Date,
                "2026-09-04T14:30:12",
                date("2026-09-04T14:30:00.000Z"),
            ),
            field(
                PgType::Text,
                PropertyType::Email,
                "ada@example.edu",
                json!("ada@example.edu"),
            ),
            field(
                array.clone(),
                PropertyType::MultiSelect,
                r#"["design","analysis"]"#,
                json!([select("analysis"), select("design")]),
            ),
        ]);
    }
    fields.push(field(
        PgType::Jsonb,
        PropertyType::RichText,
        r#"{"a": 1}"#,
        rich(r#"{"a": 1}"#),
    ));
    fields.push(field(
        PgType::Text,
        PropertyType::RichText,
        "",
        rich(&"A longer note. ".repeat(40)),
    ));
    fields
}

fn decoded(field: &Field) -> (Value, Value) {
    let spec = field.codec.spec();
    let pg = postgres::codec::decode(&spec.pg_type, Some(field.column));
    let nt = notion::codec::decode(spec.property_type, &field.property).expect("a known shape");
    (pg, nt)
}

/// Postgres text to the JSON of a page write.
#[divan::bench]
fn encode(bencher: Bencher<'_, '_>) {
    let page = page();
    assert_eq!(page.len(), 30);
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        let written = page.iter().map(|field| {
            let spec = field.codec.spec();
            let pg = postgres::codec::decode(&spec.pg_type, Some(field.column));
            let nt = field
                .codec
                .enc(&pg, None, Around::NOTHING)
                .expect("within the domain");
            notion::codec::encode(spec.property_type, &nt).expect("within the limits")
        });
        written.collect::<Vec<Json>>()
    });
}

/// The JSON of a page to Postgres text.
#[divan::bench]
fn decode(bencher: Bencher<'_, '_>) {
    let page = page();
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        let written = page.iter().map(|field| {
            let nt = notion::codec::decode(field.codec.spec().property_type, &field.property).expect("known");
            let pg = field
                .codec
                .dec(&nt, None, Around::NOTHING)
                .expect("within the domain");
            postgres::codec::encode(&pg).expect("a column's kind")
        });
        written.collect::<Vec<Option<String>>>()
    });
}

/// What a cycle does with a page where nothing changed: both sides read, made canonical and compared.
#[divan::bench]
fn compare_unchanged(bencher: Bencher<'_, '_>) {
    let page = page();
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        let agreeing = page.iter().filter(|field| {
            let (pg, nt) = decoded(field);
            let canonical = (field.codec.canon_pg(&pg), field.codec.canon_nt(&nt));
            divan::black_box(canonical);
            field.codec.agree(&pg, &nt, Around::NOTHING) == Ok(true)
        });
        agreeing.count()
    });
}
