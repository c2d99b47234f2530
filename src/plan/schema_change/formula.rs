//! Formulas of two spellings, compared.

use crate::schema::DataSourceSchema;

/// How Notion prints the reference to a property: the id and more follow, up to two braces.
const BLOCK_PROPERTY: &str = "{{notion:block_property:";

/// An expression in the spelling of mappings: properties as `prop("Name")`, and no white space outside of texts.
///
/// Two expressions that are spelled the same are the same; of two that are not, nobody knows.
pub(super) fn spelled(expression: &str, schema: &DataSourceSchema) -> String {
    let mut out = String::with_capacity(expression.len());
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        if let Some((id, after)) = reference(rest) {
            out.push_str("prop(\"");
            let property = schema
                .properties
                .iter()
                .find(|property| property.id.as_str() == id || decoded(property.id.as_str()) == id);
            out.push_str(property.map_or(id, |property| &property.name));
            out.push_str("\")");
            rest = after;
        } else if first == '"' {
            let end = end_of_text(rest);
            out.push_str(&rest[..end]);
            rest = &rest[end..];
        } else {
            if !first.is_whitespace() {
                out.push(first);
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// The id in a reference that the text starts with, and what follows on the reference.
fn reference(text: &str) -> Option<(&str, &str)> {
    let (inside, after) = text.strip_prefix(BLOCK_PROPERTY)?.split_once("}}")?;
    Some((inside.split(':').next().unwrap_or(inside), after))
}

/// Where the quoted text ends that this one starts with.
fn end_of_text(text: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A property id without the percent-encoding that the API prints it in.
fn decoded(id: &str) -> String {
    let mut bytes = Vec::with_capacity(id.len());
    let mut rest = id.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::data_source::{PropertyConfig, PropertySchema};
    use crate::value::{DataSourceId, DatabaseId, PropertyId};

    fn schema() -> DataSourceSchema {
        DataSourceSchema {
            id: DataSourceId::from("d"),
            database_id: DatabaseId::from("b"),
            title: String::new(),
            in_trash: false,
            properties: vec![PropertySchema {
                id: PropertyId::from("tx%3D"),
                name: "Cost".to_owned(),
                description: None,
                type_name: "number".to_owned(),
                config: PropertyConfig::Plain,
            }],
        }
    }

    #[test]
    fn white_space_and_the_spelling_of_references_make_no_difference() {
        let ours = r#"if(prop("Cost") > 2, "a b", "say \"x\"")"#;
        let notions = r#"if({{notion:block_property:tx=:0000:77}}>2,"a b", "say \"x\"")"#;
        assert_eq!(spelled(ours, &schema()), spelled(notions, &schema()));
        assert_eq!(
            spelled("{{notion:block_property:gone:1}}", &schema()),
            r#"prop("gone")"#
        );
    }

    #[test]
    fn texts_and_other_properties_make_one() {
        let schema = schema();
        for (one, other) in [
            (r#""a b""#, r#""ab""#),
            (r#"prop("Cost") * 2"#, r#"prop("Cost") * 3"#),
            (r#"prop("Cost")"#, r#"prop("Costs")"#),
            (r#""unfinished "#, r#""unfinished"#),
        ] {
            assert_ne!(spelled(one, &schema), spelled(other, &schema));
        }
    }
}
