//! Raw pgmq doing the same two hops: workers take from one queue and send to another; a collector, in the place of an
//! orchestrator, takes from that and sends the next hop. So each step is two sends and two pops, and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use postgres::Statement;

use crate::Result;
use crate::crew::{Crew, Hand, messages};
use crate::json::Json;
use crate::server::Database;
use crate::templates::Samples;

/// How many messages the first sends hold.
const SEED: usize = 1000;
/// When nothing has come for so long, nothing is in anybody's hands.
const QUIET: Duration = Duration::from_millis(500);

pub struct Raw {
    pub crew: Crew,
    /// Steps that may still be sent.
    left: Arc<AtomicU64>,
    samples: Samples,
}

impl Raw {
    /// Makes the queues; starts so many workers, and so many collectors.
    pub fn start(
        database: &mut Database,
        (workers, collectors): (usize, usize),
        batch: i32,
        samples: &Samples,
    ) -> Result<Raw> {
        database.run("select pgmq.create('q1'), pgmq.create('q2')")?;
        let left = Arc::new(AtomicU64::new(0));
        let mut hands: Vec<Box<dyn Hand>> = Vec::new();
        for _ in 0..workers {
            hands.push(Box::new(Worker { result: samples.result.clone(), statements: None }));
        }
        for _ in 0..collectors {
            let (left, step) = (Arc::clone(&left), samples.step.clone());
            hands.push(Box::new(Collector { left, step, statements: None }));
        }
        Ok(Raw { crew: Crew::start(database, batch, hands)?, left, samples: samples.clone() })
    }

    /// Sends the first hop of so many items. Of `steps` in all the rest is sent by the collector, hop by hop.
    pub fn seed(&self, database: &mut Database, items: u64, steps: u64) -> Result<()> {
        self.left.fetch_add(steps - items, Ordering::Relaxed);
        let send = database.client.prepare("select pgmq.send_batch('q1', $1)")?;
        let batch = vec![self.samples.step.clone(); SEED];
        let mut sent = 0;
        while sent < items {
            let now = usize::try_from(items - sent)?.min(SEED);
            database.client.execute(&send, &[&&batch[..now]])?;
            sent += now as u64;
        }
        Ok(())
    }
}

impl Raw {
    /// Sends nothing more, and waits until the queues are empty.
    pub fn drain(&self, database: &mut Database) -> Result<()> {
        self.left.store(0, Ordering::Relaxed);
        let empty = "select not exists (select from pgmq.q_q1) and not exists (select from pgmq.q_q2)";
        // A message may also be in a worker's hands: then it comes back to a queue.
        loop {
            database.wait_until("raw queues were empty", empty, Duration::from_secs(120))?;
            let done = self.crew.done();
            thread::sleep(QUIET);
            if self.crew.done() == done && database.value(empty)? {
                return Ok(());
            }
        }
    }
}

fn pop_and_send(
    place: &mut Option<[Statement; 2]>,
    database: &mut Database,
    from: &str,
    to: &str,
) -> Result<[Statement; 2]> {
    if place.is_none() {
        let pop = database.client.prepare(&format!("select message from pgmq.pop('{from}', $1)"))?;
        let send = database.client.prepare(&format!("select pgmq.send_batch('{to}', $1)"))?;
        *place = Some([pop, send]);
    }
    place.clone().ok_or_else(|| "statements are prepared".into())
}

struct Worker {
    result: Json,
    statements: Option<[Statement; 2]>,
}

impl Hand for Worker {
    fn turn(&mut self, database: &mut Database, batch: i32) -> Result<Option<u64>> {
        let [pop, send] = pop_and_send(&mut self.statements, database, "q1", "q2")?;
        let popped = messages(&database.client.query(&pop, &[&batch])?, "message")?;
        if popped.is_empty() {
            return Ok(None);
        }
        database.client.execute(&send, &[&vec![self.result.clone(); popped.len()]])?;
        Ok(Some(0)) // the collector counts
    }
}

struct Collector {
    left: Arc<AtomicU64>,
    step: Json,
    statements: Option<[Statement; 2]>,
}

impl Hand for Collector {
    fn turn(&mut self, database: &mut Database, batch: i32) -> Result<Option<u64>> {
        let [pop, send] = pop_and_send(&mut self.statements, database, "q2", "q1")?;
        let popped = messages(&database.client.query(&pop, &[&batch])?, "message")?;
        let count = popped.len() as u64;
        let next = take(&self.left, count);
        if next > 0 {
            database.client.execute(&send, &[&vec![self.step.clone(); usize::try_from(next)?]])?;
        }
        Ok((count > 0).then_some(count))
    }
}

/// Takes up to `count` off what is left. Returns how many.
fn take(left: &AtomicU64, count: u64) -> u64 {
    let before = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(count)));
    before.map_or(0, |before| before.min(count))
}

/// Nothing is left in the queues.
pub fn verify(database: &mut Database) -> Result<()> {
    let left: i64 = database.value("select (select count(*) from pgmq.q_q1) + (select count(*) from pgmq.q_q2)")?;
    if left == 0 { Ok(()) } else { Err(format!("{left} raw messages are left").into()) }
}
