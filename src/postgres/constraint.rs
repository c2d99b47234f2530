//! Reading the lists of allowed texts out of CHECK constraints.

/// The column and the texts, when a constraint as `pg_get_constraintdef` prints it says that the column is one of
/// some texts, and nothing else.
///
/// PostgreSQL prints `status in ('a', 'b')` as `CHECK ((status = ANY (ARRAY['a'::text, 'b'::text])))`. A chain of
/// `or` and an `is null` beside it count as well. In a domain's constraint the column is `VALUE`.
pub(super) fn allowed_texts(definition: &str) -> Option<(String, Vec<String>)> {
    let tokens = tokens(definition)?;
    let mut rest = tokens.strip_prefix(&[Token::Keyword("CHECK".to_owned())])?;
    let mut column: Option<&str> = None;
    let mut texts = Vec::new();
    loop {
        let [Token::Name(name), more @ ..] = rest else {
            return None;
        };
        if *column.get_or_insert(name) != *name {
            return None;
        }
        rest = match more {
            [Token::Keyword(is), Token::Keyword(null), more @ ..] if is == "IS" && null == "NULL" => more,
            [Token::Symbol('='), Token::Text(text), more @ ..] => {
                texts.push(text.clone());
                more
            }
            [
                Token::Symbol('='),
                Token::Keyword(any),
                Token::Keyword(array),
                Token::Symbol('['),
                more @ ..,
            ] if any == "ANY" && array == "ARRAY" => {
                let end = more.iter().position(|token| *token == Token::Symbol(']'))?;
                for (index, token) in more[..end].iter().enumerate() {
                    match token {
                        Token::Text(text) if index % 2 == 0 => texts.push(text.clone()),
                        Token::Symbol(',') if index % 2 == 1 => {}
                        _ => return None,
                    }
                }
                &more[end + 1..]
            }
            _ => return None,
        };
        match rest {
            [] => break,
            [Token::Keyword(or), more @ ..] if or == "OR" => rest = more,
            _ => return None,
        }
    }
    let column = column?.to_owned();
    (!texts.is_empty()).then_some((column, texts))
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// A word in capitals, as PostgreSQL prints its own.
    Keyword(String),
    /// A column.
    Name(String),
    /// A text literal, without its quotes.
    Text(String),
    /// Any other character.
    Symbol(char),
}

/// Cuts a definition, leaving out parentheses and casts, which change nothing in what is recognised: it has no
/// operator but `=`, and no connective but `OR`.
fn tokens(definition: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = definition;
    while let Some(first) = rest.chars().next() {
        match first {
            '\'' | '"' => {
                let (inside, after) = unquote(rest, first)?;
                tokens.push(if first == '"' {
                    Token::Name(inside)
                } else {
                    Token::Text(inside)
                });
                rest = after;
            }
            ':' => rest = after_type(rest.strip_prefix("::")?)?,
            '(' | ')' => rest = &rest[1..],
            space if space.is_whitespace() => rest = &rest[space.len_utf8()..],
            start if is_word(start) => {
                let (word, after) = rest.split_at(rest.find(|c| !is_word(c)).unwrap_or(rest.len()));
                let capitals = word.chars().all(|c| c.is_ascii_uppercase());
                // Unquoted names are printed in small letters; `VALUE` stands for a domain's value.
                tokens.push(if capitals && word != "VALUE" {
                    Token::Keyword(word.to_owned())
                } else {
                    Token::Name(word.to_owned())
                });
                rest = after;
            }
            symbol => {
                tokens.push(Token::Symbol(symbol));
                rest = &rest[symbol.len_utf8()..];
            }
        }
    }
    Some(tokens)
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '$')
}

/// What is between quotes, a doubled one standing for one, and what follows.
fn unquote(text: &str, quote: char) -> Option<(String, &str)> {
    let mut inside = String::new();
    let mut rest = text.strip_prefix(quote)?;
    loop {
        let (before, after) = rest.split_once(quote)?;
        inside.push_str(before);
        match after.strip_prefix(quote) {
            Some(more) => {
                inside.push(quote);
                rest = more;
            }
            None => return Some((inside, after)),
        }
    }
}

/// What follows a type's name: words in small letters, quoted names, dots, a length, `[]`.
fn after_type(text: &str) -> Option<&str> {
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start();
        let word = &trimmed[..trimmed.find(|c| !is_word(c)).unwrap_or(trimmed.len())];
        rest = if !word.is_empty() && !word.chars().all(|c| c.is_ascii_uppercase()) {
            &trimmed[word.len()..]
        } else if trimmed.starts_with('"') {
            unquote(trimmed, '"')?.1
        } else if let Some(after) = trimmed.strip_prefix('.').or_else(|| trimmed.strip_prefix("[]")) {
            after
        } else if let Some((_, after)) = trimmed
            .strip_prefix('(')
            .and_then(|inside| inside.split_once(')'))
        {
            after
        } else {
            return Some(rest);
        };
    }
}

#[cfg(test)]
mod tests {
    use super::allowed_texts;

    fn allows(definition: &str, column: &str, texts: &[&str]) {
        let (found, listed) = allowed_texts(definition).unwrap_or_else(|| panic!("{definition}"));
        assert_eq!(
            (
                found.as_str(),
                listed.iter().map(String::as_str).collect::<Vec<_>>()
            ),
            (column, texts.to_vec())
        );
    }

    #[test]
    fn lists_are_read_in_the_forms_that_postgres_prints() {
        allows(
            "CHECK ((status = ANY (ARRAY['active'::text, 'on_hold'::text])))",
            "status",
            &["active", "on_hold"],
        );
        allows(
            "CHECK (((role)::text = ANY ((ARRAY['a'::character varying, 'it''s, b'::character varying(9)])::text[])))",
            "role",
            &["a", "it's, b"],
        );
        allows(r#"CHECK (("Odd name" = 'x'::text))"#, "Odd name", &["x"]);
        allows(
            "CHECK (((s = 'a'::text) OR (s = 'b'::text) OR (s IS NULL)))",
            "s",
            &["a", "b"],
        );
        allows("CHECK ((VALUE = ANY (ARRAY['a'::text])))", "VALUE", &["a"]);
        allows(
            r#"CHECK ((m = ANY (ARRAY['a'::public."Mood", 'b'::public."Mood"])))"#,
            "m",
            &["a", "b"],
        );
    }

    #[test]
    fn anything_that_says_more_or_less_is_left_alone() {
        for definition in [
            "CHECK ((status <> ALL (ARRAY['a'::text])))",
            "CHECK (((a = 'x'::text) OR (b = 'y'::text)))",
            "CHECK (((a = 'x'::text) AND (a = 'y'::text)))",
            "CHECK ((lower(a) = 'x'::text))",
            "CHECK ((NOT (a = 'x'::text)))",
            "CHECK ((n = ANY (ARRAY[1, 2])))",
            "CHECK (((a IS NULL)))",
            "CHECK ((length(a) > 3))",
            "CHECK ((a = 'x",
            "",
        ] {
            assert_eq!(allowed_texts(definition), None, "{definition}");
        }
    }
}
