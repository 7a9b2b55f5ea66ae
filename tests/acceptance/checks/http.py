"""Events posted over HTTP to a daemon that is killed again and again.

Table `plain`: what was answered 200 is there once, what was not answered at most once. Table `keyed`: requests carry an
Idempotency-Key and are sent again until they are answered, and every event is there once.
"""

import itertools
import json
import random
import time

import pyarrow

from harness import readers
from harness.daemon import free_port
from harness.procs import require, wait_until
from harness.sender import Sender

KILLS = 20


def judge(table, path, senders, exact):
    """DuckDB's verdict on one table."""
    connection = readers.duck()
    answered = list(itertools.chain.from_iterable(s.answered for s in senders))
    sent = answered + list(itertools.chain.from_iterable(s.unanswered for s in senders))
    connection.register("answered", pyarrow.table({"id": pyarrow.array(answered, pyarrow.int64())}))
    connection.register("sent", pyarrow.table({"id": pyarrow.array(sent, pyarrow.int64())}))
    connection.execute(f"create temp table rows as select id, text, half from {readers.scan(path)}")
    missing, = connection.execute("select count(*) from answered where id not in (select id from rows)").fetchone()
    twice, = connection.execute("select count(*) - count(distinct id) from rows").fetchone()
    strange, = connection.execute("select count(*) from rows where id not in (select id from sent)").fetchone()
    wrong, = connection.execute("select count(*) from rows where text is distinct from 'é' || id or half is distinct from id + 0.5").fetchone()
    require(missing == 0, f"{table}: {missing} of {len(answered)} answered events are missing")
    require(twice == 0, f"{table}: {twice} rows stand twice")
    require(strange == 0 and wrong == 0, f"{table}: {strange} rows were never sent, {wrong} hold another value")
    rows, = connection.execute("select count(*) from rows").fetchone()
    if exact:
        require(rows == len(answered), f"{table}: {rows} rows of {len(answered)} events")
    return len(answered), rows - len(answered)


def judge_letters(path, senders):
    """Each malformed event that was answered is a dead letter; with keys, once, and none is one without having been sent."""
    found = [json.loads(bytes(v).decode().split(":")[1].split(",")[0]) for v, in readers.duck().execute(
        f"select value::blob from {readers.scan(path)}").fetchall()]
    for sender in senders:
        missing = set(sender.bad) - set(found)
        require(not missing, f"{len(missing)} malformed events are no dead letters, such as {min(missing, default=0)}")
    require(len(found) == len(set(found)), f"{len(found) - len(set(found))} dead letters stand twice")


def run(world):
    lake, port = world.folder / "lake", free_port()
    daemon = world.daemon(f"""
[lake]
url = "{lake}"
[spool]
path = "{world.folder}/spool"
segment_bytes = 1048576
[sources.web]
type = "http"
listen = "127.0.0.1:{port}"
[table_defaults]
flush_interval_seconds = 0.5
""").start().ready()
    url = f"http://127.0.0.1:{port}"
    senders = [
        Sender(url, "keyed" if number % 2 else "plain", number + 1, random.Random(world.random.random()), number % 2 == 1)
        for number in range(4)
    ]
    for sender in senders:
        sender.start()
    while daemon.kills < KILLS:
        time.sleep(world.random.uniform(0.2, 3.0))
        daemon.kill9()
        daemon.start()
        if world.random.random() < 0.7:  # else the next kill may fall into the recovery
            daemon.ready()
    daemon.ready()
    time.sleep(1)
    for sender in senders:
        sender.over.set()
    for sender in senders:
        sender.join(60)
        require(not sender.is_alive() and sender.error is None, f"a sender failed: {sender.error!r}")
    connection = readers.duck()
    for table in ("plain", "keyed"):
        least = sum(len(s.answered) for s in senders if s.table == table)
        wait_until(lambda t=table, n=least: readers.count(connection, lake / t) >= n, 60, f"the {least} answered events of {table}", 0.5)
    code = daemon.terminate()
    require(code == 0, f"SIGTERM ended the daemon with exit code {code}:\n{daemon.process.tail()}")
    for table, exact in (("plain", False), ("keyed", True)):
        mine = [s for s in senders if s.table == table]
        answered, more = judge(table, lake / table, mine, exact)
        world.note(f"{table}: {answered} events answered, {more} landed unanswered, {sum(s.refused for s in mine)} requests refused")
    judge_letters(lake / "_dead_letters", senders)
    for table in ("plain", "keyed"):
        code, out, error = world.cli("table", "audit", table, "--config", daemon.config)
        require(code == 0, f"alluvium table audit {table} ended with exit code {code}:\n{out}{error}")
