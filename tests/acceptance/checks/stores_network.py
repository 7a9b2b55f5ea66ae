"""A network that is slow, resets, hangs or is gone between the daemon and its S3 server: it waits, loses nothing, catches up.

Then a server that asks for patience: 429 and 503 with Retry-After, which are honoured.
"""

import threading
import time

from harness import moto, network, stores, storm
from harness.daemon import Client, free_port
from harness.procs import require, wait_until
from harness.web import Headers, Reply, Server, forward

ROUND_SECONDS, LONG_ROUND_SECONDS = 3, 60
CATCH_UP_SECONDS = 30
COMMITS = "alluvium_commit_duration_seconds_count"


def troubles(world, server, bucket, credentials):
    port = free_port()
    between = network.between(world.components, server.port, world.folder / "network")
    config = stores.http_daemon(f"s3://{bucket}/lake", port, world.folder / "spool", stores.s3(
        between.url, bucket, credentials, request_timeout_seconds=2, connect_timeout_seconds=1), flush=0.3)
    daemon = world.daemon(config).start().ready()
    url = f"http://127.0.0.1:{port}"
    senders = storm.senders(world, [url] * 2, "keyed")
    seconds = LONG_ROUND_SECONDS if world.long else ROUND_SECONDS
    try:
        for name, trouble in (
            ("latency", lambda: between.latency(400)), ("resets", lambda: between.resets(20)), ("half-open", between.half_open),
            ("down", between.down), ("kill while half-open", between.half_open),
        ):
            trouble()
            time.sleep(seconds)
            if name.startswith("kill"):
                daemon.kill9()
                daemon.start()
            daemon.require_alive()
            between.heal()
            before = storm.metric(daemon, COMMITS)
            start = time.monotonic()
            wait_until(lambda before=before: storm.metric(daemon, COMMITS) > before, CATCH_UP_SECONDS, f"a commit after {name}")
            world.note(f"{name} for {seconds} s: the next commit {time.monotonic() - start:.1f} s after it")
        storm.finish(senders)
        storm.drain([daemon])
        storm.audit(world, daemon, "keyed")
    finally:
        between.stop()
    table = server.download(bucket, "lake/keyed", world.folder / "table")
    rows = storm.duck_verdict(world, table, senders)
    require(not server.unfinished_uploads(bucket), "uploads were begun and neither finished nor aborted")
    world.note(f"{rows} rows through {between.kind}")


class Busy:
    """Answers every third PUT of an object 429 or 503 with `Retry-After`, in seconds or as a date, and keeps the times."""

    AFTER = 2

    def __init__(self, port):
        self.upstream, self.puts, self.refused, self.early, self.retried = port, 0, {}, [], 0
        self.lock = threading.Lock()
        self.server = Server(free_port(), self._handle)

    async def _handle(self, request):
        now = time.monotonic()
        if request.method == "PUT":
            with self.lock:
                asked = self.refused.pop(request.target, None)
                if asked is not None:
                    self.retried += 1
                    if now - asked < self.AFTER - 0.05:
                        self.early.append((request.path, now - asked))
                else:
                    self.puts += 1
                    if self.puts % 3 == 0:
                        self.refused[request.target] = now
                        status, code = (429, "TooManyRequests") if self.puts % 2 else (503, "SlowDown")
                        body = f"<Error><Code>{code}</Code><Message>Reduce your request rate.</Message></Error>".encode()
                        return Reply(status, body, Headers([("Retry-After", str(self.AFTER)), ("Content-Type", "application/xml")]))
        try:
            return await forward(self.upstream, request)
        except (TimeoutError, OSError):
            return None


def patience(world, server, bucket, credentials):
    busy, port = Busy(server.port), free_port()
    config = stores.http_daemon(
        f"s3://{bucket}/busy", port, world.folder / "spool-busy", stores.s3(busy.server.url, bucket, credentials), flush=0.2)
    daemon = world.daemon(config, "busy").start().ready()
    try:
        client = Client(f"http://127.0.0.1:{port}")
        for n in range(20):
            client.send("clicks", [{"id": n * 100 + i, "text": f"é{n * 100 + i}", "half": n * 100 + i + 0.5} for i in range(100)])
            time.sleep(0.25)
        storm.drain([daemon])
    finally:
        busy.server.stop()
    require(not busy.early, f"requests came again before Retry-After had passed: {busy.early[:5]}")
    require(busy.retried >= 3 and not busy.refused, f"{busy.retried} refused requests came again, {len(busy.refused)} did not")

    class Sent:
        answered = range(2000)

    storm.duck_verdict(world, server.download(bucket, "busy/clicks", world.folder / "busy-table"), [Sent])
    world.note(f"{busy.retried} of {busy.puts} uploads were asked to come again later, and did")


def run(world):
    server = world.moto()
    bucket = server.bucket("network")
    credentials = stores.static(server.user("network", moto.bucket_policy(bucket)))
    troubles(world, server, bucket, credentials)
    patience(world, server, bucket, credentials)
