"""The proof that the gate works: defects put into the candidate one at a time, and the check that catches each.

A defect counts as caught where Great Expectations blocks, or, where it says nothing, a test of dbt fails. The table is
written to defects.md in BUILD_DIR, or where DEFECTS_TABLE says.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dbt.artifacts.schemas.run import RunExecutionResult
from dbt.cli.main import dbtRunner
from google.cloud import bigquery

from expectations import gate
from gcs_export_pipeline.config import Config
from tests.end_to_end.test_pipeline import deployment, succeed

Run = Callable[..., subprocess.CompletedProcess[str]]
PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"
ONE_HOUR = "ingest_hour = (select max(ingest_hour) from {t})"
ONE_CUSTOMER = "customer_id = (select min(customer_id) from {t} where not is_current)"

#: What goes wrong: the table, and the statement that does it, in which {t} is the table.
DEFECTS = {
    "a tenth of the customers is gone": ("dim_customer", "delete from {t} where mod(customer_id, 10) = 0"),
    "every department is gone": ("dim_department", "delete from {t} where true"),
    "one product is gone": (
        "dim_product",
        "delete from {t} where product_card_id = (select min(product_card_id) from {t})",
    ),
    "all of one category is gone": (
        "dim_product",
        "delete from {t} where category_name = (select min(category_name) from {t})",
    ),
    "the last hour is missing": ("dim_order", f"delete from {{t}} where {ONE_HOUR}"),
    "the events of the last hour are missing": ("dim_metadata", f"delete from {{t}} where {ONE_HOUR}"),
    "shipments are there twice": ("dim_shipping", "insert into {t} select * from {t}"),
    "one location is there twice": ("dim_location", "insert into {t} select * from {t} limit 1"),
    "facts are there twice": ("fct_order_item", "insert into {t} select * from {t}"),
    "one fact is missing": (
        "fct_order_item",
        "delete from {t} where order_item_id = (select max(order_item_id) from {t})",
    ),
    "a month of facts is missing": (
        "fct_order_item",
        "delete from {t} where date_trunc(order_day, month) = (select date_trunc(max(order_day), month) from {t})",
    ),
    "orders are a day late": (
        "dim_order",
        "update {t} set order_date = timestamp_add(order_date, interval 1 day) where true",
    ),
    "orders of facts are a year early": (
        "fct_order_item",
        "update {t} set order_day = date_sub(order_day, interval 365 day) where true",
    ),
    "first and last names are swapped": (
        "dim_customer",
        "update {t} set customer_fname = customer_lname, customer_lname = customer_fname where true",
    ),
    "latitude and longitude are swapped": (
        "dim_location",
        "update {t} set latitude = longitude, longitude = latitude where true",
    ),
    "sales and discount of facts are swapped": (
        "fct_order_item",
        "update {t} set sales = order_item_discount, order_item_discount = sales where true",
    ),
    "cities are cut to ten letters": (
        "dim_location",
        "update {t} set order_city = substr(order_city, 1, 10) where true",
    ),
    "product names have a space at the end": (
        "dim_product",
        "update {t} set product_name = concat(product_name, ' ') where true",
    ),
    "amounts are in cents": (
        "dim_order",
        "update {t} set sales = sales * 100, order_item_discount = order_item_discount * 100, "
        "order_item_total = order_item_total * 100 where true",
    ),
    "profit of facts is in cents": (
        "fct_order_item",
        "update {t} set order_profit_per_order = order_profit_per_order * 100 where true",
    ),
    "every order is complete": ("dim_order", "update {t} set order_status = 'COMPLETE' where true"),
    "nothing was late": (
        "dim_shipping",
        "update {t} set delivery_status = 'Shipping on time' where delivery_status = 'Late delivery'",
    ),
    "a market that nobody knows": ("dim_department", "update {t} set market = 'Mars' where market = 'Europe'"),
    "a quantity of zero": ("dim_order", "update {t} set order_item_quantity = 0 where order_item_id = 1"),
    "a version ends before the next begins": (
        "dim_customer",
        f"update {{t}} set valid_to = timestamp_sub(valid_to, interval 1 hour) where not is_current and {ONE_CUSTOMER}",
    ),
    "two current versions": ("dim_customer", f"update {{t}} set is_current = true where {ONE_CUSTOMER}"),
    "no current version": ("dim_customer", f"update {{t}} set is_current = false where {ONE_CUSTOMER}"),
    "old versions are gone": ("dim_customer", "delete from {t} where not is_current"),
    "old statuses are gone": ("fct_order_status", "delete from {t} where not is_current"),
    "facts of a customer that is not there": (
        "fct_order_item",
        "update {t} set customer_key = 'none' where order_item_id = 1",
    ),
    "facts of a product that is not there": (
        "fct_order_item",
        "update {t} set product_key = 'none' where order_item_id = 1",
    ),
    "facts of a location that is not there": (
        "fct_order_item",
        "update {t} set location_key = 'none' where order_item_id = 1",
    ),
    "no customer id": ("dim_customer", f"update {{t}} set customer_id = null where {ONE_CUSTOMER}"),
    "no product id": (
        "dim_product",
        "update {t} set product_card_id = null where product_card_id = (select min(product_card_id) from {t})",
    ),
    "no location key": (
        "dim_location",
        "update {t} set location_key = null where location_key = (select min(location_key) from {t})",
    ),
    "no order item id": ("dim_order", "update {t} set order_item_id = null where order_item_id = 1"),
    "no order id of a shipment": ("dim_shipping", "update {t} set order_id = null where order_id = 1"),
    "no key of a department": (
        "dim_department",
        "update {t} set department_market_key = null "
        "where department_market_key = (select min(department_market_key) from {t})",
    ),
    "no offset of an event": (
        "dim_metadata",
        "update {t} set offset = null where offset = (select min(offset) from {t})",
    ),
    "facts without their department": (
        "fct_order_item",
        "update {t} set department_market_key = null where order_item_id = 1",
    ),
}


@pytest.fixture(scope="module")
def built(platform: dict[str, str], run_module: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    """A deployment in which the pipeline has run once, and a copy of its candidate."""
    settings = deployment(platform, tmp_path_factory, "defects")
    succeed(run_module("events", "--rows", "2000", "--hours", "2", **settings))
    succeed(run_module("pipeline", **settings))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        patch.setenv("DBT_TARGET_PATH", f"{settings['BUILD_DIR']}/dbt")
        patch.setenv("DBT_LOG_PATH", f"{settings['BUILD_DIR']}/logs")
        config = Config.from_environment()
        client().create_dataset("defects_good")
        for table in {table for table, _ in DEFECTS.values()}:
            client().query_and_wait(f"create table defects_good.{table} clone {config.candidate}.{table}")
        yield config


def client() -> bigquery.Client:
    return bigquery.Client(project=os.environ["GOOGLE_CLOUD_PROJECT"], location="US")


def caught_by(config: Config, table: str) -> list[str]:
    """The blocking expectations that fail, or, where none does, the tests of dbt that fail."""
    findings = gate.run(config, {table, "fct_order_item"})
    blocking = [f"GX {each.table}: {each.expectation}" for each in findings if each.blocks]
    if blocking:
        assert not [each for each in findings if each.status == "error"], findings
        return blocking
    options = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--exclude-resource-type", "unit_test"]
    results = dbtRunner().invoke(["--quiet", "test", "--select", table, *options]).result
    assert isinstance(results, RunExecutionResult)
    return [f"dbt {each.node.name}" for each in results if each.status == "fail"]


def test_no_defect_passes(built: Config) -> None:
    assert [each for each in gate.run(built) if each.blocks] == []
    caught: dict[str, list[str]] = {}
    for defect, (table, statement) in DEFECTS.items():
        name = f"{built.candidate}.{table}"
        done = client().query(statement.format(t=name))
        done.result()
        assert done.num_dml_affected_rows, defect
        caught[defect] = caught_by(built, table)
        client().query_and_wait(f"create or replace table {name} clone defects_good.{table}")
    lines = ["| defect | in | caught by | and by |", "|---|---|---|---|"]
    for defect, checks in caught.items():
        first = checks[0] if checks else "nothing"
        lines.append(f"| {defect} | {DEFECTS[defect][0]} | {first} | {max(0, len(checks) - 1)} more |")
    target = Path(os.environ.get("DEFECTS_TABLE") or f"{os.environ['BUILD_DIR']}/defects.md")
    target.write_text("\n".join(lines) + "\n")
    assert [defect for defect, checks in caught.items() if not checks] == []
    assert len(caught) >= 25
