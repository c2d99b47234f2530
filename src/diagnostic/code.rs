//! Every kind of finding, in one closed table.
//!
//! `frames-sync validate --explain CODE` and `docs/diagnostics.md` both print this table; a test holds that each
//! code of the offline layers has a sample file that shows it.

use std::fmt;
use std::str::FromStr;

use super::Severity;

/// The layer of checks that a code belongs to, in the order they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// Reading files and YAML.
    Yaml,
    /// The JSON Schema.
    Schema,
    /// What a mapping says, against itself and the other mappings.
    Meaning,
    /// The project file and its profiles.
    Project,
    /// The mapping against the live database.
    Postgres,
    /// The mapping against the live workspace.
    Notion,
}

impl Layer {
    /// Every layer, in order.
    pub const ALL: [Layer; 6] = [
        Layer::Yaml,
        Layer::Schema,
        Layer::Meaning,
        Layer::Project,
        Layer::Postgres,
        Layer::Notion,
    ];

    /// The heading in the reference.
    pub fn title(self) -> &'static str {
        match self {
            Layer::Yaml => "Reading YAML",
            Layer::Schema => "JSON Schema",
            Layer::Meaning => "Meaning",
            Layer::Project => "The project file",
            Layer::Postgres => "The live database",
            Layer::Notion => "The live workspace",
        }
    }
}

macro_rules! codes {
    ($($variant:ident $name:literal $layer:ident $severity:ident $summary:literal $explanation:literal)*) => {
        /// A kind of finding.
        ///
        /// Printed in kebab-case everywhere. Codes are never reused for another meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $summary] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the reference.
            pub const ALL: &[Code] = &[$(Code::$variant),*];

            /// The name: kebab-case.
            pub fn name(self) -> &'static str {
                match self { $(Code::$variant => $name,)* }
            }

            /// The layer it belongs to.
            pub fn layer(self) -> Layer {
                match self { $(Code::$variant => Layer::$layer,)* }
            }

            /// What it weighs unless a run says otherwise.
            pub fn severity(self) -> Severity {
                match self { $(Code::$variant => Severity::$severity,)* }
            }

            /// What it means, in one sentence.
            pub fn summary(self) -> &'static str {
                match self { $(Code::$variant => $summary,)* }
            }

            /// Why it matters and what to do about it.
            pub fn explanation(self) -> &'static str {
                match self { $(Code::$variant => $explanation,)* }
            }
        }
    };
}

codes! {
    UnreadableFile "unreadable-file" Yaml Error
        "A file or folder could not be read."
        "The path exists in the project but the operating system refused it, or it is not there. Check the path and its permissions; the user that runs frames-sync needs to read it."
    NotUtf8 "not-utf8" Yaml Error
        "A file is not UTF-8 text."
        "Mapping files are UTF-8. A binary file, or one saved in another encoding, cannot be read without guessing. Save it as UTF-8; most editors offer this under “Save with encoding”."
    FileTooLarge "file-too-large" Yaml Error
        "A file is larger than 1 MiB."
        "No mapping of real tables comes near this size, so the file is probably not a mapping. The limit keeps a mistake, or an attack, from using the machine's memory."
    EmptyDocument "empty-document" Yaml Error
        "A file holds no document."
        "The file is empty, or has only comments. A mapping needs at least `version`, `entity`, `table`, `key`, `notion` and `properties`. `frames-sync generate TABLE` writes one from a live table."
    SeveralDocuments "several-documents" Yaml Error
        "A file holds more than one YAML document."
        "A line of `---` begins a second document. Each entity has a file of its own: move what follows the line to its own file."
    YamlSyntax "yaml-syntax" Yaml Error
        "A file is not valid YAML."
        "The parser stopped at the place shown. Often the cause is a line above it: a quote or bracket that is not closed, or an indentation that does not match."
    TabIndentation "tab-indentation" Yaml Error
        "A line is indented with a tab."
        "YAML forbids tabs in indentation, because their width is not defined. Indent with two spaces; most editors convert a whole file at once."
    DuplicateKey "duplicate-key" Yaml Error
        "A key appears twice in one object."
        "YAML readers disagree on which of the two counts, so neither is taken. Remove one; for two properties of one name, rename one."
    NonStringKey "non-string-key" Yaml Error
        "A key is not text."
        "An unquoted key such as `1`, `true` or `null` is a number, boolean or null to YAML. Keys are names: put it in quotes."
    AmbiguousScalar "ambiguous-scalar" Yaml Error
        "An unquoted value means different things to different YAML readers."
        "`no`, `yes`, `on` and `off` were booleans in YAML 1.1 and are texts in 1.2; `0o7`, `0x1F`, `012` and `1_000` are numbers to some readers and texts to others. Put a text in quotes; write `true` or `false`, or a plain decimal number."
    YamlTag "yaml-tag" Yaml Error
        "A value carries a tag that has no meaning here."
        "Tags such as `!env` or `!secret` belong to other tools. Variables are written as templates: `\"{{ env.NAME }}\"`."
    TooComplex "too-complex" Yaml Error
        "A document is nested too deeply, too large, or multiplies itself through aliases."
        "Reading stops at 32 levels, 20,000 values or an alias that expands beyond the budget. Real mappings stay far below; the limit stops documents made to exhaust memory."

    UnknownKey "unknown-key" Schema Error
        "A key is not known at this place."
        "Keys are never ignored: a misspelt one would silently do nothing. The message names the nearest known key, and all that may stand here."
    MissingKey "missing-key" Schema Error
        "A required key is missing."
        "The object shown cannot be understood without it."
    WrongType "wrong-type" Schema Error
        "A value has the wrong shape."
        "For instance a list where one text is expected, or a number where true or false is. The message says what was expected and what was found."
    UnknownPropertyType "unknown-property-type" Schema Error
        "A property's `type` is not one of Notion's."
        "The types are those of Notion's API, in lower case with underscores: `rich_text`, not `text`; `multi_select`, not `tags`."
    UnknownValue "unknown-value" Schema Error
        "A value is not one of those that a key allows."
        "The message lists what is allowed here."
    InvalidFormat "invalid-format" Schema Error
        "A text does not have the form that a key needs."
        "Durations are a number and a unit: `30s`, `5m`, `2h`, `1d`. Percentages are a number and `%`. Names of entities and profiles are letters, digits, `-` and `_`."
    UnsupportedVersion "unsupported-version" Schema Error
        "A file's `version` is not one that this program reads."
        "This program reads version 1. A higher number was written for a later program: update frames-sync."
    EmptyValue "empty-value" Schema Error
        "A list, object or text that must hold something is empty."
        "Remove the key to get its default, or fill it."
    OutOfRange "out-of-range" Schema Error
        "A number is outside the range that a key allows."
        "The message says which limits the key has."

    EntityNameMismatch "entity-name-mismatch" Meaning Error
        "A mapping's `entity` is not its file's name."
        "Entities are found by their file: `mappings/teams.yaml` is `entity: teams`. Rename one of the two."
    InvalidIdentifier "invalid-identifier" Meaning Error
        "A table or column name cannot exist in Postgres."
        "A name is 1 to 63 bytes without a NUL character. Postgres would cut a longer one silently and meet another table."
    TableMappedTwice "table-mapped-twice" Meaning Error
        "Two entities map the same table with the same scope."
        "Each row would have two pages, and both would write it. Merge the mappings, or give them scopes that no row is in together."
    NoTitle "no-title" Meaning Error
        "A mapping has no `title` property."
        "Every Notion database has exactly one title: the name of the page. Give one property `type: title`."
    SeveralTitles "several-titles" Meaning Error
        "A mapping has more than one `title` property."
        "Every Notion database has exactly one title. Make the others `rich_text`."
    PropertyNameClash "property-name-clash" Meaning Error
        "Two properties differ only in case."
        "Notion shows both alike, and whether it takes both is not documented. Give them different names."
    ReservedPropertyName "reserved-property-name" Meaning Error
        "A property has the name of one that the engine owns."
        "`postgres_id`, `last_synced` and `sync_status` are added to every database. Rename yours, or theirs under `system:`."
    InvalidPropertyName "invalid-property-name" Meaning Error
        "A property's name is blank, or begins or ends with white space."
        "Nobody could tell it from its trimmed form in Notion."
    ColumnWrittenTwice "column-written-twice" Meaning Error
        "Two properties write the same column."
        "An edit of one would be undone by the other. Make all but one `direction: to_notion`."
    SourceMissing "source-missing" Meaning Error
        "A property has neither a `column` nor a `template`."
        "The engine would not know what to show there. Name the column, or compute text from the row with `template`."
    SourceConflict "source-conflict" Meaning Error
        "A property has both a `column` and a `template`."
        "Only one of the two can say what stands in the property. Use a `conversion` to change a column's value on the way."
    TemplateNotOneWay "template-not-one-way" Meaning Error
        "A property with a `template` would have to be read back."
        "Text computed from a row cannot be turned back into columns. Say `direction: to_notion`."
    TemplateSyntax "template-syntax" Meaning Error
        "A template does not parse."
        "Templates are minijinja, which is Jinja2's language: `{{ expression }}`, `{% if … %}`. The message shows where reading stopped."
    TemplateUnknownVariable "template-unknown-variable" Meaning Error
        "A template names a variable that it will not have."
        "In `template` and `new_row` the row's columns are variables; a `conversion` sees `value` and `row`; everywhere `vars`, `profile`, `uuid()` and `now()`. A column with an odd name is `row[\"odd name\"]`."
    ReadOnlyDirection "read-only-direction" Meaning Error
        "A property that Notion computes would have to be written."
        "Formulas, rollups, unique ids and the created/edited properties are read-only. Give them `direction: to_postgres` and a column, or no column at all."
    TitleFromNotionOnly "title-from-notion-only" Meaning Warning
        "The title is not shown from Postgres."
        "New pages would have no name. Titles are usually `direction: both` or `to_notion`."
    DuplicateOption "duplicate-option" Meaning Error
        "An option appears twice."
        "Notion compares option names without case, so `Active` and `active` are one option."
    OptionComma "option-comma" Meaning Error
        "An option's name has a comma."
        "Notion refuses commas in option names. Use another sign, with `conversion: { map: … }` if the column holds the comma."
    OptionTooLong "option-too-long" Meaning Error
        "An option's name is longer than 100 characters."
        "Notion's limit for option names is 100 characters."
    TooManyOptions "too-many-options" Meaning Error
        "A property declares more than 100 options."
        "Notion takes 100 options in one request, and a longer list can no longer be changed as a whole. A `relation` or `rich_text` fits so many values better."
    StatusOptionsFixed "status-options-fixed" Meaning Error
        "A status would have to grow options by itself."
        "Notion never adds an option to a status by a page write. Declare every option, or use `select`."
    GroupWithoutStatus "group-without-status" Meaning Error
        "An option names a `group`, and the property is no status."
        "Only status options stand in groups (To-do, In progress, Complete)."
    UnknownRelationTarget "unknown-relation-target" Meaning Error
        "A relation's `target` is not an entity."
        "`target` names another mapping by its `entity`. A profile that leaves the entity out cannot link to it either."
    RelationToCompositeKey "relation-to-composite-key" Meaning Error
        "A relation's target has a key of several columns."
        "One column cannot hold such a key. Map the column as text, or give the target a single-column key."
    DualClash "dual-clash" Meaning Error
        "Both sides of a two-way relation are mapped, or its mirror takes the name of another property."
        "Notion keeps both sides of a two-way relation equal by itself; writing both would fight. Map one side, and give the mirror a name of its own."
    ScopeColumnWritable "scope-column-writable" Meaning Error
        "A column that decides the scope can be written from Notion."
        "An edit there would move a record to another university. Give the property `direction: to_notion`."
    ScopeInvalid "scope-invalid" Meaning Error
        "A scope condition makes no sense."
        "A condition is a value, `null`, a list, or one operator such as `{ not: x }`, `{ gt: 3 }`. An empty list admits no row at all."
    ConversionUnclear "conversion-unclear" Meaning Error
        "A conversion names more than one way, or half of one."
        "A conversion is one of: `iso8601`, `json`, `trim`, `{ map: … }`, `{ scale: … }`, `{ split: … }`, `{ to_notion: …, to_postgres: … }`."
    ConversionTypeMismatch "conversion-type-mismatch" Meaning Error
        "A conversion does not fit the property's type."
        "`scale` is for numbers, `split` for lists, `iso8601` for dates, `trim` for text. `docs/conversions.md` lists every pair of column and property with the conversions that fit."
    ConversionNotInvertible "conversion-not-invertible" Meaning Error
        "Two values convert to one, so the way back is not known."
        "A map must give each column value a property value of its own, and a scale must not be zero. Or make the property `direction: to_notion`."
    ConversionOneWay "conversion-one-way" Meaning Error
        "A conversion has no way back, and the property is not one-way."
        "Add `to_postgres`, or say `direction: to_notion`."
    ConversionRoundTrip "conversion-round-trip" Meaning Error
        "An example does not survive its conversion and the way back."
        "Each example is converted to Notion and back when files are validated; what comes back must be the example. Otherwise the first sync would change the column."
    ConversionNoExamples "conversion-no-examples" Meaning Warning
        "A two-way template conversion has no `examples`."
        "Without examples nobody can know that the way back undoes the way there. Add a few column values."
    NewRowMissingKey "new-row-missing-key" Meaning Error
        "Rows may be inserted, and nothing gives them a key."
        "With `on_page_create: insert_row`, each key column needs a `new_row` template or a property that people fill in, unless the database makes it; the live layer knows about defaults."
    NewRowUnused "new-row-unused" Meaning Warning
        "`new_row` is given, and rows are never inserted."
        "`new_row` only counts with `on_page_create: insert_row`."
    NewRowShadowed "new-row-shadowed" Meaning Error
        "`new_row` gives a column that a page's property already carries."
        "The property's value would be lost. Remove the column from `new_row`, or make the property `direction: to_notion`."
    NewRowScope "new-row-scope" Meaning Error
        "`new_row` gives a column that the scope decides."
        "Columns fixed by `scope` are filled in from the profile; anything else would put the row in another scope."
    SoftDeleteUnclear "soft-delete-unclear" Meaning Error
        "`on_page_trash: soft_delete` and `soft_delete` do not go together."
        "`soft_delete` names the columns to set when a page is trashed, such as `{ deleted_at: \"{{ now() }}\" }`, and counts only with `on_page_trash: soft_delete`."
    OptOutNotCheckbox "opt-out-not-checkbox" Meaning Error
        "`opt_out` names a property that is no checkbox."
        "A person ticks the property to have a record left alone, so it is a checkbox: one of the mapping's, or a name that the engine adds."
    KeyWritable "key-writable" Meaning Warning
        "A key column can be written from Notion."
        "Keys identify records; changing one looks like a delete and an insert. Give the property `direction: to_notion`."
    InvalidTimeZone "invalid-time-zone" Meaning Error
        "A `time_zone` is neither a zone's name nor an offset."
        "Write a name such as `America/Los_Angeles` or `UTC`, or an offset such as `-08:00`."
    TimeZoneMisplaced "time-zone-misplaced" Meaning Warning
        "A `time_zone` stands where no time is read."
        "It only counts for dates and for `conversion: iso8601`."
    DescriptionTooLong "description-too-long" Meaning Error
        "A description is longer than Notion's 280 characters."
        "Notion refuses the whole request. Shorten it."
    ExpressionBlank "expression-blank" Meaning Error
        "A formula has a blank `expression`."
        "Write Notion's formula, such as `prop(\"Credits\") * 2`."
    RollupRelationUnknown "rollup-relation-unknown" Meaning Error
        "A rollup follows a property that is not a relation of this mapping."
        "`relation` names a property with `type: relation`."
    RollupPropertyUnknown "rollup-property-unknown" Meaning Error
        "A rollup reads a property that its relation's target does not have."
        "`property` names a property of the mapping that the relation leads to."
    DuplicateView "duplicate-view" Meaning Error
        "Two views have the same name."
        "Views are found again by their name."
    ViewUnknownProperty "view-unknown-property" Meaning Error
        "A view names a property that the mapping does not have."
        "Views group, show and sort by the mapping's properties, or by the engine's three."
    ViewNeedsGroup "view-needs-group" Meaning Error
        "A view lacks the `group_by` that its type needs."
        "A board is grouped by a select, multi_select, status, people or relation property; a calendar and a timeline need a date. Both are named in `group_by`."
    ViewGroupType "view-group-type" Meaning Error
        "A view's `group_by` property has a type that cannot group it."
        "A board is grouped by select, multi_select, status, people, relation or checkbox; a calendar and a timeline by a date."
    AdoptNeedsInitial "adopt-needs-initial" Meaning Error
        "A mapping adopts an existing database and does not say who wins."
        "Where rows and pages already differ, somebody's value is overwritten on first linking. Say `initial: postgres`, `notion` or `manual`."
    InvalidNotionId "invalid-notion-id" Meaning Error
        "A text is not a Notion id."
        "An id is 32 hexadecimal digits, dashed or not, alone or in the address of a page."
    InvalidIcon "invalid-icon" Meaning Error
        "An icon is neither an emoji nor the address of a picture."
        "Write one emoji, or an `https://` address."
    GuardDisabled "guard-disabled" Meaning Warning
        "A guard lets everything through."
        "At 100 % the guard can never stop a run. Guards exist for the day on which a filter is wrong."

    NoMappings "no-mappings" Project Error
        "The mappings folder holds no mapping."
        "Each entity has a file `mappings/<entity>.yaml`. `frames-sync generate TABLE` writes one from a live table."
    LiteralSecret "literal-secret" Project Error
        "A token or password stands in the file itself."
        "Files are committed and shared; secrets are not. Put it in the environment or in `.env`, and refer to it: `\"{{ env.NOTION_API_KEY }}\"`."
    UndefinedVariable "undefined-variable" Project Error
        "A template names a variable that is not set."
        "Set it in the environment or in the `.env` beside the project file. With `validate --offline` this is only a warning, because no secret is needed there."
    InvalidTemplate "invalid-template" Project Error
        "A template in the project file does not parse or fails."
        "Templates see `env`, `vars` and `profile.name`."
    UnknownProfile "unknown-profile" Project Error
        "A profile is named that the project does not have."
        "Profiles stand under `profiles:`; `default_profile` and `--profile` name one of them."
    UnknownEntity "unknown-entity" Project Error
        "A profile names an entity that has no mapping."
        "`entities` lists mappings by name; without it the profile has all of them."
    ScheduleUnclear "schedule-unclear" Project Error
        "A profile has both `every` and `cron`, or a `cron` that is no schedule."
        "Use one of the two. A cron line has five fields: minute, hour, day, month, weekday."
    InvalidDatabaseUrl "invalid-database-url" Project Error
        "A `database_url` is not a Postgres URL."
        "It looks like `postgresql://user:password@host/database`; take it from a variable."
    BaseUrlNotLoopback "base-url-not-loopback" Project Error
        "`notion.base_url` leads away from this machine."
        "The token would be sent there. Only loopback addresses are accepted, for simulators."
    SharedWorkspaceScope "shared-workspace-scope" Project Warning
        "Two profiles have the same parent page and the same variables."
        "Both would fill the same databases with the same rows. Profiles differ in `vars`, `parent_page` or `entities`."

    DatabaseUnreachable "database-unreachable" Postgres Error
        "The database could not be asked."
        "Everything that needs no database was checked. Use `--offline` to leave the rest out on purpose."
    TableNotFound "table-not-found" Postgres Error
        "A table does not exist, or the role may not see it."
        "Names are taken to the letter: `Teams` is not `teams`. Without a schema, `public` is meant."
    ColumnNotFound "column-not-found" Postgres Error
        "A column does not exist in the table."
        "Names are taken to the letter, without quotes."
    TypeMismatch "type-mismatch" Postgres Error
        "A column's type does not fit the property's type."
        "`docs/conversions.md` lists every pair: what fits, what needs a conversion, what works one way only."
    KeyNotUnique "key-not-unique" Postgres Error
        "The key columns are not unique."
        "Two rows with one key would share one page. Add a primary key or unique index over just these columns."
    KeyNullable "key-nullable" Postgres Error
        "A key column may be NULL."
        "A row without a key cannot be found again. Declare the column NOT NULL."
    ColumnNotWritable "column-not-writable" Postgres Error
        "A column that Notion may edit cannot be written."
        "Generated columns and columns of views that are not updatable refuse writes. Give the property `direction: to_notion`."
    OptionNotAllowed "option-not-allowed" Postgres Error
        "An option is refused by the column's enum type or CHECK constraint."
        "People would choose it in Notion and the database would refuse it. Remove the option, or allow the value."
    OptionMissing "option-missing" Postgres Warning
        "The column allows or holds a value that is not among the options."
        "Such rows would be errors of that field, shown and left alone. Add the option, or set `on_unknown_option: create`."
    OptionUnshowable "option-unshowable" Postgres Warning
        "The column holds values that Notion cannot take as options."
        "Notion refuses commas and more than 100 characters. Use a `conversion: { map: … }`, or `rich_text`."
    TextTooLong "text-too-long" Postgres Warning
        "The column holds text that does not fit the property."
        "Such rows would be errors of that field, shown and left alone. `rich_text` and `title` take 200,000 characters, url 2,000, email and phone_number 100."
    NumberTooLarge "number-too-large" Postgres Warning
        "The column holds numbers that Notion cannot keep exactly."
        "Notion's numbers are doubles: whole numbers beyond 2^53, and decimals of more than about 15 digits, would change. Map the column as `rich_text`."
    MissingGrant "missing-grant" Postgres Error
        "The role lacks a right that the mapping needs."
        "The help line has the GRANT that a table's owner must run; `frames-sync doctor` prints all of them."
    RowSecurityActive "row-security-active" Postgres Warning
        "Row security hides rows from this role."
        "A hidden row is not a deleted one, so nothing is ever trashed for this table while row security is active. Use a role that the policies let through, if it should be."
    ScopeTypeMismatch "scope-type-mismatch" Postgres Error
        "A scope value does not fit its column's type."
        "Postgres would refuse every query of this entity."
    RelationKeyMismatch "relation-key-mismatch" Postgres Error
        "A relation's column cannot hold the target's key."
        "The column's type must be that of the target's key column."
    InsertNotPossible "insert-not-possible" Postgres Error
        "Rows may be inserted, and a required column gets no value."
        "The column is NOT NULL, has no default, and neither a property, `new_row` nor the scope gives it."
    CaptureUnusable "capture-unusable" Postgres Error
        "The way in which changes are noticed does not work on this table."
        "`capture: { updated_at: column }` needs a timestamp column; `triggers` needs an ordinary table and the right to create triggers on it."

    NotionUnreachable "notion-unreachable" Notion Error
        "Notion could not be asked."
        "Everything that needs no workspace was checked. Use `--offline` to leave the rest out on purpose."
    NotionUnauthorized "notion-unauthorized" Notion Error
        "Notion refused the token."
        "Copy the token again from the connection's settings page in Notion (Settings → Connections → Develop or manage connections)."
    PageNotShared "page-not-shared" Notion Error
        "The parent page does not exist, or is not shared with the connection."
        "In Notion open the page, choose ••• → Connections, and add the connection. Notion answers alike for both cases."
    WrongWorkspace "wrong-workspace" Notion Error
        "The token belongs to another workspace than the one that the profile was set up with."
        "Often it is another profile's token. The ids that are remembered mean nothing in another workspace, so nothing is read or written there. Give the profile its own token."
    CapabilityMissing "capability-missing" Notion Error
        "The connection lacks a capability."
        "In the connection's settings allow reading, updating and inserting content; people properties also need user information."
    PropertyTypeConflict "property-type-conflict" Notion Error
        "A property exists in Notion with another type."
        "Its type is never changed, because Notion would drop values. Rename it in Notion, or change the mapping's `type`."
    DatabaseGone "database-gone" Notion Error
        "An entity's database is in the trash, deleted, or no longer shared with the connection."
        "Restore it from Notion's trash, or share it again: ••• → Connections. Notion answers alike for deleted and unshared ones. No other database is taken in its place, for its pages would all count as deleted."
    PropertyCaseConflict "property-case-conflict" Notion Error
        "A property exists in Notion under a name that differs in case alone."
        "Nobody could tell the two apart, so no second one is made. Write the mapping's name as it is in Notion, or rename the property there."
    OptionsFull "options-full" Notion Error
        "A property's options in Notion and in the mapping are more than 100 together."
        "Notion takes at most 100 options in one request, and every one that is there has to be repeated. Remove unused options in Notion, or make the property `rich_text`."
    PropertyMissing "property-missing" Notion Warning
        "A property does not exist in Notion yet."
        "`frames-sync setup` adds it, and the next sync fills it; nothing that people made is changed."
    OptionMissingInNotion "option-missing-in-notion" Notion Warning
        "An option does not exist in Notion yet."
        "`frames-sync setup` adds it. Status options can only be added where Notion's API allows it."
    RelationTargetConflict "relation-target-conflict" Notion Error
        "A relation in Notion leads to another database than the mapping says."
        "Rename the property in Notion, or change the mapping's `target`."
    SeveralDataSources "several-data-sources" Notion Error
        "A database has more than one data source, or several databases have the same title."
        "Name the one that is meant with `notion: { data_source_id: … }`."
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(name: &str) -> Result<Self, UnknownCode> {
        Code::ALL
            .iter()
            .copied()
            .find(|code| code.name() == name)
            .ok_or(UnknownCode)
    }
}

/// The text is not the name of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown code")]
pub struct UnknownCode;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_is_named_once_in_kebab_case() {
        let names: BTreeSet<&str> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for name in names {
            assert!(
                name.chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'),
                "{name}"
            );
            assert_eq!(name.parse::<Code>().map(Code::name), Ok(name));
        }
    }

    #[test]
    fn no_two_codes_say_the_same() {
        let summaries: BTreeSet<&str> = Code::ALL.iter().map(|code| code.summary()).collect();
        assert_eq!(summaries.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(code.summary().ends_with('.'), "{code}");
            assert!(code.explanation().len() > 30, "{code} explains nothing");
        }
    }

    #[test]
    fn codes_stand_in_the_order_of_their_layers() {
        assert!(Code::ALL.is_sorted_by_key(|code| code.layer()));
    }
}
