"""The demo's workers: separate processes that know nothing but how to connect."""

import subprocess
import sys


class Workers:
    def __init__(self, folder, log_folder):
        self.folder, self.log_folder, self.running = folder, log_folder, {}

    def start(self, database):
        python = [sys.executable, "-u"]
        steps = "transform_totals,transform_regions,load"
        self.launch("orders-1", [*python, "plain_worker.py", "fulfillment", "order_handlers", database])
        self.launch("orders-2", [*python, "plain_worker.py", "fulfillment", "order_handlers", database])
        self.launch(
            "reports-python",
            [*python, "function_worker.py", "analytics", "report_handlers", "--steps", steps, "--connection", database],
        )
        self.launch("reports-bash", ["./worker.sh", "analytics", "handlers.sh", database])

    def launch(self, name, command):
        with open(self.log_folder / f"{name}.log", "wb") as log:
            # In a session of its own: Ctrl-C is for the demo, which then stops its workers in its own way.
            self.running[name] = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def dead(self):
        return [name for name, process in self.running.items() if process.poll() is not None]

    def stop(self):
        """Asks all of them to end (SIGTERM) and waits; returns the names of those that did not end well."""
        for process in self.running.values():
            process.terminate()
        bad = [name for name, process in self.running.items() if self.end(process) != 0]
        self.running = {}
        return bad

    @staticmethod
    def end(process):
        try:
            return process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
