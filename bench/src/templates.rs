//! Templates, requests for them, and messages of the size that they bring about.

use std::time::Duration;

use serde_json::{Value, json};

use crate::Result;
use crate::json::{Json, Step};
use crate::server::Database;
use crate::workers::NAMESPACE;

/// How many contexts one `request_tasks` holds.
pub const REQUEST: usize = 1000;

/// The form of a graph.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shape {
    Single,
    Chain(usize),
    Diamond,
    /// A step, so many parallel ones, and one that waits for all of these.
    Fan(usize),
    /// So many parallel steps, and one that waits for all of them.
    Wide(usize),
}

impl Shape {
    pub fn name(self) -> &'static str {
        match self {
            Shape::Single => "single",
            Shape::Chain(_) => "chain",
            Shape::Diamond => "diamond",
            Shape::Fan(_) => "fan",
            Shape::Wide(_) => "wide",
        }
    }

    pub fn steps(self) -> u64 {
        match self {
            Shape::Single => 1,
            Shape::Chain(length) => length as u64,
            Shape::Diamond => 4,
            Shape::Fan(width) => width as u64 + 2,
            Shape::Wide(width) => width as u64 + 1,
        }
    }

    /// How many steps follow one another.
    pub fn levels(self) -> u64 {
        match self {
            Shape::Single => 1,
            Shape::Chain(length) => length as u64,
            Shape::Diamond | Shape::Fan(_) => 3,
            Shape::Wide(_) => 2,
        }
    }

    fn nodes(self) -> Vec<(String, Vec<String>)> {
        let step = |n: usize| format!("step_{n}");
        let side_by_side = |width: usize| (1..=width).map(step).collect::<Vec<_>>();
        match self {
            Shape::Single => vec![(step(1), vec![])],
            Shape::Chain(length) => {
                (1..=length).map(|n| (step(n), if n > 1 { vec![step(n - 1)] } else { vec![] })).collect()
            }
            Shape::Diamond => fan(&side_by_side(2)),
            Shape::Fan(width) => fan(&side_by_side(width)),
            Shape::Wide(width) => {
                let parallel = side_by_side(width);
                let end = ("end".to_string(), parallel.clone());
                parallel.into_iter().map(|name| (name, vec![])).chain([end]).collect()
            }
        }
    }

    /// The template's definition. Its name is the shape's.
    pub fn definition(self) -> Value {
        let step = |(name, parents): (String, Vec<String>)| json!({"name": name, "dependencies": parents, "handler": {"callable": "bench.work"}});
        let steps: Vec<Value> = self.nodes().into_iter().map(step).collect();
        json!({"name": self.name(), "namespace_name": NAMESPACE, "version": "1.0.0", "steps": steps})
    }

    pub fn register(self, database: &mut Database) -> Result<()> {
        let definition = self.definition().to_string();
        database.client.query_one("select tasker.register_template($1::text)", &[&definition])?;
        Ok(())
    }
}

fn fan(parallel: &[String]) -> Vec<(String, Vec<String>)> {
    let start = || "start".to_string();
    let middle = parallel.iter().map(|name| (name.clone(), vec![start()]));
    [(start(), vec![])].into_iter().chain(middle).chain([("end".to_string(), parallel.to_vec())]).collect()
}

/// A context of about 100 bytes.
pub fn context(number: u64) -> Json {
    Json(format!(
        r#"{{"order_id": "A-{number:07}", "customer": "C-{:05}", "items": [11, 12, 13], "note": "leave at the door"}}"#,
        number % 100_000
    ))
}

/// Requests tasks in bulk, as the requester would.
pub fn request(database: &mut Database, namespace: &str, name: &str, tasks: u64) -> Result<()> {
    let statement = database.client.prepare("select count(*) from tasker.request_tasks($1::text, $2::text, $3)")?;
    let mut from = 0;
    while from < tasks {
        let to = tasks.min(from + REQUEST as u64);
        let contexts: Vec<Json> = (from..to).map(context).collect();
        let made: i64 = database.client.query_one(&statement, &[&namespace, &name, &contexts])?.try_get(0)?;
        if made as u64 != to - from {
            return Err(format!("{} tasks were requested, {made} made", to - from).into());
        }
        from = to;
    }
    Ok(())
}

/// Real messages, for raw pgmq to carry.
#[derive(Clone)]
pub struct Samples {
    pub step: Json,
    pub result: Json,
}

impl Samples {
    /// Runs a chain to its second step: its message holds one parent's results, as most do.
    pub fn take() -> Result<Samples> {
        let mut database = Database::create("bench_samples", "tasker_pg")?;
        Shape::Chain(3).register(&mut database)?;
        request(&mut database, NAMESPACE, "chain", 1)?;
        let first = Step::of(&next(&mut database)?)?.result();
        database.client.execute("select pgmq.send('orchestration_step_results', $1)", &[&first])?;
        let step = next(&mut database)?;
        let result = Step::of(&step)?.result();
        database.drop()?;
        Ok(Samples { step, result })
    }
}

fn next(database: &mut Database) -> Result<Json> {
    let there = "select exists (select from pgmq.q_bench_queue)";
    database.wait_until("a step was enqueued", there, Duration::from_secs(30))?;
    database.value("select message from pgmq.pop('bench_queue', 1)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_have_the_steps_that_they_say() {
        for shape in [Shape::Single, Shape::Chain(10), Shape::Diamond, Shape::Fan(100), Shape::Wide(30)] {
            assert_eq!(shape.nodes().len() as u64, shape.steps(), "{shape:?}");
        }
    }

    #[test]
    fn the_end_of_a_fan_waits_for_all_of_it() {
        let nodes = Shape::Fan(3).nodes();
        assert_eq!(nodes[4], ("end".to_string(), vec!["step_1".into(), "step_2".into(), "step_3".into()]));
        assert!(nodes[1..4].iter().all(|(_, parents)| parents == &["start"]));
    }

    #[test]
    fn contexts_are_about_100_bytes() {
        assert!((90..=110).contains(&context(5).0.len()), "{}", context(5).0.len());
    }
}
