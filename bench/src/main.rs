//! Measures tasker_pg beside raw pgmq. `make bench` runs it on a cluster of its own; docs/internals.md says how to read
//! what it writes.

use std::error::Error;
use std::process::ExitCode;

mod conditions;
mod crew;
mod json;
mod meter;
mod options;
mod proc;
mod raw;
mod report;
mod sections;
mod server;
mod stats;
mod templates;
mod verify;
mod workers;

use options::Options;
use report::Section;
use sections::{backlog, history, idle, latency, producers, raw_crews, steady, throughput, wide};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

type Measure = fn(&Options) -> Result<Section>;

/// In the order in which they run and stand in RESULTS.md.
const SECTIONS: &[(&str, Measure)] = &[
    ("chain10", throughput::chain10),
    ("diamond", throughput::diamond),
    ("fanout100", throughput::fanout100),
    ("single", throughput::single),
    ("latency", latency::measure),
    ("backlog", backlog::measure),
    ("history", history::measure),
    ("wide", wide::measure),
    ("producers", producers::measure),
    ("idle", idle::measure),
    ("steady", steady::measure),
    ("raw_crews", raw_crews::measure),
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", crew::describe(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let options = Options::read()?;
    let names: Vec<&str> = SECTIONS.iter().map(|(name, _)| *name).collect();
    if let Some(unknown) = options.selected.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(format!("no section is called {unknown}; there are {}", names.join(", ")).into());
    }
    let mut failed = Vec::new();
    for (name, measure) in SECTIONS.iter().filter(|(name, _)| options.selects(name)) {
        eprintln!("==> {name}");
        match measure(&options) {
            Ok(section) => keep(section, &options, &names)?,
            Err(error) => {
                eprintln!("error: {name}: {}", crew::describe(error.as_ref()));
                failed.push(*name);
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("no figures from {}", failed.join(", ")).into()) }
}

fn keep(mut section: Section, options: &Options, names: &[&str]) -> Result<()> {
    conditions::record(&mut section, options)?;
    println!("{}", section.markdown());
    report::save(&options.out, &section)?;
    report::assemble(&options.out, names)
}
