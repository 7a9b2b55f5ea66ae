"""Events over HTTP into daemons that are killed, and the verdict of readers that share nothing with them."""

import random
import time

import pyarrow
import pyarrow.parquet

from . import readers
from .procs import require, wait_until
from .sender import Sender

UNAUTHORIZED = 3


class Paced(Sender):
    """A sender with an Idempotency-Key on every request, which leaves the servers beside it some of the machine.

    A request that was not answered is sent again as it is, to the same daemon, until it is: each event counts once.
    """

    def __init__(self, url, table, number, chance, pause):
        super().__init__(url, table, number, chance, keyed=True)
        self.pause = pause

    def batch(self):
        super().batch()
        time.sleep(self.pause)


def senders(world, urls, table, pause=0.1):
    found = [Paced(url, table, number + 1, random.Random(world.random.random()), pause) for number, url in enumerate(urls)]
    for sender in found:
        sender.start()
    return found


def revive(daemon):
    """What a supervisor does for a daemon whose credentials were refused at its start: it starts it again."""
    if not daemon.alive():
        code = daemon.process.popen.returncode
        require(code == UNAUTHORIZED, f"{daemon.config.name} ended by itself, exit code {code}:\n{daemon.process.tail()}")
        daemon.refused += 1
        daemon.start()


def rest(daemons, seconds):
    """Lets time pass under the supervisor's eye."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 0.25))
        for daemon in daemons:
            revive(daemon)


def kill(world, daemons, seconds, pauses):
    """Kills a daemon at random and starts it again, until `seconds` have gone."""
    end = time.monotonic() + seconds
    while (pause := world.random.uniform(*pauses)) < end - time.monotonic():
        rest(daemons, pause)
        daemon = world.random.choice(daemons)
        if daemon.alive():
            daemon.kill9()
            daemon.start()
    rest(daemons, end - time.monotonic())


def finish(found):
    """Ends the senders, each after the answer to its last request."""
    for sender in found:
        sender.over.set()
    for sender in found:
        sender.join(90)
        require(not sender.is_alive(), "a sender still waits for an answer")
        require(sender.error is None, f"a sender failed: {sender.error!r}")


def drain(daemons, seconds=60):
    """SIGTERM, after which all that was accepted must have landed."""
    for daemon in daemons:
        wait_until(lambda d=daemon: revive(d) or d.get("/readyz")[0] == 200, 60, f"readiness of {daemon.config.name}", 0.25)
    for daemon in daemons:
        code = daemon.terminate(seconds)
        require(code == 0, f"SIGTERM ended {daemon.config.name} with exit code {code}:\n{daemon.process.tail()}")


def _verdict(counts, answered):
    missing, twice, strange, wrong, rows = counts
    require(missing == 0, f"{missing} of {answered} answered events are missing")
    require(twice == 0, f"{twice} rows stand twice")
    require(strange == 0 and wrong == 0, f"{strange} rows were never sent, {wrong} hold another value")
    require(rows == answered, f"{rows} rows of {answered} events")
    return rows


def _sent(found, folder):
    ids = pyarrow.array([n for sender in found for n in sender.answered], pyarrow.int64())
    path = folder / "answered.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"id": ids}), path)
    return path, len(ids)


def spark_verdict(world, table, found):
    """Spark's: what was answered is there, once, and nothing else. `table`: a local folder."""
    sent, answered = _sent(found, world.folder)
    spark = world.spark()
    rows = f"(select id, text, half from {spark.table(table)})"
    return _verdict(spark.one(f"""
        select (select count(*) from parquet.`{sent}` s left anti join {rows} r on s.id = r.id),
               (select count(*) - count(distinct id) from {rows}),
               (select count(*) from {rows} r left anti join parquet.`{sent}` s on s.id = r.id),
               (select count(*) from {rows} where text is distinct from concat('é', id) or half is distinct from id + 0.5),
               (select count(*) from {rows})"""), answered)


def duck_verdict(world, table, found, connection=None):
    """DuckDB's. `table`: a folder, or a URL that `connection` can reach."""
    sent, answered = _sent(found, world.folder)
    connection = connection or readers.duck()
    connection.execute(f"create or replace temp table landed as select id, text, half from {readers.scan(table)}")
    connection.execute(f"create or replace temp table sent as select id from '{sent}'")
    return _verdict(connection.execute("""
        select (select count(*) from sent where id not in (select id from landed)),
               (select count(*) - count(distinct id) from landed),
               (select count(*) from landed where id not in (select id from sent)),
               (select count(*) from landed where text is distinct from 'é' || id or half is distinct from id + 0.5),
               (select count(*) from landed)""").fetchone(), answered)


def audit(world, daemon, table):
    code, out, error = world.cli("table", "audit", table, "--config", daemon.config)
    require(code == 0, f"alluvium table audit {table} ended with exit code {code}:\n{out}{error}")


def metric(daemon, name, **labels):
    """The sum of a metric's samples that carry the labels; 0 where there is none."""
    total = 0.0
    for line in daemon.get("/metrics")[1].splitlines():
        if line.startswith(name) and line[len(name):len(name) + 1] in ("{", " ") and all(f'{k}="{v}"' in line for k, v in labels.items()):
            total += float(line.rsplit(" ", 1)[1])
    return total


def wait_for_metric(daemon, name, least, seconds, **labels):
    wait_until(lambda: metric(daemon, name, **labels) >= least, seconds, f"{name} {labels} to reach {least}", 0.2)
