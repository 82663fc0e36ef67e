"""The suites, one a table: what dbt's tests of single rows do not say.

Severity `critical` blocks publishing, `warning` is reported. dbt tests keys, nulls, references and accepted values of
rows; here stand volumes, shares, ranges that hold for the whole, and agreement between tables.
"""

from __future__ import annotations

from dataclasses import dataclass

import great_expectations.expectations as gxe
from great_expectations.expectations.expectation import Expectation

from gcs_export_pipeline import declaration
from gcs_export_pipeline.config import Config

#: A table may lose so large a share of what is published, as corrections and replays take rows away; more is a loss.
MAY_SHRINK = 0.01
#: A table that grows to so many times what is published was loaded anew, or doubled.
MAY_GROW = 3


@dataclass(frozen=True)
class Built:
    """What is known of the candidate from the run that built it."""

    #: Rows by dimension when dbt was through and keys had been compared with staging.
    rows: dict[str, int]
    #: The ingest hours that the run brought in, as [start, end).
    changed: list[list[str]]
    #: Rows by dimension that analysts see; empty before the first publication.
    published: dict[str, int]


def suites(config: Config, built: Built) -> dict[str, list[Expectation]]:
    """Expectations by table of the candidate dataset."""
    special = {
        "customer": _customer(),
        "product": _product(),
        "location": _location(),
        "order": _order(config),
        "shipping": _shipping(),
        "department": _department(),
        "metadata": _metadata(config),
    }
    every = {
        f"dim_{name}": _every(config, dimension, built) + special[name]
        for name, dimension in declaration.dimensions().items()
    }
    return every | {"fct_order_item": _facts(config)}


def _rows(description: str, query: str, severity: str = "critical") -> Expectation:
    """Fails with the rows that `query` over {batch} returns."""
    return gxe.UnexpectedRowsExpectation(description=description, unexpected_rows_query=query, severity=severity)


def _every(config: Config, dimension: declaration.Dimension, built: Built) -> list[Expectation]:
    """What every dimension promises: it is not empty, its key is one, its rows are those that were counted.

    They were counted when, hour by hour, the keys of staging had been found in the dimension and the other way round.
    Rows of the hours that the run brought in are compared with staging, value for value; to compare all would cost all
    of history in every run.
    """
    counted, published = built.rows[dimension.name], built.published.get(dimension.name)
    key = ", ".join(f"`{name}`" for name in dimension.key)
    latest = "where is_current " if dimension.history else ""
    return [
        gxe.ExpectTableRowCountToBeBetween(min_value=1, severity="critical"),
        gxe.ExpectTableRowCountToEqual(
            value=counted, severity="critical", description=f"rows are the {counted:,} that agreed with staging"
        ),
        _rows(
            "no key has two current rows" if dimension.history else "no key occurs twice",
            f"select {key}, count(*) as occurrences from {{batch}} {latest}group by {key} having count(*) > 1",
        ),
        _rows("every row says what staging says", _not_in_staging(config, dimension, built.changed)),
        *(_volume(published) if published else []),
    ]


def _not_in_staging(config: Config, dimension: declaration.Dimension, changed: list[list[str]]) -> str:
    """SQL for the rows of the changed hours whose values no row of staging has in the same hour."""
    in_changed = [f"(ingest_hour >= timestamp '{start}' and ingest_hour < timestamp '{end}')" for start, end in changed]
    condition = " or ".join(in_changed) or "false"
    key = ", ".join(f"built.`{name}`" for name in dimension.key)
    same = " and ".join(f"staged.`{each.name}` is not distinct from built.`{each.name}`" for each in dimension.fields)
    return (
        f"with built as (select * from {{batch}} where {condition}), "
        f"staged as (select * from `{config.project}.{config.staging}.{dimension.name}` where {condition}) "
        f"select {key}, built.ingest_hour from built left join staged on staged.ingest_hour = built.ingest_hour "
        f"and {same} where staged.ingest_hour is null"
    )


def _volume(published: int) -> list[Expectation]:
    """What the rows that analysts see say about how many there may be."""
    return [
        gxe.ExpectTableRowCountToBeBetween(
            min_value=int(published * (1 - MAY_SHRINK)),
            severity="critical",
            description=f"no history was lost: {published:,} rows are published",
        ),
        gxe.ExpectTableRowCountToBeBetween(
            max_value=published * MAY_GROW,
            severity="warning",
            description=f"rows did not multiply: {published:,} are published",
        ),
    ]


def _customer() -> list[Expectation]:
    return [
        gxe.ExpectColumnValuesToNotBeNull(column="customer_lname", mostly=0.95, severity="warning"),
        gxe.ExpectColumnValuesToMatchRegex(column="customer_zipcode", regex=r"^[0-9]{5}$", severity="critical"),
        gxe.ExpectColumnValuesToMatchRegex(
            column="customer_state", regex=r"^[A-Z]{2}$", mostly=0.99, severity="warning"
        ),
        _share("customer_segment = 'Consumer'", 0.4, 0.65, "consumers are about half of the customers (0.52)"),
    ]


def _product() -> list[Expectation]:
    return [
        gxe.ExpectColumnValuesToBeBetween(column="product_price", min_value=0.01, max_value=5_000, severity="critical"),
        gxe.ExpectColumnUniqueValueCountToBeBetween(
            column="product_category_id", min_value=10, max_value=200, severity="warning"
        ),
        _rows(
            "a category has one name",
            "select product_category_id, count(distinct category_name) as names from {batch} "
            "group by product_category_id having count(distinct category_name) > 1",
        ),
    ]


def _location() -> list[Expectation]:
    return [
        gxe.ExpectColumnUniqueValueCountToBeBetween(
            column="order_region", min_value=5, max_value=30, severity="warning"
        ),
        _rows(
            "only US destinations have a zip code",
            "select order_country, order_zipcode from {batch} "
            "where order_zipcode is not null and order_country <> 'Estados Unidos'",
            "warning",
        ),
    ]


def _order(config: Config) -> list[Expectation]:
    candidate = f"{config.project}.{config.candidate}"
    return [
        _rows(
            "no order lies in the future",
            "select order_item_id, order_date from {batch} where order_date > current_timestamp()",
        ),
        gxe.ExpectColumnMinToBeBetween(column="order_item_quantity", min_value=1, severity="critical"),
        gxe.ExpectColumnMeanToBeBetween(column="order_item_total", min_value=50, max_value=500, severity="warning"),
        gxe.ExpectColumnValuesToBeBetween(
            column="order_item_profit_ratio", min_value=-3, max_value=1, severity="warning"
        ),
        _rows(
            "totals add up: sales - discount = total, to a cent a row",
            "select * from (select sum(sales) - sum(order_item_discount) as expected, sum(order_item_total) as found, "
            "count(*) as row_count from {batch}) as sums where abs(expected - found) > 0.0101 * row_count",
        ),
        _rows(
            "every customer has ordered, and every order has its customer",
            f"select customer_id, order_customer_id from `{candidate}.dim_customer` as customer full outer join "
            "(select distinct order_customer_id from {batch}) as orders on customer_id = order_customer_id "
            "where customer_id is null or order_customer_id is null",
        ),
        _rows(
            "every product was ordered, and every order item has its product",
            f"select product.product_card_id as product, items.product_card_id as ordered "
            f"from `{candidate}.dim_product` "
            "as product full outer join (select distinct product_card_id from {batch}) as items "
            "on product.product_card_id = items.product_card_id "
            "where product.product_card_id is null or items.product_card_id is null",
        ),
        _rows(
            "every order has its shipment, and every shipment its order",
            f"select shipping.order_id as shipped, orders.order_id as ordered "
            f"from `{candidate}.dim_shipping` as shipping "
            "full outer join (select distinct order_id from {batch}) as orders on shipping.order_id = orders.order_id "
            "where shipping.order_id is null or orders.order_id is null",
        ),
        _share("order_status = 'COMPLETE'", 0.25, 0.45, "complete orders are about a third (0.33)"),
    ]


def _shipping() -> list[Expectation]:
    return [
        _share("delivery_status = 'Late delivery'", 0.45, 0.65, "late shipments are about 0.55 of all"),
        gxe.ExpectColumnValuesToBeBetween(
            column="days_for_shipping_real", min_value=0, max_value=30, severity="critical"
        ),
    ]


def _department() -> list[Expectation]:
    return [
        _rows(
            "a department has one name",
            "select department_id, count(distinct department_name) as names from {batch} "
            "group by department_id having count(distinct department_name) > 1",
        ),
        gxe.ExpectColumnDistinctValuesToContainSet(column="market", value_set=["Europe", "LATAM"], severity="warning"),
    ]


def _metadata(config: Config) -> list[Expectation]:
    return [
        _rows(
            "there are at least as many events as order items",
            "select * from (select (select count(*) from {batch}) as events, "
            f"(select count(*) from `{config.project}.{config.candidate}.dim_order`) as items) as counts "
            "where events < items",
        ),
        _rows(
            "no event lies in the future",
            "select topic, `partition`, offset, time from {batch} where time > current_timestamp()",
        ),
    ]


def _facts(config: Config) -> list[Expectation]:
    keys = {
        "dim_customer": "customer_key",
        "dim_product": "product_key",
        "dim_location": "location_key",
        "dim_department": "department_market_key",
        "dim_shipping": "order_id",
        "dim_order": "order_item_id",
    }
    orphans = " union all ".join(
        f"select '{key}' as key_column, order_item_id from facts where not exists (select 1 from "
        f"`{config.project}.{config.candidate}.{name}` as dimension where dimension.{key} = facts.{key})"
        for name, key in keys.items()
    )
    return [
        _rows(
            "every fact has its row in every dimension, whenever it came",
            f"with facts as (select * from {{batch}}) {orphans}",
        ),
        gxe.ExpectTableRowCountToEqualOtherTable(other_table_name="dim_order", severity="critical"),
        _rows(
            "facts and order items agree in every sum, whatever the month",
            "select * from (select date_trunc(order_day, month) as order_month, sum(sales) as sales, "
            "sum(order_item_total) as revenue, sum(order_profit_per_order) as profit, "
            "sum(order_item_quantity) as units from {batch} group by order_month) as facts full outer join "
            "(select date_trunc(date(order_date), month) as order_month, sum(sales) as sales, "
            "sum(order_item_total) as revenue, sum(order_profit_per_order) as profit, "
            f"sum(order_item_quantity) as units from `{config.project}.{config.candidate}.dim_order` "
            "group by order_month) as items using (order_month) "
            "where coalesce(facts.sales <> items.sales or facts.revenue <> items.revenue "
            "or facts.profit <> items.profit or facts.units <> items.units, true)",
        ),
    ]


def _share(condition: str, low: float, high: float, description: str) -> Expectation:
    """Warns if the share of rows that meet the condition leaves [low, high]; blocks nothing, as a small table may."""
    return _rows(
        description,
        f"select share from (select countif({condition}) / count(*) as share from {{batch}}) as shares "
        f"where share < {low} or share > {high}",
        "warning",
    )
