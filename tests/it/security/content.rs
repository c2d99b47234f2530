//! What people and strangers write: bombs, templates, and text that a terminal would obey (S4, S22, S23).

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use frames_sync::codec::CodecCode;
use frames_sync::diagnostic::is_unprintable;
use frames_sync::template::{Ambient, Template};
use frames_sync::value::Value;
use frames_sync::yaml::{self, LARGEST_FILE};
use serde_json::{Value as Json, json};

use crate::support::TestProject;
use crate::sync::world::{World, text, title};
use crate::sync::{BOTH, THINGS};

/// Documents made to cost more than they weigh.
fn bombs() -> Vec<(&'static str, String)> {
    let mut laughs = "laughs:\n  - &a [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]\n".to_owned();
    for (this, before) in "bcdefghijklmnop".chars().zip("abcdefghijklmno".chars()) {
        let ten = vec![format!("*{before}"); 10].join(", ");
        laughs.push_str(&format!("  - &{this} [{ten}]\n"));
    }
    let keys: String = (0..60_000).map(|n| format!("k{n}: &a{n} x\n")).collect();
    let merges: String = (0..20_000)
        .map(|n| format!("- &m{n} {{<<: *m{}}}\n", n - 1))
        .skip(1)
        .collect();
    vec![
        ("a billion laughs", laughs),
        ("a storm of documents", "---\nversion: 1\n".repeat(60_000)),
        ("a storm of empty documents", "---\n".repeat(260_000)),
        ("a million levels of lists", "[".repeat(1_000_000)),
        ("a million levels of blocks", "- ".repeat(500_000)),
        ("a million levels of maps", "{a: ".repeat(250_000)),
        ("a list of half a million", format!("[{}]", "1,".repeat(500_000))),
        ("sixty thousand anchors", keys),
        ("merges of merges", format!("- &m0 {{a: 1}}\n{merges}")),
        (
            "one scalar of a megabyte",
            format!("a: {}", "x".repeat(1_000_000)),
        ),
        ("one comment of a megabyte", format!("#{}", "x".repeat(1_000_000))),
        (
            "quotes without end",
            format!("a: \"{}", "\\u0041".repeat(160_000)),
        ),
        ("a hundred megabytes", "# x\n".repeat(25 << 20)),
    ]
}

#[test]
fn s04_bombs_are_refused_at_once() {
    // What the semantics page allows, for a program that is optimised; a debug build takes longer.
    let limit = Duration::from_millis(if cfg!(debug_assertions) { 5_000 } else { 100 });
    for (what, text) in bombs() {
        // The fastest of a few: another program may have had the processor.
        let fastest = (0..3)
            .map(|_| {
                let bytes = text.clone().into_bytes();
                let began = Instant::now();
                let read = yaml::read_bytes("teams.yaml", bytes);
                let took = began.elapsed();
                let is_small = text.len() <= LARGEST_FILE && what.starts_with("one ");
                assert!(!read.findings.is_empty() || is_small, "{what} was taken");
                took
            })
            .min()
            .expect("a few");
        assert!(fastest < limit, "{what} took {fastest:?}");
    }
}

/// The whole program, with no more memory for data than the semantics page allows.
#[cfg(target_os = "linux")]
#[test]
fn s04_bombs_are_refused_within_sixty_four_megabytes() {
    for (what, text) in bombs() {
        let project = TestProject::new()
            .project("version: 1\nprofiles: { demo: {} }\n")
            .file("mappings/teams.yaml", text);
        let program = env!("CARGO_BIN_EXE_frames-sync");
        let ran = Command::new("sh")
            .args([
                "-c",
                "ulimit -d 65536 && exec \"$0\" \"$@\"",
                program,
                "validate",
                "--offline",
                "--format",
                "json",
            ])
            .current_dir(project.path())
            .env_clear()
            .stdin(Stdio::null())
            .output()
            .expect("a shell");
        let output = String::from_utf8_lossy(&ran.stdout);
        let errors = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(1), "{what}: {output}\n{errors}");
        let report: Json =
            serde_json::from_str(&output).unwrap_or_else(|error| panic!("{what}: {error}: {errors}"));
        assert!(report["errors"].as_u64() >= Some(1), "{what}: {report}");
        assert!(output.len() < 100_000, "{what}: {} bytes are said", output.len());
    }
}

#[test]
fn s22_templates_are_bounded_and_reach_nothing() {
    let context =
        json!({ "name": "{{ secret }}{% include 'x' %}", "row": {}, "tags": ["a"], "value": "<b>" });
    let nested = |open: &str, inside: &str, close: &str| {
        let times = 1_000_000 / open.len().max(1);
        format!("{}{inside}{}", open.repeat(times), close.repeat(times))
    };
    for (what, text) in [
        (
            "a million parentheses",
            format!("{{{{ {} }}}}", nested("(", "1", ")")),
        ),
        ("a million lists", format!("{{{{ {} }}}}", nested("[", "1", "]"))),
        (
            "a million negations",
            format!("{{{{ {}1 }}}}", "not ".repeat(250_000)),
        ),
        ("a million blocks", nested("{% if true %}", "x", "{% endif %}")),
        (
            "loops in loops",
            "{% for a in range(9999) %}{% for b in range(9999) %}{{ a * b }}{% endfor %}{% endfor %}"
                .to_owned(),
        ),
        ("text times a million", "{{ name * 1000000 }}".to_owned()),
        (
            "text that doubles",
            format!(
                "{{% set x = 'ab' %}}{}{{{{ x }}}}",
                "{% set x = x ~ x %}".repeat(64)
            ),
        ),
        (
            "a macro that calls itself",
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}".to_owned(),
        ),
        ("a file", "{% include '/etc/passwd' %}".to_owned()),
        (
            "another template",
            "{% extends 'base' %}{% import 'x' as y %}".to_owned(),
        ),
        ("the environment", "{{ env.PATH }}".to_owned()),
        (
            "what is behind a value",
            "{{ name.__class__.__mro__ }}".to_owned(),
        ),
    ] {
        let began = Instant::now();
        let rendered = Template::parse(text).and_then(|template| template.render(&context, &Ambient::FIXED));
        let error = rendered.expect_err(what);
        assert!(
            !error.message.contains("{{ secret }}"),
            "{what}: {}",
            error.message
        );
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{what} took {:?}",
            began.elapsed()
        );
    }
    // A value is never read as a template.
    let template = Template::parse("{{ name }}").expect("a template");
    let shown = template.render(&context, &Ambient::FIXED).expect("a text");
    assert_eq!(shown, context["name"]);
}

/// What a terminal would obey: titles, clearing, colours, C1 controls, overwriting, and turned text.
const OBEYED: &str = "a\u{1b}]0;pwned\u{7}\u{1b}[2J\u{1b}[8m\u{9b}31m\u{202e}gnp.exe\u{2066}\u{200f}\u{7f}\rover\u{8}\u{feff}z";

#[tokio::test]
async fn s23_a_terminal_is_told_nothing_that_it_obeys() {
    let world = World::with(THINGS, BOTH).await;
    let key = format!("{OBEYED}\nprofile cal: FORGED");
    for (id, name) in [(key.as_str(), OBEYED), ("plain", OBEYED)] {
        sqlx::query("insert into things (id, name, org, note, kind) values ($1, $2, 'cal', $2, $2)")
            .bind(id)
            .bind(name)
            .execute(&world.pool)
            .await
            .expect("a row");
    }
    world.rewrite(
        "things",
        &crate::sync::THINGS_MAPPING.replace(
            "notion: { title: Things }",
            "notion: { title: Things }\nconflict: manual",
        ),
    );
    let setup = world.project.run(&["setup"]);
    let mut said = vec![("setup".to_owned(), setup)];
    let page = world.page("Things", "plain");
    let hostile = world.pages_of("Things", &key);
    assert_eq!(hostile.len(), 1, "a key is a key");
    // Both sides edit, so that there is a conflict to show; and the table refuses something of the hostile record.
    world.edit(page, "Note", text(&format!("{OBEYED} of Notion")));
    sqlx::query("update things set note = $1 where id = 'plain'")
        .bind(format!("{OBEYED} of Postgres"))
        .execute(&world.pool)
        .await
        .expect("an edit");
    world.edit(hostile[0], "Amount", json!({ "number": -1 }));
    world.edit(hostile[0], "Name", title(&format!("{OBEYED} again")));
    for arguments in [
        &["plan"][..],
        &["sync"],
        &["status"],
        &["conflicts", "list"],
        &["history"],
        &["explain", "things", "plain"],
        &["explain", "things", &key],
        &["history", "--key", &key],
        &["doctor"],
        &["validate"],
        &["run", "--once"],
        &["sync", "--entity", OBEYED],
        &["explain", "things", OBEYED],
        &["sync", "--profile", OBEYED],
    ] {
        for more in [
            &["-vv"][..],
            &["--format", "json"],
            &["-vv", "--log-format", "json"],
        ] {
            let mut all = arguments.to_vec();
            all.extend(more);
            said.push((format!("{all:?}"), world.project.run(&all)));
        }
    }
    let mut shown = 0;
    for (what, ran) in &said {
        for output in [&ran.stdout, &ran.stderr] {
            let obeyed: Vec<char> = output
                .chars()
                .filter(|character| is_unprintable(*character) || *character == '\r')
                .collect();
            assert!(obeyed.is_empty(), "{what}: {obeyed:?}\n{}", output.escape_debug());
            assert!(
                !output.lines().any(|line| line.starts_with("profile cal: FORGED")),
                "{what}: a key makes a line of its own\n{output}"
            );
            shown += output.matches("pwned").count();
        }
    }
    assert!(shown > 20, "it is shown all the same: {shown} times");
    // With colours only our own are there: none hides, clears or names a window.
    let coloured = world.project.run(&["conflicts", "list", "--color", "always"]);
    assert!(coloured.stdout.contains("pwned"), "{}", coloured.stdout);
    for sequence in ["\u{1b}]", "\u{1b}[2J", "\u{1b}[8m"] {
        assert!(
            !coloured.stdout.contains(sequence),
            "{}",
            coloured.stdout.escape_debug()
        );
    }
}

#[tokio::test]
async fn s23_text_arrives_whole_or_not_at_all() {
    // Postgres holds no NUL, so that it must not be sent one, nor a text that ends where it stood.
    let nul = frames_sync::postgres::codec::encode(&Value::text("a\0b"));
    assert_eq!(nul.expect_err("a NUL").code, CodecCode::NulCharacter);
    let world = World::with(THINGS, BOTH).await;
    world.ok(&["setup"]);
    let long = "🚀".repeat(95_000);
    // As Notion holds it: 2,000 UTF-16 units to a run.
    let run = serde_json::json!({ "text": { "content": "🚀".repeat(1000) } });
    let runs = serde_json::json!({ "rich_text": vec![run; 95] });
    world.edit(world.page("Things", "t2"), "Note", runs);
    world.ok(&["sync"]);
    let found = world.scalar("select note from things where id = 't2'").await;
    assert!(found.as_deref() == Some(long.as_str()), "a long text is cut");
    // One character more than a property holds is an error of its field, and nothing is sent of it.
    world
        .sql("update things set note = repeat('x', 200001), amount = 7 where id = 't1'")
        .await;
    let report = world.run(&["sync"]);
    assert_eq!(report.code, 1, "{:#}", report.json);
    let errors = report.entity("things")["errors"]
        .as_array()
        .expect("errors")
        .clone();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0]["property"], "Note");
    let page = world.page("Things", "t1");
    assert_eq!(
        (world.text(page, "Note"), world.text(page, "Amount")),
        ("a note".to_owned(), "7".to_owned())
    );
}
