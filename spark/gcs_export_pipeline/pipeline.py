"""The Spark run: raw events of a window of ingest hours to the Parquet of the seven dimensions.

`python -m gcs_export_pipeline --from 2026-01-03T00 --to 2026-01-03T06`, or the same arguments behind spark-submit.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from google.cloud import storage
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from gcs_export_pipeline import contract, declaration, hours, objects, schemas, transforms
from gcs_export_pipeline.config import RAW, REPORTED, RUNS, ConfigError, hour_name, new_run_id, parse_hour, setting

#: A write waits for storage more than it computes.
WRITES_AT_ONCE = 4

Say = Callable[[str], None]


class RunError(RuntimeError):
    """The run cannot go on; the message says what is wrong and what to do."""


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


def check_events(raw: DataFrame) -> DataFrame:
    """Raw events with their delivery, typed fields, reasons and warnings: everything that is decided of a row."""
    return contract.check(transforms.type_fields(transforms.mark_deliveries(raw)))


def outcome() -> Any:
    """What became of a checked row: duplicate, quarantined or valid."""
    return (
        f.when(f.col("delivery") == "duplicate", "duplicates")
        .when(f.size("reasons") > 0, "quarantined")
        .otherwise("valid")
    )


def no_counts() -> dict[str, Any]:
    """The counts of an hour before anything was counted."""
    return {"rows": {"raw": 0, "valid": 0, "quarantined": 0, "duplicates": 0}, "reasons": {}, "warnings": {}}


def count(checked: DataFrame) -> dict[datetime, dict[str, Any]]:
    """For each hour: raw rows by outcome, and how often each reason and warning applies."""
    counts: dict[datetime, dict[str, Any]] = {}
    unix = f.unix_timestamp("ingest_hour").alias("hour")
    # One pass: a row counts once for its outcome and once for each rule that it breaks.
    names = f.concat(
        f.array(f.struct(f.lit("rows").alias("kind"), outcome().alias("name"))),
        *[f.expr(f"transform({kind}, name -> struct('{kind}' as kind, name))") for kind in ("reasons", "warnings")],
    )
    for row in checked.select(unix, f.inline(names)).groupBy("hour", "kind", "name").count().collect():
        entry = counts.setdefault(_utc(row["hour"]), no_counts())
        entry[row["kind"]][row["name"]] = row["count"]
        if row["kind"] == "rows":
            entry["rows"]["raw"] += row["count"]
    return counts


def write(rows: DataFrame, path: str) -> None:
    """Write rows as Parquet into folders hour=..., one file an hour unless an hour is large."""
    hour = f.date_format("ingest_hour", "yyyyMMdd'T'HH")
    rows.withColumn("hour", hour).hint("rebalance", "hour").write.mode("error").partitionBy("hour").parquet(path)


def written(spark: SparkSession, path: str) -> dict[datetime, tuple[int, int]]:
    """For each hour: rows in the Parquet at `path`, and events that they stand for, read back from storage."""
    back = (
        spark.read.parquet(path)
        .groupBy("hour")
        .agg(f.count("*").alias("rows"), f.sum(f.size("events")).alias("events"))
    )
    return {parse_hour(row["hour"]): (row["rows"], row["events"]) for row in back.collect()}


def choose_hours(
    client: storage.Client, bucket: str, start: datetime | None, end: datetime | None
) -> dict[datetime, list[storage.Blob]]:
    """The raw objects of the hours to process: those in [start, end), or, without bounds, those not processed yet.

    An hour is processed when its record names just the objects that lie in its folder now; a late object makes it
    pending again. Raises RunError if there is nothing in the window, or no raw event at all.
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
    return {
        hour: blobs
        for hour, blobs in raw.items()
        if known.get(hour, {}).get("objects") != hours.digest(objects.generations(blobs))
    }


def run(
    config_bucket: str, start: datetime | None, end: datetime | None, run_id: str, say: Say = print
) -> dict[str, Any]:
    """Process the ingest hours that `choose_hours` names, and return the run's record.

    Raises ConfigError or RunError with the remedy; then the Parquet of the hours is as it was before.
    """
    client = storage.Client()
    raw = choose_hours(client, config_bucket, start, end)
    if not raw:
        say("  nothing new: every raw object is in the Parquet of its hour")
        return {"run": run_id, "hours": [], "records": []}
    found = objects.inspect(raw)
    readable = [each for each in found if each.problem is None]
    aside = [each for each in found if each.problem is not None]
    for each in aside:
        say(f"  set aside: {each.name}: {each.problem}")
    for note in sorted({f"{note} in {each.name.rsplit('/', 1)[0]}/" for each in readable for note in each.notes}):
        say(f"  note: {note}")
    if not readable:
        wanted = f"between {start or 'the beginning'} and {end or 'the end'}"
        raise RunError(f"no readable raw objects {wanted} in gs://{config_bucket}: see what was set aside")
    say(f"  {len(raw)} hours, {len(readable)} objects, {sum(each.rows for each in readable):,} rows")

    spark = session()
    checked = check_events(read_raw(spark, config_bucket, readable)).persist()
    try:
        counts = count(checked)
        _compare_with_footers(counts, readable)
        say(f"  checked: {_totals(counts)}")
        _write_quarantine(checked, f"gs://{config_bucket}/{hours.quarantine_path(run_id)}")
        valid = checked.where(outcome() == "valid")
        output = {}
        with ThreadPoolExecutor(WRITES_AT_ONCE) as pool:
            writing = {
                name: pool.submit(_write_dimension, spark, valid, dimension, config_bucket, run_id, counts)
                for name, dimension in declaration.dimensions().items()
            }
            for name, job in writing.items():
                output[name] = job.result()
                say(f"  wrote {name}: {sum(rows for rows, _ in output[name].values()):,} rows")
    finally:
        checked.unpersist()

    _count_set_aside(counts, raw, aside)
    records = {
        hour: {
            "hour": hour_name(hour),
            "run": run_id,
            **counts[hour],
            "dimensions": {
                name: {
                    "path": f"{hours.output_path(declaration.dimensions()[name], run_id)}/hour={hour_name(hour)}",
                    "rows": by_hour.get(hour, (0, 0))[0],
                }
                for name, by_hour in output.items()
            },
            "objects": {each.name: each.generation for each in found if each.hour == hour},
            "set_aside": {each.name: each.problem for each in aside if each.hour == hour},
        }
        for hour in raw
    }
    hours.switch(client, config_bucket, records)
    record = {"run": run_id, "hours": [hour_name(hour) for hour in records], "records": list(records.values())}
    client.bucket(config_bucket).blob(f"{RUNS}/{run_id}/spark.json").upload_from_string(json.dumps(record, indent=1))
    return record


def _utc(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, tz=parse_hour("19700101T00").tzinfo)


def _totals(counts: dict[datetime, dict[str, Any]]) -> str:
    total = {
        name: sum(each["rows"][name] for each in counts.values()) for name in ("valid", "quarantined", "duplicates")
    }
    return ", ".join(f"{rows:,} {name}" for name, rows in total.items())


def _compare_with_footers(counts: dict[datetime, dict[str, Any]], readable: list[objects.RawObject]) -> None:
    """RunError if the rows that Spark read are not those that the objects' footers promise."""
    for hour in {each.hour for each in readable}:
        promised = sum(each.rows for each in readable if each.hour == hour)
        read = counts[hour]["rows"]["raw"] if hour in counts else 0
        if promised != read:
            raise RunError(f"hour {hour_name(hour)}: objects hold {promised} rows, Spark read {read}; run it again")


def _count_set_aside(
    counts: dict[datetime, dict[str, Any]], hours_read: Iterable[datetime], aside: list[objects.RawObject]
) -> None:
    """Count the rows of objects that were set aside whole as quarantined; they stay where they are, in the raw zone."""
    for hour in hours_read:
        counts.setdefault(hour, no_counts())
    for each in aside:
        entry, reason = counts[each.hour], f"object set aside: {each.problem}"
        entry["rows"]["raw"] += each.rows
        entry["rows"]["quarantined"] += each.rows
        entry["reasons"][reason] = entry["reasons"].get(reason, 0) + each.rows


def _write_quarantine(checked: DataFrame, path: str) -> None:
    rows = checked.where(outcome() == "quarantined").select("ingest_hour", "object", "reasons", "data", "metadata")
    if not rows.isEmpty():
        write(rows, path)


def _write_dimension(
    spark: SparkSession,
    valid: DataFrame,
    dimension: declaration.Dimension,
    bucket: str,
    run_id: str,
    counts: dict[datetime, dict[str, Any]],
) -> dict[datetime, tuple[int, int]]:
    """Write one dimension and prove from the files that its rows stand for every valid event of each hour."""
    rows = transforms.dimension_rows(valid, dimension)
    if problem := schemas.difference(rows.schema, schemas.dimension_schema(dimension)):
        raise RunError(f"dimension {dimension.name}: {problem}")
    path = f"gs://{bucket}/{hours.output_path(dimension, run_id)}"
    if not any(entry["rows"]["valid"] for entry in counts.values()):
        return {}
    write(rows, path)
    back = written(spark, path)
    for hour, entry in counts.items():
        events = back.get(hour, (0, 0))[1]
        if events != entry["rows"]["valid"]:
            raise RunError(
                f"{dimension.folder} of hour {hour_name(hour)} stands for {events} events, "
                f"{entry['rows']['valid']} are valid; the old Parquet stays, run the hour again"
            )
    return back


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
        record = run(args.bucket or setting("GCS_BUCKET"), args.start, args.end, args.run)
    except (*REPORTED, RunError) as error:
        print(f"gcs_export_pipeline: {error}", file=sys.stderr)
        return 1
    except (PySparkException, Py4JError) as error:
        print(
            f"gcs_export_pipeline: Spark failed: {str(error).splitlines()[0]}; the whole in spark.log", file=sys.stderr
        )
        return 1
    print(f"  run {record['run']}: {len(record['hours'])} hours in {time.monotonic() - began:.0f} s")
    return 0
