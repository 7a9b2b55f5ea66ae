"""Every type at its edges, read alike by Spark, DuckDB and deltalake; file skipping never hides a row; and each Parquet encoding has its readers."""

import base64
import datetime
import decimal
import json

import pyarrow.parquet
from harness import readers
from harness.daemon import Client, free_port
from harness.procs import require, wait_until

LONG = "x" * 31 + "\U0010ffff" + "y" * 20  # a maximum cut after 32 characters has no next character here
TYPES = {
    "flag": ("boolean", [True, False, None]),
    "small": ("integer", [0, -(2**31), 2**31 - 1, None, 7]),
    "big": ("long", [0, -(2**63), 2**63 - 1, None, 2**53 + 1]),
    "single": ("float", [0.0, -1.5, 3.4028234663852886e38, None, 1.401298464324817e-45]),
    "number": ("double", [0.1, -1.7976931348623157e308, 5e-324, None, 1e300, -0.0]),
    "price": ("decimal(10,2)", ["0.01", "-99999999.99", "99999999.99", None, "1.10"]),
    "huge": ("decimal(38,10)", ["0.0000000001", "-9999999999999999999999999999.9999999999", None, "12345678901234567890.5"]),
    "text": ("string", ["", "a", LONG, "ÿ" * 40, "\u0000\u2028\"\\", "日本", None, "\U0001f680" * 33]),
    "bytes": ("binary", [b"", b"\x00\xff", None, bytes(range(256))]),
    "day": ("date", ["1970-01-01", "1899-12-31", "9999-12-31", None, "2024-02-29"]),
    "moment": ("timestamp", ["2026-03-29T02:30:00.123456Z", "1969-12-31T23:59:59.999999Z", "2026-01-01T00:00:00.000999+05:30", None, "9999-12-31T23:59:59.999999Z"]),
    "local_time": ("timestamp_ntz", ["2026-03-29T02:30:00.123456", "1900-01-01T00:00:00.000001", None]),
    "place": ("struct<lat: double, label: string, deep: struct<n: long>>", [
        {"lat": 1.5, "label": "é", "deep": {"n": 1}}, {"lat": None, "label": "", "deep": {"n": None}}, None, {"lat": -2.25, "label": None, "deep": None}]),
    "list": ("array<long>", [[], [1, None, 3], None, [2**62]]),
    "pairs": ("map<string, long>", [{}, {"a": 1, "b": None}, None, {"ü": -1}]),
    "structs": ("array<struct<k: string, v: decimal(10,2)>>", [[], None, [{"k": "a", "v": "1.10"}, {"k": None, "v": None}]]),
    "any": ("json", [{"a": [1, None]}, None, "text", [1, 2], 3]),
}
WIDE = decimal.Context(prec=38)
EACH, FILES = 40, 6


def sent(n):
    """The event of an id: every column takes its values in turn, each in its own rhythm. Decimals go as JSON numbers."""
    values = {"id": n}
    for column, (kind, choices) in TYPES.items():
        value = choices[(n + n // len(choices)) % len(choices)]
        values[column] = base64.b64encode(value).decode() if isinstance(value, bytes) else value
    return values


def as_json(n):
    """JSON text with decimals as numbers, digit for digit."""
    text = json.dumps(sent(n), ensure_ascii=False)
    for column in ("price", "huge"):
        value = sent(n)[column]
        if value is not None:
            text = text.replace(f'"{column}": "{value}"', f'"{column}": {value}')
    text = text.replace('"v": "1.10"', '"v": 1.10')
    return text


def expected(n):
    """What a reader should show for an id."""
    found = sent(n)
    for column, (kind, choices) in TYPES.items():
        value = found[column]
        if value is None:
            continue
        if kind == "binary":
            value = base64.b64decode(value)
        elif kind.startswith("decimal"):
            value = decimal.Decimal(value).quantize(decimal.Decimal((0, (1,), -int(kind[:-1].split(",")[1]))), context=WIDE)
        elif kind == "date":
            value = datetime.date.fromisoformat(value)
        elif kind.startswith("timestamp"):
            value = datetime.datetime.fromisoformat(value)
        elif column == "structs":
            value = [{"k": s["k"], "v": s["v"] and decimal.Decimal(s["v"])} for s in value]
        elif kind == "json":
            value = json.dumps(value)
        found[column] = readers.plain(value)
    return found


def normal(row, columns):
    """A row of a reader in the spelling of `expected`."""
    shown = {column: readers.plain(row[column]) for column in columns}
    if shown["any"] is not None:
        shown["any"] = json.dumps(json.loads(shown["any"]))
    if shown["pairs"] in ([], None):
        shown["pairs"] = None if row["pairs"] is None else {}
    return shown


def compare(name, rows):
    found = {row["id"]: row for row in rows}
    require(len(found) == len(rows) == EACH * FILES, f"{name} reads {len(rows)} rows of {len(found)} ids, {EACH * FILES} were sent")
    for n in range(EACH * FILES):
        wanted = expected(n)
        shown = normal(found[n], wanted)
        for column, value in wanted.items():
            same = shown[column] == value and str(shown[column]) == str(value)  # -0.0 is not 0.0, nor 1.1 the decimal 1.10
            require(same, f"{name} reads {column} of id {n} as {shown[column]!r}, sent was {value!r}; rescued: {found[n]['_rescued_data']!r}")


def literals(column, kind, choices):
    """SQL literals of the edge values of a type that has an order."""
    for value in choices:
        if value is None or kind.startswith(("struct", "array", "map", "json", "boolean")):
            continue
        if kind == "string":
            yield "cast(unhex('" + value.encode().hex() + "') as string)"
        elif kind == "binary":
            yield f"unhex('{value.hex()}')"
        elif kind in ("float", "double"):
            yield f"cast('{value!r}' as {kind})"
        else:
            yield f"cast('{value}' as {'int' if kind == 'integer' else kind.replace('long', 'bigint')})"


def skipping(spark, path):
    """For each column and each edge value, a filter returns what it returns where no file may be skipped.

    Equality is enough: a file that holds a value and is found by it has bounds around it, whatever the comparison.
    """
    table, total = spark.table(path), 0
    for column, (kind, choices) in {**TYPES, "id": ("long", [0, 77])}.items():
        filters = [f"{column} is null", f"{column} is not null"]
        filters += [f"{column} = {literal}" for literal in literals(column, kind, choices)]
        filters += {"place": ["place.lat = 1.5", "place.label = 'é'", "place.deep.n is null"]}.get(column, [])
        spark.session.conf.set("spark.databricks.delta.stats.skipping", "false")
        whole = spark.one(f"select {', '.join(f'count_if({f})' for f in filters)} from {table}")
        spark.session.conf.set("spark.databricks.delta.stats.skipping", "true")
        for condition, rows in zip(filters, whole):
            shown, = spark.one(f"select count(id) from {table} where {condition}")
            require(shown == rows, f"with file skipping `{condition}` finds {shown} rows, without it {rows}")
        total += len(filters)
    one_file = spark.sql(f"select * from {table} where id = 0").select("_metadata.file_path").distinct().count()
    adds = sum('"add"' in line for log in path.glob("_delta_log/*.json") for line in log.read_text().splitlines())
    stats = [json.loads(json.loads(line)["add"]["stats"]) for log in path.glob("_delta_log/*.json")
             for line in log.read_text().splitlines() if '"add"' in line]
    require(one_file == 1 and adds >= FILES, f"{adds} files were written, {FILES} flushes were made")
    bounded = set(stats[0]["minValues"])
    lacking = {c for c, (kind, _) in TYPES.items() if kind in ("integer", "long", "double", "decimal(10,2)", "string", "date", "timestamp")} - bounded
    require(not lacking, f"no statistics of {sorted(lacking)}")
    return total


ENCODED = {"n": "long", "wild": "long", "narrow": "integer", "at": "timestamp", "day": "date", "name": "string"}
ROWS = 3_000


def encoded(n):
    """Values that hardly repeat: some ascend, some step from one end of their type to the other, some are missing."""
    random = n * 0x9E3779B97F4A7C15 % 2**64
    at = datetime.datetime(2026, 1, 1) + datetime.timedelta(microseconds=n * 1_000_003 + random % 5_000_000)
    return {
        "n": n,
        "wild": None if n % 9 == 0 else [-(2**63), 2**63 - 1, random - 2**63][min(n % 7, 2)],
        "narrow": [-(2**31), 2**31 - 1, random % 2**32 - 2**31][min(n % 5, 2)],
        "at": at.isoformat(timespec="microseconds") + "Z",
        "day": str(datetime.date(1, 1, 1) + datetime.timedelta(days=n * 1_217)),
        "name": f"{random:016x}" * (n % 3 + 1),
    }


def encodings(world, spark, lake, client):
    """Tables of each `parquet_encoding` are the same to every reader."""
    written = {}
    for name in ("auto", "plain", "delta"):
        client.send(name, [json.dumps(encoded(n)) for n in range(ROWS)])
        wait_until(lambda t=name: readers.count(readers.duck(), lake / t) == ROWS, 60, f"the rows of {name}", 0.1)
        found = set()
        for file in (lake / name).glob("**/*.parquet"):
            group = pyarrow.parquet.ParquetFile(file).metadata.row_group(0)
            if "_delta_log" not in file.parts and group.num_rows >= 1_000:
                columns = {group.column(i).path_in_schema: group.column(i).encodings for i in range(group.num_columns)}
                found |= {(c, e) for c in ENCODED for e in columns[c] if e.startswith("DELTA")}
        written[name] = found
        select = ", ".join(f"cast({c} as string)" if c in ("at", "day") else c for c in ENCODED)
        shown = [tuple(row) for row in spark.sql(f"select {select} from {spark.table(lake / name)} order by n").collect()]
        connection = readers.duck()
        others = {"DuckDB": readers.duck_rows(connection, lake / name), "deltalake": readers.deltalake_rows(lake / name)}
        require([row[0] for row in shown] == list(range(ROWS)), f"Spark reads other rows of {name}")
        for reader, rows in others.items():
            require(len(rows) == ROWS, f"{reader} reads {len(rows)} rows of {name}")
            others[reader] = {row["n"]: row for row in rows}
        for n in range(ROWS):
            sent = encoded(n)
            for column, value in zip(ENCODED, shown[n], strict=True):
                wanted = sent[column]
                if column == "at":
                    value, wanted = datetime.datetime.fromisoformat(value), datetime.datetime.fromisoformat(wanted[:-1])
                require(value == wanted, f"Spark reads {column} of {n} of {name} as {value!r}, sent was {wanted!r}")
            for reader, rows in others.items():
                for column in ("n", "wild", "narrow", "name"):
                    require(rows[n][column] == sent[column], f"{reader} reads {column} of {n} of {name} as {rows[n][column]!r}, sent was {sent[column]!r}")
    require(not written["plain"], f"`plain` wrote {written['plain']}")
    kinds = {e for _, e in written["auto"]}
    require(kinds == {"DELTA_BINARY_PACKED"} and ("at", "DELTA_BINARY_PACKED") in written["auto"], f"`auto` wrote {written['auto']}")
    require(("name", "DELTA_LENGTH_BYTE_ARRAY") in written["delta"] and ("wild", "DELTA_BINARY_PACKED") in written["delta"], f"`delta` wrote {written['delta']}")
    world.note(f"{sum(map(len, written.values()))} columns in delta encodings read by three readers")


def run(world):
    spark, lake, port = world.spark(), world.folder / "lake", free_port()
    columns = "".join(f'[[tables.types.columns]]\nname = "{name}"\ntype = "{kind}"\n' for name, (kind, _) in {"id": ("long", None), **TYPES}.items())
    tables = ""
    for name in ("auto", "plain", "delta"):
        tables += f'[tables.{name}]\nflush_interval_seconds = 1\nparquet_encoding = "{name}"\n'
        tables += "".join(f'[[tables.{name}.columns]]\nname = "{c}"\ntype = "{kind}"\n' for c, kind in ENCODED.items())
    daemon = world.daemon(f"""
[lake]
url = "{lake}"
[sources.web]
type = "http"
listen = "127.0.0.1:{port}"
[tables.types]
flush_interval_seconds = 0.1
{columns}
{tables}
""").start().ready()
    client, connection, path = Client(f"http://127.0.0.1:{port}"), readers.duck(), lake / "types"
    for file in range(FILES):
        client.send("types", [as_json(n) for n in range(file * EACH, file * EACH + EACH)])
        wait_until(lambda f=file: readers.count(connection, path) == f * EACH + EACH, 30, "the rows of every type", 0.1)
    encodings(world, spark, lake, client)
    require(daemon.terminate() == 0, f"SIGTERM did not end the daemon well:\n{daemon.process.tail()}")
    compare("Spark", spark.rows(path))
    compare("DuckDB", readers.duck_rows(connection, path))
    compare("deltalake", readers.deltalake_rows(path))
    world.note(f"{skipping(spark, path)} filters compared with and without file skipping")
