"""A streaming run across many lives of its credentials, through kills, early ends and an STS that fails; Spark judges."""

from harness import moto, stores, storm
from harness.daemon import free_port
from harness.expiry import EXPIRED, UNKNOWN, ExpiryProxy
from harness.procs import require

LIFE, SECONDS, LONG_SECONDS, LIVES = 4, 40, 600, 10


def run(world):
    server, port = world.moto(), free_port()
    bucket = server.bucket("expiry")
    user = server.user("expiry", moto.assume_policy())
    role = server.role("expiry", moto.bucket_policy(bucket), "expiry-id")
    proxy = ExpiryProxy(server.port, LIFE)
    credentials = stores.role(role, "expiry-id", proxy.url, stores.static(user))
    daemon = world.daemon(stores.http_daemon(
        f"s3://{bucket}/lake", port, world.folder / "spool", stores.s3(proxy.url, bucket, credentials))).start().ready()
    seconds = LONG_SECONDS if world.long else SECONDS
    try:
        senders = storm.senders(world, [f"http://127.0.0.1:{port}"] * 2, "keyed")
        storm.kill(world, [daemon], seconds * 0.6, (3.0, 7.0))
        proxy.sts_fails = True
        storm.kill(world, [], LIFE * 1.5, (LIFE * 2, LIFE * 2))
        proxy.sts_fails = False
        storm.kill(world, [daemon], seconds * 0.4 - LIFE * 1.5, (5.0, 8.0))
        storm.finish(senders)
        storm.drain([daemon])
        storm.audit(world, daemon, "keyed")
    finally:
        proxy.stop()
    table = server.download(bucket, "lake/keyed", world.folder / "table")
    rows = storm.spark_verdict(world, table, senders)
    refreshed = len(proxy.used) - daemon.kills - 2  # the first of each process, and the audit's
    world.note(f"{rows} rows over {proxy.sessions} sessions, {refreshed} of them refreshes, {daemon.kills} kills; "
               f"refused {proxy.refused}, {proxy.sts_failed} times STS failed, {proxy.requests} requests")
    require(len(proxy.used) >= LIVES and refreshed >= LIVES // 2, f"only {proxy.sessions} sessions were used, {refreshed} by refresh")
    require(min(proxy.refused.values()) > 0, f"{EXPIRED} and {UNKNOWN} were not both met: {proxy.refused}")
    require(proxy.sts_failed > 0, "STS was not asked while it failed")
    for version in {path for path, _ in proxy.log_puts}:
        wins = sum(200 <= status < 300 for path, status in proxy.log_puts if path == version)
        require(wins == 1, f"{version} was written {wins} times")
