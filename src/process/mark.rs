//! Where to begin to read a queue. A queue's dead rows lie in front of its live ones, and while somebody holds an old
//! snapshot vacuum cannot remove them: who reads from the first row on walks over all of them.
//!
//! So each queue has a mark, a message id below which nobody has found anything, and a look begins there, behind those that are
//! known to have [`gone`]. What the mark has passed by is found at once where the transaction says so that sent it late, or had taken
//! it and was rolled back; else (somebody's own `pgmq.send`, a `vt` that has run out) by a sweep: from time to time a look reads
//! a slice below the mark, slice after slice. Nothing but speed depends on what stands here: any value may be lost at any time.

mod gone;

use std::hash::{DefaultHasher, Hash, Hasher};

use self::gone::Gone;

/// How many queues have a place. Two that fall upon the same one take it from each other.
const PLACES: usize = 1024;
/// How far the mark stays behind what is found: so many ids may be drawn while a transaction is open, and its messages
/// are still above the mark when it commits.
const LAG: i64 = 2000;
/// The least time between two slices of a sweep.
const REST: i64 = 250_000;
/// How much longer than it took a slice is rested.
const REST_FACTOR: i64 = 50;
/// The same for a look at what was put off, or came late and was not there.
const HELD_REST_FACTOR: i64 = 20;
/// The longest rest. A time that lies further ahead was written before somebody turned the clock back.
const LONGEST_REST: i64 = 60_000_000;
/// A slice that took longer is followed by a narrower one.
const LONG: i64 = 10_000;
/// A sweep that took no longer found no dead rows to speak of.
const CHEAP: i64 = 2_000;

/// What is read: a queue's table as it is stored (one that is dropped and made again, or truncated, is another), by those
/// who ask for the same messages of it. Nobody's: 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Hash)]
pub struct Key {
    pub database: u32,
    pub file: u32,
    pub filter: u64,
}

/// Times are microseconds of the server's epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Mark {
    key: Key,
    /// Nobody has found anything up to this id; a look begins there, or behind what has `gone`. 0: there is nothing to gain.
    id: i64,
    /// Which messages behind it have gone.
    gone: Gone,
    /// How far the sweep has come.
    swept: i64,
    /// How many ids the next slice of it has.
    width: i64,
    sweep_at: i64,
    /// Among these ids, from the first to the last, some have come late: those that are being read, and those that came since;
    /// (0, 0) for none.
    late: (i64, i64),
    later: (i64, i64),
    /// No look at `late` before this time.
    late_at: i64,
    /// The lowest id that was put off, below which a look has to begin once more from `held_at` on; 0 for none.
    held: i64,
    held_at: i64,
    /// No such look before this time.
    rested_at: i64,
}

/// What a look reads for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aim {
    New,
    Missed,
    Late,
    Held,
}

/// A look at a queue: the ids that it reads, and why. Ends with `Marks::end`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    pub key: Key,
    pub aim: Aim,
    pub after: i64,
    pub upto: i64,
    began: i64,
}

impl Look {
    /// Whether it reads to the queue's end, so that another one would find nothing more.
    pub fn is_open(&self) -> bool {
        self.upto == i64::MAX
    }
}

/// The marks of all queues.
#[derive(Debug, Clone, Copy)]
pub struct Marks([Mark; PLACES]);

impl Mark {
    const NONE: Mark = Mark::of(Key { database: 0, file: 0, filter: 0 });

    const fn of(key: Key) -> Mark {
        Mark {
            key,
            id: 0,
            gone: Gone::NONE,
            swept: 0,
            width: i64::MAX,
            sweep_at: 0,
            late: (0, 0),
            later: (0, 0),
            late_at: 0,
            held: 0,
            held_at: 0,
            rested_at: 0,
        }
    }

    fn next(&mut self, now: i64) -> (Aim, i64, i64) {
        if self.id == 0 {
            return (Aim::New, 0, i64::MAX);
        }
        if self.held > 0 && is_due(self.held_at.max(self.rested_at), now) {
            let after = self.after().min(self.held - 1);
            self.held = 0;
            return (Aim::Held, after, i64::MAX);
        }
        if self.late.0 == 0 {
            (self.late, self.later, self.late_at) = (self.later, (0, 0), now);
        }
        if self.late.0 > 0 && is_due(self.late_at, now) {
            self.late_at = now + REST; // for others, until this one has ended
            let after = self.late.0 - 1;
            return (Aim::Late, after, after.saturating_add(self.width).min(self.late.1));
        }
        if is_due(self.sweep_at, now) {
            self.sweep_at = now + REST; // as there
            let upto = self.swept.saturating_add(self.width);
            return (Aim::Missed, self.swept, if upto >= self.id { i64::MAX } else { upto });
        }
        (Aim::New, self.after(), i64::MAX)
    }

    /// Behind this id there may be messages that the mark has not passed by.
    fn after(&self) -> i64 {
        self.gone.first_left() - 1
    }

    fn appear(&mut self, (first, last): (i64, i64)) {
        // What lies above the mark is found there.
        let last = last.min(self.id);
        if first <= last {
            let (from, upto) = if self.later.0 == 0 { (first, last) } else { self.later };
            self.later = (from.min(first), upto.max(last));
        }
    }

    fn take_note(&mut self, look: &Look, found: Option<(i64, i64)>, now: i64) {
        let took = (now - look.began).max(0);
        let rested_at = now + (took * REST_FACTOR).clamp(REST, LONGEST_REST);
        match look.aim {
            Aim::New => {}
            // It walked over nothing dead.
            Aim::Held if look.after >= self.id => {}
            Aim::Held => self.rested_at = now + (took * HELD_REST_FACTOR).min(LONGEST_REST),
            Aim::Late => {
                let walked_upto = found.map_or(look.upto, |(_, last)| last);
                self.late_at = if found.is_some() { now } else { now + (took * HELD_REST_FACTOR).min(LONGEST_REST) };
                if self.late.0 == look.after + 1 {
                    self.late = if walked_upto < self.late.1 { (walked_upto + 1, self.late.1) } else { (0, 0) };
                }
                let walked = walked_upto - look.after;
                if took > LONG && walked > LAG {
                    self.width = self.width.min(walked.saturating_mul(LONG) / took).max(LAG);
                }
            }
            Aim::Missed => {
                let walked = found.map_or(look.upto.min(self.id), |(_, last)| last) - look.after;
                self.width =
                    if took > LONG { walked.saturating_mul(LONG) / took } else { self.width.saturating_mul(2) }
                        .max(LAG);
                // Where something was missed, more may lie behind it: on from there at once.
                self.swept = match found {
                    Some((_, last)) if last < self.id => last,
                    None if !look.is_open() => look.upto,
                    _ => 0,
                };
                self.sweep_at = if found.is_some() && self.swept > 0 { now } else { rested_at };
                if found.is_none() && look.after == 0 && look.is_open() && took <= CHEAP {
                    (self.id, self.gone, self.late, self.later) = (0, Gone::NONE, (0, 0), (0, 0));
                }
            }
        }
        if let Some((first, _)) = found {
            self.id = self.id.max(first - LAG);
            self.gone.begin_at(self.id + 1);
        }
    }
}

fn is_due(at: i64, now: i64) -> bool {
    at <= now || at - now > LONGEST_REST
}

impl Marks {
    pub const EMPTY: Marks = Marks([Mark::NONE; PLACES]);

    /// What to read next. To be followed by another look when it finds nothing and is not open.
    pub fn begin(&mut self, key: Key, now: i64) -> Look {
        let place = self.place(key);
        if place.key != key {
            *place = Mark::of(key);
        }
        let (aim, after, upto) = place.next(now);
        Look { key, aim, after, upto, began: now }
    }

    /// Takes note of what a look has found: its first and its last id.
    pub fn end(&mut self, look: &Look, found: Option<(i64, i64)>, now: i64) {
        if let Some(mark) = self.of(look.key) {
            mark.take_note(look, found, now);
        }
    }

    /// Takes note of messages that have been removed for good.
    pub fn remove(&mut self, key: Key, ids: &[i64]) {
        if let Some(mark) = self.of(key) {
            ids.iter().for_each(|id| mark.gone.note(*id));
        }
    }

    /// Takes note that messages are there now: the first and the last.
    pub fn appear(&mut self, key: Key, ids: (i64, i64)) {
        if let Some(mark) = self.of(key) {
            mark.appear(ids);
        }
    }

    /// Whether the mark has passed by a message.
    pub fn has_passed(&self, key: Key, id: i64) -> bool {
        let mark = &self.0[index(key)];
        mark.key == key && id <= mark.id
    }

    /// Takes note that a message is to be looked at again at a given time.
    pub fn hold(&mut self, key: Key, id: i64, at: i64) {
        if let Some(mark) = self.of(key) {
            mark.held_at = if mark.held == 0 { at } else { mark.held_at.min(at) };
            mark.held = if mark.held == 0 { id } else { mark.held.min(id) };
        }
    }

    /// Lets the next look find what the last one has found, from this message on.
    pub fn again(&mut self, key: Key, id: i64, now: i64) {
        self.hold(key, id, now);
        if let Some(mark) = self.of(key) {
            (mark.held_at, mark.rested_at) = (now, 0);
        }
    }

    /// How long after `now` a look below the mark is due; `None` when nothing can have been missed.
    pub fn due_in(&self, key: Key, now: i64) -> Option<i64> {
        let mark = &self.0[index(key)];
        let time_to = |at: i64| if is_due(at, now) { 0 } else { at - now };
        let held = (mark.held > 0).then(|| time_to(mark.held_at.max(mark.rested_at)));
        let late = match (mark.late.0, mark.later.0) {
            (0, 0) => None,
            (0, _) => Some(0),
            _ => Some(time_to(mark.late_at)),
        };
        let is_known = mark.key == key && mark.id > 0;
        is_known.then(|| [held, late].into_iter().flatten().fold(time_to(mark.sweep_at), i64::min))
    }

    fn of(&mut self, key: Key) -> Option<&mut Mark> {
        Some(self.place(key)).filter(|mark| mark.key == key)
    }

    fn place(&mut self, key: Key) -> &mut Mark {
        &mut self.0[index(key)]
    }
}

fn index(key: Key) -> usize {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    (hasher.finish() % PLACES as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: Key = Key { database: 5, file: 16_384, filter: 0 };
    const SECOND: i64 = 1_000_000;

    /// A look at `now` that took `took` and found this.
    fn look(marks: &mut Marks, now: i64, took: i64, found: Option<(i64, i64)>) -> Look {
        let look = marks.begin(QUEUE, now);
        marks.end(&look, found, now + took);
        look
    }

    /// Marks of a queue whose first 100,000 messages are gone, just after a sweep that took `took`.
    fn busy(now: i64, took: i64) -> Marks {
        let mut marks = Marks::EMPTY;
        look(&mut marks, now - took - 1, 1, Some((100_000, 100_099)));
        let sweep = look(&mut marks, now - took, took, Some((100_100, 100_199)));
        assert_eq!((sweep.aim, sweep.after, sweep.is_open()), (Aim::Missed, 0, true));
        marks
    }

    #[test]
    fn a_look_begins_so_far_behind_what_was_found() {
        let mut marks = busy(SECOND, 100);
        let next = look(&mut marks, SECOND, 10, Some((100_200, 100_299)));
        assert_eq!((next.aim, next.after, next.is_open()), (Aim::New, 98_100, true));
        assert_eq!(look(&mut marks, SECOND + 10, 10, None).after, 98_200);
        assert_eq!(look(&mut marks, SECOND + 20, 10, None).after, 98_200, "nothing found, nothing known");
    }

    #[test]
    fn a_look_passes_by_what_has_gone() {
        let mut marks = busy(SECOND, 100);
        let first_left = |marks: &mut Marks, found| look(marks, SECOND, 1, Some((found, found + 99))).after;
        assert_eq!(first_left(&mut marks, 100_200), 98_100);
        marks.remove(QUEUE, &(98_201..=100_000).collect::<Vec<_>>());
        assert_eq!(first_left(&mut marks, 100_300), 100_000);
        // Somebody has drawn ids and not committed yet.
        marks.remove(QUEUE, &(100_101..=100_400).collect::<Vec<_>>());
        assert_eq!(first_left(&mut marks, 100_500), 100_000);
        marks.remove(QUEUE, &(100_001..=100_100).collect::<Vec<_>>());
        assert_eq!(first_left(&mut marks, 110_000), 100_400);
        assert_eq!(first_left(&mut marks, 110_100), 108_000, "of these nobody has said that they are gone");
    }

    #[test]
    fn what_comes_late_is_looked_at_at_once() {
        let mut marks = busy(SECOND, 100);
        marks.appear(QUEUE, (98_101, 98_200));
        assert_eq!(look(&mut marks, SECOND, 1, None).aim, Aim::New, "it is above the mark");
        marks.appear(QUEUE, (800, 899));
        marks.appear(QUEUE, (700, 719));
        assert_eq!(marks.due_in(QUEUE, SECOND), Some(0));
        let mut reads = |found| {
            let look = look(&mut marks, SECOND, 0, found);
            assert!(!look.is_open(), "others lie above the mark");
            (look.aim, look.after, look.upto)
        };
        assert_eq!(reads(Some((700, 719))), (Aim::Late, 699, 899));
        assert_eq!(reads(Some((800, 849))), (Aim::Late, 719, 899));
        assert_eq!(reads(Some((850, 899))), (Aim::Late, 849, 899));
        assert_eq!(look(&mut marks, SECOND, 1, None).aim, Aim::New, "that was all");
    }

    #[test]
    fn what_comes_late_is_looked_for_in_slices() {
        let mut marks = busy(SECOND, 100_000);
        marks.appear(QUEUE, (1, 200_000));
        assert_eq!(marks.0[index(QUEUE)].later, (1, 98_100), "others lie above the mark");
        let first = look(&mut marks, SECOND, 10 * LONG, None);
        assert_eq!((first.aim, first.after), (Aim::Late, 0));
        let rest = HELD_REST_FACTOR * 10 * LONG;
        assert_eq!(marks.due_in(QUEUE, SECOND + 10 * LONG), Some(rest.min(REST_FACTOR * 100_000)));
        let second = look(&mut marks, SECOND + 10 * LONG + rest, LONG, None);
        assert_eq!((second.aim, second.after), (Aim::Late, first.upto));
        assert!(second.upto - second.after < first.upto - first.after);
    }

    #[test]
    fn who_comes_while_somebody_looks_is_not_lost() {
        let mut marks = busy(SECOND, 100);
        marks.appear(QUEUE, (800, 899));
        let open = marks.begin(QUEUE, SECOND);
        marks.appear(QUEUE, (700, 719));
        marks.appear(QUEUE, (810, 820));
        marks.end(&open, None, SECOND);
        let next = look(&mut marks, SECOND, 1, None);
        assert_eq!(
            (next.aim, next.after, next.upto),
            (Aim::Late, 699, 820),
            "also what lies among what has just been read"
        );
    }

    #[test]
    fn what_was_put_off_is_not_forgotten_for_what_comes_late() {
        let mut marks = busy(SECOND, 100);
        marks.hold(QUEUE, 80_000, SECOND + 50_000);
        marks.appear(QUEUE, (70_000, 70_000));
        assert_eq!(look(&mut marks, SECOND, 1, None).aim, Aim::Late);
        let held = look(&mut marks, SECOND + 50_000, 1, None);
        assert_eq!((held.aim, held.after), (Aim::Held, 79_999));
    }

    #[test]
    fn what_a_look_has_left_is_found_by_the_next_one() {
        let mut marks = busy(SECOND, 100);
        marks.hold(QUEUE, 500, SECOND);
        for now in [SECOND, SECOND + 1000] {
            let held = look(&mut marks, now, 400, Some((500, 599)));
            assert_eq!((held.aim, held.after, held.is_open()), (Aim::Held, 499, true));
            marks.again(QUEUE, 500, now + 400);
        }
        assert_eq!(look(&mut marks, SECOND + 1400, 1, Some((500, 599))).after, 499);
        assert_eq!(look(&mut marks, SECOND + 1401, 1, None).aim, Aim::New);
    }

    #[test]
    fn a_short_queue_has_no_mark() {
        let mut marks = Marks::EMPTY;
        look(&mut marks, 1, 1, Some((1, LAG)));
        assert_eq!(look(&mut marks, 2, 1, None).after, 0);
        assert_eq!(marks.due_in(QUEUE, 3), None, "there is nothing to be missed");
    }

    #[test]
    fn what_was_missed_is_looked_for_after_a_quarter_of_a_second() {
        let mut marks = busy(SECOND, 100);
        assert_eq!(marks.due_in(QUEUE, SECOND), Some(REST));
        assert_eq!(look(&mut marks, SECOND + REST - 1, 1, None).aim, Aim::New);
        let sweep = look(&mut marks, SECOND + REST, 1000, Some((17, 17)));
        assert_eq!((sweep.aim, sweep.after), (Aim::Missed, 0));
        let rest = look(&mut marks, SECOND + REST + 1000, 100, Some((100_300, 100_399)));
        assert_eq!((rest.aim, rest.after), (Aim::Missed, 17), "more may lie behind it");
        assert_eq!(look(&mut marks, SECOND + REST + 2000, 1, None).aim, Aim::New);
    }

    #[test]
    fn only_one_session_sweeps() {
        let mut marks = busy(SECOND, 100);
        assert_eq!(marks.begin(QUEUE, SECOND + REST).aim, Aim::Missed);
        assert_eq!(marks.begin(QUEUE, SECOND + REST).aim, Aim::New);
    }

    #[test]
    fn a_long_walk_is_cut_into_slices_and_rested_from() {
        let mut marks = busy(SECOND, 100_000);
        assert_eq!(marks.due_in(QUEUE, SECOND), Some(REST_FACTOR * 100_000));
        let (mut now, mut after) = (SECOND, 0);
        for _ in 0..100 {
            now += marks.due_in(QUEUE, now).expect("there is a mark");
            let slice = marks.begin(QUEUE, now);
            assert_eq!((slice.aim, slice.after), (Aim::Missed, after));
            // A microsecond an id, as the first walk has shown.
            let width = slice.upto.min(98_100) - slice.after;
            assert!(width <= 2 * LONG, "{width}");
            marks.end(&slice, None, now + width);
            after = slice.upto;
            if slice.is_open() {
                return;
            }
        }
        panic!("it never ends");
    }

    #[test]
    fn a_clean_and_empty_queue_loses_its_mark() {
        let mut marks = busy(SECOND, 100);
        look(&mut marks, SECOND + REST, CHEAP, None);
        assert_eq!(marks.due_in(QUEUE, SECOND + REST), None);
        assert_eq!(look(&mut marks, SECOND + REST, 1, None).after, 0);
    }

    #[test]
    fn what_was_put_off_is_looked_at_when_it_is_due() {
        let mut marks = busy(SECOND, 100);
        marks.hold(QUEUE, 90_000, SECOND + 50_000);
        marks.hold(QUEUE, 80_000, SECOND + 60_000);
        assert_eq!(look(&mut marks, SECOND + 49_999, 1, None).aim, Aim::New);
        let held = look(&mut marks, SECOND + 50_000, 5_000, None);
        assert_eq!((held.aim, held.after), (Aim::Held, 79_999));
        marks.hold(QUEUE, 80_000, SECOND + 55_000);
        assert_eq!(look(&mut marks, SECOND + 60_000, 1, None).aim, Aim::New, "rests 20 times what it took");
        assert_eq!(look(&mut marks, SECOND + 155_000, 1, None).aim, Aim::Held);
    }

    #[test]
    fn a_clock_that_was_turned_back_stops_nothing() {
        let mut marks = busy(3600 * SECOND, 100);
        assert_eq!(marks.due_in(QUEUE, SECOND), Some(0));
        assert_eq!(look(&mut marks, SECOND, 1, None).aim, Aim::Missed);
    }

    #[test]
    fn who_takes_a_place_begins_anew() {
        let mut marks = busy(SECOND, 100);
        let other =
            (0..).map(|filter| Key { filter, ..QUEUE }).find(|key| *key != QUEUE && index(*key) == index(QUEUE));
        let other = other.expect("some key falls upon the same place");
        let open = marks.begin(QUEUE, SECOND);
        assert_eq!(marks.begin(other, SECOND).after, 0);
        marks.end(&open, Some((200_000, 200_001)), SECOND);
        marks.hold(QUEUE, 7, SECOND);
        assert_eq!(marks.due_in(other, SECOND), None, "the one before has no say");
        assert_eq!(marks.begin(QUEUE, SECOND).after, 0);
    }
}
