//! The Postgres side: names, filters, values, other people's schemas, and rows that a policy hides (S1-S3, S16-S18).

use std::collections::BTreeSet;
use std::process::Stdio;

use frames_sync::mapping::{self, Comparison, Literal, Predicate, Scene};
use frames_sync::postgres::sql::{Lock, RowSql, Statement, quoted};
use frames_sync::schema::table::Column;
use frames_sync::schema::{PgType, TableName, TableSchema};
use frames_sync::simulator::{Effect, Fault, Trigger};
use frames_sync::value::RecordKey;
use frames_sync::yaml;
use serde_json::{Value as Json, json};
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use super::{PAYLOADS, Random};
use crate::golden::root;
use crate::support::TestDatabase;
use crate::sync::world::{World, text, title, writes};
use crate::sync::{BOTH, GROUPS_MAPPING, THINGS, THINGS_MAPPING};

/// Names tried; `FRAMES_SYNC_HOSTILE_NAMES=100000` tries as many as the semantics page asks for.
const NAMES: usize = 3_000;

fn names_to_try() -> usize {
    match std::env::var("FRAMES_SYNC_HOSTILE_NAMES") {
        Ok(names) => names.parse().expect("FRAMES_SYNC_HOSTILE_NAMES is a number"),
        Err(_) => NAMES,
    }
}

/// What has a meaning to SQL, to a driver, to a terminal or to a person's eye.
const PIECES: [&str; 40] = [
    "\"",
    "\"\"",
    "'",
    "''",
    ";",
    "--",
    "/*",
    "*/",
    "$$",
    "$1",
    "$a$",
    "\\",
    "\\'",
    "E'\\x27'",
    "%s",
    "{}",
    "\n",
    "\r\n",
    "\t",
    " ",
    ".",
    ",",
    "(",
    ")",
    "::text",
    "::regclass",
    " as x",
    "*",
    "\0",
    "\u{202e}",
    "\u{200b}",
    "é",
    "🚀",
    "Ω",
    "; drop table public.canary; --",
    "\"; drop table public.canary; --",
    "\" cascade; delete from public.canary where \"\"=\"",
    "(select 1)",
    "pg_catalog.pg_class",
    "U&\"\\0061\"",
];

fn hostile_name(random: &mut Random) -> String {
    let mut name = String::new();
    for _ in 0..=random.below(4) {
        match random.below(6) {
            0 => name.push_str("CamelCase"),
            1 => name.push(char::from(b'a' + random.below(26) as u8)),
            _ => name.push_str(random.pick::<&str>(&PIECES)),
        }
    }
    if random.below(40) == 0 {
        name.push_str(&"é".repeat(20 + random.below(20)));
    }
    name
}

fn table(schema: &str, name: &str, columns: Vec<Column>) -> TableSchema {
    let name = TableName {
        schema: schema.to_owned(),
        name: name.to_owned(),
    };
    TableSchema::plain(name, columns)
}

/// As the test quotes by itself, that one mistake does not pass the other.
fn own_quoting(name: &str) -> String {
    let mut quoted = "\"".to_owned();
    for character in name.chars() {
        if character == '"' {
            quoted.push('"');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

/// The relations that Postgres would touch, as it says itself.
async fn touched(connection: &mut PgConnection, statement: &Statement) -> BTreeSet<(String, String)> {
    fn collect(plan: &Json, into: &mut BTreeSet<(String, String)>) {
        if let Some(name) = plan["Relation Name"].as_str() {
            let schema = plan["Schema"].as_str().unwrap_or_default();
            into.insert((schema.to_owned(), name.to_owned()));
        }
        for part in plan["Plans"].as_array().into_iter().flatten() {
            collect(part, into);
        }
    }
    let explain = format!("explain (verbose, format json) {}", statement.text());
    let query = sqlx::query(AssertSqlSafe(explain)).persistent(false);
    let query = statement
        .parameters()
        .iter()
        .fold(query, |query, value| query.bind(value.as_deref()));
    let row = query
        .fetch_one(connection)
        .await
        .unwrap_or_else(|error| panic!("{error}: {}", statement.text()));
    let plans: Json = row.try_get(0).expect("a plan as JSON");
    let mut found = BTreeSet::new();
    for plan in plans.as_array().expect("plans") {
        collect(&plan["Plan"], &mut found);
    }
    found
}

#[tokio::test]
async fn s01_identifiers_cannot_inject() {
    let (database, pool) =
        TestDatabase::with("create table canary (id int); insert into canary values (1)").await;
    let mut random = Random(1);
    let (mut refused, mut tried) = (0, 0);
    while tried + refused < names_to_try() {
        let names: [String; 4] = std::array::from_fn(|_| hostile_name(&mut random));
        let fits = |name: &String| !name.is_empty() && !name.contains('\0') && name.len() <= 63;
        for name in names.iter().filter(|name| !fits(name)) {
            quoted(name).expect_err(name);
            refused += 1;
        }
        let [schema, name, key, value] = &names;
        if !names.iter().all(fits) || key == value || schema.starts_with("pg_") {
            continue;
        }
        tried += names.len();
        let mut transaction = pool.begin().await.expect("a transaction");
        let [schema_sql, name_sql, key_sql, value_sql] =
            [schema, name, key, value].map(|name| own_quoting(name));
        let setting = format!(
            "create schema {schema_sql}; create table {schema_sql}.{name_sql} ({key_sql} varchar primary key, {value_sql} text); \
             insert into {schema_sql}.{name_sql} values ('k', 'before'), ('other', 'stays')"
        );
        sqlx::raw_sql(AssertSqlSafe(setting))
            .execute(&mut *transaction)
            .await
            .unwrap_or_else(|error| panic!("{names:?}: {error}"));
        let table = table(
            schema,
            name,
            vec![
                Column::plain(key, PgType::Varchar(None)),
                Column::plain(value, PgType::Text),
            ],
        );
        let scope = Predicate::Compare {
            column: value.clone(),
            comparison: Comparison::NotEqual,
            value: Literal::Text("'; drop table public.canary; --".to_owned()),
        };
        let columns = std::slice::from_ref(value);
        let sql = RowSql::new(&table, std::slice::from_ref(key), columns, &scope).expect("columns");
        let record = RecordKey::single("k");
        let set = vec![(value.clone(), Some("after".to_owned()))];
        let new = vec![
            (key.clone(), Some("new".to_owned())),
            (value.clone(), Some("made".to_owned())),
        ];
        for (statement, answer) in [
            (
                sql.select_keys(std::slice::from_ref(&record), Lock::Rows),
                "before",
            ),
            (sql.select_presence(std::slice::from_ref(&record)), "before"),
            (sql.select_after(Some(&RecordKey::single("j")), None, 1), "before"),
            (sql.update(&record, &set), "after"),
            (sql.insert(&new), "made"),
            (sql.delete(&record), "after"),
        ] {
            let statement = statement.expect("names that fit");
            let own = BTreeSet::from([(schema.clone(), name.clone())]);
            assert_eq!(touched(&mut transaction, &statement).await, own, "{names:?}");
            let rows = statement
                .query()
                .fetch_all(&mut *transaction)
                .await
                .unwrap_or_else(|error| panic!("{names:?}: {error}\n{}", statement.text()));
            assert_eq!(rows.len(), 1, "{names:?}: {}", statement.text());
            let found: String = rows[0].try_get(1).expect("the value");
            assert_eq!(found, answer, "{names:?}: {}", statement.text());
        }
        let rest = format!("select {value_sql} from {schema_sql}.{name_sql} order by 1");
        let rest: Vec<String> = sqlx::query_scalar(AssertSqlSafe(rest))
            .fetch_all(&mut *transaction)
            .await
            .expect("the rows");
        assert_eq!(rest, ["made", "stays"], "{names:?}");
        transaction.rollback().await.expect("no trace");
        if tried % 40 == 0 {
            in_a_mapping(&names);
        }
    }
    assert!(
        refused > tried / 50,
        "{refused} of {tried} names were too long or had a NUL"
    );
    let canaries: i64 = sqlx::query_scalar("select count(*) from public.canary")
        .fetch_one(&pool)
        .await
        .expect("the canary lives");
    assert_eq!(canaries, 1);
    drop(database);
}

/// The same names written in a mapping: taken as they are, or a finding.
fn in_a_mapping(names: &[String; 4]) {
    let [schema, name, key, value] = names;
    let yaml = format!(
        "version: 1\nentity: teams\ntable: {}\nkey: {}\nnotion: {{ title: Teams }}\nproperties:\n  Name: {{ type: title, column: {} }}\n",
        json!(format!("{schema}.{name}")),
        json!(key),
        json!(value),
    );
    let document = yaml::read_bytes("teams.yaml", yaml.into_bytes()).value;
    let Some(parsed) = document.and_then(|document| mapping::parse(document).value) else {
        return;
    };
    let checked = mapping::validate(&parsed, &Scene::default());
    if let (Some(mapping), true) = (&checked.value, checked.findings.is_empty()) {
        assert_eq!(
            (&mapping.key[0], mapping.fields[0].column()),
            (key, Some(value.as_str()))
        );
    }
}

/// A filter of the test's own, with what it is in YAML and what it means, written down apart from the product.
fn filter(random: &mut Random, depth: usize) -> Predicate {
    const TEXTS: [&str; 7] = ["a", "", "it's", "'; drop table rows; --", "$1", "\\", "\u{202e}"];
    let text = |random: &mut Random| Literal::Text((*random.pick(&TEXTS)).to_owned());
    let whole = |random: &mut Random| Literal::Integer(random.below(5) as i64 - 2);
    match random.below(if depth == 0 { 5 } else { 7 }) {
        0 => Predicate::Compare {
            column: ODD.to_owned(),
            comparison: *random.pick(&[Comparison::Equal, Comparison::NotEqual]),
            value: text(random),
        },
        1 | 2 => Predicate::Compare {
            column: "n".to_owned(),
            comparison: *random.pick(&[
                Comparison::Equal,
                Comparison::NotEqual,
                Comparison::Less,
                Comparison::LessOrEqual,
                Comparison::Greater,
                Comparison::GreaterOrEqual,
            ]),
            value: whole(random),
        },
        3 => Predicate::IsNull {
            column: (*random.pick(&[ODD, "n"])).to_owned(),
            null: random.below(2) == 0,
        },
        4 => {
            let mut values: Vec<Literal> = (0..=random.below(3)).map(|_| text(random)).collect();
            if random.below(3) == 0 {
                values.push(Literal::Null);
            }
            Predicate::In {
                column: ODD.to_owned(),
                values,
            }
        }
        other => {
            let parts = (0..=random.below(3)).map(|_| filter(random, depth - 1)).collect();
            if other == 5 {
                Predicate::All(parts)
            } else {
                Predicate::Any(parts)
            }
        }
    }
}

/// A column that SQL would not take unquoted.
const ODD: &str = "we\"ird; --";

/// As the contract writes it.
fn in_yaml(filter: &Predicate) -> Json {
    let literal = |literal: &Literal| serde_json::to_value(literal).expect("a literal");
    match filter {
        Predicate::All(parts) => json!({ "all": parts.iter().map(in_yaml).collect::<Vec<_>>() }),
        Predicate::Any(parts) => json!({ "any": parts.iter().map(in_yaml).collect::<Vec<_>>() }),
        Predicate::IsNull { column, null: true } => json!({ column: null }),
        Predicate::IsNull { column, null: false } => json!({ column: { "not": null } }),
        Predicate::In { column, values } => json!({ column: values.iter().map(literal).collect::<Vec<_>>() }),
        Predicate::Compare {
            column,
            comparison,
            value,
        } => {
            let value = literal(value);
            match comparison {
                Comparison::Equal => json!({ column: value }),
                Comparison::NotEqual => json!({ column: { "not": value } }),
                Comparison::Less => json!({ column: { "lt": value } }),
                Comparison::LessOrEqual => json!({ column: { "lte": value } }),
                Comparison::Greater => json!({ column: { "gt": value } }),
                Comparison::GreaterOrEqual => json!({ column: { "gte": value } }),
            }
        }
    }
}

type Line = (String, Option<&'static str>, Option<i64>);

fn holds(filter: &Predicate, line: &Line) -> bool {
    let is = |column: &str, literal: &Literal| match literal {
        Literal::Text(text) => column == ODD && line.1 == Some(text),
        Literal::Integer(whole) => column == "n" && line.2 == Some(*whole),
        _ => false,
    };
    let is_null = |column: &str| {
        if column == ODD {
            line.1.is_none()
        } else {
            line.2.is_none()
        }
    };
    match filter {
        Predicate::All(parts) => parts.iter().all(|part| holds(part, line)),
        Predicate::Any(parts) => parts.iter().any(|part| holds(part, line)),
        Predicate::IsNull { column, null } => is_null(column) == *null,
        Predicate::In { column, values } => values
            .iter()
            .any(|value| is(column, value) || (*value == Literal::Null && is_null(column))),
        Predicate::Compare {
            column,
            comparison,
            value,
        } => {
            let order = match (value, line.2) {
                (Literal::Integer(whole), Some(n)) if column == "n" => Some(n.cmp(whole)),
                _ => None,
            };
            match comparison {
                Comparison::Equal => is(column, value),
                Comparison::NotEqual => !is(column, value),
                Comparison::Less => order.is_some_and(std::cmp::Ordering::is_lt),
                Comparison::LessOrEqual => order.is_some_and(std::cmp::Ordering::is_le),
                Comparison::Greater => order.is_some_and(std::cmp::Ordering::is_gt),
                Comparison::GreaterOrEqual => order.is_some_and(std::cmp::Ordering::is_ge),
            }
        }
    }
}

#[tokio::test]
async fn s02_filters_are_a_tree_that_binds_its_literals() {
    let (_database, pool) = TestDatabase::with(
        "create table rows (id text primary key, name text, \"we\"\"ird; --\" varchar, n int)",
    )
    .await;
    let mut lines: Vec<Line> = Vec::new();
    for odd in [
        None,
        Some("a"),
        Some(""),
        Some("it's"),
        Some("'; drop table rows; --"),
        Some("$1"),
    ] {
        for n in [None, Some(-2), Some(0), Some(1)] {
            let id = format!("r{:02}", lines.len());
            sqlx::query("insert into rows values ($1, 'x', $2, $3::int8::int)")
                .bind(&id)
                .bind(odd)
                .bind(n)
                .execute(&pool)
                .await
                .expect("a row");
            lines.push((id, odd, n));
        }
    }
    let columns = vec![
        Column::plain("id", PgType::Text),
        Column::plain("name", PgType::Text),
        Column::plain(ODD, PgType::Varchar(None)),
        Column::plain("n", PgType::Int4),
    ];
    let table = table("public", "rows", columns);
    let id = ["id".to_owned()];
    let mut random = Random(2);
    let mut written = 0;
    for _ in 0..400 {
        let wanted = filter(&mut random, 3);
        let text = serde_json::to_string(&wanted).expect("JSON");
        assert_eq!(
            serde_json::from_str::<Predicate>(&text).expect("the same tree"),
            wanted
        );
        let mut trees = vec![wanted.clone()];
        let yaml = format!(
            "version: 1\nentity: rows\ntable: public.rows\nkey: id\nscope: {}\nnotion: {{ title: Rows }}\nproperties:\n  Name: {{ type: title, column: name }}\n",
            in_yaml(&wanted)
        );
        let parsed = mapping::parse(
            yaml::read_bytes("rows.yaml", yaml.clone().into_bytes())
                .value
                .expect(&yaml),
        );
        let checked = mapping::validate(&parsed.value.expect(&yaml), &Scene::default());
        let errors: Vec<_> = checked
            .findings
            .iter()
            .filter(|finding| finding.severity == frames_sync::diagnostic::Severity::Error)
            .collect();
        if errors.is_empty() && parsed.findings.is_empty() {
            trees.push(checked.value.expect(&yaml).scope);
            written += 1;
        }
        let expected: Vec<&str> = lines
            .iter()
            .filter(|line| holds(&wanted, line))
            .map(|(id, ..)| id.as_str())
            .collect();
        for tree in trees {
            let sql = RowSql::new(&table, &id, &[], &tree).expect("known columns");
            let statement = sql.select_after(None, None, 100).expect("a statement");
            assert!(
                !statement.text().contains("drop table rows; --'"),
                "{}",
                statement.text()
            );
            let rows = statement.query().fetch_all(&pool).await.unwrap_or_else(|error| {
                panic!("{error}: {}\n{yaml}", statement.text());
            });
            let found: Vec<String> = rows.iter().map(|row| row.try_get(0).expect("an id")).collect();
            assert_eq!(found, expected, "{}\n{yaml}", statement.text());
        }
    }
    assert!(written > 300, "{written} of 400 filters could be written in YAML");
}

/// Where SQL is made of text that is no literal of the program, how often, and why that is no injection.
const SQL_FROM_TEXT: [(&str, usize, &str); 8] = [
    (
        "src/postgres/sql/mod.rs",
        1,
        "a `Statement`, which takes literals of the program and quoted names only",
    ),
    (
        "src/postgres/transaction.rs",
        1,
        "opening a transaction: constants of the file",
    ),
    (
        "src/postgres/profile/rows.rs",
        1,
        "the quoted name of the state schema",
    ),
    (
        "src/postgres/profile/mod.rs",
        1,
        "the quoted name of the state schema",
    ),
    ("src/postgres/listen.rs", 1, "the quoted name of the state schema"),
    (
        "src/store/tables/mod.rs",
        1,
        "the quoted name of the state schema",
    ),
    (
        "src/store/migrations/mod.rs",
        4,
        "the quoted name of the state schema and a number",
    ),
    ("src/cluster/native.rs", 2, "databases of the demo and the tests"),
];

#[test]
fn s03_sql_is_made_of_literals_of_the_program() {
    fn sources(folder: &std::path::Path, into: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                sources(&path, into);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                into.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    sources(&root().join("src"), &mut paths);
    let mut found = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("a source");
        let code: Vec<&str> = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect();
        // The driver takes only `&'static str` without it.
        let uses = code
            .iter()
            .map(|line| line.matches("AssertSqlSafe(").count())
            .sum::<usize>();
        if uses > 0 {
            let shown = path.strip_prefix(root()).expect("within").display().to_string();
            found.push((shown, uses));
        }
    }
    found.sort();
    let mut expected: Vec<(String, usize)> = SQL_FROM_TEXT
        .iter()
        .map(|(path, uses, _)| ((*path).to_owned(), *uses))
        .collect();
    expected.sort();
    assert_eq!(found, expected, "a new place needs its reason in the table above");
}

#[tokio::test]
async fn s03_values_are_bound_on_both_sides() {
    let key_of = |index: usize, payload: &str| format!("k{index}{payload}");
    let world = World::with(THINGS, BOTH).await;
    for (index, payload) in PAYLOADS.iter().enumerate() {
        sqlx::query("insert into things (id, name, org, note) values ($1, $2, 'cal', $3)")
            .bind(key_of(index, payload))
            .bind(payload)
            .bind(payload)
            .execute(&world.pool)
            .await
            .expect("a row");
    }
    world.ok(&["setup"]);
    for (index, payload) in PAYLOADS.iter().enumerate() {
        let key = key_of(index, payload);
        let page = world.page("Things", &key);
        assert_eq!(world.text(page, "Name"), *payload);
        // And the other way, another one: where a row's text was, a page's is next.
        let other = PAYLOADS[(index + 1) % PAYLOADS.len()];
        world.edit(page, "Note", text(other));
        world.edit(page, "Name", title(&format!("{other} again")));
    }
    world.ok(&["sync"]);
    for (index, payload) in PAYLOADS.iter().enumerate() {
        let other = PAYLOADS[(index + 1) % PAYLOADS.len()];
        let row: (String, String) = sqlx::query_as("select name, note from things where id = $1")
            .bind(key_of(index, payload))
            .fetch_one(&world.pool)
            .await
            .expect("the row");
        assert_eq!(row, (format!("{other} again"), other.to_owned()));
        let key = key_of(index, payload);
        for command in [
            &["explain", "things", &key][..],
            &["history", "--entity", "things", "--key", &key],
        ] {
            world.ok(command);
        }
    }
    let rows = world.scalar("select count(*)::text from things").await;
    assert_eq!(rows, Some((4 + PAYLOADS.len()).to_string()));
    let (_, exchanges) = world.watched(&["sync", "--full"]);
    assert_eq!(writes(&exchanges).len(), 0, "all of it arrived as it was");
}

/// A role that may do what `doctor` prints, and the world as it sees it.
async fn as_runtime_role(mut world: World, role: &str) -> World {
    let url = |world: &World| {
        let found = world
            .project
            .environment()
            .find(|(name, _)| *name == "DATABASE_URL");
        found.expect("a URL").1.to_owned()
    };
    let owned = url(&world);
    world
        .sql(&format!(
            "do $$ begin create role {role} login; exception when duplicate_object then null; end $$;
             grant select, insert, update, delete on things, groups to {role};
             grant usage on schema frames_sync to {role};
             grant select, insert, update, delete on all tables in schema frames_sync to {role};
             revoke update, delete, truncate on frames_sync.audit from {role};
             revoke insert, update, delete on frames_sync.migration from {role}"
        ))
        .await;
    world.project = world
        .project
        .env("DATABASE_URL", owned.replace("postgres@", &format!("{role}@")));
    world
}

#[tokio::test]
async fn s16_rows_that_a_policy_hides_are_not_deleted() {
    let world = World::with(THINGS, BOTH).await;
    if world.has_one_backend() {
        // Of the embedded engine, which is always the superuser, whom no policy binds.
        return;
    }
    world
        .sql(
            "insert into things (id, name, org) select 'm' || n, 'Many', 'cal' from generate_series(1, 30) n",
        )
        .await;
    world.ok(&["setup"]);
    let pages = world.pages("Things").len();
    let world = as_runtime_role(world, "runtime_s16").await;
    world.ok(&["sync", "--full"]);
    let unharmed = |what: &str| {
        assert_eq!(world.trashed("Things").len(), 0, "{what}");
        assert_eq!(world.pages("Things").len(), pages, "{what}");
    };
    // Between two runs.
    world.sql("alter table things enable row level security").await;
    world.simulator.clear_exchanges();
    for command in ["sync", "push", "pull"] {
        let report = world.run(&[command, "--full"]);
        assert_ne!(report.code, 0, "{command}: {:#}", report.json);
    }
    assert_eq!(writes(&world.simulator.exchanges()).len(), 0);
    unharmed("between two runs");
    world.sql("alter table things disable row level security").await;

    // In the middle of one: while pages are being written, every row goes out of sight.
    world
        .sql("update things set note = 'edited' where id in ('m1', 'm2', 'm3', 'm4', 'm5', 'm6')")
        .await;
    world.simulator.fault(Fault {
        when: Trigger {
            endpoint: Some("PATCH /v1/pages/{page_id}".to_owned()),
            ..Trigger::default()
        },
        effect: Effect::Slow { milliseconds: 150 },
        times: None,
    });
    world.simulator.clear_exchanges();
    let mut command = world.project.command(&["sync", "--full"]);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the built binary runs");
    let began = std::time::Instant::now();
    while writes(&world.simulator.exchanges()).is_empty() {
        assert!(began.elapsed().as_secs() < 60, "nothing was written");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    world.sql("alter table things enable row level security").await;
    child.wait().expect("its end");
    world.simulator.clear_faults();
    unharmed("in the middle of a run");
    for _ in 0..2 {
        world.run(&["sync", "--full"]);
        unharmed("after it");
    }
    world.sql("alter table things disable row level security").await;
    world.ok(&["sync", "--full"]);
    unharmed("in sight again");
    assert_eq!(world.text(world.page("Things", "m6"), "Note"), "edited");
    let rows = world.scalar("select count(*)::text from things").await;
    assert_eq!(rows.as_deref(), Some("34"));
    world
        .sql("drop owned by runtime_s16 cascade; drop role runtime_s16")
        .await;
}

/// Tables whose columns have the types that PostgreSQL compares by an operator of another type, and a trigger that
/// relies on what is searched.
const SEARCHED: &str = "
create type mood as enum ('calm', 'cross');
create table groups (id varchar(20) primary key, name text not null, org varchar(20), parent_id varchar(20) references groups);
create table things (
    id varchar(20) primary key, name varchar(80) not null, org varchar(20), kind mood, amount bigint, done boolean,
    note text, created_at timestamptz, meta jsonb, group_id varchar(20) references groups, email varchar(80) unique
);
create table touched (thing text);
create function touch() returns trigger language plpgsql as $$ begin insert into touched values (new.name); return new; end $$;
create trigger touches before update on things for each row execute function touch();
insert into groups values ('g1', 'First', 'cal', null), ('g2', 'Second', 'cal', 'g1');
insert into things values
    ('t1', 'One', 'cal', 'calm', 9, true, 'a note', '2024-01-20T09:00:00Z', '{\"a\":  1}', 'g1', 'one@cal.example'),
    ('t2', 'Two', 'cal', 'cross', 2, false, null, '2024-01-20T09:05:12Z', null, 'g2', null),
    ('x1', 'Foreign', 'tex', 'calm', 7, true, null, null, null, null, null);
";

/// What whoever may create in a schema that is searched can put there: operators and functions that fit our arguments
/// better than PostgreSQL's own, each of which tells when it runs.
const TRAPS: &str = "
create function public.trapped(what text) returns boolean language plpgsql as
    $$ begin raise exception 'TRAPPED by %', what; end $$;
do $$
declare kind text; symbol text;
begin
    foreach kind in array array['varchar', 'public.mood', 'public.mood[]', 'text[]', 'varchar[]', 'json', 'jsonb'] loop
        foreach symbol in array array['=', '<>', '<', '<=', '>', '>=', '||', '->>', '#>>', '->', '#>'] loop
            if not exists (
                select from pg_catalog.pg_operator o where o.oprname operator(pg_catalog.=) symbol
                and o.oprleft operator(pg_catalog.=) kind::regtype and o.oprright operator(pg_catalog.=) kind::regtype
            ) then
                execute format(
                    'create or replace function public.trap(one %1$s, other %1$s) returns boolean language plpgsql as '
                    '$body$ begin return public.trapped(%2$L); end $body$', kind, symbol || kind);
                execute format('create operator public.%s (leftarg = %s, rightarg = %2$s, function = public.trap)', symbol, kind);
            end if;
        end loop;
    end loop;
end $$;
create function public.trap(one bigint, other bigint) returns text language plpgsql as
    $$ begin perform public.trapped('bigint ||'); return ''; end $$;
create operator public.|| (leftarg = bigint, rightarg = bigint, function = public.trap);
create function public.trap(one numeric, other bigint) returns boolean language plpgsql as
    $$ begin return public.trapped('numeric > bigint'); end $$;
create operator public.> (leftarg = numeric, rightarg = bigint, function = public.trap);
create function public.replace(one name, other text, third text) returns text language plpgsql as
    $$ begin perform public.trapped('replace'); return ''; end $$;
create function public.to_json(one varchar) returns json language plpgsql as
    $$ begin perform public.trapped('to_json'); return null; end $$;
create function public.lower(one varchar) returns text language plpgsql as
    $$ begin perform public.trapped('lower'); return null; end $$;
create function public.char_length(one varchar) returns int language plpgsql as
    $$ begin perform public.trapped('char_length'); return 0; end $$;
create function public.make_interval(secs double precision) returns interval language plpgsql as
    $$ begin perform public.trapped('make_interval'); return null; end $$;
create schema postgres;
create table postgres.things (like public.things);
create table postgres.groups (like public.groups);
create table postgres.link (like frames_sync.link);
create table postgres.audit (like frames_sync.audit);
create table postgres.change_log (like frames_sync.change_log);
create function postgres.note_change() returns trigger language plpgsql as
    $$ begin perform public.trapped('note_change'); return null; end $$;
";

#[tokio::test]
async fn s17_schemas_that_are_searched_hijack_nothing() {
    let things = THINGS_MAPPING
        .replace(
            "notion: { title: Things }",
            "notion: { title: Things }\ncapture: triggers",
        )
        .replace(
            "scope: { org: \"{{ vars.org }}\" }",
            "scope: { org: [\"{{ vars.org }}\", other], kind: { not: null } }\nguards: { mass_change: 100% }",
        )
        .replace(
            "{ type: select, column: kind, options: [red, green, blue] }",
            "{ type: select, column: kind, options: [calm, cross], direction: to_notion }",
        )
        .replace(
            "direction: to_notion, conversion: iso8601 }",
            "direction: to_notion }",
        )
        .replace(
            "{ type: number, column: amount }",
            "{ type: rich_text, column: amount }",
        );
    let world = World::with(SEARCHED, &[("things", &things), ("groups", GROUPS_MAPPING)]).await;
    if world.has_one_backend() {
        // Of the embedded engine, whose PL/pgSQL does not catch every error.
        return;
    }
    world.ok(&["setup"]);
    // What the commands answer before anything is set, they answer after.
    let asked = [
        &["validate"][..],
        &["doctor"],
        &["plan"],
        &["status"],
        &["history"],
        &["explain", "things", "t2"],
        &["conflicts", "list"],
        &["generate", "public.things", "--stdout"],
    ];
    let codes = || asked.map(|command| (command, world.project.run(command).code));
    let before = codes();
    world.sql(TRAPS).await;
    // They do spring, for whoever searches them.
    let sprung = sqlx::raw_sql("select from public.groups where org = 'cal'::varchar")
        .execute(&world.pool)
        .await;
    assert!(sprung.expect_err("a trap").to_string().contains("TRAPPED"));
    assert_eq!(codes(), before);

    world
        .sql("update public.things set note = 'of Postgres' where id::text = 't1'")
        .await;
    world.edit(world.page("Things", "t2"), "Name", title("of Notion"));
    world.ok(&["sync"]);
    world.ok(&["sync", "--full"]);
    assert_eq!(world.text(world.page("Things", "t1"), "Note"), "of Postgres");
    let name = world
        .scalar("select name from public.things where id::text = 't2'")
        .await;
    assert_eq!(name.as_deref(), Some("of Notion"));
    world.sql("delete from public.things where id::text = 't1'").await;
    world.ok(&["sync"]);
    assert_eq!(world.trashed("Things").len(), 1);
    assert_eq!(codes(), before);
    world.ok(&["history", "erase", "--entity", "things", "--key", "t1", "--yes"]);
    world.ok(&["history", "prune", "--keep", "30", "--yes"]);
    // What stands before `public` in the search, under the names of ours, was neither read nor written.
    for table in ["things", "groups", "link", "audit", "change_log"] {
        let rows = world
            .scalar(&format!("select count(*)::text from postgres.{table}"))
            .await;
        assert_eq!(rows.as_deref(), Some("0"), "{table}");
    }
    // The trigger of the table's owner finds what it always found.
    let touched = world.scalar("select count(*)::text from public.touched").await;
    assert_eq!(touched.as_deref(), Some("2"));
    let public = world
        .scalar(
            "select count(*)::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace \
             where n.nspname = 'frames_sync' and has_function_privilege('public', p.oid, 'execute')",
        )
        .await;
    assert_eq!(
        public.as_deref(),
        Some("0"),
        "functions that everybody may execute"
    );
}

#[tokio::test]
async fn s18_a_made_up_origin_hides_no_edit() {
    for capture in ["scan", "triggers"] {
        let mapping = THINGS_MAPPING.replace(
            "notion: { title: Things }",
            &format!("notion: {{ title: Things }}\ncapture: {capture}"),
        );
        let world = World::with(THINGS, &[("things", &mapping), ("groups", GROUPS_MAPPING)]).await;
        world.ok(&["setup"]);
        world
            .sql(
                "begin; set local frames_sync.origin = 'frames_sync'; set local application_name = 'frames-sync'; \
                 set local frames_sync.erasing = 'on'; update things set note = 'made up' where id = 't1'; commit",
            )
            .await;
        world.ok(&["sync"]);
        assert_eq!(
            world.text(world.page("Things", "t1"), "Note"),
            "made up",
            "{capture}"
        );
    }
}
