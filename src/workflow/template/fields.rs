//! The fields of a definition, place by place: under which key of the normal form each is kept, and what it may hold.

use super::fault::{Faults, Place};
use super::{legacy, rules};
use serde_json::Value;

/// Checks a value that is not null and returns it as the normal form keeps it, or adds a fault.
pub type Check = fn(&Value, &Place, &mut Faults) -> Option<Value>;

/// What is done with a field.
pub enum Rule {
    /// One value.
    Value(Check),
    /// A mapping with fields of its own, kept as a section; a plain text stands for the field of that name.
    Section(&'static [Field], Option<&'static str>),
    /// Kept without effect, whatever it holds.
    Ignored,
    /// Known and not honoured yet: accepted only when it holds nothing (null, "", [] or {}).
    Empty,
    /// Steps, dependencies, environments: read by code of their own.
    Elsewhere,
}

/// One known field: its name, and the section ("" for none) and key of the normal form that it fills.
pub struct Field {
    pub name: &'static str,
    pub section: &'static str,
    pub key: &'static str,
    pub rule: Rule,
}

impl Field {
    /// A field that is kept under its own name.
    pub const fn new(name: &'static str, rule: Rule) -> Field {
        Field { name, section: "", key: name, rule }
    }

    /// Another spelling of `section.key`.
    pub const fn alias(name: &'static str, section: &'static str, key: &'static str, check: Check) -> Field {
        Field { name, section, key, rule: Rule::Value(check) }
    }
}

/// All spellings under which a step names what it depends on; several given are united.
pub const DEPENDENCY_FIELDS: [&str; 4] = ["dependencies", "depends_on", "depends_on_step", "depends_on_steps"];

const TEMPLATE: &[Field] = &[
    Field::new("name", Rule::Value(rules::name)),
    Field::new("namespace_name", Rule::Value(rules::namespace)),
    Field::new("version", Rule::Value(rules::version)),
    Field::new("description", Rule::Value(rules::description)),
    Field::new("metadata", Rule::Value(rules::mapping)),
    Field::new("input_schema", Rule::Value(rules::mapping)),
    Field::new("default_context", Rule::Value(rules::mapping)),
    Field::new("identity_strategy", Rule::Value(rules::identity_strategy)),
    Field::new("on_failure", Rule::Value(rules::on_failure)),
    Field::new("lifecycle", Rule::Section(LIFECYCLE, None)),
    Field::new("limits", Rule::Section(LIMITS, None)),
    Field::new("events", Rule::Section(EVENTS, None)),
    Field::new("system_dependency", Rule::Ignored),
    Field::new("system_dependencies", Rule::Ignored),
    Field::new("domain_events", Rule::Empty),
    Field::new("publishes_events", Rule::Empty),
    Field::new("batch_config", Rule::Empty),
];

const LIFECYCLE: &[Field] = &[
    Field::new("max_duration_minutes", Rule::Value(rules::duration_minutes)),
    Field::new("max_steps_in_process_minutes", Rule::Value(rules::duration_minutes)),
    Field::new("max_waiting_for_dependencies_minutes", Rule::Value(rules::duration_minutes)),
    Field::new("max_waiting_for_retry_minutes", Rule::Value(rules::duration_minutes)),
    Field::new("staleness_action", Rule::Value(rules::staleness_action)),
    Field::new("auto_fail_on_timeout", Rule::Value(rules::boolean)),
    Field::new("auto_dlq_on_timeout", Rule::Value(rules::boolean)),
];

const LIMITS: &[Field] = &[Field::new("max_in_flight", Rule::Value(rules::max_in_flight))];

const EVENTS: &[Field] =
    &[Field::new("task", Rule::Value(rules::task_events)), Field::new("step", Rule::Value(rules::step_events))];

const STEPS: &[Field] = &[Field::new("steps", Rule::Elsewhere)];
const ENVIRONMENTS: &[Field] = &[Field::new("environments", Rule::Elsewhere)];

const STEP: &[Field] = &[
    Field::new("name", Rule::Value(rules::name)),
    Field::new("description", Rule::Value(rules::description)),
    Field::new("type", Rule::Value(rules::step_type)),
    Field::new(DEPENDENCY_FIELDS[0], Rule::Elsewhere),
    Field::new(DEPENDENCY_FIELDS[1], Rule::Elsewhere),
    Field::new(DEPENDENCY_FIELDS[2], Rule::Elsewhere),
    Field::new(DEPENDENCY_FIELDS[3], Rule::Elsewhere),
    Field::new("handler", Rule::Section(HANDLER, Some("callable"))),
    Field::alias("handler_class", "handler", "callable", rules::short_text),
    Field::alias("handler_config", "handler", "initialization", rules::mapping),
    Field::new("retry", Rule::Section(RETRY, None)),
    Field::alias("default_retryable", "retry", "retryable", rules::boolean),
    Field::alias("default_retry_limit", "retry", "max_attempts", rules::attempts),
    Field::new("timeout_seconds", Rule::Value(rules::timeout)),
    Field::new("skippable", Rule::Value(rules::boolean)),
    Field::new("system_dependency", Rule::Ignored),
    Field::new("system_dependencies", Rule::Ignored),
    Field::new("domain_events", Rule::Empty),
    Field::new("publishes_events", Rule::Empty),
    Field::new("batch_config", Rule::Empty),
];

const HANDLER: &[Field] = &[
    Field::new("callable", Rule::Value(rules::short_text)),
    Field::new("method", Rule::Value(rules::short_text)),
    Field::new("resolver", Rule::Value(rules::short_text)),
    Field::new("initialization", Rule::Value(rules::mapping)),
];

const RETRY: &[Field] = &[
    Field::new("retryable", Rule::Value(rules::boolean)),
    Field::new("max_attempts", Rule::Value(rules::attempts)),
    Field::new("backoff", Rule::Value(rules::backoff)),
    Field::new("backoff_base_ms", Rule::Value(rules::milliseconds)),
    Field::new("max_backoff_ms", Rule::Value(rules::milliseconds)),
    Field::alias("initial_delay", "", "backoff_base_ms", rules::seconds),
    Field::alias("max_delay", "", "max_backoff_ms", rules::seconds),
];

/// How a definition is laid out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// With `steps`.
    Current,
    /// With `named_steps` and `step_templates`.
    Older,
}

/// The tables that hold at a place, one after the other.
pub type Tables = &'static [&'static [Field]];

impl Layout {
    /// The field that lists the steps.
    pub fn steps_field(self) -> &'static str {
        match self {
            Layout::Current => "steps",
            Layout::Older => "step_templates",
        }
    }

    /// The fields of a whole definition.
    pub fn definition(self) -> Tables {
        match self {
            Layout::Current => &[TEMPLATE, STEPS, ENVIRONMENTS],
            Layout::Older => &[TEMPLATE, legacy::TEMPLATE, legacy::NAMED_STEPS, ENVIRONMENTS],
        }
    }

    /// The fields of an environment's override.
    pub fn overrides(self) -> Tables {
        match self {
            Layout::Current => &[TEMPLATE, STEPS],
            Layout::Older => &[TEMPLATE, legacy::TEMPLATE],
        }
    }

    /// The fields of a step.
    pub fn step(self) -> Tables {
        match self {
            Layout::Current => &[STEP],
            Layout::Older => &[STEP, legacy::STEP],
        }
    }
}
