//! The profile under test: teams that belong to projects, five fields and a relation, and the engine over them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use frames_sync::engine::{Engine, Entity, EntityField, FieldCodec, NewRow, Reference, Tuning};
use frames_sync::mapping::{
    Capture, Direction, Guards, LastWritePolicy, OnDuplicate, OnPageCreate, OnPageTrash, PresencePolicies,
};
use frames_sync::ports::{BoxFuture, Clock, Rng};
use frames_sync::reconcile::{EntityPolicy, Fault, FieldError};
use frames_sync::schema::PgType;
use frames_sync::value::{Number, PropertyId, Value, plain_text};
use time::OffsetDateTime;

use super::database::Session;
use super::executor::Timeline;
use super::mutants::Mutant;
use super::notion::Connection;
use super::tape::{Millis, Setting, Stream};
use super::world::{NEIGHBOURS, PROJECTS, RELATION, START, TEAMS, World};

/// The profile's name.
pub(crate) const NAME: &str = "campaign";

/// The database's clock, and what is known of Notion's.
pub(crate) struct VirtualClock {
    pub(crate) timeline: Arc<Timeline>,
    pub(crate) offset: time::Duration,
    /// By how much both had been put on or back when this was measured; the present state where it was not.
    measured: Option<[Millis; 2]>,
}

impl VirtualClock {
    pub(crate) fn new(timeline: Arc<Timeline>, setting: &Setting, mutant: Option<Mutant>) -> Self {
        let known = if mutant == Some(Mutant::ClocksAreOne) {
            0
        } else {
            i64::from(setting.offset)
        };
        Self {
            timeline,
            offset: time::Duration::seconds(known),
            measured: None,
        }
    }

    /// The clock of a run: it is measured once, and carried on from there.
    pub(crate) fn measured(&self) -> Self {
        Self {
            timeline: Arc::clone(&self.timeline),
            offset: self.offset,
            measured: Some(self.timeline.stepped()),
        }
    }

    fn stepped(&self) -> [time::Duration; 2] {
        let stepped = self.measured.unwrap_or_else(|| self.timeline.stepped());
        stepped.map(time::Duration::milliseconds)
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> OffsetDateTime {
        let [database, _] = self.stepped();
        START + time::Duration::milliseconds(self.timeline.now()) + database
    }

    fn sleep(&self, _duration: Duration) -> BoxFuture<'_, ()> {
        // The engine waits for nothing; were it to, the time would not pass.
        Box::pin(async {})
    }

    fn notion_offset(&self) -> Option<(time::Duration, Duration)> {
        let [database, notion] = self.stepped();
        let ahead = self.offset + notion - database;
        Some((ahead, Duration::from_secs(1)))
    }
}

pub(crate) struct Seeded(pub(crate) AtomicU64);

impl Rng for Seeded {
    fn next_u64(&self) -> u64 {
        super::tape::scatter(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Number { null_is_zero: bool },
    Relation,
}

struct Codec {
    column: &'static str,
    kind: Kind,
}

impl FieldCodec for Codec {
    fn row_value(&self, columns: &BTreeMap<String, Value>) -> Result<Value, FieldError> {
        columns.get(self.column).cloned().ok_or_else(|| FieldError {
            fault: Fault::ColumnDrift,
            message: format!("there is no column `{}`", self.column),
        })
    }

    fn encode(
        &self,
        row: &Value,
        _columns: &BTreeMap<String, Value>,
        page: Option<&Value>,
    ) -> Result<Value, FieldError> {
        Ok(match (self.kind, row) {
            (Kind::Text, Value::Text(text)) => match page {
                Some(Value::RichText(runs)) if plain_text(runs) == *text => Value::RichText(runs.clone()),
                _ => Value::rich(text.as_str()),
            },
            (Kind::Text, _) => Value::rich(""),
            (Kind::Number { null_is_zero: true }, Value::Null) => {
                Number::parse("0").map_or(Value::Null, Value::Number)
            }
            (_, other) => other.clone(),
        })
    }

    fn decode(
        &self,
        page: &Value,
        _columns: &BTreeMap<String, Value>,
        _row: Option<&Value>,
    ) -> Result<Value, FieldError> {
        Ok(match (self.kind, page) {
            (_, Value::RichText(runs)) => Value::text(plain_text(runs)),
            (Kind::Number { null_is_zero: true }, Value::Null) => {
                Number::parse("0").map_or(Value::Null, Value::Number)
            }
            (_, other) => other.clone(),
        })
    }
}

struct Generated(AtomicU64);

impl NewRow for Generated {
    fn columns(&self, _columns: &BTreeMap<String, Value>) -> Result<Vec<(String, Value)>, FieldError> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        Ok(vec![("id".to_owned(), Value::text(format!("new{number}")))])
    }
}

fn field(name: &'static str, kind: Kind, direction: Direction, setting: &Setting) -> EntityField {
    let column_type = if setting.many_targets {
        PgType::Array(Box::new(PgType::Text))
    } else {
        PgType::Text
    };
    EntityField {
        property: PropertyId::from(name),
        name: name.to_owned(),
        column: Some(name.to_owned()),
        direction,
        conflict: setting.conflict,
        reference: (kind == Kind::Relation).then(|| Reference {
            target: PROJECTS.to_owned(),
            column_type,
        }),
        codec: Arc::new(Codec { column: name, kind }),
    }
}

fn team_fields(setting: &Setting, mutant: Option<Mutant>) -> Vec<EntityField> {
    let number = Kind::Number {
        null_is_zero: mutant == Some(Mutant::NullIsFalse),
    };
    let both = Direction::Both;
    vec![
        field("name", Kind::Text, both, setting),
        field("note", Kind::Text, both, setting),
        field("size", number, both, setting),
        field("tag", Kind::Text, Direction::ToNotion, setting),
        field("hint", Kind::Text, Direction::ToPostgres, setting),
    ]
}

/// The entities of the profile.
pub(crate) fn entities(setting: &Setting, mutant: Option<Mutant>) -> Vec<Arc<Entity>> {
    entities_from(setting, mutant, 1)
}

/// The same, with new rows numbered from there: a mapping that was changed goes on where it was.
pub(crate) fn entities_from(setting: &Setting, mutant: Option<Mutant>, number_from: u64) -> Vec<Arc<Entity>> {
    let both = Direction::Both;
    let mut fields = team_fields(setting, mutant);

    if setting.late_field {
        fields.retain(|field| field.name != "size");
    }
    if setting.relations {
        fields.push(field(RELATION, Kind::Relation, both, setting));
    }
    let mut entities = vec![entity(TEAMS, fields, setting, number_from)];
    if setting.relations {
        entities.push(entity(
            PROJECTS,
            vec![field("name", Kind::Text, both, setting)],
            setting,
            number_from,
        ));
    }
    entities
}

/// The other tenant's entity: the same table, its own workspace, and no rows of its people's making.
pub(crate) fn neighbours(setting: &Setting, mutant: Option<Mutant>) -> Vec<Arc<Entity>> {
    let setting = Setting {
        relations: false,
        triggers: false,
        strict_cap: false,
        late_field: false,
        on_page_create: OnPageCreate::Ignore,
        on_duplicate: OnDuplicate::Flag,
        on_page_trash: OnPageTrash::Hold,
        ..setting.clone()
    };
    let fields = team_fields(&setting, mutant);
    vec![entity(NEIGHBOURS, fields, &setting, 1)]
}

fn entity(name: &str, fields: Vec<EntityField>, setting: &Setting, number_from: u64) -> Arc<Entity> {
    let guards = Guards {
        delete_cap: if setting.strict_cap { 0.05 } else { 500.0 },
        ..Guards::default()
    };
    Arc::new(Entity {
        name: name.to_owned(),
        data_source_id: format!("ds-{name}"),
        key: vec![("id".to_owned(), PgType::Text)],
        fields,
        frozen: Vec::new(),
        scope: format!("org of {name}"),
        postgres_id: PropertyId::from("postgres_id"),
        last_synced: PropertyId::from("last_synced"),
        sync_status: PropertyId::from("sync_status"),
        opt_out: Some(PropertyId::from("paused")),
        policy: EntityPolicy {
            presence: PresencePolicies {
                on_row_delete: setting.on_row_delete,
                on_page_create: setting.on_page_create,
                on_page_trash: setting.on_page_trash,
                on_inaccessible: setting.on_inaccessible,
                on_duplicate: setting.on_duplicate,
            },
            conflict: setting.conflict,
            last_write: LastWritePolicy {
                tie_break: setting.tie_break,
                min_certainty: setting.min_certainty,
            },
            initial: setting.initial,
        },
        guards,
        capture: if setting.triggers && name == TEAMS {
            Capture::Triggers
        } else if setting.is_stamped() && name == TEAMS {
            Capture::UpdatedAt {
                column: "updated_at".to_owned(),
            }
        } else {
            Capture::Scan
        },
        create_grace: Duration::from_secs(120),
        new_row: Arc::new(Generated(AtomicU64::new(number_from))),
        soft_delete: Vec::new(),
        required: vec!["name".to_owned()],
    })
}

/// The engine of one process.
pub(crate) fn engine(
    world: &Arc<World>,
    clock: &Arc<VirtualClock>,
    entities: &[Arc<Entity>],
    runner: usize,
    life: u64,
) -> Engine {
    let setting = &world.tape.setting;
    let mut tuning = Tuning {
        concurrency: usize::from(setting.concurrency),
        ..Tuning::default()
    };
    if setting.incremental {
        tuning.listed_whole = 0;
    }
    if setting.quiet_page {
        tuning.quiet_page = Duration::from_secs(60);
    }
    if world.is(Mutant::NoCreateWindow) {
        tuning.settle_create = Duration::ZERO;
    }
    let session = Arc::new(Session {
        world: Arc::clone(world),
        runner,
    });
    let mut ids = Stream::new(world.tape.seed, 100 + runner as u64 * 1000 + life);
    Engine {
        profile: if runner == super::world::NEIGHBOUR {
            "neighbour".to_owned()
        } else {
            NAME.to_owned()
        },
        entities: entities.to_vec(),
        rows: Arc::clone(&session) as _,
        pages: Arc::new(Connection {
            world: Arc::clone(world),
            runner,
        }),
        store: session,
        clock: Arc::clone(clock) as _,
        rng: Arc::new(Seeded(AtomicU64::new(ids.next()))),
        tuning,
        holder: format!("runner {runner}, life {life}"),
    }
}
