use super::*;
use crate::mapping::UnknownOption;
use crate::schema::DataSourceSchema;
use crate::schema::data_source::{PropertySchema, ViewSchema};
use crate::value::DatabaseId;

fn property(name: &str, kind: PropertyKind) -> DesiredProperty {
    DesiredProperty::new(name, kind)
}

fn plain(name: &str, kind: PropertyType) -> DesiredProperty {
    property(name, PropertyKind::Plain(kind))
}

fn choice(name: &str, color: Option<&str>) -> OptionChoice {
    OptionChoice {
        name: name.to_owned(),
        color: color.map(str::to_owned),
        group: None,
        description: None,
    }
}

fn select(name: &str, options: &[&str]) -> DesiredProperty {
    property(
        name,
        PropertyKind::Options {
            property_type: PropertyType::Select,
            options: options.iter().map(|name| choice(name, Some("green"))).collect(),
            on_unknown: UnknownOption::Error,
        },
    )
}

fn relation(name: &str, target: &str) -> DesiredProperty {
    property(
        name,
        PropertyKind::Relation {
            target: target.to_owned(),
            dual: None,
        },
    )
}

fn database(properties: Vec<DesiredProperty>) -> DesiredDatabase {
    let mut all = vec![plain("Name", PropertyType::Title)];
    all.extend(properties);
    DesiredDatabase {
        entity: "teams".to_owned(),
        title: "Teams".to_owned(),
        icon: None,
        description: None,
        properties: all,
        views: vec![view("All", ViewKind::Table), view("By status", ViewKind::Board)],
    }
}

fn view(name: &str, kind: ViewKind) -> View {
    View {
        name: name.to_owned(),
        kind,
        group_by: None,
        show: None,
        sort: Vec::new(),
    }
}

fn present(id: &str, name: &str, type_name: &str, config: PropertyConfig) -> PropertySchema {
    PropertySchema {
        id: PropertyId::from(id),
        name: name.to_owned(),
        description: None,
        type_name: type_name.to_owned(),
        config,
    }
}

fn options(names: &[&str]) -> PropertyConfig {
    let options = names
        .iter()
        .map(|name| OptionSchema {
            id: format!("id-{name}"),
            name: (*name).to_owned(),
            color: "green".to_owned(),
            description: None,
        })
        .collect();
    PropertyConfig::Options {
        options,
        groups: Vec::new(),
    }
}

fn schema(properties: Vec<PropertySchema>) -> DataSourceSchema {
    let mut all = vec![present("title", "Name", "title", PropertyConfig::Plain)];
    all.extend(properties);
    DataSourceSchema {
        id: DataSourceId::from("d1"),
        database_id: DatabaseId::from("b1"),
        title: "Teams".to_owned(),
        in_trash: false,
        properties: all,
    }
}

fn both_views() -> Vec<ViewSchema> {
    ["All", "By status"]
        .map(|name| ViewSchema {
            id: name.to_owned(),
            name: name.to_owned(),
            kind: "table".to_owned(),
            columns: Vec::new(),
        })
        .to_vec()
}

fn texts(plan: &SchemaPlan) -> Vec<String> {
    plan.changes.iter().map(ToString::to_string).collect()
}

#[test]
fn a_new_database_is_made_in_stages() {
    let wanted = database(vec![
        property(
            "Sum",
            PropertyKind::Formula {
                expression: "1".to_owned(),
            },
        ),
        relation("Project", "projects"),
        select("status", &["active"]),
    ]);
    let plan = diff(&wanted, None, &[]);
    assert_eq!(
        texts(&plan),
        [
            "create database `Teams` with 2 properties",
            "add property `Project` (relation to projects)",
            "add property `Sum` (formula)",
            "arrange the first view as `All`",
            "add view `By status` (board)",
        ]
    );
    // create, relations, formulas, list of views, two views.
    assert_eq!(plan.requests(), 6);
}

#[test]
fn what_is_there_needs_nothing() {
    let wanted = database(vec![select("status", &["active"])]);
    let plan = diff(
        &wanted,
        Some(&schema(vec![present(
            "s",
            "status",
            "select",
            options(&["active", "mine"]),
        )])),
        &both_views(),
    );
    assert_eq!(plan.changes, []);
    assert_eq!(plan.requests(), 0);
    assert_eq!(plan.matched["status"], PropertyId::from("s"));
    assert_eq!(plan.matched["Name"], PropertyId::from("title"));
}

#[test]
fn a_missing_option_sends_all_that_are_there_with_their_ids() {
    let mut found = present("s", "status", "select", options(&["active", "a person's own"]));
    found.description = Some("kept".to_owned());
    let plan = diff(
        &database(vec![select("status", &["active", "left"])]),
        Some(&schema(vec![found])),
        &both_views(),
    );
    let [
        SchemaChange::SetOptions {
            keep,
            add,
            description,
            ..
        },
    ] = &plan.changes[..]
    else {
        panic!("{:?}", plan.changes)
    };
    let kept: Vec<&str> = keep.iter().map(|option| option.id.as_str()).collect();
    assert_eq!(kept, ["id-active", "id-a person's own"]);
    assert_eq!(add, &[choice("left", Some("green"))]);
    assert_eq!(description.as_deref(), Some("kept"));
}

#[test]
fn a_property_renamed_by_a_person_is_followed_by_its_id() {
    let mut wanted = select("status", &["active"]);
    wanted.id = Some(PropertyId::from("s"));
    let found = present("s", "Stand", "select", options(&["active"]));
    let plan = diff(&database(vec![wanted]), Some(&schema(vec![found])), &both_views());
    assert_eq!(plan.changes, []);
    assert_eq!(plan.matched["status"], PropertyId::from("s"));
}

#[test]
fn another_type_target_or_case_is_a_conflict_and_nothing_is_touched() {
    let mut elsewhere = relation("Project", "projects");
    elsewhere.target = Some(DataSourceId::from("d2"));
    let wanted = database(vec![
        plain("Cost", PropertyType::Date),
        plain("email", PropertyType::Email),
        elsewhere,
    ]);
    let found = schema(vec![
        present(
            "c",
            "Cost",
            "number",
            PropertyConfig::Number {
                format: "euro".to_owned(),
            },
        ),
        present("e", "Email", "email", PropertyConfig::Plain),
        present(
            "p",
            "Project",
            "relation",
            PropertyConfig::Relation {
                data_source_id: DataSourceId::from("d9"),
                dual: None,
            },
        ),
    ]);
    let plan = diff(&wanted, Some(&found), &both_views());
    assert_eq!(plan.changes, []);
    let shown: Vec<String> = plan.conflicts.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "property `Cost` is a number in Notion; the mapping wants a date",
            "Notion has a property `Email`, which differs from `email` in case alone",
            "relation `Project` leads to another data source than that of `projects`",
        ]
    );
}

#[test]
fn colours_of_existing_options_are_told_and_not_sent() {
    let mut wanted = select("status", &["active"]);
    let PropertyKind::Options { options: choices, .. } = &mut wanted.kind else {
        panic!()
    };
    choices[0].color = Some("red".to_owned());
    let found = present("s", "status", "select", options(&["active"]));
    let plan = diff(&database(vec![wanted]), Some(&schema(vec![found])), &both_views());
    assert_eq!(plan.changes, []);
    assert_eq!(plan.differences.len(), 1);
}

#[test]
fn a_list_that_no_request_can_hold_is_a_conflict() {
    let names: Vec<String> = (0..100).map(|number| format!("o{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let found = present("s", "status", "select", options(&["other"]));
    let plan = diff(
        &database(vec![select("status", &names)]),
        Some(&schema(vec![found])),
        &both_views(),
    );
    assert_eq!(plan.changes, []);
    assert_eq!(plan.conflicts[0].problem, Problem::TooManyOptions { count: 101 });
}

#[test]
fn the_other_end_of_a_two_way_relation_is_notions_to_make() {
    let mut mirror = relation("Teams", "teams");
    mirror.mirror = true;
    let wanted = database(vec![mirror]);
    assert!(
        !texts(&diff(&wanted, None, &[]))
            .iter()
            .any(|text| text.contains("add property"))
    );
    assert_eq!(
        diff(&wanted, Some(&schema(Vec::new())), &both_views()).changes,
        []
    );
}

#[test]
fn a_format_that_people_chose_stays_unless_the_mapping_names_one() {
    let found = || {
        present(
            "c",
            "Cost",
            "number",
            PropertyConfig::Number {
                format: "euro".to_owned(),
            },
        )
    };
    let number = |format: &str| {
        property(
            "Cost",
            PropertyKind::Number {
                format: format.to_owned(),
            },
        )
    };
    let silent = diff(
        &database(vec![number("number")]),
        Some(&schema(vec![found()])),
        &both_views(),
    );
    assert_eq!(silent.changes, []);
    let named = diff(
        &database(vec![number("dollar")]),
        Some(&schema(vec![found()])),
        &both_views(),
    );
    assert_eq!(texts(&named), ["show property `Cost` as dollar instead of euro"]);
}

fn described(mut property: DesiredProperty) -> DesiredProperty {
    property.description = Some("new".to_owned());
    property
}

/// A description of every type is sent with what the property is set to, or told.
#[test]
fn a_new_description_is_sent_with_the_settings_or_told() {
    let rollup = PropertyKind::Rollup {
        relation: "Project".to_owned(),
        property: "Cost".to_owned(),
        function: "sum".to_owned(),
    };
    let present_rollup = PropertyConfig::Rollup {
        relation: PropertyId::from("Project"),
        property: PropertyId::from("c"),
        property_name: "Cost".to_owned(),
        function: "sum".to_owned(),
    };
    let number = PropertyConfig::Number {
        format: "euro".to_owned(),
    };
    let prefix = PropertyConfig::UniqueId {
        prefix: Some("ST".to_owned()),
    };
    let cases: Vec<(DesiredProperty, &str, PropertyConfig)> = vec![
        (plain("Due", PropertyType::Date), "date", PropertyConfig::Plain),
        (
            property(
                "Price",
                PropertyKind::Number {
                    format: "number".to_owned(),
                },
            ),
            "number",
            number,
        ),
        (
            property("No", PropertyKind::UniqueId { prefix: None }),
            "unique_id",
            prefix,
        ),
        (property("Total", rollup), "rollup", present_rollup),
    ];
    for (wanted, type_name, config) in cases {
        let name = wanted.name.clone();
        let found = schema(vec![
            present("Project", "Project", "relation", relation_config()),
            present(&name, &name, type_name, config.clone()),
        ]);
        let wanted = database(vec![relation("Project", "projects"), described(wanted)]);
        let plan = diff(&wanted, Some(&found), &both_views());
        let [SchemaChange::Describe { settings, .. }] = &plan.changes[..] else {
            panic!("{name}: {:?}", plan.changes)
        };
        assert_eq!(*settings, config, "{name}: what it has is repeated");
    }
    let formula = PropertyKind::Formula {
        expression: "1 + 1".to_owned(),
    };
    for (wanted, type_name, config) in [
        (relation("Project", "projects"), "relation", relation_config()),
        (
            property("Two", formula),
            "formula",
            PropertyConfig::Formula {
                expression: "1+1".to_owned(),
            },
        ),
    ] {
        let found = schema(vec![present("x", &wanted.name, type_name, config)]);
        let plan = diff(&database(vec![described(wanted)]), Some(&found), &both_views());
        assert_eq!(plan.changes, []);
        assert_eq!(plan.differences.len(), 1, "{:?}", plan.differences);
        assert!(plan.differences[0].contains("description"));
    }
}

fn relation_config() -> PropertyConfig {
    PropertyConfig::Relation {
        data_source_id: DataSourceId::from("d2"),
        dual: None,
    }
}

#[test]
fn another_expression_is_told_and_another_spelling_is_not() {
    let wanted = |expression: &str| {
        let kind = PropertyKind::Formula {
            expression: expression.to_owned(),
        };
        database(vec![property("Two", kind)])
    };
    let found = schema(vec![present(
        "x",
        "Two",
        "formula",
        PropertyConfig::Formula {
            expression: "1+1".to_owned(),
        },
    )]);
    let same = diff(&wanted("1 + 1"), Some(&found), &both_views());
    assert_eq!((same.changes, same.differences), (vec![], vec![]));
    let other = diff(&wanted("1 + 2"), Some(&found), &both_views());
    assert_eq!(other.changes, []);
    assert_eq!(other.differences.len(), 1);
}

#[test]
fn a_rollup_follows_what_the_mapping_says_and_properties_by_their_ids() {
    let wanted = |function: &str, read: Option<&str>| {
        let kind = PropertyKind::Rollup {
            relation: "Project".to_owned(),
            property: "Cost".to_owned(),
            function: function.to_owned(),
        };
        let rollup = DesiredProperty {
            read: read.map(PropertyId::from),
            ..property("Total", kind)
        };
        database(vec![relation("Project", "projects"), rollup])
    };
    let config = PropertyConfig::Rollup {
        relation: PropertyId::from("p"),
        property: PropertyId::from("c"),
        property_name: "Price".to_owned(),
        function: "sum".to_owned(),
    };
    let found = schema(vec![
        present("p", "Project", "relation", relation_config()),
        present("t", "Total", "rollup", config),
    ]);
    // A person renamed `Cost` to `Price`; its id is known from the run before.
    let known = diff(&wanted("sum", Some("c")), Some(&found), &both_views());
    assert_eq!(known.changes, []);
    for (function, read, sent) in [
        ("max", Some("c"), RollupRead::Id(PropertyId::from("c"))),
        ("sum", Some("d"), RollupRead::Id(PropertyId::from("d"))),
        ("sum", None, RollupRead::Name("Cost".to_owned())),
    ] {
        let plan = diff(&wanted(function, read), Some(&found), &both_views());
        let [SchemaChange::SetRollup { relation, read, .. }] = &plan.changes[..] else {
            panic!("{:?}", plan.changes)
        };
        assert_eq!((relation.as_str(), read), ("p", &sent));
        assert_eq!(plan.changes[0].stage(), Stage::Computed);
    }
}

#[test]
fn a_prefix_that_the_mapping_names_is_set() {
    let wanted = |prefix: Option<&str>| {
        let prefix = prefix.map(str::to_owned);
        database(vec![property("No", PropertyKind::UniqueId { prefix })])
    };
    let config = PropertyConfig::UniqueId {
        prefix: Some("ST".to_owned()),
    };
    let found = schema(vec![present("n", "No", "unique_id", config)]);
    for unchanged in [None, Some("ST"), Some("st")] {
        let plan = diff(&wanted(unchanged), Some(&found), &both_views());
        assert_eq!(plan.changes, [], "{unchanged:?}");
    }
    let plan = diff(&wanted(Some("TM")), Some(&found), &both_views());
    assert_eq!(texts(&plan), ["put `TM` before the numbers of property `No`"]);
}

#[test]
fn an_unfinished_database_gets_its_first_view_arranged_once() {
    let wanted = database(vec![plain("Due", PropertyType::Date)]);
    let found = schema(vec![present("d", "Due", "date", PropertyConfig::Plain)]);
    let first = |name: &str, columns: &[&str]| ViewSchema {
        id: "v".to_owned(),
        name: name.to_owned(),
        kind: "table".to_owned(),
        columns: columns.iter().map(|id| PropertyId::from(*id)).collect(),
    };
    let untouched = diff_unfinished(&wanted, &found, &[first("Default view", &[])]);
    assert_eq!(
        texts(&untouched),
        ["arrange the first view as `All`", "add view `By status` (board)"]
    );
    // A read of the views, and one request for each.
    assert_eq!(untouched.requests(), 3);
    let arranged = diff_unfinished(&wanted, &found, &[first("All", &["title", "d"])]);
    assert_eq!(texts(&arranged), ["add view `By status` (board)"]);
    let done = diff_unfinished(&wanted, &found, &both_views());
    assert_eq!(done.changes, []);
    let mut silent = wanted.clone();
    silent.views.clear();
    let columns = diff_unfinished(&silent, &found, &[first("Default view", &["d", "title"])]);
    assert_eq!(texts(&columns), ["arrange the columns of the first view"]);
    let done = diff_unfinished(&silent, &found, &[first("Default view", &["title", "d"])]);
    assert_eq!(done.changes, []);
}
