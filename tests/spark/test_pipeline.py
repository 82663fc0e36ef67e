"""The Spark run on raw objects as they come, in a bucket of the local platform."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.cloud import storage
from pyspark.sql import SparkSession

from events import raw_layout
from events.make import make_events
from gcs_export_pipeline import declaration, hours, pipeline
from gcs_export_pipeline.config import ConfigError, RunError, hour_name
from tests.spark.raw_rows import HOUR


def put(bucket: Any, name: str, content: bytes, hour: int = 0) -> str:
    path = f"raw_streaming/{hour_name(HOUR + timedelta(hours=hour))}/{name}"
    bucket.blob(path).upload_from_string(content)
    return path


def parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def events_table(rows: int = 20, seed: int = 1) -> pa.Table:
    return raw_layout.to_arrow(make_events(rows=rows, seed=seed, hours=1).events)


def change_data(table: pa.Table, change: Any) -> pa.Table:
    """The table with its struct `data` rebuilt from the arrays by name that `change` returns."""
    data = table["data"].combine_chunks()
    arrays = change({field.name: data.field(index) for index, field in enumerate(data.type)})
    return table.set_column(0, "data", pa.StructArray.from_arrays(list(arrays.values()), names=list(arrays)))


def run(bucket: Any, run_id: str = "run-1", **window: Any) -> tuple[dict[str, Any], list[str]]:
    said: list[str] = []
    window = {"start": None, "end": None} | window
    record = pipeline.run(bucket.name, run_id=run_id, say=said.append, **window)
    return record, said


def output(bucket: Any) -> dict[str, list[dict[str, Any]]]:
    """Every row of every dimension that the hour records name, in an order of its own."""
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in declaration.dimensions()}
    client = storage.Client()
    for record in hours.read(client, bucket.name).values():
        for name, entry in record["dimensions"].items():
            for blob in client.list_blobs(bucket.name, prefix=f"{entry['path']}/"):
                if blob.name.endswith(".parquet"):
                    rows[name] += pq.ParquetFile(io.BytesIO(blob.download_as_bytes())).read().to_pylist()
    return {name: sorted(found, key=repr) for name, found in rows.items()}


def test_objects_that_cannot_be_read_are_set_aside_by_name(spark: SparkSession, bucket: Any) -> None:
    good = parquet(events_table())
    put(bucket, "good.parquet", good)
    put(bucket, "again.parquet", good)
    retyped = change_data(events_table(), lambda data: data | {"Order Id": data["Order Id"].cast(pa.string())})
    fewer = change_data(events_table(), lambda data: {k: v for k, v in data.items() if k != "Customer Id"})
    problems = {
        put(bucket, "truncated.parquet", good[: len(good) // 2]): "not readable as Parquet",
        put(bucket, "empty.parquet", b""): "empty",
        put(bucket, "csv.parquet", b"a,b\n1,2\n"): "not readable as Parquet",
        put(bucket, "retyped.parquet", parquet(retyped)): "data.Order Id is string, declared INT64",
        put(bucket, "fewer.parquet", parquet(fewer)): "data.Customer Id is missing",
    }
    with pytest.raises(RunError, match=r"5 of 7 raw objects cannot be read.*UNREADABLE_SHARE"):
        run(bucket)
    assert not list(bucket.list_blobs(prefix="hours/"))
    record, said = run(bucket, unreadable_share=0.8)
    (hour,) = record["records"]
    assert hour["set_aside"].keys() == problems.keys()
    for name, problem in problems.items():
        assert problem in hour["set_aside"][name]
        assert any(name in line for line in said)
    # The same object under two names: every event of the second is a duplicate. Of the objects that are set aside two
    # have a footer that tells their rows.
    rows, each = hour["rows"], events_table().num_rows
    assert rows["raw"] == 4 * each == rows["valid"] + rows["quarantined"] + rows["duplicates"]
    assert rows["duplicates"] >= each
    assert rows["quarantined"] >= 2 * each
    assert hour["reasons"]["object set aside: data.Customer Id is missing"] == each


def test_optional_fields_may_lack_and_more_may_come(spark: SparkSession, bucket: Any) -> None:
    def change(data: dict[str, Any]) -> dict[str, Any]:
        kept = {name: values for name, values in data.items() if name != "Product Image"}
        return kept | {"Loyalty Tier": pa.array(["gold"] * len(data["Order Id"]))}

    put(bucket, "changed.parquet", parquet(change_data(events_table(), change)))
    record, said = run(bucket)
    assert record["records"][0]["rows"]["valid"] > 0
    notes = "\n".join(said)
    assert "data.Product Image is missing" in notes
    assert "data.Loyalty Tier is not declared" in notes
    assert {row["product_image"] for row in output(bucket)["product"]} == {None}


def test_hours_do_not_depend_on_the_run_that_makes_them(spark: SparkSession, bucket: Any) -> None:
    made = make_events(rows=60, seed=5, hours=3)
    raw_layout.write(storage.Client(), bucket.name, made.events, HOUR, made.facts)
    run(bucket, "all-at-once")
    at_once = output(bucket)
    for number in (2, 0, 1):
        start = HOUR + timedelta(hours=number)
        run(bucket, f"hour-{number}", start=start, end=start + timedelta(hours=1))
    assert output(bucket) == at_once
    # What a run replaced is gone, what it did not touch is there.
    folders = {name.split("/")[2] for blob in bucket.list_blobs(prefix="transformed_data/") if (name := blob.name)}
    assert folders == {"run=hour-0", "run=hour-1", "run=hour-2"}


def test_what_is_new_is_processed_and_nothing_else(spark: SparkSession, bucket: Any) -> None:
    for hour in (0, 1):
        put(bucket, "one.parquet", parquet(events_table(seed=hour)), hour=hour)
    assert run(bucket, "first")[0]["hours"] == ["20260103T00", "20260103T01"]
    record, said = run(bucket, "second")
    assert (record["hours"], said) == ([], ["  nothing new: every raw object is in the Parquet of its hour"])
    put(bucket, "late.parquet", b"", hour=0)
    record, _ = run(bucket, "third")
    assert record["hours"] == ["20260103T00"]
    assert list(record["records"][0]["set_aside"]) == ["raw_streaming/20260103T00/late.parquet"]
    assert run(bucket, "fourth")[0]["hours"] == []
    runs = {hour_name(hour): entry["run"] for hour, entry in hours.known(storage.Client(), bucket.name).items()}
    assert runs == {"20260103T00": "third", "20260103T01": "first"}


def test_an_hour_whose_raw_objects_are_gone_keeps_its_rows(spark: SparkSession, bucket: Any) -> None:
    gone = put(bucket, "gone.parquet", parquet(events_table()))
    put(bucket, "kept.parquet", parquet(events_table(seed=2)))
    run(bucket, "first")
    before = output(bucket)
    bucket.blob(gone).delete()
    put(bucket, "late.parquet", parquet(events_table(seed=3)))
    record, said = run(bucket, "second")
    assert record["hours"] == []
    assert "1 raw objects of hour 20260103T00 are gone" in said[0]
    assert "1 new objects are not read" in said[0]
    assert output(bucket) == before
    # Asked for by name, the hour is what there is.
    assert run(bucket, "third", start=HOUR)[0]["records"][0]["objects"].keys() == {
        gone.replace("gone", "kept"),
        gone.replace("gone", "late"),
    }


def test_a_run_that_dies_leaves_the_parquet_of_the_last(
    spark: SparkSession, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(bucket, "one.parquet", parquet(events_table()))
    run(bucket, "good")
    before = output(bucket)
    put(bucket, "two.parquet", parquet(events_table(seed=2)))
    with monkeypatch.context() as patch:
        patch.setattr(hours, "switch", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(bucket, "killed")
    assert output(bucket) == before
    run(bucket, "repaired")
    assert output(bucket) != before
    assert not list(bucket.list_blobs(prefix="transformed_data/customer_dimension/run=killed/"))


def test_what_a_killed_run_left_is_removed(spark: SparkSession, bucket: Any) -> None:
    put(bucket, "one.parquet", parquet(events_table()))
    run(bucket, "good")
    before = output(bucket)
    for blob in list(bucket.list_blobs(prefix="transformed_data/")):
        bucket.copy_blob(blob, bucket, blob.name.replace("run=good", "run=dead"))
    assert hours.remove_unnamed(storage.Client(), bucket.name, "dead") == len(declaration.dimensions())
    assert hours.remove_unnamed(storage.Client(), bucket.name, "good") == 0
    assert output(bucket) == before
    assert not list(bucket.list_blobs(prefix="transformed_data/customer_dimension/run=dead/"))


def test_what_is_not_there_is_said(spark: SparkSession, bucket: Any) -> None:
    with pytest.raises(ConfigError, match="bucket no-such-bucket does not exist: create it"):
        pipeline.run("no-such-bucket", None, None, "r", lambda _: None)
    put(bucket, "one.parquet", parquet(events_table()))
    with pytest.raises(RunError, match="no raw objects from 2031"):
        run(bucket, start=HOUR.replace(year=2031))
    bucket.blob("raw_streaming/yesterday/a.parquet").upload_from_string(b"x")
    with pytest.raises(ConfigError, match="'yesterday' is not an hour"):
        run(bucket)


def test_passwords_stay_in_the_raw_zone(spark: SparkSession, bucket: Any) -> None:
    table = events_table(200)
    secret = pa.array(["hunter2-secret"] * table.num_rows)
    broken = pa.array([None] * table.num_rows, pa.int64())
    changed = change_data(table, lambda data: data | {"Customer Password": secret})
    put(bucket, "good.parquet", parquet(changed))
    put(bucket, "bad.parquet", parquet(change_data(changed, lambda data: data | {"Customer Id": broken})), hour=1)
    record, _ = run(bucket)
    assert record["records"][1]["rows"]["quarantined"] > 0
    outside = [blob for blob in bucket.list_blobs() if not blob.name.startswith("raw_streaming/")]
    assert any(blob.name.startswith("quarantine/") and blob.name.endswith(".parquet") for blob in outside)
    for blob in outside:
        content = blob.download_as_bytes()
        if blob.name.endswith(".parquet"):
            content = repr(pq.ParquetFile(io.BytesIO(content)).read().to_pylist()).encode()
        assert b"hunter2" not in content, blob.name
        assert b"Password" not in content, blob.name
