//! A template with thousands of parallel steps and their fan-in, against fan-out 100.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::Result;
use crate::options::Options;
use crate::report::{Section, figure};
use crate::sections::throughput::{Load, Sample, run_way};
use crate::server::{self, Database};
use crate::stats::median;
use crate::templates::{Shape, request};
use crate::workers::{NAMESPACE, Way};

#[derive(Default)]
struct Times {
    register: Vec<f64>,
    request: Vec<f64>,
    enqueue: Vec<f64>,
}

pub fn measure(options: &Options) -> Result<Section> {
    let wide = Shape::Wide(usize::try_from(options.width)?);
    let mut section = Section::new("wide", "Wide");
    let mut times = Times::default();
    let (mut wide_cpu, mut fan_cpu, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        time_enqueue(wide, &mut times)?;
        let run = |shape| run_way(Load::of(shape, 100, options.steps, options.workers).unlimited(), Way::Plain);
        let (fan, wide) = (run(Shape::Fan(100))?, run(wide)?);
        wide_cpu.push(wide.cpu());
        fan_cpu.push(fan.cpu());
        ratios.push(wide.cpu() / fan.cpu());
        section.samples.push(sample(&times, &wide, &fan));
    }
    let row = |what: &str, values: &[f64]| vec![what.to_string(), figure(median(values))];
    section.table(
        &format!("A template of {} parallel steps and one that waits for them", options.width),
        &["what", "median"],
        vec![
            row("register_template, s", &times.register),
            row("request_task, s", &times.request),
            row("from the request's commit until all parallel steps are enqueued, s", &times.enqueue),
            row("server CPU µs a step, plain workers, batch 100", &wide_cpu),
            row("the same, fan-out to 100", &fan_cpu),
        ],
    );
    section.at_most("register a template of 10,000 steps, s", 5.0, median(&times.register));
    section.at_most("enqueue its parallel steps, s", 1.0, median(&times.enqueue));
    section.at_most("server CPU a step, ÷ fan-out 100's", 1.5, median(&ratios));
    section.note("The namespace has no limit; nobody works while the time to enqueue is taken.");
    Ok(section)
}

fn sample(times: &Times, wide: &Sample, fan: &Sample) -> serde_json::Value {
    json!({
        "register_seconds": times.register.last(), "request_seconds": times.request.last(),
        "enqueue_seconds": times.enqueue.last(), "wide_cpu_us": wide.cpu(), "fan_cpu_us": fan.cpu(),
        "wide_rate": wide.rate(), "fan_rate": fan.rate(),
    })
}

fn time_enqueue(wide: Shape, times: &mut Times) -> Result<()> {
    let mut database = Database::create("bench_wide", "tasker_pg")?;
    server::checkpoint()?;
    let begin = Instant::now();
    wide.register(&mut database)?;
    times.register.push(begin.elapsed().as_secs_f64());
    database.run("select tasker.set_namespace_limit('bench', null)")?;

    let begin = Instant::now();
    request(&mut database, NAMESPACE, wide.name(), 1)?;
    times.request.push(begin.elapsed().as_secs_f64());
    let begin = Instant::now();
    let all = format!("select count(*) = {} from pgmq.q_bench_queue", wide.steps() - 1);
    database.wait_until("every parallel step was enqueued", &all, Duration::from_secs(120))?;
    times.enqueue.push(begin.elapsed().as_secs_f64());
    database.drop()
}
