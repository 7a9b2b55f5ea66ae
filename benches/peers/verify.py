"""Whether all outputs hold all events: verify.py KIND ROWS NAME=FOLDER...; prints a line `name, bytes, note` for each.

Every output must have all rows, and those of peers that were given the columns (all but DuckDB's own choice of them) the
same types and values as DuckDB's, column by column. Alluvium's must hold neither a rescued value nor a dead letter.
Hostile events are excepted: there each has its own way with what does not fit.
"""

import sys
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from columns import columns

METADATA = {"_source", "_partition", "_offset", "_index", "_event_time", "_ingested_at", "_rescued_data"}
# They have structs in the place of maps.
NO_MAPS = ["polars", "deltalake"]


def files(folder):
    return [path for path in sorted(folder.rglob("*.parquet")) if not {"_delta_log", "_dead_letters"} & set(path.parts)]


def relation(folder):
    return f"delta_scan('{folder}/events')" if (folder / "events").is_dir() else f"read_parquet('{folder}/data.parquet')"


def digest(connection, source, kind):
    """A number for each column that does not depend on the order of rows: instants as such, all else by its text."""
    hashes = []
    for name, of in columns(kind):
        value = f'epoch_us("{name}")' if of == "timestamp" else f'CAST("{name}" AS VARCHAR)'
        hashes.append(f"count(\"{name}\") || ' ' || sum(hash({value})::HUGEINT)")
    return connection.execute(f"SELECT {', '.join(hashes)} FROM {source}").fetchone()


def contents(connection, source, kind):
    """Type and digest of each column of the events."""
    names = [name for name, _ in columns(kind)]
    found = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    types = {row[0]: row[1].replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMP") for row in found}
    return {name: (types[name], value) for name, value in zip(names, digest(connection, source, kind), strict=True)}


def metadata_bytes(folder):
    """Compressed bytes of the column chunks that Alluvium adds to the events' own."""
    total = 0
    for path in files(folder):
        footer = pq.ParquetFile(path).metadata
        for group in range(footer.num_row_groups):
            chunks = (footer.row_group(group).column(i) for i in range(footer.num_columns))
            total += sum(chunk.total_compressed_size for chunk in chunks if chunk.path_in_schema in METADATA)
    return total


def check(connection, kind, rows, name, folder, judge):
    """Returns the bytes of its files and a note."""
    source, note = relation(folder), ""
    found = connection.execute(f"SELECT count(*) FROM {source}").fetchone()[0]
    if found != rows:
        sys.exit(f"{name}: rows are missing or doubled, expected=`{rows}` found=`{found}`")
    size = sum(path.stat().st_size for path in files(folder))
    if name.startswith("alluvium"):
        rescued = connection.execute(f"SELECT count(_rescued_data) FROM {source}").fetchone()[0]
        letters = len(list((folder / "_dead_letters").rglob("*.parquet")))
        if kind != "hostile" and (rescued or letters):
            sys.exit(f"{name}: values were rescued or events rejected, rescued=`{rescued}` files of dead letters=`{letters}`")
        extra = metadata_bytes(folder)
        note = f"{size / 1e6:.1f} MB with metadata columns, {rescued} rows with rescued values"
        size -= extra
    if judge and name not in ["duckdb", "duckdb_auto"]:
        mine = contents(connection, source, kind)
        other = [column for column in mine if mine[column] != judge[column] and not (name in NO_MAPS and judge[column][0].startswith("MAP"))]
        if other:
            if kind != "hostile":
                sys.exit(f"{name}: other types or values than DuckDB's: {[(column, mine[column], judge[column]) for column in other]}")
            note = "; ".join(filter(None, [note, f"other values than DuckDB's in {', '.join(other)}"]))
    return size, note


def main():
    kind, rows, *outputs = sys.argv[1:]
    outputs = {name: Path(folder) for name, folder in (output.split("=", 1) for output in outputs)}
    connection = duckdb.connect()
    connection.execute("LOAD delta; SET TimeZone = 'UTC'; SET threads = 2")
    judge = None
    if "duckdb" in outputs:
        judge = contents(connection, relation(outputs["duckdb"]), kind)
    for name, folder in outputs.items():
        size, note = check(connection, kind, int(rows), name, folder, judge)
        print(name, size, note, sep="\t")


if __name__ == "__main__":
    main()
