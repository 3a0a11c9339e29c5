"""A worker that uses plain pgmq: it reads messages, runs handlers, sends results.

    python plain_worker.py NAMESPACE HANDLERS [CONNECTION]
    python plain_worker.py fulfillment order_handlers "host=db dbname=shop"

HANDLERS is a module in the current directory, or beside this file, with a dict of that name, from handler.callable to
function. Without CONNECTION the usual PGHOST, PGDATABASE, ... count. SIGTERM and SIGINT: finishes the step at hand,
gives back the rest, ends.

At least once: a message is hidden from others for VISIBILITY seconds, and deleted in the transaction that sends its
result. A worker that dies in between did the step for nothing; the message comes back and somebody does it again.
"""

import importlib
import os
import signal
import sys
import time

import psycopg
from psycopg.types.json import Jsonb

from failure import Failure, error_of, metadata_of

BATCH, VISIBILITY, PAUSE = 10, 60, 0.05  # messages; seconds for a whole batch; seconds between looks at an empty queue

stopping = False


def stop(*_):
    global stopping
    stopping = True


def results_of_parents(db, message):
    execution = message["execution_context"]
    if execution.get("results_omitted"):  # too large for a message: the one thing that has to be asked for
        query = "select step_name, results from tasker.dependency_results(%s)"
        return dict(db.execute(query, (message["step_id"],)).fetchall())
    return {parent["step_name"]: parent["results"] for parent in execution["sequence"]}


def run(db, handlers, message):
    """The result of one attempt, as the object that goes to the orchestrator."""
    # What is not a step message makes a result without step_id: the orchestrator keeps it among the rejected ones.
    result = {key: message.get(key) for key in ("step_id", "task_id", "attempt")}
    started = time.monotonic()
    try:
        payload, execution = message["step_payload"], message["execution_context"]
        task = execution["task"] | {"context": payload["task_context"]}
        sequence = results_of_parents(db, message)
        step = execution["step"] | payload["step_context"] | {"attempt": message["attempt"]}
        handler = handlers.get(step["handler"]["callable"])
        if handler is None:
            raise Failure(f"no handler {step['handler']['callable']} here", retryable=False)
        result |= {"status": "success", "result_data": handler(task, sequence, step)}
    except Exception as exception:
        print(f"{message.get('step_name')} {result}: {exception}", flush=True)
        result |= {"status": "failure", "error": error_of(exception), "orchestration_metadata": metadata_of(exception)}
    return result | {"execution_time_ms": round((time.monotonic() - started) * 1000)}


def main(namespace, handlers_module, connection=""):
    sys.path.insert(0, os.getcwd())
    handlers = importlib.import_module(handlers_module).HANDLERS
    queue = f"{namespace}_queue"
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    with psycopg.connect(connection, autocommit=True) as db:
        while not stopping:
            batch = db.execute("select msg_id, message from pgmq.read(%s, %s, %s)", (queue, VISIBILITY, BATCH)).fetchall()
            done, results = [], []
            for msg_id, message in batch:
                if stopping:
                    break
                results.append(Jsonb(run(db, handlers, message)))
                done.append(msg_id)
            with db.transaction():
                if done:
                    db.execute("select pgmq.send_batch('orchestration_step_results', %s::jsonb[])", (results,))
                    db.execute("select pgmq.delete(%s, %s::bigint[])", (queue, done))
                for msg_id, _ in batch[len(done) :]:
                    db.execute("select pgmq.set_vt(%s, %s, 0)", (queue, msg_id))
            if not batch:
                time.sleep(PAUSE)


if __name__ == "__main__":
    main(*sys.argv[1:])
