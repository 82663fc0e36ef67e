from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from google.cloud import bigquery

from gcs_export_pipeline import declaration

ROOT = Path(__file__).resolve().parents[2]


def test_the_seven_dimensions_are_declared() -> None:
    names = ["customer", "product", "location", "order", "shipping", "department", "metadata"]
    assert list(declaration.dimensions()) == names


def test_declarations_are_read_from_a_zip_file(tmp_path: Path) -> None:
    """As Dataproc gets them: `--py-files`."""
    package = shutil.make_archive(str(tmp_path / "package"), "zip", ROOT / "spark", "gcs_export_pipeline")
    code = "from gcs_export_pipeline import declaration as d; print(d.__file__, len(d.dimensions()))"
    found = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": package}, capture_output=True, text=True)
    assert (package in found.stdout, found.stdout.split()[-1:]) == (True, ["7"]), found.stderr


def test_passwords_are_never_read() -> None:
    from gcs_export_pipeline.schemas import raw_schema

    assert "Customer Password" in declaration.raw_event()["data"]
    assert "Password" not in raw_schema().json()
    assert not [field.name for _, field in declaration.fields() if "password" in field.name]


def test_bigquery_takes_the_load_schema() -> None:
    for dimension in declaration.dimensions().values():
        fields = [bigquery.SchemaField.from_api_repr(each) for each in declaration.bigquery_schema(dimension)]
        by_name = {field.name: field for field in fields}
        assert all(field.description for field in fields)
        assert by_name["events"].mode == "REPEATED"
        assert {name for name in dimension.key if by_name[name].mode == "REQUIRED"} or dimension.name == "location"


def test_raw_names_and_final_names_go_together() -> None:
    """One thing has one name: a final name stands for one raw field, a raw field for one final name."""
    pairs = {(source, field.raw, field.name) for source, field in declaration.fields()}
    assert len(pairs) == len({pair[:2] for pair in pairs}) == len({pair[2] for pair in pairs})
