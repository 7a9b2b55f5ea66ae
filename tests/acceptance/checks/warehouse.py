"""A table whose schema only a SQL warehouse may change: columns appear under a daemon that never stops writing.

Events from Kafka gain fields; the stand-in workspace runs the daemon's statements on Spark with Delta, over the same files. Daemon and
workspace are killed again and again. At the end Spark and DuckDB read every event once and every value, and once all columns are there
the warehouse costs nothing. Beside it, in a workspace of its own, runs what goes wrong with rights and tokens (`warehouse_troubles`).
"""

import itertools
import json
import re
import threading
import time

from harness import growing, readers
from harness.kafka import produce
from harness.procs import require, wait_until
from harness.workspace import SparkEngine, Workspace, unparsed

from .kafka import Background
from .warehouse_troubles import Troubles

KILLS, PARTITIONS, PER_SECOND = 20, 2, 250
AUTO_STOP_MINUTES = 1
STORM_SECONDS = 110
TABLE = "main.web.events"


def governed(server, lake, *names):
    """A catalog as the setup documents have it: an external location over the lake, principals with rights, a small warehouse's id."""
    for path, body in [
        ("storage-credentials", {"name": "lake", "aws_iam_role": {"role_arn": "arn:aws:iam::123456789012:role/lake"}}),
        ("external-locations", {"name": "lake", "url": f"file://{lake}", "credential_name": "lake"}),
    ]:
        status, answer = server.admin("POST", f"/api/2.1/unity-catalog/{path}", body)
        require(status == 200, f"the stand-in made no {path}: {answer}")
    warehouse = server.warehouse("small", auto_stop_mins=AUTO_STOP_MINUTES, enable_serverless_compute=True)
    made = {}
    for name in names:
        made[name] = server.service_principal(name)
        server.permit(name, "warehouses", warehouse, "CAN_USE")
        server.grant(name, "catalog", "main", "USE_CATALOG", "CREATE_SCHEMA")
        server.grant(name, "external_location", "lake", "CREATE_EXTERNAL_TABLE", "READ_FILES", "WRITE_FILES")
    return warehouse, made


def config(world, broker, server, lander):
    return f"""
[lake]
url = "{world.folder}/lake"
[connections.prod]
host = "{server.host}"
warehouse = "small"
auth = {{ type = "oauth_m2m", client_id = "{lander["client_id"]}", client_secret = "{lander["client_secret"]}" }}
[table_defaults]
connection = "prod"
catalog = "main"
schema = "web"
authority = "warehouse"
flush_interval_seconds = 0.5
[sources.events]
type = "kafka"
brokers = "{broker.address}"
topics = ["events"]
group = "warehouse"
instance_id = "warehouse-0"
[tables.events]
source = "events"
"""


class Log:
    """The table's commits, read from the files as they come."""

    def __init__(self, path):
        self.path, self._known = path / "_delta_log", {}

    def commits(self):
        """Version → its actions, as (name, value) pairs."""
        for file in sorted(self.path.glob("*.json")):
            if re.fullmatch(r"\d{20}\.json", file.name) and (version := int(file.stem)) not in self._known:
                self._known[version] = [pair for line in file.read_text().splitlines() for pair in json.loads(line).items()]
        return self._known

    def version(self):
        return max(self.commits(), default=-1)

    def columns(self):
        schemas = [value["schemaString"] for _, actions in sorted(self.commits().items()) for name, value in actions if name == "metaData"]
        return json.loads(schemas[-1])["fields"] if schemas else []

    def data_commits(self):
        return sum(any(name == "add" for name, _ in actions) for actions in self.commits().values())


def storm(world, daemon, server, warehouse, log):
    """Kills daemon and workspace, each after data has landed since the kill before, often only when a column has come, too.

    Now and then the warehouse at rest falls asleep.
    """
    random, begun, kills, slept = world.random, time.monotonic(), {"daemon": 0, "workspace": 0}, time.monotonic()
    while sum(kills.values()) < KILLS:
        before, columns, patience = log.data_commits(), len(log.columns()), time.monotonic() + random.choice([0, 0, 5])
        wait_until(lambda before=before: daemon.alive() and log.data_commits() > before, 40, "data to land after a kill")
        while len(log.columns()) == columns and time.monotonic() < patience:
            time.sleep(0.1)
        time.sleep(random.uniform(0.1, 2.0))
        # One of both at random, until one has had enough.
        victim = "daemon" if kills["workspace"] > KILLS // 2 else "workspace" if kills["daemon"] > KILLS // 2 else random.choice(list(kills))
        kills[victim] += 1
        killed = daemon if victim == "daemon" else server
        killed.kill9()
        time.sleep(random.uniform(0.0, 0.8))
        killed.start()
        if time.monotonic() - slept > 8 and (found := server.control("GET", "warehouses")[warehouse])["state"] != "STARTING" and not found["statements"]:
            server.advance(60 * AUTO_STOP_MINUTES + 30)
            slept = time.monotonic()
        require(time.monotonic() < begun + STORM_SECONDS, f"{kills} kills took more than {STORM_SECONDS} s")
    world.note(f"killed in {time.monotonic() - begun:.0f} s: {kills}")


def statements(server):
    """The texts of all that was submitted, also where the workspace was dead before it could answer."""
    return [record["statement"] for record in server.control("GET", "state")["statements"].values()]


def paced(records):
    """A few at a time, so that there is always something to land."""
    begun = time.monotonic()
    for number, record in enumerate(records):
        if number % 25 == 0:
            time.sleep(max(0.0, begun + number / PER_SECOND - time.monotonic()))
        yield record


def nothing_wanted(world, daemon, server, warehouse, log):
    """All columns are there: the warehouse falls asleep, and data does not wake it."""
    wait_until(lambda: server.control("GET", "warehouses")[warehouse]["statements"] == 0, 40, "the last statement to end")
    server.advance(60 * AUTO_STOP_MINUTES + 30)
    wait_until(lambda: server.control("GET", "warehouses")[warehouse]["state"] == "STOPPED", 10, "the warehouse to stop")
    used, asked = server.used_seconds(warehouse), len(statements(server))
    for seconds in (60, 86400):
        landed = log.data_commits()
        server.advance(seconds)
        wait_until(lambda landed=landed: log.data_commits() > landed + 2, 20, "steady data")
        daemon.require_alive()
        now = server.used_seconds(warehouse)
        require(now == used, f"{seconds} s of steady data cost {now - used} warehouse seconds")
    require(len(statements(server)) == asked, f"statements without a change: {statements(server)[asked:]}")
    # Each statement keeps the warehouse up for as long as it runs, and until the auto-stop after it.
    most = asked * (60 * AUTO_STOP_MINUTES + 15)
    require(0 < used <= most, f"{asked} statements cost {used:.0f} warehouse seconds")
    world.note(f"{asked} statements and {used:.0f} warehouse seconds in all; none in a minute and a day of steady data")


def judge_log(world, log, server):
    """After the first version only Spark changes the schema, and by the statements that were submitted."""
    by = {}
    for version, actions in sorted(log.commits().items()):
        told = dict(actions)
        engine, changes = told.get("commitInfo", {}).get("engineInfo", ""), {"metaData", "protocol"} & set(told)
        ours = "spark" not in engine.lower()
        require(version == 0 or not changes or not ours, f"version {version} of `{engine}` changes {changes}")
        by[ours] = by.get(ours, 0) + 1
    require(by.get(False), f"Spark changed nothing: {by}")
    texts = statements(server)
    alters = " ".join(text for text in texts if text.startswith("ALTER TABLE"))
    first = {field["name"] for field in json.loads(dict(log.commits()[0])["metaData"]["schemaString"])["fields"]}
    unasked = [name for name in growing.COLUMNS - first if f"`{name}`" not in alters]
    require(not unasked, f"no statement added {unasked}")
    bad = unparsed(texts) + unparsed(server.statements())
    require(not bad, f"sqlglot does not parse {bad}")
    world.note(f"{by[True]} commits of the daemon, {by[False]} of the warehouse, {len(texts)} statements")


def judge_rows(world, rows, reader, ends):
    positions = {(row["_partition"], row["_offset"]) for row in rows}
    require(len(rows) == len(positions), f"{reader} reads {len(rows)} rows of {len(positions)} positions")
    wanted = {(partition, offset) for partition, end in ends.items() for offset in range(end)}
    require(positions == wanted, f"{reader} misses {sorted(wanted - positions)[:3]}, has beside them {sorted(positions - wanted)[:3]}")
    wrong = growing.wrong(rows)
    require(not wrong, f"{reader} reads another event: {wrong}")
    return sum(row["_rescued_data"] is not None for row in rows)


def warm(world, spark):
    """The first statements of a Spark session take half a minute on a busy machine; warehouses do not."""
    at = world.folder / "warm"
    spark.sql(f"create table default.warm (id bigint) using delta location '{at}'")
    spark.sql(f"alter table {spark.table(at)} add columns (s struct<a: int>)")
    spark.sql("drop table default.warm")


def catalog_columns(server):
    status, table = server.admin("GET", f"/api/2.1/unity-catalog/tables/{TABLE}")
    require(status == 200, f"the catalog has no {TABLE}: {table}")
    return [column["name"] for column in table["columns"]]


def run(world):
    spark = world.spark()
    warming = threading.Thread(target=warm, args=(world, spark))
    warming.start()
    broker = world.broker()
    broker.create("events", PARTITIONS)
    warming.join()
    (world.folder / "lake").mkdir()
    engine = SparkEngine(spark)
    server, threads = Workspace(world.folder / "workspace", engine.url), []
    try:
        troubles = Troubles(world, engine)
        threads.append(Background(lambda _: (troubles.run(), threads[0].over.set()), 0))
        threads[0].start()
        governed_storm(world, broker, spark, server, threads)
        begun = time.monotonic()
        threads[0].join(150)
        world.note(f"the troubles ended {time.monotonic() - begun:.0f} s after it")
        require(not threads[0].is_alive(), f"the troubles do not end: {troubles.doing}")
        threads[0].finish()
    finally:
        for thread in threads:
            thread.over.set()
        server.stop()
        troubles.stop()
        engine.stop()


def governed_storm(world, broker, spark, server, threads):
    path = world.folder / "lake" / "events"
    warehouse, principals = governed(server, world.folder / "lake", "lander")
    server.settings(warehouse_starting_seconds=0.5, statement_running_seconds=0.3)
    daemon, log = world.daemon(config(world, broker, server, principals["lander"])).start(), Log(path)
    records = paced(growing.records(PARTITIONS))

    def produce_once(_):
        produce(broker.address, "events", itertools.takewhile(lambda _: not producer.over.is_set(), records))
        producer.over.set()

    producer = Background(produce_once, 0)
    threads.append(producer)
    producer.start()
    storm(world, daemon, server, warehouse, log)
    last = growing.STAGE * len(growing.FIELDS)
    wait_until(lambda: min(broker.ends("events").values()) > last, 60, "the last field", 1)
    complete = {*growing.COLUMNS, "id", "page", "geo"}
    wait_until(lambda: complete <= {field["name"] for field in log.columns()}, 45, f"{complete}, there are {[f['name'] for f in log.columns()]}")
    wait_until(lambda: "alluvium_control_pending_changes{connection=\"prod\"} 0" in daemon.get("/metrics")[1], 45, "nothing to be pending")
    # Where the workspace died between log and catalog, the daemon has the catalog take the log over.
    wait_until(lambda: set(catalog_columns(server)) == {field["name"] for field in log.columns()}, 45, "the catalog to have what the log has")
    nothing_wanted(world, daemon, server, warehouse, log)
    producer.finish()
    ends, duck = broker.ends("events"), readers.duck()
    wait_until(lambda: readers.count(duck, path) == sum(ends.values()), 40, f"{sum(ends.values())} rows", 0.5)
    code = daemon.terminate()
    require(code == 0, f"SIGTERM ended the daemon with exit code {code}:\n{daemon.process.tail()}")
    judge_log(world, log, server)
    rescued = {judge_rows(world, spark.rows(path), "Spark", ends), judge_rows(world, readers.duck_rows(duck, path), "DuckDB", ends)}
    require(len(rescued) == 1 and min(rescued) > 0, f"rows with rescued values: {rescued}")
    world.note(f"{sum(ends.values())} events, {min(rescued)} of them with fields in _rescued_data")
    known, shown = catalog_columns(server), [field["name"] for field in log.columns()]
    require(known == shown, f"the catalog has {known}, the log {shown}")
    repairs = sum(text.startswith("MSCK REPAIR TABLE") for text in statements(server))
    world.note(f"{repairs} repairs of a catalog that was behind its log")
    code, out, error = world.cli("table", "audit", "events", "--config", daemon.config)
    require(code == 0, f"alluvium table audit events ended with exit code {code}:\n{out}{error}")
