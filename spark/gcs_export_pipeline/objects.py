"""The raw objects of Cloud Storage: which there are, and whether each can be read as the raw event declares."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from google.api_core.exceptions import Forbidden, NotFound
from google.cloud import storage

from gcs_export_pipeline import declaration
from gcs_export_pipeline.config import RAW, ConfigError, parse_hour

FOOTERS_AT_ONCE = 16

#: BigQuery's type names in Arrow, as raw objects are written.
ARROW_TYPES: dict[str, pa.DataType] = {
    "STRING": pa.string(),
    "INT64": pa.int64(),
    "FLOAT64": pa.float64(),
    "TIMESTAMP": pa.timestamp("us", "UTC"),
}
_READABLE = {
    "STRING": lambda t: pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_null(t),
    "INT64": pa.types.is_signed_integer,
    "FLOAT64": pa.types.is_floating,
    "TIMESTAMP": lambda t: pa.types.is_timestamp(t) and t.unit != "ns",
}


@dataclass(frozen=True)
class RawObject:
    """One raw object and what its Parquet footer says of it."""

    name: str
    hour: datetime
    generation: int
    bytes: int = 0
    rows: int = 0
    #: Why the object as a whole is set aside; None if it can be read.
    problem: str | None = None
    #: What differs from the declaration without harm: missing optional fields, additional ones.
    notes: tuple[str, ...] = ()


def bucket(client: storage.Client, name: str) -> storage.Bucket:
    """The bucket `name`; ConfigError with the remedy if it is not there or not ours to read."""
    try:
        return client.get_bucket(name)
    except NotFound:
        raise ConfigError(f"bucket {name} does not exist: create it, or name another in GCS_BUCKET") from None
    except Forbidden as error:
        raise ConfigError(f"bucket {name} cannot be read with these credentials: {error.message}") from None


def list_raw(client: storage.Client, bucket_name: str) -> dict[datetime, list[storage.Blob]]:
    """The raw objects of every ingest hour, in order; a listing, which reads none of them.

    ConfigError names a folder that is no hour: its events would be passed over in silence.
    """
    found: dict[datetime, list[storage.Blob]] = {}
    for blob in client.list_blobs(bucket(client, bucket_name), prefix=f"{RAW}/"):
        folder, _, name = blob.name.removeprefix(f"{RAW}/").rpartition("/")
        if name and not name.startswith(("_", ".")):
            found.setdefault(parse_hour(folder), []).append(blob)
    return dict(sorted(found.items()))


def generations(blobs: Iterable[storage.Blob]) -> dict[str, int]:
    """Name and generation of raw objects: what tells whether an hour is still the one that was processed."""
    return {blob.name: int(blob.generation) for blob in blobs}


def inspect(raw: dict[datetime, list[storage.Blob]]) -> list[RawObject]:
    """Every raw object with what its footer says; reads no rows. Ordered by name."""
    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        found = pool.map(lambda pair: _inspect(*pair), [(hour, blob) for hour, blobs in raw.items() for blob in blobs])
    return sorted(found, key=lambda each: each.name)


def _inspect(hour: datetime, blob: storage.Blob) -> RawObject:
    known: dict[str, Any] = {
        "name": blob.name,
        "hour": hour,
        "generation": int(blob.generation),
        "bytes": int(blob.size or 0),
    }
    if not blob.size:
        return RawObject(**known, problem="empty: no bytes")
    try:
        with blob.open("rb", chunk_size=256 * 1024) as file:
            footer = pq.ParquetFile(file)
            rows, schema = footer.metadata.num_rows, footer.schema_arrow
    except (pa.ArrowInvalid, pa.ArrowIOError, OSError) as error:
        return RawObject(**known, problem=f"not readable as Parquet: {str(error).splitlines()[0]}")
    problems, notes = compare(schema)
    return RawObject(**known, rows=rows, problem="; ".join(problems) or None, notes=tuple(notes))


def compare(schema: pa.Schema) -> tuple[list[str], list[str]]:
    """What in an object's schema forbids reading it, and what is only worth a note, each naming its field."""
    problems: list[str] = []
    notes: list[str] = []
    required = {(source, field.raw) for source, field in declaration.fields() if field.required}
    for struct, expected in declaration.raw_event().items():
        index = schema.get_field_index(struct)
        if index < 0 or not pa.types.is_struct(schema.field(index).type):
            problems.append(f"struct {struct} is missing")
            continue
        found = {field.name: field.type for field in schema.field(index).type}
        for name, type_name in expected.items():
            if name in declaration.NEVER_READ:
                continue
            if name not in found:
                where = problems if (struct, name) in required else notes
                where.append(f"{struct}.{name} is missing")
            elif not _READABLE[type_name](found[name]):
                problems.append(f"{struct}.{name} is {found[name]}, declared {type_name}")
        notes += [f"{struct}.{name} is not declared" for name in found if name not in expected]
    return problems, notes
