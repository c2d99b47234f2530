//! What each fuzz target does with any bytes, and what must hold then: never a panic, and the laws that are asserted.
//!
//! `fuzz/fuzz_targets/` calls these under libFuzzer, and the module above on bytes changed at random. Inputs begin with
//! what chooses among cases, as text where that can be read, so that a corpus is written by hand.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use frames_sync::codec::{Around, FieldCodec, FieldSpec, OnUnknown, literal};
use frames_sync::diagnostic::{Color, json, sarif, text};
use frames_sync::mapping::{self, Scene};
use frames_sync::notion::error::TransportError;
use frames_sync::notion::request::Request;
use frames_sync::notion::transport::{RawAnswer, Transport};
use frames_sync::notion::turnstile::Turnstile;
use frames_sync::notion::webhook::{self, Delivery, WebhookError};
use frames_sync::notion::{self, Client, EntityPages, NotionPages};
use frames_sync::plan::file::SavedPlan;
use frames_sync::ports::{BoxFuture, PageQuery, Pages, Priority};
use frames_sync::postgres::codec as postgres_text_codec;
use frames_sync::project::CronLine;
use frames_sync::schema::{PgType, PropertyType};
use frames_sync::template::{Ambient, Template};
use frames_sync::value::{Choice, Conversion, DataSourceId, DatabaseId, PageId, PropertyId, UserId, Value};
use frames_sync::yaml;
use secrecy::SecretString;
use serde_json::{Map, Value as Json};

#[path = "multiplexer.rs"]
mod multiplexer;

/// What is done with an input.
type Target = fn(&[u8]);

/// Every target by the name of its corpus and of its file under `fuzz/fuzz_targets`.
pub(crate) const ALL: [(&str, Target); 9] = [
    ("mapping", mapping),
    ("template", template),
    ("notion_answer", notion_answer),
    ("webhook", webhook_delivery),
    ("codec", codec),
    ("postgres_text", postgres_text),
    ("saved_plan", saved_plan),
    ("wire_message", wire_message),
    ("cron", cron),
];

/// A mapping file through the offline layers: every place that a finding names lies inside its file.
pub(crate) fn mapping(bytes: &[u8]) {
    let read = yaml::read_bytes("fuzz.yaml", bytes.to_vec());
    let mut findings = read.findings;
    if let Some(document) = read.value {
        let parsed = mapping::parse(document);
        findings.extend(parsed.findings);
        if let Some(parsed) = &parsed.value {
            let checked = mapping::validate(parsed, &Scene::default());
            findings.extend(checked.findings);
            if let Some(mapping) = &checked.value {
                findings.extend(mapping::validate_together(&[(&parsed.document, mapping)], &[]));
            }
        }
    }
    for finding in &findings {
        for label in std::iter::once(&finding.primary).chain(&finding.secondary) {
            let is_inside = label.file.text.get(label.span.clone()).is_some();
            assert!(is_inside, "{:?} is not in the file: {finding:?}", label.span);
        }
        text(finding, Color::Plain);
    }
    json(&findings);
    sarif(&findings);
}

/// A template: it parses or says where not, and renders within its bounds or says why not.
pub(crate) fn template(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match Template::parse(text.as_ref()) {
        Ok(template) => {
            template.references();
            template.row_columns();
            let context =
                serde_json::json!({ "first_name": "Ada", "row": {}, "tags": ["a", "b"], "value": 1 });
            if let Err(error) = template.render(&context, &Ambient::FIXED) {
                assert!(!error.message.is_empty());
            }
        }
        Err(error) => {
            if let Some(range) = error.range {
                assert!(text.get(range.clone()).is_some(), "{range:?} in {text:?}");
            }
        }
    }
}

/// Answers the same again and again, and in the end that the token is wrong: a listing without end must not be one.
struct Same {
    answer: RawAnswer,
    sent: AtomicUsize,
}

/// Requests that one answer may lead to.
const MOST_REQUESTS: usize = 40;

impl Transport for Same {
    fn send<'a>(&'a self, _: &'a Request) -> BoxFuture<'a, Result<RawAnswer, TransportError>> {
        let answer = if self.sent.fetch_add(1, Ordering::Relaxed) < MOST_REQUESTS {
            self.answer.clone()
        } else {
            RawAnswer {
                status: 401,
                body: br#"{"object":"error","status":401,"code":"unauthorized","message":"no"}"#.to_vec(),
                ..RawAnswer::default()
            }
        };
        Box::pin(async move { Ok(answer) })
    }
}

thread_local! {
    /// Time that passes when everybody waits: repeated reads pause between each other.
    static RUNTIME: RefCell<tokio::runtime::Runtime> = RefCell::new(
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without threads"),
    );
}

/// An answer of Notion: `STATUS OPERATION`, a line end, and the body.
pub(crate) fn notion_answer(bytes: &[u8]) {
    let (head, body) = cut(bytes, b"\n");
    let head = String::from_utf8_lossy(head);
    let (status, operation) = head.split_once(' ').unwrap_or(("200", &head));
    let transport = Arc::new(Same {
        answer: RawAnswer {
            status: status.parse().unwrap_or(200),
            body: body.to_vec(),
            ..RawAnswer::default()
        },
        sent: AtomicUsize::new(0),
    });
    let client = Client::over(
        Arc::clone(&transport) as Arc<dyn Transport>,
        Turnstile::new(60_000),
    );
    RUNTIME.with_borrow(|runtime| runtime.block_on(ask(client, operation, body)));
    let sent = transport.sent.load(Ordering::Relaxed);
    assert!(
        sent <= MOST_REQUESTS + 1,
        "{sent} requests after the token was refused"
    );
}

async fn ask(client: Client, operation: &str, body: &[u8]) {
    let page = PageId::from("59b8c3c2-0000-4000-8000-000000000001");
    let source = DataSourceId::from("59b8c3c2-0000-4000-8000-00000000000d");
    let database = DatabaseId::from("59b8c3c2-0000-4000-8000-00000000000b");
    let failed = match operation.trim() {
        "me" => client.me().await.err(),
        "data_source" => match client.retrieve_data_source(&source).await {
            Ok(found) => {
                let schema = notion::introspect::schema(&found);
                assert!(schema.properties.len() <= body.len());
                None
            }
            Err(error) => Some(error),
        },
        "database" => client.retrieve_database(&database).await.err(),
        "views" => match client.list_views(&database).await {
            Ok(views) => {
                for view in &views {
                    notion::introspect::view(view);
                }
                None
            }
            Err(error) => Some(error),
        },
        "search" => client
            .search("Teams", notion::request::Found::DataSources)
            .await
            .err(),
        "blocks" => client.list_blocks(&page).await.err(),
        "property" => client
            .property_items(&page, &PropertyId::from("title"))
            .await
            .err(),
        "update" => client.update_page(&page, Map::new()).await.err(),
        "create" => client.create_page(&source, Map::new()).await.err(),
        "query" => {
            query(client, source, body).await;
            None
        }
        _ => match client.retrieve_page(&page).await {
            Ok(found) => client.complete_page(found).await.err(),
            Err(error) => Some(error),
        },
    };
    if let Some(error) = failed {
        assert!(!error.to_string().is_empty());
        // Each of these is asked by somebody.
        let _ = (
            error.help(),
            error.code(),
            error.is_unknown(),
            error.stops_the_connection(),
        );
    }
}

/// A listing through the engine's port: what an answer does not carry is never read as an empty value.
async fn query(client: Client, data_source: DataSourceId, body: &[u8]) {
    let properties: BTreeMap<PropertyId, PropertyType> = PropertyType::ALL
        .into_iter()
        .map(|kind| (PropertyId(kind.name().to_owned()), kind))
        .collect();
    let entity = EntityPages {
        data_source,
        postgres_id: PropertyId::from("rich_text"),
        properties,
    };
    let pages = NotionPages::new(
        client,
        UserId::from("bot"),
        BTreeMap::from([("teams".to_owned(), entity)]),
    );
    let Ok(batch) = pages.query("teams", &PageQuery::All, None, Priority::Scan).await else {
        return;
    };
    let body = String::from_utf8_lossy(body);
    for page in batch.pages {
        for property in page.properties.keys() {
            // Written with an escape it is carried too.
            let carried = body.contains(property.as_str()) || body.contains('\\');
            assert!(carried, "`{property}` is in no answer, and was read");
        }
    }
}

/// A delivery: the signature's header, a line end, and the body.
pub(crate) fn webhook_delivery(bytes: &[u8]) {
    let key: SecretString = "secret_fuzz".to_owned().into();
    let (header, body) = cut(bytes, b"\n");
    let good = webhook::sign(&key, body);
    let header = std::str::from_utf8(header).ok();
    let given = webhook::verify(&key, header, body);
    if header != Some(good.as_str()) {
        assert!(
            matches!(given, Err(WebhookError::Signature)),
            "{header:?} was taken for the signature"
        );
    }
    let mut almost = good.clone().into_bytes();
    if let Some(last) = almost.last_mut() {
        *last = if *last == b'0' { b'1' } else { b'0' };
    }
    let almost = String::from_utf8_lossy(&almost);
    assert_eq!(
        webhook::verify(&key, Some(&almost), body),
        Err(WebhookError::Signature)
    );
    if let Ok(event) = webhook::verify(&key, Some(&good), body) {
        event.data_source_id();
        event.updated_properties();
        assert!(!event.id.contains('\u{0}') || body.contains(&b'\\'));
    }
    if let Ok(delivery) = webhook::handshake(body) {
        let empty = Delivery::Handshake(String::new().into());
        assert_eq!(
            format!("{delivery:?}"),
            format!("{empty:?}"),
            "the token is shown"
        );
    }
}

/// Types of columns, by the first byte of an input.
fn column_types() -> Vec<PgType> {
    let state = PgType::Enum {
        name: "public.state".to_owned(),
        labels: ["active", "on_hold", "a,b"].map(str::to_owned).to_vec(),
    };
    let array = |element: PgType| PgType::Array(Box::new(element));
    vec![
        PgType::Text,
        PgType::Varchar(Some(8)),
        PgType::Char(6),
        PgType::Citext,
        PgType::Uuid,
        PgType::Int2,
        PgType::Int4,
        PgType::Int8,
        PgType::Float4,
        PgType::Float8,
        PgType::Numeric(None),
        PgType::Numeric(Some((8, 2))),
        PgType::Bool,
        PgType::Date,
        PgType::Time,
        PgType::Timetz,
        PgType::Timestamp,
        PgType::Timestamptz,
        PgType::Interval,
        PgType::Json,
        PgType::Jsonb,
        PgType::Bytea,
        PgType::Inet,
        PgType::Domain {
            name: "public.word".to_owned(),
            base: Box::new(PgType::Text),
        },
        array(PgType::Text),
        array(state.clone()),
        array(PgType::Int4),
        array(PgType::Float8),
        array(PgType::Timestamptz),
        array(PgType::Jsonb),
        state,
        PgType::Other("point".to_owned()),
    ]
}

/// One of a list, by a byte of an input: `A` is the first.
fn chosen<T>(list: &[T], byte: Option<&u8>) -> Option<usize> {
    let byte = usize::from(*byte?);
    (byte + list.len() * 65).checked_sub(65).map(|at| at % list.len())
}

fn conversions() -> [Option<Conversion>; 6] {
    [
        None,
        Some(Conversion::Iso8601),
        Some(Conversion::Split(",".to_owned())),
        Some(Conversion::Json),
        Some(Conversion::Trim),
        Some(Conversion::Scale(0.01)),
    ]
}

/// A row's text and a page's property: three bytes that choose column, property and conversion, a text, a line of
/// three dashes, and the property's JSON.
///
/// The laws of the codec, up to its canonical form, hold for whatever it takes; what it does not take is an error.
pub(crate) fn codec(bytes: &[u8]) {
    let types = column_types();
    let conversions = conversions();
    let (Some(column), Some(property), Some(conversion)) = (
        chosen(&types, bytes.first()),
        chosen(&PropertyType::ALL, bytes.get(1)),
        chosen(&conversions, bytes.get(2)),
    ) else {
        return;
    };
    let property = PropertyType::ALL[property];
    let mut spec = FieldSpec::new(types[column].clone(), property);
    spec.conversion = conversions[conversion].clone();
    spec.on_unknown = OnUnknown::Create;
    spec.options = ["active", "on_hold"]
        .map(|name| Choice {
            id: None,
            name: name.to_owned(),
        })
        .to_vec();
    let Ok(codec) = FieldCodec::new(spec) else {
        return;
    };
    let (row, page) = cut(&bytes[3..], b"\n---\n");
    if let Ok(row) = std::str::from_utf8(row) {
        there_and_back(
            &codec,
            &postgres_text_codec::decode(&types[column], Some(row)),
            property,
        );
    }
    if let Ok(page) = serde_json::from_slice::<Json>(page) {
        hostile_property(&codec, &page, property);
    }
}

fn there_and_back(codec: &FieldCodec, row: &Value, property: PropertyType) {
    let canonical = codec.canon_pg(row);
    assert!(
        codec.canon_pg(&canonical) == canonical,
        "canonical twice is another value"
    );
    let Ok(sent) = codec.enc(row, None, Around::NOTHING) else {
        return;
    };
    assert!(
        codec.agree(row, &sent, Around::NOTHING) == Ok(true),
        "what was sent does not agree"
    );
    if codec.fit().reaches_postgres() {
        let back = codec.dec(&sent, Some(row), Around::NOTHING);
        assert!(
            back.is_ok_and(|back| codec.canon_pg(&back) == canonical),
            "what went over comes back as something else"
        );
    }
    let Ok(mut written) = notion::codec::encode(property, &sent) else {
        return;
    };
    written["type"] = property.name().into();
    let read = notion::codec::decode(property, &written);
    assert!(
        read.is_ok_and(|read| codec.canon_nt(&read) == codec.canon_nt(&sent)),
        "what is written reads as something else: {written}"
    );
}

fn hostile_property(codec: &FieldCodec, page: &Json, property: PropertyType) {
    if let Json::Array(items) = page {
        // The items of a property endpoint.
        let _ = notion::codec::decode_items(property, items);
    }
    let Ok(read) = notion::codec::decode(property, page) else {
        return;
    };
    let canonical = codec.canon_nt(&read);
    assert!(
        codec.canon_nt(&canonical) == canonical,
        "canonical twice is another value"
    );
    let Ok(row) = codec.dec(&read, None, Around::NOTHING) else {
        return;
    };
    if let Ok(Some(bound)) = postgres_text_codec::encode(&row) {
        let again = taken(&codec.spec().pg_type, &bound);
        assert!(
            codec.canon_pg(&again) == codec.canon_pg(&row),
            "what is bound reads as something else"
        );
    }
    if codec.fit().reaches_notion() {
        let back = codec.enc(&row, Some(&read), Around::NOTHING);
        assert!(
            back.is_ok_and(|back| codec.canon_nt(&back) == canonical),
            "what came over goes back as something else"
        );
    }
}

/// What Postgres makes of bound text: an array's elements come as JSON strings, each of which is text of its type.
fn taken(pg_type: &PgType, bound: &str) -> Value {
    let PgType::Array(element) = pg_type.base() else {
        return postgres_text_codec::decode(pg_type, Some(bound));
    };
    // What was no array that we know is carried as it was.
    let Ok(elements) = serde_json::from_str::<Vec<Option<String>>>(bound) else {
        return postgres_text_codec::decode(pg_type, Some(bound));
    };
    let values = elements
        .iter()
        .map(|text| postgres_text_codec::decode(element, text.as_deref()));
    Value::List(values.collect())
}

/// What Postgres sends for a column: a byte for its type, and the text.
pub(crate) fn postgres_text(bytes: &[u8]) {
    let types = column_types();
    let Some(column) = chosen(&types, bytes.first()) else {
        return;
    };
    let Ok(text) = std::str::from_utf8(&bytes[1..]) else {
        return;
    };
    let pg_type = &types[column];
    let value = postgres_text_codec::decode(pg_type, Some(text));
    if let Some(parsed) = literal::parse(pg_type, text) {
        literal::show(&parsed);
    }
    let Ok(Some(bound)) = postgres_text_codec::encode(&value) else {
        return;
    };
    let again = taken(pg_type, &bound);
    assert!(
        again.canonical() == value.canonical(),
        "what is bound for a column's own text reads as something else"
    );
}

/// A saved plan: it is read or refused; as it was saved it is taken, and edited it is not.
pub(crate) fn saved_plan(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Err(error) = SavedPlan::parse(text) {
        assert!(!error.to_string().is_empty());
    }
    let Ok(mut saved) = serde_json::from_str::<SavedPlan>(text) else {
        return;
    };
    saved.format = frames_sync::plan::file::FORMAT;
    saved.hash = saved.plan.hash();
    let read = SavedPlan::parse(&saved.to_text()).expect("what was saved is read");
    assert!(read == saved, "a plan reads as another");
    assert!(read.check(&saved.plan, &saved.profile, &saved.mappings).is_ok());
    saved.hash.push('0');
    assert!(
        SavedPlan::parse(&saved.to_text()).is_err(),
        "an edited plan is taken"
    );
}

/// Messages of a client of the embedded database: whatever it names is named after it.
pub(crate) fn wire_message(bytes: &[u8]) {
    let cut = multiplexer::frames(bytes);
    assert!(cut.iter().map(|(_, _, length)| length).sum::<usize>() <= bytes.len());
    let (messages, closes) = multiplexer::rewritten(7, bytes);
    let rewritten = multiplexer::frames(&messages);
    let whole: usize = rewritten.iter().map(|(_, _, length)| length).sum();
    assert_eq!(whole, messages.len(), "what is sent on is cut short");
    let closing = rewritten.iter().filter(|(tag, ..)| *tag == b'C').count();
    assert_eq!(closing, closes, "a Close that nobody waits for");
    for (tag, body, _) in &rewritten {
        let statement = match (tag, body.first()) {
            (b'P', _) => Some(&body[..]),
            (b'D' | b'C', Some(b'S')) => Some(&body[1..]),
            (b'B', _) => body
                .iter()
                .position(|byte| *byte == 0)
                .map(|end| &body[end + 1..]),
            _ => None,
        };
        if let Some(statement) = statement {
            assert!(
                statement.starts_with(b"client_7_"),
                "a statement of nobody's: {body:?}"
            );
        }
    }
}

/// A cron line: what is taken comes again, and later each time.
pub(crate) fn cron(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(line) = CronLine::parse(text) else {
        return;
    };
    assert!(CronLine::parse(&line.to_string()).is_ok_and(|again| again == line));
    let mut at = "2026-11-26T10:00:00Z".parse().expect("an instant");
    for _ in 0..3 {
        let Some(next) = line.next_after(at) else {
            return;
        };
        assert!(next > at, "{text:?}: {next} comes after {at}");
        at = next;
    }
}

fn cut<'a>(bytes: &'a [u8], mark: &[u8]) -> (&'a [u8], &'a [u8]) {
    match bytes.windows(mark.len()).position(|window| window == mark) {
        Some(at) => (&bytes[..at], &bytes[at + mark.len()..]),
        None => (bytes, &[]),
    }
}
