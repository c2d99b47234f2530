//! Identities: a record's key, and the ids that Notion gives.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The identity of a record in Postgres: the text of each key column, in the mapping's order.
///
/// Two keys are equal exactly when Postgres prints their columns alike, so the text of a `uuid` or an
/// integer is already canonical.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordKey(pub Vec<String>);

impl RecordKey {
    /// The key of a table with one key column.
    pub fn single(text: impl Into<String>) -> Self {
        Self(vec![text.into()])
    }

    /// Reads what [`Display`](fmt::Display) prints of a key with so many columns; `None` where it has other ones.
    ///
    /// A key of one column is taken to the letter.
    pub fn parse(text: &str, columns: usize) -> Option<Self> {
        if columns == 1 {
            return Some(Self::single(text));
        }
        let mut parts = Vec::new();
        let mut part = String::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match character {
                '\\' => part.push(characters.next()?),
                ',' => parts.push(std::mem::take(&mut part)),
                other => part.push(other),
            }
        }
        parts.push(part);
        (parts.len() == columns).then_some(Self(parts))
    }
}

/// Prints the columns joined by commas, with `\` before a comma or backslash inside one.
impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            for character in part.chars() {
                if self.0.len() > 1 && matches!(character, ',' | '\\') {
                    f.write_str("\\")?;
                }
                write!(f, "{character}")?;
            }
        }
        Ok(())
    }
}

macro_rules! notion_id {
    ($(#[$doc:meta] $name:ident),* $(,)?) => {$(
        #[$doc]
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    )*};
}

notion_id! {
    /// A Notion page: dashed, lower case.
    PageId,
    /// A property of a data source: as the API prints it, already URL-encoded.
    PropertyId,
    /// A data source: dashed, lower case.
    DataSourceId,
    /// A database, the container of data sources: dashed, lower case.
    DatabaseId,
    /// A user, bot or person: dashed, lower case.
    UserId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_printed() {
        for columns in [
            vec!["a/b%,\\ü"],
            vec![""],
            vec!["a,b", "c\\"],
            vec!["", "\\,", "x"],
        ] {
            let key = RecordKey(columns.iter().map(|&column| column.to_owned()).collect());
            assert_eq!(
                RecordKey::parse(&key.to_string(), columns.len()),
                Some(key.clone())
            );
        }
        assert_eq!(RecordKey::parse("a,b", 3), None);
        assert_eq!(RecordKey::parse("a,b\\", 2), None);
    }
}
