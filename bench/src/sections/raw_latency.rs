//! What raw pgmq needs for the same on an idle system, where nobody asks an empty queue: whoever sends notifies.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use postgres::fallible_iterator::FallibleIterator;

use crate::Result;
use crate::json::Json;
use crate::server::Database;
use crate::templates::Samples;

const PATIENCE: Duration = Duration::from_secs(10);
/// What the collector is told at the end.
const STOP: &str = "stop";

/// A worker's connection, and a collector in the place of an orchestrator.
pub struct Hops {
    worker: Database,
    collector: JoinHandle<std::result::Result<(), String>>,
    samples: Samples,
}

impl Hops {
    /// Makes two queues in a database that has pgmq.
    pub fn start(database: &Database, samples: &Samples) -> Result<Hops> {
        let mut worker = database.again()?;
        worker.run("select pgmq.create('raw_steps'), pgmq.create('raw_results'); listen raw_steps")?;
        let mut collector = database.again()?;
        collector.run("listen raw_results")?;
        let step = samples.step.clone();
        let collector = thread::spawn(move || collect(&mut collector, &step).map_err(|error| error.to_string()));
        Ok(Hops { worker, collector, samples: samples.clone() })
    }

    /// Sends results and takes the steps that the collector sends for them. Milliseconds from the return of the one call to the
    /// message.
    pub fn time(&mut self, count: usize, times: &mut Vec<f64>) -> Result<()> {
        let client = &mut self.worker.client;
        let send = client.prepare("select pgmq.send('raw_results', $1), pg_notify('raw_results', '')")?;
        let pop = client.prepare("select message from pgmq.pop('raw_steps', 1)")?;
        for _ in 0..count {
            client.execute(&send, &[&self.samples.result])?;
            let returned = Instant::now();
            if client.notifications().timeout_iter(PATIENCE).next()?.is_none() {
                return Err("the collector sent nothing".into());
            }
            let _: Json = client.query_one(&pop, &[])?.try_get(0)?;
            times.push(returned.elapsed().as_secs_f64() * 1e3);
        }
        Ok(())
    }

    /// Sends the next step and takes it, in one call and one commit, so many times one after the other; milliseconds for all.
    pub fn time_chain(&mut self, length: usize) -> Result<f64> {
        // The case lets the one be called before the other.
        let exchange = self.worker.client.prepare(
            "select p.message from pgmq.send('raw_steps', $1) s(msg_id), pgmq.pop('raw_steps', case when s.msg_id > 0 then 1 end) p",
        )?;
        let began = Instant::now();
        for _ in 0..length {
            let _: Json = self.worker.client.query_one(&exchange, &[&self.samples.step])?.try_get(0)?;
        }
        Ok(began.elapsed().as_secs_f64() * 1e3)
    }

    pub fn stop(mut self) -> Result<()> {
        self.worker.run(&format!("notify raw_results, '{STOP}'"))?;
        self.collector.join().map_err(|_| "the collector panicked")??;
        self.worker.run("select pgmq.drop_queue('raw_steps'), pgmq.drop_queue('raw_results')")
    }
}

fn collect(database: &mut Database, step: &Json) -> Result<()> {
    let next = "select pgmq.send('raw_steps', $1), pg_notify('raw_steps', '') from pgmq.pop('raw_results', 1)";
    let next = database.client.prepare(next)?;
    loop {
        let told = database.client.notifications().blocking_iter().next()?;
        if told.is_none_or(|told| told.payload() == STOP) {
            return Ok(());
        }
        database.client.execute(&next, &[step])?;
    }
}
