//! Faults of a definition, each with its place.

use serde::Serialize;
use std::fmt;

/// Faults that are reported one by one; beyond that only their number.
const MAX_FAULTS: usize = 1_000;
/// Comparisons of names that one compilation may spend on "did you mean".
const MAX_COMPARISONS: usize = 200_000;
/// Characters of a definition's own text that a message quotes.
const QUOTED_CHARS: usize = 80;
/// Similarity (Jaro-Winkler, 0 to 1) from which a known name is offered: "retries" to "retry" has 0.91.
const SIMILAR: f64 = 0.8;

/// One thing that is wrong with a definition, and where: `steps[2].retry.backoff`, "" being the whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    pub path: String,
    pub message: String,
}

/// Where a value stands in the definition; written out only when there is a fault.
#[derive(Clone, Copy)]
pub enum Place<'a> {
    Root,
    Field(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>, usize),
}

impl<'a> Place<'a> {
    /// The place of a field of the mapping that stands here.
    pub fn field(&'a self, name: &'a str) -> Place<'a> {
        Place::Field(self, name)
    }

    /// The place of an item, from 0, of the list that stands here.
    pub fn item(&'a self, index: usize) -> Place<'a> {
        Place::Item(self, index)
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Root => Ok(()),
            Place::Item(parent, index) => write!(f, "{parent}[{index}]"),
            Place::Field(parent, name) if !is_plain(name) => write!(f, "{parent}[{}]", quoted(name)),
            Place::Field(Place::Root, name) => f.write_str(name),
            Place::Field(parent, name) => write!(f, "{parent}.{name}"),
        }
    }
}

fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-$".contains(c);
    !name.is_empty() && name.len() <= QUOTED_CHARS && name.chars().all(plain)
}

/// Text of a definition in quotes, shortened, without control characters.
pub fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Collects faults.
#[derive(Default)]
pub struct Faults {
    list: Vec<Fault>,
    omitted: usize,
    comparisons: usize,
}

impl Faults {
    pub fn add(&mut self, at: &Place, message: impl Into<String>) {
        if self.list.len() < MAX_FAULTS {
            self.list.push(Fault { path: at.to_string(), message: message.into() });
        } else {
            self.omitted += 1;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All faults; the last one says how many were left out, if any were.
    pub fn into_list(mut self) -> Vec<Fault> {
        if self.omitted > 0 {
            self.list.push(Fault { path: String::new(), message: format!("{} more faults", self.omitted) });
        }
        self.list
    }

    /// The most similar of `known`, if one is similar at all and enough comparisons are left.
    pub fn nearest<'k>(&mut self, name: &str, known: impl ExactSizeIterator<Item = &'k str>) -> Option<&'k str> {
        if name.chars().nth(QUOTED_CHARS).is_some() || self.comparisons + known.len() > MAX_COMPARISONS {
            return None;
        }
        self.comparisons += known.len();
        let scored = known.map(|candidate| (strsim::jaro_winkler(name, candidate), candidate));
        let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
        (best.0 >= SIMILAR).then_some(best.1)
    }

    /// `; did you mean "nearest"?`, or nothing.
    pub fn did_you_mean<'k>(&mut self, name: &str, known: impl ExactSizeIterator<Item = &'k str>) -> String {
        let nearest = self.nearest(name, known);
        nearest.map(|known| format!("; did you mean {}?", quoted(known))).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_as_a_path() {
        let steps = Place::Root.field("steps");
        let retry = steps.item(2);
        let retry = retry.field("retry");
        assert_eq!(retry.field("backoff").to_string(), "steps[2].retry.backoff");
        assert_eq!(retry.field("a.b").to_string(), "steps[2].retry[\"a.b\"]");
        assert_eq!(Place::Root.to_string(), "");
    }

    #[test]
    fn a_message_never_quotes_a_whole_novel() {
        assert!(quoted(&"x".repeat(1_000_000)).len() < 100);
        assert_eq!(quoted("a\0b"), "\"a\\0b\"");
    }

    #[test]
    fn beyond_a_thousand_faults_only_their_number_is_reported() {
        let mut faults = Faults::default();
        (0..MAX_FAULTS + 7).for_each(|_| faults.add(&Place::Root, "bad"));
        let list = faults.into_list();
        assert_eq!(list.len(), MAX_FAULTS + 1);
        assert_eq!(list[MAX_FAULTS].message, "7 more faults");
    }

    #[test]
    fn only_a_similar_name_is_offered() {
        let known = ["max_attempts", "backoff", "retry", "timeout_seconds"];
        let nearest = |name| Faults::default().nearest(name, known.into_iter());
        assert_eq!(nearest("max_attempt"), Some("max_attempts"));
        assert_eq!(nearest("retries"), Some("retry"));
        assert_eq!(nearest("timeout"), Some("timeout_seconds"));
        assert_eq!(nearest("quux"), None);
    }
}
