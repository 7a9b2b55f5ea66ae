"""The stand-in workspace's own unit tests hold, by the plain Python that runs it."""

import re
import subprocess
import sys

from harness.procs import require
from harness.workspace import SUPPORT


def run(world):
    done = subprocess.run(
        [sys.executable, "-m", "unittest", "discover", "-t", ".", "-s", "workspace/tests"], cwd=SUPPORT, capture_output=True, text=True, timeout=120, check=False)
    require(done.returncode == 0, done.stderr[-4000:])
    ran = re.search(r"Ran (\d+) tests in .*", done.stderr)
    require(ran and int(ran[1]) > 40, f"not all tests were found: {done.stderr[-400:]}")  # none found is no failure to unittest
    world.note(ran[0])
