//! How long the views take that dashboards poll.

use std::time::Instant;

use serde_json::json;

use crate::Result;
use crate::report::{Section, figure};
use crate::server::Database;
use crate::stats::median;

/// What a dashboard shows of a long list.
const PAGE: usize = 100;
const TIMES: usize = 3;
const PATIENCE: &str = "20s";

/// Asks every view, and the functions that sum up.
pub fn measure(section: &mut Section, database: &mut Database, where_: &str) -> Result<()> {
    let views = database.rows("select viewname::text from pg_views where schemaname = 'tasker' order by viewname")?;
    let mut questions = Vec::new();
    for view in &views {
        let name: String = view.try_get(0)?;
        questions.push((name.clone(), format!("select * from tasker.{name} limit {PAGE}")));
    }
    for call in ["get_system_health_counts()", "get_analytics_metrics(now() - interval '1 hour')"] {
        questions.push((call.to_string(), format!("select * from tasker.{call}")));
    }
    let mut rows = Vec::new();
    let mut slowest: f64 = 0.0;
    database.run(&format!("set statement_timeout = '{PATIENCE}'"))?;
    for (name, question) in &questions {
        let time = time(database, question)?;
        section.samples.push(json!({"question": name, "where": where_, "milliseconds": time}));
        rows.push(vec![name.clone(), time.map_or_else(|| format!("over {PATIENCE}"), figure)]);
        // Views are what dashboards poll; a function is asked when somebody looks.
        if !name.contains('(') {
            slowest = slowest.max(time.unwrap_or(f64::INFINITY));
        }
    }
    database.run("reset statement_timeout")?;
    section.table(&format!("Views {where_}, first {PAGE} rows, ms"), &["view or function", "ms"], rows);
    section.at_most(format!("slowest view {where_}, ms"), 50.0, slowest);
    Ok(())
}

/// The median, in milliseconds; `None` when it takes too long.
fn time(database: &mut Database, question: &str) -> Result<Option<f64>> {
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let begin = Instant::now();
        match database.client.query(question, &[]) {
            Ok(_) => times.push(begin.elapsed().as_secs_f64() * 1e3),
            Err(error) if error.code() == Some(&postgres::error::SqlState::QUERY_CANCELED) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(median(&times)))
}
