use proptest::prelude::*;
use serde_json::json;

use super::*;

fn render(text: &str, context: serde_json::Value) -> Result<serde_json::Value, TemplateError> {
    Template::parse(text)?.render(&context, &Ambient::FIXED)
}

#[test]
fn one_expression_keeps_its_type() {
    let vars = json!({ "vars": { "id": null, "n": 3, "list": [1, "a"], "on": false } });
    assert_eq!(render("{{ vars.id }}", vars.clone()), Ok(json!(null)));
    assert_eq!(render("{{ vars.n }}", vars.clone()), Ok(json!(3)));
    assert_eq!(render("{{- vars.list -}}", vars.clone()), Ok(json!([1, "a"])));
    assert_eq!(render("{{ not vars.on }}", vars.clone()), Ok(json!(true)));
    assert_eq!(
        render("{{ {'a': {'b': 1}} }}", vars),
        Ok(json!({ "a": { "b": 1 } }))
    );
}

#[test]
fn anything_more_than_one_expression_is_text() {
    let context = json!({ "a": 1, "b": null });
    assert_eq!(render("{{ a }}{{ a }}", context.clone()), Ok(json!("11")));
    assert_eq!(
        render("{{ 'x' }} }} {{ 'y' }}", context.clone()),
        Ok(json!("x }} y"))
    );
    assert_eq!(render(" {{ a }}", context.clone()), Ok(json!(" 1")));
    assert_eq!(render("{{ a }}-{{ b }}-", context.clone()), Ok(json!("1--")));
    assert_eq!(render("no tags\n", context), Ok(json!("no tags\n")));
}

#[test]
fn undefined_names_are_errors_that_name_them() {
    for text in ["{{ env.MISSING }}", "at {{ env.MISSING }}!"] {
        let error = render(text, json!({ "env": {} })).unwrap_err();
        assert_eq!(error.fault, TemplateFault::Undefined, "{text}");
        assert_eq!(error.message, "`env.MISSING` is not defined", "{text}");
        assert_eq!(&text[error.range.unwrap()].trim(), &"env.MISSING");
    }
    assert_eq!(render("{{ missing | default('x') }}", json!({})), Ok(json!("x")));
}

#[test]
fn values_stay_out_of_messages() {
    let context = json!({ "secret": "hunter2", "list": ["hunter2"] });
    for text in [
        "{{ secret | int }}",
        "{{ secret + 1 }}",
        "x{{ secret / list }}",
        "{{ secret.a.b }}",
        "{{ list[secret] }}",
    ] {
        if let Err(error) = render(text, context.clone()) {
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }
}

#[test]
fn files_and_other_templates_are_out_of_reach() {
    for text in [
        "{% include 'x' %}",
        "{%- import 'x' as y %}",
        "{% extends 'x' %}",
        "{% from 'x' import y %}",
    ] {
        assert_eq!(
            Template::parse(text).unwrap_err().fault,
            TemplateFault::Forbidden,
            "{text}"
        );
    }
    assert_eq!(
        render("{% raw %}{% include 'x' %}{% endraw %}", json!({})),
        Ok(json!("{% include 'x' %}"))
    );
    assert_eq!(
        render("{{ debug() }}", json!({})).unwrap_err().fault,
        TemplateFault::Failed
    );
}

#[test]
fn unknown_filters_and_tests_are_found_before_rendering() {
    let error = Template::parse("{% if false %}{{ name | uper }}{% endif %}").unwrap_err();
    assert_eq!(
        (error.fault, error.range),
        (TemplateFault::UnknownFilter, Some(24..28))
    );
    let error = Template::parse("{{ name is not definedd }}").unwrap_err();
    assert_eq!(
        (error.fault, error.range),
        (TemplateFault::UnknownTest, Some(15..23))
    );
    assert!(Template::parse("{{ '|' ~ name | upper | slug }} {{ a is not none }}").is_ok());
}

#[test]
fn syntax_errors_have_a_place() {
    let error = Template::parse("fine\n{{ name | }}").unwrap_err();
    assert_eq!(error.fault, TemplateFault::Syntax);
    assert!(
        error.range.is_some_and(|range| range.start >= 5),
        "{:?}",
        error.message
    );
}

#[test]
fn names_that_the_context_must_supply_are_listed() {
    let names = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>();
    let template = Template::parse(
        "{% set x = vars.a %}{{ x }} {{ row.name }} {{ row[\"odd name\"] }} {{ range(2) }} {{ uuid() }}",
    )
    .unwrap();
    assert_eq!(names(template.variables()), ["row", "vars"]);
    assert_eq!(names(template.references()), ["row", "row.name", "vars.a"]);
    assert_eq!(names(template.row_columns()), ["name", "odd name"]);
    assert!(template.uses_ambient());
    assert_eq!(names(Template::parse("{{ now }}").unwrap().variables()), ["now"]);
}

#[test]
fn ambient_values_are_the_callers() {
    let ambient = Ambient {
        now: OffsetDateTime::UNIX_EPOCH,
        uuid: Uuid::from_u128(7),
    };
    let template = Template::parse("{{ uuid() }} {{ uuid() }} {{ now() }}").unwrap();
    let first = template.render(&json!({}), &ambient).unwrap();
    assert_eq!(first, template.render(&json!({}), &ambient).unwrap());
    let words: Vec<&str> = first.as_str().unwrap().split(' ').collect();
    assert_eq!(words[0], "00000000-0000-0000-0000-000000000007");
    assert_ne!(words[0], words[1]);
    assert_eq!(words[2], "1970-01-01T00:00:00Z");
    assert_ne!(ambient.labelled("a").uuid, ambient.labelled("b").uuid);
}

#[test]
fn slugs_are_plain() {
    assert_eq!(
        render("{{ ' Ünï & Co. 7 ' | slug }}", json!({})),
        Ok(json!("n-co-7"))
    );
}

#[test]
fn time_and_size_are_bounded() {
    let endless = "{% for a in range(1000) %}{% for b in range(1000) %}{{ b }}{% endfor %}{% endfor %}";
    assert_eq!(
        render(endless, json!({})).unwrap_err().fault,
        TemplateFault::OutOfFuel
    );
    let long = "{% for a in range(100) %}{{ 'x' * 100000 }}{% endfor %}";
    assert_eq!(render(long, json!({})).unwrap_err().fault, TemplateFault::TooLong);
    assert_eq!(
        render("{{ 'x' * 2000000 }}", json!({})).unwrap_err().fault,
        TemplateFault::TooLong
    );
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(5_000), ")".repeat(5_000));
    assert!(Template::parse(deep).is_err());
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in r#"(\{\{|\}\}|\{%|%\}|\{#|#\}|[ a-z.|'"\[\](){}é0-9]|if |for |row|in |is not ){0,24}"#) {
        if let Ok(template) = Template::parse(text) {
            let _ = template.variables();
            let _ = template.row_columns();
            let _ = template.render(&json!({ "row": { "a": 1 } }), &Ambient::FIXED);
        }
    }
}
