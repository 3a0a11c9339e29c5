//! What backlog and history have in common: databases side by side, each with its own past, under the same load.

use std::time::Duration;

use serde_json::json;

use crate::Result;
use crate::crew::Crew;
use crate::meter::{Meter, Used};
use crate::options::Options;
use crate::report::{Section, figure};
use crate::server::{self, Database};
use crate::stats::{median, range};
use crate::templates::{Shape, request};
use crate::verify;
use crate::workers::{NAMESPACE, Way};

pub const SHAPE: Shape = Shape::Chain(10);
const BATCH: i32 = 100;
const PATIENCE: Duration = Duration::from_secs(1800);

/// A database, and what is in it.
pub struct Place {
    pub what: &'static str,
    pub database: Database,
    /// Steps that were complete before the runs.
    before: i64,
    worked: u64,
}

const COMPLETE: &str = "select count(*) from tasker.steps where state = 'complete'";

impl Place {
    /// A new database with the chain of ten, filled by `fill`.
    pub fn new(what: &'static str, name: &str, fill: impl FnOnce(&mut Database) -> Result<()>) -> Result<Place> {
        let mut database = Database::create(name, "tasker_pg")?;
        SHAPE.register(&mut database)?;
        fill(&mut database)?;
        let before = database.value(COMPLETE)?;
        Ok(Place { what, database, before, worked: 0 })
    }

    /// Requests so many steps' tasks, and works until so many more steps are finished, those or older ones, and all of
    /// them settled: so as much is in flight at the end as was at the beginning. Returns also how many steps that were.
    fn run(&mut self, steps: u64, workers: usize) -> Result<(Used, u64)> {
        let mut meter = Meter::new(&self.database)?;
        server::checkpoint()?;
        let begin = meter.read()?;
        request(&mut self.database, NAMESPACE, SHAPE.name(), steps / SHAPE.steps())?;
        let crew = Crew::start(&self.database, BATCH, Way::Plain.hands(workers))?;
        crew.wait_for(steps)?;
        let worked = crew.stop()?;
        self.wait_until_settled()?;
        self.worked += worked;
        Ok((begin.until(&meter.read()?), worked))
    }

    fn wait_until_settled(&mut self) -> Result<()> {
        let settled = "select not exists (select from pgmq.q_orchestration_step_results)";
        self.database.wait_until("every result was settled", settled, Duration::from_secs(120))
    }

    /// Everything that was worked on has been settled, and nothing is amiss.
    pub fn verify(&mut self) -> Result<()> {
        let complete: i64 = self.database.value(COMPLETE)?;
        if complete - self.before != i64::try_from(self.worked)? {
            return Err(format!(
                "{}: {} steps were worked on, {} are complete",
                self.what,
                self.worked,
                complete - self.before
            )
            .into());
        }
        verify::sound(&mut self.database).map_err(|error| format!("{}: {error}", self.what).into())
    }
}

/// Lets vacuum and analyze of what was filled in be done soon, and be over before anything is measured.
pub fn fill_and_rest(fill: impl FnOnce() -> Result<Vec<Place>>) -> Result<Vec<Place>> {
    server::set(&[("autovacuum_naptime", "5s"), ("autovacuum_vacuum_cost_delay", "0")])?;
    let places = fill().and_then(|mut places| {
        for place in &mut places {
            rest(&mut place.database)?;
        }
        Ok(places)
    });
    server::reset_settings()?;
    places
}

fn rest(database: &mut Database) -> Result<()> {
    database.wait_until(
        "autovacuum came to rest",
        "select not exists (select from pg_stat_activity where backend_type = 'autovacuum worker')
           and not exists (
             select from pg_stat_user_tables
             where schemaname = 'tasker' and n_mod_since_analyze > 10000 and n_mod_since_analyze > 0.2 * n_live_tup)",
        PATIENCE,
    )
}

/// The first place is the one that the others are compared with.
pub fn compare(section: &mut Section, places: &mut [Place], options: &Options) -> Result<()> {
    let mut cpu: Vec<Vec<f64>> = vec![Vec::new(); places.len()];
    let mut rates = cpu.clone();
    for round in 0..=options.rounds {
        for (number, place) in places.iter_mut().enumerate() {
            let (used, steps) = place.run(options.steps, options.workers)?;
            // The first round fills caches, and the limit of what is in flight.
            if round > 0 {
                cpu[number].push(used.server_cpu * 1e6 / steps as f64);
                rates[number].push(steps as f64 / used.seconds);
                section.samples.push(json!({"where": place.what, "round": round, "steps": steps,
                    "seconds": used.seconds, "server_cpu_seconds": used.server_cpu, "wal_bytes": used.wal_bytes}));
            }
        }
    }
    let ratio =
        |values: &[f64]| median(&values.iter().zip(&cpu[0]).map(|(mine, first)| mine / first).collect::<Vec<_>>());
    let mut rows = Vec::new();
    for (number, place) in places.iter().enumerate() {
        let (low, high) = range(&cpu[number]);
        rows.push(vec![
            place.what.to_string(),
            figure(median(&rates[number])),
            format!("{} ({}–{})", figure(median(&cpu[number])), figure(low), figure(high)),
            figure(ratio(&cpu[number])),
        ]);
        if number > 0 {
            section.at_most(
                format!("{}: server CPU a step, ÷ the empty system's", place.what),
                1.15,
                ratio(&cpu[number]),
            );
        }
    }
    let caption = format!("Chain of 10, plain workers, batch {BATCH}, {} steps a round", figure(options.steps as f64));
    section.table(&caption, &["what else is there", "steps/s", "server CPU µs a step", "×"], rows);
    for place in places {
        place.verify()?;
    }
    Ok(())
}
