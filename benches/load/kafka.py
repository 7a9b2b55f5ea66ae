"""The load run of `kafka`, which prepares the environment: a file, a group's drain and a range, in turn.

CPU is user and system time of the measured process alone, from start to exit, as the kernel accounts it: librdkafka's threads and the
last commit count, the broker and this program do not. All ways land the same bytes. The first round is not counted: it brings programs
and files into the page cache. The ratio of a way is that of its CPU seconds to the file's of the same round, the median over the rounds
with the lowest and the highest; a median of CPU seconds may be of another round, so rates side by side say less.
"""

import argparse
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import events
from confluent_kafka import Producer
from harness.daemon import Daemon, environment, free_port
from harness.kafka import Broker
from harness.procs import Process, require

PARTITIONS = 4
LIMIT_SECONDS = 600


class Usage:
    """CPU seconds of one child from start to exit. (Its peak of memory would begin at this process's, which holds a producer.)"""

    def __init__(self, process):
        deadline = time.monotonic() + LIMIT_SECONDS
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline:
                process.popen.kill()
            time.sleep(0.02)
        process.popen.returncode = os.waitstatus_to_exitcode(status)
        require(process.popen.returncode == 0, f"exit code {process.popen.returncode}:\n{process.tail()}")
        self.user_seconds, self.system_seconds = usage.ru_utime, usage.ru_stime
        self.cpu_seconds = usage.ru_utime + usage.ru_stime


def fill(broker, topic, codec, path):
    """The lines of a file as records of a new topic, spread over its partitions in turn; returns how many."""
    broker.create(topic, PARTITIONS)
    failures = []
    producer = Producer({
        "bootstrap.servers": broker.address, "compression.type": codec, "linger.ms": 50, "enable.idempotence": True,
        "log_level": 3, "queue.buffering.max.messages": 200_000,
    })
    with open(path, "rb") as lines:
        for n, line in enumerate(lines):
            while True:
                try:
                    producer.produce(topic, value=line[:-1], partition=n % PARTITIONS, on_delivery=lambda e, _: e and failures.append(e))
                    break
                except BufferError:
                    producer.poll(0.05)
            if n % 1000 == 0:
                producer.poll(0)
    require(producer.flush(120) == 0 and not failures, f"Kafka did not take every record: {failures[:3]}")
    return n + 1


def configuration(folder, address, topic):
    return f"""
[lake]
url = "{folder}/lake"
[sources.load]
type = "kafka"
brokers = "{address}"
topics = ["{topic}"]
group = "{folder.name}"
[tables."{topic}"]
"""


def from_file(binary, folder, address, topic, path, _):
    config = folder / "alluvium.toml"
    config.write_text(configuration(folder, address, topic))
    return Usage(Process([binary, "backfill", "--config", config, "--table", topic, path], folder / "log", cwd=folder, env=environment()))


def from_range(binary, folder, address, topic, _path, _count):
    config = folder / "alluvium.toml"
    config.write_text(configuration(folder, address, topic))
    return Usage(Process([binary, "backfill", "--config", config, "--source", "load", "--from", "earliest"], folder / "log", cwd=folder, env=environment()))


def from_group(binary, folder, address, topic, _, count):
    daemon = Daemon(binary, folder, configuration(folder, address, topic), free_port()).start()
    deadline, rows = time.monotonic() + LIMIT_SECONDS, 0
    while rows < count:
        daemon.require_alive()
        require(time.monotonic() < deadline, f"{rows} of {count} rows after {LIMIT_SECONDS} s:\n{daemon.process.tail()}")
        time.sleep(0.2)
        # The last rows wait for the flush interval, which is no CPU: stopping drains them.
        metrics = daemon.get("/metrics")[1]
        rows = sum(float(v) for v in re.findall(r"^alluvium_source_records_total\S* (\S+)$", metrics, re.MULTILINE))
    daemon.process.signal(15)
    return Usage(daemon.process)


WAYS = {"file": from_file, "group": from_group, "range": from_range}


def rows_of(lake):
    import deltalake
    table = deltalake.DeltaTable(str(lake))
    return sum(table.get_add_actions(flatten=True).column("num_records").to_pylist())


def main():
    parser = argparse.ArgumentParser(prog="benches/load/kafka")
    parser.add_argument("--default-binary", help=argparse.SUPPRESS)
    parser.add_argument("--binary", action="append", help="a binary to measure; several are run in turn")
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", action="append", choices=list(events.KINDS))
    parser.add_argument("--events", action="append", type=Path, help="NDJSON made elsewhere, instead of generated kinds")
    parser.add_argument("--codec", action="append", choices=["lz4", "none"])
    options = parser.parse_args()
    binaries = [Path(b).resolve() for b in options.binary or [options.default_binary]]
    root = Path(tempfile.mkdtemp(prefix="alluvium-load-"))
    broker = None
    try:
        broker = Broker(Path(os.environ["PYTHONPATH"]) / "components", root / "broker", os.environ)
        print(f"{'events':8}{'codec':7}{'from':7}{'MB/CPU-s':>9}{'us/event':>9}{'system':>8}{'of file':>9}{'lowest':>8}{'highest':>8}  binary")
        sources = [(path.stem, path.resolve()) for path in options.events or []]
        sources = sources or [(kind, None) for kind in options.kind or events.KINDS]
        for kind, path in sources:
            if path is None:
                path = root / f"{kind}.ndjson"
                with open(path, "wb") as out:
                    out.writelines(event + b"\n" for event in events.events(kind, options.megabytes * 1_000_000, options.seed))
            for codec in options.codec or ["lz4", "none"]:
                topic = f"{kind}-{codec}"
                count = fill(broker, topic, codec, path)
                runs = {(binary, way): [] for binary in binaries for way in WAYS}
                for n in range(options.rounds + 1):
                    for (binary, way), done in runs.items():
                        folder = root / f"{topic}-{way}-{n}"
                        folder.mkdir()
                        run = WAYS[way](binary, folder, broker.address, topic, path, count)
                        if n > 0:
                            done.append(run)
                        rows = rows_of(folder / "lake" / topic)
                        require(rows == count, f"{way}: {rows} rows of {count} events:\n{(folder / 'log').read_text()[-2000:] if (folder / 'log').exists() else ''}")
                        shutil.rmtree(folder)
                size = path.stat().st_size
                for (binary, way), done in runs.items():
                    ratios = [file.cpu_seconds / run.cpu_seconds for file, run in zip(runs[binary, "file"], done, strict=True)]
                    cpu = statistics.median(run.cpu_seconds for run in done)
                    system = statistics.median(run.system_seconds / run.cpu_seconds for run in done)
                    print(f"{kind:8}{codec:7}{way:7}{size / 1e6 / cpu:9.0f}{cpu / count * 1e6:9.2f}{system:8.0%}{statistics.median(ratios):9.2f}"
                          f"{min(ratios):8.2f}{max(ratios):8.2f}  {binary.name}", flush=True)
    finally:
        if broker is not None:
            broker.stop()
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
