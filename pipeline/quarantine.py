"""What was set aside: `python -m pipeline.quarantine` shows each reason with how many rows and a few of them.

`--export FILE [--reason TEXT]` writes rows as JSON lines to be corrected; `--correct FILE` brings them back: as raw
objects of their hours, whose events replace those at the same position.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from google.cloud import storage
from rich.console import Console
from rich.table import Table

from gcs_export_pipeline import declaration, hours
from gcs_export_pipeline.config import (
    CORRECTED,
    QUARANTINE,
    RAW,
    REPORTED,
    Config,
    ConfigError,
    digest,
    hour_name,
    parse_hour,
)
from gcs_export_pipeline.objects import ARROW_TYPES

EXAMPLES, BATCH_ROWS = 2, 1000
POSITION = ("topic", "partition", "offset")


@dataclass
class Reason:
    """A reason, its rows over all hours, and examples as (object, position, the raw value that it is about)."""

    name: str
    rows: int
    examples: list[tuple[str, str, str]] = field(default_factory=list)


def records(client: storage.Client, bucket: str) -> dict[datetime, hours.Record]:
    """The records of the hours in which something was set aside."""
    known = hours.known(client, bucket)
    return hours.read(client, bucket, [hour for hour, entry in known.items() if entry.get("aside") != "0"])


def rows(client: storage.Client, bucket: str, hour: datetime, record: hours.Record) -> Iterator[dict[str, Any]]:
    """The rows of an hour that were set aside: object, reasons, data and metadata."""
    for blob in client.list_blobs(bucket, prefix=f"{hours.quarantine_path(record['run'])}/hour={hour_name(hour)}/"):
        with blob.open("rb") as file:
            for batch in pq.ParquetFile(file).iter_batches(BATCH_ROWS):
                yield from batch.to_pylist()


def collect(client: storage.Client, bucket: str) -> list[Reason]:
    """Every reason, most rows first.

    Counts come from the hour records; files are opened, newest hour first, only until each reason has its examples.
    """
    of_hours = records(client, bucket)
    found: dict[str, Reason] = {}
    for record in of_hours.values():
        for name, count in record["reasons"].items():
            found.setdefault(name, Reason(name, 0)).rows += count
        for name, problem in record["set_aside"].items():
            examples = found[f"object set aside: {problem}"].examples
            examples += [("/".join(name.split("/")[-2:]), "", "")] * (len(examples) < EXAMPLES)
    lacking = {name for name, reason in found.items() if not reason.examples}
    for hour, record in sorted(of_hours.items(), reverse=True):
        if not lacking & set(record["reasons"]):
            continue
        for row in rows(client, bucket, hour, record):
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


def export(client: storage.Client, bucket: str, file: Path, reason: str) -> int:
    """Write the rows with a reason that holds `reason` as JSON lines; returns how many. Never overwrites a file."""
    count = 0
    with file.open("x") as output:
        for hour, record in records(client, bucket).items():
            for row in rows(client, bucket, hour, record):
                if any(reason in each for each in row["reasons"]):
                    output.write(json.dumps({"hour": hour_name(hour)} | row, default=str) + "\n")
                    count += 1
    return count


def correct(client: storage.Client, bucket: str, file: Path) -> list[str]:
    """Write the corrected rows of `file`, lines as `export` writes them, as raw objects; returns their names.

    Writes nothing, and raises ConfigError that names line, field and remedy, unless every line can be read and is about
    a row in quarantine. The same rows once more are written once.
    """
    by_hour: dict[datetime, dict[int, dict[str, Any]]] = {}
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if line.strip():
            hour, row = _corrected(f"{file.name} line {number}", line)
            by_hour.setdefault(hour, {})[number] = row
    contents: dict[str, bytes] = {}
    for hour, corrected in by_hour.items():
        folder, name = f"{RAW}/{hour_name(hour)}/{CORRECTED}", digest([repr(row) for row in corrected.values()])[:12]
        if any(blob.name.endswith(f"-{name}.parquet") for blob in client.list_blobs(bucket, prefix=folder)):
            continue
        known = {
            _position(row)
            for record in hours.read(client, bucket, [hour]).values()
            for row in rows(client, bucket, hour, record)
        }
        for number, row in corrected.items():
            if None in _position(row) or _position(row) not in known:
                raise ConfigError(
                    f"{file.name} line {number}: no row of hour {hour_name(hour)} with topic, partition, offset "
                    f"{_position(row)} is in quarantine: leave hour and metadata as they were exported"
                )
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(list(corrected.values()), _raw_schema()), buffer)
        contents[f"{folder}{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{name}.parquet"] = buffer.getvalue()
    for name, content in contents.items():
        client.bucket(bucket).blob(name).upload_from_string(content)
    return list(contents)


def _position(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row["metadata"][name] for name in POSITION)


def _raw_schema() -> pa.Schema:
    readable = {
        struct: [(name, ARROW_TYPES[kind]) for name, kind in fields.items() if name not in declaration.NEVER_READ]
        for struct, fields in declaration.raw_event().items()
    }
    return pa.schema([(struct, pa.struct(fields)) for struct, fields in readable.items()])


def _corrected(where: str, line: str) -> tuple[datetime, dict[str, Any]]:
    """Hour and raw row of a line; ConfigError names the field that cannot be read."""
    try:
        row = json.loads(line)
        hour, result = parse_hour(row["hour"]), {"data": dict(row["data"]), "metadata": dict(row["metadata"])}
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{where}: is not a JSON object with hour, data and metadata: {error}") from None
    for struct in _raw_schema():
        fields = {each.name: each.type for each in struct.type}
        for name, value in result[struct.name].items():
            if name not in fields:
                raise ConfigError(f"{where}: {struct.name}.{name} is not declared in raw_events.toml: remove it")
            try:
                if value is not None and pa.types.is_timestamp(fields[name]):
                    result[struct.name][name] = value = datetime.fromisoformat(value).astimezone(UTC)
                pa.scalar(value, fields[name])
            except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError, TypeError):
                raise ConfigError(f"{where}: {struct.name}.{name} is {value!r}, declared {fields[name]}") from None
        result[struct.name] = {name: result[struct.name].get(name) for name in fields}
    return hour, result


def show(reasons: list[Reason], bucket: str) -> None:
    """Print the reasons."""
    if not reasons:
        print("nothing is in quarantine")
        return
    table = Table("reason", "rows", "object", "topic/partition/offset", "raw value")
    for reason in reasons:
        for index, example in enumerate(reason.examples):
            table.add_row(*([reason.name, f"{reason.rows:,}"] if index == 0 else ["", ""]), *example)
    Console(width=150).print(table)
    print(
        f"the rows with all of their fields: gs://{bucket}/{QUARANTINE}/run=<run>/hour=<hour>/\n"
        "to correct rows: make quarantine EXPORT=rows.jsonl REASON='order_status is', edit the file, "
        "make replay FILE=rows.jsonl\nafter the contract was changed: make replay"
    )


def main() -> int:
    """0 when done, 1 with a message if it cannot be."""
    parser = argparse.ArgumentParser(prog="quarantine", description=__doc__.splitlines()[0])
    parser.add_argument("--export", type=Path, metavar="FILE", help="write rows as JSON lines")
    parser.add_argument("--reason", default="", help="with --export: only rows with a reason that holds this text")
    parser.add_argument("--correct", type=Path, metavar="FILE", help="bring corrected rows back as raw objects")
    args = parser.parse_args()
    try:
        config = Config.from_environment()
        client = storage.Client(project=config.project)
        if args.export:
            print(f"{export(client, config.bucket, args.export, args.reason):,} rows in {args.export}")
        elif args.correct:
            names = correct(client, config.bucket, args.correct)
            print("\n".join([f"wrote {name}" for name in names] or ["these corrections were made before"]))
        else:
            show(collect(client, config.bucket), config.bucket)
    except FileExistsError:
        print(f"quarantine: {args.export} exists: name another file", file=sys.stderr)
        return 1
    except (*REPORTED, OSError) as error:
        print(f"quarantine: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
