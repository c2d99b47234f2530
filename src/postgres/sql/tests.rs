use proptest::prelude::*;

use super::{Lock, RowSql, Statement, quoted, select_expression, write_expression};
use crate::mapping::{Comparison, Literal, Predicate};
use crate::postgres::PostgresError;
use crate::schema::table::Column;
use crate::schema::{PgType, TableName, TableSchema};
use crate::value::RecordKey;

fn teams() -> TableSchema {
    let name = TableName {
        schema: "public".to_owned(),
        name: "te\"ams".to_owned(),
    };
    let columns = vec![
        Column::plain("id", PgType::Text),
        Column::plain("number", PgType::Int4),
        Column::plain("university_id", PgType::Varchar(Some(20))),
        Column::plain("at", PgType::Timestamptz),
    ];
    TableSchema {
        primary_key: vec!["id".to_owned()],
        unique: vec![vec!["id".to_owned()]],
        ..TableSchema::plain(name, columns)
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn of_university(value: Literal) -> Predicate {
    Predicate::Compare {
        column: "university_id".to_owned(),
        comparison: Comparison::Equal,
        value,
    }
}

#[test]
fn names_that_postgres_would_change_are_refused() {
    assert_eq!(quoted("we\"ird").expect("a name"), "\"we\"\"ird\"");
    for name in ["", "a\0b", &"é".repeat(32)] {
        assert!(
            matches!(quoted(name), Err(PostgresError::Identifier { .. })),
            "{name:?}"
        );
    }
    assert!(quoted(&"a".repeat(63)).is_ok());
}

proptest! {
    #[test]
    fn a_quoted_name_is_one_token(name in "[^\0]{1,15}") {
        let quoted = quoted(&name).expect("short enough");
        let inside = &quoted[1..quoted.len() - 1];
        prop_assert!(quoted.starts_with('"') && quoted.ends_with('"'));
        prop_assert!(!inside.replace("\"\"", "").contains('"'));
        prop_assert_eq!(inside.replace("\"\"", "\""), name);
    }

    #[test]
    fn no_literal_reaches_the_text(text in ".*") {
        let table = teams();
        let scope = of_university(Literal::Text(text.clone()));
        let sql = RowSql::new(&table, &names(&["id"]), &[], &scope).expect("known columns");
        let statement = sql.select_keys(&[RecordKey::single(text.clone())], Lock::None).expect("a statement");
        let fixed = sql.select_keys(&[RecordKey::single("x")], Lock::None).expect("a statement");
        prop_assert_eq!(statement.text(), fixed.text());
        prop_assert_eq!(&statement.parameters()[1], &Some(text));
    }
}

#[test]
fn an_update_carries_the_scope_twice_and_binds_everything() {
    let table = teams();
    let scope = of_university(Literal::Text("TexasState".to_owned()));
    let sql = RowSql::new(&table, &names(&["id"]), &names(&["at"]), &scope).expect("known columns");
    let statement = sql
        .update(
            &RecordKey::single("team_1"),
            &[("number".to_owned(), Some("7".to_owned()))],
        )
        .expect("a statement");
    insta::assert_snapshot!(statement.text(), @r#"update "public"."te""ams" set "number" = $1::text::integer where ("id") operator(pg_catalog.=) any (select (wanted_key ->> 0) from pg_catalog.json_array_elements($2::text::json) as wanted (wanted_key)) and ("university_id" operator(pg_catalog.=) $3::text::varchar) returning "id"::text, (pg_catalog.to_json("at") operator(pg_catalog.#>>) '{}'), coalesce(("university_id" operator(pg_catalog.=) $4::text::varchar), false) as in_scope"#);
    let parameters: Vec<_> = statement
        .parameters()
        .iter()
        .flatten()
        .map(String::as_str)
        .collect();
    assert_eq!(parameters, ["7", "[[\"team_1\"]]", "TexasState", "TexasState"]);
}

#[test]
fn null_compares_as_null_and_empty_lists_admit_nobody() {
    let table = teams();
    let text = |scope: &Predicate| {
        let mut statement = Statement::default();
        super::push_predicate(&mut statement, scope, &table).expect("known columns");
        statement.text().to_owned()
    };
    assert_eq!(text(&of_university(Literal::Null)), "(\"university_id\" is null)");
    assert_eq!(text(&Predicate::EVERY_ROW), "(true)");
    assert_eq!(text(&Predicate::Any(Vec::new())), "(false)");
    let listed = |values| Predicate::In {
        column: "number".to_owned(),
        values,
    };
    assert_eq!(text(&listed(Vec::new())), "(false)");
    assert_eq!(
        text(&listed(vec![Literal::Integer(1), Literal::Null])),
        "(\"number\" operator(pg_catalog.=) $1::text::integer or \"number\" is null)"
    );
}

#[test]
fn types_of_extensions_keep_the_operators_of_their_schema() {
    let compared = |pg_type: &PgType| {
        let mut statement = Statement::default();
        statement.push_operator(super::Operator::Equal, [pg_type]);
        statement.text().trim().to_owned()
    };
    let listed = PgType::Array(Box::new(PgType::Enum {
        name: "public.mood".to_owned(),
        labels: Vec::new(),
    }));
    for own in [
        PgType::Varchar(None),
        PgType::Citext,
        PgType::Other("macaddr".to_owned()),
        listed,
    ] {
        assert_eq!(compared(&own), "operator(pg_catalog.=)", "{own}");
    }
    let foreign = PgType::Other("public.ltree".to_owned());
    assert_eq!(compared(&foreign), "=");
    assert_eq!(compared(&PgType::Array(Box::new(foreign))), "=");
}

#[test]
fn a_cast_never_cuts_what_the_column_would_refuse() {
    assert_eq!(
        write_expression(&PgType::Varchar(Some(3)), "$1::text"),
        "$1::text::varchar"
    );
    assert_eq!(write_expression(&PgType::Char(3), "$1::text"), "$1::text::bpchar");
    assert_eq!(
        write_expression(&PgType::Numeric(Some((4, 2))), "$1::text"),
        "$1::text::numeric"
    );
    let domain = PgType::Domain {
        name: "public.code".to_owned(),
        base: Box::new(PgType::Varchar(Some(3))),
    };
    assert_eq!(write_expression(&domain, "$1::text"), "$1::text::varchar");
    assert_eq!(select_expression(&domain, "\"c\""), "\"c\"::text");
}

#[test]
fn unknown_columns_and_keys_of_another_length_are_refused() {
    let table = teams();
    let every = Predicate::EVERY_ROW;
    let unknown = RowSql::new(&table, &names(&["id"]), &names(&["nope"]), &every);
    assert!(matches!(unknown, Err(PostgresError::UnknownColumn { column, .. }) if column == "nope"));
    let sql = RowSql::new(&table, &names(&["id", "number"]), &[], &every).expect("known columns");
    let short = sql.select_keys(&[RecordKey::single("1")], Lock::Rows);
    assert!(matches!(
        short,
        Err(PostgresError::KeyLength {
            expected: 2,
            found: 1,
            ..
        })
    ));
}
