"""`alluvium serve` without a configuration in an empty folder: what it prints can be pasted, and DuckDB reads the table."""

import os
import pty
import re
import subprocess
import threading

from harness import readers
from harness.daemon import cli, environment
from harness.procs import require, wait_until


class Terminal:
    """A process on a terminal of its own, and what it has shown there."""

    def __init__(self, args, folder):
        self.master, slave = pty.openpty()
        self.shown = b""
        self.popen = subprocess.Popen(
            args, cwd=folder, env=environment(), stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            while data := os.read(self.master, 65536):
                self.shown += data
        except OSError:  # EIO: the process has closed its end
            pass

    def text(self):
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.shown.decode(errors="replace")).replace("\r", "")

    def stop(self):
        self.popen.terminate()
        try:
            return self.popen.wait(40)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            return self.popen.wait()


def run(world):
    terminal = Terminal([world.binary, "serve"], world.folder)
    try:
        def curl():
            require(terminal.popen.poll() is None, f"alluvium serve ended with exit code {terminal.popen.returncode}:\n{terminal.text()}")
            return re.search(r"curl [^\n]*/v1/events/[\w.-]+[^\n]*", terminal.text())

        line = wait_until(curl, 20, "a curl line in what alluvium serve prints")[0]
        printed = terminal.text()
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
        code = terminal.stop()
    require(code == 0, f"SIGTERM ended it with exit code {code}:\n{terminal.text()}")
