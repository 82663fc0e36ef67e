"""The gate behind the loads: staging holds exactly what the Parquet holds, in every dimension and day."""

from __future__ import annotations

import json
from typing import Any

from google.cloud import bigquery, storage

from gcs_export_pipeline.config import RUNS, Config

if "custom" not in globals():
    from mage_ai.data_preparation.decorators import custom


@custom
def compare_rows(*exports: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Compare three counts taken apart: rows in the files' footers, rows that the load reported, rows in staging.

    Writes the record of the load to runs/<run>/load.json and returns it. Raises ValueError that names every dimension
    and day that differs.
    """
    config = Config.from_environment()
    client = bigquery.Client(project=config.project, location=config.location)
    counts = " union all ".join(
        f"select '{each['dimension']}' as dimension, format_timestamp('%Y%m%d', ingest_hour) as day, "
        "count(*) as row_count "
        f"from `{config.project}.{config.staging}.{each['dimension']}` group by dimension, day"
        for each in exports
    )
    staged = {(row.dimension, row.day): row.row_count for row in client.query_and_wait(counts)}
    wrong = []
    for export in exports:
        for load in export["loads"]:
            load["staging"] = staged.get((export["dimension"], load["day"]), 0)
            if not load["parquet"] == load["loaded"] == load["staging"]:
                wrong.append(
                    f"{export['dimension']} {load['day']}: "
                    f"Parquet {load['parquet']}, loaded {load['loaded']}, staging {load['staging']}"
                )
    if wrong:
        raise ValueError("staging is not what the Parquet is; run `make load` again: " + "; ".join(wrong))
    record = {"run": kwargs.get("run"), "dimensions": {each["dimension"]: each["loads"] for each in exports}}
    if record["run"]:
        blob = storage.Client(project=config.project).bucket(config.bucket).blob(f"{RUNS}/{record['run']}/load.json")
        blob.upload_from_string(json.dumps(record, indent=1), content_type="application/json")
    print(f"staging holds what the Parquet holds: {sum(staged.values()):,} rows in {len(exports)} tables")
    return record
