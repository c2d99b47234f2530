//! Both sides, the project, and the processes of the real binary between them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use frames_sync::simulator::workspace::Seed;
use frames_sync::simulator::{Options, RateLimits, Recording, Simulator};
use rustix::process::Signal;
use serde_json::Value as Json;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::pooler::Pooler;
use super::server::{Server, signal};
use super::wire::{End, Wire};

/// How long an instance owns a profile without renewing.
pub(super) const LEASE: Duration = Duration::from_secs(2);

/// How long after its request a write may still be applied by the simulator's fault, in whole seconds; `settle` is longer.
pub(super) const LATE_SECONDS: u64 = 1;

/// How long an instance may take to end after SIGTERM. Source: issue 5.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// How long an instance may take to listen to signals.
const STARTS_WITHIN: Duration = Duration::from_secs(3);

/// In the URL of the database: it must never be told.
pub(super) const PASSWORD: &str = "pw-cedar-4f1e77";

/// The table, and beside it what really happened to it, in the same transactions.
const SCHEMA: &str = "
create table things (
    id text primary key, org text, name text not null, note text, remark text, score bigint, own text,
    constraint note_is_accepted check (note not like '%refused')
);
create table chaos_history (
    seq bigint generated always as identity primary key, at timestamptz not null default clock_timestamp(),
    who text not null, op text not null, id text not null, org text, name text, note text, remark text, score text, own text
);
create index on chaos_history (id);
create function chaos_note() returns trigger language plpgsql as $$
declare it things;
begin
    if tg_op = 'DELETE' then it := old; else it := new; end if;
    insert into public.chaos_history (who, op, id, org, name, note, remark, score, own)
        values (case when current_setting('application_name') = 'person' then 'person' else 'engine' end,
            lower(tg_op), it.id, it.org, it.name, it.note, it.remark, it.score::text, it.own);
    if tg_op = 'UPDATE' and new.id <> old.id then raise exception 'keys stay'; end if;
    return null;
end $$;
create trigger chaos_note after insert or update or delete on things for each row execute function chaos_note();
";

/// The mapped fields, as column and property: a policy for conflicts each.
pub(super) const FIELDS: [(&str, &str); 4] = [
    ("name", "Name"),
    ("note", "Note"),
    ("remark", "Remark"),
    ("score", "Score"),
];

fn mapping(capture: &str) -> String {
    format!(
        "version: 1\nentity: things\ntable: public.things\nkey: id\nscope: {{ org: \"{{{{ vars.org }}}}\" }}\n\
         notion: {{ title: Things }}\non_page_create: insert_row\n\
         new_row: {{ id: \"{{{{ vars.key }}}}-{{{{ uuid() }}}}\" }}\ncapture: {capture}\n\
         guards: {{ delete_cap: 100%, mass_change: 100% }}\nproperties:\n  \
         Name: {{ type: title, column: name, conflict: last_write_wins }}\n  \
         Note: {{ type: rich_text, column: note, conflict: postgres_wins }}\n  \
         Remark: {{ type: rich_text, column: remark, conflict: manual }}\n  \
         Score: {{ type: number, column: score, conflict: notion_wins }}\n"
    )
}

/// One profile's part of both sides.
#[derive(Clone, Debug)]
pub(super) struct Tenant {
    pub(super) profile: &'static str,
    /// In every value that its people write.
    pub(super) word: &'static str,
    /// In every key of its rows.
    pub(super) key: &'static str,
    /// Every score begins with these digits and has ten.
    pub(super) digits: &'static str,
    /// Its connection in the simulator.
    pub(super) connection: usize,
    /// Its data source, once set up.
    pub(super) source: Uuid,
}

fn tenants() -> [Tenant; 2] {
    let tenant = |profile, word, key, digits, connection| Tenant {
        profile,
        word,
        key,
        digits,
        connection,
        source: Uuid::nil(),
    };
    [
        tenant("cal", "aspen", "apple", "7310", 0),
        tenant("tex", "birch", "berry", "7320", 1),
    ]
}

/// Where an instance's log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Log {
    /// A file.
    File,
    /// A disk without room.
    Full,
}

/// One process of the binary.
pub(super) struct Life {
    /// Which place it took.
    pub(super) place: usize,
    /// Counted from 1 over all processes.
    pub(super) number: u64,
    child: Child,
    born: Instant,
    pub(super) notion: Wire,
    pub(super) database: Wire,
}

/// What happened, in order, and how often.
pub(super) struct Chronicle {
    began: Instant,
    lines: File,
    counts: BTreeMap<&'static str, u64>,
}

impl Chronicle {
    fn new(folder: &Path) -> std::io::Result<Self> {
        Ok(Self {
            began: Instant::now(),
            lines: File::create(folder.join("events.log"))?,
            counts: BTreeMap::new(),
        })
    }

    /// Notes one event.
    pub(super) fn note(&mut self, what: &'static str, detail: &str) {
        *self.counts.entry(what).or_default() += 1;
        let at = self.began.elapsed().as_secs_f64();
        let now = frames_sync::simulator::Clock::default().now().iso();
        // A bundle without its last line is one all the same.
        let _ = writeln!(self.lines, "{at:9.3} {now} {what} {detail}");
    }

    pub(super) fn counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.counts
    }

    pub(super) fn count(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }
}

/// The places that instances take: two on the first profile, one on the second.
pub(super) const PLACES: [usize; 3] = [0, 0, 1];

/// What everybody may look at.
pub(super) struct World {
    pub(super) folder: PathBuf,
    pub(super) simulator: Simulator,
    pub(super) tenants: [Tenant; 2],
}

/// What only those behind the scenes may touch: servers, processes and the wires between them.
pub(super) struct Stage {
    pub(super) world: Arc<World>,
    pub(super) server: Server,
    pub(super) pooler: Option<Pooler>,
    pub(super) chronicle: Chronicle,
    pub(super) violations: Vec<String>,
    /// The HTTP port of each life, which its requests name as their host.
    pub(super) ports: BTreeMap<u16, u64>,
    capture: &'static str,
    binary: PathBuf,
    environment: BTreeMap<String, String>,
    born: u64,
}

impl Stage {
    /// Both profiles set up, on a few rows.
    pub(super) async fn new(
        folder: PathBuf,
        binary: PathBuf,
        seed: &mut Seed,
        pooled: bool,
    ) -> std::io::Result<Self> {
        let server = Server::start().unwrap_or_else(|error| {
            panic!("chaos restarts its PostgreSQL, which the embedded one cannot do: {error}")
        });
        let mut sql = server.connect("person").await;
        run(&mut sql, SCHEMA).await;
        let mut tenants = tenants();
        for tenant in &tenants {
            let (word, key, digits, org) = (tenant.word, tenant.key, tenant.digits, tenant.profile);
            run(
                &mut sql,
                &format!(
                    "insert into things (id, org, name, note, remark, score, own) select '{key}-' || n, '{org}', \
                     '{word}-p-{key}-' || n || '-name-0', '{word}-p-{key}-' || n || '-note-0', \
                     '{word}-p-{key}-' || n || '-remark-0', {digits}900000 + n, 'own-{key}-' || n from generate_series(1, 24) n"
                ),
            )
            .await;
        }
        let simulator = Simulator::start(Options {
            tokens: tenants
                .iter()
                .map(|tenant| format!("ntn_{}secret{:024}", tenant.profile, seed.below(1 << 40)))
                .collect(),
            seed: seed.number(),
            rate: RateLimits {
                per_connection: None,
                per_workspace: None,
            },
            recording: Recording::Everything,
            ..Options::default()
        })?;
        let capture = if seed.chance(0.7) { "triggers" } else { "scan" };
        write_project(&folder, &tenants, capture, Timings::Short)?;
        let mut chronicle = Chronicle::new(&folder)?;
        chronicle.note(
            "begins",
            &format!("capture {capture}, {}", if pooled { "pooled" } else { "direct" }),
        );
        let pooler = pooled.then(|| Pooler::start(server.socket()));
        let mut environment = BTreeMap::from([("NO_COLOR".to_owned(), "1".to_owned())]);
        for (tenant, token) in tenants.iter().zip(&simulator.tokens) {
            let root = simulator.root_page_id;
            let page = simulator.workspace(|workspace| workspace.add_text_page(root, tenant.profile));
            environment.insert(format!("PARENT_{}", tenant.profile), page.to_string());
            environment.insert(format!("TOKEN_{}", tenant.profile), token.clone());
        }
        let world = World {
            folder,
            simulator,
            tenants: tenants.clone(),
        };
        let mut stage = Self {
            world: Arc::new(world),
            capture,
            binary,
            server,
            pooler,
            chronicle,
            environment,
            born: 0,
            ports: BTreeMap::new(),
            violations: Vec::new(),
        };
        let ran = stage.once(&["setup", "--all-profiles"]).await?;
        assert_eq!(ran.0.code(), Some(0), "set-up fails: {}", ran.1);
        for tenant in &mut tenants {
            let pinned = format!(
                "select value from frames_sync.pin where profile = '{}' and name = 'data_source:things'",
                tenant.profile
            );
            let pinned = rows(&mut sql, &pinned).await;
            tenant.source = pinned[0]["value"]
                .as_str()
                .and_then(|id| id.parse().ok())
                .expect("a data source");
        }
        Arc::get_mut(&mut stage.world).expect("nobody looks yet").tenants = tenants;
        Ok(stage)
    }

    /// From here on nothing runs out.
    pub(super) fn take_time(&self) -> std::io::Result<()> {
        write_project(
            &self.world.folder,
            &self.world.tenants,
            self.capture,
            Timings::Long,
        )
    }

    fn database(&self) -> End {
        match &self.pooler {
            Some(pooler) => End::Port(pooler.port()),
            None => End::Socket(self.server.socket().join(".s.PGSQL.5432")),
        }
    }

    async fn wires(&mut self) -> std::io::Result<(Wire, Wire)> {
        let port = self.world.simulator.base_url.rsplit_once(':');
        let port = port.and_then(|(_, port)| port.parse().ok());
        let notion = Wire::to(End::Port(port.expect("a port"))).await?;
        let database = Wire::to(self.database()).await?;
        self.born += 1;
        self.ports.insert(notion.port(), self.born);
        Ok((notion, database))
    }

    fn command(&self, arguments: &[&str], notion: &Wire, database: &Wire) -> Command {
        let mut command = Command::new(&self.binary);
        let (notion, database) = (notion.port(), database.port());
        command
            .args(arguments)
            .current_dir(self.world.folder.join("project"))
            .env_clear()
            .envs(&self.environment)
            .env(
                "FRAMES_SYNC_NOTION_BASE_URL",
                format!("http://127.0.0.1:{notion}"),
            )
            .env(
                "DATABASE_URL",
                format!("postgres://postgres:{PASSWORD}@127.0.0.1:{database}/postgres"),
            )
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end; answers how it ended, and what it printed.
    pub(super) async fn once(&mut self, arguments: &[&str]) -> std::io::Result<(ExitStatus, String)> {
        let (notion, database) = self.wires().await?;
        let name = format!("logs/{:04}-{}", self.born, arguments[0]);
        let out = self.world.folder.join(format!("{name}.out"));
        let error = self.world.folder.join(format!("{name}.err"));
        let mut child = self
            .command(arguments, &notion, &database)
            .stdout(File::create(&out)?)
            .stderr(File::create(error)?)
            .spawn()?;
        // The wires are carried by this runtime, so nothing here may block it.
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok((status, fs::read_to_string(out)?));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Starts an instance in a place.
    pub(super) async fn give_birth(&mut self, place: usize, log: Log) -> std::io::Result<Life> {
        let (notion, database) = self.wires().await?;
        let profile = self.world.tenants[PLACES[place]].profile;
        let lines = if self.born.is_multiple_of(3) {
            "json"
        } else {
            "text"
        };
        let arguments = [
            "run",
            "-p",
            profile,
            "-vv",
            "--format",
            "json",
            "--log-format",
            lines,
        ];
        let mut command = self.command(&arguments, &notion, &database);
        let name = format!("logs/{:04}-run-{profile}", self.born);
        match log {
            Log::File => {
                command.stdout(File::create(self.world.folder.join(format!("{name}.out")))?);
                command.stderr(File::create(self.world.folder.join(format!("{name}.err")))?);
            }
            Log::Full => {
                let full = || File::options().write(true).open("/dev/full");
                command.stdout(full()?).stderr(full()?);
            }
        }
        let child = command.spawn()?;
        let detail = format!("{} place {place} pid {} {log:?}", self.born, child.id());
        self.chronicle.note("born", &detail);
        Ok(Life {
            place,
            number: self.born,
            child,
            born: Instant::now(),
            notion,
            database,
        })
    }
}

impl Life {
    pub(super) fn signal(&self, kind: Signal) {
        signal(self.child.id().cast_signed(), kind);
    }

    /// Whether it has begun to listen to signals.
    pub(super) fn listens(&self) -> bool {
        self.born.elapsed() > STARTS_WITHIN
    }

    /// Whether it holds that lease.
    pub(super) fn holds(&self, holder: &str) -> bool {
        holder.starts_with(&format!("{}-", self.child.id()))
    }

    fn ended(&mut self) -> Option<String> {
        match self.child.try_wait() {
            Ok(None) => None,
            ended => Some(format!("life {} ended by itself: {ended:?}", self.number)),
        }
    }

    /// `kill -9`; what is wrong when it had ended already.
    pub(super) fn kill(mut self) -> Option<String> {
        let wrong = self.ended();
        self.signal(Signal::KILL);
        let _ = self.child.wait();
        wrong
    }

    /// SIGTERM; what is wrong when it does not end well and in time.
    pub(super) async fn terminate(mut self) -> Option<String> {
        if let Some(wrong) = self.ended() {
            return Some(wrong);
        }
        let listened = self.listens();
        self.signal(Signal::TERM);
        let told = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if status.code() == Some(0) => return None,
                // Before it has begun anything, the signal ends it as it ends any program.
                Ok(Some(status)) if status.signal() == Some(15) && !listened => {
                    return None;
                }
                Ok(None) if told.elapsed() < ENDS_WITHIN => {}
                Ok(None) => return Some(format!("life {} does not end after SIGTERM", self.number)),
                ended => {
                    return Some(format!(
                        "life {} ended badly after SIGTERM: {ended:?}",
                        self.number
                    ));
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(super) enum Timings {
    /// As little as works, so that what runs out does.
    Short,
    /// Enough for a cycle on a machine that is busy with other things: the judgement is not about speed.
    Long,
}

fn write_project(folder: &Path, tenants: &[Tenant], capture: &str, timings: Timings) -> std::io::Result<()> {
    let (timeout, lease) = match timings {
        Timings::Short => ("900ms", LEASE),
        Timings::Long => ("20s", Duration::from_secs(120)),
    };
    let project = folder.join("project");
    fs::create_dir_all(project.join("mappings"))?;
    fs::create_dir_all(folder.join("logs"))?;
    let mut yaml = format!(
        "version: 1\nmappings: mappings\ndefault_profile: cal\ndefaults:\n  database_url: \"{{{{ env.DATABASE_URL }}}}\"\n  \
         every: 1s\n  tuning: {{ settle: {settle}s, settle_create: {settle}s, read_lag: 0s, quiet_page: 0s, create_grace: 0s, \
         request_timeout: {timeout}, lease: {lease}s, full_scan_every: 4s }}\n  \
         notion: {{ requests_per_minute: 60000 }}\nprofiles:\n",
        settle = LATE_SECONDS + 1,
        lease = lease.as_secs(),
    );
    for Tenant { profile, key, .. } in tenants {
        yaml.push_str(&format!(
            "  {profile}:\n    vars: {{ org: {profile}, key: {key} }}\n    \
             notion: {{ token: \"{{{{ env.TOKEN_{profile} }}}}\", parent_page: \"{{{{ env.PARENT_{profile} }}}}\" }}\n"
        ));
    }
    fs::write(project.join("frames-sync.yaml"), yaml)?;
    fs::write(project.join("mappings/things.yaml"), mapping(capture))
}

/// Runs statements of the harness's own.
pub(super) async fn run(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(connection)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// The rows of a query as JSON objects.
pub(super) async fn rows(connection: &mut PgConnection, sql: &str) -> Vec<Json> {
    let text: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!(
        "select row_to_json(found)::text from ({sql}) found"
    )))
    .persistent(false)
    .fetch_all(connection)
    .await
    .unwrap_or_else(|error| panic!("{sql}: {error}"));
    text.iter()
        .map(|row| serde_json::from_str(row).expect("JSON"))
        .collect()
}

/// A property's value as text: what a person would read.
pub(super) fn plain(value: &Json) -> String {
    match value {
        Json::Array(runs) => runs.iter().map(plain).collect(),
        Json::Object(run) => run["plain_text"].as_str().unwrap_or_default().to_owned(),
        Json::String(text) => text.clone(),
        Json::Number(number) => number.as_f64().map_or_else(String::new, |number| {
            if number.fract() == 0.0 {
                format!("{number:.0}")
            } else {
                number.to_string()
            }
        }),
        _ => String::new(),
    }
}
