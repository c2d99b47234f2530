//! People at work on both sides: what they write says who wrote it, where, and as which number.

use std::collections::BTreeMap;

use frames_sync::simulator::workspace::Seed;
use serde_json::{Value as Json, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::world::{FIELDS, Tenant, World, plain, rows, run};

/// A record is edited so often on each side and then left: an engine that writes to one record more than twenty times
/// in an hour takes it for a loop, which is another test's subject.
const EDITS_OF_A_RECORD: u32 = 6;

/// How many records are open for editing at once, so that both sides meet.
const AT_WORK: usize = 12;

/// People make nothing new while so many records wait for their other side: a hundred at once would be one of the guards'
/// subjects, which asks for a person's approval.
const WAITING: usize = 30;

/// One value that a person typed in Notion.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    pub(super) page: Uuid,
    /// The property's name.
    pub(super) field: &'static str,
    /// What stood there.
    pub(super) old: String,
    pub(super) new: String,
    /// When, on the simulator's clock (ISO 8601).
    pub(super) at: String,
}

/// What people do, and what they did in Notion; what they did in Postgres is in its own history.
pub(super) struct People {
    seed: Seed,
    sequence: u64,
    pub(super) typed: Vec<Typed>,
    /// Whether a person, last of all, put a page in the trash.
    pub(super) binned: BTreeMap<Uuid, bool>,
    rows: BTreeMap<String, u32>,
    pages: BTreeMap<Uuid, u32>,
    gone: Vec<(usize, String)>,
    away: Vec<(usize, String)>,
    /// What was edited last: somebody on the other side may be at the same.
    last: Option<(usize, String, usize)>,
    pub(super) edits: [u64; 2],
}

impl People {
    pub(super) fn new(seed: Seed) -> Self {
        Self {
            seed,
            sequence: 0,
            typed: Vec::new(),
            binned: BTreeMap::new(),
            rows: BTreeMap::new(),
            pages: BTreeMap::new(),
            gone: Vec::new(),
            away: Vec::new(),
            last: None,
            edits: [0, 0],
        }
    }

    /// How long until somebody does something again, in milliseconds.
    pub(super) fn pause(&mut self) -> u64 {
        20 + self.seed.below(120)
    }

    fn tenant(&mut self) -> usize {
        usize::from(self.seed.chance(0.25))
    }

    fn field(&mut self) -> usize {
        usize::try_from(self.seed.below(FIELDS.len() as u64)).unwrap_or_default()
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        let index = self.seed.below(from.len() as u64);
        from.get(usize::try_from(index).unwrap_or_default()).cloned()
    }

    /// A value that nobody wrote before.
    fn value(&mut self, tenant: &Tenant, side: char, record: &str, field: usize) -> String {
        self.sequence += 1;
        let (column, _) = FIELDS[field];
        if column == "score" {
            return format!("{}{:06}", tenant.digits, self.sequence);
        }
        let refused = if column == "note" && side == 'n' && self.seed.chance(0.04) {
            "-refused"
        } else {
            ""
        };
        format!(
            "{}-{side}-{record}-{column}-{}{refused}",
            tenant.word, self.sequence
        )
    }

    /// Somebody does something somewhere. `connection` must be one of a person's own.
    pub(super) async fn act(&mut self, world: &World, connection: &mut PgConnection) {
        if self.seed.chance(0.55) {
            self.in_postgres(world, connection).await;
        } else {
            self.in_notion(world);
        }
    }

    async fn in_postgres(&mut self, world: &World, connection: &mut PgConnection) {
        let number = self.tenant();
        let tenant = world.tenants[number].clone();
        let keys: Vec<String> = rows(
            connection,
            &format!(
                "select id from things t where org = '{}' order by (select min(seq) from chaos_history h where h.id = t.id)",
                tenant.profile
            ),
        )
        .await
        .iter()
        .map(|row| row["id"].as_str().unwrap_or_default().to_owned())
        .collect();
        let waiting = rows(
            connection,
            &format!(
                "select 1 from things t where org = '{}' and not exists (select from frames_sync.link l \
                 where l.phase = 'linked' and l.key::jsonb ->> 0 = t.id)",
                tenant.profile
            ),
        )
        .await
        .len();
        let open: Vec<String> = keys
            .into_iter()
            .filter(|key| self.rows.get(key).copied().unwrap_or(0) < EDITS_OF_A_RECORD)
            .collect();
        let chance = self.seed.below(100);
        self.edits[0] += 1;
        if waiting < WAITING && (open.len() < AT_WORK || chance < 8) {
            self.insert(&tenant, number, connection).await;
            return;
        }
        let Some(mut key) = self.pick(&open[..open.len().min(AT_WORK)]) else {
            return;
        };
        let mut field = self.field();
        if let Some((of, record, last)) = self.last.take()
            && of == number
            && open.contains(&record)
            && self.seed.chance(0.6)
        {
            (key, field) = (record, last);
        }
        match chance {
            8..=11 => {
                run(connection, &format!("delete from things where id = '{key}'")).await;
                self.gone.push((number, key));
            }
            12..=14 => {
                run(
                    connection,
                    &format!("update things set org = 'limbo' where id = '{key}'"),
                )
                .await;
                self.away.push((number, key));
            }
            15..=18 if !self.away.is_empty() => {
                if let Some((number, key)) = self.pick(&self.away.clone()) {
                    self.away.retain(|(_, other)| *other != key);
                    let org = world.tenants[number].profile;
                    run(
                        connection,
                        &format!("update things set org = '{org}' where id = '{key}' and org = 'limbo'"),
                    )
                    .await;
                }
            }
            _ => {
                let mut fields = vec![field];
                if self.seed.chance(0.2) {
                    fields.push((field + 1) % FIELDS.len());
                }
                let mut set = Vec::new();
                for field in fields {
                    let value = self.value(&tenant, 'p', &key, field);
                    set.push(format!("{} = '{value}'", FIELDS[field].0));
                }
                run(
                    connection,
                    &format!("update things set {} where id = '{key}'", set.join(", ")),
                )
                .await;
                *self.rows.entry(key.clone()).or_default() += 1;
                self.last = Some((number, key, field));
            }
        }
    }

    async fn insert(&mut self, tenant: &Tenant, number: usize, connection: &mut PgConnection) {
        // Now and then a key that was there before.
        let back = self.gone.iter().position(|(of, _)| *of == number);
        let key = match back {
            Some(place) if self.seed.chance(0.2) => self.gone.remove(place).1,
            _ => {
                self.sequence += 1;
                format!("{}-{}", tenant.key, 1000 + self.sequence)
            }
        };
        let values: Vec<String> = (0..FIELDS.len())
            .map(|field| format!("'{}'", self.value(tenant, 'p', &key, field)))
            .collect();
        let columns: Vec<&str> = FIELDS.iter().map(|(column, _)| *column).collect();
        run(
            connection,
            &format!(
                "insert into things (id, org, own, {}) values ('{key}', '{}', 'own-{key}', {})",
                columns.join(", "),
                tenant.profile,
                values.join(", ")
            ),
        )
        .await;
    }

    fn in_notion(&mut self, world: &World) {
        let number = self.tenant();
        let tenant = world.tenants[number].clone();
        self.edits[1] += 1;
        // All of it in one look, so that nothing comes between what is seen and what is typed.
        world.simulator.workspace(|workspace| {
            let chance = self.seed.below(100);
            let unlabelled = |page: &Uuid| label(workspace.value(*page, "postgres_id")).is_empty();
            if chance < 6
                && workspace
                    .rows(tenant.source)
                    .iter()
                    .filter(|page| unlabelled(page))
                    .count()
                    < WAITING
            {
                self.sequence += 1;
                let record = format!("page{}", self.sequence);
                let mut properties = serde_json::Map::new();
                let mut typed = Vec::new();
                for (index, (column, name)) in FIELDS.iter().enumerate() {
                    let value = self.value(&tenant, 'n', &record, index);
                    // A row that the table refuses is another test's subject.
                    let value = value.trim_end_matches("-refused").to_owned();
                    properties.insert((*name).to_owned(), written(column, &value));
                    typed.push((*name, value));
                }
                let made = workspace
                    .add_row(tenant.source, &Json::Object(properties))
                    .unwrap_or_else(|refusal| panic!("{}", refusal.message));
                let at = workspace.now().iso();
                self.typed.extend(typed.into_iter().map(|(field, new)| Typed {
                    page: made,
                    field,
                    old: String::new(),
                    new,
                    at: at.clone(),
                }));
                return;
            }
            if chance < 9 {
                let trashed = workspace.trashed_rows(tenant.source);
                let binned: Vec<Uuid> = trashed
                    .into_iter()
                    .filter(|page| self.binned.get(page) == Some(&true))
                    .collect();
                if let Some(page) = self.pick(&binned) {
                    workspace.restore(page);
                    self.binned.insert(page, false);
                }
                return;
            }
            let open: Vec<Uuid> = workspace
                .rows(tenant.source)
                .into_iter()
                .filter(|page| self.pages.get(page).copied().unwrap_or(0) < EDITS_OF_A_RECORD)
                .collect();
            let Some(mut page) = self.pick(&open[..open.len().min(AT_WORK)]) else {
                return;
            };
            let mut index = self.field();
            if let Some((of, record, last)) = self.last.take()
                && of == number
                && self.seed.chance(0.6)
            {
                let same = open
                    .iter()
                    .find(|page| label(workspace.value(**page, "postgres_id")) == record);
                if let Some(same) = same {
                    (page, index) = (*same, last);
                }
            }
            if chance < 11 {
                workspace.trash(page);
                self.binned.insert(page, true);
                return;
            }
            let record = label(workspace.value(page, "postgres_id"));
            let (column, name) = FIELDS[index];
            let old = plain(&workspace.value(page, name).unwrap_or_default());
            let new = self.value(&tenant, 'n', &record, index);
            workspace
                .edit(page, name, written(column, &new))
                .unwrap_or_else(|refusal| panic!("{}", refusal.message));
            *self.pages.entry(page).or_default() += 1;
            self.typed.push(Typed {
                page,
                field: name,
                old,
                new,
                at: workspace.now().iso(),
            });
            self.last = Some((number, record, index));
        });
    }
}

fn label(value: Option<Json>) -> String {
    plain(&value.unwrap_or_default())
}

/// A value as the API takes it.
fn written(column: &str, value: &str) -> Json {
    match column {
        "score" => json!({ "number": value.parse::<u64>().unwrap_or_default() }),
        "name" => json!({ "title": [{ "text": { "content": value } }] }),
        _ => json!({ "rich_text": [{ "text": { "content": value } }] }),
    }
}
