"""Shows how far the tasks are: a table refreshed in place on a terminal, a line a second elsewhere."""

import os
import sys
import time

# Only fixed columns of tables that everyone may rely on.
TASKS = """
select tt.name, t.state, count(*)
from tasker.tasks t join tasker.task_templates tt using (template_id)
group by tt.name, t.state"""
STEPS = """
select tt.name, s.state, count(*), sum(s.attempts)
from tasker.steps s join tasker.tasks t using (task_id) join tasker.task_templates tt using (template_id)
group by tt.name, s.state"""

OPEN = ("pending", "in_progress")
COLUMNS = ("pending", "enqueued", "in_progress", "waiting_for_retry", "complete", "error")


class Stuck(Exception):
    pass


def watch(db, expected, workers, limit_seconds):
    """Returns when all of `expected` (template name -> number of tasks) have ended."""
    show = Table() if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb" else Lines()
    started = time.monotonic()
    while True:
        tasks = counts(db.execute(TASKS))
        steps = counts(db.execute(STEPS))
        elapsed = time.monotonic() - started
        finished = {name: sum(n for state, n in tasks.get(name, {}).items() if state not in OPEN) for name in expected}
        done = all(finished[name] >= number for name, number in expected.items())
        show(elapsed, expected, tasks, steps, finished, done)
        if done:
            return
        if workers.dead():
            raise Stuck(f"these workers ended: {', '.join(workers.dead())}")
        if elapsed > limit_seconds:
            raise Stuck(f"not finished after {limit_seconds} s")
        time.sleep(0.1)


def counts(rows):
    by_name = {}
    for name, state, number, *_ in rows:
        by_name.setdefault(name, {})[state] = number
    return by_name


class Lines:
    """One line a second."""

    next_at = 0

    def __call__(self, elapsed, expected, tasks, steps, finished, done):
        if elapsed < self.next_at and not done:
            return
        self.next_at = elapsed + 1
        parts = []
        for name, number in expected.items():
            retry = steps.get(name, {}).get("waiting_for_retry", 0)
            parts.append(f"{name} {finished[name]}/{number}" + (f" ({retry} wait for a retry)" if retry else ""))
        ended = sum(n for states in steps.values() for state, n in states.items() if state in ("complete", "error"))
        print(f"{elapsed:5.1f} s   " + "   ".join(parts) + f"   steps ended {ended}", flush=True)


class Table:
    """Tasks ended, and steps by state, drawn over itself; within 80 columns, since a wrapped line could not be."""

    height = 0

    def __call__(self, elapsed, expected, tasks, steps, finished, done):
        lines = [f"  {'':<14}{'ended':>8}" + "".join(f"{heading(state):>9}" for state in COLUMNS)]
        for name, number in expected.items():
            numbers = [steps.get(name, {}).get(state, 0) or "-" for state in COLUMNS]
            lines.append(f"  {name:<14}{finished[name]:>4}/{number:<3}" + "".join(f"{number:>9}" for number in numbers))
        share = round(50 * sum(finished.values()) / sum(expected.values()))
        lines.append(f"  [{'#' * share:<50}] {elapsed:.1f} s")
        if self.height:
            sys.stdout.write(f"\x1b[{self.height}A")
        self.height = len(lines)
        sys.stdout.write("".join(f"\x1b[2K{line}\n" for line in lines))
        sys.stdout.flush()


def heading(state):
    return {"in_progress": "at work", "waiting_for_retry": "retrying"}.get(state, state)
