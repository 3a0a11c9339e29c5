//! Who works where: the orchestrators' slots and the databases that must be left alone. Plain values, kept in shared
//! memory under one lock.

use pgrx::prelude::*;

use super::slot::{Exit, Phase, Slot, State};

/// How many orchestrators a cluster can have.
pub const SLOTS: usize = 64;
const DETACHED: usize = 16;

#[derive(Clone, Copy, PartialEq)]
struct Mark {
    database: pg_sys::Oid,
    backend: i32,
}

const NO_MARK: Mark = Mark { database: pg_sys::InvalidOid, backend: 0 };

/// All slots, and the marks of databases that a backend needs for itself.
#[derive(Clone, Copy)]
pub struct Directory {
    slots: [Slot; SLOTS],
    marks: [Mark; DETACHED],
    tickets: u64,
}

impl Directory {
    pub const EMPTY: Directory = Directory { slots: [Slot::FREE; SLOTS], marks: [NO_MARK; DETACHED], tickets: 0 };

    /// Every slot that is not free.
    pub fn used(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(|slot| slot.phase != Phase::Free)
    }

    /// The slot of this number, while it is in use.
    pub fn slot(&mut self, index: usize) -> Option<&mut Slot> {
        self.slots.get_mut(index).filter(|slot| slot.phase != Phase::Free)
    }

    /// The slot of this orchestrator, if it has one.
    pub fn find(&self, database: pg_sys::Oid, worker: i32) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.is_for(database, worker))
    }

    /// Sets a slot aside for a process that is about to be asked for. `None` when it has a live one or none is free.
    /// Returns its number and its ticket.
    pub fn reserve(&mut self, database: pg_sys::Oid, worker: i32, now: i64) -> Option<(usize, u64)> {
        let own = self.slots.iter().position(|slot| slot.is_for(database, worker));
        let index = own.or_else(|| self.slots.iter().position(|slot| slot.phase == Phase::Free))?;
        let slot = &mut self.slots[index];
        if slot.is_live() {
            return None;
        }
        self.tickets += 1;
        let kept = if own.is_some() { *slot } else { Slot::FREE };
        *slot = Slot {
            phase: Phase::Reserved,
            database,
            worker,
            ticket: self.tickets,
            state: State::Starting,
            started_at: now,
            ..kept
        };
        Some((index, self.tickets))
    }

    /// Lets the process that holds `ticket` work in the slot. `None` when it was not waited for (any more), or when its
    /// database must be left alone.
    pub fn attach(&mut self, index: usize, ticket: u64, pid: i32, now: i64) -> Option<Slot> {
        let slot = self.slots.get(index).filter(|slot| slot.phase == Phase::Reserved && slot.ticket == ticket)?;
        if self.is_detached(slot.database) {
            self.slots[index].phase = Phase::Left(Exit::Unwanted);
            return None;
        }
        let slot = &mut self.slots[index];
        slot.phase = Phase::Attached;
        slot.pid = pid;
        slot.started_at = now;
        Some(*slot)
    }

    /// Ends the work of process `pid` in the slot. One that had to make room did not fail.
    pub fn leave(&mut self, index: usize, pid: i32, exit: Exit) {
        let detached = self.slots.get(index).is_some_and(|slot| self.is_detached(slot.database));
        let exit = if detached { Exit::Unwanted } else { exit };
        if let Some(slot) = self.slots.get_mut(index).filter(|slot| slot.phase == Phase::Attached && slot.pid == pid) {
            slot.phase = Phase::Left(exit);
            slot.pid = 0;
        }
    }

    /// Gives up waiting for the process that was to bring `ticket`.
    pub fn give_up(&mut self, index: usize, ticket: u64) {
        if self.awaits(index, ticket) {
            self.slots[index].phase = Phase::Left(Exit::Ended);
        }
    }

    /// Gives up waiting for every process that was asked for. For a new launcher, which does not know of them.
    pub fn give_up_all(&mut self) {
        for slot in self.slots.iter_mut().filter(|slot| slot.phase == Phase::Reserved) {
            slot.phase = Phase::Resting;
        }
    }

    /// Whether the process that was to bring `ticket` has not come yet.
    pub fn awaits(&self, index: usize, ticket: u64) -> bool {
        self.slots.get(index).is_some_and(|slot| slot.phase == Phase::Reserved && slot.ticket == ticket)
    }

    /// Takes back a reservation for which no process could be asked for.
    pub fn withdraw(&mut self, index: usize, ticket: u64) {
        if self.awaits(index, ticket) {
            self.slots[index].phase = Phase::Resting;
        }
    }

    /// Takes note of every process that is gone: returns the slots as they were left, with the reason.
    pub fn collect(&mut self) -> Vec<(Slot, Exit)> {
        let mut left = Vec::new();
        for slot in &mut self.slots {
            if let Phase::Left(exit) = slot.phase {
                left.push((*slot, exit));
                slot.phase = if exit == Exit::NoExtension { Phase::Free } else { Phase::Resting };
            }
        }
        left
    }

    /// Frees the resting slots that nobody will need again.
    pub fn free_unless(&mut self, needed: impl Fn(&Slot) -> bool) {
        for slot in &mut self.slots {
            if slot.phase == Phase::Resting && !needed(slot) {
                slot.phase = Phase::Free;
            }
        }
    }

    /// Marks a database as one that backend `backend` needs for itself. False when there is no room for the mark.
    pub fn detach(&mut self, database: pg_sys::Oid, backend: i32) -> bool {
        let free = self.marks.iter_mut().find(|mark| **mark == NO_MARK);
        free.map(|mark| *mark = Mark { database, backend }).is_some()
    }

    /// Takes back every mark of a backend. False when it had none.
    pub fn reattach(&mut self, backend: i32) -> bool {
        let mut had = false;
        for mark in self.marks.iter_mut().filter(|mark| mark.backend == backend) {
            *mark = NO_MARK;
            had = true;
        }
        had
    }

    /// Whether some backend needs the database for itself.
    pub fn is_detached(&self, database: pg_sys::Oid) -> bool {
        self.marks.iter().any(|mark| mark.backend != 0 && mark.database == database)
    }

    /// The processes that work in a database.
    pub fn pids(&self, database: pg_sys::Oid) -> Vec<i32> {
        let working = self.slots.iter().filter(|slot| slot.phase == Phase::Attached && slot.database == database);
        working.map(|slot| slot.pid).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: pg_sys::Oid = pg_sys::Oid::from_u32(16_384);

    #[test]
    fn a_database_gets_each_of_its_orchestrators_once() {
        let mut directory = Directory::EMPTY;
        let (index, ticket) = directory.reserve(SHOP, 0, 1).unwrap();
        assert!(directory.reserve(SHOP, 0, 1).is_none());
        assert!(directory.attach(index, ticket, 7, 2).is_some());
        assert!(directory.attach(index, ticket, 8, 2).is_none());
        assert!(directory.reserve(SHOP, 0, 3).is_none());
        assert!(directory.reserve(SHOP, 1, 3).is_some());
    }

    #[test]
    fn a_process_that_comes_after_its_ticket_was_given_up_is_turned_away() {
        let mut directory = Directory::EMPTY;
        let (index, ticket) = directory.reserve(SHOP, 0, 1).unwrap();
        directory.give_up(index, ticket);
        directory.collect();
        assert!(directory.attach(index, ticket, 7, 2).is_none());
        let (again, next) = directory.reserve(SHOP, 0, 3).unwrap();
        assert_eq!((again, next), (index, ticket + 1));
        assert!(directory.attach(index, ticket, 7, 4).is_none());
        assert!(directory.attach(index, next, 8, 4).is_some());
    }

    #[test]
    fn counters_survive_the_process() {
        let mut directory = Directory::EMPTY;
        let (index, ticket) = directory.reserve(SHOP, 0, 1).unwrap();
        directory.attach(index, ticket, 7, 2);
        directory.slot(index).unwrap().passes = 12;
        directory.leave(index, 7, Exit::Ended);
        assert_eq!(directory.collect().len(), 1);
        directory.reserve(SHOP, 0, 3).unwrap();
        assert_eq!(directory.find(SHOP, 0).unwrap().passes, 12);
    }

    #[test]
    fn nobody_attaches_to_a_database_that_is_needed_by_another() {
        let mut directory = Directory::EMPTY;
        let (index, ticket) = directory.reserve(SHOP, 0, 1).unwrap();
        assert!(directory.detach(SHOP, 99));
        assert!(directory.attach(index, ticket, 7, 2).is_none());
        assert_eq!(directory.collect()[0].1, Exit::Unwanted);
        assert!(directory.reattach(99) && !directory.is_detached(SHOP));
        assert!(!directory.reattach(99));
    }

    #[test]
    fn making_room_for_another_is_no_failure() {
        let mut directory = Directory::EMPTY;
        let (index, ticket) = directory.reserve(SHOP, 0, 1).unwrap();
        directory.attach(index, ticket, 7, 2);
        directory.detach(SHOP, 99);
        assert_eq!(directory.pids(SHOP), [7]);
        directory.leave(index, 7, Exit::Ended);
        assert_eq!(directory.collect()[0].1, Exit::Unwanted);
        assert!(directory.pids(SHOP).is_empty());
    }
}
