//! What a step costs where ten million are finished.

use crate::Result;
use crate::crew::Crew;
use crate::options::Options;
use crate::report::Section;
use crate::sections::flat::{self, Place, SHAPE};
use crate::sections::views;
use crate::server::Database;
use crate::templates::request;
use crate::verify;
use crate::workers::{NAMESPACE, Way};

/// Tasks that really ran; the rest are copies of them.
const ORIGINALS: u64 = 100;

pub fn measure(options: &Options) -> Result<Section> {
    let mut section = Section::new("history", "History");
    let mut places = flat::fill_and_rest(|| {
        Ok(vec![
            // The originals here as well: what autovacuum learns of an empty queue decides how pgmq.pop reads it.
            Place::new("next to nothing is finished", "bench_empty", run_originals)?,
            Place::new("finished steps", "bench_history", |database| fill(database, options.history))?,
        ])
    })?;
    flat::compare(&mut section, &mut places, options)?;
    views::measure(&mut section, &mut places[1].database, "beside the history")?;
    for place in places {
        place.database.drop()?;
    }
    section.condition("finished steps", options.history);
    section.note("The history is copied from tasks that ran, set by set, with their steps and all transitions, over a month, into pages as full as finished rows leave them. Vacuumed, and measured when autovacuum has come to rest.");
    Ok(section)
}

fn run_originals(database: &mut Database) -> Result<()> {
    let crew = Crew::start(database, 100, Way::Plain.hands(1))?;
    request(database, NAMESPACE, SHAPE.name(), ORIGINALS)?;
    crew.wait_for(ORIGINALS * SHAPE.steps())?;
    crew.stop()?;
    verify::wait_until_over(database)
}

/// Runs the first tasks, and copies them until there are so many steps.
fn fill(database: &mut Database, steps: u64) -> Result<()> {
    run_originals(database)?;
    let copies = i64::try_from((steps / SHAPE.steps() / ORIGINALS).max(2) - 1)?;
    for table in ["tasks", "steps", "task_transitions", "step_transitions"] {
        let copy = copy(database, table)?;
        // Not from the table itself, which each copy would read as far as it has grown.
        database.run(&format!("create temp table original as select * from tasker.{table}"))?;
        let own = own_fillfactor(database, table)?;
        if let Some(own) = own {
            let fill = fill_of(database, table)?.max(own);
            database.run(&format!("alter table tasker.{table} set (fillfactor = {fill})"))?;
        }
        database.client.execute(&copy, &[&copies])?;
        if let Some(own) = own {
            database.run(&format!("alter table tasker.{table} set (fillfactor = {own})"))?;
        }
        // As autovacuum would have done over the month.
        database.run(&format!("vacuum (freeze, analyze) tasker.{table}"))?;
        database.run("drop table original")?;
    }
    database.run("select setval('tasker.tasks_task_id_seq', (select max(task_id) from tasker.tasks))")
}

fn own_fillfactor(database: &mut Database, table: &str) -> Result<Option<i32>> {
    database.value(&format!(
        "select substring(reloptions::text from 'fillfactor=([0-9]+)')::integer from pg_class where oid = 'tasker.{table}'::regclass"
    ))
}

/// How full, in percent, the pages of a table are once its rows are finished: they grow on the way there.
fn fill_of(database: &mut Database, table: &str) -> Result<i32> {
    let fill: f64 = database.value(&format!(
        "select (sum(pg_column_size(o.*) + 4) * 100.0 / pg_relation_size('tasker.{table}'))::float8 from original o"
    ))?;
    Ok((fill.ceil() as i32).clamp(10, 100))
}

/// The statement that adds $1 copies of a table's rows, each copy's task ids following those of the one before. All
/// columns are taken as they are, but for the ids and times.
fn copy(database: &mut Database, table: &str) -> Result<String> {
    let columns = database.rows(&format!(
        "select quote_ident(a.attname), a.attidentity <> '' and a.attname <> 'task_id',
           a.atttypid = 'timestamptz'::regtype
         from pg_attribute a
         where a.attrelid = 'tasker.{table}'::regclass and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
         order by a.attnum"
    ))?;
    let (mut names, mut values): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for column in &columns {
        let (name, drawn, is_time): (String, bool, bool) = (column.try_get(0)?, column.try_get(1)?, column.try_get(2)?);
        values.push(match name.as_str() {
            "task_id" => format!("o.task_id + n * {ORIGINALS}"),
            "step_id" => format!("o.step_id + ((n * {ORIGINALS}) << 16)"),
            // The last month, but for the last day.
            _ if is_time => format!("o.{name} - interval '31 days' + n * interval '30 days' / $1::bigint"),
            _ if drawn => format!("nextval(pg_get_serial_sequence('tasker.{table}', '{name}'))"),
            _ => format!("o.{name}"),
        });
        names.push(name);
    }
    // Copy after copy, so that rows lie in the order of their tasks.
    Ok(format!(
        "insert into tasker.{table} ({}) overriding system value
         select {} from generate_series(1, $1::bigint) n cross join lateral (select o.* from original o offset n - n) o",
        names.join(", "),
        values.join(", ")
    ))
}
