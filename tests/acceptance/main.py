"""Runs the acceptance checks in order and reports one line each. Started by `run`, which prepares the environment."""

import argparse
import importlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from harness.procs import MARK, CheckFailed, marked, wait_until
from harness.world import World

CHECKS = [
    "quickstart", "shutdown", "http", "backfill", "kafka_source", "kafka", "kafka_range", "spark_tables", "formats", "limits", "secrets",
    "store_servers", "s3_roles", "s3_expiry", "azure_sas", "landing_zone", "stores_network", "stores_race", "stores_suite", "backfill_stores", "store_secrets",
    "workspace_rules", "workspace_sdk", "workspace_curl", "workspace_spark", "control_sql", "databricks_cli", "databricks_auth", "check_connection",
    "unity_vending",
    "warehouse",
]


def one(world, name):
    """Runs a check; True where it held."""
    start = time.monotonic()
    try:
        world.begin(name)
        importlib.import_module(f"checks.{name}").run(world)
        verdict = "ok"
    except CheckFailed as failure:
        verdict, reason = "FAILED", str(failure)
    except Exception as error:  # a check that stumbles has not held, and the others still run
        verdict, reason = "FAILED", f"{type(error).__name__}: {error}"
        traceback.print_exc(file=sys.stdout)
    finally:
        world.end()
    seconds = time.monotonic() - start
    for note in world.notes:
        print(f"  {note}")
    for part, reason in world.skipped:
        print(f"skipped {part}: {reason}")
    if verdict == "ok":
        print(f"ok {name} {seconds:.1f} s", flush=True)
        shutil.rmtree(world.folder, ignore_errors=True)
    else:
        print(f"FAILED {name} {seconds:.1f} s: {reason}", flush=True)
    return verdict == "ok"


def leftovers():
    """After tear-down no process of the run is left."""
    start, run = time.monotonic(), os.environ[MARK]
    try:
        wait_until(lambda: not marked(run), 15, "the run's processes to end")
        print(f"ok leftovers {time.monotonic() - start:.1f} s", flush=True)
        return True
    except CheckFailed:
        for pid, command in marked(run):
            print(f"  left running: {pid} {command[:160]}")
            os.kill(pid, signal.SIGKILL)
        print(f"FAILED leftovers {time.monotonic() - start:.1f} s: processes were left running and have been killed", flush=True)
        return False


def main():
    parser = argparse.ArgumentParser(prog="tests/acceptance/run", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", choices=CHECKS, help="run this check alone; may be repeated")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000), help="repeats the random choices of an earlier run")
    parser.add_argument("--keep", action="store_true", help="keep the folder of a run that held, too")
    parser.add_argument("--long", action="store_true", help="the object-store runs last minutes instead of seconds")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    binary = Path(os.environ["ALLUVIUM"]).resolve()
    if not os.access(binary, os.X_OK):
        sys.exit(f"no binary to test at {binary}; build it with `cargo build --release`, or name one in ALLUVIUM")
    root = Path(tempfile.mkdtemp(prefix="alluvium-acceptance-"))
    print(f"seed {options.seed}, folder {root}", flush=True)
    world = World(binary, root, options.seed, options.long)
    try:
        results, skipped = [], 0
        for name in CHECKS:
            if not options.only or name in options.only:
                results.append(one(world, name))
                skipped += len(world.skipped)
    finally:
        world.close()
    results.append(leftovers())
    if all(results) and not options.keep:
        shutil.rmtree(root)
    also = f", {skipped} in part skipped" if skipped else ""
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed{also}", flush=True)
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
