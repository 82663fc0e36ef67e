"""Make raw order events with the facts of the DataCo data, deterministic by seed.

Each order item is sent when it is ordered and, for some, again when its status changes. On top come what a stream
brings: duplicate deliveries, late arrivals, and broken rows; `make_events` says how many of each it put in.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

CATALOGUE = tomllib.loads((Path(__file__).parent / "catalogue.toml").read_text())
FIRST_DAY, DAYS = pd.Timestamp("2015-01-01"), 1127
ITEMS_PER_ORDER, ORDERS_PER_CUSTOMER, PRODUCTS_PER_CATEGORY = 2.745, 3.18, 3
DISCOUNT_RATES = [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 12, 13, 15, 16, 17, 18, 20, 25]  # percent
MASK = "XXXXXXXXX"

CHANGED, MOVED, RENAMED = 0.3, 0.05, 0.05  # shares of orders, customers and products that change over time
DUPLICATED, LATE, BROKEN = 0.01, 0.02, 0.005  # shares of events

Frame: TypeAlias = pd.DataFrame


@dataclass
class Made:
    """Events ready to be written, with `hour` (0, 1, ...) as the ingest hour, and what was put in."""

    events: Frame
    facts: dict[str, Any] = field(default_factory=dict)


def _draw(rng: np.random.Generator, shares: dict[str, float], n: int) -> np.ndarray:
    weights = np.array(list(shares.values()), dtype=float)
    return np.array(list(shares))[rng.choice(len(weights), n, p=weights / weights.sum())]


def make_products(rng: np.random.Generator) -> Frame:
    """One row per product, with its department and how often it is ordered there."""
    rows = []
    for department in CATALOGUE["department"]:
        for category_id, category, price in department["categories"]:
            for number in range(PRODUCTS_PER_CATEGORY):
                rows.append(
                    {
                        "Product Card Id": category_id * 20 + number,
                        "Product Category Id": category_id,
                        "Category Name": category,
                        "Product Name": f"{category.strip()} No. {number + 1}" + (" " if number == 2 else ""),
                        "Product Price": round(price * (1 + number / 4), 2),
                        "Department Id": department["id"],
                        "Department Name": department["name"],
                        "weight": department["weight"] / len(department["categories"]) * (0.7, 0.2, 0.1)[number],
                        "markets": department["markets"],
                    }
                )
    products = pd.DataFrame(rows)
    products["renamed"] = rng.random(len(products)) < RENAMED
    products["change_time"] = FIRST_DAY + pd.to_timedelta(rng.integers(200, 900, len(products)), unit="D")
    return products


def make_customers(rng: np.random.Generator, n: int) -> Frame:
    """One row per customer with the address before and after a move; a handful with the dirt of the real data."""
    people, homes = CATALOGUE["people"], CATALOGUE["home"]
    weights = np.array([home["weight"] for home in homes])

    def addresses(which: np.ndarray, prefix: str) -> dict[str, Any]:
        places = pd.DataFrame(
            [home["place"] for home in homes], columns=["City", "State", "Country", "Zipcode", "lat", "lon"]
        )
        chosen = places.iloc[which].reset_index(drop=True)
        number, name = rng.integers(1, 9999, n), rng.choice(people["streets"], n)
        gap = np.where(rng.random(n) < 0.03, "  ", " ")  # some streets carry double spaces
        street = pd.Series(number.astype(str)) + gap + name
        jitter = rng.normal(0, 0.05, (2, n))
        return {
            f"{prefix}City": chosen["City"],
            f"{prefix}State": chosen["State"],
            f"{prefix}Country": chosen["Country"],
            f"{prefix}Zipcode": chosen["Zipcode"],
            f"{prefix}Street": street,
            f"{prefix}Latitude": (chosen["lat"] + jitter[0]).round(8),
            f"{prefix}Longitude": (chosen["lon"] + jitter[1]).round(8),
        }

    here = rng.choice(len(homes), n, p=weights / weights.sum())
    customers = pd.DataFrame(
        {
            "Customer Id": np.arange(1, n + 1),
            "Customer Fname": np.where(rng.random(n) < 0.37, "Mary", rng.choice(people["first_names"], n)),
            "Customer Lname": np.where(rng.random(n) < 0.36, "Smith", rng.choice(people["last_names"], n)),
            "Customer Segment": _draw(rng, CATALOGUE["shares"]["segment"], n),
            **addresses(here, ""),
            **addresses((here + 1) % len(homes), "new "),
            "moved": rng.random(n) < MOVED,
            "change_time": FIRST_DAY + pd.to_timedelta(rng.integers(200, 900, n), unit="D"),
        }
    )
    nameless, shifted = customers.index[5:13], customers.index[20:23]
    customers.loc[nameless, "Customer Lname"] = None
    customers.loc[shifted, ["City", "State", "Zipcode", "moved"]] = ["CA", "95758", None, False]
    return customers


def make_orders(rng: np.random.Generator, n: int, customers: int) -> Frame:
    """One row per order: customer, destination, dates, shipping, and its first and last status."""
    regions = CATALOGUE["region"]
    places = pd.DataFrame(
        [
            {
                "Order City": place[0],
                "Order State": place[1],
                "Order Country": place[2],
                "Order Zipcode": place[3] if len(place) > 3 else None,
                "Order Region": region["name"],
                "Market": region["market"],
                "weight": region["weight"] / len(region["places"]),
            }
            for region in regions
            for place in region["places"]
        ]
    )
    chosen = rng.choice(len(places), n, p=places["weight"] / places["weight"].sum())
    orders = places.drop(columns="weight").iloc[chosen].reset_index(drop=True)
    orders["Order Id"] = np.arange(1, n + 1)
    # Every customer orders at least once; the rest of the orders fall to anyone.
    buyers = np.concatenate([np.arange(1, customers + 1), rng.integers(1, customers + 1, n - customers)])
    orders["Customer Id"] = rng.permutation(buyers)
    minutes = np.sort(rng.integers(0, DAYS * 1440, n))
    orders["ordered"] = FIRST_DAY + pd.to_timedelta(minutes, unit="min")
    mode = _draw(rng, CATALOGUE["shares"]["shipping_mode"], n)
    orders["Shipping Mode"] = mode
    real, scheduled = np.zeros(n, dtype=int), np.zeros(n, dtype=int)
    for name, days in CATALOGUE["shipping"].items():
        of_mode = mode == name
        scheduled[of_mode] = days["scheduled"]
        real[of_mode] = rng.choice(days["real"], of_mode.sum())
    orders["Days for shipping (real)"], orders["Days for shipment (scheduled)"] = real, scheduled
    orders["shipped"] = orders["ordered"] + pd.to_timedelta(real, unit="D")
    orders["last status"] = _draw(rng, CATALOGUE["shares"]["status"], n)
    settled = ~orders["last status"].isin(["PENDING", "PENDING_PAYMENT", "PROCESSING"])
    orders["changes"] = settled & (rng.random(n) < CHANGED / settled.mean())
    orders["first status"] = np.where(orders["changes"], "PENDING", orders["last status"])
    orders["change_time"] = orders["ordered"] + pd.to_timedelta(rng.integers(60, 60 * 72, n), unit="min")
    return orders


def make_items(rng: np.random.Generator, n: int, orders: Frame, products: Frame) -> Frame:
    """One row per order item: order, product and money, in cents that went through a 32-bit float."""
    # Every order has an item; the rest fall to anyone.
    order = np.concatenate([np.arange(len(orders)), rng.integers(0, len(orders), n - len(orders))])
    order.sort()
    items = pd.DataFrame({"order": order})
    market = orders["Market"].to_numpy()[order]
    product = np.zeros(n, dtype=int)
    for name in np.unique(market):
        sold = products.index[[name in markets for markets in products["markets"]]]
        weights = products.loc[sold, "weight"].to_numpy()
        product[market == name] = rng.choice(sold, (market == name).sum(), p=weights / weights.sum())
    items["product"] = product
    items["Order Item Id"] = np.arange(1, n + 1)
    cents = np.rint(products["Product Price"].to_numpy()[product] * 100).astype(int)
    quantity = _draw(rng, CATALOGUE["shares"]["quantity"], n).astype(int)
    rate = rng.choice(DISCOUNT_RATES, n)
    ratio = np.where(rng.random(n) < 0.19, -rng.gamma(1.2, 40, n), rng.integers(1, 51, n)).round().clip(-275, 50)
    sales = cents * quantity
    discount = np.rint(sales * rate / 100).astype(int)
    total = sales - discount
    profit = np.rint(total * ratio / 100).astype(int)
    items["Order Item Quantity"] = quantity
    money = {
        "Order Item Product Price": cents,
        "Product Price": cents,
        "Sales": sales,
        "Order Item Discount": discount,
        "Order Item Total": total,
        "Sales per customer": total,
        "Order Profit Per Order": profit,
        "Benefit per order": profit,
        "Order Item Discount Rate": rate,
        "Order Item Profit Ratio": ratio,
    }
    for name, values in money.items():
        items[name] = (values / 100).astype(np.float32).astype(np.float64)
    return items


def assemble(items: Frame, orders: Frame, customers: Frame, products: Frame) -> Frame:
    """The events of each item, in event time: at the order, and at the change of its status."""
    order = orders.iloc[items["order"]].reset_index(drop=True)
    joined = pd.concat([items, order.drop(columns=["change_time"])], axis=1)
    joined["Order Status"], joined["time"] = order["first status"], order["ordered"]
    again = joined[order["changes"].to_numpy()].copy()
    again["Order Status"], again["time"] = again["last status"], order.loc[again.index, "change_time"]
    events = pd.concat([joined, again], ignore_index=True)
    # Items of one order are sent one after the other, a second apart.
    events["time"] += pd.to_timedelta(events["Order Item Id"] % 50 + 1, unit="s")

    customer = customers.iloc[events["Customer Id"] - 1].reset_index(drop=True)
    moved = customer["moved"].to_numpy(dtype=bool) & (events["time"] >= customer["change_time"]).to_numpy()
    for name in ("City", "State", "Country", "Zipcode", "Street", "Latitude", "Longitude"):
        to = name if name in ("Latitude", "Longitude") else f"Customer {name}"
        events[to] = np.where(moved, customer[f"new {name}"], customer[name])
    for name in ("Customer Fname", "Customer Lname", "Customer Segment"):
        events[name] = customer[name]

    product = products.iloc[events["product"]].reset_index(drop=True)
    for name in ("Product Card Id", "Product Category Id", "Category Name", "Department Id", "Department Name"):
        events[name] = product[name]
    renamed = product["renamed"].to_numpy() & (events["time"] >= product["change_time"]).to_numpy()
    events["Product Name"] = np.where(renamed, product["Product Name"].str.strip() + " (new)", product["Product Name"])
    events["Product Image"] = "http://images.acmesports.sports/" + product["Product Name"].str.replace(" ", "+")

    canceled = events["Order Status"].isin(["CANCELED", "SUSPECTED_FRAUD"])
    late = events["Days for shipping (real)"] - events["Days for shipment (scheduled)"]
    running = np.select([late > 0, late < 0], ["Late delivery", "Advance shipping"], "Shipping on time")
    events["Delivery Status"] = np.where(canceled, "Shipping canceled", running)
    events["Late_delivery_risk"] = (events["Delivery Status"] == "Late delivery").astype(int)
    events["Type"] = events["last status"].map(CATALOGUE["payment"])
    events["Order Customer Id"] = events["Customer Id"]
    events["Order Item Cardprod Id"] = events["Product Card Id"]
    events["Category Id"] = events["Product Category Id"]
    events["Customer Email"] = events["Customer Password"] = MASK
    events["Product Description"], events["Product Status"] = None, 0
    events["order date (DateOrders)"] = _raw_date(events["ordered"])
    events["shipping date (DateOrders)"] = _raw_date(events["shipped"])
    return events.sort_values("time", kind="stable", ignore_index=True)


def _raw_date(times: pd.Series) -> pd.Series:
    """Dates as the producer writes them: 1/31/2018 9:05."""
    parts = times.dt
    day = parts.month.astype(str) + "/" + parts.day.astype(str) + "/" + parts.year.astype(str)
    return day + " " + parts.hour.astype(str) + ":" + parts.minute.astype(str).str.zfill(2)


#: How a row can be broken: the reason that the contract gives, and the fields that are overwritten.
DAMAGE: dict[str, dict[str, Any]] = {
    "customer_id is missing": {"Customer Id": None},
    "order_date is not a TIMESTAMP": {"order date (DateOrders)": "2/30/2017 10:00"},
    "order_status is not an allowed value": {"Order Status": "LOST"},
    "order_item_quantity is below 1": {"Order Item Quantity": 0},
    "order_item_total is not sales - discount": {"Order Item Total": 999999.0},
    "shipping_date is before order_date": {"shipping date (DateOrders)": "1/1/2010 0:00"},
}


def add_stream_faults(rng: np.random.Generator, events: Frame, hours: int, first_offset: int) -> Made:
    """Give events their position and ingest hour, and put duplicates, late arrivals and broken rows among them.

    A broken row is an event of its own, beside the good one that it was copied from; a duplicate comes in its event's
    hour or, where there is one, in a later one.
    """
    broken = events.sample(round(len(events) * BROKEN), random_state=rng).copy()
    reasons = list(DAMAGE)
    broken["broken"] = [reasons[i % len(reasons)] for i in range(len(broken))]
    for reason, damage in DAMAGE.items():
        for name, value in damage.items():
            broken.loc[broken["broken"] == reason, name] = value
    events = pd.concat([events, broken], ignore_index=True).sort_values("time", kind="stable", ignore_index=True)
    events["partition"] = (events["Order Id"] % 4).astype(np.int32)
    events["offset"] = first_offset + events.groupby("partition").cumcount()
    events["key"] = events["Order Id"].astype(str)
    events["topic"] = "orders"

    n = len(events)
    events["hour"] = np.arange(n) * hours // n
    late = (rng.random(n) < LATE) & (events["hour"] < hours - 1)
    events.loc[late, "hour"] = rng.integers(events.loc[late, "hour"] + 1, hours)
    again = events.sample(round(n * DUPLICATED), random_state=rng).copy()
    later = rng.random(len(again)) < 0.5
    first_hour = again["hour"].to_numpy()
    again["hour"] = np.where(later, rng.integers(first_hour, hours), first_hour)
    delivered = pd.concat([events, again], ignore_index=True)
    # Out of order within an hour, as partitions are consumed in turns.
    delivered = delivered.iloc[rng.permutation(len(delivered))].sort_values("hour", kind="stable", ignore_index=True)
    # Within an hour the first delivery counts; what it leaves is valid or quarantined, hour by hour.
    position = ["partition", "offset"]
    first = delivered.drop_duplicates(["hour", *position])
    valid = first[first["broken"].isna()]
    facts = {
        "raw": len(delivered),
        "valid": len(valid),
        "quarantined": len(first) - len(valid),
        "duplicates": len(delivered) - len(first),
        "duplicates_in_later_hours": len(valid) - len(valid.drop_duplicates(position)),
        "late": int(late.sum()),
        "broken": first["broken"].value_counts().to_dict(),
    }
    return Made(delivered, facts)


def make_events(rows: int, seed: int, hours: int, first_offset: int = 0, first_id: int = 1) -> Made:
    """Make the events of `rows` order items over `hours` ingest hours, and the facts that a run can be checked by.

    Orders and order items are numbered from `first_id`, offsets from `first_offset`, so that events made later are of
    other orders; customers and products are the same ones again.

    The facts count what good events hold: distinct keys of each dimension, and events by kind.
    """
    rng = np.random.default_rng(seed)
    n_orders = max(1, round(rows / ITEMS_PER_ORDER))
    n_customers = min(n_orders, max(30, round(n_orders / ORDERS_PER_CUSTOMER)))
    products, customers = make_products(rng), make_customers(rng, max(30, n_customers))
    orders = make_orders(rng, n_orders, n_customers)
    items = make_items(rng, rows, orders, products)
    orders["Order Id"] += first_id - 1
    items["Order Item Id"] += first_id - 1
    events = assemble(items, orders, customers, products)
    made = add_stream_faults(rng, events, hours, first_offset)
    place = ["Order Zipcode", "Order City", "Order State", "Order Region", "Order Country", "Latitude", "Longitude"]
    keys = {
        "customer": ["Customer Id"],
        "product": ["Product Card Id"],
        "location": place,
        "order": ["Order Item Id"],
        "shipping": ["Order Id"],
        "department": ["Department Id", "Market"],
    }
    distinct = {name: len(events[columns].drop_duplicates()) for name, columns in keys.items()}
    # A customer moves once and a product is renamed once: where events tell both sides, there are two versions.
    versions = {
        "customer_versions": len(events[["Customer Id", "Customer Street", "Customer City"]].drop_duplicates()),
        "product_versions": len(events[["Product Card Id", "Product Name"]].drop_duplicates()),
    }
    made.facts = {
        "rows": rows,
        "seed": seed,
        "hours": hours,
        "next_id": first_id + rows,
        "events": len(events),
        "status_changes": len(events) - rows,
        "moved_customers": int(customers["moved"].sum()),
        "renamed_products": int(products["renamed"].sum()),
        **versions,
        **made.facts,
        "distinct": distinct | {"metadata": len(events)},
    }
    return made
