//! Faults: each with its place, all at once.

use super::*;

#[test]
fn all_faults_are_reported_at_once() {
    let text = r#"
name: 7 days
version: "1.0"
identity_strategy: strikt
lifecycle: {staleness_action: alert, max_duration_minutes: 0}
limits: {max_in_flight: 0}
events: {task: [ended], step: [begun]}
batch_config: {size: 3}
task_handlr: X
steps:
  - name: a
    dependencies: [a, b, b, zzz]
  - name: a
    type: decision
    timeout_seconds: 0
    retry: {max_attempt: 3, backoff: exponental, backoff_base_ms: -1}
  - dependencies: [bb]
    skippable: yes
  - just text
  - name: bbb
    handler: {callable: A}
    handler_class: B
    retry: {max_delay: 5, max_backoff_ms: 4000}
    default_retry_limit: 2
"#;
    let mut found = faults(text);
    found.sort();
    let expected_paths = [
        "batch_config",
        "events.step[0]",
        "events.task[0]",
        "identity_strategy",
        "lifecycle.max_duration_minutes",
        "lifecycle.staleness_action",
        "limits.max_in_flight",
        "name",
        "namespace_name",
        "steps[0].dependencies[0]",
        "steps[0].dependencies[1]",
        "steps[0].dependencies[2]",
        "steps[0].dependencies[3]",
        "steps[1].name",
        "steps[1].retry.backoff",
        "steps[1].retry.backoff_base_ms",
        "steps[1].retry.max_attempt",
        "steps[1].timeout_seconds",
        "steps[1].type",
        "steps[2].dependencies[0]",
        "steps[2].name",
        "steps[2].skippable",
        "steps[3]",
        "steps[4].handler_class",
        "steps[4].retry.max_delay",
        "task_handlr",
        "version",
    ];
    let paths: Vec<_> = found.iter().filter_map(|fault| fault.split(": ").next()).collect();
    assert_eq!(paths, expected_paths, "{found:#?}");
    assert!(
        found.contains(
            &"steps[1].retry.max_attempt: unknown field \"max_attempt\"; did you mean \"max_attempts\"?".into()
        )
    );
    assert!(found.contains(&"steps[2].dependencies[0]: there is no step \"bb\"; did you mean \"bbb\"?".into()));
}

#[test]
fn a_cycle_is_named_beside_other_faults_and_each_group_once() {
    let text = with_steps(
        "{name: a, dependencies: c}, {name: b, dependencies: a}, {name: c, dependencies: [b, a]}, \
         {name: x, dependencies: y}, {name: y, dependencies: [x, nope]}, {name: z, dependencies: [z, y]}",
    );
    let expected = [
        "steps[4].dependencies[1]: there is no step \"nope\"",
        "steps[5].dependencies[0]: step \"z\" cannot depend on itself",
        "steps: the dependencies form a cycle: a -> c -> a",
        "steps: the dependencies form a cycle: x -> y -> x",
    ];
    assert_eq!(faults(&text), expected);
}

#[test]
fn a_long_cycle_is_shortened() {
    let steps: Vec<_> = (0..5_000).map(|i| format!("{{name: s{i}, dependencies: s{}}}", (i + 4_999) % 5_000)).collect();
    let found = faults(&with_steps(&steps.join(", ")));
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("s0 -> s1 -> ") && found[0].contains(" more ... -> ") && found[0].ends_with(" -> s0"));
    assert!(found[0].len() < 500);
}

#[test]
fn what_is_not_a_mapping_is_a_fault_of_the_whole() {
    for text in ["", "- a", "just text", "5", "[]"] {
        let found = faults(text);
        assert!(found.len() == 1 && found[0].starts_with(": a definition must be a mapping"), "{found:?}");
    }
    assert!(faults("a: [")[0].starts_with(": cannot be read as YAML"));
    assert!(faults("{]")[0].starts_with(": cannot be read as YAML"));
    assert!(faults("{\"a\": ]")[0].starts_with(": cannot be read as JSON"));
    assert!(faults(&" ".repeat(MAX_DEFINITION_BYTES + 1))[0].contains("bytes"));
}

#[test]
fn steps_are_required_and_limited() {
    assert_eq!(faults("name: t\nnamespace_name: n\n"), ["steps: is required"]);
    assert_eq!(faults("name: t\nnamespace_name: n\nsteps: []"), ["steps: must have at least one step"]);
    assert_eq!(faults("name: t\nnamespace_name: n\nsteps: x"), ["steps: must be a list of steps, not the text \"x\""]);
    let many = vec!["{}"; MAX_STEPS + 1].join(", ");
    assert_eq!(faults(&with_steps(&many)), ["steps: must have at most 10000 steps, not 10001"]);
}

#[test]
fn a_bad_input_schema_is_a_fault_with_its_path_inside() {
    let text = ORDER.replace("order_id: {type: integer}", "order_id: {type: integr, minimum: x}");
    let found = faults(&text);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().any(|fault| fault.starts_with("input_schema.properties.order_id.type: ")));
    let older = OLDER.replace("required: [cart_id]", "required: cart_id");
    assert!(faults(&older)[0].starts_with("schema.required: "));
}

#[test]
fn ten_thousand_unknown_parents_do_not_take_long() {
    let steps: Vec<_> = (0..MAX_STEPS).map(|i| format!("{{name: step_{i}, dependencies: unknown_{i}}}")).collect();
    let started = Instant::now();
    assert!(faults(&with_steps(&steps.join(", "))).len() > 1_000);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn what_cannot_be_done_about_a_stuck_task_is_refused() {
    let paths = |lifecycle: &str| {
        let compilation = compile(&format!("{}lifecycle: {{{lifecycle}}}\n", with_steps("{name: a}")), None);
        compilation.faults.into_iter().map(|fault| fault.path).collect::<Vec<_>>()
    };
    assert_eq!(paths("auto_dlq_on_timeout: false"), ["lifecycle.auto_dlq_on_timeout"]);
    assert_eq!(paths("staleness_action: error, auto_dlq_on_timeout: false"), ["lifecycle.auto_dlq_on_timeout"]);
    assert_eq!(paths("staleness_action: none, auto_fail_on_timeout: true"), ["lifecycle.auto_fail_on_timeout"]);
    assert_eq!(paths("staleness_action: none, auto_dlq_on_timeout: true"), ["lifecycle.auto_dlq_on_timeout"]);
    assert_eq!(paths("max_steps_in_process_minutes: 0"), ["lifecycle.max_steps_in_process_minutes"]);
    assert!(paths("staleness_action: none, auto_dlq_on_timeout: false, auto_fail_on_timeout: false").is_empty());
    assert!(paths("staleness_action: error, auto_dlq_on_timeout: true, auto_fail_on_timeout: true").is_empty());
}
