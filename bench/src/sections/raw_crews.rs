//! Raw pgmq with different numbers of workers and collectors: what it is compared with should be its best.

use crate::Result;
use crate::options::Options;
use crate::report::{Section, figure};
use crate::sections::throughput::{Load, Sample, run_raw};
use crate::stats::median;
use crate::templates::{Samples, Shape};

/// Workers and collectors.
const CREWS: [(usize, usize); 6] = [(1, 1), (2, 1), (2, 2), (3, 2), (4, 1), (4, 2)];

pub fn measure(options: &Options) -> Result<Section> {
    let mut section = Section::new("raw_crews", "Raw pgmq, by number of workers");
    let samples = Samples::take()?;
    for (batch, steps) in [(100, options.steps), (10, options.steps / 2)] {
        let mut measured: Vec<Vec<Sample>> = vec![Vec::new(); CREWS.len()];
        for _ in 0..options.rounds {
            for (place, (workers, collectors)) in measured.iter_mut().zip(CREWS) {
                let load = Load::of(Shape::Chain(10), batch, steps, workers).with_collectors(collectors);
                place.push(run_raw(load, &samples)?);
            }
        }
        let middle =
            |samples: &[Sample], of: fn(&Sample) -> f64| figure(median(&samples.iter().map(of).collect::<Vec<_>>()));
        let rows = CREWS.iter().zip(&measured).map(|((workers, collectors), samples)| {
            let crew = [workers.to_string(), collectors.to_string()];
            crew.into_iter().chain([middle(samples, Sample::rate), middle(samples, Sample::cpu)]).collect()
        });
        let caption = format!("Ten hops, batches of {batch}");
        section.table(&caption, &["workers", "collectors", "steps/s", "server CPU µs a step"], rows.collect());
    }
    section.note("The other chapters use the crew named in their conditions, for raw pgmq and for the orchestrated loads alike; an orchestrator stands in for the collectors.");
    Ok(section)
}
