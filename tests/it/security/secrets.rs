//! Tokens, passwords and values of rows: nowhere but where they belong (S5-S7).

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value as Json, json};

use crate::support::TestProject;
use crate::sync::world::{World, text, title};
use crate::sync::{BOTH, GROUPS_MAPPING, THINGS};

const PASSWORD: &str = "canary/password&of=the:database";

/// As a URL has it.
const PASSWORD_IN_URL: &str = "canary%2Fpassword%26of%3Dthe%3Adatabase";

const API_TOKEN: &str = "canary-api-token-0123456789abcdef";

/// Every text file below a folder but `.env`, where secrets belong.
fn files(folder: &Path, into: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, into);
        } else if !path.ends_with(".env") {
            let bytes = std::fs::read(&path).expect("a file");
            into.push((
                path.display().to_string(),
                String::from_utf8_lossy(&bytes).into_owned(),
            ));
        }
    }
}

/// Everything that tables of a schema hold.
async fn rows_of(world: &World, schema: &str) -> Vec<(String, String)> {
    let tables: Vec<String> =
        sqlx::query_scalar("select table_name::text from information_schema.tables where table_schema = $1")
            .bind(schema)
            .fetch_all(&world.pool)
            .await
            .expect("tables");
    let mut all = Vec::new();
    for table in tables {
        all.push((
            table.clone(),
            world.rows(&format!("{schema}.\"{table}\"")).await.join("\n"),
        ));
    }
    assert!(!all.is_empty(), "no tables in {schema}");
    all
}

/// Serves for as long as `during` takes, and answers what was logged.
pub(super) async fn serving<T>(mut command: Command, during: impl AsyncFnOnce(&str) -> T) -> (T, String) {
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the built binary runs");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let mut log = String::new();
    let base = loop {
        let line = lines.next().expect("it says where it serves").expect("a line");
        log.push_str(&line);
        if let Some(at) = line.find("http://") {
            break line[at..].trim_end_matches(['"', '}']).to_owned();
        }
    };
    let rest = std::thread::spawn(move || {
        let lines: Vec<String> = lines.map_while(Result::ok).collect();
        lines.join("\n")
    });
    let done = during(&base).await;
    let told = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(told.expect("kill").success());
    child.wait().expect("its end");
    log.push_str(&rest.join().expect("the log"));
    (done, log)
}

#[cfg(unix)]
#[tokio::test]
async fn s05_a_file_of_secrets_that_others_may_read_is_told() {
    use std::os::unix::fs::PermissionsExt as _;

    let project = TestProject::new()
        .project("version: 1\nprofiles: { demo: { notion: { token: \"{{ env.NOTION_API_KEY }}\" } } }\n")
        .file(".env", "NOTION_API_KEY=ntn_canary\n")
        .mapping(
            "teams",
            "version: 1\nentity: teams\ntable: public.teams\nkey: id\nnotion: { title: Teams }\nproperties:\n  Name: { type: title, column: name }\n",
        );
    let check = |mode: u32| {
        let path = project.path().join(".env");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("a mode");
        let ran = project.run(&["doctor", "--format", "json"]);
        let report: Json = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
        let checks = report["profiles"][0]["checks"]
            .as_array()
            .expect("checks")
            .clone();
        assert!(!ran.stdout.contains("ntn_canary"));
        checks
            .into_iter()
            .find(|check| check["name"] == ".env")
            .expect("a check")
    };
    assert_eq!(check(0o600)["status"], "ok");
    for mode in [0o644, 0o640, 0o604, 0o660] {
        let told = check(mode);
        assert_eq!(told["status"], "warn", "{mode:o}: {told}");
        assert!(
            told["help"]
                .as_str()
                .is_some_and(|help| help.contains("chmod 600")),
            "{told}"
        );
    }
}

#[tokio::test]
async fn s06_no_secret_leaves_its_place() {
    let mut world = World::with(THINGS, BOTH).await;
    let url = |world: &World| {
        let found = world
            .project
            .environment()
            .find(|(name, _)| *name == "DATABASE_URL");
        found.expect("a URL").1.to_owned()
    };
    let with_password = url(&world).replacen('@', &format!(":{PASSWORD_IN_URL}@"), 1);
    world.project = world.project.env("DATABASE_URL", with_password.clone());
    let token = world.simulator.tokens[0].clone();
    let secrets = [PASSWORD, PASSWORD_IN_URL, token.as_str(), API_TOKEN];
    let shows = |text: &str| secrets.iter().find(|secret| text.contains(**secret)).copied();

    let plan = world.project.path().join("plan.json").display().to_string();
    let mut said = String::new();
    let mut runs = 0;
    let mut run = |arguments: &[&str], variables: &[(&str, &str)], codes: &[i32]| {
        for talk in [
            &["-vv", "--log-format", "json"][..],
            &["-vv", "--color", "always"],
            &["--format", "json"],
        ] {
            let mut all = arguments.to_vec();
            all.extend(talk);
            let mut command = world.project.command(&all);
            command
                .env("RUST_BACKTRACE", "full")
                .envs(variables.iter().copied());
            let ran = command.output().expect("the built binary runs");
            let code = ran.status.code().expect("an exit code");
            let output = format!(
                "{}{}",
                String::from_utf8_lossy(&ran.stdout),
                String::from_utf8_lossy(&ran.stderr)
            );
            assert!(codes.contains(&code), "{all:?}: {code}\n{output}");
            assert_eq!(shows(&output), None, "{all:?}:\n{output}");
            said.push_str(&output);
            runs += 1;
        }
    };
    // Every command that a person types, from before there is any state.
    for before in [
        &["status"][..],
        &["history"],
        &["plan"],
        &["validate"],
        &["doctor"],
    ] {
        run(before, &[], &[0, 1]);
    }
    run(&["setup"], &[], &[0]);
    world
        .sql("update things set note = 'edited', amount = 5 where id = 't1'")
        .await;
    world.edit(world.page("Things", "t2"), "Amount", json!({ "number": -5 }));
    for command in [
        &["plan", "--output", &plan][..],
        &["sync"],
        &["push"],
        &["pull", "--full"],
        &["run", "--once"],
        &["status"],
        &["explain", "things", "t2"],
        &["conflicts", "list"],
        &["history"],
        &["doctor"],
        &["validate"],
        &["validate", "--offline"],
        &["generate", "public.things", "--stdout"],
        &["schema", "project"],
        &["webhook", "forget"],
        &["approve", "0123456789abcdef"],
        &["undo", "00000000-0000-4000-8000-000000000000", "--yes"],
        &["history", "erase", "--entity", "things", "--key", "t9", "--yes"],
        &["history", "prune", "--keep", "30", "--yes"],
        &["completions", "bash"],
    ] {
        run(command, &[], &[0, 1, 2]);
    }
    // And every way in which the world fails.
    let nobody = format!("postgres://u:{PASSWORD_IN_URL}@127.0.0.1:1/nothing");
    let no_role = with_password.replace("postgres:", "nobody_of_that_name:");
    let no_database = with_password.replace("test_", "no_such_");
    let malformed = format!("postgres://u:{PASSWORD_IN_URL}@h:port/x");
    for wrong in [&nobody, &no_role, &no_database, &malformed] {
        for command in [
            &["sync"][..],
            &["validate"],
            &["doctor"],
            &["status"],
            &["run", "--once"],
        ] {
            run(command, &[("DATABASE_URL", wrong)], &[1, 2, 3]);
        }
    }
    let revoked = format!("{token}x");
    for (name, value) in [
        ("NOTION_TOKEN_0", revoked.as_str()),
        ("FRAMES_SYNC_NOTION_BASE_URL", "http://127.0.0.1:1"),
        ("FRAMES_SYNC_NOTION_BASE_URL", token.as_str()),
        ("NOTION_PARENT_PAGE", token.as_str()),
    ] {
        for command in [
            &["sync"][..],
            &["setup"],
            &["doctor"],
            &["validate"],
            &["validate", "--offline"],
        ] {
            run(command, &[(name, value)], &[0, 1, 2, 3]);
        }
    }
    assert!(
        runs > 100 && said.len() > 10_000,
        "{runs} runs said {} bytes",
        said.len()
    );

    // Left running, and asked over HTTP.
    let mut command = world
        .project
        .command(&["serve", "--listen", "127.0.0.1:0", "-vv"]);
    command.env("FRAMES_SYNC_API_TOKEN", API_TOKEN);
    let (answers, log) = serving(command, async |base| {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::new();
        let mut answers = String::new();
        for path in [
            "/metrics",
            "/healthz",
            "/readyz",
            "/",
            "/login",
            "/api/v1/profiles/cal/status",
            "/api/v1/profiles/cal/conflicts",
        ] {
            for authorised in [true, false] {
                let mut request = client.get(format!("{base}{path}"));
                if authorised {
                    request = request.bearer_auth(API_TOKEN);
                }
                let answer = request.send().await.expect("an answer");
                answers.push_str(&format!("{:?}", answer.headers()));
                answers.push_str(&answer.text().await.expect("a body"));
            }
        }
        answers
    })
    .await;
    assert!(answers.contains("frames_sync_cycles_total"), "{answers}");
    assert_eq!(shows(&answers), None, "{answers}");
    assert_eq!(shows(&log), None, "{log}");

    // What is left behind: files, the database, Notion.
    let mut left = Vec::new();
    files(world.project.path(), &mut left);
    assert!(
        left.iter().any(|(path, _)| path.ends_with("plan.json")),
        "the plan was saved"
    );
    for schema in ["frames_sync", "public"] {
        left.extend(rows_of(&world, schema).await);
    }
    for exchange in world.simulator.exchanges() {
        let sent = format!("{}?{} {}", exchange.path, exchange.query, exchange.request_body);
        left.push((format!("request {}", exchange.number), sent));
    }
    for (place, text) in left {
        assert_eq!(shows(&text), None, "{place}");
    }
}

/// What each field of the test below holds on either side; digits where a column takes nothing else.
const SENTINEL: &str = "SENTINEL";

const REFUSING: &str = "
create type mood as enum ('calm', 'cross');
create table things (
    id text primary key, name text not null, org text, kind text, mood mood, amount int check (amount >= 0),
    exact numeric, note text, short varchar(20), email text unique, created_at text, group_id text
);
create table groups (id text primary key, name text not null, org text, parent_id text references groups);
create function forbid() returns trigger language plpgsql as $$
begin
    if new.note like '%forbidden%' then
        raise exception 'the note % is forbidden', new.note using detail = new.note, hint = new.note;
    end if;
    return new;
end $$;
create trigger forbids before update on things for each row execute function forbid();
insert into groups values ('x1', 'SENTINEL group', 'tex', null);
insert into things (id, name, org, email)
    select 'r' || n, 'SENTINEL name ' || n, 'cal', 'SENTINEL' || n || '@cal.example' from generate_series(1, 12) n;
insert into things (id, name, org, email) values ('x1', 'SENTINEL foreign', 'tex', 'SENTINEL@tex.example');
";

const REFUSED: &str = "version: 1
entity: things
table: public.things
key: id
scope: { org: \"{{ vars.org }}\" }
notion: { title: Things }
guards: { mass_change: 100% }
properties:
  Name: { type: title, column: name }
  Kind: { type: select, column: kind, options: [red, green] }
  Mood: { type: rich_text, column: mood }
  Amount: { type: number, column: amount }
  Exact: { type: number, column: exact }
  Note: { type: rich_text, column: note }
  Short: { type: rich_text, column: short }
  Email: { type: email, column: email }
  Created: { type: date, column: created_at, conversion: iso8601 }
  Group: { type: relation, column: group_id, target: groups }
";

#[tokio::test]
async fn s07_no_value_of_a_row_is_told_where_it_is_not_asked_for() {
    let world = World::with(REFUSING, &[("things", REFUSED), ("groups", GROUPS_MAPPING)]).await;
    world.ok(&["setup"]);
    let page = |key: &str| world.page("Things", key);
    let number = |digits: f64| json!({ "number": digits });
    // What the table refuses, a record for each way.
    world.edit(page("r1"), "Amount", number(-98_765_432.0));
    world.edit(page("r2"), "Email", json!({ "email": "SENTINEL1@cal.example" }));
    world.edit(page("r3"), "Name", title(""));
    world.edit(page("r4"), "Mood", text("SENTINEL mood"));
    world.edit(page("r5"), "Amount", number(98_765_432_109_876.0));
    world.edit(page("r6"), "Short", text("SENTINEL that is longer than twenty"));
    world.edit(page("r7"), "Note", text("SENTINEL forbidden"));
    world.edit(page("r8"), "Email", json!({ "email": "SENTINEL@tex.example" }));
    // What Notion, or the codec, refuses.
    world
        .sql(
            "update things set kind = 'SENTINEL option' where id = 'r9';
             update things set exact = 98765432109876543210.123 where id = 'r10';
             update things set created_at = 'SENTINEL day' where id = 'r11';
             update things set group_id = 'x1' where id = 'r12';",
        )
        .await;
    // And what is told apart by a label.
    let labelled = world.simulator.workspace(|workspace| {
        let source = workspace.data_source_titled("Things").expect("a database");
        let properties = json!({
            "Name": { "title": [{ "text": { "content": "SENTINEL page" } }] },
            "postgres_id": { "rich_text": [{ "text": { "content": "x1" } }] },
        });
        workspace.add_row(source, &properties).expect("a page")
    });
    let leaks = |text: &str| text.contains(SENTINEL) || text.contains("9876543");
    let mut codes: BTreeMap<String, u32> = BTreeMap::new();
    for talk in [&["-vv"][..], &["-vv", "--log-format", "json"], &["-q"]] {
        for command in [
            &["sync"][..],
            &["pull", "--full"],
            &["push", "--full"],
            &["run", "--once"],
        ] {
            // As text, all of it is talk: nobody asked for a value.
            let mut all = command.to_vec();
            all.extend(talk);
            let ran = world.project.run(&all);
            assert!(
                !leaks(&ran.stdout) && !leaks(&ran.stderr),
                "{all:?}:\n{}\n{}",
                ran.stdout,
                ran.stderr
            );
            all.extend(["--format", "json"]);
            let ran = world.project.run(&all);
            assert!(
                !leaks(&ran.stdout) && !leaks(&ran.stderr),
                "{all:?}:\n{}\n{}",
                ran.stdout,
                ran.stderr
            );
            let report: Json =
                serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{all:?}: {ran:?}"));
            for entity in report["profiles"][0]["entities"].as_array().into_iter().flatten() {
                for error in entity["errors"].as_array().into_iter().flatten() {
                    *codes
                        .entry(error["code"].as_str().unwrap_or_default().to_owned())
                        .or_default() += 1;
                }
            }
        }
        // These show values to whoever asks; what they say beside it shows none.
        for command in [
            &["plan"][..],
            &["history"],
            &["explain", "things", "r1"],
            &["conflicts", "list"],
        ] {
            let mut all = command.to_vec();
            all.extend(talk);
            let ran = world.project.run(&all);
            assert!(!leaks(&ran.stderr), "{all:?}:\n{}", ran.stderr);
        }
        for command in [
            &["status"][..],
            &["status", "--format", "json"],
            &["doctor"],
            // Not `validate`: that a column holds values which are no options is what it is asked for, and it names them.
        ] {
            let mut all = command.to_vec();
            all.extend(talk);
            let ran = world.project.run(&all);
            let shown = format!("{}{}", ran.stdout, ran.stderr);
            // A value that Notion cannot hold is counted, and its column named.
            assert!(!leaks(&shown), "{all:?}:\n{shown}");
        }
    }
    let met: Vec<&str> = codes.keys().map(String::as_str).collect();
    for code in [
        "constraint_violation",
        "row_refused",
        "unknown_option",
        "unknown_id",
        "value_out_of_range",
    ] {
        assert!(met.contains(&code), "`{code}` was not met: {met:?}");
    }
    assert!(met.len() >= 5, "{met:?}");

    let (metrics, log) = serving(
        world
            .project
            .command(&["serve", "--listen", "127.0.0.1:0", "-vv"]),
        async |base| {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let began = std::time::Instant::now();
            loop {
                let metrics = reqwest::get(format!("{base}/metrics")).await.expect("an answer");
                let metrics = metrics.text().await.expect("a body");
                if metrics.contains("frames_sync_record_errors_total") || began.elapsed().as_secs() > 30 {
                    return metrics;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        },
    )
    .await;
    assert!(!leaks(&metrics), "{metrics}");
    assert!(!leaks(&log), "{log}");

    // The reason that is kept for each record, and the status that its page shows.
    for body in world
        .rows("(select body ->> 'troubles' from frames_sync.link)")
        .await
    {
        assert!(!leaks(&body), "{body}");
    }
    for (key, at) in (1..=12)
        .map(|n| (format!("r{n}"), page(&format!("r{n}"))))
        .chain([("a label".to_owned(), labelled)])
    {
        let status = world.text(at, "sync_status");
        assert!(!leaks(&status), "{key}: {status}");
    }
}
