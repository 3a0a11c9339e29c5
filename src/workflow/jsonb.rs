//! Writes and reads jsonb as the server stores it, without the way through text.
//!
//! The format is that of `utils/jsonb.h` and of `convertToJsonb` in `utils/adt/jsonb_util.c`, in all versions since 9.4:
//! a container is a header, an entry for each child, and their data. An object's children are its keys, shorter ones
//! first, and then their values. Numbers and containers begin at multiples of four bytes; the padding counts as theirs.
//! All is in the byte order of the machine.

pub mod read;

const OBJECT: u32 = 0x2000_0000;
const ARRAY: u32 = 0x4000_0000;
/// An array with one element that stands for a scalar at the top.
const SCALAR: u32 = 0x1000_0000;

/// An entry's type, its flag for an offset in place of a length, and that number.
const STRING: u32 = 0x0000_0000;
const NUMERIC: u32 = 0x1000_0000;
const FALSE: u32 = 0x2000_0000;
const TRUE: u32 = 0x3000_0000;
const NULL: u32 = 0x4000_0000;
const CONTAINER: u32 = 0x5000_0000;
const TYPE: u32 = 0x7000_0000;
const HAS_OFFSET: u32 = 0x8000_0000;
const LENGTH: u32 = 0x0FFF_FFFF;

/// Every so many entries one holds where its child ends, not how long it is.
const OFFSET_STRIDE: usize = 32;
const ENTRY: usize = size_of::<u32>();

/// Why there is no jsonb.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// It would be larger than jsonb can be.
    Size,
    /// There is no room for it in memory.
    Memory,
}

/// An object: the content of a jsonb, without the length in front. `fill` adds the values of all keys, in their order;
/// shorter keys come first, those of one length by their bytes. `capacity` is the most that it may take: there memory that
/// cannot be had is a failure, and beyond it the end of the process.
pub fn object(capacity: usize, keys: &[&str], fill: impl FnOnce(&mut Children)) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(capacity).map_err(|_| Failure::Memory)?;
    write_object(&mut bytes, keys, fill);
    // No child is larger than the whole, so no entry has lost a bit.
    if bytes.len() <= LENGTH as usize { Ok(bytes) } else { Err(Failure::Size) }
}

/// A jsonb of its own out of what a field of another holds.
pub fn alone(value: read::Value) -> Vec<u8> {
    if let read::Value::Container(content) = value {
        return content.to_vec();
    }
    let mut bytes = Vec::new();
    let mut element = Children::begin(&mut bytes, ARRAY | SCALAR, 1, 1);
    match value {
        read::Value::Null | read::Value::Container(_) => element.null(),
        read::Value::Boolean(true) => element.yes(),
        read::Value::Boolean(false) => element.add(FALSE, |_| ()),
        read::Value::String(text) => element.string(text),
        read::Value::Number(number) => element.add(NUMERIC, |bytes| bytes.extend_from_slice(number.stored())),
    }
    bytes
}

/// The children of a container that is being written.
pub struct Children<'a> {
    bytes: &'a mut Vec<u8>,
    /// Where the next child's entry stands.
    entry: usize,
    /// How many there are already, and how many bytes they take.
    count: usize,
    length: usize,
}

impl<'a> Children<'a> {
    fn begin(bytes: &'a mut Vec<u8>, kind: u32, size: usize, children: usize) -> Self {
        pad(bytes);
        bytes.extend_from_slice(&(kind | masked(size)).to_ne_bytes());
        let entry = bytes.len();
        bytes.resize(entry + children * ENTRY, 0);
        Self { bytes, entry, count: 0, length: 0 }
    }

    fn add(&mut self, kind: u32, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        write(self.bytes);
        let length = self.bytes.len() - start;
        self.length += length;
        let size = match self.count.is_multiple_of(OFFSET_STRIDE) {
            true => HAS_OFFSET | masked(self.length),
            false => masked(length),
        };
        self.bytes[self.entry..self.entry + ENTRY].copy_from_slice(&(kind | size).to_ne_bytes());
        self.entry += ENTRY;
        self.count += 1;
    }

    /// Text in the encoding of the database.
    pub fn string(&mut self, text: &[u8]) {
        self.add(STRING, |bytes| bytes.extend_from_slice(text));
    }

    pub fn number(&mut self, number: i64) {
        self.add(NUMERIC, |bytes| write_numeric(bytes, number));
    }

    /// Only true: nobody has asked for false yet.
    pub fn yes(&mut self) {
        self.add(TRUE, |_| ());
    }

    pub fn null(&mut self) {
        self.add(NULL, |_| ());
    }

    pub fn object(&mut self, keys: &[&str], fill: impl FnOnce(&mut Children)) {
        self.add(CONTAINER, |bytes| write_object(bytes, keys, fill));
    }

    /// `fill` adds `size` elements.
    pub fn array(&mut self, size: usize, fill: impl FnOnce(&mut Children)) {
        self.add(CONTAINER, |bytes| {
            let mut elements = Children::begin(bytes, ARRAY, size, size);
            fill(&mut elements);
            debug_assert_eq!(elements.count, size);
        });
    }

    /// What another jsonb holds (its content, without the length in front), as it is.
    pub fn jsonb(&mut self, content: &[u8]) {
        match scalar(content) {
            Some((NUMERIC, data)) => self.add(NUMERIC, |bytes| {
                pad(bytes);
                bytes.extend_from_slice(data);
            }),
            Some((kind, data)) => self.add(kind, |bytes| bytes.extend_from_slice(data)),
            None => self.add(CONTAINER, |bytes| {
                pad(bytes);
                bytes.extend_from_slice(content);
            }),
        }
    }
}

fn write_object(bytes: &mut Vec<u8>, keys: &[&str], fill: impl FnOnce(&mut Children)) {
    debug_assert!(keys.is_sorted_by(|a, b| (a.len(), a) < (b.len(), b)), "keys out of order: {keys:?}");
    let mut children = Children::begin(bytes, OBJECT, keys.len(), 2 * keys.len());
    for key in keys {
        children.string(key.as_bytes());
    }
    fill(&mut children);
    debug_assert_eq!(children.count, 2 * keys.len(), "values for {keys:?}");
}

/// Whether the content of a jsonb, without the length in front, is an object.
pub fn is_object(content: &[u8]) -> bool {
    content.first_chunk().is_some_and(|header| u32::from_ne_bytes(*header) & OBJECT != 0)
}

/// Type and data of a jsonb that is a scalar.
fn scalar(content: &[u8]) -> Option<(u32, &[u8])> {
    let (header, rest) = content.split_first_chunk()?;
    if u32::from_ne_bytes(*header) & SCALAR == 0 {
        return None;
    }
    let (entry, data) = rest.split_first_chunk()?;
    Some((u32::from_ne_bytes(*entry) & TYPE, data))
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

fn masked(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(LENGTH) & LENGTH
}

/// An integer as a `numeric` (`utils/adt/numeric.c`): its length, a short header (sign and weight, no digits behind the
/// point), and its digits to the base 10,000, without zeros at the end.
fn write_numeric(bytes: &mut Vec<u8>, number: i64) {
    const SHORT: u16 = 0x8000;
    const NEGATIVE: u16 = 0x2000;
    const BASE: u64 = 10_000;

    let mut digits = [0u16; 5];
    let mut first = digits.len();
    let mut rest = number.unsigned_abs();
    while rest > 0 {
        first -= 1;
        digits[first] = (rest % BASE) as u16;
        rest /= BASE;
    }
    let digits = &digits[first..];
    let weight = digits.len().saturating_sub(1) as u16;
    let kept = digits.iter().rposition(|&digit| digit != 0).map_or(0, |last| last + 1);

    pad(bytes);
    bytes.extend_from_slice(&varlena_header(6 + 2 * kept as u32).to_ne_bytes());
    bytes.extend_from_slice(&(SHORT | if number < 0 { NEGATIVE } else { 0 } | weight).to_ne_bytes());
    for digit in &digits[..kept] {
        bytes.extend_from_slice(&digit.to_ne_bytes());
    }
}

/// `SET_VARSIZE` of `varatt.h`.
const fn varlena_header(length: u32) -> u32 {
    if cfg!(target_endian = "big") { length } else { length << 2 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the server makes of it is compared with what its own parser makes in `pg_regress/sql/35_message_bytes.sql`.
    fn written(keys: &[&str], fill: impl FnOnce(&mut Children)) -> Vec<u8> {
        object(0, keys, fill).expect("it is small")
    }

    fn words<const N: usize>(words: [u32; N]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    fn entries(container: &[u8]) -> Vec<u32> {
        let word = |at: usize| u32::from_ne_bytes(container[at..at + 4].try_into().unwrap());
        let header = word(0);
        let children = (header & LENGTH) as usize * if header & OBJECT == 0 { 1 } else { 2 };
        (1..=children).map(|entry| word(entry * 4)).collect()
    }

    /// As `numeric_out` would read it.
    fn read_numeric(bytes: &[u8]) -> i128 {
        let half = |at: usize| u16::from_ne_bytes(bytes[at..at + 2].try_into().unwrap());
        assert_eq!(varlena_header(bytes.len() as u32).to_ne_bytes(), bytes[..4]);
        let (header, digits) = (half(4), (bytes.len() - 6) / 2);
        assert_eq!(header & !0x203F, 0x8000, "short, no digits behind the point, weight not negative");
        let weight = u32::from(header & 0x3F);
        let value = (0..digits).map(|n| i128::from(half(6 + 2 * n)) * 10_000_i128.pow(weight - n as u32)).sum::<i128>();
        if header & 0x2000 == 0 { value } else { -value }
    }

    #[test]
    fn an_object_is_header_entries_keys_and_values() {
        let bytes = written(&["a", "bc"], |values| {
            values.string(b"xyz");
            values.null();
        });
        let mut expected = words([OBJECT | 2, HAS_OFFSET | 1, 2, 3, NULL]);
        expected.extend_from_slice(b"abcxyz");
        assert_eq!(bytes, expected);
        assert_eq!(written(&[], |_| ()), words([OBJECT]));
    }

    #[test]
    fn numbers_and_containers_begin_at_multiples_of_four_and_count_the_padding() {
        let bytes = written(&["a", "b", "c"], |values| {
            values.number(1);
            values.yes();
            values.array(1, |elements| elements.string(b"x"));
        });
        assert_eq!(entries(&bytes), [HAS_OFFSET | 1, 1, 1, NUMERIC | 9, TRUE, CONTAINER | 9]);
        assert_eq!(bytes[28..32], *b"abc\0");
        assert_eq!(read_numeric(&bytes[32..40]), 1);
        assert_eq!(bytes[40..], [words([ARRAY | 1, HAS_OFFSET | 1]), b"x".to_vec()].concat());
    }

    #[test]
    fn every_32nd_entry_holds_an_offset() {
        let bytes = written(&["list"], |values| {
            values.array(70, |elements| (0..70).for_each(|_| elements.string(b"ab")));
        });
        let offsets: Vec<_> = (entries(&bytes[16..]).into_iter().enumerate())
            .filter(|(_, entry)| entry & HAS_OFFSET != 0)
            .map(|(number, entry)| (number, entry & LENGTH))
            .collect();
        assert_eq!(offsets, [(0, 2), (32, 66), (64, 130)]);
    }

    #[test]
    fn other_jsonb_stays_as_it_is_and_scalars_lose_their_array() {
        let container = words([ARRAY | 1, HAS_OFFSET | TRUE]);
        let scalar = |kind: u32, data: &[u8]| {
            [words([ARRAY | SCALAR | 1, HAS_OFFSET | kind | data.len() as u32]), data.to_vec()].concat()
        };
        let mut number = Vec::new();
        write_numeric(&mut number, 12_345);
        let bytes = written(&["a", "b", "c", "d"], |values| {
            values.jsonb(&scalar(STRING, b"text"));
            values.jsonb(&scalar(NULL, b""));
            values.jsonb(&container);
            values.jsonb(&scalar(NUMERIC, &number));
        });
        assert_eq!(entries(&bytes)[4..], [STRING | 4, NULL, CONTAINER | 8, NUMERIC | 10]);
        assert_eq!(bytes[36..], [b"abcdtext".as_slice(), &container, &number].concat());
    }

    #[test]
    fn objects_are_told_from_arrays_and_scalars() {
        assert!(is_object(&written(&["a"], |values| values.yes())) && is_object(&words([OBJECT])));
        assert!(
            ![words([ARRAY | 1]), words([ARRAY | SCALAR | 1]), vec![], vec![0x20]].iter().any(|other| is_object(other))
        );
    }

    #[test]
    fn what_is_no_jsonb_does_no_harm() {
        for content in [&b""[..], b"abc", &words([SCALAR])] {
            written(&["a"], |values| values.jsonb(content));
        }
    }

    #[test]
    fn zeros_at_the_end_of_a_number_are_not_kept() {
        for (number, length) in [(0, 6), (1, 8), (9999, 8), (10_000, 8), (10_001, 10), (100_000_000, 8), (i64::MIN, 16)]
        {
            let mut bytes = Vec::new();
            write_numeric(&mut bytes, number);
            assert_eq!((read_numeric(&bytes), bytes.len()), (number.into(), length));
        }
    }

    proptest! {
        #[test]
        fn numbers_are_what_they_were(number: i64, shift in 0..63) {
            let number = number >> shift;
            let mut bytes = Vec::new();
            write_numeric(&mut bytes, number);
            prop_assert_eq!(read_numeric(&bytes), number.into());
        }
    }
}
