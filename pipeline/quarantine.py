"""Show what was set aside: each reason with how many rows and a few of them, `python -m pipeline.quarantine`."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import pyarrow.parquet as pq
from google.cloud import storage
from rich.console import Console
from rich.table import Table

from gcs_export_pipeline import declaration, hours
from gcs_export_pipeline.config import QUARANTINE, REPORTED, Config

EXAMPLES, BATCH_ROWS = 2, 1000


@dataclass
class Reason:
    """A reason, its rows over all hours, and examples as (object, position, the raw value that it is about)."""

    name: str
    rows: int
    examples: list[tuple[str, str, str]] = field(default_factory=list)


def collect(client: storage.Client, bucket: str) -> list[Reason]:
    """Every reason, most rows first.

    Counts come from the hour records; files are opened, newest hour first, only until each reason has its examples.
    """
    records = hours.read(client, bucket)
    found: dict[str, Reason] = {}
    for record in records.values():
        for name, rows in record["reasons"].items():
            found.setdefault(name, Reason(name, 0)).rows += rows
    lacking = set(found)
    for hour, record in sorted(records.items(), reverse=True):
        if not lacking & set(record["reasons"]):
            continue
        folder = f"{hours.quarantine_path(record['run'])}/hour={hour:%Y%m%dT%H}/"
        for blob in client.list_blobs(bucket, prefix=folder):
            with blob.open("rb") as file:
                for batch in pq.ParquetFile(file).iter_batches(BATCH_ROWS):
                    for row in batch.to_pylist():
                        for name in lacking & set(row["reasons"]):
                            found[name].examples.append(_example(name, row))
                        lacking -= {name for name in lacking if len(found[name].examples) >= EXAMPLES}
                    if not lacking:
                        break
    return sorted(found.values(), key=lambda reason: -reason.rows)


def _example(reason: str, row: dict[str, Any]) -> tuple[str, str, str]:
    meta = row["metadata"]
    position = f"{meta['topic']}/{meta['partition']}/{meta['offset']}"
    raw = {each.name: (source, each.raw) for source, each in declaration.fields()}
    values = {name: row[source][field] for name, (source, field) in raw.items() if name in reason.split()}
    about = [
        f"{name}={value:.10g}" if isinstance(value, float) else f"{name}={value!r}" for name, value in values.items()
    ]
    return "/".join(row["object"].split("/")[-2:]), position, ", ".join(about)


def main() -> int:
    """0 with the table, 1 with a message if it cannot be read."""
    try:
        config = Config.from_environment()
        reasons = collect(storage.Client(project=config.project), config.bucket)
    except REPORTED as error:
        print(f"quarantine: {error}", file=sys.stderr)
        return 1
    if not reasons:
        print("nothing is in quarantine")
        return 0
    table = Table("reason", "rows", "object", "topic/partition/offset", "raw value")
    for reason in reasons:
        for index, example in enumerate(reason.examples or [("the object as a whole", "", "")]):
            table.add_row(*([reason.name, f"{reason.rows:,}"] if index == 0 else ["", ""]), *example)
    Console(width=150).print(table)
    print(f"the rows with all of their fields: gs://{config.bucket}/{QUARANTINE}/run=<run>/hour=<hour>/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
