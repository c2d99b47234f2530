//! The paging of every list (fact sheet, 2.2).

use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::Request;
use super::body::Body;
use super::digest;
use super::refusal::{Answered, Refusal};

pub(super) const MAX_BATCH: usize = 100;

/// Which part of a list is asked for.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) size: usize,
    cursor: Option<String>,
}

/// One part of a list, and where the next begins.
pub(super) struct Cut<T> {
    pub(super) results: Vec<T>,
    pub(super) next_cursor: Option<Uuid>,
}

/// A position in a list, written as the UUID that the OpenAPI document says a cursor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Binds the position to the list it was made for.
    pub(super) list: u32,
    /// Results given so far.
    pub(super) given: u32,
    /// In an order of time: the minute and sequence of the next row. Else: the next index and 0.
    pub(super) at: (u32, u32),
}

impl Cursor {
    pub(super) fn encode(self) -> Uuid {
        let words = [
            self.list,
            self.given ^ self.list,
            self.at.0 ^ self.list.rotate_left(9),
            self.at.1 ^ self.list.rotate_left(17),
        ];
        let bytes = words
            .iter()
            .flat_map(|word| word.to_be_bytes())
            .collect::<Vec<u8>>();
        Uuid::from_slice(&bytes).unwrap_or_default()
    }

    fn decode(text: &str, list: u32) -> Answered<Self> {
        let refuse = || Refusal::validation(format!("The start_cursor provided is invalid: {text}"));
        let id = super::body::parse_uuid(text).ok_or_else(refuse)?;
        let mut words = [0_u32; 4];
        for (word, bytes) in words.iter_mut().zip(id.as_bytes().chunks_exact(4)) {
            *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
        }
        if words[0] != list {
            return Err(refuse());
        }
        Ok(Self {
            list,
            given: words[1] ^ list,
            at: (words[2] ^ list.rotate_left(9), words[3] ^ list.rotate_left(17)),
        })
    }
}

/// Tells lists apart: `list` says which one it is, with everything that was asked of it.
pub(super) fn fingerprint(list: &str) -> u32 {
    (digest::number(list) >> 32) as u32
}

impl Batch {
    /// From a query string.
    pub(super) fn of_query(request: &Request) -> Answered<Self> {
        let size = match request.query_value("page_size") {
            Some(text) => {
                let refuse = |expected: &str| {
                    Refusal::validation(format!(
                        "query failed validation: query.page_size should be {expected}, instead was `{text}`."
                    ))
                };
                match text.parse::<usize>() {
                    Ok(size) if size > MAX_BATCH => return Err(refuse("≤ `100`")),
                    Ok(0) => MAX_BATCH,
                    Ok(size) => size,
                    Err(_) => return Err(refuse("a number")),
                }
            }
            None => MAX_BATCH,
        };
        Ok(Self {
            size,
            cursor: request.query_value("start_cursor").map(str::to_owned),
        })
    }

    /// From a body.
    pub(super) fn of_body(body: &Body<'_>) -> Answered<Self> {
        let size = match body.given("page_size") {
            Some(found) => match found.value.as_u64() {
                Some(size) if size > MAX_BATCH as u64 => return Err(found.refuse("≤ `100`")),
                Some(0) => MAX_BATCH,
                Some(size) => size as usize,
                None => return Err(found.refuse("a number")),
            },
            None => MAX_BATCH,
        };
        let cursor = body
            .given("start_cursor")
            .map(|found| found.text(100))
            .transpose()?;
        Ok(Self {
            size,
            cursor: cursor.map(str::to_owned),
        })
    }

    pub(super) fn start(&self, list: u32) -> Answered<Option<Cursor>> {
        self.cursor
            .as_deref()
            .map(|text| Cursor::decode(text, list))
            .transpose()
    }

    /// The part of a list in memory; `list` tells lists apart.
    pub(super) fn cut<T: Clone>(&self, elements: &[T], list: &str) -> Answered<Cut<T>> {
        let list = fingerprint(list);
        let start = self
            .start(list)?
            .map_or(0, |cursor| cursor.at.0 as usize)
            .min(elements.len());
        let end = (start + self.size).min(elements.len());
        let cursor = Cursor {
            list,
            given: end as u32,
            at: (end as u32, 0),
        };
        Ok(Cut {
            results: elements[start..end].to_vec(),
            next_cursor: (end < elements.len()).then(|| cursor.encode()),
        })
    }
}

/// A list of objects as every listing endpoint answers it.
pub(super) fn list_json(kind: &str, cut: Cut<Json>) -> Json {
    json!({
        "object": "list", "type": kind, kind: {}, "results": cut.results,
        "has_more": cut.next_cursor.is_some(), "next_cursor": cut.next_cursor,
    })
}
