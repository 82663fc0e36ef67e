"""Rows by stage, each counted where it lies, and whether they add up."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from google.cloud import bigquery, storage
from rich.console import Console
from rich.table import Table

from gcs_export_pipeline import declaration, hours
from gcs_export_pipeline.config import Config


@dataclass(frozen=True)
class Summary:
    """Row counts of everything that is there, whichever run brought it."""

    #: Of all hours: raw, valid, quarantined, duplicates.
    events: dict[str, int]
    #: Events by reason for which they were set aside.
    reasons: dict[str, int]
    #: By dimension: parquet, staging, keys (distinct in staging), candidate, published.
    dimensions: dict[str, dict[str, int]]
    #: Raw objects that could not be read, with the problem.
    set_aside: dict[str, str]

    @property
    def problems(self) -> list[str]:
        """Each sum that does not hold, in words; empty if all do."""
        found = []
        events = self.events
        if events["raw"] != events["valid"] + events["quarantined"] + events["duplicates"]:
            found.append(f"raw events are not valid + quarantined + duplicates: {events}")
        for name, counts in self.dimensions.items():
            if counts["parquet"] != counts["staging"]:
                found.append(
                    f"{name}: {counts['parquet']} rows in Parquet, {counts['staging']} in staging: "
                    "`make load FROM=2000-01-01T00` loads all again"
                )
            if counts["keys"] != counts["candidate"]:
                found.append(
                    f"{name}: {counts['keys']} keys in staging, {counts['candidate']} rows in dim_{name}: "
                    "`make transform`"
                )
            if counts["candidate"] != counts["published"]:
                found.append(
                    f"{name}: {counts['candidate']} rows checked, {counts['published']} published: `make publish`"
                )
        if self.dimensions["metadata"]["staging"] != events["valid"]:
            found.append(
                f"{events['valid']} valid events, {self.dimensions['metadata']['staging']} in staging.metadata"
            )
        return found


def collect(config: Config) -> Summary:
    """Count: events from the hour records, the rest from the tables themselves."""
    records = hours.read(storage.Client(project=config.project), config.bucket)
    dimensions = declaration.dimensions()
    events = {
        name: sum(each["rows"][name] for each in records.values())
        for name in ("raw", "valid", "quarantined", "duplicates")
    }
    counts = _tables(config)
    parquet = {name: sum(each["dimensions"][name]["rows"] for each in records.values()) for name in dimensions}
    return Summary(
        events=events,
        reasons=_totals([each["reasons"] for each in records.values()]),
        dimensions={name: {"parquet": parquet[name], **counts[name]} for name in dimensions},
        set_aside={name: problem for each in records.values() for name, problem in each["set_aside"].items()},
    )


def _tables(config: Config) -> dict[str, dict[str, int]]:
    """Rows of each dimension in staging, candidate and warehouse, and its distinct keys, in one query."""
    parts = []
    for name, dimension in declaration.dimensions().items():
        staging = f"`{config.project}.{config.staging}.{name}`"
        key = ", ".join(f"`{each}`" for each in dimension.key)
        parts.append(
            f"select '{name}' as name, (select count(*) from {staging}) as staging, "
            f"(select count(*) from (select distinct {key} from {staging}) as keys) as distinct_keys, "
            f"(select count(*) from `{config.project}.{config.candidate}.dim_{name}`) as candidate, "
            f"(select count(*) from `{config.project}.{config.warehouse}.dim_{name}`) as published"
        )
    client = bigquery.Client(project=config.project, location=config.location)
    rows = client.query_and_wait(" union all ".join(parts))
    return {
        row.name: {
            "staging": row.staging,
            "keys": row.distinct_keys,
            "candidate": row.candidate,
            "published": row.published,
        }
        for row in rows
    }


def _totals(counts: list[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in counts:
        for name, number in each.items():
            total[name] = total.get(name, 0) + number
    return dict(sorted(total.items(), key=lambda item: -item[1]))


def show(summary: Summary, seconds: dict[str, float]) -> None:
    """Print the tables."""
    console = Console(width=100, highlight=False)
    events, metadata = summary.events, summary.dimensions["metadata"]
    flow = Table("events", "", title="Events", title_justify="left", show_header=False)
    flow.columns[1].justify = "right"
    for label, number in (
        ("raw", events["raw"]),
        ("- duplicate deliveries within an hour", events["duplicates"]),
        ("- quarantined", events["quarantined"]),
        ("= valid", events["valid"]),
        ("- duplicate deliveries across hours", metadata["staging"] - metadata["keys"]),
        ("= distinct events", metadata["candidate"]),
    ):
        flow.add_row(label, f"{number:,}")
    console.print(flow)
    rows = Table(
        "dimension", "Parquet", "staging", "distinct keys", "dimension", "published", title="Rows", title_justify="left"
    )
    for column in rows.columns[1:]:
        column.justify = "right"
    for name, counts in summary.dimensions.items():
        rows.add_row(name, *[f"{counts[part]:,}" for part in ("parquet", "staging", "keys", "candidate", "published")])
    console.print(rows)
    if summary.reasons:
        console.print("Quarantined, by reason (a row may have several):")
        for reason, number in summary.reasons.items():
            console.print(f"  {number:>7,}  {reason}")
    for name, problem in summary.set_aside.items():
        console.print(f"WARNING: set aside: {name}: {problem}")
    if seconds:
        console.print(
            "Time: "
            + ", ".join(f"{name} {took:.0f} s" for name, took in seconds.items())
            + f"; {sum(seconds.values()):.0f} s in all"
        )


def as_json(summary: Summary) -> str:
    """The counts for programs."""
    content: dict[str, Any] = {
        "events": summary.events,
        "dimensions": summary.dimensions,
        "reasons": summary.reasons,
        "set_aside": summary.set_aside,
        "problems": summary.problems,
    }
    return json.dumps(content, indent=1)
