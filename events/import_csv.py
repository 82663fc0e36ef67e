"""Read the real DataCo CSV as events."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from gcs_export_pipeline import declaration
from gcs_export_pipeline.config import ConfigError


def encoding(path: Path) -> str:
    """utf-8 where the whole file is UTF-8, else cp1252, in which the data was published."""
    try:
        with path.open(encoding="utf-8") as file:
            for _ in file:
                pass
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def read_csv(path: Path, hours: int, first_offset: int) -> pd.DataFrame:
    """Every row of the CSV as an event, as it stands, with a position and an ingest hour (0, 1, ...).

    Event time is the order's date; offsets follow the file. ConfigError names the file and field if it is not a
    DataCo CSV, and the line and field if a number is none.
    """
    if not path.is_file():
        raise ConfigError(f"{path} does not exist: name the DataCo CSV in CSV=path")
    types = declaration.raw_event()["data"]
    events = pd.read_csv(path, dtype=str, encoding=encoding(path), keep_default_na=False, na_values=[""])
    events.columns = [name.strip() for name in events.columns]
    if missing := [name for name in types if name not in events.columns]:
        raise ConfigError(f"{path}: column {missing[0]!r} is missing: this is not the DataCo supply chain CSV")
    for name, type_name in types.items():
        if type_name in ("INT64", "FLOAT64"):
            numbers = pd.to_numeric(events[name], errors="coerce")
            if (bad := numbers.isna() & events[name].notna()).any():
                line = int(np.argmax(bad.to_numpy())) + 2
                raise ConfigError(f"{path}: line {line}: {name} is {events[name][line - 2]!r}, which is no number")
            events[name] = numbers
    events["time"] = pd.to_datetime(events["order date (DateOrders)"], format="%m/%d/%Y %H:%M", errors="coerce")
    events["partition"] = (events["Order Id"].fillna(0) % 4).astype(np.int32)
    events["offset"] = first_offset + events.groupby("partition").cumcount()
    events["key"] = events["Order Id"].astype("Int64").astype(str)
    events["topic"] = "orders"
    events["hour"] = np.arange(len(events)) * hours // max(1, len(events))
    return events
