//! A modest part of Notion's formula language: enough that formulas type, compute and fail as documented.
//!
//! Properties, numbers, strings, booleans, `+ - * / %`, comparisons, `and or not`, `? :`, and the functions of
//! [`FUNCTIONS`]. Other expressions are refused as a type error, which the real Notion would not do: the subset is
//! declared, and what a test needs beyond it is added here.

use super::refusal::{Answered, Refusal};

/// A checked expression.
#[derive(Clone, Debug)]
pub(crate) struct Formula {
    expression: String,
    tree: Option<Tree>,
}

/// What a formula computes with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar {
    Empty,
    Text(String),
    Number(f64),
    Boolean(bool),
}

#[derive(Clone, Debug)]
enum Tree {
    Literal(Scalar),
    Property(String),
    Not(Box<Tree>),
    Negative(Box<Tree>),
    Binary(&'static str, Box<Tree>, Box<Tree>),
    Call(&'static str, Vec<Tree>),
}

/// The functions, with the number of arguments each needs at least.
const FUNCTIONS: [(&str, usize); 16] = [
    ("if", 3),
    ("concat", 1),
    ("length", 1),
    ("empty", 1),
    ("upper", 1),
    ("lower", 1),
    ("contains", 2),
    ("format", 1),
    ("toNumber", 1),
    ("round", 1),
    ("abs", 1),
    ("floor", 1),
    ("ceil", 1),
    ("min", 1),
    ("max", 1),
    ("not", 1),
];

impl Formula {
    /// Reads an expression; an empty one computes nothing.
    pub(crate) fn parse(expression: &str) -> Answered<Self> {
        if expression.trim().is_empty() {
            return Ok(Self {
                expression: expression.to_owned(),
                tree: None,
            });
        }
        let refuse = |what: String| Refusal::validation(format!("Type error with formula: {what}"));
        let tokens = tokens(expression).map_err(refuse)?;
        let mut parser = Parser { tokens, next: 0 };
        let tree = parser.ternary().map_err(refuse)?;
        if parser.next < parser.tokens.len() {
            return Err(refuse("unexpected end of expression".to_owned()));
        }
        Ok(Self {
            expression: expression.to_owned(),
            tree: Some(tree),
        })
    }

    pub(crate) fn expression(&self) -> &str {
        &self.expression
    }

    /// The properties it names.
    pub(crate) fn properties(&self) -> Vec<&str> {
        let mut names = Vec::new();
        if let Some(tree) = &self.tree {
            tree.properties(&mut names);
        }
        names
    }

    /// The value for a page whose properties `property` tells.
    pub(crate) fn compute(&self, property: &dyn Fn(&str) -> Scalar) -> Scalar {
        self.tree
            .as_ref()
            .map_or(Scalar::Empty, |tree| tree.compute(property))
    }
}

impl Scalar {
    fn text(&self) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Boolean(flag) => flag.to_string(),
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Boolean(flag) => Some(f64::from(u8::from(*flag))),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Empty => None,
        }
    }

    fn truth(&self) -> bool {
        match self {
            Self::Empty => false,
            Self::Text(text) => !text.is_empty(),
            Self::Number(number) => *number != 0.0,
            Self::Boolean(flag) => *flag,
        }
    }
}

impl Tree {
    fn properties<'a>(&'a self, names: &mut Vec<&'a str>) {
        match self {
            Self::Literal(_) => {}
            Self::Property(name) => names.push(name),
            Self::Not(inner) | Self::Negative(inner) => inner.properties(names),
            Self::Binary(_, one, other) => {
                one.properties(names);
                other.properties(names);
            }
            Self::Call(_, arguments) => arguments.iter().for_each(|argument| argument.properties(names)),
        }
    }

    fn compute(&self, property: &dyn Fn(&str) -> Scalar) -> Scalar {
        match self {
            Self::Literal(scalar) => scalar.clone(),
            Self::Property(name) => property(name),
            Self::Not(inner) => Scalar::Boolean(!inner.compute(property).truth()),
            Self::Negative(inner) => inner
                .compute(property)
                .number()
                .map_or(Scalar::Empty, |n| Scalar::Number(-n)),
            Self::Binary(operator, one, other) => {
                binary(operator, one.compute(property), other.compute(property))
            }
            Self::Call(name, arguments) => {
                let arguments: Vec<Scalar> = arguments
                    .iter()
                    .map(|argument| argument.compute(property))
                    .collect();
                call(name, &arguments)
            }
        }
    }
}

fn binary(operator: &str, one: Scalar, other: Scalar) -> Scalar {
    let number = |apply: fn(f64, f64) -> f64| match (one.number(), other.number()) {
        (Some(one), Some(other)) => Some(apply(one, other))
            .filter(|n| n.is_finite())
            .map_or(Scalar::Empty, Scalar::Number),
        _ => Scalar::Empty,
    };
    let order = || match (&one, &other) {
        (Scalar::Text(one), Scalar::Text(other)) => one.partial_cmp(other),
        _ => one
            .number()
            .zip(other.number())
            .and_then(|(one, other)| one.partial_cmp(&other)),
    };
    match operator {
        "+" if matches!(one, Scalar::Text(_)) || matches!(other, Scalar::Text(_)) => {
            Scalar::Text(one.text() + &other.text())
        }
        "+" => number(|one, other| one + other),
        "-" => number(|one, other| one - other),
        "*" => number(|one, other| one * other),
        "/" => number(|one, other| one / other),
        "%" => number(|one, other| one % other),
        "==" => Scalar::Boolean(one == other),
        "!=" => Scalar::Boolean(one != other),
        "<" => Scalar::Boolean(order().is_some_and(std::cmp::Ordering::is_lt)),
        ">" => Scalar::Boolean(order().is_some_and(std::cmp::Ordering::is_gt)),
        "<=" => Scalar::Boolean(order().is_some_and(std::cmp::Ordering::is_le)),
        ">=" => Scalar::Boolean(order().is_some_and(std::cmp::Ordering::is_ge)),
        "and" => Scalar::Boolean(one.truth() && other.truth()),
        _ => Scalar::Boolean(one.truth() || other.truth()),
    }
}

fn call(name: &str, arguments: &[Scalar]) -> Scalar {
    let first = &arguments[0];
    let round = |apply: fn(f64) -> f64| {
        first
            .number()
            .map_or(Scalar::Empty, |number| Scalar::Number(apply(number)))
    };
    let fold = |apply: fn(f64, f64) -> f64| {
        arguments
            .iter()
            .filter_map(Scalar::number)
            .reduce(apply)
            .map_or(Scalar::Empty, Scalar::Number)
    };
    match name {
        "if" => {
            if first.truth() {
                arguments[1].clone()
            } else {
                arguments[2].clone()
            }
        }
        "concat" => Scalar::Text(arguments.iter().map(Scalar::text).collect()),
        "length" => Scalar::Number(first.text().chars().count() as f64),
        "empty" => Scalar::Boolean(!first.truth()),
        "upper" => Scalar::Text(first.text().to_uppercase()),
        "lower" => Scalar::Text(first.text().to_lowercase()),
        "contains" => Scalar::Boolean(first.text().contains(&arguments[1].text())),
        "format" => Scalar::Text(first.text()),
        "toNumber" => round(|number| number),
        "round" => round(f64::round),
        "abs" => round(f64::abs),
        "floor" => round(f64::floor),
        "ceil" => round(f64::ceil),
        "min" => fold(f64::min),
        "max" => fold(f64::max),
        _ => Scalar::Boolean(!first.truth()),
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Number(f64),
    Text(String),
    Word(String),
    Sign(&'static str),
}

const SIGNS: [&str; 17] = [
    "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "<", ">", "(", ")", ",", "?", ":", "!",
];

fn tokens(expression: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if first == '"' {
            let mut text = String::new();
            let mut characters = rest.char_indices().skip(1);
            loop {
                match characters.next() {
                    Some((end, '"')) => {
                        tokens.push(Token::Text(text));
                        break end + 1;
                    }
                    Some((_, '\\')) => text.extend(characters.next().map(|(_, escaped)| escaped)),
                    Some((_, character)) => text.push(character),
                    None => return Err("unterminated string".to_owned()),
                }
            }
        } else if first.is_ascii_digit() {
            let end = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(rest.len());
            tokens.push(Token::Number(
                rest[..end]
                    .parse()
                    .map_err(|_| format!("bad number {}", &rest[..end]))?,
            ));
            end
        } else if first.is_alphabetic() {
            let end = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_owned()));
            end
        } else {
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
            let sign = sign.ok_or_else(|| format!("unexpected character {first}"))?;
            tokens.push(Token::Sign(sign));
            sign.len()
        };
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
}

/// From the loosest binding to the tightest.
const LEVELS: [&[&str]; 6] = [
    &["or"],
    &["and"],
    &["==", "!="],
    &["<", ">", "<=", ">="],
    &["+", "-"],
    &["*", "/", "%"],
];

impl Parser {
    fn take(&mut self, sign: &str) -> bool {
        let found = matches!(self.tokens.get(self.next), Some(Token::Sign(other)) if *other == sign);
        self.next += usize::from(found);
        found
    }

    fn need(&mut self, sign: &str) -> Result<(), String> {
        if self.take(sign) {
            Ok(())
        } else {
            Err(format!("expected {sign}"))
        }
    }

    fn ternary(&mut self) -> Result<Tree, String> {
        let condition = self.level(0)?;
        if !self.take("?") {
            return Ok(condition);
        }
        let then = self.ternary()?;
        self.need(":")?;
        Ok(Tree::Call("if", vec![condition, then, self.ternary()?]))
    }

    fn level(&mut self, level: usize) -> Result<Tree, String> {
        let Some(operators) = LEVELS.get(level) else {
            return self.unary();
        };
        let mut tree = self.level(level + 1)?;
        loop {
            let found = match self.tokens.get(self.next) {
                Some(Token::Sign(sign)) => operators.iter().find(|operator| *operator == sign),
                Some(Token::Word(word)) => operators.iter().find(|operator| *operator == word),
                _ => None,
            };
            let Some(operator) = found else { return Ok(tree) };
            self.next += 1;
            tree = Tree::Binary(operator, Box::new(tree), Box::new(self.level(level + 1)?));
        }
    }

    fn unary(&mut self) -> Result<Tree, String> {
        if self.take("-") {
            return Ok(Tree::Negative(Box::new(self.unary()?)));
        }
        if self.take("!") {
            return Ok(Tree::Not(Box::new(self.unary()?)));
        }
        if self.take("(") {
            let inner = self.ternary()?;
            self.need(")")?;
            return Ok(inner);
        }
        let token = self
            .tokens
            .get(self.next)
            .cloned()
            .ok_or("unexpected end of expression")?;
        self.next += 1;
        match token {
            Token::Number(number) => Ok(Tree::Literal(Scalar::Number(number))),
            Token::Text(text) => Ok(Tree::Literal(Scalar::Text(text))),
            Token::Word(word) => self.word(&word),
            Token::Sign(sign) => Err(format!("unexpected {sign}")),
        }
    }

    fn word(&mut self, word: &str) -> Result<Tree, String> {
        match word {
            "true" => return Ok(Tree::Literal(Scalar::Boolean(true))),
            "false" => return Ok(Tree::Literal(Scalar::Boolean(false))),
            "not" if !matches!(self.tokens.get(self.next), Some(Token::Sign("("))) => {
                return Ok(Tree::Not(Box::new(self.unary()?)));
            }
            _ => {}
        }
        self.need("(")?;
        if word == "prop" {
            let Some(Token::Text(name)) = self.tokens.get(self.next).cloned() else {
                return Err("prop needs the name of a property".to_owned());
            };
            self.next += 1;
            self.need(")")?;
            return Ok(Tree::Property(name));
        }
        let (name, least) = FUNCTIONS
            .into_iter()
            .find(|(name, _)| *name == word)
            .ok_or_else(|| format!("undefined function {word}"))?;
        let mut arguments = vec![self.ternary()?];
        while self.take(",") {
            arguments.push(self.ternary()?);
        }
        self.need(")")?;
        if arguments.len() < least {
            return Err(format!("{word} needs {least} arguments"));
        }
        Ok(Tree::Call(name, arguments))
    }
}
