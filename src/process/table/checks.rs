//! CHECK constraints of a table that is written to. The server parses them anew for each statement (36,000 instructions one
//! that calls a function); here each text is parsed once a session.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_void};

use pgrx::pg_sys::{EState, ExprState, Oid, ResultRelInfo};
use pgrx::prelude::*;

thread_local! {
    /// By table and number.
    static PARSED: RefCell<HashMap<(Oid, usize), Parsed>> = RefCell::default();
}

struct Parsed {
    /// What the catalog had: so nothing can be out of date.
    text: CString,
    tree: *mut c_void,
}

/// Puts a table's constraints where `ExecConstraints` finds them ready.
///
/// # Safety
/// The table is open, and the state that of what writes to it.
pub unsafe fn prepare(target: *mut ResultRelInfo, state: *mut EState) {
    // SAFETY: see above. What is made here lives as long as the state does.
    unsafe {
        let Some(constraints) = (*(*(*target).ri_RelationDesc).rd_att).constr.as_ref() else { return };
        let count = usize::from(constraints.num_check);
        if count == 0 {
            return;
        }
        let context = pg_sys::MemoryContextSwitchTo((*state).es_query_cxt);
        let ready = pg_sys::palloc0(count * size_of::<*mut ExprState>()).cast::<*mut ExprState>();
        for n in 0..count {
            let check = &*constraints.check.add(n);
            #[cfg(feature = "pg18")]
            if !check.ccenforced {
                continue;
            }
            *ready.add(n) = pg_sys::ExecPrepareExpr(
                parsed((*(*target).ri_RelationDesc).rd_id, n, CStr::from_ptr(check.ccbin)).cast(),
                state,
            );
        }
        pg_sys::MemoryContextSwitchTo(context);
        #[cfg(feature = "pg18")]
        {
            (*target).ri_CheckConstraintExprs = ready;
        }
        #[cfg(not(feature = "pg18"))]
        {
            (*target).ri_ConstraintExprs = ready;
        }
    }
}

/// What the constraint with this number of a table says.
unsafe fn parsed(table: Oid, number: usize, text: &CStr) -> *mut c_void {
    let known = PARSED.with_borrow(|parsed| {
        parsed.get(&(table, number)).filter(|known| known.text.as_c_str() == text).map(|known| known.tree)
    });
    known.unwrap_or_else(|| {
        // SAFETY: the text is the catalog's; what it says is kept for ever.
        let tree = unsafe {
            let context = pg_sys::MemoryContextSwitchTo(pg_sys::CacheMemoryContext);
            let tree = pg_sys::stringToNode(text.as_ptr());
            pg_sys::MemoryContextSwitchTo(context);
            tree
        };
        PARSED.with_borrow_mut(|parsed| parsed.insert((table, number), Parsed { text: text.to_owned(), tree }));
        tree
    })
}
