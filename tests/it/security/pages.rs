//! Markup out of rows and pages, in every view, as a browser reads it (S21).

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::json;

use super::secrets::serving;
use crate::sync::GROUPS_MAPPING;
use crate::sync::world::{World, text, title};

/// Each marks the document if it ever runs, in the way that its place would let it.
const MARKUP: [&str; 7] = [
    "<script>document.documentElement.setAttribute('data-ran','script')</script>",
    "<img src=x onerror=\"document.documentElement.setAttribute('data-ran','img')\">",
    "\"><svg onload=\"document.documentElement.setAttribute('data-ran','svg')\">",
    "'><body onpageshow='document.documentElement.setAttribute(\"data-ran\",\"body\")'>",
    "</td></table></main><iframe srcdoc=\"<script>parent.document.documentElement.setAttribute('data-ran','frame')</script>\">",
    "<style>@import 'http://127.0.0.1:1/x';*{display:none}</style><base href='http://127.0.0.1:1/'>",
    "<meta http-equiv=refresh content='0;url=data:text/html,ran'><form action='http://127.0.0.1:1/'><button>",
];

const TABLES: &str = "
create table groups (id text primary key, name text not null, org text, parent_id text references groups);
create table things (
    id text primary key, name text not null, org text, kind text, amount int constraint \"<b onclick=x>checked</b>\" check (amount >= 0),
    done boolean, note text, created_at text, meta json, group_id text references groups, email text unique
);
";

/// Names of properties are markup too.
const MAPPING: &str = "version: 1
entity: things
table: public.things
key: id
scope: { org: \"{{ vars.org }}\" }
notion: { title: \"<u>Things</u>\" }
conflict: manual
properties:
  \"<script>document.documentElement.setAttribute('data-ran','name')</script>\": { type: title, column: name }
  \"<img src=x onerror=alert(1)>\": { type: rich_text, column: note }
  Kind: { type: select, column: kind, options: [red] }
  Amount: { type: number, column: amount }
  Email: { type: email, column: email }
  Group: { type: relation, column: group_id, target: groups }
";

/// The browser of this machine.
fn chromium() -> PathBuf {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return named.into();
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .flat_map(|name| {
            std::env::split_paths(&folders)
                .map(move |folder| folder.join(name))
                .collect::<Vec<_>>()
        })
        .find(|path| path.is_file())
        .expect("Chromium: apt-get install -y chromium, or CHROMIUM=path")
}

/// The document of an address once it has loaded, as the browser has it then.
fn document(url: &str) -> String {
    let profile = tempfile::tempdir().expect("a folder");
    let mut child = Command::new(chromium())
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--virtual-time-budget=3000", "--timeout=20000", "--dump-dom", url])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("Chromium runs");
    let mut dom = String::new();
    child
        .stdout
        .take()
        .expect("piped")
        .read_to_string(&mut dom)
        .expect("a document");
    child.wait().expect("its end");
    dom
}

/// Ignored by plain `cargo test`, because Chromium is nothing that comes with Rust: `.ci/run` runs it where there is one.
#[tokio::test]
#[ignore = "needs Chromium"]
async fn s21_no_markup_of_a_row_or_a_page_runs_in_a_browser() {
    // It would be seen if it ran: each of them does, in a page that escapes nothing.
    let mut careless = tempfile::Builder::new()
        .suffix(".html")
        .tempfile()
        .expect("a file");
    write!(
        careless,
        "<!doctype html><title>x</title><main><p>{}</p></main>",
        MARKUP[1]
    )
    .expect("written");
    let dom = document(&format!("file://{}", careless.path().display()));
    assert!(dom.contains("data-ran=\"img\""), "the control did not run: {dom}");

    let world = World::with(TABLES, &[("things", MAPPING), ("groups", GROUPS_MAPPING)]).await;
    for (index, markup) in MARKUP.iter().enumerate() {
        sqlx::query("insert into groups values ($1, $2, 'cal', null)")
            .bind(format!("g{index}{markup}"))
            .bind(markup)
            .execute(&world.pool)
            .await
            .expect("a group");
        sqlx::query(
            "insert into things (id, name, org, kind, note, email, group_id) values ($1, $2, 'cal', $3, $2, $4, $5)",
        )
        .bind(format!("k{index}{markup}"))
        .bind(markup)
        .bind((index % 2 == 0).then_some(markup))
        .bind(format!("{index}{markup}@x"))
        .bind(format!("g{index}{markup}"))
        .execute(&world.pool)
        .await
        .expect("a row");
    }
    // Options that are not there, addresses that are none, and so on are errors, which are shown.
    world.project.run(&["setup"]);
    let note = "<img src=x onerror=alert(1)>";
    for page in world.pages("<u>Things</u>") {
        let label = world.text(page, "postgres_id");
        world.edit(page, note, text(&format!("{} of Notion", MARKUP[1])));
        world.edit(page, "Amount", json!({ "number": -1 }));
        sqlx::query("update things set note = $2 where id = $1")
            .bind(&label)
            .bind(format!("{} of Postgres", MARKUP[2]))
            .execute(&world.pool)
            .await
            .expect("an edit");
    }
    let first = world.pages("<u>Things</u>")[0];
    world.edit(
        first,
        "<script>document.documentElement.setAttribute('data-ran','name')</script>",
        title(MARKUP[4]),
    );
    world.project.run(&["sync"]);
    let serve = world.project.command(&["serve", "--listen", "127.0.0.1:0"]);
    let (shown, _) = serving(serve, async |base| {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let conflicts: serde_json::Value = reqwest::get(format!("{base}/api/v1/profiles/cal/conflicts"))
            .await
            .expect("an answer")
            .json()
            .await
            .expect("JSON");
        let mut pages = vec![
            "/".to_owned(),
            "/profiles/cal".to_owned(),
            "/profiles/%3Cscript%3E".to_owned(),
            "/login".to_owned(),
        ];
        let ids: Vec<String> = conflicts["conflicts"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|conflict| conflict["id"].as_str().map(str::to_owned))
            .collect();
        assert!(!ids.is_empty(), "{conflicts}");
        pages.extend(
            ids.iter()
                .take(2)
                .map(|id| format!("/profiles/cal/conflicts/{id}")),
        );
        pages.push(format!(
            "/profiles/cal?done={}",
            "%3Cscript%3Edocument.documentElement.setAttribute('data-ran','q')%3C/script%3E"
        ));
        let mut shown = String::new();
        for page in pages {
            let url = format!("{base}{page}");
            let dom = tokio::task::spawn_blocking(move || document(&url))
                .await
                .expect("a document");
            assert!(dom.contains("<main") || dom.contains("<form"), "{page}: {dom}");
            let ran = dom.contains("data-ran=")
                && dom
                    .split("<body")
                    .next()
                    .is_some_and(|head| head.contains("data-ran="));
            assert!(!ran, "{page}: markup ran\n{dom}");
            for element in [
                "<script",
                "<iframe",
                "<base",
                "<meta http-equiv",
                "<img src=\"x\"",
                "<svg",
                "<style",
            ] {
                assert!(
                    !dom.contains(element),
                    "{page}: {element} became an element\n{dom}"
                );
            }
            shown.push_str(&dom);
        }
        shown
    })
    .await;
    // Most of them are there, as text: titles are not shown.
    let as_text = MARKUP
        .iter()
        .filter(|markup| {
            let start: String = markup.chars().skip_while(|c| *c != '<').take(5).collect();
            shown.contains(&start.replace('<', "&lt;"))
        })
        .count();
    assert!(as_text >= 3, "{as_text} of {} are shown", MARKUP.len());
}
