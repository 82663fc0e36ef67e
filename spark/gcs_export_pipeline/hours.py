"""Hour records and day records: which run's Parquet stands for an ingest hour, and how far it has come.

A run writes the Parquet of its hours into folders of its own. Then one small object an hour, `hours/<hour>.json`, is
replaced: from that moment readers see the new Parquet of all dimensions, before it the old, never a mixture.

Behind the Parquet come staging and the candidate dimensions. What each of them holds stands in day records,
`loads/<day>.json` and `transforms/<day>.json`: the run of each hour. What differs from the step before is pending.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

import pyarrow.parquet as pq
from google.api_core.exceptions import NotFound
from google.cloud import storage

from gcs_export_pipeline import declaration
from gcs_export_pipeline.config import HOURS, QUARANTINE, TRANSFORMED, digest, hour_name, parse_hour

CALLS_AT_ONCE = 16
HOUR = timedelta(hours=1)

Record = dict[str, Any]
#: The run whose Parquet stands for each hour.
Runs = dict[datetime, str]
Item = TypeVar("Item")
Result = TypeVar("Result")


def output_path(dimension: declaration.Dimension, run: str) -> str:
    """Folder of a dimension's Parquet of one run, within the bucket; hours are folders `hour=...` in it."""
    return f"{TRANSFORMED}/{dimension.folder}/run={run}"


def quarantine_path(run: str) -> str:
    """Folder of the rows that a run set aside, within the bucket."""
    return f"{QUARANTINE}/run={run}"


def known(client: storage.Client, bucket: str) -> dict[datetime, dict[str, str]]:
    """For each hour that has a record what its metadata says; one listing, which opens no record.

    `run`; `objects`, the digest of its raw objects; `contract`, the digest of the contract that judged them; `aside`,
    how many events and objects it set aside. A record that lost its metadata, copied by a tool that drops them say, has
    none: its hour counts as not done.
    """
    blobs = client.list_blobs(bucket, prefix=f"{HOURS}/")
    return {_hour_of(blob.name): dict(blob.metadata or {}) for blob in blobs}


def runs(known_hours: dict[datetime, dict[str, str]]) -> Runs:
    """The run of each hour that `known` knows."""
    return {hour: entry["run"] for hour, entry in sorted(known_hours.items()) if "run" in entry}


def read(client: storage.Client, bucket: str, hours: Iterable[datetime] | None = None) -> dict[datetime, Record]:
    """The records of those of the given hours, or of all hours, that have one; in order of time."""
    wanted = list(known(client, bucket) if hours is None else hours)
    found = zip(wanted, _at_once(lambda hour: _read_json(client, bucket, _record_name(hour)), wanted), strict=True)
    return {hour: record for hour, record in sorted(found) if record is not None}


def _read_json(client: storage.Client, bucket: str, name: str) -> Record | None:
    try:
        return json.loads(client.bucket(bucket).blob(name).download_as_bytes())
    except NotFound:
        return None


def _at_once(call: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """What `call` returns for each item, in order; storage answers many calls at once."""
    with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
        return list(pool.map(call, items))


def _record_name(hour: datetime) -> str:
    return f"{HOURS}/{hour_name(hour)}.json"


def _hour_of(name: str) -> datetime:
    return parse_hour(name.removeprefix(f"{HOURS}/").removesuffix(".json"))


def switch(client: storage.Client, bucket: str, records: dict[datetime, Record]) -> None:
    """Make the records' Parquet the Parquet of their hours, then remove what they replaced."""
    replaced = read(client, bucket, records)

    def write(item: tuple[datetime, Record]) -> None:
        hour, record = item
        blob = client.bucket(bucket).blob(_record_name(hour))
        blob.metadata = {
            "run": record["run"],
            "objects": digest(record["objects"]),
            "contract": record["contract"],
            "aside": str(record["rows"]["quarantined"] + len(record["set_aside"])),
        }
        blob.upload_from_string(json.dumps(record, indent=1), content_type="application/json")

    _at_once(write, records.items())
    superseded = [(hour, old["run"]) for hour, old in replaced.items() if old["run"] != records[hour]["run"]]
    for hour, run in superseded:
        _remove(client, bucket, run, f"hour={hour_name(hour)}/")


def remove_unnamed(client: storage.Client, bucket: str, run: str) -> int:
    """Delete the Parquet of a run that ended early, of hours whose record does not name it; returns how many files."""
    named = {f"hour={hour_name(hour)}" for hour, of_hour in runs(known(client, bucket)).items() if of_hour == run}
    return _remove(client, bucket, run, keep=named)


def _remove(client: storage.Client, bucket: str, run: str, folder: str = "", keep: Iterable[str] = ()) -> int:
    """Delete what a run wrote below `folder` of its output, but for the folders in `keep`; returns how many files."""
    roots = [output_path(each, run) for each in declaration.dimensions().values()] + [quarantine_path(run)]
    found = [blob for root in roots for blob in client.list_blobs(bucket, prefix=f"{root}/{folder}")]
    stale = [blob for blob in found if not set(blob.name.split("/")) & set(keep)]
    _at_once(_delete, stale)
    return len(stale)


def _delete(blob: storage.Blob) -> None:
    with contextlib.suppress(NotFound):  # another clean-up was faster
        blob.delete()


class IncompleteError(RuntimeError):
    """The Parquet of an hour is not what its record says; the message names the hour and the remedy."""


def parquet(
    client: storage.Client, bucket: str, dimension: declaration.Dimension, chosen: Iterable[datetime]
) -> list[dict[str, Any]]:
    """A dimension's Parquet of each hour: {hour, run, rows in the files' footers, uri, None where there are no rows}.

    Raises IncompleteError if an hour's files hold other rows than its record says.
    """
    records = read(client, bucket, chosen)
    held: dict[datetime, Size] = {}
    for run in {record["run"] for record in records.values()}:
        of_run = sizes(client, bucket, output_path(dimension, run))
        held |= {hour: size for hour, size in of_run.items() if hour in records and records[hour]["run"] == run}
    result = []
    for hour, record in records.items():
        promised, rows = record["dimensions"][dimension.name]["rows"], held.get(hour, Size(0, 0)).rows
        path = record["dimensions"][dimension.name]["path"]
        if rows != promised:
            raise IncompleteError(
                f"{dimension.folder} of hour {hour_name(hour)} holds {rows} rows, its record says {promised}: "
                f"make it again with `make dimensions FROM={hour:%Y-%m-%dT%H} TO={hour + HOUR:%Y-%m-%dT%H}`"
            )
        uri = f"gs://{bucket}/{path}/*.parquet" if rows else None
        result.append({"hour": hour_name(hour), "run": record["run"], "rows": rows, "uri": uri})
    return result


class Size(NamedTuple):
    """How much Parquet there is: rows by the files' footers, and bytes."""

    rows: int
    bytes: int


def sizes(client: storage.Client, bucket: str, folder: str) -> dict[datetime, Size]:
    """For each hour below `folder`, in folders `hour=...`, the size of its Parquet; reads the footers, no rows."""
    blobs = [blob for blob in client.list_blobs(bucket, prefix=f"{folder}/") if blob.name.endswith(".parquet")]
    found: dict[datetime, Size] = {}
    for blob, rows in zip(blobs, _at_once(_footer_rows, blobs), strict=True):
        hour = parse_hour(blob.name.split("/hour=")[1].split("/")[0])
        before = found.get(hour, Size(0, 0))
        found[hour] = Size(before.rows + rows, before.bytes + blob.size)
    return found


def _footer_rows(blob: storage.Blob) -> int:
    with blob.open("rb", chunk_size=256 * 1024) as file:
        return pq.read_metadata(file).num_rows


# Day records. `step` is the folder, LOADS or TRANSFORMS; `basis` names what the step wrote into: tables that were
# dropped and made again are another basis, and hold nothing.


def by_day(of_hours: Runs) -> dict[str, dict[str, str]]:
    """Runs by hour name, by day YYYYMMDD."""
    days: dict[str, dict[str, str]] = {}
    for hour, run in sorted(of_hours.items()):
        days.setdefault(f"{hour:%Y%m%d}", {})[hour_name(hour)] = run
    return days


def held(client: storage.Client, bucket: str, step: str) -> dict[str, dict[str, str]]:
    """For each day that has a record its metadata: `basis`, and `runs`, the digest of its runs; one listing."""
    blobs = client.list_blobs(bucket, prefix=f"{step}/")
    return {blob.name.split("/")[-1].removesuffix(".json"): dict(blob.metadata or {}) for blob in blobs}


def pending(client: storage.Client, bucket: str, step: str, basis: str, source: Runs) -> Runs:
    """The hours of `source` of which the step holds another run's Parquet, or none. Opens the days that differ only."""
    days = by_day(source)
    differ = pending_days(client, bucket, step, basis, {day: digest(of_day) for day, of_day in days.items()})
    result: Runs = {}
    for day, record in zip(differ, _read_days(client, bucket, step, differ), strict=True):
        there = record["runs"] if record["basis"] == basis else {}
        result |= {parse_hour(hour): run for hour, run in days[day].items() if there.get(hour) != run}
    return result


def pending_days(client: storage.Client, bucket: str, step: str, basis: str, source: dict[str, str]) -> list[str]:
    """The days of `source`, digest of runs by day, of which the step holds anything else."""
    has = held(client, bucket, step)
    return [day for day, runs in source.items() if has.get(day) != {"basis": basis, "runs": runs}]


def read_held(client: storage.Client, bucket: str, step: str, days: Iterable[str]) -> Runs:
    """The run of each hour of the days that the step holds."""
    records = _read_days(client, bucket, step, list(days))
    return {parse_hour(hour): run for record in records for hour, run in record["runs"].items()}


def _read_days(client: storage.Client, bucket: str, step: str, days: list[str]) -> list[Record]:
    none: Record = {"basis": "", "runs": {}}
    return _at_once(lambda day: _read_json(client, bucket, f"{step}/{day}.json") or none, days)


def note(client: storage.Client, bucket: str, step: str, basis: str, done: Runs) -> None:
    """Record that the step holds these runs' Parquet of these hours, beside what it holds of other hours."""

    def write(item: tuple[str, dict[str, str]]) -> None:
        day, of_day = item
        (before,) = _read_days(client, bucket, step, [day])
        merged = (before["runs"] if before["basis"] == basis else {}) | of_day
        blob = client.bucket(bucket).blob(f"{step}/{day}.json")
        blob.metadata = {"basis": basis, "runs": digest(merged)}
        blob.upload_from_string(json.dumps({"basis": basis, "runs": merged}, indent=1), content_type="application/json")

    _at_once(write, by_day(done).items())


def ranges(hours: Iterable[datetime]) -> list[tuple[datetime, datetime]]:
    """The hours as few ranges [start, end), in order."""
    result: list[tuple[datetime, datetime]] = []
    for hour in sorted(hours):
        if result and result[-1][1] == hour:
            result[-1] = (result[-1][0], hour + HOUR)
        else:
            result.append((hour, hour + HOUR))
    return result


def condition(hours: Iterable[datetime], column: str = declaration.INGEST_HOUR.name) -> str:
    """SQL that is true for rows of these hours; constants, so that BigQuery prunes the partitions."""
    parts = [f"({column} >= timestamp '{start}' and {column} < timestamp '{end}')" for start, end in ranges(hours)]
    return " or ".join(parts) or "false"
