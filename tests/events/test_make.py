from __future__ import annotations

import pandas as pd
import pytest

from events.make import make_events


@pytest.fixture(scope="module")
def made() -> object:
    return make_events(rows=8000, seed=3, hours=5)


def good(made: object) -> pd.DataFrame:
    events = made.events  # type: ignore[attr-defined]
    return events[events["broken"].isna()].drop_duplicates(["partition", "offset"])


def test_a_seed_makes_the_same_events() -> None:
    first, again, other = (make_events(rows=300, seed=seed, hours=3).events for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert not first["Sales"].equals(other["Sales"])


def test_the_facts_are_those_of_the_events(made: object) -> None:
    facts, events = made.facts, made.events  # type: ignore[attr-defined]
    assert facts["raw"] == len(events) == facts["valid"] + facts["quarantined"] + facts["duplicates"]
    assert facts["valid"] - facts["duplicates_in_later_hours"] == facts["events"] == len(good(made))
    assert facts["distinct"]["order"] == facts["rows"] == 8000
    assert facts["distinct"]["department"] == 38
    assert min(facts[name] for name in ("duplicates", "late", "quarantined", "status_changes", "moved_customers")) > 0
    assert sorted(events["hour"].unique()) == [0, 1, 2, 3, 4]


def test_events_made_later_are_of_other_orders() -> None:
    first = make_events(rows=300, seed=1, hours=2)
    later = make_events(rows=300, seed=2, hours=2, first_offset=10**6, first_id=first.facts["next_id"]).events
    for name in ("Order Id", "Order Item Id", "offset"):
        assert not set(first.events[name]) & set(later[name]), name
    assert set(first.events["Customer Id"].dropna()) & set(later["Customer Id"].dropna())


def test_keys_determine_what_they_determine_in_the_real_data(made: object) -> None:
    events = good(made)
    per_order = events.groupby("Order Id")[["Customer Id", "order date (DateOrders)", "Order City", "Shipping Mode"]]
    assert (per_order.nunique(dropna=False) == 1).all().all()
    assert (events["Product Price"] == events["Order Item Product Price"]).all()
    assert (events.groupby("Department Id")["Market"].nunique() > 1).all()
    assert events.groupby("Category Name")["Category Id"].nunique()["Electronics"] == 2


def test_shares_are_those_of_the_real_data(made: object) -> None:
    items = good(made).drop_duplicates("Order Item Id", keep="last")
    assert (items["last status"] == "COMPLETE").mean() == pytest.approx(59491 / 180519, abs=0.04)
    assert (items["Delivery Status"] == "Late delivery").mean() == pytest.approx(98977 / 180519, abs=0.04)
    assert items["Order Zipcode"].isna().mean() == pytest.approx(0.86, abs=0.04)


def test_dirt_is_there(made: object) -> None:
    events = good(made)
    assert events["Order Region"].str.endswith(" ").any()
    assert events["Customer Street"].str.contains("  ").any()
    assert events["Customer Lname"].isna().any()
    assert (events["Customer State"] == "95758").any()
    assert (events["Customer Zipcode"].dropna().str.len() < 5).any()
