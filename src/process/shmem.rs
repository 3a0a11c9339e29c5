//! Shared memory: the directory of orchestrators and the marks of queues, each under a lock, and the board of latches and
//! wake counters without one.

use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use pgrx::lwlock::PgLwLock;
use pgrx::prelude::*;
use pgrx::{AssertPGRXSharedMemory, PgAtomic, pg_shmem_init};

use super::condition::Condition;
use super::directory::{Directory, SLOTS};
use super::mark::Marks;

/// How many counters the namespaces of all databases share. Two that share one wake each other's waiters for nothing.
const WAKES: usize = 1024;
const INSTALLED: usize = 16;

pub type Shared<T> = AssertPGRXSharedMemory<T>;

// SAFETY: nobody else uses these names.
static DIRECTORY: PgLwLock<Shared<Directory>> = unsafe { PgLwLock::new(c"tasker_pg") };
// SAFETY: see above.
static BOARD: PgAtomic<Shared<Board>> = unsafe { PgAtomic::new(c"tasker_pg board") };
// SAFETY: see above.
static MARKS: PgLwLock<Shared<Marks>> = unsafe { PgLwLock::new(c"tasker_pg marks") };
static READY: AtomicBool = AtomicBool::new(false);

/// What is looked at and changed at every commit, where nobody should queue for a lock.
pub struct Board {
    launcher: AtomicPtr<pg_sys::Latch>,
    watchers: [Watcher; SLOTS],
    installed: [AtomicU32; INSTALLED],
    wakes: [Wake; WAKES],
    /// An orchestrator has left its slot.
    pub left: Condition,
}

struct Watcher {
    database: AtomicU32,
    latch: AtomicPtr<pg_sys::Latch>,
}

/// Counts the wakes of the namespaces that share it.
pub struct Wake {
    pub generation: AtomicU64,
    pub moved: Condition,
}

/// Reserves the memory. Only while libraries are being preloaded.
// The macro asks for servers that this crate has no feature for.
#[allow(unexpected_cfgs)]
pub fn init() {
    // SAFETY: holds values and pointers into shared memory only, as seen alike by every process of the server.
    pg_shmem_init!(DIRECTORY = unsafe { Shared::new(Directory::EMPTY) });
    // SAFETY: see above.
    pg_shmem_init!(BOARD = unsafe { Shared::new(Board::new()) });
    // SAFETY: holds plain values only.
    pg_shmem_init!(MARKS = unsafe { Shared::new(Marks::EMPTY) });
    READY.store(true, Ordering::Relaxed);
}

/// Whether there is shared memory.
pub fn is_ready() -> bool {
    READY.load(Ordering::Relaxed)
}

/// The board, where there is shared memory.
pub fn board() -> Option<&'static Board> {
    is_ready().then(|| &**BOARD.get())
}

/// The marks of queues, where there is shared memory.
pub fn marks() -> Option<&'static PgLwLock<Shared<Marks>>> {
    is_ready().then_some(&MARKS)
}

/// Reads the directory. The default without shared memory.
pub fn read<T: Default>(reader: impl FnOnce(&Directory) -> T) -> T {
    if is_ready() { reader(&DIRECTORY.share()) } else { T::default() }
}

/// Changes the directory. The default without shared memory.
pub fn change<T: Default>(writer: impl FnOnce(&mut Directory) -> T) -> T {
    if is_ready() { writer(&mut DIRECTORY.exclusive()) } else { T::default() }
}

impl Board {
    fn new() -> Board {
        Board {
            launcher: AtomicPtr::default(),
            watchers: std::array::from_fn(|_| Watcher { database: AtomicU32::new(0), latch: AtomicPtr::default() }),
            installed: std::array::from_fn(|_| AtomicU32::new(0)),
            wakes: std::array::from_fn(|_| Wake { generation: AtomicU64::new(0), moved: Condition::new() }),
            left: Condition::new(),
        }
    }

    /// Makes this process the one that `wake_launcher` wakes.
    pub fn watch_as_launcher(&self) {
        // SAFETY: the latch of this process lies in shared memory.
        self.launcher.store(unsafe { pg_sys::MyLatch }, Ordering::Release);
    }

    /// Makes this process one of those that `wake_orchestrators` of the database wakes.
    pub fn watch_as_orchestrator(&self, index: usize, database: pg_sys::Oid) {
        // SAFETY: the latch of this process lies in shared memory.
        self.watchers[index].latch.store(unsafe { pg_sys::MyLatch }, Ordering::Release);
        self.watchers[index].database.store(database.to_u32(), Ordering::Release);
    }

    /// Takes back `watch_as_orchestrator`.
    pub fn unwatch(&self, index: usize) {
        self.watchers[index].database.store(0, Ordering::Release);
    }

    pub fn wake_launcher(&self) {
        wake(self.launcher.load(Ordering::Acquire));
    }

    /// Wakes every orchestrator of a database.
    pub fn wake_orchestrators(&self, database: pg_sys::Oid) {
        for watcher in &self.watchers {
            if watcher.database.load(Ordering::Acquire) == database.to_u32() {
                wake(watcher.latch.load(Ordering::Acquire));
            }
        }
    }

    /// Tells the launcher that a database has got the extension. Where there is no room left to say so, it finds out
    /// by its next probe.
    pub fn note_installed(&self, database: pg_sys::Oid) {
        for place in &self.installed {
            if place.compare_exchange(0, database.to_u32(), Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                break;
            }
        }
        self.wake_launcher();
    }

    /// The databases that got the extension since this was last asked.
    pub fn take_installed(&self) -> Vec<pg_sys::Oid> {
        let noted = self.installed.iter().map(|place| place.swap(0, Ordering::AcqRel));
        noted.filter(|database| *database != 0).map(pg_sys::Oid::from).collect()
    }

    /// The wake counter of a namespace.
    pub fn wake_of(&self, database: pg_sys::Oid, namespace_id: i64) -> &Wake {
        let mixed = (u64::from(database.to_u32()) << 32) ^ namespace_id.cast_unsigned();
        // Fibonacci hashing: the upper bits of a product with 2^64 / golden ratio.
        let place = mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - WAKES.ilog2());
        &self.wakes[place as usize]
    }
}

/// Sets a latch. One whose owner has ended belongs to nobody or to a process that looks up for nothing.
fn wake(latch: *mut pg_sys::Latch) {
    if !latch.is_null() {
        // SAFETY: latches lie in shared memory for as long as the server runs.
        unsafe { pg_sys::SetLatch(latch) };
    }
}
