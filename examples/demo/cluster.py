"""The demo's own cluster, through scripts/cluster."""

import os
import shlex
import shutil
import subprocess


class Cluster:
    def __init__(self, root, home):
        self.script, self.home = root / "scripts" / "cluster", home

    def start(self):
        """Starts a fresh one and makes it the default of every libpq client from here on, our workers included."""
        self.remove()
        self.home.parent.mkdir(parents=True, exist_ok=True)
        for word in shlex.split(self.call("start", self.home)):
            name, equals, value = word.partition("=")
            if equals:
                os.environ[name] = value

    def psql(self, database):
        names = [name for name in ("PGHOST", "PGPORT", "PGUSER") if name in os.environ]
        settings = " ".join(f"{name}={shlex.quote(os.environ[name])}" for name in names)
        return f"{settings} psql {database}"

    def keep_log(self, folder):
        log = self.home / "log"
        if log.exists():
            shutil.copy(log, folder / "server.log")

    def remove(self):
        self.call("remove", self.home)

    def call(self, *arguments):
        done = subprocess.run([self.script, *arguments], stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout
