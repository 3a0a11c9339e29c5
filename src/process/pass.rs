//! The statements of an orchestrator. Every one is planned once per process and runs in a transaction of its own.

use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::panic::ErrorReportable;
use pgrx::prelude::*;
use pgrx::spi::{OwnedPreparedStatement, SpiError, SpiResult, SpiTupleTable};

use super::at_once;
use super::report::Failure;
use super::session;
use super::slot::Counts;
use crate::guc;

const IDENTITY: &str = "select tasker._identity_is_ours()";
const QUEUES: &str = "select tasker._ensure_queues()";
const PASS: &str = "select accepted::bigint, settled::bigint, late::bigint, rejected::bigint, fired::bigint, \
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
}

impl Statements {
    /// Looks whose work this is. `None` when the extension is gone.
    pub fn identity(&mut self) -> Result<Option<Identity>, Failure> {
        in_owner_transaction(c"select tasker._identity_is_ours()", || {
            select(&mut self.identity, IDENTITY, &[], identity)
        })
    }

    /// Creates what queues are missing. `None` when the extension is gone.
    pub fn ensure_queues(&mut self) -> Result<Option<()>, Failure> {
        in_owner_transaction(c"select tasker._ensure_queues()", || select(&mut None, QUEUES, &[], |_| Ok(())))
    }

    /// Runs a pass. `None` when the extension is gone.
    pub fn pass(&mut self, batch_size: i32) -> Result<Option<Done>, Failure> {
        in_owner_transaction(c"select * from tasker.orchestrate()", || {
            let pass = || select(&mut self.pass, PASS, &[batch_size.into()], done);
            let (done, moves_on) = at_once::moves_on(pass);
            // Nobody can build on that before it is on the disk: who acts on a step's message writes, and what he commits lies
            // behind it in the log. And if it is lost, what it came from is not: the next pass does the same again. But the ids
            // of new tasks, dead letters and rejected messages would be others, and whoever has seen a task's end may rely on it.
            if moves_on && !guc::synchronous_passes() {
                session::commit_before_disk();
            }
            done
        })
    }
}

fn in_owner_transaction<T>(activity: &std::ffi::CStr, body: impl FnOnce() -> T) -> Result<Option<T>, Failure> {
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

fn identity(row: SpiTupleTable) -> SpiResult<Identity> {
    Ok(match row.get::<bool>(1)? {
        Some(true) => Identity::Ours,
        Some(false) => Identity::Foreign,
        None => Identity::Unknown,
    })
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
