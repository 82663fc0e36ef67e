"""From raw events to the rows of the dimensions: pure functions, DataFrame to DataFrame."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as f

from gcs_export_pipeline import declaration
from gcs_export_pipeline.config import CORRECTED
from gcs_export_pipeline.schemas import SPARK_TYPES

EVENT_DATE_FORMAT = "M/d/yyyy H:mm"
POSITION = ("topic", "partition", "offset")


def mark_deliveries(raw: DataFrame) -> DataFrame:
    """Add `payload`, a hash of the event's content, and `delivery`: first, duplicate, corrected or reused.

    Within an ingest hour the same (topic, partition, offset) with the same content is a duplicate delivery of the
    first; with other content it is a reused position, of which the earliest in (time, content) counts as the first.
    Where an object of corrections holds the position, its latest correction is the first and the rest is corrected.
    An event without a position is always a first one: nothing tells that it is a copy.

    Takes columns ingest_hour, object, data, metadata; does not depend on the order of rows.
    """
    position = [f.col(f"metadata.{name}") for name in POSITION]
    payload = f.xxhash64(f.to_json("data"), f.col("metadata.time"), f.col("metadata.key"))
    # Names of corrections sort by when they were made, and after no name at all.
    correction = f.regexp_extract("object", rf"/({CORRECTED}[^/]*)$", 1)
    best = [f.col("correction").desc(), f.col("metadata.time"), f.col("payload"), f.col("object")]
    order = Window.partitionBy("ingest_hour", *position).orderBy(*best)
    has_position = position[0].isNotNull() & position[1].isNotNull() & position[2].isNotNull()
    return (
        raw.withColumn("payload", payload)
        .withColumn("correction", correction)
        .withColumn("copy", f.row_number().over(order))
        .withColumn("first_payload", f.first("payload").over(order))
        .withColumn("first_correction", f.first("correction").over(order))
        .withColumn(
            "delivery",
            f.when(~has_position | (f.col("copy") == 1), "first")
            .when(f.col("payload") == f.col("first_payload"), "duplicate")
            .when(f.col("first_correction") != "", "corrected")
            .otherwise("reused"),
        )
        .drop("correction", "copy", "first_payload", "first_correction")
    )


def type_fields(events: DataFrame) -> DataFrame:
    """Add every declared field under its final name, trimmed and typed; NULL where a value cannot be read."""
    return events.select(
        "*",
        *[_typed(f.col(f"{source}.`{field.raw}`"), field).alias(field.name) for source, field in declaration.fields()],
    )


def _typed(raw: Column, field: declaration.Field) -> Column:
    if field.type == "STRING":
        text = f.trim(f.regexp_replace(raw, r"\s+", " "))
        return f.nullif(zip_code(text) if field.zip_code else text, f.lit(""))
    if field.type == "NUMERIC":
        exact = raw.try_cast("decimal(38, 9)")
        return f.round(exact, field.scale).cast("decimal(38, 9)")
    if field.type == "TIMESTAMP" and field.raw in declaration.raw_event()["data"]:
        return f.try_to_timestamp(f.trim(raw), f.lit(EVENT_DATE_FORMAT))
    return raw.cast(SPARK_TYPES[field.type])


def zip_code(text: Column) -> Column:
    """A US zip code with the leading zeros that a float took: 725.0 becomes 00725; other text stays as it is."""
    digits = f.regexp_replace(text, r"\.0+$", "")
    return f.when(digits.rlike(r"^\d{1,5}$"), f.lpad(digits, 5, "0")).otherwise(text)


def dimension_rows(valid: DataFrame, dimension: declaration.Dimension) -> DataFrame:
    """The rows that a dimension holds for each ingest hour of `valid` events, in the declared schema.

    Within an hour, the events of one natural key in order (time, partition, offset) fall into runs of equal values;
    each run is a row, with its first, last and every event. Two hours together then tell the same history as their
    events would in one hour, whichever event falls into which.
    """
    key = ["ingest_hour", *dimension.key]
    names = [column.name for column in declaration.value_columns(dimension)]
    attributes = [name for name in names if name not in dimension.key]
    order = Window.partitionBy(*key).orderBy("position")
    values = f.struct(*attributes) if attributes else f.struct(f.lit(True))
    position = f.struct(*[f.col(part).alias(f"event_{part}") for part in ("time", "partition", "offset")])
    runs = (
        valid.select("ingest_hour", *names, position.alias("position"))
        .withColumn("changed", ~values.eqNullSafe(f.lag(values).over(order)))
        .withColumn("run", f.sum(f.col("changed").cast("int")).over(order))
        .groupBy(*key, "run")
        .agg(
            *[f.first(name).alias(name) for name in attributes],
            f.min("position").alias("first"),
            f.max("position").alias("last"),
            f.sort_array(f.collect_list("position")).alias("events"),
        )
    )
    edges = [
        f.col(f"{edge}.event_{part}").alias(f"{edge}_event_{part}")
        for edge in ("first", "last")
        for part in ("time", "partition", "offset")
    ]
    return runs.select("ingest_hour", *names, *edges, "events")
