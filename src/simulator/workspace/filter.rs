//! Query filters: checked against the schema, then asked of each row (fact sheet, 3.4).

use serde_json::Value as Json;
use time::{Date, Duration, Weekday};
use uuid::Uuid;

use super::body::{Body, MAX_ELEMENTS};
use super::formula::Scalar;
use super::moment::{Moment, Point};
use super::read::dates_of;
use super::refusal::{Answered, Refusal};
use super::schema::{Config, Property, PropertyId, same_name};
use super::state::{DataSource, Page};
use super::value::{Value, number_key};
use super::{Caller, Workspace};

/// A checked filter.
#[derive(Clone, Debug)]
pub(super) enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    Property(PropertyId, Test),
    Created(Test),
    Edited(Test),
}

/// What is asked of one value.
#[derive(Clone, Debug)]
pub(super) enum Test {
    IsEmpty,
    IsNotEmpty,
    Text(TextTest, String),
    Number(NumberTest, f64),
    Ticked(bool),
    /// The option is one of these; for status, also the options of a group.
    Option {
        among: Vec<Uuid>,
        wanted: bool,
    },
    /// A list of ids holds one of these.
    Holds {
        among: Vec<Uuid>,
        wanted: bool,
    },
    /// Begins within these, both ends included; `None` is open.
    Within(Option<Moment>, Option<Moment>),
    Formula(Box<Test>),
    /// Of the elements of an array rollup.
    Rolled(Quantity, Box<Test>),
    /// Of a rollup that is one number or date.
    Rollup(Box<Test>),
    Verified(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextTest {
    Equals,
    DiffersFrom,
    Contains,
    LacksText,
    StartsWith,
    EndsWith,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberTest {
    Equals,
    DiffersFrom,
    Above,
    Below,
    AtLeast,
    AtMost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantity {
    Any,
    Every,
    None,
}

const TEXT_TESTS: [(&str, TextTest); 6] = [
    ("equals", TextTest::Equals),
    ("does_not_equal", TextTest::DiffersFrom),
    ("contains", TextTest::Contains),
    ("does_not_contain", TextTest::LacksText),
    ("starts_with", TextTest::StartsWith),
    ("ends_with", TextTest::EndsWith),
];

const NUMBER_TESTS: [(&str, NumberTest); 6] = [
    ("equals", NumberTest::Equals),
    ("does_not_equal", NumberTest::DiffersFrom),
    ("greater_than", NumberTest::Above),
    ("less_than", NumberTest::Below),
    ("greater_than_or_equal_to", NumberTest::AtLeast),
    ("less_than_or_equal_to", NumberTest::AtMost),
];

/// The groups inside which groups may stand: at most two levels in all.
const MOST_LEVELS: usize = 2;

impl Filter {
    /// Reads a filter for rows of this data source, at this moment (relative dates are resolved here).
    pub(super) fn parse(body: &Body<'_>, schema: &DataSource, now: Moment) -> Answered<Self> {
        Self::parse_level(body, schema, now, 0)
    }

    fn parse_level(body: &Body<'_>, schema: &DataSource, now: Moment, level: usize) -> Answered<Self> {
        let object = body.object()?;
        for (key, make) in [("and", Self::All as fn(Vec<Self>) -> Self), ("or", Self::Any)] {
            let Some(group) = body.get(key) else { continue };
            if level == MOST_LEVELS {
                return Err(group.refuse("not present: filters nest at most two levels"));
            }
            body.only(&[key])?;
            let parts = group.elements()?;
            debug_assert!(parts.len() <= MAX_ELEMENTS);
            let parts = parts
                .iter()
                .map(|part| Self::parse_level(part, schema, now, level + 1));
            return Ok(make(parts.collect::<Answered<_>>()?));
        }
        if let Some(timestamp) = body.get("timestamp") {
            let which = timestamp.word(&["created_time", "last_edited_time"])?;
            body.only(&["timestamp", "type", which])?;
            let test = parse_date(&body.need(which)?, now)?;
            return Ok(if which == "created_time" {
                Self::Created(test)
            } else {
                Self::Edited(test)
            });
        }
        let name = body.need("property")?;
        let name = name.value.as_str().ok_or_else(|| name.refuse("a string"))?;
        let property = schema
            .property(name)
            .ok_or_else(|| Refusal::validation(format!("Could not find property with name or id: {name}")))?;
        let told = object.keys().find(|key| *key != "property" && *key != "type");
        let Some(told) = told else {
            return Err(body
                .need(property.config.kind())
                .err()
                .unwrap_or_else(|| body.refuse("a filter")));
        };
        body.only(&["property", "type", told])?;
        let kind = property.config.kind();
        // Title and rich text answer to each other's filter key in neither direction; the key is the type.
        if told != kind {
            return Err(Refusal::validation(format!(
                "The property type in the database does not match the property type of the filter provided: database \
                 property {kind} does not match filter {told}"
            )));
        }
        Ok(Self::Property(
            property.id.clone(),
            parse_test(&body.need(told)?, property, now)?,
        ))
    }

    /// The value that a row must have for this filter to hold, where the filter says so by itself.
    pub(super) fn equality(&self) -> Option<(&PropertyId, String)> {
        match self {
            Self::Property(property, Test::Text(TextTest::Equals, text)) => Some((property, text.clone())),
            Self::Property(property, Test::Number(NumberTest::Equals, number)) => {
                Some((property, number_key(*number)))
            }
            Self::All(parts) => parts.iter().find_map(Self::equality),
            Self::Any(parts) if parts.len() == 1 => parts[0].equality(),
            _ => None,
        }
    }

    /// The earliest creation or edit that can hold, where the filter says so by itself.
    pub(super) fn earliest(&self, edited: bool) -> Option<Moment> {
        match self {
            Self::Created(Test::Within(from, _)) if !edited => *from,
            Self::Edited(Test::Within(from, _)) if edited => *from,
            Self::All(parts) => parts.iter().filter_map(|part| part.earliest(edited)).max(),
            _ => None,
        }
    }
}

fn parse_test(body: &Body<'_>, property: &Property, now: Moment) -> Answered<Test> {
    if let Some(test) = match property.config {
        // These have no empty operators (fact sheet, 3.4).
        Config::Checkbox | Config::UniqueId { .. } | Config::Formula(_) | Config::Rollup { .. } => None,
        _ => parse_existence(body)?,
    } {
        return Ok(test);
    }
    match &property.config {
        Config::Title | Config::RichText | Config::Url | Config::Email | Config::Phone => parse_text(body),
        Config::Number { .. } | Config::UniqueId { .. } => parse_number(body),
        Config::Checkbox => parse_checkbox(body),
        Config::Select(_) | Config::Status { .. } | Config::MultiSelect(_) => {
            parse_option(body, &property.config)
        }
        Config::Date | Config::CreatedTime | Config::EditedTime => parse_date(body, now),
        Config::People | Config::CreatedBy | Config::EditedBy | Config::Relation { .. } => parse_holds(body),
        Config::Formula(_) => {
            let (kind, inner) = one_entry(body)?;
            let test = match kind {
                "string" => either(&inner, parse_text)?,
                "number" => either(&inner, parse_number)?,
                "checkbox" => parse_checkbox(&inner)?,
                "date" => parse_date(&inner, now)?,
                _ => return Err(inner.refuse("not present")),
            };
            Ok(Test::Formula(Box::new(test)))
        }
        Config::Rollup { .. } => {
            let (kind, inner) = one_entry(body)?;
            let quantity = match kind {
                "any" => Quantity::Any,
                "every" => Quantity::Every,
                "none" => Quantity::None,
                "number" => return Ok(Test::Rollup(Box::new(either(&inner, parse_number)?))),
                "date" => return Ok(Test::Rollup(Box::new(parse_date(&inner, now)?))),
                _ => return Err(inner.refuse("not present")),
            };
            let (kind, inner) = one_entry(&inner)?;
            let test = match kind {
                "rich_text" | "title" => either(&inner, parse_text)?,
                "number" => either(&inner, parse_number)?,
                "checkbox" => parse_checkbox(&inner)?,
                "date" => parse_date(&inner, now)?,
                "people" | "relation" => either(&inner, parse_holds)?,
                _ => match parse_existence(&inner)? {
                    Some(test) => test,
                    None => return Err(inner.refuse("a filter that the simulator knows for rollups")),
                },
            };
            Ok(Test::Rolled(quantity, Box::new(test)))
        }
        Config::Verification => Ok(Test::Verified(
            body.need("status")?.word(&["verified", "expired", "none"])?,
        )),
        _ => Err(body.refuse("a filter with `is_empty` or `is_not_empty`")),
    }
}

fn either(body: &Body<'_>, parse: fn(&Body<'_>) -> Answered<Test>) -> Answered<Test> {
    match parse_existence(body)? {
        Some(test) => Ok(test),
        None => parse(body),
    }
}

fn one_entry<'a>(body: &Body<'a>) -> Answered<(&'a str, Body<'a>)> {
    let mut entries = body.entries()?;
    if entries.len() != 1 {
        return Err(body.refuse("an object with one key"));
    }
    Ok(entries.remove(0))
}

fn parse_existence(body: &Body<'_>) -> Answered<Option<Test>> {
    for (key, test) in [("is_empty", Test::IsEmpty), ("is_not_empty", Test::IsNotEmpty)] {
        if let Some(found) = body.get(key) {
            body.only(&[key])?;
            return if *found.value == Json::Bool(true) {
                Ok(Some(test))
            } else {
                Err(found.refuse("`true`"))
            };
        }
    }
    Ok(None)
}

fn parse_text(body: &Body<'_>) -> Answered<Test> {
    let (operator, operand) = one_entry(body)?;
    let test = TEXT_TESTS
        .iter()
        .find(|(name, _)| *name == operator)
        .ok_or_else(|| operand.refuse("not present"))?
        .1;
    Ok(Test::Text(test, operand.text(super::body::MAX_TEXT)?.to_owned()))
}

fn parse_number(body: &Body<'_>) -> Answered<Test> {
    let (operator, operand) = one_entry(body)?;
    let test = NUMBER_TESTS
        .iter()
        .find(|(name, _)| *name == operator)
        .ok_or_else(|| operand.refuse("not present"))?
        .1;
    Ok(Test::Number(test, operand.number()?))
}

fn parse_checkbox(body: &Body<'_>) -> Answered<Test> {
    let (operator, operand) = one_entry(body)?;
    match operator {
        "equals" => Ok(Test::Ticked(operand.bool()?)),
        "does_not_equal" => Ok(Test::Ticked(!operand.bool()?)),
        _ => Err(operand.refuse("not present")),
    }
}

fn parse_option(body: &Body<'_>, config: &Config) -> Answered<Test> {
    let (operator, operand) = one_entry(body)?;
    let is_list = matches!(config, Config::MultiSelect(_));
    let wanted = match operator {
        "equals" if !is_list => true,
        "does_not_equal" if !is_list => false,
        "contains" if is_list => true,
        "does_not_contain" if is_list => false,
        _ => return Err(operand.refuse("not present")),
    };
    let names = match operand.value {
        Json::Array(_) => operand.elements()?,
        _ => vec![operand.clone()],
    };
    let mut among = Vec::new();
    for name in names {
        let name = name.text(super::body::MAX_TEXT)?;
        let option = config
            .choices()
            .iter()
            .find(|choice| same_name(&choice.name, name));
        let group = match config {
            Config::Status { groups, .. } => groups.iter().find(|group| same_name(group.name, name)),
            _ => None,
        };
        match (option, group) {
            (Some(option), _) => among.push(option.id),
            (None, Some(group)) => among.extend(&group.options),
            (None, None) => {
                let known: Vec<String> = config
                    .choices()
                    .iter()
                    .map(|choice| format!("\"{}\"", choice.name))
                    .collect();
                return Err(Refusal::validation(format!(
                    "{} option \"{name}\" not found. Available options: {}.",
                    config.kind(),
                    known.join(", ")
                )));
            }
        }
    }
    Ok(if is_list {
        Test::Holds { among, wanted }
    } else {
        Test::Option { among, wanted }
    })
}

fn parse_holds(body: &Body<'_>) -> Answered<Test> {
    let (operator, operand) = one_entry(body)?;
    let wanted = match operator {
        "contains" => true,
        "does_not_contain" => false,
        _ => return Err(operand.refuse("not present")),
    };
    // `"me"` matches nothing for an internal bot.
    let among = if operand.value == "me" {
        Vec::new()
    } else {
        vec![operand.uuid()?]
    };
    Ok(Test::Holds { among, wanted })
}

/// Days cover their whole length in UTC; times are exact; `on_or_…` includes its end.
fn parse_date(body: &Body<'_>, now: Moment) -> Answered<Test> {
    if let Some(test) = parse_existence(body)? {
        return Ok(test);
    }
    let (operator, operand) = one_entry(body)?;
    let today = now.utc().date();
    let span = |from: Date, to: Date| {
        Ok(Test::Within(
            Some(Point::Day(from).begins()),
            Some(Point::Day(to).ends()),
        ))
    };
    let week_begin = if today.weekday() == Weekday::Sunday {
        today
    } else {
        today.prev_occurrence(Weekday::Sunday)
    };
    match operator {
        "this_week" => return span(week_begin, week_begin + Duration::days(6)),
        "past_week" => return span(today - Duration::weeks(1), today),
        "past_month" => return span(months_from(today, -1), today),
        "past_year" => return span(months_from(today, -12), today),
        "next_week" => return span(today, today + Duration::weeks(1)),
        "next_month" => return span(today, months_from(today, 1)),
        "next_year" => return span(today, months_from(today, 12)),
        _ => {}
    }
    let text = operand.text(100)?;
    let day = |date: Date| Some(Point::Day(date));
    let point = match text {
        "today" => day(today),
        "tomorrow" => day(today + Duration::days(1)),
        "yesterday" => day(today - Duration::days(1)),
        "one_week_ago" => day(today - Duration::weeks(1)),
        "one_week_from_now" => day(today + Duration::weeks(1)),
        "one_month_ago" => day(months_from(today, -1)),
        "one_month_from_now" => day(months_from(today, 1)),
        _ => Point::parse(text, None),
    };
    let point = point.ok_or_else(|| operand.refuse("a valid ISO 8601 date string"))?;
    let (begins, ends) = (point.begins(), point.ends());
    Ok(match operator {
        "equals" => Test::Within(Some(begins), Some(ends)),
        "before" => Test::Within(None, Some(Moment(begins.0 - 1))),
        "after" => Test::Within(Some(Moment(ends.0 + 1)), None),
        "on_or_before" => Test::Within(None, Some(ends)),
        "on_or_after" => Test::Within(Some(begins), None),
        _ => return Err(operand.refuse("not present")),
    })
}

/// The same day some months away, or the last day of a shorter month.
fn months_from(day: Date, months: i32) -> Date {
    let count = day.year() * 12 + i32::from(u8::from(day.month())) - 1 + months;
    let month = u8::try_from(count.rem_euclid(12) + 1)
        .ok()
        .and_then(|month| time::Month::try_from(month).ok());
    let month = month.unwrap_or(day.month());
    let year = count.div_euclid(12);
    let last = month.length(year);
    Date::from_calendar_date(year, month, day.day().min(last)).unwrap_or(day)
}

impl Workspace {
    /// Whether a row passes.
    pub(super) fn passes(&self, caller: Caller, home: &DataSource, page: &Page, filter: &Filter) -> bool {
        match filter {
            Filter::All(parts) => parts.iter().all(|part| self.passes(caller, home, page, part)),
            Filter::Any(parts) => parts.iter().any(|part| self.passes(caller, home, page, part)),
            Filter::Created(test) => within(page.stamps.created, test),
            Filter::Edited(test) => within(page.stamps.edited, test),
            Filter::Property(id, test) => home
                .by_id(id)
                .is_some_and(|property| self.holds(caller, home, page, property, test)),
        }
    }

    fn holds(
        &self,
        caller: Caller,
        home: &DataSource,
        page: &Page,
        property: &Property,
        test: &Test,
    ) -> bool {
        let stamps = page.stamps;
        match (&property.config, test) {
            (Config::CreatedTime, test) => within(stamps.created, test),
            (Config::EditedTime, test) => within(stamps.edited, test),
            (Config::CreatedBy, test) => value_holds(Some(&Value::People(vec![stamps.creator])), test),
            (Config::EditedBy, test) => value_holds(Some(&Value::People(vec![stamps.editor])), test),
            (Config::UniqueId { .. }, Test::Number(test, operand)) => {
                number_holds(*test, f64::from(page.number), *operand)
            }
            (Config::Formula(_), Test::Formula(test)) => {
                scalar_holds(&self.scalar(caller, home, page, &property.name), test)
            }
            (Config::Rollup { relation, target, .. }, Test::Rolled(quantity, test)) => {
                let Some(through) = home.by_id(relation) else {
                    return false;
                };
                let related = self.related(caller, through, page.values.get(relation));
                let mut held = related
                    .iter()
                    .filter_map(|id| self.pages.get(id))
                    .map(|page| value_holds(page.values.get(target), test));
                match quantity {
                    Quantity::Any => held.any(|held| held),
                    Quantity::Every => held.all(|held| held),
                    Quantity::None => !held.any(|held| held),
                }
            }
            (Config::Rollup { .. }, Test::Rollup(test)) => {
                let rollup = self.inner_json(caller, home, page, property);
                match rollup["number"].as_f64() {
                    Some(number) => scalar_holds(&Scalar::Number(number), test),
                    None => match rollup["date"]["start"]
                        .as_str()
                        .and_then(|text| Point::parse(text, None))
                    {
                        Some(point) => within(point.begins(), test),
                        None => matches!(**test, Test::IsEmpty),
                    },
                }
            }
            (Config::Verification, Test::Verified(status)) => {
                let verified = page.values.contains_key(&property.id);
                match *status {
                    "verified" => verified,
                    "none" => !verified,
                    _ => false,
                }
            }
            (Config::Relation { .. }, test) => {
                let related = self.related(caller, property, page.values.get(&property.id));
                let value = (!related.is_empty()).then_some(Value::Relation(related));
                value_holds(value.as_ref(), test)
            }
            (_, test) => value_holds(page.values.get(&property.id), test),
        }
    }
}

fn within(moment: Moment, test: &Test) -> bool {
    match test {
        Test::Within(from, to) => from.is_none_or(|from| from <= moment) && to.is_none_or(|to| moment <= to),
        Test::IsNotEmpty => true,
        _ => false,
    }
}

fn value_holds(value: Option<&Value>, test: &Test) -> bool {
    match test {
        Test::IsEmpty => value.is_none(),
        Test::IsNotEmpty => value.is_some(),
        Test::Ticked(wanted) => value.is_some() == *wanted,
        Test::Text(test, operand) => {
            let text = value.map(Value::text).unwrap_or_default();
            match test {
                TextTest::Equals => text == *operand,
                TextTest::DiffersFrom => text != *operand,
                TextTest::Contains => text.contains(operand),
                TextTest::LacksText => !text.contains(operand),
                TextTest::StartsWith => text.starts_with(operand),
                TextTest::EndsWith => text.ends_with(operand),
            }
        }
        Test::Number(test, operand) => match value {
            Some(Value::Number(number)) => number_holds(*test, number.as_f64().unwrap_or_default(), *operand),
            _ => *test == NumberTest::DiffersFrom,
        },
        Test::Option { among, wanted } => {
            let held = matches!(value, Some(Value::Choice(id)) if among.contains(id));
            held == *wanted
        }
        Test::Holds { among, wanted } => {
            let ids = match value {
                Some(Value::Choices(ids) | Value::People(ids) | Value::Relation(ids)) => ids.as_slice(),
                _ => &[],
            };
            among.iter().any(|id| ids.contains(id)) == *wanted
        }
        Test::Within(..) => dates_of(value).is_some_and(|dates| within(dates.start.begins(), test)),
        Test::Formula(_) | Test::Rolled(..) | Test::Rollup(_) | Test::Verified(_) => false,
    }
}

fn scalar_holds(scalar: &Scalar, test: &Test) -> bool {
    match (scalar, test) {
        (scalar, Test::IsEmpty) => *scalar == Scalar::Empty,
        (scalar, Test::IsNotEmpty) => *scalar != Scalar::Empty,
        (Scalar::Text(text), Test::Text(..)) => {
            value_holds(Some(&Value::Text(super::rich_text::plain(text))), test)
        }
        (Scalar::Number(number), Test::Number(test, operand)) => number_holds(*test, *number, *operand),
        (Scalar::Boolean(flag), Test::Ticked(wanted)) => flag == wanted,
        (Scalar::Text(text), Test::Within(..)) => {
            Point::parse(text, None).is_some_and(|point| within(point.begins(), test))
        }
        _ => false,
    }
}

fn number_holds(test: NumberTest, number: f64, operand: f64) -> bool {
    match test {
        NumberTest::Equals => number == operand,
        NumberTest::DiffersFrom => number != operand,
        NumberTest::Above => number > operand,
        NumberTest::Below => number < operand,
        NumberTest::AtLeast => number >= operand,
        NumberTest::AtMost => number <= operand,
    }
}
