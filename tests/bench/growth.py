"""How a daily run grows with history, and a full run with its events; prints Markdown tables.

`python -m tests.bench.growth [--events 200000] [--windows 1 10 50] [--full 200000 1000000 5000000]`
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from google.cloud import bigquery, storage

from gcs_export_pipeline.config import parse_hour
from tests.conftest import ROOT, local_platform

FIRST = parse_hour("2026-01-01T00")
#: An order item has as many events: its own, and for some a change of status.
EVENTS_PER_ITEM = 1.3256
#: The generator holds a batch in memory.
BATCH_EVENTS = 1_000_000
STAGES = ("dimensions", "load", "transform", "quality", "publish")
SAMPLE_SECONDS = 0.5


def command(module: str, *args: str, **settings: str) -> float:
    """Run a module as a user does; returns the most memory, in GiB, that its processes had at a time."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *args], cwd=ROOT, env=os.environ | settings, stdout=subprocess.PIPE, text=True
    )
    peak = 0.0

    def watch() -> None:
        nonlocal peak
        while process.poll() is None:
            peak = max(peak, _resident(process.pid))
            time.sleep(SAMPLE_SECONDS)

    watcher = threading.Thread(target=watch)
    watcher.start()
    output, _ = process.communicate()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{module} {' '.join(args)} failed:\n{output[-3000:]}")
    return peak


def _resident(root: int) -> float:
    """GiB that a process and all below it hold in memory."""
    parents, sizes = {}, {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue  # it ended
        found = dict(re.findall(r"^(Pid|PPid|VmRSS):\s+(\d+)", text, re.M))
        parents[int(found["Pid"])], sizes[int(found["Pid"])] = int(found["PPid"]), int(found.get("VmRSS", 0))
    family = {root}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(sizes.get(pid, 0) for pid in family) / 1024**2


def make_events(events: int, start: str, hours: int, **settings: str) -> None:
    """Make about as many events from an hour on."""
    rows = str(round(events / EVENTS_PER_ITEM))
    command("events", "--rows", rows, "--start", start, "--hours", str(hours), "--seed", start[8:10], **settings)


def deployment(name: str) -> dict[str, str]:
    """A bucket and datasets of its own."""
    storage.Client().create_bucket(f"bench-{name}")
    datasets = ("STAGING", "CANDIDATE", "WAREHOUSE", "PREVIOUS", "OPS")
    build = tempfile.mkdtemp(prefix="bench-")
    return {"GCS_BUCKET": f"bench-{name}", "BUILD_DIR": build} | {
        f"{each}_DATASET": f"{name}_{each.lower()}" for each in datasets
    }


def last_run(settings: dict[str, str]) -> dict[str, Any]:
    """Seconds by stage, and rows and bytes read, of the last run, as the ledger has them."""
    ops, client = settings["OPS_DATASET"], bigquery.Client()
    rows = list(
        client.query_and_wait(
            f"select stage, measure, sum(row_count) as row_count, sum(byte_count) as byte_count, "
            f"sum(seconds) as seconds from {ops}.run_counts where run in "
            f"(select max(run) from {ops}.runs where status = 'succeeded') group by stage, measure"
        )
    )
    found: dict[str, Any] = {row.stage: row.seconds for row in rows if row.measure == "stage"}
    found |= {f"sql {row.stage}": row.byte_count for row in rows if row.measure == "stage"}
    for row in rows:
        if row.measure in ("raw", "loaded", "candidate"):
            found[row.measure] = (row.row_count, row.byte_count)
    return found


HEADS = ["raw events", *(f"{each} s" for each in STAGES), "all s", "raw MiB", "Parquet MiB loaded"]
HEADS += [f"SQL MiB {each}" for each in ("load", "transform", "quality")]


def head(first: str, *more: str) -> None:
    """Print the head of a table."""
    heads = [first, *HEADS, *more]
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads), flush=True)


def row(label: str, run: dict[str, Any], *more: str) -> None:
    """Print a line of a table."""
    seconds = [run.get(stage, 0.0) for stage in STAGES]
    sizes = [run["raw"][1], run["loaded"][1], *(run.get(f"sql {each}", 0) for each in ("load", "transform", "quality"))]
    cells = [label, f"{run['raw'][0]:,}", *(f"{each:.0f}" for each in (*seconds, sum(seconds)))]
    print(f"| {' | '.join([*cells, *(f'{size / 1024**2:.0f}' for size in sizes), *more])} |", flush=True)


def daily(events: int, windows: list[int]) -> None:
    """A run over one new day behind histories of different lengths."""
    settings = deployment("daily")
    print(f"\nA daily run of {events:,} events behind a history of as many a day:\n")
    head("days in all", "rows in the dimensions")
    done = 0
    for number in windows:
        for day in range(done, number):
            if day == number - 1 and number - done > 1:
                command("pipeline", **settings)  # what lies before, in one run
            make_events(events, f"{FIRST + timedelta(days=day):%Y-%m-%dT%H}", 1, **settings)
        command("pipeline", **settings)
        run = last_run(settings)
        row(str(number), run, f"{run['candidate'][0]:,}")
        done = number


def full(sizes: list[int]) -> None:
    """A first run over everything."""
    print("\nA first run over all events:\n")
    head("events", "peak memory, GiB")
    for size in sizes:
        settings = deployment(f"full{size}")
        for number in range(-(-size // BATCH_EVENTS)):
            start = FIRST + timedelta(days=number)
            make_events(min(size, BATCH_EVENTS), f"{start:%Y-%m-%dT%H}", 24, **settings)
        peak = command("pipeline", **settings)
        row(f"{size:,}", last_run(settings), f"{peak:.1f}")


def main() -> None:
    """Measure, on servers of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=200_000, help="events a day (default 200000)")
    parser.add_argument("--windows", type=int, nargs="*", default=[1, 10, 50], help="days (default 1 10 50)")
    parser.add_argument("--full", type=int, nargs="*", default=[200_000, 1_000_000, 5_000_000], help="events")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-platform-") as folder, local_platform(Path(folder)):
        if args.full:
            full(args.full)
        if args.windows:
            daily(args.events, args.windows)


if __name__ == "__main__":
    main()
