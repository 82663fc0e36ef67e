"""The whole run as a user starts it, on servers of its own, against counts that are known beforehand."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from google.cloud import bigquery, storage

from events.raw_layout import to_arrow
from gcs_export_pipeline import declaration
from tests.spark.raw_rows import DATA
from tests.spark.test_pipeline import parquet

Run = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).resolve().parents[2]
ROWS = 3000
EVERYTHING = ("--from", "2000-01-01T00")  # a window that covers all hours, whatever was done before


def client(platform: dict[str, str]) -> bigquery.Client:
    return bigquery.Client(project=platform["GOOGLE_CLOUD_PROJECT"], location="US")


def contents(platform: dict[str, str], datasets: dict[str, str]) -> dict[str, str]:
    """A digest of every published table: the same rows give the same, whatever their order."""
    digests = {}
    for name in [*(f"dim_{name}" for name in declaration.dimensions()), "fct_order_item", "fct_order_status"]:
        rows = client(platform).query_and_wait(f"select * from `{datasets['WAREHOUSE_DATASET']}.{name}`")
        lines = sorted(repr(row.values()) for row in rows)
        digests[name] = f"{len(lines)} {hashlib.sha256(repr(lines).encode()).hexdigest()}"
    return digests


def deployment(platform: dict[str, str], tmp_path_factory: pytest.TempPathFactory, name: str) -> dict[str, str]:
    """A bucket, datasets and build folder of their own on the platform."""
    bucket = f"{name}-events"
    storage.Client(project=platform["GOOGLE_CLOUD_PROJECT"]).create_bucket(bucket)
    return {
        "GCS_BUCKET": bucket,
        "STAGING_DATASET": f"{name}_staging",
        "CANDIDATE_DATASET": f"{name}_candidate",
        "WAREHOUSE_DATASET": f"{name}_warehouse",
        "PREVIOUS_DATASET": f"{name}_previous",
        "OPS_DATASET": f"{name}_ops",
        "BUILD_DIR": str(tmp_path_factory.mktemp(name)),
    }


def succeed(result: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result


@pytest.fixture(scope="module")
def made(platform: dict[str, str], run_module: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A deployment in which the pipeline has run once over made events."""
    settings = deployment(platform, tmp_path_factory, "made")
    succeed(run_module("events", "--rows", str(ROWS), "--hours", "3", **settings))
    succeed(run_module("pipeline", **settings))
    return settings


def summary(settings: dict[str, str]) -> dict[str, Any]:
    return json.loads((Path(settings["BUILD_DIR"]) / "summary.json").read_text())


def test_counts_are_those_that_were_put_in(platform: dict[str, str], made: dict[str, str]) -> None:
    bucket = storage.Client(project=platform["GOOGLE_CLOUD_PROJECT"]).bucket(made["GCS_BUCKET"])
    facts = json.loads(bucket.blob("made_events/20260103T00.json").download_as_bytes())
    told = summary(made)
    assert told["problems"] == []
    assert told["events"] == {name: facts[name] for name in ("raw", "valid", "quarantined", "duplicates")}
    assert {name: counts["current"] for name, counts in told["dimensions"].items()} == facts["distinct"]
    versions = {name: counts["published"] - counts["current"] for name, counts in told["dimensions"].items()}
    assert versions.pop("product") == facts["product_versions"] - facts["distinct"]["product"] > 0
    assert versions.pop("customer") == facts["customer_versions"] - facts["distinct"]["customer"] > 0
    assert set(versions.values()) == {0}
    for reason, count in facts["broken"].items():
        assert told["reasons"][reason] >= count


def test_the_latest_version_is_the_last_in_event_time(platform: dict[str, str], made: dict[str, str]) -> None:
    """The tables against the events themselves, read by another way: the last status that was sent of each item."""
    frames = []
    for blob in storage.Client().list_blobs(made["GCS_BUCKET"], prefix="raw_streaming/"):
        table = pq.read_table(io.BytesIO(blob.download_as_bytes()))
        frames.append(pd.DataFrame([row["data"] | row["metadata"] for row in table.to_pylist()]))
    events = pd.concat(frames)
    good = events[
        events["Customer Id"].notna()
        & (events["Order Status"] != "LOST")
        & (events["Order Item Quantity"] > 0)
        & (events["Order Item Total"] < 999999)
        & (events["order date (DateOrders)"] != "2/30/2017 10:00")
        & (events["shipping date (DateOrders)"] != "1/1/2010 0:00")
    ].sort_values(["time", "partition", "offset"])
    last = good.groupby("Order Item Id").last()["Order Status"].to_dict()
    rows = client(platform).query_and_wait(
        f"select order_item_id, order_status from {made['WAREHOUSE_DATASET']}.dim_order"
    )
    assert {row.order_item_id: row.order_status for row in rows} == last


def test_a_second_run_gives_the_same_tables(platform: dict[str, str], made: dict[str, str], run_module: Run) -> None:
    before = contents(platform, made)
    again = succeed(run_module("pipeline", **made))
    assert "nothing new: every raw object is in the Parquet of its hour" in again.stdout
    assert "load: nothing new" in again.stdout
    assert "transform, quality, publish: nothing new" in again.stdout
    assert contents(platform, made) == before
    everything = succeed(run_module("pipeline", *EVERYTHING, **made))
    assert "wrote customer" in everything.stdout
    assert contents(platform, made) == before


def test_publishing_replaces_what_was_published(
    platform: dict[str, str], made: dict[str, str], run_module: Run
) -> None:
    before = contents(platform, made)
    client(platform).query_and_wait(f"delete from {made['CANDIDATE_DATASET']}.dim_product where product_status = 0")
    succeed(run_module("pipeline", "--only", "publish", **made))
    assert contents(platform, made)["dim_product"].startswith("0 ")
    # Views look at what is published, not at the candidate.
    client(platform).query_and_wait(f"delete from {made['CANDIDATE_DATASET']}.fct_order_item where true")
    (sold,) = client(platform).query_and_wait(
        f"select sum(order_items) as n from {made['WAREHOUSE_DATASET']}.order_value_by_status"
    )
    assert sold.n == ROWS
    table = client(platform).get_table(f"{made['WAREHOUSE_DATASET']}.dim_customer")
    assert table.description.startswith("One row per customer and version of its attributes.")
    assert {field.name: field.description for field in table.schema}["customer_lname"].startswith("Last name")

    assert "analysts see the tables of run" in succeed(run_module("pipeline", "--only", "rollback", **made)).stdout
    assert contents(platform, made) == before
    assert "publish: nothing new, analysts see what run" in succeed(run_module("pipeline", **made)).stdout
    again = run_module("pipeline", "--only", "rollback", **made)
    assert (again.returncode, "there is nothing to roll back to" in again.stderr) == (1, True)

    succeed(run_module("pipeline", "--only", "transform", "--full", **made))
    refused = run_module("pipeline", "--only", "publish", **made)
    assert (refused.returncode, "the gate has not passed the candidate" in refused.stderr) == (1, True)
    succeed(run_module("pipeline", "--only", "publish", "--force", "tried by hand", **made))
    assert contents(platform, made) == before
    asked = client(platform).query_and_wait(f"select asked from {made['OPS_DATASET']}.runs where published")
    assert "publish force: tried by hand" in [row.asked for row in asked]


def test_a_failed_gate_leaves_what_is_published(
    platform: dict[str, str], made: dict[str, str], run_module: Run
) -> None:
    before = contents(platform, made)
    candidate = f"{made['CANDIDATE_DATASET']}.dim_customer"
    client(platform).query_and_wait(f"delete from {candidate} where customer_id <= 20")
    failed = run_module("pipeline", "--only", "quality", **made)
    assert failed.returncode == 1
    assert "that agreed with staging: observed" in failed.stdout
    assert "the published tables are as they were" in failed.stderr
    assert run_module("pipeline", "--only", "publish", **made).returncode == 1
    assert contents(platform, made) == before
    client(platform).query_and_wait(f"drop table {candidate}")
    gate = run_module("expectations", "--reports", made["BUILD_DIR"], **made)
    assert gate.returncode == 2, gate.stdout + gate.stderr
    assert contents(platform, made) == before


def test_a_killed_run_is_taken_over(platform: dict[str, str], made: dict[str, str], run_module: Run) -> None:
    """New events, a run that is killed while Spark works, and the next one, which brings them in alone."""
    succeed(run_module("events", "--start", "2026-01-05T00", "--rows", "300", "--hours", "1", **made))
    before, settings = contents(platform, made), made | {"LOCK_LEASE_SECONDS": "4"}
    command = [sys.executable, "-u", "-m", "pipeline"]
    killed = subprocess.Popen(command, cwd=ROOT, env=os.environ | settings, stdout=subprocess.PIPE, text=True)
    assert killed.stdout is not None
    assert any("checked:" in line for line in killed.stdout)
    killed.kill()
    killed.wait()
    assert contents(platform, made) == before

    after = succeed(run_module("pipeline", **settings))
    assert "which ended without releasing it" in after.stdout
    bucket = storage.Client(project=platform["GOOGLE_CLOUD_PROJECT"]).bucket(made["GCS_BUCKET"])
    facts = json.loads(bucket.blob("made_events/20260105T00.json").download_as_bytes())
    told = summary(made)
    assert told["hours"] == ["20260105T00"]
    assert told["events"] == {name: facts[name] for name in ("raw", "valid", "quarantined", "duplicates")}
    assert told["dimensions"]["order"]["published"] == ROWS + 300

    ops, query = made["OPS_DATASET"], client(platform).query_and_wait
    (first, second) = list(query(f"select * from {ops}.runs order by started_at desc limit 2"))
    assert (first.status, first.hours, first.published) == ("succeeded", 1, True)
    assert (second.status, second.stage, second.published) == ("killed", "dimensions", False)
    counts = {
        (row.stage, row.dimension, row.measure): row
        for row in query(f"select * from {ops}.run_counts where run = '{first.run}'")
        if row.ingest_hour
    }
    assert counts["dimensions", None, "raw"].row_count == facts["raw"]
    assert counts["dimensions", None, "raw"].byte_count > 0
    for name in declaration.dimensions():
        rows = {each.row_count for key, each in counts.items() if key[1:] in {(name, "parquet"), (name, "staging")}}
        assert len(rows) == 1
    jobs = list(query(f"select job_id from {ops}.run_counts where run = '{first.run}' and measure = 'loaded'"))
    assert [len(row.job_id.split()) for row in jobs] == [2] * len(declaration.dimensions())


def test_parquet_that_is_gone_stops_the_load(platform: dict[str, str], made: dict[str, str], run_module: Run) -> None:
    bucket = storage.Client(project=platform["GOOGLE_CLOUD_PROJECT"]).bucket(made["GCS_BUCKET"])
    for blob in bucket.list_blobs(prefix="transformed_data/product_dimension/"):
        blob.delete()
    failed = run_module("pipeline", "--only", "load", *EVERYTHING, **made)
    assert failed.returncode == 1
    assert "product_dimension of hour 20260103T00 holds 0 rows" in failed.stdout + failed.stderr
    succeed(run_module("pipeline", "--only", "dimensions", *EVERYTHING, **made))
    loaded = succeed(run_module("pipeline", "--only", "load", **made))
    assert "staging holds what the Parquet holds" in loaded.stdout


def test_rows_that_do_not_add_up_stop_the_run(platform: dict[str, str], made: dict[str, str], run_module: Run) -> None:
    before = contents(platform, made)
    staging = f"{made['STAGING_DATASET']}.shipping"
    hour = "ingest_hour = timestamp '2026-01-03 01:00:00+00'"
    client(platform).query_and_wait(f"insert into {staging} select * from {staging} where {hour} limit 1")
    failed = run_module("pipeline", "--only", "transform", *EVERYTHING, **made)
    assert failed.returncode == 1
    assert "shipping 20260103T01: " in failed.stderr
    assert "`make load FROM=2026-01-03T01 TO=2026-01-03T02`" in failed.stderr
    assert contents(platform, made) == before
    succeed(run_module("pipeline", "--only", "load", "--from", "2026-01-03T01", "--to", "2026-01-03T02", **made))
    succeed(run_module("pipeline", **made))
    assert contents(platform, made) == before


def test_a_password_is_nowhere_after_raw(
    platform: dict[str, str], made: dict[str, str], run_module: Run, tmp_path: Path
) -> None:
    """Good and broken rows with a password that can be told from all else, and a look into every output."""
    secret = "correct-horse-battery-staple"
    rows = [
        DATA | {"Customer Password": secret, "Order Item Id": 900_001},
        DATA | {"Customer Password": secret, "Order Item Id": 900_002, "Order Status": "LOST"},
    ]
    meta = {"key": "k", "partition": 9, "time": datetime(2026, 1, 6, tzinfo=UTC), "topic": "orders"}
    table = to_arrow(pd.DataFrame([row | meta | {"offset": number} for number, row in enumerate(rows)]))
    bucket = storage.Client(project=platform["GOOGLE_CLOUD_PROJECT"]).bucket(made["GCS_BUCKET"])
    bucket.blob("raw_streaming/20260106T00/secret.parquet").upload_from_string(parquet(table))
    succeed(run_module("pipeline", **made))
    assert summary(made)["events"] | {"duplicates": 0} == {"raw": 2, "valid": 1, "quarantined": 1, "duplicates": 0}
    exported = tmp_path / "rows.jsonl"
    succeed(run_module("pipeline.quarantine", "--export", str(exported), "--reason", "order_status", **made))

    looked_at = 0
    for blob in bucket.list_blobs():
        if not blob.name.startswith("raw_streaming/"):
            content = blob.download_as_bytes()
            if blob.name.endswith(".parquet"):
                found = pq.read_table(io.BytesIO(content))
                content = f"{found.schema} {found.to_pylist()}".encode()
            assert secret.encode() not in content, blob.name
            assert blob.name.startswith("made_events/") or b"Customer Password" not in content, blob.name
            looked_at += 1
    for dataset in ("STAGING_DATASET", "CANDIDATE_DATASET", "WAREHOUSE_DATASET", "OPS_DATASET"):
        for each in client(platform).list_tables(made[dataset]):
            for row in client(platform).query_and_wait(f"select * from `{made[dataset]}`.`{each.table_id}`"):
                assert secret not in repr(row), each.table_id
            names = [field.name for field in client(platform).get_table(each.reference).schema]
            assert not [name for name in names if "password" in name.lower()], each.table_id
            looked_at += 1
    for file in [*Path(made["BUILD_DIR"]).rglob("*"), exported]:
        if file.is_file():
            assert secret.encode() not in file.read_bytes(), file
            looked_at += 1
    assert looked_at > 100
