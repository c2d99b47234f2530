//! The project file as written: `frames-sync.yaml`.
//!
//! As with mapping files, `schemas/project.schema.json` is generated from these types, descriptions included.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::mapping::document::{Name, NonEmpty, Period, Version};

/// A project: its mappings, and one profile for each university.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "frames-sync project")]
pub struct ProjectDocument {
    /// The version of this file's format: 1.
    pub version: Version,
    /// The folder of mapping files, relative to this file. Default: mappings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mappings: Option<NonEmpty>,
    /// The profile that commands use without `--profile`. Default: the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_profile: Option<String>,
    /// What every profile starts from; a profile overrides key by key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<SettingsDocument>,
    /// The profiles by name: one for each university.
    pub profiles: Profiles,
}

/// The settings of a profile, or what all of them start from. Texts are templates over `env`, `vars` and `profile.name`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsDocument {
    /// Values that mappings use as `vars.NAME`, such as the university.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vars: Option<Map<String, Value>>,
    /// The Postgres to sync: a URL, from a variable because it holds a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_url: Option<String>,
    /// The Notion workspace to sync.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notion: Option<NotionAccessDocument>,
    /// The entities of the profile. Default: every mapping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entities: Option<Vec<String>>,
    /// How often `run` syncs. Default: 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Period>,
    /// When `run` syncs, as a cron line of five fields, in UTC; in place of `every`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// The schema in the same Postgres that holds the sync state. Default: frames_sync.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_schema: Option<NonEmpty>,
    /// An existing table to copy audit entries into, such as FRAMES's audit_logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit_table: Option<NonEmpty>,
    /// How long audit entries, past runs and closed conflicts are kept; what is older cannot be undone. Default: 30d, at least 2d.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit_retention: Option<Period>,
    /// The timings of the sync; every one has a tested default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuning: Option<TuningDocument>,
}

/// The Notion workspace to sync.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotionAccessDocument {
    /// The connection's token, from a variable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The page under which the databases stand: its address or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_page: Option<String>,
    /// The plan's limit of requests a minute: 180, or 600 on Business and Enterprise plans. Default: 180.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<RequestsPerMinute>,
    /// The address of a simulator in place of Notion; only loopback addresses are accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
}

/// The timings of the sync. Zero is allowed and means that Notion is trusted there.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TuningDocument {
    /// How long after a write of unknown outcome the page is read again. Default: 120s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle: Option<Period>,
    /// How long after a creation of unknown outcome it may be tried again. Default: 480s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle_create: Option<Period>,
    /// How long a read may still show what was before our own last write. Default: 150s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_lag: Option<Period>,
    /// How long a page that a person is editing is left alone, at most 3m. Default: 3m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_page: Option<Period>,
    /// How long a page that a person made must rest before a row is made of it. Default: 2m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create_grace: Option<Period>,
    /// How long one request to Notion may take. Default: 60s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_timeout: Option<Period>,
    /// How long an instance owns a profile without renewing. Default: 180s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Period>,
    /// How often every page is listed, whatever seems to have changed. Default: 15m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_scan_every: Option<Period>,
}

/// The profiles by name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Profiles(pub BTreeMap<String, Option<SettingsDocument>>);

impl JsonSchema for Profiles {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Profiles".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let profile = generator.subschema_for::<Option<SettingsDocument>>();
        let name = Name::json_schema(generator);
        let mut schema = json_schema!({
            "type": "object",
            "description": "The profiles by name: one for each university.",
            "minProperties": 1,
            "propertyNames": name,
            "additionalProperties": profile,
        });
        if let Some(form) = schema
            .get("propertyNames")
            .and_then(|names| names.get("x-form"))
            .cloned()
        {
            schema.insert("x-form".to_owned(), form);
        }
        schema
    }
}

/// Requests a minute: a whole number, or a template that gives one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RequestsPerMinute {
    /// The number.
    Number(u32),
    /// The template.
    Template(String),
}

impl JsonSchema for RequestsPerMinute {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RequestsPerMinute".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "integer", "minimum": 1, "maximum": 60000 },
            { "type": "string", "minLength": 1 },
        ] })
    }
}
