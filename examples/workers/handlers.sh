# shellcheck shell=bash
# Handlers for worker.sh: one function for each step that it does. See there for what they get and give.

# examples/templates/data_pipeline.yaml: a step that is a query.
# At least once: a worker that dies before it has reported is followed by another, so the rows may be there already.
step_extract() {
  local results
  results=$(sql -v message="$1" <<'SQL'
with asked as (
  select (m ->> 'task_id')::bigint as task_id, (m #>> '{step_payload,task_context,day}')::date as day
  from (select :'message'::jsonb) as message (m)
), copied as (
  insert into shop.extracted (task_id, sale_id, region, product, units, revenue_cents)
  select asked.task_id, s.sale_id, s.region, s.product, s.units, s.units * s.unit_price_cents
  from asked join shop.sales s on s.sold_on = asked.day and s.status = 'paid'
  on conflict (task_id, sale_id) do update set units = excluded.units
  returning 1
)
select jsonb_build_object('day', asked.day, 'rows', count(*)) from asked, copied group by asked.day;
SQL
  ) || { echo 'the query failed'; return 75; }
  [[ -n $results ]] || { echo 'nothing was sold on that day'; return 1; }
  echo "$results"
}

# examples/templates/order_fulfillment.yaml, in short.
step_validate_order() {
  sql -v message="$1" <<'SQL'
select jsonb_build_object('total_cents', sum((i ->> 'quantity')::bigint * (i ->> 'unit_price_cents')::bigint), 'lines', count(*))
from jsonb_array_elements(:'message'::jsonb #> '{step_payload,task_context,items}') as i;
SQL
}

step_reserve_inventory() {
  sql -v message="$1" <<'SQL'
select jsonb_build_object('reservation_id', 'R-' || (:'message'::jsonb ->> 'step_id'),
                          'total_cents', :'message'::jsonb #> '{execution_context,sequence,0,results,total_cents}');
SQL
}

step_process_payment() {
  local message=$1 attempt=$2 token
  token=$(sql -v message="$message" <<<"select :'message'::jsonb #>> '{step_payload,task_context,payment,token}'")
  case $token in
    tok_declined) echo 'card declined'; return 1 ;;
    tok_busy_*) if ((attempt == 1)); then echo "busy. Retry-After: ${token#tok_busy_}"; return 75; fi ;;
  esac
  sql -v message="$message" <<'SQL'
select jsonb_build_object('charge_id', 'ch-step-' || (:'message'::jsonb ->> 'step_id'),
                          'amount_cents', :'message'::jsonb #> '{execution_context,sequence,0,results,total_cents}');
SQL
}

step_ship_order() {
  sql -v message="$1" <<'SQL'
select jsonb_build_object('tracking_number', 'DHL-' || (:'message'::jsonb #>> '{step_payload,task_context,order_id}'),
                          'paid_cents', :'message'::jsonb #> '{execution_context,sequence,0,results,amount_cents}');
SQL
}
