from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from chispa import assert_df_equality
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f
from pyspark.sql import types as t

from gcs_export_pipeline import declaration, schemas, transforms
from gcs_export_pipeline.contract import check_events, outcome
from tests.spark.raw_rows import HOUR, raw


def typed(spark: SparkSession, *changes: dict[str, Any]) -> list[Any]:
    """The typed rows of raw rows that differ by `changes`, in their order."""
    return transforms.type_fields(raw(spark, *changes)).orderBy("offset").collect()


def test_fields_are_trimmed_and_typed(spark: SparkSession) -> None:
    (row,) = typed(spark, {})
    assert row.customer_street == "8916 Round Zephyr Ridge"
    assert row.order_region == "West of USA"
    assert row.customer_zipcode == "00725"
    assert row.order_zipcode == "90036"
    assert row.order_item_total == Decimal("175.99")
    assert row.order_item_discount_rate == Decimal("0.12")
    assert row.latitude == Decimal("18.20397568")
    # Spark hands timestamps to Python in the machine's own zone: compare the instant.
    assert row.order_date.timestamp() == datetime(2016, 4, 1, 21, 5, tzinfo=UTC).timestamp()


def test_zip_codes(spark: SparkSession) -> None:
    codes = {"725": "00725", "725.0": "00725", "90036": "90036", "K1A 0B1": "K1A 0B1", "": None, None: None}
    rows = typed(spark, *[{"Customer Zipcode": text} for text in codes])
    assert [row.customer_zipcode for row in rows] == list(codes.values())


def test_what_cannot_be_read_becomes_null(spark: SparkSession) -> None:
    dates = ["2/30/2017 10:00", "2017-02-03 10:00", "13/1/2017 1:00", "soon"]
    rows = typed(spark, *[{"order date (DateOrders)": text} for text in dates])
    assert [row.order_date for row in rows] == [None] * len(dates)
    amounts = [float("nan"), float("inf"), 1e30]
    assert [row.sales for row in typed(spark, *[{"Sales": number} for number in amounts])] == [None] * len(amounts)


def test_duplicates_are_told_within_an_hour_only(spark: SparkSession) -> None:
    later = HOUR + timedelta(hours=1)
    events = raw(
        spark,
        {"offset": 1},
        {"offset": 1, "object": "b.parquet"},
        {"offset": 1, "hour": later},
        {"offset": 2},
        {"offset": 2, "partition": 1},
    )
    counts = [row["count"] for row in transforms.mark_deliveries(events).groupBy("delivery").count().collect()]
    assert sorted(counts) == [1, 4]


def test_a_reused_offset_is_no_duplicate(spark: SparkSession) -> None:
    events = raw(spark, {"offset": 1}, {"offset": 1, "Order Status": "COMPLETE"}, {"offset": 1})
    assert sorted(row.delivery for row in transforms.mark_deliveries(events).collect()) in (
        ["duplicate", "first", "reused"],
        ["first", "reused", "reused"],
    )
    # Which one counts does not depend on the order of rows.
    again = events.orderBy(f.desc("data.Order Status"))
    assert_df_equality(
        transforms.mark_deliveries(events),
        transforms.mark_deliveries(again),
        ignore_row_order=True,
        ignore_nullable=True,
    )


def test_events_without_position_are_never_duplicates(spark: SparkSession) -> None:
    events = raw(spark, {"offset": None}, {"offset": None})
    assert [row.delivery for row in transforms.mark_deliveries(events).collect()] == ["first", "first"]


def rows_of(spark: SparkSession, name: str, *changes: dict[str, Any]) -> DataFrame:
    valid = check_events(raw(spark, *changes)).where(outcome() == "valid")
    return transforms.dimension_rows(valid, declaration.dimensions()[name])


def test_every_dimension_has_its_declared_schema(spark: SparkSession) -> None:
    valid = check_events(raw(spark, {}))
    for dimension in declaration.dimensions().values():
        rows = transforms.dimension_rows(valid, dimension)
        assert schemas.difference(rows.schema, schemas.dimension_schema(dimension)) is None, dimension.name


def test_a_difference_of_schemas_is_named() -> None:
    customer, product = (schemas.dimension_schema(declaration.dimensions()[name]) for name in ("customer", "product"))
    assert schemas.difference(customer, product) == "field customer_id stands where product_card_id is declared"


def test_a_row_stands_for_a_run_of_equal_values(spark: SparkSession) -> None:
    at = [HOUR + timedelta(minutes=minute) for minute in range(5)]
    names = ["A", "A", "B", "A", "A"]
    changes = [{"time": time, "Customer Fname": name} for time, name in zip(at, names, strict=True)]
    rows = rows_of(spark, "customer", *reversed(changes)).orderBy("first_event_time").collect()
    assert [(row.customer_fname, len(row.events)) for row in rows] == [("A", 2), ("B", 1), ("A", 2)]
    assert [row.first_event_time.minute for row in rows] == [0, 2, 3]
    assert [row.last_event_time.minute for row in rows] == [1, 2, 4]


def test_a_missing_value_is_a_value(spark: SparkSession) -> None:
    rows = rows_of(spark, "customer", {"Customer Lname": None}, {"Customer Lname": "Tate"}, {"Customer Lname": None})
    assert rows.count() == 3
    destinations = rows_of(spark, "location", {"Order Zipcode": None}, {"Order Zipcode": None})
    assert destinations.count() == 1


event = st.tuples(st.integers(1, 2), st.integers(0, 4), st.sampled_from("AB"), st.integers(0, 2), st.integers(0, 2))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(event, min_size=1, max_size=12))
def test_hours_together_tell_what_one_hour_tells(
    spark: SparkSession, events: list[tuple[int, int, str, int, int]]
) -> None:
    """However events fall into hours, their rows hold the same events with the same values, each once."""

    customer = declaration.dimensions()["customer"]
    columns = [t.StructField("ingest_hour", t.TimestampType())]
    columns += [t.StructField(field.name, schemas.SPARK_TYPES[field.type]) for field in customer.fields]
    columns += [t.StructField("time", t.TimestampType())]
    columns += [t.StructField(name, t.LongType()) for name in ("partition", "offset")]

    def told(hours: list[int]) -> set[tuple[Any, ...]]:
        valid = [
            {
                "ingest_hour": HOUR + timedelta(hours=hour),
                "customer_id": number,
                "customer_fname": name,
                "time": HOUR + timedelta(minutes=minute),
                "partition": 0,
                "offset": offset,
            }
            for offset, ((number, minute, name, *_), hour) in enumerate(zip(events, hours, strict=True))
        ]
        rows = transforms.dimension_rows(spark.createDataFrame(valid, t.StructType(columns)), customer).collect()
        for row in rows:
            assert row.events == sorted(row.events)
            first, last = row.events[0], row.events[-1]
            assert (first.event_time, first.event_offset) == (row.first_event_time, row.first_event_offset)
            assert (last.event_time, last.event_offset) == (row.last_event_time, row.last_event_offset)
        each = [(row.customer_id, row.customer_fname, *position) for row in rows for position in row.events]
        assert len(each) == len(events) == len(set(each))
        return set(each)

    assert told([0] * len(events)) == told([one for *_, one, _ in events]) == told([other for *_, other in events])
