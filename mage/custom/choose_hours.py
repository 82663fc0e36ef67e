"""The hours to load: those of a window, or, without one, those of which staging does not hold the Parquet yet."""

from __future__ import annotations

from typing import Any

from google.cloud import bigquery, storage

from gcs_export_pipeline import staging
from gcs_export_pipeline.config import Config, hour_name, parse_hour

if "custom" not in globals():
    from mage_ai.data_preparation.decorators import custom


@custom
def choose_hours(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """{basis: of the staging tables, runs: {hour: run}}; makes staging tables that are not there.

    Variables from_hour and to_hour bound the window, [from, to), either of them alone too.
    """
    config = Config.from_environment()
    start, end = (parse_hour(kwargs[name]) if kwargs.get(name) else None for name in ("from_hour", "to_hour"))
    basis = staging.create(bigquery.Client(project=config.project, location=config.location), config)
    chosen = staging.pending(storage.Client(project=config.project), config, basis, start, end)
    return {"basis": basis, "runs": {hour_name(hour): run for hour, run in chosen.items()}}
