from __future__ import annotations

from pathlib import Path

import pytest

from events.import_csv import read_csv
from gcs_export_pipeline import declaration
from gcs_export_pipeline.config import ConfigError
from tests.spark.raw_rows import DATA


def write_csv(path: Path, encoding: str = "utf-8", drop: str = "", **changes: str) -> Path:
    row = {name: "" if value is None else str(value) for name, value in DATA.items()} | {
        "Customer Password": "XXXXXXXXX"
    }
    row |= {name.replace("_", " "): value for name, value in changes.items()}
    row.pop(drop, None)
    lines = [",".join(f'"{name}"' for name in row), ",".join(f'"{value}"' for value in row.values())]
    path.write_bytes("\r\n".join(lines).encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_both_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    events = read_csv(write_csv(tmp_path / "data.csv", encoding, Order_City="Mérida\u2019s"), hours=1, first_offset=5)
    assert events["Order City"].tolist() == ["Mérida\u2019s"]
    assert events["Customer Zipcode"].tolist() == ["725.0"]
    assert events["offset"].tolist() == [5]
    assert set(declaration.raw_event()["data"]) <= set(events.columns)


@pytest.mark.parametrize(
    ("drop", "changes", "said"),
    [("Order Item Id", {}, "'Order Item Id' is missing"), ("", {"Order_Id": "12x"}, "line 2: Order Id is '12x'")],
)
def test_what_is_wrong_is_named(tmp_path: Path, drop: str, changes: dict[str, str], said: str) -> None:
    path = write_csv(tmp_path / "data.csv", drop=drop, **changes)
    with pytest.raises(ConfigError, match=said) as error:
        read_csv(path, hours=1, first_offset=0)
    assert str(path) in str(error.value)
