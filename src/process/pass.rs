//! The passes of an orchestrator, and its other statements. Every one is planned once per process and runs in a transaction of its own.

use std::ffi::CStr;

use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::panic::ErrorReportable;
use pgrx::prelude::*;
use pgrx::spi::{OwnedPreparedStatement, SpiError, SpiResult, SpiTupleTable};

use super::at_once;
use super::clock::clock;
use super::identity::_identity_is_ours;
use super::report::{self, Failure};
use super::session;
use super::slot::Counts;
use crate::guc;

/// With whether the database has the SQL of this library. After an update of the package it has that of an older release until
/// ALTER EXTENSION.
const IDENTITY: &str = concat!(
    "select tasker._identity_is_ours(), e.extversion = '",
    env!("CARGO_PKG_VERSION"),
    "' from pg_catalog.pg_extension e where e.extname = 'tasker_pg'"
);
const QUEUES: &str = "select tasker._ensure_queues()";
/// Behind one that does not go at once; and for the SQL of whatever release.
const PASS: &str = "select accepted::bigint, settled::bigint, late::bigint, rejected::bigint, fired::bigint, \
                    started::bigint, enqueued::bigint, finished::bigint, more, next_due_at \
                    from tasker._orchestrate($1, tried => $2::boolean)";
const PASS_OF_ANY_RELEASE: &str = "select accepted::bigint, settled::bigint, late::bigint, rejected::bigint, fired::bigint, \
                    started::bigint, enqueued::bigint, finished::bigint, more, next_due_at \
                    from tasker.orchestrate($1)";

/// What one pass did.
#[derive(Default)]
pub struct Done {
    pub counts: Counts,
    /// Whether there is more to do at once.
    pub more: bool,
    /// When the next timer is due, in microseconds of the server's epoch.
    pub next_due_at: Option<i64>,
}

impl Done {
    pub fn is_nothing(&self) -> bool {
        !self.more && self.counts == Counts::default()
    }
}

/// Whose work the data in this database is.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub enum Identity {
    Ours,
    /// The database is a copy of the one whose work it is.
    Foreign,
    /// There is no work yet.
    #[default]
    Unknown,
}

/// The statements, planned when first used.
#[derive(Default)]
pub struct Statements {
    identity: Option<OwnedPreparedStatement>,
    pass: Option<OwnedPreparedStatement>,
    /// Whether the database had the SQL of this library when it was last asked for its identity.
    is_current: bool,
}

impl Statements {
    /// Looks whose work this is. `None` when the extension is gone.
    pub fn identity(&mut self) -> Result<Option<Identity>, Failure> {
        in_owner_transaction(c"select tasker._identity_is_ours()", || {
            let (identity, is_current) = select(&mut self.identity, IDENTITY, &[], identity);
            if self.is_current != is_current {
                (self.is_current, self.pass) = (is_current, None);
            }
            identity
        })
    }

    /// Creates what queues are missing. `None` when the extension is gone.
    pub fn ensure_queues(&mut self) -> Result<Option<()>, Failure> {
        in_owner_transaction(c"select tasker._ensure_queues()", || select(&mut None, QUEUES, &[], |_| Ok(())))
    }

    /// Runs a pass. `None` when the extension is gone.
    pub fn pass(&mut self, batch_size: i32) -> Result<Option<Done>, Failure> {
        const ACTIVITY: &CStr = c"select * from tasker.orchestrate()";
        let mut at_once = true;
        let done = in_owner_transaction(ACTIVITY, || {
            let done = if self.is_current { pass_at_once(batch_size) } else { Err(Whole { tried: false }) };
            at_once = false;
            done.unwrap_or_else(|whole| self.whole_pass(batch_size, whole))
        });
        match done {
            // A whole pass finds out what it is, and sets that aside.
            Err(failure) if at_once && !failure.is_of_the_system() => {
                report::log(format!("a pass failed and is repeated as a whole: {}", failure.message), "");
                in_owner_transaction(ACTIVITY, || self.whole_pass(batch_size, Whole { tried: true }))
            }
            done => done,
        }
    }

    fn whole_pass(&mut self, batch_size: i32, Whole { tried }: Whole) -> Done {
        match self.is_current {
            true => select(&mut self.pass, PASS, &[batch_size.into(), i32::from(tried).into()], done),
            false => select(&mut self.pass, PASS_OF_ANY_RELEASE, &[batch_size.into()], done),
        }
    }
}

/// A whole pass has to be made, and whether it has been seen that all of its phases are needed.
struct Whole {
    tried: bool,
}

/// A pass where nothing is special: nearly always. Else nothing is done.
fn pass_at_once(batch_size: i32) -> Result<Done, Whole> {
    if _identity_is_ours() != Some(true) {
        return Err(Whole { tried: true });
    }
    // SAFETY: in a transaction, which is like a statement; the time is a timestamptz.
    let passed = clock().into_datum().and_then(|at| unsafe { at_once::pass(batch_size, at) });
    let passed = passed.ok_or(Whole { tried: true })?;
    let done = Done {
        counts: Counts {
            settled: passed.settled.into(),
            late: passed.late.into(),
            started: passed.started.into(),
            enqueued: passed.enqueued.into(),
            finished: passed.finished.into(),
            ..Counts::default()
        },
        more: passed.more,
        next_due_at: passed.next_due_at,
    };
    if done.is_nothing() && guc::retention() >= 0 {
        return Err(Whole { tried: false }); // time to remove what is old
    }
    // Who acts on a step's message writes, and what he commits lies behind it in the log. And if it is lost, what it came from is
    // not: the next pass does the same again. But the ids of new tasks, dead letters and rejected messages would be others, and
    // whoever has seen a task's end may rely on it.
    if passed.enqueued > 0 && passed.finished == 0 && !guc::synchronous_passes() {
        session::commit_before_disk();
    }
    Ok(done)
}

fn in_owner_transaction<T>(activity: &CStr, body: impl FnOnce() -> T) -> Result<Option<T>, Failure> {
    session::transaction(activity, || {
        session::has_extension().then(|| {
            session::become_owner();
            body()
        })
    })
}

/// Runs a query with whole-number arguments and reads its first row; the default where there is none. Unlike
/// `Spi::get_one` this takes no transaction id: only what the query itself writes does.
fn select<T: Default>(
    plan: &mut Option<OwnedPreparedStatement>,
    query: &str,
    arguments: &[DatumWithOid],
    read: impl FnOnce(SpiTupleTable) -> SpiResult<T>,
) -> T {
    Spi::connect(|client| {
        let types: Vec<PgOid> = arguments.iter().map(|_| PgBuiltInOids::INT4OID.oid()).collect();
        let planned = match plan.take() {
            Some(planned) => planned,
            None => client.prepare(query, &types)?.keep(),
        };
        let rows = client.select(&*plan.insert(planned), Some(1), arguments)?;
        if rows.is_empty() { Ok(T::default()) } else { read(rows.first()) }
    })
    .unwrap_or_report()
}

fn identity(row: SpiTupleTable) -> SpiResult<(Identity, bool)> {
    let identity = match row.get::<bool>(1)? {
        Some(true) => Identity::Ours,
        Some(false) => Identity::Foreign,
        None => Identity::Unknown,
    };
    Ok((identity, row.get::<bool>(2)?.unwrap_or_default()))
}

fn done(row: SpiTupleTable) -> SpiResult<Done> {
    let count = |column| Ok::<_, SpiError>(row.get::<i64>(column)?.unwrap_or_default());
    Ok(Done {
        counts: Counts {
            accepted: count(1)?,
            settled: count(2)?,
            late: count(3)?,
            rejected: count(4)?,
            fired: count(5)?,
            started: count(6)?,
            enqueued: count(7)?,
            finished: count(8)?,
        },
        more: row.get::<bool>(9)?.unwrap_or_default(),
        next_due_at: row.get::<TimestampWithTimeZone>(10)?.map(i64::from),
    })
}
