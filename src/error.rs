//! Every error that Rust raises towards SQL, in one table: SQLSTATE, message, hint.

use pgrx::pg_sys::elog::PgLogLevel;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// What can go wrong.
pub enum Error {
    /// `_graph` was asked for a format that does not exist.
    GraphFormat(String),
    /// `_graph` was given something that is no graph: the reason.
    Graph(String),
    /// The client of a waiting call has gone: what the call would take, it would take for nobody.
    ClientGone,
    /// A row that makes no sense was to be written.
    Unsound { table: &'static str, rule: &'static str },
    /// There is no number for another attempt of a step: its id.
    NoAttemptLeft(i64),
    /// A step's message is larger than jsonb can be: the step's id.
    MessageSize(i64),
    /// There is no memory for a step's message: the step's id.
    MessageMemory(i64),
    /// A row cannot be updated, as somebody else is changing it.
    RowChanges,
    /// A number in a row would be greater than its column can hold.
    NumberRange,
    /// `_setting` was asked for a setting that does not exist.
    Setting { name: String, known: String },
}

impl Error {
    fn parts(self) -> (PgSqlErrorCode, String, String) {
        use PgSqlErrorCode::*;
        match self {
            Self::GraphFormat(format) => (
                ERRCODE_INVALID_PARAMETER_VALUE,
                format!("unknown graph format \"{format}\""),
                "Use 'mermaid' or 'dot'.".to_owned(),
            ),
            Self::Graph(reason) => (ERRCODE_INVALID_PARAMETER_VALUE, format!("not a graph: {reason}"), String::new()),
            Self::ClientGone => {
                (ERRCODE_CONNECTION_FAILURE, "the client has gone while its call waited".to_owned(), String::new())
            }
            Self::Unsound { table, rule } => (
                ERRCODE_CHECK_VIOLATION,
                format!("row of tasker.{table} would make no sense: must hold that {rule}"),
                "These tables are the engine's. To change the course of a task or step call the functions for operators."
                    .to_owned(),
            ),
            Self::NoAttemptLeft(step_id) => (
                ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
                format!("step {step_id} has had {} attempts, and there is no number for another", i32::MAX),
                "Cancel its task and request it anew.".to_owned(),
            ),
            Self::MessageSize(step_id) => (
                ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                format!("the message of step {step_id} is larger than the 256 MB that jsonb can hold"),
                "Lower tasker.max_message_bytes, so that the results of its parents are left out.".to_owned(),
            ),
            Self::MessageMemory(step_id) => (
                ERRCODE_OUT_OF_MEMORY,
                format!("out of memory for the message of step {step_id}"),
                "Lower tasker.max_message_bytes, so that the results of its parents are left out.".to_owned(),
            ),
            Self::RowChanges => (
                ERRCODE_T_R_SERIALIZATION_FAILURE,
                "a row is being changed by somebody else".to_owned(),
                "Try again.".to_owned(),
            ),
            Self::NumberRange => {
                (ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, "integer out of range".to_owned(), String::new())
            }
            Self::Setting { name, known } => (
                ERRCODE_UNDEFINED_OBJECT,
                format!("there is no setting \"tasker.{name}\""),
                format!("The settings are: {known}."),
            ),
        }
    }
}

/// Raises an error.
pub fn raise(error: Error) -> ! {
    let (code, message, hint) = error.parts();
    let report = ErrorReport::new(code, message, "tasker_pg");
    let report = if hint.is_empty() { report } else { report.set_hint(hint) };
    report.report(PgLogLevel::ERROR);
    unreachable!("an error report of level ERROR does not return")
}
