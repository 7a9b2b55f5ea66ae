"""A streaming run across many lives of its credentials, through kills, early ends and an STS that fails; Spark judges.

Then a large file whose upload in parts loses its session at each of its steps.
"""

import base64
import random

import pyarrow
import pyarrow.parquet

from harness import moto, readers, stores, storm
from harness.daemon import free_port
from harness.expiry import EXPIRED, UNKNOWN, ExpiryProxy
from harness.minio import Minio
from harness.procs import require

LIFE, SECONDS, LONG_SECONDS, LIVES = 4, 30, 600, 10
LARGE_ROWS, LARGE_BYTES = 4_000, 12_288


def streaming(world, server, bucket, credentials, name):
    port, proxy = free_port(), ExpiryProxy(server.port, LIFE)
    daemon = world.daemon(stores.http_daemon(
        f"s3://{bucket}/lake", port, world.folder / f"spool-{name}", stores.s3(proxy.url, bucket, credentials(proxy))), name).start().ready()
    seconds = LONG_SECONDS if world.long else SECONDS
    try:
        senders = storm.senders(world, [f"http://127.0.0.1:{port}"] * 2, "keyed")
        storm.kill(world, [daemon], seconds * 0.6, (3.0, 7.0))
        proxy.sts_fails = True
        storm.rest([daemon], LIFE * 1.5)
        proxy.sts_fails = False
        storm.kill(world, [daemon], seconds * 0.4 - LIFE * 1.5, (5.0, 8.0))
        storm.finish(senders)
        storm.drain([daemon])
        storm.audit(world, daemon, "keyed")
    finally:
        proxy.stop()
    table = server.download(bucket, "lake/keyed", world.folder / f"table-{name}")
    rows = storm.spark_verdict(world, table, senders)
    refreshed = len(proxy.used) - daemon.kills - 2  # the first of each process, and the audit's
    world.note(f"{name}: {rows} rows over {proxy.sessions} sessions, {refreshed} of them refreshes, {daemon.kills} kills; "
               f"refused {proxy.refused}, {proxy.sts_failed} times STS failed, {proxy.requests} requests")
    require(len(proxy.used) >= LIVES and refreshed >= LIVES // 2, f"only {proxy.sessions} sessions were used, {refreshed} by refresh")
    require(min(proxy.refused.values()) > 0, f"{EXPIRED} and {UNKNOWN} were not both met: {proxy.refused}")
    require(proxy.sts_failed > 0, "STS was not asked while it failed")
    for version in {path for path, _ in proxy.log_puts}:
        wins = sum(200 <= status < 300 for path, status in proxy.log_puts if path == version)
        require(wins == 1, f"{version} was written {wins} times")


def large(world, server, bucket, credentials):
    """One file of 48 MiB, in parts."""
    proxy = ExpiryProxy(server.port, 600, early=1.0)
    steps = {
        "begin": lambda r: r.method == "POST" and "?uploads" in r.target, "part": lambda r: "partNumber=2" in r.target,
        "complete": lambda r: r.method == "POST" and "uploadId=" in r.target, "commit": lambda r: r.method == "PUT" and "/_delta_log/" in r.path,
        "list": lambda r: r.method == "GET" and "list-type=2" in r.target, "read": lambda r: r.method == "GET" and "/_delta_log/" in r.path,
    }
    proxy.ends_at = list(steps.values())
    chance = random.Random(world.seed)
    table = pyarrow.table({"id": range(LARGE_ROWS), "noise": [base64.b64encode(chance.randbytes(LARGE_BYTES)).decode() for _ in range(LARGE_ROWS)]})
    pyarrow.parquet.write_table(table, world.folder / "large.parquet")
    config = world.folder / "large.toml"
    config.write_text(f'[lake]\nurl = "s3://{bucket}/lake"\n' + stores.s3(proxy.url, bucket, credentials(proxy), request_timeout_seconds=30))
    try:
        code, out, error = world.cli("backfill", "--config", config, "--table", "large", world.folder / "large.parquet")
    finally:
        proxy.stop()
    require(code == 0, f"the backfill ended with exit code {code}:\n{out}{error}")
    left = [name for name, step in steps.items() if step in proxy.ends_at]
    require(set(left) <= {"read"}, f"the session was to end at {left}, which were not met")
    require(not server.unfinished_uploads(bucket), "an upload was begun and neither finished nor aborted")
    connection = readers.duck()
    scan = readers.scan(server.download(bucket, "lake/large", world.folder / "large"))
    connection.register("sent", table)
    rows = connection.execute(f"select count(*), count(distinct l.id) from {scan} l join sent s on l.id = s.id and l.noise = s.noise").fetchone()
    require(rows == (LARGE_ROWS, LARGE_ROWS), f"{rows} of {LARGE_ROWS} rows of the large file are as they were")
    world.note(f"a large file, {proxy.sessions} sessions, refused {proxy.refused}")


def run(world):
    server = world.moto()
    bucket = server.bucket("expiry")
    user = server.user("expiry", moto.assume_policy())
    role = server.role("expiry", moto.bucket_policy(bucket), "expiry-id")

    def by(role, user):
        return lambda proxy: stores.role(role, "expiry-id", proxy.url, stores.static(user))

    credentials = by(role, user)
    large(world, server, bucket, credentials)
    streaming(world, server, bucket, credentials, "moto")
    binary = world.components / "minio/minio"
    if world.long and binary.exists():
        minio = Minio(binary, world.folder / "minio")
        try:
            streaming(world, minio, minio.bucket("expiry"), by("arn:minio:iam:::role/any", minio.admin), "minio")
        finally:
            minio.stop()
    elif world.long:
        world.skip("the run over MinIO", "it is not installed: it needs Go")
