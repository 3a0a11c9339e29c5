"""The demo: a cluster of its own, two templates, workers in Python and bash, a few hundred tasks, and what came of them.

Run by scripts/demo. KEEP=1 leaves the cluster running, until the next demo removes it.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psycopg
from psycopg.types.json import Jsonb

import progress
import summary
import verify
import workload
from cluster import Cluster
from workers import Workers

ROOT = Path(__file__).resolve().parents[2]
PLACE = Path(os.environ.get("TARGET", ROOT / "target")) / "demo"
LOG = PLACE / "log"
DATABASE = "demo"
LIMIT_SECONDS = 90
KEEP = os.environ.get("KEEP", "0") not in ("", "0")


def main():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda signum, _: sys.exit(128 + signum))
    shutil.rmtree(LOG, ignore_errors=True)
    LOG.mkdir(parents=True)
    cluster, workers = Cluster(ROOT, PLACE / "cluster"), Workers(ROOT / "examples" / "workers", LOG)
    good = keep = False
    try:
        heading("A cluster of its own, and CREATE EXTENSION")
        cluster.start()
        make_database()
        with psycopg.connect(dbname=DATABASE, autocommit=True) as db:
            good = run(db, workers)
        keep = KEEP
    except (subprocess.CalledProcessError, psycopg.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        keep = KEEP
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # the cleaning up is not to be interrupted
        workers.stop()
        if not good:
            cluster.keep_log(LOG)
        if not keep:
            cluster.remove()
    farewell(cluster, good, keep)
    return 0 if good else 1


def farewell(cluster, good, keep):
    if not good:
        print(f"\nThe demo did not end as it should. Logs: {LOG}", file=sys.stderr)
    if keep:
        heading("The cluster goes on")
        print(f"  {cluster.psql(DATABASE)}\n  scripts/cluster remove {cluster.home}   # stops it and deletes it, as the next demo does")
    else:
        print(f"\nTo look around yourself: make demo KEEP=1, then {cluster.psql(DATABASE)}")


def make_database():
    with psycopg.connect(dbname="postgres", autocommit=True) as db:
        db.execute(f"create database {DATABASE}")


def run(db, workers):
    prepare(db)
    heading("Workers, as processes of their own")
    workers.start(f"dbname={DATABASE}")
    for name, process in workers.running.items():
        print(f"  {name:<16}{' '.join(Path(word).name for word in process.args)}")
    orders, reports = workload.orders(), workload.reports()
    heading(f"{len(orders)} orders and {len(reports)} reports are requested")
    request(db, orders, reports)
    heading("They run")
    expected = {"process_order": len(orders), "sales_report": len(reports)}
    try:
        progress.watch(db, expected, workers, LIMIT_SECONDS)
    except progress.Stuck as stuck:
        print(f"\n{stuck}", file=sys.stderr)
        explain(db)
        return False
    time.sleep(0.2)  # the last worker hears that it is done
    bad = workers.stop()
    tell(db)
    return judge([*(f"worker {name} did not end well" for name in bad), *verify.faults(db, orders, reports)])


def prepare(db):
    started = time.monotonic()
    db.execute("create extension tasker_pg cascade")
    db.execute((Path(__file__).parent / "shop.sql").read_text())
    for file in sorted((ROOT / "examples" / "templates").glob("*.yaml")):
        (template_id,) = db.execute("select tasker.register_template(%s::text)", (file.read_text(),)).fetchone()
        print(f"  {file.name} is template {template_id}")
    (sales,) = db.execute("select count(*) from shop.sales").fetchone()
    print(f"  the shop's own tables are there, with {sales} sales ({time.monotonic() - started:.1f} s)")


def request(db, orders, reports):
    """All three ways to ask for a task."""
    one_by_one, at_once, by_queue = orders[:20], orders[20:200], orders[200:]
    # The order and its workflow: one transaction, both or neither.
    for job in one_by_one:
        with db.transaction():
            place_order(db, job)
            db.execute("select tasker.request_task('fulfillment', 'process_order', %s)", (Jsonb(job.context),))
    with db.transaction(force_rollback=True):
        db.execute("select tasker.request_task('fulfillment', 'process_order', %s)", (Jsonb(orders[0].context),))
    print(f"  {len(one_by_one)} orders by request_task, each in the transaction that places the order; one rolled back, so gone")
    with db.transaction():
        for job in at_once:
            place_order(db, job)
        db.execute(
            "select tasker.request_tasks('fulfillment', 'process_order', %s::jsonb[])", ([Jsonb(j.context) for j in at_once],)
        )
    print(f"  {len(at_once)} orders by one call of request_tasks")
    messages = [Jsonb({"namespace": "fulfillment", "name": "process_order", "context": job.context}) for job in by_queue]
    db.execute("select pgmq.send_batch('orchestration_task_requests', %s::jsonb[])", (messages,))
    print(f"  {len(by_queue)} orders as messages in the request queue")
    db.execute("select tasker.request_tasks('analytics', 'sales_report', %s::jsonb[])", ([Jsonb(j.context) for j in reports],))
    print(f"  {len(reports)} reports by one call of request_tasks")
    kinds = Counter(job.kind for job in orders + reports)
    print(f"  among them {kinds['busy']} orders whose payment answers 429 with Retry-After: 1 or 2 s, and then succeeds;")
    print(f"  {kinds['declined']} whose card is declined, {kinds['gone']} out of stock; {kinds['empty']} reports of empty days")


def place_order(db, job):
    db.execute("insert into shop.orders (order_id, total_cents) values (%s, %s)", (job.key, workload.order_total(job.context)))


def tell(db):
    heading("The numbers")
    summary.numbers(db)
    report, busy = sample(db, "sales_report", "day", "2026-01-31"), sample(db, "process_order", "order_id", "A-00005")
    heading(f"The steps of task {report}, the report of 2026-01-31")
    summary.graph(db, report)
    heading(f"The history of task {busy}, an order whose payment was busy at first")
    summary.history(db, busy)


def sample(db, name, key, value):
    query = """select t.task_id from tasker.tasks t join tasker.task_templates tt using (template_id)
               where tt.name = %s and t.context ->> %s = %s"""
    return db.execute(query, (name, key, value)).fetchone()[0]


def judge(faults):
    heading("Did every task end as it should?")
    for fault in faults[:20]:
        print(f"  {fault}")
    if len(faults) > 20:
        print(f"  and {len(faults) - 20} more")
    print("  no" if faults else "  yes: all tasks and steps ended as foreseen, and the reports agree with one query over the sales")
    return not faults


def explain(db):
    """Why the first few of those that have not ended do not go on."""
    query = "select task_id, state from tasker.tasks where finished_at is null order by task_id limit 3"
    for task_id, state in db.execute(query).fetchall():
        print(f"task {task_id} is {state}", file=sys.stderr)
        for row in db.execute("select * from tasker.explain_task(%s)", (task_id,)):
            print(" ", *filter(None, row), file=sys.stderr)


def heading(text):
    print(f"\n== {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
