"""The contract of a raw event: what each field must be, and what must hold between fields.

A rule is broken where its condition is true; unknown (NULL) is not broken, since a missing value has a rule of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as f

from gcs_export_pipeline import declaration, transforms
from gcs_export_pipeline.config import digest

#: Rows that break a QUARANTINE rule are set aside; those that break a WARN rule go on and are counted.
QUARANTINE, WARN = "quarantine", "warn"


@dataclass(frozen=True)
class Rule:
    """A named condition, in Spark SQL over the typed fields and the raw structs, that no good row meets."""

    name: str
    broken: str
    severity: str = QUARANTINE


BETWEEN_FIELDS = (
    Rule("shipping_date is before order_date", "shipping_date < order_date"),
    Rule("order_item_total is not sales - discount", "abs(order_item_total - (sales - order_item_discount)) > 0.0101"),
    Rule("sales is not price x quantity", "abs(sales - order_item_product_price * order_item_quantity) > 0.0101"),
    Rule(
        "days_for_shipping_real is not shipping_date - order_date",
        "days_for_shipping_real <> datediff(shipping_date, order_date)",
    ),
    Rule(
        "delivery_status does not follow from order_status and days",
        """delivery_status <> case
             when order_status in ('CANCELED', 'SUSPECTED_FRAUD') then 'Shipping canceled'
             when days_for_shipping_real > days_for_shipment_scheduled then 'Late delivery'
             when days_for_shipping_real < days_for_shipment_scheduled then 'Advance shipping'
             else 'Shipping on time' end""",
    ),
    Rule("order_customer_id is not customer_id", "order_customer_id <> customer_id"),
    Rule("Order Item Cardprod Id is not product_card_id", "data.`Order Item Cardprod Id` <> product_card_id"),
    Rule("Category Id is not product_category_id", "data.`Category Id` <> product_category_id"),
    Rule("order_item_product_price is not product_price", "order_item_product_price <> product_price"),
    Rule("sales_per_customer is not order_item_total", "sales_per_customer <> order_item_total"),
    Rule(
        "Benefit per order is not order_profit_per_order",
        "abs(data.`Benefit per order` - cast(order_profit_per_order as double)) > 0.0101",
    ),
    Rule(
        "order_item_profit_ratio is not profit / total",
        "abs(order_item_profit_ratio - try_divide(order_profit_per_order, order_item_total)) > 0.0052",
        WARN,
    ),
)


def _rules_of_field(source: str, field: declaration.Field) -> list[Rule]:
    raw, typed = f"{source}.`{field.raw}`", f"`{field.name}`"
    given = f"{raw} is not null and trim(cast({raw} as string)) <> ''"
    rules = [Rule(f"{field.name} is not a {field.type}", f"{typed} is null and {given}")]
    if field.required:
        rules.append(Rule(f"{field.name} is missing", f"not ({given})"))
    if field.values:
        allowed = ", ".join(repr(value) for value in field.values)
        rules.append(Rule(f"{field.name} is not an allowed value", f"{typed} not in ({allowed})"))
    compared = f"cast({typed} as date)" if field.type == "TIMESTAMP" else typed
    if field.min is not None:
        rules.append(Rule(f"{field.name} is below {field.min}", f"{compared} < {_literal(field.min)}"))
    if field.max is not None:
        rules.append(Rule(f"{field.name} is above {field.max}", f"{compared} > {_literal(field.max)}"))
    return rules


def _literal(value: int | date) -> str:
    return f"date '{value}'" if isinstance(value, date) else str(value)


@cache
def rules() -> tuple[Rule, ...]:
    """Every rule: those that follow from the declaration of each field, then those between fields."""
    of_fields = [rule for source, field in declaration.fields() for rule in _rules_of_field(source, field)]
    return (*of_fields, *BETWEEN_FIELDS)


@cache
def version() -> str:
    """A name for the contract as it is: an hour that another one judged may come out differently now."""
    judged = [[rule.name, rule.broken, rule.severity] for rule in rules()]
    return digest([judged, declaration.raw_event()])


def broken(severity: str) -> Column:
    """An array of the names of the rules of `severity` that a row breaks; empty for a good row."""
    names = [f.when(f.expr(rule.broken), f.lit(rule.name)) for rule in rules() if rule.severity == severity]
    return f.array_compact(f.array(*names))


def check(events: DataFrame) -> DataFrame:
    """Add `reasons` (quarantine) and `warnings` to events that carry typed fields and the raw structs.

    An event whose position was used before in the hour with another payload breaks the contract as well.
    """
    none = f.array().cast("array<string>")
    reused = f.when(f.col("delivery") == "reused", f.array(f.lit("offset reused with another payload"))).otherwise(none)
    judged = f.col("delivery").isin("first", "reused")  # what was judged once is not counted again
    return events.withColumn(
        "reasons", f.when(judged, f.concat(broken(QUARANTINE), reused)).otherwise(none)
    ).withColumn("warnings", f.when(judged, broken(WARN)).otherwise(none))


def check_events(raw: DataFrame) -> DataFrame:
    """Raw events with their delivery, typed fields, reasons and warnings: everything that is decided of a row."""
    return check(transforms.type_fields(transforms.mark_deliveries(raw)))


def outcome() -> Column:
    """What became of a checked row: duplicate, quarantined or valid. What a correction replaced is a duplicate."""
    return (
        f.when(f.col("delivery").isin("duplicate", "corrected"), "duplicates")
        .when(f.size("reasons") > 0, "quarantined")
        .otherwise("valid")
    )
