//! What SQL says badly: templates, retry delays, the wire protocol, graph text. Pure logic, tested without a server;
//! the functions that SQL calls are in the `sql` modules and do no more than convert.

pub mod backoff;
pub mod graph;
pub mod jsonb;
pub mod message;
mod soundness;
mod sql;
pub mod step_id;
pub mod template;
