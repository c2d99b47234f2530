//! Rollups, computed at read from at most 25 related pages (fact sheet, 4.9).

use serde_json::{Value as Json, json};

use super::read::dates_of;
use super::schema::{Config, PropertyId};
use super::state::{DataSource, Page};
use super::value::{Dates, Value, number_key};
use super::write::double;
use super::{Caller, Workspace};

/// References that a computed value looks at.
const MOST_REFERENCES: usize = 25;

impl Workspace {
    /// The `rollup` object of a page: number, date or array, with its function.
    pub(super) fn rollup_json(
        &self,
        caller: Caller,
        home: &DataSource,
        page: &Page,
        (relation, target, function): (&PropertyId, &PropertyId, &str),
    ) -> Json {
        let through = home.by_id(relation);
        let there = through.and_then(|through| match &through.config {
            Config::Relation { data_source, .. } => self.data_sources.get(data_source),
            _ => None,
        });
        let (Some(through), Some(there)) = (through, there) else {
            return json!({"type": "unsupported", "unsupported": {}, "function": function});
        };
        let Some(rolled) = there.by_id(target) else {
            return json!({"type": "unsupported", "unsupported": {}, "function": function});
        };
        let related = self.related(caller, through, page.values.get(relation));
        let pages: Vec<&Page> = related
            .iter()
            .take(MOST_REFERENCES)
            .filter_map(|id| self.pages.get(id))
            .collect();
        let count = pages.len() as f64;
        let filled: Vec<&Value> = pages.iter().filter_map(|page| page.values.get(target)).collect();
        let numbers: Vec<f64> = filled
            .iter()
            .filter_map(|value| {
                if let Value::Number(number) = value {
                    number.as_f64()
                } else {
                    None
                }
            })
            .collect();
        let dates: Vec<Dates> = filled.iter().filter_map(|value| dates_of(Some(value))).collect();
        let number = |number: Option<f64>| {
            let number = number.filter(|number| number.is_finite()).map(double);
            json!({"type": "number", "number": number, "function": function})
        };
        let share = |part: usize| number((count > 0.0).then(|| part as f64 / count));
        let least = numbers.iter().copied().reduce(f64::min);
        let most = numbers.iter().copied().reduce(f64::max);
        match function {
            "count" => number(Some(count)),
            "count_values" => number(Some(
                filled.iter().map(|value| elements(value)).sum::<usize>() as f64
            )),
            "not_empty" | "checked" => number(Some(filled.len() as f64)),
            "empty" | "unchecked" => number(Some(count - filled.len() as f64)),
            "unique" => number(Some(distinct(&filled) as f64)),
            "percent_not_empty" | "percent_checked" => share(filled.len()),
            "percent_empty" | "percent_unchecked" => share(pages.len() - filled.len()),
            "sum" => number(Some(numbers.iter().sum())),
            "average" => {
                number((!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64))
            }
            "median" => number(median(numbers)),
            "min" => number(least),
            "max" => number(most),
            "range" => number(least.zip(most).map(|(least, most)| most - least)),
            "earliest_date" | "latest_date" | "date_range" => {
                let first = dates.iter().min_by_key(|dates| dates.start.begins());
                let last = dates
                    .iter()
                    .max_by_key(|dates| dates.end.unwrap_or(dates.start).begins());
                let date = match function {
                    "earliest_date" => first.map(|dates| Dates {
                        start: dates.start,
                        end: None,
                    }),
                    "latest_date" => last.map(|dates| Dates {
                        start: dates.end.unwrap_or(dates.start),
                        end: None,
                    }),
                    _ => first.zip(last).map(|(first, last)| Dates {
                        start: first.start,
                        end: Some(last.end.unwrap_or(last.start)),
                    }),
                };
                json!({"type": "date", "date": date.map(Dates::render), "function": function})
            }
            "show_original" | "show_unique" => {
                let values: Vec<Json> = pages
                    .iter()
                    .map(|page| {
                        let kind = rolled.config.kind();
                        json!({"type": kind, kind: self.inner_json(caller, there, page, rolled)})
                    })
                    .collect();
                json!({"type": "array", "array": values, "function": function})
            }
            _ => json!({"type": "unsupported", "unsupported": {}, "function": function}),
        }
    }
}

fn elements(value: &Value) -> usize {
    match value {
        Value::Choices(options) => options.len(),
        Value::Relation(pages) => pages.len(),
        Value::People(people) => people.len(),
        _ => 1,
    }
}

fn distinct(values: &[&Value]) -> usize {
    let mut keys: Vec<String> = values
        .iter()
        .map(|value| match value {
            Value::Number(number) => number_key(number.as_f64().unwrap_or_default()),
            other => format!("{other:?}"),
        })
        .collect();
    keys.sort_unstable();
    keys.dedup();
    keys.len()
}

fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() % 2 {
        _ if numbers.is_empty() => None,
        1 => Some(numbers[middle]),
        _ => Some(f64::midpoint(numbers[middle - 1], numbers[middle])),
    }
}
