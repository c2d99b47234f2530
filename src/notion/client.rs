//! The client: every endpoint as a function, paced, retried and read into types.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::time::Instant;

use super::error::{AnswerProblem, NotionError, Refusal, TransportError};
use super::id::same_id;
use super::listing::Listing;
use super::operation::Operation;
use super::pace::DEFAULT_REQUESTS_PER_MINUTE;
use super::request::{self, Found, Query, Request, UploadMode};
use super::retry::{self, Outcome, Retry};
use super::transport::{HttpTransport, NOTION_URL, RawAnswer, Transport};
use super::turnstile::{Closed, Turnstile};
use super::wire::{
    Block, Comment, DataSource, Database, ErrorBody, FileUpload, List, Page, PropertyItem, User, View,
};
use crate::ports::Priority;
use crate::value::{DataSourceId, DatabaseId, PageId, PropertyId};

/// How to reach Notion.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The connection's token.
    pub token: SecretString,
    /// [`NOTION_URL`], or a loopback address.
    pub base_url: String,
    /// The budget; 429 answers are obeyed whatever it says.
    pub requests_per_minute: u32,
    /// How long one exchange may take.
    pub request_timeout: Duration,
}

impl Settings {
    /// Notion itself, at the rate that every plan allows.
    pub fn new(token: SecretString) -> Self {
        Self {
            token,
            base_url: NOTION_URL.to_owned(),
            requests_per_minute: DEFAULT_REQUESTS_PER_MINUTE,
            request_timeout: Duration::from_secs(60),
        }
    }
}

/// What a client asked of Notion so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Requests sent, repetitions included.
    pub requests: u64,
    /// The same by endpoint, such as `POST /v1/pages`.
    pub by_endpoint: BTreeMap<&'static str, u64>,
    /// Answers that told us to slow down.
    pub throttled: u64,
    /// How long requests waited for their turn, added up.
    pub waited: Duration,
    /// What Notion's clock showed at the latest answer, in whole seconds (its `Date` header).
    pub answered_at: Option<OffsetDateTime>,
}

/// A connection to one workspace.
///
/// Clones share transport, budget and counters; [`Client::at`] gives one that queues with another priority.
/// Any number of calls may run at once: as many are sent together as the budget and a bound of 32 allow.
///
/// # Guarantees
///
/// A write is sent once, unless Notion said that it did not take effect (429, 529) or it never left. Where
/// that cannot be known the call fails with [`NotionError::UnknownOutcome`]. Dropping a call's future before
/// it is sent sends nothing; later, it is as unknown as a timeout.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
    turnstile: Arc<Turnstile>,
    usage: Arc<Mutex<Usage>>,
    priority: Priority,
}

impl Client {
    /// A client over HTTP, which shares its budget with every other client of the same token.
    ///
    /// # Errors
    ///
    /// [`NotionError::Connect`] for an address that is neither Notion's nor this machine's, or a malformed
    /// token. Nothing is sent.
    pub fn new(settings: &Settings) -> Result<Self, NotionError> {
        let token = settings.token.clone();
        let transport = HttpTransport::new(&settings.base_url, token, settings.request_timeout)?;
        let turnstile = Turnstile::shared(
            &settings.base_url,
            settings.token.expose_secret(),
            settings.requests_per_minute,
        );
        Ok(Self::over(Arc::new(transport), turnstile))
    }

    /// A client over any transport.
    pub fn over(transport: Arc<dyn Transport>, turnstile: Arc<Turnstile>) -> Self {
        Self {
            transport,
            turnstile,
            usage: Arc::default(),
            priority: Priority::Pull,
        }
    }

    /// The same client, queueing with another priority.
    pub fn at(&self, priority: Priority) -> Self {
        Self {
            priority,
            ..self.clone()
        }
    }

    /// The same connection with counters of its own, from zero.
    pub fn counted_apart(&self) -> Self {
        Self {
            usage: Arc::default(),
            ..self.clone()
        }
    }

    /// What was asked of Notion through this client and its clones.
    pub fn usage(&self) -> Usage {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self, change: impl FnOnce(&mut Usage)) {
        change(&mut self.usage.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Sends a request, as often as [`retry::decide`] says, and answers what the last attempt gave.
    async fn send(&self, request: &Request) -> Result<Answer, NotionError> {
        let operation = request.operation;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let queued = Instant::now();
            let pass = self
                .turnstile
                .pass(self.priority)
                .await
                .map_err(|closed| match closed {
                    Closed::Stopped(reason) => NotionError::Stopped { operation, reason },
                    Closed::Resting(wait) => NotionError::Resting { operation, wait },
                })?;
            let sent = Instant::now();
            self.count(|usage| {
                usage.requests += 1;
                *usage.by_endpoint.entry(operation.endpoint()).or_default() += 1;
                usage.waited += sent - queued;
            });
            let result = self.transport.send(request).await;
            if let Some(date) = result.as_ref().ok().and_then(|answer| answer.date.as_deref()) {
                let date = OffsetDateTime::parse(date, &Rfc2822).ok();
                self.count(|usage| usage.answered_at = date.or(usage.answered_at));
            }
            let examined = Examined::new(operation, result);
            tracing::debug!(
                target: "frames_sync::notion",
                method = operation.method(),
                endpoint = operation.endpoint(),
                status = examined.status,
                request_id = examined.request_id.as_deref(),
                attempt,
                milliseconds = u64::try_from(sent.elapsed().as_millis()).unwrap_or(u64::MAX),
                "notion request"
            );
            let (outcome, error) = match examined.result {
                Ok(body) => {
                    pass.answered();
                    return Ok(Answer::Body(body));
                }
                Err(failure) => *failure,
            };
            let verdict = retry::decide(request.class(), &outcome, attempt, jitter());
            if let Retry::After {
                wait,
                throttled: true,
            } = verdict
            {
                // Before the pass goes back, so that nobody slips through between the two.
                self.turnstile.pause(wait);
            }
            match outcome {
                Outcome::NotSent => pass.not_sent(),
                Outcome::Answered { status, .. } if status < 500 || status == 529 => pass.answered(),
                Outcome::TooLarge => pass.answered(),
                _ => pass.failed(),
            }
            match verdict {
                Retry::After { throttled: true, .. } => self.count(|usage| usage.throttled += 1),
                Retry::After {
                    wait,
                    throttled: false,
                } => tokio::time::sleep(wait).await,
                Retry::Committed(ids) => return Ok(Answer::Committed(ids)),
                Retry::Never => return Err(error),
                Retry::StopConnection => {
                    self.turnstile.stop(error.code().unwrap_or("unauthorized"));
                    return Err(error);
                }
                Retry::Unknown => {
                    self.turnstile.in_doubt();
                    return Err(NotionError::UnknownOutcome {
                        operation,
                        reason: reason(&error),
                        request_id: examined.request_id,
                    });
                }
            }
        }
    }

    async fn read<T: DeserializeOwned>(&self, request: &Request) -> Result<T, NotionError> {
        match self.send(request).await? {
            Answer::Body(body) => decode(request.operation, &body),
            // Reads commit nothing: `decide` never says so for them.
            Answer::Committed(_) => Err(unexpected(request.operation, "no object in the answer")),
        }
    }

    /// Asks who the token belongs to.
    ///
    /// # Errors
    ///
    /// As every call: see [`NotionError`].
    pub async fn me(&self) -> Result<User, NotionError> {
        self.read(&request::me()).await
    }

    /// Lists the workspace's users.
    ///
    /// # Errors
    ///
    /// 403 without the capability to read users.
    pub async fn users(&self) -> Result<Vec<User>, NotionError> {
        self.collect(request::list_users).await
    }

    /// Reads a page; one in the trash is answered too, and says so.
    ///
    /// # Errors
    ///
    /// 404 where it is not shared or does not exist; [`AnswerProblem::WrongObject`] for an answer about
    /// another page.
    pub async fn retrieve_page(&self, id: &PageId) -> Result<Page, NotionError> {
        let page: Page = self.read(&request::retrieve_page(id)).await?;
        if same_id(page.id.as_str(), id.as_str()) {
            Ok(page)
        } else {
            Err(wrong_object(Operation::RetrievePage))
        }
    }

    /// Creates a page from values keyed by property name or id.
    ///
    /// # Guarantees
    ///
    /// Sent once. A 503 that names the page it made counts as success, and the page is read.
    ///
    /// # Errors
    ///
    /// [`NotionError::UnknownOutcome`]: the page may exist; search for its key before creating again.
    pub async fn create_page(
        &self,
        parent: &DataSourceId,
        properties: Map<String, Value>,
    ) -> Result<Page, NotionError> {
        let request = request::create_page(parent, properties);
        match self.send(&request).await? {
            Answer::Body(body) => decode_written(request.operation, &body),
            Answer::Committed(ids) => match ids.first() {
                Some(id) => {
                    self.at(Priority::Settle)
                        .retrieve_page(&PageId::from(id.as_str()))
                        .await
                }
                None => Err(committed_without_id(request.operation)),
            },
        }
    }

    /// Changes properties of a page; those left out keep their values, arrays are replaced whole.
    ///
    /// # Errors
    ///
    /// [`NotionError::UnknownOutcome`]: read the page before writing again. 409: nothing was saved.
    pub async fn update_page(
        &self,
        id: &PageId,
        properties: Map<String, Value>,
    ) -> Result<Page, NotionError> {
        self.change_page(
            id,
            Map::from_iter([("properties".to_owned(), Value::Object(properties))]),
        )
        .await
    }

    /// Puts a page in the trash.
    ///
    /// # Errors
    ///
    /// As [`Client::update_page`].
    pub async fn trash(&self, id: &PageId) -> Result<Page, NotionError> {
        self.change_page(id, Map::from_iter([("in_trash".to_owned(), true.into())]))
            .await
    }

    /// Takes a page out of the trash and changes properties in the same request.
    ///
    /// # Errors
    ///
    /// As [`Client::update_page`]; pages directly below the workspace cannot be restored.
    pub async fn restore(&self, id: &PageId, properties: Map<String, Value>) -> Result<Page, NotionError> {
        let mut changes = Map::from_iter([("in_trash".to_owned(), false.into())]);
        if !properties.is_empty() {
            changes.insert("properties".to_owned(), Value::Object(properties));
        }
        self.change_page(id, changes).await
    }

    /// Changes a page by the body of the endpoint.
    ///
    /// # Errors
    ///
    /// As [`Client::update_page`].
    pub async fn change_page(&self, id: &PageId, changes: Map<String, Value>) -> Result<Page, NotionError> {
        self.write_page(request::update_page(id, changes), id).await
    }

    /// Moves a page to another data source; values without a matching property there are lost.
    ///
    /// # Errors
    ///
    /// As [`Client::update_page`].
    pub async fn move_page(&self, id: &PageId, parent: &DataSourceId) -> Result<Page, NotionError> {
        self.write_page(request::move_page(id, parent), id).await
    }

    async fn write_page(&self, request: Request, id: &PageId) -> Result<Page, NotionError> {
        match self.send(&request).await? {
            Answer::Body(body) => decode_written(request.operation, &body),
            Answer::Committed(_) => self.at(Priority::Settle).retrieve_page(id).await,
        }
    }

    /// Reads one property of a page completely.
    ///
    /// Titles, texts, people and relations come as the array that a page object would hold without its
    /// limit; rollups as their `rollup` object with the last batch's value; all others as their value.
    ///
    /// # Errors
    ///
    /// 404 where the page or the property is out of reach.
    pub async fn property_items(&self, page: &PageId, property: &PropertyId) -> Result<Value, NotionError> {
        let mut cursor: Option<String> = None;
        let mut collected: Vec<Value> = Vec::new();
        loop {
            let asked = request::retrieve_property(page, property, cursor.as_deref());
            let list = match self.read(&asked).await? {
                PropertyItem::Value(value) => {
                    let kind = value["type"].as_str().unwrap_or_default().to_owned();
                    return Ok(value[kind.as_str()].clone());
                }
                PropertyItem::Items(list) => list,
            };
            let rollup = list
                .rest
                .get("property_item")
                .and_then(|item| item.get("rollup"))
                .cloned();
            collected.extend(list.results.into_iter().map(|mut item| {
                let kind = item["type"].as_str().unwrap_or_default().to_owned();
                item[kind.as_str()].take()
            }));
            cursor = next(asked.operation, list.has_more, list.next_cursor)?;
            if cursor.is_none() {
                return Ok(match rollup {
                    Some(mut rollup) if rollup["type"] == "array" => {
                        rollup["array"] = Value::Array(collected);
                        rollup
                    }
                    Some(rollup) => rollup,
                    None => Value::Array(collected),
                });
            }
        }
    }

    /// Completes the lists that a page object cut short, so that a list of 25 is never taken for all.
    ///
    /// Costs a request per batch of 100 for each property in doubt, and none for most pages.
    ///
    /// # Errors
    ///
    /// As [`Client::property_items`]; the page is lost then, and nothing incomplete is answered.
    pub async fn complete_page(&self, mut page: Page) -> Result<Page, NotionError> {
        for (name, id, kind) in page.truncated() {
            let complete = self.property_items(&page.id, &id).await?;
            if let Some(value) = page.properties.get_mut(&name) {
                value[kind.as_str()] = complete;
                if kind == "relation" {
                    value["has_more"] = false.into();
                }
            }
        }
        Ok(page)
    }

    /// Queries one batch of a data source.
    ///
    /// # Errors
    ///
    /// 400 for a filter that does not fit the schema.
    pub async fn query(
        &self,
        data_source: &DataSourceId,
        query: &Query,
        cursor: Option<&str>,
        page_size: u32,
    ) -> Result<List<Value>, NotionError> {
        self.read(&request::query(data_source, query, cursor, page_size))
            .await
    }

    /// Lists all pages of a data source that a filter lets through, batch by batch.
    pub fn query_all(&self, data_source: &DataSourceId, filter: Option<Value>) -> Listing {
        Listing::new(self.clone(), data_source.clone(), filter)
    }

    /// Reads a data source with its schema.
    ///
    /// # Errors
    ///
    /// 404 where it is not shared.
    pub async fn retrieve_data_source(&self, id: &DataSourceId) -> Result<DataSource, NotionError> {
        self.read(&request::retrieve_data_source(id)).await
    }

    /// Creates a further data source in a database.
    ///
    /// # Errors
    ///
    /// [`NotionError::UnknownOutcome`]: look for it in its database before creating again.
    pub async fn create_data_source(
        &self,
        parent: &DatabaseId,
        title: &str,
        properties: Map<String, Value>,
    ) -> Result<DataSource, NotionError> {
        self.create(
            &request::create_data_source(parent, title, properties),
            |client, id| Box::pin(async move { client.retrieve_data_source(&DataSourceId(id)).await }),
        )
        .await
    }

    /// Changes a data source by the body of the endpoint, and answers its schema afterwards.
    ///
    /// # Errors
    ///
    /// [`NotionError::UnknownOutcome`]: read it before writing again.
    pub async fn update_data_source(
        &self,
        id: &DataSourceId,
        changes: Map<String, Value>,
    ) -> Result<DataSource, NotionError> {
        let request = request::update_data_source(id, changes);
        match self.send(&request).await? {
            Answer::Body(body) => decode_written(request.operation, &body),
            Answer::Committed(_) => self.at(Priority::Settle).retrieve_data_source(id).await,
        }
    }

    /// Reads a database.
    ///
    /// # Errors
    ///
    /// 404 where it is not shared, and for the id of a page or a data source.
    pub async fn retrieve_database(&self, id: &DatabaseId) -> Result<Database, NotionError> {
        self.read(&request::retrieve_database(id)).await
    }

    /// Creates a database from the body of the endpoint.
    ///
    /// # Errors
    ///
    /// [`NotionError::UnknownOutcome`]: look for its title under the parent page before creating again.
    pub async fn create_database(&self, body: Map<String, Value>) -> Result<Database, NotionError> {
        self.create(&request::create_database(body), |client, id| {
            Box::pin(async move { client.retrieve_database(&DatabaseId(id)).await })
        })
        .await
    }

    /// Changes a database by the body of the endpoint.
    ///
    /// # Errors
    ///
    /// [`NotionError::UnknownOutcome`]: read it before writing again.
    pub async fn update_database(
        &self,
        id: &DatabaseId,
        changes: Map<String, Value>,
    ) -> Result<Database, NotionError> {
        let request = request::update_database(id, changes);
        match self.send(&request).await? {
            Answer::Body(body) => decode_written(request.operation, &body),
            Answer::Committed(_) => self.at(Priority::Settle).retrieve_database(id).await,
        }
    }

    /// Searches titles; late and not exhaustive, so never a proof of absence.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn search(&self, text: &str, found: Found) -> Result<Vec<Value>, NotionError> {
        self.collect(|cursor| request::search(text, found, cursor)).await
    }

    /// Lists the blocks directly on a page; a child database is one of them, with the database's id.
    ///
    /// # Errors
    ///
    /// 404 where the page is not shared.
    pub async fn list_blocks(&self, parent: &PageId) -> Result<Vec<Block>, NotionError> {
        self.collect(|cursor| request::list_blocks(parent, cursor)).await
    }

    /// Appends blocks to a page: at most 100.
    ///
    /// # Errors
    ///
    /// [`NotionError::UnknownOutcome`]: list the blocks before appending again.
    pub async fn append_blocks(
        &self,
        parent: &PageId,
        children: Vec<Value>,
    ) -> Result<Vec<String>, NotionError> {
        let request = request::append_blocks(parent, children);
        match self.send(&request).await? {
            Answer::Body(body) => {
                let list: List<Block> = decode_written(request.operation, &body)?;
                Ok(list.results.into_iter().map(|block| block.id).collect())
            }
            Answer::Committed(ids) => Ok(ids),
        }
    }

    /// Lists a database's views: ids, and whatever else the listing fills in.
    ///
    /// # Errors
    ///
    /// 404 where the database is not shared.
    pub async fn list_views(&self, database: &DatabaseId) -> Result<Vec<View>, NotionError> {
        self.collect(|cursor| request::list_views(database, cursor)).await
    }

    /// Reads a view.
    ///
    /// # Errors
    ///
    /// 404 where its database is not shared.
    pub async fn retrieve_view(&self, id: &str) -> Result<View, NotionError> {
        self.read(&request::retrieve_view(id)).await
    }

    /// Creates a view from the body of the endpoint.
    ///
    /// # Errors
    ///
    /// [`NotionError::UnknownOutcome`]: list the views before creating again.
    pub async fn create_view(&self, body: Map<String, Value>) -> Result<View, NotionError> {
        self.create(&request::create_view(body), |client, id| {
            Box::pin(async move { client.retrieve_view(&id).await })
        })
        .await
    }

    /// Changes a view by the body of the endpoint.
    ///
    /// # Errors
    ///
    /// [`NotionError::UnknownOutcome`]: read it before writing again.
    pub async fn update_view(&self, id: &str, changes: Map<String, Value>) -> Result<View, NotionError> {
        let request = request::update_view(id, changes);
        match self.send(&request).await? {
            Answer::Body(body) => decode_written(request.operation, &body),
            Answer::Committed(_) => self.at(Priority::Settle).retrieve_view(id).await,
        }
    }

    /// Lists a page's open comments.
    ///
    /// # Errors
    ///
    /// 403 without the capability to read comments.
    pub async fn list_comments(&self, page: &PageId) -> Result<Vec<Comment>, NotionError> {
        self.collect(|cursor| request::list_comments(page, cursor)).await
    }

    /// Writes a comment on a page.
    ///
    /// # Errors
    ///
    /// [`NotionError::UnknownOutcome`]: list the comments before writing again.
    pub async fn create_comment(&self, page: &PageId, text: &str) -> Result<Comment, NotionError> {
        let request = request::create_comment(page, text);
        match self.send(&request).await? {
            Answer::Body(body) => decode_written(request.operation, &body),
            Answer::Committed(ids) => match ids.into_iter().next() {
                Some(id) => Ok(Comment {
                    id,
                    rich_text: Vec::new(),
                    rest: Map::new(),
                }),
                None => Err(committed_without_id(request.operation)),
            },
        }
    }

    /// Uploads a file: at once up to 20 MB, in parts of 10 MB beyond.
    ///
    /// The answer's id goes into a files property within an hour.
    ///
    /// # Errors
    ///
    /// Nothing is attached by a failed upload; it expires by itself.
    pub async fn upload_file(
        &self,
        filename: &str,
        content_type: &str,
        bytes: &[u8],
    ) -> Result<FileUpload, NotionError> {
        const SINGLE: usize = 20_000_000;
        const PART: usize = 10_000_000;
        if bytes.len() <= SINGLE {
            let upload = self
                .start_upload(&UploadMode::SinglePart, filename, content_type)
                .await?;
            return self
                .send_part(&upload, filename, content_type, None, bytes.to_vec())
                .await;
        }
        let parts: Vec<&[u8]> = bytes.chunks(PART).collect();
        let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        let upload = self
            .start_upload(&UploadMode::Parts(count), filename, content_type)
            .await?;
        for (number, part) in (1..).zip(parts) {
            self.send_part(&upload, filename, content_type, Some(number), part.to_vec())
                .await?;
        }
        self.finish_write(&request::complete_file_upload(&upload.id))
            .await
    }

    /// Has Notion fetch a file from an address; poll [`Client::retrieve_file_upload`] until it is there.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn import_file(
        &self,
        url: &str,
        filename: &str,
        content_type: &str,
    ) -> Result<FileUpload, NotionError> {
        self.start_upload(&UploadMode::External(url.to_owned()), filename, content_type)
            .await
    }

    /// Reads how an upload stands.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn retrieve_file_upload(&self, id: &str) -> Result<FileUpload, NotionError> {
        self.read(&request::retrieve_file_upload(id)).await
    }

    async fn start_upload(
        &self,
        mode: &UploadMode,
        filename: &str,
        content_type: &str,
    ) -> Result<FileUpload, NotionError> {
        self.create(
            &request::create_file_upload(mode, filename, content_type),
            |client, id| Box::pin(async move { client.retrieve_file_upload(&id).await }),
        )
        .await
    }

    async fn send_part(
        &self,
        upload: &FileUpload,
        filename: &str,
        content_type: &str,
        part: Option<u32>,
        bytes: Vec<u8>,
    ) -> Result<FileUpload, NotionError> {
        self.finish_write(&request::send_file_upload(
            &upload.id,
            filename,
            content_type,
            part,
            bytes,
        ))
        .await
    }

    async fn finish_write<T: DeserializeOwned>(&self, request: &Request) -> Result<T, NotionError> {
        match self.send(request).await? {
            Answer::Body(body) => decode_written(request.operation, &body),
            Answer::Committed(_) => Err(committed_without_id(request.operation)),
        }
    }

    /// Sends a create, and reads what it made where the answer only names it.
    async fn create<T: DeserializeOwned>(
        &self,
        request: &Request,
        find: impl FnOnce(Client, String) -> futures_util::future::BoxFuture<'static, Result<T, NotionError>>,
    ) -> Result<T, NotionError> {
        match self.send(request).await? {
            Answer::Body(body) => decode_written(request.operation, &body),
            Answer::Committed(ids) => match ids.into_iter().next() {
                Some(id) => find(self.at(Priority::Settle), id).await,
                None => Err(committed_without_id(request.operation)),
            },
        }
    }

    /// Reads all batches of a listing that is known to be short.
    async fn collect<T: DeserializeOwned>(
        &self,
        batch: impl Fn(Option<&str>) -> Request,
    ) -> Result<Vec<T>, NotionError> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let request = batch(cursor.as_deref());
            let list: List<T> = self.read(&request).await?;
            all.extend(list.results);
            cursor = next(request.operation, list.has_more, list.next_cursor)?;
            if cursor.is_none() {
                return Ok(all);
            }
        }
    }
}

/// Says nothing but that it is a client: the token stays out of every message.
impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("priority", &self.priority)
            .finish_non_exhaustive()
    }
}

/// What a request led to.
enum Answer {
    Body(Vec<u8>),
    Committed(Vec<String>),
}

/// An answer looked at once, for the log, the retry and the caller.
struct Examined {
    status: Option<u16>,
    request_id: Option<String>,
    result: Result<Vec<u8>, Box<(Outcome, NotionError)>>,
}

impl Examined {
    fn new(operation: Operation, result: Result<RawAnswer, TransportError>) -> Self {
        match result {
            Ok(answer) => Self {
                status: Some(answer.status),
                request_id: answer.request_id.clone(),
                result: examine(operation, answer),
            },
            Err(problem) => {
                let outcome = match &problem {
                    TransportError::NotSent(_) => Outcome::NotSent,
                    TransportError::TimedOut => Outcome::TimedOut,
                    TransportError::Broken(_) => Outcome::Broken,
                    TransportError::TooLarge => Outcome::TooLarge,
                };
                let error = NotionError::Send { operation, problem };
                Self {
                    status: None,
                    request_id: None,
                    result: Err(Box::new((outcome, error))),
                }
            }
        }
    }
}

fn examine(operation: Operation, answer: RawAnswer) -> Result<Vec<u8>, Box<(Outcome, NotionError)>> {
    let RawAnswer {
        status,
        request_id,
        retry_after,
        date,
        content_type,
        body,
    } = answer;
    let unreadable = |problem, request_id| NotionError::ReadAnswer {
        operation,
        status,
        problem,
        request_id,
    };
    let is_html = content_type.as_deref().is_some_and(|kind| kind.contains("html"))
        || body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<');
    if (200..300).contains(&status) {
        return if is_html {
            Err(Box::new((
                Outcome::Unreadable,
                unreadable(AnswerProblem::Html(status), request_id),
            )))
        } else if serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_err() {
            Err(Box::new((
                Outcome::Unreadable,
                unreadable(AnswerProblem::Malformed, request_id),
            )))
        } else {
            Ok(body)
        };
    }
    let retry_after = retry_after.and_then(|header| retry::parse_retry_after(&header, date.as_deref()));
    let parsed: Option<ErrorBody> = serde_json::from_slice(&body).ok();
    let error = match &parsed {
        Some(error) => {
            let mut error = error.clone();
            error.request_id = error.request_id.or(request_id);
            NotionError::Refused {
                operation,
                refusal: Box::new(Refusal { status, body: error }),
            }
        }
        None if (300..400).contains(&status) => unreadable(AnswerProblem::Redirect, request_id),
        None if is_html => unreadable(AnswerProblem::Html(status), request_id),
        None => unreadable(AnswerProblem::Malformed, request_id),
    };
    Err(Box::new((
        Outcome::Answered {
            status,
            retry_after,
            body: parsed,
        },
        error,
    )))
}

fn decode<T: DeserializeOwned>(operation: Operation, body: &[u8]) -> Result<T, NotionError> {
    serde_json::from_slice(body).map_err(|error| unexpected(operation, &shape(&error)))
}

/// Where an answer stops fitting, without the words of serde that quote values.
fn shape(error: &serde_json::Error) -> String {
    format!(
        "{:?} error at line {}, column {}",
        error.classify(),
        error.line(),
        error.column()
    )
}

/// Reads the answer of a write: one that cannot be read leaves the outcome unknown.
fn decode_written<T: DeserializeOwned>(operation: Operation, body: &[u8]) -> Result<T, NotionError> {
    serde_json::from_slice(body).map_err(|error| NotionError::UnknownOutcome {
        operation,
        reason: format!("the answer has an unexpected shape: {}", shape(&error)),
        request_id: None,
    })
}

fn unexpected(operation: Operation, shape: &str) -> NotionError {
    let problem = AnswerProblem::Shape(shape.to_owned());
    NotionError::ReadAnswer {
        operation,
        status: 200,
        problem,
        request_id: None,
    }
}

fn wrong_object(operation: Operation) -> NotionError {
    NotionError::ReadAnswer {
        operation,
        status: 200,
        problem: AnswerProblem::WrongObject,
        request_id: None,
    }
}

fn committed_without_id(operation: Operation) -> NotionError {
    NotionError::UnknownOutcome {
        operation,
        reason: "Notion saved it and did not answer with it".to_owned(),
        request_id: None,
    }
}

/// The cursor of the next batch.
///
/// # Errors
///
/// A batch that promises more without saying where would end a listing early, or never.
pub(super) fn next(
    operation: Operation,
    has_more: bool,
    cursor: Option<String>,
) -> Result<Option<String>, NotionError> {
    match (has_more, cursor) {
        (true, None) => Err(unexpected(operation, "`has_more` without `next_cursor`")),
        (true, cursor) => Ok(cursor),
        (false, _) => Ok(None),
    }
}

fn reason(error: &NotionError) -> String {
    match error {
        NotionError::Send { problem, .. } => problem.to_string(),
        NotionError::ReadAnswer { problem, .. } => problem.to_string(),
        NotionError::Refused { refusal, .. } => {
            json!({"status": refusal.status, "code": refusal.body.code}).to_string()
        }
        other => other.to_string(),
    }
}

/// A random number in `0..1`.
fn jitter() -> f64 {
    f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX)
}
