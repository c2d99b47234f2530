//! Two tenants in one database: nothing of one reaches the other.

use frames_sync::simulator::{Options, Simulator};

use super::world::{World, writes};
use super::{BOTH, THINGS};

const TWO: &[(&str, &str)] = &[("cal", "cal"), ("tex", "tex")];

#[tokio::test]
async fn nothing_of_one_profile_is_ever_sent_with_the_others_token() {
    let world = World::of(THINGS, BOTH, TWO).await;
    world
        .sql(
            "update things set name = 'SENTINEL-CAL ' || id, note = 'SENTINEL-CAL', email = id || '@SENTINEL-CAL.example' where org = 'cal';
             update things set name = 'SENTINEL-TEX ' || id, note = 'SENTINEL-TEX', email = id || '@SENTINEL-TEX.example' where org = 'tex';
             update things set group_id = 'x1' where id = 't2';
             update things set group_id = 'g1' where id = 'x1';
             update groups set name = 'SENTINEL-TEX group' where org = 'tex';
             update groups set name = 'SENTINEL-CAL group' where org = 'cal';",
        )
        .await;
    // A page of its own for each: the databases have the same titles.
    let pages = world.simulator.workspace(|workspace| {
        let root = workspace.root_page_id();
        [
            workspace.add_text_page(root, "Cal"),
            workspace.add_text_page(root, "Tex"),
        ]
    });
    for (page, profile) in pages.iter().zip(["cal", "tex"]) {
        world.ok(&["setup", "--profile", profile, "--parent-page", &page.to_string()]);
    }
    world
        .sql("update things set amount = amount + 1, done = not done")
        .await;
    world.run(&["sync", "--all-profiles"]);
    // What one tenant hands over is the other's from then on.
    world
        .sql("update things set org = 'tex', name = 'SENTINEL-TEX t3', note = 'SENTINEL-TEX', email = null where id = 't3'")
        .await;
    world.run(&["sync", "--all-profiles"]);
    world.sql("insert into things (id, name, org, note) values ('t9', 'SENTINEL-CAL t9', 'cal', 'SENTINEL-CAL')").await;
    world.run(&["sync", "--all-profiles"]);
    let exchanges = world.simulator.exchanges();
    let (mut of_cal, mut of_tex) = (0, 0);
    for exchange in &exchanges {
        let sent = format!("{}?{}{}", exchange.path, exchange.query, exchange.request_body);
        match exchange.connection {
            Some(0) => {
                of_cal += usize::from(sent.contains("SENTINEL-CAL"));
                assert!(!sent.contains("SENTINEL-TEX"), "#{}: {sent}", exchange.number);
            }
            Some(1) => {
                of_tex += usize::from(sent.contains("SENTINEL-TEX"));
                assert!(!sent.contains("SENTINEL-CAL"), "#{}: {sent}", exchange.number);
            }
            _ => panic!("a request without a known token: {sent}"),
        }
    }
    assert!(of_cal > 3 && of_tex > 1, "{of_cal}, {of_tex}");
}

#[tokio::test]
async fn a_broken_token_stops_its_own_profile_alone() {
    let world = World::of(THINGS, BOTH, TWO).await;
    let pages = world.simulator.workspace(|workspace| {
        let root = workspace.root_page_id();
        [
            workspace.add_text_page(root, "Cal"),
            workspace.add_text_page(root, "Tex"),
        ]
    });
    for (page, profile) in pages.iter().zip(["cal", "tex"]) {
        world.ok(&["setup", "--profile", profile, "--parent-page", &page.to_string()]);
    }
    let token = world.simulator.tokens[0].clone();
    world.simulator.workspace(|workspace| workspace.revoke(&token));
    world
        .sql("update things set amount = 5 where id in ('t1', 'x1')")
        .await;
    world.simulator.clear_exchanges();
    let report = world.run(&["sync", "--all-profiles"]);
    assert_eq!(report.code, 3);
    let outcomes: Vec<_> = report.json["profiles"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|profile| (profile["profile"].clone(), profile["outcome"].clone()))
        .collect();
    assert_eq!(
        outcomes,
        [("cal".into(), "failed".into()), ("tex".into(), "ok".into())]
    );
    assert_eq!(writes(&world.simulator.exchanges()).len(), 1);
    assert!(!format!("{}{}", report.json, report.stderr).contains(&token));
}

/// Everything that a swapped token leads to is one question, `users/me`: no page is read, and no row is touched.
fn refused_before_anything_is_read(world: &World, asked: &Simulator) {
    for command in ["sync", "push", "pull", "plan"] {
        asked.clear_exchanges();
        let report = world
            .project
            .run(&[command, "--all-profiles", "--format", "json"]);
        assert_eq!(report.code, Some(1), "{command}: {}", report.stderr);
        let told = format!("{}{}", report.stdout, report.stderr);
        assert!(told.contains("its own token"), "{command}: {told}");
        let asked: Vec<String> = asked.request_counts().into_keys().collect();
        assert_eq!(asked, ["GET /v1/users/me"], "{command}");
    }
}

#[tokio::test]
async fn tokens_swapped_between_profiles_are_refused_before_a_page_is_read() {
    let mut world = World::of(THINGS, BOTH, TWO).await;
    let pages = world.simulator.workspace(|workspace| {
        let root = workspace.root_page_id();
        [
            workspace.add_text_page(root, "Cal"),
            workspace.add_text_page(root, "Tex"),
        ]
    });
    for (page, profile) in pages.iter().zip(["cal", "tex"]) {
        world.ok(&["setup", "--profile", profile, "--parent-page", &page.to_string()]);
    }
    let swapped = [
        world.simulator.tokens[1].clone(),
        world.simulator.tokens[0].clone(),
    ];
    for (index, token) in swapped.into_iter().enumerate() {
        world.project = world.project.env(&format!("NOTION_TOKEN_{index}"), token);
    }
    refused_before_anything_is_read(&world, &world.simulator);
}

#[tokio::test]
async fn a_token_of_another_workspace_is_refused_before_a_page_is_read() {
    let mut world = World::of(THINGS, BOTH, super::world::ONE).await;
    world.ok(&["setup"]);
    // The same token, of another workspace: ids that are remembered mean nothing there.
    let other = Simulator::start(Options {
        tokens: world.simulator.tokens.clone(),
        seed: 7,
        ..Options::default()
    })
    .expect("another workspace");
    world.project = world
        .project
        .env("FRAMES_SYNC_NOTION_BASE_URL", other.base_url.clone());
    world.simulator.clear_exchanges();
    refused_before_anything_is_read(&world, &other);
    assert_eq!(world.simulator.request_count(), 0);
}

#[tokio::test]
async fn a_connection_replaced_on_purpose_is_taken_by_setup() {
    let mut world = World::of(THINGS, BOTH, super::world::ONE).await;
    world.ok(&["setup"]);
    let token = "ntn_replacement";
    world.simulator.workspace(|workspace| {
        workspace.connect(
            token,
            "replacement",
            frames_sync::simulator::workspace::Capabilities::default(),
        );
    });
    world.project = world.project.env("NOTION_TOKEN_0", token);
    refused_before_anything_is_read(&world, &world.simulator);
    world.ok(&["setup"]);
    world.ok(&["sync"]);
}
