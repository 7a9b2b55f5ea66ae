"""Spark with Delta as the engine: tables are paths, so what a statement changes is the log that everybody else reads."""

import contextlib
import logging
import re
import secrets
from typing import Any

from .engine import Result, SqlError, Work
from .spelling import text, type_text
from .tokens import name, quoted

SCRATCH = "standin"


class SparkEngine:
    """`session`: a SparkSession with Delta's extension. `places`: prefixes of locations and where Spark finds them,
    such as {"s3://lake": "/data/lake"}; other s3:// goes to s3a://. Statements of several threads run at once."""

    def __init__(self, session: Any, places: dict[str, str] | None = None, owned: bool = False):
        self._session, self._places, self._owned = session, places or {}, owned
        logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)  # it prints every failure with its stack

    def spelled(self, location: str) -> str:
        """A location of the catalog as Spark takes it."""
        for prefix, place in self._places.items():
            if location == prefix or location.startswith(prefix.rstrip("/") + "/"):
                return place.rstrip("/") + location[len(prefix.rstrip("/")):]
        return f"s3a://{location.removeprefix('s3://')}" if location.startswith("s3://") else location

    def run(self, work: Work) -> Result:
        sql = work.sql
        for location in work.names:
            sql = sql.replace(f"delta.{name(location)}", f"delta.{name(self.spelled(location))}")
        with self._told(work.names):
            result = self._result(self._session.sql(sql))
            inserts = sql.lstrip()[:6].upper() == "INSERT" and not result.columns and work.names
            return self._inserted(work) if inserts else result

    def _result(self, frame: Any) -> Result:
        fields = frame.schema.fields
        columns = [(field.name, type_text(field.dataType)) for field in fields]
        if not fields:
            return Result()
        kinds = [field.dataType.typeName() for field in fields]
        if any(kind == "variant" or "interval" in kind for kind in kinds):  # which Arrow does not carry as the API shows them
            shown = [
                f"{'to_json' if kind == 'variant' else 'string'}({name(field.name)}) as {name(field.name)}" if kind == "variant" or "interval" in kind else name(field.name)
                for field, kind in zip(fields, kinds, strict=True)
            ]
            frame = frame.selectExpr(*shown)
            fields = frame.schema.fields
        try:
            table = frame.toArrow()
            rows = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
        except Exception as error:
            if "pyarrow" not in type(error).__module__ and not isinstance(error, ValueError | TypeError | NotImplementedError):
                raise
            rows = [tuple(row.asDict(recursive=True).values()) for row in frame.collect()]
        return Result(columns, [[text(value, field.dataType) for value, field in zip(row, fields, strict=True)] for row in rows])

    def _inserted(self, work: Work) -> Result:
        """What an INSERT tells, which Delta alone does not."""
        location = next(iter(work.names))
        metrics = self._session.sql(f"describe history delta.{name(self.spelled(location))} limit 1").first()["operationMetrics"]
        count = metrics.get("numOutputRows", "0")
        return Result([("num_affected_rows", "BIGINT"), ("num_inserted_rows", "BIGINT")], [[count, count]])

    def columns(self, location: str) -> list[dict[str, Any]] | None:
        path = name(self.spelled(location))
        try:
            self._session.sql(f"describe detail delta.{path}")
        except Exception as error:
            if "DELTA_MISSING_DELTA_TABLE" in str(error) or "PATH_NOT_FOUND" in str(error) or "DELTA_TABLE_NOT_FOUND" in str(error) or "not a Delta table" in str(error):
                return None
            raise _told(error, {}) from None
        fields = self._session.sql(f"select * from delta.{path} limit 0").schema.fields
        return [
            {"name": field.name, "type": field.dataType.simpleString(), "nullable": field.nullable, "comment": (field.metadata or {}).get("comment")}
            for field in fields
        ]

    def create(self, sql: str, location: str) -> None:
        """Under a name of its own, which is forgotten at once; the files stay, as those of an external table do."""
        scratch = f"spark_catalog.default.{SCRATCH}_{secrets.token_hex(6)}"
        sql = sql.replace("{name}", scratch, 1).replace(quoted(location), quoted(self.spelled(location)))
        with self._told({scratch: location}):
            self._session.sql(sql)
        self._session.sql(f"drop table if exists {scratch}")

    def stop(self) -> None:
        if self._owned:
            self._session.stop()

    @contextlib.contextmanager
    def _told(self, names: dict[str, str]):
        try:
            yield
        except SqlError:
            raise
        except Exception as error:
            raise _told(error, {**names, **{self.spelled(location): full for location, full in names.items()}}) from None


def _told(error: Exception, names: dict[str, str]) -> SqlError:
    """What Spark says, with tables called as the statement did."""
    java = getattr(error, "java_exception", None)
    message = java.getMessage() if java is not None else str(error).split("\n\nJVM stacktrace")[0]
    # Spark adds where, and the plan; the service only where.
    message = re.sub(r"; line (\d+) pos (\d+);?\n.*", r" (line \1, pos \2)", message, flags=re.DOTALL)
    message = message.strip()
    state = _state(error) or _state(java)
    for internal, shown in names.items():
        for spelling in (f"delta.{name(internal)}", name(*internal.split(".")), internal):
            message = message.replace(spelling, name(*shown.split(".")))
    return SqlError(message, state)


def _state(error: Any) -> str | None:
    with contextlib.suppress(Exception):  # not every failure has one
        return error.getSqlState()
    return None


def session(jars: str | None = None, settings: dict[str, str] | None = None) -> Any:
    """A local session with Delta; `jars` is a comma-separated list of Delta's."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]").appName("stand-in")
    basics = {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension", "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "2", "spark.databricks.delta.snapshotPartitions": "2", "spark.sql.session.timeZone": "UTC", "spark.sql.ansi.enabled": "true",
        **({"spark.jars": jars} if jars else {}), **(settings or {}),
    }
    for key, value in basics.items():
        builder = builder.config(key, value)
    found = builder.getOrCreate()
    found.sparkContext.setLogLevel("ERROR")
    return found
