from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.cloud import storage
from pyspark.sql import SparkSession

from events import raw_layout
from events.make import make_events
from gcs_export_pipeline import contract, hours, pipeline
from gcs_export_pipeline.config import ConfigError
from pipeline import quarantine
from tests.spark.raw_rows import HOUR


def test_each_reason_has_its_count_and_examples(
    spark: SparkSession, bucket: Any, run_module: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    assert "nothing is in quarantine" in run_module("pipeline.quarantine", GCS_BUCKET=bucket.name).stdout
    made = make_events(rows=2500, seed=2, hours=2)
    raw_layout.write(storage.Client(), bucket.name, made.events, HOUR, made.facts)
    record = pipeline.run(bucket.name, None, None, "run-1", lambda _: None)
    reasons = {reason.name: reason for reason in quarantine.collect(storage.Client(), bucket.name)}
    for name, rows in made.facts["broken"].items():
        assert reasons[name].rows >= rows > 0
        assert len(reasons[name].examples) == min(quarantine.EXAMPLES, reasons[name].rows)
    assert {value for _, _, value in reasons["order_status is not an allowed value"].examples} == {
        "order_status='LOST'"
    }
    assert sum(each["rows"]["quarantined"] for each in record["records"]) == made.facts["quarantined"]
    printed = run_module("pipeline.quarantine", GCS_BUCKET=bucket.name).stdout
    assert "order_date='2/30/2017 10:00'" in printed


def made_run(bucket: Any, run_id: str, **options: Any) -> dict[str, Any]:
    return pipeline.run(bucket.name, None, None, run_id, lambda _: None, **options)


def total(bucket: Any, name: str) -> int:
    return sum(record["rows"][name] for record in hours.read(storage.Client(), bucket.name).values())


@pytest.fixture
def broken(spark: SparkSession, bucket: Any) -> Any:
    """A bucket in which made events were processed, with rows in quarantine."""
    made = make_events(rows=1500, seed=3, hours=2)
    raw_layout.write(storage.Client(), bucket.name, made.events, HOUR, made.facts)
    made_run(bucket, "run-1")
    return bucket


def test_corrected_rows_replace_the_broken_ones(broken: Any, tmp_path: Path) -> None:
    client, file = storage.Client(), tmp_path / "rows.jsonl"
    valid, quarantined = total(broken, "valid"), total(broken, "quarantined")
    lost = quarantine.export(client, broken.name, file, "order_status is not an allowed value")
    assert 0 < lost < quarantined
    text = file.read_text().replace('"Order Status": "LOST"', '"Order Status": "PENDING"')
    file.write_text(text.replace('"Delivery Status": "Shipping canceled"', '"Delivery Status": "?"'))
    for name in quarantine.correct(client, broken.name, file):
        assert "/corrected-" in name
    assert quarantine.correct(client, broken.name, file) == []
    assert made_run(broken, "run-2")["hours"]
    mended = total(broken, "valid") - valid
    # One whose delivery status does not fit is still broken; nothing is lost, nothing counts twice.
    assert 0 < mended <= lost
    assert total(broken, "quarantined") == quarantined - mended
    assert total(broken, "raw") == sum(total(broken, name) for name in ("valid", "quarantined", "duplicates"))
    assert made_run(broken, "run-3")["hours"] == []


def test_a_correction_that_cannot_be_used_is_refused_as_a_whole(broken: Any, tmp_path: Path) -> None:
    client, file = storage.Client(), tmp_path / "rows.jsonl"
    quarantine.export(client, broken.name, file, "")
    line = file.read_text().splitlines()[0]
    row = json.loads(line)
    bad = {
        "line 2: data.Order Id is 'seven', declared int64": row | {"data": row["data"] | {"Order Id": "seven"}},
        "line 2: data.Colour is not declared": row | {"data": row["data"] | {"Colour": "red"}},
        "line 2: no row of hour 20260103T0": row | {"metadata": row["metadata"] | {"offset": 5}},
        "line 2: is not a JSON object": "oops",
    }
    for message, second in bad.items():
        file.write_text(line + "\n" + json.dumps(second))
        with pytest.raises(ConfigError, match=message):
            quarantine.correct(client, broken.name, file)
    assert not [blob for blob in broken.list_blobs(prefix="raw_streaming/") if "corrected-" in blob.name]


def test_a_changed_contract_judges_again_what_was_set_aside(broken: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    raw_layout.write(
        storage.Client(), broken.name, make_events(rows=5, seed=1, hours=1).events, HOUR + timedelta(hours=9), {}
    )
    made_run(broken, "run-2")
    before = {name: total(broken, name) for name in ("raw", "valid")}
    assert made_run(broken, "run-3", replay=True)["hours"] == []
    allowed = tuple(rule for rule in contract.rules() if rule.name != "order_status is not an allowed value")
    monkeypatch.setattr(contract, "rules", lambda: allowed)
    contract.version.cache_clear()
    assert made_run(broken, "run-4")["hours"] == []
    assert made_run(broken, "run-5", replay=True)["hours"] == ["20260103T00", "20260103T01"]
    contract.version.cache_clear()
    assert total(broken, "valid") > before["valid"]
    assert total(broken, "raw") == before["raw"]
