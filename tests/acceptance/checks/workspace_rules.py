"""The stand-in workspace's own unit tests hold, by the plain Python that runs it."""

import subprocess
import sys

from harness.procs import require
from harness.workspace import SUPPORT


def run(world):
    done = subprocess.run(
        [sys.executable, "-m", "unittest", "discover", "-t", ".", "-s", "workspace/tests"], cwd=SUPPORT, capture_output=True, text=True, timeout=120, check=False)
    require(done.returncode == 0, done.stderr[-4000:])
    world.note(done.stderr.strip().splitlines()[-3])
