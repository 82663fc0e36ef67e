"""Make a long range of hours anew, step by step: `python -m pipeline.backfill --from HOUR --to HOUR [--days N]`.

Each step is a run of its own up to the candidate. The gate and publishing come once, at the end, so that analysts see
the range change at once. A backfill that stopped goes on after its last step when the same command is given again.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime, timedelta

from google.cloud import storage

from gcs_export_pipeline import objects
from gcs_export_pipeline.config import REPORTED, Config, ConfigError, hour_name, new_run_id, parse_hour
from pipeline.run import run

BACKFILLS = "backfills"
#: A month of hourly folders is what one Spark job and one load job take with ease.
DAYS_A_STEP = 31


def steps(raw_hours: list[datetime], start: datetime, end: datetime, days: int) -> list[tuple[datetime, datetime]]:
    """The range as steps [start, end) of as many days, without those in which no raw hour lies."""
    found = []
    while start < end:
        step_end = min(start + timedelta(days=days), end)
        if any(start <= hour < step_end for hour in raw_hours):
            found.append((start, step_end))
        start = step_end
    return found


def backfill(config: Config, start: datetime, end: datetime, days: int) -> int:
    """Do the steps that are not done, then gate and publish; the exit status."""
    client = storage.Client(project=config.project)
    todo = steps(list(objects.list_raw(client, config.bucket)), start, end, days)
    if not todo:
        raise ConfigError(f"no raw objects from {start} to {end}: name hours that have a folder in raw_streaming/")
    name = f"{BACKFILLS}/{hour_name(start)}-{hour_name(end)}-{days}.json"
    progress = client.bucket(config.bucket).blob(name)
    done: list[str] = json.loads(progress.download_as_bytes()) if progress.exists() else []
    for number, (step_start, step_end) in enumerate(todo, 1):
        title = f"step {number} of {len(todo)}: {step_start:%Y-%m-%dT%H} to {step_end:%Y-%m-%dT%H}"
        if hour_name(step_start) in done:
            print(f"backfill: {title}: done before")
            continue
        print(f"\nbackfill: {title}", flush=True)
        bounds = (f"{step_start:%Y-%m-%dT%H}", f"{step_end:%Y-%m-%dT%H}")
        if run(config, new_run_id(), *bounds, only=("dimensions", "load", "transform")):
            print("\nbackfill: the same command goes on with this step", file=sys.stderr)
            return 1
        done.append(hour_name(step_start))
        progress.upload_from_string(json.dumps(done), "application/json")
    if status := run(config, new_run_id(), "", "", only=("quality", "publish")):
        print("\nbackfill: every step is done; the same command gates and publishes again", file=sys.stderr)
        return status
    progress.delete()
    return 0


def main() -> int:
    """0 when the range was made anew and published, 1 with what to do otherwise."""
    parser = argparse.ArgumentParser(prog="backfill", description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="start", required=True, metavar="HOUR", help="first hour, as 2026-01-03T00")
    parser.add_argument("--to", dest="end", required=True, metavar="HOUR", help="first hour after the range")
    parser.add_argument("--days", type=int, default=DAYS_A_STEP, help=f"days a step (default {DAYS_A_STEP})")
    args = parser.parse_args()
    try:
        start, end = parse_hour(args.start), parse_hour(args.end)
        if start >= end or args.days < 1:
            raise ConfigError("TO must be later than FROM, and DAYS 1 or more")
        return backfill(Config.from_environment(), start, end, args.days)
    except REPORTED as error:
        print(f"\nbackfill: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nbackfill: ended; the published tables are as they were, the same command goes on", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
