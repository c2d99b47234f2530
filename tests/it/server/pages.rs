//! What a person's browser shows.

use reqwest::StatusCode;
use serde_json::json;

use super::access::form_token;
use super::world::{TOKEN, World};
use super::{BOTH, SQL};

const PAYLOADS: [&str; 4] = [
    "<script>alert('1')</script>",
    "\"><img src=x onerror=alert(2)>",
    "'/><svg/onload=alert(3)>",
    "{{ 'ab' ~ 'cd' }}{% raw %}</td></body>",
];

/// Payloads in every place that text comes from: keys, values on both sides, names of properties and entities' titles.
const HOSTILE_SQL: &str = "
create table teams (id text primary key, name text not null, note text, kind text, org text not null,
    size int constraint \"<b>constraint</b>\" check (size > 0));
insert into teams values
    ('<script>alert(''k'')</script>', 'One', 'a note', null, 'cal', 1),
    ('t2', 'Two', null, '<script>alert(''o'')</script>', 'cal', 2),
    ('t3', 'Three', null, null, 'cal', 3);
";

const HOSTILE: &str = "version: 1
entity: teams
table: public.teams
key: id
scope: { org: \"{{ vars.org }}\" }
notion: { title: Teams }
conflict: manual
properties:
  Name: { type: title, column: name }
  \"<script>alert('p')</script>\": { type: rich_text, column: note }
  \"Kind<i>\": { type: select, column: kind, options: [red] }
  Size: { type: number, column: size }
";

#[tokio::test]
async fn no_text_of_a_row_or_a_page_becomes_markup() {
    let world = hostile().await;
    let served = world.serve(None, &[]).await;
    let mut pages = vec!["/".to_owned(), "/profiles/cal".to_owned()];
    let conflicts = served.get("/api/v1/profiles/cal/conflicts").await.json();
    let conflicts = conflicts["conflicts"].as_array().expect("conflicts").clone();
    assert!(!conflicts.is_empty());
    for conflict in &conflicts {
        pages.push(format!(
            "/profiles/cal/conflicts/{}",
            conflict["id"].as_str().expect("an id")
        ));
    }
    let mut all = String::new();
    for path in pages {
        let page = served.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.body);
        for raw in [
            "<script",
            "<img src=x",
            "<svg",
            "onerror=alert(2)>",
            "<i>",
            "<b>constraint",
            "</td></body>",
        ] {
            let known = page.body.matches("<img src=\"/assets/icon.svg\"").count();
            assert!(
                known == 1 && !page.body.contains(raw),
                "{path}: {raw}\n{}",
                page.body
            );
        }
        assert!(!page.body.contains("abcd"), "a template ran");
        all.push_str(&page.body);
    }
    // They are shown, though: each is there in its escaped form.
    for shown in [
        "&lt;script&gt;alert(&#x27;k&#x27;)&lt;&#x2f;script&gt;",
        "&lt;script&gt;alert(&#x27;p&#x27;)&lt;&#x2f;script&gt;",
        "&quot;&gt;&lt;img src=x onerror=alert(2)&gt;",
        "&#x27;&#x2f;&gt;&lt;svg&#x2f;onload=alert(3)&gt;",
        "{{ &#x27;ab&#x27; ~ &#x27;cd&#x27; }}{% raw %}",
        "Kind&lt;i&gt;",
        "unknown_option",
    ] {
        assert!(all.contains(shown), "{shown}\n{all}");
    }
}

/// A world with a conflict, an error and some history of payloads.
async fn hostile() -> World {
    let world = World::open(HOSTILE_SQL, &[("teams", HOSTILE)]).await;
    world.run(&["setup"], 1);
    let note = "<script>alert('p')</script>";
    let key = "<script>alert('k')</script>";
    world.sql(&format!(
            "update teams set note = $a${}$a$ where id = $a${key}$a$; update teams set note = $a${}$a$ where id = 't3'",
            PAYLOADS[1], PAYLOADS[3]
        ))
        .await;
    let page = world.page("Teams", "Name", "One");
    world.write(page, note, PAYLOADS[2]);
    world.run(&["sync"], 1);
    world
}

#[tokio::test]
async fn a_person_settles_a_conflict_with_one_button() {
    let world = World::with(SQL, BOTH).await;
    world.disagree().await;
    let served = world.serve(Some(TOKEN), &[]).await;
    let cookie = served.log_in().await;
    let shown = served.page("/profiles/cal", &cookie).await.body;
    assert!(
        shown.contains("of Postgres") && shown.contains("of Notion") && shown.contains("Take this value")
    );
    let (_, rest) = shown
        .split_once("action=\"/profiles/cal/conflicts/")
        .expect("a form");
    let path = format!(
        "/profiles/cal/conflicts/{}",
        rest.split('"').next().expect("an id")
    );
    let (_, rest) = shown.split_once("name=\"rev\" value=\"").expect("a rev");
    let rev = rest.split('"').next().expect("a number");
    let token = form_token(&shown);
    assert_eq!(served.page(&path, &cookie).await.status, StatusCode::OK);

    let old = (rev.parse::<i64>().expect("a number") - 1).to_string();
    for (fields, status) in [
        (vec![("take", "notion"), ("rev", rev)], StatusCode::FORBIDDEN),
        (
            vec![("form_token", token.as_str()), ("take", "notion")],
            StatusCode::BAD_REQUEST,
        ),
        (
            vec![("form_token", token.as_str()), ("take", "both"), ("rev", rev)],
            StatusCode::BAD_REQUEST,
        ),
        (
            vec![("form_token", token.as_str()), ("take", "notion"), ("rev", &old)],
            StatusCode::CONFLICT,
        ),
    ] {
        let answer = served.form(&path, &cookie, &fields).await;
        assert_eq!(answer.status, status, "{fields:?}");
        assert!(answer.body.contains("<!doctype html>"));
    }
    assert_eq!(
        world.scalar("select note from teams where id = 't1'").await,
        "of Postgres"
    );

    let fields = [("form_token", token.as_str()), ("take", "notion"), ("rev", rev)];
    let done = served.form(&path, &cookie, &fields).await;
    assert_eq!(
        (done.status, done.header("location")),
        (StatusCode::SEE_OTHER, "/profiles/cal?done=notion")
    );
    let after = served.page("/profiles/cal?done=notion", &cookie).await.body;
    assert!(after.contains("The value of Notion will be kept"));
    served
        .until("the row has it", async || {
            world.scalar("select note from teams where id = 't1'").await == "of Notion"
        })
        .await;
    served
        .until("the page says so", async || {
            !served
                .page("/profiles/cal", &cookie)
                .await
                .body
                .contains("Take this value")
        })
        .await;
}

#[tokio::test]
async fn pages_tell_errors_with_their_cure_and_work_without_scripts() {
    let world = World::with(SQL, BOTH).await;
    let page = world.page("Teams", "Name", "Two");
    world.edit(page, "Size", json!({ "number": -5 }));
    world.run(&["sync"], 1);
    let served = world.serve(None, &[]).await;
    let overview = served.get("/").await;
    assert!(overview.body.contains("Some things need you") && overview.body.contains("1 record not in step"));
    let profile = served.get("/profiles/cal").await.body;
    assert!(profile.contains("constraint_violation"), "{profile}");
    assert!(profile.contains("Correct the value on the page"), "{profile}");
    for page in [&overview.body, &profile] {
        assert!(!page.contains("<script") && !page.contains("style=") && !page.contains("<style"));
        for handler in [
            "javascript:",
            "onclick",
            "onload",
            "onsubmit",
            "onerror",
            "onchange",
        ] {
            assert!(!page.contains(handler), "{handler}\n{page}");
        }
    }
    let missing = served.get("/profiles/none").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert!(missing.body.contains("No such profile"), "{}", missing.body);
}
