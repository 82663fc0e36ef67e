"""Find a dimension's Parquet of the days that a window touches, and check it before anything is loaded.

One file serves every dimension: each block of the pipeline names its own in `configuration.dimension`. The blocks run
one after the other, and the loads after the last of them: a headless run of Mage shares one dictionary of variables
among blocks that run at once, so that a block could read the configuration of another. It also means that nothing is
loaded before everything was found.
"""

from __future__ import annotations

from typing import Any

from google.cloud import storage

from gcs_export_pipeline import declaration, hours
from gcs_export_pipeline.config import parse_hour, setting

if "data_loader" not in globals():
    from mage_ai.data_preparation.decorators import data_loader, test


@data_loader
def find_parquet(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """{dimension, days: [{day: YYYYMMDD, uris: [gs://...], rows: in the files' footers, runs: {hour: run}}]}.

    Staging is partitioned by day, so a day is found whole even where the window covers a few of its hours.
    Variables from_hour and to_hour bound the window, [from, to); without them it is what staging does not hold yet.
    Raises hours.IncompleteError, which names the hour and the remedy, if files are missing or hold other rows.
    """
    dimension = declaration.dimensions()[kwargs["configuration"]["dimension"]]
    start, end = (parse_hour(kwargs[name]) if kwargs.get(name) else None for name in ("from_hour", "to_hour"))
    days = hours.parquet_by_day(storage.Client(), setting("GCS_BUCKET"), dimension, start, end)
    return {"dimension": dimension.name, "days": days}  # a dictionary: Mage makes a data frame of a list


@test
def test_found(output: dict[str, Any], *args: Any) -> None:
    """Each day to load has an hour; no day at all means that staging holds everything."""
    assert all(day["runs"] for day in output["days"]), output
