"""Make or import raw events: `python -m events [--rows N] [--seed N] [--hours N] [--csv PATH]`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from google.cloud import storage

from events import raw_layout
from events.import_csv import read_csv
from events.make import make_events
from gcs_export_pipeline.config import REPORTED, ConfigError, parse_hour, setting


def main() -> int:
    """0 when events were written (or are there, with --if-none), 1 with a message otherwise."""
    parser = argparse.ArgumentParser(prog="events", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000, help="order items to make (default 20000)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other events (default 1)")
    parser.add_argument("--hours", type=int, default=6, help="ingest hours to spread them over (default 6)")
    parser.add_argument("--start", default="2026-01-03T00", help="first ingest hour (default 2026-01-03T00)")
    parser.add_argument("--csv", type=Path, help="import this DataCo CSV instead")
    parser.add_argument("--if-none", action="store_true", help="do nothing if there are raw events")
    args = parser.parse_args()
    began = time.monotonic()
    try:
        if args.rows < 1 or args.hours < 1:
            raise ConfigError("ROWS and HOURS must be 1 or more")
        client, bucket, start = storage.Client(), setting("GCS_BUCKET"), parse_hour(args.start)
        if args.if_none and raw_layout.existing(client, bucket):
            return 0
        offset = raw_layout.first_offset(start)
        if args.csv:
            events = read_csv(args.csv, args.hours, offset)
            last = int(events[["Order Id", "Order Item Id"]].max().max())
            facts: dict[str, object] = {"raw": len(events), "hours": args.hours, "next_id": last + 1}
        else:
            made = make_events(args.rows, args.seed, args.hours, offset, raw_layout.next_id(client, bucket))
            events, facts = made.events, made.facts
        objects = raw_layout.write(client, bucket, events, start, facts)
    except REPORTED as error:
        print(f"events: {error}", file=sys.stderr)
        return 1
    source = args.csv or f"{args.rows:,} order items, seed {args.seed}"
    print(f"  {len(events):,} raw events ({source}) in {objects} objects, {time.monotonic() - began:.0f} s")
    for name in ("late", "duplicates", "duplicates_in_later_hours", "quarantined"):
        if name in facts:
            print(f"    {name.replace('_', ' ')}: {facts[name]}")
    return 0


sys.exit(main())
