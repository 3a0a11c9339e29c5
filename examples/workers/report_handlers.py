"""Handlers of examples/templates/data_pipeline.yaml. They compute over rows of tables in schema `shop`
(examples/demo/shop.sql).

A handler is `handler(db, task, sequence, step)`; see order_handlers.py. `db` is inside the transaction that completes
the step: what the handler writes commits with the step's completion or not at all.
"""

from collections import Counter

from psycopg.types.json import Jsonb

from failure import Failure


def extract(db, task, sequence, step):
    day = task["context"]["day"]
    copied = db.execute(
        """insert into shop.extracted (task_id, sale_id, region, product, units, revenue_cents)
           select %s, sale_id, region, product, units, units * unit_price_cents
           from shop.sales where sold_on = %s and status = 'paid'""",
        (task["task_id"], day),
    ).rowcount
    if copied == 0:
        raise Failure(f"nothing was sold on {day}", retryable=False)
    return {"day": day, "rows": copied}


def transform_totals(db, task, sequence, step):
    rows = units = revenue = 0
    products = Counter()
    for product, sold, cents in db.execute(
        "select product, units, revenue_cents from shop.extracted where task_id = %s", (task["task_id"],)
    ):
        rows, units, revenue = rows + 1, units + sold, revenue + cents
        products[product] += cents
    if rows != sequence["extract"]["rows"]:
        raise Failure(f"extract made {sequence['extract']['rows']} rows, {rows} are there")
    best = min(products, key=lambda product: (-products[product], product))
    return {"rows": rows, "units": units, "revenue_cents": revenue, "average_cents": revenue // rows, "best_product": best}


def transform_regions(db, task, sequence, step):
    regions = db.execute(
        "select region, sum(revenue_cents)::bigint from shop.extracted where task_id = %s group by region order by region",
        (task["task_id"],),
    ).fetchall()
    return {"regions": dict(regions)}


def load(db, task, sequence, step):
    totals, regions = sequence["transform_totals"], sequence["transform_regions"]["regions"]
    if sum(regions.values()) != totals["revenue_cents"]:
        raise Failure("the regions do not add up to the total", retryable=False)
    # No `on conflict`: the completion of a step commits once, and so does this.
    report = totals | {"day": task["context"]["day"], "regions": regions}
    db.execute(
        """insert into shop.reports (task_id, day, revenue_cents, units, best_product, regions)
           values (%(task_id)s, %(day)s, %(revenue_cents)s, %(units)s, %(best_product)s, %(as_json)s)""",
        report | {"task_id": task["task_id"], "as_json": Jsonb(regions)},
    )
    db.execute("delete from shop.extracted where task_id = %s", (task["task_id"],))
    return report


HANDLERS = {
    "reports.extract": extract,
    "reports.totals": transform_totals,
    "reports.regions": transform_regions,
    "reports.load": load,
}
