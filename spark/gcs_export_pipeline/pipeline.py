"""The Spark run: raw events of a window of ingest hours to the Parquet of the seven dimensions.

`python -m gcs_export_pipeline --from 2026-01-03T00 --to 2026-01-03T06`, or the same arguments behind spark-submit.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from google.cloud import storage
from py4j.protocol import Py4JError
from pyspark import StorageLevel
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from gcs_export_pipeline import contract, counts, declaration, hours, lock, objects, output, schemas, transforms, window
from gcs_export_pipeline.config import (
    REPORTED,
    RUNS,
    ConfigError,
    RunError,
    hour_name,
    new_run_id,
    parse_hour,
    setting,
)

#: Above this share of raw objects that cannot be read, something is wrong with more than an object.
UNREADABLE_SHARE = 0.5
#: Some 50 MB in memory.
EVENTS_A_PART = 50_000

Say = Callable[[str], None]


def session() -> SparkSession:
    """A session whose results do not depend on the machine's settings; where it runs comes from spark-defaults."""
    return (
        SparkSession.builder.appName("gcs_export_pipeline")
        .config("spark.log.level", "ERROR")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.ansi.enabled", "true")
        # An unreadable object is set aside by name before Spark reads; what it meets after that must not pass unseen.
        .config("spark.sql.files.ignoreCorruptFiles", "false")
        .config("spark.sql.files.ignoreMissingFiles", "false")
        # The hour record says what is complete, for readers and for the next run.
        .config("spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs", "false")
        .config("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
        .config("spark.sql.sources.partitionColumnTypeInference.enabled", "false")
        .getOrCreate()
    )


def read_raw(spark: SparkSession, bucket: str, found: list[objects.RawObject]) -> DataFrame:
    """The rows of the readable objects with the hour and object that they came in."""
    paths = [f"gs://{bucket}/{each.name}" for each in found]
    path = f.col("_metadata.file_path")
    hour = f.to_timestamp(f.element_at(f.split(path, "/"), -2), "yyyyMMdd'T'HH")
    return (
        spark.read.schema(schemas.raw_schema())
        .parquet(*paths)
        .select(hour.alias("ingest_hour"), path.alias("object"), "data", "metadata")
    )


def run(
    bucket: str,
    start: datetime | None,
    end: datetime | None,
    run_id: str,
    say: Say = print,
    unreadable_share: float = UNREADABLE_SHARE,
    replay: bool = False,
    before_switch: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Process the ingest hours that `window.choose` names for these bounds and `replay`, and return the run's record.

    Objects that cannot be read are set aside by name, up to `unreadable_share` of those found, 0 to 1; more of them end
    the run. `before_switch` may raise to keep the new Parquet from being put in place. Raises ConfigError or RunError
    with the remedy; then the Parquet of the hours is as it was before.
    """
    began = time.monotonic()
    client = storage.Client()
    raw = window.choose(client, bucket, start, end, replay, say)
    if not raw:
        say("  nothing new: every raw object is in the Parquet of its hour")
        if replay:
            say("  nothing to replay: the contract is the one that what is in quarantine broke")
        return {"run": run_id, "hours": [], "records": []}
    found = objects.inspect(raw)
    readable = [each for each in found if each.problem is None]
    aside = [each for each in found if each.problem is not None]
    for each in aside:
        say(f"  set aside: {each.name}: {each.problem}")
    for note in sorted({f"{note} in {each.name.rsplit('/', 1)[0]}/" for each in readable for note in each.notes}):
        say(f"  note: {note}")
    if len(aside) > unreadable_share * len(found):
        raise RunError(
            f"{len(aside)} of {len(found)} raw objects cannot be read, more than the share of {unreadable_share:g} "
            "that is set aside without stopping: have them sent again, or allow more with UNREADABLE_SHARE=1"
        )
    say(f"  {len(raw)} hours, {len(readable)} objects, {sum(each.rows for each in readable):,} rows")
    try:
        counted, written = _process(client, bucket, readable, run_id, say) if readable else ({}, {})
        counts.count_set_aside(counted, raw, aside)
        records = _records(run_id, raw, found, counted, written)
        before_switch()
        hours.switch(client, bucket, records)
    except BaseException:
        hours.remove_unnamed(client, bucket, run_id)  # of a run that is killed, the next one removes it
        raise
    record = {
        "run": run_id,
        "seconds": round(time.monotonic() - began, 1),
        "hours": [hour_name(hour) for hour in records],
        "records": list(records.values()),
    }
    client.bucket(bucket).blob(f"{RUNS}/{run_id}/spark.json").upload_from_string(json.dumps(record, indent=1))
    return record


def _process(
    client: storage.Client, bucket: str, readable: list[objects.RawObject], run_id: str, say: Say
) -> tuple[counts.Counts, output.Written]:
    """Check the rows of the objects and write them; returns the counts of each hour and what was written."""
    spark = session()
    # Parts grow in number, not in size, so that a task needs as much memory for a year as for an hour. All deliveries
    # of an event lie in one part, as telling them apart needs.
    parts = max(spark.sparkContext.defaultParallelism, sum(each.rows for each in readable) // EVENTS_A_PART)
    position = [f"metadata.{name}" for name in transforms.POSITION]
    raw = read_raw(spark, bucket, readable).repartition(parts, "ingest_hour", *position)
    # On disk: what is kept in memory grows with the data, and leaves none for the work.
    checked = contract.check_events(raw).persist(StorageLevel.DISK_ONLY)
    try:
        counted = counts.count(checked)
        counts.compare_with_footers(counted, readable)
        say(f"  checked: {counts.totals(counted)}")
        output.write_quarantine(client, checked, bucket, run_id, counted)
        valid = checked.where(contract.outcome() == "valid")
        return counted, output.write_dimensions(spark, valid, bucket, run_id, counted, say)
    finally:
        checked.unpersist()


def _records(
    run_id: str,
    raw: Iterable[datetime],
    found: list[objects.RawObject],
    counted: counts.Counts,
    written: output.Written,
) -> dict[datetime, hours.Record]:
    """The hour record of each hour."""
    nothing = hours.Size(0, 0)
    records = {}
    for hour in raw:
        mine = [each for each in found if each.hour == hour]
        sizes = {name: written.get(name, {}).get(hour, nothing) for name in declaration.dimensions()}
        records[hour] = {
            "hour": hour_name(hour),
            "run": run_id,
            "contract": contract.version(),
            **counted[hour],
            "bytes": sum(each.bytes for each in mine),
            "dimensions": {
                name: {
                    "path": f"{hours.output_path(declaration.dimensions()[name], run_id)}/hour={hour_name(hour)}",
                    "rows": size.rows,
                    "bytes": size.bytes,
                }
                for name, size in sizes.items()
            },
            "objects": {each.name: each.generation for each in mine},
            "set_aside": {each.name: each.problem for each in mine if each.problem is not None},
        }
    return records


def arguments(argv: list[str]) -> argparse.Namespace:
    """The command line, hours parsed."""
    parser = argparse.ArgumentParser(prog="gcs_export_pipeline", description=__doc__.splitlines()[0])
    parser.add_argument("--bucket", help="bucket of raw events and Parquet (default: GCS_BUCKET)")
    parser.add_argument(
        "--from",
        dest="start",
        metavar="HOUR",
        help="first ingest hour, as 2026-01-03T00; without --from and --to: what is new",
    )
    parser.add_argument("--to", dest="end", metavar="HOUR", help="first ingest hour after the window")
    parser.add_argument(
        "--replay", action="store_true", help="also hours in which another contract than the present set rows aside"
    )
    parser.add_argument(
        "--unreadable-share",
        type=float,
        default=float(os.environ.get("UNREADABLE_SHARE") or UNREADABLE_SHARE),
        help="share of raw objects, 0 to 1, that may be set aside as unreadable (default: UNREADABLE_SHARE, or 0.5)",
    )
    parser.add_argument("--run", default=new_run_id(), help="name of the run (default: from the clock)")
    parsed = parser.parse_args(argv)
    parsed.start, parsed.end = (parse_hour(text) if text else None for text in (parsed.start, parsed.end))
    if parsed.start and parsed.end and parsed.end - parsed.start < timedelta(hours=1):
        raise ConfigError("--to must be later than --from: the window is [from, to)")
    return parsed


def main(argv: list[str] | None = None) -> int:
    """Run from the command line; 0 when every stage succeeded, 1 with a message otherwise."""
    began = time.monotonic()
    try:
        args = arguments(sys.argv[1:] if argv is None else argv)
        client, bucket = storage.Client(), args.bucket or setting("GCS_BUCKET")
        with ExitStack() as stack:
            if os.environ.get(lock.HELD_BY) != args.run:  # on its own, not as a stage of a run that holds it
                held = stack.enter_context(lock.hold(client, bucket, args.run))
                if held.taken_from:
                    hours.remove_unnamed(client, bucket, held.taken_from)
            check = partial(lock.check, client, bucket, args.run)
            record = run(bucket, args.start, args.end, args.run, print, args.unreadable_share, args.replay, check)
    except REPORTED as error:
        print(f"gcs_export_pipeline: {error}", file=sys.stderr)
        return 1
    except (PySparkException, Py4JError) as error:
        print(
            f"gcs_export_pipeline: Spark failed: {str(error).splitlines()[0]}; the whole in spark.log", file=sys.stderr
        )
        return 1
    print(f"  run {record['run']}: {len(record['hours'])} hours in {time.monotonic() - began:.0f} s")
    return 0
