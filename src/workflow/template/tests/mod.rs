//! Whole definitions, from text to compilation.

mod faults;
mod layouts;
mod properties;

use super::*;
use serde_json::json;
use std::time::{Duration, Instant};

const ORDER: &str = r#"
name: process_order
namespace_name: fulfillment
version: 2.1.0
description: Validates, reserves, charges, ships
metadata: {owner: shop}
input_schema:
  type: object
  required: [order_id]
  properties:
    order_id: {type: integer}
default_context: {currency: EUR}
lifecycle: {max_duration_minutes: 60}
system_dependencies: {primary: default, secondary: []}
domain_events: []
environments:
  production:
    lifecycle: {max_duration_minutes: 30}
    default_context: {region: eu}
    steps:
      - name: pay
        timeout_seconds: 20
        retry: {max_attempts: 8}
      - name: ship
        dependencies: [reserve, pay]
  test: ~
steps:
  - name: validate
    handler: Orders::Validate
  - name: reserve
    depends_on: validate
    handler: {callable: Orders::Reserve, method: call, initialization: {warehouse: 7}}
    system_dependency:
  - name: pay
    depends_on_steps: [validate]
    handler_class: Orders::Pay
    handler_config: {gateway: acme}
    retry: {max_attempts: 5, initial_delay: 0.5, max_delay: 60}
    publishes_events: []
  - name: ship
    dependencies: [pay]
    depends_on_step: reserve
    timeout_seconds: 90
    skippable: true
"#;

const OLDER: &str = r#"
---
name: integration_example
namespace_name: api
module_namespace: ApiTask
task_handler_class: IntegrationExample
default_dependent_system: ecommerce_system
concurrent: true
named_steps:
  - fetch_cart
  - create_order
schema:
  type: object
  required: [cart_id]
step_templates:
  - name: fetch_cart
    description: Fetch the cart
    dependent_system: ecommerce
    handler_class: ApiTask::FetchCart
    handler_config: {type: api, url: "https://api.example.com/cart"}
  - name: create_order
    depends_on_step: fetch_cart
    default_retryable: false
    default_retry_limit: 2
    skippable: true
    handler_class: ApiTask::CreateOrder
"#;

fn good(definition: &str, environment: Option<&str>) -> Compilation {
    let compilation = compile(definition, environment);
    assert_eq!(compilation.faults, [], "{definition}");
    compilation
}

fn normal(definition: &str, environment: Option<&str>) -> Value {
    good(definition, environment).definition.unwrap()
}

/// The faults as `path: message`.
fn faults(definition: &str) -> Vec<String> {
    let compilation = compile(definition, None);
    assert!(compilation.definition.is_none() && compilation.compiled.is_none() && compilation.checksum.is_none());
    compilation.faults.into_iter().map(|fault| format!("{}: {}", fault.path, fault.message)).collect()
}

/// A definition around some steps, in YAML flow style.
fn with_steps(steps: &str) -> String {
    format!("name: t\nnamespace_name: n\nsteps: [{steps}]\n")
}

#[test]
fn every_key_of_the_normal_form_is_present() {
    let expected = json!({
        "namespace_name": "n", "name": "t", "version": "1.0.0", "description": null, "metadata": {},
        "input_schema": null, "default_context": {}, "identity_strategy": "always_unique", "on_failure": "continue",
        "lifecycle": {"max_duration_minutes": null}, "limits": {"max_in_flight": null},
        "events": {"task": [], "step": []},
        "steps": [{
            "name": "a", "description": null, "type": "standard", "dependencies": [],
            "handler": {"callable": null, "method": null, "resolver": null, "initialization": {}},
            "retry": {"retryable": true, "max_attempts": 3, "backoff": "exponential", "backoff_base_ms": 1000,
                      "max_backoff_ms": null},
            "timeout_seconds": null, "skippable": false,
        }],
    });
    assert_eq!(normal(&with_steps("{name: a}"), None), expected);
}

#[test]
fn every_spelling_ends_in_the_same_normal_form() {
    let template = normal(ORDER, None);
    let step = |index: usize| &template["steps"][index];
    assert_eq!(step(0)["handler"]["callable"], "Orders::Validate");
    assert_eq!(step(1)["dependencies"], json!(["validate"]));
    assert_eq!(step(1)["handler"]["initialization"], json!({"warehouse": 7}));
    assert_eq!(step(2)["dependencies"], json!(["validate"]));
    assert_eq!(step(2)["handler"]["callable"], "Orders::Pay");
    assert_eq!(step(2)["handler"]["initialization"], json!({"gateway": "acme"}));
    assert_eq!(step(2)["retry"]["max_attempts"], 5);
    assert_eq!(step(2)["retry"]["backoff_base_ms"], 500);
    assert_eq!(step(2)["retry"]["max_backoff_ms"], 60_000);
    assert_eq!(step(3)["dependencies"], json!(["reserve", "pay"]));
}

#[test]
fn the_dag_is_compiled_by_index() {
    let compiled = serde_json::to_value(good(ORDER, None).compiled.unwrap()).unwrap();
    let expected = json!({"steps": [
        {"index": 0, "name": "validate", "level": 0, "parents": []},
        {"index": 1, "name": "reserve", "level": 1, "parents": [0]},
        {"index": 2, "name": "pay", "level": 1, "parents": [0]},
        {"index": 3, "name": "ship", "level": 2, "parents": [1, 2]},
    ]});
    assert_eq!(compiled, expected);
}

#[test]
fn json_and_yaml_have_the_same_checksum() {
    let json = parse::parse(ORDER).unwrap().to_string();
    assert_eq!(good(&json, None).checksum, good(ORDER, None).checksum);
}

#[test]
fn fields_that_we_do_not_honour_yet_are_accepted_when_they_say_nothing() {
    good(
        r#"
name: t
namespace_name: n
domain_events: {}
batch_config: ~
publishes_events: ""
limits: {max_in_flight: ~}
events: {task: [], step: []}
lifecycle: {staleness_action: ~, auto_fail_on_timeout: ~}
steps: [{name: a, batch_config: {}, domain_events: [], publishes_events: [], system_dependencies: {x: 1}, type: standard}]
"#,
        None,
    );
}

#[test]
fn nesting_that_the_normal_form_deepens_is_counted_there() {
    let nested = format!("{}1{}", "[".repeat(60), "]".repeat(60));
    let at_the_limit = with_steps(&format!("{{name: a, handler: {{initialization: {{x: {}}}}}}}", &nested[1..120]));
    assert_eq!(normal(&at_the_limit, None)["name"], "t");
    let beyond = with_steps(&format!("{{name: a, handler_config: {{x: {nested}}}}}"));
    assert_eq!(faults(&beyond).len(), 1);
}

#[test]
fn ten_thousand_steps_with_a_wide_fan_in_compile_quickly() {
    let names: Vec<_> = (0..MAX_STEPS - 1).map(|i| format!("step_{i}")).collect();
    let mut steps: Vec<_> =
        names.iter().map(|name| format!("{{name: {name}, dependencies: [], handler: H}}")).collect();
    steps.push(format!("{{name: last, dependencies: [{}]}}", names.join(", ")));
    let text = with_steps(&steps.join(",\n"));
    let started = Instant::now();
    let compiled = good(&text, None).compiled.unwrap();
    let elapsed = started.elapsed();
    assert_eq!(compiled.steps[MAX_STEPS - 1].parents.len(), MAX_STEPS - 1);
    assert!(elapsed < Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 1 }), "{elapsed:?}");
    eprintln!("wide fan-in: {elapsed:?}");
}

#[test]
fn the_normal_form_is_its_own_normal_form() {
    for (text, environment) in [(ORDER, None), (ORDER, Some("production")), (OLDER, None)] {
        let first = good(text, environment);
        let second = good(&first.definition.as_ref().unwrap().to_string(), environment);
        assert_eq!(first.definition, second.definition);
        assert_eq!(first.checksum, second.checksum);
    }
}
