//! Declared conversions between what a column holds and what a property shows.

use std::collections::BTreeSet;

use crate::template::Template;

/// How values change on the way between a column and a property.
#[derive(Clone, Debug, PartialEq)]
pub enum Conversion {
    /// One text for another: the column's text, each once, and the property's; a property's text that stands twice
    /// has no way back.
    Map(Vec<(String, String)>),
    /// The property shows the column's number times this.
    Scale(f64),
    /// A text column holds ISO 8601 dates or times.
    Iso8601,
    /// A text column holds a list with this between its items.
    Split(String),
    /// The property shows the column as JSON text.
    Json,
    /// White space around the text does not count.
    Trim,
    /// Templates over `value` and `row`.
    Template {
        /// From the column's value to the property's.
        to_notion: Template,
        /// The way back; without one the field is one-way.
        to_postgres: Option<Template>,
        /// Column values that must survive the round trip.
        examples: Vec<serde_json::Value>,
    },
}

/// Which conversion it is, without its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConversionKind {
    /// `{ map: … }`
    Map,
    /// `{ scale: … }`
    Scale,
    /// `iso8601`
    Iso8601,
    /// `{ split: … }`
    Split,
    /// `json`
    Json,
    /// `trim`
    Trim,
    /// `{ to_notion: …, to_postgres: … }`
    TemplateBothWays,
    /// `{ to_notion: … }`
    TemplateToNotion,
}

impl ConversionKind {
    /// Every kind, in the order the documentation lists them.
    pub const ALL: [ConversionKind; 8] = [
        Self::Map,
        Self::Scale,
        Self::Iso8601,
        Self::Split,
        Self::Json,
        Self::Trim,
        Self::TemplateBothWays,
        Self::TemplateToNotion,
    ];

    /// The conversion's name, as documentation and messages spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Map => "map",
            Self::Scale => "scale",
            Self::Iso8601 => "iso8601",
            Self::Split => "split",
            Self::Json => "json",
            Self::Trim => "trim",
            Self::TemplateBothWays => "to_notion and to_postgres",
            Self::TemplateToNotion => "to_notion",
        }
    }
}

/// What is wrong with a conversion's settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConversionFault {
    /// Two entries of a map share a column value, so that the way there is not known.
    #[error("`{0}` stands twice in the map")]
    MapAmbiguous(String),
    /// A map without entries.
    #[error("the map is empty")]
    MapEmpty,
    /// A factor that nothing can be divided by.
    #[error("the scale must be a finite number other than 0")]
    ScaleWithoutWayBack,
    /// A separator of no characters.
    #[error("the separator is empty")]
    SeparatorEmpty,
    /// A template whose result changes by itself.
    #[error("a conversion may not call `uuid()` or `now()`: every run would write a new value")]
    NotRepeatable,
}

impl Conversion {
    /// Which conversion it is.
    pub fn kind(&self) -> ConversionKind {
        match self {
            Self::Map(_) => ConversionKind::Map,
            Self::Scale(_) => ConversionKind::Scale,
            Self::Iso8601 => ConversionKind::Iso8601,
            Self::Split(_) => ConversionKind::Split,
            Self::Json => ConversionKind::Json,
            Self::Trim => ConversionKind::Trim,
            Self::Template {
                to_postgres: Some(_), ..
            } => ConversionKind::TemplateBothWays,
            Self::Template {
                to_postgres: None, ..
            } => ConversionKind::TemplateToNotion,
        }
    }

    /// Checks the settings by themselves, whatever the column and the property.
    ///
    /// # Errors
    /// The first fault found.
    pub fn check(&self) -> Result<(), ConversionFault> {
        match self {
            Self::Map(pairs) => {
                let mut columns = BTreeSet::new();
                for (column, _) in pairs {
                    if !columns.insert(column) {
                        return Err(ConversionFault::MapAmbiguous(column.clone()));
                    }
                }
                if pairs.is_empty() {
                    return Err(ConversionFault::MapEmpty);
                }
            }
            Self::Scale(factor) if !factor.is_finite() || *factor == 0.0 => {
                return Err(ConversionFault::ScaleWithoutWayBack);
            }
            Self::Split(separator) if separator.is_empty() => return Err(ConversionFault::SeparatorEmpty),
            Self::Template {
                to_notion,
                to_postgres,
                ..
            } => {
                let ambient = |template: &Template| template.uses_ambient();
                if ambient(to_notion) || to_postgres.as_ref().is_some_and(ambient) {
                    return Err(ConversionFault::NotRepeatable);
                }
            }
            Self::Scale(_) | Self::Iso8601 | Self::Split(_) | Self::Json | Self::Trim => {}
        }
        Ok(())
    }
}
