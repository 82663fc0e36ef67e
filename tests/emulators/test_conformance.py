"""What the project relies on of BigQuery and Cloud Storage, as tests that hold on either.

They run against the local platform. With CONFORMANCE_PROJECT and CONFORMANCE_BUCKET set (CONFORMANCE_LOCATION is US
unless set) they run against Google Cloud instead, in a dataset and a folder of their own, which they remove.
"""

from __future__ import annotations

import io
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.api_core.exceptions import BadRequest, Conflict, GoogleAPIError, NotFound, PreconditionFailed
from google.cloud import bigquery, storage

DAY_1, DAY_2 = datetime(2026, 1, 1, 3, tzinfo=UTC), datetime(2026, 1, 2, 3, tzinfo=UTC)
DESCRIPTION = """the "hour" it's in \\ so to speak"""
SCHEMA = [
    bigquery.SchemaField("id", "INT64", "REQUIRED"),
    bigquery.SchemaField("amount", "NUMERIC"),
    bigquery.SchemaField("name", "STRING", description=DESCRIPTION),
    bigquery.SchemaField("ingest_hour", "TIMESTAMP", "REQUIRED"),
    bigquery.SchemaField(
        "events",
        "RECORD",
        "REPEATED",
        fields=[bigquery.SchemaField("event_time", "TIMESTAMP"), bigquery.SchemaField("event_offset", "INT64")],
    ),
]


@dataclass
class Cloud:
    """Clients, and a dataset, bucket and folder to use."""

    bigquery: bigquery.Client
    bucket: storage.Bucket
    dataset: str
    folder: str

    def put(self, name: str, *rows: dict[str, Any], drop: str = "") -> str:
        """Write rows as Parquet, with columns in another order than the table's, and return its URI."""
        event = pa.struct([("event_time", pa.timestamp("us", "UTC")), ("event_offset", pa.int64())])
        types = {
            "name": pa.string(),
            "ingest_hour": pa.timestamp("us", "UTC"),
            "events": pa.list_(event),
            "amount": pa.decimal128(38, 9),
            "id": pa.int64(),
            "more": pa.string(),
        }
        present = {key for row in rows for key in row} - {drop}
        schema = pa.schema([(key, kind) for key, kind in types.items() if key in present])
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(list(rows), schema), buffer)
        self.bucket.blob(f"{self.folder}/{name}").upload_from_string(buffer.getvalue())
        return f"gs://{self.bucket.name}/{self.folder}/{name}"

    def load(self, uri: str | list[str], table: str, **options: Any) -> bigquery.LoadJob:
        """Run a load job as the pipeline does and wait for it."""
        parquet = bigquery.format_options.ParquetOptions()
        parquet.enable_list_inference = True
        settings = {"write_disposition": "WRITE_TRUNCATE", "schema": SCHEMA} | options
        job_id = settings.pop("job_id", None)
        config = bigquery.LoadJobConfig(source_format="PARQUET", parquet_options=parquet, **settings)
        job = self.bigquery.load_table_from_uri(uri, f"{self.dataset}.{table}", job_id=job_id, job_config=config)
        job.result(timeout=120)
        return job

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query whose table names stand in the dataset."""
        config = bigquery.QueryJobConfig(default_dataset=self.dataset)
        return [row.values() for row in self.bigquery.query_and_wait(sql, job_config=config)]


def row(number: int, hour: datetime = DAY_1, name: str | None = "n") -> dict[str, Any]:
    events = [{"event_time": hour, "event_offset": 1}, {"event_time": hour, "event_offset": 2}]
    return {"id": number, "amount": Decimal("0.123456789"), "name": name, "ingest_hour": hour, "events": events}


@pytest.fixture(scope="module")
def cloud(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    project = os.environ.get("CONFORMANCE_PROJECT")
    if project:
        location, bucket_name = os.environ.get("CONFORMANCE_LOCATION", "US"), os.environ["CONFORMANCE_BUCKET"]
    else:
        settings = request.getfixturevalue("platform")
        project, location, bucket_name = settings["GOOGLE_CLOUD_PROJECT"], "US", settings["GCS_BUCKET"]
    client = bigquery.Client(project=project, location=location)
    bucket = storage.Client(project=project).bucket(bucket_name)
    name = f"conformance_{secrets.token_hex(4)}"
    dataset = bigquery.Dataset(f"{project}.{name}")
    dataset.location = location
    client.create_dataset(dataset)
    yield Cloud(client, bucket, f"{project}.{name}", name)
    client.delete_dataset(dataset, delete_contents=True)
    bucket.delete_blobs(list(bucket.list_blobs(prefix=f"{name}/")))


@pytest.fixture
def table(cloud: Cloud) -> str:
    """A new table partitioned by day."""
    name = f"t_{secrets.token_hex(4)}"
    target = bigquery.Table(f"{cloud.dataset}.{name}", schema=SCHEMA)
    target.time_partitioning = bigquery.TimePartitioning(field="ingest_hour")
    target.clustering_fields = ["id"]
    target.description = DESCRIPTION
    cloud.bigquery.create_table(target)
    return name


class TestLoads:
    def test_columns_go_by_name_and_numbers_keep_their_digits(self, cloud: Cloud, table: str) -> None:
        job = cloud.load(cloud.put("by_name.parquet", row(7)), table)
        assert job.output_rows == 1
        assert cloud.ask(f"select id, amount, name, ingest_hour from {table}") == [
            (7, Decimal("0.123456789"), "n", DAY_1)
        ]

    def test_lists_of_records_are_repeated_fields(self, cloud: Cloud, table: str) -> None:
        cloud.load(cloud.put("lists.parquet", row(7)), table)
        unnested = f"select id, event.event_offset, event.event_time from {table}, unnest(events) as event order by 2"
        assert cloud.ask(unnested) == [(7, 1, DAY_1), (7, 2, DAY_1)]

    def test_a_partition_is_replaced_alone(self, cloud: Cloud, table: str) -> None:
        first, second = cloud.put("p1.parquet", row(1)), cloud.put("p2.parquet", row(2, DAY_2), row(3, DAY_2))
        cloud.load(first, f"{table}$20260101")
        assert cloud.load(second, f"{table}$20260102").output_rows == 2
        cloud.load(cloud.put("p1_again.parquet", row(4)), f"{table}$20260101")
        assert cloud.ask(f"select id from {table} order by id") == [(2,), (3,), (4,)]

    def test_rows_of_another_partition_are_refused(self, cloud: Cloud, table: str) -> None:
        cloud.load(cloud.put("here.parquet", row(1)), f"{table}$20260101")
        with pytest.raises(GoogleAPIError):
            cloud.load(cloud.put("there.parquet", row(2, DAY_2)), f"{table}$20260101")
        assert cloud.ask(f"select id from {table}") == [(1,)]

    def test_several_files_and_wildcards_are_one_load(self, cloud: Cloud, table: str) -> None:
        cloud.put("many/a.parquet", row(1))
        cloud.put("many/b.parquet", row(2))
        uris = [f"gs://{cloud.bucket.name}/{cloud.folder}/many/*.parquet", cloud.put("one.parquet", row(3))]
        assert cloud.load(uris, table).output_rows == 3

    def test_a_failed_load_leaves_the_table(self, cloud: Cloud, table: str) -> None:
        cloud.load(cloud.put("good.parquet", row(1)), table)
        cloud.bucket.blob(f"{cloud.folder}/broken.parquet").upload_from_string(b"PAR1 no more")
        bad = [
            f"gs://{cloud.bucket.name}/{cloud.folder}/broken.parquet",
            f"gs://{cloud.bucket.name}/{cloud.folder}/nothing/*.parquet",
            cloud.put("more.parquet", row(2) | {"more": "x"}),
            cloud.put("no_id.parquet", row(2), drop="id"),
        ]
        for uri in bad:
            with pytest.raises(GoogleAPIError):
                cloud.load([cloud.put("good_too.parquet", row(9)), uri], table)
        assert cloud.ask(f"select id from {table}") == [(1,)]

    def test_a_merge_replaces_some_rows_of_a_partition(self, cloud: Cloud, table: str) -> None:
        later = DAY_1 + timedelta(hours=1)
        cloud.load(cloud.put("merge_1.parquet", row(1), row(2, later)), f"{table}$20260101")
        cloud.load(cloud.put("merge_2.parquet", row(3, later), row(4, later)), f"{table}_new")
        names = "id, amount, name, ingest_hour, events"
        merge = f"merge {table} as target using {table}_new as loaded on false "
        merge += f"when not matched by source and (target.ingest_hour >= timestamp '{later}') then delete "
        merge += f"when not matched then insert ({names}) values ({names})"
        for _ in range(2):
            cloud.ask(merge)
            assert cloud.ask(f"select id, array_length(events) from {table} order by id") == [(1, 2), (3, 2), (4, 2)]

    def test_a_job_id_is_used_once(self, cloud: Cloud, table: str) -> None:
        uri, job_id = cloud.put("once.parquet", row(1)), f"once-{secrets.token_hex(8)}"
        cloud.load(uri, table, job_id=job_id, write_disposition="WRITE_APPEND")
        with pytest.raises(Conflict):
            cloud.load(uri, table, job_id=job_id, write_disposition="WRITE_APPEND")
        assert cloud.ask(f"select count(*) from {table}") == [(1,)]


class TestQueries:
    @pytest.mark.parametrize(
        ("sql", "error"),
        [
            ("select nope from (select 1 as a)", BadRequest),
            ("select * from no_such_table", NotFound),
            ("selec 1", BadRequest),
        ],
    )
    def test_failed_sql_raises_by_both_ways(self, cloud: Cloud, sql: str, error: type[Exception]) -> None:
        config = bigquery.QueryJobConfig(default_dataset=cloud.dataset)
        with pytest.raises(error):
            cloud.bigquery.query_and_wait(sql, job_config=config)
        with pytest.raises(error):
            cloud.bigquery.query(sql, job_config=config).result()

    def test_a_query_tells_the_bytes_that_it_reads(self, cloud: Cloud, table: str) -> None:
        cloud.load(cloud.put("bytes.parquet", row(1), row(2)), table)

        def read(columns: str) -> int:
            config = bigquery.QueryJobConfig(default_dataset=cloud.dataset, use_query_cache=False)
            job = cloud.bigquery.query(f"select {columns} from {table}", job_config=config)
            job.result()
            return int(job.total_bytes_processed)

        assert 0 == read("count(*)") < read("max(id)") < read("max(id), max(ingest_hour)")

    def test_results_come_in_pages(self, cloud: Cloud) -> None:
        rows = cloud.bigquery.query_and_wait(
            "select n from unnest(generate_array(1, 2500)) as n order by n", page_size=1000
        )
        assert [each.n for each in rows] == list(range(1, 2501))

    def test_the_star_keeps_records(self, cloud: Cloud, table: str) -> None:
        cloud.load(cloud.put("star.parquet", row(1)), table)
        twice = f"with a as (select * from {table}), b as (select * from a)"
        sql = f"{twice} select concat(name, 'x'), array_length(events) from b"
        assert cloud.ask(sql) == [("nx", 2)]

    def test_numeric_is_exact(self, cloud: Cloud) -> None:
        assert cloud.ask(
            "select cast('0.123456789' as numeric) * 3, sum(cast('0.1' as numeric)) from unnest([1, 2, 3])"
        ) == [(Decimal("0.370370367"), Decimal("0.3"))]

    def test_qualify_takes_one_row_a_key(self, cloud: Cloud) -> None:
        rows = "select 'a' as k, 1 as v union all select 'a', 2 union all select null, 3 union all select null, 4"
        sql = f"select k, v from ({rows}) "
        sql += "where true qualify row_number() over (partition by k order by v desc) = 1 order by v"
        assert cloud.ask(sql) == [("a", 2), (None, 4)]

    def test_a_date_is_truncated_to_a_date(self, cloud: Cloud) -> None:
        days = "unnest(generate_date_array(date '2017-03-05', date '2017-03-05')) as day"
        assert cloud.ask(f"select date_trunc(day, month) from {days}") == [(date(2017, 3, 1),)]

    def test_arrays_are_made_of_what_is_there(self, cloud: Cloud) -> None:
        sql = "select array_length(array_agg(distinct n ignore nulls)) from unnest([1, 1, null, 2]) as n"
        assert cloud.ask(sql) == [(2,)]

    def test_a_script_takes_an_array_from_a_query(self, cloud: Cloud) -> None:
        script = "declare days array<int64>; "
        script += "set (days) = (select as struct array_agg(distinct n ignore nulls) from unnest([1, 1, 2]) as n); "
        script += "select array_length(days) as found"
        assert [each.found for each in cloud.bigquery.query(script).result()] == [2]

    def test_keys_are_the_same_everywhere(self, cloud: Cloud) -> None:
        assert cloud.ask("select to_hex(md5(concat('a', '|', '<null>')))") == [("88393806d573c4b951ac378311b41a5f",)]


class TestTables:
    def test_descriptions_may_hold_quotes(self, cloud: Cloud, table: str) -> None:
        found = cloud.bigquery.get_table(f"{cloud.dataset}.{table}")
        assert found.description == DESCRIPTION
        assert {field.name: field.description for field in found.schema}["name"] == DESCRIPTION
        view = f"`{cloud.dataset}`.INFORMATION_SCHEMA.COLUMN_FIELD_PATHS"
        sql = f"select description from {view} where table_name = '{table}' and column_name = 'name'"
        assert cloud.ask(sql) == [(DESCRIPTION,)]
        found.description = f"{DESCRIPTION}\nand a second line"
        cloud.bigquery.update_table(found, ["description"])
        view = f"`{cloud.dataset}`.INFORMATION_SCHEMA.TABLE_OPTIONS"
        sql = f"select option_value from {view} where table_name = '{table}' and option_name = 'description'"
        ((option,),) = cloud.ask(sql)
        assert json.loads(option) == found.description

    def test_layout_is_kept(self, cloud: Cloud, table: str) -> None:
        found = cloud.bigquery.get_table(f"{cloud.dataset}.{table}")
        assert (found.time_partitioning.field, found.time_partitioning.type_) == ("ingest_hour", "DAY")
        assert found.clustering_fields == ["id"]

    def test_a_table_made_again_was_created_later(self, cloud: Cloud, table: str) -> None:
        name = f"{cloud.dataset}.{table}"
        before = cloud.bigquery.get_table(name)
        cloud.load(cloud.put("created.parquet", row(1)), f"{table}$20260101")
        assert cloud.bigquery.get_table(name).created == before.created
        cloud.bigquery.delete_table(name)
        cloud.bigquery.create_table(bigquery.Table(name, schema=SCHEMA))
        assert cloud.bigquery.get_table(name).created > before.created

    def test_a_clone_replaces_a_table(self, cloud: Cloud, table: str) -> None:
        cloud.load(cloud.put("clone.parquet", row(1)), table)
        for _ in range(2):
            cloud.ask(f"create or replace table {table}_copy clone {table}")
        cloud.load(cloud.put("clone_2.parquet", row(2)), table)
        assert cloud.ask(f"select id from {table}_copy") == [(1,)]
        assert cloud.bigquery.get_table(f"{cloud.dataset}.{table}_copy").description == DESCRIPTION

    def test_keys_promise_and_are_not_enforced(self, cloud: Cloud, table: str) -> None:
        keyed = (
            f"create or replace table {table}_keyed (id int64 not null primary key not enforced) as (select 1 as id)"
        )
        cloud.ask(keyed)
        assert cloud.ask(f"select id from {table}_keyed") == [(1,)]

    def test_the_list_of_tables_counts_rows(self, cloud: Cloud, table: str) -> None:
        cloud.load(cloud.put("listed.parquet", row(1), row(2)), table)
        sql = f"select row_count from `{cloud.dataset}`.__TABLES__ where table_id = '{table}'"
        assert cloud.ask(sql) == [(2,)]

    def test_required_fields_are_required(self, cloud: Cloud, table: str) -> None:
        with pytest.raises(BadRequest):
            cloud.ask(f"insert into {table} (name) values ('x')")


class TestStorage:
    def test_folders_are_listed_by_delimiter(self, cloud: Cloud) -> None:
        for name in ("list/20260101T00/a", "list/20260101T01/b", "list/20260101T01/c"):
            cloud.bucket.blob(f"{cloud.folder}/{name}").upload_from_string(b"x")
        found = cloud.bucket.list_blobs(prefix=f"{cloud.folder}/list/", delimiter="/")
        assert list(found) == []
        assert sorted(found.prefixes) == [f"{cloud.folder}/list/20260101T00/", f"{cloud.folder}/list/20260101T01/"]

    def test_a_write_names_the_generation_that_it_replaces(self, cloud: Cloud) -> None:
        blob = cloud.bucket.blob(f"{cloud.folder}/lock.json")
        blob.upload_from_string(b"mine", if_generation_match=0)
        with pytest.raises(PreconditionFailed):
            cloud.bucket.blob(blob.name).upload_from_string(b"yours", if_generation_match=0)
        before = blob.generation
        blob.upload_from_string(b"mine again", if_generation_match=before)
        with pytest.raises(PreconditionFailed):
            cloud.bucket.blob(blob.name).upload_from_string(b"yours", if_generation_match=before)
        assert blob.download_as_bytes() == b"mine again"

    def test_an_object_is_replaced_at_once_and_tells_its_generation(self, cloud: Cloud) -> None:
        blob = cloud.bucket.blob(f"{cloud.folder}/switch.json")
        blob.upload_from_string(b"old")
        before = cloud.bucket.get_blob(blob.name).generation
        blob.upload_from_string(b"new")
        assert (blob.download_as_bytes(), cloud.bucket.get_blob(blob.name).generation != before) == (b"new", True)

    def test_parts_of_an_object_are_read_alone(self, cloud: Cloud) -> None:
        cloud.put("footer.parquet", *[row(number) for number in range(500)])
        with cloud.bucket.blob(f"{cloud.folder}/footer.parquet").open("rb", chunk_size=256 * 1024) as file:
            assert pq.read_metadata(file).num_rows == 500
