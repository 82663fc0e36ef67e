"""Hour records: which run's Parquet stands for an ingest hour.

A run writes the Parquet of its hours into folders of its own. Then one small object an hour, `hours/<hour>.json`, is
replaced: from that moment readers see the new Parquet of all dimensions, before it the old, never a mixture. Folders
that no record names any more are removed afterwards, and left for the next run if this one dies first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow.parquet as pq
from google.cloud import storage

from gcs_export_pipeline import declaration
from gcs_export_pipeline.config import HOURS, LOADS, QUARANTINE, TRANSFORMED, hour_name, parse_hour

READS_AT_ONCE = 16

Record = dict[str, Any]


def output_path(dimension: declaration.Dimension, run: str) -> str:
    """Folder of a dimension's Parquet of one run, within the bucket; hours are folders `hour=...` in it."""
    return f"{TRANSFORMED}/{dimension.folder}/run={run}"


def quarantine_path(run: str) -> str:
    """Folder of the rows that a run set aside, within the bucket."""
    return f"{QUARANTINE}/run={run}"


def digest(content: Any) -> str:
    """A short name for JSON content: equal content has equal names."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def known(client: storage.Client, bucket: str) -> dict[datetime, dict[str, str]]:
    """For each hour that has a record: its `run`, and `objects`, the digest of its raw objects. One listing.

    A record that lost them, copied by a tool that drops metadata say, has neither: its hour counts as not done.
    """
    return {_hour_of(blob): dict(blob.metadata or {}) for blob in client.list_blobs(bucket, prefix=f"{HOURS}/")}


def read(client: storage.Client, bucket: str, hours: Iterable[datetime] | None = None) -> dict[datetime, Record]:
    """The records of the given hours, each of which has one, or of every hour that has; in order of time."""
    if hours is None:
        blobs = {_hour_of(blob): blob for blob in client.list_blobs(bucket, prefix=f"{HOURS}/")}
    else:
        blobs = {hour: client.bucket(bucket).blob(_record_name(hour)) for hour in hours}
    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        records = pool.map(lambda blob: json.loads(blob.download_as_bytes()), blobs.values())
        return dict(sorted(zip(blobs, records, strict=True)))


def _record_name(hour: datetime) -> str:
    return f"{HOURS}/{hour_name(hour)}.json"


def _hour_of(blob: storage.Blob) -> datetime:
    return parse_hour(blob.name.removeprefix(f"{HOURS}/").removesuffix(".json"))


def switch(client: storage.Client, bucket: str, records: dict[datetime, Record]) -> None:
    """Make the records' Parquet the Parquet of their hours, then remove what they replaced."""
    for hour, record in records.items():
        blob = client.bucket(bucket).blob(_record_name(hour))
        blob.metadata = {"run": record["run"], "objects": digest(record["objects"])}
        blob.upload_from_string(json.dumps(record, indent=1), content_type="application/json")
    remove_superseded(client, bucket, records)


def remove_superseded(client: storage.Client, bucket: str, records: dict[datetime, Record]) -> int:
    """Delete the Parquet of these hours that belongs to another run than the record's; returns how many objects."""
    current = {hour_name(hour): record["run"] for hour, record in records.items()}
    folders = [f"{TRANSFORMED}/{each.folder}/" for each in declaration.dimensions().values()] + [f"{QUARANTINE}/"]
    stale = []
    for folder in folders:
        for blob in client.list_blobs(bucket, prefix=folder):
            parts = dict(part.split("=", 1) for part in blob.name.split("/") if "=" in part)
            if parts.get("hour") in current and parts.get("run") != current[parts["hour"]]:
                stale.append(blob)
    for blob in stale:
        blob.delete()
    return len(stale)


class IncompleteError(RuntimeError):
    """The Parquet of an hour is not what its record says; the message names the hour and the remedy."""


def parquet_by_day(
    client: storage.Client,
    bucket: str,
    dimension: declaration.Dimension,
    start: datetime | None = None,
    end: datetime | None = None,
) -> list[dict[str, Any]]:
    """Every day to load, with all of its hours' files: {day, uris, rows in their footers, runs by hour}.

    These are the days that have hours in [start, end), or, without bounds, those that staging does not hold yet as
    their hour records say. Raises IncompleteError if an hour's files hold other rows than its record says.
    """
    runs = {hour: entry.get("run", "") for hour, entry in known(client, bucket).items()}
    if start is None and end is None:
        days = pending_days(client, bucket, runs)
    else:
        days = {hour.date() for hour in runs if (start is None or start <= hour) and (end is None or hour < end)}
    chosen = read(client, bucket, [hour for hour in runs if hour.date() in days])
    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        paths = [record["dimensions"][dimension.name]["path"] for record in chosen.values()]
        found = dict(zip(chosen, pool.map(lambda path: _files(client, bucket, path), paths), strict=True))
    result: dict[str, dict[str, Any]] = {}
    for hour, record in chosen.items():
        promised = record["dimensions"][dimension.name]["rows"]
        held = sum(found[hour].values())
        if held != promised:
            raise IncompleteError(
                f"{dimension.folder} of hour {hour_name(hour)} holds {held} rows, its record says {promised}: "
                f"make it again with "
                f"`make dimensions FROM={hour:%Y-%m-%dT%H} TO={hour + timedelta(hours=1):%Y-%m-%dT%H}`"
            )
        day = result.setdefault(f"{hour:%Y%m%d}", {"day": f"{hour:%Y%m%d}", "uris": [], "rows": 0, "runs": {}})
        day["runs"][hour_name(hour)] = record["run"]
        day["rows"] += held
        if found[hour]:
            day["uris"].append(f"gs://{bucket}/{record['dimensions'][dimension.name]['path']}/*.parquet")
    return list(result.values())


def _files(client: storage.Client, bucket: str, path: str) -> dict[str, int]:
    """Rows by file of one hour's folder, read from the Parquet footers."""
    files = {}
    for blob in client.list_blobs(bucket, prefix=f"{path}/"):
        if blob.name.endswith(".parquet"):
            with blob.open("rb", chunk_size=256 * 1024) as file:
                files[blob.name] = pq.read_metadata(file).num_rows
    return files


def pending_days(client: storage.Client, bucket: str, runs: dict[datetime, str]) -> set[date]:
    """The days of which staging holds other hours, or hours of other runs, than the hour records name."""
    loaded = {blob.name: (blob.metadata or {}).get("runs") for blob in client.list_blobs(bucket, prefix=f"{LOADS}/")}
    days: dict[date, dict[str, str]] = {}
    for hour, run in runs.items():
        days.setdefault(hour.date(), {})[hour_name(hour)] = run
    return {day for day, of_day in days.items() if loaded.get(_load_name(f"{day:%Y%m%d}")) != digest(of_day)}


def days_condition(first: str, last: str) -> str:
    """SQL that is true for staging's rows of the days from `first` to `last`, YYYYMMDD, and prunes the partitions."""
    start, end = (datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC) for day in (first, last))
    column = declaration.INGEST_HOUR.name
    return f"{column} >= timestamp '{start}' and {column} < timestamp '{end + timedelta(days=1)}'"


def note_loaded(client: storage.Client, bucket: str, day: str, runs: dict[str, str], record: Record) -> None:
    """Record that staging holds these runs' Parquet of the day, YYYYMMDD, in every dimension."""
    blob = client.bucket(bucket).blob(_load_name(day))
    blob.metadata = {"runs": digest(runs)}
    blob.upload_from_string(json.dumps(record, indent=1), content_type="application/json")


def _load_name(day: str) -> str:
    return f"{LOADS}/{day}.json"
