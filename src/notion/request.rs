//! Requests as values: one function per endpoint, none of which sends anything.

use serde_json::{Map, Value, json};

use super::operation::{Class, Operation};
use crate::value::{DataSourceId, DatabaseId, PageId, PropertyId};

/// The version of the API that every request names.
pub const API_VERSION: &str = "2026-03-11";

/// The most results that one answer may hold.
pub const MAX_PAGE_SIZE: u32 = 100;

/// A request that has not been sent.
///
/// The path and the query pairs are ready for the wire: whatever needs percent-encoding has been encoded,
/// once. The token and the version header belong to the transport.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What it does.
    pub operation: Operation,
    /// The path from `/v1` on, with the ids in it.
    pub path: String,
    /// The query pairs in order, encoded.
    pub query: Vec<(String, String)>,
    /// What it carries.
    pub body: Body,
}

/// What a request carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Nothing.
    Empty,
    /// A JSON object.
    Json(Value),
    /// A file, or one part of it, as `multipart/form-data`.
    File {
        /// The file's name.
        filename: String,
        /// Its content type, the same for every part.
        content_type: String,
        /// The number of the part from 1 on, for uploads in parts.
        part: Option<u32>,
        /// The bytes.
        bytes: Vec<u8>,
    },
}

impl Request {
    fn new(operation: Operation, path: String, body: Body) -> Self {
        Self {
            operation,
            path,
            query: Vec::new(),
            body,
        }
    }

    fn with_batch(mut self, cursor: Option<&str>) -> Self {
        self.query
            .push(("page_size".to_owned(), MAX_PAGE_SIZE.to_string()));
        if let Some(cursor) = cursor {
            self.query.push(("start_cursor".to_owned(), encode(cursor)));
        }
        self
    }

    /// What repeating it would do.
    pub fn class(&self) -> Class {
        self.operation.class()
    }

    /// The path and the query as they stand in the request line.
    pub fn target(&self) -> String {
        let mut target = self.path.clone();
        for (index, (name, value)) in self.query.iter().enumerate() {
            target.push(if index == 0 { '?' } else { '&' });
            target.push_str(name);
            target.push('=');
            target.push_str(value);
        }
        target
    }
}

/// Percent-encodes everything but the unreserved characters of RFC 3986.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// A property id in a path or query: encoded exactly once.
///
/// The API prints ids already encoded (`aB%3Ac`), which is the form that belongs into a URL; encoding the
/// per cent sign again would name another property. Characters that may not stand in a URL at all are
/// encoded, so that an odd id cannot leave its segment.
fn property_in_url(id: &PropertyId) -> String {
    let bytes = id.as_str().as_bytes();
    let mut encoded = String::with_capacity(bytes.len());
    for (at, byte) in bytes.iter().enumerate() {
        let escape = *byte == b'%'
            && bytes
                .get(at + 1..at + 3)
                .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        if escape || byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(*byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn path(prefix: &str, id: &str, suffix: &str) -> String {
    format!("/v1/{prefix}/{}{suffix}", encode(id))
}

/// Asks who the token belongs to.
pub fn me() -> Request {
    Request::new(Operation::Me, "/v1/users/me".to_owned(), Body::Empty)
}

/// Lists a batch of users.
pub fn list_users(cursor: Option<&str>) -> Request {
    Request::new(Operation::ListUsers, "/v1/users".to_owned(), Body::Empty).with_batch(cursor)
}

/// Reads a page; trashed ones are answered too.
pub fn retrieve_page(id: &PageId) -> Request {
    Request::new(
        Operation::RetrievePage,
        path("pages", id.as_str(), ""),
        Body::Empty,
    )
}

/// Creates a page in a data source from property values keyed by name or id.
pub fn create_page(parent: &DataSourceId, properties: Map<String, Value>) -> Request {
    let body = json!({
        "parent": {"type": "data_source_id", "data_source_id": parent},
        "properties": properties,
    });
    Request::new(Operation::CreatePage, "/v1/pages".to_owned(), Body::Json(body))
}

/// Changes a page: any of `properties`, `in_trash`, `icon` and the other fields of the endpoint.
pub fn update_page(id: &PageId, changes: Map<String, Value>) -> Request {
    let body = Body::Json(Value::Object(changes));
    Request::new(Operation::UpdatePage, path("pages", id.as_str(), ""), body)
}

/// Moves a page to another data source.
pub fn move_page(id: &PageId, parent: &DataSourceId) -> Request {
    let body = json!({"parent": {"type": "data_source_id", "data_source_id": parent}});
    Request::new(
        Operation::MovePage,
        path("pages", id.as_str(), "/move"),
        Body::Json(body),
    )
}

/// Reads a batch of one property of a page.
pub fn retrieve_property(page: &PageId, property: &PropertyId, cursor: Option<&str>) -> Request {
    let suffix = format!("/properties/{}", property_in_url(property));
    Request::new(
        Operation::RetrieveProperty,
        path("pages", page.as_str(), &suffix),
        Body::Empty,
    )
    .with_batch(cursor)
}

/// What a query asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// A filter of the API's grammar.
    pub filter: Option<Value>,
    /// Sorts of the API's grammar, the most important first.
    pub sorts: Vec<Value>,
    /// The properties to answer; empty for all.
    pub properties: Vec<PropertyId>,
}

/// Queries a batch of a data source.
pub fn query(data_source: &DataSourceId, query: &Query, cursor: Option<&str>, page_size: u32) -> Request {
    let mut body = Map::new();
    if let Some(filter) = &query.filter {
        body.insert("filter".to_owned(), filter.clone());
    }
    if !query.sorts.is_empty() {
        body.insert("sorts".to_owned(), Value::Array(query.sorts.clone()));
    }
    body.insert("page_size".to_owned(), page_size.min(MAX_PAGE_SIZE).into());
    if let Some(cursor) = cursor {
        body.insert("start_cursor".to_owned(), cursor.into());
    }
    let path = path("data_sources", data_source.as_str(), "/query");
    let mut request = Request::new(Operation::QueryDataSource, path, Body::Json(Value::Object(body)));
    request.query = query
        .properties
        .iter()
        .map(|property| ("filter_properties".to_owned(), property_in_url(property)))
        .collect();
    request
}

/// Reads a data source's schema.
pub fn retrieve_data_source(id: &DataSourceId) -> Request {
    Request::new(
        Operation::RetrieveDataSource,
        path("data_sources", id.as_str(), ""),
        Body::Empty,
    )
}

/// Creates a further data source in a database.
pub fn create_data_source(parent: &DatabaseId, title: &str, properties: Map<String, Value>) -> Request {
    let body = json!({
        "parent": {"type": "database_id", "database_id": parent},
        "title": plain_text(title),
        "properties": properties,
    });
    Request::new(
        Operation::CreateDataSource,
        "/v1/data_sources".to_owned(),
        Body::Json(body),
    )
}

/// Changes a data source: any of `properties`, `title`, `icon`, `in_trash`, `parent`.
pub fn update_data_source(id: &DataSourceId, changes: Map<String, Value>) -> Request {
    let body = Body::Json(Value::Object(changes));
    Request::new(
        Operation::UpdateDataSource,
        path("data_sources", id.as_str(), ""),
        body,
    )
}

/// Reads a database.
pub fn retrieve_database(id: &DatabaseId) -> Request {
    Request::new(
        Operation::RetrieveDatabase,
        path("databases", id.as_str(), ""),
        Body::Empty,
    )
}

/// Creates a database from the body of the endpoint; the schema stands in `initial_data_source`.
pub fn create_database(body: Map<String, Value>) -> Request {
    let body = Body::Json(Value::Object(body));
    Request::new(Operation::CreateDatabase, "/v1/databases".to_owned(), body)
}

/// Changes a database: any of `title`, `description`, `icon`, `is_locked`, `in_trash`, never its schema.
pub fn update_database(id: &DatabaseId, changes: Map<String, Value>) -> Request {
    let body = Body::Json(Value::Object(changes));
    Request::new(
        Operation::UpdateDatabase,
        path("databases", id.as_str(), ""),
        body,
    )
}

/// What a search looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Pages.
    Pages,
    /// Data sources.
    DataSources,
}

/// Searches titles; the index is late and not exhaustive.
pub fn search(text: &str, found: Found, cursor: Option<&str>) -> Request {
    let value = match found {
        Found::Pages => "page",
        Found::DataSources => "data_source",
    };
    let mut body = json!({
        "query": text,
        "filter": {"property": "object", "value": value},
        "page_size": MAX_PAGE_SIZE,
    });
    if let Some(cursor) = cursor {
        body["start_cursor"] = cursor.into();
    }
    Request::new(Operation::Search, "/v1/search".to_owned(), Body::Json(body))
}

/// Lists a batch of the blocks on a page.
pub fn list_blocks(parent: &PageId, cursor: Option<&str>) -> Request {
    Request::new(
        Operation::ListBlocks,
        path("blocks", parent.as_str(), "/children"),
        Body::Empty,
    )
    .with_batch(cursor)
}

/// Appends blocks to the end of a page: at most 100, two levels deep.
pub fn append_blocks(parent: &PageId, children: Vec<Value>) -> Request {
    let body = json!({"children": children, "position": {"type": "end"}});
    Request::new(
        Operation::AppendBlocks,
        path("blocks", parent.as_str(), "/children"),
        Body::Json(body),
    )
}

/// Lists a batch of a database's views: ids only.
pub fn list_views(database: &DatabaseId, cursor: Option<&str>) -> Request {
    let mut request = Request::new(Operation::ListViews, "/v1/views".to_owned(), Body::Empty);
    request
        .query
        .push(("database_id".to_owned(), encode(database.as_str())));
    request.with_batch(cursor)
}

/// Reads a view.
pub fn retrieve_view(id: &str) -> Request {
    Request::new(Operation::RetrieveView, path("views", id, ""), Body::Empty)
}

/// Creates a view from the body of the endpoint.
pub fn create_view(body: Map<String, Value>) -> Request {
    let body = Body::Json(Value::Object(body));
    Request::new(Operation::CreateView, "/v1/views".to_owned(), body)
}

/// Changes a view: any of `name`, `filter`, `sorts`, `configuration`; its type stays.
pub fn update_view(id: &str, changes: Map<String, Value>) -> Request {
    let body = Body::Json(Value::Object(changes));
    Request::new(Operation::UpdateView, path("views", id, ""), body)
}

/// Lists a batch of a page's open comments.
pub fn list_comments(page: &PageId, cursor: Option<&str>) -> Request {
    let mut request = Request::new(Operation::ListComments, "/v1/comments".to_owned(), Body::Empty);
    request.query.push(("block_id".to_owned(), encode(page.as_str())));
    request.with_batch(cursor)
}

/// Writes a comment on a page.
pub fn create_comment(page: &PageId, text: &str) -> Request {
    let body = json!({"parent": {"page_id": page}, "rich_text": plain_text(text)});
    Request::new(
        Operation::CreateComment,
        "/v1/comments".to_owned(),
        Body::Json(body),
    )
}

/// How a file reaches Notion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UploadMode {
    /// At once, up to 20 MB.
    SinglePart,
    /// In this many parts of 5 to 20 MiB; the last may be smaller.
    Parts(u32),
    /// Notion fetches it from an address.
    External(String),
}

/// Starts an upload.
pub fn create_file_upload(mode: &UploadMode, filename: &str, content_type: &str) -> Request {
    let mut body = json!({"filename": filename, "content_type": content_type});
    match mode {
        UploadMode::SinglePart => body["mode"] = "single_part".into(),
        UploadMode::Parts(parts) => {
            body["mode"] = "multi_part".into();
            body["number_of_parts"] = (*parts).into();
        }
        UploadMode::External(url) => {
            body["mode"] = "external_url".into();
            body["external_url"] = url.as_str().into();
        }
    }
    Request::new(
        Operation::CreateFileUpload,
        "/v1/file_uploads".to_owned(),
        Body::Json(body),
    )
}

/// Sends the bytes of a file, or of one part.
pub fn send_file_upload(
    id: &str,
    filename: &str,
    content_type: &str,
    part: Option<u32>,
    bytes: Vec<u8>,
) -> Request {
    let body = Body::File {
        filename: filename.to_owned(),
        content_type: content_type.to_owned(),
        part,
        bytes,
    };
    Request::new(Operation::SendFileUpload, path("file_uploads", id, "/send"), body)
}

/// Ends an upload in parts.
pub fn complete_file_upload(id: &str) -> Request {
    Request::new(
        Operation::CompleteFileUpload,
        path("file_uploads", id, "/complete"),
        Body::Empty,
    )
}

/// Reads how an upload stands.
pub fn retrieve_file_upload(id: &str) -> Request {
    Request::new(
        Operation::RetrieveFileUpload,
        path("file_uploads", id, ""),
        Body::Empty,
    )
}

/// Plain text as a rich-text array, in pieces of at most 2,000 UTF-16 units; empty text is no piece.
pub fn plain_text(text: &str) -> Value {
    let mut pieces = Vec::new();
    let mut piece = String::new();
    let mut units = 0;
    for character in text.chars() {
        if units + character.len_utf16() > 2000 {
            pieces.push(std::mem::take(&mut piece));
            units = 0;
        }
        units += character.len_utf16();
        piece.push(character);
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
        .into_iter()
        .map(|piece| json!({"type": "text", "text": {"content": piece}}))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_id_is_encoded_exactly_once() {
        let page = PageId::from("59b8c3c2-0000-4000-8000-000000000001");
        for (id, expected) in [
            ("aB%3Ac", "aB%3Ac"),
            ("title", "title"),
            ("f%5C%5C%3Ap", "f%5C%5C%3Ap"),
            ("a:b", "a%3Ab"),
            ("100%", "100%25"),
            ("../x", "..%2Fx"),
        ] {
            let request = retrieve_property(&page, &PropertyId::from(id), None);
            assert_eq!(request.path, format!("/v1/pages/{page}/properties/{expected}"));
            let filtered = Query {
                properties: vec![PropertyId::from(id)],
                ..Query::default()
            };
            let request = query_of(&filtered);
            assert_eq!(
                request.target(),
                format!("/v1/data_sources/d/query?filter_properties={expected}")
            );
        }
    }

    fn query_of(asked: &Query) -> Request {
        query(&DataSourceId::from("d"), asked, None, 100)
    }

    #[test]
    fn an_id_cannot_leave_its_path_segment() {
        let request = retrieve_page(&PageId::from("../users/me?x=1"));
        assert_eq!(request.target(), "/v1/pages/..%2Fusers%2Fme%3Fx%3D1");
    }

    #[test]
    fn a_query_carries_only_what_was_asked() {
        assert_eq!(
            query_of(&Query::default()).body,
            Body::Json(json!({"page_size": 100}))
        );
        let asked = query(&DataSourceId::from("d"), &Query::default(), Some("c1"), 1000);
        assert_eq!(
            asked.body,
            Body::Json(json!({"page_size": 100, "start_cursor": "c1"}))
        );
    }

    #[test]
    fn cursors_of_get_requests_are_encoded() {
        let request = list_blocks(&PageId::from("p"), Some("a b&c"));
        assert_eq!(
            request.target(),
            "/v1/blocks/p/children?page_size=100&start_cursor=a%20b%26c"
        );
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let text = "😀".repeat(1001);
        let pieces = plain_text(&text);
        let lengths: Vec<usize> = pieces
            .as_array()
            .unwrap()
            .iter()
            .map(|piece| piece["text"]["content"].as_str().unwrap().encode_utf16().count())
            .collect();
        assert_eq!(lengths, [2000, 2]);
        assert_eq!(plain_text(""), json!([]));
    }

    #[test]
    fn every_operation_names_its_endpoint_and_only_reads_are_get_or_queries() {
        for operation in Operation::ALL {
            assert!(operation.endpoint().starts_with(operation.method()));
            let reads = operation.class() == Class::Read;
            let looks_like_read = operation.method() == "GET"
                || matches!(operation, Operation::QueryDataSource | Operation::Search);
            assert_eq!(reads, looks_like_read, "{}", operation.endpoint());
        }
    }
}
