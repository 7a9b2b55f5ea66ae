"""Each peer's command: NDJSON to Parquet or to a Delta table, zstd 1, one thread, columns given."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from columns import DUCKDB, columns, schema

HERE = Path(__file__).resolve().parent


@dataclass
class Task:
    kind: str
    source: Path
    # An empty folder: what is written goes into `out/data.parquet` or `out/events`.
    out: Path


def backfill(binary, task):
    """The whole product: durable files, metadata columns, positions, a Delta commit."""
    lines = [f'[lake]\nurl = "{task.out}"', "[tables.events]"]
    if task.kind == "hostile":  # no peer makes columns of what it does not know
        lines += ['evolution = "none"', 'on_conflict = ["rescue"]']
    for name, of in columns(task.kind):
        lines += ["[[tables.events.columns]]", f'name = "{name}"', f'type = "{of}"']
    config = task.out / "alluvium.toml"
    config.write_text("\n".join(lines) + "\n")
    return [binary, "backfill", "--config", config, "--table", "events", task.source]


def alluvium(task):
    return backfill(os.environ["ALLUVIUM"], task)


def alluvium_base(task):
    return backfill(os.environ["ALLUVIUM_BASE"], task)


def duckdb_copy(task, options):
    sql = (
        f"SET threads = 1; COPY (SELECT * FROM read_json('{task.source}', format = 'newline_delimited'{options})) "
        f"TO '{task.out}/data.parquet' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
    )
    return [Path(sys.executable).with_name("duckdb"), "-c", sql]


def duckdb(task):
    fields = ", ".join(f"\"{name}\": '{of}'" for name, of in schema(task.kind, DUCKDB).items())
    ignore = ", ignore_errors = true" if task.kind == "hostile" else ""
    return duckdb_copy(task, f", columns = {{{fields}}}{ignore}")


def duckdb_auto(task):
    """As its users begin: it samples the file for columns and types, so its columns may be others."""
    return duckdb_copy(task, "")


def arrow_json(task):
    return [Path(os.environ["EXAMPLES"]) / "arrow_json", task.kind, task.source, task.out / "data.parquet"]


def polars(task):
    return [sys.executable, HERE / "polars_sink.py", task.kind, task.source, task.out / "data.parquet"]


def deltalake(task):
    return [sys.executable, HERE / "deltalake_append.py", task.kind, task.source, task.out / "events"]


PEERS = {
    "alluvium": alluvium,
    "alluvium_base": alluvium_base,
    "duckdb": duckdb,
    "duckdb_auto": duckdb_auto,
    "arrow_json": arrow_json,
    "polars": polars,
    "deltalake": deltalake,
}
