//! Lets go of a database that a statement needs for itself alone: DROP DATABASE, CREATE DATABASE ... TEMPLATE,
//! ALTER DATABASE ... RENAME and ... SET TABLESPACE fail while anyone else is connected. So does a change of the extension
//! itself get the tables for itself, and those who come back after it know the new version.

use std::cell::Cell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::time::Duration;

use pgrx::PgList;
use pgrx::prelude::*;

use super::extension::{self, Change};
use super::{session, shmem};

/// The server itself then waits as long again before it gives up.
const PATIENCE: Duration = Duration::from_secs(5);

thread_local! {
    static NEXT: Cell<pg_sys::ProcessUtility_hook_type> = const { Cell::new(None) };
    static LISTENS: Cell<bool> = const { Cell::new(false) };
}

unsafe extern "C-unwind" {
    fn kill(pid: c_int, signal: c_int) -> c_int;

    // The server's own function, undecorated. Errors must pass our hook as they are: a guard would take from them what
    // it does not know, as SQLSTATEs of ours and the names of constraints.
    fn standard_ProcessUtility(
        statement: *mut pg_sys::PlannedStmt,
        query: *const c_char,
        read_only_tree: bool,
        context: pg_sys::ProcessUtilityContext::Type,
        parameters: pg_sys::ParamListInfo,
        environment: *mut pg_sys::QueryEnvironment,
        destination: *mut pg_sys::DestReceiver,
        completion: *mut pg_sys::QueryCompletion,
    );
}

/// Installs the hook. Only while libraries are being preloaded.
pub fn init() {
    // SAFETY: hooks are chained as the server's documentation asks for.
    unsafe {
        NEXT.set(pg_sys::ProcessUtility_hook);
        pg_sys::ProcessUtility_hook = Some(process_utility);
    }
}

/// Not guarded, see above. So this function holds nothing that would have to be dropped.
#[allow(clippy::too_many_arguments)]
unsafe extern "C-unwind" fn process_utility(
    statement: *mut pg_sys::PlannedStmt,
    query: *const c_char,
    read_only_tree: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    parameters: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    destination: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    // SAFETY: the server passes a statement. Everything is passed on as it came.
    unsafe {
        if may_need_room((*statement).utilityStmt) {
            make_room((*statement).utilityStmt);
        }
        let next = NEXT.get().unwrap_or(standard_ProcessUtility);
        next(statement, query, read_only_tree, context, parameters, environment, destination, completion);
    }
}

/// # Safety
/// `statement` is NULL or a parse node.
unsafe fn may_need_room(statement: *mut pg_sys::Node) -> bool {
    use pg_sys::NodeTag::*;
    // SAFETY: see above.
    let Some(node) = (unsafe { statement.as_ref() }) else { return false };
    matches!(
        node.type_,
        T_DropdbStmt | T_CreatedbStmt | T_AlterDatabaseStmt | T_RenameStmt | T_DropStmt | T_AlterExtensionStmt
    )
}

/// Sends away the orchestrators of the database that a statement needs, and keeps them away until the end of the
/// transaction.
#[pg_guard]
unsafe extern "C-unwind" fn make_room(statement: *mut pg_sys::Node) {
    // SAFETY: a parse node, as the server passed it.
    let change = unsafe { statement.as_ref().and_then(|node| extension::change(node)) };
    // SAFETY: the same.
    let needed = change.map(|_| session::database()).or_else(|| unsafe { needed_database(statement) });
    needed.inspect(|database| send_away(*database));
    if change == Some(Change::Drop) {
        extension::lock(); // an update does so by itself
    }
}

fn send_away(database: pg_sys::Oid) {
    listen();
    let pids = shmem::change(|directory| {
        directory.detach(database, session::pid());
        let pids = directory.pids(database);
        // Signalled under the lock, which a process takes before it ends: no pid is another's yet.
        pids.iter().for_each(|pid| terminate(*pid));
        pids
    });
    if let Some(board) = shmem::board().filter(|_| !pids.is_empty()) {
        board.left.wait_until(PATIENCE, || shmem::read(|directory| directory.pids(database)).is_empty());
    }
}

/// Has the server call `at_end` at the end of every transaction of this process, from the first such statement on.
fn listen() {
    if !LISTENS.replace(true) {
        // SAFETY: the function stays loaded for as long as this process lives.
        unsafe { pg_sys::RegisterXactCallback(Some(at_end), std::ptr::null_mut()) };
    }
}

/// Lets the orchestrators come back. Also called when the process ends in the middle of the statement, since that aborts
/// the transaction.
#[pg_guard]
unsafe extern "C-unwind" fn at_end(event: pg_sys::XactEvent::Type, _arg: *mut c_void) {
    use pg_sys::XactEvent::*;
    let ended = matches!(event, XACT_EVENT_COMMIT | XACT_EVENT_ABORT | XACT_EVENT_PREPARE);
    if ended && shmem::change(|directory| directory.reattach(session::pid())) {
        shmem::board().inspect(|board| board.wake_launcher());
    }
}

fn terminate(pid: i32) {
    // SAFETY: asks a process of this server to end, as its own user.
    unsafe { kill(pid, pg_sys::SIGTERM as c_int) };
}

/// The database that a statement needs for itself, where it exists and belongs to the caller. Others cannot run the
/// statement, and should not be able to disturb the orchestrator by trying.
///
/// # Safety
/// `statement` is NULL or a parse node.
unsafe fn needed_database(statement: *mut pg_sys::Node) -> Option<pg_sys::Oid> {
    // SAFETY: see above; a node can be seen as what its tag says.
    let name = unsafe {
        match statement.as_ref()?.type_ {
            pg_sys::NodeTag::T_DropdbStmt => (*statement.cast::<pg_sys::DropdbStmt>()).dbname,
            pg_sys::NodeTag::T_CreatedbStmt => {
                option((*statement.cast::<pg_sys::CreatedbStmt>()).options, c"template")?
            }
            pg_sys::NodeTag::T_AlterDatabaseStmt => moved(&*statement.cast::<pg_sys::AlterDatabaseStmt>())?,
            pg_sys::NodeTag::T_RenameStmt => renamed(&*statement.cast::<pg_sys::RenameStmt>())?,
            _ => return None,
        }
    };
    // SAFETY: a name in a parse tree is a C string or NULL.
    let name = unsafe { (!name.is_null()).then(|| CStr::from_ptr(name).to_owned())? };
    owned_database(&name)
}

/// # Safety
/// A parse node.
unsafe fn moved(statement: &pg_sys::AlterDatabaseStmt) -> Option<*mut c_char> {
    // SAFETY: see above.
    unsafe { option(statement.options, c"tablespace").map(|_| statement.dbname) }
}

fn renamed(statement: &pg_sys::RenameStmt) -> Option<*mut c_char> {
    (statement.renameType == pg_sys::ObjectType::OBJECT_DATABASE).then_some(statement.subname)
}

/// # Safety
/// A list of DefElem.
unsafe fn option(options: *mut pg_sys::List, name: &CStr) -> Option<*mut c_char> {
    // SAFETY: see above. An option with a value is turned into a string by the server's own rules.
    unsafe {
        let list = PgList::<pg_sys::DefElem>::from_pg(options);
        let found = list.iter_ptr().find(|option| CStr::from_ptr((**option).defname) == name);
        found.filter(|option| !(**option).arg.is_null()).map(|option| pg_sys::defGetString(option))
    }
}

fn owned_database(name: &CString) -> Option<pg_sys::Oid> {
    // SAFETY: in a transaction, as every utility statement. The entry is released before it is used up.
    unsafe {
        let oid = pg_sys::get_database_oid(name.as_ptr(), true);
        let key = pg_sys::Datum::from(oid);
        let entry = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::DATABASEOID as c_int, key);
        if entry.is_null() {
            return None;
        }
        let owner = (*pg_sys::GETSTRUCT(entry).cast::<pg_sys::FormData_pg_database>()).datdba;
        pg_sys::ReleaseSysCache(entry);
        pg_sys::has_privs_of_role(pg_sys::GetUserId(), owner).then_some(oid)
    }
}
