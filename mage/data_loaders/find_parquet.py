"""Find a dimension's Parquet of the chosen hours, and check it before anything is loaded.

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
def find_parquet(chosen: dict[str, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """{dimension, parquet: of each hour, as hours.parquet lists it}.

    Raises hours.IncompleteError, which names the hour and the remedy, if files are missing or hold other rows.
    """
    dimension = declaration.dimensions()[kwargs["configuration"]["dimension"]]
    wanted = [parse_hour(hour) for hour in chosen["runs"]]
    found = hours.parquet(storage.Client(), setting("GCS_BUCKET"), dimension, wanted)
    replaced = [each["hour"] for each in found if each["run"] != chosen["runs"][each["hour"]]]
    if replaced:
        raise hours.IncompleteError(f"another run replaced the Parquet of {', '.join(replaced)} meanwhile: run again")
    return {"dimension": dimension.name, "parquet": found}  # a dictionary: Mage makes a data frame of a list


@test
def test_found(output: dict[str, Any], *args: Any) -> None:
    """Each hour has as many rows as its record says, and files if it has rows."""
    assert all((each["uri"] is not None) == (each["rows"] > 0) for each in output["parquet"]), output
