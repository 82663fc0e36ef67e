"""Write events as the stream consumer does: Parquet objects {data, metadata} under raw_streaming/<hour>/."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from google.cloud import storage

from gcs_export_pipeline import declaration
from gcs_export_pipeline.config import RAW, ConfigError, hour_name
from gcs_export_pipeline.objects import ARROW_TYPES, bucket

FACTS = "made_events"
ROWS_PER_OBJECT, OBJECTS_PER_HOUR = 100_000, 2


def to_arrow(events: pd.DataFrame) -> pa.Table:
    """The raw table {data: struct, metadata: struct} of events with one column a raw field."""
    structs = {}
    for struct, raw in declaration.raw_event().items():
        arrays = []
        for name, type_name in raw.items():
            arrow = pa.int32() if name == "partition" else ARROW_TYPES[type_name]
            column = events[name]
            if pa.types.is_integer(arrow):
                column = column.astype("Int64")  # keeps an integer beside a missing value
            arrays.append(pa.array(column, type=arrow, from_pandas=True))
        structs[struct] = pa.StructArray.from_arrays(arrays, names=list(raw))
    return pa.table(structs)


def existing(client: storage.Client, bucket_name: str, hours: list[datetime] | None = None) -> str | None:
    """The name of one raw object of the hours (of any hour if None), or None if there is none."""
    prefixes = [f"{RAW}/"] if hours is None else [f"{RAW}/{hour_name(hour)}/" for hour in hours]
    for prefix in prefixes:
        for blob in bucket(client, bucket_name).list_blobs(prefix=prefix, max_results=1):
            return blob.name
    return None


def write(
    client: storage.Client, bucket_name: str, events: pd.DataFrame, start: datetime, facts: dict[str, Any]
) -> int:
    """Write events, which carry `hour` (0, 1, ... from `start`), and the facts beside them; returns objects written.

    Raises ConfigError, before it writes anything, if an hour has objects already.
    """
    hours = [start + timedelta(hours=int(hour)) for hour in sorted(events["hour"].unique())]
    if taken := existing(client, bucket_name, hours):
        raise ConfigError(
            f"gs://{bucket_name}/{taken} is there already: start later with START=2026-02-01T00, "
            "or begin anew with `make clean-data` (local platform only)"
        )
    count = 0
    target = client.bucket(bucket_name)
    for hour, of_hour in events.groupby("hour", sort=True):
        folder = f"{RAW}/{hour_name(start + timedelta(hours=int(hour)))}"
        size = min(ROWS_PER_OBJECT, max(1, -(-len(of_hour) // OBJECTS_PER_HOUR)))
        for number, first in enumerate(range(0, len(of_hour), size)):
            buffer = io.BytesIO()
            pq.write_table(to_arrow(of_hour.iloc[first : first + size]), buffer, compression="zstd")
            target.blob(f"{folder}/orders-{number:04d}.parquet").upload_from_string(buffer.getvalue())
            count += 1
    target.blob(f"{FACTS}/{hour_name(start)}.json").upload_from_string(json.dumps(facts, indent=1))
    return count


def next_id(client: storage.Client, bucket_name: str) -> int:
    """The first number that no order or order item written so far has, as the facts beside the events tell."""
    facts = [json.loads(blob.download_as_bytes()) for blob in client.list_blobs(bucket_name, prefix=f"{FACTS}/")]
    return max([each["next_id"] for each in facts], default=1)


def first_offset(start: datetime) -> int:
    """An offset that events from `start` on may count from without meeting those of another start."""
    return int(start.astimezone(UTC).timestamp()) * 1000
