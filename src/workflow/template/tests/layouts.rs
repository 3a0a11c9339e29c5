//! The overrides of environments, and the older layout.

use super::*;

#[test]
fn an_environment_is_merged_over_the_definition() {
    let template = normal(ORDER, Some("production"));
    assert_eq!(template["lifecycle"]["max_duration_minutes"], 30);
    assert_eq!(template["default_context"], json!({"currency": "EUR", "region": "eu"}));
    assert_eq!(template["steps"][2]["timeout_seconds"], 20);
    assert_eq!(template["steps"][2]["retry"]["max_attempts"], 8);
    assert_eq!(template["steps"][2]["retry"]["backoff_base_ms"], 500);
    assert_eq!(template["steps"][2]["handler"]["callable"], "Orders::Pay");
    assert_eq!(template["steps"][3]["dependencies"], json!(["reserve", "pay"]));
}

#[test]
fn an_environment_that_the_template_lacks_changes_nothing() {
    let plain = good(ORDER, None).checksum;
    assert_eq!(good(ORDER, Some("staging")).checksum, plain);
    assert_eq!(good(ORDER, Some("test")).checksum, plain);
    assert_eq!(good(&with_steps("{name: a}"), Some("x")).checksum, good(&with_steps("{name: a}"), None).checksum);
}

#[test]
fn null_in_an_override_brings_the_default_back() {
    let steps =
        with_steps("{name: a}, {name: b, dependencies: a, timeout_seconds: 9, retry: {max_attempts: 9}, handler: H}");
    let prod = "{name: b, dependencies: ~, timeout_seconds: ~, retry: ~, handler: {callable: ~}}";
    let text = format!("{steps}environments: {{prod: {{steps: [{prod}]}}}}\n");
    let default = normal(&with_steps("{name: a}, {name: b}"), None);
    assert_eq!(normal(&text, Some("prod")), default);
    assert_ne!(normal(&text, None), default);
}

#[test]
fn all_environments_are_checked_even_when_not_chosen() {
    let text = with_steps("{name: alpha}, {name: beta, dependencies: alpha}");
    let text = format!(
        "{text}environments:\n  prod:\n    stepz: []\n    steps:\n      - {{name: alhpa}}\n      - {{name: beta, retry: {{backof: none}}}}\n      - {{timeout_seconds: 1}}\n  dev:\n    steps: [{{name: beta}}, {{name: beta}}]\n    name: ~\n"
    );
    let mut found = faults(&text);
    found.sort();
    assert_eq!(
        found,
        [
            "environments.dev.name: must not be null",
            "environments.dev.steps[1].name: step \"beta\" is overridden twice",
            "environments.prod.steps[0].name: the template has no step \"alhpa\"; did you mean \"alpha\"?",
            "environments.prod.steps[1].retry.backof: unknown field \"backof\"; did you mean \"backoff\"?",
            "environments.prod.steps[2].name: is required",
            "environments.prod.stepz: unknown field \"stepz\"; did you mean \"steps\"?",
        ]
    );
}

#[test]
fn a_cycle_that_an_environment_closes_is_found() {
    let text = with_steps("{name: a}, {name: b, dependencies: a}");
    let text = format!("{text}environments: {{prod: {{steps: [{{name: a, dependencies: b}}]}}}}\n");
    assert_eq!(faults(&text), ["environments.prod.steps: the dependencies form a cycle: a -> b -> a"]);
}

#[test]
fn an_input_schema_that_an_environment_breaks_is_found_when_it_is_chosen() {
    let text = format!("{}environments: {{prod: {{input_schema: {{type: 5}}}}}}\n", with_steps("{name: a}"));
    let faults = compile(&text, Some("prod")).faults;
    assert_eq!(faults[0].path, "environments.prod.input_schema.type");
}

#[test]
fn the_older_layout_has_the_same_normal_form() {
    let current = r#"
name: integration_example
namespace_name: api
input_schema: {type: object, required: [cart_id]}
steps:
  - name: fetch_cart
    description: Fetch the cart
    handler:
      callable: ApiTask::FetchCart
      initialization: {type: api, url: "https://api.example.com/cart"}
  - name: create_order
    dependencies: [fetch_cart]
    retry: {retryable: false, max_attempts: 2}
    skippable: true
    handler: {callable: "ApiTask::CreateOrder"}
"#;
    assert_eq!(normal(OLDER, None), normal(current, None));
    assert_eq!(good(OLDER, None).checksum, good(current, None).checksum);
}

#[test]
fn named_steps_name_the_same_set() {
    let text = OLDER.replace("  - create_order\n", "  - create_oder\n  - fetch_cart\n");
    let expected = [
        "named_steps[1]: step_templates has no step \"create_oder\"; did you mean \"create_order\"?",
        "named_steps[2]: \"fetch_cart\" is named twice",
        "named_steps: lacks \"create_order\", which step_templates describes",
    ];
    assert_eq!(faults(&text), expected);
}

#[test]
fn the_two_layouts_do_not_mix() {
    let mixed = faults(&format!("{OLDER}\nsteps: [{{name: a}}]\n"));
    assert!(mixed.iter().any(|fault| fault.starts_with("step_templates: ") && fault.contains("beside \"steps\"")));
    let current = faults(&format!("{}concurrent: true\n", with_steps("{name: a}")));
    assert_eq!(
        current,
        ["concurrent: unknown field \"concurrent\": it belongs to the older layout, with step_templates"]
    );
}
