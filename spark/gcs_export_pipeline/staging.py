"""The staging tables: how they are made, and how a window of hours is replaced in one of them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from google.cloud import bigquery, storage

from gcs_export_pipeline import declaration, hours
from gcs_export_pipeline.config import LOADS, Config, digest, parse_hour

#: BigQuery takes 10,000 in a load job.
URIS_A_JOB = 5_000
LOAD_SECONDS = 1_800


def table_id(config: Config, dimension: declaration.Dimension) -> str:
    """The full name of a dimension's staging table."""
    return f"{config.project}.{config.staging}.{dimension.name}"


def create(client: bigquery.Client, config: Config) -> str:
    """Make the dataset and the tables that are not there; returns the basis of what they hold.

    A table that was dropped and made again gives another basis: then staging holds nothing of what was loaded before.
    """
    dataset = bigquery.Dataset(f"{config.project}.{config.staging}")
    dataset.location = config.location
    client.create_dataset(dataset, exists_ok=True)
    made = []
    for dimension in declaration.dimensions().values():
        table = bigquery.Table(table_id(config, dimension), schema=_schema(dimension))
        table.description = f"{dimension.grain} In each ingest hour: one row per run of equal values of a key."
        # A day, not an hour: BigQuery's 10,000 partitions are then 27 years, and not 14 months.
        table.time_partitioning = bigquery.TimePartitioning(field=declaration.INGEST_HOUR.name)
        table.clustering_fields = list(dimension.key[:4])  # BigQuery takes four at most
        client.create_table(table, exists_ok=True)
        found = client.get_table(table.reference)
        made.append([found.full_table_id, str(found.created)])
    return digest(made)


def _schema(dimension: declaration.Dimension) -> list[bigquery.SchemaField]:
    return [bigquery.SchemaField.from_api_repr(field) for field in declaration.bigquery_schema(dimension)]


def pending(
    client: storage.Client, config: Config, basis: str, start: datetime | None = None, end: datetime | None = None
) -> hours.Runs:
    """The run of each hour to load: those in [start, end), or, without bounds, those that staging does not hold."""
    source = hours.runs(hours.known(client, config.bucket))
    if start is None and end is None:
        return hours.pending(client, config.bucket, LOADS, basis, source)
    return {
        hour: run for hour, run in source.items() if (start is None or start <= hour) and (end is None or hour < end)
    }


def replace(
    client: bigquery.Client, config: Config, dimension: declaration.Dimension, parquet: list[dict[str, Any]], run: str
) -> dict[str, Any]:
    """Replace the rows of these hours, as `hours.parquet` lists them, by their files' rows: all at once, or none.

    Load jobs bring the files into a table of the run's own, then one MERGE exchanges the hours' rows. So a window of
    any length costs a load job for each 5,000 hours, where BigQuery allows 1,500 a table and day; and an hour can be
    replaced within its day's partition. Returns {rows, bytes: of the files, jobs: ids, seconds}.
    """
    began = time.monotonic()
    target = table_id(config, dimension)
    loaded = bigquery.Table(f"{target}__load_{run.replace('-', '_')}", schema=_schema(dimension))
    loaded.expires = datetime.now(UTC) + timedelta(days=1)  # if this run dies, nobody else removes it
    client.create_table(loaded, exists_ok=True)
    uris = iter([each["uri"] for each in parquet if each["uri"]])
    jobs: list[bigquery.LoadJob] = []
    while batch := list(islice(uris, URIS_A_JOB)):
        job = client.load_table_from_uri(
            batch, loaded, job_config=_load_config(dimension, "WRITE_APPEND" if jobs else "WRITE_TRUNCATE")
        )
        jobs.append(job.result(timeout=LOAD_SECONDS))
    names = ", ".join(f"`{column.name}`" for column in declaration.staging_columns(dimension))
    condition = hours.condition(
        [parse_hour(each["hour"]) for each in parquet], f"target.{declaration.INGEST_HOUR.name}"
    )
    merge = client.query(
        f"merge `{target}` as target using `{loaded.project}.{loaded.dataset_id}.{loaded.table_id}` as loaded on false "
        f"when not matched by source and ({condition}) then delete "
        f"when not matched then insert ({names}) values ({names})",
        job_config=bigquery.QueryJobConfig(labels=_labels(dimension)),
    )
    merge.result(timeout=LOAD_SECONDS)
    client.delete_table(loaded, not_found_ok=True)
    return {
        "rows": sum(job.output_rows for job in jobs),
        "bytes": sum(job.input_file_bytes for job in jobs),
        "jobs": [job.job_id for job in (*jobs, merge)],
        "seconds": round(time.monotonic() - began, 1),
    }


def _load_config(dimension: declaration.Dimension, disposition: str) -> bigquery.LoadJobConfig:
    options = bigquery.format_options.ParquetOptions()
    options.enable_list_inference = True  # a Parquet list is a repeated field, not a record with a field `list`
    return bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.PARQUET,
        write_disposition=disposition,
        create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
        schema=_schema(dimension),
        parquet_options=options,
        labels=_labels(dimension),
    )


def _labels(dimension: declaration.Dimension) -> dict[str, str]:
    return {"pipeline": "bq_export_pipeline", "dimension": dimension.name}


def rows_by_hour(client: bigquery.Client, config: Config, chosen: hours.Runs) -> dict[tuple[str, str], int]:
    """Rows in staging by dimension and hour name, counted by SQL in the hours' partitions alone."""
    parts = [
        f"select '{each.name}' as dimension, format_timestamp('%Y%m%dT%H', ingest_hour) as hour, count(*) as row_count "
        f"from `{table_id(config, each)}` where {hours.condition(chosen)} group by dimension, hour"
        for each in declaration.dimensions().values()
    ]
    return {(row.dimension, row.hour): row.row_count for row in client.query_and_wait(" union all ".join(parts))}
