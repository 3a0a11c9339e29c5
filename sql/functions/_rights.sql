-- Each right with the functions that it lets a role call, by name: of a role tasker_<right> in all namespaces, and of a
-- role that grant_<right>() named in those that were granted.
create or replace function tasker._rights()
returns jsonb
language sql immutable parallel safe
return '{
  "requester": ["request_task", "request_tasks", "cancel_task", "wait_for_task", "task_results", "find_tasks",
    "get_task_execution_context", "get_task_execution_contexts", "list_templates", "get_template"],
  "author": ["create_namespace", "register_template", "validate_template", "retire_template", "list_templates",
    "get_template", "template_graph"],
  "worker": ["poll_steps", "complete_step", "complete_steps", "exchange_steps", "fail_step", "extend_step", "release_steps",
    "dependency_results", "register_template", "validate_template"],
  "monitor": ["get_task_execution_context", "get_task_execution_contexts", "get_step_readiness_status",
    "get_viable_steps", "calculate_dependency_levels", "get_system_health_counts", "get_analytics_metrics",
    "get_slowest_steps", "get_slowest_tasks", "task_graph", "template_graph", "explain_task", "check",
    "list_templates", "clock", "_computed_priority", "_setting", "_preloaded", "_orchestrator_slots", "_queue_depths",
    "_identity_is_ours", "_backend_snapshots"]
}'::jsonb;
