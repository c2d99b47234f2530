//! Set-up against the simulator: the seven FRAMES databases, made once and found again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use frames_sync::mapping::{Mapping, Scene, parse, validate};
use frames_sync::notion::setup::{FoundBy, SetUp, SetupError, apply, survey};
use frames_sync::notion::{Client, Settings};
use frames_sync::plan::schema_change::Known;
use frames_sync::simulator::{Applied, Effect, Fault, Options, Simulator, Trigger};
use frames_sync::value::PageId;
use serde_json::json;

use crate::support::openapi::assert_exchanges_conform;

fn mapping(file: &Path) -> Mapping {
    let text = std::fs::read_to_string(file).unwrap();
    parsed(&file.file_stem().unwrap().to_string_lossy(), &text)
}

fn parsed(name: &str, text: &str) -> Mapping {
    let source = Arc::new(frames_sync::diagnostic::SourceFile::new(name, text));
    let document = frames_sync::yaml::read(source)
        .value
        .expect("the YAML can be read");
    let parsed = parse(document).value.expect("the mapping has the right shape");
    validate(&parsed, &Scene::default())
        .value
        .expect("the mapping makes sense")
}

fn frames() -> Vec<Mapping> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.iter().map(|file| mapping(file)).collect()
}

pub(super) struct World {
    pub(super) simulator: Simulator,
    pub(super) client: Client,
    pub(super) parent: PageId,
}

impl World {
    pub(super) fn new() -> Self {
        let simulator = Simulator::start(Options::default()).unwrap();
        let mut settings = Settings::new(simulator.tokens[0].clone().into());
        settings.base_url.clone_from(&simulator.base_url);
        settings.requests_per_minute = 10_000;
        settings.request_timeout = Duration::from_secs(10);
        let client = Client::new(&settings).unwrap();
        let parent = PageId(simulator.root_page_id.to_string());
        Self {
            simulator,
            client,
            parent,
        }
    }

    async fn set_up(&self, mappings: &[Mapping], known: &Known) -> Result<Vec<SetUp>, SetupError> {
        let all: Vec<&Mapping> = mappings.iter().collect();
        let surveyed = survey(&self.client, &self.parent, &all, &all, known).await?;
        let foretold: u64 = surveyed.iter().map(|one| one.plan.requests()).sum();
        self.simulator.clear_exchanges();
        let result = apply(&self.client, &self.parent, surveyed).await?;
        assert_exchanges_conform(&self.simulator.exchanges());
        let counts = self.simulator.request_counts();
        assert_eq!(foretold, counts.values().sum::<u64>(), "{counts:?}");
        Ok(result)
    }
}

fn known(done: &[SetUp]) -> Known {
    Known {
        data_sources: done
            .iter()
            .map(|one| (one.entity.clone(), one.schema.id.clone()))
            .collect(),
        properties: done
            .iter()
            .map(|one| (one.entity.clone(), one.plan.matched.clone()))
            .collect(),
        ..Known::default()
    }
}

#[tokio::test]
async fn seven_databases_cost_what_the_documentation_derives_and_nothing_the_second_time() {
    let world = World::new();
    let mappings = frames();
    let done = world.set_up(&mappings, &Known::default()).await.unwrap();
    assert!(
        done.iter()
            .all(|one| one.created && one.plan.changes.is_empty() && one.plan.conflicts.is_empty())
    );
    // `src/notion/setup.rs` derives 33, of which two are the survey's.
    assert_eq!(world.client.usage().requests, 33, "{:?}", world.client.usage());
    let ignored = world.simulator.workspace(|workspace| workspace.ignored().len());
    assert_eq!(ignored, 0, "Notion would ignore something that was sent");

    let before = world.client.usage().requests;
    let again = world.set_up(&mappings, &known(&done)).await.unwrap();
    assert!(again.iter().all(|one| !one.created && one.changes.is_empty()));
    let reads = world.client.usage().requests - before;
    // Each schema, and for the three mappings with views their lists and the two views of each.
    assert_eq!(reads, 7 + 3 + 6);
    let writes = world.client.usage().by_endpoint;
    assert_eq!(writes["POST /v1/databases"], 7);
}

#[tokio::test]
async fn what_an_interrupted_run_made_is_found_by_its_title() {
    let world = World::new();
    let mappings = frames();
    world.set_up(&mappings, &Known::default()).await.unwrap();
    world.simulator.clear_exchanges();
    let all: Vec<&Mapping> = mappings.iter().collect();
    let surveyed = survey(&world.client, &world.parent, &all, &all, &Known::default())
        .await
        .unwrap();
    // The page's blocks name every database, so nothing is searched for.
    assert_eq!(world.simulator.request_counts().get("POST /v1/search"), None);
    for one in surveyed {
        assert_eq!(
            one.existing.map(|existing| existing.found_by),
            Some(FoundBy::Title),
            "{}",
            one.entity
        );
        assert_eq!(one.plan.changes, [], "{}", one.entity);
    }
}

const TEAMS: &str = "
version: 1
entity: teams
table: public.teams
key: id
notion: { title: Teams }
properties:
  Name: { type: title, column: name }
  status: { type: select, column: status, options: [active, left], description: The state }
  Cost: { type: number, column: cost }
";

#[tokio::test]
async fn adopting_adds_what_is_missing_and_leaves_what_people_made() {
    let world = World::new();
    let made = json!({
        "Team": {"title": {}},
        "status": {"select": {"options": [{"name": "dormant", "color": "pink"}, {"name": "active", "color": "red"}]}},
        "Cost": {"rich_text": {}},
        "Notes": {"rich_text": {}},
    });
    world
        .simulator
        .workspace(|workspace| workspace.add_database("Teams", &made))
        .unwrap();
    let teams = [parsed("teams", TEAMS)];
    let done = world.set_up(&teams, &Known::default()).await.unwrap();
    let one = &done[0];
    assert!(!one.created);
    assert_eq!(
        one.plan.conflicts.len(),
        1,
        "Cost is text there: {:?}",
        one.plan.conflicts
    );
    let schema = serde_json::to_value(&one.schema).unwrap();
    let options: Vec<&str> = schema["properties"]
        .as_array()
        .unwrap()
        .iter()
        .find(|property| property["name"] == "status")
        .and_then(|property| property["config"]["options"]["options"].as_array())
        .unwrap()
        .iter()
        .map(|option| option["name"].as_str().unwrap())
        .collect();
    assert_eq!(options, ["dormant", "active", "left"]);
    let status = one.schema.property_named("status").unwrap();
    assert_eq!(status.description.as_deref(), Some("The state"));
    for name in [
        "Team",
        "Cost",
        "Notes",
        "postgres_id",
        "last_synced",
        "sync_status",
    ] {
        assert!(one.schema.property_named(name).is_some(), "{name}");
    }
    assert_eq!(one.schema.property_named("Cost").unwrap().type_name, "rich_text");
    let again = world.set_up(&teams, &known(&done)).await.unwrap();
    assert_eq!(again[0].changes, Vec::<String>::new());
}

#[tokio::test]
async fn two_way_relations_and_rollups_are_made_in_their_turn() {
    let world = World::new();
    let teams = "
version: 1
entity: teams
table: public.teams
key: id
notion: { title: Teams }
properties:
  Name: { type: title, column: name }
  Project: { type: relation, column: project_id, target: projects, dual: Teams }
";
    let projects = "
version: 1
entity: projects
table: public.projects
key: id
notion: { title: Projects }
properties:
  Name: { type: title, column: name }
";
    let mappings = [parsed("projects", projects), parsed("teams", teams)];
    let done = world.set_up(&mappings, &Known::default()).await.unwrap();
    assert!(done[1].schema.property_named("Project").is_some());
    let all: Vec<&Mapping> = mappings.iter().collect();
    let surveyed = survey(&world.client, &world.parent, &all, &all, &known(&done))
        .await
        .unwrap();
    assert!(
        surveyed[0]
            .existing
            .as_ref()
            .unwrap()
            .schema
            .property_named("Teams")
            .is_some(),
        "the mirror"
    );
    assert!(surveyed.iter().all(|one| one.plan.is_empty()));
}

#[tokio::test]
async fn the_parent_page_may_not_be_a_database_nor_unshared() {
    let world = World::new();
    let teams = [parsed("teams", TEAMS)];
    let done = world.set_up(&teams, &Known::default()).await.unwrap();
    let all: Vec<&Mapping> = teams.iter().collect();
    let database = PageId(done[0].schema.database_id.0.clone());
    let error = survey(&world.client, &database, &all, &all, &Known::default())
        .await
        .unwrap_err();
    assert!(matches!(error, SetupError::ParentIsDatabase), "{error}");
    let nowhere = PageId::from("59b8c3c2-0000-4000-8000-000000000001");
    let error = survey(&world.client, &nowhere, &all, &all, &Known::default())
        .await
        .unwrap_err();
    assert!(matches!(error, SetupError::ParentPage { .. }));
    assert!(error.help().unwrap().contains("Connections"));
}

const COURSES: &str = "
version: 1
entity: courses
table: public.courses
key: id
notion: { title: Courses }
properties:
  Name: { type: title, column: name }
  Credits: { type: number, column: credits }
";

const STUDENTS: &str = "
version: 1
entity: students
table: public.students
key: id
notion: { title: Students }
properties:
  Name: { type: title, column: name }
  Number: { type: unique_id, prefix: ST }
  State: { type: status, column: state, options: [applied, active, left] }
  Joined: { type: date, column: joined }
  Courses: { type: relation, column: course_ids, target: courses }
  Load: { type: rollup, relation: Courses, property: Credits, function: sum }
  Double: { type: formula, expression: 'prop(\"Load\") * 2' }
views:
  - { name: By day, type: calendar, group_by: Joined }
  - { name: Cards, type: gallery }
";

#[tokio::test]
async fn computed_properties_status_groups_and_every_kind_of_view_are_made_over_http() {
    let world = World::new();
    let mappings = [parsed("courses", COURSES), parsed("students", STUDENTS)];
    let done = world.set_up(&mappings, &Known::default()).await.unwrap();
    assert!(done.iter().all(|one| one.plan.conflicts.is_empty()));
    let students = uuid::Uuid::parse_str(done[1].schema.id.as_str()).unwrap();
    let courses = uuid::Uuid::parse_str(done[0].schema.id.as_str()).unwrap();
    let page = world.simulator.workspace(|workspace| {
        let course = |credits| json!({"Credits": {"number": credits}});
        let courses = [3, 4].map(|credits| workspace.add_row(courses, &course(credits)).unwrap());
        let related = json!({"Courses": {"relation": [{"id": courses[0]}, {"id": courses[1]}]}});
        let page = workspace.add_row(students, &related).unwrap();
        workspace.page_object(page).unwrap()
    });
    let properties = &page["properties"];
    assert_eq!(
        properties["Number"]["unique_id"],
        json!({"prefix": "ST", "number": 1})
    );
    assert_eq!(properties["Load"]["rollup"]["number"], 7);
    assert_eq!(properties["Double"]["formula"]["number"], 14);
    let status = world
        .simulator
        .workspace(|workspace| workspace.data_source_object(students))
        .unwrap();
    let status = &status["properties"]["State"]["status"];
    let grouped: usize = status["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["option_ids"].as_array().unwrap().len())
        .sum();
    assert_eq!(
        (status["options"].as_array().unwrap().len(), grouped),
        (3, 3),
        "each option has a group"
    );
    let listed = world
        .client
        .list_views(&done[1].schema.database_id)
        .await
        .unwrap();
    let mut kinds = Vec::new();
    for view in listed {
        let view = world.client.retrieve_view(&view.id).await.unwrap();
        kinds.push((view.name.unwrap_or_default(), view.kind.unwrap_or_default()));
    }
    let has = |name: &str, kind: &str| kinds.contains(&(name.to_owned(), kind.to_owned()));
    assert!(has("By day", "calendar") && has("Cards", "gallery"), "{kinds:?}");
    let again = world.set_up(&mappings, &known(&done)).await.unwrap();
    assert!(again.iter().all(|one| one.changes.is_empty()), "{again:?}");
}

/// A second run sends what the mapping changed, and a third nothing.
#[tokio::test]
async fn changed_settings_and_descriptions_are_sent_once_or_told() {
    let world = World::new();
    let courses = COURSES.replace(
        "  Credits: { type: number, column: credits }",
        "  Credits: { type: number, column: credits }\n  Hours: { type: number, column: hours }",
    );
    let before = [parsed("courses", &courses), parsed("students", STUDENTS)];
    let done = world.set_up(&before, &Known::default()).await.unwrap();

    let students = STUDENTS
        .replace("prefix: ST", "prefix: TM, description: A number")
        .replace("column: joined", "column: joined, description: The first day")
        .replace(
            "property: Credits, function: sum",
            "property: Hours, function: max, description: The most hours",
        )
        .replace("* 2'", "* 3', description: Thrice")
        .replace("target: courses", "target: courses, description: What is taken");
    let after = [parsed("courses", &courses), parsed("students", &students)];
    let changed = world.set_up(&after, &known(&done)).await.unwrap();
    assert_eq!(
        changed[1].changes,
        [
            "put `TM` before the numbers of property `Number`",
            "describe property `Joined`",
            "set what rollup `Load` reads and computes (max)",
        ]
    );
    // The formula's expression, and the descriptions of a formula and a relation, are a person's to change.
    assert_eq!(changed[1].plan.differences.len(), 3, "{:?}", changed[1].plan);
    let schema = world
        .client
        .retrieve_data_source(&changed[1].schema.id)
        .await
        .unwrap()
        .properties;
    assert_eq!(schema["Number"]["unique_id"]["prefix"], "TM");
    assert_eq!(schema["Number"]["description"], "A number");
    assert_eq!(schema["Joined"]["description"], "The first day");
    assert_eq!(schema["Load"]["rollup"]["rollup_property_name"], "Hours");
    assert_eq!(schema["Load"]["rollup"]["function"], "max");
    assert_eq!(schema["Load"]["description"], "The most hours");

    let writes = |world: &World| {
        let counts = world.client.usage().by_endpoint;
        counts["PATCH /v1/data_sources/{id}"]
    };
    let sent = writes(&world);
    let again = world.set_up(&after, &known(&changed)).await.unwrap();
    assert!(again.iter().all(|one| one.changes.is_empty()), "{again:?}");
    assert_eq!(writes(&world), sent);
}

/// Every database with its views, as people see them: names, kinds and columns.
async fn views_of(world: &World, done: &[SetUp]) -> Vec<(String, String, String, String)> {
    let mut views = Vec::new();
    for one in done {
        for view in world.client.list_views(&one.schema.database_id).await.unwrap() {
            let view = world.client.retrieve_view(&view.id).await.unwrap();
            let configuration = &view.rest["configuration"];
            let columns: Vec<&str> = configuration["properties"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|column| {
                    let id = frames_sync::value::PropertyId::from(column["property_id"].as_str()?);
                    Some(one.schema.property(&id)?.name.as_str())
                })
                .collect();
            views.push((
                one.entity.clone(),
                view.name.unwrap_or_default(),
                view.kind.unwrap_or_default(),
                columns.join(", "),
            ));
        }
    }
    views.sort();
    views
}

/// Wherever a first run stops, the next one ends with what an undisturbed one makes.
#[tokio::test]
async fn what_an_interrupted_run_left_is_completed_views_included() {
    let table = STUDENTS.replace("views:\n", "views:\n  - { name: All, type: table }\n");
    for students in [STUDENTS, &table] {
        let mappings = [parsed("courses", COURSES), parsed("students", students)];
        let undisturbed = World::new();
        let done = undisturbed.set_up(&mappings, &Known::default()).await.unwrap();
        let whole = views_of(&undisturbed, &done).await;
        let requests: Vec<String> = undisturbed
            .simulator
            .request_counts()
            .into_iter()
            .filter(|(endpoint, _)| !endpoint.starts_with("GET"))
            .flat_map(|(endpoint, count)| std::iter::repeat_n(endpoint, usize::try_from(count).unwrap()))
            .filter(|endpoint| !endpoint.ends_with("/search"))
            .collect();
        for (at, endpoint) in requests.iter().enumerate() {
            let nth = requests[..at].iter().filter(|other| *other == endpoint).count() + 1;
            let world = World::new();
            world.simulator.fault(Fault {
                when: Trigger {
                    endpoint: Some(endpoint.clone()),
                    nth: Some(nth as u64),
                    ..Trigger::default()
                },
                effect: Effect::ServerError {
                    status: 500,
                    applied: if at % 2 == 0 { Applied::Yes } else { Applied::No },
                },
                times: None,
            });
            let all: Vec<&Mapping> = mappings.iter().collect();
            let surveyed = survey(&world.client, &world.parent, &all, &all, &Known::default())
                .await
                .unwrap();
            let stopped = apply(&world.client, &world.parent, surveyed).await;
            assert!(stopped.is_err(), "{endpoint} {nth}");
            let done = world.set_up(&mappings, &Known::default()).await.unwrap();
            assert_eq!(views_of(&world, &done).await, whole, "{endpoint} {nth}");
            let again = world.set_up(&mappings, &known(&done)).await.unwrap();
            assert!(again.iter().all(|one| one.changes.is_empty()), "{endpoint} {nth}");
        }
    }
}
