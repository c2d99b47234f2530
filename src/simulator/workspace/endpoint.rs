//! One request in, one answer out: routes, versions, tokens and capabilities, in the order that Notion checks them.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::body::{Body, parse_uuid};
use super::refusal::{Answered, Refusal};
use super::state::UserAccess;
use super::{Caller, Version, Workspace, percent_decoded};

/// A request to the API, without its transport.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The method in capitals.
    pub method: String,
    /// The path as sent, still URL-encoded: `/v1/pages/…`.
    pub path: String,
    /// The query string in order, decoded; repeated keys are repeated here.
    pub query: Vec<(String, String)>,
    /// The `Notion-Version` header.
    pub version: Option<String>,
    /// The bearer token.
    pub token: Option<String>,
    /// The body.
    pub payload: Payload,
}

/// What a request carries.
#[derive(Clone, Debug, Default)]
pub enum Payload {
    /// No body.
    #[default]
    Nothing,
    /// The bytes of a JSON body, not parsed yet.
    Json(Vec<u8>),
    /// A multipart form with one file.
    Part(UploadedPart),
}

/// The file of a multipart form, and the number of the part that it is.
#[derive(Clone, Debug, Default)]
pub struct UploadedPart {
    /// The `part_number` field, from 1.
    pub number: Option<u32>,
    /// The content type of the file field.
    pub content_type: Option<String>,
    /// The file name of the file field.
    pub filename: Option<String>,
    /// The file's bytes.
    pub bytes: Vec<u8>,
}

/// An answer, without its transport.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Headers beyond the content type, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub content: Content,
}

/// The body of an answer.
#[derive(Clone, Debug)]
pub enum Content {
    /// What the API answers.
    Json(Json),
    /// What proxies in front of it answer.
    Html(String),
    /// A file.
    File {
        /// Its content type.
        content_type: String,
        /// Its bytes.
        bytes: Vec<u8>,
    },
}

/// The content type of JSON answers.
pub(crate) const JSON_TYPE: &str = "application/json; charset=utf-8";

/// JSON as text, without the formatter that its `Display` goes through.
pub(crate) fn written(body: &Json) -> String {
    serde_json::to_string(body).expect("a JSON value has only text for keys")
}

impl Answer {
    /// An answer of the API; the request id goes into the body and the header.
    pub fn json(status: u16, mut body: Json, request_id: Uuid) -> Self {
        if body.is_object() {
            body["request_id"] = json!(request_id);
        }
        let headers = vec![("x-notion-request-id".to_owned(), request_id.to_string())];
        Self {
            status,
            headers,
            content: Content::Json(body),
        }
    }

    /// A refusal as the API answers it.
    pub fn refusal(refusal: &Refusal, request_id: Uuid) -> Self {
        Self::json(refusal.status, refusal.body(&request_id.to_string()), request_id)
    }

    /// The JSON body, `null` for other contents.
    pub fn body(&self) -> &Json {
        if let Content::Json(body) = &self.content {
            body
        } else {
            &Json::Null
        }
    }
}

impl Request {
    /// The first value of a query key.
    pub fn query_value(&self, key: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// Whether applying it can change anything.
    pub fn is_write(&self) -> bool {
        let reads = self.path.ends_with("/query") || self.path == "/v1/search";
        self.method != "GET" && !reads
    }
}

/// What a connection must be allowed to do.
#[derive(Clone, Copy, Debug)]
enum Need {
    Nothing,
    Read,
    Update,
    Insert,
    ReadComments,
    InsertComments,
    Users,
}

macro_rules! routes {
    ($($method:literal $path:literal $endpoint:ident $need:ident,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Endpoint { $($endpoint),* }

        /// Every path of the API that the simulator serves.
        const ROUTES: &[(&str, &str, Endpoint, Need)] = &[$(($method, $path, Endpoint::$endpoint, Need::$need)),*];
    };
}

routes! {
    "GET" "/v1/users/me" GetMe Nothing,
    "GET" "/v1/users/{user_id}" GetUser Users,
    "GET" "/v1/users" ListUsers Users,
    "POST" "/v1/databases" CreateDatabase Insert,
    "GET" "/v1/databases/{database_id}" GetDatabase Read,
    "PATCH" "/v1/databases/{database_id}" UpdateDatabase Update,
    "POST" "/v1/data_sources" CreateDataSource Insert,
    "GET" "/v1/data_sources/{data_source_id}" GetDataSource Read,
    "PATCH" "/v1/data_sources/{data_source_id}" UpdateDataSource Update,
    "POST" "/v1/data_sources/{data_source_id}/query" Query Read,
    "GET" "/v1/data_sources/{data_source_id}/templates" ListTemplates Read,
    "POST" "/v1/pages" CreatePage Insert,
    "GET" "/v1/pages/{page_id}" GetPage Read,
    "PATCH" "/v1/pages/{page_id}" UpdatePage Update,
    "POST" "/v1/pages/{page_id}/move" MovePage Update,
    "GET" "/v1/pages/{page_id}/properties/{property_id}" GetPropertyItem Read,
    "GET" "/v1/pages/{page_id}/markdown" GetMarkdown Read,
    "PATCH" "/v1/pages/{page_id}/markdown" UpdateMarkdown Update,
    "GET" "/v1/blocks/{block_id}" GetBlock Read,
    "PATCH" "/v1/blocks/{block_id}" UpdateBlock Update,
    "DELETE" "/v1/blocks/{block_id}" DeleteBlock Update,
    "GET" "/v1/blocks/{block_id}/children" ListChildren Read,
    "PATCH" "/v1/blocks/{block_id}/children" AppendChildren Insert,
    "POST" "/v1/search" Search Read,
    "POST" "/v1/comments" CreateComment InsertComments,
    "GET" "/v1/comments" ListComments ReadComments,
    "GET" "/v1/comments/{comment_id}" GetComment ReadComments,
    "PATCH" "/v1/comments/{comment_id}" UpdateComment InsertComments,
    "DELETE" "/v1/comments/{comment_id}" DeleteComment InsertComments,
    "POST" "/v1/file_uploads" CreateUpload Insert,
    "GET" "/v1/file_uploads" ListUploads Read,
    "GET" "/v1/file_uploads/{file_upload_id}" GetUpload Read,
    "POST" "/v1/file_uploads/{file_upload_id}/send" SendUpload Insert,
    "POST" "/v1/file_uploads/{file_upload_id}/complete" CompleteUpload Insert,
    "GET" "/v1/views" ListViews Read,
    "POST" "/v1/views" CreateView Insert,
    "GET" "/v1/views/{view_id}" GetView Read,
    "PATCH" "/v1/views/{view_id}" UpdateView Update,
    "DELETE" "/v1/views/{view_id}" DeleteView Update,
    "POST" "/v1/views/{view_id}/queries" CreateViewQuery Read,
    "GET" "/v1/views/{view_id}/queries/{query_id}" GetViewQuery Read,
    "DELETE" "/v1/views/{view_id}/queries/{query_id}" DeleteViewQuery Read,
    "GET" "/v1/custom_emojis" ListEmojis Read,
}

/// The method and path template that a request is served by, `POST /v1/pages`; `None` where there is none.
pub(crate) fn endpoint_of(method: &str, path: &str) -> Option<String> {
    route(method, path).map(|(method, template, ..)| format!("{method} {template}"))
}

fn route(method: &str, path: &str) -> Option<&'static (&'static str, &'static str, Endpoint, Need)> {
    ROUTES.iter().find(|(wanted, template, ..)| {
        let mut given = path.split('/');
        *wanted == method
            && template.split('/').all(|part| {
                given.next().is_some_and(|segment| {
                    if part.starts_with('{') {
                        !segment.is_empty()
                    } else {
                        part == segment
                    }
                })
            })
            && given.next().is_none()
    })
}

/// Versions that Notion knows and the simulator does not speak.
const OLDER: [&str; 7] = [
    "2021-05-11",
    "2021-05-13",
    "2021-08-16",
    "2022-02-22",
    "2022-06-28",
    "2022-10-28",
    "2023-08-01",
];

/// Families of paths that came with 2025-09-03.
const NEW_FAMILIES: [&str; 2] = ["/v1/data_sources", "/v1/views"];

impl Workspace {
    /// Answers one request, and changes what it asks to change.
    pub fn answer(&mut self, request: &Request) -> Answer {
        self.request_id = self.seed.uuid();
        let request_id = self.request_id;
        match self.serve(request) {
            Ok(body) => Answer::json(200, body, request_id),
            Err(refusal) => Answer::refusal(&refusal, request_id),
        }
    }

    fn serve(&mut self, request: &Request) -> Answered<Json> {
        let (.., endpoint, need) = route(&request.method, &request.path).ok_or_else(Refusal::invalid_url)?;
        let version = version_of(request)?;
        let token = request.token.as_deref().ok_or_else(Refusal::unauthorized)?;
        let index = self.connection_of(token).ok_or_else(Refusal::unauthorized)?;
        let connection = &self.connections[index];
        let may = connection.capabilities;
        let allowed = match need {
            Need::Nothing => true,
            Need::Read => may.read_content,
            Need::Update => may.update_content,
            Need::Insert => may.insert_content,
            Need::ReadComments => may.read_comments,
            Need::InsertComments => may.insert_comments,
            Need::Users => may.users != UserAccess::Nothing,
        };
        if !allowed {
            return Err(Refusal::restricted());
        }
        let caller = Caller {
            connection: index,
            bot: connection.bot,
            version,
        };
        let parsed = self.parse_payload(request)?;
        self.dispatch(*endpoint, caller, request, &Body::root(&parsed))
    }

    fn parse_payload(&self, request: &Request) -> Answered<Json> {
        let Payload::Json(bytes) = &request.payload else {
            return Ok(json!({}));
        };
        if bytes.len() > self.limits.body_bytes {
            return Err(Refusal::validation(format!(
                "body failed validation: body.length should be ≤ `{}`, instead was `{}`.",
                self.limits.body_bytes,
                bytes.len()
            )));
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(json!({}));
        }
        serde_json::from_slice(bytes).map_err(|_| Refusal::invalid_json())
    }

    fn dispatch(
        &mut self,
        endpoint: Endpoint,
        caller: Caller,
        request: &Request,
        body: &Body<'_>,
    ) -> Answered<Json> {
        let mut segments = request.path.split('/').skip(3);
        let first = segments.next().unwrap_or_default();
        let second = segments.nth(1).unwrap_or_default();
        let id = |name: &str| path_id(name, first);
        match endpoint {
            Endpoint::GetMe => Ok(self.me(caller)),
            Endpoint::GetUser => self.get_user(caller, id("user_id")?),
            Endpoint::ListUsers => self.list_users(caller, request),
            Endpoint::CreateDatabase => self.create_database(caller, body),
            Endpoint::GetDatabase => {
                let found = self.database(caller, id("database_id")?)?;
                Ok(self.database_json(caller, found))
            }
            Endpoint::UpdateDatabase => self.update_database(caller, id("database_id")?, body),
            Endpoint::CreateDataSource => self.create_data_source(caller, body),
            Endpoint::GetDataSource => {
                let found = self.data_source(caller, id("data_source_id")?)?;
                Ok(self.data_source_json(caller, found))
            }
            Endpoint::UpdateDataSource => self.update_data_source(caller, id("data_source_id")?, body),
            Endpoint::Query => self.query_data_source(caller, id("data_source_id")?, body, request),
            Endpoint::ListTemplates => self.list_templates(caller, id("data_source_id")?, request),
            Endpoint::CreatePage => self.create_page(caller, body, request),
            Endpoint::GetPage => self.get_page(caller, id("page_id")?, request),
            Endpoint::UpdatePage => self.update_page(caller, id("page_id")?, body, request),
            Endpoint::MovePage => self.move_page_to(caller, id("page_id")?, body),
            Endpoint::GetPropertyItem => self.property_item(caller, id("page_id")?, second, request),
            Endpoint::GetMarkdown => self.get_markdown(caller, id("page_id")?),
            Endpoint::UpdateMarkdown => self.update_markdown(caller, id("page_id")?, body),
            Endpoint::GetBlock => self.get_block(caller, id("block_id")?),
            Endpoint::UpdateBlock => self.update_block(caller, id("block_id")?, body),
            Endpoint::DeleteBlock => self.delete_block(caller, id("block_id")?),
            Endpoint::ListChildren => self.list_children(caller, id("block_id")?, request),
            Endpoint::AppendChildren => self.append_children(caller, id("block_id")?, body),
            Endpoint::Search => self.search(caller, body),
            Endpoint::CreateComment => self.create_comment(caller, body),
            Endpoint::ListComments => self.list_comments(caller, request),
            Endpoint::GetComment => self.get_comment(caller, id("comment_id")?),
            Endpoint::UpdateComment => self.update_comment(caller, id("comment_id")?, body),
            Endpoint::DeleteComment => self.delete_comment(caller, id("comment_id")?),
            Endpoint::CreateUpload => self.create_upload(caller, body),
            Endpoint::ListUploads => self.list_uploads(caller, request),
            Endpoint::GetUpload => self.get_upload(caller, id("file_upload_id")?),
            Endpoint::SendUpload => self.send_upload(caller, id("file_upload_id")?, request),
            Endpoint::CompleteUpload => self.complete_upload(caller, id("file_upload_id")?),
            Endpoint::ListViews => self.list_views(caller, request),
            Endpoint::CreateView => self.create_view(caller, body),
            Endpoint::GetView => self.get_view(caller, id("view_id")?),
            Endpoint::UpdateView => self.update_view(caller, id("view_id")?, body),
            Endpoint::DeleteView => self.delete_view(caller, id("view_id")?),
            Endpoint::CreateViewQuery => self.create_view_query(caller, id("view_id")?, body),
            Endpoint::GetViewQuery => {
                self.get_view_query(caller, id("view_id")?, path_id("query_id", second)?, request)
            }
            Endpoint::DeleteViewQuery => {
                self.delete_view_query(caller, id("view_id")?, path_id("query_id", second)?)
            }
            Endpoint::ListEmojis => Ok(json!({
                "object": "list", "type": "custom_emoji", "results": [], "has_more": false, "next_cursor": null,
            })),
        }
    }
}

fn path_id(name: &str, segment: &str) -> Answered<Uuid> {
    let text = percent_decoded(segment).unwrap_or_default();
    parse_uuid(&text).ok_or_else(|| {
        Refusal::validation(format!(
            "path failed validation: path.{name} should be a valid uuid, instead was `\"{text}\"`."
        ))
    })
}

/// A UUID in the query string.
pub(super) fn query_id(request: &Request, name: &str) -> Answered<Option<Uuid>> {
    let Some(text) = request.query_value(name) else {
        return Ok(None);
    };
    parse_uuid(text).map(Some).ok_or_else(|| {
        Refusal::validation(format!(
            "query failed validation: query.{name} should be a valid uuid, instead was `\"{text}\"`."
        ))
    })
}

fn version_of(request: &Request) -> Answered<Version> {
    match request.version.as_deref() {
        None => Err(Refusal::missing_version()),
        Some("2026-03-11") => Ok(Version::March2026),
        Some("2025-09-03") => Ok(Version::September2025),
        Some(older) if OLDER.contains(&older) => {
            if NEW_FAMILIES.iter().any(|family| request.path.starts_with(family)) {
                return Err(Refusal::invalid_url());
            }
            let message =
                format!("The simulator speaks Notion-Version 2025-09-03 and 2026-03-11, not {older}.");
            Err(Refusal::new(400, "invalid_request", message))
        }
        Some(unknown) => Err(Refusal::validation(format!(
            "Notion-Version header failed validation: Notion-Version header should be `\"2025-09-03\"`, or \
             `\"2026-03-11\"`, instead was `\"{unknown}\"`."
        ))),
    }
}
