//! Exact decimal numbers in one form each.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The largest magnitude up to which a double holds every whole number: 2^53.
pub const MAX_SAFE_INTEGER: u64 = 1 << 53;
/// Digits a number may unfold to when its exponent is written out; Postgres' `numeric` stops at 131,072.
const MAX_DIGITS: usize = 140_000;

/// An exact decimal number, in plain notation without needless zeros: `-12.5`, `0`, `1000`.
///
/// Equal numbers are equal texts. The order is that of the texts, good for sets and not for arithmetic.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Number(String);

impl Number {
    /// Reads a decimal number, with or without fraction and exponent.
    ///
    /// `None` for anything else, infinities and not-a-number included.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], rest[at + 1..].parse::<i32>().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let digits = [whole, fraction].concat();
        let point = i64::try_from(whole.len()).ok()? + i64::from(exponent);
        let length = i64::try_from(digits.len()).ok()?;
        let unfolded = point.max(length) - point.min(0);
        if usize::try_from(unfolded).ok()? > MAX_DIGITS {
            return None;
        }
        let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
        let (whole, fraction) = if point <= 0 {
            (String::new(), zeros(-point) + &digits)
        } else if point >= length {
            (digits.clone() + &zeros(point - length), String::new())
        } else {
            let (whole, fraction) = digits.split_at(usize::try_from(point).ok()?);
            (whole.to_owned(), fraction.to_owned())
        };
        let whole = whole.trim_start_matches('0');
        let fraction = fraction.trim_end_matches('0');
        let mut number = String::with_capacity(whole.len() + fraction.len() + 3);
        if negative && !(whole.is_empty() && fraction.is_empty()) {
            number.push('-');
        }
        number.push_str(if whole.is_empty() { "0" } else { whole });
        if !fraction.is_empty() {
            number.push('.');
            number.push_str(fraction);
        }
        Some(Self(number))
    }

    /// The shortest decimal that reads back as this double; `None` for infinities and not-a-number.
    pub fn from_double(double: f64) -> Option<Self> {
        if double.is_finite() {
            Self::parse(&double.to_string())
        } else {
            None
        }
    }

    /// The number as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number as a double, if the double's shortest decimal is this very number.
    pub fn to_double(&self) -> Option<f64> {
        let double: f64 = self.0.parse().ok()?;
        (Self::from_double(double).as_ref() == Some(self)).then_some(double)
    }

    /// Whether the number has no fraction.
    pub fn is_whole(&self) -> bool {
        !self.0.contains('.')
    }

    /// The number as an integer, if it is one of that size.
    pub fn to_integer(&self) -> Option<i64> {
        self.0.parse().ok()
    }

    /// How many digits stand before and after the point, leading and trailing zeros not counted.
    pub fn digits(&self) -> (usize, usize) {
        let unsigned = self.0.trim_start_matches('-');
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        (whole.trim_start_matches('0').len(), fraction.len())
    }
}

impl From<i64> for Number {
    fn from(integer: i64) -> Self {
        Self(integer.to_string())
    }
}

impl From<Number> for String {
    fn from(number: Number) -> Self {
        number.0
    }
}

impl TryFrom<String> for Number {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Number::parse(&text).ok_or("not a decimal number")
    }
}

/// Shows that it is a number and nothing of it.
impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Number(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(text: &str) -> Option<String> {
        Number::parse(text).map(String::from)
    }

    #[test]
    fn one_number_has_one_text() {
        for (text, expected) in [
            ("0012.500", "12.5"),
            ("-0.0", "0"),
            ("+7", "7"),
            ("1e3", "1000"),
            ("1.25E-2", "0.0125"),
            (".5", "0.5"),
            ("5.", "5"),
            ("-1e-3", "-0.001"),
            (
                "123456789012345678901234567890.10",
                "123456789012345678901234567890.1",
            ),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "", "-", ".", "e5", "1e", "NaN", "Infinity", "0x1", "1 ", "1e999999", "١",
        ] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }

    #[test]
    fn a_double_must_give_the_number_back() {
        assert_eq!(Number::parse("0.1").unwrap().to_double(), Some(0.1));
        assert_eq!(Number::parse("9007199254740993").unwrap().to_double(), None);
        assert_eq!(Number::parse("0.10000000000000000001").unwrap().to_double(), None);
    }

    proptest! {
        #[test]
        fn doubles_survive(double in proptest::num::f64::NORMAL | proptest::num::f64::ZERO) {
            let number = Number::from_double(double).unwrap();
            prop_assert_eq!(number.to_double(), Some(double + 0.0));
            prop_assert_eq!(Number::parse(number.as_str()), Some(number));
        }
    }
}
