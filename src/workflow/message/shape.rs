//! Holds JSON text against a table of fields.
//!
//! The text is judged while it is read, so what may be any JSON is skipped rather than built: numbers beyond a double
//! and nesting beyond serde's limit, both of which jsonb can hold, are no fault there.

use chrono::DateTime;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use uuid::Uuid;

/// What a value has to be.
#[derive(Clone, Copy)]
pub enum Shape {
    /// Any JSON.
    Any,
    /// A string.
    Text,
    /// A string of so many characters: at least, at most.
    TextOf(usize, usize),
    /// A string that holds a UUID, with or without hyphens.
    Uuid,
    /// A string that holds a time with its offset from UTC (RFC 3339).
    Timestamp,
    /// One of these strings, in any letter case; and what to say that is expected.
    OneOf(&'static [&'static str], &'static str),
    Boolean,
    /// A number without point: at least, at most.
    Integer(i64, i64),
    /// A number: at least, at most.
    Number(i64, i64),
    /// An object with whatever in it.
    Object,
    /// An array of strings.
    Texts,
    /// An object with these fields, and others that do not matter.
    Fields(&'static [Field]),
    /// The same, or a string.
    TextOrFields(&'static [Field]),
}

/// One line of a table.
pub struct Field {
    name: &'static str,
    required: bool,
    shape: Shape,
}

/// A field that has to be there.
pub const fn required(name: &'static str, shape: Shape) -> Field {
    Field { name, required: true, shape }
}

/// A field that may be missing or null.
pub const fn optional(name: &'static str, shape: Shape) -> Field {
    Field { name, required: false, shape }
}

/// All faults of a message that should be an object with `fields`, in the order of the table, joined by "; ".
pub fn fault(message: &str, fields: &'static [Field]) -> Option<String> {
    let mut reader = serde_json::Deserializer::from_str(message);
    let judge = Judge { path: String::new(), shape: Shape::Fields(fields) };
    match judge.deserialize(&mut reader).and_then(|verdict| reader.end().map(|()| verdict)) {
        Ok(Verdict::Good) => None,
        Ok(Verdict::Null) => Some(not_an_object("null")),
        Ok(Verdict::Faulty(faults)) => Some(faults.join("; ")),
        Err(error) => Some(format!("cannot be read: {error}")),
    }
}

fn not_an_object(found: &str) -> String {
    format!("not an object, but {found}")
}

enum Verdict {
    Good,
    Null,
    Faulty(Vec<String>),
}

impl Verdict {
    fn of(faults: Vec<String>) -> Verdict {
        if faults.is_empty() { Verdict::Good } else { Verdict::Faulty(faults) }
    }
}

/// Judges the value at `path`, which is empty for the message itself.
struct Judge {
    path: String,
    shape: Shape,
}

impl Judge {
    fn below(&self, name: &str, shape: Shape) -> Judge {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Judge { path, shape }
    }

    fn wrong(&self, found: &str) -> Verdict {
        Verdict::Faulty(vec![match (self.shape, self.path.as_str()) {
            (_, "") => not_an_object(found),
            (Shape::OneOf(_, expected), path) if found.starts_with('"') => {
                format!("{path} {found} is not known: expected {expected}")
            }
            (shape, path) => format!("{path} must be {}, not {found}", shape.expected()),
        }])
    }

    fn right_if(&self, right: bool, found: impl FnOnce() -> String) -> Verdict {
        if right { Verdict::Good } else { self.wrong(&found()) }
    }

    fn integer(&self, value: i128) -> Verdict {
        let right = match self.shape {
            Shape::Integer(least, most) | Shape::Number(least, most) => (least.into()..=most.into()).contains(&value),
            _ => return self.wrong("a number"),
        };
        self.right_if(right, || value.to_string())
    }

    /// The faults of an object's fields, in the order of the table whatever the order of the object.
    fn fields<'de, A: MapAccess<'de>>(&self, fields: &'static [Field], mut object: A) -> Result<Vec<String>, A::Error> {
        let mut verdicts: Vec<Verdict> = fields.iter().map(|_| Verdict::Null).collect();
        while let Some(place) = object.next_key_seed(Name(fields))? {
            let Some(place) = place else {
                object.next_value::<IgnoredAny>()?;
                continue;
            };
            let judge = self.below(fields[place].name, fields[place].shape);
            let unreadable = format!("the value of {}", judge.path);
            verdicts[place] =
                object.next_value_seed(judge).map_err(|error| A::Error::custom(format!("{unreadable}: {error}")))?;
        }
        Ok(fields.iter().zip(verdicts).flat_map(|(field, verdict)| self.faults_of(field, verdict)).collect())
    }

    fn faults_of(&self, field: &Field, verdict: Verdict) -> Vec<String> {
        match verdict {
            Verdict::Faulty(faults) => faults,
            Verdict::Null if field.required => vec![format!("{} is missing", self.below(field.name, field.shape).path)],
            Verdict::Null | Verdict::Good => Vec::new(),
        }
    }

    fn texts<'de, A: SeqAccess<'de>>(&self, mut array: A) -> Result<Vec<String>, A::Error> {
        let mut faults = Vec::new();
        for place in 0.. {
            let judge = Judge { path: format!("{}[{place}]", self.path), shape: Shape::Text };
            let null = judge.path.clone();
            match array.next_element_seed(judge)? {
                None => break,
                Some(Verdict::Good) => {}
                Some(Verdict::Null) => faults.push(format!("{null} must be a string, not null")),
                Some(Verdict::Faulty(more)) => faults.extend(more),
            }
        }
        Ok(faults)
    }
}

impl<'de> DeserializeSeed<'de> for Judge {
    type Value = Verdict;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<Verdict, D::Error> {
        match self.shape {
            Shape::Any => value.deserialize_ignored_any(IgnoredAny).map(|_| Verdict::Good),
            _ => value.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Judge {
    type Value = Verdict;

    fn expecting(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str(&self.shape.expected())
    }

    fn visit_unit<E>(self) -> Result<Verdict, E> {
        Ok(Verdict::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Verdict, E> {
        Ok(self.right_if(matches!(self.shape, Shape::Boolean), || "a boolean".into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Verdict, E> {
        Ok(self.integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Verdict, E> {
        Ok(self.integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Verdict, E> {
        Ok(match self.shape {
            Shape::Number(least, most) => {
                self.right_if((least as f64..=most as f64).contains(&value), || format!("{value:?}"))
            }
            Shape::Integer(..) => self.wrong(&format!("{value:?}")),
            _ => self.wrong("a number"),
        })
    }

    fn visit_str<E>(self, text: &str) -> Result<Verdict, E> {
        Ok(self.right_if(self.shape.admits(text), || self.shape.described(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, array: A) -> Result<Verdict, A::Error> {
        match self.shape {
            Shape::Texts => self.texts(array).map(Verdict::of),
            _ => IgnoredAny.visit_seq(array).map(|_| self.wrong("an array")),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Verdict, A::Error> {
        match self.shape {
            Shape::Fields(fields) | Shape::TextOrFields(fields) => self.fields(fields, object).map(Verdict::of),
            _ => {
                let right = matches!(self.shape, Shape::Object);
                IgnoredAny.visit_map(object).map(|_| self.right_if(right, || "an object".into()))
            }
        }
    }
}

impl Shape {
    fn expected(&self) -> String {
        match self {
            Shape::Any => "any JSON".into(),
            Shape::Text | Shape::OneOf(..) => "a string".into(),
            Shape::TextOf(least, most) => format!("a string of {least} to {most} characters"),
            Shape::Uuid => "a UUID".into(),
            Shape::Timestamp => "an RFC 3339 timestamp".into(),
            Shape::Boolean => "a boolean".into(),
            Shape::Integer(least, most) => format!("an integer between {least} and {most}"),
            Shape::Number(least, most) => format!("a number between {least} and {most}"),
            Shape::Texts => "an array of strings".into(),
            Shape::Object | Shape::Fields(_) => "an object".into(),
            Shape::TextOrFields(_) => "an object or a string".into(),
        }
    }

    fn admits(&self, text: &str) -> bool {
        match self {
            Shape::Text | Shape::TextOrFields(_) => true,
            Shape::TextOf(least, most) => (*least..=*most).contains(&text.chars().count()),
            Shape::Uuid => is_uuid(text),
            Shape::Timestamp => is_timestamp(text),
            Shape::OneOf(known, _) => known.iter().any(|known| known.eq_ignore_ascii_case(text)),
            _ => false,
        }
    }

    /// A string as a fault names it: by what is wrong with it.
    fn described(&self, text: &str) -> String {
        match self {
            Shape::TextOf(..) => format!("of {}", text.chars().count()),
            Shape::Uuid | Shape::Timestamp | Shape::OneOf(..) => quoted(text),
            _ => "a string".into(),
        }
    }
}

/// Of the forms that the crate reads, those that Postgres reads too and nobody has to guess at.
fn is_uuid(text: &str) -> bool {
    matches!(text.len(), 32 | 36) && Uuid::try_parse(text).is_ok()
}

/// RFC 3339, as far as Postgres reads it: years from 1, offsets below 16 hours, no fraction without end.
fn is_timestamp(text: &str) -> bool {
    let offset_limit = 16 * 3600;
    text.len() <= 40
        && !text.starts_with("0000")
        && DateTime::parse_from_rfc3339(text).is_ok_and(|time| time.offset().local_minus_utc().abs() < offset_limit)
}

/// The beginning of a text, in quotes and on one line.
fn quoted(text: &str) -> String {
    let most = 60;
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Reads a field's name as its place in the table.
struct Name(&'static [Field]);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<Option<usize>, D::Error> {
        name.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<usize>;

    fn expecting(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.0.iter().position(|field| field.name == name))
    }
}
