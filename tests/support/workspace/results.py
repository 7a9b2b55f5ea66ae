"""Results of statements: cut into chunks, described by a manifest, and spelled in three formats."""

import csv
import io
import json
import re
from typing import Any

from .sql.engine import Result

TYPE_NAMES = {"TINYINT": "BYTE", "SMALLINT": "SHORT", "BIGINT": "LONG", "VOID": "NULL"}
Row = list[str | None]


def column_info(name: str, type_text: str, position: int) -> dict[str, Any]:
    """A column as a manifest shows it; `type_text` is SQL."""
    base = re.split(r"[(<\s]", type_text, maxsplit=1)[0].upper()
    info: dict[str, Any] = {"name": name, "position": position, "type_name": TYPE_NAMES.get(base, base), "type_text": type_text}
    if base == "DECIMAL":
        precision, _, scale = type_text.partition("(")[2].rstrip(")").partition(",")
        info |= {"type_precision": int(precision or 10), "type_scale": int(scale or 0)}
    if base == "INTERVAL":
        info["type_interval_type"] = type_text.partition(" ")[2]
    return info


class Chunks:
    """A result as it is handed out: `row_limit` rows at most, `chunk_rows` in each chunk; `byte_limit` keeps whole chunks."""

    def __init__(self, result: Result, format: str, chunk_rows: int, row_limit: int | None = None, byte_limit: int | None = None):
        self.columns, self.format = result.columns, format
        rows = result.rows if row_limit is None else result.rows[:row_limit]
        self.truncated = len(rows) < len(result.rows)
        self.chunks: list[tuple[int, list[Row]]] = []
        self.bytes: list[bytes] = []
        total = 0
        for start in range(0, len(rows), chunk_rows):
            chunk = rows[start:start + chunk_rows]
            data = encode(self.columns, chunk, format, first=start == 0)
            total += len(data)
            if byte_limit is not None and total > byte_limit:
                self.truncated = True
                break
            self.chunks.append((start, chunk))
            self.bytes.append(data)

    @property
    def size(self) -> int:
        return sum(map(len, self.bytes))

    def describe(self, index: int, sizes: bool) -> dict[str, Any]:
        offset, rows = self.chunks[index]
        return {"chunk_index": index, "row_offset": offset, "row_count": len(rows)} | ({"byte_count": len(self.bytes[index])} if sizes else {})

    def manifest(self, sizes: bool) -> dict[str, Any]:
        """`sizes`: as with external links, which say how long they are."""
        columns = [column_info(name, type, position) for position, (name, type) in enumerate(self.columns)]
        found: dict[str, Any] = {
            "format": self.format, "schema": {"column_count": len(columns), "columns": columns} if columns else {"column_count": 0},
            "total_chunk_count": len(self.chunks), "total_row_count": sum(len(rows) for _, rows in self.chunks), "truncated": self.truncated,
        }
        if self.chunks:
            found["chunks"] = [self.describe(index, sizes) for index in range(len(self.chunks))]
        if sizes:
            found["total_byte_count"] = self.size
        return found


def encode(columns: list[tuple[str, str]], rows: list[Row], format: str, first: bool) -> bytes:
    if format == "JSON_ARRAY":
        return json.dumps(rows, separators=(",", ":"), ensure_ascii=False).encode()
    if format == "CSV":
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        if first:  # the header stands in the first chunk alone
            writer.writerow(name for name, _ in columns)
        writer.writerows(["null" if value is None else value for value in row] for row in rows)
        return out.getvalue().encode()
    return _arrow(columns, rows)


def _arrow(columns: list[tuple[str, str]], rows: list[Row]) -> bytes:
    """By pyarrow, where it is installed; the only thing here that is not of the standard library."""
    import pyarrow

    kinds = {
        "TINYINT": pyarrow.int8(), "SMALLINT": pyarrow.int16(), "INT": pyarrow.int32(), "BIGINT": pyarrow.int64(), "FLOAT": pyarrow.float32(),
        "DOUBLE": pyarrow.float64(), "BOOLEAN": pyarrow.bool_(), "DATE": pyarrow.date32(), "TIMESTAMP": pyarrow.timestamp("us", "UTC"),
        "TIMESTAMP_NTZ": pyarrow.timestamp("us"),
    }
    arrays = []
    for position, (_, type) in enumerate(columns):
        text = pyarrow.array([row[position] for row in rows], pyarrow.string())
        arrays.append(text.cast(kinds[type]) if type in kinds else text)
    batch = pyarrow.record_batch(arrays, names=[name for name, _ in columns])
    sink = io.BytesIO()
    with pyarrow.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return sink.getvalue()
