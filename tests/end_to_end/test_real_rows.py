"""The published rows of DataCo (Mendeley Data 10.17632/8gx2fvg2k6.5): true counts, and marts against the CSV itself.

The totals are computed from the CSV by pandas, without a line of the project.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from tests.end_to_end.test_pipeline import client, deployment, succeed, summary

Run = Callable[..., subprocess.CompletedProcess[str]]
OPEN = ["ON_HOLD", "PAYMENT_REVIEW", "PENDING", "PENDING_PAYMENT", "PROCESSING"]


@pytest.fixture(scope="module")
def real(platform: dict[str, str], run_module: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A deployment in which the pipeline has run over the real rows."""
    sample = os.environ.get("DATACO_SAMPLE")
    if not sample:
        pytest.skip("set DATACO_SAMPLE to the CSV of 6,000 DataCo rows to run this")
    settings = deployment(platform, tmp_path_factory, "real")
    succeed(run_module("events", "--csv", sample, **settings))
    succeed(run_module("pipeline", **settings))
    return settings


@pytest.fixture(scope="module")
def csv(real: dict[str, str]) -> pd.DataFrame:
    """The rows of the CSV; money in cents, text with single spaces, and the month of the order."""
    rows = pd.read_csv(os.environ["DATACO_SAMPLE"])
    for name in ("Market", "Order Region", "Category Name", "Customer Segment", "Shipping Mode", "Delivery Status"):
        rows[name] = rows[name].str.split().str.join(" ")
    for name in ("Sales", "Order Item Discount", "Order Item Total", "Order Profit Per Order"):
        rows[name] = (rows[name] * 100).round().astype(int)
    ordered = pd.to_datetime(rows["order date (DateOrders)"], format="%m/%d/%Y %H:%M")
    rows["month"] = ordered.dt.to_period("M")
    rows["days late"] = (rows["Days for shipping (real)"] - rows["Days for shipment (scheduled)"]).clip(lower=0)
    return rows


def test_the_real_rows_give_the_true_counts(real: dict[str, str]) -> None:
    told = summary(real)
    assert told["events"] == {"raw": 6000, "valid": 6000, "quarantined": 0, "duplicates": 0}
    assert {name: counts["current"] for name, counts in told["dimensions"].items()} == {
        "customer": 4680,
        "product": 106,
        "location": 5736,
        "order": 6000,
        "shipping": 5743,
        "department": 38,
        "metadata": 6000,
    }


def mart(platform: dict[str, str], real: dict[str, str], name: str, keys: list[str], values: list[str]) -> Any:
    """The mart's values by key, with money in cents and months as periods, in the order of the keys."""
    money = {"sales", "discount", "revenue", "profit", "suspected_revenue", "revenue_change"}
    rows = client(platform).query_and_wait(f"select * from {real['WAREHOUSE_DATASET']}.{name}")
    found = {}
    for row in rows:
        key = tuple(str(row[each])[:7] if each.endswith("_month") else row[each] for each in keys)
        assert key not in found
        found[key] = tuple(int(row[each] * 100) if each in money else int(row[each]) for each in values)
    return found


def totals(grouped: pd.DataFrame) -> dict[tuple[Any, ...], tuple[int, ...]]:
    """What `mart` gives, of a DataFrame whose index holds the keys."""
    return {
        tuple(
            str(part) if isinstance(part, pd.Period) else part for part in (key if isinstance(key, tuple) else (key,))
        ): (tuple(int(value) for value in row))
        for key, row in zip(grouped.index, grouped.to_numpy(), strict=True)
    }


def test_sales(platform: dict[str, str], real: dict[str, str], csv: pd.DataFrame) -> None:
    expected = csv.groupby(["month", "Market", "Department Id", "Product Category Id"]).agg(
        items=("Order Item Id", "size"),
        orders=("Order Id", "nunique"),
        units=("Order Item Quantity", "sum"),
        sales=("Sales", "sum"),
        discount=("Order Item Discount", "sum"),
        revenue=("Order Item Total", "sum"),
        profit=("Order Profit Per Order", "sum"),
    )
    keys = ["order_month", "market", "department_id", "product_category_id"]
    values = ["order_items", "orders", "units", "sales", "discount", "revenue", "profit"]
    assert mart(platform, real, "sales_by_month", keys, values) == totals(expected)


def test_retention(platform: dict[str, str], real: dict[str, str], csv: pd.DataFrame) -> None:
    months = csv[["Customer Id", "month"]].drop_duplicates()
    months["cohort"] = months.groupby("Customer Id")["month"].transform("min")
    months["since"] = [(month - first).n for month, first in zip(months["month"], months["cohort"], strict=True)]
    expected = months.groupby(["cohort", "since"]).agg(customers=("Customer Id", "nunique"))
    keys = ["cohort_month", "months_since_first_order"]
    assert mart(platform, real, "customer_retention_by_cohort", keys, ["customers"]) == totals(expected)


def test_delivery(platform: dict[str, str], real: dict[str, str], csv: pd.DataFrame) -> None:
    orders = csv.drop_duplicates("Order Id").assign(
        late=lambda each: each["Delivery Status"] == "Late delivery",
        canceled=lambda each: each["Delivery Status"] == "Shipping canceled",
        days=lambda each: each["days late"].where(each["Delivery Status"] == "Late delivery", 0),
    )
    expected = orders.groupby(["month", "Order Region", "Shipping Mode"]).agg(
        shipments=("Order Id", "size"), late=("late", "sum"), canceled=("canceled", "sum"), days=("days", "sum")
    )
    keys = ["order_month", "order_region", "shipping_mode"]
    values = ["shipments", "late_shipments", "canceled_shipments", "days_late"]
    assert mart(platform, real, "delivery_performance_by_month", keys, values) == totals(expected)


def test_order_value(platform: dict[str, str], real: dict[str, str], csv: pd.DataFrame) -> None:
    csv["open"] = csv["Order Status"].isin(OPEN)
    expected = csv.groupby(["month", "Market", "Order Status", "open"]).agg(
        items=("Order Item Id", "size"), orders=("Order Id", "nunique"), revenue=("Order Item Total", "sum")
    )
    keys = ["order_month", "market", "order_status", "is_open"]
    values = ["order_items", "orders", "revenue"]
    assert mart(platform, real, "order_value_by_status", keys, values) == totals(expected)


def test_suspected_fraud(platform: dict[str, str], real: dict[str, str], csv: pd.DataFrame) -> None:
    suspected = csv["Order Status"] == "SUSPECTED_FRAUD"
    rows = csv.assign(suspected=suspected, value=csv["Order Item Total"].where(suspected, 0))
    expected = rows.groupby(["Market", "Customer Segment"]).agg(
        items=("Order Item Id", "size"),
        suspected=("suspected", "sum"),
        revenue=("Order Item Total", "sum"),
        value=("value", "sum"),
    )
    values = ["order_items", "suspected_order_items", "revenue", "suspected_revenue"]
    found = mart(platform, real, "suspected_fraud_by_segment", ["market", "customer_segment"], values)
    assert found == totals(expected)


def test_demand(platform: dict[str, str], real: dict[str, str], csv: pd.DataFrame) -> None:
    expected = csv.groupby(["month", "Product Card Id"]).agg(
        units=("Order Item Quantity", "sum"),
        discount=("Order Item Discount", "sum"),
        revenue=("Order Item Total", "sum"),
    )
    expected["rank"] = expected.groupby("month")["revenue"].rank(method="min", ascending=False)
    values = ["units", "discount", "revenue", "revenue_rank"]
    found = mart(platform, real, "product_demand_by_month", ["order_month", "product_card_id"], values)
    assert found == totals(expected)
    changes = client(platform).query_and_wait(
        f"select order_month, product_card_id, units_change from {real['WAREHOUSE_DATASET']}.product_demand_by_month"
    )
    units = expected["units"].to_dict()
    first = csv["month"].min()
    for row in changes:
        month = pd.Period(row.order_month, "M")
        before = units.get((month - 1, row.product_card_id), 0)
        assert row.units_change == (None if month == first else units[(month, row.product_card_id)] - before)
