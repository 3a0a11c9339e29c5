"""A worker that uses tasker's functions: what its steps write to the database happens exactly once.

    python function_worker.py NAMESPACE HANDLERS [--steps a,b] [--lease SECONDS] [--qty N] [--connection CONNINFO]
    python function_worker.py analytics report_handlers --steps transform_totals,transform_regions,load

HANDLERS is a module in the current directory, or beside this file, with a dict of that name, from handler.callable to
function. Without --connection the usual PGHOST, PGDATABASE, ... count. SIGTERM and SIGINT: finishes the step at hand,
gives back the rest untried, ends.

A step's writes and its completion are one transaction: either both are there or neither. When the attempt has been
given to somebody else or cancelled meanwhile, complete_step raises, and the writes are undone with it.
"""

import argparse
import importlib
import os
import signal
import socket
import sys
import threading
import time

import psycopg
from psycopg.types.json import Jsonb

from failure import Failure, error_of, metadata_of

OVER = {"TK001": "superseded or over", "TK002": "cancelled"}  # what complete_step and fail_step raise: not ours any more
WAIT = "2 seconds"  # a waiting poll_steps holds a snapshot open: short waits let vacuum do its work

stopping = threading.Event()


class Heartbeat(threading.Thread):
    """Extends the leases of the steps in hand, over a connection of its own, until they are done."""

    def __init__(self, connection, lease):
        super().__init__(daemon=True)
        self.connection, self.lease, self.held = connection, lease, {}

    def run(self):
        with psycopg.connect(self.connection, autocommit=True) as db:
            while True:
                time.sleep(self.lease / 3)
                for step_id, attempt in list(self.held.items()):
                    query = "select tasker.extend_step(%s, %s, make_interval(secs => %s))"
                    if not db.execute(query, (step_id, attempt, self.lease)).fetchone()[0]:
                        self.held.pop(step_id, None)  # cancelled or given to somebody else


def handle(db, handlers, message):
    payload, execution = message["step_payload"], message["execution_context"]
    task = execution["task"] | {"context": payload["task_context"]}
    sequence = {parent["step_name"]: parent.get("results") for parent in execution["sequence"]}
    if any(parent.get("results_omitted") for parent in execution["sequence"]):  # too large for a message
        query = "select step_name, results from tasker.dependency_results(%s)"
        sequence = dict(db.execute(query, (message["step_id"],)).fetchall())
    step = execution["step"] | payload["step_context"] | {"attempt": message["attempt"]}
    handler = handlers.get(step["handler"]["callable"])
    if handler is None:
        raise Failure(f"no handler {step['handler']['callable']} here", retryable=False)
    return handler(db, task, sequence, step)


def work(db, handlers, step_id, attempt, message):
    started = time.monotonic()
    try:
        with db.transaction():
            results = handle(db, handlers, message)
            db.execute(
                "select tasker.complete_step(%s, %s, %s, execution_time_ms => %s)",
                (step_id, attempt, Jsonb(results), round((time.monotonic() - started) * 1000)),
            )
    except Exception as exception:
        if db.broken or getattr(exception, "sqlstate", None) in OVER:
            raise
        print(f"{message['step_name']} {step_id} attempt {attempt}: {exception}", flush=True)
        error, metadata = error_of(exception), metadata_of(exception)
        db.execute(
            "select tasker.fail_step(%s, %s, %s, retryable => %s, orchestration_metadata => %s)",
            (step_id, attempt, Jsonb(error), error["retryable"], metadata and Jsonb(metadata)),
        )


def main(options):
    sys.path.insert(0, os.getcwd())
    handlers = importlib.import_module(options.handlers).HANDLERS
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    heartbeat = Heartbeat(options.connection, options.lease)
    heartbeat.start()
    poll = f"""select step_id, attempt, message
               from tasker.poll_steps(%s, qty => %s, lease => make_interval(secs => %s), max_wait => '{WAIT}',
                                      worker_id => %s, step_names => %s)"""
    worker_id = f"{socket.gethostname()}:{os.getpid()}"
    with psycopg.connect(options.connection, autocommit=True) as db:
        # Should we be killed while we wait, our waiting call is to end with us, not to take steps for nobody.
        db.execute("set client_connection_check_interval = '500 ms'")
        while not stopping.is_set():
            batch = db.execute(poll, (options.namespace, options.qty, options.lease, worker_id, options.steps)).fetchall()
            heartbeat.held = {step_id: attempt for step_id, attempt, _ in batch}
            for step_id, attempt, message in batch:
                if stopping.is_set() or step_id not in heartbeat.held:
                    continue
                try:
                    work(db, handlers, step_id, attempt, message)
                except psycopg.Error as error:
                    if error.sqlstate not in OVER:
                        raise
                    print(f"{message['step_name']} {step_id} attempt {attempt}: {OVER[error.sqlstate]}", flush=True)
                heartbeat.held.pop(step_id, None)
            untried = dict(heartbeat.held)
            if untried:
                query = "select tasker.release_steps(%s::bigint[], %s::integer[])"
                db.execute(query, (list(untried), list(untried.values())))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A worker that uses tasker's functions.")
    parser.add_argument("namespace")
    parser.add_argument("handlers", help="module with HANDLERS")
    parser.add_argument("--steps", type=lambda names: names.split(","), help="take only these steps")
    parser.add_argument("--lease", type=float, default=30, help="seconds")
    parser.add_argument("--qty", type=int, default=5, help="steps at a time")
    parser.add_argument("--connection", default="")
    main(parser.parse_args())
