//! The engine's port over the simulator: pages listed, read, written, trashed and restored over HTTP.

use std::collections::BTreeMap;
use std::time::Duration;

use frames_sync::notion::introspect;
use frames_sync::notion::pages::{EntityPages, NotionPages};
use frames_sync::ports::{Page, PageParent, PageQuery, PageWrite, Pages, PagesError, Priority, PropertyRead};
use frames_sync::simulator::{Clock, Effect, Fault, Moment, Trigger};
use frames_sync::value::{Choice, DataSourceId, Number, PageId, PropertyId, Value};
use serde_json::{Value as Json, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::setup::World;
use crate::support::openapi::assert_exchanges_conform;

/// Two data sources, `students` related to `teams`, at 14:30:15 of a clock that the test moves.
struct School {
    world: World,
    pages: NotionPages,
    students: Uuid,
    teams: Uuid,
    ids: BTreeMap<String, PropertyId>,
}

fn text(content: &str) -> Json {
    json!([{"type": "text", "text": {"content": content}}])
}

fn moment(iso: &str) -> OffsetDateTime {
    OffsetDateTime::parse(iso, &time::format_description::well_known::Rfc3339).unwrap()
}

impl School {
    async fn new() -> Self {
        let world = World::new();
        let start = Moment::parse("2026-09-04T14:30:15.000Z").unwrap();
        world.simulator.set_clock(Clock::Moved(start));
        let (teams, students) = world.simulator.workspace(|workspace| {
            let teams = workspace.add_database("Teams", &json!({"Name": {"title": {}}})).unwrap();
            let students = json!({
                "Name": {"title": {}}, "postgres_id": {"rich_text": {}}, "Credits": {"number": {}},
                "State": {"select": {"options": [{"name": "active"}, {"name": "left"}]}},
                "Teams": {"relation": {"data_source_id": teams, "type": "single_property", "single_property": {}}},
                "Unbound": {"checkbox": {}},
            });
            (teams, workspace.add_database("Students", &students).unwrap())
        });
        let source = DataSourceId(students.to_string());
        let schema = introspect::schema(&world.client.retrieve_data_source(&source).await.unwrap());
        let bound = schema
            .properties
            .iter()
            .filter(|property| property.name != "Unbound");
        let ids: BTreeMap<String, PropertyId> = bound
            .clone()
            .map(|property| (property.name.clone(), property.id.clone()))
            .collect();
        let properties = bound
            .map(|property| {
                (
                    property.id.clone(),
                    frames_sync::schema::PropertyType::from_name(&property.type_name).unwrap(),
                )
            })
            .collect();
        let entity = EntityPages {
            data_source: source,
            postgres_id: ids["postgres_id"].clone(),
            properties,
        };
        let bot = world.client.me().await.unwrap().id;
        let entities = BTreeMap::from([("students".to_owned(), entity)]);
        let pages = NotionPages::new(world.client.clone(), bot, entities);
        Self {
            world,
            pages,
            students,
            teams,
            ids,
        }
    }

    fn add(&self, name: &str) -> PageId {
        let properties = json!({"Name": {"title": text(name)}});
        let made = self
            .world
            .simulator
            .workspace(|workspace| workspace.add_row(self.students, &properties));
        PageId(made.unwrap().to_string())
    }

    fn set(&self, values: &[(&str, Value)]) -> PageWrite {
        let properties = values
            .iter()
            .map(|(name, value)| (self.ids[*name].clone(), value.clone()));
        PageWrite {
            properties: properties.collect(),
            in_trash: None,
        }
    }

    fn value(&self, page: &Page, name: &str) -> Value {
        match &page.properties[&self.ids[name]] {
            PropertyRead::Whole(value) => value.clone(),
            other => panic!("{name}: {other:?}"),
        }
    }

    async fn list(&self, query: &PageQuery) -> (Vec<Page>, bool) {
        let (mut pages, mut after, mut complete) = (Vec::new(), None::<String>, true);
        loop {
            let batch = self
                .pages
                .query("students", query, after.as_deref(), Priority::Scan)
                .await
                .unwrap();
            complete &= batch.complete;
            pages.extend(batch.pages);
            after = batch.next;
            if after.is_none() {
                return (pages, complete);
            }
        }
    }

    async fn read(&self, page: &PageId) -> Result<Page, PagesError> {
        self.pages.read("students", page, Priority::Pull).await
    }

    async fn update(&self, page: &PageId, write: &PageWrite) -> Result<Page, PagesError> {
        self.pages.update("students", page, write, Priority::Push).await
    }
}

impl Drop for School {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_exchanges_conform(&self.world.simulator.exchanges());
        }
    }
}

fn number(value: i64) -> Value {
    Value::Number(Number::from(value))
}

#[tokio::test]
async fn a_listing_goes_on_over_batches_and_past_the_cap() {
    let school = School::new().await;
    for row in 0..230 {
        school.add(&format!("Student {row}"));
        school.world.simulator.advance(Duration::from_secs(1));
    }
    let (all, complete) = school.list(&PageQuery::All).await;
    assert_eq!((all.len(), complete), (230, true));
    school
        .world
        .simulator
        .workspace(|workspace| workspace.limits_mut().query_results = 100);
    let (again, complete) = school.list(&PageQuery::All).await;
    assert!(complete);
    let ids = |pages: &[Page]| {
        let mut ids: Vec<PageId> = pages.iter().map(|page| page.id.clone()).collect();
        ids.sort();
        ids.dedup();
        ids
    };
    assert_eq!(ids(&again), ids(&all));
    // More rows in one minute than one query answers: nothing is missing in silence.
    school
        .world
        .simulator
        .workspace(|workspace| workspace.limits_mut().query_results = 20);
    assert!(!school.list(&PageQuery::All).await.1);
}

#[tokio::test]
async fn rows_that_move_while_they_are_listed_are_all_seen() {
    let school = School::new().await;
    for row in 0..150 {
        school.add(&format!("Student {row}"));
    }
    school.world.simulator.fault(Fault {
        when: Trigger {
            nth: Some(1),
            ..Trigger::default()
        },
        effect: Effect::Shuffled,
        times: None,
    });
    let (pages, _) = school.list(&PageQuery::All).await;
    let ids: std::collections::BTreeSet<&PageId> = pages.iter().map(|page| &page.id).collect();
    assert!(pages.len() > 150, "some are seen twice: {}", pages.len());
    assert_eq!(ids.len(), 150);
}

#[tokio::test]
async fn edits_since_a_minute_are_listed_that_minute_included() {
    let school = School::new().await;
    let (old, edited) = (school.add("old"), school.add("edited"));
    school.world.simulator.advance(Duration::from_secs(180));
    let page = Uuid::parse_str(&edited.0).unwrap();
    school
        .world
        .simulator
        .workspace(|workspace| workspace.edit(page, "Credits", json!({"number": 3})))
        .unwrap();
    let since = |iso| PageQuery::EditedSince(moment(iso));
    let (pages, complete) = school.list(&since("2026-09-04T14:33:00Z")).await;
    assert!(complete);
    assert_eq!(pages.iter().map(|page| &page.id).collect::<Vec<_>>(), [&edited]);
    assert_eq!(pages[0].last_edited_time, moment("2026-09-04T14:33:00Z"));
    assert_ne!(pages[0].last_edited_by, school.pages.bot());
    assert_eq!(school.list(&since("2026-09-04T14:34:00Z")).await.0, []);
    let (both, _) = school.list(&since("2026-09-04T14:30:00Z")).await;
    assert!(both.iter().any(|page| page.id == old));
}

#[tokio::test]
async fn what_is_created_reads_back_is_found_by_its_key_and_changes_by_property() {
    let school = School::new().await;
    let choice = |name: &str| {
        Value::Choice(Choice {
            name: name.to_owned(),
            id: None,
        })
    };
    let write = school.set(&[
        ("Name", Value::Text("Ada".to_owned())),
        ("postgres_id", Value::Text("student_1".to_owned())),
        ("Credits", number(12)),
        ("State", choice("active")),
    ]);
    let made = school
        .pages
        .create("students", &write, Priority::Create)
        .await
        .unwrap();
    assert_eq!(made.parent, PageParent::Entity);
    assert_eq!(made.created_by, school.pages.bot());
    assert_eq!(
        made.properties.len(),
        school.ids.len(),
        "the unbound property is not read"
    );
    assert_eq!(school.read(&made.id).await.unwrap(), made);
    let (found, _) = school
        .list(&PageQuery::WithPostgresId("student_1".to_owned()))
        .await;
    assert_eq!(found, std::slice::from_ref(&made));
    let (none, _) = school
        .list(&PageQuery::WithPostgresId("student".to_owned()))
        .await;
    assert_eq!(none, []);

    let changed = school
        .update(&made.id, &school.set(&[("Credits", Value::Null)]))
        .await
        .unwrap();
    assert_eq!(school.value(&changed, "Credits"), Value::Null);
    assert_eq!(school.value(&changed, "Name"), school.value(&made, "Name"));
    let Value::Choice(state) = school.value(&changed, "State") else {
        panic!()
    };
    assert_eq!(state.name, "active");

    let unbound = PageWrite {
        properties: vec![(PropertyId::from("nope"), Value::Null)],
        in_trash: None,
    };
    let refused = school.update(&made.id, &unbound).await.unwrap_err();
    assert!(matches!(refused, PagesError::Refused { .. }), "{refused}");
    assert_eq!(school.pages.usage().by_endpoint["POST /v1/pages"], 1);
}

#[tokio::test]
async fn a_page_goes_to_the_trash_and_comes_back_with_its_values() {
    let school = School::new().await;
    let page = school.add("Ada");
    let trash = |in_trash| PageWrite {
        properties: Vec::new(),
        in_trash: Some(in_trash),
    };
    assert!(school.update(&page, &trash(true)).await.unwrap().in_trash);
    assert!(school.read(&page).await.unwrap().in_trash);
    assert_eq!(school.list(&PageQuery::All).await.0, []);
    let refused = school
        .update(&page, &school.set(&[("Credits", number(1))]))
        .await
        .unwrap_err();
    assert!(matches!(refused, PagesError::Refused { .. }), "{refused}");
    let back = PageWrite {
        in_trash: Some(false),
        ..school.set(&[("Credits", number(7))])
    };
    let restored = school.update(&page, &back).await.unwrap();
    assert!(!restored.in_trash);
    assert_eq!(school.value(&restored, "Credits"), number(7));
    assert_eq!(school.list(&PageQuery::All).await.0.len(), 1);
}

#[tokio::test]
async fn a_relation_of_thirty_is_truncated_until_it_is_read_whole() {
    let school = School::new().await;
    let page = school.add("Ada");
    let targets: Vec<Uuid> = school.world.simulator.workspace(|workspace| {
        let targets: Vec<Uuid> = (0..130)
            .map(|_| workspace.add_row(school.teams, &json!({})).unwrap())
            .collect();
        let related: Json = targets.iter().map(|id| json!({ "id": id })).collect();
        let page = Uuid::parse_str(&page.0).unwrap();
        workspace
            .edit(page, "Teams", json!({ "relation": related }))
            .unwrap();
        targets
    });
    let teams = &school.ids["Teams"];
    let seen = school.read(&page).await.unwrap();
    assert_eq!(seen.properties[teams], PropertyRead::Truncated);
    let whole = school
        .pages
        .whole_property("students", &page, teams, Priority::Pull)
        .await
        .unwrap();
    let expected = targets.iter().map(|id| PageId(id.to_string())).collect();
    assert_eq!(whole, Value::Pages(expected), "130 are two batches");
}

#[tokio::test]
async fn a_page_that_moved_stands_elsewhere_and_one_that_is_gone_is_inaccessible() {
    let school = School::new().await;
    let (moved, gone) = (school.add("moved"), school.add("gone"));
    school.world.simulator.workspace(|workspace| {
        workspace.move_row(Uuid::parse_str(&moved.0).unwrap(), school.teams);
        workspace.purge(Uuid::parse_str(&gone.0).unwrap());
    });
    assert_eq!(school.read(&moved).await.unwrap().parent, PageParent::Elsewhere);
    assert!(matches!(school.read(&gone).await, Err(PagesError::Inaccessible)));
}

#[tokio::test]
async fn a_page_of_another_workspace_is_as_if_it_were_not_there() {
    let (school, other) = (School::new().await, School::new().await);
    // Ids are drawn from the seed, so both workspaces are given rows until the ids differ in meaning.
    other
        .world
        .simulator
        .workspace(|workspace| workspace.add_text_page(workspace.root_page_id(), "theirs"));
    let theirs = other.add("theirs");
    assert!(matches!(
        school.read(&theirs).await,
        Err(PagesError::Inaccessible)
    ));
    let write = school.set(&[("Credits", number(1))]);
    assert!(matches!(
        school.update(&theirs, &write).await,
        Err(PagesError::Inaccessible)
    ));
}
