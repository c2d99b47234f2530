//! Which column types fit which property types, and at what loss: one table.
//!
//! `validate` refuses by it, `generate` chooses by it, the codec relies on it, and `docs/conversions.md` prints it.

use super::{PgType, PropertyType};
use crate::value::ConversionKind;

/// How a column and a property fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Both ways, and every value that is in the domain of both comes back as it was.
    Lossless,
    /// Both ways; what the property cannot show is kept in the column while the rest is unchanged.
    Lossy {
        /// What is not shown, or which values are refused.
        why: &'static str,
    },
    /// One way only.
    OneWay {
        /// Which way.
        way: Way,
        /// Why there is no way back.
        why: &'static str,
    },
    /// Not at all.
    Refused {
        /// Why.
        why: &'static str,
        /// What to write in its place.
        help: &'static str,
    },
}

/// The way of a one-way fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `direction: to_notion`.
    ToNotion,
    /// `direction: to_postgres`.
    ToPostgres,
}

impl Fit {
    /// Whether values travel from the column to the property.
    pub fn reaches_notion(self) -> bool {
        !matches!(
            self,
            Self::Refused { .. }
                | Self::OneWay {
                    way: Way::ToPostgres,
                    ..
                }
        )
    }

    /// Whether values travel from the property to the column.
    pub fn reaches_postgres(self) -> bool {
        !matches!(
            self,
            Self::Refused { .. }
                | Self::OneWay {
                    way: Way::ToNotion,
                    ..
                }
        )
    }
}

const MINUTES: Fit = Fit::Lossy {
    why: "Notion keeps minutes; seconds stay in the column while the minute is unchanged",
};
const ZONELESS: Fit = Fit::Lossy {
    why: "Notion keeps minutes, seconds stay in the column; without `time_zone` the column is read as UTC",
};
const SET: Fit = Fit::Lossy {
    why: "compared as a set: order and repeats stay in the column while the set is unchanged",
};
const DOUBLE: Fit = Fit::Lossy {
    why: "a number that a double cannot give back exactly is an error of its field",
};
const UNTICKED: Fit = Fit::Lossy {
    why: "NULL shows as unticked, and stays NULL until someone ticks the box",
};
const DEFAULT_STATUS: Fit = Fit::Lossy {
    why: "NULL shows as the status' first option, and stays NULL until someone chooses another",
};
const OUTER_SPACE: Fit = Fit::Lossy {
    why: "white space around the text stays in the column",
};
const EXAMPLES: Fit = Fit::Lossy {
    why: "as far as the templates undo each other; `validate` tries the examples",
};
const COMPUTED: Fit = Fit::OneWay {
    way: Way::ToPostgres,
    why: "Notion computes the value and refuses to be told it",
};
const AS_TEXT: Fit = Fit::OneWay {
    way: Way::ToNotion,
    why: "only its text is shown; `conversion: json` shows it as JSON, both ways",
};

const fn to_notion(why: &'static str) -> Fit {
    Fit::OneWay {
        way: Way::ToNotion,
        why,
    }
}

const fn refused(why: &'static str, help: &'static str) -> Fit {
    Fit::Refused { why, help }
}

/// What the table tells apart among column types.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Text of any length.
    Text,
    /// Text of a strict form: `uuid`, `inet`.
    Form,
    Enum,
    /// `smallint`, `integer`: every value is a double.
    SmallInteger,
    BigInteger,
    /// `real`, `double precision`.
    Float,
    Numeric,
    Bool,
    Date,
    Timestamp,
    Timestamptz,
    /// `time`, `timetz`, `interval`.
    Clock,
    Json,
    Bytea,
    /// An array of something that reads as a short text.
    WordArray,
    /// Any other array.
    Array,
    Other,
}

impl Class {
    fn of(pg_type: &PgType) -> Self {
        match pg_type.base() {
            PgType::Text | PgType::Varchar(_) | PgType::Char(_) | PgType::Citext => Self::Text,
            PgType::Uuid | PgType::Inet => Self::Form,
            PgType::Enum { .. } => Self::Enum,
            PgType::Int2 | PgType::Int4 => Self::SmallInteger,
            PgType::Int8 => Self::BigInteger,
            PgType::Float4 | PgType::Float8 => Self::Float,
            PgType::Numeric(_) => Self::Numeric,
            PgType::Bool => Self::Bool,
            PgType::Date => Self::Date,
            PgType::Timestamp => Self::Timestamp,
            PgType::Timestamptz => Self::Timestamptz,
            PgType::Time | PgType::Timetz | PgType::Interval => Self::Clock,
            PgType::Json | PgType::Jsonb => Self::Json,
            PgType::Bytea => Self::Bytea,
            PgType::Array(element) => match Self::of(element) {
                Self::Text | Self::Form | Self::Enum | Self::SmallInteger | Self::BigInteger => {
                    Self::WordArray
                }
                _ => Self::Array,
            },
            // `base` looks through domains, so none is left here.
            PgType::Domain { .. } | PgType::Other(_) => Self::Other,
        }
    }

    fn is_integer(self) -> bool {
        matches!(self, Self::SmallInteger | Self::BigInteger)
    }

    fn is_number(self) -> bool {
        self.is_integer() || matches!(self, Self::Float | Self::Numeric)
    }

    /// Whether one value reads as one short text that identifies it.
    fn is_word(self) -> bool {
        self.is_integer() || matches!(self, Self::Text | Self::Form | Self::Enum)
    }
}

/// How a column of that type and a property of that type fit, with that conversion or none.
///
/// Total: every triple has an answer. Domains answer as the type underneath; lengths, ranges and labels are the
/// codec's business, value by value.
pub fn fit(pg_type: &PgType, property: PropertyType, conversion: Option<ConversionKind>) -> Fit {
    let class = Class::of(pg_type);
    if class == Class::Bytea {
        return refused(
            "`bytea` holds bytes that no property shows",
            "leave the column out, or show `encode(…)` through a view",
        );
    }
    if property.is_read_only() {
        return computed(class, property, conversion);
    }
    match conversion {
        None => plain(class, property),
        Some(conversion) => converted(class, property, conversion),
    }
}

/// Whether a property of that type goes with a conversion on some column: what can be said without the column.
pub fn takes_conversion(property: PropertyType, conversion: ConversionKind) -> bool {
    let columns = [
        PgType::Text,
        PgType::Int4,
        PgType::Numeric(None),
        PgType::Bool,
        PgType::Json,
        PgType::Array(Box::new(PgType::Text)),
    ];
    columns
        .iter()
        .any(|column| !matches!(fit(column, property, Some(conversion)), Fit::Refused { .. }))
}

/// The property type that shows a column of that type best; `None` where none does.
pub fn default_property_type(pg_type: &PgType) -> Option<PropertyType> {
    match Class::of(pg_type) {
        Class::Text | Class::Form | Class::Clock | Class::Json | Class::Array | Class::Other => {
            Some(PropertyType::RichText)
        }
        Class::Enum => Some(PropertyType::Select),
        Class::SmallInteger | Class::BigInteger | Class::Float | Class::Numeric => Some(PropertyType::Number),
        Class::Bool => Some(PropertyType::Checkbox),
        Class::Date | Class::Timestamp | Class::Timestamptz => Some(PropertyType::Date),
        Class::WordArray => Some(PropertyType::MultiSelect),
        Class::Bytea => None,
    }
}

fn plain(class: Class, property: PropertyType) -> Fit {
    match property {
        PropertyType::Title | PropertyType::RichText => match class {
            Class::Json | Class::WordArray | Class::Array => AS_TEXT,
            Class::Other => to_notion("the type is not known here, so its text is shown and never written"),
            _ => Fit::Lossless,
        },
        PropertyType::Url | PropertyType::Email | PropertyType::PhoneNumber => match class {
            Class::Text => Fit::Lossless,
            Class::SmallInteger | Class::BigInteger if property == PropertyType::PhoneNumber => Fit::Lossless,
            _ => refused(
                "the property holds an address or a number to call",
                "`type: rich_text`",
            ),
        },
        PropertyType::Number => match class {
            Class::SmallInteger => Fit::Lossless,
            Class::BigInteger => Fit::Lossy {
                why: "a whole number beyond 2^53 is an error of its field",
            },
            Class::Float => Fit::Lossy {
                why: "NaN and the infinities are errors of their field",
            },
            Class::Numeric => DOUBLE,
            Class::Text => refused(
                "text is no number",
                "`type: rich_text`, or a `conversion` with `to_notion` and `to_postgres`",
            ),
            _ => refused(
                "the column holds no number",
                "`type: rich_text`, or a `conversion` with templates",
            ),
        },
        PropertyType::Select | PropertyType::Status => match class {
            _ if !class.is_word() && class != Class::Bool => refused(
                "the column does not hold names to choose from",
                "`type: rich_text`, or a `conversion` with templates",
            ),
            _ if property == PropertyType::Status => DEFAULT_STATUS,
            _ => Fit::Lossless,
        },
        PropertyType::MultiSelect => match class {
            Class::WordArray => SET,
            Class::Text => refused(
                "one text is not a list",
                "`conversion: { split: \",\" }`, or `type: select`",
            ),
            Class::Json => refused("JSON need not be a list of texts", "add `conversion: json`"),
            _ => refused("the column holds no list of names", "`type: rich_text`"),
        },
        PropertyType::Date => match class {
            Class::Date => Fit::Lossless,
            Class::Timestamptz => MINUTES,
            Class::Timestamp => ZONELESS,
            Class::Text => refused(
                "text is no date",
                "`conversion: iso8601` where the text holds ISO 8601 times",
            ),
            Class::Clock => refused("a time of day has no day", "`type: rich_text`"),
            _ => refused("the column holds no date", "`type: rich_text`"),
        },
        PropertyType::Checkbox => match class {
            Class::Bool => UNTICKED,
            _ => refused(
                "the column is not boolean",
                "`conversion: { map: { yes: \"true\", no: \"false\" } }`, or `type: select`",
            ),
        },
        PropertyType::Relation => match class {
            _ if class.is_word() => Fit::Lossless,
            Class::WordArray => SET,
            _ => refused("the column holds no key of another table", "`type: rich_text`"),
        },
        PropertyType::People => match class {
            Class::Text | Class::Form => Fit::Lossless,
            Class::WordArray => SET,
            _ => refused(
                "the column holds no Notion user ids",
                "`type: rich_text` for names",
            ),
        },
        PropertyType::Files => match class {
            Class::Text | Class::WordArray => to_notion("the address of an uploaded file changes every hour"),
            _ => refused("the column holds no addresses of files", "`type: rich_text`"),
        },
        PropertyType::Formula
        | PropertyType::Rollup
        | PropertyType::UniqueId
        | PropertyType::CreatedTime
        | PropertyType::CreatedBy
        | PropertyType::LastEditedTime
        | PropertyType::LastEditedBy => COMPUTED,
    }
}

fn converted(class: Class, property: PropertyType, conversion: ConversionKind) -> Fit {
    let is_text_property = matches!(
        property,
        PropertyType::Title
            | PropertyType::RichText
            | PropertyType::Url
            | PropertyType::Email
            | PropertyType::PhoneNumber
    );
    let is_rich = matches!(property, PropertyType::Title | PropertyType::RichText);
    match conversion {
        ConversionKind::Map => match property {
            _ if !class.is_word() && !matches!(class, Class::Bool | Class::WordArray) => refused(
                "`map` goes from text to text",
                "a `conversion` with `to_notion` and `to_postgres`",
            ),
            PropertyType::MultiSelect if class == Class::WordArray => SET,
            _ if class == Class::WordArray => refused("the column holds a list", "`type: multi_select`"),
            PropertyType::Checkbox => UNTICKED,
            PropertyType::Status => DEFAULT_STATUS,
            PropertyType::Select | PropertyType::Number => Fit::Lossless,
            _ if is_text_property => Fit::Lossless,
            _ => refused("`map` gives one text", "`type: select`"),
        },
        ConversionKind::Scale => match property {
            PropertyType::Number if class.is_number() => DOUBLE,
            _ => refused(
                "`scale` goes from number to number",
                "drop the conversion, or `type: number` on a numeric column",
            ),
        },
        ConversionKind::Iso8601 => match property {
            PropertyType::Date if class == Class::Text => ZONELESS,
            PropertyType::Date => refused("`iso8601` is for text columns", "drop the conversion"),
            _ => refused("`iso8601` gives a date", "`type: date`"),
        },
        ConversionKind::Split => match property {
            PropertyType::MultiSelect | PropertyType::Relation | PropertyType::People
                if class == Class::Text =>
            {
                SET
            }
            PropertyType::MultiSelect | PropertyType::Relation | PropertyType::People => {
                refused("`split` is for text columns", "drop the conversion for an array")
            }
            _ => refused("`split` gives a list", "`type: multi_select`"),
        },
        ConversionKind::Json => match (property, class) {
            (PropertyType::MultiSelect, Class::Json | Class::Text) => Fit::Lossy {
                why: "a list of texts, compared as a set; any other document is an error of its field",
            },
            (_, Class::Json | Class::WordArray | Class::Array) if is_rich => Fit::Lossy {
                why: "white space and key order do not count",
            },
            (_, Class::Json | Class::WordArray | Class::Array) => {
                refused("JSON is shown as text", "`type: rich_text`")
            }
            _ => refused(
                "`json` is for json, jsonb and array columns",
                "drop the conversion",
            ),
        },
        ConversionKind::Trim => match class {
            Class::Text if is_text_property || property == PropertyType::Select => OUTER_SPACE,
            Class::Text => refused("`trim` gives text", "`type: rich_text`"),
            _ => refused("`trim` is for text columns", "drop the conversion"),
        },
        ConversionKind::TemplateBothWays | ConversionKind::TemplateToNotion => match property {
            PropertyType::Relation | PropertyType::People | PropertyType::Files => refused(
                "a template cannot name pages, people or files",
                "`type: rich_text`",
            ),
            _ if conversion == ConversionKind::TemplateBothWays => EXAMPLES,
            _ => to_notion("the conversion has no `to_postgres`"),
        },
    }
}

fn computed(class: Class, property: PropertyType, conversion: Option<ConversionKind>) -> Fit {
    let fits = match property {
        PropertyType::CreatedTime | PropertyType::LastEditedTime => {
            matches!(
                class,
                Class::Timestamptz | Class::Timestamp | Class::Date | Class::Text
            )
        }
        PropertyType::CreatedBy | PropertyType::LastEditedBy => matches!(class, Class::Text | Class::Form),
        PropertyType::UniqueId => class.is_integer() || matches!(class, Class::Text | Class::Numeric),
        // What a formula gives is known only once it gave it; the codec judges each value.
        PropertyType::Formula => !matches!(
            class,
            Class::Array | Class::WordArray | Class::Json | Class::Other
        ),
        PropertyType::Rollup => !matches!(class, Class::Array | Class::Other),
        _ => false,
    };
    match conversion {
        None if fits => COMPUTED,
        None => refused(
            "the column cannot hold what the property computes",
            "a `text` column holds it",
        ),
        Some(ConversionKind::TemplateBothWays) if fits => COMPUTED,
        Some(ConversionKind::Iso8601)
            if class == Class::Text
                && matches!(property, PropertyType::CreatedTime | PropertyType::LastEditedTime) =>
        {
            COMPUTED
        }
        Some(_) => refused(
            "a computed property takes no conversion but templates",
            "drop the conversion",
        ),
    }
}

#[cfg(test)]
mod tests;
