"""Spark with Delta as the engine: tables are paths, so what a statement changes is the log that everybody else reads."""

import contextlib
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
            return self._result(self._session.sql(sql))

    def _result(self, frame: Any) -> Result:
        fields = frame.schema.fields
        columns = [(field.name, type_text(field.dataType)) for field in fields]
        if not fields:
            return Result()
        odd = {"variant": "to_json", "interval": "string"}
        if any(field.dataType.typeName().split(" ")[0] in odd for field in fields):
            shown = [
                f"to_json({name(field.name)}) as {name(field.name)}" if field.dataType.typeName() == "variant"
                else f"string({name(field.name)}) as {name(field.name)}" if "interval" in field.dataType.typeName() else name(field.name)
                for field in fields
            ]
            frame = frame.selectExpr(*shown)
            fields = frame.schema.fields
        table = frame.toArrow()
        values = [column.to_pylist() for column in table.columns]
        return Result(columns, [[text(values[c][r], fields[c].dataType) for c in range(len(fields))] for r in range(table.num_rows)])

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
    state = None
    for source in (error, java):
        with contextlib.suppress(Exception):
            state = state or source.getSqlState()
    for internal, shown in names.items():
        for spelling in (f"delta.{name(internal)}", name(*internal.split(".")), internal):
            message = message.replace(spelling, name(*shown.split(".")))
    return SqlError(message, state)


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
