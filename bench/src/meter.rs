//! Reads the clocks: wall, CPU of the server and of this program, write-ahead log.

use std::collections::HashMap;
use std::time::Instant;

use crate::Result;
use crate::proc::{self, Kind, ServerCpu};
use crate::server::Database;

pub struct Meter {
    database: Database,
    postmaster: i32,
}

#[derive(Clone)]
pub struct Reading {
    at: Instant,
    server: ServerCpu,
    own: f64,
    wal: f64,
}

/// What lies between two readings.
#[derive(Clone, Debug)]
pub struct Used {
    pub seconds: f64,
    pub server_cpu: f64,
    pub by_kind: HashMap<Kind, f64>,
    pub own_cpu: f64,
    pub wal_bytes: f64,
}

impl Meter {
    /// Has a connection of its own, which stays open.
    pub fn new(database: &Database) -> Result<Meter> {
        let mut database = database.again()?;
        let backend: i32 = database.value("select pg_backend_pid()")?;
        Ok(Meter { database, postmaster: proc::parent(backend)? })
    }

    pub fn read(&mut self) -> Result<Reading> {
        let wal = self.database.value("select (pg_current_wal_insert_lsn() - '0/0')::float8")?;
        Ok(Reading { at: Instant::now(), server: proc::server_cpu(self.postmaster)?, own: proc::own_cpu(), wal })
    }
}

impl Reading {
    /// From `self` to `later`.
    pub fn until(&self, later: &Reading) -> Used {
        let used = |kind: &Kind| later.server.by_kind[kind] - self.server.by_kind.get(kind).unwrap_or(&0.0);
        Used {
            seconds: (later.at - self.at).as_secs_f64(),
            server_cpu: later.server.all - self.server.all,
            by_kind: later.server.by_kind.keys().map(|kind| (*kind, used(kind).max(0.0))).collect(),
            own_cpu: later.own - self.own,
            wal_bytes: later.wal - self.wal,
        }
    }
}

impl Used {
    pub fn of(&self, kind: Kind) -> f64 {
        self.by_kind.get(&kind).copied().unwrap_or(0.0)
    }
}
