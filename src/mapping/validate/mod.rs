//! A document of the right shape to a mapping that makes sense, collecting everything that is wrong at once.
//!
//! This is the layer of meaning: it knows nothing of a live database or workspace. Each module looks at one part of
//! the file; none stops at its first finding, and none repeats what another has said.

mod conversion;
mod policies;
mod properties;
mod scope;
mod templates;
mod together;
mod views;

use serde_json::Map;

use super::document::MappingDocument;
use super::parse::Parsed;
use super::{Field, Mapping, NotionSettings, SystemProperties};
use crate::diagnostic::{Checked, Code, Diagnostic, Label};
use crate::schema::TableName;
use crate::yaml::Document;

pub use together::validate_together;

/// What a mapping is validated for: a profile, or nobody in particular.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// The name of the file without its ending, which the entity must have; `None` for text without a file.
    pub file_stem: Option<String>,
    /// The profile's name and variables; `None` outside a project, where every variable counts as set.
    pub profile: Option<(String, Map<String, serde_json::Value>)>,
}

/// Checks what a mapping file says, for one profile.
///
/// The mapping is there whenever its structure holds, even beside findings; it may be used only where none of them
/// is an error.
pub fn validate(parsed: &Parsed, scene: &Scene) -> Checked<Mapping> {
    let mut check = Check {
        parsed,
        scene,
        findings: Vec::new(),
    };
    let mapping = check.mapping();
    Checked {
        value: mapping,
        findings: check.findings,
    }
}

/// One mapping under validation.
struct Check<'a> {
    parsed: &'a Parsed,
    scene: &'a Scene,
    findings: Vec<Diagnostic>,
}

impl<'a> Check<'a> {
    fn document(&self) -> &'a Document {
        &self.parsed.document
    }

    fn written(&self) -> &'a MappingDocument {
        &self.parsed.written
    }

    /// Reports a finding about the value at a pointer, with the cure.
    fn value(&mut self, code: Code, at: &str, message: String, label: &str, help: impl Into<String>) {
        self.findings
            .push(self.document().value_finding(code, at, message, label).help(help));
    }

    /// Reports a finding about the key at a pointer, with the cure.
    fn key(&mut self, code: Code, at: &str, message: String, label: &str, help: impl Into<String>) {
        self.findings
            .push(self.document().key_finding(code, at, message, label).help(help));
    }

    /// A label under the key at a pointer, for a finding's second place.
    fn place(&self, at: &str, text: &str) -> Label {
        self.document().key_label(at, text)
    }

    fn mapping(&mut self) -> Option<Mapping> {
        let written = self.written();
        self.entity();
        let table = self.table();
        let key: Vec<String> = written.key.names().into_iter().map(str::to_owned).collect();
        self.key_columns(&key);
        let notion = self.notion();
        let system = self.system();
        let scope = self.scope();
        let fields = self.fields(&system, &key, &scope.columns());
        let new_row = self.new_row(&fields, &key, &scope);
        let soft_delete = self.soft_delete();
        self.opt_out(&fields);
        let views = self.views(&fields, &system);
        Some(Mapping {
            entity: written.entity.0.clone(),
            table: table?,
            key,
            scope,
            notion,
            system,
            fields,
            views,
            new_row,
            soft_delete,
            presence: self.presence(),
            last_write: self.last_write(),
            opt_out: written.opt_out.clone(),
            capture: self.capture(),
            guards: self.guards(),
            null_scope: written.null_scope.unwrap_or(super::NullScope::Exclude),
            create_grace: written
                .create_grace
                .as_ref()
                .and_then(super::document::Period::duration),
        })
    }

    /// Whether a key of the file was missing or wrong, so that nothing can be said about it.
    fn is_assumed(&self, key: &str) -> bool {
        self.parsed.assumed.contains(key)
    }

    fn entity(&mut self) {
        if self.is_assumed("entity") {
            return;
        }
        let entity = &self.written().entity.0;
        if let Some(stem) = self.scene.file_stem.as_ref().filter(|stem| *stem != entity) {
            self.value(
                Code::EntityNameMismatch,
                "/entity",
                format!("the entity is `{entity}`, and the file is `{stem}`"),
                "not the file's name",
                format!("write `entity: {stem}`, or rename the file to `{entity}.yaml`"),
            );
        }
    }

    fn table(&mut self) -> Option<TableName> {
        if self.is_assumed("table") {
            return None;
        }
        let text = &self.written().table.0;
        let (schema, name) = text.split_once('.').unwrap_or(("public", text));
        let mut fine = true;
        for part in [schema, name] {
            fine &= self.identifier("/table", part, "table");
        }
        fine.then(|| TableName {
            schema: schema.to_owned(),
            name: name.to_owned(),
        })
    }

    /// Whether a name can exist in Postgres; says why not.
    fn identifier(&mut self, at: &str, name: &str, what: &str) -> bool {
        // NAMEDATALEN is 64 in every build that is distributed; Postgres cuts longer names without an error.
        const LONGEST: usize = 63;
        let why = if name.is_empty() {
            "it is empty"
        } else if name.contains('\0') {
            "it has a NUL character"
        } else if name.len() > LONGEST {
            "it is longer than 63 bytes"
        } else {
            return true;
        };
        let shown: String = name.chars().take(40).collect();
        self.value(
            Code::InvalidIdentifier,
            at,
            format!("`{}` cannot be the name of a {what}: {why}", shown.escape_debug()),
            why,
            format!("write the {what}'s name as Postgres has it, without quotes"),
        );
        false
    }

    fn key_columns(&mut self, key: &[String]) {
        if self.is_assumed("key") {
            return;
        }
        for (index, column) in key.iter().enumerate() {
            let at = if self.document().has("/key/0") {
                format!("/key/{index}")
            } else {
                "/key".to_owned()
            };
            self.identifier(&at, column, "column");
            if let Some(first) = key[..index].iter().position(|other| other == column) {
                let label = self.place(&format!("/key/{first}"), "first here");
                let finding = self
                    .document()
                    .value_finding(
                        Code::InvalidIdentifier,
                        &at,
                        format!("key column `{column}` is named twice"),
                        "again here",
                    )
                    .also(label)
                    .help("name each key column once");
                self.findings.push(finding);
            }
        }
    }

    fn notion(&mut self) -> NotionSettings {
        let notion = &self.written().notion;
        if let Some(id) = notion
            .data_source_id
            .as_ref()
            .filter(|id| notion_id(id).is_none())
        {
            self.value(
                Code::InvalidNotionId,
                "/notion/data_source_id",
                format!("`{id}` is not a Notion id"),
                "expected 32 hexadecimal digits",
                "in Notion open the database's settings → Manage data sources → Copy data source ID",
            );
        }
        if notion.data_source_id.is_some() && notion.initial.is_none() {
            self.key(
                Code::AdoptNeedsInitial,
                "/notion/data_source_id",
                "an existing database is adopted, and nothing says who wins where values differ".to_owned(),
                "adopted here",
                "add `initial: postgres`, `notion` or `manual` under `notion`",
            );
        }
        if let Some(icon) = notion.icon.as_ref().filter(|icon| !is_icon(icon)) {
            self.value(
                Code::InvalidIcon,
                "/notion/icon",
                format!("`{icon}` is neither an emoji nor an `https` address"),
                "not an icon",
                "write one emoji, such as `\"🚀\"`",
            );
        }
        self.description(
            "/notion/description",
            &notion.title.0,
            notion.description.as_deref(),
        );
        NotionSettings {
            title: notion.title.0.clone(),
            icon: notion.icon.clone(),
            description: notion.description.clone(),
            data_source_id: notion.data_source_id.as_deref().and_then(notion_id),
            initial: notion.initial,
        }
    }

    /// Notion's limit for descriptions of properties; we hold the database's to it as well.
    fn description(&mut self, at: &str, of: &str, text: Option<&str>) {
        const LONGEST: usize = 280;
        let length = text.map_or(0, |text| text.encode_utf16().count());
        if length > LONGEST {
            self.key(
                Code::DescriptionTooLong,
                at,
                format!("the description of `{of}` has {length} characters"),
                "at most 280",
                "shorten it",
            );
        }
    }

    fn system(&mut self) -> SystemProperties {
        let mut system = SystemProperties::default();
        if let Some(written) = &self.written().system {
            let rename = |name: &Option<super::document::NonEmpty>, to: &mut String| {
                if let Some(name) = name {
                    to.clone_from(&name.0);
                }
            };
            rename(&written.postgres_id, &mut system.postgres_id);
            rename(&written.last_synced, &mut system.last_synced);
            rename(&written.sync_status, &mut system.sync_status);
        }
        let names = [
            ("postgres_id", &system.postgres_id),
            ("last_synced", &system.last_synced),
            ("sync_status", &system.sync_status),
        ];
        for (index, (key, name)) in names.iter().enumerate() {
            if let Some((other, _)) = names[..index]
                .iter()
                .find(|(_, other)| other.to_lowercase() == name.to_lowercase())
            {
                self.value(
                    Code::PropertyNameClash,
                    &format!("/system/{key}"),
                    format!("`{key}` and `{other}` would have the same name in Notion"),
                    "not unique",
                    "give each of the three a name of its own",
                );
            }
        }
        system
    }

    /// Whether a property of this name exists or would, had its own mistakes not kept it out.
    fn names_property(&self, fields: &[Field], name: &str) -> bool {
        fields.iter().any(|field| field.property == name)
            || self.parsed.left_out.contains(name)
            || self.is_assumed("properties")
    }
}

/// A Notion id in its dashed form, from any text that holds one: the id itself or an address that ends in it.
pub(super) fn notion_id(text: &str) -> Option<String> {
    let without_query = text.split(['?', '#']).next().unwrap_or(text);
    let last = without_query
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or(without_query);
    let digits: String = last.chars().filter(|c| *c != '-').collect();
    let tail = digits
        .len()
        .checked_sub(32)
        .and_then(|start| digits.get(start..))?;
    // A bare id has nothing before it; in an address a title may stand there.
    let is_whole = digits.len() == 32 || text.starts_with("https://");
    if !is_whole || !tail.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let tail = tail.to_ascii_lowercase();
    Some(
        [
            &tail[..8],
            &tail[8..12],
            &tail[12..16],
            &tail[16..20],
            &tail[20..],
        ]
        .join("-"),
    )
}

/// Whether a text can be one emoji, or is a secure address.
///
/// Emoji are sequences of up to a dozen code points, none of them ASCII letters; Notion judges the rest.
fn is_icon(text: &str) -> bool {
    text.starts_with("https://")
        || (!text.is_empty()
            && text.chars().count() <= 12
            && !text.is_ascii()
            && !text.chars().any(|c| c.is_alphabetic() || c.is_whitespace()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_addresses() {
        let dashed = "1f0a2b3c-4d5e-6f70-8192-a3b4c5d6e7f8";
        for text in [
            dashed,
            "1F0A2B3C4D5E6F708192A3B4C5D6E7F8",
            "https://www.notion.so/team/Data-1f0a2b3c4d5e6f708192a3b4c5d6e7f8?v=2&pvs=4",
            "https://app.notion.com/p/1f0a2b3c4d5e6f708192a3b4c5d6e7f8",
        ] {
            assert_eq!(notion_id(text).as_deref(), Some(dashed), "{text}");
        }
        for text in ["", "teams", "1f0a2b3c", "x1f0a2b3c4d5e6f708192a3b4c5d6e7f8"] {
            assert_eq!(notion_id(text), None, "{text}");
        }
    }

    #[test]
    fn icons_are_emoji_or_addresses() {
        for icon in ["🚀", "👩‍🚀", "🏴‍☠️", "https://example.org/a.png"] {
            assert!(is_icon(icon), "{icon}");
        }
        for text in ["", "rocket", ":rocket:", "http://example.org/a.png", "ü"] {
            assert!(!is_icon(text), "{text}");
        }
    }
}
