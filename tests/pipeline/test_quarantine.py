from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

from google.cloud import storage
from pyspark.sql import SparkSession

from events import raw_layout
from events.make import make_events
from gcs_export_pipeline import pipeline
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
