"""The columns of a kind of events, from benches/data/*.columns, in each peer's own types."""

from pathlib import Path

DATA = Path(__file__).resolve().parent.parent / "data"
# No peer but DuckDB reads a JSON object as a map; for the others the keys that occur make a struct.
MAP_KEYS = {"integrations": ["All", "Amplitude", "Google Analytics 4"]}


def columns(kind):
    """Name and type text, in the spelling of Alluvium's configuration, of each column."""
    lines = (DATA / f"{kind}.columns").read_text().splitlines()
    return [tuple(line.split(" ", 1)) for line in lines]


def split(text):
    """The parts of `a, b<c, d>` between its outermost commas."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += (c == "<") - (c == ">")
        if c == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    return [*parts, text[start:].strip()]


def visit(text, types, name=None):
    """Builds a type bottom up: `types` has a value for each plain type, and functions `struct`, `array` and `map`."""
    head, _, rest = text.partition("<")
    inner = rest.removesuffix(">")
    if head == "struct":
        fields = (field.split(": ", 1) for field in split(inner))
        return types["struct"]([(field, visit(of, types)) for field, of in fields])
    if head == "array":
        return types["array"](visit(inner, types))
    if head == "map":
        key, value = (visit(part, types) for part in split(inner))
        return types["map"](key, value) if "map" in types else types["struct"]([(key, value) for key in MAP_KEYS[name]])
    return types[head]


def schema(kind, types):
    return {name: visit(text, types, name) for name, text in columns(kind)}


DUCKDB = {
    "string": "VARCHAR",
    "long": "BIGINT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMP",
    "struct": lambda fields: "STRUCT(" + ", ".join(f'"{name}" {of}' for name, of in fields) + ")",
    "array": lambda of: f"{of}[]",
    "map": lambda key, value: f"MAP({key}, {value})",
}


def pyarrow_types():
    import pyarrow as pa

    return {
        "string": pa.string(),
        "long": pa.int64(),
        "double": pa.float64(),
        "boolean": pa.bool_(),
        "timestamp": pa.timestamp("us", "UTC"),
        "struct": pa.struct,
        "array": pa.list_,
    }


def polars_types():
    import polars as pl

    return {
        "string": pl.String,
        "long": pl.Int64,
        "double": pl.Float64,
        "boolean": pl.Boolean,
        "timestamp": pl.Datetime("us", "UTC"),
        "struct": lambda fields: pl.Struct(dict(fields)),
        "array": pl.List,
    }
