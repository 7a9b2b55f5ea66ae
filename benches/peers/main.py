"""Measures whole processes in turn and prints tables. Started by `run`, which installs, builds and sets the environment."""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import Failed, measure
from peers import PEERS, Task

KINDS = ["flat", "nested", "mixed", "hostile"]
SEED = 7


def generate(kind, megabytes, folder):
    path = folder / f"{kind}.ndjson"
    subprocess.run([Path(os.environ["EXAMPLES"]) / "events", kind, str(megabytes * 1_000_000), str(SEED), path], check=True)
    return path


def count_lines(path):
    # In pieces, so that this process stays small: a child's peak of memory begins at its parent's.
    with open(path, "rb") as file:
        return sum(piece.count(b"\n") for piece in iter(lambda: file.read(1 << 20), b""))


def verify(kind, rows, outputs):
    """Rows and digests of every output, by DuckDB in a process of its own; see verify.py."""
    command = [sys.executable, Path(__file__).with_name("verify.py"), kind, str(rows), *(f"{name}={path}" for name, path in outputs.items())]
    found = subprocess.run(command, check=False, capture_output=True, text=True)
    if found.returncode != 0:
        sys.exit(f"{kind}: {found.stdout}{found.stderr}")
    sizes = {}
    for line in found.stdout.splitlines():
        name, size, note = line.split("\t")
        sizes[name] = (int(size), note)
    return sizes


def rounds(kind, source, peers, options, folder):
    """One list of (CPU seconds, peak bytes) for each peer; a peer that fails is left out, with its last line of error."""
    results, failed, outputs = {name: [] for name in peers}, {}, {}
    for number in range(options.rounds + 1):
        for name in list(results):
            out = folder / name
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            subprocess.run(["cat", source], stdout=subprocess.DEVNULL, check=True)  # in the page cache for all
            try:
                usage = measure(PEERS[name](Task(kind, source, out)), options.core, out / "log")
            except Failed as failure:
                failed[name] = str(failure)
                del results[name]
                shutil.rmtree(out)
                continue
            outputs[name] = out
            if number > 0:  # the first round warms: libraries and bytecode into the page cache
                results[name].append(usage)
    return results, failed, {name: path for name, path in outputs.items() if name in results}


def table(head, rows):
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    for line in lines:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |")
    print(flush=True)


def report(all_results):
    """Three tables of the same shape: a row a kind of events, a column a peer."""
    names = [name for name in PEERS if any(name in found[0] for found in all_results.values())]
    speed, memory, sizes = [], [], []
    for kind, (results, failed, written, length) in all_results.items():
        rows = [[kind] for _ in range(3)]
        for name in names:
            if name not in results:
                for row in rows:
                    row.append("cannot" if name in failed else "")
                continue
            cpu = [usage.cpu_seconds for usage in results[name]]
            ours = [usage.cpu_seconds for usage in results["alluvium"]]
            ratio = statistics.median(mine / theirs for mine, theirs in zip(ours, cpu, strict=True))
            rate = length / 1e6 / statistics.median(cpu)
            rows[0].append(f"{rate:.0f}" if name == "alluvium" else f"{rate:.0f} ({1 / ratio:.2f}×)")
            rows[1].append(f"{statistics.median(usage.peak_bytes for usage in results[name]) / 1e6:.0f}")
            rows[2].append(f"{written[name][0] / 1e6:.1f}")
        for out, row in zip([speed, memory, sizes], rows, strict=True):
            out.append(row)
    print("\nMB of JSON a CPU second, and in brackets Alluvium's CPU time as a multiple faster: peer's CPU seconds / Alluvium's, median of the rounds.\n")
    table(["events", *names], speed)
    print("Peak resident memory, MB.\n")
    table(["events", *names], memory)
    print("Parquet written, MB; of Alluvium's without the metadata columns.\n")
    table(["events", *names], sizes)
    for kind, (_, failed, written, length) in all_results.items():
        print(f"{kind}: {length / 1e6:.0f} MB of JSON")
        for name, (_, note) in written.items():
            if note:
                print(f"  {name}: {note}")
        for name, reason in failed.items():
            print(f"  {name} cannot: {reason}")


def main():
    parser = argparse.ArgumentParser(prog="benches/peers/run", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200, help="JSON of each kind (default: 200)")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds, after one that warms (default: 5)")
    parser.add_argument("--only", action="append", choices=KINDS, help="this kind of events alone; may be repeated")
    parser.add_argument("--peers", action="append", choices=list(PEERS), help="Alluvium and this peer alone; may be repeated")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), help="the core all processes run on")
    parser.add_argument("--keep", action="store_true", help="keep the folder with events and outputs")
    options = parser.parse_args()

    peers = [name for name in PEERS if name == "alluvium" or not options.peers or name in options.peers]
    if "ALLUVIUM_BASE" not in os.environ:
        peers = [name for name in peers if name != "alluvium_base"]
    folder = Path(tempfile.mkdtemp(prefix="alluvium-peers-"))
    try:
        found = {}
        for kind in options.only or KINDS:
            source = generate(kind, options.megabytes, folder)
            rows = count_lines(source)
            (folder / kind).mkdir()
            results, failed, outputs = rounds(kind, source, peers, options, folder / kind)
            if "alluvium" not in results:
                sys.exit(f"{kind}: {failed['alluvium']}")
            found[kind] = (results, failed, verify(kind, rows, outputs), source.stat().st_size)
            if not options.keep:
                shutil.rmtree(folder / kind)
                source.unlink()
        report(found)
    finally:
        if options.keep:
            print(f"kept {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
