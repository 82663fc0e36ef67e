"""Raw events for tests: one good row, and frames of rows that differ from it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as t

from gcs_export_pipeline.schemas import raw_schema

HOUR = datetime(2026, 1, 3, tzinfo=UTC)

#: A row as DataCo has it: float noise, a zip code that went through a float, stray spaces.
DATA: dict[str, Any] = {
    "Type": "TRANSFER",
    "Days for shipping (real)": 5,
    "Days for shipment (scheduled)": 4,
    "Benefit per order": 11.09000015,
    "Sales per customer": 175.9900055,
    "Delivery Status": "Late delivery",
    "Late_delivery_risk": 1,
    "Category Id": 48,
    "Category Name": "Water Sports",
    "Customer City": "Caguas",
    "Customer Country": "Puerto Rico",
    "Customer Email": "XXXXXXXXX",
    "Customer Fname": "Zachary",
    "Customer Id": 6109,
    "Customer Lname": "Tate",
    "Customer Segment": "Consumer",
    "Customer State": "PR",
    "Customer Street": "8916 Round  Zephyr Ridge ",
    "Customer Zipcode": "725.0",
    "Department Id": 7,
    "Department Name": "Fan Shop",
    "Latitude": 18.20397568,
    "Longitude": -66.37054443,
    "Market": "USCA",
    "Order City": "Los Angeles",
    "Order Country": "Estados Unidos",
    "Order Customer Id": 6109,
    "order date (DateOrders)": "4/1/2016 21:05",
    "Order Id": 31299,
    "Order Item Cardprod Id": 1073,
    "Order Item Discount": 24.0,
    "Order Item Discount Rate": 0.119999997,
    "Order Item Id": 78239,
    "Order Item Product Price": 199.9900055,
    "Order Item Profit Ratio": 0.059999999,
    "Order Item Quantity": 1,
    "Sales": 199.9900055,
    "Order Item Total": 175.9900055,
    "Order Profit Per Order": 11.09000015,
    "Order Region": "West of USA ",
    "Order State": "California",
    "Order Status": "PROCESSING",
    "Order Zipcode": "90036.0",
    "Product Card Id": 1073,
    "Product Category Id": 48,
    "Product Description": None,
    "Product Image": "http://images.acmesports.sports/Pelican+Sunstream+100+Kayak",
    "Product Name": "Pelican Sunstream 100 Kayak",
    "Product Price": 199.9900055,
    "Product Status": 0,
    "shipping date (DateOrders)": "4/6/2016 21:05",
    "Shipping Mode": "Standard Class",
}


def raw(spark: SparkSession, *changes: dict[str, Any]) -> DataFrame:
    """Raw rows that differ from the good one by `changes`: raw fields, or topic, partition, offset, time, hour, object.

    Offsets count up unless given.
    """
    rows = []
    for number, change in enumerate(changes):
        meta = {"key": "k", "offset": number, "partition": 0, "time": HOUR, "topic": "orders"}
        meta |= {name: value for name, value in change.items() if name in meta}
        data = DATA | {name: value for name, value in change.items() if name in DATA}
        unknown = set(change) - set(meta) - set(data) - {"hour", "object"}
        assert not unknown, unknown
        rows.append((change.get("hour", HOUR), change.get("object", "a.parquet"), data, meta))
    fields = [t.StructField("ingest_hour", t.TimestampType()), t.StructField("object", t.StringType())]
    return spark.createDataFrame(rows, t.StructType(fields + raw_schema().fields))
