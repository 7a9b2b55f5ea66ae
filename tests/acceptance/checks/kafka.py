"""A million events through three daemons of one consumer group that are killed, leave and join, beside other writers.

While it runs, Spark optimises the table and adds columns, and DuckDB reads it: no version it sees may hold an offset
twice. At the end Spark's count and distinct positions are what was produced, value for value, and `audit` agrees.
"""

import itertools
import threading
import time

from harness import events, readers
from harness.kafka import produce
from harness.procs import require, wait_until

PARTITIONS, PER_PARTITION, EXTENDED_FROM = 4, 250_000, 125_000
KILLS, PRODUCE_SECONDS = 20, 110
STALL_SECONDS = 90


def config(world, broker):
    return f"""
pipeline = "acceptance"
[lake]
url = "{world.folder}/lake"
[sources.clicks]
type = "kafka"
brokers = "{broker.address}"
topics = ["clicks"]
group = "acceptance"
properties = {{ "session.timeout.ms" = "4000", "heartbeat.interval.ms" = "1000" }}
[tables.clicks]
source = "clicks"
flush_interval_seconds = 1
"""


class Background(threading.Thread):
    """Repeats an action until told to stop; its exception fails the check."""

    def __init__(self, action, pause):
        super().__init__(daemon=True)
        self.action, self.pause, self.over, self.error, self.rounds = action, pause, threading.Event(), None, 0

    def run(self):
        while not self.over.wait(self.pause):
            try:
                self.action(self.rounds)
            except Exception as error:
                self.error = error
                return
            self.rounds += 1

    def finish(self):
        self.over.set()
        self.join(120)
        if self.error is not None:
            raise self.error


def spark_writer(spark, path):
    """OPTIMIZE, and every other round ADD COLUMN; a commit lost to another writer is Spark's to try again."""
    done = {"optimize": 0, "add": 0, "conflicts": 0}

    def attempt(what, statement):
        try:
            spark.sql(statement)
            done[what] += 1
        except Exception as error:
            if "Concurrent" not in str(error) and "MetadataChanged" not in str(error):
                raise
            done["conflicts"] += 1

    def action(turn):
        if not readers.is_table(path):
            return
        if turn % 2 == 0:
            attempt("add", f"alter table {spark.table(path)} add column (spark_{turn} string)")
        attempt("optimize", f"optimize {spark.table(path)}")

    return action, done


def duck_reader(path):
    """No version holds a position twice, and none holds less than one before it."""
    connection, seen = readers.duck(), [0]

    def action(_):
        if readers.is_table(path):
            rows, distinct = connection.execute(
                f"select count(*), count(distinct (_partition, _offset)) from {readers.scan(path)}"
            ).fetchone()
            require(rows == distinct, f"a version was read with {rows} rows of {distinct} positions")
            require(rows >= seen[0], f"a version was read with {rows} rows after one with {seen[0]}")
            seen[0] = rows

    return action


def storm(world, daemons, producer):
    """Kills, leaves and joins at random moments until enough have died and all is produced."""
    random, kills, leaves = world.random, 0, 0
    while kills < KILLS or producer.is_alive():
        time.sleep(random.uniform(1.0, 7.0))
        victim = random.choice(daemons)
        if not victim.alive():
            victim.start()
        elif random.random() < 0.15:
            code = victim.terminate()
            require(code == 0, f"a daemon left the group with exit code {code}:\n{victim.process.tail()}")
            leaves += 1
        else:
            victim.kill9()
            kills += 1
            time.sleep(random.uniform(0.0, 2.0))
            if random.random() < 0.8:
                victim.start()
    for daemon in daemons:
        if not daemon.alive():
            daemon.start()
    world.note(f"{kills} daemons killed, {leaves} left and joined again")


def wait_for_all(daemons, lake, good, bad):
    """Waits while the tables grow; fails when they stop short or go beyond what was produced."""
    connection, last, since = readers.duck(), None, time.monotonic()
    while True:
        now = (readers.count(connection, lake / "clicks"), readers.count(connection, lake / "_dead_letters"))
        require(now[0] <= good and now[1] <= bad, f"rows and dead letters are {now}, only {(good, bad)} were produced")
        if now == (good, bad):
            return
        if now != last:
            last, since = now, time.monotonic()
        require(time.monotonic() - since < STALL_SECONDS, f"stopped at {now} of {(good, bad)} rows and dead letters")
        for daemon in daemons:
            daemon.require_alive()
        time.sleep(1)


def judge(world, spark, lake):
    """Spark's verdict on tables and dead letters."""
    kinds = {"good": [], "malformed": [], "tombstone": []}
    for partition in range(PARTITIONS):
        for offset in range(PER_PARTITION):
            n = partition * events.STRIDE + offset
            kinds[events.kind(n, world.seed)].append(n)
    good, bad = kinds["good"], kinds["malformed"]
    world.note(f"{len(good)} good, {len(bad)} malformed, {len(kinds['tombstone'])} tombstones produced")
    rows, distinct, total, misplaced = spark.one(
        "select count(*), count(distinct _partition, _offset), sum(id), "
        f"count_if(id <> _partition * {events.STRIDE} + _offset) from {spark.table(lake / 'clicks')}"
    )
    require(rows == distinct == len(good), f"Spark counts {rows} rows of {distinct} positions, {len(good)} were produced")
    require(total == sum(good) and misplaced == 0, f"ids add up to {total}, not {sum(good)}; {misplaced} stand at another position")
    wrong = spark.one(f"select count(*), min(id) from {spark.table(lake / 'clicks')} where {events.mismatch('spark', EXTENDED_FROM)}")
    require(wrong[0] == 0, f"{wrong[0]} rows hold another value than was produced, first id {wrong[1]}")
    rescued = spark.one(f"select count(_rescued_data) from {spark.table(lake / 'clicks')}")[0]
    world.note(f"{rescued} rows carry new fields in _rescued_data")
    letters = spark.sql(f"select _partition, _offset, value from {spark.table(lake / '_dead_letters')}").collect()
    found = sorted(p * events.STRIDE + o for p, o, _ in letters)
    require(found == bad, f"dead letters are {found[:5]}… ({len(found)}), the malformed {bad[:5]}… ({len(bad)})")
    altered = [n for p, o, v in letters if as_bytes(v) != events.malformed(n := p * events.STRIDE + o)]
    require(not altered, f"dead letters do not hold the original bytes: {altered[:5]}")


def as_bytes(value):
    return value.encode() if isinstance(value, str) else bytes(value)


def run(world):
    broker, spark = world.broker(), world.spark()
    broker.create("clicks", PARTITIONS)
    lake, beside = world.folder / "lake", []
    daemons = [world.daemon(config(world, broker), f"daemon-{i}").start() for i in range(3)]
    try:
        written = load_and_storm(world, broker, spark, daemons, lake, beside)
    finally:
        for thread in beside:
            thread.over.set()
    require(written["optimize"] >= 1 and written["add"] >= 1, f"Spark wrote too little beside us to prove anything: {written}")
    wait_until(lambda: all(d.get("/readyz")[0] == 200 for d in daemons), 30, "readiness of all daemons")
    for daemon in daemons:
        code = daemon.terminate()
        require(code == 0, f"SIGTERM ended {daemon.config.name} with exit code {code}:\n{daemon.process.tail()}")
    judge(world, spark, lake)
    for command in (["table", "audit", "clicks"], ["audit", "--source", "clicks"]):
        code, out, error = world.cli(*command, "--config", daemons[0].config, seconds=300)
        require(code == 0, f"alluvium {' '.join(command)} ended with exit code {code}:\n{out}{error}")


def load_and_storm(world, broker, spark, daemons, lake, beside):
    """The load, with everything that goes on beside it; returns what Spark wrote. Threads are put in `beside`."""
    kinds = [events.kind(p * events.STRIDE + o, world.seed) for p in range(PARTITIONS) for o in range(PER_PARTITION)]
    records = events.kafka_records(PARTITIONS, PER_PARTITION, world.seed, EXTENDED_FROM)

    def produce_once(_):
        going_on = itertools.takewhile(lambda _: not producer.over.is_set(), records)
        produce(broker.address, "clicks", going_on, PARTITIONS * PER_PARTITION / PRODUCE_SECONDS)
        producer.over.set()

    action, written = spark_writer(spark, lake / "clicks")
    producer, others = Background(produce_once, 0), [Background(action, 8), Background(duck_reader(lake / "clicks"), 4)]
    beside += [producer, *others]
    for thread in beside:
        thread.start()
    storm(world, daemons, producer)
    producer.finish()
    require(set(broker.ends("clicks").values()) == {PER_PARTITION}, "the producer's offsets are not those of its ids")
    start = time.monotonic()
    wait_for_all(daemons, lake, kinds.count(events.GOOD), kinds.count(events.MALFORMED))
    world.note(f"all had landed {time.monotonic() - start:.1f} s after the last event and the last kill")
    for other in others:
        other.finish()
    world.note(f"Spark meanwhile: {written}")
    return written
