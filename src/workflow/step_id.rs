//! How a step's id is put together: its task's, and its place in the template.

/// The task of a step.
pub const fn task_of(step_id: i64) -> i64 {
    step_id >> 16
}

/// The step of a task with this place in the template, from 0.
pub fn step_of(task_id: i64, index: i32) -> i64 {
    (task_id << 16) + 1 + i64::from(index)
}

/// The place of a step in its template, from 0.
pub const fn index_of(step_id: i64) -> i32 {
    (step_id & 0xFFFF) as i32 - 1
}
