//! The benchmark runs, measures everything it says, and its figures add up. How fast anything was does not matter here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

mod common;
use common::{environment, output, project};

/// All but those that only repeat others with another graph, or other numbers of workers.
const SECTIONS: [&str; 8] = ["chain10", "latency", "backlog", "history", "wide", "producers", "idle", "steady"];
const STEPS: u64 = 600;
const WAYS: [&str; 5] = ["raw pgmq", "plain pgmq", "functions", "advancing", "exchange_steps"];

fn run(out: &Path) {
    let _ = fs::remove_dir_all(out);
    let mut bench = Command::new(project("scripts/bench"));
    bench.env("BENCH", SECTIONS.join(" ")).env("BENCH_QUICK", "1").env("BENCH_STEPS", STEPS.to_string());
    bench.env("BENCH_OUT", out).env("BENCH_CLUSTER", Path::new(&environment("TASKER_CLUSTERS")).join("bench"));
    output(&mut bench);
}

fn results() -> PathBuf {
    Path::new(&environment("TASKER_CLUSTERS")).with_file_name("bench")
}

fn section(out: &Path, name: &str) -> Value {
    let path = out.join(format!("results/{name}.json"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The run itself refuses figures of a load that lost a step; this looks at what it wrote.
#[test]
fn a_short_run_measures_everything() {
    let out = results();
    run(&out);
    let report = fs::read_to_string(out.join("RESULTS.md")).expect("RESULTS.md is there");
    for name in SECTIONS {
        let section = section(&out, name);
        let title = section["title"].as_str().expect("a title");
        assert!(report.contains(&format!("\n## {title}\n")), "RESULTS.md has no chapter {title:?}");
        assert!(!section["samples"].as_array().expect("samples").is_empty(), "{name} kept no samples");
        for bar in section["bars"].as_array().expect("bars") {
            let row = format!("| {name} | {} | {} |", bar["what"].as_str().unwrap(), bar["limit"].as_str().unwrap());
            assert!(report.contains(&row), "RESULTS.md has no row {row:?}");
        }
    }
    throughput_adds_up(&section(&out, "chain10"));
}

fn throughput_adds_up(section: &Value) {
    let samples = section["samples"].as_array().expect("samples");
    for (batch, steps) in [(100, STEPS), (10, STEPS / 2)] {
        for who in WAYS {
            let of_it: Vec<&Value> =
                samples.iter().filter(|sample| sample["who"] == who && sample["batch"] == batch).collect();
            assert_eq!(of_it.len(), 1, "one round of {who}, batch {batch}");
            let number = |name: &str| of_it[0][name].as_f64().unwrap_or_else(|| panic!("{who} has no {name}"));
            assert_eq!(of_it[0]["steps"], steps, "{who}, batch {batch}");
            let (total, working) = (number("total_seconds"), number("working_seconds"));
            assert!(0.0 < working && working < total, "{who}: {working} of {total} seconds");
            assert!(number("total_server_cpu_seconds") > 0.0, "{who}: CPU");
            assert!(
                number("wal_bytes") >= number("working_wal_bytes") && number("working_wal_bytes") > 0.0,
                "{who}: WAL"
            );
        }
    }
}
