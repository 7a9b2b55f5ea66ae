"""A backfill of a Kafka range beside a running daemon that began at the topic's end: together every record once."""

import datetime
import time

from harness import events, readers
from harness.kafka import produce
from harness.procs import require, wait_until

PARTITIONS, EACH = 2, 20_000


def records(first):
    for offset in range(first, first + EACH):
        for partition in range(PARTITIONS):
            yield partition, events.event(partition * events.STRIDE + offset, False).encode()


def run(world):
    broker, lake = world.broker(), world.folder / "lake"
    broker.create("orders", PARTITIONS)
    produce(broker.address, "orders", records(0))
    time.sleep(0.1)
    border = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    time.sleep(0.1)
    daemon = world.daemon(f"""
[lake]
url = "{lake}"
[sources.orders]
type = "kafka"
brokers = "{broker.address}"
topics = ["orders"]
group = "orders"
start = "{border}"
[tables.orders]
source = "orders"
flush_interval_seconds = 0.5
""").start().ready()
    produce(broker.address, "orders", records(EACH))
    connection, total = readers.duck(), PARTITIONS * EACH
    wait_until(lambda: readers.count(connection, lake / "orders") == total, 60, "the daemon's part", 0.5)

    before = readers.count(connection, lake / "orders")
    code, out, error = world.cli("backfill", "--config", daemon.config, "--source", "orders", "--from", "earliest")
    require(code != 0 and readers.count(connection, lake / "orders") == before, f"a range the daemon has committed was not refused (exit code {code}):\n{out}{error}")
    for turn in ("first", "second"):
        code, out, error = world.cli("backfill", "--config", daemon.config, "--source", "orders", "--from", "earliest", "--to", border)
        require(code == 0, f"the {turn} backfill ended with exit code {code}:\n{out}{error}")
        daemon.require_alive()
        rows = readers.count(connection, lake / "orders")
        require(rows == 2 * total, f"{rows} rows after the {turn} backfill, not {2 * total}")
    found = connection.execute(
        f"select count(distinct id), count(distinct (_partition, _offset)), count_if(id <> _partition * {events.STRIDE} + _offset), "
        f"count_if({events.mismatch('duckdb')}) from {readers.scan(lake / 'orders')}").fetchone()
    require(found == (2 * total, 2 * total, 0, 0), f"ids, positions, misplaced and changed rows are {found}, not {(2 * total, 2 * total, 0, 0)}")
    produce(broker.address, "orders", records(2 * EACH))
    wait_until(lambda: readers.count(connection, lake / "orders") == 3 * total, 60, "what the daemon reads after the backfill", 0.5)
    require(daemon.terminate() == 0, f"SIGTERM did not end the daemon well:\n{daemon.process.tail()}")
    code, out, error = world.cli("audit", "--source", "orders", "--config", daemon.config)
    require(code == 0, f"alluvium audit --source orders ended with exit code {code}:\n{out}{error}")
