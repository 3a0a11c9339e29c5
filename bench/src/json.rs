//! JSON as text on its way to and from jsonb: most of it is only handed on, so it is not parsed.

use std::error::Error;

use postgres::types::private::BytesMut;
use postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use serde::Deserialize;

/// The version byte that stands before jsonb in the binary protocol.
const JSONB_VERSION: u8 = 1;

#[derive(Clone, Debug)]
pub struct Json(pub String);

impl ToSql for Json {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&[JSONB_VERSION]);
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::JSONB
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Json {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Json, Box<dyn Error + Sync + Send>> {
        let text = raw.get(1..).ok_or("an empty jsonb")?;
        Ok(Json(std::str::from_utf8(text)?.to_string()))
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::JSONB
    }
}

/// What a worker needs of a step message.
#[derive(Deserialize)]
pub struct Step {
    pub step_id: i64,
    pub task_id: i64,
    pub attempt: i32,
}

impl Step {
    pub fn of(message: &Json) -> Result<Step, serde_json::Error> {
        serde_json::from_str(&message.0)
    }

    /// The report of success that every worker here sends, plain or by function.
    pub fn result(&self) -> Json {
        Json(format!(
            r#"{{"step_id": {}, "task_id": {}, "attempt": {}, "status": "success", "result_data": {{"order_id": "A-1000001", "total_cents": 4700}}, "execution_time_ms": 1}}"#,
            self.step_id, self.task_id, self.attempt
        ))
    }
}
