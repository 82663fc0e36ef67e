from __future__ import annotations

from pathlib import Path

import yaml

from gcs_export_pipeline import declaration

MAGE = Path(__file__).resolve().parents[2] / "mage"
PIPELINE = MAGE / "pipelines" / "bq_export_pipeline"


def test_every_dimension_is_found_then_loaded_then_compared() -> None:
    blocks = {block["uuid"]: block for block in yaml.safe_load((PIPELINE / "metadata.yaml").read_text())["blocks"]}
    names = list(declaration.dimensions())
    finds, loads = [f"find_{name}" for name in names], [f"load_{name}" for name in names]
    assert list(blocks) == ["choose_hours", *finds, *loads, "compare_rows"]
    for index, (find, load, name) in enumerate(zip(finds, loads, names, strict=True)):
        assert blocks[find]["configuration"] == {"file_path": "data_loaders/find_parquet.py", "dimension": name}
        # One after the other, and no load before the last: blocks that run at once share their configuration.
        assert blocks[find]["upstream_blocks"] == ["choose_hours", *finds[max(0, index - 1) : index]]
        assert blocks[load]["upstream_blocks"] == list(dict.fromkeys([find, finds[-1]]))
        assert "dimension" not in blocks[load]["configuration"]
    assert blocks["compare_rows"]["upstream_blocks"] == ["choose_hours", *loads]
    for name, block in blocks.items():
        assert (MAGE / block["configuration"]["file_path"]).is_file(), name
        for up in block["upstream_blocks"]:
            assert name in blocks[up]["downstream_blocks"], (up, name)


def test_triggers_are_there() -> None:
    triggers = yaml.safe_load((PIPELINE / "triggers.yaml").read_text())["triggers"]
    assert {trigger["schedule_type"] for trigger in triggers} == {"time", "api"}
    assert {trigger["token"] for trigger in triggers} == {None}, "a token is a secret: Mage makes one when it starts"
