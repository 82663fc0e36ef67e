"""The dbt models say what the declaration says; what differs is named by model and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gcs_export_pipeline import declaration

ROOT = Path(__file__).resolve().parents[2] / "dbt_project" / "models"
DIMENSIONS = list(declaration.dimensions().values())
#: Columns that a dimension has beside its declared fields: where its row comes from, made keys, and its versions.
LINEAGE = ["last_event_time", "last_event_partition", "last_event_offset", "ingest_hour"]
KEYS = {"location": ["location_key"], "department": ["department_market_key"]}
VERSION = ["is_current", "valid_from", "valid_to", "first_event_partition", "first_event_offset", "first_ingest_hour"]


def properties(path: str) -> dict[str, Any]:
    (model,) = yaml.safe_load((ROOT / path).read_text())["models"]
    return model


def data_tests_of(column: dict[str, Any]) -> dict[str, Any]:
    entries = [{each: {}} if isinstance(each, str) else each for each in column.get("data_tests", [])]
    return {name: (body or {}).get("arguments", {}) for each in entries for name, body in each.items()}


@pytest.mark.parametrize("dimension", DIMENSIONS, ids=lambda each: each.name)
def test_a_dimension_has_the_declared_fields(dimension: declaration.Dimension) -> None:
    model = properties(f"marts/dim_{dimension.name}.yml")
    columns = {column["name"]: column for column in model["columns"]}
    extra = [*KEYS.get(dimension.name, []), *LINEAGE, *(["payload"] if dimension.name == "metadata" else [])]
    extra += [f"{dimension.name}_key", *VERSION] if dimension.history else []
    assert sorted(columns) == sorted([field.name for field in dimension.fields] + extra)
    assert model["description"].startswith(dimension.grain)
    for field in dimension.fields:
        column, where = columns[field.name], f"dim_{dimension.name}.{field.name}"
        tests = data_tests_of(column)
        assert column["data_type"] == field.type.lower(), where
        assert ("not_null" in tests) == field.required, where
        assert sorted(tests.get("accepted_values", {}).get("values", [])) == sorted(field.values), where
        assert ("personal" in column.get("config", {}).get("tags", [])) == field.personal, where
    for name, column in columns.items():
        assert column["description"] == f"{{{{ doc('{name}') }}}}", f"dim_{dimension.name}.{name}"


@pytest.mark.parametrize("dimension", DIMENSIONS, ids=lambda each: each.name)
def test_every_key_is_tested(dimension: declaration.Dimension) -> None:
    model = properties(f"marts/dim_{dimension.name}.yml")
    unique = [column["name"] for column in model["columns"] if "unique" in data_tests_of(column)]
    of_table = {name: body["arguments"] for each in model.get("data_tests", []) for name, body in each.items()}
    if dimension.history:
        assert unique == [f"{dimension.name}_key"]
        assert [of_table["history"]["key"]] == list(dimension.key)
    elif "unique_together" in of_table:
        assert [name.strip("`") for name in of_table["unique_together"]["columns"]] == list(dimension.key)
    else:
        assert unique == KEYS.get(dimension.name, list(dimension.key))


@pytest.mark.parametrize("dimension", DIMENSIONS, ids=lambda each: each.name)
def test_a_version_is_made_by_every_attribute(dimension: declaration.Dimension) -> None:
    """A change of an attribute that makes no version would be lost."""
    if dimension.history:
        sql = (ROOT / f"marts/dim_{dimension.name}.sql").read_text()
        named = sql.split("attributes = [")[1].split("]")[0].replace("'", " ").replace(",", " ").split()
        assert named == [field.name for field in dimension.fields if field.name not in dimension.key]


@pytest.mark.parametrize("dimension", DIMENSIONS, ids=lambda each: each.name)
def test_what_is_personal_is_masked_for_everyone(dimension: declaration.Dimension) -> None:
    personal = [field.name for field in dimension.fields if field.personal]
    assert (ROOT / f"marts/masked/dim_{dimension.name}_masked.sql").exists() == bool(personal)
    if personal:
        columns = properties(f"marts/masked/dim_{dimension.name}_masked.yml")["columns"]
        protected = properties(f"marts/dim_{dimension.name}.yml")["columns"]
        assert [(each["name"], each["data_type"]) for each in columns] == [
            (each["name"], each["data_type"]) for each in protected
        ]


def test_no_personal_column_is_in_a_fact_or_an_aggregate() -> None:
    personal = {field.name for dimension in DIMENSIONS for field in dimension.fields if field.personal}
    for path in [*(ROOT / "marts").glob("fct_*.yml"), *(ROOT / "marts/aggregates").glob("*.yml")]:
        columns = {column["name"] for column in properties(str(path.relative_to(ROOT)))["columns"]}
        assert not columns & personal, path.name


@pytest.mark.parametrize("dimension", DIMENSIONS, ids=lambda each: each.name)
def test_staging_has_the_loaded_columns(dimension: declaration.Dimension) -> None:
    loaded = [column.name for column in declaration.staging_columns(dimension)]
    model = properties(f"staging/stg_order_events__{dimension.name}.yml")
    assert [column["name"] for column in model["columns"]] == loaded
    (source,) = yaml.safe_load((ROOT / "staging/_order_events__sources.yml").read_text())["sources"]
    tables = {table["name"]: [column["name"] for column in table["columns"]] for table in source["tables"]}
    assert tables[dimension.name] == loaded


def test_descriptions_are_those_of_the_declaration() -> None:
    assert (ROOT / "fields.md").read_text() == declaration.doc_blocks(), "run `make fields`"


def test_the_calendar_holds_every_day_that_an_order_may_have() -> None:
    order_date = next(field for field in declaration.dimensions()["order"].fields if field.name == "order_date")
    days = yaml.safe_load((ROOT.parent / "dbt_project.yml").read_text())["vars"]
    assert (days["first_day"], days["last_day"]) == (str(order_date.min), str(order_date.max))
