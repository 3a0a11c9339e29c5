//! Reads the fields of an object out of jsonb, without the way through text or the server's operators.

use super::{CONTAINER, ENTRY, FALSE, HAS_OFFSET, LENGTH, NULL, NUMERIC, STRING, TRUE, TYPE, is_object};

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    Null,
    Boolean(bool),
    /// In the encoding of the database.
    String(&'a [u8]),
    Number(Number<'a>),
    /// An object or array: what a jsonb of its own would hold.
    Container(&'a [u8]),
}

/// Calls `each` with the name and the value of every field. `None` where there is no object.
pub fn fields<'a>(content: &'a [u8], mut each: impl FnMut(&'a [u8], Value<'a>)) -> Option<()> {
    if !is_object(content) {
        return None;
    }
    let count = (word(content, 0)? & LENGTH) as usize;
    let data = content.get((1 + 2 * count) * ENTRY..)?;
    let entry = |child: usize| word(content, (1 + child) * ENTRY);
    let (mut name, mut value) = (0, 0);
    for child in 0..count {
        value = end(entry(child)?, value);
    }
    for child in 0..count {
        let (name_end, kind) = (end(entry(child)?, name), entry(count + child)?);
        let value_end = end(kind, value);
        each(data.get(name..name_end)?, Value::read(kind & TYPE, data, value, value_end)?);
        (name, value) = (name_end, value_end);
    }
    Some(())
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

/// Where the child ends that begins at `start`.
fn end(entry: u32, start: usize) -> usize {
    let length = (entry & LENGTH) as usize;
    if entry & HAS_OFFSET == 0 { start.saturating_add(length) } else { length }
}

impl<'a> Value<'a> {
    fn read(kind: u32, data: &'a [u8], start: usize, end: usize) -> Option<Value<'a>> {
        // The padding in front of numbers and containers counts as theirs.
        let padded = || data.get(start.next_multiple_of(ENTRY)..end);
        Some(match kind {
            NULL => Value::Null,
            TRUE => Value::Boolean(true),
            FALSE => Value::Boolean(false),
            STRING => Value::String(data.get(start..end)?),
            NUMERIC => Value::Number(Number(padded()?)),
            CONTAINER => Value::Container(padded()?),
            _ => return None,
        })
    }
}

/// A `numeric` as it is stored (`utils/adt/numeric.c`): its length, sign, weight and scale, and its digits to the base
/// 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number<'a>(&'a [u8]);

/// The parts of a numeric's header.
struct Layout<'a> {
    negative: bool,
    /// The power of 10,000 that the first digit stands for.
    weight: i32,
    /// Decimal places that are shown.
    scale: u16,
    digits: &'a [u8],
}

impl<'a> Number<'a> {
    const SHORT: u16 = 0x8000;
    const SPECIAL: u16 = 0xC000;
    const BASE: i128 = 10_000;
    /// 10,000 to the fifth is beyond an i64.
    const MOST_DIGITS: i32 = 5;

    /// The number, where it is written without a point and an i64 can hold it.
    pub fn integer(self) -> Option<i64> {
        let layout = self.layout().filter(|layout| layout.scale == 0)?;
        layout.whole()
    }

    /// The number, halves away from zero, where an i64 can hold it.
    pub fn rounded(self) -> Option<i64> {
        let layout = self.layout()?;
        let up = layout.digit(layout.weight + 1) >= Self::BASE / 2;
        let whole = layout.whole()?;
        if !up {
            return Some(whole);
        }
        if layout.negative { whole.checked_sub(1) } else { whole.checked_add(1) }
    }

    pub fn is_negative(self) -> bool {
        self.layout().is_some_and(|layout| layout.negative)
    }

    /// As it is stored, its length in front.
    pub fn stored(self) -> &'a [u8] {
        self.0
    }

    fn layout(self) -> Option<Layout<'a>> {
        let half = |at: usize| self.0.get(at..)?.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes));
        let header = half(ENTRY)?;
        if header & Self::SPECIAL == Self::SPECIAL {
            return None;
        }
        if header & Self::SHORT != 0 {
            let sign = if header & 0x40 == 0 { 0 } else { !0x3F };
            return Some(Layout {
                negative: header & 0x2000 != 0,
                weight: i32::from(header & 0x3F) | sign,
                scale: (header & 0x1F80) >> 7,
                digits: self.0.get(ENTRY + 2..)?,
            });
        }
        Some(Layout {
            negative: header & 0x4000 != 0,
            weight: i32::from(half(ENTRY + 2)? as i16),
            scale: header & 0x3FFF,
            digits: self.0.get(ENTRY + 4..)?,
        })
    }
}

impl Layout<'_> {
    /// The digit of so many places behind the first; zeros at the end are not stored.
    fn digit(&self, place: i32) -> i128 {
        let at = usize::try_from(place).ok().and_then(|place| self.digits.get(2 * place..)?.first_chunk());
        at.map_or(0, |digit| i16::from_ne_bytes(*digit).into())
    }

    /// What stands before the point.
    fn whole(&self) -> Option<i64> {
        if self.weight >= Number::MOST_DIGITS {
            return None;
        }
        let size = (0..=self.weight).fold(0, |value, place| value * Number::BASE + self.digit(place));
        i64::try_from(if self.negative { -size } else { size }).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Children, OBJECT, alone, object};
    use super::*;
    use proptest::prelude::*;

    /// What the server itself has written is read in `pg_regress/sql/45_read_results.sql`.
    fn written(keys: &[&str], fill: impl FnOnce(&mut Children)) -> Vec<u8> {
        object(0, keys, fill).expect("it is small")
    }

    fn read(content: &[u8]) -> Option<Vec<(String, Value<'_>)>> {
        let mut all = Vec::new();
        fields(content, |name, value| all.push((String::from_utf8_lossy(name).into_owned(), value)))?;
        Some(all)
    }

    #[test]
    fn every_field_is_read_with_its_value() {
        let bytes = written(&["a", "b", "c", "dd", "ee"], |values| {
            values.string(b"text");
            values.number(-70_000);
            values.yes();
            values.null();
            values.array(0, |_| ());
        });
        let fields = read(&bytes).expect("an object");
        let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c", "dd", "ee"]);
        let Value::Number(number) = fields[1].1 else { panic!("{:?}", fields[1]) };
        assert_eq!((number.integer(), number.rounded(), number.is_negative()), (Some(-70_000), Some(-70_000), true));
        assert_eq!(fields[0].1, Value::String(b"text"));
        assert_eq!([fields[2].1, fields[3].1], [Value::Boolean(true), Value::Null]);
        assert!(matches!(fields[4].1, Value::Container(content) if content.len() == ENTRY));
    }

    #[test]
    fn only_objects_have_fields() {
        let list = written(&["list"], |values| values.array(1, |elements| elements.number(1)));
        let Value::Container(array) = read(&list).expect("an object")[0].1 else { panic!("a list is a container") };
        assert_eq!(read(array), None);
        assert_eq!(read(&alone(Value::String(b"a"))), None);
        assert_eq!(read(b""), None);
    }

    proptest! {
        #[test]
        fn numbers_are_what_they_were(numbers: Vec<i64>) {
            let keys: Vec<String> = (0..numbers.len()).map(|number| format!("{number:05}")).collect();
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let bytes = written(&keys, |values| numbers.iter().for_each(|number| values.number(*number)));
            let read: Vec<_> = read(&bytes).expect("an object").into_iter().map(|(_, value)| match value {
                Value::Number(number) => number.integer(),
                _ => None,
            }).collect();
            prop_assert_eq!(read, numbers.into_iter().map(Some).collect::<Vec<_>>());
        }

        #[test]
        fn what_is_damaged_does_no_harm(mut bytes: Vec<u8>, object in proptest::bool::ANY) {
            if object && bytes.len() >= ENTRY {
                bytes[..ENTRY].copy_from_slice(&(OBJECT | 3).to_ne_bytes());
            }
            fields(&bytes, |_, value| if let Value::Number(number) = value {
                let _ = (number.integer(), number.rounded(), number.is_negative());
            });
        }
    }
}
