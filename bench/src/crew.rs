//! Workers: threads with a connection each that work until they are told to stop.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::Result;
use crate::json::Json;
use crate::server::Database;

/// How long no step may be finished before a run counts as stuck.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a plain worker rests when its queue is empty: the same for raw pgmq and for ours.
pub const REST: Duration = Duration::from_millis(2);

/// What the threads of a crew share.
#[derive(Default)]
pub struct Shared {
    pub batch: i32,
    stop: AtomicBool,
    hold: AtomicBool,
    done: AtomicU64,
    looks: AtomicU64,
    failure: Mutex<Option<String>>,
}

/// One thread's work, turn by turn: takes what there is, reports it, and returns how many steps that finished; `None` when
/// there was nothing.
pub trait Hand: Send {
    fn turn(&mut self, database: &mut Database, batch: i32) -> Result<Option<u64>>;

    /// Whether a turn waits in the server when there is nothing to do. Who does not rests between turns.
    fn waits(&self) -> bool {
        false
    }
}

pub struct Crew {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Crew {
    /// Connects a thread for each hand, and lets it work.
    pub fn start(database: &Database, batch: i32, hands: Vec<Box<dyn Hand>>) -> Result<Crew> {
        let shared = Arc::new(Shared { batch, ..Shared::default() });
        let mut crew = Crew { shared, threads: Vec::new() };
        for hand in hands {
            let connection = database.again()?;
            let shared = Arc::clone(&crew.shared);
            crew.threads.push(thread::spawn(move || shared.run(hand, connection)));
        }
        Ok(crew)
    }

    /// Steps finished so far.
    pub fn done(&self) -> u64 {
        self.shared.done.load(Ordering::Relaxed)
    }

    /// Looks for work so far, in vain or not.
    pub fn looks(&self) -> u64 {
        self.shared.looks.load(Ordering::Relaxed)
    }

    /// Lets nobody begin another turn, or lets them go on.
    pub fn hold(&self, hold: bool) {
        self.shared.hold.store(hold, Ordering::Relaxed);
    }

    /// Waits until so many steps are finished in all. Fails when a worker does, or when nothing moves any more.
    pub fn wait_for(&self, steps: u64) -> Result<()> {
        let (mut last, mut since) = (self.done(), Instant::now());
        while self.done() < steps {
            thread::sleep(Duration::from_millis(1));
            self.check()?;
            if self.done() != last {
                (last, since) = (self.done(), Instant::now());
            } else if since.elapsed() > PATIENCE {
                return Err(format!("stuck: {last} of {steps} steps have been finished").into());
            }
        }
        Ok(())
    }

    /// Fails when a worker has.
    pub fn check(&self) -> Result<()> {
        let failure = self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.as_ref().map_or(Ok(()), |failure| Err(format!("a worker failed: {failure}").into()))
    }

    /// Lets everybody end the turn they are in. Returns how many steps were finished in all.
    pub fn stop(mut self) -> Result<u64> {
        self.end();
        self.check()?;
        Ok(self.done())
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn run(&self, mut hand: Box<dyn Hand>, mut database: Database) {
        let outcome = self.work(hand.as_mut(), &mut database);
        if let Err(error) = outcome {
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            failure.get_or_insert_with(|| describe(error.as_ref()));
        }
    }

    fn work(&self, hand: &mut dyn Hand, database: &mut Database) -> Result<()> {
        while !self.stop.load(Ordering::Relaxed) {
            if self.hold.load(Ordering::Relaxed) {
                thread::sleep(REST);
                continue;
            }
            self.looks.fetch_add(1, Ordering::Relaxed);
            match hand.turn(database, self.batch)? {
                Some(steps) => drop(self.done.fetch_add(steps, Ordering::Relaxed)),
                None if !hand.waits() => thread::sleep(REST),
                None => {}
            }
        }
        Ok(())
    }
}

/// An error with all that is known of its causes.
pub fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// The messages of a popped batch; `column` holds them.
pub fn messages(rows: &[postgres::Row], column: &str) -> Result<Vec<Json>> {
    Ok(rows.iter().map(|row| row.try_get(column)).collect::<std::result::Result<_, _>>()?)
}
