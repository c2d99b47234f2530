//! Rich text: what a request may send, what is kept, what is read back (fact sheet, 4.2).

use serde_json::{Value, json};
use uuid::Uuid;

use super::body::{Body, MAX_TEXT};
use super::moment::Point;
use super::refusal::Answered;

/// A stretch of text in one format. Adjacent stretches in the same format are kept as one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run {
    pub(crate) text: String,
    /// `None` is plain text, which nearly all text is.
    style: Option<Box<Style>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Style {
    annotations: Value,
    link: Option<String>,
    /// A mention or an equation, as its typed body.
    special: Option<(&'static str, Value)>,
}

pub(crate) type RichText = Vec<Run>;

/// Tells the name of a user, page or database that text mentions.
pub(crate) type NameOf<'a> = &'a dyn Fn(&str, Uuid) -> Option<String>;

const FLAGS: [&str; 5] = ["bold", "italic", "strikethrough", "underline", "code"];

pub(crate) const TEXT_COLORS: [&str; 20] = [
    "default",
    "gray",
    "brown",
    "orange",
    "yellow",
    "green",
    "blue",
    "purple",
    "pink",
    "red",
    "default_background",
    "gray_background",
    "brown_background",
    "orange_background",
    "yellow_background",
    "green_background",
    "blue_background",
    "purple_background",
    "pink_background",
    "red_background",
];

/// One run of plain text; no run where the text is empty.
pub(crate) fn plain(text: &str) -> RichText {
    normalised(vec![Run {
        text: text.to_owned(),
        style: None,
    }])
}

/// The text without its formats.
pub(crate) fn text_of(runs: &[Run]) -> String {
    runs.iter().map(|run| run.text.as_str()).collect()
}

/// Reads an array of rich text items.
pub(crate) fn parse(body: &Body<'_>, name_of: NameOf<'_>) -> Answered<RichText> {
    let mut runs = Vec::new();
    for item in body.elements()? {
        runs.push(parse_item(&item, name_of)?);
    }
    Ok(normalised(runs))
}

fn parse_item(item: &Body<'_>, name_of: NameOf<'_>) -> Answered<Run> {
    // `plain_text` and `href` are sent back by clients that write what they read; Notion ignores them.
    item.only(&[
        "type",
        "text",
        "mention",
        "equation",
        "annotations",
        "plain_text",
        "href",
    ])?;
    let annotations = item
        .given("annotations")
        .map(|found| parse_annotations(&found))
        .transpose()?;
    let (text, link, special) = if let Some(mention) = item.get("mention") {
        let (text, mention) = parse_mention(&mention, name_of)?;
        (text, None, Some(("mention", mention)))
    } else if let Some(equation) = item.get("equation") {
        let expression = equation.need("expression")?.text(1000)?;
        (
            expression.to_owned(),
            None,
            Some(("equation", json!({ "expression": expression }))),
        )
    } else {
        let text = item.need("text")?;
        let content = text.need("content")?.text(MAX_TEXT)?;
        if content.contains('\0') {
            return Err(text.need("content")?.refuse("a string without null characters"));
        }
        let link = match text.given("link") {
            Some(link) => Some(normalised_url(link.need("url")?.filled_text(MAX_TEXT)?)),
            None => None,
        };
        (content.replace("\r\n", "\n"), link, None)
    };
    let style = (annotations.is_some() || link.is_some() || special.is_some()).then(|| {
        Box::new(Style {
            annotations: annotations.unwrap_or_else(default_annotations),
            link,
            special,
        })
    });
    Ok(Run { text, style })
}

fn parse_annotations(body: &Body<'_>) -> Answered<Value> {
    body.only(&["bold", "italic", "strikethrough", "underline", "code", "color"])?;
    let mut annotations = default_annotations();
    for flag in FLAGS {
        if let Some(found) = body.get(flag) {
            annotations[flag] = Value::Bool(found.bool()?);
        }
    }
    if let Some(color) = body.get("color") {
        let known = color
            .value
            .as_str()
            .is_some_and(|text| TEXT_COLORS.contains(&text));
        if !known {
            return Err(color.refuse("a known color"));
        }
        annotations["color"] = color.value.clone();
    }
    Ok(annotations)
}

fn parse_mention(body: &Body<'_>, name_of: NameOf<'_>) -> Answered<(String, Value)> {
    for kind in ["user", "page", "database"] {
        if let Some(target) = body.get(kind) {
            let id = target.need("id")?.uuid()?;
            let name = name_of(kind, id).unwrap_or_else(|| "Untitled".to_owned());
            let text = if kind == "user" { format!("@{name}") } else { name };
            let value = if kind == "user" {
                json!({"object": "user", "id": id})
            } else {
                json!({ "id": id })
            };
            return Ok((text, json!({ "type": kind, kind: value })));
        }
    }
    let date = body.need("date")?;
    let point = |key: &str| -> Answered<Option<String>> {
        let Some(found) = date.given(key) else {
            return Ok(None);
        };
        let point = found.value.as_str().and_then(|text| Point::parse(text, None));
        point
            .map(|point| Some(point.iso()))
            .ok_or_else(|| found.refuse("a valid ISO 8601 date string"))
    };
    date.need("start")?;
    let (start, end) = (point("start")?, point("end")?);
    let text = start.clone().unwrap_or_default();
    Ok((
        text,
        json!({"type": "date", "date": {"start": start, "end": end, "time_zone": null}}),
    ))
}

fn default_annotations() -> Value {
    json!({"bold": false, "italic": false, "strikethrough": false, "underline": false, "code": false, "color": "default"})
}

/// Notion gives a bare host a trailing slash (fact sheet, section 7, row 18).
fn normalised_url(url: &str) -> String {
    match url.split_once("://") {
        Some((_, rest)) if !rest.is_empty() && !rest.contains(['/', '?', '#']) => format!("{url}/"),
        _ => url.to_owned(),
    }
}

fn normalised(runs: Vec<Run>) -> RichText {
    let mut merged: RichText = Vec::with_capacity(runs.len());
    for mut run in runs {
        let is_plain = run.style.as_ref().is_some_and(|style| {
            style.link.is_none() && style.special.is_none() && style.annotations == default_annotations()
        });
        if is_plain {
            run.style = None;
        }
        if run.text.is_empty() {
            continue;
        }
        match merged.last_mut() {
            Some(last)
                if last.style == run.style
                    && run.style.as_ref().is_none_or(|style| style.special.is_none()) =>
            {
                last.text.push_str(&run.text);
            }
            _ => merged.push(run),
        }
    }
    merged
}

/// As Notion answers it; text over 2000 UTF-16 units comes in several items.
pub(crate) fn render(runs: &[Run]) -> Value {
    Value::Array(render_items(runs))
}

/// The items, one rich text object each.
pub(crate) fn render_items(runs: &[Run]) -> Vec<Value> {
    let mut items = Vec::new();
    for run in runs {
        let annotations = run
            .style
            .as_ref()
            .map_or_else(default_annotations, |style| style.annotations.clone());
        if let Some((kind, special)) = run.style.as_ref().and_then(|style| style.special.as_ref()) {
            items.push(json!({
                "type": kind, *kind: special, "annotations": annotations, "plain_text": run.text, "href": null
            }));
            continue;
        }
        let link = run.style.as_ref().and_then(|style| style.link.as_ref());
        for piece in pieces(&run.text) {
            items.push(json!({
                "type": "text",
                "text": {"content": piece, "link": link.map(|url| json!({ "url": url }))},
                "annotations": annotations, "plain_text": piece, "href": link,
            }));
        }
    }
    items
}

/// Cuts at 2000 UTF-16 units, never within a character.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut units) = (0, 0);
    for (index, character) in text.char_indices() {
        if units + character.len_utf16() > MAX_TEXT {
            pieces.push(&text[start..index]);
            (start, units) = (index, 0);
        }
        units += character.len_utf16();
    }
    pieces.push(&text[start..]);
    pieces
}
