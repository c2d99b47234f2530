//! The workspace by its behaviour.

use std::time::Duration;

use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::{Capabilities, Moment, Payload, Request, Workspace, percent_decoded};

const TOKEN: &str = "ntn_test";

fn workspace() -> Workspace {
    let mut workspace = Workspace::new(1, Moment::parse("2026-09-04T14:30:59.999Z").unwrap());
    workspace.connect(TOKEN, "tests", Capabilities::default());
    workspace
}

fn call(workspace: &mut Workspace, method: &str, path: &str, body: &Json) -> (u16, Json) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let answer = workspace.answer(&Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: crate::simulator::http::query_of(query),
        version: Some("2026-03-11".to_owned()),
        token: Some(TOKEN.to_owned()),
        payload: Payload::Json(body.to_string().into_bytes()),
    });
    (answer.status, answer.body().clone())
}

fn query(workspace: &mut Workspace, source: Uuid, body: &Json) -> Vec<String> {
    let (status, body) = call(
        workspace,
        "POST",
        &format!("/v1/data_sources/{source}/query"),
        body,
    );
    assert_eq!(status, 200, "{body}");
    body["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|page| page["id"].as_str().unwrap().to_owned())
        .collect()
}

fn text(content: &str) -> Json {
    json!([{"text": {"content": content}}])
}

fn schema() -> Json {
    json!({
        "Name": {"title": {}}, "N": {"number": {}}, "D": {"date": {}}, "S": {"select": {}}, "St": {"status": {}},
        "T": {"rich_text": {}}, "M": {"multi_select": {}}, "P": {"people": {}},
        "F": {"formula": {"expression": "if(empty(prop(\"T\")), 0, length(prop(\"T\")) + prop(\"N\") * 2)"}},
    })
}

#[test]
fn long_text_is_read_back_in_pieces_that_cut_no_character() {
    let mut workspace = workspace();
    let source = workspace.add_database("S", &schema()).unwrap();
    let long = "🚀".repeat(1000);
    let value = json!({"T": {"rich_text": [{"text": {"content": format!("x{}", &long[4..])}}, {"text": {"content": long}}]}});
    let page = workspace.add_row(source, &value).unwrap();
    let read = workspace.value(page, "T").unwrap();
    let pieces: Vec<&str> = read
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["plain_text"].as_str().unwrap())
        .collect();
    assert_eq!(pieces.concat(), format!("x{}{long}", &long[4..]));
    assert_eq!(
        pieces
            .iter()
            .map(|piece| piece.encode_utf16().count())
            .collect::<Vec<_>>(),
        [1999, 2000]
    );
}

#[test]
fn a_formula_computes_what_it_says_and_an_unknown_property_is_a_type_error() {
    let mut workspace = workspace();
    let source = workspace.add_database("S", &schema()).unwrap();
    let page = workspace
        .add_row(
            source,
            &json!({"T": {"rich_text": text("abc")}, "N": {"number": 2.5}}),
        )
        .unwrap();
    assert_eq!(workspace.value(page, "F").unwrap()["number"], 8);
    let wrong = workspace.set_property(source, "G", &json!({"formula": {"expression": "prop(\"Nope\")"}}));
    assert!(wrong.unwrap_err().message.starts_with("Type error with formula"));
}

#[test]
fn null_gives_a_status_its_default_and_an_unknown_one_is_refused() {
    let mut workspace = workspace();
    let source = workspace.add_database("S", &schema()).unwrap();
    let page = workspace
        .add_row(source, &json!({"St": {"status": {"name": "Done"}}}))
        .unwrap();
    workspace.edit(page, "St", json!({"status": null})).unwrap();
    assert_eq!(workspace.value(page, "St").unwrap()["name"], "Not started");
    assert!(
        workspace
            .edit(page, "St", json!({"status": {"name": "New"}}))
            .is_err()
    );
}

#[test]
fn a_page_write_is_all_or_nothing() {
    let mut workspace = workspace();
    let source = workspace.add_database("S", &schema()).unwrap();
    let page = workspace.add_row(source, &json!({})).unwrap();
    let before = workspace.data_source_object(source);
    let wrong = json!({"S": {"select": {"name": "made up"}}, "N": {"number": "no"}});
    assert!(workspace.edit_many(page, &wrong).is_err());
    assert_eq!(workspace.value(page, "S"), Some(Json::Null));
    assert_eq!(workspace.data_source_object(source), before, "no option was made");
}

#[test]
fn both_sides_of_a_two_way_relation_agree() {
    let mut workspace = workspace();
    let courses = workspace
        .add_database("Courses", &json!({"Name": {"title": {}}}))
        .unwrap();
    let relation = json!({"relation": {"data_source_id": courses, "dual_property": {"synced_property_name": "Students"}}});
    let students = workspace
        .add_database("Students", &json!({"Name": {"title": {}}, "Courses": relation}))
        .unwrap();
    let course = workspace.add_row(courses, &json!({})).unwrap();
    let student = workspace
        .add_row(students, &json!({"Courses": {"relation": [{"id": course}]}}))
        .unwrap();
    assert_eq!(
        workspace.value(course, "Students").unwrap(),
        json!([{ "id": student }])
    );
    workspace
        .edit(course, "Students", json!({"relation": []}))
        .unwrap();
    assert_eq!(workspace.value(student, "Courses").unwrap(), json!([]));
}

#[test]
fn filters_follow_the_documented_grammar() {
    let mut workspace = workspace();
    let source = workspace.add_database("S", &schema()).unwrap();
    let mut row = |n: i64, name: &str, date: &str| {
        let values = json!({
            "Name": {"title": text(name)}, "N": {"number": n}, "D": {"date": {"start": date}},
            "S": {"select": {"name": if n < 2 { "low" } else { "high" }}}, "M": {"multi_select": [{"name": name}]},
        });
        workspace.add_row(source, &values).unwrap().to_string()
    };
    let rows = [
        row(1, "alpha", "2026-09-03"),
        row(2, "beta", "2026-09-04T10:00:00Z"),
        row(3, "gamma", "2026-09-05"),
    ];
    let empty = workspace.add_row(source, &json!({})).unwrap().to_string();
    let [a, b, c] = rows.each_ref().map(String::as_str);
    let e = empty.as_str();
    let cases: [(Json, &[&str]); 18] = [
        (
            json!({"property": "N", "number": {"greater_than_or_equal_to": 2}}),
            &[b, c],
        ),
        (
            json!({"property": "N", "number": {"does_not_equal": 1}}),
            &[b, c, e],
        ),
        (json!({"property": "N", "number": {"is_empty": true}}), &[e]),
        (json!({"property": "Name", "title": {"equals": "beta"}}), &[b]),
        (json!({"property": "title", "title": {"ends_with": "mma"}}), &[c]),
        (json!({"property": "Name", "title": {"equals": ""}}), &[e]),
        (json!({"property": "S", "select": {"equals": "low"}}), &[a]),
        (
            json!({"property": "S", "select": {"equals": ["low", "high"]}}),
            &[a, b, c],
        ),
        (
            json!({"property": "St", "status": {"equals": "To-do"}}),
            &[a, b, c, e],
        ),
        (
            json!({"property": "M", "multi_select": {"does_not_contain": "alpha"}}),
            &[b, c, e],
        ),
        (
            json!({"property": "D", "date": {"on_or_after": "2026-09-04"}}),
            &[b, c],
        ),
        (json!({"property": "D", "date": {"after": "2026-09-04"}}), &[c]),
        (json!({"property": "D", "date": {"equals": "today"}}), &[b]),
        (
            json!({"property": "D", "date": {"before": "2026-09-04T10:00:00+00:00"}}),
            &[a],
        ),
        (
            json!({"property": "F", "formula": {"number": {"equals": 0}}}),
            &[a, b, c, e],
        ),
        (
            json!({"timestamp": "created_time", "created_time": {"on_or_after": "2026-09-04T14:30:00Z"}}),
            &[a, b, c, e],
        ),
        (
            json!({"timestamp": "last_edited_time", "last_edited_time": {"before": "2026-09-04T14:30:00Z"}}),
            &[],
        ),
        (
            json!({"or": [{"property": "N", "number": {"equals": 3}}, {"and": [{"property": "N", "number": {"equals": 1}}]}]}),
            &[a, c],
        ),
    ];
    for (filter, expected) in cases {
        assert_eq!(
            query(&mut workspace, source, &json!({"filter": filter})),
            expected,
            "{filter}"
        );
    }
    let refused = [
        json!({"and": [{"or": [{"and": [{"property": "N", "number": {"equals": 1}}]}]}]}),
        json!({"property": "N", "number": {"is_empty": false}}),
        json!({"property": "N", "timestamp": "created_time", "created_time": {"is_empty": true}}),
        json!({"property": "S", "select": {"equals": "unknown"}}),
    ];
    for filter in refused {
        let (status, _) = call(
            &mut workspace,
            "POST",
            &format!("/v1/data_sources/{source}/query"),
            &json!({"filter": filter}),
        );
        assert_eq!(status, 400, "{filter}");
    }
}

#[test]
fn sorting_puts_empty_values_last_in_both_directions() {
    let mut workspace = workspace();
    let source = workspace.add_database("S", &schema()).unwrap();
    let empty = workspace.add_row(source, &json!({})).unwrap().to_string();
    let two = workspace
        .add_row(source, &json!({"N": {"number": 2}}))
        .unwrap()
        .to_string();
    let one = workspace
        .add_row(source, &json!({"N": {"number": 1}}))
        .unwrap()
        .to_string();
    let sorted = |direction: &str| json!({"sorts": [{"property": "N", "direction": direction}]});
    assert_eq!(
        query(&mut workspace, source, &sorted("ascending")),
        [one.clone(), two.clone(), empty.clone()]
    );
    assert_eq!(
        query(&mut workspace, source, &sorted("descending")),
        [two, one, empty]
    );
}

#[test]
fn equality_lookups_follow_edits_trash_and_moves() {
    let mut workspace = workspace();
    let source = workspace.add_database("S", &schema()).unwrap();
    let other = workspace.add_database("O", &schema()).unwrap();
    let page = workspace
        .add_row(source, &json!({"T": {"rich_text": text("k1")}}))
        .unwrap();
    let by = |key: &str| json!({"filter": {"property": "T", "rich_text": {"equals": key}}});
    assert_eq!(query(&mut workspace, source, &by("k1")), [page.to_string()]);
    workspace
        .edit(page, "T", json!({"rich_text": text("k2")}))
        .unwrap();
    assert!(query(&mut workspace, source, &by("k1")).is_empty());
    assert_eq!(query(&mut workspace, source, &by("k2")), [page.to_string()]);
    workspace.trash(page);
    assert!(query(&mut workspace, source, &by("k2")).is_empty());
    workspace.restore(page);
    workspace.move_row(page, other);
    assert!(query(&mut workspace, source, &by("k2")).is_empty());
    assert_eq!(query(&mut workspace, other, &by("k2")), [page.to_string()]);
}

#[test]
fn retyping_reads_old_values_anew_and_deleting_loses_them() {
    let mut workspace = workspace();
    let source = workspace.add_database("S", &schema()).unwrap();
    let page = workspace
        .add_row(
            source,
            &json!({"T": {"rich_text": text("42")}, "S": {"select": {"name": "x"}}}),
        )
        .unwrap();
    workspace
        .set_property(source, "T", &json!({"number": {}}))
        .unwrap();
    assert_eq!(workspace.value(page, "T").unwrap(), 42);
    workspace
        .set_property(source, "S", &json!({"rich_text": {}}))
        .unwrap();
    assert_eq!(workspace.value(page, "S").unwrap()[0]["plain_text"], "x");
    workspace.delete_property(source, "S").unwrap();
    assert_eq!(workspace.value(page, "S"), None);
    assert!(workspace.delete_property(source, "Name").is_err());
    assert!(
        workspace
            .set_property(source, "Name", &json!({"rich_text": {}}))
            .is_err()
    );
}

#[test]
fn trashing_the_database_takes_its_rows_out_of_reach() {
    let mut workspace = workspace();
    let source = workspace.add_database("S", &schema()).unwrap();
    let page = workspace.add_row(source, &json!({})).unwrap();
    let database = workspace.database_of(source).unwrap();
    workspace.trash_database(database, true);
    assert!(query(&mut workspace, source, &json!({})).is_empty());
    assert_eq!(
        call(&mut workspace, "GET", &format!("/v1/pages/{page}"), &json!({})).1["in_trash"],
        true
    );
    workspace.trash_database(database, false);
    assert_eq!(query(&mut workspace, source, &json!({})), [page.to_string()]);
}

#[test]
fn a_purged_page_is_as_if_it_had_never_been() {
    let mut workspace = workspace();
    let source = workspace.add_database("S", &schema()).unwrap();
    let page = workspace.add_row(source, &json!({})).unwrap();
    workspace.purge(page);
    assert_eq!(
        call(&mut workspace, "GET", &format!("/v1/pages/{page}"), &json!({})).0,
        404
    );
    assert!(query(&mut workspace, source, &json!({})).is_empty());
}

#[test]
fn archived_rows_are_hidden_and_not_trashed() {
    let mut workspace = workspace();
    let source = workspace.add_database("S", &schema()).unwrap();
    let page = workspace.add_row(source, &json!({})).unwrap();
    workspace.archive(page, true);
    assert!(query(&mut workspace, source, &json!({})).is_empty());
    assert_eq!(
        query(&mut workspace, source, &json!({"is_archived": true})),
        [page.to_string()]
    );
}

#[test]
fn pages_of_a_query_cover_all_rows_once_in_every_time_order() {
    let mut workspace = workspace();
    let source = workspace.add_database("S", &schema()).unwrap();
    let mut made = Vec::new();
    for number in 0..25 {
        workspace.set_now(workspace.now().after(Duration::from_secs(30)));
        made.push(
            workspace
                .add_row(source, &json!({"N": {"number": number}}))
                .unwrap()
                .to_string(),
        );
    }
    let orders = [
        json!([]),
        json!([{"timestamp": "created_time", "direction": "descending"}]),
        json!([{"timestamp": "last_edited_time", "direction": "ascending"}]),
        json!([{"property": "N", "direction": "descending"}]),
    ];
    for sorts in orders {
        let mut seen = Vec::new();
        let mut cursor = Json::Null;
        loop {
            let body = json!({"sorts": sorts, "page_size": 7, "start_cursor": cursor});
            let (_, answer) = call(
                &mut workspace,
                "POST",
                &format!("/v1/data_sources/{source}/query"),
                &body,
            );
            seen.extend(
                answer["results"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|page| page["id"].as_str().unwrap().to_owned()),
            );
            cursor = answer["next_cursor"].clone();
            if cursor.is_null() {
                break;
            }
        }
        if sorts.to_string().contains("descending") {
            seen.reverse();
        }
        assert_eq!(seen, made, "{sorts}");
    }
}

#[test]
fn property_ids_are_encoded_once_and_found_decoded_in_query_strings() {
    let mut workspace = workspace();
    let source = workspace.add_database("S", &schema()).unwrap();
    let page = workspace.add_row(source, &json!({"N": {"number": 1}})).unwrap();
    let object = workspace.data_source_object(source).unwrap();
    let ids: Vec<&str> = object["properties"]
        .as_object()
        .unwrap()
        .values()
        .map(|property| property["id"].as_str().unwrap())
        .collect();
    assert!(ids.contains(&"title"));
    let encoded = ids
        .iter()
        .find(|id| id.contains('%'))
        .expect("this seed makes an id that needs encoding");
    assert_eq!(percent_decoded(encoded).unwrap().chars().count(), 4);
    let path = format!("/v1/pages/{page}");
    let (_, shown) = call(
        &mut workspace,
        "GET",
        &format!("{path}?filter_properties={encoded}"),
        &json!({}),
    );
    assert_eq!(shown["properties"].as_object().unwrap().len(), 1);
    assert_eq!(
        call(
            &mut workspace,
            "GET",
            &format!("{path}/properties/{encoded}"),
            &json!({})
        )
        .0,
        200
    );
    let twice = encoded.replace('%', "%25");
    assert_eq!(
        call(
            &mut workspace,
            "GET",
            &format!("{path}/properties/{twice}"),
            &json!({})
        )
        .0,
        404
    );
}

#[test]
fn a_missing_capability_is_a_restricted_resource() {
    let mut workspace = workspace();
    let source = workspace.add_database("S", &schema()).unwrap();
    workspace.set_capabilities(
        TOKEN,
        Capabilities {
            insert_content: false,
            ..Capabilities::default()
        },
    );
    let (status, body) = call(
        &mut workspace,
        "POST",
        "/v1/pages",
        &json!({"parent": {"data_source_id": source}}),
    );
    assert_eq!((status, &body["code"]), (403, &json!("restricted_resource")));
    workspace.revoke(TOKEN);
    assert_eq!(call(&mut workspace, "GET", "/v1/users/me", &json!({})).0, 401);
}

#[test]
fn arrays_over_100_and_bodies_over_500_kb_are_refused() {
    let mut workspace = workspace();
    let source = workspace.add_database("S", &schema()).unwrap();
    let many: Vec<Json> = (0..101)
        .map(|number| json!({"name": number.to_string()}))
        .collect();
    let body = json!({"parent": {"data_source_id": source}, "properties": {"M": {"multi_select": many}}});
    let (_, refused) = call(&mut workspace, "POST", "/v1/pages", &body);
    assert_eq!(
        refused["message"],
        "body failed validation: body.properties.M.multi_select.length should be ≤ `100`, instead was `101`."
    );
    let body = json!({"parent": {"data_source_id": source}, "markdown": "x".repeat(500_001)});
    assert_eq!(call(&mut workspace, "POST", "/v1/pages", &body).0, 400);
}

/// An order that is kept between batches is the one that sorting anew gives, whatever was written meanwhile.
#[test]
fn a_kept_order_is_brought_up_to_date_by_what_changed() {
    let mut workspace = workspace();
    let source = workspace.add_database("Rows", &schema()).unwrap();
    let mut chance = super::Seed::new(7);
    let mut rows: Vec<Uuid> = Vec::new();
    let value =
        |chance: &mut super::Seed| json!({"N": {"number": chance.below(5)}, "T": {"rich_text": text("t")}});
    for _ in 0..30 {
        let values = value(&mut chance);
        rows.push(workspace.add_row(source, &values).unwrap());
    }
    let path = format!("/v1/data_sources/{source}/query");
    for sorts in [
        json!([{"property": "N", "direction": "ascending"}]),
        json!([{"property": "N", "direction": "descending"}, {"timestamp": "created_time", "direction": "descending"}]),
        // A formula may depend on more than its row.
        json!([{"property": "F", "direction": "ascending"}]),
    ] {
        for _ in 0..20 {
            let (_, first) = call(
                &mut workspace,
                "POST",
                &path,
                &json!({"sorts": sorts, "page_size": 10}),
            );
            for _ in 0..chance.below(4) {
                let row = rows[chance.below(rows.len() as u64) as usize];
                let page = format!("/v1/pages/{row}");
                match chance.below(5) {
                    0 => rows.push(workspace.add_row(source, &value(&mut chance)).unwrap()),
                    1 => {
                        call(&mut workspace, "PATCH", &page, &json!({"in_trash": true}));
                    }
                    2 => {
                        call(&mut workspace, "PATCH", &page, &json!({"in_trash": false}));
                    }
                    _ => {
                        let changes = json!({"properties": value(&mut chance)});
                        call(&mut workspace, "PATCH", &page, &changes);
                    }
                }
            }
            let next = json!({"sorts": sorts, "page_size": 10, "start_cursor": first["next_cursor"]});
            let second = query(&mut workspace, source, &next);
            let anew = query(&mut workspace, source, &json!({"sorts": sorts}));
            let expected: Vec<String> = anew.into_iter().skip(10).take(10).collect();
            assert_eq!(second, expected, "{sorts}");
        }
    }
}
