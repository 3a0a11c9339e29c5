"""Holds what happened against what had to happen (workload.py), and results against figures computed in another way."""

from workload import order_total

ENDED = """
select tt.name, t.context, t.state, t.task_id,
       jsonb_object_agg(ts.name, jsonb_build_array(s.state, s.attempts)) as steps,
       jsonb_object_agg(ts.name, s.results) as results
from tasker.tasks t
join tasker.task_templates tt using (template_id)
join tasker.steps s using (task_id)
join tasker.template_steps ts using (template_step_id)
group by tt.name, t.task_id"""

# The reports once more, in one statement over the sales.
DIRECT = """
select sold_on::text, sum(units)::bigint, sum(revenue)::bigint, count(*), jsonb_object_agg(region, regional)
from (
  select sold_on, region, units, units * unit_price_cents as revenue,
         sum(units * unit_price_cents) over (partition by sold_on, region) as regional
  from shop.sales where status = 'paid'
) sale
group by sold_on"""


def faults(db, orders, reports):
    """Everything that is not as it had to be, one line each."""
    ended = {"process_order": {}, "sales_report": {}}
    for name, context, state, task_id, steps, results in db.execute(ENDED):
        key = context["order_id" if name == "process_order" else "day"]
        if key in ended[name]:
            yield f"{name} {key}: requested once, there twice"
        ended[name][key] = (state, task_id, steps, results)
    yield from outcomes("process_order", orders, ended["process_order"])
    yield from outcomes("sales_report", reports, ended["sales_report"])
    yield from order_results(orders, ended["process_order"])
    yield from report_results(db, reports, ended["sales_report"])
    yield from leftovers(db)


def outcomes(name, jobs, ended):
    for key in ended.keys() - {job.key for job in jobs}:
        yield f"{name} {key}: nobody requested it"
    for job in jobs:
        if job.key not in ended:
            yield f"{name} {job.key}: there is no such task"
            continue
        state, task_id, steps, _ = ended[job.key]
        if state != job.state:
            yield f"{name} {job.key} (task {task_id}): {state} instead of {job.state}"
        for step, expected in job.steps.items():
            if tuple(steps.get(step, ())) != expected:
                yield f"{name} {job.key} (task {task_id}): {step} is {steps.get(step)} instead of {list(expected)}"


def order_results(orders, ended):
    for job in orders:
        if job.key not in ended or job.state != "complete":
            continue
        results, total = ended[job.key][3], order_total(job.context)
        if (results["process_payment"] or {}).get("amount_cents") != total:
            yield f"order {job.key}: paid {results['process_payment']} instead of {total}"
        if results["ship_order"] != {"tracking_number": f"DHL-{job.key}", "carrier": "DHL", "paid_cents": total}:
            yield f"order {job.key}: shipped as {results['ship_order']}"


def report_results(db, reports, ended):
    direct = {day: (units, revenue, rows, regions) for day, units, revenue, rows, regions in db.execute(DIRECT)}
    written = {
        row[0]: row[1:] for row in db.execute("select day::text, units, revenue_cents, regions, task_id from shop.reports")
    }
    good = {job.key for job in reports if job.state == "complete"}
    if written.keys() != good:
        yield f"reports were written for {sorted(written.keys() ^ good)}"
    for day in good & written.keys():
        units, revenue, rows, regions = direct[day]
        if written[day][:3] != (units, revenue, regions):
            yield f"report {day}: {written[day]} instead of {direct[day]}"
        result = ended[day][3]["load"] if day in ended else None
        if not result or (result["rows"], result["revenue_cents"], result["regions"]) != (rows, revenue, regions):
            yield f"report {day}: the step's results are {result}"


def leftovers(db):
    """Nothing may lie around: no rejected message, no message in a queue, no difference in the engine's counters."""
    for reason, number in db.execute("select reason, count(*) from tasker.rejected_messages group by reason"):
        yield f"{number} messages were rejected: {reason}"
    for (queue,) in db.execute("select queue_name from pgmq.list_queues()").fetchall():
        depth = db.execute("select queue_length from pgmq.metrics(%s)", (queue,)).fetchone()[0]
        if depth:
            yield f"{depth} messages are left in {queue}"
    if (rows := db.execute("select count(*) from shop.extracted").fetchone()[0]) != 0:
        yield f"{rows} staging rows are left"
    for difference in db.execute("select * from tasker.check()"):
        yield f"tasker.check(): {difference}"
