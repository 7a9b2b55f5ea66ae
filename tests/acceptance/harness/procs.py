"""Processes of the run: started and killed here, and found again by a mark in their environment.

Every process inherits `ACCEPTANCE_RUN` from main.py, so that nothing the run started can hide, whoever
its parent is by then.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

MARK = "ACCEPTANCE_RUN"


class CheckFailed(Exception):
    """What a check expected did not hold; the message is the report."""


def require(condition, message):
    if not condition:
        raise CheckFailed(message)


def wait_until(probe, seconds, what, pause=0.1):
    """Returns the first true answer of `probe`, or fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        require(time.monotonic() < end, f"waited {seconds} s in vain for {what}")
        time.sleep(pause)


class Process:
    """A child in a process group of its own, its output appended to a file."""

    def __init__(self, args, log, **options):
        self.log = Path(log)
        with open(log, "ab") as out:
            self.popen = subprocess.Popen(
                [str(a) for a in args], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                start_new_session=True, **options,
            )

    @property
    def pid(self):
        return self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def signal(self, number):
        if self.alive():
            self.popen.send_signal(number)

    def kill9(self):
        """SIGKILL to the whole group; returns when the process is gone."""
        if self.alive():
            os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait()

    def stop(self, seconds=20):
        """SIGTERM, then SIGKILL after `seconds`."""
        self.signal(signal.SIGTERM)
        try:
            self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill9()
        return self.popen.returncode

    def tail(self, lines=15):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def marked(run):
    """(pid, command line) of every living process that carries the mark of `run`, this one excepted."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            zombie = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
        except OSError:  # gone meanwhile, or somebody else's
            continue
        if f"{MARK}={run}".encode() in environment and not zombie:
            found.append((int(entry.name), command))
    return found


def sweep(run):
    """Kills what is left of a run that could not tear itself down."""
    for pid, command in marked(run):
        print(f"killing what was left: {pid} {command[:120]}", file=sys.stderr)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


if __name__ == "__main__":
    sweep(sys.argv[1])
