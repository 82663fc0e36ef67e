"""Which ingest hours a run is about."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from google.cloud import storage

from gcs_export_pipeline import contract, hours, objects
from gcs_export_pipeline.config import RAW, RunError, digest, hour_name


def choose(
    client: storage.Client,
    bucket: str,
    start: datetime | None,
    end: datetime | None,
    replay: bool = False,
    say: Callable[[str], None] = print,
) -> dict[datetime, list[storage.Blob]]:
    """The raw objects of the hours to process: those in [start, end), or, without bounds, those not processed yet.

    An hour is processed when its record names the objects that lie in its folder now; a late object makes it pending
    again. With `replay` it is pending as well where another contract than the present one set something aside. An hour
    of which raw objects are gone is left as it is, and reported: made again, it would lose their rows.
    Raises RunError if there is nothing in the window, or no raw event at all.
    """
    raw = objects.list_raw(client, bucket)
    if start is not None or end is not None:
        chosen = {
            hour: blobs
            for hour, blobs in raw.items()
            if (start is None or start <= hour) and (end is None or hour < end)
        }
        if not chosen:
            wanted = f"from {start or 'the beginning'} to {end or 'the end'}"
            raise RunError(f"no raw objects {wanted} in gs://{bucket}/{RAW}/: name hours that have a folder there")
        return chosen
    if not raw:
        raise RunError(f"no raw objects in gs://{bucket}/{RAW}/: make some with `make events`")
    known = hours.known(client, bucket)

    def is_pending(hour: datetime, blobs: list[storage.Blob]) -> bool:
        record = known.get(hour, {})
        judged_anew = replay and record.get("aside") != "0" and record.get("contract") != contract.version()
        return judged_anew or record.get("objects") != digest(objects.generations(blobs))

    pending = {hour: blobs for hour, blobs in raw.items() if is_pending(hour, blobs)}
    for hour, record in hours.read(client, bucket, known.keys() & pending.keys()).items():
        there = {blob.name for blob in pending[hour]}
        gone = sorted(record["objects"].keys() - there)
        if gone:
            late = len(there - record["objects"].keys())
            say(
                f"  WARNING: {len(gone)} raw objects of hour {hour_name(hour)} are gone, {gone[0]} for one: its rows"
                f" stay as they are, and {late} new objects are not read. Put them back, or take what is there with"
                f" FROM={hour:%Y-%m-%dT%H} TO={hour + hours.HOUR:%Y-%m-%dT%H}"
            )
            del pending[hour]
    return pending
