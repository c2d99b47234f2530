//! Why a value cannot stand on the other side.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A value that cannot cross: its field is left alone, both ways, and shown with this reason.
///
/// The message names types and limits, never the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CodecError {
    /// The reason, as reports name it.
    pub code: CodecCode,
    /// The reason in words.
    pub message: Cow<'static, str>,
}

impl CodecError {
    /// Whether this is no fault of the value: a page or row that it refers to does not exist yet.
    pub fn is_waiting(&self) -> bool {
        self.code == CodecCode::WaitingRef
    }
}

impl From<CodecCode> for CodecError {
    fn from(code: CodecCode) -> Self {
        Self {
            code,
            message: Cow::Borrowed(code.sentence()),
        }
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $sentence:literal;)+) => {
        /// The closed list of reasons; spelled in reports as [`CodecCode::name`] says.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum CodecCode {
            $($(#[doc = $doc])+ #[serde(rename = $name)] $variant,)+
        }

        impl CodecCode {
            /// Every code.
            pub const ALL: &'static [CodecCode] = &[$(Self::$variant),+];

            /// The code as reports spell it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The code in one sentence.
            pub fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)+ }
            }
        }
    };
}

codes! {
    /// Text that one write cannot carry, or longer than the column.
    TextTooLong = "text_too_long", "the text is longer than the other side takes";
    /// Text with U+0000, which Postgres has none of.
    NulCharacter = "nul_character", "the text contains U+0000, which Postgres does not store";
    /// A number whose digits a double, or the column, cannot hold.
    NumberInexact = "number_inexact", "the number cannot be held exactly on the other side";
    /// A number beyond the column's or a double's whole numbers.
    NumberOutOfRange = "number_out_of_range", "the number is out of the other side's range";
    /// NaN or an infinity.
    NotANumber = "not_a_number", "the value is NaN or infinite, and the property holds finite numbers";
    /// An option that the property does not have.
    UnknownOption = "unknown_option", "the value is not among the property's options";
    /// An option's name with a comma, which Notion refuses.
    OptionWithComma = "option_with_comma", "an option's name may not contain a comma";
    /// An option's name of more than 100 characters.
    OptionTooLong = "option_too_long", "an option's name may not be longer than 100 characters";
    /// An empty or NULL entry of a list of options.
    EmptyOption = "empty_option", "an entry of the list is empty, and an option needs a name";
    /// More options, pages or people than one write carries.
    TooManyEntries = "too_many_entries", "one write to Notion carries at most 100 entries";
    /// An address or telephone number longer than Notion takes.
    AddressTooLong = "address_too_long", "the address is longer than the property takes";
    /// A date or time outside the years 1 to 9999.
    DateOutOfRange = "date_out_of_range", "the date is infinite or outside the years 1 to 9999";
    /// A label that the enum type or the CHECK constraint does not have.
    UnknownLabel = "unknown_label", "the option is not among the values that the column allows";
    /// A text that does not read as the column's or property's type.
    NotOfType = "not_of_type", "the value does not read as the other side's type";
    /// Nothing, where the column refuses NULL.
    NullRefused = "null_refused", "the property is empty and the column refuses NULL";
    /// A value that a `map` conversion does not list, or on the way back lists twice.
    Unmapped = "unmapped", "the conversion's map does not say what becomes of the value";
    /// A template that could not be rendered for this value.
    TemplateFailed = "template_failed", "the conversion's template failed for this value";
    /// A time of day for a column of days.
    TimeNotKept = "time_not_kept", "the property holds a time of day and the column only days";
    /// A range for one column.
    RangeNotKept = "range_not_kept", "the property holds a range and one column holds one date";
    /// Several pages or people for a column of one.
    OneOnly = "one_only", "the property names several and the column holds one";
    /// A page or row that is referred to and not linked yet.
    WaitingRef = "waiting_ref", "what the value refers to has no page or row yet";
    /// A change in Notion that the column cannot be told.
    NoWayBack = "no_way_back", "values of this field travel to Notion only";
    /// A change in Postgres that Notion computes by itself.
    ComputedByNotion = "computed_by_notion", "Notion computes this property and refuses to be told it";
    /// A value of a shape that this program does not know.
    Unreadable = "unreadable", "the value has a shape that is not known here";
    /// A value that was read in part.
    Incomplete = "incomplete", "the value was read in part only";
}
