from __future__ import annotations

import pytest

from pipeline.summary import Counts, Summary

HOUR = "20260103T00"
EVENTS = {"raw": 9, "valid": 5, "quarantined": 0, "duplicates": 4}
COUNTS = {"parquet": 5, "staging": 5, "keys": 3, "found": 3, "latest": 2, "supported": 2}
TABLES = {"candidate": 7, "published": 7}


def counted(events: dict[str, int], counts: dict[str, int], tables: dict[str, int]) -> Summary:
    dimensions = {"metadata": {HOUR: Counts(**(COUNTS | counts))}}
    return Summary({HOUR: EVENTS | events}, {}, dimensions, {}, {"metadata": TABLES | tables})


@pytest.mark.parametrize(
    ("events", "counts", "tables", "said"),
    [
        ({"raw": 10}, {}, {}, f"{HOUR}: raw events are not valid"),
        ({}, {"parquet": 6}, {}, "6 rows in Parquet, 5 in staging: `make load FROM=2026-01-03T00 TO=2026-01-03T01`"),
        ({}, {"found": 2}, {}, "metadata 20260103T00: 3 keys in staging, 2 of them in dim_metadata"),
        ({}, {"latest": 3}, {}, "3 rows of dim_metadata come from the hour, staging holds 2 of their keys"),
        ({}, {}, {"published": 6}, "7 rows checked, 6 published"),
        ({"valid": 6, "duplicates": 3}, {}, {}, "6 valid events, 5 in staging.metadata"),
    ],
)
def test_sums_that_do_not_hold_are_named(
    events: dict[str, int], counts: dict[str, int], tables: dict[str, int], said: str
) -> None:
    assert counted({}, {}, {}).problems == []
    (problem,) = counted(events, counts, tables).problems
    assert said in problem


def test_what_should_not_pass_unseen_is_a_warning() -> None:
    assert counted({}, {}, {}).warnings == []
    (broken,) = counted({"duplicates": 0, "quarantined": 4}, {}, {}).warnings
    assert "4 of 9 events are in quarantine" in broken
    (reused,) = counted({}, {"reused": 2}, {}).warnings
    assert "2 events have the position of another hour's event and other content" in reused
