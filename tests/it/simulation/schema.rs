//! A select and a checkbox, bound to the schema of the data source as it is now by the engine's own `bind`: their
//! codecs are the real ones, and people rename, remove and make options and properties meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use frames_sync::engine::{Binding, EntityField, bind};
use frames_sync::mapping::{
    Capture, ConflictPolicy, Direction, Field, Guards, LastWritePolicy, Mapping, MinCertainty,
    NotionSettings, NullScope, OnDuplicate, OnInaccessible, OnPageCreate, OnPageTrash, OnRowDelete,
    Predicate, PresencePolicies, PropertyKind, Source, SystemProperties, TieBreak, UnknownOption,
};
use frames_sync::plan::option_names::{OptionNames, agreed};
use frames_sync::ports::{Clock, PropertyRead, Rng};
use frames_sync::schema::data_source::{OptionSchema, PropertyConfig, PropertySchema};
use frames_sync::schema::table::Column;
use frames_sync::schema::{DataSourceSchema, PgType, PropertyType, TableName, TableSchema};
use frames_sync::value::{Choice, DataSourceId, DatabaseId, PropertyId, Value};

/// The select, and the checkbox: property ids and columns.
pub(crate) const KIND: &str = "kind";
pub(crate) const DONE: &str = "done";

/// An option of the select.
#[derive(Clone, Debug)]
pub(crate) struct KindOption {
    pub(crate) id: String,
    /// Every name it had, the present one last.
    pub(crate) names: Vec<String>,
    pub(crate) removed: bool,
}

impl KindOption {
    pub(crate) fn name(&self) -> &str {
        self.names.last().map_or("", String::as_str)
    }
}

/// What becomes of the property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drift {
    AsMapped,
    Deleted,
    Retyped,
}

/// The schema of the data source, as far as people change it.
#[derive(Clone, Debug)]
pub(crate) struct Schema {
    pub(crate) options: Vec<KindOption>,
    pub(crate) drift: Drift,
    /// What people call the property now.
    pub(crate) called: String,
    /// The names that were agreed on, as the engine's state keeps them.
    pub(crate) agreed: OptionNames,
    /// Whether it was changed since entities were bound to it.
    pub(crate) is_unbound: bool,
    /// Whether it was ever changed while a cycle was under way: what was read then may be of either schema.
    pub(crate) moved_in_a_cycle: bool,
}

impl Default for Schema {
    fn default() -> Self {
        let option = |name: &str| KindOption {
            id: format!("option-{name}"),
            names: vec![name.to_owned()],
            removed: false,
        };
        Self {
            options: ["red", "green", "blue"].map(option).to_vec(),
            drift: Drift::AsMapped,
            called: KIND.to_owned(),
            agreed: OptionNames::new(),
            // The first cycle binds.
            is_unbound: true,
            moved_in_a_cycle: false,
        }
    }
}

impl Schema {
    /// An option as Notion stores it on a page: by its id; a name that is none becomes one.
    pub(crate) fn stored(&mut self, choice: &Choice) -> Value {
        let known = self.options.iter().find(|option| {
            !option.removed
                && match &choice.id {
                    Some(id) => option.id == *id,
                    None => option.name() == choice.name,
                }
        });
        let (id, name) = match known {
            Some(option) => (option.id.clone(), option.name().to_owned()),
            None => {
                let id = format!("option-{}-{}", choice.name, self.options.len());
                self.options.push(KindOption {
                    id: id.clone(),
                    names: vec![choice.name.clone()],
                    removed: false,
                });
                self.is_unbound = true;
                (id, choice.name.clone())
            }
        };
        Value::Choice(Choice { id: Some(id), name })
    }

    /// How an answer shows the stored value.
    pub(crate) fn shown(&self, stored: &PropertyRead) -> Option<PropertyRead> {
        match (self.drift, stored) {
            (Drift::Deleted, _) => None,
            (Drift::Retyped, _) => Some(PropertyRead::Unreadable("it is no select".to_owned())),
            (Drift::AsMapped, PropertyRead::Whole(Value::Choice(choice))) => {
                let mut live = self.options.iter().filter(|option| !option.removed);
                let option = live.find(|option| Some(&option.id) == choice.id.as_ref());
                Some(PropertyRead::Whole(option.map_or(Value::Null, |option| {
                    Value::Choice(Choice {
                        id: choice.id.clone(),
                        name: option.name().to_owned(),
                    })
                })))
            }
            (Drift::AsMapped, other) => Some(other.clone()),
        }
    }

    /// Whether a row's text is a name of the option that its page shows.
    pub(crate) fn agrees(&self, row: &str, page: Option<&PropertyRead>) -> bool {
        match page {
            Some(PropertyRead::Whole(Value::Choice(choice))) => self
                .options
                .iter()
                .filter(|option| Some(&option.id) == choice.id.as_ref())
                .any(|option| option.names.iter().any(|name| name == row)),
            _ => row.is_empty(),
        }
    }

    fn data_source(&self) -> DataSourceSchema {
        let plain = |name: &str, property_type: PropertyType| PropertySchema {
            id: PropertyId::from(name),
            name: name.to_owned(),
            description: None,
            type_name: property_type.name().to_owned(),
            config: PropertyConfig::Plain,
        };
        let live = self.options.iter().filter(|option| !option.removed);
        let options = live
            .map(|option| OptionSchema {
                id: option.id.clone(),
                name: option.name().to_owned(),
                color: "default".to_owned(),
                description: None,
            })
            .collect();
        let mut properties = vec![
            plain("postgres_id", PropertyType::RichText),
            plain("last_synced", PropertyType::Date),
            plain("sync_status", PropertyType::Select),
            plain(DONE, PropertyType::Checkbox),
        ];
        match self.drift {
            Drift::Deleted => {}
            Drift::Retyped => properties.push(plain(KIND, PropertyType::RichText)),
            Drift::AsMapped => properties.push(PropertySchema {
                name: self.called.clone(),
                config: PropertyConfig::Options {
                    options,
                    groups: Vec::new(),
                },
                ..plain(KIND, PropertyType::Select)
            }),
        }
        DataSourceSchema {
            id: DataSourceId::from("ds-teams"),
            database_id: DatabaseId::from("db-teams"),
            title: "Teams".to_owned(),
            in_trash: false,
            properties,
        }
    }

    /// The two fields as the schema is now, and what is said of those that are left alone.
    pub(crate) fn bound(
        &mut self,
        conflict: ConflictPolicy,
        ambience: (Arc<dyn Clock>, Arc<dyn Rng>),
    ) -> (Vec<EntityField>, Vec<(String, String)>) {
        let mapping = mapping(conflict);
        let data_source = self.data_source();
        let remembered = BTreeMap::from([(KIND.to_owned(), PropertyId::from(KIND))]);
        self.agreed = agreed(&mapping, &data_source, &remembered, &self.agreed, false);
        self.is_unbound = false;
        let (clock, rng) = ambience;
        let bound = bind(&Binding {
            mapping: &mapping,
            table: &table(),
            data_source: &data_source,
            remembered: &remembered,
            options: &self.agreed,
            profile: ("campaign", &serde_json::Map::new()),
            create_grace: Duration::from_secs(120),
            clock,
            rng,
        });
        match bound {
            Ok(entity) => (entity.fields, entity.frozen),
            // Everything else that could fail is made above, and stays as it is.
            Err(error) => (Vec::new(), vec![(KIND.to_owned(), error.to_string())]),
        }
    }
}

fn table() -> TableSchema {
    let name = TableName {
        schema: "public".to_owned(),
        name: "teams".to_owned(),
    };
    let key = Column {
        not_null: true,
        ..Column::plain("id", PgType::Text)
    };
    let columns = vec![
        key,
        Column::plain(KIND, PgType::Text),
        Column::plain(DONE, PgType::Bool),
    ];
    TableSchema {
        primary_key: vec!["id".to_owned()],
        unique: vec![vec!["id".to_owned()]],
        ..TableSchema::plain(name, columns)
    }
}

fn mapping(conflict: ConflictPolicy) -> Mapping {
    let field = |name: &str, kind| Field {
        property: name.to_owned(),
        kind,
        source: Some(Source::Column(name.to_owned())),
        direction: Direction::Both,
        conflict,
        conversion: None,
        empty: None,
        time_zone: None,
        description: None,
    };
    Mapping {
        entity: "teams".to_owned(),
        table: table().name,
        key: vec!["id".to_owned()],
        scope: Predicate::EVERY_ROW,
        notion: NotionSettings {
            title: "Teams".to_owned(),
            icon: None,
            description: None,
            data_source_id: None,
            initial: None,
        },
        system: SystemProperties::default(),
        fields: vec![
            field(
                KIND,
                PropertyKind::Options {
                    property_type: PropertyType::Select,
                    options: Vec::new(),
                    on_unknown: UnknownOption::Create,
                },
            ),
            field(DONE, PropertyKind::Plain(PropertyType::Checkbox)),
        ],
        views: Vec::new(),
        new_row: Vec::new(),
        soft_delete: Vec::new(),
        presence: PresencePolicies {
            on_row_delete: OnRowDelete::TrashPage,
            on_page_create: OnPageCreate::Ignore,
            on_page_trash: OnPageTrash::Hold,
            on_inaccessible: OnInaccessible::Hold,
            on_duplicate: OnDuplicate::Flag,
        },
        last_write: LastWritePolicy {
            tie_break: TieBreak::Postgres,
            min_certainty: MinCertainty::Probable,
        },
        opt_out: None,
        capture: Capture::Scan,
        guards: Guards::default(),
        null_scope: NullScope::Exclude,
        create_grace: None,
    }
}
