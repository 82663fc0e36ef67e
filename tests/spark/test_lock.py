from __future__ import annotations

import json
from typing import Any

import pytest
from google.cloud import storage

from gcs_export_pipeline import lock
from gcs_export_pipeline.config import LockedError


@pytest.fixture(autouse=True)
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "LEASE_SECONDS", 3.0)


def holder(bucket: Any) -> str | None:
    return json.loads(bucket.blob(lock.NAME).download_as_bytes())["run"]


def test_a_second_run_is_refused_while_the_first_is_alive(bucket: Any) -> None:
    client = storage.Client()
    with lock.hold(client, bucket.name, "first"):
        with pytest.raises(LockedError, match="run first is at work"), lock.hold(client, bucket.name, "second"):
            pass
        assert holder(bucket) == "first"
        lock.check(client, bucket.name, "first")
        with pytest.raises(LockedError, match="run second does not hold the lock any more, first does"):
            lock.check(client, bucket.name, "second")
    assert holder(bucket) is None
    with lock.hold(client, bucket.name, "second") as held:
        assert held.taken_from is None


def test_an_abandoned_lock_is_taken_over(bucket: Any) -> None:
    lock._write(bucket.blob(lock.NAME), "dead", 0)
    with lock.hold(storage.Client(), bucket.name, "next") as held:
        assert held.taken_from == "dead"
        assert holder(bucket) == "next"


def test_a_run_that_lost_its_lock_knows_and_leaves_it_alone(bucket: Any) -> None:
    with lock.hold(storage.Client(), bucket.name, "slow") as held:
        other = bucket.get_blob(lock.NAME)
        lock._write(other, "other", other.generation)
        assert held.lost.wait(lock.LEASE_SECONDS)
    assert holder(bucket) == "other"


def test_a_run_stops_before_it_can_be_taken_for_dead(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: Any) -> None:
        raise OSError("storage does not answer")

    with lock.hold(storage.Client(), bucket.name, "cut-off") as held:
        monkeypatch.setattr(lock, "_write", silent)
        assert held.lost.wait(lock.LEASE_SECONDS)
