//! One form per value, so that equality means "nothing to do".

use super::{Value, canonical_json, rich_text};

impl Value {
    /// The value's canonical form; idempotent, and equal for values that say the same.
    ///
    /// Runs of one look are joined, options and people sorted and named once, JSON written in one way, and a range
    /// that ends where it starts is no range. What a particular field calls equal beyond that is its codec's.
    #[must_use]
    pub fn canonical(self) -> Self {
        match self {
            Self::RichText(runs) => Self::RichText(rich_text::joined(runs)),
            Self::Json(text) => Self::Json(canonical_json(&text).unwrap_or(text)),
            Self::List(values) => Self::List(values.into_iter().map(Value::canonical).collect()),
            Self::Choices(mut choices) => {
                choices.sort();
                choices.dedup_by(|later, first| later.name == first.name);
                Self::Choices(choices)
            }
            Self::People(mut people) => {
                people.sort();
                people.dedup_by(|later, first| later.id == first.id);
                Self::People(people)
            }
            Self::Range(ends) => {
                let (start, end) = *ends;
                let (start, end) = (start.canonical(), end.canonical());
                if start == end {
                    start
                } else {
                    Self::Range(Box::new((start, end)))
                }
            }
            Self::UniqueId { prefix, number } => Self::UniqueId {
                prefix: prefix.filter(|prefix| !prefix.is_empty()),
                number,
            },
            scalar @ (Self::Null
            | Self::Bool(_)
            | Self::Number(_)
            | Self::Text(_)
            | Self::Date(_)
            | Self::Time(_)
            | Self::DateTime(_)
            | Self::Instant(_)
            | Self::Interval { .. }
            | Self::Uuid(_)
            | Self::Choice(_)
            | Self::Pages(_)
            | Self::Files(_)
            | Self::Opaque(_)) => scalar,
        }
    }
}
