//! The API's endpoints, one life each.

use serde_json::{Value as Json, json};

use super::{Fixture, id, text};

/// One property of each type that the API makes.
fn every_type() -> Json {
    json!({
        "Name": {"title": {}}, "Note": {"rich_text": {}}, "Credits": {"number": {"format": "percent"}},
        "State": {"select": {"options": [{"name": "active", "color": "green", "description": "enrolled"}]}},
        "Tags": {"multi_select": {"options": []}}, "Phase": {"status": {}}, "Due": {"date": {}},
        "Owner": {"people": {}}, "Docs": {"files": {}}, "Done": {"checkbox": {}}, "Web": {"url": {}},
        "Mail": {"email": {}}, "Tel": {"phone_number": {}}, "Twice": {"formula": {"expression": "prop(\"Credits\") * 2"}},
        "No": {"unique_id": {"prefix": "STU"}}, "Made": {"created_time": {}}, "Maker": {"created_by": {}},
        "Edited": {"last_edited_time": {}}, "Editor": {"last_edited_by": {}}, "Where": {"place": {}},
    })
}

#[tokio::test]
async fn every_property_type_is_made_written_and_read() {
    let f = Fixture::new();
    let me = f.get("/v1/users/me").await;
    let students = f.database("Students", every_type()).await;
    let courses = f
        .database(
            "Courses",
            json!({"Title": {"title": {}}, "Points": {"number": {}}}),
        )
        .await;
    let source = f
        .patch(&format!("/v1/data_sources/{students}"), json!({"properties": {
            "Course": {"relation": {"data_source_id": courses, "type": "dual_property", "dual_property": {"synced_property_name": "Students"}}},
            "Sum": {"rollup": {"relation_property_name": "Course", "rollup_property_name": "Points", "function": "sum"}},
            "Shown": {"rollup": {"relation_property_name": "Course", "rollup_property_name": "Points", "function": "show_original"}},
        }}))
        .await;
    assert_eq!(source["properties"].as_object().unwrap().len(), 23);
    let course = id(&f
        .row(
            &courses,
            json!({"Title": {"title": text("Analysis")}, "Points": {"number": 7}}),
        )
        .await);
    let empty = f.row(&students, json!({})).await;
    assert_eq!(empty["properties"]["Name"]["title"], json!([]));
    assert_eq!(empty["properties"]["Done"]["checkbox"], json!(false));
    assert_eq!(empty["properties"]["Phase"]["status"]["name"], "Not started");
    let ada = f
        .row(&students, json!({
            "Name": {"title": text("Ada")},
            "Note": {"rich_text": [{"text": {"content": "bold"}, "annotations": {"bold": true}}, {"text": {"content": " plain"}}]},
            "Credits": {"number": 42.5}, "State": {"select": {"name": "ACTIVE"}},
            "Tags": {"multi_select": [{"name": "x"}, {"name": "y"}]}, "Phase": {"status": {"name": "Done"}},
            "Due": {"date": {"start": "2026-09-04T14:30:59", "time_zone": "America/Los_Angeles"}},
            "Owner": {"people": [{"object": "user", "id": me["id"]}]},
            "Docs": {"files": [{"name": "cv", "type": "external", "external": {"url": "https://example.edu/cv"}}]},
            "Done": {"checkbox": true}, "Web": {"url": "https://example.edu"}, "Mail": {"email": "ada@example.edu"},
            "Tel": {"phone_number": "+1 555"}, "Course": {"relation": [{"id": course}]},
            "Where": {"place": {"lat": 53.5, "lon": 10.0, "name": "Hamburg"}},
        }))
        .await;
    let value = |name: &str, kind: &str| ada["properties"][name][kind].clone();
    assert_eq!(
        value("State", "select")["name"],
        "active",
        "names of options differ by more than case"
    );
    assert_eq!(
        value("Due", "date"),
        json!({"start": "2026-09-04T14:30:00.000-07:00", "end": null, "time_zone": null})
    );
    assert_eq!(value("Twice", "formula")["number"], 85);
    assert_eq!(value("Sum", "rollup")["number"], 7);
    assert_eq!(value("No", "unique_id"), json!({"prefix": "STU", "number": 2}));
    assert_eq!(value("Note", "rich_text")[0]["annotations"]["bold"], json!(true));
    assert_eq!(
        ada["created_time"], "2026-09-04T14:30:00.000Z",
        "times are floored to the minute"
    );
    let other_side = f.get(&format!("/v1/pages/{course}")).await;
    assert_eq!(
        other_side["properties"]["Students"]["relation"],
        json!([{"id": ada["id"]}])
    );
    for property in ada["properties"].as_object().unwrap().values() {
        let property_id = property["id"].as_str().unwrap();
        f.get(&format!("/v1/pages/{}/properties/{property_id}", id(&ada)))
            .await;
    }
    f.query(&students, json!({})).await;
    f.conforms();
}

#[tokio::test]
async fn a_page_is_updated_trashed_restored_and_moved() {
    let f = Fixture::new();
    let first = f
        .database(
            "First",
            json!({"Name": {"title": {}}, "N": {"number": {}}, "Only here": {"url": {}}}),
        )
        .await;
    let second = f
        .database("Second", json!({"Name": {"title": {}}, "N": {"number": {}}}))
        .await;
    let page = id(&f
        .row(
            &first,
            json!({"Name": {"title": text("A")}, "N": {"number": 1}, "Only here": {"url": "https://a.b/"}}),
        )
        .await);
    let path = format!("/v1/pages/{page}");
    f.simulator.advance(std::time::Duration::from_secs(90));
    let edited = f.patch(&path, json!({"properties": {"N": {"number": 2}}})).await;
    assert_eq!(edited["last_edited_time"], "2026-09-04T14:31:00.000Z");
    assert_eq!(
        f.patch(&path, json!({"in_trash": true})).await["in_trash"],
        json!(true)
    );
    assert_eq!(f.query(&first, json!({})).await["results"], json!([]));
    assert_eq!(f.get(&path).await["in_trash"], json!(true));
    let (status, _, message) = f
        .refused("PATCH", &path, json!({"properties": {"N": {"number": 3}}}))
        .await;
    assert_eq!(
        (status, message.as_str()),
        (
            400,
            "Can't edit block that is archived. You must unarchive the block before editing."
        )
    );
    let back = f
        .patch(
            &path,
            json!({"in_trash": false, "properties": {"N": {"number": 4}}}),
        )
        .await;
    assert_eq!(
        (&back["in_trash"], &back["properties"]["N"]["number"]),
        (&json!(false), &json!(4))
    );
    let moved = f
        .post(
            &format!("{path}/move"),
            json!({"parent": {"type": "data_source_id", "data_source_id": second}}),
        )
        .await;
    assert_eq!(moved["parent"]["data_source_id"], json!(second));
    assert_eq!(moved["properties"]["N"]["number"], 4);
    assert_eq!(f.query(&second, json!({})).await["results"][0]["id"], json!(page));
    assert_eq!(f.query(&first, json!({})).await["results"], json!([]));
    f.conforms();
}

#[tokio::test]
async fn what_notion_refuses_is_refused_in_its_words() {
    let f = Fixture::new();
    let source = f.database("S", json!({"Name": {"title": {}}, "N": {"number": {}}, "St": {"status": {}}, "Sel": {"select": {"options": []}}})).await;
    let page = format!("/v1/pages/{}", id(&f.row(&source, json!({})).await));
    let query = format!("/v1/data_sources/{source}/query");
    let long = "x".repeat(2001);
    let cases = [
        (
            "PATCH",
            page.as_str(),
            json!({"properties": {"Name": {"title": text(&long)}}}),
            "body failed validation: body.properties.Name.title[0].text.content.length should be ≤ `2000`, instead was `2001`.",
        ),
        (
            "PATCH",
            &page,
            json!({"properties": {"Grade": {"number": 1}}}),
            "Grade is not a property that exists.",
        ),
        (
            "PATCH",
            &page,
            json!({"properties": {"St": {"select": {"name": "x"}}}}),
            "St is expected to be status.",
        ),
        (
            "PATCH",
            &page,
            json!({"properties": {"Sel": {"select": {"name": "a,b"}}}}),
            "Invalid select option, commas not allowed: a,b",
        ),
        (
            "PATCH",
            &page,
            json!({"properties": {"N": {"number": "1"}}}),
            "body failed validation: body.properties.N.number should be a number, instead was `\"1\"`.",
        ),
        (
            "PATCH",
            &page,
            json!({"surprise": true}),
            "body failed validation: body.surprise should be not present, instead was `true`.",
        ),
        (
            "POST",
            "/v1/pages",
            json!({}),
            "body failed validation: body.parent should be defined, instead was `undefined`.",
        ),
        (
            "GET",
            "/v1/pages/x",
            json!({}),
            "path failed validation: path.page_id should be a valid uuid, instead was `\"x\"`.",
        ),
        (
            "GET",
            "/v1/users?page_size=200",
            json!({}),
            "query failed validation: query.page_size should be ≤ `100`, instead was `200`.",
        ),
        (
            "POST",
            &query,
            json!({"start_cursor": "bogus"}),
            "The start_cursor provided is invalid: bogus",
        ),
        (
            "POST",
            &query,
            json!({"filter": {"property": "Grade", "number": {"equals": 1}}}),
            "Could not find property with name or id: Grade",
        ),
        (
            "POST",
            &query,
            json!({"sorts": [{"property": "Grade", "direction": "ascending"}]}),
            "Could not find sort property with name or id: Grade",
        ),
        (
            "POST",
            &query,
            json!({"filter": {"property": "N", "rich_text": {"equals": "1"}}}),
            "The property type in the database does not match the property type of the filter provided: database property number does not match filter rich_text",
        ),
    ];
    for (method, path, body, expected) in cases {
        let (status, code, message) = f.refused(method, path, body).await;
        assert_eq!(
            (status, code.as_str(), message.as_str()),
            (400, "validation_error", expected)
        );
    }
    let (_, _, list) = f
        .refused("PATCH", &page, json!({"properties": {"N": {"nonsense": 1}}}))
        .await;
    assert!(
        list.starts_with("body failed validation. Fix one:\nbody.properties.N.title should be defined"),
        "{list}"
    );
    let missing = "00000000-0000-4000-8000-000000000000";
    let (status, code, message) = f.refused("GET", &format!("/v1/pages/{missing}"), json!({})).await;
    assert_eq!((status, code.as_str()), (404, "object_not_found"));
    assert_eq!(
        message,
        format!(
            "Could not find page with ID: {missing}. Make sure the relevant pages and databases are shared with your integration \"frames-sync\"."
        )
    );
    assert_eq!(
        f.refused("GET", "/v1/nowhere", json!({})).await.1,
        "invalid_request_url"
    );
    f.conforms();
}

#[tokio::test]
async fn versions_and_tokens_are_checked() {
    let f = Fixture::new();
    let token = f.simulator.tokens[0].clone();
    let wrong = f
        .call_with("GET", "/v1/users/me", None, "ntn_wrong", "2026-03-11")
        .await
        .unwrap();
    assert_eq!(
        (wrong.status, &wrong.body["message"]),
        (401, &json!("API token is invalid."))
    );
    let source = f.database("S", json!({"Name": {"title": {}}})).await;
    let path = format!("/v1/data_sources/{source}");
    let old = f
        .call_with("GET", &path, None, &token, "2022-06-28")
        .await
        .unwrap();
    assert_eq!(
        (old.status, &old.body["code"]),
        (400, &json!("invalid_request_url"))
    );
    let absent = f
        .http
        .get(format!("{}/v1/users/me", f.simulator.base_url))
        .bearer_auth(&token)
        .send()
        .await
        .unwrap();
    assert!(absent.text().await.unwrap().contains("missing_version"));
    let earlier = f
        .call_with("GET", &path, None, &token, "2025-09-03")
        .await
        .unwrap();
    assert_eq!(earlier.body["archived"], json!(false));
    assert_eq!(f.get(&path).await["archived"], Json::Null);
    let invalid = f
        .http
        .post(format!("{}/v1/pages", f.simulator.base_url))
        .bearer_auth(&token)
        .header("notion-version", "2026-03-11")
        .body("{")
        .send()
        .await
        .unwrap();
    assert!(invalid.text().await.unwrap().contains("Error parsing JSON body."));
    f.conforms();
}

#[tokio::test]
async fn a_query_stops_at_its_cap_and_says_so() {
    let f = Fixture::new();
    f.simulator
        .workspace(|workspace| workspace.limits_mut().query_results = 5);
    let source = f.database("S", json!({"Name": {"title": {}}})).await;
    for number in 0..7 {
        f.row(&source, json!({"Name": {"title": text(&number.to_string())}}))
            .await;
    }
    let first = f.query(&source, json!({"page_size": 3})).await;
    assert_eq!(
        (first["results"].as_array().unwrap().len(), &first["has_more"]),
        (3, &json!(true))
    );
    let second = f
        .query(
            &source,
            json!({"page_size": 3, "start_cursor": first["next_cursor"]}),
        )
        .await;
    assert_eq!(
        (second["results"].as_array().unwrap().len(), &second["has_more"]),
        (2, &json!(false))
    );
    assert_eq!(
        second["request_status"],
        json!({"type": "incomplete", "incomplete_reason": "query_result_limit_reached"})
    );
    f.conforms();
}

#[tokio::test]
async fn long_relations_are_cut_at_25_and_read_whole_by_the_property_endpoint() {
    let f = Fixture::new();
    let targets = f.database("T", json!({"Name": {"title": {}}})).await;
    let source = f.database("S", json!({"Name": {"title": {}}, "To": {"relation": {"data_source_id": targets, "type": "single_property", "single_property": {}}}})).await;
    let mut related = Vec::new();
    for _ in 0..30 {
        related.push(json!({"id": id(&f.row(&targets, json!({})).await)}));
    }
    let page = f.row(&source, json!({"To": {"relation": related}})).await;
    assert_eq!(page["properties"]["To"]["relation"].as_array().unwrap().len(), 25);
    assert_eq!(page["properties"]["To"]["has_more"], json!(true));
    let path = format!(
        "/v1/pages/{}/properties/{}",
        id(&page),
        page["properties"]["To"]["id"].as_str().unwrap()
    );
    let first = f.get(&format!("{path}?page_size=20")).await;
    let second = f
        .get(&format!(
            "{path}?page_size=20&start_cursor={}",
            first["next_cursor"].as_str().unwrap()
        ))
        .await;
    let read: Vec<Json> = [first, second]
        .iter()
        .flat_map(|list| list["results"].as_array().unwrap().clone())
        .map(|item| item["relation"].clone())
        .collect();
    assert_eq!(read, related);
    f.conforms();
}

#[tokio::test]
async fn schema_changes_keep_drop_and_never_rename_options() {
    let f = Fixture::new();
    let source = f.database("S", json!({"Name": {"title": {}}, "State": {"select": {"options": [{"name": "a", "color": "red"}, {"name": "b"}]}}})).await;
    let path = format!("/v1/data_sources/{source}");
    let before = f.get(&path).await;
    let option =
        |object: &Json, index: usize| object["properties"]["State"]["select"]["options"][index].clone();
    let page = id(&f.row(&source, json!({"State": {"select": {"name": "b"}}})).await);
    let renamed = f.patch(&path, json!({"properties": {"State": {"select": {"options": [{"id": option(&before, 0)["id"], "name": "renamed", "color": "blue"}, {"id": option(&before, 1)["id"]}]}}}})).await;
    assert_eq!(
        option(&renamed, 0),
        option(&before, 0),
        "neither name nor colour changes by API"
    );
    f.patch(
        &path,
        json!({"properties": {"State": {"select": {"options": [{"id": option(&before, 0)["id"]}]}}}}),
    )
    .await;
    assert_eq!(
        f.get(&format!("/v1/pages/{page}")).await["properties"]["State"]["select"],
        Json::Null
    );
    let again = f.patch(&path, json!({"properties": {before["properties"]["State"]["id"].as_str().unwrap(): {"name": "Status"}}})).await;
    assert_eq!(
        again["properties"]["Status"]["id"],
        before["properties"]["State"]["id"]
    );
    f.patch(&path, json!({"properties": {"Status": null}})).await;
    assert!(f.get(&path).await["properties"].get("Status").is_none());
    f.conforms();
}

#[tokio::test]
async fn old_style_properties_are_ignored_and_logged() {
    let f = Fixture::new();
    let made = f.post("/v1/databases", json!({
        "parent": {"type": "page_id", "page_id": f.simulator.root_page_id}, "properties": {"Name": {"title": {}}, "N": {"number": {}}},
    })).await;
    let source = made["data_sources"][0]["id"].as_str().unwrap();
    let schema = f.get(&format!("/v1/data_sources/{source}")).await;
    assert_eq!(
        schema["properties"]
            .as_object()
            .unwrap()
            .keys()
            .collect::<Vec<_>>(),
        ["Name"]
    );
    let ignored = f.simulator.workspace(|workspace| workspace.ignored().to_vec());
    assert_eq!(ignored.len(), 1);
    assert_eq!(ignored[0].place, "body.properties");
}

#[tokio::test]
async fn blocks_comments_views_search_and_files_conform() {
    let f = Fixture::new();
    let source = f
        .database(
            "Students",
            json!({"Name": {"title": {}}, "State": {"select": {"options": []}}, "Docs": {"files": {}}}),
        )
        .await;
    let schema = f.get(&format!("/v1/data_sources/{source}")).await;
    let database = schema["parent"]["database_id"].as_str().unwrap().to_owned();
    let page = id(&f
        .row(
            &source,
            json!({"Name": {"title": text("Ada")}, "State": {"select": {"name": "x"}}}),
        )
        .await);
    let children = json!({"children": [
        {"type": "paragraph", "paragraph": {"rich_text": text("one")}}, {"heading_2": {"rich_text": text("two")}},
        {"to_do": {"rich_text": text("three"), "checked": true}}, {"divider": {}},
        {"code": {"rich_text": text("x = 1"), "language": "python"}},
    ]});
    let added = f.patch(&format!("/v1/blocks/{page}/children"), children).await;
    assert_eq!(added["results"].as_array().unwrap().len(), 5);
    let block = id(&added["results"][0]);
    f.patch(
        &format!("/v1/blocks/{block}"),
        json!({"paragraph": {"rich_text": text("uno")}}),
    )
    .await;
    f.expect(200, "DELETE", &format!("/v1/blocks/{block}"), None)
        .await;
    assert_eq!(
        f.get(&format!("/v1/blocks/{page}/children")).await["results"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
    f.get(&format!("/v1/blocks/{page}")).await;
    assert!(
        f.get(&format!("/v1/pages/{page}/markdown")).await["markdown"]
            .as_str()
            .unwrap()
            .contains("## two")
    );
    let comment = f
        .post(
            "/v1/comments",
            json!({"parent": {"page_id": page}, "rich_text": text("see log")}),
        )
        .await;
    f.patch(
        &format!("/v1/comments/{}", id(&comment)),
        json!({"rich_text": text("see the log")}),
    )
    .await;
    assert_eq!(
        f.get(&format!("/v1/comments?block_id={page}")).await["results"][0]["rich_text"][0]["plain_text"],
        "see the log"
    );
    f.expect(200, "DELETE", &format!("/v1/comments/{}", id(&comment)), None)
        .await;
    let view = f.post("/v1/views", json!({
        "data_source_id": source, "database_id": database, "name": "Table", "type": "table",
        "configuration": {"type": "table", "properties": [{"property_id": "title", "visible": true, "width": 280}]},
    })).await;
    let view = id(&view);
    f.patch(
        &format!("/v1/views/{view}"),
        json!({"name": "Columns", "sorts": [{"property": "Name", "direction": "ascending"}]}),
    )
    .await;
    let query = f
        .post(&format!("/v1/views/{view}/queries"), json!({"page_size": 10}))
        .await;
    assert_eq!(query["results"][0]["id"], json!(page));
    f.get(&format!("/v1/views/{view}/queries/{}", id(&query))).await;
    f.get(&format!("/v1/views?database_id={database}")).await;
    f.expect(200, "DELETE", &format!("/v1/views/{view}"), None).await;
    let found = f
        .post(
            "/v1/search",
            json!({"query": "stud", "filter": {"property": "object", "value": "data_source"}}),
        )
        .await;
    assert_eq!(found["results"][0]["id"], json!(source));
    let upload = f
        .post(
            "/v1/file_uploads",
            json!({"filename": "cv.txt", "content_type": "text/plain"}),
        )
        .await;
    let part = reqwest::multipart::Part::text("the file")
        .file_name("cv.txt")
        .mime_str("text/plain")
        .unwrap();
    let send = f.http.post(format!(
        "{}/v1/file_uploads/{}/send",
        f.simulator.base_url,
        id(&upload)
    ));
    let sent = send
        .bearer_auth(&f.simulator.tokens[0])
        .header("notion-version", "2026-03-11")
        .multipart(reqwest::multipart::Form::new().part("file", part));
    assert_eq!(sent.send().await.unwrap().status(), 200);
    let with_file = f.patch(&format!("/v1/pages/{page}"), json!({"properties": {"Docs": {"files": [{"type": "file_upload", "file_upload": {"id": id(&upload)}, "name": "cv.txt"}]}}})).await;
    let url = with_file["properties"]["Docs"]["files"][0]["file"]["url"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        f.http.get(&url).send().await.unwrap().text().await.unwrap(),
        "the file"
    );
    f.simulator.advance(std::time::Duration::from_secs(3601));
    assert_eq!(f.http.get(&url).send().await.unwrap().status(), 403);
    assert_eq!(
        f.get(&format!("/v1/file_uploads/{}", id(&upload))).await["status"],
        "uploaded",
        "attached files are permanent"
    );
    f.get("/v1/file_uploads").await;
    f.get("/v1/users").await;
    f.get("/v1/custom_emojis").await;
    f.get(&format!("/v1/data_sources/{source}/templates")).await;
    f.conforms();
}

#[tokio::test]
async fn pages_and_databases_are_blocks_of_the_page_that_they_lie_on() {
    let f = Fixture::new();
    let root = f.simulator.root_page_id;
    let source = f.database("Students", json!({"Name": {"title": {}}})).await;
    let schema = f.get(&format!("/v1/data_sources/{source}")).await;
    let database = schema["parent"]["database_id"].as_str().unwrap().to_owned();
    let page = json!({"parent": {"page_id": root}, "properties": {"title": {"title": text("Notes")}}});
    let page = id(&f.post("/v1/pages", page).await);
    let line = json!({"children": [{"paragraph": {"rich_text": text("hello")}}]});
    f.patch(&format!("/v1/blocks/{root}/children"), line).await;
    let on = async |parent: &str| -> Vec<(String, Json)> {
        let children = f.get(&format!("/v1/blocks/{parent}/children")).await;
        let children = children["results"].as_array().unwrap().clone();
        let kind = |block: &Json| block["type"].as_str().unwrap().to_owned();
        children
            .iter()
            .map(|block| (id(block), block[kind(block)].clone()))
            .collect()
    };
    let root = root.to_string();
    let blocks = on(&root).await;
    assert_eq!(blocks[0], (database.clone(), json!({"title": "Students"})));
    assert_eq!(blocks[1], (page.clone(), json!({"title": "Notes"})));
    assert_eq!(blocks.len(), 3);
    assert_eq!(
        f.get(&format!("/v1/blocks/{database}")).await["type"],
        "child_database"
    );
    assert_eq!(f.get(&format!("/v1/blocks/{root}")).await["has_children"], true);

    // Moved, a database hangs where it now lies.
    f.patch(
        &format!("/v1/databases/{database}"),
        json!({"parent": {"type": "page_id", "page_id": page}}),
    )
    .await;
    assert_eq!(on(&page).await.len(), 1);
    assert_eq!(on(&root).await.len(), 2);
    // The trash hides both, and erasing text takes neither.
    f.expect(200, "DELETE", &format!("/v1/blocks/{database}"), None)
        .await;
    assert_eq!(on(&page).await, []);
    f.patch(&format!("/v1/databases/{database}"), json!({"in_trash": false}))
        .await;
    f.patch(&format!("/v1/pages/{page}"), json!({"erase_content": true}))
        .await;
    assert_eq!(on(&page).await.len(), 1);
    f.simulator
        .workspace(|workspace| workspace.unshare(database.parse().unwrap()));
    assert_eq!(on(&page).await, []);
    f.conforms();
}

#[tokio::test]
async fn a_sorted_listing_is_read_on_in_its_order_and_sees_what_changed() {
    let f = Fixture::new();
    let source = f
        .database(
            "S",
            json!({"Name": {"title": {}}, "N": {"number": {}}, "T": {"rich_text": {}}}),
        )
        .await;
    for number in [3, 1, 2, 1] {
        f.row(
            &source,
            json!({"N": {"number": number}, "T": {"rich_text": text(&format!("t{number}"))}}),
        )
        .await;
    }
    f.row(&source, json!({})).await;
    let sorts = json!([
        {"property": "N", "direction": "descending"},
        {"timestamp": "created_time", "direction": "ascending"},
    ]);
    let numbers = |answer: &Json| -> Json {
        let rows = answer["results"].as_array().unwrap();
        rows.iter()
            .map(|row| row["properties"]["N"]["number"].clone())
            .collect()
    };
    let mut body = json!({"sorts": sorts, "page_size": 2});
    let first = f.query(&source, body.clone()).await;
    assert_eq!(numbers(&first), json!([3, 2]));
    body["start_cursor"] = first["next_cursor"].clone();
    let second = f.query(&source, body.clone()).await;
    assert_eq!(numbers(&second), json!([1, 1]));
    assert_eq!(
        numbers(&f.query(&source, body.clone()).await),
        json!([1, 1]),
        "asked again"
    );
    let path = format!("/v1/pages/{}", id(&second["results"][0]));
    f.patch(&path, json!({"properties": {"N": {"number": 0}}})).await;
    assert_eq!(numbers(&f.query(&source, body.clone()).await), json!([1, 0]));
    body["start_cursor"] = second["next_cursor"].clone();
    assert_eq!(
        numbers(&f.query(&source, body).await),
        json!([null]),
        "the empty come last"
    );
    f.conforms();
}
