//! The text of a value, per type: how a column is read, and how a parameter is written.

use crate::schema::PgType;

/// What reads a column as text; `column` is SQL, a quoted name as a rule.
///
/// The text, which [`write_expression`] takes back, and in which SQL's NULL is NULL:
///
/// | type | text |
/// | --- | --- |
/// | text, varchar, citext, enum | the characters |
/// | char(n) | the characters without the padding |
/// | uuid | lower case, dashed |
/// | smallint, integer, bigint | decimal digits, `-` in front |
/// | real, double precision | the shortest decimal that reads back as the same number, `1e+20` when large; `NaN`, `Infinity`, `-Infinity` |
/// | numeric | decimal digits with the stored scale (`12.50`); `NaN`, `Infinity`, `-Infinity` |
/// | boolean | `true`, `false` |
/// | date | `2024-01-31`; ` BC` behind; `infinity`, `-infinity` |
/// | time, timetz | `10:00:00` with as many of six fractional digits as are needed; an offset such as `+02` behind |
/// | timestamp | `2024-01-31T10:00:00.5`, likewise; ` BC` behind; `infinity`, `-infinity` |
/// | timestamptz | the same with `+00:00` behind, for transactions are pinned to UTC |
/// | interval | `1 year 2 mons 3 days 04:05:06.7` |
/// | json | to the letter as it was stored |
/// | jsonb | as PostgreSQL prints it: `{"a": 1}` |
/// | bytea | `\x` and lower-case hexadecimal digits |
/// | inet | `10.0.0.1`, or `10.0.0.0/8` |
/// | domain | as the type underneath |
/// | array | a JSON array: numbers, `true` and `false`, JSON values as themselves, all else as strings in the text above, `null` |
/// | anything else | as its output function prints it |
///
/// Holds inside the transactions of [`super::super::begin`], which pin the settings that output depends on.
pub fn select_expression(pg_type: &PgType, column: &str) -> String {
    match pg_type.base() {
        // JSON has one form for times, whatever `datestyle` says.
        PgType::Date | PgType::Timestamp | PgType::Timestamptz => {
            format!("(pg_catalog.to_json({column}) operator(pg_catalog.#>>) '{{}}')")
        }
        PgType::Array(_) => format!("pg_catalog.to_json({column})::text"),
        _ => format!("{column}::text"),
    }
}

/// What makes a value of that type from text; `text` is SQL of type text, a parameter as a rule.
///
/// The text is that of [`select_expression`]. Text that is no value of the type fails when run, with a SQLSTATE of class 22. Length and precision are left
/// to the column: a cast to `varchar(3)` would cut, where the column refuses.
pub fn write_expression(pg_type: &PgType, text: &str) -> String {
    match pg_type.base() {
        PgType::Array(element) => format!(
            "case when {text} is not null then array(select {} from \
             pg_catalog.json_array_elements_text({text}::json) with ordinality as listed (element, place) \
             order by place) end",
            write_expression(element, "element")
        ),
        // An assignment makes citext of text; the name `citext` may be in a schema that is not searched.
        PgType::Text | PgType::Citext => text.to_owned(),
        base => format!("{text}::{}", cast_name(base)),
    }
}

/// A type's name for casts, without length or precision.
fn cast_name(pg_type: &PgType) -> String {
    match pg_type {
        PgType::Varchar(_) => "varchar".to_owned(),
        PgType::Char(_) => "bpchar".to_owned(),
        PgType::Numeric(_) => "numeric".to_owned(),
        // Names of enums and others come from the catalog, quoted and qualified by `format_type`.
        other => other.to_string(),
    }
}
