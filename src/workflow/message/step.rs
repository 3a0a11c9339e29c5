//! The message of a step, put together from parts that are jsonb already.

use crate::workflow::jsonb::{self, Children, Failure};

/// What a message says. Texts are in the encoding of the database, jsonb is its content without the length in front.
pub struct Step<'a> {
    pub step_id: i64,
    pub task_id: i64,
    pub attempt: i64,
    pub max_attempts: i64,
    pub timeout_seconds: i64,
    pub priority: i64,
    pub correlation_id: &'a str,
    pub enqueued_at: &'a [u8],
    pub namespace: &'a [u8],
    pub task_name: &'a [u8],
    pub task_version: &'a [u8],
    pub step_name: &'a [u8],
    pub step_type: &'a [u8],
    pub handler: &'a [u8],
    pub context: &'a [u8],
    pub initiator: Option<&'a [u8]>,
    pub tags: &'a [Option<&'a [u8]>],
}

/// A step whose results are in the message.
pub struct Parent<'a> {
    pub step_id: i64,
    pub name: &'a [u8],
    pub results: Option<&'a [u8]>,
}

/// The message; `omitted`: it says that the results of the parents are left out.
pub fn step_message(step: &Step, parents: &[Parent], omitted: bool) -> Result<Vec<u8>, Failure> {
    const KEYS: [&str; 10] = [
        "attempt",
        "step_id",
        "task_id",
        "metadata",
        "namespace",
        "step_name",
        "task_name",
        "step_payload",
        "task_version",
        "execution_context",
    ];
    let size = parents.iter().filter_map(|parent| parent.results).map(<[u8]>::len).sum::<usize>();
    jsonb::object(capacity(step, parents, if omitted { 0 } else { size }), &KEYS, |values| {
        values.number(step.attempt);
        values.number(step.step_id);
        values.number(step.task_id);
        metadata(values, step);
        values.string(step.namespace);
        values.string(step.step_name);
        values.string(step.task_name);
        payload(values, step);
        values.string(step.task_version);
        execution_context(values, step, parents, omitted);
    })
}

/// The most that the message takes.
fn capacity(step: &Step, parents: &[Parent], results: usize) -> usize {
    /// Keys, entries, numbers, padding.
    const ALL_ELSE: usize = 1024;
    const ALL_ELSE_OF_A_PARENT: usize = 128;
    const ALL_ELSE_OF_A_TAG: usize = 4;
    let parts = [
        step.enqueued_at,
        step.namespace,
        step.task_name,
        step.task_version,
        step.step_name,
        step.step_name, // once more in the execution context
        step.step_type,
        step.handler,
        step.context,
        step.initiator.unwrap_or_default(),
    ];
    let tags = step.tags.iter().map(|tag| ALL_ELSE_OF_A_TAG + tag.map_or(0, <[u8]>::len)).sum::<usize>();
    let parents = parents.iter().map(|parent| ALL_ELSE_OF_A_PARENT + parent.name.len()).sum::<usize>();
    ALL_ELSE + parts.iter().map(|part| part.len()).sum::<usize>() + tags + parents + results
}

fn metadata(values: &mut Children, step: &Step) {
    const KEYS: [&str; 6] =
        ["priority", "enqueued_at", "max_retries", "retry_count", "correlation_id", "timeout_seconds"];
    values.object(&KEYS, |values| {
        values.number(step.priority);
        values.string(step.enqueued_at);
        values.number(step.max_attempts - 1);
        values.number(step.attempt - 1);
        values.string(step.correlation_id.as_bytes());
        values.number(step.timeout_seconds);
    });
}

fn payload(values: &mut Children, step: &Step) {
    values.object(&["step_context", "task_context"], |values| {
        values.object(&["inputs", "handler"], |values| {
            values.object(&[], |_| ());
            values.jsonb(step.handler);
        });
        values.jsonb(step.context);
    });
}

fn execution_context(values: &mut Children, step: &Step, parents: &[Parent], omitted: bool) {
    const KEYS: [&str; 4] = ["step", "task", "sequence", "results_omitted"];
    values.object(&KEYS[..if omitted { 4 } else { 3 }], |values| {
        values.object(&["name", "type", "step_id"], |values| {
            values.string(step.step_name);
            values.string(step.step_type);
            values.number(step.step_id);
        });
        values.object(&["tags", "task_id", "initiator"], |values| {
            values.array(step.tags.len(), |values| {
                for tag in step.tags {
                    match tag {
                        Some(tag) => values.string(tag),
                        None => values.null(),
                    }
                }
            });
            values.number(step.task_id);
            match step.initiator {
                Some(initiator) => values.string(initiator),
                None => values.null(),
            }
        });
        values.array(parents.len(), |entries| {
            for parent in parents {
                entry(entries, parent, omitted);
            }
        });
        if omitted {
            values.yes();
        }
    });
}

fn entry(entries: &mut Children, parent: &Parent, omitted: bool) {
    let keys = if omitted { ["step_id", "step_name", "results_omitted"] } else { ["results", "step_id", "step_name"] };
    entries.object(&keys, |values| {
        match (omitted, parent.results) {
            (true, _) => {}
            (false, Some(results)) => values.jsonb(results),
            (false, None) => values.null(),
        }
        values.number(parent.step_id);
        values.string(parent.name);
        if omitted {
            values.yes();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_takes_no_more_than_was_asked_for() {
        for length in [0, 1, 2, 3, 1000] {
            let text = vec![b'x'; length];
            let list = u32::to_ne_bytes(0x4000_0000); // a jsonb: []
            let step = Step {
                step_id: i64::MIN,
                task_id: i64::MIN,
                attempt: i32::MIN.into(),
                max_attempts: i32::MIN.into(),
                timeout_seconds: i32::MIN.into(),
                priority: i16::MIN.into(),
                correlation_id: "01890a5d-ac96-774b-bcce-b302099a8035",
                enqueued_at: &text,
                namespace: &text,
                task_name: &text,
                task_version: &text,
                step_name: &text,
                step_type: &text,
                handler: &list,
                context: &list,
                initiator: Some(&text),
                tags: &[Some(&text), None],
            };
            let parent = || Parent { step_id: i64::MIN, name: &text, results: Some(&list) };
            for count in [0, 1, 100] {
                let parents: Vec<_> = (0..count).map(|_| parent()).collect();
                for (omitted, results) in [(true, 0), (false, 4 * count)] {
                    let message = step_message(&step, &parents, omitted).expect("it is small");
                    let asked = capacity(&step, &parents, results);
                    assert!(message.len() <= asked, "{} of {asked} bytes", message.len());
                }
            }
        }
    }
}
