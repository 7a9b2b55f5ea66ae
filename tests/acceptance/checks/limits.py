"""Memory stays within the budget plus a constant while a flood meets a store that takes nothing; and what was taken lands later.

From Kafka, the store is stalled by a limit of zero on the size of files. Over HTTP, the lake is a small file system
that fills up (where mounting is allowed): the spool goes on taking events until it is full, then requests are refused.
A backfill reads a file of twice the budget.
"""

import os
import re
import resource
import signal
import subprocess
import time
from pathlib import Path

from harness import events, readers
from harness.daemon import Client, environment, free_port
from harness.kafka import produce
from harness.procs import Process, require, wait_until

BUDGET, CONSTANT = 64 << 20, 256 << 20  # the constant is stated in docs/operations.md
RECORDS, PARTITIONS, STALL_SECONDS = 1_000_000, 2, 20
BACKFILL_BYTES, BACKFILL_SECONDS = 130_000_000, 300


def watch(daemon, seconds, step=lambda: time.sleep(0.05)):
    """The largest resident size over some seconds; the daemon must live through them."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        daemon.require_alive()
        step()
    largest = daemon.rss_bytes("VmHWM")
    require(largest <= BUDGET + CONSTANT, f"resident memory reached {largest >> 20} MiB, the budget is {BUDGET >> 20} + {CONSTANT >> 20} MiB")
    return largest


def from_kafka(world):
    broker, lake = world.broker(), world.folder / "lake"
    broker.create("flood", PARTITIONS)
    each = RECORDS // PARTITIONS
    produce(broker.address, "flood", ((p, events.event(p * events.STRIDE + o, False).encode()) for o in range(each) for p in range(PARTITIONS)))
    daemon = world.daemon(f"""
memory_budget_bytes = {BUDGET}
[lake]
url = "{lake}"
[sources.flood]
type = "kafka"
brokers = "{broker.address}"
topics = ["flood"]
group = "flood"
[tables.flood]
source = "flood"
flush_interval_seconds = 1
""", "kafka")
    # Started by Python, the daemon inherits SIGXFSZ as ignored: a write past the limit fails with EFBIG instead of killing it.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    # Its log goes through a pipe, which has no size.
    daemon.start(through=["bash", "-c", 'exec "$@" > >(exec cat) 2>&1', "piped"], restore_signals=False).ready()
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    connection = readers.duck()
    largest = watch(daemon, STALL_SECONDS)
    held = readers.count(connection, lake / "flood")
    require(held < RECORDS, "the store was not stalled before everything had landed: nothing is proven")
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    wait_until(lambda: readers.count(connection, lake / "flood") >= RECORDS, 180, "the flood after the store healed", 1)
    largest = max(largest, watch(daemon, 1))
    distinct = readers.count(connection, lake / "flood", "count(distinct (_partition, _offset))")
    rows = readers.count(connection, lake / "flood")
    require(rows == distinct == RECORDS, f"{rows} rows of {distinct} positions, {RECORDS} were produced")
    require(daemon.terminate() == 0, f"SIGTERM did not end the daemon well:\n{daemon.process.tail()}")
    world.note(f"Kafka: {held} rows before the stall; at most {largest >> 20} MiB resident, budget {BUDGET >> 20} MiB")


def over_http(world):
    lake, port = world.folder / "small", free_port()
    lake.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "alluvium-acceptance", str(lake)], capture_output=True, check=False)
    if mount.returncode != 0:
        world.skip("limits over HTTP", f"no right to mount a small file system: {mount.stderr.decode().strip()}")
        return
    try:
        flood_http(world, lake, port)
    finally:
        world.end()
        subprocess.run(["umount", "--lazy", str(lake)], check=True)


def flood_http(world, lake, port):
    daemon = world.daemon(f"""
memory_budget_bytes = {BUDGET}
[lake]
url = "{lake}"
[spool]
path = "{world.folder}/spool"
max_bytes = {96 << 20}
segment_bytes = {8 << 20}
[sources.web]
type = "http"
listen = "127.0.0.1:{port}"
[table_defaults]
flush_interval_seconds = 0.5
""", "http").start().ready()
    client, accepted, refused = Client(f"http://127.0.0.1:{port}"), [0], {}
    connection, noise = readers.duck(), os.urandom

    def post():
        """A thousand events that do not compress: only what is answered 200 counts."""
        first = accepted[0]
        body = "\n".join(f'{{"id": {first + i}, "noise": "{noise(200).hex()}"}}' for i in range(1000)).encode()
        try:
            status, answer = client.post("flood", body)
        except OSError:
            refused["closed"] = refused.get("closed", 0) + 1
            return
        if status == 200:
            accepted[0] += 1000
        else:
            require(status in (429, 503), f"a request was answered {status}: {answer}")
            refused[status] = refused.get(status, 0) + 1
            time.sleep(0.05)

    largest = watch(daemon, STALL_SECONDS, post)
    require(accepted[0] * 400 > 2 << 20 and refused, f"{accepted[0]} events accepted and {refused} refused: the store was never full")
    subprocess.run(["mount", "-o", "remount,size=1g", str(lake)], check=True)
    wait_until(lambda: readers.count(connection, lake / "flood") >= accepted[0], 120, f"the {accepted[0]} accepted events after the store healed", 1)
    rows, distinct = (readers.count(connection, lake / "flood", what) for what in ("count(*)", "count(distinct id)"))
    require(rows == distinct == accepted[0], f"{rows} rows of {distinct} ids, {accepted[0]} were accepted")
    largest = max(largest, watch(daemon, 1))
    require(daemon.terminate() == 0, f"SIGTERM did not end the daemon well:\n{daemon.process.tail()}")
    world.note(f"HTTP: {accepted[0]} events accepted, refused by status {refused}; at most {largest >> 20} MiB resident")


def high_water(process):
    """The largest resident size of a process so far; 0 once it has ended."""
    try:
        text = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    return int(found[1]) * 1024 if found else 0


def of_a_backfill(world):
    lake, source, config = world.folder / "backfilled", world.folder / "events.ndjson", world.folder / "backfill.toml"
    rows = 0
    with open(source, "w") as out:
        while out.tell() < BACKFILL_BYTES:
            out.write("".join(events.event(n, False) + "\n" for n in range(rows, rows + 10_000)))
            rows += 10_000
    config.write_text(f'memory_budget_bytes = {BUDGET}\n[lake]\nurl = "{lake}"\n')
    command = [world.binary, "backfill", "--config", config, "--table", "flood", source]
    process, largest, start = Process(command, world.folder / "backfill.log", cwd=world.folder, env=environment()), 0, time.monotonic()
    try:
        while process.alive():
            largest = max(largest, high_water(process))
            require(time.monotonic() - start < BACKFILL_SECONDS, f"the backfill does not end:\n{process.tail()}")
            time.sleep(0.02)
    finally:
        if process.alive():
            process.kill9()
    require(process.popen.returncode == 0, f"the backfill ended with exit code {process.popen.returncode}:\n{process.tail()}")
    require(0 < largest <= BUDGET + CONSTANT, f"a backfill took {largest >> 20} MiB, the budget is {BUDGET >> 20} + {CONSTANT >> 20} MiB")
    landed = readers.count(readers.duck(), lake / "flood", "count(distinct id)")
    require(landed == rows, f"{landed} of {rows} rows were landed")
    world.note(f"backfill: {source.stat().st_size >> 20} MiB of {rows} rows; at most {largest >> 20} MiB resident, budget {BUDGET >> 20} MiB")


def run(world):
    of_a_backfill(world)
    from_kafka(world)
    over_http(world)
