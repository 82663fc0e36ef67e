"""The same tables, however they came about: late, corrected, repeated, killed half-way, against one run.

The stages run in this process, on the servers of the test run: Spark's run, the blocks of the Mage pipeline, dbt.
"""

from __future__ import annotations

import os
import random
import runpy
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count, groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from dbt.cli.main import dbtRunner
from google.cloud import bigquery, storage
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from gcs_export_pipeline import declaration, hours, pipeline
from gcs_export_pipeline.config import Config, hour_name
from pipeline import candidate, summary
from tests.end_to_end.test_pipeline import deployment
from tests.spark.raw_rows import DATA, HOUR
from tests.spark.test_pipeline import parquet

ROOT = Path(__file__).resolve().parents[2]
#: Two days are touched, so that day records and partitions are too.
HOURS = [HOUR + timedelta(hours=hour) for hour in (0, 1, 24)]
RUNS = count(1)
TABLES = [*(f"dim_{name}" for name in declaration.dimensions()), "fct_order_status", "fct_order_item"]


class Killed(BaseException):
    """What stands for a kill: nothing that runs afterwards cleans up."""


@dataclass(frozen=True)
class Event:
    """An event of few keys and few values, so that histories meet."""

    partition: int
    offset: int
    minute: int
    customer: int
    product: int
    item: int
    name: str
    status: str

    def row(self) -> dict[str, Any]:
        data = DATA | {
            "Customer Id": self.customer,
            "Order Customer Id": self.customer,
            "Customer Fname": self.name,
            "Product Card Id": self.product,
            "Order Item Cardprod Id": self.product,
            "Product Name": self.product_name,
            "Order Item Id": self.item,
            "Order Id": self.item // 2 + 1,
            "Order City": f"city {self.item % 2}",
            "Department Name": f"department {self.name}",
            "Order Status": self.status,
            "Customer Password": "secret",
        }
        time = HOUR + timedelta(minutes=self.minute)
        meta = {"key": "k", "offset": self.offset, "partition": self.partition, "time": time, "topic": "orders"}
        return {"data": data, "metadata": meta}

    @property
    def product_name(self) -> str:
        return f"product {self.name}"

    @property
    def position(self) -> tuple[int, int, int]:
        return self.minute, self.partition, self.offset

    @property
    def valid(self) -> bool:
        return self.status != "LOST"


@dataclass(frozen=True)
class Delivery:
    """An event, the hour (an index) that it comes in, and its arrival: 0 with the hour, 1 late.

    One that `was` something else comes like that at first, and is corrected when the late ones arrive.
    """

    event: Event
    hour: int
    late: int
    was: Event | None = None


def make_deliveries(seed: int) -> list[Delivery]:
    """Each event once, in the first arrival or the second, some again in the same or another hour, some corrected."""
    rng = random.Random(seed)  # noqa: S311
    deliveries = []
    for offset in range(30):
        event = Event(
            partition=rng.randrange(2),
            offset=offset,
            minute=rng.randrange(5),
            customer=rng.randint(1, 3),
            product=rng.randint(1, 2),
            item=rng.randint(1, 5),
            name=rng.choice("AB"),
            status=rng.choice(["COMPLETE", "PENDING", "CLOSED", "LOST"]),
        )
        if rng.random() < 0.2:  # of a customer and an item that nothing else is about: they are to vanish again
            was = replace(event, customer=4, item=6, status="COMPLETE", minute=rng.randrange(5))
            deliveries.append(Delivery(event, rng.randrange(len(HOURS)), 0, was))
            continue
        for _ in range(rng.choice([1, 1, 2, 3])):
            deliveries.append(Delivery(event, rng.randrange(len(HOURS)), rng.randrange(2)))
    rng.shuffle(deliveries)
    return deliveries


KILLS = ["before the switch", "after the switch", "between loads", "before the load is noted", "within dbt", ""]


@dataclass
class World:
    """A deployment of its own, with the means to run a stage of it and to kill it."""

    config: Config
    bucket: Any

    def put(self, deliveries: list[tuple[Event, int]], name: str) -> None:
        """Write events as one raw object an hour."""
        for number, hour in enumerate(HOURS):
            of_hour = pd.DataFrame([event.row() for event, to in deliveries if to == number])
            if len(of_hour):
                self.bucket.blob(f"raw_streaming/{hour_name(hour)}/{name}.parquet").upload_from_string(
                    to_parquet(of_hour)
                )

    def run(self, kill: str = "", window: int | None = None) -> None:
        """Run every stage over what is new, or over one hour, up to the kill."""
        name = f"run-{next(RUNS)}"
        start, end = (None, None) if window is None else (HOURS[window], HOURS[window] + hours.HOUR)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(hours, "remove_unnamed", lambda *_: 0)  # the killed do not clean up
            if kill == "after the switch":
                patch.setattr(hours, "_remove", killed)
            before = killed if kill == "before the switch" else keep
            pipeline.run(self.config.bucket, start, end, name, lambda _: None, before_switch=before)
        self.load(name, kill)
        self.transform(kill)

    def load(self, run: str, kill: str) -> None:
        chosen = block("custom/choose_hours.py", "choose_hours")(run=run)
        found = [
            block("data_loaders/find_parquet.py", "find_parquet")(chosen, configuration={"dimension": name})
            for name in declaration.dimensions()
        ]
        exports = []
        for number, each in enumerate(found):
            if kill == "between loads" and number == 3:
                raise Killed
            exports.append(block("data_exporters/load_staging.py", "load_staging")(each, run=run))
        if kill == "before the load is noted":
            raise Killed
        block("custom/compare_rows.py", "compare_rows")(chosen, *exports, run=run)

    def transform(self, kill: str) -> None:
        client = storage.Client()
        work = candidate.work(client, self.config, None, None)
        if not (work.changed or work.full):
            return
        ranges = [[str(start), str(end)] for start, end in hours.ranges(work.changed)]
        options = ["--full-refresh"] if work.full else ["--vars", repr({"changed_hours": ranges})]
        only = ["--select", "staging", "dim_customer", "dim_metadata"] if kill == "within dbt" else []
        where = ["--project-dir", str(ROOT / "dbt_project"), "--profiles-dir", str(ROOT / "dbt_project")]
        result = dbtRunner().invoke(["--quiet", "run", *where, *options, *only])
        assert result.success, result
        if kill == "within dbt":
            raise Killed
        counted = summary.collect(self.config, work.changed)
        assert counted.problems == []
        candidate.note_built(client, self.config, "any", work, {})

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Every row of every dimension and fact, but for the hours that it came from, which are the split's own."""
        client = bigquery.Client(project=self.config.project)
        found = {}
        for name in TABLES:
            rows = client.query_and_wait(f"select * from {self.config.candidate}.{name}")
            kept = [{key: value for key, value in row.items() if not key.endswith("ingest_hour")} for row in rows]
            found[name] = sorted(kept, key=repr)
        return found

    def events(self) -> dict[str, list[tuple[Any, ...]]]:
        """Hour and position of every event that the rows of staging stand for, by dimension."""
        client = bigquery.Client(project=self.config.project)
        found = {}
        for name in declaration.dimensions():
            rows = client.query_and_wait(
                f"select format_timestamp('%Y%m%dT%H', ingest_hour), event.event_partition, event.event_offset "
                f"from {self.config.staging}.{name}, unnest(events) as event"
            )
            found[name] = sorted(row.values() for row in rows)
        return found


def killed(*_: Any) -> None:
    raise Killed


def to_parquet(rows: pd.DataFrame) -> bytes:
    from events.raw_layout import to_arrow

    flat = pd.DataFrame([row["data"] | row["metadata"] for row in rows.to_dict("records")])
    return parquet(to_arrow(flat))


def block(file: str, name: str) -> Callable[..., Any]:
    """The function of a Mage block, without Mage."""
    plain = {"custom": keep, "data_loader": keep, "data_exporter": keep, "test": keep}
    return runpy.run_path(str(ROOT / "mage" / file), init_globals=plain)[name]


def keep(function: Any = None) -> Any:
    return function


@contextmanager
def world(platform: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    names = deployment(platform, tmp_path_factory, f"world{next(RUNS)}")
    build = Path(names["BUILD_DIR"])
    names |= {"DBT_TARGET_PATH": str(build / "dbt"), "DBT_LOG_PATH": str(build / "logs")}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in names.items():
            patch.setenv(name, value)
        yield World(Config.from_environment(), storage.Client().bucket(names["GCS_BUCKET"]))


@settings(
    max_examples=int(os.environ.get("WINDOWS_EXAMPLES", "2")),
    deadline=None,
    database=None,
    phases=[Phase.generate],  # an example takes a minute or two: what fails is printed as it is, not made smaller
    suppress_health_check=list(HealthCheck),
)
@given(seed=st.integers(0, 2**32), kills=st.permutations(KILLS).map(lambda kills: kills[:3]), again=st.integers(0, 2))
def test_tables_do_not_depend_on_how_they_came_about(
    platform: dict[str, str],
    spark: SparkSession,
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    kills: list[str],
    again: int,
) -> None:
    deliveries = make_deliveries(seed)
    events = list({each.event: None for each in deliveries})

    with world(platform, tmp_path_factory) as scattered:
        for late, name in enumerate(("on-time", "late")):
            arrived = [each for each in deliveries if each.late == late]
            scattered.put([(each.was or each.event, each.hour) for each in arrived], name)
            if late:
                scattered.put([(each.event, each.hour) for each in deliveries if each.was], "corrected-1")
            for kill in kills[late::2]:
                with suppress(Killed):
                    scattered.run(kill)
        scattered.run()
        scattered.run(window=again)
        tables, told = scattered.tables(), scattered.events()

    with world(platform, tmp_path_factory) as at_once:
        at_once.put([(event, 0) for event in events], "all")
        at_once.run()
        assert at_once.tables() == tables

    # Against the events themselves, counted by another way: each hour holds each valid event that came in it, once.
    valid = [each for each in deliveries if each.event.valid]
    expected = sorted({(hour_name(HOURS[each.hour]), each.event.partition, each.event.offset) for each in valid})
    assert told == dict.fromkeys(declaration.dimensions(), expected)
    in_order = sorted((each for each in events if each.valid), key=lambda each: each.position)
    last = {each.item: each for each in in_order}
    items = {row["order_item_id"]: row["order_status"] for row in tables["dim_order"]}
    assert items == {item: event.status for item, event in last.items()}
    facts = {
        row["order_item_id"]: (row["last_event_partition"], row["last_event_offset"])
        for row in tables["fct_order_item"]
    }
    assert facts == {item: (event.partition, event.offset) for item, event in last.items()}
    for table, key, key_of, value, value_of in (
        ("dim_customer", "customer_id", "customer", "customer_fname", "name"),
        ("dim_product", "product_card_id", "product", "product_name", "product_name"),
        ("fct_order_status", "order_item_id", "item", "order_status", "status"),
    ):
        expected_versions: Counter[tuple[Any, ...]] = Counter()
        for number in {getattr(each, key_of) for each in in_order}:
            runs = groupby([each for each in in_order if getattr(each, key_of) == number], attrgetter(value_of))
            starts = [(change, HOUR + timedelta(minutes=next(run).minute)) for change, run in runs]
            ends = [start for _, start in starts[1:]] + [None]
            expected_versions.update((number, *start, end) for start, end in zip(starts, ends, strict=True))
        found = Counter((row[key], row[value], row["valid_from"], row["valid_to"]) for row in tables[table])
        assert found == expected_versions, table


def test_a_position_that_another_hour_used_is_reported(
    platform: dict[str, str], spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """And half of the events broken: the run goes through, and says both."""
    first = Event(partition=0, offset=1, minute=1, customer=1, product=1, item=1, name="A", status="PENDING")
    other = replace(first, item=2, name="B", minute=2)
    broken = replace(first, offset=2, status="LOST")
    with world(platform, tmp_path_factory) as made:
        made.put([(first, 0), (other, 1), (broken, 1)], "a")
        made.run()
        counted = summary.collect(made.config)
        tables = made.tables()
    assert counted.problems == []
    assert "20260103T01: 1 of 2 events are in quarantine: `make quarantine`" in counted.warnings
    assert any("20260103T00: 1 events have the position of another" in each for each in counted.warnings)
    # The later of the two by time stands, and neither is lost to the other dimensions.
    assert (len(tables["dim_metadata"]), len(tables["dim_order"])) == (1, 2)
