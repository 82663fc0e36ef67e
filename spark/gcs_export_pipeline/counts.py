"""What became of the events of each hour, counted, and compared with what their objects hold."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from gcs_export_pipeline import contract, objects
from gcs_export_pipeline.config import RunError, hour_name

#: By hour: `rows` by outcome, and how often each of the `reasons` and `warnings` applies.
Counts = dict[datetime, dict[str, Any]]


def no_counts() -> dict[str, Any]:
    """The counts of an hour before anything was counted."""
    return {"rows": {"raw": 0, "valid": 0, "quarantined": 0, "duplicates": 0}, "reasons": {}, "warnings": {}}


def count(checked: DataFrame) -> Counts:
    """For each hour: raw rows by outcome, and how often each reason and warning applies."""
    counts: Counts = {}
    unix = f.unix_timestamp("ingest_hour").alias("hour")
    # One pass: a row counts once for its outcome and once for each rule that it breaks.
    names = f.concat(
        f.array(f.struct(f.lit("rows").alias("kind"), contract.outcome().alias("name"))),
        *[f.expr(f"transform({kind}, name -> struct('{kind}' as kind, name))") for kind in ("reasons", "warnings")],
    )
    for row in checked.select(unix, f.inline(names)).groupBy("hour", "kind", "name").count().collect():
        entry = counts.setdefault(datetime.fromtimestamp(row["hour"], tz=UTC), no_counts())
        entry[row["kind"]][row["name"]] = row["count"]
        if row["kind"] == "rows":
            entry["rows"]["raw"] += row["count"]
    return counts


def totals(counts: Counts) -> str:
    """The events of all hours by outcome, in words."""
    total = {
        name: sum(each["rows"][name] for each in counts.values()) for name in ("valid", "quarantined", "duplicates")
    }
    return ", ".join(f"{rows:,} {name}" for name, rows in total.items())


def compare_with_footers(counts: Counts, readable: list[objects.RawObject]) -> None:
    """RunError if the rows that Spark read are not those that the objects' footers promise."""
    for hour in {each.hour for each in readable}:
        promised = sum(each.rows for each in readable if each.hour == hour)
        read = counts[hour]["rows"]["raw"] if hour in counts else 0
        if promised != read:
            raise RunError(f"hour {hour_name(hour)}: objects hold {promised} rows, Spark read {read}; run it again")


def count_set_aside(counts: Counts, hours_read: Iterable[datetime], aside: list[objects.RawObject]) -> None:
    """Count the rows of objects that were set aside whole as quarantined; they stay where they are, in the raw zone."""
    for hour in hours_read:
        counts.setdefault(hour, no_counts())
    for each in aside:
        entry, reason = counts[each.hour], f"object set aside: {each.problem}"
        entry["rows"]["raw"] += each.rows
        entry["rows"]["quarantined"] += each.rows
        entry["reasons"][reason] = entry["reasons"].get(reason, 0) + each.rows
