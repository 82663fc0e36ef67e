"""Load a dimension's Parquet into its BigQuery staging table, a day's partition at a time; no rows pass through here.

One file serves every dimension: which it is comes with what the block before found.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from google.cloud import bigquery

from gcs_export_pipeline import declaration, hours
from gcs_export_pipeline.config import Config

if "data_exporter" not in globals():
    from mage_ai.data_preparation.decorators import data_exporter, test

LOADS_AT_ONCE = 4


@data_exporter
def load_staging(found: dict[str, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Replace each day's partition of `staging.<dimension>` by the day's files, and say what BigQuery took.

    Returns {dimension, loads: [{day, runs, parquet, loaded, job_id, bytes}]}: rows as counted in the files, and by the
    load.
    A partition is replaced at once or not at all; a repeated load gives the same table.
    """
    dimension = declaration.dimensions()[found["dimension"]]
    config = Config.from_environment()
    client = bigquery.Client(project=config.project, location=config.location)
    schema = [bigquery.SchemaField.from_api_repr(field) for field in declaration.bigquery_schema(dimension)]
    table = bigquery.Table(f"{config.project}.{config.staging}.{dimension.name}", schema=schema)
    table.description = f"{dimension.grain} In each ingest hour: one row per run of equal values of a key."
    # A day, not an hour: 10,000 partitions are then 27 years, and a load a day and table stays far below 1,500.
    table.time_partitioning = bigquery.TimePartitioning(field=declaration.INGEST_HOUR.name)
    table.clustering_fields = list(dimension.key[:4])  # BigQuery takes four at most
    dataset = bigquery.Dataset(f"{config.project}.{config.staging}")
    dataset.location = config.location
    client.create_dataset(dataset, exists_ok=True)
    client.create_table(table, exists_ok=True)

    def load(day: dict[str, Any]) -> dict[str, Any]:
        result = {"day": day["day"], "runs": day["runs"], "parquet": day["rows"]}
        if not day["uris"]:  # every event of the day was set aside, and a load job needs a file
            where = hours.days_condition(day["day"], day["day"])
            client.query_and_wait(f"delete from `{config.project}.{config.staging}.{dimension.name}` where {where}")
            return result | {"loaded": 0, "job_id": None, "bytes": 0}
        job = client.load_table_from_uri(
            day["uris"],
            f"{config.project}.{config.staging}.{dimension.name}${day['day']}",
            job_config=bigquery.LoadJobConfig(
                source_format=bigquery.SourceFormat.PARQUET,
                write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
                create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
                schema=schema,
                parquet_options=_list_inference(),
                labels={"pipeline": "bq_export_pipeline", "dimension": dimension.name},
            ),
        )
        job.result(timeout=1800)
        return result | {"loaded": job.output_rows, "job_id": job.job_id, "bytes": job.input_file_bytes}

    with ThreadPoolExecutor(LOADS_AT_ONCE) as pool:
        loads = list(pool.map(load, found["days"]))
    print(f"{dimension.name}: {sum(each['loaded'] for each in loads):,} rows in {len(loads)} days")
    return {"dimension": dimension.name, "loads": loads}


def _list_inference() -> bigquery.format_options.ParquetOptions:
    """Read a Parquet list as a repeated field, not as a record with a field `list`."""
    options = bigquery.format_options.ParquetOptions()
    options.enable_list_inference = True
    return options


@test
def test_all_rows_loaded(output: dict[str, Any], *args: Any) -> None:
    """BigQuery took as many rows as the files hold, day by day."""
    lost = [each for each in output["loads"] if each["loaded"] != each["parquet"]]
    assert not lost, f"{output['dimension']}: loaded rows differ from the Parquet's: {lost}"
