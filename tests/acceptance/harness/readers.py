"""The readers that judge: Spark with Delta (independent of our commit path), DuckDB and the Python deltalake reader."""

import contextlib
import datetime
import os
from pathlib import Path

import duckdb
import pyarrow
from deltalake import DeltaTable, QueryBuilder


def duck():
    """A DuckDB connection that reads Delta; one per thread."""
    connection = duckdb.connect()
    connection.execute("load delta; set timezone = 'UTC'; set threads = 2")
    return connection


def duck_azure(azurite):
    """A DuckDB connection that also reads `az://CONTAINER/…` of an Azurite, by the account's key."""
    # Its Delta reader takes the emulator's account for a sign that it listens at its usual address, unless told.
    os.environ["AZURITE_BLOB_STORAGE_URL"] = f"http://127.0.0.1:{azurite.port}"
    connection = duck()
    connection.execute(f"load azure; create secret (type azure, connection_string '{azurite.connection_string()}')")
    return connection


def is_table(path):
    log = Path(path) / "_delta_log"
    return log.is_dir() and any(log.glob("*.json"))


def scan(path):
    return f"delta_scan('{path}')"


def count(connection, path, what="count(*)"):
    """One number over a table; 0 before the table exists."""
    if not is_table(path):
        return 0
    return connection.execute(f"select {what} from {scan(path)}").fetchone()[0]


def deltalake_rows(path, sql="select * from t"):
    """By deltalake's own engine, which knows deletion vectors and column mapping."""
    batches = QueryBuilder().register("t", DeltaTable(str(path))).execute(sql)
    return pyarrow.table(batches).to_pylist()


def duck_rows(connection, path):
    return connection.execute(f"select * from {scan(path)}").to_arrow_table().to_pylist()


def plain(value):
    """A value in one spelling, whichever reader it came from."""
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            return value.astimezone(datetime.UTC).isoformat(timespec="microseconds")
        return value.isoformat(timespec="microseconds")
    if isinstance(value, list) and value and all(isinstance(v, tuple) and len(v) == 2 for v in value):
        return {key: plain(item) for key, item in sorted(value)}  # a map, as Arrow gives it
    if isinstance(value, dict):
        return {key: plain(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return bytes(value) if isinstance(value, (bytearray, memoryview)) else value


@contextlib.contextmanager
def redirected(descriptor, file):
    """Lets processes started inside write to `file` instead."""
    kept = os.dup(descriptor)
    os.dup2(file.fileno(), descriptor)
    try:
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)


class Spark:
    """One local session for all checks of a run."""

    def __init__(self, components_root, folder):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        from pyspark.sql import SparkSession  # here: the import alone takes a second

        jars = ",".join(str(jar) for jar in sorted((components_root / "spark/jars").glob("*.jar")))
        settings = {
            "spark.jars": jars,
            "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
            "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
            "spark.driver.memory": "1500m",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.sql.shuffle.partitions": "2",
            "spark.databricks.delta.snapshotPartitions": "2",
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.ansi.enabled": "true",
            "spark.local.dir": f"{folder}/local",
            "spark.sql.warehouse.dir": f"{folder}/warehouse",
            "spark.driver.extraJavaOptions": f"-Dderby.system.home={folder} -XX:+UseSerialGC",
        }
        builder = SparkSession.builder.master("local[2]").appName("acceptance")
        for key, value in settings.items():
            builder = builder.config(key, value)
        with open(f"{folder}.log", "wb") as log, redirected(2, log):  # the JVM keeps what was its standard error at the start
            self.session = builder.getOrCreate()
        self.session.sparkContext.setLogLevel("ERROR")

    def sql(self, text):
        return self.session.sql(text)

    def one(self, text):
        """The first row of a query, as a tuple."""
        return tuple(self.sql(text).first())

    def rows(self, path):
        return self.sql(f"select * from {self.table(path)}").toArrow().to_pylist()

    @staticmethod
    def table(path):
        return f"delta.`{path}`"

    def stop(self):
        gateway = self.session.sparkContext._gateway
        self.session.stop()
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait(30)
