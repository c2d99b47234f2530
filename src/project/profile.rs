//! One university's settings, with every template rendered.

use std::net::IpAddr;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Map, Value, json};

use super::Project;
use super::document::{NotionAccessDocument, RequestsPerMinute, SettingsDocument, TuningDocument};
use super::schedule::{CronLine, Schedule};
use crate::diagnostic::{Checked, Code, Diagnostic, Label, Severity, did_you_mean};
use crate::mapping::document::Period;
use crate::schema::TableName;
use crate::template::{Ambient, Template, TemplateFault};
use crate::yaml::pointer;

/// Overrides `notion.base_url` of every profile.
const BASE_URL_VARIABLE: &str = "FRAMES_SYNC_NOTION_BASE_URL";

/// Whether a command can do without the values of variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// A variable that is not set is an error.
    Needed,
    /// A variable that is not set is a warning, and what depends on it is absent.
    Optional,
}

/// One university's settings.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The profile's name.
    pub name: String,
    /// What mappings see as `vars`.
    pub vars: Map<String, Value>,
    /// The entities it syncs; `None` for every mapping.
    pub entities: Option<Vec<String>>,
    /// The Postgres to sync; `None` where it is not set.
    pub database_url: Option<SecretString>,
    /// The workspace to sync.
    pub notion: NotionAccess,
    /// When `run` syncs.
    pub schedule: Schedule,
    /// The schema that holds the sync state.
    pub state_schema: String,
    /// The table that audit entries are copied into.
    pub audit_table: Option<TableName>,
    /// How long audit entries, past runs and closed conflicts are kept.
    pub audit_retention: Duration,
    /// The timings.
    pub tuning: Tuning,
}

/// How long the audit log is kept where nothing else is said.
///
/// Source: section 1 of the semantics page.
const AUDIT_RETENTION: Duration = Duration::from_hours(30 * 24);

/// The workspace to sync.
#[derive(Clone, Debug)]
pub struct NotionAccess {
    /// The connection's token; `None` where it is not set.
    pub token: Option<SecretString>,
    /// The page under which the databases stand, as written; `None` where it is not set.
    pub parent_page: Option<String>,
    /// Requests a minute.
    pub requests_per_minute: u32,
    /// A simulator's address in place of Notion's; always loopback.
    pub base_url: Option<String>,
}

/// The timings of the sync.
///
/// Source of the defaults: sections 5.0, 5.3 and 5.4 of the semantics page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// How long after a write of unknown outcome the page is read again.
    pub settle: Duration,
    /// How long after a creation of unknown outcome it may be tried again.
    pub settle_create: Duration,
    /// How long a read may still show what was before our own last write.
    pub read_lag: Duration,
    /// How long a page that a person is editing is left alone.
    pub quiet_page: Duration,
    /// How long a page that a person made must rest before a row is made of it.
    pub create_grace: Duration,
    /// How long one request to Notion may take.
    pub request_timeout: Duration,
    /// How long an instance owns a profile without renewing.
    pub lease: Duration,
    /// How often every page is listed.
    pub full_scan_every: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            settle: Duration::from_secs(120),
            settle_create: Duration::from_secs(480),
            read_lag: Duration::from_secs(150),
            quiet_page: Duration::from_secs(180),
            create_grace: Duration::from_secs(120),
            request_timeout: Duration::from_secs(60),
            lease: Duration::from_secs(180),
            full_scan_every: Duration::from_secs(900),
        }
    }
}

impl Profile {
    /// Whether the profile syncs an entity.
    pub fn has_entity(&self, entity: &str) -> bool {
        self.entities
            .as_ref()
            .is_none_or(|entities| entities.iter().any(|name| name == entity))
    }
}

impl Project {
    /// The names of all profiles, in order.
    pub fn profile_names(&self) -> impl Iterator<Item = &str> {
        self.written.profiles.0.keys().map(String::as_str)
    }

    /// The profile that commands use when none is named: the default one, or the only one.
    pub fn default_profile(&self) -> Option<&str> {
        let mut names = self.profile_names();
        let first = names.next();
        match (&self.written.default_profile, names.next()) {
            (Some(name), _) => Some(name),
            (None, None) => first,
            (None, Some(_)) => None,
        }
    }

    /// Renders a profile: its own settings over the defaults, key by key.
    ///
    /// There is no value for a name that the project does not have.
    pub fn profile(&self, name: &str, secrets: Secrets) -> Checked<Profile> {
        let Some(own) = self.written.profiles.0.get(name) else {
            return Checked {
                value: None,
                findings: Vec::new(),
            };
        };
        let empty = SettingsDocument::default();
        let mut rendering = Rendering {
            project: self,
            name,
            own: own.as_ref().unwrap_or(&empty),
            defaults: self.written.defaults.as_ref().unwrap_or(&empty),
            secrets,
            vars: Map::new(),
            findings: Vec::new(),
        };
        let profile = rendering.profile();
        Checked {
            value: Some(profile),
            findings: rendering.findings,
        }
    }
}

struct Rendering<'a> {
    project: &'a Project,
    name: &'a str,
    own: &'a SettingsDocument,
    defaults: &'a SettingsDocument,
    secrets: Secrets,
    vars: Map<String, Value>,
    findings: Vec<Diagnostic>,
}

impl<'a> Rendering<'a> {
    fn profile(&mut self) -> Profile {
        self.vars = self.vars();
        let (own, defaults) = (self.own, self.defaults);
        let database_url = self.database_url();
        let notion = self.notion();
        self.everything_needed();
        let state_schema = match self.pick(&own.state_schema, &defaults.state_schema, "state_schema") {
            Some((at, name)) => self
                .text(&at, &name.0)
                .unwrap_or_else(|| "frames_sync".to_owned()),
            None => "frames_sync".to_owned(),
        };
        let audit_table = self
            .pick(&own.audit_table, &defaults.audit_table, "audit_table")
            .and_then(|(at, table)| self.text(&at, &table.0))
            .map(|table| match table.split_once('.') {
                Some((schema, name)) => TableName {
                    schema: schema.to_owned(),
                    name: name.to_owned(),
                },
                None => TableName {
                    schema: "public".to_owned(),
                    name: table,
                },
            });
        Profile {
            name: self.name.to_owned(),
            vars: self.vars.clone(),
            entities: own.entities.clone().or_else(|| defaults.entities.clone()),
            database_url,
            notion,
            schedule: self.schedule(),
            state_schema,
            audit_table,
            audit_retention: self.audit_retention(),
            tuning: self.tuning(),
        }
    }

    /// Reports the settings that nobody wrote and no command that reaches out can do without.
    fn everything_needed(&mut self) {
        if self.secrets == Secrets::Optional {
            return;
        }
        let writes = |key: fn(&NotionAccessDocument) -> &Option<String>| {
            [self.own, self.defaults].into_iter().any(|settings| {
                settings
                    .notion
                    .as_ref()
                    .is_some_and(|notion| key(notion).is_some())
            })
        };
        let settings = [
            (
                "database_url",
                self.own.database_url.is_some() || self.defaults.database_url.is_some(),
            ),
            ("notion.token", writes(|notion| &notion.token)),
            ("notion.parent_page", writes(|notion| &notion.parent_page)),
        ];
        let at = pointer("/profiles", self.name);
        for (setting, _) in settings.into_iter().filter(|(_, is_written)| !is_written) {
            self.findings.push(
                self.project
                    .document
                    .key_finding(
                        Code::MissingKey,
                        &at,
                        format!("profile `{}` has no `{setting}`", self.name),
                        format!("`{setting}` is required here or in `defaults`"),
                    )
                    .help("take it from a variable, such as `\"{{ env.DATABASE_URL }}\"`"),
            );
        }
    }

    /// The profile's value or else the default, with the pointer to the one that counts.
    fn pick<T>(&self, own: &'a Option<T>, defaults: &'a Option<T>, key: &str) -> Option<(String, &'a T)> {
        let at_own = || format!("{}/{key}", pointer("/profiles", self.name));
        own.as_ref()
            .map(|value| (at_own(), value))
            .or_else(|| defaults.as_ref().map(|value| (format!("/defaults/{key}"), value)))
    }

    fn vars(&mut self) -> Map<String, Value> {
        let mut vars = Map::new();
        let own_at = format!("{}/vars", pointer("/profiles", self.name));
        for (at, written) in [("/defaults/vars", &self.defaults.vars), (&own_at, &self.own.vars)] {
            for (name, value) in written.iter().flatten() {
                let value = match value {
                    Value::String(text) => self.render(&pointer(at, name), text, false),
                    other => Some(other.clone()),
                };
                vars.insert(name.clone(), value.unwrap_or(Value::Null));
            }
        }
        vars
    }

    fn database_url(&mut self) -> Option<SecretString> {
        let (at, written) = self.pick(
            &self.own.database_url,
            &self.defaults.database_url,
            "database_url",
        )?;
        let is_literal = Template::parse(written.as_str()).is_ok_and(|template| template.is_plain());
        if is_literal && password_of(written) {
            self.literal_secret(&at, "a password", "DATABASE_URL");
        }
        let url = self.text(&at, written)?;
        if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
            self.findings.push(
                self.project
                    .document
                    .value_finding(
                        Code::InvalidDatabaseUrl,
                        &at,
                        "the database URL does not begin with `postgresql://`",
                        "not a Postgres URL",
                    )
                    .help("it looks like `postgresql://user:password@host/database`"),
            );
            return None;
        }
        Some(SecretString::from(url))
    }

    fn notion(&mut self) -> NotionAccess {
        let empty = NotionAccessDocument::default();
        let own = self.own.notion.as_ref().unwrap_or(&empty);
        let defaults = self.defaults.notion.as_ref().unwrap_or(&empty);
        let own_at = format!("{}/notion", pointer("/profiles", self.name));
        let pick = |own: &Option<String>, defaults: &Option<String>, key: &str| {
            own.clone()
                .map(|value| (format!("{own_at}/{key}"), value))
                .or_else(|| {
                    defaults
                        .clone()
                        .map(|value| (format!("/defaults/notion/{key}"), value))
                })
        };
        let token = pick(&own.token, &defaults.token, "token").and_then(|(at, written)| {
            if Template::parse(written.as_str()).is_ok_and(|template| template.is_plain()) {
                self.literal_secret(&at, "a token", "NOTION_API_KEY");
            }
            self.text(&at, &written).map(SecretString::from)
        });
        let parent_page = pick(&own.parent_page, &defaults.parent_page, "parent_page")
            .and_then(|(at, written)| self.text(&at, &written));
        let requests_per_minute = match (&own.requests_per_minute, &defaults.requests_per_minute) {
            (Some(written), _) => self.requests_per_minute(&format!("{own_at}/requests_per_minute"), written),
            (None, Some(written)) => {
                self.requests_per_minute("/defaults/notion/requests_per_minute", written)
            }
            (None, None) => None,
        };
        let base_url = match self.project.environment.get(BASE_URL_VARIABLE).map(str::to_owned) {
            Some(url) => {
                let at = if own.base_url.is_some() {
                    format!("{own_at}/base_url")
                } else {
                    own_at.clone()
                };
                self.loopback(&at, url)
            }
            None => pick(&own.base_url, &defaults.base_url, "base_url")
                .and_then(|(at, written)| self.text(&at, &written).and_then(|url| self.loopback(&at, url))),
        };
        NotionAccess {
            token,
            parent_page,
            // What every plan below Business allows (request limits, 2026-03-11).
            requests_per_minute: requests_per_minute.unwrap_or(180),
            base_url,
        }
    }

    fn requests_per_minute(&mut self, at: &str, written: &RequestsPerMinute) -> Option<u32> {
        match written {
            RequestsPerMinute::Number(number) => Some(*number),
            RequestsPerMinute::Template(text) => {
                let rendered = self.render(at, text, false)?;
                let number = rendered
                    .as_u64()
                    .or_else(|| rendered.as_str()?.trim().parse().ok())
                    .and_then(|number| u32::try_from(number).ok())
                    .filter(|number| (1..=60_000).contains(number));
                if number.is_none() {
                    self.findings.push(
                        self.project
                            .document
                            .value_finding(
                                Code::OutOfRange,
                                at,
                                "the number of requests a minute is not a whole number from 1 to 60000",
                                "out of range",
                            )
                            .help("write `180`, or `600` on Business and Enterprise plans"),
                    );
                }
                number
            }
        }
    }

    fn loopback(&mut self, at: &str, url: String) -> Option<String> {
        if is_loopback(&url) {
            return Some(url.trim_end_matches('/').to_owned());
        }
        self.findings.push(
            self.project
                .document
                .value_finding(
                    Code::BaseUrlNotLoopback,
                    at,
                    "the address in place of Notion's leads away from this machine",
                    "not a loopback address",
                )
                .help("only addresses such as `http://127.0.0.1:8080` are accepted, for simulators"),
        );
        None
    }

    fn schedule(&mut self) -> Schedule {
        for (at, settings) in [
            (pointer("/profiles", self.name), self.own),
            ("/defaults".to_owned(), self.defaults),
        ] {
            match (&settings.every, &settings.cron) {
                (Some(_), Some(_)) => {
                    let label = self
                        .project
                        .document
                        .key_label(&format!("{at}/every"), "and `every`");
                    self.findings.push(
                        self.project
                            .document
                            .key_finding(
                                Code::ScheduleUnclear,
                                &format!("{at}/cron"),
                                "the schedule has both `every` and `cron`",
                                "`cron`",
                            )
                            .also(label)
                            .help("remove one of the two"),
                    );
                    break;
                }
                (Some(every), None) => return Schedule::Every(every.duration().unwrap_or_default()),
                (None, Some(cron)) => {
                    let wrong = match CronLine::parse(cron) {
                        Ok(line) => return Schedule::Cron(line),
                        Err(wrong) => wrong,
                    };
                    self.findings.push(
                        self.project
                            .document
                            .value_finding(
                                Code::ScheduleUnclear,
                                &format!("{at}/cron"),
                                wrong,
                                "not a schedule",
                            )
                            .help("minute, hour, day, month, weekday: `\"*/5 * * * *\"`"),
                    );
                    break;
                }
                (None, None) => {}
            }
        }
        Schedule::Every(Duration::from_secs(300))
    }

    fn audit_retention(&self) -> Duration {
        let written = self.own.audit_retention.as_ref();
        let written = written.or(self.defaults.audit_retention.as_ref());
        // Guards count over the last day, and clocks differ.
        written
            .and_then(Period::duration)
            .unwrap_or(AUDIT_RETENTION)
            .max(Duration::from_hours(48))
    }

    fn tuning(&self) -> Tuning {
        let mut tuning = Tuning::default();
        for written in [&self.defaults.tuning, &self.own.tuning].into_iter().flatten() {
            let TuningDocument {
                settle,
                settle_create,
                read_lag,
                quiet_page,
                create_grace,
                request_timeout,
                lease,
                full_scan_every,
            } = written;
            for (period, timing) in [
                (settle, &mut tuning.settle),
                (settle_create, &mut tuning.settle_create),
                (read_lag, &mut tuning.read_lag),
                (quiet_page, &mut tuning.quiet_page),
                (create_grace, &mut tuning.create_grace),
                (request_timeout, &mut tuning.request_timeout),
                (lease, &mut tuning.lease),
                (full_scan_every, &mut tuning.full_scan_every),
            ] {
                if let Some(duration) = period.as_ref().and_then(Period::duration) {
                    *timing = duration;
                }
            }
        }
        // A person is never kept waiting longer than this (5.1 of the semantics page).
        tuning.quiet_page = tuning.quiet_page.min(Duration::from_secs(180));
        tuning
    }

    fn text(&mut self, at: &str, written: &str) -> Option<String> {
        match self.render(at, written, true)? {
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(text),
            Value::Null => None,
            other => Some(other.to_string()),
        }
    }

    /// Renders a template over `env`, `vars` and `profile`; reports a variable that is not there.
    fn render(&mut self, at: &str, written: &str, sees_vars: bool) -> Option<Value> {
        let template = match Template::parse(written) {
            Ok(template) => template,
            Err(error) => {
                self.invalid_template(at, written, &error.message, error.range);
                return None;
            }
        };
        if template.is_plain() {
            return Some(Value::from(written));
        }
        let environment = &self.project.environment;
        let missing: Vec<String> = template
            .references()
            .into_iter()
            .filter(|reference| match reference.split_once('.') {
                Some(("env", name)) => environment.get(name).is_none(),
                Some(("vars", name)) => {
                    !sees_vars || !self.vars.contains_key(name.split('.').next().unwrap_or(name))
                }
                Some(("profile", name)) => name != "name",
                Some(_) => true,
                None => !matches!(reference.as_str(), "env" | "vars" | "profile"),
            })
            .collect();
        // `{{ env.X | default("…") }}` and `is defined` do without the variable; only a failure to render is a finding.
        let context =
            json!({ "env": environment.object(), "vars": self.vars, "profile": { "name": self.name } });
        match template.render(&context, &Ambient::FIXED) {
            Ok(value) => Some(value),
            Err(error) if error.fault == TemplateFault::Undefined && !missing.is_empty() => {
                for reference in missing {
                    self.undefined_variable(at, written, &reference);
                }
                None
            }
            Err(error) => {
                self.invalid_template(at, written, &error.message, error.range);
                None
            }
        }
    }

    fn undefined_variable(&mut self, at: &str, written: &str, reference: &str) {
        let (help, severity) = match reference.split_once('.') {
            Some(("env", name)) => {
                // Names may be suggested; values never appear.
                let help = did_you_mean(name, self.project.environment.names()).unwrap_or_else(|| {
                    format!("set {name} in the environment, or in `.env` beside the file")
                });
                let severity = match self.secrets {
                    Secrets::Needed => Severity::Error,
                    Secrets::Optional => Severity::Warning,
                };
                (help, severity)
            }
            Some(("vars", name)) => (format!("add `{name}` to the profile's `vars`"), Severity::Error),
            _ => (
                "templates here see `env`, `vars` and `profile.name`".to_owned(),
                Severity::Error,
            ),
        };
        let range = written
            .find(reference)
            .map(|start| start..start + reference.len());
        let finding = Diagnostic::new(
            Code::UndefinedVariable,
            format!("`{reference}` is not set"),
            self.label(at, written, range, "not set"),
        )
        .at(at)
        .with_severity(severity)
        .help(help);
        self.findings.push(finding);
    }

    fn invalid_template(
        &mut self,
        at: &str,
        written: &str,
        why: &str,
        range: Option<std::ops::Range<usize>>,
    ) {
        let finding = Diagnostic::new(
            Code::InvalidTemplate,
            format!("the template cannot be used: {why}"),
            self.label(at, written, range, "here"),
        )
        .at(at)
        .help("templates here see `env`, `vars` and `profile.name`");
        self.findings.push(finding);
    }

    fn literal_secret(&mut self, at: &str, what: &str, variable: &str) {
        let finding = self
            .project
            .document
            .key_finding(
                Code::LiteralSecret,
                at,
                format!("{what} stands in the project file"),
                "anyone with the file has it",
            )
            .help(format!(
                "put it in `.env` as {variable}, write `\"{{{{ env.{variable} }}}}\"`, and renew it"
            ));
        self.findings.push(finding);
    }

    fn label(&self, at: &str, written: &str, range: Option<std::ops::Range<usize>>, text: &str) -> Label {
        let mut label = self.project.document.value_label(at, text);
        if let (Some(range), Some(offset)) = (range, label.file.slice(&label.span).find(written)) {
            let start = label.span.start + offset;
            label.span = start + range.start..start + range.end;
        }
        label
    }
}

/// Whether a database URL holds a password.
pub(super) fn password_of(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    let in_user_part = authority
        .rsplit_once('@')
        .and_then(|(user, _)| user.split_once(':'))
        .is_some_and(|(_, password)| !password.is_empty());
    in_user_part || rest.contains("?password=") || rest.contains("&password=")
}

/// Whether an address is `http` or `https` on this machine: a loopback IP, or `localhost`.
fn is_loopback(url: &str) -> bool {
    let Some(rest) = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"))
    else {
        return false;
    };
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or(rest);
    // A user part could hide the real host from a reader.
    if authority.contains('@') {
        return false;
    }
    let host = match authority.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or(bracketed),
        None => authority.split(':').next().unwrap_or(authority),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for url in [
            "http://127.0.0.1:8080",
            "http://localhost/x",
            "http://[::1]:1",
            "https://127.9.9.9",
        ] {
            assert!(is_loopback(url), "{url}");
        }
        for url in [
            "http://example.org",
            "http://127.0.0.1.example.org",
            "http://127.0.0.1@example.org",
            "http://localhost@example.org:80",
            "http://example.org\\@localhost",
            "ftp://localhost",
            "http://[::2]",
            "http://10.0.0.1",
            "http://0.0.0.0",
        ] {
            assert!(!is_loopback(url), "{url}");
        }
    }

    #[test]
    fn passwords_in_urls_are_seen() {
        assert!(password_of("postgresql://u:secret@h/d"));
        assert!(password_of("postgresql://h/d?user=u&password=secret"));
        assert!(!password_of("postgresql://u@h/d"));
        assert!(!password_of("postgresql:///d?host=/tmp"));
    }
}
