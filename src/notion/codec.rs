//! Page properties as JSON: read into values, and values written.
//!
//! Whatever is not known is [`CodecCode::Unreadable`] and whatever is cut short [`CodecCode::Incomplete`]; neither is
//! ever an empty value, which would empty a column.
//!
//! Source: Notion API 2026-03-11, property values; the inline limits of page objects.

use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};

use crate::codec::{CodecCode, CodecError, limits, parse_notion_date};
use crate::schema::PropertyType;
use crate::value::{Choice, Content, FileRef, Number, PageId, Person, Run, Style, UserId, Value};

/// References that a page object lists; where there are as many, there may be more.
const INLINE_REFERENCES: usize = 25;

/// Reads a property of a page object, which must be of that type.
///
/// # Errors
/// `Unreadable` for another type or an unknown shape; `Incomplete` where the page object lists only the first
/// references, and [`decode_items`] has to read them all.
pub fn decode(property_type: PropertyType, property: &Json) -> Result<Value, CodecError> {
    if property.get("type").and_then(Json::as_str) != Some(property_type.name()) {
        return Err(CodecCode::Unreadable.into());
    }
    let content = property.get(property_type.name()).ok_or(CodecCode::Unreadable)?;
    if property.get("has_more").and_then(Json::as_bool) == Some(true) || may_be_cut(property_type, content) {
        return Err(CodecCode::Incomplete.into());
    }
    decode_content(property_type, content)
}

/// Reads the items of a property endpoint, every batch of them in order, of a list type (title, rich text, people,
/// relation).
///
/// # Errors
/// `Unreadable` for an item of another type or of an unknown shape.
pub fn decode_items(property_type: PropertyType, items: &[Json]) -> Result<Value, CodecError> {
    let contents: Option<Vec<Json>> = items
        .iter()
        .map(|item| {
            let same = item.get("type").and_then(Json::as_str) == Some(property_type.name());
            same.then(|| item.get(property_type.name()).cloned()).flatten()
        })
        .collect();
    decode_content(
        property_type,
        &Json::Array(contents.ok_or(CodecCode::Unreadable)?),
    )
}

/// Writes a value as the content of a page write: `{"<type>": …}`.
///
/// Options are named by id where it is known, so that renaming one in the meantime makes no second one.
///
/// # Errors
/// A value beyond what one write carries, of a kind that the type does not hold, or of a type that Notion computes.
pub fn encode(property_type: PropertyType, value: &Value) -> Result<Json, CodecError> {
    let content = encode_content(property_type, value)?;
    let mut object = Map::new();
    object.insert(property_type.name().to_owned(), content);
    Ok(Json::Object(object))
}

fn may_be_cut(property_type: PropertyType, content: &Json) -> bool {
    let items = content.as_array().map_or(&[][..], Vec::as_slice);
    match property_type {
        PropertyType::People => items.len() >= INLINE_REFERENCES,
        PropertyType::Title | PropertyType::RichText => {
            let mentions = items.iter().filter(|item| item.get("mention").is_some()).count();
            mentions >= INLINE_REFERENCES
        }
        _ => false,
    }
}

fn decode_content(property_type: PropertyType, content: &Json) -> Result<Value, CodecError> {
    read_content(property_type, content).ok_or(CodecCode::Unreadable)?
}

/// `None`: a shape that is not known.
fn read_content(property_type: PropertyType, content: &Json) -> Option<Result<Value, CodecError>> {
    let value = match property_type {
        PropertyType::Title | PropertyType::RichText => {
            Value::RichText(content.as_array()?.iter().map(run).collect::<Option<_>>()?)
        }
        PropertyType::Number => number(content)?,
        PropertyType::Select | PropertyType::Status => match content {
            Json::Null => Value::Null,
            option => Value::Choice(choice(option)?),
        },
        PropertyType::MultiSelect => {
            Value::Choices(content.as_array()?.iter().map(choice).collect::<Option<_>>()?)
        }
        PropertyType::Date => date(content)?,
        PropertyType::Checkbox => Value::Bool(content.as_bool()?),
        PropertyType::Url | PropertyType::Email | PropertyType::PhoneNumber => match content {
            Json::Null => Value::Null,
            text => match text.as_str()? {
                "" => Value::Null,
                text => Value::text(text),
            },
        },
        PropertyType::Relation => {
            let page = |page: &Json| page.get("id").and_then(Json::as_str).map(page_id);
            Value::Pages(content.as_array()?.iter().map(page).collect::<Option<_>>()?)
        }
        PropertyType::People => Value::People(content.as_array()?.iter().map(person).collect::<Option<_>>()?),
        PropertyType::Files => Value::Files(content.as_array()?.iter().map(file).collect::<Option<_>>()?),
        PropertyType::Formula | PropertyType::Rollup => return computed(content),
        PropertyType::UniqueId => match content.get("number")? {
            Json::Null => Value::Null,
            number => Value::UniqueId {
                prefix: content.get("prefix").and_then(Json::as_str).map(str::to_owned),
                number: number.as_i64()?,
            },
        },
        PropertyType::CreatedTime | PropertyType::LastEditedTime => {
            Value::Instant(content.as_str()?.parse::<Timestamp>().ok()?)
        }
        PropertyType::CreatedBy | PropertyType::LastEditedBy => Value::People(vec![person(content)?]),
    };
    Some(Ok(value.canonical()))
}

fn computed(content: &Json) -> Option<Result<Value, CodecError>> {
    let kind = content.get("type")?.as_str()?;
    let inner = || content.get(kind);
    let value = match kind {
        "string" => match inner()? {
            Json::Null => Value::Null,
            text => Value::text(text.as_str()?),
        },
        "number" => number(inner()?)?,
        "boolean" => match inner()? {
            Json::Null => Value::Null,
            flag => Value::Bool(flag.as_bool()?),
        },
        "date" => date(inner()?)?,
        "array" => {
            let mut values = Vec::new();
            for item in inner()?.as_array()? {
                let item_type = PropertyType::from_name(item.get("type")?.as_str()?)?;
                // A computed value inside a computed value would only nest further; Notion has none.
                if matches!(item_type, PropertyType::Rollup) {
                    return None;
                }
                match read_content(item_type, item.get(item_type.name())?)? {
                    Ok(value) => values.push(value),
                    Err(error) => return Some(Err(error)),
                }
            }
            Value::List(values)
        }
        "incomplete" => return Some(Err(CodecCode::Incomplete.into())),
        _ => return None,
    };
    Some(Ok(value))
}

fn number(content: &Json) -> Option<Value> {
    match content {
        Json::Null => Some(Value::Null),
        Json::Number(number) => Number::parse(&number.to_string()).map(Value::Number),
        _ => None,
    }
}

fn date(content: &Json) -> Option<Value> {
    if content.is_null() {
        return Some(Value::Null);
    }
    let start = parse_notion_date(content.get("start")?.as_str()?)?;
    match content.get("end") {
        None | Some(Json::Null) => Some(start),
        Some(end) => Some(Value::Range(Box::new((start, parse_notion_date(end.as_str()?)?)))),
    }
}

fn choice(option: &Json) -> Option<Choice> {
    Some(Choice {
        name: option.get("name")?.as_str()?.to_owned(),
        id: option.get("id").and_then(Json::as_str).map(str::to_owned),
    })
}

fn person(user: &Json) -> Option<Person> {
    Some(Person {
        id: UserId::from(user.get("id")?.as_str()?),
        name: user.get("name").and_then(Json::as_str).map(str::to_owned),
    })
}

fn file(file: &Json) -> Option<FileRef> {
    let url = file
        .get("external")
        .and_then(|external| external.get("url"))
        .and_then(Json::as_str);
    Some(FileRef {
        name: file.get("name")?.as_str()?.to_owned(),
        url: url.map(str::to_owned),
    })
}

/// Dashed and lower case, as Notion answers.
fn page_id(text: &str) -> PageId {
    PageId(uuid::Uuid::parse_str(text).map_or_else(|_| text.to_owned(), |id| id.to_string()))
}

fn run(item: &Json) -> Option<Run> {
    let kind = item.get("type").and_then(Json::as_str).unwrap_or("text");
    let content = match kind {
        "text" => {
            let link = item
                .get("text")
                .and_then(|text| text.get("link"))
                .and_then(|link| link.get("url"));
            Content::Text {
                link: link.and_then(Json::as_str).map(str::to_owned),
            }
        }
        "equation" => Content::Equation(item.get("equation")?.get("expression")?.as_str()?.to_owned()),
        // Of anything else its plain text is what people read, and the object is what could be written back.
        other => Content::Mention(json!({ "type": other, other: item.get(other)? }).to_string()),
    };
    let plain = item
        .get("plain_text")
        .or_else(|| item.get("text")?.get("content"))?;
    Some(Run {
        text: plain.as_str()?.to_owned(),
        style: item.get("annotations").map(style).unwrap_or_default(),
        content,
    })
}

fn style(annotations: &Json) -> Style {
    let flag = |name: &str| annotations.get(name).and_then(Json::as_bool).unwrap_or(false);
    let color = annotations
        .get("color")
        .and_then(Json::as_str)
        .filter(|color| *color != "default");
    Style {
        bold: flag("bold"),
        italic: flag("italic"),
        strikethrough: flag("strikethrough"),
        underline: flag("underline"),
        code: flag("code"),
        color: color.map(str::to_owned),
    }
}

fn encode_content(property_type: PropertyType, value: &Value) -> Result<Json, CodecError> {
    let wrong_kind = || CodecError::from(CodecCode::NotOfType);
    match (property_type, value) {
        (PropertyType::Title | PropertyType::RichText, Value::RichText(runs)) => rich_text(runs),
        (PropertyType::Title | PropertyType::RichText, Value::Text(text)) => {
            rich_text(&[Run::plain(text.as_str())])
        }
        (PropertyType::Number, Value::Number(number)) => {
            let double = number.to_double().ok_or(CodecCode::NumberInexact)?;
            // A whole number is written as one: `42`, not `42.0`.
            Ok(number
                .to_integer()
                .map_or_else(|| json!(double), |integer| json!(integer)))
        }
        (PropertyType::Select | PropertyType::Status, Value::Choice(choice)) => Ok(option(choice)),
        (PropertyType::MultiSelect, Value::Choices(choices)) => list(choices.iter().map(option)),
        (PropertyType::Date, Value::Date(_) | Value::Instant(_)) => {
            Ok(json!({ "start": moment(value)?, "end": null }))
        }
        (PropertyType::Date, Value::Range(ends)) => {
            Ok(json!({ "start": moment(&ends.0)?, "end": moment(&ends.1)? }))
        }
        (PropertyType::Checkbox, Value::Bool(flag)) => Ok(json!(flag)),
        (PropertyType::Checkbox, Value::Null) => Ok(json!(false)),
        (PropertyType::Url | PropertyType::Email | PropertyType::PhoneNumber, Value::Text(text)) => {
            Ok(if text.is_empty() { Json::Null } else { json!(text) })
        }
        (PropertyType::Relation, Value::Pages(pages)) => {
            list(pages.iter().map(|page| json!({ "id": page.as_str() })))
        }
        (PropertyType::People, Value::People(people)) => list(
            people
                .iter()
                .map(|person| json!({ "object": "user", "id": person.id.as_str() })),
        ),
        (PropertyType::Files, Value::Files(files)) => {
            let external = |file: &FileRef| match &file.url {
                Some(url) => Ok(json!({ "type": "external", "name": file.name, "external": { "url": url } })),
                // Its address has gone stale since it was read, so a write would drop the file.
                None => Err(CodecError::from(CodecCode::NoWayBack)),
            };
            let files: Vec<Json> = files.iter().map(external).collect::<Result<_, _>>()?;
            list(files.into_iter())
        }
        (
            PropertyType::Title
            | PropertyType::RichText
            | PropertyType::MultiSelect
            | PropertyType::Relation
            | PropertyType::People
            | PropertyType::Files,
            Value::Null,
        ) => Ok(json!([])),
        (property_type, Value::Null) if !property_type.is_read_only() => Ok(Json::Null),
        (property_type, _) if property_type.is_read_only() => Err(CodecCode::ComputedByNotion.into()),
        _ => Err(wrong_kind()),
    }
}

fn list(items: impl Iterator<Item = Json>) -> Result<Json, CodecError> {
    let items: Vec<Json> = items.collect();
    if items.len() > limits::MAX_ENTRIES {
        return Err(CodecCode::TooManyEntries.into());
    }
    Ok(Json::Array(items))
}

fn option(choice: &Choice) -> Json {
    match &choice.id {
        Some(id) => json!({ "id": id }),
        None => json!({ "name": choice.name }),
    }
}

/// A day, or an instant in UTC with the milliseconds that Notion prints.
fn moment(value: &Value) -> Result<String, CodecError> {
    match value {
        Value::Date(date) => Ok(date.to_string()),
        Value::Instant(instant) => {
            let civil = instant.to_zoned(jiff::tz::TimeZone::UTC).datetime();
            let (date, time) = (civil.date(), civil.time());
            let clock = format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second());
            Ok(format!("{date}T{clock}.{:03}Z", time.millisecond()))
        }
        _ => Err(CodecCode::NotOfType.into()),
    }
}

fn rich_text(runs: &[Run]) -> Result<Json, CodecError> {
    let mut items = Vec::new();
    for run in runs {
        let annotations = annotations(&run.style);
        let mut push = |mut item: Json| {
            if let (Some(object), Some(annotations)) = (item.as_object_mut(), &annotations) {
                object.insert("annotations".to_owned(), annotations.clone());
            }
            items.push(item);
        };
        match &run.content {
            Content::Text { link } => {
                for piece in limits::pieces(&run.text) {
                    let text = match link {
                        Some(url) => json!({ "content": piece, "link": { "url": url } }),
                        None => json!({ "content": piece }),
                    };
                    push(json!({ "type": "text", "text": text }));
                }
            }
            Content::Equation(expression) => {
                push(json!({ "type": "equation", "equation": { "expression": expression } }));
            }
            Content::Mention(object) => {
                push(serde_json::from_str(object).map_err(|_| CodecCode::Unreadable)?);
            }
        }
    }
    if items.len() > limits::MAX_ENTRIES {
        return Err(CodecCode::TextTooLong.into());
    }
    Ok(Json::Array(items))
}

fn annotations(style: &Style) -> Option<Json> {
    (!style.is_plain()).then(|| {
        json!({
            "bold": style.bold,
            "italic": style.italic,
            "strikethrough": style.strikethrough,
            "underline": style.underline,
            "code": style.code,
            "color": style.color.as_deref().unwrap_or("default"),
        })
    })
}

#[cfg(test)]
mod tests;
