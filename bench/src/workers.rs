//! Workers of tasker_pg, as the worker contract would have them written. They do nothing but report success.

use postgres::Statement;

use crate::Result;
use crate::crew::{Hand, messages};
use crate::json::{Json, Step};
use crate::server::Database;

/// The namespace of every template here.
pub const NAMESPACE: &str = "bench";

/// How a worker takes and reports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// `pgmq.pop`, and `pgmq.send_batch` of the results.
    Plain,
    /// The same beside two orchestrators, as raw pgmq has two collectors.
    PlainBesideTwo,
    /// `poll_steps`, and `complete_steps`.
    Functions,
    /// `poll_steps`, and `complete_steps(advance => true)`.
    Advancing,
    /// `exchange_steps`.
    Exchanging,
}

impl Way {
    pub const ALL: [Way; 5] = [Way::Plain, Way::PlainBesideTwo, Way::Functions, Way::Advancing, Way::Exchanging];

    pub fn name(self) -> &'static str {
        match self {
            Way::Plain => "plain pgmq",
            Way::PlainBesideTwo => "plain pgmq, 2 orchestrators",
            Way::Functions => "functions",
            Way::Advancing => "advancing",
            Way::Exchanging => "exchange_steps",
        }
    }

    pub fn orchestrators(self) -> usize {
        if matches!(self, Way::PlainBesideTwo) { 2 } else { 1 }
    }

    pub fn hands(self, count: usize) -> Vec<Box<dyn Hand>> {
        (0..count).map(|_| self.hand()).collect()
    }

    fn hand(self) -> Box<dyn Hand> {
        match self {
            Way::Plain | Way::PlainBesideTwo => Box::new(Plain::default()),
            Way::Functions => Box::new(Functions { advance: false, statements: None }),
            Way::Advancing => Box::new(Functions { advance: true, statements: None }),
            Way::Exchanging => Box::new(Exchanging::default()),
        }
    }
}

/// Takes a statement, prepared when it is first needed.
fn prepared(place: &mut Option<[Statement; 2]>, database: &mut Database, texts: [&str; 2]) -> Result<[Statement; 2]> {
    if place.is_none() {
        *place = Some([database.client.prepare(texts[0])?, database.client.prepare(texts[1])?]);
    }
    place.clone().ok_or_else(|| "statements are prepared".into())
}

/// The reports of success for a batch of step messages.
fn results(batch: &[Json]) -> Result<Vec<Json>> {
    Ok(batch
        .iter()
        .map(|message| Step::of(message).map(|step| step.result()))
        .collect::<std::result::Result<_, _>>()?)
}

#[derive(Default)]
struct Plain {
    statements: Option<[Statement; 2]>,
}

impl Hand for Plain {
    fn turn(&mut self, database: &mut Database, batch: i32) -> Result<Option<u64>> {
        let [pop, send] = prepared(
            &mut self.statements,
            database,
            [
                "select message from pgmq.pop('bench_queue', $1)",
                "select pgmq.send_batch('orchestration_step_results', $1)",
            ],
        )?;
        let popped = database.client.query(&pop, &[&batch])?;
        if popped.is_empty() {
            return Ok(None);
        }
        let sent = database.client.execute(&send, &[&results(&messages(&popped, "message")?)?])?;
        Ok(Some(sent))
    }
}

struct Functions {
    advance: bool,
    statements: Option<[Statement; 2]>,
}

impl Hand for Functions {
    fn turn(&mut self, database: &mut Database, batch: i32) -> Result<Option<u64>> {
        let [poll, complete] = prepared(
            &mut self.statements,
            database,
            [
                "select message from tasker.poll_steps('bench', $1, max_wait => '500 ms')",
                "select outcome from tasker.complete_steps($1, advance => $2)",
            ],
        )?;
        let polled = database.client.query(&poll, &[&batch])?;
        if polled.is_empty() {
            return Ok(None);
        }
        let outcomes = database.client.query(&complete, &[&results(&messages(&polled, "message")?)?, &self.advance])?;
        none_lost(&outcomes)?;
        Ok(Some(outcomes.len() as u64))
    }

    fn waits(&self) -> bool {
        true
    }
}

/// Nobody else works on these steps, so each report must count.
fn none_lost(outcomes: &[postgres::Row]) -> Result<()> {
    for row in outcomes {
        let outcome: &str = row.try_get(0)?;
        if outcome != "queued" && outcome != "settled" {
            return Err(format!("a report came out as {outcome}").into());
        }
    }
    Ok(())
}

#[derive(Default)]
struct Exchanging {
    statement: Option<Statement>,
    to_deliver: Vec<Json>,
}

impl Hand for Exchanging {
    fn turn(&mut self, database: &mut Database, batch: i32) -> Result<Option<u64>> {
        let statement = match self.statement.take() {
            Some(statement) => statement,
            None => database
                .client
                .prepare("select message from tasker.exchange_steps('bench', $1, $2, max_wait => '500 ms')")?,
        };
        let received = database.client.query(&statement, &[&self.to_deliver, &batch])?;
        self.statement = Some(statement);
        let delivered = self.to_deliver.len() as u64;
        self.to_deliver = results(&messages(&received, "message")?)?;
        Ok((delivered > 0).then_some(delivered))
    }

    fn waits(&self) -> bool {
        true
    }
}
