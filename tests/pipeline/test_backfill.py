from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from gcs_export_pipeline.config import Config, hour_name
from pipeline import backfill
from tests.spark.raw_rows import HOUR


def test_steps_cover_the_range_and_leave_out_what_is_empty() -> None:
    raw = [HOUR, HOUR + timedelta(days=5, hours=3)]
    day = timedelta(days=1)
    assert backfill.steps(raw, HOUR, HOUR + 7 * day, 2) == [
        (HOUR, HOUR + 2 * day),
        (HOUR + 4 * day, HOUR + 6 * day),
    ]
    assert backfill.steps(raw, HOUR, HOUR + timedelta(hours=1), 31) == [(HOUR, HOUR + timedelta(hours=1))]


def test_a_backfill_goes_on_where_it_stopped(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCS_BUCKET", bucket.name)
    for day in range(3):
        bucket.blob(f"raw_streaming/{hour_name(HOUR + timedelta(days=day))}/a.parquet").upload_from_string(b"x")
    ran: list[tuple[str, ...]] = []

    def run(config: Config, run_id: str, start: str, end: str, only: tuple[str, ...]) -> int:
        ran.append((start, *only))
        return int(len(ran) == 2)

    monkeypatch.setattr(backfill, "run", run)
    arguments = (Config.from_environment(), HOUR, HOUR + timedelta(days=3), 1)
    build = ("dimensions", "load", "transform")
    assert backfill.backfill(*arguments) == 1
    assert ran == [("2026-01-03T00", *build), ("2026-01-04T00", *build)]
    ran[:] = [("stopped",), ("here",)]
    assert backfill.backfill(*arguments) == 0
    assert ran[2:] == [("2026-01-04T00", *build), ("2026-01-05T00", *build), ("", "quality", "publish")]
    assert not list(bucket.list_blobs(prefix="backfills/"))
