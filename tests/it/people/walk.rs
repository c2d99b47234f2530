//! A walk through a terminal, as a person sees it: `walk.txt` is what they see.
//!
//! The binary runs on a pseudo-terminal. Ids, times, rates and counts of requests are replaced; of the progress
//! one picture is kept, where it is slow enough to be seen.

use std::fmt::Write as _;

use frames_sync::simulator::{Effect, Fault, Trigger};

use super::{history, of, terminal};
use crate::golden::assert_fresh;
use crate::sync::world::World;

const TEAMS: &str = "
create table teams (id text primary key, name text not null, org text, status text, members int);
insert into teams select 'team_' || n, 'Team ' || n, 'cal', 'active', n from generate_series(1, 8) n;
";

const MAPPING: &str = "version: 1
entity: teams
table: public.teams
key: id
scope: { org: \"{{ vars.org }}\" }
notion: { title: Teams }
conflict: manual
properties:
  Name: { type: title, column: name }
  status: { type: select, column: status, options: [active, completed, on_hold] }
  members: { type: number, column: members }
";

/// A walk while it is written down.
struct Walk {
    world: World,
    told: String,
    replaced: Vec<(String, String)>,
}

impl Walk {
    /// Runs a command on a terminal and writes down what was seen.
    fn run(&mut self, arguments: &[&str], answer: &str) -> Option<i32> {
        let seen = terminal::run(&self.world.project, arguments, answer);
        let screen = self.shown(&seen.screen);
        let command = self.shown(&arguments.join(" "));
        let _ = write!(self.told, "$ frames-sync {}\n{screen}\n", command.trim_end());
        seen.code
    }

    /// The same for a command that is slow enough for its progress to be seen.
    fn run_slowly(&mut self, arguments: &[&str]) -> Option<i32> {
        let seen = terminal::run(&self.world.project, arguments, "");
        let plain = without_escapes(&seen.screen);
        let is_drawn = |line: &str| is_bar(line) && line.contains("/8 records, ") && line.contains(" left");
        assert!(plain.split(['\n', '\r']).any(is_drawn), "no progress: {plain}");
        let bar = "cal [==========>             ] n/8 records, n/s, n left, teams";
        let screen = self
            .shown(&seen.screen)
            .replace("profile cal", &format!("{bar}\nprofile cal"));
        let _ = write!(self.told, "$ frames-sync {}\n{screen}\n", arguments.join(" "));
        seen.code
    }

    /// Says what happened outside the terminal.
    fn say(&mut self, what: &str) {
        let _ = writeln!(self.told, "# {what}\n");
    }

    /// Stands a name for an id.
    fn name(&mut self, id: &str, name: &str) {
        self.replaced.push((id.to_owned(), name.to_owned()));
    }

    /// The lines that stayed on the screen, with everything replaced that differs from run to run.
    fn shown(&self, raw: &str) -> String {
        let plain = without_escapes(raw);
        plain
            .split(['\n', '\r'])
            .map(without_spinner)
            .filter(|line| !line.is_empty() && !is_bar(line))
            .fold(String::new(), |text, line| text + &self.steady(line) + "\n")
    }

    fn steady(&self, line: &str) -> String {
        let mut line = line.to_owned();
        for (id, name) in &self.replaced {
            line = line.replace(id, name);
        }
        let words: Vec<&str> = line.split(' ').collect();
        let seconds =
            |place: usize| words.get(place + 1) == Some(&"s") && words[place].parse::<u64>().is_ok();
        let steady = (0..words.len()).map(|place| {
            if seconds(place) {
                "n".to_owned()
            } else {
                steady_word(words[place])
            }
        });
        steady.collect::<Vec<_>>().join(" ")
    }
}

/// Whether a line is a picture of a bar.
fn is_bar(line: &str) -> bool {
    line.starts_with("cal [") && line.contains(" records, ")
}

/// A line without the spinner that was drawn over its end.
fn without_spinner(line: &str) -> &str {
    let spins = |character: char| ('\u{2800}'..='\u{28ff}').contains(&character);
    let line = match line.find(spins) {
        Some(place) => line[..place]
            .trim_end()
            .strip_suffix("cal")
            .unwrap_or(&line[..place]),
        None => line,
    };
    line.trim_end()
}

/// A word, or what stands for it where it differs from run to run.
fn steady_word(word: &str) -> String {
    let inner = word.trim_matches(|c| "[](),:;`".contains(c));
    let is_uuid = inner.len() == 36 && inner.matches('-').count() == 4;
    let is_time = inner.len() == 20 && inner.ends_with('Z') && inner.contains('T');
    let is_hash = inner.len() == 16 && inner.chars().all(|digit| digit.is_ascii_hexdigit());
    let is_decimal = inner.contains('.') && inner.parse::<f64>().is_ok();
    let name = match (is_uuid, is_time, is_hash, is_decimal) {
        (true, ..) => "ID",
        (_, true, ..) => "TIME",
        (_, _, true, _) => "HASH",
        (.., true) => "n.n",
        _ => return word.to_owned(),
    };
    word.replace(inner, name)
}

/// Text without what a terminal obeys.
fn without_escapes(raw: &str) -> String {
    let mut plain = String::new();
    let mut characters = raw.chars();
    while let Some(character) = characters.next() {
        if character != '\u{1b}' {
            plain.push(character);
            continue;
        }
        // `ESC [ … letter`; nothing else is sent.
        let _ = characters.next();
        let _ = characters.find(char::is_ascii_alphabetic);
    }
    plain
}

#[tokio::test]
async fn a_walk_through_a_terminal() {
    let world = World::with(TEAMS, &[("teams", MAPPING)]).await;
    let mut walk = Walk {
        world,
        told: String::new(),
        replaced: Vec::new(),
    };
    // Slow enough to be watched.
    walk.world.simulator.fault(Fault {
        when: Trigger {
            endpoint: Some("POST /v1/pages".to_owned()),
            ..Trigger::default()
        },
        effect: Effect::Slow { milliseconds: 400 },
        times: None,
    });
    assert_eq!(walk.run_slowly(&["setup"]), Some(0));
    walk.world.simulator.clear_faults();

    walk.say("The application completes team 3 while somebody puts it on hold in Notion.");
    let page = walk.world.page("Teams", "team_3");
    walk.world
        .edit(page, "status", crate::sync::world::select("on_hold"));
    walk.world
        .sql("update teams set status = 'completed' where id = 'team_3'")
        .await;
    assert_eq!(walk.run(&["sync"], ""), Some(1));
    let conflicts = walk.world.ok(&["conflicts", "list"]).json;
    let conflict = of(&conflicts["conflicts"][0], "id").to_owned();
    walk.name(&conflict, "CONFLICT");
    assert_eq!(walk.run(&["explain", "teams", "team_3", "status"], ""), Some(0));
    assert_eq!(
        walk.run(&["conflicts", "resolve", &conflict, "--take", "notion"], ""),
        Some(0)
    );
    assert_eq!(walk.run(&["sync"], ""), Some(0));

    walk.say("Somebody renames two teams in Notion that were not to be renamed.");
    for key in ["team_1", "team_2"] {
        let page = walk.world.page("Teams", key);
        walk.world
            .edit(page, "Name", crate::sync::world::title(&format!("Renamed {key}")));
    }
    assert_eq!(walk.run(&["sync", "-q"], ""), Some(0));
    let run = of(&history(&walk.world, &[])[0], "run_id").to_owned();
    walk.name(&run, "RUN");
    assert_eq!(walk.run(&["undo", &run], "n"), Some(1));
    assert_eq!(walk.run(&["undo", &run], "y"), Some(0));
    let names = "select string_agg(name, ', ' order by id) from teams where id in ('team_1', 'team_2')";
    assert_eq!(walk.world.scalar(names).await.as_deref(), Some("Team 1, Team 2"));
    assert_eq!(
        walk.run(&["history", "--key", "team_1", "--limit", "2"], ""),
        Some(0)
    );

    walk.say("The application deletes five of the eight teams.");
    walk.world.sql("delete from teams where id > 'team_3'").await;
    assert_eq!(walk.run(&["sync"], ""), Some(1));
    assert_eq!(walk.world.pages("Teams").len(), 8);
    let plan = walk.world.run(&["plan"]).json;
    let hash = of(&plan, "hash").to_owned();
    walk.name(&hash, "HASH");
    assert_eq!(walk.run(&["approve", &hash], ""), Some(0));
    assert_eq!(walk.run(&["sync"], ""), Some(0));
    assert_eq!(walk.world.pages("Teams").len(), 3);
    assert_eq!(walk.run(&["status"], ""), Some(0));
    assert_fresh("tests/it/people/walk.txt", &walk.told);
}
