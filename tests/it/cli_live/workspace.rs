//! `validate` against the live workspace: each finding with its place.

use frames_sync::simulator::workspace::Capabilities;
use frames_sync::simulator::{Options, Simulator};
use serde_json::{Value as Json, json};

use super::{World, nobody};

const TEAMS: &str = "\
version: 1
entity: teams
table: public.teams
key: id
scope: { university_id: \"{{ vars.university_id }}\" }
notion: { title: Teams, initial: postgres }
opt_out: Paused
properties:
  Name: { type: title, column: name }
  status: { type: select, column: status, options: [active, completed, on_hold] }
  team_type: { type: select, column: team_type, options: [design, analysis, testing, integration] }
  Project: { type: relation, column: project_id, target: projects }
";

const PROJECTS: &str = "\
version: 1
entity: projects
table: public.projects
key: id
notion: { title: Projects }
properties:
  Name: { type: title, column: name }
";

async fn world() -> World {
    World::new(&[("teams", TEAMS), ("projects", PROJECTS)]).await
}

/// A database of teams as people made it, with some properties in another shape.
fn teams(change: impl FnOnce(&mut serde_json::Map<String, Json>)) -> Json {
    let select = |names: &[&str]| {
        let options: Vec<Json> = names.iter().map(|name| json!({ "name": name })).collect();
        json!({ "select": { "options": options } })
    };
    let mut properties = json!({
        "Name": {"title": {}},
        "status": select(&["active", "completed", "on_hold"]),
        "team_type": select(&["design", "analysis", "testing", "integration"]),
        "Paused": {"checkbox": {}},
        "postgres_id": {"rich_text": {}},
        "last_synced": {"date": {}},
        "sync_status": select(&["synced", "pending", "conflict", "error", "held", "duplicate"]),
    });
    change(properties.as_object_mut().expect("an object"));
    properties
}

impl World {
    fn add_database(&self, title: &str, properties: &Json) -> uuid::Uuid {
        self.simulator
            .workspace(|workspace| workspace.add_database(title, properties))
            .expect("a database")
    }
}

const MISSING_PROJECT: &str = "property-missing mappings/teams.yaml /properties/Project";

#[tokio::test]
async fn databases_that_do_not_exist_yet_are_no_finding_and_nothing_is_written() {
    let world = world().await;
    assert_eq!(world.validate(), (vec![], Some(0)));
    world.assert_only_read();
    world.set_up();
    world.simulator.clear_exchanges();
    assert_eq!(
        world.validate(),
        (vec![], Some(0)),
        "what `setup` made is what was asked for"
    );
    world.assert_only_read();
}

#[tokio::test]
async fn a_wrong_token_is_shown_where_it_is_set() {
    let world = world().await.with("NOTION_API_KEY", "ntn_wrong");
    let expected = "notion-unauthorized frames-sync.yaml /defaults/notion/token";
    assert_eq!(world.validate(), (vec![expected.to_owned()], Some(3)));
}

#[tokio::test]
async fn both_sides_out_of_reach_are_both_told() {
    let world = world()
        .await
        .with(
            "DATABASE_URL",
            format!("postgresql://u:SENTINEL0password@{}/db", nobody()),
        )
        .with("FRAMES_SYNC_NOTION_BASE_URL", format!("http://{}", nobody()));
    let expected = [
        "database-unreachable frames-sync.yaml /defaults/database_url",
        "notion-unreachable frames-sync.yaml /defaults/notion/token",
    ];
    assert_eq!(world.validate(), (expected.map(str::to_owned).to_vec(), Some(3)));
}

#[tokio::test]
async fn an_unshared_parent_page_is_explained_with_the_step_in_notions_menu() {
    let world = world().await;
    let root = world.simulator.root_page_id;
    world.simulator.workspace(|workspace| workspace.unshare(root));
    let expected = "page-not-shared frames-sync.yaml /profiles/calpoly/notion/parent_page";
    assert_eq!(world.validate(), (vec![expected.to_owned()], Some(1)));
    let shown = world.run(&["validate"]).stdout;
    assert!(shown.contains("••• → Connections"), "{shown}");
}

#[tokio::test]
async fn a_parent_page_is_a_page_by_any_of_its_addresses() {
    let world = world().await;
    let page = world.simulator.root_page_id.simple();
    let world = world.with(
        "NOTION_PARENT_PAGE",
        format!("https://www.notion.so/uni/Root-page-{page}?pvs=4&utm_source=share#top"),
    );
    assert_eq!(world.validate(), (vec![], Some(0)));
    let teams = world.add_database("Others", &teams(|_| {}));
    let database = world
        .simulator
        .workspace(|workspace| workspace.database_of(teams))
        .expect("its database");
    let world = world.with("NOTION_PARENT_PAGE", database.to_string());
    let at = "frames-sync.yaml /profiles/calpoly/notion/parent_page";
    assert_eq!(world.validate(), (vec![format!("page-not-shared {at}")], Some(1)));
    assert!(
        world
            .run(&["validate"])
            .stdout
            .contains("the parent page is a database")
    );
    let world = world.with("NOTION_PARENT_PAGE", "https://www.notion.so/uni/Root-page");
    assert_eq!(
        world.validate(),
        (vec![format!("invalid-notion-id {at}")], Some(1))
    );
}

#[tokio::test]
async fn a_connection_that_may_not_read_lacks_a_capability() {
    let world = world().await;
    let blind = Capabilities {
        read_content: false,
        ..Capabilities::default()
    };
    world
        .simulator
        .workspace(|workspace| workspace.set_capabilities(super::TOKEN, blind));
    let (findings, code) = world.validate();
    assert_eq!(
        findings,
        ["capability-missing frames-sync.yaml /profiles/calpoly/notion/parent_page"]
    );
    assert_eq!(code, Some(1));
}

#[tokio::test]
async fn a_token_of_another_workspace_is_told_from_a_wrong_one() {
    let world = world().await;
    world.set_up();
    let other = Simulator::start(Options {
        tokens: vec![super::TOKEN.to_owned()],
        seed: 7,
        ..Options::default()
    })
    .expect("another workspace");
    let world = world
        .with("FRAMES_SYNC_NOTION_BASE_URL", other.base_url.clone())
        .with("NOTION_PARENT_PAGE", other.root_page_id.to_string());
    let expected = "wrong-workspace frames-sync.yaml /defaults/notion/token";
    assert_eq!(world.validate(), (vec![expected.to_owned()], Some(1)));
    let (checks, code) = world.doctor();
    let token = super::check(&checks, "notion token");
    assert_eq!((token.status.as_str(), code), ("fail", Some(1)), "{token:?}");
    assert!(token.help.contains("its own token"), "{token:?}");
}

#[tokio::test]
async fn what_people_made_in_the_way_is_shown_at_the_mapping() {
    let world = world().await;
    let others = world.add_database("Others", &json!({"Name": {"title": {}}}));
    world.add_database("Projects", &teams(|_| {}));
    let many: Vec<Json> = (0..98).map(|n| json!({"name": format!("o{n}")})).collect();
    let properties = teams(|properties| {
        properties.insert("status".to_owned(), json!({"rich_text": {}}));
        properties.insert("team_type".to_owned(), json!({"select": {"options": many}}));
        properties.insert(
            "Project".to_owned(),
            json!({"relation": {"data_source_id": others, "single_property": {}}}),
        );
        properties.remove("Paused");
        properties.insert("paused".to_owned(), json!({"checkbox": {}}));
    });
    world.add_database("Teams", &properties);
    let expected = [
        "options-full mappings/teams.yaml /properties/team_type/options",
        "property-case-conflict mappings/teams.yaml /opt_out",
        "property-type-conflict mappings/teams.yaml /properties/status/type",
        "relation-target-conflict mappings/teams.yaml /properties/Project/target",
    ];
    assert_eq!(world.validate(), (expected.map(str::to_owned).to_vec(), Some(1)));
    world.assert_only_read();
}

#[tokio::test]
async fn what_a_database_lacks_is_a_warning() {
    let world = world().await;
    world.add_database(
        "Teams",
        &teams(|properties| {
            properties.insert(
                "status".to_owned(),
                json!({"select": {"options": [{"name": "active"}]}}),
            );
            properties.remove("postgres_id");
        }),
    );
    let expected = [
        "option-missing-in-notion mappings/teams.yaml /properties/status/options",
        "property-missing mappings/teams.yaml /notion/title",
        MISSING_PROJECT,
    ];
    assert_eq!(world.validate(), (expected.map(str::to_owned).to_vec(), Some(0)));
}

#[tokio::test]
async fn two_databases_of_one_title_are_not_guessed_between_and_hide_no_other_finding() {
    let world = world().await;
    world.add_database("Projects", &teams(|_| {}));
    world.add_database("Projects", &teams(|_| {}));
    world.add_database(
        "Teams",
        &teams(|properties| {
            properties.insert("status".to_owned(), json!({"rich_text": {}}));
        }),
    );
    let expected = [
        MISSING_PROJECT,
        "property-type-conflict mappings/teams.yaml /properties/status/type",
        "several-data-sources mappings/projects.yaml /notion/title",
    ];
    assert_eq!(world.validate(), (expected.map(str::to_owned).to_vec(), Some(1)));
}

#[tokio::test]
async fn a_database_that_is_gone_is_not_replaced_by_another() {
    let world = world().await;
    world.set_up();
    let database = world
        .simulator
        .workspace(|workspace| {
            let teams = workspace.data_source_titled("Teams")?;
            workspace.database_of(teams)
        })
        .expect("the database of teams");
    world
        .simulator
        .workspace(|workspace| workspace.trash_database(database, true));
    let expected = vec!["database-gone mappings/teams.yaml /notion/title".to_owned()];
    assert_eq!(world.validate(), (expected, Some(1)));
    let adopted = TEAMS.replace(
        "title: Teams,",
        "title: Teams, data_source_id: 59b8c3c2-0000-4000-8000-000000000001,",
    );
    let world = World::new(&[("teams", &adopted), ("projects", PROJECTS)]).await;
    let expected = vec!["database-gone mappings/teams.yaml /notion/data_source_id".to_owned()];
    assert_eq!(world.validate(), (expected, Some(1)));
}
