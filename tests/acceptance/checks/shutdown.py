"""Signals, health and exit codes."""

import signal
import time

from harness import readers
from harness.daemon import Client, free_port
from harness.procs import require, wait_until

TIMEOUT = 10


def config(world, port, name, lake=None):
    return f"""
shutdown_timeout_seconds = {TIMEOUT}
[lake]
url = "{lake or world.folder / 'lake'}"
[spool]
path = "{world.folder}/spool-{name}"
[sources.web]
type = "http"
listen = "127.0.0.1:{port}"
[table_defaults]
flush_interval_seconds = 3600
"""


def drains(world):
    """SIGTERM commits what waits for its flush interval, and exits 0 in time."""
    port = free_port()
    daemon = world.daemon(config(world, port, "drain"), "drain").start().ready()
    require(daemon.get("/healthz")[0] == 200, f"/healthz answered {daemon.get('/healthz')}")
    status, text = daemon.get("/metrics")
    require(status == 200 and "alluvium_" in text, f"/metrics answered {status}: {text[:200]}")
    Client(f"http://127.0.0.1:{port}").send("clicks", [{"id": n} for n in range(1000)])
    start = time.monotonic()
    code = daemon.terminate()
    seconds = time.monotonic() - start
    require(code == 0 and seconds < TIMEOUT + 2, f"SIGTERM ended it after {seconds:.1f} s with exit code {code}:\n{daemon.process.tail()}")
    rows = readers.count(readers.duck(), world.folder / "lake/clicks", "count(distinct id)")
    require(rows == 1000, f"{rows} of 1000 accepted events were committed before the exit")
    world.note(f"drained in {seconds:.2f} s")


def second_signal(world):
    """A second SIGTERM does not wait for a drain that cannot end: the lake is a file where its folder should be."""
    port, lake = free_port(), world.folder / "blocked"
    daemon = world.daemon(config(world, port, "blocked", lake), "blocked").start().ready()
    lake.mkdir(exist_ok=True)
    client = Client(f"http://127.0.0.1:{port}")
    client.send("clicks", [{"id": 1}])
    lake.rename(world.folder / "away")
    lake.write_text("not a folder")
    daemon.process.signal(signal.SIGTERM)
    time.sleep(1)
    if daemon.alive():  # else it gave the drain up before its time-out, which is its right where the store has gone
        daemon.process.signal(signal.SIGTERM)
        start = time.monotonic()
        wait_until(lambda: not daemon.alive(), 3, "the end after a second SIGTERM", 0.02)
        code = daemon.process.popen.returncode
        require(code == 130, f"a second SIGTERM ended it with exit code {code}, not 130:\n{daemon.process.tail()}")
        world.note(f"ended {time.monotonic() - start:.2f} s after the second SIGTERM")
    else:
        world.skip("shutdown by a second SIGTERM", f"the daemon gave its drain up before, exit code {daemon.process.popen.returncode}")
    lake.unlink()
    (world.folder / "away").rename(lake)
    daemon.start().ready()
    require(daemon.terminate() == 0, f"the drain after the store came back failed:\n{daemon.process.tail()}")
    rows = readers.count(readers.duck(), lake / "clicks")
    require(rows == 1, f"{rows} rows of the one event that was accepted before the store went away")


def exit_codes(world):
    """Usage and configuration errors exit 2, say every error at once with its key, and write nothing."""
    wrong = world.folder / "wrong.toml"
    wrong.write_text('memory_budgt_bytes = 1\n[tables.clicks]\nflush_interval_seconds = "soon"\n')
    anonymous = world.folder / "anonymous.toml"
    anonymous.write_text(f'[sources.web]\ntype = "http"\nlisten = "0.0.0.0:{free_port()}"\n')
    for arguments, words in [
        (["--no-such-flag"], []),
        (["no-such-command"], []),
        (["serve", "--config", world.folder / "absent.toml"], ["absent.toml"]),
        (["check", "--config", wrong], ["memory_budgt_bytes", "flush_interval_seconds"]),
        (["serve", "--config", anonymous], ["keys"]),
        (["table", "show"], []),
    ]:
        code, out, error = world.cli(*arguments, seconds=20)
        said = f"`alluvium {' '.join(map(str, arguments))}` ended with exit code {code}:\n{out}{error}"
        require(code == 2, said)
        require(all(word in error + out for word in words), f"{words} are not named; {said}")
        require("panicked" not in error, said)
    for arguments in (["--help"], ["--version"], ["serve", "--help"], ["config", "schema"]):
        code, out, error = world.cli(*arguments)
        require(code == 0 and out, f"`alluvium {' '.join(arguments)}` ended with exit code {code}:\n{error}")


def run(world):
    exit_codes(world)
    drains(world)
    second_signal(world)
