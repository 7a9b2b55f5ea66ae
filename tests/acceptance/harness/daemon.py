"""The binary under test: its command line, its daemons and its HTTP interface. The only file that knows how it is called."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import urllib.parse
from pathlib import Path

from .procs import CheckFailed, Process, require, wait_until

_ports = iter(range(21000 + os.getpid() % 8000, 32000))  # below those the kernel gives to clients


def free_port():
    """A port of 127.0.0.1 that is free now and not given out again."""
    for port in _ports:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise CheckFailed("no free port left")


def environment(extra=None):
    """This process's environment without what configures the binary or gives it credentials, whose variables begin alike."""
    ours = ("ALLUVIUM", "AWS_", "AZURE_", "AZURITE_")
    return {key: value for key, value in os.environ.items() if not key.startswith(ours)} | (extra or {})


def cli(binary, *args, cwd=None, stdin=subprocess.DEVNULL, seconds=120, env=None):
    """Runs a command to its end: (exit code, standard output, standard error)."""
    done = subprocess.run(
        [str(binary), *[str(a) for a in args]], cwd=cwd, stdin=stdin, capture_output=True, timeout=seconds,
        env=environment(env), check=False,
    )
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


class Daemon:
    """`alluvium serve --config …`, killed and started again over the same folder."""

    def __init__(self, binary, folder, config, admin, env=None, name="alluvium"):
        self.binary, self.folder, self.admin = binary, Path(folder), admin
        self.env = environment(env)
        self.config = self.folder / f"{name}.toml"
        self.config.write_text(f"{config}\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n")
        self.log = self.folder / f"{name}.log"
        self.process = None
        self.kills = self.refused = 0

    def start(self, through=(), **options):
        """Starts it over the same folder; `through` is a command that executes the rest of its line."""
        self.process = Process(
            [*through, self.binary, "serve", "--config", self.config, "--log-format", "json"],
            self.log, cwd=self.folder, env=self.env, **options,
        )
        return self

    def alive(self):
        return self.process is not None and self.process.alive()

    def require_alive(self):
        require(self.alive(), f"the daemon ended by itself, exit code {self.process.popen.returncode}:\n{self.process.tail()}")

    def ready(self, seconds=30):
        """Waits until /readyz answers 200."""

        def probe():
            self.require_alive()
            return self.get("/readyz")[0] == 200

        wait_until(probe, seconds, f"readiness of {self.config.name}")
        return self

    def get(self, path):
        """(status, body) from the admin address; status 0 where nobody listens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()

    def kill9(self):
        self.require_alive()
        self.process.kill9()
        self.kills += 1

    def terminate(self, seconds=60):
        """SIGTERM; returns the exit code, which is 0 where all was drained."""
        self.process.signal(signal.SIGTERM)
        try:
            return self.process.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill9()
            return None

    def rss_bytes(self, key="VmRSS"):
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{key}:\s+(\d+) kB", text)[1]) * 1024


class Client:
    """One keep-alive HTTP connection to a source, opened again after each failure."""

    def __init__(self, url, headers=None, timeout=30, context=None):
        self.url, self.headers, self.timeout, self.context = urllib.parse.urlsplit(url), headers or {}, timeout, context
        self.connection = None

    def _open(self):
        if self.url.scheme == "https":
            return http.client.HTTPSConnection(self.url.hostname, self.url.port, timeout=self.timeout, context=self.context)
        return http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=self.timeout)

    def post(self, table, body, headers=None, query=""):
        """(status, JSON answer). Raises OSError or HTTPException where no whole answer came."""
        if self.connection is None:
            self.connection = self._open()
        try:
            self.connection.request(
                "POST", f"/v1/events/{table}{query}", body=body,
                headers={"Content-Type": "application/x-ndjson", **self.headers, **(headers or {})},
            )
            answer = self.connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        if answer.will_close:
            self.close()
        return answer.status, json.loads(text or b"null")

    def send(self, table, rows, query=""):
        """Posts rows over a new connection (an idle one may have been closed); all of them must be accepted."""
        self.close()
        body = "\n".join(row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows).encode()
        status, answer = self.post(table, body, query=query)
        require(status == 200, f"POST /v1/events/{table} was answered {status}: {answer}")
        require(answer["accepted"] == len(rows), f"{len(rows)} rows were sent to {table}, answer: {answer}")
        return answer

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None
