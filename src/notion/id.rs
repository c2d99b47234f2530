//! Notion's ids as people paste them: dashed, undashed, or inside an address.

use super::error::NotionError;
use crate::value::{DataSourceId, DatabaseId, PageId};

/// Reads a page id from an id or from an address that a browser shows.
///
/// Accepts 32 hexadecimal digits, the dashed form, and addresses such as
/// `https://app.notion.com/p/Title-<32 digits>?pvs=4`; query strings and fragments do not count, so tracking
/// parameters are harmless. Answers the dashed, lower-case form that the API prints.
///
/// # Errors
///
/// [`NotionError::ReadId`] when there is no id in the text.
pub fn parse_page_id(text: &str) -> Result<PageId, NotionError> {
    parse(text).map(PageId)
}

/// Reads a data source id; see [`parse_page_id`] for the forms.
///
/// # Errors
///
/// [`NotionError::ReadId`] when there is no id in the text.
pub fn parse_data_source_id(text: &str) -> Result<DataSourceId, NotionError> {
    parse(text).map(DataSourceId)
}

/// Reads a database id; see [`parse_page_id`] for the forms.
///
/// # Errors
///
/// [`NotionError::ReadId`] when there is no id in the text.
pub fn parse_database_id(text: &str) -> Result<DatabaseId, NotionError> {
    parse(text).map(DatabaseId)
}

fn parse(text: &str) -> Result<String, NotionError> {
    let trimmed = text.trim();
    let without_query = trimmed.split(['?', '#']).next().unwrap_or_default();
    let segment = without_query
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or_default();
    // The id ends the segment; a title may stand before it, and may itself end in hexadecimal digits,
    // which only the dash between them tells apart.
    trailing_id(segment).ok_or(NotionError::ReadId)
}

fn trailing_id(segment: &str) -> Option<String> {
    let is_dashed = segment.len() >= 36 && segment.is_char_boundary(segment.len() - 36) && {
        let tail = &segment[segment.len() - 36..];
        [8, 13, 18, 23]
            .iter()
            .all(|&at| tail.as_bytes().get(at) == Some(&b'-'))
    };
    let length = if is_dashed { 36 } else { 32 };
    let start = segment.len().checked_sub(length)?;
    if !segment.is_char_boundary(start) {
        return None;
    }
    let (before, tail) = segment.split_at(start);
    if !before.is_empty() && !before.ends_with('-') {
        return None;
    }
    let digits: String = tail.chars().filter(|character| *character != '-').collect();
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some(dashed(&digits.to_ascii_lowercase()))
}

fn dashed(digits: &str) -> String {
    format!(
        "{}-{}-{}-{}-{}",
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..]
    )
}

/// Whether two ids name the same thing, however each is spelled.
pub fn same_id(one: &str, other: &str) -> bool {
    let plain = |text: &str| text.replace('-', "").to_ascii_lowercase();
    plain(one) == plain(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DASHED: &str = "1f0a5b6c-7d8e-4f90-a1b2-c3d4e5f60718";

    #[test]
    fn every_form_that_people_paste_gives_the_dashed_id() {
        for text in [
            "1f0a5b6c7d8e4f90a1b2c3d4e5f60718",
            "1F0A5B6C7D8E4F90A1B2C3D4E5F60718",
            "1f0a5b6c-7d8e-4f90-a1b2-c3d4e5f60718",
            " 1f0a5b6c-7d8e-4f90-a1b2-c3d4e5f60718\n",
            "https://app.notion.com/p/Title-1f0a5b6c7d8e4f90a1b2c3d4e5f60718?pvs=4",
            "https://www.notion.so/uni/Teams-face-1f0a5b6c7d8e4f90a1b2c3d4e5f60718?pvs=4&utm_source=x#top",
            "https://www.notion.so/1f0a5b6c7d8e4f90a1b2c3d4e5f60718/",
            "https://app.notion.com/p/%C3%9Cbung-1f0a5b6c-7d8e-4f90-a1b2-c3d4e5f60718",
        ] {
            assert_eq!(parse_page_id(text).unwrap().as_str(), DASHED, "{text}");
        }
    }

    #[test]
    fn text_without_an_id_is_refused() {
        for text in [
            "",
            "hello",
            "https://app.notion.com/p/Title",
            "x1f0a5b6c7d8e4f90a1b2c3d4e5f60718",
            "1f0a5b6c7d8e4f90a1b2c3d4e5f6071",
            "https://app.notion.com/?p=1f0a5b6c7d8e4f90a1b2c3d4e5f60718",
            "ééééééééééééééééééééééééééééééééé",
        ] {
            assert!(parse_page_id(text).is_err(), "{text}");
        }
    }
}
