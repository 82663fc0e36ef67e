from __future__ import annotations

from typing import Any

from pyspark.sql import SparkSession

from gcs_export_pipeline import contract, declaration
from gcs_export_pipeline.contract import check_events
from gcs_export_pipeline.counts import count
from tests.spark.raw_rows import HOUR, raw


def test_a_good_row_breaks_nothing(spark: SparkSession) -> None:
    (row,) = check_events(raw(spark, {})).collect()
    assert (row.reasons, row.warnings) == ([], [])


#: A change of one field, and a reason that it must be quarantined for.
DEFECTS: list[tuple[dict[str, Any], str]] = [
    ({"order date (DateOrders)": "2/30/2017 10:00"}, "order_date is not a TIMESTAMP"),
    ({"shipping date (DateOrders)": "1/1/2010 0:00"}, "shipping_date is before order_date"),
    ({"order date (DateOrders)": "1/1/2050 0:00"}, "order_date is above 2049-12-31"),
    ({"Order Status": "LOST"}, "order_status is not an allowed value"),
    ({"Order Status": "  "}, "order_status is missing"),
    ({"Order Item Quantity": 0}, "order_item_quantity is below 1"),
    ({"Latitude": 91.0}, "latitude is above 90"),
    ({"Sales": float("nan")}, "sales is not a NUMERIC"),
    ({"Sales": 210.0}, "sales is not price x quantity"),
    ({"Order Item Total": 180.0}, "order_item_total is not sales - discount"),
    ({"Days for shipping (real)": 6}, "days_for_shipping_real is not shipping_date - order_date"),
    ({"Delivery Status": "Shipping on time"}, "delivery_status does not follow from order_status and days"),
    ({"Order Status": "CANCELED"}, "delivery_status does not follow from order_status and days"),
    ({"Order Customer Id": 1}, "order_customer_id is not customer_id"),
    ({"Order Item Cardprod Id": 1}, "Order Item Cardprod Id is not product_card_id"),
    ({"Category Id": 1}, "Category Id is not product_category_id"),
    ({"Product Price": 1.0}, "order_item_product_price is not product_price"),
    ({"Sales per customer": 1.0}, "sales_per_customer is not order_item_total"),
    ({"Benefit per order": 1.0}, "Benefit per order is not order_profit_per_order"),
]


def test_each_rule_catches_its_defect(spark: SparkSession) -> None:
    rows = check_events(raw(spark, *[change for change, _ in DEFECTS])).orderBy("offset").collect()
    for (change, reason), row in zip(DEFECTS, rows, strict=True):
        assert reason in row.reasons, (change, row.reasons)


def test_a_ratio_that_is_off_only_warns(spark: SparkSession) -> None:
    (row,) = check_events(raw(spark, {"Order Item Profit Ratio": 0.4})).collect()
    assert (row.reasons, row.warnings) == ([], ["order_item_profit_ratio is not profit / total"])


def test_a_missing_required_field_is_the_reason(spark: SparkSession) -> None:
    """One row a required field: each is quarantined for the field that it lacks."""
    required = [(source, field) for source, field in declaration.fields() if field.required]
    rows = check_events(raw(spark, *[{field.raw: None} for _, field in required])).collect()
    told = {reason for row in rows for reason in row.reasons}
    assert {f"{field.name} is missing" for _, field in required} <= told
    assert all(row.reasons for row in rows)


def test_every_rule_has_a_name_of_its_own() -> None:
    names = [rule.name for rule in contract.rules()]
    assert len(names) == len(set(names))


def test_counts_add_up_and_a_duplicate_is_judged_once(spark: SparkSession) -> None:
    bad = {"offset": 1, "Order Status": "LOST"}
    counted = count(check_events(raw(spark, {"offset": 0}, {"offset": 0}, bad, bad, {"offset": 2})))[HOUR]
    assert counted["rows"] == {"raw": 5, "valid": 2, "quarantined": 1, "duplicates": 2}
    assert counted["reasons"] == {"order_status is not an allowed value": 1}
