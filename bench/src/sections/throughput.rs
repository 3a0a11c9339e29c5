//! Steps per second, and what a step costs: raw pgmq and four kinds of workers, one after the other, round by round.

use serde_json::{Value, json};

use crate::Result;
use crate::crew::{Crew, REST};
use crate::meter::{Meter, Used};
use crate::options::Options;
use crate::proc::Kind;
use crate::raw::{self, Raw};
use crate::report::{Section, figure};
use crate::server::{self, Database};
use crate::stats::{median, range};
use crate::templates::{Samples, Shape, request};
use crate::verify;
use crate::workers::{NAMESPACE, Way};

/// Steps before those that are measured, so that plans are made and caches warm.
const WARM_UP: u64 = 400;

/// One run.
#[derive(Clone)]
pub struct Sample {
    pub steps: u64,
    /// From the first request to the last completion.
    pub total: Used,
    /// Without the requests: they were made before anybody began to work.
    pub working: Used,
    /// Looks for work, also in vain, of all workers.
    looks: u64,
}

/// What is to run.
#[derive(Clone, Copy)]
pub struct Load {
    pub shape: Shape,
    pub batch: i32,
    pub tasks: u64,
    pub workers: usize,
    /// Raw pgmq's; an orchestrator stands in for them.
    pub collectors: usize,
    /// Whether the namespace has no limit, instead of the default one.
    unlimited: bool,
}

impl Load {
    /// As many tasks as make up so many steps, at least one.
    pub fn of(shape: Shape, batch: i32, steps: u64, workers: usize) -> Load {
        let tasks = (steps / shape.steps()).max(1);
        Load { shape, batch, tasks, workers, collectors: 1, unlimited: false }
    }

    pub fn with_collectors(self, collectors: usize) -> Load {
        Load { collectors, ..self }
    }

    pub fn unlimited(self) -> Load {
        Load { unlimited: true, ..self }
    }

    pub fn steps(&self) -> u64 {
        self.tasks * self.shape.steps()
    }
}

pub fn chain10(options: &Options) -> Result<Section> {
    let mut section = Section::new("chain10", "Chain of 10");
    compare(&mut section, options, Shape::Chain(10), &Way::ALL)?;
    Ok(section)
}

pub fn diamond(options: &Options) -> Result<Section> {
    let mut section = Section::new("diamond", "Diamond");
    compare(&mut section, options, Shape::Diamond, &[Way::Plain])?;
    Ok(section)
}

pub fn fanout100(options: &Options) -> Result<Section> {
    let mut section = Section::new("fanout100", "Fan-out to 100 and back");
    compare(&mut section, options, Shape::Fan(100), &[Way::Plain])?;
    Ok(section)
}

pub fn single(options: &Options) -> Result<Section> {
    let mut section = Section::new("single", "Single steps");
    compare(&mut section, options, Shape::Single, &[Way::Plain])?;
    Ok(section)
}

/// Batches of 100 with every kind of worker; batches of 10 with those named.
fn compare(section: &mut Section, options: &Options, shape: Shape, of_ten: &[Way]) -> Result<()> {
    let samples = Samples::take()?;
    for (batch, steps, ways) in [(100, options.steps, &Way::ALL[..]), (10, options.steps / 2, of_ten)] {
        let load = Load::of(shape, batch, steps, options.workers).with_collectors(options.collectors);
        let rounds = (0..options.rounds).map(|round| one_round(load, ways, round, &samples));
        let rounds = rounds.collect::<Result<Vec<Round>>>()?;
        show(section, load, ways, &rounds);
        judge(section, load, ways, &rounds);
    }
    section.note(format!(
        "A step is two sends and two pops. Raw: a worker pops a message of {} bytes (a step's) and sends one of {} bytes (a result), a collector pops that and sends the next hop; {} hops one after the other.",
        samples.step.0.len(),
        samples.result.0.len(),
        shape.levels()
    ));
    section.note(format!(
        "*total*: from the first request to the last completion; requests are made first, 1000 a call, by one connection. *working*: without them. Empty queue: plain workers rest {} ms.",
        REST.as_millis()
    ));
    section.note("CPU: all processes of the server, µs a step; of these the orchestrator's. client: of the load generator. Brackets: smallest to largest of the rounds.");
    Ok(())
}

/// Raw, and each way.
struct Round {
    raw: Sample,
    ways: Vec<Sample>,
}

/// Every other round runs in the opposite order, so that nobody always comes first.
fn one_round(load: Load, ways: &[Way], round: usize, samples: &Samples) -> Result<Round> {
    let raw_first = round.is_multiple_of(2);
    let early = if raw_first { Some(run_raw(load, samples)?) } else { None };
    let mut order: Vec<usize> = (0..ways.len()).collect();
    if !raw_first {
        order.reverse();
    }
    let mut measured = Vec::new();
    for index in order {
        measured.push((index, run_way(load, ways[index])?));
    }
    measured.sort_by_key(|(index, _)| *index);
    let raw = match early {
        Some(raw) => raw,
        None => run_raw(load, samples)?,
    };
    Ok(Round { raw, ways: measured.into_iter().map(|(_, sample)| sample).collect() })
}

pub fn run_raw(load: Load, samples: &Samples) -> Result<Sample> {
    let mut database = Database::create("bench_raw", "pgmq")?;
    let mut meter = Meter::new(&database)?;
    let raw = Raw::start(&mut database, (load.workers, load.collectors), load.batch, samples)?;
    raw.seed(&mut database, WARM_UP, WARM_UP)?;
    raw.crew.wait_for(WARM_UP)?;
    raw.crew.hold(true);
    server::checkpoint()?;

    let looks = raw.crew.looks();
    let begin = meter.read()?;
    raw.seed(&mut database, load.steps().div_ceil(load.shape.levels()), load.steps())?;
    let seeded = meter.read()?;
    raw.crew.hold(false);
    raw.crew.wait_for(WARM_UP + load.steps())?;
    let end = meter.read()?;
    let looks = raw.crew.looks() - looks;

    let done = raw.crew.stop()?;
    if done != WARM_UP + load.steps() {
        return Err(format!("raw: {} steps were sent, {done} came back", WARM_UP + load.steps()).into());
    }
    raw::verify(&mut database)?;
    drop(meter);
    database.drop()?;
    Ok(Sample { steps: load.steps(), total: begin.until(&end), working: seeded.until(&end), looks })
}

pub fn run_way(load: Load, way: Way) -> Result<Sample> {
    if way.orchestrators() != 1 {
        server::set(&[("tasker.orchestrators", &way.orchestrators().to_string())])?;
        let sample = run_as_set(load, way);
        server::reset_settings()?;
        return sample;
    }
    run_as_set(load, way)
}

fn run_as_set(load: Load, way: Way) -> Result<Sample> {
    let mut database = Database::create("bench_load", "tasker_pg")?;
    load.shape.register(&mut database)?;
    if load.unlimited {
        database.run("select tasker.set_namespace_limit('bench', null)")?;
    }
    let sample = work(&mut database, load, way).map_err(|error| format!("{}: {error}", way.name()))?;
    database.drop()?;
    Ok(sample)
}

fn work(database: &mut Database, load: Load, way: Way) -> Result<Sample> {
    let mut meter = Meter::new(database)?;
    let crew = Crew::start(database, load.batch, way.hands(load.workers))?;
    let warm = Load::of(load.shape, load.batch, WARM_UP, load.workers);
    request(database, NAMESPACE, load.shape.name(), warm.tasks)?;
    crew.wait_for(warm.steps())?;
    verify::wait_until_over(database)?;
    crew.hold(true);
    database.run("select tasker.pause_namespace('bench')")?;
    server::checkpoint()?;

    let looks = crew.looks();
    let begin = meter.read()?;
    request(database, NAMESPACE, load.shape.name(), load.tasks)?;
    let requested = meter.read()?;
    crew.hold(false);
    database.run("select tasker.resume_namespace('bench')")?;
    crew.wait_for(warm.steps() + load.steps())?;
    verify::wait_until_over(database)?;
    let end = meter.read()?;
    let looks = crew.looks() - looks;

    let (tasks, steps) = (warm.tasks + load.tasks, warm.steps() + load.steps());
    let done = crew.stop()?;
    if done != steps {
        return Err(format!("{steps} steps were expected, {done} were worked on").into());
    }
    verify::complete(database, tasks, steps)?;
    Ok(Sample { steps: load.steps(), total: begin.until(&end), working: requested.until(&end), looks })
}

/// What a run comes to, by step.
impl Sample {
    pub fn rate(&self) -> f64 {
        self.steps as f64 / self.total.seconds
    }

    fn working_rate(&self) -> f64 {
        self.steps as f64 / self.working.seconds
    }

    pub fn cpu(&self) -> f64 {
        self.total.server_cpu * 1e6 / self.steps as f64
    }

    fn working_cpu(&self) -> f64 {
        self.working.server_cpu * 1e6 / self.steps as f64
    }

    fn orchestrator_cpu(&self) -> f64 {
        self.total.of(Kind::Orchestrator) * 1e6 / self.steps as f64
    }

    fn client_cpu(&self) -> f64 {
        self.total.own_cpu * 1e6 / self.steps as f64
    }

    fn wal(&self) -> f64 {
        self.total.wal_bytes / self.steps as f64
    }

    fn json(&self, load: Load, who: &str, round: usize) -> Value {
        json!({
            "round": round, "batch": load.batch, "workers": load.workers, "who": who, "steps": self.steps,
            "total_seconds": self.total.seconds, "working_seconds": self.working.seconds,
            "total_server_cpu_seconds": self.total.server_cpu, "working_server_cpu_seconds": self.working.server_cpu,
            "orchestrator_cpu_seconds": self.total.of(Kind::Orchestrator), "backend_cpu_seconds": self.total.of(Kind::Backend),
            "autovacuum_cpu_seconds": self.total.of(Kind::Autovacuum), "other_cpu_seconds": self.total.of(Kind::Other),
            "client_cpu_seconds": self.total.own_cpu, "wal_bytes": self.total.wal_bytes,
            "working_wal_bytes": self.working.wal_bytes, "looks": self.looks,
        })
    }
}

type Figure = fn(&Sample) -> f64;

/// The median of the rounds' ratios to raw.
fn ratio(rounds: &[Round], way: usize, figure: Figure) -> f64 {
    median(&rounds.iter().map(|round| figure(&round.ways[way]) / figure(&round.raw)).collect::<Vec<_>>())
}

fn show(section: &mut Section, load: Load, ways: &[Way], rounds: &[Round]) {
    let raw: Vec<&Sample> = rounds.iter().map(|round| &round.raw).collect();
    let mut rows = vec![row("raw pgmq", &raw, |_| 1.0)];
    for (index, way) in ways.iter().enumerate() {
        let samples: Vec<&Sample> = rounds.iter().map(|round| &round.ways[index]).collect();
        rows.push(row(way.name(), &samples, |figure| ratio(rounds, index, figure)));
    }
    let caption = format!(
        "{} steps in batches of {}, {} workers (× = ratio to raw)",
        figure(load.steps() as f64),
        load.batch,
        load.workers
    );
    let head = [
        "workers",
        "steps/s",
        "×",
        "working /s",
        "×",
        "CPU",
        "×",
        "working CPU",
        "×",
        "WAL B",
        "×",
        "orchestrator",
        "client",
    ];
    section.table(&caption, &head, rows);
    for (number, round) in rounds.iter().enumerate() {
        section.samples.push(round.raw.json(load, "raw pgmq", number + 1));
        for (way, sample) in ways.iter().zip(&round.ways) {
            section.samples.push(sample.json(load, way.name(), number + 1));
        }
    }
}

fn row(name: &str, samples: &[&Sample], ratio: impl Fn(Figure) -> f64) -> Vec<String> {
    let values = |of: Figure| samples.iter().map(|sample| of(sample)).collect::<Vec<_>>();
    let mut cells = vec![name.to_string()];
    for of in [Sample::rate, Sample::working_rate, Sample::cpu, Sample::working_cpu, Sample::wal] as [Figure; 5] {
        let (low, high) = range(&values(of));
        cells.push(format!("{} ({}–{})", figure(median(&values(of))), figure(low), figure(high)));
        cells.push(figure(ratio(of)));
    }
    cells.push(figure(median(&values(Sample::orchestrator_cpu))));
    cells.push(figure(median(&values(Sample::client_cpu))));
    cells
}

/// The limits of throughput. A single step has none: half of its cost is the request.
fn judge(section: &mut Section, load: Load, ways: &[Way], rounds: &[Round]) {
    let what = |way: &str, text: &str| format!("{way} workers, batch {}: {text}, ÷ raw", load.batch);
    for (index, way) in ways.iter().enumerate() {
        let ratio = |figure: Figure| ratio(rounds, index, figure);
        match (load.shape, way, load.batch) {
            (Shape::Single, ..) => {}
            (_, Way::Plain, 100) => {
                section.at_most(what("plain", "server CPU a step, requests included"), 2.0, ratio(Sample::cpu));
                section.at_most(what("plain", "server CPU a step, working"), 2.0, ratio(Sample::working_cpu));
                section.at_least(what("plain", "steps/s, requests included"), 0.55, ratio(Sample::rate));
                section.at_least(what("plain", "steps/s, working"), 0.55, ratio(Sample::working_rate));
                section.at_most(what("plain", "WAL a step"), 1.7, ratio(Sample::wal));
            }
            (_, Way::PlainBesideTwo, 100) => {
                section.at_least(what(way.name(), "steps/s, requests included"), 0.55, ratio(Sample::rate));
            }
            (_, Way::Plain, 10) => {
                section.at_least(what("plain", "steps/s, requests included"), 0.8, ratio(Sample::rate));
            }
            // 37 µs a step of the prototype, where raw pgmq took 22.
            (Shape::Chain(_), Way::Advancing | Way::Exchanging, 100) => {
                section.at_most(what(way.name(), "server CPU a step, working"), 1.7, ratio(Sample::working_cpu));
            }
            _ => {}
        }
    }
}
