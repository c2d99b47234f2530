//! Declared conversions between what a column holds and what a property shows.

/// How values change on the way between a column and a property.
#[derive(Clone, Debug, PartialEq)]
pub enum Conversion {
    /// One text for another: the column's text and the property's, each unique.
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
        /// From the column's value to the property's text.
        to_notion: String,
        /// The way back; without one the field is one-way.
        to_postgres: Option<String>,
        /// Column values that must survive the round trip.
        examples: Vec<serde_json::Value>,
    },
}
