//! How one field's column values and property values answer to each other.
//!
//! A [`FieldCodec`] is a lens in each direction: [`FieldCodec::enc`] and [`FieldCodec::dec`] are given what the other
//! side holds at present, and keep it, formatting and precision included, when it already says the same. Laws, up to
//! canonical form, on the domain where the functions succeed:
//!
//! - `dec(enc(v, n), v) = v` and `enc(dec(n, v), n) = n`: what went over and back unchanged writes nothing;
//! - `canon(canon(x)) = canon(x)`;
//! - `agree(v, enc(v, n))` and `agree(dec(n, v), n)`.
//!
//! A value outside the domain is a [`CodecError`], never a shorter value.
//!
//! Source: lenses and quotient lenses, Foster et al. 2007 and 2008.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde_json::json;

use crate::schema::compat::{self, Fit};
use crate::schema::{PgType, PropertyType};
use crate::value::{Choice, Conversion, ConversionFault, PageId, RecordKey, Value};

mod column;
mod error;
pub mod limits;
pub mod literal;
mod meaning;
mod property;
mod zone;

#[cfg(test)]
mod tests;

pub use error::{CodecCode, CodecError};
pub use zone::{is_time_zone, parse_notion_date};

/// Everything about a field that decides how its values cross.
#[derive(Clone, Debug)]
pub struct FieldSpec {
    /// The column's type; `text` for a field that a template computes from the row.
    pub pg_type: PgType,
    /// Whether the column refuses NULL.
    pub not_null: bool,
    /// The only texts that a CHECK constraint allows, where there is one.
    pub allowed: Option<Vec<String>>,
    /// The property's type.
    pub property_type: PropertyType,
    /// The options that the property has today, in order.
    pub options: Vec<Choice>,
    /// What an option that the property does not have does; `Create` is ignored for a status.
    pub on_unknown: OnUnknown,
    /// The entity that a relation leads to.
    pub target: Option<String>,
    /// The declared conversion.
    pub conversion: Option<Conversion>,
    /// What an empty text means; `None`: the empty text where the column refuses NULL, else NULL.
    pub empty: Option<EmptyMeans>,
    /// The zone of times that have none: an IANA name or an offset; `None` is UTC.
    pub time_zone: Option<String>,
    /// The names that conversions see beside `value` and `row`: an object with `vars` and `profile`.
    pub names: serde_json::Value,
}

impl FieldSpec {
    /// A field of these two types with every default.
    pub fn new(pg_type: PgType, property_type: PropertyType) -> Self {
        Self {
            pg_type,
            not_null: false,
            allowed: None,
            property_type,
            options: Vec::new(),
            on_unknown: OnUnknown::Refuse,
            target: None,
            conversion: None,
            empty: None,
            time_zone: None,
            names: json!({}),
        }
    }
}

/// What a value outside the property's options does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUnknown {
    /// It is an error of its field.
    Refuse,
    /// Notion makes the option when the page is written.
    Create,
}

/// What an empty property means in a column that could be NULL or empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyMeans {
    /// NULL.
    Null,
    /// The text, array or list with nothing in it.
    EmptyText,
}

/// Which pages and records are linked, for relations.
pub trait Links {
    /// The page of a record of that entity; `None` while there is none.
    fn page(&self, entity: &str, key: &RecordKey) -> Option<PageId>;

    /// The record of a page of that entity; `None` if the page is linked to none.
    fn key(&self, entity: &str, page: &PageId) -> Option<RecordKey>;
}

/// No links at all.
impl Links for () {
    fn page(&self, _: &str, _: &RecordKey) -> Option<PageId> {
        None
    }

    fn key(&self, _: &str, _: &PageId) -> Option<RecordKey> {
        None
    }
}

/// The links of any number of entities, in memory.
#[derive(Clone, Debug, Default)]
pub struct LinkTable {
    pages: BTreeMap<String, BTreeMap<RecordKey, PageId>>,
    keys: BTreeMap<String, BTreeMap<PageId, RecordKey>>,
}

impl LinkTable {
    /// Links a record of an entity and its page.
    pub fn insert(&mut self, entity: &str, key: RecordKey, page: PageId) {
        self.pages
            .entry(entity.to_owned())
            .or_default()
            .insert(key.clone(), page.clone());
        self.keys.entry(entity.to_owned()).or_default().insert(page, key);
    }
}

impl Links for LinkTable {
    fn page(&self, entity: &str, key: &RecordKey) -> Option<PageId> {
        self.pages.get(entity)?.get(key).cloned()
    }

    fn key(&self, entity: &str, page: &PageId) -> Option<RecordKey> {
        self.keys.get(entity)?.get(page).cloned()
    }
}

/// What stands around a value: the links, and the row it is part of for conversions that look at `row`.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// Which pages and records are linked.
    pub links: &'a dyn Links,
    /// The row as a JSON object of its columns; `null` where there is none.
    pub row: &'a serde_json::Value,
}

impl Around<'_> {
    /// No links and no row.
    pub const NOTHING: Around<'static> = Around {
        links: &(),
        row: &serde_json::Value::Null,
    };
}

/// Why a field can have no codec.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldSpecError {
    /// The column's and the property's types do not fit.
    #[error("{why}")]
    TypesDoNotFit {
        /// Why not.
        why: &'static str,
        /// What to write in place of it.
        help: &'static str,
    },
    /// The zone is neither in the database of zones nor an offset.
    #[error("unknown time zone `{0}`")]
    UnknownZone(String),
    /// The conversion's settings are at fault.
    #[error(transparent)]
    Conversion(#[from] ConversionFault),
}

/// The codec of one field.
#[derive(Clone, Debug)]
pub struct FieldCodec {
    spec: FieldSpec,
    fit: Fit,
    zone: TimeZone,
}

impl FieldCodec {
    /// The codec of a field.
    ///
    /// # Errors
    /// Types that do not fit, a zone that does not exist, a conversion that cannot work.
    pub fn new(spec: FieldSpec) -> Result<Self, FieldSpecError> {
        let kind = spec.conversion.as_ref().map(Conversion::kind);
        let fit = compat::fit(&spec.pg_type, spec.property_type, kind);
        if let Fit::Refused { why, help } = fit {
            return Err(FieldSpecError::TypesDoNotFit { why, help });
        }
        if let Some(conversion) = &spec.conversion {
            conversion.check()?;
        }
        let zone = match &spec.time_zone {
            None => TimeZone::UTC,
            Some(name) => zone::zone(name).ok_or_else(|| FieldSpecError::UnknownZone(name.clone()))?,
        };
        Ok(Self { spec, fit, zone })
    }

    /// How the two types fit.
    pub fn fit(&self) -> Fit {
        self.fit
    }

    /// What the field was made of.
    pub fn spec(&self) -> &FieldSpec {
        &self.spec
    }

    /// The canonical form of a column's value: what is stored as the Postgres baseline and compared with it.
    pub fn canon_pg(&self, pg: &Value) -> Value {
        match (pg, self.spec.pg_type.base()) {
            (Value::Text(text), PgType::Char(_)) => Value::text(text.trim_end_matches(' ')),
            _ => pg.clone().canonical(),
        }
    }

    /// The canonical form of a property's value: what is stored as the Notion baseline and compared with it.
    ///
    /// Instants are floored to the minute, which is all that Notion is known to keep.
    pub fn canon_nt(&self, nt: &Value) -> Value {
        meaning::floored(nt.clone().canonical())
    }

    /// The property's value for a column's value; the present one, if that says the same already.
    ///
    /// Seconds are kept in a new value: what is sent is this, what is compared is its canonical form.
    ///
    /// # Errors
    /// A value outside the property's domain, or a row that has no page yet ([`CodecError::is_waiting`]).
    pub fn enc(&self, pg: &Value, old_nt: Option<&Value>, around: Around<'_>) -> Result<Value, CodecError> {
        if !self.fit.reaches_notion() {
            return Err(CodecCode::ComputedByNotion.into());
        }
        if let Some(old) = old_nt
            && self.fit.reaches_postgres()
            && let Ok(back) = self.to_column(old, Some(pg), around)
            && self.canon_pg(&back) == self.canon_pg(pg)
        {
            return Ok(old.clone());
        }
        let new = self.to_property(pg, around)?;
        match old_nt {
            Some(old) if self.meaning(old) == self.meaning(&new) => Ok(old.clone()),
            _ => Ok(new),
        }
    }

    /// The column's value for a property's value; the present one, if the property shows just that.
    ///
    /// # Errors
    /// A value outside the column's domain, or a page that has no row yet ([`CodecError::is_waiting`]).
    pub fn dec(&self, nt: &Value, old_pg: Option<&Value>, around: Around<'_>) -> Result<Value, CodecError> {
        if !self.fit.reaches_postgres() {
            return Err(CodecCode::NoWayBack.into());
        }
        if let Some(old) = old_pg
            && self.fit.reaches_notion()
            && let Ok(shown) = self.to_property(old, around)
            && self.meaning(&shown) == self.meaning(nt)
        {
            return Ok(old.clone());
        }
        let new = self.to_column(nt, old_pg, around)?;
        match old_pg {
            Some(old) if self.canon_pg(old) == self.canon_pg(&new) => Ok(old.clone()),
            _ => Ok(new),
        }
    }

    /// Whether both sides say the same: nothing would be written either way.
    ///
    /// # Errors
    /// As [`FieldCodec::enc`], or as [`FieldCodec::dec`] for what Notion computes.
    pub fn agree(&self, pg: &Value, nt: &Value, around: Around<'_>) -> Result<bool, CodecError> {
        if self.fit.reaches_notion() {
            Ok(self.canon_nt(&self.enc(pg, Some(nt), around)?) == self.canon_nt(nt))
        } else {
            Ok(self.canon_pg(&self.dec(nt, Some(pg), around)?) == self.canon_pg(pg))
        }
    }

    fn render(
        &self,
        template: &crate::template::Template,
        value: serde_json::Value,
        around: Around<'_>,
    ) -> Result<serde_json::Value, CodecError> {
        let mut context = self.spec.names.as_object().cloned().unwrap_or_default();
        context.insert("value".to_owned(), value);
        context.insert("row".to_owned(), around.row.clone());
        let ambient = crate::template::Ambient::FIXED;
        template
            .render(&serde_json::Value::Object(context), &ambient)
            .map_err(|_| CodecCode::TemplateFailed.into())
    }
}
