//! Holds exchanges against Notion's own OpenAPI document: what was asked, and what was answered.
//!
//! Where the document of 2026-04-20 is wrong or behind, `tests/fixtures/notion/openapi-gaps.json` says so with the
//! reason; nothing else is forgiven.

#![expect(
    clippy::unwrap_used,
    reason = "a document that cannot be read fails the tests"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};

use frames_sync::simulator::Exchange;
use jsonschema::Validator;
use serde_json::{Map, Value as Json, json};

/// Panics with every violation, if any exchange with the API is not as the document says.
///
/// Exchanges of other paths, and those cut off without an answer, have nothing to be held against.
#[track_caller]
pub(crate) fn assert_exchanges_conform(exchanges: &[Exchange]) {
    let found: Vec<String> = exchanges.iter().flat_map(violations).collect();
    assert!(
        found.is_empty(),
        "{} violations of Notion's OpenAPI document:\n{}",
        found.len(),
        found.join("\n")
    );
}

/// What about an exchange is not as the document says.
pub(crate) fn violations(exchange: &Exchange) -> Vec<String> {
    let (Some(endpoint), Some(status)) = (exchange.endpoint.as_deref(), exchange.status) else {
        return Vec::new();
    };
    let document = Document::get();
    let Some(operation) = document.operation(endpoint) else {
        return vec![format!("{endpoint}: the document has no such operation")];
    };
    let is_old = exchange
        .headers
        .iter()
        .any(|(name, value)| name == "notion-version" && value != "2026-03-11");
    if is_old {
        // The document is of one version only.
        return Vec::new();
    }
    let mut found = Vec::new();
    if status != 400 {
        found.extend(document.query_violations(endpoint, operation, &exchange.query));
        let has_body = operation
            .pointer("/requestBody/content/application~1json/schema")
            .is_some();
        if has_body && !exchange.request_body.is_empty() {
            let place = format!(
                "{}/requestBody/content/application~1json/schema",
                operation_pointer(endpoint)
            );
            found.extend(document.check(Side::Request, &place, &exchange.request_json(), "request body"));
        }
    }
    let unlisted = document.gaps["statuses"]
        .as_array()
        .is_some_and(|list| list.iter().any(|gap| gap["status"] == status));
    let is_json = exchange.content_type == "application/json";
    if is_json && !unlisted {
        let place = format!(
            "{}/responses/{status}/content/application~1json/schema",
            operation_pointer(endpoint)
        );
        if document.response.pointer(&place).is_none() {
            found.push(format!("the document has no answer {status}"));
        } else {
            let mut body = exchange.response_json();
            body.as_object_mut().map(|body| body.remove("request_id"));
            found.extend(document.check(Side::Response, &place, &body, "answer"));
        }
    }
    found
        .into_iter()
        .map(|violation| format!("#{} {endpoint} ({status}): {violation}", exchange.number))
        .collect()
}

/// What about a webhook event is not as the document says.
pub(crate) fn event_violations(event: &Json) -> Vec<String> {
    let kind = event["type"].as_str().unwrap_or_default();
    let document = Document::get();
    // `page.properties_updated` is `pagePropertiesUpdated` there.
    let mut words = kind.split(['.', '_']);
    let name = words.next().unwrap_or_default().to_owned();
    let name = words.fold(name, |name, word| {
        let (first, rest) = word.split_at(1);
        name + &first.to_uppercase() + rest
    });
    let place = format!("/webhooks/{name}/post/requestBody/content/application~1json/schema");
    if document.response.pointer(&place).is_none() {
        return vec![format!("{kind}: the document has no such event")];
    }
    let found = document.check(Side::Response, &place, event, "event");
    found
        .into_iter()
        .map(|violation| format!("{kind}: {violation}"))
        .collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Request,
    Response,
}

struct Document {
    request: Json,
    response: Json,
    gaps: Json,
    validators: Mutex<BTreeMap<(Side, String), Arc<Validator>>>,
}

fn operation_pointer(endpoint: &str) -> String {
    let (method, path) = endpoint.split_once(' ').unwrap_or(("", endpoint));
    format!(
        "/paths/{}/{}",
        path.replace('~', "~0").replace('/', "~1"),
        method.to_lowercase()
    )
}

impl Document {
    fn get() -> &'static Self {
        static DOCUMENT: OnceLock<Document> = OnceLock::new();
        DOCUMENT.get_or_init(|| {
            let mut response: Json =
                serde_json::from_str(include_str!("../../fixtures/notion/openapi.json")).unwrap();
            let gaps: Json =
                serde_json::from_str(include_str!("../../fixtures/notion/openapi-gaps.json")).unwrap();
            for patch in gaps["patches"].as_array().unwrap() {
                let pointer = patch["pointer"].as_str().unwrap();
                let (above, key) = pointer.rsplit_once('/').unwrap();
                let value = patch["value"].clone();
                match response.pointer_mut(above) {
                    Some(Json::Object(object)) => drop(object.insert(key.to_owned(), value)),
                    Some(Json::Array(alternatives)) if key == "-" => alternatives.push(value),
                    _ => panic!("no `{above}` in the document to patch"),
                }
            }
            open_members_of_all_of(&mut response);
            let formats = gaps["formats"].as_array().unwrap();
            let formats: Vec<&Json> = formats.iter().map(|gap| &gap["format"]).collect();
            drop_formats(&mut response, &formats);
            let mut request = response.clone();
            read_one_of_as_any_of(&mut request);
            Self {
                request,
                response,
                gaps,
                validators: Mutex::default(),
            }
        })
    }

    fn operation(&self, endpoint: &str) -> Option<&Json> {
        self.response.pointer(&operation_pointer(endpoint))
    }

    fn query_violations(&self, endpoint: &str, operation: &Json, query: &str) -> Vec<String> {
        let parameters = operation["parameters"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let gaps = self.gaps["query_parameters"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let mut found = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if gaps
                .iter()
                .any(|gap| gap["operation"] == endpoint && gap["name"] == name)
            {
                continue;
            }
            let known = parameters
                .iter()
                .find(|parameter| parameter["name"] == name && parameter["in"] == "query");
            let Some(known) = known else {
                found.push(format!("unknown query parameter `{name}`"));
                continue;
            };
            let is_number = matches!(known["schema"]["type"].as_str(), Some("number" | "integer"));
            if is_number && value.parse::<f64>().is_err() {
                found.push(format!("query parameter `{name}` is no number"));
            }
        }
        for parameter in parameters {
            let name = parameter["name"].as_str().unwrap_or_default();
            let given = query.split('&').any(|pair| pair.split('=').next() == Some(name));
            if parameter["in"] == "query" && parameter["required"] == true && !given {
                found.push(format!("query parameter `{name}` is required"));
            }
        }
        found
    }

    fn check(&self, side: Side, pointer: &str, value: &Json, what: &str) -> Vec<String> {
        let validator = self.validator(side, pointer);
        let errors = validator.iter_errors(value);
        errors
            .map(|error| {
                format!(
                    "{what} at `{}`: {}",
                    error.instance_path(),
                    shortened(&error.to_string())
                )
            })
            .collect()
    }

    fn validator(&self, side: Side, pointer: &str) -> Arc<Validator> {
        let key = (side, pointer.to_owned());
        let mut validators = self.validators.lock().unwrap();
        let validator = validators.entry(key).or_insert_with(|| {
            let document = if side == Side::Request {
                &self.request
            } else {
                &self.response
            };
            let schema = document
                .pointer(pointer)
                .unwrap_or_else(|| panic!("no `{pointer}` in the document"));
            let mut needed = BTreeSet::new();
            collect(document, schema, &mut needed);
            let components: Map<String, Json> = needed
                .into_iter()
                .map(|name| (name.clone(), document["components"]["schemas"][&name].clone()))
                .collect();
            let root = json!({"allOf": [schema], "components": {"schemas": components}});
            Arc::new(
                jsonschema::draft202012::options()
                    .should_validate_formats(true)
                    .build(&root)
                    .unwrap_or_else(|error| panic!("`{pointer}`: {error}")),
            )
        });
        Arc::clone(validator)
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(600) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}

fn referenced(schema: &Json) -> Option<&str> {
    schema["$ref"].as_str()?.strip_prefix("#/components/schemas/")
}

/// The components that a schema needs, those that they need included.
fn collect(document: &Json, schema: &Json, needed: &mut BTreeSet<String>) {
    match schema {
        Json::Object(object) => {
            if let Some(name) = referenced(schema)
                && needed.insert(name.to_owned())
            {
                collect(document, &document["components"]["schemas"][name], needed);
            }
            object.values().for_each(|value| collect(document, value, needed));
        }
        Json::Array(values) => values.iter().for_each(|value| collect(document, value, needed)),
        _ => {}
    }
}

/// The gap "members of an `allOf` are open".
fn open_members_of_all_of(document: &mut Json) {
    let mut names = BTreeSet::new();
    find_members(document, &mut names);
    // What members refer to is a member too.
    let mut queue: Vec<String> = names.iter().cloned().collect();
    while let Some(name) = queue.pop() {
        let Some(schema) = document.pointer_mut(&format!("/components/schemas/{name}")) else {
            continue;
        };
        let mut more = BTreeSet::new();
        open(schema, &mut more);
        queue.extend(more.into_iter().filter(|name| names.insert(name.clone())));
    }
}

fn find_members(value: &mut Json, names: &mut BTreeSet<String>) {
    match value {
        Json::Object(object) => {
            if let Some(Json::Array(members)) = object.get_mut("allOf") {
                members.iter_mut().for_each(|member| open(member, names));
            }
            object.values_mut().for_each(|value| find_members(value, names));
        }
        Json::Array(values) => values.iter_mut().for_each(|value| find_members(value, names)),
        _ => {}
    }
}

/// Opens a schema and its alternatives; the names of those that stand elsewhere go into `names`.
fn open(schema: &mut Json, names: &mut BTreeSet<String>) {
    if let Some(name) = referenced(schema) {
        names.insert(name.to_owned());
    }
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    if object.get("additionalProperties") == Some(&Json::Bool(false)) {
        object.remove("additionalProperties");
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        if let Some(Json::Array(members)) = object.get_mut(key) {
            members.iter_mut().for_each(|member| open(member, names));
        }
    }
}

/// The gaps of formats.
fn drop_formats(value: &mut Json, formats: &[&Json]) {
    match value {
        Json::Object(object) => {
            if object
                .get("format")
                .is_some_and(|format| formats.contains(&format))
            {
                object.remove("format");
            }
            object.values_mut().for_each(|value| drop_formats(value, formats));
        }
        Json::Array(values) => values.iter_mut().for_each(|value| drop_formats(value, formats)),
        _ => {}
    }
}

/// The gap "in request bodies `oneOf` is read as `anyOf`".
fn read_one_of_as_any_of(value: &mut Json) {
    match value {
        Json::Object(object) => {
            if let Some(alternatives) = object.remove("oneOf") {
                object.insert("anyOf".to_owned(), alternatives);
            }
            object.values_mut().for_each(read_one_of_as_any_of);
        }
        Json::Array(values) => values.iter_mut().for_each(read_one_of_as_any_of),
        _ => {}
    }
}
