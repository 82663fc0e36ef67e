"""Replace the chosen hours in a dimension's BigQuery staging table by their Parquet; no rows pass through here.

One file serves every dimension: which it is comes with what the block before found.
"""

from __future__ import annotations

import sys
from typing import Any

from google.cloud import bigquery

from gcs_export_pipeline import declaration, staging
from gcs_export_pipeline.config import Config, new_run_id

if "data_exporter" not in globals():
    from mage_ai.data_preparation.decorators import data_exporter, test


@data_exporter
def load_staging(found: dict[str, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """{dimension, parquet: as found, rows, bytes, jobs, seconds: of the load}; a repeated load gives the same table."""
    if not found["parquet"]:
        return found | {"rows": 0, "bytes": 0, "jobs": [], "seconds": 0.0}
    config = Config.from_environment()
    client = bigquery.Client(project=config.project, location=config.location)
    dimension = declaration.dimensions()[found["dimension"]]
    done = staging.replace(client, config, dimension, found["parquet"], kwargs.get("run") or new_run_id())
    # Not print, which writes the end of the line by itself: other dimensions load at the same time.
    sys.stdout.write(f"{dimension.name}: {done['rows']:,} rows of {len(found['parquet'])} hours\n")
    return found | done


@test
def test_all_rows_loaded(output: dict[str, Any], *args: Any) -> None:
    """BigQuery took as many rows as the files hold."""
    held = sum(each["rows"] for each in output["parquet"])
    assert output["rows"] == held, f"{output['dimension']}: loaded {output['rows']} rows, the Parquet holds {held}"
