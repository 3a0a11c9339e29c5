//! Full load for minutes: does the rate hold, and what grows? Also while somebody holds an old snapshot.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Result;
use crate::crew::Crew;
use crate::meter::{Meter, Reading};
use crate::options::Options;
use crate::raw::{self, Raw};
use crate::report::{Section, figure};
use crate::server::{self, Database};
use crate::templates::{Samples, Shape, request};
use crate::verify;
use crate::workers::{NAMESPACE, Way};

const SHAPE: Shape = Shape::Chain(10);
const BATCH: i32 = 100;
/// So many steps are always asked for ahead of the workers.
const AHEAD: u64 = 20_000;
const REQUEST: u64 = 500;
const LOOK: Duration = Duration::from_millis(20);
/// How many parts a run is divided into.
const WINDOWS: usize = 10;
/// Raw messages that are on their way at once: as many as our namespace lets be in flight.
const RAW_ITEMS: u64 = 1000;

/// Work that never ends by itself.
enum Source {
    Tasks { requested: u64 },
    Raw(Box<Raw>),
}

struct Load {
    database: Database,
    crew: Option<Crew>,
    source: Source,
}

impl Load {
    fn of_tasks(way: Way, workers: usize) -> Result<Load> {
        let mut database = Database::create("bench_steady", "tasker_pg")?;
        SHAPE.register(&mut database)?;
        let crew = Crew::start(&database, BATCH, way.hands(workers))?;
        Ok(Load { database, crew: Some(crew), source: Source::Tasks { requested: 0 } })
    }

    fn of_raw(options: &Options, samples: &Samples) -> Result<Load> {
        let mut database = Database::create("bench_steady", "pgmq")?;
        let raw = Raw::start(&mut database, (options.workers, options.collectors), BATCH, samples)?;
        raw.seed(&mut database, RAW_ITEMS, u64::MAX / 2)?;
        Ok(Load { database, crew: None, source: Source::Raw(Box::new(raw)) })
    }

    fn crew(&self) -> Result<&Crew> {
        match (&self.source, &self.crew) {
            (Source::Raw(raw), _) => Ok(&raw.crew),
            (_, Some(crew)) => Ok(crew),
            _ => Err("the crew has left".into()),
        }
    }

    fn done(&self) -> Result<u64> {
        Ok(self.crew()?.done())
    }

    /// Keeps the work coming for a while.
    fn feed(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            let done = self.done()?;
            self.crew()?.check()?;
            match &mut self.source {
                Source::Tasks { requested } if *requested * SHAPE.steps() < done + AHEAD => {
                    request(&mut self.database, NAMESPACE, SHAPE.name(), REQUEST)?;
                    *requested += REQUEST;
                }
                _ => thread::sleep(LOOK.min(end.saturating_duration_since(Instant::now()))),
            }
        }
        Ok(())
    }

    /// Lets the rest be done, and looks whether all is there.
    fn end(mut self) -> Result<()> {
        match self.source {
            Source::Tasks { requested } => {
                let crew = self.crew.take().ok_or("the crew has left")?;
                crew.wait_for(requested * SHAPE.steps())?;
                verify::wait_until_over(&mut self.database)?;
                crew.stop()?;
                verify::complete(&mut self.database, requested, requested * SHAPE.steps())?;
            }
            Source::Raw(raw) => {
                raw.drain(&mut self.database)?;
                raw.crew.stop()?;
                raw::verify(&mut self.database)?;
            }
        }
        self.database.drop()
    }
}

/// A part of a run.
struct Window {
    rate: f64,
    cpu: f64,
    /// Bytes of tables with their indexes: queues; what else comes and goes; what stays.
    sizes: [f64; 3],
}

pub fn measure(options: &Options) -> Result<Section> {
    let mut section = Section::new("steady", "Steady");
    hold_the_rate(&mut section, options)?;
    with_readers(&mut section, options)?;
    section.condition("minutes", options.minutes);
    section.condition("minutes with a reader", options.reader_minutes);
    section
        .note(format!("Chain of 10, batches of {BATCH}; requests are made {REQUEST} at a time, {AHEAD} steps ahead."));
    section.note("What stays grows with what is done: a task's and its steps' rows and history are kept, since retention is off. Queues and passing rows should level off.");
    section.note("Reader: a REPEATABLE READ transaction that has taken its snapshot and does nothing. Vacuum may remove nothing that died after it: queues keep their dead rows, and who reads a queue from its first row on walks over them.");
    Ok(section)
}

/// Ten parts; the second against the last.
fn hold_the_rate(section: &mut Section, options: &Options) -> Result<()> {
    let mut load = Load::of_tasks(Way::Plain, options.workers)?;
    let mut meter = Meter::new(&load.database)?;
    server::checkpoint()?;
    let time = Duration::from_secs_f64(options.minutes * 60.0 / WINDOWS as f64);
    let mut windows = Vec::new();
    for number in 1..=WINDOWS {
        let window = watch(&mut load, &mut meter, time)?;
        section
            .samples
            .push(json!({"who": "plain", "window": number, "seconds": time.as_secs_f64(), "rate": window.rate,
            "cpu_us": window.cpu, "queues": window.sizes[0], "passing": window.sizes[1], "kept": window.sizes[2]}));
        windows.push(window);
    }
    drop(meter);
    load.end()?;
    let megabytes = |bytes: f64| figure(bytes / 1e6);
    let rows = windows.iter().enumerate().map(|(number, window)| {
        let sizes = window.sizes.map(megabytes);
        vec![(number + 1).to_string(), figure(window.rate), figure(window.cpu)].into_iter().chain(sizes).collect()
    });
    let caption = format!("Plain workers, {} minutes in {WINDOWS} parts", options.minutes);
    let head = ["part", "steps/s", "server CPU µs a step", "queues MB", "passing rows MB", "kept MB"];
    section.table(&caption, &head, rows.collect());
    let passing = |window: &Window| window.sizes[0] + window.sizes[1];
    section.at_least("rate in the last part, ÷ the second's", 0.9, windows[WINDOWS - 1].rate / windows[1].rate);
    section.at_most(
        "queues and passing rows at the end, ÷ half time",
        1.2,
        passing(&windows[WINDOWS - 1]) / passing(&windows[WINDOWS / 2 - 1]),
    );
    Ok(())
}

fn watch(load: &mut Load, meter: &mut Meter, time: Duration) -> Result<Window> {
    let (begin, before): (Reading, u64) = (meter.read()?, load.done()?);
    load.feed(time)?;
    let (used, steps) = (begin.until(&meter.read()?), (load.done()? - before) as f64);
    Ok(Window { rate: steps / used.seconds, cpu: used.server_cpu * 1e6 / steps, sizes: sizes(&mut load.database)? })
}

fn sizes(database: &mut Database) -> Result<[f64; 3]> {
    let row = database.client.query_one(
        "select coalesce(sum(s.bytes) filter (where s.nspname = 'pgmq'), 0)::float8,
           coalesce(sum(s.bytes) filter (where s.nspname = 'tasker' and not s.kept), 0)::float8,
           coalesce(sum(s.bytes) filter (where s.nspname = 'tasker' and s.kept), 0)::float8
         from (
           select n.nspname, pg_total_relation_size(c.oid) as bytes,
             c.relname in ('tasks', 'steps', 'task_transitions', 'step_transitions') as kept
           from pg_class c join pg_namespace n on n.oid = c.relnamespace
           where c.relkind = 'r' and (n.nspname = 'tasker' or n.nspname = 'pgmq' and c.relname like 'q\\_%')
         ) s",
        &[],
    )?;
    Ok([row.try_get(0)?, row.try_get(1)?, row.try_get(2)?])
}

/// Each kind of worker first without a reader, then with one.
fn with_readers(section: &mut Section, options: &Options) -> Result<()> {
    let samples = Samples::take()?;
    let mut rows = Vec::new();
    let (mut kept, mut rates) = (Vec::new(), Vec::new());
    for who in ["raw pgmq", Way::Plain.name(), Way::Functions.name()] {
        let load = match who {
            "raw pgmq" => Load::of_raw(options, &samples)?,
            name if name == Way::Plain.name() => Load::of_tasks(Way::Plain, options.workers)?,
            _ => Load::of_tasks(Way::Functions, options.workers)?,
        };
        let [before, early, late] = beside_a_reader(load, options)?;
        section.samples.push(json!({"who": who, "before": before, "early": early, "late": late}));
        let cells = [before, early, late, late / before].map(figure);
        rows.push([who.to_string()].into_iter().chain(cells).collect());
        kept.push(late / before);
        rates.push(late);
    }
    let caption = format!(
        "Steps/s before a reader opens its snapshot, and while it is open for {} minutes",
        options.reader_minutes
    );
    section.table(&caption, &["workers", "before", "first quarter", "last quarter", "kept"], rows);
    section.at_least("function workers: kept beside the reader", 0.7, kept[2]);
    section.at_least("plain workers: kept beside the reader, ÷ what raw pgmq keeps", 1.0, kept[1] / kept[0]);
    section.at_least(
        "plain workers: steps/s in the last quarter beside the reader, ÷ raw pgmq's",
        1.0,
        rates[1] / rates[0],
    );
    Ok(())
}

/// The rate before, in the first quarter, and in the last.
fn beside_a_reader(mut load: Load, options: &Options) -> Result<[f64; 3]> {
    let mut meter = Meter::new(&load.database)?;
    let quarter = Duration::from_secs_f64(options.reader_minutes * 60.0 / 4.0);
    load.feed(quarter / 3)?;
    let mut rate = |load: &mut Load, time| watch(load, &mut meter, time).map(|window| window.rate);
    let before = rate(&mut load, quarter)?;
    let mut reader = load.database.again()?;
    reader.run("begin isolation level repeatable read; select count(*) from pg_class")?;
    let early = rate(&mut load, quarter)?;
    load.feed(quarter * 2)?;
    let late = rate(&mut load, quarter)?;
    reader.run("commit")?;
    drop((reader, meter));
    load.end()?;
    Ok([before, early, late])
}
