"""The declarations that the whole project shares: `dimensions.toml` and `raw_events.toml`, read and checked.

Plain Python without Spark, so that the loader, the gate and the tests read the same facts.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

#: As resources, not paths: on Dataproc the package comes in a zip file.
HERE = files("gcs_export_pipeline")


@dataclass(frozen=True)
class Field:
    """One field of a dimension; `dimensions.toml` explains the attributes."""

    name: str
    raw: str
    type: str
    description: str
    required: bool = False
    values: tuple[str | int, ...] = ()
    min: int | date | None = None
    max: int | date | None = None
    scale: int = 0
    zip_code: bool = False
    personal: bool = False


@dataclass(frozen=True)
class Dimension:
    """One dimension: what a row is, its natural key, its fields in order, and whether it keeps every version."""

    name: str
    grain: str
    key: tuple[str, ...]
    fields: tuple[Field, ...]
    history: bool

    @property
    def source(self) -> str:
        """The struct of the raw event that holds its fields: `data` or `metadata`."""
        return "metadata" if self.name == "metadata" else "data"

    @property
    def folder(self) -> str:
        """Name of its folder under transformed_data/."""
        return f"{self.name}_dimension"


@dataclass(frozen=True)
class Column:
    """A column of a staging table; `fields` makes it a repeated record."""

    name: str
    type: str
    description: str
    required: bool = True
    fields: tuple[Column, ...] = field(default=())


def _position(prefix: str, words: str) -> tuple[Column, ...]:
    return (
        Column(f"{prefix}_time", "TIMESTAMP", f"Time of the {words}."),
        Column(f"{prefix}_partition", "INT64", f"Partition of the {words}."),
        Column(f"{prefix}_offset", "INT64", f"Offset of the {words}."),
    )


#: What every dimension's Parquet and staging table hold besides the declared fields: a row stands for a run of events
#: of one ingest hour that follow each other in (time, partition, offset) and agree in all fields of the dimension.
INGEST_HOUR = Column("ingest_hour", "TIMESTAMP", "Hour of the raw folder that the events came in.")
LINEAGE = (
    *_position("first_event", "first event with these values"),
    *_position("last_event", "last event with these values"),
    Column("events", "RECORD", "Every event with these values, in order.", fields=_position("event", "event")),
)
#: Beside the fields of metadata: tells a second delivery of an event from another event at the same position.
PAYLOAD = Column("payload", "INT64", "Hash of the event's content; a position with two of them was used twice.")


@cache
def dimensions() -> dict[str, Dimension]:
    """The dimensions by name, in the order of the file.

    Raises ValueError that names the dimension and field if a declaration contradicts itself or the raw event.
    """
    raw = raw_event()
    result = {}
    for name, entry in tomllib.loads((HERE / "dimensions.toml").read_text()).items():
        fields = tuple(
            Field(name=key, **(value | {"values": tuple(value.get("values", ()))}))
            for key, value in entry["fields"].items()
        )
        result[name] = Dimension(name, entry["grain"], tuple(entry["key"]), fields, entry.get("history", False))
        for each in fields:
            if each.raw not in raw[result[name].source]:
                raise ValueError(f"dimensions.toml: {name}.{each.name}: raw_events.toml has no field {each.raw!r}")
        if unknown := set(result[name].key) - {each.name for each in fields}:
            raise ValueError(f"dimensions.toml: {name}: key {sorted(unknown)} is not among its fields")
    shared: dict[str, Field] = {}
    for dimension in result.values():
        for each in dimension.fields:
            if shared.setdefault(each.name, each) != each:
                raise ValueError(f"dimensions.toml: {dimension.name}.{each.name} differs from its namesake elsewhere")
    return result


@cache
def raw_event() -> dict[str, dict[str, str]]:
    """Type by field of the raw event's structs `data` and `metadata`."""
    return tomllib.loads((HERE / "raw_events.toml").read_text())


#: Never read, so that it cannot leave the raw zone.
NEVER_READ = frozenset({"Customer Password"})


def fields() -> Iterator[tuple[str, Field]]:
    """Each distinct field once, with the raw struct that holds it."""
    seen = set()
    for dimension in dimensions().values():
        for each in dimension.fields:
            if each.name not in seen:
                seen.add(each.name)
                yield dimension.source, each


def value_columns(dimension: Dimension) -> tuple[Column, ...]:
    """The columns that hold what events say: the declared fields, and of metadata the payload."""
    declared = (Column(each.name, each.type, each.description, each.required) for each in dimension.fields)
    return (*declared, *([PAYLOAD] if dimension.name == "metadata" else []))


def staging_columns(dimension: Dimension) -> tuple[Column, ...]:
    """Columns of the dimension's Parquet and staging table, in order."""
    return (INGEST_HOUR, *value_columns(dimension), *LINEAGE)


def bigquery_schema(dimension: Dimension) -> list[dict[str, Any]]:
    """The load schema of the dimension's staging table, as BigQuery's REST API writes it."""
    return [_schema_field(column) for column in staging_columns(dimension)]


def _schema_field(column: Column) -> dict[str, Any]:
    mode = "REPEATED" if column.fields else "REQUIRED" if column.required else "NULLABLE"
    body: dict[str, Any] = {"name": column.name, "type": column.type, "mode": mode, "description": column.description}
    if column.fields:
        # Parquet says of an element of a list only that it may be null.
        body["fields"] = [_schema_field(each) | {"mode": "NULLABLE"} for each in column.fields]
    return body


def doc_blocks() -> str:
    """The descriptions as dbt doc blocks: the content of dbt_project/models/fields.md, which a test compares."""
    columns = {column.name: column for dimension in dimensions().values() for column in staging_columns(dimension)}
    blocks = (f"{{% docs {column.name} %}}{column.description}{{% enddocs %}}\n" for column in columns.values())
    return "<!-- Derived from dimensions.toml: `make fields` writes it anew. -->\n\n" + "\n".join(blocks)
