//! What a step costs while a million tasks wait.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use postgres::error::SqlState;
use serde_json::{Value, json};

use crate::Result;
use crate::options::Options;
use crate::report::Section;
use crate::sections::flat::{self, Place, SHAPE};
use crate::sections::views;
use crate::server::{self, Database};
use crate::templates::request;
use crate::workers::NAMESPACE;

pub fn measure(options: &Options) -> Result<Section> {
    let mut section = Section::new("backlog", "Backlog");
    let mut places = flat::fill_and_rest(|| {
        Ok(vec![
            Place::new("nothing waits", "bench_empty", |_| Ok(()))?,
            Place::new("they wait elsewhere", "bench_elsewhere", |database| wait_elsewhere(database, options.backlog))?,
            Place::new("they wait in front", "bench_waiting", |database| {
                request_in_parallel(database, NAMESPACE, SHAPE.name(), options.backlog)
            })?,
        ])
    })?;
    flat::compare(&mut section, &mut places, options)?;
    let waiting = &mut places[2].database;
    views::measure(&mut section, waiting, "beside the backlog")?;
    match claim_plans(waiting)? {
        Some(plans) => section.listings = plans,
        None => section.note("No plans: this server was built without auto_explain."),
    }
    for place in places {
        place.database.drop()?;
    }
    section.condition("waiting tasks", options.backlog);
    section.note("*elsewhere*: half of them in another namespace that nobody works for, half of another template in this namespace that lets one step be in flight. *in front*: of the same template, and older than what is requested: work goes on at their head.");
    section.note("Each round requests as many steps as it works off. Plans: those statements of one pass that read what waits, with what they read.");
    Ok(section)
}

/// Half in a namespace without workers, half of a template with a limit of one.
fn wait_elsewhere(database: &mut Database, tasks: u64) -> Result<()> {
    let template = |namespace: &str, limits: Value| {
        json!({"name": "other", "namespace_name": namespace, "version": "1.0.0", "limits": limits,
            "steps": [{"name": "it", "handler": {"callable": "bench.work"}}]})
    };
    for definition in [template("elsewhere", json!({})), template(NAMESPACE, json!({"max_in_flight": 1}))] {
        database.client.query_one("select tasker.register_template($1::text)", &[&definition.to_string()])?;
    }
    request_in_parallel(database, "elsewhere", "other", tasks / 2)?;
    request_in_parallel(database, NAMESPACE, "other", tasks - tasks / 2)
}

/// By two connections: a million takes its time.
fn request_in_parallel(database: &Database, namespace: &'static str, name: &'static str, tasks: u64) -> Result<()> {
    let halves = [tasks / 2, tasks - tasks / 2];
    let threads = halves.map(|tasks| {
        database.again().map(|mut connection| thread::spawn(move || request(&mut connection, namespace, name, tasks)))
    });
    for thread in threads {
        thread?.join().map_err(|_| "a requester panicked")??;
    }
    Ok(())
}

/// A contributed module: a server built from its source alone has none.
fn has_auto_explain(session: &mut Database) -> Result<bool> {
    match session.client.batch_execute("load 'auto_explain'") {
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_FILE) => Ok(false),
        loaded => Ok(loaded.map(|()| true)?),
    }
}

/// Runs one pass by hand that claims 100, with auto_explain looking on.
fn claim_plans(database: &mut Database) -> Result<Option<Vec<(String, String)>>> {
    server::set(&[("tasker.enabled", "off")])?;
    let plans = explain_a_pass(database);
    server::reset_settings()?;
    plans
}

fn explain_a_pass(database: &mut Database) -> Result<Option<Vec<(String, String)>>> {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&heard);
    let mut session = Database::listen(database.name(), move |notice| {
        listener.lock().unwrap_or_else(PoisonError::into_inner).push(notice);
    })?;
    if !has_auto_explain(&mut session)? {
        return Ok(None);
    }
    session.run(
        "select tasker.set_namespace_limit('bench', max_in_flight + 100) from tasker.namespaces where name = 'bench'",
    )?;
    session.run(
        "set auto_explain.log_min_duration = 0; set auto_explain.log_nested_statements = on;
         set auto_explain.log_analyze = on; set auto_explain.log_buffers = on; set auto_explain.log_level = notice",
    )?;
    let enqueued: i32 = session.value("select enqueued from tasker.orchestrate()")?;
    session.run("set auto_explain.log_min_duration = -1")?;
    let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
    let plans: Vec<String> =
        heard.iter().filter(|text| text.contains("tasker.waiting")).filter_map(|text| plan(text)).collect();
    let headings = (1..).map(|number| format!("Statement {number} of a pass that enqueued {enqueued}"));
    Ok(Some(headings.zip(plans).collect()))
}

/// Lists of ids are longer than anybody reads.
const LONGEST_LINE: usize = 160;

/// The lines after the query's text. The first of them is the first with a cost.
fn plan(explained: &str) -> Option<String> {
    let lines: Vec<&str> = explained.lines().collect();
    let first = lines.iter().position(|line| line.contains("(cost="))?;
    Some(lines[first..].iter().map(|line| shortened(line)).collect::<Vec<_>>().join("\n"))
}

fn shortened(line: &str) -> String {
    if line.chars().count() <= LONGEST_LINE {
        line.to_string()
    } else {
        line.chars().take(LONGEST_LINE).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_begins_after_the_query() {
        let explained = "duration: 1 ms  plan:\nQuery Text: select 1\nfrom tasker.waiting\nLimit  (cost=0.1..8 rows=1)\n  ->  Seq Scan";
        assert_eq!(plan(explained).as_deref(), Some("Limit  (cost=0.1..8 rows=1)\n  ->  Seq Scan"));
        assert_eq!(plan("no plan"), None);
        assert_eq!(shortened(&"x".repeat(500)).chars().count(), LONGEST_LINE + 1);
    }
}
