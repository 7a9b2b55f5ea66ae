"""Files of every format, backfilled by a process that is killed again and again and continues where it was."""

import gzip
import time

import pyarrow
import pyarrow.csv
import pyarrow.parquet

from harness import events, readers
from harness.daemon import environment
from harness.procs import Process, require

KILLS_PER_TABLE, FILES, ROWS_PER_FILE = 4, 60, 4_000
# A commit holds a file of CSV or Parquet and about a file of JSON: many more are to come than pass while a kill is on its way.
ROWS_PER_COMMIT, COMMITS_BETWEEN = 500, 4


def ids(table_number, file_number):
    first = table_number * 10_000_000 + file_number * ROWS_PER_FILE
    return range(first, first + ROWS_PER_FILE)


def columns(numbers):
    return pyarrow.table({
        "id": pyarrow.array(numbers, pyarrow.int64()),
        "visitor": [f"user-{n % 5000}" for n in numbers],
        "amount": [n % 1000 + 0.25 for n in numbers],
    })


def write_files(folder):
    """Four folders of files: (table, glob, how many rows)."""
    for table in ("ndjson", "gzipped", "csv", "parquet"):
        (folder / table).mkdir()
    for file in range(FILES):
        text = "\n".join(events.event(n, False) for n in ids(0, file)) + "\n"
        (folder / "ndjson" / f"{file:02d}.ndjson").write_text(text)
        text = "\n".join(events.event(n, False) for n in ids(1, file)) + "\n"
        with gzip.open(folder / "gzipped" / f"{file:02d}.ndjson.gz", "wt", compresslevel=1) as out:
            out.write(text)
        pyarrow.csv.write_csv(columns(ids(2, file)), folder / "csv" / f"{file:02d}.csv")
        pyarrow.parquet.write_table(columns(ids(3, file)), folder / "parquet" / f"{file:02d}.parquet")
    return ["ndjson", "gzipped", "csv", "parquet"]


def commits(path):
    return len(list((path / "_delta_log").glob("*.json"))) if path.is_dir() else 0


def backfill_until_done(world, table, config, pattern, lake):
    """Kills the run once it has made a few more commits, until it has died often enough; then lets it end.

    The moment is a number of commits, not a time: how many of them a machine makes in a moment is not known here.
    """
    command = [world.binary, "backfill", "--config", config, "--table", table, pattern]
    kills, started = 0, time.monotonic()
    while True:
        run = Process(command, world.folder / f"{table}.log", cwd=world.folder, env=environment())
        moment = commits(lake / table) + world.random.randint(1, COMMITS_BETWEEN)
        while run.alive():
            if kills < KILLS_PER_TABLE and commits(lake / table) >= moment:
                run.kill9()
                kills += 1
                break
            require(time.monotonic() - started < 180, f"the backfill of {table} does not end:\n{run.tail()}")
            time.sleep(0.002)
        else:
            code = run.popen.returncode
            require(code == 0, f"the backfill of {table} ended with exit code {code}:\n{run.tail()}")
            return kills


def run(world):
    lake, inbox = world.folder / "lake", world.folder / "inbox"
    inbox.mkdir()
    config = world.folder / "alluvium.toml"
    # Small commits, so that each run that is killed leaves some behind and has more to do.
    config.write_text(f'[lake]\nurl = "{lake}"\n[table_defaults]\nmax_commit_rows = {ROWS_PER_COMMIT}\n')
    connection, kills = readers.duck(), 0
    for number, table in enumerate(write_files(inbox)):
        pattern = f"{inbox}/{table}/*"
        code, out, error = world.cli("backfill", "--config", config, "--table", table, "--dry-run", pattern)
        require(code == 0 and not readers.is_table(lake / table), f"--dry-run ended with exit code {code} or made a table:\n{out}{error}")
        kills += backfill_until_done(world, table, config, pattern, lake)
        expected = [n for file in range(FILES) for n in ids(number, file)]
        versions = commits(lake / table)
        code, out, error = world.cli("backfill", "--config", config, "--table", table, pattern)
        require(code == 0 and commits(lake / table) == versions, f"a finished backfill run again is no no-op (exit code {code}):\n{out}{error}")
        rows, distinct, total = connection.execute(
            f"select count(*), count(distinct id::bigint), sum(id::bigint) from {readers.scan(lake / table)}").fetchone()
        require(rows == distinct == len(expected) and total == sum(expected), f"{table}: {rows} rows of {distinct} ids, {len(expected)} were written")
        wrong = events.mismatch("duckdb") if number < 2 else (
            "visitor is distinct from concat('user-', id::bigint % 5000) or amount::double is distinct from id::bigint % 1000 + 0.25")
        wrong = connection.execute(f"select count(*) from {readers.scan(lake / table)} where {wrong}").fetchone()[0]
        require(wrong == 0, f"{table}: {wrong} rows hold another value than the files")
        code, out, error = world.cli("table", "audit", table, "--config", config)
        require(code == 0, f"alluvium table audit {table} ended with exit code {code}:\n{out}{error}")
    world.note(f"{kills} runs killed")
    require(kills >= 10, f"only {kills} runs could be killed before they were done")
