//! Where to begin to read a queue. A queue's dead rows lie in front of its live ones, and while somebody holds an old
//! snapshot vacuum cannot remove them: who reads from the first row on walks over all of them.
//!
//! So each queue has a mark, a message id below which nobody has found anything, and a look begins there, behind those that are
//! known to have [`gone`]. What the mark has passed by is found at once where the transaction says so that sent it late, or had taken
//! it and was rolled back; else (somebody's own `pgmq.send`, a `vt` that has run out) by a sweep: from time to time a look reads
//! a slice below the mark, slice after slice. Nothing but speed depends on what stands here: any value may be lost at any time.

mod gone;
#[cfg(test)]
mod tests;

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
