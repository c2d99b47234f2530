use std::fmt::Write as _;

use super::*;

/// One column type of each class, with the names that the page gives them.
fn columns() -> Vec<(&'static str, PgType)> {
    let array = |element| PgType::Array(Box::new(element));
    vec![
        ("text, varchar, char, citext", PgType::Text),
        ("uuid, inet", PgType::Uuid),
        (
            "enum",
            PgType::Enum {
                name: "public.state".to_owned(),
                labels: vec!["on".to_owned()],
            },
        ),
        ("smallint, integer", PgType::Int4),
        ("bigint", PgType::Int8),
        ("real, double precision", PgType::Float8),
        ("numeric", PgType::Numeric(None)),
        ("boolean", PgType::Bool),
        ("date", PgType::Date),
        ("timestamp", PgType::Timestamp),
        ("timestamptz", PgType::Timestamptz),
        ("time, timetz, interval", PgType::Interval),
        ("json, jsonb", PgType::Jsonb),
        ("array of text, uuid, enum or integer", array(PgType::Text)),
        ("any other array", array(PgType::Bool)),
        ("any other type", PgType::Other("point".to_owned())),
        ("bytea", PgType::Bytea),
    ]
}

fn conversions() -> Vec<Option<ConversionKind>> {
    std::iter::once(None)
        .chain(ConversionKind::ALL.map(Some))
        .collect()
}

fn page() -> String {
    let mut page = String::from(
        "# Conversions\n\n<!-- Generated from src/schema/compat.rs: FRAMES_SYNC_BLESS=1 cargo test --lib compat -->\n\n\
         Which column types fit which property types. A domain fits as the type it is made of.\n\n\
         - **both ways**: every value in the domain of both sides comes back as it was.\n\
         - **both ways, but**: what the property cannot show stays in the column while the rest is unchanged.\n\
         - **to_notion**, **to_postgres**: needs that `direction`.\n\n\
         A value outside the domain of the other side is an error of its field: shown, left alone, and never cut.\n\
         A pair that is not listed is refused; the help says what to write in its place.\n",
    );
    for property in PropertyType::ALL {
        let _ = write!(
            page,
            "\n## {property}\n\n| conversion | columns | fit |\n| --- | --- | --- |\n"
        );
        let mut refusals: Vec<(String, Vec<&str>)> = Vec::new();
        for conversion in conversions() {
            let mut rows: Vec<(String, Vec<&str>)> = Vec::new();
            for (name, column) in columns() {
                match fit(&column, property, conversion) {
                    Fit::Lossless => group(&mut rows, "both ways".to_owned(), name),
                    Fit::Lossy { why } => group(&mut rows, format!("both ways, but: {why}"), name),
                    Fit::OneWay {
                        way: Way::ToNotion,
                        why,
                    } => group(&mut rows, format!("to_notion: {why}"), name),
                    Fit::OneWay {
                        way: Way::ToPostgres,
                        why,
                    } => group(&mut rows, format!("to_postgres: {why}"), name),
                    Fit::Refused { why, help } if conversion.is_none() => {
                        group(&mut refusals, format!("{why}; {help}"), name);
                    }
                    Fit::Refused { .. } => {}
                }
            }
            let label = conversion.map_or("-".to_owned(), |kind| format!("`{}`", kind.name()));
            for (fit, names) in rows {
                let _ = writeln!(page, "| {label} | {} | {fit} |", names.join("; "));
            }
        }
        if !refusals.is_empty() {
            page.push_str("\nRefused without a conversion:\n\n");
            for (reason, names) in refusals {
                let _ = writeln!(page, "- {}: {reason}", names.join("; "));
            }
        }
    }
    page
}

fn group<'a>(rows: &mut Vec<(String, Vec<&'a str>)>, label: String, name: &'a str) {
    match rows.iter_mut().find(|(known, _)| *known == label) {
        Some((_, names)) => names.push(name),
        None => rows.push((label, vec![name])),
    }
}

#[test]
fn the_page_of_conversions_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/conversions.md");
    let fresh = page();
    if std::env::var_os("FRAMES_SYNC_BLESS").is_some() {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/docs")).unwrap();
        std::fs::write(path, &fresh).unwrap();
    }
    let stored = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        stored == fresh,
        "docs/conversions.md is stale: run `FRAMES_SYNC_BLESS=1 cargo test --lib compat`"
    );
}

#[test]
fn the_default_property_of_a_column_fits_it() {
    for (name, column) in columns() {
        match default_property_type(&column) {
            Some(property) => assert!(fit(&column, property, None).reaches_notion(), "{name}"),
            None => assert_eq!(column, PgType::Bytea),
        }
    }
}

#[test]
fn computed_properties_never_take_values() {
    for property in PropertyType::ALL
        .into_iter()
        .filter(|property| property.is_read_only())
    {
        for (name, column) in columns() {
            for conversion in conversions() {
                assert!(
                    !fit(&column, property, conversion).reaches_notion(),
                    "{name} {property}"
                );
            }
        }
    }
}

#[test]
fn bytes_are_refused_everywhere() {
    for property in PropertyType::ALL {
        for conversion in conversions() {
            assert!(matches!(
                fit(&PgType::Bytea, property, conversion),
                Fit::Refused { .. }
            ));
        }
    }
}

#[test]
fn a_domain_fits_as_the_type_it_is_made_of() {
    let domain = PgType::Domain {
        name: "public.percent".to_owned(),
        base: Box::new(PgType::Int4),
    };
    for property in PropertyType::ALL {
        assert_eq!(fit(&domain, property, None), fit(&PgType::Int4, property, None));
    }
}

#[test]
fn a_template_without_a_way_back_is_one_way() {
    let fit = fit(
        &PgType::Text,
        PropertyType::RichText,
        Some(ConversionKind::TemplateToNotion),
    );
    assert!(fit.reaches_notion() && !fit.reaches_postgres());
}
