"""Rows by stage, each counted where it lies, and whether they add up."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from google.cloud import bigquery, storage
from rich.console import Console
from rich.table import Table

from gcs_export_pipeline import declaration, hours, staging
from gcs_export_pipeline.config import Config, hour_name, parse_hour

EVENTS = ("raw", "valid", "quarantined", "duplicates")
#: A larger share of an hour's events in quarantine is worth a line.
QUARANTINED_SHARE = 0.05


@dataclass
class Counts:
    """One dimension's rows of one ingest hour, and whether the dimension agrees with them."""

    #: In the footers of the Parquet, as its hour record says; the loader compares the footers with it.
    parquet: int = 0
    #: In the staging table.
    staging: int = 0
    #: Distinct keys of the hour in staging, and how many of them have a row in the dimension.
    keys: int = 0
    found: int = 0
    #: Latest rows of the dimension that came from the hour, and how many of those keys the hour has in staging.
    latest: int = 0
    supported: int = 0
    #: Events whose position another hour used with other content; of metadata only.
    reused: int = 0


@dataclass
class Summary:
    """Row counts of some ingest hours, or of all that there are."""

    #: By hour: raw, valid, quarantined, duplicates.
    events: dict[str, dict[str, int]]
    #: Events by reason for which they were set aside.
    reasons: dict[str, int]
    #: By dimension and hour.
    dimensions: dict[str, dict[str, Counts]]
    #: Raw objects that could not be read, with the problem.
    set_aside: dict[str, str]
    #: Rows of the dimensions as a whole: candidate and published.
    tables: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def problems(self) -> list[str]:
        """Each sum that does not hold, with its hour and dimension; empty if all do."""
        found = []
        for hour, events in self.events.items():
            if events["raw"] != events["valid"] + events["quarantined"] + events["duplicates"]:
                found.append(f"{hour}: raw events are not valid + quarantined + duplicates: {events}")
            loaded = self.dimensions["metadata"].get(hour, Counts()).staging
            if events["valid"] != loaded:
                found.append(
                    f"{hour}: {events['valid']} valid events, {loaded} in staging.metadata: {_again('', hour)}"
                )
        for name, by_hour in self.dimensions.items():
            for hour, counts in by_hour.items():
                if counts.parquet != counts.staging:
                    found.append(
                        f"{name} {hour}: {counts.parquet} rows in Parquet, {counts.staging} in staging: "
                        f"{_again('load', hour)}"
                    )
                if counts.keys != counts.found:
                    found.append(
                        f"{name} {hour}: {counts.keys} keys in staging, {counts.found} of them in dim_{name}: "
                        f"{_again('transform', hour)}"
                    )
                if counts.latest != counts.supported:
                    found.append(
                        f"{name} {hour}: {counts.latest} rows of dim_{name} come from the hour, staging holds "
                        f"{counts.supported} of their keys: {_again('transform', hour)}"
                    )
        for name, rows in self.tables.items():
            if "published" in rows and rows["candidate"] != rows["published"]:
                found.append(f"{name}: {rows['candidate']} rows checked, {rows['published']} published: `make publish`")
        return found

    @property
    def warnings(self) -> list[str]:
        """What does not stop a run and should not pass unseen."""
        found = [f"set aside: {name}: {problem}" for name, problem in self.set_aside.items()]
        for hour, events in self.events.items():
            raw, quarantined = events["raw"], events["quarantined"]
            if quarantined > QUARANTINED_SHARE * raw:
                found.append(f"{hour}: {quarantined:,} of {raw:,} events are in quarantine: `make quarantine`")
        for hour, counts in self.dimensions["metadata"].items():
            if counts.reused:
                found.append(
                    f"{hour}: {counts.reused:,} events have the position of another hour's event and other content; "
                    "docs/operations.md says how to find them"
                )
        return found

    def total(self, name: str) -> dict[str, int]:
        """The counts of a dimension over the hours."""
        return _totals(asdict(counts) for counts in self.dimensions[name].values())


def _again(stage: str, hour: str) -> str:
    start = parse_hour(hour)
    return f"`make {stage or 'pipeline'} FROM={start:%Y-%m-%dT%H} TO={start + hours.HOUR:%Y-%m-%dT%H}`"


def collect(config: Config, chosen: Iterable[datetime] | None = None) -> Summary:
    """Count the chosen hours, or all: events from the hour records, the rest from the tables themselves."""
    records = hours.read(storage.Client(project=config.project), config.bucket, chosen)
    names = {hour: hour_name(hour) for hour in records}
    dimensions = {
        name: {names[hour]: Counts(parquet=each["dimensions"][name]["rows"]) for hour, each in records.items()}
        for name in declaration.dimensions()
    }
    client = bigquery.Client(project=config.project, location=config.location)
    if records:
        condition = "true" if chosen is None else hours.condition(records)
        for row in client.query_and_wait(_count_hours(config, condition)):
            counts = dimensions[row.dimension].setdefault(row.hour, Counts())
            for measure in ("staging", "keys", "found", "latest", "supported", "reused"):
                setattr(counts, measure, getattr(counts, measure) + (row[measure] or 0))
    return Summary(
        events={names[hour]: each["rows"] for hour, each in records.items()},
        reasons=_totals(each["reasons"] for each in records.values()),
        dimensions=dimensions,
        set_aside={name: problem for each in records.values() for name, problem in each["set_aside"].items()},
    )


def count_tables(config: Config, published: bool) -> dict[str, dict[str, int]]:
    """Keys and rows of each candidate dimension, and rows of the published ones where they are to be there."""
    parts = [
        f"select '{name}' as dimension, '{kind}' as kind, {count} as row_count "
        f"from `{config.project}.{dataset}.dim_{name}`"
        for name, dimension in declaration.dimensions().items()
        for kind, dataset, count in (
            ("current", config.candidate, "countif(is_current)" if dimension.history else "count(*)"),
            ("candidate", config.candidate, "count(*)"),
            *([("published", config.warehouse, "count(*)")] if published else []),
        )
    ]
    client = bigquery.Client(project=config.project, location=config.location)
    tables: dict[str, dict[str, int]] = {}
    for row in client.query_and_wait(" union all ".join(parts)):
        tables.setdefault(row.dimension, {})[row.kind] = row.row_count
    return tables


def _count_hours(config: Config, condition: str) -> str:
    """SQL that counts each dimension by hour from both sides: staging's keys in it, and its rows in staging."""
    parts = []
    for name, dimension in declaration.dimensions().items():
        required = {each.name: each.required for each in dimension.fields}
        # A missing value is a value of a key, and no join finds it.
        keys = {each: f"`{each}`" if required[each] else f"coalesce(`{each}`, '')" for each in dimension.key}
        select_keys = ", ".join(f"{expression} as key_{each}" for each, expression in keys.items())
        same = " and ".join(f"staged.key_{each} = dim.key_{each}" for each in keys)
        payload = ("min(payload)", "payload") if name == "metadata" else ("0", "0")
        in_staging = (
            f"select ingest_hour, {select_keys}, count(*) as row_count, {payload[0]} as payload "
            f"from `{staging.table_id(config, dimension)}` where {condition} "
            f"group by ingest_hour, {', '.join(f'key_{each}' for each in keys)}"
        )
        latest = "is_current" if dimension.history else "true"
        in_dimension = (
            f"select ingest_hour, {select_keys}, {payload[1]} as payload "
            f"from `{config.project}.{config.candidate}.dim_{name}` where {latest}"
        )
        parts.append(
            f"select '{name}' as dimension, format_timestamp('%Y%m%dT%H', staged.ingest_hour) as hour, "
            "sum(row_count) as staging, count(*) as `keys`, countif(dim.ingest_hour is not null) as found, "
            "0 as latest, countif(dim.ingest_hour = staged.ingest_hour) as supported, "
            "countif(dim.payload <> staged.payload) as reused "
            f"from ({in_staging}) as staged left join ({in_dimension}) as dim on {same} group by hour "
            f"union all select '{name}', format_timestamp('%Y%m%dT%H', ingest_hour) as hour, 0, 0, 0, count(*), 0, 0 "
            f"from `{config.project}.{config.candidate}.dim_{name}` where ({condition}) and {latest} group by hour"
        )
    return " union all ".join(parts)


def _totals(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in counts:
        for name, number in each.items():
            total[name] = total.get(name, 0) + number
    return dict(sorted(total.items(), key=lambda item: -item[1]))


def show(summary: Summary) -> None:
    """Print the tables."""
    console = Console(width=110, highlight=False)
    span = f"of {len(summary.events)} hours"
    if summary.events:
        events, metadata = _totals(summary.events.values()), summary.total("metadata")
        flow = Table("events", "", title=f"Events {span}", title_justify="left", show_header=False)
        flow.columns[1].justify = "right"
        for label, number in (
            ("raw", events["raw"]),
            ("- duplicate deliveries within an hour", events["duplicates"]),
            ("- quarantined", events["quarantined"]),
            ("= valid", events["valid"]),
            ("- duplicate deliveries across hours", metadata["staging"] - metadata["latest"]),
            ("= distinct events", metadata["latest"]),
        ):
            flow.add_row(label, f"{number:,}")
        console.print(flow)
    parts = ["parquet", "staging", "keys", "found"] if summary.events else []
    kinds = list(next(iter(summary.tables.values()), {}))
    title = f"Rows {span}, and of the whole dimension" if parts else "Rows"
    rows = Table("dimension", *parts, *kinds, title=title, title_justify="left")
    for column in rows.columns[1:]:
        column.justify = "right"
    for name in summary.dimensions:
        counts = summary.total(name) | summary.tables.get(name, {})
        rows.add_row(name, *[f"{counts[part]:,}" for part in (*parts, *kinds)])
    console.print(rows)
    if summary.reasons:
        console.print("Quarantined, by reason (a row may have several):")
        for reason, number in summary.reasons.items():
            console.print(f"  {number:>7,}  {reason}")
    for warning in summary.warnings:
        console.print(f"WARNING: {warning}", soft_wrap=True)


def as_json(summary: Summary) -> str:
    """The counts for programs."""
    content: dict[str, Any] = {
        "hours": list(summary.events),
        "events": _totals(summary.events.values()),
        "dimensions": {name: summary.total(name) | summary.tables.get(name, {}) for name in summary.dimensions},
        "reasons": summary.reasons,
        "set_aside": summary.set_aside,
        "warnings": summary.warnings,
        "problems": summary.problems,
    }
    return json.dumps(content, indent=1)
