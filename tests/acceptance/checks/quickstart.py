"""`alluvium serve` without a configuration in an empty folder: what it prints can be pasted, and DuckDB reads the table."""

import re
import subprocess

from harness import readers
from harness.daemon import cli, environment
from harness.procs import Process, require, wait_until


def run(world):
    process = Process([world.binary, "serve"], world.folder / "serve.log", cwd=world.folder, env=environment())
    try:
        def curl():
            require(process.alive(), f"alluvium serve ended with exit code {process.popen.returncode}:\n{process.tail()}")
            text = re.sub(r"\x1b\[[0-9;]*m", "", process.log.read_text(errors="replace"))
            return re.search(r"curl (?:[^\n]*\\\n)*[^\n]*", text)

        line = wait_until(curl, 20, "a curl line in what alluvium serve prints")[0]
        printed = process.log.read_text(errors="replace")
        require("127.0.0.1:8080" in printed and "lake" in printed, f"it does not print where it listens and where the tables are:\n{printed}")
        done = subprocess.run(["bash", "-c", line], cwd=world.folder, capture_output=True, timeout=30, check=False)
        require(done.returncode == 0 and b'"accepted"' in done.stdout, f"the printed line `{line}` did not work: {done.stdout} {done.stderr}")
        table = re.search(r"/v1/events/([\w.-]+)", line)[1]
        connection, path = readers.duck(), world.folder / "lake" / table
        wait_until(lambda: readers.count(connection, path) >= 1, 60, f"the event in lake/{table}", 0.5)
        names = {row[0] for row in connection.execute(f"describe select * from {readers.scan(path)}").fetchall()}
        lacking = {"_source", "_partition", "_offset", "_index", "_event_time", "_ingested_at"} - names
        require(not lacking, f"the table lacks the metadata columns {sorted(lacking)}")
        code, out, error = cli(world.binary, "table", "show", table, cwd=world.folder)
        require(code == 0, f"alluvium table show {table} ended with exit code {code}:\n{out}{error}")
    finally:
        code = process.stop(40)
    require(code == 0, f"SIGTERM ended it with exit code {code}:\n{process.tail()}")
