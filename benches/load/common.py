"""What the load runs share: a daemon of the release build, senders that keep a pace, and what the daemon used.

Needs the components of the acceptance checks (tests/acceptance/components/install): DuckDB judges what landed.
"""

import http.client
import os
import random
import re
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMPONENTS = Path(os.environ.get("ALLUVIUM_COMPONENTS", os.environ.get("TMPDIR", "/tmp") + "/alluvium-components"))
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests/acceptance"))
try:
    import duckdb
except ImportError:  # the components' Python has it
    python = COMPONENTS / "python/bin/python"
    if not python.exists() or Path(sys.executable) == python:
        sys.exit(f"no DuckDB; run {ROOT}/tests/acceptance/components/install")
    os.execv(python, [str(python), *sys.argv])

from harness.daemon import Daemon, free_port  # noqa: E402

BINARY = Path(os.environ.get("ALLUVIUM", ROOT / "target/release/alluvium")).resolve()

# Sixteen digits, replaced by the time of sending in microseconds.
SENT_AT = b"1000000000000000"


def bodies(count, events, kinds, seed):
    """NDJSON bodies of flat click events of about 350 bytes, each event of one of `kinds` tables."""
    chance = random.Random(seed)
    made = []
    for _ in range(count):
        lines = []
        for _ in range(events):
            n = chance.getrandbits(40)
            lines.append(
                f'{{"kind":"t{chance.randrange(kinds):03d}","sent_at":{SENT_AT.decode()},"event_id":"{n:016x}{n * 7:016x}"'
                f',"user_id":"user-{n % 50000}","session":"s-{n % 700000:08x}","page":"/shop/{n % 977}/item/{n % 90001}"'
                f',"referrer":"https://www.example.com/search?q={n % 3301}","amount":{n % 10000}.{n % 100:02d}'
                f',"quantity":{n % 7},"ok":{"true" if n % 3 else "false"},"country":"c{n % 60}","agent":"Mozilla/5.0 ({n % 40})"'
                f',"width":{n % 4000},"campaign":{"null" if n % 5 else f"{chr(34)}summer-{n % 30}{chr(34)}"}}}'
            )
        made.append("\n".join(lines).encode() + b"\n")
    return made


class Load(threading.Thread):
    """Posts bodies in turn over one connection, at most `per_second` of them, until told to end."""

    def __init__(self, port, table, chosen, per_second=None):
        super().__init__(daemon=True)
        self.port, self.table, self.chosen, self.per_second = port, table, chosen, per_second
        self.over = threading.Event()
        self.requests = self.events = self.bytes = self.refused = 0
        self.error = None

    def run(self):
        try:
            self.send()
        except Exception as error:  # told by the run that waits for it
            self.error = error

    def send(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        events = [body.count(b"\n") for body in self.chosen]
        begun, number = time.monotonic(), 0
        while not self.over.is_set():
            if self.per_second:
                wait = begun + number / self.per_second - time.monotonic()
                if wait > 0 and self.over.wait(wait):
                    return
            at = number % len(self.chosen)
            body = self.chosen[at].replace(SENT_AT, b"%016d" % (time.time_ns() // 1000))
            connection.request("POST", f"/v1/events/{self.table}", body=body, headers={"Content-Type": "application/x-ndjson"})
            answer = connection.getresponse()
            text = answer.read()
            number += 1
            if answer.status in (429, 503):
                self.refused += 1
                time.sleep(0.05)
                continue
            if answer.status != 200:
                raise RuntimeError(f"a request was answered {answer.status}: {text[:300]}")
            self.requests += 1
            self.events += events[at]
            self.bytes += len(body)


class Run:
    """One daemon over a folder of its own; everything is gone at the end."""

    def __init__(self, settings):
        self.temporary = tempfile.TemporaryDirectory(prefix="alluvium-load-")
        self.folder = Path(self.temporary.name)
        self.lake, self.port = self.folder / "lake", free_port()
        config = (f'[lake]\nurl = "{self.lake}"\n[spool]\npath = "{self.folder}/spool"\n'
                  f'[sources.web]\ntype = "http"\nlisten = "127.0.0.1:{self.port}"\n{settings}')
        top = [line for line in config.splitlines() if line.startswith("memory_budget_bytes")]
        config = "\n".join(top + [line for line in config.splitlines() if line not in top])
        self.daemon = Daemon(BINARY, self.folder, config, free_port())

    def __enter__(self):
        self.daemon.start().ready()
        return self

    def __exit__(self, *_):
        if self.daemon.alive():
            self.daemon.process.kill9()
        self.temporary.cleanup()

    def metrics(self):
        return self.daemon.get("/metrics")[1]

    def metric(self, name):
        """The sum over all labels; 0 where there is none yet."""
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? ([0-9.e+]+)$", self.metrics(), re.M))

    def rows(self):
        return self.metric("alluvium_commit_rows_total")

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.daemon.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mib(self, key="VmRSS"):
        return self.daemon.rss_bytes(key) / 2**20

    def drained(self, events, seconds):
        """Waits until so many rows are committed."""
        end = time.monotonic() + seconds
        while self.rows() < events:
            self.daemon.require_alive()
            if time.monotonic() > end:
                sys.exit(f"{self.rows():.0f} of {events} events were committed after {seconds} s")
            time.sleep(0.2)

    def bucket_quantiles(self, name, before, wanted):
        """Upper bounds of quantiles from a histogram, of what was recorded since `before` was scraped."""
        now, then = buckets(self.metrics(), name), buckets(before, name)
        counts = [(edge, count - then.get(edge, 0)) for edge, count in sorted(now.items())]
        total = counts[-1][1] if counts else 0
        return [next((edge for edge, count in counts if total and count >= total * q), float("nan")) for q in wanted]


def buckets(text, name):
    found = {}
    for edge, count in re.findall(rf'^{name}_bucket{{.*?le="([^"]+)"}} (\d+)$', text, re.M):
        found[float("inf") if edge == "+Inf" else float(edge)] = found.get(edge, 0) + int(count)
    return found


def spread(port, table, made, threads, per_second=None):
    """Starts senders, each with its share of the bodies and of the pace."""
    senders = [Load(port, table, made[n::threads], per_second and per_second / threads) for n in range(threads)]
    for sender in senders:
        sender.start()
    return senders


def stop(senders):
    """Ends them; the events that were answered 200."""
    for sender in senders:
        sender.over.set()
    for sender in senders:
        sender.join(90)
        if sender.error or sender.is_alive():
            sys.exit(f"a sender failed: {sender.error!r}")
    return sum(sender.events for sender in senders)


def duck():
    connection = duckdb.connect()
    connection.execute("load delta; set timezone = 'UTC'; set threads = 2; set memory_limit = '2GB'")
    return connection


def table(title, rows):
    print(f"\n{title}")
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"  {name:<{width}}  {value}")
