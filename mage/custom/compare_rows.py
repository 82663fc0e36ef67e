"""The gate behind the loads: staging holds exactly what the Parquet holds, in every dimension and hour."""

from __future__ import annotations

import json
from typing import Any

from google.cloud import bigquery, storage

from gcs_export_pipeline import hours, staging
from gcs_export_pipeline.config import LOADS, RUNS, Config, parse_hour

if "custom" not in globals():
    from mage_ai.data_preparation.decorators import custom


@custom
def compare_rows(chosen: dict[str, Any], *exports: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Compare three counts taken apart: rows in the files' footers, rows that the loads reported, rows in staging.

    Notes each hour as loaded, writes the record of the load to runs/<run>/load.json and returns it. Raises ValueError
    that names every dimension and hour that differs.
    """
    config = Config.from_environment()
    runs = {parse_hour(hour): run for hour, run in chosen["runs"].items()}
    record = {"run": kwargs.get("run"), "hours": chosen["runs"], "dimensions": list(exports)}
    if not runs:
        print("staging holds everything already: nothing new to load")
        return record
    staged = staging.rows_by_hour(bigquery.Client(project=config.project, location=config.location), config, runs)
    wrong = []
    for export in exports:
        held = sum(each["rows"] for each in export["parquet"])
        if export["rows"] != held:
            wrong.append(f"{export['dimension']}: Parquet {held}, loaded {export['rows']}")
        for each in export["parquet"]:
            each["staging"] = staged.get((export["dimension"], each["hour"]), 0)
            if each["staging"] != each["rows"]:
                wrong.append(f"{export['dimension']} {each['hour']}: Parquet {each['rows']}, staging {each['staging']}")
    if wrong:
        raise ValueError("staging is not what the Parquet is; run `make load` again: " + "; ".join(wrong))
    client = storage.Client(project=config.project)
    hours.note(client, config.bucket, LOADS, chosen["basis"], runs)
    if record["run"]:
        blob = client.bucket(config.bucket).blob(f"{RUNS}/{record['run']}/load.json")
        blob.upload_from_string(json.dumps(record, indent=1), content_type="application/json")
    print(
        f"staging holds what the Parquet holds: "
        f"{sum(staged.values()):,} rows of {len(runs)} hours in {len(exports)} tables"
    )
    return record
