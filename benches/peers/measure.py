"""CPU time and memory of one process and all it started."""

import os
import subprocess
from dataclasses import dataclass

SECONDS = 600


class Failed(Exception):
    """The process ended otherwise than by 0; the text is its last line."""


@dataclass
class Usage:
    cpu_seconds: float
    peak_bytes: int


def measure(command, core, log):
    """Runs a command, pinned to one core, to its end."""
    # ALLUVIUM_… would be read as its configuration.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ALLUVIUM_")}
    environment |= {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "ARROW_IO_THREADS": "1"}
    command = ["timeout", str(SECONDS), "taskset", "--cpu-list", str(core), *command]
    with open(log, "wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        lines = log.read_text(errors="replace").strip().splitlines() or [""]
        raise Failed(f"exit code {process.returncode}: {lines[-1][:300]}")
    return Usage(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)
