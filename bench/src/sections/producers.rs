//! Requests one by one from many connections, against plain inserts of a row of the same size.

use std::thread;
use std::time::Duration;

use postgres::Statement;
use serde_json::{Value, json};

use crate::Result;
use crate::crew::{Crew, Hand};
use crate::meter::{Meter, Used};
use crate::options::Options;
use crate::report::{Section, figure};
use crate::server::{self, Database};
use crate::stats::{median, range};
use crate::templates::{Shape, context, request};
use crate::verify;
use crate::workers::NAMESPACE;

const CONNECTIONS: usize = 16;

/// Makes one row a turn.
struct Producer {
    text: String,
    number: u64,
    statement: Option<Statement>,
}

impl Hand for Producer {
    fn turn(&mut self, database: &mut Database, _batch: i32) -> Result<Option<u64>> {
        let statement = match &self.statement {
            Some(statement) => statement.clone(),
            None => database.client.prepare(&self.text)?,
        };
        self.number += 1;
        database.client.execute(&statement, &[&context(self.number)])?;
        self.statement = Some(statement);
        Ok(Some(1))
    }
}

struct Sample {
    rows: u64,
    used: Used,
}

impl Sample {
    fn rate(&self) -> f64 {
        self.rows as f64 / self.used.seconds
    }

    fn cpu(&self) -> f64 {
        self.used.server_cpu * 1e6 / self.rows as f64
    }

    fn wal(&self) -> f64 {
        self.used.wal_bytes / self.rows as f64
    }

    fn json(&self, what: &str, round: usize) -> Value {
        json!({"what": what, "round": round + 1, "rows": self.rows, "seconds": self.used.seconds,
            "server_cpu_seconds": self.used.server_cpu, "client_cpu_seconds": self.used.own_cpu, "wal_bytes": self.used.wal_bytes})
    }
}

pub fn measure(options: &Options) -> Result<Section> {
    let mut section = Section::new("producers", "Producers");
    let (mut requests, mut inserts) = (Vec::new(), Vec::new());
    let mut size = 0;
    for round in 0..options.rounds {
        let (sample, bytes) = requested(options)?;
        section.samples.push(sample.json("request_task", round));
        requests.push(sample);
        size = bytes;
        let sample = inserted(options, size)?;
        section.samples.push(sample.json("insert", round));
        inserts.push(sample);
    }
    let ratio = |figure: fn(&Sample) -> f64| {
        median(&requests.iter().zip(&inserts).map(|(ours, plain)| figure(ours) / figure(plain)).collect::<Vec<_>>())
    };
    section.table(
        &format!("{CONNECTIONS} connections, one row a transaction, rows of {size} bytes"),
        &["what", "rows/s", "server CPU µs a row", "WAL B a row"],
        vec![
            row("request_task", &requests),
            row("insert", &inserts),
            vec!["ratio".into(), figure(ratio(Sample::rate)), figure(ratio(Sample::cpu)), figure(ratio(Sample::wal))],
        ],
    );
    section.at_least("request_task at 16 connections: rate, ÷ a plain insert's", 0.5, ratio(Sample::rate));
    section.note("The plain table has a primary key and one more index, on a uuid. The orchestrator runs meanwhile: the namespace's 1000 places are soon taken, and the rest waits.");
    Ok(section)
}

fn row(what: &str, samples: &[Sample]) -> Vec<String> {
    let rates: Vec<f64> = samples.iter().map(Sample::rate).collect();
    let (low, high) = range(&rates);
    let of = |figure: fn(&Sample) -> f64| median(&samples.iter().map(figure).collect::<Vec<_>>());
    let rates = format!("{} ({}–{})", figure(median(&rates)), figure(low), figure(high));
    vec![what.to_string(), rates, figure(of(Sample::cpu)), figure(of(Sample::wal))]
}

/// Lets all connections produce for a while; a part at the beginning does not count.
fn produce(database: &Database, text: &str, options: &Options) -> Result<(Sample, u64)> {
    let (warm_up, time) = if options.quick { (100, 300) } else { (1000, 5000) };
    let mut meter = Meter::new(database)?;
    server::checkpoint()?;
    let producer = |_| Box::new(Producer { text: text.to_string(), number: 0, statement: None }) as Box<dyn Hand>;
    let crew = Crew::start(database, 1, (0..CONNECTIONS).map(producer).collect())?;
    thread::sleep(Duration::from_millis(warm_up));
    let (begin, before) = (meter.read()?, crew.done());
    thread::sleep(Duration::from_millis(time));
    let (end, after) = (meter.read()?, crew.done());
    let all = crew.stop()?;
    Ok((Sample { rows: after - before, used: begin.until(&end) }, all))
}

/// Returns also how large a task's row is.
fn requested(options: &Options) -> Result<(Sample, i32)> {
    let mut database = Database::create("bench_producers", "tasker_pg")?;
    Shape::Single.register(&mut database)?;
    request(&mut database, NAMESPACE, "single", 2000)?;
    let (sample, all) = produce(&database, "select tasker.request_task('bench', 'single', $1)", options)?;
    let tasks: i64 = database.value("select count(*) from tasker.tasks")?;
    if tasks as u64 != all + 2000 {
        return Err(format!("{all} tasks were requested, {} are there", tasks - 2000).into());
    }
    let size =
        database.value("select avg(pg_column_size(t.*))::integer from tasker.tasks t where t.state = 'pending'")?;
    verify::sound(&mut database)?;
    database.drop()?;
    Ok((sample, size))
}

fn inserted(options: &Options, size: i32) -> Result<Sample> {
    let mut database = Database::create("bench_producers", "tasker_pg")?;
    database.run(
        "create table plain (id bigint generated always as identity primary key, correlation_id uuid not null,
           created_at timestamptz not null, context jsonb not null, filler text not null);
         create index on plain (correlation_id)",
    )?;
    let insert = |filler: usize| {
        format!(
            "insert into plain (correlation_id, created_at, context, filler) values (gen_random_uuid(), now(), $1, '{}')",
            "x".repeat(filler)
        )
    };
    database.client.execute(&insert(0), &[&context(1)])?;
    let bare: i32 = database.value("select pg_column_size(p.*) from plain p")?;
    let filler = usize::try_from(size - bare).unwrap_or(0);
    let (sample, all) = produce(&database, &insert(filler), options)?;
    let rows: i64 = database.value("select count(*) from plain")?;
    if rows as u64 != all + 1 {
        return Err(format!("{all} rows were inserted, {} are there", rows - 1).into());
    }
    database.drop()?;
    Ok(sample)
}
