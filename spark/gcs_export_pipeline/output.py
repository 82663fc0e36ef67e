"""The Parquet of a run: written, and proved from the files before anybody is told of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from google.cloud import storage
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from gcs_export_pipeline import contract, declaration, hours, schemas, transforms
from gcs_export_pipeline.config import RunError, hour_name, parse_hour
from gcs_export_pipeline.counts import Counts

#: A write waits for storage more than it computes.
WRITES_AT_ONCE = 4

#: Rows and bytes by hour of what was written, by dimension.
Written = dict[str, dict[datetime, hours.Size]]


def write(rows: DataFrame, path: str) -> None:
    """Write rows as Parquet into folders hour=..., one file an hour unless an hour is large."""
    hour = f.date_format("ingest_hour", "yyyyMMdd'T'HH")
    rows.withColumn("hour", hour).hint("rebalance", "hour").write.mode("error").partitionBy("hour").parquet(path)


def events_written(spark: SparkSession, path: str) -> dict[datetime, int]:
    """For each hour the events that the rows of the Parquet at `path` stand for, read back from storage."""
    back = spark.read.parquet(path).groupBy("hour").agg(f.sum(f.size("events")).alias("events"))
    return {parse_hour(row["hour"]): row["events"] for row in back.collect()}


def write_quarantine(client: storage.Client, checked: DataFrame, bucket: str, run_id: str, counts: Counts) -> None:
    """Write the rows that break the contract; RunError unless the files hold as many of each hour as were counted."""
    expected = {hour: entry["rows"]["quarantined"] for hour, entry in counts.items()}
    if not any(expected.values()):
        return
    rows = checked.where(contract.outcome() == "quarantined").select(
        "ingest_hour", "object", "reasons", "data", "metadata"
    )
    write(rows, f"gs://{bucket}/{hours.quarantine_path(run_id)}")
    held = hours.sizes(client, bucket, hours.quarantine_path(run_id))
    for hour, promised in expected.items():
        if (size := held.get(hour, hours.Size(0, 0))).rows != promised:
            raise RunError(
                f"quarantine of hour {hour_name(hour)} holds {size.rows} rows, {promised} break the contract; "
                "the old Parquet stays, run the hour again"
            )


def write_dimensions(
    spark: SparkSession, valid: DataFrame, bucket: str, run_id: str, counts: Counts, say: Callable[[str], None]
) -> Written:
    """Write every dimension, some at a time; returns what was written."""
    if not any(entry["rows"]["valid"] for entry in counts.values()):
        return {}
    client = storage.Client()
    written: Written = {}
    with ThreadPoolExecutor(WRITES_AT_ONCE) as pool:
        writing = {
            name: pool.submit(_write_dimension, spark, client, valid, dimension, bucket, run_id, counts)
            for name, dimension in declaration.dimensions().items()
        }
        for name, job in writing.items():
            written[name] = job.result()
            say(f"  wrote {name}: {sum(size.rows for size in written[name].values()):,} rows")
    return written


def _write_dimension(
    spark: SparkSession,
    client: storage.Client,
    valid: DataFrame,
    dimension: declaration.Dimension,
    bucket: str,
    run_id: str,
    counts: Counts,
) -> dict[datetime, hours.Size]:
    """Write one dimension and prove from the files that its rows stand for every valid event of each hour."""
    rows = transforms.dimension_rows(valid, dimension)
    if problem := schemas.difference(rows.schema, schemas.dimension_schema(dimension)):
        raise RunError(f"dimension {dimension.name}: {problem}")
    folder = hours.output_path(dimension, run_id)
    write(rows, f"gs://{bucket}/{folder}")
    events = events_written(spark, f"gs://{bucket}/{folder}")
    for hour, entry in counts.items():
        if events.get(hour, 0) != entry["rows"]["valid"]:
            raise RunError(
                f"{dimension.folder} of hour {hour_name(hour)} stands for {events.get(hour, 0)} events, "
                f"{entry['rows']['valid']} are valid; the old Parquet stays, run the hour again"
            )
    return hours.sizes(client, bucket, folder)
