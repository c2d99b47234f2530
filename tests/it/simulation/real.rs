//! L5: the same schedule over a real PostgreSQL, through the product's own adapter, in virtual time, and what must be the
//! same then: everything that happened, in order, and everything that both sides and the engine's memory hold at the end.
//!
//! Notion, faults and people's work are those of the simulation; only [`Postgres`] is another one. The server's
//! `clock_timestamp()` is taken away and given back as a function that reads the schedule's clock from a setting of the
//! one connection, so that leases, notes and choices carry virtual instants there too.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use frames_sync::journal::{AuditEntry, Conflict, Intent};
use frames_sync::mapping::{Comparison, Literal, Predicate};
use frames_sync::ports::{
    Approval, AuditFilter, BoxFuture, Change, Clock, Commit, CommitOutcome, Fence, LeaseGrant, Link,
    LinkTotals, Marks, Pin, Row, Rows, RowsError, RunRecord, Store, StoreError,
};
use frames_sync::postgres::connect::connect_options;
use frames_sync::postgres::{
    ConnectOptions, EntityTable, ProfileDatabase, capture, introspect, migrate_state,
};
use frames_sync::reconcile::Side;
use frames_sync::schema::{TableName, TableSchema};
use frames_sync::simulator::table::Columns;
use frames_sync::value::{Number, PageId, RecordKey, Value};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool, Row as _};
use time::OffsetDateTime;
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::database::answered;
use super::mutants::Mutant;
use super::postgres::{Backup, NextDoor, Postgres};
use super::profile::VirtualClock;
use super::tape::{Op, Setting, Tape};
use super::world::{PROJECTS, TEAMS};
use super::{For, Schedule, Verdict};

/// Where the engine's memory is.
const STATE: &str = "frames_sync";

/// What replaces the server's clock. Every database has its own, and only the superuser of a throwaway one may do this.
const CLOCK: &str = "
    alter function pg_catalog.clock_timestamp() rename to clock_timestamp_of_the_machine;
    create function pg_catalog.clock_timestamp() returns timestamptz language sql volatile
        as $$ select pg_catalog.current_setting('simulation.now')::timestamptz $$;";

/// What the table does to every row, as [`super::database::trigger`] does it: takes it into the scope, and cuts off `~`.
const TRIGGERS: &str = "
    create function public.take_in() returns trigger language plpgsql as $$ begin
        new.org := coalesce(new.org, 'a');
        return new;
    end $$;
    create function public.cut_off() returns trigger language plpgsql as $$ begin
        new.name := rtrim(coalesce(new.name, ''), '~');
        new.note := rtrim(coalesce(new.note, ''), '~');
        return new;
    end $$;";

/// A throwaway database with a clock of its own, that one schedule after the other uses.
pub(crate) struct Server {
    runtime: Runtime,
    pool: PgPool,
    told: Mutex<Option<OffsetDateTime>>,
}

impl Server {
    /// Takes over the empty database of a URL, as superuser. Not inside a runtime: every call is waited for on the spot.
    pub(crate) fn over(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let options = connect_options(&SecretString::from(url), &ConnectOptions::default()).expect("a URL");
        // The clock is a setting of the connection: it is the only one, and stays.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .test_before_acquire(false);
        let pool = runtime.block_on(async {
            let pool = pool.connect_with(options).await.expect("a connection");
            migrate_state(&pool, STATE).await.expect("a state schema");
            for sql in [CLOCK, TRIGGERS] {
                sqlx::raw_sql(sql).execute(&pool).await.expect(sql);
            }
            pool
        });
        Self {
            runtime,
            pool,
            told: Mutex::new(None),
        }
    }

    fn execute(&self, sql: &str) {
        let run = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&self.pool);
        self.runtime
            .block_on(run)
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// The server's clock shows that instant from now on.
    fn tell(&self, now: OffsetDateTime) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != Some(now) {
            let micros = now.unix_timestamp_nanos() / 1000;
            self.execute(&format!(
                "select set_config('simulation.now', \
                 ('epoch'::timestamptz + {micros} * interval '1 microsecond')::text, false)"
            ));
            *told = Some(now);
        }
    }

    /// The texts of a statement's only column.
    fn texts(&self, sql: &str, bound: &[&str]) -> Vec<String> {
        let mut query = sqlx::query(AssertSqlSafe(sql.to_owned())).persistent(false);
        for text in bound {
            query = query.bind(*text);
        }
        let rows = self.runtime.block_on(query.fetch_all(&self.pool));
        rows.unwrap_or_else(|error| panic!("{sql}: {error}"))
            .iter()
            .map(|row| row.get(0))
            .collect()
    }

    fn bodies<T: DeserializeOwned>(&self, sql: &str) -> Vec<T> {
        self.texts(sql, &[])
            .iter()
            .map(|text| serde_json::from_str(text).expect("what the program wrote"))
            .collect()
    }

    /// Empty tables as the setting wants them, and no memory of the schedule before.
    fn clear(&self, setting: &Setting) {
        let state = [
            "lease",
            "link",
            "intent",
            "conflict",
            "audit",
            "mark",
            "pin",
            "run",
            "approval",
            "capture",
            "change_log",
        ]
        .map(|table| format!("{STATE}.{table}"))
        .join(", ");
        let relation = if setting.relations {
            ", project_id text"
        } else {
            ""
        };
        let acts = if setting.table_acts {
            "alter table public.teams add constraint no_hash check (name not like '%#' and note not like '%#');
             create trigger cut_off before insert or update on public.teams
                 for each row execute function public.cut_off();"
        } else {
            ""
        };
        self.execute(&format!(
            "set session_replication_role = replica; truncate {state} restart identity;
             set session_replication_role = origin;
             drop table if exists public.teams, public.projects;
             create table public.teams (id text primary key, name text, note text, size numeric, tag text, hint text,
                 org text, secret text, updated_at timestamptz{relation});
             create trigger take_in before insert or update on public.teams
                 for each row execute function public.take_in();
             create table public.projects (id text primary key, name text);
             {acts}"
        ));
    }

    fn table(&self, name: &str) -> TableSchema {
        let name = TableName {
            schema: "public".to_owned(),
            name: name.to_owned(),
        };
        let found = self.runtime.block_on(introspect(&self.pool, &name));
        found.expect("the catalog").expect("the table")
    }
}

/// The product's adapter over a [`Server`], each call made and answered at the instant it is asked for.
struct Real {
    server: Arc<Server>,
    database: ProfileDatabase,
    clock: Arc<VirtualClock>,
}

impl Real {
    fn new(server: &Arc<Server>, setting: &Setting, clock: Arc<VirtualClock>) -> Self {
        server.clear(setting);
        let entity = |name: &str, scope: Predicate, columns: Vec<String>| {
            let table = EntityTable {
                table: server.table(name),
                key: vec!["id".to_owned()],
                columns,
                scope,
                updated_at: (setting.is_stamped() && name == TEAMS).then(|| "updated_at".to_owned()),
            };
            (name.to_owned(), table)
        };
        let scope = Predicate::Compare {
            column: "org".to_owned(),
            comparison: Comparison::Equal,
            value: Literal::Text("a".to_owned()),
        };
        let teams = entity(TEAMS, scope, answered(setting));
        if setting.triggers {
            let (profile, key) = (super::profile::NAME, &["id".to_owned()]);
            let installed = capture::install(&server.pool, STATE, profile, TEAMS, &teams.1.table, key);
            server.runtime.block_on(installed).expect("triggers");
        }
        let projects = ["id", "name"].map(str::to_owned).to_vec();
        let entities = [teams, entity(PROJECTS, Predicate::EVERY_ROW, projects)];
        let database = ProfileDatabase::new(
            server.pool.clone(),
            STATE,
            super::profile::NAME,
            entities.into_iter().collect(),
            None,
        );
        Self {
            server: Arc::clone(server),
            database: database.expect("known columns"),
            clock,
        }
    }

    fn tell_the_time(&self) {
        self.server.tell(self.clock.now());
    }

    /// Makes a call when it is first polled, and waits for its answer there: no virtual time passes.
    fn at_once<'a, T: Send + 'a>(&'a self, call: BoxFuture<'a, T>) -> BoxFuture<'a, T> {
        Box::pin(async move {
            self.tell_the_time();
            self.server.runtime.block_on(call)
        })
    }
}

macro_rules! at_once {
    ($(fn $name:ident<'a>(&'a self $(, $argument:ident: $type:ty)*) -> $answer:ty;)*) => {
        $(fn $name<'a>(&'a self $(, $argument: $type)*) -> BoxFuture<'a, $answer> {
            self.at_once(self.database.$name($($argument),*))
        })*
    };
}

impl Rows for Real {
    at_once! {
        fn scan<'a>(&'a self, entity: &'a str, after: Option<&'a RecordKey>, limit: usize)
            -> Result<Vec<Row>, RowsError>;
        fn changes<'a>(&'a self, entity: &'a str, limit: usize) -> Result<Vec<Change>, RowsError>;
        fn updated_since<'a>(
            &'a self, entity: &'a str, since: OffsetDateTime, after: Option<&'a RecordKey>, limit: usize
        ) -> Result<Vec<Row>, RowsError>;
        fn read<'a>(&'a self, entity: &'a str, keys: &'a [RecordKey]) -> Result<Vec<Row>, RowsError>;
    }
}

impl Store for Real {
    at_once! {
        fn acquire<'a>(&'a self, holder: &'a str, duration: Duration) -> Result<Option<LeaseGrant>, StoreError>;
        fn renew<'a>(&'a self, fence: Fence, duration: Duration) -> Result<LeaseGrant, StoreError>;
        fn release<'a>(&'a self, fence: Fence) -> Result<(), StoreError>;
        fn commit<'a>(&'a self, fence: Fence, commit: Commit<'a>) -> Result<CommitOutcome, StoreError>;
        fn links_by_key<'a>(&'a self, entity: &'a str, keys: &'a [RecordKey]) -> Result<Vec<Link>, StoreError>;
        fn links_by_page<'a>(&'a self, entity: &'a str, pages: &'a [PageId]) -> Result<Vec<Link>, StoreError>;
        fn links_after<'a>(&'a self, entity: &'a str, after: Option<Uuid>, limit: usize)
            -> Result<Vec<Link>, StoreError>;
        fn links_due<'a>(&'a self, entity: &'a str, now: OffsetDateTime, limit: usize)
            -> Result<Vec<Link>, StoreError>;
        fn links_troubled<'a>(&'a self, entity: &'a str, limit: usize) -> Result<Vec<Link>, StoreError>;
        fn totals<'a>(&'a self, entity: &'a str) -> Result<LinkTotals, StoreError>;
        fn intents<'a>(&'a self, links: &'a [Uuid]) -> Result<Vec<Intent>, StoreError>;
        fn links_with_intents<'a>(&'a self, entity: &'a str) -> Result<Vec<Link>, StoreError>;
        fn conflicts<'a>(&'a self, links: &'a [Uuid]) -> Result<Vec<Conflict>, StoreError>;
        fn open_conflicts<'a>(&'a self, entity: Option<&'a str>) -> Result<Vec<Conflict>, StoreError>;
        fn conflict<'a>(&'a self, id: Uuid) -> Result<Option<Conflict>, StoreError>;
        fn choose<'a>(&'a self, id: Uuid, rev: i64, side: Side) -> Result<bool, StoreError>;
        fn marks<'a>(&'a self, entity: &'a str) -> Result<Marks, StoreError>;
        fn deleted_since<'a>(&'a self, entity: &'a str, side: Side, since: OffsetDateTime)
            -> Result<u64, StoreError>;
        fn writes_since<'a>(&'a self, links: &'a [Uuid], since: OffsetDateTime)
            -> Result<std::collections::BTreeMap<Uuid, u32>, StoreError>;
        fn pins<'a>(&'a self) -> Result<Vec<Pin>, StoreError>;
        fn take_approval<'a>(&'a self, hash: &'a str, now: OffsetDateTime) -> Result<bool, StoreError>;
        fn approve<'a>(&'a self, approval: &'a Approval) -> Result<(), StoreError>;
        fn audit<'a>(&'a self, filter: &'a AuditFilter) -> Result<Vec<AuditEntry>, StoreError>;
        fn runs<'a>(&'a self, limit: u32) -> Result<Vec<RunRecord>, StoreError>;
    }
}

impl Postgres for Real {
    fn rows(&self) -> &dyn Rows {
        self
    }

    fn store(&self) -> &dyn Store {
        self
    }

    fn put(&self, entity: &str, columns: Columns) {
        self.tell_the_time();
        let names: Vec<&str> = columns.keys().map(String::as_str).collect();
        let names = names.join(", ");
        let sql = format!(
            "insert into public.{entity} ({names}) select {names} from jsonb_populate_record(null::public.{entity}, \
             $1::jsonb) on conflict (id) do update set ({names}) = row(excluded.{}) returning id",
            names.replace(", ", ", excluded.")
        );
        self.server
            .texts(&sql, &[&Json::Object(written(&columns)).to_string()]);
    }

    fn delete(&self, entity: &str, key: &RecordKey) -> bool {
        self.tell_the_time();
        let sql = format!("delete from public.{entity} where id = $1 returning id");
        !self.server.texts(&sql, &[&key.0[0]]).is_empty()
    }

    fn row(&self, entity: &str, key: &RecordKey) -> Option<Columns> {
        let sql = format!("select to_jsonb(t)::text from public.{entity} t where id = $1");
        let found = self.server.texts(&sql, &[&key.0[0]]).pop()?;
        let columns: Map<String, Json> = serde_json::from_str(&found).expect("a row as an object");
        Some(columns.into_iter().map(read_back).collect())
    }

    fn keys(&self, entity: &str) -> Vec<RecordKey> {
        let sql = format!("select id from public.{entity} order by id collate \"C\"");
        let keys = self.server.texts(&sql, &[]);
        keys.into_iter().map(RecordKey::single).collect()
    }

    fn links(&self) -> Vec<Link> {
        self.server
            .bodies(&format!("select body::text from {STATE}.link order by id"))
    }

    fn find_link(&self, fits: &dyn Fn(&Link) -> bool) -> Option<Link> {
        self.links().into_iter().find(fits)
    }

    fn audited(&self) -> usize {
        self.audit_log().len()
    }

    fn audit_log(&self) -> Vec<AuditEntry> {
        self.server
            .bodies(&format!("select body::text from {STATE}.audit order by seq"))
    }

    fn all_conflicts(&self) -> Vec<Conflict> {
        self.server
            .bodies(&format!("select body::text from {STATE}.conflict order by id"))
    }

    fn rekey(&self, entity: &str, key: &RecordKey, new: &str) -> bool {
        self.tell_the_time();
        let sql = format!("update public.{entity} set id = $1 where id = $2 returning id");
        !self.server.texts(&sql, &[new, &key.0[0]]).is_empty()
    }

    // What is compared here is one profile on one database; see [`suits`].
    fn next_door(&self) -> Option<&NextDoor> {
        None
    }

    fn backup(&self) -> Option<Backup> {
        None
    }

    fn restore(&self, _backup: &Backup) {}
}

/// A row as the application writes it; its own conversion, and not the adapter's.
fn written(columns: &Columns) -> Map<String, Json> {
    let json = |value: &Value| match value {
        Value::Null => Json::Null,
        Value::Instant(instant) => Json::String(instant.to_string()),
        other => Json::String(super::world::text(other)),
    };
    columns
        .iter()
        .map(|(name, value)| (name.clone(), json(value)))
        .collect()
}

fn read_back((name, json): (String, Json)) -> (String, Value) {
    let value = match json {
        Json::Null => Value::Null,
        Json::String(text) if name == "updated_at" => {
            text.parse().map_or(Value::Opaque(text), Value::Instant)
        }
        Json::String(text) => Value::text(text),
        other => Number::parse(&other.to_string()).map_or(Value::Opaque(other.to_string()), Value::Number),
    };
    (name, value)
}

impl Schedule {
    /// Everything that is left at the end, a line each: rows, the engine's memory, pages.
    fn left(&self) -> Vec<String> {
        let postgres = &self.world.postgres;
        let mut left = Vec::new();
        for entity in [TEAMS, PROJECTS] {
            for key in postgres.keys(entity) {
                let mut columns = postgres.row(entity, &key).unwrap_or_default();
                columns.retain(|_, value| *value != Value::Null);
                left.push(format!("row {entity} {key}: {columns:?}"));
            }
        }
        left.extend(postgres.links().iter().map(|link| format!("link {link:?}")));
        let links: Vec<Uuid> = postgres.links().iter().map(|link| link.id).collect();
        let mut intents = postgres.store().intents(&links);
        if let std::task::Poll::Ready(intents) = super::executor::poll_once(intents.as_mut()) {
            left.push(format!("intents {intents:?}"));
        }
        let conflicts = postgres.all_conflicts();
        left.extend(conflicts.iter().map(|conflict| format!("conflict {conflict:?}")));
        let audit = postgres.audit_log();
        left.extend(audit.iter().map(|entry| format!("audit {entry:?}")));
        let state = self.world.lock();
        left.extend(state.pages.iter().map(|(id, page)| {
            let now = page.now();
            format!("page {id} hidden {} {:?}", now.hidden, now.page)
        }));
        left
    }

    fn played(mut self) -> (Verdict, Vec<String>) {
        let verdict = self.play();
        let left = self.left();
        (verdict, left)
    }
}

/// Where the two lists part, if they do: one line of each.
fn parting(what: &str, simulated: &[String], real: &[String]) -> Option<String> {
    let most = simulated.len().max(real.len());
    let line = |lines: &[String], at: usize| lines.get(at).cloned().unwrap_or_default();
    (0..most)
        .find(|at| simulated.get(*at) != real.get(*at))
        .map(|at| {
            let before = simulated
                .get(at.saturating_sub(3)..at)
                .unwrap_or_default()
                .join("\n    ");
            format!(
                "{what} {at}\n    {before}\n  simulated: {}\n  real:      {}",
                line(simulated, at),
                line(real, at)
            )
        })
}

/// Whether a tape can be played on a real database: one profile, columns of text and numbers, and no restore.
pub(crate) fn suits(tape: &Tape) -> bool {
    let setting = &tape.setting;
    let restores = tape
        .ops
        .iter()
        .any(|(_, op)| matches!(op, Op::Backup | Op::Restore { .. }));
    let cuts_references = setting.relations && setting.many_targets;
    !(setting.neighbour || setting.typed || cuts_references || restores)
}

/// What is not the same on the simulated and on the real Postgres, for a tape; `mutant` is planted in the simulated one.
pub(crate) fn differences(server: &Arc<Server>, tape: &Tape, mutant: Option<Mutant>) -> Vec<String> {
    let (simulated, left) = Schedule::new(tape, mutant, For::Telling).played();
    let over = |clock| Arc::new(Real::new(server, &tape.setting, clock)) as Arc<dyn Postgres>;
    let (real, real_left) = Schedule::over(tape, None, For::Telling, over).played();
    let mut found = Vec::new();
    found.extend(parting("step", &simulated.log, &real.log));
    found.extend(parting("what is left", &left, &real_left));
    found.extend(parting("violation", &simulated.violations, &real.violations));
    if found.is_empty() && (simulated.trace, &simulated.coverage) != (real.trace, &real.coverage) {
        found.push("trace or coverage".to_owned());
    }
    found
}

/// Compares every seed of a range; tells the first lines that differ. Answers whether none does.
pub(crate) fn compare(
    server: &Arc<Server>,
    seeds: impl Iterator<Item = u64>,
    out: &mut dyn Write,
) -> io::Result<bool> {
    let began = Instant::now();
    let (mut schedules, mut different) = (0_u64, 0_u64);
    for seed in seeds.filter(|seed| suits(&Tape::of(*seed))) {
        let found = differences(server, &Tape::of(seed), None);
        schedules += 1;
        if !found.is_empty() {
            different += 1;
            writeln!(out, "seed {seed}: {}", found.join("\n "))?;
        }
    }
    writeln!(
        out,
        "{schedules} schedules on simulated and on real Postgres, {different} of them not the same, in {:.1} s",
        began.elapsed().as_secs_f64()
    )?;
    Ok(different == 0)
}
