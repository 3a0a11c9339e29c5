//! Workflow orchestration inside PostgreSQL.
//!
//! State lives in tables and changes in SQL functions: see `sql/`, in the order of `build.rs`. Rust is what runs
//! (`process`), what SQL cannot say well (`workflow`), and the settings (`guc`).

use pgrx::prelude::*;

mod error;
mod guc;
mod process;
mod workflow;

pgrx::pg_module_magic!();

// The install script: sql/ before and after the functions declared in Rust (see build.rs).
include!(concat!(env!("OUT_DIR"), "/sql.rs"));

/// Called when the library is loaded: by the postmaster when it is in shared_preload_libraries, else by the first
/// backend that calls one of its functions.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    guc::init();
    process::init();
}
