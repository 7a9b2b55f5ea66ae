"""Tables that Spark made, with the features of writer version 7, take our events beside Spark's own changes, and our checkpoints hold them whole."""

import json
import shutil

import pyarrow.parquet

from harness import readers
from harness.daemon import Client, free_port
from harness.procs import require, wait_until

ODD = ["plain", "with space", "a/b", "100%", "k=v", "ünï „日本“", "colon:semi;", "quote'\"", "#?&+", "{x}[y]"]

TABLES = {
    "vectors": ("id bigint, name string, amount double, day date", "tblproperties ('delta.enableDeletionVectors' = 'true')"),
    "mapped": ("id bigint, old_name string, amount double, day date",
               "tblproperties ('delta.columnMapping.mode' = 'name', 'delta.enableDeletionVectors' = 'true')"),
    "tracked": ("id bigint, name string, amount double, day date", "tblproperties ('delta.enableRowTracking' = 'true')"),
    "clustered": ("id bigint, name string, amount double, day date", "cluster by (id, day)"),
    "widened": ("id bigint, name string, amount float, day date", "tblproperties ('delta.enableTypeWidening' = 'true')"),
    "partitioned": ("id bigint, name string, amount double, day date, part string", "partitioned by (part, day)"),
    "everything": ("id bigint, old_name string, amount double, day date",
                   ("cluster by (id) tblproperties ('delta.columnMapping.mode' = 'name', 'delta.enableDeletionVectors' = 'true', "
                   "'delta.enableRowTracking' = 'true', 'delta.enableTypeWidening' = 'true')")),
}


def row(table, n):
    found = {"id": n, "name": None if n % 5 == 0 else f"näme-{n}", "amount": n + 0.5, "day": f"2026-{n % 12 + 1:02d}-{n % 28 + 1:02d}"}
    if table == "partitioned":
        found["part"] = None if n % 11 == 10 else ODD[n % 11]
        found["day"] = None if n % 13 == 0 else found["day"]
    return found


def make(spark, lake):
    """The tables, each with three rows of Spark's own, -1 to -3."""
    for table, (columns, rest) in TABLES.items():
        name = spark.table(lake / table)
        spark.sql(f"create table {name} ({columns}) using delta {rest}")
        extra = ", 'from spark'" if table == "partitioned" else ""
        values = ", ".join(f"({-n}, 'spark', {-n}.5, date '2025-01-0{n}'{extra})" for n in (1, 2, 3))
        spark.sql(f"insert into {name} values {values}")
        if table in ("mapped", "everything"):
            spark.sql(f"alter table {name} rename column old_name to name")
        if table == "widened":
            spark.sql(f"alter table {name} alter column amount type double")


def judge(spark, lake, table, numbers):
    """Spark reads each row that should be there, once, and every value of it."""
    found = {}
    for got in spark.sql(f"select * from {spark.table(lake / table)} where id >= 0").collect():
        got = got.asDict()
        require(got["id"] not in found, f"{table}: id {got['id']} stands twice")
        found[got["id"]] = got
    require(set(found) == set(numbers), f"{table}: ids differ, such as {sorted(set(found) ^ set(numbers))[:5]}")
    for n in numbers:
        for key, value in row(table, n).items():
            got = found[n][key]
            got = got.isoformat() if key == "day" and got is not None else got
            require(got == value, f"{table}: {key} of id {n} is {got!r}, not {value!r}")
        require(found[n]["_offset"] is not None and found[n]["_rescued_data"] is None, f"{table}: id {n} is {found[n]}")


def newest(table):
    return max(int(file.stem) for file in (table / "_delta_log").glob("*.json"))


def pointer(table):
    """The version that `_last_checkpoint` names; -1 where there is none."""
    file = table / "_delta_log/_last_checkpoint"
    return json.loads(file.read_text())["version"] if file.exists() else -1


def copied(table, copy):
    """A copy of the table whose log is our last checkpoint and what came after it."""
    shutil.copytree(table, copy, ignore=shutil.ignore_patterns(".*"))
    log, version = copy / "_delta_log", pointer(copy)
    by = pyarrow.parquet.read_metadata(log / f"{version:020}.checkpoint.parquet").created_by
    require(by.startswith("parquet-rs"), f"{table.name}: the checkpoint of version {version} was written by {by}, not by us")
    for file in log.iterdir():
        if file.suffix == ".crc" or file.name[:20].isdigit() and int(file.name[:20]) < version:
            file.unlink()


def judge_copies(spark, connection, lake, copies, numbers):
    """Spark and DuckDB read what our checkpoints hold: files, partition values, deletion vectors, removed files."""
    copies.mkdir()
    for table in TABLES:
        copied(lake / table, copies / table)
        judge(spark, copies, table, numbers)
        mine = spark.one(f"select count(*), sum(id) from {spark.table(copies / table)} where id < 0")
        require(mine == (3, -6), f"{table}: Spark's own rows behind our checkpoint are {mine}, not (3, -6)")
        rows = readers.count(connection, copies / table)
        require(rows == len(numbers) + 3, f"{table}: DuckDB counts {rows} rows behind our checkpoint, not {len(numbers) + 3}")


def run(world):
    spark, lake, port = world.spark(), world.folder / "lake", free_port()
    lake.mkdir()
    make(spark, lake)
    daemon = world.daemon(f"""
[lake]
url = "{lake}"
[sources.web]
type = "http"
listen = "127.0.0.1:{port}"
[table_defaults]
flush_interval_seconds = 0.2
checkpoint_interval_commits = 1
""").start().ready()
    client, connection = Client(f"http://127.0.0.1:{port}"), readers.duck()
    gone = {n for n in range(300) if n % 100 == 7} | {8, 108}
    for turn in range(3):
        before = {table: newest(lake / table) for table in TABLES}
        for table in TABLES:
            client.send(table, [row(table, n) for n in range(turn * 300, turn * 300 + 300)])
        for table in TABLES:
            least = turn * 300 + 300
            wait_until(lambda t=table, k=least: readers.count(connection, lake / t, "max(id)") == k - 1, 60, f"the events of {table}", 0.2)
            wait_until(lambda t=table: pointer(lake / t) > before[t], 60, f"a checkpoint of {table}", 0.2)
        if turn > 0:
            judge_copies(spark, connection, lake, world.folder / f"copies-{turn}", [n for n in range(turn * 300 + 300) if n not in gone])
        for table in TABLES:
            name = spark.table(lake / table)
            if turn == 0:
                spark.sql(f"delete from {name} where id % 100 = 7")
                spark.sql(f"merge into {name} t using (select explode(sequence(8, 108, 100)) as k) s on t.id = s.k when matched then delete")
            elif turn == 1:
                spark.sql(f"optimize {name}")
    for table in TABLES:
        judge(spark, lake, table, [n for n in range(900) if n not in gone])
        mine = spark.one(f"select count(*), sum(id) from {spark.table(lake / table)} where id < 0")
        require(mine == (3, -6), f"{table}: Spark's own rows are {mine}, not (3, -6)")
        rows = readers.count(connection, lake / table)
        require(rows == 903 - len(gone), f"{table}: DuckDB counts {rows} rows, not {903 - len(gone)}")
    require(daemon.terminate() == 0, f"SIGTERM did not end the daemon well:\n{daemon.process.tail()}")
    refused(world, spark)


def refused(world, spark):
    """A table with a writer feature we do not write is refused before the first byte, by name."""
    lake, port = world.folder / "strict", free_port()
    lake.mkdir()
    name = spark.table(lake / "checked")
    spark.sql(f"create table {name} (id bigint) using delta tblproperties ('delta.feature.checkConstraints' = 'supported')")
    spark.sql(f"alter table {name} add constraint positive check (id > 0)")
    daemon = world.daemon(f"""
[lake]
url = "{lake}"
[sources.web]
type = "http"
listen = "127.0.0.1:{port}"
[tables.checked]
source = "web"
""", "strict")
    code, out, error = world.cli("check", "--config", daemon.config)
    require(code != 0 and "checkConstraints" in out + error, f"`alluvium check` ended with exit code {code} and does not name checkConstraints:\n{out}{error}")
