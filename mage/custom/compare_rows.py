"""The gate behind the loads: staging holds exactly what the Parquet holds, in every dimension and day."""

from __future__ import annotations

import json
from typing import Any

from google.cloud import bigquery, storage

from gcs_export_pipeline import hours
from gcs_export_pipeline.config import RUNS, Config

if "custom" not in globals():
    from mage_ai.data_preparation.decorators import custom


@custom
def compare_rows(*exports: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Compare three counts taken apart: rows in the files' footers, rows that the load reported, rows in staging.

    Notes each day as loaded, writes the record of the load to runs/<run>/load.json and returns it. Raises ValueError
    that names every dimension and day that differs.
    """
    config = Config.from_environment()
    days = sorted({load["day"] for export in exports for load in export["loads"]})
    record = {"run": kwargs.get("run"), "dimensions": {each["dimension"]: each["loads"] for each in exports}}
    if not days:
        print("staging holds everything already: nothing new to load")
        return record
    client = bigquery.Client(project=config.project, location=config.location)
    staged = _count(client, config, [each["dimension"] for each in exports], days)
    wrong = []
    for export in exports:
        for load in export["loads"]:
            load["staging"] = staged.get((export["dimension"], load["day"]), 0)
            if not load["parquet"] == load["loaded"] == load["staging"]:
                wrong.append(
                    f"{export['dimension']} {load['day']}: "
                    f"Parquet {load['parquet']}, loaded {load['loaded']}, staging {load['staging']}"
                )
    runs = {day: [load["runs"] for export in exports for load in export["loads"] if load["day"] == day] for day in days}
    wrong += [
        f"{day}: another run replaced its Parquet meanwhile"
        for day, each in runs.items()
        if each != each[:1] * len(exports)
    ]
    if wrong:
        raise ValueError("staging is not what the Parquet is; run `make load` again: " + "; ".join(wrong))
    storage_client = storage.Client(project=config.project)
    for day, (of_day, *_) in runs.items():
        hours.note_loaded(storage_client, config.bucket, day, of_day, {"run": record["run"], "runs": of_day})
    if record["run"]:
        blob = storage_client.bucket(config.bucket).blob(f"{RUNS}/{record['run']}/load.json")
        blob.upload_from_string(json.dumps(record, indent=1), content_type="application/json")
    print(
        f"staging holds what the Parquet holds: "
        f"{sum(staged.values()):,} rows of {len(days)} days in {len(exports)} tables"
    )
    return record


def _count(
    client: bigquery.Client, config: Config, dimensions: list[str], days: list[str]
) -> dict[tuple[str, str], int]:
    """Rows in staging by dimension and day, reading no partition outside the days' range."""
    where = hours.days_condition(days[0], days[-1])
    counts = " union all ".join(
        f"select '{name}' as dimension, format_timestamp('%Y%m%d', ingest_hour) as day, count(*) as row_count "
        f"from `{config.project}.{config.staging}.{name}` where {where} group by dimension, day"
        for name in dimensions
    )
    rows = client.query_and_wait(counts)
    return {(row.dimension, row.day): row.row_count for row in rows if row.day in days}
